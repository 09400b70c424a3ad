/* The table of settings and its look-ups; it reads no files. */
#include "config/setting.h"

#include "config/value.h"

#define OR_NULL     SETTING_OR_NULL
#define OR_FALSE    SETTING_OR_FALSE
#define OR_TEMPLATE SETTING_OR_TEMPLATE
#define VALUE_HINT  SETTING_VALUE_HINT
#define TEXT_OF(literal)                                                                           \
    {                                                                                              \
        "" literal, sizeof(literal) - 1                                                            \
    }

static const struct setting settings[SETTINGS] = {
#define SETTING(id, path, type, flags, min, max, def, words, doc)                                  \
    [SETTING_##id] = {TEXT_OF(path), SETTING_TYPE_##type, flags,          min,                     \
                      max,           TEXT_OF(def),        TEXT_OF(words), TEXT_OF(doc)},
#include "config/settings.def"
};

struct later {
    struct span path, words;
};

static const struct later later_keys[] = {
#define SETTING(...)
#define LATER(path, keys) {TEXT_OF(path), TEXT_OF(keys)},
#include "config/settings.def"
};

static const struct later later_words[] = {
#define SETTING(...)
#define LATER_WORDS(path, words) {TEXT_OF(path), TEXT_OF(words)},
#include "config/settings.def"
};

const struct setting *setting_get(enum setting_id id)
{
    return &settings[id];
}

/* The key of a row if it stands right below `map`, else SPAN_NONE: for "upstream.fips" below
 * "upstream", "fips". */
static struct span key_below(const struct setting *map, const struct setting *row)
{
    struct span prefix = map->path, rest = row->path;
    if (!span_starts_with(rest, prefix) || rest.len == prefix.len)
        return SPAN_NONE;
    rest = span_from_offset(rest, prefix.len);
    if (prefix.len != 0) {
        if (rest.at[0] != '.')
            return SPAN_NONE;
        rest = span_from_offset(rest, 1);
    }
    return span_find(rest, '.') == rest.len && span_find(rest, '[') == rest.len ? rest : SPAN_NONE;
}

struct span setting_key(enum setting_id id)
{
    struct span key = settings[id].path;
    for (size_t dot = span_find(key, '.'); dot != key.len; dot = span_find(key, '.'))
        key = span_from_offset(key, dot + 1);
    return key;
}

const struct setting *setting_child(const struct setting *map, struct span key)
{
    bool named = map->type == SETTING_TYPE_NAMED || map->type == SETTING_TYPE_PARAMETERS;
    struct span wanted = named ? SPAN("*") : key;
    for (size_t i = 0; i != SETTINGS; ++i) {
        struct span found = key_below(map, &settings[i]);
        if (found.at != NULL && span_equals(found, wanted))
            return &settings[i];
    }
    return NULL;
}

const struct setting *setting_element(const struct setting *list)
{
    for (size_t i = 0; i != SETTINGS; ++i) {
        struct span path = settings[i].path;
        if (path.len == list->path.len + 2 && span_starts_with(path, list->path) &&
            span_ends_with(path, SPAN("[]")))
            return &settings[i];
    }
    return NULL;
}

size_t setting_keys(const struct setting *map, struct span out[SETTING_KEYS_MAX])
{
    size_t count = 0;
    for (size_t i = 0; i != SETTINGS; ++i) {
        struct span key = key_below(map, &settings[i]);
        if (key.at == NULL || count == SETTING_KEYS_MAX)
            continue;
        out[count++] = key;
    }
    return count;
}

static size_t split_words(struct span words, struct span out[SETTING_KEYS_MAX])
{
    size_t count = 0;
    while (words.len != 0 && count != SETTING_KEYS_MAX)
        span_split(words, ' ', &out[count++], &words);
    return count;
}

size_t setting_words(const struct setting *setting, struct span out[SETTING_KEYS_MAX])
{
    return split_words(setting->words, out);
}

static bool is_later(const struct later *rows, size_t count, struct span path, struct span word)
{
    struct span words[SETTING_KEYS_MAX];
    for (size_t i = 0; i != count; ++i) {
        if (!span_equals(rows[i].path, path))
            continue;
        size_t word_count = split_words(rows[i].words, words);
        for (size_t j = 0; j != word_count; ++j)
            if (span_equals(words[j], word))
                return true;
    }
    return false;
}

bool setting_is_later_key(const struct setting *map, struct span key)
{
    return is_later(later_keys, sizeof(later_keys) / sizeof(later_keys[0]), map->path, key);
}

bool setting_is_later_word(const struct setting *setting, struct span word)
{
    return is_later(later_words, sizeof(later_words) / sizeof(later_words[0]), setting->path, word);
}

struct span setting_find_elsewhere(struct span key)
{
    for (size_t i = 0; i != SETTINGS; ++i) {
        struct span own = setting_key((enum setting_id)i), path = settings[i].path;
        if (span_equals(own, key) && own.len != 0)
            return path.len == own.len ? SPAN("the top level")
                                       : span_make(path.at, path.len - own.len - 1);
    }
    return SPAN_NONE;
}

const char *setting_type_text(enum setting_type type)
{
    static const char *const texts[] = {
        [SETTING_TYPE_MAP] = "a map",
        [SETTING_TYPE_NAMED] = "a map of names",
        [SETTING_TYPE_PARAMETERS] = "a map of parameters",
        [SETTING_TYPE_LIST] = "a list",
        [SETTING_TYPE_TEXT] = "a text",
        [SETTING_TYPE_TEMPLATE] = "a text",
        [SETTING_TYPE_BOOL] = "true or false",
        [SETTING_TYPE_COUNT] = "a whole number",
        [SETTING_TYPE_SIZE] = "a size (64KiB, 25MiB, 1GiB or bytes)",
        [SETTING_TYPE_TIME] = "a time (500ms, 3s, 10m, 1h)",
        [SETTING_TYPE_WORD] = "a word",
        [SETTING_TYPE_ADDRESS] = "an address (127.0.0.1:8080, [::1]:8080 or unix:/path)",
        [SETTING_TYPE_MODE] = "permission bits in quotes (\"0660\")",
        [SETTING_TYPE_REGION] = "a region (us-east-1)",
        [SETTING_TYPE_URL] = "a URL (https://host)",
        [SETTING_TYPE_FILE] = "a file's name",
        [SETTING_TYPE_PATH] = "a file's name",
        [SETTING_TYPE_NAME] = "a name",
        [SETTING_TYPE_HOST] = "a host name",
        [SETTING_TYPE_PEER] = "an address, a network, uid:NUMBER or *",
        [SETTING_TYPE_PARAMETER] = "a parameter's name",
    };
    return texts[type];
}

struct span setting_range(const struct setting *setting, struct arena *arena)
{
    struct span min, max;
    if (setting->type == SETTING_TYPE_TIME) {
        min = value_print_time(setting->min, arena);
        max = value_print_time(setting->max, arena);
    } else if (setting->type == SETTING_TYPE_SIZE) {
        min = value_print_size(setting->min, arena);
        max = value_print_size(setting->max, arena);
    } else if (setting->type == SETTING_TYPE_COUNT) {
        min = arena_printf(arena, "%lld", (long long)setting->min);
        max = arena_printf(arena, "%lld", (long long)setting->max);
    } else {
        return SPAN("");
    }
    return arena_printf(arena, "%.*s to %.*s", SPAN_ARG(min), SPAN_ARG(max));
}
