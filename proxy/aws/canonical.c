/* The canonical request of SigV4: path, query and headers brought into the one form that both sides hash.
 *
 * It may not know of keys, dates or scopes. The ways that every call takes (a plain path, no query, few headers)
 * allocate nothing; a path to be normalised and a query may use the heap. */
#include "aws/canonical.h"

#include <stdlib.h>

/* ---- the sink ---- */

void canonical_sink_init(struct canonical_sink *sink, struct buffer *out, struct sha256 *hash,
                         struct canonical_memory *memory)
{
    sink->out = out;
    sink->hash = hash;
    sink->memory = memory;
    sink->chunk = 0;
    sink->used = 0;
}

/* A full chunk: its hash is remembered from last time, or learnt. */
static void sink_hash_chunk(struct canonical_sink *sink)
{
    struct canonical_memory *memory = sink->memory;
    size_t chunk = sink->chunk++;
    if (memory == NULL || chunk >= CANONICAL_REMEMBERED) {
        sha256_update(sink->hash, span_make(sink->gathered, CANONICAL_CHUNK));
        return;
    }
    if (chunk < memory->count &&
        memcmp(memory->chunks[chunk].bytes, sink->gathered, CANONICAL_CHUNK) == 0) {
        *sink->hash = memory->chunks[chunk].after;
        return;
    }
    sha256_update(sink->hash, span_make(sink->gathered, CANONICAL_CHUNK));
    memcpy(memory->chunks[chunk].bytes, sink->gathered, CANONICAL_CHUNK);
    memory->chunks[chunk].after = *sink->hash;
    memory->count = chunk + 1; /* what followed then followed other bytes */
}

static void sink_flush(struct canonical_sink *sink)
{
    if (sink->out != NULL)
        buffer_append(sink->out, span_make(sink->gathered, sink->used));
    else if (sink->used == CANONICAL_CHUNK)
        sink_hash_chunk(sink);
    else
        sha256_update(sink->hash, span_make(sink->gathered, sink->used));
    sink->used = 0;
}

static inline void put(struct canonical_sink *sink, struct span bytes)
{
    size_t room;
    while (bytes.len > (room = CANONICAL_CHUNK - sink->used)) {
        memcpy(sink->gathered + sink->used, bytes.at, room);
        sink->used = CANONICAL_CHUNK;
        sink_flush(sink);
        bytes = span_from_offset(bytes, room);
    }
    if (bytes.len != 0)
        memcpy(sink->gathered + sink->used, bytes.at, bytes.len);
    sink->used += bytes.len;
}

static inline void put_char(struct canonical_sink *sink, char c)
{
    if (sink->used == sizeof(sink->gathered))
        sink_flush(sink);
    sink->gathered[sink->used++] = c;
}

static void put_hex(struct canonical_sink *sink, const unsigned char *bytes, size_t len,
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

static void put_encoded(struct canonical_sink *sink, struct span s, bool keep_slash)
{
    for (size_t i = 0; i != s.len; ++i) {
        unsigned char byte = (unsigned char)s.at[i];
        if (span_is_unreserved(s.at[i]) || (keep_slash && byte == '/')) {
            put_char(sink, s.at[i]);
        } else {
            put_char(sink, '%');
            put_hex(sink, &byte, 1, "0123456789ABCDEF");
        }
    }
}

/* ---- the path ---- */

/* True where neither normalising nor encoding would change a byte. */
static bool path_is_plain(struct span path)
{
    if (path.len == 0 || path.at[0] != '/')
        return false;
    char before = ' ';
    for (size_t i = 0; i != path.len; ++i) {
        char c = path.at[i];
        if (before == '/' && (c == '/' || c == '.'))
            return false;
        if (!span_is_unreserved(c) && c != '/')
            return false;
        before = c;
    }
    return true;
}

/* Drops empty and "." segments, resolves ".." (never above the root); keeps a closing slash where something is left.
 * As botocore.utils.normalize_url_path. */
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

static void put_path(struct canonical_sink *sink, const struct sigv4_request *request)
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

/* "%7e" and "~" are the same; '+' is a plus; a '%' without two hex digits stands for itself. */
static struct span recode(struct span s, struct buffer *scratch)
{
    size_t start = scratch->len;
    for (size_t i = 0; i != s.len; ++i) {
        char byte = s.at[i];
        if (byte == '%' && s.len - i > 2 && span_hex_value(s.at[i + 1]) >= 0 &&
            span_hex_value(s.at[i + 2]) >= 0) {
            byte = (char)(span_hex_value(s.at[i + 1]) << 4 | span_hex_value(s.at[i + 2]));
            i += 2;
        }
        buffer_append_percent_encoded(scratch, span_make(&byte, 1));
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

static void put_query(struct canonical_sink *sink, struct span query)
{
    if (query.len == 0)
        return;
    size_t count = 1;
    for (size_t i = 0; i != query.len; ++i)
        count += query.at[i] == '&';
    struct pair *pairs = calloc(count, sizeof(*pairs));
    CHECK(pairs != NULL);
    /* All of it is reserved at once, so that the spans into it stay where they are. */
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
    buffer_dispose(&scratch);
    free(pairs);
}

/* ---- the headers ---- */

static inline char lower(char c)
{
    return (char)(c | ((unsigned)(c - 'A') < 26u) << 5);
}

/* By bytes, case ignored. Eight equal bytes are skipped at once: most names begin with "X-Amzn-SageMaker-". */
static int compare_names(struct span a, struct span b)
{
    size_t len = a.len < b.len ? a.len : b.len, i = 0;
    while (len - i >= 8 && memcmp(a.at + i, b.at + i, 8) == 0)
        i += 8;
    for (; i != len; ++i) {
        unsigned char left = (unsigned char)lower(a.at[i]), right = (unsigned char)lower(b.at[i]);
        if (left != right)
            return left - right;
    }
    return (a.len > b.len) - (a.len < b.len);
}

/* Lengths mostly differ, and settle it. */
static inline bool is_same_name(struct span a, struct span b)
{
    return a.len == b.len && compare_names(a, b) == 0;
}

void canonical_sort_headers(const struct sigv4_request *request, struct canonical_order *order)
{
    CHECK(request->header_count <= SIGV4_HEADERS_MAX);
    const struct sigv4_header *headers = request->headers;
    order->count = request->header_count;
    /* Insertion: stable, and callers mostly send them sorted. */
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

/* Eight bytes at a time; those with the top bit set stay as they are. */
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
        to[i] = lower(from.at[i]);
}

void canonical_append_signed_headers(const struct sigv4_request *request,
                                     const struct canonical_order *order, struct buffer *out)
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

/* Index of the first byte up to and including the blank, from i on, or s.len. Eight bytes at a time: a session
 * token has more than a thousand. */
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

/* Trimmed, and each inner run of white space (an obs-fold too) as one blank; inside quotes as well. */
static void put_value(struct canonical_sink *sink, struct span value)
{
    while (value.len != 0 && is_space(value.at[0]))
        value = span_from_offset(value, 1);
    while (value.len != 0 && is_space(value.at[value.len - 1]))
        --value.len;
    size_t start = 0, i = 0;
    while ((i = find_low_byte(value, i)) != value.len) {
        if (!is_space(value.at[i]) || (value.at[i] == ' ' && !is_space(value.at[i + 1]))) {
            ++i; /* a control character, or a blank by itself: stands as it is */
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

/* The names, in order and lower-case, stand in signed_headers already; a repeated one stands there once. */
static void put_headers(struct canonical_sink *sink, const struct sigv4_request *request,
                        const struct canonical_order *order, struct span signed_headers)
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

void canonical_write(const struct sigv4_request *request, const struct canonical_order *order,
                     struct span signed_headers, struct canonical_sink *sink)
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
    sink_flush(sink);
}
