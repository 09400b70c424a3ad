/* The timer heap: what fires, when and in which order, with fixed cases and against a naive
 * list. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "net/timer.h"

enum { SUBJECTS = 40, STEPS = 200000 };

struct subject {
    struct timer timer;
    int64_t due; /* the model: due time, 0 while idle */
    unsigned fired;
};

static struct timer_heap heap;
static struct subject subjects[SUBJECTS];
static struct mono_time now;
static unsigned random_state;

static struct mono_time at(int64_t us)
{
    return (struct mono_time){us};
}

static unsigned random_below(unsigned bound)
{
    random_state = random_state * 1103515245u + 12345u;
    return (random_state >> 8) % bound;
}

static void count_fire(struct timer *timer)
{
    ++((struct subject *)timer)->fired;
}

static int set_up(void **state)
{
    (void)state;
    timer_heap_init(&heap);
    memset(subjects, 0, sizeof(subjects));
    for (size_t i = 0; i != SUBJECTS; ++i)
        subjects[i].timer.fire = count_fire;
    random_state = 1;
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    timer_heap_dispose(&heap);
    return 0;
}

static void test_empty(void **state)
{
    (void)state;
    assert_int_equal(timer_next(&heap).us, 0);
    assert_int_equal(timer_run(&heap, at(100)), 0);
    timer_cancel(&heap, &subjects[0].timer);
    assert_false(timer_is_armed(&subjects[0].timer));
}

static void test_fires_once_when_due(void **state)
{
    (void)state;
    timer_set(&heap, &subjects[0].timer, at(50));
    assert_true(timer_is_armed(&subjects[0].timer));
    assert_int_equal(timer_next(&heap).us, 50);
    assert_int_equal(timer_run(&heap, at(49)), 0);
    assert_int_equal(timer_run(&heap, at(50)), 1);
    assert_int_equal(subjects[0].fired, 1);
    assert_false(timer_is_armed(&subjects[0].timer));
    assert_int_equal(timer_run(&heap, at(1000)), 0);
}

static void test_rearms_earlier_and_later(void **state)
{
    (void)state;
    timer_set(&heap, &subjects[0].timer, at(50));
    timer_set(&heap, &subjects[1].timer, at(60));
    timer_set(&heap, &subjects[0].timer, at(70));
    assert_int_equal(heap.count, 2);
    assert_int_equal(timer_next(&heap).us, 60);
    timer_set(&heap, &subjects[0].timer, at(40));
    assert_int_equal(timer_next(&heap).us, 40);
    assert_int_equal(timer_run(&heap, at(55)), 1);
    assert_int_equal(subjects[0].fired, 1);
    assert_int_equal(subjects[1].fired, 0);
}

static void rearm_self(struct timer *timer)
{
    count_fire(timer);
    timer_set(&heap, timer, at(1));
}

static void test_run_returns_if_a_callback_rearms(void **state)
{
    (void)state;
    subjects[0].timer.fire = rearm_self;
    timer_set(&heap, &subjects[0].timer, at(10));
    timer_set(&heap, &subjects[1].timer, at(20));
    assert_int_equal(timer_run(&heap, at(20)), 2);
    assert_int_equal(timer_next(&heap).us, 21);
    assert_int_equal(timer_run(&heap, at(21)), 1);
    assert_int_equal(subjects[0].fired, 2);
}

static void cancel_next(struct timer *timer)
{
    count_fire(timer);
    timer_cancel(&heap, &((struct subject *)timer + 1)->timer);
}

static void test_callback_cancels_a_due_timer(void **state)
{
    (void)state;
    subjects[0].timer.fire = cancel_next;
    timer_set(&heap, &subjects[0].timer, at(10));
    timer_set(&heap, &subjects[1].timer, at(11));
    timer_set(&heap, &subjects[2].timer, at(12));
    assert_int_equal(timer_run(&heap, at(20)), 2);
    assert_int_equal(subjects[1].fired, 0);
    assert_int_equal(subjects[2].fired, 1);
}

static void free_self(struct timer *timer)
{
    free(timer);
}

static void test_callback_frees_its_timer(void **state)
{
    (void)state;
    for (int i = 0; i != 3; ++i) {
        struct timer *timer = calloc(1, sizeof(*timer));
        assert_non_null(timer);
        timer->fire = free_self;
        timer_set(&heap, timer, at(5 + i % 2));
    }
    assert_int_equal(timer_run(&heap, at(6)), 3);
    assert_int_equal(heap.count, 0);
}

/* ---- the model: random operations, from outside and from callbacks, against a naive list ---- */

static void model_set(struct subject *subject, int64_t us)
{
    timer_set(&heap, &subject->timer, at(us));
    subject->due = heap.running.us != 0 && us <= now.us ? now.us + 1 : us;
}

static void model_cancel(struct subject *subject)
{
    timer_cancel(&heap, &subject->timer);
    subject->due = 0;
}

static int64_t model_next(void)
{
    int64_t next = 0;
    for (size_t i = 0; i != SUBJECTS; ++i)
        if (subjects[i].due != 0 && (next == 0 || subjects[i].due < next))
            next = subjects[i].due;
    return next;
}

static void model_step(void)
{
    struct subject *subject = &subjects[random_below(SUBJECTS)];
    if (random_below(4) == 0)
        model_cancel(subject);
    else
        model_set(subject, now.us - 20 + random_below(200));
}

static void model_fire(struct timer *timer)
{
    struct subject *subject = (struct subject *)timer;
    assert_false(timer_is_armed(timer));
    assert_true(subject->due != 0 && subject->due <= now.us);
    assert_int_equal(subject->due, model_next());
    subject->due = 0;
    ++subject->fired;
    for (unsigned i = random_below(4); i != 0; --i)
        model_step();
}

static void check_heap(void)
{
    size_t armed = 0;
    for (size_t i = 0; i != SUBJECTS; ++i) {
        assert_int_equal(timer_is_armed(&subjects[i].timer), subjects[i].due != 0);
        armed += subjects[i].due != 0;
        if (subjects[i].due != 0)
            assert_int_equal(subjects[i].timer.at.us, subjects[i].due);
    }
    assert_int_equal(heap.count, armed);
    assert_int_equal(timer_next(&heap).us, model_next());
    for (size_t i = 1; i < heap.count; ++i)
        assert_true(heap.list[(i - 1) / 2]->at.us <= heap.list[i]->at.us);
}

static void test_random_operations_against_a_list(void **state)
{
    (void)state;
    unsigned fired = 0;
    now = at(1000);
    for (size_t i = 0; i != SUBJECTS; ++i)
        subjects[i].timer.fire = model_fire;
    for (unsigned step = 0; step != STEPS; ++step) {
        model_step();
        if (random_below(8) == 0) {
            now.us += random_below(60);
            fired += (unsigned)timer_run(&heap, now);
            int64_t next = model_next();
            assert_true(next == 0 || next > now.us);
        }
        if (step % 16 == 0)
            check_heap();
    }
    assert_true(fired > STEPS / 20);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_empty, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_fires_once_when_due, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_rearms_earlier_and_later, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_run_returns_if_a_callback_rearms, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_callback_cancels_a_due_timer, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_callback_frees_its_timer, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_random_operations_against_a_list, set_up, tear_down),
    };
    return cmocka_run_group_tests_name("timer", tests, NULL, NULL);
}
