/* Bounded builders of bytes: a buffer is initialised with its maximum size and never grows beyond
 * it.
 *
 * An append that does not fit sets `overflowed` and adds nothing, and neither do later ones:
 * callers append freely and check once at the end. */
#ifndef SAGEGATE_BASE_BUFFER_H
#define SAGEGATE_BASE_BUFFER_H

#include "base/check.h"
#include "base/span.h"

struct buffer {
    char *at;
    size_t len, capacity, max;
    bool overflowed;
    bool fixed; /* `at` belongs to the caller */
};

/* Builds in the caller's memory. */
static inline void buffer_init_fixed(struct buffer *b, void *memory, size_t size)
{
    *b = (struct buffer){.at = memory, .capacity = size, .max = size, .fixed = true};
}
/* Builds on the heap, doubling up to max bytes. Allocates nothing yet. */
static inline void buffer_init(struct buffer *b, size_t max)
{
    *b = (struct buffer){.max = max};
}
/* Frees the heap memory, if any. Safe to repeat. */
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

/* The slow path of buffer_reserve: grows, or overflows. */
char *buffer_reserve_slowly(struct buffer *b, size_t size);

/* Returns room for `size` more bytes, which the caller fills and then adds with buffer_take.
 * Returns NULL and sets overflowed if they exceed the maximum. */
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
/* Removes n bytes, at most len, from the front. */
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
/* Appends bytes as lower-case hex digits. */
void buffer_append_hex(struct buffer *b, const void *bytes, size_t len);
/* Appends s with every byte but RFC 3986's unreserved ones as %XX, in upper case. */
void buffer_append_percent_encoded(struct buffer *b, struct span s);
void buffer_printf(struct buffer *b, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
