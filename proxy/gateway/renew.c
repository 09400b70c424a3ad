/* Waiting for credentials, and what makes a second signature worth while. */
#include "gateway/renew.h"

#include "aws/aws_error.h"
#include "gateway/exchange.h"
#include "gateway/signature_diff.h"
#include "observe/log.h"

static struct keeper_view *view_of(struct exchange *ex)
{
    return &ex->use->credentials[ex->plan.match.route->identity];
}

static struct skew *skew_of(const struct exchange *ex)
{
    return &ex->worker->gateway->skew;
}

struct wall_time renew_now(const struct exchange *ex)
{
    return skew_correct(skew_of(ex), clock_wall());
}

const struct credentials *renew_get(struct exchange *ex, struct wall_time now)
{
    size_t identity = ex->plan.match.route->identity;
    const struct credentials *credentials = keeper_view_get(view_of(ex), now);
    if (credentials == NULL)
        return NULL;
    ex->renewal.generation = credentials->generation;
    ex->renewal.offset_s = skew_offset_s(skew_of(ex));
    ex->identity =
        identity == 0 ? credentials->source : exchange_config(ex)->identities[identity].name;
    return credentials;
}

/* ---- waiting ---- */

static void go_on(struct exchange *ex)
{
    ex->credentials_us += clock_us_between(ex->renewal.since, ex->worker->loop->now);
    renew_cancel(ex);
    ex->renewal.then(ex);
}

static void on_wake(struct keeper_waiter *waiter)
{
    go_on(H2O_STRUCT_FROM_MEMBER(struct exchange, renewal.waiter, waiter));
}

static void on_limit(struct timer *timer)
{
    go_on(H2O_STRUCT_FROM_MEMBER(struct exchange, renewal.limit, timer));
}

bool renew_wait(struct exchange *ex, void (*then)(struct exchange *ex))
{
    struct renewal *renewal = &ex->renewal;
    struct loop *loop = ex->worker->loop;
    int64_t wait_ms = exchange_config(ex)->credentials.wait_ms;
    renewal->waiter.wake = on_wake;
    renewal->limit.fire = on_limit;
    if (wait_ms == 0 || !keeper_view_wait(view_of(ex), &renewal->waiter))
        return false;
    renewal->then = then;
    renewal->since = loop->now;
    loop_set_timer(loop, &renewal->limit, clock_after_ms(loop->now, wait_ms));
    return true;
}

void renew_cancel(struct exchange *ex)
{
    keeper_view_cancel(&ex->renewal.waiter);
    loop_cancel_timer(ex->worker->loop, &ex->renewal.limit);
    ex->renewal.since.us = 0;
}

/* ---- after a refusal ---- */

bool renew_has_changed(struct exchange *ex)
{
    const struct credentials *credentials = keeper_view_get(view_of(ex), renew_now(ex));
    return credentials != NULL && credentials->generation != ex->renewal.generation;
}

/* Another offset than the one that was signed by: just learned from this answer, or meanwhile from another. Only TLS proves
 * that the Date is the upstream's. */
static bool learns_clock(struct exchange *ex)
{
    if (!ex->verdict.suspects_clock || !ex->plan.match.route->upstream->url.tls)
        return false;
    if (!skew_learn(skew_of(ex), ex->response.date, clock_wall()))
        return skew_offset_s(skew_of(ex)) != ex->renewal.offset_s;
    log_write(LOG_WARNING, "clock",
              "AWS refused a signature for its time: this machine's clock is %lld s off AWS's; "
              "signing by AWS's time until the clock is mended",
              (long long)-skew_offset_s(skew_of(ex)));
    return true;
}

static enum renew_result try_again(struct exchange *ex, void (*then)(struct exchange *ex))
{
    struct renewal *renewal = &ex->renewal;
    if (renewal->done || ex->attempts == 0 || ex->attempts >= EXCHANGE_ATTEMPTS_MAX)
        return RENEW_NOTHING;
    if (learns_clock(ex)) {
        renewal->done = true;
        return RENEW_AGAIN;
    }
    if (!ex->verdict.refresh_credentials || !keeper_view_refuse(view_of(ex), renewal->generation))
        return RENEW_NOTHING;
    renewal->done = true;
    if (renew_has_changed(ex))
        return RENEW_AGAIN;
    if (renew_wait(ex, then))
        return RENEW_WAITING;
    return renew_has_changed(ex) ? RENEW_AGAIN : RENEW_NOTHING; /* it may have ended just now */
}

/* Nothing can be done about it here: someone has to know why. */
static void tell_cause(struct exchange *ex)
{
    struct aws_error error;
    aws_error_parse(ex->response.error_type, buffer_span(&ex->held), &ex->arena, &error);
    struct span cause =
        signature_diff(ex->upstream_head, ex->body.digest, error.message, &ex->arena);
    log_write(LOG_WARNING, "signature", "%.*s: AWS refused the signature (%.*s): %.*s",
              SPAN_ARG(ex->plan.match.route->name), SPAN_ARG(error.code), SPAN_ARG(cause));
}

enum renew_result renew_after_refusal(struct exchange *ex, void (*then)(struct exchange *ex))
{
    bool by_signature = ex->verdict.suspects_clock || ex->verdict.refresh_credentials;
    enum renew_result result = by_signature ? try_again(ex, then) : RENEW_NOTHING;
    if (by_signature && result == RENEW_NOTHING)
        tell_cause(ex);
    return result;
}

void renew_check_clock(struct exchange *ex)
{
    if (skew_offset_s(skew_of(ex)) == 0 || !ex->plan.match.route->upstream->url.tls ||
        !skew_check(skew_of(ex), ex->response.date, clock_wall()))
        return;
    log_write(LOG_INFO, "clock", "this machine's clock agrees with AWS's again");
}
