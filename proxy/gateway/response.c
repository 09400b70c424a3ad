/* The response to the caller: first the upstream's, from its head to its last byte, then the
 * gateway's own. */
#include "gateway/response.h"

#include "base/json_writer.h"

enum { ERROR_TEXT_MAX = 8 * 1024 };

/* A held response fits into the writer with its head. */
_Static_assert(RESPONSE_COLLECT_MAX + 128 * 1024 <= WRITER_HELD_MAX, "writer");
/* The watermark, a read and a message of an event stream fit, too. */
_Static_assert(EVENTSTREAM_MESSAGE_MAX + WRITER_HIGH_WATERMARK + 4 * LOOP_READ_SIZE <=
                   WRITER_HELD_MAX,
               "writer");

static void append_passed_head(struct response *response, enum http1_framing framing,
                               uint64_t length);
static void append_error(struct response *response, const struct response_error *error);

void response_open(struct response *response, struct writer *writer, const struct plan *plan,
                   const struct timing *timing, struct admission *admission, struct arena *arena)
{
    response->writer = writer;
    response->plan = plan;
    response->timing = timing;
    response->admission = admission;
    response->arena = arena;
    response->keep_alive = true;
    buffer_init(&response->held, RESPONSE_COLLECT_MAX);
}

static void release_memory(struct response *response)
{
    if (response->is_reserved)
        admission_release_memory(response->admission, RESPONSE_COLLECT_MAX);
    response->is_reserved = false;
}

void response_dispose(struct response *response)
{
    stream_dispose(&response->stream);
    release_memory(response);
    buffer_dispose(&response->held);
}

static bool is_head_request(const struct response *response)
{
    return response->plan->parsed && span_equals(response->plan->request->method, SPAN("HEAD"));
}

/* ---- the upstream's head ---- */

static bool may_pass(struct span name)
{
    return span_equals_ignore_case(name, SPAN("content-type")) ||
           span_equals_ignore_case(name, SPAN("date")) ||
           span_equals_ignore_case(name, SPAN("x-amzn-errortype")) ||
           sagemaker_is_response_header(name);
}

static void keep_head(struct response_head *kept, const struct http1_response *head,
                      struct arena *arena)
{
    const struct http1_headers *all = &head->headers;
    *kept = (struct response_head){
        .status = head->status, .framing = head->framing, .content_length = head->content_length};
    for (size_t i = 0; i != all->count && kept->header_count != RESPONSE_HEADERS_MAX; ++i)
        if (may_pass(all->list[i].name))
            kept->headers[kept->header_count++] = (struct http1_header){
                arena_copy(arena, all->list[i].name), arena_copy(arena, all->list[i].value)};
}

struct span response_header(const struct response *response, struct span name)
{
    const struct response_head *head = &response->head;
    for (size_t i = 0; i != head->header_count; ++i)
        if (span_equals_ignore_case(head->headers[i].name, name))
            return head->headers[i].value;
    return SPAN_NONE;
}

/* Replaces the upstream's Content-Type, and the model's in X-Amzn-SageMaker-Content-Type. */
static void set_content_type(struct response_head *kept, struct span type)
{
    size_t count = 0;
    for (size_t i = 0; i != kept->header_count; ++i) {
        struct span name = kept->headers[i].name;
        if (!span_equals_ignore_case(name, SPAN("X-Amzn-SageMaker-Content-Type")) &&
            !span_equals_ignore_case(name, SPAN("Content-Type")))
            kept->headers[count++] = kept->headers[i];
    }
    count -= count == RESPONSE_HEADERS_MAX;
    kept->headers[count++] = (struct http1_header){SPAN("Content-Type"), type};
    kept->header_count = count;
}

/* Begins parsing an event stream. If it is decoded, the head becomes that of the model's response
 * inside. */
static void begin_stream(struct response *response, const struct http1_headers *headers)
{
    const struct plan *plan = response->plan;
    const struct config_route *route = plan->match.route;
    struct response_head *head = &response->head;
    if (plan->fill.operation != SAGEMAKER_STREAM || head->status != 200 ||
        !span_starts_with_ignore_case(http1_header_value(headers, SPAN("Content-Type")),
                                      SPAN("application/vnd.amazon.eventstream")))
        return;
    bool raw = route->operation == CONFIG_NATIVE || route->stream_format == CONFIG_STREAM_RAW;
    stream_begin(&response->stream, raw ? STREAM_RAW : STREAM_DECODED, response->admission,
                 response->arena);
    if (raw)
        return;
    struct span type = response_header(response, SPAN("X-Amzn-SageMaker-Content-Type"));
    set_content_type(head, type.len != 0 ? type : SPAN("application/octet-stream"));
    head->framing = HTTP1_CHUNKED;
}

/* HTTP/1.0 cannot detect a truncated response of unknown length: collect it first. */
static bool must_collect(const struct response *response)
{
    return response->plan->request->minor_version == 0 &&
           (response->head.framing == HTTP1_CHUNKED || response->head.framing == HTTP1_UNTIL_CLOSE);
}

/* Returns whether it is a 202 of InvokeEndpointAsync. */
static bool is_accepted(const struct response *response)
{
    return response->plan->match.route->operation == CONFIG_ASYNC && response->head.status == 202;
}

/* Appends the head; the body is passed on from now on. */
static void begin_passing(struct response *response)
{
    const struct response_head *head = &response->head;
    bool known = head->framing == HTTP1_LENGTH || head->framing == HTTP1_NO_BODY;
    append_passed_head(response, known ? head->framing : HTTP1_CHUNKED, head->content_length);
    response->state = RESPONSE_PASSING;
}

void response_take_head(struct response *response, const struct http1_response *head)
{
    keep_head(&response->head, head, response->arena);
    begin_stream(response, &head->headers);
    bool collect = must_collect(response);
    if (head->status >= 400 || collect || is_accepted(response) ||
        response->stream.form == STREAM_DECODED)
        response->state = RESPONSE_HELD;
    else
        begin_passing(response);
    response->is_reserved =
        collect && admission_take_memory(response->admission, RESPONSE_COLLECT_MAX);
}

/* ---- the upstream's body ---- */

static void take_piece(struct response *response, struct span piece)
{
    if (response->state == RESPONSE_PASSING)
        writer_append_body(response->writer, piece);
    else
        buffer_append(&response->held, piece);
}

void response_take_data(struct response *response, struct span data)
{
    struct span piece;
    if (response->stream.form == STREAM_NONE) {
        take_piece(response, data);
        return;
    }
    while (stream_next(&response->stream, &data, &piece)) {
        if (response->state == RESPONSE_HELD && !must_collect(response))
            begin_passing(response);
        take_piece(response, piece);
    }
}

static bool cannot_be_held(const struct response *response)
{
    return (must_collect(response) && !response->is_reserved) || response->held.overflowed;
}

static enum response_next finish(struct response *response)
{
    writer_end(response->writer);
    response->state = RESPONSE_WHOLE;
    return RESPONSE_ENDS;
}

/* Appends the held response, which is complete, with its length. */
static enum response_next pass_held(struct response *response)
{
    append_passed_head(response, HTTP1_LENGTH, response->held.len);
    writer_append_body(response->writer, buffer_span(&response->held));
    return finish(response);
}

enum response_next response_check(struct response *response)
{
    if (stream_has_failed(&response->stream))
        return RESPONSE_FAILS;
    if (response->state == RESPONSE_PASSING)
        return is_head_request(response) ? finish(response) : RESPONSE_GOES_ON;
    if (cannot_be_held(response))
        return RESPONSE_FAILS;
    bool is_enough = response->head.status >= 300 && response->held.len >= JUDGE_BODY_MAX &&
                     !must_collect(response);
    return is_enough ? RESPONSE_JUDGE : RESPONSE_GOES_ON;
}

/* Writes the 202's headers into its body, for callers that do not read headers:
 * {"InferenceId","OutputLocation","FailureLocation"}. */
static void complete_accepted(struct response *response)
{
    static const struct span name = SPAN("InferenceId");
    struct json_scan *body = json_scan_create(response->arena, &name, 1);
    struct json_writer json = json_writer_to(&response->held);
    json_scan_push(body, buffer_span(&response->held));
    struct span id = json_scan_get(body, name).text;
    if (id.len == 0)
        id = response->plan->fill.parameters[SAGEMAKER_INFERENCE_ID].value;
    const struct {
        struct span name, value;
    } members[] = {
        {name, id},
        {SPAN("OutputLocation"),
         response_header(response, SPAN("X-Amzn-SageMaker-OutputLocation"))},
        {SPAN("FailureLocation"),
         response_header(response, SPAN("X-Amzn-SageMaker-FailureLocation"))},
    };
    buffer_clear(&response->held);
    json_writer_open_object(&json, SPAN_NONE);
    for (size_t i = 0; i != sizeof(members) / sizeof(members[0]); ++i)
        if (members[i].value.len != 0)
            json_writer_add_text(&json, members[i].name, members[i].value);
    json_writer_close_object(&json);
    buffer_append_char(&response->held, '\n');
    set_content_type(&response->head, SPAN("application/json"));
}

enum response_next response_end(struct response *response)
{
    response->has_ended = true;
    if (response->stream.form != STREAM_NONE) {
        stream_finish(&response->stream);
        if (stream_has_failed(&response->stream))
            return RESPONSE_FAILS;
        if (response->state == RESPONSE_HELD && !must_collect(response))
            begin_passing(response); /* it had no message */
    }
    if (response->state != RESPONSE_HELD)
        return finish(response);
    if (cannot_be_held(response))
        return RESPONSE_FAILS;
    if (response->head.status >= 300)
        return RESPONSE_JUDGE;
    if (is_accepted(response))
        complete_accepted(response);
    return pass_held(response);
}

struct response_error response_error_of(enum outcome outcome, struct span message)
{
    const struct outcome_info *info = outcome_info(outcome);
    return (struct response_error){.outcome = outcome,
                                   .status = info->status,
                                   .retry_after_s = info->retry_after_s,
                                   .message = message.len != 0 ? message : info->text};
}

struct response_error response_error_because(enum outcome outcome, const char *why,
                                             struct arena *arena)
{
    struct response_error error = response_error_of(outcome, SPAN_NONE);
    error.why = why;
    if (why != NULL)
        error.message = arena_printf(arena, "%.*s: %s", SPAN_ARG(error.message), why);
    return error;
}

/* Returns the error for an exception. If nothing was sent yet, the response has a status, and its
 * text is unredacted with `errors: pass`. */
static struct response_error exception_of(const struct response *response)
{
    const struct stream *stream = &response->stream;
    bool is_sent = response->writer->head_sent;
    bool pass = response->plan->match.route->errors == CONFIG_ERRORS_PASS;
    struct response_error error = response_error_of(
        OUTCOME_STREAM_ERROR,
        pass && !is_sent ? stream->message : aws_error_redact(stream->message, response->arena));
    error.status = stream->status;
    error.why = stream_fault(stream);
    return error;
}

struct response_error response_failure(const struct response *response)
{
    static const enum outcome outcomes[] = {[STREAM_CORRUPT] = OUTCOME_BAD_RESPONSE,
                                            [STREAM_TRUNCATED] = OUTCOME_STREAM_BROKEN,
                                            [STREAM_MEMORY_FULL] = OUTCOME_MEMORY_FULL};
    const struct stream *stream = &response->stream;
    if (stream->end == STREAM_GOES_ON && must_collect(response) && !response->is_reserved)
        return response_error_of(OUTCOME_MEMORY_FULL, SPAN_NONE);
    if (stream->end == STREAM_GOES_ON)
        return response_error_of(
            OUTCOME_BAD_RESPONSE,
            SPAN("response of unknown length exceeds 1 MiB, the limit for an HTTP/1.0 client"));
    if (stream->end == STREAM_EXCEPTION)
        return exception_of(response);
    return response_error_because(outcomes[stream->end], stream_fault(stream), response->arena);
}

/* ---- error responses ---- */

const struct judge_verdict *response_judge(struct response *response)
{
    const struct plan *plan = response->plan;
    struct span body = buffer_span(&response->held);
    if (body.len > JUDGE_BODY_MAX)
        body.len = JUDGE_BODY_MAX;
    struct judge_response error = {response->head.status,
                                   response_header(response, SPAN("x-amzn-errortype")), body};
    if (plan->fill.proof == FILL_NONE)
        judge_container(response->head.status, &response->verdict);
    else
        judge_error(&error, plan->match.route->errors, response->arena, &response->verdict);
    response->is_judged = true;
    return &response->verdict;
}

enum response_next response_pass_error(struct response *response)
{
    const struct judge_verdict *verdict = &response->verdict;
    enum response_next next = RESPONSE_GOES_ON;
    if (!verdict->pass) {
        append_error(response, &(struct response_error){
                                   .outcome = verdict->outcome,
                                   .status = verdict->status,
                                   .retry_after_s = verdict->retry_after_s,
                                   .message = verdict->message,
                                   .is_model_text = verdict->is_model_text,
                               });
        next = RESPONSE_ENDS;
    } else if (response->has_ended) {
        next = pass_held(response);
    } else {
        begin_passing(response);
        writer_append_body(response->writer, buffer_span(&response->held));
    }
    buffer_clear(&response->held);
    return next;
}

void response_drop(struct response *response)
{
    CHECK(response->state <= RESPONSE_HELD && response->stream.form == STREAM_NONE);
    buffer_clear(&response->held);
    release_memory(response);
    response->is_judged = response->has_ended = false;
    response->state = RESPONSE_NONE;
}

/* ---- heads ---- */

/* Appends "name;dur=1.234", in milliseconds (W3C Server Timing). */
static void append_duration(struct buffer *out, const char *name, int64_t us)
{
    if (us < 0)
        return;
    if (out->len != 0)
        buffer_append(out, SPAN(", "));
    buffer_append(out, span_from(name));
    buffer_append(out, SPAN(";dur="));
    buffer_append_u64(out, (uint64_t)us / 1000);
    char fraction[4] = {'.', (char)('0' + us / 100 % 10), (char)('0' + us / 10 % 10),
                        (char)('0' + us % 10)};
    buffer_append(out, span_make(fraction, sizeof(fraction)));
}

static void append_server_timing(struct response *response)
{
    static const struct {
        enum access_time time;
        const char *name;
    } shown[] = {
        {ACCESS_RECEIVE_US, "receive"},
        {ACCESS_WAIT_US, "wait"},
        {ACCESS_CREDENTIALS_US, "credentials"},
        {ACCESS_HASH_US, "hash"},
        {ACCESS_SIGN_US, "sign"},
        {ACCESS_CONNECT_US, "connect"},
        {ACCESS_TLS_US, "tls"},
        {ACCESS_SEND_US, "send"},
        {ACCESS_FIRST_BYTE_US, "first_byte"},
    };
    char text[512];
    struct buffer out;
    int64_t times[ACCESS_TIMES];
    buffer_init_fixed(&out, text, sizeof(text));
    timing_times(response->timing, (struct mono_time){0}, times);
    for (size_t i = 0; i != sizeof(shown) / sizeof(shown[0]); ++i)
        append_duration(&out, shown[i].name, times[shown[i].time]);
    if (out.len != 0)
        writer_append_header(response->writer, SPAN("Server-Timing"), buffer_span(&out));
}

static struct span request_id(const struct response *response)
{
    return span_make(response->plan->ids.request_id, IDS_UUID_SIZE);
}

static void append_status(struct response *response, int status)
{
    response->status = status;
    writer_append_status(response->writer, status);
}

/* Appends the headers of every response and ends the head. */
static void end_head(struct response *response, enum http1_framing framing, uint64_t length)
{
    const struct plan *plan = response->plan;
    struct writer *writer = response->writer;
    struct span inference_id = plan->fill.parameters[SAGEMAKER_INFERENCE_ID].value;
    if (inference_id.len == 0)
        inference_id = span_make(plan->ids.uuid, IDS_UUID_SIZE);
    writer_append_header(writer, SPAN("X-Request-Id"), request_id(response));
    writer_append_header(writer, SPAN("X-Amzn-SageMaker-Inference-Id"), inference_id);
    append_server_timing(response);
    writer_end_head(writer, framing, length, plan->parsed ? plan->request->minor_version : 1,
                    response->keep_alive, is_head_request(response));
}

static void append_outcome(struct response *response, enum outcome outcome)
{
    writer_append_header(response->writer, SPAN("X-Sagegate-Outcome"),
                         outcome_info(outcome)->token);
}

static void append_passed_head(struct response *response, enum http1_framing framing,
                               uint64_t length)
{
    const struct response_head *head = &response->head;
    append_status(response, head->status);
    for (size_t i = 0; i != head->header_count; ++i)
        writer_append_header(response->writer, head->headers[i].name, head->headers[i].value);
    if (response->is_judged)
        append_outcome(response, response->verdict.outcome);
    end_head(response, framing, length);
}

void response_write_ready(struct response *response)
{
    append_status(response, 200);
    end_head(response, HTTP1_LENGTH, 0);
    (void)finish(response);
}

/* ---- the gateway's errors ---- */

/* Appends an object of three members: code, message (its first ERROR_TEXT_MAX bytes), request
 * id. */
static void append_error_object(const struct response *response, const struct span names[3],
                                const struct response_error *error, struct buffer *out)
{
    struct json_writer json = json_writer_to(out);
    struct span message = error->message;
    if (message.len > ERROR_TEXT_MAX)
        message.len = ERROR_TEXT_MAX;
    json_writer_open_object(&json, SPAN_NONE);
    json_writer_add_text(&json, names[0], outcome_info(error->outcome)->token);
    json_writer_add_text(&json, names[1], message);
    json_writer_add_text(&json, names[2], request_id(response));
    json_writer_close_object(&json);
}

static struct span error_body(struct response *response, const struct response_error *error)
{
    static const struct span names[] = {SPAN("Code"), SPAN("Message"), SPAN("RequestId")};
    struct buffer out;
    buffer_init(&out, ERROR_TEXT_MAX * 8);
    append_error_object(response, names, error, &out);
    buffer_append_char(&out, '\n');
    struct span body = arena_copy(response->arena, buffer_span(&out));
    buffer_dispose(&out);
    return body;
}

/* Returns the exception that AWS SDKs know for a status. */
static struct span error_type(const struct response_error *error)
{
    if (error->outcome == OUTCOME_MODEL_ERROR)
        return SPAN("ModelError");
    if (error->status == 429)
        return SPAN("ThrottlingException");
    if (error->status < 500)
        return SPAN("ValidationError");
    return error->status == 503 || error->status == 504 ? SPAN("ServiceUnavailable")
                                                        : SPAN("InternalFailure");
}

static bool looks_like_json(struct span text)
{
    text = span_trim(text);
    return text.len != 0 && (text.at[0] == '{' || text.at[0] == '[');
}

static void append_error(struct response *response, const struct response_error *error)
{
    struct writer *writer = response->writer;
    char date[CLOCK_HTTP_SIZE];
    struct span body = error->is_model_text ? error->message : error_body(response, error);
    bool json = !error->is_model_text || looks_like_json(body);
    clock_format_http(clock_wall(), date);
    append_status(response, error->status);
    writer_append_header(writer, SPAN("Date"), span_from(date));
    writer_append_header(writer, SPAN("Content-Type"),
                         json ? SPAN("application/json") : SPAN("text/plain; charset=utf-8"));
    append_outcome(response, error->outcome);
    writer_append_header(writer, SPAN("x-amzn-ErrorType"), error_type(error));
    struct span allowed = response->plan->match.allowed;
    if (error->status == 405 && allowed.len != 0)
        writer_append_header(writer, SPAN("Allow"), allowed);
    if (error->retry_after_s != 0)
        writer_append_header(writer, SPAN("Retry-After"),
                             arena_printf(response->arena, "%d", error->retry_after_s));
    end_head(response, HTTP1_LENGTH, body.len);
    writer_append_body(writer, body);
    (void)finish(response);
}

/* Appends an error event. Its leading blank line ends an event of the model that may be
 * truncated. */
static void append_error_event(struct response *response, const struct response_error *error)
{
    static const struct span names[] = {SPAN("code"), SPAN("message"), SPAN("request_id")};
    struct buffer out;
    if (response->state != RESPONSE_PASSING || !response->plan->match.route->stream_error_events ||
        !span_starts_with_ignore_case(response_header(response, SPAN("Content-Type")),
                                      SPAN("text/event-stream")) ||
        writer_held(response->writer) > WRITER_HIGH_WATERMARK)
        return;
    buffer_init(&out, ERROR_TEXT_MAX * 8);
    buffer_append(&out, SPAN("\n\nevent: error\ndata: {\"error\":"));
    append_error_object(response, names, error, &out);
    buffer_append(&out, SPAN("}\n\n"));
    writer_append_body(response->writer, buffer_span(&out));
    buffer_dispose(&out);
}

bool response_fail(struct response *response, const struct response_error *error)
{
    response->is_judged = false;
    if (response->writer->head_sent)
        append_error_event(response, error);
    if (response->writer->head_sent || error->status == 0)
        return false;
    writer_discard(response->writer);
    append_error(response, error);
    return true;
}
