/* Checks a tree strictly against the table of settings; fills in no fields. */
#include "config/verify.h"

#include <inttypes.h>
#include <limits.h>
#include <unistd.h>

#include "config/suggest.h"

struct verify {
    struct yaml_load *load;
    struct arena *arena; /* of values */
};

static void verify_node(const struct verify *verify, struct yaml_node *node,
                        const struct setting *setting);

/* ---- keys ---- */

static struct span list_keys(const struct verify *verify, const struct setting *map)
{
    struct span keys[SETTING_KEYS_MAX];
    return suggest_list(keys, setting_keys(map, keys), "and", verify->load->arena);
}

static void tell_key(const struct verify *verify, const struct yaml_entry *entry, struct span text)
{
    yaml_error_key(verify->load, entry->key_at, entry->node, "%.*s", SPAN_ARG(text));
    entry->node->bad = true;
}

static void tell_unknown_key(const struct verify *verify, const struct yaml_entry *entry,
                             const struct setting *map)
{
    struct arena *arena = verify->load->arena;
    struct span keys[SETTING_KEYS_MAX], text;
    struct span near = suggest_nearest(entry->key, keys, setting_keys(map, keys));
    struct span elsewhere = setting_find_elsewhere(entry->key);
    struct span known = list_keys(verify, map);
    if (setting_is_later_key(map, entry->key))
        text = arena_printf(arena, "not supported by this version yet; known keys: %.*s",
                            SPAN_ARG(known));
    else if (near.at != NULL)
        text = arena_printf(arena, "unknown key, did you mean %.*s?", SPAN_ARG(near));
    else if (elsewhere.at != NULL)
        text = arena_printf(arena, "unknown key here; it belongs under %.*s", SPAN_ARG(elsewhere));
    else
        text = arena_printf(arena, "unknown key; known keys: %.*s", SPAN_ARG(known));
    tell_key(verify, entry, text);
}

/* The names of a map whose keys are the user's. */
static void verify_name(const struct verify *verify, const struct yaml_entry *entry,
                        const struct setting *map)
{
    enum sagemaker_parameter parameter;
    struct span fault;
    bool ok = map->type == SETTING_TYPE_PARAMETERS
                  ? value_parse_parameter(entry->key, verify->load->arena, &parameter, &fault)
                  : value_parse_name(entry->key, verify->load->arena, &fault);
    if (!ok)
        tell_key(verify, entry, fault);
}

/* The map is still read, so that its other problems are reported too. */
static void verify_required(const struct verify *verify, struct yaml_node *node,
                            const struct setting *map)
{
    bool bad = node->bad;
    for (const struct setting *row = setting_next(map, NULL); row != NULL;
         row = setting_next(map, row)) {
        struct span key = setting_key(row);
        if ((row->flags & SETTING_REQUIRED) != 0 && yaml_find_entry(node, key) == NULL)
            yaml_error(verify->load, node, "missing required key %.*s: %.*s", SPAN_ARG(key),
                       SPAN_ARG(row->doc));
    }
    node->bad = bad;
}

static void verify_map(const struct verify *verify, struct yaml_node *node,
                       const struct setting *setting)
{
    bool named = setting_is_named(setting);
    if (named && node->entry_count > (size_t)setting->max)
        yaml_error(verify->load, node, "at most %" PRId64 " names are allowed, not %zu",
                   setting->max, node->entry_count);
    for (struct yaml_entry *entry = node->entries; entry != NULL; entry = entry->next) {
        const struct setting *child = setting_child(setting, entry->key);
        if (child == NULL) {
            tell_unknown_key(verify, entry, setting);
            continue;
        }
        if (named)
            verify_name(verify, entry, setting);
        verify_node(verify, entry->node, child);
    }
    verify_required(verify, node, setting);
}

static void verify_list(const struct verify *verify, struct yaml_node *node,
                        const struct setting *setting)
{
    size_t min = (size_t)setting->min, max = (size_t)setting->max;
    const struct setting *element = setting_element(setting);
    if (node->entry_count < min)
        yaml_error(verify->load, node, "must not be empty; add an element or remove the key");
    if (node->entry_count > max)
        yaml_error(verify->load, node, "at most %zu elements are allowed, not %zu", max,
                   node->entry_count);
    for (struct yaml_entry *entry = node->entries; entry != NULL; entry = entry->next)
        verify_node(verify, entry->node, element);
}

/* ---- scalars ---- */

/* Relative names start at the file that contains them. */
static struct span make_absolute(const struct verify *verify, const struct yaml_node *node,
                                 struct span name)
{
    char directory[PATH_MAX];
    struct span base = node->at.line == 0 ? SPAN("") : node->at.file;
    if (name.at[0] == '/')
        return name;
    while (base.len != 0 && base.at[base.len - 1] != '/')
        --base.len;
    if ((base.len != 0 && base.at[0] == '/') || getcwd(directory, sizeof(directory)) == NULL)
        directory[0] = '\0';
    return arena_printf(verify->arena, "%s%s%.*s%.*s", directory, directory[0] == '\0' ? "" : "/",
                        SPAN_ARG(base), SPAN_ARG(name));
}

/* Placeholder for an address that only another machine's environment defines. */
static const struct config_address unknown_address = {
    .text = SPAN("127.0.0.1:0"), .host = SPAN("127.0.0.1"), .unix_mode = 0600, .loopback = true};

/* Sets *out to a placeholder. Returns false if the type has none. */
static bool make_unknown(const struct verify *verify, const struct yaml_node *node,
                         const struct setting *setting, union value *out)
{
    struct span fault;
    if (setting->type == SETTING_TYPE_ADDRESS)
        out->address = unknown_address;
    return setting->type == SETTING_TYPE_ADDRESS ||
           value_parse(setting, node->text, verify->arena, out, &fault);
}

/* Reports an error and returns false if the scalar's YAML type does not fit the setting. */
static bool verify_form(const struct verify *verify, struct yaml_node *node,
                        const struct setting *setting)
{
    bool is_bool = span_equals(node->text, SPAN("true")) || span_equals(node->text, SPAN("false"));
    switch (setting->type) {
    case SETTING_TYPE_SIZE:
    case SETTING_TYPE_TIME:
    case SETTING_TYPE_WORD:
    case SETTING_TYPE_ADDRESS:
        break;
    case SETTING_TYPE_BOOL:
    case SETTING_TYPE_COUNT:
        if (!node->plain)
            yaml_error(verify->load, node, "must be %s, not a string; remove the quotes",
                       setting_type_info(setting->type)->text);
        break;
    case SETTING_TYPE_MODE:
        if (node->plain && node->at.line != 0)
            yaml_error(verify->load, node,
                       "permission bits must be quoted, since YAML would read a number: \"0660\"");
        break;
    default:
        if (node->plain && is_bool)
            yaml_error(verify->load, node,
                       "must be a string, not a boolean; if intended, quote it: \"%.*s\"",
                       SPAN_ARG(node->text));
    }
    return !node->bad;
}

static void verify_scalar(const struct verify *verify, struct yaml_node *node,
                          const struct setting *setting)
{
    bool is_file = setting->type == SETTING_TYPE_FILE || setting->type == SETTING_TYPE_PATH;
    struct span fault;
    union value value;
    if (node->opaque) {
        if (!make_unknown(verify, node, setting, &value))
            return;
    } else if (!verify_form(verify, node, setting)) {
        return;
    } else if (!value_parse(setting, node->text, verify->arena, &value, &fault)) {
        yaml_error(verify->load, node, "%.*s", SPAN_ARG(fault));
        return;
    } else if (is_file) {
        value.text = make_absolute(verify, node, value.text);
    }
    union value *kept = arena_alloc(verify->arena, sizeof(*kept));
    *kept = value;
    node->value = kept;
}

/* ---- nodes ---- */

static void tell_wrong_kind(const struct verify *verify, struct yaml_node *node,
                            const struct setting *setting)
{
    struct yaml_load *load = verify->load;
    const char *wanted = setting_type_info(setting->type)->text;
    const char *kind = node->kind == YAML_MAP    ? "a map"
                       : node->kind == YAML_LIST ? "a list"
                                                 : "a string";
    struct span text = node->text;
    if (node->null)
        yaml_error(load, node, "has no value; set it to %s or remove the key", wanted);
    else if (node->kind == YAML_SCALAR && (setting->flags & SETTING_VALUE_HINT) != 0)
        yaml_error(load, node, "must be a map, not a string: write { value: %.*s }",
                   SPAN_ARG(text));
    else if (node->kind == YAML_SCALAR && setting->type == SETTING_TYPE_LIST)
        yaml_error(load, node, "must be a list, not a string: write [%.*s]", SPAN_ARG(text));
    else if (setting->type == SETTING_TYPE_MAP) {
        struct span keys = list_keys(verify, setting);
        yaml_error(load, node, "must be a map (keys: %.*s)%s, not %s", SPAN_ARG(keys),
                   (setting->flags & SETTING_OR_FALSE) != 0 ? " or false" : "", kind);
    } else {
        yaml_error(load, node, "must be %s, not %s", wanted, kind);
    }
}

static void verify_node(const struct verify *verify, struct yaml_node *node,
                        const struct setting *setting)
{
    bool map = setting->type == SETTING_TYPE_MAP || setting_is_named(setting);
    enum yaml_kind wanted = map                                  ? YAML_MAP
                            : setting->type == SETTING_TYPE_LIST ? YAML_LIST
                                                                 : YAML_SCALAR;
    /* A bad scalar is skipped; the contents of a bad map or list are still checked. */
    if (node->bad && node->kind == YAML_SCALAR)
        return;
    if (node->null && (setting->flags & SETTING_OR_NULL) != 0)
        return;
    if ((setting->flags & SETTING_OR_FALSE) != 0 && node->kind == YAML_SCALAR && node->plain &&
        span_equals(node->text, SPAN("false")))
        return;
    if ((setting->flags & SETTING_OR_TEMPLATE) != 0 && node->kind == YAML_SCALAR && !node->null)
        verify_scalar(verify, node, setting_child(setting, SPAN("value")));
    else if (node->kind != wanted || node->null)
        tell_wrong_kind(verify, node, setting);
    else if (wanted == YAML_MAP)
        verify_map(verify, node, setting);
    else if (wanted == YAML_LIST)
        verify_list(verify, node, setting);
    else
        verify_scalar(verify, node, setting);
}

void verify_tree(struct yaml_load *load, struct yaml_node *root, struct arena *arena)
{
    const struct verify verify = {.load = load, .arena = arena};
    verify_node(&verify, root, setting_get(SETTING_ROOT));
}
