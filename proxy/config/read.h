/* The parts of the configuration, read from a verified tree into struct config: one file a part.
 * Each tells what is wrong between keys, and goes on. */
#ifndef SAGEGATE_CONFIG_READ_H
#define SAGEGATE_CONFIG_READ_H

#include "config/pattern.h"
#include "config/reader.h"

/* read_server.c: listeners, process, limits, pool, drain, logs. */
void read_server(struct reader *reader, const struct yaml_node *root);

/* read_credentials.c: credentials and identities. */
void read_credentials(struct reader *reader, const struct yaml_node *root);
/* The place of the identity that the node names; fallback where it is NULL or names none, which is
 * told. */
size_t read_identity_name(struct reader *reader, struct yaml_node *node, size_t fallback);

/* read_identities.c: once the routes are known, the sessions of their own that they ask for. */
void read_identities_settle(struct reader *reader, const struct yaml_node *root);

/* read_upstreams.c. After read_upstreams all have names and options; read_upstreams_settle gives
 * regions and URLs, once the routes are known, for an upstream that none uses needs no region. */
void read_upstreams(struct reader *reader, struct yaml_node *root);
void read_upstreams_settle(struct reader *reader, struct yaml_node *root);

/* Tells a fault of a variable of the environment. */
void read_tell_variable(struct reader *reader, struct span name, struct span fault);

/* read_proxy.c: the key `proxy`, and once URLs are known HTTPS_PROXY and NO_PROXY. */
void read_proxy(struct reader *reader, const struct yaml_node *map,
                struct config_upstream *upstream);
void read_proxy_variables(struct reader *reader, struct config_upstream *upstream);

/* read_routes.c: defaults and routes. */
void read_routes(struct reader *reader, struct yaml_node *root);

/* What the readers of policies need to know of a route; of `defaults` too. */
struct read_scope {
    uint32_t operations;           /* bits 1u << enum sagemaker_operation; of defaults all */
    bool all;                      /* a parameter must be had by each of them, not by one */
    uint32_t lacks;                /* bits of parameters that the route's operation has not */
    struct span word;              /* that operation, as it is written */
    const struct pattern *pattern; /* NULL: none, or at fault */
    struct span route;             /* its name; empty for defaults */
};

/* read_policies.c: the parameters of `defaults` or of a route. */
struct read_policies {
    struct config_policy policies[SAGEMAKER_PARAMETERS];
    struct yaml_node
        *nodes[SAGEMAKER_PARAMETERS]; /* where each is said; NULL: it is not, or built in */
};
/* True where one of the scope's operations has that parameter. */
bool read_policies_has(const struct read_scope *scope, enum sagemaker_parameter parameter);
/* Tells a parameter that the scope's one operation lacks (several together have them all). */
void read_policies_tell_lacking(struct reader *reader, struct yaml_node *node,
                                const struct read_scope *scope, enum sagemaker_parameter parameter);
/* Reads the map `parameters` (NULL: absent) into a zeroed `out`. A parameter that no operation
 * of the scope has is told; one that is null has a node and a policy that is not set. */
void read_policies(struct reader *reader, const struct yaml_node *parameters,
                   const struct read_scope *scope, struct read_policies *out);
/* The route's policies: its own in place of the inherited ones, and none that its operations
 * lack. Tells inherited references to captures that the path lacks, and requirements that nobody
 * can meet. */
void read_policies_merge(struct reader *reader, const struct read_policies *inherited,
                         const struct read_policies *own, const struct read_scope *scope,
                         struct config_route *route);

/* read_guards.c: the guards of `defaults` or of a route, over those that it inherits. */
void read_guards(struct reader *reader, const struct yaml_node *map, struct config_guards *guards);

/* read_watch.c: the members of a JSON body that the route needs, once its templates are there; map is told of too many. */
void read_watched(struct reader *reader, struct yaml_node *map, struct config_route *route);
/* Does the template hold ${json.X}? t may be NULL. */
bool read_watches_body(const struct template *t);

/* read_template.c: a template of a verified node, in the configuration's arena; NULL for NULL. */
const struct template *read_template(struct reader *reader, const struct yaml_node *node);
/* The text that a template always gives, SPAN_NONE where that depends on the request. ${route}
 * counts as text. */
struct span read_template_literal(struct reader *reader, const struct template *template,
                                  struct span route);
/* The name of a ${path.X} that the pattern lacks, SPAN_NONE if none. */
struct span read_template_missing_capture(const struct template *template,
                                          const struct pattern *pattern, bool fallbacks_too);

#endif
