/* What `sagegate explain` has found out about one request, between the part that asks and those that print. */
#ifndef SAGEGATE_COMMAND_EXPLAIN_H
#define SAGEGATE_COMMAND_EXPLAIN_H

#include "config/config.h"
#include "gateway/fill.h"

struct explanation {
    struct arena arena;
    struct config *config;
    struct route_table *table;
    struct span head; /* the request as it would come */
    struct http1_request request;
    bool parsed; /* request is whole */
    bool routed; /* match is */
    bool filled; /* fill is, even where it refuses */
    struct route_match match;
    struct fill_result fill;
    enum outcome outcome; /* OUTCOME_OK: it would be sent */
    struct span message;  /* why not; SPAN_NONE with OUTCOME_OK */
};

/* Whether a value of the route's is made anew for each request: a uuid, a trace id. */
bool command_explain_has_ids(const struct explanation *e);
/* The upstream's URL, "https://runtime.sagemaker.us-east-1.amazonaws.com/endpoints/e/invocations". */
struct span command_explain_url(struct explanation *e);
/* Why route `index` does not take the request: "other host", for one line. */
const char *command_explain_verdict(const struct explanation *e, size_t index);

void command_explain_print_text(struct explanation *e);
void command_explain_print_json(struct explanation *e);

#endif
