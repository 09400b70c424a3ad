/* The chain of sources: the first one that is configured makes the chain. */
#include "credentials/chain.h"

#include "aws/session_name.h"
#include "credentials/command_line.h"

struct make {
    const struct chain_options *options;
    struct arena *arena;
    struct chain *chain;
    struct profile_files files;
    struct span profile;   /* its name */
    bool profile_is_named; /* so it must exist */
    struct span fault, warning;
};

static struct span variable(const struct make *make, const char *name)
{
    struct span value = make->options->getenv(make->options->getenv_context, span_from(name));
    return value.len == 0 ? SPAN_NONE : value;
}

static enum credentials_result fail(struct make *make, struct span fault)
{
    make->fault = fault;
    return CREDENTIALS_FAILED;
}

static void watch(struct make *make, const char *name, struct file_version version)
{
    if (name != NULL)
        make->chain->files[make->chain->file_count++] = (struct chain_file){name, version};
}

/* ---- sources without a profile ---- */

static enum credentials_result try_env(struct make *make)
{
    struct source_notes notes;
    enum credentials_result result =
        source_env_load(make->options->getenv, make->options->getenv_context, make->arena,
                        &make->chain->set, &notes);
    make->chain->source = SPAN("env");
    return result == CREDENTIALS_FAILED ? fail(make, notes.fault) : result;
}

static enum credentials_result try_static(struct make *make)
{
    struct source_notes notes;
    struct span file = make->options->identity->credentials.file;
    if (file.at == NULL)
        return CREDENTIALS_NOT_CONFIGURED;
    watch(make, file.at, file_version(file.at));
    make->chain->source = SPAN("static");
    enum credentials_result result =
        source_static_load(file.at, make->arena, &make->chain->set, &notes);
    make->warning = notes.warning;
    return result == CREDENTIALS_FAILED ? fail(make, notes.fault) : result;
}

static enum credentials_result try_process(struct make *make)
{
    struct span command = make->options->identity->credentials.process, fault;
    if (command.at == NULL)
        return CREDENTIALS_NOT_CONFIGURED;
    make->chain->base = CHAIN_PROCESS;
    make->chain->source = SPAN("process");
    if (command_line_split(command, make->arena, &make->chain->argv, &fault))
        return CREDENTIALS_FOUND;
    return fail(make,
                arena_printf(make->arena, "process: credentials.process: %.*s", SPAN_ARG(fault)));
}

static enum credentials_result try_container(struct make *make)
{
    struct span fault;
    if (variable(make, "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI").at == NULL &&
        variable(make, "AWS_CONTAINER_CREDENTIALS_FULL_URI").at == NULL)
        return CREDENTIALS_NOT_CONFIGURED;
    make->chain->base = CHAIN_CONTAINER;
    make->chain->source = SPAN("container");
    if (chain_address_container(make->chain, make->options, make->arena, &fault))
        return CREDENTIALS_FOUND;
    return fail(make, fault);
}

static bool is_imds_off(const struct make *make)
{
    return span_equals_ignore_case(variable(make, "AWS_EC2_METADATA_DISABLED"), SPAN("true"));
}

static enum credentials_result try_imds(struct make *make)
{
    struct span fault;
    if (is_imds_off(make))
        return CREDENTIALS_NOT_CONFIGURED;
    make->chain->base = CHAIN_IMDS;
    make->chain->source = SPAN("imds");
    if (chain_address_imds(make->chain, make->options, &make->files, make->profile, make->arena,
                           &fault))
        return CREDENTIALS_FOUND;
    return fail(make, fault);
}

/* ---- profiles ---- */

/* The one that is configured, else the environment's; SPAN_NONE: nobody names one. */
static struct span named_profile(config_getenv getenv, void *context, struct span configured)
{
    struct span name = configured;
    if (name.len == 0)
        name = getenv(context, SPAN("AWS_PROFILE"));
    if (name.len == 0)
        name = getenv(context, SPAN("AWS_DEFAULT_PROFILE"));
    return name.len == 0 ? SPAN_NONE : name;
}

static enum credentials_result open_profiles(struct make *make)
{
    struct span fault;
    const struct chain_options *options = make->options;
    struct span configured = options->identity->credentials.profile;
    struct span named = named_profile(options->getenv, options->getenv_context, configured);
    make->profile = arena_copy(make->arena, named.at == NULL ? SPAN("default") : named);
    make->profile_is_named = named.at != NULL;
    bool ok =
        profile_open(options->getenv, options->getenv_context, make->arena, &make->files, &fault);
    watch(make, make->files.config_name, make->files.config_version);
    watch(make, make->files.credentials_name, make->files.credentials_version);
    if (!ok)
        return fail(make, arena_printf(make->arena, "profile: %.*s", SPAN_ARG(fault)));
    if (make->files.warning.at != NULL && make->warning.at == NULL)
        make->warning = arena_printf(make->arena, "profile: %.*s", SPAN_ARG(make->files.warning));
    return CREDENTIALS_NOT_CONFIGURED;
}

/* Each of the two keys by the environment, else by the profile. */
static enum credentials_result try_web_identity(struct make *make, bool environment)
{
    struct chain *chain = make->chain;
    struct span profile = make->profile;
    struct span file = environment ? variable(make, "AWS_WEB_IDENTITY_TOKEN_FILE") : SPAN_NONE;
    struct span arn = environment ? variable(make, "AWS_ROLE_ARN") : SPAN_NONE;
    struct span name = environment ? variable(make, "AWS_ROLE_SESSION_NAME") : SPAN_NONE;
    if (file.at == NULL)
        file = profile_get(&make->files, profile, SPAN("web_identity_token_file"));
    if (arn.at == NULL)
        arn = profile_get(&make->files, profile, SPAN("role_arn"));
    if (name.at == NULL)
        name = profile_get(&make->files, profile, SPAN("role_session_name"));
    if (file.at == NULL)
        return CREDENTIALS_NOT_CONFIGURED;
    chain->base = CHAIN_WEB_IDENTITY;
    chain->source = SPAN("web_identity");
    if (arn.at == NULL)
        return fail(make, SPAN("web_identity: a token file is named, but no role: set "
                               "AWS_ROLE_ARN, or role_arn in the profile"));
    if (arn.len > CHAIN_ROLE_ARN_MAX)
        return fail(make,
                    arena_printf(make->arena,
                                 "web_identity: AWS_ROLE_ARN, or role_arn in the profile, has "
                                 "%zu characters; %d at most",
                                 arn.len, CHAIN_ROLE_ARN_MAX));
    chain->token_file = arena_copy(make->arena, file).at;
    chain->identity = (struct chain_role){.role_arn = arena_copy(make->arena, arn),
                                          .session_name = arena_copy(make->arena, name)};
    return CREDENTIALS_FOUND;
}

static enum credentials_result try_profile(struct make *make)
{
    struct span fault;
    if (!profile_exists(&make->files, make->profile)) {
        if (!make->profile_is_named)
            return CREDENTIALS_NOT_CONFIGURED;
        return fail(make, arena_printf(make->arena, "profile: there is no profile \"%.*s\"",
                                       SPAN_ARG(make->profile)));
    }
    enum credentials_result result = chain_from_profile(make->chain, make->options, &make->files,
                                                        make->profile, make->arena, &fault);
    return result == CREDENTIALS_FAILED ? fail(make, fault) : result;
}

static bool profile_assumes_role(const struct make *make)
{
    return profile_get(&make->files, make->profile, SPAN("role_arn")).at != NULL &&
           profile_get(&make->files, make->profile, SPAN("web_identity_token_file")).at == NULL;
}

/* ---- the chain ---- */

/* "SOURCE: what came of it"; why: with NOT_CONFIGURED, what it lacks. */
static void note(struct make *make, const char *source, enum credentials_result result,
                 const char *why)
{
    static const char *const ends[] = {
        [CREDENTIALS_FOUND] = "this one is asked",
        [CREDENTIALS_NOT_CONFIGURED] = "not configured: ",
        [CREDENTIALS_FAILED] = "configured and broken",
    };
    make->chain->trail =
        arena_printf(make->arena, "%.*s%s: %s%s\n", SPAN_ARG(make->chain->trail), source,
                     ends[result], result == CREDENTIALS_NOT_CONFIGURED ? why : "");
}

static enum credentials_result try_profile_noted(struct make *make)
{
    enum credentials_result result = try_profile(make);
    note(make, "profile", result,
         arena_printf(make->arena, "no profile \"%.*s\" with credentials in %s or %s",
                      SPAN_ARG(make->profile),
                      make->files.config_name != NULL ? make->files.config_name : "~/.aws/config",
                      make->files.credentials_name != NULL ? make->files.credentials_name
                                                           : "~/.aws/credentials")
             .at);
    return result;
}

/* Each in its turn, until one is configured. */
static enum credentials_result walk_default(struct make *make)
{
    /* A profile that the configuration names was meant: the environment's keys do not count. */
    bool named = make->options->identity->credentials.profile.at != NULL;
    enum credentials_result result = named ? CREDENTIALS_NOT_CONFIGURED : try_env(make);
    note(make, "env", result,
         named ? "credentials.profile names a profile instead" : "AWS_ACCESS_KEY_ID is not set");
    if (result == CREDENTIALS_NOT_CONFIGURED) {
        result = try_static(make);
        note(make, "static", result, "credentials.file is not set");
    }
    if (result != CREDENTIALS_NOT_CONFIGURED)
        return result;
    result = open_profiles(make);
    if (result == CREDENTIALS_FAILED)
        note(make, "profile", result, "");
    if (result == CREDENTIALS_NOT_CONFIGURED && !profile_assumes_role(make)) {
        result = try_web_identity(make, true);
        note(make, "web_identity", result, "AWS_WEB_IDENTITY_TOKEN_FILE is not set");
    }
    if (result == CREDENTIALS_NOT_CONFIGURED)
        result = try_profile_noted(make);
    if (result == CREDENTIALS_NOT_CONFIGURED) {
        result = try_process(make);
        note(make, "process", result, "credentials.process is not set");
    }
    if (result == CREDENTIALS_NOT_CONFIGURED) {
        result = try_container(make);
        note(make, "container", result, "AWS_CONTAINER_CREDENTIALS_FULL_URI is not set");
    }
    if (result == CREDENTIALS_NOT_CONFIGURED) {
        result = try_imds(make);
        note(make, "imds", result, "AWS_EC2_METADATA_DISABLED is true");
    }
    return result;
}

static enum credentials_result walk_pinned(struct make *make)
{
    enum credentials_result result = CREDENTIALS_NOT_CONFIGURED;
    switch (make->options->identity->credentials.source) {
    case CREDENTIALS_ENV:
        return try_env(make);
    case CREDENTIALS_STATIC:
        return try_static(make);
    case CREDENTIALS_PROCESS:
        return try_process(make);
    case CREDENTIALS_CONTAINER:
        return try_container(make);
    case CREDENTIALS_IMDS:
        result = open_profiles(make);
        return result == CREDENTIALS_NOT_CONFIGURED ? try_imds(make) : result;
    case CREDENTIALS_WEB_IDENTITY:
        result = open_profiles(make);
        return result == CREDENTIALS_NOT_CONFIGURED ? try_web_identity(make, true) : result;
    case CREDENTIALS_PROFILE:
        result = open_profiles(make);
        return result == CREDENTIALS_NOT_CONFIGURED ? try_profile(make) : result;
    case CREDENTIALS_DEFAULT:
        return walk_default(make);
    }
    return result;
}

/* What to do about a source that is not configured. */
static struct span nothing_fault(enum config_credentials_source source)
{
    static const struct span faults[] = {
        [CREDENTIALS_DEFAULT] =
            SPAN("no source of credentials is configured: not the environment "
                 "(AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY are not set), no file, profile, "
                 "web identity, process or container, and instance metadata is switched off"),
        [CREDENTIALS_ENV] =
            SPAN("environment: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY are not set"),
        [CREDENTIALS_PROFILE] = SPAN("profile: there is no profile \"default\" with credentials"),
        [CREDENTIALS_WEB_IDENTITY] = SPAN("web_identity: AWS_WEB_IDENTITY_TOKEN_FILE is not set"),
        [CREDENTIALS_CONTAINER] =
            SPAN("container: neither AWS_CONTAINER_CREDENTIALS_RELATIVE_URI nor "
                 "AWS_CONTAINER_CREDENTIALS_FULL_URI is set"),
        [CREDENTIALS_IMDS] = SPAN("imds: AWS_EC2_METADATA_DISABLED is true"),
        [CREDENTIALS_PROCESS] = SPAN("process: no command is configured (credentials.process)"),
        [CREDENTIALS_STATIC] = SPAN("static: no file is configured (credentials.file)"),
    };
    return faults[source];
}

/* ---- roles of the identity, and the end ---- */

static enum credentials_result add_identity_role(struct make *make)
{
    const struct config_role *role = &make->options->identity->role;
    struct chain *chain = make->chain;
    if (role->role_arn.at == NULL)
        return CREDENTIALS_FOUND;
    if (chain->role_count == CHAIN_ROLES_MAX)
        return fail(make, SPAN("assume_role: more than 8 roles, one from the other"));
    chain->roles[chain->role_count++] = (struct chain_role){
        .role_arn = role->role_arn,
        .session_name = role->session_name,
        .external_id = role->external_id,
        .source_identity = role->source_identity,
        .duration_s = role->duration_ms / 1000,
        .tags = role->tags,
        .tag_count = role->tag_count,
    };
    return CREDENTIALS_FOUND;
}

static struct span fit_session_name(struct make *make, struct span name)
{
    if (name.len != 0)
        return session_name_fit(name, make->arena);
    return arena_printf(make->arena, "sagegate-%lld", (long long)(make->options->now.us / 1000000));
}

static bool find_proxy(struct make *make, const struct endpoint_url *url, struct proxy *out)
{
    struct span fault;
    if (proxy_from_environment(make->options->getenv, make->options->getenv_context, url,
                               make->arena, out, &fault))
        return true;
    make->fault = arena_printf(make->arena, "HTTPS_PROXY: %.*s", SPAN_ARG(fault));
    return false;
}

static bool needs_sts(const struct chain *chain)
{
    return chain->role_count != 0 || chain->base == CHAIN_WEB_IDENTITY;
}

/* A profile says how AWS is asked, too, where it is not the source. */
static enum credentials_result open_profiles_for_calls(struct make *make)
{
    const struct chain *chain = make->chain;
    bool calls_aws = needs_sts(chain) || chain->base == CHAIN_SSO ||
                     (chain->base == CHAIN_CONTAINER && chain->url.tls);
    if (!calls_aws || make->profile.at != NULL)
        return CREDENTIALS_NOT_CONFIGURED;
    return open_profiles(make);
}

static enum credentials_result finish(struct make *make)
{
    struct chain *chain = make->chain;
    struct span fault;
    if (add_identity_role(make) == CREDENTIALS_FAILED ||
        open_profiles_for_calls(make) == CREDENTIALS_FAILED)
        return CREDENTIALS_FAILED;
    chain_find_ca(chain, make->options, &make->files, make->profile, make->arena);
    chain->identity.session_name = fit_session_name(make, chain->identity.session_name);
    for (size_t i = 0; i != chain->role_count; ++i)
        chain->roles[i].session_name = fit_session_name(make, chain->roles[i].session_name);
    if (chain->base == CHAIN_SSO && !find_proxy(make, &chain->url, &chain->portal_proxy))
        return CREDENTIALS_FAILED;
    if (!needs_sts(chain))
        return CREDENTIALS_FOUND;
    if (!chain_address_sts(chain, make->options, &make->files, make->profile, make->arena, &fault))
        return fail(make, fault);
    return find_proxy(make, &chain->sts, &chain->sts_proxy) ? CREDENTIALS_FOUND
                                                            : CREDENTIALS_FAILED;
}

enum credentials_result chain_resolve(const struct chain_options *options, struct arena *arena,
                                      struct chain *out, struct source_notes *notes)
{
    struct make make = {.options = options, .arena = arena, .chain = out};
    *out = (struct chain){.source = SPAN("none"), .trail = SPAN("")};
    enum credentials_result result = walk_pinned(&make);
    if (result == CREDENTIALS_NOT_CONFIGURED)
        result = fail(&make, nothing_fault(options->identity->credentials.source));
    if (result == CREDENTIALS_FOUND)
        result = finish(&make);
    profile_close(&make.files);
    *notes = (struct source_notes){.fault = make.fault, .warning = make.warning};
    if (result != CREDENTIALS_FOUND) {
        notes->warning = SPAN_NONE;
        chain_dispose(out);
    }
    return result;
}

bool chain_resolve_sts(const struct chain_options *options, struct arena *arena, struct chain *out,
                       struct span *fault)
{
    struct make make = {.options = options, .arena = arena, .chain = out};
    *out = (struct chain){.source = SPAN("sts"), .trail = SPAN("")};
    bool ok = open_profiles(&make) != CREDENTIALS_FAILED &&
              chain_address_sts(out, options, &make.files, make.profile, arena, &make.fault) &&
              find_proxy(&make, &out->sts, &out->sts_proxy);
    chain_find_ca(out, options, &make.files, make.profile, arena);
    profile_close(&make.files);
    *fault = make.fault;
    return ok;
}

bool chain_resolve_imds(const struct chain_options *options, struct arena *arena, struct chain *out,
                        struct span *fault)
{
    struct make make = {.options = options, .arena = arena, .chain = out};
    *out = (struct chain){.source = SPAN("imds"), .trail = SPAN("")};
    bool is_off = is_imds_off(&make);
    if (is_off)
        make.fault = SPAN("imds: AWS_EC2_METADATA_DISABLED is true");
    bool ok = !is_off && open_profiles(&make) != CREDENTIALS_FAILED &&
              chain_address_imds(out, options, &make.files, make.profile, arena, &make.fault);
    chain_find_ca(out, options, &make.files, make.profile, arena);
    profile_close(&make.files);
    *fault = make.fault;
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
