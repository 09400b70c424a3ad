/* Reads, writes and TLS handshakes over a socket that libh2o only watches. */
#include "net/connection.h"

#include <errno.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    PENDING_MAX = 256 * 1024,
    GUARD_IDLE_S = 30,
    GUARD_INTERVAL_S = 10,
    GUARD_PROBES = 3,
    GUARD_UNACKNOWLEDGED_MS = 60 * 1000,
};

static void on_sock_readable(h2o_socket_t *sock, const char *err);
static void on_sock_writable(h2o_socket_t *sock, const char *err);
static void continue_handshake(struct connection *conn);
static bool flush_cipher(struct connection *conn);
static void departures_forget(struct connection *conn);

/* ---- opening ---- */

static void attach(struct connection *conn, struct loop *loop, int fd,
                   const struct connection_callbacks *callbacks, void *owner)
{
    *conn = (struct connection){.loop = loop, .callbacks = callbacks, .owner = owner};
    int on = 1;
    /* Fails on Unix sockets, which do not need it. */
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    conn->sock = h2o_evloop_socket_create(loop->h2o, fd, H2O_SOCKET_FLAG_DONT_READ);
    conn->sock->data = conn;
}

void connection_open(struct connection *conn, struct loop *loop, int fd,
                     const struct connection_callbacks *callbacks, void *owner)
{
    attach(conn, loop, fd, callbacks, owner);
    connection_resume(conn);
}

void connection_open_connecting(struct connection *conn, struct loop *loop, int fd,
                                const struct connection_callbacks *callbacks, void *owner)
{
    attach(conn, loop, fd, callbacks, owner);
    h2o_socket_notify_write(conn->sock, on_sock_writable);
}

void connection_move(struct connection *to, struct connection *from)
{
    CHECK(!from->watched && !from->handshaking);
    *to = *from;
    to->sock->data = to;
    *from = (struct connection){0};
}

void connection_guard(struct connection *conn)
{
    const struct {
        int level, name, value;
    } options[] = {
        {SOL_SOCKET, SO_KEEPALIVE, 1},
        {IPPROTO_TCP, TCP_KEEPIDLE, GUARD_IDLE_S},
        {IPPROTO_TCP, TCP_KEEPINTVL, GUARD_INTERVAL_S},
        {IPPROTO_TCP, TCP_KEEPCNT, GUARD_PROBES},
        {IPPROTO_TCP, TCP_USER_TIMEOUT, GUARD_UNACKNOWLEDGED_MS},
    };
    /* Fails on Unix sockets, whose peers cannot vanish. */
    for (size_t i = 0; i != sizeof(options) / sizeof(options[0]); ++i)
        (void)setsockopt(h2o_socket_get_fd(conn->sock), options[i].level, options[i].name,
                         &options[i].value, sizeof(options[i].value));
}

int connection_queued(const struct connection *conn)
{
    int bytes = 0;
    if (ioctl(h2o_socket_get_fd(conn->sock), SIOCOUTQ, &bytes) != 0)
        return 0;
    return bytes;
}

void connection_limit_unsent(struct connection *conn, int bytes)
{
    /* TCP only; a Unix socket's buffer is small. */
    (void)setsockopt(h2o_socket_get_fd(conn->sock), IPPROTO_TCP, TCP_NOTSENT_LOWAT, &bytes,
                     sizeof(bytes));
}

int connection_take_error(struct connection *conn)
{
    int error = 0;
    socklen_t size = sizeof(error);
    if (getsockopt(h2o_socket_get_fd(conn->sock), SOL_SOCKET, SO_ERROR, &error, &size) != 0)
        error = errno;
    conn->error = error;
    return error;
}

void connection_start_tls(struct connection *conn, struct tls_context *context)
{
    CHECK(conn->tls == NULL);
    conn->tls = tls_create(context, conn->loop);
    conn->is_server = context->is_server;
    conn->handshaking = true;
    /* A client sends its hello; a server waits for one. */
    if (tls_handshake(conn->tls, SPAN_NONE) == TLS_MORE)
        (void)flush_cipher(conn);
    connection_resume(conn);
}

/* ---- reading ---- */

static void on_sock_readable(h2o_socket_t *sock, const char *err)
{
    (void)err; /* always NULL with DONT_READ */
    struct connection *conn = sock->data;
    loop_read_clock(conn->loop);
    if (conn->handshaking) {
        continue_handshake(conn);
        return;
    }
    conn->callbacks->on_readable(conn);
}

/* read(2), its results told apart. */
static enum connection_result read_raw(struct connection *conn, char *to, size_t size,
                                       struct span *got)
{
    ssize_t n;
    do
        n = read(h2o_socket_get_fd(conn->sock), to, size);
    while (n < 0 && errno == EINTR);
    if (n > 0) {
        *got = span_make(to, (size_t)n);
        return CONNECTION_DATA;
    }
    if (n == 0)
        return CONNECTION_END;
    if (errno == EAGAIN)
        return CONNECTION_AGAIN;
    conn->error = errno;
    return CONNECTION_FAILED;
}

static enum connection_result read_plain(struct connection *conn, struct span *got)
{
    enum connection_result result = read_raw(conn, conn->loop->plain_in, LOOP_READ_SIZE, got);
    conn->ended = result == CONNECTION_END;
    return result;
}

/* Also sends what OpenSSL wrote while it read: key updates, alerts. */
static enum connection_result read_tls(struct connection *conn, struct span *got)
{
    struct loop *loop = conn->loop;
    struct span cipher;
    if (conn->early != NULL) {
        memcpy(loop->plain_in, conn->early, conn->early_len);
        *got = span_make(loop->plain_in, conn->early_len);
        free(conn->early);
        conn->early = NULL;
        return CONNECTION_DATA;
    }
    if (conn->ended)
        return CONNECTION_END;
    enum connection_result raw = read_raw(conn, loop->cipher_in, LOOP_CIPHER_SIZE, &cipher);
    if (raw == CONNECTION_END) {
        conn->error = ECONNABORTED; /* cut without close_notify */
        return CONNECTION_TRUNCATED;
    }
    if (raw != CONNECTION_DATA)
        return raw;

    size_t len;
    enum tls_result result = tls_read(conn->tls, cipher, loop->plain_in, LOOP_READ_SIZE, &len);
    if (loop->cipher_out.len != 0 && !flush_cipher(conn))
        return CONNECTION_FAILED;
    *got = span_make(loop->plain_in, len);
    conn->error = 0;
    conn->ended = result == TLS_CLOSED;
    if (result == TLS_FAILED)
        return CONNECTION_FAILED;
    if (len != 0)
        return CONNECTION_DATA;
    return result == TLS_CLOSED ? CONNECTION_END : CONNECTION_AGAIN;
}

enum connection_result connection_read(struct connection *conn, struct span *got)
{
    return conn->tls == NULL ? read_plain(conn, got) : read_tls(conn, got);
}

static void end_handshake(struct connection *conn, bool succeeded)
{
    bool has_early = succeeded && conn->early != NULL;
    conn->handshaking = false;
    conn->callbacks->on_handshake(conn, succeeded);
    if (has_early) /* a server's; on_handshake may not close it then */
        conn->callbacks->on_readable(conn);
}

/* After the handshake a server may have the first request already; a client's peer must not speak
 * before the request. */
static bool take_early(struct connection *conn)
{
    size_t len = 0;
    if (tls_read(conn->tls, SPAN_NONE, conn->loop->plain_in, LOOP_READ_SIZE, &len) != TLS_OK ||
        !flush_cipher(conn))
        return false;
    if (len == 0 || !conn->is_server)
        return len == 0;
    conn->early = malloc(len);
    CHECK(conn->early != NULL);
    memcpy(conn->early, conn->loop->plain_in, len);
    conn->early_len = len;
    return true;
}

static void continue_handshake(struct connection *conn)
{
    struct span cipher;
    switch (read_raw(conn, conn->loop->cipher_in, LOOP_CIPHER_SIZE, &cipher)) {
    case CONNECTION_AGAIN:
        return;
    case CONNECTION_DATA:
        break;
    case CONNECTION_END:
        conn->error = ECONNRESET;
        end_handshake(conn, false);
        return;
    default:
        end_handshake(conn, false);
        return;
    }
    enum tls_result result = tls_handshake(conn->tls, cipher);
    bool flushed = flush_cipher(conn); /* an alert included */
    if (result == TLS_MORE && flushed)
        return;
    bool succeeded = flushed && result == TLS_OK && take_early(conn);
    end_handshake(conn, succeeded);
}

/* ---- writing ---- */

static ssize_t write_raw(struct connection *conn, const struct iovec *iov, int count)
{
    ssize_t n;
    int fd = h2o_socket_get_fd(conn->sock);
    struct msghdr message = {.msg_iov = (struct iovec *)iov, .msg_iovlen = (size_t)count};
    do
        n = count == 1 ? send(fd, iov->iov_base, iov->iov_len, MSG_NOSIGNAL)
                       : sendmsg(fd, &message, MSG_NOSIGNAL);
    while (n < 0 && errno == EINTR);
    if (n >= 0)
        return n;
    if (errno == EAGAIN)
        return 0;
    conn->error = errno;
    return -1;
}

void connection_want_writable(struct connection *conn)
{
    if (!h2o_socket_is_writing(conn->sock))
        h2o_socket_notify_write(conn->sock, on_sock_writable);
}

/* Writes the loop's ciphertext and keeps what the kernel does not take. */
static bool flush_cipher(struct connection *conn)
{
    struct buffer *out = &conn->loop->cipher_out;
    ssize_t n = 0;
    if (out->len != 0 && conn->pending == NULL)
        n = write_raw(conn, &(struct iovec){out->at, out->len}, 1);
    size_t left = n < 0 ? 0 : out->len - (size_t)n;
    /* A peer that makes OpenSSL respond and never reads would make it grow. */
    bool kept = n >= 0 && conn->pending_len + left <= PENDING_MAX;
    if (kept && left != 0) {
        conn->pending = realloc(conn->pending, conn->pending_len + left);
        CHECK(conn->pending != NULL);
        memcpy(conn->pending + conn->pending_len, out->at + n, left);
        conn->pending_len += left;
        connection_want_writable(conn);
    }
    buffer_clear(out);
    if (n >= 0 && !kept)
        conn->error = ENOBUFS;
    return kept;
}

static ssize_t write_tls(struct connection *conn, const struct iovec *iov, int count)
{
    if (conn->pending != NULL) {
        connection_want_writable(conn);
        return 0;
    }
    ssize_t taken = tls_write(conn->tls, iov, count);
    conn->error = 0;
    return flush_cipher(conn) ? taken : -1;
}

static size_t iov_size(const struct iovec *iov, int count)
{
    size_t size = 0;
    for (int i = 0; i != count; ++i)
        size += iov[i].iov_len;
    return size;
}

ssize_t connection_write(struct connection *conn, const struct iovec *iov, int count)
{
    ssize_t taken = conn->tls == NULL ? write_raw(conn, iov, count) : write_tls(conn, iov, count);
    if (taken >= 0 && (size_t)taken != iov_size(iov, count))
        connection_want_writable(conn);
    return taken;
}

static void on_sock_writable(h2o_socket_t *sock, const char *err)
{
    (void)err;
    struct connection *conn = sock->data;
    loop_read_clock(conn->loop);
    if (conn->pending != NULL) {
        size_t left = conn->pending_len - conn->pending_sent;
        ssize_t n = write_raw(conn, &(struct iovec){conn->pending + conn->pending_sent, left}, 1);
        if (n >= 0 && (size_t)n != left) {
            conn->pending_sent += (size_t)n;
            connection_want_writable(conn);
            return;
        }
        /* A failure shows at the owner's next write or read. */
        free(conn->pending);
        conn->pending = NULL;
        conn->pending_len = conn->pending_sent = 0;
    }
    if (!conn->handshaking)
        conn->callbacks->on_writable(conn);
}

/* ---- the rest ---- */

/* While it is paused only the second epoll set watches the descriptor, for the peer's departure. */
void connection_pause(struct connection *conn)
{
    h2o_socket_read_stop(conn->sock);
    if (conn->callbacks->on_departed == NULL || conn->watched)
        return;
    struct epoll_event event = {.events = EPOLLET | (conn->ended ? 0 : EPOLLRDHUP),
                                .data.ptr = conn};
    conn->watched = epoll_ctl(loop_watch_fd(&conn->loop->departures), EPOLL_CTL_ADD,
                              h2o_socket_get_fd(conn->sock), &event) == 0;
}

static void departures_forget(struct connection *conn)
{
    if (!conn->watched)
        return;
    (void)epoll_ctl(loop_watch_fd(&conn->loop->departures), EPOLL_CTL_DEL,
                    h2o_socket_get_fd(conn->sock), NULL);
    conn->watched = false;
}

void connection_resume(struct connection *conn)
{
    departures_forget(conn);
    h2o_socket_read_start(conn->sock, on_sock_readable);
}

/* One departure a turn: the callback may close any connection, those later in a list included. */
static void on_departures(struct loop_watch *departures)
{
    struct epoll_event event;
    if (epoll_wait(loop_watch_fd(departures), &event, 1, 0) != 1)
        return;
    struct connection *conn = event.data.ptr;
    loop_read_clock(conn->loop);
    departures_forget(conn);
    conn->ended |= (event.events & EPOLLRDHUP) != 0;
    conn->callbacks->on_departed(conn, (event.events & (EPOLLERR | EPOLLHUP)) != 0);
}

void connection_watch_departures(struct loop *loop)
{
    int fd = epoll_create1(EPOLL_CLOEXEC);
    CHECK(fd >= 0);
    loop->departures.on_readable = on_departures;
    loop_watch(loop, &loop->departures, fd);
}

void connection_release_buffers(struct connection *conn)
{
    if (conn->tls != NULL)
        tls_release_buffers(conn->tls);
}

void connection_finish(struct connection *conn)
{
    if (conn->tls != NULL && !conn->handshaking) {
        tls_close_notify(conn->tls);
        (void)flush_cipher(conn);
    }
    (void)shutdown(h2o_socket_get_fd(conn->sock), SHUT_WR);
}

void connection_close(struct connection *conn)
{
    if (conn->sock == NULL)
        return;
    struct buffer *out = &conn->loop->cipher_out;
    if (conn->tls != NULL && !conn->handshaking && conn->pending == NULL) {
        tls_close_notify(conn->tls);
        if (out->len != 0)
            (void)write_raw(conn, &(struct iovec){out->at, out->len}, 1);
    }
    buffer_clear(out); /* shared: nothing of this connection may reach another */
    departures_forget(conn);
    tls_destroy(conn->tls);
    free(conn->pending);
    free(conn->early);
    h2o_socket_close(conn->sock);
    *conn = (struct connection){0};
}

const char *connection_error(const struct connection *conn)
{
    if (conn->error == 0 && conn->tls != NULL)
        return tls_error_text(conn->tls);
    return strerror(conn->error);
}
