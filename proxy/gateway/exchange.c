/* The request path: one exchange from its head to its access line, told in the order things happen. */
#include "gateway/exchange.h"

#include "gateway/call.h"
#include "gateway/deadline.h"
#include "gateway/response.h"
#include "gateway/timing.h"
#include "observe/log.h"

#include <stdlib.h>

enum { SPARE_MAX = 64, ARENA_BLOCK_SIZE = 16 * 1024 };

static void ask_admission(struct exchange *ex);
static void on_admitted(struct admission_ticket *ticket);
static bool rest_is_small(struct exchange *ex);
static void on_timer(struct timer *timer);
static void end(struct exchange *ex, enum downstream_ending ending);

void exchange_arm_by(struct exchange *ex, struct mono_time at)
{
    if (!timer_is_armed(&ex->timer) || at.us < ex->timer.at.us)
        loop_set_timer(ex->worker->loop, &ex->timer, at);
}

static struct mono_time now_of(const struct exchange *ex)
{
    return ex->worker->loop->now;
}

/* ---- step 2: open ---- */

static struct exchange *take_spare(struct worker *worker)
{
    struct exchange *ex = worker->spare_exchanges;
    if (ex != NULL) {
        worker->spare_exchanges = ex->next_spare;
        --worker->spare_count;
        return ex;
    }
    ex = calloc(1, sizeof(*ex));
    CHECK(ex != NULL);
    arena_init(&ex->arena, ARENA_BLOCK_SIZE);
    buffer_init(&ex->held, EXCHANGE_COLLECT_MAX);
    return ex;
}

static void *open_exchange(struct downstream *downstream, struct mono_time started)
{
    struct worker *worker = H2O_STRUCT_FROM_MEMBER(struct worker, downstreams, downstream->set);
    struct exchange *ex = take_spare(worker);
    /* All but the warm memory begins at zero; the parser fills the request's list of headers. */
    memset(&ex->worker, 0, sizeof(*ex) - offsetof(struct exchange, worker));
    ex->request.headers.count = 0;
    ex->request.method = ex->request.path = SPAN_NONE;
    ex->worker = worker;
    ex->use = worker->use;
    ++ex->use->exchanges;
    ex->downstream = downstream;
    ex->opened = started;
    ex->timer.fire = on_timer;
    return ex;
}

/* ---- steps 2 to 5: parse, route, fill in ---- */

/* As a model's container would be asked: nothing is called. */
static void answer_ping(struct exchange *ex)
{
    enum outcome unused;
    if (!worker_is_ready(ex->worker->gateway, ex->use->snapshot, NULL)) {
        bool draining = ex->worker->downstreams.draining;
        exchange_fail(ex, draining ? OUTCOME_DRAINING : OUTCOME_NO_CREDENTIALS, SPAN_NONE);
        return;
    }
    ex->keep_alive &= rest_is_small(ex);
    response_append_ready(ex);
    ex->state = EXCHANGE_ANSWERED;
    ex->reply_progress = now_of(ex);
    exchange_arm_by(ex, deadline_of(ex, &unused));
    exchange_flush(ex);
}

/* What the route would have added and the API has no room for. */
static void tell_dropped_append(const struct exchange *ex)
{
    for (unsigned i = 0; i != SAGEMAKER_PARAMETERS; ++i)
        if (ex->plan.fill.parameters[i].append_dropped)
            log_write(LOG_WARNING, "parameters",
                      "route %.*s: %.*s was full, the appended part is left out",
                      SPAN_ARG(ex->plan.match.route->name),
                      SPAN_ARG(sagemaker_parameter_info((enum sagemaker_parameter)i)->name));
}

static void begin_counting(struct exchange *ex)
{
    const struct snapshot *snapshot = ex->use->snapshot;
    ex->series = snapshot->series.routes[ex->plan.match.route - snapshot->config->routes];
    metrics_begin(ex->series, ex->worker->index);
}

static void take_head(void *request, struct span head)
{
    struct exchange *ex = request;
    struct worker *worker = ex->worker;
    struct span copy =
        arena_copy(&ex->arena, head); /* the connection's buffer goes on being used */
    const struct plan_input input = {
        .routes = ex->use->snapshot->routes,
        .remote = &ex->downstream->remote,
        .body_bytes_max = admission_memory_max(&worker->gateway->admission),
        .random = worker_take_random(worker),
        .now = clock_wall(),
        .arena = &ex->arena,
    };
    bool accepted = plan_take_head(&ex->plan, &input, copy, &ex->request);
    ex->request_parsed = ex->plan.parsed;
    ex->keep_alive =
        ex->plan.parsed && ex->request.keep_alive && downstream_goes_on(ex->downstream);
    if (ex->plan.match.route != NULL)
        begin_counting(ex);
    if (!accepted)
        exchange_fail(ex, ex->plan.outcome, ex->plan.message);
    else if (ex->plan.match.route->operation == CONFIG_PING)
        answer_ping(ex);
    else
        ask_admission(ex);
}

/* ---- step 6: admit ---- */

/* A slot is taken: reserves the body's memory, if its length is known. */
static enum body_result begin_body(struct exchange *ex)
{
    const struct config_route *route = ex->plan.match.route;
    struct admission *admission = &ex->worker->gateway->admission;
    uint64_t length = ex->request.framing == HTTP1_CHUNKED   ? UINT64_MAX
                      : ex->request.framing == HTTP1_NO_BODY ? 0
                                                             : ex->request.content_length;
    ex->admitted_at = now_of(ex);
    enum body_result result =
        body_begin(&ex->body, admission, &ex->arena, length, ex->plan.body_max);
    if (result != BODY_OK)
        return result;
    ex->state = EXCHANGE_BODY;
    exchange_arm_by(ex, clock_after_ms(ex->opened, route->timeouts.total_ms));
    return BODY_OK;
}

static void ask_admission(struct exchange *ex)
{
    const struct config_route *route = ex->plan.match.route;
    const struct snapshot *snapshot = ex->use->snapshot;
    struct gateway *gateway = ex->worker->gateway;
    enum outcome unused;
    if (exchange_config(ex)->access_log.refuse_on_full && gateway->access_log != NULL &&
        access_log_is_full(gateway->access_log, ex->worker->index)) {
        exchange_fail(ex, OUTCOME_BUSY,
                      SPAN("the access log is full, and access_log.on_full is refuse"));
        return;
    }
    ex->ticket.on_admitted = on_admitted;
    switch (admission_ask(&ex->ticket, &ex->worker->queue,
                          snapshot->admission_routes[route - snapshot->config->routes],
                          route->wait_for_ms != 0)) {
    case ADMISSION_NONE:
        exchange_fail(ex, OUTCOME_BUSY, SPAN_NONE);
        return;
    case ADMISSION_WAITING:
        ex->state = EXCHANGE_QUEUED;
        ex->queued_at = now_of(ex);
        exchange_arm_by(ex, deadline_of(ex, &unused));
        return;
    case ADMISSION_ADMITTED:
        break;
    }
    enum body_result result = begin_body(ex);
    if (result != BODY_OK)
        exchange_fail(ex, OUTCOME_MEMORY_FULL, SPAN_NONE);
}

static void on_admitted(struct admission_ticket *ticket)
{
    struct exchange *ex = H2O_STRUCT_FROM_MEMBER(struct exchange, ticket, ticket);
    ex->state = EXCHANGE_OPENED;
    ex->wait_us = clock_us_between(ex->queued_at, now_of(ex));
    enum body_result result = begin_body(ex);
    if (result == BODY_OK) {
        downstream_request_admitted(ex->downstream);
        return;
    }
    ex->keep_alive = false; /* its body has not been read and is not going to be */
    exchange_fail(ex, OUTCOME_MEMORY_FULL, SPAN_NONE);
}

static void refuse(void *request, enum outcome outcome, struct span message)
{
    struct exchange *ex = request;
    if (ex->state == EXCHANGE_ANSWERED) { /* already refused, for another reason */
        end(ex, DOWNSTREAM_ABORT);
        return;
    }
    ex->keep_alive = false;
    if (!ex->request_parsed)
        ids_make(&ex->plan.ids, worker_take_random(ex->worker), clock_wall(), &ex->request.headers);
    exchange_fail(ex, outcome, arena_copy(&ex->arena, message));
}

/* ---- step 7: the body ---- */

static bool wants_body(const void *request)
{
    const struct exchange *ex = request;
    return ex->state == EXCHANGE_BODY || (ex->state == EXCHANGE_ANSWERED && ex->request_parsed &&
                                          ex->keep_alive && !ex->body_ended);
}

static void take_body(void *request, struct span data)
{
    struct exchange *ex = request;
    if (ex->state != EXCHANGE_BODY)
        return;
    if (!plan_take_body(&ex->plan, data)) {
        exchange_fail(ex, ex->plan.outcome, ex->plan.message);
        return;
    }
    enum body_result result = body_append(&ex->body, data);
    if (result != BODY_OK)
        exchange_fail(ex, OUTCOME_MEMORY_FULL, SPAN_NONE);
}

static void end_body(void *request)
{
    struct exchange *ex = request;
    ex->body_ended = true;
    if (ex->state == EXCHANGE_ANSWERED) { /* refused; what was left has been dropped */
        exchange_flush(ex);
        return;
    }
    CHECK(ex->state == EXCHANGE_BODY);
    ex->arrived_at = now_of(ex);
    body_end(&ex->body);
    ex->body_ended_at = loop_read_clock(ex->worker->loop);
    if (!plan_end(&ex->plan)) {
        exchange_fail(ex, ex->plan.outcome, ex->plan.message);
        return;
    }
    tell_dropped_append(ex);
    call_start(ex);
}

/* ---- step 10: stream back ---- */

/* The one rule of back-pressure: the upstream waits while the caller has WRITER_HIGH_WATERMARK bytes still to take. */
static void balance(struct exchange *ex)
{
    size_t held = writer_held(&ex->downstream->writer);
    if (held >= WRITER_HIGH_WATERMARK)
        upstream_pause(&ex->upstream);
    if (held <= WRITER_LOW_WATERMARK)
        upstream_resume(&ex->upstream);
}

void exchange_flush(struct exchange *ex)
{
    struct writer *writer = &ex->downstream->writer;
    size_t before = writer_held(writer);
    if (!writer_flush(writer, &ex->downstream->conn)) {
        exchange_cancel(ex, OUTCOME_CLIENT_GONE);
        return;
    }
    if (writer_held(writer) != before)
        ex->reply_progress = now_of(ex);
    if (ex->state == EXCHANGE_STREAMING)
        balance(ex);
    if (ex->state != EXCHANGE_ANSWERED)
        return;
    if (writer_held(writer) != 0 || !connection_is_flushed(&ex->downstream->conn)) {
        if (ex->taking_at.us == 0)
            ex->taking_at = now_of(ex);
        return;
    }
    if (!ex->keep_alive || ex->body_ended) /* else the rest of a refused request is still to come */
        end(ex, ex->keep_alive ? DOWNSTREAM_KEEP : DOWNSTREAM_CLOSE);
}

/* A slow caller is no absent one: has it taken anything since the last look? Most of what it takes is the kernel's. */
static bool caller_reads(struct exchange *ex)
{
    int queued = connection_queued(&ex->downstream->conn);
    bool reads = ex->queued_bytes == 0 || queued < ex->queued_bytes;
    ex->queued_bytes = queued;
    if (reads)
        ex->reply_progress = now_of(ex);
    return reads;
}

static void on_timer(struct timer *timer)
{
    struct exchange *ex = H2O_STRUCT_FROM_MEMBER(struct exchange, timer, timer);
    enum outcome outcome;
    struct mono_time limit = deadline_of(ex, &outcome);
    if (limit.us > now_of(ex).us) {
        exchange_arm_by(ex, limit);
        return;
    }
    if (ex->state == EXCHANGE_QUEUED) {
        ex->wait_us = clock_us_between(ex->queued_at, now_of(ex));
        ex->keep_alive = false; /* its body has not been read and is not going to be */
    }
    if (outcome == OUTCOME_CLIENT_GONE && caller_reads(ex)) {
        exchange_arm_by(ex, deadline_of(ex, &outcome));
        return;
    }
    if (outcome == OUTCOME_CLIENT_GONE) {
        exchange_cancel(ex, outcome);
        return;
    }
    upstream_cancel(&ex->upstream);
    exchange_fail(ex, outcome, SPAN_NONE);
}

/* ---- step 11: one way out ---- */

/* Is what is left of a refused request worth reading, so that the connection lives on? What cannot be framed, or waits for
 * 100-continue, is not. */
static bool rest_is_small(struct exchange *ex)
{
    const struct http1_request *request = &ex->request;
    if (!ex->request_parsed || request->expect_continue)
        return false;
    if (request->framing == HTTP1_NO_BODY)
        return true;
    return request->framing == HTTP1_LENGTH && request->content_length <= DOWNSTREAM_DISCARD_MAX;
}

void exchange_fail(struct exchange *ex, enum outcome outcome, struct span message)
{
    if (ex->state == EXCHANGE_QUEUED)
        admission_leave(&ex->ticket);
    const struct outcome_info *info = outcome_info(outcome);
    struct writer *writer = &ex->downstream->writer;
    ex->outcome = outcome;
    ex->judged = false;
    if (writer->head_sent || info->status == 0) {
        /* What came is still the caller's; that it was cut is seen by the framing. */
        if (writer->head_sent)
            response_append_stream_error(ex, message.len != 0 ? message : info->text);
        if (!writer_flush(writer, &ex->downstream->conn))
            log_write(LOG_DEBUG, "listener", "the caller is gone as well");
        end(ex, DOWNSTREAM_ABORT);
        return;
    }
    writer_discard(writer);
    body_release(&ex->body); /* nobody needs it any more, and the caller may take long */
    ex->keep_alive &= ex->body_ended || rest_is_small(ex);
    response_append_error(ex, info->status, message.len != 0 ? message : info->text,
                          info->retry_after_s, false);
    ex->state = EXCHANGE_ANSWERED;
    ex->reply_progress = now_of(ex);
    enum outcome unused;
    exchange_arm_by(ex, deadline_of(ex, &unused));
    exchange_flush(ex);
}

void exchange_cancel(struct exchange *ex, enum outcome outcome)
{
    upstream_cancel(&ex->upstream);
    if (ex->state != EXCHANGE_ANSWERED || ex->outcome == OUTCOME_OK)
        ex->outcome = outcome;
    end(ex, DOWNSTREAM_ABORT);
}

static void cut(void *request)
{
    struct exchange *ex = request;
    upstream_cancel(&ex->upstream);
    if (ex->state == EXCHANGE_ANSWERED) {
        exchange_cancel(ex, OUTCOME_DRAIN_CUT);
        return;
    }
    ex->keep_alive = false;
    exchange_fail(ex, OUTCOME_DRAIN_CUT, SPAN_NONE);
}

void exchange_wipe_head(struct exchange *ex)
{
    if (ex->upstream_head.at != NULL)
        secret_wipe((char *)ex->upstream_head.at, ex->upstream_head.len);
    ex->upstream_head = SPAN_NONE;
}

/* Gives back what the request took; its memory stays warm for the next one. */
static void dispose(struct exchange *ex)
{
    struct worker *worker = ex->worker;
    loop_cancel_timer(worker->loop, &ex->timer);
    renew_cancel(ex);
    exchange_wipe_head(ex);
    stream_dispose(&ex->stream);
    if (ex->held_reserved)
        admission_release_memory(&worker->gateway->admission, EXCHANGE_COLLECT_MAX);
    body_release(&ex->body);
    admission_leave(&ex->ticket);
    --ex->use->exchanges;
    buffer_dispose(&ex->held);
    arena_reset(&ex->arena);
    if (worker->spare_count == SPARE_MAX) {
        arena_dispose(&ex->arena);
        free(ex);
        return;
    }
    ex->next_spare = worker->spare_exchanges;
    worker->spare_exchanges = ex;
    ++worker->spare_count;
}

static void end(struct exchange *ex, enum downstream_ending ending)
{
    struct downstream *downstream = ex->downstream;
    CHECK(ex->upstream.phase == UPSTREAM_IDLE);
    loop_read_clock(ex->worker->loop);
    timing_end(ex);
    dispose(ex);
    downstream_end_request(downstream, ending);
}

/* ---- what the connection calls ---- */

static void flush(void *request)
{
    exchange_flush(request);
}

static void cancel(void *request, enum outcome outcome)
{
    exchange_cancel(request, outcome);
}

static void make_last(void *request)
{
    ((struct exchange *)request)->keep_alive = false;
}

/* With `auto` only a caller that asked for the connection to close shuts its sending side and still waits. */
static bool may_finish(const struct exchange *ex)
{
    enum config_half_close rule =
        ex->plan.match.route == NULL ? CONFIG_HALF_CLOSE_AUTO : ex->plan.match.route->on_half_close;
    return rule == CONFIG_HALF_CLOSE_AUTO ? !ex->request.keep_alive
                                          : rule == CONFIG_HALF_CLOSE_FINISH;
}

static struct downstream_facts look(const void *request)
{
    const struct exchange *ex = request;
    if (!ex->request_parsed)
        return (struct downstream_facts){.has_head = false};
    return (struct downstream_facts){
        .has_head = true,
        .framing = ex->request.framing,
        .content_length = ex->request.content_length,
        .invites_body = ex->request.expect_continue && ex->state == EXCHANGE_BODY,
        .waits = ex->state == EXCHANGE_QUEUED,
        .may_finish = may_finish(ex),
    };
}

const struct downstream_service exchange_service = {
    .open = open_exchange,
    .take_head = take_head,
    .wants_body = wants_body,
    .take_body = take_body,
    .end_body = end_body,
    .refuse = refuse,
    .flush = flush,
    .cancel = cancel,
    .cut = cut,
    .make_last = make_last,
    .look = look,
};

void exchange_destroy_spares(struct worker *worker)
{
    while (worker->spare_exchanges != NULL) {
        struct exchange *ex = worker->spare_exchanges;
        worker->spare_exchanges = ex->next_spare;
        arena_dispose(&ex->arena);
        free(ex);
    }
    worker->spare_count = 0;
}
