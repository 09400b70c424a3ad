/* Writing Prometheus's text format by the table of metrics. */
#include "observe/exposition.h"

struct metric_info {
    struct span name, type;
    struct span labels; /* names with a blank between */
    struct span help;
};

#define COUNTER   "counter"
#define GAUGE     "gauge"
#define HISTOGRAM "histogram"
static const struct metric_info infos[METRICS] = {
#define METRIC(name, type, text, labels, help)                                                     \
    [METRIC_##name] = {{#text, sizeof(#text) - 1},                                                 \
                       {type, sizeof(type) - 1},                                                   \
                       {labels, sizeof(labels) - 1},                                               \
                       {help, sizeof(help) - 1}},
#include "observe/metrics.def"
#undef METRIC
};
#undef COUNTER
#undef GAUGE
#undef HISTOGRAM

void exposition_begin(struct exposition *page, enum metric metric)
{
    const struct metric_info *info = &infos[metric];
    page->metric = metric;
    buffer_append(page->out, SPAN("# HELP "));
    buffer_append(page->out, info->name);
    buffer_append_char(page->out, ' ');
    buffer_append(page->out, info->help);
    buffer_append(page->out, SPAN("\n# TYPE "));
    buffer_append(page->out, info->name);
    buffer_append_char(page->out, ' ');
    buffer_append(page->out, info->type);
    buffer_append_char(page->out, '\n');
}

static void append_value(struct buffer *out, struct span value)
{
    for (size_t i = 0; i != value.len; ++i) {
        char c = value.at[i];
        if (c == '\n')
            buffer_append(out, SPAN("\\n"));
        if (c == '"' || c == '\\')
            buffer_append_char(out, '\\');
        if (c != '\n')
            buffer_append_char(out, c);
    }
}

static void append_label(struct buffer *out, bool *any, struct span name, struct span value)
{
    buffer_append_char(out, *any ? ',' : '{');
    buffer_append(out, name);
    buffer_append(out, SPAN("=\""));
    append_value(out, value);
    buffer_append_char(out, '"');
    *any = true;
}

/* All of a sample but its value. le: of a bucket, else SPAN_NONE. */
static void append_name(const struct exposition *page, const struct span *labels,
                        struct span suffix, struct span le)
{
    const struct metric_info *info = &infos[page->metric];
    struct span name, rest = info->labels;
    bool any = false;
    buffer_append(page->out, info->name);
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

void exposition_u64(const struct exposition *page, const struct span *labels, uint64_t value)
{
    append_name(page, labels, SPAN(""), SPAN_NONE);
    buffer_append_u64(page->out, value);
    buffer_append_char(page->out, '\n');
}

static void append_seconds(struct buffer *out, int64_t us)
{
    uint64_t magnitude = us < 0 ? -(uint64_t)us : (uint64_t)us;
    if (us < 0)
        buffer_append_char(out, '-');
    buffer_append_u64(out, magnitude / 1000000);
    if (magnitude % 1000000 != 0)
        buffer_printf(out, ".%06u", (unsigned)(magnitude % 1000000));
    buffer_append_char(out, '\n');
}

void exposition_seconds(const struct exposition *page, const struct span *labels, int64_t us)
{
    append_name(page, labels, SPAN(""), SPAN_NONE);
    append_seconds(page->out, us);
}

void exposition_histogram(const struct exposition *page, const struct span *labels,
                          const struct exposition_bound *bounds, size_t bound_count,
                          const uint64_t *counts, int64_t sum_us)
{
    uint64_t so_far = 0;
    for (size_t i = 0; i <= bound_count; ++i) {
        so_far += counts[i];
        append_name(page, labels, SPAN("_bucket"),
                    i == bound_count ? SPAN("+Inf") : bounds[i].text);
        buffer_append_u64(page->out, so_far);
        buffer_append_char(page->out, '\n');
    }
    append_name(page, labels, SPAN("_sum"), SPAN_NONE);
    append_seconds(page->out, sum_us);
    append_name(page, labels, SPAN("_count"), SPAN_NONE);
    buffer_append_u64(page->out, so_far);
    buffer_append_char(page->out, '\n');
}
