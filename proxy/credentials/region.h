/* The region if neither the configuration nor the environment names one: the profile's or, for
 * `region: imds`, the instance's. For config_options.find_region. */
#ifndef SAGEGATE_CREDENTIALS_REGION_H
#define SAGEGATE_CREDENTIALS_REGION_H

#include "config/config.h"
#include "credentials/credential_service.h"

/* Asks the instance on the service's thread, and waits. */
struct span region_find(struct credential_service *service, config_getenv getenv,
                        void *getenv_context, const struct config_credentials *credentials,
                        bool from_instance, struct arena *arena, struct span *fault);

/* The same without the network: SPAN_NONE, and no fault, for the instance's region. */
struct span region_find_in_files(config_getenv getenv, void *getenv_context,
                                 const struct config_credentials *credentials, bool from_instance,
                                 struct arena *arena, struct span *fault);

#endif
