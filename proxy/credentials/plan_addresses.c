/* Where instance metadata, a container's broker and STS are, and which addresses may be asked. */
#include "credentials/plan.h"

static struct span variable(const struct plan_options *options, const char *name)
{
    struct span value = options->getenv(options->getenv_context, span_from(name));
    return value.len == 0 ? SPAN_NONE : value;
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
static bool split_url(struct plan *plan, struct span url, struct arena *arena, struct span *fault)
{
    size_t scheme = span_starts_with_ignore_case(url, SPAN("https://")) ? 8 : 7;
    if (url.len < scheme)
        scheme = url.len;
    size_t authority = scheme + span_find(span_from_offset(url, scheme), '/');
    plan->path = arena_copy(arena, span_from_offset(url, authority));
    if (plan->path.len == 0)
        plan->path = SPAN("/");
    return endpoint_parse_url(span_make(url.at, authority), arena, &plan->url, fault);
}

bool plan_address_container(struct plan *plan, const struct plan_options *options,
                            struct arena *arena, struct span *fault)
{
    struct span relative = variable(options, "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"), why;
    struct span full = variable(options, "AWS_CONTAINER_CREDENTIALS_FULL_URI");
    struct span file = variable(options, "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE");
    if (relative.at == NULL && full.at == NULL)
        return fail(fault, SPAN("container: AWS_CONTAINER_CREDENTIALS_FULL_URI is not set"));
    plan->token_file = arena_copy(arena, file).at;
    plan->token =
        file.at != NULL ? SPAN_NONE : variable(options, "AWS_CONTAINER_AUTHORIZATION_TOKEN");
    if (relative.at != NULL)
        full = arena_printf(arena, "http://169.254.170.2%.*s", SPAN_ARG(relative));
    if (relative.at != NULL && !is_path(relative))
        return fail(fault, SPAN("container: AWS_CONTAINER_CREDENTIALS_RELATIVE_URI is no path"));
    if (!split_url(plan, full, arena, &why))
        return fail(fault,
                    arena_printf(arena, "container: AWS_CONTAINER_CREDENTIALS_FULL_URI: %.*s",
                                 SPAN_ARG(why)));
    if (!is_path(plan->path))
        return fail(fault,
                    SPAN("container: AWS_CONTAINER_CREDENTIALS_FULL_URI: its path is malformed"));
    if (is_container_host(&plan->url))
        return true;
    return fail(fault,
                arena_printf(arena,
                             "container: %.*s may not be asked over plain http://: only loopback, "
                             "169.254.170.2, 169.254.170.23 and [fd00:ec2::23] may",
                             SPAN_ARG(plan->url.authority)));
}

/* ---- instance metadata ---- */

static bool is_metadata_host(const struct endpoint_url *url)
{
    return url->tls || url->loopback || span_starts_with(url->host, SPAN("169.254.")) ||
           span_equals(url->host, SPAN("fd00:ec2::254"));
}

bool plan_address_imds(struct plan *plan, const struct plan_options *options,
                       const struct profile_files *files, struct span profile, struct arena *arena,
                       struct span *fault)
{
    struct span url = options->identity->credentials.imds_endpoint, why;
    struct span mode = variable(options, "AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE");
    if (url.at == NULL)
        url = variable(options, "AWS_EC2_METADATA_SERVICE_ENDPOINT");
    if (url.at == NULL)
        url = profile_get(files, profile, SPAN("ec2_metadata_service_endpoint"));
    if (mode.at == NULL)
        mode = profile_get(files, profile, SPAN("ec2_metadata_service_endpoint_mode"));
    bool ipv6 = span_equals_ignore_case(mode, SPAN("ipv6"));
    if (mode.at != NULL && !ipv6 && !span_equals_ignore_case(mode, SPAN("ipv4")))
        return fail(fault, SPAN("imds: the endpoint mode is neither IPv4 nor IPv6"));
    if (url.at == NULL)
        url = ipv6 ? SPAN("http://[fd00:ec2::254]") : SPAN("http://169.254.169.254");
    plan->imds_v1 = options->identity->credentials.imds_v1;
    if (!endpoint_parse_url(url, arena, &plan->url, &why))
        return fail(fault, arena_printf(arena, "imds: the endpoint: %.*s", SPAN_ARG(why)));
    if (is_metadata_host(&plan->url))
        return true;
    return fail(fault, arena_printf(arena,
                                    "imds: %.*s may not be asked over plain http://: only "
                                    "loopback, 169.254.x.x and [fd00:ec2::254] may",
                                    SPAN_ARG(plan->url.authority)));
}

/* ---- STS ---- */

static struct span configured_url(const struct plan_options *options,
                                  const struct profile_files *files, struct span profile)
{
    struct span ignore = variable(options, "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS");
    struct span url = variable(options, "AWS_ENDPOINT_URL_STS");
    if (span_equals_ignore_case(ignore, SPAN("true")))
        return SPAN_NONE;
    if (url.at == NULL)
        url = variable(options, "AWS_ENDPOINT_URL");
    return url.at != NULL ? url : profile_get_endpoint(files, profile, SPAN("sts"));
}

bool plan_address_sts(struct plan *plan, const struct plan_options *options,
                      const struct profile_files *files, struct span profile, struct arena *arena,
                      struct span *fault)
{
    const struct config_identity *identity = options->identity;
    const struct endpoint_options endpoint = {identity->region, identity->fips,
                                              identity->dualstack};
    struct span regional = variable(options, "AWS_STS_REGIONAL_ENDPOINTS"), why;
    struct span url = configured_url(options, files, profile);
    plan->sts_region = identity->region;
    if (regional.at == NULL)
        regional = profile_get(files, profile, SPAN("sts_regional_endpoints"));
    if (url.at == NULL && span_equals_ignore_case(regional, SPAN("legacy")) && !endpoint.fips &&
        !endpoint.dualstack && span_equals(endpoint_partition(identity->region), SPAN("aws"))) {
        plan->sts_region = SPAN("us-east-1");
        url = SPAN("https://sts.amazonaws.com");
    }
    if (url.at == NULL)
        url = arena_printf(arena, "https://%.*s", SPAN_ARG(endpoint_sts_host(&endpoint, arena)));
    if (!endpoint_parse_url(url, arena, &plan->sts, &why))
        return fail(fault, arena_printf(arena, "sts: the endpoint URL: %.*s", SPAN_ARG(why)));
    if (plan->sts.tls || plan->sts.loopback)
        return true;
    return fail(fault, SPAN("sts: an endpoint URL of http:// beyond loopback would show tokens"));
}
