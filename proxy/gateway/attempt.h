/* An attempt: one try upstream, from credentials and a connection to the end of the response. Each
 * attempt is signed anew, over the exact bytes sent.
 *
 * Must not depend on the exchange: the owner passes what to send and where, and is notified through
 * a table of callbacks. Embedded in its owner, zeroed before the first attempt. An owner has one
 * attempt at a time and may start the next one in the same memory.
 *
 * After attempt_start fire: any number of on_advanced, then at most one on_head, any number of
 * on_data, and exactly one of on_end and on_failed; after attempt_cancel none. on_head and on_data
 * must not cancel the attempt or start another; on_flush, on_end or on_failed follows in the same
 * turn, and may. Callbacks fire from the loop's turn only, never inside a call by the owner. */
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
    const char *why; /* one line of detail, valid during the call; NULL: none */
};

struct attempt_callbacks {
    /* The attempt has entered its next step: attempt_limit returns another limit. */
    void (*on_advanced)(struct attempt *attempt);
    void (*on_head)(struct attempt *attempt,
                    const struct http1_response *head);         /* valid during the call */
    void (*on_data)(struct attempt *attempt, struct span data); /* likewise; not empty */
    void (*on_flush)(struct attempt *attempt); /* all data of one read has been delivered */
    void (*on_end)(struct attempt *attempt);   /* the response is complete */
    void (*on_failed)(struct attempt *attempt, const struct attempt_failure *failure);
    /* The wait started by attempt_renew has ended. changed: another attempt would be signed with
     * other credentials. */
    void (*on_renewed)(struct attempt *attempt, bool changed);
};

/* The input of an attempt. All of it outlives the attempt. */
struct attempt_options {
    const struct attempt_callbacks *callbacks;
    struct worker *worker;
    struct snapshot_use *use;
    const struct plan *plan; /* destination, identity and parameters */
    const struct body *body;
    struct timing *timing; /* records how long the attempt's phases take */
    struct arena *arena;
    bool fresh_only; /* do not reuse a connection */
};

enum attempt_state {
    ATTEMPT_IDLE,        /* not started, or ended */
    ATTEMPT_CREDENTIALS, /* waits for credentials that are being fetched */
    ATTEMPT_UPSTREAM,    /* upstream.phase shows how far it is */
    ATTEMPT_RENEWING,    /* ended; attempt_renew waits for other credentials */
};

struct attempt {
    struct attempt_options options;
    enum attempt_state state;
    struct renew renew;
    struct upstream_request upstream;
    struct span head; /* of the request; contains the session token; attempt_dispose wipes it */
    struct wall_time date; /* the response's Date; us 0: none */
    struct span identity;  /* name of the identity, or of its source; SPAN_NONE: none used */
};

/* Starts the next attempt. Returns false if there are no credentials and none are being fetched. */
MUST_USE bool attempt_start(struct attempt *attempt, const struct attempt_options *options);

/* Returns when the current step times out, and sets *outcome to the outcome in that case. us 0: the
 * step has no limit. The owner runs the timer, and calls attempt_cancel. */
struct mono_time attempt_limit(const struct attempt *attempt, enum outcome *outcome);
/* Returns whether the request is being sent. Once it is sent, the limit changes without
 * on_advanced. */
static inline bool attempt_is_sending(const struct attempt *attempt)
{
    return attempt->upstream.phase == UPSTREAM_SENDING;
}
/* Returns whether the whole request has been sent. */
static inline bool attempt_has_sent(const struct attempt *attempt)
{
    return attempt->upstream.sent.us != 0;
}

/* Pause and resume reading the response. No-op if idle. */
static inline void attempt_pause(struct attempt *attempt)
{
    upstream_pause(&attempt->upstream);
}
static inline void attempt_resume(struct attempt *attempt)
{
    upstream_resume(&attempt->upstream);
}

/* Checks, after a response that rejects the signature (class), whether another attempt would be
 * signed differently. With RENEW_WAITING, on_renewed fires once that is known. */
MUST_USE enum renew_result attempt_renew(struct attempt *attempt, enum retry_class class);
/* Logs why AWS rejected the signature, as far as the response tells, when no other attempt can
 * help. */
void attempt_explain_refusal(const struct attempt *attempt, struct span error_type,
                             struct span body);

/* Cancels in any state; no callback fires afterwards. No-op if idle. */
void attempt_cancel(struct attempt *attempt);
/* Cancels and wipes the secrets. */
void attempt_dispose(struct attempt *attempt);

#endif
