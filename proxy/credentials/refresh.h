/* When credentials are fetched again. Pure: time and chance are passed in. */
#ifndef SAGEGATE_CREDENTIALS_REFRESH_H
#define SAGEGATE_CREDENTIALS_REFRESH_H

#include "base/clock.h"

enum {
    REFRESH_BACKOFF_MAX_MS = 60 * 1000,
    REFRESH_UNEXPIRING_MS = 15 * 60 * 1000, /* of a remote set that names no end */
};

/* When a set that was got at `now` and ends at `expires` is to be replaced: ahead of its end by
 * max(5 min, min(60 min, a sixth of its life)), of a short one by half of its life, give or take a
 * tenth by chance (0 to UINT32_MAX). At least 100 ms after `now`: a source whose sets end at once
 * is not hammered. */
struct wall_time refresh_due(struct wall_time now, struct wall_time expires, uint32_t chance);

/* How long to wait after the given number of failures in a row (from 1): by chance up to 1 s, 2 s,
 * 4 s ... 60 s, at least 100 ms. */
int64_t refresh_backoff_ms(unsigned failures, uint32_t chance);

/* The source gave again what is in force: the next try, well before its end and no hammering. */
struct wall_time refresh_due_unchanged(struct wall_time now, struct wall_time expires);

#endif
