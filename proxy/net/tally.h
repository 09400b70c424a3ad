/* What a worker's connections to one upstream have come to: counted by dialer and pool on their own
 * thread, read by any. It knows neither names nor how the numbers are shown. */
#ifndef SAGEGATE_NET_TALLY_H
#define SAGEGATE_NET_TALLY_H

#include "base/counter.h"

enum tally_count {
    TALLY_IDLE,   /* connections that rest in the pool, just now */
    TALLY_ACTIVE, /* that a request holds, just now */
    TALLY_OPENED, /* connections made, TLS and all */
    TALLY_REUSED, /* requests that took an idle one */
    /* Connections that could not be had: */
    TALLY_DNS_FAILED,     /* the name was not resolved */
    TALLY_CONNECT_FAILED, /* no address took the connection */
    TALLY_PROXY_REFUSED,
    TALLY_TLS_FAILED,
    TALLY_GIVEN_UP,       /* by who wanted it: a limit in time, or the caller has left */
    TALLY_LOOKUPS_FAILED, /* names not resolved, also where an older answer stood in */
    TALLY_HANDSHAKES_FULL,
    TALLY_HANDSHAKES_RESUMED,
    TALLY_COUNTS
};

/* All zero at first. It outlives the pools that count into it; several of one thread may share it. */
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
