/* A worker: one thread with its own loop, upstream pools, signing keys and downstream connections;
 * and what all workers share.
 *
 * Knows neither what serves requests nor how connections are accepted: both call it, and are called
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

/* What stands above workers. Each is called on the worker's thread. */
struct worker_callbacks {
    const struct downstream_service *service; /* serves callers' requests */
    /* A connection has closed; its slot is free. */
    void (*on_downstream_gone)(struct worker *worker);
    /* The loop has ended: frees what was kept on the worker. */
    void (*on_end)(struct worker *worker);
};

/* All workers of the process and what they share: immutable after start, except for atomics. */
struct worker_group {
    struct worker *workers;
    unsigned count;
    const struct worker_callbacks *callbacks;
    struct snapshot *snapshot; /* in which the workers start */
    struct admission admission;
    struct access_log *access_log; /* NULL: off */
    struct skew *skew;             /* of the machine's clock */
    struct listeners *listeners;   /* listener.c's */
    sem_t done;                    /* posted by workers: worker_await */
    atomic_bool draining;          /* /ready is false; listener_drain_all ends the workers */
    void (*on_worker_ended)(struct worker_group *group); /* on its thread, as its last act */
};

enum { WORKER_RANDOM_SIZE = IDS_RANDOM_SIZE * 64 };

struct worker {
    struct worker_group *group;
    unsigned index;
    pthread_t thread;
    struct loop *loop;
    struct snapshot_use *use; /* of the snapshot in force, older ones behind it */
    struct sigv4_key_cache *keys;
    struct bearer_cache *bearers;
    uint64_t generation; /* of the credentials that keys and bearers are derived from */
    struct downstream_set downstreams;
    atomic_uint downstream_count;     /* those in the set, and those on their way to this worker */
    struct admission_queue queue;     /* of requests that wait for a slot */
    struct exchange *spare_exchanges; /* warm memory for the next request */
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
/* Whether each worker has turned its loop since the last call that returned true, or has ended; a
 * loop turns at least once a second. On the main thread. */
MUST_USE bool worker_have_all_turned(struct worker_group *group);

/* Can the gateway serve in this snapshot? Adds to reasons, which may be NULL, what keeps it from
 * that or should be known. On any thread that holds the snapshot. */
bool worker_is_ready(struct worker_group *group, const struct snapshot *snapshot,
                     struct reasons *reasons);

/* ---- on the worker's own thread ---- */

/* Requests begin in this snapshot from now on. */
void worker_switch(struct worker *worker, struct snapshot *snapshot);
/* Closes idle connections; the thread ends when the last one has gone, or at drain.limit. */
void worker_drain(struct worker *worker);

/* The configuration in force, for what belongs to no exchange. */
static inline const struct config *worker_config(const struct worker *worker)
{
    return worker->use->snapshot->config;
}
/* IDS_RANDOM_SIZE fresh random bytes, used once. */
const unsigned char *worker_take_random(struct worker *worker);
#endif
