/* Admission: the process-wide limits, shared by all workers. Counters only; it knows no request.
 *
 * Every admit_* that returned true is paired with one admit_release_*. Lock-free; a cache line a route. */
#ifndef SAGEGATE_GATEWAY_ADMIT_H
#define SAGEGATE_GATEWAY_ADMIT_H

#include <stdatomic.h>

#include "config/config.h"

struct admit_route {
    _Alignas(64) atomic_uint_fast64_t exchanges;
    uint64_t exchanges_max;
};

struct admit {
    _Alignas(64) atomic_uint_fast64_t connections; /* callers' connections open */
    _Alignas(64) atomic_uint_fast64_t exchanges;   /* requests past admission and not yet ended */
    _Alignas(64) atomic_uint_fast64_t body_bytes;  /* bytes of bodies, reserved or held */
    _Alignas(64)
        atomic_uint_fast64_t waiting; /* requests that wait for their turn, of all workers */
    atomic_uint_fast64_t connections_max, exchanges_max, body_bytes_max;
};

/* limits: those in force, which may be lower than the configuration's. */
void admit_init(struct admit *admit, const struct config_limits *limits);
/* From now on; what is above a lower limit already stays. From any thread. */
void admit_set_limits(struct admit *admit, const struct config_limits *limits);

/* The counters of a configuration's routes, by their place in it. */
MUST_USE struct admit_route *admit_routes_create(const struct config *config);
void admit_routes_destroy(struct admit_route *routes); /* takes NULL */

MUST_USE bool admit_connection(struct admit *admit);
/* One more whatever the limit says, for what already waits when the process ends. */
void admit_last_connection(struct admit *admit);
void admit_release_connection(struct admit *admit);
MUST_USE bool admit_exchange(struct admit *admit, struct admit_route *route);
void admit_release_exchange(struct admit *admit, struct admit_route *route);
MUST_USE bool admit_body_bytes(struct admit *admit, uint64_t bytes);
void admit_release_body_bytes(struct admit *admit, uint64_t bytes);

#endif
