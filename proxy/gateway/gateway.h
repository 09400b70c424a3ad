/* The gateway as a whole: opens everything that a configuration needs, in a visible order, switches
 * to other configurations, and closes everything. */
#ifndef SAGEGATE_GATEWAY_GATEWAY_H
#define SAGEGATE_GATEWAY_GATEWAY_H

#include "gateway/worker.h"

struct gateway {
    struct worker_group group;
    const struct config *config; /* at start; has what a reload cannot change; see snapshot */
    struct snapshot *snapshot;   /* the current one; linked to older ones */
    struct credential_service *credential_service;
    struct metrics *metrics;
    struct wall_time started, loaded; /* start of the process; load of the current configuration */
    uint64_t reloads, reloads_refused;
    struct span version, build; /* of the program */
};

struct gateway_options {
    struct config *config;                         /* outlives the gateway */
    struct credential_service *credential_service; /* outlives the gateway, like: */
    struct skew *skew;                             /* of the machine's clock */
    /* A worker has ended. Fires once per worker, on its thread. */
    void (*on_worker_ended)(struct worker_group *group);
    struct span version, build; /* for the metrics; outlive the gateway */
};

/* Opens log, credentials, trust and listening sockets. If one cannot be opened, returns false with
 * *fault set to one line in arena; gateway_close then closes the others. */
MUST_USE bool gateway_open(struct gateway *gateway, const struct gateway_options *options,
                           struct arena *arena, struct span *fault);
/* Starts the workers and accepts connections. */
void gateway_start(struct gateway *gateway);
/* Stops accepting, and lets each worker end when its last connection closes, or at drain.limit.
 * Returns at once. Call once, after gateway_start. */
void gateway_drain(struct gateway *gateway);
/* Waits for the workers, if started, and frees everything. Accepts a half-opened gateway. */
void gateway_close(struct gateway *gateway);

enum { GATEWAY_SNAPSHOTS_MAX = 8 };
/* Switches to config for all requests that begin from now on. Settings that are fixed at start
 * (listeners' addresses, admin, health, workers, the access log's file) stay; warns of each that
 * differs, in the log and in reasons, which may be NULL. Returns false with *fault set to one line
 * in arena if nothing changed. On the main thread, between gateway_start and gateway_drain. */
MUST_USE bool gateway_reload(struct gateway *gateway, struct config *config,
                             struct reasons *reasons, struct arena *arena, struct span *fault);
/* Frees snapshots that no request uses any more. Call regularly. */
void gateway_drop_snapshots(struct gateway *gateway);

#endif
