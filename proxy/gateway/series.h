/* What a configuration's requests are counted into: the metrics' series of its routes and upstreams, by their places. */
#ifndef SAGEGATE_GATEWAY_SERIES_H
#define SAGEGATE_GATEWAY_SERIES_H

#include "config/config.h"
#include "gateway/outcome.h"
#include "observe/metrics.h"

/* One of outcome.def counts under two faults: a model's error is the caller's where the model said 4xx. */
enum { SERIES_MODEL_ERROR_OF_CALLER = OUTCOMES, SERIES_OUTCOMES };

struct series {
    struct metrics_route **routes;  /* by place in the configuration */
    struct metrics_route *no_route; /* for requests that none of them took */
    struct metrics_upstream **upstreams;
};

/* The metrics of the process, with the outcomes above; metrics_destroy. */
struct metrics *series_create_metrics(unsigned workers);

/* On the main thread. Series of names that an earlier configuration had go on. */
void series_open(struct series *series, struct metrics *metrics, const struct config *config);
void series_dispose(struct series *series); /* takes one that is all zero */

#endif
