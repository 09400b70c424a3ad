/* A counter with one writer that any thread may read: no lock, no instruction that locks the bus. It
 * knows nothing of what it counts. */
#ifndef SAGEGATE_BASE_COUNTER_H
#define SAGEGATE_BASE_COUNTER_H

#include <stdatomic.h>
#include <stdint.h>

/* All zero: nothing counted. */
struct counter {
    atomic_uint_fast64_t value;
};

/* On the one thread that writes it. */
static inline void counter_add(struct counter *counter, uint64_t amount)
{
    uint64_t before = atomic_load_explicit(&counter->value, memory_order_relaxed);
    atomic_store_explicit(&counter->value, before + amount, memory_order_relaxed);
}

/* Of one that counts what is there just now; likewise. */
static inline void counter_subtract(struct counter *counter, uint64_t amount)
{
    counter_add(counter, -amount);
}

/* From any thread. Counters that belong together may be read at slightly different moments. */
static inline uint64_t counter_read(const struct counter *counter)
{
    return atomic_load_explicit(&counter->value, memory_order_relaxed);
}

#endif
