/* Frames responses, and buffers them between the upstream's pace and the caller's. */
#include "gateway/writer.h"

void writer_init(struct writer *writer)
{
    *writer = (struct writer){0};
    buffer_init(&writer->out, WRITER_HELD_MAX);
}

void writer_dispose(struct writer *writer)
{
    buffer_dispose(&writer->out);
}

void writer_reset(struct writer *writer)
{
    struct buffer out = writer->out;
    if (out.capacity > WRITER_KEPT_MAX)
        buffer_dispose(&out);
    buffer_clear(&out);
    *writer = (struct writer){.out = out};
}

void writer_append_status(struct writer *writer, int status)
{
    CHECK(!writer->begun);
    writer->begun = true;
    writer->head_at = writer->out.len;
    buffer_append(&writer->out, SPAN("HTTP/1.1 "));
    buffer_append_u64(&writer->out, (uint64_t)status);
    buffer_append_char(&writer->out, ' ');
    buffer_append(&writer->out, http1_reason(status));
    buffer_append(&writer->out, SPAN("\r\n"));
}

void writer_append_header(struct writer *writer, struct span name, struct span value)
{
    buffer_append(&writer->out, name);
    buffer_append(&writer->out, SPAN(": "));
    buffer_append(&writer->out, value);
    buffer_append(&writer->out, SPAN("\r\n"));
}

void writer_end_head(struct writer *writer, enum http1_framing framing, uint64_t length,
                     int minor_version, bool keep_alive, bool head_only)
{
    if (framing == HTTP1_LENGTH) {
        buffer_append(&writer->out, SPAN("Content-Length: "));
        buffer_append_u64(&writer->out, length);
        buffer_append(&writer->out, SPAN("\r\n"));
    }
    if (framing == HTTP1_CHUNKED)
        writer_append_header(writer, SPAN("Transfer-Encoding"), SPAN("chunked"));
    if (!keep_alive)
        writer_append_header(writer, SPAN("Connection"), SPAN("close"));
    if (keep_alive && minor_version == 0)
        writer_append_header(writer, SPAN("Connection"), SPAN("keep-alive"));
    buffer_append(&writer->out, SPAN("\r\n"));
    writer->framing = head_only ? HTTP1_NO_BODY : framing;
}

void writer_discard(struct writer *writer)
{
    CHECK(!writer->head_sent);
    if (writer->begun) {
        writer->out.len = writer->head_at;
        writer->out.overflowed = false;
    }
    writer->begun = false;
    writer->body_bytes = 0;
}

void writer_append_body(struct writer *writer, struct span data)
{
    char prefix[HTTP1_CHUNK_PREFIX_SIZE];
    if (writer->framing == HTTP1_NO_BODY || data.len == 0)
        return;
    if (writer->framing == HTTP1_CHUNKED)
        buffer_append(&writer->out, span_make(prefix, http1_format_chunk_prefix(prefix, data.len)));
    buffer_append(&writer->out, data);
    if (writer->framing == HTTP1_CHUNKED)
        buffer_append(&writer->out, SPAN("\r\n"));
    writer->body_bytes += data.len;
}

void writer_end(struct writer *writer)
{
    if (writer->framing == HTTP1_CHUNKED)
        buffer_append(&writer->out, SPAN("0\r\n\r\n"));
}

void writer_append_continue(struct writer *writer)
{
    buffer_append(&writer->out, SPAN("HTTP/1.1 100 Continue\r\n\r\n"));
}

bool writer_flush(struct writer *writer, struct connection *conn)
{
    CHECK(!writer->out.overflowed);
    if (writer_held(writer) != 0) {
        struct iovec iov = {writer->out.at + writer->sent, writer_held(writer)};
        ssize_t taken = connection_write(conn, &iov, 1);
        if (taken < 0)
            return false;
        writer->sent += (size_t)taken;
        writer->head_sent |= writer->begun && writer->sent > writer->head_at;
    }
    /* Discard what the kernel has taken once it is the larger part. */
    if (writer->sent > writer->out.len / 2) {
        buffer_consume(&writer->out, writer->sent);
        writer->head_at -= writer->head_at < writer->sent ? writer->head_at : writer->sent;
        writer->sent = 0;
    }
    return true;
}
