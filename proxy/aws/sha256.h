/* Incremental SHA-256 and HMAC-SHA256 without allocations or look-ups.
 *
 * Uses OpenSSL's deprecated low-level functions: EVP costs 40 to 50 ns more for each of a
 * signature's four hashes. Source: FIPS 180-4, RFC 2104. */
#ifndef SAGEGATE_AWS_SHA256_H
#define SAGEGATE_AWS_SHA256_H

#include <openssl/sha.h>

#include "base/span.h"

enum { SHA256_SIZE = 32 };

/* A plain value: may be copied, needs no disposal. */
struct sha256 {
    SHA256_CTX private_state;
};

void sha256_init(struct sha256 *hash);
void sha256_update(struct sha256 *hash, struct span bytes);
/* hash must not be used afterwards. */
void sha256_final(struct sha256 *hash, unsigned char out[SHA256_SIZE]);
void sha256_of(struct span bytes, unsigned char out[SHA256_SIZE]);

/* A prepared key: the states after the inner and the outer pad. As secret as the key; the caller
 * wipes it. */
struct sha256_hmac_key {
    struct sha256 inner, outer;
};
/* The key is prefix followed by key. */
void sha256_hmac_prepare(struct sha256_hmac_key *hmac, struct span prefix, struct span key);
void sha256_hmac(const struct sha256_hmac_key *hmac, struct span message,
                 unsigned char out[SHA256_SIZE]);

#endif
