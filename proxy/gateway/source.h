/* The values that templates refer to: the request, the route's captures and the exchange's ids.
 * Pure. */
#ifndef SAGEGATE_GATEWAY_SOURCE_H
#define SAGEGATE_GATEWAY_SOURCE_H

#include "config/template.h"
#include "gateway/ids.h"
#include "gateway/route.h"

struct source {
    const struct route_match *match; /* of the route found */
    const struct http1_request *request;
    const struct ids *ids;
    const struct json_scan *json; /* of the complete body; NULL: the body is not read */
    struct arena *arena;
    struct span fault; /* why a looked-up value is ambiguous; SPAN_NONE at first */
};

/* Looks up a value; a template_lookup whose context is a struct source. Sets fault for a duplicate
 * header, query parameter or member of the body, and for a malformed %-escape, because another
 * parser might read another value. */
struct span source_lookup(void *context, enum template_source source, struct span name);

#endif
