/* The responses of AWS STS, XML by its Query protocol. Pure; it connects nowhere.
 *
 * Source: AWS STS API Reference, AssumeRole, AssumeRoleWithWebIdentity, GetCallerIdentity, and
 * "Common errors". Unknown elements are passed over and their order is free; a document type
 * (entities) is refused. */
#ifndef SAGEGATE_CREDENTIALS_STS_RESPONSE_H
#define SAGEGATE_CREDENTIALS_STS_RESPONSE_H

#include "credentials/credentials.h"

enum { STS_RESPONSE_SIZE_MAX = 65536, STS_RESPONSE_DEPTH_MAX = 32 };

/* What a response says besides the keys. Spans are in arena; SPAN_NONE where it does not say. */
struct sts_response {
    struct span error_code, error_message; /* printable ASCII, cut at 512 bytes */
    struct span arn;                       /* the assumed role's, or the caller's */
    struct span account;
};

/* A set with one reference out of a response that has one; else NULL with *fault. *response is
 * filled in either way. source: a literal. */
MUST_USE struct credentials *sts_response_read_set(struct span xml, struct span source,
                                                   struct arena *arena,
                                                   struct sts_response *response,
                                                   struct span *fault);
/* The same without keys: errors and identity. False where it is no well-formed XML. */
MUST_USE bool sts_response_read(struct span xml, struct arena *arena, struct sts_response *response,
                                struct span *fault);

#endif
