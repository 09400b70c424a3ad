/* Makes the ids of one exchange from random bytes, the time and the caller's trace headers. */
#include "gateway/ids.h"

static const char hex_digits[] = "0123456789abcdef";

static void format_hex(char *out, const unsigned char *bytes, size_t len)
{
    for (size_t i = 0; i != len; ++i) {
        out[2 * i] = hex_digits[bytes[i] >> 4];
        out[2 * i + 1] = hex_digits[bytes[i] & 0xf];
    }
}

/* RFC 9562 section 5.7: 48 bits of milliseconds, version 7, 12 random bits, variant 10, 62 random
 * bits. */
static void format_uuid7(char out[IDS_UUID_SIZE], struct wall_time now,
                         const unsigned char random[10])
{
    uint64_t ms = (uint64_t)(now.us / 1000);
    unsigned char bytes[16];
    for (int i = 0; i != 6; ++i)
        bytes[i] = (unsigned char)(ms >> (40 - 8 * i));
    memcpy(bytes + 6, random, 10);
    bytes[6] = (unsigned char)((bytes[6] & 0x0f) | 0x70);
    bytes[8] = (unsigned char)((bytes[8] & 0x3f) | 0x80);

    static const size_t group_bytes[] = {4, 2, 2, 2, 6};
    const unsigned char *at = bytes;
    for (size_t i = 0; i != 5; ++i) {
        format_hex(out, at, group_bytes[i]);
        at += group_bytes[i];
        out += 2 * group_bytes[i];
        if (i != 4)
            *out++ = '-';
    }
}

/* Formats random bytes as hex. An id must not be all zeroes (Trace Context section 3.2.2). */
static void format_nonzero_hex(char *out, const unsigned char *random, size_t len)
{
    format_hex(out, random, len);
    for (size_t i = 0; i != len; ++i)
        if (random[i] != 0)
            return;
    out[2 * len - 1] = '1';
}

static bool is_lower_hex(struct span s)
{
    for (size_t i = 0; i != s.len; ++i)
        if (!ascii_is(s.at[i], ASCII_HEX) || ascii_lower(s.at[i]) != s.at[i])
            return false;
    return true;
}

static bool is_all_zero(struct span s)
{
    for (size_t i = 0; i != s.len; ++i)
        if (s.at[i] != '0')
            return false;
    return true;
}

/* Reads the trace id and the sampled flag, the only flag of level 1, from
 * "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01". A later version may be longer (section
 * 4); version ff is invalid. A duplicate header is ignored. */
static bool read_traceparent(const struct http1_headers *headers, struct ids *ids)
{
    if (http1_header_count(headers, SPAN("traceparent")) != 1)
        return false;
    struct span s = http1_header_value(headers, SPAN("traceparent"));
    if (s.len < IDS_TRACEPARENT_SIZE || s.at[2] != '-' || s.at[35] != '-' || s.at[52] != '-')
        return false;
    struct span version = span_make(s.at, 2);
    struct span trace_id = span_make(s.at + 3, IDS_TRACE_ID_SIZE);
    struct span parent_id = span_make(s.at + 36, IDS_SPAN_ID_SIZE);
    struct span flags = span_make(s.at + 53, 2);
    if (!is_lower_hex(version) || !is_lower_hex(trace_id) || !is_lower_hex(parent_id) ||
        !is_lower_hex(flags) || is_all_zero(trace_id) || is_all_zero(parent_id) ||
        span_equals(version, SPAN("ff")))
        return false;
    if (s.len > IDS_TRACEPARENT_SIZE && (is_all_zero(version) || s.at[IDS_TRACEPARENT_SIZE] != '-'))
        return false;
    memcpy(ids->trace_id, trace_id.at, trace_id.len);
    memcpy(ids->traceparent + 53, (ascii_hex_value(flags.at[1]) & 1) != 0 ? "01" : "00", 2);
    return true;
}

/* Reads Root from "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1": the
 * two parts after the version are the 32 digits of a W3C trace id. */
static bool read_xray_root(const struct http1_headers *headers, struct ids *ids)
{
    struct span rest = http1_header_value(headers, SPAN("x-amzn-trace-id"));
    while (rest.len != 0) {
        struct span field;
        span_split(rest, ';', &field, &rest);
        field = span_trim(field);
        if (!span_starts_with(field, SPAN("Root=1-")))
            continue;
        struct span epoch = span_make(field.at + 7, 8), unique = span_make(field.at + 16, 24);
        if (field.len != 40 || field.at[15] != '-' || !is_lower_hex(epoch) ||
            !is_lower_hex(unique) || (is_all_zero(epoch) && is_all_zero(unique)))
            return false;
        memcpy(ids->trace_id, epoch.at, epoch.len);
        memcpy(ids->trace_id + epoch.len, unique.at, unique.len);
        return true;
    }
    return false;
}

void ids_make(struct ids *ids, const unsigned char random[IDS_RANDOM_SIZE], struct wall_time now,
              const struct http1_headers *headers)
{
    format_uuid7(ids->request_id, now, random);
    format_uuid7(ids->uuid, now, random + 10);
    format_nonzero_hex(ids->span_id, random + 20, IDS_SPAN_ID_SIZE / 2);
    memcpy(ids->traceparent + 53, "01", 2);
    if (!read_traceparent(headers, ids) && !read_xray_root(headers, ids))
        format_nonzero_hex(ids->trace_id, random + 28, IDS_TRACE_ID_SIZE / 2);

    memcpy(ids->traceparent, "00-", 3);
    memcpy(ids->traceparent + 3, ids->trace_id, IDS_TRACE_ID_SIZE);
    ids->traceparent[35] = '-';
    memcpy(ids->traceparent + 36, ids->span_id, IDS_SPAN_ID_SIZE);
    ids->traceparent[52] = '-';
}
