/* Bodies of HTTP/1: where one ends, and what of it is payload. */
#include "net/http1_private.h"

enum {
    SIZE_DIGITS_MAX = 15, /* 60 bits: nothing overflows */
    EXTENSION_MAX = 256,
    TRAILERS_MAX = 8192
};

/* Where in the chunked coding (RFC 9112 section 7.1) the next byte stands. */
enum chunk_state {
    SIZE_FIRST, /* a chunk's size begins */
    SIZE,
    EXTENSION,
    SIZE_LF, /* CR has come */
    DATA,
    DATA_CR, /* the chunk is whole */
    DATA_LF,
    TRAILER_FIRST, /* a line behind the last chunk begins */
    TRAILER_NAME,
    TRAILER_VALUE,
    TRAILER_LF,
    LAST_LF,
    BROKEN
};

void http1_body_init(struct http1_body *body, enum http1_framing framing, uint64_t content_length)
{
    bool is_length = framing == HTTP1_LENGTH;
    *body = (struct http1_body){.framing = framing, .chunk_state = SIZE_FIRST};
    body->remaining = is_length ? content_length : 0;
    body->ended = framing == HTTP1_NO_BODY || (is_length && content_length == 0);
}

bool http1_body_may_end_here(const struct http1_body *body)
{
    return body->ended || body->framing == HTTP1_UNTIL_CLOSE;
}

static enum chunk_state step_size(struct http1_body *body, char c)
{
    if (http1_char_is(c, HTTP1_CHAR_HEX)) {
        body->remaining = body->remaining << 4 | (unsigned)span_hex_value(c);
        return ++body->line_bytes > SIZE_DIGITS_MAX ? BROKEN : SIZE;
    }
    if (body->chunk_state == SIZE_FIRST)
        return BROKEN;
    body->line_bytes = 0;
    return c == '\r' ? SIZE_LF : c == ';' ? EXTENSION : BROKEN;
}

static enum chunk_state step_extension(struct http1_body *body, char c)
{
    if (c == '\r')
        return SIZE_LF;
    if (!http1_char_is(c, HTTP1_CHAR_TEXT))
        return BROKEN;
    return ++body->line_bytes > EXTENSION_MAX ? BROKEN : EXTENSION;
}

static enum chunk_state step_trailer(struct http1_body *body, char c)
{
    if (++body->trailer_bytes > TRAILERS_MAX)
        return BROKEN;
    switch (body->chunk_state) {
    case TRAILER_FIRST:
        if (c == '\r')
            return LAST_LF;
        return http1_char_is(c, HTTP1_CHAR_TOKEN) ? TRAILER_NAME : BROKEN;
    case TRAILER_NAME:
        if (c == ':')
            return TRAILER_VALUE;
        return http1_char_is(c, HTTP1_CHAR_TOKEN) ? TRAILER_NAME : BROKEN;
    case TRAILER_VALUE:
        if (c == '\r')
            return TRAILER_LF;
        return http1_char_is(c, HTTP1_CHAR_TEXT) ? TRAILER_VALUE : BROKEN;
    default:
        return c == '\n' ? TRAILER_FIRST : BROKEN;
    }
}

/* One byte of the coding itself, that is, outside of DATA. */
static enum chunk_state step(struct http1_body *body, char c)
{
    switch (body->chunk_state) {
    case SIZE_FIRST:
    case SIZE:
        return step_size(body, c);
    case EXTENSION:
        return step_extension(body, c);
    case SIZE_LF:
        body->line_bytes = 0;
        if (c != '\n')
            return BROKEN;
        return body->remaining == 0 ? TRAILER_FIRST : DATA;
    case DATA_CR:
        return c == '\r' ? DATA_LF : BROKEN;
    case DATA_LF:
        return c == '\n' ? SIZE_FIRST : BROKEN;
    case LAST_LF:
        body->ended = c == '\n';
        return body->ended ? LAST_LF : BROKEN;
    default:
        return step_trailer(body, c);
    }
}

/* As much of *in as belongs to the body or chunk; in->len and remaining are not 0. */
static enum http1_body_result take_payload(struct http1_body *body, struct span *in,
                                           struct span *payload)
{
    size_t len = in->len < body->remaining ? in->len : (size_t)body->remaining;
    *payload = span_make(in->at, len);
    *in = span_from_offset(*in, len);
    body->remaining -= len;
    return HTTP1_BODY_DATA;
}

static enum http1_body_result next_chunked(struct http1_body *body, struct span *in,
                                           struct span *payload)
{
    while (in->len != 0 && body->chunk_state != BROKEN) {
        if (body->chunk_state == DATA) {
            take_payload(body, in, payload);
            if (body->remaining == 0)
                body->chunk_state = DATA_CR;
            return HTTP1_BODY_DATA;
        }
        body->chunk_state = (uint8_t)step(body, in->at[0]);
        *in = span_from_offset(*in, 1);
        if (body->ended)
            return HTTP1_BODY_END;
    }
    return body->chunk_state == BROKEN ? HTTP1_BODY_BAD : HTTP1_BODY_MORE;
}

enum http1_body_result http1_body_next(struct http1_body *body, struct span *in,
                                       struct span *payload)
{
    if (body->ended)
        return HTTP1_BODY_END;
    if (body->framing == HTTP1_CHUNKED)
        return next_chunked(body, in, payload);
    if (in->len == 0)
        return HTTP1_BODY_MORE;
    if (body->framing == HTTP1_LENGTH) {
        take_payload(body, in, payload);
        body->ended = body->remaining == 0;
        return HTTP1_BODY_DATA;
    }
    *payload = *in;
    *in = span_from_offset(*in, in->len);
    return HTTP1_BODY_DATA;
}

size_t http1_format_chunk_prefix(char out[HTTP1_CHUNK_PREFIX_SIZE], size_t len)
{
    size_t digits = 1, at;
    CHECK(len != 0);
    while (digits != 2 * sizeof(len) && len >> (4 * digits) != 0)
        ++digits;
    for (at = 0; at != digits; ++at)
        out[at] = "0123456789abcdef"[len >> (4 * (digits - 1 - at)) & 15];
    out[at++] = '\r';
    out[at++] = '\n';
    return at;
}
