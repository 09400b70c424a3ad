/* Callers' listeners: worker 0 accepts on all of them and hands each connection to the worker with
 * the fewest. Takes the workers from one snapshot to the next, and through the drain, in an order
 * that loses no connection.
 *
 * At limits.connections, or without descriptors, accepting pauses: connections wait in the kernel's
 * queue. */
#ifndef SAGEGATE_GATEWAY_LISTENER_H
#define SAGEGATE_GATEWAY_LISTENER_H

#include "gateway/worker.h"

/* Opens the sockets of config, which outlives the group. False, with *fault "ADDRESS: what is
 * wrong" in arena, if one cannot be opened; listener_close_all closes the others. */
MUST_USE bool listener_open_all(struct worker_group *group, const struct config *config,
                                struct arena *arena, struct span *fault);
/* Closes the sockets unless listener_accept_all has been called. Accepts half-opened listeners. */
void listener_close_all(struct worker_group *group);

/* The next three on the main thread, once the workers have started. */

/* Starts accepting. Returns when it has begun. */
void listener_accept_all(struct worker_group *group);
/* Each worker switches to that snapshot, worker 0 first. Returns when all have. */
void listener_switch_all(struct worker_group *group, struct snapshot *snapshot);
/* Once: accepts what the queues hold, closes the sockets, and drains each worker. Returns at
 * once. */
void listener_drain_all(struct worker_group *group);

/* worker_callbacks.on_downstream_gone: accepts again if that had stopped at the limit. */
void listener_on_downstream_gone(struct worker *worker);

#endif
