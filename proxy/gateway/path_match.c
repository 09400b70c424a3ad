/* One pattern against one path, segment by segment, and the rules of what a capture may hold. */
#include "gateway/path_match.h"

bool path_match_escapes_are_valid(struct span path)
{
    for (size_t i = span_find(path, '%'); i < path.len; ++i)
        if (path.at[i] == '%' && (path.len - i < 3 || span_hex_value(path.at[i + 1]) < 0 ||
                                  span_hex_value(path.at[i + 2]) < 0))
            return false;
    return true;
}

/* The byte at *i, decoded; *i moves behind it. */
static char next_byte(struct span s, size_t *i)
{
    char c = s.at[*i];
    if (c != '%') {
        *i += 1;
        return c;
    }
    CHECK(s.len - *i >= 3);
    int value = span_hex_value(s.at[*i + 1]) * 16 + span_hex_value(s.at[*i + 2]);
    *i += 3;
    return (char)value;
}

struct span path_match_decode(struct span s, struct arena *arena)
{
    char *out = arena_alloc(arena, s.len + 1);
    size_t len = 0;
    for (size_t i = 0; i != s.len;)
        out[len++] = next_byte(s, &i);
    out[len] = '\0';
    return span_make(out, len);
}

/* The suffix would begin within an escape: "%eb" does not end in the letter b. */
static bool cuts_an_escape(struct span captured)
{
    return (captured.len >= 1 && captured.at[captured.len - 1] == '%') ||
           (captured.len >= 2 && captured.at[captured.len - 2] == '%');
}

bool path_match_strip(const struct pattern_segment *segment, struct span text,
                      struct span *captured)
{
    size_t fixed = segment->prefix.len + segment->suffix.len;
    if (text.len < fixed || !span_starts_with(text, segment->prefix) ||
        !span_ends_with(text, segment->suffix))
        return false;
    struct span between = span_make(text.at + segment->prefix.len, text.len - fixed);
    if (cuts_an_escape(between))
        return false;
    *captured = between;
    return true;
}

/* One part between slashes. */
static bool part_is_safe(struct span part)
{
    size_t dots = 0, bytes = 0;
    for (size_t i = 0; i != part.len; ++bytes) {
        char c = next_byte(part, &i);
        if (c == '/' || c == '\\' || c == '\0')
            return false;
        dots += c == '.' ? 1 : 0;
    }
    return bytes != 0 && !(dots == bytes && bytes <= 2);
}

bool path_match_may_capture(struct span captured)
{
    for (;;) {
        struct span part;
        bool more = span_split(captured, '/', &part, &captured);
        if (!part_is_safe(part))
            return false;
        if (!more)
            return true;
    }
}

enum path_match_result path_match(const struct pattern *pattern, struct span path,
                                  struct arena *arena,
                                  struct route_capture captures[ROUTE_CAPTURES_MAX], size_t *count)
{
    struct span rest = span_from_offset(path, 1);
    enum path_match_result result = PATH_MATCH_YES;
    struct route_capture found[ROUTE_CAPTURES_MAX];
    size_t found_count = 0;
    for (size_t i = 0; i != pattern->segment_count; ++i) {
        const struct pattern_segment *segment = &pattern->segments[i];
        struct span text = rest, captured;
        bool is_last = i + 1 == pattern->segment_count;
        if (!segment->spans_slashes && span_split(rest, '/', &text, &rest) == is_last)
            return PATH_MATCH_NO;
        if (!path_match_strip(segment, text, &captured))
            return PATH_MATCH_NO;
        if (!segment->captures) {
            if (captured.len != 0)
                return PATH_MATCH_NO;
            continue;
        }
        if (segment->name.len != 0 && !path_match_may_capture(captured))
            result = PATH_MATCH_REFUSED; /* what has no name goes nowhere */
        CHECK(found_count != ROUTE_CAPTURES_MAX);
        found[found_count++] = (struct route_capture){.name = segment->name, .value = captured};
    }
    if (result != PATH_MATCH_YES || captures == NULL)
        return result;
    for (size_t i = 0; i != found_count; ++i)
        captures[i] =
            (struct route_capture){found[i].name, path_match_decode(found[i].value, arena)};
    *count = found_count;
    return PATH_MATCH_YES;
}
