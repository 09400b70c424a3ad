/* Threads with a loop each that outlive what runs on them.
 *
 * libh2o keeps memory by thread, also for a loop's own sockets: a loop cannot change its thread, nor outlive it. Yet neither
 * may be made anew whenever a configuration is loaded again, for a loop cannot be freed. So the thread rests when its work
 * has ended, and takes up the next. They end with the process. */
#ifndef SAGEGATE_NET_LOOP_THREAD_H
#define SAGEGATE_NET_LOOP_THREAD_H

#include "net/loop.h"

struct loop_thread;

/* Calls run on a thread that rests, or on a new one, with all signals blocked. Aborts where none can be had. What run has
 * opened on the loop it closes; tasks that others post late are run by the next work on that loop, and may not lie in what
 * this one frees. */
struct loop_thread *loop_thread_start(void (*run)(struct loop *loop, void *context), void *context);
/* Waits until run has returned. */
void loop_thread_join(struct loop_thread *thread);

/* Sees to it that a thread rests. False where descriptors have run out: libh2o would abort. */
MUST_USE bool loop_thread_reserve(void);

#endif
