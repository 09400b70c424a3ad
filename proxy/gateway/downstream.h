/* A downstream connection: HTTP/1.1 or 1.0 from one caller, one request after the other.
 *
 * Reads heads and bodies within their limits, passes them to a request of its set's service, and
 * then keeps the connection (keep-alive, pipelining) or closes it. Must not depend on what serves
 * its requests or on which thread: its set provides both. Source: RFC 9112. */
#ifndef SAGEGATE_GATEWAY_DOWNSTREAM_H
#define SAGEGATE_GATEWAY_DOWNSTREAM_H

#include "gateway/outcome.h"
#include "gateway/remote.h"
#include "gateway/writer.h"

enum {
    DOWNSTREAM_DISCARD_MAX = 64 * 1024, /* bytes of a rejected request read and discarded */
    DOWNSTREAM_DISCARD_MS = 1000,       /* time limit for that, before the connection closes */
    DOWNSTREAM_PIPELINED_MAX = 64 * 1024,
    DOWNSTREAM_RELEASE_MS = 500, /* an idle TLS connection frees its buffers after this time */
    DOWNSTREAM_HEADS_A_TURN = 8, /* pipelined requests begun in one turn of the loop */
    DOWNSTREAM_FIRST_REQUEST_MS = 500, /* during a drain: wait for a connection's first request */
};

struct downstream;

/* ---- what serves the requests of a set ---- */

/* What the connection needs to know about a request whose head it passed on. */
struct downstream_facts {
    bool has_head; /* the head was parsed; if not, nothing below is set */
    enum http1_framing framing;
    uint64_t content_length;
    bool invites_body; /* it waits for 100 Continue, and its body may be read */
    bool waits;        /* not admitted yet: its body must not be read */
    bool may_finish;   /* a peer that shuts down its sending side still gets the response */
};

/* The interface to a request. `request` is what open returned. A connection has at most one
 * request, which ends with downstream_end_request, called from any of these functions except open,
 * or later. */
struct downstream_service {
    /* Begins a request. started: when the first byte of its head arrived. */
    void *(*open)(struct downstream *downstream, struct mono_time started);
    /* Takes the head, as measured by http1_scan_head; valid during the call. */
    void (*take_head)(void *request, struct span head);
    /* Returns whether to read the body now: the request keeps it, or discards it after a
     * rejection. */
    bool (*wants_body)(const void *request);
    void (*take_body)(void *request, struct span data); /* the next piece */
    void (*end_body)(void *request);                    /* the body is complete */
    /* No complete head or body arrives: BAD_REQUEST, HEAD_TOO_LARGE, HEAD_TIMEOUT, BODY_TIMEOUT or
     * CLIENT_GONE. message: SPAN_NONE for the outcome's text; valid during the call. */
    void (*refuse)(void *request, enum outcome outcome, struct span message);
    /* The connection can write more of the response. */
    void (*flush)(void *request);
    /* The peer has closed the connection (CLIENT_GONE). Ends the request. */
    void (*cancel)(void *request, enum outcome outcome);
    /* The gateway stops now. Sends an error response if still possible; ends the request when
     * called again. */
    void (*cut)(void *request);
    /* The connection closes after this response. */
    void (*make_last)(void *request);
    struct downstream_facts (*look)(const void *request);
};

/* ---- the connections of one thread and service ---- */

struct downstream_limits {
    uint64_t head_bytes;
    uint64_t keep_alive_requests; /* 0: no limit */
    int64_t head_timeout_ms;      /* to receive a head, and the first byte on a new connection */
    int64_t body_timeout_ms;      /* without progress of the body */
    int64_t keep_alive_timeout_ms;
    int64_t drain_idle_ms; /* during a drain: how long an idle connection stays open */
};

/* Embedded in its owner, which sets the first four members before the first downstream_open. limits
 * may change at any time. on_gone: a connection was closed and freed; may be NULL. */
struct downstream_set {
    struct loop *loop;
    const struct downstream_service *service;
    struct downstream_limits limits;
    void (*on_gone)(struct downstream_set *set);
    struct downstream *newest, *oldest; /* all open connections */
    unsigned count;
    bool draining; /* set by downstream_drain_all */
};

/* Closes connections that are idle for drain_idle_ms. Requests in flight continue, each as the last
 * one of its connection. */
void downstream_drain_all(struct downstream_set *set);
/* Closes idle connections and cuts requests in flight (outcome drain_cut). Connections that can
 * still carry an error response close DOWNSTREAM_DISCARD_MS later, or when this is called again. */
void downstream_cut_all(struct downstream_set *set);
/* Cuts the oldest connection that waits for its peer, or if there is none the oldest. The set must
 * not be empty. */
void downstream_evict(struct downstream_set *set);

/* ---- one connection ---- */

enum downstream_state {
    DOWNSTREAM_HANDSHAKE,  /* of TLS */
    DOWNSTREAM_IDLE,       /* no byte of a request */
    DOWNSTREAM_HEAD,       /* some bytes of a head */
    DOWNSTREAM_BODY,       /* the request takes its body */
    DOWNSTREAM_WAITING,    /* the request needs no further bytes */
    DOWNSTREAM_DISCARDING, /* the last response is sent: discards input until the peer closes */
};

struct downstream {
    struct downstream_set *set;
    struct downstream *newer, *older; /* in the set */
    struct connection conn;
    struct writer writer;
    enum downstream_state state;
    void *request;    /* of set->service; NULL: none */
    struct buffer in; /* bytes read but not used yet: part of a head, or pipelined requests */
    size_t scanned;   /* of `in`, by http1_scan_head */
    uint64_t head_bytes_max; /* limits.head_bytes at the time of accept; `in` has room for that */
    struct http1_body body;
    struct timer timer;     /* keep-alive, head, body or discard limit, by state */
    struct mono_time since; /* of the request's first byte, or of the last progress of its body */
    int64_t idle_ms;        /* the limit of the state */
    uint64_t discarded;
    uint64_t requests; /* whose head has arrived */
    bool pumping;      /* inside pump, which handles the end of a request */
    bool half_closed;  /* the peer has shut down its sending side and waits for the response */
    bool closing;
    struct remote remote; /* the peer */
};

/* Takes ownership of an accepted descriptor. tls: the listener's; NULL for plaintext. */
void downstream_open(struct downstream_set *set, int fd, struct tls_context *tls);

/* Measures the head at the start of `bytes`, which is everything received so far. *scanned is 0 at
 * first and kept between calls. Returns the head's length, 0 while it is incomplete, or -1 with
 * *outcome and *message set if it is rejected. Pure; `explain` calls it too. */
MUST_USE long downstream_scan_head(struct span bytes, size_t *scanned, uint64_t head_bytes_max,
                                   enum outcome *outcome, struct span *message);

/* ---- for its request ---- */

/* Returns whether another request may follow the one in flight. */
bool downstream_goes_on(const struct downstream *downstream);

/* Starts reading the body of a request that has been admitted after a wait. May end the request. */
void downstream_request_admitted(struct downstream *downstream);

enum downstream_ending {
    DOWNSTREAM_KEEP,  /* the next request may follow */
    DOWNSTREAM_CLOSE, /* gracefully, after discarding further input */
    DOWNSTREAM_ABORT, /* at once: the response is incomplete, as its framing shows */
};
/* Ends the request. Must be its last call; no function of the service is called for it
 * afterwards. */
void downstream_end_request(struct downstream *downstream, enum downstream_ending ending);

#endif
