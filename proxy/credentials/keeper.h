/* The keeper: holds the credentials in force and looks after them, off the request path.
 *
 * It goes through the configured sources in order, once when it is made and, where the one in use
 * can change, once a second on a thread of its own. A good set is only ever replaced by a good one:
 * where a source breaks, the old set stays until it expires by itself. It prints nothing (it stands
 * below the log): events go to a callback. */
#ifndef SAGEGATE_CREDENTIALS_KEEPER_H
#define SAGEGATE_CREDENTIALS_KEEPER_H

#include "base/buffer.h"
#include "config/config.h"
#include "credentials/credentials.h"

enum keeper_event {
    KEEPER_LOADED,  /* a new set is in force: "static: key id ...WXYZ, expires 2015-..." */
    KEEPER_WARNING, /* usable, but: "static: FILE: mode 0644 lets others ..." */
    KEEPER_FAILED   /* a source is configured and broken; told once for each different fault */
};

/* Called from keeper_create (before it returns) and on the keeper's thread; must not call back into
 * the keeper. message holds no secret. */
typedef void (*keeper_on_event)(void *context, enum keeper_event event, struct span message);

struct keeper_options {
    const struct config_credentials *credentials; /* copied */
    config_getenv getenv;                         /* used by keeper_create only */
    void *getenv_context;
    keeper_on_event on_event; /* NULL: nobody listens */
    void *event_context;
    int64_t check_interval_ms; /* 0: 1000; tests take less */
};

struct keeper;

/* Never fails: without usable credentials there is a keeper all the same, which says why in
 * keeper_status and goes on trying. Aborts where no thread can be started. */
struct keeper *keeper_create(const struct keeper_options *options);
/* Joins the thread. Snapshots that are retained elsewhere live on; views are disposed before. */
void keeper_destroy(struct keeper *keeper);

/* The set in force, retained for the caller; NULL when there is none or it has expired. Takes a
 * lock: for all but the request path. From any thread. */
MUST_USE struct credentials *keeper_current(struct keeper *keeper, struct wall_time now);

/* Whether there is a usable set, and one line of text for people: which, or why not (the fault of
 * each source that was tried), or which and what is wrong with its source by now. */
bool keeper_status(struct keeper *keeper, struct wall_time now, struct buffer *message);

/* A worker's own window on the keeper: no lock and no shared write while the set stays the same. */
struct keeper_view {
    struct keeper *keeper;
    struct credentials *credentials; /* retained by the view */
    uint64_t generation;
};

void keeper_view_init(struct keeper_view *view, struct keeper *keeper);
void keeper_view_dispose(struct keeper_view *view);
/* The set in force, or NULL when there is none or it has expired. Lent until the next call on this
 * view; who needs it longer retains it. */
struct credentials *keeper_view_get(struct keeper_view *view, struct wall_time now);

#endif
