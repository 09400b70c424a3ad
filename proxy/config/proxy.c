/* Parses proxy URLs; does no I/O. */
#include "config/proxy.h"

#include <openssl/evp.h>

enum { CREDENTIALS_MAX = 512 };

/* RFC 7617: "Basic " and the base64 of user:password as written, without percent-decoding. */
static struct span basic_of(struct span user_info, struct arena *arena)
{
    unsigned char encoded[CREDENTIALS_MAX * 2];
    CHECK(user_info.len <= CREDENTIALS_MAX);
    int len = EVP_EncodeBlock(encoded, (const unsigned char *)user_info.at, (int)user_info.len);
    return arena_printf(arena, "Basic %.*s", len, (const char *)encoded);
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

bool proxy_parse(struct span text, struct arena *arena, struct proxy *out, struct span *fault)
{
    struct span rest = text, user_info = take_user_info(&rest), why;
    struct endpoint_url url;
    if (user_info.at != NULL || span_starts_with(text, SPAN("http://")))
        rest = arena_printf(arena, "http://%.*s",
                            SPAN_ARG(user_info.at != NULL ? rest : span_from_offset(text, 7)));
    if (user_info.len > CREDENTIALS_MAX || !endpoint_parse_url(rest, arena, &url, &why) ||
        url.tls) {
        *fault = SPAN(
            "must be http://[user:password@]host[:port]; proxies that use TLS are not supported");
        return false;
    }
    *out = (struct proxy){url.host, url.port,
                          user_info.len != 0 ? basic_of(user_info, arena) : SPAN_NONE};
    return true;
}

/* ---- the environment ---- */

/* An entry of NO_PROXY: "*", a name, which includes all names below it, or an address. */
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

static struct span variable(config_getenv getenv, void *context, struct span upper,
                            struct span lower)
{
    if (getenv == NULL)
        return SPAN_NONE;
    struct span value = getenv(context, lower);
    return value.len != 0 ? value : getenv(context, upper);
}

bool proxy_from_environment(config_getenv getenv, void *context, const struct endpoint_url *url,
                            struct arena *arena, struct proxy *out, struct span *fault)
{
    struct span text = variable(getenv, context, SPAN("HTTPS_PROXY"), SPAN("https_proxy"));
    struct span exempt = variable(getenv, context, SPAN("NO_PROXY"), SPAN("no_proxy"));
    *out = (struct proxy){.port = 0};
    /* The environment's proxy is for hosts beyond this machine. */
    if (text.len == 0 || !url->tls || url->loopback || is_exempt(exempt, url->host))
        return true;
    return proxy_parse(text, arena, out, fault);
}
