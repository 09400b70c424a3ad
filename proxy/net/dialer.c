/* Dialing, in order: the queue, the lookup, the race of addresses, CONNECT and TLS. */
#include "net/dialer.h"

#include "net/tunnel.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { STAGGER_MS = 250, ADDRESSES_FRESH_MS = 30 * 1000, WHY_SIZE = 160, REQUEST_MAX = 2048 };

struct dialer {
    struct loop *loop;
    struct dialer_options options;       /* its texts are ours */
    struct tls_context *tls;             /* NULL: plaintext */
    struct resolver_addresses addresses; /* of the last good lookup */
    struct mono_time resolved;           /* 0: never */
    bool numeric;
    size_t rotation;
    struct resolver_query *query;                  /* the lookup in progress; NULL: none */
    struct dialer_request *waiting, **waiting_end; /* for it, in order of arrival */
    struct dialer_request *queued, **queued_end;   /* for a place under connects_max */
    size_t under_way;
    bool *destroyed;     /* set in dialer_destroy for on_resolved, which goes on after callbacks */
    struct tally unread; /* where options.tally is NULL */
};

struct dialer_attempt {
    struct connection conn;
    struct dialer_request *dial;
    struct tunnel *tunnel; /* while CONNECT is in progress; else NULL */
};

static void begin(struct dialer_request *dial);
static void on_resolved(void *owner, const struct resolver_addresses *addresses, const char *error);
static void begin_attempt(struct dialer_request *dial);
static void on_attempt_writable(struct connection *conn);
static void begin_tunnel(struct dialer_attempt *attempt);
static void on_attempt_readable(struct connection *conn);
static void begin_tls(struct dialer_attempt *attempt);
static void on_attempt_handshake(struct connection *conn, bool succeeded);
static void win(struct dialer_attempt *attempt);
static void lose(struct dialer_attempt *attempt, enum dialer_failure failure, const char *why);

static const struct connection_callbacks attempt_callbacks = {
    on_attempt_readable, on_attempt_writable, on_attempt_handshake, NULL};

/* ---- life ---- */

static struct span copy(struct span s)
{
    if (s.at == NULL)
        return s;
    char *at = strndup(s.at, s.len);
    CHECK(at != NULL);
    return span_make(at, s.len);
}

static bool has_proxy(const struct dialer *dialer)
{
    return dialer->options.proxy_host.len != 0;
}

/* Where the socket connects to. */
static struct span next_host(const struct dialer *dialer)
{
    return has_proxy(dialer) ? dialer->options.proxy_host : dialer->options.host;
}

static uint16_t next_port(const struct dialer *dialer)
{
    return has_proxy(dialer) ? dialer->options.proxy_port : dialer->options.port;
}

struct dialer *dialer_create(struct loop *loop, const struct dialer_options *options)
{
    struct dialer *dialer = calloc(1, sizeof(*dialer));
    CHECK(dialer != NULL);
    dialer->loop = loop;
    dialer->options = *options;
    dialer->options.host = copy(options->host);
    dialer->options.proxy_host = copy(options->proxy_host);
    dialer->options.proxy_authorization = copy(options->proxy_authorization);
    if (options->trust != NULL)
        dialer->tls = tls_context_create(options->host, options->trust);
    if (dialer->tls != NULL && options->cleanse)
        tls_context_cleanse(dialer->tls);
    dialer->numeric =
        address_parse(next_host(dialer), next_port(dialer), &dialer->addresses.list[0]);
    dialer->addresses.count = dialer->numeric;
    dialer->waiting_end = &dialer->waiting;
    dialer->queued_end = &dialer->queued;
    if (dialer->options.tally == NULL)
        dialer->options.tally = &dialer->unread;
    return dialer;
}

void dialer_destroy(struct dialer *dialer)
{
    if (dialer == NULL)
        return;
    CHECK(dialer->waiting == NULL && dialer->queued == NULL && dialer->under_way == 0);
    if (dialer->destroyed != NULL)
        *dialer->destroyed = true;
    if (dialer->query != NULL)
        resolver_cancel(dialer->query);
    tls_context_destroy(dialer->tls);
    free((char *)dialer->options.host.at);
    free((char *)dialer->options.proxy_host.at);
    free((char *)dialer->options.proxy_authorization.at);
    free(dialer);
}

struct tally *dialer_tally(const struct dialer *dialer)
{
    return dialer->options.tally;
}

/* ---- the queue ---- */

static void append(struct dialer_request ***end, struct dialer_request *dial)
{
    dial->next = NULL;
    **end = dial;
    *end = &dial->next;
}

static void unlink_from(struct dialer_request **first, struct dialer_request ***end,
                        struct dialer_request *dial)
{
    struct dialer_request **at = first;
    while (*at != dial)
        at = &(*at)->next;
    *at = dial->next;
    if (*at == NULL)
        *end = at;
}

static void on_begin(struct timer *timer)
{
    begin(H2O_STRUCT_FROM_MEMBER(struct dialer_request, timer, timer));
}

/* From the loop's turn, so that dialer_connect does not call back. */
static void begin_soon(struct dialer_request *dial)
{
    struct dialer *dialer = dial->dialer;
    ++dialer->under_way;
    dial->queued = false;
    dial->timer.fire = on_begin;
    loop_set_timer(dialer->loop, &dial->timer, dialer->loop->now);
}

void dialer_connect(struct dialer *dialer, struct dialer_request *dial)
{
    dial->dialer = dialer;
    dial->started = dialer->loop->now;
    dial->connected = (struct mono_time){0};
    dial->next_address = 0;
    dial->queued =
        dialer->options.connects_max != 0 && dialer->under_way >= dialer->options.connects_max;
    if (dial->queued)
        append(&dialer->queued_end, dial);
    else
        begin_soon(dial);
}

/* The request has ended: its place is free. */
static void leave(struct dialer_request *dial)
{
    struct dialer *dialer = dial->dialer;
    loop_cancel_timer(dialer->loop, &dial->timer);
    free(dial->addresses);
    dial->addresses = NULL;
    dial->dialer = NULL;
    --dialer->under_way;
    struct dialer_request *next = dialer->queued;
    if (next == NULL)
        return;
    unlink_from(&dialer->queued, &dialer->queued_end, next);
    begin_soon(next);
}

static void fail(struct dialer_request *dial, enum dialer_failure failure, const char *why)
{
    static const enum tally_count counts[] = {
        [DIALER_DNS_FAILED] = TALLY_DNS_FAILED,
        [DIALER_CONNECT_FAILED] = TALLY_CONNECT_FAILED,
        [DIALER_PROXY_REFUSED] = TALLY_PROXY_REFUSED,
        [DIALER_TLS_FAILED] = TALLY_TLS_FAILED,
    };
    tally_add(dial->dialer->options.tally, counts[failure]);
    leave(dial);
    dial->on_failed(dial, failure, why);
}

/* ---- the lookup ---- */

static void use_addresses(struct dialer_request *dial)
{
    struct dialer *dialer = dial->dialer;
    const struct resolver_addresses *known = &dialer->addresses;
    dial->addresses = malloc(sizeof(*dial->addresses));
    CHECK(dial->addresses != NULL);
    size_t first = dialer->rotation++ % known->count;
    for (size_t i = 0; i != known->count; ++i)
        dial->addresses->list[i] = known->list[(first + i) % known->count];
    dial->addresses->count = known->count;
}

static void begin(struct dialer_request *dial)
{
    struct dialer *dialer = dial->dialer;
    bool fresh = dialer->resolved.us != 0 && clock_us_between(dialer->resolved, dialer->loop->now) <
                                                 ADDRESSES_FRESH_MS * 1000LL;
    if (!dialer->numeric && !fresh && dialer->query == NULL)
        dialer->query =
            resolver_ask(dialer->loop, next_host(dialer), next_port(dialer), on_resolved, dialer);
    dial->stale = !dialer->numeric && !fresh;
    if (dialer->addresses.count != 0) { /* perhaps stale: a lookup is in progress */
        use_addresses(dial);
        begin_attempt(dial);
        return;
    }
    dial->query = dialer->query;
    append(&dialer->waiting_end, dial);
}

static void stop_waiting(struct dialer_request *dial)
{
    struct dialer *dialer = dial->dialer;
    unlink_from(&dialer->waiting, &dialer->waiting_end, dial);
    dial->query = NULL;
}

/* Dials queued from a callback wait for the next lookup. A callback may destroy the dialer. */
static void on_resolved(void *owner, const struct resolver_addresses *addresses, const char *error)
{
    struct dialer *dialer = owner;
    struct resolver_query *query = dialer->query;
    bool destroyed = false;
    dialer->query = NULL;
    dialer->destroyed = &destroyed;
    if (addresses->count == 0)
        tally_add(dialer->options.tally, TALLY_LOOKUPS_FAILED);
    if (addresses->count != 0) {
        dialer->addresses = *addresses;
        dialer->resolved = dialer->loop->now;
    }
    while (!destroyed && dialer->waiting != NULL && dialer->waiting->query == query) {
        struct dialer_request *dial = dialer->waiting;
        stop_waiting(dial);
        if (dialer->addresses.count != 0) {
            use_addresses(dial);
            begin_attempt(dial);
            continue;
        }
        fail(dial, DIALER_DNS_FAILED, error);
    }
    if (!destroyed)
        dialer->destroyed = NULL;
}

/* ---- the race of addresses ---- */

static struct dialer_attempt *open_attempt(struct dialer_request *dial, size_t index)
{
    const struct address *address = &dial->addresses->list[index];
    int fd = socket(address->storage.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return NULL;
    if (connect(fd, address_sockaddr(address), address->size) != 0 && errno != EINPROGRESS) {
        int error = errno;
        close(fd);
        errno = error;
        return NULL;
    }
    struct dialer_attempt *attempt = calloc(1, sizeof(*attempt));
    CHECK(attempt != NULL);
    attempt->dial = dial;
    connection_open_connecting(&attempt->conn, dial->dialer->loop, fd, &attempt_callbacks, attempt);
    return attempt;
}

static bool has_attempts(const struct dialer_request *dial)
{
    for (size_t i = 0; i != RESOLVER_ADDRESSES_MAX; ++i)
        if (dial->attempts[i] != NULL)
            return true;
    return false;
}

/* No address of the old lookup connects: the new one may find others. */
static void begin_anew(struct dialer_request *dial)
{
    struct dialer *dialer = dial->dialer;
    free(dial->addresses);
    dial->addresses = NULL;
    dial->next_address = 0;
    dial->stale = false;
    if (dialer->query == NULL) { /* it has ended meanwhile */
        use_addresses(dial);
        begin_attempt(dial);
        return;
    }
    dial->query = dialer->query;
    append(&dialer->waiting_end, dial);
}

/* Fails the request unless an address is left or in progress. */
static void fail_unless_more(struct dialer_request *dial, enum dialer_failure failure,
                             const char *why)
{
    if (dial->next_address < dial->addresses->count) {
        begin_attempt(dial);
        return;
    }
    if (has_attempts(dial))
        return;
    if (dial->stale) {
        begin_anew(dial);
        return;
    }
    fail(dial, failure, why);
}

static void on_stagger(struct timer *timer)
{
    begin_attempt(H2O_STRUCT_FROM_MEMBER(struct dialer_request, timer, timer));
}

static void begin_attempt(struct dialer_request *dial)
{
    struct loop *loop = dial->dialer->loop;
    loop_cancel_timer(loop, &dial->timer);
    size_t index = dial->next_address++;
    CHECK(index < dial->addresses->count);
    dial->attempts[index] = open_attempt(dial, index);
    if (dial->attempts[index] == NULL) {
        fail_unless_more(dial, DIALER_CONNECT_FAILED, strerror(errno));
        return;
    }
    if (dial->next_address == dial->addresses->count)
        return;
    dial->timer.fire = on_stagger;
    loop_set_timer(loop, &dial->timer, clock_after_ms(loop->now, STAGGER_MS));
}

static void on_attempt_writable(struct connection *conn)
{
    struct dialer_attempt *attempt = conn->owner;
    if (attempt->tunnel != NULL)
        return; /* CONNECT fits into any socket's buffer */
    int error = connection_take_error(conn);
    if (error != 0) {
        lose(attempt, DIALER_CONNECT_FAILED, strerror(error));
        return;
    }
    attempt->dial->connected = conn->loop->now;
    connection_guard(conn);
    if (has_proxy(attempt->dial->dialer))
        begin_tunnel(attempt);
    else
        begin_tls(attempt);
}

/* ---- the proxy ---- */

static struct span authority_of(const struct dialer *dialer, char *text, size_t size)
{
    struct span host = dialer->options.host;
    bool bare_v6 = span_find(host, ':') != host.len;
    int len = snprintf(text, size, bare_v6 ? "[%.*s]:%u" : "%.*s:%u", SPAN_ARG(host),
                       dialer->options.port);
    return span_make(text, (size_t)len);
}

static void begin_tunnel(struct dialer_attempt *attempt)
{
    struct dialer *dialer = attempt->dial->dialer;
    char text[REQUEST_MAX], authority[RESOLVER_HOST_MAX + 16];
    struct buffer out;
    buffer_init_fixed(&out, text, sizeof(text));
    tunnel_append_request(authority_of(dialer, authority, sizeof(authority)),
                          dialer->options.proxy_authorization, &out);
    CHECK(!out.overflowed);
    attempt->tunnel = malloc(sizeof(*attempt->tunnel));
    CHECK(attempt->tunnel != NULL);
    tunnel_init(attempt->tunnel);
    struct iovec iov = {out.at, out.len};
    if (connection_write(&attempt->conn, &iov, 1) != (ssize_t)out.len) {
        lose(attempt, DIALER_PROXY_REFUSED, "CONNECT could not be sent to the proxy");
        return;
    }
    connection_resume(&attempt->conn);
}

static void close_tunnel(struct dialer_attempt *attempt)
{
    if (attempt->tunnel == NULL)
        return;
    tunnel_dispose(attempt->tunnel);
    free(attempt->tunnel);
    attempt->tunnel = NULL;
}

static void on_attempt_readable(struct connection *conn)
{
    struct dialer_attempt *attempt = conn->owner;
    struct span got;
    enum connection_result result = connection_read(conn, &got);
    if (result == CONNECTION_AGAIN)
        return;
    if (result != CONNECTION_DATA || attempt->tunnel == NULL) {
        lose(attempt, DIALER_PROXY_REFUSED, "the proxy closed the connection");
        return;
    }
    switch (tunnel_take(attempt->tunnel, got)) {
    case TUNNEL_MORE:
        return;
    case TUNNEL_REFUSED: {
        char why[TUNNEL_WHY_SIZE];
        memcpy(why, attempt->tunnel->why, sizeof(why));
        lose(attempt, DIALER_PROXY_REFUSED, why);
        return;
    }
    case TUNNEL_OPEN:
        close_tunnel(attempt);
        begin_tls(attempt);
        return;
    }
}

/* ---- TLS, and the end ---- */

static void begin_tls(struct dialer_attempt *attempt)
{
    struct dialer *dialer = attempt->dial->dialer;
    if (dialer->tls != NULL) {
        connection_start_tls(&attempt->conn, dialer->tls);
        return;
    }
    connection_resume(&attempt->conn);
    win(attempt);
}

static void on_attempt_handshake(struct connection *conn, bool succeeded)
{
    struct dialer_attempt *attempt = conn->owner;
    if (succeeded)
        win(attempt);
    else
        lose(attempt, DIALER_TLS_FAILED, connection_error(conn));
}

static void drop_attempt(struct dialer_attempt *attempt)
{
    for (size_t i = 0; i != RESOLVER_ADDRESSES_MAX; ++i)
        if (attempt->dial->attempts[i] == attempt)
            attempt->dial->attempts[i] = NULL;
    close_tunnel(attempt);
    connection_close(&attempt->conn);
    free(attempt);
}

static void drop_attempts(struct dialer_request *dial)
{
    for (size_t i = 0; i != RESOLVER_ADDRESSES_MAX; ++i)
        if (dial->attempts[i] != NULL)
            drop_attempt(dial->attempts[i]);
}

static void win(struct dialer_attempt *attempt)
{
    struct dialer_request *dial = attempt->dial;
    struct tally *tally = dial->dialer->options.tally;
    struct connection conn;
    connection_move(&conn, &attempt->conn);
    tally_add(tally, TALLY_OPENED);
    if (conn.tls != NULL)
        tally_add(tally,
                  tls_is_resumed(conn.tls) ? TALLY_HANDSHAKES_RESUMED : TALLY_HANDSHAKES_FULL);
    drop_attempts(dial);
    leave(dial);
    dial->on_connected(dial, &conn);
}

static void lose(struct dialer_attempt *attempt, enum dialer_failure failure, const char *why)
{
    struct dialer_request *dial = attempt->dial;
    char kept[WHY_SIZE]; /* `why` may be the connection's own */
    snprintf(kept, sizeof(kept), "%s", why);
    drop_attempt(attempt);
    fail_unless_more(dial, failure, kept);
}

void dialer_cancel(struct dialer_request *dial)
{
    struct dialer *dialer = dial->dialer;
    if (dialer == NULL)
        return;
    tally_add(dialer->options.tally, TALLY_GIVEN_UP);
    if (dial->queued) {
        unlink_from(&dialer->queued, &dialer->queued_end, dial);
        dial->queued = false;
        dial->dialer = NULL;
        return;
    }
    if (dial->query != NULL)
        stop_waiting(dial);
    drop_attempts(dial);
    leave(dial);
}
