/* SHA-256 and HMAC-SHA256 on top of OpenSSL's low-level functions. */
#define OPENSSL_SUPPRESS_DEPRECATED
#include "aws/sha256.h"

#include "base/check.h"
#include "base/secret.h"

void sha256_init(struct sha256 *hash)
{
    CHECK(SHA256_Init(&hash->private_state) == 1);
}

void sha256_update(struct sha256 *hash, struct span bytes)
{
    CHECK(SHA256_Update(&hash->private_state, bytes.at, bytes.len) == 1);
}

void sha256_final(struct sha256 *hash, unsigned char out[SHA256_SIZE])
{
    CHECK(SHA256_Final(out, &hash->private_state) == 1);
}

void sha256_of(struct span bytes, unsigned char out[SHA256_SIZE])
{
    struct sha256 hash;
    sha256_init(&hash);
    sha256_update(&hash, bytes);
    sha256_final(&hash, out);
}

static void start_with_pad(struct sha256 *hash, const unsigned char key[SHA256_CBLOCK],
                           unsigned char pad)
{
    unsigned char block[SHA256_CBLOCK];
    for (size_t i = 0; i != SHA256_CBLOCK; ++i)
        block[i] = key[i] ^ pad;
    sha256_init(hash);
    sha256_update(hash, span_make((const char *)block, sizeof(block)));
    secret_wipe(block, sizeof(block));
}

void sha256_hmac_prepare(struct sha256_hmac_key *hmac, struct span prefix, struct span key)
{
    unsigned char padded[SHA256_CBLOCK] = {0};
    if (prefix.len > sizeof(padded) || key.len > sizeof(padded) - prefix.len) {
        struct sha256 hash;
        sha256_init(&hash);
        sha256_update(&hash, prefix);
        sha256_update(&hash, key);
        sha256_final(&hash, padded);
        secret_wipe(&hash, sizeof(hash));
    } else {
        if (prefix.len != 0)
            memcpy(padded, prefix.at, prefix.len);
        if (key.len != 0)
            memcpy(padded + prefix.len, key.at, key.len);
    }
    start_with_pad(&hmac->inner, padded, 0x36);
    start_with_pad(&hmac->outer, padded, 0x5c);
    secret_wipe(padded, sizeof(padded));
}

void sha256_hmac(const struct sha256_hmac_key *hmac, struct span message,
                 unsigned char out[SHA256_SIZE])
{
    struct sha256 hash = hmac->inner;
    sha256_update(&hash, message);
    sha256_final(&hash, out);
    hash = hmac->outer;
    sha256_update(&hash, span_make((const char *)out, SHA256_SIZE));
    sha256_final(&hash, out);
    secret_wipe(&hash, sizeof(hash));
}
