// links: net gateway
/* Arbitrary routes and paths: the trie agrees with a linear walk over the file, and no capture
 * holds a forbidden value.
 * Input: patterns, one per line, with the prefix "HOST " for a host's routes and '!' for routes
 * that accept GET; an empty line; then METHOD, HOST and PATH, one per line. */
#include "gateway/route.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

enum { ROUTES_MAX = 40 };

static const struct span post[] = {{"POST", 4}};
static const struct span get[] = {{"GET", 3}};

/* Adds the route if its pattern is valid. */
static void add_route(struct config *config, struct config_route *routes, struct span line)
{
    struct pattern pattern;
    struct span fault = SPAN_NONE, host, path;
    bool is_get = line.len != 0 && line.at[0] == '!';
    if (is_get)
        line = span_from_offset(line, 1);
    if (!span_split(line, ' ', &host, &path)) {
        path = host;
        host = SPAN_NONE;
    }
    if (!pattern_parse(path, &config->arena, &pattern, &fault)) {
        CHECK(fault.len != 0);
        return;
    }
    CHECK(fault.at == NULL);
    routes[config->route_count++] = (struct config_route){.name = path,
                                                          .path = path,
                                                          .host = host,
                                                          .methods = is_get ? get : post,
                                                          .method_count = 1};
}

static void check_captures(const struct route_match *match)
{
    CHECK(match->capture_count <= ROUTE_CAPTURES_MAX);
    for (size_t i = 0; i != match->capture_count; ++i) {
        struct span value = match->captures[i].value;
        if (match->captures[i].name.len == 0)
            continue; /* an unnamed capture is not used and may hold anything */
        CHECK(value.len != 0);
        CHECK(span_find(value, '\0') == value.len);
        CHECK(!span_equals(value, SPAN(".")) && !span_equals(value, SPAN("..")));
        CHECK(!span_starts_with(value, SPAN("../")) && !span_ends_with(value, SPAN("/..")));
    }
}

/* The first match by route_judge, and the result expected of the trie. */
static enum route_result walk(const struct route_table *table, size_t count, struct span method,
                              struct span host, struct span path, size_t *found)
{
    bool other_method = false, refused = false;
    for (size_t i = 0; i != count; ++i) {
        switch (route_judge(table, i, method, host, path)) {
        case ROUTE_MATCHES:
            *found = i;
            return ROUTE_FOUND;
        case ROUTE_OTHER_METHOD:
            other_method = true;
            break;
        case ROUTE_CAPTURE_NOT_ALLOWED:
            refused = true;
            break;
        case ROUTE_OTHER_PATH:
        case ROUTE_OTHER_HOST:
            break;
        }
    }
    return other_method ? ROUTE_METHOD_NOT_ALLOWED : refused ? ROUTE_BAD_PATH : ROUTE_NONE;
}

static void look_up(const struct config *config, struct arena *arena, struct span lines)
{
    struct span method, host, path;
    struct route_match match = {.capture_count = 0};
    size_t wanted = 0;
    span_split(lines, '\n', &method, &lines);
    span_split(lines, '\n', &host, &lines);
    span_split(lines, '\n', &path, &lines);
    struct route_table *table = route_table_create(config);
    enum route_result result = route_find(table, method, host, path, arena, &match);
    if (path.len == 0 || path.at[0] != '/') {
        CHECK(result == ROUTE_NONE);
    } else if (!span_escapes_are_valid(path)) {
        CHECK(result == ROUTE_BAD_PATH);
    } else {
        enum route_result naive = walk(table, config->route_count, method, host, path, &wanted);
        /* Given another method and a rejected capture, the walk cannot tell them apart. */
        CHECK(result == naive || (naive == ROUTE_METHOD_NOT_ALLOWED && result == ROUTE_BAD_PATH));
    }
    if (result == ROUTE_FOUND) {
        CHECK(match.route == &config->routes[wanted]);
        check_captures(&match);
    }
    CHECK(result != ROUTE_METHOD_NOT_ALLOWED || match.allowed.len != 0);
    route_table_destroy(table);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    struct config_route routes[ROUTES_MAX];
    struct config config = {.routes = routes};
    struct problem_list problems;
    struct span rest = span_make((const char *)bytes, len), line;
    struct arena arena;
    arena_init(&config.arena, 4096);
    arena_init(&arena, 4096);
    problem_list_init(&problems);
    while (span_split(rest, '\n', &line, &rest) && line.len != 0)
        if (config.route_count != ROUTES_MAX)
            add_route(&config, routes, line);
    look_up(&config, &arena, rest);
    route_warn_shadowed(&config, &problems);
    CHECK(problems.warnings <= config.route_count && problems.errors == 0);
    problem_list_dispose(&problems);
    arena_dispose(&arena);
    arena_dispose(&config.arena);
    return 0;
}
