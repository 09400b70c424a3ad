/* Reads routes and their parameters, and applies `defaults`. */
#include "config/reader.h"

#include <inttypes.h>

#include "config/pattern.h"

/* Properties of a route, or of `defaults`, that parameter checks need. */
struct scope {
    uint32_t operations;           /* bits 1u << enum sagemaker_operation; for defaults all */
    bool all;                      /* each of them must have a parameter, not just one */
    uint32_t lacks;                /* bits of parameters that the route's operation lacks */
    struct span word;              /* that operation, as written */
    const struct pattern *pattern; /* NULL: none, or at fault */
    struct span route;             /* its name; empty for defaults */
};

/* The parameters of `defaults` or of a route. */
struct policies {
    struct config_policy policies[SAGEMAKER_PARAMETERS];
    struct yaml_node *nodes[SAGEMAKER_PARAMETERS]; /* where each is; NULL: absent, or built in */
};

/* The initial value of every route, and state that cannot be copied. */
struct base {
    struct config_route route; /* errors may be CONFIG_ERRORS_BY_OPERATION */
    bool identity_given;       /* otherwise the upstream's counts */
    struct policies policies;
};

static uint32_t operations_of(enum config_operation operation)
{
    static const uint32_t masks[] = {
        [CONFIG_INVOKE] = 1u << SAGEMAKER_INVOKE,
        [CONFIG_ASYNC] = 1u << SAGEMAKER_ASYNC,
        [CONFIG_NATIVE] = (1u << SAGEMAKER_OPERATIONS) - 1,
        [CONFIG_STREAM] = 1u << SAGEMAKER_STREAM,
        [CONFIG_AUTO] = 1u << SAGEMAKER_INVOKE | 1u << SAGEMAKER_STREAM,
        [CONFIG_OPENAI] = 1u << SAGEMAKER_INVOKE,
        [CONFIG_CONTAINER] = 1u << SAGEMAKER_INVOKE,
        [CONFIG_PING] = 1u << SAGEMAKER_INVOKE,
    };
    return masks[operation];
}

/* Parameters that the OpenAI-compatible path is known to accept, the component as a part of the
 * path. */
static uint32_t lacks_of(enum config_operation operation)
{
    if (operation == CONFIG_OPENAI)
        return ~(1u << SAGEMAKER_CONTENT_TYPE | 1u << SAGEMAKER_ACCEPT |
                 1u << SAGEMAKER_INFERENCE_COMPONENT_NAME);
    return operation == CONFIG_PING ? ~0u : 0;
}

/* ---- one value against the API's table ---- */

static bool has(const struct scope *scope, enum sagemaker_parameter parameter)
{
    const struct sagemaker_parameter_info *info = sagemaker_parameter_info(parameter);
    uint32_t having = 0;
    if ((scope->lacks & 1u << parameter) != 0)
        return false;
    for (unsigned i = 0; i != SAGEMAKER_OPERATIONS; ++i)
        if (info->header[i].at != NULL)
            having |= scope->operations & 1u << i;
    return scope->all ? having == scope->operations : having != 0;
}

static uint32_t parameters_of(const struct scope *scope)
{
    uint32_t mask = 0;
    for (unsigned i = 0; i != SAGEMAKER_PARAMETERS; ++i)
        if (has(scope, (enum sagemaker_parameter)i))
            mask |= 1u << i;
    return mask;
}

/* Several operations together have all parameters, so the scope has one operation. */
static void tell_lacking(struct reader *reader, struct yaml_node *node, const struct scope *scope,
                         enum sagemaker_parameter parameter)
{
    const struct sagemaker_parameter_info *info = sagemaker_parameter_info(parameter);
    enum sagemaker_operation operation = SAGEMAKER_INVOKE;
    if ((scope->lacks & 1u << parameter) != 0) {
        yaml_error(reader->load, node, "operation %.*s has no %.*s; remove it",
                   SPAN_ARG(scope->word), SPAN_ARG(info->api_name));
        return;
    }
    while ((scope->operations & 1u << operation) == 0 || info->header[operation].at != NULL)
        ++operation;
    yaml_error(reader->load, node, "%.*s has no %.*s; remove it",
               SPAN_ARG(sagemaker_operation_info(operation)->api_name), SPAN_ARG(info->api_name));
}

static void check_setters(struct reader *reader, const struct yaml_node *list,
                          const struct scope *scope)
{
    for (struct yaml_entry *entry = yaml_entries(list); entry != NULL; entry = entry->next) {
        if (entry->node->value == NULL)
            continue;
        enum sagemaker_parameter parameter = (enum sagemaker_parameter)entry->node->value->number;
        if (!has(scope, parameter))
            tell_lacking(reader, entry->node, scope, parameter);
    }
}

/* A text is valid if any operation in scope accepts it, because the request chooses the operation.
 */
static void check_literal(struct reader *reader, struct yaml_node *node, const struct scope *scope,
                          enum sagemaker_parameter parameter, struct span text)
{
    const struct sagemaker_parameter_info *info = sagemaker_parameter_info(parameter);
    struct span fault = SPAN_NONE;
    text = span_trim(text);
    for (unsigned i = 0; i != SAGEMAKER_OPERATIONS; ++i) {
        if ((scope->operations & 1u << i) == 0 || info->header[i].at == NULL)
            continue;
        if (sagemaker_check_parameter((enum sagemaker_operation)i, parameter, text,
                                      reader->load->arena, &fault))
            return;
    }
    if (fault.at != NULL)
        yaml_error(reader->load, node, "%.*s", SPAN_ARG(fault));
}

static void check_allowed(struct reader *reader, struct yaml_node *node,
                          const struct config_policy *policy, struct span text)
{
    for (size_t i = 0; i != policy->allow_count; ++i)
        if (span_matches_glob(text, policy->allow[i]))
            return;
    if (policy->allow_count != 0)
        yaml_error(reader->load, node, "\"%.*s\" matches none of the patterns in allow",
                   SPAN_ARG(text));
}

/* The name of a ${path.X} that the pattern lacks; SPAN_NONE: there is none. */
static struct span missing_capture(const struct template *template, const struct pattern *pattern,
                                   bool fallbacks_too)
{
    for (size_t i = 0; i != template->part_count; ++i) {
        const struct template_part *part = &template->parts[i];
        if (part->source != TEMPLATE_PATH || (!fallbacks_too && part->fallback.at != NULL))
            continue;
        if (!pattern_has_capture(pattern, part->name))
            return part->name;
    }
    return SPAN_NONE;
}

/* Checks what is known of a template at load. `whole`: nothing is appended to its text. */
static void check_template(struct reader *reader, struct yaml_node *node,
                           const struct template *template, const struct scope *scope,
                           enum sagemaker_parameter parameter, const struct config_policy *policy,
                           bool whole)
{
    if (node == NULL || node->opaque || template == NULL)
        return;
    /* References in defaults are checked with each route that inherits them. */
    struct span missing =
        scope->pattern == NULL ? SPAN_NONE : missing_capture(template, scope->pattern, true);
    struct span literal = template_literal(template, scope->route, reader->load->arena);
    if (missing.at != NULL)
        yaml_error(reader->load, node, "${path.%.*s}: the route's path has no {%.*s}",
                   SPAN_ARG(missing), SPAN_ARG(missing));
    if (template_uses(template, TEMPLATE_JSON) && policy->allow_count == 0)
        yaml_error(reader->load, node,
                   "the request body sets this value, so allow is required: list the patterns it "
                   "may match");
    /* A partial value need not have the form of the whole, except in custom attributes. */
    if (literal.at == NULL || (!whole && parameter != SAGEMAKER_CUSTOM_ATTRIBUTES))
        return;
    check_literal(reader, node, scope, parameter, literal);
    if (!node->bad && whole)
        check_allowed(reader, node, policy, span_trim(literal));
}

/* ---- one policy ---- */

static void refuse_together(struct reader *reader, const struct yaml_node *map, enum setting_id one,
                            const char *text)
{
    struct yaml_node *node = record_find(map, one);
    if (node != NULL)
        yaml_error(reader->load, node, "%s", text);
}

static void check_contradictions(struct reader *reader, const struct yaml_node *map,
                                 enum sagemaker_parameter parameter,
                                 const struct config_policy *policy)
{
    bool has_habits = parameter == SAGEMAKER_ACCEPT || parameter == SAGEMAKER_CONTENT_TYPE;
    if (policy->value != NULL && policy->default_value != NULL)
        refuse_together(
            reader, map, SETTING_DEFAULTS_PARAMETERS_DEFAULT,
            "value always takes precedence, so default is never used; remove one of them");
    if (policy->value != NULL && policy->strict_default)
        refuse_together(
            reader, map, SETTING_DEFAULTS_PARAMETERS_STRICT_DEFAULT,
            "value always takes precedence, so strict_default has no effect; remove it");
    if (policy->append == NULL)
        refuse_together(reader, map, SETTING_DEFAULTS_PARAMETERS_SEPARATOR,
                        "separator has no effect without append; remove it");
    if (policy->strict_default && !has_habits)
        refuse_together(reader, map, SETTING_DEFAULTS_PARAMETERS_STRICT_DEFAULT,
                        "strict_default applies only to content_type and accept; remove it");
}

static void read_policy(struct reader *reader, const struct yaml_node *map,
                        const struct scope *scope, enum sagemaker_parameter parameter,
                        struct config_policy *policy)
{
    struct yaml_node *append = record_find(map, SETTING_DEFAULTS_PARAMETERS_APPEND);
    bool whole = append == NULL;
    policy->set = true;
    record_set_defaults(SETTING_DEFAULTS_PARAMETERS_ITEM, policy, &reader->config->arena);
    record_fill(SETTING_DEFAULTS_PARAMETERS_ITEM, map, policy, &reader->config->arena);
    check_contradictions(reader, map, parameter, policy);
    check_template(reader, record_find(map, SETTING_DEFAULTS_PARAMETERS_DEFAULT),
                   policy->default_value, scope, parameter, policy, whole);
    check_template(reader, record_find(map, SETTING_DEFAULTS_PARAMETERS_VALUE), policy->value,
                   scope, parameter, policy, whole);
    check_template(reader, append, policy->append, scope, parameter, policy, false);
}

static void read_parameters(struct reader *reader, const struct yaml_node *parameters,
                            const struct scope *scope, struct policies *out)
{
    enum sagemaker_parameter parameter;
    if (parameters == NULL)
        return;
    for (struct yaml_entry *entry = parameters->entries; entry != NULL; entry = entry->next) {
        struct yaml_node *node = entry->node;
        if (node->bad || !sagemaker_parameter_by_name(entry->key, &parameter) ||
            out->nodes[parameter] != NULL)
            continue;
        out->nodes[parameter] = node;
        if (node->null)
            continue;
        if (has(scope, parameter))
            read_policy(reader, node, scope, parameter, &out->policies[parameter]);
        else
            tell_lacking(reader, node, scope, parameter);
    }
}

/* ---- what a route ends up with ---- */

static void check_inherited_captures(struct reader *reader, struct yaml_node *node,
                                     const struct config_policy *policy, const struct scope *scope)
{
    const struct template *const templates[] = {policy->default_value, policy->value,
                                                policy->append};
    if (scope->pattern == NULL || node == NULL)
        return;
    for (size_t i = 0; i != 3; ++i) {
        struct span missing =
            templates[i] == NULL ? SPAN_NONE : missing_capture(templates[i], scope->pattern, false);
        if (missing.at == NULL)
            continue;
        yaml_error(reader->load, node,
                   "${path.%.*s}: the path of route %.*s has no {%.*s}; give a fallback, or set "
                   "the parameter on that route",
                   SPAN_ARG(missing), SPAN_ARG(scope->route), SPAN_ARG(missing));
        return;
    }
}

/* A required parameter that callers may not set and that the route does not set would refuse every
 * request. */
static void check_attainable(struct reader *reader, struct yaml_node *node,
                             enum sagemaker_parameter parameter, const struct config_route *route)
{
    const struct config_policy *policy = &route->parameters[parameter];
    bool from_caller =
        !route->callers_may_set_given || (route->callers_may_set & 1u << parameter) != 0;
    bool from_route = policy->default_value != NULL || policy->value != NULL;
    if (policy->required && !from_caller && !from_route)
        yaml_error(reader->load, node,
                   "required, but callers of route %.*s may not set it and it has neither default "
                   "nor value",
                   SPAN_ARG(route->name));
}

static void merge_policies(struct reader *reader, const struct policies *inherited,
                           const struct policies *own, const struct scope *scope,
                           struct config_route *route)
{
    for (unsigned i = 0; i != SAGEMAKER_PARAMETERS; ++i) {
        enum sagemaker_parameter parameter = (enum sagemaker_parameter)i;
        const struct policies *from = own->nodes[i] != NULL ? own : inherited;
        if (!has(scope, parameter))
            continue;
        route->parameters[i] = from->policies[i];
        if (from == inherited && from->policies[i].set)
            check_inherited_captures(reader, from->nodes[i], &from->policies[i], scope);
        if (from->nodes[i] != NULL)
            check_attainable(reader, from->nodes[i], parameter, route);
    }
}

/* ---- what defaults and routes have in common ---- */

/* SETTING_DEFAULTS_x and SETTING_ROUTE_x have the same last keys. */
static void check_timeouts(struct reader *reader, const struct yaml_node *map,
                           const struct config_timeouts *timeouts)
{
    const struct yaml_node *first_byte = record_find(record_find(map, SETTING_DEFAULTS_TIMEOUTS),
                                                     SETTING_DEFAULTS_TIMEOUTS_FIRST_BYTE);
    if (first_byte != NULL && timeouts->first_byte_ms > timeouts->total_ms)
        yaml_warn(reader->load, first_byte, "longer than total (%.*s), so it never takes effect",
                  SPAN_ARG(value_print_time(timeouts->total_ms, reader->load->arena)));
}

static void read_base(struct reader *reader, const struct yaml_node *root, struct base *base)
{
    struct arena *arena = &reader->config->arena;
    const struct yaml_node *map = record_find(root, SETTING_DEFAULTS);
    struct yaml_node *identity = record_find(map, SETTING_DEFAULTS_IDENTITY);
    const struct scope scope = {.operations = (1u << SAGEMAKER_OPERATIONS) - 1, .route = SPAN("")};
    *base = (struct base){.identity_given = identity != NULL};
    record_set_defaults(SETTING_ROUTE, &base->route, arena);
    record_set_defaults(SETTING_DEFAULTS, &base->route, arena);
    record_fill(SETTING_DEFAULTS, map, &base->route, arena);
    base->route.identity = read_identities_find(reader, identity, 0);
    base->route.upstream = read_upstreams_find(reader, record_find(map, SETTING_DEFAULTS_UPSTREAM),
                                               &reader->config->upstreams[0]);
    check_timeouts(reader, map, &base->route.timeouts);
    read_parameters(reader, record_find(map, SETTING_DEFAULTS_PARAMETERS), &scope, &base->policies);
    if (base->policies.nodes[SAGEMAKER_INFERENCE_ID] != NULL)
        return;
    struct template *uuid = arena_zalloc(arena, 1, sizeof(*uuid));
    struct span fault;
    CHECK(template_compile(SPAN("${uuid}"), arena, uuid, &fault));
    base->policies.policies[SAGEMAKER_INFERENCE_ID] =
        (struct config_policy){.set = true, .default_value = uuid, .separator = SPAN("")};
}

/* ---- a route's match ---- */

/* The pattern of the path; NULL if it is missing or at fault. */
static const struct pattern *read_path(struct reader *reader, const struct yaml_node *map,
                                       struct config_route *route)
{
    struct yaml_node *path =
        record_find(record_find(map, SETTING_ROUTE_MATCH), SETTING_ROUTE_MATCH_PATH);
    struct span fault;
    if (path != NULL && path->opaque)
        route->path = SPAN_NONE;
    if (path == NULL || path->opaque)
        return NULL;
    struct pattern *pattern = arena_zalloc(reader->load->arena, 1, sizeof(*pattern));
    if (pattern_parse(route->path, reader->load->arena, pattern, &fault))
        return pattern;
    yaml_error(reader->load, path, "%.*s", SPAN_ARG(fault));
    return NULL;
}

/* SageMaker's API names the operation in the path's last segment: the pattern must name one or
 * leave it open. */
static void check_native_path(struct reader *reader, const struct yaml_node *map,
                              const struct pattern *pattern)
{
    enum sagemaker_operation operation;
    if (pattern == NULL || pattern->segment_count == 0)
        return;
    const struct pattern_segment *last = &pattern->segments[pattern->segment_count - 1];
    if (!last->captures && !sagemaker_operation_by_suffix(last->prefix, &operation))
        yaml_error(reader->load,
                   record_find(record_find(map, SETTING_ROUTE_MATCH), SETTING_ROUTE_MATCH_PATH),
                   "the last segment of a native route's path names the operation: must be * or "
                   "one such as invocations, not \"%.*s\"",
                   SPAN_ARG(last->prefix));
}

/* ---- a route's endpoint ---- */

static bool is_allowed(const struct config_route *route, struct span name)
{
    for (size_t i = 0; i != route->endpoint_allow_count; ++i)
        if (span_matches_glob(name, route->endpoint_allow[i]))
            return true;
    return route->endpoint_allow_count == 0;
}

/* The route or the caller chooses the endpoint; values generated per request cannot name one. */
static bool can_name_endpoint(const struct template *template)
{
    for (size_t i = 0; i != template->part_count; ++i) {
        enum template_source source = template->parts[i].source;
        if (source != TEMPLATE_TEXT && source != TEMPLATE_ROUTE && source != TEMPLATE_HEADER &&
            source != TEMPLATE_PATH && source != TEMPLATE_QUERY && source != TEMPLATE_JSON)
            return false;
    }
    return true;
}

static void check_endpoint(struct reader *reader, struct yaml_node *node, const struct scope *scope,
                           const struct config_route *route)
{
    const struct template *endpoint = route->endpoint;
    struct span literal = template_literal(endpoint, route->name, reader->load->arena), fault;
    struct span missing =
        scope->pattern == NULL ? SPAN_NONE : missing_capture(endpoint, scope->pattern, true);
    if (!can_name_endpoint(endpoint))
        yaml_error(reader->load, node,
                   "an endpoint name cannot contain values generated per request (uuid, ids)");
    else if (missing.at != NULL)
        yaml_error(reader->load, node, "${path.%.*s}: the route's path has no {%.*s}",
                   SPAN_ARG(missing), SPAN_ARG(missing));
    else if (template_is_from_caller(endpoint) && route->endpoint_allow_count == 0)
        yaml_error(reader->load, node,
                   "callers choose this endpoint, so allow is required: endpoint: { value: "
                   "\"%.*s\", allow: [\"PREFIX-*\"] }",
                   SPAN_ARG(endpoint->text));
    else if (literal.at != NULL &&
             !sagemaker_check_endpoint_name(literal, reader->load->arena, &fault))
        yaml_error(reader->load, node, "%.*s", SPAN_ARG(fault));
    else if (literal.at != NULL && !is_allowed(route, literal))
        yaml_error(reader->load, node, "\"%.*s\" matches none of the patterns in allow",
                   SPAN_ARG(literal));
}

static void read_endpoint(struct reader *reader, struct yaml_node *map, const struct scope *scope,
                          const struct config_route *route)
{
    struct yaml_node *node = yaml_find(map, setting_key(setting_get(SETTING_ROUTE_ENDPOINT)));
    if (node == NULL && config_operation_is_aws(route->operation))
        yaml_error(reader->load, map,
                   "missing required key endpoint: the name of a SageMaker endpoint");
    if (node != NULL && node->kind == YAML_MAP)
        node = record_find(node, SETTING_ROUTE_ENDPOINT_VALUE);
    if (node != NULL && !node->bad && !node->opaque && route->endpoint != NULL)
        check_endpoint(reader, node, scope, route);
}

/* ---- one route ---- */

static void check_name(struct reader *reader, const struct yaml_node *map,
                       struct config_route *route)
{
    const struct config *config = reader->config;
    struct yaml_node *node = record_find(map, SETTING_ROUTE_NAME);
    for (size_t i = 0; node != NULL && i != config->route_count; ++i) {
        const struct config_route *other = &config->routes[i];
        if (!node->opaque && node->at.line != 0 && span_equals(other->name, route->name))
            yaml_error(reader->load, node, "duplicate route name \"%.*s\", first at %.*s:%u",
                       SPAN_ARG(route->name), SPAN_ARG(other->file), other->line);
    }
}

static void settle_body_max(struct reader *reader, const struct yaml_node *map,
                            struct config_route *route)
{
    struct yaml_node *node = record_find(map, SETTING_ROUTE_BODY_MAX);
    uint64_t most = route->operation == CONFIG_ASYNC ? SAGEMAKER_ASYNC_INLINE_BODY_MAX : UINT64_MAX;
    bool own = node != NULL && !node->opaque;
    if (!own && route->body_max > most)
        route->body_max = most;
    if (own && route->body_max > most)
        yaml_error(reader->load, node,
                   "InvokeEndpointAsync accepts at most %" PRIu64
                   " bytes in a body; put larger inputs in S3 (input_location)",
                   most);
    if (own && route->body_max > reader->config->limits.body_bytes)
        yaml_warn(reader->load, node,
                  "larger than limits.body_bytes (%.*s), so larger bodies are always refused",
                  SPAN_ARG(value_print_size((int64_t)reader->config->limits.body_bytes,
                                            reader->load->arena)));
}

/* Rejects streaming keys on other routes, where they have no effect. */
static void check_stream(struct reader *reader, const struct yaml_node *map,
                         enum config_operation operation)
{
    static const enum setting_id keys[] = {SETTING_ROUTE_STREAM_FORMAT,
                                           SETTING_ROUTE_STREAM_ERRORS};
    struct yaml_node *asked = record_find(map, SETTING_ROUTE_STREAM_IF);
    if (asked != NULL && operation != CONFIG_AUTO)
        yaml_error(reader->load, asked, "applies only to operation auto");
    for (size_t i = 0; i != 2 && operation != CONFIG_STREAM && operation != CONFIG_AUTO; ++i) {
        struct yaml_node *node = record_find(map, keys[i]);
        if (node != NULL)
            yaml_error(reader->load, node, "applies only to operations stream and auto");
    }
}

/* ---- members of the body that a route must know before it can fill in the request ---- */

static void watch(struct reader *reader, struct yaml_node *node, struct span name,
                  struct span names[JSON_SCAN_NAMES_MAX], size_t *count)
{
    for (size_t i = 0; i != *count; ++i)
        if (span_equals(names[i], name))
            return;
    if (*count == JSON_SCAN_NAMES_MAX) {
        yaml_error(reader->load, node, "the route reads more than %d members of the body",
                   JSON_SCAN_NAMES_MAX);
        return;
    }
    names[(*count)++] = name;
}

static void watch_template(struct reader *reader, struct yaml_node *node, const struct template *t,
                           struct span names[JSON_SCAN_NAMES_MAX], size_t *count)
{
    for (size_t i = 0; t != NULL && i != t->part_count; ++i)
        if (t->parts[i].source == TEMPLATE_JSON)
            watch(reader, node, t->parts[i].name, names, count);
}

static void watch_body(struct reader *reader, struct yaml_node *map, struct config_route *route)
{
    struct span names[JSON_SCAN_NAMES_MAX];
    size_t count = 0;
    if (route->operation == CONFIG_AUTO)
        watch(reader, map, SPAN("stream"), names, &count);
    watch_template(reader, map, route->endpoint, names, &count);
    for (size_t i = 0; i != SAGEMAKER_PARAMETERS; ++i) {
        const struct config_policy *policy = &route->parameters[i];
        watch_template(reader, map, policy->default_value, names, &count);
        watch_template(reader, map, policy->value, names, &count);
        watch_template(reader, map, policy->append, names, &count);
    }
    struct span *kept = arena_zalloc(&reader->config->arena, count + 1, sizeof(*kept));
    for (size_t i = 0; i != count; ++i)
        kept[i] = names[i];
    route->watched = kept;
    route->watched_count = count;
}

/* Sets the operation's defaults where neither the route nor `defaults` has a value. */
static void settle_operation(const struct scope *scope, struct config_route *route)
{
    static const struct span post[] = {SPAN("POST")}, get[] = {SPAN("GET")};
    bool passes = route->operation == CONFIG_NATIVE || route->operation == CONFIG_CONTAINER;
    if (route->errors == CONFIG_ERRORS_BY_OPERATION)
        route->errors = passes ? CONFIG_ERRORS_PASS : CONFIG_ERRORS_UNWRAP;
    if (route->method_count == 0) {
        route->methods = route->operation == CONFIG_PING ? get : post;
        route->method_count = 1;
    }
    route->callers_may_set &= parameters_of(scope);
}

/* The route's own identity, else that of defaults, else its upstream's. */
static size_t read_identity(struct reader *reader, const struct yaml_node *map,
                            const struct base *base, const struct config_route *route)
{
    struct yaml_node *node = record_find(map, SETTING_ROUTE_IDENTITY);
    if (node != NULL && !config_operation_is_aws(route->operation))
        yaml_error(reader->load, node, "this operation is not signed; remove identity");
    return read_identities_find(
        reader, node, base->identity_given ? base->route.identity : route->upstream->identity);
}

static void read_route(struct reader *reader, struct yaml_node *map, const struct base *base,
                       struct config_route *route)
{
    struct arena *arena = &reader->config->arena;
    struct policies own = {0};
    *route = base->route;
    route->line = map->at.line;
    route->file = arena_copy(arena, map->at.file);
    record_fill(SETTING_ROUTE, map, route, arena);
    route->lacks = lacks_of(route->operation);
    route->upstream =
        read_upstreams_find(reader, record_find(map, SETTING_ROUTE_UPSTREAM), base->route.upstream);
    route->identity = read_identity(reader, map, base, route);
    check_name(reader, map, route);
    const struct scope scope = {.operations = operations_of(route->operation),
                                .all = route->operation == CONFIG_AUTO,
                                .lacks = route->lacks,
                                .word =
                                    config_word_of(config_operation_words, (int)route->operation),
                                .pattern = read_path(reader, map, route),
                                .route = route->name};
    if (route->operation == CONFIG_NATIVE)
        check_native_path(reader, map, scope.pattern);
    check_timeouts(reader, map, &route->timeouts);
    check_setters(reader, record_find(map, SETTING_ROUTE_CALLERS_MAY_SET), &scope);
    settle_operation(&scope, route);
    settle_body_max(reader, map, route);
    check_stream(reader, map, route->operation);
    read_endpoint(reader, map, &scope, route);
    read_parameters(reader, record_find(map, SETTING_ROUTE_PARAMETERS), &scope, &own);
    merge_policies(reader, &base->policies, &own, &scope, route);
    watch_body(reader, map, route);
}

void read_routes(struct reader *reader, struct yaml_node *root)
{
    struct config *config = reader->config;
    struct base base;
    const struct yaml_node *list = record_find(root, SETTING_ROUTES);
    read_base(reader, root, &base);
    if (yaml_find(root, setting_key(setting_get(SETTING_ROUTES))) == NULL)
        yaml_warn(reader->load, root, "no routes, so every request gets a 404");
    if (list == NULL)
        return;
    struct config_route *routes =
        arena_zalloc(&config->arena, list->entry_count + 1, sizeof(*routes));
    config->routes = routes;
    reader->routes = routes;
    for (struct yaml_entry *entry = list->entries; entry != NULL; entry = entry->next) {
        if (entry->node->bad)
            continue;
        read_route(reader, entry->node, &base, &routes[config->route_count]);
        ++config->route_count;
    }
}
