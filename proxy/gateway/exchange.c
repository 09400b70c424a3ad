/* The request path: one exchange from its head to its access line, in the order in which things
 * happen. */
#include "gateway/exchange.h"

#include "gateway/attempt.h"
#include "gateway/plan.h"
#include "gateway/response.h"
#include "observe/log.h"

#include <stdlib.h>

enum { SPARE_MAX = 64, ARENA_BLOCK_SIZE = 16 * 1024 };

/* ---- states ---- */

enum exchange_state {
    EXCHANGE_OPENED,     /* its head is being read */
    EXCHANGE_QUEUED,     /* waits for a slot */
    EXCHANGE_BODY,       /* admitted; receives its body */
    EXCHANGE_ATTEMPTING, /* being sent upstream; no head of a response yet */
    EXCHANGE_HOLDING,    /* the response is held until it can be judged or is complete */
    EXCHANGE_RENEWING,   /* AWS rejected the signature: waits for other credentials */
    EXCHANGE_STREAMING,  /* the response is passed on as it arrives */
    EXCHANGE_RESPONDED,  /* the whole response is appended; the caller has not read all of it */
};

struct exchange {
    struct exchange *next_spare;
    struct arena arena;
    struct http1_request request; /* complete if plan.parsed; else as far as read */
    /* Everything below is zero when the exchange opens. */
    struct worker *worker;
    struct snapshot_use *use; /* of the snapshot in which it begins and ends */
    struct downstream *downstream;
    enum exchange_state state;
    enum outcome outcome;
    struct timer timer; /* due at deadline_of, or earlier */
    struct plan plan;   /* plan.ids is set even if no head could be read */
    struct admission_ticket ticket;
    struct body body;
    bool body_ended; /* its last byte was read */
    bool renewed;    /* an attempt has been, or will be, signed again after a rejection */
    struct attempt attempt;
    struct response response;
    struct timing timing;
    struct {
        struct mono_time progress; /* when it last read part of the response */
        int queued_bytes;          /* in the kernel at the last check; 0: not checked yet */
    } caller;
};

struct deadline {
    struct mono_time at;
    enum outcome outcome; /* the exchange's outcome if it expires */
};

static void enter_queued(struct exchange *ex);
static void enter_streaming(struct exchange *ex);
static void enter_responded(struct exchange *ex);
static struct deadline queue_deadline(const struct exchange *ex);
static struct deadline body_deadline(const struct exchange *ex);
static struct deadline attempt_deadline(const struct exchange *ex);
static struct deadline stream_deadline(const struct exchange *ex);
static struct deadline caller_deadline(const struct exchange *ex);

/* The action on entering a state, and the state's deadline. Only set_state changes the state. */
static const struct {
    void (*enter)(struct exchange *ex);
    struct deadline (*deadline)(const struct exchange *ex);
} states[] = {
    [EXCHANGE_OPENED] = {NULL, NULL}, /* left at once */
    [EXCHANGE_QUEUED] = {enter_queued, queue_deadline},
    [EXCHANGE_BODY] = {NULL, body_deadline},
    [EXCHANGE_ATTEMPTING] = {NULL, attempt_deadline},
    [EXCHANGE_HOLDING] = {NULL, attempt_deadline},
    [EXCHANGE_RENEWING] = {NULL, attempt_deadline},
    [EXCHANGE_STREAMING] = {enter_streaming, stream_deadline},
    [EXCHANGE_RESPONDED] = {enter_responded, caller_deadline},
};

/* In the order in which they are called. */
static void on_timer(struct timer *timer);
static bool begin_body(struct exchange *ex);
static void on_admitted(struct admission_ticket *ticket);
static void begin_attempt(struct exchange *ex, bool fresh_only);
static void on_advanced(struct attempt *attempt);
static void on_head(struct attempt *attempt, const struct http1_response *head);
static void on_data(struct attempt *attempt, struct span data);
static void on_flush(struct attempt *attempt);
static void on_end(struct attempt *attempt);
static void on_failed(struct attempt *attempt, const struct attempt_failure *failure);
static void on_renewed(struct attempt *attempt, bool changed);
static void judge(struct exchange *ex);
static void respond(struct exchange *ex);
static void flush(void *request);
static void fail(struct exchange *ex, enum outcome outcome, struct span message);
static void fail_upstream(struct exchange *ex, const struct attempt_failure *failure);
static void cancel(void *request, enum outcome outcome);
static void end(struct exchange *ex, enum downstream_ending ending);

static const struct attempt_callbacks attempt_callbacks = {
    on_advanced, on_head, on_data, on_flush, on_end, on_failed, on_renewed};

static struct mono_time now_of(const struct exchange *ex)
{
    return ex->worker->loop->now;
}

static const struct config_route *route_of(const struct exchange *ex)
{
    return ex->plan.match.route;
}

/* Returns NULL if it has no route. */
static const struct snapshot_route *counters_of(const struct exchange *ex)
{
    const struct snapshot *snapshot = ex->use->snapshot;
    return route_of(ex) == NULL ? NULL : &snapshot->routes[route_of(ex) - snapshot->config->routes];
}

/* Sets the timer to the state's deadline unless it is due earlier anyway. */
static void arm(struct exchange *ex)
{
    if (states[ex->state].deadline == NULL)
        return;
    struct mono_time at = states[ex->state].deadline(ex).at;
    if (attempt_is_sending(&ex->attempt)) { /* the wait for the first byte can begin at any time */
        struct mono_time look = clock_after_ms(now_of(ex), route_of(ex)->timeouts.first_byte_ms);
        at = look.us < at.us ? look : at;
    }
    if (!timer_is_armed(&ex->timer) || at.us < ex->timer.at.us)
        loop_set_timer(ex->worker->loop, &ex->timer, at);
}

static void set_state(struct exchange *ex, enum exchange_state state)
{
    if (ex->state == EXCHANGE_QUEUED)
        timing_stamp(&ex->timing, TIMING_DEQUEUED, now_of(ex));
    if (states[state].enter != NULL)
        states[state].enter(ex);
    ex->state = state;
    arm(ex);
}

static void enter_queued(struct exchange *ex)
{
    timing_stamp(&ex->timing, TIMING_QUEUED, now_of(ex));
}

static void enter_streaming(struct exchange *ex)
{
    ex->caller.progress = now_of(ex);
}

/* Releases everything that is not needed while the caller reads the response. */
static void enter_responded(struct exchange *ex)
{
    if (ex->ticket.state == ADMISSION_WAITING)
        admission_leave(&ex->ticket);
    if (ex->state != EXCHANGE_STREAMING)
        ex->caller.progress = now_of(ex);
    attempt_cancel(&ex->attempt);
    body_release(&ex->body);
}

/* ---- deadlines ---- */

/* Returns the limit, or timeouts.total if that is earlier. limit.at.us 0: no limit. */
static struct deadline within_total(const struct exchange *ex, struct deadline limit)
{
    struct mono_time total =
        clock_after_ms(ex->timing.at[TIMING_OPENED], route_of(ex)->timeouts.total_ms);
    if (limit.at.us != 0 && limit.at.us <= total.us)
        return limit;
    return (struct deadline){total, OUTCOME_DEADLINE};
}

static struct deadline queue_deadline(const struct exchange *ex)
{
    struct mono_time queued = ex->timing.at[TIMING_QUEUED];
    return within_total(
        ex, (struct deadline){clock_after_ms(queued, route_of(ex)->wait_for_ms), OUTCOME_BUSY});
}

/* The connection limits the time without progress (limits.body_timeout). */
static struct deadline body_deadline(const struct exchange *ex)
{
    struct deadline total = within_total(ex, (struct deadline){{0}, OUTCOME_OK});
    return (struct deadline){total.at, OUTCOME_BODY_TIMEOUT};
}

static struct deadline attempt_deadline(const struct exchange *ex)
{
    struct deadline limit = {{0}, OUTCOME_OK};
    limit.at = attempt_limit(&ex->attempt, &limit.outcome);
    return within_total(ex, limit);
}

/* Applies the caller's deadline while a lot of the response waits for it, else the upstream's. */
static struct deadline stream_deadline(const struct exchange *ex)
{
    bool caller_is_slow = writer_held(&ex->downstream->writer) >= WRITER_LOW_WATERMARK;
    return caller_is_slow ? caller_deadline(ex) : attempt_deadline(ex);
}

/* timeouts.total applies too, except after an error, which that timeout may have caused. */
static struct deadline caller_deadline(const struct exchange *ex)
{
    const struct config_route *route = route_of(ex);
    int64_t idle_ms =
        route != NULL ? route->timeouts.idle_ms : ex->use->snapshot->config->limits.head_timeout_ms;
    struct deadline idle = {clock_after_ms(ex->caller.progress, idle_ms), OUTCOME_CLIENT_GONE};
    return route == NULL || ex->outcome != OUTCOME_OK ? idle : within_total(ex, idle);
}

/* Returns whether the caller has read anything since the last check. Most of what it has not read
 * is in the kernel. */
static bool caller_reads(struct exchange *ex)
{
    int queued = connection_queued(&ex->downstream->conn);
    bool reads = ex->caller.queued_bytes == 0 || queued < ex->caller.queued_bytes;
    ex->caller.queued_bytes = queued;
    if (reads)
        ex->caller.progress = now_of(ex);
    return reads;
}

static void on_timer(struct timer *timer)
{
    struct exchange *ex = H2O_STRUCT_FROM_MEMBER(struct exchange, timer, timer);
    struct deadline deadline = states[ex->state].deadline(ex);
    bool is_early = deadline.at.us > now_of(ex).us;
    if (is_early || (deadline.outcome == OUTCOME_CLIENT_GONE && caller_reads(ex)))
        arm(ex);
    else if (deadline.outcome == OUTCOME_CLIENT_GONE)
        cancel(ex, OUTCOME_CLIENT_GONE);
    else
        fail(ex, deadline.outcome, SPAN_NONE);
}

/* ---- 1. open ---- */

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
    return ex;
}

static void *open_exchange(struct downstream *downstream, struct mono_time started)
{
    struct worker *worker = H2O_STRUCT_FROM_MEMBER(struct worker, downstreams, downstream->set);
    struct exchange *ex = take_spare(worker);
    /* Keeps the arena's memory, and the list of headers, which the parser fills. */
    memset(&ex->worker, 0, sizeof(*ex) - offsetof(struct exchange, worker));
    ex->request.headers.count = 0;
    ex->request.method = ex->request.path = SPAN_NONE;
    ex->worker = worker;
    ex->use = worker->use;
    snapshot_use_begin_exchange(ex->use);
    ex->downstream = downstream;
    ex->timer.fire = on_timer;
    timing_stamp(&ex->timing, TIMING_OPENED, started);
    response_open(&ex->response, &downstream->writer, &ex->plan, &ex->timing,
                  &worker->group->admission, &ex->arena);
    return ex;
}

/* ---- 2. head: plan ---- */

/* Returns whether the rest of a rejected request is small enough to be read, to keep the
 * connection. It is not if it cannot be framed or waits for 100-continue. */
static bool rest_is_small(const struct exchange *ex)
{
    const struct http1_request *request = &ex->request;
    if (!ex->plan.parsed || request->expect_continue)
        return false;
    if (request->framing == HTTP1_NO_BODY)
        return true;
    return request->framing == HTTP1_LENGTH && request->content_length <= DOWNSTREAM_DISCARD_MAX;
}

/* Responds as a model's container would, without a call upstream. */
static void respond_to_ping(struct exchange *ex)
{
    if (!worker_is_ready(ex->worker->group, ex->use->snapshot, NULL)) {
        bool draining = ex->worker->downstreams.draining;
        fail(ex, draining ? OUTCOME_DRAINING : OUTCOME_NO_CREDENTIALS, SPAN_NONE);
        return;
    }
    response_keep_alive_if(&ex->response, rest_is_small(ex));
    response_write_ready(&ex->response);
    respond(ex);
}

static void ask_admission(struct exchange *ex)
{
    const struct snapshot *snapshot = ex->use->snapshot;
    struct access_log *log = ex->worker->group->access_log;
    if (snapshot->config->access_log.refuse_on_full && log != NULL &&
        access_log_is_full(log, ex->worker->index)) {
        fail(ex, OUTCOME_BUSY, SPAN("the access log is full (access_log.on_full: refuse)"));
        return;
    }
    enum admission_state state =
        admission_ask(&ex->ticket, &ex->worker->queue, counters_of(ex)->admission,
                      route_of(ex)->wait_for_ms != 0 ? on_admitted : NULL);
    if (state == ADMISSION_ADMITTED)
        (void)begin_body(ex);
    else if (state == ADMISSION_WAITING)
        set_state(ex, EXCHANGE_QUEUED);
    else
        fail(ex, OUTCOME_BUSY, SPAN_NONE);
}

static void take_head(void *request, struct span head)
{
    struct exchange *ex = request;
    struct worker *worker = ex->worker;
    const struct plan_input input = {
        .routes = ex->use->snapshot->table,
        .remote = &ex->downstream->remote,
        .body_bytes_max = admission_memory_max(&worker->group->admission),
        .random = worker_take_random(worker),
        .now = clock_wall(),
        .arena = &ex->arena,
    };
    /* Copied, because the connection reuses its buffer. */
    bool accepted = plan_take_head(&ex->plan, &input, arena_copy(&ex->arena, head), &ex->request);
    response_keep_alive_if(&ex->response, ex->plan.parsed && ex->request.keep_alive &&
                                              downstream_goes_on(ex->downstream));
    if (route_of(ex) != NULL)
        metrics_begin(counters_of(ex)->metrics, worker->index);
    if (!accepted)
        fail(ex, ex->plan.outcome, ex->plan.message);
    else if (route_of(ex)->operation == CONFIG_PING)
        respond_to_ping(ex);
    else
        ask_admission(ex);
}

/* Rejects a request whose head or body is incomplete or malformed. */
static void refuse(void *request, enum outcome outcome, struct span message)
{
    struct exchange *ex = request;
    if (ex->state == EXCHANGE_RESPONDED) { /* already rejected for another reason */
        end(ex, DOWNSTREAM_ABORT);
        return;
    }
    response_keep_alive_if(&ex->response, false);
    if (!ex->plan.parsed)
        plan_identify(&ex->plan, worker_take_random(ex->worker), clock_wall(), &ex->request);
    fail(ex, outcome, arena_copy(&ex->arena, message));
}

/* ---- 3. admit ---- */

static void on_admitted(struct admission_ticket *ticket)
{
    struct exchange *ex = H2O_STRUCT_FROM_MEMBER(struct exchange, ticket, ticket);
    if (begin_body(ex))
        downstream_request_admitted(ex->downstream);
}

/* Reserves memory for a body of known length. Returns false if there is none: the exchange has
 * failed then. */
static bool begin_body(struct exchange *ex)
{
    uint64_t length = ex->request.framing == HTTP1_CHUNKED   ? UINT64_MAX
                      : ex->request.framing == HTTP1_NO_BODY ? 0
                                                             : ex->request.content_length;
    timing_stamp(&ex->timing, TIMING_ADMITTED, now_of(ex));
    if (!body_begin(&ex->body, &ex->worker->group->admission, &ex->arena, length)) {
        fail(ex, OUTCOME_MEMORY_FULL, SPAN_NONE);
        return false;
    }
    set_state(ex, EXCHANGE_BODY);
    return true;
}

/* ---- 4. body ---- */

static bool wants_body(const void *request)
{
    const struct exchange *ex = request;
    return ex->state == EXCHANGE_BODY || (ex->state == EXCHANGE_RESPONDED && ex->plan.parsed &&
                                          ex->response.keep_alive && !ex->body_ended);
}

static void take_body(void *request, struct span data)
{
    struct exchange *ex = request;
    if (ex->state != EXCHANGE_BODY)
        return; /* the rest of a rejected request */
    if (!plan_take_body(&ex->plan, data))
        fail(ex, ex->plan.outcome, ex->plan.message);
    else if (!body_append(&ex->body, data))
        fail(ex, OUTCOME_MEMORY_FULL, SPAN_NONE);
}

/* Logs parameters to which the route's append could not be added for lack of room. */
static void log_dropped_append(const struct exchange *ex)
{
    for (unsigned i = 0; i != SAGEMAKER_PARAMETERS; ++i)
        if (ex->plan.fill.parameters[i].append_dropped)
            log_write(LOG_WARNING, "parameters",
                      "route %.*s: %.*s would exceed its maximum length; append omitted",
                      SPAN_ARG(route_of(ex)->name),
                      SPAN_ARG(sagemaker_parameter_info((enum sagemaker_parameter)i)->name));
}

static void end_body(void *request)
{
    struct exchange *ex = request;
    ex->body_ended = true;
    if (ex->state == EXCHANGE_RESPONDED) { /* rejected; the rest has been discarded */
        flush(ex);
        return;
    }
    CHECK(ex->state == EXCHANGE_BODY);
    timing_stamp(&ex->timing, TIMING_ARRIVED, now_of(ex));
    body_end(&ex->body);
    timing_end_body(&ex->timing, loop_read_clock(ex->worker->loop), ex->body.hash_us);
    if (!plan_end(&ex->plan)) {
        fail(ex, ex->plan.outcome, ex->plan.message);
        return;
    }
    log_dropped_append(ex);
    begin_attempt(ex, false);
}

/* ---- 5. attempt ---- */

static struct exchange *of_attempt(struct attempt *attempt)
{
    return H2O_STRUCT_FROM_MEMBER(struct exchange, attempt, attempt);
}

static void begin_attempt(struct exchange *ex, bool fresh_only)
{
    const struct attempt_options options = {
        .callbacks = &attempt_callbacks,
        .worker = ex->worker,
        .use = ex->use,
        .plan = &ex->plan,
        .body = &ex->body,
        .timing = &ex->timing,
        .arena = &ex->arena,
        .fresh_only = fresh_only,
    };
    if (attempt_start(&ex->attempt, &options))
        set_state(ex, EXCHANGE_ATTEMPTING);
    else
        fail(ex, OUTCOME_NO_CREDENTIALS, SPAN_NONE);
}

static void on_advanced(struct attempt *attempt)
{
    arm(of_attempt(attempt));
}

static enum retry_decision decide(const struct exchange *ex, enum retry_class class)
{
    const struct retry_plan plan = {.tls = route_of(ex)->upstream->url.tls};
    const struct retry_history history = {ex->timing.attempts, ex->renewed};
    return retry_decide(class, &plan, &history);
}

static void on_failed(struct attempt *attempt, const struct attempt_failure *failure)
{
    struct exchange *ex = of_attempt(attempt);
    if (decide(ex, failure->class) == RETRY_AGAIN)
        begin_attempt(ex, true);
    else
        fail_upstream(ex, failure);
}

/* ---- 6. response: hold, judge, pass on ---- */

static void follow(struct exchange *ex, enum response_next next)
{
    switch (next) {
    case RESPONSE_GOES_ON:
        if (ex->state != EXCHANGE_STREAMING && ex->response.state == RESPONSE_PASSING)
            set_state(ex, EXCHANGE_STREAMING);
        if (ex->state == EXCHANGE_STREAMING)
            flush(ex);
        return;
    case RESPONSE_ENDS:
        respond(ex);
        return;
    case RESPONSE_JUDGE:
        judge(ex);
        return;
    case RESPONSE_FAILS:
        fail_upstream(ex, NULL);
        return;
    }
}

static void on_head(struct attempt *attempt, const struct http1_response *head)
{
    struct exchange *ex = of_attempt(attempt);
    response_take_head(&ex->response, head);
    if (attempt_has_sent(attempt) && head->status < 400)
        body_release(&ex->body); /* neither this attempt nor another one needs it */
    set_state(ex, ex->response.state == RESPONSE_PASSING ? EXCHANGE_STREAMING : EXCHANGE_HOLDING);
}

static void on_data(struct attempt *attempt, struct span data)
{
    response_take_data(&of_attempt(attempt)->response, data);
}

static void on_flush(struct attempt *attempt)
{
    struct exchange *ex = of_attempt(attempt);
    follow(ex, response_check(&ex->response));
}

static void on_end(struct attempt *attempt)
{
    struct exchange *ex = of_attempt(attempt);
    enum response_next next = response_end(&ex->response);
    if (ex->response.stream.end == STREAM_EXCEPTION)
        ex->outcome = OUTCOME_STREAM_ERROR; /* passed on in a raw stream */
    follow(ex, next);
}

/* Starts another attempt, signed anew. No part of the response may have been passed on. */
static void attempt_again(struct exchange *ex)
{
    response_drop(&ex->response);
    ex->outcome = OUTCOME_OK;
    begin_attempt(ex, false);
}

static void pass_error(struct exchange *ex)
{
    if (attempt_has_sent(&ex->attempt))
        body_release(&ex->body);
    follow(ex, response_pass_error(&ex->response));
}

/* Handles a rejected signature. Returns true if another attempt starts, or may start after a
 * wait. */
static bool renew(struct exchange *ex, enum retry_class class)
{
    const struct response *response = &ex->response;
    enum renew_result result = RENEW_NOTHING;
    if (decide(ex, class) == RETRY_RENEW)
        result = attempt_renew(&ex->attempt, class);
    ex->renewed |= result != RENEW_NOTHING;
    switch (result) {
    case RENEW_AGAIN:
        attempt_again(ex);
        return true;
    case RENEW_WAITING:
        set_state(ex, EXCHANGE_RENEWING);
        return true;
    case RENEW_NOTHING:
        break;
    }
    attempt_explain_refusal(&ex->attempt, response_header(response, SPAN("x-amzn-errortype")),
                            buffer_span(&response->held));
    return false;
}

static void judge(struct exchange *ex)
{
    const struct judge_verdict *verdict = response_judge(&ex->response);
    ex->outcome = verdict->outcome;
    if (verdict->class != RETRY_NONE && ex->response.has_ended && renew(ex, verdict->class))
        return;
    pass_error(ex);
}

static void on_renewed(struct attempt *attempt, bool changed)
{
    if (changed)
        attempt_again(of_attempt(attempt));
    else
        pass_error(of_attempt(attempt));
}

static void respond(struct exchange *ex)
{
    set_state(ex, EXCHANGE_RESPONDED);
    flush(ex);
}

/* ---- 7. stream back ---- */

/* The rule of back-pressure: pauses the upstream while WRITER_HIGH_WATERMARK bytes wait for the
 * caller, until WRITER_LOW_WATERMARK is reached. */
static void balance(struct exchange *ex)
{
    size_t held = writer_held(&ex->downstream->writer);
    if (held >= WRITER_HIGH_WATERMARK)
        attempt_pause(&ex->attempt);
    if (held <= WRITER_LOW_WATERMARK)
        attempt_resume(&ex->attempt);
}

static void flush(void *request)
{
    struct exchange *ex = request;
    struct writer *writer = &ex->downstream->writer;
    size_t before = writer_held(writer);
    if (!writer_flush(writer, &ex->downstream->conn)) {
        cancel(ex, OUTCOME_CLIENT_GONE);
        return;
    }
    if (writer_held(writer) != before)
        ex->caller.progress = now_of(ex);
    if (ex->state == EXCHANGE_STREAMING)
        balance(ex);
    if (ex->state != EXCHANGE_RESPONDED)
        return;
    bool keep_alive = ex->response.keep_alive;
    if (writer_held(writer) != 0 || !connection_is_flushed(&ex->downstream->conn))
        timing_stamp(&ex->timing, TIMING_HELD, now_of(ex));
    else if (!keep_alive || ex->body_ended) /* otherwise waits for the rest of a rejected request */
        end(ex, keep_alive ? DOWNSTREAM_KEEP : DOWNSTREAM_CLOSE);
}

/* ---- failures ---- */

static void fail_with(struct exchange *ex, struct response_error error)
{
    struct response *response = &ex->response;
    attempt_cancel(&ex->attempt);
    ex->outcome = error.outcome;
    /* The body of a queued request is no longer read. */
    response_keep_alive_if(response,
                           ex->body_ended || (rest_is_small(ex) && ex->state != EXCHANGE_QUEUED));
    if (response_fail(response, &error)) {
        respond(ex);
        return;
    }
    /* Send what is appended; the framing shows that the response is truncated. */
    if (!writer_flush(&ex->downstream->writer, &ex->downstream->conn))
        log_write(LOG_DEBUG, "listener", "the caller has closed the connection, too");
    end(ex, DOWNSTREAM_ABORT);
}

/* Ends the request with an error. message: SPAN_NONE for the outcome's text; must outlive the
 * exchange. */
static void fail(struct exchange *ex, enum outcome outcome, struct span message)
{
    fail_with(ex, response_error_of(outcome, message));
}

/* Ends the request with an upstream's error. failure: the attempt's; NULL: its response cannot be
 * passed on completely. */
static void fail_upstream(struct exchange *ex, const struct attempt_failure *failure)
{
    const struct response *response = &ex->response;
    /* Pass on the events received before the failure, even if both arrived together. */
    if (response->state == RESPONSE_PASSING && response->stream.form != STREAM_NONE &&
        !writer_flush(&ex->downstream->writer, &ex->downstream->conn)) {
        cancel(ex, OUTCOME_CLIENT_GONE);
        return;
    }
    struct response_error error =
        failure != NULL ? response_error_because(failure->outcome, failure->why, &ex->arena)
                        : response_failure(response);
    if (error.why != NULL)
        log_write(LOG_WARNING, "upstream", "%.*s: %.*s: %s",
                  SPAN_ARG(outcome_info(error.outcome)->token),
                  SPAN_ARG(route_of(ex)->upstream->url.authority), error.why);
    fail_with(ex, error);
}

/* Ends the request without a response: the caller has closed the connection. */
static void cancel(void *request, enum outcome outcome)
{
    struct exchange *ex = request;
    attempt_cancel(&ex->attempt);
    if (ex->state != EXCHANGE_RESPONDED || ex->outcome == OUTCOME_OK)
        ex->outcome = outcome;
    end(ex, DOWNSTREAM_ABORT);
}

static void cut(void *request)
{
    struct exchange *ex = request;
    if (ex->state == EXCHANGE_RESPONDED) {
        cancel(ex, OUTCOME_DRAIN_CUT);
        return;
    }
    response_keep_alive_if(&ex->response, false);
    fail(ex, OUTCOME_DRAIN_CUT, SPAN_NONE);
}

/* ---- 8. finish once ---- */

/* Builds "target_variant,accept" in out. */
static struct span overridden(const struct exchange *ex, struct buffer *out)
{
    for (unsigned i = 0; i != SAGEMAKER_PARAMETERS; ++i) {
        if ((ex->plan.fill.overridden & 1u << i) == 0)
            continue;
        if (out->len != 0)
            buffer_append_char(out, ',');
        buffer_append(out, sagemaker_parameter_info((enum sagemaker_parameter)i)->name);
    }
    return buffer_span(out);
}

static struct span parameter(const struct exchange *ex, enum sagemaker_parameter parameter)
{
    return ex->plan.fill.parameters[parameter].value;
}

/* Logs the route's pattern by default: the path itself may contain private data. */
static struct span shown_path(const struct exchange *ex)
{
    if (ex->use->snapshot->config->access_log.full_path)
        return ex->request.path;
    return route_of(ex) != NULL ? route_of(ex)->path : SPAN_NONE;
}

static void set_texts(struct access_record *record, const struct exchange *ex)
{
    const struct config_route *route = route_of(ex);
    const struct plan *plan = &ex->plan;
    const struct response *response = &ex->response;
    bool is_aws = route != NULL && config_operation_is_aws(route->operation);
    bool is_filled = plan->fill.path.len != 0;
    char text[256];
    struct buffer list;
    buffer_init_fixed(&list, text, sizeof(text));
    const struct {
        enum access_text field;
        struct span value;
    } texts[] = {
        {ACCESS_REQUEST_ID, span_make(plan->ids.request_id, IDS_UUID_SIZE)},
        {ACCESS_TRACE_ID, span_make(plan->ids.trace_id, IDS_TRACE_ID_SIZE)},
        {ACCESS_OUTCOME, outcome_info(ex->outcome)->token},
        {ACCESS_CLIENT, span_from(ex->downstream->remote.name)},
        {ACCESS_METHOD, ex->request.method},
        {ACCESS_ROUTE, route != NULL ? route->name : SPAN_NONE},
        {ACCESS_REGION, is_aws ? route->upstream->region : SPAN_NONE},
        {ACCESS_PATH, shown_path(ex)},
        {ACCESS_OPERATION, is_filled ? fill_operation_name(route, &plan->fill) : SPAN_NONE},
        {ACCESS_ENDPOINT, plan->fill.endpoint},
        {ACCESS_INFERENCE_ID, parameter(ex, SAGEMAKER_INFERENCE_ID)},
        {ACCESS_TARGET_VARIANT, parameter(ex, SAGEMAKER_TARGET_VARIANT)},
        {ACCESS_INFERENCE_COMPONENT, parameter(ex, SAGEMAKER_INFERENCE_COMPONENT_NAME)},
        {ACCESS_INVOKED_VARIANT,
         response_header(response, SPAN("x-amzn-invoked-production-variant"))},
        {ACCESS_AWS_REQUEST_ID, response_header(response, SPAN("x-amzn-requestid"))},
        {ACCESS_IDENTITY, ex->attempt.identity},
        {ACCESS_AWS_ERROR,
         response->is_judged ? response->verdict.aws_error : response->stream.code},
        {ACCESS_OVERRIDDEN, overridden(ex, &list)},
        {ACCESS_DROPPED_HEADERS, plan->fill.dropped_headers},
        {ACCESS_TARGET_MODEL, parameter(ex, SAGEMAKER_TARGET_MODEL)}, /* longest: last */
    };
    for (size_t i = 0; i != sizeof(texts) / sizeof(texts[0]); ++i)
        access_record_set(record, texts[i].field, texts[i].value);
}

/* Returns the number of events of an event stream, else of reads. */
static uint64_t parts_of(const struct exchange *ex)
{
    const struct stream *stream = &ex->response.stream;
    return stream->form != STREAM_NONE ? stream->parts : ex->attempt.upstream.parts;
}

static void write_record(const struct exchange *ex, const int64_t times[ACCESS_TIMES])
{
    unsigned worker = ex->worker->index;
    struct access_log *log = ex->worker->group->access_log;
    struct access_record *record = log == NULL ? NULL : access_log_begin(log, worker);
    if (record == NULL)
        return;
    record->time = clock_wall();
    record->status = ex->response.status;
    record->model_status = ex->response.is_judged ? ex->response.verdict.model_status : -1;
    record->attempts = ex->timing.attempts;
    record->reused = ex->attempt.upstream.reused;
    record->bytes_in = ex->body.size;
    record->bytes_out = ex->downstream->writer.body_bytes;
    record->parts = parts_of(ex);
    memcpy(record->times, times, sizeof(record->times));
    set_texts(record, ex);
    access_log_commit(log, worker);
}

/* A model's error is the caller's fault if the model's status is 4xx. */
static size_t counted_outcome(const struct exchange *ex)
{
    const struct response *response = &ex->response;
    bool is_callers = ex->outcome == OUTCOME_MODEL_ERROR && response->is_judged &&
                      response->verdict.model_status >= 400 && response->verdict.model_status < 500;
    return is_callers ? OUTCOME_MODEL_ERROR_4XX : (size_t)ex->outcome;
}

static void count(const struct exchange *ex, const int64_t times[ACCESS_TIMES])
{
    const struct metrics_exchange values = {
        .outcome = counted_outcome(ex),
        .attempts = ex->timing.attempts,
        .bytes_in = ex->body.size,
        .bytes_out = ex->downstream->writer.body_bytes,
        .parts = parts_of(ex),
        .total_us = times[ACCESS_TOTAL_US],
        .first_byte_us = times[ACCESS_FIRST_BYTE_US],
        .overhead_us = timing_overhead_us(&ex->timing, now_of(ex)),
    };
    const struct snapshot_route *counters = counters_of(ex);
    metrics_end(counters != NULL ? counters->metrics : ex->use->snapshot->no_route,
                ex->worker->index, &values);
}

/* Releases what the request holds; keeps its memory for the next one. */
static void dispose(struct exchange *ex)
{
    struct worker *worker = ex->worker;
    loop_cancel_timer(worker->loop, &ex->timer);
    attempt_dispose(&ex->attempt);
    response_dispose(&ex->response);
    body_release(&ex->body);
    admission_leave(&ex->ticket);
    snapshot_use_end_exchange(ex->use);
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

/* The only end of an exchange. */
static void end(struct exchange *ex, enum downstream_ending ending)
{
    struct downstream *downstream = ex->downstream;
    int64_t times[ACCESS_TIMES];
    CHECK(ex->attempt.state == ATTEMPT_IDLE);
    timing_times(&ex->timing, loop_read_clock(ex->worker->loop), times);
    count(ex, times);
    write_record(ex, times);
    dispose(ex);
    downstream_end_request(downstream, ending);
}

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

/* ---- the downstream service ---- */

static void make_last(void *request)
{
    response_keep_alive_if(&((struct exchange *)request)->response, false);
}

/* Returns whether a caller that shut down its sending side still waits for the response: with
 * `auto`, if it asked for the connection to close. */
static bool may_finish(const struct exchange *ex)
{
    enum config_half_close rule =
        route_of(ex) == NULL ? CONFIG_HALF_CLOSE_AUTO : route_of(ex)->on_half_close;
    return rule == CONFIG_HALF_CLOSE_AUTO ? !ex->request.keep_alive
                                          : rule == CONFIG_HALF_CLOSE_FINISH;
}

static struct downstream_facts look(const void *request)
{
    const struct exchange *ex = request;
    if (!ex->plan.parsed)
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
