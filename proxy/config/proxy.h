/* HTTP proxies: in a URL, and in HTTPS_PROXY and NO_PROXY, as curl and the AWS SDKs read them.
 * Pure, except for calling the given getenv. */
#ifndef SAGEGATE_CONFIG_PROXY_H
#define SAGEGATE_CONFIG_PROXY_H

#include "aws/endpoint.h"
#include "config/config.h"

struct proxy {
    struct span host; /* SPAN_NONE: none */
    uint16_t port;
    struct span authorization; /* "Basic ...", SPAN_NONE without user information */
};

/* http://[user:password@]host[:port]. On failure *fault is a literal that contains no password. */
MUST_USE bool proxy_parse(struct span text, struct arena *arena, struct proxy *out,
                          struct span *fault);
/* The environment's proxy for that address: none for plaintext and loopback. Returns false if
 * HTTPS_PROXY is malformed. */
MUST_USE bool proxy_from_environment(config_getenv getenv, void *context,
                                     const struct endpoint_url *url, struct arena *arena,
                                     struct proxy *out, struct span *fault);

#endif
