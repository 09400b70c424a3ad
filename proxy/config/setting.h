/* The table of settings: every key with its type, range, default, field and documentation. Constant
 * data and look-ups. */
#ifndef SAGEGATE_CONFIG_SETTING_H
#define SAGEGATE_CONFIG_SETTING_H

#include "config/config.h"

enum setting_id {
#define SETTING(id, ...) SETTING_##id,
#include "config/settings.def"
    SETTINGS
};

/* X(TYPE, its name in messages, JSON Schema's pattern for its text, or "") */
#define SETTING_TYPES(X)                                                                           \
    X(MAP, "a map", "")                      /* of the keys that the table has below its path */   \
    X(NAMED, "a map of names", "")           /* the user's; values are those of "PATH.*" */        \
    X(PARAMETERS, "a map of parameters", "") /* likewise, by the names of SageMaker's */           \
    X(LIST, "a list", "")                    /* of "PATH[]" */                                     \
    X(TEXT, "a string", "")                  /* literal: $$ is a dollar, no ${...} */              \
    X(TEMPLATE, "a string", "")                                                                    \
    X(BOOL, "true or false", "")                                                                   \
    X(COUNT, "a whole number", "")                                                                 \
    X(SIZE, "a size (64KiB, 25MiB, 1GiB or bytes)", "^[0-9]+([KMG]iB)?$") /* bytes */              \
    X(TIME, "a time (500ms, 3s, 10m, 1h)", "^[0-9]+(ms|s|m|h)$")          /* milliseconds */       \
    X(WORD, "a word", "")                                                 /* one of words */       \
    X(ADDRESS, "an address (127.0.0.1:8080, [::1]:8080 or unix:/path)", "^(unix:/.+|.+:[0-9]+)$")  \
    X(MODE, "permission bits in quotes (\"0660\")", "^0[0-7]{3}$")                                 \
    X(REGION, "a region (us-east-1)", "")                                                          \
    X(URL, "a URL (https://host)", "^[Hh][Tt][Tt][Pp][Ss]?://")                                    \
    X(FILE, "a file name", "") /* to read; relative to the file that names it */                   \
    X(PATH, "a file name", "") /* to write; likewise */                                            \
    X(NAME, "a name", "^[A-Za-z0-9._-]{1,64}$")                                                    \
    X(HOST, "a host name", "")                                                                     \
    X(PATTERN, "a pattern", "")                           /* of host names; kept in lower case */  \
    X(PEER, "an address, a network, uid:NUMBER or *", "") /* of guards.peers */                    \
    X(PARAMETER, "a parameter name", "")

enum setting_type {
#define SETTING_TYPE(type, text, pattern) SETTING_TYPE_##type,
    SETTING_TYPES(SETTING_TYPE)
#undef SETTING_TYPE
};

struct setting_type_info {
    const char *text;
    struct span pattern; /* empty: none */
};
const struct setting_type_info *setting_type_info(enum setting_type type);

enum setting_flags {
    SETTING_OR_NULL = 1,     /* null removes what is inherited */
    SETTING_OR_FALSE = 2,    /* false turns it off; the map's field is true then */
    SETTING_OR_TEMPLATE = 4, /* a template in place of the map is its `value` */
    SETTING_VALUE_HINT = 8,  /* a text here is an error that suggests { value: text } */
    SETTING_REQUIRED = 16,   /* the map above must have it */
    SETTING_RECORD = 32,     /* the map stands for a struct of its own */
    SETTING_PRINTED =
        64, /* printed even if it is the default, because the environment applies without it */
};

struct setting {
    struct span path;
    enum setting_type type;
    unsigned flags;
    int64_t min, max; /* counts, sizes, times; elements of lists and maps; bytes of texts */
    struct span default_value;       /* as a file would have it; empty: none */
    const struct config_word *words; /* of a WORD */
    struct span doc;
    /* The field, as settings.def explains. size 0: none; more == offset: none. */
    size_t record_size, offset, size, more;
    bool numeric; /* the field is a number, an enum or a bool */
};

const struct setting *setting_get(enum setting_id id);
enum setting_id setting_id(const struct setting *setting);
/* The last key of its path: "connect" for "defaults.timeouts.connect". */
struct span setting_key(const struct setting *setting);

/* Iterates over the rows right below a map: after NULL the first one, after the last one NULL. */
const struct setting *setting_next(const struct setting *map, const struct setting *row);
/* The row of a key below a map, of the names of NAMED and PARAMETERS, of the elements of a list;
 * NULL if the table has none. */
const struct setting *setting_child(const struct setting *map, struct span key);
const struct setting *setting_element(const struct setting *list);

/* The keys below a map, or the words of a WORD, in the table's order. Returns their number. */
enum { SETTING_KEYS_MAX = 32 };
size_t setting_keys(const struct setting *map, struct span out[SETTING_KEYS_MAX]);
size_t setting_words(const struct setting *setting, struct span out[SETTING_KEYS_MAX]);

/* True for a key that a later version will have. */
bool setting_is_later_key(const struct setting *map, struct span key);

/* Returns the path of another map that has that key; SPAN_NONE if none has. */
struct span setting_find_elsewhere(struct span key);

/* A map whose keys are the user's names. */
static inline bool setting_is_named(const struct setting *setting)
{
    return setting->type == SETTING_TYPE_NAMED || setting->type == SETTING_TYPE_PARAMETERS;
}

#endif
