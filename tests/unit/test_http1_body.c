/* Bodies: chunked coding decoded whole and in every pair of pieces, and what is rejected. */
#include "http1_feed.h"

enum { PAYLOAD_MAX = 4096 };

struct outcome {
    enum http1_body_result result;
    char payload[PAYLOAD_MAX];
    size_t payload_len;
    size_t left; /* bytes after the body */
    bool may_end;
};

/* Decodes one piece; returns true while more is needed. */
static bool decode(struct http1_body *body, struct span in, struct outcome *out)
{
    struct span all = in, payload;
    struct span copy = feed_copy(in);
    in = copy;
    while ((out->result = http1_body_next(body, &in, &payload)) == HTTP1_BODY_DATA) {
        assert_true(payload.len != 0 && payload.at >= copy.at);
        assert_ptr_equal(payload.at + payload.len, in.at);
        assert_true(out->payload_len + payload.len <= PAYLOAD_MAX);
        memcpy(out->payload + out->payload_len, payload.at, payload.len);
        out->payload_len += payload.len;
    }
    assert_ptr_equal(in.at + in.len, copy.at + all.len);
    if (out->result == HTTP1_BODY_MORE)
        assert_int_equal(in.len, 0);
    out->left = in.len;
    out->may_end = http1_body_may_end_here(body);
    feed_free(copy);
    return out->result == HTTP1_BODY_MORE;
}

static struct outcome decode_pieces(enum http1_framing framing, uint64_t length, struct span in,
                                    size_t first, size_t piece)
{
    struct outcome out = {.payload_len = 0};
    struct http1_body body;
    http1_body_init(&body, framing, length);
    bool more = decode(&body, span_make(in.at, first), &out);
    size_t at = first;
    while (more && at != in.len) {
        size_t len = piece < in.len - at ? piece : in.len - at;
        more = decode(&body, span_make(in.at + at, len), &out);
        at += len;
    }
    out.left += in.len - at;
    /* The result does not change after the end. */
    struct outcome again = {.payload_len = 0};
    if (out.result != HTTP1_BODY_MORE) {
        decode(&body, SPAN(""), &again);
        assert_int_equal(again.result, out.result);
    }
    return out;
}

static struct outcome decode_all_ways(enum http1_framing framing, uint64_t length, struct span in)
{
    struct outcome whole = decode_pieces(framing, length, in, in.len, 1);
    for (size_t first = 0; first <= in.len; ++first) {
        struct outcome pieces[2] = {decode_pieces(framing, length, in, first, 1),
                                    decode_pieces(framing, length, in, first, in.len)};
        for (size_t i = 0; i != 2; ++i) {
            assert_int_equal(pieces[i].result, whole.result);
            assert_int_equal(pieces[i].payload_len, whole.payload_len);
            assert_memory_equal(pieces[i].payload, whole.payload, whole.payload_len);
            assert_int_equal(pieces[i].may_end, whole.may_end);
            if (whole.result == HTTP1_BODY_END)
                assert_int_equal(pieces[i].left, whole.left);
        }
    }
    return whole;
}

struct chunked {
    struct span in;
    enum http1_body_result result;
    const char *payload;
    size_t left;
};

static const struct chunked good_bodies[] = {
    {HEAD("0\r\n\r\n"), HTTP1_BODY_END, "", 0},
    {HEAD("0\r\n\r\n0\r\n\r\n"), HTTP1_BODY_END, "", 5},
    {HEAD("000\r\n\r\n"), HTTP1_BODY_END, "", 0},
    {HEAD("5\r\nhello\r\n0\r\n\r\nGET /"), HTTP1_BODY_END, "hello", 5},
    {HEAD("1\r\na\r\n2\r\nbc\r\n003\r\ndef\r\n0\r\n\r\n"), HTTP1_BODY_END, "abcdef", 0},
    {HEAD("A\r\n0123456789\r\n0\r\n\r\n"), HTTP1_BODY_END, "0123456789", 0},
    {HEAD("a\r\n0123456789\r\n0\r\n\r\n"), HTTP1_BODY_END, "0123456789", 0},
    {HEAD("00000000000000a\r\n0123456789\r\n0\r\n\r\n"), HTTP1_BODY_END, "0123456789", 0},
    {HEAD("4\r\n\r\n\r\n\r\n0\r\n\r\n"), HTTP1_BODY_END, "\r\n\r\n", 0},
    {HEAD("1;\r\na\r\n0\r\n\r\n"), HTTP1_BODY_END, "a", 0},
    {HEAD("1;x\r\na\r\n0;y=z\r\n\r\n"), HTTP1_BODY_END, "a", 0},
    {HEAD("1;x=\"y;\\\"z\" ; \tq\xff\r\na\r\n0\r\n\r\n"), HTTP1_BODY_END, "a", 0},
    {HEAD("1\r\na\r\n0\r\nX: y\r\n\r\n!"), HTTP1_BODY_END, "a", 1},
    {HEAD("0\r\nX:\r\nY-Z:\t\x80\r\n\r\n"), HTTP1_BODY_END, "", 0},
    {HEAD(""), HTTP1_BODY_MORE, "", 0},
    {HEAD("0"), HTTP1_BODY_MORE, "", 0},
    {HEAD("0\r\n"), HTTP1_BODY_MORE, "", 0},
    {HEAD("0\r\n\r"), HTTP1_BODY_MORE, "", 0},
    {HEAD("3\r\nab"), HTTP1_BODY_MORE, "ab", 0},
    {HEAD("3\r\nabc"), HTTP1_BODY_MORE, "abc", 0},
    {HEAD("3\r\nabc\r\n"), HTTP1_BODY_MORE, "abc", 0},
    {HEAD("fffffffffffffff\r\nabc"), HTTP1_BODY_MORE, "abc", 0},
};

static const struct chunked bad_bodies[] = {
    {HEAD("\r\n0\r\n\r\n"), HTTP1_BODY_BAD, "", 0},
    {HEAD("\n"), HTTP1_BODY_BAD, "", 0},
    {HEAD(" 1\r\na\r\n"), HTTP1_BODY_BAD, "", 0},
    {HEAD("1 \r\na\r\n"), HTTP1_BODY_BAD, "", 0},
    {HEAD("1\t\r\na\r\n"), HTTP1_BODY_BAD, "", 0},
    {HEAD("1 ;x\r\na\r\n"), HTTP1_BODY_BAD, "", 0},
    {HEAD("1 1\r\na\r\n"), HTTP1_BODY_BAD, "", 0},
    {HEAD("0x1\r\na\r\n"), HTTP1_BODY_BAD, "", 0},
    {HEAD("+1\r\na\r\n"), HTTP1_BODY_BAD, "", 0},
    {HEAD("-1\r\na\r\n"), HTTP1_BODY_BAD, "", 0},
    {HEAD("1h\r\na\r\n"), HTTP1_BODY_BAD, "", 0},
    {HEAD("g\r\na\r\n"), HTTP1_BODY_BAD, "", 0},
    {HEAD("G\r\na\r\n"), HTTP1_BODY_BAD, "", 0},
    {HEAD("@\r\na\r\n"), HTTP1_BODY_BAD, "", 0},
    {HEAD(":\r\na\r\n"), HTTP1_BODY_BAD, "", 0},
    {HEAD(";x\r\n\r\n"), HTTP1_BODY_BAD, "", 0},
    {HEAD("1_0\r\na\r\n"), HTTP1_BODY_BAD, "", 0},
    {HEAD("1,\r\na\r\n"), HTTP1_BODY_BAD, "", 0},
    {HEAD("1\0\r\na\r\n"), HTTP1_BODY_BAD, "", 0},
    {HEAD("0000000000000001\r\na\r\n"), HTTP1_BODY_BAD, "", 0}, /* 16 digits */
    {HEAD("ffffffffffffffff\r\na\r\n"), HTTP1_BODY_BAD, "", 0},
    {HEAD("10000000000000001\r\na\r\n"), HTTP1_BODY_BAD, "", 0}, /* 1 if 64 bits wrap */
    {HEAD("1\na\r\n"), HTTP1_BODY_BAD, "", 0},
    {HEAD("1\ra\r\n"), HTTP1_BODY_BAD, "", 0},
    {HEAD("1\r\r\na\r\n"), HTTP1_BODY_BAD, "", 0},
    {HEAD("1;x\na\r\n"), HTTP1_BODY_BAD, "", 0},
    {HEAD("1;x\ry\r\na\r\n"), HTTP1_BODY_BAD, "", 0},
    {HEAD("1;\0\r\na\r\n"), HTTP1_BODY_BAD, "", 0},
    {HEAD("1;\x7f\r\na\r\n"), HTTP1_BODY_BAD, "", 0},
    {HEAD("1\r\nab"), HTTP1_BODY_BAD, "a", 0},
    {HEAD("1\r\na\n"), HTTP1_BODY_BAD, "a", 0},
    {HEAD("1\r\na\rb"), HTTP1_BODY_BAD, "a", 0},
    {HEAD("1\r\na0\r\n\r\n"), HTTP1_BODY_BAD, "a", 0},
    {HEAD("1\r\na\r\n\r\n"), HTTP1_BODY_BAD, "a", 0},
    {HEAD("0\r\n\n"), HTTP1_BODY_BAD, "", 0},
    {HEAD("0\r\n\rx"), HTTP1_BODY_BAD, "", 0},
    {HEAD("0\n\n"), HTTP1_BODY_BAD, "", 0},
    {HEAD("0\r\n X: y\r\n\r\n"), HTTP1_BODY_BAD, "", 0},
    {HEAD("0\r\n: y\r\n\r\n"), HTTP1_BODY_BAD, "", 0},
    {HEAD("0\r\nX\r\n\r\n"), HTTP1_BODY_BAD, "", 0},
    {HEAD("0\r\nX : y\r\n\r\n"), HTTP1_BODY_BAD, "", 0},
    {HEAD("0\r\nX: y\n\r\n"), HTTP1_BODY_BAD, "", 0},
    {HEAD("0\r\nX: y\rz\r\n\r\n"), HTTP1_BODY_BAD, "", 0},
    {HEAD("0\r\nX: y\r\n z\r\n\r\n"), HTTP1_BODY_BAD, "", 0},
    {HEAD("0\r\nX: \0\r\n\r\n"), HTTP1_BODY_BAD, "", 0},
    {HEAD("0\r\nGET / HTTP/1.1\r\n"), HTTP1_BODY_BAD, "", 0},
};

static void check_chunked(const struct chunked *list, size_t count)
{
    for (size_t i = 0; i != count; ++i) {
        struct outcome out = decode_all_ways(HTTP1_CHUNKED, 0, list[i].in);
        if (out.result != list[i].result)
            print_error("got %d: %.*s\n", (int)out.result, SPAN_ARG(list[i].in));
        assert_int_equal(out.result, list[i].result);
        feed_check_text("payload", span_make(out.payload, out.payload_len), list[i].payload);
        if (out.result == HTTP1_BODY_END)
            assert_int_equal(out.left, list[i].left);
        assert_int_equal(out.may_end, out.result == HTTP1_BODY_END);
    }
}

static void test_valid_chunked(void **state)
{
    (void)state;
    check_chunked(good_bodies, COUNT(good_bodies));
}

static void test_invalid_chunked(void **state)
{
    (void)state;
    check_chunked(bad_bodies, COUNT(bad_bodies));
}

static enum http1_body_result decode_text(const char *text, size_t len)
{
    return decode_pieces(HTTP1_CHUNKED, 0, span_make(text, len), len, 1).result;
}

static void test_extension_and_trailer_limits(void **state)
{
    (void)state;
    static char text[16384];
    int len = snprintf(text, sizeof(text), "1;%0256d\r\na\r\n1;%0256d\r\na\r\n0\r\n\r\n", 0, 0);
    assert_int_equal(decode_text(text, (size_t)len), HTTP1_BODY_END);
    len = snprintf(text, sizeof(text), "1;%0257d\r\na\r\n0\r\n\r\n", 0);
    assert_int_equal(decode_text(text, (size_t)len), HTTP1_BODY_BAD);
    /* a size of 15 digits does not count toward the extension limit */
    len = snprintf(text, sizeof(text), "%015d;%0256d\r\n\r\n", 0, 0);
    assert_int_equal(decode_text(text, (size_t)len), HTTP1_BODY_END);
    for (int excess = 0; excess != 2; ++excess) {
        /* "X:", value, CRLF and the CR of the empty line are 8,192 bytes */
        len = snprintf(text, sizeof(text), "0\r\nX:%0*d\r\n\r\n", 8192 - 5 + excess, 0);
        assert_int_equal(decode_text(text, (size_t)len), excess ? HTTP1_BODY_BAD : HTTP1_BODY_END);
    }
    len = snprintf(text, sizeof(text), "0\r\n");
    while (len < 12000)
        len += snprintf(text + len, sizeof(text) - (size_t)len, "A:\r\n");
    assert_int_equal(decode_text(text, (size_t)len), HTTP1_BODY_BAD);
}

static void test_other_framings(void **state)
{
    (void)state;
    struct outcome out = decode_all_ways(HTTP1_NO_BODY, 0, SPAN("abc"));
    assert_int_equal(out.result, HTTP1_BODY_END);
    assert_int_equal(out.left, 3);
    out = decode_all_ways(HTTP1_LENGTH, 0, SPAN("abc"));
    assert_int_equal(out.result, HTTP1_BODY_END);
    assert_int_equal(out.left, 3);
    out = decode_all_ways(HTTP1_LENGTH, 2, SPAN("abc"));
    assert_int_equal(out.result, HTTP1_BODY_END);
    assert_int_equal(out.left, 1);
    feed_check_text("payload", span_make(out.payload, out.payload_len), "ab");
    out = decode_all_ways(HTTP1_LENGTH, 999999999999999999, SPAN("abc"));
    assert_int_equal(out.result, HTTP1_BODY_MORE);
    assert_false(out.may_end);
    out = decode_all_ways(HTTP1_UNTIL_CLOSE, 0, SPAN("abc"));
    assert_int_equal(out.result, HTTP1_BODY_MORE);
    assert_true(out.may_end);
    feed_check_text("payload", span_make(out.payload, out.payload_len), "abc");
}

static void test_end_is_reported_with_the_last_byte(void **state)
{
    (void)state;
    struct http1_body body;
    struct span in = SPAN("abc"), payload;
    http1_body_init(&body, HTTP1_LENGTH, 3);
    assert_false(body.ended);
    assert_int_equal(http1_body_next(&body, &in, &payload), HTTP1_BODY_DATA);
    assert_true(body.ended);
    http1_body_init(&body, HTTP1_LENGTH, 0);
    assert_true(body.ended);
}

static void test_chunk_prefix(void **state)
{
    (void)state;
    static const struct {
        size_t len;
        const char *text;
    } list[] = {
        {1, "1\r\n"},
        {15, "f\r\n"},
        {16, "10\r\n"},
        {0x1a2b, "1a2b\r\n"},
        {65536, "10000\r\n"},
        {0xffffffff, "ffffffff\r\n"},
        {SIZE_MAX, "ffffffffffffffff\r\n"},
    };
    for (size_t i = 0; i != COUNT(list); ++i) {
        char prefix[HTTP1_CHUNK_PREFIX_SIZE];
        size_t len = http1_format_chunk_prefix(prefix, list[i].len);
        feed_check_text("prefix", span_make(prefix, len), list[i].text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_valid_chunked),
        cmocka_unit_test(test_invalid_chunked),
        cmocka_unit_test(test_extension_and_trailer_limits),
        cmocka_unit_test(test_other_framings),
        cmocka_unit_test(test_end_is_reported_with_the_last_byte),
        cmocka_unit_test(test_chunk_prefix),
    };
    return cmocka_run_group_tests_name("http1 body", tests, NULL, NULL);
}
