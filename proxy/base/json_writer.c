/* Writes JSON: the only place that knows its commas and escapes. */
#include "base/json_writer.h"

/* ---- strings ---- */

/* Length of the valid UTF-8 sequence at the start of s (RFC 3629), 0 if there is none. */
static size_t utf8_length(struct span s)
{
    unsigned char c = (unsigned char)s.at[0];
    if (c < 0x80)
        return 1;
    size_t len = c >= 0xc2 && c < 0xe0   ? 2
                 : c >= 0xe0 && c < 0xf0 ? 3
                 : c >= 0xf0 && c < 0xf5 ? 4
                                         : 0;
    if (len == 0 || s.len < len)
        return 0;
    for (size_t i = 1; i != len; ++i)
        if (((unsigned char)s.at[i] & 0xc0) != 0x80)
            return 0;
    unsigned char second = (unsigned char)s.at[1];
    if ((c == 0xe0 && second < 0xa0) || (c == 0xed && second >= 0xa0) ||
        (c == 0xf0 && second < 0x90) || (c == 0xf4 && second >= 0x90))
        return 0;
    return len;
}

/* What stands behind the backslash in JSON's short escapes; NUL where there is none. */
static char escape_letter(unsigned char c)
{
    switch (c) {
    case '"':
    case '\\':
        return (char)c;
    case '\n':
        return 'n';
    case '\r':
        return 'r';
    case '\t':
        return 't';
    default:
        return '\0';
    }
}

/* Nonzero if one of eight bytes is a control character, quote, backslash, DEL or beyond ASCII. A
 * subtraction sets a high bit only for such a byte or, by its borrow, just above one. */
static uint64_t odd_bytes(uint64_t word)
{
    const uint64_t ones = 0x0101010101010101, high = 0x80 * ones;
    uint64_t quote = word ^ '"' * ones, backslash = word ^ '\\' * ones, del = word ^ 0x7f * ones;
    return ((word - 0x20 * ones) | (quote - ones) | (backslash - ones) | (del - ones) | word) &
           high;
}

/* Copies s to `at` if it is printable ASCII without quote and backslash, which stands for itself.
 * Eight bytes at a time, since most texts are of that kind; a longer text's last eight overlap
 * those before. */
static bool copy_plain(char *at, struct span s)
{
    uint64_t word = 0x2020202020202020;
    if (s.len < sizeof(word)) {
        for (size_t i = 0; i != s.len; ++i)
            word = word << 8 | (unsigned char)(at[i] = s.at[i]);
        return odd_bytes(word) == 0;
    }
    size_t last = s.len - sizeof(word);
    for (size_t i = 0;; i = i + sizeof(word) < last ? i + sizeof(word) : last) {
        memcpy(&word, s.at + i, sizeof(word));
        if (odd_bytes(word) != 0)
            return false;
        memcpy(at + i, &word, sizeof(word));
        if (i == last)
            return true;
    }
}

static void append_escaped_slowly(struct buffer *b, struct span s)
{
    while (s.len != 0) {
        unsigned char c = (unsigned char)s.at[0];
        char letter = escape_letter(c);
        size_t len = 1;
        if (letter != '\0') {
            buffer_append_char(b, '\\');
            buffer_append_char(b, letter);
        } else if (ascii_is_control((char)c)) {
            buffer_append(b, SPAN("\\u00"));
            buffer_append_hex(b, &c, 1);
        } else if ((len = utf8_length(s)) != 0) {
            buffer_append(b, span_make(s.at, len));
        } else {
            buffer_append(b, SPAN("\xef\xbf\xbd"));
            len = 1;
        }
        s = span_from_offset(s, len);
    }
}

void json_writer_append_escaped(struct buffer *out, struct span s)
{
    char *at = buffer_reserve(out, s.len);
    if (at != NULL && copy_plain(at, s))
        buffer_take(out, s.len);
    else
        append_escaped_slowly(out, s);
}

void json_writer_append_quoted(struct buffer *out, struct span s)
{
    char *at = buffer_reserve(out, s.len + 2);
    if (at != NULL && copy_plain(at + 1, s)) {
        at[0] = at[s.len + 1] = '"';
        buffer_take(out, s.len + 2);
        return;
    }
    buffer_append_char(out, '"');
    append_escaped_slowly(out, s);
    buffer_append_char(out, '"');
}

char *json_writer_put_quoted(char *at, struct span s)
{
    struct buffer rest;
    *at++ = '"';
    if (copy_plain(at, s)) {
        at += s.len;
    } else {
        buffer_init_fixed(&rest, at, JSON_WRITER_GROWTH * s.len);
        append_escaped_slowly(&rest, s);
        at += rest.len;
    }
    *at++ = '"';
    return at;
}

/* ---- values ---- */

static void break_line(struct json_writer *json)
{
    if (!json->indented)
        return;
    buffer_append_char(json->out, '\n');
    for (unsigned i = 0; i != json->depth; ++i)
        buffer_append(json->out, SPAN("  "));
}

static void begin_value(struct json_writer *json, struct span key)
{
    if (json->comma)
        buffer_append_char(json->out, ',');
    if (json->depth != 0)
        break_line(json);
    if (key.at != NULL) {
        json_writer_append_quoted(json->out, key);
        buffer_append(json->out, json->indented ? SPAN(": ") : SPAN(":"));
    }
    json->comma = true;
}

static void open_level(struct json_writer *json, struct span key, char bracket)
{
    begin_value(json, key);
    buffer_append_char(json->out, bracket);
    json->comma = false;
    ++json->depth;
}

static void close_level(struct json_writer *json, char bracket)
{
    --json->depth;
    if (json->comma)
        break_line(json);
    buffer_append_char(json->out, bracket);
    json->comma = true;
}

void json_writer_open_object(struct json_writer *json, struct span key)
{
    open_level(json, key, '{');
}

void json_writer_close_object(struct json_writer *json)
{
    close_level(json, '}');
}

void json_writer_open_array(struct json_writer *json, struct span key)
{
    open_level(json, key, '[');
}

void json_writer_close_array(struct json_writer *json)
{
    close_level(json, ']');
}

void json_writer_add_text(struct json_writer *json, struct span key, struct span value)
{
    begin_value(json, key);
    json_writer_append_quoted(json->out, value);
}

void json_writer_add_u64(struct json_writer *json, struct span key, uint64_t value)
{
    begin_value(json, key);
    buffer_append_u64(json->out, value);
}

void json_writer_add_bool(struct json_writer *json, struct span key, bool value)
{
    begin_value(json, key);
    buffer_append(json->out, value ? SPAN("true") : SPAN("false"));
}

void json_writer_add_raw(struct json_writer *json, struct span key, struct span value)
{
    begin_value(json, key);
    buffer_append(json->out, value);
}
