/* Upstreams out of the tree, with what the environment says of regions and endpoints; it
 * connects nowhere. */
#include "config/read.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

static struct span get_variable(struct reader *reader, struct span name)
{
    const struct config_options *options = reader->load->options;
    struct span value =
        options->getenv == NULL ? SPAN_NONE : options->getenv(options->getenv_context, name);
    return value.len == 0 ? SPAN_NONE : value;
}

void read_tell_variable(struct reader *reader, struct span name, struct span fault)
{
    problem_add(reader->load->problems, PROBLEM_ERROR, name, 0, 0, "%.*s", SPAN_ARG(fault));
}

/* ---- files of certificates ---- */

static void check_readable(struct reader *reader, struct yaml_node *node, struct span file)
{
    struct stat status;
    CHECK(file.at != NULL);
    if (node->opaque || reader->load->options->no_files)
        return;
    const char *fault = stat(file.at, &status) != 0 || access(file.at, R_OK) != 0 ? strerror(errno)
                        : S_ISDIR(status.st_mode) ? "is a directory; name a file of certificates"
                                                  : NULL;
    if (fault != NULL)
        yaml_error(reader->load, node, "%.*s: %s", SPAN_ARG(file), fault);
}

static void read_ca_files(struct reader *reader, const struct yaml_node *map,
                          struct config_upstream *upstream)
{
    struct yaml_node *file = reader_find(map, SETTING_UPSTREAM_CA_FILE);
    const struct yaml_node *list = reader_find(map, SETTING_UPSTREAM_EXTRA_CA_FILES);
    if (file != NULL) {
        upstream->ca_file = reader_file_of(reader, file);
        check_readable(reader, file, upstream->ca_file);
    }
    if (list == NULL)
        return;
    struct span *files =
        arena_zalloc(&reader->config->arena, list->entry_count + 1, sizeof(*files));
    for (struct yaml_entry *entry = list->entries; entry != NULL; entry = entry->next) {
        if (entry->node->bad)
            continue;
        struct span name = reader_file_of(reader, entry->node);
        check_readable(reader, entry->node, name);
        files[upstream->extra_ca_file_count++] = name;
    }
    upstream->extra_ca_files = files;
}

/* ---- where to connect ---- */

/* What would be wrong with that URL for this upstream, SPAN_NONE if nothing. */
static struct span url_fault(struct reader *reader, const struct config_upstream *upstream,
                             const struct endpoint_url *url)
{
    if (upstream->fips || upstream->dualstack)
        return arena_printf(
            reader->load->arena,
            "an endpoint URL and %s exclude each other: the URL already says where to "
            "connect",
            upstream->fips ? "fips" : "dualstack");
    if (!url->tls && !url->loopback && !upstream->allow_plaintext)
        return SPAN(
            "http:// beyond loopback sends bodies and signatures in the clear: write https://, "
            "or allow_plaintext: true");
    return SPAN_NONE;
}

static void read_endpoint_url(struct reader *reader, const struct yaml_node *map,
                              struct config_upstream *upstream)
{
    struct yaml_node *node = reader_find(map, SETTING_UPSTREAM_ENDPOINT_URL);
    struct endpoint_url url;
    struct span fault;
    if (node == NULL || node->opaque)
        return;
    struct span text = reader_text_of(reader, node);
    if (!endpoint_parse_url(text, &reader->config->arena, &url, &fault)) {
        yaml_error(reader->load, node, "%.*s", SPAN_ARG(fault));
        return;
    }
    fault = url_fault(reader, upstream, &url);
    if (fault.at != NULL) {
        yaml_error(reader->load, node, "%.*s", SPAN_ARG(fault));
        return;
    }
    upstream->url = url;
    if (!url.tls && (upstream->ca_file.at != NULL || upstream->extra_ca_file_count != 0))
        yaml_warn(reader->load, node,
                  "http:// uses no certificates; ca_file and extra_ca_files do nothing");
}

/* AWS's own variables, as its SDKs and tools reference guide tells them ("Service-specific
 * endpoints"). */
static void read_endpoint_variables(struct reader *reader, struct config_upstream *upstream)
{
    struct span name = SPAN("AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME"), fault;
    struct span text = get_variable(reader, name);
    struct endpoint_url url;
    if (text.at == NULL) {
        name = SPAN("AWS_ENDPOINT_URL");
        text = get_variable(reader, name);
    }
    struct span ignore = get_variable(reader, SPAN("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS"));
    if (text.at == NULL || span_equals_ignore_case(ignore, SPAN("true")))
        return;
    if (!endpoint_parse_url(text, &reader->config->arena, &url, &fault)) {
        read_tell_variable(reader, name, fault);
        return;
    }
    fault = url_fault(reader, upstream, &url);
    if (fault.at != NULL)
        read_tell_variable(reader, name, fault);
    else
        upstream->url = url;
}

/* Where the keys do not speak; an endpoint URL already says where to connect. */
static void read_variant_variables(struct reader *reader, const struct yaml_node *map,
                                   struct config_upstream *upstream)
{
    if (upstream->url.host.at != NULL)
        return;
    if (reader_find(map, SETTING_UPSTREAM_FIPS) == NULL)
        upstream->fips = span_equals_ignore_case(
            get_variable(reader, SPAN("AWS_USE_FIPS_ENDPOINT")), SPAN("true"));
    if (reader_find(map, SETTING_UPSTREAM_DUALSTACK) == NULL)
        upstream->dualstack = span_equals_ignore_case(
            get_variable(reader, SPAN("AWS_USE_DUALSTACK_ENDPOINT")), SPAN("true"));
}

static void read_upstream(struct reader *reader, const struct yaml_node *map,
                          struct config_upstream *upstream)
{
    upstream->fips = reader_bool(reader, map, SETTING_UPSTREAM_FIPS);
    upstream->dualstack = reader_bool(reader, map, SETTING_UPSTREAM_DUALSTACK);
    upstream->allow_plaintext = reader_bool(reader, map, SETTING_UPSTREAM_ALLOW_PLAINTEXT);
    read_ca_files(reader, map, upstream);
    read_endpoint_url(reader, map, upstream);
    if (upstream == reader->upstreams && reader_find(map, SETTING_UPSTREAM_ENDPOINT_URL) == NULL)
        read_endpoint_variables(reader, upstream);
    read_variant_variables(reader, map, upstream);
    upstream->identity = read_identity_name(reader, reader_find(map, SETTING_UPSTREAM_IDENTITY), 0);
    read_proxy(reader, map, upstream);
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
    return SPAN("region-of-the-instance"); /* stands for what it will say */
}

static struct span find_default_region(struct reader *reader, struct yaml_node *root)
{
    static const struct span names[] = {SPAN("AWS_REGION"), SPAN("AWS_DEFAULT_REGION")};
    struct yaml_node *node = reader_find(root, SETTING_REGION);
    struct span fault;
    if (node != NULL && !node->opaque && span_equals(node->text, SPAN("imds")))
        return read_instance_region(reader, node);
    if (node != NULL && !node->opaque)
        return reader_text_of(reader, node);
    for (size_t i = 0; i != 2; ++i) {
        struct span region = get_variable(reader, names[i]);
        if (region.at != NULL && endpoint_region_is_valid(region))
            return arena_copy(&reader->config->arena, region);
        if (region.at != NULL)
            read_tell_variable(
                reader, names[i],
                arena_printf(reader->load->arena, "\"%.*s\" cannot be a region", SPAN_ARG(region)));
    }
    struct span of_profile = ask_region(reader, false, &fault);
    if (of_profile.at != NULL && endpoint_region_is_valid(of_profile))
        return of_profile;
    if (fault.at != NULL) {
        yaml_error(reader->load, root, "region is missing, and %.*s", SPAN_ARG(fault));
        return SPAN("region-from-profile");
    }
    /* Without an environment to ask (check --no-env) this stands for what it will say. */
    return reader->load->options->getenv == NULL ? SPAN("region-from-environment") : SPAN_NONE;
}

void read_upstreams(struct reader *reader, struct yaml_node *root)
{
    struct config *config = reader->config;
    const struct yaml_node *named = reader_find(root, SETTING_UPSTREAMS);
    size_t count = 1 + (named == NULL ? 0 : named->entry_count);
    struct span region = find_default_region(reader, root);
    struct config_upstream *upstreams = arena_zalloc(&config->arena, count, sizeof(*upstreams));
    const struct yaml_node *top = reader_find(root, SETTING_UPSTREAM);
    upstreams[0] = (struct config_upstream){.name = SPAN("default"), .region = region};
    config->upstreams = reader->upstreams = upstreams;
    read_upstream(reader, top, &upstreams[0]);
    config->upstream_count = 1;
    for (struct yaml_entry *entry = named == NULL ? NULL : named->entries; entry != NULL;
         entry = entry->next) {
        struct config_upstream *upstream = &upstreams[config->upstream_count++];
        struct yaml_node *own = reader_find(entry->node, SETTING_UPSTREAMS_ITEM_REGION);
        upstream->name = arena_copy(&config->arena, entry->key);
        upstream->region = own == NULL || own->opaque ? region : reader_text_of(reader, own);
        read_upstream(reader, entry->node, upstream);
        if (span_equals(entry->key, SPAN("default")))
            yaml_error(reader->load, entry->node,
                       "default is the name of the top-level `upstream`; choose another");
    }
}

static bool is_used(const struct config *config, const struct config_upstream *upstream)
{
    for (size_t i = 0; i != config->route_count; ++i)
        if (config->routes[i].upstream == upstream &&
            config_operation_is_aws(config->routes[i].operation))
            return true;
    return false;
}

/* Routes that all do without AWS need no region. */
static bool is_without_aws(const struct config *config)
{
    for (size_t i = 0; i != config->route_count; ++i)
        if (config_operation_is_aws(config->routes[i].operation))
            return false;
    return config->route_count != 0;
}

/* The region of an upstream that no route uses and that has none: any will do, for nothing is
 * ever signed with it. */
static struct span borrow_region(const struct config *config)
{
    for (size_t i = 0; i != config->upstream_count; ++i)
        if (config->upstreams[i].region.at != NULL)
            return config->upstreams[i].region;
    return is_without_aws(config) ? SPAN("us-east-1") : SPAN_NONE;
}

/* The first upstream that names the identity, else that of the first route that uses it, else the
 * default one. */
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

/* An identity's STS is that of the upstream that uses it. */
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
    struct yaml_node *region = yaml_find(root, setting_key(SETTING_REGION));
    bool told = region != NULL && region->bad;
    struct span borrowed = borrow_region(config);
    for (size_t i = 0; i != config->upstream_count; ++i) {
        struct config_upstream *upstream = &reader->upstreams[i];
        bool used = is_used(config, upstream);
        if (upstream->region.at == NULL && (used || borrowed.at == NULL) && !told) {
            yaml_error(reader->load, root,
                       "region is missing: write `region: us-east-1`, or set AWS_REGION");
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
