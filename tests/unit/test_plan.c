// links: net gateway
/* The plan's body limit: checked by Content-Length with the head, otherwise as the body arrives. */
#include "gateway/plan.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static const char configuration[] = "region: us-east-1\n"
                                    "routes:\n"
                                    "  - name: r\n"
                                    "    match: { path: /r }\n"
                                    "    endpoint: e\n"
                                    "    body_max: 1KiB\n";

static struct arena arena;
static struct config *config;
static struct route_table *routes;
static struct plan plan;

static int set_up(void **state)
{
    (void)state;
    struct problem_list problems;
    const struct config_options options = {.no_files = true};
    problem_list_init(&problems);
    config = config_load_text("f", span_from(configuration), &options, &problems);
    problem_list_dispose(&problems);
    assert_non_null(config);
    routes = route_table_create(config);
    arena_init(&arena, 65536);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    route_table_destroy(routes);
    config_release(config);
    arena_dispose(&arena);
    return 0;
}

/* Makes a new plan for the head. */
static bool take_head(const char *framing, uint64_t body_bytes_max)
{
    static const unsigned char random[IDS_RANDOM_SIZE];
    static struct http1_request request;
    const struct plan_input input = {
        .routes = routes, .body_bytes_max = body_bytes_max, .random = random, .arena = &arena};
    plan = (struct plan){.parsed = false};
    return plan_take_head(
        &plan, &input,
        arena_printf(&arena, "POST /r HTTP/1.1\r\nHost: localhost\r\n%s\r\n\r\n", framing),
        &request);
}

static void known_length(void **state)
{
    (void)state;
    assert_true(take_head("Content-Length: 1024", 5000));
    assert_int_equal(plan.body_max, 1024);
    assert_false(take_head("Content-Length: 1025", 5000));
    assert_int_equal(plan.outcome, OUTCOME_BODY_TOO_LARGE);
    assert_false(take_head("Content-Length: 500", 499)); /* limits.body_bytes */
    assert_int_equal(plan.outcome, OUTCOME_BODY_TOO_LARGE);
}

static void unknown_length(void **state)
{
    static const char bytes[1024];
    (void)state;
    assert_true(take_head("Transfer-Encoding: chunked", 5000));
    assert_true(plan_take_body(&plan, span_make(bytes, 1024)));
    assert_false(plan_take_body(&plan, span_make(bytes, 1)));
    assert_int_equal(plan.outcome, OUTCOME_BODY_TOO_LARGE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(known_length, set_up, tear_down),
        cmocka_unit_test_setup_teardown(unknown_length, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
