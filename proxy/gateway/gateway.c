/* Opening and closing what a gateway consists of. */
#include "gateway/gateway.h"

#include "net/listen.h"
#include "observe/log.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/resource.h>

enum { BACKLOG = 1024, READY_MARGIN_S = 10 };

static void on_keeper_event(void *context, enum keeper_event event, struct span message)
{
    (void)context;
    log_write(event == KEEPER_LOADED ? LOG_INFO : LOG_WARNING, "credentials", "%.*s",
              SPAN_ARG(message));
}

/* A number that a file holds; UINT64_MAX where it is not there or holds none ("max"). */
static uint64_t read_number(const char *path)
{
    char text[32];
    uint64_t number = UINT64_MAX;
    FILE *file = fopen(path, "re");
    if (file == NULL)
        return number;
    size_t len = fread(text, 1, sizeof(text), file);
    fclose(file);
    while (len != 0 && text[len - 1] == '\n')
        --len;
    (void)span_parse_u64(span_make(text, len), &number);
    return number;
}

/* The limit that one line of /proc/self/cgroup leads to: "0::/PATH" of version 2, "N:memory:/PATH" of version 1. */
static uint64_t limit_of_line(struct span line)
{
    char path[512];
    struct span number, controllers, group;
    span_split(line, ':', &number, &line);
    if (!span_split(line, ':', &controllers, &group))
        return UINT64_MAX;
    const char *format = controllers.len == 0 ? "/sys/fs/cgroup%.*s/memory.max"
                                              : "/sys/fs/cgroup/memory%.*s/memory.limit_in_bytes";
    if (controllers.len != 0 && !span_equals(controllers, SPAN("memory")))
        return UINT64_MAX;
    int len = snprintf(path, sizeof(path), format, SPAN_ARG(group));
    return len < (int)sizeof(path) ? read_number(path) : UINT64_MAX;
}

/* The least memory limit of the process's own cgroups; UINT64_MAX where there is none to be read. In a container their
 * paths may be the host's, which are not to be seen; then the root of the mount is the container's own. */
static uint64_t memory_limit(void)
{
    char line[512];
    uint64_t limit = read_number("/sys/fs/cgroup/memory.max");
    FILE *file = fopen("/proc/self/cgroup", "re");
    while (file != NULL && fgets(line, sizeof(line), file) != NULL) {
        struct span text = span_from(line);
        text.len = span_find(text, '\n');
        uint64_t own = limit_of_line(text);
        limit = own < limit ? own : limit;
    }
    if (file != NULL)
        fclose(file);
    uint64_t first = read_number("/sys/fs/cgroup/memory/memory.limit_in_bytes");
    return first < limit ? first : limit;
}

/* limits.body_bytes, unless the container has less: then 40 % of that. */
static void open_limits(struct gateway *gateway)
{
    const struct config *config = gateway->config;
    struct config_limits limits = config->limits;
    uint64_t share = memory_limit() / 5 * 2;
    if (!limits.body_bytes_given && share < limits.body_bytes)
        limits.body_bytes = share;
    for (size_t i = 0; i != config->route_count; ++i)
        if (config->routes[i].body_max > limits.body_bytes)
            log_write(LOG_WARNING, "start",
                      "route %.*s: body_max %llu is held to the %llu bytes of limits.body_bytes",
                      SPAN_ARG(config->routes[i].name),
                      (unsigned long long)config->routes[i].body_max,
                      (unsigned long long)limits.body_bytes);
    admit_init(&gateway->admit, config, &limits);
}

/* Every connection is a descriptor: takes what the hard limit allows. */
static void raise_descriptor_limit(const struct config *config)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return;
    limit.rlim_cur = limit.rlim_max;
    (void)setrlimit(RLIMIT_NOFILE, &limit);
    (void)getrlimit(RLIMIT_NOFILE, &limit);
    /* Each caller may hold an upstream connection besides its own; some are needed for everything else. */
    uint64_t wanted = config->limits.connections * 2 + 64;
    log_write(wanted > limit.rlim_cur ? LOG_WARNING : LOG_INFO, "start",
              "descriptors: %llu may be open, limits.connections %llu can need %llu",
              (unsigned long long)limit.rlim_cur, (unsigned long long)config->limits.connections,
              (unsigned long long)wanted);
}

static bool open_log(struct gateway *gateway, struct arena *arena, struct span *fault)
{
    const struct config *config = gateway->config;
    if (config->access_log.off)
        return true;
    struct access_log_options options = {.file = config->access_log.file.at,
                                         .workers = gateway->worker_count};
    gateway->access_log = access_log_create(&options);
    if (gateway->access_log != NULL)
        return true;
    *fault = arena_printf(arena, "access_log.file: %s: %s",
                          options.file == NULL ? "stdout" : options.file, strerror(errno));
    return false;
}

/* The store of an earlier upstream that trusts the same, for a bundle takes 20 ms and 1 MiB to load. */
static X509_STORE *shared_trust(struct gateway *gateway, size_t index)
{
    const struct config_upstream *upstreams = gateway->config->upstreams;
    for (size_t i = 0; i != index; ++i) {
        if (gateway->trusts[i] == NULL || upstreams[i].extra_ca_file_count != 0 ||
            upstreams[index].extra_ca_file_count != 0 ||
            !span_equals(upstreams[i].ca_file, upstreams[index].ca_file))
            continue;
        X509_STORE_up_ref(gateway->trusts[i]);
        return gateway->trusts[i];
    }
    return NULL;
}

static bool open_trust(struct gateway *gateway, struct arena *arena, struct span *fault)
{
    const struct config *config = gateway->config;
    gateway->trusts = calloc(config->upstream_count, sizeof(X509_STORE *));
    CHECK(gateway->trusts != NULL);
    for (size_t i = 0; i != config->upstream_count; ++i) {
        const struct config_upstream *upstream = &config->upstreams[i];
        if (!upstream->url.tls)
            continue;
        gateway->trusts[i] = shared_trust(gateway, i);
        if (gateway->trusts[i] != NULL)
            continue;
        struct tls_trust_options options = {upstream->ca_file.at, upstream->extra_ca_files,
                                            upstream->extra_ca_file_count};
        gateway->trusts[i] = tls_trust_load(&options, arena, fault);
        if (gateway->trusts[i] == NULL)
            return false;
    }
    return true;
}

static bool open_listener_tls(struct gateway *gateway, struct arena *arena, struct span *fault)
{
    const struct config *config = gateway->config;
    gateway->listen_tls = calloc(config->listener_count, sizeof(struct tls_context *));
    CHECK(gateway->listen_tls != NULL);
    for (size_t i = 0; i != config->listener_count; ++i) {
        const struct config_listener *listener = &config->listeners[i];
        if (listener->certificate_file.at == NULL)
            continue;
        gateway->listen_tls[i] = tls_context_create_server(listener->certificate_file.at,
                                                           listener->key_file.at, arena, fault);
        if (gateway->listen_tls[i] == NULL)
            return false;
    }
    return true;
}

static bool open_listeners(struct gateway *gateway, struct arena *arena, struct span *fault)
{
    const struct config *config = gateway->config;
    gateway->listen_fds = malloc(config->listener_count * sizeof(int));
    CHECK(gateway->listen_fds != NULL);
    for (size_t i = 0; i != config->listener_count; ++i)
        gateway->listen_fds[i] = -1;
    if (!open_listener_tls(gateway, arena, fault))
        return false;
    for (size_t i = 0; i != config->listener_count; ++i) {
        const struct config_address *address = &config->listeners[i].address;
        gateway->listen_fds[i] = listen_open(address, BACKLOG, arena, fault);
        if (gateway->listen_fds[i] < 0)
            return false;
        struct span name = listen_name(gateway->listen_fds[i], arena);
        log_write(LOG_INFO, "listener", "listening on %.*s", SPAN_ARG(name));
        if (!address->loopback)
            log_write(LOG_WARNING, "listener",
                      "%.*s can be reached from other machines, and callers are not asked who they "
                      "are: whoever reaches "
                      "it uses the gateway's AWS identity",
                      SPAN_ARG(name));
    }
    return true;
}

static void open_keeper(struct gateway *gateway, const struct gateway_options *options)
{
    const struct config *config = gateway->config;
    bool *used = calloc(config->identity_count, sizeof(bool));
    CHECK(used != NULL);
    for (size_t i = 0; i != config->route_count; ++i)
        used[config->routes[i].identity] |= config_operation_is_aws(config->routes[i].operation);
    gateway->keeper = keeper_create(&(struct keeper_options){
        .identities = config->identities,
        .identity_count = config->identity_count,
        .used = used,
        .getenv = options->getenv,
        .getenv_context = options->getenv_context,
        .skew = &gateway->skew,
        .on_event = on_keeper_event,
    });
    free(used);
}

bool gateway_open(struct gateway *gateway, const struct gateway_options *options,
                  struct arena *arena, struct span *fault)
{
    *gateway =
        (struct gateway){.config = options->config, .on_worker_ended = options->on_worker_ended};
    gateway->worker_count = options->config->workers;
    open_limits(gateway);
    gateway->routes = route_table_create(options->config);
    raise_descriptor_limit(options->config);
    if (!open_log(gateway, arena, fault))
        return false;
    open_keeper(gateway, options);
    return open_trust(gateway, arena, fault) && open_listeners(gateway, arena, fault);
}

void gateway_start(struct gateway *gateway)
{
    worker_start_all(gateway);
}

void gateway_close(struct gateway *gateway)
{
    const struct config *config = gateway->config;
    bool started = gateway->workers != NULL;
    if (started)
        worker_join_all(gateway);
    /* Started workers close what they accept on. */
    for (size_t i = 0; gateway->listen_fds != NULL && !started && i != config->listener_count; ++i)
        listen_close(gateway->listen_fds[i], &config->listeners[i].address);
    free(gateway->listen_fds);
    for (size_t i = 0; gateway->listen_tls != NULL && i != config->listener_count; ++i)
        tls_context_destroy(gateway->listen_tls[i]);
    free(gateway->listen_tls);
    for (size_t i = 0; gateway->trusts != NULL && i != config->upstream_count; ++i)
        X509_STORE_free(gateway->trusts[i]);
    free(gateway->trusts);
    if (gateway->keeper != NULL)
        keeper_destroy(gateway->keeper);
    access_log_destroy(gateway->access_log);
    route_table_destroy(gateway->routes);
    admit_dispose(&gateway->admit);
}

/* The identities that routes use. */
static bool has_credentials(struct gateway *gateway, struct admin_reasons *reasons)
{
    const struct config *config = gateway->config;
    struct wall_time now = skew_correct(&gateway->skew, clock_wall());
    bool all = true;
    struct buffer text;
    buffer_init(&text, 4096);
    for (size_t i = 0; i != config->identity_count; ++i) {
        struct keeper_values values = keeper_values(gateway->keeper, i, now);
        /* With its source broken a set that is about to end counts as ended. */
        struct wall_time at = {now.us + (values.failing ? READY_MARGIN_S * INT64_C(1000000) : 0)};
        buffer_clear(&text);
        if (!values.used)
            continue;
        if (i != 0)
            buffer_printf(&text, "identity %.*s: ", SPAN_ARG(values.name));
        if (keeper_status(gateway->keeper, i, at, &text))
            continue;
        all = false;
        if (reasons != NULL)
            admin_reason(reasons, SPAN("no_credentials"), buffer_span(&text));
    }
    buffer_dispose(&text);
    return all;
}

bool gateway_is_ready(struct gateway *gateway, struct admin_reasons *reasons)
{
    bool usable = has_credentials(gateway, reasons) || gateway->config->ready_without_credentials;
    bool draining = atomic_load(&gateway->draining);
    if (draining && reasons != NULL)
        admin_reason(reasons, SPAN("draining"), SPAN("the gateway is shutting down"));
    return usable && !draining;
}
