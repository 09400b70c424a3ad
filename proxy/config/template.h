/* Templates: "prefix-${path.model}.tar.gz" compiled at load, expanded once a request. Pure.
 *
 * Grammar: `${NAME}`, `${NAME:-fallback}`, `$$` for a dollar. The sources are those of the enum;
 * `${env.X}` never gets here, it is replaced while the file is loaded. */
#ifndef SAGEGATE_CONFIG_TEMPLATE_H
#define SAGEGATE_CONFIG_TEMPLATE_H

#include "base/arena.h"
#include "base/check.h"

enum template_source {
    TEMPLATE_TEXT, /* literal */
    TEMPLATE_UUID, /* ${uuid}: version 7, one an exchange */
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
    struct span fallback; /* SPAN_NONE where there is none; may be empty */
};

struct template
{
    const struct template_part *parts;
    size_t part_count;
    struct span text; /* as written, for --print and explain */
};

/* Compiles `text`. On failure *fault says what is wrong ("${pth.x}: unknown source, did you mean
 * ${path.x}?"). The template and its spans live in arena. */
MUST_USE bool template_compile(struct span text, struct arena *arena, struct template *out,
                               struct span *fault);

/* Gives a source's value; SPAN_NONE where it is absent. An absent or empty value takes the
 * part's fallback. */
typedef struct span (*template_lookup)(void *context, enum template_source source,
                                       struct span name);

/* Expands into arena. SPAN_NONE as soon as one part is absent without fallback. */
struct span template_expand(const struct template *t, template_lookup lookup, void *context,
                            struct arena *arena);

/* True where the template has no part but text. */
bool template_is_literal(const struct template *t);
/* True where some part comes from the caller (header, path, query, json). */
bool template_is_from_caller(const struct template *t);

#endif
