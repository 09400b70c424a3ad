// links: net gateway
/* Retry decisions: one row for each class, plan and history. */
#include "gateway/retry.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static const struct row {
    enum retry_class class;
    bool tls;
    struct retry_history history;
    enum retry_decision decision;
} rows[] = {
    {RETRY_NONE, true, {1, false}, RETRY_PASS_ON},
    {RETRY_NONE, true, {0, false}, RETRY_PASS_ON},
    {RETRY_STALE, true, {0, false}, RETRY_AGAIN}, /* closed before anything was sent */
    {RETRY_STALE, true, {1, false}, RETRY_AGAIN},
    {RETRY_STALE, false, {1, false}, RETRY_AGAIN},
    {RETRY_STALE, true, {2, false}, RETRY_PASS_ON},
    {RETRY_STALE, true, {2, true}, RETRY_PASS_ON}, /* the renewed attempt was the second */
    {RETRY_CREDENTIALS, true, {1, false}, RETRY_RENEW},
    {RETRY_CREDENTIALS, false, {1, false}, RETRY_RENEW},
    {RETRY_CREDENTIALS, true, {2, false}, RETRY_PASS_ON}, /* the first was stale */
    {RETRY_CREDENTIALS, true, {1, true}, RETRY_PASS_ON},
    {RETRY_CREDENTIALS, true, {2, true}, RETRY_PASS_ON},
    {RETRY_CLOCK, true, {1, false}, RETRY_RENEW},
    {RETRY_CLOCK, false, {1, false}, RETRY_PASS_ON}, /* plaintext: anyone could have sent that
                                                      * Date */
    {RETRY_CLOCK, true, {2, false}, RETRY_PASS_ON},
    {RETRY_CLOCK, true, {1, true}, RETRY_PASS_ON},
};

static void decision_table(void **state)
{
    (void)state;
    for (size_t i = 0; i != sizeof(rows) / sizeof(rows[0]); ++i) {
        const struct row *row = &rows[i];
        const struct retry_plan plan = {row->tls};
        assert_int_equal(retry_decide(row->class, &plan, &row->history), row->decision);
    }
}

/* A request is sent a bounded number of times in every case. */
static void attempts_are_bounded(void **state)
{
    (void)state;
    for (enum retry_class class = RETRY_NONE; class <= RETRY_CLOCK; ++class) {
        struct retry_history history = {1, false};
        const struct retry_plan plan = {true};
        for (;;) {
            enum retry_decision decision = retry_decide(class, &plan, &history);
            if (decision == RETRY_PASS_ON)
                break;
            ++history.attempts;
            history.renewed |= decision == RETRY_RENEW;
            assert_true(history.attempts <= RETRY_ATTEMPTS_MAX);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(decision_table),
        cmocka_unit_test(attempts_are_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
