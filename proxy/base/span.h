/* A span: bytes to read, by value, that somebody else owns. It knows nothing of what they mean.
 *
 * A span is valid as long as its owner says. It need not end in NUL. `at` is NULL only in SPAN_NONE,
 * "there is none", which differs from an empty span. */
#ifndef SAGEGATE_BASE_SPAN_H
#define SAGEGATE_BASE_SPAN_H

#include <stddef.h>
#include <string.h>

#include "base/ascii.h"

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

/* Every byte has one of the classes; true of an empty span. */
bool span_is_all(struct span s, unsigned classes);
/* RFC 9110's token: a field name, a method. Not empty. */
bool span_is_token(struct span s);
/* Letters, digits, '.', '_' and '-'. Not empty; any limit on its length is the caller's. */
bool span_is_name(struct span s);
/* Letters, digits and '_', not beginning with a digit: a variable, a capture. Not empty. */
bool span_is_identifier(struct span s);

/* The byte that the %XX at `at` stands for; -1 if no whole escape starts there. */
int span_escape_value(struct span s, size_t at);
/* Every '%' starts a whole escape. */
bool span_escapes_are_valid(struct span s);

/* Decimal digits only, at least one, no sign, no overflow; *out untouched on failure. */
bool span_parse_u64(struct span s, uint64_t *out);

/* `*` matches any run of bytes (also none), `?` one byte, all else itself; over the whole span. Linear in
 * practice (one star is remembered), never recursive. */
bool span_matches_glob(struct span s, struct span glob);

/* Former names of ascii.h's. */
#define span_hex_value     ascii_hex_value
#define span_is_unreserved ascii_is_unreserved

#endif
