/* Routes: the configuration's paths compiled into a trie of segments that keeps file order. Pure.
 *
 * Two routes may match one path; the one that stands first in the file and takes host and method wins. Paths are never
 * normalised: a capture of a dot segment ("." or "..", also percent-encoded), an empty one, or one that holds %2F,
 * %5C or %00 is refused. */
#ifndef SAGEGATE_GATEWAY_ROUTE_H
#define SAGEGATE_GATEWAY_ROUTE_H

#include "config/config.h"

enum { ROUTE_CAPTURES_MAX = 8 };

struct route_table; /* immutable; points into the config, which must outlive it */

/* Never fails for a configuration that loaded without errors. */
struct route_table *route_table_create(const struct config *config);
void route_table_destroy(struct route_table *table);

struct route_capture {
    struct span name;  /* of the pattern's {name} or {name*} */
    struct span value; /* percent-decoded, in the arena */
};

enum route_result {
    ROUTE_FOUND,
    ROUTE_NONE,               /* 404 */
    ROUTE_METHOD_NOT_ALLOWED, /* 405; *allowed has the methods, "GET, POST", in the arena */
    ROUTE_BAD_PATH,           /* 400: malformed %-escape, or a capture that is refused */
};

struct route_match {
    const struct config_route *route;
    struct route_capture captures[ROUTE_CAPTURES_MAX];
    size_t capture_count;
    struct span allowed; /* with ROUTE_METHOD_NOT_ALLOWED */
};

/* Of a Host header: without the port; an IPv6 address keeps its brackets. */
struct span route_host_name(struct span host);

/* path without query; host may be SPAN_NONE. HEAD is taken where the route takes GET. A route whose capture would be
 * refused does not match; where no other one takes the path, the path is refused. */
enum route_result route_find(const struct route_table *table, struct span method, struct span host,
                             struct span path, struct arena *arena, struct route_match *out);

/* Why a route does or does not take a request: for `explain`, not for the request path. */
enum route_verdict {
    ROUTE_TAKES, /* though one that stands earlier may take it first */
    ROUTE_OTHER_PATH,
    ROUTE_CAPTURE_REFUSED, /* but for what a capture would hold */
    ROUTE_OTHER_HOST,
    ROUTE_OTHER_METHOD,
};

/* index: of config.routes. Looks at path, host and method in this order. */
enum route_verdict route_judge(const struct route_table *table, size_t index, struct span method,
                               struct span host, struct span path);

/* Pairs of routes of which the later can never match: adds a warning each (for `check`). */
void route_warn_shadowed(const struct config *config, struct problem_list *problems);

#endif
