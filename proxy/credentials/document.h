/* Strict readers of the JSON documents that credentials come in. Does no I/O.
 *
 * A duplicate key, a value of another type and text after the object are faults. Faults name the
 * key and never show a value. */
#ifndef SAGEGATE_CREDENTIALS_DOCUMENT_H
#define SAGEGATE_CREDENTIALS_DOCUMENT_H

#include "credentials/credentials.h"

enum { DOCUMENT_SIZE_MAX = 65536 };

enum document_form {
    /* {"Version": 1, "AccessKeyId", "SecretAccessKey", "SessionToken"?, "Expiration"?}: AWS SDKs
     * and Tools Reference, "Process credential provider" */
    DOCUMENT_PROCESS,
    /* {"AccessKeyId", "SecretAccessKey", "Token", "Expiration"}: the same, "Container credential
     * provider" */
    DOCUMENT_CONTAINER,
    /* the same with "Code": "Success": EC2 User Guide, "Retrieve security credentials from instance
     * metadata" */
    DOCUMENT_IMDS,
    /* {"roleCredentials": {"accessKeyId", "secretAccessKey", "sessionToken", "expiration": ms}}:
     * IAM Identity Center Portal API, GetRoleCredentials */
    DOCUMENT_SSO,
};

/* Makes jansson wipe what it frees, for the whole process. To be called before any thread starts;
 * later calls do nothing. */
void document_init(void);

/* Returns a set with one reference, or NULL with *fault in arena. source: a literal. */
MUST_USE struct credentials *document_read_set(enum document_form form, struct span text,
                                               struct span source, struct arena *arena,
                                               struct span *fault);

/* An error response's "code" and "message" for people: "CODE: MESSAGE" in arena, at most 256 bytes,
 * printable; SPAN_NONE if it has neither. Shows nothing of a text that repeats `token`, which the
 * request carried; SPAN_NONE: it carried none. */
struct span document_error_text(struct span text, struct span token, struct arena *arena);

/* Reads the cached token of `aws sso login`: {"accessToken", "expiresAt"}. Returns false and sets
 * *fault if it cannot. */
MUST_USE bool document_read_sso_token(struct span text, struct secret *token,
                                      struct wall_time *expires, struct arena *arena,
                                      struct span *fault);

#endif
