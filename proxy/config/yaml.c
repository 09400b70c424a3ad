/* YAML to nodes, over libyaml's events; it knows no keys and opens no files. */
#include "config/yaml.h"

#include <stdarg.h>
#include <stdio.h>

#include <yaml.h>

#include "base/buffer.h"
#include "config/env.h"

enum { MAP_KEYS_MAX = 1000 };

struct parse {
    struct yaml_load *load;
    yaml_parser_t parser;
    struct span file;
    struct span text;
    struct yaml_node *holder; /* a list whose only child becomes the root */
    unsigned depth;
    bool failed; /* no tree can come of it; its problem was told */
};

static void parse_children(struct parse *parse, struct yaml_node *node);

static struct yaml_position position_of(const struct parse *parse, yaml_mark_t mark)
{
    return (struct yaml_position){parse->file, (unsigned)mark.line + 1, (unsigned)mark.column + 1};
}

static void fail_at(struct parse *parse, struct yaml_position at, const char *message)
{
    if (!parse->failed)
        problem_add(parse->load->problems, PROBLEM_ERROR, at.file, at.line, at.column, "%s",
                    message);
    parse->failed = true;
}

/* libyaml gives a position for all its errors but those of the encoding, which have an offset in
 * bytes. */
static void fail_with_parser_error(struct parse *parse)
{
    const yaml_parser_t *parser = &parse->parser;
    const char *problem = parser->problem == NULL ? "out of memory" : parser->problem;
    struct yaml_position at = position_of(parse, parser->problem_mark);
    if (parser->error == YAML_READER_ERROR) {
        size_t offset =
            parser->problem_offset < parse->text.len ? parser->problem_offset : parse->text.len;
        at = (struct yaml_position){parse->file, 1, 1};
        for (size_t i = 0; i != offset; ++i) {
            ++at.column;
            if (parse->text.at[i] != '\n')
                continue;
            ++at.line;
            at.column = 1;
        }
    }
    bool tab = parser->error == YAML_SCANNER_ERROR &&
               parser->problem_mark.index < parse->text.len &&
               parse->text.at[parser->problem_mark.index] == '\t';
    struct span message = arena_printf(
        parse->load->arena, "not valid YAML: %s%s%s%s", problem, parser->context == NULL ? "" : " ",
        parser->context == NULL ? "" : parser->context, tab ? " (a tab: indent with blanks)" : "");
    fail_at(parse, at, message.at);
}

/* False once the text has failed. The event is the caller's to delete. */
static bool next_event(struct parse *parse, yaml_event_t *event)
{
    if (parse->failed)
        return false;
    if (!yaml_parser_parse(&parse->parser, event)) {
        fail_with_parser_error(parse);
        return false;
    }
    return true;
}

static struct span scalar_text(const yaml_event_t *event)
{
    return span_make((const char *)event->data.scalar.value, event->data.scalar.length);
}

static bool has_control_characters(struct span text)
{
    for (size_t i = 0; i != text.len; ++i)
        if (((unsigned char)text.at[i] < ' ' && text.at[i] != '\t') || text.at[i] == 0x7f)
            return true;
    return false;
}

static bool is_null(struct span text)
{
    return text.len == 0 || span_equals(text, SPAN("~")) || span_equals(text, SPAN("null")) ||
           span_equals(text, SPAN("Null")) || span_equals(text, SPAN("NULL"));
}

static void read_scalar(struct parse *parse, struct yaml_node *node, const yaml_event_t *event)
{
    struct span fault, text = arena_copy(parse->load->arena, scalar_text(event));
    struct env_result env = {.text = text};
    node->text = text;
    if (has_control_characters(text)) {
        yaml_error(parse->load, node, "has control characters or more than one line");
        return;
    }
    if (!env_replace(text, parse->load->options, parse->load->arena, &env, &fault)) {
        yaml_error(parse->load, node, "%.*s", SPAN_ARG(fault));
        return;
    }
    bool unquoted = event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
    node->text = env.text;
    node->opaque = env.opaque;
    node->plain = unquoted || env.replaced;
    node->null = unquoted && !env.replaced && is_null(text);
}

/* Anchors and tags are told, and the value taken as if they were not there. */
static void refuse_properties(struct parse *parse, struct yaml_node *node, const void *anchor,
                              const void *tag)
{
    if (anchor != NULL)
        yaml_error(parse->load, node,
                   "anchors (&) are not taken; what routes share belongs under defaults");
    if (tag != NULL)
        yaml_error(parse->load, node, "tags (!) are not taken; write the plain value");
}

/* The value that `event` begins, put into parent. */
static void read_value(struct parse *parse, struct yaml_node *parent, const struct yaml_entry *key,
                       const yaml_event_t *event)
{
    struct yaml_load *load = parse->load;
    struct yaml_position at = position_of(parse, event->start_mark);
    if (load->nodes >= YAML_NODES_MAX) {
        fail_at(parse, at, "too large: more than 200000 values");
        return;
    }
    enum yaml_kind kind = event->type == YAML_SEQUENCE_START_EVENT  ? YAML_LIST
                          : event->type == YAML_MAPPING_START_EVENT ? YAML_MAP
                                                                    : YAML_SCALAR;
    struct yaml_node *node = yaml_make(load, kind, at);
    yaml_append(load, parent, key == NULL ? SPAN_NONE : key->key, key == NULL ? at : key->key_at,
                node);
    if (parent == parse->holder)
        node->parent = NULL;
    if (event->type == YAML_ALIAS_EVENT) {
        yaml_error(load, node, "aliases (*) are not taken; a text that begins with * needs quotes");
    } else if (kind == YAML_SCALAR) {
        refuse_properties(parse, node, event->data.scalar.anchor, event->data.scalar.tag);
        read_scalar(parse, node, event);
    } else {
        refuse_properties(parse, node,
                          kind == YAML_LIST ? event->data.sequence_start.anchor
                                            : event->data.mapping_start.anchor,
                          kind == YAML_LIST ? event->data.sequence_start.tag
                                            : event->data.mapping_start.tag);
        parse_children(parse, node);
    }
}

/* A key and where it stands. One that stands twice is told; yaml_find gives the first. */
static struct yaml_entry read_key(struct parse *parse, const struct yaml_node *map,
                                  const yaml_event_t *event)
{
    struct yaml_entry key = {.key_at = position_of(parse, event->start_mark)};
    if (event->type != YAML_SCALAR_EVENT) {
        fail_at(parse, key.key_at, "a key must be a word");
        return key;
    }
    key.key = arena_copy(parse->load->arena, scalar_text(event));
    if (event->data.scalar.anchor != NULL || event->data.scalar.tag != NULL ||
        has_control_characters(key.key)) {
        fail_at(parse, key.key_at, "a key must be a plain word, without anchor or tag");
        return key;
    }
    const struct yaml_entry *earlier = yaml_find_entry(map, key.key);
    if (earlier != NULL) {
        struct span path = yaml_path(earlier->node, parse->load->arena);
        problem_add(parse->load->problems, PROBLEM_ERROR, key.key_at.file, key.key_at.line,
                    key.key_at.column, "%.*s: given twice, first at line %u; keep one of them",
                    SPAN_ARG(path), earlier->key_at.line);
    }
    if (map->entry_count >= MAP_KEYS_MAX)
        fail_at(parse, key.key_at, "more than 1000 keys in one map");
    return key;
}

/* Up to the end of the list or map; each turn is one value. */
static void parse_children(struct parse *parse, struct yaml_node *node)
{
    yaml_event_t event;
    if (++parse->depth > YAML_DEPTH_MAX)
        fail_at(parse, node->at, "nested more than 16 deep");
    while (next_event(parse, &event)) {
        if (event.type == YAML_SEQUENCE_END_EVENT || event.type == YAML_MAPPING_END_EVENT) {
            yaml_event_delete(&event);
            break;
        }
        struct yaml_entry key = {0};
        if (node->kind == YAML_MAP) {
            key = read_key(parse, node, &event);
            yaml_event_delete(&event);
            if (!next_event(parse, &event))
                break;
        }
        read_value(parse, node, node->kind == YAML_MAP ? &key : NULL, &event);
        yaml_event_delete(&event);
    }
    --parse->depth;
}

static void parse_stream(struct parse *parse)
{
    yaml_event_t event;
    unsigned documents = 0;
    while (next_event(parse, &event)) {
        yaml_event_type_t type = event.type;
        if (type == YAML_DOCUMENT_START_EVENT && ++documents > 1)
            fail_at(parse, position_of(parse, event.start_mark),
                    "a second document begins here (---); a file holds one, use include for more");
        else if (type == YAML_SCALAR_EVENT || type == YAML_ALIAS_EVENT ||
                 type == YAML_SEQUENCE_START_EVENT || type == YAML_MAPPING_START_EVENT)
            read_value(parse, parse->holder, NULL, &event);
        yaml_event_delete(&event);
        if (type == YAML_STREAM_END_EVENT)
            break;
    }
}

struct yaml_node *yaml_parse(struct yaml_load *load, struct span file, struct span text)
{
    struct parse parse = {.load = load, .file = file, .text = text};
    struct yaml_position start = {file, 1, 1};
    if (span_starts_with(text,
                         SPAN("\xef\xbb\xbf"))) /* libyaml takes a byte order mark for a column */
        text = parse.text = span_from_offset(text, 3);
    if (text.len > YAML_FILE_BYTES_MAX) {
        fail_at(&parse, start, "larger than 1 MiB");
        return NULL;
    }
    CHECK(yaml_parser_initialize(&parse.parser));
    yaml_parser_set_encoding(&parse.parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&parse.parser,
                                 (const unsigned char *)(text.at == NULL ? "" : text.at), text.len);
    parse.holder = yaml_make(load, YAML_LIST, start);
    parse_stream(&parse);
    yaml_parser_delete(&parse.parser);
    if (parse.failed)
        return NULL;
    struct yaml_node *root = parse.holder->entries == NULL ? NULL : parse.holder->entries->node;
    if (root == NULL || root->null)
        return yaml_make(load, YAML_MAP, start);
    return root;
}

struct yaml_node *yaml_make(struct yaml_load *load, enum yaml_kind kind, struct yaml_position at)
{
    struct yaml_node *node = arena_zalloc(load->arena, 1, sizeof(*node));
    *node = (struct yaml_node){.kind = kind, .at = at, .end = &node->entries};
    ++load->nodes;
    return node;
}

void yaml_append(struct yaml_load *load, struct yaml_node *parent, struct span key,
                 struct yaml_position key_at, struct yaml_node *node)
{
    struct yaml_entry *entry = arena_zalloc(load->arena, 1, sizeof(*entry));
    *entry = (struct yaml_entry){.key = key, .key_at = key_at, .node = node};
    node->parent = parent;
    node->key = key;
    node->index = parent->entry_count;
    ++parent->entry_count;
    *parent->end = entry;
    parent->end = &entry->next;
}

struct yaml_entry *yaml_find_entry(const struct yaml_node *map, struct span key)
{
    if (map == NULL || map->kind != YAML_MAP)
        return NULL;
    for (struct yaml_entry *entry = map->entries; entry != NULL; entry = entry->next)
        if (span_equals(entry->key, key))
            return entry;
    return NULL;
}

struct yaml_node *yaml_find(const struct yaml_node *map, struct span key)
{
    const struct yaml_entry *entry = yaml_find_entry(map, key);
    return entry == NULL ? NULL : entry->node;
}

struct span yaml_path(const struct yaml_node *node, struct arena *arena)
{
    struct span steps[YAML_DEPTH_MAX * 2];
    size_t count = 0;
    for (; node->parent != NULL && count != sizeof(steps) / sizeof(steps[0]); node = node->parent) {
        bool top = node->parent->parent == NULL;
        steps[count++] = node->key.at == NULL
                             ? arena_printf(arena, "[%zu]", node->index)
                             : arena_printf(arena, "%s%.*s", top ? "" : ".", SPAN_ARG(node->key));
    }
    struct buffer path;
    buffer_init(&path, 4096);
    while (count != 0)
        buffer_append(&path, steps[--count]);
    struct span result = arena_copy(arena, path.len == 0 ? SPAN("") : buffer_span(&path));
    buffer_dispose(&path);
    return result;
}

static void tell(struct yaml_load *load, const struct yaml_node *node, enum problem_level level,
                 const char *format, va_list args)
{
    char text[900];
    vsnprintf(text, sizeof(text), format, args);
    struct span path = yaml_path(node, load->arena);
    problem_add(load->problems, level, node->at.file, node->at.line, node->at.column, "%.*s%s%s",
                SPAN_ARG(path), path.len == 0 ? "" : ": ", text);
}

void yaml_error(struct yaml_load *load, struct yaml_node *node, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    tell(load, node, PROBLEM_ERROR, format, args);
    va_end(args);
    node->bad = true;
}

void yaml_warn(struct yaml_load *load, const struct yaml_node *node, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    tell(load, node, PROBLEM_WARNING, format, args);
    va_end(args);
}
