/* The counters behind admission. */
#include "gateway/admit.h"

#include <stdlib.h>

void admit_init(struct admit *admit, const struct config *config,
                const struct config_limits *limits)
{
    *admit = (struct admit){.connections_max = limits->connections,
                            .exchanges_max = limits->concurrency,
                            .body_bytes_max = limits->body_bytes,
                            .config = config};
    size_t size = sizeof(struct admit_route) * (config->route_count + 1);
    admit->routes = aligned_alloc(_Alignof(struct admit_route), size);
    CHECK(admit->routes != NULL);
    memset(admit->routes, 0, size);
    for (size_t i = 0; i != config->route_count; ++i)
        admit->routes[i].exchanges_max =
            config->routes[i].concurrency != 0 ? config->routes[i].concurrency : UINT64_MAX;
}

void admit_dispose(struct admit *admit)
{
    free(admit->routes);
    admit->routes = NULL;
}

/* Never counts what it refuses, so that a large refusal does not crowd out a small request elsewhere. */
static bool take(atomic_uint_fast64_t *counter, uint64_t amount, uint64_t max)
{
    uint64_t before = atomic_load_explicit(counter, memory_order_relaxed);
    do
        if (amount > max || before > max - amount)
            return false;
    while (!atomic_compare_exchange_weak_explicit(counter, &before, before + amount,
                                                  memory_order_relaxed, memory_order_relaxed));
    return true;
}

static void give_back(atomic_uint_fast64_t *counter, uint64_t amount)
{
    uint64_t before = atomic_fetch_sub(counter, amount); /* seq_cst: listeners look at it next */
    CHECK(before >= amount);
}

bool admit_connection(struct admit *admit)
{
    return take(&admit->connections, 1, admit->connections_max);
}

void admit_last_connection(struct admit *admit)
{
    atomic_fetch_add_explicit(&admit->connections, 1, memory_order_relaxed);
}

void admit_release_connection(struct admit *admit)
{
    give_back(&admit->connections, 1);
}

bool admit_exchange(struct admit *admit, const struct config_route *route)
{
    struct admit_route *own = &admit->routes[route - admit->config->routes];
    if (!take(&own->exchanges, 1, own->exchanges_max))
        return false;
    if (take(&admit->exchanges, 1, admit->exchanges_max))
        return true;
    give_back(&own->exchanges, 1);
    return false;
}

void admit_release_exchange(struct admit *admit, const struct config_route *route)
{
    give_back(&admit->exchanges, 1);
    give_back(&admit->routes[route - admit->config->routes].exchanges, 1);
}

bool admit_body_bytes(struct admit *admit, uint64_t bytes)
{
    return take(&admit->body_bytes, bytes, admit->body_bytes_max);
}

void admit_release_body_bytes(struct admit *admit, uint64_t bytes)
{
    give_back(&admit->body_bytes, bytes);
}
