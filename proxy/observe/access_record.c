/* Formats access records as JSON without printf: plain copies, escapes only where needed. */
#include "observe/access.h"

#include "base/json_writer.h"

#define X(name, key, max, doc) +((max) == ACCESS_LONG_TEXT ? 0 : (max))
enum { LONG_TEXTS_SIZE = ACCESS_TEXT_SIZE - (ACCESS_TEXT_TABLE(X)) };
#undef X
_Static_assert((int)LONG_TEXTS_SIZE >= (int)ACCESS_LONG_TEXT, "a long text of full size fits");

static const struct {
    struct span key; /* with its comma and colon */
    size_t max;
} text_table[ACCESS_TEXTS] = {
#define X(name, key, max, doc) [ACCESS_##name] = {SPAN(",\"" #key "\":"), max},
    ACCESS_TEXT_TABLE(X)
#undef X
};

static const struct span time_keys[ACCESS_TIMES] = {
#define X(name, key, doc) [ACCESS_##name] = SPAN(",\"" #key "\":"),
    ACCESS_TIME_TABLE(X)
#undef X
};

void access_record_init(struct access_record *record)
{
    memset(record, 0, offsetof(struct access_record, text));
    record->model_status = -1;
    for (int i = 0; i != ACCESS_TIMES; ++i)
        record->times[i] = -1;
}

/* ---- texts ---- */

static bool is_list(enum access_text field)
{
    return field == ACCESS_OVERRIDDEN || field == ACCESS_DROPPED_HEADERS;
}

static size_t smaller(size_t a, size_t b)
{
    return a < b ? a : b;
}

static bool is_long(enum access_text field)
{
    return text_table[field].max == ACCESS_LONG_TEXT;
}

/* Returns the room for a field's first value, in bytes. */
static size_t room_for(const struct access_record *record, enum access_text field)
{
    size_t room = smaller(ACCESS_TEXT_SIZE - record->text_used, text_table[field].max);
    return is_long(field) ? smaller(room, LONG_TEXTS_SIZE - record->long_text_used) : room;
}

/* Cuts s to max bytes, a list after its last whole name. */
static struct span cut(struct span s, size_t max, bool list)
{
    if (s.len <= max)
        return s;
    while (list && max != 0 && s.at[max] != ',')
        --max;
    return span_make(s.at, max);
}

void access_record_set(struct access_record *record, enum access_text field, struct span value)
{
    bool again = record->texts[field].len != 0;
    size_t room = again ? record->texts[field].len : room_for(record, field);
    value = cut(value, room, is_list(field));
    if (!again) {
        record->texts[field].at = record->text_used;
        record->text_used = (uint16_t)(record->text_used + value.len);
        if (is_long(field))
            record->long_text_used = (uint16_t)(record->long_text_used + value.len);
    }
    if (value.len != 0)
        memcpy(record->text + record->texts[field].at, value.at, value.len);
    record->texts[field].len = (uint16_t)value.len;
}

struct span access_record_get(const struct access_record *record, enum access_text field)
{
    if (record->texts[field].len == 0)
        return SPAN_NONE;
    return span_make(record->text + record->texts[field].at, record->texts[field].len);
}

/* ---- the line: each put_ writes at `at`, which has room, and returns its end ---- */

static char *put(char *at, struct span s)
{
    memcpy(at, s.at, s.len);
    return at + s.len;
}

static char *put_u64(char *at, uint64_t value)
{
    char digits[20];
    size_t first = sizeof(digits);
    do {
        digits[--first] = (char)('0' + value % 10);
        value /= 10;
    } while (value != 0);
    return put(at, span_make(digits + first, sizeof(digits) - first));
}

static char *put_texts(char *at, const struct access_record *record, enum access_text first,
                       enum access_text last)
{
    for (enum access_text i = first; i <= last; ++i)
        if (record->texts[i].len != 0)
            at = json_writer_put_quoted(put(at, text_table[i].key), access_record_get(record, i));
    return at;
}

static char *put_list(char *at, const struct access_record *record, enum access_text field)
{
    struct span name, rest = access_record_get(record, field);
    if (rest.len == 0)
        return at;
    at = put(at, text_table[field].key);
    *at++ = '[';
    while (rest.len != 0) {
        span_split(rest, ',', &name, &rest);
        at = json_writer_put_quoted(at, name);
        if (rest.len != 0)
            *at++ = ',';
    }
    *at++ = ']';
    return at;
}

static char *put_times(char *at, const struct access_record *record, enum access_time first,
                       enum access_time last)
{
    for (enum access_time i = first; i <= last; ++i)
        if (record->times[i] >= 0)
            at = put_u64(put(at, time_keys[i]), (uint64_t)record->times[i]);
    return at;
}

static char *put_how_it_ended(char *at, const struct access_record *record)
{
    at = put_u64(put(at, SPAN(",\"status\":")), record->status > 0 ? (uint64_t)record->status : 0);
    at = put_texts(at, record, ACCESS_OUTCOME, ACCESS_AWS_ERROR);
    if (record->model_status >= 0)
        at = put_u64(put(at, SPAN(",\"model_status\":")), (uint64_t)record->model_status);
    at = put_texts(at, record, ACCESS_AWS_REQUEST_ID, ACCESS_AWS_REQUEST_ID);
    at = put_u64(put(at, SPAN(",\"attempts\":")), record->attempts);
    at = put(at, record->reused ? SPAN(",\"reused\":true") : SPAN(",\"reused\":false"));
    at = put_u64(put(at, SPAN(",\"bytes_in\":")), record->bytes_in);
    return put_u64(put(at, SPAN(",\"bytes_out\":")), record->bytes_out);
}

void access_record_format(const struct access_record *record, struct buffer *out)
{
    char time[CLOCK_RFC3339_SIZE];
    char *start = buffer_reserve(out, ACCESS_LINE_MAX), *at = start;
    if (start == NULL)
        return;
    clock_format_rfc3339(record->time, time);
    at = json_writer_put_quoted(put(at, SPAN("{\"time\":")), span_make(time, sizeof(time) - 1));
    at = put_texts(at, record, ACCESS_REQUEST_ID, ACCESS_PATH);
    at = put_how_it_ended(at, record);
    at = put_list(at, record, ACCESS_OVERRIDDEN);
    at = put_list(at, record, ACCESS_DROPPED_HEADERS);
    at = put_times(at, record, ACCESS_RECEIVE_US, ACCESS_TOTAL_US);
    if (record->parts != 0)
        at = put_u64(put(at, SPAN(",\"parts\":")), record->parts);
    at = put_times(at, record, ACCESS_GAP_MAX_US, ACCESS_GAP_MAX_US);
    at = put(at, SPAN("}\n"));
    buffer_take(out, (size_t)(at - start));
}
