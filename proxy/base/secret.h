/* Secrets: bytes that are wiped before they are freed, stay out of core dumps and cannot be
 * printed.
 *
 * Deliberately not a span: code that needs the bytes calls secret_bytes, which is easy to find. */
#ifndef SAGEGATE_BASE_SECRET_H
#define SAGEGATE_BASE_SECRET_H

#include "base/buffer.h"

struct secret {
    char *private_at; /* its own pages, MADV_DONTDUMP; NULL if empty */
    size_t private_len;
};

#define SECRET_EMPTY ((struct secret){NULL, 0})

/* Copies s. The caller must wipe its own copy. */
struct secret secret_copy(struct span s);
/* Wipes and frees. Safe if empty. */
void secret_dispose(struct secret *secret);
/* Overwrites memory; the compiler cannot drop it. */
void secret_wipe(void *at, size_t len);
/* free and realloc that wipe what they give back, for libraries that parse secrets. */
void secret_free(void *at);
void *secret_realloc(void *at, size_t size);
/* A buffer of a fixed size, since one that grows leaves copies behind. */
void secret_buffer_init(struct buffer *buffer, size_t size);
/* Wipes and frees. Safe if zeroed. */
void secret_buffer_dispose(struct buffer *buffer);
/* Overwrites what functions that have returned left on this thread's stack: 64 KiB below the
 * caller. To be called near the bottom of the stack once a secret is no longer used. Registers that
 * copied it are spilled where no wipe of a variable reaches, even by the dynamic linker. */
void secret_wipe_stack(void);

static inline bool secret_is_empty(const struct secret *secret)
{
    return secret->private_len == 0;
}
/* For the signer and the session-token header only. Valid until secret_dispose. */
static inline struct span secret_bytes(const struct secret *secret)
{
    return span_make(secret->private_at, secret->private_len);
}

#endif
