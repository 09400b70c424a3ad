/* Decodes application/vnd.amazon.eventstream as it arrives. Pure, with bounded memory.
 *
 * Messages and the chunks of input need not align, and neither need payloads and the model's own
 * output: a character may be split. Source: Smithy's event stream specification; API reference,
 * API_runtime_InvokeEndpointWithResponseStream. */
#ifndef SAGEGATE_AWS_EVENTSTREAM_H
#define SAGEGATE_AWS_EVENTSTREAM_H

#include "base/buffer.h"

enum {
    EVENTSTREAM_HEADERS_MAX = 128 * 1024,
    /* botocore accepts payloads up to 24 MiB; SageMaker's have some KiB. */
    EVENTSTREAM_MESSAGE_MAX = 16 * 1024 * 1024 + EVENTSTREAM_HEADERS_MAX,
};

enum eventstream_kind {
    EVENTSTREAM_EVENT,     /* also if :message-type is missing, as in botocore */
    EVENTSTREAM_EXCEPTION, /* modelled, ends the stream; the payload is JSON for aws_error_parse */
    EVENTSTREAM_ERROR,     /* not modelled, ends the stream */
    EVENTSTREAM_UNKNOWN,   /* another :message-type; skip it */
};

/* Valid until the next call, and no longer than the input. */
struct eventstream_message {
    enum eventstream_kind kind;
    struct span type; /* :event-type, :exception-type or :error-code; SPAN_NONE if absent */
    struct span error_message; /* :error-message, SPAN_NONE if absent */
    struct span content_type;  /* :content-type, SPAN_NONE if absent */
    struct span payload;
    struct span whole; /* the message as received, for passing on */
};

enum eventstream_result {
    EVENTSTREAM_MORE,    /* all input is consumed; the next message is incomplete */
    EVENTSTREAM_MESSAGE, /* *message is filled in, *bytes is what follows: call again */
    EVENTSTREAM_CORRUPT, /* see eventstream_fault; final */
};

struct eventstream {
    struct buffer partial; /* a message that arrived in several chunks */
    size_t message_max;
    size_t total;   /* its length, 0 until its first twelve bytes have arrived */
    size_t checked; /* how many of its bytes are in crc */
    uint32_t crc;
    bool handed_out; /* partial is the message returned last */
    const char *fault;
};

/* message_max: bytes of one message with its framing, at least 16. */
void eventstream_init(struct eventstream *stream, size_t message_max);
void eventstream_dispose(struct eventstream *stream);

/* Consumes input from the front of *bytes. Returns no part of a message before its checksum is
 * verified. Allocates as bytes arrive, never for a promised length; does not copy a message that
 * is complete in *bytes. */
MUST_USE enum eventstream_result eventstream_next(struct eventstream *stream, struct span *bytes,
                                                  struct eventstream_message *message);

/* Whether the body may end here: there is no end mark. */
bool eventstream_is_between_messages(const struct eventstream *stream);

/* Returns a text for a person after EVENTSTREAM_CORRUPT, else NULL. */
const char *eventstream_fault(const struct eventstream *stream);

#endif
