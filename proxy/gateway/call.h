/* The upstream half of an exchange. Everything here goes through the exchange's one way out. */
#ifndef SAGEGATE_GATEWAY_CALL_H
#define SAGEGATE_GATEWAY_CALL_H

#include "gateway/exchange.h"

/* The request is whole and admitted: connects, signs, sends, judges and passes the answer on. May end the exchange. */
void call_start(struct exchange *ex);

#endif
