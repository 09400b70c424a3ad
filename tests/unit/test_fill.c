// links: net gateway
/* Filling in: every policy against every source, every parameter good and bad, the native API, what is dropped. */
#include "gateway/fill.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define UUID "017f22e2-79b0-7cc3-98c4-dc0c0c07398f"
#define SM   "X-Amzn-SageMaker-"

static const struct wall_time at = {INT64_C(0x017F22E279B0) * 1000};

struct fixture {
    struct arena arena;
    struct config_route route;
    struct config_upstream upstream;
    struct route_match match;
    struct fill_result result;
};

static const struct template *compile(struct fixture *f, const char *text)
{
    struct template *t = arena_zalloc(&f->arena, 1, sizeof(*t));
    struct span fault;
    if (!template_compile(span_from(text), &f->arena, t, &fault))
        fail_msg("%s: %.*s", text, SPAN_ARG(fault));
    return t;
}

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    arena_init(&f->arena, 65536);
    f->route.name = SPAN("r");
    f->route.endpoint = compile(f, "fraud-prod");
    f->upstream.url.authority = SPAN("upstream.example");
    f->route.upstream = &f->upstream;
    f->match.route = &f->route;
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    arena_dispose(&f->arena);
    free(f);
    return 0;
}

static struct config_policy *policy(struct fixture *f, enum sagemaker_parameter parameter)
{
    f->route.parameters[parameter].set = true;
    return &f->route.parameters[parameter];
}

static void capture(struct fixture *f, struct span name, struct span value)
{
    f->match.captures[f->match.capture_count++] = (struct route_capture){name, value};
}

static const struct span *one_span(struct fixture *f, const char *text)
{
    struct span *list = arena_alloc(&f->arena, sizeof(*list));
    *list = span_from(text);
    return list;
}

/* headers: lines that end in CRLF. */
static enum outcome fill_target(struct fixture *f, const char *target, const char *headers)
{
    const unsigned char random[IDS_RANDOM_SIZE] = {[10] = 0x0C, 0xC3, 0x18, 0xC4, 0xDC,
                                                   0x0C,        0x0C, 0x07, 0x39, 0x8F};
    struct http1_request request;
    struct ids ids;
    struct span head =
        arena_printf(&f->arena, "POST %s HTTP/1.1\r\nHost: local\r\n%s\r\n", target, headers);
    assert_int_equal(http1_parse_request(head, &request), HTTP1_OK);
    ids_make(&ids, random, at, &request.headers);
    fill_request(&f->route, &f->match, &request, &ids, &f->arena, &f->result);
    if (f->result.outcome == OUTCOME_OK)
        assert_null(f->result.message.at);
    else
        assert_true(f->result.message.len != 0);
    return f->result.outcome;
}

static enum outcome fill(struct fixture *f, const char *headers)
{
    return fill_target(f, "/predict", headers);
}

static void check_message(struct fixture *f, const char *wanted)
{
    struct span message = arena_copy(&f->arena, f->result.message);
    if (message.at == NULL || strcmp(message.at, wanted) != 0)
        fail_msg("\"%s\", not \"%s\"", message.at == NULL ? "" : message.at, wanted);
}

static void check_says(struct fixture *f, const char *part)
{
    struct span message = arena_copy(&f->arena, f->result.message);
    if (message.at == NULL || strstr(message.at, part) == NULL)
        fail_msg("\"%s\" does not say \"%s\"", message.at == NULL ? "" : message.at, part);
}

/* The headers that go upstream, but Host: "Name: value|Name: value". */
static const char *sent(struct fixture *f)
{
    struct http1_header out[SAGEMAKER_PARAMETERS + 1];
    struct span text = SPAN("");
    size_t count = fill_upstream_headers(&f->result, &f->upstream, out);
    assert_true(span_equals(out[0].name, SPAN("Host")));
    assert_true(span_equals(out[0].value, SPAN("upstream.example")));
    for (size_t i = 1; i != count; ++i)
        text = arena_printf(&f->arena, "%.*s%s%.*s: %.*s", SPAN_ARG(text), i == 1 ? "" : "|",
                            SPAN_ARG(out[i].name), SPAN_ARG(out[i].value));
    return text.at;
}

static void check_sent(struct fixture *f, const char *headers, const char *wanted)
{
    if (fill(f, headers) != OUTCOME_OK)
        fail_msg("%s: %.*s", headers, SPAN_ARG(f->result.message));
    if (strcmp(sent(f), wanted) != 0)
        fail_msg("%s: \"%s\", not \"%s\"", headers, sent(f), wanted);
}

/* ---- without policies -------------------------------------------------------------------------- */

static void test_passes_what_the_caller_sends(void **state)
{
    struct fixture *f = *state;
    check_sent(f, "", "");
    assert_true(span_equals(f->result.endpoint, SPAN("fraud-prod")));
    assert_true(span_equals(f->result.path, SPAN("/endpoints/fraud-prod/invocations")));
    assert_int_equal(f->result.operation, SAGEMAKER_INVOKE);
    check_sent(f, "x-amzn-sagemaker-target-variant:  A \r\ncontent-TYPE: text/csv\r\n",
               "Content-Type: text/csv|" SM "Target-Variant: A");
    assert_int_equal(f->result.parameters[SAGEMAKER_TARGET_VARIANT].source, FILL_CALLER);
    assert_int_equal(f->result.parameters[SAGEMAKER_ACCEPT].source, FILL_ABSENT);
    assert_null(f->result.parameters[SAGEMAKER_ACCEPT].caller_value.at);
    /* An empty one is none; what is unasked passes where the route says nothing of it. */
    check_sent(f, SM "Target-Variant:\r\nAccept: */*\r\n", "Accept: */*");
    check_sent(f, "Content-Type: application/x-www-form-urlencoded\r\n",
               "Content-Type: application/x-www-form-urlencoded");
}

static void test_async_has_headers_of_its_own(void **state)
{
    struct fixture *f = *state;
    f->route.operation = CONFIG_ASYNC;
    check_sent(f, "Content-Type: text/csv\r\nAccept: text/plain\r\n",
               SM "Content-Type: text/csv|" SM "Accept: text/plain");
    assert_true(span_equals(f->result.path, SPAN("/endpoints/fraud-prod/async-invocations")));
    /* The operation's own header wins; the other is dropped. */
    check_sent(f, "Content-Type: text/csv\r\n" SM "Content-Type: a/b\r\n", SM "Content-Type: a/b");
    assert_true(span_equals(f->result.dropped_headers, SPAN("content-type")));
    check_sent(f, "Content-Type: text/csv\r\n" SM "Content-Type:\r\n", SM "Content-Type: text/csv");
    check_sent(f, SM "RequestTTLSeconds: 60\r\n" SM "InputLocation: s3://b/k\r\n",
               SM "InputLocation: s3://b/k|" SM "RequestTTLSeconds: 60");
}

/* ---- every parameter, good and bad ------------------------------------------------------------- */

static const char *repeated(struct fixture *f, char c, size_t count)
{
    char *text = arena_alloc(&f->arena, count + 1);
    memset(text, c, count);
    text[count] = '\0';
    return text;
}

static void check_parameter(struct fixture *f, enum config_operation operation,
                            enum sagemaker_parameter parameter, const char *value, bool good)
{
    const struct sagemaker_parameter_info *info = sagemaker_parameter_info(parameter);
    f->route.operation = operation;
    struct span header =
        info->header[operation == CONFIG_ASYNC ? SAGEMAKER_ASYNC : SAGEMAKER_INVOKE];
    struct span line = arena_printf(&f->arena, "%.*s: %s\r\n", SPAN_ARG(header), value);
    if ((fill(f, line.at) == OUTCOME_OK) != good)
        fail_msg("%s: %.*s", line.at, SPAN_ARG(f->result.message));
    if (good) {
        assert_string_equal(sent(f),
                            arena_printf(&f->arena, "%.*s: %s", SPAN_ARG(header), value).at);
        return;
    }
    assert_int_equal(f->result.outcome, OUTCOME_BAD_PARAMETER);
    check_says(
        f, arena_printf(&f->arena, "%.*s (%.*s): ", SPAN_ARG(info->api_name), SPAN_ARG(header)).at);
    check_says(f, "; it comes from the caller's header");

    /* The same value of the route's is refused as the route's. */
    policy(f, parameter)->value = compile(f, value);
    assert_int_equal(fill(f, ""), OUTCOME_BAD_PARAMETER);
    check_says(f, "; it comes from the value of route 'r'");
    f->route.parameters[parameter] = (struct config_policy){.set = false};
}

static void test_checks_every_parameter(void **state)
{
    struct fixture *f = *state;
    const struct {
        enum config_operation operation;
        enum sagemaker_parameter parameter;
        const char *good, *bad;
    } rows[] = {
        {CONFIG_INVOKE, SAGEMAKER_CONTENT_TYPE, "text/csv; charset=utf-8", "text/\xc3\xa4"},
        {CONFIG_INVOKE, SAGEMAKER_ACCEPT, "application/json", repeated(f, 'a', 1025)},
        {CONFIG_INVOKE, SAGEMAKER_CUSTOM_ATTRIBUTES, "a=b;\tc", repeated(f, 'a', 1025)},
        {CONFIG_INVOKE, SAGEMAKER_TARGET_MODEL, "a/b c.tar.gz", "a\tb"},
        {CONFIG_INVOKE, SAGEMAKER_TARGET_VARIANT, "a--B-1", "-a"},
        {CONFIG_INVOKE, SAGEMAKER_TARGET_CONTAINER_HOSTNAME, "c1", "c_1"},
        {CONFIG_INVOKE, SAGEMAKER_INFERENCE_ID, "x y!", repeated(f, 'x', 65)},
        {CONFIG_INVOKE, SAGEMAKER_ENABLE_EXPLANATIONS, "`true`", repeated(f, 'x', 65)},
        {CONFIG_INVOKE, SAGEMAKER_INFERENCE_COMPONENT_NAME, "ic-1", "ic."},
        {CONFIG_INVOKE, SAGEMAKER_SESSION_ID, "NEW_SESSION", "OLD_SESSION"},
        {CONFIG_INVOKE, SAGEMAKER_PREFIX_AWARE_ID, "p", "p\xff"},
        {CONFIG_ASYNC, SAGEMAKER_CONTENT_TYPE, "text/csv", "\x80"},
        {CONFIG_ASYNC, SAGEMAKER_ACCEPT, "text/csv", "\x80"},
        {CONFIG_ASYNC, SAGEMAKER_CUSTOM_ATTRIBUTES, repeated(f, 'a', 1024), "\x80"},
        {CONFIG_ASYNC, SAGEMAKER_INFERENCE_ID, repeated(f, 'x', 64), repeated(f, 'x', 65)},
        {CONFIG_ASYNC, SAGEMAKER_INPUT_LOCATION, "s3://bucket/key", "ftp://bucket/key"},
        {CONFIG_ASYNC, SAGEMAKER_REQUEST_TTL_SECONDS, "21600", "59"},
        {CONFIG_ASYNC, SAGEMAKER_INVOCATION_TIMEOUT_SECONDS, "3600", "3601"},
        {CONFIG_ASYNC, SAGEMAKER_S3_OUTPUT_PATH_EXTENSION, "a/b", "s3:x"},
        {CONFIG_ASYNC, SAGEMAKER_FILENAME, "a.json", "a.b.json"},
    };
    for (size_t i = 0; i != sizeof(rows) / sizeof(rows[0]); ++i) {
        check_parameter(f, rows[i].operation, rows[i].parameter, rows[i].good, true);
        check_parameter(f, rows[i].operation, rows[i].parameter, rows[i].bad, false);
    }
}

static void test_messages_are_whole(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(fill(f, SM "Target-Variant: a b\r\n"), OUTCOME_BAD_PARAMETER);
    check_says(f, "TargetVariant (" SM "Target-Variant): ");
    check_says(f, "byte 0x20 at position 2; it comes from the caller's header");
    assert_int_equal(fill(f, SM "Target-Variant: a\r\n" SM "target-variant: b\r\n"),
                     OUTCOME_BAD_PARAMETER);
    check_message(f, "TargetVariant (" SM "target-variant): a parameter has one value: the caller "
                     "sent the header twice");
    assert_int_equal(fill(f, "Content-Type: a/b\r\nContent-Type: a/b\r\n"), OUTCOME_BAD_PARAMETER);
    assert_int_equal(fill(f, SM "Target-Modell: m\r\n"), OUTCOME_BAD_PARAMETER);
    check_message(f, SM "Target-Modell: InvokeEndpoint has no such header, did you mean " SM
                        "Target-Model?");
    assert_int_equal(fill(f, SM "Inference-Component-Name: m\r\n"), OUTCOME_BAD_PARAMETER);
    check_says(f, "did you mean " SM "Inference-Component?");
    assert_int_equal(fill(f, SM "Zzzzzzzz: m\r\n"), OUTCOME_BAD_PARAMETER);
    check_message(f, SM "Zzzzzzzz: InvokeEndpoint has no such header");
    assert_int_equal(fill(f, SM ": m\r\n"), OUTCOME_BAD_PARAMETER);
    assert_int_equal(fill(f, SM "Filename: m\r\n"), OUTCOME_BAD_PARAMETER);
    check_message(f, "Filename (" SM "Filename): InvokeEndpoint has no such parameter");
    assert_int_equal(fill(f, SM "Accept: a/b\r\n"), OUTCOME_BAD_PARAMETER);
    check_message(f, "Accept (" SM "Accept): InvokeEndpoint takes it as Accept");
    f->route.operation = CONFIG_ASYNC;
    assert_int_equal(fill(f, SM "Target-Model: m\r\n"), OUTCOME_BAD_PARAMETER);
    check_message(f, "TargetModel (" SM "Target-Model): InvokeEndpointAsync has no such parameter");
}

/* ---- policies ---------------------------------------------------------------------------------- */

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
    /* The caller's may even be wrong: it is not used. */
    check_sent(f, SM "Target-Model: \xff\r\n", SM "Target-Model: v12.tar.gz");
    /* Who sends the same is not beaten. */
    check_sent(f, SM "Target-Model: v12.tar.gz\r\n", SM "Target-Model: v12.tar.gz");
    assert_int_equal(f->result.overridden, 0);
    /* A value that comes out empty does not let the caller's through. */
    policy(f, SAGEMAKER_TARGET_MODEL)->value = compile(f, "${header.X-Model}");
    check_sent(f, SM "Target-Model: other\r\n", "");
    assert_int_equal(f->result.overridden, bit);
    check_sent(f, "X-Model: m\r\n", SM "Target-Model: m");
    /* What is unasked is beaten without a word. */
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

static void test_an_append_that_does_not_fit_is_left_out(void **state)
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
    check_message(f, "TargetVariant (" SM "Target-Variant): one of A, B* (allow of route 'r'): it "
                     "is none of them; it comes from the caller's header");
    p->default_value = compile(f, "${header.X-Variant}");
    check_sent(f, "X-Variant: B\r\n", SM "Target-Variant: B");
    assert_int_equal(fill(f, "X-Variant: C\r\n"), OUTCOME_BAD_PARAMETER);
    check_says(f, "; it comes from the default of route 'r'");
    p->append = compile(f, "x");
    assert_int_equal(fill(f, SM "Target-Variant: A\r\n"), OUTCOME_BAD_PARAMETER);
    check_says(f, "; it comes from the caller's header and the append of route 'r'");
    check_sent(f, SM "Target-Variant: B\r\n", SM "Target-Variant: Bx");
}

static void test_a_long_list_is_cut(void **state)
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
    check_message(f, "ContentType (Content-Type): required by route 'r': the caller sent none");
    assert_int_equal(fill(f, "Content-Type: \r\n"), OUTCOME_BAD_PARAMETER);
    assert_int_equal(fill(f, "Content-Type: application/x-www-form-urlencoded\r\n"),
                     OUTCOME_BAD_PARAMETER);
    check_sent(f, "Content-Type: a/b\r\n", "Content-Type: a/b");
    p->default_value = compile(f, "${header.X-Type}");
    assert_int_equal(fill(f, ""), OUTCOME_BAD_PARAMETER);
    check_message(f, "ContentType (Content-Type): required by route 'r': the caller sent none and "
                     "its default \"${header.X-Type}\" gives none");
    check_sent(f, "X-Type: c/d\r\n", "Content-Type: c/d");
    p->value = compile(f, "${query.type}");
    assert_int_equal(fill(f, "Content-Type: a/b\r\n"), OUTCOME_BAD_PARAMETER);
    check_message(f, "ContentType (Content-Type): required by route 'r': its value "
                     "\"${query.type}\" gives none");
}

static void test_callers_may_set(void **state)
{
    struct fixture *f = *state;
    f->route.callers_may_set_given = true;
    f->route.callers_may_set = 1u << SAGEMAKER_CUSTOM_ATTRIBUTES;
    policy(f, SAGEMAKER_TARGET_MODEL)->value = compile(f, "m");
    check_sent(f, SM "Custom-Attributes: a\r\n", SM "Custom-Attributes: a|" SM "Target-Model: m");
    /* Curl's Accept and Content-Type are not held against it ... */
    check_sent(f, "Accept: */*\r\nContent-Type: application/x-www-form-urlencoded\r\n",
               SM "Target-Model: m");
    /* ... unless the route is strict. */
    policy(f, SAGEMAKER_ACCEPT)->strict_default = true;
    assert_int_equal(fill(f, "Accept: */*\r\n"), OUTCOME_BAD_PARAMETER);
    check_message(f, "Accept (Accept): not among callers_may_set of route 'r': the caller sent it");
    assert_int_equal(fill(f, "Content-Type: a/b\r\n"), OUTCOME_BAD_PARAMETER);
    assert_int_equal(fill(f, SM "Target-Model: m\r\n"), OUTCOME_BAD_PARAMETER);
    check_sent(f, SM "Target-Model:\r\n", SM "Target-Model: m");
}

static void test_policies_of_other_operations_are_left_out(void **state)
{
    struct fixture *f = *state;
    f->route.operation = CONFIG_ASYNC;
    policy(f, SAGEMAKER_TARGET_MODEL)->value = compile(f, "m");
    policy(f, SAGEMAKER_TARGET_VARIANT)->required = true;
    check_sent(f, "", "");
}

/* ---- templates --------------------------------------------------------------------------------- */

static void test_sources_of_templates(void **state)
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

static void test_ambiguous_sources_are_refused(void **state)
{
    struct fixture *f = *state;
    struct config_policy *p = policy(f, SAGEMAKER_TARGET_MODEL);
    p->value = compile(f, "${header.X-Tenant:-none}");
    assert_int_equal(fill(f, "X-Tenant: a\r\nX-Tenant: b\r\n"), OUTCOME_BAD_PARAMETER);
    check_message(f, "TargetModel (" SM "Target-Model): route 'r' takes it from the request: the "
                     "header X-Tenant came twice");
    p->value = compile(f, "${query.m}");
    assert_int_equal(fill_target(f, "/p?m=1&m=2", ""), OUTCOME_BAD_PARAMETER);
    check_says(f, "the query's m came twice");
    assert_int_equal(fill_target(f, "/p?x=1&m=%41", ""), OUTCOME_OK);
    assert_string_equal(sent(f), SM "Target-Model: A");
}

/* What is decoded cannot become a header of its own. */
static void test_line_ends_do_not_get_through(void **state)
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

/* ---- the endpoint ------------------------------------------------------------------------------ */

static void test_endpoint_from_the_request(void **state)
{
    struct fixture *f = *state;
    f->route.endpoint = compile(f, "${query.e}");
    f->route.endpoint_allow = one_span(f, "fraud-*");
    f->route.endpoint_allow_count = 1;
    assert_int_equal(fill_target(f, "/p?e=fraud-1", ""), OUTCOME_OK);
    assert_true(span_equals(f->result.path, SPAN("/endpoints/fraud-1/invocations")));
    assert_int_equal(fill_target(f, "/p?e=chat-1", ""), OUTCOME_BAD_PARAMETER);
    check_message(f, "EndpointName: one of fraud-* (allow of route 'r'): it is 'chat-1'");
    assert_int_equal(fill_target(f, "/p", ""), OUTCOME_BAD_PARAMETER);
    check_message(f, "EndpointName: required: \"${query.e}\" of route 'r' gives none");
    assert_int_equal(fill_target(f, "/p?e=fraud-1%2f..", ""), OUTCOME_BAD_PARAMETER);
    check_says(f, "; it comes from the request, through route 'r'");
    assert_int_equal(fill_target(f, "/p?e=fraud-1&e=fraud-2", ""), OUTCOME_BAD_PARAMETER);
    f->route.endpoint = compile(f, "a_b");
    f->route.endpoint_allow_count = 0;
    assert_int_equal(fill(f, ""), OUTCOME_BAD_PARAMETER);
    check_says(f, "'_' at position 2; it comes from route 'r'");
}

/* ---- the native API ---------------------------------------------------------------------------- */

static void test_native(void **state)
{
    struct fixture *f = *state;
    f->route.operation = CONFIG_NATIVE;
    f->route.endpoint = compile(f, "${path.endpoint}");
    capture(f, SPAN("endpoint"), SPAN("e1"));
    capture(f, SPAN(""), SPAN("invocations"));
    assert_int_equal(
        fill_target(f, "/endpoints/e1/invocations",
                    "Authorization: AWS4-HMAC-SHA256 x\r\nX-Amz-Date: d\r\nUser-Agent: b\r\n"
                    "X-Amz-Security-Token: t\r\namz-sdk-request: attempt=1\r\nAccept: a/b\r\n" SM
                    "Target-Model: m\r\n"),
        OUTCOME_OK);
    assert_int_equal(f->result.operation, SAGEMAKER_INVOKE);
    assert_true(span_equals(f->result.path, SPAN("/endpoints/e1/invocations")));
    assert_string_equal(sent(f), "Accept: a/b|" SM "Target-Model: m");
    assert_true(span_equals(
        f->result.dropped_headers,
        SPAN("authorization,x-amz-date,user-agent,x-amz-security-token,amz-sdk-request")));

    /* The wire headers of the operation alone: a stream's Accept is not the transport's. */
    assert_int_equal(fill_target(f, "/endpoints/e1/invocations-response-stream",
                                 "Accept: */*\r\n" SM "Accept: a/b\r\nContent-Type: c/d\r\n"),
                     OUTCOME_OK);
    assert_int_equal(f->result.operation, SAGEMAKER_STREAM);
    assert_true(span_equals(f->result.path, SPAN("/endpoints/e1/invocations-response-stream")));
    assert_string_equal(sent(f), "Content-Type: c/d|" SM "Accept: a/b");
    assert_int_equal(fill_target(f, "/endpoints/e1/async-invocations",
                                 "Accept: */*\r\nContent-Type: c/d\r\n" SM
                                 "InputLocation: s3://b/k\r\n"),
                     OUTCOME_OK);
    assert_int_equal(f->result.operation, SAGEMAKER_ASYNC);
    assert_string_equal(sent(f), SM "InputLocation: s3://b/k");

    assert_int_equal(
        fill_target(f, "/endpoints/e1/invocations-response-stream", SM "Target-Model: m\r\n"),
        OUTCOME_BAD_PARAMETER);
    check_says(f, "InvokeEndpointWithResponseStream has no such parameter");
}

static void test_native_knows_its_paths(void **state)
{
    static const char *const paths[] = {"/endpoints/e1/", "/endpoints/e1/Invocations",
                                        "/endpoints/e1/invocation", "/endpoints/e1/invocations2"};
    struct fixture *f = *state;
    f->route.operation = CONFIG_NATIVE;
    for (size_t i = 0; i != sizeof(paths) / sizeof(paths[0]); ++i)
        assert_int_equal(fill_target(f, paths[i], ""), OUTCOME_NO_ROUTE);
    check_message(f, "route 'r' takes the native API, /endpoints/NAME/OPERATION, and knows no "
                     "operation by this path; there are invocations, invocations-response-stream, "
                     "async-invocations");
    capture(f, SPAN(""), SPAN("x/invocations"));
    assert_int_equal(fill_target(f, "/endpoints/e1/x/invocations", ""), OUTCOME_NO_ROUTE);
}

/* ---- what is not taken over -------------------------------------------------------------------- */

static void test_drops_headers(void **state)
{
    struct fixture *f = *state;
    check_sent(f,
               "Connection: close, X-Amzn-SageMaker-Target-Model\r\nContent-Length: 0\r\n"
               "Expect: 100-continue\r\nKeep-Alive: 5\r\nTE: trailers\r\n"
               "Proxy-Authorization: x\r\n" SM "Target-Model: m\r\nContent-Encoding: Identity\r\n"
               "Traceparent: x\r\nCookie: c\r\nAccept-Encoding: gzip\r\n" SM
               "Target-Variant: A\r\n",
               SM "Target-Variant: A");
    assert_string_equal(arena_copy(&f->arena, f->result.dropped_headers).at,
                        "keep-alive,te,proxy-authorization,x-amzn-sagemaker-target-model,"
                        "content-encoding,traceparent,cookie,accept-encoding");
}

static void test_the_list_of_dropped_headers_is_bounded(void **state)
{
    struct fixture *f = *state;
    for (size_t length = 120; length != 136; ++length) {
        struct span lines = arena_printf(&f->arena, "%s: 1\r\n%s: 2\r\n", repeated(f, 'a', length),
                                         repeated(f, 'b', length));
        assert_int_equal(fill(f, lines.at), OUTCOME_OK);
        assert_int_equal(f->result.dropped_headers.len,
                         2 * length + 1 <= 256 ? 2 * length + 1 : length);
    }
    struct span line = arena_printf(&f->arena, "%s: 1\r\n", repeated(f, 'a', 300));
    assert_int_equal(fill(f, line.at), OUTCOME_OK);
    assert_int_equal(f->result.dropped_headers.len, 0);
}

static void test_encodings(void **state)
{
    static const struct {
        const char *headers;
        enum outcome outcome;
    } rows[] = {
        {"Content-Encoding: gzip\r\n", OUTCOME_UNSUPPORTED_ENCODING},
        {"content-encoding: GZIP\r\n", OUTCOME_UNSUPPORTED_ENCODING},
        {"Content-Encoding: identity, gzip\r\n", OUTCOME_UNSUPPORTED_ENCODING},
        {"Content-Encoding: identity\r\nContent-Encoding: br\r\n", OUTCOME_UNSUPPORTED_ENCODING},
        {"Connection: Content-Encoding\r\nContent-Encoding: gzip\r\n",
         OUTCOME_UNSUPPORTED_ENCODING},
        {"Content-Encoding: identity\r\n", OUTCOME_OK},
        {"Content-Encoding: IDENTITY\r\n", OUTCOME_OK},
        {"Content-Encoding:\r\n", OUTCOME_OK},
    };
    struct fixture *f = *state;
    for (size_t i = 0; i != sizeof(rows) / sizeof(rows[0]); ++i)
        if (fill(f, rows[i].headers) != rows[i].outcome)
            fail_msg("%s", rows[i].headers);
    assert_int_equal(fill(f, "Content-Encoding: gzip\r\n"), OUTCOME_UNSUPPORTED_ENCODING);
    check_says(f, "not as 'gzip'");
}

static void test_all_headers_at_once(void **state)
{
    struct fixture *f = *state;
    struct http1_header out[SAGEMAKER_PARAMETERS + 1];
    for (int i = 0; i != SAGEMAKER_PARAMETERS; ++i)
        policy(f, (enum sagemaker_parameter)i)->value = compile(f, "70");
    policy(f, SAGEMAKER_INPUT_LOCATION)->value = compile(f, "s3://70");
    assert_int_equal(fill(f, ""), OUTCOME_OK);
    assert_int_equal(fill_upstream_headers(&f->result, &f->upstream, out), 12);
    f->route.operation = CONFIG_ASYNC;
    assert_int_equal(fill(f, ""), OUTCOME_OK);
    assert_int_equal(fill_upstream_headers(&f->result, &f->upstream, out), 10);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_passes_what_the_caller_sends),
        TEST(test_async_has_headers_of_its_own),
        TEST(test_checks_every_parameter),
        TEST(test_messages_are_whole),
        TEST(test_default),
        TEST(test_value),
        TEST(test_append),
        TEST(test_an_append_that_does_not_fit_is_left_out),
        TEST(test_allow),
        TEST(test_a_long_list_is_cut),
        TEST(test_required),
        TEST(test_callers_may_set),
        TEST(test_policies_of_other_operations_are_left_out),
        TEST(test_sources_of_templates),
        TEST(test_ambiguous_sources_are_refused),
        TEST(test_line_ends_do_not_get_through),
        TEST(test_endpoint_from_the_request),
        TEST(test_native),
        TEST(test_native_knows_its_paths),
        TEST(test_drops_headers),
        TEST(test_the_list_of_dropped_headers_is_bounded),
        TEST(test_encodings),
        TEST(test_all_headers_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
