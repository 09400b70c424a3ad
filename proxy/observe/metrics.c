/* Opening series, and counting into a worker's own cells. */
#include "observe/metrics_private.h"

#include <stdlib.h>

enum { CACHE_LINE = 64 };

#define BOUND(us, text) {us, {text, sizeof(text) - 1}},
const struct exposition_bound metrics_durations[] = {METRICS_DURATIONS(BOUND)};
const struct exposition_bound metrics_overheads[] = {METRICS_OVERHEADS(BOUND)};
#undef BOUND

/* ---- series ---- */

/* Whole cache lines of its own, all zero. */
static void *allocate_lines(size_t size)
{
    size = (size + CACHE_LINE - 1) / CACHE_LINE * CACHE_LINE;
    void *at = aligned_alloc(CACHE_LINE, size);
    CHECK(at != NULL);
    memset(at, 0, size);
    return at;
}

static struct span copy(struct span name)
{
    char *at = strndup(name.at, name.len);
    CHECK(at != NULL);
    return span_make(at, name.len);
}

struct metrics *metrics_create(const struct metrics_options *options)
{
    struct metrics *metrics = calloc(1, sizeof(*metrics));
    CHECK(metrics != NULL);
    metrics->options = *options;
    metrics->routes_end = &metrics->routes;
    metrics->upstreams_end = &metrics->upstreams;
    return metrics;
}

void metrics_destroy(struct metrics *metrics)
{
    if (metrics == NULL)
        return;
    while (metrics->routes != NULL) {
        struct metrics_route *route = metrics->routes;
        metrics->routes = route->next;
        for (unsigned i = 0; i != metrics->options.workers; ++i)
            free(atomic_load_explicit(&route->cells[i], memory_order_acquire));
        free((char *)route->name.at);
        free(route);
    }
    while (metrics->upstreams != NULL) {
        struct metrics_upstream *upstream = metrics->upstreams;
        metrics->upstreams = upstream->next;
        for (unsigned i = 0; i != metrics->options.workers; ++i)
            free(upstream->tallies[i]);
        free((char *)upstream->name.at);
        free(upstream);
    }
    free(metrics);
}

struct metrics_route *metrics_open_route(struct metrics *metrics, struct span name)
{
    for (struct metrics_route *route = metrics->routes; route != NULL; route = route->next)
        if (span_equals(route->name, name))
            return route;
    struct metrics_route *route =
        calloc(1, sizeof(*route) + metrics->options.workers * sizeof(route->cells[0]));
    CHECK(route != NULL);
    route->metrics = metrics;
    route->name = copy(name);
    *metrics->routes_end = route;
    metrics->routes_end = &route->next;
    return route;
}

struct metrics_upstream *metrics_open_upstream(struct metrics *metrics, struct span name)
{
    unsigned workers = metrics->options.workers;
    for (struct metrics_upstream *at = metrics->upstreams; at != NULL; at = at->next)
        if (span_equals(at->name, name))
            return at;
    struct metrics_upstream *upstream =
        calloc(1, sizeof(*upstream) + workers * sizeof(struct tally *));
    CHECK(upstream != NULL);
    upstream->name = copy(name);
    for (unsigned i = 0; i != workers; ++i)
        upstream->tallies[i] = allocate_lines(sizeof(struct tally));
    *metrics->upstreams_end = upstream;
    metrics->upstreams_end = &upstream->next;
    return upstream;
}

struct tally *metrics_tally(struct metrics_upstream *upstream, unsigned worker)
{
    return upstream->tallies[worker];
}

/* ---- counting ---- */

static struct metrics_cell *cell_of(struct metrics_route *route, unsigned worker)
{
    struct metrics_cell *cell = atomic_load_explicit(&route->cells[worker], memory_order_relaxed);
    if (cell != NULL)
        return cell;
    size_t outcomes = route->metrics->options.outcome_count;
    cell = allocate_lines(sizeof(*cell) + outcomes * sizeof(cell->outcomes[0]));
    atomic_store_explicit(&route->cells[worker], cell, memory_order_release);
    return cell;
}

static void observe(struct counter *buckets, struct counter *sum,
                    const struct exposition_bound *bounds, size_t bound_count, int64_t us)
{
    size_t i = 0;
    while (i != bound_count && us > bounds[i].us)
        ++i;
    counter_add(&buckets[i], 1);
    counter_add(sum, (uint64_t)us);
}

void metrics_begin(struct metrics_route *route, unsigned worker)
{
    counter_add(&cell_of(route, worker)->begun, 1);
}

void metrics_end(struct metrics_route *route, unsigned worker,
                 const struct metrics_exchange *exchange)
{
    struct metrics_cell *cell = cell_of(route, worker);
    CHECK(exchange->outcome < route->metrics->options.outcome_count);
    counter_add(&cell->outcomes[exchange->outcome], 1);
    counter_add(&cell->bytes_in, exchange->bytes_in);
    counter_add(&cell->bytes_out, exchange->bytes_out);
    counter_add(&cell->parts, exchange->parts);
    counter_add(&cell->attempts, exchange->attempts);
    if (exchange->attempts > 1)
        counter_add(&cell->retries, exchange->attempts - 1);
    observe(cell->durations, &cell->duration_us, metrics_durations, METRICS_DURATION_BOUNDS,
            exchange->total_us);
    if (exchange->first_byte_us >= 0)
        observe(cell->first_bytes, &cell->first_byte_us, metrics_durations, METRICS_DURATION_BOUNDS,
                exchange->first_byte_us);
    if (exchange->overhead_us >= 0)
        observe(cell->overheads, &cell->overhead_us, metrics_overheads, METRICS_OVERHEAD_BOUNDS,
                exchange->overhead_us);
}
