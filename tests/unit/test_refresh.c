/* When credentials are refreshed, and how a wrong clock is detected, over the whole range of
 * times and jitter. */
#include "base/skew.h"
#include "credentials/refresh.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

enum { MINUTE = 60 };

static int64_t due_before_end_s(int64_t life_s, uint32_t chance)
{
    const struct wall_time now = {1000000000000000}, end = {now.us + life_s * 1000000};
    struct wall_time due = refresh_due(now, end, chance);
    assert_true(due.us > now.us && (due.us <= end.us || due.us == now.us + 100000));
    return (end.us - due.us) / 1000000;
}

static void set_is_refreshed_before_expiration(void **state)
{
    static const struct {
        int64_t life_s, lead_s;
    } rows[] = {{12 * 60 * MINUTE, 60 * MINUTE},
                {6 * 60 * MINUTE, 60 * MINUTE},
                {60 * MINUTE, 10 * MINUTE},
                {15 * MINUTE, 5 * MINUTE},
                {8 * MINUTE, 4 * MINUTE},
                {10, 5},
                {2, 1}};
    (void)state;
    for (size_t i = 0; i != sizeof(rows) / sizeof(rows[0]); ++i)
        for (uint64_t chance = 0; chance <= UINT32_MAX; chance += UINT32_MAX / 8) {
            int64_t lead = due_before_end_s(rows[i].life_s, (uint32_t)chance);
            assert_true(lead >= rows[i].lead_s * 9 / 10 - 1 &&
                        lead <= rows[i].lead_s * 11 / 10 + 1);
        }
    assert_int_equal(due_before_end_s(0, 0), 0);
    assert_int_equal(due_before_end_s(-3600, UINT32_MAX), -3600); /* no tight loop */
}

static void failures_back_off(void **state)
{
    (void)state;
    assert_int_equal(refresh_backoff_ms(1, 0), 100);
    assert_int_equal(refresh_backoff_ms(1, UINT32_MAX), 1000);
    assert_int_equal(refresh_backoff_ms(2, UINT32_MAX), 2000);
    assert_int_equal(refresh_backoff_ms(6, UINT32_MAX), 32000);
    assert_int_equal(refresh_backoff_ms(7, UINT32_MAX), 60000);
    assert_int_equal(refresh_backoff_ms(1000000, UINT32_MAX), 60000);
    assert_in_range(refresh_backoff_ms(4, UINT32_MAX / 2), 3990, 4010);
}

static void unchanged_set_backs_off(void **state)
{
    const struct wall_time now = {1000000000000000};
    (void)state;
    assert_int_equal(
        refresh_due_unchanged(now, (struct wall_time){now.us + 3600000000}).us - now.us, 60000000);
    assert_int_equal(refresh_due_unchanged(now, (struct wall_time){now.us + 40000000}).us - now.us,
                     10000000);
    assert_int_equal(refresh_due_unchanged(now, now).us - now.us, 1000000);
}

static struct wall_time at(int64_t s)
{
    return (struct wall_time){(1000000000 + s) * 1000000};
}

static void offset_is_learned_from_four_minutes(void **state)
{
    struct skew skew = {0};
    (void)state;
    assert_false(skew_learn(&skew, at(239), at(0)));
    assert_false(skew_learn(&skew, at(-239), at(0)));
    assert_false(skew_learn(&skew, (struct wall_time){0}, at(0)));
    assert_int_equal(skew_offset_s(&skew), 0);
    assert_true(skew_learn(&skew, at(-240), at(0)));
    assert_int_equal(skew_offset_s(&skew), -240);
    assert_int_equal(skew_correct(&skew, at(0)).us, at(-240).us);
    assert_false(skew_learn(&skew, at(-250), at(0))); /* the same offset: signing again is no use */
    assert_true(skew_learn(&skew, at(3600), at(0)));
    assert_int_equal(skew_offset_s(&skew), 3600);
}

static void corrected_clock_is_trusted_again(void **state)
{
    struct skew skew = {0};
    (void)state;
    assert_false(skew_check(&skew, at(0), at(0)));
    assert_true(skew_learn(&skew, at(3600), at(0)));
    assert_false(skew_check(&skew, at(3600), at(0)));
    assert_false(skew_check(&skew, (struct wall_time){0}, at(0)));
    assert_true(skew_check(&skew, at(59), at(0)));
    assert_int_equal(skew_offset_s(&skew), 0);
    assert_true(skew_learn(&skew, at(3600), at(0)));
    assert_true(skew_learn(&skew, at(1), at(0))); /* a rejection can report it too */
    assert_int_equal(skew_offset_s(&skew), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(set_is_refreshed_before_expiration),
        cmocka_unit_test(failures_back_off),
        cmocka_unit_test(unchanged_set_backs_off),
        cmocka_unit_test(offset_is_learned_from_four_minutes),
        cmocka_unit_test(corrected_clock_is_trusted_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
