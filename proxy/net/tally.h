/* Counts of a worker's connections to one upstream: written by dialer and pool on their thread,
 * read by any. Knows neither names nor how the numbers are shown. */
#ifndef SAGEGATE_NET_TALLY_H
#define SAGEGATE_NET_TALLY_H

#include "base/counter.h"

enum tally_count {
    TALLY_IDLE,   /* connections idle in the pool now */
    TALLY_ACTIVE, /* held by a request now */
    TALLY_OPENED, /* connections made, TLS included */
    TALLY_REUSED, /* requests that took an idle one */
    /* Connections that could not be made: */
    TALLY_DNS_FAILED,     /* the name did not resolve */
    TALLY_CONNECT_FAILED, /* no address accepted */
    TALLY_PROXY_REFUSED,
    TALLY_TLS_FAILED,
    TALLY_GIVEN_UP,       /* cancelled: a time limit, or the caller has left */
    TALLY_LOOKUPS_FAILED, /* names that did not resolve, even if an older result stood in */
    TALLY_HANDSHAKES_FULL,
    TALLY_HANDSHAKES_RESUMED,
    TALLY_COUNTS
};

/* All zero at first. Outlives the pools that count into it; those of one thread may share it. */
struct tally {
    struct counter counts[TALLY_COUNTS];
};

static inline void tally_add(struct tally *tally, enum tally_count count)
{
    counter_add(&tally->counts[count], 1);
}

static inline void tally_subtract(struct tally *tally, enum tally_count count)
{
    counter_subtract(&tally->counts[count], 1);
}

#endif
