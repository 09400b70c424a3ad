/* The admin and health listeners, on libh2o's own HTTP server, and the main thread's loop.
 *
 * Requests here are small, rare and answered at once from values that callbacks give; it knows
 * neither workers nor the request path. All of it belongs to one thread. The process must ignore
 * SIGPIPE.
 *
 *     path      admin  health  answer
 *     /live     yes    yes     200 {"live":true}: the main thread turns
 *     /ready    yes    yes     200 or 503 {"ready":true,"reasons":[{"code":"...","message":"..."}]}
 *     /metrics  yes    yes     200 in Prometheus's text format; 500 where it would be longer than
 *                              ADMIN_METRICS_MAX. Of more than four that are under way the oldest ends
 *     /version  yes            200 {"version":"0.1.0","build":"..."}
 *     /reload   yes            POST: 200, or 422 where nothing has changed,
 *                              {"reloaded":true,"reasons":[{"code":"...","message":"..."}]}
 *     /         yes            200 {"paths":["/live",...]}
 *
 * GET and HEAD but where POST stands; another method is 405, another path 404, a POST from a web
 * page (it has an Origin) 403, with {"error":"...","message":"..."}. A
 * listener has at most connections_max connections; one more ends the oldest, so that nobody can
 * lock the probes out by holding connections open. */
#ifndef SAGEGATE_GATEWAY_ADMIN_H
#define SAGEGATE_GATEWAY_ADMIN_H

#include "base/arena.h"
#include "base/buffer.h"
#include "config/config.h"

/* Of a page of metrics: 1,000 routes that all see traffic make 6 MB. */
enum { ADMIN_METRICS_MAX = 32 * 1024 * 1024 };

struct admin;
struct admin_reasons;

struct admin_options {
    const struct config_address *admin;  /* must outlive the admin; NULL: no such listener */
    const struct config_address *health; /* likewise */
    /* Whether the gateway can serve; called once a GET /ready, on the admin's thread. What stands
     * against it, and what does not hinder but should be known, goes through admin_reason. NULL:
     * always ready. */
    bool (*is_ready)(void *context, struct admin_reasons *reasons);
    /* Writes the page of /metrics; likewise. NULL: there is no such page. */
    void (*write_metrics)(void *context, struct buffer *out);
    /* Reads the configuration again; likewise. False: nothing has changed. What is wrong, and what
     * should be known, goes through admin_reason. NULL: there is no such page. */
    bool (*reload)(void *context, struct admin_reasons *reasons);
    void *context;
    struct span version, build; /* must outlive the admin */
    unsigned connections_max;   /* a listener; 0: 64 */
};

/* Makes the loop and opens the listeners. NULL with *fault = "ADDRESS: what is wrong" in arena
 * where one cannot be opened; none is left open then. With neither address it is a loop alone. */
MUST_USE struct admin *admin_create(const struct admin_options *options, struct arena *arena,
                                    struct span *fault);

/* Closes listeners, connections and watched descriptors, within 200 ms; calls nobody back any more.
 * Takes NULL. (The library's
 * own loop and context have no clean end; they stay until the process ends.) */
void admin_destroy(struct admin *admin);

/* Waits for events, at most max_wait_ms, and runs their callbacks. Returns early on a signal. The
 * main thread's loop is `while (!stopped) admin_turn(admin, 1000);`. */
void admin_turn(struct admin *admin, int max_wait_ms);

/* Calls on_readable, in admin_turn, each time that fd has something to read; it must read it, or it
 * is called again at once. For the main thread's signalfd and eventfds, a few. fd is made
 * non-blocking and is the admin's from now on: admin_destroy closes it. */
void admin_watch_fd(struct admin *admin, int fd, void (*on_readable)(void *context, int fd),
                    void *context);

/* In is_ready and reload only. code: a short word of a public promise ("no_credentials", "draining"); message:
 * a line for people, cut at 512 bytes, without secrets. At most 32 are taken. */
void admin_reason(struct admin_reasons *reasons, struct span code, struct span message);

/* Where the listeners are ("127.0.0.1:43210" for port 0), in arena; SPAN_NONE without that one. */
struct span admin_name(const struct admin *admin, struct arena *arena);
struct span admin_health_name(const struct admin *admin, struct arena *arena);

/* Of libh2o, for `sagegate version`: of its headers, for the library does not tell. */
struct span admin_library_version(void);

#endif
