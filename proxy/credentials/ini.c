/* Parses line by line. */
#include "credentials/ini.h"

#include <stdlib.h>

#include "base/secret.h"

struct parse {
    struct ini *ini;
    struct arena *arena; /* of the fault */
    struct span fault;
    unsigned line;
    struct ini_section *section; /* the one being filled; NULL before the first */
    struct ini_section **next_section;
    struct ini_property **next_property;
    struct ini_property *property; /* continued by a line that begins with a blank; NULL: none */
    struct ini_property **next_below;
};

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\f' || c == '\v';
}

static struct span trim(struct span s)
{
    while (s.len != 0 && is_blank(s.at[0]))
        s = span_from_offset(s, 1);
    while (s.len != 0 && is_blank(s.at[s.len - 1]))
        --s.len;
    return s;
}

static bool fail(struct parse *parse, const char *what)
{
    parse->fault = arena_printf(parse->arena, "line %u: %s", parse->line, what);
    return false;
}

/* Copies to the end of ini->text, which has room for everything, since nothing is kept twice. */
static struct span keep(struct ini *ini, struct span s)
{
    CHECK(s.len <= ini->text_size - ini->text_used);
    char *at = ini->text + ini->text_used;
    if (s.len != 0)
        memcpy(at, s.at, s.len);
    ini->text_used += s.len;
    return span_make(at, s.len);
}

static struct span keep_lower(struct ini *ini, struct span s)
{
    struct span kept = keep(ini, s);
    char *at = ini->text + ini->text_used - s.len;
    for (size_t i = 0; i != s.len; ++i)
        at[i] = ascii_lower(at[i]);
    return kept;
}

/* Drops a comment, which begins with '#' or ';' behind a blank. */
static struct span strip_comment(struct span s)
{
    for (size_t i = 0; i != s.len; ++i)
        if ((s.at[i] == '#' || s.at[i] == ';') && (i == 0 || is_blank(s.at[i - 1])))
            return trim(span_make(s.at, i));
    return trim(s);
}

static struct ini_property *new_property(struct parse *parse, struct span key, struct span value)
{
    struct ini_property *property = arena_zalloc(&parse->ini->arena, 1, sizeof(*property));
    property->key = keep_lower(parse->ini, trim(key));
    property->value = keep(parse->ini, strip_comment(value));
    property->line = parse->line;
    return property;
}

static bool take_section(struct parse *parse, struct span line)
{
    size_t end = span_find(line, ']');
    if (end == line.len)
        return fail(parse, "missing ']' after a section's name");
    struct span rest = trim(span_from_offset(line, end + 1));
    if (rest.len != 0 && rest.at[0] != '#' && rest.at[0] != ';')
        return fail(parse, "text after the ']' of a section's name");
    struct ini_section *section = arena_zalloc(&parse->ini->arena, 1, sizeof(*section));
    section->title = keep(parse->ini, trim(span_make(line.at + 1, end - 1)));
    section->line = parse->line;
    *parse->next_section = section;
    parse->next_section = &section->next;
    parse->next_property = &section->properties;
    parse->section = section;
    parse->property = NULL;
    return true;
}

static bool take_property(struct parse *parse, struct span line)
{
    struct span key, value;
    if (!span_split(line, '=', &key, &value))
        return fail(parse, "must be [section] or key = value");
    if (trim(key).len == 0)
        return fail(parse, "missing key before '='");
    if (parse->section == NULL)
        return fail(parse, "key before the first [section]");
    parse->property = new_property(parse, key, value);
    parse->next_below = &parse->property->below;
    *parse->next_property = parse->property;
    parse->next_property = &parse->property->next;
    return true;
}

/* Takes a line that begins with a blank, below parse->property. */
static bool take_continuation(struct parse *parse, struct span line)
{
    struct span key, value;
    struct ini_property *property = parse->property;
    if (property->value.len != 0) {
        /* Nothing was kept since, so the value can grow in place. */
        keep(parse->ini, SPAN("\n"));
        keep(parse->ini, trim(line));
        property->value.len += 1 + trim(line).len;
        return true;
    }
    if (!span_split(line, '=', &key, &value) || trim(key).len == 0)
        return fail(parse, "an indented line below an empty value must be key = value");
    struct ini_property *below = new_property(parse, key, value);
    *parse->next_below = below;
    parse->next_below = &below->next;
    return true;
}

static bool take_line(struct parse *parse, struct span line)
{
    if (line.len != 0 && line.at[line.len - 1] == '\r')
        --line.len;
    if (memchr(line.at, '\0', line.len) != NULL)
        return fail(parse, "contains a NUL byte");
    if (trim(line).len == 0 || line.at[0] == '#' || line.at[0] == ';')
        return true;
    if (is_blank(line.at[0]) && parse->property != NULL)
        return take_continuation(parse, line);
    line = trim(line);
    return line.at[0] == '[' ? take_section(parse, line) : take_property(parse, line);
}

bool ini_parse(struct ini *ini, struct span text, struct arena *arena, struct span *fault)
{
    struct parse parse = {.ini = ini, .arena = arena};
    struct span line;
    bool more = true;
    if (text.len > INI_TEXT_MAX) {
        *fault = arena_printf(arena, "larger than %d bytes", INI_TEXT_MAX);
        return false;
    }
    if (span_starts_with(text, SPAN("\xef\xbb\xbf")))
        text = span_from_offset(text, 3);
    *ini = (struct ini){.text_size = text.len + 1};
    arena_init(&ini->arena, 4096);
    ini->text = malloc(ini->text_size);
    CHECK(ini->text != NULL);
    parse.next_section = &ini->sections;
    while (more) {
        more = span_split(text, '\n', &line, &text);
        ++parse.line;
        if (line.len != 0 && !take_line(&parse, line)) {
            *fault = parse.fault;
            ini_dispose(ini);
            return false;
        }
    }
    return true;
}

void ini_dispose(struct ini *ini)
{
    if (ini->text != NULL)
        secret_wipe(ini->text, ini->text_size);
    free(ini->text);
    if (ini->arena.block_size != 0)
        arena_dispose(&ini->arena);
    *ini = (struct ini){0};
}

/* ---- looking up ---- */

static const struct ini_property *find(const struct ini *ini, struct span title, struct span key)
{
    const struct ini_property *found = NULL;
    for (const struct ini_section *s = ini->sections; s != NULL; s = s->next) {
        if (!span_equals(s->title, title))
            continue;
        for (const struct ini_property *p = s->properties; p != NULL; p = p->next)
            if (span_equals(p->key, key))
                found = p;
    }
    return found;
}

struct span ini_find(const struct ini *ini, struct span title, struct span key)
{
    const struct ini_property *found = find(ini, title, key);
    return found == NULL ? SPAN_NONE : found->value;
}

struct span ini_find_below(const struct ini *ini, struct span title, struct span key,
                           struct span below)
{
    const struct ini_property *property = find(ini, title, key);
    struct span found = SPAN_NONE;
    for (property = property == NULL ? NULL : property->below; property != NULL;
         property = property->next)
        if (span_equals(property->key, below))
            found = property->value;
    return found;
}

bool ini_has_section(const struct ini *ini, struct span title)
{
    for (const struct ini_section *s = ini->sections; s != NULL; s = s->next)
        if (span_equals(s->title, title))
            return true;
    return false;
}
