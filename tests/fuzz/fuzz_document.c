/* Credentials as JSON: the first byte selects the form; the result is a usable set or an error. */
#include "credentials/document.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena arena;
    struct span fault = SPAN_NONE;
    if (size == 0)
        return 0;
    struct span text = span_make((const char *)data + 1, size - 1);
    arena_init(&arena, 1024);
    struct credentials *set =
        document_read_set((enum document_form)(data[0] % 4), text, SPAN("fuzz"), &arena, &fault);
    CHECK(set == NULL ? fault.len != 0
                      : set->access_key_id[0] != '\0' && !secret_is_empty(&set->secret_access_key));
    credentials_release(set);
    struct secret token = SECRET_EMPTY;
    struct wall_time expires;
    if (document_read_sso_token(text, &token, &expires, &arena, &fault))
        secret_dispose(&token);
    CHECK(document_error_text(text, SPAN_NONE, &arena).len <= 256);
    arena_dispose(&arena);
    return 0;
}
