/* Computes the times. */
#include "credentials/refresh.h"

enum { MINUTE_S = 60, BACKOFF_LEAST_MS = 100, UNCHANGED_MAX_S = 60, LEAST_WAIT_MS = 100 };

static int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

struct wall_time refresh_due(struct wall_time now, struct wall_time expires, uint32_t chance)
{
    int64_t life = expires.us - now.us;
    int64_t lead = least(60LL * MINUTE_S * 1000000, life / 6);
    if (lead < 5LL * MINUTE_S * 1000000)
        lead = 5LL * MINUTE_S * 1000000;
    if (lead > life / 2)
        lead = life / 2;
    /* lead * (0.9 to 1.1) */
    lead = lead / 10 * 9 + (int64_t)((double)lead / 5 * ((double)chance / UINT32_MAX));
    struct wall_time due = {expires.us - lead};
    struct wall_time soonest = {now.us + LEAST_WAIT_MS * 1000};
    return due.us > soonest.us ? due : soonest;
}

int64_t refresh_backoff_ms(unsigned failures, uint32_t chance)
{
    unsigned doublings = failures == 0 ? 0 : failures - 1;
    int64_t most =
        doublings > 6 ? REFRESH_BACKOFF_MAX_MS : least(1000LL << doublings, REFRESH_BACKOFF_MAX_MS);
    int64_t ms = (int64_t)((double)most * ((double)chance / UINT32_MAX));
    return ms > BACKOFF_LEAST_MS ? ms : BACKOFF_LEAST_MS;
}

struct wall_time refresh_due_unchanged(struct wall_time now, struct wall_time expires)
{
    int64_t wait = (expires.us - now.us) / 4;
    if (wait > UNCHANGED_MAX_S * 1000000LL)
        wait = UNCHANGED_MAX_S * 1000000LL;
    if (wait < 1000000)
        wait = 1000000;
    return (struct wall_time){now.us + wait};
}
