/* AWS Signature Version 4, by stage or as a whole. Pure: time and keys are passed in.
 *
 * HMAC-SHA256 only, no SigV4A. Source: AWS Identity and Access Management User Guide, "Create a
 * signed AWS API request"; checked against AWS's signing test suite and botocore. */
#ifndef SAGEGATE_AWS_SIGV4_H
#define SAGEGATE_AWS_SIGV4_H

#include "base/buffer.h"
#include "base/clock.h"
#include "base/secret.h"

enum { SIGV4_HASH_SIZE = 32, SIGV4_HEADERS_MAX = 128 };

struct sigv4_header {
    struct span name;  /* any case */
    struct span value; /* as sent; trimmed and collapsed for signing only */
};

struct sigv4_request {
    struct span method;
    struct span path;  /* as on the request line, percent-encoded once, without the query */
    struct span query; /* without '?', may be empty */
    /* The headers to sign: host always, x-amz-date and x-amz-security-token if sent. In any
     * order; a name may repeat. At most SIGV4_HEADERS_MAX. */
    const struct sigv4_header *headers;
    size_t header_count;
    unsigned char body_sha256[SIGV4_HASH_SIZE];
    bool normalize_path; /* true for every service but S3 */
    bool encode_path;    /* encode once more: every service but S3, and not AWS's test suite */
};

struct sigv4_scope {
    struct span region, service;
    struct wall_time now; /* one reading for x-amz-date and scope */
};

/* Whether a header must not be signed (connection, expect, user-agent, ...); ignores case. */
bool sigv4_is_never_signed(struct span name);

/* Stage 1: appends the canonical request, and "a;b;c" to signed_headers unless that is NULL. */
void sigv4_append_canonical_request(const struct sigv4_request *request, struct buffer *out,
                                    struct buffer *signed_headers);
/* Stage 2: appends the string to sign for a canonical request's SHA-256. */
void sigv4_append_string_to_sign(const struct sigv4_scope *scope,
                                 const unsigned char canonical_sha256[SIGV4_HASH_SIZE],
                                 struct buffer *out);
/* Stage 3: derives the signing key of a day. */
void sigv4_derive_key(const struct secret *secret_access_key, const struct sigv4_scope *scope,
                      unsigned char key[SIGV4_HASH_SIZE]);

/* Recent signing keys by access key id, generation, date, region and service; one cache per
 * thread. The generation stands for the secret, so that a rotated secret under the same id never
 * uses an old key. Kept out of core dumps; wiped on destroy. */
struct sigv4_key_cache;
struct sigv4_key_cache *sigv4_key_cache_create(void);
void sigv4_key_cache_destroy(struct sigv4_key_cache *cache); /* accepts NULL */
/* Forgets all keys, because credentials were rotated. */
void sigv4_key_cache_wipe(struct sigv4_key_cache *cache);

struct sigv4_identity {
    struct span access_key_id;
    const struct secret *secret_access_key;
    const struct secret *session_token; /* may be empty */
    uint64_t generation;                /* changes whenever the secret does */
};

/* All stages at once, for the request path: appends the value of the Authorization header. cache
 * may be NULL (command line). Allocates nothing unless the path or query needs it. */
void sigv4_append_authorization(const struct sigv4_request *request,
                                const struct sigv4_scope *scope,
                                const struct sigv4_identity *identity,
                                struct sigv4_key_cache *cache, struct buffer *out);

/* All stages at once, for a presigned URL: appends the signature alone, in hex. */
void sigv4_append_signature(const struct sigv4_request *request, const struct sigv4_scope *scope,
                            const struct sigv4_identity *identity, struct buffer *out);

#endif
