/* Waits for credentials, and finds out whether signing again can help. */
#include "gateway/renew.h"

#include "observe/log.h"

struct wall_time renew_now(const struct renew *renew)
{
    return skew_correct(renew->skew, clock_wall());
}

const struct credentials *renew_get(struct renew *renew, struct wall_time now)
{
    const struct credentials *credentials = provider_view_get(renew->view, now);
    if (credentials == NULL)
        return NULL;
    renew->generation = credentials->generation;
    renew->offset_s = skew_offset_s(renew->skew);
    return credentials;
}

/* ---- waiting ---- */

static void end_wait(struct renew *renew)
{
    int64_t waited_us = clock_us_between(renew->since, renew->loop->now);
    renew_cancel(renew);
    renew->on_end(renew, waited_us);
}

static void on_wake(struct provider_waiter *waiter)
{
    end_wait(H2O_STRUCT_FROM_MEMBER(struct renew, waiter, waiter));
}

static void on_limit(struct timer *timer)
{
    end_wait(H2O_STRUCT_FROM_MEMBER(struct renew, limit, timer));
}

bool renew_wait(struct renew *renew)
{
    struct loop *loop = renew->loop;
    renew->waiter.wake = on_wake;
    renew->limit.fire = on_limit;
    if (renew->wait_ms == 0 || !provider_view_wait(renew->view, &renew->waiter))
        return false;
    renew->since = loop->now;
    loop_set_timer(loop, &renew->limit, clock_after_ms(loop->now, renew->wait_ms));
    return true;
}

void renew_cancel(struct renew *renew)
{
    provider_view_cancel(&renew->waiter);
    loop_cancel_timer(renew->loop, &renew->limit);
}

/* ---- after a rejection ---- */

bool renew_has_changed(struct renew *renew)
{
    const struct credentials *credentials = provider_view_get(renew->view, renew_now(renew));
    return credentials != NULL && credentials->generation != renew->generation;
}

/* Returns true if the clock's offset differs from the one used for the signature: learned from this
 * response, or meanwhile from another. */
static bool has_learned_clock(struct renew *renew, struct wall_time date)
{
    if (!skew_learn(renew->skew, date, clock_wall()))
        return skew_offset_s(renew->skew) != renew->offset_s;
    log_write(LOG_WARNING, "clock",
              "AWS rejected the signature's timestamp: this machine's clock is %lld s off; signing "
              "by AWS's time until the clock is corrected",
              (long long)-skew_offset_s(renew->skew));
    return true;
}

enum renew_result renew_after_refusal(struct renew *renew, enum retry_class class,
                                      struct wall_time date)
{
    if (class == RETRY_CLOCK)
        return has_learned_clock(renew, date) ? RENEW_AGAIN : RENEW_NOTHING;
    if (!provider_view_refuse(renew->view, renew->generation))
        return RENEW_NOTHING;
    if (renew_has_changed(renew))
        return RENEW_AGAIN;
    if (renew_wait(renew))
        return RENEW_WAITING;
    return renew_has_changed(renew) ? RENEW_AGAIN
                                    : RENEW_NOTHING; /* a fetch may have ended meanwhile */
}

void renew_check_clock(struct renew *renew, struct wall_time date)
{
    if (skew_offset_s(renew->skew) != 0 && skew_check(renew->skew, date, clock_wall()))
        log_write(LOG_INFO, "clock", "this machine's clock agrees with AWS's again");
}
