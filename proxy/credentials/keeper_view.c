/* A worker's view: the set in force without a lock, and waiting for a fetch without blocking. */
#include "credentials/keeper_private.h"

static void on_task(struct loop_task *task);

void keeper_view_init(struct keeper_view *view, struct keeper *keeper, size_t identity,
                      struct loop *loop)
{
    CHECK(identity < keeper->options.identity_count);
    *view = (struct keeper_view){
        .keeper = keeper, .identity = &keeper->identities[identity], .loop = loop};
    view->task.run = on_task;
}

/* Under the keeper's lock. */
static void unregister(struct keeper_view *view)
{
    struct keeper_view **link = &view->identity->registered;
    while (view->registered && *link != view)
        link = &(*link)->next_registered;
    if (view->registered)
        *link = view->next_registered;
    view->registered = false;
}

bool keeper_view_rests(struct keeper_view *view)
{
    pthread_mutex_lock(&view->keeper->lock);
    unregister(view);
    bool rests = !view->posted;
    pthread_mutex_unlock(&view->keeper->lock);
    return rests;
}

/* A task that was posted is not run any more: the view rests, or the loop belongs to a worker that ends. */
void keeper_view_dispose(struct keeper_view *view)
{
    pthread_mutex_lock(&view->keeper->lock);
    unregister(view);
    pthread_mutex_unlock(&view->keeper->lock);
    credentials_release(view->credentials);
    view->credentials = NULL;
    view->generation = 0;
}

struct credentials *keeper_view_get(struct keeper_view *view, struct wall_time now)
{
    struct keeper_identity *identity = view->identity;
    if (atomic_load_explicit(&identity->generation, memory_order_acquire) != view->generation) {
        credentials_release(view->credentials);
        view->credentials = keeper_retain_current(identity, &view->generation);
    }
    if (view->credentials == NULL || credentials_is_expired(view->credentials, now))
        return NULL;
    return view->credentials;
}

/* ---- waiting ---- */

static void link_waiter(struct keeper_waiter **list, struct keeper_waiter *waiter)
{
    waiter->next = *list;
    waiter->link = list;
    if (waiter->next != NULL)
        waiter->next->link = &waiter->next;
    *list = waiter;
}

void keeper_view_cancel(struct keeper_waiter *waiter)
{
    if (waiter->link == NULL)
        return;
    *waiter->link = waiter->next;
    if (waiter->next != NULL)
        waiter->next->link = waiter->link;
    waiter->link = NULL;
    waiter->next = NULL;
}

bool keeper_view_wait(struct keeper_view *view, struct keeper_waiter *waiter)
{
    struct keeper_identity *identity = view->identity;
    CHECK(waiter->link == NULL);
    pthread_mutex_lock(&view->keeper->lock);
    bool fetching = identity->fetching || view->posted;
    if (identity->fetching && !view->registered && !view->posted) {
        view->registered = true;
        view->next_registered = identity->registered;
        identity->registered = view;
    }
    pthread_mutex_unlock(&view->keeper->lock);
    if (fetching)
        link_waiter(&view->waiters, waiter);
    return fetching;
}

/* The fetch has ended. Who is woken may wait again, and may cancel others. */
static void on_task(struct loop_task *task)
{
    struct keeper_view *view = H2O_STRUCT_FROM_MEMBER(struct keeper_view, task, task);
    pthread_mutex_lock(&view->keeper->lock);
    view->posted = false;
    pthread_mutex_unlock(&view->keeper->lock);
    while (view->waiters != NULL) {
        struct keeper_waiter *waiter = view->waiters;
        keeper_view_cancel(waiter);
        link_waiter(&view->waking, waiter);
    }
    while (view->waking != NULL) {
        struct keeper_waiter *waiter = view->waking;
        keeper_view_cancel(waiter);
        waiter->wake(waiter);
    }
}

/* ---- a set that AWS refuses ---- */

bool keeper_view_refuse(struct keeper_view *view, uint64_t generation)
{
    struct keeper_identity *identity = view->identity;
    struct mono_time now = clock_mono();
    pthread_mutex_lock(&view->keeper->lock);
    bool newer = atomic_load(&identity->generation) != generation;
    identity->refused |= !newer;
    bool recently = identity->forced.us != 0 &&
                    clock_us_between(identity->forced, now) < KEEPER_FORCE_EVERY_MS * INT64_C(1000);
    bool force = !newer && !identity->fetching && !recently;
    if (force) {
        identity->forced = now;
        identity->fetching = true;
    }
    bool fetching = identity->fetching;
    pthread_mutex_unlock(&view->keeper->lock);
    if (force)
        loop_post(view->keeper->loop, &identity->force_task);
    return newer || fetching;
}
