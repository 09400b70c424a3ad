/* Credentials for an exchange: waiting for those that are being fetched, and one more attempt where AWS refused the set as
 * expired or the signature for its time. It knows neither sources nor how an answer is passed on. */
#ifndef SAGEGATE_GATEWAY_RENEW_H
#define SAGEGATE_GATEWAY_RENEW_H

#include "credentials/keeper.h"

struct exchange;

/* All zero: idle. */
struct renewal {
    struct keeper_waiter waiter;
    struct timer limit;                /* credentials.wait */
    struct mono_time since;            /* waiting; us 0: not */
    uint64_t generation;               /* of the set that signed last */
    int64_t offset_s;                  /* of the clock by which it signed */
    void (*then)(struct exchange *ex); /* after the wait, however it ended */
    bool done;                         /* one more attempt has been granted */
};

/* The set to sign with, lent; NULL where there is none. now: by AWS's clock. */
const struct credentials *renew_get(struct exchange *ex, struct wall_time now);
/* The time by AWS's clock, as far as is known. */
struct wall_time renew_now(const struct exchange *ex);

/* No set can be used yet, but one is being fetched: true, and `then` is called from the loop's turn, once, when that has
 * ended or credentials.wait is over. */
MUST_USE bool renew_wait(struct exchange *ex, void (*then)(struct exchange *ex));

enum renew_result {
    RENEW_NOTHING, /* signing again would not help, or has been tried */
    RENEW_AGAIN,   /* sign again now */
    RENEW_WAITING, /* `then` is called; after it renew_has_changed tells */
};
/* After the verdict on a whole error answer. */
MUST_USE enum renew_result renew_after_refusal(struct exchange *ex,
                                               void (*then)(struct exchange *ex));
/* There is another set than the one that was refused. */
bool renew_has_changed(struct exchange *ex);

/* An answer has come: an offset of the clock that is no longer true is dropped. */
void renew_check_clock(struct exchange *ex);

/* `then` will not be called. */
void renew_cancel(struct exchange *ex);

#endif
