/* The plan for one request: the route it takes and the call to make upstream, or the refusal. Pure.
 *
 * The request path, `sagegate explain` and the fuzzer all call these functions, so what explain
 * prints is what the gateway does. A plan depends only on the request and the configuration; limits
 * on concurrency and memory, credentials and the upstream are checked later. Feed it the head, the
 * body if there is one, and the end of the request, in that order. */
#ifndef SAGEGATE_GATEWAY_PLAN_H
#define SAGEGATE_GATEWAY_PLAN_H

#include "gateway/fill.h"
#include "gateway/remote.h"

struct plan_input {
    const struct route_table *routes;
    const struct remote *remote; /* the client; NULL if unknown: guards.peers is not checked */
    uint64_t body_bytes_max;     /* limits.body_bytes in force */
    const unsigned char *random; /* IDS_RANDOM_SIZE fresh bytes */
    struct wall_time now;
    struct arena *arena; /* must outlive the plan */
};

struct plan {
    enum outcome outcome; /* OUTCOME_OK until the request is refused */
    struct span message;  /* of a refusal: one line for the client; else SPAN_NONE */
    bool parsed;          /* the head is well-formed: *request is complete */
    struct ids ids;
    struct route_match match; /* match.route is NULL if no route matched */
    struct fill_result fill;  /* final after plan_end; before it, complete unless fill.needs_body */
    uint64_t body_max;        /* bytes; the lower of the route's body_max and body_bytes_max */
    uint64_t body_size;       /* bytes fed so far */
    struct json_scan *json;   /* members of the body that the route refers to; NULL if none */
    const struct http1_request *request;
    struct arena *arena;
};

/* Each of the three returns false if the request is refused, with outcome and message set;
 * feed it no further then. */

/* plan must be all zero. head: one whole head as measured by http1_scan_head; head and request must
 * outlive the plan. On success the body may be read: its Content-Length, if any, is at most
 * body_max. */
MUST_USE bool plan_take_head(struct plan *plan, const struct plan_input *input, struct span head,
                             struct http1_request *request);
/* The next piece of the body, decoded. */
MUST_USE bool plan_take_body(struct plan *plan, struct span data);
/* The request is complete. */
MUST_USE bool plan_end(struct plan *plan);

#endif
