/* Writing and signing the upstream request's head. */
#include "gateway/authorize.h"

enum {
    FIXED_SIZE = 1024
}; /* request line's words, date, Authorization, Content-Length, User-Agent */

static size_t head_size(const struct authorize_request *request, const struct http1_header *headers,
                        size_t count)
{
    /* Names stand once more in SignedHeaders. */
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

/* A head that is not signed: with a bearer token, or with nothing where no AWS is behind. */
static struct span write_unsigned(const struct authorize_request *request, struct arena *arena)
{
    struct http1_header headers[SAGEMAKER_PARAMETERS + 1];
    struct span token = SPAN_NONE;
    struct buffer out;
    size_t count = fill_upstream_headers(request->fill, request->upstream, headers);
    if (request->fill->proof == FILL_BEARER) {
        struct sigv4_scope scope = {request->upstream->region, SPAN("sagemaker"), request->now};
        struct sigv4_identity identity = identity_of(request->credentials);
        token = bearer_get(request->bearers, &identity, &scope, request->credentials->expires);
    }
    size_t size = head_size(request, headers, count) + token.len;
    buffer_init_fixed(&out, arena_alloc(arena, size), size);
    append_start(request, headers, count, &out);
    if (token.len != 0) {
        buffer_append(&out, SPAN("Authorization: Bearer "));
        buffer_append(&out, token);
        buffer_append(&out, SPAN("\r\n"));
    }
    buffer_append(&out, SPAN("\r\n"));
    CHECK(!out.overflowed);
    return buffer_span(&out);
}

struct span authorize_head(const struct authorize_request *request, struct arena *arena)
{
    if (request->fill->proof != FILL_SIGNED)
        return write_unsigned(request, arena);
    struct http1_header headers[SAGEMAKER_PARAMETERS + 3];
    struct sigv4_header signed_headers[SAGEMAKER_PARAMETERS + 3];
    char date[CLOCK_BASIC_SIZE];
    const struct credentials *credentials = request->credentials;

    size_t count = fill_upstream_headers(request->fill, request->upstream, headers);
    clock_format_basic(request->now, date);
    headers[count++] =
        (struct http1_header){SPAN("X-Amz-Date"), span_make(date, CLOCK_BASIC_SIZE - 1)};
    if (!secret_is_empty(&credentials->session_token))
        headers[count++] = (struct http1_header){SPAN("X-Amz-Security-Token"),
                                                 secret_bytes(&credentials->session_token)};
    for (size_t i = 0; i != count; ++i)
        signed_headers[i] = (struct sigv4_header){headers[i].name, headers[i].value};

    struct sigv4_request to_sign = {
        .method = SPAN("POST"),
        .path = request->fill->path,
        .query = SPAN(""),
        .headers = signed_headers,
        .header_count = count,
        .normalize_path = true,
        .encode_path = true,
    };
    memcpy(to_sign.body_sha256, request->body_sha256, SIGV4_HASH_SIZE);
    struct sigv4_scope scope = {request->upstream->region, SPAN("sagemaker"), request->now};
    struct sigv4_identity identity = identity_of(credentials);

    struct buffer out;
    size_t size = head_size(request, headers, count);
    buffer_init_fixed(&out, arena_alloc(arena, size), size);
    append_start(request, headers, count, &out);
    buffer_append(&out, SPAN("Authorization: "));
    sigv4_append_authorization(&to_sign, &scope, &identity, request->keys, &out);
    buffer_append(&out, SPAN("\r\n\r\n"));
    CHECK(!out.overflowed);
    return buffer_span(&out);
}
