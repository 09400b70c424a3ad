/* Error responses of the SageMaker Runtime: their code, message and, for a model's error, the
 * model's own status. Pure and lenient: front ends send HTML or nothing at all.
 *
 * Source: AWS restJson1 error rules (x-amzn-ErrorType, code, __type) and the ModelError shape. */
#ifndef SAGEGATE_AWS_AWS_ERROR_H
#define SAGEGATE_AWS_AWS_ERROR_H

#include "base/arena.h"

struct aws_error {
    struct span code; /* "ThrottlingException", what is between '#' and ':'; SPAN_NONE if absent */
    struct span message; /* SPAN_NONE if absent */
    int original_status; /* ModelError's OriginalStatusCode; 0 also if the model sent none */
    bool has_original_status;
    struct span original_message; /* ModelError's OriginalMessage; SPAN_NONE if absent */
    /* ErrorCode: CLIENT_ERROR_FROM_MODEL, ModelInvocationTimeExceeded, StreamBroken ...;
     * SPAN_NONE if absent */
    struct span reason;
};

enum aws_error_class {
    AWS_ERROR_NONE,            /* not an error (status < 400) */
    AWS_ERROR_MODEL,           /* ModelError, 424 */
    AWS_ERROR_MODEL_NOT_READY, /* ModelNotReadyException */
    AWS_ERROR_NO_CAPACITY, /* ServiceUnavailable, 503; an inference component without capacity */
    AWS_ERROR_THROTTLED,   /* by code: it can be a 400; 429 */
    AWS_ERROR_EXPIRED_CREDENTIALS, /* ExpiredToken*, InvalidClientTokenId, UnrecognizedClient* */
    AWS_ERROR_CLOCK_SKEW,          /* a code that a wrong clock causes: the caller compares Date */
    AWS_ERROR_ACCESS_DENIED,       /* identity or signature rejected otherwise, 401 or 403 */
    AWS_ERROR_REJECTED,            /* ValidationError and other 4xx */
    AWS_ERROR_UPSTREAM,            /* 5xx, 530 */
};

/* error_type: the x-amzn-ErrorType header or SPAN_NONE. body: the first bytes of the response, of
 * which 64 KiB are read as JSON whatever the content type says. Allocates the texts in arena. */
void aws_error_parse(struct span error_type, struct span body, struct arena *arena,
                     struct aws_error *out);
/* Classifies by code first, by status second. */
enum aws_error_class aws_error_classify(int status, const struct aws_error *error);

/* Replaces 12-digit account ids, ARNs, and log and console URLs by "[redacted]" in texts for
 * callers. */
struct span aws_error_redact(struct span text, struct arena *arena);
/* Does the same for a model's own text, except for account ids: any number may be the model's. */
struct span aws_error_redact_model_text(struct span text, struct arena *arena);
#endif
