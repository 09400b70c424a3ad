/* The text that Prometheus reads (exposition format 0.0.4): families of samples with labels. Pure; it
 * knows the table of metrics.def and nothing of where values come from.
 *
 *     exposition_begin(&page, METRIC_X) for each metric, once; then its samples, one a set of labels.
 *
 * Labels are given in the order of the table. What the buffer has no room for is dropped, and
 * buffer->overflowed says so: the page is no good then. */
#ifndef SAGEGATE_OBSERVE_EXPOSITION_H
#define SAGEGATE_OBSERVE_EXPOSITION_H

#include "base/buffer.h"

enum metric {
#define METRIC(name, type, text, labels, help) METRIC_##name,
#include "observe/metrics.def"
#undef METRIC
    METRICS
};

enum { EXPOSITION_LABELS_MAX = 3 };

#define EXPOSITION_CONTENT_TYPE "text/plain; version=0.0.4; charset=utf-8"

struct exposition {
    struct buffer *out;
    enum metric metric; /* the family that has begun */
};

/* HELP and TYPE. */
void exposition_begin(struct exposition *page, enum metric metric);

/* One sample of a counter or gauge. labels: as many as the metric has; NULL where it has none. */
void exposition_u64(const struct exposition *page, const struct span *labels, uint64_t value);
/* Of microseconds, in seconds. */
void exposition_seconds(const struct exposition *page, const struct span *labels, int64_t us);

/* Bounds of a histogram: upper limits, inclusive, without the last, which has none. */
struct exposition_bound {
    int64_t us;
    struct span text; /* "0.005" */
};
/* counts: of the buckets alone, not summed up; bound_count + 1 of them. */
void exposition_histogram(const struct exposition *page, const struct span *labels,
                          const struct exposition_bound *bounds, size_t bound_count,
                          const uint64_t *counts, int64_t sum_us);

#endif
