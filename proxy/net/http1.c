/* HTTP/1 heads, header lines, framing and chunked coding, in the order in which a message comes. */
#include "net/http1.h"

#include "base/host.h"

enum {
    EMPTY_LINES_BEFORE_MAX = 2,
    LENGTH_DIGITS_MAX = 18,     /* 10^18 - 1 bytes, far from overflow wherever it is added to */
    CONNECTION_BYTES_MAX = 512, /* each header is looked up in Connection's list */
    SIZE_DIGITS_MAX = 15,       /* of a chunk: 60 bits */
    EXTENSION_MAX = 256,
    TRAILERS_MAX = 8192,
};

/* Case ignored; the length first, since most names differ in it. */
static inline bool is_same_name(struct span a, struct span b)
{
    return a.len == b.len && span_equals_ignore_case(a, b);
}

/* Takes the first line off *rest, without its CRLF. `rest` ends in CRLF. */
static inline struct span take_line(struct span *rest)
{
    size_t len = span_find(*rest, '\r');
    struct span line = span_make(rest->at, len);
    CHECK(len + 2 <= rest->len);
    *rest = span_from_offset(*rest, len + 2);
    return line;
}

/* ---- where a head ends ---- */

/* Eight bytes at once: is none of them a control character (below 0x20, or DEL)? */
static bool is_all_text(const char *eight)
{
    const uint64_t ones = 0x0101010101010101u, tops = 0x8080808080808080u;
    uint64_t word, is_del;
    memcpy(&word, eight, sizeof(word));
    is_del = word ^ (ones * 0x7f);
    return ((((word - ones * 0x20) & ~word) | ((is_del - ones) & ~is_del)) & tops) == 0;
}

static size_t skip_text(struct span bytes, size_t at)
{
    while (bytes.len - at >= 8 && is_all_text(bytes.at + at))
        at += 8;
    while (at != bytes.len && ascii_is(bytes.at[at], ASCII_TEXT))
        ++at;
    return at;
}

bool http1_is_before_head(struct span bytes)
{
    if (bytes.len > 2 * EMPTY_LINES_BEFORE_MAX)
        return false;
    for (size_t i = 0; i != bytes.len; ++i)
        if (bytes.at[i] != "\r\n"[i % 2])
            return false;
    return true;
}

long http1_scan_head(struct span bytes, size_t *scanned)
{
    size_t at = *scanned;
    for (;;) {
        at = skip_text(bytes, at);
        *scanned = at;
        if (at == bytes.len || (bytes.at[at] == '\r' && at + 1 == bytes.len))
            return 0;
        if (bytes.at[at] != '\r' || bytes.at[at + 1] != '\n')
            return -1;
        bool line_is_empty = at == 0 || bytes.at[at - 1] == '\n';
        if (line_is_empty && !http1_is_before_head(span_make(bytes.at, at)))
            return (long)(at + 2);
        if (line_is_empty && at == 2 * EMPTY_LINES_BEFORE_MAX)
            return -1;
        at += 2;
    }
}

/* ---- header lines ---- */

/* What the header lines say of the message; judged once all are read. */
struct notes {
    struct span host;            /* the last Host */
    unsigned hosts;              /* number of Host headers */
    unsigned lengths;            /* of Content-Length headers */
    unsigned codings;            /* of Transfer-Encoding headers */
    bool malformed;              /* one of those two has a value that is refused */
    uint64_t content_length;     /* with lengths == 1 */
    size_t connection_bytes;     /* of all Connection headers */
    bool close, keep_alive;      /* named by Connection */
    bool expects, expects_other; /* 100-continue; anything else */
};

/* Takes the next element off a comma-separated list (RFC 9110 section 5.6.1); it may be empty. */
static bool take_element(struct span *list, struct span *element)
{
    if (list->len == 0)
        return false;
    span_split(*list, ',', element, list);
    *element = span_trim(*element);
    return true;
}

static void note_connection(struct notes *notes, struct http1_headers *headers, struct span list)
{
    struct span option;
    notes->connection_bytes += list.len;
    if (notes->connection_bytes > CONNECTION_BYTES_MAX)
        return;
    while (take_element(&list, &option)) {
        if (is_same_name(option, SPAN("close")))
            notes->close = true;
        else if (is_same_name(option, SPAN("keep-alive")))
            notes->keep_alive = true;
        else if (option.len != 0)
            headers->connection_names_none = false;
    }
}

static void note_length(struct notes *notes, struct span value)
{
    ++notes->lengths;
    if (value.len > LENGTH_DIGITS_MAX || !span_parse_u64(value, &notes->content_length))
        notes->malformed = true;
}

/* Notes what the message itself depends on. */
static void note_header(struct notes *notes, struct http1_headers *headers,
                        struct http1_header header)
{
    switch (header.name.len) {
    case 4:
        if (span_equals_ignore_case(header.name, SPAN("host"))) {
            ++notes->hosts;
            notes->host = header.value;
        }
        break;
    case 6:
        if (span_equals_ignore_case(header.name, SPAN("expect")) && header.value.len != 0) {
            bool is_continue = is_same_name(header.value, SPAN("100-continue"));
            notes->expects |= is_continue;
            notes->expects_other |= !is_continue;
        }
        break;
    case 10:
        if (span_equals_ignore_case(header.name, SPAN("connection")))
            note_connection(notes, headers, header.value);
        break;
    case 14:
        if (span_equals_ignore_case(header.name, SPAN("content-length")))
            note_length(notes, header.value);
        break;
    case 17:
        if (span_equals_ignore_case(header.name, SPAN("transfer-encoding"))) {
            ++notes->codings;
            notes->malformed |= !is_same_name(header.value, SPAN("chunked"));
        }
        break;
    default:
        break;
    }
}

static enum http1_fault read_headers(struct span lines, struct http1_headers *out,
                                     struct notes *notes)
{
    out->count = 0;
    out->connection_names_none = true;
    while (lines.at[0] != '\r') {
        size_t name_len = 0;
        while (ascii_is(lines.at[name_len], ASCII_TOKEN))
            ++name_len;
        if (name_len == 0 || lines.at[name_len] != ':')
            return HTTP1_BAD_HEADER;
        if (out->count == HTTP1_HEADERS_MAX)
            return HTTP1_TOO_MANY_HEADERS;
        struct http1_header *header = &out->list[out->count++];
        header->name = span_make(lines.at, name_len);
        lines = span_from_offset(lines, name_len + 1);
        header->value = span_trim(take_line(&lines));
        note_header(notes, out, *header);
    }
    return notes->connection_bytes > CONNECTION_BYTES_MAX ? HTTP1_BAD_HEADER : HTTP1_OK;
}

static enum http1_fault judge_framing(const struct notes *notes, int minor_version,
                                      enum http1_framing otherwise, enum http1_framing *framing)
{
    if (notes->malformed || notes->lengths + notes->codings > 1)
        return HTTP1_BAD_FRAMING;
    if (notes->codings != 0 && minor_version == 0)
        return HTTP1_BAD_FRAMING;
    *framing = notes->codings != 0 ? HTTP1_CHUNKED : notes->lengths != 0 ? HTTP1_LENGTH : otherwise;
    return HTTP1_OK;
}

static bool judge_keep_alive(const struct notes *notes, int minor_version)
{
    return !notes->close && (minor_version == 1 || notes->keep_alive);
}

/* "HTTP/1.0" or "HTTP/1.1", nothing else. */
static enum http1_fault read_version(struct span s, int *minor_version)
{
    if (s.len != 8 || !span_starts_with(s, SPAN("HTTP/")) || s.at[6] != '.')
        return HTTP1_BAD_LINE;
    if (s.at[5] != '1' || (s.at[7] != '0' && s.at[7] != '1'))
        return HTTP1_BAD_VERSION;
    *minor_version = s.at[7] - '0';
    return HTTP1_OK;
}

/* ---- requests ---- */

/* A name, an IPv4 address or a bracketed IPv6 address, perhaps with a port: RFC 3986 section 3.2
 * without user information, percent-encoding and an empty name or port. */
static bool is_host(struct span s)
{
    struct span host, port;
    uint16_t number;
    return host_split(s, &host, &port) && host_is_valid(host) &&
           (port.at == NULL || host_parse_port(port, &number));
}

/* "/path?query", or "http://authority/path?query" (RFC 9112 sections 3.2.1 and 3.2.2); *authority
 * is SPAN_NONE in the first form. The other forms are CONNECT's and OPTIONS', which are refused. */
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
    if (!span_is_all(rest, ASCII_TARGET) || !span_escapes_are_valid(rest) ||
        span_equals(out->method, SPAN("CONNECT")))
        return HTTP1_BAD_TARGET;
    size_t path_len = span_find(rest, '?');
    struct span path = span_make(rest.at, path_len);
    if (path.len == 0 && authority->at != NULL)
        path = span_make(authority->at - 1, 1); /* an empty path is "/": this one */
    if (path.len == 0 || path.at[0] != '/')
        return HTTP1_BAD_TARGET;
    out->path = path;
    out->query = path_len == rest.len ? SPAN_NONE : span_from_offset(rest, path_len + 1);
    return HTTP1_OK;
}

/* The request line, except for the inside of its target. */
static enum http1_fault read_request_line(struct span line, struct http1_request *out)
{
    struct span method, rest, target, version;
    if (!span_split(line, ' ', &method, &rest) || !span_is_token(method))
        return HTTP1_BAD_LINE;
    out->method = method;
    bool has_version = span_split(rest, ' ', &target, &version);
    if (target.len == 0)
        return HTTP1_BAD_LINE;
    out->target = target;
    return has_version ? read_version(version, &out->minor_version) : HTTP1_BAD_VERSION;
}

static enum http1_fault judge_host(const struct notes *notes, struct span authority,
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
    if (authority.at != NULL && !is_same_name(authority, notes->host))
        return HTTP1_BAD_HOST;
    out->host = notes->host;
    return HTTP1_OK;
}

enum http1_fault http1_parse_request(struct span head, struct http1_request *out)
{
    struct notes notes = {0};
    struct span authority;
    enum http1_fault fault;

    CHECK(span_ends_with(head, SPAN("\r\n\r\n")));
    memset(out, 0, offsetof(struct http1_request, headers));
    out->headers.count = 0;
    out->headers.connection_names_none = false;
    while (head.len > 4 && span_starts_with(head, SPAN("\r\n")))
        head = span_from_offset(head, 2);
    if ((fault = read_request_line(take_line(&head), out)) != HTTP1_OK ||
        (fault = read_target(out, &authority)) != HTTP1_OK ||
        (fault = read_headers(head, &out->headers, &notes)) != HTTP1_OK ||
        (fault = judge_framing(&notes, out->minor_version, HTTP1_NO_BODY, &out->framing)) !=
            HTTP1_OK ||
        (fault = judge_host(&notes, authority, out)) != HTTP1_OK)
        return fault;
    out->keep_alive = judge_keep_alive(&notes, out->minor_version);
    out->expect_continue = out->minor_version == 1 && notes.expects;
    out->expect_other = out->minor_version == 1 && notes.expects_other;
    out->content_length = notes.content_length;
    return HTTP1_OK;
}

/* ---- responses ---- */

/* "HTTP/1.1 200 OK"; some servers leave out the reason and the blank before it. */
static enum http1_fault read_status_line(struct span line, struct http1_response *out)
{
    struct span version, rest, code;
    uint64_t status;
    if (!span_split(line, ' ', &version, &rest))
        return HTTP1_BAD_LINE;
    enum http1_fault fault = read_version(version, &out->minor_version);
    if (fault != HTTP1_OK)
        return fault;
    span_split(rest, ' ', &code, &out->reason);
    if (code.len != 3 || !span_parse_u64(code, &status) || status < 100)
        return HTTP1_BAD_LINE;
    out->status = (int)status;
    return HTTP1_OK;
}

/* RFC 9112 section 6.3. */
static enum http1_fault judge_body(const struct notes *notes, bool method_is_head,
                                   struct http1_response *out)
{
    enum http1_fault fault =
        judge_framing(notes, out->minor_version, HTTP1_UNTIL_CLOSE, &out->framing);
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

enum http1_fault http1_parse_response(struct span head, bool method_is_head,
                                      struct http1_response *out)
{
    struct notes notes = {0};
    enum http1_fault fault;

    CHECK(span_ends_with(head, SPAN("\r\n\r\n")));
    memset(out, 0, offsetof(struct http1_response, headers));
    out->headers.count = 0;
    out->headers.connection_names_none = false;
    if ((fault = read_status_line(take_line(&head), out)) != HTTP1_OK ||
        (fault = read_headers(head, &out->headers, &notes)) != HTTP1_OK ||
        (fault = judge_body(&notes, method_is_head, out)) != HTTP1_OK)
        return fault;
    out->keep_alive =
        out->framing != HTTP1_UNTIL_CLOSE && judge_keep_alive(&notes, out->minor_version);
    return HTTP1_OK;
}

/* ---- looking up headers ---- */

struct span http1_header_value(const struct http1_headers *headers, struct span name)
{
    for (size_t i = 0; i != headers->count; ++i)
        if (is_same_name(headers->list[i].name, name))
            return headers->list[i].value;
    return SPAN_NONE;
}

size_t http1_header_count(const struct http1_headers *headers, struct span name)
{
    size_t count = 0;
    for (size_t i = 0; i != headers->count; ++i)
        count += is_same_name(headers->list[i].name, name);
    return count;
}

bool http1_list_has(const struct http1_headers *headers, struct span name, struct span token)
{
    for (size_t i = 0; i != headers->count; ++i) {
        struct span list = headers->list[i].value, element;
        if (!is_same_name(headers->list[i].name, name))
            continue;
        while (take_element(&list, &element))
            if (is_same_name(element, token))
                return true;
    }
    return false;
}

bool http1_is_hop_by_hop(const struct http1_headers *headers, struct span name)
{
    static const struct span always[] = {
        SPAN("connection"), SPAN("keep-alive"), SPAN("te"),
        SPAN("trailer"),    SPAN("upgrade"),    SPAN("transfer-encoding"),
    };
    for (size_t i = 0; i != sizeof(always) / sizeof(always[0]); ++i)
        if (is_same_name(name, always[i]))
            return true;
    if (span_starts_with_ignore_case(name, SPAN("proxy-")))
        return true;
    return !headers->connection_names_none && http1_list_has(headers, SPAN("connection"), name);
}

/* ---- bodies ---- */

/* The place of the next byte in the chunked coding (RFC 9112 section 7.1). */
enum chunk_state {
    SIZE_FIRST, /* a chunk's size begins */
    SIZE,
    EXTENSION,
    SIZE_LF, /* CR has come */
    DATA,
    DATA_CR, /* the chunk is whole */
    DATA_LF,
    TRAILER_FIRST, /* a line after the last chunk begins */
    TRAILER_NAME,
    TRAILER_VALUE,
    TRAILER_LF,
    LAST_LF,
    BROKEN
};

void http1_body_init(struct http1_body *body, enum http1_framing framing, uint64_t content_length)
{
    bool is_length = framing == HTTP1_LENGTH;
    *body = (struct http1_body){.framing = framing, .chunk_state = SIZE_FIRST};
    body->remaining = is_length ? content_length : 0;
    body->ended = framing == HTTP1_NO_BODY || (is_length && content_length == 0);
}

bool http1_body_may_end_here(const struct http1_body *body)
{
    return body->ended || body->framing == HTTP1_UNTIL_CLOSE;
}

static enum chunk_state step_size(struct http1_body *body, char c)
{
    if (ascii_is(c, ASCII_HEX)) {
        body->remaining = body->remaining << 4 | (unsigned)ascii_hex_value(c);
        return ++body->line_bytes > SIZE_DIGITS_MAX ? BROKEN : SIZE;
    }
    if (body->chunk_state == SIZE_FIRST)
        return BROKEN;
    body->line_bytes = 0;
    return c == '\r' ? SIZE_LF : c == ';' ? EXTENSION : BROKEN;
}

static enum chunk_state step_extension(struct http1_body *body, char c)
{
    if (c == '\r')
        return SIZE_LF;
    if (!ascii_is(c, ASCII_TEXT))
        return BROKEN;
    return ++body->line_bytes > EXTENSION_MAX ? BROKEN : EXTENSION;
}

static enum chunk_state step_trailer(struct http1_body *body, char c)
{
    if (++body->trailer_bytes > TRAILERS_MAX)
        return BROKEN;
    switch (body->chunk_state) {
    case TRAILER_FIRST:
        if (c == '\r')
            return LAST_LF;
        return ascii_is(c, ASCII_TOKEN) ? TRAILER_NAME : BROKEN;
    case TRAILER_NAME:
        if (c == ':')
            return TRAILER_VALUE;
        return ascii_is(c, ASCII_TOKEN) ? TRAILER_NAME : BROKEN;
    case TRAILER_VALUE:
        if (c == '\r')
            return TRAILER_LF;
        return ascii_is(c, ASCII_TEXT) ? TRAILER_VALUE : BROKEN;
    default:
        return c == '\n' ? TRAILER_FIRST : BROKEN;
    }
}

/* One byte of the coding itself, that is, outside of DATA. */
static enum chunk_state step(struct http1_body *body, char c)
{
    switch (body->chunk_state) {
    case SIZE_FIRST:
    case SIZE:
        return step_size(body, c);
    case EXTENSION:
        return step_extension(body, c);
    case SIZE_LF:
        body->line_bytes = 0;
        if (c != '\n')
            return BROKEN;
        return body->remaining == 0 ? TRAILER_FIRST : DATA;
    case DATA_CR:
        return c == '\r' ? DATA_LF : BROKEN;
    case DATA_LF:
        return c == '\n' ? SIZE_FIRST : BROKEN;
    case LAST_LF:
        body->ended = c == '\n';
        return body->ended ? LAST_LF : BROKEN;
    default:
        return step_trailer(body, c);
    }
}

/* As much of *in as belongs to the body or chunk; in->len and remaining are not 0. */
static enum http1_body_result take_payload(struct http1_body *body, struct span *in,
                                           struct span *payload)
{
    size_t len = in->len < body->remaining ? in->len : (size_t)body->remaining;
    *payload = span_make(in->at, len);
    *in = span_from_offset(*in, len);
    body->remaining -= len;
    return HTTP1_BODY_DATA;
}

static enum http1_body_result next_chunked(struct http1_body *body, struct span *in,
                                           struct span *payload)
{
    while (in->len != 0 && body->chunk_state != BROKEN) {
        if (body->chunk_state == DATA) {
            take_payload(body, in, payload);
            if (body->remaining == 0)
                body->chunk_state = DATA_CR;
            return HTTP1_BODY_DATA;
        }
        body->chunk_state = (uint8_t)step(body, in->at[0]);
        *in = span_from_offset(*in, 1);
        if (body->ended)
            return HTTP1_BODY_END;
    }
    return body->chunk_state == BROKEN ? HTTP1_BODY_BAD : HTTP1_BODY_MORE;
}

enum http1_body_result http1_body_next(struct http1_body *body, struct span *in,
                                       struct span *payload)
{
    if (body->ended)
        return HTTP1_BODY_END;
    if (body->framing == HTTP1_CHUNKED)
        return next_chunked(body, in, payload);
    if (in->len == 0)
        return HTTP1_BODY_MORE;
    if (body->framing == HTTP1_LENGTH) {
        take_payload(body, in, payload);
        body->ended = body->remaining == 0;
        return HTTP1_BODY_DATA;
    }
    *payload = *in;
    *in = span_from_offset(*in, in->len);
    return HTTP1_BODY_DATA;
}

size_t http1_format_chunk_prefix(char out[HTTP1_CHUNK_PREFIX_SIZE], size_t len)
{
    size_t digits = 1, at;
    CHECK(len != 0);
    while (digits != 2 * sizeof(len) && len >> (4 * digits) != 0)
        ++digits;
    for (at = 0; at != digits; ++at)
        out[at] = "0123456789abcdef"[len >> (4 * (digits - 1 - at)) & 15];
    out[at++] = '\r';
    out[at++] = '\n';
    return at;
}

/* ---- texts ---- */

struct span http1_fault_text(enum http1_fault fault)
{
    switch (fault) {
    case HTTP1_OK:
        return SPAN("nothing is wrong");
    case HTTP1_BAD_LINE:
        return SPAN("the first line is malformed, or a line holds a control character or ends in a "
                    "bare LF");
    case HTTP1_BAD_VERSION:
        return SPAN("the version is neither HTTP/1.1 nor HTTP/1.0");
    case HTTP1_BAD_HEADER:
        return SPAN(
            "a header has no name, a blank before its colon, a folded value or a Connection "
            "list that is too long");
    case HTTP1_TOO_MANY_HEADERS:
        return SPAN("there are more than 100 headers");
    case HTTP1_BAD_FRAMING:
        return SPAN("Content-Length is malformed, repeated or beside Transfer-Encoding, "
                    "Transfer-Encoding is not exactly chunked, or there is a body where the "
                    "status allows none");
    case HTTP1_BAD_HOST:
        return SPAN("Host is missing, repeated, malformed or different from the target's");
    case HTTP1_BAD_TARGET:
        return SPAN("the target must be a path or an http:// URL in RFC 3986's characters");
    }
    return SPAN("unknown fault");
}

struct reason {
    int status;
    struct span text;
};

/* RFC 9110 section 15, RFC 6585, and the statuses that SageMaker returns. */
static const struct reason reasons[] = {
    {100, SPAN("Continue")},
    {200, SPAN("OK")},
    {201, SPAN("Created")},
    {202, SPAN("Accepted")},
    {203, SPAN("Non-Authoritative Information")},
    {204, SPAN("No Content")},
    {205, SPAN("Reset Content")},
    {206, SPAN("Partial Content")},
    {300, SPAN("Multiple Choices")},
    {301, SPAN("Moved Permanently")},
    {302, SPAN("Found")},
    {303, SPAN("See Other")},
    {304, SPAN("Not Modified")},
    {307, SPAN("Temporary Redirect")},
    {308, SPAN("Permanent Redirect")},
    {400, SPAN("Bad Request")},
    {401, SPAN("Unauthorized")},
    {402, SPAN("Payment Required")},
    {403, SPAN("Forbidden")},
    {404, SPAN("Not Found")},
    {405, SPAN("Method Not Allowed")},
    {406, SPAN("Not Acceptable")},
    {407, SPAN("Proxy Authentication Required")},
    {408, SPAN("Request Timeout")},
    {409, SPAN("Conflict")},
    {410, SPAN("Gone")},
    {411, SPAN("Length Required")},
    {412, SPAN("Precondition Failed")},
    {413, SPAN("Content Too Large")},
    {414, SPAN("URI Too Long")},
    {415, SPAN("Unsupported Media Type")},
    {416, SPAN("Range Not Satisfiable")},
    {417, SPAN("Expectation Failed")},
    {421, SPAN("Misdirected Request")},
    {422, SPAN("Unprocessable Content")},
    {424, SPAN("Failed Dependency")},
    {425, SPAN("Too Early")},
    {426, SPAN("Upgrade Required")},
    {428, SPAN("Precondition Required")},
    {429, SPAN("Too Many Requests")},
    {431, SPAN("Request Header Fields Too Large")},
    {451, SPAN("Unavailable For Legal Reasons")},
    {500, SPAN("Internal Server Error")},
    {501, SPAN("Not Implemented")},
    {502, SPAN("Bad Gateway")},
    {503, SPAN("Service Unavailable")},
    {504, SPAN("Gateway Timeout")},
    {505, SPAN("HTTP Version Not Supported")},
    {507, SPAN("Insufficient Storage")},
    {511, SPAN("Network Authentication Required")},
};

struct span http1_reason(int status)
{
    if (status == 200)
        return SPAN("OK");
    size_t low = 0, high = sizeof(reasons) / sizeof(reasons[0]);
    while (low != high) {
        size_t middle = low + (high - low) / 2;
        if (reasons[middle].status == status)
            return reasons[middle].text;
        if (reasons[middle].status < status)
            low = middle + 1;
        else
            high = middle;
    }
    return SPAN("Unknown");
}
