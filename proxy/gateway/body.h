/* A request's body while it is held: a chain of bounded chunks, hashed as it fills, counted against the process's limit.
 *
 * Opaque bytes, kept exactly as they came. Embedded in an exchange; all zero is an empty one. */
#ifndef SAGEGATE_GATEWAY_BODY_H
#define SAGEGATE_GATEWAY_BODY_H

#include "aws/sha256.h"
#include "aws/sigv4.h"
#include "gateway/admission.h"
#include "net/upstream.h"

enum {
    BODY_CHUNK_SIZE = 64 * 1024,
    BODY_SMALL_MAX = 8 * 1024, /* a body of known length up to this lives in the exchange's arena */
};

struct body {
    struct upstream_chunk *first, *last;
    uint64_t size;     /* bytes held */
    uint64_t max;      /* more is refused */
    uint64_t reserved; /* bytes taken from admission */
    bool known_length;
    bool in_arena; /* the chunk belongs to the arena */
    struct admission *admission;
    struct sha256 sha256;
    int64_t hash_us;                       /* summed over the pieces */
    unsigned char digest[SIGV4_HASH_SIZE]; /* after body_end */
};

enum body_result { BODY_OK, BODY_TOO_LARGE, BODY_MEMORY_FULL };

/* A new, empty body of at most `max` bytes. length: Content-Length, reserved at once, or UINT64_MAX where unknown. */
MUST_USE enum body_result body_begin(struct body *body, struct admission *admission,
                                     struct arena *arena, uint64_t length, uint64_t max);
MUST_USE enum body_result body_append(struct body *body, struct span data);
/* All is here: computes the digest. */
void body_end(struct body *body);
/* Frees the chunks and gives the bytes back; size, digest and hash_us stay. Takes an empty one. */
void body_release(struct body *body);

#endif
