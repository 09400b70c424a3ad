/* Loop threads: each waits for work, does it, and rests again. */
#include "net/loop_thread.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

struct loop_thread {
    struct loop_thread *next; /* among those that rest */
    pthread_cond_t changed;
    void (*run)(struct loop *loop, void *context); /* NULL: there is no work */
    void *context;
};

/* One lock for all: they change hands when a configuration is loaded. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct loop_thread *resting;

static void *live(void *argument)
{
    struct loop_thread *thread = argument;
    struct loop *loop = loop_create();
    pthread_mutex_lock(&lock);
    for (;;) {
        while (thread->run == NULL)
            pthread_cond_wait(&thread->changed, &lock);
        pthread_mutex_unlock(&lock);
        loop_read_clock(loop);
        thread->run(loop, thread->context);
        CHECK(timer_next(&loop->timers).us == 0);
        pthread_mutex_lock(&lock);
        thread->run = NULL;
        pthread_cond_signal(&thread->changed);
    }
    return NULL;
}

static struct loop_thread *make(void)
{
    sigset_t all, before;
    pthread_t id;
    struct loop_thread *thread = calloc(1, sizeof(*thread));
    CHECK(thread != NULL);
    pthread_cond_init(&thread->changed, NULL);
    sigfillset(&all); /* signals belong to the main thread */
    pthread_sigmask(SIG_SETMASK, &all, &before);
    CHECK(pthread_create(&id, NULL, live, thread) == 0);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_detach(id);
    return thread;
}

static struct loop_thread *take_resting(void)
{
    pthread_mutex_lock(&lock);
    struct loop_thread *thread = resting;
    if (thread != NULL)
        resting = thread->next;
    pthread_mutex_unlock(&lock);
    return thread;
}

static void rest(struct loop_thread *thread)
{
    pthread_mutex_lock(&lock);
    thread->next = resting;
    resting = thread;
    pthread_mutex_unlock(&lock);
}

struct loop_thread *loop_thread_start(void (*run)(struct loop *loop, void *context), void *context)
{
    struct loop_thread *thread = take_resting();
    if (thread == NULL)
        thread = make();
    pthread_mutex_lock(&lock);
    thread->context = context;
    thread->run = run;
    pthread_cond_signal(&thread->changed);
    pthread_mutex_unlock(&lock);
    return thread;
}

void loop_thread_join(struct loop_thread *thread)
{
    pthread_mutex_lock(&lock);
    while (thread->run != NULL)
        pthread_cond_wait(&thread->changed, &lock);
    pthread_mutex_unlock(&lock);
    rest(thread);
}

/* ---- making sure ---- */

/* What a loop opens: an epoll set and a pipe, and one to spare. */
static bool can_open_enough(void)
{
    enum { WANTED = 4 };
    int fds[WANTED], opened = 0;
    while (opened != WANTED && (fds[opened] = eventfd(0, EFD_CLOEXEC)) >= 0)
        ++opened;
    bool enough = opened == WANTED;
    while (opened != 0)
        close(fds[--opened]);
    return enough;
}

static void do_nothing(struct loop *loop, void *context)
{
    (void)loop, (void)context;
}

bool loop_thread_reserve(void)
{
    struct loop_thread *thread = take_resting();
    if (thread == NULL && !can_open_enough())
        return false;
    if (thread != NULL)
        rest(thread);
    else /* it has its loop when its first work has ended */
        loop_thread_join(loop_thread_start(do_nothing, NULL));
    return true;
}
