/* An exchange: one request of a caller from its head to its access line; the state machine of the
 * request path.
 *
 * Plans the request, gets it admitted, holds its body, makes attempts upstream and passes the
 * response back. It consists of parts (plan, admission ticket, body, attempt, response, timing)
 * that only their own files change; exchange.c sets the state. */
#ifndef SAGEGATE_GATEWAY_EXCHANGE_H
#define SAGEGATE_GATEWAY_EXCHANGE_H

#include "gateway/worker.h"

/* Serves the requests of the workers' downstream connections; each request is an exchange. */
extern const struct downstream_service exchange_service;

/* Frees the memory kept for the next exchanges when the worker ends. */
void exchange_destroy_spares(struct worker *worker);

#endif
