/* A worker: one thread with its own loop, upstream pools, signing keys and downstream connections;
 * and what all workers share.
 *
 * Must not depend on what serves requests or accepts connections: both call it, and are called
 * through worker_callbacks. */
#ifndef SAGEGATE_GATEWAY_WORKER_H
#define SAGEGATE_GATEWAY_WORKER_H

#include <pthread.h>
#include <semaphore.h>

#include "aws/bearer.h"
#include "gateway/downstream.h"
#include "gateway/ids.h"
#include "gateway/snapshot.h"
#include "observe/access.h"

struct exchange;
struct listeners;
struct worker;

/* Callbacks to the layers above workers, each called on the worker's thread. */
struct worker_callbacks {
    const struct downstream_service *service; /* serves callers' requests */
    /* A connection has closed and its slot is free. */
    void (*on_downstream_gone)(struct worker *worker);
    /* The loop has ended: free what is kept on the worker. */
    void (*on_end)(struct worker *worker);
};

/* All workers of the process and what they share: immutable after start, except for atomics. */
struct worker_group {
    struct worker *workers;
    unsigned count;
    const struct worker_callbacks *callbacks;
    struct snapshot *snapshot; /* the snapshot that workers start with */
    struct admission admission;
    struct access_log *access_log; /* NULL: off */
    struct skew *skew;             /* of the machine's clock */
    struct listeners *listeners;   /* listener.c's */
    sem_t done;                    /* posted by workers, for worker_await */
    atomic_bool draining;          /* set by listener_drain_all; /ready is false */
    void (*on_worker_ended)(struct worker_group *group); /* on its thread, last of all */
};

enum { WORKER_RANDOM_SIZE = IDS_RANDOM_SIZE * 64 };

struct worker {
    struct worker_group *group;
    unsigned index;
    pthread_t thread;
    struct loop *loop;
    struct snapshot_use *use; /* of the current snapshot; linked to older ones */
    struct sigv4_key_cache *keys;
    struct bearer_cache *bearers;
    struct downstream_set downstreams;
    atomic_uint downstream_count;     /* in the set, or passed to this worker and not opened yet */
    struct admission_queue queue;     /* requests that wait for a slot */
    struct exchange *spare_exchanges; /* memory kept for the next requests */
    unsigned spare_count;
    unsigned char random[WORKER_RANDOM_SIZE];
    size_t random_left;
    struct timer drain_timer;
    bool stopped;
    atomic_bool turned, ended; /* for worker_have_all_turned */
};

/* ---- from other threads ---- */

/* Starts the threads of `count` workers. Returns once each has its loop. */
void worker_start_all(struct worker_group *group);
/* Runs run(worker, argument) on the worker's thread, between two events. */
void worker_post(struct worker *worker, void (*run)(struct worker *worker, void *argument),
                 void *argument);
/* Waits for group->done to be posted `count` times. */
void worker_await(struct worker_group *group, unsigned count);
/* Waits for the threads to end, after worker_drain on each. */
void worker_join_all(struct worker_group *group);
/* Returns whether each worker has ended, or has run a turn of its loop since the last call that
 * returned true. A loop turns at least once a second. On the main thread. */
MUST_USE bool worker_have_all_turned(struct worker_group *group);

/* Returns whether the gateway can serve with this snapshot. Adds to reasons, which may be NULL,
 * what prevents that. On any thread that holds the snapshot. */
bool worker_is_ready(struct worker_group *group, const struct snapshot *snapshot,
                     struct reasons *reasons);

/* ---- on the worker's own thread ---- */

/* Switches to the snapshot: requests begin in it from now on. */
void worker_switch(struct worker *worker, struct snapshot *snapshot);
/* Closes idle connections. The thread ends when the last connection closes, or at drain.limit. */
void worker_drain(struct worker *worker);

/* Returns the current configuration, for use outside of exchanges. */
static inline const struct config *worker_config(const struct worker *worker)
{
    return worker->use->snapshot->config;
}
/* Returns IDS_RANDOM_SIZE fresh random bytes, to be used once. */
const unsigned char *worker_take_random(struct worker *worker);
#endif
