/* Response heads: tables of valid and invalid ones; header lookup; status texts. */
#include "http1_feed.h"

struct good {
    const char *head;
    bool method_is_head;
    int minor_version, status;
    const char *reason;
    bool keep_alive;
    enum http1_framing framing;
    uint64_t content_length;
};

static const struct good good_heads[] = {
    {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", false, 1, 200, "OK", true, HTTP1_LENGTH, 5},
    {"HTTP/1.1 200 \r\nContent-Length: 0\r\n\r\n", false, 1, 200, "", true, HTTP1_LENGTH, 0},
    {"HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n", false, 1, 200, "", true, HTTP1_LENGTH, 0},
    {"HTTP/1.1 424  Failed\tx \xc3\xa9\r\nContent-Length: 1\r\n\r\n", false, 1, 424,
     " Failed\tx \xc3\xa9", true, HTTP1_LENGTH, 1},
    {"HTTP/1.1 999 x\r\nContent-Length: 1\r\n\r\n", false, 1, 999, "x", true, HTTP1_LENGTH, 1},
    {"HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n", false, 1, 200, "OK", true,
     HTTP1_CHUNKED, 0},
    {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n", false, 1, 200,
     "OK", false, HTTP1_CHUNKED, 0},
    {"HTTP/1.1 200 OK\r\n\r\n", false, 1, 200, "OK", false, HTTP1_UNTIL_CLOSE, 0},
    {"HTTP/1.1 200 OK\r\nConnection: keep-alive\r\n\r\n", false, 1, 200, "OK", false,
     HTTP1_UNTIL_CLOSE, 0},
    {"HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\n", false, 0, 200, "OK", false, HTTP1_LENGTH, 5},
    {"HTTP/1.0 200 OK\r\nContent-Length: 5\r\nConnection: keep-alive\r\n\r\n", false, 0, 200, "OK",
     true, HTTP1_LENGTH, 5},
    /* no body, whatever the headers say */
    {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", true, 1, 200, "OK", true, HTTP1_NO_BODY, 5},
    {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", true, 1, 200, "OK", true,
     HTTP1_NO_BODY, 0},
    {"HTTP/1.1 200 OK\r\n\r\n", true, 1, 200, "OK", true, HTTP1_NO_BODY, 0},
    {"HTTP/1.1 304 x\r\nContent-Length: 5\r\n\r\n", false, 1, 304, "x", true, HTTP1_NO_BODY, 5},
    {"HTTP/1.1 304 x\r\nTransfer-Encoding: chunked\r\n\r\n", false, 1, 304, "x", true,
     HTTP1_NO_BODY, 0},
    {"HTTP/1.1 204 x\r\n\r\n", false, 1, 204, "x", true, HTTP1_NO_BODY, 0},
    {"HTTP/1.1 204 x\r\nContent-Length: 0\r\n\r\n", false, 1, 204, "x", true, HTTP1_NO_BODY, 0},
    {"HTTP/1.1 100 Continue\r\n\r\n", false, 1, 100, "Continue", true, HTTP1_NO_BODY, 0},
    {"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n", false, 1, 103, "Early Hints", true,
     HTTP1_NO_BODY, 0},
    {"HTTP/1.1 205 x\r\nContent-Length: 0\r\n\r\n", false, 1, 205, "x", true, HTTP1_LENGTH, 0},
};

static void test_valid_heads(void **state)
{
    (void)state;
    for (size_t i = 0; i != COUNT(good_heads); ++i) {
        const struct good *good = &good_heads[i];
        struct span head = feed_copy(span_from(good->head));
        struct http1_response response;
        assert_int_equal(feed_scan(head), head.len);
        enum http1_fault fault = http1_parse_response(head, good->method_is_head, &response);
        if (fault != HTTP1_OK)
            print_error("rejected with %d: %s\n", (int)fault, good->head);
        assert_int_equal(fault, HTTP1_OK);
        feed_check_text("reason", response.reason, good->reason);
        assert_int_equal(response.minor_version, good->minor_version);
        assert_int_equal(response.status, good->status);
        assert_int_equal(response.keep_alive, good->keep_alive);
        assert_int_equal(response.framing, good->framing);
        assert_int_equal(response.content_length, good->content_length);
        feed_free(head);
    }
}

static const struct {
    struct span head;
    int fault;
} bad_heads[] = {
    {HEAD("HTTP/1.1 200 OK\nContent-Length: 5\r\n\r\n"), FEED_SCAN_REFUSES},
    {HEAD("HTTP/1.1 200 OK\r\nX: a\0b\r\n\r\n"), FEED_SCAN_REFUSES},
    {HEAD("HTTP/1.1 200 O\x1bK\r\n\r\n"), FEED_SCAN_REFUSES},
    {HEAD("HTTP/1.1 200 OK\r\nX: a\rSet-Cookie: b\r\n\r\n"), FEED_SCAN_REFUSES},
    {HEAD("\r\nHTTP/1.1 200 OK\r\n\r\n"), HTTP1_BAD_LINE},
    {HEAD("HTTP/1.1\r\n\r\n"), HTTP1_BAD_LINE},
    {HEAD("HTTP/1.1 \r\n\r\n"), HTTP1_BAD_LINE},
    {HEAD("HTTP/1.1  200 OK\r\n\r\n"), HTTP1_BAD_LINE},
    {HEAD("HTTP/1.1\t200 OK\r\n\r\n"), HTTP1_BAD_LINE},
    {HEAD(" HTTP/1.1 200 OK\r\n\r\n"), HTTP1_BAD_LINE},
    {HEAD("HTTP/1.1 99 x\r\n\r\n"), HTTP1_BAD_LINE},
    {HEAD("HTTP/1.1 099 x\r\n\r\n"), HTTP1_BAD_LINE},
    {HEAD("HTTP/1.1 000 x\r\n\r\n"), HTTP1_BAD_LINE},
    {HEAD("HTTP/1.1 1000 x\r\n\r\n"), HTTP1_BAD_LINE},
    {HEAD("HTTP/1.1 2000\r\n\r\n"), HTTP1_BAD_LINE},
    {HEAD("HTTP/1.1 20 OK\r\n\r\n"), HTTP1_BAD_LINE},
    {HEAD("HTTP/1.1 20x OK\r\n\r\n"), HTTP1_BAD_LINE},
    {HEAD("HTTP/1.1 +20 OK\r\n\r\n"), HTTP1_BAD_LINE},
    {HEAD("HTTP/1.1 -20 OK\r\n\r\n"), HTTP1_BAD_LINE},
    {HEAD("HTTP/1.1 200OK\r\n\r\n"), HTTP1_BAD_LINE},
    {HEAD("HTTP/1.1 200\tOK\r\n\r\n"), HTTP1_BAD_LINE},
    {HEAD("http/1.1 200 OK\r\n\r\n"), HTTP1_BAD_LINE},
    {HEAD("ICY 200 OK\r\n\r\n"), HTTP1_BAD_LINE},
    {HEAD("HTTP 200 OK\r\n\r\n"), HTTP1_BAD_LINE},
    {HEAD("HTTP/2 200\r\n\r\n"), HTTP1_BAD_LINE},
    {HEAD("GET / HTTP/1.1\r\nHost: a\r\n\r\n"), HTTP1_BAD_LINE},
    {HEAD("HTTP/2.0 200 OK\r\n\r\n"), HTTP1_BAD_VERSION},
    {HEAD("HTTP/1.2 200 OK\r\n\r\n"), HTTP1_BAD_VERSION},
    {HEAD("HTTP/0.9 200 OK\r\n\r\n"), HTTP1_BAD_VERSION},
    {HEAD("HTTP/1.1 200 OK\r\n X: y\r\n\r\n"), HTTP1_BAD_HEADER},
    {HEAD("HTTP/1.1 200 OK\r\nX: y\r\n z\r\n\r\n"), HTTP1_BAD_HEADER},
    {HEAD("HTTP/1.1 200 OK\r\nX : y\r\n\r\n"), HTTP1_BAD_HEADER},
    {HEAD("HTTP/1.1 200 OK\r\n: y\r\n\r\n"), HTTP1_BAD_HEADER},
    {HEAD("HTTP/1.1 200 OK\r\nX\r\n\r\n"), HTTP1_BAD_HEADER},
    {HEAD("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n"),
     HTTP1_BAD_FRAMING},
    {HEAD("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\n"), HTTP1_BAD_FRAMING},
    {HEAD("HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n"), HTTP1_BAD_FRAMING},
    {HEAD("HTTP/1.1 200 OK\r\nContent-Length:\r\n\r\n"), HTTP1_BAD_FRAMING},
    {HEAD("HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\n"), HTTP1_BAD_FRAMING},
    {HEAD("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n"), HTTP1_BAD_FRAMING},
    {HEAD("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n"), HTTP1_BAD_FRAMING},
    {HEAD("HTTP/1.1 200 OK\r\nTransfer-Encoding: identity\r\n\r\n"), HTTP1_BAD_FRAMING},
    {HEAD("HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"), HTTP1_BAD_FRAMING},
    /* claims a body where none can follow: reading it would lose synchronization */
    {HEAD("HTTP/1.1 204 x\r\nContent-Length: 5\r\n\r\n"), HTTP1_BAD_FRAMING},
    {HEAD("HTTP/1.1 204 x\r\nTransfer-Encoding: chunked\r\n\r\n"), HTTP1_BAD_FRAMING},
    {HEAD("HTTP/1.1 100 x\r\nContent-Length: 5\r\n\r\n"), HTTP1_BAD_FRAMING},
    {HEAD("HTTP/1.1 100 x\r\nTransfer-Encoding: chunked\r\n\r\n"), HTTP1_BAD_FRAMING},
    {HEAD("HTTP/1.1 304 x\r\nContent-Length: x\r\n\r\n"), HTTP1_BAD_FRAMING},
    {HEAD("HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\n\r\n"), HTTP1_BAD_FRAMING},
};

static void test_invalid_heads(void **state)
{
    (void)state;
    for (size_t i = 0; i != COUNT(bad_heads); ++i) {
        struct span head = feed_copy(bad_heads[i].head);
        struct http1_response response;
        long len = feed_scan(head);
        int fault = FEED_SCAN_REFUSES;
        if (len > 0)
            fault = (int)http1_parse_response(span_make(head.at, (size_t)len), i % 2, &response);
        if (fault != bad_heads[i].fault)
            print_error("got %d, expected %d: %.*s\n", fault, bad_heads[i].fault, SPAN_ARG(head));
        assert_int_equal(fault, bad_heads[i].fault);
        feed_free(head);
    }
}

static struct http1_response parsed(const char *head)
{
    struct http1_response response;
    assert_int_equal(http1_parse_response(span_from(head), false, &response), HTTP1_OK);
    return response;
}

static void test_lookup(void **state)
{
    (void)state;
    struct http1_response response = parsed("HTTP/1.1 200 OK\r\nContent-Length: 0\r\nX-A: 1\r\n"
                                            "x-a: 2\r\nX-AB: 3\r\nEmpty:\r\n\r\n");
    feed_check_text("the first", http1_header_value(&response.headers, SPAN("x-A")), "1");
    feed_check_text("X-AB", http1_header_value(&response.headers, SPAN("X-AB")), "3");
    feed_check_text("an empty one", http1_header_value(&response.headers, SPAN("empty")), "");
    feed_check_text("none", http1_header_value(&response.headers, SPAN("X")), NULL);
    feed_check_text("no name", http1_header_value(&response.headers, SPAN("")), NULL);
    assert_int_equal(http1_header_count(&response.headers, SPAN("X-A")), 2);
    assert_int_equal(http1_header_count(&response.headers, SPAN("X")), 0);
}

static void test_lists(void **state)
{
    (void)state;
    struct http1_response response = parsed("HTTP/1.1 200 OK\r\nL: a, ,bc ,\td\r\nM: e\r\n"
                                            "L: F\r\nN:\r\n\r\n");
    static const char *const there[] = {"a", "A", "bc", "d", "f", ""};
    static const char *const not_there[] = {"b", "c", "abc", "e", "a, "};
    for (size_t i = 0; i != COUNT(there); ++i)
        assert_true(http1_list_has(&response.headers, SPAN("l"), span_from(there[i])));
    for (size_t i = 0; i != COUNT(not_there); ++i)
        assert_false(http1_list_has(&response.headers, SPAN("l"), span_from(not_there[i])));
    assert_false(http1_list_has(&response.headers, SPAN("N"), SPAN("a")));
}

static void test_hop_by_hop(void **state)
{
    (void)state;
    struct http1_response plain = parsed("HTTP/1.1 200 OK\r\nConnection: Keep-Alive\r\n\r\n");
    struct http1_response naming = parsed("HTTP/1.1 200 OK\r\nConnection: close, X-Mine\r\n"
                                          "connection: X-Too\r\n\r\n");
    struct http1_headers by_hand = {.list[0] = {SPAN("Connection"), SPAN("X-Mine")}, .count = 1};
    static const char *const always[] = {"Connection",       "KEEP-ALIVE",         "te",
                                         "Trailer",          "Transfer-Encoding",  "upgrade",
                                         "Proxy-Connection", "Proxy-Authorization"};
    static const char *const never[] = {"Host", "Content-Length", "Proxy", "tee", "X-Min", ""};
    for (size_t i = 0; i != COUNT(always); ++i) {
        assert_true(http1_is_hop_by_hop(&plain.headers, span_from(always[i])));
        assert_true(http1_is_hop_by_hop(&naming.headers, span_from(always[i])));
    }
    for (size_t i = 0; i != COUNT(never); ++i) {
        assert_false(http1_is_hop_by_hop(&plain.headers, span_from(never[i])));
        assert_false(http1_is_hop_by_hop(&naming.headers, span_from(never[i])));
    }
    assert_false(http1_is_hop_by_hop(&plain.headers, SPAN("x-mine")));
    assert_true(http1_is_hop_by_hop(&naming.headers, SPAN("x-mine")));
    assert_true(http1_is_hop_by_hop(&naming.headers, SPAN("x-too")));
    assert_true(http1_is_hop_by_hop(&by_hand, SPAN("x-mine")));
}

static void test_status_texts(void **state)
{
    (void)state;
    feed_check_text("200", http1_reason(200), "OK");
    feed_check_text("100", http1_reason(100), "Continue");
    feed_check_text("431", http1_reason(431), "Request Header Fields Too Large");
    feed_check_text("511", http1_reason(511), "Network Authentication Required");
    feed_check_text("299", http1_reason(299), "Unknown");
    feed_check_text("-1", http1_reason(-1), "Unknown");
    feed_check_text("1000", http1_reason(1000), "Unknown");
    int known = 0;
    for (int status = 0; status != 1000; ++status)
        known += !span_equals(http1_reason(status), SPAN("Unknown"));
    assert_true(known >= 50);
    for (int fault = HTTP1_OK; fault <= (int)HTTP1_BAD_TARGET; ++fault)
        assert_true(http1_fault_text((enum http1_fault)fault).len > 10);
    feed_check_text("no fault", http1_fault_text((enum http1_fault)99), "unknown fault");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_valid_heads), cmocka_unit_test(test_invalid_heads),
        cmocka_unit_test(test_lookup),      cmocka_unit_test(test_lists),
        cmocka_unit_test(test_hop_by_hop),  cmocka_unit_test(test_status_texts),
    };
    return cmocka_run_group_tests_name("http1 response", tests, NULL, NULL);
}
