/* The gateway as a whole: opens everything for a configuration in a visible order, takes others
 * into service, and closes it all. */
#ifndef SAGEGATE_GATEWAY_GATEWAY_H
#define SAGEGATE_GATEWAY_GATEWAY_H

#include "gateway/worker.h"

struct gateway {
    struct worker_group group;
    const struct config *config; /* started with: what a reload cannot change; see snapshot */
    struct snapshot *snapshot;   /* in force, older ones behind it */
    struct credential_service *credential_service;
    struct metrics *metrics;
    struct wall_time started, loaded; /* the process; the configuration in force */
    uint64_t reloads, reloads_refused;
    struct span version, build; /* of the program */
};

struct gateway_options {
    struct config *config;                         /* outlives the gateway */
    struct credential_service *credential_service; /* outlives the gateway, as does: */
    struct skew *skew;                             /* of the machine's clock */
    /* A worker has ended. On its thread, once each. */
    void (*on_worker_ended)(struct worker_group *group);
    struct span version, build; /* for the metrics; outlive the gateway */
};

/* Opens log, credentials, trust and listening sockets. False, with *fault one clear line in arena,
 * if something cannot be opened; gateway_close then closes the rest. */
MUST_USE bool gateway_open(struct gateway *gateway, const struct gateway_options *options,
                           struct arena *arena, struct span *fault);
/* Starts the workers; callers are served from now on. */
void gateway_start(struct gateway *gateway);
/* Once, after gateway_start: stops accepting and lets each worker end when its last connection has
 * closed, or at drain.limit. Returns at once. */
void gateway_drain(struct gateway *gateway);
/* Waits for the workers, if started, and frees everything. Accepts a half-opened gateway. */
void gateway_close(struct gateway *gateway);

enum { GATEWAY_SNAPSHOTS_MAX = 8 };
/* Takes config into service: requests that begin from now on follow it. What a process has once
 * (listeners' addresses, admin, health, workers, the access log's file) stays, with a warning for
 * each that differs, in the log and in reasons, which may be NULL. False, with *fault one clear
 * line in arena: nothing has changed. On the main thread, between gateway_start and
 * gateway_drain. */
MUST_USE bool gateway_reload(struct gateway *gateway, struct config *config,
                             struct reasons *reasons, struct arena *arena, struct span *fault);
/* Frees snapshots that no request uses any more; to be called now and then. */
void gateway_drop_snapshots(struct gateway *gateway);

#endif
