/* The JSON documents that credentials come in, strictly read. Pure; it opens no file and connects
 * nowhere.
 *
 * A key twice, a value of another type, anything behind the object are faults. Faults name the key
 * and never show a value. jansson is made to wipe all that it frees, for the whole process, by the
 * first call: let it come before the threads (document_init). */
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

void document_init(void);

/* A set with one reference, or NULL with *fault in arena. source: a literal. */
MUST_USE struct credentials *document_read_set(enum document_form form, struct span text,
                                               struct span source, struct arena *arena,
                                               struct span *fault);

/* An error response's "code" and "message" for people: "CODE: MESSAGE" in arena, at most 256 bytes,
 * printable; SPAN_NONE if it has neither. Shows nothing of a text that repeats `token`, which the
 * request carried; SPAN_NONE: it carried none. */
struct span document_error_text(struct span text, struct span token, struct arena *arena);

/* The cached token of `aws sso login`: {"accessToken", "expiresAt"}. False with *fault. */
MUST_USE bool document_read_sso_token(struct span text, struct secret *token,
                                      struct wall_time *expires, struct arena *arena,
                                      struct span *fault);

#endif
