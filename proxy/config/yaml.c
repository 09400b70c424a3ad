/* Builds nodes from libyaml's events; interprets no keys and opens no files. */
#include "config/yaml.h"

#include <stdarg.h>
#include <stdio.h>

#include <yaml.h>

#include "base/buffer.h"

enum { MAP_KEYS_MAX = 1000, YAML_TEXT_MAX = 64 * 1024 };

struct parse {
    struct yaml_load *load;
    yaml_parser_t parser;
    struct span file;
    struct span text;
    struct yaml_node *holder; /* a list whose only child becomes the root */
    unsigned depth;
    bool failed; /* there is no tree; the problem was reported */
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

/* libyaml gives a position for all errors except those of the encoding, which have an offset in
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
        parser->context == NULL ? "" : parser->context, tab ? " (a tab: indent with spaces)" : "");
    fail_at(parse, at, message.at);
}

/* Returns false once the text has failed. The caller deletes the event. */
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

static bool is_null(struct span text)
{
    return text.len == 0 || span_equals(text, SPAN("~")) || span_equals(text, SPAN("null")) ||
           span_equals(text, SPAN("Null")) || span_equals(text, SPAN("NULL"));
}

/* ---- references to the environment ---- */

/* Of a scalar whose references to the environment were replaced. */
struct replaced {
    /* In arena; `$$` and all other references stay, and a dollar from the environment becomes
     * `$$`, so that later stages take it literally. */
    struct span text;
    bool replaced; /* there was a reference */
    /* A reference had neither value nor fallback, and options->getenv is NULL: the text stands for
     * the reference and means nothing else. */
    bool opaque;
};

static const struct span env_open = SPAN("${env.");

static void append_escaped(struct buffer *out, struct span value)
{
    for (size_t i = 0; i != value.len; ++i) {
        buffer_append_char(out, value.at[i]);
        if (value.at[i] == '$')
            buffer_append_char(out, '$');
    }
}

/* inner is NAME or NAME:-FALLBACK. */
static bool replace_one(struct span inner, const struct config_options *options,
                        struct arena *arena, struct buffer *out, struct replaced *result,
                        struct span *fault)
{
    struct span name = inner, fallback = SPAN_NONE;
    for (size_t i = 0; i + 1 < inner.len; ++i) {
        if (inner.at[i] != ':' || inner.at[i + 1] != '-')
            continue;
        name = span_make(inner.at, i);
        fallback = span_from_offset(inner, i + 2);
        break;
    }
    if (!span_is_identifier(name))
        return arena_fault(arena, fault, "${env.%.*s}: \"%.*s\" is not a valid variable name",
                           SPAN_ARG(inner), SPAN_ARG(name));
    for (size_t i = 0; i + 1 < fallback.len; ++i)
        if (fallback.at[i] == '$' && fallback.at[i + 1] == '{')
            return arena_fault(arena, fault,
                               "${env.%.*s}: a fallback must be plain text, without ${...}",
                               SPAN_ARG(inner));
    struct span value =
        options->getenv == NULL ? SPAN_NONE : options->getenv(options->getenv_context, name);
    /* A control character would break a header, a line of the log or a host name. */
    if (!span_is_all(value, ASCII_TEXT))
        return arena_fault(arena, fault,
                           "${env.%.*s}: the variable's value contains control characters",
                           SPAN_ARG(name));
    if (value.len == 0 && fallback.at != NULL) {
        buffer_append(out, fallback);
    } else if (value.at != NULL) {
        append_escaped(out, value);
    } else if (options->getenv == NULL) {
        buffer_printf(out, "env.%.*s", SPAN_ARG(name));
        result->opaque = true;
    } else {
        *fault = arena_printf(
            arena,
            "${env.%.*s}: the variable is not set; set it or add a fallback: ${env.%.*s:-text}",
            SPAN_ARG(name), SPAN_ARG(name));
        return false;
    }
    return true;
}

static bool replace_all(struct span text, const struct config_options *options, struct arena *arena,
                        struct buffer *out, struct replaced *result, struct span *fault)
{
    while (text.len != 0) {
        if (span_starts_with(text, SPAN("$$"))) {
            buffer_append(out, SPAN("$$"));
            text = span_from_offset(text, 2);
            continue;
        }
        if (!span_starts_with(text, env_open)) {
            buffer_append_char(out, text.at[0]);
            text = span_from_offset(text, 1);
            continue;
        }
        struct span inner = span_from_offset(text, env_open.len);
        size_t end = span_find(inner, '}');
        if (end == inner.len)
            return arena_fault(arena, fault, "\"%.*s\": missing closing }", SPAN_ARG(text));
        if (!replace_one(span_make(inner.at, end), options, arena, out, result, fault))
            return false;
        result->replaced = true;
        text = span_from_offset(inner, end + 1);
    }
    return true;
}

/* Removes all dollars and braces: with one part unknown, the other references are meaningless. */
static void drop_references(struct buffer *text)
{
    size_t kept = 0;
    for (size_t i = 0; i != text->len; ++i)
        if (memchr("${}", text->at[i], 3) == NULL)
            text->at[kept++] = text->at[i];
    text->len = kept;
}

static bool replace_references(struct span text, const struct config_options *options,
                               struct arena *arena, struct replaced *out, struct span *fault)
{
    struct replaced result = {.text = text};
    if (span_find(text, '$') == text.len) {
        *out = result;
        return true;
    }
    struct buffer replaced;
    buffer_init(&replaced, YAML_TEXT_MAX);
    bool ok = replace_all(text, options, arena, &replaced, &result, fault);
    if (ok && replaced.overflowed) {
        *fault = arena_printf(arena, "longer than %d bytes", YAML_TEXT_MAX);
        ok = false;
    }
    if (ok && result.opaque)
        drop_references(&replaced);
    if (ok) {
        result.text = arena_copy(arena, replaced.len == 0 ? SPAN("") : buffer_span(&replaced));
        *out = result;
    }
    buffer_dispose(&replaced);
    return ok;
}

/* ---- nodes ---- */

static void read_scalar(struct parse *parse, struct yaml_node *node, const yaml_event_t *event)
{
    struct span fault, text = arena_copy(parse->load->arena, scalar_text(event));
    struct replaced env = {.text = text};
    node->text = text;
    if (!span_is_all(text, ASCII_TEXT)) {
        yaml_error(parse->load, node, "must be one line without control characters");
        return;
    }
    if (!replace_references(text, parse->load->options, parse->load->arena, &env, &fault)) {
        yaml_error(parse->load, node, "%.*s", SPAN_ARG(fault));
        return;
    }
    bool unquoted = event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
    node->text = env.text;
    node->opaque = env.opaque;
    node->plain = unquoted || env.replaced;
    node->null = unquoted && !env.replaced && is_null(text);
}

/* Reports anchors and tags as errors and otherwise ignores them. */
static void refuse_properties(struct parse *parse, struct yaml_node *node, const void *anchor,
                              const void *tag)
{
    if (anchor != NULL)
        yaml_error(parse->load, node,
                   "anchors (&) are not supported; put settings that routes share under defaults");
    if (tag != NULL)
        yaml_error(parse->load, node, "tags (!) are not supported; write the plain value");
}

/* Reads the value that begins with `event` into parent. */
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
        yaml_error(load, node, "aliases (*) are not supported; quote a string that begins with *");
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

/* Reads a key. Reports a duplicate; yaml_find returns the first one. */
static struct yaml_entry read_key(struct parse *parse, const struct yaml_node *map,
                                  const yaml_event_t *event)
{
    struct yaml_entry key = {.key_at = position_of(parse, event->start_mark)};
    if (event->type != YAML_SCALAR_EVENT) {
        fail_at(parse, key.key_at, "a key must be a string");
        return key;
    }
    key.key = arena_copy(parse->load->arena, scalar_text(event));
    if (event->data.scalar.anchor != NULL || event->data.scalar.tag != NULL ||
        !span_is_all(key.key, ASCII_TEXT)) {
        fail_at(parse, key.key_at, "a key must be one line of text, without anchor or tag");
        return key;
    }
    const struct yaml_entry *earlier = yaml_find_entry(map, key.key);
    if (earlier != NULL)
        yaml_error_key(parse->load, key.key_at, earlier->node,
                       "duplicate key, first at line %u; keep one of them", earlier->key_at.line);
    if (map->entry_count >= MAP_KEYS_MAX)
        fail_at(parse, key.key_at, "more than 1000 keys in one map");
    return key;
}

/* Reads up to the end of the list or map, one value a turn. */
static void parse_children(struct parse *parse, struct yaml_node *node)
{
    yaml_event_t event;
    if (++parse->depth > YAML_DEPTH_MAX)
        fail_at(parse, node->at, "nested more than 16 levels deep");
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
                    "a second document (---) is not supported; use include for more files");
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
                         SPAN("\xef\xbb\xbf"))) /* libyaml counts a byte order mark as a column */
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

static void tell(struct yaml_load *load, enum problem_level level, struct yaml_position at,
                 const struct yaml_node *node, const char *format, va_list args)
{
    char text[900];
    vsnprintf(text, sizeof(text), format, args);
    struct span path = yaml_path(node, load->arena);
    problem_add(load->problems, level, at.file, at.line, at.column, "%.*s%s%s", SPAN_ARG(path),
                path.len == 0 ? "" : ": ", text);
}

void yaml_error(struct yaml_load *load, struct yaml_node *node, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    tell(load, PROBLEM_ERROR, node->at, node, format, args);
    va_end(args);
    node->bad = true;
}

void yaml_error_key(struct yaml_load *load, struct yaml_position at, const struct yaml_node *node,
                    const char *format, ...)
{
    va_list args;
    va_start(args, format);
    tell(load, PROBLEM_ERROR, at, node, format, args);
    va_end(args);
}

void yaml_warn(struct yaml_load *load, const struct yaml_node *node, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    tell(load, PROBLEM_WARNING, node->at, node, format, args);
    va_end(args);
}
