/* Checks sets when they are made, and wipes them with their last reference. */
#include "credentials/credentials.h"

#include <stdlib.h>

/* Allows visible ASCII but for the bytes of `refused`; *fault names the first other byte. */
static bool check_part(struct span name, struct span value, size_t max, const char *refused,
                       struct arena *arena, struct span *fault)
{
    if (value.len > max) {
        *fault = arena_printf(arena, "%.*s has %zu characters; the maximum is %zu", SPAN_ARG(name),
                              value.len, max);
        return false;
    }
    for (size_t i = 0; i != value.len; ++i) {
        unsigned char c = (unsigned char)value.at[i];
        if (c > 0x20 && c < 0x7f && strchr(refused, c) == NULL)
            continue;
        const char *what = c == '\n' || c == '\r'  ? "a line break"
                           : c == ' '              ? "a space"
                           : c < 0x20 || c == 0x7f ? "a control character"
                           : c >= 0x80             ? "a non-ASCII byte"
                                                   : "a '/', ',' or '='";
        *fault = arena_printf(arena, "%.*s has %s at position %zu of %zu", SPAN_ARG(name), what,
                              i + 1, value.len);
        return false;
    }
    return true;
}

static bool check_parts(const struct credentials_parts *parts, struct arena *arena,
                        struct span *fault)
{
    if (parts->access_key_id.len == 0) {
        *fault = SPAN("AccessKeyId is missing or empty");
        return false;
    }
    if (parts->secret_access_key.len == 0) {
        *fault = SPAN("SecretAccessKey is missing or empty");
        return false;
    }
    return check_part(SPAN("AccessKeyId"), parts->access_key_id, CREDENTIALS_KEY_ID_MAX,
                      "/,=", arena, fault) &&
           check_part(SPAN("SecretAccessKey"), parts->secret_access_key, CREDENTIALS_SECRET_MAX, "",
                      arena, fault) &&
           check_part(SPAN("SessionToken"), parts->session_token, CREDENTIALS_TOKEN_MAX, "", arena,
                      fault);
}

struct credentials *credentials_create(const struct credentials_parts *parts, struct arena *arena,
                                       struct span *fault)
{
    if (!check_parts(parts, arena, fault))
        return NULL;
    struct credentials *credentials = calloc(1, sizeof(*credentials));
    CHECK(credentials != NULL);
    atomic_init(&credentials->references, 1);
    memcpy(credentials->access_key_id, parts->access_key_id.at, parts->access_key_id.len);
    credentials->secret_access_key = secret_copy(parts->secret_access_key);
    credentials->session_token = secret_copy(parts->session_token);
    credentials->expires = parts->expires;
    credentials->source = parts->source;
    return credentials;
}

struct credentials *credentials_retain(struct credentials *credentials)
{
    atomic_fetch_add_explicit(&credentials->references, 1, memory_order_relaxed);
    return credentials;
}

void credentials_release(struct credentials *credentials)
{
    if (credentials == NULL)
        return;
    int before = atomic_fetch_sub_explicit(&credentials->references, 1, memory_order_acq_rel);
    CHECK(before >= 1);
    if (before != 1)
        return;
    secret_dispose(&credentials->secret_access_key);
    secret_dispose(&credentials->session_token);
    secret_wipe(credentials->access_key_id, sizeof(credentials->access_key_id));
    free(credentials);
}

bool credentials_parse_expires(struct span text, struct wall_time *out)
{
    if (!clock_parse_rfc3339(text, out))
        return false;
    if (out->us == 0)
        out->us = -1;
    return true;
}

struct span credentials_key_id_tail(const struct credentials *credentials)
{
    struct span id = span_from(credentials->access_key_id);
    size_t shown = id.len >= 8 ? 4 : id.len / 2;
    return span_from_offset(id, id.len - shown);
}

bool credentials_is_same(const struct credentials *a, const struct credentials *b)
{
    return a->expires.us == b->expires.us &&
           span_equals(span_from(a->access_key_id), span_from(b->access_key_id)) &&
           span_equals(secret_bytes(&a->secret_access_key), secret_bytes(&b->secret_access_key)) &&
           span_equals(secret_bytes(&a->session_token), secret_bytes(&b->session_token));
}

void credentials_describe(const struct credentials *credentials, struct wall_time now,
                          struct buffer *out)
{
    buffer_append(out, credentials->source);
    buffer_append(out, SPAN(": key id ..."));
    buffer_append(out, credentials_key_id_tail(credentials));
    if (credentials->expires.us == 0)
        return;
    char expires[CLOCK_RFC3339_SIZE];
    clock_format_rfc3339(credentials->expires, expires);
    buffer_append(out, credentials->expires.us > now.us ? SPAN(", expires ") : SPAN(", expired "));
    buffer_append(out, span_from(expires));
}
