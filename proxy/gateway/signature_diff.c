/* Compares two canonical requests line by line. */
#include "gateway/signature_diff.h"

#include "aws/sha256.h"
#include "aws/sigv4.h"
#include "net/http1.h"

enum { CANONICAL_MAX = 256 * 1024, TEXT_MAX = 128 };

struct sent {
    struct http1_request request;
    struct span scope;          /* "20150830/us-east-1/sagemaker/aws4_request" */
    struct span signed_headers; /* "a;b;c" */
};

/* ---- the request as sent ---- */

static struct span between(struct span text, const char *from, char to)
{
    struct span mark = span_from(from);
    const char *at = text.len == 0 ? NULL : memmem(text.at, text.len, mark.at, mark.len);
    if (at == NULL)
        return SPAN_NONE;
    struct span rest = span_from_offset(text, (size_t)(at - text.at) + mark.len);
    rest.len = span_find(rest, to);
    return rest;
}

static bool read_sent(struct span head, struct sent *sent)
{
    struct span key_id;
    if (!span_ends_with(head, SPAN("\r\n\r\n")) ||
        http1_parse_request(head, &sent->request) != HTTP1_OK)
        return false;
    struct span authorization = http1_header_value(&sent->request.headers, SPAN("authorization"));
    sent->signed_headers = between(authorization, "SignedHeaders=", ',');
    return span_split(between(authorization, "Credential=", ','), '/', &key_id, &sent->scope) &&
           sent->signed_headers.len != 0;
}

static bool is_signed(const struct sent *sent, struct span name)
{
    struct span one, rest = sent->signed_headers;
    for (bool more = true; more;) {
        more = span_split(rest, ';', &one, &rest);
        if (span_equals_ignore_case(one, name))
            return true;
    }
    return false;
}

static struct span canonical_of(const struct sent *sent, const unsigned char *body_sha256,
                                struct arena *arena)
{
    struct sigv4_header headers[SIGV4_HEADERS_MAX];
    struct sigv4_request request = {.method = sent->request.method,
                                    .path = sent->request.path,
                                    .query = sent->request.query,
                                    .headers = headers,
                                    .normalize_path = true,
                                    .encode_path = true};
    struct buffer out;
    for (size_t i = 0; i != sent->request.headers.count; ++i) {
        const struct http1_header *header = &sent->request.headers.list[i];
        if (is_signed(sent, header->name))
            headers[request.header_count++] = (struct sigv4_header){header->name, header->value};
    }
    memcpy(request.body_sha256, body_sha256, SIGV4_HASH_SIZE);
    buffer_init(&out, CANONICAL_MAX);
    sigv4_append_canonical_request(&request, &out, NULL);
    struct span canonical = arena_copy(arena, buffer_span(&out));
    buffer_dispose(&out);
    return canonical;
}

/* ---- differences ---- */

static bool is_private(struct span name)
{
    static const struct span names[] = {SPAN("x-amzn-sagemaker-custom-attributes"),
                                        SPAN("x-amzn-sagemaker-session-id"),
                                        SPAN("x-amz-security-token")};
    for (size_t i = 0; i != sizeof(names) / sizeof(names[0]); ++i)
        if (span_equals(name, names[i]))
            return true;
    return false;
}

/* Returns a value in a form that may be logged. */
static struct span shown(struct span name, struct span value, struct arena *arena)
{
    unsigned char hash[SHA256_SIZE];
    if (is_private(name)) {
        sha256_of(value, hash);
        return arena_printf(arena, "(%zu bytes, SHA-256 %02x%02x%02x%02x...)", value.len, hash[0],
                            hash[1], hash[2], hash[3]);
    }
    struct span copy = arena_copy(arena, value.len == 0 ? SPAN("") : value);
    if (copy.len > TEXT_MAX)
        copy.len = TEXT_MAX;
    for (size_t i = 0; i != copy.len; ++i)
        if (!ascii_is_printable(copy.at[i]))
            ((char *)copy.at)[i] = '?';
    return arena_printf(arena, "\"%.*s\"", SPAN_ARG(copy));
}

static struct span differ_in_header(struct span ours, struct span theirs, struct arena *arena)
{
    struct span name, value, their_name, their_value;
    (void)span_split(ours, ':', &name, &value);
    (void)span_split(theirs, ':', &their_name, &their_value);
    if (!span_equals(name, their_name))
        return arena_printf(arena, "header %.*s did not arrive, or header %.*s was added",
                            SPAN_ARG(shown(SPAN(""), name, arena)),
                            SPAN_ARG(shown(SPAN(""), their_name, arena)));
    const char *what = span_equals(name, SPAN("host")) ? "the host was changed in transit"
                       : span_equals(name, SPAN("x-amz-security-token"))
                           ? "the session token was changed in transit"
                           : "a header was changed in transit";
    return arena_printf(arena, "%s: %.*s was signed as %.*s, AWS received %.*s", what,
                        SPAN_ARG(name), SPAN_ARG(shown(name, value, arena)),
                        SPAN_ARG(shown(name, their_value, arena)));
}

/* Returns the cause by the first line that differs; SPAN_NONE if none does. */
static struct span differ(struct span ours, struct span theirs, struct arena *arena)
{
    static const char *const first[] = {"the method", "the path", "the query"};
    bool past_headers = false;
    for (size_t line = 0; ours.len != 0 || theirs.len != 0; ++line) {
        struct span mine, other;
        (void)span_split(ours, '\n', &mine, &ours);
        (void)span_split(theirs, '\n', &other, &theirs);
        if (!span_equals(mine, other) && line < 3)
            return arena_printf(
                arena, "%s was changed in transit: signed as %.*s, AWS received %.*s", first[line],
                SPAN_ARG(shown(SPAN(""), mine, arena)), SPAN_ARG(shown(SPAN(""), other, arena)));
        if (!span_equals(mine, other) && !past_headers)
            return differ_in_header(mine, other, arena);
        if (!span_equals(mine, other))
            return ours.len == 0 && theirs.len == 0
                       ? SPAN("the body was changed in transit: its hash differs")
                       : SPAN("the list of signed headers was changed in transit");
        past_headers |= line >= 3 && mine.len == 0;
    }
    return SPAN_NONE;
}

/* ---- the cause ---- */

static bool says(struct span message, const char *text)
{
    return message.len != 0 && memmem(message.at, message.len, text, strlen(text)) != NULL;
}

/* Finds the cause from a message without a canonical request. */
static struct span cause_without(const struct sent *sent, struct span message, struct arena *arena)
{
    if (says(message, "Signature expired") || says(message, "not yet current"))
        return SPAN("clock: the signature's timestamp differs too much from AWS's time");
    if (says(message, "should be scoped") || says(message, "Credential scope"))
        return arena_printf(arena, "scope: signed for %.*s, but AWS expects another scope",
                            SPAN_ARG(shown(SPAN(""), sent->scope, arena)));
    if (says(message, "security token"))
        return SPAN("token: unknown access key id or session token");
    return SPAN("AWS gave no reason");
}

struct span signature_diff(struct span head, const unsigned char *body_sha256, struct span message,
                           struct arena *arena)
{
    struct sent sent;
    if (!read_sent(head, &sent))
        return SPAN("cannot parse the request as sent");
    struct span theirs =
        between(message, "Canonical String for this request should have been\n'", '\'');
    if (theirs.len == 0)
        return cause_without(&sent, message, arena);
    struct span cause = differ(canonical_of(&sent, body_sha256, arena), theirs, arena);
    if (cause.len != 0)
        return cause;
    struct span to_sign = between(message, "String-to-Sign should have been\n'", '\''), line;
    for (int i = 0; i != 3; ++i)
        (void)span_split(to_sign, '\n', &line, &to_sign);
    if (line.len != 0 && !span_equals(line, sent.scope))
        return arena_printf(arena, "scope: signed for %.*s, AWS expects %.*s",
                            SPAN_ARG(shown(SPAN(""), sent.scope, arena)),
                            SPAN_ARG(shown(SPAN(""), line, arena)));
    return SPAN(
        "the secret access key does not belong to the access key id: everything else matches");
}
