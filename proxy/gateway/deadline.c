/* Which limit in time holds for an exchange just now. */
#include "gateway/deadline.h"

/* What the upstream is waited for. */
static struct mono_time upstream_limit(const struct exchange *ex, enum outcome *outcome)
{
    const struct config_timeouts *timeouts = &ex->plan.match.route->timeouts;
    const struct upstream_request *upstream = &ex->upstream;
    switch (upstream->phase) {
    case UPSTREAM_CONNECTING:
        *outcome = OUTCOME_CONNECT_TIMEOUT;
        return clock_after_ms(upstream->started, timeouts->connect_ms);
    case UPSTREAM_SENDING:
        *outcome = OUTCOME_SEND_FAILED;
        return clock_after_ms(upstream->progress, timeouts->idle_ms);
    case UPSTREAM_WAITING:
        *outcome = OUTCOME_FIRST_BYTE_TIMEOUT;
        return clock_after_ms(upstream->sent, timeouts->first_byte_ms);
    case UPSTREAM_RECEIVING:
        *outcome = upstream->has_head ? OUTCOME_STREAM_STALLED : OUTCOME_FIRST_BYTE_TIMEOUT;
        return upstream->has_head ? clock_after_ms(upstream->progress, timeouts->idle_ms)
                                  : clock_after_ms(upstream->first_byte, timeouts->first_byte_ms);
    case UPSTREAM_IDLE:
    case UPSTREAM_READY:
        break;
    }
    *outcome = ex->state == EXCHANGE_BODY ? OUTCOME_BODY_TIMEOUT : OUTCOME_DEADLINE;
    return clock_after_ms(ex->opened, timeouts->total_ms);
}

struct mono_time deadline_of(const struct exchange *ex, enum outcome *outcome)
{
    const struct config_route *route = ex->plan.match.route;
    int64_t idle_ms =
        route != NULL ? route->timeouts.idle_ms : exchange_config(ex)->limits.head_timeout_ms;
    /* A caller that does not take its answer is the one that is waited for; total ends that too, but for an error, which
     * may be what came of total. */
    bool caller_is_slow = ex->state == EXCHANGE_STREAMING &&
                          writer_held(&ex->downstream->writer) >= WRITER_LOW_WATERMARK;
    if (ex->state == EXCHANGE_ANSWERED || caller_is_slow) {
        struct mono_time idle = clock_after_ms(ex->reply_progress, idle_ms);
        bool is_last = route == NULL || ex->outcome != OUTCOME_OK ||
                       idle.us < clock_after_ms(ex->opened, route->timeouts.total_ms).us;
        *outcome = is_last ? OUTCOME_CLIENT_GONE : OUTCOME_DEADLINE;
        return is_last ? idle : clock_after_ms(ex->opened, route->timeouts.total_ms);
    }
    CHECK(route != NULL); /* without one there is an answer already */
    struct mono_time limit = upstream_limit(ex, outcome);
    if (ex->state == EXCHANGE_QUEUED) {
        *outcome = OUTCOME_BUSY;
        limit = clock_after_ms(ex->queued_at, route->wait_for_ms);
    }
    struct mono_time total = clock_after_ms(ex->opened, route->timeouts.total_ms);
    if (limit.us <= total.us)
        return limit;
    *outcome = OUTCOME_DEADLINE;
    return total;
}
