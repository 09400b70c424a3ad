/* The value of one scalar: from a configuration's text by the row of its setting, and back. Pure.
 *
 * Each parser returns false, with *fault a message in arena (what is wrong, how to fix it), and
 * leaves *out unchanged. */
#ifndef SAGEGATE_CONFIG_VALUE_H
#define SAGEGATE_CONFIG_VALUE_H

#include "base/check.h"
#include "config/setting.h"

/* The member that counts is given by the setting's type. */
union value {
    int64_t
        number; /* COUNT, SIZE, TIME, MODE; BOOL: 0 or 1; WORD: its value; PARAMETER: its enum */
    const struct template *template; /* TEMPLATE */
    struct config_address address;   /* ADDRESS, without unix_mode */
    struct config_peer peer;         /* PEER */
    struct span text;                /* all other scalars; ends in NUL */
};

/* By type, range and form of the setting. The value lives in arena. */
MUST_USE bool value_parse(const struct setting *setting, struct span text, struct arena *arena,
                          union value *out, struct span *fault);
/* As a file would have it, quoted if need be; in arena. */
struct span value_print(const struct setting *setting, const union value *value,
                        struct arena *arena);

/* A text in double quotes, with dollars written $$; in arena. */
struct span value_quote(struct span text, struct arena *arena);

/* "1ms to 5m", in arena; empty if the setting has no range. */
struct span value_range(const struct setting *setting, struct arena *arena);

/* Bytes: 64KiB, 25MiB, 1GiB, or a plain number. */
MUST_USE bool value_parse_size(struct span text, struct arena *arena, int64_t *out,
                               struct span *fault);
/* Milliseconds: 500ms, 3s, 10m, 1h; a number alone is a fault. */
MUST_USE bool value_parse_time(struct span text, struct arena *arena, int64_t *out,
                               struct span *fault);
/* All but unix_mode, which becomes 0600. Texts in arena, ending in NUL as config.h says. */
MUST_USE bool value_parse_address(struct span text, struct arena *arena, struct config_address *out,
                                  struct span *fault);
/* "10.0.0.0/8", "::1", "uid:1000" or "*"; out->text is the given text. */
MUST_USE bool value_parse_peer(struct span text, struct arena *arena, struct config_peer *out,
                               struct span *fault);
/* A literal: $$ becomes a dollar, ${...} is a fault. The result is in arena and ends in NUL. */
MUST_USE bool value_parse_text(struct span text, struct arena *arena, struct span *out,
                               struct span *fault);

/* A name of the user's choice: 1 to VALUE_NAME_MAX of ASCII_NAME. */
enum { VALUE_NAME_MAX = 64 };
MUST_USE bool value_parse_name(struct span text, struct arena *arena, struct span *fault);
MUST_USE bool value_parse_parameter(struct span text, struct arena *arena,
                                    enum sagemaker_parameter *out, struct span *fault);

/* The largest exact unit: 90000 is "90s", 600000 "10m"; 128000 is "128000", 65536 "64KiB". In
 * arena. */
struct span value_print_time(int64_t ms, struct arena *arena);
struct span value_print_size(int64_t bytes, struct arena *arena);

#endif
