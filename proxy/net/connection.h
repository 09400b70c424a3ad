/* A connection: one connected descriptor, plain or TLS, with reads and writes of its own over the
 * loop's readiness.
 *
 * libh2o's socket is used for readiness only: reads go into the loop's scratch, writes take what
 * the kernel takes, so nothing is buffered out of sight. The owner embeds struct connection and
 * finds itself through `owner`. Callbacks come from the loop's turn only, never from inside a call
 * of the owner's, and never after connection_close, which any callback may call. */
#ifndef SAGEGATE_NET_CONNECTION_H
#define SAGEGATE_NET_CONNECTION_H

#include <sys/uio.h>

#include "net/tls.h"

struct connection;

struct connection_callbacks {
    /* There is input, or the peer is gone: call connection_read once. Called again if more is
     * left. */
    void (*on_readable)(struct connection *conn);
    /* connection_write took less than it was given, or connection_is_flushed was false: now all
     * that was pending is with the kernel and there is room. Once for each such time; also when the
     * peer has died, which the next write tells. */
    void (*on_writable)(struct connection *conn);
    /* connection_start_tls has ended; if not succeeded, connection_error says why. Once. A server
     * that succeeded must not close or move the connection in this call. */
    void (*on_handshake)(struct connection *conn, bool succeeded);
    /* While paused: the peer has shut its sending side, or (reset) the connection is dead. Once a
     * pause. NULL: not wanted. */
    void (*on_departed)(struct connection *conn, bool reset);
};

struct connection {
    h2o_socket_t *sock; /* NULL: closed */
    struct loop *loop;
    struct tls *tls; /* NULL: plain */
    const struct connection_callbacks *callbacks;
    void *owner;
    char *pending; /* ciphertext that the kernel did not take; NULL: none */
    size_t pending_len, pending_sent;
    int error;   /* errno of the last failure; 0: see tls_error_text */
    char *early; /* plaintext that came with the end of a server's handshake; NULL: none */
    size_t early_len;
    bool handshaking, is_server;
    bool watched; /* paused, and in the loop's set of departures */
    bool ended;   /* close_notify or end of file has been read */
};

/* Takes over a connected fd and starts reading. */
void connection_open(struct connection *conn, struct loop *loop, int fd,
                     const struct connection_callbacks *callbacks, void *owner);
/* The same for a non-blocking connect in progress: on_writable comes when it has ended, and
 * connection_take_error tells how. Reading starts with connection_resume. */
void connection_open_connecting(struct connection *conn, struct loop *loop, int fd,
                                const struct connection_callbacks *callbacks, void *owner);
/* Moves an open connection to other memory with its owner and callbacks, which may be replaced
 * then. `from` is closed afterwards. */
void connection_move(struct connection *to, struct connection *from);
/* TCP only: keep-alive probes, and a limit on unacknowledged data, against peers that vanish. */
void connection_guard(struct connection *conn);
/* Bytes that the peer has not acknowledged: falls while a slow peer reads. */
int connection_queued(const struct connection *conn);
/* Limits the bytes that wait unsent in the kernel, so that back-pressure reaches the caller. */
void connection_limit_unsent(struct connection *conn, int bytes);
/* The socket's pending error (SO_ERROR); 0: connected. */
int connection_take_error(struct connection *conn);

/* Client or server as the context says; a client's context checks the name. */
void connection_start_tls(struct connection *conn, struct tls_context *context);

enum connection_result {
    CONNECTION_DATA,      /* *got is valid until the loop's next read; see conn->ended, too */
    CONNECTION_AGAIN,     /* nothing yet */
    CONNECTION_END,       /* clean: end of file, with TLS after close_notify */
    CONNECTION_TRUNCATED, /* TLS: end of file without close_notify */
    CONNECTION_FAILED,    /* see connection_error */
};
/* One read(2) of at most LOOP_READ_SIZE; all that it yields is in *got. */
enum connection_result connection_read(struct connection *conn, struct span *got);

/* As writev(2): returns the bytes taken, perhaps fewer than given or 0 (then on_writable follows),
 * or -1. With TLS at most 64 KiB are encrypted ahead, and nothing is taken while some is
 * pending. */
ssize_t connection_write(struct connection *conn, const struct iovec *iov, int count);
/* Asks for on_writable although everything was taken, to continue in the loop's next turn. */
void connection_want_writable(struct connection *conn);
/* Everything taken is with the kernel. */
static inline bool connection_is_flushed(const struct connection *conn)
{
    return conn->pending == NULL;
}

/* Once a loop, before a connection with an on_departed is paused. */
void connection_watch_departures(struct loop *loop);

/* Back-pressure: no on_readable until resumed; on_departed tells of the peer meanwhile. */
void connection_pause(struct connection *conn);
void connection_resume(struct connection *conn);
static inline bool connection_is_paused(const struct connection *conn)
{
    return !h2o_socket_is_reading(conn->sock);
}

/* Frees TLS buffers while the connection is idle. */
void connection_release_buffers(struct connection *conn);

/* Ends the sending side: close_notify with TLS, then FIN. Reading goes on. */
void connection_finish(struct connection *conn);
/* Sends close_notify with TLS if that is possible at once, and closes. No-op if closed. */
void connection_close(struct connection *conn);
/* For people and logs; valid until the connection is closed. */
const char *connection_error(const struct connection *conn);

#endif
