/* How far the machine's clock is off AWS's, as AWS's own answers tell. It reads no clock.
 *
 * One for the process. Learned from the Date of an answer that came over TLS and refused a signature
 * for its time; unlearned when a later Date shows that the clock has been mended, or when the clock
 * has been set. From any thread.
 * Source: the skew correction of the AWS SDKs (threshold 4 minutes). */
#ifndef SAGEGATE_BASE_SKEW_H
#define SAGEGATE_BASE_SKEW_H

#include <stdatomic.h>

#include "base/clock.h"

enum { SKEW_LEAST_S = 4 * 60, SKEW_MENDED_S = 60 };

struct skew {
    atomic_int_fast64_t offset_us; /* to be added to the machine's time; 0: none is known */
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

/* A signature was refused for a reason that a wrong clock has; `date` is the answer's. True where
 * the offset is another now, by a minute or more, so that signing again can help. */
bool skew_learn(struct skew *skew, struct wall_time date, struct wall_time machine);
/* Any answer's date, to be told while an offset is in force. True where it has been dropped. */
bool skew_check(struct skew *skew, struct wall_time date, struct wall_time machine);
/* The machine's clock has been set, so that the offset is no longer true. True where there was one. */
bool skew_forget(struct skew *skew);

#endif
