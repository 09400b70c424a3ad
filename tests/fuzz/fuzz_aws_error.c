/* AWS error responses of arbitrary bytes: parsing terminates, results stay in bounds, and
 * redaction leaves no account id.
 *
 * Input: the x-amzn-ErrorType header up to LF, then the body. */
#include "aws/aws_error.h"
#include "base/check.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

static void check_code(struct span code)
{
    CHECK(code.at == NULL || (code.len != 0 && code.len <= 128));
    for (size_t i = 0; i != code.len; ++i)
        CHECK(code.at[i] > ' ' && code.at[i] < 0x7f && code.at[i] != '"' && code.at[i] != '<');
}

static void check_redacted(struct span text, struct arena *arena)
{
    struct span redacted = aws_error_redact(text, arena);
    CHECK(redacted.len <= 2 * text.len);
    size_t digits = 0;
    for (size_t i = 0; i != redacted.len; ++i) {
        bool is_digit = redacted.at[i] >= '0' && redacted.at[i] <= '9';
        CHECK(is_digit || digits != 12);
        digits = is_digit ? digits + 1 : 0;
    }
    CHECK(digits != 12);
    CHECK(redacted.len < 8 || memmem(redacted.at, redacted.len, " arn:aws", 8) == NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    struct aws_error error;
    struct arena arena;
    struct span type, body;
    arena_init(&arena, 1024);
    (void)span_split(span_make((const char *)bytes, len), '\n', &type, &body);
    aws_error_parse(type, body, &arena, &error);
    check_code(error.code);
    CHECK(error.original_status >= 0 && error.original_status <= 999);
    CHECK(error.has_original_status || error.original_status == 0);
    for (int status = 200; status < 600; status += 33)
        CHECK((aws_error_classify(status, &error) == AWS_ERROR_NONE) == (status < 400));
    check_redacted(error.message, &arena);
    check_redacted(error.original_message, &arena);
    check_redacted(body, &arena);
    arena_dispose(&arena);
    return 0;
}
