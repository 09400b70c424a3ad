/* One pattern against one path: does it take the path, and what do its captures hold. Pure.
 *
 * The rules of what a capture may hold stand here alone, so that the trie, `explain` and the tests
 * judge alike. Paths are compared byte for byte as they came; only captures are decoded. */
#ifndef SAGEGATE_GATEWAY_PATH_MATCH_H
#define SAGEGATE_GATEWAY_PATH_MATCH_H

#include "config/pattern.h"
#include "gateway/route.h"

/* False where some '%' is not followed by two hex digits. */
bool path_match_escapes_are_valid(struct span path);

/* s with its %-escapes decoded, in arena; they must be valid. */
struct span path_match_decode(struct span s, struct arena *arena);

/* Takes the segment's literal text off both ends of `text` (one segment of a path, or all of the
 * rest where the segment spans slashes). The escapes in text must be valid. False where it does not stand there. What is left may be
 * empty. */
bool path_match_strip(const struct pattern_segment *segment, struct span text,
                      struct span *captured);

/* True where a capture may hold `captured` (raw): it and each part between its slashes is neither
 * empty nor a dot segment ("." or "..", also in escapes), and has no slash, backslash or NUL in escapes
 * (%2F, %5C, %00). */
bool path_match_may_capture(struct span captured);

enum path_match_result {
    PATH_MATCH_YES,
    PATH_MATCH_NO,
    PATH_MATCH_REFUSED, /* but for what a capture would hold */
};

/* *captures and *count are filled on YES only; pass NULL for both to ask without them. */
enum path_match_result path_match(const struct pattern *pattern, struct span path,
                                  struct arena *arena,
                                  struct route_capture captures[ROUTE_CAPTURES_MAX], size_t *count);

#endif
