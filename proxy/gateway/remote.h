/* Who is at the other end of a caller's connection: an address, or on a Unix socket a user. */
#ifndef SAGEGATE_GATEWAY_REMOTE_H
#define SAGEGATE_GATEWAY_REMOTE_H

#include <stdbool.h>
#include <stdint.h>

enum { REMOTE_NAME_SIZE = 64 };

struct remote {
    char name[REMOTE_NAME_SIZE]; /* "127.0.0.1:40312", "[::1]:40312", or "unix" */
    bool is_unix;
    uint32_t uid; /* on a Unix socket: as the kernel had it when the caller connected */
    unsigned char address[16]; /* elsewhere; IPv4 as ::ffff:a.b.c.d */
};

/* Of an accepted socket. What the kernel does not tell is a Unix socket's unknown user. */
void remote_read(int fd, struct remote *out);

#endif
