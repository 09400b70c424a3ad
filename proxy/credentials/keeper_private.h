/* What keeper.c, keeper_result.c and keeper_view.c share: the state of an identity. */
#ifndef SAGEGATE_CREDENTIALS_KEEPER_PRIVATE_H
#define SAGEGATE_CREDENTIALS_KEEPER_PRIVATE_H

#include <pthread.h>

#include "credentials/fetch.h"
#include "credentials/file.h"
#include "credentials/keeper.h"
#include "net/loop_thread.h"

enum { KEEPER_STATUS_SIZE = 2048, KEEPER_FORCE_EVERY_MS = 5000 };

struct keeper_identity {
    struct keeper *keeper;
    const struct config_identity *config;
    bool used;

    /* The keeper's thread only. */
    struct fetch fetch;
    struct timer timer;
    unsigned failures;         /* in a row */
    struct wall_time due;      /* of the next refresh, by AWS's clock; us 0: none */
    struct mono_time retry_at; /* after a failure; us 0: none */
    char *files[CHAIN_FILES_MAX];
    struct file_version versions[CHAIN_FILES_MAX];
    size_t file_count;
    bool files_changed;       /* and no fetch has brought a set since */
    struct span warning_told; /* warning_arena's */
    struct arena warning_arena;
    struct loop_task force_task;

    atomic_uint_fast64_t generation; /* of `current`; written under the lock */
    /* Under the keeper's lock. */
    struct credentials *current; /* NULL before the first set */
    struct buffer fault;         /* why the last try failed; empty: it did not */
    struct wall_time last_failed;
    uint64_t refreshed, failed;
    bool fetching;
    bool refused; /* AWS has refused `current` */
    struct mono_time forced;
    struct keeper_view *registered; /* views that wait for the fetch under way */
};

struct keeper {
    struct keeper_options options;
    struct loop *loop;
    uint64_t random;
    int64_t clocks_us; /* wall less monotonic time at the last look; the keeper's thread only */
    pthread_mutex_t lock;
    struct keeper_identity *identities;
    bool stopping; /* the keeper's thread only */
    struct loop_task stop_task;
    struct loop_thread *thread;
    pthread_barrier_t opened;
};

/* The set in force retained, NULL before the first; *generation goes with it. */
struct credentials *keeper_retain_current(struct keeper_identity *identity, uint64_t *generation);

/* keeper_result.c; the keeper's thread only. The fetch has ended: the set in force becomes what it brought, if that is any
 * good, and `due` or `retry_at` says when to fetch again. */
void keeper_result_take(struct keeper_identity *identity);
/* By AWS's clock as far as it is known: that is the one by which sets end. */
struct wall_time keeper_result_aws_time(const struct keeper *keeper);

#endif
