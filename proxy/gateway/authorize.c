/* Writes and signs the head of an upstream request. */
#include "gateway/authorize.h"

enum {
    HEADERS_MAX = SAGEMAKER_PARAMETERS + 3,
    FIXED_SIZE = 1024 /* request line, date, Authorization, Content-Length, User-Agent */
};

static size_t head_size(const struct authorize_request *request, const struct http1_header *headers,
                        size_t count)
{
    /* Names are repeated in SignedHeaders. */
    size_t size = FIXED_SIZE + request->fill->path.len + request->upstream->region.len;
    if (request->credentials != NULL)
        size += secret_bytes(&request->credentials->session_token).len;
    for (size_t i = 0; i != count; ++i)
        size += 2 * headers[i].name.len + headers[i].value.len + 5;
    return size;
}

static void append_header(struct buffer *out, struct span name, struct span value)
{
    buffer_append(out, name);
    buffer_append(out, SPAN(": "));
    buffer_append(out, value);
    buffer_append(out, SPAN("\r\n"));
}

static void append_start(const struct authorize_request *request,
                         const struct http1_header *headers, size_t count, struct buffer *out)
{
    buffer_append(out, request->fill->is_get ? SPAN("GET ") : SPAN("POST "));
    buffer_append(out, request->fill->path);
    buffer_append(out, SPAN(" HTTP/1.1\r\n"));
    for (size_t i = 0; i != count; ++i)
        append_header(out, headers[i].name, headers[i].value);
    buffer_append(out, SPAN("User-Agent: sagegate\r\nContent-Length: "));
    buffer_append_u64(out, request->body_size);
    buffer_append(out, SPAN("\r\n"));
}

static struct sigv4_identity identity_of(const struct credentials *credentials)
{
    return (struct sigv4_identity){span_from(credentials->access_key_id),
                                   &credentials->secret_access_key, &credentials->session_token,
                                   credentials->generation};
}

static struct sigv4_scope scope_of(const struct authorize_request *request)
{
    return (struct sigv4_scope){request->upstream->region, SPAN("sagemaker"), request->now};
}

/* Returns SPAN_NONE unless the proof is a bearer token. */
static struct span bearer_token(const struct authorize_request *request)
{
    if (request->fill->proof != FILL_BEARER)
        return SPAN_NONE;
    struct sigv4_scope scope = scope_of(request);
    struct sigv4_identity identity = identity_of(request->credentials);
    return bearer_get(request->bearers, &identity, &scope, request->credentials->expires);
}

/* Signs the headers given, but not those that append_start adds. */
static void append_signature(const struct authorize_request *request,
                             const struct http1_header *headers, size_t count, struct buffer *out)
{
    struct sigv4_header signed_headers[HEADERS_MAX];
    struct sigv4_scope scope = scope_of(request);
    struct sigv4_identity identity = identity_of(request->credentials);
    struct sigv4_request to_sign = {
        .method = SPAN("POST"),
        .path = request->fill->path,
        .query = SPAN(""),
        .headers = signed_headers,
        .header_count = count,
        .normalize_path = true,
        .encode_path = true,
    };
    for (size_t i = 0; i != count; ++i)
        signed_headers[i] = (struct sigv4_header){headers[i].name, headers[i].value};
    memcpy(to_sign.body_sha256, request->body_sha256, SIGV4_HASH_SIZE);
    buffer_append(out, SPAN("Authorization: "));
    sigv4_append_authorization(&to_sign, &scope, &identity, request->keys, out);
    buffer_append(out, SPAN("\r\n"));
}

struct span authorize_head(const struct authorize_request *request, struct arena *arena)
{
    struct http1_header headers[HEADERS_MAX];
    char date[CLOCK_BASIC_SIZE];
    struct buffer out;
    size_t count = fill_upstream_headers(request->fill, request->upstream, headers);
    struct span token = bearer_token(request);
    bool is_signed = request->fill->proof == FILL_SIGNED;
    if (is_signed) {
        clock_format_basic(request->now, date);
        headers[count++] =
            (struct http1_header){SPAN("X-Amz-Date"), span_make(date, CLOCK_BASIC_SIZE - 1)};
    }
    if (is_signed && !secret_is_empty(&request->credentials->session_token))
        headers[count++] = (struct http1_header){
            SPAN("X-Amz-Security-Token"), secret_bytes(&request->credentials->session_token)};
    size_t size = head_size(request, headers, count) + token.len;
    buffer_init_fixed(&out, arena_alloc(arena, size), size);
    append_start(request, headers, count, &out);
    if (is_signed)
        append_signature(request, headers, count, &out);
    if (token.len != 0) {
        buffer_append(&out, SPAN("Authorization: Bearer "));
        buffer_append(&out, token);
        buffer_append(&out, SPAN("\r\n"));
    }
    buffer_append(&out, SPAN("\r\n"));
    CHECK(!out.overflowed);
    return buffer_span(&out);
}
