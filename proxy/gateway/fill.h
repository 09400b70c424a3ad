/* Fills in the parameters of one call, from the caller's headers and the route's policies, and
 * checks them against the API's table. Pure. */
#ifndef SAGEGATE_GATEWAY_FILL_H
#define SAGEGATE_GATEWAY_FILL_H

#include "gateway/outcome.h"
#include "gateway/source.h"

/* How the upstream request is authenticated. */
enum fill_proof {
    FILL_SIGNED,
    FILL_BEARER, /* with a minted token */
    FILL_NONE,   /* the upstream is not AWS */
};

enum fill_source {
    FILL_ABSENT,  /* no value except the route's append, if any */
    FILL_CALLER,  /* the caller's header */
    FILL_DEFAULT, /* the route's default */
    FILL_VALUE,   /* the route's value */
};

/* Values that curl and old clients send by default (Accept: any type; the form content type) count
 * as absent unless the policy has strict_default. They pass unchanged if the route has no policy
 * for the parameter and callers may set it. */
struct fill_parameter {
    enum fill_source source;
    struct span value;        /* final, trimmed; SPAN_NONE: no header is sent */
    struct span caller_value; /* trimmed; SPAN_NONE if not sent */
    bool appended;            /* the route's append is part of value */
    bool append_dropped;      /* left out: value and append together exceed the maximum */
    bool overridden;          /* the route's value replaced the caller's */
};

struct fill_result {
    /* OUTCOME_OK, BAD_PARAMETER, UNSUPPORTED_ENCODING or, for an unknown native operation,
     * NO_ROUTE. */
    enum outcome outcome;
    /* For the caller: "TargetVariant (X-Amzn-SageMaker-Target-Variant): RULE: FAULT; it comes from
     * the value of route 'x'". SPAN_NONE with OUTCOME_OK. */
    struct span message;
    /* With OUTCOME_OK: the route refers to the body: call again once the body is complete. Nothing
     * else is set then. */
    bool needs_body;
    enum sagemaker_operation operation;
    struct span endpoint; /* its name; SPAN_NONE if the route has no endpoint */
    enum fill_proof proof;
    bool is_get;      /* the upstream method is GET, not POST */
    struct span path; /* of the upstream request line: "/endpoints/NAME/invocations" */
    struct fill_parameter parameters[SAGEMAKER_PARAMETERS];
    uint32_t overridden; /* bit 1u << parameter, for the access line */
    /* Names of the caller's headers that are not passed on, for the access line: "a,b,c",
     * lower-case, in order of arrival, at most 256 bytes and a mark for the rest. Excludes headers
     * of the connection or the message's framing (Host, Connection, Content-Length,
     * Transfer-Encoding, Expect). */
    struct span dropped_headers;
};

/* Fills in *out. Drops hop-by-hop headers, headers named by Connection, and all headers that are
 * not parameters. Rejects a parameter sent twice, a parameter that the operation lacks, and an
 * unknown X-Amzn-SageMaker-*. Does not generate an InferenceId: a default of "${uuid}" in the
 * configuration does. Texts live in source->arena or in the request. */
void fill_request(struct source *source, struct fill_result *out);

/* Returns the configuration's word for the operation; for auto and native, the operation chosen. */
struct span fill_operation_name(const struct config_route *route, const struct fill_result *fill);

/* Lists the upstream headers in the order in which they are sent: Host, Content-Type, Accept,
 * X-Amzn-SageMaker-*; without those that signing and framing add. Returns their number, at most
 * SAGEMAKER_PARAMETERS + 1. */
size_t fill_upstream_headers(const struct fill_result *fill, const struct config_upstream *upstream,
                             struct http1_header out[SAGEMAKER_PARAMETERS + 1]);

#endif
