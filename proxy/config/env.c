/* References to the environment, replaced while a configuration is loaded; it knows no keys. */
#include "config/env.h"

#include "base/buffer.h"

enum { ENV_TEXT_MAX = 64 * 1024 };

static const struct span env_open = SPAN("${env.");

static bool is_name(struct span name)
{
    for (size_t i = 0; i != name.len; ++i) {
        char c = name.at[i];
        bool letter = (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '_';
        if (!letter && (i == 0 || c < '0' || c > '9'))
            return false;
    }
    return name.len != 0;
}

/* A control character would break a header, a line of the log or a host name later on. */
static bool is_text(struct span value)
{
    for (size_t i = 0; i != value.len; ++i)
        if (((unsigned char)value.at[i] < ' ' && value.at[i] != '\t') || value.at[i] == 0x7f)
            return false;
    return true;
}

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
                        struct arena *arena, struct buffer *out, struct env_result *result,
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
    if (!is_name(name)) {
        *fault = arena_printf(arena, "${env.%.*s}: \"%.*s\" cannot be the name of a variable",
                              SPAN_ARG(inner), SPAN_ARG(name));
        return false;
    }
    for (size_t i = 0; i + 1 < fallback.len; ++i)
        if (fallback.at[i] == '$' && fallback.at[i + 1] == '{') {
            *fault =
                arena_printf(arena, "${env.%.*s}: a fallback is plain text, without ${...} in it",
                             SPAN_ARG(inner));
            return false;
        }
    struct span value =
        options->getenv == NULL ? SPAN_NONE : options->getenv(options->getenv_context, name);
    if (!is_text(value)) {
        *fault = arena_printf(arena, "${env.%.*s}: the variable's value has control characters",
                              SPAN_ARG(name));
        return false;
    }
    if (value.len == 0 && fallback.at != NULL) {
        buffer_append(out, fallback);
    } else if (value.at != NULL) {
        append_escaped(out, value);
    } else if (options->getenv == NULL) {
        buffer_printf(out, "env.%.*s", SPAN_ARG(name));
        result->opaque = true;
    } else {
        *fault = arena_printf(arena,
                              "${env.%.*s}: the variable is not set; set it, or give a fallback: "
                              "${env.%.*s:-text}",
                              SPAN_ARG(name), SPAN_ARG(name));
        return false;
    }
    return true;
}

static bool replace_all(struct span text, const struct config_options *options, struct arena *arena,
                        struct buffer *out, struct env_result *result, struct span *fault)
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
        if (end == inner.len) {
            *fault = arena_printf(arena, "\"%.*s\": the closing } is missing", SPAN_ARG(text));
            return false;
        }
        if (!replace_one(span_make(inner.at, end), options, arena, out, result, fault))
            return false;
        result->replaced = true;
        text = span_from_offset(inner, end + 1);
    }
    return true;
}

/* With a part of it unknown, what else it refers to means nothing: no dollars and braces are left. */
static void drop_references(struct buffer *text)
{
    size_t kept = 0;
    for (size_t i = 0; i != text->len; ++i)
        if (memchr("${}", text->at[i], 3) == NULL)
            text->at[kept++] = text->at[i];
    text->len = kept;
}

bool env_replace(struct span text, const struct config_options *options, struct arena *arena,
                 struct env_result *out, struct span *fault)
{
    struct env_result result = {.text = text};
    if (span_find(text, '$') == text.len) {
        *out = result;
        return true;
    }
    struct buffer replaced;
    buffer_init(&replaced, ENV_TEXT_MAX);
    bool ok = replace_all(text, options, arena, &replaced, &result, fault);
    if (ok && replaced.overflowed) {
        *fault = arena_printf(arena, "longer than %d bytes", ENV_TEXT_MAX);
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

bool env_unescape(struct span text, struct arena *arena, struct span *out, size_t *at)
{
    char *copy = arena_alloc(arena, text.len + 1);
    size_t len = 0;
    for (size_t i = 0; i != text.len; ++i) {
        if (text.at[i] == '$' && (i + 1 == text.len || text.at[i + 1] != '$')) {
            *at = i;
            return false;
        }
        if (text.at[i] == '$')
            ++i;
        copy[len++] = text.at[i];
    }
    copy[len] = '\0';
    *out = span_make(copy, len);
    return true;
}
