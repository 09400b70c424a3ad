/* application/vnd.amazon.eventstream, decoded as it arrives: bytes in, messages out. Pure and bounded.
 *
 * Source: Smithy's event stream specification; what SageMaker sends: the API reference, page
 * API_runtime_InvokeEndpointWithResponseStream. Message boundaries have nothing to do with those of the pieces that
 * are pushed, and those of payloads nothing with the model's own (a character may be cut in two). */
#ifndef SAGEGATE_AWS_EVENTSTREAM_H
#define SAGEGATE_AWS_EVENTSTREAM_H

#include "base/buffer.h"

enum {
    EVENTSTREAM_HEADERS_MAX = 128 * 1024,
    /* A message with the largest payload that botocore takes today would be 24 MiB; SageMaker's are some KiB. */
    EVENTSTREAM_MESSAGE_MAX = 16 * 1024 * 1024 + EVENTSTREAM_HEADERS_MAX,
};

enum eventstream_kind {
    EVENTSTREAM_EVENT,     /* also where :message-type is missing, as in botocore */
    EVENTSTREAM_EXCEPTION, /* modelled, ends the stream; its payload is JSON for aws_error_parse */
    EVENTSTREAM_ERROR,     /* not modelled, ends the stream */
    EVENTSTREAM_UNKNOWN,   /* another :message-type; to be skipped */
};

/* Valid until the next call, and no longer than the bytes that were pushed. */
struct eventstream_message {
    enum eventstream_kind kind;
    struct span
        type; /* :event-type ("PayloadPart"), :exception-type or :error-code; SPAN_NONE if absent */
    struct span error_message; /* :error-message, SPAN_NONE if absent */
    struct span content_type;  /* :content-type, SPAN_NONE if absent */
    struct span payload;
    struct span whole; /* the message as it came, to be passed on as it is */
};

enum eventstream_result {
    EVENTSTREAM_MORE,    /* all bytes are taken; the next message is not whole yet */
    EVENTSTREAM_MESSAGE, /* *message is filled, *bytes is what follows it: call again */
    EVENTSTREAM_CORRUPT, /* see eventstream_fault; stays so */
};

struct eventstream {
    struct buffer partial; /* the message that came in pieces */
    size_t message_max;
    size_t total;   /* its length, 0 until its first twelve bytes are there */
    size_t checked; /* how many of its bytes are in crc */
    uint32_t crc;
    bool handed_out; /* partial is the message told last */
    const char *fault;
};

/* message_max: bytes of one message with all its framing, at least 16. */
void eventstream_init(struct eventstream *stream, size_t message_max);
void eventstream_dispose(struct eventstream *stream);

/* Takes bytes from the front of *bytes. Nothing of a message is told before its checksum was right. Memory is taken as
 * bytes arrive, never for a length that is only promised; a message that lies whole in *bytes is not copied. */
MUST_USE enum eventstream_result eventstream_next(struct eventstream *stream, struct span *bytes,
                                                  struct eventstream_message *message);

/* The body's end is a good one only here: there is no end mark. */
bool eventstream_is_between_messages(const struct eventstream *stream);

/* A text for a person after EVENTSTREAM_CORRUPT, else NULL. */
const char *eventstream_fault(const struct eventstream *stream);

#endif
