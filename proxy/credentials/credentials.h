/* A set of AWS credentials: immutable, behind a reference count. Must not depend on its source. */
#ifndef SAGEGATE_CREDENTIALS_CREDENTIALS_H
#define SAGEGATE_CREDENTIALS_CREDENTIALS_H

#include <stdatomic.h>

#include "base/arena.h"
#include "base/buffer.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/secret.h"
#include "base/span.h"

enum {
    CREDENTIALS_KEY_ID_MAX = 128, /* IAM API, AccessKey: AccessKeyId has 16 to 128 characters */
    CREDENTIALS_SECRET_MAX = 1024,
    CREDENTIALS_TOKEN_MAX = 16384 /* AWS names no limit; STS tokens have up to about 4 KiB */
};

/* What became of looking for credentials in a source. */
enum credentials_result {
    CREDENTIALS_FOUND,
    CREDENTIALS_NOT_CONFIGURED, /* go on to the next source */
    CREDENTIALS_FAILED,         /* configured and broken: stop here and say so */
};

/* Texts for people. */
struct credentials_notes {
    struct span fault;   /* with FAILED: "SOURCE: what is wrong"; else SPAN_NONE */
    struct span warning; /* with FOUND: usable, but; else SPAN_NONE */
};

struct credentials {
    atomic_int references;
    char access_key_id[CREDENTIALS_KEY_ID_MAX + 1];
    struct secret secret_access_key;
    struct secret session_token; /* empty: none */
    uint64_t generation;         /* unique in the process; 0 before the provider uses the set */
    struct wall_time expires;    /* us 0: never */
    struct span source;          /* "env", "static"; a literal */
};

/* What a source read. The source wipes its own copies. */
struct credentials_parts {
    struct span access_key_id, secret_access_key;
    struct span session_token; /* SPAN_NONE or empty: none */
    struct wall_time expires;
    struct span source;
};

/* Returns a set with one reference. NULL, with *fault in arena, if a part is missing, is too long
 * or has a byte that no header can carry (a blank, a control character such as a trailing newline,
 * beyond ASCII; in the key id also '/', ',' and '='). *fault names the part as credential_process
 * does (SecretAccessKey) and shows nothing of it. */
MUST_USE struct credentials *credentials_create(const struct credentials_parts *parts,
                                                struct arena *arena, struct span *fault);

struct credentials *credentials_retain(struct credentials *credentials);
/* The last release wipes the secrets. Accepts NULL. On any thread. */
void credentials_release(struct credentials *credentials);

/* Parses an expiration in RFC 3339. That of 1970 counts as one, though us 0 means none. */
MUST_USE bool credentials_parse_expires(struct span text, struct wall_time *out);

static inline bool credentials_is_expired(const struct credentials *credentials,
                                          struct wall_time now)
{
    return credentials->expires.us != 0 && credentials->expires.us <= now.us;
}

/* For logs: the last four characters of the key id, or half of a short one. */
struct span credentials_key_id_tail(const struct credentials *credentials);
/* For people: "imds: key id ...WXYZ, expires 2015-...". */
void credentials_describe(const struct credentials *credentials, struct wall_time now,
                          struct buffer *out);
/* The same keys with the same expiration. */
bool credentials_is_same(const struct credentials *a, const struct credentials *b);

#endif
