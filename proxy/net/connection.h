/* A connection: one connected descriptor, plain or TLS, with its own read and write over the loop's readiness.
 *
 * libh2o's socket is used for readiness only; reading goes into the loop's scratch and writing takes what the kernel
 * takes, so that nothing is buffered behind anyone's back. The owner embeds struct connection and finds itself through
 * `owner`. Callbacks come from the loop's turn only, never from inside a call of the owner's; after connection_close none
 * comes. The owner may close the connection from any callback. */
#ifndef SAGEGATE_NET_CONNECTION_H
#define SAGEGATE_NET_CONNECTION_H

#include <sys/uio.h>

#include "net/tls.h"

struct connection;

struct connection_callbacks {
    /* Something can be read, or the peer is gone: call connection_read once; it comes again if there is more. */
    void (*on_readable)(struct connection *conn);
    /* After connection_write took less than it was given, or connection_is_flushed was false: all that was pending is
     * with the kernel, there is room again. Once for each such time. Also comes when the peer has died: writing tells. */
    void (*on_writable)(struct connection *conn);
    /* The end of connection_start_tls: true, or false with connection_error telling why. Once. */
    void (*on_handshake)(struct connection *conn, bool succeeded);
    /* While paused: the peer has shut its sending side (reset false), or the connection is dead (reset true). NULL: not
     * asked for. Once a pause. */
    void (*on_departed)(struct connection *conn, bool reset);
};

struct connection {
    h2o_socket_t *sock; /* NULL: closed */
    struct loop *loop;
    struct tls *tls; /* NULL: plain */
    const struct connection_callbacks *callbacks;
    void *owner;
    char *pending; /* ciphertext the kernel did not take; NULL when none */
    size_t pending_len, pending_sent;
    int error;   /* errno of the last failure; 0: see tls_error_text */
    char *early; /* plaintext that came with the end of a server's handshake; NULL when none */
    size_t early_len;
    bool handshaking, is_server;
    bool watched; /* paused, and in the loop's set of departures */
    bool ended;   /* the peer's close_notify, or end of file, has been read */
};

/* Takes over fd (connected, or connecting: see connection_is_connected_now). Reading starts at once. */
void connection_open(struct connection *conn, struct loop *loop, int fd,
                     const struct connection_callbacks *callbacks, void *owner);
/* The same for a socket whose non-blocking connect is under way: on_writable comes when it has ended; then
 * connection_take_error tells. Reading starts with connection_resume. */
void connection_open_connecting(struct connection *conn, struct loop *loop, int fd,
                                const struct connection_callbacks *callbacks, void *owner);
/* Moves an open connection to other memory; its owner and callbacks go along and may be set anew. `from` is closed after. */
void connection_move(struct connection *to, struct connection *from);
/* Keep-alive probes, and an end to data that is never acknowledged, for peers that vanish without a word (TCP only). */
void connection_guard(struct connection *conn);
/* Bytes that the kernel has and the peer has not acknowledged: falls while a slow peer reads. */
int connection_queued(const struct connection *conn);
/* At most so many bytes wait in the kernel unsent, so that back-pressure is the caller's and not its. */
void connection_limit_unsent(struct connection *conn, int bytes);
/* The pending error of the socket (SO_ERROR): 0 if it is connected. */
int connection_take_error(struct connection *conn);

/* As the context says, as client (whose name check is the context's) or as server. on_handshake tells the end. */
void connection_start_tls(struct connection *conn, struct tls_context *context);

enum connection_result {
    CONNECTION_DATA, /* *got holds bytes, valid until the loop's next read; look at conn->ended too */
    CONNECTION_AGAIN,     /* nothing yet */
    CONNECTION_END,       /* clean: end of file, on TLS the close_notify */
    CONNECTION_TRUNCATED, /* TLS: end of file without close_notify */
    CONNECTION_FAILED,    /* connection_error tells */
};
/* One read(2) of at most LOOP_READ_SIZE; everything it yields is in *got, nothing stays behind. */
enum connection_result connection_read(struct connection *conn, struct span *got);

/* Writes like writev(2): returns the bytes taken, which may be fewer than given or 0 (then on_writable will come), or -1.
 * On TLS at most 64 KiB are encrypted ahead, and nothing is taken while some of that is pending. */
ssize_t connection_write(struct connection *conn, const struct iovec *iov, int count);
/* Asks for on_writable although everything was taken: to go on in the loop's next turn. */
void connection_want_writable(struct connection *conn);
/* Everything taken is with the kernel. */
static inline bool connection_is_flushed(const struct connection *conn)
{
    return conn->pending == NULL;
}

/* Once a loop, before any connection that has an on_departed is paused. */
void connection_watch_departures(struct loop *loop);

/* Back-pressure: no on_readable until resumed; on_departed tells of the peer meanwhile. */
void connection_pause(struct connection *conn);
void connection_resume(struct connection *conn);
static inline bool connection_is_paused(const struct connection *conn)
{
    return !h2o_socket_is_reading(conn->sock);
}

/* Gives back TLS buffers while the connection idles. */
void connection_release_buffers(struct connection *conn);

/* Says that no more will be written: close_notify on TLS, then FIN. Reading goes on. */
void connection_finish(struct connection *conn);
/* Sends close_notify on TLS if it can be sent at once, and closes. Takes a closed one. */
void connection_close(struct connection *conn);
/* For people and logs; valid until the connection is closed. */
const char *connection_error(const struct connection *conn);

#endif
