/* AWS STS: requests as forms, their signature, and responses in XML. Does no I/O.
 *
 * Source: AWS STS API Reference, AssumeRole, AssumeRoleWithWebIdentity, GetCallerIdentity, "Common
 * errors". In responses, ignores unknown elements and order, and rejects document types
 * (entities). */
#ifndef SAGEGATE_CREDENTIALS_STS_H
#define SAGEGATE_CREDENTIALS_STS_H

#include "credentials/chain.h"

struct http_client_request;

enum {
    STS_FORM_MAX = 128 * 1024,
    STS_RESPONSE_SIZE_MAX = 65536,
    STS_RESPONSE_DEPTH_MAX = 32,
};

/* Each appends "Action=...&Version=2011-06-15&...". */
void sts_append_assume_role(const struct chain_role *role, struct buffer *form);
void sts_append_web_identity(const struct chain_role *role, struct span token, struct buffer *form);
void sts_append_caller_identity(struct buffer *form);

/* Makes a request, signed unless signer is NULL. Its texts are in arena but for the session token,
 * which the signer lends. */
void sts_request(const struct chain *chain, struct span form, const struct credentials *signer,
                 struct wall_time now, struct arena *arena, struct http_client_request *out);

/* What a response says besides the keys. In arena; SPAN_NONE if it does not say. */
struct sts_response {
    struct span error_code, error_message; /* printable ASCII, cut at 512 bytes */
    struct span arn;                       /* the assumed role's, or the caller's */
    struct span account;
};

/* A response's set with one reference, or NULL with *fault. Fills *response in either case.
 * source: a literal. */
MUST_USE struct credentials *sts_read_set(struct span xml, struct span source, struct arena *arena,
                                          struct sts_response *response, struct span *fault);
/* The same without keys: errors and identity. Returns false if it is not well-formed XML. */
MUST_USE bool sts_read(struct span xml, struct arena *arena, struct sts_response *response,
                       struct span *fault);

#endif
