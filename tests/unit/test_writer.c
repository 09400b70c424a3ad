// links: net gateway
/* The writer: heads and framing by HTTP version, a discarded response, and a kernel that accepts
 * little. */
#include "gateway/writer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

static struct writer writer;

static int set_up(void **state)
{
    (void)state;
    writer_init(&writer);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    writer_dispose(&writer);
    return 0;
}

static void expect(const char *text)
{
    struct span held = span_make(writer.out.at + writer.sent, writer_held(&writer));
    assert_int_equal(held.len, strlen(text));
    assert_memory_equal(held.at, text, held.len);
}

static void known_length(void **state)
{
    (void)state;
    writer_append_status(&writer, 200);
    writer_append_header(&writer, SPAN("X-A"), SPAN("b"));
    writer_end_head(&writer, HTTP1_LENGTH, 5, 1, true, false);
    writer_append_body(&writer, SPAN("hello"));
    writer_end(&writer);
    expect("HTTP/1.1 200 OK\r\nX-A: b\r\nContent-Length: 5\r\n\r\nhello");
    assert_true(writer.body_bytes == 5);
}

static void chunks(void **state)
{
    (void)state;
    writer_append_status(&writer, 200);
    writer_end_head(&writer, HTTP1_CHUNKED, 0, 1, false, false);
    writer_append_body(&writer, SPAN("hello"));
    writer_append_body(&writer, SPAN("")); /* would be the end of the body */
    writer_append_body(&writer, SPAN("0123456789abcdefg"));
    writer_end(&writer);
    expect("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
           "5\r\nhello\r\n11\r\n0123456789abcdefg\r\n0\r\n\r\n");
    assert_int_equal(writer.body_bytes, 22);
}

static void head_and_http_1_0(void **state)
{
    (void)state;
    writer_append_status(&writer, 404);
    writer_end_head(&writer, HTTP1_LENGTH, 5, 1, true, true);
    writer_append_body(&writer, SPAN("hello"));
    writer_end(&writer);
    expect("HTTP/1.1 404 Not Found\r\nContent-Length: 5\r\n\r\n");
    writer_reset(&writer);
    writer_append_status(&writer, 204);
    writer_end_head(&writer, HTTP1_NO_BODY, 0, 0, true, false);
    writer_append_body(&writer, SPAN("hello"));
    writer_end(&writer);
    expect("HTTP/1.1 204 No Content\r\nConnection: keep-alive\r\n\r\n");
}

static void discarded(void **state)
{
    (void)state;
    writer_append_continue(&writer); /* stays: it may have been sent already */
    writer_discard(&writer);         /* nothing has begun */
    writer_append_status(&writer, 200);
    writer_end_head(&writer, HTTP1_CHUNKED, 0, 1, true, false);
    writer_append_body(&writer, SPAN("never seen"));
    writer_discard(&writer);
    assert_int_equal(writer.body_bytes, 0);
    writer_append_status(&writer, 502);
    writer_end_head(&writer, HTTP1_LENGTH, 2, 1, true, false);
    writer_append_body(&writer, SPAN("no"));
    writer_end(&writer);
    expect("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 502 Bad Gateway\r\nContent-Length: 2\r\n\r\nno");
}

static void memory_is_released(void **state)
{
    (void)state;
    static char large[WRITER_HIGH_WATERMARK];
    writer_append_status(&writer, 200);
    writer_end_head(&writer, HTTP1_CHUNKED, 0, 1, true, false);
    writer_append_body(&writer, span_make(large, sizeof(large)));
    writer_reset(&writer);
    assert_true(writer.out.capacity <= WRITER_KEPT_MAX && writer_held(&writer) == 0);
    assert_false(writer.begun || writer.head_sent);
}

static void ignore(struct connection *conn)
{
    (void)conn;
}

/* The kernel accepts what fits; the reader gets every byte once, in order, and sent bytes free
 * space. */
static void slow_reader(void **state)
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
    writer_append_continue(&writer);
    writer_append_status(&writer, 200);
    writer_end_head(&writer, HTTP1_LENGTH, 0, 1, true, false);
    assert_false(writer.head_sent);
    assert_true(writer_flush(&writer, &conn));
    assert_true(writer.head_sent && writer_held(&writer) == 0);
    while (read(pair[1], got, sizeof(got)) > 0)
        ;
    for (int round = 0; round != 200; ++round) {
        for (size_t i = 0; i != sizeof(piece); ++i)
            piece[i] = (char)((given + i) * 7);
        writer_append_body(&writer, span_make(piece, sizeof(piece)));
        given += sizeof(piece);
        assert_true(writer_flush(&writer, &conn));
        ssize_t n = read(pair[1], got, round < 20 ? 1000 : sizeof(got));
        for (ssize_t i = 0; i < n; ++i)
            assert_int_equal(got[i], (char)((taken + (uint64_t)i) * 7));
        taken += n > 0 ? (uint64_t)n : 0;
        assert_true(writer.sent <= writer.out.len / 2);
    }
    assert_true(writer_held(&writer) < 2 * 1024 * 1024);
    close(pair[1]);
    writer_append_body(&writer, SPAN("to nobody"));
    assert_false(writer_flush(&writer, &conn));
    connection_close(&conn);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(known_length, set_up, tear_down),
        cmocka_unit_test_setup_teardown(chunks, set_up, tear_down),
        cmocka_unit_test_setup_teardown(head_and_http_1_0, set_up, tear_down),
        cmocka_unit_test_setup_teardown(discarded, set_up, tear_down),
        cmocka_unit_test_setup_teardown(memory_is_released, set_up, tear_down),
        cmocka_unit_test_setup_teardown(slow_reader, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
