/* The HTTP proxy of an upstream: the key `proxy`, else HTTPS_PROXY and NO_PROXY as curl and the AWS SDKs read them. */
#include "config/read.h"

#include "aws/endpoint.h"

enum { CREDENTIALS_MAX = 512 };

/* RFC 7617: "Basic " and base64 of user:password, which are taken percent-decoded by nobody: as they stand. */
static struct span basic_of(struct span user_info, struct arena *arena)
{
    static const char letters[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    struct span out = arena_printf(arena, "Basic %*s", (int)((user_info.len + 2) / 3 * 4), "");
    char *at = (char *)out.at + 6;
    for (size_t i = 0; i < user_info.len; i += 3) {
        unsigned long bits = 0;
        for (size_t k = 0; k != 3; ++k)
            bits = bits << 8 | (i + k < user_info.len ? (unsigned char)user_info.at[i + k] : 0);
        for (size_t k = 0; k != 4; ++k)
            *at++ = i + k > user_info.len ? '=' : letters[bits >> (18 - 6 * k) & 63];
    }
    return out;
}

/* Splits "user:password@" off a URL's authority. */
static struct span take_user_info(struct span *url)
{
    struct span scheme = SPAN("http://");
    if (!span_starts_with(*url, scheme))
        return SPAN_NONE;
    struct span rest = span_from_offset(*url, scheme.len);
    struct span info = SPAN_NONE;
    for (size_t at = span_find(rest, '@'); at != rest.len; at = span_find(rest, '@')) {
        info = span_make(url->at + scheme.len, (size_t)(rest.at + at - url->at) - scheme.len);
        rest = span_from_offset(rest, at + 1);
    }
    *url = rest;
    return info;
}

/* Sets the upstream's proxy from a URL; else *fault says what is wrong, without what may be a password. */
static bool use_proxy(struct reader *reader, struct span text, struct config_upstream *upstream,
                      struct span *fault)
{
    struct arena *arena = &reader->config->arena;
    struct span rest = text, user_info = take_user_info(&rest);
    struct endpoint_url url;
    if (user_info.at != NULL || span_starts_with(text, SPAN("http://")))
        rest = arena_printf(arena, "http://%.*s",
                            SPAN_ARG(user_info.at != NULL ? rest : span_from_offset(text, 7)));
    *fault = SPAN("wants http://[user:password@]host[:port]; proxies that speak TLS themselves are "
                  "not supported");
    struct span why;
    if (user_info.len > CREDENTIALS_MAX || !endpoint_parse_url(rest, arena, &url, &why) || url.tls)
        return false;
    upstream->proxy_host = url.host;
    upstream->proxy_port = url.port;
    if (user_info.len != 0)
        upstream->proxy_authorization = basic_of(user_info, arena);
    return true;
}

/* One entry of NO_PROXY: "*", a name that stands for itself and what is below it, or an address. */
static bool entry_names(struct span entry, struct span host)
{
    entry = span_trim(entry);
    if (span_equals(entry, SPAN("*")))
        return true;
    if (entry.len != 0 && entry.at[0] == '.')
        entry = span_from_offset(entry, 1);
    if (entry.len == 0 || host.len < entry.len)
        return false;
    struct span tail = span_from_offset(host, host.len - entry.len);
    return span_equals_ignore_case(tail, entry) &&
           (tail.len == host.len || host.at[host.len - entry.len - 1] == '.');
}

static bool is_exempt(struct span list, struct span host)
{
    struct span entry;
    for (bool more = list.len != 0; more;) {
        more = span_split(list, ',', &entry, &list);
        if (entry_names(entry, host))
            return true;
    }
    return false;
}

static struct span variable(struct reader *reader, struct span upper, struct span lower)
{
    const struct config_options *options = reader->load->options;
    if (options->getenv == NULL)
        return SPAN_NONE;
    struct span value = options->getenv(options->getenv_context, lower);
    return value.len != 0 ? value : options->getenv(options->getenv_context, upper);
}

void read_proxy(struct reader *reader, const struct yaml_node *map,
                struct config_upstream *upstream)
{
    struct yaml_node *node = reader_find(map, SETTING_UPSTREAM_PROXY);
    struct span fault;
    upstream->proxy_given = node != NULL;
    if (node == NULL || node->opaque)
        return;
    struct span text = reader_text_of(reader, node);
    if (!span_equals(text, SPAN("none")) && !use_proxy(reader, text, upstream, &fault))
        yaml_error(reader->load, node, "%.*s", SPAN_ARG(fault));
}

void read_proxy_variables(struct reader *reader, struct config_upstream *upstream)
{
    struct span text = variable(reader, SPAN("HTTPS_PROXY"), SPAN("https_proxy"));
    struct span exempt = variable(reader, SPAN("NO_PROXY"), SPAN("no_proxy"));
    struct span fault;
    /* The environment's is for what lies beyond this machine. */
    if (text.len == 0 || upstream->proxy_given || !upstream->url.tls || upstream->url.loopback ||
        is_exempt(exempt, upstream->url.host))
        return;
    if (!use_proxy(reader, text, upstream, &fault))
        read_tell_variable(reader, SPAN("HTTPS_PROXY"), fault);
}
