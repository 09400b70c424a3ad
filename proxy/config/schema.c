/* The table of settings as a JSON Schema; it reads no configuration. */
#include "config/schema.h"

#include <inttypes.h>

#include "aws/sagemaker.h"
#include "base/buffer.h"
#include "config/setting.h"
#include "config/value.h"

enum { SCHEMA_MAX = 1024 * 1024 };

/* A reference to the environment may stand in place of any scalar. */
#define ENV_SCHEMA "{\"type\": \"string\", \"pattern\": \"\\\\$\\\\{env\\\\.\"}"

static void append_setting(struct buffer *out, const struct setting *setting, int indent);

static void append_line(struct buffer *out, int indent)
{
    buffer_append_char(out, '\n');
    for (int i = 0; i != indent; ++i)
        buffer_append(out, SPAN("  "));
}

static void append_string(struct buffer *out, struct span text)
{
    buffer_append_char(out, '"');
    buffer_append_json(out, text);
    buffer_append_char(out, '"');
}

static void append_words(struct buffer *out, const struct span *words, size_t count)
{
    buffer_append(out, SPAN("{\"enum\": ["));
    for (size_t i = 0; i != count; ++i) {
        buffer_append(out, i == 0 ? SPAN("") : SPAN(", "));
        append_string(out, words[i]);
    }
    buffer_append(out, SPAN("]}"));
}

static void append_parameter_names(struct buffer *out)
{
    struct span names[SAGEMAKER_PARAMETERS];
    for (unsigned i = 0; i != SAGEMAKER_PARAMETERS; ++i)
        names[i] = sagemaker_parameter_info((enum sagemaker_parameter)i)->name;
    append_words(out, names, SAGEMAKER_PARAMETERS);
}

/* "what it is. Default D, MIN to MAX." */
static void append_description(struct buffer *out, const struct setting *setting)
{
    struct arena arena;
    arena_init(&arena, 256);
    struct span range = setting_range(setting, &arena);
    buffer_append(out, SPAN("\"description\": \""));
    buffer_append_json(out, setting->doc);
    if (setting->default_value.len != 0) {
        buffer_append(out, SPAN(" Default "));
        buffer_append_json(out, setting->default_value);
        buffer_append_char(out, '.');
    }
    if (range.len != 0) {
        buffer_append(out, SPAN(" From "));
        buffer_append_json(out, range);
        buffer_append_char(out, '.');
    }
    buffer_append_char(out, '"');
    arena_dispose(&arena);
}

/* ---- containers ---- */

/* The keys without which the reader refuses the map. */
static void append_required(struct buffer *out, const struct setting *map)
{
    static const struct {
        struct span path, keys;
    } rows[] = {
        {SPAN("listen[]"), SPAN("[\"address\"]")},
        {SPAN("admin"), SPAN("[\"address\"]")},
        {SPAN("health"), SPAN("[\"address\"]")},
        {SPAN("routes[]"),
         SPAN("[\"name\", \"match\"], \"if\": {\"not\": {\"required\": [\"operation\"], "
              "\"properties\": {\"operation\": {\"enum\": [\"container\", \"ping\"]}}}}, "
              "\"then\": {\"required\": [\"endpoint\"]}")},
        {SPAN("routes[].match"), SPAN("[\"path\"]")},
        {SPAN("routes[].endpoint"), SPAN("[\"value\"]")},
    };
    for (size_t i = 0; i != sizeof(rows) / sizeof(rows[0]); ++i) {
        if (!span_equals(rows[i].path, map->path))
            continue;
        buffer_append(out, SPAN("\"required\": "));
        buffer_append(out, rows[i].keys);
        buffer_append(out, SPAN(", "));
    }
}

static void append_map(struct buffer *out, const struct setting *map, int indent)
{
    struct span keys[SETTING_KEYS_MAX];
    size_t count = setting_keys(map, keys);
    buffer_append(out, SPAN("\"type\": \"object\", \"additionalProperties\": false, "));
    append_required(out, map);
    buffer_append(out, SPAN("\"properties\": {"));
    for (size_t i = 0; i != count; ++i) {
        append_line(out, indent + 1);
        append_string(out, keys[i]);
        buffer_append(out, SPAN(": "));
        append_setting(out, setting_child(map, keys[i]), indent + 1);
        buffer_append(out, i + 1 == count ? SPAN("") : SPAN(","));
    }
    append_line(out, indent);
    buffer_append_char(out, '}');
}

static void append_named(struct buffer *out, const struct setting *map, int indent)
{
    buffer_printf(
        out, "\"type\": \"object\", \"maxProperties\": %" PRId64 ", \"propertyNames\": ", map->max);
    if (map->type == SETTING_TYPE_PARAMETERS)
        append_parameter_names(out);
    else
        buffer_append(out, SPAN("{\"pattern\": \"^[A-Za-z0-9._-]{1,64}$\"}"));
    buffer_append(out, SPAN(", \"additionalProperties\": "));
    append_setting(out, setting_child(map, SPAN("*")), indent);
}

static void append_list(struct buffer *out, const struct setting *list, int indent)
{
    buffer_printf(out,
                  "\"type\": \"array\", \"minItems\": %" PRId64 ", \"maxItems\": %" PRId64
                  ", \"items\": ",
                  list->min, list->max);
    append_setting(out, setting_element(list), indent);
}

/* ---- scalars ---- */

static void append_pattern(struct buffer *out, const char *type, const char *pattern)
{
    buffer_printf(out, "\"anyOf\": [{\"type\": \"%s\", \"pattern\": \"%s\"}, " ENV_SCHEMA "]", type,
                  pattern);
}

static void append_number(struct buffer *out, const struct setting *setting)
{
    buffer_printf(out,
                  "{\"type\": \"integer\", \"minimum\": %" PRId64 ", \"maximum\": %" PRId64 "}",
                  setting->min, setting->max);
}

static void append_word(struct buffer *out, const struct setting *setting)
{
    struct span words[SETTING_KEYS_MAX];
    size_t count = setting_words(setting, words);
    buffer_append(out, SPAN("\"anyOf\": ["));
    append_words(out, words, count);
    buffer_append(out, SPAN(", " ENV_SCHEMA "]"));
}

static void append_scalar(struct buffer *out, const struct setting *setting)
{
    switch (setting->type) {
    case SETTING_TYPE_BOOL:
        buffer_append(out, SPAN("\"anyOf\": [{\"type\": \"boolean\"}, " ENV_SCHEMA "]"));
        return;
    case SETTING_TYPE_COUNT:
        buffer_append(out, SPAN("\"anyOf\": ["));
        append_number(out, setting);
        buffer_append(out, SPAN(", " ENV_SCHEMA "]"));
        return;
    case SETTING_TYPE_SIZE:
        buffer_append(out, SPAN("\"anyOf\": ["));
        append_number(out, setting);
        buffer_append(
            out,
            SPAN(", {\"type\": \"string\", \"pattern\": \"^[0-9]+([KMG]iB)?$\"}, " ENV_SCHEMA "]"));
        return;
    case SETTING_TYPE_TIME:
        append_pattern(out, "string", "^[0-9]+(ms|s|m|h)$");
        return;
    case SETTING_TYPE_WORD:
        append_word(out, setting);
        return;
    case SETTING_TYPE_ADDRESS:
        append_pattern(out, "string", "^(unix:/.+|.+:[0-9]+)$");
        return;
    case SETTING_TYPE_MODE:
        append_pattern(out, "string", "^0[0-7]{3}$");
        return;
    case SETTING_TYPE_NAME:
        append_pattern(out, "string", "^[A-Za-z0-9._-]{1,64}$");
        return;
    case SETTING_TYPE_URL:
        append_pattern(out, "string", "^[Hh][Tt][Tt][Pp][Ss]?://");
        return;
    case SETTING_TYPE_PARAMETER:
        buffer_append(out, SPAN("\"anyOf\": ["));
        append_parameter_names(out);
        buffer_append(out, SPAN(", " ENV_SCHEMA "]"));
        return;
    default:
        buffer_printf(out, "\"type\": [\"string\", \"number\"], \"minLength\": %" PRId64,
                      setting->min);
        return;
    }
}

/* ---- settings ---- */

static void append_kind(struct buffer *out, const struct setting *setting, int indent)
{
    if (setting->type == SETTING_TYPE_MAP)
        append_map(out, setting, indent);
    else if (setting->type == SETTING_TYPE_NAMED || setting->type == SETTING_TYPE_PARAMETERS)
        append_named(out, setting, indent);
    else if (setting->type == SETTING_TYPE_LIST)
        append_list(out, setting, indent);
    else
        append_scalar(out, setting);
}

static void append_setting(struct buffer *out, const struct setting *setting, int indent)
{
    const char *other = (setting->flags & SETTING_OR_NULL) != 0    ? "{\"type\": \"null\"}"
                        : (setting->flags & SETTING_OR_FALSE) != 0 ? "{\"const\": false}"
                        : (setting->flags & SETTING_OR_TEMPLATE) != 0
                            ? "{\"type\": [\"string\", \"number\"]}"
                            : NULL;
    buffer_append_char(out, '{');
    append_description(out, setting);
    buffer_append_char(out, ',');
    append_line(out, indent + 1);
    if (other != NULL)
        buffer_printf(out, "\"anyOf\": [%s, {", other);
    append_kind(out, setting, indent + 1);
    buffer_append(out, other != NULL ? SPAN("}]}") : SPAN("}"));
}

void schema_print(FILE *out)
{
    const struct setting *root = setting_get(SETTING_ROOT);
    struct buffer schema;
    buffer_init(&schema, SCHEMA_MAX);
    buffer_append(&schema, SPAN("{\"$schema\": \"http://json-schema.org/draft-07/schema#\",\n  "
                                "\"title\": \"sagegate\", "));
    append_description(&schema, root);
    buffer_append(&schema, SPAN(",\n  "));
    append_map(&schema, root, 1);
    buffer_append(&schema, SPAN("}\n"));
    CHECK(!schema.overflowed);
    fwrite(schema.at, 1, schema.len, out);
    buffer_dispose(&schema);
}
