/* A configuration's files: reads one and those it includes, and merges them into one tree. The
 * only part of config/ that reads files. */
#ifndef SAGEGATE_CONFIG_INCLUDE_H
#define SAGEGATE_CONFIG_INCLUDE_H

#include "config/yaml.h"

/* The merged tree, without `include`: maps are merged, lists appended in the order of reading (a
 * file before those it includes); setting a value twice is an error. Returns NULL if nothing could
 * be read. */
MUST_USE struct yaml_node *include_load(struct yaml_load *load, const char *file);

/* Like include_load, but takes the contents of `file`. */
MUST_USE struct yaml_node *include_load_text(struct yaml_load *load, const char *file,
                                             struct span text);

/* Merges a tree into another, which takes over its nodes. */
void include_merge(struct yaml_load *load, struct yaml_node *into, struct yaml_node *from);

#endif
