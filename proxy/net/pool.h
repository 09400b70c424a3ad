/* The pool: a worker's connections to one upstream, idle ones kept and new ones made.
 *
 * Idle connections stay registered with the loop, so that one that dies is closed at once and never handed out. A new
 * connection tries the name's addresses in rotation: the next as soon as one fails, or after 250 ms without an answer
 * (RFC 8305 section 5); the first that connects wins. Knows no HTTP. One thread. */
#ifndef SAGEGATE_NET_POOL_H
#define SAGEGATE_NET_POOL_H

#include "net/connection.h"
#include "net/resolver.h"

struct pool_options {
    struct span host; /* a name or a numeric address; copied */
    uint16_t port;
    X509_STORE *trust; /* NULL: plaintext */
    size_t idle_max;   /* connections kept */
    int64_t idle_timeout_ms, age_max_ms;
};

struct pool_connection {
    struct connection conn; /* its owner and callbacks belong to whoever holds it */
    struct pool *pool;
    struct pool_connection *next, *previous; /* in the idle list */
    struct timer timer;                      /* idle limit; 250 ms while connecting */
    struct mono_time opened;
    unsigned uses;                    /* requests sent over it */
    struct pool_connector *connector; /* while connecting */
};

struct pool;

struct pool *pool_create(struct loop *loop, const struct pool_options *options);
/* Closes the idle ones; none may be under way. Takes NULL. */
void pool_destroy(struct pool *pool);
void pool_close_idle(struct pool *pool);
size_t pool_idle_count(const struct pool *pool);
struct loop *pool_loop(const struct pool *pool);

/* The most recently used idle connection, or NULL. The caller sets conn.owner and conn.callbacks at once. */
struct pool_connection *pool_take(struct pool *pool);
/* Gives a connection back that is ready for another request (or closes it: too many, too old). */
void pool_put(struct pool_connection *pc);
/* Closes and frees. */
void pool_drop(struct pool_connection *pc);

enum pool_failure { POOL_DNS_FAILED, POOL_CONNECT_FAILED, POOL_TLS_FAILED };

/* One new connection being made; embedded by who wants it. All zero: idle. */
struct pool_connector {
    struct pool *pool;
    struct resolver_query *query; /* the pool's, while this one waits for its answer */
    struct pool_connector *next_waiting;
    struct pool_connection *attempts[RESOLVER_ADDRESSES_MAX]; /* NULL: not begun or failed */
    struct resolver_addresses *addresses; /* in this connector's order; NULL until known */
    size_t next_address;
    struct timer stagger;
    struct mono_time started, connected; /* for connect_us and tls_us */
    /* Exactly one of the two comes, from the loop's turn; as its last act. `why` is for people, valid in the call. */
    void (*on_connected)(struct pool_connector *connector, struct pool_connection *pc);
    void (*on_failed)(struct pool_connector *connector, enum pool_failure failure, const char *why);
    void *owner;
};

/* The callbacks and owner are set by the caller. Never calls back before it returns. */
void pool_connect(struct pool *pool, struct pool_connector *connector);
/* Neither callback will come. No-op when idle. */
void pool_cancel(struct pool_connector *connector);

#endif
