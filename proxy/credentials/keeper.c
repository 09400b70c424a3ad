/* The keeper's thread: fetching, refreshing ahead, noticing changed files. */
#include "credentials/keeper_private.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/random.h>

#include "credentials/refresh.h"

enum { CHECK_INTERVAL_MS = 1000, TURN_MS = 60 * 1000 };

static void begin_fetch(struct keeper_identity *identity);
static void on_fetched(struct fetch *fetch);
static void take_result(struct keeper_identity *identity);
static void on_timer(struct timer *timer);

static uint32_t chance(struct keeper *keeper)
{
    keeper->random ^= keeper->random << 13;
    keeper->random ^= keeper->random >> 7;
    keeper->random ^= keeper->random << 17;
    return (uint32_t)(keeper->random >> 16);
}

/* By AWS's clock as far as it is known: that is the one by which sets end. */
static struct wall_time aws_time(const struct keeper *keeper)
{
    return skew_correct(keeper->options.skew, clock_wall());
}

/* Of a named identity the name comes first. */
static void tell(const struct keeper_identity *identity, enum keeper_event event,
                 struct span message)
{
    const struct keeper_options *options = &identity->keeper->options;
    char text[KEEPER_STATUS_SIZE + 128];
    struct buffer out;
    if (options->on_event == NULL)
        return;
    buffer_init_fixed(&out, text, sizeof(text));
    if (identity != identity->keeper->identities)
        buffer_printf(&out, "identity %.*s: ", SPAN_ARG(identity->config->label));
    buffer_append(&out, message);
    options->on_event(options->event_context, event, buffer_span(&out));
}

/* ---- what a fetch brought ---- */

static void describe(const struct credentials *credentials, struct wall_time now,
                     struct buffer *out)
{
    buffer_append(out, credentials->source);
    buffer_append(out, SPAN(": key id ..."));
    buffer_append(out, credentials_key_id_tail(credentials));
    if (credentials->expires.us == 0)
        return;
    char expires[CLOCK_RFC3339_SIZE];
    clock_format_rfc3339(credentials->expires, expires);
    buffer_append(out, credentials->expires.us > now.us ? SPAN(", expires ") : SPAN(", expired "));
    buffer_append(out, span_from(expires));
}

static bool is_same(const struct credentials *a, const struct credentials *b)
{
    return a != NULL && a->expires.us == b->expires.us &&
           span_equals(span_from(a->access_key_id), span_from(b->access_key_id)) &&
           span_equals(secret_bytes(&a->secret_access_key), secret_bytes(&b->secret_access_key)) &&
           span_equals(secret_bytes(&a->session_token), secret_bytes(&b->session_token));
}

/* Of all keepers: what is kept by key id and generation must not take one keeper's set for another's. */
static atomic_uint_fast64_t last_generation;

/* Takes the reference over. now: by AWS's clock. */
static void put_in_force(struct keeper_identity *identity, struct credentials *credentials,
                         struct wall_time now)
{
    struct keeper *keeper = identity->keeper;
    char text[KEEPER_STATUS_SIZE];
    struct buffer message;
    buffer_init_fixed(&message, text, sizeof(text));
    describe(credentials, now, &message);

    pthread_mutex_lock(&keeper->lock);
    bool same = is_same(identity->current, credentials);
    bool was_failing = identity->fault.len != 0;
    struct credentials *old = same ? credentials : identity->current;
    buffer_clear(&identity->fault);
    ++identity->refreshed;
    if (!same) {
        credentials->generation = atomic_fetch_add(&last_generation, 1) + 1;
        identity->current = credentials;
        atomic_store(&identity->generation, credentials->generation);
    }
    pthread_mutex_unlock(&keeper->lock);

    credentials_release(old);
    if (!same || was_failing)
        tell(identity, KEEPER_LOADED, buffer_span(&message));
    struct wall_time expires = identity->current->expires;
    if (expires.us != 0)
        identity->due =
            same ? refresh_due_unchanged(now, expires) : refresh_due(now, expires, chance(keeper));
    else if (identity->fetch.plan.base != PLAN_SET && identity->fetch.plan.base != PLAN_PROCESS)
        identity->due = (struct wall_time){now.us + REFRESH_UNEXPIRING_MS * INT64_C(1000)};
}

/* The set in force stays. The same fault again is not told again. */
static void note_fault(struct keeper_identity *identity, struct span fault)
{
    struct keeper *keeper = identity->keeper;
    if (fault.len > KEEPER_STATUS_SIZE)
        fault.len = KEEPER_STATUS_SIZE;
    pthread_mutex_lock(&keeper->lock);
    bool known = span_equals(buffer_span(&identity->fault), fault);
    buffer_clear(&identity->fault);
    buffer_append(&identity->fault, fault);
    identity->last_failed = clock_wall();
    ++identity->failed;
    pthread_mutex_unlock(&keeper->lock);
    ++identity->failures;
    identity->retry_at =
        clock_after_ms(keeper->loop->now, refresh_backoff_ms(identity->failures, chance(keeper)));
    if (!known)
        tell(identity, KEEPER_FAILED, fault);
}

static void note_warning(struct keeper_identity *identity, struct span warning)
{
    if (span_equals(identity->warning_told, warning))
        return;
    arena_reset(&identity->warning_arena);
    identity->warning_told = arena_copy(&identity->warning_arena, warning);
    if (warning.len != 0)
        tell(identity, KEEPER_WARNING, warning);
}

/* now: by AWS's clock. */
static void note_expired(struct keeper_identity *identity, const struct credentials *credentials,
                         struct wall_time now)
{
    char text[512];
    struct buffer fault;
    buffer_init_fixed(&fault, text, sizeof(text));
    describe(credentials, now, &fault);
    buffer_append(&fault, SPAN(": the source gives a set whose time is over; it must give a newer "
                               "one, or this machine's clock is wrong"));
    note_fault(identity, buffer_span(&fault));
}

/* All views that wait are woken on their own loops. */
static void wake_views(struct keeper_identity *identity)
{
    pthread_mutex_lock(&identity->keeper->lock);
    identity->fetching = false;
    while (identity->registered != NULL) {
        struct keeper_view *view = identity->registered;
        identity->registered = view->next_registered;
        view->registered = false;
        view->posted = true;
        loop_post(view->loop, &view->task);
    }
    pthread_mutex_unlock(&identity->keeper->lock);
}

/* ---- files ---- */

static void forget_files(struct keeper_identity *identity)
{
    for (size_t i = 0; i != identity->file_count; ++i)
        free(identity->files[i]);
    identity->file_count = 0;
}

static bool has_changed_file(const struct keeper_identity *identity)
{
    for (size_t i = 0; i != identity->file_count; ++i) {
        struct file_version version = file_version(identity->files[i]);
        if (!file_same_version(&version, &identity->versions[i]))
            return true;
    }
    return false;
}

/* A file that changed while it was read has another version by the next check, if the versions are
 * those from before: so they are taken anew only where the plan's files are others. */
static void watch_files(struct keeper_identity *identity)
{
    const struct plan *plan = &identity->fetch.plan;
    bool same = plan->file_count == identity->file_count;
    for (size_t i = 0; same && i != plan->file_count; ++i)
        same = strcmp(plan->files[i], identity->files[i]) == 0;
    if (same)
        return;
    forget_files(identity);
    for (size_t i = 0; i != plan->file_count; ++i) {
        identity->files[i] = strdup(plan->files[i]);
        CHECK(identity->files[i] != NULL);
        identity->versions[i] = file_version(plan->files[i]);
    }
    identity->file_count = plan->file_count;
}

/* ---- fetching ---- */

static struct mono_time after_us(struct mono_time from, int64_t us)
{
    return (struct mono_time){from.us + (us > 0 ? us : 0)};
}

/* The next look: once an interval, or when something is due before that. */
static void set_timer(struct keeper_identity *identity)
{
    struct keeper *keeper = identity->keeper;
    struct mono_time now = loop_read_clock(keeper->loop);
    struct mono_time at = clock_after_ms(now, keeper->options.check_interval_ms);
    if (identity->retry_at.us != 0 && identity->retry_at.us < at.us)
        at = identity->retry_at;
    if (identity->due.us != 0 && identity->retry_at.us == 0) {
        struct mono_time due = after_us(now, identity->due.us - aws_time(keeper).us);
        if (due.us < at.us)
            at = due;
    }
    loop_set_timer(keeper->loop, &identity->timer, at);
}

static void begin_fetch(struct keeper_identity *identity)
{
    pthread_mutex_lock(&identity->keeper->lock);
    identity->fetching = true;
    pthread_mutex_unlock(&identity->keeper->lock);
    loop_read_clock(identity->keeper->loop);
    for (size_t i = 0; i != identity->file_count; ++i)
        identity->versions[i] = file_version(identity->files[i]);
    if (fetch_start(&identity->fetch))
        take_result(identity);
}

static void on_fetched(struct fetch *fetch)
{
    take_result(fetch->options.owner);
}

static void take_result(struct keeper_identity *identity)
{
    struct fetch *fetch = &identity->fetch;
    struct credentials *found = fetch->found;
    struct wall_time now = aws_time(identity->keeper);
    watch_files(identity);
    identity->retry_at.us = 0;
    identity->due.us = 0;
    fetch->found = NULL;
    if (fetch->result != CREDENTIALS_FOUND) {
        note_fault(identity, fetch->notes.fault);
    } else if (credentials_is_expired(found, now)) {
        note_expired(identity, found, now);
        credentials_release(found);
    } else {
        identity->failures = 0;
        note_warning(identity, fetch->notes.warning);
        put_in_force(identity, found, now);
    }
    wake_views(identity);
    set_timer(identity);
}

static void on_timer(struct timer *timer)
{
    struct keeper_identity *identity = H2O_STRUCT_FROM_MEMBER(struct keeper_identity, timer, timer);
    struct mono_time now = identity->keeper->loop->now;
    if (identity->fetch.running)
        return;
    bool retry = identity->retry_at.us != 0 && identity->retry_at.us <= now.us;
    bool due = identity->retry_at.us == 0 && identity->due.us != 0 &&
               identity->due.us <= aws_time(identity->keeper).us;
    if (retry || due || has_changed_file(identity))
        begin_fetch(identity);
    else
        set_timer(identity);
}

static void on_force(struct loop_task *task)
{
    struct keeper_identity *identity =
        H2O_STRUCT_FROM_MEMBER(struct keeper_identity, force_task, task);
    if (!identity->fetch.running && !identity->keeper->stopping)
        begin_fetch(identity);
}

/* ---- the thread ---- */

static void on_stop(struct loop_task *task)
{
    H2O_STRUCT_FROM_MEMBER(struct keeper, stop_task, task)->stopping = true;
}

static void open_identity(struct keeper *keeper, size_t index);
static void close_identity(struct keeper_identity *identity);

/* The loop and all that lives on it are made and taken down here: libh2o keeps memory by thread. */
static void *run_thread(void *context)
{
    struct keeper *keeper = context;
    keeper->loop = loop_create();
    for (size_t i = 0; i != keeper->options.identity_count; ++i)
        open_identity(keeper, i);
    pthread_barrier_wait(&keeper->opened);
    while (!keeper->stopping)
        loop_turn(keeper->loop, TURN_MS);
    for (size_t i = 0; i != keeper->options.identity_count; ++i)
        close_identity(&keeper->identities[i]);
    return NULL;
}

static void start_thread(struct keeper *keeper)
{
    sigset_t all, before;
    sigfillset(&all); /* signals belong to the main thread */
    pthread_sigmask(SIG_SETMASK, &all, &before);
    CHECK(pthread_create(&keeper->thread, NULL, run_thread, keeper) == 0);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_barrier_wait(&keeper->opened);
}

/* ---- life ---- */

static const struct keeper_identity *find_same(const struct keeper *previous,
                                               const struct config_identity *wanted)
{
    for (size_t i = 0; i != previous->options.identity_count; ++i)
        if (config_identity_is_same(previous->identities[i].config, wanted))
            return &previous->identities[i];
    return NULL;
}

/* The set that the keeper before held for the same identity is as good as it was: until the first fetch brings another, and
 * where that fails. */
static void take_over(struct keeper_identity *identity)
{
    struct keeper *previous = identity->keeper->options.previous;
    const struct keeper_identity *same =
        previous == NULL ? NULL : find_same(previous, identity->config);
    if (same == NULL)
        return;
    pthread_mutex_lock(&previous->lock);
    if (same->current != NULL) {
        identity->current = credentials_retain(same->current);
        atomic_store(&identity->generation, same->current->generation);
    }
    buffer_append(&identity->fault, buffer_span(&same->fault));
    identity->last_failed = same->last_failed;
    identity->refreshed = same->refreshed;
    identity->failed = same->failed;
    pthread_mutex_unlock(&previous->lock);
}

static void open_identity(struct keeper *keeper, size_t index)
{
    struct keeper_identity *identity = &keeper->identities[index];
    const struct keeper_options *options = &keeper->options;
    identity->keeper = keeper;
    identity->config = &options->identities[index];
    identity->used = options->used == NULL || options->used[index];
    identity->timer.fire = on_timer;
    identity->force_task.run = on_force;
    arena_init(&identity->warning_arena, 512);
    buffer_init(&identity->fault, KEEPER_STATUS_SIZE);
    fetch_init(&identity->fetch, &(struct fetch_options){.loop = keeper->loop,
                                                         .identity = identity->config,
                                                         .getenv = options->getenv,
                                                         .getenv_context = options->getenv_context,
                                                         .skew = options->skew,
                                                         .on_done = on_fetched,
                                                         .owner = identity});
    if (!identity->used)
        return;
    take_over(identity);
    begin_fetch(identity);
}

static void close_identity(struct keeper_identity *identity)
{
    loop_cancel_timer(identity->keeper->loop, &identity->timer);
    fetch_dispose(&identity->fetch);
    credentials_release(identity->current);
    buffer_dispose(&identity->fault);
    arena_dispose(&identity->warning_arena);
    forget_files(identity);
}

struct keeper *keeper_create(const struct keeper_options *options)
{
    struct keeper *keeper = calloc(1, sizeof(*keeper));
    CHECK(keeper != NULL && options->identity_count != 0);
    keeper->options = *options;
    if (options->check_interval_ms == 0)
        keeper->options.check_interval_ms = CHECK_INTERVAL_MS;
    while (getrandom(&keeper->random, sizeof(keeper->random), 0) != sizeof(keeper->random) ||
           keeper->random == 0)
        continue;
    keeper->stop_task.run = on_stop;
    pthread_mutex_init(&keeper->lock, NULL);
    keeper->identities = calloc(options->identity_count, sizeof(*keeper->identities));
    CHECK(keeper->identities != NULL);
    pthread_barrier_init(&keeper->opened, NULL, 2);
    start_thread(keeper);
    keeper->options.previous = NULL;
    return keeper;
}

void keeper_destroy(struct keeper *keeper)
{
    if (keeper == NULL)
        return;
    loop_post(keeper->loop, &keeper->stop_task);
    pthread_join(keeper->thread, NULL);
    loop_give_back(keeper->loop);
    pthread_barrier_destroy(&keeper->opened);
    pthread_mutex_destroy(&keeper->lock);
    free(keeper->identities);
    free(keeper);
}

/* ---- asking ---- */

struct credentials *keeper_retain_current(struct keeper_identity *identity, uint64_t *generation)
{
    pthread_mutex_lock(&identity->keeper->lock);
    struct credentials *current = identity->current;
    *generation = atomic_load(&identity->generation);
    if (current != NULL)
        credentials_retain(current);
    pthread_mutex_unlock(&identity->keeper->lock);
    return current;
}

struct credentials *keeper_current(struct keeper *keeper, size_t identity, struct wall_time now)
{
    uint64_t generation;
    struct credentials *current = keeper_retain_current(&keeper->identities[identity], &generation);
    if (current == NULL || !credentials_is_expired(current, now))
        return current;
    credentials_release(current);
    return NULL;
}

bool keeper_status(struct keeper *keeper, size_t index, struct wall_time now,
                   struct buffer *message)
{
    struct keeper_identity *identity = &keeper->identities[index];
    pthread_mutex_lock(&keeper->lock);
    const struct credentials *current = identity->current;
    bool usable = current != NULL && !credentials_is_expired(current, now);
    if (current != NULL)
        describe(current, now, message);
    if (current != NULL && identity->fault.len != 0)
        buffer_append(message, SPAN("; "));
    buffer_append(message, buffer_span(&identity->fault));
    if (current == NULL && identity->fault.len == 0)
        buffer_append(message, SPAN("the first fetch is under way"));
    pthread_mutex_unlock(&keeper->lock);
    return usable;
}

struct keeper_values keeper_values(struct keeper *keeper, size_t index, struct wall_time now)
{
    struct keeper_identity *identity = &keeper->identities[index];
    struct keeper_values values = {.name = identity->config->label, .used = identity->used};
    pthread_mutex_lock(&keeper->lock);
    const struct credentials *current = identity->current;
    values.last_failed = identity->last_failed;
    values.refreshed = identity->refreshed;
    values.failed = identity->failed;
    values.failing = identity->fault.len != 0;
    if (current != NULL) {
        values.source = current->source;
        values.expires = current->expires;
        values.usable = !credentials_is_expired(current, now);
    }
    pthread_mutex_unlock(&keeper->lock);
    return values;
}
