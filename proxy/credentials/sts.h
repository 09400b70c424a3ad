/* Requests to AWS STS: what is asked, as a form; and its signature. Pure; it sends nothing.
 *
 * Source: AWS STS API Reference, AssumeRole, AssumeRoleWithWebIdentity, GetCallerIdentity. */
#ifndef SAGEGATE_CREDENTIALS_STS_H
#define SAGEGATE_CREDENTIALS_STS_H

#include "credentials/chain.h"
#include "net/http_client.h"

enum { STS_FORM_MAX = 128 * 1024 };

/* Each appends "Action=...&Version=2011-06-15&...". */
void sts_append_assume_role(const struct chain_role *role, struct buffer *form);
void sts_append_web_identity(const struct chain_role *role, struct span token, struct buffer *form);
void sts_append_caller_identity(struct buffer *form);

/* A signed request: its texts live in arena but for the session token, which is lent by `signer`.
 * signer NULL: unsigned. */
void sts_request(const struct chain *chain, struct span form, const struct credentials *signer,
                 struct wall_time now, struct arena *arena, struct http_client_request *out);

#endif
