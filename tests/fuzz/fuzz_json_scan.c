/* Arbitrary text in arbitrary pieces: the scan gives the same result as over the whole and
 * agrees with jansson on complete objects. */
#include "base/json_scan.h"

#include "base/check.h"

#include <jansson.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

static const struct span names[] = {SPAN("stream"), SPAN("model"), SPAN("")};
enum { NAMES = sizeof(names) / sizeof(names[0]) };

static struct json_scan *scan_in_pieces(struct span text, size_t step, struct arena *arena)
{
    struct json_scan *scan = json_scan_create(arena, names, NAMES);
    while (text.len != 0) {
        size_t size = text.len < step ? text.len : step;
        json_scan_push(scan, span_make(text.at, size));
        text = span_from_offset(text, size);
    }
    return scan;
}

/* jansson's strictest mode also rejects duplicate members and invalid UTF-8. */
static void check_against_jansson(struct span text, const struct json_scan *scan)
{
    /* ... but accepts NUL bytes after a literal. */
    if (memchr(text.at, '\0', text.len) != NULL)
        return;
    json_t *root = json_loadb(text.at, text.len, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, NULL);
    for (size_t i = 0; json_is_object(root) && i != NAMES; ++i) {
        const json_t *member = json_object_getn(root, names[i].at, names[i].len);
        struct json_scan_value value = json_scan_get(scan, names[i]);
        CHECK(value.kind != JSON_SCAN_TWICE);
        CHECK((member == NULL) == (value.kind == JSON_SCAN_ABSENT));
        CHECK(json_is_true(member) == (value.kind == JSON_SCAN_TRUE));
        if (value.kind == JSON_SCAN_STRING)
            CHECK(span_equals(value.text,
                              span_make(json_string_value(member), json_string_length(member))));
        if (value.kind == JSON_SCAN_LONG)
            CHECK(json_string_length(member) > JSON_SCAN_TEXT_MAX);
    }
    json_decref(root);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    struct arena arena;
    if (len == 0)
        return 0;
    struct span text = span_make((const char *)bytes + 1, len - 1);
    arena_init(&arena, 65536);
    const struct json_scan *whole = scan_in_pieces(text, len, &arena);
    const struct json_scan *pieces = scan_in_pieces(text, 1 + bytes[0] % 7, &arena);
    for (size_t i = 0; i != NAMES; ++i) {
        struct json_scan_value a = json_scan_get(whole, names[i]);
        struct json_scan_value b = json_scan_get(pieces, names[i]);
        CHECK(a.kind == b.kind && span_equals(a.text, b.text));
        CHECK(a.text.len <= JSON_SCAN_TEXT_MAX);
    }
    check_against_jansson(text, whole);
    arena_dispose(&arena);
    return 0;
}
