/* A few top-level members of a JSON object, found in one pass over it as it arrives: bytes in, values out. Pure.
 *
 * For bodies that are passed on as they are: nothing is built, nothing re-serialised, memory is bounded whatever comes.
 * Values count only once the object is whole; of text that is no JSON object (RFC 8259, in UTF-8) nothing is known. What
 * is nested is skipped by its brackets and strings, and not checked further. */
#ifndef SAGEGATE_BASE_JSON_SCAN_H
#define SAGEGATE_BASE_JSON_SCAN_H

#include "base/arena.h"

enum {
    JSON_SCAN_NAMES_MAX = 8,
    JSON_SCAN_TEXT_MAX = 256,                   /* bytes of a string that is kept */
    JSON_SCAN_RAW_MAX = 6 * JSON_SCAN_TEXT_MAX, /* as it is written, with escapes */
};

enum json_scan_kind {
    JSON_SCAN_ABSENT,
    JSON_SCAN_STRING,
    JSON_SCAN_TRUE,
    JSON_SCAN_OTHER, /* a number, false, null, an object, a list */
    JSON_SCAN_LONG,  /* a string of more than JSON_SCAN_TEXT_MAX bytes */
    JSON_SCAN_TWICE, /* the member is there more than once: readers differ on which counts */
};

struct json_scan_value {
    enum json_scan_kind kind;
    struct span text; /* of a string, without escapes */
};

struct json_scan;

/* In arena, as all it keeps. names (at most JSON_SCAN_NAMES_MAX) must live as long. */
struct json_scan *json_scan_create(struct arena *arena, const struct span *names, size_t count);
/* The next piece of the text, cut anywhere. */
void json_scan_push(struct json_scan *scan, struct span bytes);
/* What is known of a member after the last piece; name is one of names. Of NULL (there was no body) nothing is known. */
struct json_scan_value json_scan_get(const struct json_scan *scan, struct span name);

#endif
