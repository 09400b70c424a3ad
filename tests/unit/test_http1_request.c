/* Request heads: tables of valid heads, field by field, and of invalid ones with the reason. */
#include "http1_feed.h"

struct good {
    const char *head;
    const char *method, *path, *query, *host; /* NULL: SPAN_NONE */
    int minor_version;
    bool keep_alive;
    enum http1_framing framing;
    uint64_t content_length;
    size_t headers;
};

static const struct good good_heads[] = {
    {"GET / HTTP/1.1\r\nHost: a\r\n\r\n", "GET", "/", NULL, "a", 1, true, HTTP1_NO_BODY, 0, 1},
    {"\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", "GET", "/", NULL, "a", 1, true, HTTP1_NO_BODY, 0, 1},
    {"\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", "GET", "/", NULL, "a", 1, true, HTTP1_NO_BODY, 0,
     1},
    {"post /x HTTP/1.1\r\nHOST: a\r\n\r\n", "post", "/x", NULL, "a", 1, true, HTTP1_NO_BODY, 0, 1},
    {"M!#$%&'*+-.^_`|~9 / HTTP/1.1\r\nhost:a\r\n\r\n", "M!#$%&'*+-.^_`|~9", "/", NULL, "a", 1, true,
     HTTP1_NO_BODY, 0, 1},
    /* targets */
    {"GET /? HTTP/1.1\r\nHost: a\r\n\r\n", "GET", "/", "", "a", 1, true, HTTP1_NO_BODY, 0, 1},
    {"GET /a/%2F%41/..;v=1?b=c?d/&e HTTP/1.1\r\nHost: a\r\n\r\n", "GET", "/a/%2F%41/..;v=1",
     "b=c?d/&e", "a", 1, true, HTTP1_NO_BODY, 0, 1},
    {"GET //b//c/ HTTP/1.1\r\nHost: a\r\n\r\n", "GET", "//b//c/", NULL, "a", 1, true, HTTP1_NO_BODY,
     0, 1},
    {"GET /-._~!$&'()*+,;=:@ HTTP/1.1\r\nHost: a\r\n\r\n", "GET", "/-._~!$&'()*+,;=:@", NULL, "a",
     1, true, HTTP1_NO_BODY, 0, 1},
    {"GET /http://b/ HTTP/1.1\r\nHost: a\r\n\r\n", "GET", "/http://b/", NULL, "a", 1, true,
     HTTP1_NO_BODY, 0, 1},
    {"GET http://a/b?c HTTP/1.1\r\nHost: a\r\n\r\n", "GET", "/b", "c", "a", 1, true, HTTP1_NO_BODY,
     0, 1},
    {"GET HTTP://A.example:80/b HTTP/1.1\r\nHost: a.Example:80\r\n\r\n", "GET", "/b", NULL,
     "a.Example:80", 1, true, HTTP1_NO_BODY, 0, 1},
    {"GET http://a HTTP/1.1\r\nHost: a\r\n\r\n", "GET", "/", NULL, "a", 1, true, HTTP1_NO_BODY, 0,
     1},
    {"GET http://a?b/c HTTP/1.1\r\nHost: a\r\n\r\n", "GET", "/", "b/c", "a", 1, true, HTTP1_NO_BODY,
     0, 1},
    {"GET http://[::1]:8080/ HTTP/1.1\r\nHost: [::1]:8080\r\n\r\n", "GET", "/", NULL, "[::1]:8080",
     1, true, HTTP1_NO_BODY, 0, 1},
    {"GET http://a/ HTTP/1.0\r\n\r\n", "GET", "/", NULL, "a", 0, false, HTTP1_NO_BODY, 0, 0},
    /* hosts */
    {"GET / HTTP/1.1\r\nHost: \t a.b-c_d~1.  \t\r\n\r\n", "GET", "/", NULL, "a.b-c_d~1.", 1, true,
     HTTP1_NO_BODY, 0, 1},
    {"GET / HTTP/1.1\r\nHost: 127.0.0.1:65535\r\n\r\n", "GET", "/", NULL, "127.0.0.1:65535", 1,
     true, HTTP1_NO_BODY, 0, 1},
    {"GET / HTTP/1.1\r\nHost: [fe80::1.2.3.4]\r\n\r\n", "GET", "/", NULL, "[fe80::1.2.3.4]", 1,
     true, HTTP1_NO_BODY, 0, 1},
    {"GET / HTTP/1.0\r\n\r\n", "GET", "/", NULL, NULL, 0, false, HTTP1_NO_BODY, 0, 0},
    {"GET / HTTP/1.0\r\nHost: a\r\n\r\n", "GET", "/", NULL, "a", 0, false, HTTP1_NO_BODY, 0, 1},
    /* framing */
    {"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n", "POST", "/", NULL, "a", 1, true,
     HTTP1_LENGTH, 0, 2},
    {"POST / HTTP/1.1\r\nHost: a\r\ncontent-LENGTH:\t007 \r\n\r\n", "POST", "/", NULL, "a", 1, true,
     HTTP1_LENGTH, 7, 2},
    {"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 999999999999999999\r\n\r\n", "POST", "/", NULL,
     "a", 1, true, HTTP1_LENGTH, 999999999999999999, 2},
    {"POST / HTTP/1.0\r\nContent-Length: 3\r\n\r\n", "POST", "/", NULL, NULL, 0, false,
     HTTP1_LENGTH, 3, 1},
    {"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\n", "GET", "/", NULL, "a", 1, true,
     HTTP1_LENGTH, 3, 2},
    {"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n", "POST", "/", NULL, "a", 1,
     true, HTTP1_CHUNKED, 0, 2},
    {"POST / HTTP/1.1\r\nHost: a\r\ntransfer-encoding:  ChunkeD \r\n\r\n", "POST", "/", NULL, "a",
     1, true, HTTP1_CHUNKED, 0, 2},
    {"POST / HTTP/1.1\r\nHost: a\r\nContent-Lengthy: x\r\nContent_Length: x\r\n\r\n", "POST", "/",
     NULL, "a", 1, true, HTTP1_NO_BODY, 0, 3},
    /* values */
    {"GET / HTTP/1.1\r\nHost: a\r\nX:\r\nY: \xc3\xa9\x80\xff\tz:\"\\\r\n\r\n", "GET", "/", NULL,
     "a", 1, true, HTTP1_NO_BODY, 0, 3},
    /* keep-alive */
    {"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", "GET", "/", NULL, "a", 1, false,
     HTTP1_NO_BODY, 0, 2},
    {"GET / HTTP/1.1\r\nHost: a\r\nConnection: x, , CLOSE ,keep-alive\r\n\r\n", "GET", "/", NULL,
     "a", 1, false, HTTP1_NO_BODY, 0, 2},
    {"GET / HTTP/1.1\r\nHost: a\r\nConnection: keep-alive\r\nConnection: close\r\n\r\n", "GET", "/",
     NULL, "a", 1, false, HTTP1_NO_BODY, 0, 3},
    {"GET / HTTP/1.1\r\nHost: a\r\nConnection: closed, clos\r\n\r\n", "GET", "/", NULL, "a", 1,
     true, HTTP1_NO_BODY, 0, 2},
    {"GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n", "GET", "/", NULL, NULL, 0, true,
     HTTP1_NO_BODY, 0, 1},
    {"GET / HTTP/1.0\r\nConnection: keep-alive, close\r\n\r\n", "GET", "/", NULL, NULL, 0, false,
     HTTP1_NO_BODY, 0, 1},
};

static void test_valid_heads(void **state)
{
    (void)state;
    for (size_t i = 0; i != COUNT(good_heads); ++i) {
        const struct good *good = &good_heads[i];
        struct span head = feed_copy(span_from(good->head));
        struct http1_request request;
        assert_int_equal(feed_scan(head), head.len);
        enum http1_fault fault = http1_parse_request(head, &request);
        if (fault != HTTP1_OK)
            print_error("rejected with %d: %s\n", (int)fault, good->head);
        assert_int_equal(fault, HTTP1_OK);
        feed_check_text("method", request.method, good->method);
        feed_check_text("path", request.path, good->path);
        feed_check_text("query", request.query, good->query);
        feed_check_text("host", request.host, good->host);
        assert_int_equal(request.minor_version, good->minor_version);
        assert_int_equal(request.keep_alive, good->keep_alive);
        assert_int_equal(request.framing, good->framing);
        assert_int_equal(request.content_length, good->content_length);
        assert_int_equal(request.headers.count, good->headers);
        assert_false(request.expect_continue || request.expect_other);
        feed_free(head);
    }
}

struct bad {
    struct span head;
    int fault;
};

#define LINE_AND_HOST "POST / HTTP/1.1\r\nHost: a\r\n"

static const struct bad bad_lines[] = {
    {HEAD("\r\n\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n"), FEED_SCAN_REFUSES},
    {HEAD("\nGET / HTTP/1.1\r\nHost: a\r\n\r\n"), FEED_SCAN_REFUSES},
    {HEAD("GET / HTTP/1.1\nHost: a\r\n\r\n"), FEED_SCAN_REFUSES},
    {HEAD("GET / HTTP/1.1\r\nHost: a\n\r\n"), FEED_SCAN_REFUSES},
    {HEAD("GET / HTTP/1.1\r\nHost: a\r\n\n"), FEED_SCAN_REFUSES},
    {HEAD("GET / HTTP/1.1\rHost: a\r\n\r\n"), FEED_SCAN_REFUSES},
    {HEAD("GET / HTTP/1.1\r\r\nHost: a\r\n\r\n"), FEED_SCAN_REFUSES},
    {HEAD("GET / HTTP/1.1\r\nHost: a\r\rX: y\r\n\r\n"), FEED_SCAN_REFUSES},
    {HEAD("GET /\0 HTTP/1.1\r\nHost: a\r\n\r\n"), FEED_SCAN_REFUSES},
    {HEAD("GET / HTTP/1.1\r\nHost: a\r\nX: y\0z\r\n\r\n"), FEED_SCAN_REFUSES},
    {HEAD("GET / HTTP/1.1\r\nHost: a\r\nX\0: y\r\n\r\n"), FEED_SCAN_REFUSES},
    {HEAD("GET / HTTP/1.1\r\nHost: a\r\nX: y\x0bz\r\n\r\n"), FEED_SCAN_REFUSES},
    {HEAD("GET / HTTP/1.1\r\nHost: a\r\nX: y\x7f\r\n\r\n"), FEED_SCAN_REFUSES},
    {HEAD("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"), FEED_SCAN_REFUSES}, /* TLS ClientHello */
    {HEAD("GET / HTTP/1.1\r\nHost: a\r\n"), FEED_INCOMPLETE},
    {HEAD("GET / HTTP/1.1\r\nHost: a\r\n\r"), FEED_INCOMPLETE},
    {HEAD("\r\n\r\n"), FEED_INCOMPLETE},
    {HEAD(""), FEED_INCOMPLETE},
    {HEAD("GET\r\n\r\n"), HTTP1_BAD_LINE},
    {HEAD(" GET / HTTP/1.1\r\nHost: a\r\n\r\n"), HTTP1_BAD_LINE},
    {HEAD("GET  / HTTP/1.1\r\nHost: a\r\n\r\n"), HTTP1_BAD_LINE},
    {HEAD("GET\t/ HTTP/1.1\r\nHost: a\r\n\r\n"), HTTP1_BAD_LINE},
    {HEAD("G(T / HTTP/1.1\r\nHost: a\r\n\r\n"), HTTP1_BAD_LINE},
    {HEAD("G\xc3\xa9T / HTTP/1.1\r\nHost: a\r\n\r\n"), HTTP1_BAD_LINE},
    {HEAD("GET /  HTTP/1.1\r\nHost: a\r\n\r\n"), HTTP1_BAD_LINE},
    {HEAD("GET / HTTP/1.1 \r\nHost: a\r\n\r\n"), HTTP1_BAD_LINE},
    {HEAD("GET / x HTTP/1.1\r\nHost: a\r\n\r\n"), HTTP1_BAD_LINE},
    {HEAD("GET / \r\nHost: a\r\n\r\n"), HTTP1_BAD_LINE},
    {HEAD("GET / http/1.1\r\nHost: a\r\n\r\n"), HTTP1_BAD_LINE},
    {HEAD("GET / HTTPS/1.1\r\nHost: a\r\n\r\n"), HTTP1_BAD_LINE},
    {HEAD("GET / HTTP/1.10\r\nHost: a\r\n\r\n"), HTTP1_BAD_LINE},
    {HEAD("GET / HTTP/1\r\nHost: a\r\n\r\n"), HTTP1_BAD_LINE},
    {HEAD("GET / HTTP/1,1\r\nHost: a\r\n\r\n"), HTTP1_BAD_LINE},
    {HEAD("Host: a\r\nGET / HTTP/1.1\r\n\r\n"), HTTP1_BAD_LINE},
    {HEAD("GET /\r\n\r\n"), HTTP1_BAD_VERSION}, /* HTTP/0.9 */
    {HEAD("GET / HTTP/0.9\r\nHost: a\r\n\r\n"), HTTP1_BAD_VERSION},
    {HEAD("GET / HTTP/1.2\r\nHost: a\r\n\r\n"), HTTP1_BAD_VERSION},
    {HEAD("GET / HTTP/2.0\r\nHost: a\r\n\r\n"), HTTP1_BAD_VERSION},
    {HEAD("GET / HTTP/2.1\r\nHost: a\r\n\r\n"), HTTP1_BAD_VERSION},
    {HEAD("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), HTTP1_BAD_VERSION}, /* HTTP/2 preface */
};

static const struct bad bad_targets[] = {
    {HEAD("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n"), HTTP1_BAD_TARGET},
    {HEAD("GET x HTTP/1.1\r\nHost: a\r\n\r\n"), HTTP1_BAD_TARGET},
    {HEAD("GET ?x HTTP/1.1\r\nHost: a\r\n\r\n"), HTTP1_BAD_TARGET},
    {HEAD("GET a:80 HTTP/1.1\r\nHost: a\r\n\r\n"), HTTP1_BAD_TARGET},
    {HEAD("CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\n\r\n"), HTTP1_BAD_TARGET},
    {HEAD("CONNECT / HTTP/1.1\r\nHost: a\r\n\r\n"), HTTP1_BAD_TARGET},
    {HEAD("GET https://a/ HTTP/1.1\r\nHost: a\r\n\r\n"), HTTP1_BAD_TARGET},
    {HEAD("GET ftp://a/ HTTP/1.1\r\nHost: a\r\n\r\n"), HTTP1_BAD_TARGET},
    {HEAD("GET http:/a HTTP/1.1\r\nHost: a\r\n\r\n"), HTTP1_BAD_TARGET},
    {HEAD("GET http:///x HTTP/1.1\r\nHost: a\r\n\r\n"), HTTP1_BAD_TARGET},
    {HEAD("GET http://:80/x HTTP/1.1\r\nHost: a\r\n\r\n"), HTTP1_BAD_TARGET},
    {HEAD("GET http://u@a/x HTTP/1.1\r\nHost: a\r\n\r\n"), HTTP1_BAD_TARGET},
    {HEAD("GET http://u:p@a/x HTTP/1.1\r\nHost: a\r\n\r\n"), HTTP1_BAD_TARGET},
    {HEAD("GET http://a#b HTTP/1.1\r\nHost: a\r\n\r\n"), HTTP1_BAD_TARGET},
    {HEAD("GET http://a%2fb/ HTTP/1.1\r\nHost: a\r\n\r\n"), HTTP1_BAD_TARGET},
    {HEAD("GET http://a\\b/ HTTP/1.1\r\nHost: a\r\n\r\n"), HTTP1_BAD_TARGET},
    {HEAD("GET /a#b HTTP/1.1\r\nHost: a\r\n\r\n"), HTTP1_BAD_TARGET},
    {HEAD("GET /a?b#c HTTP/1.1\r\nHost: a\r\n\r\n"), HTTP1_BAD_TARGET},
    {HEAD("GET /a\\b HTTP/1.1\r\nHost: a\r\n\r\n"), HTTP1_BAD_TARGET},
    {HEAD("GET /a\"b HTTP/1.1\r\nHost: a\r\n\r\n"), HTTP1_BAD_TARGET},
    {HEAD("GET /<b> HTTP/1.1\r\nHost: a\r\n\r\n"), HTTP1_BAD_TARGET},
    {HEAD("GET /[b] HTTP/1.1\r\nHost: a\r\n\r\n"), HTTP1_BAD_TARGET},
    {HEAD("GET /{b} HTTP/1.1\r\nHost: a\r\n\r\n"), HTTP1_BAD_TARGET},
    {HEAD("GET /a|b HTTP/1.1\r\nHost: a\r\n\r\n"), HTTP1_BAD_TARGET},
    {HEAD("GET /a^b HTTP/1.1\r\nHost: a\r\n\r\n"), HTTP1_BAD_TARGET},
    {HEAD("GET /a`b HTTP/1.1\r\nHost: a\r\n\r\n"), HTTP1_BAD_TARGET},
    {HEAD("GET /a\tb HTTP/1.1\r\nHost: a\r\n\r\n"), HTTP1_BAD_TARGET},
    {HEAD("GET /\xc3\xa9 HTTP/1.1\r\nHost: a\r\n\r\n"), HTTP1_BAD_TARGET},
    {HEAD("GET /% HTTP/1.1\r\nHost: a\r\n\r\n"), HTTP1_BAD_TARGET},
    {HEAD("GET /%4 HTTP/1.1\r\nHost: a\r\n\r\n"), HTTP1_BAD_TARGET},
    {HEAD("GET /%4g HTTP/1.1\r\nHost: a\r\n\r\n"), HTTP1_BAD_TARGET},
    {HEAD("GET /%g4 HTTP/1.1\r\nHost: a\r\n\r\n"), HTTP1_BAD_TARGET},
    {HEAD("GET /?%u0041 HTTP/1.1\r\nHost: a\r\n\r\n"), HTTP1_BAD_TARGET},
};

static const struct bad bad_headers[] = {
    {HEAD("GET / HTTP/1.1\r\n Host: a\r\n\r\n"), HTTP1_BAD_HEADER},
    {HEAD(LINE_AND_HOST "X: y\r\n z\r\n\r\n"), HTTP1_BAD_HEADER},
    {HEAD(LINE_AND_HOST "X: y\r\n\tz\r\n\r\n"), HTTP1_BAD_HEADER},
    {HEAD(LINE_AND_HOST " \r\n\r\n"), HTTP1_BAD_HEADER},
    {HEAD(LINE_AND_HOST "X : y\r\n\r\n"), HTTP1_BAD_HEADER},
    {HEAD(LINE_AND_HOST "X\t: y\r\n\r\n"), HTTP1_BAD_HEADER},
    {HEAD(LINE_AND_HOST "Content-Length : 5\r\n\r\n"), HTTP1_BAD_HEADER},
    {HEAD(LINE_AND_HOST "Transfer-Encoding : chunked\r\n\r\n"), HTTP1_BAD_HEADER},
    {HEAD(LINE_AND_HOST ": y\r\n\r\n"), HTTP1_BAD_HEADER},
    {HEAD(LINE_AND_HOST "X\r\n\r\n"), HTTP1_BAD_HEADER},
    {HEAD(LINE_AND_HOST "X y: z\r\n\r\n"), HTTP1_BAD_HEADER},
    {HEAD(LINE_AND_HOST "(X): y\r\n\r\n"), HTTP1_BAD_HEADER},
    {HEAD(LINE_AND_HOST "\"X\": y\r\n\r\n"), HTTP1_BAD_HEADER},
    {HEAD(LINE_AND_HOST "X\xc3\xa9: y\r\n\r\n"), HTTP1_BAD_HEADER},
    {HEAD(LINE_AND_HOST "GET /b HTTP/1.1\r\n\r\n"), HTTP1_BAD_HEADER},
};

static const struct bad bad_framings[] = {
    {HEAD(LINE_AND_HOST "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n"),
     HTTP1_BAD_FRAMING},
    {HEAD(LINE_AND_HOST "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n"),
     HTTP1_BAD_FRAMING},
    {HEAD(LINE_AND_HOST "Content-Length: 0\r\nTransfer-Encoding: chunked\r\n\r\n"),
     HTTP1_BAD_FRAMING},
    {HEAD(LINE_AND_HOST "Content-Length: 5\r\nContent-Length: 6\r\n\r\n"), HTTP1_BAD_FRAMING},
    {HEAD(LINE_AND_HOST "Content-Length: 5\r\nContent-Length: 5\r\n\r\n"), HTTP1_BAD_FRAMING},
    {HEAD(LINE_AND_HOST "Content-Length: 5, 5\r\n\r\n"), HTTP1_BAD_FRAMING},
    {HEAD(LINE_AND_HOST "Content-Length: 5,6\r\n\r\n"), HTTP1_BAD_FRAMING},
    {HEAD(LINE_AND_HOST "Content-Length: 5,\r\n\r\n"), HTTP1_BAD_FRAMING},
    {HEAD(LINE_AND_HOST "Content-Length:\r\n\r\n"), HTTP1_BAD_FRAMING},
    {HEAD(LINE_AND_HOST "Content-Length: +5\r\n\r\n"), HTTP1_BAD_FRAMING},
    {HEAD(LINE_AND_HOST "Content-Length: -5\r\n\r\n"), HTTP1_BAD_FRAMING},
    {HEAD(LINE_AND_HOST "Content-Length: -0\r\n\r\n"), HTTP1_BAD_FRAMING},
    {HEAD(LINE_AND_HOST "Content-Length: 5 5\r\n\r\n"), HTTP1_BAD_FRAMING},
    {HEAD(LINE_AND_HOST "Content-Length: 0x5\r\n\r\n"), HTTP1_BAD_FRAMING},
    {HEAD(LINE_AND_HOST "Content-Length: 5a\r\n\r\n"), HTTP1_BAD_FRAMING},
    {HEAD(LINE_AND_HOST "Content-Length: 1_000\r\n\r\n"), HTTP1_BAD_FRAMING},
    {HEAD(LINE_AND_HOST "Content-Length: 5.0\r\n\r\n"), HTTP1_BAD_FRAMING},
    {HEAD(LINE_AND_HOST "Content-Length: \"5\"\r\n\r\n"), HTTP1_BAD_FRAMING},
    {HEAD(LINE_AND_HOST "Content-Length: \xd9\xa5\r\n\r\n"), HTTP1_BAD_FRAMING}, /* Arabic digit
                                                                                  * five */
    {HEAD(LINE_AND_HOST "Content-Length: 1000000000000000000\r\n\r\n"), HTTP1_BAD_FRAMING},
    {HEAD(LINE_AND_HOST "Content-Length: 0000000000000000005\r\n\r\n"), HTTP1_BAD_FRAMING},
    {HEAD(LINE_AND_HOST "Content-Length: 18446744073709551616\r\n\r\n"), HTTP1_BAD_FRAMING},
    {HEAD(LINE_AND_HOST "Content-Length: 18446744073709551621\r\n\r\n"), HTTP1_BAD_FRAMING},
    {HEAD(LINE_AND_HOST "Transfer-Encoding: chunked, chunked\r\n\r\n"), HTTP1_BAD_FRAMING},
    {HEAD(LINE_AND_HOST "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n"),
     HTTP1_BAD_FRAMING},
    {HEAD(LINE_AND_HOST "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n"),
     HTTP1_BAD_FRAMING},
    {HEAD(LINE_AND_HOST "Transfer-Encoding: gzip, chunked\r\n\r\n"), HTTP1_BAD_FRAMING},
    {HEAD(LINE_AND_HOST "Transfer-Encoding: chunked, identity\r\n\r\n"), HTTP1_BAD_FRAMING},
    {HEAD(LINE_AND_HOST "Transfer-Encoding: identity\r\n\r\n"), HTTP1_BAD_FRAMING},
    {HEAD(LINE_AND_HOST "Transfer-Encoding: gzip\r\n\r\n"), HTTP1_BAD_FRAMING},
    {HEAD(LINE_AND_HOST "Transfer-Encoding: xchunked\r\n\r\n"), HTTP1_BAD_FRAMING},
    {HEAD(LINE_AND_HOST "Transfer-Encoding: chunkedx\r\n\r\n"), HTTP1_BAD_FRAMING},
    {HEAD(LINE_AND_HOST "Transfer-Encoding: chunked;q=1\r\n\r\n"), HTTP1_BAD_FRAMING},
    {HEAD(LINE_AND_HOST "Transfer-Encoding: ,chunked\r\n\r\n"), HTTP1_BAD_FRAMING},
    {HEAD(LINE_AND_HOST "Transfer-Encoding: \"chunked\"\r\n\r\n"), HTTP1_BAD_FRAMING},
    {HEAD(LINE_AND_HOST "Transfer-Encoding:\r\n\r\n"), HTTP1_BAD_FRAMING},
    {HEAD("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n"), HTTP1_BAD_FRAMING},
    {HEAD("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n"),
     HTTP1_BAD_FRAMING},
};

static const struct bad bad_hosts[] = {
    {HEAD("GET / HTTP/1.1\r\n\r\n"), HTTP1_BAD_HOST},
    {HEAD("GET http://a/ HTTP/1.1\r\n\r\n"), HTTP1_BAD_HOST},
    {HEAD("GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n"), HTTP1_BAD_HOST},
    {HEAD("GET / HTTP/1.1\r\nHost: a\r\nhost: b\r\n\r\n"), HTTP1_BAD_HOST},
    {HEAD("GET / HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n"), HTTP1_BAD_HOST},
    {HEAD("GET / HTTP/1.1\r\nHost:\r\n\r\n"), HTTP1_BAD_HOST},
    {HEAD("GET / HTTP/1.1\r\nHost: :80\r\n\r\n"), HTTP1_BAD_HOST},
    {HEAD("GET / HTTP/1.1\r\nHost: a:\r\n\r\n"), HTTP1_BAD_HOST},
    {HEAD("GET / HTTP/1.1\r\nHost: a:65536\r\n\r\n"), HTTP1_BAD_HOST},
    {HEAD("GET / HTTP/1.1\r\nHost: a:000080\r\n\r\n"), HTTP1_BAD_HOST},
    {HEAD("GET / HTTP/1.1\r\nHost: a:8o\r\n\r\n"), HTTP1_BAD_HOST},
    {HEAD("GET / HTTP/1.1\r\nHost: a:-1\r\n\r\n"), HTTP1_BAD_HOST},
    {HEAD("GET / HTTP/1.1\r\nHost: a:80:80\r\n\r\n"), HTTP1_BAD_HOST},
    {HEAD("GET / HTTP/1.1\r\nHost: ::1\r\n\r\n"), HTTP1_BAD_HOST},
    {HEAD("GET / HTTP/1.1\r\nHost: []\r\n\r\n"), HTTP1_BAD_HOST},
    {HEAD("GET / HTTP/1.1\r\nHost: [::1\r\n\r\n"), HTTP1_BAD_HOST},
    {HEAD("GET / HTTP/1.1\r\nHost: [::1]a\r\n\r\n"), HTTP1_BAD_HOST},
    {HEAD("GET / HTTP/1.1\r\nHost: [fe80::1%25eth0]\r\n\r\n"), HTTP1_BAD_HOST},
    {HEAD("GET / HTTP/1.1\r\nHost: u@a\r\n\r\n"), HTTP1_BAD_HOST},
    {HEAD("GET / HTTP/1.1\r\nHost: a/b\r\n\r\n"), HTTP1_BAD_HOST},
    {HEAD("GET / HTTP/1.1\r\nHost: a?b\r\n\r\n"), HTTP1_BAD_HOST},
    {HEAD("GET / HTTP/1.1\r\nHost: a#b\r\n\r\n"), HTTP1_BAD_HOST},
    {HEAD("GET / HTTP/1.1\r\nHost: a b\r\n\r\n"), HTTP1_BAD_HOST},
    {HEAD("GET / HTTP/1.1\r\nHost: a,b\r\n\r\n"), HTTP1_BAD_HOST},
    {HEAD("GET / HTTP/1.1\r\nHost: a\\b\r\n\r\n"), HTTP1_BAD_HOST},
    {HEAD("GET / HTTP/1.1\r\nHost: http://a\r\n\r\n"), HTTP1_BAD_HOST},
    {HEAD("GET / HTTP/1.1\r\nHost: %61\r\n\r\n"), HTTP1_BAD_HOST},
    {HEAD("GET / HTTP/1.1\r\nHost: \xc3\xa9\r\n\r\n"), HTTP1_BAD_HOST},
    {HEAD("GET http://a/ HTTP/1.1\r\nHost: b\r\n\r\n"), HTTP1_BAD_HOST},
    {HEAD("GET http://a/ HTTP/1.1\r\nHost: a:80\r\n\r\n"), HTTP1_BAD_HOST},
    {HEAD("GET http://a:81/ HTTP/1.1\r\nHost: a:80\r\n\r\n"), HTTP1_BAD_HOST},
    {HEAD("GET http://a/ HTTP/1.0\r\nHost: b\r\n\r\n"), HTTP1_BAD_HOST},
};

static int refusal_of(struct span head, struct http1_request *request)
{
    long len = feed_scan(head);
    if (len <= 0)
        return len == 0 ? FEED_INCOMPLETE : FEED_SCAN_REFUSES;
    return (int)http1_parse_request(span_make(head.at, (size_t)len), request);
}

static void check_refusals(const struct bad *list, size_t count)
{
    for (size_t i = 0; i != count; ++i) {
        struct span head = feed_copy(list[i].head);
        struct http1_request request;
        int fault = refusal_of(head, &request);
        if (fault != list[i].fault)
            print_error("got %d, expected %d: %.*s\n", fault, list[i].fault, SPAN_ARG(head));
        assert_int_equal(fault, list[i].fault);
        feed_free(head);
    }
}

static void test_invalid_lines(void **state)
{
    (void)state;
    check_refusals(bad_lines, COUNT(bad_lines));
}

static void test_invalid_targets(void **state)
{
    (void)state;
    check_refusals(bad_targets, COUNT(bad_targets));
}

static void test_invalid_headers(void **state)
{
    (void)state;
    check_refusals(bad_headers, COUNT(bad_headers));
}

static void test_invalid_framings(void **state)
{
    (void)state;
    check_refusals(bad_framings, COUNT(bad_framings));
}

static void test_invalid_hosts(void **state)
{
    (void)state;
    check_refusals(bad_hosts, COUNT(bad_hosts));
}

/* Every disallowed byte is rejected in a name, a value and a target. */
static void test_every_byte(void **state)
{
    (void)state;
    static const char token_marks[] = "!#$%&'*+-.^_`|~", target_marks[] = "!$&'*+-._~(),;=:@/?";
    for (int c = 0; c != 256; ++c) {
        bool alnum = (c >= '0' && c <= '9') || ((c | 32) >= 'a' && (c | 32) <= 'z' && c < 128);
        struct http1_request request;
        char head[64];
        int len = snprintf(head, sizeof(head), "GET / HTTP/1.1\r\nHost: a\r\nX_Y: z\r\n\r\n");
        head[26] = (char)c;
        bool taken = refusal_of(span_make(head, (size_t)len), &request) == HTTP1_OK;
        /* ':' there ends the name earlier: still a valid header line */
        assert_int_equal(taken, alnum || c == ':' || (c != 0 && strchr(token_marks, c) != NULL));
        head[26] = '_';
        head[30] = (char)c;
        taken = refusal_of(span_make(head, (size_t)len), &request) == HTTP1_OK;
        assert_int_equal(taken, c == '\t' || (c >= ' ' && c != 0x7f));
        len = snprintf(head, sizeof(head), "GET /_ HTTP/1.1\r\nHost: a\r\n\r\n");
        head[5] = (char)c;
        taken = refusal_of(span_make(head, (size_t)len), &request) == HTTP1_OK;
        assert_int_equal(taken, alnum || (c != 0 && strchr(target_marks, c) != NULL));
    }
}

static void test_header_count(void **state)
{
    (void)state;
    static char head[8192];
    struct http1_request request;
    for (int count = 99; count <= 102; ++count) {
        int len = snprintf(head, sizeof(head), "GET / HTTP/1.1\r\nHost: a\r\n");
        for (int i = 1; i != count; ++i)
            len += snprintf(head + len, sizeof(head) - (size_t)len, "X%d: %d\r\n", i, i);
        len += snprintf(head + len, sizeof(head) - (size_t)len, "\r\n");
        struct span copy = feed_copy(span_make(head, (size_t)len));
        int fault = refusal_of(copy, &request);
        assert_int_equal(fault, count <= HTTP1_HEADERS_MAX ? HTTP1_OK : HTTP1_TOO_MANY_HEADERS);
        assert_int_equal(request.headers.count, count < 100 ? count : 100);
        feed_check_text("a header", request.headers.list[98].value, "98");
        feed_free(copy);
    }
}

static void test_connection_list_is_bounded(void **state)
{
    (void)state;
    char head[1024];
    struct http1_request request;
    for (int names = 508; names <= 520; names += 12) {
        int len = snprintf(head, sizeof(head),
                           LINE_AND_HOST "Connection: %0*d\r\nConnection: abcd\r\n\r\n", names, 0);
        int fault = refusal_of(span_make(head, (size_t)len), &request);
        assert_int_equal(fault, names == 508 ? HTTP1_OK : HTTP1_BAD_HEADER);
    }
}

static void test_expectations(void **state)
{
    (void)state;
    static const struct {
        const char *head;
        bool expects_continue, expects_other;
    } list[] = {
        {LINE_AND_HOST "Expect: 100-continue\r\n\r\n", true, false},
        {LINE_AND_HOST "Expect: 100-Continue\r\n\r\n", true, false},
        {LINE_AND_HOST "Expect:\r\n\r\n", false, false},
        {LINE_AND_HOST "Expect: 200-ok\r\n\r\n", false, true},
        {LINE_AND_HOST "Expect: 100-continue, x\r\n\r\n", false, true},
        {LINE_AND_HOST "Expect: 100-continue\r\nExpect: x\r\n\r\n", true, true},
        {"POST / HTTP/1.0\r\nExpect: 100-continue\r\n\r\n", false, false},
        {"POST / HTTP/1.0\r\nExpect: x\r\n\r\n", false, false},
    };
    for (size_t i = 0; i != COUNT(list); ++i) {
        struct http1_request request;
        assert_int_equal(refusal_of(span_from(list[i].head), &request), HTTP1_OK);
        assert_int_equal(request.expect_continue, list[i].expects_continue);
        assert_int_equal(request.expect_other, list[i].expects_other);
    }
}

/* The access line of a rejected request shows the fields that were parsed. */
static void test_state_after_rejection(void **state)
{
    (void)state;
    struct http1_request request;
    memset(&request, 0xa5, sizeof(request));
    assert_int_equal(refusal_of(SPAN("GET\r\n\r\n"), &request), HTTP1_BAD_LINE);
    assert_null(request.method.at);
    assert_int_equal(request.headers.count, 0);
    assert_int_equal(refusal_of(SPAN("PUT /[ HTTP/1.1\r\nHost: a\r\n\r\n"), &request),
                     HTTP1_BAD_TARGET);
    feed_check_text("method", request.method, "PUT");
    feed_check_text("target", request.target, "/[");
    assert_int_equal(
        refusal_of(SPAN("PUT /x HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n\r\n"), &request),
        HTTP1_BAD_FRAMING);
    feed_check_text("method", request.method, "PUT");
    feed_check_text("target", request.target, "/x");
    assert_int_equal(request.headers.count, 2);
    assert_int_equal(request.framing, HTTP1_NO_BODY);
    assert_false(request.keep_alive);
}

/* A pipelined request follows: the scan stops before it. */
static void test_scan_stops_at_the_end(void **state)
{
    (void)state;
    struct span first = SPAN("GET /1 HTTP/1.1\r\nHost: a\r\n\r\n");
    struct span both = SPAN("GET /1 HTTP/1.1\r\nHost: a\r\n\r\n\nGET \0");
    size_t scanned = 0;
    assert_int_equal(http1_scan_head(both, &scanned), first.len);
    assert_int_equal(http1_scan_head(both, &scanned), first.len);
}

static void test_is_before_head(void **state)
{
    (void)state;
    static const char *const before[] = {"", "\r", "\r\n", "\r\n\r", "\r\n\r\n"};
    static const char *const not_before[] = {"\n", "\r\r", "G", "\r\nG", "\r\n\r\n\r"};
    for (size_t i = 0; i != COUNT(before); ++i)
        assert_true(http1_is_before_head(span_from(before[i])));
    for (size_t i = 0; i != COUNT(not_before); ++i)
        assert_false(http1_is_before_head(span_from(not_before[i])));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_valid_heads),
        cmocka_unit_test(test_invalid_lines),
        cmocka_unit_test(test_invalid_targets),
        cmocka_unit_test(test_invalid_headers),
        cmocka_unit_test(test_invalid_framings),
        cmocka_unit_test(test_invalid_hosts),
        cmocka_unit_test(test_every_byte),
        cmocka_unit_test(test_header_count),
        cmocka_unit_test(test_connection_list_is_bounded),
        cmocka_unit_test(test_expectations),
        cmocka_unit_test(test_state_after_rejection),
        cmocka_unit_test(test_scan_stops_at_the_end),
        cmocka_unit_test(test_is_before_head),
    };
    return cmocka_run_group_tests_name("http1 request", tests, NULL, NULL);
}
