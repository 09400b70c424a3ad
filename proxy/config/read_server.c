/* Listeners, process, limits and logs out of the tree; it opens nothing. */
#include "config/read.h"

#include "config/value.h"

/* What stands for an address that only the environment of another machine knows. */
static const struct config_address unknown_address = {
    .text = SPAN("127.0.0.1:0"), .host = SPAN("127.0.0.1"), .unix_mode = 0600, .loopback = true};

/* False where the map has no usable address. */
static bool read_address(struct reader *reader, struct yaml_node *map, struct config_address *out)
{
    struct yaml_node *address = reader_find(map, SETTING_LISTEN_ADDRESS);
    struct yaml_node *mode = reader_find(map, SETTING_LISTEN_MODE);
    struct span fault;
    if (address == NULL) {
        if (!map->bad && yaml_find(map, setting_key(SETTING_LISTEN_ADDRESS)) == NULL)
            yaml_error(reader->load, map,
                       "address is missing, such as { address: 127.0.0.1:8080 }");
        return false;
    }
    *out = unknown_address;
    if (!address->opaque)
        CHECK(value_parse_address(reader_text_of(reader, address), &reader->config->arena, out,
                                  &fault));
    if (mode == NULL || mode->opaque || address->opaque)
        return true;
    if (out->unix_path.at == NULL)
        yaml_error(reader->load, mode, "only a Unix socket has permission bits; this is TCP");
    CHECK(value_parse_mode(mode->text, reader->load->arena, &out->unix_mode, &fault));
    return true;
}

static bool is_same_address(const struct config_address *a, const struct config_address *b)
{
    bool both_unix = a->unix_path.at != NULL && b->unix_path.at != NULL;
    if (both_unix)
        return span_equals(a->unix_path, b->unix_path);
    if (a->unix_path.at != NULL || b->unix_path.at != NULL)
        return false;
    return a->port != 0 && a->port == b->port && span_equals(a->host, b->host);
}

static void refuse_taken(struct reader *reader, struct yaml_node *node,
                         const struct config_address *address)
{
    const struct config *config = reader->config;
    bool taken = (config->has_admin && is_same_address(&config->admin, address)) ||
                 (config->has_health && is_same_address(&config->health, address));
    for (size_t i = 0; i != config->listener_count; ++i)
        taken = taken || is_same_address(&config->listeners[i].address, address);
    if (taken)
        yaml_error(reader->load, node, "%.*s is taken by another listener above",
                   SPAN_ARG(address->text));
}

static void read_listener_tls(struct reader *reader, const struct yaml_node *map,
                              struct config_listener *listener)
{
    struct yaml_node *tls = reader_find(map, SETTING_LISTEN_TLS);
    if (tls == NULL)
        return;
    listener->certificate_file =
        reader_file_of(reader, reader_find(tls, SETTING_LISTEN_TLS_CERTIFICATE_FILE));
    listener->key_file = reader_file_of(reader, reader_find(tls, SETTING_LISTEN_TLS_KEY_FILE));
    if (!tls->bad && (listener->certificate_file.at == NULL || listener->key_file.at == NULL))
        yaml_error(reader->load, tls, "wants both certificate_file and key_file");
}

static void read_listeners(struct reader *reader, const struct yaml_node *root)
{
    struct config *config = reader->config;
    const struct yaml_node *list = reader_find(root, SETTING_LISTEN);
    size_t count = list == NULL ? 1 : list->entry_count;
    struct config_listener *listeners = arena_zalloc(&config->arena, count + 1, sizeof(*listeners));
    struct span fault;
    config->listeners = listeners;
    if (list == NULL) {
        CHECK(value_parse_address(SPAN("127.0.0.1:8080"), &config->arena, &listeners[0].address,
                                  &fault));
        config->listener_count = 1;
        return;
    }
    for (struct yaml_entry *entry = list->entries; entry != NULL; entry = entry->next) {
        struct config_address address;
        if (entry->node->bad || !read_address(reader, entry->node, &address))
            continue;
        struct yaml_node *node = reader_find(entry->node, SETTING_LISTEN_ADDRESS);
        refuse_taken(reader, node, &address);
        read_listener_tls(reader, entry->node, &listeners[config->listener_count]);
        listeners[config->listener_count++].address = address;
        if (!address.loopback)
            yaml_warn(reader->load, node,
                      "%.*s is open beyond loopback: whoever can connect can use the credentials",
                      SPAN_ARG(address.text));
    }
}

static bool read_side_listener(struct reader *reader, const struct yaml_node *root,
                               enum setting_id id, struct config_address *out)
{
    struct yaml_node *map = reader_find(root, id);
    if (map == NULL || !read_address(reader, map, out))
        return false;
    refuse_taken(reader, reader_find(map, SETTING_LISTEN_ADDRESS), out);
    return true;
}

static void read_side_listeners(struct reader *reader, const struct yaml_node *root)
{
    struct config *config = reader->config;
    config->has_admin = read_side_listener(reader, root, SETTING_ADMIN, &config->admin);
    config->has_health = read_side_listener(reader, root, SETTING_HEALTH, &config->health);
    if (config->has_admin && !config->admin.loopback)
        yaml_warn(reader->load, reader_find(root, SETTING_ADMIN),
                  "%.*s is open beyond loopback: whoever can connect can change the gateway",
                  SPAN_ARG(config->admin.text));
}

static void read_limits(struct reader *reader, const struct yaml_node *root)
{
    const struct yaml_node *limits = reader_find(root, SETTING_LIMITS);
    const struct yaml_node *pool = reader_find(root, SETTING_POOL);
    const struct yaml_node *drain = reader_find(root, SETTING_DRAIN);
    reader->config->limits = (struct config_limits){
        .connections = (uint64_t)reader_number(reader, limits, SETTING_LIMITS_CONNECTIONS),
        .body_bytes_given = reader_find(limits, SETTING_LIMITS_BODY_BYTES) != NULL,
        .body_bytes = (uint64_t)reader_number(reader, limits, SETTING_LIMITS_BODY_BYTES),
        .concurrency = (uint64_t)reader_number(reader, limits, SETTING_LIMITS_CONCURRENCY),
        .head_bytes = (uint64_t)reader_number(reader, limits, SETTING_LIMITS_HEAD_BYTES),
        .head_timeout_ms = reader_number(reader, limits, SETTING_LIMITS_HEAD_TIMEOUT),
        .body_timeout_ms = reader_number(reader, limits, SETTING_LIMITS_BODY_TIMEOUT),
        .keep_alive_timeout_ms = reader_number(reader, limits, SETTING_LIMITS_KEEP_ALIVE_TIMEOUT),
        .keep_alive_requests =
            (uint64_t)reader_number(reader, limits, SETTING_LIMITS_KEEP_ALIVE_REQUESTS),
    };
    reader->config->pool = (struct config_pool){
        .idle_max = (uint64_t)reader_number(reader, pool, SETTING_POOL_IDLE_MAX),
        .idle_timeout_ms = reader_number(reader, pool, SETTING_POOL_IDLE_TIMEOUT),
        .age_max_ms = reader_number(reader, pool, SETTING_POOL_AGE_MAX),
        .connects_max = (uint64_t)reader_number(reader, pool, SETTING_POOL_CONNECTS_MAX),
        .warm = (uint64_t)reader_number(reader, pool, SETTING_POOL_WARM),
    };
    reader->config->drain = (struct config_drain){
        .delay_ms = reader_number(reader, drain, SETTING_DRAIN_DELAY),
        .idle_ms = reader_number(reader, drain, SETTING_DRAIN_IDLE),
        .limit_ms = reader_number(reader, drain, SETTING_DRAIN_LIMIT),
    };
}

static void read_logs(struct reader *reader, const struct yaml_node *root)
{
    struct config *config = reader->config;
    const struct yaml_node *log = reader_find(root, SETTING_LOG);
    const struct yaml_node *access = reader_find(root, SETTING_ACCESS_LOG);
    config->log_level = (enum config_log_level)reader_word(log, SETTING_LOG_LEVEL);
    config->access_log.off =
        access != NULL && access->kind == YAML_SCALAR; /* false, as was verified */
    if (config->access_log.off)
        return;
    config->access_log.file = reader_file_of(reader, reader_find(access, SETTING_ACCESS_LOG_FILE));
    config->access_log.refuse_on_full = reader_word(access, SETTING_ACCESS_LOG_ON_FULL) == 1;
    config->access_log.full_path = reader_word(access, SETTING_ACCESS_LOG_LOG_PATH) == 1;
}

void read_server(struct reader *reader, const struct yaml_node *root)
{
    read_listeners(reader, root);
    read_side_listeners(reader, root);
    reader->config->workers = (unsigned)reader_number(reader, root, SETTING_WORKERS);
    read_limits(reader, root);
    reader->config->ready_without_credentials = reader_word(root, SETTING_READY_REQUIRES) == 1;
    read_logs(reader, root);
}
