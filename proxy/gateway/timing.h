/* Where the time of a request went: time stamps, and the durations that the access line,
 * Server-Timing and the metrics show. Pure: the time is passed in. Changed by timing_* alone. */
#ifndef SAGEGATE_GATEWAY_TIMING_H
#define SAGEGATE_GATEWAY_TIMING_H

#include "net/upstream.h"
#include "observe/access.h"

enum timing_stamp {
    TIMING_OPENED,   /* the first byte of the head came */
    TIMING_QUEUED,   /* began to wait for a slot */
    TIMING_DEQUEUED, /* stopped waiting */
    TIMING_ADMITTED, /* took a slot */
    TIMING_ARRIVED,  /* the last byte of the body was read */
    TIMING_HASHED,   /* and the body is hashed */
    TIMING_HELD,     /* all of the response is held, and the caller has not taken it all */
    TIMING_STAMPS
};

/* All zero at first. */
struct timing {
    struct mono_time at[TIMING_STAMPS]; /* us 0: not reached */
    int64_t hash_us, credentials_us, sign_us;
    unsigned attempts;                       /* requests sent */
    int64_t earlier_us;                      /* waited for the upstream on earlier connections */
    const struct upstream_request *upstream; /* its stamps count, too; NULL: none was started */
};

/* The first stamp of a kind counts. */
static inline void timing_stamp(struct timing *timing, enum timing_stamp stamp,
                                struct mono_time now)
{
    if (timing->at[stamp].us == 0)
        timing->at[stamp] = now;
}
static inline void timing_end_body(struct timing *timing, struct mono_time now, int64_t hash_us)
{
    timing_stamp(timing, TIMING_HASHED, now);
    timing->hash_us = hash_us;
}
static inline void timing_wait_credentials(struct timing *timing, int64_t us)
{
    timing->credentials_us += us;
}
/* Before upstream_start, each time. upstream outlives the timing. */
void timing_connect(struct timing *timing, const struct upstream_request *upstream);
/* A request is sent; getting its credentials and signing it took so long. */
static inline void timing_send(struct timing *timing, int64_t credentials_us, int64_t sign_us)
{
    ++timing->attempts;
    timing->credentials_us += credentials_us;
    timing->sign_us += sign_us;
}

/* Microseconds by phase, -1 for those not reached. */
void timing_times(const struct timing *timing, struct mono_time now, int64_t times[ACCESS_TIMES]);

/* The time the gateway itself added to a request that ends now: its total time without
 *   - the caller's sending: from the first byte of the head to the last byte of the body, except for
 *     the wait for a slot;
 *   - the upstream, for each attempt: connecting, and from the first byte of the request passed to
 *     the kernel to the last byte of the response read, including the caller's reading meanwhile;
 *   - the caller's taking: since all of the response has been held for it.
 * What remains: parsing, planning, waiting for a slot and for credentials, hashing the last piece,
 * signing, judging and passing on. -1: nothing was sent upstream. */
int64_t timing_overhead_us(const struct timing *timing, struct mono_time now);

#endif
