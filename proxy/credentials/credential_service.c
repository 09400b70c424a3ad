/* The thread, and who uses which provider. */
#include "credentials/credential_service.h"

#include <pthread.h>
#include <signal.h>
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

struct diff {
    struct credential_service_job job;
    struct credential_service *service;
    const struct config_identity *identities;
    const bool *used;
    size_t count;
    struct provider **providers;
};

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

static void on_take(struct credential_service_job *job)
{
    struct diff *diff = H2O_STRUCT_FROM_MEMBER(struct diff, job, job);
    for (size_t i = 0; i != diff->count; ++i) {
        diff->providers[i] = NULL;
        if (!diff->used[i])
            continue;
        struct entry *entry = find_entry(diff->service, &diff->identities[i]);
        ++entry->users;
        diff->providers[i] = entry->provider;
    }
    credential_service_end(job);
}

void credential_service_take(struct credential_service *service,
                             const struct config_identity *identities, const bool *used,
                             size_t count, struct provider **providers)
{
    struct diff diff = {.service = service,
                        .identities = identities,
                        .used = used,
                        .count = count,
                        .providers = providers};
    credential_service_run(service, &diff.job, on_take);
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

static void on_give_back(struct credential_service_job *job)
{
    struct diff *diff = H2O_STRUCT_FROM_MEMBER(struct diff, job, job);
    for (size_t i = 0; i != diff->count; ++i)
        if (diff->providers[i] != NULL)
            drop_user(diff->service, diff->providers[i]);
    credential_service_end(job);
}

void credential_service_give_back(struct credential_service *service, struct provider **providers,
                                  size_t count)
{
    struct diff diff = {.service = service, .count = count, .providers = providers};
    credential_service_run(service, &diff.job, on_give_back);
}

/* ---- the end ---- */

static void on_stop(struct credential_service_job *job)
{
    H2O_STRUCT_FROM_MEMBER(struct diff, job, job)->service->stopping = true;
    credential_service_end(job);
}

void credential_service_destroy(struct credential_service *service)
{
    if (service == NULL)
        return;
    struct diff diff = {.service = service};
    credential_service_run(service, &diff.job, on_stop);
    pthread_join(service->thread, NULL);
    CHECK(service->entries == NULL);
    free(service);
}
