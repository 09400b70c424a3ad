/* Checks one request against a route's guards: peers, hosts and origins. */
#include "gateway/guard.h"

#include "gateway/route.h"

enum { SHOWN_MAX = 80 };

static bool matches(struct span text, const struct span *patterns, size_t count)
{
    for (size_t i = 0; i != count; ++i)
        if (span_matches_glob(text, patterns[i]))
            return true;
    return false;
}

/* ---- peer -- */

static bool has_prefix(const unsigned char address[16], const struct config_peer *network)
{
    size_t bytes = network->prefix_bits / 8, bits = network->prefix_bits % 8;
    if (memcmp(address, network->address, bytes) != 0)
        return false;
    return bits == 0 || (address[bytes] ^ network->address[bytes]) >> (8 - bits) == 0;
}

static bool is_peer(const struct remote *remote, const struct config_peer *peer)
{
    switch (peer->kind) {
    case CONFIG_PEER_ANY:
        return true;
    case CONFIG_PEER_NETWORK:
        return !remote->is_unix && has_prefix(remote->address, peer);
    case CONFIG_PEER_USER:
        return remote->is_unix && remote->uid == peer->uid;
    }
    return false;
}

static bool allows_peer(const struct config_guards *guards, const struct remote *remote)
{
    for (size_t i = 0; i != guards->peer_count; ++i)
        if (is_peer(remote, &guards->peers[i]))
            return true;
    return guards->peer_count == 0;
}

/* ---- Host and Origin -- */

static bool allows_host(const struct config_guards *guards, struct span host, struct arena *arena)
{
    return guards->host_count == 0 ||
           matches(arena_lower(arena, host), guards->hosts, guards->host_count);
}

/* Returns whether a web page sent the request. Images and links of a page come without Origin, but
 * with Sec-Fetch-Site: cross-site. A duplicate Origin counts as one that only `*` matches. */
static bool find_origin(const struct http1_headers *headers, struct span *origin)
{
    size_t count = http1_header_count(headers, SPAN("Origin"));
    struct span site = http1_header_value(headers, SPAN("Sec-Fetch-Site"));
    *origin = count == 1 ? http1_header_value(headers, SPAN("Origin")) : SPAN("");
    return count != 0 || span_equals_ignore_case(site, SPAN("cross-site"));
}

static struct span shown(struct span text)
{
    return span_make(text.at, text.len < SHOWN_MAX ? text.len : SHOWN_MAX);
}

/* ---- all guards -- */

enum outcome guard_check(const struct config_route *route, const struct http1_request *request,
                         const struct remote *remote, struct arena *arena, struct span *message)
{
    const struct config_guards *guards = &route->guards;
    struct span host = route_host_name(request->host), origin;
    if (remote != NULL && !allows_peer(guards, remote)) {
        *message = arena_printf(arena, "peer not allowed on route '%.*s' (guards.peers)",
                                SPAN_ARG(route->name));
        return OUTCOME_FORBIDDEN_PEER;
    }
    if (!allows_host(guards, host, arena)) {
        *message = arena_printf(arena, "Host '%.*s' not allowed on route '%.*s' (guards.hosts)",
                                SPAN_ARG(shown(host)), SPAN_ARG(route->name));
        return OUTCOME_FORBIDDEN_HOST;
    }
    if (find_origin(&request->headers, &origin) &&
        !matches(origin, guards->origins, guards->origin_count)) {
        *message = arena_printf(arena,
                                "web page (Origin '%.*s') not allowed on route '%.*s' "
                                "(guards.origins)",
                                SPAN_ARG(shown(origin)), SPAN_ARG(route->name));
        return OUTCOME_FORBIDDEN_HOST;
    }
    return OUTCOME_OK;
}
