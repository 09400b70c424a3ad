/* Moves values between verified nodes and the fields that the table's rows name. */
#include "config/record.h"

#include "config/suggest.h"

struct yaml_node *record_find(const struct yaml_node *map, enum setting_id id)
{
    struct yaml_node *node = yaml_find(map, setting_key(setting_get(id)));
    return node == NULL || node->bad || node->null ? NULL : node;
}

struct span record_text(const struct yaml_node *scalar)
{
    return scalar == NULL || scalar->value == NULL ? SPAN_NONE : scalar->value->text;
}

size_t record_find_name(struct yaml_load *load, struct yaml_node *node, const struct span *names,
                        size_t count, const char *what, size_t fallback)
{
    struct span fault, name = record_text(node);
    if (node == NULL || node->opaque)
        return fallback;
    for (size_t i = 0; i != count; ++i)
        if (span_equals(names[i], name))
            return i;
    suggest_fault(what, name, names, count, load->arena, &fault);
    yaml_error(load, node, "%.*s", SPAN_ARG(fault));
    return fallback;
}

/* ---- fields ---- */

static void store_number(int64_t number, void *at, size_t size)
{
    bool flag = number != 0;
    unsigned half = (unsigned)number;
    const void *from = size == sizeof(flag)   ? (const void *)&flag
                       : size == sizeof(half) ? (const void *)&half
                                              : (const void *)&number;
    memcpy(at, from, size);
}

static int64_t load_number(const void *at, size_t size)
{
    bool flag;
    unsigned half;
    int64_t number;
    if (size == sizeof(flag)) {
        memcpy(&flag, at, size);
        return flag;
    }
    if (size == sizeof(half)) {
        memcpy(&half, at, size);
        return half;
    }
    memcpy(&number, at, size);
    return number;
}

/* All members of a value begin at its first byte. */
static void store(const struct setting *row, const union value *value, void *record)
{
    char *at = (char *)record + row->offset;
    if (row->numeric)
        store_number(value->number, at, row->size);
    else
        memcpy(at, value, row->size);
}

union value record_get(const struct setting *row, const void *record)
{
    const char *at = (const char *)record + row->offset;
    union value value = {.number = 0};
    CHECK(row->size != 0 && row->size <= sizeof(value));
    if (row->numeric)
        value.number = load_number(at, row->size);
    else
        memcpy(&value, at, row->size);
    return value;
}

/* ---- lists ---- */

/* Lists of parameters are kept as bits of a mask, all others as elements in a row and their
 * number: words as texts. */
static void store_mask(const struct setting *row, const struct yaml_node *list, void *record)
{
    uint32_t mask = 0;
    for (const struct yaml_entry *entry = list->entries; entry != NULL; entry = entry->next)
        if (entry->node->value != NULL)
            mask |= 1u << entry->node->value->number;
    memcpy((char *)record + row->offset, &mask, sizeof(mask));
    memcpy((char *)record + row->more, &(bool){true}, sizeof(bool));
}

static void store_list(const struct setting *row, const struct yaml_node *list, void *record,
                       struct arena *arena)
{
    const struct setting *element = setting_element(row);
    if (element->type == SETTING_TYPE_PARAMETER) {
        store_mask(row, list, record);
        return;
    }
    size_t size =
        element->type == SETTING_TYPE_PEER ? sizeof(struct config_peer) : sizeof(struct span);
    size_t count = 0;
    char *elements = arena_zalloc(arena, list->entry_count + 1, size);
    for (const struct yaml_entry *entry = list->entries; entry != NULL; entry = entry->next) {
        const union value *value = entry->node->value;
        if (value == NULL)
            continue;
        struct span word = SPAN_NONE;
        if (element->type == SETTING_TYPE_WORD)
            word = config_word_of(element->words, (int)value->number);
        memcpy(elements + count++ * size, word.at != NULL ? (const void *)&word : value, size);
    }
    memcpy((char *)record + row->offset, &elements, sizeof(elements));
    memcpy((char *)record + row->more, &count, sizeof(count));
}

const struct span *record_get_texts(const struct setting *row, const void *record, size_t *count,
                                    struct arena *arena)
{
    enum setting_type type = setting_element(row)->type;
    const char *at = (const char *)record + row->offset;
    const void *elements;
    uint32_t mask;
    if (type == SETTING_TYPE_PARAMETER) {
        struct span *names = arena_zalloc(arena, SAGEMAKER_PARAMETERS, sizeof(*names));
        memcpy(&mask, at, sizeof(mask));
        *count = 0;
        for (unsigned i = 0; i != SAGEMAKER_PARAMETERS; ++i)
            if ((mask & 1u << i) != 0)
                names[(*count)++] = sagemaker_parameter_info((enum sagemaker_parameter)i)->name;
        return names;
    }
    memcpy(&elements, at, sizeof(elements));
    memcpy(count, (const char *)record + row->more, sizeof(*count));
    if (type != SETTING_TYPE_PEER)
        return elements;
    struct span *texts = arena_zalloc(arena, *count + 1, sizeof(*texts));
    for (size_t i = 0; i != *count; ++i)
        texts[i] = ((const struct config_peer *)elements)[i].text;
    return texts;
}

bool record_is_given(const struct setting *row, const void *record)
{
    bool is_mask =
        row->type == SETTING_TYPE_LIST && setting_element(row)->type == SETTING_TYPE_PARAMETER;
    bool given = true;
    if (row->more != row->offset && (row->type != SETTING_TYPE_LIST || is_mask))
        memcpy(&given, (const char *)record + row->more, sizeof(given));
    return given;
}

/* ---- maps ---- */

static void set_default(const struct setting *row, void *record, struct arena *arena)
{
    struct span fault, text = row->default_value;
    union value value;
    if (row->size == 0 || text.len == 0)
        return;
    /* Defaults are YAML: texts stand in quotes. */
    if (text.at[0] == '"')
        text = span_make(text.at + 1, text.len - 2);
    CHECK(value_parse(row, text, arena, &value, &fault));
    store(row, &value, record);
}

static bool is_inner_map(const struct setting *row)
{
    return row->type == SETTING_TYPE_MAP && (row->flags & SETTING_RECORD) == 0;
}

static void set_defaults(const struct setting *map, void *record, struct arena *arena)
{
    for (const struct setting *row = setting_next(map, NULL); row != NULL;
         row = setting_next(map, row))
        if (is_inner_map(row))
            set_defaults(row, record, arena);
        else
            set_default(row, record, arena);
}

void record_set_defaults(enum setting_id map, void *record, struct arena *arena)
{
    set_defaults(setting_get(map), record, arena);
}

static void fill(const struct setting *map, const struct yaml_node *node, void *record,
                 struct arena *arena);

/* What stands for a map is the map, or false, or a template. */
static void fill_map(const struct setting *row, const struct yaml_node *node, void *record,
                     struct arena *arena)
{
    if ((row->flags & SETTING_OR_TEMPLATE) != 0 && node->value != NULL)
        store(setting_child(row, SPAN("value")), node->value, record);
    else
        fill(row, node, record, arena);
    if (row->size != 0)
        store_number((row->flags & SETTING_OR_FALSE) == 0 || node->kind == YAML_SCALAR,
                     (char *)record + row->offset, row->size);
}

static void fill(const struct setting *map, const struct yaml_node *node, void *record,
                 struct arena *arena)
{
    for (const struct setting *row = setting_next(map, NULL); row != NULL;
         row = setting_next(map, row)) {
        const struct yaml_node *child = record_find(node, setting_id(row));
        if (child == NULL)
            continue;
        if (is_inner_map(row)) {
            fill_map(row, child, record, arena);
        } else if (row->size != 0 && row->type == SETTING_TYPE_LIST) {
            store_list(row, child, record, arena);
        } else if (row->size != 0) {
            if (child->value != NULL)
                store(row, child->value, record);
            if (row->more != row->offset)
                memcpy((char *)record + row->more, &(bool){true}, sizeof(bool));
        }
    }
}

void record_fill(enum setting_id map, const struct yaml_node *node, void *record,
                 struct arena *arena)
{
    fill(setting_get(map), node, record, arena);
}
