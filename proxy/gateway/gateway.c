/* Opens and closes the parts of a gateway, and switches to another configuration. */
#include "gateway/gateway.h"

#include "base/cgroup.h"
#include "gateway/exchange.h"
#include "gateway/listener.h"
#include "observe/log.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/resource.h>

/* The main thread answers /live and signals only after a reload. */
enum { RELOAD_WAIT_MS = 5000 };

/* Logs a warning and adds it to reasons. */
static void warn(const char *topic, struct reasons *reasons, struct span message)
{
    log_write(LOG_WARNING, topic, "%.*s", SPAN_ARG(message));
    reasons_add(reasons, SPAN("warning"), message);
}

/* Returns the effective limits: the configuration's, but limits.body_bytes, unless given, is at
 * most 40 % of the container's memory limit. */
static struct config_limits limits_of(const struct config *config, const char *topic,
                                      struct reasons *reasons, struct arena *arena)
{
    struct config_limits limits = config->limits;
    uint64_t share = cgroup_memory_limit() / 5 * 2;
    if (!limits.body_bytes_given && share < limits.body_bytes)
        limits.body_bytes = share;
    for (size_t i = 0; i != config->route_count; ++i)
        if (config->routes[i].body_max > limits.body_bytes)
            warn(topic, reasons,
                 arena_printf(
                     arena,
                     "route %.*s: body_max %llu exceeds limits.body_bytes: limited to %llu bytes",
                     SPAN_ARG(config->routes[i].name),
                     (unsigned long long)config->routes[i].body_max,
                     (unsigned long long)limits.body_bytes));
    return limits;
}

/* Raises the limit of file descriptors to the hard limit: every connection needs one. */
static void raise_descriptor_limit(const struct config *config)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return;
    limit.rlim_cur = limit.rlim_max;
    (void)setrlimit(RLIMIT_NOFILE, &limit);
    (void)getrlimit(RLIMIT_NOFILE, &limit);
    /* Each downstream connection may use an upstream connection; some are needed for everything
     * else. */
    uint64_t wanted = config->limits.connections * 2 + 64;
    log_write(wanted > limit.rlim_cur ? LOG_WARNING : LOG_INFO, "start",
              "file descriptors: limit %llu; limits.connections %llu can need %llu",
              (unsigned long long)limit.rlim_cur, (unsigned long long)config->limits.connections,
              (unsigned long long)wanted);
}

static bool open_log(struct gateway *gateway, struct arena *arena, struct span *fault)
{
    const struct config *config = gateway->config;
    if (config->access_log.off)
        return true;
    struct access_log_options options = {.file = config->access_log.file.at,
                                         .workers = gateway->group.count};
    gateway->group.access_log = access_log_create(&options);
    if (gateway->group.access_log != NULL)
        return true;
    *fault = arena_printf(arena, "access_log.file: %s: %s",
                          options.file == NULL ? "stdout" : options.file, strerror(errno));
    return false;
}

/* ---- snapshots ---- */

static struct snapshot *make_snapshot(struct gateway *gateway, struct config *config,
                                      struct arena *arena, struct span *fault)
{
    struct snapshot *snapshot = snapshot_create(
        &(struct snapshot_options){.config = config,
                                   .started_with = gateway->config,
                                   .workers = gateway->group.count,
                                   .admission = &gateway->group.admission,
                                   .metrics = gateway->metrics,
                                   .credential_service = gateway->credential_service,
                                   .wait_ms = gateway->snapshot == NULL ? 0 : RELOAD_WAIT_MS},
        arena, fault);
    if (snapshot == NULL)
        return NULL;
    snapshot->older = gateway->snapshot;
    gateway->snapshot = snapshot;
    return snapshot;
}

static bool is_same_address(bool has_a, const struct config_address *a, bool has_b,
                            const struct config_address *b)
{
    return has_a == has_b &&
           (!has_a || (span_equals(a->text, b->text) && a->unix_mode == b->unix_mode));
}

static bool has_same_listeners(const struct config *a, const struct config *b)
{
    bool same = a->listener_count == b->listener_count;
    for (size_t i = 0; same && i != a->listener_count; ++i)
        same = is_same_address(true, &a->listeners[i].address, true, &b->listeners[i].address);
    return same;
}

/* Warns of changed settings that only a restart applies. */
static void tell_not_reloaded(const struct config *started_with, const struct config *config,
                              struct reasons *reasons, struct arena *arena)
{
    const struct config *a = started_with, *b = config;
    const struct {
        const char *key;
        bool same;
    } keys[] = {
        {"listen", has_same_listeners(a, b)},
        {"admin", is_same_address(a->has_admin, &a->admin, b->has_admin, &b->admin)},
        {"health", is_same_address(a->has_health, &a->health, b->has_health, &b->health)},
        {"workers", a->workers == b->workers},
        {"access_log", a->access_log.off == b->access_log.off &&
                           span_equals(a->access_log.file, b->access_log.file)},
    };
    for (size_t i = 0; i != sizeof(keys) / sizeof(*keys); ++i)
        if (!keys[i].same)
            warn("reload", reasons,
                 arena_printf(arena, "%s has changed: restart sagegate to apply it", keys[i].key));
}

bool gateway_reload(struct gateway *gateway, struct config *config, struct reasons *reasons,
                    struct arena *arena, struct span *fault)
{
    size_t alive = 0;
    gateway_drop_snapshots(gateway);
    for (const struct snapshot *snapshot = gateway->snapshot; snapshot != NULL;
         snapshot = snapshot->older)
        ++alive;
    if (alive == GATEWAY_SNAPSHOTS_MAX) {
        *fault = arena_printf(arena,
                              "each of the last %zu configurations still has requests in "
                              "flight: reload after some have ended",
                              alive);
        return false;
    }
    struct snapshot *snapshot = make_snapshot(gateway, config, arena, fault);
    if (snapshot == NULL)
        return false;
    tell_not_reloaded(gateway->config, config, reasons, arena);
    struct config_limits limits = limits_of(config, "reload", reasons, arena);
    admission_set_limits(&gateway->group.admission, &limits);
    snapshot_limit_routes(snapshot);
    listener_switch_all(&gateway->group, snapshot);
    gateway->loaded = clock_wall();
    return true;
}

void gateway_drop_snapshots(struct gateway *gateway)
{
    for (struct snapshot **at = &gateway->snapshot->older; *at != NULL;) {
        struct snapshot *snapshot = *at;
        if (atomic_load_explicit(&snapshot->users, memory_order_acquire) != 0) {
            at = &snapshot->older;
            continue;
        }
        *at = snapshot->older;
        snapshot_destroy(snapshot);
    }
}

/* ---- life ---- */

static const struct worker_callbacks worker_callbacks = {
    .service = &exchange_service,
    .on_downstream_gone = listener_on_downstream_gone,
    .on_end = exchange_destroy_spares,
};

static struct metrics *create_metrics(unsigned workers)
{
    static struct metrics_outcome outcomes[OUTCOME_COUNTERS];
    for (size_t i = 0; i != OUTCOMES; ++i) {
        const struct outcome_info *info = outcome_info((enum outcome)i);
        outcomes[i] = (struct metrics_outcome){info->token, outcome_fault_name(info->fault)};
    }
    outcomes[OUTCOME_MODEL_ERROR_4XX] = (struct metrics_outcome){
        outcome_info(OUTCOME_MODEL_ERROR)->token, outcome_fault_name(OUTCOME_FAULT_CALLER)};
    return metrics_create(&(struct metrics_options){
        .workers = workers, .outcomes = outcomes, .outcome_count = OUTCOME_COUNTERS});
}

bool gateway_open(struct gateway *gateway, const struct gateway_options *options,
                  struct arena *arena, struct span *fault)
{
    *gateway = (struct gateway){.config = options->config,
                                .credential_service = options->credential_service,
                                .started = clock_wall(),
                                .version = options->version,
                                .build = options->build,
                                .group = {.count = options->config->workers,
                                          .callbacks = &worker_callbacks,
                                          .skew = options->skew,
                                          .on_worker_ended = options->on_worker_ended}};
    gateway->loaded = gateway->started;
    gateway->metrics = create_metrics(gateway->group.count);
    struct config_limits limits = limits_of(options->config, "start", NULL, arena);
    admission_init(&gateway->group.admission, &limits);
    raise_descriptor_limit(options->config);
    if (!open_log(gateway, arena, fault) ||
        make_snapshot(gateway, options->config, arena, fault) == NULL)
        return false;
    snapshot_limit_routes(gateway->snapshot);
    gateway->group.snapshot = gateway->snapshot;
    return listener_open_all(&gateway->group, gateway->config, arena, fault);
}

void gateway_start(struct gateway *gateway)
{
    worker_start_all(&gateway->group);
    listener_accept_all(&gateway->group);
}

void gateway_drain(struct gateway *gateway)
{
    listener_drain_all(&gateway->group);
}

void gateway_close(struct gateway *gateway)
{
    if (gateway->group.workers != NULL)
        worker_join_all(&gateway->group);
    listener_close_all(&gateway->group);
    while (gateway->snapshot != NULL) {
        struct snapshot *snapshot = gateway->snapshot;
        gateway->snapshot = snapshot->older;
        snapshot_destroy(snapshot);
    }
    admission_dispose(&gateway->group.admission);
    access_log_destroy(gateway->group.access_log);
    metrics_destroy(gateway->metrics);
}
