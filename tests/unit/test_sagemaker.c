/* The API table: exact headers, each operation's parameters, and the message for each invalid
 * value. */
#include "aws/sagemaker.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "arena_fixture.h"

#define INVOKE SAGEMAKER_INVOKE
#define STREAM SAGEMAKER_STREAM
#define ASYNC  SAGEMAKER_ASYNC
#define SM     "X-Amzn-SageMaker-"

static void assert_span(struct span s, const char *expected)
{
    if (expected == NULL) {
        assert_null(s.at);
        return;
    }
    if (!span_equals(s, span_from(expected)))
        fail_msg("'%.*s' is not '%s'", SPAN_ARG(s), expected);
}

/* ---- the table ---- */

static const struct {
    const char *name, *api_name, *header[SAGEMAKER_OPERATIONS];
} rows[SAGEMAKER_PARAMETERS] = {
    {"content_type", "ContentType", {"Content-Type", "Content-Type", SM "Content-Type"}},
    {"accept", "Accept", {"Accept", SM "Accept", SM "Accept"}},
    {"custom_attributes",
     "CustomAttributes",
     {SM "Custom-Attributes", SM "Custom-Attributes", SM "Custom-Attributes"}},
    {"target_model", "TargetModel", {SM "Target-Model", NULL, NULL}},
    {"target_variant", "TargetVariant", {SM "Target-Variant", SM "Target-Variant", NULL}},
    {"target_container_hostname",
     "TargetContainerHostname",
     {SM "Target-Container-Hostname", SM "Target-Container-Hostname", NULL}},
    {"inference_id", "InferenceId", {SM "Inference-Id", SM "Inference-Id", SM "Inference-Id"}},
    {"enable_explanations", "EnableExplanations", {SM "Enable-Explanations", NULL, NULL}},
    {"inference_component_name",
     "InferenceComponentName",
     {SM "Inference-Component", SM "Inference-Component", NULL}},
    {"session_id", "SessionId", {SM "Session-Id", SM "Session-Id", NULL}},
    {"prefix_aware_id", "PrefixAwareId", {SM "Prefix-Aware-Id", SM "Prefix-Aware-Id", NULL}},
    {"input_location", "InputLocation", {NULL, NULL, SM "InputLocation"}},
    {"request_ttl_seconds", "RequestTTLSeconds", {NULL, NULL, SM "RequestTTLSeconds"}},
    {"invocation_timeout_seconds",
     "InvocationTimeoutSeconds",
     {NULL, NULL, SM "InvocationTimeoutSeconds"}},
    {"s3_output_path_extension", "S3OutputPathExtension", {NULL, NULL, SM "S3OutputPathExtension"}},
    {"filename", "Filename", {NULL, NULL, SM "Filename"}},
};

static void test_parameters(void **state)
{
    (void)state;
    for (unsigned i = 0; i != SAGEMAKER_PARAMETERS; ++i) {
        const struct sagemaker_parameter_info *info =
            sagemaker_parameter_info((enum sagemaker_parameter)i);
        enum sagemaker_parameter found;
        assert_span(info->name, rows[i].name);
        assert_span(info->api_name, rows[i].api_name);
        for (unsigned operation = 0; operation != SAGEMAKER_OPERATIONS; ++operation)
            assert_span(info->header[operation], rows[i].header[operation]);
        assert_true(sagemaker_parameter_by_name(span_from(rows[i].name), &found));
        assert_int_equal(found, i);
    }
    enum sagemaker_parameter untouched = SAGEMAKER_FILENAME;
    static const char *const strangers[] = {"", "Accept", "accept ", "endpoint_name", "body"};
    for (size_t i = 0; i != sizeof(strangers) / sizeof(strangers[0]); ++i)
        assert_false(sagemaker_parameter_by_name(span_from(strangers[i]), &untouched));
    assert_int_equal(untouched, SAGEMAKER_FILENAME);
}

static void test_operations(void **state)
{
    static const char *const expected[SAGEMAKER_OPERATIONS][3] = {
        {"invoke", "InvokeEndpoint", "invocations"},
        {"stream", "InvokeEndpointWithResponseStream", "invocations-response-stream"},
        {"async", "InvokeEndpointAsync", "async-invocations"},
    };
    enum sagemaker_operation found;
    (void)state;
    for (unsigned i = 0; i != SAGEMAKER_OPERATIONS; ++i) {
        const struct sagemaker_operation_info *info =
            sagemaker_operation_info((enum sagemaker_operation)i);
        assert_span(info->name, expected[i][0]);
        assert_span(info->api_name, expected[i][1]);
        assert_span(info->path_suffix, expected[i][2]);
        assert_true(sagemaker_operation_by_suffix(info->path_suffix, &found));
        assert_int_equal(found, i);
    }
    assert_false(sagemaker_operation_by_suffix(SPAN("Invocations"), &found));
    assert_false(sagemaker_operation_by_suffix(SPAN("invocations/"), &found));
    assert_false(sagemaker_operation_by_suffix(SPAN(""), &found));
    assert_false(sagemaker_operation_by_suffix(SPAN("invocations-bidirectional-stream"), &found));
}

static void test_client_headers(void **state)
{
    static const struct {
        enum sagemaker_operation operation;
        const char *header;
        int parameter; /* -1: none */
        bool exact;
    } cases[] = {
        {INVOKE, "content-type", SAGEMAKER_CONTENT_TYPE, true},
        {INVOKE, "ACCEPT", SAGEMAKER_ACCEPT, true},
        {INVOKE, "x-amzn-sagemaker-accept", -1, false},
        {STREAM, "Content-Type", SAGEMAKER_CONTENT_TYPE, true},
        {STREAM, "Accept", SAGEMAKER_ACCEPT, false},
        {STREAM, "x-amzn-sagemaker-accept", SAGEMAKER_ACCEPT, true},
        {STREAM, SM "Target-Model", -1, false},
        {STREAM, SM "Enable-Explanations", -1, false},
        {ASYNC, "Content-Type", SAGEMAKER_CONTENT_TYPE, false},
        {ASYNC, "accept", SAGEMAKER_ACCEPT, false},
        {ASYNC, SM "content-type", SAGEMAKER_CONTENT_TYPE, true},
        {ASYNC, SM "Target-Variant", -1, false},
        {ASYNC, "X-AMZN-SAGEMAKER-REQUESTTTLSECONDS", SAGEMAKER_REQUEST_TTL_SECONDS, true},
        {INVOKE, SM "RequestTTLSeconds", -1, false},
        {INVOKE, SM "Target-Model", SAGEMAKER_TARGET_MODEL, true},
        {INVOKE, SM "Target-Models", -1, false},
        {INVOKE, SM "Target_Model", -1, false},
        {INVOKE, "TargetModel", -1, false},
        {INVOKE, "", -1, false},
        {INVOKE, "Host", -1, false},
    };
    (void)state;
    for (size_t i = 0; i != sizeof(cases) / sizeof(cases[0]); ++i) {
        enum sagemaker_parameter parameter = SAGEMAKER_PARAMETERS;
        bool exact = false;
        bool found = sagemaker_parameter_by_header(cases[i].operation, span_from(cases[i].header),
                                                   &parameter, &exact);
        assert_int_equal(found, cases[i].parameter >= 0);
        if (found)
            assert_int_equal(parameter, cases[i].parameter);
        assert_int_equal(exact, cases[i].exact);
    }
}

static void test_operation_headers(void **state)
{
    enum sagemaker_parameter parameter;
    (void)state;
    assert_true(sagemaker_parameter_of_any(SPAN("x-amzn-sagemaker-target-model"), &parameter));
    assert_int_equal(parameter, SAGEMAKER_TARGET_MODEL);
    assert_true(sagemaker_parameter_of_any(SPAN("x-amzn-sagemaker-accept"), &parameter));
    assert_int_equal(parameter, SAGEMAKER_ACCEPT);
    assert_true(sagemaker_parameter_of_any(SPAN("X-Amzn-SageMaker-Filename"), &parameter));
    assert_int_equal(parameter, SAGEMAKER_FILENAME);
    assert_false(sagemaker_parameter_of_any(SPAN("X-Amzn-Trace-Id"), &parameter));
    assert_false(sagemaker_parameter_of_any(SPAN(""), &parameter));
    assert_false(sagemaker_parameter_of_any(SPAN_NONE, &parameter));
}

/* ---- values ---- */

/* `times` > 0: repeats the value. fault NULL: a valid value. */
struct value_case {
    enum sagemaker_operation operation;
    enum sagemaker_parameter parameter;
    const char *value;
    unsigned times;
    const char *fault;
};

#define P(parameter) SAGEMAKER_##parameter

static const struct value_case value_cases[] = {
    {INVOKE, P(CONTENT_TYPE), "", 0, NULL},
    {INVOKE, P(CONTENT_TYPE), "text/csv; header=present", 0, NULL},
    {INVOKE, P(CONTENT_TYPE), "a", 1024, NULL},
    {INVOKE, P(CONTENT_TYPE), "a", 1025, "0 to 1024 characters: it has 1025"},
    {ASYNC, P(ACCEPT), "a\x7f", 0, "printable ASCII and inner tabs: byte 0x7f at position 2"},
    {INVOKE, P(CUSTOM_ATTRIBUTES), "a\tb c", 0, NULL},
    {INVOKE, P(CUSTOM_ATTRIBUTES), "", 0, NULL},
    {INVOKE, P(CUSTOM_ATTRIBUTES), "\ta", 0,
     "printable ASCII and inner tabs: byte 0x09 at position 1"},
    {INVOKE, P(CUSTOM_ATTRIBUTES), "a\t", 0,
     "printable ASCII and inner tabs: byte 0x09 at position 2"},
    {INVOKE, P(CUSTOM_ATTRIBUTES), "a\r\nX-Evil: 1", 0,
     "printable ASCII and inner tabs: byte 0x0d at position 2"},
    {INVOKE, P(CUSTOM_ATTRIBUTES), "gr\xc3\xbc", 0,
     "printable ASCII and inner tabs: byte 0xc3 at position 3"},
    {STREAM, P(CUSTOM_ATTRIBUTES), "a", 1025, "0 to 1024 characters: it has 1025"},
    {INVOKE, P(TARGET_MODEL), "models/fraud v12.tar.gz", 0, NULL},
    {INVOKE, P(TARGET_MODEL), "", 0, "1 to 1024 characters: it is empty"},
    {INVOKE, P(TARGET_MODEL), " a", 0,
     "printable ASCII that does not begin with a blank: byte 0x20 at position 1"},
    {INVOKE, P(TARGET_MODEL), "a\tb", 0,
     "printable ASCII that does not begin with a blank: byte 0x09 at position 2"},
    {STREAM, P(TARGET_MODEL), "a", 0,
     "not a parameter of InvokeEndpointWithResponseStream: it is set"},
    {INVOKE, P(TARGET_VARIANT), "variant-A-1", 0, NULL},
    {INVOKE, P(TARGET_VARIANT), "a--b", 0, NULL},
    {INVOKE, P(TARGET_VARIANT), "a", 63, NULL},
    {INVOKE, P(TARGET_VARIANT), "a", 64, "1 to 63 characters: it has 64"},
    {INVOKE, P(TARGET_VARIANT), "", 0, "1 to 63 characters: it is empty"},
    {INVOKE, P(TARGET_VARIANT), "-a", 0, "letters, digits and inner hyphens: '-' at position 1"},
    {INVOKE, P(TARGET_VARIANT), "a-", 0, "letters, digits and inner hyphens: '-' at position 2"},
    {INVOKE, P(TARGET_VARIANT), "a_b", 0, "letters, digits and inner hyphens: '_' at position 2"},
    {ASYNC, P(TARGET_VARIANT), "a", 0, "not a parameter of InvokeEndpointAsync: it is set"},
    {INVOKE, P(TARGET_CONTAINER_HOSTNAME), "a.b", 0,
     "letters, digits and inner hyphens: '.' at position 2"},
    {INVOKE, P(INFERENCE_ID), "018f3c1e-7a3b-7c3e-9d6f-0123456789ab", 0, NULL},
    {INVOKE, P(INFERENCE_ID), "a", 70, "1 to 64 characters: it has 70"},
    {INVOKE, P(ENABLE_EXPLANATIONS), "`true`", 0, NULL},
    {INVOKE, P(ENABLE_EXPLANATIONS), "", 0, "1 to 64 characters: it is empty"},
    {INVOKE, P(INFERENCE_COMPONENT_NAME), "ic-1", 0, NULL},
    {INVOKE, P(SESSION_ID), "NEW_SESSION", 0, NULL},
    {INVOKE, P(SESSION_ID), "a", 256, NULL},
    {INVOKE, P(SESSION_ID), "NEW_SESSIONS", 0,
     "NEW_SESSION, or letters, digits and inner hyphens: '_' at position 4"},
    {STREAM, P(SESSION_ID), "NEW_SESSION", 0,
     "letters, digits and inner hyphens: '_' at position 4"},
    {STREAM, P(SESSION_ID), "a", 257, "1 to 256 characters: it has 257"},
    {STREAM, P(PREFIX_AWARE_ID), "user 7", 0, NULL},
    {ASYNC, P(PREFIX_AWARE_ID), "a", 0, "not a parameter of InvokeEndpointAsync: it is set"},
    {ASYNC, P(INPUT_LOCATION), "s3://bucket/key with blank", 0, NULL},
    {ASYNC, P(INPUT_LOCATION), "https://h", 0, NULL},
    {ASYNC, P(INPUT_LOCATION), "http://h/x", 0,
     "https://HOST/... or s3://BUCKET/...: the scheme is different"},
    {ASYNC, P(INPUT_LOCATION), "s3:///key", 0,
     "https://HOST/... or s3://BUCKET/...: the bucket is missing"},
    {ASYNC, P(INPUT_LOCATION), "https://", 0,
     "https://HOST/... or s3://BUCKET/...: the host is missing"},
    {ASYNC, P(INPUT_LOCATION), "s3://b/\n", 0, "printable ASCII: byte 0x0a at position 8"},
    {ASYNC, P(REQUEST_TTL_SECONDS), "60", 0, NULL},
    {ASYNC, P(REQUEST_TTL_SECONDS), "21600", 0, NULL},
    {ASYNC, P(REQUEST_TTL_SECONDS), "59", 0, "a whole number from 60 to 21600: it is 59"},
    {ASYNC, P(REQUEST_TTL_SECONDS), "21601", 0, "a whole number from 60 to 21600: it is 21601"},
    {ASYNC, P(REQUEST_TTL_SECONDS), "", 0, "a whole number from 60 to 21600: it is empty"},
    {ASYNC, P(REQUEST_TTL_SECONDS), "1h", 0, "a whole number from 60 to 21600: 'h' at position 2"},
    {ASYNC, P(REQUEST_TTL_SECONDS), "9", 100,
     "a whole number from 60 to 21600: it is 99999999999999999999"},
    {ASYNC, P(INVOCATION_TIMEOUT_SECONDS), "1", 0, NULL},
    {ASYNC, P(INVOCATION_TIMEOUT_SECONDS), "0", 0, "a whole number from 1 to 3600: it is 0"},
    {ASYNC, P(INVOCATION_TIMEOUT_SECONDS), "-1", 0,
     "a whole number from 1 to 3600: '-' at position 1"},
    {ASYNC, P(S3_OUTPUT_PATH_EXTENSION), "a/b_(1)!*.'", 0, NULL},
    {ASYNC, P(S3_OUTPUT_PATH_EXTENSION), "s3://b", 0,
     "letters, digits and any of !_.*'()/-: ':' at position 3"},
    {ASYNC, P(S3_OUTPUT_PATH_EXTENSION), "a", 513, "1 to 512 characters: it has 513"},
    {ASYNC, P(FILENAME), "out-1_2.json", 0, NULL},
    {ASYNC, P(FILENAME), "a.b.c", 0,
     "a letter or digit, then letters, digits, '-', '_' and one '.': '.' at position 4"},
    {ASYNC, P(FILENAME), ".a", 0,
     "a letter or digit, then letters, digits, '-', '_' and one '.': '.' at position 1"},
    {ASYNC, P(FILENAME), "a", 33, "1 to 32 characters: it has 33"},
};

static void test_values(void **state)
{
    for (size_t i = 0; i != sizeof(value_cases) / sizeof(value_cases[0]); ++i) {
        const struct value_case *c = &value_cases[i];
        char repeated[2048];
        struct span value = span_from(c->value), fault = SPAN_NONE;
        if (c->times != 0) {
            memset(repeated, c->value[0], c->times);
            value = span_make(repeated, c->times);
        }
        bool good = sagemaker_check_parameter(c->operation, c->parameter, value, *state, &fault);
        if (good != (c->fault == NULL))
            fail_msg("'%.*s': %s", SPAN_ARG(value), good ? "accepted" : fault.at);
        assert_span(fault, c->fault);
    }
}

static void test_nul_is_invalid(void **state)
{
    struct span fault;
    assert_false(sagemaker_check_parameter(INVOKE, P(CUSTOM_ATTRIBUTES), span_make("a\0b", 3),
                                           *state, &fault));
    assert_span(fault, "printable ASCII and inner tabs: byte 0x00 at position 2");
    assert_false(sagemaker_check_parameter(ASYNC, P(S3_OUTPUT_PATH_EXTENSION), span_make("a\0", 2),
                                           *state, &fault));
    assert_span(fault, "letters, digits and any of !_.*'()/-: byte 0x00 at position 2");
}

static void test_endpoint_names(void **state)
{
    static const struct {
        const char *name, *fault;
    } cases[] = {
        {"fraud-prod", NULL},
        {"a", NULL},
        {"012345678901234567890123456789012345678901234567890123456789012", NULL},
        {"0123456789012345678901234567890123456789012345678901234567890123",
         "1 to 63 characters: it has 64"},
        {"", "1 to 63 characters: it is empty"},
        {"..", "letters, digits and inner hyphens: '.' at position 1"},
        {"a/b", "letters, digits and inner hyphens: '/' at position 2"},
        {"a%2fb", "letters, digits and inner hyphens: '%' at position 2"},
        {"a b", "letters, digits and inner hyphens: byte 0x20 at position 2"},
        {"-a", "letters, digits and inner hyphens: '-' at position 1"},
    };
    for (size_t i = 0; i != sizeof(cases) / sizeof(cases[0]); ++i) {
        struct span fault = SPAN_NONE;
        bool good = sagemaker_check_endpoint_name(span_from(cases[i].name), *state, &fault);
        assert_int_equal(good, cases[i].fault == NULL);
        assert_span(fault, cases[i].fault);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parameters),     cmocka_unit_test(test_operations),
        cmocka_unit_test(test_client_headers), cmocka_unit_test(test_operation_headers),
        cmocka_unit_test(test_values),         cmocka_unit_test(test_nul_is_invalid),
        cmocka_unit_test(test_endpoint_names),
    };
    return cmocka_run_group_tests(tests, with_arena, without_arena);
}
