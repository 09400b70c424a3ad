/* Admission: what a request takes of the process (a connection, a slot, memory) and the queues of
 * those that wait for a slot. It knows no request: whoever asks for a slot brings a ticket.
 *
 * Every take that returned true is paired with one release. Lock-free, shared by all workers; a
 * cache line per counter. */
#ifndef SAGEGATE_GATEWAY_ADMISSION_H
#define SAGEGATE_GATEWAY_ADMISSION_H

#include <stdatomic.h>

#include "config/config.h"
#include "net/loop.h"

/* A route's slots, by its name: the same one in every configuration that has a route of that
 * name. */
struct admission_route {
    _Alignas(64) atomic_uint_fast64_t slots;
    atomic_uint_fast64_t slots_max;
    struct admission_route *next;
    struct span name;
};

struct admission {
    _Alignas(64) atomic_uint_fast64_t connections; /* callers' connections open */
    _Alignas(64) atomic_uint_fast64_t slots;       /* requests admitted and not yet ended */
    _Alignas(64) atomic_uint_fast64_t memory;      /* bytes of bodies, reserved or held */
    _Alignas(64) atomic_uint_fast64_t waiting;     /* requests queued for a slot */
    atomic_uint_fast64_t connections_max, slots_max, memory_max;
    struct admission_route *routes;           /* main thread only */
    _Atomic(struct admission_queue *) queues; /* of all workers */
};

/* limits: those in force, which may be lower than the configuration's. */
void admission_init(struct admission *admission, const struct config_limits *limits);
/* Replaces the limits; what exceeds a lower one stays until released. From any thread. */
void admission_set_limits(struct admission *admission, const struct config_limits *limits);
/* limits.body_bytes in force. From any thread. */
static inline uint64_t admission_memory_max(const struct admission *admission)
{
    return atomic_load_explicit(&admission->memory_max, memory_order_relaxed);
}
/* No queue is in use any more. */
void admission_dispose(struct admission *admission);

/* The counters of the route of that name, which live until admission_dispose; unlimited at first.
 * On the main thread. */
MUST_USE struct admission_route *admission_open_route(struct admission *admission,
                                                      struct span name);
/* max 0: no limit of its own. From any thread. */
void admission_limit_route(struct admission_route *route, uint64_t max);

MUST_USE bool admission_take_connection(struct admission *admission);
/* One more, whatever the limit: for connections already accepted by the kernel when the process
 * ends. */
void admission_force_connection(struct admission *admission);
void admission_release_connection(struct admission *admission);

MUST_USE bool admission_take_memory(struct admission *admission, uint64_t bytes);
void admission_release_memory(struct admission *admission, uint64_t bytes);

/* ---- slots: on the thread of the queue's loop ---- */

enum admission_state { ADMISSION_NONE, ADMISSION_WAITING, ADMISSION_ADMITTED };

/* All zero: holds nothing. Embedded in its owner. */
struct admission_ticket {
    enum admission_state state;
    struct admission_queue *queue;
    struct admission_route *route;
    struct admission_ticket *next; /* in the queue */
    /* Set before admission_ask. Fires once, from the loop's turn, if the ticket had to wait and has
     * a slot now. */
    void (*on_admitted)(struct admission_ticket *ticket);
};

/* The tickets that wait on one worker, in order of arrival. */
struct admission_queue {
    struct admission *admission;
    struct admission_queue *next; /* in admission->queues */
    struct admission_ticket *first;
    struct loop *loop;
    struct loop_task wake;
    atomic_bool woken; /* wake is on its way */
};

/* Lives as long as the admission. */
void admission_open_queue(struct admission *admission, struct admission_queue *queue,
                          struct loop *loop);

/* Takes a slot, or joins the queue if may_wait. A ticket never overtakes an earlier one of its
 * route. Returns the ticket's state: ADMISSION_NONE if there is no slot and it may not wait. */
MUST_USE enum admission_state admission_ask(struct admission_ticket *ticket,
                                            struct admission_queue *queue,
                                            struct admission_route *route, bool may_wait);
/* Leaves the queue, or returns the slot and wakes the queues. No-op if the ticket holds nothing. */
void admission_leave(struct admission_ticket *ticket);
/* Admits waiting tickets as far as there are slots, in order: limits have been raised. */
void admission_serve(struct admission_queue *queue);

#endif
