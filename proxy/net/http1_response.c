/* The head of an answer: its line, and how its body is framed. */
#include "net/http1_private.h"

/* "HTTP/1.1 200 OK"; reason and the blank before it may be missing, as some servers have it. */
static enum http1_fault read_line(struct span line, struct http1_response *out)
{
    struct span version, rest, code;
    uint64_t status;
    if (!span_split(line, ' ', &version, &rest))
        return HTTP1_BAD_LINE;
    enum http1_fault fault = http1_read_version(version, &out->minor_version);
    if (fault != HTTP1_OK)
        return fault;
    span_split(rest, ' ', &code, &out->reason);
    if (code.len != 3 || !span_parse_u64(code, &status) || status < 100)
        return HTTP1_BAD_LINE;
    out->status = (int)status;
    return HTTP1_OK;
}

/* RFC 9112 section 6.3. */
static enum http1_fault judge_body(const struct http1_notes *notes, bool method_is_head,
                                   struct http1_response *out)
{
    enum http1_fault fault =
        http1_judge_framing(notes, out->minor_version, HTTP1_UNTIL_CLOSE, &out->framing);
    if (fault != HTTP1_OK)
        return fault;
    out->content_length = notes->content_length;
    if (out->status < 200 || out->status == 204) {
        bool claims_body = notes->codings != 0 || notes->content_length != 0;
        if (claims_body || out->status == 101)
            return HTTP1_BAD_FRAMING;
        out->framing = HTTP1_NO_BODY;
    }
    if (method_is_head || out->status == 304)
        out->framing = HTTP1_NO_BODY;
    return HTTP1_OK;
}

static enum http1_fault read_response(struct span head, bool method_is_head,
                                      struct http1_response *out)
{
    struct http1_notes notes = {0};
    enum http1_fault fault;

    if ((fault = read_line(http1_take_line(&head), out)) != HTTP1_OK ||
        (fault = http1_read_headers(head, &out->headers, &notes)) != HTTP1_OK ||
        (fault = judge_body(&notes, method_is_head, out)) != HTTP1_OK)
        return fault;
    out->keep_alive =
        out->framing != HTTP1_UNTIL_CLOSE && http1_judge_keep_alive(&notes, out->minor_version);
    return HTTP1_OK;
}

enum http1_fault http1_parse_response(struct span head, bool method_is_head,
                                      struct http1_response *out)
{
    CHECK(span_ends_with(head, SPAN("\r\n\r\n")));
    memset(out, 0, offsetof(struct http1_response, headers));
    out->headers.count = 0;
    out->headers.connection_names_none = false;
    return read_response(head, method_is_head, out);
}
