/* `run --endpoint`: a configuration without a file, as the tree of nodes that a file would give. */
#ifndef SAGEGATE_CONFIG_FLAGS_H
#define SAGEGATE_CONFIG_FLAGS_H

#include "config/yaml.h"

/* Positions name the flag instead of a file. Reports problems; returns NULL if there are any. */
MUST_USE struct yaml_node *flags_make_tree(struct yaml_load *load,
                                           const struct config_flags *flags);

#endif
