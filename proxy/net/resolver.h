/* Names to addresses: getaddrinfo on threads of its own, answers on the asker's loop. */
#ifndef SAGEGATE_NET_RESOLVER_H
#define SAGEGATE_NET_RESOLVER_H

#include <sys/socket.h>

#include "net/loop.h"

enum { RESOLVER_ADDRESSES_MAX = 8, RESOLVER_HOST_MAX = 255 };

struct resolver_addresses {
    struct sockaddr_storage
        list[RESOLVER_ADDRESSES_MAX]; /* in the system's order (RFC 6724), with the port */
    socklen_t sizes[RESOLVER_ADDRESSES_MAX];
    size_t count;
};

/* A numeric address, without asking anyone. False where host is a name. */
bool resolver_parse_numeric(struct span host, uint16_t port, struct resolver_addresses *out);

struct resolver_query; /* one question under way */

/* on_resolved comes once, from the loop's turn: addresses with count > 0, or count 0 and `error` a text for people. */
typedef void (*resolver_callback)(void *owner, const struct resolver_addresses *addresses,
                                  const char *error);
struct resolver_query *resolver_ask(struct loop *loop, struct span host, uint16_t port,
                                    resolver_callback on_resolved, void *owner);
/* on_resolved will not come. */
void resolver_cancel(struct resolver_query *query);

#endif
