/* Addresses as the kernel and as people write them. */
#include "net/address.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/un.h>

bool address_parse(struct span host, uint16_t port, struct address *out)
{
    char text[INET6_ADDRSTRLEN];
    struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons(port)};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
    if (host.len >= sizeof(text))
        return false;
    snprintf(text, sizeof(text), "%.*s", SPAN_ARG(host));
    bool is_v4 = inet_pton(AF_INET, text, &v4.sin_addr) == 1;
    if (!is_v4 && inet_pton(AF_INET6, text, &v6.sin6_addr) != 1)
        return false;
    *out = (struct address){.size = is_v4 ? sizeof(v4) : sizeof(v6)};
    memcpy(&out->storage, is_v4 ? (const void *)&v4 : (const void *)&v6, out->size);
    return true;
}

bool address_of_socket(int fd, struct address *out)
{
    *out =
        (struct address){.size = sizeof(out->storage)}; /* a path may fill sun_path, without NUL */
    return getsockname(fd, (struct sockaddr *)&out->storage, &out->size) == 0;
}

struct span address_unix_path(const struct address *address)
{
    const struct sockaddr_un *local = (const struct sockaddr_un *)&address->storage;
    if (address->storage.ss_family != AF_UNIX)
        return SPAN_NONE;
    return span_make(local->sun_path, strnlen(local->sun_path, sizeof(local->sun_path)));
}

bool address_is_same(const struct address *a, const struct address *b)
{
    const struct sockaddr_in *a4 = (const void *)&a->storage, *b4 = (const void *)&b->storage;
    const struct sockaddr_in6 *a6 = (const void *)&a->storage, *b6 = (const void *)&b->storage;
    if (a->storage.ss_family != b->storage.ss_family)
        return false;
    if (a->storage.ss_family == AF_UNIX)
        return span_equals(address_unix_path(a), address_unix_path(b));
    if (a->storage.ss_family == AF_INET)
        return a4->sin_port == b4->sin_port && a4->sin_addr.s_addr == b4->sin_addr.s_addr;
    return a6->sin6_port == b6->sin6_port &&
           memcmp(&a6->sin6_addr, &b6->sin6_addr, sizeof(a6->sin6_addr)) == 0;
}

struct span address_text(const struct address *address, struct arena *arena)
{
    char host[INET6_ADDRSTRLEN];
    struct span path = address_unix_path(address);
    const struct sockaddr_in *v4 = (const void *)&address->storage;
    const struct sockaddr_in6 *v6 = (const void *)&address->storage;
    if (path.at != NULL)
        return arena_printf(arena, "unix:%.*s", SPAN_ARG(path));
    bool is_v6 = address->storage.ss_family == AF_INET6;
    const void *raw = is_v6 ? (const void *)&v6->sin6_addr : (const void *)&v4->sin_addr;
    if (inet_ntop(address->storage.ss_family, raw, host, sizeof(host)) == NULL)
        return SPAN("unknown");
    return arena_printf(arena, is_v6 ? "[%s]:%u" : "%s:%u", host,
                        (unsigned)ntohs(is_v6 ? v6->sin6_port : v4->sin_port));
}
