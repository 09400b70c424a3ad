/* Asking those who hold a set ready: a container's broker, instance metadata, the SSO portal. */
#include "credentials/fetch.h"

#include "credentials/document.h"
#include "credentials/file.h"

enum { METADATA_TIMEOUT_MS = 1000, BROKER_TIMEOUT_MS = 2000, PORTAL_TIMEOUT_MS = 5000 };
enum { TOKEN_FILE_MAX = 32768 };

static void on_set(struct http_client *call);
static void begin_imds_token(struct fetch *fetch);
static void on_imds_token(struct http_client *call);
static void begin_imds_list(struct fetch *fetch);
static void on_imds_list(struct http_client *call);
static void begin_imds_set(struct fetch *fetch);
static void on_imds_set(struct http_client *call);

/* "SOURCE: HOST: what" */
static void fail(struct fetch *fetch, struct span what)
{
    fetch_fail(fetch, arena_printf(&fetch->arena, "%.*s: %.*s: %.*s", SPAN_ARG(fetch->chain.source),
                                   SPAN_ARG(fetch->chain.url.authority), SPAN_ARG(what)));
}

/* What to look at where a bearer's token was refused. */
static struct span token_hint(struct fetch *fetch, int status)
{
    const char *file = fetch->chain.token_file;
    if ((status != 401 && status != 403) || file == NULL)
        return SPAN("");
    return arena_printf(&fetch->arena, "; the token was that of %s%s", file,
                        fetch->chain.base == CHAIN_SSO ? ": run `aws sso login`" : "");
}

static bool repeats(struct span text, struct span token)
{
    return token.len != 0 && text.len != 0 &&
           memmem(text.at, text.len, token.at, token.len) != NULL;
}

/* What the answer says of its error; not where it shows the token that it was asked with. */
static struct span error_text(struct fetch *fetch, struct span answer)
{
    bool shows =
        repeats(answer, secret_bytes(&fetch->token)) || repeats(answer, fetch->chain.token);
    return shows ? SPAN("its text repeats the token") : document_error_text(answer, &fetch->arena);
}

/* A status that is no 200, or none at all. */
static void fail_status(struct fetch *fetch, const struct http_client *call, const char *asked)
{
    if (call->status == 0) {
        fail(fetch, arena_printf(&fetch->arena, "%s: %s", asked, call->why));
        return;
    }
    struct span text = error_text(fetch, http_client_response(call));
    fail(fetch, arena_printf(&fetch->arena, "%s: HTTP status %d%s%.*s%.*s", asked, call->status,
                             text.len != 0 ? ": " : "", SPAN_ARG(text),
                             SPAN_ARG(token_hint(fetch, call->status))));
}

/* Status 200, but the body is no set. */
static void fail_body(struct fetch *fetch, struct span fault)
{
    fail(fetch, arena_printf(&fetch->arena, "the answer: %.*s", SPAN_ARG(fault)));
}

/* A token goes into a header: no control characters, nothing beyond ASCII. */
static bool is_token(struct span token)
{
    for (size_t i = 0; i != token.len; ++i)
        if ((unsigned char)token.at[i] < ' ' || (unsigned char)token.at[i] >= 0x7f)
            return false;
    return token.len != 0;
}

/* ---- container ---- */

/* The token file is read anew each time: its writer rotates it. One line break at its end is cut. */
static bool read_token_file(struct fetch *fetch)
{
    struct file_text text;
    struct span fault = SPAN("there is no such file");
    const char *name = fetch->chain.token_file;
    if (file_read(name, TOKEN_FILE_MAX, &text, &fetch->arena, &fault) != FILE_READ) {
        fetch_fail(fetch, arena_printf(&fetch->arena, "%.*s: the token file %s: %.*s",
                                       SPAN_ARG(fetch->chain.source), name, SPAN_ARG(fault)));
        return false;
    }
    struct span token = file_span(&text);
    if (span_ends_with(token, SPAN("\n")))
        --token.len;
    if (span_ends_with(token, SPAN("\r")))
        --token.len;
    bool ok = is_token(token);
    if (ok)
        fetch->token = secret_copy(token);
    file_dispose(&text);
    if (!ok)
        fetch_fail(fetch, arena_printf(&fetch->arena,
                                       "%.*s: the token file %s is empty or has control characters",
                                       SPAN_ARG(fetch->chain.source), name));
    return ok;
}

void fetch_from_container(struct fetch *fetch)
{
    const struct chain *chain = &fetch->chain;
    struct http_client_request request = {.url = &chain->url,
                                          .method = SPAN("GET"),
                                          .path = chain->path,
                                          .headers = {{SPAN("Accept"), SPAN("application/json")}},
                                          .header_count = 1,
                                          .timeout_ms = BROKER_TIMEOUT_MS};
    if (chain->token_file != NULL && !read_token_file(fetch))
        return;
    struct span token =
        chain->token_file != NULL ? secret_bytes(&fetch->token) : fetch->chain.token;
    if (token.at != NULL && !is_token(token)) {
        fetch_fail(fetch,
                   SPAN("container: AWS_CONTAINER_AUTHORIZATION_TOKEN has control characters"));
        return;
    }
    if (token.at != NULL)
        request.headers[request.header_count++] =
            (struct http_client_header){SPAN("Authorization"), token};
    (void)!fetch_call(fetch, &request, on_set);
}

/* Container and SSO: one answer is all. */
static void on_set(struct http_client *call)
{
    struct fetch *fetch = call->owner;
    struct span fault;
    bool sso = fetch->chain.base == CHAIN_SSO;
    if (call->status != 200) {
        fail_status(fetch, call, "asked for credentials");
        return;
    }
    struct credentials *set =
        document_read_set(sso ? DOCUMENT_SSO : DOCUMENT_CONTAINER, http_client_response(call),
                          fetch->chain.source, &fetch->arena, &fault);
    if (set == NULL) {
        fail_body(fetch, fault);
        return;
    }
    fetch_take_base(fetch, set);
}

/* ---- SSO ---- */

void fetch_from_sso(struct fetch *fetch)
{
    struct file_text text;
    struct wall_time expires;
    struct span fault = SPAN("there is no such file; run `aws sso login`");
    const char *name = fetch->chain.token_file;
    bool ok = file_read(name, TOKEN_FILE_MAX, &text, &fetch->arena, &fault) == FILE_READ;
    if (ok) {
        ok = document_read_sso_token(file_span(&text), &fetch->token, &expires, &fetch->arena,
                                     &fault);
        file_dispose(&text);
    }
    if (ok && expires.us <= clock_wall().us) {
        fault = SPAN("the token has expired; run `aws sso login`");
        ok = false;
    }
    if (ok && !is_token(secret_bytes(&fetch->token))) {
        fault = SPAN("the token has control characters");
        ok = false;
    }
    if (!ok) {
        fetch_fail(fetch, arena_printf(&fetch->arena, "sso: %s: %.*s", name, SPAN_ARG(fault)));
        return;
    }
    struct http_client_request request = {
        .url = &fetch->chain.url,
        .method = SPAN("GET"),
        .path = fetch->chain.path,
        .headers = {{SPAN("x-amz-sso_bearer_token"), secret_bytes(&fetch->token)}},
        .header_count = 1,
        .timeout_ms = PORTAL_TIMEOUT_MS,
        .proxy = fetch->chain.portal_proxy};
    (void)!fetch_call(fetch, &request, on_set);
}

/* ---- instance metadata ---- */

void fetch_from_imds(struct fetch *fetch)
{
    begin_imds_token(fetch);
}

static void begin_imds_token(struct fetch *fetch)
{
    struct http_client_request request = {
        .url = &fetch->chain.url,
        .method = SPAN("PUT"),
        .path = SPAN("/latest/api/token"),
        .headers = {{SPAN("x-aws-ec2-metadata-token-ttl-seconds"), SPAN("21600")}},
        .header_count = 1,
        .timeout_ms = METADATA_TIMEOUT_MS};
    secret_dispose(&fetch->token);
    (void)!fetch_call(fetch, &request, on_imds_token);
}

static void on_imds_token(struct http_client *call)
{
    struct fetch *fetch = call->owner;
    struct span token = span_trim(http_client_response(call));
    bool lacks_v2 =
        call->timed_out || call->status == 403 || call->status == 404 || call->status == 405;
    if (lacks_v2 && fetch->chain.imds_v1) {
        begin_imds_list(fetch);
        return;
    }
    if (call->timed_out) {
        fail(fetch, arena_printf(&fetch->arena,
                                 "asked for a session token: %s; if this is a container on an "
                                 "instance, the instance's hop limit must be 2",
                                 call->why));
        return;
    }
    if (call->status != 200) {
        fail_status(fetch, call, "asked for a session token");
        return;
    }
    if (!is_token(token)) {
        fail(fetch, SPAN("the session token is empty or has control characters"));
        return;
    }
    fetch->token = secret_copy(token);
    begin_imds_list(fetch);
}

static void ask_imds(struct fetch *fetch, struct span path, void (*on_done)(struct http_client *))
{
    struct http_client_request request = {.url = &fetch->chain.url,
                                          .method = SPAN("GET"),
                                          .path = path,
                                          .timeout_ms = METADATA_TIMEOUT_MS};
    if (!secret_is_empty(&fetch->token))
        request.headers[request.header_count++] = (struct http_client_header){
            SPAN("x-aws-ec2-metadata-token"), secret_bytes(&fetch->token)};
    (void)!fetch_call(fetch, &request, on_done);
}

/* 401: the session's token has expired; once, a new one is fetched. */
static bool begins_again(struct fetch *fetch, const struct http_client *call)
{
    if (call->status != 401 || fetch->token_renewed)
        return false;
    fetch->token_renewed = true;
    begin_imds_token(fetch);
    return true;
}

static void begin_imds_list(struct fetch *fetch)
{
    ask_imds(fetch, SPAN("/latest/meta-data/iam/security-credentials/"), on_imds_list);
}

static void on_imds_list(struct http_client *call)
{
    struct fetch *fetch = call->owner;
    struct span name, rest;
    if (begins_again(fetch, call))
        return;
    if (call->status == 404) {
        fail(fetch, SPAN("the instance has no IAM role"));
        return;
    }
    if (call->status != 200) {
        fail_status(fetch, call, "asked for the role's name");
        return;
    }
    (void)span_split(http_client_response(call), '\n', &name, &rest);
    name = span_trim(name);
    if (span_ends_with(name, SPAN("\r")))
        --name.len;
    bool ok = name.len != 0 && name.len < sizeof(fetch->role_name);
    for (size_t i = 0; ok && i != name.len; ++i) {
        char c = name.at[i];
        ok = (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
             (c != '\0' && strchr("+=,.@-_", c) != NULL);
    }
    if (!ok) {
        fail(fetch, SPAN("the list of IAM roles that it gives holds no role's name"));
        return;
    }
    memcpy(fetch->role_name, name.at, name.len);
    fetch->role_name[name.len] = '\0';
    begin_imds_set(fetch);
}

static void begin_imds_set(struct fetch *fetch)
{
    ask_imds(fetch,
             arena_printf(&fetch->arena, "/latest/meta-data/iam/security-credentials/%s",
                          fetch->role_name),
             on_imds_set);
}

static void on_imds_set(struct http_client *call)
{
    struct fetch *fetch = call->owner;
    struct span fault;
    if (begins_again(fetch, call))
        return;
    if (call->status != 200) {
        fail_status(fetch, call, "asked for credentials");
        return;
    }
    struct credentials *set = document_read_set(DOCUMENT_IMDS, http_client_response(call),
                                                SPAN("imds"), &fetch->arena, &fault);
    if (set == NULL) {
        fail_body(fetch, fault);
        return;
    }
    fetch_take_base(fetch, set);
}
