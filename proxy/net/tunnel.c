/* CONNECT through an HTTP proxy. */
#include "net/tunnel.h"

#include "net/http1.h"

#include <stdio.h>

void tunnel_init(struct tunnel *tunnel)
{
    *tunnel = (struct tunnel){.scanned = 0};
    buffer_init(&tunnel->in, TUNNEL_HEAD_MAX);
}

void tunnel_dispose(struct tunnel *tunnel)
{
    buffer_dispose(&tunnel->in);
}

void tunnel_append_request(struct span authority, struct span authorization, struct buffer *out)
{
    buffer_append(out, SPAN("CONNECT "));
    buffer_append(out, authority);
    buffer_append(out, SPAN(" HTTP/1.1\r\nHost: "));
    buffer_append(out, authority);
    if (authorization.len != 0) {
        buffer_append(out, SPAN("\r\nProxy-Authorization: "));
        buffer_append(out, authorization);
    }
    buffer_append(out, SPAN("\r\n\r\n"));
}

static enum tunnel_result refuse(struct tunnel *tunnel, const char *why)
{
    snprintf(tunnel->why, sizeof(tunnel->why), "%s", why);
    return TUNNEL_REFUSED;
}

enum tunnel_result tunnel_take(struct tunnel *tunnel, struct span bytes)
{
    struct http1_response head;
    buffer_append(&tunnel->in, bytes);
    if (tunnel->in.overflowed)
        return refuse(tunnel, "the proxy's response is larger than 8 KiB");
    long len = http1_scan_head(buffer_span(&tunnel->in), &tunnel->scanned);
    if (len == 0)
        return TUNNEL_MORE;
    /* A 2xx response to CONNECT has no body, whatever its headers say: parsed like one to HEAD. */
    if (len < 0 ||
        http1_parse_response(span_make(tunnel->in.at, (size_t)len), true, &head) != HTTP1_OK)
        return refuse(tunnel, "the proxy's response is not well-formed HTTP/1.1");
    if (head.status < 200 || head.status > 299) {
        snprintf(tunnel->why, sizeof(tunnel->why), "the proxy returned %d %.*s", head.status,
                 head.reason.len > 40 ? 40 : (int)head.reason.len, head.reason.at);
        return TUNNEL_REFUSED;
    }
    if ((size_t)len != tunnel->in.len)
        return refuse(tunnel, "the proxy sent more than its response");
    return TUNNEL_OPEN;
}
