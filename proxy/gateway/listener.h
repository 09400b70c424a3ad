/* The downstream listeners. Worker 0 accepts on all of them and passes each connection to the
 * worker with the fewest. Switches workers to a new snapshot, and drains them, in an order that
 * loses no connection.
 *
 * At limits.connections, or without free descriptors, accepting pauses and connections wait in the
 * kernel's queue. */
#ifndef SAGEGATE_GATEWAY_LISTENER_H
#define SAGEGATE_GATEWAY_LISTENER_H

#include "gateway/worker.h"

/* Opens the sockets of config, which must outlive the group. Returns false with *fault set to
 * "ADDRESS: REASON" in arena if one cannot be opened; listener_close_all closes the others. */
MUST_USE bool listener_open_all(struct worker_group *group, const struct config *config,
                                struct arena *arena, struct span *fault);
/* Closes the sockets unless listener_accept_all was called. Accepts half-opened listeners. */
void listener_close_all(struct worker_group *group);

/* Call the next three on the main thread, after the workers have started. */

/* Starts accepting. Returns once accepting has begun. */
void listener_accept_all(struct worker_group *group);
/* Switches each worker to that snapshot, worker 0 first. Returns once all have switched. */
void listener_switch_all(struct worker_group *group, struct snapshot *snapshot);
/* Accepts what is left in the kernel's queues, closes the sockets and drains each worker. Returns
 * at once. Call once. */
void listener_drain_all(struct worker_group *group);

/* Implements worker_callbacks.on_downstream_gone: resumes accepting if it was paused at the
 * limit. */
void listener_on_downstream_gone(struct worker *worker);

#endif
