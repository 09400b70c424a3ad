/* A worker: one thread with its own loop, upstream pools, signing keys and callers; and what all
 * workers share. */
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

/* The process: immutable after start, but for what is atomic and what only the main thread sees. */
struct gateway {
    const struct config
        *config; /* started with: what the process has once; the rest is a snapshot's to say */
    struct snapshot *
        snapshot; /* in force, and older ones behind it; main thread only, once the workers have begun */
    config_getenv getenv;
    void *getenv_context;
    struct admission admission;
    struct access_log *access_log; /* NULL: off */
    struct metrics *metrics;
    struct wall_time started, loaded;  /* the process; the configuration in force */
    uint64_t reloads, reloads_refused; /* main thread only, once the workers have begun */
    struct span version, build;        /* of the program */
    struct skew skew;                  /* of the machine's clock */
    int *listen_fds;                   /* by listener */
    struct listeners *listeners;
    struct worker *workers;
    unsigned worker_count;
    pthread_barrier_t opened; /* workers and the main thread meet while starting */
    sem_t switched;           /* one for each worker that has switched to the newest snapshot */
    atomic_bool draining;     /* /ready is false; the workers are told by worker_drain_all */
    void (*on_worker_ended)(struct gateway *gateway); /* from a worker's thread, as its last act */
};

enum { WORKER_RANDOM_SIZE = IDS_RANDOM_SIZE * 64 };

struct worker {
    struct gateway *gateway;
    unsigned index;
    pthread_t thread;
    struct loop *loop;
    struct snapshot_use *use; /* of the snapshot in force, and of older ones behind it */
    struct sigv4_key_cache *keys;
    struct bearer_cache *bearers;
    struct downstream_set downstreams;
    atomic_uint downstream_count;     /* those in the set, and those on their way to this worker */
    struct admission_queue queue;     /* of requests that wait for a slot */
    struct exchange *spare_exchanges; /* warm memory for the next request */
    unsigned spare_count;
    unsigned char random[WORKER_RANDOM_SIZE];
    size_t random_left;
    struct loop_task drain_task;
    struct timer drain_timer;
    bool stopped;
    atomic_bool turned, ended; /* for worker_have_all_turned */
};

/* Sets up and starts the threads of gateway->workers; listening descriptors are open by then.
 * service: of callers' requests. */
void worker_start_all(struct gateway *gateway, const struct downstream_service *service);
/* From any thread, once: no more connections are taken, idle ones are closed, each worker ends when
 * its last caller is gone or the limit is reached. */
void worker_drain_all(struct gateway *gateway);
void worker_join_all(struct gateway *gateway);
/* Whether each worker has turned its loop since this last said so, or has ended; a loop turns every
 * second at least. On the main thread. */
MUST_USE bool worker_have_all_turned(struct gateway *gateway);

/* From the main thread, between start and drain: each worker switches to that snapshot, worker 0
 * first, between two of its events. Returns when all have. */
void worker_switch_all(struct gateway *gateway, struct snapshot *snapshot);

/* Worker side. */
/* The configuration in force for what is no exchange's. */
static inline const struct config *worker_config(const struct worker *worker)
{
    return worker->use->snapshot->config;
}
/* Fresh random bytes, used once. */
const unsigned char *worker_take_random(struct worker *worker);
#endif
