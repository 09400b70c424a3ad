// links: net
/* CONNECT: the request byte by byte, and which responses open the tunnel, whole and in pieces. */
#include "net/tunnel.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static void expect_request(struct span authorization, const char *expected)
{
    struct buffer out;
    buffer_init(&out, 4096);
    tunnel_append_request(SPAN("runtime.test:443"), authorization, &out);
    assert_true(span_equals(buffer_span(&out), span_from(expected)));
    buffer_dispose(&out);
}

static void requests(void **state)
{
    (void)state;
    expect_request(SPAN_NONE,
                   "CONNECT runtime.test:443 HTTP/1.1\r\nHost: runtime.test:443\r\n\r\n");
    expect_request(SPAN("Basic dTpw"),
                   "CONNECT runtime.test:443 HTTP/1.1\r\nHost: runtime.test:443\r\n"
                   "Proxy-Authorization: Basic dTpw\r\n\r\n");
}

static const struct {
    const char *response;
    enum tunnel_result result;
    const char *why; /* part of it */
} responses[] = {
    {"HTTP/1.1 200 OK\r\n\r\n", TUNNEL_OPEN, ""},
    {"HTTP/1.0 200 Connection established\r\nVia: x\r\n\r\n", TUNNEL_OPEN, ""},
    {"HTTP/1.1 204 No Content\r\n\r\n", TUNNEL_OPEN, ""},
    {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", TUNNEL_OPEN, ""},
    {"", TUNNEL_MORE, ""},
    {"HTTP/1.1 200 OK\r\n", TUNNEL_MORE, ""},
    {"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n", TUNNEL_REFUSED,
     "407 Proxy Authentication Required"},
    {"HTTP/1.1 502 Bad Gateway\r\n\r\n", TUNNEL_REFUSED, "502"},
    {"HTTP/1.1 302 Found\r\nLocation: /\r\n\r\n", TUNNEL_REFUSED, "302"},
    {"HTTP/1.1 100 Continue\r\n\r\n", TUNNEL_REFUSED, ""},
    {"HTTP/1.1 101 Switching Protocols\r\n\r\n", TUNNEL_REFUSED, ""},
    {"HTTP/1.1 503 \r\n\r\n", TUNNEL_REFUSED, "503"},
    {"SSH-2.0-OpenSSH_9.2p1\r\n\r\n", TUNNEL_REFUSED, "not well-formed"},
    {"HTTP/1.1 200 OK\r\nX: a\r\n b\r\n\r\n", TUNNEL_REFUSED, "not well-formed"},
};

static void check_why(const struct tunnel *tunnel, const char *part)
{
    size_t len = strnlen(tunnel->why, TUNNEL_WHY_SIZE);
    assert_true(len < TUNNEL_WHY_SIZE);
    assert_non_null(strstr(tunnel->why, part));
}

static void complete_responses(void **state)
{
    (void)state;
    for (size_t i = 0; i != sizeof(responses) / sizeof(responses[0]); ++i) {
        struct tunnel tunnel;
        tunnel_init(&tunnel);
        enum tunnel_result result = tunnel_take(&tunnel, span_from(responses[i].response));
        assert_int_equal(result, responses[i].result);
        if (result == TUNNEL_REFUSED)
            check_why(&tunnel, responses[i].why);
        tunnel_dispose(&tunnel);
    }
}

static void responses_in_single_bytes(void **state)
{
    (void)state;
    for (size_t i = 0; i != sizeof(responses) / sizeof(responses[0]); ++i) {
        struct tunnel tunnel;
        enum tunnel_result result = TUNNEL_MORE;
        struct span all = span_from(responses[i].response);
        tunnel_init(&tunnel);
        for (size_t at = 0; at != all.len && result == TUNNEL_MORE; ++at)
            result = tunnel_take(&tunnel, span_make(all.at + at, 1));
        assert_int_equal(result, responses[i].result);
        tunnel_dispose(&tunnel);
    }
}

static void bytes_after_the_response(void **state)
{
    (void)state;
    struct tunnel tunnel;
    tunnel_init(&tunnel);
    assert_int_equal(tunnel_take(&tunnel, SPAN("HTTP/1.1 200 OK\r\n\r\nx")), TUNNEL_REFUSED);
    check_why(&tunnel, "more than its response");
    tunnel_dispose(&tunnel);
}

static void endless_response(void **state)
{
    (void)state;
    struct tunnel tunnel;
    enum tunnel_result result = TUNNEL_MORE;
    size_t given = 0;
    tunnel_init(&tunnel);
    (void)tunnel_take(&tunnel, SPAN("HTTP/1.1 200 OK\r\n"));
    for (; result == TUNNEL_MORE && given < 2 * (size_t)TUNNEL_HEAD_MAX; given += 10)
        result = tunnel_take(&tunnel, SPAN("X-Y: abc\r\n"));
    assert_int_equal(result, TUNNEL_REFUSED);
    assert_true(given <= TUNNEL_HEAD_MAX + 10);
    tunnel_dispose(&tunnel);
}

static void long_reason_is_truncated(void **state)
{
    (void)state;
    struct tunnel tunnel;
    struct buffer text;
    buffer_init(&text, 4096);
    buffer_append(&text, SPAN("HTTP/1.1 403 "));
    for (int i = 0; i != 500; ++i)
        buffer_append_char(&text, 'r');
    buffer_append(&text, SPAN("\r\n\r\n"));
    tunnel_init(&tunnel);
    assert_int_equal(tunnel_take(&tunnel, buffer_span(&text)), TUNNEL_REFUSED);
    check_why(&tunnel, "403 rrrr");
    tunnel_dispose(&tunnel);
    buffer_dispose(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(requests),
        cmocka_unit_test(complete_responses),
        cmocka_unit_test(responses_in_single_bytes),
        cmocka_unit_test(bytes_after_the_response),
        cmocka_unit_test(endless_response),
        cmocka_unit_test(long_reason_is_truncated),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
