/* Credentials from the environment; it is given the environment and reads no other. */
#include "credentials/source.h"

/* The credential_process names in credentials_create's faults, as the environment calls them. */
static struct span variable_of(struct span fault, struct arena *arena)
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

enum credentials_result source_env_load(config_getenv getenv, void *context, struct arena *arena,
                                        struct credentials **out, struct source_notes *notes)
{
    struct span expiration = getenv(context, SPAN("AWS_CREDENTIAL_EXPIRATION"));
    struct credentials_parts parts = {
        .access_key_id = getenv(context, SPAN("AWS_ACCESS_KEY_ID")),
        .secret_access_key = getenv(context, SPAN("AWS_SECRET_ACCESS_KEY")),
        .session_token = getenv(context, SPAN("AWS_SESSION_TOKEN")),
        .source = SPAN("env"),
    };
    *notes = (struct source_notes){SPAN_NONE, SPAN_NONE};
    if (parts.access_key_id.len == 0 && parts.secret_access_key.len == 0)
        return CREDENTIALS_NOT_CONFIGURED;
    if (parts.secret_access_key.len == 0) {
        notes->fault =
            SPAN("environment: AWS_ACCESS_KEY_ID is set, but AWS_SECRET_ACCESS_KEY is not");
        return CREDENTIALS_FAILED;
    }
    if (parts.access_key_id.len == 0) {
        notes->fault =
            SPAN("environment: AWS_SECRET_ACCESS_KEY is set, but AWS_ACCESS_KEY_ID is not");
        return CREDENTIALS_FAILED;
    }
    if (expiration.len != 0 && !credentials_parse_expires(expiration, &parts.expires)) {
        notes->fault = SPAN("environment: AWS_CREDENTIAL_EXPIRATION is no RFC 3339 time such as "
                            "2015-08-30T12:36:00Z");
        return CREDENTIALS_FAILED;
    }
    struct span fault;
    struct credentials *credentials = credentials_create(&parts, arena, &fault);
    if (credentials == NULL) {
        notes->fault = variable_of(fault, arena);
        return CREDENTIALS_FAILED;
    }
    *out = credentials;
    return CREDENTIALS_FOUND;
}
