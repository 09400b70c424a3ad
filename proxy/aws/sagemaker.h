/* The SageMaker Runtime API as one table: operations, parameters, headers, limits, patterns. Pure.
 *
 * Source: AWS's service model `sagemaker-runtime` 2017-05-13 and the API reference, pages
 * API_runtime_InvokeEndpoint, _InvokeEndpointAsync, _InvokeEndpointWithResponseStream. */
#ifndef SAGEGATE_AWS_SAGEMAKER_H
#define SAGEGATE_AWS_SAGEMAKER_H

#include "base/arena.h"
#include "base/check.h"
#include "base/span.h"

/* Operations on the wire. The configuration's `operation` has more words; each maps to one of
 * these. */
enum sagemaker_operation {
    SAGEMAKER_INVOKE, /* InvokeEndpoint: POST /endpoints/{EndpointName}/invocations */
    SAGEMAKER_STREAM, /* InvokeEndpointWithResponseStream: .../invocations-response-stream */
    SAGEMAKER_ASYNC,  /* InvokeEndpointAsync: .../async-invocations, returns 202 */
    SAGEMAKER_OPERATIONS
};

struct sagemaker_operation_info {
    struct span name;        /* "invoke", as in the configuration and the access line */
    struct span api_name;    /* "InvokeEndpoint" */
    struct span path_suffix; /* "invocations", the last segment of the path */
};
const struct sagemaker_operation_info *sagemaker_operation_info(enum sagemaker_operation operation);
/* Returns false if no operation has that last path segment. */
bool sagemaker_operation_by_suffix(struct span suffix, enum sagemaker_operation *out);

/* The parameters besides EndpointName and Body, in the order of the access line and the
 * documentation. */
enum sagemaker_parameter {
    SAGEMAKER_CONTENT_TYPE,
    SAGEMAKER_ACCEPT,
    SAGEMAKER_CUSTOM_ATTRIBUTES,
    SAGEMAKER_TARGET_MODEL,
    SAGEMAKER_TARGET_VARIANT,
    SAGEMAKER_TARGET_CONTAINER_HOSTNAME,
    SAGEMAKER_INFERENCE_ID,
    SAGEMAKER_ENABLE_EXPLANATIONS,
    SAGEMAKER_INFERENCE_COMPONENT_NAME,
    SAGEMAKER_SESSION_ID,
    SAGEMAKER_PREFIX_AWARE_ID,
    SAGEMAKER_INPUT_LOCATION,
    SAGEMAKER_REQUEST_TTL_SECONDS,
    SAGEMAKER_INVOCATION_TIMEOUT_SECONDS,
    SAGEMAKER_S3_OUTPUT_PATH_EXTENSION,
    SAGEMAKER_FILENAME,
    SAGEMAKER_PARAMETERS
};

struct sagemaker_parameter_info {
    struct span name;     /* "target_model", the key in the configuration */
    struct span api_name; /* "TargetModel" */
    /* The header by operation, e.g. "X-Amzn-SageMaker-Accept" for ACCEPT on STREAM; SPAN_NONE if
     * the operation lacks the parameter. */
    struct span header[SAGEMAKER_OPERATIONS];
};
const struct sagemaker_parameter_info *sagemaker_parameter_info(enum sagemaker_parameter parameter);
bool sagemaker_parameter_by_name(struct span name, enum sagemaker_parameter *out);
/* Finds the parameter that a header sets on `operation`; ignores case. Besides the operation's
 * own headers, Content-Type and Accept set content_type and accept on every operation; *exact is
 * false for them, since the operation's own header wins if a caller sends both. Returns false for
 * any other header. */
bool sagemaker_parameter_by_header(enum sagemaker_operation operation, struct span header,
                                   enum sagemaker_parameter *out, bool *exact);
/* Finds the parameter that a header sets on any operation, for the message that this operation
 * lacks it. */
bool sagemaker_parameter_of_any(struct span header, enum sagemaker_parameter *out);

/* Checks a final value against length and pattern. On failure *fault is a text for a person in
 * arena, "RULE: FAULT", such as "1 to 64 characters: it has 70" or "printable ASCII: byte 0x07 at
 * position 3". The caller must trim custom_attributes before. */
MUST_USE bool sagemaker_check_parameter(enum sagemaker_operation operation,
                                        enum sagemaker_parameter parameter, struct span value,
                                        struct arena *arena, struct span *fault);
/* Checks an EndpointName: 1 to 63 letters, digits and inner hyphens. Same contract. */
MUST_USE bool sagemaker_check_endpoint_name(struct span name, struct arena *arena,
                                            struct span *fault);

enum {
    SAGEMAKER_ASYNC_INLINE_BODY_MAX = 128000,
    SAGEMAKER_CUSTOM_ATTRIBUTES_MAX = 1024,
};

/* Whether a header of SageMaker's response goes back to the caller; case ignored. */
bool sagemaker_is_response_header(struct span name);

#endif
