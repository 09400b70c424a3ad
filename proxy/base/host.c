/* Splits and validates host names and ports. */
#include "base/host.h"

enum { HOST_MAX = 253, LABEL_MAX = 63, PORT_DIGITS_MAX = 5 };

bool host_split(struct span text, struct span *host, struct span *port)
{
    size_t end = span_find(text, ':');
    if (text.len != 0 && text.at[0] == '[') {
        end = span_find(text, ']') + 1;
        if (end > text.len || (end != text.len && text.at[end] != ':'))
            return false;
    }
    *host = span_make(text.at, end);
    *port = end == text.len ? SPAN_NONE : span_from_offset(text, end + 1);
    return true;
}

bool host_is_valid(struct span host)
{
    if (host.len == 0 || host.at[0] != '[')
        return host.len != 0 && span_is_all(host, ASCII_UNRESERVED);
    if (host.len < 3 || host.at[host.len - 1] != ']')
        return false;
    for (size_t i = 1; i != host.len - 1; ++i)
        if (!ascii_is(host.at[i], ASCII_HEX) && host.at[i] != ':' && host.at[i] != '.')
            return false;
    return true;
}

static bool is_label(struct span label, bool underscores)
{
    if (label.len == 0 || label.len > LABEL_MAX || label.at[0] == '-' ||
        label.at[label.len - 1] == '-')
        return false;
    for (size_t i = 0; i != label.len; ++i)
        if (!ascii_is_alnum(label.at[i]) && label.at[i] != '-' &&
            !(underscores && label.at[i] == '_'))
            return false;
    return true;
}

bool host_is_label(struct span label)
{
    return is_label(label, false);
}

bool host_is_dns_name(struct span host)
{
    struct span label, rest = host;
    bool more = host.len != 0 && host.len <= HOST_MAX, good = more;
    while (good && more) {
        more = span_split(rest, '.', &label, &rest);
        good = is_label(label, true);
    }
    return good;
}

bool host_parse_port(struct span text, uint16_t *out)
{
    uint64_t port;
    if (text.len > PORT_DIGITS_MAX || !span_parse_u64(text, &port) || port > UINT16_MAX)
        return false;
    *out = (uint16_t)port;
    return true;
}
