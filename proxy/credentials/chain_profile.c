/* The part of a chain that a profile gives: its keys, or the roles that lead to some. */
#include "credentials/chain.h"

#include <openssl/sha.h>

#include "base/buffer.h"
#include "credentials/command_line.h"

struct walk {
    struct chain *chain;
    const struct chain_options *options;
    const struct profile_files *files;
    struct arena *arena;
    struct span visited[CHAIN_ROLES_MAX + 1];
    size_t visited_count;
    struct span fault;
};

static struct span get(const struct walk *walk, struct span profile, const char *key)
{
    return profile_get(walk->files, profile, span_from(key));
}

static struct span copy(struct walk *walk, struct span profile, const char *key)
{
    return arena_copy(walk->arena, get(walk, profile, key));
}

/* "profile NAME: what" */
static enum credentials_result fail(struct walk *walk, struct span profile, const char *what)
{
    walk->fault =
        arena_printf(walk->arena, "profile: profile \"%.*s\": %s", SPAN_ARG(profile), what);
    return CREDENTIALS_FAILED;
}

/* True with a fault where a value is longer than STS takes it. */
static bool is_too_long(struct walk *walk, struct span profile, const char *key, size_t max)
{
    struct span value = get(walk, profile, key);
    if (value.len <= max)
        return false;
    (void)fail(
        walk, profile,
        arena_printf(walk->arena, "%s has %zu characters; %zu at most", key, value.len, max).at);
    return true;
}

/* ---- keys, process, web identity ---- */

static bool has_keys(const struct walk *walk, struct span profile)
{
    return get(walk, profile, "aws_access_key_id").at != NULL ||
           get(walk, profile, "aws_secret_access_key").at != NULL;
}

static enum credentials_result take_keys(struct walk *walk, struct span profile)
{
    const struct credentials_parts parts = {
        .access_key_id = get(walk, profile, "aws_access_key_id"),
        .secret_access_key = get(walk, profile, "aws_secret_access_key"),
        .session_token = get(walk, profile, "aws_session_token"),
        .source = SPAN("profile"),
    };
    struct span fault;
    walk->chain->source = SPAN("profile");
    if (parts.access_key_id.at == NULL)
        return fail(walk, profile, "aws_secret_access_key has no aws_access_key_id beside it");
    if (parts.secret_access_key.at == NULL)
        return fail(walk, profile, "aws_access_key_id has no aws_secret_access_key beside it");
    walk->chain->set = credentials_create(&parts, walk->arena, &fault);
    return walk->chain->set != NULL ? CREDENTIALS_FOUND : fail(walk, profile, fault.at);
}

static enum credentials_result take_process(struct walk *walk, struct span profile)
{
    struct span fault;
    walk->chain->base = CHAIN_PROCESS;
    walk->chain->source = SPAN("process");
    if (command_line_split(get(walk, profile, "credential_process"), walk->arena,
                           &walk->chain->argv, &fault))
        return CREDENTIALS_FOUND;
    return fail(walk, profile,
                arena_printf(walk->arena, "credential_process: %.*s", SPAN_ARG(fault)).at);
}

static enum credentials_result take_web_identity(struct walk *walk, struct span profile)
{
    walk->chain->base = CHAIN_WEB_IDENTITY;
    walk->chain->source = SPAN("web_identity");
    if (get(walk, profile, "role_arn").at == NULL)
        return fail(walk, profile, "web_identity_token_file has no role_arn beside it");
    if (is_too_long(walk, profile, "role_arn", CHAIN_ROLE_ARN_MAX))
        return CREDENTIALS_FAILED;
    walk->chain->token_file = copy(walk, profile, "web_identity_token_file").at;
    walk->chain->identity =
        (struct chain_role){.role_arn = copy(walk, profile, "role_arn"),
                            .session_name = copy(walk, profile, "role_session_name")};
    return CREDENTIALS_FOUND;
}

/* ---- SSO: the token that `aws sso login` has left, exchanged at the portal ---- */

static const char *sso_cache_file(struct walk *walk, struct span key)
{
    unsigned char digest[SHA_DIGEST_LENGTH];
    char text[2 * SHA_DIGEST_LENGTH];
    struct buffer hex;
    struct span home = walk->options->getenv(walk->options->getenv_context, SPAN("HOME"));
    buffer_init_fixed(&hex, text, sizeof(text));
    SHA1((const unsigned char *)key.at, key.len, digest);
    buffer_append_hex(&hex, digest, sizeof(digest));
    return arena_printf(walk->arena, "%.*s/.aws/sso/cache/%.*s.json", SPAN_ARG(home),
                        SPAN_ARG(buffer_span(&hex)))
        .at;
}

static bool address_portal(struct walk *walk, struct span region, struct span *fault)
{
    struct chain *chain = walk->chain;
    struct span url =
        walk->options->getenv(walk->options->getenv_context, SPAN("AWS_ENDPOINT_URL_SSO"));
    if (!endpoint_region_is_valid(region)) {
        *fault = SPAN("sso_region is missing or cannot be a region");
        return false;
    }
    if (url.len == 0)
        url = arena_printf(walk->arena, "https://%.*s",
                           SPAN_ARG(endpoint_sso_portal_host(region, walk->arena)));
    if (!endpoint_parse_url(url, walk->arena, &chain->url, fault))
        return false;
    if (chain->url.tls || chain->url.loopback)
        return true;
    *fault = SPAN("AWS_ENDPOINT_URL_SSO: http:// beyond loopback would show the token");
    return false;
}

static enum credentials_result take_sso(struct walk *walk, struct span profile)
{
    struct chain *chain = walk->chain;
    struct span session = get(walk, profile, "sso_session"), key = session, fault;
    struct span region = get(walk, profile, "sso_region");
    struct span account = get(walk, profile, "sso_account_id");
    struct span role = get(walk, profile, "sso_role_name");
    struct buffer path;
    chain->base = CHAIN_SSO;
    chain->source = SPAN("sso");
    if (session.at != NULL)
        region = profile_get_section(walk->files, "sso-session", session, SPAN("sso_region"));
    else
        key = get(walk, profile, "sso_start_url");
    if (key.at == NULL || account.at == NULL || role.at == NULL)
        return fail(walk, profile,
                    "SSO needs sso_account_id, sso_role_name, and sso_session or sso_start_url");
    if (!address_portal(walk, region, &fault))
        return fail(walk, profile, fault.at);
    chain->token_file = sso_cache_file(walk, key);
    buffer_init(&path, 4096);
    buffer_append(&path, SPAN("/federation/credentials?role_name="));
    buffer_append_percent_encoded(&path, role);
    buffer_append(&path, SPAN("&account_id="));
    buffer_append_percent_encoded(&path, account);
    chain->path = arena_copy(walk->arena, buffer_span(&path));
    bool fits = !path.overflowed;
    buffer_dispose(&path);
    return fits ? CREDENTIALS_FOUND : fail(walk, profile, "sso_role_name is too long");
}

/* ---- roles ---- */

static bool was_visited(const struct walk *walk, struct span profile)
{
    for (size_t i = 0; i != walk->visited_count; ++i)
        if (span_equals(walk->visited[i], profile))
            return true;
    return false;
}

static enum credentials_result push_role(struct walk *walk, struct span profile)
{
    struct chain *chain = walk->chain;
    struct span duration = get(walk, profile, "duration_seconds");
    uint64_t seconds = 0;
    if (chain->role_count == CHAIN_ROLES_MAX)
        return fail(walk, profile, "more than 8 roles, one from the other");
    if (get(walk, profile, "mfa_serial").at != NULL)
        return fail(walk, profile, "mfa_serial asks for a code that nobody is there to type");
    if (duration.at != NULL &&
        (!span_parse_u64(duration, &seconds) || seconds < 900 || seconds > 43200))
        return fail(walk, profile, "duration_seconds is no number from 900 to 43200");
    if (is_too_long(walk, profile, "role_arn", CHAIN_ROLE_ARN_MAX) ||
        is_too_long(walk, profile, "external_id", CHAIN_EXTERNAL_ID_MAX))
        return CREDENTIALS_FAILED;
    chain->roles[chain->role_count++] =
        (struct chain_role){.role_arn = copy(walk, profile, "role_arn"),
                            .session_name = copy(walk, profile, "role_session_name"),
                            .external_id = copy(walk, profile, "external_id"),
                            .duration_s = (int64_t)seconds};
    return CREDENTIALS_FOUND;
}

static enum credentials_result take_credential_source(struct walk *walk, struct span profile,
                                                      struct span source)
{
    struct chain *chain = walk->chain;
    struct span fault;
    struct source_notes notes;
    bool ok;
    if (span_equals(source, SPAN("Environment"))) {
        chain->source = SPAN("env");
        enum credentials_result result = source_env_load(
            walk->options->getenv, walk->options->getenv_context, walk->arena, &chain->set, &notes);
        if (result == CREDENTIALS_FAILED)
            walk->fault = notes.fault;
        return result != CREDENTIALS_NOT_CONFIGURED
                   ? result
                   : fail(walk, profile,
                          "credential_source = Environment, but AWS_ACCESS_KEY_ID is not set");
    }
    if (span_equals(source, SPAN("EcsContainer"))) {
        chain->base = CHAIN_CONTAINER;
        chain->source = SPAN("container");
        ok = chain_address_container(chain, walk->options, walk->arena, &fault);
    } else if (span_equals(source, SPAN("Ec2InstanceMetadata"))) {
        chain->base = CHAIN_IMDS;
        chain->source = SPAN("imds");
        if (span_equals_ignore_case(walk->options->getenv(walk->options->getenv_context,
                                                          SPAN("AWS_EC2_METADATA_DISABLED")),
                                    SPAN("true")))
            return fail(walk, profile,
                        "credential_source = Ec2InstanceMetadata, but AWS_EC2_METADATA_DISABLED "
                        "is true");
        ok = chain_address_imds(chain, walk->options, walk->files, profile, walk->arena, &fault);
    } else {
        return fail(walk, profile,
                    "credential_source is none of Environment, EcsContainer, Ec2InstanceMetadata");
    }
    return ok ? CREDENTIALS_FOUND : fail(walk, profile, fault.at);
}

static enum credentials_result take_base(struct walk *walk, struct span profile)
{
    if (get(walk, profile, "web_identity_token_file").at != NULL)
        return take_web_identity(walk, profile);
    if (get(walk, profile, "sso_session").at != NULL ||
        get(walk, profile, "sso_start_url").at != NULL)
        return take_sso(walk, profile);
    bool process = get(walk, profile, "credential_process").at != NULL;
    bool keys = has_keys(walk, profile);
    /* A process comes before keys that stand in the config file. */
    if (keys && process && profile_is_from_config(walk->files, profile, SPAN("aws_access_key_id")))
        keys = false;
    if (keys)
        return take_keys(walk, profile);
    return process ? take_process(walk, profile) : CREDENTIALS_NOT_CONFIGURED;
}

/* From the profile outward to its source. *next is the profile to go on with; SPAN_NONE: done. */
static enum credentials_result take_role(struct walk *walk, struct span profile, struct span *next)
{
    struct span source_profile = get(walk, profile, "source_profile");
    struct span source = get(walk, profile, "credential_source");
    enum credentials_result result = push_role(walk, profile);
    *next = SPAN_NONE;
    if (result != CREDENTIALS_FOUND)
        return result;
    if ((source_profile.at == NULL) == (source.at == NULL))
        return fail(walk, profile,
                    "role_arn needs one of source_profile and credential_source, not both");
    if (source.at != NULL)
        return take_credential_source(walk, profile, source);
    if (!profile_exists(walk->files, source_profile))
        return fail(walk, profile, "its source_profile does not exist");
    if (span_equals(source_profile, profile))
        return has_keys(walk, profile)
                   ? take_keys(walk, profile)
                   : fail(walk, profile, "it is its own source_profile and has no keys");
    if (was_visited(walk, source_profile))
        return fail(walk, profile, "its source_profile leads back to itself");
    *next = source_profile;
    return CREDENTIALS_FOUND;
}

static void reverse_roles(struct chain *chain)
{
    for (size_t i = 0; i < chain->role_count / 2; ++i) {
        struct chain_role role = chain->roles[i];
        chain->roles[i] = chain->roles[chain->role_count - 1 - i];
        chain->roles[chain->role_count - 1 - i] = role;
    }
}

enum credentials_result chain_from_profile(struct chain *chain, const struct chain_options *options,
                                           const struct profile_files *files, struct span profile,
                                           struct arena *arena, struct span *fault)
{
    struct walk walk = {.chain = chain, .options = options, .files = files, .arena = arena};
    enum credentials_result result = CREDENTIALS_FOUND;
    for (struct span next; profile.at != NULL; profile = next) {
        bool is_source = walk.visited_count != 0;
        next = SPAN_NONE;
        walk.visited[walk.visited_count++] = profile;
        if (!(is_source && has_keys(&walk, profile)) &&
            get(&walk, profile, "role_arn").at != NULL &&
            get(&walk, profile, "web_identity_token_file").at == NULL)
            result = take_role(&walk, profile, &next);
        else
            result = take_base(&walk, profile);
        if (is_source && result == CREDENTIALS_NOT_CONFIGURED)
            result = fail(&walk, profile, "it is a source_profile and has no credentials");
        if (result != CREDENTIALS_FOUND)
            break;
    }
    reverse_roles(chain);
    *fault = walk.fault;
    return result;
}
