/* Looks up the values that templates refer to, one function per kind of source. */
#include "gateway/source.h"

static struct span look_up_header(struct source *s, struct span name)
{
    if (http1_header_count(&s->request->headers, name) > 1)
        s->fault = arena_printf(s->arena, "duplicate header %.*s", SPAN_ARG(name));
    return http1_header_value(&s->request->headers, name);
}

static struct span look_up_capture(const struct source *s, struct span name)
{
    for (size_t i = 0; i != s->match->capture_count; ++i)
        if (span_equals(s->match->captures[i].name, name))
            return s->match->captures[i].value;
    return SPAN_NONE;
}

/* Decodes a value as in HTML forms: '+' is a space. */
static struct span decode_field(struct source *s, struct span name, struct span value)
{
    if (!span_escapes_are_valid(value)) {
        s->fault =
            arena_printf(s->arena, "malformed %%-escape in query parameter %.*s", SPAN_ARG(name));
        return SPAN_NONE;
    }
    char *at = arena_alloc(s->arena, value.len + 1);
    for (size_t i = 0; i != value.len; ++i)
        at[i] = value.at[i] == '+' ? ' ' : value.at[i];
    return arena_percent_decode(s->arena, span_make(at, value.len));
}

static struct span look_up_query(struct source *s, struct span name)
{
    struct span rest = s->request->query, field, key, value, found = SPAN_NONE;
    for (bool more = rest.len != 0; more;) {
        more = span_split(rest, '&', &field, &rest);
        span_split(field, '=', &key, &value);
        if (!span_equals(key, name))
            continue;
        if (found.at != NULL) {
            s->fault = arena_printf(s->arena, "duplicate query parameter %.*s", SPAN_ARG(name));
            return found;
        }
        found = decode_field(s, name, value);
    }
    return found;
}

static struct span look_up_member(struct source *s, struct span name)
{
    struct json_scan_value value = json_scan_get(s->json, name);
    if (value.kind == JSON_SCAN_TWICE)
        s->fault = arena_printf(s->arena, "duplicate member \"%.*s\" in the body", SPAN_ARG(name));
    if (value.kind == JSON_SCAN_LONG)
        s->fault = arena_printf(s->arena, "member \"%.*s\" of the body exceeds %d bytes",
                                SPAN_ARG(name), JSON_SCAN_TEXT_MAX);
    return value.text;
}

struct span source_lookup(void *context, enum template_source source, struct span name)
{
    struct source *s = context;
    switch (source) {
    case TEMPLATE_TEXT:
        return name;
    case TEMPLATE_UUID:
        return span_make(s->ids->uuid, IDS_UUID_SIZE);
    case TEMPLATE_REQUEST_ID:
        return span_make(s->ids->request_id, IDS_UUID_SIZE);
    case TEMPLATE_TRACE_ID:
        return span_make(s->ids->trace_id, IDS_TRACE_ID_SIZE);
    case TEMPLATE_SPAN_ID:
        return span_make(s->ids->span_id, IDS_SPAN_ID_SIZE);
    case TEMPLATE_TRACEPARENT:
        return span_make(s->ids->traceparent, IDS_TRACEPARENT_SIZE);
    case TEMPLATE_ROUTE:
        return s->match->route->name;
    case TEMPLATE_HEADER:
        return look_up_header(s, name);
    case TEMPLATE_PATH:
        return look_up_capture(s, name);
    case TEMPLATE_QUERY:
        return look_up_query(s, name);
    case TEMPLATE_JSON:
        return look_up_member(s, name);
    }
    return SPAN_NONE;
}
