/* When to fetch credentials again. Pure: time and chance are passed in. */
#ifndef SAGEGATE_CREDENTIALS_REFRESH_H
#define SAGEGATE_CREDENTIALS_REFRESH_H

#include "base/clock.h"

enum {
    REFRESH_BACKOFF_MAX_MS = 60 * 1000,
    REFRESH_UNEXPIRING_MS = 15 * 60 * 1000, /* for a remote set without an expiration */
};

/* When to replace a set fetched at `now` that expires at `expires`: earlier than that by max(5 min,
 * min(60 min, a sixth of its life)), or by half of a short life, plus or minus a tenth by chance (0
 * to UINT32_MAX). At least 100 ms after `now`, so as not to hammer a source whose sets expire at
 * once. */
struct wall_time refresh_due(struct wall_time now, struct wall_time expires, uint32_t chance);

/* How long to wait after the given number of failures in a row (from 1): by chance up to 1 s, 2 s,
 * 4 s ... 60 s, at least 100 ms. */
int64_t refresh_backoff_ms(unsigned failures, uint32_t chance);

/* When to try again after a source returned the current set. */
struct wall_time refresh_due_unchanged(struct wall_time now, struct wall_time expires);

#endif
