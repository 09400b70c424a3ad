/* Writes JSON into a bounded buffer: commas, quotes and escapes in one place (RFC 8259).
 *
 * A key is SPAN_NONE for an element of an array and for the outermost value. The writer trusts
 * its caller to close what it opened. What does not fit sets the buffer's `overflowed`. */
#ifndef SAGEGATE_BASE_JSON_WRITER_H
#define SAGEGATE_BASE_JSON_WRITER_H

#include "base/buffer.h"

struct json_writer {
    struct buffer *out;
    bool comma;     /* the next value follows another one */
    bool indented;  /* each value on a line of its own, two spaces a level; else no white space */
    unsigned depth; /* open objects and arrays */
};

static inline struct json_writer json_writer_to(struct buffer *out)
{
    return (struct json_writer){.out = out};
}

void json_writer_open_object(struct json_writer *json, struct span key);
void json_writer_close_object(struct json_writer *json);
void json_writer_open_array(struct json_writer *json, struct span key);
void json_writer_close_array(struct json_writer *json);

void json_writer_add_text(struct json_writer *json, struct span key, struct span value);
void json_writer_add_u64(struct json_writer *json, struct span key, uint64_t value);
void json_writer_add_bool(struct json_writer *json, struct span key, bool value);
/* value is JSON already. */
void json_writer_add_raw(struct json_writer *json, struct span key, struct span value);

/* Appends `s` in quotes, or without them; each byte that is not part of valid UTF-8 becomes
 * U+FFFD. */
void json_writer_append_quoted(struct buffer *out, struct span s);
void json_writer_append_escaped(struct buffer *out, struct span s);
/* Writes `s` in quotes at `at`, which has room for JSON_WRITER_GROWTH * s.len + 2 bytes. Returns
 * its end. */
char *json_writer_put_quoted(char *at, struct span s);
enum { JSON_WRITER_GROWTH = 6 }; /* "\u00XX" for one byte */

#endif
