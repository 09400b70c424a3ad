/* The event stream decoder over arbitrary bytes: one piece and many pieces give the same result,
 * and decoding terminates.
 *
 * Input: one byte that sets the sizes of the pieces, then the stream. If the first bit of that
 * byte is set, checksums are corrected first because a fuzzer cannot guess them. */
#include <stdlib.h>
#include <zlib.h>

#include "aws/eventstream.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

enum { MESSAGE_MAX = 4096 };

static uint32_t read_u32(const uint8_t *at)
{
    return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

static void write_crc(uint8_t *message, size_t end)
{
    uint32_t crc = (uint32_t)crc32_z(0, message, end);
    for (unsigned i = 0; i != 4; ++i)
        message[end + i] = (uint8_t)(crc >> (24 - 8 * i));
}

static void put_checksums_right(uint8_t *at, size_t len)
{
    while (len >= 16) {
        size_t total = read_u32(at);
        write_crc(at, 8);
        if (total < 16 || total > len)
            return;
        write_crc(at, total - 4);
        at += total;
        len -= total;
    }
}

/* Collects the events; frees each piece before the next so that ASan detects stale pointers. */
static void decode(struct span stream, size_t piece_max, struct buffer *seen, const char **fault)
{
    struct eventstream decoder;
    struct eventstream_message message;
    enum eventstream_result result = EVENTSTREAM_MORE;
    eventstream_init(&decoder, MESSAGE_MAX);
    while (stream.len != 0 && result != EVENTSTREAM_CORRUPT) {
        size_t size = stream.len < piece_max ? stream.len : piece_max;
        char *copy = malloc(size);
        CHECK(copy != NULL);
        memcpy(copy, stream.at, size);
        struct span rest = span_make(copy, size);
        stream = span_from_offset(stream, size);
        while ((result = eventstream_next(&decoder, &rest, &message)) == EVENTSTREAM_MESSAGE) {
            CHECK(message.whole.len >= 16 && message.whole.len <= MESSAGE_MAX);
            buffer_append_u64(seen, message.kind);
            buffer_append(seen, message.type);
            buffer_append(seen, message.error_message);
            buffer_append(seen, message.content_type);
            buffer_append(seen, message.payload);
            buffer_append(seen, message.whole);
        }
        CHECK(result == EVENTSTREAM_CORRUPT || rest.len == 0);
        free(copy);
    }
    *fault = eventstream_fault(&decoder);
    buffer_append_u64(seen, eventstream_is_between_messages(&decoder));
    eventstream_dispose(&decoder);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    if (len == 0)
        return 0;
    uint8_t *stream = malloc(len);
    CHECK(stream != NULL);
    memcpy(stream, bytes + 1, len - 1);
    if ((bytes[0] & 1) != 0)
        put_checksums_right(stream, len - 1);
    struct buffer at_once, in_pieces;
    const char *fault, *fault_in_pieces;
    buffer_init(&at_once, SIZE_MAX / 4);
    buffer_init(&in_pieces, SIZE_MAX / 4);
    decode(span_make((const char *)stream, len - 1), SIZE_MAX, &at_once, &fault);
    decode(span_make((const char *)stream, len - 1), 1 + bytes[0] / 2, &in_pieces,
           &fault_in_pieces);
    CHECK(fault == fault_in_pieces);
    CHECK(span_equals(buffer_span(&at_once), buffer_span(&in_pieces)));
    buffer_dispose(&at_once);
    buffer_dispose(&in_pieces);
    free(stream);
    return 0;
}
