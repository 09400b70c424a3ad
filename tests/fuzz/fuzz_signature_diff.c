/* The text of a signature error against the request that was sent: the result is one line for
 * any text. */
// links: gateway observe credentials net
#include "gateway/signature_diff.h"

static const char head[] =
    "POST /e HTTP/1.1\r\nhost: h\r\nx-amzn-sagemaker-session-id: hunter2\r\n"
    "Authorization: AWS4-HMAC-SHA256 Credential=AKID/20150830/us-east-1/sagemaker/aws4_request, "
    "SignedHeaders=host;x-amzn-sagemaker-session-id, Signature=00\r\n\r\n";

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const unsigned char hash[32] = {1};
    struct arena arena;
    arena_init(&arena, 1024);
    struct span cause =
        signature_diff(span_from(head), hash, span_make((const char *)data, size), &arena);
    CHECK(cause.len != 0 && memchr(cause.at, '\n', cause.len) == NULL);
    arena_dispose(&arena);
    return 0;
}
