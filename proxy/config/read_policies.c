/* Parameters and their policies out of the tree: what one says, what contradicts itself, what a
 * route inherits. */
#include "config/read.h"

/* ---- one value against the API's table ---- */

bool read_policies_has(const struct read_scope *scope, enum sagemaker_parameter parameter)
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

void read_policies_tell_lacking(struct reader *reader, struct yaml_node *node,
                                const struct read_scope *scope, enum sagemaker_parameter parameter)
{
    const struct sagemaker_parameter_info *info = sagemaker_parameter_info(parameter);
    enum sagemaker_operation operation = SAGEMAKER_INVOKE;
    if ((scope->lacks & 1u << parameter) != 0) {
        yaml_error(reader->load, node, "operation %.*s has no %.*s; leave it out",
                   SPAN_ARG(scope->word), SPAN_ARG(info->api_name));
        return;
    }
    while ((scope->operations & 1u << operation) == 0 || info->header[operation].at != NULL)
        ++operation;
    yaml_error(reader->load, node, "%.*s has no %.*s; leave it out",
               SPAN_ARG(sagemaker_operation_info(operation)->api_name), SPAN_ARG(info->api_name));
}

/* A text that one of the scope's operations takes is right; which one it will be is known only
 * with the request. */
static void check_literal(struct reader *reader, struct yaml_node *node,
                          const struct read_scope *scope, enum sagemaker_parameter parameter,
                          struct span text)
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

/* What can be known of a template at load; `whole`: nothing is appended to what it gives. */
static void check_template(struct reader *reader, struct yaml_node *node,
                           const struct template *template, const struct read_scope *scope,
                           enum sagemaker_parameter parameter, const struct config_policy *policy,
                           bool whole)
{
    if (template == NULL || node->opaque || node->bad)
        return;
    /* What defaults refer to is checked with each route that inherits them. */
    struct span missing = scope->pattern == NULL
                              ? SPAN_NONE
                              : read_template_missing_capture(template, scope->pattern, true);
    struct span literal = read_template_literal(reader, template, scope->route);
    if (missing.at != NULL)
        yaml_error(reader->load, node, "${path.%.*s}: the route's path has no {%.*s}",
                   SPAN_ARG(missing), SPAN_ARG(missing));
    if (read_watches_body(template) && policy->allow_count == 0)
        yaml_error(reader->load, node,
                   "callers choose it by their body, so it needs allow: the patterns of which one "
                   "must match");
    /* Half a value need not have the whole's form, but for that of text. */
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
    struct yaml_node *node = reader_find(map, one);
    if (node != NULL)
        yaml_error(reader->load, node, "%s", text);
}

static void check_contradictions(struct reader *reader, const struct yaml_node *map,
                                 enum sagemaker_parameter parameter,
                                 const struct config_policy *policy)
{
    bool has_habits = parameter == SAGEMAKER_ACCEPT || parameter == SAGEMAKER_CONTENT_TYPE;
    if (policy->value != NULL && policy->default_value != NULL)
        refuse_together(reader, map, SETTING_DEFAULTS_PARAMETERS_DEFAULT,
                        "value always wins, so default can never be used; keep one of them");
    if (policy->value != NULL && policy->strict_default)
        refuse_together(reader, map, SETTING_DEFAULTS_PARAMETERS_STRICT_DEFAULT,
                        "value always wins, whatever the caller sent; leave strict_default out");
    if (policy->append == NULL)
        refuse_together(reader, map, SETTING_DEFAULTS_PARAMETERS_SEPARATOR,
                        "there is nothing to separate without append");
    if (policy->strict_default && !has_habits)
        refuse_together(reader, map, SETTING_DEFAULTS_PARAMETERS_STRICT_DEFAULT,
                        "only content_type and accept have values that clients send unasked");
}

static void read_policy(struct reader *reader, const struct yaml_node *map,
                        const struct read_scope *scope, enum sagemaker_parameter parameter,
                        struct config_policy *out)
{
    struct yaml_node *default_value = reader_find(map, SETTING_DEFAULTS_PARAMETERS_DEFAULT);
    struct yaml_node *value = reader_find(map, SETTING_DEFAULTS_PARAMETERS_VALUE);
    struct yaml_node *append = reader_find(map, SETTING_DEFAULTS_PARAMETERS_APPEND);
    struct config_policy policy = {
        .set = true,
        .default_value = read_template(reader, default_value),
        .value = read_template(reader, value),
        .append = read_template(reader, append),
        .separator = reader_text(reader, map, SETTING_DEFAULTS_PARAMETERS_SEPARATOR),
        .required = reader_bool(reader, map, SETTING_DEFAULTS_PARAMETERS_REQUIRED),
        .strict_default = reader_bool(reader, map, SETTING_DEFAULTS_PARAMETERS_STRICT_DEFAULT),
    };
    bool whole = append == NULL;
    if (policy.separator.at == NULL)
        policy.separator = SPAN("");
    policy.allow =
        reader_texts(reader, map, SETTING_DEFAULTS_PARAMETERS_ALLOW, &policy.allow_count);
    check_contradictions(reader, map, parameter, &policy);
    check_template(reader, default_value, policy.default_value, scope, parameter, &policy, whole);
    check_template(reader, value, policy.value, scope, parameter, &policy, whole);
    check_template(reader, append, policy.append, scope, parameter, &policy, false);
    *out = policy;
}

void read_policies(struct reader *reader, const struct yaml_node *parameters,
                   const struct read_scope *scope, struct read_policies *out)
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
        if (read_policies_has(scope, parameter))
            read_policy(reader, node, scope, parameter, &out->policies[parameter]);
        else
            read_policies_tell_lacking(reader, node, scope, parameter);
    }
}

/* ---- what a route ends up with ---- */

static void check_inherited_captures(struct reader *reader, struct yaml_node *node,
                                     const struct config_policy *policy,
                                     const struct read_scope *scope)
{
    const struct template *const templates[] = {policy->default_value, policy->value,
                                                policy->append};
    if (scope->pattern == NULL || node == NULL)
        return;
    for (size_t i = 0; i != 3; ++i) {
        struct span missing =
            templates[i] == NULL
                ? SPAN_NONE
                : read_template_missing_capture(templates[i], scope->pattern, false);
        if (missing.at == NULL)
            continue;
        yaml_error(reader->load, node,
                   "${path.%.*s}: the path of route %.*s has no {%.*s}; give a fallback, or set "
                   "the parameter on that route",
                   SPAN_ARG(missing), SPAN_ARG(scope->route), SPAN_ARG(missing));
        return;
    }
}

/* A parameter that is required, that the caller may not set and that the route does not give is
 * refused always. */
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

void read_policies_merge(struct reader *reader, const struct read_policies *inherited,
                         const struct read_policies *own, const struct read_scope *scope,
                         struct config_route *route)
{
    for (unsigned i = 0; i != SAGEMAKER_PARAMETERS; ++i) {
        enum sagemaker_parameter parameter = (enum sagemaker_parameter)i;
        const struct read_policies *from = own->nodes[i] != NULL ? own : inherited;
        if (!read_policies_has(scope, parameter))
            continue;
        route->parameters[i] = from->policies[i];
        if (from == inherited && from->policies[i].set)
            check_inherited_captures(reader, from->nodes[i], &from->policies[i], scope);
        if (from->nodes[i] != NULL)
            check_attainable(reader, from->nodes[i], parameter, route);
    }
}
