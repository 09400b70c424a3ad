/* What the caller sent: its headers sorted into parameters of the operation, refusals, and what is dropped. Pure.
 *
 * It knows the API's table but no route: policies come later, in fill.c. */
#ifndef SAGEGATE_GATEWAY_CALLER_HEADERS_H
#define SAGEGATE_GATEWAY_CALLER_HEADERS_H

#include "aws/sagemaker.h"
#include "gateway/outcome.h"
#include "net/http1.h"

enum { CALLER_HEADERS_DROPPED_MAX = 256 };

struct caller_headers {
    /* By parameter: trimmed, in the request; SPAN_NONE where not sent. */
    struct span values[SAGEMAKER_PARAMETERS];
    struct span dropped; /* as fill_result.dropped_headers, in arena */
};

/* wire_only: Content-Type and Accept stand for their parameters only where they are the operation's
 * own headers (the native API). Returns OUTCOME_OK, UNSUPPORTED_ENCODING (a Content-Encoding other
 * than identity) or BAD_PARAMETER: a parameter sent twice, one that the operation lacks, an unknown
 * X-Amzn-SageMaker-*; then *message says so, in arena, and *out is untouched.
 *
 * Hop-by-hop headers, whatever Connection names, and all that is no parameter are dropped. */
MUST_USE enum outcome caller_headers_read(enum sagemaker_operation operation, bool wire_only,
                                          const struct http1_request *request, struct arena *arena,
                                          struct caller_headers *out, struct span *message);

#endif
