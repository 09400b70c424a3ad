/* SigV4's canonical request, written into a sink: a buffer for people, a hash for the signature.
 *
 * Part of sigv4; others include sigv4.h. Source: IAM User Guide, "Create a canonical request". */
#ifndef SAGEGATE_AWS_CANONICAL_H
#define SAGEGATE_AWS_CANONICAL_H

#include "aws/sha256.h"
#include "aws/sigv4.h"

enum { CANONICAL_CHUNK = 512, CANONICAL_REMEMBERED = 4 };

/* The first chunks of the canonical request that was hashed last, and the hash's state after each. Within a second
 * and on one route requests begin alike as far as the end of the session token, which is most of their length. */
struct canonical_memory {
    struct {
        char bytes[CANONICAL_CHUNK];
        struct sha256 after;
    } chunks[CANONICAL_REMEMBERED];
    size_t count;
};

/* Small pieces are gathered, so that neither a buffer nor a hash is called byte by byte. */
struct canonical_sink {
    struct buffer *out;              /* where the bytes go: this one, */
    struct sha256 *hash;             /* or that */
    struct canonical_memory *memory; /* of the hash; may be NULL */
    size_t chunk; /* how many went; memory holds them all while chunk <= its count */
    size_t used;
    char gathered[CANONICAL_CHUNK];
};

/* Either out or hash is NULL. (The gathered bytes need no initial value.) */
void canonical_sink_init(struct canonical_sink *sink, struct buffer *out, struct sha256 *hash,
                         struct canonical_memory *memory);

/* The headers of a request in the order in which they are signed; repeats stay in order of appearance. */
struct canonical_order {
    size_t count;
    uint8_t index[SIGV4_HEADERS_MAX];
};

void canonical_sort_headers(const struct sigv4_request *request, struct canonical_order *order);
/* "a;b;c" */
void canonical_append_signed_headers(const struct sigv4_request *request,
                                     const struct canonical_order *order, struct buffer *out);
/* The whole canonical request. The sink is flushed at the end. */
void canonical_write(const struct sigv4_request *request, const struct canonical_order *order,
                     struct span signed_headers, struct canonical_sink *sink);

#endif
