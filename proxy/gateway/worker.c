/* Workers: threads that accept, hand over, serve and drain. */
#include "gateway/worker.h"

#include "gateway/exchange.h"
#include "gateway/listener.h"
#include "observe/log.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/random.h>

enum { TURN_MS = 1000, LAST_WORD_MS = 500 };

/* ---- what exchanges ask of their worker ---- */

const unsigned char *worker_take_random(struct worker *worker)
{
    if (worker->random_left == 0) {
        size_t have = 0;
        while (have != WORKER_RANDOM_SIZE) {
            ssize_t n = getrandom(worker->random + have, WORKER_RANDOM_SIZE - have, 0);
            CHECK(n > 0 || errno == EINTR);
            have += n > 0 ? (size_t)n : 0;
        }
        worker->random_left = WORKER_RANDOM_SIZE;
    }
    worker->random_left -= IDS_RANDOM_SIZE;
    return worker->random + worker->random_left;
}

static void stop_if_drained(struct worker *worker)
{
    if (worker->downstreams.draining && worker->downstreams.count == 0)
        worker->stopped = true;
}

/* The listeners may go on, or the drain end. */
static void on_downstream_gone(struct downstream_set *set)
{
    struct worker *worker = H2O_STRUCT_FROM_MEMBER(struct worker, downstreams, set);
    atomic_fetch_sub_explicit(&worker->downstream_count, 1, memory_order_relaxed);
    admission_release_connection(&worker->gateway->admission);
    listener_resume_all(worker->gateway);
    stop_if_drained(worker);
}

/* ---- life ---- */

static void take_limits(struct worker *worker)
{
    const struct config *config = worker_config(worker);
    worker->downstreams.limits = (struct downstream_limits){
        .head_bytes = config->limits.head_bytes,
        .keep_alive_requests = config->limits.keep_alive_requests,
        .head_timeout_ms = config->limits.head_timeout_ms,
        .body_timeout_ms = config->limits.body_timeout_ms,
        .keep_alive_timeout_ms = config->limits.keep_alive_timeout_ms,
        .drain_idle_ms = config->drain.idle_ms,
    };
}

/* On its own thread: libh2o keeps memory by thread. */
static void open_worker(struct worker *worker)
{
    struct gateway *gateway = worker->gateway;
    worker->loop = loop_create();
    admission_open_queue(&gateway->admission, &worker->queue, worker->loop);
    connection_watch_departures(worker->loop);
    worker->keys = sigv4_key_cache_create();
    worker->bearers = bearer_cache_create();
    worker->use = snapshot_use_create(gateway->snapshot, worker->index, worker->loop);
    worker->downstreams.loop = worker->loop;
    worker->downstreams.on_gone = on_downstream_gone;
    take_limits(worker);
}

static void dispose_worker(struct worker *worker)
{
    while (worker->use != NULL) {
        struct snapshot_use *use = worker->use;
        worker->use = use->older;
        snapshot_use_destroy(use);
    }
    exchange_destroy_spares(worker);
    sigv4_key_cache_destroy(worker->keys);
    bearer_cache_destroy(worker->bearers);
}

/* Between two turns, when nothing of theirs is being called back. */
static void drop_old_uses(struct worker *worker)
{
    for (struct snapshot_use **at = &worker->use->older; *at != NULL;) {
        struct snapshot_use *use = *at;
        if (!snapshot_use_is_over(use)) {
            at = &use->older;
            continue;
        }
        *at = use->older;
        snapshot_use_destroy(use);
    }
}

static void *run_worker(void *argument)
{
    struct worker *worker = argument;
    struct gateway *gateway = worker->gateway;
    open_worker(worker);
    pthread_barrier_wait(&gateway->opened); /* connections are handed to any worker from now on */
    if (worker->index == 0)
        listener_open_all(gateway);
    pthread_barrier_wait(&gateway->opened);
    while (!worker->stopped) {
        loop_turn(worker->loop, TURN_MS);
        drop_old_uses(worker);
        atomic_store_explicit(&worker->turned, true, memory_order_relaxed);
    }
    atomic_store_explicit(&worker->ended, true, memory_order_relaxed);
    loop_cancel_timer(worker->loop, &worker->drain_timer);
    dispose_worker(worker);
    gateway->on_worker_ended(gateway);
    return NULL;
}

void worker_start_all(struct gateway *gateway, const struct downstream_service *service)
{
    unsigned count = gateway->worker_count;
    gateway->workers = calloc(count, sizeof(struct worker));
    CHECK(gateway->workers != NULL);
    pthread_barrier_init(&gateway->opened, NULL, count + 1);
    sem_init(&gateway->switched, 0, 0);
    for (unsigned i = 0; i != count; ++i) {
        struct worker *worker = &gateway->workers[i];
        worker->gateway = gateway;
        worker->index = i;
        worker->downstreams.service = service;
        CHECK(pthread_create(&worker->thread, NULL, run_worker, worker) == 0);
    }
    pthread_barrier_wait(&gateway->opened);
    pthread_barrier_wait(&gateway->opened);
}

void worker_join_all(struct gateway *gateway)
{
    for (unsigned i = 0; i != gateway->worker_count; ++i)
        pthread_join(gateway->workers[i].thread, NULL);
}

bool worker_have_all_turned(struct gateway *gateway)
{
    for (unsigned i = 0; i != gateway->worker_count; ++i) {
        struct worker *worker = &gateway->workers[i];
        if (!atomic_load_explicit(&worker->turned, memory_order_relaxed) &&
            !atomic_load_explicit(&worker->ended, memory_order_relaxed))
            return false;
    }
    for (unsigned i = 0; i != gateway->worker_count; ++i)
        atomic_store_explicit(&gateway->workers[i].turned, false, memory_order_relaxed);
    return true;
}

/* ---- another snapshot ---- */

struct switch_task {
    struct loop_task task;
    struct worker *worker;
    struct snapshot *snapshot;
};

static void switch_to(struct worker *worker, struct snapshot *snapshot)
{
    struct snapshot_use *use = snapshot_use_create(snapshot, worker->index, worker->loop);
    use->older = worker->use;
    worker->use = use;
    take_limits(worker);
    admission_serve(&worker->queue); /* there may be room for more requests now */
}

static void post_switch(struct worker *worker, struct snapshot *snapshot,
                        void (*run)(struct loop_task *task))
{
    struct switch_task *request = malloc(sizeof(*request));
    CHECK(request != NULL);
    *request = (struct switch_task){.task.run = run, .worker = worker, .snapshot = snapshot};
    loop_post(worker->loop, &request->task);
}

static void on_switch(struct loop_task *task)
{
    struct switch_task *request = (struct switch_task *)task;
    switch_to(request->worker, request->snapshot);
    sem_post(&request->worker->gateway->switched);
    free(request);
}

/* Worker 0 accepts: what it has handed over with the old snapshot's certificates lies in the
 * others' queues before they are told. */
static void on_switch_first(struct loop_task *task)
{
    struct switch_task *request = (struct switch_task *)task;
    struct gateway *gateway = request->worker->gateway;
    listener_switch_all(gateway, request->snapshot);
    for (unsigned i = 1; i < gateway->worker_count; ++i)
        post_switch(&gateway->workers[i], request->snapshot, on_switch);
    on_switch(task);
}

void worker_switch_all(struct gateway *gateway, struct snapshot *snapshot)
{
    post_switch(&gateway->workers[0], snapshot, on_switch_first);
    for (unsigned waiting = gateway->worker_count; waiting != 0;)
        waiting -= sem_wait(&gateway->switched) == 0; /* else a signal */
}

/* ---- drain ---- */

static void on_drain_limit(struct timer *timer)
{
    struct worker *worker = H2O_STRUCT_FROM_MEMBER(struct worker, drain_timer, timer);
    log_write(LOG_WARNING, "drain", "worker %u: %u connections are cut at drain.limit",
              worker->index, atomic_load(&worker->downstream_count));
    downstream_cut_all(&worker->downstreams);
    /* Those that could still be told have a last moment to read it. */
    loop_set_timer(worker->loop, timer, clock_after_ms(worker->loop->now, LAST_WORD_MS));
}

static void drain_worker(struct worker *worker)
{
    downstream_drain_all(&worker->downstreams);
    worker->drain_timer.fire = on_drain_limit;
    loop_set_timer(worker->loop, &worker->drain_timer,
                   clock_after_ms(worker->loop->now, worker_config(worker)->drain.limit_ms + 1));
    stop_if_drained(worker);
}

static void on_drain(struct loop_task *task)
{
    drain_worker(H2O_STRUCT_FROM_MEMBER(struct worker, drain_task, task));
}

/* Worker 0 takes what the accept queues still hold and hands it over before the others are told:
 * the order of their queues keeps a connection from reaching a worker that has ended. */
static void on_drain_first(struct loop_task *task)
{
    struct worker *first = H2O_STRUCT_FROM_MEMBER(struct worker, drain_task, task);
    struct gateway *gateway = first->gateway;
    listener_close_all(gateway);
    for (unsigned i = 1; i < gateway->worker_count; ++i) {
        gateway->workers[i].drain_task.run = on_drain;
        loop_post(gateway->workers[i].loop, &gateway->workers[i].drain_task);
    }
    drain_worker(first);
}

void worker_drain_all(struct gateway *gateway)
{
    atomic_store(&gateway->draining, true);
    gateway->workers[0].drain_task.run = on_drain_first;
    loop_post(gateway->workers[0].loop, &gateway->workers[0].drain_task);
}
