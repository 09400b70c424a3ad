/* The thread, and who uses which provider. */
#include "credentials/credential_service.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/random.h>

#include "credentials/document.h"

enum { CHECK_INTERVAL_MS = 1000, TURN_MS = 60 * 1000 };

struct entry {
    struct entry *next;
    struct provider *provider;
    size_t users; /* identities of snapshots */
};

struct credential_service {
    struct provider_shared shared;
    struct entry *entries; /* the service's thread only, as is: */
    bool stopping;
    pthread_t thread;
};

/* ---- the thread ---- */

struct start {
    struct credential_service *service;
    sem_t opened;
};

/* Creates the loop here: libh2o keeps memory by thread. */
static void *run_service(void *argument)
{
    struct start *start = argument;
    struct credential_service *service = start->service;
    service->shared.loop = loop_create();
    sem_post(&start->opened);
    while (!service->stopping) {
        loop_turn(service->shared.loop, TURN_MS);
        secret_wipe_stack(); /* parsers and TLS had secrets there */
    }
    return NULL;
}

static void start_thread(struct credential_service *service)
{
    struct start start = {.service = service};
    sigset_t all, before;
    sem_init(&start.opened, 0, 0);
    sigfillset(&all); /* signals belong to the main thread */
    pthread_sigmask(SIG_SETMASK, &all, &before);
    CHECK(pthread_create(&service->thread, NULL, run_service, &start) == 0);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    while (sem_wait(&start.opened) != 0)
        continue; /* a signal */
    sem_destroy(&start.opened);
}

struct credential_service *
credential_service_create(const struct credential_service_options *options)
{
    struct credential_service *service = calloc(1, sizeof(*service));
    CHECK(service != NULL);
    service->shared = (struct provider_shared){
        .getenv = options->getenv,
        .getenv_context = options->getenv_context,
        .skew = options->skew,
        .on_event = options->on_event,
        .event_context = options->event_context,
        .check_interval_ms =
            options->check_interval_ms == 0 ? CHECK_INTERVAL_MS : options->check_interval_ms,
    };
    uint64_t *random = &service->shared.random;
    while (getrandom(random, sizeof(*random), 0) != sizeof(*random) || *random == 0)
        continue;
    document_init(); /* before the thread */
    start_thread(service);
    return service;
}

/* ---- jobs ---- */

static void on_task(struct loop_task *task)
{
    struct credential_service_job *job =
        H2O_STRUCT_FROM_MEMBER(struct credential_service_job, task, task);
    job->run(job);
}

void credential_service_run(struct credential_service *service, struct credential_service_job *job,
                            void (*run)(struct credential_service_job *job))
{
    job->loop = service->shared.loop;
    job->task.run = on_task;
    job->run = run;
    sem_init(&job->ended, 0, 0);
    loop_post(job->loop, &job->task);
    while (sem_wait(&job->ended) != 0)
        continue; /* a signal */
    sem_destroy(&job->ended);
}

void credential_service_end(struct credential_service_job *job)
{
    sem_post(&job->ended);
}

/* ---- what snapshots use ---- */

/* What a snapshot takes or gives back. On the heap, and freed by its last user: a take
 * whose caller has stopped waiting, and every giving back, by the thread. */
struct diff {
    struct loop_task task;
    struct credential_service *service;
    struct config *config; /* retained: owns the identities; may be NULL */
    const struct config_identity *identities;
    size_t count;
    enum { DIFF_AWAITED, DIFF_ENDED, DIFF_ABANDONED } _Atomic state;
    sem_t ended;
    struct provider **providers;
    bool *used;
};

static struct diff *create_diff(struct credential_service *service, size_t count,
                                void (*run)(struct loop_task *task))
{
    struct diff *diff = calloc(1, sizeof(*diff));
    CHECK(diff != NULL);
    *diff = (struct diff){.task.run = run, .service = service, .count = count};
    diff->providers = calloc(count + 1, sizeof(struct provider *));
    diff->used = calloc(count + 1, sizeof(bool));
    CHECK(diff->providers != NULL && diff->used != NULL);
    sem_init(&diff->ended, 0, 0);
    return diff;
}

static void destroy_diff(struct diff *diff)
{
    config_release(diff->config);
    sem_destroy(&diff->ended);
    free(diff->providers);
    free(diff->used);
    free(diff);
}

/* The identity's entry, created or refreshed. */
static struct entry *find_entry(struct credential_service *service,
                                const struct config_identity *identity)
{
    struct entry *entry = service->entries;
    while (entry != NULL && !config_identity_is_same(provider_identity(entry->provider), identity))
        entry = entry->next;
    if (entry != NULL) {
        provider_refresh(entry->provider);
        return entry;
    }
    entry = calloc(1, sizeof(*entry));
    CHECK(entry != NULL);
    *entry = (struct entry){service->entries, provider_create(&service->shared, identity), 0};
    service->entries = entry;
    return entry;
}

static void drop_user(struct credential_service *service, struct provider *provider)
{
    struct entry **link = &service->entries;
    while ((*link)->provider != provider)
        link = &(*link)->next;
    struct entry *entry = *link;
    if (--entry->users != 0)
        return;
    *link = entry->next;
    provider_destroy(entry->provider);
    free(entry);
}

static void drop_users(struct diff *diff)
{
    for (size_t i = 0; i != diff->count; ++i)
        if (diff->providers[i] != NULL)
            drop_user(diff->service, diff->providers[i]);
    destroy_diff(diff);
}

static void on_take(struct loop_task *task)
{
    struct diff *diff = H2O_STRUCT_FROM_MEMBER(struct diff, task, task);
    for (size_t i = 0; i != diff->count && diff->state == DIFF_AWAITED; ++i) {
        if (!diff->used[i])
            continue;
        struct entry *entry = find_entry(diff->service, &diff->identities[i]);
        ++entry->users;
        diff->providers[i] = entry->provider;
    }
    if (atomic_exchange(&diff->state, DIFF_ENDED) == DIFF_AWAITED)
        sem_post(&diff->ended); /* the diff may be gone */
    else
        drop_users(diff);
}

/* Returns false, with the diff left to the thread, if it has not ended after wait_ms. */
static bool await(struct diff *diff, int64_t wait_ms)
{
    struct mono_time limit = clock_after_ms(clock_mono(), wait_ms);
    const struct timespec at = {limit.us / 1000000, limit.us % 1000000 * 1000};
    while ((wait_ms == 0 ? sem_wait(&diff->ended)
                         : sem_clockwait(&diff->ended, CLOCK_MONOTONIC, &at)) != 0) {
        if (errno != ETIMEDOUT)
            continue; /* a signal */
        if (atomic_exchange(&diff->state, DIFF_ABANDONED) == DIFF_AWAITED)
            return false;
        wait_ms = 0; /* it has just ended */
    }
    return true;
}

bool credential_service_take(struct credential_service *service,
                             const struct credential_service_wanted *wanted,
                             struct provider **providers)
{
    struct diff *diff = create_diff(service, wanted->count, on_take);
    diff->config = wanted->config == NULL ? NULL : config_retain(wanted->config);
    diff->identities = wanted->identities;
    memset(providers, 0, wanted->count * sizeof(*providers));
    memcpy(diff->used, wanted->used, wanted->count * sizeof(*wanted->used));
    loop_post(service->shared.loop, &diff->task);
    if (!await(diff, wanted->wait_ms))
        return false;
    CHECK(diff->state != DIFF_AWAITED);
    memcpy(providers, diff->providers, wanted->count * sizeof(*providers));
    destroy_diff(diff);
    return true;
}

static void on_give_back(struct loop_task *task)
{
    drop_users(H2O_STRUCT_FROM_MEMBER(struct diff, task, task));
}

void credential_service_give_back(struct credential_service *service, struct provider **providers,
                                  size_t count)
{
    struct diff *diff = create_diff(service, count, on_give_back);
    memcpy(diff->providers, providers, count * sizeof(*providers));
    loop_post(service->shared.loop, &diff->task);
}

/* ---- the end ---- */

struct stop {
    struct credential_service_job job;
    struct credential_service *service;
};

static void on_stop(struct credential_service_job *job)
{
    H2O_STRUCT_FROM_MEMBER(struct stop, job, job)->service->stopping = true;
    credential_service_end(job);
}

void credential_service_destroy(struct credential_service *service)
{
    if (service == NULL)
        return;
    struct stop stop = {.service = service};
    credential_service_run(service, &stop.job, on_stop);
    pthread_join(service->thread, NULL);
    CHECK(service->entries == NULL);
    free(service);
}
