/* Where the time of a request went: time stamps, and the durations that the access line,
 * Server-Timing and the metrics show. Pure: the time is passed in. Only timing_* changes it. */
#ifndef SAGEGATE_GATEWAY_TIMING_H
#define SAGEGATE_GATEWAY_TIMING_H

#include "net/upstream.h"
#include "observe/access.h"

enum timing_stamp {
    TIMING_OPENED,   /* the first byte of the head arrived */
    TIMING_QUEUED,   /* began to wait for a slot */
    TIMING_DEQUEUED, /* stopped waiting */
    TIMING_ADMITTED, /* took a slot */
    TIMING_ARRIVED,  /* the last byte of the body was read */
    TIMING_HASHED,   /* the body is hashed */
    TIMING_HELD,     /* all of the response is held; the caller has not read all of it */
    TIMING_STAMPS
};

/* All zero at first. */
struct timing {
    struct mono_time at[TIMING_STAMPS]; /* us 0: not reached */
    int64_t hash_us, credentials_us, sign_us;
    unsigned attempts;                       /* requests sent upstream */
    int64_t earlier_us;                      /* waits for the upstream in earlier attempts */
    const struct upstream_request *upstream; /* the current attempt's; NULL: none */
};

/* Sets a stamp unless it is set already. */
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
/* Begins an attempt. Call before each upstream_start. upstream must outlive the timing. */
void timing_connect(struct timing *timing, const struct upstream_request *upstream);
/* Counts a request that is being sent, with the time to get its credentials and to sign it. */
static inline void timing_send(struct timing *timing, int64_t credentials_us, int64_t sign_us)
{
    ++timing->attempts;
    timing->credentials_us += credentials_us;
    timing->sign_us += sign_us;
}

/* Returns microseconds by phase, -1 for phases not reached. */
void timing_times(const struct timing *timing, struct mono_time now, int64_t times[ACCESS_TIMES]);

/* Returns the time that the gateway itself added to a request that ends now; -1 if nothing was sent
 * upstream. That is its total time minus
 *
 * - the caller's sending: from the first byte of the head to the last byte of the body, except the
 *   wait for a slot;
 * - the upstream's time, per attempt: connecting, and from the first byte of the request passed to
 *   the kernel to the last byte of the response read, which includes the caller's reading while the
 *   response arrives;
 * - the caller's reading, from the moment when all of the response is held for it.
 *
 * The rest is parsing, planning, waiting for a slot and for credentials, hashing the last piece,
 * signing, judging and passing on. */
int64_t timing_overhead_us(const struct timing *timing, struct mono_time now);

#endif
