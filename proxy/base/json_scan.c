/* The state machine that scans a JSON object's own members. */
#include "base/json_scan.h"

#include "base/check.h"

enum state {
    BEFORE_OBJECT,
    FIRST_KEY, /* or the object's end */
    NEXT_KEY,  /* after a comma */
    KEY,       /* inside its quotes */
    BEFORE_COLON,
    BEFORE_VALUE,
    STRING,
    LITERAL, /* a number, true, false, null */
    NESTED,
    NESTED_STRING,
    AFTER_VALUE,
    AFTER_OBJECT,
    NO_JSON, /* final */
};

struct json_scan {
    enum state state;
    struct arena *arena;
    const struct span *names;
    size_t count;
    size_t current; /* the member whose value is being read; count: not a wanted one */
    size_t depth;   /* of open brackets in a nested value */
    bool escaped;   /* the last byte was an escaping backslash */
    size_t raw_len; /* bytes of the key or value; those beyond the maximum are only counted */
    char raw[JSON_SCAN_RAW_MAX];
    struct json_scan_value values[JSON_SCAN_NAMES_MAX];
};

struct json_scan *json_scan_create(struct arena *arena, const struct span *names, size_t count)
{
    CHECK(count <= JSON_SCAN_NAMES_MAX);
    struct json_scan *scan = arena_alloc(arena, sizeof(*scan));
    scan->state = BEFORE_OBJECT;
    scan->arena = arena;
    scan->names = names;
    scan->count = scan->current = count;
    scan->depth = scan->raw_len = 0;
    scan->escaped = false;
    for (size_t i = 0; i != count; ++i)
        scan->values[i] = (struct json_scan_value){JSON_SCAN_ABSENT, SPAN_NONE};
    return scan;
}

struct json_scan_value json_scan_get(const struct json_scan *scan, struct span name)
{
    for (size_t i = 0; scan != NULL && i != scan->count && scan->state == AFTER_OBJECT; ++i)
        if (span_equals(scan->names[i], name))
            return scan->values[i];
    return (struct json_scan_value){JSON_SCAN_ABSENT, SPAN_NONE};
}

/* ---- strings ---- */

static bool take_hex(struct span raw, size_t at, unsigned *out)
{
    unsigned value = 0;
    if (raw.len - at < 4)
        return false;
    for (size_t i = at; i != at + 4; ++i) {
        int digit = ascii_hex_value(raw.at[i]);
        if (digit < 0)
            return false;
        value = value << 4 | (unsigned)digit;
    }
    *out = value;
    return true;
}

static size_t put_utf8(char *out, unsigned code)
{
    if (code < 0x80) {
        out[0] = (char)code;
        return 1;
    }
    if (code < 0x800) {
        out[0] = (char)(0xc0 | code >> 6);
        out[1] = (char)(0x80 | (code & 0x3f));
        return 2;
    }
    if (code < 0x10000) {
        out[0] = (char)(0xe0 | code >> 12);
        out[1] = (char)(0x80 | (code >> 6 & 0x3f));
        out[2] = (char)(0x80 | (code & 0x3f));
        return 3;
    }
    out[0] = (char)(0xf0 | code >> 18);
    out[1] = (char)(0x80 | (code >> 12 & 0x3f));
    out[2] = (char)(0x80 | (code >> 6 & 0x3f));
    out[3] = (char)(0x80 | (code & 0x3f));
    return 4;
}

/* Reads what follows "\u" at *at; a surrogate pair counts as one. */
static bool take_code(struct span raw, size_t *at, unsigned *out)
{
    unsigned code, low;
    if (!take_hex(raw, *at, &code) || (code >= 0xdc00 && code <= 0xdfff))
        return false;
    *at += 4;
    if (code >= 0xd800 && code <= 0xdbff) {
        if (raw.len - *at < 6 || raw.at[*at] != '\\' || raw.at[*at + 1] != 'u' ||
            !take_hex(raw, *at + 2, &low) || low < 0xdc00 || low > 0xdfff)
            return false;
        *at += 6;
        code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
    }
    *out = code;
    return true;
}

/* Resolves escapes; raw.len bytes at `out` are always enough. */
static bool unescape(struct span raw, char *out, size_t *len)
{
    static const char letters[] = "\"\\/bfnrt", meanings[] = "\"\\/\b\f\n\r\t";
    size_t used = 0;
    for (size_t i = 0; i != raw.len;) {
        if (raw.at[i] != '\\') {
            out[used++] = raw.at[i++];
            continue;
        }
        if (++i == raw.len)
            return false;
        char c = raw.at[i++];
        const char *letter = c == '\0' ? NULL : strchr(letters, c);
        unsigned code = 0;
        if (letter == NULL && (c != 'u' || !take_code(raw, &i, &code)))
            return false;
        if (letter != NULL)
            out[used++] = meanings[letter - letters];
        else
            used += put_utf8(out + used, code);
    }
    *len = used;
    return true;
}

static void keep(struct json_scan *scan, char c)
{
    if (scan->raw_len < JSON_SCAN_RAW_MAX)
        scan->raw[scan->raw_len] = c;
    ++scan->raw_len;
}

/* ---- members ---- */

static void end_key(struct json_scan *scan)
{
    char text[JSON_SCAN_RAW_MAX];
    size_t len;
    scan->current = scan->count;
    scan->state = BEFORE_COLON;
    if (scan->raw_len > JSON_SCAN_RAW_MAX)
        return;
    if (!unescape(span_make(scan->raw, scan->raw_len), text, &len)) {
        scan->state = NO_JSON;
        return;
    }
    for (size_t i = 0; i != scan->count; ++i)
        if (span_equals(scan->names[i], span_make(text, len)))
            scan->current = i;
}

static void set_value(struct json_scan *scan, enum json_scan_kind kind, struct span text)
{
    if (scan->current == scan->count)
        return;
    struct json_scan_value *value = &scan->values[scan->current];
    if (value->kind != JSON_SCAN_ABSENT)
        *value = (struct json_scan_value){JSON_SCAN_TWICE, SPAN_NONE};
    else
        *value = (struct json_scan_value){kind, text};
}

static void end_string(struct json_scan *scan)
{
    char text[JSON_SCAN_RAW_MAX];
    size_t len = 0;
    scan->state = AFTER_VALUE;
    if (scan->current == scan->count)
        return;
    bool fits = scan->raw_len <= JSON_SCAN_RAW_MAX;
    if (fits && !unescape(span_make(scan->raw, scan->raw_len), text, &len)) {
        scan->state = NO_JSON;
        return;
    }
    if (!fits || len > JSON_SCAN_TEXT_MAX)
        set_value(scan, JSON_SCAN_LONG, SPAN_NONE);
    else
        set_value(scan, JSON_SCAN_STRING, arena_copy(scan->arena, span_make(text, len)));
}

/* Checks which bytes there are, not their order. */
static bool looks_like_number(struct span text)
{
    for (size_t i = 0; i != text.len; ++i)
        if (text.at[i] == '\0' || strchr("0123456789+-.eE", text.at[i]) == NULL)
            return false;
    return true;
}

static void end_literal(struct json_scan *scan)
{
    size_t len = scan->raw_len < JSON_SCAN_RAW_MAX ? scan->raw_len : JSON_SCAN_RAW_MAX;
    struct span text = span_make(scan->raw, len);
    bool is_true = span_equals(text, SPAN("true"));
    scan->state = AFTER_VALUE;
    if (!is_true && !span_equals(text, SPAN("false")) && !span_equals(text, SPAN("null")) &&
        !looks_like_number(text))
        scan->state = NO_JSON;
    else
        set_value(scan, is_true ? JSON_SCAN_TRUE : JSON_SCAN_OTHER, SPAN_NONE);
}

/* ---- bytes ---- */

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static void begin_value(struct json_scan *scan, char c)
{
    scan->raw_len = 0;
    if (c == '"') {
        scan->state = STRING;
    } else if (c == '{' || c == '[') {
        set_value(scan, JSON_SCAN_OTHER, SPAN_NONE);
        scan->depth = 1;
        scan->state = NESTED;
    } else if (c == ',' || c == '}' || c == ']' || c == ':') {
        scan->state = NO_JSON;
    } else {
        keep(scan, c);
        scan->state = LITERAL;
    }
}

/* Handles a byte between members that is not white space. */
static void take_mark(struct json_scan *scan, char c)
{
    switch (scan->state) {
    case BEFORE_OBJECT:
        scan->state = c == '{' ? FIRST_KEY : NO_JSON;
        return;
    case FIRST_KEY:
    case NEXT_KEY:
        scan->raw_len = 0;
        if (c == '"')
            scan->state = KEY;
        else
            scan->state = c == '}' && scan->state == FIRST_KEY ? AFTER_OBJECT : NO_JSON;
        return;
    case BEFORE_COLON:
        scan->state = c == ':' ? BEFORE_VALUE : NO_JSON;
        return;
    case BEFORE_VALUE:
        begin_value(scan, c);
        return;
    case AFTER_VALUE:
        scan->state = c == ',' ? NEXT_KEY : c == '}' ? AFTER_OBJECT : NO_JSON;
        return;
    default:
        scan->state = NO_JSON;
        return;
    }
}

/* Consumes the bytes of a string. Returns how many. */
static size_t take_string(struct json_scan *scan, struct span bytes, bool kept)
{
    size_t i = 0;
    for (; i != bytes.len; ++i) {
        char c = bytes.at[i];
        if (c == '"' && !scan->escaped)
            break;
        if ((unsigned char)c < ' ') {
            scan->state = NO_JSON;
            return i + 1;
        }
        scan->escaped = c == '\\' && !scan->escaped;
        if (kept)
            keep(scan, c);
    }
    if (i == bytes.len)
        return i;
    if (scan->state == KEY)
        end_key(scan);
    else if (scan->state == STRING)
        end_string(scan);
    else
        scan->state = NESTED;
    return i + 1;
}

static size_t take_nested(struct json_scan *scan, struct span bytes)
{
    for (size_t i = 0; i != bytes.len; ++i) {
        char c = bytes.at[i];
        if (c == '"') {
            scan->state = NESTED_STRING;
            return i + 1;
        }
        scan->depth += c == '{' || c == '[';
        scan->depth -= c == '}' || c == ']';
        if (scan->depth == 0) {
            scan->state = AFTER_VALUE;
            return i + 1;
        }
    }
    return bytes.len;
}

static size_t take_literal(struct json_scan *scan, struct span bytes)
{
    for (size_t i = 0; i != bytes.len; ++i) {
        char c = bytes.at[i];
        if (is_blank(c) || c == ',' || c == '}') {
            end_literal(scan);
            return i;
        }
        if (c == '"' || c == '{' || c == '[' || c == ']' || c == ':') {
            scan->state = NO_JSON;
            return i;
        }
        keep(scan, c);
    }
    return bytes.len;
}

void json_scan_push(struct json_scan *scan, struct span bytes)
{
    while (bytes.len != 0 && scan->state != NO_JSON) {
        size_t taken = 1;
        switch (scan->state) {
        case KEY:
            taken = take_string(scan, bytes, true);
            break;
        case STRING:
            taken = take_string(scan, bytes, scan->current != scan->count);
            break;
        case NESTED_STRING:
            taken = take_string(scan, bytes, false);
            break;
        case NESTED:
            taken = take_nested(scan, bytes);
            break;
        case LITERAL:
            taken = take_literal(scan, bytes);
            break;
        default:
            if (!is_blank(bytes.at[0]))
                take_mark(scan, bytes.at[0]);
            break;
        }
        bytes = span_from_offset(bytes, taken);
    }
}
