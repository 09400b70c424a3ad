// links: net
/* Arbitrary bytes as a proxy's response to CONNECT, whole and in single bytes: only one well-
 * formed 2xx head with nothing after it opens the tunnel; a reason is bounded text. */
#include "net/http1.h"
#include "net/tunnel.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

static enum tunnel_result take(struct span input, size_t piece, size_t *used)
{
    struct tunnel tunnel;
    enum tunnel_result result = TUNNEL_MORE;
    tunnel_init(&tunnel);
    for (*used = 0; *used < input.len && result == TUNNEL_MORE;) {
        size_t n = input.len - *used < piece ? input.len - *used : piece;
        result = tunnel_take(&tunnel, span_make(input.at + *used, n));
        *used += n;
    }
    if (result == TUNNEL_REFUSED) {
        size_t why = strnlen(tunnel.why, TUNNEL_WHY_SIZE);
        CHECK(why != 0 && why < TUNNEL_WHY_SIZE);
    }
    tunnel_dispose(&tunnel);
    return result;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    struct span input = span_make((const char *)bytes, len);
    size_t used, pieces_used;
    if (len == 0)
        return 0;
    enum tunnel_result whole = take(input, len, &used);
    enum tunnel_result pieces = take(input, 1, &pieces_used);
    CHECK(pieces_used <= TUNNEL_HEAD_MAX + 1);
    if (whole == TUNNEL_MORE)
        CHECK(pieces == TUNNEL_MORE);
    if (whole != TUNNEL_OPEN)
        return 0;
    CHECK(pieces == TUNNEL_OPEN && pieces_used == len);
    CHECK(len > 12 && span_starts_with(input, SPAN("HTTP/1.")) && input.at[9] == '2');
    CHECK(span_ends_with(input, SPAN("\r\n\r\n")) || span_ends_with(input, SPAN("\n\n")));
    return 0;
}
