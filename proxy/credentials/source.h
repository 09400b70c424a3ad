/* The sources at hand: the environment and a file, each read once, synchronously. Must not depend
 * on the chain. */
#ifndef SAGEGATE_CREDENTIALS_SOURCE_H
#define SAGEGATE_CREDENTIALS_SOURCE_H

#include "config/config.h"
#include "credentials/credentials.h"

/* AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN, AWS_CREDENTIAL_EXPIRATION (RFC
 * 3339); an empty variable counts as unset. Not configured if the first two are unset; failed if
 * only one of them is, or if the expiration is malformed. A set that has expired is found: judging
 * it takes a clock. *out, set only with CREDENTIALS_FOUND, is the caller's reference. */
MUST_USE enum credentials_result source_load_env(config_getenv getenv, void *context,
                                                 struct arena *arena, struct credentials **out,
                                                 struct credentials_notes *notes);

enum { SOURCE_FILE_MAX = 65536 };

/* A JSON file in the form of credential_process (AWS SDKs and Tools Reference, "Process credential
 * provider"): Version (1), AccessKeyId, SecretAccessKey, optional SessionToken and Expiration
 * (RFC 3339); other keys are ignored. Strict: a duplicate key, a value that is no string, anything
 * after the object fails, and so does a file that is not regular or larger than SOURCE_FILE_MAX
 * bytes. A set that has expired is found. Warns if group or others can read the file. Never
 * not configured. */
MUST_USE enum credentials_result source_load_file(const char *file, struct arena *arena,
                                                  struct credentials **out,
                                                  struct credentials_notes *notes);

#endif
