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

void admit_dispose(struct admit *admit)
{
    while (admit->routes != NULL) {
        struct admit_route *route = admit->routes;
        admit->routes = route->next;
        free((char *)route->name.at);
        free(route);
    }
}

struct admit_route *admit_open_route(struct admit *admit, struct span name)
{
    for (struct admit_route *route = admit->routes; route != NULL; route = route->next)
        if (span_equals(route->name, name))
            return route;
    struct admit_route *route = aligned_alloc(_Alignof(struct admit_route), sizeof(*route));
    char *copy = strndup(name.at, name.len);
    CHECK(route != NULL && copy != NULL);
    *route = (struct admit_route){.next = admit->routes, .name = span_make(copy, name.len)};
    admit_limit_route(route, 0);
    admit->routes = route;
    return route;
}

void admit_limit_route(struct admit_route *route, uint64_t max)
{
    atomic_store_explicit(&route->exchanges_max, max != 0 ? max : UINT64_MAX, memory_order_relaxed);
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
    if (!take(&route->exchanges, 1, in_force(&route->exchanges_max)))
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
