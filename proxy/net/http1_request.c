/* The head of a request: its line, its target, its host. */
#include "net/http1_private.h"

enum { PORT_DIGITS_MAX = 5, PORT_MAX = 65535 };

static bool is_port(struct span s)
{
    uint64_t port;
    return s.len <= PORT_DIGITS_MAX && span_parse_u64(s, &port) && port <= PORT_MAX;
}

/* A name, an IPv4 address or an IPv6 address in brackets, perhaps with a port: RFC 3986 section 3.2
 * without user information, percent-encoding and an empty name or port. */
static bool is_host(struct span s)
{
    size_t name_len = 0;
    if (s.len != 0 && s.at[0] == '[') {
        size_t close = span_find(s, ']');
        if (close == s.len || close == 1)
            return false;
        for (size_t i = 1; i != close; ++i)
            if (!http1_char_is(s.at[i], HTTP1_CHAR_HEX) && s.at[i] != ':' && s.at[i] != '.')
                return false;
        name_len = close + 1;
    } else {
        while (name_len != s.len && http1_char_is(s.at[name_len], HTTP1_CHAR_HOST))
            ++name_len;
    }
    if (name_len == 0)
        return false;
    return name_len == s.len ||
           (s.at[name_len] == ':' && is_port(span_from_offset(s, name_len + 1)));
}

static bool is_target_text(struct span s)
{
    for (size_t i = 0; i != s.len; ++i) {
        if (!http1_char_is(s.at[i], HTTP1_CHAR_TARGET))
            return false;
        if (s.at[i] == '%' && (s.len - i < 3 || !http1_char_is(s.at[i + 1], HTTP1_CHAR_HEX) ||
                               !http1_char_is(s.at[i + 2], HTTP1_CHAR_HEX)))
            return false;
    }
    return true;
}

/* "/path?query", or "http://authority/path?query" (RFC 9112 sections 3.2.1 and 3.2.2); *authority
 * is SPAN_NONE in the first form. The other two forms are CONNECT's and OPTIONS', none of ours. */
static enum http1_fault read_target(struct http1_request *out, struct span *authority)
{
    struct span rest = out->target;
    *authority = SPAN_NONE;
    if (span_starts_with_ignore_case(rest, SPAN("http://"))) {
        rest = span_from_offset(rest, 7);
        size_t len = 0;
        while (len != rest.len && rest.at[len] != '/' && rest.at[len] != '?')
            ++len;
        *authority = span_make(rest.at, len);
        if (!is_host(*authority))
            return HTTP1_BAD_TARGET;
        rest = span_from_offset(rest, len);
    }
    if (!is_target_text(rest) || span_equals(out->method, SPAN("CONNECT")))
        return HTTP1_BAD_TARGET;
    size_t path_len = span_find(rest, '?');
    struct span path = span_make(rest.at, path_len);
    if (path.len == 0 && authority->at != NULL)
        path = span_make(authority->at - 1, 1); /* an empty path is "/": here is one */
    if (path.len == 0 || path.at[0] != '/')
        return HTTP1_BAD_TARGET;
    out->path = path;
    out->query = path_len == rest.len ? SPAN_NONE : span_from_offset(rest, path_len + 1);
    return HTTP1_OK;
}

/* The request line, without its target's inside. */
static enum http1_fault read_line(struct span line, struct http1_request *out)
{
    struct span method, rest, target, version;
    if (!span_split(line, ' ', &method, &rest) || method.len == 0 ||
        !http1_all_are(method, HTTP1_CHAR_TOKEN))
        return HTTP1_BAD_LINE;
    out->method = method;
    bool has_version = span_split(rest, ' ', &target, &version);
    if (target.len == 0)
        return HTTP1_BAD_LINE;
    out->target = target;
    return has_version ? http1_read_version(version, &out->minor_version) : HTTP1_BAD_VERSION;
}

static enum http1_fault judge_host(const struct http1_notes *notes, struct span authority,
                                   struct http1_request *out)
{
    if (notes->hosts > 1 || (notes->hosts == 0 && out->minor_version == 1))
        return HTTP1_BAD_HOST;
    if (notes->hosts == 0) {
        out->host = authority;
        return HTTP1_OK;
    }
    if (!is_host(notes->host))
        return HTTP1_BAD_HOST;
    if (authority.at != NULL && !http1_same_name(authority, notes->host))
        return HTTP1_BAD_HOST;
    out->host = notes->host;
    return HTTP1_OK;
}

static enum http1_fault read_request(struct span head, struct http1_request *out)
{
    struct http1_notes notes = {0};
    struct span authority;
    enum http1_fault fault;

    while (head.len > 4 && span_starts_with(head, SPAN("\r\n")))
        head = span_from_offset(head, 2);
    if ((fault = read_line(http1_take_line(&head), out)) != HTTP1_OK ||
        (fault = read_target(out, &authority)) != HTTP1_OK ||
        (fault = http1_read_headers(head, &out->headers, &notes)) != HTTP1_OK ||
        (fault = http1_judge_framing(&notes, out->minor_version, HTTP1_NO_BODY, &out->framing)) !=
            HTTP1_OK ||
        (fault = judge_host(&notes, authority, out)) != HTTP1_OK)
        return fault;
    out->keep_alive = http1_judge_keep_alive(&notes, out->minor_version);
    out->expect_continue = out->minor_version == 1 && notes.expects;
    out->expect_other = out->minor_version == 1 && notes.expects_other;
    out->content_length = notes.content_length;
    return HTTP1_OK;
}

enum http1_fault http1_parse_request(struct span head, struct http1_request *out)
{
    CHECK(span_ends_with(head, SPAN("\r\n\r\n")));
    memset(out, 0, offsetof(struct http1_request, headers));
    out->headers.count = 0;
    out->headers.connection_names_none = false;
    return read_request(head, out);
}
