/* Host names of the SageMaker Runtime and of STS by partition and region, and custom endpoint URLs.
 *
 * It may not resolve a name or open a connection. */
#include "aws/endpoint.h"

#include <arpa/inet.h>

/* Source: botocore's partitions.json. Regions are PREFIX-WORD-NUMBER or the partition's own global name. */
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
enum { PARTITIONS = sizeof(partitions) / sizeof(partitions[0]), HOST_MAX = 253, LABEL_MAX = 63 };

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_label_byte(char c)
{
    return (c >= 'a' && c <= 'z') || is_digit(c) || c == '-';
}

bool endpoint_region_is_valid(struct span region)
{
    if (region.len == 0 || region.len > LABEL_MAX || region.at[0] == '-' ||
        region.at[region.len - 1] == '-')
        return false;
    for (size_t i = 0; i != region.len; ++i)
        if (!is_label_byte(region.at[i]))
            return false;
    return true;
}

/* region is "PREFIX-WORD-NUMBER" with a word that has no hyphen. */
static bool region_has_prefix(struct span region, struct span prefix)
{
    if (!span_starts_with(region, prefix) || region.len == prefix.len ||
        region.at[prefix.len] != '-')
        return false;
    struct span word, number;
    if (!span_split(span_from_offset(region, prefix.len + 1), '-', &word, &number))
        return false;
    for (size_t i = 0; i != number.len; ++i)
        if (!is_digit(number.at[i]))
            return false;
    return word.len != 0 && number.len != 0;
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
        else if (!span_equals(partition->name, SPAN("aws-us-gov"))) /* its ordinary name is FIPS */
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

static struct span lower_copy(struct span s, struct arena *arena)
{
    char *at = arena_alloc(arena, s.len + 1);
    for (size_t i = 0; i != s.len; ++i)
        at[i] = (char)(s.at[i] >= 'A' && s.at[i] <= 'Z' ? s.at[i] | 0x20 : s.at[i]);
    at[s.len] = '\0';
    return span_make(at, s.len);
}

/* Labels of letters, digits, hyphens and underscores, divided by single dots; lower-case already. */
static bool is_host_name(struct span host)
{
    struct span label, rest = host;
    bool more = host.len != 0 && host.len <= HOST_MAX;
    if (!more)
        return false;
    while (more) {
        more = span_split(rest, '.', &label, &rest);
        if (label.len == 0 || label.len > LABEL_MAX || label.at[0] == '-' ||
            label.at[label.len - 1] == '-')
            return false;
        for (size_t i = 0; i != label.len; ++i)
            if (!is_label_byte(label.at[i]) && label.at[i] != '_')
                return false;
    }
    return true;
}

/* A resolver reads "127.1" and "0x7f.1" as addresses: such a host must be a plain IPv4 address. */
static bool looks_like_number(struct span host)
{
    size_t at = host.len;
    while (at != 0 && host.at[at - 1] != '.')
        --at;
    struct span last = span_from_offset(host, at);
    if (span_starts_with(last, SPAN("0x")))
        return true;
    for (size_t i = 0; i != last.len; ++i)
        if (!is_digit(last.at[i]))
            return false;
    return true;
}

static bool parse_host(struct span host, struct endpoint_url *url, struct span *fault)
{
    struct in_addr v4;
    if (!is_host_name(host))
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
        return fail(fault, "what stands in brackets is not an IPv6 address");
    url->loopback = IN6_IS_ADDR_LOOPBACK(&v6);
    return true;
}

/* text: what follows the host, "" or ":PORT". */
static bool parse_port(struct span text, struct endpoint_url *url, struct span *fault)
{
    uint64_t port;
    url->port = url->tls ? 443 : 80;
    if (text.len == 0)
        return true;
    if (text.at[0] != ':' || text.len > 6 || !span_parse_u64(span_from_offset(text, 1), &port) ||
        port == 0 || port > 65535)
        return fail(fault, "the port is not a number from 1 to 65535");
    url->port = (uint16_t)port;
    return true;
}

static bool parse_authority(struct span authority, struct arena *arena, struct endpoint_url *url,
                            struct span *fault)
{
    bool ipv6 = authority.len != 0 && authority.at[0] == '[';
    size_t end = span_find(authority, ipv6 ? ']' : ':');
    if (ipv6 && end == authority.len)
        return fail(fault, "the closing bracket of the IPv6 address is missing");
    size_t start = ipv6 ? 1 : 0;
    if (end == start)
        return fail(fault, "the host is missing");
    url->host = lower_copy(span_make(authority.at + start, end - start), arena);
    if (!parse_port(span_from_offset(authority, end + start), url, fault))
        return false;
    if (ipv6 ? !parse_ipv6(url->host, url, fault) : !parse_host(url->host, url, fault))
        return false;
    struct span name = ipv6 ? arena_printf(arena, "[%s]", url->host.at) : url->host;
    bool ordinary = url->port == (url->tls ? 443 : 80);
    url->authority = ordinary ? name : arena_printf(arena, "%s:%u", name.at, (unsigned)url->port);
    return true;
}

bool endpoint_parse_url(struct span url, struct arena *arena, struct endpoint_url *out,
                        struct span *fault)
{
    struct endpoint_url parsed = {0};
    struct span authority;
    parsed.tls = span_starts_with_ignore_case(url, SPAN("https://"));
    if (!parsed.tls && !span_starts_with_ignore_case(url, SPAN("http://")))
        return fail(fault, "it begins with neither https:// nor http://");
    authority = span_from_offset(url, parsed.tls ? 8 : 7);
    if (authority.len != 0 && authority.at[authority.len - 1] == '/')
        --authority.len;
    if (span_find(authority, '@') != authority.len)
        return fail(fault, "it holds user information; credentials have no place in it");
    if (span_find(authority, '?') != authority.len || span_find(authority, '#') != authority.len)
        return fail(fault, "it has a query or a fragment; only https://HOST[:PORT] will do");
    if (span_find(authority, '/') != authority.len)
        return fail(fault, "it has a path; only https://HOST[:PORT] will do");
    if (!parse_authority(authority, arena, &parsed, fault))
        return false;
    *out = parsed;
    return true;
}
