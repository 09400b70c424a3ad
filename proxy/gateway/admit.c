/* The counters behind admission. */
#include "gateway/admit.h"

#include <stdlib.h>

void admit_init(struct admit *admit, const struct config_limits *limits)
{
    *admit = (struct admit){0};
    admit_set_limits(admit, limits);
}

void admit_set_limits(struct admit *admit, const struct config_limits *limits)
{
    atomic_store_explicit(&admit->connections_max, limits->connections, memory_order_relaxed);
    atomic_store_explicit(&admit->exchanges_max, limits->concurrency, memory_order_relaxed);
    atomic_store_explicit(&admit->body_bytes_max, limits->body_bytes, memory_order_relaxed);
}

struct admit_route *admit_routes_create(const struct config *config)
{
    size_t size = sizeof(struct admit_route) * (config->route_count + 1);
    struct admit_route *routes = aligned_alloc(_Alignof(struct admit_route), size);
    CHECK(routes != NULL);
    memset(routes, 0, size);
    for (size_t i = 0; i != config->route_count; ++i)
        routes[i].exchanges_max =
            config->routes[i].concurrency != 0 ? config->routes[i].concurrency : UINT64_MAX;
    return routes;
}

void admit_routes_destroy(struct admit_route *routes)
{
    free(routes);
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

static uint64_t in_force(const atomic_uint_fast64_t *limit)
{
    return atomic_load_explicit(limit, memory_order_relaxed);
}

static void give_back(atomic_uint_fast64_t *counter, uint64_t amount)
{
    uint64_t before = atomic_fetch_sub(counter, amount); /* seq_cst: listeners look at it next */
    CHECK(before >= amount);
}

bool admit_connection(struct admit *admit)
{
    return take(&admit->connections, 1, in_force(&admit->connections_max));
}

void admit_last_connection(struct admit *admit)
{
    atomic_fetch_add_explicit(&admit->connections, 1, memory_order_relaxed);
}

void admit_release_connection(struct admit *admit)
{
    give_back(&admit->connections, 1);
}

bool admit_exchange(struct admit *admit, struct admit_route *route)
{
    if (!take(&route->exchanges, 1, route->exchanges_max))
        return false;
    if (take(&admit->exchanges, 1, in_force(&admit->exchanges_max)))
        return true;
    give_back(&route->exchanges, 1);
    return false;
}

void admit_release_exchange(struct admit *admit, struct admit_route *route)
{
    give_back(&admit->exchanges, 1);
    give_back(&route->exchanges, 1);
}

bool admit_body_bytes(struct admit *admit, uint64_t bytes)
{
    return take(&admit->body_bytes, bytes, in_force(&admit->body_bytes_max));
}

void admit_release_body_bytes(struct admit *admit, uint64_t bytes)
{
    give_back(&admit->body_bytes, bytes);
}
