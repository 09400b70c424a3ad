// Measures how long one iteration of an event loop works. Loaded with LD_PRELOAD, it wraps
// epoll_wait and records the CPU time of the thread from the end of one wait to the start of the
// next, and the number of events. At exit it writes one line per iteration to the file
// $TURNS_FILE: thread number, nanoseconds, events.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <time.h>

#define TURNS_MAX (4u << 20)

struct turn {
    uint32_t ns;
    uint32_t events;
};

struct thread {
    struct thread *next;
    int number;
    int epoll; // the loop's epoll set: the first one that the thread waits for
    size_t count;
    struct turn turns[TURNS_MAX]; // untouched pages cost nothing
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct thread *threads;
static __thread struct thread *own;
static __thread uint64_t begun_ns;
static __thread int events;

static uint64_t thread_cpu_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static struct thread *make_own(int epoll)
{
    struct thread *thread = calloc(1, sizeof(*thread));
    if (thread == NULL)
        abort();
    thread->epoll = epoll;
    pthread_mutex_lock(&lock);
    thread->number = threads != NULL ? threads->number + 1 : 0;
    thread->next = threads;
    threads = thread;
    pthread_mutex_unlock(&lock);
    return thread;
}

int epoll_wait(int epoll, struct epoll_event *list, int max, int timeout_ms)
{
    static int (*real)(int, struct epoll_event *, int, int);
    if (real == NULL)
        real = (int (*)(int, struct epoll_event *, int, int))dlsym(RTLD_NEXT, "epoll_wait");
    if (own == NULL)
        own = make_own(epoll);
    if (own->epoll != epoll) // another set, polled within an iteration
        return real(epoll, list, max, timeout_ms);
    if (begun_ns != 0 && own->count < TURNS_MAX)
        own->turns[own->count++] =
            (struct turn){.ns = (uint32_t)(thread_cpu_ns() - begun_ns), .events = (uint32_t)events};
    int count = real(epoll, list, max, timeout_ms);
    events = count > 0 ? count : 0;
    begun_ns = thread_cpu_ns();
    return count;
}

__attribute__((destructor)) static void tell(void)
{
    const char *name = getenv("TURNS_FILE");
    FILE *file = name != NULL ? fopen(name, "w") : NULL;
    if (file == NULL)
        return;
    for (const struct thread *thread = threads; thread != NULL; thread = thread->next)
        for (size_t i = 0; i < thread->count; i++)
            fprintf(file, "%d %u %u\n", thread->number, thread->turns[i].ns,
                    thread->turns[i].events);
    fclose(file);
}
