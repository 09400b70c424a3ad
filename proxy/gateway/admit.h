/* Admission: the process-wide limits, shared by all workers. Counters only; it knows no request.
 *
 * Every admit_* that returned true is paired with one admit_release_*. Lock-free; a cache line a route. */
#ifndef SAGEGATE_GATEWAY_ADMIT_H
#define SAGEGATE_GATEWAY_ADMIT_H

#include <stdatomic.h>

#include "config/config.h"

/* A route's, by its name: the same one in every configuration that has a route of that name. */
struct admit_route {
    _Alignas(64) atomic_uint_fast64_t exchanges;
    atomic_uint_fast64_t exchanges_max;
    struct admit_route *next;
    struct span name;
};

struct admit {
    _Alignas(64) atomic_uint_fast64_t connections; /* callers' connections open */
    _Alignas(64) atomic_uint_fast64_t exchanges;   /* requests past admission and not yet ended */
    _Alignas(64) atomic_uint_fast64_t body_bytes;  /* bytes of bodies, reserved or held */
    _Alignas(64)
        atomic_uint_fast64_t waiting; /* requests that wait for their turn, of all workers */
    atomic_uint_fast64_t connections_max, exchanges_max, body_bytes_max;
    struct admit_route *routes; /* main thread only */
};

/* limits: those in force, which may be lower than the configuration's. */
void admit_init(struct admit *admit, const struct config_limits *limits);
/* From now on; what is above a lower limit already stays. From any thread. */
void admit_set_limits(struct admit *admit, const struct config_limits *limits);

/* limits.body_bytes in force. From any thread. */
static inline uint64_t admit_body_bytes_max(const struct admit *admit)
{
    return atomic_load_explicit(&admit->body_bytes_max, memory_order_relaxed);
}

void admit_dispose(struct admit *admit);

/* The counters of the route of that name, which live until admit_dispose; without a limit at first. On the main thread. */
MUST_USE struct admit_route *admit_open_route(struct admit *admit, struct span name);
/* max 0: no limit of its own. From any thread. */
void admit_limit_route(struct admit_route *route, uint64_t max);

MUST_USE bool admit_connection(struct admit *admit);
/* One more whatever the limit says, for what already waits when the process ends. */
void admit_last_connection(struct admit *admit);
void admit_release_connection(struct admit *admit);
MUST_USE bool admit_exchange(struct admit *admit, struct admit_route *route);
void admit_release_exchange(struct admit *admit, struct admit_route *route);
MUST_USE bool admit_body_bytes(struct admit *admit, uint64_t bytes);
void admit_release_body_bytes(struct admit *admit, uint64_t bytes);

#endif
