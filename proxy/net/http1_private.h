/* What the http1_*.c files share: classes of bytes, and what header lines say of the message. */
#ifndef SAGEGATE_NET_HTTP1_PRIVATE_H
#define SAGEGATE_NET_HTTP1_PRIVATE_H

#include "net/http1.h"

enum {
    HTTP1_CHAR_TOKEN = 1,  /* tchar: RFC 9110 section 5.6.2 */
    HTTP1_CHAR_TARGET = 2, /* pchar, '/' and '?': RFC 3986 sections 3.3 and 3.4 */
    HTTP1_CHAR_HOST = 4,   /* unreserved: what a name in DNS or a hosts file is made of */
    HTTP1_CHAR_HEX = 8,
    HTTP1_CHAR_TEXT =
        16 /* a field's value, a reason, a chunk extension: no control character but tab */
};
extern const uint8_t http1_char_classes[256];

static inline bool http1_char_is(char c, unsigned classes)
{
    return (http1_char_classes[(unsigned char)c] & classes) != 0;
}

static inline bool http1_all_are(struct span s, unsigned classes)
{
    for (size_t i = 0; i != s.len; ++i)
        if (!http1_char_is(s.at[i], classes))
            return false;
    return true;
}

/* Case ignored; the length first, for most names differ in it. */
static inline bool http1_same_name(struct span a, struct span b)
{
    return a.len == b.len && span_equals_ignore_case(a, b);
}

/* Gathered from all header lines; judged once all are read. */
struct http1_notes {
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

/* `lines` are the header lines with the empty line that ends them. */
MUST_USE enum http1_fault http1_read_headers(struct span lines, struct http1_headers *out,
                                             struct http1_notes *notes);

/* HTTP1_OK with framing LENGTH, CHUNKED or, where no header says anything, `otherwise`. */
MUST_USE enum http1_fault http1_judge_framing(const struct http1_notes *notes, int minor_version,
                                              enum http1_framing otherwise,
                                              enum http1_framing *framing);

static inline bool http1_judge_keep_alive(const struct http1_notes *notes, int minor_version)
{
    return !notes->close && (minor_version == 1 || notes->keep_alive);
}

/* "HTTP/1.0" or "HTTP/1.1", nothing else. */
MUST_USE enum http1_fault http1_read_version(struct span s, int *minor_version);

/* Takes the first line off *rest, without its CRLF. `rest` ends in CRLF. */
static inline struct span http1_take_line(struct span *rest)
{
    size_t len = span_find(*rest, '\r');
    struct span line = span_make(rest->at, len);
    CHECK(len + 2 <= rest->len);
    *rest = span_from_offset(*rest, len + 2);
    return line;
}

#endif
