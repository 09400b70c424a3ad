/* Counters with one writer that any thread may read, without locks or locked instructions. */
#ifndef SAGEGATE_BASE_COUNTER_H
#define SAGEGATE_BASE_COUNTER_H

#include <stdatomic.h>
#include <stdint.h>

/* Zeroed: nothing counted. */
struct counter {
    atomic_uint_fast64_t value;
};

/* Only on the writer's thread. */
static inline void counter_add(struct counter *counter, uint64_t amount)
{
    uint64_t before = atomic_load_explicit(&counter->value, memory_order_relaxed);
    atomic_store_explicit(&counter->value, before + amount, memory_order_relaxed);
}

/* For a count of things that exist now. Only on the writer's thread. */
static inline void counter_subtract(struct counter *counter, uint64_t amount)
{
    counter_add(counter, -amount);
}

/* From any thread. Related counters may be read at slightly different moments. */
static inline uint64_t counter_read(const struct counter *counter)
{
    return atomic_load_explicit(&counter->value, memory_order_relaxed);
}

#endif
