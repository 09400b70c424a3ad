/* Filling in: for each parameter the route's policy is applied to what the caller sent, then the API's rules. */
#include "gateway/fill.h"

#include "gateway/caller_headers.h"
#include "gateway/source.h"

enum { APPENDED_MAX = SAGEMAKER_CUSTOM_ATTRIBUTES_MAX, JOINED_MAX = 8 };

struct filling {
    const struct config_route *route;
    struct arena *arena;
    struct source source;
    struct caller_headers caller;
    struct fill_result *out;
};

/* ---- the operation and the endpoint ------------------------------------------------------------ */

static bool refuse(struct filling *f, enum outcome outcome, struct span message)
{
    f->out->outcome = outcome;
    f->out->message = message;
    return false;
}

/* "TargetVariant (X-Amzn-SageMaker-Target-Variant)" */
static struct span subject_of(const struct filling *f, enum sagemaker_parameter parameter)
{
    if (parameter == SAGEMAKER_PARAMETERS)
        return SPAN("EndpointName");
    const struct sagemaker_parameter_info *info = sagemaker_parameter_info(parameter);
    return arena_printf(f->arena, "%.*s (%.*s)", SPAN_ARG(info->api_name),
                        SPAN_ARG(info->header[f->out->operation]));
}

/* Expands; false, with the result refused, where a source is not to be trusted. SAGEMAKER_PARAMETERS
 * stands for the endpoint's name. */
static bool expand(struct filling *f, const struct template *t, enum sagemaker_parameter parameter,
                   struct span *value)
{
    *value = span_trim(template_expand(t, source_lookup, &f->source, f->arena));
    if (f->source.fault.at == NULL)
        return true;
    return refuse(f, OUTCOME_BAD_PARAMETER,
                  arena_printf(f->arena, "%.*s: route '%.*s' takes it from the request: %.*s",
                               SPAN_ARG(subject_of(f, parameter)), SPAN_ARG(f->route->name),
                               SPAN_ARG(f->source.fault)));
}

static bool is_allowed(struct span value, const struct span *allow, size_t count)
{
    for (size_t i = 0; i != count; ++i)
        if (span_matches_glob(value, allow[i]))
            return true;
    return count == 0;
}

/* "A, B and 3 more", for messages. */
static struct span join(const struct span *list, size_t count, struct arena *arena)
{
    struct span text = SPAN("");
    size_t shown = count < JOINED_MAX ? count : JOINED_MAX;
    for (size_t i = 0; i != shown; ++i)
        text = arena_printf(arena, "%.*s%s%.*s", SPAN_ARG(text), i == 0 ? "" : ", ",
                            SPAN_ARG(list[i]));
    if (shown == count)
        return text;
    return arena_printf(arena, "%.*s and %zu more", SPAN_ARG(text), count - shown);
}

/* A native path ends in the operation's name, which a capture over slashes holds alone if it holds it. */
static bool choose_native_operation(struct filling *f, struct span path)
{
    const struct route_match *match = f->source.match;
    struct span suffix = path;
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
                               "route '%.*s' takes the native API, /endpoints/NAME/OPERATION, and "
                               "knows no operation by this path; there are %.*s",
                               SPAN_ARG(f->route->name),
                               SPAN_ARG(join(known, SAGEMAKER_OPERATIONS, f->arena))));
}

/* An Accept is a list of types with parameters. */
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

/* False, with the result refused, where the source is not to be trusted. */
static bool asks(struct filling *f, enum template_source source, struct span name, bool *stream)
{
    if (name.at == NULL)
        return true;
    *stream |= is_yes(source_lookup(&f->source, source, name));
    return f->source.fault.at == NULL || refuse(f, OUTCOME_BAD_PARAMETER, f->source.fault);
}

static bool choose_streaming(struct filling *f)
{
    const struct config_route *route = f->route;
    bool stream = accepts_events(&f->source.request->headers);
    if (!asks(f, TEMPLATE_HEADER, route->stream_header, &stream) ||
        !asks(f, TEMPLATE_QUERY, route->stream_query, &stream))
        return false;
    enum json_scan_kind kind = json_scan_get(f->source.json, SPAN("stream")).kind;
    if (kind == JSON_SCAN_TWICE)
        return refuse(f, OUTCOME_BAD_PARAMETER, SPAN("the body's member stream is there twice"));
    if (stream || kind == JSON_SCAN_TRUE)
        f->out->operation = SAGEMAKER_STREAM;
    return true;
}

static bool choose_operation(struct filling *f, struct span path)
{
    switch (f->route->operation) {
    case CONFIG_INVOKE:
        f->out->operation = SAGEMAKER_INVOKE;
        return true;
    case CONFIG_ASYNC:
        f->out->operation = SAGEMAKER_ASYNC;
        return true;
    case CONFIG_STREAM:
        f->out->operation = SAGEMAKER_STREAM;
        return true;
    case CONFIG_OPENAI:
        f->out->operation = SAGEMAKER_INVOKE;
        f->out->proof = FILL_BEARER;
        return true;
    case CONFIG_CONTAINER:
    case CONFIG_PING:
        f->out->operation = SAGEMAKER_INVOKE;
        f->out->proof = FILL_NONE;
        f->out->is_get = !span_equals(f->source.request->method, SPAN("POST"));
        return true;
    case CONFIG_AUTO:
        f->out->operation = SAGEMAKER_INVOKE;
        return choose_streaming(f);
    case CONFIG_NATIVE:
        return choose_native_operation(f, path);
    }
    return true;
}

static bool fill_endpoint(struct filling *f)
{
    const struct config_route *route = f->route;
    struct span name, fault;
    if (route->endpoint == NULL)
        return true;
    if (!expand(f, route->endpoint, SAGEMAKER_PARAMETERS, &name))
        return false;
    if (name.len == 0)
        return refuse(f, OUTCOME_BAD_PARAMETER,
                      arena_printf(f->arena,
                                   "EndpointName: required: \"%.*s\" of route '%.*s' gives none",
                                   SPAN_ARG(route->endpoint->text), SPAN_ARG(route->name)));
    const char *origin = template_is_from_caller(route->endpoint) ? "the request, through " : "";
    if (!sagemaker_check_endpoint_name(name, f->arena, &fault))
        return refuse(f, OUTCOME_BAD_PARAMETER,
                      arena_printf(f->arena, "EndpointName: %.*s; it comes from %sroute '%.*s'",
                                   SPAN_ARG(fault), origin, SPAN_ARG(route->name)));
    if (!is_allowed(name, route->endpoint_allow, route->endpoint_allow_count))
        return refuse(
            f, OUTCOME_BAD_PARAMETER,
            arena_printf(
                f->arena, "EndpointName: one of %.*s (allow of route '%.*s'): it is '%.*s'",
                SPAN_ARG(join(route->endpoint_allow, route->endpoint_allow_count, f->arena)),
                SPAN_ARG(route->name), SPAN_ARG(name)));
    f->out->endpoint = name;
    return true;
}

/* The component of an OpenAI-compatible call stands in its path. */
static void set_path(struct filling *f)
{
    struct fill_result *out = f->out;
    struct span component = out->parameters[SAGEMAKER_INFERENCE_COMPONENT_NAME].value;
    if (out->proof == FILL_NONE)
        out->path = out->is_get ? SPAN("/ping") : SPAN("/invocations");
    else if (out->proof == FILL_SIGNED)
        out->path = arena_printf(f->arena, "/endpoints/%.*s/%.*s", SPAN_ARG(out->endpoint),
                                 SPAN_ARG(sagemaker_operation_info(out->operation)->path_suffix));
    else
        out->path = arena_printf(
            f->arena, "/endpoints/%.*s%s%.*s/openai/v1/chat/completions", SPAN_ARG(out->endpoint),
            component.len != 0 ? "/inference-components/" : "", SPAN_ARG(component));
}

/* ---- one parameter ----------------------------------------------------------------------------- */

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

/* What curl (Accept) and old clients (Content-Type) send without being asked to. */
static bool is_unasked(enum sagemaker_parameter parameter, struct span value)
{
    if (parameter == SAGEMAKER_ACCEPT)
        return span_equals(value, SPAN("*/*"));
    return parameter == SAGEMAKER_CONTENT_TYPE &&
           span_equals_ignore_case(value, SPAN("application/x-www-form-urlencoded"));
}

/* Whether the caller has set the parameter. What it sends unasked passes where the route has no say in it. */
static bool is_sent(const struct filling *f, enum sagemaker_parameter parameter, bool may_set)
{
    const struct config_policy *policy = &f->route->parameters[parameter];
    struct span value = f->caller.values[parameter];
    if (value.len == 0)
        return false;
    return !is_unasked(parameter, value) || policy->strict_default || (may_set && !policy->set);
}

/* value, else the caller's, else default. */
static bool choose_value(struct filling *f, enum sagemaker_parameter parameter, bool sent,
                         struct fill_parameter *p)
{
    const struct config_policy *policy = &f->route->parameters[parameter];
    const struct template *t = policy->value != NULL ? policy->value : policy->default_value;
    struct span value = SPAN_NONE;
    if (sent && policy->value == NULL) {
        p->source = FILL_CALLER;
        p->value = f->caller.values[parameter];
        return true;
    }
    if (t != NULL && !expand(f, t, parameter, &value))
        return false;
    p->overridden = sent && !span_equals(value, f->caller.values[parameter]);
    if (value.len != 0) {
        p->source = policy->value != NULL ? FILL_VALUE : FILL_DEFAULT;
        p->value = value;
    }
    return true;
}

/* Leaves the appended part out rather than the caller's when both are too much. */
static bool append(struct filling *f, enum sagemaker_parameter parameter, struct fill_parameter *p)
{
    const struct config_policy *policy = &f->route->parameters[parameter];
    struct span more;
    if (policy->append == NULL)
        return true;
    if (!expand(f, policy->append, parameter, &more))
        return false;
    if (more.len == 0)
        return true;
    struct span separator = p->value.len == 0 ? SPAN("") : policy->separator;
    if (p->value.len + separator.len + more.len > APPENDED_MAX) {
        p->append_dropped = true;
        return true;
    }
    p->appended = true;
    p->value = span_trim(arena_printf(f->arena, "%.*s%.*s%.*s", SPAN_ARG(p->value),
                                      SPAN_ARG(separator), SPAN_ARG(more)));
    return true;
}

/* What is missing, and whose it would have been to give. */
static struct span missing(const struct filling *f, enum sagemaker_parameter parameter)
{
    const struct config_policy *policy = &f->route->parameters[parameter];
    const struct template *t = policy->value != NULL ? policy->value : policy->default_value;
    struct span subject = subject_of(f, parameter);
    if (t == NULL)
        return arena_printf(f->arena, "%.*s: required by route '%.*s': the caller sent none",
                            SPAN_ARG(subject), SPAN_ARG(f->route->name));
    return arena_printf(f->arena, "%.*s: required by route '%.*s': %sits %s \"%.*s\" gives none",
                        SPAN_ARG(subject), SPAN_ARG(f->route->name),
                        policy->value != NULL ? "" : "the caller sent none and ",
                        policy->value != NULL ? "value" : "default", SPAN_ARG(t->text));
}

static bool check(struct filling *f, enum sagemaker_parameter parameter,
                  const struct fill_parameter *p)
{
    const struct config_policy *policy = &f->route->parameters[parameter];
    struct span fault;
    if (p->value.at == NULL) {
        if (!policy->required)
            return true;
        return refuse(f, OUTCOME_BAD_PARAMETER, missing(f, parameter));
    }
    if (!sagemaker_check_parameter(f->out->operation, parameter, p->value, f->arena, &fault))
        return refuse(f, OUTCOME_BAD_PARAMETER,
                      arena_printf(f->arena, "%.*s: %.*s; it comes from %.*s",
                                   SPAN_ARG(subject_of(f, parameter)), SPAN_ARG(fault),
                                   SPAN_ARG(origin_of(f, p))));
    if (is_allowed(p->value, policy->allow, policy->allow_count))
        return true;
    return refuse(f, OUTCOME_BAD_PARAMETER,
                  arena_printf(f->arena,
                               "%.*s: one of %.*s (allow of route '%.*s'): it is none of them; it "
                               "comes from %.*s",
                               SPAN_ARG(subject_of(f, parameter)),
                               SPAN_ARG(join(policy->allow, policy->allow_count, f->arena)),
                               SPAN_ARG(f->route->name), SPAN_ARG(origin_of(f, p))));
}

static bool fill_parameter(struct filling *f, enum sagemaker_parameter parameter)
{
    struct fill_parameter *p = &f->out->parameters[parameter];
    uint32_t bit = (uint32_t)1 << parameter;
    bool may_set = !f->route->callers_may_set_given || (f->route->callers_may_set & bit) != 0;
    bool sent = is_sent(f, parameter, may_set);
    p->caller_value = f->caller.values[parameter];
    if (sent && !may_set)
        return refuse(f, OUTCOME_BAD_PARAMETER,
                      arena_printf(f->arena,
                                   "%.*s: not among callers_may_set of route '%.*s': the caller "
                                   "sent it",
                                   SPAN_ARG(subject_of(f, parameter)), SPAN_ARG(f->route->name)));
    if (!choose_value(f, parameter, sent, p) || !append(f, parameter, p))
        return false;
    f->out->overridden |= p->overridden ? bit : 0;
    return check(f, parameter, p);
}

/* ---- the whole --------------------------------------------------------------------------------- */

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

static bool read_caller(struct filling *f, const struct http1_request *request)
{
    struct span message;
    bool wire_only = f->route->operation == CONFIG_NATIVE;
    enum outcome outcome =
        caller_headers_read(f->out->operation, wire_only, request, f->arena, &f->caller, &message);
    if (outcome != OUTCOME_OK)
        return refuse(f, outcome, message);
    f->out->dropped_headers = f->caller.dropped;
    for (int i = 0; i != SAGEMAKER_PARAMETERS; ++i) {
        if ((f->route->lacks & 1u << i) == 0 || f->caller.values[i].len == 0)
            continue;
        struct span subject = subject_of(f, (enum sagemaker_parameter)i);
        return refuse(f, OUTCOME_BAD_PARAMETER,
                      arena_printf(f->arena,
                                   "%.*s: the operation of route '%.*s' has no such parameter",
                                   SPAN_ARG(subject), SPAN_ARG(f->route->name)));
    }
    return true;
}

/* What can be refused before the body is there. */
static void look_at_head(struct filling *f, const struct http1_request *request)
{
    if (!read_caller(f, request) && f->out->outcome == OUTCOME_UNSUPPORTED_ENCODING)
        return;
    *f->out = (struct fill_result){.outcome = OUTCOME_OK, .needs_body = true};
}

void fill_request(const struct config_route *route, const struct route_match *match,
                  const struct http1_request *request, const struct ids *ids, struct arena *arena,
                  struct fill_result *out)
{
    fill_request_with_body(route, match, request, ids, NULL, arena, out);
}

void fill_request_with_body(const struct config_route *route, const struct route_match *match,
                            const struct http1_request *request, const struct ids *ids,
                            const struct json_scan *json, struct arena *arena,
                            struct fill_result *out)
{
    struct filling f = {.route = route,
                        .arena = arena,
                        .source = {.route = route,
                                   .match = match,
                                   .request = request,
                                   .ids = ids,
                                   .json = json,
                                   .arena = arena},
                        .out = out};
    *out = (struct fill_result){.outcome = OUTCOME_OK};
    if (route->operation ==
        CONFIG_PING) { /* nothing is passed on, so nothing that came with it matters */
        if (choose_operation(&f, request->path))
            set_path(&f);
        return;
    }
    if (route->watched_count != 0 && json == NULL)
        look_at_head(&f, request);
    else if (choose_operation(&f, request->path) && read_caller(&f, request) && fill_endpoint(&f) &&
             fill_parameters(&f))
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
