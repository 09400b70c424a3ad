/* A secret: bytes that are wiped when they go, kept out of core dumps, and taken by nothing that prints.
 *
 * There is deliberately no conversion to a span: who needs the bytes says so with secret_bytes, which is
 * easy to find. */
#ifndef SAGEGATE_BASE_SECRET_H
#define SAGEGATE_BASE_SECRET_H

#include "base/span.h"

struct secret {
    char *private_at; /* own pages, MADV_DONTDUMP; NULL when empty */
    size_t private_len;
};

#define SECRET_EMPTY ((struct secret){NULL, 0})

/* Copies s. The caller wipes its own copy (secret_wipe). */
struct secret secret_copy(struct span s);
/* Wipes and frees; takes an empty one. */
void secret_dispose(struct secret *secret);
/* Overwrites memory in a way that no compiler drops. */
void secret_wipe(void *at, size_t len);

static inline bool secret_is_empty(const struct secret *secret)
{
    return secret->private_len == 0;
}
/* For the signer and the session-token header alone. Valid until secret_dispose. */
static inline struct span secret_bytes(const struct secret *secret)
{
    return span_make(secret->private_at, secret->private_len);
}

#endif
