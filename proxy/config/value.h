/* Single values as a configuration writes them: sizes, times, booleans, addresses. Pure.
 *
 * Each parser gives false, with *fault a text for a person in arena ("what is wrong, what would
 * be right"), and leaves *out alone. */
#ifndef SAGEGATE_CONFIG_VALUE_H
#define SAGEGATE_CONFIG_VALUE_H

#include "base/check.h"
#include "config/config.h"

MUST_USE bool value_parse_count(struct span text, struct arena *arena, int64_t *out,
                                struct span *fault);
/* Bytes: 64KiB, 25MiB, 1GiB, or a plain number. */
MUST_USE bool value_parse_size(struct span text, struct arena *arena, int64_t *out,
                               struct span *fault);
/* Milliseconds: 500ms, 3s, 10m, 1h; a number alone is a fault. */
MUST_USE bool value_parse_time(struct span text, struct arena *arena, int64_t *out,
                               struct span *fault);
MUST_USE bool value_parse_bool(struct span text, struct arena *arena, bool *out,
                               struct span *fault);
/* All but unix_mode, which becomes 0600. Texts in arena, ending in NUL as config.h says. */
MUST_USE bool value_parse_address(struct span text, struct arena *arena, struct config_address *out,
                                  struct span *fault);
/* "10.0.0.0/8", "::1", "uid:1000" or "*"; its text is the caller's. */
MUST_USE bool value_parse_peer(struct span text, struct arena *arena, struct config_peer *out,
                               struct span *fault);
/* "0660". */
MUST_USE bool value_parse_mode(struct span text, struct arena *arena, unsigned *out,
                               struct span *fault);
/* A literal: $$ becomes a dollar, ${...} is a fault. The result is in arena and ends in NUL. */
MUST_USE bool value_parse_text(struct span text, struct arena *arena, struct span *out,
                               struct span *fault);

/* The largest unit that is exact: 90000 is "90s", 600000 "10m"; 128000 is "128000", 65536
 * "64KiB". In arena. */
struct span value_print_time(int64_t ms, struct arena *arena);
struct span value_print_size(int64_t bytes, struct arena *arena);

#endif
