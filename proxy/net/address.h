/* Socket addresses: numeric text to address and back, without asking anyone. */
#ifndef SAGEGATE_NET_ADDRESS_H
#define SAGEGATE_NET_ADDRESS_H

#include <sys/socket.h>

#include "base/arena.h"
#include "base/check.h"

struct address {
    struct sockaddr_storage storage; /* IPv4, IPv6 or Unix */
    socklen_t size;
};

static inline const struct sockaddr *address_sockaddr(const struct address *address)
{
    return (const struct sockaddr *)&address->storage;
}

/* An IPv4 or IPv6 address without brackets. False if host is a name. */
MUST_USE bool address_parse(struct span host, uint16_t port, struct address *out);
/* Where a socket is bound. False if the system does not tell. */
MUST_USE bool address_of_socket(int fd, struct address *out);
/* Same family, address and port; for Unix sockets the same path. */
bool address_is_same(const struct address *a, const struct address *b);
/* The path of a Unix socket, valid as long as the address; SPAN_NONE for any other address. */
struct span address_unix_path(const struct address *address);
/* "127.0.0.1:8080", "[::1]:8080" or "unix:/run/x.sock", in arena. */
struct span address_text(const struct address *address, struct arena *arena);

#endif
