/* One HTTP/1.1 request to an upstream: connection, request out, answer in. Knows no AWS and has no clock of its own: its
 * owner watches the limits by the times below and calls client_cancel.
 *
 * Embedded by its owner. After client_start: on_ready (unless it was ready at once), then the owner calls client_send, then
 * at most one on_head, any number of on_data, and exactly one of on_end and on_failed. on_head and on_data may not cancel;
 * after them comes, in the same turn, on_flush, on_end or on_failed, which may. Callbacks come from the loop's turn only,
 * never from inside a call of the owner's. */
#ifndef SAGEGATE_NET_CLIENT_H
#define SAGEGATE_NET_CLIENT_H

#include "net/http1.h"
#include "net/pool.h"

enum { CLIENT_HEAD_MAX = 64 * 1024, CLIENT_INFORMATIONAL_MAX = 16 };

/* A piece of a request's body; a list of them is the body. */
struct client_chunk {
    struct client_chunk *next;
    size_t len, capacity;
    char bytes[];
};

enum client_failure {
    CLIENT_DNS_FAILED,
    CLIENT_CONNECT_FAILED,
    CLIENT_PROXY_REFUSED,
    CLIENT_TLS_FAILED,
    CLIENT_STALE, /* a reused connection died before any byte of an answer: safe to try once more, anew */
    CLIENT_SEND_FAILED, /* closed while the request was being sent, and no answer stood behind it */
    CLIENT_NO_ANSWER,   /* closed after the request, before any byte of an answer */
    CLIENT_BAD_RESPONSE, /* the head or its framing is refused */
    CLIENT_BROKEN,       /* the answer was cut short, or its chunked coding is broken */
};

struct client;

struct client_callbacks {
    void (*on_ready)(struct client *client);
    void (*on_head)(struct client *client,
                    const struct http1_response *head);       /* valid in the call */
    void (*on_data)(struct client *client, struct span data); /* valid in the call; not empty */
    void (*on_flush)(struct client *client); /* all that one read gave has been told */
    void (*on_end)(struct client *client);   /* the answer is whole */
    void (*on_failed)(struct client *client, enum client_failure failure, const char *why);
};

enum client_phase {
    CLIENT_IDLE,
    CLIENT_CONNECTING,
    CLIENT_READY, /* waiting for client_send */
    CLIENT_SENDING,
    CLIENT_WAITING, /* sent; no byte of the answer yet */
    CLIENT_RECEIVING,
};

struct client {
    const struct client_callbacks *callbacks;
    struct loop *loop;
    enum client_phase phase;
    struct pool *pool;
    struct dial dial;
    struct pool_connection *pc; /* NULL: none */
    bool reused;
    /* request */
    struct span head;
    size_t head_sent;
    const struct client_chunk *chunk; /* the one being sent; NULL: all given */
    size_t chunk_sent;
    bool method_is_head, send_failed;
    /* answer */
    struct buffer head_in; /* only while a head comes in pieces */
    size_t head_scanned;
    unsigned informational; /* 1xx answers skipped */
    bool has_head, keep_alive;
    struct http1_body body;
    /* times, for the owner's limits and the log; 0: not yet */
    struct mono_time started, connected, ready, send_started, sent, first_byte, last_byte, progress;
    int64_t gap_max_us; /* between two reads of the answer */
    uint64_t parts;     /* reads that brought something of its body */
};

/* Takes an idle connection (unless fresh_only) or begins to make one. True: ready at once, no on_ready will come. The
 * struct need not be initialised. */
MUST_USE bool client_start(struct client *client, struct pool *pool,
                           const struct client_callbacks *callbacks, bool fresh_only);

/* head and the chunks stay valid until the first byte of the answer, on_end, on_failed or client_cancel. */
void client_send(struct client *client, struct span head, const struct client_chunk *body,
                 bool method_is_head);

/* Back-pressure on the answer. */
void client_pause(struct client *client);
void client_resume(struct client *client);

/* Ends it from any state, closing its connection; no callback comes. No-op when idle. */
void client_cancel(struct client *client);

#endif
