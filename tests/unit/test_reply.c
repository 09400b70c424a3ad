// links: net gateway
/* Answers to callers: heads and framing by the caller's version, taking one back, and a kernel that takes little. */
#include "gateway/reply.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

static struct reply reply;

static int set_up(void **state)
{
    (void)state;
    reply_init(&reply);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    reply_dispose(&reply);
    return 0;
}

static void expect(const char *text)
{
    struct span held = span_make(reply.out.at + reply.sent, reply_held(&reply));
    assert_int_equal(held.len, strlen(text));
    assert_memory_equal(held.at, text, held.len);
}

static void a_known_length(void **state)
{
    (void)state;
    reply_append_status(&reply, 200);
    reply_append_header(&reply, SPAN("X-A"), SPAN("b"));
    reply_end_head(&reply, HTTP1_LENGTH, 5, 1, true, false);
    reply_append_body(&reply, SPAN("hello"));
    reply_end(&reply);
    expect("HTTP/1.1 200 OK\r\nX-A: b\r\nContent-Length: 5\r\n\r\nhello");
    assert_true(reply.ended && reply.body_bytes == 5);
}

static void chunks(void **state)
{
    (void)state;
    reply_append_status(&reply, 200);
    reply_end_head(&reply, HTTP1_CHUNKED, 0, 1, false, false);
    reply_append_body(&reply, SPAN("hello"));
    reply_append_body(&reply, SPAN("")); /* would be the end */
    reply_append_body(&reply, SPAN("0123456789abcdefg"));
    reply_end(&reply);
    expect("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
           "5\r\nhello\r\n11\r\n0123456789abcdefg\r\n0\r\n\r\n");
    assert_int_equal(reply.body_bytes, 22);
}

static void to_head_and_to_1_0(void **state)
{
    (void)state;
    reply_append_status(&reply, 404);
    reply_end_head(&reply, HTTP1_LENGTH, 5, 1, true, true);
    reply_append_body(&reply, SPAN("hello"));
    reply_end(&reply);
    expect("HTTP/1.1 404 Not Found\r\nContent-Length: 5\r\n\r\n");
    reply_reset(&reply);
    reply_append_status(&reply, 204);
    reply_end_head(&reply, HTTP1_NO_BODY, 0, 0, true, false);
    reply_append_body(&reply, SPAN("hello"));
    reply_end(&reply);
    expect("HTTP/1.1 204 No Content\r\nConnection: keep-alive\r\n\r\n");
}

static void taken_back(void **state)
{
    (void)state;
    reply_append_continue(&reply); /* stays: it may have been seen */
    reply_discard(&reply);         /* nothing has begun */
    reply_append_status(&reply, 200);
    reply_end_head(&reply, HTTP1_CHUNKED, 0, 1, true, false);
    reply_append_body(&reply, SPAN("never seen"));
    reply_discard(&reply);
    assert_int_equal(reply.body_bytes, 0);
    reply_append_status(&reply, 502);
    reply_end_head(&reply, HTTP1_LENGTH, 2, 1, true, false);
    reply_append_body(&reply, SPAN("no"));
    reply_end(&reply);
    expect("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 502 Bad Gateway\r\nContent-Length: 2\r\n\r\nno");
}

static void memory_is_given_back(void **state)
{
    (void)state;
    static char large[REPLY_HIGH_WATERMARK];
    reply_append_status(&reply, 200);
    reply_end_head(&reply, HTTP1_CHUNKED, 0, 1, true, false);
    reply_append_body(&reply, span_make(large, sizeof(large)));
    reply_reset(&reply);
    assert_true(reply.out.capacity <= REPLY_KEPT_MAX && reply_held(&reply) == 0);
    assert_false(reply.begun || reply.head_sent || reply.ended);
}

static void ignore(struct connection *conn)
{
    (void)conn;
}

/* The kernel takes what fits; the reader gets every byte once, in order, and what was sent makes room. */
static void a_slow_reader(void **state)
{
    (void)state;
    static const struct connection_callbacks callbacks = {.on_readable = ignore,
                                                          .on_writable = ignore};
    static char piece[32 * 1024], got[64 * 1024];
    struct loop *loop = loop_create();
    struct connection conn;
    int pair[2];
    uint64_t given = 0, taken = 0;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair), 0);
    connection_open(&conn, loop, pair[0], &callbacks, NULL);
    reply_append_continue(&reply);
    reply_append_status(&reply, 200);
    reply_end_head(&reply, HTTP1_LENGTH, 0, 1, true, false);
    assert_false(reply.head_sent);
    assert_true(reply_flush(&reply, &conn));
    assert_true(reply.head_sent && reply_held(&reply) == 0);
    while (read(pair[1], got, sizeof(got)) > 0)
        ;
    for (int round = 0; round != 200; ++round) {
        for (size_t i = 0; i != sizeof(piece); ++i)
            piece[i] = (char)((given + i) * 7);
        reply_append_body(&reply, span_make(piece, sizeof(piece)));
        given += sizeof(piece);
        assert_true(reply_flush(&reply, &conn));
        ssize_t n = read(pair[1], got, round < 20 ? 1000 : sizeof(got));
        for (ssize_t i = 0; i < n; ++i)
            assert_int_equal(got[i], (char)((taken + (uint64_t)i) * 7));
        taken += n > 0 ? (uint64_t)n : 0;
        assert_true(reply.sent <= reply.out.len / 2);
    }
    assert_true(reply_held(&reply) < 2 * 1024 * 1024);
    close(pair[1]);
    reply_append_body(&reply, SPAN("to nobody"));
    assert_false(reply_flush(&reply, &conn));
    connection_close(&conn);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_known_length, set_up, tear_down),
        cmocka_unit_test_setup_teardown(chunks, set_up, tear_down),
        cmocka_unit_test_setup_teardown(to_head_and_to_1_0, set_up, tear_down),
        cmocka_unit_test_setup_teardown(taken_back, set_up, tear_down),
        cmocka_unit_test_setup_teardown(memory_is_given_back, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_slow_reader, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
