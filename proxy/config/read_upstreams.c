/* Reads upstreams, with regions, endpoints and proxies from the environment. Opens no sockets. */
#include "config/reader.h"

#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config/proxy.h"

static struct span get_variable(struct reader *reader, struct span name)
{
    const struct config_options *options = reader->load->options;
    struct span value =
        options->getenv == NULL ? SPAN_NONE : options->getenv(options->getenv_context, name);
    return value.len == 0 ? SPAN_NONE : value;
}

static void tell_variable(struct reader *reader, struct span name, struct span fault)
{
    problem_add(reader->load->problems, PROBLEM_ERROR, name, 0, 0, "%.*s", SPAN_ARG(fault));
}

/* ---- files of certificates ---- */

static void check_readable(struct reader *reader, struct yaml_node *node)
{
    struct stat status;
    struct span file = record_text(node);
    if (node == NULL || node->bad || node->opaque || reader->load->options->no_files)
        return;
    const char *fault = stat(file.at, &status) != 0 || access(file.at, R_OK) != 0 ? strerror(errno)
                        : S_ISDIR(status.st_mode) ? "is a directory; specify a PEM file"
                                                  : NULL;
    if (fault != NULL)
        yaml_error(reader->load, node, "%.*s: %s", SPAN_ARG(file), fault);
}

static void check_ca_files(struct reader *reader, const struct yaml_node *map)
{
    const struct yaml_node *list = record_find(map, SETTING_UPSTREAM_EXTRA_CA_FILES);
    check_readable(reader, record_find(map, SETTING_UPSTREAM_CA_FILE));
    for (const struct yaml_entry *entry = yaml_entries(list); entry != NULL; entry = entry->next)
        check_readable(reader, entry->node);
}

/* ---- where to connect ---- */

/* Returns why the URL is invalid for this upstream, or SPAN_NONE. */
static struct span url_fault(struct reader *reader, const struct config_upstream *upstream,
                             const struct endpoint_url *url)
{
    if (upstream->fips || upstream->dualstack)
        return arena_printf(reader->load->arena,
                            "an endpoint URL cannot be combined with %s, because the URL already "
                            "selects the endpoint",
                            upstream->fips ? "fips" : "dualstack");
    if (!url->tls && !url->loopback && !upstream->allow_plaintext)
        return SPAN("http:// outside loopback sends bodies and signatures unencrypted: use "
                    "https://, or set allow_plaintext: true");
    return SPAN_NONE;
}

static void read_endpoint_url(struct reader *reader, const struct yaml_node *map,
                              struct config_upstream *upstream)
{
    struct yaml_node *node = record_find(map, SETTING_UPSTREAM_ENDPOINT_URL);
    struct endpoint_url url;
    struct span fault = SPAN_NONE;
    if (node == NULL || node->opaque)
        return;
    if (endpoint_parse_url(record_text(node), &reader->config->arena, &url, &fault))
        fault = url_fault(reader, upstream, &url);
    if (fault.at != NULL) {
        yaml_error(reader->load, node, "%.*s", SPAN_ARG(fault));
        return;
    }
    upstream->url = url;
    if (!url.tls && (upstream->ca_file.at != NULL || upstream->extra_ca_file_count != 0))
        yaml_warn(reader->load, node,
                  "http:// uses no certificates, so ca_file and extra_ca_files have no effect");
}

/* AWS's variables, per the AWS SDKs and Tools Reference Guide, "Service-specific endpoints". */
static void read_endpoint_variables(struct reader *reader, struct config_upstream *upstream)
{
    struct span name = SPAN("AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME"), fault = SPAN_NONE;
    struct span text = get_variable(reader, name);
    struct endpoint_url url;
    if (text.at == NULL) {
        name = SPAN("AWS_ENDPOINT_URL");
        text = get_variable(reader, name);
    }
    struct span ignore = get_variable(reader, SPAN("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS"));
    if (text.at == NULL || span_equals_ignore_case(ignore, SPAN("true")))
        return;
    if (endpoint_parse_url(text, &reader->config->arena, &url, &fault))
        fault = url_fault(reader, upstream, &url);
    if (fault.at != NULL)
        tell_variable(reader, name, fault);
    else
        upstream->url = url;
}

/* Applies to keys that are not set, and not with an endpoint URL. */
static void read_variant_variables(struct reader *reader, const struct yaml_node *map,
                                   struct config_upstream *upstream)
{
    if (upstream->url.host.at != NULL)
        return;
    if (record_find(map, SETTING_UPSTREAM_FIPS) == NULL)
        upstream->fips = span_equals_ignore_case(
            get_variable(reader, SPAN("AWS_USE_FIPS_ENDPOINT")), SPAN("true"));
    if (record_find(map, SETTING_UPSTREAM_DUALSTACK) == NULL)
        upstream->dualstack = span_equals_ignore_case(
            get_variable(reader, SPAN("AWS_USE_DUALSTACK_ENDPOINT")), SPAN("true"));
}

/* ---- proxies ---- */

static void use_proxy(struct config_upstream *upstream, const struct proxy *proxy)
{
    upstream->proxy_host = proxy->host;
    upstream->proxy_port = proxy->port;
    upstream->proxy_authorization = proxy->authorization;
}

static void read_proxy(struct reader *reader, const struct yaml_node *map,
                       struct config_upstream *upstream)
{
    struct yaml_node *node = record_find(map, SETTING_UPSTREAM_PROXY);
    struct proxy proxy;
    struct span fault;
    upstream->proxy_given = node != NULL;
    if (node == NULL || node->opaque || span_equals(record_text(node), SPAN("none")))
        return;
    if (proxy_parse(record_text(node), &reader->config->arena, &proxy, &fault))
        use_proxy(upstream, &proxy);
    else
        yaml_error(reader->load, node, "%.*s", SPAN_ARG(fault));
}

static void read_proxy_variables(struct reader *reader, struct config_upstream *upstream)
{
    const struct config_options *options = reader->load->options;
    struct proxy proxy;
    struct span fault;
    if (upstream->proxy_given)
        return;
    if (proxy_from_environment(options->getenv, options->getenv_context, &upstream->url,
                               &reader->config->arena, &proxy, &fault))
        use_proxy(upstream, &proxy);
    else
        tell_variable(reader, SPAN("HTTPS_PROXY"), fault);
}

/* ---- regions ---- */

static struct span ask_region(struct reader *reader, bool from_instance, struct span *fault)
{
    const struct config_options *options = reader->load->options;
    *fault = SPAN_NONE;
    if (options->find_region == NULL)
        return SPAN_NONE;
    return options->find_region(options->getenv, options->getenv_context,
                                &reader->config->credentials, from_instance, &reader->config->arena,
                                fault);
}

static struct span read_instance_region(struct reader *reader, struct yaml_node *node)
{
    struct span fault, region = ask_region(reader, true, &fault);
    if (region.at != NULL)
        return region;
    if (fault.at != NULL)
        yaml_error(reader->load, node, "%.*s", SPAN_ARG(fault));
    return SPAN("region-of-the-instance"); /* a placeholder */
}

static struct span find_default_region(struct reader *reader, struct yaml_node *root)
{
    static const struct span names[] = {SPAN("AWS_REGION"), SPAN("AWS_DEFAULT_REGION")};
    struct yaml_node *node = record_find(root, SETTING_REGION);
    struct span fault;
    if (node != NULL && !node->opaque && span_equals(node->text, SPAN("imds")))
        return read_instance_region(reader, node);
    if (node != NULL && !node->opaque)
        return record_text(node);
    for (size_t i = 0; i != 2; ++i) {
        struct span region = get_variable(reader, names[i]);
        if (region.at != NULL && endpoint_region_is_valid(region))
            return arena_copy(&reader->config->arena, region);
        if (region.at != NULL)
            tell_variable(reader, names[i],
                          arena_printf(reader->load->arena, "\"%.*s\" is not a valid region",
                                       SPAN_ARG(region)));
    }
    struct span of_profile = ask_region(reader, false, &fault);
    if (of_profile.at != NULL && endpoint_region_is_valid(of_profile))
        return of_profile;
    if (fault.at != NULL) {
        yaml_error(reader->load, root, "missing required key region, and %.*s", SPAN_ARG(fault));
        return SPAN("region-from-profile");
    }
    /* check --no-env: a placeholder. */
    return reader->load->options->getenv == NULL ? SPAN("region-from-environment") : SPAN_NONE;
}

/* ---- upstreams ---- */

static void read_upstream(struct reader *reader, const struct yaml_node *map,
                          struct config_upstream *upstream)
{
    record_fill(SETTING_UPSTREAMS_ITEM, map, upstream, &reader->config->arena);
    check_ca_files(reader, map);
    read_endpoint_url(reader, map, upstream);
    if (upstream == reader->upstreams && record_find(map, SETTING_UPSTREAM_ENDPOINT_URL) == NULL)
        read_endpoint_variables(reader, upstream);
    read_variant_variables(reader, map, upstream);
    upstream->identity =
        read_identities_find(reader, record_find(map, SETTING_UPSTREAM_IDENTITY), 0);
    read_proxy(reader, map, upstream);
}

void read_upstreams(struct reader *reader, struct yaml_node *root)
{
    struct config *config = reader->config;
    const struct yaml_node *named = record_find(root, SETTING_UPSTREAMS);
    size_t count = 1 + (named == NULL ? 0 : named->entry_count);
    struct span region = find_default_region(reader, root);
    struct config_upstream *upstreams = arena_zalloc(&config->arena, count, sizeof(*upstreams));
    upstreams[0] = (struct config_upstream){.name = SPAN("default"), .region = region};
    config->upstreams = reader->upstreams = upstreams;
    read_upstream(reader, record_find(root, SETTING_UPSTREAM), &upstreams[0]);
    config->upstream_count = 1;
    for (struct yaml_entry *entry = yaml_entries(named); entry != NULL; entry = entry->next) {
        struct config_upstream *upstream = &upstreams[config->upstream_count++];
        upstream->name = arena_copy(&config->arena, entry->key);
        upstream->region = region;
        read_upstream(reader, entry->node, upstream);
        if (span_equals(entry->key, SPAN("default")))
            yaml_error(reader->load, entry->node,
                       "default is reserved for the top-level `upstream`; choose another name");
    }
}

const struct config_upstream *read_upstreams_find(struct reader *reader, struct yaml_node *node,
                                                  const struct config_upstream *fallback)
{
    const struct config *config = reader->config;
    struct span *names = arena_zalloc(reader->load->arena, config->upstream_count, sizeof(*names));
    for (size_t i = 0; i != config->upstream_count; ++i)
        names[i] = config->upstreams[i].name;
    size_t index = record_find_name(reader->load, node, names, config->upstream_count, "upstream",
                                    (size_t)(fallback - config->upstreams));
    return &config->upstreams[index];
}

/* ---- once the routes are known ---- */

static bool is_used(const struct config *config, const struct config_upstream *upstream)
{
    for (size_t i = 0; i != config->route_count; ++i)
        if (config->routes[i].upstream == upstream &&
            config_operation_is_aws(config->routes[i].operation))
            return true;
    return false;
}

/* True if there are routes but none calls AWS, so that no region is needed. */
static bool is_without_aws(const struct config *config)
{
    for (size_t i = 0; i != config->route_count; ++i)
        if (config_operation_is_aws(config->routes[i].operation))
            return false;
    return config->route_count != 0;
}

/* Any region is fine for an upstream that no route uses, because nothing is signed with it. */
static struct span borrow_region(const struct config *config)
{
    for (size_t i = 0; i != config->upstream_count; ++i)
        if (config->upstreams[i].region.at != NULL)
            return config->upstreams[i].region;
    return is_without_aws(config) ? SPAN("us-east-1") : SPAN_NONE;
}

/* The first upstream that names the identity, else that of the first route that uses it, else
 * the default. */
static const struct config_upstream *find_user(const struct config *config, size_t identity)
{
    for (size_t i = 0; i != config->upstream_count; ++i)
        if (config->upstreams[i].identity == identity)
            return &config->upstreams[i];
    for (size_t i = 0; i != config->route_count; ++i)
        if (config->routes[i].identity == identity)
            return config->routes[i].upstream;
    return &config->upstreams[0];
}

/* An identity uses the STS of the upstream that uses the identity. */
static void settle_identities(struct reader *reader)
{
    for (size_t i = 0; i != reader->config->identity_count; ++i) {
        const struct config_upstream *upstream = find_user(reader->config, i);
        reader->identities[i].region = upstream->region;
        reader->identities[i].fips = upstream->fips;
        reader->identities[i].dualstack = upstream->dualstack;
    }
}

void read_upstreams_settle(struct reader *reader, struct yaml_node *root)
{
    struct config *config = reader->config;
    struct yaml_node *region = yaml_find(root, setting_key(setting_get(SETTING_REGION)));
    bool told = region != NULL && region->bad;
    struct span borrowed = borrow_region(config);
    for (size_t i = 0; i != config->upstream_count; ++i) {
        struct config_upstream *upstream = &reader->upstreams[i];
        bool used = is_used(config, upstream);
        if (upstream->region.at == NULL && (used || borrowed.at == NULL) && !told) {
            yaml_error(reader->load, root,
                       "missing required key region: write `region: us-east-1`, or set AWS_REGION");
            told = true;
        }
        if (upstream->region.at == NULL)
            upstream->region = borrowed;
        if (upstream->region.at == NULL)
            continue;
        if (upstream->url.host.at != NULL) {
            read_proxy_variables(reader, upstream);
            continue;
        }
        const struct endpoint_options options = {upstream->region, upstream->fips,
                                                 upstream->dualstack};
        struct span host = endpoint_host(&options, &config->arena);
        upstream->url =
            (struct endpoint_url){.tls = true, .host = host, .port = 443, .authority = host};
        read_proxy_variables(reader, upstream);
    }
    settle_identities(reader);
}
