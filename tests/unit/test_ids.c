// links: net gateway
/* Ids: UUID version 7, the client's trace headers, and invalid ones. */
#include "gateway/ids.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#define TRACE "4bf92f3577b34da6a3ce929d0e0e4736"

static const struct wall_time at = {INT64_C(0x017F22E279B0) * 1000 + 999}; /* RFC 9562 A.6 */

static struct ids make(const unsigned char random[IDS_RANDOM_SIZE], const char *name,
                       const char *value)
{
    struct http1_headers headers = {.count = 0};
    struct ids ids;
    if (name != NULL)
        headers.list[headers.count++] = (struct http1_header){span_from(name), span_from(value)};
    memset(&ids, '?', sizeof(ids));
    ids_make(&ids, random, at, &headers);
    return ids;
}

/* RFC 9562 appendix A.6: 017F22E2-79B0-7CC3-98C4-DC0C0C07398F. */
static void test_formats_the_rfc_example(void **state)
{
    unsigned char random[IDS_RANDOM_SIZE] = {0xFC, 0xC3, 0x58, 0xC4, 0xDC,
                                             0x0C, 0x0C, 0x07, 0x39, 0x8F};
    (void)state;
    struct ids ids = make(random, NULL, NULL);
    assert_memory_equal(ids.request_id, "017f22e2-79b0-7cc3-98c4-dc0c0c07398f", IDS_UUID_SIZE);
    assert_memory_equal(ids.uuid, "017f22e2-79b0-7000-8000-000000000000", IDS_UUID_SIZE);
}

static void test_makes_new_ids(void **state)
{
    unsigned char random[IDS_RANDOM_SIZE];
    (void)state;
    for (size_t i = 0; i != sizeof(random); ++i)
        random[i] = (unsigned char)(i + 1);
    struct ids ids = make(random, NULL, NULL);
    assert_memory_not_equal(ids.request_id, ids.uuid, IDS_UUID_SIZE);
    assert_memory_equal(ids.span_id, "15161718191a1b1c", IDS_SPAN_ID_SIZE);
    assert_memory_equal(ids.trace_id, "1d1e1f202122232425262728292a2b2c", IDS_TRACE_ID_SIZE);
    assert_memory_equal(ids.traceparent, "00-1d1e1f202122232425262728292a2b2c-15161718191a1b1c-01",
                        IDS_TRACEPARENT_SIZE);
}

static void test_never_makes_a_zero_id(void **state)
{
    const unsigned char random[IDS_RANDOM_SIZE] = {0};
    (void)state;
    struct ids ids = make(random, NULL, NULL);
    assert_memory_equal(ids.traceparent, "00-00000000000000000000000000000001-0000000000000001-01",
                        IDS_TRACEPARENT_SIZE);
}

static void test_continues_a_trace(void **state)
{
    static const struct {
        const char *name, *value, *trace_id, *flags;
    } rows[] = {
        {"traceparent", "00-" TRACE "-00f067aa0ba902b7-01", TRACE, "01"},
        {"Traceparent", "00-" TRACE "-00f067aa0ba902b7-00", TRACE, "00"},
        {"traceparent", "00-" TRACE "-00f067aa0ba902b7-ff", TRACE, "01"},
        {"traceparent", "00-" TRACE "-00f067aa0ba902b7-02", TRACE, "00"},
        {"traceparent", "cc-" TRACE "-00f067aa0ba902b7-01", TRACE, "01"},
        {"traceparent", "01-" TRACE "-00f067aa0ba902b7-01-what", TRACE, "01"},
        {"X-Amzn-Trace-Id", "Root=1-5759e988-bd862e3fe1be46a994272793",
         "5759e988bd862e3fe1be46a994272793", "01"},
        {"x-amzn-trace-id",
         "Self=1-67891234-12456789abcdef012345678; Root=1-5759e988-bd862e3fe1be46a994272793;"
         "Parent=53995c3f42cd8ad8;Sampled=1",
         "5759e988bd862e3fe1be46a994272793", "01"},
    };
    const unsigned char random[IDS_RANDOM_SIZE] = {[20] = 0xab};
    (void)state;
    for (size_t i = 0; i != sizeof(rows) / sizeof(rows[0]); ++i) {
        struct ids ids = make(random, rows[i].name, rows[i].value);
        char wanted[IDS_TRACEPARENT_SIZE + 1];
        snprintf(wanted, sizeof(wanted), "00-%s-ab00000000000000-%s", rows[i].trace_id,
                 rows[i].flags);
        if (memcmp(ids.traceparent, wanted, IDS_TRACEPARENT_SIZE) != 0)
            fail_msg("%s: %.55s", rows[i].value, ids.traceparent);
        assert_memory_equal(ids.trace_id, rows[i].trace_id, IDS_TRACE_ID_SIZE);
    }
}

static void test_invalid_trace_is_ignored(void **state)
{
    static const char *const rows[][2] = {
        {"traceparent", ""},
        {"traceparent", "00"},
        {"traceparent", "ff-" TRACE "-00f067aa0ba902b7-01"},
        {"traceparent", "0g-" TRACE "-00f067aa0ba902b7-01"},
        {"traceparent", "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01"},
        {"traceparent", "00-00000000000000000000000000000000-00f067aa0ba902b7-01"},
        {"traceparent", "00-" TRACE "-0000000000000000-01"},
        {"traceparent", "00-" TRACE "-00f067aa0ba902b7-0"},
        {"traceparent", "00-" TRACE "-00f067aa0ba902b7-0x"},
        {"traceparent", "00-" TRACE "-00f067aa0ba902b7-01-what"},
        {"traceparent", "01-" TRACE "-00f067aa0ba902b7-01what"},
        {"traceparent", "00_" TRACE "-00f067aa0ba902b7-01"},
        {"traceparent", "00-" TRACE "_00f067aa0ba902b7-01"},
        {"traceparent", "00-" TRACE "-00f067aa0ba902b7_01"},
        {"X-Amzn-Trace-Id", ""},
        {"X-Amzn-Trace-Id", "Root="},
        {"X-Amzn-Trace-Id", "Root=1-"},
        {"X-Amzn-Trace-Id", "Root=2-5759e988-bd862e3fe1be46a994272793"},
        {"X-Amzn-Trace-Id", "Root=1-5759e988-bd862e3fe1be46a99427279"},
        {"X-Amzn-Trace-Id", "Root=1-5759e988xbd862e3fe1be46a994272793"},
        {"X-Amzn-Trace-Id", "Root=1-5759e98g-bd862e3fe1be46a994272793"},
        {"X-Amzn-Trace-Id", "Root=1-00000000-000000000000000000000000"},
        {"X-Amzn-Trace-Id", "Parent=53995c3f42cd8ad8;Sampled=1"},
    };
    const unsigned char random[IDS_RANDOM_SIZE] = {[28] = 0xcd};
    (void)state;
    for (size_t i = 0; i != sizeof(rows) / sizeof(rows[0]); ++i) {
        struct ids ids = make(random, rows[i][0], rows[i][1]);
        if (memcmp(ids.trace_id, "cd000000000000000000000000000000", IDS_TRACE_ID_SIZE) != 0)
            fail_msg("%s was accepted", rows[i][1]);
        assert_memory_equal(ids.traceparent + 53, "01", 2);
    }
}

static void test_duplicate_traceparents_are_ignored(void **state)
{
    const unsigned char random[IDS_RANDOM_SIZE] = {[28] = 0xcd};
    struct span value = SPAN("00-" TRACE "-00f067aa0ba902b7-00");
    struct http1_headers headers = {
        .list = {{SPAN("traceparent"), value}, {SPAN("traceparent"), value}}, .count = 2};
    struct ids ids;
    (void)state;
    ids_make(&ids, random, at, &headers);
    assert_memory_equal(ids.trace_id, "cd000000000000000000000000000000", IDS_TRACE_ID_SIZE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_formats_the_rfc_example),
        cmocka_unit_test(test_makes_new_ids),
        cmocka_unit_test(test_never_makes_a_zero_id),
        cmocka_unit_test(test_continues_a_trace),
        cmocka_unit_test(test_invalid_trace_is_ignored),
        cmocka_unit_test(test_duplicate_traceparents_are_ignored),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
