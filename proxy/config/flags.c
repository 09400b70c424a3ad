/* Builds the tree of nodes that an equivalent file would give. */
#include "config/flags.h"

struct step {
    struct span key; /* SPAN_NONE: an element */
    size_t index;
};

static struct yaml_node *make_scalar(struct yaml_load *load, struct span flag, struct span text)
{
    struct yaml_node *node = yaml_make(load, YAML_SCALAR, (struct yaml_position){.file = flag});
    node->text = arena_copy(load->arena, text);
    node->plain = true;
    return node;
}

static struct yaml_node *put(struct yaml_load *load, struct yaml_node *parent, struct span key,
                             struct yaml_node *node)
{
    yaml_append(load, parent, key, node->at, node);
    return node;
}

static struct yaml_node *put_container(struct yaml_load *load, struct yaml_node *parent,
                                       struct span key, enum yaml_kind kind)
{
    return put(load, parent, key,
               yaml_make(load, kind, (struct yaml_position){.file = SPAN("flags")}));
}

static void put_scalar(struct yaml_load *load, struct yaml_node *parent, struct span key,
                       struct span flag, struct span text)
{
    if (text.len != 0)
        put(load, parent, key, make_scalar(load, flag, text));
}

/* ---- --set ---- */

static void tell(struct yaml_load *load, struct span flag, const char *text)
{
    problem_add(load->problems, PROBLEM_ERROR, flag, 0, 0, "%s", text);
}

/* Takes the next step off a path such as "listen[0].address". Returns false at its end, or if it is
 * malformed. */
static bool next_step(struct span *path, struct step *step)
{
    if (path->len != 0 && path->at[0] == '[') {
        struct span digits, rest;
        uint64_t index;
        if (!span_split(span_from_offset(*path, 1), ']', &digits, &rest) || digits.len > 4 ||
            !span_parse_u64(digits, &index))
            return false;
        *step = (struct step){.key = SPAN_NONE, .index = (size_t)index};
        if (rest.len != 0 && rest.at[0] == '.')
            rest = span_from_offset(rest, 1);
        *path = rest;
        return true;
    }
    size_t end = 0;
    while (end != path->len && path->at[end] != '.' && path->at[end] != '[')
        ++end;
    if (end == 0)
        return false;
    *step = (struct step){.key = span_make(path->at, end)};
    if (end != path->len && path->at[end] == '.')
        ++end;
    *path = span_from_offset(*path, end);
    return true;
}

static struct yaml_entry *find_step(const struct yaml_node *node, const struct step *step)
{
    if (step->key.at != NULL)
        return yaml_find_entry(node, step->key);
    struct yaml_entry *entry = node->kind == YAML_LIST ? node->entries : NULL;
    for (size_t i = 0; entry != NULL && i != step->index; ++i)
        entry = entry->next;
    return entry;
}

/* Sets the value at the path, creating missing maps and lists on the way. */
static void set_value(struct yaml_load *load, struct yaml_node *root, struct span flag,
                      struct span path, struct yaml_node *value)
{
    struct step step;
    struct yaml_node *node = root;
    for (unsigned depth = 0; depth != YAML_DEPTH_MAX && next_step(&path, &step); ++depth) {
        bool is_element = step.key.at == NULL;
        struct yaml_entry *entry = find_step(node, &step);
        if (node->kind != (is_element ? YAML_LIST : YAML_MAP)) {
            tell(load, flag,
                 is_element ? "not a list; [INDEX] needs a list"
                            : "not a map; KEY.KEY needs a map");
            return;
        }
        if (is_element && entry == NULL && step.index != node->entry_count) {
            tell(load, flag, "invalid index: elements are numbered from 0, without gaps");
            return;
        }
        bool last = path.len == 0;
        struct yaml_node *next = last ? value
                                 : entry != NULL
                                     ? entry->node
                                     : yaml_make(load, path.at[0] == '[' ? YAML_LIST : YAML_MAP,
                                                 (struct yaml_position){.file = flag});
        if (entry == NULL) {
            put(load, node, step.key, next);
        } else if (last) {
            value->parent = node;
            value->key = step.key;
            value->index = step.index;
            entry->node = value;
        }
        if (last)
            return;
        node = next;
    }
    tell(load, flag,
         "must be KEY=VALUE, with a key such as limits.connections or route.timeouts.total");
}

/* Clears positions, which are meaningless inside a flag's value. A value is YAML: [a, b] is a list.
 */
static void forget_lines(struct yaml_node *node)
{
    node->at.line = node->at.column = 0;
    for (struct yaml_entry *entry = node->entries; entry != NULL; entry = entry->next) {
        entry->key_at.line = entry->key_at.column = 0;
        forget_lines(entry->node);
    }
}

static struct yaml_node *parse_value(struct yaml_load *load, struct span flag, struct span text)
{
    /* yaml_parse would return an empty map. */
    if (span_trim(text).len == 0)
        return make_scalar(load, flag, SPAN(""));
    struct yaml_node *value = yaml_parse(load, flag, text);
    if (value != NULL)
        forget_lines(value);
    return value;
}

static void apply_set(struct yaml_load *load, struct yaml_node *root, struct span text)
{
    struct span key, value_text;
    bool split = span_split(text, '=', &key, &value_text);
    struct span flag = arena_printf(load->arena, "--set %.*s", SPAN_ARG(key));
    if (!split) {
        tell(load, flag,
             "must be KEY=VALUE, with a key such as limits.connections or route.timeouts.total");
        return;
    }
    struct span path = arena_copy(load->arena, key);
    if (span_starts_with(path, SPAN("route.")))
        path = arena_printf(load->arena, "routes[0].%.*s", SPAN_ARG(span_from_offset(path, 6)));
    struct yaml_node *value = parse_value(load, flag, value_text);
    if (value != NULL)
        set_value(load, root, flag, path, value);
}

/* ---- the tree ---- */

/* "/" has nothing for `*` to match, so it needs a second route, which shares all nodes except
 * `match`. */
static void put_root_route(struct yaml_load *load, struct yaml_node *routes,
                           const struct yaml_node *route)
{
    const struct yaml_node *operation = yaml_find(route, SPAN("operation"));
    if (operation != NULL && span_equals(operation->text, SPAN("native")))
        return;
    struct yaml_node *copy = yaml_make(load, YAML_MAP, route->at);
    for (const struct yaml_entry *entry = route->entries; entry != NULL; entry = entry->next) {
        if (span_equals(entry->key, SPAN("match")))
            continue;
        size_t index = entry->node->index;
        yaml_append(load, copy, entry->key, entry->key_at, entry->node);
        /* Problems name the path of the first route. */
        entry->node->parent = (struct yaml_node *)route;
        entry->node->index = index;
    }
    struct yaml_node *match = put_container(load, copy, SPAN("match"), YAML_MAP);
    put_scalar(load, match, SPAN("path"), SPAN("flags"), SPAN("/"));
    put(load, routes, SPAN_NONE, copy);
}

struct yaml_node *flags_make_tree(struct yaml_load *load, const struct config_flags *flags)
{
    struct yaml_node *root = yaml_make(load, YAML_MAP, (struct yaml_position){.file = SPAN_NONE});
    struct yaml_node *listen = put_container(load, root, SPAN("listen"), YAML_LIST);
    struct yaml_node *listener = put_container(load, listen, SPAN_NONE, YAML_MAP);
    put_scalar(load, listener, SPAN("address"), SPAN("--listen"),
               flags->listen.len == 0 ? SPAN("127.0.0.1:8080") : flags->listen);
    put_scalar(load, root, SPAN("region"), SPAN("--region"), flags->region);
    struct yaml_node *routes = put_container(load, root, SPAN("routes"), YAML_LIST);
    struct yaml_node *route = put_container(load, routes, SPAN_NONE, YAML_MAP);
    put_scalar(load, route, SPAN("name"), SPAN("flags"), SPAN("endpoint"));
    struct yaml_node *match = put_container(load, route, SPAN("match"), YAML_MAP);
    put_scalar(load, match, SPAN("path"), SPAN("flags"), SPAN("/*"));
    put_scalar(load, route, SPAN("endpoint"), SPAN("--endpoint"), flags->endpoint);
    put_scalar(load, route, SPAN("operation"), SPAN("--operation"), flags->operation);
    unsigned errors_before = load->problems->errors;
    for (size_t i = 0; i != flags->set_count; ++i)
        apply_set(load, root, flags->set[i]);
    const struct yaml_node *path = yaml_find(yaml_find(route, SPAN("match")), SPAN("path"));
    if (path != NULL && span_equals(path->text, SPAN("/*")))
        put_root_route(load, routes, route);
    return load->problems->errors == errors_before ? root : NULL;
}
