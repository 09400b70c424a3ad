/* Classifies an error response of the upstream and decides what the caller gets. Pure.
 *
 * `errors: pass` leaves the response unchanged. `unwrap` turns SageMaker's wrapping into plain
 * HTTP: a model's error becomes the model's own status and message, rejections of the gateway's
 * identity become 502, and account ids, ARNs and log addresses are removed. Source: SageMaker
 * Runtime API reference, "Errors" of InvokeEndpoint. */
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
    struct span body;       /* its first JUDGE_BODY_MAX bytes at most */
};

struct judge_verdict {
    enum outcome outcome;
    enum retry_class class;
    struct span aws_error; /* AWS's code; SPAN_NONE if there is none */
    int model_status;      /* -1: none */
    bool pass;             /* pass the response on unchanged; if false, send the following */
    int status;
    int retry_after_s;   /* 0: none */
    bool is_model_text;  /* message is the model's own response body, to be sent as is */
    struct span message; /* redacted; in arena */
};

/* Judges an error of a model's container that is called directly: always passed on. */
void judge_container(int status, struct judge_verdict *out);
/* Judges an error of SageMaker, which never redirects: a status below 400 counts as an upstream
 * failure. */
void judge_error(const struct judge_response *response, enum config_errors errors,
                 struct arena *arena, struct judge_verdict *out);

#endif
