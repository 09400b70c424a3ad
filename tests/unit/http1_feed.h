/* Shared by the HTTP/1 tests: feeds heads whole and byte by byte from blocks of exactly their
 * size so that ASan detects reads past the end. */
#ifndef SAGEGATE_TESTS_HTTP1_FEED_H
#define SAGEGATE_TESTS_HTTP1_FEED_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "net/http1.h"

/* In addition to the values of enum http1_fault. */
enum { FEED_SCAN_REFUSES = -1, FEED_INCOMPLETE = -2 };

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
/* A literal that may contain NUL bytes. */
#define HEAD(literal)                                                                              \
    {                                                                                              \
        literal, sizeof(literal) - 1                                                               \
    }

static inline struct span feed_copy(struct span s)
{
    char *at = malloc(s.len == 0 ? 1 : s.len);
    assert_non_null(at);
    if (s.len != 0)
        memcpy(at, s.at, s.len);
    return span_make(at, s.len);
}

static inline void feed_free(struct span s)
{
    free((char *)(uintptr_t)s.at);
}

/* Runs http1_scan_head over the whole; fails the test if feeding byte by byte differs. */
static inline long feed_scan(struct span bytes)
{
    size_t scanned = 0, scanned_whole = 0;
    long whole = http1_scan_head(bytes, &scanned_whole), step = 0;
    for (size_t len = 0; len <= bytes.len && step == 0; ++len) {
        struct span prefix = feed_copy(span_make(bytes.at, len));
        size_t from_start = 0;
        step = http1_scan_head(prefix, &scanned);
        assert_int_equal(http1_scan_head(prefix, &from_start), step);
        assert_true(scanned <= len);
        if (step > 0)
            assert_int_equal(step, len);
        feed_free(prefix);
    }
    assert_int_equal(step, whole);
    return whole;
}

static inline void feed_check_text(const char *what, struct span got, const char *expected)
{
    if (expected == NULL ? got.at == NULL : span_equals(got, span_from(expected)))
        return;
    print_error("%s: got \"%.*s\", expected \"%s\"\n", what, SPAN_ARG(got),
                expected == NULL ? "(none)" : expected);
    fail();
}

#endif
