/* STS's forms and their signature. */
#include "credentials/sts.h"

#include "aws/sha256.h"
#include "aws/sigv4.h"

enum { AUTHORIZATION_MAX = 1024, CALL_TIMEOUT_MS = 5000 };

static void append_pair(struct buffer *form, const char *name, struct span value)
{
    if (value.at == NULL)
        return;
    buffer_append_char(form, '&');
    buffer_append(form, span_from(name));
    buffer_append_char(form, '=');
    buffer_append_percent_encoded(form, value);
}

static void append_action(struct buffer *form, const char *action)
{
    buffer_append(form, SPAN("Action="));
    buffer_append(form, span_from(action));
    buffer_append(form, SPAN("&Version=2011-06-15"));
}

static void append_tags(struct buffer *form, const struct chain_role *role)
{
    char name[48];
    for (size_t i = 0; i != role->tag_count; ++i) {
        snprintf(name, sizeof(name), "Tags.member.%zu.Key", i + 1);
        append_pair(form, name, role->tags[i].key);
        snprintf(name, sizeof(name), "Tags.member.%zu.Value", i + 1);
        append_pair(form, name, role->tags[i].value);
    }
}

void sts_append_assume_role(const struct chain_role *role, struct buffer *form)
{
    append_action(form, "AssumeRole");
    append_pair(form, "RoleArn", role->role_arn);
    append_pair(form, "RoleSessionName", role->session_name);
    append_pair(form, "ExternalId", role->external_id);
    append_pair(form, "SourceIdentity", role->source_identity);
    if (role->duration_s != 0)
        buffer_printf(form, "&DurationSeconds=%lld", (long long)role->duration_s);
    append_tags(form, role);
}

void sts_append_web_identity(const struct chain_role *role, struct span token, struct buffer *form)
{
    append_action(form, "AssumeRoleWithWebIdentity");
    append_pair(form, "RoleArn", role->role_arn);
    append_pair(form, "RoleSessionName", role->session_name);
    append_pair(form, "WebIdentityToken", token);
}

void sts_append_caller_identity(struct buffer *form)
{
    append_action(form, "GetCallerIdentity");
}

/* ---- signing ---- */

static struct span authorize(const struct chain *chain, const struct credentials *signer,
                             struct wall_time now, const struct http_client_request *request,
                             struct arena *arena)
{
    struct sigv4_header headers[HTTP_CLIENT_HEADERS_MAX + 1] = {
        {SPAN("Host"), request->url->authority}};
    struct sigv4_request to_sign = {.method = request->method,
                                    .path = request->path,
                                    .query = SPAN(""),
                                    .headers = headers,
                                    .header_count = request->header_count + 1,
                                    .normalize_path = true,
                                    .encode_path = true};
    struct sigv4_scope scope = {chain->sts_region, SPAN("sts"), now};
    struct sigv4_identity identity = {span_from(signer->access_key_id), &signer->secret_access_key,
                                      &signer->session_token, 0};
    struct buffer out;
    for (size_t i = 0; i != request->header_count; ++i)
        headers[i + 1] = (struct sigv4_header){request->headers[i].name, request->headers[i].value};
    sha256_of(request->body, to_sign.body_sha256);
    buffer_init_fixed(&out, arena_alloc(arena, AUTHORIZATION_MAX), AUTHORIZATION_MAX);
    sigv4_append_authorization(&to_sign, &scope, &identity, NULL, &out);
    CHECK(!out.overflowed);
    return buffer_span(&out);
}

void sts_request(const struct chain *chain, struct span form, const struct credentials *signer,
                 struct wall_time now, struct arena *arena, struct http_client_request *out)
{
    char *date = arena_alloc(arena, CLOCK_BASIC_SIZE);
    *out = (struct http_client_request){.url = &chain->sts,
                                        .method = SPAN("POST"),
                                        .path = SPAN("/"),
                                        .body = form,
                                        .timeout_ms = CALL_TIMEOUT_MS,
                                        .proxy = chain->sts_proxy};
    struct http_client_header *headers = out->headers;
    headers[out->header_count++] = (struct http_client_header){
        SPAN("Content-Type"), SPAN("application/x-www-form-urlencoded; charset=utf-8")};
    if (signer == NULL)
        return;
    clock_format_basic(now, date);
    headers[out->header_count++] =
        (struct http_client_header){SPAN("X-Amz-Date"), span_make(date, CLOCK_BASIC_SIZE - 1)};
    if (!secret_is_empty(&signer->session_token))
        headers[out->header_count++] = (struct http_client_header){
            SPAN("X-Amz-Security-Token"), secret_bytes(&signer->session_token)};
    headers[out->header_count] = (struct http_client_header){
        SPAN("Authorization"), authorize(chain, signer, now, out, arena)};
    ++out->header_count;
}
