/* Bearer tokens for the OpenAI-compatible path of SageMaker endpoints: minted from credentials, without any call. Pure.
 *
 * A token is "sagemaker-api-key-" and the base64 of a presigned SigV4 URL for the action CallWithBearerToken. Source:
 * SageMaker developer guide, "OpenAI-compatible endpoints"; IAM User Guide, "Create a signed AWS API request" (query
 * string). Whoever holds one may call as the identity until it ends: it is a secret. */
#ifndef SAGEGATE_AWS_BEARER_H
#define SAGEGATE_AWS_BEARER_H

#include "aws/sigv4.h"

enum {
    BEARER_LIFE_S =
        15 * 60, /* AWS allows twelve hours; one is needed as long as it takes to send it */
    BEARER_RENEW_S = 5 * 60, /* a cached one with less left is not used again */
};

/* Appends a token that ends after life_s. Its bytes are secret: the caller wipes them. */
void bearer_append(const struct sigv4_identity *identity, const struct sigv4_scope *scope,
                   unsigned life_s, struct buffer *out);

/* The last tokens, by identity, its generation and region; one cache a thread. Wiped on destroy. */
struct bearer_cache;
struct bearer_cache *bearer_cache_create(void);
void bearer_cache_destroy(struct bearer_cache *cache); /* accepts NULL */
/* Wipes the tokens of credentials that were rotated out. */
void bearer_cache_forget(struct bearer_cache *cache, uint64_t generation);

/* A token that is good for BEARER_RENEW_S more, or for what is left of the credentials (expires; us 0: never). Lent until
 * the next call. scope.now decides. */
struct span bearer_get(struct bearer_cache *cache, const struct sigv4_identity *identity,
                       const struct sigv4_scope *scope, struct wall_time expires);

#endif
