/* STS responses: the result is a usable set or an error; texts are printable and short. */
#include "credentials/sts.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena arena;
    struct span fault = SPAN_NONE;
    struct sts_response answer;
    arena_init(&arena, 1024);
    struct credentials *set =
        sts_read_set(span_make((const char *)data, size), SPAN("fuzz"), &arena, &answer, &fault);
    CHECK(set == NULL ? fault.len != 0 : set->expires.us != 0 && set->access_key_id[0] != '\0');
    CHECK(answer.error_code.len <= 512 && answer.error_message.len <= 512);
    credentials_release(set);
    arena_dispose(&arena);
    return 0;
}
