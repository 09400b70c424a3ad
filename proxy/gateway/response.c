/* Answers to callers: which headers go back, Server-Timing, and errors in the shape that SDKs read. */
#include "gateway/response.h"

#include "gateway/timing.h"

enum { ERROR_TEXT_MAX = 8 * 1024 };

static bool may_pass(struct span name)
{
    if (span_equals_ignore_case(name, SPAN("content-type")) ||
        span_equals_ignore_case(name, SPAN("date")) ||
        span_equals_ignore_case(name, SPAN("x-amzn-requestid")) ||
        span_equals_ignore_case(name, SPAN("x-amzn-errortype")))
        return true;
    for (size_t i = 0; i != sagemaker_answer_header_count; ++i)
        if (span_equals_ignore_case(name, sagemaker_answer_headers[i]))
            return true;
    return false;
}

void response_keep_head(struct exchange *ex, const struct http1_response *head)
{
    struct exchange_response *answer = &ex->response;
    *answer = (struct exchange_response){
        .status = head->status, .framing = head->framing, .content_length = head->content_length};
    for (size_t i = 0;
         i != head->headers.count && answer->header_count != EXCHANGE_PASSED_HEADERS_MAX; ++i) {
        const struct http1_header *header = &head->headers.list[i];
        if (!may_pass(header->name))
            continue;
        answer->headers[answer->header_count++] = (struct http1_header){
            arena_copy(&ex->arena, header->name), arena_copy(&ex->arena, header->value)};
    }
    const struct http1_headers *all = &head->headers;
    if (!clock_parse_http(http1_header_value(all, SPAN("date")), &answer->date))
        answer->date.us = 0;
    answer->error_type = arena_copy(&ex->arena, http1_header_value(all, SPAN("x-amzn-errortype")));
    answer->request_id = arena_copy(&ex->arena, http1_header_value(all, SPAN("x-amzn-requestid")));
    answer->invoked_variant =
        arena_copy(&ex->arena, http1_header_value(all, SPAN("x-amzn-invoked-production-variant")));
}

static struct span passed_header(const struct exchange *ex, struct span name)
{
    for (size_t i = 0; i != ex->response.header_count; ++i)
        if (span_equals_ignore_case(ex->response.headers[i].name, name))
            return ex->response.headers[i].value;
    return SPAN_NONE;
}

/* In place of the upstream's, and of the model's inside. */
static void set_content_type(struct exchange *ex, struct span type)
{
    struct exchange_response *answer = &ex->response;
    size_t count = 0;
    for (size_t i = 0; i != answer->header_count; ++i) {
        struct span name = answer->headers[i].name;
        if (!span_equals_ignore_case(name, SPAN("X-Amzn-SageMaker-Content-Type")) &&
            !span_equals_ignore_case(name, SPAN("Content-Type")))
            answer->headers[count++] = answer->headers[i];
    }
    count -= count == EXCHANGE_PASSED_HEADERS_MAX;
    answer->headers[count++] = (struct http1_header){SPAN("Content-Type"), type};
    answer->header_count = count;
}

void response_unwrap_stream(struct exchange *ex)
{
    struct span type = passed_header(ex, SPAN("X-Amzn-SageMaker-Content-Type"));
    set_content_type(ex, type.len != 0 ? type : SPAN("application/octet-stream"));
    ex->response.framing = HTTP1_CHUNKED;
}

static void append_member(struct buffer *out, struct span name, struct span value)
{
    if (value.len == 0)
        return;
    buffer_append(out, out->len == 0 ? SPAN("{\"") : SPAN(",\""));
    buffer_append(out, name);
    buffer_append(out, SPAN("\":\""));
    buffer_append_json(out, value);
    buffer_append_char(out, '"');
}

void response_complete_accepted(struct exchange *ex)
{
    static const struct span name = SPAN("InferenceId");
    struct json_scan *body = json_scan_create(&ex->arena, &name, 1);
    json_scan_push(body, buffer_span(&ex->held));
    struct span id = json_scan_get(body, name).text;
    if (id.len == 0)
        id = ex->plan.fill.parameters[SAGEMAKER_INFERENCE_ID].value;
    buffer_clear(&ex->held);
    append_member(&ex->held, name, id);
    append_member(&ex->held, SPAN("OutputLocation"),
                  passed_header(ex, SPAN("X-Amzn-SageMaker-OutputLocation")));
    append_member(&ex->held, SPAN("FailureLocation"),
                  passed_header(ex, SPAN("X-Amzn-SageMaker-FailureLocation")));
    buffer_append(&ex->held, ex->held.len == 0 ? SPAN("{}\n") : SPAN("}\n"));
    set_content_type(ex, SPAN("application/json"));
}

/* "name;dur=1.234" in milliseconds, as the W3C's Server Timing has it. */
static void append_timing(struct buffer *out, const char *name, int64_t us)
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

static void append_server_timing(struct exchange *ex)
{
    char text[512];
    struct buffer out;
    int64_t times[ACCESS_TIMES];
    buffer_init_fixed(&out, text, sizeof(text));
    timing_times(ex, times);
    append_timing(&out, "receive", times[ACCESS_RECEIVE_US]);
    append_timing(&out, "wait", times[ACCESS_WAIT_US]);
    append_timing(&out, "credentials", times[ACCESS_CREDENTIALS_US]);
    append_timing(&out, "hash", times[ACCESS_HASH_US]);
    append_timing(&out, "sign", times[ACCESS_SIGN_US]);
    append_timing(&out, "connect", times[ACCESS_CONNECT_US]);
    append_timing(&out, "tls", times[ACCESS_TLS_US]);
    append_timing(&out, "send", times[ACCESS_SEND_US]);
    append_timing(&out, "first_byte", times[ACCESS_FIRST_BYTE_US]);
    if (out.len != 0)
        writer_append_header(&ex->downstream->writer, SPAN("Server-Timing"), buffer_span(&out));
}

/* What every answer carries. */
static void append_common_headers(struct exchange *ex)
{
    struct writer *writer = &ex->downstream->writer;
    struct span inference_id = ex->plan.fill.parameters[SAGEMAKER_INFERENCE_ID].value;
    if (inference_id.len == 0)
        inference_id = span_make(ex->plan.ids.uuid, IDS_UUID_SIZE);
    writer_append_header(writer, SPAN("X-Request-Id"),
                         span_make(ex->plan.ids.request_id, IDS_UUID_SIZE));
    writer_append_header(writer, SPAN("X-Amzn-SageMaker-Inference-Id"), inference_id);
    append_server_timing(ex);
}

static bool is_head_request(const struct exchange *ex)
{
    return ex->request_parsed && span_equals(ex->request.method, SPAN("HEAD"));
}

static int minor_version(const struct exchange *ex)
{
    return ex->request_parsed ? ex->request.minor_version : 1;
}

void response_append_passed_head(struct exchange *ex, enum http1_framing framing, uint64_t length)
{
    struct writer *writer = &ex->downstream->writer;
    const struct exchange_response *answer = &ex->response;
    ex->reply_status = answer->status;
    writer_append_status(writer, answer->status);
    for (size_t i = 0; i != answer->header_count; ++i)
        writer_append_header(writer, answer->headers[i].name, answer->headers[i].value);
    if (ex->judged)
        writer_append_header(writer, SPAN("X-Sagegate-Outcome"), outcome_info(ex->outcome)->token);
    append_common_headers(ex);
    writer_end_head(writer, framing, length, minor_version(ex), ex->keep_alive,
                    is_head_request(ex));
}

static struct span error_body(struct exchange *ex, struct span message)
{
    struct buffer out;
    buffer_init(&out, ERROR_TEXT_MAX * 8);
    if (message.len > ERROR_TEXT_MAX)
        message.len = ERROR_TEXT_MAX;
    buffer_append(&out, SPAN("{\"Code\":\""));
    buffer_append(&out, outcome_info(ex->outcome)->token);
    buffer_append(&out, SPAN("\",\"Message\":\""));
    buffer_append_json(&out, message);
    buffer_append(&out, SPAN("\",\"RequestId\":\""));
    buffer_append(&out, span_make(ex->plan.ids.request_id, IDS_UUID_SIZE));
    buffer_append(&out, SPAN("\"}\n"));
    struct span body = arena_copy(&ex->arena, buffer_span(&out));
    buffer_dispose(&out);
    return body;
}

/* The blank line first ends an event of the model's that was cut. */
void response_append_stream_error(struct exchange *ex, struct span message)
{
    struct writer *writer = &ex->downstream->writer;
    struct buffer out;
    if (ex->state != EXCHANGE_STREAMING || !ex->plan.match.route->stream_error_events ||
        !span_starts_with_ignore_case(passed_header(ex, SPAN("Content-Type")),
                                      SPAN("text/event-stream")) ||
        writer_held(writer) > WRITER_HIGH_WATERMARK)
        return;
    if (message.len > ERROR_TEXT_MAX)
        message.len = ERROR_TEXT_MAX;
    buffer_init(&out, ERROR_TEXT_MAX * 8);
    buffer_append(&out, SPAN("\n\nevent: error\ndata: {\"error\":{\"code\":\""));
    buffer_append(&out, outcome_info(ex->outcome)->token);
    buffer_append(&out, SPAN("\",\"message\":\""));
    buffer_append_json(&out, message);
    buffer_append(&out, SPAN("\",\"request_id\":\""));
    buffer_append(&out, span_make(ex->plan.ids.request_id, IDS_UUID_SIZE));
    buffer_append(&out, SPAN("\"}}\n\n"));
    writer_append_body(writer, buffer_span(&out));
    buffer_dispose(&out);
}

void response_append_ready(struct exchange *ex)
{
    struct writer *writer = &ex->downstream->writer;
    ex->reply_status = 200;
    writer_append_status(writer, 200);
    append_common_headers(ex);
    writer_end_head(writer, HTTP1_LENGTH, 0, minor_version(ex), ex->keep_alive,
                    is_head_request(ex));
    writer_end(writer);
}

/* The exception that an SDK knows best for a status. */
static struct span error_type(int status)
{
    if (status == 429)
        return SPAN("ThrottlingException");
    if (status < 500)
        return SPAN("ValidationError");
    return status == 503 || status == 504 ? SPAN("ServiceUnavailable") : SPAN("InternalFailure");
}

static bool looks_like_json(struct span text)
{
    text = span_trim(text);
    return text.len != 0 && (text.at[0] == '{' || text.at[0] == '[');
}

void response_append_error(struct exchange *ex, int status, struct span message, int retry_after_s,
                           bool is_model_text)
{
    struct writer *writer = &ex->downstream->writer;
    char date[CLOCK_HTTP_SIZE];
    struct span body = is_model_text ? message : error_body(ex, message);
    bool json = !is_model_text || looks_like_json(message);
    ex->reply_status = status;
    clock_format_http(clock_wall(), date);
    writer_append_status(writer, status);
    writer_append_header(writer, SPAN("Date"), span_from(date));
    writer_append_header(writer, SPAN("Content-Type"),
                         json ? SPAN("application/json") : SPAN("text/plain; charset=utf-8"));
    writer_append_header(writer, SPAN("X-Sagegate-Outcome"), outcome_info(ex->outcome)->token);
    writer_append_header(writer, SPAN("x-amzn-ErrorType"),
                         ex->outcome == OUTCOME_MODEL_ERROR ? SPAN("ModelError")
                                                            : error_type(status));
    if (status == 405 && ex->plan.match.allowed.len != 0)
        writer_append_header(writer, SPAN("Allow"), ex->plan.match.allowed);
    if (retry_after_s != 0) {
        struct span seconds = arena_printf(&ex->arena, "%d", retry_after_s);
        writer_append_header(writer, SPAN("Retry-After"), seconds);
    }
    append_common_headers(ex);
    writer_end_head(writer, HTTP1_LENGTH, body.len, minor_version(ex), ex->keep_alive,
                    is_head_request(ex));
    writer_append_body(writer, body);
    writer_end(writer);
}
