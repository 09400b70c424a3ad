/* Two kinds of time that the compiler keeps apart: monotonic for durations and limits, wall time
 * for dates.
 *
 * Pure code is passed a time; only code at the edge reads a clock. Both count microseconds. */
#ifndef SAGEGATE_BASE_CLOCK_H
#define SAGEGATE_BASE_CLOCK_H

#include <stdbool.h>
#include <stdint.h>

#include "base/span.h"

struct mono_time {
    int64_t us; /* since some moment during this boot; 0: not yet */
};

struct wall_time {
    int64_t us; /* since 1970-01-01T00:00:00Z, without leap seconds */
};

struct mono_time clock_mono(void);
struct wall_time clock_wall(void);

static inline int64_t clock_us_between(struct mono_time from, struct mono_time to)
{
    return to.us - from.us;
}
static inline struct mono_time clock_after_ms(struct mono_time from, int64_t ms)
{
    return (struct mono_time){from.us + ms * 1000};
}

/* A date in the proleptic Gregorian calendar, UTC. */
struct clock_date {
    int year, month, day, hour, minute, second, microsecond;
};
struct clock_date clock_date_of(struct wall_time t);
/* Returns false if the date does not exist. */
bool clock_time_of(const struct clock_date *date, struct wall_time *out);

enum {
    CLOCK_BASIC_SIZE = 17,   /* "20150830T123600Z" and NUL: ISO 8601 basic, as in x-amz-date */
    CLOCK_RFC3339_SIZE = 28, /* "2015-08-30T12:36:00.000000Z" and NUL */
    CLOCK_HTTP_SIZE = 30     /* "Sun, 30 Aug 2015 12:36:00 GMT" and NUL: RFC 9110 section 5.6.7 */
};
void clock_format_basic(struct wall_time t, char out[CLOCK_BASIC_SIZE]);
void clock_format_rfc3339(struct wall_time t, char out[CLOCK_RFC3339_SIZE]);
void clock_format_http(struct wall_time t, char out[CLOCK_HTTP_SIZE]);
/* Accepts "YYYYMMDDTHHMMSSZ" only. */
bool clock_parse_basic(struct span s, struct wall_time *out);
/* Accepts RFC 3339 with "Z" or an offset, with or without a fraction of a second, as STS and IMDS
 * send it. */
bool clock_parse_rfc3339(struct span s, struct wall_time *out);
/* Accepts "Sun, 30 Aug 2015 12:36:00 GMT" only, as clock_format_http writes it. */
bool clock_parse_http(struct span s, struct wall_time *out);

#endif
