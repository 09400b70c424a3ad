/* Sources of credentials, one function each, tried once, synchronously. None knows the chain. */
#ifndef SAGEGATE_CREDENTIALS_SOURCE_H
#define SAGEGATE_CREDENTIALS_SOURCE_H

#include "config/config.h"
#include "credentials/credentials.h"

enum credentials_result {
    CREDENTIALS_FOUND,
    CREDENTIALS_NOT_CONFIGURED, /* the chain goes on to the next source */
    CREDENTIALS_FAILED,         /* configured and broken: the chain stops here and tells */
};

/* Texts for people, in the arena that the source was given. */
struct source_notes {
    struct span fault;   /* with FAILED: "SOURCE: what is wrong"; else SPAN_NONE */
    struct span warning; /* with FOUND: usable, but; else SPAN_NONE */
};

/* AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN, AWS_CREDENTIAL_EXPIRATION (RFC 3339);
 * an empty one counts as unset. With none of the first two: not configured. With one of them, or an
 * expiration that is no time: failed. One in the past is found; to judge it takes a clock. *out, with FOUND only, is one
 * reference, the caller's. */
MUST_USE enum credentials_result source_env_load(config_getenv getenv, void *context,
                                                 struct arena *arena, struct credentials **out,
                                                 struct source_notes *notes);

enum { SOURCE_STATIC_FILE_MAX = 65536 };

/* A JSON file as credential_process prints it (AWS SDKs and Tools Reference, "Process credential
 * provider"): Version (1), AccessKeyId, SecretAccessKey, optional SessionToken and Expiration
 * (RFC 3339); other keys are left alone. Strict: a key twice, a value that is no string, anything
 * after the object are failures, and so is whatever is no regular file or larger than
 * SOURCE_STATIC_FILE_MAX bytes. An expiration in the past is found; to judge it takes a clock.
 * Warns where group or others can read the file. Never not configured.
 *
 * The first call makes jansson wipe all that it frees, for the whole process: let it come before
 * the threads. */
MUST_USE enum credentials_result source_static_load(const char *file, struct arena *arena,
                                                    struct credentials **out,
                                                    struct source_notes *notes);

#endif
