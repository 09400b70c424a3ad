/* Workers: threads that serve requests, switch snapshots and drain. */
#include "gateway/worker.h"

#include "observe/log.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/random.h>

enum { TURN_MS = 1000, LAST_WORD_MS = 500 };

/* ---- for exchanges ---- */

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

static void on_downstream_gone(struct downstream_set *set)
{
    struct worker *worker = H2O_STRUCT_FROM_MEMBER(struct worker, downstreams, set);
    atomic_fetch_sub_explicit(&worker->downstream_count, 1, memory_order_relaxed);
    admission_release_connection(&worker->group->admission);
    worker->group->callbacks->on_downstream_gone(worker);
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

/* Runs on the worker's thread, because libh2o keeps memory per thread. */
static void open_worker(struct worker *worker)
{
    struct worker_group *group = worker->group;
    worker->loop = loop_create();
    admission_open_queue(&group->admission, &worker->queue, worker->loop);
    connection_watch_departures(worker->loop);
    worker->keys = sigv4_key_cache_create();
    worker->bearers = bearer_cache_create();
    worker->use = snapshot_use_create(group->snapshot, worker->index, worker->loop);
    worker->downstreams.loop = worker->loop;
    worker->downstreams.service = group->callbacks->service;
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
    worker->group->callbacks->on_end(worker);
    sigv4_key_cache_destroy(worker->keys);
    bearer_cache_destroy(worker->bearers);
}

/* Wipes what was derived from credentials, and requests that were signed with them. */
static void wipe_derived(struct worker *worker)
{
    loop_wipe(worker->loop);
    sigv4_key_cache_wipe(worker->keys);
    bearer_cache_wipe(worker->bearers);
}

/* Destroys old uses that are over. Called between two turns, when none of their callbacks is
 * running. An identity may end with a use, whose last request may have signed with it after the
 * switch. */
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
        wipe_derived(worker);
    }
}

/* Wipes everything derived from credentials when they change. */
static void wipe_rotated(struct worker *worker)
{
    if (snapshot_use_has_rotated(worker->use))
        wipe_derived(worker);
}

static void *run_worker(void *argument)
{
    struct worker *worker = argument;
    struct worker_group *group = worker->group;
    open_worker(worker);
    sem_post(&group->done);
    while (!worker->stopped) {
        loop_turn(worker->loop, TURN_MS);
        drop_old_uses(worker);
        wipe_rotated(worker);
        atomic_store_explicit(&worker->turned, true, memory_order_relaxed);
    }
    atomic_store_explicit(&worker->ended, true, memory_order_relaxed);
    loop_cancel_timer(worker->loop, &worker->drain_timer);
    dispose_worker(worker);
    group->on_worker_ended(group);
    return NULL;
}

void worker_start_all(struct worker_group *group)
{
    unsigned count = group->count;
    group->workers = calloc(count, sizeof(struct worker));
    CHECK(group->workers != NULL);
    sem_init(&group->done, 0, 0);
    for (unsigned i = 0; i != count; ++i) {
        struct worker *worker = &group->workers[i];
        worker->group = group;
        worker->index = i;
        CHECK(pthread_create(&worker->thread, NULL, run_worker, worker) == 0);
    }
    worker_await(group, count);
}

void worker_await(struct worker_group *group, unsigned count)
{
    while (count != 0)
        count -= sem_wait(&group->done) == 0; /* fails if interrupted by a signal */
}

struct work {
    struct loop_task task;
    struct worker *worker;
    void (*run)(struct worker *worker, void *argument);
    void *argument;
};

static void on_work(struct loop_task *task)
{
    struct work *work = (struct work *)task;
    work->run(work->worker, work->argument);
    free(work);
}

void worker_post(struct worker *worker, void (*run)(struct worker *worker, void *argument),
                 void *argument)
{
    struct work *work = malloc(sizeof(*work));
    CHECK(work != NULL);
    *work = (struct work){{.run = on_work}, worker, run, argument};
    loop_post(worker->loop, &work->task);
}

void worker_join_all(struct worker_group *group)
{
    for (unsigned i = 0; i != group->count; ++i)
        pthread_join(group->workers[i].thread, NULL);
}

bool worker_have_all_turned(struct worker_group *group)
{
    for (unsigned i = 0; i != group->count; ++i) {
        struct worker *worker = &group->workers[i];
        if (!atomic_load_explicit(&worker->turned, memory_order_relaxed) &&
            !atomic_load_explicit(&worker->ended, memory_order_relaxed))
            return false;
    }
    for (unsigned i = 0; i != group->count; ++i)
        atomic_store_explicit(&group->workers[i].turned, false, memory_order_relaxed);
    return true;
}

bool worker_is_ready(struct worker_group *group, const struct snapshot *snapshot,
                     struct reasons *reasons)
{
    struct wall_time now = skew_correct(group->skew, clock_wall());
    bool usable = snapshot_has_credentials(snapshot, now, reasons) ||
                  snapshot->config->ready_without_credentials;
    bool draining = atomic_load(&group->draining);
    if (draining)
        reasons_add(reasons, SPAN("draining"), SPAN("the gateway is shutting down"));
    return usable && !draining;
}

/* ---- on its own thread ---- */

void worker_switch(struct worker *worker, struct snapshot *snapshot)
{
    struct snapshot_use *use = snapshot_use_create(snapshot, worker->index, worker->loop);
    use->older = worker->use;
    worker->use = use;
    take_limits(worker);
    admission_serve(&worker->queue); /* limits may have been raised */
}

static void on_drain_limit(struct timer *timer)
{
    struct worker *worker = H2O_STRUCT_FROM_MEMBER(struct worker, drain_timer, timer);
    log_write(LOG_WARNING, "drain", "worker %u: drain.limit is reached: closing %u connections",
              worker->index, atomic_load(&worker->downstream_count));
    downstream_cut_all(&worker->downstreams);
    /* Leave time to read the error responses; then this fires again. */
    loop_set_timer(worker->loop, timer, clock_after_ms(worker->loop->now, LAST_WORD_MS));
}

void worker_drain(struct worker *worker)
{
    downstream_drain_all(&worker->downstreams);
    worker->drain_timer.fire = on_drain_limit;
    loop_set_timer(worker->loop, &worker->drain_timer,
                   clock_after_ms(worker->loop->now, worker_config(worker)->drain.limit_ms + 1));
    stop_if_drained(worker);
}
