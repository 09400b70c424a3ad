/* Grows buffers and formats numbers, hex and percent-encoding into them. */
#include "base/buffer.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

void buffer_dispose(struct buffer *b)
{
    if (!b->fixed)
        free(b->at);
    *b = (struct buffer){.max = b->max};
}

static void grow(struct buffer *b, size_t needed)
{
    size_t capacity = b->capacity < 128 ? 128 : b->capacity;
    while (capacity < needed)
        capacity *= 2;
    if (capacity > b->max)
        capacity = b->max;
    b->at = realloc(b->at, capacity);
    CHECK(b->at != NULL);
    b->capacity = capacity;
}

char *buffer_reserve_slowly(struct buffer *b, size_t size)
{
    if (b->overflowed || size > b->max - b->len) {
        b->overflowed = true;
        return NULL;
    }
    if (b->capacity - b->len < size)
        grow(b, b->len + size);
    return b->at + b->len;
}

void buffer_consume(struct buffer *b, size_t n)
{
    CHECK(n <= b->len);
    b->len -= n;
    if (b->len != 0 && n != 0)
        memmove(b->at, b->at + n, b->len);
}

void buffer_append_char(struct buffer *b, char c)
{
    buffer_append(b, span_make(&c, 1));
}

void buffer_append_u64(struct buffer *b, uint64_t value)
{
    char digits[20];
    size_t at = sizeof(digits);
    do {
        digits[--at] = (char)('0' + value % 10);
        value /= 10;
    } while (value != 0);
    buffer_append(b, span_make(digits + at, sizeof(digits) - at));
}

void buffer_append_hex(struct buffer *b, const void *bytes, size_t len)
{
    static const char digits[] = "0123456789abcdef";
    char *at = len > SIZE_MAX / 2 ? NULL : buffer_reserve(b, len * 2);
    if (at == NULL)
        return;
    for (size_t i = 0; i != len; ++i) {
        unsigned char byte = ((const unsigned char *)bytes)[i];
        *at++ = digits[byte >> 4];
        *at++ = digits[byte & 15];
    }
    b->len += len * 2;
}

void buffer_append_percent_encoded(struct buffer *b, struct span s)
{
    static const char digits[] = "0123456789ABCDEF";
    for (size_t i = 0; i != s.len; ++i) {
        unsigned char byte = (unsigned char)s.at[i];
        char escape[3] = {'%', digits[byte >> 4], digits[byte & 15]};
        bool plain = ascii_is_unreserved(s.at[i]);
        buffer_append(b, plain ? span_make(s.at + i, 1) : span_make(escape, sizeof(escape)));
    }
}

void buffer_printf(struct buffer *b, const char *format, ...)
{
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    int len = vsnprintf(NULL, 0, format, args);
    va_end(args);
    CHECK(len >= 0);
    char small[256], *text = small;
    if ((size_t)len >= sizeof(small)) {
        text = malloc((size_t)len + 1);
        CHECK(text != NULL);
    }
    vsnprintf(text, (size_t)len + 1, format, again);
    va_end(again);
    buffer_append(b, span_make(text, (size_t)len));
    if (text != small)
        free(text);
}
