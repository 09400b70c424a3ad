/* Looks keys up in both files, credentials first. */
#include "credentials/profile.h"

enum { TITLE_MAX = 512 };

/* ---- files ---- */

/* Replaces `~` by HOME; NULL if HOME is needed and not set. */
static const char *expand(struct span name, struct span home, struct arena *arena)
{
    bool tilde = span_starts_with(name, SPAN("~/"));
    if (!tilde)
        return arena_copy(arena, name).at;
    if (home.len == 0)
        return NULL;
    return arena_printf(arena, "%.*s%.*s", SPAN_ARG(home), SPAN_ARG(span_from_offset(name, 1))).at;
}

static bool read_one(const char *name, struct ini *ini, struct profile_files *files,
                     struct arena *arena, struct span *fault)
{
    struct file_text text;
    struct span why;
    if (name == NULL)
        return true;
    enum file_result result = file_read(name, INI_TEXT_MAX, &text, arena, &why);
    if (result == FILE_MISSING)
        return true;
    bool ok = result == FILE_READ && ini_parse(ini, file_span(&text), arena, &why);
    if (ok && ini == &files->credentials && file_is_open_to_others(&text))
        files->warning = arena_printf(arena, "%s: mode %04o lets other users read it; use 0600",
                                      name, text.mode);
    if (result == FILE_READ)
        file_dispose(&text);
    if (!ok)
        *fault = arena_printf(arena, "%s: %.*s", name, SPAN_ARG(why));
    return ok;
}

static struct span or_else(struct span value, struct span fallback)
{
    return value.len != 0 ? value : fallback;
}

bool profile_open(config_getenv getenv, void *context, struct arena *arena,
                  struct profile_files *files, struct span *fault)
{
    struct span home = getenv(context, SPAN("HOME"));
    struct span config = or_else(getenv(context, SPAN("AWS_CONFIG_FILE")), SPAN("~/.aws/config"));
    struct span credentials =
        or_else(getenv(context, SPAN("AWS_SHARED_CREDENTIALS_FILE")), SPAN("~/.aws/credentials"));
    *files = (struct profile_files){.config_name = expand(config, home, arena),
                                    .credentials_name = expand(credentials, home, arena)};
    if (files->config_name != NULL)
        files->config_version = file_version(files->config_name);
    if (files->credentials_name != NULL)
        files->credentials_version = file_version(files->credentials_name);
    return read_one(files->config_name, &files->config, files, arena, fault) &&
           read_one(files->credentials_name, &files->credentials, files, arena, fault);
}

void profile_close(struct profile_files *files)
{
    ini_dispose(&files->config);
    ini_dispose(&files->credentials);
}

/* ---- profiles ---- */

/* Names that the SDKs accept; sections with others do not exist. */
static bool is_name(struct span name)
{
    for (size_t i = 0; i != name.len; ++i)
        if (!ascii_is(name.at[i], ASCII_NAME) &&
            (name.at[i] == '\0' || strchr("/%@:+\\", name.at[i]) == NULL))
            return false;
    return name.len != 0 && name.len <= TITLE_MAX / 2;
}

/* "KIND NAME", with any blanks between. */
static bool title_is(struct span title, const char *kind, struct span name)
{
    struct span word = span_from(kind);
    if (!span_starts_with(title, word) || title.len == word.len)
        return false;
    struct span rest = span_from_offset(title, word.len);
    return (rest.at[0] == ' ' || rest.at[0] == '\t') && span_equals(span_trim(rest), name);
}

/* Returns the title of that section as the config file writes it, or SPAN_NONE. */
static struct span config_title(const struct ini *config, const char *kind, struct span name)
{
    if (!is_name(name))
        return SPAN_NONE;
    for (const struct ini_section *s = config->sections; s != NULL; s = s->next)
        if (title_is(s->title, kind, name))
            return s->title;
    return SPAN_NONE;
}

static struct span profile_title(const struct ini *config, struct span name)
{
    struct span title = config_title(config, "profile", name);
    if (title.at == NULL && span_equals(name, SPAN("default")) && ini_has_section(config, name))
        return SPAN("default");
    return title;
}

bool profile_exists(const struct profile_files *files, struct span name)
{
    return profile_title(&files->config, name).at != NULL ||
           (is_name(name) && ini_has_section(&files->credentials, name));
}

static struct span none_if_empty(struct span value)
{
    return value.len == 0 ? SPAN_NONE : value;
}

struct span profile_get(const struct profile_files *files, struct span name, struct span key)
{
    struct span value = is_name(name) ? ini_find(&files->credentials, name, key) : SPAN_NONE;
    struct span title = profile_title(&files->config, name);
    if (value.at == NULL && title.at != NULL)
        value = ini_find(&files->config, title, key);
    return none_if_empty(value);
}

bool profile_is_from_config(const struct profile_files *files, struct span name, struct span key)
{
    return ini_find(&files->credentials, name, key).at == NULL &&
           profile_get(files, name, key).at != NULL;
}

struct span profile_get_section(const struct profile_files *files, const char *kind,
                                struct span name, struct span key)
{
    struct span title = config_title(&files->config, kind, name);
    return title.at == NULL ? SPAN_NONE : none_if_empty(ini_find(&files->config, title, key));
}

struct span profile_get_endpoint(const struct profile_files *files, struct span name,
                                 struct span service)
{
    struct span services = profile_get(files, name, SPAN("services"));
    struct span title =
        services.at == NULL ? SPAN_NONE : config_title(&files->config, "services", services);
    struct span url =
        title.at == NULL
            ? SPAN_NONE
            : none_if_empty(ini_find_below(&files->config, title, service, SPAN("endpoint_url")));
    return url.at != NULL ? url : profile_get(files, name, SPAN("endpoint_url"));
}
