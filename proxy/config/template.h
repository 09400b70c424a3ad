/* Templates: "prefix-${path.model}.tar.gz", compiled at load, expanded for each request. Pure.
 *
 * Grammar: `${NAME}`, `${NAME:-fallback}`, `$$` for a dollar. The sources are those of the enum;
 * `${env.X}` was replaced before, when the file was read. */
#ifndef SAGEGATE_CONFIG_TEMPLATE_H
#define SAGEGATE_CONFIG_TEMPLATE_H

#include "base/arena.h"
#include "base/check.h"

enum template_source {
    TEMPLATE_TEXT, /* literal */
    TEMPLATE_UUID, /* ${uuid}: version 7, one for each exchange */
    TEMPLATE_REQUEST_ID,
    TEMPLATE_TRACE_ID,
    TEMPLATE_SPAN_ID,
    TEMPLATE_TRACEPARENT,
    TEMPLATE_ROUTE,  /* ${route}: its name */
    TEMPLATE_HEADER, /* ${header.X} */
    TEMPLATE_PATH,   /* ${path.X}: a capture of the route's path */
    TEMPLATE_QUERY,  /* ${query.X} */
    TEMPLATE_JSON,   /* ${json.X}: a top-level string of a JSON body */
};

struct template_part {
    enum template_source source;
    struct span name;     /* X of header, path, query and json; the text of TEMPLATE_TEXT */
    struct span fallback; /* SPAN_NONE: none; may be empty */
};

struct template
{
    const struct template_part *parts;
    size_t part_count;
    struct span text; /* as written, for --print and explain */
};

/* Compiles `text`. On failure sets *fault to a message ("${pth.x}: unknown source, did you mean
 * ${path.x}?"). The template and its spans are in arena. */
MUST_USE bool template_compile(struct span text, struct arena *arena, struct template *out,
                               struct span *fault);

/* Returns a source's value, SPAN_NONE if it is absent. The part's fallback takes the place of an
 * absent or empty value. */
typedef struct span (*template_lookup)(void *context, enum template_source source,
                                       struct span name);

/* Expands into arena. Returns SPAN_NONE if a part is absent and has no fallback. */
struct span template_expand(const struct template *t, template_lookup lookup, void *context,
                            struct arena *arena);

/* The text that the template always gives, with that name in place of ${route}, in arena.
 * SPAN_NONE if it depends on the request, or on the route and `route` is empty. */
struct span template_literal(const struct template *t, struct span route, struct arena *arena);

/* True if a part comes from that source; false for NULL. */
bool template_uses(const struct template *t, enum template_source source);
/* True if a part comes from the caller (header, path, query, json). */
bool template_is_from_caller(const struct template *t);

/* Replaces `$$` by a dollar. Returns false, with the index in *at, for a lone dollar. *out is in
 * arena and ends in NUL. */
MUST_USE bool template_unescape(struct span text, struct arena *arena, struct span *out,
                                size_t *at);

#endif
