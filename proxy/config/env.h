/* `${env.NAME}` and `${env.NAME:-default}` in the scalars of a configuration. Pure but for the
 * look-up that is passed in. */
#ifndef SAGEGATE_CONFIG_ENV_H
#define SAGEGATE_CONFIG_ENV_H

#include "base/check.h"
#include "config/config.h"

struct env_result {
    /* In arena; `$$` and all other references are left as they are, and a dollar that came from the
     * environment is written `$$`, so that later stages take it for what it is. */
    struct span text;
    bool replaced; /* there was a reference */
    /* One had neither value nor fallback, and options->getenv is NULL: a text for people alone. */
    bool opaque;
};

/* A variable that is set to nothing counts as set, but takes the fallback where there is one. On
 * failure *fault is a text for a person, in arena. */
MUST_USE bool env_replace(struct span text, const struct config_options *options,
                          struct arena *arena, struct env_result *out, struct span *fault);

/* `$$` becomes a dollar. False, with *at the index of it, where a lone dollar stands; *out is in arena. */
MUST_USE bool env_unescape(struct span text, struct arena *arena, struct span *out, size_t *at);

#endif
