/* Finds messages in an event stream, verifies their two checksums and reads their headers. Must
 * not depend on HTTP, JSON or what becomes of a payload. */
#include "aws/eventstream.h"

#include <zlib.h>

enum {
    PRELUDE_SIZE = 12, /* total length, headers' length, the CRC of both */
    CRC_SIZE = 4,
    OVERHEAD = PRELUDE_SIZE + CRC_SIZE,
    KEPT_CAPACITY =
        64 * 1024, /* of the buffer, between two messages that arrive in several chunks */
};

void eventstream_init(struct eventstream *stream, size_t message_max)
{
    CHECK(message_max >= OVERHEAD);
    *stream = (struct eventstream){.message_max = message_max};
    buffer_init(&stream->partial, message_max);
}

void eventstream_dispose(struct eventstream *stream)
{
    buffer_dispose(&stream->partial);
}

bool eventstream_is_between_messages(const struct eventstream *stream)
{
    return stream->fault == NULL && (stream->partial.len == 0 || stream->handed_out);
}

const char *eventstream_fault(const struct eventstream *stream)
{
    return stream->fault;
}

static bool fail(struct eventstream *stream, const char *fault)
{
    stream->fault = fault;
    return false;
}

/* ---- numbers ---- */

static uint16_t read_u16(const char *at)
{
    return (uint16_t)((unsigned)(unsigned char)at[0] << 8 | (unsigned char)at[1]);
}

static uint32_t read_u32(const char *at)
{
    return (uint32_t)read_u16(at) << 16 | read_u16(at + 2);
}

static uint32_t crc_of(uint32_t crc, struct span bytes)
{
    return (uint32_t)crc32_z(crc, (const unsigned char *)bytes.at, bytes.len);
}

/* ---- headers ---- */

/* Removes `size` bytes from the front of *rest. */
static bool take(struct span *rest, size_t size, struct span *out)
{
    if (rest->len < size)
        return false;
    *out = span_make(rest->at, size);
    *rest = span_from_offset(*rest, size);
    return true;
}

/* Removes a u16 length and as many bytes. */
static bool take_counted(struct span *rest, struct span *out)
{
    struct span length;
    return take(rest, 2, &length) && take(rest, read_u16(length.at), out);
}

/* Removes one header from the front of *rest. *text is its value if that is a string, else
 * SPAN_NONE. */
static bool take_header(struct span *rest, struct span *name, struct span *text)
{
    /* By type: true, false, byte, short, integer, long, bytes, string, timestamp, uuid. */
    enum { STRING = 7, COUNTED = 255 };
    static const unsigned char sizes[] = {0, 0, 1, 2, 4, 8, COUNTED, COUNTED, 8, 16};
    struct span length, type, value;
    if (!take(rest, 1, &length) || length.at[0] == 0 ||
        !take(rest, (unsigned char)length.at[0], name) || !take(rest, 1, &type))
        return false;
    unsigned code = (unsigned char)type.at[0];
    if (code >= sizeof(sizes))
        return false;
    *text = SPAN_NONE;
    if (sizes[code] != COUNTED)
        return take(rest, sizes[code], &value);
    if (!take_counted(rest, &value))
        return false;
    if (code == STRING)
        *text = value;
    return true;
}

/* The headers that matter here. */
struct fields {
    struct span message_type, event_type, exception_type, error_code, error_message, content_type;
};

static struct span *field_of(struct fields *fields, struct span name)
{
    if (name.at[0] != ':')
        return NULL;
    if (span_equals(name, SPAN(":message-type")))
        return &fields->message_type;
    if (span_equals(name, SPAN(":event-type")))
        return &fields->event_type;
    if (span_equals(name, SPAN(":exception-type")))
        return &fields->exception_type;
    if (span_equals(name, SPAN(":error-code")))
        return &fields->error_code;
    if (span_equals(name, SPAN(":error-message")))
        return &fields->error_message;
    if (span_equals(name, SPAN(":content-type")))
        return &fields->content_type;
    return NULL;
}

static bool read_headers(struct eventstream *stream, struct span headers, struct fields *fields)
{
    struct span name, text;
    while (headers.len != 0) {
        if (!take_header(&headers, &name, &text))
            return fail(stream, "a header is malformed");
        struct span *field = field_of(fields, name);
        if (field == NULL)
            continue;
        if (text.at == NULL)
            return fail(stream, "a header must be a string");
        if (field->at != NULL)
            return fail(stream, "duplicate header");
        *field = text;
    }
    return true;
}

static void name_kind(const struct fields *fields, struct eventstream_message *message)
{
    if (fields->message_type.at == NULL || span_equals(fields->message_type, SPAN("event"))) {
        message->kind = EVENTSTREAM_EVENT;
        message->type = fields->event_type;
    } else if (span_equals(fields->message_type, SPAN("exception"))) {
        message->kind = EVENTSTREAM_EXCEPTION;
        message->type = fields->exception_type;
    } else if (span_equals(fields->message_type, SPAN("error"))) {
        message->kind = EVENTSTREAM_ERROR;
        message->type = fields->error_code;
    } else {
        message->kind = EVENTSTREAM_UNKNOWN;
        message->type = SPAN_NONE;
    }
}

/* ---- messages ---- */

/* Reads the message's length from its first twelve bytes. */
static bool read_prelude(struct eventstream *stream, const char *at)
{
    uint32_t total = read_u32(at), headers = read_u32(at + 4);
    stream->crc = crc_of(0, span_make(at, 8));
    if (read_u32(at + 8) != stream->crc)
        return fail(stream, "the checksum of a message's lengths is wrong");
    if (total < OVERHEAD)
        return fail(stream, "a message is shorter than its framing");
    if (total > stream->message_max)
        return fail(stream, "a message is longer than the limit");
    if (headers > total - OVERHEAD)
        return fail(stream, "a message's headers are longer than the message");
    if (headers > EVENTSTREAM_HEADERS_MAX)
        return fail(stream, "a message's headers are longer than the limit");
    stream->total = total;
    stream->checked = 8;
    return true;
}

/* Updates crc with the new bytes among the `len` that have arrived of the message at `at`. */
static void update_crc(struct eventstream *stream, const char *at, size_t len)
{
    size_t end = stream->total - CRC_SIZE < len ? stream->total - CRC_SIZE : len;
    if (end <= stream->checked)
        return;
    stream->crc = crc_of(stream->crc, span_make(at + stream->checked, end - stream->checked));
    stream->checked = end;
}

/* at: all stream->total bytes. */
static enum eventstream_result finish(struct eventstream *stream, const char *at,
                                      struct eventstream_message *message)
{
    struct fields fields = {0};
    struct span whole = span_make(at, stream->total);
    stream->total = 0;
    if (read_u32(at + whole.len - CRC_SIZE) != stream->crc) {
        (void)fail(stream, "the checksum of a message is wrong");
        return EVENTSTREAM_CORRUPT;
    }
    struct span headers = span_make(at + PRELUDE_SIZE, read_u32(at + 4));
    if (!read_headers(stream, headers, &fields))
        return EVENTSTREAM_CORRUPT;
    name_kind(&fields, message);
    message->error_message = fields.error_message;
    message->content_type = fields.content_type;
    message->payload = span_make(headers.at + headers.len, whole.len - OVERHEAD - headers.len);
    message->whole = whole;
    return EVENTSTREAM_MESSAGE;
}

/* Moves input to `partial` until that has `end` bytes. Returns true once it does. */
static bool gather(struct eventstream *stream, struct span *bytes, size_t end)
{
    struct buffer *partial = &stream->partial;
    size_t wanted = end - partial->len;
    size_t size = bytes->len < wanted ? bytes->len : wanted;
    buffer_append(partial, span_make(bytes->at, size));
    CHECK(!partial->overflowed);
    *bytes = span_from_offset(*bytes, size);
    return size == wanted;
}

static enum eventstream_result next_in_pieces(struct eventstream *stream, struct span *bytes,
                                              struct eventstream_message *message)
{
    struct buffer *partial = &stream->partial;
    if (partial->len < PRELUDE_SIZE) {
        if (!gather(stream, bytes, PRELUDE_SIZE))
            return EVENTSTREAM_MORE;
        if (!read_prelude(stream, partial->at))
            return EVENTSTREAM_CORRUPT;
    }
    bool whole = gather(stream, bytes, stream->total);
    update_crc(stream, partial->at, partial->len);
    if (!whole)
        return EVENTSTREAM_MORE;
    stream->handed_out = true;
    return finish(stream, partial->at, message);
}

static void drop_partial(struct eventstream *stream)
{
    stream->handed_out = false;
    buffer_clear(&stream->partial);
    if (stream->partial.capacity > KEPT_CAPACITY)
        buffer_dispose(&stream->partial);
}

enum eventstream_result eventstream_next(struct eventstream *stream, struct span *bytes,
                                         struct eventstream_message *message)
{
    if (stream->fault != NULL)
        return EVENTSTREAM_CORRUPT;
    if (stream->handed_out)
        drop_partial(stream);
    if (bytes->len == 0)
        return EVENTSTREAM_MORE;
    if (stream->partial.len != 0 || bytes->len < PRELUDE_SIZE)
        return next_in_pieces(stream, bytes, message);
    if (!read_prelude(stream, bytes->at))
        return EVENTSTREAM_CORRUPT;
    if (bytes->len < stream->total)
        return next_in_pieces(stream, bytes, message);
    const char *at = bytes->at;
    *bytes = span_from_offset(*bytes, stream->total);
    update_crc(stream, at, stream->total);
    return finish(stream, at, message);
}
