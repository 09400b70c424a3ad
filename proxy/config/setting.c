/* The table of settings and its look-ups; reads no files. */
#include "config/setting.h"

#define OR_NULL     SETTING_OR_NULL
#define OR_FALSE    SETTING_OR_FALSE
#define OR_TEMPLATE SETTING_OR_TEMPLATE
#define VALUE_HINT  SETTING_VALUE_HINT
#define REQUIRED    SETTING_REQUIRED
#define RECORD      SETTING_RECORD
#define PRINTED     SETTING_PRINTED
#define TEXT_OF(literal)                                                                           \
    {                                                                                              \
        "" literal, sizeof(literal) - 1                                                            \
    }
#define FIELD(record, member) (((struct record *)NULL)->member)
#define IS_NUMERIC(field)                                                                          \
    _Generic((field), bool                                                                         \
             : true, unsigned                                                                      \
             : true, uint64_t                                                                      \
             : true, int64_t                                                                       \
             : true, default                                                                       \
             : false)

/* The record of rows without a field. */
struct setting_without {
    char field[0];
};

static const struct setting settings[SETTINGS] = {
#define SETTING(id, path, type, flags, min, max, def, words, record, member, more, doc)            \
    [SETTING_##id] = {TEXT_OF(path),                                                               \
                      SETTING_TYPE_##type,                                                         \
                      flags,                                                                       \
                      min,                                                                         \
                      max,                                                                         \
                      TEXT_OF(def),                                                                \
                      words,                                                                       \
                      TEXT_OF(doc),                                                                \
                      sizeof(struct record),                                                       \
                      offsetof(struct record, member),                                             \
                      sizeof(FIELD(record, member)),                                               \
                      offsetof(struct record, more),                                               \
                      IS_NUMERIC(FIELD(record, member))},
#include "config/settings.def"
};

/* A row whose field has a type that its values do not fit does not compile. An enum counts as
 * unsigned, no field as char *. */
#define FITS(field, type) _Generic((field), char * : 1, type : 1, default : 0)
#define FITS_MAP(field)   FITS(field, bool)
#define FITS_NAMED(field) FITS(field, struct setting_without *)
#define FITS_PARAMETERS   FITS_NAMED
#define FITS_LIST(field)                                                                           \
    (FITS(field, const struct span *) || FITS(field, const struct config_peer *) ||                \
     FITS(field, uint32_t))
#define FITS_TEXT(field)      FITS(field, struct span)
#define FITS_TEMPLATE(field)  FITS(field, const struct template *)
#define FITS_BOOL(field)      FITS(field, bool)
#define FITS_COUNT(field)     (FITS(field, uint64_t) || FITS(field, unsigned))
#define FITS_SIZE(field)      FITS(field, uint64_t)
#define FITS_TIME(field)      FITS(field, int64_t)
#define FITS_WORD(field)      (FITS(field, unsigned) || FITS(field, bool))
#define FITS_ADDRESS(field)   FITS(field, struct config_address)
#define FITS_MODE(field)      FITS(field, unsigned)
#define FITS_REGION           FITS_TEXT
#define FITS_URL              FITS_TEXT
#define FITS_FILE             FITS_TEXT
#define FITS_PATH             FITS_TEXT
#define FITS_NAME             FITS_TEXT
#define FITS_HOST             FITS_TEXT
#define FITS_PATTERN          FITS_TEXT
#define FITS_PEER(field)      FITS(field, struct config_peer)
#define FITS_PARAMETER(field) FITS(field, uint32_t)
#define SETTING(id, path, type, flags, min, max, def, words, record, member, more, doc)            \
    _Static_assert(FITS_##type(FIELD(record, member)), path);
#include "config/settings.def"

static const struct {
    struct span path, keys;
} later_keys[] = {
#define SETTING(...)
#define LATER(path, keys) {TEXT_OF(path), TEXT_OF(keys)},
#include "config/settings.def"
};

const struct setting *setting_get(enum setting_id id)
{
    return &settings[id];
}

enum setting_id setting_id(const struct setting *setting)
{
    return (enum setting_id)(setting - settings);
}

struct span setting_key(const struct setting *setting)
{
    struct span key = setting->path;
    for (size_t dot = span_find(key, '.'); dot != key.len; dot = span_find(key, '.'))
        key = span_from_offset(key, dot + 1);
    return key;
}

/* Returns whether the row's path is the map's plus one key: "upstream.fips" below "upstream". */
static bool is_right_below(const struct setting *map, const struct setting *row)
{
    struct span rest = span_from_offset(row->path, map->path.len);
    if (map->path.len != 0) {
        if (rest.len == 0 || rest.at[0] != '.')
            return false;
        rest = span_from_offset(rest, 1);
    }
    return span_find(rest, '.') == rest.len && span_find(rest, '[') == rest.len;
}

const struct setting *setting_next(const struct setting *map, const struct setting *row)
{
    for (row = row == NULL ? map + 1 : row + 1; row != settings + SETTINGS; ++row) {
        if (!span_starts_with(row->path, map->path))
            return NULL;
        if (is_right_below(map, row))
            return row;
    }
    return NULL;
}

const struct setting *setting_child(const struct setting *map, struct span key)
{
    struct span wanted = setting_is_named(map) ? SPAN("*") : key;
    const struct setting *row = setting_next(map, NULL);
    while (row != NULL && !span_equals(setting_key(row), wanted))
        row = setting_next(map, row);
    return row;
}

const struct setting *setting_element(const struct setting *list)
{
    const struct setting *next = list + 1;
    bool is_element = next != settings + SETTINGS && next->path.len == list->path.len + 2 &&
                      span_starts_with(next->path, list->path);
    return is_element ? next : NULL;
}

size_t setting_keys(const struct setting *map, struct span out[SETTING_KEYS_MAX])
{
    size_t count = 0;
    for (const struct setting *row = setting_next(map, NULL); row != NULL;
         row = setting_next(map, row)) {
        CHECK(count != SETTING_KEYS_MAX);
        out[count++] = setting_key(row);
    }
    return count;
}

size_t setting_words(const struct setting *setting, struct span out[SETTING_KEYS_MAX])
{
    size_t count = 0;
    for (; setting->words[count].word.at != NULL; ++count) {
        CHECK(count != SETTING_KEYS_MAX);
        out[count] = setting->words[count].word;
    }
    return count;
}

bool setting_is_later_key(const struct setting *map, struct span key)
{
    for (size_t i = 0; i != sizeof(later_keys) / sizeof(later_keys[0]); ++i) {
        struct span word, rest = later_keys[i].keys;
        while (span_equals(later_keys[i].path, map->path) && rest.len != 0) {
            span_split(rest, ' ', &word, &rest);
            if (span_equals(word, key))
                return true;
        }
    }
    return false;
}

struct span setting_find_elsewhere(struct span key)
{
    for (size_t i = 1; i != SETTINGS; ++i) {
        struct span path = settings[i].path;
        if (span_equals(setting_key(&settings[i]), key))
            return path.len == key.len ? SPAN("the top level")
                                       : span_make(path.at, path.len - key.len - 1);
    }
    return SPAN_NONE;
}

const struct setting_type_info *setting_type_info(enum setting_type type)
{
    static const struct setting_type_info types[] = {
#define ROW(type, text, pattern) {text, TEXT_OF(pattern)},
        SETTING_TYPES(ROW)
#undef ROW
    };
    return &types[type];
}
