/* Timers in a binary heap: a thread's deadlines, and when the next one is due. Reads no clock.
 *
 * Intrusive: struct timer is embedded in what it guards, which its callback finds by offset. The
 * time is passed in, so tests step it. One thread. */
#ifndef SAGEGATE_NET_TIMER_H
#define SAGEGATE_NET_TIMER_H

#include "base/check.h"
#include "base/clock.h"

/* All zero: idle. The owner sets `fire` before timer_set and must not free it while armed. */
struct timer {
    struct mono_time at;          /* when it is due */
    size_t index_plus_one;        /* private: place in the heap; 0 while idle */
    void (*fire)(struct timer *); /* once an arming; the timer is idle by then */
};

struct timer_heap {
    struct timer **list; /* private */
    size_t count;        /* armed timers */
    size_t capacity;
    struct mono_time running; /* private: `now` of the timer_run in progress, else 0 */
};

void timer_heap_init(struct timer_heap *heap);
/* Frees the heap's own memory. Armed timers never fire and are not touched: they may be freed. */
void timer_heap_dispose(struct timer_heap *heap);

static inline bool timer_is_armed(const struct timer *timer)
{
    return timer->index_plus_one != 0;
}

/* Arms the timer, or moves an armed one. at.us > 0. Never calls back. */
void timer_set(struct timer_heap *heap, struct timer *timer, struct mono_time at);
/* The callback is not called afterwards, even if the timer was due. No-op if idle. */
void timer_cancel(struct timer_heap *heap, struct timer *timer);

/* The earliest time armed; 0 if there is none. */
static inline struct mono_time timer_next(const struct timer_heap *heap)
{
    return heap->count == 0 ? (struct mono_time){0} : heap->list[0]->at;
}

/* Fires what is due (at <= now), the earliest first; equal times in no order. A callback may set or
 * cancel any timer, its own included, and free the one it was given. A timer set to a time already
 * due fires in the next run: it is put 1 us after `now`, so that a run always ends. Not from within
 * a callback. Returns how many fired. */
size_t timer_run(struct timer_heap *heap, struct mono_time now);

#endif
