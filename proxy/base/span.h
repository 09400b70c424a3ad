/* Spans: bytes to read, passed by value and owned by somebody else.
 *
 * A span is valid for as long as its owner says and need not end in NUL. `at` is NULL only in
 * SPAN_NONE, which means "absent" and is not the same as an empty span. */
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

/* Returns SPAN_NONE for NULL. */
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

/* Returns s without its first n bytes; n must be at most s.len. */
static inline struct span span_from_offset(struct span s, size_t n)
{
    return (struct span){s.at + n, s.len - n};
}

/* Ignore the case of ASCII letters only. */
bool span_equals_ignore_case(struct span a, struct span b);
bool span_starts_with_ignore_case(struct span s, struct span prefix);
bool span_ends_with(struct span s, struct span suffix);

/* Returns the index of the first `c`, s.len if there is none. */
size_t span_find(struct span s, char c);

/* Returns s without spaces and tabs at both ends. */
struct span span_trim(struct span s);

/* Splits s at the first separator into *head and *rest. Returns false if there is none: *head is
 * all of s then, *rest empty. s may be *rest. */
bool span_split(struct span s, char separator, struct span *head, struct span *rest);

/* Whether every byte has one of the classes; true for an empty span. */
bool span_is_all(struct span s, unsigned classes);
/* A token of RFC 9110, such as a field name or a method. Not empty. */
bool span_is_token(struct span s);
/* Letters, digits, '.', '_' and '-'. Not empty; the caller limits the length. */
bool span_is_name(struct span s);
/* Letters, digits and '_', not beginning with a digit: a variable, a capture. Not empty. */
bool span_is_identifier(struct span s);

/* Returns the byte that the %XX at index `at` encodes, -1 if no complete escape starts there. */
int span_escape_value(struct span s, size_t at);
/* Whether every '%' starts a complete escape. */
bool span_escapes_are_valid(struct span s);

/* Accepts one or more decimal digits without a sign. Returns false for anything else and on
 * overflow. */
bool span_parse_u64(struct span s, uint64_t *out);

/* Matches the whole span: `*` any run of bytes, even none, `?` one byte, any other byte itself. Not
 * recursive; it backtracks to the last star only. */
bool span_matches_glob(struct span s, struct span glob);

#endif
