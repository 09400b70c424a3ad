/* Header lines: reading them, what they say of framing and connection, and looking them up. */
#include "net/http1_private.h"

enum {
    LENGTH_DIGITS_MAX = 18,    /* 10^18 - 1 bytes, far from overflow wherever it is added to */
    CONNECTION_BYTES_MAX = 512 /* each header is looked up in Connection's list: it must be short */
};

/* Takes the next element off a comma-separated list (RFC 9110 section 5.6.1); it may be empty. */
static bool take_element(struct span *list, struct span *element)
{
    if (list->len == 0)
        return false;
    span_split(*list, ',', element, list);
    *element = span_trim(*element);
    return true;
}

static void note_connection(struct http1_notes *notes, struct http1_headers *headers,
                            struct span list)
{
    struct span option;
    notes->connection_bytes += list.len;
    if (notes->connection_bytes > CONNECTION_BYTES_MAX)
        return;
    while (take_element(&list, &option)) {
        if (http1_same_name(option, SPAN("close")))
            notes->close = true;
        else if (http1_same_name(option, SPAN("keep-alive")))
            notes->keep_alive = true;
        else if (option.len != 0)
            headers->connection_names_none = false;
    }
}

static void note_length(struct http1_notes *notes, struct span value)
{
    ++notes->lengths;
    if (value.len > LENGTH_DIGITS_MAX || !span_parse_u64(value, &notes->content_length))
        notes->malformed = true;
}

/* What the message itself depends on. */
static void note_header(struct http1_notes *notes, struct http1_headers *headers,
                        struct http1_header header)
{
    switch (header.name.len) {
    case 4:
        if (span_equals_ignore_case(header.name, SPAN("host"))) {
            ++notes->hosts;
            notes->host = header.value;
        }
        break;
    case 6:
        if (span_equals_ignore_case(header.name, SPAN("expect")) && header.value.len != 0) {
            bool is_continue = http1_same_name(header.value, SPAN("100-continue"));
            notes->expects |= is_continue;
            notes->expects_other |= !is_continue;
        }
        break;
    case 10:
        if (span_equals_ignore_case(header.name, SPAN("connection")))
            note_connection(notes, headers, header.value);
        break;
    case 14:
        if (span_equals_ignore_case(header.name, SPAN("content-length")))
            note_length(notes, header.value);
        break;
    case 17:
        if (span_equals_ignore_case(header.name, SPAN("transfer-encoding"))) {
            ++notes->codings;
            notes->malformed |= !http1_same_name(header.value, SPAN("chunked"));
        }
        break;
    default:
        break;
    }
}

enum http1_fault http1_read_headers(struct span lines, struct http1_headers *out,
                                    struct http1_notes *notes)
{
    out->count = 0;
    out->connection_names_none = true;
    while (lines.at[0] != '\r') {
        size_t name_len = 0;
        while (http1_char_is(lines.at[name_len], HTTP1_CHAR_TOKEN))
            ++name_len;
        if (name_len == 0 || lines.at[name_len] != ':')
            return HTTP1_BAD_HEADER;
        if (out->count == HTTP1_HEADERS_MAX)
            return HTTP1_TOO_MANY_HEADERS;
        struct http1_header *header = &out->list[out->count++];
        header->name = span_make(lines.at, name_len);
        lines = span_from_offset(lines, name_len + 1);
        header->value = span_trim(http1_take_line(&lines));
        note_header(notes, out, *header);
    }
    return notes->connection_bytes > CONNECTION_BYTES_MAX ? HTTP1_BAD_HEADER : HTTP1_OK;
}

enum http1_fault http1_judge_framing(const struct http1_notes *notes, int minor_version,
                                     enum http1_framing otherwise, enum http1_framing *framing)
{
    if (notes->malformed || notes->lengths + notes->codings > 1)
        return HTTP1_BAD_FRAMING;
    if (notes->codings != 0 && minor_version == 0)
        return HTTP1_BAD_FRAMING;
    *framing = notes->codings != 0 ? HTTP1_CHUNKED : notes->lengths != 0 ? HTTP1_LENGTH : otherwise;
    return HTTP1_OK;
}

struct span http1_header_value(const struct http1_headers *headers, struct span name)
{
    for (size_t i = 0; i != headers->count; ++i)
        if (http1_same_name(headers->list[i].name, name))
            return headers->list[i].value;
    return SPAN_NONE;
}

size_t http1_header_count(const struct http1_headers *headers, struct span name)
{
    size_t count = 0;
    for (size_t i = 0; i != headers->count; ++i)
        count += http1_same_name(headers->list[i].name, name);
    return count;
}

bool http1_list_has(const struct http1_headers *headers, struct span name, struct span token)
{
    for (size_t i = 0; i != headers->count; ++i) {
        struct span list = headers->list[i].value, element;
        if (!http1_same_name(headers->list[i].name, name))
            continue;
        while (take_element(&list, &element))
            if (http1_same_name(element, token))
                return true;
    }
    return false;
}

bool http1_is_hop_by_hop(const struct http1_headers *headers, struct span name)
{
    static const struct span always[] = {
        SPAN("connection"), SPAN("keep-alive"), SPAN("te"),
        SPAN("trailer"),    SPAN("upgrade"),    SPAN("transfer-encoding"),
    };
    for (size_t i = 0; i != sizeof(always) / sizeof(always[0]); ++i)
        if (http1_same_name(name, always[i]))
            return true;
    if (span_starts_with_ignore_case(name, SPAN("proxy-")))
        return true;
    return !headers->connection_names_none && http1_list_has(headers, SPAN("connection"), name);
}
