/* The signer over arbitrary bytes: it terminates, reads nothing beyond the input, and its stages
 * agree with the one-call form.
 *
 * Input: one byte of flags, then method, path, query and headers, each terminated by LF. */
#include <stdlib.h>

#include "aws/sha256.h"
#include "aws/sigv4.h"
#include "base/check.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

static struct span take_line(struct span *rest)
{
    struct span line;
    (void)span_split(*rest, '\n', &line, rest);
    return line;
}

/* Returns the signature from the stages that `sagegate sign` shows. */
static void sign_by_stages(const struct sigv4_request *request, const struct sigv4_scope *scope,
                           const struct secret *secret, struct buffer *signed_headers,
                           struct buffer *hex)
{
    struct buffer canonical, text;
    unsigned char digest[SIGV4_HASH_SIZE], key[SIGV4_HASH_SIZE];
    struct sha256_hmac_key hmac;
    buffer_init(&canonical, SIZE_MAX / 4);
    buffer_init(&text, 4096);
    sigv4_append_canonical_request(request, &canonical, signed_headers);
    sha256_of(buffer_span(&canonical), digest);
    sigv4_append_string_to_sign(scope, digest, &text);
    sigv4_derive_key(secret, scope, key);
    sha256_hmac_prepare(&hmac, SPAN_NONE, span_make((const char *)key, sizeof(key)));
    sha256_hmac(&hmac, buffer_span(&text), digest);
    buffer_append_hex(hex, digest, sizeof(digest));
    buffer_dispose(&text);
    buffer_dispose(&canonical);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    struct sigv4_header headers[SIGV4_HEADERS_MAX];
    struct sigv4_request request = {.headers = headers};
    struct span rest = span_make((const char *)bytes, len);
    if (len == 0)
        return 0;
    request.normalize_path = (bytes[0] & 1) != 0;
    request.encode_path = (bytes[0] & 2) != 0;
    rest = span_from_offset(rest, 1);
    request.method = take_line(&rest);
    request.path = take_line(&rest);
    request.query = take_line(&rest);
    while (rest.len != 0 && request.header_count != SIGV4_HEADERS_MAX) {
        struct sigv4_header *header = &headers[request.header_count++];
        struct span line = take_line(&rest);
        (void)span_split(line, ':', &header->name, &header->value);
        (void)sigv4_is_never_signed(header->name);
    }

    const struct sigv4_scope scope = {SPAN("us-east-1"), SPAN("sagemaker"), {1440938160000000}};
    struct secret secret = secret_copy(SPAN("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"));
    const struct sigv4_identity identity = {.access_key_id = SPAN("AKIDEXAMPLE"),
                                            .secret_access_key = &secret};
    static struct sigv4_key_cache *cache; /* shared between runs, like a worker's */
    struct buffer authorization, cached, names, hex;
    if (cache == NULL)
        cache = sigv4_key_cache_create();
    buffer_init(&authorization, SIZE_MAX / 4);
    buffer_init(&cached, SIZE_MAX / 4);
    buffer_init(&names, SIZE_MAX / 4);
    buffer_init(&hex, 64);
    sign_by_stages(&request, &scope, &secret, &names, &hex);
    sigv4_append_authorization(&request, &scope, &identity, NULL, &authorization);
    CHECK(span_ends_with(buffer_span(&authorization), buffer_span(&hex)));
    sigv4_append_authorization(&request, &scope, &identity, cache, &cached);
    CHECK(span_equals(buffer_span(&authorization), buffer_span(&cached)));
    buffer_dispose(&authorization);
    buffer_dispose(&cached);
    buffer_dispose(&names);
    buffer_dispose(&hex);
    secret_dispose(&secret);
    return 0;
}
