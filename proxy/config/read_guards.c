/* Who may call a route: its lists of hosts, origins and peers; those that it leaves out it inherits. */
#include "config/read.h"

#include "config/value.h"

/* Host names are the same in either case: patterns are kept in lower case. */
static const struct span *read_hosts(struct reader *reader, const struct yaml_node *map,
                                     size_t *count)
{
    const struct span *texts = reader_texts(reader, map, SETTING_DEFAULTS_GUARDS_HOSTS, count);
    struct span *hosts = arena_zalloc(&reader->config->arena, *count + 1, sizeof(*hosts));
    for (size_t i = 0; i != *count; ++i)
        hosts[i] = arena_lower(&reader->config->arena, texts[i]);
    return hosts;
}

static const struct config_peer *read_peers(struct reader *reader, const struct yaml_node *list,
                                            size_t *count)
{
    struct config_peer *peers =
        arena_zalloc(&reader->config->arena, list->entry_count + 1, sizeof(*peers));
    struct span fault;
    *count = 0;
    for (const struct yaml_entry *entry = list->entries; entry != NULL; entry = entry->next) {
        struct config_peer *peer = &peers[*count];
        if (entry->node->bad || entry->node->opaque)
            continue;
        struct span text = reader_text_of(reader, entry->node);
        *count += value_parse_peer(text, &reader->config->arena, peer, &fault) ? 1 : 0;
    }
    return peers;
}

void read_guards(struct reader *reader, const struct yaml_node *map, struct config_guards *guards)
{
    const struct yaml_node *node = reader_find(map, SETTING_DEFAULTS_GUARDS);
    const struct yaml_node *peers = reader_find(node, SETTING_DEFAULTS_GUARDS_PEERS);
    if (reader_find(node, SETTING_DEFAULTS_GUARDS_HOSTS) != NULL)
        guards->hosts = read_hosts(reader, node, &guards->host_count);
    if (reader_find(node, SETTING_DEFAULTS_GUARDS_ORIGINS) != NULL)
        guards->origins =
            reader_texts(reader, node, SETTING_DEFAULTS_GUARDS_ORIGINS, &guards->origin_count);
    if (peers != NULL)
        guards->peers = read_peers(reader, peers, &guards->peer_count);
}
