/* Looks up sagemaker.def's table and checks values. Must not depend on requests, routes or
 * policies. */
#include "aws/sagemaker.h"

enum shape {
    SHAPE_NONE,
    SHAPE_TEXT,      /* \p{ASCII}*, of which a header carries printable characters and inner tabs */
    SHAPE_PRINTABLE, /* \A\S[\p{Print}]*\z */
    SHAPE_NAME,      /* [a-zA-Z0-9](-*[a-zA-Z0-9])* */
    SHAPE_NAME_OR_NEW_SESSION,
    SHAPE_LOCATION,    /* (https|s3)://([^/]+)/?(.*) */
    SHAPE_NUMBER,      /* min and max bound the value, not its length */
    SHAPE_OBJECT_PATH, /* (?!s3:|https:)[a-zA-Z0-9!_.*'()/-]+ */
    SHAPE_FILENAME,    /* (?!.*\..*\.)[a-zA-Z0-9][a-zA-Z0-9-_\.]* */
};

struct row {
    struct sagemaker_parameter_info info;
    enum shape shape[SAGEMAKER_OPERATIONS];
    unsigned min, max;
};

static const struct row rows[SAGEMAKER_PARAMETERS] = {
#define PARAMETER(id, key, api, invoke, stream, async, shape, stream_shape, min, max)              \
    [SAGEMAKER_##id] = {{SPAN(key), SPAN(api), {invoke, stream, async}},                           \
                        {SHAPE_##shape, SHAPE_##stream_shape, SHAPE_##shape},                      \
                        min,                                                                       \
                        max},
#include "aws/sagemaker.def"
#undef PARAMETER
};

static const struct sagemaker_operation_info operations[SAGEMAKER_OPERATIONS] = {
    [SAGEMAKER_INVOKE] = {SPAN("invoke"), SPAN("InvokeEndpoint"), SPAN("invocations")},
    [SAGEMAKER_STREAM] = {SPAN("stream"), SPAN("InvokeEndpointWithResponseStream"),
                          SPAN("invocations-response-stream")},
    [SAGEMAKER_ASYNC] = {SPAN("async"), SPAN("InvokeEndpointAsync"), SPAN("async-invocations")},
};

const struct sagemaker_operation_info *sagemaker_operation_info(enum sagemaker_operation operation)
{
    CHECK(operation < SAGEMAKER_OPERATIONS);
    return &operations[operation];
}

bool sagemaker_operation_by_suffix(struct span suffix, enum sagemaker_operation *out)
{
    for (size_t i = 0; i != SAGEMAKER_OPERATIONS; ++i) {
        if (span_equals(operations[i].path_suffix, suffix)) {
            *out = (enum sagemaker_operation)i;
            return true;
        }
    }
    return false;
}

const struct sagemaker_parameter_info *sagemaker_parameter_info(enum sagemaker_parameter parameter)
{
    CHECK(parameter < SAGEMAKER_PARAMETERS);
    return &rows[parameter].info;
}

bool sagemaker_parameter_by_name(struct span name, enum sagemaker_parameter *out)
{
    for (size_t i = 0; i != SAGEMAKER_PARAMETERS; ++i) {
        if (span_equals(rows[i].info.name, name)) {
            *out = (enum sagemaker_parameter)i;
            return true;
        }
    }
    return false;
}

static bool is_header(struct span header, struct span name)
{
    return header.at != NULL && span_equals_ignore_case(header, name);
}

bool sagemaker_parameter_by_header(enum sagemaker_operation operation, struct span header,
                                   enum sagemaker_parameter *out, bool *exact)
{
    CHECK(operation < SAGEMAKER_OPERATIONS);
    for (size_t i = 0; i != SAGEMAKER_PARAMETERS; ++i) {
        if (is_header(rows[i].info.header[operation], header)) {
            *out = (enum sagemaker_parameter)i;
            *exact = true;
            return true;
        }
    }
    bool is_type = span_equals_ignore_case(header, SPAN("Content-Type"));
    if (!is_type && !span_equals_ignore_case(header, SPAN("Accept")))
        return false;
    *out = is_type ? SAGEMAKER_CONTENT_TYPE : SAGEMAKER_ACCEPT;
    *exact = false;
    return true;
}

bool sagemaker_parameter_of_any(struct span header, enum sagemaker_parameter *out)
{
    for (size_t i = 0; i != SAGEMAKER_PARAMETERS; ++i) {
        for (size_t operation = 0; operation != SAGEMAKER_OPERATIONS; ++operation) {
            if (is_header(rows[i].info.header[operation], header)) {
                *out = (enum sagemaker_parameter)i;
                return true;
            }
        }
    }
    return false;
}

bool sagemaker_is_response_header(struct span name)
{
    static const struct span names[] = {
        SPAN("x-Amzn-Invoked-Production-Variant"),
        SPAN("X-Amzn-SageMaker-Custom-Attributes"),
        SPAN("X-Amzn-SageMaker-New-Session-Id"),
        SPAN("X-Amzn-SageMaker-Closed-Session-Id"),
        SPAN("X-Amzn-SageMaker-Content-Type"), /* stream: the model's own type */
        SPAN("X-Amzn-SageMaker-OutputLocation"),
        SPAN("X-Amzn-SageMaker-FailureLocation"),
        SPAN("x-amzn-RequestId"),
    };
    for (size_t i = 0; i != sizeof(names) / sizeof(names[0]); ++i)
        if (span_equals_ignore_case(name, names[i]))
            return true;
    return false;
}

/* ---- shapes: each returns the index of the first byte at fault, s.len if there is none ---- */

static size_t find_bad_text(struct span s)
{
    for (size_t i = 0; i != s.len; ++i) {
        bool inner_tab = s.at[i] == '\t' && i != 0 && i != s.len - 1;
        if (!ascii_is_printable(s.at[i]) && !inner_tab)
            return i;
    }
    return s.len;
}

static size_t find_bad_printable(struct span s)
{
    for (size_t i = 0; i != s.len; ++i)
        if (!ascii_is_printable(s.at[i]) || (i == 0 && s.at[i] == ' '))
            return i;
    return s.len;
}

static size_t find_bad_name(struct span s)
{
    for (size_t i = 0; i != s.len; ++i) {
        bool inner_hyphen = s.at[i] == '-' && i != 0 && i != s.len - 1;
        if (!ascii_is_alnum(s.at[i]) && !inner_hyphen)
            return i;
    }
    return s.len;
}

static size_t find_bad_object_path(struct span s)
{
    for (size_t i = 0; i != s.len; ++i)
        if (!ascii_is_alnum(s.at[i]) && memchr("!_.*'()/-", s.at[i], 9) == NULL)
            return i;
    return s.len;
}

static size_t find_bad_filename(struct span s)
{
    bool dotted = false;
    for (size_t i = 0; i != s.len; ++i) {
        char c = s.at[i];
        bool mark = i != 0 && (c == '-' || c == '_' || (c == '.' && !dotted));
        if (!ascii_is_alnum(c) && !mark)
            return i;
        dotted = dotted || c == '.';
    }
    return s.len;
}

/* ---- verdicts ---- */

/* "RULE: '_' at position 3" or "RULE: byte 0x07 at position 3"; positions count from 1. */
static bool fail_at(const char *rule, struct span value, size_t at, struct arena *arena,
                    struct span *fault)
{
    if (ascii_is(value.at[at], ASCII_VISIBLE))
        *fault = arena_printf(arena, "%s: '%c' at position %zu", rule, value.at[at], at + 1);
    else
        *fault = arena_printf(arena, "%s: byte 0x%02x at position %zu", rule,
                              (unsigned)(unsigned char)value.at[at], at + 1);
    return false;
}

static bool check_bytes(const char *rule, struct span value, size_t bad, struct arena *arena,
                        struct span *fault)
{
    return bad == value.len || fail_at(rule, value, bad, arena, fault);
}

static bool check_length(struct span value, unsigned min, unsigned max, struct arena *arena,
                         struct span *fault)
{
    if (value.len >= min && value.len <= max)
        return true;
    if (value.len == 0)
        *fault = arena_printf(arena, "%u to %u characters: it is empty", min, max);
    else
        *fault = arena_printf(arena, "%u to %u characters: it has %zu", min, max, value.len);
    return false;
}

static bool check_number(struct span value, unsigned min, unsigned max, struct arena *arena,
                         struct span *fault)
{
    uint64_t number;
    if (value.len <= 10 && span_parse_u64(value, &number) && number >= min && number <= max)
        return true;
    size_t digits = 0;
    while (digits != value.len && ascii_is_digit(value.at[digits]))
        ++digits;
    if (value.len == 0)
        *fault = arena_printf(arena, "a whole number from %u to %u: it is empty", min, max);
    else if (digits != value.len)
        return fail_at(arena_printf(arena, "a whole number from %u to %u", min, max).at, value,
                       digits, arena, fault);
    else
        *fault = arena_printf(arena, "a whole number from %u to %u: it is %.*s", min, max,
                              (int)(value.len < 20 ? value.len : 20), value.at);
    return false;
}

static bool check_location(struct span value, struct arena *arena, struct span *fault)
{
    static const char rule[] = "https://HOST/... or s3://BUCKET/...";
    size_t bad = find_bad_printable(value);
    if (bad != value.len)
        return fail_at("printable ASCII", value, bad, arena, fault);
    bool s3 = span_starts_with(value, SPAN("s3://"));
    if (!s3 && !span_starts_with(value, SPAN("https://"))) {
        *fault = arena_printf(arena, "%s: the scheme is different", rule);
        return false;
    }
    struct span rest = span_from_offset(value, s3 ? 5 : 8);
    if (rest.len != 0 && rest.at[0] != '/')
        return true;
    *fault = arena_printf(arena, "%s: the %s is missing", rule, s3 ? "bucket" : "host");
    return false;
}

static bool check_shape(enum shape shape, struct span value, struct arena *arena,
                        struct span *fault)
{
    CHECK(shape != SHAPE_NONE && shape != SHAPE_NUMBER);
    switch (shape) {
    case SHAPE_TEXT:
        return check_bytes("printable ASCII and inner tabs", value, find_bad_text(value), arena,
                           fault);
    case SHAPE_PRINTABLE:
        return check_bytes("printable ASCII that does not begin with a blank", value,
                           find_bad_printable(value), arena, fault);
    case SHAPE_NAME_OR_NEW_SESSION:
        if (span_equals(value, SPAN("NEW_SESSION")))
            return true;
        return check_bytes("NEW_SESSION, or letters, digits and inner hyphens", value,
                           find_bad_name(value), arena, fault);
    case SHAPE_NAME:
        return check_bytes("letters, digits and inner hyphens", value, find_bad_name(value), arena,
                           fault);
    case SHAPE_LOCATION:
        return check_location(value, arena, fault);
    case SHAPE_OBJECT_PATH:
        return check_bytes("letters, digits and any of !_.*'()/-", value,
                           find_bad_object_path(value), arena, fault);
    case SHAPE_FILENAME:
        return check_bytes("a letter or digit, then letters, digits, '-', '_' and one '.'", value,
                           find_bad_filename(value), arena, fault);
    case SHAPE_NONE:
    case SHAPE_NUMBER:
        break;
    }
    return false;
}

bool sagemaker_check_parameter(enum sagemaker_operation operation,
                               enum sagemaker_parameter parameter, struct span value,
                               struct arena *arena, struct span *fault)
{
    CHECK(operation < SAGEMAKER_OPERATIONS && parameter < SAGEMAKER_PARAMETERS);
    const struct row *row = &rows[parameter];
    if (row->info.header[operation].at == NULL) {
        *fault = arena_printf(arena, "not a parameter of %.*s: it is set",
                              SPAN_ARG(operations[operation].api_name));
        return false;
    }
    if (row->shape[operation] == SHAPE_NUMBER)
        return check_number(value, row->min, row->max, arena, fault);
    return check_length(value, row->min, row->max, arena, fault) &&
           check_shape(row->shape[operation], value, arena, fault);
}

bool sagemaker_check_endpoint_name(struct span name, struct arena *arena, struct span *fault)
{
    return check_length(name, 1, 63, arena, fault) && check_shape(SHAPE_NAME, name, arena, fault);
}
