/* The peer of a downstream connection: an address, or the user of a Unix socket. */
#ifndef SAGEGATE_GATEWAY_REMOTE_H
#define SAGEGATE_GATEWAY_REMOTE_H

#include <stdbool.h>
#include <stdint.h>

enum { REMOTE_NAME_SIZE = 64 };

struct remote {
    char name[REMOTE_NAME_SIZE]; /* "127.0.0.1:40312", "[::1]:40312", or "unix" */
    bool is_unix;
    uint32_t uid;              /* with is_unix: when the caller connected; UINT32_MAX: unknown */
    unsigned char address[16]; /* without is_unix; IPv4 as ::ffff:a.b.c.d */
};

/* Reads the peer of an accepted socket from the kernel. */
void remote_read(int fd, struct remote *out);

#endif
