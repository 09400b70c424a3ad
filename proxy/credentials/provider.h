/* The credentials of one identity, kept fresh off the request path.
 *
 * Fetches at once, refreshes ahead of the expiry, and looks once a second whether a file has
 * changed; one fetch at a time. Only ever replaces a good set by a good one: if a source breaks,
 * the old set stays until it expires. So it does if a remote source returns a set that
 * expires sooner (a broker of several nodes, one of them stale), unless AWS refused the old set or
 * a file has changed. Must not log: the log is a higher layer, so events go to a callback.
 *
 * Lives on the loop of the credential service, which creates and destroys it. Status, values and
 * views are for any thread. */
#ifndef SAGEGATE_CREDENTIALS_PROVIDER_H
#define SAGEGATE_CREDENTIALS_PROVIDER_H

#include "base/skew.h"
#include "config/config.h"
#include "credentials/credentials.h"
#include "net/loop.h"

enum provider_event {
    PROVIDER_LOADED,  /* a new set is in use: "static: key id ...WXYZ, expires 2015-..." */
    PROVIDER_WARNING, /* usable, but: "static: FILE: mode 0644 lets other users ..." */
    PROVIDER_FAILED   /* a source is configured and broken; once for each different fault */
};

/* Fires on the service's thread. message holds no secret. */
typedef void (*provider_on_event)(void *context, enum provider_event event, struct span message);

/* What all providers of a process share. On the service's thread only. */
struct provider_shared {
    struct loop *loop;
    config_getenv getenv;
    void *getenv_context;
    struct skew *skew;          /* of the process */
    provider_on_event on_event; /* NULL: nobody listens */
    void *event_context;
    int64_t check_interval_ms;
    uint64_t random;     /* not 0 */
    uint64_t generation; /* of the newest set */
    int64_t clocks_us;   /* wall less monotonic time at the last look */
};

struct provider;

/* On the service's thread. Copies the identity and begins the first fetch; what needs no waiting
 * (environment, files) has been fetched when it returns. */
struct provider *provider_create(struct provider_shared *shared,
                                 const struct config_identity *identity);
/* On the service's thread. Fetches again now, unless a fetch is in flight. */
void provider_refresh(struct provider *provider);
/* On the service's thread. Must not be called with a view in use; sets that are retained elsewhere
 * live on. */
void provider_destroy(struct provider *provider);
const struct config_identity *provider_identity(const struct provider *provider);

/* Whether there is a usable set, and one line for people: which, or why not (the fault of the last
 * fetch), or which and what is wrong with its source by now. */
bool provider_status(struct provider *provider, struct wall_time now, struct buffer *message);

/* Values for metrics. */
struct provider_values {
    struct span name;             /* the identity's label */
    struct span source;           /* SPAN_NONE before the first set; a literal */
    struct wall_time expires;     /* us 0: never, or no set */
    struct wall_time last_failed; /* us 0: not yet */
    uint64_t refreshed, failed;   /* fetches so far that returned a set, and that did not */
    bool usable, failing;         /* failing: the last fetch failed */
};
struct provider_values provider_values(struct provider *provider, struct wall_time now);

/* ---- a worker's view: no lock and no shared write while the set stays the same ---- */

struct provider_view {
    struct provider *provider; /* NULL: not open */
    struct loop *loop;
    struct credentials *credentials; /* retained by the view */
    uint64_t generation;
    struct provider_waiter *waiters, *waking;
    struct loop_task task;
    /* Under the provider's lock. */
    struct provider_view *next;
    bool posted;
};

struct provider_waiter {
    struct provider_waiter *next, **link; /* link NULL: idle */
    /* Fires once, from the view's loop, with the waiter idle again. */
    void (*wake)(struct provider_waiter *waiter);
};

/* loop: the worker's. The view follows the provider by itself: no replaced set stays in it, and
 * none on the loop's stack. */
void provider_view_open(struct provider_view *view, struct provider *provider, struct loop *loop);
/* With nobody waiting: detaches the view, and returns whether it can be closed while its loop goes
 * on. False: a task is still on its way to the loop; ask again in the next turn. */
MUST_USE bool provider_view_detach(struct provider_view *view);
/* Must not be called with anybody waiting, nor, unless the loop has ended, before
 * provider_view_detach has returned true. */
void provider_view_close(struct provider_view *view);
/* The current set, or NULL if there is none or it has expired. Lent until the loop's next turn or
 * the next call on this view; retain it to keep it longer. */
struct credentials *provider_view_get(struct provider_view *view, struct wall_time now);
/* Returns true if a fetch is in flight: the waiter is woken when it ends, however it ends. */
MUST_USE bool provider_view_wait(struct provider_view *view, struct provider_waiter *waiter);
/* Safe if the waiter is idle. */
void provider_view_cancel(struct provider_waiter *waiter);
/* AWS refused the set of that generation as expired or unknown. Returns true if there is another by
 * now, or a fetch is in flight that may return one. Forces at most one fetch in 5 s. */
MUST_USE bool provider_view_refuse(struct provider_view *view, uint64_t generation);

#endif
