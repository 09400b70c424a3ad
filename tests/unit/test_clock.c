/* Clocks and dates: compared with the C library's calendar, round trips, and invalid input. */
#include "base/clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <time.h>

#include <cmocka.h>

/* Compares with the C library's calendar, over days of four thousand years and the edges of a
 * day. */
static void test_dates_over_many_years(void **state)
{
    (void)state;
    for (int64_t day = -719162; day < 2932896; day += 97) { /* years 1 to 9999 */
        for (int i = 0; i != 3; ++i) {
            int64_t second = day * 86400 + (i == 0 ? 0 : i == 1 ? 86399 : (day * 7919) % 86400);
            time_t seconds = (time_t)second;
            struct tm tm;
            gmtime_r(&seconds, &tm);
            struct clock_date d = clock_date_of((struct wall_time){second * 1000000 + 123456});
            assert_int_equal(d.year, tm.tm_year + 1900);
            assert_int_equal(d.month, tm.tm_mon + 1);
            assert_int_equal(d.day, tm.tm_mday);
            assert_int_equal(d.hour, tm.tm_hour);
            assert_int_equal(d.minute, tm.tm_min);
            assert_int_equal(d.second, tm.tm_sec);
            assert_int_equal(d.microsecond, 123456);
            struct wall_time back;
            assert_true(clock_time_of(&d, &back));
            assert_int_equal(back.us, second * 1000000 + 123456);
        }
    }
}

/* Writes and reads each form for every day of sixty years. */
static void test_forms_round_trip(void **state)
{
    char basic[CLOCK_BASIC_SIZE], rfc3339[CLOCK_RFC3339_SIZE], http[CLOCK_HTTP_SIZE], expected[64];
    struct wall_time back;
    (void)state;
    for (int64_t day = 0; day != 60 * 366; ++day) {
        const struct wall_time t = {(day * 86400 + (day * 7919) % 86400) * 1000000};
        time_t seconds = (time_t)(t.us / 1000000);
        struct tm tm;
        gmtime_r(&seconds, &tm);
        clock_format_basic(t, basic);
        strftime(expected, sizeof(expected), "%Y%m%dT%H%M%SZ", &tm);
        assert_string_equal(basic, expected);
        assert_true(clock_parse_basic(span_from(basic), &back));
        assert_int_equal(back.us, t.us);
        clock_format_rfc3339((struct wall_time){t.us + 42}, rfc3339);
        strftime(expected, sizeof(expected), "%Y-%m-%dT%H:%M:%S.000042Z", &tm);
        assert_string_equal(rfc3339, expected);
        assert_true(clock_parse_rfc3339(span_from(rfc3339), &back));
        assert_int_equal(back.us, t.us + 42);
        clock_format_http(t, http);
        strftime(expected, sizeof(expected), "%a, %d %b %Y %H:%M:%S GMT", &tm);
        assert_string_equal(http, expected);
    }
    clock_format_http((struct wall_time){-1}, http);
    assert_string_equal(http, "Wed, 31 Dec 1969 23:59:59 GMT");
}

static void test_invalid_dates(void **state)
{
    static const char *const basics[] = {
        "",
        "20150830T123600",
        "20150830T123600Z ",
        " 20150830T123600Z",
        "20150830 123600Z",
        "20150830t123600Z",
        "20150830T123600z",
        "2015-08-30T12:36:00Z",
        "20150230T000000Z",
        "20150229T000000Z",
        "21000229T000000Z",
        "20151301T000000Z",
        "20150001T000000Z",
        "20150100T000000Z",
        "20150431T000000Z",
        "20150830T240000Z",
        "20150830T126000Z",
        "20150830T123660Z",
        "+0150830T123600Z",
        "20150830T12360-Z",
    };
    struct wall_time t = {7};
    (void)state;
    for (size_t i = 0; i != sizeof(basics) / sizeof(basics[0]); ++i)
        if (clock_parse_basic(span_from(basics[i]), &t))
            fail_msg("'%s' was accepted", basics[i]);
    assert_int_equal(t.us, 7);
    assert_true(clock_parse_basic(SPAN("20160229T000000Z"), &t));
    assert_true(clock_parse_basic(SPAN("20000229T000000Z"), &t));
}

static void test_rfc3339(void **state)
{
    static const struct {
        const char *text;
        int64_t us; /* -1: rejected */
    } cases[] = {
        {"1970-01-01T00:00:00Z", 0},
        {"1970-01-01t00:00:01z", 1000000},
        {"1970-01-01 00:00:01Z", 1000000},
        {"1970-01-01T00:00:00.5Z", 500000},
        {"1970-01-01T00:00:00.123456789Z", 123456},
        {"1970-01-01T01:00:00+01:00", 0},
        {"1970-01-01T00:00:00-00:30", 1800000000},
        {"2015-08-30T12:36:00Z", 1440938160000000},
        {"", -1},
        {"1970-01-01T00:00:00", -1},
        {"1970-01-01T00:00:00.Z", -1},
        {"1970-01-01T00:00:00.5", -1},
        {"1970-01-01T00:00:00Zx", -1},
        {"1970-01-01T00:00:00+0100", -1},
        {"1970-01-01T00:00:00+24:00", -1},
        {"1970-01-01T00:00:00+01:60", -1},
        {"1970-1-01T00:00:00Z", -1},
        {"1970-02-30T00:00:00Z", -1},
        {"1970-01-01T24:00:00Z", -1},
        {"19700101T000000Z", -1},
    };
    (void)state;
    for (size_t i = 0; i != sizeof(cases) / sizeof(cases[0]); ++i) {
        struct wall_time t = {-1};
        bool good = clock_parse_rfc3339(span_from(cases[i].text), &t);
        if (good != (cases[i].us != -1) || t.us != cases[i].us)
            fail_msg("'%s' gave %lld", cases[i].text, (long long)t.us);
    }
}

static void test_clocks_advance(void **state)
{
    struct mono_time first = clock_mono(), second = clock_mono();
    (void)state;
    assert_true(first.us > 0);
    assert_true(clock_us_between(first, second) >= 0);
    assert_int_equal(clock_us_between(first, clock_after_ms(first, 3)), 3000);
    assert_true(clock_wall().us > 1700000000000000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_dates_over_many_years), cmocka_unit_test(test_forms_round_trip),
        cmocka_unit_test(test_invalid_dates),         cmocka_unit_test(test_rfc3339),
        cmocka_unit_test(test_clocks_advance),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
