/* The process's own HTTP client: one small request on a connection of its own, with a bounded
 * response and one time limit. Must not depend on AWS or on what is fetched.
 *
 * Embedded by its owner. on_done fires once, from the loop, and may free the owner after
 * http_client_dispose. Redirects are responses like any other. Wipes what it sent and received. */
#ifndef SAGEGATE_NET_HTTP_CLIENT_H
#define SAGEGATE_NET_HTTP_CLIENT_H

#include "aws/endpoint.h"
#include "config/proxy.h"
#include "net/upstream.h"

enum { HTTP_CLIENT_RESPONSE_MAX = 65536, HTTP_CLIENT_HEADERS_MAX = 8, HTTP_CLIENT_WHY_SIZE = 192 };

struct http_client_header {
    struct span name, value;
};

struct http_client_request {
    const struct endpoint_url *url;
    X509_STORE *trust; /* required if url->tls */
    struct span method, path;
    /* Besides Host, User-Agent, Content-Length and Connection. */
    struct http_client_header headers[HTTP_CLIENT_HEADERS_MAX];
    size_t header_count;
    struct span body;   /* SPAN_NONE: none */
    int64_t timeout_ms; /* from start to the response's last byte */
    struct proxy proxy; /* CONNECT through it, if any */
};

struct http_client {
    struct upstream_request upstream;
    struct pool *pool; /* NULL: idle */
    struct timer timer;
    struct upstream_chunk *chunk;
    struct buffer head, response;
    void (*on_done)(struct http_client *client);
    void *owner;
    int64_t timeout_ms;
    /* The result, until dispose. */
    int status; /* 0: no response; `why` says why */
    bool timed_out;
    char why[HTTP_CLIENT_WHY_SIZE];
    struct wall_time date; /* the response's Date; us 0: none */
};

/* The client must be zeroed or disposed. Copies the request. Never calls back before it returns. */
void http_client_start(struct http_client *client, struct loop *loop,
                       const struct http_client_request *request,
                       void (*on_done)(struct http_client *client), void *owner);
/* Cancels without calling on_done and wipes the state. Safe if idle. */
void http_client_dispose(struct http_client *client);

/* Whether a header can carry it: not empty, no control characters, nothing beyond ASCII. */
bool http_client_is_header_value(struct span value);

static inline struct span http_client_response(const struct http_client *client)
{
    return buffer_span(&client->response);
}

#endif
