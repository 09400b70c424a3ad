/* The plan for one request: its route and the call upstream, or the rejection. Pure.
 *
 * The request path, `sagegate explain` and the fuzzer all call these functions, so `explain` prints
 * what the gateway does. A plan depends only on the request and the configuration; limits on
 * concurrency and memory, credentials and the upstream are checked later. Pass the head, then the
 * body if there is one, then the end of the request. */
#ifndef SAGEGATE_GATEWAY_PLAN_H
#define SAGEGATE_GATEWAY_PLAN_H

#include "gateway/fill.h"
#include "gateway/remote.h"

struct plan_input {
    const struct route_table *routes;
    const struct remote *remote; /* the client; NULL if unknown: skips guards.peers */
    uint64_t body_bytes_max;     /* the effective limits.body_bytes */
    const unsigned char *random; /* IDS_RANDOM_SIZE fresh bytes */
    struct wall_time now;
    struct arena *arena; /* must outlive the plan */
};

struct plan {
    enum outcome outcome; /* OUTCOME_OK unless the request is rejected */
    struct span message;  /* of a rejection: one line for the caller; else SPAN_NONE */
    bool parsed;          /* the head is well-formed: *request is complete */
    struct ids ids;
    struct route_match match; /* match.route is NULL if no route matched */
    struct fill_result fill;  /* complete if !fill.needs_body; final after plan_end */
    uint64_t body_max;        /* bytes; the lower of the route's body_max and body_bytes_max */
    uint64_t body_size;       /* bytes taken so far */
    struct json_scan *json;   /* members of the body that the route refers to; NULL if none */
    const struct http1_request *request;
    struct arena *arena;
};

/* Each of the three returns false with outcome and message set if the request is rejected; pass it
 * nothing more then. */

/* Parses the head, finds the route, checks the guards and fills in the call. plan must be all zero.
 * head: one whole head as measured by http1_scan_head; head and request must outlive the plan. On
 * success the body may be read: its Content-Length, if any, is at most body_max. */
MUST_USE bool plan_take_head(struct plan *plan, const struct plan_input *input, struct span head,
                             struct http1_request *request);
/* Makes the ids of a request whose head is incomplete or malformed. request: as far as read. */
void plan_identify(struct plan *plan, const unsigned char *random, struct wall_time now,
                   const struct http1_request *request);
/* Takes the next piece of the decoded body. */
MUST_USE bool plan_take_body(struct plan *plan, struct span data);
/* Ends the request and completes the plan. */
MUST_USE bool plan_end(struct plan *plan);

#endif
