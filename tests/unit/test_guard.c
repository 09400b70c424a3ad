/* The guard: peers by network and user, Host patterns, Origin; each row is one request against
 * one route's lists. */
// links: gateway
#include "gateway/guard.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "arena_fixture.h"
#include "config/value.h"

enum { LIST_MAX = 4 };

static const struct row {
    const char *peers, *hosts, *origins; /* comma-separated lists; NULL: none */
    const char *peer;                    /* an address, uid:N, or NULL: unknown */
    const char *host, *headers;
    enum outcome outcome;
} rows[] = {
    /* Not sent by a web page, and no list applies. */
    {NULL, NULL, NULL, "127.0.0.1", "localhost:8080", "", OUTCOME_OK},
    {NULL, NULL, NULL, "uid:1000", "anything", "", OUTCOME_OK},
    {NULL, NULL, NULL, "10.0.0.9", "inference.svc.cluster.local", "Sec-Fetch-Site: none\r\n",
     OUTCOME_OK},
    /* Web pages: another site, DNS rebinding, a sandboxed page, an image. */
    {NULL, NULL, NULL, "127.0.0.1", "127.0.0.1:8080", "Origin: https://evil.example\r\n",
     OUTCOME_FORBIDDEN_HOST},
    {NULL, NULL, NULL, "127.0.0.1", "evil.example:8080", "Origin: http://evil.example:8080\r\n",
     OUTCOME_FORBIDDEN_HOST},
    {NULL, NULL, NULL, "127.0.0.1", "localhost", "Origin: null\r\n", OUTCOME_FORBIDDEN_HOST},
    {NULL, NULL, NULL, "127.0.0.1", "localhost", "Origin:\r\n", OUTCOME_FORBIDDEN_HOST},
    {NULL, NULL, NULL, "127.0.0.1", "localhost", "sec-fetch-site: cross-site\r\n",
     OUTCOME_FORBIDDEN_HOST},
    /* Allowed origins. */
    {NULL, NULL, "https://*.corp.example,null", NULL, "h", "Origin: https://app.corp.example\r\n",
     OUTCOME_OK},
    {NULL, NULL, "https://*.corp.example,null", NULL, "h", "Origin: null\r\n", OUTCOME_OK},
    {NULL, NULL, "https://*.corp.example,null", NULL, "h", "Origin: http://app.corp.example\r\n",
     OUTCOME_FORBIDDEN_HOST},
    {NULL, NULL, "https://a.example", NULL, "h",
     "Origin: https://a.example\r\nOrigin: https://a.example\r\n", OUTCOME_FORBIDDEN_HOST},
    {NULL, NULL, "https://a.example", NULL, "h",
     "Origin: https://a.example\r\nSec-Fetch-Site: cross-site\r\n", OUTCOME_OK},
    {NULL, NULL, "*", NULL, "h", "Sec-Fetch-Site: cross-site\r\n", OUTCOME_OK},
    /* Hosts. */
    {NULL, "localhost,[::1],*.svc", NULL, NULL, "LocalHost:80", "", OUTCOME_OK},
    {NULL, "localhost,[::1],*.svc", NULL, NULL, "[::1]:80", "", OUTCOME_OK},
    {NULL, "localhost,[::1],*.svc", NULL, NULL, "sagegate.ml.svc", "", OUTCOME_OK},
    {NULL, "localhost,[::1],*.svc", NULL, NULL, "evil.example", "", OUTCOME_FORBIDDEN_HOST},
    {NULL, "localhost,[::1],*.svc", NULL, NULL, "localhost.evil.example", "",
     OUTCOME_FORBIDDEN_HOST},
    /* Peers. */
    {"10.0.0.0/8", NULL, NULL, "10.255.0.1", "h", "", OUTCOME_OK},
    {"10.0.0.0/8", NULL, NULL, "11.0.0.1", "h", "", OUTCOME_FORBIDDEN_PEER},
    {"10.0.0.0/8", NULL, NULL, "::a00:1", "h", "", OUTCOME_FORBIDDEN_PEER},
    {"10.0.0.0/8", NULL, NULL, "uid:0", "h", "", OUTCOME_FORBIDDEN_PEER},
    {"10.0.0.128/25", NULL, NULL, "10.0.0.127", "h", "", OUTCOME_FORBIDDEN_PEER},
    {"10.0.0.128/25", NULL, NULL, "10.0.0.200", "h", "", OUTCOME_OK},
    {"0.0.0.0/0", NULL, NULL, "203.0.113.9", "h", "", OUTCOME_OK},
    {"0.0.0.0/0", NULL, NULL, "2001:db8::1", "h", "", OUTCOME_FORBIDDEN_PEER},
    {"2001:db8::/33", NULL, NULL, "2001:db8:7fff::1", "h", "", OUTCOME_OK},
    {"2001:db8::/33", NULL, NULL, "2001:db8:8000::1", "h", "", OUTCOME_FORBIDDEN_PEER},
    {"127.0.0.1", NULL, NULL, "127.0.0.1", "h", "", OUTCOME_OK},
    {"127.0.0.1", NULL, NULL, "127.0.0.2", "h", "", OUTCOME_FORBIDDEN_PEER},
    {"uid:1000,::1", NULL, NULL, "uid:1000", "h", "", OUTCOME_OK},
    {"uid:1000,::1", NULL, NULL, "uid:1001", "h", "", OUTCOME_FORBIDDEN_PEER},
    {"uid:1000,::1", NULL, NULL, "::1", "h", "", OUTCOME_OK},
    {"*", NULL, NULL, "uid:7", "h", "", OUTCOME_OK},
    {"*", NULL, NULL, "::2", "h", "", OUTCOME_OK},
    {"uid:1000", NULL, NULL, NULL, "h", "", OUTCOME_OK},
    /* Each of them must be accepted. */
    {"::1", "localhost", NULL, "::1", "other", "", OUTCOME_FORBIDDEN_HOST},
    {"::1", "localhost", NULL, "::1", "localhost", "Origin: null\r\n", OUTCOME_FORBIDDEN_HOST},
};

static size_t split(const char *list, struct span out[LIST_MAX])
{
    size_t count = 0;
    struct span rest = span_from(list);
    for (bool more = list != NULL; more;) {
        assert_true(count != LIST_MAX);
        more = span_split(rest, ',', &out[count++], &rest);
    }
    return count;
}

static struct config_peer peer_of(struct span text, struct arena *arena)
{
    struct config_peer peer;
    struct span fault;
    if (!value_parse_peer(text, arena, &peer, &fault))
        fail_msg("%.*s", SPAN_ARG(fault));
    return peer;
}

static void verdict_table(void **state)
{
    struct arena *arena = *state;
    for (size_t i = 0; i != sizeof(rows) / sizeof(rows[0]); ++i) {
        const struct row *row = &rows[i];
        struct span hosts[LIST_MAX], origins[LIST_MAX], texts[LIST_MAX], message = SPAN_NONE;
        struct config_peer peers[LIST_MAX];
        struct config_route route = {.name = SPAN("r"),
                                     .guards = {.hosts = hosts,
                                                .host_count = split(row->hosts, hosts),
                                                .origins = origins,
                                                .origin_count = split(row->origins, origins),
                                                .peers = peers,
                                                .peer_count = split(row->peers, texts)}};
        for (size_t p = 0; p != route.guards.peer_count; ++p)
            peers[p] = peer_of(texts[p], arena);
        struct remote remote = {.name = ""};
        if (row->peer != NULL) {
            struct config_peer peer = peer_of(span_from(row->peer), arena);
            remote.is_unix = peer.kind == CONFIG_PEER_USER;
            remote.uid = peer.uid;
            memcpy(remote.address, peer.address, sizeof(remote.address));
        }
        struct http1_request request;
        struct span head =
            arena_printf(arena, "POST / HTTP/1.1\r\nHost: %s\r\n%s\r\n", row->host, row->headers);
        assert_int_equal(http1_parse_request(head, &request), HTTP1_OK);
        enum outcome outcome =
            guard_check(&route, &request, row->peer == NULL ? NULL : &remote, arena, &message);
        if (outcome != row->outcome)
            fail_msg("row %zu: %.*s: %.*s", i, SPAN_ARG(outcome_info(outcome)->token),
                     SPAN_ARG(message));
        assert_true((outcome == OUTCOME_OK) == (message.at == NULL));
    }
}

static void missing_host(void **state)
{
    struct arena *arena = *state;
    struct span hosts[] = {SPAN("localhost")}, message;
    struct config_route route = {.name = SPAN("r"), .guards = {.hosts = hosts, .host_count = 1}};
    struct http1_request request;
    assert_int_equal(http1_parse_request(SPAN("POST / HTTP/1.0\r\n\r\n"), &request), HTTP1_OK);
    assert_int_equal(guard_check(&route, &request, NULL, arena, &message), OUTCOME_FORBIDDEN_HOST);
    route.guards.host_count = 0;
    assert_int_equal(guard_check(&route, &request, NULL, arena, &message), OUTCOME_OK);
}

static void invalid_peers(void **state)
{
    static const char *const wrong[] = {"",         "localhost", "10.0.0.0/33", "10.0.0.0/",
                                        "10.0.0/8", "::1/129",   "[::1]",       "10.0.0.1:80",
                                        "uid:",     "uid:root",  "uid:-1",      "uid:4294967295",
                                        "gid:1",    "**",        "1.2.3.4/8/8"};
    struct config_peer peer;
    for (size_t i = 0; i != sizeof(wrong) / sizeof(wrong[0]); ++i) {
        struct span fault = SPAN_NONE;
        if (value_parse_peer(span_from(wrong[i]), *state, &peer, &fault))
            fail_msg("%s", wrong[i]);
        assert_true(fault.len != 0);
    }
}

static void connected_peer(void **state)
{
    (void)state;
    struct remote remote;
    int pair[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    remote_read(pair[0], &remote);
    assert_true(remote.is_unix);
    assert_int_equal(remote.uid, geteuid());
    assert_string_equal(remote.name, "unix");
    close(pair[0]);
    close(pair[1]);
    remote_read(-1, &remote);
    assert_false(remote.is_unix); /* disconnected: no user, no address */
    assert_string_equal(remote.name, "gone");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(verdict_table, with_arena, without_arena),
        cmocka_unit_test_setup_teardown(missing_host, with_arena, without_arena),
        cmocka_unit_test_setup_teardown(invalid_peers, with_arena, without_arena),
        cmocka_unit_test(connected_peer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
