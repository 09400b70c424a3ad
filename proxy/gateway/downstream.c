/* A downstream connection: reads heads and bodies, opens a request for each, and then keeps or
 * closes the connection. */
#include "gateway/downstream.h"

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

static const struct downstream_limits *limits_of(const struct downstream *downstream)
{
    return &downstream->set->limits;
}

static const struct downstream_service *service_of(const struct downstream *downstream)
{
    return downstream->set->service;
}

/* ---- open ---- */

static void set_state(struct downstream *downstream, enum downstream_state state, int64_t limit_ms)
{
    struct loop *loop = downstream->set->loop;
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

static void link_newest(struct downstream *downstream)
{
    struct downstream_set *set = downstream->set;
    downstream->older = set->newest;
    *(set->newest != NULL ? &set->newest->newer : &set->oldest) = downstream;
    set->newest = downstream;
    ++set->count;
}

static void unlink_from_set(struct downstream *downstream)
{
    struct downstream_set *set = downstream->set;
    *(downstream->newer != NULL ? &downstream->newer->older : &set->newest) = downstream->older;
    *(downstream->older != NULL ? &downstream->older->newer : &set->oldest) = downstream->newer;
    --set->count;
}

void downstream_open(struct downstream_set *set, int fd, struct tls_context *tls)
{
    struct downstream *downstream = calloc(1, sizeof(*downstream));
    CHECK(downstream != NULL);
    downstream->set = set;
    downstream->timer.fire = on_timer;
    remote_read(fd, &downstream->remote);
    writer_init(&downstream->writer);
    downstream->head_bytes_max = limits_of(downstream)->head_bytes;
    buffer_init(&downstream->in,
                downstream->head_bytes_max + LOOP_READ_SIZE + 2 * DOWNSTREAM_PIPELINED_MAX);
    link_newest(downstream);
    connection_open(&downstream->conn, set->loop, fd, &connection_callbacks, downstream);
    connection_guard(&downstream->conn);
    connection_limit_unsent(&downstream->conn, WRITER_HIGH_WATERMARK);
    set_state(downstream, tls == NULL ? DOWNSTREAM_IDLE : DOWNSTREAM_HANDSHAKE,
              limits_of(downstream)->head_timeout_ms);
    if (tls != NULL)
        connection_start_tls(&downstream->conn, tls);
}

static void on_handshake(struct connection *conn, bool succeeded)
{
    struct downstream *downstream = conn->owner;
    if (!succeeded) {
        log_write(LOG_INFO, "tls", "%s: TLS handshake failed: %s", downstream->remote.name,
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

/* Keeps the rest of `input`, which is in the loop's read buffer or downstream->in. */
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

/* Pauses reading once `in` holds enough pipelined requests; the rest waits in the kernel. */
static void set_reading(struct downstream *downstream, bool wants_more)
{
    bool reading =
        !downstream->half_closed && (wants_more || downstream->in.len < DOWNSTREAM_PIPELINED_MAX);
    if (reading && connection_is_paused(&downstream->conn))
        connection_resume(&downstream->conn);
    if (!reading && !connection_is_paused(&downstream->conn))
        connection_pause(&downstream->conn);
}

/* Consumes as much of `input` as the state allows, at most DOWNSTREAM_HEADS_A_TURN heads; the rest
 * waits for the next turn. */
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

static void open_request(struct downstream *downstream)
{
    downstream->request = service_of(downstream)->open(downstream, downstream->since);
}

/* Returns true if the response is sent: pump continues by discarding input. */
static bool refuse(struct downstream *downstream, enum outcome outcome, struct span message)
{
    if (downstream->request == NULL)
        open_request(downstream);
    set_state(downstream, DOWNSTREAM_WAITING, 0); /* until the response is sent */
    service_of(downstream)->refuse(downstream->request, outcome, message);
    return downstream->request == NULL;
}

long downstream_scan_head(struct span bytes, size_t *scanned, uint64_t head_bytes_max,
                          enum outcome *outcome, struct span *message)
{
    enum { TLS_HANDSHAKE = 22 };
    long len = http1_scan_head(bytes, scanned);
    if (len < 0) {
        *outcome = OUTCOME_BAD_REQUEST;
        *message = bytes.at[0] == TLS_HANDSHAKE
                       ? SPAN("TLS handshake on a plaintext listener: use http://")
                       : http1_fault_text(HTTP1_BAD_LINE);
        return -1;
    }
    if ((len == 0 ? bytes.len : (size_t)len) <= head_bytes_max)
        return len;
    *outcome = OUTCOME_HEAD_TOO_LARGE;
    *message = outcome_info(OUTCOME_HEAD_TOO_LARGE)->text;
    return -1;
}

/* Returns true if pump may continue. */
static bool take_head(struct downstream *downstream, struct span *input)
{
    enum outcome outcome;
    struct span message;
    if (http1_is_before_head(*input))
        return false; /* old clients send an empty line after a body */
    if (downstream->state == DOWNSTREAM_IDLE)
        set_state(downstream, DOWNSTREAM_HEAD, limits_of(downstream)->head_timeout_ms);
    long len = downstream_scan_head(*input, &downstream->scanned, downstream->head_bytes_max,
                                    &outcome, &message);
    if (len < 0)
        return refuse(downstream, outcome, message);
    if (len == 0)
        return false;

    struct span head = span_make(input->at, (size_t)len);
    *input = span_from_offset(*input, (size_t)len);
    downstream->scanned = 0;
    writer_reset(&downstream->writer);
    open_request(downstream);
    ++downstream->requests;
    set_state(downstream, DOWNSTREAM_WAITING, 0);
    service_of(downstream)->take_head(downstream->request, head);
    if (downstream->request == NULL) /* rejected, and the response is sent */
        return true;
    if (!service_of(downstream)->wants_body(downstream->request))
        return false;
    begin_body(downstream, input->len != 0);
    return true;
}

/* Starts reading the body. Sends 100 Continue to a peer that waits for it, unless part of the body
 * is here (`has_come`). */
static void begin_body(struct downstream *downstream, bool has_come)
{
    const struct downstream_service *service = service_of(downstream);
    struct downstream_facts facts = service->look(downstream->request);
    http1_body_init(&downstream->body, facts.framing, facts.content_length);
    set_state(downstream, DOWNSTREAM_BODY, limits_of(downstream)->body_timeout_ms);
    if (facts.invites_body && !has_come && facts.framing != HTTP1_NO_BODY) {
        writer_append_continue(&downstream->writer);
        service->flush(downstream->request);
    }
}

bool downstream_goes_on(const struct downstream *downstream)
{
    uint64_t max = limits_of(downstream)->keep_alive_requests;
    return !downstream->set->draining && (max == 0 || downstream->requests < max);
}

void downstream_request_admitted(struct downstream *downstream)
{
    begin_body(downstream, downstream->in.len != 0);
    if (downstream->request != NULL)
        pump(downstream, buffer_span(&downstream->in));
}

static bool take_body(struct downstream *downstream, struct span *input)
{
    const struct downstream_service *service = service_of(downstream);
    struct span data;
    downstream->since = downstream->set->loop->now;
    for (;;) {
        switch (http1_body_next(&downstream->body, input, &data)) {
        case HTTP1_BODY_DATA:
            service->take_body(downstream->request, data);
            if (downstream->request == NULL)
                return true;
            if (service->wants_body(downstream->request))
                continue;
            /* Rejected meanwhile; the response is not sent yet. */
            set_state(downstream, DOWNSTREAM_WAITING, 0);
            return false;
        case HTTP1_BODY_MORE:
            return false;
        case HTTP1_BODY_BAD:
            return refuse(downstream, OUTCOME_BAD_REQUEST,
                          SPAN("malformed chunked coding in the body"));
        case HTTP1_BODY_END:
            set_state(downstream, DOWNSTREAM_WAITING, 0);
            service->end_body(downstream->request);
            return downstream->request == NULL;
        }
    }
}

/* ---- departures ---- */

/* Returns whether the whole body of a request that waits for admission is in `in`. */
static bool has_whole_body(const struct downstream *downstream,
                           const struct downstream_facts *facts)
{
    return facts->framing == HTTP1_NO_BODY ||
           (facts->framing == HTTP1_LENGTH && downstream->in.len >= facts->content_length);
}

/* Returns whether a peer that shut down its sending side still waits for its response. */
static bool awaits_response(const struct downstream *downstream)
{
    if (downstream->request == NULL || downstream->state != DOWNSTREAM_WAITING)
        return false;
    struct downstream_facts facts = service_of(downstream)->look(downstream->request);
    if (!facts.has_head || !facts.may_finish)
        return false;
    return facts.waits ? has_whole_body(downstream, &facts) : downstream->in.len == 0;
}

static void on_ended(struct downstream *downstream, bool reset)
{
    const struct downstream_service *service = service_of(downstream);
    if (!reset && awaits_response(downstream)) {
        downstream->half_closed = true;
        service->make_last(downstream->request);
        connection_pause(&downstream->conn); /* end of file would be reported repeatedly */
        return;
    }
    if (downstream->request == NULL && downstream->state == DOWNSTREAM_HEAD)
        open_request(downstream);
    if (downstream->request != NULL) {
        if (service->look(downstream->request).has_head)
            service->cancel(downstream->request, OUTCOME_CLIENT_GONE);
        else
            service->refuse(downstream->request, OUTCOME_CLIENT_GONE, SPAN_NONE);
        return;
    }
    destroy(downstream);
}

static void on_writable(struct connection *conn)
{
    struct downstream *downstream = conn->owner;
    if (downstream->request != NULL)
        service_of(downstream)->flush(downstream->request);
    else if (downstream->in.len != 0)
        pump(downstream, buffer_span(&downstream->in)); /* pump yielded */
}

static void on_departed(struct connection *conn, bool reset)
{
    on_ended(conn->owner, reset);
}

/* ---- the end of a request ---- */

/* Shuts down the sending side and discards further input, so that the peer reads the response
 * before it gets a reset. */
static void begin_discarding(struct downstream *downstream)
{
    set_state(downstream, DOWNSTREAM_DISCARDING, DOWNSTREAM_DISCARD_MS);
    connection_finish(&downstream->conn);
    downstream->closing |= downstream->half_closed;
}

void downstream_end_request(struct downstream *downstream, enum downstream_ending ending)
{
    downstream->request = NULL;
    downstream->closing |= ending == DOWNSTREAM_ABORT;
    if (ending == DOWNSTREAM_CLOSE)
        begin_discarding(downstream);
    if (ending == DOWNSTREAM_KEEP) {
        writer_reset(&downstream->writer);
        set_state(downstream, DOWNSTREAM_IDLE, limits_of(downstream)->keep_alive_timeout_ms);
    }
    if (downstream->pumping)
        return; /* pump continues */
    if (downstream->closing || downstream->in.len != 0)
        pump(downstream, buffer_span(&downstream->in));
    else
        set_reading(downstream, true);
}

static void on_timer(struct timer *timer)
{
    struct downstream *downstream = H2O_STRUCT_FROM_MEMBER(struct downstream, timer, timer);
    struct loop *loop = downstream->set->loop;
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
            connection_release_buffers(&downstream->conn);
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

static void drain(struct downstream *downstream)
{
    if (downstream->request != NULL) {
        service_of(downstream)->make_last(downstream->request);
        return;
    }
    if (downstream->state != DOWNSTREAM_IDLE) /* a head or a handshake has its own limit */
        return;
    int64_t idle_ms = limits_of(downstream)->drain_idle_ms;
    if (downstream->requests == 0 && idle_ms < DOWNSTREAM_FIRST_REQUEST_MS)
        idle_ms = DOWNSTREAM_FIRST_REQUEST_MS; /* just accepted: its request may arrive soon */
    if (idle_ms == 0)
        destroy(downstream);
    else
        set_state(downstream, DOWNSTREAM_IDLE, idle_ms);
}

void downstream_drain_all(struct downstream_set *set)
{
    set->draining = true;
    for (struct downstream *downstream = set->newest, *next; downstream != NULL;
         downstream = next) {
        next = downstream->older;
        drain(downstream);
    }
}

static void cut(struct downstream *downstream)
{
    if (downstream->request != NULL)
        service_of(downstream)->cut(downstream->request);
    else
        destroy(downstream);
}

void downstream_cut_all(struct downstream_set *set)
{
    for (struct downstream *downstream = set->newest, *next; downstream != NULL;
         downstream = next) {
        next = downstream->older;
        cut(downstream);
    }
}

void downstream_evict(struct downstream_set *set)
{
    struct downstream *victim = set->oldest;
    CHECK(victim != NULL);
    while (victim != NULL && victim->state == DOWNSTREAM_WAITING)
        victim = victim->newer;
    cut(victim != NULL ? victim : set->oldest);
}

static void destroy(struct downstream *downstream)
{
    struct downstream_set *set = downstream->set;
    CHECK(downstream->request == NULL && !downstream->pumping);
    loop_cancel_timer(set->loop, &downstream->timer);
    connection_close(&downstream->conn);
    unlink_from_set(downstream);
    writer_dispose(&downstream->writer);
    buffer_dispose(&downstream->in);
    free(downstream);
    if (set->on_gone != NULL)
        set->on_gone(set);
}
