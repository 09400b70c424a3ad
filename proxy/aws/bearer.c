/* Makes and caches bearer tokens. */
#include "aws/bearer.h"

#include "aws/sha256.h"
#include "base/check.h"

#include <openssl/evp.h>
#include <stdlib.h>

#define HOST "sagemaker.amazonaws.com"

enum {
    ENTRIES = 8,
    ID_MAX = 128,
    REGION_MAX = 63,
    URL_MAX = 64 * 1024, /* a session token has up to 16 KiB, three times that when encoded */
};

/* In the order of signing. */
static void append_query(const struct sigv4_identity *identity, const struct sigv4_scope *scope,
                         const char time[CLOCK_BASIC_SIZE], unsigned life_s, struct buffer *out)
{
    buffer_append(
        out, SPAN("Action=CallWithBearerToken&X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential="));
    buffer_append_percent_encoded(out, identity->access_key_id);
    buffer_append(out, SPAN("%2F"));
    buffer_append(out, span_make(time, 8));
    buffer_append(out, SPAN("%2F"));
    buffer_append_percent_encoded(out, scope->region);
    buffer_append(out, SPAN("%2F"));
    buffer_append_percent_encoded(out, scope->service);
    buffer_append(out, SPAN("%2Faws4_request&X-Amz-Date="));
    buffer_append(out, span_make(time, CLOCK_BASIC_SIZE - 1));
    buffer_append(out, SPAN("&X-Amz-Expires="));
    buffer_append_u64(out, life_s);
    if (!secret_is_empty(identity->session_token)) {
        buffer_append(out, SPAN("&X-Amz-Security-Token="));
        buffer_append_percent_encoded(out, secret_bytes(identity->session_token));
    }
    buffer_append(out, SPAN("&X-Amz-SignedHeaders=host"));
}

void bearer_append(const struct sigv4_identity *identity, const struct sigv4_scope *scope,
                   unsigned life_s, struct buffer *out)
{
    static const struct span lead = SPAN(HOST "/?");
    const struct sigv4_header host = {SPAN("host"), SPAN(HOST)};
    struct sigv4_request request = {.method = SPAN("POST"),
                                    .path = SPAN("/"),
                                    .headers = &host,
                                    .header_count = 1,
                                    .normalize_path = true,
                                    .encode_path = true};
    char time[CLOCK_BASIC_SIZE];
    struct buffer url;
    clock_format_basic(scope->now, time);
    sha256_of(SPAN(""), request.body_sha256);
    buffer_init(&url, URL_MAX);
    (void)buffer_reserve(&url, URL_MAX); /* growing would leave copies of the session token */
    buffer_append(&url, lead);
    append_query(identity, scope, time, life_s, &url);
    request.query = span_from_offset(buffer_span(&url), lead.len);
    buffer_append(&url, SPAN("&X-Amz-Signature="));
    sigv4_append_signature(&request, scope, identity, &url);
    buffer_append(&url, SPAN("&Version=1")); /* not signed */
    CHECK(!url.overflowed);

    buffer_append(out, SPAN("sagemaker-api-key-"));
    char *at = buffer_reserve(out, (url.len + 2) / 3 * 4 + 1);
    if (at != NULL)
        buffer_take(out, (size_t)EVP_EncodeBlock((unsigned char *)at, (const unsigned char *)url.at,
                                                 (int)url.len));
    secret_wipe(url.at, url.len);
    buffer_dispose(&url);
}

/* ---- the cache ---- */

struct entry {
    struct secret token; /* empty: a free entry */
    uint64_t last_use, generation;
    struct wall_time minted, ends;
    size_t id_len, region_len;
    char id[ID_MAX], region[REGION_MAX];
};

struct bearer_cache {
    uint64_t uses;
    struct entry entries[ENTRIES];
};

struct bearer_cache *bearer_cache_create(void)
{
    struct bearer_cache *cache = calloc(1, sizeof(*cache));
    CHECK(cache != NULL);
    return cache;
}

void bearer_cache_wipe(struct bearer_cache *cache)
{
    for (size_t i = 0; i != ENTRIES; ++i)
        secret_dispose(&cache->entries[i].token);
}

void bearer_cache_destroy(struct bearer_cache *cache)
{
    if (cache != NULL)
        bearer_cache_wipe(cache);
    free(cache);
}

/* Returns the identity's own entry, else the least recently used. */
static struct entry *find(struct bearer_cache *cache, const struct sigv4_identity *identity,
                          struct span region)
{
    struct entry *oldest = &cache->entries[0];
    for (size_t i = 0; i != ENTRIES; ++i) {
        struct entry *entry = &cache->entries[i];
        if (span_equals(span_make(entry->id, entry->id_len), identity->access_key_id) &&
            span_equals(span_make(entry->region, entry->region_len), region))
            return entry;
        if (entry->last_use < oldest->last_use)
            oldest = entry;
    }
    return oldest;
}

static bool is_good(const struct entry *entry, const struct sigv4_identity *identity,
                    const struct sigv4_scope *scope)
{
    return !secret_is_empty(&entry->token) && entry->generation == identity->generation &&
           span_equals(span_make(entry->id, entry->id_len), identity->access_key_id) &&
           span_equals(span_make(entry->region, entry->region_len), scope->region) &&
           scope->now.us >= entry->minted.us &&
           scope->now.us + BEARER_RENEW_S * INT64_C(1000000) <= entry->ends.us;
}

static void mint(struct entry *entry, const struct sigv4_identity *identity,
                 const struct sigv4_scope *scope, struct wall_time expires)
{
    int64_t life_s = BEARER_LIFE_S;
    struct buffer token;
    if (expires.us != 0 && (expires.us - scope->now.us) / 1000000 < life_s)
        life_s = (expires.us - scope->now.us) / 1000000;
    if (life_s < 1)
        life_s = 1;
    CHECK(identity->access_key_id.len <= ID_MAX && scope->region.len <= REGION_MAX);
    buffer_init(&token, 2 * URL_MAX);
    bearer_append(identity, scope, (unsigned)life_s, &token);
    CHECK(!token.overflowed);
    secret_dispose(&entry->token);
    entry->token = secret_copy(buffer_span(&token));
    secret_wipe(token.at, token.len);
    buffer_dispose(&token);
    entry->generation = identity->generation;
    entry->minted = scope->now;
    entry->ends.us = scope->now.us + life_s * 1000000;
    entry->id_len = identity->access_key_id.len;
    entry->region_len = scope->region.len;
    memcpy(entry->id, identity->access_key_id.at, entry->id_len);
    memcpy(entry->region, scope->region.at, entry->region_len);
}

struct span bearer_get(struct bearer_cache *cache, const struct sigv4_identity *identity,
                       const struct sigv4_scope *scope, struct wall_time expires)
{
    struct entry *entry = find(cache, identity, scope->region);
    if (!is_good(entry, identity, scope))
        mint(entry, identity, scope, expires);
    entry->last_use = ++cache->uses;
    return secret_bytes(&entry->token);
}
