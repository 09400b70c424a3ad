/* Accepts connections and distributes them over the workers; switches and drains all workers. */
#include "gateway/listener.h"

#include "net/acceptor.h"
#include "net/listen.h"
#include "observe/log.h"

#include <errno.h>
#include <stdlib.h>

enum { BACKLOG = 1024 };

struct listener {
    struct worker_group *group;
    const struct config_address *address;
    int fd; /* until accepting starts; -1: closed, or the acceptor owns it */
    struct acceptor acceptor;
    struct tls_context *tls; /* NULL: plaintext */
};

/* After the start only worker 0's thread uses it, except for resume_wanted. Never freed, because a
 * loop's queue may still hold `resume`. */
struct listeners {
    size_t count;
    atomic_bool resume_wanted; /* paused at the limit: the next close posts resume */
    struct loop_task resume;   /* only this ends the pause, so that it is never posted twice */
    struct listener list[];
};

/* ---- opening and closing ---- */

static bool open_one(struct listener *listener, struct arena *arena, struct span *fault)
{
    listener->fd = listen_open(listener->address, BACKLOG, arena, fault);
    if (listener->fd < 0)
        return false;
    struct span name = listen_name(listener->fd, arena);
    log_write(LOG_INFO, "listener", "listening on %.*s", SPAN_ARG(name));
    if (!listener->address->loopback)
        log_write(LOG_WARNING, "listener",
                  "%.*s is reachable from other machines without authentication: anyone who can "
                  "connect uses the gateway's AWS identity",
                  SPAN_ARG(name));
    return true;
}

static void resume_all(struct listeners *listeners)
{
    for (size_t i = 0; i != listeners->count; ++i)
        acceptor_resume(&listeners->list[i].acceptor);
}

static void on_resume(struct loop_task *task)
{
    resume_all(H2O_STRUCT_FROM_MEMBER(struct listeners, resume, task));
}

bool listener_open_all(struct worker_group *group, const struct config *config, struct arena *arena,
                       struct span *fault)
{
    size_t count = config->listener_count;
    struct listeners *listeners = calloc(1, sizeof(*listeners) + count * sizeof(struct listener));
    CHECK(listeners != NULL);
    group->listeners = listeners;
    listeners->resume.run = on_resume;
    bool opened = true;
    for (; opened && listeners->count != count; ++listeners->count) {
        struct listener *listener = &listeners->list[listeners->count];
        listener->group = group;
        listener->address = &config->listeners[listeners->count].address;
        opened = open_one(listener, arena, fault);
    }
    return opened;
}

void listener_close_all(struct worker_group *group)
{
    struct listeners *listeners = group->listeners;
    for (size_t i = 0; listeners != NULL && i != listeners->count; ++i)
        listen_close(listeners->list[i].fd, listeners->list[i].address);
}

/* ---- distribution ---- */

struct handover {
    struct loop_task task;
    struct worker *worker;
    int fd;
    struct tls_context *tls;
};

static struct worker *least_loaded(struct worker_group *group)
{
    struct worker *best = &group->workers[0];
    for (unsigned i = 1; i < group->count; ++i) {
        struct worker *worker = &group->workers[i];
        if (atomic_load_explicit(&worker->downstream_count, memory_order_relaxed) <
            atomic_load_explicit(&best->downstream_count, memory_order_relaxed))
            best = worker;
    }
    return best;
}

/* Runs before the worker drains: on_drain_first preserves that order. */
static void on_handover(struct loop_task *task)
{
    struct handover *handover = (struct handover *)task;
    downstream_open(&handover->worker->downstreams, handover->fd, handover->tls);
    free(handover);
}

static void share_out(struct listener *listener, int fd)
{
    struct worker *worker = least_loaded(listener->group);
    atomic_fetch_add_explicit(&worker->downstream_count, 1, memory_order_relaxed);
    if (worker->index == 0) {
        downstream_open(&worker->downstreams, fd, listener->tls);
        return;
    }
    struct handover *handover = malloc(sizeof(*handover));
    CHECK(handover != NULL);
    *handover = (struct handover){{.run = on_handover}, worker, fd, listener->tls};
    loop_post(worker->loop, &handover->task);
}

/* ---- accepting ---- */

static void pause_at_limit(struct worker_group *group)
{
    struct listeners *listeners = group->listeners;
    log_write(LOG_WARNING, "listener", "limits.connections (%llu) is reached: new connections wait",
              (unsigned long long)atomic_load(&group->admission.connections_max));
    for (size_t i = 0; i != listeners->count; ++i)
        acceptor_pause(&listeners->list[i].acceptor);
    atomic_store(&listeners->resume_wanted, true);
    if (atomic_load(&group->admission.connections) < atomic_load(&group->admission.connections_max))
        listener_on_downstream_gone(&group->workers[0]); /* the last one closed before that */
}

static bool on_waiting(struct acceptor *acceptor)
{
    struct listener *listener = H2O_STRUCT_FROM_MEMBER(struct listener, acceptor, acceptor);
    struct admission *admission = &listener->group->admission;
    int error;
    if (!admission_take_connection(admission)) {
        pause_at_limit(listener->group);
        return false;
    }
    int fd = acceptor_take(acceptor, &error);
    if (fd >= 0) {
        share_out(listener, fd);
        return true;
    }
    admission_release_connection(admission);
    if (error != EAGAIN)
        log_write(LOG_WARNING, "listener", "cannot accept: %s: new connections wait",
                  strerror(error));
    return false;
}

void listener_on_downstream_gone(struct worker *worker)
{
    struct worker_group *group = worker->group;
    struct listeners *listeners = group->listeners;
    if (atomic_load(&listeners->resume_wanted) && atomic_exchange(&listeners->resume_wanted, false))
        loop_post(group->workers[0].loop, &listeners->resume);
}

static void begin_accepting(struct worker *first, void *unused)
{
    (void)unused;
    struct worker_group *group = first->group;
    struct listeners *listeners = group->listeners;
    for (size_t i = 0; i != listeners->count; ++i) {
        struct listener *listener = &listeners->list[i];
        listener->tls = first->use->snapshot->listen_tls[i];
        listener->acceptor.on_waiting = on_waiting;
        acceptor_open(&listener->acceptor, first->loop, listener->fd);
        listener->fd = -1;
    }
    sem_post(&group->done);
}

void listener_accept_all(struct worker_group *group)
{
    worker_post(&group->workers[0], begin_accepting, NULL);
    worker_await(group, 1);
}

/* ---- another snapshot ---- */

static void on_switch(struct worker *worker, void *snapshot)
{
    worker_switch(worker, snapshot);
    sem_post(&worker->group->done);
}

/* Worker 0 switches first: connections that it handed over with the old snapshot's certificates are
 * then in the other workers' queues before the switch. */
static void on_switch_first(struct worker *first, void *argument)
{
    struct snapshot *snapshot = argument;
    struct worker_group *group = first->group;
    for (size_t i = 0; i != group->listeners->count; ++i)
        group->listeners->list[i].tls = snapshot->listen_tls[i];
    listener_on_downstream_gone(first); /* limits.connections may have been raised */
    for (unsigned i = 1; i < group->count; ++i)
        worker_post(&group->workers[i], on_switch, snapshot);
    on_switch(first, snapshot);
}

void listener_switch_all(struct worker_group *group, struct snapshot *snapshot)
{
    worker_post(&group->workers[0], on_switch_first, snapshot);
    worker_await(group, group->count);
}

/* ---- drain ---- */

/* Serves connections that the kernel has accepted, even above limits.connections: closing the
 * socket would reset them. */
static void accept_last(struct listener *listener)
{
    int error;
    for (int fd; (fd = acceptor_take(&listener->acceptor, &error)) >= 0;) {
        admission_force_connection(&listener->group->admission);
        share_out(listener, fd);
    }
}

static void on_drain(struct worker *worker, void *unused)
{
    (void)unused;
    worker_drain(worker);
}

/* Worker 0 hands over the last connections before the others drain: the order of their queues
 * prevents a connection from reaching a worker that has ended. */
static void on_drain_first(struct worker *first, void *unused)
{
    struct worker_group *group = first->group;
    for (size_t i = 0; i != group->listeners->count; ++i) {
        struct listener *listener = &group->listeners->list[i];
        accept_last(listener);
        listen_unlink(listener->address);
        acceptor_close(&listener->acceptor);
    }
    for (unsigned i = 1; i < group->count; ++i)
        worker_post(&group->workers[i], on_drain, NULL);
    on_drain(first, unused);
}

void listener_drain_all(struct worker_group *group)
{
    atomic_store(&group->draining, true);
    worker_post(&group->workers[0], on_drain_first, NULL);
}
