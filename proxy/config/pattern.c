/* Parses path patterns; a fault names the violated rule. */
#include "config/pattern.h"

/* Characters that are literal in a segment: pchar of RFC 3986 section 3.3 except '%' and '*'. */
static bool is_literal(char c)
{
    return ascii_is(c, ASCII_TARGET) && memchr("/?%*", c, 4) == NULL;
}

static struct span literal_fault(char c, struct arena *arena)
{
    switch (c) {
    case '?':
        return SPAN("'?' is not allowed: it starts a query, which is not part of the path");
    case '#':
        return SPAN("'#' is not allowed: it starts a fragment, which clients never send");
    case '%':
        return SPAN("'%' is not allowed: paths are matched as received, without decoding");
    case '*':
        return SPAN("'*' must be the whole last segment; use {name*} to capture the rest by name");
    case '}':
        return SPAN("'}' without '{'");
    case '{':
        return SPAN("a segment can have only one capture");
    default:
        return ascii_is(c, ASCII_VISIBLE)
                   ? arena_printf(arena, "'%c' is not allowed in a path", c)
                   : arena_printf(arena, "byte 0x%02x is not allowed in a path",
                                  (unsigned)(unsigned char)c);
    }
}

static bool check_literal(struct span s, struct arena *arena, struct span *fault)
{
    for (size_t i = 0; i != s.len; ++i) {
        if (!is_literal(s.at[i])) {
            *fault = literal_fault(s.at[i], arena);
            return false;
        }
    }
    return true;
}

/* Parses "prefix{name*}suffix". */
static bool parse_capture(struct span text, struct arena *arena, struct pattern_segment *out,
                          struct span *fault)
{
    struct span inner, suffix;
    size_t open = span_find(text, '{');
    if (!span_split(span_from_offset(text, open + 1), '}', &inner, &suffix))
        return arena_fault(arena, fault, "'{' without '}'");
    bool spans = inner.len != 0 && inner.at[inner.len - 1] == '*';
    struct span name = span_make(inner.at, inner.len - (spans ? 1 : 0));
    if (!span_is_identifier(name))
        return arena_fault(arena, fault,
                           "{%.*s}: a capture's name must match [A-Za-z_][A-Za-z0-9_]*",
                           SPAN_ARG(inner));
    *out = (struct pattern_segment){.prefix = span_make(text.at, open),
                                    .suffix = suffix,
                                    .name = name,
                                    .captures = true,
                                    .spans_slashes = spans};
    return check_literal(out->prefix, arena, fault) && check_literal(suffix, arena, fault);
}

static bool parse_segment(struct span text, bool is_last, struct arena *arena,
                          struct pattern_segment *out, struct span *fault)
{
    if (text.len == 0 && !is_last)
        return arena_fault(arena, fault, "an empty segment (\"//\") is not allowed");
    if (span_equals(text, SPAN(".")) || span_equals(text, SPAN("..")))
        return arena_fault(arena, fault,
                           "a dot segment is not allowed: clients resolve it before sending");
    if (span_equals(text, SPAN("*"))) {
        *out = (struct pattern_segment){.prefix = span_make(text.at, 0),
                                        .suffix = span_make(text.at, 0),
                                        .name = span_make(text.at, 0),
                                        .captures = true,
                                        .spans_slashes = true};
    } else if (span_find(text, '{') != text.len) {
        if (!parse_capture(text, arena, out, fault))
            return false;
    } else {
        *out = (struct pattern_segment){
            .prefix = text, .suffix = span_make(text.at, 0), .name = span_make(text.at, 0)};
        if (!check_literal(text, arena, fault))
            return false;
    }
    if (out->spans_slashes && !is_last)
        return arena_fault(arena, fault, "%.*s spans slashes, so it must be the last segment",
                           SPAN_ARG(text));
    return true;
}

/* Checks the rules that concern more than one segment. */
static bool check_captures(const struct pattern *pattern, struct arena *arena, struct span *fault)
{
    size_t count = 0;
    for (size_t i = 0; i != pattern->segment_count; ++i) {
        const struct pattern_segment *segment = &pattern->segments[i];
        if (segment->captures && ++count > PATTERN_CAPTURES_MAX)
            return arena_fault(arena, fault, "more than %d captures", PATTERN_CAPTURES_MAX);
        const struct pattern before = {.segments = pattern->segments, .segment_count = i};
        if (segment->name.len != 0 && pattern_has_capture(&before, segment->name))
            return arena_fault(arena, fault, "{%.*s} is captured twice", SPAN_ARG(segment->name));
    }
    return true;
}

bool pattern_parse(struct span text, struct arena *arena, struct pattern *out, struct span *fault)
{
    if (text.len == 0 || text.at[0] != '/')
        return arena_fault(arena, fault, "a path must start with '/'");
    struct span rest = span_from_offset(arena_copy(arena, text), 1);
    size_t count = 1;
    for (size_t i = 0; i != rest.len; ++i)
        count += rest.at[i] == '/' ? 1 : 0;
    if (count > PATTERN_SEGMENTS_MAX)
        return arena_fault(arena, fault, "%zu segments; at most %d are allowed", count,
                           PATTERN_SEGMENTS_MAX);
    struct pattern pattern = {
        .segments = arena_zalloc(arena, count, sizeof(*pattern.segments)),
        .segment_count = count,
    };
    for (size_t i = 0; i != count; ++i) {
        struct span segment;
        span_split(rest, '/', &segment, &rest);
        if (!parse_segment(segment, i + 1 == count, arena, &pattern.segments[i], fault))
            return false;
    }
    if (!check_captures(&pattern, arena, fault))
        return false;
    *out = pattern;
    return true;
}

bool pattern_has_capture(const struct pattern *pattern, struct span name)
{
    for (size_t i = 0; i != pattern->segment_count; ++i)
        if (pattern->segments[i].captures && span_equals(pattern->segments[i].name, name))
            return true;
    return false;
}
