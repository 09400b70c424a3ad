/* Accepting, pausing and backing off. */
#include "net/acceptor.h"

#include <errno.h>
#include <sys/socket.h>

static void on_readable(struct loop_watch *watch)
{
    struct acceptor *acceptor = H2O_STRUCT_FROM_MEMBER(struct acceptor, watch, watch);
    loop_read_clock(acceptor->loop);
    for (int i = 0; i != ACCEPTOR_A_TURN && acceptor->on_waiting(acceptor); ++i)
        continue;
}

static void on_back_off_over(struct timer *timer)
{
    acceptor_resume(H2O_STRUCT_FROM_MEMBER(struct acceptor, back_off, timer));
}

void acceptor_open(struct acceptor *acceptor, struct loop *loop, int fd)
{
    acceptor->loop = loop;
    acceptor->watch.on_readable = on_readable;
    acceptor->back_off.fire = on_back_off_over;
    loop_watch(loop, &acceptor->watch, fd);
}

int acceptor_take(struct acceptor *acceptor, int *error)
{
    int fd;
    do
        fd = accept4(loop_watch_fd(&acceptor->watch), NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    while (fd < 0 && (errno == ECONNABORTED || errno == EINTR));
    if (fd >= 0)
        return fd;
    *error = errno;
    if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
        acceptor_pause(acceptor);
        loop_set_timer(acceptor->loop, &acceptor->back_off,
                       clock_after_ms(acceptor->loop->now, ACCEPTOR_BACK_OFF_MS));
    }
    return -1;
}

void acceptor_pause(struct acceptor *acceptor)
{
    if (!acceptor_is_open(acceptor))
        return;
    loop_cancel_timer(acceptor->loop, &acceptor->back_off);
    loop_watch_pause(&acceptor->watch);
}

void acceptor_resume(struct acceptor *acceptor)
{
    if (!acceptor_is_open(acceptor))
        return;
    loop_cancel_timer(acceptor->loop, &acceptor->back_off);
    loop_watch_resume(&acceptor->watch);
}

void acceptor_close(struct acceptor *acceptor)
{
    if (!acceptor_is_open(acceptor))
        return;
    loop_cancel_timer(acceptor->loop, &acceptor->back_off);
    loop_watch_close(&acceptor->watch);
}
