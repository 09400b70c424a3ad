/* Builds the head of an upstream request: the plan's headers, signed for the current second and the
 * exact bytes of the body. */
#ifndef SAGEGATE_GATEWAY_AUTHORIZE_H
#define SAGEGATE_GATEWAY_AUTHORIZE_H

#include "aws/bearer.h"
#include "credentials/credentials.h"
#include "gateway/fill.h"

struct authorize_request {
    const struct fill_result *fill;
    const struct config_upstream *upstream;
    const unsigned char *body_sha256; /* SIGV4_HASH_SIZE */
    uint64_t body_size;
    const struct credentials *credentials; /* NULL if fill->proof is FILL_NONE */
    struct wall_time now;
    struct sigv4_key_cache *keys; /* the worker's */
    struct bearer_cache *bearers; /* likewise */
};

/* Returns the whole head with its empty line, in arena. It contains the session or bearer token:
 * wipe it with secret_wipe after use. */
struct span authorize_head(const struct authorize_request *request, struct arena *arena);

#endif
