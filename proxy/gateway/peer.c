/* A calling program's connection: heads and bodies in, an exchange each, and what becomes of the connection after. */
#include "gateway/peer.h"

#include "gateway/exchange.h"
#include "observe/log.h"

#include <stdlib.h>
#include <unistd.h>

static void on_handshake(struct connection *conn, bool succeeded);
static void on_readable(struct connection *conn);
static void on_writable(struct connection *conn);
static void pump(struct peer *peer, struct span input);
static bool take_head(struct peer *peer, struct span *input);
static void begin_body(struct peer *peer, bool has_come);
static bool take_body(struct peer *peer, struct span *input);
static void on_ended(struct peer *peer, bool reset);
static void on_departed(struct connection *conn, bool reset);
static void on_timer(struct timer *timer);
static void destroy(struct peer *peer);

static const struct connection_callbacks connection_callbacks = {on_readable, on_writable,
                                                                 on_handshake, on_departed};

static const struct config_limits *limits_of(const struct peer *peer)
{
    return &worker_config(peer->worker)->limits;
}

/* ---- open ---- */

static void set_state(struct peer *peer, enum peer_state state, int64_t limit_ms)
{
    struct loop *loop = peer->worker->loop;
    peer->state = state;
    peer->since = loop->now;
    peer->idle_ms = limit_ms;
    if (state == PEER_IDLE && peer->conn.tls != NULL && limit_ms > PEER_RELEASE_MS)
        limit_ms = PEER_RELEASE_MS;
    if (limit_ms == 0)
        loop_cancel_timer(loop, &peer->timer);
    else
        loop_set_timer(loop, &peer->timer, clock_after_ms(loop->now, limit_ms));
}

void peer_open(struct worker *worker, int fd, struct tls_context *tls)
{
    struct peer *peer = calloc(1, sizeof(*peer));
    CHECK(peer != NULL);
    peer->worker = worker;
    peer->timer.fire = on_timer;
    remote_read(fd, &peer->remote);
    reply_init(&peer->reply);
    peer->head_bytes_max = limits_of(peer)->head_bytes;
    buffer_init(&peer->in, peer->head_bytes_max + LOOP_READ_SIZE + 2 * PEER_PIPELINED_MAX);
    peer->next = worker->peers;
    if (worker->peers != NULL)
        worker->peers->previous = peer;
    worker->peers = peer;
    connection_open(&peer->conn, worker->loop, fd, &connection_callbacks, peer);
    connection_guard(&peer->conn);
    connection_limit_unsent(&peer->conn, REPLY_HIGH_WATERMARK);
    set_state(peer, tls == NULL ? PEER_IDLE : PEER_HANDSHAKE, limits_of(peer)->head_timeout_ms);
    if (tls != NULL)
        connection_start_tls(&peer->conn, tls);
}

static void on_handshake(struct connection *conn, bool succeeded)
{
    struct peer *peer = conn->owner;
    if (!succeeded) {
        log_write(LOG_INFO, "tls", "%s: the handshake failed: %s", peer->remote.name,
                  connection_error(conn));
        destroy(peer);
        return;
    }
    set_state(peer, PEER_IDLE, limits_of(peer)->head_timeout_ms);
}

/* ---- reading ---- */

static void on_readable(struct connection *conn)
{
    struct peer *peer = conn->owner;
    struct span got;
    switch (connection_read(conn, &got)) {
    case CONNECTION_AGAIN:
        return;
    case CONNECTION_END:
        on_ended(peer, false);
        return;
    case CONNECTION_TRUNCATED:
    case CONNECTION_FAILED:
        on_ended(peer, true);
        return;
    case CONNECTION_DATA:
        break;
    }
    if (peer->in.len == 0) {
        pump(peer, got);
        return;
    }
    buffer_append(&peer->in, got);
    CHECK(!peer->in.overflowed);
    pump(peer, buffer_span(&peer->in));
}

/* Keeps what is left of `input`, which is the loop's scratch or peer->in itself. */
static void keep(struct peer *peer, struct span input)
{
    bool is_own = peer->in.len != 0;
    if (is_own)
        buffer_consume(&peer->in, peer->in.len - input.len);
    else
        buffer_append(&peer->in, input);
    CHECK(!peer->in.overflowed);
    if (peer->in.len == 0 && peer->in.capacity != 0) {
        size_t max = peer->in.max;
        buffer_dispose(&peer->in);
        buffer_init(&peer->in, max);
    }
}

/* Pipelined requests wait in `in`, and beyond that in the kernel. */
static void set_reading(struct peer *peer, bool wants_more)
{
    bool reading = !peer->half_closed && (wants_more || peer->in.len < PEER_PIPELINED_MAX);
    if (reading && connection_is_paused(&peer->conn))
        connection_resume(&peer->conn);
    if (!reading && !connection_is_paused(&peer->conn))
        connection_pause(&peer->conn);
}

/* Uses up as much of `input` as the state allows: some heads and bodies; the rest of a flood waits for the next turn. */
static void pump(struct peer *peer, struct span input)
{
    CHECK(!peer->pumping);
    peer->pumping = true;
    bool going = true;
    unsigned heads = 0;
    while (going && !peer->closing) {
        switch (peer->state) {
        case PEER_IDLE:
        case PEER_HEAD:
            going = input.len != 0 && heads++ != PEER_HEADS_A_TURN && take_head(peer, &input);
            break;
        case PEER_BODY:
            going = take_body(peer, &input);
            break;
        case PEER_HANDSHAKE:
        case PEER_WAITING:
            going = false;
            break;
        case PEER_DISCARDING:
            peer->discarded += input.len;
            input.len = 0;
            peer->closing = peer->discarded > PEER_DISCARD_MAX;
            going = false;
            break;
        }
    }
    peer->pumping = false;
    if (peer->closing) {
        destroy(peer);
        return;
    }
    keep(peer, input);
    bool yielded = heads > PEER_HEADS_A_TURN;
    if (yielded)
        connection_want_writable(&peer->conn);
    set_reading(peer, peer->state != PEER_WAITING && !yielded);
}

/* True: the answer is out, and what still comes is to be discarded. */
static bool refuse(struct peer *peer, enum outcome outcome, struct span message)
{
    if (peer->exchange == NULL)
        exchange_open(peer, peer->since);
    set_state(peer, PEER_WAITING, 0); /* until the answer is out */
    exchange_refuse(peer->exchange, outcome, message);
    return peer->exchange == NULL;
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
static bool take_head(struct peer *peer, struct span *input)
{
    const struct config_limits *limits = limits_of(peer);
    if (http1_is_before_head(*input))
        return false; /* an empty line that old clients send behind a body */
    if (peer->state == PEER_IDLE)
        set_state(peer, PEER_HEAD, limits->head_timeout_ms);
    long len = http1_scan_head(*input, &peer->scanned);
    if (len < 0)
        return refuse(peer, OUTCOME_BAD_REQUEST, bad_bytes(*input));
    if ((len == 0 ? input->len : (size_t)len) > peer->head_bytes_max)
        return refuse(peer, OUTCOME_HEAD_TOO_LARGE, SPAN_NONE);
    if (len == 0)
        return false;

    struct span head = span_make(input->at, (size_t)len);
    *input = span_from_offset(*input, (size_t)len);
    peer->scanned = 0;
    reply_reset(&peer->reply);
    struct exchange *ex = exchange_open(peer, peer->since);
    ++peer->requests;
    set_state(peer, PEER_WAITING, 0);
    exchange_take_head(ex, head);
    if (peer->exchange == NULL) /* refused, and the answer is out */
        return true;
    if (!exchange_wants_body(ex))
        return false;
    begin_body(peer, input->len != 0);
    return true;
}

/* The body may be read. Tells a peer that waits for it to send it; `has_come`: some of it has come already. */
static void begin_body(struct peer *peer, bool has_come)
{
    struct exchange *ex = peer->exchange;
    const struct http1_request *request = &ex->request;
    http1_body_init(&peer->body, request->framing, request->content_length);
    set_state(peer, PEER_BODY, limits_of(peer)->body_timeout_ms);
    if (ex->state == EXCHANGE_BODY && request->expect_continue && !has_come &&
        request->framing != HTTP1_NO_BODY) {
        reply_append_continue(&peer->reply);
        exchange_flush(ex);
    }
}

bool peer_goes_on(const struct peer *peer)
{
    uint64_t max = limits_of(peer)->keep_alive_requests;
    return !peer->worker->draining && (max == 0 || peer->requests < max);
}

void peer_exchange_admitted(struct peer *peer)
{
    begin_body(peer, peer->in.len != 0);
    if (peer->exchange != NULL)
        pump(peer, buffer_span(&peer->in));
}

static bool take_body(struct peer *peer, struct span *input)
{
    struct exchange *ex = peer->exchange;
    struct span data;
    peer->since = peer->worker->loop->now;
    for (;;) {
        switch (http1_body_next(&peer->body, input, &data)) {
        case HTTP1_BODY_DATA:
            exchange_take_body(ex, data);
            if (peer->exchange == NULL)
                return true;
            if (exchange_wants_body(ex))
                continue;
            set_state(peer, PEER_WAITING, 0); /* refused on the way; its answer is not out yet */
            return false;
        case HTTP1_BODY_MORE:
            return false;
        case HTTP1_BODY_BAD:
            return refuse(peer, OUTCOME_BAD_REQUEST,
                          SPAN("the body's chunked coding is malformed"));
        case HTTP1_BODY_END:
            set_state(peer, PEER_WAITING, 0);
            exchange_end_body(ex);
            return peer->exchange == NULL;
        }
    }
}

/* ---- departures ---- */

/* A request that waits for its turn, and whose body lies in `in` unread: is it all there? */
static bool has_whole_body(const struct peer *peer)
{
    const struct http1_request *request = &peer->exchange->request;
    return request->framing == HTTP1_NO_BODY ||
           (request->framing == HTTP1_LENGTH && peer->in.len >= request->content_length);
}

/* Has a peer that shut its sending side left, or does it wait for its answer? */
static bool awaits_answer(const struct peer *peer)
{
    const struct exchange *ex = peer->exchange;
    if (ex == NULL || !ex->request_parsed || peer->state != PEER_WAITING)
        return false;
    if (ex->state == EXCHANGE_QUEUED ? !has_whole_body(peer) : peer->in.len != 0)
        return false;
    enum config_half_close rule =
        ex->match.route == NULL ? CONFIG_HALF_CLOSE_AUTO : ex->match.route->on_half_close;
    if (rule == CONFIG_HALF_CLOSE_AUTO) /* one that asked for a last answer waits */
        return !ex->request.keep_alive;
    return rule == CONFIG_HALF_CLOSE_FINISH;
}

static void on_ended(struct peer *peer, bool reset)
{
    if (!reset && awaits_answer(peer)) {
        peer->half_closed = true;
        peer->exchange->keep_alive = false;
        connection_pause(&peer->conn); /* end of file would be told again and again */
        return;
    }
    if (peer->exchange == NULL && peer->state == PEER_HEAD)
        exchange_open(peer, peer->since);
    if (peer->exchange != NULL) {
        if (!peer->exchange->request_parsed)
            exchange_refuse(peer->exchange, OUTCOME_CLIENT_GONE, SPAN_NONE);
        else
            exchange_cancel(peer->exchange, OUTCOME_CLIENT_GONE);
        return;
    }
    destroy(peer);
}

static void on_writable(struct connection *conn)
{
    struct peer *peer = conn->owner;
    if (peer->exchange != NULL)
        exchange_flush(peer->exchange);
    else if (peer->in.len != 0)
        pump(peer, buffer_span(&peer->in)); /* it yielded */
}

static void on_departed(struct connection *conn, bool reset)
{
    on_ended(conn->owner, reset);
}

/* ---- the end of an exchange ---- */

/* Says no more, and drops what the peer still sends, so that it can read the answer before it meets a reset. */
static void begin_discarding(struct peer *peer)
{
    set_state(peer, PEER_DISCARDING, PEER_DISCARD_MS);
    connection_finish(&peer->conn);
    peer->closing |= peer->half_closed;
}

void peer_exchange_ended(struct peer *peer, enum peer_ending ending)
{
    peer->closing |= ending == PEER_ABORT;
    if (ending == PEER_CLOSE)
        begin_discarding(peer);
    if (ending == PEER_KEEP) {
        reply_reset(&peer->reply);
        set_state(peer, PEER_IDLE, limits_of(peer)->keep_alive_timeout_ms);
    }
    if (peer->pumping)
        return; /* pump goes on from here */
    if (peer->closing || peer->in.len != 0)
        pump(peer, buffer_span(&peer->in));
    else
        set_reading(peer, true);
}

static void on_timer(struct timer *timer)
{
    struct peer *peer = H2O_STRUCT_FROM_MEMBER(struct peer, timer, timer);
    struct loop *loop = peer->worker->loop;
    int64_t body_timeout_ms = limits_of(peer)->body_timeout_ms;
    switch (peer->state) {
    case PEER_HEAD:
        refuse(peer, OUTCOME_HEAD_TIMEOUT, SPAN_NONE);
        return;
    case PEER_BODY:
        if (clock_us_between(peer->since, loop->now) < body_timeout_ms * 1000) {
            loop_set_timer(loop, &peer->timer, clock_after_ms(peer->since, body_timeout_ms));
            return;
        }
        refuse(peer, OUTCOME_BODY_TIMEOUT, SPAN_NONE);
        return;
    case PEER_IDLE:
        if (clock_us_between(peer->since, loop->now) < peer->idle_ms * 1000) {
            connection_release_buffers(&peer->conn); /* it rests */
            loop_set_timer(loop, &peer->timer, clock_after_ms(peer->since, peer->idle_ms));
            return;
        }
        destroy(peer);
        return;
    case PEER_HANDSHAKE:
    case PEER_DISCARDING:
        destroy(peer);
        return;
    case PEER_WAITING:
        return;
    }
}

/* ---- the end ---- */

void peer_drain(struct peer *peer)
{
    if (peer->exchange != NULL) {
        peer->exchange->keep_alive = false;
        return;
    }
    if (peer->state != PEER_IDLE) /* a head or a handshake has its own limit */
        return;
    int64_t idle_ms = worker_config(peer->worker)->drain.idle_ms;
    if (peer->requests == 0 && idle_ms < PEER_FIRST_REQUEST_MS)
        idle_ms = PEER_FIRST_REQUEST_MS; /* just accepted: its request may be on its way */
    if (idle_ms == 0)
        destroy(peer);
    else
        set_state(peer, PEER_IDLE, idle_ms);
}

void peer_cut(struct peer *peer)
{
    if (peer->exchange != NULL)
        exchange_cut(peer->exchange); /* may leave it discarding, for its own short time */
    else
        destroy(peer);
}

static void destroy(struct peer *peer)
{
    struct worker *worker = peer->worker;
    CHECK(peer->exchange == NULL && !peer->pumping);
    loop_cancel_timer(worker->loop, &peer->timer);
    connection_close(&peer->conn);
    if (peer->previous != NULL)
        peer->previous->next = peer->next;
    if (peer->previous == NULL)
        worker->peers = peer->next;
    if (peer->next != NULL)
        peer->next->previous = peer->previous;
    reply_dispose(&peer->reply);
    buffer_dispose(&peer->in);
    free(peer);
    atomic_fetch_sub_explicit(&worker->peer_count, 1, memory_order_relaxed);
    admit_release_connection(&worker->gateway->admit);
    worker_note_peer_gone(worker);
}
