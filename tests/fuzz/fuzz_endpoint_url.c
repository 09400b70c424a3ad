/* Custom endpoint URLs of arbitrary bytes: an accepted URL is plain and parses to itself. */
#include "aws/endpoint.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    struct arena arena;
    struct endpoint_url url, again;
    struct span fault = SPAN_NONE, text = span_make((const char *)bytes, len);
    arena_init(&arena, 1024);
    if (endpoint_region_is_valid(text)) {
        const struct endpoint_options options = {text, (len & 1) != 0, (len & 2) != 0};
        CHECK(endpoint_host(&options, &arena).len > len);
    }
    if (!endpoint_parse_url(text, &arena, &url, &fault)) {
        CHECK(fault.len != 0);
        arena_dispose(&arena);
        return 0;
    }
    CHECK(fault.at == NULL && url.host.len != 0 && url.host.len <= 253 && url.port != 0);
    for (size_t i = 0; i != url.authority.len; ++i) {
        char c = url.authority.at[i];
        CHECK((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || strchr("-._:[]", c) != NULL);
    }
    struct span whole =
        arena_printf(&arena, "%s://%.*s/", url.tls ? "https" : "http", SPAN_ARG(url.authority));
    CHECK(endpoint_parse_url(whole, &arena, &again, &fault));
    CHECK(again.tls == url.tls && again.port == url.port && again.loopback == url.loopback);
    CHECK(span_equals(again.host, url.host) && span_equals(again.authority, url.authority));
    arena_dispose(&arena);
    return 0;
}
