/* The HTTP proxy of an upstream: the key `proxy`, else what the environment says. */
#include "config/proxy.h"
#include "config/read.h"

static void use_proxy(struct config_upstream *upstream, const struct proxy *proxy)
{
    upstream->proxy_host = proxy->host;
    upstream->proxy_port = proxy->port;
    upstream->proxy_authorization = proxy->authorization;
}

void read_proxy(struct reader *reader, const struct yaml_node *map,
                struct config_upstream *upstream)
{
    struct yaml_node *node = reader_find(map, SETTING_UPSTREAM_PROXY);
    struct proxy proxy;
    struct span fault;
    upstream->proxy_given = node != NULL;
    if (node == NULL || node->opaque)
        return;
    struct span text = reader_text_of(reader, node);
    if (span_equals(text, SPAN("none")))
        return;
    if (proxy_parse(text, &reader->config->arena, &proxy, &fault))
        use_proxy(upstream, &proxy);
    else
        yaml_error(reader->load, node, "%.*s", SPAN_ARG(fault));
}

void read_proxy_variables(struct reader *reader, struct config_upstream *upstream)
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
        read_tell_variable(reader, SPAN("HTTPS_PROXY"), fault);
}
