/* A tree of nodes against the table of settings: unknown keys, wrong types, values out of range.
 * What depends on more than one key is not seen here. */
#ifndef SAGEGATE_CONFIG_VERIFY_H
#define SAGEGATE_CONFIG_VERIFY_H

#include "config/setting.h"
#include "config/yaml.h"

/* Tells every problem and marks the nodes at fault as bad, so that readers need not check again. */
void verify_tree(struct yaml_load *load, struct yaml_node *root);

#endif
