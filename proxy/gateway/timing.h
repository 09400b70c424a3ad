/* The account of an exchange: its times, its share of the metrics and its line in the access log. Reads the exchange,
 * changes nothing. */
#ifndef SAGEGATE_GATEWAY_TIMING_H
#define SAGEGATE_GATEWAY_TIMING_H

#include "gateway/exchange.h"

/* Microseconds by phase, -1 for those not reached. */
void timing_times(const struct exchange *ex, int64_t times[ACCESS_TIMES]);

/* How long a client that is idle again has waited for the upstream: for a connection, and from the first byte of the
 * request given to the kernel to the last byte of the answer read. 0: it was not started. */
int64_t timing_upstream_us(const struct upstream_request *upstream);
/* What the gateway has added, of an exchange that ends: total_us without
 *     the caller's sending: from the first byte of the head to the last byte of the body, but for wait_us;
 *     timing_upstream_us of each attempt, which has the caller's reading in it as long as the answer still comes;
 *     the caller's taking: from the moment when all of the answer is held for it to its end.
 * There remain: parsing and filling in, the wait for admission and for credentials, hashing what came last, signing,
 * judging, and passing on. -1: nothing was sent upstream. */
int64_t timing_overhead_us(const struct exchange *ex);

/* Counts it and hands its record to the access log; once, at the end. */
void timing_end(const struct exchange *ex);

#endif
