/* The region where neither the configuration nor the environment names one: the profile's, or, asked for by `region: imds`,
 * the instance's. Asks while the configuration is loaded, before there is a gateway: it waits. */
#ifndef SAGEGATE_CREDENTIALS_REGION_H
#define SAGEGATE_CREDENTIALS_REGION_H

#include "config/config.h"

/* config_options.find_region over the environment `getenv`. */
struct span region_find(config_getenv getenv, void *getenv_context,
                        const struct config_credentials *credentials, bool from_instance,
                        struct arena *arena, struct span *fault);

/* The same without the network: of the instance's region it says neither what it is nor that it is not. */
struct span region_find_in_files(config_getenv getenv, void *getenv_context,
                                 const struct config_credentials *credentials, bool from_instance,
                                 struct arena *arena, struct span *fault);

#endif
