// links: net
/* The loop's watches and an acceptor that uses them, on real descriptors. */
#include "net/acceptor.h"

#include <errno.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

struct counter {
    struct loop_watch watch;
    uint64_t sum;
};

static void on_readable(struct loop_watch *watch)
{
    struct counter *counter = H2O_STRUCT_FROM_MEMBER(struct counter, watch, watch);
    uint64_t count;
    assert_int_equal(read(loop_watch_fd(watch), &count, sizeof(count)), sizeof(count));
    counter->sum += count;
}

static void watched_descriptor_is_read(void **state)
{
    (void)state;
    struct loop *loop = loop_create();
    struct counter counter = {.watch.on_readable = on_readable};
    int fd = eventfd(0, EFD_CLOEXEC);
    loop_watch(loop, &counter.watch, fd);
    for (int i = 0; i != 3; ++i) {
        assert_int_equal(eventfd_write(fd, 2), 0);
        loop_turn(loop, 1000);
    }
    assert_int_equal(counter.sum, 6);
    loop_watch_close(&counter.watch);
    loop_watch_close(&counter.watch);
    assert_int_equal(eventfd_write(fd, 1), -1);
    assert_int_equal(errno, EBADF);
}

static void paused_watch_is_not_called(void **state)
{
    (void)state;
    struct loop *loop = loop_create();
    struct counter counter = {.watch.on_readable = on_readable};
    int fd = eventfd(0, EFD_CLOEXEC);
    loop_watch(loop, &counter.watch, fd);
    loop_watch_pause(&counter.watch);
    assert_true(loop_watch_is_paused(&counter.watch));
    assert_int_equal(eventfd_write(fd, 1), 0);
    loop_turn(loop, 5);
    assert_int_equal(counter.sum, 0);
    loop_watch_resume(&counter.watch);
    assert_false(loop_watch_is_paused(&counter.watch));
    loop_turn(loop, 1000);
    assert_int_equal(counter.sum, 1);
    loop_watch_close(&counter.watch);
}

struct door {
    struct acceptor acceptor;
    unsigned taken, room;
};

static bool on_waiting(struct acceptor *acceptor)
{
    struct door *door = H2O_STRUCT_FROM_MEMBER(struct door, acceptor, acceptor);
    int error;
    if (door->taken == door->room) {
        acceptor_pause(acceptor);
        return false;
    }
    int fd = acceptor_take(acceptor, &error);
    if (fd < 0) {
        assert_int_equal(error, EAGAIN);
        return false;
    }
    close(fd);
    ++door->taken;
    return true;
}

/* At most ACCEPTOR_A_TURN per iteration, none while paused, none after the end. */
static void acceptor_accepts_in_batches(void **state)
{
    enum { CALLERS = ACCEPTOR_A_TURN + 3 };
    (void)state;
    struct loop *loop = loop_create();
    struct door door = {.acceptor.on_waiting = on_waiting, .room = CALLERS - 1};
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof(address);
    int callers[CALLERS], fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, size), 0);
    assert_int_equal(listen(fd, CALLERS), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &size), 0);
    acceptor_open(&door.acceptor, loop, fd);
    for (int i = 0; i != CALLERS; ++i) {
        callers[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        assert_int_equal(connect(callers[i], (struct sockaddr *)&address, size), 0);
    }
    loop_turn(loop, 1000);
    assert_int_equal(door.taken, ACCEPTOR_A_TURN);
    loop_turn(loop, 1000);
    loop_turn(loop, 5);
    assert_int_equal(door.taken, CALLERS - 1);
    door.room = CALLERS;
    acceptor_resume(&door.acceptor);
    loop_turn(loop, 1000);
    assert_int_equal(door.taken, CALLERS);
    acceptor_close(&door.acceptor);
    assert_false(acceptor_is_open(&door.acceptor));
    acceptor_resume(&door.acceptor);
    acceptor_close(&door.acceptor);
    for (int i = 0; i != CALLERS; ++i)
        close(callers[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(watched_descriptor_is_read),
        cmocka_unit_test(paused_watch_is_not_called),
        cmocka_unit_test(acceptor_accepts_in_batches),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
