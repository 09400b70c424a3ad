/* Arbitrary bytes as a response head, to HEAD or not: rejected or valid, with all fields inside
 * the input and no header value that could start another line. */
#include "net/http1.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

static void check_inside(struct span input, struct span s)
{
    CHECK(s.at >= input.at && s.len <= input.len && s.at + s.len <= input.at + input.len);
    for (size_t i = 0; i != s.len; ++i)
        CHECK(s.at[i] == '\t' || ((unsigned char)s.at[i] >= ' ' && s.at[i] != 0x7f));
}

static void check_response(struct span input, const struct http1_response *response)
{
    CHECK(response->status >= 100 && response->status <= 999 && response->status != 101);
    CHECK(response->minor_version == 0 || response->minor_version == 1);
    CHECK(response->framing != HTTP1_UNTIL_CLOSE || !response->keep_alive);
    CHECK(response->headers.count <= HTTP1_HEADERS_MAX);
    if (response->reason.at != NULL)
        check_inside(input, response->reason);
    for (size_t i = 0; i != response->headers.count; ++i) {
        check_inside(input, response->headers.list[i].name);
        check_inside(input, response->headers.list[i].value);
        CHECK(response->headers.list[i].name.len != 0);
        (void)http1_is_hop_by_hop(&response->headers, response->headers.list[i].name);
    }
}

/* HEAD changes only the framing. */
static void check_same_but_body(const struct http1_response *a, const struct http1_response *b)
{
    CHECK(a->framing == HTTP1_NO_BODY && a->status == b->status);
    CHECK(span_equals(a->reason, b->reason) && a->headers.count == b->headers.count);
    CHECK(a->keep_alive == b->keep_alive || b->framing == HTTP1_UNTIL_CLOSE);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    static struct http1_response response, to_head;
    struct span input = span_make((const char *)bytes, len), head = input;
    size_t scanned = 0, pieces = 0;
    long head_len = http1_scan_head(input, &scanned), last = 0;

    for (size_t end = 0; end <= len && last == 0; ++end)
        last = http1_scan_head(span_make(input.at, end), &pieces);
    CHECK(last == head_len);
    if (head_len > 0)
        head.len = (size_t)head_len;
    else if (!span_ends_with(input, SPAN("\r\n\r\n")))
        return 0;
    enum http1_fault fault = http1_parse_response(head, false, &response);
    CHECK(http1_parse_response(head, true, &to_head) == fault);
    if (fault != HTTP1_OK || head_len <= 0)
        return 0;
    check_response(head, &response);
    check_response(head, &to_head);
    check_same_but_body(&to_head, &response);
    return 0;
}
