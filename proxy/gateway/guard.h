/* The guards of a route: whether a client may use it, by its address, its Host and its Origin.
 * Pure.
 *
 * A web page in a browser on this host can reach a listener on loopback, by address or by a name of
 * its own that it resolves to loopback. Browsers add Origin to POST requests (Fetch standard,
 * "origin header"), and other programs have no reason to. Therefore a request with an Origin is
 * rejected unless the route's guards.origins allows it. */
#ifndef SAGEGATE_GATEWAY_GUARD_H
#define SAGEGATE_GATEWAY_GUARD_H

#include "config/config.h"
#include "gateway/outcome.h"
#include "gateway/remote.h"
#include "net/http1.h"

/* Returns OUTCOME_OK, or OUTCOME_FORBIDDEN_PEER or OUTCOME_FORBIDDEN_HOST with *message set, in
 * arena. remote: NULL if the client is unknown; guards.peers is not checked then. */
enum outcome guard_check(const struct config_route *route, const struct http1_request *request,
                         const struct remote *remote, struct arena *arena, struct span *message);

#endif
