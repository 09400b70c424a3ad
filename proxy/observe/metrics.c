/* Series and their cells, counting, and the text of GET /metrics. */
#include "observe/metrics.h"

#include <stddef.h>
#include <stdlib.h>

enum { CACHE_LINE = 64 };

/* ---- histograms ---- */

/* Upper bounds, inclusive; the bucket after the last one is unbounded. Durations range from a small
 * model's to an 8-minute stream's. */
static const int64_t durations_us[] = {
    1000,    2500,    5000,    10000,    25000,    50000,    100000,    250000,    500000,
    1000000, 2500000, 5000000, 10000000, 30000000, 60000000, 120000000, 240000000, 480000000};
static const int64_t overheads_us[] = {50,   100,   250,   500,    1000,    2500,
                                       5000, 10000, 25000, 100000, 1000000, 10000000};
enum {
    DURATION_BOUNDS = sizeof(durations_us) / sizeof(durations_us[0]),
    OVERHEAD_BOUNDS = sizeof(overheads_us) / sizeof(overheads_us[0]),
    BUCKETS_MAX = DURATION_BOUNDS + 1
};
_Static_assert((int)OVERHEAD_BOUNDS < (int)BUCKETS_MAX, "both kinds of bounds fit");

enum histogram { DURATION, FIRST_BYTE, OVERHEAD, HISTOGRAMS };

static const struct histogram_info {
    enum metric metric;
    const int64_t *bounds_us;
    size_t bound_count;
} histograms[HISTOGRAMS] = {
    [DURATION] = {METRIC_ROUTE_DURATION, durations_us, DURATION_BOUNDS},
    [FIRST_BYTE] = {METRIC_ROUTE_FIRST_BYTE, durations_us, DURATION_BOUNDS},
    [OVERHEAD] = {METRIC_ROUTE_OVERHEAD, overheads_us, OVERHEAD_BOUNDS},
};

/* ---- series ---- */

/* One worker's counters of one route. */
struct cell {
    _Alignas(CACHE_LINE) struct counter begun;
    struct counter bytes_in, bytes_out, parts, attempts, retries;
    struct {
        struct counter sum_us, buckets[BUCKETS_MAX];
    } histograms[HISTOGRAMS];
    struct counter outcomes[]; /* outcome_count of them */
};

typedef struct cell *_Atomic cell_pointer;

struct metrics_route {
    const struct metrics *metrics;
    struct metrics_route *next; /* in order of opening; main thread only, like name */
    struct span name;
    cell_pointer cells[]; /* by worker; NULL: nothing counted yet */
};

struct metrics_upstream {
    struct metrics_upstream *next;
    struct span name;
    struct tally *tallies[]; /* by worker */
};

struct metrics {
    struct metrics_options options;
    struct metrics_route *routes, **routes_end;
    struct metrics_upstream *upstreams, **upstreams_end;
};

/* Allocates whole cache lines, all zero. */
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

static struct cell *cell_of(struct metrics_route *route, unsigned worker)
{
    struct cell *cell = atomic_load_explicit(&route->cells[worker], memory_order_relaxed);
    if (cell != NULL)
        return cell;
    size_t outcomes = route->metrics->options.outcome_count;
    cell = allocate_lines(sizeof(*cell) + outcomes * sizeof(cell->outcomes[0]));
    atomic_store_explicit(&route->cells[worker], cell, memory_order_release);
    return cell;
}

static void observe(struct cell *cell, enum histogram histogram, int64_t us)
{
    const struct histogram_info *info = &histograms[histogram];
    size_t i = 0;
    while (i != info->bound_count && us > info->bounds_us[i])
        ++i;
    counter_add(&cell->histograms[histogram].buckets[i], 1);
    counter_add(&cell->histograms[histogram].sum_us, (uint64_t)us);
}

void metrics_begin(struct metrics_route *route, unsigned worker)
{
    counter_add(&cell_of(route, worker)->begun, 1);
}

void metrics_end(struct metrics_route *route, unsigned worker,
                 const struct metrics_exchange *exchange)
{
    struct cell *cell = cell_of(route, worker);
    CHECK(exchange->outcome < route->metrics->options.outcome_count);
    counter_add(&cell->outcomes[exchange->outcome], 1);
    counter_add(&cell->bytes_in, exchange->bytes_in);
    counter_add(&cell->bytes_out, exchange->bytes_out);
    counter_add(&cell->parts, exchange->parts);
    counter_add(&cell->attempts, exchange->attempts);
    if (exchange->attempts > 1)
        counter_add(&cell->retries, exchange->attempts - 1);
    observe(cell, DURATION, exchange->total_us);
    if (exchange->first_byte_us >= 0)
        observe(cell, FIRST_BYTE, exchange->first_byte_us);
    if (exchange->overhead_us >= 0)
        observe(cell, OVERHEAD, exchange->overhead_us);
}

/* ---- the text of a page ---- */

#define COUNTER   SPAN("counter")
#define GAUGE     SPAN("gauge")
#define HISTOGRAM SPAN("histogram")
static const struct metric_info {
    struct span name, type;
    struct span labels; /* names separated by spaces */
    struct span help;
} infos[METRICS] = {
#define METRIC(name, type, text, labels, help)                                                     \
    [METRIC_##name] = {SPAN(#text), type, SPAN(labels), SPAN(help)},
#include "observe/metrics.def"
#undef METRIC
};
#undef COUNTER
#undef GAUGE
#undef HISTOGRAM

static void append_words(struct buffer *out, struct span a, struct span b, struct span c)
{
    buffer_append(out, a);
    buffer_append(out, b);
    buffer_append_char(out, ' ');
    buffer_append(out, c);
    buffer_append_char(out, '\n');
}

void metrics_text_begin(struct metrics_text *page, enum metric metric)
{
    page->metric = metric;
    append_words(page->out, SPAN("# HELP "), infos[metric].name, infos[metric].help);
    append_words(page->out, SPAN("# TYPE "), infos[metric].name, infos[metric].type);
}

static void append_label(struct buffer *out, bool *any, struct span name, struct span value)
{
    buffer_append_char(out, *any ? ',' : '{');
    buffer_append(out, name);
    buffer_append(out, SPAN("=\""));
    for (size_t i = 0; i != value.len; ++i) {
        char c = value.at[i];
        if (c == '\n' || c == '"' || c == '\\')
            buffer_append_char(out, '\\');
        buffer_append_char(out, c == '\n' ? 'n' : c);
    }
    buffer_append_char(out, '"');
    *any = true;
}

/* Appends a sample without its value. le: of a bucket, else SPAN_NONE. */
static void append_name(const struct metrics_text *page, const struct span *labels,
                        struct span suffix, struct span le)
{
    struct span name, rest = infos[page->metric].labels;
    bool any = false;
    buffer_append(page->out, infos[page->metric].name);
    buffer_append(page->out, suffix);
    for (size_t i = 0; rest.len != 0; ++i) {
        span_split(rest, ' ', &name, &rest);
        append_label(page->out, &any, name, labels[i]);
    }
    if (le.at != NULL)
        append_label(page->out, &any, SPAN("le"), le);
    if (any)
        buffer_append_char(page->out, '}');
    buffer_append_char(page->out, ' ');
}

static void append_sample(const struct metrics_text *page, const struct span *labels,
                          struct span suffix, struct span le, uint64_t value)
{
    append_name(page, labels, suffix, le);
    buffer_append_u64(page->out, value);
    buffer_append_char(page->out, '\n');
}

void metrics_text_u64(const struct metrics_text *page, const struct span *labels, uint64_t value)
{
    append_sample(page, labels, SPAN(""), SPAN_NONE, value);
}

static void append_seconds(struct buffer *out, int64_t us)
{
    uint64_t magnitude = us < 0 ? -(uint64_t)us : (uint64_t)us;
    if (us < 0)
        buffer_append_char(out, '-');
    buffer_append_u64(out, magnitude / 1000000);
    if (magnitude % 1000000 != 0)
        buffer_printf(out, ".%06u", (unsigned)(magnitude % 1000000));
}

void metrics_text_seconds(const struct metrics_text *page, const struct span *labels, int64_t us)
{
    append_name(page, labels, SPAN(""), SPAN_NONE);
    append_seconds(page->out, us);
    buffer_append_char(page->out, '\n');
}

/* ---- sums over workers ---- */

/* Sums the counter at `offset` over the workers' cells. */
static uint64_t sum_at(const struct metrics_route *route, size_t offset)
{
    uint64_t sum = 0;
    for (unsigned i = 0; i != route->metrics->options.workers; ++i) {
        const struct cell *cell = atomic_load_explicit(&route->cells[i], memory_order_acquire);
        if (cell != NULL)
            sum += counter_read((const struct counter *)((const char *)cell + offset));
    }
    return sum;
}

static uint64_t outcome_of(const struct metrics_route *route, size_t outcome)
{
    return sum_at(route, offsetof(struct cell, outcomes) + outcome * sizeof(struct counter));
}

static uint64_t ended_of(const struct metrics_route *route)
{
    uint64_t ended = 0;
    for (size_t i = 0; i != route->metrics->options.outcome_count; ++i)
        ended += outcome_of(route, i);
    return ended;
}

/* Returns the first route, from this one on, that has counted anything, or NULL. */
static const struct metrics_route *next_active(const struct metrics_route *route)
{
    for (; route != NULL; route = route->next)
        for (unsigned i = 0; i != route->metrics->options.workers; ++i)
            if (atomic_load_explicit(&route->cells[i], memory_order_acquire) != NULL)
                return route;
    return NULL;
}

#define EACH_ACTIVE(route, metrics)                                                                \
    const struct metrics_route *route = next_active((metrics)->routes);                            \
    route != NULL;                                                                                 \
    route = next_active(route->next)

/* ---- requests ---- */

/* Writes every outcome from the start, because rate() misses the first event of a series that
 * appears with it. */
static void write_requests(const struct metrics *metrics, struct metrics_text *page)
{
    metrics_text_begin(page, METRIC_REQUESTS);
    for (size_t i = 0; i != metrics->options.outcome_count; ++i) {
        const struct metrics_outcome *outcome = &metrics->options.outcomes[i];
        const struct span labels[METRICS_LABELS_MAX] = {outcome->token, outcome->fault};
        uint64_t sum = 0;
        for (EACH_ACTIVE(route, metrics))
            sum += outcome_of(route, i);
        metrics_text_u64(page, labels, sum);
    }
}

static void write_route_requests(const struct metrics *metrics, struct metrics_text *page)
{
    metrics_text_begin(page, METRIC_ROUTE_REQUESTS);
    for (EACH_ACTIVE(route, metrics))
        for (size_t i = 0; i != metrics->options.outcome_count; ++i) {
            const struct metrics_outcome *outcome = &metrics->options.outcomes[i];
            const struct span labels[METRICS_LABELS_MAX] = {route->name, outcome->token,
                                                            outcome->fault};
            uint64_t sum = outcome_of(route, i);
            if (sum != 0)
                metrics_text_u64(page, labels, sum);
        }
}

/* Reads `ended` first, so that a request that begins and ends meanwhile does not make the
 * difference negative. Clamps at zero, because relaxed loads may still be reordered. */
static void write_in_flight(const struct metrics *metrics, struct metrics_text *page)
{
    metrics_text_begin(page, METRIC_ROUTE_IN_FLIGHT);
    for (EACH_ACTIVE(route, metrics)) {
        uint64_t ended = ended_of(route);
        uint64_t begun = sum_at(route, offsetof(struct cell, begun));
        if (!span_equals(route->name, SPAN(METRICS_NO_ROUTE)))
            metrics_text_u64(page, &route->name, begun > ended ? begun - ended : 0);
    }
}

static void write_counters(const struct metrics *metrics, struct metrics_text *page)
{
    static const struct {
        enum metric metric;
        size_t offset;
    } rows[] = {
        {METRIC_ROUTE_REQUEST_BYTES, offsetof(struct cell, bytes_in)},
        {METRIC_ROUTE_RESPONSE_BYTES, offsetof(struct cell, bytes_out)},
        {METRIC_ROUTE_PARTS, offsetof(struct cell, parts)},
        {METRIC_ROUTE_ATTEMPTS, offsetof(struct cell, attempts)},
        {METRIC_ROUTE_RETRIES, offsetof(struct cell, retries)},
    };
    for (size_t i = 0; i != sizeof(rows) / sizeof(rows[0]); ++i) {
        metrics_text_begin(page, rows[i].metric);
        for (EACH_ACTIVE(route, metrics))
            metrics_text_u64(page, &route->name, sum_at(route, rows[i].offset));
    }
}

/* Formats a bound in seconds, without trailing zeros: "0.0025". */
static struct span bound_text(int64_t us, char text[24])
{
    struct buffer out;
    buffer_init_fixed(&out, text, 24);
    append_seconds(&out, us);
    struct span bound = buffer_span(&out);
    while (us % 1000000 != 0 && bound.at[bound.len - 1] == '0')
        --bound.len;
    return bound;
}

static void write_histogram(const struct metrics_route *route, const struct metrics_text *page,
                            enum histogram histogram)
{
    const struct histogram_info *info = &histograms[histogram];
    const size_t at = offsetof(struct cell, histograms[histogram]);
    const size_t buckets = offsetof(struct cell, histograms[histogram].buckets);
    uint64_t counts[BUCKETS_MAX] = {0}, count = 0;
    for (size_t i = 0; i <= info->bound_count; ++i) {
        counts[i] = sum_at(route, buckets + i * sizeof(struct counter));
        count += counts[i];
    }
    if (count == 0)
        return;
    uint64_t so_far = 0;
    for (size_t i = 0; i <= info->bound_count; ++i) {
        char text[24];
        bool last = i == info->bound_count;
        so_far += counts[i];
        append_sample(page, &route->name, SPAN("_bucket"),
                      last ? SPAN("+Inf") : bound_text(info->bounds_us[i], text), so_far);
    }
    append_name(page, &route->name, SPAN("_sum"), SPAN_NONE);
    append_seconds(page->out, (int64_t)sum_at(route, at));
    buffer_append_char(page->out, '\n');
    append_sample(page, &route->name, SPAN("_count"), SPAN_NONE, count);
}

static void write_routes(const struct metrics *metrics, struct metrics_text *page)
{
    write_requests(metrics, page);
    write_route_requests(metrics, page);
    write_in_flight(metrics, page);
    write_counters(metrics, page);
    for (enum histogram i = 0; i != HISTOGRAMS; ++i) {
        metrics_text_begin(page, histograms[i].metric);
        for (EACH_ACTIVE(route, metrics))
            write_histogram(route, page, i);
    }
}

/* ---- upstreams ---- */

/* Rows of one metric are adjacent. */
static const struct upstream_row {
    enum metric metric;
    enum tally_count count;
    struct span label; /* the second one, if the metric has two */
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

static void write_upstream_row(const struct metrics *metrics, const struct metrics_text *page,
                               const struct upstream_row *row)
{
    for (const struct metrics_upstream *at = metrics->upstreams; at != NULL; at = at->next) {
        const struct span labels[METRICS_LABELS_MAX] = {at->name, row->label};
        uint64_t sum = 0;
        for (unsigned i = 0; i != metrics->options.workers; ++i)
            sum += counter_read(&at->tallies[i]->counts[row->count]);
        metrics_text_u64(page, labels, sum);
    }
}

void metrics_write(const struct metrics *metrics, struct metrics_text *page)
{
    write_routes(metrics, page);
    for (size_t i = 0; i != sizeof(upstream_rows) / sizeof(upstream_rows[0]); ++i) {
        const struct upstream_row *row = &upstream_rows[i];
        if (i == 0 || row->metric != upstream_rows[i - 1].metric)
            metrics_text_begin(page, row->metric);
        write_upstream_row(metrics, page, row);
    }
}
