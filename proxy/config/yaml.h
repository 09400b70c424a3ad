/* YAML to a small tree of nodes that know where they stand. It knows nothing of what the keys
 * mean.
 *
 * A deliberate subset of YAML 1.1: one document; maps with scalar keys, each once; lists;
 * scalars. Anchors, aliases and tags are refused. `${env.NAME}` and `${env.NAME:-default}` are
 * replaced in scalars (not in keys) as they are read. Bounded: file size, depth, number of
 * nodes. */
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
    unsigned line, column; /* from 1; 0 where there is no file (a flag) */
};

struct yaml_node {
    enum yaml_kind kind;
    struct yaml_position at;
    struct span text; /* of a scalar, environment replaced; a dollar is still written $$ */
    bool plain;  /* written without quotes, or from the environment: may be a number or boolean */
    bool null;   /* an unquoted null, ~ or nothing at all */
    bool opaque; /* holds a reference to an environment that is not there (check --no-env) */
    bool bad;    /* a problem was told; readers take the default */
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

/* What a load carries along; all nodes live in arena. */
struct yaml_load {
    struct arena *arena;
    struct problem_list *problems;
    const struct config_options *options;
    size_t nodes; /* made so far */
};

/* Parses a text. NULL, with its problems told, where it is no YAML of this subset; an empty one
 * is an empty map. Where only scalars are at fault they are marked bad and the tree is given. */
MUST_USE struct yaml_node *yaml_parse(struct yaml_load *load, struct span file, struct span text);

/* Building by hand, for flags and for merging. */
struct yaml_node *yaml_make(struct yaml_load *load, enum yaml_kind kind, struct yaml_position at);
void yaml_append(struct yaml_load *load, struct yaml_node *parent, struct span key,
                 struct yaml_position key_at, struct yaml_node *node);

/* The entry of a map, NULL where there is none (or map is NULL or no map). */
struct yaml_entry *yaml_find_entry(const struct yaml_node *map, struct span key);
struct yaml_node *yaml_find(const struct yaml_node *map, struct span key);

/* "routes[2].match.path", in arena; "" for the root. */
struct span yaml_path(const struct yaml_node *node, struct arena *arena);

/* Tells a problem of a node, as "PATH: ..."; an error marks it bad. */
void yaml_error(struct yaml_load *load, struct yaml_node *node, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void yaml_warn(struct yaml_load *load, const struct yaml_node *node, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#endif
