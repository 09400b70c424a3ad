/* Judges an error response: classifies it by AWS's code and rewrites it as the route wants. */
#include "gateway/judge.h"

static enum outcome outcome_of(enum aws_error_class class)
{
    static const enum outcome outcomes[] = {
        [AWS_ERROR_NONE] = OUTCOME_OK,
        [AWS_ERROR_MODEL] = OUTCOME_MODEL_ERROR,
        [AWS_ERROR_MODEL_NOT_READY] = OUTCOME_MODEL_NOT_READY,
        [AWS_ERROR_NO_CAPACITY] = OUTCOME_NO_CAPACITY,
        [AWS_ERROR_THROTTLED] = OUTCOME_THROTTLED,
        [AWS_ERROR_EXPIRED_CREDENTIALS] = OUTCOME_ACCESS_DENIED,
        [AWS_ERROR_CLOCK_SKEW] = OUTCOME_ACCESS_DENIED,
        [AWS_ERROR_ACCESS_DENIED] = OUTCOME_ACCESS_DENIED,
        [AWS_ERROR_REJECTED] = OUTCOME_REJECTED,
        [AWS_ERROR_UPSTREAM] = OUTCOME_UPSTREAM_ERROR,
    };
    return outcomes[class];
}

/* Returns the status for a model's error: its own; 504 for 0 (the model did not respond in time);
 * 502 if it is not an error status. */
static int model_status(const struct aws_error *error)
{
    if (!error->has_original_status)
        return 502;
    if (error->original_status == 0)
        return 504;
    return error->original_status >= 400 && error->original_status <= 599 ? error->original_status
                                                                          : 502;
}

static int unwrapped_status(enum outcome outcome, int status, const struct aws_error *error)
{
    switch (outcome) {
    case OUTCOME_MODEL_ERROR:
        return model_status(error);
    case OUTCOME_THROTTLED:
        return 429;
    case OUTCOME_ACCESS_DENIED:
        return 502;
    default:
        return status < 400 || status == 530 || status > 599 ? 502 : status;
    }
}

static enum retry_class class_of(enum aws_error_class class)
{
    return class == AWS_ERROR_EXPIRED_CREDENTIALS ? RETRY_CREDENTIALS
           : class == AWS_ERROR_CLOCK_SKEW        ? RETRY_CLOCK
                                                  : RETRY_NONE;
}

void judge_error(const struct judge_response *response, enum config_errors errors,
                 struct arena *arena, struct judge_verdict *out)
{
    struct aws_error error;
    aws_error_parse(response->error_type, response->body, arena, &error);
    enum aws_error_class class = aws_error_classify(response->status, &error);
    enum outcome outcome = response->status < 400 ? OUTCOME_UPSTREAM_ERROR : outcome_of(class);
    const struct outcome_info *info = outcome_info(outcome);

    *out = (struct judge_verdict){
        .outcome = outcome,
        .class = class_of(class),
        .aws_error = error.code,
        .model_status = outcome == OUTCOME_MODEL_ERROR && error.has_original_status
                            ? error.original_status
                            : -1,
        .pass = errors == CONFIG_ERRORS_PASS,
        .status = response->status,
    };
    if (out->pass)
        return;
    out->status = unwrapped_status(outcome, response->status, &error);
    out->retry_after_s = info->retry_after_s;
    out->is_model_text = outcome == OUTCOME_MODEL_ERROR && error.original_message.len != 0;
    struct span text = out->is_model_text ? error.original_message : error.message;
    if (outcome == OUTCOME_ACCESS_DENIED)
        text = SPAN_NONE; /* AWS echoes what was signed, including the session token */
    /* The model's own text may contain any number; AWS's text names accounts and logs. */
    out->message = out->is_model_text ? aws_error_redact_model_text(text, arena)
                   : text.len != 0    ? aws_error_redact(text, arena)
                                      : info->text;
}

void judge_container(int status, struct judge_verdict *out)
{
    *out = (struct judge_verdict){
        .outcome = OUTCOME_MODEL_ERROR,
        .model_status = status,
        .pass = true,
        .status = status,
    };
}
