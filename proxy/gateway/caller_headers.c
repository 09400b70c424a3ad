/* The caller's headers, one after the other: a parameter, a refusal, or dropped. */
#include "gateway/caller_headers.h"

#include <limits.h>

#include "base/buffer.h"
#include "config/suggest.h"

enum { NONE = -1, NAME_SHOWN_MAX = 80, PREFIX_LENGTH = sizeof("X-Amzn-SageMaker-") - 1 };

/* Index of the header that carries a parameter, or NONE. */
struct carriers {
    int own[SAGEMAKER_PARAMETERS];    /* the operation's own header */
    int common[SAGEMAKER_PARAMETERS]; /* Content-Type or Accept where the own one differs */
};

struct reading {
    enum sagemaker_operation operation;
    bool wire_only;
    const struct http1_headers *headers;
    struct arena *arena;
    struct carriers carriers;
    struct span message;
};

static struct span shown(struct span name)
{
    return span_make(name.at, name.len < NAME_SHOWN_MAX ? name.len : NAME_SHOWN_MAX);
}

static struct span api_name(const struct reading *r)
{
    return sagemaker_operation_info(r->operation)->api_name;
}

static enum outcome refuse_twice(struct reading *r, enum sagemaker_parameter parameter,
                                 struct span header)
{
    r->message = arena_printf(
        r->arena, "%.*s (%.*s): a parameter has one value: the caller sent the header twice",
        SPAN_ARG(sagemaker_parameter_info(parameter)->api_name), SPAN_ARG(header));
    return OUTCOME_BAD_PARAMETER;
}

/* The operation's header that is spelled most alike, SPAN_NONE where less than half is. */
static struct span nearest_header(enum sagemaker_operation operation, struct span header)
{
    struct span nearest = SPAN_NONE;
    unsigned least = UINT_MAX;
    for (int i = 0; i != SAGEMAKER_PARAMETERS; ++i) {
        struct span known =
            sagemaker_parameter_info((enum sagemaker_parameter)i)->header[operation];
        unsigned distance = known.at == NULL ? UINT_MAX : suggest_distance(header, known);
        if (distance < least && 2 * distance <= header.len - PREFIX_LENGTH) {
            least = distance;
            nearest = known;
        }
    }
    return nearest;
}

/* An X-Amzn-SageMaker-* that is none of the operation's. */
static enum outcome refuse_foreign(struct reading *r, struct span header)
{
    enum sagemaker_parameter parameter;
    if (sagemaker_parameter_of_any(header, &parameter)) {
        const struct sagemaker_parameter_info *info = sagemaker_parameter_info(parameter);
        struct span own = info->header[r->operation];
        if (own.at != NULL)
            r->message = arena_printf(r->arena, "%.*s (%.*s): %.*s takes it as %.*s",
                                      SPAN_ARG(info->api_name), SPAN_ARG(header),
                                      SPAN_ARG(api_name(r)), SPAN_ARG(own));
        else
            r->message =
                arena_printf(r->arena, "%.*s (%.*s): %.*s has no such parameter",
                             SPAN_ARG(info->api_name), SPAN_ARG(header), SPAN_ARG(api_name(r)));
        return OUTCOME_BAD_PARAMETER;
    }
    struct span nearest = nearest_header(r->operation, header);
    r->message = arena_printf(r->arena, "%.*s: %.*s has no such header", SPAN_ARG(shown(header)),
                              SPAN_ARG(api_name(r)));
    if (nearest.at != NULL)
        r->message = arena_printf(r->arena, "%.*s, did you mean %.*s?", SPAN_ARG(r->message),
                                  SPAN_ARG(nearest));
    return OUTCOME_BAD_PARAMETER;
}

static enum outcome read_header(struct reading *r, int index)
{
    const struct http1_header *header = &r->headers->list[index];
    enum sagemaker_parameter parameter;
    bool is_own;
    if (span_equals_ignore_case(header->name, SPAN("Content-Encoding"))) {
        if (header->value.len == 0 || span_equals_ignore_case(header->value, SPAN("identity")))
            return OUTCOME_OK;
        r->message =
            arena_printf(r->arena,
                         "Content-Encoding: SageMaker drops this header and the model would read "
                         "encoded bytes; send the body as it is, not as '%.*s'",
                         SPAN_ARG(shown(header->value)));
        return OUTCOME_UNSUPPORTED_ENCODING;
    }
    if (http1_is_hop_by_hop(r->headers, header->name))
        return OUTCOME_OK;
    if (sagemaker_parameter_by_header(r->operation, header->name, &parameter, &is_own)) {
        if (!is_own && r->wire_only)
            return OUTCOME_OK;
        int *carrier = is_own ? &r->carriers.own[parameter] : &r->carriers.common[parameter];
        if (*carrier != NONE)
            return refuse_twice(r, parameter, header->name);
        *carrier = index;
        return OUTCOME_OK;
    }
    if (span_starts_with_ignore_case(header->name, SPAN("X-Amzn-SageMaker-")))
        return refuse_foreign(r, header->name);
    return OUTCOME_OK;
}

/* The operation's own header wins, unless it is empty. */
static int choose_carrier(const struct reading *r, size_t parameter)
{
    int own = r->carriers.own[parameter], common = r->carriers.common[parameter];
    if (own != NONE && (common == NONE || r->headers->list[own].value.len != 0))
        return own;
    return common;
}

/* What belongs to the connection and the message, which the gateway ends itself: not worth a word in the log. */
static bool is_of_the_message(struct span name)
{
    static const struct span names[] = {SPAN("Host"), SPAN("Connection"), SPAN("Content-Length"),
                                        SPAN("Transfer-Encoding"), SPAN("Expect")};
    for (size_t i = 0; i != sizeof(names) / sizeof(names[0]); ++i)
        if (span_equals_ignore_case(name, names[i]))
            return true;
    return false;
}

/* Names of all headers but the chosen ones, as far as they fit. */
static struct span list_dropped(const struct reading *r, const bool *chosen)
{
    char *text = arena_alloc(r->arena, CALLER_HEADERS_DROPPED_MAX + 4);
    size_t len = 0;
    bool left_out = false;
    for (size_t i = 0; i != r->headers->count; ++i) {
        struct span name = r->headers->list[i].name;
        if (chosen[i] || is_of_the_message(name))
            continue;
        if (name.len + (len != 0) > CALLER_HEADERS_DROPPED_MAX - len) {
            left_out = true;
            continue;
        }
        if (len != 0)
            text[len++] = ',';
        for (size_t k = 0; k != name.len; ++k) {
            char c = name.at[k];
            text[len++] = c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
        }
    }
    if (left_out) { /* says that there were more */
        struct span mark = len == 0 ? SPAN("...") : SPAN(",...");
        memcpy(text + len, mark.at, mark.len);
        len += mark.len;
    }
    return span_make(text, len);
}

enum outcome caller_headers_read(enum sagemaker_operation operation, bool wire_only,
                                 const struct http1_request *request, struct arena *arena,
                                 struct caller_headers *out, struct span *message)
{
    struct reading r = {.operation = operation,
                        .wire_only = wire_only,
                        .headers = &request->headers,
                        .arena = arena};
    bool chosen[HTTP1_HEADERS_MAX] = {false};
    for (size_t i = 0; i != SAGEMAKER_PARAMETERS; ++i)
        r.carriers.own[i] = r.carriers.common[i] = NONE;
    for (size_t i = 0; i != request->headers.count; ++i) {
        enum outcome outcome = read_header(&r, (int)i);
        if (outcome != OUTCOME_OK) {
            *message = r.message;
            return outcome;
        }
    }
    for (size_t i = 0; i != SAGEMAKER_PARAMETERS; ++i) {
        int carrier = choose_carrier(&r, i);
        out->values[i] = SPAN_NONE;
        if (carrier == NONE)
            continue;
        out->values[i] = span_trim(request->headers.list[carrier].value);
        chosen[carrier] = true;
    }
    out->dropped = list_dropped(&r, chosen);
    return OUTCOME_OK;
}
