/* A snapshot: one configuration in service with everything made from it, and a worker's use of it.
 *
 * A reload creates the next snapshot beside the current one, and each worker switches to it between
 * two events. A request ends in the snapshot in which it began; the old snapshot is destroyed after
 * its last request has ended. Immutable, except for atomics. */
#ifndef SAGEGATE_GATEWAY_SNAPSHOT_H
#define SAGEGATE_GATEWAY_SNAPSHOT_H

#include "credentials/credential_service.h"
#include "gateway/admission.h"
#include "gateway/reasons.h"
#include "gateway/route.h"
#include "net/pool.h"
#include "observe/metrics.h"

/* Of a route of the configuration, by its index. Both belong to the route's name and outlive the
 * snapshot. */
struct snapshot_route {
    struct admission_route *admission;
    struct metrics_route *metrics;
};

/* Of an upstream, by its index. */
struct snapshot_upstream {
    X509_STORE *trust; /* NULL: plaintext */
    struct metrics_upstream *metrics;
};

struct snapshot {
    struct config *config; /* retained */
    struct route_table *table;
    struct snapshot_route *routes;
    struct metrics_route *no_route; /* counts requests that match no route */
    struct snapshot_upstream *upstreams;
    struct credential_service *credential_service; /* of the process */
    struct provider **providers;                   /* by identity; NULL: no route uses it */
    struct tls_context **listen_tls;               /* by listener of the process; NULL: plaintext */
    size_t listener_count;
    atomic_uint users;      /* workers that use it or will switch to it */
    struct snapshot *older; /* main thread only */
};

struct snapshot_options {
    struct config *config;
    const struct config *started_with; /* at start: its listeners are in use */
    unsigned workers;
    struct admission *admission;
    struct metrics *metrics;                       /* of the process */
    struct credential_service *credential_service; /* of the process */
    int64_t wait_ms;                               /* for credentials; 0: no limit */
};

/* Creates a snapshot. Returns NULL and sets *fault, one line in arena, if a certificate, key or
 * bundle cannot be loaded, or wait_ms has passed. */
MUST_USE struct snapshot *snapshot_create(const struct snapshot_options *options,
                                          struct arena *arena, struct span *fault);
/* Returns whether all identities that its routes use have credentials. Adds a reason for each that
 * has none. now: by AWS's clock. From any thread. */
bool snapshot_has_credentials(const struct snapshot *snapshot, struct wall_time now,
                              struct reasons *reasons);
/* Applies its routes' `concurrency`. */
void snapshot_limit_routes(const struct snapshot *snapshot);
/* Destroys the snapshot. No worker may be using it. Accepts NULL. */
void snapshot_destroy(struct snapshot *snapshot);

/* ---- a worker's use of it: on the worker's thread ---- */

struct snapshot_use {
    struct snapshot *snapshot;
    struct pool **pools;               /* by upstream */
    struct provider_view *credentials; /* by identity */
    size_t exchanges;                  /* of this worker; begun in this snapshot and not ended */
    uint64_t generations;              /* private: their sum at the last look for a rotation */
    struct snapshot_use *older;
};

/* Creates a worker's use and takes over one of snapshot->users. worker: its index; loop: its
 * own. */
MUST_USE struct snapshot_use *snapshot_use_create(struct snapshot *snapshot, unsigned worker,
                                                  struct loop *loop);
/* Counts an exchange that begins in it or has ended. */
static inline void snapshot_use_begin_exchange(struct snapshot_use *use)
{
    ++use->exchanges;
}
static inline void snapshot_use_end_exchange(struct snapshot_use *use)
{
    --use->exchanges;
}
/* Returns whether an identity of the use has got other credentials since the last call. The first
 * ones count too: a new use rotates when it gets any. */
MUST_USE bool snapshot_use_has_rotated(struct snapshot_use *use);
/* Returns whether the use has no exchange left and no task is posted to it. */
MUST_USE bool snapshot_use_is_over(struct snapshot_use *use);
/* Destroys the use, which must be over or its loop must have ended. Not from a callback of one of
 * its connections. */
void snapshot_use_destroy(struct snapshot_use *use);

#endif
