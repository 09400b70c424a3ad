/* The upstream client: a request over a pooled connection, told in the order things happen. */
#include "net/client.h"

enum { WRITE_MAX = 256 * 1024, IOV_MAX_USED = 16 };

static void on_connected(struct dial *dial, struct connection *conn);
static void on_connect_failed(struct dial *dial, enum dialer_failure failure, const char *why);
static void on_writable(struct connection *conn);
static void pump_request(struct client *client);
static void on_readable(struct connection *conn);
static bool take_head(struct client *client, struct span *in);
static void take_body(struct client *client, struct span in);
static void finish(struct client *client, bool reusable);
static void fail(struct client *client, enum client_failure failure, const char *why);

static const struct connection_callbacks connection_callbacks = {on_readable, on_writable, NULL,
                                                                 NULL};

/* ---- connecting ---- */

static void use_connection(struct client *client, struct pool_connection *pc, bool reused)
{
    client->pc = pc;
    client->reused = reused;
    client->phase = CLIENT_READY;
    client->ready = client->loop->now;
    pc->conn.owner = client;
    pc->conn.callbacks = &connection_callbacks;
}

bool client_start(struct client *client, struct pool *pool,
                  const struct client_callbacks *callbacks, bool fresh_only)
{
    struct loop *loop = pool_loop(pool);
    *client =
        (struct client){.callbacks = callbacks, .loop = loop, .pool = pool, .started = loop->now};
    buffer_init(&client->head_in, CLIENT_HEAD_MAX + LOOP_READ_SIZE);
    struct pool_connection *pc = fresh_only ? NULL : pool_take(pool);
    if (pc != NULL) {
        use_connection(client, pc, true);
        return true;
    }
    client->phase = CLIENT_CONNECTING;
    client->dial.on_connected = on_connected;
    client->dial.on_failed = on_connect_failed;
    client->dial.owner = client;
    dialer_connect(pool_dialer(pool), &client->dial);
    return false;
}

static void on_connected(struct dial *dial, struct connection *conn)
{
    struct client *client = dial->owner;
    client->connected = dial->connected;
    use_connection(client, pool_adopt(client->pool, conn), false);
    client->callbacks->on_ready(client);
}

static void on_connect_failed(struct dial *dial, enum dialer_failure failure, const char *why)
{
    static const enum client_failure failures[] = {
        [DIALER_DNS_FAILED] = CLIENT_DNS_FAILED,
        [DIALER_CONNECT_FAILED] = CLIENT_CONNECT_FAILED,
        [DIALER_PROXY_REFUSED] = CLIENT_PROXY_REFUSED,
        [DIALER_TLS_FAILED] = CLIENT_TLS_FAILED,
    };
    struct client *client = dial->owner;
    client->connected = dial->connected;
    fail(client, failures[failure], why);
}

/* ---- the request out ---- */

void client_send(struct client *client, struct span head, const struct client_chunk *body,
                 bool method_is_head)
{
    CHECK(client->phase == CLIENT_READY);
    client->phase = CLIENT_SENDING;
    client->head = head;
    client->chunk = body;
    client->method_is_head = method_is_head;
    client->send_started = client->progress = client->loop->now;
    ++client->pc->uses;
    pump_request(client);
}

/* What is still to be sent, at most WRITE_MAX bytes of it. */
static int fill_iov(const struct client *client, struct iovec iov[IOV_MAX_USED], size_t *total)
{
    int count = 0;
    size_t offset = client->chunk_sent;
    *total = client->head.len - client->head_sent;
    if (*total != 0)
        iov[count++] = (struct iovec){(char *)client->head.at + client->head_sent, *total};
    for (const struct client_chunk *chunk = client->chunk;
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

static void advance(struct client *client, size_t taken)
{
    size_t head = client->head.len - client->head_sent;
    if (head > taken)
        head = taken;
    client->head_sent += head;
    taken -= head;
    while (client->chunk != NULL) {
        size_t left = client->chunk->len - client->chunk_sent;
        if (taken < left) {
            client->chunk_sent += taken;
            return;
        }
        taken -= left;
        client->chunk = client->chunk->next;
        client->chunk_sent = 0;
    }
}

/* Sends a turn's worth. Never calls the owner: a failure to write is told by the read that follows it, behind which an
 * early answer (a 413) may stand. */
static void pump_request(struct client *client)
{
    struct connection *conn = &client->pc->conn;
    struct iovec iov[IOV_MAX_USED];
    size_t total;
    int count = fill_iov(client, iov, &total);
    if (count != 0) {
        ssize_t taken = connection_write(conn, iov, count);
        if (taken < 0) {
            client->send_failed = true;
            return; /* the socket is readable now: an answer, end of file or the error */
        }
        advance(client, (size_t)taken);
        if (taken > 0)
            client->progress = client->loop->now;
        if ((size_t)taken == total && client->chunk != NULL)
            connection_want_writable(conn);
    }
    if (client->head_sent != client->head.len || client->chunk != NULL ||
        !connection_is_flushed(conn))
        return;
    client->sent = client->progress = loop_read_clock(client->loop);
    if (client->phase == CLIENT_SENDING)
        client->phase = CLIENT_WAITING;
}

static void on_writable(struct connection *conn)
{
    struct client *client = conn->owner;
    if (client->sent.us == 0 && !client->send_failed && client->phase >= CLIENT_SENDING)
        pump_request(client);
}

/* ---- the answer in ---- */

/* The peer has closed or failed; what that means depends on how far things have come. */
static void on_closed(struct client *client, bool clean)
{
    clean &= !client->send_failed; /* that failure took the socket's error with it */
    const char *why =
        clean ? "the upstream closed the connection" : connection_error(&client->pc->conn);
    if (client->has_head) {
        if (clean && http1_body_may_end_here(&client->body))
            finish(client, false);
        else
            fail(client, CLIENT_BROKEN, why);
        return;
    }
    if (client->first_byte.us != 0) {
        fail(client, CLIENT_BAD_RESPONSE, "the upstream closed within the answer's head");
        return;
    }
    if (client->reused) {
        fail(client, CLIENT_STALE, why);
        return;
    }
    fail(client, client->sent.us == 0 ? CLIENT_SEND_FAILED : CLIENT_NO_ANSWER, why);
}

static void note_arrival(struct client *client)
{
    struct mono_time now = client->loop->now;
    if (client->first_byte.us == 0)
        client->first_byte = now;
    int64_t gap = client->last_byte.us == 0 ? 0 : clock_us_between(client->last_byte, now);
    if (gap > client->gap_max_us)
        client->gap_max_us = gap;
    client->last_byte = client->progress = now;
}

static void on_readable(struct connection *conn)
{
    struct client *client = conn->owner;
    struct span in;
    switch (connection_read(conn, &in)) {
    case CONNECTION_AGAIN:
        return;
    case CONNECTION_END:
        on_closed(client, true);
        return;
    case CONNECTION_TRUNCATED:
        on_closed(client, false);
        return;
    case CONNECTION_FAILED:
        on_closed(client, false);
        return;
    case CONNECTION_DATA:
        break;
    }
    if (client->phase == CLIENT_READY) { /* bytes before the request was sent */
        fail(client, CLIENT_STALE, "the upstream spoke out of turn");
        return;
    }
    client->phase = CLIENT_RECEIVING;
    note_arrival(client);
    if (client->has_head || take_head(client, &in))
        take_body(client, in);
}

/* Keeps an incomplete head; false: `in` is used up or the client has ended. */
static bool keep_head(struct client *client, struct span in, bool kept)
{
    if (!kept)
        buffer_append(&client->head_in, in);
    if (client->head_in.len > CLIENT_HEAD_MAX) {
        fail(client, CLIENT_BAD_RESPONSE, "the answer's head is larger than 64 KiB");
        return false;
    }
    if (client->pc->conn.ended)
        on_closed(client, true);
    return false;
}

static void use_head(struct client *client, const struct http1_response *head)
{
    client->has_head = true;
    client->keep_alive = head->keep_alive;
    http1_body_init(&client->body, head->framing, head->content_length);
    client->callbacks->on_head(client, head);
}

/* One whole head at the front of `bytes`, or none yet (len 0). */
static enum http1_fault parse_head(struct client *client, struct span bytes, long *len,
                                   struct http1_response *head)
{
    *len = http1_scan_head(bytes, &client->head_scanned);
    if (*len == 0)
        return HTTP1_OK;
    if (*len < 0)
        return HTTP1_BAD_LINE;
    if (*len > CLIENT_HEAD_MAX)
        return HTTP1_TOO_MANY_HEADERS;
    client->head_scanned = 0;
    return http1_parse_response(span_make(bytes.at, (size_t)*len), client->method_is_head, head);
}

/* Reads heads (1xx ones are skipped) from the front of what has come. True: *in is what stands behind the final one. */
static bool take_head(struct client *client, struct span *in)
{
    for (;;) {
        struct http1_response head;
        struct span bytes = *in;
        long len;
        bool kept = client->head_in.len != 0;
        if (kept) {
            buffer_append(&client->head_in, *in);
            bytes = buffer_span(&client->head_in);
        }
        enum http1_fault fault = parse_head(client, bytes, &len, &head);
        if (fault != HTTP1_OK) {
            fail(client, CLIENT_BAD_RESPONSE, http1_fault_text(fault).at);
            return false;
        }
        if (len == 0)
            return keep_head(client, *in, kept);
        /* The end of `bytes` is the end of *in, kept or not. */
        *in = span_from_offset(*in, in->len - (bytes.len - (size_t)len));
        bool final = head.status >= 200;
        if (final)
            use_head(client, &head);
        buffer_dispose(&client->head_in);
        if (final)
            return true;
        if (++client->informational > CLIENT_INFORMATIONAL_MAX) {
            fail(client, CLIENT_BAD_RESPONSE,
                 "more than 16 informational answers before the final one");
            return false;
        }
        if (in->len == 0)
            return false;
    }
}

static void take_body(struct client *client, struct span in)
{
    struct span data;
    bool part = false;
    for (;;) {
        switch (http1_body_next(&client->body, &in, &data)) {
        case HTTP1_BODY_DATA:
            client->parts += !part;
            part = true;
            client->callbacks->on_data(client, data);
            continue;
        case HTTP1_BODY_BAD:
            fail(client, CLIENT_BROKEN, "the answer's chunked coding is malformed");
            return;
        case HTTP1_BODY_END:
            finish(client, in.len == 0);
            return;
        case HTTP1_BODY_MORE:
            break;
        }
        break;
    }
    if (client->pc->conn.ended) {
        on_closed(client, true);
        return;
    }
    client->callbacks->on_flush(client);
}

/* ---- endings ---- */

static void leave(struct client *client, bool reusable)
{
    struct pool_connection *pc = client->pc;
    client->pc = NULL;
    client->phase = CLIENT_IDLE;
    client->last_byte = client->loop->now;
    buffer_dispose(&client->head_in);
    if (pc == NULL)
        return;
    if (reusable)
        pool_put(pc);
    else
        pool_drop(pc);
}

static void finish(struct client *client, bool reusable)
{
    const struct connection *conn = &client->pc->conn;
    leave(client, reusable && client->keep_alive && client->sent.us != 0 && !conn->ended &&
                      !connection_is_paused(conn) && client->body.framing != HTTP1_UNTIL_CLOSE);
    client->callbacks->on_end(client);
}

static void fail(struct client *client, enum client_failure failure, const char *why)
{
    char text[160]; /* `why` may belong to the connection that goes now */
    snprintf(text, sizeof(text), "%s", why);
    leave(client, false);
    client->callbacks->on_failed(client, failure, text);
}

void client_pause(struct client *client)
{
    if (client->pc != NULL && !connection_is_paused(&client->pc->conn))
        connection_pause(&client->pc->conn);
}

void client_resume(struct client *client)
{
    if (client->pc == NULL || !connection_is_paused(&client->pc->conn))
        return;
    client->progress = client->last_byte =
        client->loop->now; /* a pause of ours is no gap of the upstream's */
    connection_resume(&client->pc->conn);
}

void client_cancel(struct client *client)
{
    if (client->phase == CLIENT_IDLE)
        return;
    dialer_cancel(&client->dial);
    leave(client, false);
}
