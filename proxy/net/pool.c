/* The pool: an idle list, newest first, and connectors that race a name's addresses. */
#include "net/pool.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

enum { STAGGER_MS = 250, ADDRESSES_FRESH_MS = 30 * 1000, RELEASE_AFTER_MS = 500 };

struct pool {
    struct loop *loop;
    struct pool_options options;
    struct tls_context *tls;      /* NULL: plaintext */
    struct pool_connection *idle; /* newest first */
    size_t idle_count;
    struct resolver_addresses addresses; /* the last good answer */
    struct mono_time resolved;           /* 0: never; fresh for ADDRESSES_FRESH_MS */
    bool numeric;
    size_t rotation;
    struct resolver_query *query;                  /* NULL: nobody asks */
    struct pool_connector *waiting, **waiting_end; /* for its answer, in order of coming */
};

static void on_resolved(void *owner, const struct resolver_addresses *addresses, const char *error);
static void on_stagger(struct timer *timer);
static void begin_attempt(struct pool_connector *connector);
static void on_attempt_writable(struct connection *conn);
static void on_attempt_handshake(struct connection *conn, bool succeeded);

/* ---- life ---- */

struct pool *pool_create(struct loop *loop, const struct pool_options *options)
{
    struct pool *pool = calloc(1, sizeof(*pool));
    CHECK(pool != NULL);
    pool->loop = loop;
    pool->options = *options;
    pool->waiting_end = &pool->waiting;
    char *host = strndup(options->host.at, options->host.len);
    CHECK(host != NULL);
    pool->options.host = span_from(host);
    if (options->trust != NULL)
        pool->tls = tls_context_create(options->host, options->trust);
    pool->numeric = resolver_parse_numeric(options->host, options->port, &pool->addresses);
    return pool;
}

void pool_close_idle(struct pool *pool)
{
    while (pool->idle != NULL) {
        struct pool_connection *pc = pool->idle;
        pool->idle = pc->next;
        pool_drop(pc);
    }
    pool->idle_count = 0;
}

void pool_destroy(struct pool *pool)
{
    if (pool == NULL)
        return;
    CHECK(pool->waiting == NULL);
    if (pool->query != NULL)
        resolver_cancel(pool->query);
    pool_close_idle(pool);
    tls_context_destroy(pool->tls);
    free((char *)pool->options.host.at);
    free(pool);
}

size_t pool_idle_count(const struct pool *pool)
{
    return pool->idle_count;
}

struct loop *pool_loop(const struct pool *pool)
{
    return pool->loop;
}

/* ---- idle connections ---- */

static void unlink_idle(struct pool_connection *pc)
{
    struct pool *pool = pc->pool;
    if (pc->previous != NULL)
        pc->previous->next = pc->next;
    if (pc->previous == NULL)
        pool->idle = pc->next;
    if (pc->next != NULL)
        pc->next->previous = pc->previous;
    pc->next = pc->previous = NULL;
    --pool->idle_count;
    loop_cancel_timer(pool->loop, &pc->timer);
}

static void drop_idle(struct pool_connection *pc)
{
    unlink_idle(pc);
    pool_drop(pc);
}

/* The upstream has closed, or speaks out of turn. TLS tickets come without data and are welcome. */
static void on_idle_readable(struct connection *conn)
{
    struct pool_connection *pc = conn->owner;
    struct span got;
    if (connection_read(conn, &got) == CONNECTION_AGAIN)
        return;
    drop_idle(pc);
}

static void on_idle_writable(struct connection *conn)
{
    (void)conn; /* a notification left over from the last request */
}

static void on_idle_timeout(struct timer *timer)
{
    drop_idle(H2O_STRUCT_FROM_MEMBER(struct pool_connection, timer, timer));
}

/* A busy pool keeps its TLS buffers; one that rests gives them back. */
static void on_idle_for_long(struct timer *timer)
{
    struct pool_connection *pc = H2O_STRUCT_FROM_MEMBER(struct pool_connection, timer, timer);
    struct pool *pool = pc->pool;
    connection_release_buffers(&pc->conn);
    pc->timer.fire = on_idle_timeout;
    loop_set_timer(pool->loop, timer,
                   clock_after_ms(pool->loop->now, pool->options.idle_timeout_ms));
}

static const struct connection_callbacks idle_callbacks = {on_idle_readable, on_idle_writable, NULL,
                                                           NULL};

struct pool_connection *pool_take(struct pool *pool)
{
    struct pool_connection *pc = pool->idle;
    if (pc == NULL)
        return NULL;
    unlink_idle(pc);
    return pc;
}

void pool_put(struct pool_connection *pc)
{
    struct pool *pool = pc->pool;
    bool too_old = clock_us_between(pc->opened, pool->loop->now) > pool->options.age_max_ms * 1000;
    if (too_old || pool->options.idle_max == 0) {
        pool_drop(pc);
        return;
    }
    if (pool->idle_count == pool->options.idle_max) {
        struct pool_connection *oldest = pool->idle;
        while (oldest->next != NULL)
            oldest = oldest->next;
        drop_idle(oldest);
    }
    pc->conn.owner = pc;
    pc->conn.callbacks = &idle_callbacks;
    pc->next = pool->idle;
    pc->previous = NULL;
    if (pool->idle != NULL)
        pool->idle->previous = pc;
    pool->idle = pc;
    ++pool->idle_count;
    pc->timer.fire = on_idle_for_long;
    loop_set_timer(pool->loop, &pc->timer, clock_after_ms(pool->loop->now, RELEASE_AFTER_MS));
}

void pool_drop(struct pool_connection *pc)
{
    loop_cancel_timer(pc->pool->loop, &pc->timer);
    connection_close(&pc->conn);
    free(pc);
}

/* ---- new connections ---- */

static void use_addresses(struct pool_connector *connector)
{
    struct pool *pool = connector->pool;
    size_t count = pool->addresses.count;
    connector->addresses = malloc(sizeof(*connector->addresses));
    CHECK(connector->addresses != NULL);
    size_t first = pool->rotation++ % count;
    for (size_t i = 0; i != count; ++i) {
        connector->addresses->list[i] = pool->addresses.list[(first + i) % count];
        connector->addresses->sizes[i] = pool->addresses.sizes[(first + i) % count];
    }
    connector->addresses->count = count;
}

static void forget_addresses(struct pool_connector *connector)
{
    free(connector->addresses);
    connector->addresses = NULL;
}

/* Begins the first attempt from the loop's turn, so that pool_connect never calls back itself. */
static void on_begin(struct timer *timer)
{
    begin_attempt(H2O_STRUCT_FROM_MEMBER(struct pool_connector, stagger, timer));
}

void pool_connect(struct pool *pool, struct pool_connector *connector)
{
    connector->pool = pool;
    connector->started = pool->loop->now;
    connector->next_address = 0;
    connector->addresses = NULL;
    bool fresh = pool->resolved.us != 0 &&
                 clock_us_between(pool->resolved, pool->loop->now) < ADDRESSES_FRESH_MS * 1000LL;
    if (pool->numeric || fresh) {
        use_addresses(connector);
        connector->stagger.fire = on_begin;
        loop_set_timer(pool->loop, &connector->stagger, pool->loop->now);
        return;
    }
    if (pool->query == NULL)
        pool->query =
            resolver_ask(pool->loop, pool->options.host, pool->options.port, on_resolved, pool);
    connector->query = pool->query;
    connector->next_waiting = NULL;
    *pool->waiting_end = connector;
    pool->waiting_end = &connector->next_waiting;
}

static void stop_waiting(struct pool_connector *connector)
{
    struct pool *pool = connector->pool;
    struct pool_connector **at = &pool->waiting;
    while (*at != connector)
        at = &(*at)->next_waiting;
    *at = connector->next_waiting;
    if (*at == NULL)
        pool->waiting_end = at;
    connector->query = NULL;
}

/* One question serves all who wait; whoever begins to wait in a callback is behind them, for the next one. */
static void on_resolved(void *owner, const struct resolver_addresses *addresses, const char *error)
{
    struct pool *pool = owner;
    struct resolver_query *query = pool->query;
    pool->query = NULL;
    if (addresses->count != 0) { /* else the last good answer is kept when DNS fails */
        pool->addresses = *addresses;
        pool->resolved = pool->loop->now;
    }
    while (pool->waiting != NULL && pool->waiting->query == query) {
        struct pool_connector *connector = pool->waiting;
        stop_waiting(connector);
        if (pool->addresses.count != 0) {
            use_addresses(connector);
            begin_attempt(connector);
            continue;
        }
        connector->pool = NULL;
        connector->on_failed(connector, POOL_DNS_FAILED, error);
    }
}

static bool has_attempts(const struct pool_connector *connector)
{
    for (size_t i = 0; i != RESOLVER_ADDRESSES_MAX; ++i)
        if (connector->attempts[i] != NULL)
            return true;
    return false;
}

static const struct connection_callbacks attempt_callbacks = {NULL, on_attempt_writable,
                                                              on_attempt_handshake, NULL};

static struct pool_connection *open_attempt(struct pool_connector *connector, size_t index)
{
    struct pool *pool = connector->pool;
    const struct sockaddr *address = (const struct sockaddr *)&connector->addresses->list[index];
    int fd = socket(address->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return NULL;
    if (connect(fd, address, connector->addresses->sizes[index]) != 0 && errno != EINPROGRESS) {
        int error = errno;
        close(fd);
        errno = error;
        return NULL;
    }
    struct pool_connection *pc = calloc(1, sizeof(*pc));
    CHECK(pc != NULL);
    pc->pool = pool;
    pc->connector = connector;
    pc->opened = pool->loop->now;
    connection_open_connecting(&pc->conn, pool->loop, fd, &attempt_callbacks, pc);
    return pc;
}

/* Ends the connector without success, unless another attempt is still under way. Called as the last act. */
static void fail_unless_more(struct pool_connector *connector, enum pool_failure failure,
                             const char *why)
{
    if (connector->next_address < connector->addresses->count) {
        begin_attempt(connector);
        return;
    }
    if (has_attempts(connector))
        return;
    forget_addresses(connector);
    connector->pool = NULL;
    connector->on_failed(connector, failure, why);
}

static void begin_attempt(struct pool_connector *connector)
{
    struct pool *pool = connector->pool;
    loop_cancel_timer(pool->loop, &connector->stagger);
    size_t index = connector->next_address++;
    CHECK(index < connector->addresses->count);
    connector->attempts[index] = open_attempt(connector, index);
    if (connector->attempts[index] == NULL) {
        fail_unless_more(connector, POOL_CONNECT_FAILED, strerror(errno));
        return;
    }
    if (connector->next_address == connector->addresses->count)
        return;
    connector->stagger.fire = on_stagger;
    loop_set_timer(pool->loop, &connector->stagger, clock_after_ms(pool->loop->now, STAGGER_MS));
}

static void on_stagger(struct timer *timer)
{
    begin_attempt(H2O_STRUCT_FROM_MEMBER(struct pool_connector, stagger, timer));
}

static void forget_attempt(struct pool_connection *pc)
{
    for (size_t i = 0; i != RESOLVER_ADDRESSES_MAX; ++i)
        if (pc->connector->attempts[i] == pc)
            pc->connector->attempts[i] = NULL;
    pc->connector = NULL;
}

static void on_attempt_failed(struct pool_connection *pc, enum pool_failure failure)
{
    char why[160];
    struct pool_connector *connector = pc->connector;
    snprintf(why, sizeof(why), "%s", connection_error(&pc->conn));
    forget_attempt(pc);
    pool_drop(pc);
    fail_unless_more(connector, failure, why);
}

/* The winner: the other attempts are given up. */
static void on_attempt_won(struct pool_connection *pc)
{
    struct pool_connector *connector = pc->connector;
    forget_attempt(pc);
    pool_cancel(connector);
    connector->on_connected(connector, pc);
}

static void on_attempt_writable(struct connection *conn)
{
    struct pool_connection *pc = conn->owner;
    struct pool *pool = pc->pool;
    if (connection_take_error(conn) != 0) {
        on_attempt_failed(pc, POOL_CONNECT_FAILED);
        return;
    }
    pc->connector->connected = pool->loop->now;
    if (pool->tls == NULL) {
        connection_resume(conn);
        on_attempt_won(pc);
        return;
    }
    connection_start_tls(conn, pool->tls);
}

static void on_attempt_handshake(struct connection *conn, bool succeeded)
{
    struct pool_connection *pc = conn->owner;
    if (!succeeded) {
        on_attempt_failed(pc, POOL_TLS_FAILED);
        return;
    }
    on_attempt_won(pc);
}

void pool_cancel(struct pool_connector *connector)
{
    if (connector->pool == NULL)
        return;
    if (connector->query != NULL)
        stop_waiting(connector);
    loop_cancel_timer(connector->pool->loop, &connector->stagger);
    for (size_t i = 0; i != RESOLVER_ADDRESSES_MAX; ++i) {
        if (connector->attempts[i] != NULL)
            pool_drop(connector->attempts[i]);
        connector->attempts[i] = NULL;
    }
    forget_addresses(connector);
    connector->pool = NULL;
}
