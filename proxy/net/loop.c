/* The event loop of one thread: a turn is events, then timers. */
#include "net/loop.h"

#include <errno.h>
#include <h2o/version.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "base/secret.h"

/* All loops, never freed, stay reachable for leak checkers. */
static struct loop *_Atomic all;

static void on_messages(h2o_multithread_receiver_t *receiver, h2o_linklist_t *messages)
{
    loop_read_clock(H2O_STRUCT_FROM_MEMBER(struct loop, receiver, receiver));
    while (!h2o_linklist_is_empty(messages)) {
        struct loop_task *task =
            H2O_STRUCT_FROM_MEMBER(struct loop_task, message.link, messages->next);
        h2o_linklist_unlink(&task->message.link);
        task->run(task);
    }
}

static char *allocate(size_t size)
{
    char *at = malloc(size);
    CHECK(at != NULL);
    return at;
}

struct loop *loop_create(void)
{
    struct loop *loop = calloc(1, sizeof(*loop));
    CHECK(loop != NULL);
    loop->h2o = h2o_evloop_create();
    timer_heap_init(&loop->timers);
    loop->queue = h2o_multithread_create_queue(loop->h2o);
    h2o_multithread_register_receiver(loop->queue, &loop->receiver, on_messages);
    loop->plain_in = allocate(LOOP_READ_SIZE);
    loop->cipher_in = allocate(LOOP_CIPHER_SIZE);
    loop->gather = allocate(LOOP_GATHER_SIZE);
    buffer_init_fixed(&loop->cipher_out, allocate(LOOP_OUTPUT_SIZE), LOOP_OUTPUT_SIZE);
    loop_read_clock(loop);
    loop->next = atomic_load(&all);
    while (!atomic_compare_exchange_weak(&all, &loop->next, loop))
        continue;
    return loop;
}

/* Milliseconds until `at`, rounded up so that a turn does not end just short of it. */
static int wait_ms(struct mono_time at, int max_wait_ms)
{
    int64_t us = clock_us_between(clock_mono(), at);
    int64_t ms = us <= 0 ? 0 : (us + 999) / 1000;
    return ms < max_wait_ms ? (int)ms : max_wait_ms;
}

void loop_turn(struct loop *loop, int max_wait_ms)
{
    struct mono_time next = timer_next(&loop->timers);
    if (next.us != 0)
        max_wait_ms = wait_ms(next, max_wait_ms);
    /* epoll_ctl failing would leave a socket silently unpolled: nothing good can follow. */
    if (h2o_evloop_run(loop->h2o, max_wait_ms) != 0)
        CHECK(errno == EINTR);
    timer_run(&loop->timers, loop_read_clock(loop));
}

void loop_wipe(struct loop *loop)
{
    secret_wipe(loop->plain_in, LOOP_READ_SIZE);
    secret_wipe(loop->gather, LOOP_GATHER_SIZE);
}

static void on_sock_readable(h2o_socket_t *sock, const char *err)
{
    (void)err; /* always NULL with DONT_READ */
    struct loop_watch *watch = sock->data;
    watch->on_readable(watch);
}

void loop_watch(struct loop *loop, struct loop_watch *watch, int fd)
{
    watch->sock = h2o_evloop_socket_create(loop->h2o, fd, H2O_SOCKET_FLAG_DONT_READ);
    watch->sock->data = watch;
    loop_watch_resume(watch);
}

void loop_watch_pause(struct loop_watch *watch)
{
    h2o_socket_read_stop(watch->sock);
}

void loop_watch_resume(struct loop_watch *watch)
{
    h2o_socket_read_start(watch->sock, on_sock_readable);
}

void loop_watch_close(struct loop_watch *watch)
{
    if (watch->sock != NULL)
        h2o_socket_close(watch->sock);
    watch->sock = NULL;
}

void loop_post(struct loop *loop, struct loop_task *task)
{
    task->message = (h2o_multithread_message_t){{NULL, NULL}};
    h2o_multithread_send_message(&loop->receiver, &task->message);
}

const char *loop_library_version(void)
{
    return H2O_VERSION;
}
