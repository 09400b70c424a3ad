/* An attempt: one try upstream, from credentials and a connection to the end of the response. Every
 * attempt is signed anew, over the very bytes that are sent.
 *
 * Must not depend on exchanges: options say what to send where, callbacks report to the owner.
 * Embedded in its owner, zeroed before the first attempt. An owner runs one attempt at a time in it,
 * and may start the next one in the same memory.
 *
 * After attempt_start: any number of on_advanced, then at most one on_head, any number of on_data,
 * and exactly one of on_end and on_failed; after attempt_cancel none. on_head and on_data may not
 * cancel it or start another; in the same turn on_flush, on_end or on_failed follows, which may.
 * Callbacks fire from the loop's turn only, never inside a call of the owner. */
#ifndef SAGEGATE_GATEWAY_ATTEMPT_H
#define SAGEGATE_GATEWAY_ATTEMPT_H

#include "gateway/body.h"
#include "gateway/plan.h"
#include "gateway/renew.h"
#include "gateway/timing.h"
#include "gateway/worker.h"

struct attempt;

struct attempt_failure {
    enum retry_class class;
    enum outcome outcome;
    const char *why; /* one line for people, valid during the call; NULL: nothing to add */
};

struct attempt_callbacks {
    /* The attempt waits for something else now: attempt_limit has changed. */
    void (*on_advanced)(struct attempt *attempt);
    void (*on_head)(struct attempt *attempt,
                    const struct http1_response *head);         /* valid in the call */
    void (*on_data)(struct attempt *attempt, struct span data); /* valid in the call; not empty */
    void (*on_flush)(struct attempt *attempt); /* all data of one read has been reported */
    void (*on_end)(struct attempt *attempt);   /* the response is whole */
    void (*on_failed)(struct attempt *attempt, const struct attempt_failure *failure);
    /* The wait that attempt_renew began has ended. changed: another attempt would be signed with
     * other credentials. */
    void (*on_renewed)(struct attempt *attempt, bool changed);
};

/* What an attempt is made from; all of it outlives the attempt. */
struct attempt_options {
    const struct attempt_callbacks *callbacks;
    struct worker *worker;
    struct snapshot_use *use;
    const struct plan *plan; /* of the target: upstream, identity, timeouts, parameters */
    const struct body *body;
    struct timing *timing; /* updated by the attempt */
    struct arena *arena;
    bool fresh_only; /* no reused connection */
};

enum attempt_state {
    ATTEMPT_IDLE,        /* not started, or ended */
    ATTEMPT_CREDENTIALS, /* waits for credentials that are being fetched */
    ATTEMPT_CONNECTING,
    ATTEMPT_SENT,     /* sends the request, or waits for or reads the response */
    ATTEMPT_RENEWING, /* has ended; attempt_renew waits for other credentials */
};

struct attempt {
    struct attempt_options options;
    enum attempt_state state;
    struct renew renew;
    struct upstream_request upstream;
    struct span head; /* of the request: contains the session token, wiped by attempt_dispose */
    struct wall_time date; /* the response's Date; us 0: none */
    struct span identity;  /* whose credentials: a name, or the source's; SPAN_NONE: had none */
};

/* Starts the next attempt. Returns false if there are no credentials and none are being fetched. */
MUST_USE bool attempt_start(struct attempt *attempt, const struct attempt_options *options);

/* Returns until when the attempt may wait for its next step, and sets the outcome of a timeout. us 0:
 * no limit. The owner keeps the timer and calls attempt_cancel. */
struct mono_time attempt_limit(const struct attempt *attempt, enum outcome *outcome);
/* Whether the request is being sent. When that ends the limit changes without on_advanced. */
static inline bool attempt_is_sending(const struct attempt *attempt)
{
    return attempt->upstream.phase == UPSTREAM_SENDING;
}
/* Whether the whole request has been sent. */
static inline bool attempt_has_sent(const struct attempt *attempt)
{
    return attempt->upstream.sent.us != 0;
}

/* Back-pressure on the response. No-op when idle. */
static inline void attempt_pause(struct attempt *attempt)
{
    upstream_pause(&attempt->upstream);
}
static inline void attempt_resume(struct attempt *attempt)
{
    upstream_resume(&attempt->upstream);
}

/* The attempt has ended with a response that rejects its signature (class). Returns whether another
 * attempt would be signed differently. With RENEW_WAITING on_renewed fires once that is known. */
MUST_USE enum renew_result attempt_renew(struct attempt *attempt, enum retry_class class);
/* Logs why AWS rejected the signature, as far as its response shows. */
void attempt_explain_refusal(const struct attempt *attempt, struct span error_type,
                             struct span body);

/* Ends it from any state, without a callback. No-op when idle. */
void attempt_cancel(struct attempt *attempt);
/* Cancels, and wipes the request's head. */
void attempt_dispose(struct attempt *attempt);

#endif
