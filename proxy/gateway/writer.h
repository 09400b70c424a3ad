/* Writes responses to one downstream connection: head, framing, and the bytes that the caller has
 * not read yet.
 *
 * Functions only append; writer_flush sends. The framing follows the caller's HTTP version:
 * Content-Length if the length is known, else chunked for HTTP/1.1. HTTP/1.0 cannot detect
 * truncation, so its owner collects a response of unknown length and then knows the length.
 * Sources: RFC 9112 sections 6 and 7. */
#ifndef SAGEGATE_GATEWAY_WRITER_H
#define SAGEGATE_GATEWAY_WRITER_H

#include "net/connection.h"
#include "net/http1.h"

enum {
    WRITER_HIGH_WATERMARK = 256 * 1024, /* held bytes at which the upstream is paused */
    WRITER_LOW_WATERMARK = 64 * 1024,   /* held bytes at which it resumes */
    /* Never exceeded: above the watermark come at most one read, the event-stream message that it
     * completes, and framing. */
    WRITER_HELD_MAX = 18 * 1024 * 1024,
    WRITER_KEPT_MAX = 16 * 1024, /* memory an idle connection keeps */
};

struct writer {
    struct buffer out;
    size_t sent;                /* bytes of out that the kernel has taken */
    size_t head_at;             /* offset of the response's head in out, until part of it is sent */
    enum http1_framing framing; /* HTTP1_NO_BODY: also a response to HEAD */
    bool begun;                 /* a head has been appended */
    bool head_sent;             /* the kernel has taken part of it: it cannot be replaced */
    uint64_t body_bytes;        /* of the response's body, without framing */
};

void writer_init(struct writer *writer);
void writer_dispose(struct writer *writer);
/* Prepares for the connection's next response; keeps at most WRITER_KEPT_MAX bytes of memory. */
void writer_reset(struct writer *writer);

/* Begins a response with its status line. */
void writer_append_status(struct writer *writer, int status);
void writer_append_header(struct writer *writer, struct span name, struct span value);
/* Appends Content-Length or Transfer-Encoding, Connection if needed, and the empty line. length:
 * with HTTP1_LENGTH. */
void writer_end_head(struct writer *writer, enum http1_framing framing, uint64_t length,
                     int minor_version, bool keep_alive, bool head_only);
/* Discards the current response, so that another can replace it. head_sent must be false. */
void writer_discard(struct writer *writer);
void writer_append_body(struct writer *writer, struct span data);
void writer_end(struct writer *writer);
/* "HTTP/1.1 100 Continue" */
void writer_append_continue(struct writer *writer);

/* Returns how many appended bytes the kernel has not taken. */
static inline size_t writer_held(const struct writer *writer)
{
    return writer->out.len - writer->sent;
}
/* Writes as much as the connection takes; on_writable fires while bytes are held. Returns false if
 * the connection failed. */
MUST_USE bool writer_flush(struct writer *writer, struct connection *conn);

#endif
