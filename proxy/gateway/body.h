/* A request's body while it is held: a chain of bounded chunks, hashed as it is appended and
 * counted against the process's memory limit.
 *
 * The bytes are opaque and kept unchanged; the plan limits their number. Embedded in its owner; all
 * zero is an empty body. */
#ifndef SAGEGATE_GATEWAY_BODY_H
#define SAGEGATE_GATEWAY_BODY_H

#include "aws/sha256.h"
#include "aws/sigv4.h"
#include "gateway/admission.h"
#include "net/upstream.h"

enum {
    BODY_CHUNK_SIZE = 64 * 1024,
    BODY_SMALL_MAX = 8 * 1024, /* a body of known length up to this lives in the arena */
};

struct body {
    struct upstream_chunk *first, *last;
    uint64_t size;     /* bytes held */
    uint64_t reserved; /* bytes of memory taken */
    bool known_length;
    bool in_arena; /* the chunk belongs to the arena */
    struct admission *admission;
    struct sha256 sha256;
    int64_t hash_us;                       /* time spent hashing */
    unsigned char digest[SIGV4_HASH_SIZE]; /* valid after body_end */
};

/* Begins a new body. length: Content-Length, for which memory is reserved at once, or UINT64_MAX if
 * unknown. Returns false if limits.body_bytes has no room for it. */
MUST_USE bool body_begin(struct body *body, struct admission *admission, struct arena *arena,
                         uint64_t length);
/* Appends data. The total must not exceed a known length. Returns false if limits.body_bytes has no
 * room for it. */
MUST_USE bool body_append(struct body *body, struct span data);
/* Ends the body and computes the digest. */
void body_end(struct body *body);
/* Frees the chunks and releases their memory; keeps size, digest and hash_us. Safe if empty. */
void body_release(struct body *body);

#endif
