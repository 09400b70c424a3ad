/* Fills in a call, in this order: the operation, the caller's headers, the endpoint, each
 * parameter's policy, the API's rules. */
#include "gateway/fill.h"

#include "base/ascii.h"
#include "config/suggest.h"

#include <limits.h>
#include <stdarg.h>

enum {
    JOINED_MAX = 8, /* values listed in a message */
    SHOWN_MAX = 80, /* bytes of a header shown in a message */
    DROPPED_MAX = 256,
    PREFIX_LENGTH = sizeof("X-Amzn-SageMaker-") - 1,
    NO_HEADER = -1,
};

struct filling {
    struct source *source;
    const struct config_route *route;
    const struct http1_headers *headers;
    struct arena *arena;
    struct fill_result *out;
};

/* ---- rejections ------------------------------------------------------------------------------ */

static bool refuse(struct filling *f, enum outcome outcome, struct span message)
{
    f->out->outcome = outcome;
    f->out->message = message;
    return false;
}

/* Rejects with BAD_PARAMETER and "SUBJECT: TEXT". */
static bool reject(struct filling *f, struct span subject, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
static bool reject(struct filling *f, struct span subject, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    struct span text = arena_vprintf(f->arena, format, args);
    va_end(args);
    return refuse(f, OUTCOME_BAD_PARAMETER,
                  arena_printf(f->arena, "%.*s: %.*s", SPAN_ARG(subject), SPAN_ARG(text)));
}

/* "TargetVariant (X-Amzn-SageMaker-Target-Variant)" */
static struct span subject_in(const struct filling *f, enum sagemaker_parameter parameter,
                              struct span header)
{
    return arena_printf(f->arena, "%.*s (%.*s)",
                        SPAN_ARG(sagemaker_parameter_info(parameter)->api_name), SPAN_ARG(header));
}

static struct span subject_of(const struct filling *f, enum sagemaker_parameter parameter)
{
    return subject_in(f, parameter, sagemaker_parameter_info(parameter)->header[f->out->operation]);
}

static struct span shown(struct span text)
{
    return span_make(text.at, text.len < SHOWN_MAX ? text.len : SHOWN_MAX);
}

/* "A, B and 3 more" */
static struct span join(const struct span *list, size_t count, struct arena *arena)
{
    struct span text = SPAN("");
    size_t joined = count < JOINED_MAX ? count : JOINED_MAX;
    for (size_t i = 0; i != joined; ++i)
        text = arena_printf(arena, "%.*s%s%.*s", SPAN_ARG(text), i == 0 ? "" : ", ",
                            SPAN_ARG(list[i]));
    if (joined == count)
        return text;
    return arena_printf(arena, "%.*s and %zu more", SPAN_ARG(text), count - joined);
}

/* ---- the operation --------------------------------------------------------------------------- */

/* A native path ends in the operation's name. If the end of the path is a capture over slashes, the
 * capture must be the name alone. */
static bool choose_native_operation(struct filling *f)
{
    const struct route_match *match = f->source->match;
    struct span suffix = f->source->request->path;
    bool is_deep = false;
    while (span_find(suffix, '/') != suffix.len)
        suffix = span_from_offset(suffix, span_find(suffix, '/') + 1);
    for (size_t i = 0; i != match->capture_count; ++i)
        is_deep |= span_find(match->captures[i].value, '/') != match->captures[i].value.len;
    if (!is_deep && sagemaker_operation_by_suffix(suffix, &f->out->operation))
        return true;
    struct span known[SAGEMAKER_OPERATIONS];
    for (int i = 0; i != SAGEMAKER_OPERATIONS; ++i)
        known[i] = sagemaker_operation_info((enum sagemaker_operation)i)->path_suffix;
    return refuse(f, OUTCOME_NO_ROUTE,
                  arena_printf(f->arena,
                               "unknown operation on native route '%.*s': the path must be "
                               "/endpoints/NAME/OPERATION, with one of %.*s",
                               SPAN_ARG(f->route->name),
                               SPAN_ARG(join(known, SAGEMAKER_OPERATIONS, f->arena))));
}

/* Returns whether Accept, a list of types with parameters, contains text/event-stream. */
static bool accepts_events(const struct http1_headers *headers)
{
    struct span type, rest = http1_header_value(headers, SPAN("Accept"));
    for (bool more = rest.len != 0; more;) {
        more = span_split(rest, ',', &type, &rest);
        type.len = span_find(type, ';');
        if (span_equals_ignore_case(span_trim(type), SPAN("text/event-stream")))
            return true;
    }
    return false;
}

static bool is_yes(struct span value)
{
    value = span_trim(value);
    return value.len != 0 && !span_equals(value, SPAN("0")) &&
           !span_equals_ignore_case(value, SPAN("false")) &&
           !span_equals_ignore_case(value, SPAN("no"));
}

/* Sets *stream if the value asks for a stream. Returns false if the value is ambiguous. No-op if
 * name is SPAN_NONE. */
static bool ask(struct filling *f, enum template_source source, struct span name, bool *stream)
{
    if (name.at == NULL)
        return true;
    *stream |= is_yes(source_lookup(f->source, source, name));
    return f->source->fault.at == NULL || refuse(f, OUTCOME_BAD_PARAMETER, f->source->fault);
}

static bool choose_streaming(struct filling *f)
{
    bool stream = accepts_events(f->headers);
    if (!ask(f, TEMPLATE_HEADER, f->route->stream_header, &stream) ||
        !ask(f, TEMPLATE_QUERY, f->route->stream_query, &stream))
        return false;
    enum json_scan_kind kind = json_scan_get(f->source->json, SPAN("stream")).kind;
    if (kind == JSON_SCAN_TWICE)
        return refuse(f, OUTCOME_BAD_PARAMETER, SPAN("duplicate member \"stream\" in the body"));
    if (stream || kind == JSON_SCAN_TRUE)
        f->out->operation = SAGEMAKER_STREAM;
    return true;
}

static bool choose_operation(struct filling *f)
{
    f->out->operation = SAGEMAKER_INVOKE;
    switch (f->route->operation) {
    case CONFIG_INVOKE:
        return true;
    case CONFIG_ASYNC:
        f->out->operation = SAGEMAKER_ASYNC;
        return true;
    case CONFIG_STREAM:
        f->out->operation = SAGEMAKER_STREAM;
        return true;
    case CONFIG_OPENAI:
        f->out->proof = FILL_BEARER;
        return true;
    case CONFIG_CONTAINER:
    case CONFIG_PING:
        f->out->proof = FILL_NONE;
        f->out->is_get = !span_equals(f->source->request->method, SPAN("POST"));
        return true;
    case CONFIG_AUTO:
        return choose_streaming(f);
    case CONFIG_NATIVE:
        return choose_native_operation(f);
    }
    return true;
}

/* ---- the caller's headers -------------------------------------------------------------------- */

/* Index of the header that carries a parameter, or NO_HEADER. */
struct carriers {
    int own[SAGEMAKER_PARAMETERS];    /* the operation's own header */
    int common[SAGEMAKER_PARAMETERS]; /* Content-Type or Accept, if it is not the own header */
};

static bool check_encoding(struct filling *f, const struct http1_header *header)
{
    if (!span_equals_ignore_case(header->name, SPAN("Content-Encoding")) ||
        header->value.len == 0 || span_equals_ignore_case(header->value, SPAN("identity")))
        return true;
    return refuse(f, OUTCOME_UNSUPPORTED_ENCODING,
                  arena_printf(f->arena,
                               "Content-Encoding: SageMaker drops this header, so the model would "
                               "read encoded bytes; send the body unencoded, not as '%.*s'",
                               SPAN_ARG(shown(header->value))));
}

/* Makes all checks that are possible without the body. */
static bool check_encodings(struct filling *f)
{
    for (size_t i = 0; i != f->headers->count; ++i)
        if (!check_encoding(f, &f->headers->list[i]))
            return false;
    return true;
}

/* Returns the operation's header with the most similar name; SPAN_NONE if the names differ in more
 * than half of their letters. */
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

/* Rejects an X-Amzn-SageMaker-* header that the operation does not have. */
static bool reject_foreign(struct filling *f, struct span header)
{
    enum sagemaker_operation operation = f->out->operation;
    enum sagemaker_parameter parameter;
    struct span api_name = sagemaker_operation_info(operation)->api_name;
    if (sagemaker_parameter_of_any(header, &parameter)) {
        struct span own = sagemaker_parameter_info(parameter)->header[operation];
        struct span subject = subject_in(f, parameter, header);
        if (own.at == NULL)
            return reject(f, subject, "%.*s has no such parameter", SPAN_ARG(api_name));
        return reject(f, subject, "%.*s expects it as %.*s", SPAN_ARG(api_name), SPAN_ARG(own));
    }
    struct span nearest = nearest_header(operation, header);
    if (nearest.at == NULL)
        return reject(f, shown(header), "%.*s has no such header", SPAN_ARG(api_name));
    return reject(f, shown(header), "%.*s has no such header, did you mean %.*s?",
                  SPAN_ARG(api_name), SPAN_ARG(nearest));
}

static bool sort_header(struct filling *f, int index, struct carriers *carriers)
{
    struct span name = f->headers->list[index].name;
    enum sagemaker_parameter parameter;
    bool is_own;
    if (!check_encoding(f, &f->headers->list[index]))
        return false;
    if (http1_is_hop_by_hop(f->headers, name))
        return true;
    if (!sagemaker_parameter_by_header(f->out->operation, name, &parameter, &is_own))
        return !span_starts_with_ignore_case(name, SPAN("X-Amzn-SageMaker-")) ||
               reject_foreign(f, name);
    if (!is_own && f->route->operation == CONFIG_NATIVE)
        return true; /* the native API uses only its own headers */
    int *carrier = is_own ? &carriers->own[parameter] : &carriers->common[parameter];
    if (*carrier != NO_HEADER)
        return reject(f, subject_in(f, parameter, name), "duplicate header; send it once");
    *carrier = index;
    return true;
}

/* The operation's own header wins, unless it is empty. */
static int choose_carrier(const struct filling *f, const struct carriers *carriers,
                          size_t parameter)
{
    int own = carriers->own[parameter], common = carriers->common[parameter];
    if (own != NO_HEADER && (common == NO_HEADER || f->headers->list[own].value.len != 0))
        return own;
    return common;
}

/* Returns whether a header belongs to the connection or the message's framing, which end here. */
static bool is_framing(struct span name)
{
    static const struct span names[] = {SPAN("Host"), SPAN("Connection"), SPAN("Content-Length"),
                                        SPAN("Transfer-Encoding"), SPAN("Expect")};
    for (size_t i = 0; i != sizeof(names) / sizeof(names[0]); ++i)
        if (span_equals_ignore_case(name, names[i]))
            return true;
    return false;
}

/* Lists the names of all headers but the chosen ones; "..." stands for those that do not fit. */
static struct span list_dropped(const struct filling *f, const bool *chosen)
{
    char *text = arena_alloc(f->arena, DROPPED_MAX + 4);
    size_t len = 0;
    bool left_out = false;
    for (size_t i = 0; i != f->headers->count; ++i) {
        struct span name = f->headers->list[i].name;
        if (chosen[i] || is_framing(name))
            continue;
        if (name.len + (len != 0) > DROPPED_MAX - len) {
            left_out = true;
            continue;
        }
        if (len != 0)
            text[len++] = ',';
        for (size_t k = 0; k != name.len; ++k)
            text[len++] = ascii_lower(name.at[k]);
    }
    if (left_out) {
        struct span mark = len == 0 ? SPAN("...") : SPAN(",...");
        memcpy(text + len, mark.at, mark.len);
        len += mark.len;
    }
    return span_make(text, len);
}

/* Sets caller_value of the parameters, and dropped_headers. */
static bool read_headers(struct filling *f)
{
    struct carriers carriers;
    bool chosen[HTTP1_HEADERS_MAX] = {false};
    for (size_t i = 0; i != SAGEMAKER_PARAMETERS; ++i)
        carriers.own[i] = carriers.common[i] = NO_HEADER;
    for (size_t i = 0; i != f->headers->count; ++i)
        if (!sort_header(f, (int)i, &carriers))
            return false;
    for (size_t i = 0; i != SAGEMAKER_PARAMETERS; ++i) {
        int carrier = choose_carrier(f, &carriers, i);
        if (carrier == NO_HEADER)
            continue;
        f->out->parameters[i].caller_value = span_trim(f->headers->list[carrier].value);
        chosen[carrier] = true;
    }
    f->out->dropped_headers = list_dropped(f, chosen);
    for (size_t i = 0; i != SAGEMAKER_PARAMETERS; ++i)
        if ((f->route->lacks & 1u << i) != 0 && f->out->parameters[i].caller_value.len != 0)
            return reject(f, subject_of(f, (enum sagemaker_parameter)i),
                          "the operation of route '%.*s' has no such parameter",
                          SPAN_ARG(f->route->name));
    return true;
}

/* ---- the endpoint and the path --------------------------------------------------------------- */

/* Expands a template. Returns false if a source is ambiguous: reject_source. */
static bool expand(struct filling *f, const struct template *t, struct span *value)
{
    *value = span_trim(template_expand(t, source_lookup, f->source, f->arena));
    return f->source->fault.at == NULL;
}

/* subject: what the template is for. */
static bool reject_source(struct filling *f, struct span subject)
{
    return reject(f, subject, "%.*s, referred to by route '%.*s'", SPAN_ARG(f->source->fault),
                  SPAN_ARG(f->route->name));
}

static bool is_allowed(struct span value, const struct span *allow, size_t count)
{
    for (size_t i = 0; i != count; ++i)
        if (span_matches_glob(value, allow[i]))
            return true;
    return count == 0;
}

static bool fill_endpoint(struct filling *f)
{
    const struct config_route *route = f->route;
    const struct span subject = SPAN("EndpointName");
    struct span name, fault;
    if (route->endpoint == NULL)
        return true;
    if (!expand(f, route->endpoint, &name))
        return reject_source(f, subject);
    if (name.len == 0)
        return reject(f, subject, "required, but \"%.*s\" of route '%.*s' is empty",
                      SPAN_ARG(route->endpoint->text), SPAN_ARG(route->name));
    if (!sagemaker_check_endpoint_name(name, f->arena, &fault))
        return reject(f, subject, "%.*s; it comes from %sroute '%.*s'", SPAN_ARG(fault),
                      template_is_from_caller(route->endpoint) ? "the request, through " : "",
                      SPAN_ARG(route->name));
    if (!is_allowed(name, route->endpoint_allow, route->endpoint_allow_count))
        return reject(f, subject, "must match one of %.*s (allow of route '%.*s'), not '%.*s'",
                      SPAN_ARG(join(route->endpoint_allow, route->endpoint_allow_count, f->arena)),
                      SPAN_ARG(route->name), SPAN_ARG(name));
    f->out->endpoint = name;
    return true;
}

/* The component of an OpenAI-compatible call is part of the path. */
static void set_path(struct filling *f)
{
    struct fill_result *out = f->out;
    struct span component = out->parameters[SAGEMAKER_INFERENCE_COMPONENT_NAME].value;
    if (out->proof == FILL_NONE)
        out->path = out->is_get ? SPAN("/ping") : SPAN("/invocations");
    else if (out->proof == FILL_SIGNED)
        out->path =
            arena_concat(f->arena,
                         (struct span[]){SPAN("/endpoints/"), out->endpoint, SPAN("/"),
                                         sagemaker_operation_info(out->operation)->path_suffix},
                         4);
    else
        out->path = arena_printf(
            f->arena, "/endpoints/%.*s%s%.*s/openai/v1/chat/completions", SPAN_ARG(out->endpoint),
            component.len != 0 ? "/inference-components/" : "", SPAN_ARG(component));
}

/* ---- one parameter --------------------------------------------------------------------------- */

/* "the caller's header", "the value and the append of route 'x'" */
static struct span origin_of(const struct filling *f, const struct fill_parameter *p)
{
    static const char *const origins[][2] = {
        [FILL_ABSENT] = {"", "the append of"},
        [FILL_CALLER] = {"the caller's header", "the caller's header and the append of"},
        [FILL_DEFAULT] = {"the default of", "the default and the append of"},
        [FILL_VALUE] = {"the value of", "the value and the append of"},
    };
    const char *origin = origins[p->source][p->appended ? 1 : 0];
    if (p->source == FILL_CALLER && !p->appended)
        return span_from(origin);
    return arena_printf(f->arena, "%s route '%.*s'", origin, SPAN_ARG(f->route->name));
}

/* Returns whether clients send the value by default: curl (Accept), old clients (Content-Type). */
static bool is_unasked(enum sagemaker_parameter parameter, struct span value)
{
    if (parameter == SAGEMAKER_ACCEPT)
        return span_equals(value, SPAN("*/*"));
    return parameter == SAGEMAKER_CONTENT_TYPE &&
           span_equals_ignore_case(value, SPAN("application/x-www-form-urlencoded"));
}

/* Returns whether the caller has set the parameter. A value that clients send by default counts
 * only with strict_default, or if the route has no policy for the parameter and callers may set
 * it. */
static bool is_sent(const struct filling *f, enum sagemaker_parameter parameter, bool may_set)
{
    const struct config_policy *policy = &f->route->parameters[parameter];
    struct span value = f->out->parameters[parameter].caller_value;
    if (value.len == 0)
        return false;
    return !is_unasked(parameter, value) || policy->strict_default || (may_set && !policy->set);
}

/* Chooses the policy's value, else the caller's, else the policy's default. */
static bool choose_value(struct filling *f, enum sagemaker_parameter parameter, bool sent,
                         struct fill_parameter *p)
{
    const struct config_policy *policy = &f->route->parameters[parameter];
    const struct template *t = policy->value != NULL ? policy->value : policy->default_value;
    struct span value = SPAN_NONE;
    if (sent && policy->value == NULL) {
        p->source = FILL_CALLER;
        p->value = p->caller_value;
        return true;
    }
    if (t != NULL && !expand(f, t, &value))
        return reject_source(f, subject_of(f, parameter));
    p->overridden = sent && !span_equals(value, p->caller_value);
    if (value.len != 0) {
        p->source = policy->value != NULL ? FILL_VALUE : FILL_DEFAULT;
        p->value = value;
    }
    return true;
}

/* Appends the route's append. If both together are too long, keeps the value alone. */
static bool append(struct filling *f, enum sagemaker_parameter parameter, struct fill_parameter *p)
{
    const struct config_policy *policy = &f->route->parameters[parameter];
    struct span more;
    if (policy->append == NULL)
        return true;
    if (!expand(f, policy->append, &more))
        return reject_source(f, subject_of(f, parameter));
    if (more.len == 0)
        return true;
    struct span separator = p->value.len == 0 ? SPAN("") : policy->separator;
    if (p->value.len + separator.len + more.len > SAGEMAKER_CUSTOM_ATTRIBUTES_MAX) {
        p->append_dropped = true;
        return true;
    }
    p->appended = true;
    p->value = span_trim(arena_concat(f->arena, (struct span[]){p->value, separator, more}, 3));
    return true;
}

static bool reject_missing(struct filling *f, enum sagemaker_parameter parameter)
{
    const struct config_policy *policy = &f->route->parameters[parameter];
    const struct template *t = policy->value != NULL ? policy->value : policy->default_value;
    struct span subject = subject_of(f, parameter), route = f->route->name;
    if (t == NULL)
        return reject(f, subject, "required by route '%.*s', but not sent", SPAN_ARG(route));
    return reject(f, subject, "required by route '%.*s', but %s \"%.*s\" is empty", SPAN_ARG(route),
                  policy->value != NULL ? "its value" : "not sent, and its default",
                  SPAN_ARG(t->text));
}

static bool check(struct filling *f, enum sagemaker_parameter parameter,
                  const struct fill_parameter *p)
{
    const struct config_policy *policy = &f->route->parameters[parameter];
    struct span fault;
    if (p->value.at == NULL)
        return !policy->required || reject_missing(f, parameter);
    if (!sagemaker_check_parameter(f->out->operation, parameter, p->value, f->arena, &fault))
        return reject(f, subject_of(f, parameter), "%.*s; it comes from %.*s", SPAN_ARG(fault),
                      SPAN_ARG(origin_of(f, p)));
    return is_allowed(p->value, policy->allow, policy->allow_count) ||
           reject(f, subject_of(f, parameter),
                  "must match one of %.*s (allow of route '%.*s'); it comes from %.*s",
                  SPAN_ARG(join(policy->allow, policy->allow_count, f->arena)),
                  SPAN_ARG(f->route->name), SPAN_ARG(origin_of(f, p)));
}

static bool fill_parameter(struct filling *f, enum sagemaker_parameter parameter)
{
    struct fill_parameter *p = &f->out->parameters[parameter];
    uint32_t bit = (uint32_t)1 << parameter;
    bool may_set = !f->route->callers_may_set_given || (f->route->callers_may_set & bit) != 0;
    bool sent = is_sent(f, parameter, may_set);
    if (sent && !may_set)
        return reject(f, subject_of(f, parameter),
                      "not in callers_may_set of route '%.*s'; do not send it",
                      SPAN_ARG(f->route->name));
    if (!choose_value(f, parameter, sent, p) || !append(f, parameter, p))
        return false;
    f->out->overridden |= p->overridden ? bit : 0;
    return check(f, parameter, p);
}

static bool fill_parameters(struct filling *f)
{
    for (int i = 0; i != SAGEMAKER_PARAMETERS; ++i) {
        enum sagemaker_parameter parameter = (enum sagemaker_parameter)i;
        if (sagemaker_parameter_info(parameter)->header[f->out->operation].at == NULL ||
            (f->route->lacks & 1u << i) != 0)
            continue;
        if (!fill_parameter(f, parameter))
            return false;
    }
    return true;
}

/* ---- the call -------------------------------------------------------------------------------- */

void fill_request(struct source *source, struct fill_result *out)
{
    const struct config_route *route = source->match->route;
    struct filling f = {source, route, &source->request->headers, source->arena, out};
    *out = (struct fill_result){.outcome = OUTCOME_OK};
    bool is_ping = route->operation == CONFIG_PING; /* ignores the rest of the request */
    if (!is_ping && route->watched_count != 0 && source->json == NULL)
        out->needs_body = check_encodings(&f);
    else if (choose_operation(&f) &&
             (is_ping || (read_headers(&f) && fill_endpoint(&f) && fill_parameters(&f))))
        set_path(&f);
}

size_t fill_upstream_headers(const struct fill_result *fill, const struct config_upstream *upstream,
                             struct http1_header out[SAGEMAKER_PARAMETERS + 1])
{
    size_t count = 0;
    out[count++] = (struct http1_header){SPAN("Host"), upstream->url.authority};
    for (int i = 0; i != SAGEMAKER_PARAMETERS; ++i) {
        struct span value = fill->parameters[i].value;
        if (value.at == NULL ||
            (fill->proof == FILL_BEARER && i == SAGEMAKER_INFERENCE_COMPONENT_NAME))
            continue;
        struct span name =
            sagemaker_parameter_info((enum sagemaker_parameter)i)->header[fill->operation];
        out[count++] = (struct http1_header){name, value};
    }
    return count;
}

struct span fill_operation_name(const struct config_route *route, const struct fill_result *fill)
{
    switch (route->operation) {
    case CONFIG_OPENAI:
        return SPAN("openai");
    case CONFIG_CONTAINER:
        return SPAN("container");
    case CONFIG_PING:
        return SPAN("ping");
    default:
        return sagemaker_operation_info(fill->operation)->name;
    }
}
