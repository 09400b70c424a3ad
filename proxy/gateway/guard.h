/* The guard: may this caller use the route at all, by its Host, its Origin and who it is. Pure.
 *
 * A web page in a browser on this host can reach a listener on loopback, by its address or by a name of its own that it
 * lets resolve there. It cannot help sending Origin with a POST (Fetch standard, "origin header"), and no other program
 * has a reason to: so a request with an Origin is refused unless the route's `guards.origins` takes it. */
#ifndef SAGEGATE_GATEWAY_GUARD_H
#define SAGEGATE_GATEWAY_GUARD_H

#include "config/config.h"
#include "gateway/outcome.h"
#include "gateway/remote.h"
#include "net/http1.h"

/* OUTCOME_OK, OUTCOME_FORBIDDEN_PEER or OUTCOME_FORBIDDEN_HOST, then with *message, in arena. remote NULL: not known, and
 * `guards.peers` is passed over. */
enum outcome guard_check(const struct config_route *route, const struct http1_request *request,
                         const struct remote *remote, struct arena *arena, struct span *message);

#endif
