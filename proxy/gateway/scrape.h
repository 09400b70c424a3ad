/* The page of GET /metrics: what the series have counted, and what the process knows when it is
 * asked. On the main thread. */
#ifndef SAGEGATE_GATEWAY_SCRAPE_H
#define SAGEGATE_GATEWAY_SCRAPE_H

#include "gateway/gateway.h"

/* Appends the page. Leaves out what the system does not tell (/proc is not mounted). */
void scrape_write(struct gateway *gateway, struct buffer *out);

#endif
