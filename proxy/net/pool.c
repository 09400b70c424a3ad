/* The pool: an idle list, newest first, and connections made ahead of need. */
#include "net/pool.h"

#include <malloc.h>
#include <stdlib.h>

enum { RELEASE_AFTER_MS = 500, WARM_AGAIN_MS = 1000, TRIM_AFTER_MS = 1000 };

struct pool {
    struct loop *loop;
    struct pool_options options;
    struct dialer *dialer;
    struct tally *tally;                   /* the dialer's */
    struct pool_connection *idle, *oldest; /* newest first */
    size_t idle_count;
    struct dialer_request warm; /* a connection being made ahead of need */
    struct timer warm_timer;
    struct timer trim_timer; /* after the last connection that went idle */
};

static void keep_warm(struct pool *pool);
static void warm_later(struct pool *pool);

/* ---- life ---- */

struct pool *pool_create(struct loop *loop, const struct pool_options *options)
{
    struct pool *pool = calloc(1, sizeof(*pool));
    CHECK(pool != NULL);
    pool->loop = loop;
    pool->options = *options;
    if (pool->options.warm > options->idle_max)
        pool->options.warm = options->idle_max;
    pool->dialer = dialer_create(loop, &options->dialer);
    pool->tally = dialer_tally(pool->dialer);
    keep_warm(pool);
    return pool;
}

/* An idle connection is held now. */
static void count_held(struct pool *pool)
{
    --pool->idle_count;
    tally_subtract(pool->tally, TALLY_IDLE);
    tally_add(pool->tally, TALLY_ACTIVE);
}

void pool_close_idle(struct pool *pool)
{
    while (pool->idle != NULL) {
        struct pool_connection *pc = pool->idle;
        pool->idle = pc->next;
        count_held(pool);
        pool_drop(pc);
    }
    pool->oldest = NULL;
}

void pool_destroy(struct pool *pool)
{
    if (pool == NULL)
        return;
    pool->options.warm = 0;
    dialer_cancel(&pool->warm);
    loop_cancel_timer(pool->loop, &pool->warm_timer);
    loop_cancel_timer(pool->loop, &pool->trim_timer);
    pool_close_idle(pool);
    dialer_destroy(pool->dialer);
    free(pool);
}

struct loop *pool_loop(const struct pool *pool)
{
    return pool->loop;
}

struct dialer *pool_dialer(const struct pool *pool)
{
    return pool->dialer;
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
    else
        pool->oldest = pc->previous;
    pc->next = pc->previous = NULL;
    count_held(pool);
    loop_cancel_timer(pool->loop, &pc->timer);
}

static void drop_idle(struct pool_connection *pc)
{
    struct pool *pool = pc->pool;
    bool was_used = pc->uses != 0;
    unlink_idle(pc);
    pool_drop(pc);
    if (was_used)
        keep_warm(pool);
    else /* never used: the upstream closes at once */
        warm_later(pool);
}

/* The upstream has closed or sent something unasked. TLS tickets come without data. */
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
    (void)conn; /* left over from the last request */
}

static void on_idle_timeout(struct timer *timer)
{
    drop_idle(H2O_STRUCT_FROM_MEMBER(struct pool_connection, timer, timer));
}

/* Return free heap memory to the OS once the pool is idle. */
static void on_trim(struct timer *timer)
{
    (void)timer;
    (void)malloc_trim(0);
}

/* A busy pool keeps its TLS buffers, an idle one frees them. */
static void on_idle_for_long(struct timer *timer)
{
    struct pool_connection *pc = H2O_STRUCT_FROM_MEMBER(struct pool_connection, timer, timer);
    struct pool *pool = pc->pool;
    connection_release_buffers(&pc->conn);
    pool->trim_timer.fire = on_trim;
    loop_set_timer(pool->loop, &pool->trim_timer, clock_after_ms(pool->loop->now, TRIM_AFTER_MS));
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
    tally_add(pool->tally, TALLY_REUSED);
    keep_warm(pool);
    return pc;
}

struct pool_connection *pool_adopt(struct pool *pool, struct connection *conn)
{
    struct pool_connection *pc = calloc(1, sizeof(*pc));
    CHECK(pc != NULL);
    pc->pool = pool;
    pc->opened = pool->loop->now;
    tally_add(pool->tally, TALLY_ACTIVE);
    connection_move(&pc->conn, conn);
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
        struct pool_connection *oldest = pool->oldest;
        unlink_idle(oldest);
        pool_drop(oldest);
    }
    pc->conn.owner = pc;
    pc->conn.callbacks = &idle_callbacks;
    pc->next = pool->idle;
    pc->previous = NULL;
    if (pool->idle != NULL)
        pool->idle->previous = pc;
    else
        pool->oldest = pc;
    pool->idle = pc;
    ++pool->idle_count;
    tally_subtract(pool->tally, TALLY_ACTIVE);
    tally_add(pool->tally, TALLY_IDLE);
    pc->timer.fire = on_idle_for_long;
    loop_set_timer(pool->loop, &pc->timer, clock_after_ms(pool->loop->now, RELEASE_AFTER_MS));
}

void pool_drop(struct pool_connection *pc)
{
    loop_cancel_timer(pc->pool->loop, &pc->timer);
    tally_subtract(pc->pool->tally, TALLY_ACTIVE);
    connection_close(&pc->conn);
    free(pc);
}

/* ---- made ahead of need ---- */

static void on_warm_connected(struct dialer_request *dial, struct connection *conn)
{
    struct pool *pool = dial->owner;
    pool_put(pool_adopt(pool, conn));
    keep_warm(pool);
}

static void on_warm_again(struct timer *timer)
{
    keep_warm(H2O_STRUCT_FROM_MEMBER(struct pool, warm_timer, timer));
}

static void warm_later(struct pool *pool)
{
    if (pool->options.warm == 0)
        return;
    pool->warm_timer.fire = on_warm_again;
    loop_set_timer(pool->loop, &pool->warm_timer, clock_after_ms(pool->loop->now, WARM_AGAIN_MS));
}

/* Requests report what is wrong; this only tries again. */
static void on_warm_failed(struct dialer_request *dial, enum dialer_failure failure,
                           const char *why)
{
    (void)failure, (void)why;
    warm_later(dial->owner);
}

/* Makes one connection at a time, until options.warm are idle. */
static void keep_warm(struct pool *pool)
{
    if (pool->idle_count >= pool->options.warm || pool->warm.dialer != NULL ||
        timer_is_armed(&pool->warm_timer))
        return;
    pool->warm.on_connected = on_warm_connected;
    pool->warm.on_failed = on_warm_failed;
    pool->warm.owner = pool;
    dialer_connect(pool->dialer, &pool->warm);
}
