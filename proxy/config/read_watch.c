/* What a route must read of a request's body before it can fill in: the members of its ${json.X}, and for operation auto
 * "stream". */
#include "config/read.h"

static void watch(struct reader *reader, struct yaml_node *node, struct span name,
                  struct span names[JSON_SCAN_NAMES_MAX], size_t *count)
{
    for (size_t i = 0; i != *count; ++i)
        if (span_equals(names[i], name))
            return;
    if (*count == JSON_SCAN_NAMES_MAX) {
        yaml_error(reader->load, node, "more than %d members of the body are asked for",
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

void read_watched(struct reader *reader, struct yaml_node *map, struct config_route *route)
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

bool read_watches_body(const struct template *t)
{
    for (size_t i = 0; t != NULL && i != t->part_count; ++i)
        if (t->parts[i].source == TEMPLATE_JSON)
            return true;
    return false;
}
