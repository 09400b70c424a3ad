/* The heap: an array of pointers, in which each timer knows its place. */
#include "net/timer.h"

#include <stdlib.h>

enum { FIRST_CAPACITY = 64 };

static void place(struct timer_heap *heap, size_t index, struct timer *timer)
{
    heap->list[index] = timer;
    timer->index_plus_one = index + 1;
}

/* Moves `timer` from the free slot `index` towards the root, as far as its time requires. */
static void sift_up(struct timer_heap *heap, size_t index, struct timer *timer)
{
    while (index != 0) {
        size_t parent = (index - 1) / 2;
        if (heap->list[parent]->at.us <= timer->at.us)
            break;
        place(heap, index, heap->list[parent]);
        index = parent;
    }
    place(heap, index, timer);
}

/* The same towards the leaves. */
static void sift_down(struct timer_heap *heap, size_t index, struct timer *timer)
{
    for (;;) {
        size_t child = 2 * index + 1;
        if (child >= heap->count)
            break;
        if (child + 1 < heap->count && heap->list[child + 1]->at.us < heap->list[child]->at.us)
            ++child;
        if (timer->at.us <= heap->list[child]->at.us)
            break;
        place(heap, index, heap->list[child]);
        index = child;
    }
    place(heap, index, timer);
}

/* `timer` may have to move either way; the rest is in order. */
static void settle(struct timer_heap *heap, size_t index, struct timer *timer)
{
    if (index != 0 && timer->at.us < heap->list[(index - 1) / 2]->at.us)
        sift_up(heap, index, timer);
    else
        sift_down(heap, index, timer);
}

static void make_room(struct timer_heap *heap)
{
    if (heap->count < heap->capacity)
        return;
    size_t capacity = heap->capacity == 0 ? FIRST_CAPACITY : 2 * heap->capacity;
    struct timer **list = reallocarray(heap->list, capacity, sizeof(struct timer *));
    CHECK(list != NULL);
    heap->list = list;
    heap->capacity = capacity;
}

void timer_heap_init(struct timer_heap *heap)
{
    *heap = (struct timer_heap){0};
}

void timer_heap_dispose(struct timer_heap *heap)
{
    free(heap->list);
    *heap = (struct timer_heap){0};
}

void timer_set(struct timer_heap *heap, struct timer *timer, struct mono_time at)
{
    CHECK(at.us > 0 && timer->fire != NULL);
    if (at.us <= heap->running.us)
        at.us = heap->running.us + 1;
    timer->at = at;
    if (timer_is_armed(timer)) {
        CHECK(timer->index_plus_one <= heap->count &&
              heap->list[timer->index_plus_one - 1] == timer);
        settle(heap, timer->index_plus_one - 1, timer);
        return;
    }
    make_room(heap);
    sift_up(heap, heap->count++, timer);
}

void timer_cancel(struct timer_heap *heap, struct timer *timer)
{
    if (!timer_is_armed(timer))
        return;
    size_t index = timer->index_plus_one - 1;
    CHECK(index < heap->count && heap->list[index] == timer);
    timer->index_plus_one = 0;
    struct timer *last = heap->list[--heap->count];
    if (last != timer)
        settle(heap, index, last);
}

size_t timer_run(struct timer_heap *heap, struct mono_time now)
{
    size_t fired = 0;
    CHECK(heap->running.us == 0 && now.us > 0);
    heap->running = now;
    while (heap->count != 0 && heap->list[0]->at.us <= now.us) {
        struct timer *timer = heap->list[0];
        timer_cancel(heap, timer);
        ++fired;
        timer->fire(timer);
    }
    heap->running = (struct mono_time){0};
    return fired;
}
