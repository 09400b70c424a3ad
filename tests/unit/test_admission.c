// links: net gateway
/* Admission: counters at their limits, threads that acquire and release concurrently, and the
 * queue for slots. */
#include "gateway/admission.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

enum { THREADS = 4, ROUNDS = 20000, PLACES = 3, TICKETS = 8 };

static struct admission admission;
static struct admission_route *routes[2];
static struct admission_queue queue;
static struct admission_ticket tickets[TICKETS];
static int admitted[TICKETS]; /* by ticket: position in the order of on_admitted, from 1 */
static int admitted_count;

static int set_up(void **state)
{
    (void)state;
    struct config_limits limits = {.connections = 2, .concurrency = PLACES, .body_bytes = 1000};
    admission_init(&admission, &limits);
    routes[0] = admission_open_route(&admission, SPAN("limited"));
    routes[1] = admission_open_route(&admission, SPAN("free"));
    admission_limit_route(routes[0], PLACES - 1);
    admission_open_queue(&admission, &queue, loop_create());
    memset(tickets, 0, sizeof(tickets));
    memset(admitted, 0, sizeof(admitted));
    admitted_count = 0;
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    admission_dispose(&admission);
    return 0;
}

static void on_admitted(struct admission_ticket *ticket)
{
    admitted[ticket - tickets] = ++admitted_count;
}

static bool take(int ticket, int route)
{
    return admission_ask(&tickets[ticket], &queue, routes[route], NULL) == ADMISSION_ADMITTED;
}

static void leave(int ticket)
{
    admission_leave(&tickets[ticket]);
    assert_int_equal(tickets[ticket].state, ADMISSION_NONE);
}

static void wait_for_slot(int ticket, int route)
{
    assert_int_equal(admission_ask(&tickets[ticket], &queue, routes[route], on_admitted),
                     ADMISSION_WAITING);
}

static void connections(void **state)
{
    (void)state;
    assert_true(admission_take_connection(&admission));
    assert_true(admission_take_connection(&admission));
    assert_false(admission_take_connection(&admission));
    assert_false(admission_take_connection(&admission)); /* a rejection acquires nothing */
    admission_release_connection(&admission);
    assert_true(admission_take_connection(&admission));
    admission_release_connection(&admission);
    admission_release_connection(&admission);
    assert_int_equal(atomic_load(&admission.connections), 0);
}

static void new_limits_apply_at_once(void **state)
{
    (void)state;
    assert_true(admission_take_connection(&admission));
    assert_true(admission_take_connection(&admission));
    admission_set_limits(&admission, &(struct config_limits){.connections = 1, .concurrency = 1});
    assert_false(admission_take_connection(&admission));
    admission_release_connection(&admission);
    assert_false(admission_take_connection(&admission)); /* one above the new limit, still held */
    admission_release_connection(&admission);
    assert_true(admission_take_connection(&admission));
    admission_release_connection(&admission);
}

static void same_name_shares_counters(void **state)
{
    (void)state;
    assert_ptr_equal(admission_open_route(&admission, SPAN("limited")), routes[0]);
    assert_ptr_not_equal(admission_open_route(&admission, SPAN("limit")), routes[0]);
    assert_true(take(0, 0));
    admission_limit_route(routes[0], 1);
    assert_false(take(1, 0));
    admission_limit_route(routes[0], 0);
    assert_true(take(1, 0));
    leave(0);
    leave(1);
}

static void route_slots_count_toward_total(void **state)
{
    (void)state;
    assert_true(take(0, 0));
    assert_true(take(1, 0));
    assert_false(take(2, 0)); /* the route's own limit */
    assert_true(take(2, 1));
    assert_false(take(3, 1)); /* the shared limit */
    leave(3);                 /* holds nothing */
    leave(0);
    assert_true(take(3, 1));
    assert_false(take(0, 0)); /* the route has a free slot, the total has none */
    leave(2);
    assert_true(take(0, 0)); /* the rejection above acquired nothing */
    leave(0);
    leave(1);
    leave(3);
    assert_int_equal(atomic_load(&admission.slots), 0);
    assert_int_equal(atomic_load(&routes[0]->slots), 0);
    assert_int_equal(atomic_load(&routes[1]->slots), 0);
}

static void tickets_wait_in_fifo_order(void **state)
{
    (void)state;
    assert_true(take(0, 1) && take(1, 1) && take(2, 1));
    wait_for_slot(3, 1);
    wait_for_slot(4, 1);
    wait_for_slot(5, 1);
    assert_int_equal(atomic_load(&admission.waiting), 3);
    leave(4); /* its owner is gone */
    leave(0);
    assert_int_equal(admitted_count, 0); /* only from a loop iteration */
    assert_false(take(6, 1));            /* does not overtake */
    loop_turn(queue.loop, 0);
    assert_true(admitted[3] == 1 && admitted_count == 1);
    leave(1);
    leave(2);
    loop_turn(queue.loop, 0);
    assert_true(admitted[5] == 2 && admitted_count == 2);
    assert_true(atomic_load(&admission.waiting) == 0 && queue.first == NULL);
    leave(3);
    leave(5);
    assert_int_equal(atomic_load(&admission.slots), 0);
}

static void other_routes_may_overtake(void **state)
{
    (void)state;
    assert_true(take(0, 0) && take(1, 0));
    wait_for_slot(2, 0); /* for its route */
    assert_true(take(3, 1));
    wait_for_slot(4, 1); /* for any route */
    leave(3);
    loop_turn(queue.loop, 0);
    assert_true(admitted[4] == 1 && admitted[2] == 0);
    admission_limit_route(routes[0], 0);
    admission_set_limits(&admission, &(struct config_limits){.concurrency = PLACES + 1});
    admission_serve(&queue);
    assert_int_equal(admitted[2], 2);
    leave(0);
    leave(1);
    leave(2);
    leave(4);
}

static void memory(void **state)
{
    (void)state;
    assert_true(admission_take_memory(&admission, 0));
    assert_true(admission_take_memory(&admission, 1000));
    assert_false(admission_take_memory(&admission, 1));
    assert_true(admission_take_memory(&admission, 0));
    admission_release_memory(&admission, 1000);
    assert_false(admission_take_memory(&admission, 1001));
    assert_false(admission_take_memory(&admission, UINT64_MAX));
    assert_false(admission_take_memory(&admission, UINT64_MAX - 1));
    assert_true(admission_take_memory(&admission, 999));
    assert_false(admission_take_memory(&admission, 2));
    assert_true(admission_take_memory(&admission, 1));
    admission_release_memory(&admission, 1000);
    assert_int_equal(atomic_load(&admission.memory), 0);
}

static atomic_int inside, most;

static void *come_and_go(void *own)
{
    struct admission_ticket *ticket = own;
    for (int i = 0; i != ROUNDS; ++i) {
        if (admission_ask(ticket, &queue, routes[1], NULL) != ADMISSION_ADMITTED)
            continue;
        int now = atomic_fetch_add(&inside, 1) + 1;
        for (int before = atomic_load(&most); now > before;)
            if (atomic_compare_exchange_weak(&most, &before, now))
                break;
        atomic_fetch_sub(&inside, 1);
        admission_leave(ticket);
    }
    return NULL;
}

static void concurrent_threads(void **state)
{
    (void)state;
    pthread_t threads[THREADS];
    for (int i = 0; i != THREADS; ++i)
        assert_int_equal(pthread_create(&threads[i], NULL, come_and_go, &tickets[i]), 0);
    for (int i = 0; i != THREADS; ++i)
        pthread_join(threads[i], NULL);
    assert_true(atomic_load(&most) >= 1 && atomic_load(&most) <= PLACES);
    assert_int_equal(atomic_load(&admission.slots), 0);
    assert_true(take(0, 1));
    leave(0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(connections, set_up, tear_down),
        cmocka_unit_test_setup_teardown(new_limits_apply_at_once, set_up, tear_down),
        cmocka_unit_test_setup_teardown(same_name_shares_counters, set_up, tear_down),
        cmocka_unit_test_setup_teardown(route_slots_count_toward_total, set_up, tear_down),
        cmocka_unit_test_setup_teardown(memory, set_up, tear_down),
        cmocka_unit_test_setup_teardown(tickets_wait_in_fifo_order, set_up, tear_down),
        cmocka_unit_test_setup_teardown(other_routes_may_overtake, set_up, tear_down),
        cmocka_unit_test_setup_teardown(concurrent_threads, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
