/* Host names of the SageMaker Runtime and of STS by partition and region. Pure.
 *
 * Source: botocore's endpoint rule sets for sagemaker-runtime and sts, and partitions.json. */
#ifndef SAGEGATE_AWS_ENDPOINT_H
#define SAGEGATE_AWS_ENDPOINT_H

#include "base/arena.h"
#include "base/check.h"

struct endpoint_options {
    struct span region; /* checked by endpoint_region_is_valid */
    bool fips, dualstack;
};

/* A host label: [a-z0-9-]{1,63}, no hyphen at either end. */
bool endpoint_region_is_valid(struct span region);

/* The partition's name ("aws", "aws-cn", ...); an unknown region counts as "aws". */
struct span endpoint_partition(struct span region);

/* "runtime.sagemaker.us-east-1.amazonaws.com", allocated in arena. */
struct span endpoint_host(const struct endpoint_options *options, struct arena *arena);

/* STS's regional endpoint: "sts.us-east-1.amazonaws.com", allocated in arena. */
struct span endpoint_sts_host(const struct endpoint_options *options, struct arena *arena);

/* The portal of IAM Identity Center: "portal.sso.us-east-1.amazonaws.com", allocated in arena. */
struct span endpoint_sso_portal_host(struct span region, struct arena *arena);

/* A custom endpoint: "https://host[:port][/]" or "http://...", IPv6 in brackets. False, with *fault a text
 * for a person in arena, for anything else (user info, query, a path other than "/"). */
struct endpoint_url {
    bool tls;
    struct span host; /* without brackets, lower-case */
    uint16_t port;    /* the scheme's default where none is given */
    struct span
        authority; /* the Host header: lower-case host, brackets for IPv6, port only if not the default */
    bool loopback; /* 127.0.0.0/8, ::1 or localhost */
};
MUST_USE bool endpoint_parse_url(struct span url, struct arena *arena, struct endpoint_url *out,
                                 struct span *fault);

#endif
