/* A thread's event loop: libh2o's epoll loop, our timer heap, descriptors watched for input, tasks
 * posted by other threads, and scratch memory shared by the thread's connections.
 *
 * A loop belongs to one thread; only loop_post may be called from another. */
#ifndef SAGEGATE_NET_LOOP_H
#define SAGEGATE_NET_LOOP_H

#if !defined(H2O_USE_LIBUV) || H2O_USE_LIBUV
#error "libh2o-evloop was built with H2O_USE_LIBUV=0; every unit that sees it must be too"
#endif

#include <h2o/multithread.h>

#include "base/buffer.h"
#include "base/clock.h"
#include "net/timer.h"

enum {
    LOOP_READ_SIZE = 64 * 1024,   /* plaintext that one connection_read can yield at most */
    LOOP_CIPHER_SIZE = 48 * 1024, /* ciphertext per read: one record more still fits above */
    LOOP_GATHER_SIZE = 16 * 1024, /* one TLS record's plaintext */
    LOOP_OUTPUT_SIZE = 96 * 1024, /* ciphertext of one connection_write: 64 KiB of plaintext */
};

/* A descriptor watched for input; embedded by its owner, who sets on_readable. */
struct loop_watch {
    h2o_socket_t *sock; /* NULL: closed */
    /* fd can be read, or is at its end; called again in each turn until that is no longer so. */
    void (*on_readable)(struct loop_watch *watch);
};

struct loop {
    struct loop *next; /* of all loops ever created */
    h2o_loop_t *h2o;
    struct timer_heap timers;
    struct mono_time now; /* read at each event, before timers run, and by loop_read_clock */
    h2o_multithread_queue_t *queue;
    h2o_multithread_receiver_t receiver;
    struct loop_watch departures; /* epoll set of paused connections: net/connection.c */
    char *plain_in;               /* LOOP_READ_SIZE */
    char *cipher_in;              /* LOOP_CIPHER_SIZE */
    char *gather;                 /* LOOP_GATHER_SIZE */
    struct buffer cipher_out;     /* fixed, LOOP_OUTPUT_SIZE; empty between calls */
};

/* Never freed: other threads may still post after its own thread has ended. */
struct loop *loop_create(void);

/* Reads the clock again, for measurements inside a turn. */
static inline struct mono_time loop_read_clock(struct loop *loop)
{
    loop->now = clock_mono();
    return loop->now;
}

/* Waits for events (until the next timer, at most max_wait_ms), runs their callbacks, then the
 * timers due. */
void loop_turn(struct loop *loop, int max_wait_ms);

/* Wipes the plaintext that the last read and write left in the loop's buffers. Call it between two
 * turns, or once what was read last has been used. */
void loop_wipe(struct loop *loop);

/* Starts watching fd, which it makes non-blocking and takes over. */
void loop_watch(struct loop *loop, struct loop_watch *watch, int fd);
/* No on_readable until resumed; both may be called at any time while it is open. */
void loop_watch_pause(struct loop_watch *watch);
void loop_watch_resume(struct loop_watch *watch);
static inline bool loop_watch_is_paused(const struct loop_watch *watch)
{
    return !h2o_socket_is_reading(watch->sock);
}
static inline int loop_watch_fd(const struct loop_watch *watch)
{
    return h2o_socket_get_fd(watch->sock);
}
/* Closes fd; on_readable is not called any more. No-op if closed. */
void loop_watch_close(struct loop_watch *watch);

/* Work for the loop's thread. The poster keeps it alive until run is called; run may free it. */
struct loop_task {
    h2o_multithread_message_t message; /* first: the queue links by it */
    void (*run)(struct loop_task *task);
};
/* From any thread. */
void loop_post(struct loop *loop, struct loop_task *task);

/* Of libh2o's headers; the library itself does not tell. */
const char *loop_library_version(void);

static inline void loop_set_timer(struct loop *loop, struct timer *timer, struct mono_time at)
{
    timer_set(&loop->timers, timer, at);
}
static inline void loop_cancel_timer(struct loop *loop, struct timer *timer)
{
    timer_cancel(&loop->timers, timer);
}

#endif
