/* Templates out of the tree, and what can be known of them before any request. */
#include "config/read.h"

const struct template *read_template(struct reader *reader, const struct yaml_node *node)
{
    struct span fault;
    if (node == NULL)
        return NULL;
    struct template *template = arena_zalloc(&reader->config->arena, 1, sizeof(*template));
    CHECK(template_compile(node->text, &reader->config->arena, template, &fault));
    return template;
}

static struct span look_up_route(void *context, enum template_source source, struct span name)
{
    (void)name;
    CHECK(source == TEMPLATE_ROUTE);
    return *(const struct span *)context;
}

struct span read_template_literal(struct reader *reader, const struct template *template,
                                  struct span route)
{
    for (size_t i = 0; i != template->part_count; ++i) {
        enum template_source source = template->parts[i].source;
        if (source != TEMPLATE_TEXT && (source != TEMPLATE_ROUTE || route.len == 0))
            return SPAN_NONE;
    }
    return template_expand(template, look_up_route, &route, reader->load->arena);
}

struct span read_template_missing_capture(const struct template *template,
                                          const struct pattern *pattern, bool fallbacks_too)
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
