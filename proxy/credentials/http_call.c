/* A call over the upstream client, its answer gathered whole. */
#include "credentials/http_call.h"

#include <stdlib.h>

#include "base/secret.h"

static void on_ready(struct upstream_request *upstream);
static void on_head(struct upstream_request *upstream, const struct http1_response *head);
static void on_data(struct upstream_request *upstream, struct span data);
static void on_flush(struct upstream_request *upstream);
static void on_end(struct upstream_request *upstream);
static void on_failed(struct upstream_request *upstream, enum upstream_failure failure,
                      const char *why);
static void on_timeout(struct timer *timer);

static const struct upstream_callbacks callbacks = {on_ready, on_head, on_data,
                                                    on_flush, on_end,  on_failed};

static struct http_call *of_upstream(struct upstream_request *upstream)
{
    return H2O_STRUCT_FROM_MEMBER(struct http_call, upstream, upstream);
}

static void append_header(struct buffer *head, struct span name, struct span value)
{
    buffer_append(head, name);
    buffer_append(head, SPAN(": "));
    buffer_append(head, value);
    buffer_append(head, SPAN("\r\n"));
}

/* Fixed memory: a buffer that grows would leave copies behind. */
static void open_buffer(struct buffer *buffer, size_t size)
{
    void *at = malloc(size);
    CHECK(at != NULL);
    buffer_init_fixed(buffer, at, size);
}

static void close_buffer(struct buffer *buffer)
{
    if (buffer->at != NULL)
        secret_wipe(buffer->at, buffer->capacity);
    free(buffer->at);
    *buffer = (struct buffer){0};
}

static void write_request(struct http_call *call, const struct http_call_request *request)
{
    size_t size = 256 + request->path.len + request->url->authority.len;
    for (size_t i = 0; i != request->header_count; ++i)
        size += request->headers[i].name.len + request->headers[i].value.len + 4;
    open_buffer(&call->head, size);
    buffer_append(&call->head, request->method);
    buffer_append_char(&call->head, ' ');
    buffer_append(&call->head, request->path);
    buffer_append(&call->head, SPAN(" HTTP/1.1\r\n"));
    append_header(&call->head, SPAN("Host"), request->url->authority);
    for (size_t i = 0; i != request->header_count; ++i)
        append_header(&call->head, request->headers[i].name, request->headers[i].value);
    append_header(&call->head, SPAN("User-Agent"), SPAN("sagegate"));
    if (!span_equals(request->method, SPAN("GET"))) {
        buffer_append(&call->head, SPAN("Content-Length: "));
        buffer_append_u64(&call->head, request->body.len);
        buffer_append(&call->head, SPAN("\r\n"));
    }
    buffer_append(&call->head, SPAN("Connection: close\r\n\r\n"));
    CHECK(!call->head.overflowed);
    if (request->body.len == 0)
        return;
    call->chunk = malloc(sizeof(*call->chunk) + request->body.len);
    CHECK(call->chunk != NULL);
    *call->chunk = (struct upstream_chunk){.len = request->body.len, .capacity = request->body.len};
    memcpy(call->chunk->bytes, request->body.at, request->body.len);
}

void http_call_start(struct http_call *call, struct loop *loop,
                     const struct http_call_request *request,
                     void (*on_done)(struct http_call *call), void *owner)
{
    struct pool_options options = {.dialer = {.host = request->url->host,
                                              .port = request->url->port,
                                              .trust = request->url->tls ? request->trust : NULL,
                                              .proxy_host = request->proxy.host,
                                              .proxy_port = request->proxy.port,
                                              .proxy_authorization = request->proxy.authorization}};
    CHECK(!request->url->tls || request->trust != NULL);
    *call =
        (struct http_call){.on_done = on_done, .owner = owner, .timeout_ms = request->timeout_ms};
    open_buffer(&call->answer, HTTP_CALL_ANSWER_MAX);
    write_request(call, request);
    call->pool = pool_create(loop, &options);
    loop_read_clock(loop);
    call->timer.fire = on_timeout;
    loop_set_timer(loop, &call->timer, clock_after_ms(loop->now, request->timeout_ms));
    CHECK(!upstream_start(&call->upstream, call->pool, &callbacks, true));
}

/* Nothing is under way any more; the result stays. */
static void stop(struct http_call *call)
{
    struct loop *loop;
    if (call->pool == NULL)
        return;
    loop = pool_loop(call->pool);
    upstream_cancel(&call->upstream);
    loop_cancel_timer(loop, &call->timer);
    secret_wipe(loop->plain_in, LOOP_READ_SIZE);
    pool_destroy(call->pool);
    call->pool = NULL;
    if (call->chunk != NULL)
        secret_wipe(call->chunk->bytes, call->chunk->len);
    free(call->chunk);
    call->chunk = NULL;
    close_buffer(&call->head);
}

static void fail(struct http_call *call, const char *why)
{
    snprintf(call->why, sizeof(call->why), "%s", why);
    call->status = 0;
    stop(call);
    call->on_done(call);
}

static void on_ready(struct upstream_request *upstream)
{
    struct http_call *call = of_upstream(upstream);
    upstream_send(upstream, buffer_span(&call->head), call->chunk, false);
}

static void on_head(struct upstream_request *upstream, const struct http1_response *head)
{
    struct http_call *call = of_upstream(upstream);
    call->status = head->status;
    if (!clock_parse_http(http1_header_value(&head->headers, SPAN("date")), &call->date))
        call->date.us = 0;
}

static void on_data(struct upstream_request *upstream, struct span data)
{
    buffer_append(&of_upstream(upstream)->answer, data);
}

static void on_flush(struct upstream_request *upstream)
{
    struct http_call *call = of_upstream(upstream);
    if (call->answer.overflowed)
        fail(call, "the answer is larger than 64 KiB");
}

static void on_end(struct upstream_request *upstream)
{
    struct http_call *call = of_upstream(upstream);
    if (call->answer.overflowed) {
        fail(call, "the answer is larger than 64 KiB");
        return;
    }
    stop(call);
    call->on_done(call);
}

static void on_failed(struct upstream_request *upstream, enum upstream_failure failure,
                      const char *why)
{
    static const char *const heads[] = {
        [UPSTREAM_DNS_FAILED] = "the name cannot be resolved",
        [UPSTREAM_CONNECT_FAILED] = "cannot connect",
        [UPSTREAM_PROXY_REFUSED] = "the proxy refused",
        [UPSTREAM_TLS_FAILED] = "TLS failed",
        [UPSTREAM_STALE] = "no answer",
        [UPSTREAM_SEND_FAILED] = "closed while the request was sent",
        [UPSTREAM_NO_ANSWER] = "closed without an answer",
        [UPSTREAM_BAD_RESPONSE] = "the answer is not well-formed HTTP/1.1",
        [UPSTREAM_BROKEN] = "the answer was cut short",
    };
    char text[HTTP_CALL_WHY_SIZE];
    snprintf(text, sizeof(text), "%s: %s", heads[failure], why);
    fail(of_upstream(upstream), text);
}

static void on_timeout(struct timer *timer)
{
    struct http_call *call = H2O_STRUCT_FROM_MEMBER(struct http_call, timer, timer);
    char text[HTTP_CALL_WHY_SIZE];
    snprintf(text, sizeof(text), "%s within %lld ms",
             call->upstream.phase == UPSTREAM_CONNECTING ? "no connection" : "no answer",
             (long long)call->timeout_ms);
    call->timed_out = true;
    fail(call, text);
}

void http_call_dispose(struct http_call *call)
{
    stop(call);
    close_buffer(&call->answer);
}
