/* Filling in: the parameters of one call, from the caller's headers and the route's policies,
 * checked against the API's table. Pure. */
#ifndef SAGEGATE_GATEWAY_FILL_H
#define SAGEGATE_GATEWAY_FILL_H

#include "gateway/outcome.h"
#include "gateway/source.h"

/* How the upstream request is authenticated. */
enum fill_proof {
    FILL_SIGNED,
    FILL_BEARER, /* with a minted token */
    FILL_NONE,   /* not for AWS */
};

enum fill_source {
    FILL_ABSENT,  /* except for what the route may have appended */
    FILL_CALLER,  /* the caller's header */
    FILL_DEFAULT, /* the route's default */
    FILL_VALUE,   /* the route's value */
};

/* A value that curl sends unasked (Accept of any type, the form content type) counts as absent,
 * unless the policy has strict_default. It passes unchanged if the route has no policy for the
 * parameter and lets callers set it. */
struct fill_parameter {
    enum fill_source source;
    struct span value;        /* final, trimmed; SPAN_NONE: no header is sent */
    struct span caller_value; /* trimmed; SPAN_NONE if not sent */
    bool appended;            /* the route's append is part of value */
    bool append_dropped;      /* it would have exceeded the maximum and was left out */
    bool overridden;          /* the route's value replaced the caller's */
};

struct fill_result {
    /* OUTCOME_OK, BAD_PARAMETER, UNSUPPORTED_ENCODING or, for an unknown native operation,
     * NO_ROUTE. */
    enum outcome outcome;
    /* For the caller: "TargetVariant (X-Amzn-SageMaker-Target-Variant): RULE: FAULT; it comes from
     * the value of route 'x'". SPAN_NONE with OUTCOME_OK. */
    struct span message;
    /* With OUTCOME_OK: the route refers to the body; fill in again once it is whole. Nothing else
     * is set then. */
    bool needs_body;
    enum sagemaker_operation operation;
    struct span endpoint; /* its name; SPAN_NONE if the route has none */
    enum fill_proof proof;
    bool is_get;      /* the upstream method is GET, not POST */
    struct span path; /* of the upstream request line: "/endpoints/NAME/invocations" */
    struct fill_parameter parameters[SAGEMAKER_PARAMETERS];
    uint32_t overridden; /* bit 1u << parameter, for the access line */
    /* Names of the caller's headers that are not passed on, for the access line: "a,b,c",
     * lower-case, in order of arrival, at most 256 bytes and a mark for the rest. Headers that
     * belong to the connection or the message's framing (Host, Connection, Content-Length,
     * Transfer-Encoding, Expect) are not listed. */
    struct span dropped_headers;
};

/* Hop-by-hop headers, whatever Connection names, and all that is no parameter are dropped. A
 * parameter sent twice, one that the operation lacks, and an unknown X-Amzn-SageMaker-* are
 * refused. No InferenceId is made up: a default of "${uuid}" in the configuration does that. Texts
 * live in source->arena or in the request. */
void fill_request(struct source *source, struct fill_result *out);

/* The configuration's word for the operation; of auto and native, what it has turned out to be. */
struct span fill_operation_name(const struct config_route *route, const struct fill_result *fill);

/* The upstream headers in the order in which they are sent: Host, Content-Type, Accept,
 * X-Amzn-SageMaker-*. Without those that signing and framing add. Returns their number, at most
 * SAGEMAKER_PARAMETERS + 1. */
size_t fill_upstream_headers(const struct fill_result *fill, const struct config_upstream *upstream,
                             struct http1_header out[SAGEMAKER_PARAMETERS + 1]);

#endif
