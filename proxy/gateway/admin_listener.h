/* A listener on libh2o's own HTTP server, for the admin and health pages: it accepts, and bounds its connections.
 *
 * It has at most connections_max connections; one more ends the oldest, so that nobody can lock the probes out by holding
 * connections open. All of it belongs to one thread. */
#ifndef SAGEGATE_GATEWAY_ADMIN_LISTENER_H
#define SAGEGATE_GATEWAY_ADMIN_LISTENER_H

#if !defined(H2O_USE_LIBUV) || H2O_USE_LIBUV
#error "libh2o-evloop was built with H2O_USE_LIBUV=0; every unit that sees it must be too"
#endif
#include <h2o.h>
#include <h2o/http1.h>

#include "base/arena.h"
#include "base/check.h"
#include "base/clock.h"
#include "config/config.h"

enum { ADMIN_LISTENER_PAUSE_MS = 100 }; /* after accept() found no descriptor or memory left */

struct admin;

struct admin_connection {
    struct admin_connection *next, *previous; /* of the listener, oldest first */
    struct admin_listener *listener;
    h2o_socket_t *socket;
    bool is_ending; /* shut down; the library closes it in its next turn */
};

struct admin_listener {
    struct admin *admin;                  /* its owner */
    const struct config_address *address; /* NULL: there is no such listener */
    bool is_health;                       /* for its owner: which pages it has */
    unsigned connections_max;
    int fd; /* -1: closed */
    h2o_socket_t *socket;
    h2o_hostconf_t *hosts[2]; /* what it serves, NULL-terminated */
    h2o_accept_ctx_t accept;
    struct admin_connection oldest; /* anchor of the ring of connections */
    unsigned connections;
    struct mono_time resume_at; /* us 0: it accepts */
};

/* address: NULL where there is none; it must outlive the listener. hosts[0] is for the owner to set. */
void admin_listener_init(struct admin_listener *listener, struct admin *admin,
                         const struct config_address *address, unsigned connections_max);
/* False with *fault, "ADDRESS: what is wrong", in arena. True also where there is no address. */
MUST_USE bool admin_listener_open(struct admin_listener *listener, struct arena *arena,
                                  struct span *fault);
/* Begins to accept; what it accepts is served by hosts. The context must outlive the connections. */
void admin_listener_start(struct admin_listener *listener, h2o_context_t *context);
/* Accepts again, if it paused (resume_at) and the pause is over. Once a turn. */
void admin_listener_resume(struct admin_listener *listener, struct mono_time now);
/* Stops accepting and shuts every connection; the library closes them in its next turns. */
void admin_listener_stop(struct admin_listener *listener);
/* Where it is, in arena; SPAN_NONE where it is not open. */
struct span admin_listener_name(const struct admin_listener *listener, struct arena *arena);

#endif
