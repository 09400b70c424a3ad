/* The keeper: holds the credentials in force, of each identity, and looks after them off the request
 * path, on a thread and loop of its own.
 *
 * It fetches what is used when it is made, refreshes ahead of the end, and looks once a second
 * whether a file has changed. One fetch an identity at a time. A good set is only ever replaced by a
 * good one: where a source breaks, the old set stays until it expires by itself; so it does where one
 * that is asked gives a set that ends sooner (a broker of several nodes, one of them stale), unless
 * AWS has refused the old one or a file has changed. It prints nothing (it stands below the log):
 * events go to a callback. */
#ifndef SAGEGATE_CREDENTIALS_KEEPER_H
#define SAGEGATE_CREDENTIALS_KEEPER_H

#include "base/skew.h"
#include "config/config.h"
#include "credentials/credentials.h"
#include "net/loop.h"

enum keeper_event {
    KEEPER_LOADED,  /* a new set is in force: "static: key id ...WXYZ, expires 2015-..." */
    KEEPER_WARNING, /* usable, but: "static: FILE: mode 0644 lets others ..." */
    KEEPER_FAILED   /* a source is configured and broken; told once for each different fault */
};

/* On the keeper's thread, from before keeper_create returns; must not call back into the keeper.
 * message holds no secret. */
typedef void (*keeper_on_event)(void *context, enum keeper_event event, struct span message);

struct keeper_options {
    const struct config_identity *identities; /* outlive the keeper */
    size_t identity_count;
    const bool *used;     /* by identity; those that are not are never fetched. NULL: all are */
    config_getenv getenv; /* from the keeper's thread too */
    void *getenv_context;
    struct skew *skew; /* of the process */
    /* The keeper before this one, at a reload: the sets of identities that are the same go on being used. Asked by
     * keeper_create only. NULL: none. */
    struct keeper *previous;
    keeper_on_event on_event; /* NULL: nobody listens */
    void *event_context;
    int64_t check_interval_ms; /* 0: 1000; tests take less */
};

struct keeper;

/* Never fails: without usable credentials there is a keeper all the same, which says why in
 * keeper_status and goes on trying. What needs no waiting (environment, files) has been fetched when
 * it returns. Aborts where no thread can be started. */
struct keeper *keeper_create(const struct keeper_options *options);
/* Joins the thread. Snapshots that are retained elsewhere live on; views are disposed before. */
void keeper_destroy(struct keeper *keeper);

/* The set of an identity in force, retained for the caller; NULL when there is none or it has
 * expired. Takes a lock: for all but the request path. From any thread. */
MUST_USE struct credentials *keeper_current(struct keeper *keeper, size_t identity,
                                            struct wall_time now);

/* Whether there is a usable set, and one line of text for people: which, or why not (the fault of
 * the last try), or which and what is wrong with its source by now. */
bool keeper_status(struct keeper *keeper, size_t identity, struct wall_time now,
                   struct buffer *message);

/* Values for metrics. */
struct keeper_values {
    struct span name;             /* its label: no two are alike */
    struct span source;           /* SPAN_NONE before the first set; a literal */
    struct wall_time expires;     /* us 0: never, or no set */
    struct wall_time last_failed; /* us 0: not yet */
    uint64_t refreshed, failed;   /* fetches so far that brought a set, and that did not */
    bool used, usable, failing;   /* failing: the last fetch failed */
};
struct keeper_values keeper_values(struct keeper *keeper, size_t index, struct wall_time now);

/* A worker's own window on an identity: no lock and no shared write while the set stays the same. */
struct keeper_view {
    struct keeper *keeper;
    struct keeper_identity *identity;
    struct loop *loop;
    struct credentials *credentials; /* retained by the view */
    uint64_t generation;
    struct keeper_waiter *waiters; /* who is woken when the fetch under way ends */
    struct keeper_waiter *waking;
    struct loop_task task;
    struct keeper_view *next_registered; /* under the keeper's lock, as are: */
    bool registered, posted;
};

struct keeper_waiter {
    struct keeper_waiter *next, **link; /* link NULL: idle */
    /* From the loop's turn, once. The waiter is idle again by then. */
    void (*wake)(struct keeper_waiter *waiter);
};

/* keeper_view.c. loop: the worker's. */
void keeper_view_init(struct keeper_view *view, struct keeper *keeper, size_t identity,
                      struct loop *loop);
/* Nobody waits any more. */
void keeper_view_dispose(struct keeper_view *view);
/* Nobody waits any more: whether nothing is on its way to this view's loop, so that it can be disposed of while the loop
 * goes on. */
MUST_USE bool keeper_view_rests(struct keeper_view *view);
/* The set in force, or NULL when there is none or it has expired. Lent until the next call on this
 * view; who needs it longer retains it. */
struct credentials *keeper_view_get(struct keeper_view *view, struct wall_time now);
/* True: a fetch is under way, and the waiter is woken when it has ended, one way or the other. */
MUST_USE bool keeper_view_wait(struct keeper_view *view, struct keeper_waiter *waiter);
void keeper_view_cancel(struct keeper_waiter *waiter); /* takes an idle one */
/* AWS has refused the set of that generation as expired or unknown. True: there is another by now,
 * or a fetch is under way that may bring one. At most one forced fetch in 5 s. */
MUST_USE bool keeper_view_refuse(struct keeper_view *view, uint64_t generation);

#endif
