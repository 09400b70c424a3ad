/* `run --endpoint`: a configuration without a file, as the same tree of nodes that a file would
 * give. */
#ifndef SAGEGATE_CONFIG_FLAGS_H
#define SAGEGATE_CONFIG_FLAGS_H

#include "config/yaml.h"

/* NULL, with its problems told, where the flags make no tree. Positions name the flag in place
 * of a file. */
MUST_USE struct yaml_node *flags_make_tree(struct yaml_load *load,
                                           const struct config_flags *flags);

#endif
