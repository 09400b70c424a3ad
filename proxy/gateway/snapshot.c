/* Creates and destroys the parts of a snapshot. */
#include "gateway/snapshot.h"

#include <stdlib.h>

enum { READY_MARGIN_S = 10 };

/* Allocates zeroed memory. */
static void *allocate(size_t count, size_t size)
{
    void *memory = calloc(count, size);
    CHECK(memory != NULL || count == 0);
    return memory;
}

/* ---- trust ---- */

/* Returns the store of an earlier upstream with the same bundle, or NULL: loading one takes 20 ms
 * and 1 MiB. */
static X509_STORE *shared_trust(const struct snapshot *snapshot, size_t index)
{
    const struct config_upstream *upstreams = snapshot->config->upstreams;
    for (size_t i = 0; i != index; ++i) {
        X509_STORE *trust = snapshot->upstreams[i].trust;
        if (trust == NULL || upstreams[i].extra_ca_file_count != 0 ||
            upstreams[index].extra_ca_file_count != 0 ||
            !span_equals(upstreams[i].ca_file, upstreams[index].ca_file))
            continue;
        X509_STORE_up_ref(trust);
        return trust;
    }
    return NULL;
}

static bool load_trusts(struct snapshot *snapshot, struct arena *arena, struct span *fault)
{
    for (size_t i = 0; i != snapshot->config->upstream_count; ++i) {
        const struct config_upstream *upstream = &snapshot->config->upstreams[i];
        struct tls_trust_options options = {upstream->ca_file.at, upstream->extra_ca_files,
                                            upstream->extra_ca_file_count};
        if (!upstream->url.tls)
            continue;
        X509_STORE *trust = shared_trust(snapshot, i);
        if (trust == NULL)
            trust = tls_trust_load(&options, arena, fault);
        if (trust == NULL)
            return false;
        snapshot->upstreams[i].trust = trust;
    }
    return true;
}

/* ---- listeners' certificates ---- */

/* Returns this configuration's entry for a listener of the process, or if it has none the entry at
 * start. Equal addresses (port 0) are matched in order. */
static const struct config_listener *find_listener(const struct config *config,
                                                   const struct config *started_with, size_t index)
{
    const struct config_listener *wanted = &started_with->listeners[index];
    size_t skip = 0;
    for (size_t i = 0; i != index; ++i)
        skip += span_equals(started_with->listeners[i].address.text, wanted->address.text);
    for (size_t i = 0; i != config->listener_count; ++i)
        if (span_equals(config->listeners[i].address.text, wanted->address.text) && skip-- == 0)
            return &config->listeners[i];
    return wanted;
}

/* Loads the listeners' certificates. A reload cannot turn TLS on or off: an edit that loses the key
 * must not make the port plaintext. */
static bool load_listener_tls(struct snapshot *snapshot, const struct config *started_with,
                              struct arena *arena, struct span *fault)
{
    snapshot->listener_count = started_with->listener_count;
    snapshot->listen_tls = allocate(snapshot->listener_count, sizeof(struct tls_context *));
    for (size_t i = 0; i != snapshot->listener_count; ++i) {
        const struct config_listener *listener = find_listener(snapshot->config, started_with, i);
        bool tls = listener->certificate_file.at != NULL;
        if (tls != (started_with->listeners[i].certificate_file.at != NULL)) {
            *fault = arena_printf(
                arena, "listen: %.*s: cannot turn TLS on or off by reload: restart sagegate",
                SPAN_ARG(listener->address.text));
            return false;
        }
        if (!tls)
            continue;
        snapshot->listen_tls[i] = tls_context_create_server(listener->certificate_file.at,
                                                            listener->key_file.at, arena, fault);
        if (snapshot->listen_tls[i] == NULL)
            return false;
    }
    return true;
}

/* ---- life ---- */

/* Takes providers for the identities that routes use. */
static bool take_providers(struct snapshot *snapshot, const struct snapshot_options *options,
                           struct arena *arena, struct span *fault)
{
    const struct config *config = snapshot->config;
    bool *used = allocate(config->identity_count, sizeof(bool));
    for (size_t i = 0; i != config->route_count; ++i)
        used[config->routes[i].identity] |= config_operation_is_aws(config->routes[i].operation);
    struct provider **providers = allocate(config->identity_count, sizeof(struct provider *));
    bool taken = credential_service_take(
        options->credential_service,
        &(struct credential_service_wanted){.config = snapshot->config,
                                            .identities = config->identities,
                                            .used = used,
                                            .count = config->identity_count,
                                            .wait_ms = options->wait_ms},
        providers);
    free(used);
    if (taken) {
        snapshot->credential_service = options->credential_service;
        snapshot->providers = providers;
        return true;
    }
    free(providers);
    *fault = arena_printf(arena,
                          "reading credentials has not ended after %lld ms: does the file system "
                          "of a credentials file hang?",
                          (long long)options->wait_ms);
    return false;
}

/* Opens the process's counters by route and by upstream. */
static void open_counters(struct snapshot *snapshot, struct admission *admission,
                          struct metrics *metrics)
{
    const struct config *config = snapshot->config;
    snapshot->no_route = metrics_open_route(metrics, SPAN(METRICS_NO_ROUTE));
    for (size_t i = 0; i != config->route_count; ++i) {
        struct span name = config->routes[i].name;
        snapshot->routes[i] = (struct snapshot_route){admission_open_route(admission, name),
                                                      metrics_open_route(metrics, name)};
    }
    for (size_t i = 0; i != config->upstream_count; ++i)
        snapshot->upstreams[i].metrics = metrics_open_upstream(metrics, config->upstreams[i].name);
}

struct snapshot *snapshot_create(const struct snapshot_options *options, struct arena *arena,
                                 struct span *fault)
{
    struct snapshot *snapshot = allocate(1, sizeof(*snapshot));
    snapshot->config = config_retain(options->config);
    snapshot->routes = allocate(snapshot->config->route_count, sizeof(struct snapshot_route));
    snapshot->upstreams =
        allocate(snapshot->config->upstream_count, sizeof(struct snapshot_upstream));
    atomic_init(&snapshot->users, options->workers);
    if (!load_trusts(snapshot, arena, fault) ||
        !load_listener_tls(snapshot, options->started_with, arena, fault) ||
        !take_providers(snapshot, options, arena, fault)) {
        snapshot_destroy(snapshot);
        return NULL;
    }
    snapshot->table = route_table_create(snapshot->config);
    open_counters(snapshot, options->admission, options->metrics);
    return snapshot;
}

bool snapshot_has_credentials(const struct snapshot *snapshot, struct wall_time now,
                              struct reasons *reasons)
{
    bool all = true;
    struct buffer text;
    buffer_init(&text, 4096);
    for (size_t i = 0; i != snapshot->config->identity_count; ++i) {
        if (snapshot->providers[i] == NULL)
            continue;
        struct provider_values values = provider_values(snapshot->providers[i], now);
        /* If the source fails, credentials that expire soon count as expired. */
        struct wall_time at = {now.us + (values.failing ? READY_MARGIN_S * INT64_C(1000000) : 0)};
        buffer_clear(&text);
        if (i != 0)
            buffer_printf(&text, "identity %.*s: ", SPAN_ARG(values.name));
        if (provider_status(snapshot->providers[i], at, &text))
            continue;
        all = false;
        reasons_add(reasons, SPAN("no_credentials"), buffer_span(&text));
    }
    buffer_dispose(&text);
    return all;
}

void snapshot_limit_routes(const struct snapshot *snapshot)
{
    for (size_t i = 0; i != snapshot->config->route_count; ++i)
        admission_limit_route(snapshot->routes[i].admission,
                              snapshot->config->routes[i].concurrency);
}

void snapshot_destroy(struct snapshot *snapshot)
{
    if (snapshot == NULL)
        return;
    if (snapshot->providers != NULL)
        credential_service_give_back(snapshot->credential_service, snapshot->providers,
                                     snapshot->config->identity_count);
    free(snapshot->providers);
    route_table_destroy(snapshot->table);
    free(snapshot->routes);
    for (size_t i = 0; snapshot->listen_tls != NULL && i != snapshot->listener_count; ++i)
        tls_context_destroy(snapshot->listen_tls[i]);
    free(snapshot->listen_tls);
    for (size_t i = 0; i != snapshot->config->upstream_count; ++i)
        X509_STORE_free(snapshot->upstreams[i].trust);
    free(snapshot->upstreams);
    config_release(snapshot->config);
    free(snapshot);
}

/* ---- a worker's use ---- */

static struct pool *create_pool(const struct snapshot *snapshot, size_t index, unsigned worker,
                                struct loop *loop)
{
    const struct config *config = snapshot->config;
    const struct config_upstream *upstream = &config->upstreams[index];
    struct pool_options options = {
        .dialer = {.host = upstream->url.host,
                   .port = upstream->url.port,
                   .trust = snapshot->upstreams[index].trust,
                   .proxy_host = upstream->proxy_host,
                   .proxy_port = upstream->proxy_port,
                   .proxy_authorization = upstream->proxy_authorization,
                   .connects_max = config->pool.connects_max,
                   .tally = metrics_tally(snapshot->upstreams[index].metrics, worker)},
        .warm = config->pool.warm,
        .idle_max = config->pool.idle_max,
        .idle_timeout_ms = config->pool.idle_timeout_ms,
        .age_max_ms = config->pool.age_max_ms,
    };
    return pool_create(loop, &options);
}

struct snapshot_use *snapshot_use_create(struct snapshot *snapshot, unsigned worker,
                                         struct loop *loop)
{
    const struct config *config = snapshot->config;
    struct snapshot_use *use = allocate(1, sizeof(*use));
    use->snapshot = snapshot;
    use->credentials = allocate(config->identity_count, sizeof(struct provider_view));
    use->pools = allocate(config->upstream_count, sizeof(struct pool *));
    for (size_t i = 0; i != config->identity_count; ++i)
        if (snapshot->providers[i] != NULL)
            provider_view_open(&use->credentials[i], snapshot->providers[i], loop);
    for (size_t i = 0; i != config->upstream_count; ++i)
        use->pools[i] = create_pool(snapshot, i, worker, loop);
    return use;
}

bool snapshot_use_has_rotated(struct snapshot_use *use)
{
    uint64_t sum = 0; /* each generation only grows, so each change makes the sum larger */
    for (size_t i = 0; i != use->snapshot->config->identity_count; ++i)
        sum += use->credentials[i].generation;
    bool rotated = sum != use->generations;
    use->generations = sum;
    return rotated;
}

bool snapshot_use_is_over(struct snapshot_use *use)
{
    bool over = use->exchanges == 0;
    for (size_t i = 0; over && i != use->snapshot->config->identity_count; ++i)
        over = use->credentials[i].provider == NULL || provider_view_detach(&use->credentials[i]);
    return over;
}

void snapshot_use_destroy(struct snapshot_use *use)
{
    struct snapshot *snapshot = use->snapshot;
    CHECK(use->exchanges == 0);
    for (size_t i = 0; i != snapshot->config->upstream_count; ++i)
        pool_destroy(use->pools[i]);
    for (size_t i = 0; i != snapshot->config->identity_count; ++i)
        if (use->credentials[i].provider != NULL)
            provider_view_close(&use->credentials[i]);
    free(use->pools);
    free(use->credentials);
    free(use);
    atomic_fetch_sub_explicit(&snapshot->users, 1, memory_order_release); /* may be destroyed */
}
