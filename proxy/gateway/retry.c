/* The rules for retries. */
#include "gateway/retry.h"

enum retry_decision retry_decide(enum retry_class class, const struct retry_plan *plan,
                                 const struct retry_history *history)
{
    if (history->attempts >= RETRY_ATTEMPTS_MAX)
        return RETRY_PASS_ON;
    switch (class) {
    case RETRY_STALE:
        return RETRY_AGAIN;
    case RETRY_CREDENTIALS:
        return history->renewed ? RETRY_PASS_ON : RETRY_RENEW;
    case RETRY_CLOCK:
        return history->renewed || !plan->tls ? RETRY_PASS_ON : RETRY_RENEW;
    case RETRY_NONE:
        break;
    }
    return RETRY_PASS_ON;
}
