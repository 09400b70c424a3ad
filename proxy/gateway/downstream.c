/* A calling program's connection: heads and bodies in, an exchange each, and what becomes of the connection after. */
#include "gateway/downstream.h"

#include "gateway/exchange.h"
#include "observe/log.h"

#include <stdlib.h>
#include <unistd.h>

static void on_handshake(struct connection *conn, bool succeeded);
static void on_readable(struct connection *conn);
static void on_writable(struct connection *conn);
static void pump(struct downstream *downstream, struct span input);
static bool take_head(struct downstream *downstream, struct span *input);
static void begin_body(struct downstream *downstream, bool has_come);
static bool take_body(struct downstream *downstream, struct span *input);
static void on_ended(struct downstream *downstream, bool reset);
static void on_departed(struct connection *conn, bool reset);
static void on_timer(struct timer *timer);
static void destroy(struct downstream *downstream);

static const struct connection_callbacks connection_callbacks = {on_readable, on_writable,
                                                                 on_handshake, on_departed};

static const struct config_limits *limits_of(const struct downstream *downstream)
{
    return &worker_config(downstream->worker)->limits;
}

/* ---- open ---- */

static void set_state(struct downstream *downstream, enum downstream_state state, int64_t limit_ms)
{
    struct loop *loop = downstream->worker->loop;
    downstream->state = state;
    downstream->since = loop->now;
    downstream->idle_ms = limit_ms;
    if (state == DOWNSTREAM_IDLE && downstream->conn.tls != NULL &&
        limit_ms > DOWNSTREAM_RELEASE_MS)
        limit_ms = DOWNSTREAM_RELEASE_MS;
    if (limit_ms == 0)
        loop_cancel_timer(loop, &downstream->timer);
    else
        loop_set_timer(loop, &downstream->timer, clock_after_ms(loop->now, limit_ms));
}

void downstream_open(struct worker *worker, int fd, struct tls_context *tls)
{
    struct downstream *downstream = calloc(1, sizeof(*downstream));
    CHECK(downstream != NULL);
    downstream->worker = worker;
    downstream->timer.fire = on_timer;
    remote_read(fd, &downstream->remote);
    reply_init(&downstream->reply);
    downstream->head_bytes_max = limits_of(downstream)->head_bytes;
    buffer_init(&downstream->in,
                downstream->head_bytes_max + LOOP_READ_SIZE + 2 * DOWNSTREAM_PIPELINED_MAX);
    downstream->next = worker->downstreams;
    if (worker->downstreams != NULL)
        worker->downstreams->previous = downstream;
    worker->downstreams = downstream;
    connection_open(&downstream->conn, worker->loop, fd, &connection_callbacks, downstream);
    connection_guard(&downstream->conn);
    connection_limit_unsent(&downstream->conn, REPLY_HIGH_WATERMARK);
    set_state(downstream, tls == NULL ? DOWNSTREAM_IDLE : DOWNSTREAM_HANDSHAKE,
              limits_of(downstream)->head_timeout_ms);
    if (tls != NULL)
        connection_start_tls(&downstream->conn, tls);
}

static void on_handshake(struct connection *conn, bool succeeded)
{
    struct downstream *downstream = conn->owner;
    if (!succeeded) {
        log_write(LOG_INFO, "tls", "%s: the handshake failed: %s", downstream->remote.name,
                  connection_error(conn));
        destroy(downstream);
        return;
    }
    set_state(downstream, DOWNSTREAM_IDLE, limits_of(downstream)->head_timeout_ms);
}

/* ---- reading ---- */

static void on_readable(struct connection *conn)
{
    struct downstream *downstream = conn->owner;
    struct span got;
    switch (connection_read(conn, &got)) {
    case CONNECTION_AGAIN:
        return;
    case CONNECTION_END:
        on_ended(downstream, false);
        return;
    case CONNECTION_TRUNCATED:
    case CONNECTION_FAILED:
        on_ended(downstream, true);
        return;
    case CONNECTION_DATA:
        break;
    }
    if (downstream->in.len == 0) {
        pump(downstream, got);
        return;
    }
    buffer_append(&downstream->in, got);
    CHECK(!downstream->in.overflowed);
    pump(downstream, buffer_span(&downstream->in));
}

/* Keeps what is left of `input`, which is the loop's scratch or downstream->in itself. */
static void keep(struct downstream *downstream, struct span input)
{
    bool is_own = downstream->in.len != 0;
    if (is_own)
        buffer_consume(&downstream->in, downstream->in.len - input.len);
    else
        buffer_append(&downstream->in, input);
    CHECK(!downstream->in.overflowed);
    if (downstream->in.len == 0 && downstream->in.capacity != 0) {
        size_t max = downstream->in.max;
        buffer_dispose(&downstream->in);
        buffer_init(&downstream->in, max);
    }
}

/* Pipelined requests wait in `in`, and beyond that in the kernel. */
static void set_reading(struct downstream *downstream, bool wants_more)
{
    bool reading =
        !downstream->half_closed && (wants_more || downstream->in.len < DOWNSTREAM_PIPELINED_MAX);
    if (reading && connection_is_paused(&downstream->conn))
        connection_resume(&downstream->conn);
    if (!reading && !connection_is_paused(&downstream->conn))
        connection_pause(&downstream->conn);
}

/* Uses up as much of `input` as the state allows: some heads and bodies; the rest of a flood waits for the next turn. */
static void pump(struct downstream *downstream, struct span input)
{
    CHECK(!downstream->pumping);
    downstream->pumping = true;
    bool going = true;
    unsigned heads = 0;
    while (going && !downstream->closing) {
        switch (downstream->state) {
        case DOWNSTREAM_IDLE:
        case DOWNSTREAM_HEAD:
            going = input.len != 0 && heads++ != DOWNSTREAM_HEADS_A_TURN &&
                    take_head(downstream, &input);
            break;
        case DOWNSTREAM_BODY:
            going = take_body(downstream, &input);
            break;
        case DOWNSTREAM_HANDSHAKE:
        case DOWNSTREAM_WAITING:
            going = false;
            break;
        case DOWNSTREAM_DISCARDING:
            downstream->discarded += input.len;
            input.len = 0;
            downstream->closing = downstream->discarded > DOWNSTREAM_DISCARD_MAX;
            going = false;
            break;
        }
    }
    downstream->pumping = false;
    if (downstream->closing) {
        destroy(downstream);
        return;
    }
    keep(downstream, input);
    bool yielded = heads > DOWNSTREAM_HEADS_A_TURN;
    if (yielded)
        connection_want_writable(&downstream->conn);
    set_reading(downstream, downstream->state != DOWNSTREAM_WAITING && !yielded);
}

/* True: the answer is out, and what still comes is to be discarded. */
static bool refuse(struct downstream *downstream, enum outcome outcome, struct span message)
{
    if (downstream->exchange == NULL)
        exchange_open(downstream, downstream->since);
    set_state(downstream, DOWNSTREAM_WAITING, 0); /* until the answer is out */
    exchange_refuse(downstream->exchange, outcome, message);
    return downstream->exchange == NULL;
}

/* What is wrong with bytes that cannot become a head. */
static struct span bad_bytes(struct span input)
{
    enum { TLS_HANDSHAKE = 22 };
    if (input.len != 0 && input.at[0] == TLS_HANDSHAKE)
        return SPAN(
            "this looks like TLS, and the listener speaks plain HTTP: call it with http://");
    return http1_fault_text(HTTP1_BAD_LINE);
}

/* True: a state that can go on was reached. */
static bool take_head(struct downstream *downstream, struct span *input)
{
    const struct config_limits *limits = limits_of(downstream);
    if (http1_is_before_head(*input))
        return false; /* an empty line that old clients send behind a body */
    if (downstream->state == DOWNSTREAM_IDLE)
        set_state(downstream, DOWNSTREAM_HEAD, limits->head_timeout_ms);
    long len = http1_scan_head(*input, &downstream->scanned);
    if (len < 0)
        return refuse(downstream, OUTCOME_BAD_REQUEST, bad_bytes(*input));
    if ((len == 0 ? input->len : (size_t)len) > downstream->head_bytes_max)
        return refuse(downstream, OUTCOME_HEAD_TOO_LARGE, SPAN_NONE);
    if (len == 0)
        return false;

    struct span head = span_make(input->at, (size_t)len);
    *input = span_from_offset(*input, (size_t)len);
    downstream->scanned = 0;
    reply_reset(&downstream->reply);
    struct exchange *ex = exchange_open(downstream, downstream->since);
    ++downstream->requests;
    set_state(downstream, DOWNSTREAM_WAITING, 0);
    exchange_take_head(ex, head);
    if (downstream->exchange == NULL) /* refused, and the answer is out */
        return true;
    if (!exchange_wants_body(ex))
        return false;
    begin_body(downstream, input->len != 0);
    return true;
}

/* The body may be read. Tells a peer that waits for it to send it; `has_come`: some of it has come already. */
static void begin_body(struct downstream *downstream, bool has_come)
{
    struct exchange *ex = downstream->exchange;
    const struct http1_request *request = &ex->request;
    http1_body_init(&downstream->body, request->framing, request->content_length);
    set_state(downstream, DOWNSTREAM_BODY, limits_of(downstream)->body_timeout_ms);
    if (ex->state == EXCHANGE_BODY && request->expect_continue && !has_come &&
        request->framing != HTTP1_NO_BODY) {
        reply_append_continue(&downstream->reply);
        exchange_flush(ex);
    }
}

bool downstream_goes_on(const struct downstream *downstream)
{
    uint64_t max = limits_of(downstream)->keep_alive_requests;
    return !downstream->worker->draining && (max == 0 || downstream->requests < max);
}

void downstream_exchange_admitted(struct downstream *downstream)
{
    begin_body(downstream, downstream->in.len != 0);
    if (downstream->exchange != NULL)
        pump(downstream, buffer_span(&downstream->in));
}

static bool take_body(struct downstream *downstream, struct span *input)
{
    struct exchange *ex = downstream->exchange;
    struct span data;
    downstream->since = downstream->worker->loop->now;
    for (;;) {
        switch (http1_body_next(&downstream->body, input, &data)) {
        case HTTP1_BODY_DATA:
            exchange_take_body(ex, data);
            if (downstream->exchange == NULL)
                return true;
            if (exchange_wants_body(ex))
                continue;
            set_state(downstream, DOWNSTREAM_WAITING,
                      0); /* refused on the way; its answer is not out yet */
            return false;
        case HTTP1_BODY_MORE:
            return false;
        case HTTP1_BODY_BAD:
            return refuse(downstream, OUTCOME_BAD_REQUEST,
                          SPAN("the body's chunked coding is malformed"));
        case HTTP1_BODY_END:
            set_state(downstream, DOWNSTREAM_WAITING, 0);
            exchange_end_body(ex);
            return downstream->exchange == NULL;
        }
    }
}

/* ---- departures ---- */

/* A request that waits for its turn, and whose body lies in `in` unread: is it all there? */
static bool has_whole_body(const struct downstream *downstream)
{
    const struct http1_request *request = &downstream->exchange->request;
    return request->framing == HTTP1_NO_BODY ||
           (request->framing == HTTP1_LENGTH && downstream->in.len >= request->content_length);
}

/* Has a peer that shut its sending side left, or does it wait for its answer? */
static bool awaits_answer(const struct downstream *downstream)
{
    const struct exchange *ex = downstream->exchange;
    if (ex == NULL || !ex->request_parsed || downstream->state != DOWNSTREAM_WAITING)
        return false;
    if (ex->state == EXCHANGE_QUEUED ? !has_whole_body(downstream) : downstream->in.len != 0)
        return false;
    enum config_half_close rule =
        ex->match.route == NULL ? CONFIG_HALF_CLOSE_AUTO : ex->match.route->on_half_close;
    if (rule == CONFIG_HALF_CLOSE_AUTO) /* one that asked for a last answer waits */
        return !ex->request.keep_alive;
    return rule == CONFIG_HALF_CLOSE_FINISH;
}

static void on_ended(struct downstream *downstream, bool reset)
{
    if (!reset && awaits_answer(downstream)) {
        downstream->half_closed = true;
        downstream->exchange->keep_alive = false;
        connection_pause(&downstream->conn); /* end of file would be told again and again */
        return;
    }
    if (downstream->exchange == NULL && downstream->state == DOWNSTREAM_HEAD)
        exchange_open(downstream, downstream->since);
    if (downstream->exchange != NULL) {
        if (!downstream->exchange->request_parsed)
            exchange_refuse(downstream->exchange, OUTCOME_CLIENT_GONE, SPAN_NONE);
        else
            exchange_cancel(downstream->exchange, OUTCOME_CLIENT_GONE);
        return;
    }
    destroy(downstream);
}

static void on_writable(struct connection *conn)
{
    struct downstream *downstream = conn->owner;
    if (downstream->exchange != NULL)
        exchange_flush(downstream->exchange);
    else if (downstream->in.len != 0)
        pump(downstream, buffer_span(&downstream->in)); /* it yielded */
}

static void on_departed(struct connection *conn, bool reset)
{
    on_ended(conn->owner, reset);
}

/* ---- the end of an exchange ---- */

/* Says no more, and drops what the peer still sends, so that it can read the answer before it meets a reset. */
static void begin_discarding(struct downstream *downstream)
{
    set_state(downstream, DOWNSTREAM_DISCARDING, DOWNSTREAM_DISCARD_MS);
    connection_finish(&downstream->conn);
    downstream->closing |= downstream->half_closed;
}

void downstream_exchange_ended(struct downstream *downstream, enum downstream_ending ending)
{
    downstream->closing |= ending == DOWNSTREAM_ABORT;
    if (ending == DOWNSTREAM_CLOSE)
        begin_discarding(downstream);
    if (ending == DOWNSTREAM_KEEP) {
        reply_reset(&downstream->reply);
        set_state(downstream, DOWNSTREAM_IDLE, limits_of(downstream)->keep_alive_timeout_ms);
    }
    if (downstream->pumping)
        return; /* pump goes on from here */
    if (downstream->closing || downstream->in.len != 0)
        pump(downstream, buffer_span(&downstream->in));
    else
        set_reading(downstream, true);
}

static void on_timer(struct timer *timer)
{
    struct downstream *downstream = H2O_STRUCT_FROM_MEMBER(struct downstream, timer, timer);
    struct loop *loop = downstream->worker->loop;
    int64_t body_timeout_ms = limits_of(downstream)->body_timeout_ms;
    switch (downstream->state) {
    case DOWNSTREAM_HEAD:
        refuse(downstream, OUTCOME_HEAD_TIMEOUT, SPAN_NONE);
        return;
    case DOWNSTREAM_BODY:
        if (clock_us_between(downstream->since, loop->now) < body_timeout_ms * 1000) {
            loop_set_timer(loop, &downstream->timer,
                           clock_after_ms(downstream->since, body_timeout_ms));
            return;
        }
        refuse(downstream, OUTCOME_BODY_TIMEOUT, SPAN_NONE);
        return;
    case DOWNSTREAM_IDLE:
        if (clock_us_between(downstream->since, loop->now) < downstream->idle_ms * 1000) {
            connection_release_buffers(&downstream->conn); /* it rests */
            loop_set_timer(loop, &downstream->timer,
                           clock_after_ms(downstream->since, downstream->idle_ms));
            return;
        }
        destroy(downstream);
        return;
    case DOWNSTREAM_HANDSHAKE:
    case DOWNSTREAM_DISCARDING:
        destroy(downstream);
        return;
    case DOWNSTREAM_WAITING:
        return;
    }
}

/* ---- the end ---- */

void downstream_drain(struct downstream *downstream)
{
    if (downstream->exchange != NULL) {
        downstream->exchange->keep_alive = false;
        return;
    }
    if (downstream->state != DOWNSTREAM_IDLE) /* a head or a handshake has its own limit */
        return;
    int64_t idle_ms = worker_config(downstream->worker)->drain.idle_ms;
    if (downstream->requests == 0 && idle_ms < DOWNSTREAM_FIRST_REQUEST_MS)
        idle_ms = DOWNSTREAM_FIRST_REQUEST_MS; /* just accepted: its request may be on its way */
    if (idle_ms == 0)
        destroy(downstream);
    else
        set_state(downstream, DOWNSTREAM_IDLE, idle_ms);
}

void downstream_cut(struct downstream *downstream)
{
    if (downstream->exchange != NULL)
        exchange_cut(downstream->exchange); /* may leave it discarding, for its own short time */
    else
        destroy(downstream);
}

static void destroy(struct downstream *downstream)
{
    struct worker *worker = downstream->worker;
    CHECK(downstream->exchange == NULL && !downstream->pumping);
    loop_cancel_timer(worker->loop, &downstream->timer);
    connection_close(&downstream->conn);
    if (downstream->previous != NULL)
        downstream->previous->next = downstream->next;
    if (downstream->previous == NULL)
        worker->downstreams = downstream->next;
    if (downstream->next != NULL)
        downstream->next->previous = downstream->previous;
    reply_dispose(&downstream->reply);
    buffer_dispose(&downstream->in);
    free(downstream);
    atomic_fetch_sub_explicit(&worker->downstream_count, 1, memory_order_relaxed);
    admit_release_connection(&worker->gateway->admit);
    worker_note_downstream_gone(worker);
}
