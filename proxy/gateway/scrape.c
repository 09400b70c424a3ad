/* Writes the page of GET /metrics. */
#include "gateway/scrape.h"

#include <dirent.h>
#include <stdio.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

static void write_one(struct metrics_text *page, enum metric metric, uint64_t value)
{
    metrics_text_begin(page, metric);
    metrics_text_u64(page, NULL, value);
}

/* ---- connections and limits ---- */

static struct span number_text(unsigned number, char text[12])
{
    struct buffer out;
    buffer_init_fixed(&out, text, 12);
    buffer_append_u64(&out, number);
    return buffer_span(&out);
}

static void write_connections(const struct worker_group *group, struct metrics_text *page)
{
    metrics_text_begin(page, METRIC_CONNECTIONS);
    for (unsigned i = 0; i != group->count; ++i) {
        char text[12];
        struct span worker = number_text(i, text);
        metrics_text_u64(
            page, &worker,
            atomic_load_explicit(&group->workers[i].downstream_count, memory_order_relaxed));
    }
    write_one(page, METRIC_CONNECTIONS_LIMIT, atomic_load(&group->admission.connections_max));
}

static void write_limits(const struct worker_group *group, struct metrics_text *page)
{
    const struct admission *admission = &group->admission;
    write_one(page, METRIC_ADMITTED, atomic_load(&admission->slots));
    write_one(page, METRIC_ADMITTED_LIMIT, atomic_load(&admission->slots_max));
    write_one(page, METRIC_WAITING, atomic_load(&admission->waiting));
    write_one(page, METRIC_BODY_RESERVED, atomic_load(&admission->memory));
    write_one(page, METRIC_BODY_LIMIT, atomic_load(&admission->memory_max));
    write_one(page, METRIC_ACCESS_LOG_DROPPED, access_log_dropped(group->access_log));
}

/* ---- credentials ---- */

static void write_identity(const struct metrics_text *page, const struct provider_values *values,
                           struct wall_time now)
{
    switch (page->metric) {
    case METRIC_CREDENTIALS_USABLE:
        metrics_text_u64(page, &values->name, values->usable);
        return;
    case METRIC_CREDENTIALS_INFO:
        if (values->source.at != NULL)
            metrics_text_u64(
                page, (const struct span[METRICS_LABELS_MAX]){values->name, values->source}, 1);
        return;
    case METRIC_CREDENTIALS_EXPIRY:
        if (values->expires.us != 0)
            metrics_text_seconds(page, &values->name, values->expires.us - now.us);
        return;
    case METRIC_CREDENTIALS_REFRESHES:
        metrics_text_u64(page, &values->name, values->refreshed);
        return;
    case METRIC_CREDENTIALS_FAILURES:
        metrics_text_u64(page, &values->name, values->failed);
        return;
    case METRIC_CREDENTIALS_LAST_FAILURE:
        if (values->last_failed.us != 0)
            metrics_text_seconds(page, &values->name, values->last_failed.us);
        return;
    default:
        return;
    }
}

static void write_credentials(struct gateway *gateway, struct metrics_text *page)
{
    static const enum metric families[] = {
        METRIC_CREDENTIALS_USABLE,    METRIC_CREDENTIALS_INFO,     METRIC_CREDENTIALS_EXPIRY,
        METRIC_CREDENTIALS_REFRESHES, METRIC_CREDENTIALS_FAILURES, METRIC_CREDENTIALS_LAST_FAILURE,
    };
    const struct snapshot *snapshot = gateway->snapshot;
    struct wall_time now = skew_correct(gateway->group.skew, clock_wall());
    for (size_t i = 0; i != sizeof(families) / sizeof(families[0]); ++i) {
        metrics_text_begin(page, families[i]);
        for (size_t k = 0; k != snapshot->config->identity_count; ++k) {
            if (snapshot->providers[k] == NULL)
                continue;
            struct provider_values values = provider_values(snapshot->providers[k], now);
            write_identity(page, &values, now);
        }
    }
    metrics_text_begin(page, METRIC_CLOCK_OFFSET);
    metrics_text_seconds(page, NULL, skew_offset_s(gateway->group.skew) * INT64_C(1000000));
}

/* ---- the configuration ---- */

static void write_config(const struct gateway *gateway, struct metrics_text *page)
{
    const struct span taken = SPAN("taken"), refused = SPAN("refused");
    uint64_t in_use = 0;
    for (const struct snapshot *at = gateway->snapshot; at != NULL; at = at->older)
        ++in_use;
    metrics_text_begin(page, METRIC_CONFIG_RELOADS);
    metrics_text_u64(page, &taken, gateway->reloads - gateway->reloads_refused);
    metrics_text_u64(page, &refused, gateway->reloads_refused);
    metrics_text_begin(page, METRIC_CONFIG_LOADED);
    metrics_text_seconds(page, NULL, gateway->loaded.us);
    write_one(page, METRIC_CONFIGS_IN_USE, in_use);
}

/* ---- the process ---- */

static int64_t us_of(struct timeval time)
{
    return time.tv_sec * INT64_C(1000000) + time.tv_usec;
}

static void write_cpu(const struct worker_group *group, struct metrics_text *page)
{
    struct rusage usage;
    metrics_text_begin(page, METRIC_WORKER_CPU);
    for (unsigned i = 0; i != group->count; ++i) {
        char text[12];
        struct span worker = number_text(i, text);
        struct timespec time;
        clockid_t clock;
        if (pthread_getcpuclockid(group->workers[i].thread, &clock) == 0 &&
            clock_gettime(clock, &time) == 0) /* fails if the thread has ended */
            metrics_text_seconds(page, &worker,
                                 time.tv_sec * INT64_C(1000000) + time.tv_nsec / 1000);
    }
    metrics_text_begin(page, METRIC_CPU);
    if (getrusage(RUSAGE_SELF, &usage) == 0)
        metrics_text_seconds(page, NULL, us_of(usage.ru_utime) + us_of(usage.ru_stime));
}

static void write_memory(struct metrics_text *page)
{
    unsigned long long size, resident;
    FILE *file = fopen("/proc/self/statm", "re");
    metrics_text_begin(page, METRIC_RESIDENT);
    if (file == NULL)
        return;
    if (fscanf(file, "%llu %llu", &size, &resident) == 2)
        metrics_text_u64(page, NULL, resident * (uint64_t)sysconf(_SC_PAGESIZE));
    fclose(file);
}

static void write_descriptors(struct metrics_text *page)
{
    struct rlimit limit;
    uint64_t open = 0;
    DIR *folder = opendir("/proc/self/fd");
    metrics_text_begin(page, METRIC_OPEN_FDS);
    if (folder != NULL) {
        while (readdir(folder) != NULL)
            ++open;
        closedir(folder);
        metrics_text_u64(page, NULL, open - 3); /* without ".", ".." and the directory's own */
    }
    metrics_text_begin(page, METRIC_MAX_FDS);
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0)
        metrics_text_u64(page, NULL, limit.rlim_cur);
}

static void write_process(struct gateway *gateway, struct metrics_text *page)
{
    const struct span build[] = {gateway->version, gateway->build};
    metrics_text_begin(page, METRIC_BUILD_INFO);
    metrics_text_u64(page, build, 1);
    write_one(page, METRIC_READY, worker_is_ready(&gateway->group, gateway->snapshot, NULL));
    write_one(page, METRIC_DRAINING, atomic_load(&gateway->group.draining));
    write_cpu(&gateway->group, page);
    metrics_text_begin(page, METRIC_START_TIME);
    metrics_text_seconds(page, NULL, gateway->started.us);
    write_memory(page);
    write_descriptors(page);
}

void scrape_write(struct gateway *gateway, struct buffer *out)
{
    struct metrics_text page = {.out = out};
    metrics_write(gateway->metrics, &page);
    write_connections(&gateway->group, &page);
    write_limits(&gateway->group, &page);
    write_credentials(gateway, &page);
    write_config(gateway, &page);
    write_process(gateway, &page);
}
