/* The credentials of an attempt: the set to sign with, waiting for one that is being fetched, and
 * whether after a rejected signature there are other credentials, or another offset of the clock,
 * to sign with. Knows neither sources nor requests. */
#ifndef SAGEGATE_GATEWAY_RENEW_H
#define SAGEGATE_GATEWAY_RENEW_H

#include "credentials/provider.h"
#include "gateway/retry.h"

/* Embedded in its owner, which sets the first fields before the first call and leaves the rest
 * zero. */
struct renew {
    struct provider_view *view;
    struct skew *skew; /* of the process */
    struct loop *loop;
    int64_t wait_ms; /* credentials.wait */
    /* A wait that renew_wait began has ended, in one way or another. Fires once, from the loop's
     * turn. */
    void (*on_end)(struct renew *renew, int64_t waited_us);
    struct provider_waiter waiter;
    struct timer limit;
    struct mono_time since; /* of the wait */
    uint64_t generation;    /* of the set that renew_get returned last */
    int64_t offset_s;       /* of the clock at that time */
};

/* The time by AWS's clock, as far as is known. */
struct wall_time renew_now(const struct renew *renew);
/* The set to sign with, lent until the next call; NULL if there is none. now: by AWS's clock. */
const struct credentials *renew_get(struct renew *renew, struct wall_time now);

/* Returns true if a set is being fetched: on_end will fire. */
MUST_USE bool renew_wait(struct renew *renew);
/* Ends a wait without on_end. No-op if none is pending. */
void renew_cancel(struct renew *renew);

enum renew_result {
    RENEW_NOTHING, /* signing again would not help */
    RENEW_AGAIN,   /* sign again now */
    RENEW_WAITING, /* on_end will fire; then renew_has_changed tells */
};
/* AWS rejected the last signature. class: RETRY_CREDENTIALS or RETRY_CLOCK. date: the response's,
 * us 0 if it has none. */
MUST_USE enum renew_result renew_after_refusal(struct renew *renew, enum retry_class class,
                                               struct wall_time date);
/* Returns true if there is another set than the one that signed last. */
bool renew_has_changed(struct renew *renew);

/* Drops the clock's offset if a response's Date, sent over TLS, shows that it is no longer true. */
void renew_check_clock(struct renew *renew, struct wall_time date);

#endif
