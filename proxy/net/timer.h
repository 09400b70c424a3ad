/* Timers in a binary heap: every deadline of a worker, and when the next one falls due. It reads no
 * clock and knows no loop.
 *
 * Intrusive: a `struct timer` lives inside what it guards, and its callback finds that by offset.
 * Times are given in, so tests step them. One thread. */
#ifndef SAGEGATE_NET_TIMER_H
#define SAGEGATE_NET_TIMER_H

#include "base/check.h"
#include "base/clock.h"

/* Zeroed is idle. The owner sets `fire` before timer_set and may not free it while armed. */
struct timer {
    struct mono_time at;          /* when it is due */
    size_t index_plus_one;        /* private: place in the heap; 0 while idle */
    void (*fire)(struct timer *); /* once an arming; the timer is idle again by then */
};

struct timer_heap {
    struct timer **list; /* private */
    size_t count;        /* armed timers */
    size_t capacity;
    struct mono_time running; /* private: the `now` of the timer_run that is under way, else 0 */
};

void timer_heap_init(struct timer_heap *heap);
/* Frees the heap's own memory. Armed timers never fire and are not touched: they may be gone. */
void timer_heap_dispose(struct timer_heap *heap);

static inline bool timer_is_armed(const struct timer *timer)
{
    return timer->index_plus_one != 0;
}

/* Arms, or moves an armed one. at.us > 0. Never calls back. Out of memory aborts. */
void timer_set(struct timer_heap *heap, struct timer *timer, struct mono_time at);
/* No-op when idle; after it the callback never comes, also if the timer was due. */
void timer_cancel(struct timer_heap *heap, struct timer *timer);

/* The earliest time armed; 0 where there is none. */
static inline struct mono_time timer_next(const struct timer_heap *heap)
{
    return heap->count == 0 ? (struct mono_time){0} : heap->list[0]->at;
}

/* Fires what is due (at <= now), the earliest first; equal times in no order. A callback may set or
 * cancel any timer, its own too, and free the timer it was given. What a callback sets to a time
 * already due waits for the next run: it is put 1 us after `now`, so a run always ends. Not from
 * within a callback. Returns how many fired. */
size_t timer_run(struct timer_heap *heap, struct mono_time now);

#endif
