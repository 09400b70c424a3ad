/* Bearer tokens for the OpenAI-compatible path of SageMaker endpoints, made from credentials
 * without any call. Pure.
 *
 * A token is "sagemaker-api-key-" and the base64 of a presigned SigV4 URL for the action
 * CallWithBearerToken. It is a secret: its holder can call as the identity until it expires.
 * Source: SageMaker developer guide, "OpenAI-compatible endpoints"; IAM User Guide, "Create a
 * signed AWS API request" (query string). */
#ifndef SAGEGATE_AWS_BEARER_H
#define SAGEGATE_AWS_BEARER_H

#include "aws/sigv4.h"

enum {
    BEARER_LIFE_S =
        15 * 60, /* AWS allows twelve hours; a token is needed only until the request is sent */
    BEARER_RENEW_S = 5 * 60, /* a cached token with less time left is replaced */
};

/* Appends a token that expires after life_s. The caller must wipe it. */
void bearer_append(const struct sigv4_identity *identity, const struct sigv4_scope *scope,
                   unsigned life_s, struct buffer *out);

/* Recent tokens by access key id, generation and region; one cache per thread. Wiped on destroy. */
struct bearer_cache;
struct bearer_cache *bearer_cache_create(void);
void bearer_cache_destroy(struct bearer_cache *cache); /* accepts NULL */
/* Forgets all tokens, because credentials were rotated. */
void bearer_cache_wipe(struct bearer_cache *cache);

/* Returns a token that is valid for BEARER_RENEW_S from scope->now, or for as long as the
 * credentials if they expire sooner (us 0: never). Valid until the next call. */
struct span bearer_get(struct bearer_cache *cache, const struct sigv4_identity *identity,
                       const struct sigv4_scope *scope, struct wall_time expires);

#endif
