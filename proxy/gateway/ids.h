/* Makes the ids of one exchange: request id, UUID version 7, W3C trace context. Pure: randomness
 * and time are passed in.
 *
 * Sources: RFC 9562 (UUIDv7), W3C Trace Context level 1, AWS X-Ray's X-Amzn-Trace-Id header. */
#ifndef SAGEGATE_GATEWAY_IDS_H
#define SAGEGATE_GATEWAY_IDS_H

#include "base/clock.h"
#include "net/http1.h"

enum {
    IDS_UUID_SIZE = 36,
    IDS_TRACE_ID_SIZE = 32,
    IDS_SPAN_ID_SIZE = 16,
    IDS_TRACEPARENT_SIZE = 55,
    IDS_RANDOM_SIZE = 48
};

/* The texts have no terminating NUL; hex is lower-case. */
struct ids {
    char request_id[IDS_UUID_SIZE]; /* never the caller's X-Request-Id */
    char uuid[IDS_UUID_SIZE];       /* ${uuid}; differs from request_id */
    /* From the caller's traceparent, or Root in its X-Amzn-Trace-Id, or new. */
    char trace_id[IDS_TRACE_ID_SIZE];
    char span_id[IDS_SPAN_ID_SIZE]; /* always new: the gateway's own span */
    /* 00-trace_id-span_id-FLAGS, with the sampled flag of the caller's traceparent, or 01. */
    char traceparent[IDS_TRACEPARENT_SIZE];
};

/* Fills in all ids. random: fresh bytes, used once. headers: the caller's; an invalid traceparent
 * is ignored. */
void ids_make(struct ids *ids, const unsigned char random[IDS_RANDOM_SIZE], struct wall_time now,
              const struct http1_headers *headers);

#endif
