/* Composes AWS's host names and parses custom endpoint URLs. Does no I/O. */
#include "aws/endpoint.h"

#include "base/host.h"

#include <arpa/inet.h>

/* Source: botocore's partitions.json. Regions are PREFIX-WORD-NUMBER or the partition's own
 * global name. */
static const struct partition {
    struct span name, global, suffix, dualstack_suffix;
    struct span prefixes[11];
} partitions[] = {
    {SPAN("aws"),
     SPAN("aws-global"),
     SPAN("amazonaws.com"),
     SPAN("api.aws"),
     {SPAN("us"), SPAN("eu"), SPAN("ap"), SPAN("sa"), SPAN("ca"), SPAN("me"), SPAN("af"),
      SPAN("il"), SPAN("mx")}},
    {SPAN("aws-cn"),
     SPAN("aws-cn-global"),
     SPAN("amazonaws.com.cn"),
     SPAN("api.amazonwebservices.com.cn"),
     {SPAN("cn")}},
    {SPAN("aws-us-gov"),
     SPAN("aws-us-gov-global"),
     SPAN("amazonaws.com"),
     SPAN("api.aws"),
     {SPAN("us-gov")}},
    {SPAN("aws-eusc"),
     SPAN("aws-eusc-global"),
     SPAN("amazonaws.eu"),
     SPAN("api.amazonwebservices.eu"),
     {SPAN("eusc-de")}},
    {SPAN("aws-iso"),
     SPAN("aws-iso-global"),
     SPAN("c2s.ic.gov"),
     SPAN("api.aws.ic.gov"),
     {SPAN("us-iso")}},
    {SPAN("aws-iso-b"),
     SPAN("aws-iso-b-global"),
     SPAN("sc2s.sgov.gov"),
     SPAN("api.aws.scloud"),
     {SPAN("us-isob")}},
    {SPAN("aws-iso-e"),
     SPAN("aws-iso-e-global"),
     SPAN("cloud.adc-e.uk"),
     SPAN("api.cloud-aws.adc-e.uk"),
     {SPAN("eu-isoe")}},
    {SPAN("aws-iso-f"),
     SPAN("aws-iso-f-global"),
     SPAN("csp.hci.ic.gov"),
     SPAN("api.aws.hci.ic.gov"),
     {SPAN("us-isof")}},
};
enum { PARTITIONS = sizeof(partitions) / sizeof(partitions[0]) };

bool endpoint_region_is_valid(struct span region)
{
    for (size_t i = 0; i != region.len; ++i)
        if (ascii_lower(region.at[i]) != region.at[i])
            return false;
    return host_is_label(region);
}

/* Whether region is "PREFIX-WORD-NUMBER" with a word without hyphens. */
static bool region_has_prefix(struct span region, struct span prefix)
{
    if (!span_starts_with(region, prefix) || region.len == prefix.len ||
        region.at[prefix.len] != '-')
        return false;
    struct span word, number;
    if (!span_split(span_from_offset(region, prefix.len + 1), '-', &word, &number))
        return false;
    return word.len != 0 && number.len != 0 && span_is_all(number, ASCII_DIGIT);
}

static const struct partition *find_partition(struct span region)
{
    for (size_t i = 0; i != PARTITIONS; ++i) {
        if (span_equals(region, partitions[i].global))
            return &partitions[i];
        for (const struct span *prefix = partitions[i].prefixes; prefix->at != NULL; ++prefix)
            if (region_has_prefix(region, *prefix))
                return &partitions[i];
    }
    return &partitions[0];
}

struct span endpoint_partition(struct span region)
{
    return find_partition(region)->name;
}

struct span endpoint_host(const struct endpoint_options *options, struct arena *arena)
{
    CHECK(endpoint_region_is_valid(options->region));
    const struct partition *partition = find_partition(options->region);
    const char *service = "runtime.sagemaker";
    if (options->fips) {
        if (options->dualstack)
            service = "runtime.sagemaker-fips";
        else if (span_equals(partition->name, SPAN("aws")))
            service = "runtime-fips.sagemaker";
        else if (!span_equals(partition->name, SPAN("aws-us-gov"))) /* always FIPS */
            service = "runtime.sagemaker-fips";
    }
    struct span suffix = options->dualstack ? partition->dualstack_suffix : partition->suffix;
    return arena_printf(arena, "%s.%.*s.%.*s", service, SPAN_ARG(options->region),
                        SPAN_ARG(suffix));
}

struct span endpoint_sts_host(const struct endpoint_options *options, struct arena *arena)
{
    CHECK(endpoint_region_is_valid(options->region));
    const struct partition *partition = find_partition(options->region);
    bool ordinary_is_fips = !options->dualstack && span_equals(partition->name, SPAN("aws-us-gov"));
    struct span suffix = options->dualstack ? partition->dualstack_suffix : partition->suffix;
    return arena_printf(arena, "sts%s.%.*s.%.*s", options->fips && !ordinary_is_fips ? "-fips" : "",
                        SPAN_ARG(options->region), SPAN_ARG(suffix));
}

struct span endpoint_sso_portal_host(struct span region, struct arena *arena)
{
    CHECK(endpoint_region_is_valid(region));
    return arena_printf(arena, "portal.sso.%.*s.%.*s", SPAN_ARG(region),
                        SPAN_ARG(find_partition(region)->suffix));
}

/* ---- custom endpoints ---- */

static bool fail(struct span *fault, const char *text)
{
    *fault = span_from(text);
    return false;
}

/* Whether a resolver would read the host as an address, as "127.1" or "0x7f.1": it must be plain
 * IPv4 then. */
static bool looks_like_number(struct span host)
{
    size_t at = host.len;
    while (at != 0 && host.at[at - 1] != '.')
        --at;
    struct span last = span_from_offset(host, at);
    return span_starts_with(last, SPAN("0x")) || span_is_all(last, ASCII_DIGIT);
}

static bool parse_host(struct span host, struct endpoint_url *url, struct span *fault)
{
    struct in_addr v4;
    if (!host_is_dns_name(host))
        return fail(fault, "the host name is malformed");
    if (!looks_like_number(host)) {
        url->loopback = span_equals(host, SPAN("localhost"));
        return true;
    }
    if (inet_pton(AF_INET, host.at, &v4) != 1)
        return fail(fault, "the host is neither a name nor an IPv4 address such as 127.0.0.1");
    url->loopback = (ntohl(v4.s_addr) >> 24) == 127;
    return true;
}

static bool parse_ipv6(struct span host, struct endpoint_url *url, struct span *fault)
{
    struct in6_addr v6;
    if (memchr(host.at, '\0', host.len) != NULL || inet_pton(AF_INET6, host.at, &v6) != 1)
        return fail(fault, "the text in brackets is not an IPv6 address");
    url->loopback = IN6_IS_ADDR_LOOPBACK(&v6);
    return true;
}

static bool parse_authority(struct span authority, struct arena *arena, struct endpoint_url *url,
                            struct span *fault)
{
    struct span host, port;
    uint16_t default_port = url->tls ? 443 : 80;
    if (!host_split(authority, &host, &port))
        return fail(fault, "write an IPv6 address as [::1] or [::1]:PORT");
    bool ipv6 = host.len != 0 && host.at[0] == '[';
    if (host.len == (ipv6 ? 2 : 0))
        return fail(fault, "the host is missing");
    url->host = arena_lower(arena, ipv6 ? span_make(host.at + 1, host.len - 2) : host);
    url->port = default_port;
    if (port.at != NULL && (!host_parse_port(port, &url->port) || url->port == 0))
        return fail(fault, "the port is not a number from 1 to 65535");
    if (ipv6 ? !parse_ipv6(url->host, url, fault) : !parse_host(url->host, url, fault))
        return false;
    struct span name = ipv6 ? arena_printf(arena, "[%s]", url->host.at) : url->host;
    url->authority = url->port == default_port
                         ? name
                         : arena_printf(arena, "%s:%u", name.at, (unsigned)url->port);
    return true;
}

bool endpoint_parse_url(struct span url, struct arena *arena, struct endpoint_url *out,
                        struct span *fault)
{
    struct endpoint_url parsed = {0};
    struct span authority;
    parsed.tls = span_starts_with_ignore_case(url, SPAN("https://"));
    if (!parsed.tls && !span_starts_with_ignore_case(url, SPAN("http://")))
        return fail(fault, "must begin with https:// or http://");
    authority = span_from_offset(url, parsed.tls ? 8 : 7);
    if (authority.len != 0 && authority.at[authority.len - 1] == '/')
        --authority.len;
    if (span_find(authority, '@') != authority.len)
        return fail(fault, "must not contain user information");
    if (span_find(authority, '?') != authority.len || span_find(authority, '#') != authority.len)
        return fail(fault, "must not have a query or fragment; write https://HOST[:PORT]");
    if (span_find(authority, '/') != authority.len)
        return fail(fault, "must not have a path; write https://HOST[:PORT]");
    if (!parse_authority(authority, arena, &parsed, fault))
        return false;
    *out = parsed;
    return true;
}
