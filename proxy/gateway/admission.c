/* Process-wide counters, and each worker's queue of tickets. */
#include "gateway/admission.h"

#include <stdlib.h>

/* ---- limits ---- */

void admission_init(struct admission *admission, const struct config_limits *limits)
{
    *admission = (struct admission){0};
    admission_set_limits(admission, limits);
}

void admission_set_limits(struct admission *admission, const struct config_limits *limits)
{
    atomic_store_explicit(&admission->connections_max, limits->connections, memory_order_relaxed);
    atomic_store_explicit(&admission->slots_max, limits->concurrency, memory_order_relaxed);
    atomic_store_explicit(&admission->memory_max, limits->body_bytes, memory_order_relaxed);
}

void admission_dispose(struct admission *admission)
{
    while (admission->routes != NULL) {
        struct admission_route *route = admission->routes;
        admission->routes = route->next;
        free((char *)route->name.at);
        free(route);
    }
}

struct admission_route *admission_open_route(struct admission *admission, struct span name)
{
    for (struct admission_route *route = admission->routes; route != NULL; route = route->next)
        if (span_equals(route->name, name))
            return route;
    struct admission_route *route = aligned_alloc(_Alignof(struct admission_route), sizeof(*route));
    char *copy = strndup(name.at, name.len);
    CHECK(route != NULL && copy != NULL);
    *route = (struct admission_route){.next = admission->routes, .name = span_make(copy, name.len)};
    admission_limit_route(route, 0);
    admission->routes = route;
    return route;
}

void admission_limit_route(struct admission_route *route, uint64_t max)
{
    atomic_store_explicit(&route->slots_max, max != 0 ? max : UINT64_MAX, memory_order_relaxed);
}

/* ---- counters ---- */

/* Takes the amount in one step, without exceeding the limit temporarily: a large request that fails
 * must not make a small one fail elsewhere. */
static bool take(atomic_uint_fast64_t *counter, uint64_t amount, const atomic_uint_fast64_t *limit)
{
    uint64_t max = atomic_load_explicit(limit, memory_order_relaxed);
    uint64_t before = atomic_load_explicit(counter, memory_order_relaxed);
    do
        if (amount > max || before > max - amount)
            return false;
    while (!atomic_compare_exchange_weak_explicit(counter, &before, before + amount,
                                                  memory_order_relaxed, memory_order_relaxed));
    return true;
}

static void release(atomic_uint_fast64_t *counter, uint64_t amount)
{
    uint64_t before = atomic_fetch_sub(counter, amount); /* seq_cst: listeners read it next */
    CHECK(before >= amount);
}

bool admission_take_connection(struct admission *admission)
{
    return take(&admission->connections, 1, &admission->connections_max);
}

void admission_force_connection(struct admission *admission)
{
    atomic_fetch_add_explicit(&admission->connections, 1, memory_order_relaxed);
}

void admission_release_connection(struct admission *admission)
{
    release(&admission->connections, 1);
}

bool admission_take_memory(struct admission *admission, uint64_t bytes)
{
    return take(&admission->memory, bytes, &admission->memory_max);
}

void admission_release_memory(struct admission *admission, uint64_t bytes)
{
    release(&admission->memory, bytes);
}

/* ---- slots ---- */

static bool take_slot(struct admission_ticket *ticket)
{
    struct admission *admission = ticket->queue->admission;
    struct admission_route *route = ticket->route;
    if (!take(&route->slots, 1, &route->slots_max))
        return false;
    if (take(&admission->slots, 1, &admission->slots_max)) {
        ticket->state = ADMISSION_ADMITTED;
        return true;
    }
    release(&route->slots, 1);
    return false;
}

static bool others_wait(const struct admission_ticket *ticket)
{
    for (const struct admission_ticket *at = ticket->queue->first; at != NULL; at = at->next)
        if (at->route == ticket->route)
            return true;
    return false;
}

static void enqueue(struct admission_ticket *ticket)
{
    struct admission_ticket **at = &ticket->queue->first;
    while (*at != NULL)
        at = &(*at)->next;
    *at = ticket;
    ticket->next = NULL;
    ticket->state = ADMISSION_WAITING;
    atomic_fetch_add(&ticket->queue->admission->waiting, 1);
}

static void dequeue(struct admission_ticket *ticket)
{
    struct admission_ticket **at = &ticket->queue->first;
    while (*at != ticket)
        at = &(*at)->next;
    *at = ticket->next;
    atomic_fetch_sub(&ticket->queue->admission->waiting, 1);
}

enum admission_state admission_ask(struct admission_ticket *ticket, struct admission_queue *queue,
                                   struct admission_route *route,
                                   void (*on_admitted)(struct admission_ticket *ticket))
{
    CHECK(ticket->state == ADMISSION_NONE);
    ticket->queue = queue;
    ticket->route = route;
    ticket->on_admitted = on_admitted;
    bool is_next = !others_wait(ticket);
    if ((is_next && take_slot(ticket)) || on_admitted == NULL)
        return ticket->state;
    enqueue(ticket);
    /* Try again: a slot released before this ticket counted as waiting woke no queue. */
    atomic_thread_fence(memory_order_seq_cst);
    if (is_next && take_slot(ticket))
        dequeue(ticket);
    return ticket->state;
}

/* Wakes all queues; each admits its own tickets in a turn of its own loop. */
static void wake_queues(struct admission *admission)
{
    if (atomic_load(&admission->waiting) == 0)
        return;
    for (struct admission_queue *at = atomic_load(&admission->queues); at != NULL; at = at->next)
        if (!atomic_exchange(&at->woken, true))
            loop_post(at->loop, &at->wake);
}

void admission_leave(struct admission_ticket *ticket)
{
    enum admission_state state = ticket->state;
    ticket->state = ADMISSION_NONE;
    if (state == ADMISSION_WAITING)
        dequeue(ticket);
    if (state != ADMISSION_ADMITTED)
        return;
    release(&ticket->queue->admission->slots, 1);
    release(&ticket->route->slots, 1);
    wake_queues(ticket->queue->admission);
}

/* ---- queues ---- */

void admission_serve(struct admission_queue *queue)
{
    for (struct admission_ticket *ticket = queue->first, *next; ticket != NULL; ticket = next) {
        next = ticket->next;
        if (!take_slot(ticket))
            continue; /* another route may have room */
        dequeue(ticket);
        ticket->on_admitted(ticket);
    }
}

static void on_wake(struct loop_task *task)
{
    struct admission_queue *queue = H2O_STRUCT_FROM_MEMBER(struct admission_queue, wake, task);
    atomic_store(&queue->woken, false);
    admission_serve(queue);
}

void admission_open_queue(struct admission *admission, struct admission_queue *queue,
                          struct loop *loop)
{
    *queue = (struct admission_queue){.admission = admission, .loop = loop, .wake.run = on_wake};
    queue->next = atomic_load(&admission->queues);
    while (!atomic_compare_exchange_weak(&admission->queues, &queue->next, queue))
        continue;
}
