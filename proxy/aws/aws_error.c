/* Parses, classifies and redacts error responses. Must not depend on retries or outcomes, which
 * others derive from the class. */
#include "aws/aws_error.h"

#include <jansson.h>

enum { CODE_MAX = 128, BODY_MAX = 64 * 1024, HOST_MAX = 255 };

/* ---- reading ---- */

/* Returns "ModelError" for "com.amazonaws.sagemaker#ModelError:http://..." (restJson1, operation
 * error serialization). A text that is not a name then counts as absent: it would go into logs
 * and headers. */
static struct span clean_code(struct span text)
{
    struct span code = span_make(text.at, span_find(text, ':'));
    size_t hash;
    while ((hash = span_find(code, '#')) != code.len)
        code = span_from_offset(code, hash + 1);
    code = span_trim(code);
    return span_is_name(code) && code.len <= CODE_MAX ? code : SPAN_NONE;
}

/* Returns the first of two members of `object` that is a string, SPAN_NONE if neither is. */
static struct span json_text(const json_t *object, const char *key, const char *other)
{
    const json_t *value = json_object_get(object, key);
    if (!json_is_string(value))
        value = json_object_get(object, other);
    if (!json_is_string(value))
        return SPAN_NONE;
    return span_make(json_string_value(value), json_string_length(value));
}

static void read_original_status(const json_t *object, struct aws_error *out)
{
    const json_t *value = json_object_get(object, "OriginalStatusCode");
    if (!json_is_integer(value) || json_integer_value(value) < 0 || json_integer_value(value) > 999)
        return;
    out->original_status = (int)json_integer_value(value);
    out->has_original_status = true;
}

static void read_body(struct span body, struct arena *arena, struct aws_error *out)
{
    if (body.len > BODY_MAX)
        body.len = BODY_MAX;
    json_t *root = json_loadb(body.at, body.len, JSON_ALLOW_NUL | JSON_DISABLE_EOF_CHECK, NULL);
    if (json_is_object(root)) {
        struct span code = clean_code(json_text(root, "code", "Code"));
        if (code.at == NULL)
            code = clean_code(json_text(root, "__type", "__type"));
        if (out->code.at == NULL)
            out->code = arena_copy(arena, code);
        out->message = arena_copy(arena, json_text(root, "message", "Message"));
        out->original_message =
            arena_copy(arena, json_text(root, "OriginalMessage", "originalMessage"));
        out->reason = arena_copy(arena, clean_code(json_text(root, "ErrorCode", "errorCode")));
        read_original_status(root, out);
    }
    json_decref(root);
}

void aws_error_parse(struct span error_type, struct span body, struct arena *arena,
                     struct aws_error *out)
{
    *out = (struct aws_error){.code = arena_copy(arena, clean_code(error_type))};
    if (body.len != 0)
        read_body(body, arena, out);
}

/* ---- classes ---- */

/* Names without their final "Exception", which some responses have and others lack. Source: the
 * API reference's CommonErrors, and the retry lists of botocore and the SDK for JavaScript. */
static const struct {
    struct span code;
    enum aws_error_class class;
} classes[] = {
    {SPAN("ModelError"), AWS_ERROR_MODEL},
    {SPAN("ModelNotReady"), AWS_ERROR_MODEL_NOT_READY},
    {SPAN("ServiceUnavailable"), AWS_ERROR_NO_CAPACITY},
    {SPAN("Throttling"), AWS_ERROR_THROTTLED},
    {SPAN("Throttled"), AWS_ERROR_THROTTLED},
    {SPAN("RequestThrottled"), AWS_ERROR_THROTTLED},
    {SPAN("TooManyRequests"), AWS_ERROR_THROTTLED},
    {SPAN("RequestLimitExceeded"), AWS_ERROR_THROTTLED},
    {SPAN("LimitExceeded"), AWS_ERROR_THROTTLED},
    {SPAN("BandwidthLimitExceeded"), AWS_ERROR_THROTTLED},
    {SPAN("ProvisionedThroughputExceeded"), AWS_ERROR_THROTTLED},
    {SPAN("PriorRequestNotComplete"), AWS_ERROR_THROTTLED},
    {SPAN("SlowDown"), AWS_ERROR_THROTTLED},
    {SPAN("ExpiredToken"), AWS_ERROR_EXPIRED_CREDENTIALS},
    {SPAN("UnrecognizedClient"), AWS_ERROR_EXPIRED_CREDENTIALS},
    {SPAN("InvalidClientTokenId"), AWS_ERROR_EXPIRED_CREDENTIALS},
    {SPAN("AuthFailure"), AWS_ERROR_CLOCK_SKEW},
    {SPAN("InvalidSignature"), AWS_ERROR_CLOCK_SKEW},
    {SPAN("RequestExpired"), AWS_ERROR_CLOCK_SKEW},
    {SPAN("RequestInTheFuture"), AWS_ERROR_CLOCK_SKEW},
    {SPAN("RequestTimeTooSkewed"), AWS_ERROR_CLOCK_SKEW},
    {SPAN("SignatureDoesNotMatch"), AWS_ERROR_CLOCK_SKEW},
    {SPAN("AccessDenied"), AWS_ERROR_ACCESS_DENIED},
    {SPAN("IncompleteSignature"), AWS_ERROR_ACCESS_DENIED},
    {SPAN("InvalidAccessKeyId"), AWS_ERROR_ACCESS_DENIED},
    {SPAN("MissingAuthenticationToken"), AWS_ERROR_ACCESS_DENIED},
    {SPAN("NotAuthorized"), AWS_ERROR_ACCESS_DENIED},
    {SPAN("OptInRequired"), AWS_ERROR_ACCESS_DENIED},
    {SPAN("UnauthorizedOperation"), AWS_ERROR_ACCESS_DENIED},
    {SPAN("Validation"), AWS_ERROR_REJECTED},
    {SPAN("ValidationError"), AWS_ERROR_REJECTED},
    {SPAN("InternalDependency"), AWS_ERROR_UPSTREAM},
    {SPAN("InternalFailure"), AWS_ERROR_UPSTREAM},
    {SPAN("InternalServer"), AWS_ERROR_UPSTREAM},
    {SPAN("InternalServerError"), AWS_ERROR_UPSTREAM},
};

static bool find_class(struct span code, enum aws_error_class *out)
{
    if (span_ends_with(code, SPAN("Exception")))
        code.len -= sizeof("Exception") - 1;
    for (size_t i = 0; i != sizeof(classes) / sizeof(classes[0]); ++i) {
        if (span_equals(code, classes[i].code)) {
            *out = classes[i].class;
            return true;
        }
    }
    return false;
}

static enum aws_error_class class_of_status(int status)
{
    switch (status) {
    case 401:
    case 403:
        return AWS_ERROR_ACCESS_DENIED;
    case 424:
        return AWS_ERROR_MODEL;
    case 429:
        return AWS_ERROR_THROTTLED;
    case 503:
        return AWS_ERROR_NO_CAPACITY;
    default:
        return status >= 500 ? AWS_ERROR_UPSTREAM : AWS_ERROR_REJECTED;
    }
}

enum aws_error_class aws_error_classify(int status, const struct aws_error *error)
{
    enum aws_error_class class;
    if (status < 400)
        return AWS_ERROR_NONE;
    if (!find_class(error->code, &class))
        return class_of_status(status);
    /* A component scaled to zero sends 400: "Inference component X has no capacity to process
     * ...". */
    if (class == AWS_ERROR_REJECTED && error->message.len != 0 &&
        memmem(error->message.at, error->message.len, "has no capacity", 15) != NULL)
        return AWS_ERROR_NO_CAPACITY;
    return class;
}

/* ---- redaction ---- */

/* Returns the length of the word at s.at: up to a blank, quote, bracket or the like, without
 * final marks. */
static size_t word_length(struct span s)
{
    size_t len = 0;
    while (len != s.len && s.at[len] != ' ' && !ascii_is_control(s.at[len]) &&
           memchr("\"'`<>()[]{},;\\", s.at[len], 14) == NULL)
        ++len;
    while (len != 0 && memchr(".:!?", s.at[len - 1], 4) != NULL)
        --len;
    return len;
}

/* Whether s starts with a URL whose host names AWS: a log's or the console's. */
static bool is_console_url(struct span s)
{
    size_t skip = span_starts_with_ignore_case(s, SPAN("https://"))  ? 8
                  : span_starts_with_ignore_case(s, SPAN("http://")) ? 7
                                                                     : 0;
    if (skip == 0)
        return false;
    struct span host = span_from_offset(s, skip);
    if (host.len > HOST_MAX)
        host.len = HOST_MAX;
    host.len = span_find(host, '/');
    for (size_t i = 0; i != host.len; ++i) {
        struct span rest = span_from_offset(host, i);
        if (span_starts_with_ignore_case(rest, SPAN("aws")) ||
            span_starts_with_ignore_case(rest, SPAN("console")))
            return true;
    }
    return false;
}

/* Returns the length of what must be redacted at the start of s, which follows the byte `before`;
 * 0: nothing. */
static size_t secret_length(struct span s, char before, bool numbers)
{
    if (ascii_is_digit(s.at[0])) {
        size_t digits = 0;
        while (digits != s.len && ascii_is_digit(s.at[digits]))
            ++digits;
        return numbers && digits == 12 && !ascii_is_digit(before) ? digits : 0;
    }
    if (ascii_is_alnum(before))
        return 0;
    if (span_starts_with_ignore_case(s, SPAN("arn:aws")) ||
        span_starts_with_ignore_case(s, SPAN("arn%3Aaws")) || span_starts_with(s, SPAN("/aws/")) ||
        is_console_url(s))
        return word_length(s);
    return 0;
}

static struct span redact(struct span text, bool numbers, struct arena *arena)
{
    static const struct span mark = SPAN("[redacted]");
    if (text.len == 0)
        return text;
    /* The shortest secret is "/aws/", half as long as the mark. */
    char *at = arena_alloc(arena, text.len * 2 + 1);
    size_t len = 0;
    char before = ' ';
    while (text.len != 0) {
        size_t secret = secret_length(text, before, numbers);
        if (secret != 0) {
            memcpy(at + len, mark.at, mark.len);
            len += mark.len;
        } else {
            at[len++] = text.at[0];
        }
        size_t step = secret != 0 ? secret : 1;
        before = text.at[step - 1];
        text = span_from_offset(text, step);
    }
    at[len] = '\0';
    return span_make(at, len);
}

struct span aws_error_redact(struct span text, struct arena *arena)
{
    return redact(text, true, arena);
}

struct span aws_error_redact_model_text(struct span text, struct arena *arena)
{
    return redact(text, false, arena);
}
