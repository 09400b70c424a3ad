/* Reads clocks, formats and parses dates without the C library's calendar, its locks and its
 * locale. */
#include "base/clock.h"

#include <stdio.h>
#include <time.h>

struct mono_time clock_mono(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (struct mono_time){(int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000};
}

struct wall_time clock_wall(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_REALTIME, &ts);
    return (struct wall_time){(int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000};
}

static int64_t floor_div(int64_t a, int64_t b)
{
    return a / b - (a % b < 0);
}

/* Returns the days since 1970-01-01; years begin in March, so that leap days come last. */
static int64_t days_from_civil(int64_t year, int month, int day)
{
    year -= month <= 2;
    int64_t era = floor_div(year, 400);
    int64_t year_of_era = year - era * 400;
    int64_t day_of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
    return era * 146097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year -
           719468;
}

struct clock_date clock_date_of(struct wall_time t)
{
    int64_t seconds = floor_div(t.us, 1000000);
    int64_t days = floor_div(seconds, 86400);
    int64_t second_of_day = seconds - days * 86400;

    int64_t z = days + 719468;
    int64_t era = floor_div(z, 146097);
    int64_t doe = z - era * 146097;
    int64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
    int64_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    int64_t mp = (5 * doy + 2) / 153;
    int month = (int)(mp < 10 ? mp + 3 : mp - 9);
    return (struct clock_date){
        .year = (int)(yoe + era * 400 + (month <= 2)),
        .month = month,
        .day = (int)(doy - (153 * mp + 2) / 5 + 1),
        .hour = (int)(second_of_day / 3600),
        .minute = (int)(second_of_day / 60 % 60),
        .second = (int)(second_of_day % 60),
        .microsecond = (int)(t.us - seconds * 1000000),
    };
}

bool clock_time_of(const struct clock_date *d, struct wall_time *out)
{
    static const int month_days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    if (d->month < 1 || d->month > 12 || d->day < 1 || d->hour < 0 || d->hour > 23 ||
        d->minute < 0 || d->minute > 59 || d->second < 0 || d->second > 59)
        return false;
    bool leap = (d->year % 4 == 0 && d->year % 100 != 0) || d->year % 400 == 0;
    if (d->day > month_days[d->month - 1] + (leap && d->month == 2))
        return false;
    int64_t seconds = days_from_civil(d->year, d->month, d->day) * 86400 + d->hour * 3600 +
                      d->minute * 60 + d->second;
    out->us = seconds * 1000000 + d->microsecond;
    return true;
}

static void put_digits(char *at, int value, int digits)
{
    for (int i = digits; i-- > 0; value /= 10)
        at[i] = (char)('0' + value % 10);
}

void clock_format_basic(struct wall_time t, char out[CLOCK_BASIC_SIZE])
{
    struct clock_date d = clock_date_of(t);
    memcpy(out, "00000000T000000Z", CLOCK_BASIC_SIZE);
    put_digits(out, d.year, 4);
    put_digits(out + 4, d.month, 2);
    put_digits(out + 6, d.day, 2);
    put_digits(out + 9, d.hour, 2);
    put_digits(out + 11, d.minute, 2);
    put_digits(out + 13, d.second, 2);
}

void clock_format_rfc3339(struct wall_time t, char out[CLOCK_RFC3339_SIZE])
{
    struct clock_date d = clock_date_of(t);
    memcpy(out, "0000-00-00T00:00:00.000000Z", CLOCK_RFC3339_SIZE);
    put_digits(out, d.year, 4);
    put_digits(out + 5, d.month, 2);
    put_digits(out + 8, d.day, 2);
    put_digits(out + 11, d.hour, 2);
    put_digits(out + 14, d.minute, 2);
    put_digits(out + 17, d.second, 2);
    put_digits(out + 20, d.microsecond, 6);
}

void clock_format_http(struct wall_time t, char out[CLOCK_HTTP_SIZE])
{
    static const char days[] = "ThuFriSatSunMonTueWed"; /* 1970-01-01 was a Thursday */
    static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    struct clock_date d = clock_date_of(t);
    int64_t day_number = floor_div(t.us, 86400LL * 1000000);
    int64_t weekday = day_number - floor_div(day_number, 7) * 7;
    memcpy(out, "Thu, 00 Jan 0000 00:00:00 GMT", CLOCK_HTTP_SIZE);
    memcpy(out, days + 3 * weekday, 3);
    put_digits(out + 5, d.day, 2);
    memcpy(out + 8, months + 3 * (d.month - 1), 3);
    put_digits(out + 12, d.year, 4);
    put_digits(out + 17, d.hour, 2);
    put_digits(out + 20, d.minute, 2);
    put_digits(out + 23, d.second, 2);
}

/* Removes exactly `digits` digits from the front of *s. */
static bool take_number(struct span *s, size_t digits, int *out)
{
    uint64_t value;
    if (s->len < digits || !span_parse_u64(span_make(s->at, digits), &value))
        return false;
    *out = (int)value;
    *s = span_from_offset(*s, digits);
    return true;
}

static bool take_char(struct span *s, char c)
{
    if (s->len == 0 || s->at[0] != c)
        return false;
    *s = span_from_offset(*s, 1);
    return true;
}

bool clock_parse_basic(struct span s, struct wall_time *out)
{
    struct clock_date d = {0};
    return take_number(&s, 4, &d.year) && take_number(&s, 2, &d.month) &&
           take_number(&s, 2, &d.day) && take_char(&s, 'T') && take_number(&s, 2, &d.hour) &&
           take_number(&s, 2, &d.minute) && take_number(&s, 2, &d.second) && take_char(&s, 'Z') &&
           s.len == 0 && clock_time_of(&d, out);
}

/* Removes a fraction of any length, truncated to microseconds, if there is one. */
static bool take_fraction(struct span *s, int *microsecond)
{
    if (!take_char(s, '.'))
        return true;
    int scale = 100000, value = 0;
    size_t digits = 0;
    for (; digits != s->len && ascii_is_digit(s->at[digits]); ++digits, scale /= 10)
        value += (s->at[digits] - '0') * scale;
    *microsecond = value;
    *s = span_from_offset(*s, digits);
    return digits != 0;
}

static bool take_offset(struct span *s, int64_t *seconds)
{
    int hours, minutes;
    if (take_char(s, 'Z') || take_char(s, 'z')) {
        *seconds = 0;
        return true;
    }
    bool east = take_char(s, '+');
    if (!east && !take_char(s, '-'))
        return false;
    if (!take_number(s, 2, &hours) || !take_char(s, ':') || !take_number(s, 2, &minutes) ||
        hours > 23 || minutes > 59)
        return false;
    *seconds = (hours * 3600 + minutes * 60) * (east ? 1 : -1);
    return true;
}

bool clock_parse_rfc3339(struct span s, struct wall_time *out)
{
    struct clock_date d = {0};
    struct wall_time t;
    int64_t offset;
    if (!take_number(&s, 4, &d.year) || !take_char(&s, '-') || !take_number(&s, 2, &d.month) ||
        !take_char(&s, '-') || !take_number(&s, 2, &d.day))
        return false;
    if (!take_char(&s, 'T') && !take_char(&s, 't') && !take_char(&s, ' '))
        return false;
    if (!take_number(&s, 2, &d.hour) || !take_char(&s, ':') || !take_number(&s, 2, &d.minute) ||
        !take_char(&s, ':') || !take_number(&s, 2, &d.second))
        return false;
    if (!take_fraction(&s, &d.microsecond) || !take_offset(&s, &offset) || s.len != 0 ||
        !clock_time_of(&d, &t))
        return false;
    out->us = t.us - offset * 1000000;
    return true;
}

/* Formats the parsed date again and compares, which checks the weekday, the spaces and "GMT". */
bool clock_parse_http(struct span s, struct wall_time *out)
{
    static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    static const uint8_t offsets[] = {5,  7,  12, 14,
                                      17, 20, 23}; /* two digits each, except the month */
    int pairs[7] = {0};
    char again[CLOCK_HTTP_SIZE];
    struct wall_time t;
    if (s.len != CLOCK_HTTP_SIZE - 1)
        return false;
    for (int i = 0; i != 7; ++i) {
        const char *at = s.at + offsets[i];
        if (i != 1 && (!ascii_is_digit(at[0]) || !ascii_is_digit(at[1])))
            return false;
        pairs[i] = (at[0] - '0') * 10 + at[1] - '0';
    }
    struct clock_date date = {.year = pairs[2] * 100 + pairs[3],
                              .day = pairs[0],
                              .hour = pairs[4],
                              .minute = pairs[5],
                              .second = pairs[6]};
    for (int i = 0; i != 12; ++i)
        if (memcmp(months + (size_t)i * 3, s.at + 8, 3) == 0)
            date.month = i + 1;
    if (date.month == 0 || !clock_time_of(&date, &t))
        return false;
    clock_format_http(t, again);
    if (memcmp(again, s.at, s.len) != 0)
        return false;
    *out = t;
    return true;
}
