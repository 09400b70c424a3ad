/* The counters of the process, by route and by upstream. Fed by values; it knows neither requests nor how they end.
 *
 * A series is opened by name on the main thread and lives until metrics_destroy, so that whoever serves may keep its
 * pointer, and a name that is opened again, at a reload, goes on counting. Each worker writes cells of its own (memory of
 * its own cache lines, made when it first counts there) and nobody else does; the page is read from them on the main thread
 * without stopping anyone. metrics_page.c writes it, by metrics.def. */
#ifndef SAGEGATE_OBSERVE_METRICS_H
#define SAGEGATE_OBSERVE_METRICS_H

#include "net/tally.h"
#include "observe/exposition.h"

struct metrics;
struct metrics_route;    /* the series of one route */
struct metrics_upstream; /* of one upstream */

/* The label `route` of requests that no route took; no route can have this name. */
#define METRICS_NO_ROUTE "(none)"

struct metrics_outcome {
    struct span token, fault;
};

struct metrics_options {
    unsigned workers;
    const struct metrics_outcome *outcomes; /* all ways to end, by number; outlive the metrics */
    size_t outcome_count;
};

struct metrics *metrics_create(const struct metrics_options *options);
/* No worker counts any more. Takes NULL. */
void metrics_destroy(struct metrics *metrics);

/* On the main thread. The name is copied; one that was opened before gives the same series. */
struct metrics_route *metrics_open_route(struct metrics *metrics, struct span name);
struct metrics_upstream *metrics_open_upstream(struct metrics *metrics, struct span name);

/* ---- on the thread of `worker` ---- */

/* A request was taken by the route. */
void metrics_begin(struct metrics_route *route, unsigned worker);

/* How it ended, in the access line's words. */
struct metrics_exchange {
    size_t outcome;
    unsigned attempts;
    uint64_t bytes_in, bytes_out, parts;
    int64_t total_us;
    int64_t first_byte_us; /* -1: no byte of an answer came */
    int64_t overhead_us;   /* -1: nothing was sent upstream */
};
/* Once a request; also one that did not begin, as those of METRICS_NO_ROUTE. */
void metrics_end(struct metrics_route *route, unsigned worker,
                 const struct metrics_exchange *exchange);

/* For the worker's pools of the upstream. From any thread. */
struct tally *metrics_tally(struct metrics_upstream *upstream, unsigned worker);

/* ---- the page: on the main thread ---- */

/* All families of requests and upstreams. A route that has not had a request has no samples. */
void metrics_write(const struct metrics *metrics, struct exposition *page);

#endif
