/* Listeners: worker 0 accepts on all of them and hands each connection to the worker that has
 * fewest.
 *
 * At limits.connections, or where descriptors run out, accepting pauses: callers wait in the
 * kernel's queue. */
#ifndef SAGEGATE_GATEWAY_LISTENER_H
#define SAGEGATE_GATEWAY_LISTENER_H

#include "gateway/worker.h"

/* Begins to accept on gateway->listen_fds. On worker 0's thread, once all workers have their
 * loops. */
void listener_open_all(struct gateway *gateway);
/* A connection has gone: goes on accepting if that was paused at the limit. From any worker's
 * thread. */
void listener_resume_all(struct gateway *gateway);
/* From now on connections are secured by that snapshot's certificates. On worker 0's thread. */
void listener_switch_all(struct gateway *gateway, const struct snapshot *snapshot);
/* Accepts what the queues hold, then closes. On worker 0's thread. */
void listener_close_all(struct gateway *gateway);

#endif
