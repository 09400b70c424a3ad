/* A snapshot: one configuration in service, with all that is made from it, and a worker's use of it.
 *
 * A reload makes the next snapshot beside the one in force and each worker turns to it between two of its events. A request
 * ends in the snapshot in which it began: the old one goes when its last request has gone. A snapshot is immutable but for
 * atomics. */
#ifndef SAGEGATE_GATEWAY_SNAPSHOT_H
#define SAGEGATE_GATEWAY_SNAPSHOT_H

#include "credentials/credential_service.h"
#include "gateway/admission.h"
#include "gateway/reasons.h"
#include "gateway/route.h"
#include "gateway/series.h"
#include "net/pool.h"

struct snapshot {
    struct config *config; /* retained */
    struct route_table *routes;
    struct admission_route **admission_routes;     /* by route: the process's counters */
    struct series series;                          /* what its requests are counted into */
    struct credential_service *credential_service; /* of the process */
    struct provider **providers;     /* by identity; NULL for one that no route uses */
    X509_STORE **trusts;             /* by upstream; NULL for a plaintext one */
    struct tls_context **listen_tls; /* by listener of the process; NULL for a plain one */
    size_t listener_count;
    atomic_uint users;      /* workers that use it, or are about to */
    struct snapshot *older; /* main thread only */
};

struct snapshot_options {
    struct config *config;
    const struct config *started_with; /* whose listeners the process has */
    unsigned workers;
    struct admission *admission;
    struct metrics *metrics;                       /* of the process */
    struct credential_service *credential_service; /* of the process */
};

/* NULL, with *fault one clear line in arena, where a certificate, key or bundle cannot be had. */
MUST_USE struct snapshot *snapshot_create(const struct snapshot_options *options,
                                          struct arena *arena, struct span *fault);
/* Do all identities that its routes use have credentials? Adds a reason for each that has none.
 * now: by AWS's clock. On any thread. */
bool snapshot_has_credentials(const struct snapshot *snapshot, struct wall_time now,
                              struct reasons *reasons);
/* From now on its routes' `concurrency` holds. */
void snapshot_limit_routes(const struct snapshot *snapshot);
/* No worker uses it any more, or none was started. Takes NULL. */
void snapshot_destroy(struct snapshot *snapshot);

/* ---- a worker's use of it: on the worker's thread ---- */

struct snapshot_use {
    struct snapshot *snapshot;
    struct pool **pools;               /* by upstream */
    struct provider_view *credentials; /* by identity */
    size_t exchanges;                  /* of this worker, that began in it */
    struct snapshot_use *older;
};

/* Takes over one of snapshot->users. worker: by number, loop: its own. */
MUST_USE struct snapshot_use *snapshot_use_create(struct snapshot *snapshot, unsigned worker,
                                                  struct loop *loop);
/* No exchange is left in it, and nothing is on its way to it. */
MUST_USE bool snapshot_use_is_over(struct snapshot_use *use);
/* It is over, or its loop turns no more; none of its connections is being called back. */
void snapshot_use_destroy(struct snapshot_use *use);

#endif
