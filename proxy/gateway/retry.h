/* Decides whether a request is sent again, from how an attempt ended and what was tried before.
 * Pure.
 *
 * A stale connection and a correctable signature get one more attempt each. A request is sent at
 * most RETRY_ATTEMPTS_MAX times. */
#ifndef SAGEGATE_GATEWAY_RETRY_H
#define SAGEGATE_GATEWAY_RETRY_H

#include <stdbool.h>

enum { RETRY_ATTEMPTS_MAX = 2 };

/* How an attempt ended. */
enum retry_class {
    RETRY_NONE,  /* in any other way: the call may have run, or another attempt would fail too */
    RETRY_STALE, /* a reused connection closed before any byte of a response */
    RETRY_CREDENTIALS, /* AWS rejected the credentials as expired or unknown */
    RETRY_CLOCK,       /* AWS rejected the signature with an error that a wrong clock can cause */
};

/* How the attempt was made. */
struct retry_plan {
    bool tls; /* without TLS, the response's Date cannot be trusted */
};

struct retry_history {
    unsigned attempts; /* requests sent so far */
    bool renewed;      /* one of them was a renewal */
};

enum retry_decision {
    RETRY_PASS_ON, /* pass the response or the failure on to the caller */
    RETRY_AGAIN,   /* try again at once, on a new connection */
    RETRY_RENEW,   /* try again once other credentials or another clock offset are known */
};

enum retry_decision retry_decide(enum retry_class class, const struct retry_plan *plan,
                                 const struct retry_history *history);

#endif
