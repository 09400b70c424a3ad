/* Credentials and identities out of the tree; it asks no source. */
#include "config/read.h"

#include "config/suggest.h"

/* SETTING_CREDENTIALS_x and SETTING_IDENTITIES_ITEM_x have the same last keys. */
static void read_source(struct reader *reader, struct yaml_node *map,
                        struct config_credentials *credentials)
{
    struct yaml_node *file = reader_find(map, SETTING_CREDENTIALS_FILE);
    struct yaml_node *process = reader_find(map, SETTING_CREDENTIALS_PROCESS);
    enum config_credentials_source source =
        (enum config_credentials_source)reader_word(map, SETTING_CREDENTIALS_SOURCE);
    credentials->source = source;
    credentials->file = reader_file_of(reader, file);
    credentials->profile = reader_text(reader, map, SETTING_CREDENTIALS_PROFILE);
    credentials->process = reader_text(reader, map, SETTING_CREDENTIALS_PROCESS);
    if (map == NULL || map->bad)
        return;
    if (source == CREDENTIALS_STATIC && file == NULL)
        yaml_error(reader->load, map,
                   "source static needs a file: { source: static, file: credentials.json }");
    if (source == CREDENTIALS_PROCESS && process == NULL)
        yaml_error(reader->load, map,
                   "source process needs a command: { source: process, process: COMMAND }");
    if (source == CREDENTIALS_ENV && file != NULL)
        yaml_error(reader->load, file,
                   "source env reads no file; leave it out, or write source: static");
}

static void read_tags(struct reader *reader, const struct yaml_node *map, struct config_role *role)
{
    const struct yaml_node *tags = reader_find(map, SETTING_ROLE_TAGS);
    struct config_tag *list;
    if (tags == NULL)
        return;
    list = arena_zalloc(&reader->config->arena, tags->entry_count + 1, sizeof(*list));
    for (struct yaml_entry *entry = tags->entries; entry != NULL; entry = entry->next)
        if (!entry->node->bad)
            list[role->tag_count++] =
                (struct config_tag){arena_copy(&reader->config->arena, entry->key),
                                    reader_text_of(reader, entry->node)};
    role->tags = list;
}

/* An identity is asked for once, not once a request: of templates only the route's name can be known. */
static void read_session_name(struct reader *reader, const struct yaml_node *map,
                              struct config_role *role)
{
    struct yaml_node *node = reader_find(map, SETTING_ROLE_SESSION_NAME);
    const struct template *template = read_template(reader, node);
    for (size_t i = 0; template != NULL && i != template->part_count; ++i) {
        enum template_source source = template->parts[i].source;
        if (source == TEMPLATE_ROUTE)
            role->session_template = template;
        if (source == TEMPLATE_TEXT || source == TEMPLATE_ROUTE)
            continue;
        yaml_error(reader->load, node,
                   "a session is opened ahead of any request, so that its name can have ${route} "
                   "and ${env.X} in it and nothing else");
        role->session_template = NULL;
        return;
    }
    if (template != NULL && role->session_template == NULL)
        role->session_name =
            arena_copy(&reader->config->arena, read_template_literal(reader, template, SPAN("")));
}

static void read_role(struct reader *reader, struct yaml_node *map, struct config_role *role)
{
    struct yaml_node *arn = reader_find(map, SETTING_ROLE_ARN);
    if (map == NULL)
        return;
    *role = (struct config_role){
        .role_arn = reader_text(reader, map, SETTING_ROLE_ARN),
        .external_id = reader_text(reader, map, SETTING_ROLE_EXTERNAL_ID),
        .source_identity = reader_text(reader, map, SETTING_ROLE_SOURCE_IDENTITY),
        .duration_ms = reader_number(reader, map, SETTING_ROLE_DURATION),
    };
    read_session_name(reader, map, role);
    read_tags(reader, map, role);
    if (arn == NULL && !map->bad)
        yaml_error(reader->load, map, "role_arn is missing: write role_arn: arn:aws:iam::...");
    else if (arn != NULL && !arn->opaque && !span_starts_with(role->role_arn, SPAN("arn:")))
        yaml_error(reader->load, arn,
                   "\"%.*s\" is no ARN; one begins with arn:", SPAN_ARG(role->role_arn));
}

static bool has_source(const struct yaml_node *map)
{
    static const enum setting_id keys[] = {SETTING_CREDENTIALS_SOURCE, SETTING_CREDENTIALS_FILE,
                                           SETTING_CREDENTIALS_PROFILE,
                                           SETTING_CREDENTIALS_PROCESS};
    for (size_t i = 0; i != sizeof(keys) / sizeof(keys[0]); ++i)
        if (reader_find(map, keys[i]) != NULL)
            return true;
    return false;
}

static void read_identity(struct reader *reader, const struct yaml_entry *entry,
                          struct config_identity *identity)
{
    struct yaml_node *map = entry->node;
    identity->name = identity->label = arena_copy(&reader->config->arena, entry->key);
    identity->credentials = reader->config->credentials;
    if (has_source(map))
        read_source(reader, map, &identity->credentials);
    read_role(reader, reader_find(map, SETTING_ROLE), &identity->role);
    if (span_equals(entry->key, SPAN("default")))
        yaml_error(reader->load, map,
                   "default is the name of the top-level `credentials`; choose another");
}

void read_credentials(struct reader *reader, const struct yaml_node *root)
{
    struct config *config = reader->config;
    struct yaml_node *map = reader_find(root, SETTING_CREDENTIALS);
    const struct yaml_node *named = reader_find(root, SETTING_IDENTITIES);
    size_t count = 1 + (named == NULL ? 0 : named->entry_count);
    struct config_identity *identities = arena_zalloc(&config->arena, count, sizeof(*identities));
    config->credentials = (struct config_credentials){
        .imds_endpoint = reader_text(reader, map, SETTING_CREDENTIALS_IMDS_ENDPOINT),
        .imds_v1 = reader_bool(reader, map, SETTING_CREDENTIALS_IMDS_V1),
        .wait_ms = reader_number(reader, map, SETTING_CREDENTIALS_WAIT),
    };
    read_source(reader, map, &config->credentials);
    identities[0] = (struct config_identity){
        .name = SPAN("default"), .label = SPAN("default"), .credentials = config->credentials};
    config->identity_count = 1;
    for (struct yaml_entry *entry = named == NULL ? NULL : named->entries; entry != NULL;
         entry = entry->next)
        read_identity(reader, entry, &identities[config->identity_count++]);
    config->named_identity_count = config->identity_count;
    config->identities = identities;
    reader->identities = identities;
}

size_t read_identity_name(struct reader *reader, struct yaml_node *node, size_t fallback)
{
    const struct config *config = reader->config;
    if (node == NULL || node->opaque)
        return fallback;
    struct span name = reader_text_of(reader, node);
    struct span *names = arena_zalloc(reader->load->arena, config->identity_count, sizeof(*names));
    for (size_t i = 0; i != config->identity_count; ++i) {
        names[i] = config->identities[i].name;
        if (span_equals(names[i], name))
            return i;
    }
    struct span near = suggest_nearest(name, names, config->identity_count);
    if (near.at != NULL)
        yaml_error(reader->load, node, "there is no \"%.*s\" in identities, did you mean %.*s?",
                   SPAN_ARG(name), SPAN_ARG(near));
    else
        yaml_error(reader->load, node, "there is no \"%.*s\" in identities", SPAN_ARG(name));
    return fallback;
}
