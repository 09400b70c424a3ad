/* The keeper's thread: fetching, refreshing ahead, noticing changed files. */
#include "credentials/keeper_private.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>

enum { CHECK_INTERVAL_MS = 1000, TURN_MS = 60 * 1000 };

static void begin_fetch(struct keeper_identity *identity);
static void on_fetched(struct fetch *fetch);
static void take_result(struct keeper_identity *identity);
static void on_timer(struct timer *timer);

/* ---- the end of a fetch ---- */

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

/* Those of the chain that has just been made; its own list of them goes with the next fetch. */
static void watch_files(struct keeper_identity *identity)
{
    const struct chain *chain = &identity->fetch.chain;
    forget_files(identity);
    for (size_t i = 0; i != chain->file_count; ++i) {
        identity->files[i] = strdup(chain->files[i].name);
        CHECK(identity->files[i] != NULL);
        identity->versions[i] = chain->files[i].version;
    }
    identity->file_count = chain->file_count;
}

/* ---- the machine's clock ---- */

static int64_t clocks_us(void)
{
    return clock_wall().us - clock_mono().us;
}

/* With the clock set, an offset learned before is wrong, and where by it every set seems to be over no request goes out whose
 * answer could tell. Dropped in vain (a machine that was suspended), it is learned again at the next refusal. */
static void notice_set_clock(struct keeper *keeper)
{
    const struct keeper_options *options = &keeper->options;
    int64_t now_us = clocks_us(), step_s = (now_us - keeper->clocks_us) / 1000000;
    char text[160];
    keeper->clocks_us = now_us;
    if ((step_s < SKEW_MENDED_S && step_s > -SKEW_MENDED_S) || !skew_forget(options->skew) ||
        options->on_event == NULL)
        return;
    snprintf(text, sizeof(text),
             "this machine's clock has been set %s by %lld s: what was learned of AWS's clock is "
             "dropped",
             step_s > 0 ? "forward" : "back", (long long)(step_s > 0 ? step_s : -step_s));
    options->on_event(options->event_context, KEEPER_WARNING, span_from(text));
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
        struct mono_time due = after_us(now, identity->due.us - keeper_result_aws_time(keeper).us);
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
    if (fetch_start(&identity->fetch))
        take_result(identity);
}

static void on_fetched(struct fetch *fetch)
{
    take_result(fetch->options.owner);
}

static void take_result(struct keeper_identity *identity)
{
    notice_set_clock(identity->keeper);
    keeper_result_take(identity);
    watch_files(identity);
    wake_views(identity);
    set_timer(identity);
}

static void on_timer(struct timer *timer)
{
    struct keeper_identity *identity = H2O_STRUCT_FROM_MEMBER(struct keeper_identity, timer, timer);
    struct mono_time now = identity->keeper->loop->now;
    notice_set_clock(identity->keeper);
    if (identity->fetch.running)
        return;
    bool retry = identity->retry_at.us != 0 && identity->retry_at.us <= now.us;
    bool due = identity->retry_at.us == 0 && identity->due.us != 0 &&
               identity->due.us <= keeper_result_aws_time(identity->keeper).us;
    bool changed = has_changed_file(identity);
    identity->files_changed |= changed;
    if (retry || due || changed)
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

/* All that lives on the loop is made and taken down here: libh2o keeps memory by thread. */
static void run(struct loop *loop, void *context)
{
    struct keeper *keeper = context;
    keeper->loop = loop;
    for (size_t i = 0; i != keeper->options.identity_count; ++i)
        open_identity(keeper, i);
    pthread_barrier_wait(&keeper->opened);
    while (!keeper->stopping)
        loop_turn(keeper->loop, TURN_MS);
    for (size_t i = 0; i != keeper->options.identity_count; ++i)
        close_identity(&keeper->identities[i]);
}

/* ---- life ---- */

/* One that holds a set, if there is one; NULL: none is the same. Under the lock of `previous`. */
static const struct keeper_identity *find_same(const struct keeper *previous,
                                               const struct config_identity *wanted)
{
    const struct keeper_identity *found = NULL;
    for (size_t i = 0; i != previous->options.identity_count; ++i) {
        const struct keeper_identity *identity = &previous->identities[i];
        if (!config_identity_is_same(identity->config, wanted))
            continue;
        if (identity->current != NULL)
            return identity;
        if (found == NULL || identity->used)
            found = identity;
    }
    return found;
}

/* The set that the keeper before held for the same identity is as good as it was: until the first fetch brings another, and
 * where that fails. */
static void take_over(struct keeper_identity *identity, struct keeper *previous)
{
    pthread_mutex_lock(&previous->lock);
    const struct keeper_identity *same = find_same(previous, identity->config);
    if (same != NULL) {
        if (same->current != NULL) {
            identity->current = credentials_retain(same->current);
            atomic_store(&identity->generation, same->current->generation);
        }
        buffer_append(&identity->fault, buffer_span(&same->fault));
        identity->last_failed = same->last_failed;
        identity->refreshed = same->refreshed;
        identity->failed = same->failed;
    }
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
    if (options->previous != NULL)
        take_over(identity, options->previous);
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
    keeper->clocks_us = clocks_us();
    keeper->stop_task.run = on_stop;
    pthread_mutex_init(&keeper->lock, NULL);
    keeper->identities = calloc(options->identity_count, sizeof(*keeper->identities));
    CHECK(keeper->identities != NULL);
    pthread_barrier_init(&keeper->opened, NULL, 2);
    keeper->thread = loop_thread_start(run, keeper);
    pthread_barrier_wait(&keeper->opened);
    keeper->options.previous = NULL;
    return keeper;
}

void keeper_destroy(struct keeper *keeper)
{
    if (keeper == NULL)
        return;
    loop_post(keeper->loop, &keeper->stop_task);
    loop_thread_join(keeper->thread);
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
        credentials_describe(current, now, message);
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
