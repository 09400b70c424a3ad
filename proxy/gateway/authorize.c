/* Writing and signing the upstream request's head. */
#include "gateway/authorize.h"

enum {
    FIXED_SIZE = 1024
}; /* request line's words, date, Authorization, Content-Length, User-Agent */

static size_t head_size(const struct authorize_request *request, const struct http1_header *headers,
                        size_t count)
{
    /* Names stand once more in SignedHeaders. */
    size_t size = FIXED_SIZE + request->fill->path.len + request->upstream->region.len +
                  secret_bytes(&request->credentials->session_token).len;
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

struct span authorize_head(const struct authorize_request *request, struct arena *arena)
{
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
    struct sigv4_identity identity = {span_from(credentials->access_key_id),
                                      &credentials->secret_access_key, &credentials->session_token,
                                      credentials->generation};

    struct buffer out;
    size_t size = head_size(request, headers, count);
    buffer_init_fixed(&out, arena_alloc(arena, size), size);
    buffer_append(&out, SPAN("POST "));
    buffer_append(&out, request->fill->path);
    buffer_append(&out, SPAN(" HTTP/1.1\r\n"));
    for (size_t i = 0; i != count; ++i)
        append_header(&out, headers[i].name, headers[i].value);
    buffer_append(&out, SPAN("User-Agent: sagegate\r\nContent-Length: "));
    buffer_append_u64(&out, request->body_size);
    buffer_append(&out, SPAN("\r\nAuthorization: "));
    sigv4_append_authorization(&to_sign, &scope, &identity, request->keys, &out);
    buffer_append(&out, SPAN("\r\n\r\n"));
    CHECK(!out.overflowed);
    return buffer_span(&out);
}
