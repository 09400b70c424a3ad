/* The strict reading of a tree by the table of settings; it fills in nothing. */
#include "config/verify.h"

#include <inttypes.h>

#include "config/suggest.h"
#include "config/value.h"

static void verify_node(struct yaml_load *load, struct yaml_node *node,
                        const struct setting *setting);

static const char *kind_text(const struct yaml_node *node)
{
    return node->kind == YAML_MAP ? "a map" : node->kind == YAML_LIST ? "a list" : "a text";
}

static struct span list_keys(struct yaml_load *load, const struct setting *map)
{
    struct span keys[SETTING_KEYS_MAX];
    return suggest_list(keys, setting_keys(map, keys), "and", load->arena);
}

/* ---- keys ---- */

static void tell_unknown_key(struct yaml_load *load, const struct yaml_entry *entry,
                             const struct setting *map)
{
    struct span keys[SETTING_KEYS_MAX], text;
    size_t count = setting_keys(map, keys);
    struct span near = suggest_nearest(entry->key, keys, count);
    struct span elsewhere = setting_find_elsewhere(entry->key);
    struct span known = list_keys(load, map);
    if (setting_is_later_key(map, entry->key))
        text = arena_printf(load->arena, "this version does not have it yet; known here: %.*s",
                            SPAN_ARG(known));
    else if (near.at != NULL)
        text = arena_printf(load->arena, "unknown key, did you mean %.*s?", SPAN_ARG(near));
    else if (elsewhere.at != NULL)
        text =
            arena_printf(load->arena, "unknown key here, it belongs to %.*s", SPAN_ARG(elsewhere));
    else
        text = arena_printf(load->arena, "unknown key; known here: %.*s", SPAN_ARG(known));
    struct span path = yaml_path(entry->node, load->arena);
    problem_add(load->problems, PROBLEM_ERROR, entry->key_at.file, entry->key_at.line,
                entry->key_at.column, "%.*s: %.*s", SPAN_ARG(path), SPAN_ARG(text));
    entry->node->bad = true;
}

static bool is_name(struct span name)
{
    for (size_t i = 0; i != name.len; ++i) {
        char c = name.at[i];
        bool letter = (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
        if (!letter && c != '_' && c != '-' && c != '.')
            return false;
    }
    return name.len != 0 && name.len <= 64;
}

/* The nearest parameter's name, or all of them, as the end of a message. */
static struct span parameter_hint(struct yaml_load *load, struct span word)
{
    struct span names[SAGEMAKER_PARAMETERS];
    for (unsigned i = 0; i != SAGEMAKER_PARAMETERS; ++i)
        names[i] = sagemaker_parameter_info((enum sagemaker_parameter)i)->name;
    struct span near = suggest_nearest(word, names, SAGEMAKER_PARAMETERS);
    if (near.at != NULL)
        return arena_printf(load->arena, "did you mean %.*s?", SPAN_ARG(near));
    struct span all = suggest_list(names, SAGEMAKER_PARAMETERS, "and", load->arena);
    return arena_printf(load->arena, "there are %.*s", SPAN_ARG(all));
}

/* The names of a map whose keys are the user's. */
static void verify_name_of_entry(struct yaml_load *load, const struct yaml_entry *entry,
                                 const struct setting *map)
{
    enum sagemaker_parameter parameter;
    struct span text;
    if (map->type == SETTING_TYPE_PARAMETERS) {
        if (sagemaker_parameter_by_name(entry->key, &parameter))
            return;
        struct span hint = parameter_hint(load, entry->key);
        text = arena_printf(load->arena, "unknown parameter, %.*s", SPAN_ARG(hint));
    } else {
        if (is_name(entry->key))
            return;
        text = SPAN("a name has 1 to 64 letters, digits, dots, hyphens and underscores");
    }
    struct span path = yaml_path(entry->node, load->arena);
    problem_add(load->problems, PROBLEM_ERROR, entry->key_at.file, entry->key_at.line,
                entry->key_at.column, "%.*s: %.*s", SPAN_ARG(path), SPAN_ARG(text));
    entry->node->bad = true;
}

static void verify_map(struct yaml_load *load, struct yaml_node *node,
                       const struct setting *setting)
{
    bool named = setting->type == SETTING_TYPE_NAMED || setting->type == SETTING_TYPE_PARAMETERS;
    if (named && node->entry_count > (size_t)setting->max)
        yaml_error(load, node, "at most %" PRId64 " names, these are %zu", setting->max,
                   node->entry_count);
    for (struct yaml_entry *entry = node->entries; entry != NULL; entry = entry->next) {
        const struct setting *child = setting_child(setting, entry->key);
        if (child == NULL) {
            tell_unknown_key(load, entry, setting);
            continue;
        }
        if (named)
            verify_name_of_entry(load, entry, setting);
        verify_node(load, entry->node, child);
    }
}

static void verify_list(struct yaml_load *load, struct yaml_node *node,
                        const struct setting *setting)
{
    size_t min = (size_t)setting->min, max = (size_t)setting->max;
    if (node->entry_count < min)
        yaml_error(load, node, "an empty list; name at least one, or leave the key out");
    if (node->entry_count > max)
        yaml_error(load, node, "at most %zu elements, these are %zu", max, node->entry_count);
    const struct setting *element = setting_element(setting);
    for (struct yaml_entry *entry = node->entries; entry != NULL; entry = entry->next)
        verify_node(load, entry->node, element);
}

/* ---- scalars ---- */

static void verify_range(struct yaml_load *load, struct yaml_node *node,
                         const struct setting *setting, int64_t value)
{
    if (value >= setting->min && value <= setting->max)
        return;
    struct span range = setting_range(setting, load->arena);
    yaml_error(load, node, "%.*s is out of range: %.*s", SPAN_ARG(node->text), SPAN_ARG(range));
}

static void verify_word(struct yaml_load *load, struct yaml_node *node,
                        const struct setting *setting)
{
    struct span words[SETTING_KEYS_MAX];
    size_t count = setting_words(setting, words);
    for (size_t i = 0; i != count; ++i)
        if (span_equals(words[i], node->text))
            return;
    struct span list = suggest_list(words, count, "or", load->arena);
    struct span near = suggest_nearest(node->text, words, count);
    if (setting_is_later_word(setting, node->text))
        yaml_error(load, node, "this version does not have \"%.*s\" yet; there is %.*s",
                   SPAN_ARG(node->text), SPAN_ARG(list));
    else if (near.at != NULL)
        yaml_error(load, node, "unknown word \"%.*s\", did you mean %.*s?", SPAN_ARG(node->text),
                   SPAN_ARG(near));
    else
        yaml_error(load, node, "%.*s is expected, this is \"%.*s\"", SPAN_ARG(list),
                   SPAN_ARG(node->text));
}

static bool is_host(struct span host)
{
    for (size_t i = 0; i != host.len; ++i) {
        char c = host.at[i];
        bool letter = (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
        if (!letter && c != '-' && c != '.' && c != '_')
            return false;
    }
    return host.len != 0;
}

static bool is_ipv6_literal(struct span host)
{
    bool ok = host.len > 4 && host.at[0] == '[' && host.at[host.len - 1] == ']';
    for (size_t i = 1; ok && i + 1 != host.len; ++i)
        ok = memchr("0123456789abcdefABCDEF:.", host.at[i], 24) != NULL;
    return ok;
}

/* Texts with a form of their own. */
static void verify_form(struct yaml_load *load, struct yaml_node *node,
                        const struct setting *setting, struct span text)
{
    enum sagemaker_parameter parameter;
    struct config_peer peer;
    struct span fault;
    switch (setting->type) {
    case SETTING_TYPE_NAME:
        if (!is_name(text))
            yaml_error(load, node,
                       "a name has 1 to 64 letters, digits, dots, hyphens and underscores");
        return;
    case SETTING_TYPE_REGION:
        if (!endpoint_region_is_valid(text))
            yaml_error(load, node, "\"%.*s\" cannot be a region; write one such as us-east-1",
                       SPAN_ARG(text));
        return;
    case SETTING_TYPE_HOST:
        if (!is_host(text) && !is_ipv6_literal(text))
            yaml_error(load, node, "\"%.*s\" is no host name (without scheme and port)",
                       SPAN_ARG(text));
        return;
    case SETTING_TYPE_PEER:
        if (!value_parse_peer(text, load->arena, &peer, &fault))
            yaml_error(load, node, "%.*s", SPAN_ARG(fault));
        return;
    case SETTING_TYPE_PARAMETER:
        if (!sagemaker_parameter_by_name(text, &parameter)) {
            struct span hint = parameter_hint(load, text);
            yaml_error(load, node, "unknown parameter \"%.*s\", %.*s", SPAN_ARG(text),
                       SPAN_ARG(hint));
        }
        return;
    default:
        return;
    }
}

static void verify_text(struct yaml_load *load, struct yaml_node *node,
                        const struct setting *setting)
{
    struct span text, fault;
    struct template template;
    if (node->plain &&
        (span_equals(node->text, SPAN("true")) || span_equals(node->text, SPAN("false")))) {
        yaml_error(load, node,
                   "a text is expected, this is a boolean; if it is meant, quote it: \"%.*s\"",
                   SPAN_ARG(node->text));
        return;
    }
    if (setting->type == SETTING_TYPE_TEMPLATE) {
        if (!template_compile(node->text, load->arena, &template, &fault))
            yaml_error(load, node, "%.*s", SPAN_ARG(fault));
        text = node->text;
    } else if (!value_parse_text(node->text, load->arena, &text, &fault)) {
        yaml_error(load, node, "%.*s", SPAN_ARG(fault));
        return;
    }
    if (text.len < (size_t)setting->min)
        yaml_error(load, node, "an empty text; leave the key out, or say what is meant");
    else if (text.len > (size_t)setting->max)
        yaml_error(load, node, "at most %" PRId64 " bytes, these are %zu", setting->max, text.len);
    else
        verify_form(load, node, setting, text);
}

/* Booleans, numbers, addresses: all that has a parser of its own. False for texts and words. */
static bool verify_value(struct yaml_load *load, struct yaml_node *node,
                         const struct setting *setting)
{
    struct span text, fault = SPAN_NONE;
    struct config_address address;
    int64_t number = 0;
    unsigned mode;
    bool boolean, ok, ranged = true;
    switch (setting->type) {
    case SETTING_TYPE_COUNT:
        ok = value_parse_count(node->text, load->arena, &number, &fault);
        break;
    case SETTING_TYPE_SIZE:
        ok = value_parse_size(node->text, load->arena, &number, &fault);
        break;
    case SETTING_TYPE_TIME:
        ok = value_parse_time(node->text, load->arena, &number, &fault);
        break;
    case SETTING_TYPE_BOOL:
        ok = value_parse_bool(node->text, load->arena, &boolean, &fault);
        ranged = false;
        break;
    case SETTING_TYPE_ADDRESS:
        ok = value_parse_text(node->text, load->arena, &text, &fault) &&
             value_parse_address(text, load->arena, &address, &fault);
        ranged = false;
        break;
    case SETTING_TYPE_MODE:
        ok = value_parse_mode(node->text, load->arena, &mode, &fault);
        ranged = false;
        break;
    default:
        return false;
    }
    if (!ok)
        yaml_error(load, node, "%.*s", SPAN_ARG(fault));
    else if (ranged)
        verify_range(load, node, setting, number);
    return true;
}

static void verify_scalar(struct yaml_load *load, struct yaml_node *node,
                          const struct setting *setting)
{
    bool needs_plain = setting->type == SETTING_TYPE_BOOL || setting->type == SETTING_TYPE_COUNT;
    bool needs_quotes = setting->type == SETTING_TYPE_MODE;
    if (node->opaque)
        return;
    if (needs_plain && !node->plain)
        yaml_error(load, node, "%s is expected, this is a text; leave the quotes out",
                   setting_type_text(setting->type));
    else if (needs_quotes && node->plain && node->at.line != 0)
        yaml_error(load, node,
                   "permission bits need quotes, or YAML takes them for a number: \"0660\"");
    else if (setting->type == SETTING_TYPE_WORD)
        verify_word(load, node, setting);
    else if (!verify_value(load, node, setting))
        verify_text(load, node, setting);
}

/* ---- nodes ---- */

static void tell_wrong_kind(struct yaml_load *load, struct yaml_node *node,
                            const struct setting *setting)
{
    const char *wanted = setting_type_text(setting->type);
    if (node->null)
        yaml_error(load, node, "has no value; leave the key out, or give %s", wanted);
    else if (node->kind == YAML_SCALAR && (setting->flags & SETTING_VALUE_HINT) != 0)
        yaml_error(load, node, "a map is expected, this is a text: write { value: %.*s }",
                   SPAN_ARG(node->text));
    else if (node->kind == YAML_SCALAR && setting->type == SETTING_TYPE_LIST)
        yaml_error(load, node, "a list is expected, this is a text: write [%.*s]",
                   SPAN_ARG(node->text));
    else if (setting->type == SETTING_TYPE_MAP) {
        struct span keys = list_keys(load, setting);
        yaml_error(load, node, "a map is expected (of %.*s)%s, this is %s", SPAN_ARG(keys),
                   (setting->flags & SETTING_OR_FALSE) != 0 ? " or false" : "", kind_text(node));
    } else {
        yaml_error(load, node, "%s is expected, this is %s", wanted, kind_text(node));
    }
}

static void verify_node(struct yaml_load *load, struct yaml_node *node,
                        const struct setting *setting)
{
    bool map = setting->type == SETTING_TYPE_MAP || setting->type == SETTING_TYPE_NAMED ||
               setting->type == SETTING_TYPE_PARAMETERS;
    enum yaml_kind wanted = map                                  ? YAML_MAP
                            : setting->type == SETTING_TYPE_LIST ? YAML_LIST
                                                                 : YAML_SCALAR;
    /* A scalar that is bad says nothing; what a map or list holds may be read all the same. */
    if (node->bad && node->kind == YAML_SCALAR)
        return;
    if (node->null && (setting->flags & SETTING_OR_NULL) != 0)
        return;
    if ((setting->flags & SETTING_OR_FALSE) != 0 && node->kind == YAML_SCALAR && node->plain &&
        span_equals(node->text, SPAN("false")))
        return;
    if ((setting->flags & SETTING_OR_TEMPLATE) != 0 && node->kind == YAML_SCALAR && !node->null)
        verify_scalar(load, node, setting_child(setting, SPAN("value")));
    else if (node->kind != wanted || node->null)
        tell_wrong_kind(load, node, setting);
    else if (wanted == YAML_MAP)
        verify_map(load, node, setting);
    else if (wanted == YAML_LIST)
        verify_list(load, node, setting);
    else
        verify_scalar(load, node, setting);
}

void verify_tree(struct yaml_load *load, struct yaml_node *root)
{
    verify_node(load, root, setting_get(SETTING_ROOT));
}
