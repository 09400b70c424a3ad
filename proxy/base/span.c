/* Compares, splits, validates and parses spans. */
#include "base/span.h"

bool span_starts_with_ignore_case(struct span s, struct span prefix)
{
    if (s.len < prefix.len)
        return false;
    for (size_t i = 0; i != prefix.len; ++i)
        if (ascii_lower(s.at[i]) != ascii_lower(prefix.at[i]))
            return false;
    return true;
}

bool span_equals_ignore_case(struct span a, struct span b)
{
    return a.len == b.len && span_starts_with_ignore_case(a, b);
}

bool span_ends_with(struct span s, struct span suffix)
{
    return s.len >= suffix.len && span_equals(span_from_offset(s, s.len - suffix.len), suffix);
}

size_t span_find(struct span s, char c)
{
    const char *found = s.len == 0 ? NULL : memchr(s.at, c, s.len);
    return found == NULL ? s.len : (size_t)(found - s.at);
}

struct span span_trim(struct span s)
{
    while (s.len != 0 && ascii_is_blank(s.at[0]))
        s = span_from_offset(s, 1);
    while (s.len != 0 && ascii_is_blank(s.at[s.len - 1]))
        --s.len;
    return s;
}

bool span_split(struct span s, char separator, struct span *head, struct span *rest)
{
    size_t at = span_find(s, separator);
    *head = span_make(s.at, at);
    if (at == s.len) {
        *rest = span_make(s.at, 0);
        return false;
    }
    *rest = span_from_offset(s, at + 1);
    return true;
}

bool span_is_all(struct span s, unsigned classes)
{
    for (size_t i = 0; i != s.len; ++i)
        if (!ascii_is(s.at[i], classes))
            return false;
    return true;
}

bool span_is_token(struct span s)
{
    return s.len != 0 && span_is_all(s, ASCII_TOKEN);
}

bool span_is_name(struct span s)
{
    return s.len != 0 && span_is_all(s, ASCII_NAME);
}

bool span_is_identifier(struct span s)
{
    for (size_t i = 0; i != s.len; ++i)
        if (!ascii_is_alnum(s.at[i]) && s.at[i] != '_')
            return false;
    return s.len != 0 && !ascii_is_digit(s.at[0]);
}

int span_escape_value(struct span s, size_t at)
{
    if (s.len < 3 || at > s.len - 3 || s.at[at] != '%')
        return -1;
    int high = ascii_hex_value(s.at[at + 1]), low = ascii_hex_value(s.at[at + 2]);
    return high < 0 || low < 0 ? -1 : high << 4 | low;
}

bool span_escapes_are_valid(struct span s)
{
    for (size_t i = span_find(s, '%'); i < s.len; ++i)
        if (s.at[i] == '%' && span_escape_value(s, i) < 0)
            return false;
    return true;
}

bool span_parse_u64(struct span s, uint64_t *out)
{
    uint64_t value = 0;
    if (s.len == 0)
        return false;
    for (size_t i = 0; i != s.len; ++i) {
        if (!ascii_is_digit(s.at[i]))
            return false;
        if (__builtin_mul_overflow(value, (uint64_t)10, &value) ||
            __builtin_add_overflow(value, (uint64_t)(s.at[i] - '0'), &value))
            return false;
    }
    *out = value;
    return true;
}

bool span_matches_glob(struct span s, struct span glob)
{
    size_t i = 0, g = 0;
    size_t star = SIZE_MAX, star_i = 0; /* the last star, and where in s its match ends */
    while (i != s.len) {
        if (g != glob.len && glob.at[g] == '*') {
            star = g++;
            star_i = i;
        } else if (g != glob.len && (glob.at[g] == '?' || glob.at[g] == s.at[i])) {
            ++g;
            ++i;
        } else if (star != SIZE_MAX) {
            g = star + 1;
            i = ++star_i;
        } else {
            return false;
        }
    }
    while (g != glob.len && glob.at[g] == '*')
        ++g;
    return g == glob.len;
}
