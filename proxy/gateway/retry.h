/* Whether a request is sent again, decided from how an attempt ended and what was tried before.
 * Pure.
 *
 * A stale connection and a signature that can be corrected are worth one more attempt each; a
 * request is sent at most RETRY_ATTEMPTS_MAX times. */
#ifndef SAGEGATE_GATEWAY_RETRY_H
#define SAGEGATE_GATEWAY_RETRY_H

#include <stdbool.h>

enum { RETRY_ATTEMPTS_MAX = 2 };

/* How an attempt ended. */
enum retry_class {
    RETRY_NONE, /* in any other way: the call may have run, or another attempt would end likewise */
    RETRY_STALE,       /* a reused connection closed without a byte of response */
    RETRY_CREDENTIALS, /* AWS rejected the credentials as expired or unknown */
    RETRY_CLOCK,       /* AWS rejected the signature; a wrong clock is one of the causes */
};

/* What the attempt was made with. */
struct retry_plan {
    bool tls; /* only then is the response's Date known to be the upstream's */
};

struct retry_history {
    unsigned attempts; /* requests sent so far */
    bool renewed;      /* one of them was a renewal */
};

enum retry_decision {
    RETRY_PASS_ON, /* the caller gets what came */
    RETRY_AGAIN,   /* at once, on a new connection */
    RETRY_RENEW,   /* once the credentials or the clock's offset differ from those that signed */
};

enum retry_decision retry_decide(enum retry_class class, const struct retry_plan *plan,
                                 const struct retry_history *history);

#endif
