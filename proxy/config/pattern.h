/* Path patterns of routes: "/models/{model}.bin/predict", "/files/{rest*}". Pure.
 *
 * A segment is literal text, or one capture with literal text before and after it. `{name*}` and
 * a lone `*`, which has no name, span slashes and must be the last segment; the former matches
 * at least one character, the latter anything. No '?', '#', '%', empty or dot segments; a
 * trailing slash is part of the pattern. */
#ifndef SAGEGATE_CONFIG_PATTERN_H
#define SAGEGATE_CONFIG_PATTERN_H

#include "base/arena.h"
#include "base/check.h"

enum { PATTERN_SEGMENTS_MAX = 32, PATTERN_CAPTURES_MAX = 8 };

struct pattern_segment {
    struct span prefix; /* literal before the capture; without one the whole segment */
    struct span suffix; /* literal after the capture */
    struct span name;   /* of the capture; empty if it has none */
    bool captures;
    bool spans_slashes; /* {name*} or * */
};

struct pattern {
    struct pattern_segment *segments;
    size_t segment_count;
};

/* Names are [A-Za-z_][A-Za-z0-9_]* and unique. On failure sets *fault to a message in arena. */
MUST_USE bool pattern_parse(struct span text, struct arena *arena, struct pattern *out,
                            struct span *fault);
bool pattern_has_capture(const struct pattern *pattern, struct span name);

#endif
