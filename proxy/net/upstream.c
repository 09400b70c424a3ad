/* A request over a pooled connection, in the order things happen. */
#include "net/upstream.h"

enum { WRITE_MAX = 256 * 1024, IOV_MAX_USED = 16 };

static void on_connected(struct dialer_request *dial, struct connection *conn);
static void on_connect_failed(struct dialer_request *dial, enum dialer_failure failure,
                              const char *why);
static void on_writable(struct connection *conn);
static void pump_request(struct upstream_request *upstream);
static void on_readable(struct connection *conn);
static bool take_head(struct upstream_request *upstream, struct span *in);
static void take_body(struct upstream_request *upstream, struct span in);
static void finish(struct upstream_request *upstream, bool reusable);
static void fail(struct upstream_request *upstream, enum upstream_failure failure, const char *why);

static const struct connection_callbacks connection_callbacks = {on_readable, on_writable, NULL,
                                                                 NULL};

/* ---- connecting ---- */

static void use_connection(struct upstream_request *upstream, struct pool_connection *pc,
                           bool reused)
{
    upstream->pc = pc;
    upstream->reused = reused;
    upstream->phase = UPSTREAM_READY;
    upstream->ready = upstream->loop->now;
    pc->conn.owner = upstream;
    pc->conn.callbacks = &connection_callbacks;
}

bool upstream_start(struct upstream_request *upstream, struct pool *pool,
                    const struct upstream_callbacks *callbacks, bool fresh_only)
{
    struct loop *loop = pool_loop(pool);
    *upstream = (struct upstream_request){
        .callbacks = callbacks, .loop = loop, .pool = pool, .started = loop->now};
    buffer_init(&upstream->head_in, UPSTREAM_HEAD_MAX + LOOP_READ_SIZE);
    struct pool_connection *pc = fresh_only ? NULL : pool_take(pool);
    if (pc != NULL) {
        use_connection(upstream, pc, true);
        return true;
    }
    upstream->phase = UPSTREAM_CONNECTING;
    upstream->dial.on_connected = on_connected;
    upstream->dial.on_failed = on_connect_failed;
    upstream->dial.owner = upstream;
    dialer_connect(pool_dialer(pool), &upstream->dial);
    return false;
}

static void on_connected(struct dialer_request *dial, struct connection *conn)
{
    struct upstream_request *upstream = dial->owner;
    upstream->connected = dial->connected;
    use_connection(upstream, pool_adopt(upstream->pool, conn), false);
    upstream->callbacks->on_ready(upstream);
}

static void on_connect_failed(struct dialer_request *dial, enum dialer_failure failure,
                              const char *why)
{
    static const enum upstream_failure failures[] = {
        [DIALER_DNS_FAILED] = UPSTREAM_DNS_FAILED,
        [DIALER_CONNECT_FAILED] = UPSTREAM_CONNECT_FAILED,
        [DIALER_PROXY_REFUSED] = UPSTREAM_PROXY_REFUSED,
        [DIALER_TLS_FAILED] = UPSTREAM_TLS_FAILED,
    };
    struct upstream_request *upstream = dial->owner;
    upstream->connected = dial->connected;
    fail(upstream, failures[failure], why);
}

/* ---- sending ---- */

void upstream_send(struct upstream_request *upstream, struct span head,
                   const struct upstream_chunk *body, bool method_is_head)
{
    CHECK(upstream->phase == UPSTREAM_READY);
    upstream->phase = UPSTREAM_SENDING;
    upstream->head = head;
    upstream->chunk = body;
    upstream->method_is_head = method_is_head;
    upstream->send_started = upstream->progress = upstream->loop->now;
    ++upstream->pc->uses;
    pump_request(upstream);
}

/* What is still to be sent, at most WRITE_MAX bytes of it. */
static int fill_iov(const struct upstream_request *upstream, struct iovec iov[IOV_MAX_USED],
                    size_t *total)
{
    int count = 0;
    size_t offset = upstream->chunk_sent;
    *total = upstream->head.len - upstream->head_sent;
    if (*total != 0)
        iov[count++] = (struct iovec){(char *)upstream->head.at + upstream->head_sent, *total};
    for (const struct upstream_chunk *chunk = upstream->chunk;
         chunk != NULL && count != IOV_MAX_USED && *total < WRITE_MAX;
         chunk = chunk->next, offset = 0) {
        size_t len = chunk->len - offset;
        if (len > WRITE_MAX - *total)
            len = WRITE_MAX - *total;
        iov[count++] = (struct iovec){(char *)chunk->bytes + offset, len};
        *total += len;
    }
    return count;
}

static void advance(struct upstream_request *upstream, size_t taken)
{
    size_t head = upstream->head.len - upstream->head_sent;
    if (head > taken)
        head = taken;
    upstream->head_sent += head;
    taken -= head;
    while (upstream->chunk != NULL) {
        size_t left = upstream->chunk->len - upstream->chunk_sent;
        if (taken < left) {
            upstream->chunk_sent += taken;
            return;
        }
        taken -= left;
        upstream->chunk = upstream->chunk->next;
        upstream->chunk_sent = 0;
    }
}

/* Sends a turn's worth. Never calls the owner: a failed write shows in the read that follows, which
 * may bring an early response (a 413) first. */
static void pump_request(struct upstream_request *upstream)
{
    struct connection *conn = &upstream->pc->conn;
    struct iovec iov[IOV_MAX_USED];
    size_t total;
    int count = fill_iov(upstream, iov, &total);
    if (count != 0) {
        ssize_t taken = connection_write(conn, iov, count);
        if (taken < 0) {
            upstream->send_failed = true;
            return; /* the socket is readable now: a response, end of file or the error */
        }
        advance(upstream, (size_t)taken);
        if (taken > 0)
            upstream->progress = upstream->loop->now;
        if ((size_t)taken == total && upstream->chunk != NULL)
            connection_want_writable(conn);
    }
    if (upstream->head_sent != upstream->head.len || upstream->chunk != NULL ||
        !connection_is_flushed(conn))
        return;
    upstream->sent = upstream->progress = loop_read_clock(upstream->loop);
    if (upstream->phase == UPSTREAM_SENDING)
        upstream->phase = UPSTREAM_WAITING;
}

static void on_writable(struct connection *conn)
{
    struct upstream_request *upstream = conn->owner;
    if (upstream->sent.us == 0 && !upstream->send_failed && upstream->phase >= UPSTREAM_SENDING)
        pump_request(upstream);
}

/* ---- receiving ---- */

/* The peer has closed or failed; what that means depends on how far the request has come. */
static void on_closed(struct upstream_request *upstream, bool clean)
{
    clean &= !upstream->send_failed; /* which consumed the socket's error */
    const char *why =
        clean ? "the upstream closed the connection" : connection_error(&upstream->pc->conn);
    if (upstream->has_head) {
        if (clean && http1_body_may_end_here(&upstream->body))
            finish(upstream, false);
        else
            fail(upstream, UPSTREAM_BROKEN, why);
        return;
    }
    if (upstream->first_byte.us != 0) {
        fail(upstream, UPSTREAM_BAD_RESPONSE,
             "the upstream closed the connection within the response's head");
        return;
    }
    if (upstream->reused) {
        fail(upstream, UPSTREAM_STALE, why);
        return;
    }
    fail(upstream, upstream->sent.us == 0 ? UPSTREAM_SEND_FAILED : UPSTREAM_NO_RESPONSE, why);
}

static void note_arrival(struct upstream_request *upstream)
{
    struct mono_time now = upstream->loop->now;
    if (upstream->first_byte.us == 0)
        upstream->first_byte = now;
    int64_t gap = upstream->last_byte.us == 0 ? 0 : clock_us_between(upstream->last_byte, now);
    if (gap > upstream->gap_max_us)
        upstream->gap_max_us = gap;
    upstream->last_byte = upstream->progress = now;
}

static void on_readable(struct connection *conn)
{
    struct upstream_request *upstream = conn->owner;
    struct span in;
    switch (connection_read(conn, &in)) {
    case CONNECTION_AGAIN:
        return;
    case CONNECTION_END:
        on_closed(upstream, true);
        return;
    case CONNECTION_TRUNCATED:
        on_closed(upstream, false);
        return;
    case CONNECTION_FAILED:
        on_closed(upstream, false);
        return;
    case CONNECTION_DATA:
        break;
    }
    if (upstream->phase == UPSTREAM_READY) { /* bytes before the request */
        fail(upstream, UPSTREAM_STALE, "the upstream sent data before the request");
        return;
    }
    upstream->phase = UPSTREAM_RECEIVING;
    note_arrival(upstream);
    if (upstream->has_head || take_head(upstream, &in))
        take_body(upstream, in);
}

/* Keeps an incomplete head. Always false: the input is used up, or the request has ended. */
static bool keep_head(struct upstream_request *upstream, struct span in, bool kept)
{
    if (!kept)
        buffer_append(&upstream->head_in, in);
    if (upstream->head_in.len > UPSTREAM_HEAD_MAX) {
        fail(upstream, UPSTREAM_BAD_RESPONSE, "the response's head is larger than 64 KiB");
        return false;
    }
    if (upstream->pc->conn.ended)
        on_closed(upstream, true);
    return false;
}

static void use_head(struct upstream_request *upstream, const struct http1_response *head)
{
    upstream->has_head = true;
    upstream->keep_alive = head->keep_alive;
    http1_body_init(&upstream->body, head->framing, head->content_length);
    upstream->callbacks->on_head(upstream, head);
}

/* One whole head at the front of `bytes`, or none yet (len 0). */
static enum http1_fault parse_head(struct upstream_request *upstream, struct span bytes, long *len,
                                   struct http1_response *head)
{
    *len = http1_scan_head(bytes, &upstream->head_scanned);
    if (*len == 0)
        return HTTP1_OK;
    if (*len < 0)
        return HTTP1_BAD_LINE;
    if (*len > UPSTREAM_HEAD_MAX)
        return HTTP1_TOO_MANY_HEADERS;
    upstream->head_scanned = 0;
    return http1_parse_response(span_make(bytes.at, (size_t)*len), upstream->method_is_head, head);
}

/* Reads heads from the front of the input, skipping 1xx ones. True: *in is what follows the final
 * one. */
static bool take_head(struct upstream_request *upstream, struct span *in)
{
    for (;;) {
        struct http1_response head;
        struct span bytes = *in;
        long len;
        bool kept = upstream->head_in.len != 0;
        if (kept) {
            buffer_append(&upstream->head_in, *in);
            bytes = buffer_span(&upstream->head_in);
        }
        enum http1_fault fault = parse_head(upstream, bytes, &len, &head);
        if (fault != HTTP1_OK) {
            fail(upstream, UPSTREAM_BAD_RESPONSE, http1_fault_text(fault).at);
            return false;
        }
        if (len == 0)
            return keep_head(upstream, *in, kept);
        /* The end of `bytes` is the end of *in, kept or not. */
        *in = span_from_offset(*in, in->len - (bytes.len - (size_t)len));
        bool final = head.status >= 200;
        if (final)
            use_head(upstream, &head);
        buffer_dispose(&upstream->head_in);
        if (final)
            return true;
        if (++upstream->informational > UPSTREAM_INFORMATIONAL_MAX) {
            fail(upstream, UPSTREAM_BAD_RESPONSE,
                 "more than 16 informational responses before the final one");
            return false;
        }
        if (in->len == 0)
            return false;
    }
}

static void take_body(struct upstream_request *upstream, struct span in)
{
    struct span data;
    bool part = false;
    for (;;) {
        switch (http1_body_next(&upstream->body, &in, &data)) {
        case HTTP1_BODY_DATA:
            upstream->parts += !part;
            part = true;
            upstream->callbacks->on_data(upstream, data);
            continue;
        case HTTP1_BODY_BAD:
            fail(upstream, UPSTREAM_BROKEN, "the response's chunked coding is malformed");
            return;
        case HTTP1_BODY_END:
            finish(upstream, in.len == 0);
            return;
        case HTTP1_BODY_MORE:
            break;
        }
        break;
    }
    if (upstream->pc->conn.ended) {
        on_closed(upstream, true);
        return;
    }
    upstream->callbacks->on_flush(upstream);
}

/* ---- endings ---- */

static void leave(struct upstream_request *upstream, bool reusable)
{
    struct pool_connection *pc = upstream->pc;
    upstream->pc = NULL;
    upstream->phase = UPSTREAM_IDLE;
    upstream->last_byte = upstream->loop->now;
    buffer_dispose(&upstream->head_in);
    if (pc == NULL)
        return;
    if (reusable)
        pool_put(pc);
    else
        pool_drop(pc);
}

static void finish(struct upstream_request *upstream, bool reusable)
{
    const struct connection *conn = &upstream->pc->conn;
    leave(upstream, reusable && upstream->keep_alive && upstream->sent.us != 0 && !conn->ended &&
                        !connection_is_paused(conn) && upstream->body.framing != HTTP1_UNTIL_CLOSE);
    upstream->callbacks->on_end(upstream);
}

static void fail(struct upstream_request *upstream, enum upstream_failure failure, const char *why)
{
    char text[160]; /* `why` may belong to the connection that is closed now */
    snprintf(text, sizeof(text), "%s", why);
    leave(upstream, false);
    upstream->callbacks->on_failed(upstream, failure, text);
}

void upstream_pause(struct upstream_request *upstream)
{
    if (upstream->pc != NULL && !connection_is_paused(&upstream->pc->conn))
        connection_pause(&upstream->pc->conn);
}

void upstream_resume(struct upstream_request *upstream)
{
    if (upstream->pc == NULL || !connection_is_paused(&upstream->pc->conn))
        return;
    upstream->progress = upstream->last_byte =
        upstream->loop->now; /* our pause is not the upstream's gap */
    connection_resume(&upstream->pc->conn);
}

void upstream_cancel(struct upstream_request *upstream)
{
    if (upstream->phase == UPSTREAM_IDLE)
        return;
    dialer_cancel(&upstream->dial);
    leave(upstream, false);
}
