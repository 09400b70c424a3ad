/* Accepting, sharing out and pausing. */
#include "gateway/listener.h"

#include "net/listen.h"
#include "observe/log.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { ACCEPTS_A_TURN = 16, BACK_OFF_MS = 100 };

struct listener {
    struct gateway *gateway;
    h2o_socket_t *sock;      /* NULL: closed */
    struct tls_context *tls; /* NULL: plain */
};

/* The listeners of the process; worker 0's thread alone touches them. */
struct listeners {
    struct listener *list;
    size_t count;
    bool paused;
    struct timer back_off;     /* descriptors ran out */
    atomic_bool resume_wanted; /* paused at the limit: the next departure posts resume */
    struct loop_task resume;   /* alone ends that pause, so that it is never posted twice */
};

struct handover {
    struct loop_task task;
    struct worker *worker;
    int fd;
    struct tls_context *tls;
};

static void on_acceptable(h2o_socket_t *sock, const char *err);

static struct listeners *listeners_of(struct gateway *gateway)
{
    return gateway->listeners;
}

/* ---- sharing out ---- */

static struct worker *least_loaded(struct gateway *gateway)
{
    struct worker *best = &gateway->workers[0];
    for (unsigned i = 1; i < gateway->worker_count; ++i) {
        struct worker *worker = &gateway->workers[i];
        if (atomic_load_explicit(&worker->downstream_count, memory_order_relaxed) <
            atomic_load_explicit(&best->downstream_count, memory_order_relaxed))
            best = worker;
    }
    return best;
}

/* It comes before the worker is told to drain: worker_drain_all keeps that order. */
static void on_handover(struct loop_task *task)
{
    struct handover *handover = (struct handover *)task;
    downstream_open(&handover->worker->downstreams, handover->fd, handover->tls);
    free(handover);
}

static void share_out(struct gateway *gateway, int fd, struct tls_context *tls)
{
    struct worker *worker = least_loaded(gateway);
    atomic_fetch_add_explicit(&worker->downstream_count, 1, memory_order_relaxed);
    if (worker->index == 0) {
        downstream_open(&worker->downstreams, fd, tls);
        return;
    }
    struct handover *handover = malloc(sizeof(*handover));
    CHECK(handover != NULL);
    *handover = (struct handover){.task.run = on_handover, .worker = worker, .fd = fd, .tls = tls};
    loop_post(worker->loop, &handover->task);
}

/* ---- pausing ---- */

static void pause_all(struct listeners *listeners)
{
    listeners->paused = true;
    for (size_t i = 0; i != listeners->count; ++i)
        if (listeners->list[i].sock != NULL)
            h2o_socket_read_stop(listeners->list[i].sock);
}

static void resume_all(struct listeners *listeners)
{
    if (!listeners->paused)
        return;
    listeners->paused = false;
    for (size_t i = 0; i != listeners->count; ++i)
        if (listeners->list[i].sock != NULL)
            h2o_socket_read_start(listeners->list[i].sock, on_acceptable);
}

static void on_back_off_over(struct timer *timer)
{
    resume_all(H2O_STRUCT_FROM_MEMBER(struct listeners, back_off, timer));
}

static void on_resume(struct loop_task *task)
{
    resume_all(H2O_STRUCT_FROM_MEMBER(struct listeners, resume, task));
}

void listener_resume_all(struct gateway *gateway)
{
    struct listeners *listeners = listeners_of(gateway);
    if (atomic_load(&listeners->resume_wanted) && atomic_exchange(&listeners->resume_wanted, false))
        loop_post(gateway->workers[0].loop, &listeners->resume);
}

/* ---- accepting ---- */

/* True where one was accepted. */
static bool accept_one(struct listener *listener)
{
    struct gateway *gateway = listener->gateway;
    struct listeners *listeners = listeners_of(gateway);
    struct loop *loop = gateway->workers[0].loop;
    if (!admission_take_connection(&gateway->admission)) {
        log_write(LOG_WARNING, "listener", "limits.connections (%llu) is reached: callers wait",
                  (unsigned long long)atomic_load(&gateway->admission.connections_max));
        pause_all(listeners);
        atomic_store(&listeners->resume_wanted, true);
        if (atomic_load(&gateway->admission.connections) <
            atomic_load(&gateway->admission.connections_max))
            listener_resume_all(gateway); /* the last departure came before it was wanted */
        return false;
    }
    int fd = accept4(h2o_socket_get_fd(listener->sock), NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd >= 0) {
        share_out(gateway, fd, listener->tls);
        return true;
    }
    int error = errno;
    admission_release_connection(&gateway->admission);
    if (error == EMFILE || error == ENFILE || error == ENOBUFS || error == ENOMEM) {
        log_write(LOG_WARNING, "listener", "accept: %s: callers wait", strerror(error));
        pause_all(listeners);
        listeners->back_off.fire = on_back_off_over;
        loop_set_timer(loop, &listeners->back_off, clock_after_ms(loop->now, BACK_OFF_MS));
    }
    return error == ECONNABORTED || error == EINTR;
}

static void on_acceptable(h2o_socket_t *sock, const char *err)
{
    (void)err;
    struct listener *listener = sock->data;
    loop_read_clock(listener->gateway->workers[0].loop);
    for (int i = 0; i != ACCEPTS_A_TURN && accept_one(listener); ++i)
        ;
}

void listener_open_all(struct gateway *gateway)
{
    struct listeners *listeners = calloc(1, sizeof(*listeners));
    CHECK(listeners != NULL);
    gateway->listeners = listeners;
    listeners->count = gateway->config->listener_count;
    listeners->list = calloc(listeners->count, sizeof(struct listener));
    listeners->resume.run = on_resume;
    CHECK(listeners->list != NULL);
    for (size_t i = 0; i != listeners->count; ++i) {
        struct listener *listener = &listeners->list[i];
        listener->gateway = gateway;
        listener->tls = gateway->workers[0].use->snapshot->listen_tls[i];
        listener->sock = h2o_evloop_socket_create(
            gateway->workers[0].loop->h2o, gateway->listen_fds[i], H2O_SOCKET_FLAG_DONT_READ);
        listener->sock->data = listener;
        h2o_socket_read_start(listener->sock, on_acceptable);
    }
}

void listener_switch_all(struct gateway *gateway, const struct snapshot *snapshot)
{
    struct listeners *listeners = listeners_of(gateway);
    for (size_t i = 0; i != listeners->count; ++i)
        listeners->list[i].tls = snapshot->listen_tls[i];
    listener_resume_all(gateway); /* there may be room for more connections now */
}

/* What the kernel has taken for us is served, also beyond limits.connections: closing would reset
 * it. */
static void accept_last(struct listener *listener)
{
    for (;;) {
        int fd =
            accept4(h2o_socket_get_fd(listener->sock), NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0 && (errno == ECONNABORTED || errno == EINTR))
            continue;
        if (fd < 0)
            return;
        admission_force_connection(&listener->gateway->admission);
        share_out(listener->gateway, fd, listener->tls);
    }
}

void listener_close_all(struct gateway *gateway)
{
    struct listeners *listeners = listeners_of(gateway);
    loop_cancel_timer(gateway->workers[0].loop, &listeners->back_off);
    for (size_t i = 0; i != listeners->count; ++i) {
        struct listener *listener = &listeners->list[i];
        accept_last(listener);
        listen_unlink(&gateway->config->listeners[i].address);
        h2o_socket_close(listener->sock);
        listener->sock = NULL;
    }
}
