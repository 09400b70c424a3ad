/* Error responses: what is read from valid, unusual and broken ones, their class, and what is
 * redacted. */
#include "aws/aws_error.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "arena_fixture.h"

static void assert_span(struct span s, const char *expected)
{
    if (expected == NULL) {
        if (s.at != NULL)
            fail_msg("'%.*s' must not appear", SPAN_ARG(s));
        return;
    }
    if (!span_equals(s, span_from(expected)))
        fail_msg("'%.*s' is not '%s'", SPAN_ARG(s), expected);
}

static void test_codes(void **state)
{
    static const char *const cases[][3] = {
        /* header, body, code */
        {"ModelError", "", "ModelError"},
        {"ModelError:http://internal.amazon.com/coral/", "", "ModelError"},
        {"com.amazonaws.sagemaker#ModelError", "", "ModelError"},
        {"a#b#ModelError:x#y", "", "ModelError"},
        {" ModelError ", "", "ModelError"},
        {"ModelError", "{\"code\":\"Other\"}", "ModelError"},
        {NULL, "{\"code\":\"ValidationError\"}", "ValidationError"},
        {NULL, "{\"Code\":\"ValidationError\"}", "ValidationError"},
        {NULL, "{\"__type\":\"com.amazon.coral#ThrottlingException:\"}", "ThrottlingException"},
        {NULL, "{\"__type\":\"A\",\"code\":\"B\"}", "B"},
        {NULL, "{\"__type\":\"A\",\"code\":7}", "A"},
        {NULL, "{\"__type\":\"A\",\"code\":\"\"}", "A"},
        {"", "{\"code\":\"B\"}", "B"},
        {":", "{\"code\":\"B\"}", "B"},
        {"bad code\r\nX: y", "", NULL},
        {"a<script>", "", NULL},
        {"#", "", NULL},
        {NULL, "{\"code\":\"a\\u0000b\"}", NULL},
        {NULL, "{\"code\":null}", NULL},
        {NULL, "<html>413</html>", NULL},
        {NULL, "[\"code\"]", NULL},
        {NULL, "\"code\"", NULL},
        {NULL, "", NULL},
        {NULL, "{\"code\":\"A\"", NULL},
        {NULL, "{\"code\":\"A\"} trailing", "A"},
        {NULL, "\xff\xfe{}", NULL},
    };
    for (size_t i = 0; i != sizeof(cases) / sizeof(cases[0]); ++i) {
        struct aws_error error;
        memset(&error, 0xff, sizeof(error));
        aws_error_parse(span_from(cases[i][0]), span_from(cases[i][1]), *state, &error);
        assert_span(error.code, cases[i][2]);
        assert_false(error.has_original_status);
        assert_null(error.reason.at);
        assert_int_equal(error.original_status, 0);
    }
    char longest[129];
    struct aws_error error;
    memset(longest, 'a', sizeof(longest));
    aws_error_parse(span_make(longest, 128), SPAN_NONE, *state, &error);
    assert_int_equal(error.code.len, 128);
    aws_error_parse(span_make(longest, 129), SPAN_NONE, *state, &error);
    assert_null(error.code.at);
}

static void test_model_error(void **state)
{
    static const struct span body =
        SPAN("{\"ErrorCode\":\"CLIENT_ERROR_FROM_MODEL\","
             "\"LogStreamArn\":\"arn:aws:logs:us-east-1:111122223333:log-group:/aws/sagemaker/x\","
             "\"Message\":\"Received client error (400) from primary with message \\\"bad\\\".\","
             "\"OriginalMessage\":\"bad \\u00e9\",\"OriginalStatusCode\":400}");
    struct aws_error error;
    aws_error_parse(SPAN("ModelError"), body, *state, &error);
    assert_span(error.code, "ModelError");
    assert_span(error.message, "Received client error (400) from primary with message \"bad\".");
    assert_span(error.original_message, "bad \xc3\xa9");
    assert_span(error.reason, "CLIENT_ERROR_FROM_MODEL");
    assert_true(error.has_original_status);
    assert_int_equal(error.original_status, 400);
}

static void test_original_status(void **state)
{
    static const struct {
        const char *value;
        int status; /* -1: none given */
    } cases[] = {{"0", 0},     {"500", 500},    {"999", 999},      {"1000", -1},
                 {"-1", -1},   {"\"400\"", -1}, {"400.5", -1},     {"null", -1},
                 {"true", -1}, {"{}", -1},      {"4294967696", -1}};
    for (size_t i = 0; i != sizeof(cases) / sizeof(cases[0]); ++i) {
        struct aws_error error;
        struct span body = arena_printf(*state, "{\"OriginalStatusCode\":%s}", cases[i].value);
        aws_error_parse(SPAN_NONE, body, *state, &error);
        assert_int_equal(error.has_original_status, cases[i].status >= 0);
        assert_int_equal(error.original_status, cases[i].status >= 0 ? cases[i].status : 0);
    }
}

static void test_messages(void **state)
{
    static const char *const cases[][2] = {
        {"{\"message\":\"a\"}", "a"},
        {"{\"Message\":\"b\"}", "b"},
        {"{\"message\":\"a\",\"Message\":\"b\"}", "a"},
        {"{\"message\":1,\"Message\":\"b\"}", "b"},
        {"{\"Message\":\"\"}", ""},
        {"{\"Message\":[]}", NULL},
        {"{}", NULL},
    };
    struct aws_error error;
    for (size_t i = 0; i != sizeof(cases) / sizeof(cases[0]); ++i) {
        aws_error_parse(SPAN_NONE, span_from(cases[i][0]), *state, &error);
        assert_span(error.message, cases[i][1]);
    }
    aws_error_parse(SPAN_NONE, SPAN("{\"Message\":\"a\\u0000b\"}"), *state, &error);
    assert_true(span_equals(error.message, SPAN("a\0b")));
}

/* Deep nesting and a cut at 64 KiB mean "not given", never a crash. */
static void test_hostile_bodies(void **state)
{
    static char body[80 * 1024];
    struct aws_error error;
    memset(body, '[', sizeof(body));
    aws_error_parse(SPAN_NONE, span_make(body, sizeof(body)), *state, &error);
    assert_null(error.code.at);
    memset(body, 'a', sizeof(body));
    memcpy(body, "{\"code\":\"A\",\"Message\":\"", 23);
    memcpy(body + sizeof(body) - 2, "\"}", 2);
    aws_error_parse(SPAN("Told"), span_make(body, sizeof(body)), *state, &error);
    assert_span(error.code, "Told");
    assert_null(error.message.at);
}

static void test_classes(void **state)
{
    static const struct {
        int status;
        const char *code, *message;
        enum aws_error_class class;
    } cases[] = {
        {200, "ModelError", NULL, AWS_ERROR_NONE},
        {399, NULL, NULL, AWS_ERROR_NONE},
        {424, "ModelError", NULL, AWS_ERROR_MODEL},
        {400, "ModelError", NULL, AWS_ERROR_MODEL},
        {424, NULL, NULL, AWS_ERROR_MODEL},
        {429, "ModelNotReadyException", NULL, AWS_ERROR_MODEL_NOT_READY},
        {429, NULL, NULL, AWS_ERROR_THROTTLED},
        {400, "ThrottlingException", NULL, AWS_ERROR_THROTTLED},
        {400, "Throttling", NULL, AWS_ERROR_THROTTLED},
        {503, "SlowDown", NULL, AWS_ERROR_THROTTLED},
        {400, "TooManyRequestsException", NULL, AWS_ERROR_THROTTLED},
        {503, "ServiceUnavailable", NULL, AWS_ERROR_NO_CAPACITY},
        {503, "ServiceUnavailableException", NULL, AWS_ERROR_NO_CAPACITY},
        {503, NULL, NULL, AWS_ERROR_NO_CAPACITY},
        {400, "ValidationError", "Inference component x has no capacity to process this request.",
         AWS_ERROR_NO_CAPACITY},
        {400, "ValidationError", "Endpoint x of account 111122223333 not found.",
         AWS_ERROR_REJECTED},
        {403, "ExpiredTokenException", NULL, AWS_ERROR_EXPIRED_CREDENTIALS},
        {400, "ExpiredToken", NULL, AWS_ERROR_EXPIRED_CREDENTIALS},
        {403, "UnrecognizedClientException", NULL, AWS_ERROR_EXPIRED_CREDENTIALS},
        {403, "InvalidClientTokenId", NULL, AWS_ERROR_EXPIRED_CREDENTIALS},
        {403, "InvalidSignatureException", NULL, AWS_ERROR_CLOCK_SKEW},
        {400, "RequestExpired", NULL, AWS_ERROR_CLOCK_SKEW},
        {403, "SignatureDoesNotMatch", NULL, AWS_ERROR_CLOCK_SKEW},
        {403, "RequestTimeTooSkewed", NULL, AWS_ERROR_CLOCK_SKEW},
        {403, "RequestInTheFuture", NULL, AWS_ERROR_CLOCK_SKEW},
        {401, "AuthFailure", NULL, AWS_ERROR_CLOCK_SKEW},
        {403, "AccessDeniedException", NULL, AWS_ERROR_ACCESS_DENIED},
        {400, "IncompleteSignature", NULL, AWS_ERROR_ACCESS_DENIED},
        {403, "MissingAuthenticationTokenException", NULL, AWS_ERROR_ACCESS_DENIED},
        {401, NULL, NULL, AWS_ERROR_ACCESS_DENIED},
        {403, "SomethingNew", NULL, AWS_ERROR_ACCESS_DENIED},
        {403, "ValidationError", NULL, AWS_ERROR_REJECTED},
        {400, NULL, NULL, AWS_ERROR_REJECTED},
        {404, NULL, NULL, AWS_ERROR_REJECTED},
        {413, "RequestEntityTooLarge", NULL, AWS_ERROR_REJECTED},
        {408, "RequestTimeoutException", NULL, AWS_ERROR_REJECTED},
        {530, "InternalDependencyException", NULL, AWS_ERROR_UPSTREAM},
        {530, NULL, NULL, AWS_ERROR_UPSTREAM},
        {500, "InternalFailure", NULL, AWS_ERROR_UPSTREAM},
        {500, "InternalServerException", NULL, AWS_ERROR_UPSTREAM},
        {500, NULL, NULL, AWS_ERROR_UPSTREAM},
        {502, "Exception", NULL, AWS_ERROR_UPSTREAM},
        {504, "modelerror", NULL, AWS_ERROR_UPSTREAM},
    };
    (void)state;
    for (size_t i = 0; i != sizeof(cases) / sizeof(cases[0]); ++i) {
        const struct aws_error error = {.code = span_from(cases[i].code),
                                        .message = span_from(cases[i].message)};
        if (aws_error_classify(cases[i].status, &error) != cases[i].class)
            fail_msg("%d %s has another class", cases[i].status, cases[i].code);
    }
}

static void test_redaction(void **state)
{
    static const char *const cases[][2] = {
        {"", ""},
        {"nothing to hide", "nothing to hide"},
        {"Endpoint x of account 111122223333 not found.",
         "Endpoint x of account [redacted] not found."},
        {"111122223333", "[redacted]"},
        {"id=111122223333,", "id=[redacted],"},
        {"acct111122223333x", "acct[redacted]x"},
        {"1111222233334", "1111222233334"},
        {"11112222333", "11112222333"},
        {"User: arn:aws:sts::111122223333:assumed-role/r/s is not authorized to perform: "
         "sagemaker:InvokeEndpoint on resource: "
         "arn:aws:sagemaker:us-east-1:111122223333:endpoint/e",
         "User: [redacted] is not authorized to perform: sagemaker:InvokeEndpoint on resource: "
         "[redacted]"},
        {"(arn:aws-cn:iam::1:role/x).", "([redacted])."},
        {"ARN:AWS:iam::1:role/x", "[redacted]"},
        {"See arn%3Aaws%3Aiam", "See [redacted]"},
        {"warn:aws is no ARN", "warn:aws is no ARN"},
        {"See https://us-east-1.console.aws.amazon.com/cloudwatch/home?region=us-east-1#"
         "logEventViewer:group=/aws/sagemaker/Endpoints/e in account 111122223333 for more "
         "information.",
         "See [redacted] in account [redacted] for more information."},
        {"at https://logs.us-east-1.amazonaws.com/x.", "at [redacted]."},
        {"log group /aws/sagemaker/Endpoints/e, stream", "log group [redacted], stream"},
        {"see https://example.com/docs", "see https://example.com/docs"},
        {"http://", "http://"},
        {"HTTPS://CONSOLE.AWS.AMAZON.COM/x", "[redacted]"},
    };
    for (size_t i = 0; i != sizeof(cases) / sizeof(cases[0]); ++i)
        assert_span(aws_error_redact(span_from(cases[i][0]), *state), cases[i][1]);
    assert_null(aws_error_redact(SPAN_NONE, *state).at);
}

/* Every secret grows to the length of the mark; run time stays linear. */
static void test_redaction_of_long_text(void **state)
{
    static char text[64 * 1024];
    for (size_t i = 0; i + 6 <= sizeof(text); i += 6)
        memcpy(text + i, "/aws/ ", 6);
    struct span result = aws_error_redact(span_make(text, sizeof(text) / 6 * 6), *state);
    assert_int_equal(result.len, sizeof(text) / 6 * 11);
    for (size_t i = 0; i + 8 <= sizeof(text); i += 8)
        memcpy(text + i, "http://.", 8);
    result = aws_error_redact(span_make(text, sizeof(text)), *state);
    assert_true(span_equals(result, span_make(text, sizeof(text))));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_codes),           cmocka_unit_test(test_model_error),
        cmocka_unit_test(test_original_status), cmocka_unit_test(test_messages),
        cmocka_unit_test(test_hostile_bodies),  cmocka_unit_test(test_classes),
        cmocka_unit_test(test_redaction),       cmocka_unit_test(test_redaction_of_long_text),
    };
    return cmocka_run_group_tests(tests, with_arena, without_arena);
}
