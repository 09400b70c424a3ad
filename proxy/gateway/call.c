/* The upstream half of an exchange: call, judge the answer, pass it on; steps 8 to 10. */
#include "gateway/call.h"

#include "gateway/authorize.h"
#include "gateway/response.h"
#include "gateway/timing.h"
#include "observe/log.h"

/* A collected answer fits into the reply with its head. */
_Static_assert(EXCHANGE_COLLECT_MAX + 128 * 1024 <= WRITER_HELD_MAX, "writer");
/* And so do the watermark, a read, and a message of an event stream. */
_Static_assert(EVENTSTREAM_MESSAGE_MAX + WRITER_HIGH_WATERMARK + 4 * LOOP_READ_SIZE <=
                   WRITER_HELD_MAX,
               "writer");

static void begin_signed(struct exchange *ex);
static void begin(struct exchange *ex, bool fresh_only);
static void on_upstream_ready(struct upstream_request *upstream);
static void on_upstream_head(struct upstream_request *upstream, const struct http1_response *head);
static void on_upstream_data(struct upstream_request *upstream, struct span data);
static void on_upstream_flush(struct upstream_request *upstream);
static void on_upstream_end(struct upstream_request *upstream);
static void on_upstream_failed(struct upstream_request *upstream, enum upstream_failure failure,
                               const char *why);
static void judge(struct exchange *ex, bool whole);
static void on_renewed(struct exchange *ex);
static void tell_caller(struct exchange *ex, bool whole);
static void fail_stream(struct exchange *ex);

static const struct upstream_callbacks upstream_callbacks = {
    on_upstream_ready, on_upstream_head, on_upstream_data,
    on_upstream_flush, on_upstream_end,  on_upstream_failed,
};

static struct exchange *of_upstream(struct upstream_request *upstream)
{
    return H2O_STRUCT_FROM_MEMBER(struct exchange, upstream, upstream);
}

static struct mono_time now_of(const struct exchange *ex)
{
    return ex->worker->loop->now;
}

/* ---- step 8: connect and sign late ---- */

void call_start(struct exchange *ex)
{
    ex->state = EXCHANGE_CALLING;
    if (ex->plan.fill.proof == FILL_NONE) {
        begin(ex, false);
        return;
    }
    if (renew_get(ex, renew_now(ex)) == NULL && renew_wait(ex, begin_signed))
        return;
    begin_signed(ex);
}

/* Without credentials no connection is asked for. */
static void begin_signed(struct exchange *ex)
{
    if (renew_get(ex, renew_now(ex)) == NULL) {
        exchange_fail(ex, OUTCOME_NO_CREDENTIALS, SPAN_NONE);
        return;
    }
    begin(ex, false);
}

static void begin(struct exchange *ex, bool fresh_only)
{
    const struct config_route *route = ex->plan.match.route;
    struct pool *pool = ex->use->pools[route->upstream - exchange_config(ex)->upstreams];
    ex->state = EXCHANGE_CALLING;
    ex->upstream_us += timing_upstream_us(&ex->upstream);
    if (upstream_start(&ex->upstream, pool, &upstream_callbacks, fresh_only)) {
        on_upstream_ready(&ex->upstream);
        return;
    }
    exchange_arm_by(ex, clock_after_ms(now_of(ex), route->timeouts.connect_ms));
}

static void on_upstream_ready(struct upstream_request *upstream)
{
    struct exchange *ex = of_upstream(upstream);
    struct loop *loop = ex->worker->loop;
    const struct config_timeouts *timeouts = &ex->plan.match.route->timeouts;
    struct wall_time wall = renew_now(ex);

    struct mono_time before = loop_read_clock(loop);
    bool needed = ex->plan.fill.proof != FILL_NONE;
    const struct credentials *credentials = needed ? renew_get(ex, wall) : NULL;
    struct mono_time got = loop_read_clock(loop);
    ex->credentials_us += clock_us_between(before, got);
    if (needed && credentials == NULL) {
        upstream_cancel(upstream); /* the set has ended while it connected */
        if (!renew_wait(ex, begin_signed))
            exchange_fail(ex, OUTCOME_NO_CREDENTIALS, SPAN_NONE);
        return;
    }
    exchange_wipe_head(ex); /* of an attempt before this one */
    ex->upstream_head =
        authorize_head(&(struct authorize_request){.fill = &ex->plan.fill,
                                                   .upstream = ex->plan.match.route->upstream,
                                                   .body_sha256 = ex->body.digest,
                                                   .body_size = ex->body.size,
                                                   .credentials = credentials,
                                                   .now = wall,
                                                   .keys = ex->worker->keys,
                                                   .bearers = ex->worker->bearers},
                       &ex->arena);
    ex->sign_us += clock_us_between(got, loop_read_clock(loop));
    ++ex->attempts;
    int64_t soonest =
        timeouts->idle_ms < timeouts->first_byte_ms ? timeouts->idle_ms : timeouts->first_byte_ms;
    exchange_arm_by(ex, clock_after_ms(now_of(ex), soonest));
    upstream_send(upstream, ex->upstream_head, ex->body.first, false);
}

/* ---- step 9: judge the answer before anything is passed on ---- */

/* A caller that could not see the answer cut (HTTP/1.0, unknown length) gets it only when it is whole. */
static bool must_collect(const struct exchange *ex)
{
    return ex->request.minor_version == 0 &&
           (ex->response.framing == HTTP1_CHUNKED || ex->response.framing == HTTP1_UNTIL_CLOSE);
}

/* A 202 of InvokeEndpointAsync: what it says is said in its body, too. */
static bool is_accepted(const struct exchange *ex)
{
    return ex->plan.match.route->operation == CONFIG_ASYNC && ex->response.status == 202;
}

static void begin_passing(struct exchange *ex)
{
    const struct exchange_response *answer = &ex->response;
    bool known = answer->framing == HTTP1_LENGTH || answer->framing == HTTP1_NO_BODY;
    response_append_passed_head(ex, known ? answer->framing : HTTP1_CHUNKED,
                                answer->content_length);
    ex->reply_progress = now_of(ex);
    ex->state = EXCHANGE_STREAMING;
}

/* Sees to it that an event stream's messages are looked at. Decoded, it is passed on from its first message on. */
static void begin_stream(struct exchange *ex, const struct http1_response *head)
{
    const struct config_route *route = ex->plan.match.route;
    struct span type = http1_header_value(&head->headers, SPAN("Content-Type"));
    if (ex->plan.fill.operation != SAGEMAKER_STREAM || head->status != 200 ||
        !span_starts_with_ignore_case(type, SPAN("application/vnd.amazon.eventstream")))
        return;
    bool raw = route->operation == CONFIG_NATIVE || route->stream_format == CONFIG_STREAM_RAW;
    stream_begin(&ex->stream, raw ? STREAM_RAW : STREAM_DECODED, &ex->worker->gateway->admission,
                 &ex->arena);
    if (!raw)
        response_unwrap_stream(ex);
}

static void on_upstream_head(struct upstream_request *upstream, const struct http1_response *head)
{
    struct exchange *ex = of_upstream(upstream);
    response_keep_head(ex, head);
    renew_check_clock(ex);
    begin_stream(ex, head);
    if (upstream->sent.us != 0 && head->status < 400)
        body_release(&ex->body); /* else an early answer: the rest may still be on its way out */
    exchange_arm_by(ex, clock_after_ms(now_of(ex), ex->plan.match.route->timeouts.idle_ms));
    if (head->status >= 400 || must_collect(ex) || is_accepted(ex) ||
        ex->stream.form == STREAM_DECODED) {
        ex->state = EXCHANGE_HOLDING;
        ex->held_reserved =
            must_collect(ex) &&
            admission_take_memory(&ex->worker->gateway->admission, EXCHANGE_COLLECT_MAX);
        return;
    }
    begin_passing(ex);
}

static void take_pieces(struct exchange *ex, struct span data)
{
    struct span piece;
    while (stream_next(&ex->stream, &data, &piece)) {
        if (ex->state == EXCHANGE_HOLDING && !must_collect(ex))
            begin_passing(ex);
        if (ex->state == EXCHANGE_STREAMING)
            writer_append_body(&ex->downstream->writer, piece);
        else
            buffer_append(&ex->held, piece);
    }
}

static void on_upstream_data(struct upstream_request *upstream, struct span data)
{
    struct exchange *ex = of_upstream(upstream);
    if (ex->stream.form != STREAM_NONE) {
        take_pieces(ex, data);
        return;
    }
    if (ex->state == EXCHANGE_HOLDING)
        buffer_append(&ex->held, data);
    if (ex->state == EXCHANGE_STREAMING)
        writer_append_body(&ex->downstream->writer, data);
}

static void on_upstream_flush(struct upstream_request *upstream)
{
    struct exchange *ex = of_upstream(upstream);
    if (stream_has_failed(&ex->stream)) {
        fail_stream(ex);
        return;
    }
    if (ex->state == EXCHANGE_STREAMING && span_equals(ex->request.method, SPAN("HEAD"))) {
        upstream_cancel(upstream); /* its answer is whole with the head */
        writer_end(&ex->downstream->writer);
        ex->state = EXCHANGE_ANSWERED;
    }
    if (ex->state == EXCHANGE_STREAMING || ex->state == EXCHANGE_ANSWERED) {
        exchange_flush(ex);
        return;
    }
    if (must_collect(ex) && !ex->held_reserved) {
        upstream_cancel(upstream);
        exchange_fail(ex, OUTCOME_MEMORY_FULL, SPAN_NONE);
        return;
    }
    if (ex->held.overflowed) {
        upstream_cancel(upstream);
        exchange_fail(
            ex, OUTCOME_BAD_RESPONSE,
            SPAN("an answer of unknown length grew over 1 MiB for a caller that speaks HTTP/1.0"));
        return;
    }
    if (ex->response.status >= 300 && ex->held.len >= JUDGE_BODY_MAX && !must_collect(ex))
        judge(ex, false);
}

/* A whole answer that was collected goes out with its length. */
static void pass_collected(struct exchange *ex)
{
    if (is_accepted(ex))
        response_complete_accepted(ex);
    response_append_passed_head(ex, HTTP1_LENGTH, ex->held.len);
    writer_append_body(&ex->downstream->writer, buffer_span(&ex->held));
    writer_end(&ex->downstream->writer);
    ex->state = EXCHANGE_ANSWERED;
}

/* One more attempt, signed anew; nothing of the answer has been passed on. */
static void call_again(struct exchange *ex)
{
    buffer_clear(&ex->held);
    ex->judged = false;
    ex->outcome = OUTCOME_OK;
    if (ex->held_reserved)
        admission_release_memory(&ex->worker->gateway->admission, EXCHANGE_COLLECT_MAX);
    ex->held_reserved = false;
    begin(ex, false);
}

/* An error answer: held whole, or its first 64 KiB. */
static void judge(struct exchange *ex, bool whole)
{
    struct span body = buffer_span(&ex->held);
    if (body.len > JUDGE_BODY_MAX)
        body.len = JUDGE_BODY_MAX;
    struct judge_answer answer = {ex->response.status, ex->response.error_type, body};
    if (ex->plan.fill.proof == FILL_NONE)
        judge_container(ex->response.status, &ex->verdict);
    else
        judge_error(&answer, ex->plan.match.route->errors, &ex->arena, &ex->verdict);
    ex->judged = true;
    ex->outcome = ex->verdict.outcome;
    switch (whole ? renew_after_refusal(ex, on_renewed) : RENEW_NOTHING) {
    case RENEW_AGAIN:
        call_again(ex);
        return;
    case RENEW_WAITING:
        return;
    case RENEW_NOTHING:
        break;
    }
    tell_caller(ex, whole);
}

/* The forced fetch has ended, or taken too long. */
static void on_renewed(struct exchange *ex)
{
    if (renew_has_changed(ex))
        call_again(ex);
    else
        tell_caller(ex, true);
}

/* What was held of an error answer goes to the caller, as the verdict says. */
static void tell_caller(struct exchange *ex, bool whole)
{
    const struct judge_verdict *verdict = &ex->verdict;
    if (ex->upstream.sent.us != 0 || whole)
        body_release(&ex->body);
    if (!verdict->pass) {
        upstream_cancel(&ex->upstream); /* no-op when the answer is whole */
        response_append_error(ex, verdict->status, verdict->message, verdict->retry_after_s,
                              verdict->is_model_text);
        ex->state = EXCHANGE_ANSWERED;
    } else if (whole) {
        pass_collected(ex);
    } else {
        begin_passing(ex);
        writer_append_body(&ex->downstream->writer, buffer_span(&ex->held));
    }
    buffer_clear(&ex->held);
    ex->reply_progress = now_of(ex);
    exchange_flush(ex);
}

/* ---- step 10: stream back (the pace is exchange_flush's) ---- */

/* The body has ended: is that the stream's end, too? */
static bool finish_stream(struct exchange *ex)
{
    if (ex->stream.form == STREAM_NONE)
        return true;
    stream_finish(&ex->stream);
    if (stream_has_failed(&ex->stream))
        return false;
    if (ex->stream.end == STREAM_EXCEPTION)
        ex->outcome = OUTCOME_STREAM_ERROR; /* raw: the caller has it as it came */
    if (ex->state == EXCHANGE_HOLDING && !must_collect(ex))
        begin_passing(ex); /* there was no message at all */
    return true;
}

static void on_upstream_end(struct upstream_request *upstream)
{
    struct exchange *ex = of_upstream(upstream);
    if (!finish_stream(ex)) {
        fail_stream(ex);
        return;
    }
    if (ex->state == EXCHANGE_HOLDING &&
        (ex->held.overflowed || must_collect(ex) != ex->held_reserved)) {
        on_upstream_flush(upstream);
        return;
    }
    if (ex->state == EXCHANGE_HOLDING && ex->response.status >= 300) {
        judge(ex, true);
        return;
    }
    if (ex->state == EXCHANGE_HOLDING) {
        pass_collected(ex);
    } else {
        writer_end(&ex->downstream->writer);
        ex->state = EXCHANGE_ANSWERED;
    }
    exchange_flush(ex);
}

/* ---- failures ---- */

/* An exception before anything was passed on becomes an HTTP status. */
static void answer_exception(struct exchange *ex)
{
    const struct stream *stream = &ex->stream;
    bool pass = ex->plan.match.route->errors == CONFIG_ERRORS_PASS;
    const struct outcome_info *info = outcome_info(OUTCOME_STREAM_ERROR);
    struct span message = pass ? stream->message : aws_error_redact(stream->message, &ex->arena);
    writer_discard(&ex->downstream->writer);
    ex->outcome = OUTCOME_STREAM_ERROR;
    response_append_error(ex, stream->status, message, info->retry_after_s, false);
    ex->state = EXCHANGE_ANSWERED;
    ex->reply_progress = now_of(ex);
    exchange_flush(ex);
}

/* What came of an event stream before it failed is the caller's, also where both came at once. False: the exchange has
 * ended. */
static bool flush_stream(struct exchange *ex)
{
    if (ex->state != EXCHANGE_STREAMING ||
        writer_flush(&ex->downstream->writer, &ex->downstream->conn))
        return true;
    exchange_cancel(ex, OUTCOME_CLIENT_GONE);
    return false;
}

static void fail_stream(struct exchange *ex)
{
    static const enum outcome outcomes[] = {
        [STREAM_EXCEPTION] = OUTCOME_STREAM_ERROR,
        [STREAM_CORRUPT] = OUTCOME_BAD_RESPONSE,
        [STREAM_TRUNCATED] = OUTCOME_STREAM_BROKEN,
        [STREAM_MEMORY_FULL] = OUTCOME_MEMORY_FULL,
    };
    enum outcome outcome = outcomes[ex->stream.end];
    const struct outcome_info *info = outcome_info(outcome);
    const char *why = stream_fault(&ex->stream);
    upstream_cancel(&ex->upstream);
    log_write(LOG_WARNING, "upstream", "%.*s: %.*s: %s", SPAN_ARG(info->token),
              SPAN_ARG(ex->plan.match.route->upstream->url.authority), why);
    if (!flush_stream(ex))
        return;
    if (outcome == OUTCOME_STREAM_ERROR && !ex->downstream->writer.head_sent) {
        answer_exception(ex);
        return;
    }
    struct span message = outcome == OUTCOME_STREAM_ERROR
                              ? aws_error_redact(ex->stream.message, &ex->arena)
                              : arena_printf(&ex->arena, "%.*s: %s", SPAN_ARG(info->text), why);
    exchange_fail(ex, outcome, message);
}

static enum outcome outcome_of_failure(enum upstream_failure failure)
{
    static const enum outcome outcomes[] = {
        [UPSTREAM_DNS_FAILED] = OUTCOME_DNS_FAILED,
        [UPSTREAM_CONNECT_FAILED] = OUTCOME_CONNECT_FAILED,
        [UPSTREAM_PROXY_REFUSED] = OUTCOME_PROXY_REFUSED,
        [UPSTREAM_TLS_FAILED] = OUTCOME_TLS_FAILED,
        [UPSTREAM_STALE] = OUTCOME_SEND_FAILED,
        [UPSTREAM_SEND_FAILED] = OUTCOME_SEND_FAILED,
        [UPSTREAM_NO_ANSWER] = OUTCOME_BAD_RESPONSE,
        [UPSTREAM_BAD_RESPONSE] = OUTCOME_BAD_RESPONSE,
        [UPSTREAM_BROKEN] = OUTCOME_STREAM_BROKEN,
    };
    return outcomes[failure];
}

static void on_upstream_failed(struct upstream_request *upstream, enum upstream_failure failure,
                               const char *why)
{
    struct exchange *ex = of_upstream(upstream);
    if (failure == UPSTREAM_STALE && ex->attempts < EXCHANGE_ATTEMPTS_MAX) {
        begin(ex, true);
        return;
    }
    enum outcome outcome = outcome_of_failure(failure);
    const struct config_upstream *target = ex->plan.match.route->upstream;
    log_write(LOG_WARNING, "upstream", "%.*s: %.*s: %s", SPAN_ARG(outcome_info(outcome)->token),
              SPAN_ARG(target->url.authority), why);
    struct span message =
        arena_printf(&ex->arena, "%.*s: %s", SPAN_ARG(outcome_info(outcome)->text), why);
    if (ex->stream.form == STREAM_NONE || flush_stream(ex))
        exchange_fail(ex, outcome, message);
}
