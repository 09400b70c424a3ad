/* Judging an upstream's error answer: what it means, and what the caller is told. Pure.
 *
 * `errors: pass` leaves the answer as it is. `unwrap` turns SageMaker's wrapping into plain HTTP: a model's error becomes
 * the model's own status and message, the gateway's own faults become 502, and account ids, ARNs and log addresses stay
 * in our log. Source: SageMaker Runtime API reference, "Errors" of InvokeEndpoint; DESIGN "How a request can end". */
#ifndef SAGEGATE_GATEWAY_JUDGE_H
#define SAGEGATE_GATEWAY_JUDGE_H

#include "aws/aws_error.h"
#include "config/config.h"
#include "gateway/outcome.h"

enum { JUDGE_BODY_MAX = 64 * 1024 };

struct judge_answer {
    int status;
    struct span error_type; /* x-amzn-ErrorType, or SPAN_NONE */
    struct span body;       /* its first bytes, at most JUDGE_BODY_MAX */
};

struct judge_verdict {
    enum outcome outcome;
    struct span aws_error;    /* the code, SPAN_NONE if not told */
    int model_status;         /* -1: none */
    bool refresh_credentials; /* the set is expired or unknown to AWS */
    bool suspects_clock;      /* a refusal that a wrong clock causes, among others */
    bool pass;                /* pass the answer on unchanged; else send the following */
    int status;
    int retry_after_s;   /* 0: none */
    bool is_model_text;  /* message is the model's own answer, to be sent as it is */
    struct span message; /* redacted; in arena */
};

/* An error of a model's container that is called itself: it passes as it is. For statuses >= 300. */
void judge_container(int status, struct judge_verdict *out);

/* For statuses >= 300: SageMaker never redirects, so that counts as a failure of the upstream's. */
void judge_error(const struct judge_answer *answer, enum config_errors errors, struct arena *arena,
                 struct judge_verdict *out);

#endif
