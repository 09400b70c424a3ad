/* Readers of the parts of the configuration that the table cannot express: those that refer to each
 * other, derive from each other or depend on the environment. Each reader takes a verified tree,
 * reports conflicts between keys, and continues.
 *
 * A bad node, whose problem was already reported, counts as absent. An opaque node has no value or
 * is its own text. */
#ifndef SAGEGATE_CONFIG_READER_H
#define SAGEGATE_CONFIG_READER_H

#include "config/record.h"

struct reader {
    struct yaml_load *load;
    struct config *config;              /* being filled; what it keeps is in its arena */
    struct config_identity *identities; /* config->identities while they are filled */
    struct config_upstream *upstreams;  /* config->upstreams likewise */
    struct config_route *routes;        /* config->routes likewise */
};

/* read_listeners.c: listeners, admin and health. */
void read_listeners(struct reader *reader, const struct yaml_node *root);

/* read_identities.c: credentials and identities. */
void read_identities(struct reader *reader, const struct yaml_node *root);
/* The index of the identity that the node names; fallback if the node is NULL or if the name is
 * unknown, which is reported as an error. */
size_t read_identities_find(struct reader *reader, struct yaml_node *node, size_t fallback);
/* Once the routes are known: gives each route whose identity's session name contains ${route} an
 * identity of its own. */
void read_identities_derive(struct reader *reader, const struct yaml_node *root);

/* read_upstreams.c: upstreams with their names and options. */
void read_upstreams(struct reader *reader, struct yaml_node *root);
/* The upstream that the node names, likewise. */
const struct config_upstream *read_upstreams_find(struct reader *reader, struct yaml_node *node,
                                                  const struct config_upstream *fallback);
/* Once the routes are known, because an upstream that none uses needs no region: regions, URLs and
 * proxies. */
void read_upstreams_settle(struct reader *reader, struct yaml_node *root);

/* read_routes.c: defaults and routes, with their parameters. */
void read_routes(struct reader *reader, struct yaml_node *root);

#endif
