/* Outcomes: the ways in which a request can end, one row of outcome.def each. Pure. */
#ifndef SAGEGATE_GATEWAY_OUTCOME_H
#define SAGEGATE_GATEWAY_OUTCOME_H

#include "base/span.h"

enum outcome {
#define OUTCOME(name, token, status, fault, retry_after_s, text, advice) OUTCOME_##name,
#include "gateway/outcome.def"
#undef OUTCOME
    OUTCOMES
};

/* Counters of the metrics: MODEL_ERROR is the caller's fault if the model's status is 4xx. */
enum { OUTCOME_MODEL_ERROR_4XX = OUTCOMES, OUTCOME_COUNTERS };

enum outcome_fault {
    OUTCOME_FAULT_NONE,
    OUTCOME_FAULT_CALLER,
    OUTCOME_FAULT_GATEWAY,
    OUTCOME_FAULT_UPSTREAM
};

struct outcome_info {
    struct span token;        /* in the access line and X-Sagegate-Outcome; a public promise */
    int status;               /* of the gateway's own response; 0: the upstream's, or no response */
    enum outcome_fault fault; /* who can fix it */
    int retry_after_s;        /* Retry-After of the gateway's own response; 0: none */
    struct span text;         /* one line for the caller */
};

const struct outcome_info *outcome_info(enum outcome outcome);
struct span outcome_fault_name(enum outcome_fault fault);

#endif
