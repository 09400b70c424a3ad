/* Why a signature was rejected: each cause by its name, with no private data. */
// links: gateway observe credentials net
#include "gateway/signature_diff.h"

#include "aws/sha256.h"
#include "aws/sigv4.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

static struct arena arena;
static unsigned char body_sha256[SHA256_SIZE];
static const char head[] =
    "POST /endpoints/e/invocations HTTP/1.1\r\n"
    "host: h.example\r\n"
    "X-Amzn-SageMaker-Custom-Attributes: hunter2\r\n"
    "x-amz-date: 20150830T123600Z\r\n"
    "User-Agent: sagegate\r\n"
    "Authorization: AWS4-HMAC-SHA256 Credential=AKID/20150830/us-east-1/sagemaker/aws4_request, "
    "SignedHeaders=host;x-amz-date;x-amzn-sagemaker-custom-attributes, Signature=00\r\n\r\n";

static const char canonical[] =
    "POST\n/endpoints/e/invocations\n\nhost:h.example\nx-amz-date:20150830T123600Z\n"
    "x-amzn-sagemaker-custom-attributes:hunter2\n\n"
    "host;x-amz-date;x-amzn-sagemaker-custom-attributes\n"
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

static int set_up(void **state)
{
    (void)state;
    arena_init(&arena, 4096);
    sha256_of(SPAN(""), body_sha256);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    arena_dispose(&arena);
    return 0;
}

/* Returns the canonical request as AWS would show it, with `from` replaced by `to`. */
static struct span message_with(const char *from, const char *to, const char *scope)
{
    const char *at = strstr(canonical, from);
    assert_non_null(at);
    return arena_printf(
        &arena,
        "The request signature we calculated does not match.\n\nThe Canonical String "
        "for this request should have been\n'%.*s%s%s'\n\nThe String-to-Sign should "
        "have been\n'AWS4-HMAC-SHA256\n20150830T123600Z\n%s\n00'\n",
        (int)(at - canonical), canonical, to, at + strlen(from), scope);
}

static void every_cause_has_a_name(void **state)
{
    static const char scope[] = "20150830/us-east-1/sagemaker/aws4_request";
    const struct {
        struct span message;
        const char *part;
    } rows[] = {
        {message_with("POST", "GET", scope),
         "the method was changed in transit: signed as \"POST\", AWS received \"GET\""},
        {message_with("/e/", "/f/", scope), "the path was changed"},
        {message_with("h.example", "proxy.example", scope),
         "the host was changed in transit: host was signed as \"h.example\", AWS received "
         "\"proxy.example\""},
        {message_with("123600Z\nx", "123601Z\nx", scope),
         "a header was changed in transit: x-amz-date"},
        {message_with("hunter2", "hunter3", scope), "(7 bytes, SHA-256 "},
        {message_with("x-amz-date:", "x-other:", scope),
         "header \"x-amz-date\" did not arrive, or header \"x-other\" was added"},
        {message_with("host;x-amz-date;", "host;", scope), "the list of signed headers"},
        {message_with("e3b0", "e3b1", scope), "the body was changed"},
        {message_with("POST", "POST", "20150830/eu-west-1/sagemaker/aws4_request"),
         "scope: signed for \"20150830/us-east-1/sagemaker/aws4_request\", AWS expects "
         "\"20150830/eu-west-1/sagemaker/aws4_request\""},
        {message_with("POST", "POST", scope), "the secret access key does not belong"},
        {SPAN("Signature expired: 1 is now earlier than 2"), "clock: "},
        {SPAN("Credential should be scoped to a valid region, not 'x'."), "scope: signed for"},
        {SPAN("The security token included in the request is invalid."), "token: "},
        {SPAN(""), "AWS gave no reason"},
    };
    (void)state;
    for (size_t i = 0; i != sizeof(rows) / sizeof(rows[0]); ++i) {
        struct span cause = signature_diff(span_from(head), body_sha256, rows[i].message, &arena);
        if (memmem(cause.at, cause.len, rows[i].part, strlen(rows[i].part)) == NULL)
            fail_msg("row %zu: %.*s", i, SPAN_ARG(cause));
        assert_null(memmem(cause.at, cause.len, "hunter", 6));
    }
}

static void unparsable_head_does_not_crash(void **state)
{
    (void)state;
    assert_non_null(signature_diff(SPAN("x"), body_sha256, SPAN("y"), &arena).at);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_cause_has_a_name),
        cmocka_unit_test(unparsable_head_does_not_crash),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
