/* Profiles: AWS's shared config and credentials files, read as one. Applies the files' rules of
 * precedence; must not depend on what a profile's keys mean.
 *
 * Source: AWS SDKs and Tools Reference Guide, "Shared config and credentials files". The
 * credentials file beats the config file key by key; [profile default] beats [default]. */
#ifndef SAGEGATE_CREDENTIALS_PROFILE_H
#define SAGEGATE_CREDENTIALS_PROFILE_H

#include "config/config.h"
#include "credentials/file.h"
#include "credentials/ini.h"

struct profile_files {
    struct ini config, credentials;             /* empty if there is no such file */
    const char *config_name, *credentials_name; /* in the arena given; NULL without a HOME */
    struct file_version config_version, credentials_version; /* from before they were read */
    struct span warning; /* secrets that others may read: "FILE: mode 0644 ..."; else SPAN_NONE */
};

/* Reads AWS_CONFIG_FILE or ~/.aws/config, and AWS_SHARED_CREDENTIALS_FILE or ~/.aws/credentials,
 * `~` being HOME. A missing file is an empty one. Returns false and sets *fault to "FILE: line N:
 * ...", in arena, if one cannot be read or parsed; sets the names even then. profile_close is due
 * in any case. */
MUST_USE bool profile_open(config_getenv getenv, void *context, struct arena *arena,
                           struct profile_files *files, struct span *fault);
void profile_close(struct profile_files *files);

bool profile_exists(const struct profile_files *files, struct span name);
/* Returns a key's value, lent until profile_close; SPAN_NONE if it is missing or empty. */
struct span profile_get(const struct profile_files *files, struct span name, struct span key);
/* Whether only the config file has the key. */
bool profile_is_from_config(const struct profile_files *files, struct span name, struct span key);
/* The same for a key of [KIND NAME] in the config file: {"sso-session", "dev", "sso_region"}. */
struct span profile_get_section(const struct profile_files *files, const char *kind,
                                struct span name, struct span key);
/* Returns the endpoint_url below `service` in the profile's `services` section, else the profile's
 * own endpoint_url. */
struct span profile_get_endpoint(const struct profile_files *files, struct span name,
                                 struct span service);

#endif
