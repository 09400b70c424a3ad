/* Opening and closing what a gateway consists of. */
#include "gateway/gateway.h"

#include "net/listen.h"
#include "observe/log.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/resource.h>

enum { BACKLOG = 1024 };

static void on_keeper_event(void *context, enum keeper_event event, struct span message)
{
    (void)context;
    log_write(event == KEEPER_LOADED ? LOG_INFO : LOG_WARNING, "credentials", "%.*s",
              SPAN_ARG(message));
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

static bool open_trust(struct gateway *gateway, struct arena *arena, struct span *fault)
{
    const struct config *config = gateway->config;
    gateway->trusts = calloc(config->upstream_count, sizeof(X509_STORE *));
    CHECK(gateway->trusts != NULL);
    for (size_t i = 0; i != config->upstream_count; ++i) {
        const struct config_upstream *upstream = &config->upstreams[i];
        if (!upstream->url.tls)
            continue;
        struct tls_trust_options options = {upstream->ca_file.at, upstream->extra_ca_files,
                                            upstream->extra_ca_file_count};
        gateway->trusts[i] = tls_trust_load(&options, arena, fault);
        if (gateway->trusts[i] == NULL)
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

bool gateway_open(struct gateway *gateway, const struct gateway_options *options,
                  struct arena *arena, struct span *fault)
{
    *gateway =
        (struct gateway){.config = options->config, .on_worker_ended = options->on_worker_ended};
    gateway->worker_count = options->config->workers;
    admit_init(&gateway->admit, &options->config->limits);
    gateway->routes = route_table_create(options->config);
    raise_descriptor_limit(options->config);
    if (!open_log(gateway, arena, fault))
        return false;
    gateway->keeper =
        keeper_create(&(struct keeper_options){.credentials = &options->config->credentials,
                                               .getenv = options->getenv,
                                               .getenv_context = options->getenv_context,
                                               .on_event = on_keeper_event});
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
    for (size_t i = 0; gateway->trusts != NULL && i != config->upstream_count; ++i)
        X509_STORE_free(gateway->trusts[i]);
    free(gateway->trusts);
    if (gateway->keeper != NULL)
        keeper_destroy(gateway->keeper);
    access_log_destroy(gateway->access_log);
    route_table_destroy(gateway->routes);
}

bool gateway_is_ready(struct gateway *gateway, struct admin_reasons *reasons)
{
    struct buffer text;
    buffer_init(&text, 4096);
    bool usable = keeper_status(gateway->keeper, clock_wall(), &text);
    bool draining = atomic_load(&gateway->draining);
    if (!usable)
        admin_reason(reasons, SPAN("no_credentials"), buffer_span(&text));
    if (draining)
        admin_reason(reasons, SPAN("draining"), SPAN("the gateway is shutting down"));
    buffer_dispose(&text);
    return usable && !draining;
}
