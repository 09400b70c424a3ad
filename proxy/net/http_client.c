/* One request over the upstream client, its response collected whole. */
#include "net/http_client.h"

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

static struct http_client *of_upstream(struct upstream_request *upstream)
{
    return H2O_STRUCT_FROM_MEMBER(struct http_client, upstream, upstream);
}

bool http_client_is_header_value(struct span value)
{
    for (size_t i = 0; i != value.len; ++i)
        if (!ascii_is_printable(value.at[i]))
            return false;
    return value.len != 0;
}

static void append_header(struct buffer *head, struct span name, struct span value)
{
    buffer_append(head, name);
    buffer_append(head, SPAN(": "));
    buffer_append(head, value);
    buffer_append(head, SPAN("\r\n"));
}

static void write_request(struct http_client *client, const struct http_client_request *request)
{
    size_t size = 256 + request->path.len + request->url->authority.len;
    for (size_t i = 0; i != request->header_count; ++i)
        size += request->headers[i].name.len + request->headers[i].value.len + 4;
    secret_buffer_init(&client->head, size);
    buffer_append(&client->head, request->method);
    buffer_append_char(&client->head, ' ');
    buffer_append(&client->head, request->path);
    buffer_append(&client->head, SPAN(" HTTP/1.1\r\n"));
    append_header(&client->head, SPAN("Host"), request->url->authority);
    for (size_t i = 0; i != request->header_count; ++i)
        append_header(&client->head, request->headers[i].name, request->headers[i].value);
    append_header(&client->head, SPAN("User-Agent"), SPAN("sagegate"));
    if (!span_equals(request->method, SPAN("GET"))) {
        buffer_append(&client->head, SPAN("Content-Length: "));
        buffer_append_u64(&client->head, request->body.len);
        buffer_append(&client->head, SPAN("\r\n"));
    }
    buffer_append(&client->head, SPAN("Connection: close\r\n\r\n"));
    CHECK(!client->head.overflowed);
    if (request->body.len == 0)
        return;
    client->chunk = malloc(sizeof(*client->chunk) + request->body.len);
    CHECK(client->chunk != NULL);
    *client->chunk =
        (struct upstream_chunk){.len = request->body.len, .capacity = request->body.len};
    memcpy(client->chunk->bytes, request->body.at, request->body.len);
}

void http_client_start(struct http_client *client, struct loop *loop,
                       const struct http_client_request *request,
                       void (*on_done)(struct http_client *client), void *owner)
{
    struct pool_options options = {.dialer = {.host = request->url->host,
                                              .port = request->url->port,
                                              .trust = request->url->tls ? request->trust : NULL,
                                              .cleanse = true,
                                              .proxy_host = request->proxy.host,
                                              .proxy_port = request->proxy.port,
                                              .proxy_authorization = request->proxy.authorization}};
    CHECK(!request->url->tls || request->trust != NULL);
    *client =
        (struct http_client){.on_done = on_done, .owner = owner, .timeout_ms = request->timeout_ms};
    secret_buffer_init(&client->response, HTTP_CLIENT_RESPONSE_MAX);
    write_request(client, request);
    client->pool = pool_create(loop, &options);
    loop_read_clock(loop);
    client->timer.fire = on_timeout;
    loop_set_timer(loop, &client->timer, clock_after_ms(loop->now, request->timeout_ms));
    CHECK(!upstream_start(&client->upstream, client->pool, &callbacks, true));
}

/* Ends the request; the result stays. */
static void stop(struct http_client *client)
{
    struct loop *loop;
    if (client->pool == NULL)
        return;
    loop = pool_loop(client->pool);
    upstream_cancel(&client->upstream);
    loop_cancel_timer(loop, &client->timer);
    loop_wipe(loop);
    pool_destroy(client->pool);
    client->pool = NULL;
    secret_free(client->chunk);
    client->chunk = NULL;
    secret_buffer_dispose(&client->head);
}

static void fail(struct http_client *client, const char *why)
{
    snprintf(client->why, sizeof(client->why), "%s", why);
    client->status = 0;
    stop(client);
    client->on_done(client);
}

static void on_ready(struct upstream_request *upstream)
{
    struct http_client *client = of_upstream(upstream);
    upstream_send(upstream, buffer_span(&client->head), client->chunk, false);
}

static void on_head(struct upstream_request *upstream, const struct http1_response *head)
{
    struct http_client *client = of_upstream(upstream);
    client->status = head->status;
    if (!clock_parse_http(http1_header_value(&head->headers, SPAN("date")), &client->date))
        client->date.us = 0;
}

static void on_data(struct upstream_request *upstream, struct span data)
{
    buffer_append(&of_upstream(upstream)->response, data);
}

static void on_flush(struct upstream_request *upstream)
{
    struct http_client *client = of_upstream(upstream);
    if (client->response.overflowed)
        fail(client, "the response is larger than 64 KiB");
}

static void on_end(struct upstream_request *upstream)
{
    struct http_client *client = of_upstream(upstream);
    if (client->response.overflowed) {
        fail(client, "the response is larger than 64 KiB");
        return;
    }
    stop(client);
    client->on_done(client);
}

static void on_failed(struct upstream_request *upstream, enum upstream_failure failure,
                      const char *why)
{
    static const char *const heads[] = {
        [UPSTREAM_DNS_FAILED] = "DNS lookup failed",
        [UPSTREAM_CONNECT_FAILED] = "cannot connect",
        [UPSTREAM_PROXY_REFUSED] = "CONNECT failed",
        [UPSTREAM_TLS_FAILED] = "TLS handshake or certificate verification failed",
        [UPSTREAM_STALE] = "no response",
        [UPSTREAM_SEND_FAILED] = "connection closed while sending the request",
        [UPSTREAM_NO_RESPONSE] = "connection closed without a response",
        [UPSTREAM_BAD_RESPONSE] = "the response is not well-formed HTTP/1.1",
        [UPSTREAM_BROKEN] = "the response was truncated",
    };
    char text[HTTP_CLIENT_WHY_SIZE];
    snprintf(text, sizeof(text), "%s: %s", heads[failure], why);
    fail(of_upstream(upstream), text);
}

static void on_timeout(struct timer *timer)
{
    struct http_client *client = H2O_STRUCT_FROM_MEMBER(struct http_client, timer, timer);
    char text[HTTP_CLIENT_WHY_SIZE];
    snprintf(text, sizeof(text), "%s within %lld ms",
             client->upstream.phase == UPSTREAM_CONNECTING ? "no connection" : "no response",
             (long long)client->timeout_ms);
    client->timed_out = true;
    fail(client, text);
}

void http_client_dispose(struct http_client *client)
{
    stop(client);
    secret_buffer_dispose(&client->response);
}
