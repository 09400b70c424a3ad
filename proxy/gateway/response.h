/* What is said to the caller: the heads of passed answers and the gateway's own errors. Appends to the reply only. */
#ifndef SAGEGATE_GATEWAY_RESPONSE_H
#define SAGEGATE_GATEWAY_RESPONSE_H

#include "gateway/exchange.h"

/* Keeps from an upstream's head what may be passed on, in the arena. */
void response_keep_head(struct exchange *ex, const struct http1_response *head);
/* Appends the kept head; the framing is the upstream's where the length is known, else what the caller understands. */
void response_append_passed_head(struct exchange *ex, enum http1_framing framing, uint64_t length);
/* Appends a whole empty answer with 200. */
void response_append_ready(struct exchange *ex);
/* Makes the kept head that of the model's own answer inside an event stream: its Content-Type, of a length that is not
 * known. */
void response_unwrap_stream(struct exchange *ex);
/* Makes the held 202 of InvokeEndpointAsync one for callers who read no headers: {"InferenceId", "OutputLocation",
 * "FailureLocation"}. */
void response_complete_accepted(struct exchange *ex);
/* Where the route asks for it and the answer under way is text/event-stream: appends an event that says why it ends. */
void response_append_stream_error(struct exchange *ex, struct span message);
/* Appends a whole answer of the gateway's own, in the shape an AWS SDK reads: X-Sagegate-Outcome, x-amzn-ErrorType and
 * {"Code","Message","RequestId"}; or, for a model's error unwrapped, the model's own text. */
void response_append_error(struct exchange *ex, int status, struct span message, int retry_after_s,
                           bool is_model_text);

#endif
