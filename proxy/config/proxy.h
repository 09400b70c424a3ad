/* HTTP proxies: what a URL says of one, and what HTTPS_PROXY and NO_PROXY say of a host, as curl and the AWS SDKs read them.
 * Pure but for the look-up that is passed in. */
#ifndef SAGEGATE_CONFIG_PROXY_H
#define SAGEGATE_CONFIG_PROXY_H

#include "aws/endpoint.h"
#include "config/config.h"

struct proxy {
    struct span host; /* SPAN_NONE: none */
    uint16_t port;
    struct span authorization; /* "Basic ...", SPAN_NONE without user information */
};

/* http://[user:password@]host[:port]. False, with *fault a literal that shows no password. */
MUST_USE bool proxy_parse(struct span text, struct arena *arena, struct proxy *out,
                          struct span *fault);
/* By the environment for that address: none for plaintext and loopback. False where HTTPS_PROXY is malformed. */
MUST_USE bool proxy_from_environment(config_getenv getenv, void *context,
                                     const struct endpoint_url *url, struct arena *arena,
                                     struct proxy *out, struct span *fault);

#endif
