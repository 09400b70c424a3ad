/* The credentials of an attempt: returns the set to sign with, waits for one that is being fetched,
 * and after a rejected signature finds out whether other credentials or another clock offset are
 * available. Must not depend on sources or requests. */
#ifndef SAGEGATE_GATEWAY_RENEW_H
#define SAGEGATE_GATEWAY_RENEW_H

#include "credentials/provider.h"
#include "gateway/retry.h"

/* Embedded in its owner, which sets the fields down to on_end before the first call and leaves the
 * rest zero. */
struct renew {
    struct provider_view *view;
    struct skew *skew; /* of the process */
    struct loop *loop;
    int64_t wait_ms; /* credentials.wait */
    /* The wait started by renew_wait has ended, for any reason. Fires once, from the loop's
     * turn. */
    void (*on_end)(struct renew *renew, int64_t waited_us);
    struct provider_waiter waiter;
    struct timer limit;
    struct mono_time since; /* start of the wait */
    uint64_t generation;    /* of the set that renew_get returned last */
    int64_t offset_s;       /* of the clock at that time */
};

/* Returns the time by AWS's clock, as far as it is known. */
struct wall_time renew_now(const struct renew *renew);
/* Returns the set to sign with, valid until the next call; NULL if there is none. now: by AWS's
 * clock. */
const struct credentials *renew_get(struct renew *renew, struct wall_time now);

/* Waits, for wait_ms at most, for a set that is being fetched. Returns false if none is; on_end
 * does not fire then. */
MUST_USE bool renew_wait(struct renew *renew);
/* Cancels a wait without on_end. No-op if none is pending. */
void renew_cancel(struct renew *renew);

enum renew_result {
    RENEW_NOTHING, /* signing again would not help */
    RENEW_AGAIN,   /* sign again now */
    RENEW_WAITING, /* on_end will fire; then call renew_has_changed */
};
/* Finds out what to do after AWS rejected the last signature. class: RETRY_CREDENTIALS or
 * RETRY_CLOCK. date: the response's; us 0 if it has none. */
MUST_USE enum renew_result renew_after_refusal(struct renew *renew, enum retry_class class,
                                               struct wall_time date);
/* Returns whether the current set differs from the one that signed last. */
bool renew_has_changed(struct renew *renew);

/* Drops the clock's offset if a response's Date, received over TLS, shows that it is no longer
 * right. */
void renew_check_clock(struct renew *renew, struct wall_time date);

#endif
