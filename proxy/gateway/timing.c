/* Computes durations from time stamps. */
#include "gateway/timing.h"

static int64_t between(struct mono_time from, struct mono_time to)
{
    if (from.us == 0 || to.us == 0)
        return -1;
    return to.us > from.us ? to.us - from.us : 0;
}

static int64_t spent(struct mono_time from, struct mono_time to)
{
    int64_t us = between(from, to);
    return us > 0 ? us : 0;
}

/* Returns how long the gateway waited for an upstream request, once it is idle again. */
static int64_t upstream_us(const struct upstream_request *upstream)
{
    if (upstream == NULL)
        return 0;
    if (upstream->ready.us == 0) /* not connected */
        return spent(upstream->started, upstream->last_byte);
    return spent(upstream->started, upstream->ready) +
           spent(upstream->send_started, upstream->last_byte);
}

void timing_connect(struct timing *timing, const struct upstream_request *upstream)
{
    timing->earlier_us += upstream_us(timing->upstream);
    timing->upstream = upstream;
}

/* Returns the wait for a slot, up to now if the caller left the queue without getting one. */
static int64_t wait_us(const struct timing *timing, struct mono_time now)
{
    struct mono_time dequeued = timing->at[TIMING_DEQUEUED];
    return spent(timing->at[TIMING_QUEUED], dequeued.us != 0 ? dequeued : now);
}

void timing_times(const struct timing *timing, struct mono_time now, int64_t times[ACCESS_TIMES])
{
    const struct mono_time *at = timing->at;
    const struct upstream_request *upstream = timing->upstream;
    for (size_t i = 0; i != ACCESS_TIMES; ++i)
        times[i] = -1;
    times[ACCESS_RECEIVE_US] = between(at[TIMING_OPENED], at[TIMING_HASHED]);
    if (at[TIMING_ADMITTED].us != 0 || at[TIMING_QUEUED].us != 0)
        times[ACCESS_WAIT_US] = wait_us(timing, now);
    if (at[TIMING_HASHED].us != 0)
        times[ACCESS_HASH_US] = timing->hash_us;
    times[ACCESS_TOTAL_US] = between(at[TIMING_OPENED], now);
    if (upstream == NULL)
        return;
    times[ACCESS_CONNECT_US] =
        upstream->reused ? 0 : between(upstream->started, upstream->connected);
    times[ACCESS_TLS_US] = upstream->reused ? 0 : between(upstream->connected, upstream->ready);
    if (timing->attempts != 0) {
        times[ACCESS_CREDENTIALS_US] = timing->credentials_us;
        times[ACCESS_SIGN_US] = timing->sign_us;
    }
    times[ACCESS_SEND_US] = between(upstream->send_started, upstream->sent);
    times[ACCESS_FIRST_BYTE_US] = between(upstream->sent, upstream->first_byte);
    times[ACCESS_STREAM_US] = between(upstream->first_byte, upstream->last_byte);
    if (upstream->first_byte.us != 0)
        times[ACCESS_GAP_MAX_US] = upstream->gap_max_us;
}

int64_t timing_overhead_us(const struct timing *timing, struct mono_time now)
{
    const struct mono_time *at = timing->at;
    if (timing->attempts == 0)
        return -1;
    int64_t sending = spent(at[TIMING_OPENED], at[TIMING_ARRIVED]) - wait_us(timing, now);
    int64_t waited =
        sending + timing->earlier_us + upstream_us(timing->upstream) + spent(at[TIMING_HELD], now);
    int64_t rest = spent(at[TIMING_OPENED], now) - waited;
    return rest > 0 ? rest : 0;
}
