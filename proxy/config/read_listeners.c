/* Reads listeners and checks their addresses against each other. Opens no sockets. */
#include "config/reader.h"

static bool is_same_address(const struct config_address *a, const struct config_address *b)
{
    if (a->unix_path.at != NULL || b->unix_path.at != NULL)
        return span_equals(a->unix_path, b->unix_path);
    return a->port != 0 && a->port == b->port && span_equals(a->host, b->host);
}

/* `above`: the address of the admin listener, if it comes before this one; or NULL. */
static void check_address(struct reader *reader, const struct yaml_node *map,
                          const struct config_address *address, const struct config_address *above)
{
    struct yaml_node *node = record_find(map, SETTING_LISTEN_ADDRESS);
    struct yaml_node *mode = record_find(map, SETTING_LISTEN_MODE);
    const struct config *config = reader->config;
    bool taken = above != NULL && is_same_address(above, address);
    for (size_t i = 0; i != config->listener_count; ++i)
        taken = taken || is_same_address(&config->listeners[i].address, address);
    if (node == NULL)
        return;
    if (taken)
        yaml_error(reader->load, node, "%.*s is already used by a listener above",
                   SPAN_ARG(address->text));
    if (mode != NULL && !mode->opaque && !node->opaque && address->unix_path.at == NULL)
        yaml_error(reader->load, mode,
                   "mode applies only to a Unix socket, and this address is TCP; remove it");
}

static void warn_if_open(struct reader *reader, const struct yaml_node *node,
                         const struct config_address *address, const char *risk)
{
    if (node != NULL && address->text.at != NULL && !address->loopback)
        yaml_warn(reader->load, node,
                  "%.*s is not a loopback address: any client that can connect can %s",
                  SPAN_ARG(address->text), risk);
}

static void read_listener(struct reader *reader, const struct yaml_node *map,
                          struct config_listener *listener)
{
    record_set_defaults(SETTING_LISTEN_ITEM, listener, &reader->config->arena);
    record_fill(SETTING_LISTEN_ITEM, map, listener, &reader->config->arena);
    check_address(reader, map, &listener->address, NULL);
    warn_if_open(reader, record_find(map, SETTING_LISTEN_ADDRESS), &listener->address,
                 "use the credentials");
}

void read_listeners(struct reader *reader, const struct yaml_node *root)
{
    struct config *config = reader->config;
    const struct yaml_node *list = record_find(root, SETTING_LISTEN);
    const struct yaml_node *admin = record_find(root, SETTING_ADMIN);
    size_t count = list == NULL ? 1 : list->entry_count;
    struct config_listener *listeners = arena_zalloc(&config->arena, count + 1, sizeof(*listeners));
    struct span fault;
    config->listeners = listeners;
    if (list == NULL)
        CHECK(value_parse_address(SPAN("127.0.0.1:8080"), &config->arena,
                                  &listeners[config->listener_count++].address, &fault));
    for (const struct yaml_entry *entry = yaml_entries(list); entry != NULL; entry = entry->next) {
        if (entry->node->bad)
            continue;
        read_listener(reader, entry->node, &listeners[config->listener_count]);
        ++config->listener_count;
    }
    check_address(reader, admin, &config->admin, NULL);
    check_address(reader, record_find(root, SETTING_HEALTH), &config->health, &config->admin);
    warn_if_open(reader, admin, &config->admin, "change the gateway");
}
