/* Admission: what a request takes from the process (a connection, a slot, memory) and the queues of
 * requests that wait for a slot. Must not depend on requests: callers pass a ticket.
 *
 * Each take that returned true is paired with one release. Lock-free, shared by all workers; one
 * cache line per counter. */
#ifndef SAGEGATE_GATEWAY_ADMISSION_H
#define SAGEGATE_GATEWAY_ADMISSION_H

#include <stdatomic.h>

#include "config/config.h"
#include "net/loop.h"

/* The slots of a route. All configurations with a route of that name share them. */
struct admission_route {
    _Alignas(64) atomic_uint_fast64_t slots;
    atomic_uint_fast64_t slots_max;
    struct admission_route *next;
    struct span name;
};

struct admission {
    _Alignas(64) atomic_uint_fast64_t connections; /* open downstream connections */
    _Alignas(64) atomic_uint_fast64_t slots;       /* admitted requests that have not ended */
    _Alignas(64) atomic_uint_fast64_t memory;      /* bytes of bodies, reserved or held */
    _Alignas(64) atomic_uint_fast64_t waiting;     /* requests queued for a slot */
    atomic_uint_fast64_t connections_max, slots_max, memory_max;
    struct admission_route *routes;           /* main thread only */
    _Atomic(struct admission_queue *) queues; /* of all workers */
};

/* limits: the effective ones, which may be lower than the configuration's. */
void admission_init(struct admission *admission, const struct config_limits *limits);
/* Replaces the limits. What exceeds a lower limit stays until it is released. From any thread. */
void admission_set_limits(struct admission *admission, const struct config_limits *limits);
/* Returns the effective limits.body_bytes. From any thread. */
static inline uint64_t admission_memory_max(const struct admission *admission)
{
    return atomic_load_explicit(&admission->memory_max, memory_order_relaxed);
}
/* Frees the routes' counters. No queue may be in use. */
void admission_dispose(struct admission *admission);

/* Returns the counters of the named route, unlimited at first. They live until admission_dispose.
 * On the main thread. */
MUST_USE struct admission_route *admission_open_route(struct admission *admission,
                                                      struct span name);
/* Sets the route's limit; 0: unlimited. From any thread. */
void admission_limit_route(struct admission_route *route, uint64_t max);

MUST_USE bool admission_take_connection(struct admission *admission);
/* Counts one more connection, even above the limit: for those that the kernel has accepted when the
 * process shuts down. */
void admission_force_connection(struct admission *admission);
void admission_release_connection(struct admission *admission);

MUST_USE bool admission_take_memory(struct admission *admission, uint64_t bytes);
void admission_release_memory(struct admission *admission, uint64_t bytes);

/* ---- slots: on the thread of the queue's loop ---- */

enum admission_state { ADMISSION_NONE, ADMISSION_WAITING, ADMISSION_ADMITTED };

/* Embedded in its owner. All zero: holds nothing. */
struct admission_ticket {
    enum admission_state state;
    struct admission_queue *queue;
    struct admission_route *route;
    struct admission_ticket *next; /* in the queue */
    void (*on_admitted)(struct admission_ticket *ticket);
};

/* The waiting tickets of one worker, in order of arrival. */
struct admission_queue {
    struct admission *admission;
    struct admission_queue *next; /* in admission->queues */
    struct admission_ticket *first;
    struct loop *loop;
    struct loop_task wake;
    atomic_bool woken; /* wake is posted */
};

/* Initializes and registers a queue, which must live as long as the admission. */
void admission_open_queue(struct admission *admission, struct admission_queue *queue,
                          struct loop *loop);

/* Takes a slot, or joins the queue. Never overtakes an earlier ticket of the same route. Returns
 * the ticket's state: ADMISSION_NONE if no slot is free and it may not wait. on_admitted fires
 * once, from the loop's turn, when a waiting ticket gets its slot; NULL: it may not wait. */
MUST_USE enum admission_state admission_ask(struct admission_ticket *ticket,
                                            struct admission_queue *queue,
                                            struct admission_route *route,
                                            void (*on_admitted)(struct admission_ticket *ticket));
/* Leaves the queue, or releases the slot and wakes the queues. No-op if the ticket holds
 * nothing. */
void admission_leave(struct admission_ticket *ticket);
/* Admits waiting tickets in order while slots are free. Call after raising a limit. */
void admission_serve(struct admission_queue *queue);

#endif
