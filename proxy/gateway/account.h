/* The account of an exchange: its times, and its line in the access log. Reads the exchange, changes nothing. */
#ifndef SAGEGATE_GATEWAY_ACCOUNT_H
#define SAGEGATE_GATEWAY_ACCOUNT_H

#include "gateway/exchange.h"

/* Microseconds by phase, -1 for those not reached. */
void account_times(const struct exchange *ex, int64_t times[ACCESS_TIMES]);
/* Hands the record to the access log; once, at the end. */
void account_write(const struct exchange *ex);

#endif
