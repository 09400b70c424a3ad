/* Reads credentials and identities, and derives those of routes. Fetches no credentials. */
#include "config/reader.h"

#include "aws/session_name.h"

/* Each derived identity is fetched at start and refreshed from then on. */
enum { DERIVED_MAX = 256 };

/* SETTING_CREDENTIALS_x and SETTING_IDENTITIES_ITEM_x have the same last keys. */
static void check_source(struct reader *reader, struct yaml_node *map,
                         const struct config_credentials *credentials)
{
    struct yaml_node *file = record_find(map, SETTING_CREDENTIALS_FILE);
    const struct yaml_node *process = record_find(map, SETTING_CREDENTIALS_PROCESS);
    if (map == NULL)
        return;
    if (credentials->source == CONFIG_SOURCE_STATIC && file == NULL)
        yaml_error(reader->load, map,
                   "source static requires a file: { source: static, file: credentials.json }");
    if (credentials->source == CONFIG_SOURCE_PROCESS && process == NULL)
        yaml_error(reader->load, map,
                   "source process requires a command: { source: process, process: COMMAND }");
    if (credentials->source == CONFIG_SOURCE_ENV && file != NULL)
        yaml_error(reader->load, file,
                   "source env reads no file; remove this key or use source: static");
}

/* ---- roles ---- */

static void read_tags(struct reader *reader, const struct yaml_node *map, struct config_role *role)
{
    const struct yaml_node *tags = record_find(map, SETTING_ROLE_TAGS);
    struct config_tag *list;
    if (tags == NULL)
        return;
    list = arena_zalloc(&reader->config->arena, tags->entry_count + 1, sizeof(*list));
    for (struct yaml_entry *entry = tags->entries; entry != NULL; entry = entry->next)
        if (!entry->node->bad)
            list[role->tag_count++] = (struct config_tag){
                arena_copy(&reader->config->arena, entry->key), record_text(entry->node)};
    role->tags = list;
}

/* Sessions are opened before any request, so a template may only use the route's name. */
static void read_session_name(struct reader *reader, const struct yaml_node *map,
                              struct config_role *role)
{
    struct yaml_node *node = record_find(map, SETTING_ROLE_SESSION_NAME);
    if (node == NULL || node->value == NULL)
        return;
    const struct template *template = node->value->template;
    if (template_literal(template, SPAN("route"), reader->load->arena).at == NULL)
        yaml_error(reader->load, node,
                   "only ${route} and ${env.X} are allowed here, because sessions are opened "
                   "before any request");
    else if (template_uses(template, TEMPLATE_ROUTE))
        role->session_template = template;
    else
        role->session_name = template_literal(template, SPAN(""), &reader->config->arena);
}

static void read_role(struct reader *reader, const struct yaml_node *map, struct config_role *role)
{
    struct yaml_node *arn = record_find(map, SETTING_ROLE_ARN);
    if (map == NULL)
        return;
    read_session_name(reader, map, role);
    read_tags(reader, map, role);
    if (arn != NULL && !arn->opaque && !span_starts_with(role->role_arn, SPAN("arn:")))
        yaml_error(reader->load, arn,
                   "\"%.*s\" is not an ARN; must begin with arn:", SPAN_ARG(role->role_arn));
}

/* ---- identities ---- */

static bool has_source(const struct yaml_node *map)
{
    return record_find(map, SETTING_CREDENTIALS_SOURCE) != NULL ||
           record_find(map, SETTING_CREDENTIALS_FILE) != NULL ||
           record_find(map, SETTING_CREDENTIALS_PROFILE) != NULL ||
           record_find(map, SETTING_CREDENTIALS_PROCESS) != NULL;
}

static void read_identity(struct reader *reader, const struct yaml_entry *entry,
                          struct config_identity *identity)
{
    struct arena *arena = &reader->config->arena;
    const struct config_credentials *top = &reader->config->credentials;
    struct yaml_node *map = entry->node;
    identity->name = identity->label = arena_copy(arena, entry->key);
    record_set_defaults(SETTING_IDENTITIES_ITEM, identity, arena);
    identity->credentials = *top;
    if (has_source(map))
        identity->credentials = (struct config_credentials){
            .imds_endpoint = top->imds_endpoint, .imds_v1 = top->imds_v1, .wait_ms = top->wait_ms};
    record_fill(SETTING_IDENTITIES_ITEM, map, identity, arena);
    if (has_source(map))
        check_source(reader, map, &identity->credentials);
    read_role(reader, record_find(map, SETTING_ROLE), &identity->role);
    if (span_equals(entry->key, SPAN("default")))
        yaml_error(reader->load, map,
                   "default is reserved for the top-level `credentials`; choose another name");
}

void read_identities(struct reader *reader, const struct yaml_node *root)
{
    struct config *config = reader->config;
    const struct yaml_node *named = record_find(root, SETTING_IDENTITIES);
    size_t count = 1 + (named == NULL ? 0 : named->entry_count);
    struct config_identity *identities = arena_zalloc(&config->arena, count, sizeof(*identities));
    check_source(reader, record_find(root, SETTING_CREDENTIALS), &config->credentials);
    identities[0] = (struct config_identity){
        .name = SPAN("default"), .label = SPAN("default"), .credentials = config->credentials};
    config->identity_count = 1;
    for (const struct yaml_entry *entry = yaml_entries(named); entry != NULL; entry = entry->next)
        read_identity(reader, entry, &identities[config->identity_count++]);
    config->named_identity_count = config->identity_count;
    config->identities = reader->identities = identities;
}

size_t read_identities_find(struct reader *reader, struct yaml_node *node, size_t fallback)
{
    const struct config *config = reader->config;
    struct span *names = arena_zalloc(reader->load->arena, config->identity_count, sizeof(*names));
    for (size_t i = 0; i != config->identity_count; ++i)
        names[i] = config->identities[i].name;
    return record_find_name(reader->load, node, names, config->identity_count, "identity",
                            fallback);
}

/* ---- identities of routes ---- */

static bool has_session_of_its_own(const struct config *config, const struct config_route *route)
{
    return config_operation_is_aws(route->operation) &&
           config->identities[route->identity].role.session_template != NULL;
}

/* The index of the identity with that session. Routes whose sessions have the same name share
 * one. */
static size_t derive_identity(struct config *config, struct config_identity *identities,
                              size_t from, struct span text)
{
    const struct config_identity *base = &identities[from];
    struct span session = session_name_fit(text, &config->arena);
    for (size_t i = config->named_identity_count; i != config->identity_count; ++i)
        if (span_equals(identities[i].name, base->name) &&
            span_equals(identities[i].role.session_name, session))
            return i;
    struct config_identity *own = &identities[config->identity_count];
    *own = *base;
    own->role.session_name = session;
    own->role.session_template = NULL;
    own->label = arena_printf(&config->arena, "%.*s/%.*s", SPAN_ARG(own->name), SPAN_ARG(session));
    return config->identity_count++;
}

void read_identities_derive(struct reader *reader, const struct yaml_node *root)
{
    struct config *config = reader->config;
    size_t most = 0;
    for (size_t i = 0; i != config->route_count; ++i)
        most += has_session_of_its_own(config, &config->routes[i]);
    if (most > DERIVED_MAX) {
        yaml_error(reader->load, record_find(root, SETTING_IDENTITIES),
                   "%zu routes have their own session through ${route}; at most %d are allowed",
                   most, DERIVED_MAX);
        return;
    }
    size_t named = config->identity_count;
    struct config_identity *identities =
        arena_zalloc(&config->arena, named + most, sizeof(*identities));
    memcpy(identities, config->identities, named * sizeof(*identities));
    config->identities = reader->identities = identities;
    for (size_t i = 0; i != config->route_count; ++i) {
        struct config_route *route = &reader->routes[i];
        if (!has_session_of_its_own(config, route))
            continue;
        const struct template *template = identities[route->identity].role.session_template;
        struct span session = template_literal(template, route->name, reader->load->arena);
        route->identity = derive_identity(config, identities, route->identity, session);
    }
}
