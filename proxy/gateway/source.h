/* Where templates take their values from: the request, the route's captures and the exchange's ids. Pure. */
#ifndef SAGEGATE_GATEWAY_SOURCE_H
#define SAGEGATE_GATEWAY_SOURCE_H

#include "config/template.h"
#include "gateway/ids.h"
#include "gateway/route.h"

struct source {
    const struct config_route *route;
    const struct route_match *match;
    const struct http1_request *request;
    const struct ids *ids;
    const struct json_scan *json; /* of the body; NULL where the route watches nothing of it */
    struct arena *arena;
    struct span fault; /* SPAN_NONE, or why a value that was asked for is not to be trusted */
};

/* A template_lookup; context is a struct source. A header, a field of the query or a member of the body that came twice,
 * or one with a malformed %-escape, sets fault: what this gateway takes for the value another program may not. */
struct span source_lookup(void *context, enum template_source source, struct span name);

#endif
