/* The gateway as a whole: everything opened for a configuration, in a visible order, and taken down again. */
#ifndef SAGEGATE_GATEWAY_GATEWAY_H
#define SAGEGATE_GATEWAY_GATEWAY_H

#include "gateway/admin.h"
#include "gateway/worker.h"

struct gateway_options {
    const struct config *config; /* outlives the gateway */
    config_getenv getenv;
    void *getenv_context;
    /* From a worker's thread, once for each that has ended. */
    void (*on_worker_ended)(struct gateway *gateway);
};

/* Opens log, credentials, trust and listening sockets. False, with *fault one clear line in arena, where something cannot
 * be had; what was opened is given back by gateway_close. */
MUST_USE bool gateway_open(struct gateway *gateway, const struct gateway_options *options,
                           struct arena *arena, struct span *fault);
/* Starts the workers; from here on callers are served. */
void gateway_start(struct gateway *gateway);
/* Waits for the workers, which worker_drain_all has told to end, and gives everything back. Takes a half-opened one. */
void gateway_close(struct gateway *gateway);

/* Can it serve? Tells what stands against it, where reasons is not NULL. On the admin's thread or a worker's. */
bool gateway_is_ready(struct gateway *gateway, struct admin_reasons *reasons);

#endif
