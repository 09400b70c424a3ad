/* Routes out of the tree, each with what it inherits from `defaults`. */
#include "config/read.h"

#include <inttypes.h>

#include "config/suggest.h"
#include "config/value.h"

/* What every route starts from. */
struct base {
    const struct config_upstream *upstream;
    bool identity_given;
    size_t identity;
    struct config_timeouts timeouts;
    uint64_t body_max;
    struct config_guards guards;
    bool errors_given;
    enum config_errors errors;
    size_t stream_format, stream_errors; /* places in their settings' words */
    bool callers_may_set_given;
    uint32_t callers_may_set;
    struct read_policies policies;
};

static const uint32_t every_operation = (1u << SAGEMAKER_OPERATIONS) - 1;

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

/* Of the OpenAI-compatible path only these are known to travel, the component as a part of the path. */
static uint32_t lacks_of(enum config_operation operation)
{
    if (operation == CONFIG_OPENAI)
        return ~(1u << SAGEMAKER_CONTENT_TYPE | 1u << SAGEMAKER_ACCEPT |
                 1u << SAGEMAKER_INFERENCE_COMPONENT_NAME);
    return operation == CONFIG_PING ? ~0u : 0;
}

/* ---- what defaults and routes have in common ---- */

static enum config_errors errors_of(const struct yaml_node *map, enum setting_id id)
{
    return reader_word_or(map, id, 1) == 0 ? CONFIG_ERRORS_PASS : CONFIG_ERRORS_UNWRAP;
}

static const struct config_upstream *read_upstream_name(struct reader *reader,
                                                        struct yaml_node *node,
                                                        const struct config_upstream *fallback)
{
    const struct config *config = reader->config;
    if (node == NULL || node->opaque)
        return fallback;
    struct span name = reader_text_of(reader, node);
    struct span *names = arena_zalloc(reader->load->arena, config->upstream_count, sizeof(*names));
    for (size_t i = 0; i != config->upstream_count; ++i) {
        names[i] = config->upstreams[i].name;
        if (span_equals(names[i], name))
            return &config->upstreams[i];
    }
    struct span near = suggest_nearest(name, names, config->upstream_count);
    struct span list = suggest_list(names, config->upstream_count, "and", reader->load->arena);
    if (near.at != NULL)
        yaml_error(reader->load, node, "no upstream \"%.*s\", did you mean %.*s?", SPAN_ARG(name),
                   SPAN_ARG(near));
    else
        yaml_error(reader->load, node, "no upstream \"%.*s\"; there is %.*s", SPAN_ARG(name),
                   SPAN_ARG(list));
    return fallback;
}

/* base: NULL for `defaults` itself, whose defaults are the table's. */
static struct config_timeouts read_timeouts(struct reader *reader, const struct yaml_node *map,
                                            const struct config_timeouts *base)
{
    struct config_timeouts table = {
        .connect_ms = reader_number(reader, NULL, SETTING_DEFAULTS_TIMEOUTS_CONNECT),
        .first_byte_ms = reader_number(reader, NULL, SETTING_DEFAULTS_TIMEOUTS_FIRST_BYTE),
        .idle_ms = reader_number(reader, NULL, SETTING_DEFAULTS_TIMEOUTS_IDLE),
        .total_ms = reader_number(reader, NULL, SETTING_DEFAULTS_TIMEOUTS_TOTAL),
    };
    const struct yaml_node *node = reader_find(map, SETTING_DEFAULTS_TIMEOUTS);
    if (base == NULL)
        base = &table;
    struct config_timeouts timeouts = {
        reader_number_or(reader, node, SETTING_DEFAULTS_TIMEOUTS_CONNECT, base->connect_ms),
        reader_number_or(reader, node, SETTING_DEFAULTS_TIMEOUTS_FIRST_BYTE, base->first_byte_ms),
        reader_number_or(reader, node, SETTING_DEFAULTS_TIMEOUTS_IDLE, base->idle_ms),
        reader_number_or(reader, node, SETTING_DEFAULTS_TIMEOUTS_TOTAL, base->total_ms),
    };
    struct yaml_node *first_byte = reader_find(node, SETTING_DEFAULTS_TIMEOUTS_FIRST_BYTE);
    if (first_byte != NULL && timeouts.first_byte_ms > timeouts.total_ms)
        yaml_warn(reader->load, first_byte,
                  "longer than total (%.*s), which ends the exchange before",
                  SPAN_ARG(value_print_time(timeouts.total_ms, reader->load->arena)));
    return timeouts;
}

/* Bits of the parameters that the scope's operations have. */
static uint32_t parameters_of(const struct read_scope *scope)
{
    uint32_t mask = 0;
    for (unsigned i = 0; i != SAGEMAKER_PARAMETERS; ++i)
        if (read_policies_has(scope, (enum sagemaker_parameter)i))
            mask |= 1u << i;
    return mask;
}

/* Parameters that the operations lack are told where the route itself names them, dropped where
 * it inherits them. */
static uint32_t read_setters(struct reader *reader, const struct yaml_node *list,
                             const struct read_scope *scope)
{
    uint32_t mask = 0;
    enum sagemaker_parameter parameter;
    for (struct yaml_entry *entry = list->entries; entry != NULL; entry = entry->next) {
        struct yaml_node *node = entry->node;
        if (node->bad || node->opaque || !sagemaker_parameter_by_name(node->text, &parameter))
            continue;
        if (!read_policies_has(scope, parameter))
            read_policies_tell_lacking(reader, node, scope, parameter);
        mask |= 1u << parameter;
    }
    return mask;
}

static void read_base(struct reader *reader, const struct yaml_node *root, struct base *base)
{
    const struct yaml_node *map = reader_find(root, SETTING_DEFAULTS);
    const struct read_scope scope = {.operations = every_operation, .route = SPAN("")};
    const struct yaml_node *setters = reader_find(map, SETTING_DEFAULTS_CALLERS_MAY_SET);
    *base = (struct base){
        .upstream = read_upstream_name(reader, reader_find(map, SETTING_DEFAULTS_UPSTREAM),
                                       &reader->config->upstreams[0]),
        .identity_given = reader_find(map, SETTING_DEFAULTS_IDENTITY) != NULL,
        .identity = read_identity_name(reader, reader_find(map, SETTING_DEFAULTS_IDENTITY), 0),
        .timeouts = read_timeouts(reader, map, NULL),
        .body_max = (uint64_t)reader_number(reader, map, SETTING_DEFAULTS_BODY_MAX),
        .errors_given = reader_find(map, SETTING_DEFAULTS_ERRORS) != NULL,
        .errors = errors_of(map, SETTING_DEFAULTS_ERRORS),
        .stream_format = reader_word(map, SETTING_DEFAULTS_STREAM_FORMAT),
        .stream_errors = reader_word(map, SETTING_DEFAULTS_STREAM_ERRORS),
        .callers_may_set_given = setters != NULL,
        .callers_may_set = setters == NULL ? 0 : read_setters(reader, setters, &scope),
    };
    read_guards(reader, map, &base->guards);
    read_policies(reader, reader_find(map, SETTING_DEFAULTS_PARAMETERS), &scope, &base->policies);
    if (base->policies.nodes[SAGEMAKER_INFERENCE_ID] != NULL)
        return;
    struct template *uuid = arena_zalloc(&reader->config->arena, 1, sizeof(*uuid));
    struct span fault;
    CHECK(template_compile(SPAN("${uuid}"), &reader->config->arena, uuid, &fault));
    base->policies.policies[SAGEMAKER_INFERENCE_ID] =
        (struct config_policy){.set = true, .default_value = uuid, .separator = SPAN("")};
}

/* ---- a route's match ---- */

static const struct span *read_methods(struct reader *reader, const struct yaml_node *match,
                                       enum config_operation operation, size_t *count)
{
    static const struct span post[] = {SPAN("POST"), SPAN("GET")};
    const struct yaml_node *list = reader_find(match, SETTING_ROUTE_MATCH_METHODS);
    if (list != NULL)
        return reader_texts(reader, match, SETTING_ROUTE_MATCH_METHODS, count);
    *count = 1;
    return operation == CONFIG_PING ? post + 1 : post;
}

/* The path's pattern, NULL where it is missing or at fault. */
static const struct pattern *read_path(struct reader *reader, struct yaml_node *map,
                                       struct config_route *route)
{
    struct yaml_node *match = yaml_find(map, setting_key(SETTING_ROUTE_MATCH));
    struct yaml_node *path = reader_find(match, SETTING_ROUTE_MATCH_PATH);
    struct span fault;
    if (match == NULL)
        yaml_error(reader->load, map, "match is missing, such as match: { path: /predict }");
    else if (!match->bad && yaml_find(match, setting_key(SETTING_ROUTE_MATCH_PATH)) == NULL)
        yaml_error(reader->load, match, "path is missing, such as { path: /predict }");
    if (path == NULL || path->opaque)
        return NULL;
    route->path = reader_text_of(reader, path);
    struct pattern *pattern = arena_zalloc(reader->load->arena, 1, sizeof(*pattern));
    if (pattern_parse(route->path, reader->load->arena, pattern, &fault))
        return pattern;
    yaml_error(reader->load, path, "%.*s", SPAN_ARG(fault));
    return NULL;
}

/* SageMaker's own API names the operation in the path's last segment, so the pattern must leave
 * it open or name one. */
static void check_native_path(struct reader *reader, const struct yaml_node *map,
                              const struct pattern *pattern)
{
    enum sagemaker_operation operation;
    if (pattern == NULL || pattern->segment_count == 0)
        return;
    const struct pattern_segment *last = &pattern->segments[pattern->segment_count - 1];
    if (!last->captures && !sagemaker_operation_by_suffix(last->prefix, &operation))
        yaml_error(
            reader->load,
            reader_find(reader_find(map, SETTING_ROUTE_MATCH), SETTING_ROUTE_MATCH_PATH),
            "a native route takes the operation from the path's last segment: end it with * or "
            "invocations, not with \"%.*s\"",
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

/* An endpoint is named by the route or chosen by the caller; what is new with each request names
 * none. */
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

static void check_endpoint(struct reader *reader, struct yaml_node *node,
                           const struct read_scope *scope, const struct config_route *route)
{
    const struct template *endpoint = route->endpoint;
    struct span literal = read_template_literal(reader, endpoint, route->name), fault;
    struct span missing = scope->pattern == NULL
                              ? SPAN_NONE
                              : read_template_missing_capture(endpoint, scope->pattern, true);
    if (!can_name_endpoint(endpoint))
        yaml_error(reader->load, node,
                   "an endpoint cannot be named by what is new with each request");
    else if (missing.at != NULL)
        yaml_error(reader->load, node, "${path.%.*s}: the route's path has no {%.*s}",
                   SPAN_ARG(missing), SPAN_ARG(missing));
    else if (template_is_from_caller(endpoint) && route->endpoint_allow_count == 0)
        yaml_error(reader->load, node,
                   "callers choose this endpoint, so it needs allow: endpoint: { value: \"%.*s\", "
                   "allow: [\"PREFIX-*\"] }",
                   SPAN_ARG(endpoint->text));
    else if (literal.at != NULL &&
             !sagemaker_check_endpoint_name(literal, reader->load->arena, &fault))
        yaml_error(reader->load, node, "%.*s", SPAN_ARG(fault));
    else if (literal.at != NULL && !is_allowed(route, literal))
        yaml_error(reader->load, node, "\"%.*s\" matches none of the patterns in allow",
                   SPAN_ARG(literal));
}

static void read_endpoint(struct reader *reader, struct yaml_node *map,
                          const struct read_scope *scope, struct config_route *route)
{
    struct yaml_node *node = yaml_find(map, setting_key(SETTING_ROUTE_ENDPOINT));
    if (node == NULL) {
        if (config_operation_is_aws(route->operation))
            yaml_error(reader->load, map, "endpoint is missing: the name of a SageMaker endpoint");
        return;
    }
    if (node->bad)
        return;
    struct yaml_node *value = node;
    if (node->kind == YAML_MAP) {
        value = yaml_find(node, setting_key(SETTING_ROUTE_ENDPOINT_VALUE));
        route->endpoint_allow =
            reader_texts(reader, node, SETTING_ROUTE_ENDPOINT_ALLOW, &route->endpoint_allow_count);
        if (value == NULL)
            yaml_error(reader->load, node,
                       "value is missing: the endpoint's name, or a template for it");
    }
    if (value == NULL || value->bad)
        return;
    route->endpoint = read_template(reader, value);
    if (!value->opaque)
        check_endpoint(reader, value, scope, route);
}

/* ---- one route ---- */

static void read_name(struct reader *reader, struct yaml_node *map, struct config_route *route)
{
    const struct config *config = reader->config;
    struct yaml_node *node = yaml_find(map, setting_key(SETTING_ROUTE_NAME));
    route->name = SPAN("");
    if (node == NULL)
        yaml_error(reader->load, map, "name is missing, such as name: fraud");
    if (node == NULL || node->bad)
        return;
    route->name = reader_text_of(reader, node);
    for (size_t i = 0; i != config->route_count; ++i) {
        const struct config_route *other = &config->routes[i];
        if (!node->opaque && node->at.line != 0 && span_equals(other->name, route->name))
            yaml_error(reader->load, node, "\"%.*s\" is the name of the route at %.*s:%u too",
                       SPAN_ARG(route->name), SPAN_ARG(other->file), other->line);
    }
}

static void read_body_max(struct reader *reader, const struct yaml_node *map,
                          const struct base *base, struct config_route *route)
{
    struct yaml_node *node = reader_find(map, SETTING_ROUTE_BODY_MAX);
    uint64_t most = route->operation == CONFIG_ASYNC ? SAGEMAKER_ASYNC_INLINE_BODY_MAX : UINT64_MAX;
    route->body_max = base->body_max < most ? base->body_max : most;
    if (node != NULL && !node->opaque)
        route->body_max = (uint64_t)reader_number_or(reader, map, SETTING_ROUTE_BODY_MAX, 0);
    if (route->body_max > most)
        yaml_error(reader->load, node,
                   "InvokeEndpointAsync takes at most %" PRIu64 " bytes in a body; "
                   "larger inputs belong in S3 (input_location)",
                   most);
    if (node != NULL && route->body_max > reader->config->limits.body_bytes)
        yaml_warn(reader->load, node,
                  "larger than limits.body_bytes (%.*s), so the largest bodies are "
                  "always refused",
                  SPAN_ARG(value_print_size((int64_t)reader->config->limits.body_bytes,
                                            reader->load->arena)));
}

static enum config_errors read_errors(const struct yaml_node *map, const struct base *base,
                                      enum config_operation operation)
{
    if (reader_find(map, SETTING_ROUTE_ERRORS) != NULL)
        return errors_of(map, SETTING_ROUTE_ERRORS);
    if (base->errors_given)
        return base->errors;
    return operation == CONFIG_NATIVE || operation == CONFIG_CONTAINER ? CONFIG_ERRORS_PASS
                                                                       : CONFIG_ERRORS_UNWRAP;
}

/* Its own, else that of defaults, else its upstream's. */
static size_t read_identity(struct reader *reader, const struct yaml_node *map,
                            const struct base *base, const struct config_route *route)
{
    struct yaml_node *node = reader_find(map, SETTING_ROUTE_IDENTITY);
    if (node != NULL && !config_operation_is_aws(route->operation))
        yaml_error(reader->load, node, "nothing is signed for this operation; leave it out");
    return read_identity_name(reader, node,
                              base->identity_given ? base->identity : route->upstream->identity);
}

/* How a streaming route's answers are told; on any other the keys would say nothing. */
static void read_stream(struct reader *reader, const struct yaml_node *map, const struct base *base,
                        struct config_route *route)
{
    static const enum setting_id keys[] = {SETTING_ROUTE_STREAM_FORMAT,
                                           SETTING_ROUTE_STREAM_ERRORS};
    bool streams = route->operation == CONFIG_STREAM || route->operation == CONFIG_AUTO;
    struct yaml_node *asked = reader_find(map, SETTING_ROUTE_STREAM_IF);
    if (asked != NULL && route->operation != CONFIG_AUTO)
        yaml_error(reader->load, asked, "only a route with operation auto has it");
    route->stream_header = reader_text(reader, asked, SETTING_ROUTE_STREAM_IF_HEADER);
    route->stream_query = reader_text(reader, asked, SETTING_ROUTE_STREAM_IF_QUERY);
    for (size_t i = 0; i != 2 && !streams; ++i) {
        struct yaml_node *node = reader_find(map, keys[i]);
        if (node != NULL)
            yaml_error(reader->load, node, "only a route with operation stream or auto has it");
    }
    route->stream_format = (enum config_stream_format)reader_word_or(
        map, SETTING_ROUTE_STREAM_FORMAT, base->stream_format);
    route->stream_error_events =
        reader_word_or(map, SETTING_ROUTE_STREAM_ERRORS, base->stream_errors) != 0;
}

static void read_route(struct reader *reader, struct yaml_node *map, const struct base *base,
                       struct config_route *route)
{
    *route = (struct config_route){
        .line = map->at.line,
        .file = arena_copy(&reader->config->arena, map->at.file),
        .host =
            reader_text(reader, reader_find(map, SETTING_ROUTE_MATCH), SETTING_ROUTE_MATCH_HOST),
        .upstream =
            read_upstream_name(reader, reader_find(map, SETTING_ROUTE_UPSTREAM), base->upstream),
        .operation = (enum config_operation)reader_word(map, SETTING_ROUTE_OPERATION),
        .timeouts = read_timeouts(reader, map, &base->timeouts),
        .concurrency = (uint64_t)reader_number(reader, map, SETTING_ROUTE_CONCURRENCY),
        .wait_for_ms = reader_number(reader, map, SETTING_ROUTE_WAIT_FOR),
        .on_half_close = (enum config_half_close)reader_word(map, SETTING_ROUTE_ON_HALF_CLOSE),
        .callers_may_set_given = base->callers_may_set_given,
        .guards = base->guards,
    };
    const struct yaml_node *operation = reader_find(map, SETTING_ROUTE_OPERATION);
    struct span word = operation == NULL ? SPAN("invoke") : operation->text;
    route->lacks = lacks_of(route->operation);
    route->identity = read_identity(reader, map, base, route);
    read_name(reader, map, route);
    const struct read_scope scope = {.operations = operations_of(route->operation),
                                     .all = route->operation == CONFIG_AUTO,
                                     .lacks = route->lacks,
                                     .word = word,
                                     .pattern = read_path(reader, map, route),
                                     .route = route->name};
    const struct yaml_node *setters = reader_find(map, SETTING_ROUTE_CALLERS_MAY_SET);
    struct read_policies own = {0};
    route->methods = read_methods(reader, reader_find(map, SETTING_ROUTE_MATCH), route->operation,
                                  &route->method_count);
    route->errors = read_errors(map, base, route->operation);
    route->callers_may_set = base->callers_may_set & parameters_of(&scope);
    if (setters != NULL) {
        route->callers_may_set = read_setters(reader, setters, &scope);
        route->callers_may_set_given = true;
    }
    if (route->operation == CONFIG_NATIVE)
        check_native_path(reader, map, scope.pattern);
    read_guards(reader, map, &route->guards);
    read_body_max(reader, map, base, route);
    read_stream(reader, map, base, route);
    read_endpoint(reader, map, &scope, route);
    read_policies(reader, reader_find(map, SETTING_ROUTE_PARAMETERS), &scope, &own);
    read_policies_merge(reader, &base->policies, &own, &scope, route);
    read_watched(reader, map, route);
}

void read_routes(struct reader *reader, struct yaml_node *root)
{
    struct config *config = reader->config;
    struct base base;
    const struct yaml_node *list = reader_find(root, SETTING_ROUTES);
    read_base(reader, root, &base);
    if (yaml_find(root, setting_key(SETTING_ROUTES)) == NULL)
        yaml_warn(reader->load, root, "there are no routes, so every request is answered 404");
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
