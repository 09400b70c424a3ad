/* A peer: one connection of a program that calls, HTTP/1.1 or 1.0, with requests one after the other.
 *
 * It reads heads and bodies within their limits, gives them to an exchange, and afterwards lives on (keep-alive,
 * pipelining) or closes. It knows nothing of routes, parameters or upstreams. Source: RFC 9112. */
#ifndef SAGEGATE_GATEWAY_DOWNSTREAM_H
#define SAGEGATE_GATEWAY_DOWNSTREAM_H

#include "gateway/remote.h"
#include "gateway/reply.h"
#include "gateway/worker.h"

enum {
    DOWNSTREAM_DISCARD_MAX = 64 * 1024, /* bytes of a refused request that are read and dropped */
    DOWNSTREAM_DISCARD_MS = 1000,       /* and for how long, before the connection closes */
    DOWNSTREAM_PIPELINED_MAX = 64 * 1024,
    DOWNSTREAM_RELEASE_MS = 500, /* an idle TLS connection then gives its buffers back */
    DOWNSTREAM_HEADS_A_TURN = 8, /* pipelined requests begun before others have their turn */
    DOWNSTREAM_FIRST_REQUEST_MS =
        500, /* when draining: what a connection without a request yet is given */
};

enum downstream_state {
    DOWNSTREAM_HANDSHAKE, /* TLS is being agreed on */
    DOWNSTREAM_IDLE,      /* no byte of a request */
    DOWNSTREAM_HEAD,      /* some bytes of a head */
    DOWNSTREAM_BODY,      /* an exchange takes the body */
    DOWNSTREAM_WAITING,   /* the request is whole; its exchange is at work */
    DOWNSTREAM_DISCARDING, /* the last answer is out: what still comes is dropped until the peer closes */
};

struct downstream {
    struct worker *worker;
    struct downstream *next, *previous; /* in worker->downstreams */
    struct connection conn;
    struct reply reply;
    enum downstream_state state;
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

/* Takes over an accepted descriptor, counted by admit_connection and in worker->downstream_count; tls: the listener's, NULL for a plain one. */
void downstream_open(struct worker *worker, int fd, struct tls_context *tls);
/* Nothing is under way: closes at once. Else the answer under way is the last one. */
void downstream_drain(struct downstream *downstream);
/* Closes now, whatever is under way (outcome drain_cut). */
void downstream_cut(struct downstream *downstream);

/* May another request come behind this one? */
bool downstream_goes_on(const struct downstream *downstream);

/* The exchange had to wait and may go on: its body is read now. May end it. */
void downstream_exchange_admitted(struct downstream *downstream);

enum downstream_ending {
    DOWNSTREAM_KEEP,  /* the next request may come */
    DOWNSTREAM_CLOSE, /* orderly, after discarding what still comes */
    DOWNSTREAM_ABORT, /* at once: the answer is not whole, as its framing shows */
};
/* The exchange has ended and is gone. Its last act. */
void downstream_exchange_ended(struct downstream *downstream, enum downstream_ending ending);

#endif
