/* What an error response of the upstream means, and what the caller gets of it. Pure.
 *
 * `errors: pass` leaves the response unchanged. `unwrap` turns SageMaker's wrapping into plain
 * HTTP: a model's error becomes the model's own status and message, the gateway's own faults become
 * 502, and account ids, ARNs and log addresses are removed. Source: SageMaker Runtime API
 * reference, "Errors" of InvokeEndpoint. */
#ifndef SAGEGATE_GATEWAY_JUDGE_H
#define SAGEGATE_GATEWAY_JUDGE_H

#include "aws/aws_error.h"
#include "config/config.h"
#include "gateway/outcome.h"
#include "gateway/retry.h"

enum { JUDGE_BODY_MAX = 64 * 1024 };

struct judge_response {
    int status;             /* 300 or more */
    struct span error_type; /* x-amzn-ErrorType, or SPAN_NONE */
    struct span body;       /* its first bytes, at most JUDGE_BODY_MAX */
};

struct judge_verdict {
    enum outcome outcome;
    enum retry_class class;
    struct span aws_error; /* AWS's code; SPAN_NONE if there is none */
    int model_status;      /* -1: none */
    bool pass;             /* pass the response on unchanged; else send the following */
    int status;
    int retry_after_s;   /* 0: none */
    bool is_model_text;  /* message is the model's own response body, to be sent as it is */
    struct span message; /* redacted; in arena */
};

/* An error of a model's container that is called directly: always passed on. */
void judge_container(int status, struct judge_verdict *out);
/* SageMaker never redirects: a status below 400 counts as a failure of the upstream. */
void judge_error(const struct judge_response *response, enum config_errors errors,
                 struct arena *arena, struct judge_verdict *out);

#endif
