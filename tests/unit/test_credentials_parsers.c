/* Parsers for credentials: shared files, command lines, JSON, STS's XML; and what they reject. */
#include "aws/session_name.h"
#include "base/buffer.h"
#include "credentials/command_line.h"
#include "credentials/document.h"
#include "credentials/ini.h"
#include "credentials/sts.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

static struct arena arena;

static int set_up(void **state)
{
    (void)state;
    arena_init(&arena, 4096);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    arena_dispose(&arena);
    return 0;
}

static void assert_span(struct span actual, const char *expected)
{
    if (expected == NULL)
        assert_null(actual.at);
    else if (!span_equals(actual, span_from(expected)))
        fail_msg("\"%.*s\" is not \"%s\"", SPAN_ARG(actual), expected);
}

/* ---- session names ---- */

static void session_name_is_sanitized_for_sts(void **state)
{
    static const struct {
        struct span text;
        const char *wanted;
    } cases[] = {
        {SPAN("a-1_+=,.@Z"), "a-1_+=,.@Z"},
        {SPAN("team/a b\n\303\274:\0x"), "team-a-b-----x"},
        {SPAN("ab"), "ab"},
        {SPAN("a"), "sagegate"},
        {SPAN(""), "sagegate"},
        {SPAN("0123456789012345678901234567890123456789012345678901234567890123456789"),
         "0123456789012345678901234567890123456789012345678901234567890123"},
    };
    (void)state;
    for (size_t i = 0; i != sizeof(cases) / sizeof(cases[0]); ++i)
        assert_span(session_name_fit(cases[i].text, &arena), cases[i].wanted);
}

/* ---- shared files ---- */

static void properties_are_found_as_in_the_sdks(void **state)
{
    static const char text[] = "\xef\xbb\xbf# a comment\r\n"
                               "; another\n"
                               "[default]  # mine\n"
                               "Region = us-east-1 # comment\n"
                               "secret=ab#c;d\n"
                               "tab = x\t;y\n"
                               "empty =\n"
                               "twice = 1\n"
                               "twice = 2\r\n"
                               "long = one\n"
                               "   two # kept\n"
                               "\n"
                               "[ profile  x ]  \n"
                               "  indented = yes\n"
                               "eq = a=b==\n"
                               "[default]\n"
                               "merged = too\n"
                               "s3 = \n"
                               "  Addressing_Style = path\n"
                               "  other = 1 ; c\n"
                               "plain = 1";
    static const struct {
        const char *title, *key, *value;
    } rows[] = {
        {"default", "region", "us-east-1"},
        {"default", "secret", "ab#c;d"},
        {"default", "tab", "x"},
        {"default", "empty", ""},
        {"default", "twice", "2"},
        {"default", "long", "one\ntwo # kept"},
        {"profile  x", "indented", "yes"},
        {"profile  x", "eq", "a=b=="},
        {"default", "merged", "too"},
        {"default", "s3", ""},
        {"default", "plain", "1"},
        {"default", "Region", NULL},
        {"other", "region", NULL},
    };
    struct ini ini;
    struct span fault;
    (void)state;
    assert_true(ini_parse(&ini, span_from(text), &arena, &fault));
    for (size_t i = 0; i != sizeof(rows) / sizeof(rows[0]); ++i)
        assert_span(ini_find(&ini, span_from(rows[i].title), span_from(rows[i].key)),
                    rows[i].value);
    assert_span(ini_find_below(&ini, SPAN("default"), SPAN("s3"), SPAN("addressing_style")),
                "path");
    assert_span(ini_find_below(&ini, SPAN("default"), SPAN("s3"), SPAN("other")), "1");
    assert_true(ini_has_section(&ini, SPAN("profile  x")));
    assert_false(ini_has_section(&ini, SPAN("profile x")));
    ini_dispose(&ini);
}

static void shared_file_error_names_the_line(void **state)
{
    static const struct {
        struct span text;
        const char *fault;
    } rows[] = {
        {SPAN("[a]\n[b\n"), "line 2: missing ']' after a section's name"},
        {SPAN("[a] b\n"), "line 1: text after the ']' of a section's name"},
        {SPAN("k = v\n"), "line 1: key before the first [section]"},
        {SPAN("[a]\nhunter2\n"), "line 2: must be [section] or key = value"},
        {SPAN("[a]\n = hunter2\n"), "line 2: missing key before '='"},
        {SPAN("[a]\nk = hun\0ter2\n"), "line 2: contains a NUL byte"},
        {SPAN("[a]\nk =\n  hunter2\n"),
         "line 3: an indented line below an empty value must be key = value"},
    };
    (void)state;
    for (size_t i = 0; i != sizeof(rows) / sizeof(rows[0]); ++i) {
        struct ini ini;
        struct span fault = SPAN_NONE;
        assert_false(ini_parse(&ini, rows[i].text, &arena, &fault));
        assert_span(fault, rows[i].fault);
    }
}

static void huge_shared_file_is_rejected(void **state)
{
    struct ini ini;
    struct span fault;
    size_t size = INI_TEXT_MAX + 1;
    char *text = test_malloc(size);
    (void)state;
    memset(text, '#', size);
    assert_false(ini_parse(&ini, span_make(text, size), &arena, &fault));
    assert_span(fault, "larger than 1048576 bytes");
    assert_true(ini_parse(&ini, span_make(text, size - 1), &arena, &fault));
    ini_dispose(&ini);
    test_free(text);
}

/* ---- command lines ---- */

static void command_line_is_split_by_quotes(void **state)
{
    static const struct {
        const char *line, *joined;
    } rows[] = {
        {"a b  c", "<a><b><c>"},
        {" \ta\n", "<a>"},
        {"'a b' \"c d\"e", "<a b><c de>"},
        {"a\\ b \"\\\"\\\\\\n\" '\\'", "<a b><\"\\\\n><\\>"},
        {"\"\" ''", "<><>"},
        {"$HOME `x` ; | & * # ~", "<$HOME><`x`><;><|><&><*><#><~>"},
    };
    (void)state;
    for (size_t i = 0; i != sizeof(rows) / sizeof(rows[0]); ++i) {
        char **argv = NULL, text[256];
        struct span fault = SPAN_NONE;
        struct buffer joined;
        buffer_init_fixed(&joined, text, sizeof(text));
        assert_true(command_line_split(span_from(rows[i].line), &arena, &argv, &fault));
        for (; *argv != NULL; ++argv)
            buffer_printf(&joined, "<%s>", *argv);
        assert_span(buffer_span(&joined), rows[i].joined);
    }
}

static void invalid_command_line_is_rejected(void **state)
{
    static const struct {
        struct span line;
        const char *fault;
    } rows[] = {
        {SPAN(""), "the command is empty"},
        {SPAN(" \n"), "the command is empty"},
        {SPAN("a 'b"), "unclosed quote"},
        {SPAN("a \"b\\\""), "unclosed quote"},
        {SPAN("a \\"), "backslash at the end"},
        {SPAN("a\0b"), "contains a NUL byte"},
        {SPAN("1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 "
              "1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5"),
         "more than 64 words"},
    };
    (void)state;
    for (size_t i = 0; i != sizeof(rows) / sizeof(rows[0]); ++i) {
        char **argv = NULL;
        struct span fault = SPAN_NONE;
        assert_false(command_line_split(rows[i].line, &arena, &argv, &fault));
        assert_span(fault, rows[i].fault);
    }
}

/* ---- JSON ---- */

static void every_json_form_is_parsed(void **state)
{
    static const struct {
        enum document_form form;
        const char *text, *token;
        int64_t expires_s;
    } rows[] = {
        {DOCUMENT_PROCESS,
         "{\"Version\":1,\"AccessKeyId\":\"AKID\",\"SecretAccessKey\":\"s\",\"SessionToken\":\"t\","
         "\"Expiration\":\"1970-01-01T00:01:00Z\",\"AccountId\":\"1\"}",
         "t", 60},
        {DOCUMENT_PROCESS, "{\"Version\":1,\"AccessKeyId\":\"AKID\",\"SecretAccessKey\":\"s\"}", "",
         0},
        {DOCUMENT_CONTAINER,
         "{\"AccessKeyId\":\"AKID\",\"SecretAccessKey\":\"s\",\"Token\":\"t\",\"Expiration\":"
         "\"1970-01-01T00:01:00+00:00\",\"RoleArn\":\"x\"}",
         "t", 60},
        {DOCUMENT_IMDS,
         "{\"Code\":\"Success\",\"Type\":\"AWS-HMAC\",\"AccessKeyId\":\"AKID\",\"SecretAccessKey\":"
         "\"s\",\"Token\":\"t\",\"Expiration\":\"1970-01-01T00:01:00Z\"}",
         "t", 60},
        {DOCUMENT_SSO,
         "{\"roleCredentials\":{\"accessKeyId\":\"AKID\",\"secretAccessKey\":\"s\",\"sessionToken\""
         ":\"t\",\"expiration\":60000}}",
         "t", 60},
    };
    (void)state;
    for (size_t i = 0; i != sizeof(rows) / sizeof(rows[0]); ++i) {
        struct span fault = SPAN_NONE;
        struct credentials *set =
            document_read_set(rows[i].form, span_from(rows[i].text), SPAN("test"), &arena, &fault);
        assert_span(fault, NULL);
        assert_string_equal(set->access_key_id, "AKID");
        assert_span(secret_bytes(&set->secret_access_key), "s");
        assert_true(span_equals(secret_bytes(&set->session_token), span_from(rows[i].token)));
        assert_int_equal(set->expires.us, rows[i].expires_s * 1000000);
        credentials_release(set);
    }
}

static void json_errors_do_not_show_values(void **state)
{
    static const struct {
        enum document_form form;
        const char *text, *fault;
    } rows[] = {
        {DOCUMENT_PROCESS, "", "line 1, column 0: truncated JSON"},
        {DOCUMENT_PROCESS, "[]", "not a JSON object"},
        {DOCUMENT_PROCESS, "{\"Version\":\"1\"}", "Version must be 1"},
        {DOCUMENT_CONTAINER, "{\"AccessKeyId\":\"A\",\"SecretAccessKey\":5}",
         "SecretAccessKey must be a string"},
        {DOCUMENT_CONTAINER, "{\"AccessKeyId\":\"A\",\"SessionToken\":\"hunter2\"}",
         "SecretAccessKey is missing or empty"},
        {DOCUMENT_CONTAINER, "{\"AccessKeyId\":\"A\",\"SecretAccessKey\":\"hunter\\n2\"}",
         "SecretAccessKey has a line break at position 7 of 8"},
        {DOCUMENT_CONTAINER,
         "{\"AccessKeyId\":\"A\",\"SecretAccessKey\":\"s\",\"Expiration\":\"tomorrow\"}",
         "Expiration must be an RFC 3339 time such as 2015-08-30T12:36:00Z"},
        {DOCUMENT_IMDS, "{\"Code\":\"AssumeRoleUnauthorizedAccess\"}",
         "Code is \"AssumeRoleUnauthorizedAccess\", not Success: does the role's trust policy name "
         "ec2.amazonaws.com?"},
        {DOCUMENT_SSO, "{\"message\":\"no\"}", "roleCredentials is missing"},
        {DOCUMENT_SSO, "{\"roleCredentials\":{\"accessKeyId\":\"A\",\"secretAccessKey\":\"s\"}}",
         "expiration must be a number of milliseconds since 1970"},
        {DOCUMENT_IMDS, "{} hunter2", "line 1, column 9: text after the JSON object"},
    };
    (void)state;
    for (size_t i = 0; i != sizeof(rows) / sizeof(rows[0]); ++i) {
        struct span fault = SPAN_NONE;
        assert_null(
            document_read_set(rows[i].form, span_from(rows[i].text), SPAN("test"), &arena, &fault));
        assert_span(fault, rows[i].fault);
    }
}

static void error_response_is_shown_on_one_line(void **state)
{
    (void)state;
    assert_span(document_error_text(SPAN("{\"code\":\"AccessDenied\",\"message\":\"a\\nb\"}"),
                                    SPAN_NONE, &arena),
                "AccessDenied: a?b");
    assert_span(document_error_text(SPAN("{\"Message\":\"m\"}"), SPAN_NONE, &arena), "m");
    assert_span(document_error_text(SPAN("<html>"), SPAN_NONE, &arena), NULL);
    assert_span(document_error_text(SPAN("{}"), SPAN_NONE, &arena), NULL);
}

static void cached_sso_token_is_read(void **state)
{
    struct secret token = SECRET_EMPTY;
    struct wall_time expires;
    struct span fault;
    (void)state;
    assert_true(document_read_sso_token(
        SPAN("{\"accessToken\":\"t\",\"expiresAt\":\"1970-01-01T00:01:00Z\",\"region\":\"x\"}"),
        &token, &expires, &arena, &fault));
    assert_span(secret_bytes(&token), "t");
    assert_int_equal(expires.us, 60000000);
    secret_dispose(&token);
    assert_false(document_read_sso_token(SPAN("{\"accessToken\":\"hunter2\"}"), &token, &expires,
                                         &arena, &fault));
    assert_span(fault, "accessToken or expiresAt is missing");
}

/* ---- STS ---- */

static void sts_response_is_parsed(void **state)
{
    static const char xml[] =
        "<?xml version=\"1.0\"?><AssumeRoleResponse "
        "xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\">\n"
        "<AssumeRoleResult><PackedPolicySize>6</PackedPolicySize>\n"
        "<Credentials><Expiration>1970-01-01T00:01:00Z</Expiration>"
        "<SecretAccessKey>a/b&#43;c</SecretAccessKey><AccessKeyId>ASIA</AccessKeyId>"
        "<SessionToken>t=</SessionToken></Credentials>"
        "<AssumedRoleUser><AssumedRoleId>x</AssumedRoleId><Arn>arn:aws:sts::1:x/y</Arn>"
        "</AssumedRoleUser></AssumeRoleResult></AssumeRoleResponse>";
    struct sts_response response;
    struct span fault;
    struct credentials *set;
    (void)state;
    set = sts_read_set(span_from(xml), SPAN("sts"), &arena, &response, &fault);
    assert_non_null(set);
    assert_string_equal(set->access_key_id, "ASIA");
    assert_span(secret_bytes(&set->secret_access_key), "a/b+c");
    assert_span(secret_bytes(&set->session_token), "t=");
    assert_int_equal(set->expires.us, 60000000);
    assert_span(response.arn, "arn:aws:sts::1:x/y");
    credentials_release(set);
}

static void sts_errors_and_identities_are_parsed(void **state)
{
    struct sts_response response;
    struct span fault;
    (void)state;
    assert_true(
        sts_read(SPAN("<ErrorResponse><Error><Type>Sender</Type><Code>AccessDenied</Code>"
                      "<Message>no "
                      "&quot;x&quot;\n</Message></Error><RequestId>1</RequestId></ErrorResponse>"),
                 &arena, &response, &fault));
    assert_span(response.error_code, "AccessDenied");
    assert_span(response.error_message, "no \"x\" ");
    assert_true(sts_read(SPAN("<Error><Code>X</Code></Error>"), &arena, &response, &fault));
    assert_span(response.error_code, "X");
    assert_true(sts_read(SPAN("<R><GetCallerIdentityResult><Arn>a</Arn><Account>1</Account>"
                              "</GetCallerIdentityResult></R>"),
                         &arena, &response, &fault));
    assert_span(response.arn, "a");
    assert_span(response.account, "1");
}

static void invalid_xml_is_rejected(void **state)
{
    static const struct {
        const char *xml, *fault;
    } rows[] = {
        {"", "line 1: no element found"},
        {"<a><b></a>", "line 1: mismatched tag"},
        {"<!DOCTYPE a [<!ENTITY x \"y\">]>\n<a>&x;</a>", "line 1: document types are not allowed"},
        {"<Error><Code>a</Code><Code>b</Code></Error>", "line 1: duplicate element"},
        {"<a><a><a><a><a><a><a><a><a><a><a><a><a><a><a><a><a><a><a><a><a><a><a><a><a><a><a><a><a>"
         "<a><a><a><a>",
         "line 1: elements are nested too deep"},
        {"<a/>", "Expiration is missing or malformed"},
        {"<Credentials><Expiration>1970-01-01T00:01:00Z</Expiration></Credentials>",
         "AccessKeyId is missing or empty"},
    };
    (void)state;
    for (size_t i = 0; i != sizeof(rows) / sizeof(rows[0]); ++i) {
        struct sts_response response;
        struct span fault = SPAN_NONE;
        assert_null(sts_read_set(span_from(rows[i].xml), SPAN("sts"), &arena, &response, &fault));
        assert_span(fault, rows[i].fault);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(session_name_is_sanitized_for_sts),
        cmocka_unit_test(properties_are_found_as_in_the_sdks),
        cmocka_unit_test(shared_file_error_names_the_line),
        cmocka_unit_test(huge_shared_file_is_rejected),
        cmocka_unit_test(command_line_is_split_by_quotes),
        cmocka_unit_test(invalid_command_line_is_rejected),
        cmocka_unit_test(every_json_form_is_parsed),
        cmocka_unit_test(json_errors_do_not_show_values),
        cmocka_unit_test(error_response_is_shown_on_one_line),
        cmocka_unit_test(cached_sso_token_is_read),
        cmocka_unit_test(sts_response_is_parsed),
        cmocka_unit_test(sts_errors_and_identities_are_parsed),
        cmocka_unit_test(invalid_xml_is_rejected),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
