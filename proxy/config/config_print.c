/* Prints the effective configuration as YAML: loading the output gives the same configuration. The
 * table drives the output, except for fields that differ from what the file contains. */
#include "base/buffer.h"
#include "config/config.h"
#include "config/record.h"

struct print {
    const struct config *config;
    FILE *out;
    struct arena arena;
    unsigned depth;
    bool begins_element; /* the next key is the first one of a list's element */
};

static void print_below(struct print *print, const struct setting *map, const void *record);

/* ---- fields that differ from the file ---- */

static const char *quote(struct print *print, struct span text)
{
    return value_quote(text, &print->arena).at;
}

static const char *print_endpoint_url(struct print *print, const struct config_upstream *upstream)
{
    const struct endpoint_options options = {upstream->region, upstream->fips, upstream->dualstack};
    if (upstream->url.tls &&
        span_equals(upstream->url.authority, endpoint_host(&options, &print->arena)))
        return NULL;
    return quote(print,
                 arena_printf(&print->arena, "%s://%.*s", upstream->url.tls ? "https" : "http",
                              SPAN_ARG(upstream->url.authority)));
}

/* The password is masked; `none` disables the environment's proxy. */
static const char *print_proxy(struct print *print, const struct config_upstream *upstream)
{
    if (upstream->proxy_host.at == NULL)
        return "\"none\"";
    bool bare_v6 = span_find(upstream->proxy_host, ':') != upstream->proxy_host.len;
    return quote(print,
                 arena_printf(&print->arena, "http://%s%s%.*s%s:%u",
                              upstream->proxy_authorization.at != NULL ? "masked:masked@" : "",
                              bare_v6 ? "[" : "", SPAN_ARG(upstream->proxy_host),
                              bare_v6 ? "]" : "", upstream->proxy_port));
}

static const char *print_session_name(struct print *print, const struct config_role *role)
{
    if (role->session_template == NULL)
        return role->session_name.at == NULL ? NULL : quote(print, role->session_name);
    const union value value = {.template = role->session_template};
    return value_print(setting_get(SETTING_ROLE_SESSION_NAME), &value, &print->arena).at;
}

/* Returns the value of a row without a field, or NULL to omit it. */
static const char *print_special(struct print *print, const struct setting *row, const void *record)
{
    const struct config *config = print->config;
    const struct config_upstream *upstream = record;
    const struct config_route *route = record;
    switch (setting_id(row)) {
    case SETTING_REGION:
        return quote(print, config->upstreams[0].region);
    case SETTING_ROLE_SESSION_NAME:
        return print_session_name(print, &((const struct config_identity *)record)->role);
    case SETTING_UPSTREAM_ENDPOINT_URL:
    case SETTING_UPSTREAMS_ITEM_ENDPOINT_URL:
        return print_endpoint_url(print, upstream);
    case SETTING_UPSTREAM_PROXY:
    case SETTING_UPSTREAMS_ITEM_PROXY:
        return print_proxy(print, upstream);
    case SETTING_UPSTREAM_IDENTITY:
    case SETTING_UPSTREAMS_ITEM_IDENTITY:
        return quote(print, config->identities[upstream->identity].name);
    case SETTING_ROUTE_UPSTREAM:
        return quote(print, route->upstream->name);
    case SETTING_ROUTE_IDENTITY:
        return config_operation_is_aws(route->operation)
                   ? quote(print, config->identities[route->identity].name)
                   : NULL;
    default:
        return NULL;
    }
}

/* Returns false for a key that the reader would reject in combination with another. */
static bool is_allowed(const struct setting *row, const void *record)
{
    const struct config_route *route = record;
    const char *at = record;
    switch (setting_id(row)) {
    case SETTING_LISTEN_MODE:
    case SETTING_ADMIN_MODE:
    case SETTING_HEALTH_MODE:
        at += row->offset - offsetof(struct config_address, unix_mode);
        return ((const struct config_address *)(const void *)at)->unix_path.at != NULL;
    case SETTING_ROLE:
        return ((const struct config_identity *)record)->role.role_arn.at != NULL;
    case SETTING_ROUTE_STREAM_FORMAT:
    case SETTING_ROUTE_STREAM_ERRORS:
        return route->operation == CONFIG_STREAM || route->operation == CONFIG_AUTO;
    case SETTING_ROUTE_PARAMETERS_SEPARATOR:
        return ((const struct config_policy *)record)->append != NULL;
    default:
        return true;
    }
}

/* ---- rows ---- */

static const char *print_list(struct print *print, const struct setting *row, const void *record)
{
    struct buffer list;
    size_t count, max = 3;
    const struct span *texts = record_get_texts(row, record, &count, &print->arena);
    if (count == 0 && row->min != 0)
        return NULL;
    for (size_t i = 0; i != count; ++i)
        max += texts[i].len * 12 + 4;
    buffer_init(&list, max);
    for (size_t i = 0; i != count; ++i) {
        buffer_append(&list, i == 0 ? SPAN("[") : SPAN(", "));
        buffer_append(&list, value_quote(texts[i], &print->arena));
    }
    buffer_append(&list, count == 0 ? SPAN("[]") : SPAN("]"));
    struct span printed = arena_copy(&print->arena, buffer_span(&list));
    buffer_dispose(&list);
    return printed.at;
}

static bool is_absent(const struct setting *row, const union value *value)
{
    if (row->type == SETTING_TYPE_BOOL)
        return value->number == 0 && (row->flags & SETTING_PRINTED) == 0;
    if (row->type == SETTING_TYPE_TEMPLATE)
        return value->template == NULL;
    if (row->type == SETTING_TYPE_ADDRESS)
        return value->address.text.at == NULL;
    return !row->numeric && value->text.at == NULL;
}

/* Returns a key's value on one line, or NULL to omit the key. */
static const char *print_value(struct print *print, const struct setting *row, const void *record)
{
    if (!is_allowed(row, record) || !record_is_given(row, record))
        return NULL;
    if (row->size == 0)
        return print_special(print, row, record);
    if (row->type == SETTING_TYPE_LIST)
        return print_list(print, row, record);
    union value value = record_get(row, record);
    return is_absent(row, &value) ? NULL : value_print(row, &value, &print->arena).at;
}

/* If value is NULL, the value follows on the next lines. */
static void print_key(struct print *print, struct span key, const char *value)
{
    unsigned indent = 2 * print->depth - (print->begins_element ? 2 : 0);
    fprintf(print->out, "%*s%s%.*s:%s%s\n", (int)indent, "", print->begins_element ? "- " : "",
            SPAN_ARG(key), value == NULL ? "" : " ", value == NULL ? "" : value);
    print->begins_element = false;
}

/* Returns whether the map has anything to print. */
static bool is_filled(struct print *print, const struct setting *map, const void *record)
{
    bool filled = false;
    for (const struct setting *row = setting_next(map, NULL); row != NULL && !filled;
         row = setting_next(map, row))
        filled = row->type == SETTING_TYPE_MAP ? is_filled(print, row, record)
                                               : print_value(print, row, record) != NULL;
    return filled;
}

static void print_inner_map(struct print *print, const struct setting *row, const void *record)
{
    bool or_false = (row->flags & SETTING_OR_FALSE) != 0;
    bool flag = row->size != 0 && record_get(row, record).number != 0;
    bool is_there = or_false || row->size == 0 || flag;
    if (or_false && flag) {
        print_key(print, setting_key(row), "false");
    } else if (is_there && is_allowed(row, record) && is_filled(print, row, record)) {
        print_key(print, setting_key(row), NULL);
        print_below(print, row, record);
    }
}

/* ---- structs of their own ---- */

static void print_element(struct print *print, enum setting_id element, const void *record)
{
    ++print->depth;
    print->begins_element = true;
    print_below(print, setting_get(element), record);
    --print->depth;
}

static void print_named(struct print *print, struct span name, enum setting_id map,
                        const void *record)
{
    bool filled = is_filled(print, setting_get(map), record);
    ++print->depth;
    print_key(print, name, filled ? NULL : "{}");
    if (filled)
        print_below(print, setting_get(map), record);
    --print->depth;
}

static void print_tags(struct print *print, const struct config_role *role)
{
    if (role->tag_count != 0)
        print_key(print, SPAN("tags"), NULL);
    ++print->depth;
    for (size_t i = 0; i != role->tag_count; ++i)
        print_key(print, role->tags[i].key, quote(print, role->tags[i].value));
    --print->depth;
}

static void print_parameters(struct print *print, const struct config_route *route)
{
    bool any = false;
    for (unsigned i = 0; i != SAGEMAKER_PARAMETERS; ++i) {
        if (!route->parameters[i].set)
            continue;
        if (!any)
            print_key(print, SPAN("parameters"), NULL);
        any = true;
        print_named(print, sagemaker_parameter_info((enum sagemaker_parameter)i)->name,
                    SETTING_ROUTE_PARAMETERS_ITEM, &route->parameters[i]);
    }
}

static void print_routes(struct print *print)
{
    const struct config *config = print->config;
    print_key(print, SPAN("routes"), config->route_count == 0 ? "[]" : NULL);
    for (size_t i = 0; i != config->route_count; ++i) {
        print_element(print, SETTING_ROUTE, &config->routes[i]);
        arena_reset(&print->arena);
    }
}

/* Returns whether the row is one of these. */
static bool print_records(struct print *print, const struct setting *row, const void *record)
{
    const struct config *config = print->config;
    switch (setting_id(row)) {
    case SETTING_LISTEN:
        print_key(print, setting_key(row), NULL);
        for (size_t i = 0; i != config->listener_count; ++i)
            print_element(print, SETTING_LISTEN_ITEM, &config->listeners[i]);
        return true;
    case SETTING_IDENTITIES:
        if (config->named_identity_count > 1)
            print_key(print, setting_key(row), NULL);
        for (size_t i = 1; i < config->named_identity_count; ++i)
            print_named(print, value_quote(config->identities[i].name, &print->arena),
                        SETTING_IDENTITIES_ITEM, &config->identities[i]);
        return true;
    case SETTING_ROLE_TAGS:
        print_tags(print, &((const struct config_identity *)record)->role);
        return true;
    case SETTING_UPSTREAM:
        print_key(print, setting_key(row), NULL);
        print_below(print, row, &config->upstreams[0]);
        return true;
    case SETTING_UPSTREAMS:
        if (config->upstream_count > 1)
            print_key(print, setting_key(row), NULL);
        for (size_t i = 1; i < config->upstream_count; ++i)
            print_named(print, value_quote(config->upstreams[i].name, &print->arena),
                        SETTING_UPSTREAMS_ITEM, &config->upstreams[i]);
        return true;
    case SETTING_DEFAULTS:
        fputs("# Each route below has all that it inherits.\n"
              "defaults:\n  parameters:\n    inference_id: null\n",
              print->out);
        return true;
    case SETTING_ROUTES:
        print_routes(print);
        return true;
    case SETTING_ROUTE_PARAMETERS:
        print_parameters(print, record);
        return true;
    default:
        return false;
    }
}

static void print_rows(struct print *print, const struct setting *map, const void *record)
{
    for (const struct setting *row = setting_next(map, NULL); row != NULL;
         row = setting_next(map, row)) {
        if (print_records(print, row, record))
            continue;
        if (row->type == SETTING_TYPE_MAP) {
            print_inner_map(print, row, record);
            continue;
        }
        const char *value = print_value(print, row, record);
        if (value != NULL)
            print_key(print, setting_key(row), value);
    }
}

static void print_below(struct print *print, const struct setting *map, const void *record)
{
    ++print->depth;
    print_rows(print, map, record);
    --print->depth;
}

void config_print(const struct config *config, FILE *out)
{
    struct print print = {.config = config, .out = out};
    arena_init(&print.arena, 4096);
    print_rows(&print, setting_get(SETTING_ROOT), config);
    arena_dispose(&print.arena);
}
