/* Answers to callers: framing, and the buffer between the upstream's pace and the caller's. */
#include "gateway/reply.h"

void reply_init(struct reply *reply)
{
    *reply = (struct reply){0};
    buffer_init(&reply->out, REPLY_HELD_MAX);
}

void reply_dispose(struct reply *reply)
{
    buffer_dispose(&reply->out);
}

void reply_reset(struct reply *reply)
{
    struct buffer out = reply->out;
    if (out.capacity > REPLY_KEPT_MAX)
        buffer_dispose(&out);
    buffer_clear(&out);
    *reply = (struct reply){.out = out};
}

void reply_append_status(struct reply *reply, int status)
{
    CHECK(!reply->begun);
    reply->begun = true;
    reply->head_at = reply->out.len;
    buffer_append(&reply->out, SPAN("HTTP/1.1 "));
    buffer_append_u64(&reply->out, (uint64_t)status);
    buffer_append_char(&reply->out, ' ');
    buffer_append(&reply->out, http1_reason(status));
    buffer_append(&reply->out, SPAN("\r\n"));
}

void reply_append_header(struct reply *reply, struct span name, struct span value)
{
    buffer_append(&reply->out, name);
    buffer_append(&reply->out, SPAN(": "));
    buffer_append(&reply->out, value);
    buffer_append(&reply->out, SPAN("\r\n"));
}

void reply_end_head(struct reply *reply, enum http1_framing framing, uint64_t length,
                    int minor_version, bool keep_alive, bool head_only)
{
    if (framing == HTTP1_LENGTH) {
        buffer_append(&reply->out, SPAN("Content-Length: "));
        buffer_append_u64(&reply->out, length);
        buffer_append(&reply->out, SPAN("\r\n"));
    }
    if (framing == HTTP1_CHUNKED)
        reply_append_header(reply, SPAN("Transfer-Encoding"), SPAN("chunked"));
    if (!keep_alive)
        reply_append_header(reply, SPAN("Connection"), SPAN("close"));
    if (keep_alive && minor_version == 0)
        reply_append_header(reply, SPAN("Connection"), SPAN("keep-alive"));
    buffer_append(&reply->out, SPAN("\r\n"));
    reply->framing = head_only ? HTTP1_NO_BODY : framing;
}

void reply_discard(struct reply *reply)
{
    CHECK(!reply->head_sent);
    if (reply->begun) {
        reply->out.len = reply->head_at;
        reply->out.overflowed = false;
    }
    reply->begun = reply->ended = false;
    reply->body_bytes = 0;
}

void reply_append_body(struct reply *reply, struct span data)
{
    char prefix[HTTP1_CHUNK_PREFIX_SIZE];
    if (reply->framing == HTTP1_NO_BODY || data.len == 0)
        return;
    if (reply->framing == HTTP1_CHUNKED)
        buffer_append(&reply->out, span_make(prefix, http1_format_chunk_prefix(prefix, data.len)));
    buffer_append(&reply->out, data);
    if (reply->framing == HTTP1_CHUNKED)
        buffer_append(&reply->out, SPAN("\r\n"));
    reply->body_bytes += data.len;
}

void reply_end(struct reply *reply)
{
    if (reply->framing == HTTP1_CHUNKED)
        buffer_append(&reply->out, SPAN("0\r\n\r\n"));
    reply->ended = true;
}

void reply_append_continue(struct reply *reply)
{
    buffer_append(&reply->out, SPAN("HTTP/1.1 100 Continue\r\n\r\n"));
}

bool reply_flush(struct reply *reply, struct connection *conn)
{
    CHECK(!reply->out.overflowed);
    if (reply_held(reply) != 0) {
        struct iovec iov = {reply->out.at + reply->sent, reply_held(reply)};
        ssize_t taken = connection_write(conn, &iov, 1);
        if (taken < 0)
            return false;
        reply->sent += (size_t)taken;
        reply->head_sent |= reply->begun && reply->sent > reply->head_at;
    }
    /* What the kernel has taken leaves room once it is the larger part. */
    if (reply->sent > reply->out.len / 2) {
        buffer_consume(&reply->out, reply->sent);
        reply->head_at -= reply->head_at < reply->sent ? reply->head_at : reply->sent;
        reply->sent = 0;
    }
    return true;
}
