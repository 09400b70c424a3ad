/* Reads sets of credentials by jansson, and leaves no copy of a secret behind. */
#include "credentials/document.h"

#include <jansson.h>
#include <pthread.h>
#include <stdlib.h>

enum { ERROR_TEXT_MAX = 256 };

/* How a form names the parts. */
struct names {
    const char *key_id, *secret, *token, *expiration;
};

static const struct names names_of[] = {
    [DOCUMENT_PROCESS] = {"AccessKeyId", "SecretAccessKey", "SessionToken", "Expiration"},
    [DOCUMENT_CONTAINER] = {"AccessKeyId", "SecretAccessKey", "Token", "Expiration"},
    [DOCUMENT_IMDS] = {"AccessKeyId", "SecretAccessKey", "Token", "Expiration"},
    [DOCUMENT_SSO] = {"accessKeyId", "secretAccessKey", "sessionToken", "expiration"},
};

/* ---- jansson's strings and its reader's buffers hold the secret ---- */

static void make_jansson_wipe(void)
{
    json_set_alloc_funcs(malloc, secret_free);
}

void document_init(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, make_jansson_wipe);
}

/* ---- values ---- */

/* jansson's own text quotes the input, which may be the secret. */
static struct span fault_of_json(const json_error_t *error, struct arena *arena)
{
    const char *what = "invalid JSON";
    if (json_error_code(error) == json_error_duplicate_key)
        what = "duplicate key";
    if (json_error_code(error) == json_error_premature_end_of_input)
        what = "truncated JSON";
    if (json_error_code(error) == json_error_end_of_input_expected)
        what = "text after the JSON object";
    return arena_printf(arena, "line %d, column %d: %s", error->line, error->column, what);
}

/* NULL, with *fault, if text is no JSON object. */
static json_t *load_object(struct span text, struct arena *arena, struct span *fault)
{
    json_error_t error;
    document_init();
    if (text.len > DOCUMENT_SIZE_MAX) {
        *fault = arena_printf(arena, "larger than %d bytes", DOCUMENT_SIZE_MAX);
        return NULL;
    }
    json_t *object =
        json_loadb(text.len == 0 ? "" : text.at, text.len, JSON_REJECT_DUPLICATES, &error);
    if (object == NULL)
        *fault = fault_of_json(&error, arena);
    secret_wipe(&error, sizeof(error));
    if (object == NULL || json_is_object(object))
        return object;
    *fault = SPAN("not a JSON object");
    json_decref(object);
    return NULL;
}

/* *out points into object; SPAN_NONE if the key is missing. */
static bool get_string(const json_t *object, const char *key, struct span *out, struct span *fault,
                       struct arena *arena)
{
    const json_t *value = json_object_get(object, key);
    *out = SPAN_NONE;
    if (value == NULL)
        return true;
    if (!json_is_string(value)) {
        *fault = arena_printf(arena, "%s must be a string", key);
        return false;
    }
    *out = span_make(json_string_value(value), json_string_length(value));
    return true;
}

static bool get_time(const json_t *object, const char *key, struct wall_time *out,
                     struct span *fault, struct arena *arena)
{
    struct span text;
    if (!get_string(object, key, &text, fault, arena))
        return false;
    if (text.at == NULL || credentials_parse_expires(text, out))
        return true;
    *fault = arena_printf(arena, "%s must be an RFC 3339 time such as 2015-08-30T12:36:00Z", key);
    return false;
}

/* Milliseconds since 1970. */
static bool get_epoch_ms(const json_t *object, const char *key, struct wall_time *out,
                         struct span *fault, struct arena *arena)
{
    const json_t *value = json_object_get(object, key);
    if (json_is_integer(value) && json_integer_value(value) > 0 &&
        json_integer_value(value) < INT64_MAX / 1000) {
        out->us = json_integer_value(value) * 1000;
        return true;
    }
    *fault = arena_printf(arena, "%s must be a number of milliseconds since 1970", key);
    return false;
}

/* ---- sets ---- */

static struct span printable(struct span text, struct arena *arena)
{
    char *at = arena_alloc(arena, text.len + 1);
    for (size_t i = 0; i != text.len; ++i)
        at[i] = (char)(text.at[i] >= ' ' && text.at[i] < 0x7f ? text.at[i] : '?');
    at[text.len] = '\0';
    return span_make(at, text.len);
}

static bool get_parts(const json_t *object, enum document_form form,
                      struct credentials_parts *parts, struct span *fault, struct arena *arena)
{
    const struct names *names = &names_of[form];
    return get_string(object, names->key_id, &parts->access_key_id, fault, arena) &&
           get_string(object, names->secret, &parts->secret_access_key, fault, arena) &&
           get_string(object, names->token, &parts->session_token, fault, arena) &&
           (form == DOCUMENT_SSO
                ? get_epoch_ms(object, names->expiration, &parts->expires, fault, arena)
                : get_time(object, names->expiration, &parts->expires, fault, arena));
}

/* Checks what a form requires besides the parts. */
static bool check_form(const json_t *object, enum document_form form, struct span *fault,
                       struct arena *arena)
{
    const json_t *version = json_object_get(object, "Version");
    struct span code;
    if (form == DOCUMENT_PROCESS &&
        (!json_is_integer(version) || json_integer_value(version) != 1)) {
        *fault = SPAN("Version must be 1");
        return false;
    }
    if (form != DOCUMENT_IMDS)
        return true;
    if (!get_string(object, "Code", &code, fault, arena))
        return false;
    if (code.at == NULL || span_equals(code, SPAN("Success")))
        return true;
    if (code.len > ERROR_TEXT_MAX / 2)
        code.len = ERROR_TEXT_MAX / 2;
    *fault = arena_printf(arena,
                          "Code is \"%.*s\", not Success: does the role's trust policy name "
                          "ec2.amazonaws.com?",
                          SPAN_ARG(printable(code, arena)));
    return false;
}

struct credentials *document_read_set(enum document_form form, struct span text, struct span source,
                                      struct arena *arena, struct span *fault)
{
    struct credentials_parts parts = {.source = source};
    struct credentials *credentials = NULL;
    json_t *root = load_object(text, arena, fault);
    if (root == NULL)
        return NULL;
    const json_t *object = form == DOCUMENT_SSO ? json_object_get(root, "roleCredentials") : root;
    if (!json_is_object(object))
        *fault = SPAN("roleCredentials is missing");
    else if (check_form(object, form, fault, arena) &&
             get_parts(object, form, &parts, fault, arena))
        credentials = credentials_create(&parts, arena, fault);
    json_decref(root);
    return credentials;
}

/* ---- the rest ---- */

struct span document_error_text(struct span text, struct span token, struct arena *arena)
{
    struct span ignored, code, message, out = SPAN_NONE;
    if (token.len != 0 && text.len != 0 && memmem(text.at, text.len, token.at, token.len) != NULL)
        return SPAN("response text withheld: it contains the token");
    json_t *object = load_object(text, arena, &ignored);
    if (object == NULL)
        return SPAN_NONE;
    if (!get_string(object, "code", &code, &ignored, arena) || code.at == NULL)
        (void)get_string(object, "Code", &code, &ignored, arena);
    if (!get_string(object, "message", &message, &ignored, arena) || message.at == NULL)
        (void)get_string(object, "Message", &message, &ignored, arena);
    if (code.len > ERROR_TEXT_MAX / 2)
        code.len = ERROR_TEXT_MAX / 2;
    if (message.len > ERROR_TEXT_MAX / 2 - 2)
        message.len = ERROR_TEXT_MAX / 2 - 2;
    if (code.len != 0 || message.len != 0)
        out = printable(arena_printf(arena, "%.*s%s%.*s", SPAN_ARG(code),
                                     code.len != 0 && message.len != 0 ? ": " : "",
                                     SPAN_ARG(message)),
                        arena);
    json_decref(object);
    return out;
}

bool document_read_sso_token(struct span text, struct secret *token, struct wall_time *expires,
                             struct arena *arena, struct span *fault)
{
    struct span value;
    struct wall_time at = {0};
    json_t *object = load_object(text, arena, fault);
    if (object == NULL)
        return false;
    bool ok = get_string(object, "accessToken", &value, fault, arena) &&
              get_time(object, "expiresAt", &at, fault, arena);
    if (ok && (value.len == 0 || at.us == 0)) {
        *fault = SPAN("accessToken or expiresAt is missing");
        ok = false;
    }
    if (ok) {
        *token = secret_copy(value);
        *expires = at;
    }
    json_decref(object);
    return ok;
}
