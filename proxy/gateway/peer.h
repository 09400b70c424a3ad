/* A peer: one connection of a program that calls, HTTP/1.1 or 1.0, with requests one after the other.
 *
 * It reads heads and bodies within their limits, gives them to an exchange, and afterwards lives on (keep-alive,
 * pipelining) or closes. It knows nothing of routes, parameters or upstreams. Source: RFC 9112. */
#ifndef SAGEGATE_GATEWAY_PEER_H
#define SAGEGATE_GATEWAY_PEER_H

#include "gateway/remote.h"
#include "gateway/reply.h"
#include "gateway/worker.h"

enum {
    PEER_DISCARD_MAX = 64 * 1024, /* bytes of a refused request that are read and dropped */
    PEER_DISCARD_MS = 1000,       /* and for how long, before the connection closes */
    PEER_PIPELINED_MAX = 64 * 1024,
    PEER_RELEASE_MS = 500, /* an idle TLS connection then gives its buffers back */
    PEER_HEADS_A_TURN = 8, /* pipelined requests begun before others have their turn */
    PEER_FIRST_REQUEST_MS =
        500, /* when draining: what a connection without a request yet is given */
};

enum peer_state {
    PEER_HANDSHAKE,  /* TLS is being agreed on */
    PEER_IDLE,       /* no byte of a request */
    PEER_HEAD,       /* some bytes of a head */
    PEER_BODY,       /* an exchange takes the body */
    PEER_WAITING,    /* the request is whole; its exchange is at work */
    PEER_DISCARDING, /* the last answer is out: what still comes is dropped until the peer closes */
};

struct peer {
    struct worker *worker;
    struct peer *next, *previous; /* in worker->peers */
    struct connection conn;
    struct reply reply;
    enum peer_state state;
    struct exchange *exchange; /* NULL: none */
    struct buffer in; /* bytes read and not yet used: part of a head, or pipelined requests */
    size_t scanned;   /* of `in`, by http1_scan_head */
    uint64_t head_bytes_max; /* limits.head_bytes when it was accepted: `in` has room for that */
    struct http1_body body;
    struct timer timer;     /* keep-alive, head, body or discard limit, by state */
    struct mono_time since; /* of the request's first byte, or of the last progress of its body */
    int64_t idle_ms;        /* the limit of the state */
    uint64_t discarded;
    uint64_t requests; /* that have come */
    bool pumping;      /* inside pump: endings are left to it */
    bool half_closed;  /* the peer has shut its sending side and awaits the answer */
    bool closing;
    struct remote remote; /* who it is */
};

/* Takes over an accepted descriptor, counted by admit_connection and in worker->peer_count; tls: the listener's, NULL for a plain one. */
void peer_open(struct worker *worker, int fd, struct tls_context *tls);
/* Nothing is under way: closes at once. Else the answer under way is the last one. */
void peer_drain(struct peer *peer);
/* Closes now, whatever is under way (outcome drain_cut). */
void peer_cut(struct peer *peer);

/* May another request come behind this one? */
bool peer_goes_on(const struct peer *peer);

/* The exchange had to wait and may go on: its body is read now. May end it. */
void peer_exchange_admitted(struct peer *peer);

enum peer_ending {
    PEER_KEEP,  /* the next request may come */
    PEER_CLOSE, /* orderly, after discarding what still comes */
    PEER_ABORT, /* at once: the answer is not whole, as its framing shows */
};
/* The exchange has ended and is gone. Its last act. */
void peer_exchange_ended(struct peer *peer, enum peer_ending ending);

#endif
