/* YAML to a small tree of nodes with their positions. Does not interpret keys.
 *
 * A deliberate subset of YAML 1.1: one document; maps with unique scalar keys; lists; scalars.
 * Anchors, aliases and tags are rejected. `${env.NAME}` and `${env.NAME:-default}` are replaced
 * in scalars (not in keys) as they are read. File size, depth and number of nodes are bounded. */
#ifndef SAGEGATE_CONFIG_YAML_H
#define SAGEGATE_CONFIG_YAML_H

#include "base/check.h"
#include "base/problem.h"
#include "config/config.h"

enum {
    YAML_FILE_BYTES_MAX = 1024 * 1024,
    YAML_DEPTH_MAX = 16,
    YAML_NODES_MAX = 200000, /* of all files together */
};

enum yaml_kind { YAML_SCALAR, YAML_LIST, YAML_MAP };

struct yaml_position {
    struct span file;
    unsigned line, column; /* from 1; 0: a flag, not a file */
};

struct yaml_node {
    enum yaml_kind kind;
    struct yaml_position at;
    struct span text; /* of a scalar, environment replaced; a dollar is still written $$ */
    bool plain;  /* written without quotes, or from the environment: may be a number or boolean */
    bool null;   /* an unquoted null, ~ or nothing at all */
    bool opaque; /* contains a reference to an unknown environment (check --no-env) */
    bool bad;    /* a problem was reported; readers use the default */
    const union value *value;   /* verify.h: of a scalar that has one */
    struct yaml_entry *entries; /* of a list or map, in the order of the file */
    struct yaml_entry **end;
    size_t entry_count;
    struct yaml_node *parent; /* NULL: the root */
    struct span key;          /* in the parent map; SPAN_NONE in a list */
    size_t index;             /* in the parent list */
};

struct yaml_entry {
    struct yaml_entry *next;
    struct span key; /* SPAN_NONE in a list */
    struct yaml_position key_at;
    struct yaml_node *node;
};

/* The context of a load; all nodes live in arena. */
struct yaml_load {
    struct arena *arena;
    struct problem_list *problems;
    const struct config_options *options;
    size_t nodes; /* made so far */
};

/* Parses a text; an empty one is an empty map. Reports problems. Returns NULL if the text is not in
 * this subset; if only scalars are invalid, marks them bad and returns the tree. */
MUST_USE struct yaml_node *yaml_parse(struct yaml_load *load, struct span file, struct span text);

/* Builds a tree by hand, for flags and for merging. */
struct yaml_node *yaml_make(struct yaml_load *load, enum yaml_kind kind, struct yaml_position at);
void yaml_append(struct yaml_load *load, struct yaml_node *parent, struct span key,
                 struct yaml_position key_at, struct yaml_node *node);

/* The first entry of a list or map; NULL for NULL. */
static inline struct yaml_entry *yaml_entries(const struct yaml_node *node)
{
    return node == NULL ? NULL : node->entries;
}

/* The entry of a map; NULL if there is none, or if map is NULL or not a map. */
struct yaml_entry *yaml_find_entry(const struct yaml_node *map, struct span key);
struct yaml_node *yaml_find(const struct yaml_node *map, struct span key);

/* "routes[2].match.path", in arena; "" for the root. */
struct span yaml_path(const struct yaml_node *node, struct arena *arena);

/* Reports a problem with a node, as "PATH: ..."; an error marks the node bad. */
void yaml_error(struct yaml_load *load, struct yaml_node *node, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* Reports it at the position of its key; does not mark the node. */
void yaml_error_key(struct yaml_load *load, struct yaml_position at, const struct yaml_node *node,
                    const char *format, ...) __attribute__((format(printf, 4, 5)));
void yaml_warn(struct yaml_load *load, const struct yaml_node *node, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#endif
