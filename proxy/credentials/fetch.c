/* Carrying out a chain: the base, then role after role. */
#include "credentials/fetch.h"

#include "credentials/document.h"
#include "credentials/file.h"
#include "credentials/sts.h"

enum { PROCESS_TIMEOUT_MS = 30 * 1000, BROKER_TIMEOUT_MS = 2000, PORTAL_TIMEOUT_MS = 5000 };
enum { TOKEN_FILE_MAX = 32768, WEB_TOKEN_MAX = 20000, WEB_TOKEN_MIN = 4, ROLE_NAME_MAX = 127 };

/* The steps, in the order in which they happen. */
static void begin_process(struct fetch *fetch);
static void on_process_done(struct process *process);
static void begin_container(struct fetch *fetch);
static void begin_sso(struct fetch *fetch);
static void on_set(struct http_client *client);
static void begin_imds(struct fetch *fetch);
static void on_imds_roles(struct imds *imds);
static void on_imds_set(struct imds *imds);
static void begin_web_identity(struct fetch *fetch);
static void begin_role(struct fetch *fetch);
static void on_sts_response(struct http_client *client);

/* ---- life ---- */

void fetch_init(struct fetch *fetch, const struct fetch_options *options)
{
    *fetch = (struct fetch){.options = *options};
    arena_init(&fetch->arena, 4096);
}

/* Gives back what one run needs; the result stays. */
static void clear_run(struct fetch *fetch)
{
    http_client_dispose(&fetch->client);
    imds_dispose(&fetch->imds);
    process_dispose(&fetch->process);
    chain_dispose(&fetch->chain);
    secret_dispose(&fetch->token);
    credentials_release(fetch->set);
    fetch->set = NULL;
    X509_STORE_free(fetch->trust);
    fetch->trust = NULL;
}

/* A step can end the run within fetch_start or from the loop; on_done is for the latter. */
static void end(struct fetch *fetch, enum credentials_result result)
{
    bool from_loop = fetch->running;
    fetch->running = false;
    fetch->result = result;
    clear_run(fetch);
    if (from_loop)
        fetch->options.on_done(fetch);
}

static void fail(struct fetch *fetch, struct span fault)
{
    fetch->notes = (struct credentials_notes){.fault = fault};
    end(fetch, CREDENTIALS_FAILED);
}

/* "SOURCE: what" */
static void fail_source(struct fetch *fetch, struct span what)
{
    fail(fetch,
         arena_printf(&fetch->arena, "%.*s: %.*s", SPAN_ARG(fetch->chain.source), SPAN_ARG(what)));
}

/* Goes on with a set, whose reference it takes: assumes the next role from it, or ends the run. */
static void take_set(struct fetch *fetch, struct credentials *set)
{
    credentials_release(fetch->set);
    fetch->set = set;
    if (fetch->role_index != fetch->chain.role_count) {
        begin_role(fetch);
        return;
    }
    fetch->found = fetch->set;
    fetch->set = NULL;
    end(fetch, CREDENTIALS_FOUND);
}

static void begin_base(struct fetch *fetch)
{
    static void (*const begin[])(struct fetch * fetch) = {
        [CHAIN_PROCESS] = begin_process,
        [CHAIN_WEB_IDENTITY] = begin_web_identity,
        [CHAIN_CONTAINER] = begin_container,
        [CHAIN_IMDS] = begin_imds,
        [CHAIN_SSO] = begin_sso,
    };
    if (fetch->chain.base == CHAIN_SET)
        take_set(fetch, credentials_retain(fetch->chain.set));
    else
        begin[fetch->chain.base](fetch);
}

bool fetch_start(struct fetch *fetch)
{
    const struct fetch_options *options = &fetch->options;
    const struct chain_options chain_options = {options->identity, options->getenv,
                                                options->getenv_context, clock_wall()};
    CHECK(!fetch->running);
    credentials_release(fetch->found);
    fetch->found = NULL;
    fetch->clock_corrected = false;
    fetch->role_index = 0;
    fetch->result = CREDENTIALS_NOT_CONFIGURED;
    arena_reset(&fetch->arena);
    document_init();
    if (chain_resolve(&chain_options, &fetch->arena, &fetch->chain, &fetch->notes) !=
        CREDENTIALS_FOUND) {
        end(fetch, CREDENTIALS_FAILED);
        return true;
    }
    begin_base(fetch);
    fetch->running = fetch->result == CREDENTIALS_NOT_CONFIGURED;
    return !fetch->running;
}

void fetch_dispose(struct fetch *fetch)
{
    fetch->running = false;
    clear_run(fetch);
    credentials_release(fetch->found);
    arena_dispose(&fetch->arena);
    *fetch = (struct fetch){0};
}

/* ---- HTTP ---- */

/* Returns false if the CA bundle cannot be loaded; the run has failed then. */
static bool load_trust(struct fetch *fetch, const struct endpoint_url *url)
{
    struct span fault;
    struct tls_trust_options options = {.ca_file = fetch->chain.ca_file};
    if (!url->tls || fetch->trust != NULL)
        return true;
    fetch->trust = tls_trust_load(&options, &fetch->arena, &fault);
    if (fetch->trust != NULL)
        return true;
    fail_source(fetch,
                arena_printf(&fetch->arena, "%s: %.*s", fetch->chain.ca_origin, SPAN_ARG(fault)));
    return false;
}

static void send_request(struct fetch *fetch, struct http_client_request *request,
                         void (*on_done)(struct http_client *client))
{
    if (!load_trust(fetch, request->url))
        return;
    request->trust = fetch->trust;
    http_client_dispose(&fetch->client);
    http_client_start(&fetch->client, fetch->options.loop, request, on_done, fetch);
}

/* ---- a process ---- */

static void begin_process(struct fetch *fetch)
{
    if (!process_start(&fetch->process, fetch->options.loop, fetch->chain.argv, PROCESS_TIMEOUT_MS,
                       on_process_done, fetch))
        fail_source(fetch, arena_copy(&fetch->arena, span_from(fetch->process.why)));
}

static void on_process_done(struct process *process)
{
    struct fetch *fetch = process->owner;
    struct span fault = span_from(process->why);
    struct credentials *set = NULL;
    if (fault.len == 0)
        set = document_read_set(DOCUMENT_PROCESS, buffer_span(&process->output), SPAN("process"),
                                &fetch->arena, &fault);
    if (set != NULL)
        take_set(fetch, set);
    else
        fail_source(fetch,
                    arena_printf(&fetch->arena, "%s: %.*s", fetch->chain.argv[0], SPAN_ARG(fault)));
}

/* ---- a container's broker, the SSO portal ---- */

/* Reads the file anew each time, since its writer rotates it. Drops one line break at its end. */
static bool read_token_file(struct fetch *fetch)
{
    struct file_text text;
    struct span fault = SPAN("no such file");
    const char *name = fetch->chain.token_file;
    if (file_read(name, TOKEN_FILE_MAX, &text, &fetch->arena, &fault) == FILE_READ) {
        struct span token = file_span(&text);
        if (span_ends_with(token, SPAN("\n")))
            --token.len;
        if (span_ends_with(token, SPAN("\r")))
            --token.len;
        if (http_client_is_header_value(token))
            fetch->token = secret_copy(token);
        else
            fault = SPAN("empty, or contains control characters");
        file_dispose(&text);
    }
    if (!secret_is_empty(&fetch->token))
        return true;
    fail_source(fetch, arena_printf(&fetch->arena, "token file %s: %.*s", name, SPAN_ARG(fault)));
    return false;
}

static void begin_container(struct fetch *fetch)
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
    if (chain->token.at != NULL) {
        if (!http_client_is_header_value(chain->token)) {
            fail_source(fetch,
                        SPAN("AWS_CONTAINER_AUTHORIZATION_TOKEN contains control characters"));
            return;
        }
        fetch->token = secret_copy(chain->token);
    }
    if (!secret_is_empty(&fetch->token))
        request.headers[request.header_count++] =
            (struct http_client_header){SPAN("Authorization"), secret_bytes(&fetch->token)};
    send_request(fetch, &request, on_set);
}

/* SPAN_NONE if the token that `aws sso login` left can be used; it is in fetch->token then. */
static struct span read_sso_token(struct fetch *fetch)
{
    struct file_text text;
    struct wall_time expires;
    struct span fault = SPAN("no such file; run `aws sso login`");
    if (file_read(fetch->chain.token_file, TOKEN_FILE_MAX, &text, &fetch->arena, &fault) !=
        FILE_READ)
        return fault;
    bool ok =
        document_read_sso_token(file_span(&text), &fetch->token, &expires, &fetch->arena, &fault);
    file_dispose(&text);
    if (!ok)
        return fault;
    if (expires.us <= clock_wall().us)
        return SPAN("the token has expired; run `aws sso login`");
    if (!http_client_is_header_value(secret_bytes(&fetch->token)))
        return SPAN("the token contains control characters");
    return SPAN_NONE;
}

static void begin_sso(struct fetch *fetch)
{
    struct span fault = read_sso_token(fetch);
    if (fault.at != NULL) {
        fail_source(fetch, arena_printf(&fetch->arena, "%s: %.*s", fetch->chain.token_file,
                                        SPAN_ARG(fault)));
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
    send_request(fetch, &request, on_set);
}

/* Names the file to look at if a token was rejected. */
static struct span token_hint(struct fetch *fetch, int status)
{
    const char *file = fetch->chain.token_file;
    if ((status != 401 && status != 403) || file == NULL)
        return SPAN("");
    return arena_printf(&fetch->arena, "; the token came from %s%s", file,
                        fetch->chain.base == CHAIN_SSO ? ": run `aws sso login`" : "");
}

/* What is wrong with a response that is no set. */
static struct span fault_of_response(struct fetch *fetch, const struct http_client *client)
{
    struct arena *arena = &fetch->arena;
    if (client->status == 0)
        return arena_copy(arena, span_from(client->why));
    struct span text =
        document_error_text(http_client_response(client), secret_bytes(&fetch->token), arena);
    return arena_printf(arena, "HTTP status %d%s%.*s%.*s", client->status,
                        text.len != 0 ? ": " : "", SPAN_ARG(text),
                        SPAN_ARG(token_hint(fetch, client->status)));
}

static void on_set(struct http_client *client)
{
    struct fetch *fetch = client->owner;
    struct span fault;
    struct credentials *set = NULL;
    if (client->status == 200)
        set = document_read_set(fetch->chain.base == CHAIN_SSO ? DOCUMENT_SSO : DOCUMENT_CONTAINER,
                                http_client_response(client), fetch->chain.source, &fetch->arena,
                                &fault);
    else
        fault = fault_of_response(fetch, client);
    if (set != NULL)
        take_set(fetch, set);
    else
        fail_source(
            fetch,
            arena_printf(&fetch->arena, "%.*s: %s: %.*s", SPAN_ARG(fetch->chain.url.authority),
                         client->status == 200 ? "invalid response" : "cannot get credentials",
                         SPAN_ARG(fault)));
}

/* ---- instance metadata: the role's name, then its set ---- */

#define ROLES_PATH "/latest/meta-data/iam/security-credentials/"

static void fail_imds(struct fetch *fetch, struct span what)
{
    fail_source(fetch, arena_printf(&fetch->arena, "%.*s: %.*s",
                                    SPAN_ARG(fetch->chain.url.authority), SPAN_ARG(what)));
}

static void begin_imds(struct fetch *fetch)
{
    if (!load_trust(fetch, &fetch->chain.url))
        return;
    imds_open(&fetch->imds, &(struct imds_options){.loop = fetch->options.loop,
                                                   .url = &fetch->chain.url,
                                                   .trust = fetch->trust,
                                                   .v1 = fetch->chain.imds_v1,
                                                   .arena = &fetch->arena});
    imds_get(&fetch->imds, SPAN(ROLES_PATH), SPAN("the role's name"), on_imds_roles, fetch);
}

/* IAM API, Role: RoleName. */
static bool is_role_name(struct span name)
{
    for (size_t i = 0; i != name.len; ++i)
        if (!ascii_is(name.at[i], ASCII_NAME) &&
            (name.at[i] == '\0' || strchr("+=,@", name.at[i]) == NULL))
            return false;
    return name.len != 0 && name.len <= ROLE_NAME_MAX;
}

static void on_imds_roles(struct imds *imds)
{
    struct fetch *fetch = imds->owner;
    struct span name, rest;
    if (imds->status == 404) {
        fail_imds(fetch, SPAN("the instance has no IAM role"));
        return;
    }
    if (imds->fault.at != NULL) {
        fail(fetch, imds->fault);
        return;
    }
    (void)span_split(imds_response(imds), '\n', &name, &rest);
    name = span_trim(name);
    if (span_ends_with(name, SPAN("\r")))
        --name.len;
    if (!is_role_name(name)) {
        fail_imds(fetch, SPAN("IMDS returned an invalid role name"));
        return;
    }
    imds_get(imds, arena_printf(&fetch->arena, ROLES_PATH "%.*s", SPAN_ARG(name)),
             SPAN("credentials"), on_imds_set, fetch);
}

static void on_imds_set(struct imds *imds)
{
    struct fetch *fetch = imds->owner;
    struct span fault;
    if (imds->fault.at != NULL) {
        fail(fetch, imds->fault);
        return;
    }
    struct credentials *set =
        document_read_set(DOCUMENT_IMDS, imds_response(imds), SPAN("imds"), &fetch->arena, &fault);
    if (set != NULL)
        take_set(fetch, set);
    else
        fail_imds(fetch, arena_printf(&fetch->arena, "invalid response: %.*s", SPAN_ARG(fault)));
}

/* ---- STS: a role for a token, and a role from the set at hand ---- */

static struct span trim_token(struct span token)
{
    while (token.len != 0 && strchr(" \t\r\n", token.at[token.len - 1]) != NULL)
        --token.len;
    return token;
}

/* SPAN_NONE if the token can be sent. A token has no blanks and no control characters. */
static struct span fault_of_token(struct span token, struct arena *arena)
{
    if (token.len < WEB_TOKEN_MIN || token.len > WEB_TOKEN_MAX)
        return SPAN("must be 4 to 20000 characters long");
    for (size_t i = 0; i != token.len; ++i)
        if (!ascii_is(token.at[i], ASCII_VISIBLE))
            return arena_printf(arena,
                                "blank, control character or non-ASCII byte at position "
                                "%zu of %zu",
                                i + 1, token.len);
    return SPAN_NONE;
}

/* Sends the form that `role` and `token`, or the set at hand, make; signed if there is a set. */
static void send_form(struct fetch *fetch, const struct chain_role *role, struct span token)
{
    struct http_client_request request;
    struct buffer form;
    secret_buffer_init(&form, STS_FORM_MAX);
    if (fetch->set == NULL)
        sts_append_web_identity(role, token, &form);
    else
        sts_append_assume_role(role, &form);
    CHECK(!form.overflowed);
    sts_request(&fetch->chain, buffer_span(&form), fetch->set,
                skew_correct(fetch->options.skew, clock_wall()), &fetch->arena, &request);
    send_request(fetch, &request, on_sts_response);
    secret_buffer_dispose(&form);
}

static void begin_web_identity(struct fetch *fetch)
{
    struct file_text text = {0};
    struct span fault = SPAN("no such file");
    const char *name = fetch->chain.token_file;
    if (file_read(name, WEB_TOKEN_MAX + 2, &text, &fetch->arena, &fault) == FILE_READ)
        fault = fault_of_token(trim_token(file_span(&text)), &fetch->arena);
    if (fault.at == NULL)
        send_form(fetch, &fetch->chain.identity, trim_token(file_span(&text)));
    else
        fail_source(fetch,
                    arena_printf(&fetch->arena, "token file %s: %.*s", name, SPAN_ARG(fault)));
    file_dispose(&text);
}

static void begin_role(struct fetch *fetch)
{
    send_form(fetch, &fetch->chain.roles[fetch->role_index], SPAN_NONE);
}

static bool is_clock_code(struct span code)
{
    static const struct span codes[] = {
        SPAN("SignatureDoesNotMatch"), SPAN("RequestExpired"), SPAN("RequestInTheFuture"),
        SPAN("RequestTimeTooSkewed"),  SPAN("AuthFailure"),    SPAN("InvalidSignatureException"),
    };
    for (size_t i = 0; i != sizeof(codes) / sizeof(codes[0]); ++i)
        if (span_equals(code, codes[i]))
            return true;
    return false;
}

/* Signs again by STS's time, once a run, if STS rejected the signature's timestamp. */
static bool signs_again(struct fetch *fetch, const struct http_client *client,
                        const struct sts_response *response)
{
    if (fetch->set == NULL || fetch->clock_corrected || !fetch->chain.sts.tls ||
        !is_clock_code(response->error_code) ||
        !skew_learn(fetch->options.skew, client->date, clock_wall()))
        return false;
    fetch->clock_corrected = true;
    fetch->notes.warning = arena_printf(
        &fetch->arena,
        "%.*s: sts: %.*s rejected the signature's timestamp: this machine's clock is %lld s off "
        "AWS's; signing by AWS's time until the clock is corrected",
        SPAN_ARG(fetch->chain.source), SPAN_ARG(fetch->chain.sts.authority),
        (long long)-skew_offset_s(fetch->options.skew));
    begin_role(fetch);
    return true;
}

static struct span fault_of_sts(struct fetch *fetch, int status,
                                const struct sts_response *response)
{
    if (response->error_code.len == 0)
        return arena_printf(&fetch->arena, "HTTP status %d", status);
    /* The first thing to look at is the token that was sent. */
    return arena_printf(&fetch->arena, "%.*s: %.*s%s%s", SPAN_ARG(response->error_code),
                        SPAN_ARG(response->error_message),
                        fetch->set != NULL ? "" : "; the token came from ",
                        fetch->set != NULL ? "" : fetch->chain.token_file);
}

static void on_sts_response(struct http_client *client)
{
    struct fetch *fetch = client->owner;
    struct sts_response response = {0};
    struct span fault;
    struct credentials *set = NULL;
    bool by_token = fetch->set == NULL;
    const struct chain_role *role =
        by_token ? &fetch->chain.identity : &fetch->chain.roles[fetch->role_index];
    /* Without a set no request goes out whose response could show that the clock was corrected. */
    if (client->status != 0 && fetch->chain.sts.tls &&
        skew_check(fetch->options.skew, client->date, clock_wall()))
        fetch->notes.warning = SPAN("this machine's clock agrees with STS's again");
    if (client->status == 200) {
        set = sts_read_set(http_client_response(client),
                           by_token ? SPAN("web_identity") : SPAN("assume_role"), &fetch->arena,
                           &response, &fault);
        if (set == NULL)
            fault = arena_printf(&fetch->arena, "invalid response: %.*s", SPAN_ARG(fault));
    } else if (client->status != 0) {
        (void)!sts_read(http_client_response(client), &fetch->arena, &response, &fault);
        if (signs_again(fetch, client, &response))
            return;
        fault = fault_of_sts(fetch, client->status, &response);
    } else {
        fault = arena_copy(&fetch->arena, span_from(client->why));
    }
    if (set == NULL) {
        fail_source(fetch, arena_printf(&fetch->arena, "sts: %.*s: %.*s: %.*s",
                                        SPAN_ARG(fetch->chain.sts.authority),
                                        SPAN_ARG(role->role_arn), SPAN_ARG(fault)));
        return;
    }
    fetch->role_index += !by_token;
    take_set(fetch, set);
}
