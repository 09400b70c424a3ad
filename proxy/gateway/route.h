/* Routes: the configuration's paths, compiled into a trie of segments that keeps file order. Pure.
 *
 * Several routes may match a path; the first in the file that also accepts host and method wins.
 * Paths are never normalized and are compared byte for byte as received; only captures are decoded.
 * A named capture must not be empty, and none of its parts between slashes may be empty, be a dot
 * segment ("." or "..") or contain a slash, backslash or NUL, including percent-encoded ones. */
#ifndef SAGEGATE_GATEWAY_ROUTE_H
#define SAGEGATE_GATEWAY_ROUTE_H

#include "config/config.h"
#include "config/pattern.h"

enum { ROUTE_CAPTURES_MAX = PATTERN_CAPTURES_MAX };

struct route_table; /* immutable; points into the config, which must outlive it */

/* Compiles the routes. Cannot fail for a configuration that loaded without errors. */
struct route_table *route_table_create(const struct config *config);
/* Accepts NULL. */
void route_table_destroy(struct route_table *table);

struct route_capture {
    struct span name;  /* of {name} or {name*} in the pattern; empty for a lone * */
    struct span value; /* percent-decoded, in the arena */
};

struct route_match {
    const struct config_route *route;
    struct route_capture captures[ROUTE_CAPTURES_MAX];
    size_t capture_count;
    struct span allowed; /* with ROUTE_METHOD_NOT_ALLOWED: "GET, POST", in the arena */
};

enum route_result {
    ROUTE_FOUND,              /* sets route and captures */
    ROUTE_NONE,               /* 404 */
    ROUTE_METHOD_NOT_ALLOWED, /* 405; sets allowed */
    ROUTE_BAD_PATH,           /* 400: a malformed %-escape, or a capture that is not allowed */
};

/* Finds the route of a request. path: without the query. host: as in the Host header, or SPAN_NONE.
 * HEAD matches routes that accept GET. A route whose capture is not allowed does not match; if no
 * route matches only because of that, the result is ROUTE_BAD_PATH. */
enum route_result route_find(const struct route_table *table, struct span method, struct span host,
                             struct span path, struct arena *arena, struct route_match *out);

/* Returns the host of a Host header, without the port; an IPv6 address keeps its brackets. */
struct span route_host_name(struct span host);

enum route_path_result { ROUTE_PATH_MATCHES, ROUTE_PATH_DIFFERS, ROUTE_PATH_NOT_ALLOWED };

/* Compares one pattern with one path whose escapes are valid. NOT_ALLOWED: only a capture's rules
 * prevent a match. On MATCHES, fills in the captures of *out; out and arena may be NULL. */
enum route_path_result route_match_path(const struct pattern *pattern, struct span path,
                                        struct arena *arena, struct route_match *out);

/* Why a route does or does not match a request, for `explain`. */
enum route_verdict {
    ROUTE_MATCHES, /* an earlier route may still win */
    ROUTE_OTHER_PATH,
    ROUTE_OTHER_HOST,
    ROUTE_OTHER_METHOD,
    ROUTE_CAPTURE_NOT_ALLOWED,
};

/* Compares path, host, method and captures, in this order, and returns the first difference. index:
 * of config.routes. */
enum route_verdict route_judge(const struct route_table *table, size_t index, struct span method,
                               struct span host, struct span path);

/* Adds a warning for each route that can never match because an earlier one always wins (for
 * `check`). */
void route_warn_shadowed(const struct config *config, struct problem_list *problems);

#endif
