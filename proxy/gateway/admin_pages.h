/* What the admin and health listeners answer. The table of pages stands in gateway/admin.h. */
#ifndef SAGEGATE_GATEWAY_ADMIN_PAGES_H
#define SAGEGATE_GATEWAY_ADMIN_PAGES_H

#include "gateway/admin.h"

struct st_h2o_req_t;
struct metrics_page;

/* All zero but for options at first. */
struct admin_pages {
    const struct admin_options *options;  /* the admin's */
    struct metrics_page *newest, *oldest; /* of metrics, that are under way */
    unsigned under_way;
};

/* Answers one request, before it returns. */
void admin_pages_answer(struct admin_pages *pages, bool is_health, struct st_h2o_req_t *req);

#endif
