// links: net gateway
/* Filling in parameters: each one valid and invalid, the endpoint, the native API, dropped
 * headers. */
#include "fill_fixture.h"

/* ---- without policies ------------------------------------------------------------------------ */

static void test_passes_client_parameters(void **state)
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
    /* An empty header counts as absent; client parameters pass if the route does not set them. */
    check_sent(f, SM "Target-Variant:\r\nAccept: */*\r\n", "Accept: */*");
    check_sent(f, "Content-Type: application/x-www-form-urlencoded\r\n",
               "Content-Type: application/x-www-form-urlencoded");
}

static void test_async_headers(void **state)
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

/* ---- every parameter, valid and invalid ------------------------------------------------------ */

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

    /* The same value from the route is reported as the route's error. */
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

static void test_messages_are_complete(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(fill(f, SM "Target-Variant: a b\r\n"), OUTCOME_BAD_PARAMETER);
    check_says(f, "TargetVariant (" SM "Target-Variant): ");
    check_says(f, "byte 0x20 at position 2; it comes from the caller's header");
    assert_int_equal(fill(f, SM "Target-Variant: a\r\n" SM "target-variant: b\r\n"),
                     OUTCOME_BAD_PARAMETER);
    check_message(f, "TargetVariant (" SM "target-variant): duplicate header; send it once");
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
    check_message(f, "Accept (" SM "Accept): InvokeEndpoint expects it as Accept");
    f->route.operation = CONFIG_ASYNC;
    assert_int_equal(fill(f, SM "Target-Model: m\r\n"), OUTCOME_BAD_PARAMETER);
    check_message(f, "TargetModel (" SM "Target-Model): InvokeEndpointAsync has no such parameter");
}

/* ---- the endpoint ---------------------------------------------------------------------------- */

static void test_endpoint_from_the_request(void **state)
{
    struct fixture *f = *state;
    f->route.endpoint = compile(f, "${query.e}");
    f->route.endpoint_allow = one_span(f, "fraud-*");
    f->route.endpoint_allow_count = 1;
    assert_int_equal(fill_target(f, "/p?e=fraud-1", ""), OUTCOME_OK);
    assert_true(span_equals(f->result.path, SPAN("/endpoints/fraud-1/invocations")));
    assert_int_equal(fill_target(f, "/p?e=chat-1", ""), OUTCOME_BAD_PARAMETER);
    check_message(f, "EndpointName: must match one of fraud-* (allow of route 'r'), not 'chat-1'");
    assert_int_equal(fill_target(f, "/p", ""), OUTCOME_BAD_PARAMETER);
    check_message(f, "EndpointName: required, but \"${query.e}\" of route 'r' is empty");
    assert_int_equal(fill_target(f, "/p?e=fraud-1%2f..", ""), OUTCOME_BAD_PARAMETER);
    check_says(f, "; it comes from the request, through route 'r'");
    assert_int_equal(fill_target(f, "/p?e=fraud-1&e=fraud-2", ""), OUTCOME_BAD_PARAMETER);
    f->route.endpoint = compile(f, "a_b");
    f->route.endpoint_allow_count = 0;
    assert_int_equal(fill(f, ""), OUTCOME_BAD_PARAMETER);
    check_says(f, "'_' at position 2; it comes from route 'r'");
}

/* ---- the native API -------------------------------------------------------------------------- */

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

    /* Only the operation's wire headers: a stream's Accept is not HTTP's. */
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

static void test_native_paths(void **state)
{
    static const char *const paths[] = {"/endpoints/e1/", "/endpoints/e1/Invocations",
                                        "/endpoints/e1/invocation", "/endpoints/e1/invocations2"};
    struct fixture *f = *state;
    f->route.operation = CONFIG_NATIVE;
    for (size_t i = 0; i != sizeof(paths) / sizeof(paths[0]); ++i)
        assert_int_equal(fill_target(f, paths[i], ""), OUTCOME_NO_ROUTE);
    check_message(f, "unknown operation on native route 'r': the path must be "
                     "/endpoints/NAME/OPERATION, with one of invocations, "
                     "invocations-response-stream, async-invocations");
    capture(f, SPAN(""), SPAN("x/invocations"));
    assert_int_equal(fill_target(f, "/endpoints/e1/x/invocations", ""), OUTCOME_NO_ROUTE);
}

/* ---- dropped headers ------------------------------------------------------------------------- */

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

static void test_dropped_header_list_is_bounded(void **state)
{
    struct fixture *f = *state;
    for (size_t length = 120; length != 136; ++length) {
        struct span lines = arena_printf(&f->arena, "%s: 1\r\n%s: 2\r\n", repeated(f, 'a', length),
                                         repeated(f, 'b', length));
        assert_int_equal(fill(f, lines.at), OUTCOME_OK);
        assert_int_equal(f->result.dropped_headers.len,
                         2 * length + 1 <= 256 ? 2 * length + 1 : length + 4); /* ",..." */
    }
    struct span line = arena_printf(&f->arena, "%s: 1\r\n", repeated(f, 'a', 300));
    assert_int_equal(fill(f, line.at), OUTCOME_OK);
    assert_true(span_equals(f->result.dropped_headers, SPAN("...")));
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

static void test_all_headers_together(void **state)
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
        TEST(test_passes_client_parameters),
        TEST(test_async_headers),
        TEST(test_checks_every_parameter),
        TEST(test_messages_are_complete),
        TEST(test_endpoint_from_the_request),
        TEST(test_native),
        TEST(test_native_paths),
        TEST(test_drops_headers),
        TEST(test_dropped_header_list_is_bounded),
        TEST(test_encodings),
        TEST(test_all_headers_together),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
