/* Functions shared by several commands. */
#include "commands.h"

#include "gateway/route.h"

#include <stdlib.h>

struct span command_getenv(void *context, struct span name)
{
    char text[256];
    (void)context;
    if (name.len >= sizeof(text))
        return SPAN_NONE;
    memcpy(text, name.at, name.len);
    text[name.len] = '\0';
    return span_from(getenv(text));
}

struct config *command_load_config(struct span file, const struct config_options *options,
                                   bool warnings)
{
    struct problem_list problems;
    problem_list_init(&problems);
    struct config *config = config_load(file.at, options, &problems);
    if (config != NULL && warnings)
        route_warn_shadowed(config, &problems);
    if (config == NULL || warnings)
        problem_print_all(&problems, stderr);
    problem_list_dispose(&problems);
    return config;
}
