/* A downstream connection: HTTP/1.1 or 1.0 from one caller, one request after the other.
 *
 * Reads heads and bodies within their limits, hands them to a request of its set's service, and
 * afterwards keeps the connection (keep-alive, pipelining) or closes it. Knows neither what serves
 * its requests nor the thread it lives on: both come with its set. Source: RFC 9112. */
#ifndef SAGEGATE_GATEWAY_DOWNSTREAM_H
#define SAGEGATE_GATEWAY_DOWNSTREAM_H

#include "gateway/outcome.h"
#include "gateway/remote.h"
#include "gateway/writer.h"

enum {
    DOWNSTREAM_DISCARD_MAX = 64 * 1024, /* bytes of a refused request that are read and dropped */
    DOWNSTREAM_DISCARD_MS = 1000,       /* and for how long, before the connection closes */
    DOWNSTREAM_PIPELINED_MAX = 64 * 1024,
    DOWNSTREAM_RELEASE_MS = 500,       /* an idle TLS connection then frees its buffers */
    DOWNSTREAM_HEADS_A_TURN = 8,       /* pipelined requests begun before others get a turn */
    DOWNSTREAM_FIRST_REQUEST_MS = 500, /* in a drain: wait for a connection's first request */
};

struct downstream;

/* ---- what serves the requests of a set ---- */

/* What the connection must know of a request whose head it handed over. */
struct downstream_facts {
    bool has_head; /* the head was parsed; otherwise nothing below is set */
    enum http1_framing framing;
    uint64_t content_length;
    bool invites_body; /* it waits for 100 Continue, and its body is wanted */
    bool waits;        /* not admitted yet: its body stays unread */
    bool may_finish;   /* a peer that shuts its sending side still gets the response */
};

/* The request's side of the connection. `request` is what open returned. A connection has at most
 * one request; it ends by downstream_end_request, from within any of these functions but open, or
 * later. */
struct downstream_service {
    /* Begins a request. started: when the first byte of its head came. */
    void *(*open)(struct downstream *downstream, struct mono_time started);
    /* The head, as measured by http1_scan_head; valid during the call. */
    void (*take_head)(void *request, struct span head);
    /* Whether bytes of the body are to be read now: to be kept, or to be dropped because the
     * request was refused. */
    bool (*wants_body)(const void *request);
    void (*take_body)(void *request, struct span data); /* the next piece of it */
    void (*end_body)(void *request);                    /* it is whole */
    /* No whole head or body can be had: BAD_REQUEST, HEAD_TOO_LARGE, HEAD_TIMEOUT, BODY_TIMEOUT or
     * CLIENT_GONE. message: SPAN_NONE for the outcome's own text; valid during the call. */
    void (*refuse)(void *request, enum outcome outcome, struct span message);
    /* The connection can take more of the response. */
    void (*flush)(void *request);
    /* The peer has gone (CLIENT_GONE). Ends the request. */
    void (*cancel)(void *request, enum outcome outcome);
    /* The gateway ends now: responds if it still can; called again, ends the request. */
    void (*cut)(void *request);
    /* The connection closes after this response. */
    void (*make_last)(void *request);
    struct downstream_facts (*look)(const void *request);
};

/* ---- the connections of one thread and service ---- */

struct downstream_limits {
    uint64_t head_bytes;
    uint64_t keep_alive_requests; /* 0: no limit */
    int64_t head_timeout_ms;      /* for a head, and for the first byte on a new connection */
    int64_t body_timeout_ms;      /* without progress */
    int64_t keep_alive_timeout_ms;
    int64_t drain_idle_ms; /* in a drain: how long an idle connection stays open */
};

/* Embedded by its owner, who sets the first four members before the first downstream_open; limits
 * may change at any time. on_gone: a connection was closed and freed; NULL: nobody asks. */
struct downstream_set {
    struct loop *loop;
    const struct downstream_service *service;
    struct downstream_limits limits;
    void (*on_gone)(struct downstream_set *set);
    struct downstream *newest, *oldest; /* all open connections */
    unsigned count;
    bool draining; /* by downstream_drain_all */
};

/* No connection stays idle for long from now on: see downstream_limits. Requests in flight go on,
 * as the last ones of their connections. */
void downstream_drain_all(struct downstream_set *set);
/* Closes idle connections and cuts what is in flight (outcome drain_cut): those that can still be
 * told keep their connection for DOWNSTREAM_DISCARD_MS; called again, all are closed. */
void downstream_cut_all(struct downstream_set *set);
/* Cuts one of at least one connection: the oldest that waits for its peer's request, else the
 * oldest. */
void downstream_evict(struct downstream_set *set);

/* ---- one connection ---- */

enum downstream_state {
    DOWNSTREAM_HANDSHAKE,  /* of TLS */
    DOWNSTREAM_IDLE,       /* no byte of a request */
    DOWNSTREAM_HEAD,       /* some bytes of a head */
    DOWNSTREAM_BODY,       /* the request takes its body */
    DOWNSTREAM_WAITING,    /* the request needs no more bytes */
    DOWNSTREAM_DISCARDING, /* the last response is sent: input is dropped until the peer closes */
};

struct downstream {
    struct downstream_set *set;
    struct downstream *newer, *older; /* in the set */
    struct connection conn;
    struct writer writer;
    enum downstream_state state;
    void *request;    /* of set->service; NULL: none */
    struct buffer in; /* bytes read and not yet used: part of a head, or pipelined requests */
    size_t scanned;   /* of `in`, by http1_scan_head */
    uint64_t head_bytes_max; /* limits.head_bytes when it was accepted: `in` has room for that */
    struct http1_body body;
    struct timer timer;     /* keep-alive, head, body or discard limit, by state */
    struct mono_time since; /* of the request's first byte, or of the last progress of its body */
    int64_t idle_ms;        /* the limit of the state */
    uint64_t discarded;
    uint64_t requests; /* whose head has come */
    bool pumping;      /* inside pump: endings are left to it */
    bool half_closed;  /* the peer has shut its sending side and waits for the response */
    bool closing;
    struct remote remote; /* the peer */
};

/* Takes over an accepted descriptor. tls: the listener's, NULL for plaintext. */
void downstream_open(struct downstream_set *set, int fd, struct tls_context *tls);

/* Measures the head at the front of `bytes`, all that has come so far. *scanned is 0 at first and
 * kept between calls. Returns the head's length, 0 while it is incomplete, -1 if it is refused,
 * with *outcome and *message set. Pure; `explain` calls it too. */
MUST_USE long downstream_scan_head(struct span bytes, size_t *scanned, uint64_t head_bytes_max,
                                   enum outcome *outcome, struct span *message);

/* ---- for its request ---- */

/* May another request follow the one in flight? */
bool downstream_goes_on(const struct downstream *downstream);

/* The request that waited is admitted: reads its body now. May end the request. */
void downstream_request_admitted(struct downstream *downstream);

enum downstream_ending {
    DOWNSTREAM_KEEP,  /* the next request may come */
    DOWNSTREAM_CLOSE, /* in order, after discarding what still comes */
    DOWNSTREAM_ABORT, /* at once: the response is not whole, as its framing shows */
};
/* The request has ended; its last act, after which it is not called any more. */
void downstream_end_request(struct downstream *downstream, enum downstream_ending ending);

#endif
