/* Host names of the SageMaker Runtime, STS and IAM Identity Center by region, and custom endpoint
 * URLs. Pure.
 *
 * Source: botocore's endpoint rule sets for sagemaker-runtime and sts, and partitions.json. */
#ifndef SAGEGATE_AWS_ENDPOINT_H
#define SAGEGATE_AWS_ENDPOINT_H

#include "base/arena.h"
#include "base/check.h"

struct endpoint_options {
    struct span region; /* must pass endpoint_region_is_valid */
    bool fips, dualstack;
};

/* A host label: [a-z0-9-]{1,63}, no hyphen at either end. */
bool endpoint_region_is_valid(struct span region);

/* Returns the partition's name ("aws", "aws-cn", ...), "aws" for an unknown region. */
struct span endpoint_partition(struct span region);

/* "runtime.sagemaker.us-east-1.amazonaws.com", allocated in arena. */
struct span endpoint_host(const struct endpoint_options *options, struct arena *arena);

/* STS's regional endpoint: "sts.us-east-1.amazonaws.com", allocated in arena. */
struct span endpoint_sts_host(const struct endpoint_options *options, struct arena *arena);

/* IAM Identity Center's portal: "portal.sso.us-east-1.amazonaws.com", allocated in arena. */
struct span endpoint_sso_portal_host(struct span region, struct arena *arena);

/* A custom endpoint: "https://HOST[:PORT][/]" or "http://...", IPv6 in brackets. */
struct endpoint_url {
    bool tls;
    struct span host;      /* without brackets, lower-case */
    uint16_t port;         /* the scheme's default if not given */
    struct span authority; /* for the Host header: with brackets, without the default port */
    bool loopback;         /* 127.0.0.0/8, ::1 or localhost */
};
/* Returns false with *fault, a text for a person in arena, for anything else: user information, a
 * query, a path other than "/". */
MUST_USE bool endpoint_parse_url(struct span url, struct arena *arena, struct endpoint_url *out,
                                 struct span *fault);

#endif
