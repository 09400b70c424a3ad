/* Finds a few top-level members of a JSON object in one pass, as it arrives. Pure.
 *
 * For bodies that are passed on unchanged: builds no tree, serialises nothing, uses bounded
 * memory. Values count only once the object is complete; text that is not a JSON object (RFC
 * 8259, in UTF-8) has none. Nested values are skipped by their brackets and strings, without
 * further checks. */
#ifndef SAGEGATE_BASE_JSON_SCAN_H
#define SAGEGATE_BASE_JSON_SCAN_H

#include "base/arena.h"

enum {
    JSON_SCAN_NAMES_MAX = 8,
    JSON_SCAN_TEXT_MAX = 256,                   /* longest string kept, in bytes */
    JSON_SCAN_RAW_MAX = 6 * JSON_SCAN_TEXT_MAX, /* the same with escapes */
};

enum json_scan_kind {
    JSON_SCAN_ABSENT,
    JSON_SCAN_STRING,
    JSON_SCAN_TRUE,
    JSON_SCAN_OTHER, /* a number, false, null, an object, a list */
    JSON_SCAN_LONG,  /* a string of more than JSON_SCAN_TEXT_MAX bytes */
    JSON_SCAN_TWICE, /* the member appears more than once: parsers differ on which one counts */
};

struct json_scan_value {
    enum json_scan_kind kind;
    struct span text; /* the value of a string, unescaped */
};

struct json_scan;

/* Allocates everything in arena. names, at most JSON_SCAN_NAMES_MAX, must outlive the scan. */
struct json_scan *json_scan_create(struct arena *arena, const struct span *names, size_t count);
/* Feeds the next chunk of input, split anywhere. */
void json_scan_push(struct json_scan *scan, struct span bytes);
/* Returns a member after the last chunk; name must be one of names. ABSENT if scan is NULL: no
 * body. */
struct json_scan_value json_scan_get(const struct json_scan *scan, struct span name);

#endif
