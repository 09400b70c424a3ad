/* The response of InvokeEndpointWithResponseStream: selects the bytes that are passed on and finds
 * out how the stream ends. Pure.
 *
 * Verifies the checksum of a message before passing on any of it. Decoded: passes on the payloads,
 * the model's own bytes, as an HTTP client expects them. Raw: passes on the messages as received,
 * for an SDK. Source: SageMaker Runtime API reference, InvokeEndpointWithResponseStream. */
#ifndef SAGEGATE_GATEWAY_STREAM_H
#define SAGEGATE_GATEWAY_STREAM_H

#include "aws/eventstream.h"
#include "base/arena.h"
#include "gateway/admission.h"

enum {
    STREAM_UNCOUNTED_MAX = 256 * 1024, /* bytes; a longer message counts as body memory */
};

enum stream_form {
    STREAM_NONE, /* not an event stream, or one that is passed on unparsed */
    STREAM_DECODED,
    STREAM_RAW,
};

enum stream_end {
    STREAM_GOES_ON, /* or ended without an error */
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
    /* Of an exception or error message; in the arena. */
    struct span code;    /* "ModelStreamError"; SPAN_NONE if it has none */
    struct span message; /* "ModelStreamError (StreamBroken): text", not redacted */
    int status;          /* the closest HTTP status */
};

void stream_begin(struct stream *stream, enum stream_form form, struct admission *admission,
                  struct arena *arena);
void stream_dispose(struct stream *stream);

/* Takes bytes from the start of *bytes. Returns true if *piece is to be passed on; it may be empty,
 * and is valid until the next call and as long as *bytes is. Returns false if all bytes are taken,
 * or `end` shows that no more pieces follow. A raw stream passes its exceptions on and
 * continues. */
MUST_USE bool stream_next(struct stream *stream, struct span *bytes, struct span *piece);

/* Ends the stream when the response's body has ended: STREAM_TRUNCATED unless between two
 * messages. */
void stream_finish(struct stream *stream);

/* Returns whether the response cannot continue. An exception in a raw stream is left to its
 * reader. */
static inline bool stream_has_failed(const struct stream *stream)
{
    return stream->end > STREAM_EXCEPTION ||
           (stream->end == STREAM_EXCEPTION && stream->form == STREAM_DECODED);
}

/* Returns one line without any text of the model. stream->end must be set. */
const char *stream_fault(const struct stream *stream);

#endif
