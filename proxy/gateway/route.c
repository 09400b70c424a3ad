/* The trie of routes, with one edge per segment. A lookup visits each node at most once; the first
 * route in the file wins. */
#include "gateway/route.h"

#include "base/host.h"

#include <stdlib.h>

struct edge {
    const struct pattern_segment *segment;
    struct node *to;
};

struct edges {
    struct edge *list;
    size_t count, capacity;
};

struct node {
    struct edges literals; /* sorted by length, then bytes */
    struct edges captures; /* within one segment, in file order */
    struct edges spans;    /* captures over slashes, in file order; lead to leaves */
    size_t *routes;        /* routes whose path ends here, in file order */
    size_t route_count;
    size_t first; /* lowest index of a route at or below this node */
};

struct entry {
    const struct config_route *route;
    struct pattern pattern;
    bool captures;
};

struct route_table {
    struct arena arena;
    struct entry *entries; /* in the order of config.routes */
    size_t count;
    struct node root;
};

/* ---- building -------------------------------------------------------------------------------- */

static int compare_literals(const void *a, const void *b)
{
    struct span x = ((const struct edge *)a)->segment->prefix;
    struct span y = ((const struct edge *)b)->segment->prefix;
    if (x.len != y.len)
        return x.len < y.len ? -1 : 1;
    return x.len == 0 ? 0 : memcmp(x.at, y.at, x.len);
}

/* Routes that differ only in a capture's name share its edge. */
static bool is_same_segment(const struct pattern_segment *a, const struct pattern_segment *b)
{
    return span_equals(a->prefix, b->prefix) && span_equals(a->suffix, b->suffix) &&
           (a->name.len == 0) == (b->name.len == 0);
}

static struct node *follow_or_add(struct edges *edges, const struct pattern_segment *segment,
                                  struct arena *arena)
{
    for (size_t i = 0; i != edges->count; ++i)
        if (is_same_segment(edges->list[i].segment, segment))
            return edges->list[i].to;
    if (edges->count == edges->capacity) {
        size_t capacity = edges->capacity == 0 ? 4 : edges->capacity * 2;
        struct edge *list = arena_zalloc(arena, capacity, sizeof(*list));
        if (edges->count != 0)
            memcpy(list, edges->list, edges->count * sizeof(*list));
        edges->list = list;
        edges->capacity = capacity;
    }
    struct node *to = arena_zalloc(arena, 1, sizeof(*to));
    to->first = SIZE_MAX;
    edges->list[edges->count++] = (struct edge){segment, to};
    return to;
}

static void add_to_leaf(struct route_table *table, struct node *leaf, size_t index)
{
    size_t *routes = arena_zalloc(&table->arena, leaf->route_count + 1, sizeof(*routes));
    if (leaf->route_count != 0)
        memcpy(routes, leaf->routes, leaf->route_count * sizeof(*routes));
    routes[leaf->route_count++] = index;
    leaf->routes = routes;
}

static void add_route(struct route_table *table, size_t index)
{
    struct entry *entry = &table->entries[index];
    struct node *node = &table->root;
    for (size_t i = 0; i != entry->pattern.segment_count; ++i) {
        const struct pattern_segment *segment = &entry->pattern.segments[i];
        struct edges *edges = &node->literals;
        if (segment->captures)
            edges = segment->spans_slashes ? &node->spans : &node->captures;
        entry->captures |= segment->captures;
        node->first = node->first < index ? node->first : index;
        node = follow_or_add(edges, segment, &table->arena);
    }
    node->first = node->first < index ? node->first : index;
    add_to_leaf(table, node, index);
}

static void sort_literals(struct node *node)
{
    if (node->literals.count != 0)
        qsort(node->literals.list, node->literals.count, sizeof(struct edge), compare_literals);
    for (size_t i = 0; i != node->literals.count; ++i)
        sort_literals(node->literals.list[i].to);
    for (size_t i = 0; i != node->captures.count; ++i)
        sort_literals(node->captures.list[i].to);
}

struct route_table *route_table_create(const struct config *config)
{
    struct route_table *table = calloc(1, sizeof(*table));
    CHECK(table != NULL);
    arena_init(&table->arena, 16384);
    table->root.first = SIZE_MAX;
    table->count = config->route_count;
    table->entries = arena_zalloc(&table->arena, table->count, sizeof(*table->entries));
    for (size_t i = 0; i != table->count; ++i) {
        struct span fault;
        table->entries[i].route = &config->routes[i];
        CHECK(pattern_parse(config->routes[i].path, &table->arena, &table->entries[i].pattern,
                            &fault));
        add_route(table, i);
    }
    sort_literals(&table->root);
    return table;
}

void route_table_destroy(struct route_table *table)
{
    if (table == NULL)
        return;
    arena_dispose(&table->arena);
    free(table);
}

/* ---- one pattern and one path ---------------------------------------------------------------- */

/* Returns true if the suffix would start inside an escape: "%eb" does not end in the letter b. */
static bool cuts_an_escape(struct span captured)
{
    return (captured.len >= 1 && captured.at[captured.len - 1] == '%') ||
           (captured.len >= 2 && captured.at[captured.len - 2] == '%');
}

/* Strips the segment's literal text off both ends of `text`: one segment of a path, or the rest of
 * it if the segment spans slashes. Returns false if the text differs. *captured may be empty. */
static bool strip_literals(const struct pattern_segment *segment, struct span text,
                           struct span *captured)
{
    size_t fixed = segment->prefix.len + segment->suffix.len;
    if (text.len < fixed || !span_starts_with(text, segment->prefix) ||
        !span_ends_with(text, segment->suffix))
        return false;
    struct span between = span_make(text.at + segment->prefix.len, text.len - fixed);
    if (cuts_an_escape(between))
        return false;
    *captured = between;
    return true;
}

/* Checks one part between slashes, not decoded yet. */
static bool part_is_allowed(struct span part)
{
    size_t dots = 0, bytes = 0;
    for (size_t i = 0; i != part.len; ++bytes) {
        int escaped = span_escape_value(part, i);
        char c = escaped < 0 ? part.at[i] : (char)escaped;
        if (c == '/' || c == '\\' || c == '\0')
            return false;
        dots += c == '.' ? 1 : 0;
        i += escaped < 0 ? 1 : 3;
    }
    return bytes != 0 && !(dots == bytes && bytes <= 2);
}

static bool capture_is_allowed(struct span captured)
{
    struct span part;
    for (bool more = true; more;) {
        more = span_split(captured, '/', &part, &captured);
        if (!part_is_allowed(part))
            return false;
    }
    return true;
}

enum route_path_result route_match_path(const struct pattern *pattern, struct span path,
                                        struct arena *arena, struct route_match *out)
{
    struct span rest = span_from_offset(path, 1), values[ROUTE_CAPTURES_MAX], text, captured;
    enum route_path_result result = ROUTE_PATH_MATCHES;
    size_t count = 0;
    for (size_t i = 0; i != pattern->segment_count; ++i) {
        const struct pattern_segment *segment = &pattern->segments[i];
        bool is_last = i + 1 == pattern->segment_count;
        text = rest;
        if (!segment->spans_slashes && span_split(rest, '/', &text, &rest) == is_last)
            return ROUTE_PATH_DIFFERS;
        if (!strip_literals(segment, text, &captured) || (!segment->captures && captured.len != 0))
            return ROUTE_PATH_DIFFERS;
        if (!segment->captures)
            continue;
        if (segment->name.len != 0 && !capture_is_allowed(captured))
            result = ROUTE_PATH_NOT_ALLOWED; /* the value of a lone * is not used */
        CHECK(count != ROUTE_CAPTURES_MAX);
        values[count++] = captured;
    }
    if (result != ROUTE_PATH_MATCHES || out == NULL)
        return result;
    out->capture_count = 0;
    for (size_t i = 0; i != pattern->segment_count; ++i) {
        if (!pattern->segments[i].captures)
            continue;
        out->captures[out->capture_count] = (struct route_capture){
            pattern->segments[i].name, arena_percent_decode(arena, values[out->capture_count])};
        ++out->capture_count;
    }
    return result;
}

/* ---- host and method ------------------------------------------------------------------------- */

struct span route_host_name(struct span host)
{
    struct span name, port;
    return host_split(host, &name, &port) ? name : host;
}

/* host: without the port. */
static bool accepts_host(const struct config_route *route, struct span host)
{
    return route->host.at == NULL || span_equals_ignore_case(route->host, host);
}

static bool accepts_method(const struct config_route *route, struct span method)
{
    bool is_head = span_equals(method, SPAN("HEAD"));
    for (size_t i = 0; i != route->method_count; ++i)
        if (span_equals(route->methods[i], method) ||
            (is_head && span_equals(route->methods[i], SPAN("GET"))))
            return true;
    return false;
}

/* ---- lookup ---------------------------------------------------------------------------------- */

enum { ALLOWED_MAX = 16 };

enum search_for {
    SEARCH_ROUTE,   /* the first route that matches */
    SEARCH_METHODS, /* the methods of routes that differ only in the method */
    SEARCH_REFUSED, /* any route that fails only a capture's rules */
};

struct search {
    const struct route_table *table;
    struct span method, host; /* host without the port */
    enum search_for purpose;
    size_t best;       /* SIZE_MAX: none yet */
    bool other_method; /* some route differs only in the method */
    struct span allowed[ALLOWED_MAX];
    size_t allowed_count;
};

static void note_allowed(struct search *search, struct span method)
{
    for (size_t i = 0; i != search->allowed_count; ++i)
        if (span_equals(search->allowed[i], method))
            return;
    if (search->allowed_count != ALLOWED_MAX)
        search->allowed[search->allowed_count++] = method;
}

static void note_methods(struct search *search, const struct config_route *route)
{
    for (size_t i = 0; i != route->method_count; ++i) {
        note_allowed(search, route->methods[i]);
        if (span_equals(route->methods[i], SPAN("GET")))
            note_allowed(search, SPAN("HEAD"));
    }
}

static void visit_leaf(struct search *search, const struct node *leaf)
{
    for (size_t i = 0; i != leaf->route_count && leaf->routes[i] < search->best; ++i) {
        const struct config_route *route = search->table->entries[leaf->routes[i]].route;
        if (!accepts_host(route, search->host))
            continue;
        if (search->purpose == SEARCH_METHODS) {
            note_methods(search, route);
        } else if (search->purpose == SEARCH_REFUSED || accepts_method(route, search->method)) {
            search->best = leaf->routes[i];
            return;
        } else {
            search->other_method = true;
        }
    }
}

static const struct node *find_literal(const struct edges *edges, struct span text)
{
    const struct pattern_segment wanted = {.prefix = text};
    const struct edge key = {.segment = &wanted};
    size_t low = 0, high = edges->count;
    while (low != high) {
        size_t middle = low + (high - low) / 2;
        int order = compare_literals(&key, &edges->list[middle]);
        if (order == 0)
            return edges->list[middle].to;
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return NULL;
}

static bool matches_segment(const struct search *search, const struct edge *edge, struct span text)
{
    struct span captured;
    return edge->to->first < search->best && strip_literals(edge->segment, text, &captured) &&
           (search->purpose == SEARCH_REFUSED || edge->segment->name.len == 0 ||
            capture_is_allowed(captured));
}

/* Visits a node. rest: the path after the slash that leads to it. Recurses at most once per segment
 * of a pattern. */
static void visit(struct search *search, const struct node *node, struct span rest)
{
    struct span text, tail;
    bool more = span_split(rest, '/', &text, &tail);
    const struct node *literal = find_literal(&node->literals, text);
    if (literal != NULL && literal->first < search->best) {
        if (more)
            visit(search, literal, tail);
        else
            visit_leaf(search, literal);
    }
    for (size_t i = 0; i != node->captures.count; ++i) {
        const struct edge *edge = &node->captures.list[i];
        if (!matches_segment(search, edge, text))
            continue;
        if (more)
            visit(search, edge->to, tail);
        else
            visit_leaf(search, edge->to);
    }
    for (size_t i = 0; i != node->spans.count; ++i)
        if (matches_segment(search, &node->spans.list[i], rest))
            visit_leaf(search, node->spans.list[i].to);
}

static void search_for(struct search *search, enum search_for purpose, struct span path)
{
    search->purpose = purpose;
    visit(search, &search->table->root, span_from_offset(path, 1));
}

static struct span join_allowed(const struct search *search, struct arena *arena)
{
    struct span text = SPAN("");
    for (size_t i = 0; i != search->allowed_count; ++i)
        text = arena_printf(arena, "%.*s%s%.*s", SPAN_ARG(text), i == 0 ? "" : ", ",
                            SPAN_ARG(search->allowed[i]));
    return text;
}

enum route_result route_find(const struct route_table *table, struct span method, struct span host,
                             struct span path, struct arena *arena, struct route_match *out)
{
    struct search search = {
        .table = table, .method = method, .host = route_host_name(host), .best = SIZE_MAX};
    if (path.len == 0 || path.at[0] != '/')
        return ROUTE_NONE;
    if (!span_escapes_are_valid(path))
        return ROUTE_BAD_PATH;
    search_for(&search, SEARCH_ROUTE, path);
    if (search.best == SIZE_MAX && search.other_method) {
        search_for(&search, SEARCH_METHODS, path);
        out->allowed = join_allowed(&search, arena);
        return ROUTE_METHOD_NOT_ALLOWED;
    }
    if (search.best == SIZE_MAX) {
        search_for(&search, SEARCH_REFUSED, path);
        return search.best == SIZE_MAX ? ROUTE_NONE : ROUTE_BAD_PATH;
    }
    const struct entry *entry = &table->entries[search.best];
    out->route = entry->route;
    out->capture_count = 0;
    out->allowed = SPAN_NONE;
    if (entry->captures)
        CHECK(route_match_path(&entry->pattern, path, arena, out) == ROUTE_PATH_MATCHES);
    return ROUTE_FOUND;
}

enum route_verdict route_judge(const struct route_table *table, size_t index, struct span method,
                               struct span host, struct span path)
{
    CHECK(index < table->count);
    const struct entry *entry = &table->entries[index];
    if (path.len == 0 || path.at[0] != '/' || !span_escapes_are_valid(path))
        return ROUTE_OTHER_PATH;
    enum route_path_result result = route_match_path(&entry->pattern, path, NULL, NULL);
    if (result == ROUTE_PATH_DIFFERS)
        return ROUTE_OTHER_PATH;
    if (!accepts_host(entry->route, route_host_name(host)))
        return ROUTE_OTHER_HOST;
    if (!accepts_method(entry->route, method))
        return ROUTE_OTHER_METHOD;
    return result == ROUTE_PATH_NOT_ALLOWED ? ROUTE_CAPTURE_NOT_ALLOWED : ROUTE_MATCHES;
}

/* ---- routes that can never match ------------------------------------------------------------- */

/* Returns whether `a`, which does not span slashes, matches every text that `b` matches. */
static bool segment_covers(const struct pattern_segment *a, const struct pattern_segment *b)
{
    struct span captured;
    if (!a->captures)
        return !b->captures && span_equals(a->prefix, b->prefix);
    if (!b->captures)
        return strip_literals(a, b->prefix, &captured) && capture_is_allowed(captured);
    return !b->spans_slashes && span_starts_with(b->prefix, a->prefix) &&
           span_ends_with(b->suffix, a->suffix);
}

/* Returns whether `a`, which spans slashes, matches every text that the segments of `b` from `at`
 * on match. */
static bool rest_covers(const struct pattern_segment *a, const struct pattern *b, size_t at)
{
    const struct pattern_segment *first = &b->segments[at];
    const struct pattern_segment *last = &b->segments[b->segment_count - 1];
    if (first == last && !first->captures)
        return segment_covers(a, first);
    if (!last->captures && last->prefix.len == 0)
        return false; /* trailing slash: the last part of a capture would be empty */
    if (a->name.len != 0 && last->captures && last->name.len == 0)
        return false; /* a lone * also matches what a named capture does not allow */
    struct span end = last->captures ? last->suffix : last->prefix;
    return span_starts_with(first->prefix, a->prefix) && span_ends_with(end, a->suffix) &&
           (a->prefix.len < first->prefix.len || first->captures) &&
           (a->suffix.len < end.len || last->captures);
}

static bool pattern_covers(const struct pattern *a, const struct pattern *b)
{
    for (size_t i = 0; i != a->segment_count; ++i) {
        if (i == b->segment_count)
            return false;
        if (a->segments[i].spans_slashes)
            return rest_covers(&a->segments[i], b, i);
        if (!segment_covers(&a->segments[i], &b->segments[i]))
            return false;
    }
    return a->segment_count == b->segment_count;
}

static bool route_covers(const struct config_route *a, const struct config_route *b)
{
    if (a->host.at != NULL && (b->host.at == NULL || !span_equals_ignore_case(a->host, b->host)))
        return false;
    for (size_t i = 0; i != b->method_count; ++i)
        if (!accepts_method(a, b->methods[i]))
            return false;
    return true;
}

void route_warn_shadowed(const struct config *config, struct problem_list *problems)
{
    struct arena arena;
    struct span fault;
    arena_init(&arena, 16384);
    struct pattern *patterns = arena_zalloc(&arena, config->route_count, sizeof(*patterns));
    for (size_t i = 0; i != config->route_count; ++i) {
        const struct config_route *later = &config->routes[i];
        if (!pattern_parse(later->path, &arena, &patterns[i], &fault))
            continue; /* reported elsewhere; an empty pattern covers nothing */
        for (size_t j = 0; j != i; ++j) {
            const struct config_route *earlier = &config->routes[j];
            if (!pattern_covers(&patterns[j], &patterns[i]) || !route_covers(earlier, later))
                continue;
            problem_add(problems, PROBLEM_WARNING, later->file, later->line, 0,
                        "route '%.*s' can never match: the earlier '%.*s' (line %u) matches all of "
                        "%.*s; move the narrower route up",
                        SPAN_ARG(later->name), SPAN_ARG(earlier->name), earlier->line,
                        SPAN_ARG(later->path));
            break;
        }
    }
    arena_dispose(&arena);
}
