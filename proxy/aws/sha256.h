/* SHA-256 and HMAC-SHA256 in pieces, without an allocation or a look-up a call.
 *
 * OpenSSL's low-level functions, deprecated as an interface: through EVP each hash costs 40 to 50 ns more, and a
 * signature has four. FIPS 180-4, RFC 2104. */
#ifndef SAGEGATE_AWS_SHA256_H
#define SAGEGATE_AWS_SHA256_H

#include <openssl/sha.h>

#include "base/span.h"

enum { SHA256_SIZE = 32 };

/* A value: may be copied, needs no disposal. */
struct sha256 {
    SHA256_CTX private_state;
};

void sha256_init(struct sha256 *hash);
void sha256_update(struct sha256 *hash, struct span bytes);
/* The state is spent afterwards. */
void sha256_final(struct sha256 *hash, unsigned char out[SHA256_SIZE]);
void sha256_of(struct span bytes, unsigned char out[SHA256_SIZE]);

/* A key made ready: the states after the inner and the outer pad. As secret as the key; wipe it. */
struct sha256_hmac_key {
    struct sha256 inner, outer;
};
/* The key is prefix and key joined. */
void sha256_hmac_prepare(struct sha256_hmac_key *hmac, struct span prefix, struct span key);
void sha256_hmac(const struct sha256_hmac_key *hmac, struct span message,
                 unsigned char out[SHA256_SIZE]);

#endif
