/* The dialer: new connections to one upstream, from the name to the end of the TLS handshake. Knows
 * no HTTP except CONNECT. One thread.
 *
 * A request tries the name's addresses in rotation: the next one as soon as one fails, or after 250
 * ms (RFC 8305 section 5); the first that connects wins. One lookup serves all who wait, its result
 * is used for 30 s, and the last good one if DNS fails. At most connects_max requests are in
 * progress, the others queue, so that a burst of handshakes starves neither the thread nor the
 * upstream. */
#ifndef SAGEGATE_NET_DIALER_H
#define SAGEGATE_NET_DIALER_H

#include "net/connection.h"
#include "net/resolver.h"
#include "net/tally.h"

struct dialer_options {
    struct span host; /* a name or a numeric address; copied */
    uint16_t port;
    X509_STORE *trust; /* NULL: plaintext */
    bool cleanse;      /* responses hold secrets: see tls_context_cleanse */
    /* An HTTP proxy to CONNECT through; SPAN_NONE: none. Copied. */
    struct span proxy_host;
    uint16_t proxy_port;
    struct span proxy_authorization; /* "Basic ...", or SPAN_NONE */
    size_t connects_max;             /* requests in progress; 0: no limit */
    struct tally *tally;             /* outlives the dialer; NULL: not counted */
};

struct dialer;

struct dialer *dialer_create(struct loop *loop, const struct dialer_options *options);
/* Must not be called with a request in progress. Accepts NULL. */
void dialer_destroy(struct dialer *dialer);
/* options.tally, or one of its own. */
struct tally *dialer_tally(const struct dialer *dialer);

enum dialer_failure {
    DIALER_DNS_FAILED,
    DIALER_CONNECT_FAILED,
    DIALER_PROXY_REFUSED,
    DIALER_TLS_FAILED
};

struct dialer_attempt;

/* A connection being made; embedded by its owner, who sets the callbacks and owner. All zero:
 * idle. */
struct dialer_request {
    /* Exactly one of the two is called, from the loop's turn, as the request's last act. Take conn
     * by connection_move before returning; `why` is for people, valid during the call. */
    void (*on_connected)(struct dialer_request *request, struct connection *conn);
    void (*on_failed)(struct dialer_request *request, enum dialer_failure failure, const char *why);
    void *owner;
    struct dialer *dialer;                                   /* NULL: idle */
    bool queued;                                             /* for a place under connects_max */
    struct resolver_query *query;                            /* the dialer's, that it waits for */
    struct dialer_request *next;                             /* of those queued, or waiting */
    struct dialer_attempt *attempts[RESOLVER_ADDRESSES_MAX]; /* NULL: not begun, or failed */
    struct resolver_addresses *addresses; /* in the order to try; NULL until known */
    size_t next_address;
    bool stale;                 /* the addresses are old, and a new lookup is in progress */
    struct timer timer;         /* begins the first attempt, or the next one */
    struct mono_time started;   /* when it was asked for */
    struct mono_time connected; /* when TCP had connected */
};

/* Never calls back before it returns. */
void dialer_connect(struct dialer *dialer, struct dialer_request *dial);
/* Cancels; no callback is called afterwards. No-op if idle. */
void dialer_cancel(struct dialer_request *dial);

#endif
