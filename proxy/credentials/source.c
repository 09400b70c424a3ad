/* Reads credentials from a given environment and from a file. */
#include "credentials/source.h"

#include "credentials/document.h"
#include "credentials/file.h"

static enum credentials_result fail(struct credentials_notes *notes, struct span fault)
{
    *notes = (struct credentials_notes){.fault = fault};
    return CREDENTIALS_FAILED;
}

/* credentials_create's fault with the names that the environment uses. */
static struct span fault_of_env(struct span fault, struct arena *arena)
{
    static const struct {
        struct span part, variable;
    } names[] = {{SPAN("AccessKeyId"), SPAN("AWS_ACCESS_KEY_ID")},
                 {SPAN("SecretAccessKey"), SPAN("AWS_SECRET_ACCESS_KEY")},
                 {SPAN("SessionToken"), SPAN("AWS_SESSION_TOKEN")}};
    for (size_t i = 0; i != sizeof(names) / sizeof(names[0]); ++i)
        if (span_starts_with(fault, names[i].part))
            return arena_printf(arena, "environment: %.*s%.*s", SPAN_ARG(names[i].variable),
                                SPAN_ARG(span_from_offset(fault, names[i].part.len)));
    return fault;
}

enum credentials_result source_load_env(config_getenv getenv, void *context, struct arena *arena,
                                        struct credentials **out, struct credentials_notes *notes)
{
    struct span expiration = getenv(context, SPAN("AWS_CREDENTIAL_EXPIRATION")), fault;
    struct credentials_parts parts = {
        .access_key_id = getenv(context, SPAN("AWS_ACCESS_KEY_ID")),
        .secret_access_key = getenv(context, SPAN("AWS_SECRET_ACCESS_KEY")),
        .session_token = getenv(context, SPAN("AWS_SESSION_TOKEN")),
        .source = SPAN("env"),
    };
    *notes = (struct credentials_notes){SPAN_NONE, SPAN_NONE};
    if (parts.access_key_id.len == 0 && parts.secret_access_key.len == 0)
        return CREDENTIALS_NOT_CONFIGURED;
    if (parts.secret_access_key.len == 0)
        return fail(notes, SPAN("environment: AWS_ACCESS_KEY_ID is set, but "
                                "AWS_SECRET_ACCESS_KEY is not"));
    if (parts.access_key_id.len == 0)
        return fail(notes, SPAN("environment: AWS_SECRET_ACCESS_KEY is set, but "
                                "AWS_ACCESS_KEY_ID is not"));
    if (expiration.len != 0 && !credentials_parse_expires(expiration, &parts.expires))
        return fail(notes, SPAN("environment: AWS_CREDENTIAL_EXPIRATION must be an RFC 3339 time "
                                "such as 2015-08-30T12:36:00Z"));
    struct credentials *credentials = credentials_create(&parts, arena, &fault);
    if (credentials == NULL)
        return fail(notes, fault_of_env(fault, arena));
    *out = credentials;
    return CREDENTIALS_FOUND;
}

enum credentials_result source_load_file(const char *file, struct arena *arena,
                                         struct credentials **out, struct credentials_notes *notes)
{
    struct span fault = SPAN("cannot open: No such file or directory");
    struct credentials *credentials = NULL;
    struct file_text text;
    *notes = (struct credentials_notes){SPAN_NONE, SPAN_NONE};
    if (file_read(file, SOURCE_FILE_MAX, &text, arena, &fault) == FILE_READ) {
        credentials =
            document_read_set(DOCUMENT_PROCESS, file_span(&text), SPAN("static"), arena, &fault);
        if (file_is_open_to_others(&text))
            notes->warning = arena_printf(
                arena, "static: %s: mode %04o lets other users read it; use 0600", file, text.mode);
        file_dispose(&text);
    }
    if (credentials == NULL)
        return fail(notes, arena_printf(arena, "static: %s: %.*s", file, SPAN_ARG(fault)));
    *out = credentials;
    return CREDENTIALS_FOUND;
}
