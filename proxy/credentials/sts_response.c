/* STS's XML by libexpat; every copy of a key is wiped. */
#include "credentials/sts_response.h"

#include <expat.h>
#include <malloc.h>
#include <stdlib.h>

#include "base/buffer.h"

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
    enum { OTHER, CREDENTIALS, ERROR, ROLE, CALLER } parents[STS_RESPONSE_DEPTH_MAX];
    int field; /* being read; -1: none */
    struct buffer values[FIELDS];
    bool seen[FIELDS];
};

/* ---- expat's memory held the keys ---- */

static void wipe_and_free(void *at)
{
    if (at == NULL)
        return;
    secret_wipe(at, malloc_usable_size(at));
    free(at);
}

static void *grow(void *at, size_t size)
{
    size_t had = at == NULL ? 0 : malloc_usable_size(at);
    void *next = malloc(size);
    if (next == NULL)
        return NULL;
    if (had != 0)
        memcpy(next, at, had < size ? had : size);
    wipe_and_free(at);
    return next;
}

/* ---- events ---- */

static void stop(struct parse *parse, const char *fault)
{
    parse->fault = fault;
    XML_StopParser(parse->parser, XML_FALSE);
}

static int kind_of(const char *name)
{
    static const char *const kinds[] = {NULL, "Credentials", "Error", "AssumedRoleUser",
                                        "GetCallerIdentityResult"};
    for (int i = 1; i != sizeof(kinds) / sizeof(kinds[0]); ++i)
        if (strcmp(name, kinds[i]) == 0)
            return i;
    return OTHER;
}

static int field_of(int parent, const char *name)
{
    for (int i = 0; i != FIELDS; ++i)
        if (parent == kind_of(elements[i].parent) && strcmp(name, elements[i].name) == 0)
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
    int parent = parse->depth == 0 ? OTHER : (int)parse->parents[parse->depth - 1];
    parse->field = parent == OTHER ? -1 : field_of(parent, name);
    if (parse->field >= 0 && parse->seen[parse->field]) {
        stop(parse, "duplicate element");
        return;
    }
    if (parse->field >= 0)
        parse->seen[parse->field] = true;
    parse->parents[parse->depth++] = (unsigned)kind_of(name);
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
    (void)name;
    (void)system;
    (void)public;
    (void)internal;
    stop(context, "document types are not allowed");
}

/* ---- a response ---- */

/* A buffer of a fixed size is neither copied nor left behind as it grows. */
static void open_parse(struct parse *parse)
{
    static const XML_Memory_Handling_Suite memory = {malloc, grow, wipe_and_free};
    *parse = (struct parse){.field = -1};
    for (int i = 0; i != FIELDS; ++i) {
        size_t size = i <= FIELD_TOKEN ? FIELD_MAX : TEXT_MAX;
        void *at = malloc(size);
        CHECK(at != NULL);
        buffer_init_fixed(&parse->values[i], at, size);
    }
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
    for (int i = 0; i != FIELDS; ++i) {
        secret_wipe(parse->values[i].at, parse->values[i].capacity);
        free(parse->values[i].at);
    }
}

static bool run(struct parse *parse, struct span xml, struct arena *arena, struct span *fault)
{
    if (xml.len > STS_RESPONSE_SIZE_MAX) {
        *fault = arena_printf(arena, "larger than %d bytes", STS_RESPONSE_SIZE_MAX);
        return false;
    }
    if (XML_Parse(parse->parser, xml.len == 0 ? "" : xml.at, (int)xml.len, 1) == XML_STATUS_OK)
        return true;
    *fault = arena_printf(
        arena, "line %lu: %s", (unsigned long)XML_GetCurrentLineNumber(parse->parser),
        parse->fault != NULL ? parse->fault : XML_ErrorString(XML_GetErrorCode(parse->parser)));
    return false;
}

static struct span text_of(const struct parse *parse, enum field field, struct arena *arena)
{
    struct span value = buffer_span(&parse->values[field]);
    if (!parse->seen[field] || value.len == 0)
        return SPAN_NONE;
    char *at = arena_alloc(arena, value.len + 1);
    for (size_t i = 0; i != value.len; ++i)
        at[i] = (char)(value.at[i] >= ' ' && value.at[i] < 0x7f ? value.at[i] : ' ');
    at[value.len] = '\0';
    return span_make(at, value.len);
}

static void take_texts(const struct parse *parse, struct arena *arena,
                       struct sts_response *response)
{
    *response = (struct sts_response){
        .error_code = text_of(parse, FIELD_ERROR_CODE, arena),
        .error_message = text_of(parse, FIELD_ERROR_MESSAGE, arena),
        .arn =
            text_of(parse, parse->seen[FIELD_ROLE_ARN] ? FIELD_ROLE_ARN : FIELD_CALLER_ARN, arena),
        .account = text_of(parse, FIELD_ACCOUNT, arena),
    };
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

struct credentials *sts_response_read_set(struct span xml, struct span source, struct arena *arena,
                                          struct sts_response *response, struct span *fault)
{
    struct parse parse;
    struct credentials *credentials = NULL;
    open_parse(&parse);
    bool ok = run(&parse, xml, arena, fault);
    take_texts(&parse, arena, response);
    if (ok)
        credentials = make_set(&parse, source, arena, fault);
    close_parse(&parse);
    return credentials;
}

bool sts_response_read(struct span xml, struct arena *arena, struct sts_response *response,
                       struct span *fault)
{
    struct parse parse;
    open_parse(&parse);
    bool ok = run(&parse, xml, arena, fault);
    take_texts(&parse, arena, response);
    close_parse(&parse);
    return ok;
}
