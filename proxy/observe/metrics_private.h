/* What metrics.c and metrics_page.c share: cells and series. */
#ifndef SAGEGATE_OBSERVE_METRICS_PRIVATE_H
#define SAGEGATE_OBSERVE_METRICS_PRIVATE_H

#include "observe/metrics.h"

/* X(microseconds, seconds as text). Of whole requests: from what a small model takes to an 8-minute stream. */
#define METRICS_DURATIONS(X)                                                                       \
    X(1000, "0.001")                                                                               \
    X(2500, "0.0025")                                                                              \
    X(5000, "0.005")                                                                               \
    X(10000, "0.01")                                                                               \
    X(25000, "0.025")                                                                              \
    X(50000, "0.05")                                                                               \
    X(100000, "0.1")                                                                               \
    X(250000, "0.25")                                                                              \
    X(500000, "0.5")                                                                               \
    X(1000000, "1")                                                                                \
    X(2500000, "2.5")                                                                              \
    X(5000000, "5")                                                                                \
    X(10000000, "10")                                                                              \
    X(30000000, "30")                                                                              \
    X(60000000, "60")                                                                              \
    X(120000000, "120")                                                                            \
    X(240000000, "240")                                                                            \
    X(480000000, "480")

/* Of what the gateway adds. */
#define METRICS_OVERHEADS(X)                                                                       \
    X(50, "0.00005")                                                                               \
    X(100, "0.0001")                                                                               \
    X(250, "0.00025")                                                                              \
    X(500, "0.0005")                                                                               \
    X(1000, "0.001")                                                                               \
    X(2500, "0.0025")                                                                              \
    X(5000, "0.005")                                                                               \
    X(10000, "0.01")                                                                               \
    X(25000, "0.025")                                                                              \
    X(100000, "0.1")                                                                               \
    X(1000000, "1")                                                                                \
    X(10000000, "10")

#define METRICS_ONE(us, text) +1
enum {
    METRICS_DURATION_BOUNDS = 0 METRICS_DURATIONS(METRICS_ONE),
    METRICS_OVERHEAD_BOUNDS = 0 METRICS_OVERHEADS(METRICS_ONE),
};
#undef METRICS_ONE

extern const struct exposition_bound metrics_durations[METRICS_DURATION_BOUNDS];
extern const struct exposition_bound metrics_overheads[METRICS_OVERHEAD_BOUNDS];

/* What one worker has counted of one route. */
struct metrics_cell {
    _Alignas(64) struct counter begun;
    struct counter bytes_in, bytes_out, parts, attempts, retries;
    struct counter duration_us, first_byte_us, overhead_us;
    struct counter durations[METRICS_DURATION_BOUNDS + 1];
    struct counter first_bytes[METRICS_DURATION_BOUNDS + 1];
    struct counter overheads[METRICS_OVERHEAD_BOUNDS + 1];
    struct counter outcomes[]; /* outcome_count of them */
};

typedef struct metrics_cell *_Atomic metrics_cell_pointer;

struct metrics_route {
    const struct metrics *metrics;
    struct metrics_route *next; /* in the order of opening; main thread only, as is name */
    struct span name;
    metrics_cell_pointer cells[]; /* by worker; NULL: it has counted nothing here yet */
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

#endif
