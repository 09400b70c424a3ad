/* One HTTP/1.1 request to an upstream: connection, request, response. Knows no AWS and sets no time
 * limits: its owner watches the times below and calls upstream_cancel.
 *
 * Embedded by its owner. After upstream_start: on_ready (unless it was ready at once), then the
 * owner calls upstream_send, then at most one on_head, any number of on_data, and exactly one of
 * on_end and on_failed. on_head and on_data must not cancel; on_flush, on_end or on_failed follows
 * them in the same turn, and may. Callbacks come from the loop's turn only, never from inside a
 * call of the owner's. */
#ifndef SAGEGATE_NET_UPSTREAM_H
#define SAGEGATE_NET_UPSTREAM_H

#include "net/http1.h"
#include "net/pool.h"

enum { UPSTREAM_HEAD_MAX = 64 * 1024, UPSTREAM_INFORMATIONAL_MAX = 16 };

/* A piece of a request's body; a list of them is the body. */
struct upstream_chunk {
    struct upstream_chunk *next;
    size_t len, capacity;
    char bytes[];
};

enum upstream_failure {
    UPSTREAM_DNS_FAILED,
    UPSTREAM_CONNECT_FAILED,
    UPSTREAM_PROXY_REFUSED,
    UPSTREAM_TLS_FAILED,
    UPSTREAM_STALE,        /* a reused connection died before any byte of a response */
    UPSTREAM_SEND_FAILED,  /* closed while the request was being sent, without a response */
    UPSTREAM_NO_RESPONSE,  /* closed after the request, before any byte of a response */
    UPSTREAM_BAD_RESPONSE, /* the head or its framing is refused */
    UPSTREAM_BROKEN,       /* the response was cut short, or its chunked coding is broken */
};

struct upstream_request;

struct upstream_callbacks {
    void (*on_ready)(struct upstream_request *upstream);
    void (*on_head)(struct upstream_request *upstream,
                    const struct http1_response *head); /* valid in the call */
    void (*on_data)(struct upstream_request *upstream,
                    struct span data);                   /* valid in the call; not empty */
    void (*on_flush)(struct upstream_request *upstream); /* all of one read was passed on */
    void (*on_end)(struct upstream_request *upstream);   /* the response is whole */
    void (*on_failed)(struct upstream_request *upstream, enum upstream_failure failure,
                      const char *why);
};

enum upstream_phase {
    UPSTREAM_IDLE,
    UPSTREAM_CONNECTING,
    UPSTREAM_READY, /* waiting for upstream_send */
    UPSTREAM_SENDING,
    UPSTREAM_WAITING, /* sent; no byte of the response yet */
    UPSTREAM_RECEIVING,
};

struct upstream_request {
    const struct upstream_callbacks *callbacks;
    struct loop *loop;
    enum upstream_phase phase;
    struct pool *pool;
    struct dialer_request dial;
    struct pool_connection *pc; /* NULL: none */
    bool reused;
    /* request */
    struct span head;
    size_t head_sent;
    const struct upstream_chunk *chunk; /* the one being sent; NULL: all sent */
    size_t chunk_sent;
    bool method_is_head, send_failed;
    /* response */
    struct buffer head_in; /* only while a head comes in pieces */
    size_t head_scanned;
    unsigned informational; /* 1xx responses skipped */
    bool has_head, keep_alive;
    struct http1_body body;
    /* times, for the owner's limits and the log; 0: not yet */
    struct mono_time started, connected, ready, send_started, sent, first_byte, last_byte, progress;
    int64_t gap_max_us; /* between two reads of the response */
    uint64_t parts;     /* reads that brought part of its body */
};

/* Takes an idle connection (unless fresh_only) or begins to make one. True: ready at once, without
 * on_ready. The struct need not be initialised. */
MUST_USE bool upstream_start(struct upstream_request *upstream, struct pool *pool,
                             const struct upstream_callbacks *callbacks, bool fresh_only);

/* head and the chunks stay valid until the first byte of the response, on_end, on_failed or
 * upstream_cancel. */
void upstream_send(struct upstream_request *upstream, struct span head,
                   const struct upstream_chunk *body, bool method_is_head);

/* Back-pressure on the response. */
void upstream_pause(struct upstream_request *upstream);
void upstream_resume(struct upstream_request *upstream);

/* Ends it in any state, closing its connection; no callback is called. No-op if idle. */
void upstream_cancel(struct upstream_request *upstream);

#endif
