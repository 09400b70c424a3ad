/* The access log: exact lines, hostile bytes, full rings, rotation, slow and dead readers. */
#include "observe/access.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>
#include <jansson.h>

#include "base/json_writer.h"

/* ---- the record and its line ---- */

static struct access_record record;
static char line[ACCESS_LINE_MAX + 1];

static void set(enum access_text field, const char *value)
{
    access_record_set(&record, field, span_from(value));
}

static const char *format(void)
{
    struct buffer out;
    buffer_init_fixed(&out, line, ACCESS_LINE_MAX);
    access_record_format(&record, &out);
    assert_false(out.overflowed);
    line[out.len] = '\0';
    return line;
}

static void empty_record_has_only_the_fixed_fields(void **state)
{
    (void)state;
    access_record_init(&record);
    assert_string_equal(format(),
                        "{\"time\":\"1970-01-01T00:00:00.000000Z\",\"status\":0,\"attempts\":0,"
                        "\"reused\":false,\"bytes_in\":0,\"bytes_out\":0}\n");
}

static void set_every_field(void)
{
    access_record_init(&record);
    record.time.us = 1440938160123456;
    record.status = 424;
    record.model_status = 500;
    record.attempts = 2;
    record.reused = true;
    record.bytes_in = 1024;
    record.bytes_out = 18446744073709551615u;
    record.parts = 7;
    for (int i = 0; i != ACCESS_TIMES; ++i)
        record.times[i] = i + 1;
    set(ACCESS_REQUEST_ID, "0190f0e0-0000-7000-8000-000000000001");
    set(ACCESS_TRACE_ID, "4bf92f3577b34da6a3ce929d0e0e4736");
    set(ACCESS_INFERENCE_ID, "inference-1");
    set(ACCESS_ROUTE, "fraud");
    set(ACCESS_ENDPOINT, "fraud-prod");
    set(ACCESS_OPERATION, "invoke");
    set(ACCESS_TARGET_MODEL, "fraud-v12.tar.gz");
    set(ACCESS_TARGET_VARIANT, "A");
    set(ACCESS_INVOKED_VARIANT, "B");
    set(ACCESS_INFERENCE_COMPONENT, "component");
    set(ACCESS_REGION, "us-east-1");
    set(ACCESS_IDENTITY, "default");
    set(ACCESS_CALLER, "billing");
    set(ACCESS_CLIENT, "127.0.0.1:43210");
    set(ACCESS_METHOD, "POST");
    set(ACCESS_PATH, "/predict/{model}");
    set(ACCESS_OUTCOME, "model_error");
    set(ACCESS_AWS_ERROR, "ModelError");
    set(ACCESS_AWS_REQUEST_ID, "aws-1");
    set(ACCESS_OVERRIDDEN, "target_variant,accept");
    set(ACCESS_DROPPED_HEADERS, "cookie");
}

static void full_line_has_documented_names_in_order(void **state)
{
    (void)state;
    set_every_field();
    assert_string_equal(
        format(),
        "{\"time\":\"2015-08-30T12:36:00.123456Z\","
        "\"request_id\":\"0190f0e0-0000-7000-8000-000000000001\","
        "\"trace_id\":\"4bf92f3577b34da6a3ce929d0e0e4736\","
        "\"inference_id\":\"inference-1\",\"route\":\"fraud\",\"endpoint\":\"fraud-prod\","
        "\"operation\":\"invoke\",\"target_model\":\"fraud-v12.tar.gz\","
        "\"target_variant\":\"A\",\"invoked_variant\":\"B\","
        "\"inference_component\":\"component\",\"region\":\"us-east-1\","
        "\"identity\":\"default\",\"caller\":\"billing\",\"client\":\"127.0.0.1:43210\","
        "\"method\":\"POST\",\"path\":\"/predict/{model}\",\"status\":424,"
        "\"outcome\":\"model_error\",\"aws_error\":\"ModelError\",\"model_status\":500,"
        "\"aws_request_id\":\"aws-1\",\"attempts\":2,\"reused\":true,\"bytes_in\":1024,"
        "\"bytes_out\":18446744073709551615,\"overridden\":[\"target_variant\",\"accept\"],"
        "\"dropped_headers\":[\"cookie\"],\"receive_us\":1,\"wait_us\":2,"
        "\"credentials_us\":3,\"hash_us\":4,\"sign_us\":5,\"connect_us\":6,\"tls_us\":7,"
        "\"send_us\":8,\"first_byte_us\":9,\"stream_us\":10,\"total_us\":11,\"parts\":7,"
        "\"gap_max_us\":12}\n");
}

static void hostile_bytes_stay_inside_the_string(void **state)
{
    (void)state;
    access_record_init(&record);
    access_record_set(&record, ACCESS_PATH, SPAN("/a\"},\n{\"x\":\\\r\t\0\x7f\xff\xc3\xa9"));
    set(ACCESS_DROPPED_HEADERS, "x\"y,z");
    assert_non_null(strstr(format(), ",\"path\":\"/a\\\"},\\n{\\\"x\\\":\\\\\\r\\t\\u0000"
                                     "\\u007f\xef\xbf\xbd\xc3\xa9\","));
    assert_non_null(strstr(line, "\"dropped_headers\":[\"x\\\"y\",\"z\"]"));
    assert_ptr_equal(strchr(line, '\n'), line + strlen(line) - 1);
}

/* Each byte at each position of a text, against the plain escaper. */
static void every_byte_is_escaped_as_json(void **state)
{
    (void)state;
    for (unsigned byte = 0; byte != 256; ++byte)
        for (size_t at = 0; at != 19; ++at) {
            char text[19], expected_memory[256];
            struct buffer expected;
            memset(text, 'x', sizeof(text));
            text[at] = (char)byte;
            buffer_init_fixed(&expected, expected_memory, sizeof(expected_memory) - 1);
            buffer_append(&expected, SPAN("\"method\":\""));
            json_writer_append_escaped(&expected, span_make(text, sizeof(text)));
            buffer_append(&expected, SPAN("\","));
            expected_memory[expected.len] = '\0';
            access_record_init(&record);
            access_record_set(&record, ACCESS_METHOD, span_make(text, sizeof(text)));
            assert_non_null(strstr(format(), expected_memory));
        }
}

/* The longest possible line is valid JSON and contains the outcome. */
static void long_texts_are_truncated_and_outcome_fits(void **state)
{
    (void)state;
    char endless[4096];
    memset(endless, '\x01', sizeof(endless));
    set_every_field();
    access_record_init(&record);
    for (int i = 0; i != ACCESS_TIMES; ++i)
        record.times[i] = INT64_MAX;
    record.bytes_in = record.bytes_out = record.parts = UINT64_MAX;
    static const enum access_text long_texts[] = {ACCESS_DROPPED_HEADERS, ACCESS_OVERRIDDEN,
                                                  ACCESS_PATH, ACCESS_TARGET_MODEL};
    for (int i = 0; i != 4; ++i)
        access_record_set(&record, long_texts[i], span_make(endless, sizeof(endless)));
    for (int i = ACCESS_TEXTS; i-- != 0;)
        if (i != ACCESS_OUTCOME && record.texts[i].len == 0)
            access_record_set(&record, (enum access_text)i, span_make(endless, sizeof(endless)));
    set(ACCESS_OUTCOME, "unsupported_encoding");
    assert_true(
        span_equals(access_record_get(&record, ACCESS_OUTCOME), SPAN("unsupported_encoding")));
    assert_true(record.text_used <= ACCESS_TEXT_SIZE);
    json_t *json = json_loads(format(), JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, NULL);
    assert_null(json); /* jansson accepts no number above INT64_MAX */
    record.bytes_in = record.bytes_out = record.parts = INT64_MAX;
    json = json_loads(format(), JSON_REJECT_DUPLICATES, NULL);
    assert_non_null(json);
    json_decref(json);
}

static void list_is_truncated_after_a_complete_name(void **state)
{
    (void)state;
    char names[1024];
    size_t len = 0;
    while (len < 600)
        len += (size_t)snprintf(names + len, sizeof(names) - len, "%sx-header-%zu",
                                len == 0 ? "" : ",", len);
    access_record_init(&record);
    access_record_set(&record, ACCESS_DROPPED_HEADERS, span_make(names, len));
    struct span kept = access_record_get(&record, ACCESS_DROPPED_HEADERS);
    assert_in_range(kept.len, 480, 512);
    assert_int_equal(names[kept.len], ',');
    access_record_init(&record);
    memset(names, 'x', sizeof(names));
    access_record_set(&record, ACCESS_OVERRIDDEN, span_make(names, sizeof(names)));
    assert_int_equal(access_record_get(&record, ACCESS_OVERRIDDEN).len, 0);
}

static void second_text_replaces_first(void **state)
{
    (void)state;
    access_record_init(&record);
    set(ACCESS_OUTCOME, "bad_response");
    set(ACCESS_ROUTE, "r");
    set(ACCESS_OUTCOME, "ok");
    assert_true(span_equals(access_record_get(&record, ACCESS_OUTCOME), SPAN("ok")));
    assert_true(span_equals(access_record_get(&record, ACCESS_ROUTE), SPAN("r")));
    access_record_set(&record, ACCESS_CALLER, SPAN_NONE);
    assert_null(access_record_get(&record, ACCESS_CALLER).at);
}

static void small_buffer_overflows_and_stays_empty(void **state)
{
    (void)state;
    char small[100];
    struct buffer out;
    buffer_init_fixed(&out, small, sizeof(small));
    access_record_init(&record);
    access_record_format(&record, &out);
    assert_true(out.overflowed);
    assert_int_equal(out.len, 0);
}

/* ---- rings, file, writer ---- */

struct scene {
    char file[64], rotated[80];
};

static int set_up(void **state)
{
    struct scene *scene = calloc(1, sizeof(*scene));
    snprintf(scene->file, sizeof(scene->file), "/tmp/sagegate-access-XXXXXX");
    close(mkstemp(scene->file));
    snprintf(scene->rotated, sizeof(scene->rotated), "%s.1", scene->file);
    *state = scene;
    return 0;
}

static int tear_down(void **state)
{
    struct scene *scene = *state;
    unlink(scene->file);
    unlink(scene->rotated);
    free(scene);
    return 0;
}

static struct access_log *open_log(const char *file, unsigned workers, unsigned ring_size)
{
    struct access_log_options options = {.file = file, .workers = workers, .ring_size = ring_size};
    struct access_log *log = access_log_create(&options);
    assert_non_null(log);
    return log;
}

/* Logs one request with `status`; returns false if the ring was full. */
static bool log_one(struct access_log *log, unsigned worker, int status)
{
    struct access_record *slot = access_log_begin(log, worker);
    if (slot == NULL)
        return false;
    slot->status = status;
    access_record_set(slot, ACCESS_OUTCOME, SPAN("ok"));
    access_log_commit(log, worker);
    return true;
}

static unsigned lines_in(const char *file)
{
    FILE *in = fopen(file, "r");
    unsigned lines = 0;
    assert_non_null(in);
    for (int c; (c = getc(in)) != EOF;)
        lines += c == '\n';
    fclose(in);
    return lines;
}

static void wait_for_lines(const char *file, unsigned lines)
{
    for (int i = 0; i != 500 && lines_in(file) != lines; ++i)
        usleep(10000);
    assert_int_equal(lines_in(file), lines);
}

static void destroy_writes_pending_lines(void **state)
{
    struct scene *scene = *state;
    struct access_log *log = open_log(scene->file, 2, 0);
    for (int i = 0; i != 700; ++i)
        assert_true(log_one(log, i % 2 == 0, 200));
    access_log_destroy(log);
    assert_int_equal(lines_in(scene->file), 700);
}

static void record_is_written_after_idle_without_shutdown(void **state)
{
    struct scene *scene = *state;
    struct access_log *log = open_log(scene->file, 1, 0);
    log_one(log, 0, 200);
    wait_for_lines(scene->file, 1);
    usleep(300000); /* the writer thread goes to sleep */
    log_one(log, 0, 200);
    wait_for_lines(scene->file, 2);
    access_log_destroy(log);
}

static void uncommitted_record_is_returned_again(void **state)
{
    struct scene *scene = *state;
    struct access_log *log = open_log(scene->file, 1, 2);
    struct access_record *first = access_log_begin(log, 0);
    first->status = 999;
    assert_ptr_equal(access_log_begin(log, 0), first);
    assert_int_equal(first->status, 0);
    access_log_destroy(log);
    assert_int_equal(lines_in(scene->file), 0);
}

static void reopen_follows_rotation(void **state)
{
    struct scene *scene = *state;
    struct access_log *log = open_log(scene->file, 1, 0);
    log_one(log, 0, 200);
    wait_for_lines(scene->file, 1);
    assert_int_equal(rename(scene->file, scene->rotated), 0);
    access_log_reopen(log);
    for (int i = 0; i != 500 && access(scene->file, F_OK) != 0; ++i)
        usleep(10000);
    log_one(log, 0, 200);
    log_one(log, 0, 200);
    access_log_destroy(log);
    assert_int_equal(lines_in(scene->rotated), 1);
    assert_int_equal(lines_in(scene->file), 2);
}

static void unopenable_file_is_reported(void **state)
{
    (void)state;
    struct access_log_options options = {.file = "/nonexistent/access.log", .workers = 1};
    errno = 0;
    assert_null(access_log_create(&options));
    assert_int_equal(errno, ENOENT);
}

static void disabled_log_accepts_calls(void **state)
{
    (void)state;
    assert_null(access_log_begin(NULL, 0));
    assert_false(access_log_is_full(NULL, 0));
    assert_int_equal(access_log_dropped(NULL), 0);
    access_log_reopen(NULL);
    access_log_destroy(NULL);
}

/* A pipe that is never read: the ring fills up, records are dropped and counted, no thread
 * blocks, and shutdown takes no longer than the flush limit. */
static void full_ring_drops_and_counts(void **state)
{
    struct scene *scene = *state;
    unlink(scene->file);
    assert_int_equal(mkfifo(scene->file, 0600), 0);
    int reader = open(scene->file, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    struct access_log *log = open_log(scene->file, 1, 8);
    uint64_t refused = 0;
    for (int i = 0; i != 4000; ++i) {
        refused += !log_one(log, 0, 200);
        if (i % 8 == 0)
            usleep(100); /* gives the writer time to fill the pipe */
    }
    assert_true(access_log_is_full(log, 0));
    assert_true(refused > 0);
    assert_int_equal(access_log_dropped(log), refused);
    struct mono_time before = clock_mono();
    access_log_destroy(log);
    assert_in_range(clock_us_between(before, clock_mono()), 0, 4000000);
    close(reader);
}

static void dead_reader_only_loses_lines(void **state)
{
    struct scene *scene = *state;
    unlink(scene->file);
    assert_int_equal(mkfifo(scene->file, 0600), 0);
    int reader = open(scene->file, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    struct access_log *log = open_log(scene->file, 1, 8);
    close(reader);
    log_one(log, 0, 200);
    for (int i = 0; i != 500 && access_log_dropped(log) == 0; ++i)
        usleep(10000);
    assert_int_equal(access_log_dropped(log), 1);
    access_log_destroy(log);
}

struct producer {
    struct access_log *log;
    unsigned worker;
    unsigned written;
};

static void *produce(void *context)
{
    struct producer *producer = context;
    for (int i = 0; i != 20000; ++i) {
        if (log_one(producer->log, producer->worker, (int)producer->worker + 1))
            ++producer->written;
        if (i % 64 == 0)
            usleep(200);
    }
    return NULL;
}

/* Every accepted record is written completely and once. */
static void workers_write_concurrently(void **state)
{
    struct scene *scene = *state;
    struct access_log *log = open_log(scene->file, 2, 128);
    struct producer producers[2] = {{log, 0, 0}, {log, 1, 0}};
    pthread_t threads[2];
    for (int i = 0; i != 2; ++i)
        assert_int_equal(pthread_create(&threads[i], NULL, produce, &producers[i]), 0);
    for (int i = 0; i != 2; ++i)
        pthread_join(threads[i], NULL);
    uint64_t dropped = access_log_dropped(log);
    access_log_destroy(log);
    assert_int_equal(producers[0].written + producers[1].written + dropped, 40000);

    unsigned seen[2] = {0, 0};
    char text[512];
    FILE *in = fopen(scene->file, "r");
    while (fgets(text, sizeof(text), in) != NULL) {
        assert_non_null(strstr(text, ",\"outcome\":\"ok\",\"attempts\":0,\"reused\":false,"
                                     "\"bytes_in\":0,\"bytes_out\":0}\n"));
        bool first = strstr(text, "Z\",\"status\":1,") != NULL;
        assert_true(first || strstr(text, "Z\",\"status\":2,") != NULL);
        ++seen[!first];
    }
    fclose(in);
    assert_int_equal(seen[0], producers[0].written);
    assert_int_equal(seen[1], producers[1].written);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(empty_record_has_only_the_fixed_fields),
        TEST(full_line_has_documented_names_in_order),
        TEST(hostile_bytes_stay_inside_the_string),
        TEST(every_byte_is_escaped_as_json),
        TEST(long_texts_are_truncated_and_outcome_fits),
        TEST(list_is_truncated_after_a_complete_name),
        TEST(second_text_replaces_first),
        TEST(small_buffer_overflows_and_stays_empty),
        TEST(destroy_writes_pending_lines),
        TEST(record_is_written_after_idle_without_shutdown),
        TEST(uncommitted_record_is_returned_again),
        TEST(reopen_follows_rotation),
        TEST(unopenable_file_is_reported),
        TEST(disabled_log_accepts_calls),
        TEST(full_ring_drops_and_counts),
        TEST(dead_reader_only_loses_lines),
        TEST(workers_write_concurrently),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
