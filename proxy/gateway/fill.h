/* Filling in: the parameters of one call, by the route's policies, checked against the API's table. Pure; the same code
 * serves the request path and `sagegate explain`. */
#ifndef SAGEGATE_GATEWAY_FILL_H
#define SAGEGATE_GATEWAY_FILL_H

#include "gateway/ids.h"
#include "gateway/outcome.h"
#include "gateway/route.h"
#include "net/http1.h"

/* How the request proves who sends it. */
enum fill_proof {
    FILL_SIGNED,
    FILL_BEARER, /* a minted token */
    FILL_NONE,   /* no AWS behind it */
};

enum fill_source {
    FILL_ABSENT,  /* but for what the route may have appended */
    FILL_CALLER,  /* the caller's header */
    FILL_DEFAULT, /* the route's default */
    FILL_VALUE,   /* the route's value */
};

/* What curl sends unasked (Accept: any type, the form content type) counts as none where the route
 * has a policy for the parameter or does not let callers set it, unless strict_default; elsewhere it
 * passes as it is. */
struct fill_parameter {
    enum fill_source source;
    struct span value;        /* final, trimmed; SPAN_NONE where absent: no header is sent */
    struct span caller_value; /* what the caller sent, SPAN_NONE if nothing */
    bool appended;            /* the route's append is part of value */
    bool append_dropped;      /* it did not fit into the maximum and was left out */
    bool overridden;          /* the caller's value was beaten by the route's */
};

struct fill_result {
    /* OUTCOME_OK, BAD_PARAMETER, UNSUPPORTED_ENCODING, NO_ROUTE (native: unknown operation). */
    enum outcome outcome;
    /* For the caller: "TargetVariant (X-Amzn-SageMaker-Target-Variant): RULE: FAULT; it comes from
     * the value of route 'x'". SPAN_NONE with OUTCOME_OK. */
    struct span message;
    enum sagemaker_operation operation;
    /* With OUTCOME_OK and nothing else set: the route must know the request's body first. */
    bool needs_body;
    struct span endpoint; /* its name, checked */
    enum fill_proof proof;
    bool is_get;      /* not POST */
    struct span path; /* of the upstream request line: "/endpoints/NAME/invocations" */
    struct fill_parameter parameters[SAGEMAKER_PARAMETERS];
    uint32_t overridden; /* bit 1u << parameter, for the access line */
    /* Names of the caller's headers that were not taken over, "a,b,c" lower-case in order of coming,
     * at most 256 bytes; for the access line. Those of the message itself (Host, Connection,
     * Content-Length, Transfer-Encoding, Expect) do not count. */
    struct span dropped_headers;
};

/* All texts live in arena or in the request. Where the caller sends a header twice that is a parameter: BAD_PARAMETER.
 * inference_id: where neither caller nor route gives one, and the operation has it, none is made here: a default of
 * "${uuid}" in the configuration does that. */
void fill_request(const struct config_route *route, const struct route_match *match,
                  const struct http1_request *request, const struct ids *ids, struct arena *arena,
                  struct fill_result *out);

/* The same once the body is whole: json has what the route watches of it. Needed after needs_body only. */
void fill_request_with_body(const struct config_route *route, const struct route_match *match,
                            const struct http1_request *request, const struct ids *ids,
                            const struct json_scan *json, struct arena *arena,
                            struct fill_result *out);

/* The configuration's word for the operation; of auto and native what has become of it. */
struct span fill_operation_name(const struct config_route *route, const struct fill_result *fill);

/* The upstream's headers in the order they are sent, without x-amz-date, x-amz-security-token, Authorization and
 * Content-Length, which the signer adds: Host, Content-Type, Accept, X-Amzn-SageMaker-*. Returns their number (at
 * most SAGEMAKER_PARAMETERS + 1). */
size_t fill_upstream_headers(const struct fill_result *fill, const struct config_upstream *upstream,
                             struct http1_header out[SAGEMAKER_PARAMETERS + 1]);

#endif
