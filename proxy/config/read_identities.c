/* Identities that are derived for routes: where a session name has ${route}, each route that uses the
 * identity gets one of its own. It reads nothing of the tree but where to tell of too many. */
#include "config/read.h"

#include "aws/session_name.h"

/* Each is fetched at start and refreshed ever after. */
enum { DERIVED_MAX = 256 };

struct derive {
    struct reader *reader;
    struct config_identity *identities; /* the named ones, and room for the others */
    size_t count;
};

static bool has_session_of_its_own(const struct config *config, const struct config_route *route)
{
    return config_operation_is_aws(route->operation) &&
           config->identities[route->identity].role.session_template != NULL;
}

/* Two routes whose sessions have the same name share one. */
static size_t derive_identity(struct derive *derive, size_t from, struct span text)
{
    const struct config *config = derive->reader->config;
    struct arena *arena = &derive->reader->config->arena;
    const struct config_identity *base = &derive->identities[from];
    struct span session = session_name_fit(text, arena);
    for (size_t i = config->named_identity_count; i != derive->count; ++i)
        if (span_equals(derive->identities[i].name, base->name) &&
            span_equals(derive->identities[i].role.session_name, session))
            return i;
    struct config_identity *own = &derive->identities[derive->count];
    *own = *base;
    own->role.session_name = session;
    own->role.session_template = NULL;
    own->label =
        arena_printf(arena, "%.*s/%.*s", SPAN_ARG(own->name), SPAN_ARG(own->role.session_name));
    return derive->count++;
}

void read_identities_settle(struct reader *reader, const struct yaml_node *root)
{
    struct config *config = reader->config;
    size_t most = 0;
    for (size_t i = 0; i != config->route_count; ++i)
        most += has_session_of_its_own(config, &config->routes[i]);
    if (most > DERIVED_MAX) {
        yaml_error(reader->load, reader_find(root, SETTING_IDENTITIES),
                   "%zu routes ask for sessions of their own by ${route}; at most %d may", most,
                   DERIVED_MAX);
        return;
    }
    struct derive derive = {.reader = reader, .count = config->identity_count};
    derive.identities =
        arena_zalloc(&config->arena, derive.count + most, sizeof(*derive.identities));
    memcpy(derive.identities, config->identities, derive.count * sizeof(*derive.identities));
    for (size_t i = 0; i != config->route_count; ++i) {
        struct config_route *route = &reader->routes[i];
        if (!has_session_of_its_own(config, route))
            continue;
        const struct template *template = config->identities[route->identity].role.session_template;
        route->identity = derive_identity(&derive, route->identity,
                                          read_template_literal(reader, template, route->name));
    }
    config->identities = derive.identities;
    config->identity_count = derive.count;
    reader->identities = derive.identities;
}
