/* Where instance metadata, a container's broker and STS are, and which addresses may be asked. */
#include "credentials/chain.h"

#include <arpa/inet.h>

static struct span variable(const struct chain_options *options, const char *name)
{
    struct span value = options->getenv(options->getenv_context, span_from(name));
    return value.len == 0 ? SPAN_NONE : value;
}

/* A setting by its variable, else by the profile's key; SPAN_NONE where neither says. */
static struct span find_setting(const struct chain_options *options,
                                const struct profile_files *files, struct span profile,
                                const char *name, const char *key)
{
    struct span value = variable(options, name);
    return value.at != NULL ? value : profile_get(files, profile, span_from(key));
}

static bool is_true(struct span value)
{
    return span_equals_ignore_case(value, SPAN("true"));
}

static bool fail(struct span *fault, struct span text)
{
    *fault = text;
    return false;
}

/* ---- containers ---- */

/* Where plain HTTP may carry the token: AWS SDKs and Tools Reference, "Container credential
 * provider". */
static bool is_container_host(const struct endpoint_url *url)
{
    return url->tls || url->loopback || span_equals(url->host, SPAN("169.254.170.2")) ||
           span_equals(url->host, SPAN("169.254.170.23")) ||
           span_equals(url->host, SPAN("fd00:ec2::23"));
}

static bool is_path(struct span path)
{
    for (size_t i = 0; i != path.len; ++i)
        if (path.at[i] <= ' ' || path.at[i] >= 0x7f || path.at[i] == '#')
            return false;
    return path.len != 0 && path.len <= 2048 && path.at[0] == '/';
}

/* "https://host:port/path?query" into its two parts. */
static bool split_url(struct chain *chain, struct span url, struct arena *arena, struct span *fault)
{
    size_t scheme = span_starts_with_ignore_case(url, SPAN("https://")) ? 8 : 7;
    if (url.len < scheme)
        scheme = url.len;
    size_t authority = scheme + span_find(span_from_offset(url, scheme), '/');
    chain->path = arena_copy(arena, span_from_offset(url, authority));
    if (chain->path.len == 0)
        chain->path = SPAN("/");
    return endpoint_parse_url(span_make(url.at, authority), arena, &chain->url, fault);
}

bool chain_address_container(struct chain *chain, const struct chain_options *options,
                             struct arena *arena, struct span *fault)
{
    struct span relative = variable(options, "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"), why;
    struct span full = variable(options, "AWS_CONTAINER_CREDENTIALS_FULL_URI");
    struct span file = variable(options, "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE");
    if (relative.at == NULL && full.at == NULL)
        return fail(fault, SPAN("container: AWS_CONTAINER_CREDENTIALS_FULL_URI is not set"));
    chain->token_file = arena_copy(arena, file).at;
    chain->token =
        file.at != NULL ? SPAN_NONE : variable(options, "AWS_CONTAINER_AUTHORIZATION_TOKEN");
    if (relative.at != NULL)
        full = arena_printf(arena, "http://169.254.170.2%.*s", SPAN_ARG(relative));
    if (relative.at != NULL && !is_path(relative))
        return fail(fault, SPAN("container: AWS_CONTAINER_CREDENTIALS_RELATIVE_URI is no path"));
    if (!split_url(chain, full, arena, &why))
        return fail(fault,
                    arena_printf(arena, "container: AWS_CONTAINER_CREDENTIALS_FULL_URI: %.*s",
                                 SPAN_ARG(why)));
    if (!is_path(chain->path))
        return fail(fault,
                    SPAN("container: AWS_CONTAINER_CREDENTIALS_FULL_URI: its path is malformed"));
    if (is_container_host(&chain->url))
        return true;
    return fail(fault,
                arena_printf(arena,
                             "container: %.*s may not be asked over plain http://: only loopback, "
                             "169.254.170.2, 169.254.170.23 and [fd00:ec2::23] may",
                             SPAN_ARG(chain->url.authority)));
}

/* ---- instance metadata ---- */

static bool is_link_local(struct span host)
{
    struct in_addr v4;
    return inet_pton(AF_INET, host.at, &v4) == 1 && ntohl(v4.s_addr) >> 16 == (169 << 8 | 254);
}

static bool is_metadata_host(const struct endpoint_url *url)
{
    return url->tls || url->loopback || is_link_local(url->host) ||
           span_equals(url->host, SPAN("fd00:ec2::254"));
}

bool chain_address_imds(struct chain *chain, const struct chain_options *options,
                        const struct profile_files *files, struct span profile, struct arena *arena,
                        struct span *fault)
{
    struct span url = options->identity->credentials.imds_endpoint, why;
    const char *origin = "credentials.imds_endpoint";
    struct span mode =
        find_setting(options, files, profile, "AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE",
                     "ec2_metadata_service_endpoint_mode");
    if (url.at == NULL) {
        url = variable(options, "AWS_EC2_METADATA_SERVICE_ENDPOINT");
        origin = "AWS_EC2_METADATA_SERVICE_ENDPOINT";
    }
    if (url.at == NULL) {
        url = profile_get(files, profile, SPAN("ec2_metadata_service_endpoint"));
        origin = "ec2_metadata_service_endpoint of the profile";
    }
    bool ipv6 = span_equals_ignore_case(mode, SPAN("ipv6"));
    if (mode.at != NULL && !ipv6 && !span_equals_ignore_case(mode, SPAN("ipv4")))
        return fail(fault, SPAN("imds: AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE (or the profile's "
                                "ec2_metadata_service_endpoint_mode) is neither IPv4 nor IPv6"));
    if (url.at == NULL)
        url = ipv6 ? SPAN("http://[fd00:ec2::254]") : SPAN("http://169.254.169.254");
    chain->imds_v1 = options->identity->credentials.imds_v1;
    if (!endpoint_parse_url(url, arena, &chain->url, &why))
        return fail(fault, arena_printf(arena, "imds: %s: %.*s", origin, SPAN_ARG(why)));
    if (is_metadata_host(&chain->url))
        return true;
    return fail(fault, arena_printf(arena,
                                    "imds: %s: %.*s may not be asked over plain http://: only "
                                    "loopback, 169.254.x.x and [fd00:ec2::254] may",
                                    origin, SPAN_ARG(chain->url.authority)));
}

/* ---- STS ---- */

/* A URL for STS alone or for all services; *origin says where it stands. */
static struct span configured_url(const struct chain_options *options,
                                  const struct profile_files *files, struct span profile,
                                  const char **origin)
{
    static const char *const names[] = {"AWS_ENDPOINT_URL_STS", "AWS_ENDPOINT_URL"};
    if (is_true(find_setting(options, files, profile, "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS",
                             "ignore_configured_endpoint_urls")))
        return SPAN_NONE;
    for (size_t i = 0; i != 2; ++i) {
        struct span url = variable(options, names[i]);
        *origin = names[i];
        if (url.at != NULL)
            return url;
    }
    *origin = "endpoint_url of the profile";
    return profile_get_endpoint(files, profile, SPAN("sts"));
}

/* Where `legacy` means the endpoint without a region: AWS SDKs and Tools Reference, "AWS STS
 * Regional endpoints". Younger regions have only their own. */
static bool is_legacy_region(struct span region)
{
    static const struct span regions[] = {
        SPAN("ap-northeast-1"), SPAN("ap-south-1"),   SPAN("ap-southeast-1"),
        SPAN("ap-southeast-2"), SPAN("ca-central-1"), SPAN("eu-central-1"),
        SPAN("eu-north-1"),     SPAN("eu-west-1"),    SPAN("eu-west-2"),
        SPAN("eu-west-3"),      SPAN("sa-east-1"),    SPAN("us-east-1"),
        SPAN("us-east-2"),      SPAN("us-west-1"),    SPAN("us-west-2"),
    };
    for (size_t i = 0; i != sizeof(regions) / sizeof(regions[0]); ++i)
        if (span_equals(region, regions[i]))
            return true;
    return false;
}

static bool address_configured_sts(struct chain *chain, struct span url, const char *origin,
                                   struct arena *arena, struct span *fault)
{
    struct span why;
    if (!endpoint_parse_url(url, arena, &chain->sts, &why))
        return fail(fault, arena_printf(arena, "sts: %s: %.*s", origin, SPAN_ARG(why)));
    if (chain->sts.tls || chain->sts.loopback)
        return true;
    return fail(fault,
                arena_printf(arena, "sts: %s: http:// beyond loopback would show tokens", origin));
}

bool chain_address_sts(struct chain *chain, const struct chain_options *options,
                       const struct profile_files *files, struct span profile, struct arena *arena,
                       struct span *fault)
{
    const struct config_identity *identity = options->identity;
    struct endpoint_options endpoint = {identity->region, identity->fips, identity->dualstack};
    const char *origin;
    struct span url = configured_url(options, files, profile, &origin);
    struct span regional = find_setting(options, files, profile, "AWS_STS_REGIONAL_ENDPOINTS",
                                        "sts_regional_endpoints");
    bool legacy = span_equals_ignore_case(regional, SPAN("legacy"));
    endpoint.fips |= is_true(
        find_setting(options, files, profile, "AWS_USE_FIPS_ENDPOINT", "use_fips_endpoint"));
    endpoint.dualstack |= is_true(find_setting(
        options, files, profile, "AWS_USE_DUALSTACK_ENDPOINT", "use_dualstack_endpoint"));
    if (regional.at != NULL && !legacy && !span_equals_ignore_case(regional, SPAN("regional")))
        return fail(fault, SPAN("sts: AWS_STS_REGIONAL_ENDPOINTS (or the profile's "
                                "sts_regional_endpoints) is neither regional nor legacy"));
    chain->sts_region = identity->region;
    if (url.at != NULL)
        return address_configured_sts(chain, url, origin, arena, fault);
    struct span host = endpoint_sts_host(&endpoint, arena);
    if (legacy && !endpoint.fips && !endpoint.dualstack && is_legacy_region(identity->region)) {
        chain->sts_region = SPAN("us-east-1");
        host = SPAN("sts.amazonaws.com");
    }
    chain->sts = (struct endpoint_url){.tls = true, .host = host, .port = 443, .authority = host};
    return true;
}

void chain_find_ca(struct chain *chain, const struct chain_options *options,
                   const struct profile_files *files, struct span profile, struct arena *arena)
{
    struct span file = find_setting(options, files, profile, "AWS_CA_BUNDLE", "ca_bundle");
    chain->ca_file = arena_copy(arena, file).at;
    chain->ca_origin = variable(options, "AWS_CA_BUNDLE").at != NULL ? "AWS_CA_BUNDLE"
                                                                     : "ca_bundle of the profile";
}
