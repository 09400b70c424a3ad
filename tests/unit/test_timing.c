// links: net gateway
/* Durations from time stamps: phases not reached, one attempt, two attempts, and the gateway's
 * share. */
#include "gateway/timing.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static struct mono_time at(int64_t ms)
{
    return (struct mono_time){1000000 + ms * 1000};
}

/* Opened at 0, waited for a slot from 1 to 6, body from 6 to 20 including 1 ms of hashing. */
static struct timing begun(void)
{
    struct timing timing = {.attempts = 0};
    timing_stamp(&timing, TIMING_OPENED, at(0));
    timing_stamp(&timing, TIMING_QUEUED, at(1));
    timing_stamp(&timing, TIMING_DEQUEUED, at(6));
    timing_stamp(&timing, TIMING_ADMITTED, at(6));
    timing_stamp(&timing, TIMING_ARRIVED, at(20));
    timing_end_body(&timing, at(21), 1000);
    return timing;
}

static void no_phase_reached(void **state)
{
    (void)state;
    int64_t times[ACCESS_TIMES];
    struct timing timing = {.attempts = 0};
    timing_stamp(&timing, TIMING_OPENED, at(0));
    timing_stamp(&timing, TIMING_OPENED, at(5)); /* the first one counts */
    timing_times(&timing, at(7), times);
    for (int i = 0; i != ACCESS_TIMES; ++i)
        assert_int_equal(times[i], i == ACCESS_TOTAL_US ? 7000 : -1);
    assert_int_equal(timing_overhead_us(&timing, at(7)), -1);
}

static void client_leaving_the_queue_has_waited(void **state)
{
    (void)state;
    int64_t times[ACCESS_TIMES];
    struct timing timing = {.attempts = 0};
    timing_stamp(&timing, TIMING_OPENED, at(0));
    timing_stamp(&timing, TIMING_QUEUED, at(1));
    timing_times(&timing, at(8), times);
    assert_int_equal(times[ACCESS_WAIT_US], 7000);
}

static void one_attempt(void **state)
{
    (void)state;
    int64_t times[ACCESS_TIMES];
    struct timing timing = begun();
    const struct upstream_request upstream = {.started = at(22),
                                              .connected = at(30),
                                              .ready = at(42),
                                              .send_started = at(43),
                                              .sent = at(44),
                                              .first_byte = at(60),
                                              .last_byte = at(70),
                                              .gap_max_us = 5000};
    timing_connect(&timing, &upstream);
    timing_send(&timing, 100, 200);
    timing_stamp(&timing, TIMING_HELD, at(71));
    timing_times(&timing, at(80), times);
    assert_int_equal(times[ACCESS_RECEIVE_US], 21000);
    assert_int_equal(times[ACCESS_WAIT_US], 5000);
    assert_int_equal(times[ACCESS_HASH_US], 1000);
    assert_int_equal(times[ACCESS_CREDENTIALS_US], 100);
    assert_int_equal(times[ACCESS_SIGN_US], 200);
    assert_int_equal(times[ACCESS_CONNECT_US], 8000);
    assert_int_equal(times[ACCESS_TLS_US], 12000);
    assert_int_equal(times[ACCESS_SEND_US], 1000);
    assert_int_equal(times[ACCESS_FIRST_BYTE_US], 16000);
    assert_int_equal(times[ACCESS_STREAM_US], 10000);
    assert_int_equal(times[ACCESS_GAP_MAX_US], 5000);
    assert_int_equal(times[ACCESS_TOTAL_US], 80000);
    /* Excludes 15 ms of sending, 20 and 27 ms of the upstream, and 9 ms of downstream writes. */
    assert_int_equal(timing_overhead_us(&timing, at(80)), 80000 - 15000 - 20000 - 27000 - 9000);
}

static void second_attempt_on_a_kept_connection(void **state)
{
    (void)state;
    int64_t times[ACCESS_TIMES];
    struct timing timing = begun();
    struct upstream_request upstream = {
        .started = at(22), .ready = at(22), .send_started = at(22), .last_byte = at(40)};
    timing_connect(&timing, &upstream);
    timing_send(&timing, 0, 100);
    timing_wait_credentials(&timing, 3000);
    timing_connect(&timing, &upstream);
    upstream = (struct upstream_request){.started = at(45),
                                         .ready = at(45),
                                         .send_started = at(46),
                                         .sent = at(46),
                                         .first_byte = at(50),
                                         .last_byte = at(50),
                                         .reused = true};
    timing_send(&timing, 10, 100);
    timing_times(&timing, at(52), times);
    assert_int_equal(timing.attempts, 2);
    assert_int_equal(times[ACCESS_CREDENTIALS_US], 3010);
    assert_int_equal(times[ACCESS_SIGN_US], 200);
    assert_int_equal(times[ACCESS_CONNECT_US], 0);
    assert_int_equal(times[ACCESS_TLS_US], 0);
    assert_int_equal(times[ACCESS_FIRST_BYTE_US], 4000);
    /* 15 ms of sending, 18 and 4 ms of the upstream. */
    assert_int_equal(timing_overhead_us(&timing, at(52)), 52000 - 15000 - 18000 - 4000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_phase_reached),
        cmocka_unit_test(client_leaving_the_queue_has_waited),
        cmocka_unit_test(one_attempt),
        cmocka_unit_test(second_attempt_on_a_kept_connection),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
