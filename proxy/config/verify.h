/* Checks a tree of nodes against the table of settings: unknown and missing keys, wrong types,
 * values out of range. Does not check rules about several keys. */
#ifndef SAGEGATE_CONFIG_VERIFY_H
#define SAGEGATE_CONFIG_VERIFY_H

#include "config/value.h"
#include "config/yaml.h"

/* Reports every problem and marks the faulty nodes bad. Gives each good scalar its value, in
 * arena, with files' names made absolute. A scalar with an unknown environment has a value only
 * if it is a text, template or address. */
void verify_tree(struct yaml_load *load, struct yaml_node *root, struct arena *arena);

#endif
