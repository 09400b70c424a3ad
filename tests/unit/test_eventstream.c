/* The event stream decoder: every kind of message, split at every byte, with every byte flipped. */
#include "aws/eventstream.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <zlib.h>

#include <cmocka.h>

static void assert_span(struct span s, struct span expected)
{
    if ((s.at == NULL) != (expected.at == NULL) || !span_equals(s, expected))
        fail_msg("'%.*s' is not '%.*s'", SPAN_ARG(s), SPAN_ARG(expected));
}

/* ---- encoding ---- */

static void append_number(struct buffer *out, uint64_t value, unsigned bytes)
{
    while (bytes-- > 0)
        buffer_append_char(out, (char)(value >> (8 * bytes)));
}

static void append_header(struct buffer *out, struct span name, struct span value)
{
    append_number(out, name.len, 1);
    buffer_append(out, name);
    append_number(out, 7, 1);
    append_number(out, value.len, 2);
    buffer_append(out, value);
}

static uint64_t crc_from(const struct buffer *out, size_t start)
{
    return crc32_z(0, (const unsigned char *)out->at + start, out->len - start);
}

static void append_message(struct buffer *out, struct span headers, struct span payload)
{
    size_t start = out->len;
    append_number(out, 16 + headers.len + payload.len, 4);
    append_number(out, headers.len, 4);
    append_number(out, crc_from(out, start), 4);
    buffer_append(out, headers);
    buffer_append(out, payload);
    append_number(out, crc_from(out, start), 4);
}

/* Encodes a message with `type` in the header that goes with `kind`. */
static void append_kind(struct buffer *out, const char *kind, const char *name, const char *type,
                        struct span payload)
{
    char memory[512];
    struct buffer headers;
    buffer_init_fixed(&headers, memory, sizeof(memory));
    append_header(&headers, SPAN(":message-type"), span_from(kind));
    append_header(&headers, span_from(name), span_from(type));
    append_header(&headers, SPAN(":content-type"), SPAN("application/octet-stream"));
    append_message(out, buffer_span(&headers), payload);
}

/* One message of each kind, including a header of each type. */
static void append_sample(struct buffer *out)
{
    static const struct span all_types = SPAN("\x01t\x00\x01"
                                              "f\x01\x01"
                                              "b\x02\xff\x01"
                                              "s\x03\x01\x02\x01"
                                              "i\x04\x01\x02\x03\x04\x01"
                                              "l\x05\x01\x02\x03\x04\x05\x06\x07\x08\x03"
                                              "byt\x06\x00\x02\xff\x00\x03"
                                              "str\x07\x00\x00\x04"
                                              "time\x08\x00\x00\x01\x02\x03\x04\x05\x06\x04"
                                              "uuid\x09"
                                              "0123456789abcdef");
    append_kind(out, "event", ":event-type", "PayloadPart", SPAN("data: gr\xc3"));
    append_kind(out, "event", ":event-type", "PayloadPart", SPAN("\xbc\xc3\x9f\n\n"));
    append_message(out, SPAN(""), SPAN(""));
    append_message(out, all_types, SPAN("x"));
    append_kind(out, "comment", ":event-type", "Later", SPAN("?"));
    append_kind(out, "exception", ":exception-type", "ModelStreamError",
                SPAN("{\"Message\":\"m\",\"ErrorCode\":\"StreamBroken\"}"));
    char memory[256];
    struct buffer headers;
    buffer_init_fixed(&headers, memory, sizeof(memory));
    append_header(&headers, SPAN(":error-message"), SPAN("went wrong"));
    append_header(&headers, SPAN(":error-code"), SPAN("InternalError"));
    append_header(&headers, SPAN(":message-type"), SPAN("error"));
    append_message(out, buffer_span(&headers), SPAN(""));
}

static const struct {
    enum eventstream_kind kind;
    struct span type, error_message, content_type, payload;
} sample[] = {
#define OCTETS SPAN("application/octet-stream")
    {EVENTSTREAM_EVENT, SPAN("PayloadPart"), SPAN_NONE, OCTETS, SPAN("data: gr\xc3")},
    {EVENTSTREAM_EVENT, SPAN("PayloadPart"), SPAN_NONE, OCTETS, SPAN("\xbc\xc3\x9f\n\n")},
    {EVENTSTREAM_EVENT, SPAN_NONE, SPAN_NONE, SPAN_NONE, SPAN("")},
    {EVENTSTREAM_EVENT, SPAN_NONE, SPAN_NONE, SPAN_NONE, SPAN("x")},
    {EVENTSTREAM_UNKNOWN, SPAN_NONE, SPAN_NONE, OCTETS, SPAN("?")},
    {EVENTSTREAM_EXCEPTION, SPAN("ModelStreamError"), SPAN_NONE, OCTETS,
     SPAN("{\"Message\":\"m\",\"ErrorCode\":\"StreamBroken\"}")},
    {EVENTSTREAM_ERROR, SPAN("InternalError"), SPAN("went wrong"), SPAN_NONE, SPAN("")},
};
enum { SAMPLES = sizeof(sample) / sizeof(sample[0]) };

/* ---- decoding ---- */

struct decoding {
    struct eventstream stream;
    size_t messages;
    struct buffer wholes; /* every message as reported */
    bool corrupt;
};

static void begin(struct decoding *decoding, size_t message_max)
{
    *decoding = (struct decoding){0};
    eventstream_init(&decoding->stream, message_max);
    buffer_init(&decoding->wholes, SIZE_MAX / 4);
}

static void end(struct decoding *decoding)
{
    eventstream_dispose(&decoding->stream);
    buffer_dispose(&decoding->wholes);
}

/* Pushes a copy of exactly these bytes so that ASan detects reads past them. */
static void push(struct decoding *decoding, struct span bytes)
{
    char *copy = malloc(bytes.len == 0 ? 1 : bytes.len);
    assert_non_null(copy);
    memcpy(copy, bytes.at, bytes.len);
    struct span rest = span_make(copy, bytes.len);
    struct eventstream_message message;
    enum eventstream_result result;
    while ((result = eventstream_next(&decoding->stream, &rest, &message)) == EVENTSTREAM_MESSAGE) {
        buffer_append(&decoding->wholes, message.whole);
        ++decoding->messages;
    }
    decoding->corrupt = result == EVENTSTREAM_CORRUPT;
    assert_int_equal(decoding->corrupt, eventstream_fault(&decoding->stream) != NULL);
    if (result == EVENTSTREAM_MORE)
        assert_int_equal(rest.len, 0);
    free(copy);
}

static void test_every_message_kind(void **state)
{
    struct buffer bytes;
    struct eventstream stream;
    struct eventstream_message message;
    (void)state;
    buffer_init(&bytes, 4096);
    append_sample(&bytes);
    eventstream_init(&stream, EVENTSTREAM_MESSAGE_MAX);
    assert_true(eventstream_is_between_messages(&stream));
    struct span rest = buffer_span(&bytes);
    for (size_t i = 0; i != SAMPLES; ++i) {
        const char *at = rest.at;
        assert_int_equal(eventstream_next(&stream, &rest, &message), EVENTSTREAM_MESSAGE);
        assert_int_equal(message.kind, sample[i].kind);
        assert_span(message.type, sample[i].type);
        assert_span(message.error_message, sample[i].error_message);
        assert_span(message.content_type, sample[i].content_type);
        assert_span(message.payload, sample[i].payload);
        assert_ptr_equal(message.whole.at, at); /* nothing was copied */
        assert_ptr_equal(message.whole.at + message.whole.len, rest.at);
        assert_true(eventstream_is_between_messages(&stream));
    }
    assert_int_equal(eventstream_next(&stream, &rest, &message), EVENTSTREAM_MORE);
    assert_int_equal(stream.partial.capacity, 0);
    eventstream_dispose(&stream);
    buffer_dispose(&bytes);
}

/* Where the stream ends decides how many messages are reported and whether the end is valid. */
static void test_every_truncation(void **state)
{
    struct buffer bytes;
    (void)state;
    buffer_init(&bytes, 4096);
    append_sample(&bytes);
    for (size_t cut = 0; cut <= bytes.len; ++cut) {
        struct decoding decoding;
        begin(&decoding, EVENTSTREAM_MESSAGE_MAX);
        push(&decoding, span_make(bytes.at, cut));
        assert_false(decoding.corrupt);
        size_t ends_at = 0, whole = 0;
        for (size_t next = 0; next < cut; ++whole) {
            const unsigned char *at = (const unsigned char *)bytes.at + next;
            next += (size_t)at[2] << 8 | at[3];
            if (next > cut)
                break;
            ends_at = next;
        }
        assert_int_equal(decoding.messages, whole);
        assert_int_equal(eventstream_is_between_messages(&decoding.stream), ends_at == cut);
        assert_span(buffer_span(&decoding.wholes), cut == 0 || ends_at == 0
                                                       ? span_make(decoding.wholes.at, 0)
                                                       : span_make(bytes.at, ends_at));
        end(&decoding);
    }
    buffer_dispose(&bytes);
}

/* In two pieces at every position, and in pieces of every size. */
static void test_every_chunking(void **state)
{
    struct buffer bytes;
    (void)state;
    buffer_init(&bytes, 4096);
    append_sample(&bytes);
    for (size_t cut = 0; cut <= bytes.len; ++cut) {
        struct decoding decoding;
        begin(&decoding, EVENTSTREAM_MESSAGE_MAX);
        push(&decoding, span_make(bytes.at, cut));
        push(&decoding, span_from_offset(buffer_span(&bytes), cut));
        assert_int_equal(decoding.messages, SAMPLES);
        assert_span(buffer_span(&decoding.wholes), buffer_span(&bytes));
        end(&decoding);
    }
    for (size_t size = 1; size <= bytes.len; ++size) {
        struct decoding decoding;
        begin(&decoding, EVENTSTREAM_MESSAGE_MAX);
        for (size_t at = 0; at < bytes.len; at += size) {
            push(&decoding,
                 span_make(bytes.at + at, bytes.len - at < size ? bytes.len - at : size));
            push(&decoding, SPAN(""));
        }
        assert_int_equal(decoding.messages, SAMPLES);
        assert_span(buffer_span(&decoding.wholes), buffer_span(&bytes));
        assert_true(eventstream_is_between_messages(&decoding.stream));
        end(&decoding);
    }
    buffer_dispose(&bytes);
}

/* Any one byte changed in any way: no affected message is reported, and the end is an error. */
static void test_every_flipped_byte(void **state)
{
    struct buffer bytes;
    (void)state;
    buffer_init(&bytes, 4096);
    append_sample(&bytes);
    for (size_t at = 0; at != bytes.len; ++at) {
        for (unsigned flip = 1; flip < 256; flip = flip < 128    ? flip * 2
                                                   : flip == 128 ? 255
                                                                 : 256) {
            struct decoding decoding;
            bytes.at[at] = (char)(bytes.at[at] ^ (char)flip);
            begin(&decoding, EVENTSTREAM_MESSAGE_MAX);
            push(&decoding, buffer_span(&bytes));
            assert_true(decoding.corrupt);
            assert_false(eventstream_is_between_messages(&decoding.stream));
            assert_true(decoding.wholes.len <= at);
            push(&decoding, SPAN("")); /* stays corrupt */
            assert_true(decoding.corrupt);
            bytes.at[at] = (char)(bytes.at[at] ^ (char)flip);
            end(&decoding);
        }
    }
    buffer_dispose(&bytes);
}

/* ---- wrong lengths and headers ---- */

static void assert_fault(struct span bytes, size_t message_max, const char *fault)
{
    for (size_t size = 1; size <= bytes.len; size += bytes.len - 1) {
        struct decoding decoding;
        begin(&decoding, message_max);
        for (size_t at = 0; at < bytes.len && !decoding.corrupt; at += size)
            push(&decoding, span_make(bytes.at + at, size));
        assert_int_equal(decoding.corrupt, fault != NULL);
        if (fault != NULL)
            assert_string_equal(eventstream_fault(&decoding.stream), fault);
        end(&decoding);
    }
}

static void append_prelude(struct buffer *out, uint32_t total, uint32_t headers)
{
    append_number(out, total, 4);
    append_number(out, headers, 4);
    append_number(out, crc_from(out, 0), 4);
}

static void test_wrong_lengths(void **state)
{
    static const char shorter[] = "a message is shorter than its framing";
    static const char longer[] = "a message is longer than the limit";
    static const char overrun[] = "a message's headers are longer than the message";
    static const char much[] = "a message's headers are longer than the limit";
    static const struct {
        uint32_t total, headers;
        const char *fault;
    } cases[] = {
        {0, 0, shorter},
        {15, 0, shorter},
        {16, 0, NULL},
        {16, 1, overrun},
        {20, 4, NULL},
        {20, 5, overrun},
        {20, 0xffffffff, overrun},
        {1000, 0, NULL},
        {1001, 0, longer},
        {0xffffffff, 0, longer},
        {0xffffffff, 0xffffffff, longer},
    };
    (void)state;
    for (size_t i = 0; i != sizeof(cases) / sizeof(cases[0]); ++i) {
        char memory[16];
        struct buffer bytes;
        buffer_init_fixed(&bytes, memory, sizeof(memory));
        append_prelude(&bytes, cases[i].total, cases[i].headers);
        assert_fault(buffer_span(&bytes), 1000, cases[i].fault);
    }
    char memory[16];
    struct buffer bytes;
    buffer_init_fixed(&bytes, memory, sizeof(memory));
    append_prelude(&bytes, EVENTSTREAM_HEADERS_MAX + 17, EVENTSTREAM_HEADERS_MAX + 1);
    assert_fault(buffer_span(&bytes), EVENTSTREAM_MESSAGE_MAX, much);
}

/* A declared length of 16 MiB allocates nothing before the bytes arrive. */
static void test_memory_grows_with_received_bytes(void **state)
{
    char memory[16];
    struct buffer bytes;
    struct decoding decoding;
    (void)state;
    buffer_init_fixed(&bytes, memory, sizeof(memory));
    append_prelude(&bytes, EVENTSTREAM_MESSAGE_MAX, 0);
    begin(&decoding, EVENTSTREAM_MESSAGE_MAX);
    push(&decoding, buffer_span(&bytes));
    for (int i = 0; i != 1000; ++i)
        push(&decoding, SPAN("0123456789"));
    assert_false(decoding.corrupt);
    assert_true(decoding.stream.partial.capacity < 32 * 1024);
    end(&decoding);
}

static void test_wrong_headers(void **state)
{
    static const char malformed[] = "a header is malformed";
    static const char twice[] = "duplicate header";
    static const char other[] = "a header must be a string";
    static const struct {
        struct span headers;
        const char *fault;
    } cases[] = {
        {SPAN("\x01"
              "a\x00"),
         NULL},
        {SPAN("\x00"), malformed},
        {SPAN("\x00\x00"), malformed},
        {SPAN("\x01"), malformed},
        {SPAN("\x02"
              "a"),
         malformed},
        {SPAN("\xff"
              "a"),
         malformed},
        {SPAN("\x01"
              "a"),
         malformed},
        {SPAN("\x01"
              "a\x0a"),
         malformed},
        {SPAN("\x01"
              "a\xff"),
         malformed},
        {SPAN("\x01"
              "a\x02"),
         malformed},
        {SPAN("\x01"
              "a\x03\x01"),
         malformed},
        {SPAN("\x01"
              "a\x04\x01\x02\x03"),
         malformed},
        {SPAN("\x01"
              "a\x05\x01\x02\x03\x04\x05\x06\x07"),
         malformed},
        {SPAN("\x01"
              "a\x08\x01\x02\x03\x04\x05\x06\x07"),
         malformed},
        {SPAN("\x01"
              "a\x09"
              "0123456789abcde"),
         malformed},
        {SPAN("\x01"
              "a\x06\x00"),
         malformed},
        {SPAN("\x01"
              "a\x07\x00\x01"),
         malformed},
        {SPAN("\x01"
              "a\x07\xff\xffx"),
         malformed},
        {SPAN("\x01"
              "a\x00\x01"
              "a\x00"),
         NULL}, /* duplicate, but unused */
        {SPAN("\x0d:message-type\x07\x00\x05"
              "event\x0d:message-type\x07\x00\x05"
              "event"),
         twice},
        {SPAN("\x0b:event-type\x07\x00\x00\x0b:event-type\x07\x00\x01x"), twice},
        {SPAN("\x0d:message-type\x06\x00\x05"
              "event"),
         other},
        {SPAN("\x0d:message-type\x00"), other},
        {SPAN("\x0d:Message-type\x00"), NULL},
    };
    (void)state;
    for (size_t i = 0; i != sizeof(cases) / sizeof(cases[0]); ++i) {
        char memory[256];
        struct buffer bytes;
        buffer_init_fixed(&bytes, memory, sizeof(memory));
        append_message(&bytes, cases[i].headers, SPAN("payload"));
        assert_fault(buffer_span(&bytes), 1000, cases[i].fault);
    }
}

/* The longest allowed message, in pieces; the next one is small and the memory is freed. */
static void test_longest_message(void **state)
{
    enum { MAX = 300 * 1024 };
    static char payload[MAX - 16];
    struct buffer bytes;
    struct decoding decoding;
    (void)state;
    for (size_t i = 0; i != sizeof(payload); ++i)
        payload[i] = (char)(i * 31);
    buffer_init(&bytes, 2 * MAX);
    append_message(&bytes, SPAN(""), span_make(payload, sizeof(payload)));
    append_message(&bytes, SPAN(""), SPAN("small"));
    begin(&decoding, MAX);
    for (size_t at = 0; at < bytes.len; at += 1400)
        push(&decoding, span_make(bytes.at + at, bytes.len - at < 1400 ? bytes.len - at : 1400));
    assert_int_equal(decoding.messages, 2);
    assert_span(buffer_span(&decoding.wholes), buffer_span(&bytes));
    assert_int_equal(decoding.stream.partial.capacity, 0);
    end(&decoding);
    buffer_clear(&bytes);
    append_prelude(&bytes, MAX + 1, 0);
    assert_fault(buffer_span(&bytes), MAX, "a message is longer than the limit");
    buffer_dispose(&bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_message_kind),
        cmocka_unit_test(test_every_truncation),
        cmocka_unit_test(test_every_chunking),
        cmocka_unit_test(test_every_flipped_byte),
        cmocka_unit_test(test_wrong_lengths),
        cmocka_unit_test(test_memory_grows_with_received_bytes),
        cmocka_unit_test(test_wrong_headers),
        cmocka_unit_test(test_longest_message),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
