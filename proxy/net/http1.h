/* HTTP/1.1 and 1.0 messages, sans-I/O: heads, framing, chunked coding.
 *
 * Bytes in, spans out: no memory of its own, no I/O, no clock. All spans point into the caller's
 * bytes. Source: RFC 9112 (HTTP/1.1), RFC 9110 (semantics); strict wherever they allow leniency. */
#ifndef SAGEGATE_NET_HTTP1_H
#define SAGEGATE_NET_HTTP1_H

#include "base/check.h"
#include "base/span.h"

enum { HTTP1_HEADERS_MAX = 100, HTTP1_CHUNK_PREFIX_SIZE = 20 };

struct http1_header {
    struct span name;  /* as received, a token (RFC 9110 section 5.6.2) */
    struct span value; /* trimmed; no control characters except tab; bytes >= 0x80 pass */
};

struct http1_headers {
    struct http1_header list[HTTP1_HEADERS_MAX];
    size_t count;
    bool connection_names_none; /* private: Connection names no header */
};

enum http1_framing {
    HTTP1_NO_BODY,
    HTTP1_LENGTH, /* Content-Length, also 0 */
    HTTP1_CHUNKED,
    HTTP1_UNTIL_CLOSE, /* responses only; never with keep_alive */
};

/* Why a head is refused. */
enum http1_fault {
    HTTP1_OK,
    /* The request or status line; what http1_scan_head refuses counts as this. */
    HTTP1_BAD_LINE,
    /* Not HTTP/1.0 or HTTP/1.1. */
    HTTP1_BAD_VERSION,
    /* No name, a blank before ':', a folded line; more than 512 bytes of Connection (each header is
     * looked up in its list). */
    HTTP1_BAD_HEADER,
    HTTP1_TOO_MANY_HEADERS,
    /* Content-Length repeated, beside Transfer-Encoding or not 1 to 18 digits; a coding other than
     * exactly "chunked" (case ignored); Transfer-Encoding in HTTP/1.0; a response 1xx or 204 that
     * claims a body; 101 (nothing asked for it). */
    HTTP1_BAD_FRAMING,
    /* Missing (1.1), repeated, malformed, or other than the absolute-form target's. A host is a
     * name (letters, digits, '-' '.' '_' '~'), an IPv4 or a bracketed IPv6 address, perhaps with a
     * port; no user information, no '%'. */
    HTTP1_BAD_HOST,
    /* Not origin-form or absolute-form http://, a character outside RFC 3986, '%' without two hex
     * digits, a fragment; method CONNECT. */
    HTTP1_BAD_TARGET
};
/* For people: "Content-Length is malformed, ..." and so on, ending in NUL. */
struct span http1_fault_text(enum http1_fault fault);

struct http1_request {
    struct span method; /* a token, in its own case */
    struct span target; /* as received */
    struct span path;   /* origin-form without the query; starts with '/'; "*" is refused */
    struct span query;  /* without '?'; SPAN_NONE if there is no '?' */
    struct span host;  /* Host's value with its port; in HTTP/1.0 without it the target's or NONE */
    int minor_version; /* 0 or 1 */
    bool keep_alive;   /* by version and Connection */
    bool expect_continue; /* HTTP/1.1 and "100-continue" (case ignored) */
    bool expect_other;    /* HTTP/1.1 and any other expectation: 417 */
    enum http1_framing framing;
    uint64_t content_length; /* with HTTP1_LENGTH; below 10^18 */
    struct http1_headers headers;
};

struct http1_response {
    int minor_version;
    int status;         /* 100..999, never 101 */
    struct span reason; /* may be empty; the blank before it may be missing */
    bool keep_alive;    /* by version, Connection and framing */
    enum http1_framing framing;
    uint64_t content_length; /* of the header, also with HTTP1_NO_BODY (HEAD, 304) */
    struct http1_headers headers;
};

/* Looks for the end of a head in `bytes`, all that has come so far. *scanned is how far earlier
 * calls have looked (0 at first). Returns the head's length with its blank line, 0 while it is
 * incomplete, -1 as soon as it cannot become one: a bare LF or CR, a NUL, or a control character
 * other than tab. Up to two empty lines (CRLF) before the head count as part of it;
 * http1_parse_request skips them (RFC 9112 section 2.2), http1_parse_response refuses them. */
long http1_scan_head(struct span bytes, size_t *scanned);
/* Whether `bytes`, not yet a whole head, are only such empty lines. Old clients send one after a
 * body: a connection on which nothing else has come is idle, and gets no response. */
bool http1_is_before_head(struct span bytes);

/* `head` is a whole head as measured by http1_scan_head, which has checked its control characters.
 * On a fault only method, target and headers hold what was read so far (for the access line). */
MUST_USE enum http1_fault http1_parse_request(struct span head, struct http1_request *out);
/* method_is_head: the request's method was HEAD (or CONNECT, and the response is 2xx), so there is
 * no body whatever the headers say. 1xx, 204 and 304 have none either. The caller skips 1xx
 * responses, and limits their number. On a fault only status and headers hold what was read so
 * far. */
MUST_USE enum http1_fault http1_parse_response(struct span head, bool method_is_head,
                                               struct http1_response *out);

/* The value of the first header of that name (case ignored), or SPAN_NONE. */
struct span http1_header_value(const struct http1_headers *headers, struct span name);
size_t http1_header_count(const struct http1_headers *headers, struct span name);
/* Whether `name` is hop-by-hop (RFC 9110 section 7.6.1: connection, keep-alive, proxy-*, te,
 * trailer, transfer-encoding, upgrade) or named by a Connection header of `headers`. */
bool http1_is_hop_by_hop(const struct http1_headers *headers, struct span name);
/* Whether `token` (case ignored) is an element of a header `name`, a list such as Connection. */
bool http1_list_has(const struct http1_headers *headers, struct span name, struct span token);

/* The state of a body being decoded. */
struct http1_body {
    enum http1_framing framing;
    uint64_t remaining;     /* bytes of the body, or of the chunk, still to come */
    uint8_t chunk_state;    /* private */
    uint16_t line_bytes;    /* private: bytes of the chunk line so far, capped */
    uint16_t trailer_bytes; /* private: bytes of trailers (dropped) so far, capped at 8 KiB */
    bool ended;             /* whole; with HTTP1_LENGTH set with the last HTTP1_BODY_DATA */
};

enum http1_body_result {
    HTTP1_BODY_MORE, /* *in is used up; more is needed */
    HTTP1_BODY_DATA, /* *payload is the next run of the body (not empty); call again */
    HTTP1_BODY_END,  /* the body is whole; *in is what follows it */
    HTTP1_BODY_BAD,  /* chunk size malformed (hex digits only, at most 15), an extension over 256
                        bytes, a bare LF or CR, a control character, missing CRLF after a chunk, a
                        trailer without name or too many of them; every later call repeats it */
};

void http1_body_init(struct http1_body *body, enum http1_framing framing, uint64_t content_length);
/* Takes bytes from the front of *in. *payload, which points into them, is set with HTTP1_BODY_DATA
 * only. */
enum http1_body_result http1_body_next(struct http1_body *body, struct span *in,
                                       struct span *payload);
/* Whether a body is whole if the peer closes now: HTTP1_UNTIL_CLOSE, or one that has ended. */
bool http1_body_may_end_here(const struct http1_body *body);

/* Writes "1a2b\r\n" and returns its length. len > 0. */
size_t http1_format_chunk_prefix(char out[HTTP1_CHUNK_PREFIX_SIZE], size_t len);
/* "OK", "Bad Request", ...; "Unknown" for a status without a name. */
struct span http1_reason(int status);

#endif
