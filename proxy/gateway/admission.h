/* Whether a request may go on now, has to wait for its turn, or is refused. The counters are gateway/admit.h's. */
#ifndef SAGEGATE_GATEWAY_ADMISSION_H
#define SAGEGATE_GATEWAY_ADMISSION_H

#include "gateway/exchange.h"

/* The request is filled in: its body may be read (EXCHANGE_BODY), it waits (EXCHANGE_QUEUED), or it is refused, which may
 * end it. */
void admission_ask(struct exchange *ex);
/* Asks again for those that wait on this worker, in their order. */
void admission_ask_again(struct worker *worker);
/* It waits no more. Takes one that does not wait. */
void admission_leave(struct exchange *ex);
/* What was admitted is given back, and whoever waits is told. Takes one that was not. */
void admission_release(struct exchange *ex);

/* Its body cannot be held: ends the exchange with an answer. */
void admission_fail_body(struct exchange *ex, enum body_result result);

#endif
