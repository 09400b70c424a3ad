// links: net gateway
/* Routes: file order, hosts, methods, captures and their rejection, and the trie against a naive
 * matcher. */
#include "gateway/route.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/clock.h"

enum { ROUTES_MAX = 512 };

static const struct span post[] = {{"POST", 4}};
static const struct span get_and_put[] = {{"GET", 3}, {"PUT", 3}};

struct fixture {
    struct arena arena;
    struct config_route routes[ROUTES_MAX];
    struct config config;
    struct route_table *table;
};

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    arena_init(&f->arena, 4096);
    f->config.routes = f->routes;
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    route_table_destroy(f->table);
    arena_dispose(&f->arena);
    free(f);
    return 0;
}

static struct config_route *add(struct fixture *f, const char *path)
{
    struct config_route *route = &f->routes[f->config.route_count++];
    struct span text = arena_copy(&f->arena, span_from(path));
    *route = (struct config_route){.name = text,
                                   .path = text,
                                   .methods = post,
                                   .method_count = 1,
                                   .file = SPAN("x.yaml"),
                                   .line = (unsigned)f->config.route_count};
    return route;
}

static enum route_result find(struct fixture *f, const char *method, const char *host,
                              const char *path, struct route_match *out)
{
    if (f->table == NULL)
        f->table = route_table_create(&f->config);
    memset(out, 0, sizeof(*out));
    return route_find(f->table, span_from(method), span_from(host), span_from(path), &f->arena,
                      out);
}

/* "2 model=a rest=b/c" or the result's name. */
static const char *look(struct fixture *f, const char *path)
{
    struct route_match match;
    switch (find(f, "POST", NULL, path, &match)) {
    case ROUTE_NONE:
        return "none";
    case ROUTE_METHOD_NOT_ALLOWED:
        return "method";
    case ROUTE_BAD_PATH:
        return "bad";
    case ROUTE_FOUND:
        break;
    }
    struct span text = arena_printf(&f->arena, "%d", (int)(match.route - f->routes));
    for (size_t i = 0; i != match.capture_count; ++i)
        text = arena_printf(&f->arena, "%.*s %.*s=%.*s", SPAN_ARG(text),
                            SPAN_ARG(match.captures[i].name), SPAN_ARG(match.captures[i].value));
    return text.at;
}

static void check_looks(struct fixture *f, const char *const (*rows)[2], size_t count)
{
    for (size_t i = 0; i != count; ++i) {
        const char *got = look(f, rows[i][0]);
        if (strcmp(got, rows[i][1]) != 0)
            fail_msg("%s: %s, not %s", rows[i][0], got, rows[i][1]);
    }
}
#define CHECK_LOOKS(f, rows) check_looks(f, rows, sizeof(rows) / sizeof((rows)[0]))

static void test_finds(void **state)
{
    static const char *const rows[][2] = {
        {"/predict/fraud", "0"},
        {"/predict/fraud/", "none"},
        {"/predict/Fraud", "none"},
        {"/predict/%66raud", "none"},
        {"/predict", "none"},
        {"/", "6"},
        {"//", "none"},
        {"/models/a/predict", "1 model=a"},
        {"/models/a%20b/predict", "1 model=a b"},
        {"/models/a%2bb+c/predict", "1 model=a+b+c"},
        {"/models/a/predict/", "none"},
        {"/models/a/b/predict", "none"},
        {"/v1.bin", "2 n=1"},
        {"/v1.2.bin", "2 n=1.2"},
        {"/v...bin", "bad"}, /* the capture would be ".." */
        {"/v....bin", "2 n=..."},
        {"/v%2.bin", "bad"},
        {"/hex/%eb", "none"}, /* no "b" at the end */
        {"/hex/a%ebb", "8 h=a\xeb"},
        {"/files/a", "3 rest=a"},
        {"/files/a/b.c/d", "3 rest=a/b.c/d"},
        {"/files/a/...", "3 rest=a/..."},
        {"/endpoints/e/invocations", "4 endpoint=e =invocations"},
        {"/logs/xa/y.json", "5 p=a/y"},
        {"/logs/x/y.json", "bad"}, /* the capture would begin with an empty part */
        {"/slash/", "7"},
        {"/slash", "none"},
    };
    struct fixture *f = *state;
    add(f, "/predict/fraud");
    add(f, "/models/{model}/predict");
    add(f, "/v{n}.bin");
    add(f, "/files/{rest*}");
    add(f, "/endpoints/{endpoint}/*");
    add(f, "/logs/x{p*}.json");
    add(f, "/");
    add(f, "/slash/");
    add(f, "/hex/{h}b");
    CHECK_LOOKS(f, rows);
}

static void test_rejects_captures(void **state)
{
    static const char *const rows[][2] = {
        {"/m//p", "bad"},          {"/m/./p", "bad"},         {"/m/../p", "bad"},
        {"/m/%2e/p", "bad"},       {"/m/%2E./p", "bad"},      {"/m/.%2e/p", "bad"},
        {"/m/a%2fb/p", "bad"},     {"/m/a%2Fb/p", "bad"},     {"/m/a%5cb/p", "bad"},
        {"/m/a%00/p", "bad"},      {"/m/%252e/p", "0 a=%2e"}, {"/m/.../p", "0 a=..."},
        {"/m/a%/p", "bad"},        {"/m/a%2/p", "bad"},       {"/m/a%zz/p", "bad"},
        {"/zzz%", "bad"},          {"/zzz%41", "none"},       {"/f/", "bad"},
        {"/f/a/", "bad"},          {"/f//a", "bad"},          {"/f/a//b", "bad"},
        {"/f/a/../b", "bad"},      {"/f/a/%2e%2e", "bad"},    {"/f/a/b%2f", "bad"},
        {"/f/a%41%7a", "1 r=aAz"},
    };
    struct fixture *f = *state;
    add(f, "/m/{a}/p");
    add(f, "/f/{r*}");
    CHECK_LOOKS(f, rows);
}

/* A route whose capture is rejected leaves the path to other routes. */
static void test_skips_rejected_captures(void **state)
{
    static const char *const rows[][2] = {
        {"/list/", "1"}, {"/list/a", "0 a=a"}, {"/list/..", "bad"}};
    struct fixture *f = *state;
    add(f, "/list/{a}");
    add(f, "/list/");
    CHECK_LOOKS(f, rows);
}

static void test_keeps_file_order(void **state)
{
    static const char *const rows[][2] = {
        {"/a/x", "0 any=x"},   {"/a/b", "0 any=b"}, {"/b/x", "2"},           {"/b/y", "3 any=y"},
        {"/c/d/e", "4 r=d/e"}, {"/d/1/2", "6 b=2"}, {"/d/2/3", "7 a=2 b=3"},
    };
    struct fixture *f = *state;
    add(f, "/a/{any}");
    add(f, "/a/b"); /* never */
    add(f, "/b/x");
    add(f, "/b/{any}");
    add(f, "/c/{r*}");
    add(f, "/c/d/e"); /* never */
    add(f, "/d/1/{b}");
    add(f, "/d/{a}/{b}");
    add(f, "/d/1/2"); /* never */
    CHECK_LOOKS(f, rows);
}

static void test_compares_hosts(void **state)
{
    static const struct {
        const char *host;
        int wanted;
    } rows[] = {
        {"one.example", 0},
        {"ONE.example:8080", 0},
        {"[::1]:80", 1},
        {"[::1]", 1},
        {"two.example", 2},
        {NULL, 2},
        {"", 2},
        {"one.example.evil", 2},
    };
    struct fixture *f = *state;
    struct route_match match;
    add(f, "/p")->host = SPAN("one.example");
    add(f, "/p")->host = SPAN("[::1]");
    add(f, "/p");
    for (size_t i = 0; i != sizeof(rows) / sizeof(rows[0]); ++i) {
        assert_int_equal(find(f, "POST", rows[i].host, "/p", &match), ROUTE_FOUND);
        if (match.route - f->routes != rows[i].wanted)
            fail_msg("%s: route %d", rows[i].host, (int)(match.route - f->routes));
    }
}

static void test_reports_other_methods(void **state)
{
    struct fixture *f = *state;
    struct route_match match;
    struct config_route *second;
    add(f, "/p");
    second = add(f, "/{any}");
    second->methods = get_and_put;
    second->method_count = 2;
    add(f, "/q")->host = SPAN("other");
    assert_int_equal(find(f, "POST", NULL, "/p", &match), ROUTE_FOUND);
    assert_ptr_equal(match.route, &f->routes[0]);
    assert_int_equal(find(f, "GET", NULL, "/p", &match), ROUTE_FOUND);
    assert_ptr_equal(match.route, &f->routes[1]);
    assert_int_equal(find(f, "HEAD", NULL, "/p", &match), ROUTE_FOUND);
    assert_int_equal(find(f, "get", NULL, "/p", &match), ROUTE_METHOD_NOT_ALLOWED);
    assert_int_equal(find(f, "DELETE", NULL, "/p", &match), ROUTE_METHOD_NOT_ALLOWED);
    assert_string_equal(match.allowed.at, "POST, GET, HEAD, PUT");
    /* A route of another host has no effect. */
    assert_int_equal(find(f, "POST", NULL, "/q", &match), ROUTE_METHOD_NOT_ALLOWED);
    assert_string_equal(match.allowed.at, "GET, HEAD, PUT");
    assert_int_equal(find(f, "POST", NULL, "/q/r", &match), ROUTE_NONE);
    assert_int_equal(find(f, "OPTIONS", NULL, "*", &match), ROUTE_NONE);
    assert_int_equal(find(f, "OPTIONS", NULL, "", &match), ROUTE_NONE);
}

static void test_judges_one_route(void **state)
{
    struct fixture *f = *state;
    struct span none = SPAN_NONE, method = SPAN("POST");
    add(f, "/p/{a}")->host = SPAN("h");
    f->table = route_table_create(&f->config);
    assert_int_equal(route_judge(f->table, 0, method, SPAN("h:1"), SPAN("/p/x")), ROUTE_MATCHES);
    assert_int_equal(route_judge(f->table, 0, method, SPAN("h"), SPAN("/p")), ROUTE_OTHER_PATH);
    assert_int_equal(route_judge(f->table, 0, method, SPAN("h"), SPAN("/p/%")), ROUTE_OTHER_PATH);
    assert_int_equal(route_judge(f->table, 0, method, none, SPAN("/p/x")), ROUTE_OTHER_HOST);
    assert_int_equal(route_judge(f->table, 0, SPAN("GET"), SPAN("h"), SPAN("/p/x")),
                     ROUTE_OTHER_METHOD);
    assert_int_equal(route_judge(f->table, 0, method, SPAN("h"), SPAN("/p/..")),
                     ROUTE_CAPTURE_NOT_ALLOWED);
}

static void test_warns_of_shadowed_routes(void **state)
{
    /* earlier, later, whether the later one can never match */
    static const struct {
        const char *earlier, *later;
        bool shadowed;
    } rows[] = {
        {"/a", "/a", true},
        {"/a", "/b", false},
        {"/{x}", "/a", true},
        {"/a", "/{x}", false},
        {"/{x}", "/{y}", true},
        {"/{x}", "/{y}.bin", true},
        {"/{x}.bin", "/{y}", false},
        {"/v{x}", "/vv{y}", true},
        {"/v{x}", "/v", false},
        {"/{x}", "/", false},
        {"/*", "/a/b/c", true},
        {"/*", "/{x}/{y}", true},
        {"/*", "/{x*}", true},
        {"/*", "/", false},
        {"/*", "/a/", false},
        {"/{x}", "/{y*}", false},
        {"/a{x*}", "/ab/c", true},
        {"/a{x*}", "/a/c", false},
        {"/a{x*}", "/a{y}/c", true},
        {"/{x*}.json", "/a/b.json", true},
        {"/{x*}.json", "/a/b", false},
        {"/{x*}.json", "/a/.json", false},
        {"/{x}/b", "/a/b", true},
        {"/{x}/b", "/a/c", false},
        {"/{x}/b", "/a", false},
        {"/a/b", "/a", false},
        {"/a/*", "/a", false},
    };
    struct fixture *f = *state;
    for (size_t i = 0; i != sizeof(rows) / sizeof(rows[0]); ++i) {
        struct problem_list problems;
        problem_list_init(&problems);
        f->config.route_count = 0;
        add(f, rows[i].earlier);
        add(f, rows[i].later);
        route_warn_shadowed(&f->config, &problems);
        if ((problems.warnings == 1) != rows[i].shadowed || problems.errors != 0)
            fail_msg("%s, then %s: %u warnings", rows[i].earlier, rows[i].later, problems.warnings);
        if (rows[i].shadowed) {
            assert_int_equal(problems.first->line, 2);
            assert_non_null(strstr(problems.first->message.at, "can never match"));
        }
        problem_list_dispose(&problems);
    }
}

static void test_other_hosts_and_methods_do_not_shadow(void **state)
{
    struct fixture *f = *state;
    struct problem_list problems;
    struct config_route *get;
    problem_list_init(&problems);
    add(f, "/p")->host = SPAN("a");
    add(f, "/p")->host = SPAN("b");
    get = add(f, "/p");
    get->methods = get_and_put;
    get->method_count = 2;
    add(f, "/p");
    route_warn_shadowed(&f->config, &problems);
    assert_int_equal(problems.warnings, 0);
    add(f, "/p")->host = SPAN("a");
    route_warn_shadowed(&f->config, &problems);
    assert_int_equal(problems.warnings, 1);
    problem_list_dispose(&problems);
}

/* ---- against a naive matcher ----------------------------------------------------------------- */

static unsigned long seed = 20240501;

static unsigned pick(unsigned below)
{
    seed = seed * 6364136223846793005UL + 1442695040888963407UL;
    return (unsigned)(seed >> 33) % below;
}

static struct span random_pattern(struct arena *arena)
{
    static const char *const middles[] = {"a", "b", "ab", "{x}", "a{x}", "{x}b", "a{x}b", "c"};
    static const char *const lasts[] = {"", "a", "b", "{l}", "a{l}", "*", "{l*}", "a{l*}", "{l*}b"};
    struct span text = SPAN("/");
    for (unsigned i = pick(4); i != 0; --i) {
        struct span middle = span_from(middles[pick(8)]);
        size_t open = span_find(middle, '{');
        if (open != middle.len) /* a distinct name */
            middle = arena_printf(arena, "%.*s{x%u}%s", (int)open, middle.at, i,
                                  middle.at + span_find(middle, '}') + 1);
        text = arena_printf(arena, "%.*s%.*s/", SPAN_ARG(text), SPAN_ARG(middle));
    }
    return arena_printf(arena, "%.*s%s", SPAN_ARG(text), lasts[pick(9)]);
}

static struct span random_path(struct arena *arena)
{
    static const char *const parts[] = {"",   "a",  "b",   "ab",    "acb", "c",
                                        "..", "a.", "%61", "a%2Fb", "aab", "abb"};
    struct span text = SPAN("");
    for (unsigned i = pick(5) + 1; i != 0; --i)
        text = arena_printf(arena, "%.*s/%s", SPAN_ARG(text), parts[pick(12)]);
    return text;
}

/* One route after another, by the documented rules. */
static enum route_result find_naively(const struct config *config, struct span method,
                                      struct span path, struct arena *arena,
                                      struct route_match *out)
{
    bool other_method = false, refused = false;
    for (size_t i = 0; i != config->route_count; ++i) {
        struct pattern pattern;
        struct span fault;
        const struct config_route *route = &config->routes[i];
        CHECK(pattern_parse(route->path, arena, &pattern, &fault));
        enum route_path_result result = route_match_path(&pattern, path, arena, out);
        bool takes_method = false;
        for (size_t m = 0; m != route->method_count; ++m)
            takes_method |= span_equals(route->methods[m], method);
        if (result == ROUTE_PATH_MATCHES && takes_method) {
            out->route = route;
            return ROUTE_FOUND;
        }
        other_method |= result == ROUTE_PATH_MATCHES;
        refused |= result == ROUTE_PATH_NOT_ALLOWED;
    }
    return other_method ? ROUTE_METHOD_NOT_ALLOWED : refused ? ROUTE_BAD_PATH : ROUTE_NONE;
}

static void compare_once(struct fixture *f, unsigned *counts)
{
    struct span path = random_path(&f->arena);
    struct span method = pick(4) == 0 ? SPAN("GET") : SPAN("POST");
    struct route_match wanted = {0}, got = {0};
    enum route_result naive = find_naively(&f->config, method, path, &f->arena, &wanted);
    enum route_result result = route_find(f->table, method, SPAN_NONE, path, &f->arena, &got);
    if (result != naive || (result == ROUTE_FOUND && got.route != wanted.route))
        fail_msg("%.*s: %d, not %d", SPAN_ARG(path), (int)result, (int)naive);
    if (result == ROUTE_FOUND) {
        assert_int_equal(got.capture_count, wanted.capture_count);
        for (size_t i = 0; i != got.capture_count; ++i) {
            assert_true(span_equals(got.captures[i].name, wanted.captures[i].name));
            assert_true(span_equals(got.captures[i].value, wanted.captures[i].value));
        }
    }
    ++counts[result];
}

static void test_agrees_with_a_naive_matcher(void **state)
{
    struct fixture *f = *state;
    unsigned counts[4] = {0};
    for (int round = 0; round != 200; ++round) {
        arena_reset(&f->arena);
        f->config.route_count = 0;
        for (unsigned i = pick(20) + 1; i != 0; --i) {
            struct config_route *route = add(f, random_pattern(&f->arena).at);
            if (pick(3) == 0) {
                route->methods = get_and_put;
                route->method_count = 2;
            }
        }
        route_table_destroy(f->table);
        f->table = route_table_create(&f->config);
        for (int i = 0; i != 100; ++i)
            compare_once(f, counts);
    }
    for (int i = 0; i != 4; ++i)
        assert_true(counts[i] > 100);
}

/* Routes that route_warn_shadowed reports are never found. */
static void test_shadowed_routes_are_never_found(void **state)
{
    struct fixture *f = *state;
    unsigned warned = 0;
    for (int round = 0; round != 400; ++round) {
        struct problem_list problems;
        struct route_match match;
        arena_reset(&f->arena);
        f->config.route_count = 0;
        add(f, random_pattern(&f->arena).at);
        add(f, random_pattern(&f->arena).at);
        problem_list_init(&problems);
        route_warn_shadowed(&f->config, &problems);
        route_table_destroy(f->table);
        f->table = route_table_create(&f->config);
        for (int i = 0; problems.warnings != 0 && i != 200; ++i)
            if (route_find(f->table, SPAN("POST"), SPAN_NONE, random_path(&f->arena), &f->arena,
                           &match) == ROUTE_FOUND)
                assert_ptr_equal(match.route, &f->routes[0]);
        warned += problems.warnings;
        problem_list_dispose(&problems);
    }
    assert_true(warned > 10);
}

static void test_is_fast_and_allocates_nothing(void **state)
{
    struct fixture *f = *state;
    struct route_match match;
    for (int i = 0; i != ROUTES_MAX; ++i)
        add(f, arena_printf(&f->arena, "/predict/model-%d/v%d", i, i % 7).at);
    f->table = route_table_create(&f->config);
    size_t used = f->arena.used;
    struct mono_time start = clock_mono();
    enum { ROUNDS = 20000 };
    for (int i = 0; i != ROUNDS; ++i)
        assert_int_equal(route_find(f->table, SPAN("POST"), SPAN("h:1"),
                                    f->routes[(i * 7919) % ROUTES_MAX].path, &f->arena, &match),
                         ROUTE_FOUND);
    int64_t ns = clock_us_between(start, clock_mono()) * 1000 / ROUNDS;
    assert_int_equal(f->arena.used, used);
    print_message("%lld ns a look-up among %d routes\n", (long long)ns, ROUTES_MAX);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_finds),
        TEST(test_rejects_captures),
        TEST(test_skips_rejected_captures),
        TEST(test_keeps_file_order),
        TEST(test_compares_hosts),
        TEST(test_reports_other_methods),
        TEST(test_judges_one_route),
        TEST(test_warns_of_shadowed_routes),
        TEST(test_other_hosts_and_methods_do_not_shadow),
        TEST(test_agrees_with_a_naive_matcher),
        TEST(test_shadowed_routes_are_never_found),
        TEST(test_is_fast_and_allocates_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
