/* The offset of the machine's clock from AWS's, learned from AWS's responses. Reads no clock.
 *
 * One for the process, used from any thread. Learned from the Date of a response over TLS that
 * rejected a signature's timestamp; dropped when a later Date shows that the clock was corrected,
 * or when it was set. Source: the AWS SDKs' skew correction (threshold 4 minutes). */
#ifndef SAGEGATE_BASE_SKEW_H
#define SAGEGATE_BASE_SKEW_H

#include <stdatomic.h>

#include "base/clock.h"

enum { SKEW_LEAST_S = 4 * 60, SKEW_CORRECTED_S = 60 };

struct skew {
    atomic_int_fast64_t offset_us; /* added to the machine's time; 0: none known */
};

static inline struct wall_time skew_correct(const struct skew *skew, struct wall_time machine)
{
    return (struct wall_time){machine.us +
                              atomic_load_explicit(&skew->offset_us, memory_order_relaxed)};
}

static inline int64_t skew_offset_s(const struct skew *skew)
{
    return atomic_load_explicit(&skew->offset_us, memory_order_relaxed) / 1000000;
}

/* Learns from a response that rejected a signature as a wrong clock would cause; `date` is its
 * Date. Returns true if the offset changed by a minute or more, so that signing again can help. */
bool skew_learn(struct skew *skew, struct wall_time date, struct wall_time machine);
/* Compares any response's Date while an offset is in use. Returns true if it dropped the offset. */
bool skew_check(struct skew *skew, struct wall_time date, struct wall_time machine);
/* Drops the offset because the machine's clock was set. Returns true if there was one. */
bool skew_forget(struct skew *skew);

#endif
