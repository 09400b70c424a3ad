/* The table of settings: every key with type, range, default and documentation. Constant data
 * and look-ups. */
#ifndef SAGEGATE_CONFIG_SETTING_H
#define SAGEGATE_CONFIG_SETTING_H

#include "base/arena.h"
#include "base/check.h"

enum setting_id {
#define SETTING(id, path, type, flags, min, max, def, words, doc) SETTING_##id,
#include "config/settings.def"
    SETTINGS
};

enum setting_type {
    SETTING_TYPE_MAP,        /* of the keys that the table has below its path */
    SETTING_TYPE_NAMED,      /* a map of the user's names; values are those of "PATH.*" */
    SETTING_TYPE_PARAMETERS, /* likewise, by the names of SageMaker's parameters */
    SETTING_TYPE_LIST,       /* of "PATH[]" */
    SETTING_TYPE_TEXT,       /* literal: $$ is a dollar, no ${...} */
    SETTING_TYPE_TEMPLATE,
    SETTING_TYPE_BOOL,
    SETTING_TYPE_COUNT,
    SETTING_TYPE_SIZE, /* bytes */
    SETTING_TYPE_TIME, /* milliseconds */
    SETTING_TYPE_WORD, /* one of words */
    SETTING_TYPE_ADDRESS,
    SETTING_TYPE_MODE,
    SETTING_TYPE_REGION,
    SETTING_TYPE_URL,
    SETTING_TYPE_FILE, /* that is read; relative to the file that names it */
    SETTING_TYPE_PATH, /* of a file that is written; likewise */
    SETTING_TYPE_NAME, /* [A-Za-z0-9._-]+ */
    SETTING_TYPE_HOST,
    SETTING_TYPE_PEER, /* of guards.peers */
    SETTING_TYPE_PARAMETER,
};

enum setting_flags {
    SETTING_OR_NULL = 1,     /* null removes what is inherited */
    SETTING_OR_FALSE = 2,    /* false switches it off */
    SETTING_OR_TEMPLATE = 4, /* a template instead of the map is its `value` */
    SETTING_VALUE_HINT = 8,  /* who writes a text here meant { value: text } */
};

struct setting {
    struct span path;
    enum setting_type type;
    unsigned flags;
    int64_t min, max; /* of counts, sizes and times; of lists and maps elements, of texts bytes */
    struct span default_value; /* as a file would have it, empty where there is none */
    struct span words;         /* of a WORD, separated by blanks */
    struct span doc;
};

const struct setting *setting_get(enum setting_id id);
/* The last key of its path: "connect" of "defaults.timeouts.connect". */
struct span setting_key(enum setting_id id);

/* The row of a key below a map, of the names of NAMED and PARAMETERS, of the elements of a list;
 * NULL where the table has none. */
const struct setting *setting_child(const struct setting *map, struct span key);
const struct setting *setting_element(const struct setting *list);

/* The keys below a map, in the table's order: at most `max`. Returns their number. */
enum { SETTING_KEYS_MAX = 32 };
size_t setting_keys(const struct setting *map, struct span out[SETTING_KEYS_MAX]);
/* The words of a WORD likewise. */
size_t setting_words(const struct setting *setting, struct span out[SETTING_KEYS_MAX]);

/* True for a key or word that DESIGN promises and this version lacks. */
bool setting_is_later_key(const struct setting *map, struct span key);
bool setting_is_later_word(const struct setting *setting, struct span word);

/* Where else that key stands: the path of its map, SPAN_NONE where nowhere. */
struct span setting_find_elsewhere(struct span key);

/* "a map", "a time (ms, s, m, h)", for messages. */
const char *setting_type_text(enum setting_type type);
/* "1ms to 5m", in arena; empty where there is no range to tell. */
struct span setting_range(const struct setting *setting, struct arena *arena);

#endif
