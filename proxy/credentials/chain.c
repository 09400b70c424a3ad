/* Walking the chain of sources, and what each of them needs to be asked. */
#include "credentials/chain.h"

#include <arpa/inet.h>
#include <openssl/sha.h>

#include "aws/session_name.h"
#include "credentials/command_line.h"
#include "credentials/profile.h"

struct resolve {
    const struct chain_options *options;
    struct arena *arena;
    struct chain *chain;
    struct profile_files files;
    struct span profile;   /* the name; SPAN_NONE: the files have not been opened */
    bool profile_is_named; /* so it must exist */
    struct span visited[CHAIN_ROLES_MAX + 1]; /* profiles, from the outermost role to its source */
    size_t visited_count;
    struct span fault, warning;
};

/* ---- looking up ---- */

/* SPAN_NONE if unset or empty. */
static struct span variable(const struct resolve *r, const char *name)
{
    struct span value = r->options->getenv(r->options->getenv_context, span_from(name));
    return value.len == 0 ? SPAN_NONE : value;
}

static struct span get(const struct resolve *r, struct span profile, const char *key)
{
    return profile_get(&r->files, profile, span_from(key));
}

static struct span get_copy(const struct resolve *r, struct span profile, const char *key)
{
    return arena_copy(r->arena, get(r, profile, key));
}

/* By the variable, else by the profile's key; SPAN_NONE if neither is set. */
static struct span find_setting(const struct resolve *r, struct span profile, const char *name,
                                const char *key)
{
    struct span value = variable(r, name);
    return value.at != NULL ? value : get(r, profile, key);
}

static bool is_true(struct span value)
{
    return span_equals_ignore_case(value, SPAN("true"));
}

static const struct config_credentials *configured(const struct resolve *r)
{
    return &r->options->identity->credentials;
}

static enum credentials_result fail(struct resolve *r, struct span fault)
{
    r->fault = fault;
    return CREDENTIALS_FAILED;
}

#define FAIL(r, ...) fail(r, arena_printf((r)->arena, __VA_ARGS__))

static enum credentials_result fail_profile(struct resolve *r, struct span profile,
                                            const char *what)
{
    return FAIL(r, "profile: profile \"%.*s\": %s", SPAN_ARG(profile), what);
}

static void watch(struct resolve *r, const char *name, struct file_version version)
{
    if (name != NULL)
        r->chain->files[r->chain->file_count++] = (struct chain_file){name, version};
}

/* ---- the shared files ---- */

/* The profile that is configured, else the environment's; SPAN_NONE: none is named. */
static struct span named_profile(config_getenv getenv, void *context, struct span name)
{
    if (name.len == 0)
        name = getenv(context, SPAN("AWS_PROFILE"));
    if (name.len == 0)
        name = getenv(context, SPAN("AWS_DEFAULT_PROFILE"));
    return name.len == 0 ? SPAN_NONE : name;
}

static bool open_profiles(struct resolve *r)
{
    struct span fault;
    const struct chain_options *options = r->options;
    struct span named =
        named_profile(options->getenv, options->getenv_context, configured(r)->profile);
    r->profile = arena_copy(r->arena, named.at == NULL ? SPAN("default") : named);
    r->profile_is_named = named.at != NULL;
    bool ok = profile_open(options->getenv, options->getenv_context, r->arena, &r->files, &fault);
    watch(r, r->files.config_name, r->files.config_version);
    watch(r, r->files.credentials_name, r->files.credentials_version);
    if (!ok)
        FAIL(r, "profile: %.*s", SPAN_ARG(fault));
    else if (r->files.warning.at != NULL && r->warning.at == NULL)
        r->warning = arena_printf(r->arena, "profile: %.*s", SPAN_ARG(r->files.warning));
    return ok;
}

/* ---- the environment, a file, a process ---- */

static enum credentials_result try_env(struct resolve *r)
{
    struct credentials_notes notes;
    r->chain->source = SPAN("env");
    enum credentials_result result = source_load_env(r->options->getenv, r->options->getenv_context,
                                                     r->arena, &r->chain->set, &notes);
    return result == CREDENTIALS_FAILED ? fail(r, notes.fault) : result;
}

static enum credentials_result try_static(struct resolve *r)
{
    struct credentials_notes notes;
    const char *file = configured(r)->file.at;
    if (file == NULL)
        return CREDENTIALS_NOT_CONFIGURED;
    watch(r, file, file_version(file));
    r->chain->source = SPAN("static");
    enum credentials_result result = source_load_file(file, r->arena, &r->chain->set, &notes);
    r->warning = notes.warning;
    return result == CREDENTIALS_FAILED ? fail(r, notes.fault) : result;
}

/* Sets *fault if the command line is malformed. */
static bool take_command(struct resolve *r, struct span command, struct span *fault)
{
    r->chain->base = CHAIN_PROCESS;
    r->chain->source = SPAN("process");
    return command_line_split(command, r->arena, &r->chain->argv, fault);
}

static enum credentials_result try_process(struct resolve *r)
{
    struct span command = configured(r)->process, fault;
    if (command.at == NULL)
        return CREDENTIALS_NOT_CONFIGURED;
    if (take_command(r, command, &fault))
        return CREDENTIALS_FOUND;
    return FAIL(r, "process: credentials.process: %.*s", SPAN_ARG(fault));
}

/* ---- containers ---- */

/* Where plain HTTP may carry the token: AWS SDKs and Tools Reference, "Container credential
 * provider". */
static bool is_container_host(const struct endpoint_url *url)
{
    return url->tls || url->loopback || span_equals(url->host, SPAN("169.254.170.2")) ||
           span_equals(url->host, SPAN("169.254.170.23")) ||
           span_equals(url->host, SPAN("fd00:ec2::23"));
}

static bool is_path(struct span path)
{
    return path.len != 0 && path.len <= 2048 && path.at[0] == '/' &&
           span_is_all(path, ASCII_VISIBLE) && span_find(path, '#') == path.len;
}

/* "https://host:port/path?query" into url and path. */
static bool split_url(struct resolve *r, struct span url, struct span *fault)
{
    struct chain *chain = r->chain;
    size_t scheme = span_starts_with_ignore_case(url, SPAN("https://")) ? 8 : 7;
    if (url.len < scheme)
        scheme = url.len;
    size_t authority = scheme + span_find(span_from_offset(url, scheme), '/');
    chain->path = arena_copy(r->arena, span_from_offset(url, authority));
    if (chain->path.len == 0)
        chain->path = SPAN("/");
    return endpoint_parse_url(span_make(url.at, authority), r->arena, &chain->url, fault);
}

static enum credentials_result try_container(struct resolve *r)
{
    struct chain *chain = r->chain;
    struct span relative = variable(r, "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"), why;
    struct span full = variable(r, "AWS_CONTAINER_CREDENTIALS_FULL_URI");
    struct span file = variable(r, "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE");
    if (relative.at == NULL && full.at == NULL)
        return CREDENTIALS_NOT_CONFIGURED;
    chain->base = CHAIN_CONTAINER;
    chain->source = SPAN("container");
    chain->token_file = arena_copy(r->arena, file).at;
    if (file.at == NULL)
        chain->token = variable(r, "AWS_CONTAINER_AUTHORIZATION_TOKEN");
    if (relative.at != NULL)
        full = arena_printf(r->arena, "http://169.254.170.2%.*s", SPAN_ARG(relative));
    if (relative.at != NULL && !is_path(relative))
        return fail(r, SPAN("container: AWS_CONTAINER_CREDENTIALS_RELATIVE_URI must be a path such "
                            "as /v2/credentials/ID"));
    if (!split_url(r, full, &why))
        return FAIL(r, "container: AWS_CONTAINER_CREDENTIALS_FULL_URI: %.*s", SPAN_ARG(why));
    if (!is_path(chain->path))
        return fail(r, SPAN("container: AWS_CONTAINER_CREDENTIALS_FULL_URI: the path "
                            "is malformed"));
    if (is_container_host(&chain->url))
        return CREDENTIALS_FOUND;
    return FAIL(r,
                "container: %.*s must use https://: plain http:// is allowed only for loopback, "
                "169.254.170.2, 169.254.170.23 and [fd00:ec2::23]",
                SPAN_ARG(chain->url.authority));
}

/* ---- instance metadata ---- */

static bool is_imds_off(const struct resolve *r)
{
    return is_true(variable(r, "AWS_EC2_METADATA_DISABLED"));
}

static bool is_link_local(struct span host)
{
    struct in_addr v4;
    return inet_pton(AF_INET, host.at, &v4) == 1 && ntohl(v4.s_addr) >> 16 == (169 << 8 | 254);
}

static bool is_metadata_host(const struct endpoint_url *url)
{
    return url->tls || url->loopback || is_link_local(url->host) ||
           span_equals(url->host, SPAN("fd00:ec2::254"));
}

static enum credentials_result address_imds(struct resolve *r, struct span profile)
{
    struct chain *chain = r->chain;
    struct span url = configured(r)->imds_endpoint, why;
    const char *origin = "credentials.imds_endpoint";
    struct span mode = find_setting(r, profile, "AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE",
                                    "ec2_metadata_service_endpoint_mode");
    bool ipv6 = span_equals_ignore_case(mode, SPAN("ipv6"));
    chain->base = CHAIN_IMDS;
    chain->source = SPAN("imds");
    chain->imds_v1 = configured(r)->imds_v1;
    if (url.at == NULL) {
        url = variable(r, "AWS_EC2_METADATA_SERVICE_ENDPOINT");
        origin = "AWS_EC2_METADATA_SERVICE_ENDPOINT";
    }
    if (url.at == NULL) {
        url = get(r, profile, "ec2_metadata_service_endpoint");
        origin = "ec2_metadata_service_endpoint of the profile";
    }
    if (mode.at != NULL && !ipv6 && !span_equals_ignore_case(mode, SPAN("ipv4")))
        return fail(r, SPAN("imds: AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE (or the profile's "
                            "ec2_metadata_service_endpoint_mode) must be IPv4 or IPv6"));
    if (url.at == NULL)
        url = ipv6 ? SPAN("http://[fd00:ec2::254]") : SPAN("http://169.254.169.254");
    if (!endpoint_parse_url(url, r->arena, &chain->url, &why))
        return FAIL(r, "imds: %s: %.*s", origin, SPAN_ARG(why));
    if (is_metadata_host(&chain->url))
        return CREDENTIALS_FOUND;
    return FAIL(r,
                "imds: %s: %.*s must use https://: plain http:// is allowed only for loopback, "
                "169.254.x.x and [fd00:ec2::254]",
                origin, SPAN_ARG(chain->url.authority));
}

static enum credentials_result try_imds(struct resolve *r)
{
    return is_imds_off(r) ? CREDENTIALS_NOT_CONFIGURED : address_imds(r, r->profile);
}

/* ---- web identity ---- */

static enum credentials_result take_web_identity(struct resolve *r, struct span file,
                                                 struct span role_arn, struct span session_name)
{
    struct chain *chain = r->chain;
    chain->base = CHAIN_WEB_IDENTITY;
    chain->source = SPAN("web_identity");
    chain->token_file = arena_copy(r->arena, file).at;
    chain->identity = (struct chain_role){.role_arn = arena_copy(r->arena, role_arn),
                                          .session_name = arena_copy(r->arena, session_name)};
    if (role_arn.at == NULL)
        return fail(r, SPAN("web_identity: the token file needs a role: set AWS_ROLE_ARN, or "
                            "role_arn in the profile"));
    if (role_arn.len > CHAIN_ROLE_ARN_MAX)
        return FAIL(r,
                    "web_identity: AWS_ROLE_ARN, or role_arn in the profile, has %zu characters; "
                    "the maximum is %d",
                    role_arn.len, CHAIN_ROLE_ARN_MAX);
    return CREDENTIALS_FOUND;
}

/* Each of the keys by the environment, else by the profile. */
static enum credentials_result try_web_identity(struct resolve *r)
{
    struct span file =
        find_setting(r, r->profile, "AWS_WEB_IDENTITY_TOKEN_FILE", "web_identity_token_file");
    if (file.at == NULL)
        return CREDENTIALS_NOT_CONFIGURED;
    return take_web_identity(
        r, file, find_setting(r, r->profile, "AWS_ROLE_ARN", "role_arn"),
        find_setting(r, r->profile, "AWS_ROLE_SESSION_NAME", "role_session_name"));
}

/* ---- SSO: the token that `aws sso login` left, exchanged at the portal ---- */

static const char *sso_cache_file(const struct resolve *r, struct span key)
{
    unsigned char digest[SHA_DIGEST_LENGTH];
    char text[2 * SHA_DIGEST_LENGTH];
    struct buffer hex;
    buffer_init_fixed(&hex, text, sizeof(text));
    SHA1((const unsigned char *)key.at, key.len, digest);
    buffer_append_hex(&hex, digest, sizeof(digest));
    return arena_printf(r->arena, "%.*s/.aws/sso/cache/%.*s.json", SPAN_ARG(variable(r, "HOME")),
                        SPAN_ARG(buffer_span(&hex)))
        .at;
}

static bool address_portal(struct resolve *r, struct span region, struct span *fault)
{
    struct chain *chain = r->chain;
    struct span url = variable(r, "AWS_ENDPOINT_URL_SSO");
    *fault = SPAN("sso_region is missing or invalid");
    if (!endpoint_region_is_valid(region))
        return false;
    if (url.at == NULL)
        url = arena_printf(r->arena, "https://%.*s",
                           SPAN_ARG(endpoint_sso_portal_host(region, r->arena)));
    if (!endpoint_parse_url(url, r->arena, &chain->url, fault))
        return false;
    *fault =
        SPAN("AWS_ENDPOINT_URL_SSO: must use https:// (except on loopback), to protect the token");
    return chain->url.tls || chain->url.loopback;
}

static enum credentials_result take_sso(struct resolve *r, struct span profile)
{
    struct chain *chain = r->chain;
    struct span session = get(r, profile, "sso_session"), key = session, fault;
    struct span region = get(r, profile, "sso_region");
    struct span account = get(r, profile, "sso_account_id");
    struct span role = get(r, profile, "sso_role_name");
    struct buffer path;
    chain->base = CHAIN_SSO;
    chain->source = SPAN("sso");
    if (session.at != NULL)
        region = profile_get_section(&r->files, "sso-session", session, SPAN("sso_region"));
    else
        key = get(r, profile, "sso_start_url");
    if (key.at == NULL || account.at == NULL || role.at == NULL)
        return fail_profile(
            r, profile,
            "SSO needs sso_account_id, sso_role_name, and sso_session or sso_start_url");
    if (!address_portal(r, region, &fault))
        return fail_profile(r, profile, fault.at);
    chain->token_file = sso_cache_file(r, key);
    buffer_init(&path, 4096);
    buffer_append(&path, SPAN("/federation/credentials?role_name="));
    buffer_append_percent_encoded(&path, role);
    buffer_append(&path, SPAN("&account_id="));
    buffer_append_percent_encoded(&path, account);
    chain->path = arena_copy(r->arena, buffer_span(&path));
    bool fits = !path.overflowed;
    buffer_dispose(&path);
    return fits ? CREDENTIALS_FOUND : fail_profile(r, profile, "sso_role_name is too long");
}

/* ---- a profile: its keys, or the roles that lead to some ---- */

static bool has_keys(const struct resolve *r, struct span profile)
{
    return get(r, profile, "aws_access_key_id").at != NULL ||
           get(r, profile, "aws_secret_access_key").at != NULL;
}

static enum credentials_result take_keys(struct resolve *r, struct span profile)
{
    const struct credentials_parts parts = {
        .access_key_id = get(r, profile, "aws_access_key_id"),
        .secret_access_key = get(r, profile, "aws_secret_access_key"),
        .session_token = get(r, profile, "aws_session_token"),
        .source = SPAN("profile"),
    };
    struct span fault;
    r->chain->source = SPAN("profile");
    if (parts.access_key_id.at == NULL)
        return fail_profile(r, profile, "aws_secret_access_key is set without aws_access_key_id");
    if (parts.secret_access_key.at == NULL)
        return fail_profile(r, profile, "aws_access_key_id is set without aws_secret_access_key");
    r->chain->set = credentials_create(&parts, r->arena, &fault);
    return r->chain->set != NULL ? CREDENTIALS_FOUND : fail_profile(r, profile, fault.at);
}

static enum credentials_result take_base(struct resolve *r, struct span profile)
{
    struct span token_file = get(r, profile, "web_identity_token_file"), fault;
    struct span command = get(r, profile, "credential_process");
    if (token_file.at != NULL)
        return take_web_identity(r, token_file, get(r, profile, "role_arn"),
                                 get(r, profile, "role_session_name"));
    if (get(r, profile, "sso_session").at != NULL || get(r, profile, "sso_start_url").at != NULL)
        return take_sso(r, profile);
    /* A process goes before keys that stand in the config file. */
    if (has_keys(r, profile) &&
        (command.at == NULL ||
         !profile_is_from_config(&r->files, profile, SPAN("aws_access_key_id"))))
        return take_keys(r, profile);
    if (command.at == NULL)
        return CREDENTIALS_NOT_CONFIGURED;
    if (take_command(r, command, &fault))
        return CREDENTIALS_FOUND;
    return fail_profile(r, profile,
                        arena_printf(r->arena, "credential_process: %.*s", SPAN_ARG(fault)).at);
}

/* Sets a fault if a value is longer than STS takes it. */
static bool is_too_long(struct resolve *r, struct span profile, const char *key, size_t max)
{
    struct span value = get(r, profile, key);
    if (value.len > max)
        FAIL(r, "profile: profile \"%.*s\": %s has %zu characters; the maximum is %zu",
             SPAN_ARG(profile), key, value.len, max);
    return value.len > max;
}

static enum credentials_result push_role(struct resolve *r, struct span profile)
{
    struct chain *chain = r->chain;
    struct span duration = get(r, profile, "duration_seconds");
    uint64_t seconds = 0;
    if (chain->role_count == CHAIN_ROLES_MAX)
        return fail_profile(r, profile, "the role chain is longer than 8 roles");
    if (get(r, profile, "mfa_serial").at != NULL)
        return fail_profile(r, profile,
                            "mfa_serial: MFA is not supported: nobody can enter the code");
    if (duration.at != NULL &&
        (!span_parse_u64(duration, &seconds) || seconds < 900 || seconds > 43200))
        return fail_profile(r, profile, "duration_seconds must be a number from 900 to 43200");
    if (is_too_long(r, profile, "role_arn", CHAIN_ROLE_ARN_MAX) ||
        is_too_long(r, profile, "external_id", CHAIN_EXTERNAL_ID_MAX))
        return CREDENTIALS_FAILED;
    chain->roles[chain->role_count++] =
        (struct chain_role){.role_arn = get_copy(r, profile, "role_arn"),
                            .session_name = get_copy(r, profile, "role_session_name"),
                            .external_id = get_copy(r, profile, "external_id"),
                            .duration_s = (int64_t)seconds};
    return CREDENTIALS_FOUND;
}

static enum credentials_result take_credential_source(struct resolve *r, struct span profile,
                                                      struct span source)
{
    enum credentials_result result;
    const char *missing;
    if (span_equals(source, SPAN("Environment"))) {
        result = try_env(r);
        missing = "credential_source = Environment, but AWS_ACCESS_KEY_ID is not set";
    } else if (span_equals(source, SPAN("EcsContainer"))) {
        result = try_container(r);
        missing = "credential_source = EcsContainer, but AWS_CONTAINER_CREDENTIALS_FULL_URI is "
                  "not set";
    } else if (span_equals(source, SPAN("Ec2InstanceMetadata"))) {
        result = is_imds_off(r) ? CREDENTIALS_NOT_CONFIGURED : address_imds(r, profile);
        missing = "credential_source = Ec2InstanceMetadata, but AWS_EC2_METADATA_DISABLED is true";
    } else {
        return fail_profile(r, profile,
                            "credential_source must be Environment, EcsContainer or "
                            "Ec2InstanceMetadata");
    }
    return result == CREDENTIALS_NOT_CONFIGURED ? fail_profile(r, profile, missing) : result;
}

static bool was_visited(const struct resolve *r, struct span profile)
{
    for (size_t i = 0; i != r->visited_count; ++i)
        if (span_equals(r->visited[i], profile))
            return true;
    return false;
}

/* Goes from the profile outward to its source. *next: the profile to go on with; SPAN_NONE: done.
 */
static enum credentials_result take_role(struct resolve *r, struct span profile, struct span *next)
{
    struct span source_profile = get(r, profile, "source_profile");
    struct span source = get(r, profile, "credential_source");
    enum credentials_result result = push_role(r, profile);
    if (result != CREDENTIALS_FOUND)
        return result;
    if ((source_profile.at == NULL) == (source.at == NULL))
        return fail_profile(r, profile,
                            "role_arn needs either source_profile or credential_source, not both");
    if (source.at != NULL)
        return take_credential_source(r, profile, source);
    if (!profile_exists(&r->files, source_profile))
        return fail_profile(r, profile, "source_profile names a profile that does not exist");
    if (span_equals(source_profile, profile))
        return has_keys(r, profile)
                   ? take_keys(r, profile)
                   : fail_profile(r, profile,
                                  "source_profile names this profile, which has no keys");
    if (was_visited(r, source_profile))
        return fail_profile(r, profile, "source_profile forms a loop");
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

static bool is_role(const struct resolve *r, struct span profile)
{
    return get(r, profile, "role_arn").at != NULL &&
           get(r, profile, "web_identity_token_file").at == NULL;
}

static enum credentials_result walk_profile(struct resolve *r)
{
    enum credentials_result result = CREDENTIALS_FOUND;
    for (struct span profile = r->profile, next; profile.at != NULL; profile = next) {
        bool is_source = r->visited_count != 0;
        next = SPAN_NONE;
        r->visited[r->visited_count++] = profile;
        if (is_role(r, profile) && !(is_source && has_keys(r, profile)))
            result = take_role(r, profile, &next);
        else
            result = take_base(r, profile);
        if (is_source && result == CREDENTIALS_NOT_CONFIGURED)
            result = fail_profile(r, profile, "used as source_profile but has no credentials");
        if (result != CREDENTIALS_FOUND)
            break;
    }
    reverse_roles(r->chain);
    return result;
}

static enum credentials_result try_profile(struct resolve *r)
{
    if (profile_exists(&r->files, r->profile))
        return walk_profile(r);
    if (!r->profile_is_named)
        return CREDENTIALS_NOT_CONFIGURED;
    return FAIL(r, "profile: profile \"%.*s\" does not exist", SPAN_ARG(r->profile));
}

/* ---- the walk ---- */

/* Notes "SOURCE: what came of it". why: with NOT_CONFIGURED, what it lacks. */
static enum credentials_result note(struct resolve *r, const char *source,
                                    enum credentials_result result, const char *why)
{
    static const char *const ends[] = {
        [CREDENTIALS_FOUND] = "selected",
        [CREDENTIALS_NOT_CONFIGURED] = "not configured: ",
        [CREDENTIALS_FAILED] = "configured but invalid",
    };
    r->chain->trail = arena_printf(r->arena, "%.*s%s: %s%s\n", SPAN_ARG(r->chain->trail), source,
                                   ends[result], result == CREDENTIALS_NOT_CONFIGURED ? why : "");
    return result;
}

static const char *missing_profile(const struct resolve *r)
{
    const char *config = r->files.config_name, *credentials = r->files.credentials_name;
    return arena_printf(r->arena, "no profile \"%.*s\" with credentials in %s or %s",
                        SPAN_ARG(r->profile), config != NULL ? config : "~/.aws/config",
                        credentials != NULL ? credentials : "~/.aws/credentials")
        .at;
}

/* Each source in its order, until one is configured. */
static enum credentials_result walk_default(struct resolve *r)
{
    /* If the configuration names a profile, that was meant, not the environment's keys. */
    bool named = configured(r)->profile.at != NULL;
    enum credentials_result result = note(r, "env", named ? CREDENTIALS_NOT_CONFIGURED : try_env(r),
                                          named ? "credentials.profile names a profile instead"
                                                : "AWS_ACCESS_KEY_ID is not set");
    if (result == CREDENTIALS_NOT_CONFIGURED)
        result = note(r, "static", try_static(r), "credentials.file is not set");
    if (result != CREDENTIALS_NOT_CONFIGURED)
        return result;
    if (!open_profiles(r))
        return note(r, "profile", CREDENTIALS_FAILED, "");
    if (!is_role(r, r->profile))
        result =
            note(r, "web_identity", try_web_identity(r), "AWS_WEB_IDENTITY_TOKEN_FILE is not set");
    if (result == CREDENTIALS_NOT_CONFIGURED)
        result = note(r, "profile", try_profile(r), missing_profile(r));
    if (result == CREDENTIALS_NOT_CONFIGURED)
        result = note(r, "process", try_process(r), "credentials.process is not set");
    if (result == CREDENTIALS_NOT_CONFIGURED)
        result =
            note(r, "container", try_container(r), "AWS_CONTAINER_CREDENTIALS_FULL_URI is not set");
    if (result == CREDENTIALS_NOT_CONFIGURED)
        result = note(r, "imds", try_imds(r), "AWS_EC2_METADATA_DISABLED is true");
    return result;
}

static enum credentials_result walk(struct resolve *r)
{
    switch (configured(r)->source) {
    case CONFIG_SOURCE_ENV:
        return try_env(r);
    case CONFIG_SOURCE_STATIC:
        return try_static(r);
    case CONFIG_SOURCE_PROCESS:
        return try_process(r);
    case CONFIG_SOURCE_CONTAINER:
        return try_container(r);
    case CONFIG_SOURCE_IMDS:
        return open_profiles(r) ? try_imds(r) : CREDENTIALS_FAILED;
    case CONFIG_SOURCE_WEB_IDENTITY:
        return open_profiles(r) ? try_web_identity(r) : CREDENTIALS_FAILED;
    case CONFIG_SOURCE_PROFILE:
        return open_profiles(r) ? try_profile(r) : CREDENTIALS_FAILED;
    case CONFIG_SOURCE_DEFAULT:
        break;
    }
    return walk_default(r);
}

/* What to do about a source that is not configured. */
static struct span nothing_fault(enum config_source source)
{
    static const struct span faults[] = {
        [CONFIG_SOURCE_DEFAULT] =
            SPAN("no source of credentials is configured: AWS_ACCESS_KEY_ID and "
                 "AWS_SECRET_ACCESS_KEY are not set, no file, profile, web identity, process or "
                 "container is configured, and AWS_EC2_METADATA_DISABLED is true"),
        [CONFIG_SOURCE_ENV] =
            SPAN("environment: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY are not set"),
        [CONFIG_SOURCE_PROFILE] = SPAN("profile: no profile \"default\" with credentials"),
        [CONFIG_SOURCE_WEB_IDENTITY] = SPAN("web_identity: AWS_WEB_IDENTITY_TOKEN_FILE is not set"),
        [CONFIG_SOURCE_CONTAINER] =
            SPAN("container: neither AWS_CONTAINER_CREDENTIALS_RELATIVE_URI nor "
                 "AWS_CONTAINER_CREDENTIALS_FULL_URI is set"),
        [CONFIG_SOURCE_IMDS] = SPAN("imds: AWS_EC2_METADATA_DISABLED is true"),
        [CONFIG_SOURCE_PROCESS] = SPAN("process: credentials.process is not set"),
        [CONFIG_SOURCE_STATIC] = SPAN("static: credentials.file is not set"),
    };
    return faults[source];
}

/* ---- how AWS is asked ---- */

/* A URL for STS alone or for all services; *origin says where it stands. */
static struct span configured_sts(const struct resolve *r, const char **origin)
{
    static const char *const names[] = {"AWS_ENDPOINT_URL_STS", "AWS_ENDPOINT_URL"};
    if (is_true(find_setting(r, r->profile, "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS",
                             "ignore_configured_endpoint_urls")))
        return SPAN_NONE;
    for (size_t i = 0; i != 2; ++i) {
        *origin = names[i];
        if (variable(r, names[i]).at != NULL)
            return variable(r, names[i]);
    }
    *origin = "endpoint_url of the profile";
    return profile_get_endpoint(&r->files, r->profile, SPAN("sts"));
}

/* Where `legacy` means the endpoint without a region: AWS SDKs and Tools Reference, "AWS STS
 * Regional endpoints". Younger regions have only their own. */
static bool is_legacy_region(struct span region)
{
    static const struct span regions[] = {
        SPAN("ap-northeast-1"), SPAN("ap-south-1"),   SPAN("ap-southeast-1"),
        SPAN("ap-southeast-2"), SPAN("ca-central-1"), SPAN("eu-central-1"),
        SPAN("eu-north-1"),     SPAN("eu-west-1"),    SPAN("eu-west-2"),
        SPAN("eu-west-3"),      SPAN("sa-east-1"),    SPAN("us-east-1"),
        SPAN("us-east-2"),      SPAN("us-west-1"),    SPAN("us-west-2"),
    };
    for (size_t i = 0; i != sizeof(regions) / sizeof(regions[0]); ++i)
        if (span_equals(region, regions[i]))
            return true;
    return false;
}

static bool address_configured_sts(struct resolve *r, struct span url, const char *origin)
{
    struct span why;
    if (!endpoint_parse_url(url, r->arena, &r->chain->sts, &why)) {
        FAIL(r, "sts: %s: %.*s", origin, SPAN_ARG(why));
        return false;
    }
    if (r->chain->sts.tls || r->chain->sts.loopback)
        return true;
    FAIL(r, "sts: %s: must use https:// (except on loopback), to protect tokens", origin);
    return false;
}

static bool address_sts(struct resolve *r)
{
    struct chain *chain = r->chain;
    const struct config_identity *identity = r->options->identity;
    struct endpoint_options endpoint = {identity->region, identity->fips, identity->dualstack};
    const char *origin;
    struct span url = configured_sts(r, &origin);
    struct span regional =
        find_setting(r, r->profile, "AWS_STS_REGIONAL_ENDPOINTS", "sts_regional_endpoints");
    bool legacy = span_equals_ignore_case(regional, SPAN("legacy"));
    endpoint.fips |=
        is_true(find_setting(r, r->profile, "AWS_USE_FIPS_ENDPOINT", "use_fips_endpoint"));
    endpoint.dualstack |= is_true(
        find_setting(r, r->profile, "AWS_USE_DUALSTACK_ENDPOINT", "use_dualstack_endpoint"));
    if (regional.at != NULL && !legacy && !span_equals_ignore_case(regional, SPAN("regional"))) {
        fail(r, SPAN("sts: AWS_STS_REGIONAL_ENDPOINTS (or the profile's sts_regional_endpoints) "
                     "must be regional or legacy"));
        return false;
    }
    chain->sts_region = identity->region;
    if (url.at != NULL)
        return address_configured_sts(r, url, origin);
    struct span host = endpoint_sts_host(&endpoint, r->arena);
    if (legacy && !endpoint.fips && !endpoint.dualstack && is_legacy_region(identity->region)) {
        chain->sts_region = SPAN("us-east-1");
        host = SPAN("sts.amazonaws.com");
    }
    chain->sts = (struct endpoint_url){.tls = true, .host = host, .port = 443, .authority = host};
    return true;
}

static bool find_proxy(struct resolve *r, const struct endpoint_url *url, struct proxy *out)
{
    struct span fault;
    bool ok = proxy_from_environment(r->options->getenv, r->options->getenv_context, url, r->arena,
                                     out, &fault);
    if (!ok)
        FAIL(r, "HTTPS_PROXY: %.*s", SPAN_ARG(fault));
    return ok;
}

/* Sets ca_file and ca_origin. */
static void find_ca(struct resolve *r)
{
    struct span file = find_setting(r, r->profile, "AWS_CA_BUNDLE", "ca_bundle");
    r->chain->ca_file = arena_copy(r->arena, file).at;
    r->chain->ca_origin =
        variable(r, "AWS_CA_BUNDLE").at != NULL ? "AWS_CA_BUNDLE" : "ca_bundle of the profile";
}

/* ---- the identity's own role, and the end ---- */

static bool add_identity_role(struct resolve *r)
{
    const struct config_role *role = &r->options->identity->role;
    struct chain *chain = r->chain;
    if (role->role_arn.at == NULL)
        return true;
    if (chain->role_count == CHAIN_ROLES_MAX) {
        fail(r, SPAN("assume_role: the role chain is longer than 8 roles"));
        return false;
    }
    chain->roles[chain->role_count++] = (struct chain_role){
        .role_arn = role->role_arn,
        .session_name = role->session_name,
        .external_id = role->external_id,
        .source_identity = role->source_identity,
        .duration_s = role->duration_ms / 1000,
        .tags = role->tags,
        .tag_count = role->tag_count,
    };
    return true;
}

static struct span fit_session_name(const struct resolve *r, struct span name)
{
    if (name.len != 0)
        return session_name_fit(name, r->arena);
    return arena_printf(r->arena, "sagegate-%lld", (long long)(r->options->now.us / 1000000));
}

/* What the base and the roles need besides: names, addresses, trust. */
static bool finish(struct resolve *r)
{
    struct chain *chain = r->chain;
    if (!add_identity_role(r))
        return false;
    bool calls_sts = chain->role_count != 0 || chain->base == CHAIN_WEB_IDENTITY;
    bool calls_aws =
        calls_sts || chain->base == CHAIN_SSO || (chain->base == CHAIN_CONTAINER && chain->url.tls);
    /* A profile says how AWS is asked, even if it is not the source. */
    if (calls_aws && r->profile.at == NULL && !open_profiles(r))
        return false;
    find_ca(r);
    chain->identity.session_name = fit_session_name(r, chain->identity.session_name);
    for (size_t i = 0; i != chain->role_count; ++i)
        chain->roles[i].session_name = fit_session_name(r, chain->roles[i].session_name);
    if (chain->base == CHAIN_SSO && !find_proxy(r, &chain->url, &chain->portal_proxy))
        return false;
    return !calls_sts || (address_sts(r) && find_proxy(r, &chain->sts, &chain->sts_proxy));
}

enum credentials_result chain_resolve(const struct chain_options *options, struct arena *arena,
                                      struct chain *out, struct credentials_notes *notes)
{
    struct resolve r = {.options = options, .arena = arena, .chain = out};
    *out = (struct chain){.source = SPAN("none"), .trail = SPAN("")};
    enum credentials_result result = walk(&r);
    if (result == CREDENTIALS_NOT_CONFIGURED)
        result = fail(&r, nothing_fault(options->identity->credentials.source));
    if (result == CREDENTIALS_FOUND && !finish(&r))
        result = CREDENTIALS_FAILED;
    profile_close(&r.files);
    if (result == CREDENTIALS_FOUND) {
        *notes = (struct credentials_notes){.warning = r.warning};
        return result;
    }
    *notes = (struct credentials_notes){.fault = r.fault};
    chain_dispose(out);
    return result;
}

bool chain_resolve_sts(const struct chain_options *options, struct arena *arena, struct chain *out,
                       struct span *fault)
{
    struct resolve r = {.options = options, .arena = arena, .chain = out};
    *out = (struct chain){.source = SPAN("sts"), .trail = SPAN("")};
    bool ok = open_profiles(&r) && address_sts(&r) && find_proxy(&r, &out->sts, &out->sts_proxy);
    find_ca(&r);
    profile_close(&r.files);
    *fault = r.fault;
    return ok;
}

bool chain_resolve_imds(const struct chain_options *options, struct arena *arena, struct chain *out,
                        struct span *fault)
{
    struct resolve r = {.options = options, .arena = arena, .chain = out};
    *out = (struct chain){.source = SPAN("imds"), .trail = SPAN("")};
    if (is_imds_off(&r)) {
        *fault = nothing_fault(CONFIG_SOURCE_IMDS);
        return false;
    }
    bool ok = open_profiles(&r) && address_imds(&r, r.profile) == CREDENTIALS_FOUND;
    find_ca(&r);
    profile_close(&r.files);
    *fault = r.fault;
    return ok;
}

void chain_dispose(struct chain *chain)
{
    credentials_release(chain->set);
    chain->set = NULL;
}

struct span chain_profile_region(config_getenv getenv, void *context, struct span profile,
                                 struct arena *arena, struct span *fault)
{
    struct profile_files files;
    struct span why, region = SPAN_NONE;
    struct span name = named_profile(getenv, context, profile);
    if (name.at == NULL)
        name = SPAN("default");
    if (profile_open(getenv, context, arena, &files, &why))
        region = arena_copy(arena, profile_get(&files, name, SPAN("region")));
    else
        *fault = arena_printf(arena, "profile: %.*s", SPAN_ARG(why));
    profile_close(&files);
    return region;
}
