/* A bounded builder of bytes: every buffer is born with its maximum and never grows past it.
 *
 * What does not fit sets `overflowed` and is dropped whole; later appends do nothing, so that a caller may
 * append freely and look once at the end. */
#ifndef SAGEGATE_BASE_BUFFER_H
#define SAGEGATE_BASE_BUFFER_H

#include "base/check.h"
#include "base/span.h"

struct buffer {
    char *at;
    size_t len, capacity, max;
    bool overflowed;
    bool fixed; /* `at` is the caller's memory */
};

/* Over memory of the caller's. */
static inline void buffer_init_fixed(struct buffer *b, void *memory, size_t size)
{
    *b = (struct buffer){.at = memory, .capacity = size, .max = size, .fixed = true};
}
/* On the heap, growing by doubling up to max bytes; allocates nothing yet. */
static inline void buffer_init(struct buffer *b, size_t max)
{
    *b = (struct buffer){.max = max};
}
/* Frees the heap; takes a disposed or fixed one too. */
void buffer_dispose(struct buffer *b);

static inline void buffer_clear(struct buffer *b)
{
    b->len = 0;
    b->overflowed = false;
}

static inline struct span buffer_span(const struct buffer *b)
{
    return span_make(b->at, b->len);
}

/* The rare case of buffer_reserve: more memory, or none to be had. */
char *buffer_reserve_slowly(struct buffer *b, size_t size);

/* Room for `size` more bytes at once, to be filled by the caller and then taken with buffer_take; NULL (and
 * overflowed) if the maximum forbids it. */
static inline char *buffer_reserve(struct buffer *b, size_t size)
{
    if (b->overflowed || size > b->capacity - b->len)
        return buffer_reserve_slowly(b, size);
    return b->at + b->len;
}
static inline void buffer_take(struct buffer *b, size_t size)
{
    b->len += size;
}
/* Drops `n` bytes (at most len) from the front. */
void buffer_consume(struct buffer *b, size_t n);

static inline void buffer_append(struct buffer *b, struct span s)
{
    char *at = s.len == 0 ? NULL : buffer_reserve(b, s.len);
    if (at == NULL)
        return;
    memcpy(at, s.at, s.len);
    b->len += s.len;
}
void buffer_append_char(struct buffer *b, char c);
void buffer_append_u64(struct buffer *b, uint64_t value);
/* Lower-case hex of raw bytes. */
void buffer_append_hex(struct buffer *b, const void *bytes, size_t len);
/* Each byte but RFC 3986's unreserved ones as %XX, in upper case. */
void buffer_append_percent_encoded(struct buffer *b, struct span s);
void buffer_printf(struct buffer *b, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Former name. */
void json_writer_append_escaped(struct buffer *out, struct span s);
#define buffer_append_json json_writer_append_escaped

#endif
