/* Resolves names with getaddrinfo on threads of its own; calls back on the asker's loop. */
#ifndef SAGEGATE_NET_RESOLVER_H
#define SAGEGATE_NET_RESOLVER_H

#include "net/address.h"
#include "net/loop.h"

enum { RESOLVER_ADDRESSES_MAX = 8, RESOLVER_HOST_MAX = 255 };

struct resolver_addresses {
    struct address
        list[RESOLVER_ADDRESSES_MAX]; /* in the system's order (RFC 6724), with the port */
    size_t count;
};

struct resolver_query; /* a lookup in flight */

/* Called once, from the loop's turn: addresses with count > 0, or count 0 and `error` a text for
 * people. */
typedef void (*resolver_callback)(void *owner, const struct resolver_addresses *addresses,
                                  const char *error);
struct resolver_query *resolver_ask(struct loop *loop, struct span host, uint16_t port,
                                    resolver_callback on_resolved, void *owner);
/* Cancels; on_resolved is not called. */
void resolver_cancel(struct resolver_query *query);

#endif
