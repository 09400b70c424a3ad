/* What an exchange waits for, until when, and how it ends if that does not come. Pure: reads the exchange, changes nothing.
 *
 * One timer an exchange: whoever begins a phase arms it for that phase's limit at the latest (exchange_arm_by), and when it
 * fires, this tells what is really due. */
#ifndef SAGEGATE_GATEWAY_DEADLINE_H
#define SAGEGATE_GATEWAY_DEADLINE_H

#include "gateway/exchange.h"

struct mono_time deadline_of(const struct exchange *ex, enum outcome *outcome);

#endif
