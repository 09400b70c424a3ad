/* Writes the page of GET /metrics: the series' counters, and values of the process read on demand.
 * On the main thread. */
#ifndef SAGEGATE_GATEWAY_SCRAPE_H
#define SAGEGATE_GATEWAY_SCRAPE_H

#include "gateway/gateway.h"

/* Appends the page. Omits values that are unavailable, for example if /proc is not mounted. */
void scrape_write(struct gateway *gateway, struct buffer *out);

#endif
