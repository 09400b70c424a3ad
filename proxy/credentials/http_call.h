/* One small HTTP call of the keeper's: a connection of its own, a bounded answer, one limit in time.
 *
 * Embedded by its owner; on_done comes once, from the loop's turn, and may free the call (after
 * http_call_dispose). Redirects are answers like others: nothing is followed. What was sent and received is wiped. Knows no AWS. */
#ifndef SAGEGATE_CREDENTIALS_HTTP_CALL_H
#define SAGEGATE_CREDENTIALS_HTTP_CALL_H

#include "aws/endpoint.h"
#include "config/proxy.h"
#include "net/upstream.h"

enum { HTTP_CALL_ANSWER_MAX = 65536, HTTP_CALL_HEADERS_MAX = 8, HTTP_CALL_WHY_SIZE = 192 };

struct http_call_header {
    struct span name, value;
};

struct http_call_request {
    const struct endpoint_url *url;
    X509_STORE *trust; /* with url->tls */
    struct span method, path;
    struct http_call_header headers[HTTP_CALL_HEADERS_MAX]; /* besides Host and Content-Length */
    size_t header_count;
    struct span body;   /* SPAN_NONE: none */
    int64_t timeout_ms; /* for all of it */
    struct proxy proxy; /* CONNECT through it, if any */
};

struct http_call {
    struct upstream_request upstream;
    struct pool *pool; /* NULL: idle */
    struct timer timer;
    struct upstream_chunk *chunk;
    struct buffer head, answer;
    void (*on_done)(struct http_call *call);
    void *owner;
    /* The result, until dispose. */
    int status; /* 0: none, and `why` tells */
    bool timed_out;
    char why[HTTP_CALL_WHY_SIZE];
    struct wall_time date; /* of the answer's Date; us 0: none */
    int64_t timeout_ms;
};

/* Zeroed is idle. The request is copied. Never calls back before it returns. */
void http_call_start(struct http_call *call, struct loop *loop,
                     const struct http_call_request *request,
                     void (*on_done)(struct http_call *call), void *owner);
/* on_done will not come; takes an idle one. Wipes what is left. */
void http_call_dispose(struct http_call *call);

static inline struct span http_call_answer(const struct http_call *call)
{
    return buffer_span(&call->answer);
}

#endif
