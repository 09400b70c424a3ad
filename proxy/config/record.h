/* The structs that represent maps of the configuration: sets their fields from a verified tree and
 * reads them back, driven by the rows of the table. `record` points to the struct that the fields
 * of the map's rows are in. Maps below, up to the next RECORD, list or named map, belong to the
 * same struct. */
#ifndef SAGEGATE_CONFIG_RECORD_H
#define SAGEGATE_CONFIG_RECORD_H

#include "config/value.h"
#include "config/yaml.h"

/* Sets each field whose row has a default. Texts are in arena. */
void record_set_defaults(enum setting_id map, void *record, struct arena *arena);
/* Sets the fields of the keys that `node` (NULL: none) has and that have a value; leaves the
 * others. Lists are in arena. */
void record_fill(enum setting_id map, const struct yaml_node *node, void *record,
                 struct arena *arena);

/* The value of a row's field. */
union value record_get(const struct setting *row, const void *record);
/* The elements of a list's field as texts, in arena; *count is their number. */
const struct span *record_get_texts(const struct setting *row, const void *record, size_t *count,
                                    struct arena *arena);
/* False if the row has a bool that says whether the key was there, and it was not. */
bool record_is_given(const struct setting *row, const void *record);

/* The node of a setting's last key in that map; NULL if it is absent, bad or null. */
struct yaml_node *record_find(const struct yaml_node *map, enum setting_id id);
/* The text of a verified scalar; SPAN_NONE for NULL or if it has no value. */
struct span record_text(const struct yaml_node *scalar);
/* The index of the name that a scalar gives; fallback if it is NULL or opaque, or if the name is
 * unknown, which is reported. `what` describes the names in the message. */
size_t record_find_name(struct yaml_load *load, struct yaml_node *node, const struct span *names,
                        size_t count, const char *what, size_t fallback);

#endif
