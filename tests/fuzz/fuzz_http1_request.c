/* Arbitrary bytes as a request head: parsed fields lie inside the input, do not depend on how
 * the bytes arrive, and parse to the same request after being written out. */
#include "base/buffer.h"
#include "net/http1.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

/* Scans the whole; two or many pieces must give the same result. */
static long scan(struct span input)
{
    size_t scanned = 0, pieces = 0;
    long whole = http1_scan_head(input, &scanned), last = 0;
    CHECK(scanned <= input.len && whole <= (long)input.len);
    for (size_t end = 0; end <= input.len && last == 0; ++end)
        last = http1_scan_head(span_make(input.at, end), &pieces);
    CHECK(last == whole);
    return whole;
}

static void check_inside(struct span input, struct span s)
{
    CHECK(s.at == NULL
              ? s.len == 0
              : s.at >= input.at && s.len <= input.len && s.at + s.len <= input.at + input.len);
}

static void check_plain(struct span s)
{
    for (size_t i = 0; i != s.len; ++i)
        CHECK(s.at[i] == '\t' || ((unsigned char)s.at[i] >= ' ' && s.at[i] != 0x7f));
}

static void check_request(struct span input, const struct http1_request *request)
{
    CHECK(request->method.len != 0 && request->path.len != 0 && request->path.at[0] == '/');
    CHECK(request->minor_version == 0 || request->host.at != NULL);
    CHECK(request->framing != HTTP1_UNTIL_CLOSE && request->headers.count <= HTTP1_HEADERS_MAX);
    CHECK(http1_header_count(&request->headers, SPAN("Host")) <= 1);
    CHECK(http1_header_count(&request->headers, SPAN("Content-Length")) +
              http1_header_count(&request->headers, SPAN("Transfer-Encoding")) ==
          (request->framing != HTTP1_NO_BODY));
    check_inside(input, request->method);
    check_inside(input, request->target);
    check_inside(input, request->path);
    check_inside(input, request->query);
    check_inside(input, request->host);
    for (size_t i = 0; i != request->headers.count; ++i) {
        const struct http1_header *header = &request->headers.list[i];
        check_inside(input, header->name);
        check_inside(input, header->value);
        check_plain(header->value);
        CHECK(header->name.len != 0 && span_equals(header->value, span_trim(header->value)));
        (void)http1_is_hop_by_hop(&request->headers, header->name);
    }
}

static void write_out(struct buffer *out, const struct http1_request *request)
{
    buffer_append(out, request->method);
    buffer_append_char(out, ' ');
    buffer_append(out, request->target);
    buffer_printf(out, " HTTP/1.%d\r\n", request->minor_version);
    for (size_t i = 0; i != request->headers.count; ++i) {
        buffer_append(out, request->headers.list[i].name);
        buffer_append(out, SPAN(": "));
        buffer_append(out, request->headers.list[i].value);
        buffer_append(out, SPAN("\r\n"));
    }
    buffer_append(out, SPAN("\r\n"));
}

static void check_same(const struct http1_request *a, const struct http1_request *b)
{
    CHECK(span_equals(a->method, b->method) && span_equals(a->target, b->target));
    CHECK(span_equals(a->path, b->path) && span_equals(a->query, b->query));
    CHECK(span_equals(a->host, b->host) && a->minor_version == b->minor_version);
    CHECK(a->keep_alive == b->keep_alive && a->expect_continue == b->expect_continue);
    CHECK(a->expect_other == b->expect_other && a->framing == b->framing);
    CHECK(a->content_length == b->content_length && a->headers.count == b->headers.count);
    for (size_t i = 0; i != a->headers.count; ++i) {
        CHECK(span_equals(a->headers.list[i].name, b->headers.list[i].name));
        CHECK(span_equals(a->headers.list[i].value, b->headers.list[i].value));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    static struct http1_request request, again;
    struct span input = span_make((const char *)bytes, len), head = input;
    struct buffer out;
    long head_len = scan(input);

    if (head_len > 0)
        head.len = (size_t)head_len;
    else if (!span_ends_with(input, SPAN("\r\n\r\n")))
        return 0;
    if (http1_parse_request(head, &request) != HTTP1_OK || head_len <= 0)
        return 0; /* heads that no scan accepted only have to parse safely */
    check_request(head, &request);
    buffer_init(&out, len + 1024);
    write_out(&out, &request);
    size_t scanned = 0;
    CHECK(!out.overflowed && http1_scan_head(buffer_span(&out), &scanned) == (long)out.len);
    CHECK(http1_parse_request(buffer_span(&out), &again) == HTTP1_OK);
    check_same(&request, &again);
    buffer_dispose(&out);
    return 0;
}
