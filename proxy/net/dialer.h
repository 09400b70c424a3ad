/* The dialer: new connections to one upstream; name, address, proxy and TLS, in that order.
 *
 * A dial tries the name's addresses in rotation: the next as soon as one fails, or after 250 ms without an answer (RFC 8305
 * section 5); the first that connects wins. One question to the resolver serves all who wait, its answer is kept for 30 s,
 * and the last good one when DNS fails. At most connects_max dials are under way, the others wait their turn, so that a
 * burst of handshakes neither starves the thread nor the upstream. Knows no HTTP but CONNECT. One thread. */
#ifndef SAGEGATE_NET_DIALER_H
#define SAGEGATE_NET_DIALER_H

#include "net/connection.h"
#include "net/resolver.h"
#include "net/tally.h"

struct dialer_options {
    struct span host; /* a name or a numeric address; copied */
    uint16_t port;
    X509_STORE *trust; /* NULL: plaintext */
    /* An HTTP proxy to CONNECT through; SPAN_NONE: none. Copied. */
    struct span proxy_host;
    uint16_t proxy_port;
    struct span proxy_authorization; /* "Basic ...", or SPAN_NONE */
    size_t connects_max;             /* dials under way; 0: no limit */
    struct tally *tally;             /* outlives the dialer; NULL: nobody wants to know */
};

struct dialer;

struct dialer *dialer_create(struct loop *loop, const struct dialer_options *options);
/* None may be under way. Takes NULL. */
void dialer_destroy(struct dialer *dialer);
/* What it counts into: options.tally, or its own. */
struct tally *dialer_tally(const struct dialer *dialer);

enum dialer_failure {
    DIALER_DNS_FAILED,
    DIALER_CONNECT_FAILED,
    DIALER_PROXY_REFUSED,
    DIALER_TLS_FAILED
};

struct dialer_attempt;

/* One new connection being made; embedded by who wants it. All zero: idle. The callbacks and owner are set by the caller. */
struct dial {
    /* Exactly one of the two comes, from the loop's turn, as its last act. conn is to be taken by connection_move before
     * the callback returns; `why` is for people, valid in the call. */
    void (*on_connected)(struct dial *dial, struct connection *conn);
    void (*on_failed)(struct dial *dial, enum dialer_failure failure, const char *why);
    void *owner;
    struct dialer *dialer;        /* NULL: idle */
    bool queued;                  /* waits for its turn */
    struct resolver_query *query; /* the dialer's, while this one waits for its answer */
    struct dial *next;            /* in the queue, or among those that wait for the resolver */
    struct dialer_attempt *attempts[RESOLVER_ADDRESSES_MAX]; /* NULL: not begun or failed */
    struct resolver_addresses *addresses; /* in this dial's order; NULL until known */
    size_t next_address;
    bool stale;         /* the addresses are of an older answer, and a new one has been asked for */
    struct timer timer; /* begins the first attempt, or the next one */
    struct mono_time started, connected; /* asked for; TCP connected: for connect_us and tls_us */
};

/* Never calls back before it returns. */
void dialer_connect(struct dialer *dialer, struct dial *dial);
/* Neither callback will come. No-op when idle. */
void dialer_cancel(struct dial *dial);

#endif
