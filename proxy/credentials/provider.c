/* Fetching, refreshing ahead, noticing changed files; and the workers' views of the result. */
#include "credentials/provider.h"

#include <pthread.h>
#include <stdlib.h>

#include "credentials/fetch.h"
#include "credentials/file.h"
#include "credentials/refresh.h"

enum { STATUS_SIZE = 2048, FORCE_EVERY_MS = 5000 };

struct provider {
    /* The service's thread only. */
    struct provider_shared *shared;
    struct arena arena; /* the identity's */
    struct config_identity identity;
    struct fetch fetch;
    struct timer timer;
    unsigned failures;         /* in a row */
    struct wall_time due;      /* of the next refresh, by AWS's clock; us 0: none */
    struct mono_time retry_at; /* after a failure; us 0: none */
    bool files_changed;        /* and no fetch has returned a set since */
    struct buffer warned;      /* the last warning */
    struct loop_task force_task;

    atomic_uint_fast64_t generation; /* of `current`; written under the lock */
    pthread_mutex_t lock;
    struct credentials *current; /* NULL before the first set */
    struct buffer fault;         /* of the last fetch; empty: it succeeded */
    struct wall_time last_failed;
    uint64_t refreshed, failed;
    bool fetching;
    bool refused; /* AWS refused `current` */
    struct mono_time forced;
    struct provider_view *views;
};

static void on_timer(struct timer *timer);
static void on_force(struct loop_task *task);
static void begin_fetch(struct provider *provider);
static void on_fetched(struct fetch *fetch);
static void take_result(struct provider *provider);
static void wake_views(struct provider *provider);
static void set_timer(struct provider *provider);
static void on_view_task(struct loop_task *task);

/* ---- life ---- */

struct provider *provider_create(struct provider_shared *shared,
                                 const struct config_identity *identity)
{
    struct provider *provider = calloc(1, sizeof(*provider));
    CHECK(provider != NULL);
    provider->shared = shared;
    arena_init(&provider->arena, 512);
    provider->identity = config_identity_copy(identity, &provider->arena);
    provider->timer.fire = on_timer;
    provider->force_task.run = on_force;
    pthread_mutex_init(&provider->lock, NULL);
    buffer_init(&provider->warned, STATUS_SIZE);
    buffer_init(&provider->fault, STATUS_SIZE);
    fetch_init(&provider->fetch, &(struct fetch_options){.loop = shared->loop,
                                                         .identity = &provider->identity,
                                                         .getenv = shared->getenv,
                                                         .getenv_context = shared->getenv_context,
                                                         .skew = shared->skew,
                                                         .on_done = on_fetched,
                                                         .owner = provider});
    begin_fetch(provider);
    return provider;
}

void provider_refresh(struct provider *provider)
{
    if (!provider->fetch.running)
        begin_fetch(provider);
}

void provider_destroy(struct provider *provider)
{
    CHECK(provider->views == NULL);
    loop_cancel_timer(provider->shared->loop, &provider->timer);
    fetch_dispose(&provider->fetch);
    credentials_release(provider->current);
    buffer_dispose(&provider->fault);
    buffer_dispose(&provider->warned);
    arena_dispose(&provider->arena);
    pthread_mutex_destroy(&provider->lock);
    free(provider);
}

const struct config_identity *provider_identity(const struct provider *provider)
{
    return &provider->identity;
}

/* ---- clocks and chance ---- */

/* By AWS's clock, as far as it is known: sets expire by that one. */
static struct wall_time aws_time(const struct provider *provider)
{
    return skew_correct(provider->shared->skew, clock_wall());
}

static uint32_t chance(struct provider_shared *shared)
{
    shared->random ^= shared->random << 13;
    shared->random ^= shared->random >> 7;
    shared->random ^= shared->random << 17;
    return (uint32_t)(shared->random >> 16);
}

/* Forgets the offset to AWS's clock if the machine's clock was set: if every set seems expired by
 * an offset that is wrong now, no request goes out whose response could correct it. Forgotten for
 * nothing (a machine that was suspended), it is learned again at the next refusal. */
static void notice_set_clock(struct provider_shared *shared)
{
    int64_t now_us = clock_wall().us - clock_mono().us;
    int64_t step_s = shared->clocks_us == 0 ? 0 : (now_us - shared->clocks_us) / 1000000;
    char text[160];
    shared->clocks_us = now_us;
    if ((step_s < SKEW_CORRECTED_S && step_s > -SKEW_CORRECTED_S) || !skew_forget(shared->skew) ||
        shared->on_event == NULL)
        return;
    snprintf(text, sizeof(text),
             "this machine's clock was set %s by %lld s: discarding its offset from AWS's clock",
             step_s > 0 ? "forward" : "back", (long long)(step_s > 0 ? step_s : -step_s));
    shared->on_event(shared->event_context, PROVIDER_WARNING, span_from(text));
}

/* ---- when to fetch ---- */

static bool has_changed_file(const struct provider *provider)
{
    const struct chain *chain = &provider->fetch.chain;
    for (size_t i = 0; i != chain->file_count; ++i) {
        struct file_version version = file_version(chain->files[i].name);
        if (!file_same_version(&version, &chain->files[i].version))
            return true;
    }
    return false;
}

/* The next look: after the check interval, or when a fetch is due before that. */
static void set_timer(struct provider *provider)
{
    struct loop *loop = provider->shared->loop;
    struct mono_time now = loop_read_clock(loop);
    struct mono_time at = clock_after_ms(now, provider->shared->check_interval_ms);
    if (provider->retry_at.us != 0 && provider->retry_at.us < at.us)
        at = provider->retry_at;
    if (provider->due.us != 0 && provider->retry_at.us == 0) {
        int64_t wait_us = provider->due.us - aws_time(provider).us;
        struct mono_time due = {now.us + (wait_us > 0 ? wait_us : 0)};
        if (due.us < at.us)
            at = due;
    }
    loop_set_timer(loop, &provider->timer, at);
}

static void on_timer(struct timer *timer)
{
    struct provider *provider = H2O_STRUCT_FROM_MEMBER(struct provider, timer, timer);
    struct mono_time now = provider->shared->loop->now;
    notice_set_clock(provider->shared);
    if (provider->fetch.running)
        return;
    bool retry = provider->retry_at.us != 0 && provider->retry_at.us <= now.us;
    bool due = provider->retry_at.us == 0 && provider->due.us != 0 &&
               provider->due.us <= aws_time(provider).us;
    bool changed = has_changed_file(provider);
    provider->files_changed |= changed;
    if (retry || due || changed)
        begin_fetch(provider);
    else
        set_timer(provider);
}

static void on_force(struct loop_task *task)
{
    provider_refresh(H2O_STRUCT_FROM_MEMBER(struct provider, force_task, task));
}

static void begin_fetch(struct provider *provider)
{
    pthread_mutex_lock(&provider->lock);
    provider->fetching = true;
    pthread_mutex_unlock(&provider->lock);
    loop_read_clock(provider->shared->loop);
    if (fetch_start(&provider->fetch))
        take_result(provider);
}

static void on_fetched(struct fetch *fetch)
{
    take_result(fetch->options.owner);
}

/* ---- what a fetch returned ---- */

/* Puts the name of an identity in front, unless it is the default one. */
static void tell(const struct provider *provider, enum provider_event event, struct span message)
{
    const struct provider_shared *shared = provider->shared;
    char text[STATUS_SIZE + 128];
    struct buffer out;
    if (shared->on_event == NULL)
        return;
    buffer_init_fixed(&out, text, sizeof(text));
    if (!span_equals(provider->identity.label, SPAN("default")))
        buffer_printf(&out, "identity %.*s: ", SPAN_ARG(provider->identity.label));
    buffer_append(&out, message);
    shared->on_event(shared->event_context, event, buffer_span(&out));
}

/* An early refresh should return credentials that expire later. If a remote source's do not, they
 * come from a stale store, and count only if the current ones expired, were refused, or are no
 * longer what the files ask for. Under the lock. now: by AWS's clock. */
static bool is_stale(const struct provider *provider, const struct credentials *found,
                     struct wall_time now)
{
    const struct credentials *current = provider->current;
    const struct chain *chain = &provider->fetch.chain;
    bool is_remote = chain->base != CHAIN_SET || chain->role_count != 0;
    return is_remote && !credentials_is_expired(current, now) && !provider->refused &&
           !provider->files_changed && span_equals(current->source, found->source) &&
           found->expires.us != 0 && found->expires.us < current->expires.us;
}

/* Takes the reference. Returns whether the current set is still the one before. */
static bool put_in_force(struct provider *provider, struct credentials *found, struct wall_time now)
{
    pthread_mutex_lock(&provider->lock);
    struct credentials *old = provider->current;
    bool stays = old != NULL && (credentials_is_same(old, found) || is_stale(provider, found, now));
    if (!stays) {
        found->generation = ++provider->shared->generation;
        provider->current = found;
        provider->refused = false;
        atomic_store(&provider->generation, found->generation);
    }
    pthread_mutex_unlock(&provider->lock);
    credentials_release(stays ? found : old);
    return stays;
}

/* Takes the reference. now: by AWS's clock. */
static void note_set(struct provider *provider, struct credentials *found, struct wall_time now)
{
    char text[STATUS_SIZE];
    struct buffer message;
    bool stays = put_in_force(provider, found, now);
    pthread_mutex_lock(&provider->lock);
    bool was_failing = provider->fault.len != 0;
    buffer_clear(&provider->fault);
    ++provider->refreshed;
    pthread_mutex_unlock(&provider->lock);
    provider->failures = 0;
    provider->files_changed = false;
    buffer_init_fixed(&message, text, sizeof(text));
    credentials_describe(provider->current, now, &message);
    if (!stays || was_failing)
        tell(provider, PROVIDER_LOADED, buffer_span(&message));

    struct wall_time expires = provider->current->expires;
    enum chain_base base = provider->fetch.chain.base;
    if (expires.us != 0)
        provider->due = stays ? refresh_due_unchanged(now, expires)
                              : refresh_due(now, expires, chance(provider->shared));
    else if (base != CHAIN_SET && base != CHAIN_PROCESS)
        provider->due = (struct wall_time){now.us + REFRESH_UNEXPIRING_MS * INT64_C(1000)};
}

/* Keeps the current set. Reports the same fault once. */
static void note_fault(struct provider *provider, struct span fault)
{
    if (fault.len > STATUS_SIZE)
        fault.len = STATUS_SIZE;
    pthread_mutex_lock(&provider->lock);
    bool known = span_equals(buffer_span(&provider->fault), fault);
    buffer_clear(&provider->fault);
    buffer_append(&provider->fault, fault);
    provider->last_failed = clock_wall();
    ++provider->failed;
    pthread_mutex_unlock(&provider->lock);
    ++provider->failures;
    provider->retry_at =
        clock_after_ms(provider->shared->loop->now,
                       refresh_backoff_ms(provider->failures, chance(provider->shared)));
    if (!known)
        tell(provider, PROVIDER_FAILED, fault);
}

static void note_warning(struct provider *provider, struct span warning)
{
    if (span_equals(buffer_span(&provider->warned), warning))
        return;
    buffer_clear(&provider->warned);
    buffer_append(&provider->warned, warning);
    if (warning.len != 0)
        tell(provider, PROVIDER_WARNING, warning);
}

/* now: by AWS's clock. */
static void note_expired(struct provider *provider, const struct credentials *found,
                         struct wall_time now)
{
    char text[512];
    struct buffer fault;
    buffer_init_fixed(&fault, text, sizeof(text));
    credentials_describe(found, now, &fault);
    buffer_append(&fault, SPAN(": the source returned expired credentials; renew them there, or "
                               "correct this machine's clock"));
    note_fault(provider, buffer_span(&fault));
}

static void take_result(struct provider *provider)
{
    struct fetch *fetch = &provider->fetch;
    struct credentials *found = fetch->found;
    notice_set_clock(provider->shared);
    struct wall_time now = aws_time(provider);
    provider->retry_at.us = 0;
    provider->due.us = 0;
    fetch->found = NULL;
    if (fetch->result != CREDENTIALS_FOUND) {
        note_fault(provider, fetch->notes.fault);
    } else if (credentials_is_expired(found, now)) {
        note_expired(provider, found, now);
        credentials_release(found);
    } else {
        note_warning(provider, fetch->notes.warning);
        note_set(provider, found, now);
    }
    wake_views(provider);
    set_timer(provider);
}

/* ---- asking ---- */

bool provider_status(struct provider *provider, struct wall_time now, struct buffer *message)
{
    pthread_mutex_lock(&provider->lock);
    const struct credentials *current = provider->current;
    bool usable = current != NULL && !credentials_is_expired(current, now);
    if (current != NULL)
        credentials_describe(current, now, message);
    if (current != NULL && provider->fault.len != 0)
        buffer_append(message, SPAN("; "));
    buffer_append(message, buffer_span(&provider->fault));
    if (current == NULL && provider->fault.len == 0)
        buffer_append(message, SPAN("the first fetch is in flight"));
    pthread_mutex_unlock(&provider->lock);
    return usable;
}

struct provider_values provider_values(struct provider *provider, struct wall_time now)
{
    pthread_mutex_lock(&provider->lock);
    const struct credentials *current = provider->current;
    struct provider_values values = {.name = provider->identity.label,
                                     .last_failed = provider->last_failed,
                                     .refreshed = provider->refreshed,
                                     .failed = provider->failed,
                                     .failing = provider->fault.len != 0};
    if (current != NULL) {
        values.source = current->source;
        values.expires = current->expires;
        values.usable = !credentials_is_expired(current, now);
    }
    pthread_mutex_unlock(&provider->lock);
    return values;
}

/* ---- views ---- */

void provider_view_open(struct provider_view *view, struct provider *provider, struct loop *loop)
{
    *view = (struct provider_view){.provider = provider, .loop = loop};
    view->task.run = on_view_task;
    pthread_mutex_lock(&provider->lock);
    view->next = provider->views;
    provider->views = view;
    pthread_mutex_unlock(&provider->lock);
}

bool provider_view_detach(struct provider_view *view)
{
    struct provider *provider = view->provider;
    CHECK(view->waiters == NULL && view->waking == NULL);
    pthread_mutex_lock(&provider->lock);
    for (struct provider_view **link = &provider->views; *link != NULL; link = &(*link)->next)
        if (*link == view) {
            *link = view->next;
            break;
        }
    bool rests = !view->posted;
    pthread_mutex_unlock(&provider->lock);
    return rests;
}

void provider_view_close(struct provider_view *view)
{
    (void)!provider_view_detach(view);
    credentials_release(view->credentials);
    *view = (struct provider_view){.provider = NULL};
}

static void follow(struct provider_view *view)
{
    struct provider *provider = view->provider;
    if (atomic_load_explicit(&provider->generation, memory_order_acquire) == view->generation)
        return;
    credentials_release(view->credentials);
    pthread_mutex_lock(&provider->lock);
    view->credentials = credentials_retain(provider->current);
    view->generation = atomic_load(&provider->generation);
    pthread_mutex_unlock(&provider->lock);
}

struct credentials *provider_view_get(struct provider_view *view, struct wall_time now)
{
    follow(view);
    if (view->credentials == NULL || credentials_is_expired(view->credentials, now))
        return NULL;
    return view->credentials;
}

/* A fetch has ended: every view lets go of a set that was replaced, and wakes who waits. */
static void wake_views(struct provider *provider)
{
    pthread_mutex_lock(&provider->lock);
    provider->fetching = false;
    for (struct provider_view *view = provider->views; view != NULL; view = view->next)
        if (!view->posted) {
            view->posted = true;
            loop_post(view->loop, &view->task);
        }
    pthread_mutex_unlock(&provider->lock);
}

static void link_waiter(struct provider_waiter **list, struct provider_waiter *waiter)
{
    waiter->next = *list;
    waiter->link = list;
    if (waiter->next != NULL)
        waiter->next->link = &waiter->next;
    *list = waiter;
}

void provider_view_cancel(struct provider_waiter *waiter)
{
    if (waiter->link == NULL)
        return;
    *waiter->link = waiter->next;
    if (waiter->next != NULL)
        waiter->next->link = waiter->link;
    waiter->link = NULL;
    waiter->next = NULL;
}

bool provider_view_wait(struct provider_view *view, struct provider_waiter *waiter)
{
    CHECK(waiter->link == NULL);
    pthread_mutex_lock(&view->provider->lock);
    bool fetching = view->provider->fetching || view->posted;
    pthread_mutex_unlock(&view->provider->lock);
    if (fetching)
        link_waiter(&view->waiters, waiter);
    return fetching;
}

/* A woken waiter may wait again and may cancel others. */
static void on_view_task(struct loop_task *task)
{
    struct provider_view *view = H2O_STRUCT_FROM_MEMBER(struct provider_view, task, task);
    pthread_mutex_lock(&view->provider->lock);
    view->posted = false;
    pthread_mutex_unlock(&view->provider->lock);
    follow(view);
    secret_wipe_stack(); /* signing had the replaced set there */
    while (view->waiters != NULL) {
        struct provider_waiter *waiter = view->waiters;
        provider_view_cancel(waiter);
        link_waiter(&view->waking, waiter);
    }
    while (view->waking != NULL) {
        struct provider_waiter *waiter = view->waking;
        provider_view_cancel(waiter);
        waiter->wake(waiter);
    }
}

bool provider_view_refuse(struct provider_view *view, uint64_t generation)
{
    struct provider *provider = view->provider;
    struct mono_time now = clock_mono();
    pthread_mutex_lock(&provider->lock);
    bool newer = atomic_load(&provider->generation) != generation;
    provider->refused |= !newer;
    bool recently = provider->forced.us != 0 &&
                    clock_us_between(provider->forced, now) < FORCE_EVERY_MS * INT64_C(1000);
    bool force = !newer && !provider->fetching && !recently;
    if (force) {
        provider->forced = now;
        provider->fetching = true;
    }
    bool fetching = provider->fetching;
    pthread_mutex_unlock(&provider->lock);
    if (force)
        loop_post(provider->shared->loop, &provider->force_task);
    return newer || fetching;
}
