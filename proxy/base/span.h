/* A span: bytes to read, by value, that somebody else owns. It knows nothing of what they mean.
 *
 * A span is valid as long as its owner says. It need not end in NUL. `at` is NULL only in SPAN_NONE,
 * "there is none", which differs from an empty span. */
#ifndef SAGEGATE_BASE_SPAN_H
#define SAGEGATE_BASE_SPAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct span {
    const char *at;
    size_t len;
};

#define SPAN_NONE ((struct span){NULL, 0})
/* For string literals only. */
#define SPAN(literal) ((struct span){"" literal, sizeof(literal) - 1})
/* For printf's "%.*s". */
#define SPAN_ARG(s) (int)(s).len, (s).at

static inline struct span span_make(const char *at, size_t len)
{
    return (struct span){at, len};
}

/* NULL gives SPAN_NONE. */
static inline struct span span_from(const char *c_string)
{
    return (struct span){c_string, c_string == NULL ? 0 : strlen(c_string)};
}

static inline bool span_equals(struct span a, struct span b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.at, b.at, a.len) == 0);
}

static inline bool span_starts_with(struct span s, struct span prefix)
{
    return s.len >= prefix.len && (prefix.len == 0 || memcmp(s.at, prefix.at, prefix.len) == 0);
}

/* The rest of s from byte `n` on; n must be at most s.len. */
static inline struct span span_from_offset(struct span s, size_t n)
{
    return (struct span){s.at + n, s.len - n};
}

/* ASCII case only. */
bool span_equals_ignore_case(struct span a, struct span b);
bool span_starts_with_ignore_case(struct span s, struct span prefix);
bool span_ends_with(struct span s, struct span suffix);

/* Index of the first `c`, or s.len where there is none. */
size_t span_find(struct span s, char c);

/* Without blanks and tabs at both ends. */
struct span span_trim(struct span s);

/* Splits at the first `separator`: *head is what stands before it, *rest what stands after. False, with
 * *head all of s and *rest empty, where there is no separator. s may be *rest. */
bool span_split(struct span s, char separator, struct span *head, struct span *rest);

/* Of a hex digit in either case, -1 for any other byte. */
static inline int span_hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* A byte that RFC 3986 section 2.3 never wants percent-encoded. */
static inline bool span_is_unreserved(char c)
{
    static const bool unreserved[256] = {
        ['a' ... 'z'] = true, ['A' ... 'Z'] = true, ['0' ... '9'] = true, ['-'] = true,
        ['.'] = true,         ['_'] = true,         ['~'] = true,
    };
    return unreserved[(unsigned char)c];
}

/* Decimal digits only, at least one, no sign, no overflow; *out untouched on failure. */
bool span_parse_u64(struct span s, uint64_t *out);

/* `*` matches any run of bytes (also none), `?` one byte, all else itself; over the whole span. Linear in
 * practice (one star is remembered), never recursive. */
bool span_matches_glob(struct span s, struct span glob);

#endif
