/* Compiles and expands templates; must not depend on requests or routes. */
#include "config/template.h"

#include "config/suggest.h"

enum { TEMPLATE_PARTS_MAX = 32 };

struct source_row {
    struct span word;
    enum template_source source;
    bool named; /* written with a name: ${header.X} */
};

static const struct source_row sources[] = {
    {SPAN("uuid"), TEMPLATE_UUID, false},
    {SPAN("request_id"), TEMPLATE_REQUEST_ID, false},
    {SPAN("trace_id"), TEMPLATE_TRACE_ID, false},
    {SPAN("span_id"), TEMPLATE_SPAN_ID, false},
    {SPAN("traceparent"), TEMPLATE_TRACEPARENT, false},
    {SPAN("route"), TEMPLATE_ROUTE, false},
    {SPAN("header"), TEMPLATE_HEADER, true},
    {SPAN("path"), TEMPLATE_PATH, true},
    {SPAN("query"), TEMPLATE_QUERY, true},
    {SPAN("json"), TEMPLATE_JSON, true},
};
enum { SOURCE_COUNT = sizeof(sources) / sizeof(sources[0]) };

static const struct source_row *find_source(struct span word)
{
    for (size_t i = 0; i != SOURCE_COUNT; ++i)
        if (span_equals(sources[i].word, word))
            return &sources[i];
    return NULL;
}

static struct span describe_unknown(struct span reference, struct span word, struct arena *arena)
{
    struct span words[SOURCE_COUNT];
    for (size_t i = 0; i != SOURCE_COUNT; ++i)
        words[i] = sources[i].word;
    struct span near = suggest_nearest(word, words, SOURCE_COUNT);
    if (near.at != NULL) {
        struct span rest = span_from_offset(reference, word.len);
        const struct source_row *row = find_source(near);
        if (row->named && rest.len == 0)
            rest = SPAN(".NAME");
        if (!row->named)
            rest = SPAN("");
        return arena_printf(arena, "${%.*s}: unknown source, did you mean ${%.*s%.*s}?",
                            SPAN_ARG(reference), SPAN_ARG(near), SPAN_ARG(rest));
    }
    return arena_printf(arena,
                        "${%.*s}: unknown source; must be one of uuid, request_id, trace_id, "
                        "span_id, traceparent, route, header.X, path.X, query.X, json.X and env.X",
                        SPAN_ARG(reference));
}

static bool is_query_name(struct span name)
{
    for (size_t i = 0; i != name.len; ++i)
        if (!ascii_is(name.at[i], ASCII_VISIBLE) || memchr("&=#$", name.at[i], 4) != NULL)
            return false;
    return name.len != 0;
}

bool template_unescape(struct span text, struct arena *arena, struct span *out, size_t *at)
{
    char *copy = arena_alloc(arena, text.len + 1);
    size_t len = 0;
    for (size_t i = 0; i != text.len; ++i) {
        if (text.at[i] == '$' && (i + 1 == text.len || text.at[i + 1] != '$')) {
            *at = i;
            return false;
        }
        if (text.at[i] == '$')
            ++i;
        copy[len++] = text.at[i];
    }
    copy[len] = '\0';
    *out = span_make(copy, len);
    return true;
}

static bool unescape(struct span text, struct arena *arena, struct span *out, struct span *fault)
{
    size_t at;
    if (template_unescape(text, arena, out, &at))
        return true;
    *fault = SPAN("unescaped $: write $$ for a dollar, ${...} for a value");
    return false;
}

static bool check_name(struct span reference, const struct source_row *row, struct span name,
                       struct arena *arena, struct span *fault)
{
    if (!row->named) {
        if (name.at == NULL)
            return true;
        *fault = arena_printf(arena, "${%.*s}: %.*s takes no name: write ${%.*s}",
                              SPAN_ARG(reference), SPAN_ARG(row->word), SPAN_ARG(row->word));
        return false;
    }
    if (name.len == 0)
        return arena_fault(arena, fault, "${%.*s}: missing name of the %.*s: write ${%.*s.NAME}",
                           SPAN_ARG(reference), SPAN_ARG(row->word), SPAN_ARG(row->word));
    bool valid = row->source == TEMPLATE_HEADER ? span_is_token(name)
                 : row->source == TEMPLATE_PATH ? span_is_identifier(name)
                                                : is_query_name(name);
    if (!valid)
        *fault = arena_printf(arena, "${%.*s}: \"%.*s\" is not a valid name of a %s",
                              SPAN_ARG(reference), SPAN_ARG(name),
                              row->source == TEMPLATE_HEADER ? "header"
                              : row->source == TEMPLATE_PATH ? "capture of the route's path"
                              : row->source == TEMPLATE_JSON ? "member of the body"
                                                             : "query parameter");
    return valid;
}

/* Compiles the text between ${ and }: SOURCE[.NAME][:-FALLBACK]. */
static bool compile_reference(struct span inner, struct arena *arena, struct template_part *part,
                              struct span *fault)
{
    struct span reference = inner, fallback = SPAN_NONE;
    for (size_t i = 0; i + 1 < inner.len; ++i) {
        if (inner.at[i] != ':' || inner.at[i + 1] != '-')
            continue;
        reference = span_make(inner.at, i);
        if (!unescape(span_from_offset(inner, i + 2), arena, &fallback, fault)) {
            *fault =
                arena_printf(arena, "${%.*s}: a fallback must be plain text; write $$ for a dollar",
                             SPAN_ARG(inner));
            return false;
        }
        break;
    }
    struct span word, name;
    if (!span_split(reference, '.', &word, &name))
        name = SPAN_NONE;
    const struct source_row *row = find_source(word);
    if (row == NULL) {
        *fault = describe_unknown(reference, word, arena);
        return false;
    }
    if (!check_name(reference, row, name, arena, fault))
        return false;
    *part = (struct template_part){row->source, arena_copy(arena, name), fallback};
    return true;
}

/* Length of the text before the next ${. */
static size_t find_reference(struct span text)
{
    for (size_t i = 0; i + 1 < text.len; ++i) {
        if (text.at[i] != '$')
            continue;
        if (text.at[i + 1] == '{')
            return i;
        if (text.at[i + 1] == '$')
            ++i;
    }
    return text.len;
}

/* Takes the next part off *rest. */
static bool compile_part(struct span *rest, struct arena *arena, struct template_part *part,
                         struct span *fault)
{
    size_t text_len = find_reference(*rest);
    if (text_len != 0) {
        *part = (struct template_part){.source = TEMPLATE_TEXT};
        if (!unescape(span_make(rest->at, text_len), arena, &part->name, fault))
            return false;
        *rest = span_from_offset(*rest, text_len);
        return true;
    }
    struct span inner = span_from_offset(*rest, 2);
    size_t end = span_find(inner, '}');
    if (end == inner.len)
        return arena_fault(arena, fault, "\"%.*s\": missing closing }", SPAN_ARG(*rest));
    *rest = span_from_offset(inner, end + 1);
    return compile_reference(span_make(inner.at, end), arena, part, fault);
}

bool template_compile(struct span text, struct arena *arena, struct template *out,
                      struct span *fault)
{
    struct template_part parts[TEMPLATE_PARTS_MAX];
    size_t count = 0;
    struct span copy = arena_copy(arena, text);
    for (struct span rest = copy; rest.len != 0; ++count) {
        if (count == TEMPLATE_PARTS_MAX)
            return arena_fault(arena, fault, "more than %d parts", TEMPLATE_PARTS_MAX);
        if (!compile_part(&rest, arena, &parts[count], fault))
            return false;
    }
    struct template_part *kept = arena_zalloc(arena, count + 1, sizeof(*kept));
    for (size_t i = 0; i != count; ++i)
        kept[i] = parts[i];
    *out = (struct template){kept, count, copy};
    return true;
}

struct span template_expand(const struct template *t, template_lookup lookup, void *context,
                            struct arena *arena)
{
    struct span values[TEMPLATE_PARTS_MAX];
    size_t len = 0;
    CHECK(t->part_count <= TEMPLATE_PARTS_MAX);
    for (size_t i = 0; i != t->part_count; ++i) {
        const struct template_part *part = &t->parts[i];
        values[i] =
            part->source == TEMPLATE_TEXT ? part->name : lookup(context, part->source, part->name);
        if (values[i].len == 0 && part->fallback.at != NULL)
            values[i] = part->fallback;
        if (values[i].at == NULL)
            return SPAN_NONE;
        len += values[i].len;
    }
    char *at = arena_alloc(arena, len + 1);
    size_t used = 0;
    for (size_t i = 0; i != t->part_count; ++i) {
        if (values[i].len != 0)
            memcpy(at + used, values[i].at, values[i].len);
        used += values[i].len;
    }
    at[used] = '\0';
    return span_make(at, used);
}

static struct span look_up_route(void *context, enum template_source source, struct span name)
{
    (void)name;
    CHECK(source == TEMPLATE_ROUTE);
    return *(const struct span *)context;
}

struct span template_literal(const struct template *t, struct span route, struct arena *arena)
{
    for (size_t i = 0; i != t->part_count; ++i) {
        enum template_source source = t->parts[i].source;
        if (source != TEMPLATE_TEXT && (source != TEMPLATE_ROUTE || route.len == 0))
            return SPAN_NONE;
    }
    return template_expand(t, look_up_route, &route, arena);
}

bool template_uses(const struct template *t, enum template_source source)
{
    for (size_t i = 0; t != NULL && i != t->part_count; ++i)
        if (t->parts[i].source == source)
            return true;
    return false;
}

bool template_is_from_caller(const struct template *t)
{
    return template_uses(t, TEMPLATE_HEADER) || template_uses(t, TEMPLATE_PATH) ||
           template_uses(t, TEMPLATE_QUERY) || template_uses(t, TEMPLATE_JSON);
}
