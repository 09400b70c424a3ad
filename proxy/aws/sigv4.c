/* Signature Version 4: canonical request, string to sign, keys and their cache.
 *
 * The fast path of a call (a plain path, no query, few headers) allocates nothing; normalising a
 * path and sorting a query may. */
#include "aws/sigv4.h"

#include "aws/sha256.h"
#include "base/check.h"

#include <stdlib.h>
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
    /* Hops, proxies and tracers change or drop these. Source: the union of the SDKs' lists. */
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

/* ---- stage 1: the canonical request, written into a buffer or a hash ---- */

enum { SINK_SIZE = 512 };

/* Gathers small pieces, so that neither buffer nor hash is called byte by byte. Holds pieces of
 * the session token. */
struct sink {
    struct buffer *out; /* NULL: the bytes go into hash */
    struct sha256 hash;
    size_t used;
    char gathered[SINK_SIZE];
};

static void flush(struct sink *sink)
{
    struct span gathered = span_make(sink->gathered, sink->used);
    if (sink->out != NULL)
        buffer_append(sink->out, gathered);
    else
        sha256_update(&sink->hash, gathered);
    sink->used = 0;
}

static inline void put(struct sink *sink, struct span bytes)
{
    size_t room;
    while (bytes.len > (room = SINK_SIZE - sink->used)) {
        memcpy(sink->gathered + sink->used, bytes.at, room);
        sink->used = SINK_SIZE;
        flush(sink);
        bytes = span_from_offset(bytes, room);
    }
    if (bytes.len != 0)
        memcpy(sink->gathered + sink->used, bytes.at, bytes.len);
    sink->used += bytes.len;
}

static inline void put_char(struct sink *sink, char c)
{
    if (sink->used == SINK_SIZE)
        flush(sink);
    sink->gathered[sink->used++] = c;
}

static void put_hex(struct sink *sink, const unsigned char *bytes, size_t len,
                    const char digits[static 16])
{
    char text[2 * SIGV4_HASH_SIZE], *at = text;
    CHECK(len <= SIGV4_HASH_SIZE);
    for (size_t i = 0; i != len; ++i) {
        *at++ = digits[bytes[i] >> 4];
        *at++ = digits[bytes[i] & 15];
    }
    put(sink, span_make(text, len * 2));
}

/* ---- percent-encoding ---- */

static void put_encoded(struct sink *sink, struct span s, bool keep_slash)
{
    for (size_t i = 0; i != s.len; ++i) {
        unsigned char byte = (unsigned char)s.at[i];
        if (ascii_is_unreserved(s.at[i]) || (keep_slash && byte == '/')) {
            put_char(sink, s.at[i]);
        } else {
            put_char(sink, '%');
            put_hex(sink, &byte, 1, "0123456789ABCDEF");
        }
    }
}

/* ---- the path ---- */

/* Whether neither normalising nor encoding would change the path. */
static bool path_is_plain(struct span path)
{
    if (path.len == 0 || path.at[0] != '/')
        return false;
    char before = ' ';
    for (size_t i = 0; i != path.len; ++i) {
        char c = path.at[i];
        if (before == '/' && (c == '/' || c == '.'))
            return false;
        if (!ascii_is_unreserved(c) && c != '/')
            return false;
        before = c;
    }
    return true;
}

/* Drops empty and "." segments, resolves ".." but never above the root, keeps a final slash if
 * anything is left. Source: botocore.utils.normalize_url_path. */
static void normalize(struct span path, struct buffer *out)
{
    struct span segment, rest = path;
    bool more = true;
    while (more) {
        more = span_split(rest, '/', &segment, &rest);
        if (segment.len == 0 || span_equals(segment, SPAN(".")))
            continue;
        if (!span_equals(segment, SPAN(".."))) {
            buffer_append_char(out, '/');
            buffer_append(out, segment);
            continue;
        }
        while (out->len != 0 && out->at[--out->len] != '/')
            ;
    }
    if (out->len == 0 || (path.len != 0 && path.at[path.len - 1] == '/'))
        buffer_append_char(out, '/');
}

static void put_path(struct sink *sink, const struct sigv4_request *request)
{
    struct span path = request->path.len == 0 ? SPAN("/") : request->path;
    if (path_is_plain(path)) {
        put(sink, path);
        return;
    }
    struct buffer normal;
    buffer_init(&normal, path.len + 2);
    if (request->normalize_path) {
        normalize(path, &normal);
        path = buffer_span(&normal);
    }
    if (request->encode_path)
        put_encoded(sink, path, true);
    else
        put(sink, path);
    buffer_dispose(&normal);
}

/* ---- the query ---- */

struct pair {
    struct span name, value; /* decoded and encoded again */
};

/* Decodes and encodes again: "%7e" and "~" are equal, '+' is a plus, a '%' without two hex digits
 * is itself. */
static struct span recode(struct span s, struct buffer *scratch)
{
    size_t start = scratch->len;
    for (size_t i = 0; i != s.len;) {
        int escaped = span_escape_value(s, i);
        char byte = escaped < 0 ? s.at[i] : (char)escaped;
        buffer_append_percent_encoded(scratch, span_make(&byte, 1));
        i += escaped < 0 ? 1 : 3;
    }
    return span_make(scratch->at + start, scratch->len - start);
}

static int compare_spans(struct span a, struct span b)
{
    size_t len = a.len < b.len ? a.len : b.len;
    int order = len == 0 ? 0 : memcmp(a.at, b.at, len);
    return order != 0 ? order : (a.len > b.len) - (a.len < b.len);
}

static int compare_pairs(const void *left, const void *right)
{
    const struct pair *a = left, *b = right;
    int order = compare_spans(a->name, b->name);
    return order != 0 ? order : compare_spans(a->value, b->value);
}

static void put_query(struct sink *sink, struct span query)
{
    if (query.len == 0)
        return;
    size_t count = 1;
    for (size_t i = 0; i != query.len; ++i)
        count += query.at[i] == '&';
    struct pair *pairs = calloc(count, sizeof(*pairs));
    CHECK(pairs != NULL);
    /* Reserved at once: the spans into it must not move. */
    struct buffer scratch;
    buffer_init(&scratch, query.len * 3);
    (void)buffer_reserve(&scratch, query.len * 3);

    struct span pair, name, value, rest = query;
    bool more = true;
    count = 0;
    while (more) {
        more = span_split(rest, '&', &pair, &rest);
        if (pair.len == 0)
            continue;
        (void)span_split(pair, '=', &name, &value);
        struct span recoded = recode(name, &scratch);
        pairs[count++] = (struct pair){recoded, recode(value, &scratch)};
    }
    qsort(pairs, count, sizeof(*pairs), compare_pairs);
    for (size_t i = 0; i != count; ++i) {
        if (i != 0)
            put_char(sink, '&');
        put(sink, pairs[i].name);
        put_char(sink, '=');
        put(sink, pairs[i].value);
    }
    secret_wipe(scratch.at, scratch.len); /* a presigned URL's query holds the session token */
    buffer_dispose(&scratch);
    free(pairs);
}

/* ---- the headers ---- */

/* Compares bytes, ignoring case. Skips eight equal bytes at once: most names begin with
 * "X-Amzn-SageMaker-". */
static int compare_names(struct span a, struct span b)
{
    size_t len = a.len < b.len ? a.len : b.len, i = 0;
    while (len - i >= 8 && memcmp(a.at + i, b.at + i, 8) == 0)
        i += 8;
    for (; i != len; ++i) {
        unsigned char left = (unsigned char)ascii_lower(a.at[i]),
                      right = (unsigned char)ascii_lower(b.at[i]);
        if (left != right)
            return left - right;
    }
    return (a.len > b.len) - (a.len < b.len);
}

/* Lengths mostly differ, which is quick to see. */
static inline bool is_same_name(struct span a, struct span b)
{
    return a.len == b.len && compare_names(a, b) == 0;
}

/* The headers of a request in the order in which they are signed; repeats stay in order of
 * appearance. */
struct order {
    size_t count;
    uint8_t index[SIGV4_HEADERS_MAX];
};

static void sort_headers(const struct sigv4_request *request, struct order *order)
{
    CHECK(request->header_count <= SIGV4_HEADERS_MAX);
    const struct sigv4_header *headers = request->headers;
    order->count = request->header_count;
    /* Insertion sort: stable, and the headers are mostly sorted already. */
    for (size_t i = 0; i != order->count; ++i) {
        size_t at = i;
        for (; at != 0; --at) {
            if (compare_names(headers[order->index[at - 1]].name, headers[i].name) <= 0)
                break;
            order->index[at] = order->index[at - 1];
        }
        order->index[at] = (uint8_t)i;
    }
}

/* Eight bytes at a time; bytes with the top bit set stay unchanged. */
static inline void copy_lower(char *to, struct span from)
{
    const uint64_t ones = ~UINT64_C(0) / 255;
    size_t i = 0;
    for (; from.len - i >= 8; i += 8) {
        uint64_t word;
        memcpy(&word, from.at + i, 8);
        uint64_t low = word & ones * 0x7f;
        uint64_t above = (low + ones * (0x80 - 'A')) & ~(low + ones * (0x7f - 'Z')) & ~word;
        word |= (above & ones * 0x80) >> 2;
        memcpy(to + i, &word, 8);
    }
    for (; i != from.len; ++i)
        to[i] = ascii_lower(from.at[i]);
}

/* "a;b;c" */
static void append_signed_headers(const struct sigv4_request *request, const struct order *order,
                                  struct buffer *out)
{
    struct span before = SPAN_NONE;
    for (size_t i = 0; i != order->count; ++i) {
        struct span name = request->headers[order->index[i]].name;
        if (i != 0 && is_same_name(before, name))
            continue;
        char *at = buffer_reserve(out, name.len + 1);
        if (at == NULL)
            return;
        if (i != 0)
            *at++ = ';';
        copy_lower(at, name);
        buffer_take(out, name.len + (i != 0));
        before = name;
    }
}

static bool is_space(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

/* Returns the index of the first byte at or below ' ' from i on, s.len if there is none. Eight
 * bytes at a time: a session token has more than a thousand. */
static size_t find_low_byte(struct span s, size_t i)
{
    const uint64_t ones = ~UINT64_C(0) / 255;
    while (s.len - i >= 8) {
        uint64_t word;
        memcpy(&word, s.at + i, 8);
        if (((word - ones * 0x21) & ~word & ones * 0x80) != 0)
            break;
        i += 8;
    }
    while (i != s.len && (unsigned char)s.at[i] > ' ')
        ++i;
    return i;
}

/* Trims, and collapses each inner run of white space, obs-folds included, to one space, inside
 * quotes too. */
static void put_value(struct sink *sink, struct span value)
{
    while (value.len != 0 && is_space(value.at[0]))
        value = span_from_offset(value, 1);
    while (value.len != 0 && is_space(value.at[value.len - 1]))
        --value.len;
    size_t start = 0, i = 0;
    while ((i = find_low_byte(value, i)) != value.len) {
        if (!is_space(value.at[i]) || (value.at[i] == ' ' && !is_space(value.at[i + 1]))) {
            ++i; /* a control character, or a single space: unchanged */
            continue;
        }
        put(sink, span_make(value.at + start, i - start));
        put_char(sink, ' ');
        while (is_space(value.at[i]))
            ++i;
        start = i;
    }
    put(sink, span_make(value.at + start, value.len - start));
}

/* signed_headers has the names in order and lower-case, repeated ones once. */
static void put_headers(struct sink *sink, const struct sigv4_request *request,
                        const struct order *order, struct span signed_headers)
{
    struct span name = SPAN_NONE;
    size_t at = 0;
    for (size_t i = 0; i != order->count; ++i) {
        const struct sigv4_header *header = &request->headers[order->index[i]];
        if (i != 0 && is_same_name(header->name, name)) {
            put_char(sink, ',');
        } else {
            if (i != 0)
                put_char(sink, '\n');
            name = span_make(signed_headers.at + at, header->name.len);
            at += name.len + 1; /* and the ';' */
            put(sink, name);
            put_char(sink, ':');
        }
        put_value(sink, header->value);
    }
    if (order->count != 0)
        put_char(sink, '\n');
}

static void write_canonical(const struct sigv4_request *request, const struct order *order,
                            struct span signed_headers, struct sink *sink)
{
    put(sink, request->method);
    put_char(sink, '\n');
    put_path(sink, request);
    put_char(sink, '\n');
    put_query(sink, request->query);
    put_char(sink, '\n');
    put_headers(sink, request, order, signed_headers);
    put_char(sink, '\n');
    put(sink, signed_headers);
    put_char(sink, '\n');
    put_hex(sink, request->body_sha256, SIGV4_HASH_SIZE, "0123456789abcdef");
    flush(sink);
}

void sigv4_append_canonical_request(const struct sigv4_request *request, struct buffer *out,
                                    struct buffer *signed_headers)
{
    struct order order;
    struct sink sink;
    struct buffer names;
    sink.out = out;
    sink.used = 0;
    sort_headers(request, &order);
    buffer_init(&names, SIZE_MAX / 4);
    append_signed_headers(request, &order, &names);
    write_canonical(request, &order, buffer_span(&names), &sink);
    secret_wipe(sink.gathered, sizeof(sink.gathered));
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

void sigv4_key_cache_wipe(struct sigv4_key_cache *cache)
{
    secret_wipe(cache, sizeof(*cache));
}

void sigv4_key_cache_destroy(struct sigv4_key_cache *cache)
{
    if (cache == NULL)
        return;
    sigv4_key_cache_wipe(cache);
    munmap(cache, sizeof(*cache));
}

/* Compares the owner; date and generation may differ. */
static bool entry_is_for(const struct cache_entry *entry, const struct sigv4_scope *scope,
                         const struct sigv4_identity *identity)
{
    return entry->last_use != 0 &&
           span_equals(span_make(entry->id, entry->id_len), identity->access_key_id) &&
           span_equals(span_make(entry->region, entry->region_len), scope->region) &&
           span_equals(span_make(entry->service, entry->service_len), scope->service);
}

/* Returns the entry to overwrite: the same owner's with another date or generation, else the
 * least recently used. */
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

struct signing {
    const struct sigv4_request *request;
    const struct sigv4_scope *scope;
    const struct sigv4_identity *identity;
    struct sigv4_key_cache *cache; /* may be NULL */
    char time[CLOCK_BASIC_SIZE];   /* its first eight bytes are the date */
    struct order order;
};

static void hash_canonical(const struct signing *signing, struct span signed_headers,
                           unsigned char digest[SIGV4_HASH_SIZE])
{
    struct sink sink;
    sink.out = NULL;
    sink.used = 0;
    sha256_init(&sink.hash);
    write_canonical(signing->request, &signing->order, signed_headers, &sink);
    sha256_final(&sink.hash, digest);
    secret_wipe(sink.gathered, sizeof(sink.gathered));
}

/* Appends the signature's hex digits. */
static void append_signature(const struct signing *signing, struct span signed_headers,
                             struct buffer *out)
{
    char text[STRING_TO_SIGN_MAX];
    struct buffer to_sign;
    unsigned char digest[SIGV4_HASH_SIZE];
    hash_canonical(signing, signed_headers, digest);
    buffer_init_fixed(&to_sign, text, sizeof(text));
    append_string_to_sign(signing->scope, signing->time, digest, &to_sign);
    CHECK(!to_sign.overflowed);
    if (signing->cache != NULL && is_cacheable(signing->scope, signing->identity)) {
        sha256_hmac(find_key(signing->cache, signing->scope, signing->time, signing->identity),
                    buffer_span(&to_sign), digest);
    } else {
        struct sha256_hmac_key key;
        prepare_key(signing->scope, signing->time, signing->identity, &key);
        sha256_hmac(&key, buffer_span(&to_sign), digest);
        secret_wipe(&key, sizeof(key));
    }
    buffer_append_hex(out, digest, sizeof(digest));
}

void sigv4_append_signature(const struct sigv4_request *request, const struct sigv4_scope *scope,
                            const struct sigv4_identity *identity, struct buffer *out)
{
    struct signing signing = {.request = request, .scope = scope, .identity = identity};
    struct buffer names;
    clock_format_basic(scope->now, signing.time);
    sort_headers(request, &signing.order);
    buffer_init(&names, SIZE_MAX / 4);
    append_signed_headers(request, &signing.order, &names);
    append_signature(&signing, buffer_span(&names), out);
    buffer_dispose(&names);
}

void sigv4_append_authorization(const struct sigv4_request *request,
                                const struct sigv4_scope *scope,
                                const struct sigv4_identity *identity,
                                struct sigv4_key_cache *cache, struct buffer *out)
{
    struct signing signing;
    CHECK(scope->region.len + scope->service.len < STRING_TO_SIGN_MAX / 2);
    signing.request = request;
    signing.scope = scope;
    signing.identity = identity;
    signing.cache = cache;
    clock_format_basic(scope->now, signing.time);
    sort_headers(request, &signing.order);
    buffer_append(out, SPAN("AWS4-HMAC-SHA256 Credential="));
    buffer_append(out, identity->access_key_id);
    buffer_append_char(out, '/');
    append_scope(out, signing.time, scope);
    buffer_append(out, SPAN(", SignedHeaders="));
    size_t names_at = out->len;
    append_signed_headers(request, &signing.order, out);
    if (out->overflowed)
        return;
    size_t names_len = out->len - names_at;
    buffer_append(out, SPAN(", Signature="));
    if (buffer_reserve(out, 2 * SIGV4_HASH_SIZE) != NULL)
        append_signature(&signing, span_make(out->at + names_at, names_len), out);
}
