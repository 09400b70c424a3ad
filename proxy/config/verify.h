/* Checks a tree of nodes against the table of settings: unknown and missing keys, wrong types,
 * values out of range. What depends on more than one key it does not see. */
#ifndef SAGEGATE_CONFIG_VERIFY_H
#define SAGEGATE_CONFIG_VERIFY_H

#include "config/value.h"
#include "config/yaml.h"

/* Tells every problem and marks the nodes at fault bad. Gives each good scalar its value, in
 * arena, with files' names made absolute. A scalar with an unknown environment has a value only
 * if it is a text, template or address. */
void verify_tree(struct yaml_load *load, struct yaml_node *root, struct arena *arena);

#endif
