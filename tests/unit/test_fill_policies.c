// links: net gateway
/* Filling in parameters: every policy against every source, and template sources. */
#include "fill_fixture.h"

static void test_default(void **state)
{
    struct fixture *f = *state;
    policy(f, SAGEMAKER_CONTENT_TYPE)->default_value = compile(f, "application/json");
    policy(f, SAGEMAKER_ACCEPT)->default_value = compile(f, "text/csv");
    policy(f, SAGEMAKER_INFERENCE_ID)->default_value = compile(f, "${uuid}");
    check_sent(f, "", "Content-Type: application/json|Accept: text/csv|" SM "Inference-Id: " UUID);
    assert_int_equal(f->result.parameters[SAGEMAKER_ACCEPT].source, FILL_DEFAULT);
    check_sent(f,
               "Accept:\r\nContent-Type: application/x-www-form-urlencoded\r\n" SM
               "Inference-Id: i\r\n",
               "Content-Type: application/json|Accept: text/csv|" SM "Inference-Id: i");
    assert_true(span_equals(f->result.parameters[SAGEMAKER_CONTENT_TYPE].caller_value,
                            SPAN("application/x-www-form-urlencoded")));
    assert_int_equal(f->result.overridden, 0);
    check_sent(f, "Accept: */*\r\nContent-Type: a/b\r\n" SM "Inference-Id: i\r\n",
               "Content-Type: a/b|Accept: text/csv|" SM "Inference-Id: i");
    check_sent(f, "Accept: */*, a/b\r\n" SM "Inference-Id: i\r\n",
               "Content-Type: application/json|Accept: */*, a/b|" SM "Inference-Id: i");
    policy(f, SAGEMAKER_ACCEPT)->strict_default = true;
    check_sent(f, "Accept: */*\r\n" SM "Inference-Id: i\r\n",
               "Content-Type: application/json|Accept: */*|" SM "Inference-Id: i");
}

static void test_value(void **state)
{
    struct fixture *f = *state;
    uint32_t bit = 1u << SAGEMAKER_TARGET_MODEL;
    policy(f, SAGEMAKER_TARGET_MODEL)->value = compile(f, "v12.tar.gz");
    check_sent(f, "", SM "Target-Model: v12.tar.gz");
    assert_int_equal(f->result.overridden, 0);
    check_sent(f, SM "Target-Model: other\r\n", SM "Target-Model: v12.tar.gz");
    assert_int_equal(f->result.overridden, bit);
    assert_true(f->result.parameters[SAGEMAKER_TARGET_MODEL].overridden);
    assert_int_equal(f->result.parameters[SAGEMAKER_TARGET_MODEL].source, FILL_VALUE);
    /* The client's value is not used, so it may be invalid. */
    check_sent(f, SM "Target-Model: \xff\r\n", SM "Target-Model: v12.tar.gz");
    /* Sending the same value is not reported as overridden. */
    check_sent(f, SM "Target-Model: v12.tar.gz\r\n", SM "Target-Model: v12.tar.gz");
    assert_int_equal(f->result.overridden, 0);
    /* A value that expands to nothing does not let the client's value through. */
    policy(f, SAGEMAKER_TARGET_MODEL)->value = compile(f, "${header.X-Model}");
    check_sent(f, SM "Target-Model: other\r\n", "");
    assert_int_equal(f->result.overridden, bit);
    check_sent(f, "X-Model: m\r\n", SM "Target-Model: m");
    /* A header the client did not choose is overridden without a report. */
    policy(f, SAGEMAKER_TARGET_MODEL)->value = NULL;
    policy(f, SAGEMAKER_ACCEPT)->value = compile(f, "a/b");
    check_sent(f, "Accept: */*\r\n", "Accept: a/b");
    assert_int_equal(f->result.overridden, 0);
}

static void test_append(void **state)
{
    struct fixture *f = *state;
    struct config_policy *p = policy(f, SAGEMAKER_CUSTOM_ATTRIBUTES);
    const struct fill_parameter *got = &f->result.parameters[SAGEMAKER_CUSTOM_ATTRIBUTES];
    p->append = compile(f, "trace=${header.X-Trace}");
    p->separator = SPAN("; ");
    check_sent(f, "X-Trace: t\r\n", SM "Custom-Attributes: trace=t");
    assert_true(got->appended);
    assert_int_equal(got->source, FILL_ABSENT);
    check_sent(f, "X-Trace: t\r\n" SM "Custom-Attributes: a \r\n",
               SM "Custom-Attributes: a; trace=t");
    assert_true(got->appended);
    assert_int_equal(got->source, FILL_CALLER);
    check_sent(f, SM "Custom-Attributes: a\r\n", SM "Custom-Attributes: a");
    assert_false(got->appended);
    p->default_value = compile(f, "d");
    check_sent(f, "X-Trace: t\r\n", SM "Custom-Attributes: d; trace=t");
    p->value = compile(f, "v");
    check_sent(f, "X-Trace: t\r\n", SM "Custom-Attributes: v; trace=t");
    p->separator = SPAN_NONE;
    check_sent(f, "X-Trace: t\r\n", SM "Custom-Attributes: vtrace=t");
}

static void test_append_that_does_not_fit_is_omitted(void **state)
{
    struct fixture *f = *state;
    struct config_policy *p = policy(f, SAGEMAKER_CUSTOM_ATTRIBUTES);
    const struct fill_parameter *got = &f->result.parameters[SAGEMAKER_CUSTOM_ATTRIBUTES];
    p->append = compile(f, "12345");
    p->separator = SPAN(";");
    for (size_t length = 1016; length <= 1026; ++length) {
        struct span line =
            arena_printf(&f->arena, SM "Custom-Attributes: %s\r\n", repeated(f, 'a', length));
        enum outcome outcome = fill(f, line.at);
        assert_int_equal(outcome, length <= 1024 ? OUTCOME_OK : OUTCOME_BAD_PARAMETER);
        assert_int_equal(got->appended, length + 6 <= 1024);
        assert_int_equal(got->append_dropped, length + 6 > 1024);
        assert_int_equal(got->value.len, length + 6 <= 1024 ? length + 6 : length);
    }
    check_says(f, "; it comes from the caller's header");
    p->append = compile(f, repeated(f, 'b', 1025));
    check_sent(f, "", "");
    assert_true(got->append_dropped);
}

static void test_allow(void **state)
{
    static const struct span globs[] = {SPAN("A"), SPAN("B*")};
    struct fixture *f = *state;
    struct config_policy *p = policy(f, SAGEMAKER_TARGET_VARIANT);
    p->allow = globs;
    p->allow_count = 2;
    check_sent(f, "", "");
    check_sent(f, SM "Target-Variant: A\r\n", SM "Target-Variant: A");
    check_sent(f, SM "Target-Variant: B2\r\n", SM "Target-Variant: B2");
    assert_int_equal(fill(f, SM "Target-Variant: AA\r\n"), OUTCOME_BAD_PARAMETER);
    check_message(f,
                  "TargetVariant (" SM "Target-Variant): must match one of A, B* (allow of route "
                  "'r'); it comes from the caller's header");
    p->default_value = compile(f, "${header.X-Variant}");
    check_sent(f, "X-Variant: B\r\n", SM "Target-Variant: B");
    assert_int_equal(fill(f, "X-Variant: C\r\n"), OUTCOME_BAD_PARAMETER);
    check_says(f, "; it comes from the default of route 'r'");
    p->append = compile(f, "x");
    assert_int_equal(fill(f, SM "Target-Variant: A\r\n"), OUTCOME_BAD_PARAMETER);
    check_says(f, "; it comes from the caller's header and the append of route 'r'");
    check_sent(f, SM "Target-Variant: B\r\n", SM "Target-Variant: Bx");
}

static void test_long_list_is_truncated(void **state)
{
    struct fixture *f = *state;
    struct config_policy *p = policy(f, SAGEMAKER_TARGET_VARIANT);
    struct span *globs = arena_alloc(&f->arena, 100 * sizeof(*globs));
    for (int i = 0; i != 100; ++i)
        globs[i] = arena_printf(&f->arena, "v%d", i);
    p->allow = globs;
    p->allow_count = 100;
    assert_int_equal(fill(f, SM "Target-Variant: A\r\n"), OUTCOME_BAD_PARAMETER);
    check_says(f, "one of v0, v1, v2, v3, v4, v5, v6, v7 and 92 more (allow");
}

static void test_required(void **state)
{
    struct fixture *f = *state;
    struct config_policy *p = policy(f, SAGEMAKER_CONTENT_TYPE);
    p->required = true;
    assert_int_equal(fill(f, ""), OUTCOME_BAD_PARAMETER);
    check_message(f, "ContentType (Content-Type): required by route 'r', but not sent");
    assert_int_equal(fill(f, "Content-Type: \r\n"), OUTCOME_BAD_PARAMETER);
    assert_int_equal(fill(f, "Content-Type: application/x-www-form-urlencoded\r\n"),
                     OUTCOME_BAD_PARAMETER);
    check_sent(f, "Content-Type: a/b\r\n", "Content-Type: a/b");
    p->default_value = compile(f, "${header.X-Type}");
    assert_int_equal(fill(f, ""), OUTCOME_BAD_PARAMETER);
    check_message(f, "ContentType (Content-Type): required by route 'r', but not sent, and its "
                     "default \"${header.X-Type}\" is empty");
    check_sent(f, "X-Type: c/d\r\n", "Content-Type: c/d");
    p->value = compile(f, "${query.type}");
    assert_int_equal(fill(f, "Content-Type: a/b\r\n"), OUTCOME_BAD_PARAMETER);
    check_message(f, "ContentType (Content-Type): required by route 'r', but its value "
                     "\"${query.type}\" is empty");
}

static void test_allowed_client_parameters(void **state)
{
    struct fixture *f = *state;
    f->route.callers_may_set_given = true;
    f->route.callers_may_set = 1u << SAGEMAKER_CUSTOM_ATTRIBUTES;
    policy(f, SAGEMAKER_TARGET_MODEL)->value = compile(f, "m");
    check_sent(f, SM "Custom-Attributes: a\r\n", SM "Custom-Attributes: a|" SM "Target-Model: m");
    /* Curl's default Accept and Content-Type are not reported ... */
    check_sent(f, "Accept: */*\r\nContent-Type: application/x-www-form-urlencoded\r\n",
               SM "Target-Model: m");
    /* ... unless the route is strict. */
    policy(f, SAGEMAKER_ACCEPT)->strict_default = true;
    assert_int_equal(fill(f, "Accept: */*\r\n"), OUTCOME_BAD_PARAMETER);
    check_message(f, "Accept (Accept): not in callers_may_set of route 'r'; do not send it");
    assert_int_equal(fill(f, "Content-Type: a/b\r\n"), OUTCOME_BAD_PARAMETER);
    assert_int_equal(fill(f, SM "Target-Model: m\r\n"), OUTCOME_BAD_PARAMETER);
    check_sent(f, SM "Target-Model:\r\n", SM "Target-Model: m");
}

static void test_policies_of_other_operations_are_ignored(void **state)
{
    struct fixture *f = *state;
    f->route.operation = CONFIG_ASYNC;
    policy(f, SAGEMAKER_TARGET_MODEL)->value = compile(f, "m");
    policy(f, SAGEMAKER_TARGET_VARIANT)->required = true;
    check_sent(f, "", "");
}

/* ---- templates ------------------------------------------------------------------------------- */

static void test_template_sources(void **state)
{
    static const char *const rows[][2] = {
        {"${uuid}", UUID},
        {"${route}", "r"},
        {"${path.model}.tar.gz", "m 1.tar.gz"},
        {"${path.none:-x}", "x"},
        {"${header.x-one}", "1"},
        {"${header.X-None:-2}", "2"},
        {"${query.q}", "a b&c"},
        {"${query.empty:-e}", "e"},
        {"${query.bare:-e}", "e"},
        {"${query.q}-${header.X-One}", "a b&c-1"},
        {"$$5", "$5"},
        {"${trace_id}", "4bf92f3577b34da6a3ce929d0e0e4736"},
        {"${header.X-None}", NULL},
        {"${query.none}x", NULL},
        {"${query.empty}", NULL},
        {"${path.none}", NULL},
    };
    struct fixture *f = *state;
    capture(f, SPAN("model"), SPAN("m 1"));
    for (size_t i = 0; i != sizeof(rows) / sizeof(rows[0]); ++i) {
        policy(f, SAGEMAKER_TARGET_MODEL)->value = compile(f, rows[i][0]);
        enum outcome outcome = fill_target(
            f, "/predict?empty=&q=a+b%26c&bare",
            "X-One: 1\r\ntraceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\r\n");
        assert_int_equal(outcome, OUTCOME_OK);
        struct span got = f->result.parameters[SAGEMAKER_TARGET_MODEL].value;
        if (!span_equals(got, span_from(rows[i][1])) || (rows[i][1] == NULL) != (got.at == NULL))
            fail_msg("%s: %.*s", rows[i][0], SPAN_ARG(got));
    }
    policy(f, SAGEMAKER_TARGET_MODEL)->value =
        compile(f, "${request_id}|${span_id}|${traceparent}");
    assert_int_equal(fill(f, ""), OUTCOME_OK);
    assert_int_equal(f->result.parameters[SAGEMAKER_TARGET_MODEL].value.len, 36 + 1 + 16 + 1 + 55);
}

static void test_ambiguous_sources_are_rejected(void **state)
{
    struct fixture *f = *state;
    struct config_policy *p = policy(f, SAGEMAKER_TARGET_MODEL);
    p->value = compile(f, "${header.X-Tenant:-none}");
    assert_int_equal(fill(f, "X-Tenant: a\r\nX-Tenant: b\r\n"), OUTCOME_BAD_PARAMETER);
    check_message(f, "TargetModel (" SM "Target-Model): duplicate header X-Tenant, "
                     "referred to by route 'r'");
    p->value = compile(f, "${query.m}");
    assert_int_equal(fill_target(f, "/p?m=1&m=2", ""), OUTCOME_BAD_PARAMETER);
    check_says(f, "duplicate query parameter m");
    assert_int_equal(fill_target(f, "/p?x=1&m=%41", ""), OUTCOME_OK);
    assert_string_equal(sent(f), SM "Target-Model: A");
}

/* A decoded value cannot start a new header. */
static void test_line_ends_are_rejected(void **state)
{
    static const enum sagemaker_parameter parameters[] = {
        SAGEMAKER_CONTENT_TYPE,      SAGEMAKER_ACCEPT,
        SAGEMAKER_CUSTOM_ATTRIBUTES, SAGEMAKER_TARGET_MODEL,
        SAGEMAKER_TARGET_VARIANT,    SAGEMAKER_INFERENCE_ID,
        SAGEMAKER_SESSION_ID,        SAGEMAKER_ENABLE_EXPLANATIONS};
    static const char *const targets[] = {"/p?m=a%0d%0aX:%20y", "/p?m=a%0ab", "/p?m=a%00b",
                                          "/p?m=a%7fb", "/p?m=a%80b"};
    struct fixture *f = *state;
    for (size_t i = 0; i != sizeof(parameters) / sizeof(parameters[0]); ++i) {
        policy(f, parameters[i])->value = compile(f, "${query.m}");
        for (size_t k = 0; k != sizeof(targets) / sizeof(targets[0]); ++k)
            assert_int_equal(fill_target(f, targets[k], ""), OUTCOME_BAD_PARAMETER);
        f->route.parameters[parameters[i]] = (struct config_policy){.set = false};
    }
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_default),
        TEST(test_value),
        TEST(test_append),
        TEST(test_append_that_does_not_fit_is_omitted),
        TEST(test_allow),
        TEST(test_long_list_is_truncated),
        TEST(test_required),
        TEST(test_allowed_client_parameters),
        TEST(test_policies_of_other_operations_are_ignored),
        TEST(test_template_sources),
        TEST(test_ambiguous_sources_are_rejected),
        TEST(test_line_ends_are_rejected),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
