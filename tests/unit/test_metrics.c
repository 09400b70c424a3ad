// links: net observe
/* Metrics: series by name, the workers' counts, and the page as Prometheus parses it. */
#include "observe/metrics.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

enum { WORKERS = 3, ROUNDS = 20000, OK = 0, BUSY = 1 };

static const struct metrics_outcome outcomes[] = {{SPAN("ok"), SPAN("none")},
                                                  {SPAN("busy"), SPAN("gateway")}};
static struct metrics *metrics;
static struct buffer out;

static int set_up(void **state)
{
    (void)state;
    metrics = metrics_create(
        &(struct metrics_options){.workers = WORKERS, .outcomes = outcomes, .outcome_count = 2});
    buffer_init(&out, 1 << 20);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    metrics_destroy(metrics);
    buffer_dispose(&out);
    return 0;
}

static const char *page(void)
{
    struct metrics_text text = {.out = &out};
    buffer_clear(&out);
    metrics_write(metrics, &text);
    buffer_append_char(&out, '\0');
    assert_false(out.overflowed);
    return out.at;
}

static void has(const char *text, const char *line)
{
    if (strstr(text, line) == NULL)
        fail_msg("no line %s in\n%s", line, text);
}

static void same_name_returns_the_same_series(void **state)
{
    (void)state;
    char name[] = "fraud";
    struct metrics_route *route = metrics_open_route(metrics, SPAN("fraud"));
    struct metrics_upstream *upstream = metrics_open_upstream(metrics, SPAN("default"));
    assert_ptr_equal(metrics_open_route(metrics, span_from(name)), route);
    assert_ptr_not_equal(metrics_open_route(metrics, SPAN("frau")), route);
    assert_ptr_equal(metrics_open_upstream(metrics, SPAN("default")), upstream);
    assert_ptr_not_equal(metrics_open_upstream(metrics, SPAN("emea")), upstream);
    metrics_begin(route, 0);
    name[0] = 'F'; /* the metrics keep their own copy of the name */
    has(page(), "sagegate_route_requests_in_flight{route=\"fraud\"} 1\n");
}

static void worker_counts_are_summed(void **state)
{
    (void)state;
    struct metrics_route *route = metrics_open_route(metrics, SPAN("fraud"));
    const struct metrics_exchange good = {.outcome = OK,
                                          .attempts = 3,
                                          .bytes_in = 10,
                                          .bytes_out = UINT64_C(5000000000),
                                          .parts = 2,
                                          .total_us = 1000,
                                          .first_byte_us = 1001,
                                          .overhead_us = 0};
    const struct metrics_exchange refused = {
        .outcome = BUSY, .total_us = 480000001, .first_byte_us = -1, .overhead_us = -1};
    for (unsigned worker = 0; worker != WORKERS; ++worker) {
        metrics_begin(route, worker);
        metrics_end(route, worker, &good);
    }
    metrics_begin(route, 1);
    metrics_begin(route, 2);
    metrics_end(route, 2, &refused);
    const char *text = page();
    has(text, "\nsagegate_requests_total{outcome=\"ok\",fault=\"none\"} 3\n");
    has(text,
        "\nsagegate_route_requests_total{route=\"fraud\",outcome=\"busy\",fault=\"gateway\"} 1\n");
    has(text, "\nsagegate_route_requests_in_flight{route=\"fraud\"} 1\n");
    has(text, "\nsagegate_route_request_body_bytes_total{route=\"fraud\"} 30\n");
    has(text, "\nsagegate_route_response_body_bytes_total{route=\"fraud\"} 15000000000\n");
    has(text, "\nsagegate_route_response_parts_total{route=\"fraud\"} 6\n");
    has(text, "\nsagegate_route_attempts_total{route=\"fraud\"} 9\n");
    has(text, "\nsagegate_route_retries_total{route=\"fraud\"} 6\n");
    /* A bound belongs to its bucket; values above the last one are only in +Inf. */
    has(text, "\nsagegate_route_duration_seconds_bucket{route=\"fraud\",le=\"0.001\"} 3\n");
    has(text, "\nsagegate_route_duration_seconds_bucket{route=\"fraud\",le=\"480\"} 3\n");
    has(text, "\nsagegate_route_duration_seconds_bucket{route=\"fraud\",le=\"+Inf\"} 4\n");
    has(text, "\nsagegate_route_duration_seconds_sum{route=\"fraud\"} 480.003001\n");
    has(text, "\nsagegate_route_duration_seconds_count{route=\"fraud\"} 4\n");
    has(text, "\nsagegate_route_first_byte_seconds_bucket{route=\"fraud\",le=\"0.001\"} 0\n");
    has(text, "\nsagegate_route_first_byte_seconds_bucket{route=\"fraud\",le=\"0.0025\"} 3\n");
    has(text, "\nsagegate_route_overhead_seconds_bucket{route=\"fraud\",le=\"0.00005\"} 3\n");
    has(text, "\nsagegate_route_overhead_seconds_sum{route=\"fraud\"} 0\n");
    has(text, "\nsagegate_route_overhead_seconds_count{route=\"fraud\"} 3\n");
}

static void zero_series_appear_only_in_totals(void **state)
{
    (void)state;
    metrics_open_route(metrics, SPAN("unused"));
    struct metrics_route *route = metrics_open_route(metrics, SPAN("fraud"));
    const struct metrics_exchange refused = {
        .outcome = BUSY, .first_byte_us = -1, .overhead_us = -1};
    metrics_end(route, 0, &refused);
    const char *text = page();
    assert_null(strstr(text, "unused"));
    assert_null(strstr(text, "route=\"fraud\",outcome=\"ok\""));
    assert_null(strstr(text, "overhead_seconds_bucket"));
    has(text, "\nsagegate_requests_total{outcome=\"ok\",fault=\"none\"} 0\n");
    /* A request that never began counts as ended and does not make the gauge negative. */
    has(text, "\nsagegate_route_requests_in_flight{route=\"fraud\"} 0\n");
}

static void upstreams_are_labelled_by_state_and_reason(void **state)
{
    (void)state;
    struct metrics_upstream *upstream = metrics_open_upstream(metrics, SPAN("emea"));
    tally_add(metrics_tally(upstream, 0), TALLY_IDLE);
    tally_add(metrics_tally(upstream, 2), TALLY_IDLE);
    tally_add(metrics_tally(upstream, 2), TALLY_GIVEN_UP);
    tally_subtract(metrics_tally(upstream, 2), TALLY_IDLE);
    const char *text = page();
    has(text, "\nsagegate_upstream_connections{upstream=\"emea\",state=\"idle\"} 1\n");
    has(text, "\nsagegate_upstream_connections{upstream=\"emea\",state=\"active\"} 0\n");
    has(text,
        "\nsagegate_upstream_connection_failures_total{upstream=\"emea\",reason=\"given_up\"} 1\n");
    has(text,
        "\nsagegate_upstream_tls_handshakes_total{upstream=\"emea\",session=\"resumed\"} 0\n");
}

/* ---- the text ---- */

static void labels_are_escaped_and_seconds_are_signed(void **state)
{
    (void)state;
    struct metrics_text text = {.out = &out};
    const struct span odd = SPAN("a\"b\\c\nd");
    metrics_text_begin(&text, METRIC_CREDENTIALS_EXPIRY);
    metrics_text_seconds(&text, &odd, -1500000);
    metrics_text_begin(&text, METRIC_CLOCK_OFFSET);
    metrics_text_seconds(&text, NULL, 0);
    metrics_text_seconds(&text, NULL, INT64_MIN);
    metrics_text_u64(&text, NULL, UINT64_MAX);
    buffer_append_char(&out, '\0');
    has(out.at, "# TYPE sagegate_credentials_expiry_seconds gauge\n"
                "sagegate_credentials_expiry_seconds{identity=\"a\\\"b\\\\c\\nd\"} -1.500000\n"
                "# HELP sagegate_clock_offset_seconds ");
    has(out.at, "\nsagegate_clock_offset_seconds 0\n"
                "sagegate_clock_offset_seconds -9223372036854.775808\n"
                "sagegate_clock_offset_seconds 18446744073709551615\n");
}

static void small_page_buffer_is_reported(void **state)
{
    (void)state;
    struct buffer small;
    char memory[512];
    buffer_init_fixed(&small, memory, sizeof(memory));
    struct metrics_text text = {.out = &small};
    metrics_write(metrics, &text);
    assert_true(small.overflowed);
}

/* ---- threads ---- */

struct counting {
    struct metrics_route *route;
    struct metrics_upstream *upstream;
    unsigned worker;
};

static void *count(void *argument)
{
    const struct counting *counting = argument;
    const struct metrics_exchange good = {.outcome = OK, .attempts = 1, .total_us = 70};
    for (int i = 0; i != ROUNDS; ++i) {
        metrics_begin(counting->route, counting->worker);
        metrics_end(counting->route, counting->worker, &good);
        tally_add(metrics_tally(counting->upstream, counting->worker), TALLY_REUSED);
    }
    return NULL;
}

static void workers_count_during_a_scrape(void **state)
{
    (void)state;
    pthread_t threads[WORKERS];
    struct counting countings[WORKERS];
    for (unsigned i = 0; i != WORKERS; ++i) {
        countings[i] = (struct counting){metrics_open_route(metrics, SPAN("fraud")),
                                         metrics_open_upstream(metrics, SPAN("default")), i};
        assert_int_equal(pthread_create(&threads[i], NULL, count, &countings[i]), 0);
    }
    for (int i = 0; i != 20; ++i) {
        char name[16];
        snprintf(name, sizeof(name), "other-%d", i); /* like a reload */
        metrics_open_route(metrics, span_from(name));
        page();
    }
    for (unsigned i = 0; i != WORKERS; ++i)
        pthread_join(threads[i], NULL);
    const char *text = page();
    has(text,
        "\nsagegate_route_requests_total{route=\"fraud\",outcome=\"ok\",fault=\"none\"} 60000\n");
    has(text, "\nsagegate_route_requests_in_flight{route=\"fraud\"} 0\n");
    has(text, "\nsagegate_route_duration_seconds_sum{route=\"fraud\"} 4.200000\n");
    has(text, "\nsagegate_upstream_connections_reused_total{upstream=\"default\"} 60000\n");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(same_name_returns_the_same_series),
        TEST(worker_counts_are_summed),
        TEST(zero_series_appear_only_in_totals),
        TEST(upstreams_are_labelled_by_state_and_reason),
        TEST(labels_are_escaped_and_seconds_are_signed),
        TEST(small_page_buffer_is_reported),
        TEST(workers_count_during_a_scrape),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
