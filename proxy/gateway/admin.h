/* The admin and health listeners: pages about the process itself. They use the same strict
 * connections as callers' requests, run on the main thread's loop and have limits of their own.
 *
 * path      admin  health  response
 * /live     yes    yes     200 {"live":true}: the main thread's loop runs
 * /ready    yes    yes     200 or 503,
 *                          {"ready":true,"reasons":[{"code":"...","message":"..."}]}
 * /metrics  yes    yes     200 in Prometheus's text format; 500 if longer than ADMIN_METRICS_MAX.
 *                          With four in flight, a fifth aborts the oldest
 * /version  yes            200 {"version":"0.1.0","build":"..."}
 * /reload   yes            POST: 200, or 422 if nothing changed,
 *                          {"reloaded":true,"reasons":[{"code":"...","message":"..."}]}
 * /         yes            200 {"paths":["/live",...]}
 *
 * Pages accept GET and HEAD unless the table says POST. Errors are {"error":"...","message":"..."}:
 * 405 for another method, 404 for another path, 403 for a POST from a web page (it has an Origin);
 * for requests that downstream.c rejects, "error" is the outcome.
 *
 * Each listener has at most connections_max connections. One more evicts the oldest without a
 * response in flight, so that open connections cannot lock out probes. */
#ifndef SAGEGATE_GATEWAY_ADMIN_H
#define SAGEGATE_GATEWAY_ADMIN_H

#include "base/arena.h"
#include "config/config.h"
#include "gateway/reasons.h"
#include "net/loop.h"

enum {
    ADMIN_METRICS_MAX = 32 * 1024 * 1024, /* 1,000 routes with traffic take 6 MB */
    ADMIN_HEAD_MAX = 16 * 1024,
    ADMIN_BODY_MAX = 4096,
};

struct admin;

struct admin_options {
    struct loop *loop;                   /* connection_watch_departures has been called on it */
    const struct config_address *admin;  /* must outlive the admin; NULL: no such listener */
    const struct config_address *health; /* likewise */
    /* Callbacks: each is called during a request to its page, on the loop's thread. */
    /* Returns whether the gateway can serve. Adds to reasons what prevents that. */
    bool (*is_ready)(void *context, struct reasons *reasons);
    /* Appends the page of /metrics. */
    void (*write_metrics)(void *context, struct buffer *out);
    /* Reloads the configuration. Returns false if nothing changed. */
    bool (*reload)(void *context, struct reasons *reasons);
    void *context;
    struct span version, build; /* must outlive the admin */
    unsigned connections_max;   /* per listener; 0: 64 */
};

/* Opens the listeners and starts serving. If one cannot be opened, closes the other, sets *fault to
 * "ADDRESS: REASON" in arena and returns NULL. */
MUST_USE struct admin *admin_create(const struct admin_options *options, struct arena *arena,
                                    struct span *fault);
/* Closes listeners and connections without calling back. Accepts NULL. */
void admin_destroy(struct admin *admin);

/* Returns a listener's address in arena, with the actual port ("127.0.0.1:43210" for port 0);
 * SPAN_NONE if there is no such listener. */
struct span admin_name(const struct admin *admin, bool health, struct arena *arena);

#endif
