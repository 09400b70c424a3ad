/* The admin and health listeners: pages about the process itself, behind the same strict
 * connections as callers' requests, on the main thread's loop and with limits of their own.
 *
 * path      admin  health  response
 * /live     yes    yes     200 {"live":true}: the main thread turns
 * /ready    yes    yes     200 or 503 {"ready":true,"reasons":[{"code":"...","message":"..."}]}
 * /metrics  yes    yes     200 in Prometheus's text format; 500 if longer than ADMIN_METRICS_MAX.
 *                          With four in flight a fifth ends the oldest
 * /version  yes            200 {"version":"0.1.0","build":"..."}
 * /reload   yes            POST: 200, or 422 if nothing has changed,
 *                          {"reloaded":true,"reasons":[{"code":"...","message":"..."}]}
 * /         yes            200 {"paths":["/live",...]}
 *
 * GET and HEAD except where POST stands; another method is 405, another path 404, a POST from a web
 * page (it has an Origin) 403, with {"error":"...","message":"..."}; so is what downstream.c
 * refuses, by its outcome. A listener has at most connections_max connections; one more ends the
 * oldest that has no response in flight, so that nobody can lock out probes by holding connections
 * open. */
#ifndef SAGEGATE_GATEWAY_ADMIN_H
#define SAGEGATE_GATEWAY_ADMIN_H

#include "base/arena.h"
#include "config/config.h"
#include "gateway/reasons.h"
#include "net/loop.h"

enum {
    ADMIN_METRICS_MAX = 32 * 1024 * 1024, /* 1,000 routes that all see traffic make 6 MB */
    ADMIN_HEAD_MAX = 16 * 1024,
    ADMIN_BODY_MAX = 4096,
};

struct admin;

struct admin_options {
    struct loop *loop;                   /* connection_watch_departures has been called on it */
    const struct config_address *admin;  /* must outlive the admin; NULL: no such listener */
    const struct config_address *health; /* likewise */
    /* Each is called during a request to its page, on the loop's thread. */
    /* Whether the gateway can serve, and what stands against it or should be known. */
    bool (*is_ready)(void *context, struct reasons *reasons);
    /* Appends the page of /metrics. */
    void (*write_metrics)(void *context, struct buffer *out);
    /* Loads the configuration again. False: nothing has changed. */
    bool (*reload)(void *context, struct reasons *reasons);
    void *context;
    struct span version, build; /* must outlive the admin */
    unsigned connections_max;   /* of a listener; 0: 64 */
};

/* Opens the listeners and starts serving. NULL, with *fault "ADDRESS: what is wrong" in arena, if
 * one cannot be opened; none is left open then. */
MUST_USE struct admin *admin_create(const struct admin_options *options, struct arena *arena,
                                    struct span *fault);
/* Closes listeners and connections; calls nobody back. Accepts NULL. */
void admin_destroy(struct admin *admin);

/* Where a listener is ("127.0.0.1:43210" for port 0), in arena; SPAN_NONE without that listener. */
struct span admin_name(const struct admin *admin, bool health, struct arena *arena);

#endif
