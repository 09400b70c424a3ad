/* Arbitrary bytes as a body give the same result in pieces as in one piece, and arbitrary bytes
 * survive chunked encoding and decoding. The first two bytes select framing and pieces. */
#include "base/buffer.h"
#include "net/http1.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

struct outcome {
    enum http1_body_result result;
    size_t taken; /* bytes of the input */
    bool ended;
    struct buffer payload;
};

static unsigned random_state;

static size_t random_size(void)
{
    random_state = random_state * 1103515245u + 12345u;
    unsigned r = random_state >> 8;
    return r % 4 == 0 ? 1 + r % 300 : 1 + r % 7;
}

static bool decode_piece(struct http1_body *body, struct span piece, struct outcome *out)
{
    struct span in = piece, payload;
    while ((out->result = http1_body_next(body, &in, &payload)) == HTTP1_BODY_DATA) {
        CHECK(payload.len != 0 && payload.at >= piece.at);
        CHECK(payload.at + payload.len == in.at);
        buffer_append(&out->payload, payload);
    }
    CHECK(in.at + in.len == piece.at + piece.len);
    CHECK(out->result != HTTP1_BODY_MORE || in.len == 0);
    CHECK(body->ended == (out->result == HTTP1_BODY_END));
    out->taken += piece.len - in.len;
    out->ended = http1_body_may_end_here(body);
    return out->result == HTTP1_BODY_MORE;
}

static struct outcome decode(enum http1_framing framing, uint64_t length, struct span in,
                             bool in_pieces)
{
    struct outcome out = {.result = HTTP1_BODY_MORE};
    struct http1_body body;
    buffer_init(&out.payload, in.len + 1);
    http1_body_init(&body, framing, length);
    size_t at = 0;
    do {
        size_t rest = in.len - at, len = in_pieces ? random_size() : rest;
        len = len < rest ? len : rest;
        if (!decode_piece(&body, span_make(in.at + at, len), &out))
            break;
        at += len;
    } while (at != in.len);
    CHECK(!out.payload.overflowed);
    return out;
}

static void check_pieces(enum http1_framing framing, uint64_t length, struct span in)
{
    struct outcome whole = decode(framing, length, in, false);
    struct outcome pieces = decode(framing, length, in, true);
    CHECK(whole.result == pieces.result && whole.taken == pieces.taken);
    CHECK(whole.ended == pieces.ended);
    CHECK(span_equals(buffer_span(&whole.payload), buffer_span(&pieces.payload)));
    if (framing == HTTP1_LENGTH && whole.result == HTTP1_BODY_END)
        CHECK(whole.payload.len == length);
    buffer_dispose(&whole.payload);
    buffer_dispose(&pieces.payload);
}

static void check_round_trip(struct span payload)
{
    struct buffer chunked;
    buffer_init(&chunked, 16 * payload.len + 64);
    for (size_t at = 0; at != payload.len;) {
        char prefix[HTTP1_CHUNK_PREFIX_SIZE];
        size_t len = random_size();
        len = len < payload.len - at ? len : payload.len - at;
        buffer_append(&chunked, span_make(prefix, http1_format_chunk_prefix(prefix, len)));
        buffer_append(&chunked, span_make(payload.at + at, len));
        buffer_append(&chunked, SPAN("\r\n"));
        at += len;
    }
    buffer_append(&chunked, SPAN("0\r\n\r\n"));
    CHECK(!chunked.overflowed);
    struct outcome out = decode(HTTP1_CHUNKED, 0, buffer_span(&chunked), true);
    CHECK(out.result == HTTP1_BODY_END && out.taken == chunked.len);
    CHECK(span_equals(buffer_span(&out.payload), payload));
    buffer_dispose(&out.payload);
    buffer_dispose(&chunked);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    if (len < 2)
        return 0;
    /* Mostly chunked, which has the states. */
    static const enum http1_framing framings[] = {HTTP1_CHUNKED,     HTTP1_CHUNKED, HTTP1_LENGTH,
                                                  HTTP1_UNTIL_CLOSE, HTTP1_NO_BODY, HTTP1_CHUNKED,
                                                  HTTP1_CHUNKED,     HTTP1_CHUNKED};
    struct span rest = span_make((const char *)bytes + 2, len - 2);
    random_state = bytes[1];
    check_pieces(framings[bytes[0] % 8], bytes[1], rest);
    check_round_trip(rest);
    return 0;
}
