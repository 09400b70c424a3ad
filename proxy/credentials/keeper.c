/* The keeper: the chain of sources, the set in force, the thread that notices a changed file. */
#include "credentials/keeper.h"

#include "credentials/source.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>

enum { CHECK_INTERVAL_MS = 1000, STATUS_SIZE = 2048 };

/* What tells one version of a file from the next. */
struct file_version {
    struct timespec modified, changed;
    ino_t inode;
    dev_t device;
    off_t size;
};

struct keeper {
    enum config_credentials_source source;
    char *file; /* of the static source; NULL: none */
    keeper_on_event on_event;
    void *event_context;
    int64_t check_interval_ms;

    /* The keeper's thread only (keeper_create before it starts). */
    struct file_version version; /* of the file when it was last read; all zero: it was not there */
    bool last_load_failed;
    struct span warning_told; /* the arena's, kept until another takes its place */
    struct arena warning_arena;

    atomic_uint_fast64_t generation; /* of `current`; written under the lock */
    pthread_mutex_t lock;            /* current, fault, stopping */
    struct credentials *current;     /* NULL before the first set */
    struct buffer fault;             /* why the last try failed; empty: it did not */
    bool stopping;

    bool has_thread;
    pthread_t thread;
    pthread_cond_t stop;
};

static void tell(const struct keeper *keeper, enum keeper_event event, struct span message)
{
    if (keeper->on_event != NULL)
        keeper->on_event(keeper->event_context, event, message);
}

/* ---- what a try brought ---- */

static void describe(const struct credentials *credentials, struct buffer *out)
{
    buffer_append(out, credentials->source);
    buffer_append(out, SPAN(": key id ..."));
    buffer_append(out, credentials_key_id_tail(credentials));
    if (credentials->expires.us == 0)
        return;
    char expires[CLOCK_RFC3339_SIZE];
    clock_format_rfc3339(credentials->expires, expires);
    buffer_append(out, SPAN(", expires "));
    buffer_append(out, span_from(expires));
}

/* Takes the reference over. */
static void put_in_force(struct keeper *keeper, struct credentials *credentials)
{
    char text[STATUS_SIZE];
    struct buffer message;
    buffer_init_fixed(&message, text, sizeof(text));
    describe(credentials, &message);

    pthread_mutex_lock(&keeper->lock);
    struct credentials *old = keeper->current;
    credentials->generation = atomic_load(&keeper->generation) + 1;
    keeper->current = credentials;
    buffer_clear(&keeper->fault);
    atomic_store(&keeper->generation, credentials->generation);
    pthread_mutex_unlock(&keeper->lock);

    credentials_release(old);
    tell(keeper, KEEPER_LOADED, buffer_span(&message));
}

/* The set in force stays. The same fault again is not told again. */
static void note_fault(struct keeper *keeper, struct span fault)
{
    if (fault.len > STATUS_SIZE)
        fault.len = STATUS_SIZE;
    pthread_mutex_lock(&keeper->lock);
    bool known = span_equals(buffer_span(&keeper->fault), fault);
    buffer_clear(&keeper->fault);
    buffer_append(&keeper->fault, fault);
    pthread_mutex_unlock(&keeper->lock);
    if (!known)
        tell(keeper, KEEPER_FAILED, fault);
}

static void note_warning(struct keeper *keeper, struct span warning)
{
    if (span_equals(keeper->warning_told, warning))
        return;
    arena_reset(&keeper->warning_arena);
    keeper->warning_told = arena_copy(&keeper->warning_arena, warning);
    if (warning.len != 0)
        tell(keeper, KEEPER_WARNING, warning);
}

static void take_result(struct keeper *keeper, enum credentials_result result,
                        struct credentials *credentials, const struct source_notes *notes,
                        struct wall_time now)
{
    keeper->last_load_failed = result != CREDENTIALS_FOUND;
    if (result != CREDENTIALS_FOUND) {
        note_fault(keeper, notes->fault);
        return;
    }
    note_warning(keeper, notes->warning);
    if (!credentials_is_expired(credentials, now)) {
        put_in_force(keeper, credentials);
        return;
    }
    char text[256];
    struct buffer fault;
    buffer_init_fixed(&fault, text, sizeof(text));
    describe(credentials, &fault);
    buffer_append(&fault, SPAN(": that is over"));
    note_fault(keeper, buffer_span(&fault));
    credentials_release(credentials);
}

/* ---- the static file ---- */

static struct file_version version_of(const char *file)
{
    struct stat st;
    if (stat(file, &st) == -1)
        return (struct file_version){.inode = 0};
    return (struct file_version){.modified = st.st_mtim,
                                 .changed = st.st_ctim,
                                 .inode = st.st_ino,
                                 .device = st.st_dev,
                                 .size = st.st_size};
}

static bool same_time(struct timespec a, struct timespec b)
{
    return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec;
}

static bool same_version(const struct file_version *a, const struct file_version *b)
{
    return same_time(a->modified, b->modified) && same_time(a->changed, b->changed) &&
           a->inode == b->inode && a->device == b->device && a->size == b->size;
}

static void load_file(struct keeper *keeper, struct wall_time now)
{
    struct arena arena;
    struct credentials *credentials = NULL;
    struct source_notes notes;
    arena_init(&arena, 1024);
    /* The version first: a file that changes while it is read is read again next time. */
    keeper->version = version_of(keeper->file);
    enum credentials_result result = source_static_load(keeper->file, &arena, &credentials, &notes);
    take_result(keeper, result, credentials, &notes, now);
    arena_dispose(&arena);
}

/* A file that failed is read again even if it looks the same: it may have been half written. */
static void check_file(struct keeper *keeper, struct wall_time now)
{
    struct file_version version = version_of(keeper->file);
    if (!keeper->last_load_failed && same_version(&version, &keeper->version))
        return;
    load_file(keeper, now);
}

/* ---- the chain ---- */

static void load_first(struct keeper *keeper, const struct keeper_options *options,
                       struct wall_time now)
{
    struct arena arena;
    struct credentials *credentials = NULL;
    struct source_notes notes = {SPAN_NONE, SPAN_NONE};
    enum credentials_result result = CREDENTIALS_NOT_CONFIGURED;
    arena_init(&arena, 1024);
    if (keeper->source != CREDENTIALS_STATIC && options->getenv != NULL)
        result =
            source_env_load(options->getenv, options->getenv_context, &arena, &credentials, &notes);
    if (result != CREDENTIALS_NOT_CONFIGURED || keeper->source == CREDENTIALS_ENV) {
        free(keeper->file); /* the environment decides, so the file is not looked at again */
        keeper->file = NULL;
    }
    if (keeper->file != NULL) {
        load_file(keeper, now);
        arena_dispose(&arena);
        return;
    }
    if (result == CREDENTIALS_NOT_CONFIGURED && keeper->source == CREDENTIALS_STATIC)
        notes.fault = SPAN("static: no file is configured (credentials.file)");
    else if (result == CREDENTIALS_NOT_CONFIGURED)
        notes.fault = SPAN("environment: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY are not set");
    take_result(keeper, result, credentials, &notes, now);
    arena_dispose(&arena);
}

/* ---- the thread ---- */

static void *run_thread(void *context)
{
    struct keeper *keeper = context;
    pthread_mutex_lock(&keeper->lock);
    while (!keeper->stopping) {
        struct timespec wake;
        clock_gettime(CLOCK_MONOTONIC, &wake);
        wake.tv_sec += (time_t)(keeper->check_interval_ms / 1000);
        wake.tv_nsec += (long)(keeper->check_interval_ms % 1000) * 1000000;
        wake.tv_sec += wake.tv_nsec / 1000000000;
        wake.tv_nsec %= 1000000000;
        pthread_cond_timedwait(&keeper->stop, &keeper->lock, &wake);
        if (keeper->stopping)
            break;
        pthread_mutex_unlock(&keeper->lock);
        check_file(keeper, clock_wall());
        pthread_mutex_lock(&keeper->lock);
    }
    pthread_mutex_unlock(&keeper->lock);
    return NULL;
}

static void start_thread(struct keeper *keeper)
{
    sigset_t all, before;
    sigfillset(&all); /* signals belong to the main thread */
    pthread_sigmask(SIG_SETMASK, &all, &before);
    CHECK(pthread_create(&keeper->thread, NULL, run_thread, keeper) == 0);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    keeper->has_thread = true;
}

/* ---- life ---- */

struct keeper *keeper_create(const struct keeper_options *options)
{
    struct keeper *keeper = calloc(1, sizeof(*keeper));
    pthread_condattr_t monotonic;
    CHECK(keeper != NULL);
    keeper->source = options->credentials->source;
    if (options->credentials->file.at != NULL)
        keeper->file = strndup(options->credentials->file.at, options->credentials->file.len);
    keeper->on_event = options->on_event;
    keeper->event_context = options->event_context;
    keeper->check_interval_ms =
        options->check_interval_ms == 0 ? CHECK_INTERVAL_MS : options->check_interval_ms;
    arena_init(&keeper->warning_arena, 512);
    buffer_init(&keeper->fault, STATUS_SIZE);
    pthread_mutex_init(&keeper->lock, NULL);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&keeper->stop, &monotonic);
    pthread_condattr_destroy(&monotonic);

    load_first(keeper, options, clock_wall());
    if (keeper->file != NULL)
        start_thread(keeper);
    return keeper;
}

void keeper_destroy(struct keeper *keeper)
{
    if (keeper == NULL)
        return;
    if (keeper->has_thread) {
        pthread_mutex_lock(&keeper->lock);
        keeper->stopping = true;
        pthread_cond_signal(&keeper->stop);
        pthread_mutex_unlock(&keeper->lock);
        pthread_join(keeper->thread, NULL);
    }
    pthread_cond_destroy(&keeper->stop);
    pthread_mutex_destroy(&keeper->lock);
    credentials_release(keeper->current);
    buffer_dispose(&keeper->fault);
    arena_dispose(&keeper->warning_arena);
    free(keeper->file);
    free(keeper);
}

/* ---- asking ---- */

/* Retained; NULL before the first set. *generation is the one that goes with it. */
static struct credentials *retain_current(struct keeper *keeper, uint64_t *generation)
{
    pthread_mutex_lock(&keeper->lock);
    struct credentials *current = keeper->current;
    *generation = atomic_load(&keeper->generation);
    if (current != NULL)
        credentials_retain(current);
    pthread_mutex_unlock(&keeper->lock);
    return current;
}

struct credentials *keeper_current(struct keeper *keeper, struct wall_time now)
{
    uint64_t generation;
    struct credentials *current = retain_current(keeper, &generation);
    if (current == NULL || !credentials_is_expired(current, now))
        return current;
    credentials_release(current);
    return NULL;
}

bool keeper_status(struct keeper *keeper, struct wall_time now, struct buffer *message)
{
    pthread_mutex_lock(&keeper->lock);
    const struct credentials *current = keeper->current;
    bool usable = current != NULL && !credentials_is_expired(current, now);
    if (current != NULL)
        describe(current, message);
    if (current != NULL && !usable)
        buffer_append(message, SPAN(" (that is over)"));
    if (current != NULL && keeper->fault.len != 0)
        buffer_append(message, SPAN("; "));
    buffer_append(message, buffer_span(&keeper->fault));
    pthread_mutex_unlock(&keeper->lock);
    return usable;
}

void keeper_view_init(struct keeper_view *view, struct keeper *keeper)
{
    *view = (struct keeper_view){.keeper = keeper};
}

void keeper_view_dispose(struct keeper_view *view)
{
    credentials_release(view->credentials);
    view->credentials = NULL;
    view->generation = 0;
}

struct credentials *keeper_view_get(struct keeper_view *view, struct wall_time now)
{
    if (atomic_load_explicit(&view->keeper->generation, memory_order_acquire) != view->generation) {
        credentials_release(view->credentials);
        view->credentials = retain_current(view->keeper, &view->generation);
    }
    if (view->credentials == NULL || credentials_is_expired(view->credentials, now))
        return NULL;
    return view->credentials;
}
