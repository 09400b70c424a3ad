/* Values out of a verified tree, with the table's defaults. A node that is bad (its problem was
 * told) counts as absent; one that is opaque gives the default, or its own text where a text is
 * wanted. */
#ifndef SAGEGATE_CONFIG_READER_H
#define SAGEGATE_CONFIG_READER_H

#include "config/setting.h"
#include "config/yaml.h"

struct reader {
    struct yaml_load *load;
    struct config *config;              /* being filled; what it keeps is copied into its arena */
    struct config_identity *identities; /* config->identities, while they are filled */
    struct config_upstream *upstreams;  /* config->upstreams, likewise */
    struct config_route *routes;        /* config->routes, likewise */
};

/* The node of a setting's last key in that map, NULL where it is absent. */
struct yaml_node *reader_find(const struct yaml_node *map, enum setting_id id);

/* Counts, sizes and times; `_or` with a default that is not the table's. */
int64_t reader_number(struct reader *reader, const struct yaml_node *map, enum setting_id id);
int64_t reader_number_or(struct reader *reader, const struct yaml_node *map, enum setting_id id,
                         int64_t fallback);
bool reader_bool(struct reader *reader, const struct yaml_node *map, enum setting_id id);
/* The place of the word in the table's list of words. */
size_t reader_word(const struct yaml_node *map, enum setting_id id);
size_t reader_word_or(const struct yaml_node *map, enum setting_id id, size_t fallback);

/* A literal text in the configuration's arena, ending in NUL; SPAN_NONE where it is absent. */
struct span reader_text(struct reader *reader, const struct yaml_node *map, enum setting_id id);
struct span reader_text_of(struct reader *reader, const struct yaml_node *scalar);
/* Likewise a file's name, made absolute: relative names start from the file that has them. */
struct span reader_file_of(struct reader *reader, const struct yaml_node *scalar);
/* A list of texts; *count is 0 where it is absent. */
const struct span *reader_texts(struct reader *reader, const struct yaml_node *map,
                                enum setting_id id, size_t *count);

#endif
