/* Learns and drops the clock's offset. */
#include "base/skew.h"

static int64_t magnitude(int64_t us)
{
    return us < 0 ? -us : us;
}

bool skew_learn(struct skew *skew, struct wall_time date, struct wall_time machine)
{
    int64_t offset = date.us - machine.us;
    int64_t known = atomic_load(&skew->offset_us);
    if (date.us == 0)
        return false;
    if (magnitude(offset) < SKEW_LEAST_S * 1000000LL)
        offset = 0;
    if (magnitude(offset - known) < SKEW_CORRECTED_S * 1000000LL)
        return false;
    atomic_store(&skew->offset_us, offset);
    return true;
}

bool skew_check(struct skew *skew, struct wall_time date, struct wall_time machine)
{
    if (date.us == 0 || atomic_load(&skew->offset_us) == 0 ||
        magnitude(date.us - machine.us) >= SKEW_CORRECTED_S * 1000000LL)
        return false;
    return atomic_exchange(&skew->offset_us, 0) != 0;
}

bool skew_forget(struct skew *skew)
{
    return atomic_exchange(&skew->offset_us, 0) != 0;
}
