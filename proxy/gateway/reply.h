/* The answer to the caller: its head, its framing, and the bytes that the caller has not taken yet.
 *
 * Appends only; nothing is sent before reply_flush. The framing follows the caller's version: a known length as
 * Content-Length, else chunked for HTTP/1.1; for HTTP/1.0, which could not see a cut, the exchange collects the whole
 * answer first. Sources: RFC 9112 sections 6 and 7. */
#ifndef SAGEGATE_GATEWAY_REPLY_H
#define SAGEGATE_GATEWAY_REPLY_H

#include "net/connection.h"
#include "net/http1.h"

enum {
    REPLY_HIGH_WATERMARK = 256 * 1024, /* held bytes at which the upstream is paused */
    REPLY_LOW_WATERMARK = 64 * 1024,   /* and at which it goes on */
    /* Never more: past the watermark one read, with the one message of an event stream that it made whole, and their
     * framing. A single message may be that long; the usual ones are some KiB. */
    REPLY_HELD_MAX = 18 * 1024 * 1024,
    REPLY_KEPT_MAX = 16 * 1024, /* memory an idle connection keeps */
};

struct reply {
    struct buffer out;
    size_t sent;    /* bytes of out that the kernel has */
    size_t head_at; /* where in out the answer's head begins, until some of it is sent */
    enum http1_framing framing; /* NO_BODY: also an answer to HEAD */
    bool begun;                 /* a head has been appended */
    bool head_sent; /* some byte of it is with the kernel: no other answer is possible */
    bool ended;
    uint64_t body_bytes; /* of the answer's body, without framing */
};

void reply_init(struct reply *reply);
void reply_dispose(struct reply *reply);
/* Ready for the next answer of the connection; keeps a little memory. */
void reply_reset(struct reply *reply);

/* "HTTP/1.1 200 OK" and nothing more. */
void reply_append_status(struct reply *reply, int status);
void reply_append_header(struct reply *reply, struct span name, struct span value);
/* Content-Length or Transfer-Encoding, Connection where it must be said, and the empty line. length: with HTTP1_LENGTH. */
void reply_end_head(struct reply *reply, enum http1_framing framing, uint64_t length,
                    int minor_version, bool keep_alive, bool head_only);
/* Takes the begun answer back, to give another; only while head_sent is false. */
void reply_discard(struct reply *reply);
void reply_append_body(struct reply *reply, struct span data);
void reply_end(struct reply *reply);
/* "HTTP/1.1 100 Continue" */
void reply_append_continue(struct reply *reply);

/* Bytes appended and not yet with the kernel. */
static inline size_t reply_held(const struct reply *reply)
{
    return reply->out.len - reply->sent;
}
/* Gives what it can to the connection. False: the connection has failed. connection->on_writable will come while
 * something is held. */
MUST_USE bool reply_flush(struct reply *reply, struct connection *conn);

#endif
