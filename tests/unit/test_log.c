/* Diagnostics: one JSON object per line, hostile bytes, levels, and rate limits. */
#include "observe/log.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <jansson.h>

/* Redirects stderr to a file while a test runs. */
static FILE *captured;
static int real_stderr;

static int set_up(void **state)
{
    (void)state;
    fflush(stderr);
    captured = tmpfile();
    assert_non_null(captured);
    real_stderr = dup(STDERR_FILENO);
    dup2(fileno(captured), STDERR_FILENO);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    dup2(real_stderr, STDERR_FILENO);
    close(real_stderr);
    fclose(captured);
    log_set_level(LOG_INFO);
    return 0;
}

/* Returns the next captured line as JSON, which the caller frees; NULL at the end. */
static json_t *next_line(void)
{
    char line[5000];
    if (fgets(line, sizeof(line), captured) == NULL)
        return NULL;
    assert_true(strlen(line) <= 4096);
    json_t *json = json_loads(line, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, NULL);
    assert_non_null(json);
    return json;
}

static const char *text_of(const json_t *line, const char *key)
{
    return json_string_value(json_object_get(line, key));
}

static void problems_are_logged_in_full_with_places(void **state)
{
    (void)state;
    struct problem_list problems;
    problem_list_init(&problems);
    for (unsigned i = 1; i <= 30; ++i)
        problem_add(&problems, PROBLEM_ERROR, SPAN("a \"b\".yaml"), i, 7, "routes: wrong");
    problem_add(&problems, PROBLEM_WARNING, SPAN_NONE, 0, 0, "odd");
    log_write_problems("config", &problems);
    problem_list_dispose(&problems);
    rewind(captured);
    for (int i = 1; i <= 30; ++i) {
        json_t *line = next_line();
        assert_string_equal(text_of(line, "topic"), "config");
        assert_string_equal(text_of(line, "level"), "error");
        assert_string_equal(text_of(line, "message"), "routes: wrong");
        assert_string_equal(text_of(line, "file"), "a \"b\".yaml");
        assert_int_equal(json_integer_value(json_object_get(line, "line")), i);
        assert_int_equal(json_integer_value(json_object_get(line, "column")), 7);
        json_decref(line);
    }
    json_t *last = next_line();
    assert_string_equal(text_of(last, "level"), "warning");
    assert_null(json_object_get(last, "file"));
    assert_null(json_object_get(last, "line"));
    json_decref(last);
    assert_null(next_line());
}

static void line_has_time_level_topic_and_message(void **state)
{
    (void)state;
    errno = ENOENT;
    log_write(LOG_WARNING, "listener", "cannot open %s: %m", "x");
    assert_int_equal(errno, ENOENT);
    rewind(captured);
    json_t *line = next_line();
    assert_int_equal(strlen(text_of(line, "time")), strlen("2015-08-30T12:36:00.000000Z"));
    assert_string_equal(text_of(line, "level"), "warning");
    assert_string_equal(text_of(line, "topic"), "listener");
    assert_string_equal(text_of(line, "message"), "cannot open x: No such file or directory");
    assert_int_equal(json_object_size(line), 4);
    json_decref(line);
    assert_null(next_line());
}

static void levels_below_minimum_are_not_logged(void **state)
{
    (void)state;
    log_write(LOG_DEBUG, "start", "debug");
    log_set_level(LOG_ERROR);
    log_write(LOG_WARNING, "start", "warning");
    log_write(LOG_ERROR, "start", "error");
    log_set_level(LOG_DEBUG);
    log_write(LOG_DEBUG, "start", "debug");
    rewind(captured);
    json_t *line = next_line();
    assert_string_equal(text_of(line, "level"), "error");
    json_decref(line);
    line = next_line();
    assert_string_equal(text_of(line, "level"), "debug");
    json_decref(line);
    assert_null(next_line());
}

static void hostile_and_long_messages_stay_on_one_line(void **state)
{
    (void)state;
    char endless[5000];
    memset(endless, '\x01', sizeof(endless));
    endless[sizeof(endless) - 1] = '\0';
    log_write(LOG_INFO, "tls", "%s", "quote\" backslash\\ \xff\n{\"level\":\"error\"}");
    log_write(LOG_INFO, "upstream", "%s", endless);
    rewind(captured);
    json_t *line = next_line();
    assert_string_equal(text_of(line, "message"),
                        "quote\" backslash\\ \xef\xbf\xbd\n{\"level\":\"error\"}");
    json_decref(line);
    line = next_line();
    assert_in_range(strlen(text_of(line, "message")), 250, 1000);
    json_decref(line);
    assert_null(next_line());
}

static json_int_t held_back_in(const json_t *line)
{
    return json_integer_value(json_object_get(line, "held_back"));
}

static void burst(int lines, int number)
{
    for (int i = 0; i != lines; ++i)
        log_write(LOG_INFO, "upstream", "burst %d", number);
}

/* Expects `count` lines with `message`, the first with the number suppressed before it. */
static void expect_lines(const char *message, int count, int held_back)
{
    for (int i = 0; i != count; ++i) {
        json_t *line = next_line();
        assert_non_null(line);
        assert_string_equal(text_of(line, "message"), message);
        assert_int_equal(held_back_in(line), i == 0 ? held_back : 0);
        json_decref(line);
    }
}

static void burst_is_limited_to_ten_and_rest_is_counted(void **state)
{
    (void)state;
    burst(25, 1);
    log_write(LOG_INFO, "upstream", "another kind is not held back");
    log_tell_held_back(); /* too early: logs nothing */
    usleep(1100000);
    burst(12, 2);
    usleep(1100000);
    log_tell_held_back();
    log_tell_held_back();
    rewind(captured);
    expect_lines("burst 1", 10, 0);
    expect_lines("another kind is not held back", 1, 0);
    expect_lines("burst 2", 10, 15);
    expect_lines("burst 2", 1, 2);
    assert_null(next_line());
}

/* A stderr that is never read: lines are lost, no thread blocks. */
static void full_pipe_does_not_block(void **state)
{
    (void)state;
    int pipe_fds[2];
    assert_int_equal(pipe2(pipe_fds, O_CLOEXEC), 0);
    dup2(pipe_fds[1], STDERR_FILENO);
    char filler[1000];
    memset(filler, 'x', sizeof(filler));
    fcntl(pipe_fds[1], F_SETFL, O_NONBLOCK);
    while (write(pipe_fds[1], filler, sizeof(filler)) > 0)
        ;
    fcntl(pipe_fds[1], F_SETFL, 0);
    log_write(LOG_INFO, "drain", "nobody reads this");
    dup2(fileno(captured), STDERR_FILENO);
    log_write(LOG_INFO, "drain", "somebody reads this");
    close(pipe_fds[0]);
    close(pipe_fds[1]);
}

static void *write_some(void *context)
{
    for (int i = 0; i != 1000; ++i)
        log_write(LOG_INFO, "credentials", "from a thread, %s", (const char *)context);
    return NULL;
}

static void threads_do_not_interleave_lines(void **state)
{
    (void)state;
    pthread_t threads[4];
    for (int i = 0; i != 4; ++i)
        assert_int_equal(pthread_create(&threads[i], NULL, write_some, "one of four"), 0);
    for (int i = 0; i != 4; ++i)
        pthread_join(threads[i], NULL);
    rewind(captured);
    int lines = 0;
    for (json_t *line; (line = next_line()) != NULL; ++lines) {
        assert_string_equal(text_of(line, "message"), "from a thread, one of four");
        json_decref(line);
    }
    assert_in_range(lines, 10, 4000);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(line_has_time_level_topic_and_message),
        TEST(problems_are_logged_in_full_with_places),
        TEST(levels_below_minimum_are_not_logged),
        TEST(hostile_and_long_messages_stay_on_one_line),
        TEST(burst_is_limited_to_ten_and_rest_is_counted),
        TEST(full_pipe_does_not_block),
        TEST(threads_do_not_interleave_lines),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
