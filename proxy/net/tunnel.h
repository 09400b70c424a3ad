/* A tunnel through an HTTP proxy: CONNECT, sans-I/O. Source: RFC 9110 section 9.3.6. */
#ifndef SAGEGATE_NET_TUNNEL_H
#define SAGEGATE_NET_TUNNEL_H

#include "base/buffer.h"

enum { TUNNEL_HEAD_MAX = 8 * 1024, TUNNEL_WHY_SIZE = 96 };

struct tunnel {
    struct buffer in; /* the response so far */
    size_t scanned;
    char why[TUNNEL_WHY_SIZE]; /* "the proxy returned 407 Proxy Authentication Required" */
};

enum tunnel_result {
    TUNNEL_MORE,    /* the response is not whole yet */
    TUNNEL_OPEN,    /* bytes sent from now on reach the upstream */
    TUNNEL_REFUSED, /* another status, a malformed response, or bytes after it: see why */
};

void tunnel_init(struct tunnel *tunnel);
void tunnel_dispose(struct tunnel *tunnel);

/* Appends "CONNECT authority HTTP/1.1", with Proxy-Authorization unless that is empty ("Basic
 * ..."). */
void tunnel_append_request(struct span authority, struct span authorization, struct buffer *out);
/* Feeds the next bytes of the response. */
enum tunnel_result tunnel_take(struct tunnel *tunnel, struct span bytes);

#endif
