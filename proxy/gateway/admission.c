/* Admission, step 6: the limits on concurrency and memory, and waiting for them in order of coming. */
#include "gateway/admission.h"

#include "gateway/deadline.h"

static struct admit_route *counters_of(const struct exchange *ex)
{
    const struct snapshot *snapshot = ex->use->snapshot;
    return snapshot->admit_routes[ex->plan.match.route - snapshot->config->routes];
}

/* ---- waiting ---- */

static void enqueue(struct exchange *ex)
{
    struct exchange **at = &ex->worker->waiting;
    while (*at != NULL)
        at = &(*at)->next_waiting;
    *at = ex;
    ex->state = EXCHANGE_QUEUED;
    ex->queued_at = ex->worker->loop->now;
    atomic_fetch_add(&ex->worker->gateway->admit.waiting, 1);
    enum outcome unused;
    exchange_arm_by(ex, deadline_of(ex, &unused));
}

/* Nobody overtakes those of the same route who came before. */
static bool others_wait(const struct exchange *ex)
{
    for (const struct exchange *at = ex->worker->waiting; at != NULL; at = at->next_waiting)
        if (counters_of(at) == counters_of(ex))
            return true;
    return false;
}

void admission_leave(struct exchange *ex)
{
    struct exchange **at = &ex->worker->waiting;
    if (ex->state != EXCHANGE_QUEUED)
        return;
    while (*at != ex)
        at = &(*at)->next_waiting;
    *at = ex->next_waiting;
    ex->state = EXCHANGE_OPENED;
    atomic_fetch_sub(&ex->worker->gateway->admit.waiting, 1);
}

/* ---- past the limits on concurrency ---- */

/* The bytes are reserved; then the body may come. */
static enum body_result begin_body(struct exchange *ex)
{
    const struct config_route *route = ex->plan.match.route;
    struct admit *admit = &ex->worker->gateway->admit;
    uint64_t length = ex->request.framing == HTTP1_CHUNKED   ? UINT64_MAX
                      : ex->request.framing == HTTP1_NO_BODY ? 0
                                                             : ex->request.content_length;
    ex->admitted = true;
    ex->admitted_at = ex->worker->loop->now;
    enum body_result result = body_begin(&ex->body, admit, &ex->arena, length, ex->plan.body_max);
    if (result != BODY_OK)
        return result;
    ex->state = EXCHANGE_BODY;
    exchange_arm_by(ex, clock_after_ms(ex->opened, route->timeouts.total_ms));
    return BODY_OK;
}

void admission_fail_body(struct exchange *ex, enum body_result result)
{
    CHECK(result == BODY_MEMORY_FULL); /* the plan has checked the size */
    exchange_fail(ex, OUTCOME_MEMORY_FULL, SPAN_NONE);
}

/* ---- asking ---- */

void admission_ask(struct exchange *ex)
{
    const struct config_route *route = ex->plan.match.route;
    struct gateway *gateway = ex->worker->gateway;
    if (exchange_config(ex)->access_log.refuse_on_full && gateway->access_log != NULL &&
        access_log_is_full(gateway->access_log, ex->worker->index)) {
        exchange_fail(ex, OUTCOME_BUSY,
                      SPAN("the access log is full, and access_log.on_full is refuse"));
        return;
    }
    if (!others_wait(ex) && admit_exchange(&gateway->admit, counters_of(ex))) {
        enum body_result result = begin_body(ex);
        if (result != BODY_OK)
            admission_fail_body(ex, result);
        return;
    }
    if (route->wait_for_ms == 0)
        exchange_fail(ex, OUTCOME_BUSY, SPAN_NONE);
    else
        enqueue(ex);
}

void admission_ask_again(struct worker *worker)
{
    for (struct exchange *ex = worker->waiting, *next; ex != NULL; ex = next) {
        next = ex->next_waiting;
        if (!admit_exchange(&worker->gateway->admit, counters_of(ex)))
            continue; /* another route may have room */
        admission_leave(ex);
        ex->wait_us = clock_us_between(ex->queued_at, ex->worker->loop->now);
        enum body_result result = begin_body(ex);
        if (result == BODY_OK) {
            downstream_request_admitted(ex->downstream);
            continue;
        }
        ex->keep_alive = false; /* its body has not been read and is not going to be */
        admission_fail_body(ex, result);
    }
}

void admission_release(struct exchange *ex)
{
    if (!ex->admitted)
        return;
    admit_release_exchange(&ex->worker->gateway->admit, counters_of(ex));
    worker_wake_waiting(ex->worker);
}
