/* The page of GET /metrics: what the series have counted, and what the rest of the process tells when it is asked. On the
 * main thread. */
#ifndef SAGEGATE_GATEWAY_SCRAPE_H
#define SAGEGATE_GATEWAY_SCRAPE_H

#include "gateway/worker.h"

/* Appends the page. What the system does not tell (/proc out of sight) is left out. */
void scrape_write(struct gateway *gateway, struct buffer *out);

#endif
