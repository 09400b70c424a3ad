/* The pool: a worker's connections to one upstream, idle ones kept for the next request. Knows no
 * HTTP. One thread.
 *
 * Idle connections stay registered with the loop, so that one that dies is closed at once and never
 * handed out. */
#ifndef SAGEGATE_NET_POOL_H
#define SAGEGATE_NET_POOL_H

#include "net/dialer.h"

struct pool_options {
    struct dialer_options dialer;
    size_t idle_max; /* idle connections kept */
    size_t warm;     /* connections made ahead of need, at most idle_max */
    int64_t idle_timeout_ms, age_max_ms;
};

struct pool;

struct pool_connection {
    struct connection conn; /* its owner and callbacks belong to the holder */
    struct pool *pool;
    struct pool_connection *next, *previous; /* in the idle list */
    struct timer timer;                      /* idle limits */
    struct mono_time opened;
    unsigned uses; /* requests sent over it */
};

struct pool *pool_create(struct loop *loop, const struct pool_options *options);
/* Closes idle connections. Must not be called while a holder dials. Accepts NULL. */
void pool_destroy(struct pool *pool);
void pool_close_idle(struct pool *pool);
struct loop *pool_loop(const struct pool *pool);
/* Makes new connections, which pool_adopt adds to the pool. */
struct dialer *pool_dialer(const struct pool *pool);

/* The most recently used idle connection, or NULL. The caller sets conn.owner and conn.callbacks at
 * once. */
struct pool_connection *pool_take(struct pool *pool);
/* Adds a new connection to the pool, held by the caller; takes it by connection_move. */
struct pool_connection *pool_adopt(struct pool *pool, struct connection *conn);
/* Returns a connection that is ready for another request; closes it if there are too many or it is
 * too old. */
void pool_put(struct pool_connection *pc);
/* Closes and frees. */
void pool_drop(struct pool_connection *pc);

#endif
