/* The credential service of the process: one thread and loop that keeps the credentials of all
 * identities fresh, whatever configuration they come from.
 *
 * Each snapshot takes the identities that it uses and gives them back; the service has one provider
 * for all that are the same (config_identity_is_same). So an identity that stays the same over a
 * reload keeps its set, also while its source is down, and one that no snapshot uses any more is
 * dropped and wiped. */
#ifndef SAGEGATE_CREDENTIALS_CREDENTIAL_SERVICE_H
#define SAGEGATE_CREDENTIALS_CREDENTIAL_SERVICE_H

#include <semaphore.h>

#include "credentials/provider.h"

struct credential_service_options {
    config_getenv getenv; /* called on the service's thread */
    void *getenv_context;
    struct skew *skew; /* of the process */
    provider_on_event on_event;
    void *event_context;
    int64_t check_interval_ms; /* 0: 1000; tests take less */
};

struct credential_service;

/* Starts the thread, with all signals blocked. Aborts if it cannot. */
struct credential_service *
credential_service_create(const struct credential_service_options *options);
/* Joins the thread. Every identity that was taken must have been given back. Accepts NULL. */
void credential_service_destroy(struct credential_service *service);

struct credential_service_wanted {
    struct config *config; /* retained until the identities have been read; NULL: they stay */
    const struct config_identity *identities;
    const bool *used;
    size_t count;    /* of both */
    int64_t wait_ms; /* 0: no limit */
};
/* Sets providers[i] to the provider of identities[i] if used[i], else to NULL. A new identity is
 * created, one that was taken before is shared and refreshed; what needs no waiting (environment,
 * files) has been fetched when it returns. The identities are copied. Waits for the service's
 * thread. Returns false, with all providers NULL, if the thread has not come to it after wait_ms
 * (a file system hangs): nothing is taken then, neither later. */
MUST_USE bool credential_service_take(struct credential_service *service,
                                      const struct credential_service_wanted *wanted,
                                      struct provider **providers);
/* Gives back what credential_service_take returned; no view on it may be open. The service's thread
 * drops them later. */
void credential_service_give_back(struct credential_service *service, struct provider **providers,
                                  size_t count);

/* A job for the service's thread, embedded by its owner, who waits for its end. */
struct credential_service_job {
    struct loop_task task;
    struct loop *loop; /* the service's */
    void (*run)(struct credential_service_job *job);
    sem_t ended;
};
/* Calls run on the service's thread, and returns once the job has called credential_service_end:
 * within run, or later from the loop. */
void credential_service_run(struct credential_service *service, struct credential_service_job *job,
                            void (*run)(struct credential_service_job *job));
/* The job may be gone when it returns. */
void credential_service_end(struct credential_service_job *job);

#endif
