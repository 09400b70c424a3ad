/* Forms and their signature; responses. Wipes every copy of a key. */
#include "credentials/sts.h"

#include <expat.h>
#include <stdlib.h>

#include "aws/sha256.h"
#include "aws/sigv4.h"
#include "net/http_client.h"

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

/* ---- responses: XML by libexpat ---- */

enum { TEXT_MAX = 512, FIELD_MAX = CREDENTIALS_TOKEN_MAX + 1 };

enum field {
    FIELD_KEY_ID,
    FIELD_SECRET,
    FIELD_TOKEN,
    FIELD_EXPIRATION,
    FIELD_ERROR_CODE,
    FIELD_ERROR_MESSAGE,
    FIELD_ROLE_ARN,
    FIELD_CALLER_ARN,
    FIELD_ACCOUNT,
    FIELDS
};

/* An element is known by its own name and its parent's. */
static const struct {
    const char *parent, *name;
} elements[FIELDS] = {
    [FIELD_KEY_ID] = {"Credentials", "AccessKeyId"},
    [FIELD_SECRET] = {"Credentials", "SecretAccessKey"},
    [FIELD_TOKEN] = {"Credentials", "SessionToken"},
    [FIELD_EXPIRATION] = {"Credentials", "Expiration"},
    [FIELD_ERROR_CODE] = {"Error", "Code"},
    [FIELD_ERROR_MESSAGE] = {"Error", "Message"},
    [FIELD_ROLE_ARN] = {"AssumedRoleUser", "Arn"},
    [FIELD_CALLER_ARN] = {"GetCallerIdentityResult", "Arn"},
    [FIELD_ACCOUNT] = {"GetCallerIdentityResult", "Account"},
};

struct parse {
    XML_Parser parser;
    const char *fault;
    size_t depth;
    const char *parents[STS_RESPONSE_DEPTH_MAX]; /* names in `elements`; NULL: of no interest */
    int field;                                   /* being read; -1: none */
    struct buffer values[FIELDS];
    bool seen[FIELDS];
};

static void stop(struct parse *parse, const char *fault)
{
    parse->fault = fault;
    XML_StopParser(parse->parser, XML_FALSE);
}

/* The name as a parent in `elements`, or NULL. */
static const char *parent_named(const char *name)
{
    for (int i = 0; i != FIELDS; ++i)
        if (strcmp(name, elements[i].parent) == 0)
            return elements[i].parent;
    return NULL;
}

static int field_of(const char *parent, const char *name)
{
    for (int i = 0; parent != NULL && i != FIELDS; ++i)
        if (strcmp(parent, elements[i].parent) == 0 && strcmp(name, elements[i].name) == 0)
            return i;
    return -1;
}

static void XMLCALL on_start(void *context, const XML_Char *name, const XML_Char **attributes)
{
    struct parse *parse = context;
    (void)attributes;
    if (parse->depth == STS_RESPONSE_DEPTH_MAX) {
        stop(parse, "elements are nested too deep");
        return;
    }
    parse->field = parse->depth == 0 ? -1 : field_of(parse->parents[parse->depth - 1], name);
    parse->parents[parse->depth++] = parent_named(name);
    if (parse->field < 0)
        return;
    if (parse->seen[parse->field])
        stop(parse, "duplicate element");
    parse->seen[parse->field] = true;
}

static void XMLCALL on_end(void *context, const XML_Char *name)
{
    struct parse *parse = context;
    (void)name;
    --parse->depth;
    parse->field = -1;
}

static void XMLCALL on_text(void *context, const XML_Char *text, int len)
{
    struct parse *parse = context;
    if (parse->field >= 0)
        buffer_append(&parse->values[parse->field], span_make(text, (size_t)len));
}

static void XMLCALL on_doctype(void *context, const XML_Char *name, const XML_Char *system,
                               const XML_Char *public, int internal)
{
    (void)name, (void)system, (void)public, (void)internal;
    stop(context, "document types are not allowed");
}

static void open_parse(struct parse *parse)
{
    static const XML_Memory_Handling_Suite memory = {malloc, secret_realloc, secret_free};
    *parse = (struct parse){.field = -1};
    for (int i = 0; i != FIELDS; ++i)
        secret_buffer_init(&parse->values[i], i <= FIELD_TOKEN ? FIELD_MAX : TEXT_MAX);
    parse->parser = XML_ParserCreate_MM("UTF-8", &memory, NULL);
    CHECK(parse->parser != NULL);
    XML_SetUserData(parse->parser, parse);
    XML_SetElementHandler(parse->parser, on_start, on_end);
    XML_SetCharacterDataHandler(parse->parser, on_text);
    XML_SetStartDoctypeDeclHandler(parse->parser, on_doctype);
}

static void close_parse(struct parse *parse)
{
    XML_ParserFree(parse->parser);
    for (int i = 0; i != FIELDS; ++i)
        secret_buffer_dispose(&parse->values[i]);
}

static struct span text_of(const struct parse *parse, enum field field, struct arena *arena)
{
    struct span value = buffer_span(&parse->values[field]);
    if (!parse->seen[field] || value.len == 0)
        return SPAN_NONE;
    char *at = arena_alloc(arena, value.len + 1);
    for (size_t i = 0; i != value.len; ++i)
        at[i] = (char)(ascii_is_printable(value.at[i]) ? value.at[i] : ' ');
    at[value.len] = '\0';
    return span_make(at, value.len);
}

/* Parses and takes the texts. Returns false and sets *fault if it is not well-formed. */
static bool run(struct parse *parse, struct span xml, struct arena *arena,
                struct sts_response *response, struct span *fault)
{
    bool ok = xml.len <= STS_RESPONSE_SIZE_MAX;
    if (!ok)
        *fault = arena_printf(arena, "larger than %d bytes", STS_RESPONSE_SIZE_MAX);
    if (ok &&
        XML_Parse(parse->parser, xml.len == 0 ? "" : xml.at, (int)xml.len, 1) != XML_STATUS_OK) {
        const char *why = parse->fault;
        if (why == NULL)
            why = XML_ErrorString(XML_GetErrorCode(parse->parser));
        *fault = arena_printf(arena, "line %lu: %s",
                              (unsigned long)XML_GetCurrentLineNumber(parse->parser), why);
        ok = false;
    }
    enum field arn = parse->seen[FIELD_ROLE_ARN] ? FIELD_ROLE_ARN : FIELD_CALLER_ARN;
    *response = (struct sts_response){.error_code = text_of(parse, FIELD_ERROR_CODE, arena),
                                      .error_message = text_of(parse, FIELD_ERROR_MESSAGE, arena),
                                      .arn = text_of(parse, arn, arena),
                                      .account = text_of(parse, FIELD_ACCOUNT, arena)};
    return ok;
}

static struct credentials *make_set(const struct parse *parse, struct span source,
                                    struct arena *arena, struct span *fault)
{
    const struct buffer *values = parse->values;
    struct credentials_parts parts = {
        .access_key_id = buffer_span(&values[FIELD_KEY_ID]),
        .secret_access_key = buffer_span(&values[FIELD_SECRET]),
        .session_token = buffer_span(&values[FIELD_TOKEN]),
        .source = source,
    };
    for (int i = 0; i <= FIELD_TOKEN; ++i) {
        if (!values[i].overflowed)
            continue;
        *fault = arena_printf(arena, "%s is longer than %d bytes", elements[i].name,
                              CREDENTIALS_TOKEN_MAX);
        return NULL;
    }
    if (!credentials_parse_expires(buffer_span(&values[FIELD_EXPIRATION]), &parts.expires)) {
        *fault = SPAN("Expiration is missing or malformed");
        return NULL;
    }
    return credentials_create(&parts, arena, fault);
}

struct credentials *sts_read_set(struct span xml, struct span source, struct arena *arena,
                                 struct sts_response *response, struct span *fault)
{
    struct parse parse;
    struct credentials *credentials = NULL;
    open_parse(&parse);
    if (run(&parse, xml, arena, response, fault))
        credentials = make_set(&parse, source, arena, fault);
    close_parse(&parse);
    return credentials;
}

bool sts_read(struct span xml, struct arena *arena, struct sts_response *response,
              struct span *fault)
{
    struct parse parse;
    open_parse(&parse);
    bool ok = run(&parse, xml, arena, response, fault);
    close_parse(&parse);
    return ok;
}
