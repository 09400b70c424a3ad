/* An exchange: one request from its head to its access line. The state machine of the request path.
 *
 * Opened by a caller's connection, it fills in the parameters, admits, holds the body, connects, signs, judges the answer
 * and streams it back. There is one way out, at the end of exchange.c. A caller has at most one. */
#ifndef SAGEGATE_GATEWAY_EXCHANGE_H
#define SAGEGATE_GATEWAY_EXCHANGE_H

#include "gateway/body.h"
#include "gateway/judge.h"
#include "gateway/plan.h"
#include "gateway/renew.h"
#include "gateway/stream.h"
#include "gateway/worker.h"

enum {
    EXCHANGE_ATTEMPTS_MAX = 2,
    EXCHANGE_COLLECT_MAX = 1024 * 1024, /* of an answer for a caller that could not see it cut */
    EXCHANGE_PASSED_HEADERS_MAX = 16,
};

enum exchange_state {
    EXCHANGE_OPENED,  /* head read, not yet admitted */
    EXCHANGE_QUEUED,  /* waits for its turn under the limits on concurrency */
    EXCHANGE_BODY,    /* admitted; the body arrives */
    EXCHANGE_CALLING, /* connecting, sending, waiting for the head */
    EXCHANGE_HOLDING, /* an error answer is held until it can be judged, a whole one collected, or the first
                       * message of an event stream awaited */
    EXCHANGE_STREAMING, /* the answer is passed on as it comes */
    EXCHANGE_ANSWERED, /* all of the answer is appended to the reply; the caller has not taken it all yet */
};

/* What is kept of an upstream's head. Texts are in the arena. */
struct exchange_response {
    int status;
    enum http1_framing framing;
    uint64_t content_length;
    struct http1_header headers[EXCHANGE_PASSED_HEADERS_MAX]; /* those to be passed on */
    size_t header_count;
    struct span error_type, invoked_variant, request_id;
    struct wall_time date; /* us 0: none, or none that can be read */
};

struct exchange {
    struct exchange *next_spare;
    struct arena arena;
    struct buffer held;
    struct http1_request
        request; /* complete once request_parsed; before that method, path and headers as far as read */
    /* From here on all is zero when the exchange opens. */
    struct worker *worker;
    struct snapshot_use *use; /* in which it began and ends */
    struct downstream *downstream;
    enum exchange_state state;
    enum outcome outcome;
    struct admission_ticket ticket;
    /* request */
    bool request_parsed, keep_alive, body_ended;
    struct plan plan;             /* plan.ids also where no head could be read */
    struct metrics_route *series; /* of the route; NULL: none took it */
    struct body body;
    /* upstream */
    struct upstream_request upstream;
    unsigned attempts;
    struct span upstream_head; /* wiped at the end: it holds the session token */
    struct span identity; /* whose credentials: a name, or the source's; SPAN_NONE until signed */
    struct renewal renewal;
    struct exchange_response response;
    struct stream stream;         /* of an answer that is an event stream */
    bool held_reserved;           /* EXCHANGE_COLLECT_MAX of admit's body bytes */
    struct judge_verdict verdict; /* of an error answer */
    bool judged;
    /* reply */
    int reply_status;
    struct mono_time reply_progress;
    int queued_bytes; /* in the kernel for the caller, when it was last looked at; 0: not yet */
    /* clock */
    struct timer timer;
    struct mono_time opened, queued_at, admitted_at, body_ended_at;
    struct mono_time arrived_at; /* when the body's last byte was read */
    struct mono_time
        taking_at; /* since the caller has all of the answer still to take; 0: it took it at once */
    int64_t wait_us, credentials_us, sign_us;
    int64_t
        upstream_us; /* waited for the upstream in attempts before this one: timing_upstream_us */
};

/* Serves the requests of the workers' downstreams; a request there is an exchange. */
extern const struct downstream_service exchange_service;

static inline const struct config *exchange_config(const struct exchange *ex)
{
    return ex->use->snapshot->config;
}

/* Each of the following may end the exchange (downstream->request is NULL then). */

/* Gives the caller what it can take; ends the exchange once all is given. Also when its connection has room again. */
void exchange_flush(struct exchange *ex);
/* The caller has gone: the upstream call is cancelled. */
void exchange_cancel(struct exchange *ex, enum outcome outcome);
/* Ends with an answer of the gateway's own where that is still possible, else by closing on a part of one. message:
 * SPAN_NONE for the outcome's own text; lives as long as the exchange. No call upstream may be under way. */
void exchange_fail(struct exchange *ex, enum outcome outcome, struct span message);

/* Looks at deadline_of at `at` at the latest. Does not end the exchange. */
void exchange_arm_by(struct exchange *ex, struct mono_time at);

/* Overwrites the upstream request's head, which holds the session token. */
void exchange_wipe_head(struct exchange *ex);

/* Memory of a spare exchange, when its worker ends. */
void exchange_destroy_spares(struct worker *worker);

#endif
