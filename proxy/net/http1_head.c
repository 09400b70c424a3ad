/* Heads of HTTP/1 as such: where one ends, and which bytes may stand in it. */
#include "net/http1_private.h"

#define TOKEN  HTTP1_CHAR_TOKEN
#define TARGET HTTP1_CHAR_TARGET
#define HOST   HTTP1_CHAR_HOST
#define HEX    HTTP1_CHAR_HEX
#define TEXT   HTTP1_CHAR_TEXT

const uint8_t http1_char_classes[256] = {
    ['0' ... '9'] = TOKEN | TARGET | HOST | HEX | TEXT,
    ['A' ... 'F'] = TOKEN | TARGET | HOST | HEX | TEXT,
    ['a' ... 'f'] = TOKEN | TARGET | HOST | HEX | TEXT,
    ['G' ... 'Z'] = TOKEN | TARGET | HOST | TEXT,
    ['g' ... 'z'] = TOKEN | TARGET | HOST | TEXT,
    ['-'] = TOKEN | TARGET | HOST | TEXT,
    ['.'] = TOKEN | TARGET | HOST | TEXT,
    ['_'] = TOKEN | TARGET | HOST | TEXT,
    ['~'] = TOKEN | TARGET | HOST | TEXT,
    ['!'] = TOKEN | TARGET | TEXT,
    ['$'] = TOKEN | TARGET | TEXT,
    ['%'] = TOKEN | TARGET | TEXT,
    ['&'] = TOKEN | TARGET | TEXT,
    ['\''] = TOKEN | TARGET | TEXT,
    ['*'] = TOKEN | TARGET | TEXT,
    ['+'] = TOKEN | TARGET | TEXT,
    ['#'] = TOKEN | TEXT,
    ['^'] = TOKEN | TEXT,
    ['`'] = TOKEN | TEXT,
    ['|'] = TOKEN | TEXT,
    ['('] = TARGET | TEXT,
    [')'] = TARGET | TEXT,
    [','] = TARGET | TEXT,
    [';'] = TARGET | TEXT,
    ['='] = TARGET | TEXT,
    [':'] = TARGET | TEXT,
    ['@'] = TARGET | TEXT,
    ['/'] = TARGET | TEXT,
    ['?'] = TARGET | TEXT,
    ['\t'] = TEXT,
    [' '] = TEXT,
    ['"'] = TEXT,
    ['<'] = TEXT,
    ['>'] = TEXT,
    ['['] = TEXT,
    ['\\'] = TEXT,
    [']'] = TEXT,
    ['{'] = TEXT,
    ['}'] = TEXT,
    [0x80 ... 0xff] = TEXT,
};

enum { EMPTY_LINES_BEFORE_MAX = 2 };

/* Eight bytes at once: is none of them a control character (below 0x20, or DEL)? */
static bool is_all_text(const char *eight)
{
    const uint64_t ones = 0x0101010101010101u, tops = 0x8080808080808080u;
    uint64_t word, is_del;
    memcpy(&word, eight, sizeof(word));
    is_del = word ^ (ones * 0x7f);
    return ((((word - ones * 0x20) & ~word) | ((is_del - ones) & ~is_del)) & tops) == 0;
}

static size_t skip_text(struct span bytes, size_t at)
{
    while (bytes.len - at >= 8 && is_all_text(bytes.at + at))
        at += 8;
    while (at != bytes.len && http1_char_is(bytes.at[at], TEXT))
        ++at;
    return at;
}

bool http1_is_before_head(struct span bytes)
{
    if (bytes.len > 2 * EMPTY_LINES_BEFORE_MAX)
        return false;
    for (size_t i = 0; i != bytes.len; ++i)
        if (bytes.at[i] != "\r\n"[i % 2])
            return false;
    return true;
}

long http1_scan_head(struct span bytes, size_t *scanned)
{
    size_t at = *scanned;
    for (;;) {
        at = skip_text(bytes, at);
        *scanned = at;
        if (at == bytes.len || (bytes.at[at] == '\r' && at + 1 == bytes.len))
            return 0;
        if (bytes.at[at] != '\r' || bytes.at[at + 1] != '\n')
            return -1;
        bool line_is_empty = at == 0 || bytes.at[at - 1] == '\n';
        if (line_is_empty && !http1_is_before_head(span_make(bytes.at, at)))
            return (long)(at + 2);
        if (line_is_empty && at == 2 * EMPTY_LINES_BEFORE_MAX)
            return -1;
        at += 2;
    }
}

enum http1_fault http1_read_version(struct span s, int *minor_version)
{
    if (s.len != 8 || !span_starts_with(s, SPAN("HTTP/")) || s.at[6] != '.')
        return HTTP1_BAD_LINE;
    if (s.at[5] != '1' || (s.at[7] != '0' && s.at[7] != '1'))
        return HTTP1_BAD_VERSION;
    *minor_version = s.at[7] - '0';
    return HTTP1_OK;
}
