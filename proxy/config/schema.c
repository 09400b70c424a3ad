/* Prints the table of settings as a JSON Schema; reads no configuration. */
#include "config/schema.h"

#include <inttypes.h>

#include "base/json_writer.h"
#include "config/suggest.h"
#include "config/value.h"

enum { SCHEMA_MAX = 1024 * 1024 };

/* A reference to the environment may take the place of any scalar. */
#define ENV_SCHEMA SPAN("{\"type\": \"string\", \"pattern\": \"\\\\$\\\\{env\\\\.\"}")

static void add_setting(struct json_writer *json, struct span key, const struct setting *setting);

static size_t list_parameters(struct span out[SETTING_KEYS_MAX])
{
    _Static_assert((int)SAGEMAKER_PARAMETERS <= (int)SETTING_KEYS_MAX, "room for all");
    for (unsigned i = 0; i != SAGEMAKER_PARAMETERS; ++i)
        out[i] = sagemaker_parameter_info((enum sagemaker_parameter)i)->name;
    return SAGEMAKER_PARAMETERS;
}

/* "One or more of GET, HEAD or POST.", of a list or map whose elements or names are given; else
 * "". */
static struct span describe_choice(const struct setting *setting, struct arena *arena)
{
    struct span words[SETTING_KEYS_MAX];
    size_t count = 0;
    if (setting->type == SETTING_TYPE_LIST && setting_element(setting)->type == SETTING_TYPE_WORD)
        count = setting_words(setting_element(setting), words);
    if (setting->type == SETTING_TYPE_PARAMETERS)
        count = list_parameters(words);
    if (count == 0)
        return SPAN("");
    return arena_printf(arena, " One or more of %.*s.",
                        SPAN_ARG(suggest_list(words, count, "and", arena)));
}

/* "What it is. Default D. From MIN to MAX." */
static void add_description(struct json_writer *json, const struct setting *setting)
{
    struct arena arena;
    arena_init(&arena, 1024);
    struct span range = value_range(setting, &arena), choice = describe_choice(setting, &arena);
    struct span text = arena_printf(&arena, "%.*s%.*s", SPAN_ARG(setting->doc), SPAN_ARG(choice));
    if (setting->default_value.len != 0)
        text = arena_printf(&arena, "%.*s Default %.*s.", SPAN_ARG(text),
                            SPAN_ARG(setting->default_value));
    if (range.len != 0)
        text = arena_printf(&arena, "%.*s From %.*s.", SPAN_ARG(text), SPAN_ARG(range));
    json_writer_add_text(json, SPAN("description"), text);
    arena_dispose(&arena);
}

static void add_number(struct json_writer *json, struct span key, int64_t number)
{
    CHECK(number >= 0);
    json_writer_add_u64(json, key, (uint64_t)number);
}

static void add_words(struct json_writer *json, struct span key, const struct span *words,
                      size_t count)
{
    json_writer_open_object(json, key);
    json_writer_open_array(json, SPAN("enum"));
    for (size_t i = 0; i != count; ++i)
        json_writer_add_text(json, SPAN_NONE, words[i]);
    json_writer_close_array(json);
    json_writer_close_object(json);
}

static void add_parameter_names(struct json_writer *json, struct span key)
{
    struct span names[SETTING_KEYS_MAX];
    add_words(json, key, names, list_parameters(names));
}

static void add_pattern(struct json_writer *json, struct span key, struct span pattern)
{
    json_writer_open_object(json, key);
    json_writer_add_text(json, SPAN("type"), SPAN("string"));
    json_writer_add_text(json, SPAN("pattern"), pattern);
    json_writer_close_object(json);
}

/* ---- maps and lists ---- */

static void add_required(struct json_writer *json, const struct setting *map)
{
    bool any = false;
    for (const struct setting *row = setting_next(map, NULL); row != NULL;
         row = setting_next(map, row)) {
        if ((row->flags & SETTING_REQUIRED) == 0)
            continue;
        if (!any)
            json_writer_open_array(json, SPAN("required"));
        any = true;
        json_writer_add_text(json, SPAN_NONE, setting_key(row));
    }
    if (any)
        json_writer_close_array(json);
    if (setting_id(map) != SETTING_ROUTE)
        return;
    json_writer_add_raw(
        json, SPAN("if"),
        SPAN("{\"not\": {\"required\": [\"operation\"], "
             "\"properties\": {\"operation\": {\"enum\": [\"container\", \"ping\"]}}}}"));
    json_writer_add_raw(json, SPAN("then"), SPAN("{\"required\": [\"endpoint\"]}"));
}

static void add_map(struct json_writer *json, const struct setting *map)
{
    json_writer_add_text(json, SPAN("type"), SPAN("object"));
    json_writer_add_bool(json, SPAN("additionalProperties"), false);
    add_required(json, map);
    json_writer_open_object(json, SPAN("properties"));
    for (const struct setting *row = setting_next(map, NULL); row != NULL;
         row = setting_next(map, row))
        add_setting(json, setting_key(row), row);
    json_writer_close_object(json);
}

static void add_named(struct json_writer *json, const struct setting *map)
{
    json_writer_add_text(json, SPAN("type"), SPAN("object"));
    add_number(json, SPAN("maxProperties"), map->max);
    if (map->type == SETTING_TYPE_PARAMETERS)
        add_parameter_names(json, SPAN("propertyNames"));
    else
        add_pattern(json, SPAN("propertyNames"), setting_type_info(SETTING_TYPE_NAME)->pattern);
    add_setting(json, SPAN("additionalProperties"), setting_child(map, SPAN("*")));
}

static void add_list(struct json_writer *json, const struct setting *list)
{
    json_writer_add_text(json, SPAN("type"), SPAN("array"));
    add_number(json, SPAN("minItems"), list->min);
    add_number(json, SPAN("maxItems"), list->max);
    add_setting(json, SPAN("items"), setting_element(list));
}

/* ---- scalars ---- */

static void add_range(struct json_writer *json, const struct setting *setting)
{
    json_writer_open_object(json, SPAN_NONE);
    json_writer_add_text(json, SPAN("type"), SPAN("integer"));
    add_number(json, SPAN("minimum"), setting->min);
    add_number(json, SPAN("maximum"), setting->max);
    json_writer_close_object(json);
}

static void add_text(struct json_writer *json, const struct setting *setting)
{
    json_writer_open_object(json, SPAN_NONE);
    json_writer_add_raw(json, SPAN("type"), SPAN("[\"string\", \"number\"]"));
    add_number(json, SPAN("minLength"), setting->min);
    json_writer_close_object(json);
}

/* The forms of a scalar, in an array. */
static void add_forms(struct json_writer *json, const struct setting *setting)
{
    struct span words[SETTING_KEYS_MAX], pattern = setting_type_info(setting->type)->pattern;
    if (setting->type == SETTING_TYPE_BOOL)
        json_writer_add_raw(json, SPAN_NONE, SPAN("{\"type\": \"boolean\"}"));
    else if (setting->type == SETTING_TYPE_WORD)
        add_words(json, SPAN_NONE, words, setting_words(setting, words));
    else if (setting->type == SETTING_TYPE_PARAMETER)
        add_parameter_names(json, SPAN_NONE);
    else if (setting->type == SETTING_TYPE_COUNT || setting->type == SETTING_TYPE_SIZE)
        add_range(json, setting);
    else if (pattern.len == 0) /* a text that YAML may take for a number */
        add_text(json, setting);
    if (pattern.len != 0)
        add_pattern(json, SPAN_NONE, pattern);
}

static void add_scalar(struct json_writer *json, const struct setting *setting)
{
    json_writer_open_array(json, SPAN("anyOf"));
    add_forms(json, setting);
    json_writer_add_raw(json, SPAN_NONE, ENV_SCHEMA);
    json_writer_close_array(json);
}

/* ---- settings ---- */

static void add_kind(struct json_writer *json, const struct setting *setting)
{
    if (setting->type == SETTING_TYPE_MAP)
        add_map(json, setting);
    else if (setting_is_named(setting))
        add_named(json, setting);
    else if (setting->type == SETTING_TYPE_LIST)
        add_list(json, setting);
    else
        add_scalar(json, setting);
}

static void add_setting(struct json_writer *json, struct span key, const struct setting *setting)
{
    struct span other = (setting->flags & SETTING_OR_NULL) != 0    ? SPAN("{\"type\": \"null\"}")
                        : (setting->flags & SETTING_OR_FALSE) != 0 ? SPAN("{\"const\": false}")
                        : (setting->flags & SETTING_OR_TEMPLATE) != 0
                            ? SPAN("{\"type\": [\"string\", \"number\"]}")
                            : SPAN_NONE;
    json_writer_open_object(json, key);
    add_description(json, setting);
    if (other.at != NULL) {
        json_writer_open_array(json, SPAN("anyOf"));
        json_writer_add_raw(json, SPAN_NONE, other);
        json_writer_open_object(json, SPAN_NONE);
    }
    add_kind(json, setting);
    if (other.at != NULL) {
        json_writer_close_object(json);
        json_writer_close_array(json);
    }
    json_writer_close_object(json);
}

void schema_print(FILE *out)
{
    const struct setting *root = setting_get(SETTING_ROOT);
    struct buffer schema;
    buffer_init(&schema, SCHEMA_MAX);
    struct json_writer json = {.out = &schema, .indented = true};
    json_writer_open_object(&json, SPAN_NONE);
    json_writer_add_text(&json, SPAN("$schema"), SPAN("http://json-schema.org/draft-07/schema#"));
    json_writer_add_text(&json, SPAN("title"), SPAN("sagegate"));
    add_description(&json, root);
    add_map(&json, root);
    json_writer_close_object(&json);
    buffer_append_char(&schema, '\n');
    CHECK(!schema.overflowed);
    fwrite(schema.at, 1, schema.len, out);
    buffer_dispose(&schema);
}
