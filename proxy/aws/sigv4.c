/* Signature Version 4: string to sign, keys and their cache, and the whole in one call.
 *
 * It may not read a clock or a configuration; no secret goes anywhere but into a key. */
#include "aws/sigv4.h"

#include "aws/canonical.h"
#include "base/check.h"

#include <sys/mman.h>

enum {
    DATE_SIZE = 8, /* "20150830" */
    CACHE_ENTRIES = 8,
    CACHE_ID_MAX = 128, /* AWS: an access key id has 16 to 128 characters */
    CACHE_REGION_MAX = 63,
    CACHE_SERVICE_MAX = 32,
    STRING_TO_SIGN_MAX = 512,
};

static struct span bytes_span(const void *at, size_t len)
{
    return span_make(at, len);
}

bool sigv4_is_never_signed(struct span name)
{
    /* Hops, proxies and tracers change or drop these; the union of the SDKs' lists. */
    static const struct span names[] = {
        SPAN("authorization"),
        SPAN("cache-control"),
        SPAN("connection"),
        SPAN("expect"),
        SPAN("from"),
        SPAN("keep-alive"),
        SPAN("max-forwards"),
        SPAN("pragma"),
        SPAN("referer"),
        SPAN("te"),
        SPAN("trailer"),
        SPAN("transfer-encoding"),
        SPAN("upgrade"),
        SPAN("user-agent"),
        SPAN("x-amzn-trace-id"),
    };
    for (size_t i = 0; i != sizeof(names) / sizeof(names[0]); ++i)
        if (span_equals_ignore_case(name, names[i]))
            return true;
    return span_starts_with_ignore_case(name, SPAN("proxy-")) ||
           span_starts_with_ignore_case(name, SPAN("sec-"));
}

/* ---- stage 1 ---- */

void sigv4_append_canonical_request(const struct sigv4_request *request, struct buffer *out,
                                    struct buffer *signed_headers)
{
    struct canonical_order order;
    struct canonical_sink sink;
    struct buffer names;
    canonical_sink_init(&sink, out, NULL, NULL);
    canonical_sort_headers(request, &order);
    buffer_init(&names, SIZE_MAX / 4);
    canonical_append_signed_headers(request, &order, &names);
    canonical_write(request, &order, buffer_span(&names), &sink);
    if (signed_headers != NULL)
        buffer_append(signed_headers, buffer_span(&names));
    buffer_dispose(&names);
}

/* ---- stage 2 ---- */

static void append_scope(struct buffer *out, const char date[DATE_SIZE],
                         const struct sigv4_scope *scope)
{
    buffer_append(out, span_make(date, DATE_SIZE));
    buffer_append_char(out, '/');
    buffer_append(out, scope->region);
    buffer_append_char(out, '/');
    buffer_append(out, scope->service);
    buffer_append(out, SPAN("/aws4_request"));
}

static void append_string_to_sign(const struct sigv4_scope *scope,
                                  const char time[CLOCK_BASIC_SIZE],
                                  const unsigned char canonical_sha256[SIGV4_HASH_SIZE],
                                  struct buffer *out)
{
    buffer_append(out, SPAN("AWS4-HMAC-SHA256\n"));
    buffer_append(out, span_make(time, CLOCK_BASIC_SIZE - 1));
    buffer_append_char(out, '\n');
    append_scope(out, time, scope);
    buffer_append_char(out, '\n');
    buffer_append_hex(out, canonical_sha256, SIGV4_HASH_SIZE);
}

void sigv4_append_string_to_sign(const struct sigv4_scope *scope,
                                 const unsigned char canonical_sha256[SIGV4_HASH_SIZE],
                                 struct buffer *out)
{
    char time[CLOCK_BASIC_SIZE];
    clock_format_basic(scope->now, time);
    append_string_to_sign(scope, time, canonical_sha256, out);
}

/* ---- stage 3: keys ---- */

static void derive(const struct secret *secret_access_key, const struct sigv4_scope *scope,
                   const char date[DATE_SIZE], unsigned char key[SIGV4_HASH_SIZE])
{
    const struct span links[] = {span_make(date, DATE_SIZE), scope->region, scope->service,
                                 SPAN("aws4_request")};
    struct sha256_hmac_key hmac;
    sha256_hmac_prepare(&hmac, SPAN("AWS4"), secret_bytes(secret_access_key));
    for (size_t i = 0; i != sizeof(links) / sizeof(links[0]); ++i) {
        if (i != 0)
            sha256_hmac_prepare(&hmac, SPAN_NONE, bytes_span(key, SIGV4_HASH_SIZE));
        sha256_hmac(&hmac, links[i], key);
    }
    secret_wipe(&hmac, sizeof(hmac));
}

void sigv4_derive_key(const struct secret *secret_access_key, const struct sigv4_scope *scope,
                      unsigned char key[SIGV4_HASH_SIZE])
{
    char time[CLOCK_BASIC_SIZE];
    clock_format_basic(scope->now, time);
    derive(secret_access_key, scope, time, key);
}

struct cache_entry {
    struct sha256_hmac_key key;
    uint64_t last_use; /* 0: free */
    uint64_t generation;
    char date[DATE_SIZE];
    size_t id_len, region_len, service_len;
    char id[CACHE_ID_MAX], region[CACHE_REGION_MAX], service[CACHE_SERVICE_MAX];
};

struct sigv4_key_cache {
    uint64_t uses;
    struct canonical_memory memory; /* holds parts of session tokens */
    struct cache_entry entries[CACHE_ENTRIES];
};

struct sigv4_key_cache *sigv4_key_cache_create(void)
{
    struct sigv4_key_cache *cache =
        mmap(NULL, sizeof(*cache), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(cache != MAP_FAILED);
    (void)madvise(cache, sizeof(*cache), MADV_DONTDUMP);
    return cache;
}

void sigv4_key_cache_destroy(struct sigv4_key_cache *cache)
{
    if (cache == NULL)
        return;
    secret_wipe(cache, sizeof(*cache));
    munmap(cache, sizeof(*cache));
}

/* Whose key it is; the date and the generation may be others. */
static bool entry_is_for(const struct cache_entry *entry, const struct sigv4_scope *scope,
                         const struct sigv4_identity *identity)
{
    return entry->last_use != 0 &&
           span_equals(span_make(entry->id, entry->id_len), identity->access_key_id) &&
           span_equals(span_make(entry->region, entry->region_len), scope->region) &&
           span_equals(span_make(entry->service, entry->service_len), scope->service);
}

/* The entry to be overwritten: the same owner's with another date or generation, else the longest unused. */
static struct cache_entry *choose_victim(struct sigv4_key_cache *cache,
                                         const struct sigv4_scope *scope,
                                         const struct sigv4_identity *identity)
{
    struct cache_entry *victim = &cache->entries[0];
    for (size_t i = 0; i != CACHE_ENTRIES; ++i) {
        struct cache_entry *entry = &cache->entries[i];
        if (entry_is_for(entry, scope, identity))
            return entry;
        if (entry->last_use < victim->last_use)
            victim = entry;
    }
    return victim;
}

static void prepare_key(const struct sigv4_scope *scope, const char date[DATE_SIZE],
                        const struct sigv4_identity *identity, struct sha256_hmac_key *out)
{
    unsigned char key[SIGV4_HASH_SIZE];
    derive(identity->secret_access_key, scope, date, key);
    sha256_hmac_prepare(out, SPAN_NONE, bytes_span(key, sizeof(key)));
    secret_wipe(key, sizeof(key));
}

static const struct sha256_hmac_key *find_key(struct sigv4_key_cache *cache,
                                              const struct sigv4_scope *scope,
                                              const char date[DATE_SIZE],
                                              const struct sigv4_identity *identity)
{
    struct cache_entry *entry;
    for (size_t i = 0; i != CACHE_ENTRIES; ++i) {
        entry = &cache->entries[i];
        if (entry->generation == identity->generation &&
            memcmp(entry->date, date, DATE_SIZE) == 0 && entry_is_for(entry, scope, identity)) {
            entry->last_use = ++cache->uses;
            return &entry->key;
        }
    }
    entry = choose_victim(cache, scope, identity);
    prepare_key(scope, date, identity, &entry->key);
    entry->last_use = ++cache->uses;
    entry->generation = identity->generation;
    memcpy(entry->date, date, DATE_SIZE);
    entry->id_len = identity->access_key_id.len;
    entry->region_len = scope->region.len;
    entry->service_len = scope->service.len;
    memcpy(entry->id, identity->access_key_id.at, entry->id_len);
    memcpy(entry->region, scope->region.at, entry->region_len);
    memcpy(entry->service, scope->service.at, entry->service_len);
    return &entry->key;
}

static bool is_cacheable(const struct sigv4_scope *scope, const struct sigv4_identity *identity)
{
    return identity->access_key_id.len != 0 && identity->access_key_id.len <= CACHE_ID_MAX &&
           scope->region.len != 0 && scope->region.len <= CACHE_REGION_MAX &&
           scope->service.len != 0 && scope->service.len <= CACHE_SERVICE_MAX;
}

/* ---- all stages ---- */

static void sign(const struct sigv4_scope *scope, const char time[CLOCK_BASIC_SIZE],
                 const unsigned char canonical_sha256[SIGV4_HASH_SIZE],
                 const struct sha256_hmac_key *key, unsigned char signature[SIGV4_HASH_SIZE])
{
    char text[STRING_TO_SIGN_MAX];
    struct buffer string_to_sign;
    buffer_init_fixed(&string_to_sign, text, sizeof(text));
    append_string_to_sign(scope, time, canonical_sha256, &string_to_sign);
    CHECK(!string_to_sign.overflowed);
    sha256_hmac(key, buffer_span(&string_to_sign), signature);
}

void sigv4_append_authorization(const struct sigv4_request *request,
                                const struct sigv4_scope *scope,
                                const struct sigv4_identity *identity,
                                struct sigv4_key_cache *cache, struct buffer *out)
{
    char time[CLOCK_BASIC_SIZE]; /* its first eight bytes are the date */
    struct canonical_order order;
    struct canonical_sink sink;
    struct sha256 hash;
    unsigned char digest[SIGV4_HASH_SIZE];
    CHECK(scope->region.len + scope->service.len < STRING_TO_SIGN_MAX / 2);

    clock_format_basic(scope->now, time);
    canonical_sort_headers(request, &order);
    buffer_append(out, SPAN("AWS4-HMAC-SHA256 Credential="));
    buffer_append(out, identity->access_key_id);
    buffer_append_char(out, '/');
    append_scope(out, time, scope);
    buffer_append(out, SPAN(", SignedHeaders="));
    size_t names_at = out->len;
    canonical_append_signed_headers(request, &order, out);
    if (out->overflowed)
        return;

    canonical_sink_init(&sink, NULL, &hash, cache == NULL ? NULL : &cache->memory);
    sha256_init(&hash);
    canonical_write(request, &order, span_make(out->at + names_at, out->len - names_at), &sink);
    sha256_final(&hash, digest);

    if (cache != NULL && is_cacheable(scope, identity)) {
        sign(scope, time, digest, find_key(cache, scope, time, identity), digest);
    } else {
        struct sha256_hmac_key key;
        prepare_key(scope, time, identity, &key);
        sign(scope, time, digest, &key, digest);
        secret_wipe(&key, sizeof(key));
    }
    buffer_append(out, SPAN(", Signature="));
    buffer_append_hex(out, digest, sizeof(digest));
}
