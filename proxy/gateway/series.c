/* Opening the series of a configuration. */
#include "gateway/series.h"

#include <stdlib.h>

struct metrics *series_create_metrics(unsigned workers)
{
    static struct metrics_outcome outcomes[SERIES_OUTCOMES];
    for (size_t i = 0; i != OUTCOMES; ++i) {
        const struct outcome_info *info = outcome_info((enum outcome)i);
        outcomes[i] = (struct metrics_outcome){info->token, outcome_fault_name(info->fault)};
    }
    outcomes[SERIES_MODEL_ERROR_OF_CALLER] = (struct metrics_outcome){
        outcome_info(OUTCOME_MODEL_ERROR)->token, outcome_fault_name(FAULT_CALLER)};
    return metrics_create(&(struct metrics_options){
        .workers = workers, .outcomes = outcomes, .outcome_count = SERIES_OUTCOMES});
}

void series_open(struct series *series, struct metrics *metrics, const struct config *config)
{
    series->routes = calloc(config->route_count + 1, sizeof(struct metrics_route *));
    series->upstreams = calloc(config->upstream_count + 1, sizeof(struct metrics_upstream *));
    CHECK(series->routes != NULL && series->upstreams != NULL);
    series->no_route = metrics_open_route(metrics, SPAN(METRICS_NO_ROUTE));
    for (size_t i = 0; i != config->route_count; ++i)
        series->routes[i] = metrics_open_route(metrics, config->routes[i].name);
    for (size_t i = 0; i != config->upstream_count; ++i)
        series->upstreams[i] = metrics_open_upstream(metrics, config->upstreams[i].name);
}

void series_dispose(struct series *series)
{
    free(series->routes);
    free(series->upstreams);
    *series = (struct series){.routes = NULL};
}
