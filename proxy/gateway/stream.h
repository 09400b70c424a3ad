/* The answer of InvokeEndpointWithResponseStream: what of it is passed on, and how it ended. Pure; it knows neither the
 * caller nor the connection.
 *
 * Nothing of a message is passed on before its checksum was right. Decoded, the pieces are the payloads: the model's own
 * bytes, as an HTTP caller wants them. Raw, they are the messages as they came, for an SDK. Source: API reference, page
 * API_runtime_InvokeEndpointWithResponseStream. */
#ifndef SAGEGATE_GATEWAY_STREAM_H
#define SAGEGATE_GATEWAY_STREAM_H

#include "aws/eventstream.h"
#include "base/arena.h"
#include "gateway/admission.h"

enum {
    STREAM_UNCOUNTED_MAX = 256 * 1024, /* a longer message is taken from limits.body_bytes */
};

enum stream_form {
    STREAM_NONE, /* the answer is no event stream, or none that is looked at */
    STREAM_DECODED,
    STREAM_RAW,
};

enum stream_end {
    STREAM_GOES_ON, /* or has ended well */
    STREAM_EXCEPTION,
    STREAM_CORRUPT,
    STREAM_TRUNCATED,
    STREAM_MEMORY_FULL,
};

/* Embedded in an exchange; all zero is STREAM_NONE. */
struct stream {
    enum stream_form form;
    enum stream_end end; /* once set it stays */
    struct eventstream decoder;
    struct arena *arena;
    struct admission *admission;
    uint64_t reserved; /* bytes taken from admission */
    uint64_t parts;    /* PayloadPart events */
    /* Of an exception or error message, in the arena. */
    struct span code; /* "ModelStreamError"; SPAN_NONE if not told */
    struct span
        message; /* "ModelStreamError (StreamBroken): text", for the caller; to be redacted */
    int status;  /* the HTTP status that says it best */
};

void stream_begin(struct stream *stream, enum stream_form form, struct admission *admission,
                  struct arena *arena);
void stream_dispose(struct stream *stream);

/* Takes from the front of *bytes. True: *piece is the next to be passed on, valid until the next call and no longer than
 * *bytes; it may be empty. False: all is taken, or nothing more will come, as `end` says. A raw stream passes its
 * exceptions on and goes on to its end. */
MUST_USE bool stream_next(struct stream *stream, struct span *bytes, struct span *piece);

/* The answer's body has ended: that is a good end between two messages only. */
void stream_finish(struct stream *stream);

/* Must the exchange fail now? An exception in a raw stream is its reader's affair. */
static inline bool stream_has_failed(const struct stream *stream)
{
    return stream->end > STREAM_EXCEPTION ||
           (stream->end == STREAM_EXCEPTION && stream->form == STREAM_DECODED);
}

/* One line for people, without anything the model said; stream->end must be set. */
const char *stream_fault(const struct stream *stream);

#endif
