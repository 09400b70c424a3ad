/* The part of the page that series hold: cells summed over the workers. */
#include "observe/metrics_private.h"

#include <stddef.h>

/* ---- sums over workers ---- */

/* Of the counter at `offset` in each worker's cell. */
static uint64_t sum_at(const struct metrics_route *route, size_t offset)
{
    uint64_t sum = 0;
    for (unsigned i = 0; i != route->metrics->options.workers; ++i) {
        const struct metrics_cell *cell =
            atomic_load_explicit(&route->cells[i], memory_order_acquire);
        if (cell != NULL)
            sum += counter_read((const struct counter *)((const char *)cell + offset));
    }
    return sum;
}

static uint64_t outcome_of(const struct metrics_route *route, size_t outcome)
{
    return sum_at(route,
                  offsetof(struct metrics_cell, outcomes) + outcome * sizeof(struct counter));
}

static uint64_t ended_of(const struct metrics_route *route)
{
    uint64_t ended = 0;
    for (size_t i = 0; i != route->metrics->options.outcome_count; ++i)
        ended += outcome_of(route, i);
    return ended;
}

static bool has_cells(const struct metrics_route *route)
{
    for (unsigned i = 0; i != route->metrics->options.workers; ++i)
        if (atomic_load_explicit(&route->cells[i], memory_order_acquire) != NULL)
            return true;
    return false;
}

/* The next series that has anything to tell. */
static const struct metrics_route *next_active(const struct metrics_route *route)
{
    while (route != NULL && !has_cells(route))
        route = route->next;
    return route;
}

#define EACH_ACTIVE(route, metrics)                                                                \
    const struct metrics_route *route = next_active((metrics)->routes);                            \
    route != NULL;                                                                                 \
    route = next_active(route->next)

/* ---- requests ---- */

/* Every outcome from the start, for what first appears with its first event hides that event from rate(). */
static void write_requests(const struct metrics *metrics, struct exposition *page)
{
    exposition_begin(page, METRIC_REQUESTS);
    for (size_t i = 0; i != metrics->options.outcome_count; ++i) {
        uint64_t sum = 0;
        for (EACH_ACTIVE(route, metrics))
            sum += outcome_of(route, i);
        const struct metrics_outcome *outcome = &metrics->options.outcomes[i];
        const struct span labels[] = {outcome->token, outcome->fault};
        exposition_u64(page, labels, sum);
    }
}

static void write_route_requests(const struct metrics *metrics, struct exposition *page)
{
    exposition_begin(page, METRIC_ROUTE_REQUESTS);
    for (EACH_ACTIVE(route, metrics))
        for (size_t i = 0; i != metrics->options.outcome_count; ++i) {
            const struct metrics_outcome *outcome = &metrics->options.outcomes[i];
            const struct span labels[] = {route->name, outcome->token, outcome->fault};
            uint64_t sum = outcome_of(route, i);
            if (sum != 0)
                exposition_u64(page, labels, sum);
        }
}

/* Read in this order, so that one that begins and ends meanwhile does not count as less than none; what the memory's order
 * leaves of that is held at zero. */
static void write_in_flight(const struct metrics *metrics, struct exposition *page)
{
    exposition_begin(page, METRIC_ROUTE_IN_FLIGHT);
    for (EACH_ACTIVE(route, metrics)) {
        uint64_t ended = ended_of(route);
        uint64_t begun = sum_at(route, offsetof(struct metrics_cell, begun));
        if (!span_equals(route->name, SPAN(METRICS_NO_ROUTE)))
            exposition_u64(page, &route->name, begun > ended ? begun - ended : 0);
    }
}

static void write_counter(const struct metrics *metrics, struct exposition *page,
                          enum metric metric, size_t offset)
{
    exposition_begin(page, metric);
    for (EACH_ACTIVE(route, metrics))
        exposition_u64(page, &route->name, sum_at(route, offset));
}

static void write_histogram(const struct metrics *metrics, struct exposition *page,
                            enum metric metric, const struct exposition_bound *bounds,
                            size_t bound_count, size_t buckets_offset, size_t sum_offset)
{
    uint64_t counts[METRICS_DURATION_BOUNDS + METRICS_OVERHEAD_BOUNDS];
    exposition_begin(page, metric);
    for (EACH_ACTIVE(route, metrics)) {
        uint64_t observed = 0;
        for (size_t i = 0; i <= bound_count; ++i) {
            counts[i] = sum_at(route, buckets_offset + i * sizeof(struct counter));
            observed += counts[i];
        }
        if (observed == 0)
            continue;
        exposition_histogram(page, &route->name, bounds, bound_count, counts,
                             (int64_t)sum_at(route, sum_offset));
    }
}

static void write_routes(const struct metrics *metrics, struct exposition *page)
{
    write_requests(metrics, page);
    write_route_requests(metrics, page);
    write_in_flight(metrics, page);
#define COUNTER(metric, member)                                                                    \
    write_counter(metrics, page, METRIC_##metric, offsetof(struct metrics_cell, member))
    COUNTER(ROUTE_REQUEST_BYTES, bytes_in);
    COUNTER(ROUTE_RESPONSE_BYTES, bytes_out);
    COUNTER(ROUTE_PARTS, parts);
    COUNTER(ROUTE_ATTEMPTS, attempts);
    COUNTER(ROUTE_RETRIES, retries);
#undef COUNTER
    write_histogram(metrics, page, METRIC_ROUTE_DURATION, metrics_durations,
                    METRICS_DURATION_BOUNDS, offsetof(struct metrics_cell, durations),
                    offsetof(struct metrics_cell, duration_us));
    write_histogram(metrics, page, METRIC_ROUTE_FIRST_BYTE, metrics_durations,
                    METRICS_DURATION_BOUNDS, offsetof(struct metrics_cell, first_bytes),
                    offsetof(struct metrics_cell, first_byte_us));
    write_histogram(metrics, page, METRIC_ROUTE_OVERHEAD, metrics_overheads,
                    METRICS_OVERHEAD_BOUNDS, offsetof(struct metrics_cell, overheads),
                    offsetof(struct metrics_cell, overhead_us));
}

/* ---- upstreams ---- */

/* Rows of one metric stand together. */
static const struct upstream_row {
    enum metric metric;
    enum tally_count count;
    struct span label; /* the second one, where there are two */
} upstream_rows[] = {
    {METRIC_UPSTREAM_CONNECTIONS, TALLY_IDLE, SPAN("idle")},
    {METRIC_UPSTREAM_CONNECTIONS, TALLY_ACTIVE, SPAN("active")},
    {METRIC_UPSTREAM_OPENED, TALLY_OPENED, SPAN_NONE},
    {METRIC_UPSTREAM_REUSED, TALLY_REUSED, SPAN_NONE},
    {METRIC_UPSTREAM_FAILURES, TALLY_DNS_FAILED, SPAN("dns")},
    {METRIC_UPSTREAM_FAILURES, TALLY_CONNECT_FAILED, SPAN("connect")},
    {METRIC_UPSTREAM_FAILURES, TALLY_PROXY_REFUSED, SPAN("proxy")},
    {METRIC_UPSTREAM_FAILURES, TALLY_TLS_FAILED, SPAN("tls")},
    {METRIC_UPSTREAM_FAILURES, TALLY_GIVEN_UP, SPAN("given_up")},
    {METRIC_UPSTREAM_DNS_FAILURES, TALLY_LOOKUPS_FAILED, SPAN_NONE},
    {METRIC_UPSTREAM_HANDSHAKES, TALLY_HANDSHAKES_FULL, SPAN("full")},
    {METRIC_UPSTREAM_HANDSHAKES, TALLY_HANDSHAKES_RESUMED, SPAN("resumed")},
};

static void write_upstream_row(const struct metrics *metrics, struct exposition *page,
                               const struct upstream_row *row)
{
    for (const struct metrics_upstream *at = metrics->upstreams; at != NULL; at = at->next) {
        const struct span labels[] = {at->name, row->label};
        uint64_t sum = 0;
        for (unsigned i = 0; i != metrics->options.workers; ++i)
            sum += counter_read(&at->tallies[i]->counts[row->count]);
        exposition_u64(page, labels, sum);
    }
}

static void write_upstreams(const struct metrics *metrics, struct exposition *page)
{
    enum { ROWS = sizeof(upstream_rows) / sizeof(upstream_rows[0]) };
    for (size_t i = 0; i != ROWS; ++i) {
        const struct upstream_row *row = &upstream_rows[i];
        if (i == 0 || row->metric != upstream_rows[i - 1].metric)
            exposition_begin(page, row->metric);
        write_upstream_row(metrics, page, row);
    }
}

void metrics_write(const struct metrics *metrics, struct exposition *page)
{
    write_routes(metrics, page);
    write_upstreams(metrics, page);
}
