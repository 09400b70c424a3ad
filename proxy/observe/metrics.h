/* The metrics of GET /metrics: the table of metrics.def, counters by route and by upstream, and the
 * page in Prometheus's text format (0.0.4). Callers pass values; it must not depend on requests or
 * outcomes.
 *
 * A series is opened by name on the main thread and lives until metrics_destroy, so callers may
 * keep the pointer. Opening the same name again (after a reload) returns the same series. Each
 * worker counts into its own cells, in cache lines that no other thread writes. The main thread
 * reads them without locks. */
#ifndef SAGEGATE_OBSERVE_METRICS_H
#define SAGEGATE_OBSERVE_METRICS_H

#include "base/buffer.h"
#include "net/tally.h"

enum metric {
#define METRIC(name, type, text, labels, help) METRIC_##name,
#include "observe/metrics.def"
#undef METRIC
    METRICS
};

enum { METRICS_LABELS_MAX = 3 }; /* of one metric */

struct metrics;
struct metrics_route;    /* the series of one route */
struct metrics_upstream; /* of one upstream */

/* The label `route` of requests without a route. No route can have this name. */
#define METRICS_NO_ROUTE "(none)"

struct metrics_outcome {
    struct span token, fault;
};

struct metrics_options {
    unsigned workers;
    const struct metrics_outcome *outcomes; /* all outcomes, by number; must outlive the metrics */
    size_t outcome_count;
};

struct metrics *metrics_create(const struct metrics_options *options);
/* Frees the metrics. No worker may be counting. Accepts NULL. */
void metrics_destroy(struct metrics *metrics);

/* Return the series of that name, which is copied. On the main thread. */
struct metrics_route *metrics_open_route(struct metrics *metrics, struct span name);
struct metrics_upstream *metrics_open_upstream(struct metrics *metrics, struct span name);

/* ---- on the thread of `worker` ---- */

/* Counts a request that matched the route. */
void metrics_begin(struct metrics_route *route, unsigned worker);

/* How a request ended, as in its access line. */
struct metrics_exchange {
    size_t outcome;
    unsigned attempts;
    uint64_t bytes_in, bytes_out, parts;
    int64_t total_us;
    int64_t first_byte_us; /* -1: no byte of a response arrived */
    int64_t overhead_us;   /* -1: nothing was sent upstream */
};
/* Counts the end of a request. Call once per request, including those without metrics_begin
 * (METRICS_NO_ROUTE). */
void metrics_end(struct metrics_route *route, unsigned worker,
                 const struct metrics_exchange *exchange);

/* Returns the counters for the worker's pools of the upstream. From any thread. */
struct tally *metrics_tally(struct metrics_upstream *upstream, unsigned worker);

/* ---- the page ---- */

#define METRICS_CONTENT_TYPE "text/plain; version=0.0.4; charset=utf-8"

/* A page being written: call metrics_text_begin once per metric, then write its samples, one per
 * set of labels. If out overflows, the page is invalid. */
struct metrics_text {
    struct buffer *out;
    enum metric metric; /* the current family */
};

/* Writes HELP and TYPE. */
void metrics_text_begin(struct metrics_text *page, enum metric metric);
/* Writes one sample. labels: values in the order of the table; NULL if the metric has none. */
void metrics_text_u64(const struct metrics_text *page, const struct span *labels, uint64_t value);
/* Writes one sample in seconds from microseconds. */
void metrics_text_seconds(const struct metrics_text *page, const struct span *labels, int64_t us);

/* Writes all families of requests and upstreams. A route without requests has no samples. On the
 * main thread. */
void metrics_write(const struct metrics *metrics, struct metrics_text *page);

#endif
