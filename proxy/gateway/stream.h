/* The response of InvokeEndpointWithResponseStream: which of its bytes are passed on, and how it
 * ends. Pure.
 *
 * Nothing of a message is passed on before its checksum is verified. Decoded, the pieces are the
 * payloads: the model's own bytes, as an HTTP client expects them. Raw, they are the messages as
 * they came, for an SDK. Source: SageMaker Runtime API reference,
 * InvokeEndpointWithResponseStream. */
#ifndef SAGEGATE_GATEWAY_STREAM_H
#define SAGEGATE_GATEWAY_STREAM_H

#include "aws/eventstream.h"
#include "base/arena.h"
#include "gateway/admission.h"

enum {
    STREAM_UNCOUNTED_MAX = 256 * 1024, /* bytes of a message; memory for a longer one is taken */
};

enum stream_form {
    STREAM_NONE, /* not an event stream, or one that is not looked at */
    STREAM_DECODED,
    STREAM_RAW,
};

enum stream_end {
    STREAM_GOES_ON, /* or ended well */
    STREAM_EXCEPTION,
    STREAM_CORRUPT,
    STREAM_TRUNCATED,
    STREAM_MEMORY_FULL,
};

/* Embedded in its owner; all zero is STREAM_NONE. */
struct stream {
    enum stream_form form;
    enum stream_end end; /* never changes once set */
    struct eventstream decoder;
    struct arena *arena;
    struct admission *admission;
    uint64_t reserved; /* bytes of memory taken */
    uint64_t parts;    /* PayloadPart events */
    /* Of an exception or error message, in the arena. */
    struct span code;    /* "ModelStreamError"; SPAN_NONE if it has none */
    struct span message; /* "ModelStreamError (StreamBroken): text", not redacted */
    int status;          /* the HTTP status that fits it best */
};

void stream_begin(struct stream *stream, enum stream_form form, struct admission *admission,
                  struct arena *arena);
void stream_dispose(struct stream *stream);

/* Takes bytes from the front of *bytes. Returns true if *piece is to be passed on; it may be empty,
 * and is valid until the next call and no longer than *bytes. Returns false if all bytes are taken,
 * or `end` says that no more will follow. A raw stream passes its exceptions on and continues. */
MUST_USE bool stream_next(struct stream *stream, struct span *bytes, struct span *piece);

/* The response's body has ended, which is a good end only between two messages. */
void stream_finish(struct stream *stream);

/* Whether the response cannot go on. An exception in a raw stream is left to its reader. */
static inline bool stream_has_failed(const struct stream *stream)
{
    return stream->end > STREAM_EXCEPTION ||
           (stream->end == STREAM_EXCEPTION && stream->form == STREAM_DECODED);
}

/* One line for people, without any text of the model. stream->end must be set. */
const char *stream_fault(const struct stream *stream);

#endif
