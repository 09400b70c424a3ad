/* Event streams: selects the bytes of a message to pass on, and detects the end. */
#include "gateway/stream.h"

#include "aws/aws_error.h"

enum { EXCEPTION_MAX = 64 * 1024 }; /* bytes of an exception's payload that are parsed */

void stream_begin(struct stream *stream, enum stream_form form, struct admission *admission,
                  struct arena *arena)
{
    CHECK(stream->form == STREAM_NONE && form != STREAM_NONE);
    *stream = (struct stream){.form = form, .admission = admission, .arena = arena};
    eventstream_init(&stream->decoder, EVENTSTREAM_MESSAGE_MAX);
}

static void release(struct stream *stream)
{
    if (stream->reserved != 0)
        admission_release_memory(stream->admission, stream->reserved);
    stream->reserved = 0;
}

void stream_dispose(struct stream *stream)
{
    if (stream->form == STREAM_NONE)
        return;
    release(stream);
    eventstream_dispose(&stream->decoder);
    stream->form = STREAM_NONE;
}

/* Takes memory for a whole long message as soon as its length is verified. */
static void reserve(struct stream *stream)
{
    uint64_t wanted = stream->decoder.total;
    if (wanted <= STREAM_UNCOUNTED_MAX || stream->reserved != 0)
        return;
    if (admission_take_memory(stream->admission, wanted))
        stream->reserved = wanted;
    else
        stream->end = STREAM_MEMORY_FULL;
}

/* ---- exceptions ---- */

static int status_of(const struct aws_error *error)
{
    if (span_equals(error->reason, SPAN("ModelInvocationTimeExceeded")))
        return 504;
    switch (aws_error_classify(502, error)) {
    case AWS_ERROR_THROTTLED:
    case AWS_ERROR_MODEL_NOT_READY:
        return 429;
    case AWS_ERROR_NO_CAPACITY:
        return 503;
    default:
        return 502;
    }
}

static void keep_exception(struct stream *stream, const struct eventstream_message *message)
{
    struct aws_error error = {.code = message->type, .message = message->error_message};
    if (stream->end != STREAM_GOES_ON)
        return;
    struct span payload = message->payload;
    if (payload.len > EXCEPTION_MAX)
        payload.len = EXCEPTION_MAX;
    if (message->kind == EVENTSTREAM_EXCEPTION)
        aws_error_parse(message->type, payload, stream->arena, &error);
    struct span code = error.code.len != 0 ? error.code : SPAN("unnamed error");
    struct span text = error.message.len != 0 ? error.message : SPAN("no message");
    stream->end = STREAM_EXCEPTION;
    stream->code = arena_copy(stream->arena, error.code);
    stream->status = status_of(&error);
    if (error.reason.len != 0)
        stream->message = arena_printf(stream->arena, "%.*s (%.*s): %.*s", SPAN_ARG(code),
                                       SPAN_ARG(error.reason), SPAN_ARG(text));
    else
        stream->message = arena_printf(stream->arena, "%.*s: %.*s", SPAN_ARG(code), SPAN_ARG(text));
}

/* ---- messages ---- */

/* Returns true if *piece of the message is passed on. Skips events with other names, as SDKs do. */
static bool take_message(struct stream *stream, const struct eventstream_message *message,
                         struct span *piece)
{
    bool is_part =
        message->kind == EVENTSTREAM_EVENT && span_equals(message->type, SPAN("PayloadPart"));
    stream->parts += is_part;
    if (message->kind == EVENTSTREAM_EXCEPTION || message->kind == EVENTSTREAM_ERROR)
        keep_exception(stream, message);
    *piece = stream->form == STREAM_RAW ? message->whole : message->payload;
    return is_part || stream->form == STREAM_RAW;
}

bool stream_next(struct stream *stream, struct span *bytes, struct span *piece)
{
    struct eventstream_message message;
    while (!stream_has_failed(stream)) {
        if (stream->decoder.total == 0) /* not inside a message */
            release(stream);
        switch (eventstream_next(&stream->decoder, bytes, &message)) {
        case EVENTSTREAM_MORE:
            reserve(stream);
            return false;
        case EVENTSTREAM_CORRUPT:
            stream->end = STREAM_CORRUPT;
            return false;
        case EVENTSTREAM_MESSAGE:
            if (take_message(stream, &message, piece))
                return true;
            break;
        }
    }
    return false;
}

void stream_finish(struct stream *stream)
{
    if (!stream_has_failed(stream) && !eventstream_is_between_messages(&stream->decoder))
        stream->end = STREAM_TRUNCATED;
}

const char *stream_fault(const struct stream *stream)
{
    switch (stream->end) {
    case STREAM_EXCEPTION:
        return stream->code.len != 0 ? stream->code.at : "unnamed error";
    case STREAM_CORRUPT:
        return eventstream_fault(&stream->decoder);
    case STREAM_TRUNCATED:
        return "the response ended within an event-stream message";
    case STREAM_MEMORY_FULL:
        return "limits.body_bytes is reached: no memory for an event-stream message";
    case STREAM_GOES_ON:
        break;
    }
    return "";
}
