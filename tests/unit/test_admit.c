// links: net gateway
/* Admission: the counters at their limits, what is taken back, and threads that take and give at once. */
#include "gateway/admit.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

enum { THREADS = 4, ROUNDS = 20000, PLACES = 3 };

static struct admit admit;
static struct admit_route *routes[2];

static int set_up(void **state)
{
    (void)state;
    struct config_limits limits = {.connections = 2, .concurrency = PLACES, .body_bytes = 1000};
    admit_init(&admit, &limits);
    routes[0] = admit_open_route(&admit, SPAN("limited"));
    routes[1] = admit_open_route(&admit, SPAN("free"));
    admit_limit_route(routes[0], PLACES - 1);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    admit_dispose(&admit);
    return 0;
}

static void connections(void **state)
{
    (void)state;
    assert_true(admit_connection(&admit));
    assert_true(admit_connection(&admit));
    assert_false(admit_connection(&admit));
    assert_false(admit_connection(&admit)); /* a refusal takes nothing */
    admit_release_connection(&admit);
    assert_true(admit_connection(&admit));
    admit_release_connection(&admit);
    admit_release_connection(&admit);
    assert_int_equal(atomic_load(&admit.connections), 0);
}

static void other_limits_hold_from_then_on(void **state)
{
    (void)state;
    assert_true(admit_connection(&admit));
    assert_true(admit_connection(&admit));
    admit_set_limits(&admit, &(struct config_limits){.connections = 1, .concurrency = 1});
    assert_false(admit_connection(&admit));
    admit_release_connection(&admit);
    assert_false(admit_connection(&admit)); /* one is above the limit no more, and still there */
    admit_release_connection(&admit);
    assert_true(admit_connection(&admit));
    admit_release_connection(&admit);
}

static void a_name_has_one_set_of_counters(void **state)
{
    (void)state;
    assert_ptr_equal(admit_open_route(&admit, SPAN("limited")), routes[0]);
    assert_ptr_not_equal(admit_open_route(&admit, SPAN("limit")), routes[0]);
    assert_true(admit_exchange(&admit, routes[0]));
    admit_limit_route(routes[0], 1);
    assert_false(admit_exchange(&admit, routes[0]));
    admit_limit_route(routes[0], 0);
    assert_true(admit_exchange(&admit, routes[0]));
    admit_release_exchange(&admit, routes[0]);
    admit_release_exchange(&admit, routes[0]);
}

static void a_routes_places_are_of_all_places(void **state)
{
    (void)state;
    assert_true(admit_exchange(&admit, routes[0]));
    assert_true(admit_exchange(&admit, routes[0]));
    assert_false(admit_exchange(&admit, routes[0])); /* its own limit */
    assert_true(admit_exchange(&admit, routes[1]));
    assert_false(admit_exchange(&admit, routes[1])); /* everyone's */
    admit_release_exchange(&admit, routes[0]);
    assert_true(admit_exchange(&admit, routes[1]));
    assert_false(admit_exchange(&admit, routes[0])); /* has a place of its own, but none is left */
    admit_release_exchange(&admit, routes[1]);
    assert_true(admit_exchange(&admit, routes[0])); /* the refusal before gave its place back */
    admit_release_exchange(&admit, routes[0]);
    admit_release_exchange(&admit, routes[0]);
    admit_release_exchange(&admit, routes[1]);
    assert_int_equal(atomic_load(&admit.exchanges), 0);
    assert_int_equal(atomic_load(&routes[0]->exchanges), 0);
    assert_int_equal(atomic_load(&routes[1]->exchanges), 0);
}

static void body_bytes(void **state)
{
    (void)state;
    assert_true(admit_body_bytes(&admit, 0));
    assert_true(admit_body_bytes(&admit, 1000));
    assert_false(admit_body_bytes(&admit, 1));
    assert_true(admit_body_bytes(&admit, 0));
    admit_release_body_bytes(&admit, 1000);
    assert_false(admit_body_bytes(&admit, 1001));
    assert_false(admit_body_bytes(&admit, UINT64_MAX));
    assert_false(admit_body_bytes(&admit, UINT64_MAX - 1));
    assert_true(admit_body_bytes(&admit, 999));
    assert_false(admit_body_bytes(&admit, 2));
    assert_true(admit_body_bytes(&admit, 1));
    admit_release_body_bytes(&admit, 1000);
    assert_int_equal(atomic_load(&admit.body_bytes), 0);
}

static atomic_int inside, most;

static void *come_and_go(void *unused)
{
    (void)unused;
    for (int i = 0; i != ROUNDS; ++i) {
        if (!admit_exchange(&admit, routes[1]))
            continue;
        int now = atomic_fetch_add(&inside, 1) + 1;
        for (int before = atomic_load(&most); now > before;)
            if (atomic_compare_exchange_weak(&most, &before, now))
                break;
        atomic_fetch_sub(&inside, 1);
        admit_release_exchange(&admit, routes[1]);
    }
    return NULL;
}

static void threads_at_once(void **state)
{
    (void)state;
    pthread_t threads[THREADS];
    for (int i = 0; i != THREADS; ++i)
        assert_int_equal(pthread_create(&threads[i], NULL, come_and_go, NULL), 0);
    for (int i = 0; i != THREADS; ++i)
        pthread_join(threads[i], NULL);
    assert_true(atomic_load(&most) >= 1 && atomic_load(&most) <= PLACES);
    assert_int_equal(atomic_load(&admit.exchanges), 0);
    assert_true(admit_exchange(&admit, routes[1]));
    admit_release_exchange(&admit, routes[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(connections, set_up, tear_down),
        cmocka_unit_test_setup_teardown(other_limits_hold_from_then_on, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_name_has_one_set_of_counters, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_routes_places_are_of_all_places, set_up, tear_down),
        cmocka_unit_test_setup_teardown(body_bytes, set_up, tear_down),
        cmocka_unit_test_setup_teardown(threads_at_once, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
