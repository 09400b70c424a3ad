/* Values out of a verified tree; it tells no problems, verify.c has told them. */
#include "config/reader.h"

#include <limits.h>
#include <unistd.h>

#include "config/value.h"

struct yaml_node *reader_find(const struct yaml_node *map, enum setting_id id)
{
    struct yaml_node *node = yaml_find(map, setting_key(id));
    return node == NULL || node->bad || node->null ? NULL : node;
}

static int64_t parse_number(struct reader *reader, enum setting_type type, struct span text)
{
    struct arena *arena = reader->load->arena;
    struct span fault;
    int64_t number = 0;
    bool ok = type == SETTING_TYPE_TIME   ? value_parse_time(text, arena, &number, &fault)
              : type == SETTING_TYPE_SIZE ? value_parse_size(text, arena, &number, &fault)
                                          : value_parse_count(text, arena, &number, &fault);
    CHECK(ok);
    return number;
}

int64_t reader_number_or(struct reader *reader, const struct yaml_node *map, enum setting_id id,
                         int64_t fallback)
{
    const struct yaml_node *node = reader_find(map, id);
    if (node == NULL || node->opaque)
        return fallback;
    return parse_number(reader, setting_get(id)->type, node->text);
}

int64_t reader_number(struct reader *reader, const struct yaml_node *map, enum setting_id id)
{
    const struct setting *setting = setting_get(id);
    return reader_number_or(reader, map, id,
                            parse_number(reader, setting->type, setting->default_value));
}

bool reader_bool(struct reader *reader, const struct yaml_node *map, enum setting_id id)
{
    const struct yaml_node *node = reader_find(map, id);
    struct span fault,
        text = node == NULL || node->opaque ? setting_get(id)->default_value : node->text;
    bool value = false;
    CHECK(value_parse_bool(text, reader->load->arena, &value, &fault));
    return value;
}

static size_t find_word(const struct setting *setting, struct span word)
{
    struct span words[SETTING_KEYS_MAX];
    size_t count = setting_words(setting, words);
    for (size_t i = 0; i != count; ++i)
        if (span_equals(words[i], word))
            return i;
    check_fail(__FILE__, __LINE__, "a word that was verified");
}

size_t reader_word_or(const struct yaml_node *map, enum setting_id id, size_t fallback)
{
    const struct yaml_node *node = reader_find(map, id);
    return node == NULL || node->opaque ? fallback : find_word(setting_get(id), node->text);
}

size_t reader_word(const struct yaml_node *map, enum setting_id id)
{
    const struct setting *setting = setting_get(id);
    return reader_word_or(map, id, find_word(setting, setting->default_value));
}

struct span reader_text_of(struct reader *reader, const struct yaml_node *scalar)
{
    struct span text, fault;
    if (scalar == NULL)
        return SPAN_NONE;
    CHECK(value_parse_text(scalar->text, &reader->config->arena, &text, &fault));
    return text;
}

struct span reader_text(struct reader *reader, const struct yaml_node *map, enum setting_id id)
{
    return reader_text_of(reader, reader_find(map, id));
}

struct span reader_file_of(struct reader *reader, const struct yaml_node *scalar)
{
    struct span text = reader_text_of(reader, scalar);
    if (text.at == NULL || text.at[0] == '/' || scalar->opaque)
        return text;
    struct span base = scalar->at.line == 0 ? SPAN("") : scalar->at.file;
    while (base.len != 0 && base.at[base.len - 1] != '/')
        --base.len;
    char directory[PATH_MAX];
    if ((base.len != 0 && base.at[0] == '/') || getcwd(directory, sizeof(directory)) == NULL)
        directory[0] = '\0';
    return arena_printf(&reader->config->arena, "%s%s%.*s%.*s", directory,
                        directory[0] == '\0' ? "" : "/", SPAN_ARG(base), SPAN_ARG(text));
}

const struct span *reader_texts(struct reader *reader, const struct yaml_node *map,
                                enum setting_id id, size_t *count)
{
    const struct yaml_node *list = reader_find(map, id);
    *count = 0;
    if (list == NULL)
        return NULL;
    struct span *texts =
        arena_zalloc(&reader->config->arena, list->entry_count + 1, sizeof(*texts));
    for (const struct yaml_entry *entry = list->entries; entry != NULL; entry = entry->next)
        if (!entry->node->bad)
            texts[(*count)++] = reader_text_of(reader, entry->node);
    return texts;
}
