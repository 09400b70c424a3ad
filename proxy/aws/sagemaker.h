/* The SageMaker Runtime API as one table: operations, parameters, headers, limits, patterns.
 *
 * Pure: no I/O, no clock, no state. Source: AWS's service model `sagemaker-runtime` 2017-05-13 and the API
 * reference, pages API_runtime_InvokeEndpoint, _InvokeEndpointAsync, _InvokeEndpointWithResponseStream. */
#ifndef SAGEGATE_AWS_SAGEMAKER_H
#define SAGEGATE_AWS_SAGEMAKER_H

#include "base/arena.h"
#include "base/check.h"
#include "base/span.h"

/* Operations on the wire. (The configuration's `operation:` has more words; each ends in one of these.) */
enum sagemaker_operation {
    SAGEMAKER_INVOKE, /* InvokeEndpoint: POST /endpoints/{EndpointName}/invocations */
    SAGEMAKER_STREAM, /* InvokeEndpointWithResponseStream: .../invocations-response-stream */
    SAGEMAKER_ASYNC,  /* InvokeEndpointAsync: .../async-invocations, answers 202 */
    SAGEMAKER_OPERATIONS
};

struct sagemaker_operation_info {
    struct span name;        /* "invoke", as in the configuration and the access line */
    struct span api_name;    /* "InvokeEndpoint" */
    struct span path_suffix; /* "invocations", the last segment of the path */
};
const struct sagemaker_operation_info *sagemaker_operation_info(enum sagemaker_operation operation);
/* False where no operation has that last path segment. */
bool sagemaker_operation_by_suffix(struct span suffix, enum sagemaker_operation *out);

/* The parameters beside EndpointName and Body, in the order of the access line and the documentation. */
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
    /* The exact header by operation, e.g. "X-Amzn-SageMaker-Accept" for ACCEPT on STREAM; SPAN_NONE where
     * the operation lacks the parameter. */
    struct span header[SAGEMAKER_OPERATIONS];
};
const struct sagemaker_parameter_info *sagemaker_parameter_info(enum sagemaker_parameter parameter);
bool sagemaker_parameter_by_name(struct span name, enum sagemaker_parameter *out);
/* Which parameter a caller means by a header (case ignored) when it calls `operation`. Besides the
 * operation's own header, Content-Type and Accept stand for content_type and accept on every operation;
 * where a caller sends both forms the operation's own wins (see *exact). False for any other header. */
bool sagemaker_parameter_by_header(enum sagemaker_operation operation, struct span header,
                                   enum sagemaker_parameter *out, bool *exact);
/* Which parameter any operation knows by that header: to tell a caller that the operation lacks it. */
bool sagemaker_parameter_of_any(struct span header, enum sagemaker_parameter *out);

/* Checks a whole final value against length and pattern. On failure *fault is a text for a person, of the
 * form "RULE: FAULT", e.g. "1 to 64 characters: it has 70" or "printable ASCII: byte 0x07 at position 3",
 * allocated in arena; untouched on success. custom_attributes: printable ASCII and inner tabs, to be
 * trimmed by the caller beforehand (span_trim), at most 1,024. */
MUST_USE bool sagemaker_check_parameter(enum sagemaker_operation operation,
                                        enum sagemaker_parameter parameter, struct span value,
                                        struct arena *arena, struct span *fault);
/* EndpointName: letters, digits and inner hyphens, 1 to 63. The same contract. */
MUST_USE bool sagemaker_check_endpoint_name(struct span name, struct arena *arena,
                                            struct span *fault);

enum {
    SAGEMAKER_ASYNC_INLINE_BODY_MAX = 128000,
    SAGEMAKER_CUSTOM_ATTRIBUTES_MAX = 1024,
};

/* Whether a header of SageMaker's response goes back to the caller; case ignored. */
bool sagemaker_is_response_header(struct span name);

#endif
