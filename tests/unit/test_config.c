/* The configuration: results of files, texts and flags; defaults, merging, the environment.
 * test_check.py covers the error messages. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "config/config.h"
#include "config/suggest.h"
#include "config/value.h"

static struct arena arena;
static struct problem_list problems;
static struct config *config;

struct variable {
    struct span name, value;
};

static struct span get_variable(void *context, struct span name)
{
    for (const struct variable *at = context; at != NULL && at->name.at != NULL; ++at)
        if (span_equals(at->name, name))
            return at->value;
    return SPAN_NONE;
}

static int set_up(void **state)
{
    (void)state;
    arena_init(&arena, 4096);
    problem_list_init(&problems);
    config = NULL;
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    config_release(config);
    arena_dispose(&arena);
    problem_list_dispose(&problems);
    return 0;
}

static const struct config *load_with(const char *text, const struct variable *variables)
{
    const struct config_options options = {
        .getenv = get_variable, .getenv_context = (void *)variables, .no_files = true};
    config_release(config);
    config = config_load_text("f", span_from(text), &options, &problems);
    if (config == NULL)
        problem_print_all(&problems, stderr);
    assert_non_null(config);
    return config;
}

static const struct config *load(const char *text)
{
    return load_with(text, NULL);
}

static void assert_span(struct span got, const char *wanted)
{
    if (wanted == NULL)
        assert_null(got.at);
    else if (!span_equals(got, span_from(wanted)))
        fail_msg("\"%.*s\", not \"%s\"", SPAN_ARG(got), wanted);
}

static void assert_template(const struct template *got, const char *wanted)
{
    assert_non_null(got);
    assert_span(got->text, wanted);
}

/* ---- values ---- */

static void test_sizes(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t value; /* -1: error */
    } rows[] = {{"0", 0},
                {"128000", 128000},
                {"64KiB", 65536},
                {"25MiB", 25 * 1024 * 1024},
                {"1GiB", 1 << 30},
                {"8589934591GiB", 8589934591LL << 30},
                {"8589934592GiB", -1},
                {"99999999999999999999", -1},
                {"", -1},
                {"KiB", -1},
                {"1kib", -1},
                {"1 MiB", -1},
                {"-1", -1},
                {"+1", -1},
                {"1.5MiB", -1},
                {"0x10", -1},
                {"1MiB ", -1}};
    for (size_t i = 0; i != sizeof(rows) / sizeof(rows[0]); ++i) {
        int64_t value = -1;
        struct span fault = SPAN_NONE;
        bool ok = value_parse_size(span_from(rows[i].text), &arena, &value, &fault);
        assert_int_equal(value, rows[i].value);
        assert_int_equal(ok, rows[i].value >= 0);
        assert_int_equal(ok, fault.at == NULL);
    }
    assert_span(value_print_size(25 * 1024 * 1024, &arena), "25MiB");
    assert_span(value_print_size(1025, &arena), "1025");
    assert_span(value_print_size(0, &arena), "0");
}

static void test_times(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t value;
    } rows[] = {{"0s", 0},       {"500ms", 500},
                {"3s", 3000},    {"10m", 600000},
                {"1h", 3600000}, {"500", -1},
                {"1.5s", -1},    {"1d", -1},
                {"", -1},        {"s", -1},
                {"2m30s", -1},   {"1S", -1},
                {"-1s", -1},     {"9223372036854775807h", -1}};
    for (size_t i = 0; i != sizeof(rows) / sizeof(rows[0]); ++i) {
        int64_t value = -1;
        struct span fault = SPAN_NONE;
        bool ok = value_parse_time(span_from(rows[i].text), &arena, &value, &fault);
        assert_int_equal(value, rows[i].value);
        assert_int_equal(ok, fault.at == NULL);
    }
    assert_span(value_print_time(500000, &arena), "500s");
    assert_span(value_print_time(600000, &arena), "10m");
    assert_span(value_print_time(1500, &arena), "1500ms");
    assert_span(value_print_time(0, &arena), "0ms");
}

static void test_addresses(void **state)
{
    (void)state;
    static const struct {
        const char *text, *host, *path;
        uint16_t port;
        bool loopback;
    } rows[] = {
        {"127.0.0.1:8080", "127.0.0.1", NULL, 8080, true},
        {"127.255.0.9:1", "127.255.0.9", NULL, 1, true},
        {"0.0.0.0:0", "0.0.0.0", NULL, 0, false},
        {"10.1.2.3:65535", "10.1.2.3", NULL, 65535, false},
        {"[::1]:8080", "::1", NULL, 8080, true},
        {"[::]:8080", "::", NULL, 8080, false},
        {"[fe80::1:2]:80", "fe80::1:2", NULL, 80, false},
        {"unix:/run/x.sock", NULL, "/run/x.sock", 0, true},
    };
    for (size_t i = 0; i != sizeof(rows) / sizeof(rows[0]); ++i) {
        struct config_address address;
        struct span fault;
        assert_true(value_parse_address(span_from(rows[i].text), &arena, &address, &fault));
        assert_span(address.text, rows[i].text);
        assert_span(address.host, rows[i].host);
        assert_span(address.unix_path, rows[i].path);
        assert_int_equal(address.port, rows[i].port);
        assert_int_equal(address.loopback, rows[i].loopback);
        assert_int_equal(address.unix_mode, 0600);
    }
}

static void test_invalid_addresses(void **state)
{
    (void)state;
    static const char *const texts[] = {"",
                                        ":",
                                        "8080",
                                        ":8080",
                                        "127.0.0.1",
                                        "127.0.0.1:",
                                        "127.0.0.1:65536",
                                        "127.1:80",
                                        "localhost",
                                        "localhost:80",
                                        "*:80",
                                        "[::1]",
                                        "[::1]:",
                                        "[127.0.0.1]:80",
                                        "::1",
                                        "::1:80",
                                        "[::1%lo]:80",
                                        "unix:",
                                        "unix:/",
                                        "unix:x",
                                        "unix:/x/",
                                        "1.2.3.4 :80",
                                        "01.2.3.4:80",
                                        "1.2.3.4:-1",
                                        "1.2.3.4:8o",
                                        "[]:80",
                                        "http://1.2.3.4",
                                        "/run/x"};
    for (size_t i = 0; i != sizeof(texts) / sizeof(texts[0]); ++i) {
        struct config_address address = {.port = 7};
        struct span fault = SPAN_NONE;
        if (value_parse_address(span_from(texts[i]), &arena, &address, &fault))
            fail_msg("%s was accepted", texts[i]);
        assert_true(fault.len != 0);
        assert_int_equal(address.port, 7);
    }
    char path[128] = "unix:/";
    struct config_address address;
    struct span fault;
    memset(path + 6, 'x', 107);
    assert_false(value_parse_address(span_make(path, 6 + 107), &arena, &address, &fault));
    assert_true(value_parse_address(span_make(path, 6 + 106), &arena, &address, &fault));
}

static void test_similar_words(void **state)
{
    (void)state;
    static const struct span words[] = {SPAN("connect"), SPAN("first_byte"), SPAN("idle"),
                                        SPAN("total")};
    assert_int_equal(suggest_distance(SPAN(""), SPAN("abc")), 3);
    assert_int_equal(suggest_distance(SPAN("kitten"), SPAN("sitting")), 3);
    assert_int_equal(suggest_distance(SPAN("ab"), SPAN("BA")), 1);
    assert_span(suggest_nearest(SPAN("conect"), words, 4), "connect");
    assert_span(suggest_nearest(SPAN("idel"), words, 4), "idle");
    assert_span(suggest_nearest(SPAN("firstbyte"), words, 4), "first_byte");
    assert_span(suggest_nearest(SPAN("first"), words, 4), "first_byte");
    assert_span(suggest_nearest(SPAN("read"), words, 4), NULL);
    assert_span(suggest_nearest(SPAN(""), words, 4), NULL);
    assert_span(suggest_list(words, 3, "or", &arena), "connect, first_byte or idle");
    assert_span(suggest_list(words, 1, "or", &arena), "connect");
    assert_span(suggest_list(words, 0, "or", &arena), "");
}

/* ---- the table ---- */

/* Returns the map row whose struct the row fills: the nearest one above. */
static const struct setting *find_record(const struct setting *row)
{
    const struct setting *record = setting_get(SETTING_ROOT);
    for (unsigned i = 1; i != SETTINGS; ++i) {
        const struct setting *map = setting_get((enum setting_id)i);
        bool of_its_own = map->type == SETTING_TYPE_MAP && ((map->flags & SETTING_RECORD) != 0 ||
                                                            span_ends_with(map->path, SPAN("[]")) ||
                                                            span_ends_with(map->path, SPAN(".*")));
        if (of_its_own && row != map && span_starts_with(row->path, map->path) &&
            row->path.at[map->path.len] == '.' && map->path.len > record->path.len)
            record = map;
    }
    return record;
}

static void test_every_table_row_is_consistent(void **state)
{
    (void)state;
    size_t record_sizes[SETTINGS] = {0};
    for (unsigned i = 0; i != SETTINGS; ++i) {
        const struct setting *setting = setting_get((enum setting_id)i);
        bool number = setting->type == SETTING_TYPE_TIME || setting->type == SETTING_TYPE_SIZE ||
                      setting->type == SETTING_TYPE_COUNT;
        union value value;
        struct span fault;
        assert_int_equal(setting_id(setting), i);
        assert_true(setting->doc.len != 0);
        assert_non_null(setting_type_info(setting->type)->text);
        assert_int_equal(setting->type == SETTING_TYPE_WORD, setting->words != NULL);
        if (setting->type == SETTING_TYPE_LIST)
            assert_non_null(setting_element(setting));
        if (setting_is_named(setting))
            assert_non_null(setting_child(setting, SPAN("any")));
        if (number)
            assert_true(setting->min < setting->max);
        if (number && setting->default_value.len != 0)
            assert_true(value_parse(setting, setting->default_value, &arena, &value, &fault));
        for (unsigned j = 0; j != i; ++j)
            assert_false(span_equals(setting_get((enum setting_id)j)->path, setting->path));
        if (setting->size == 0)
            continue;
        /* All rows of a record name fields of the same struct. */
        size_t *record_size = &record_sizes[setting_id(find_record(setting))];
        if (*record_size == 0)
            *record_size = setting->record_size;
        assert_int_equal(setting->record_size, *record_size);
    }
}

/* A map's keys are the rows after it whose paths begin with the map's path. */
static void test_rows_of_a_map_follow_the_map(void **state)
{
    (void)state;
    for (unsigned i = 1; i != SETTINGS; ++i) {
        const struct setting *row = setting_get((enum setting_id)i), *map = NULL;
        struct span key = setting_key(row), path = row->path;
        if (span_ends_with(path, SPAN("[]")))
            continue;
        struct span above = span_make(path.at, path.len - key.len - (path.len != key.len));
        for (unsigned j = 0; j != i && map == NULL; ++j)
            if (span_equals(setting_get((enum setting_id)j)->path, above))
                map = setting_get((enum setting_id)j);
        assert_non_null(map);
        assert_ptr_equal(setting_child(map, key), row);
    }
}

/* ---- a file ---- */

#define ROUTE "routes: [{ name: a, match: { path: /a }, endpoint: e }]\n"

static void test_defaults(void **state)
{
    (void)state;
    const struct config *c = load("region: us-east-1\n" ROUTE);
    assert_int_equal(c->listener_count, 1);
    assert_span(c->listeners[0].address.text, "127.0.0.1:8080");
    assert_false(c->has_admin || c->has_health);
    assert_int_equal(c->workers, 1);
    assert_int_equal(c->limits.connections, 1024);
    assert_int_equal(c->limits.body_bytes, 256 << 20);
    assert_int_equal(c->limits.concurrency, 512);
    assert_int_equal(c->limits.head_bytes, 65536);
    assert_int_equal(c->limits.head_timeout_ms, 10000);
    assert_int_equal(c->limits.body_timeout_ms, 30000);
    assert_int_equal(c->limits.keep_alive_timeout_ms, 75000);
    assert_int_equal(c->limits.keep_alive_requests, 0);
    assert_int_equal(c->pool.idle_max, 64);
    assert_int_equal(c->pool.idle_timeout_ms, 20000);
    assert_int_equal(c->pool.age_max_ms, 600000);
    assert_int_equal(c->drain.limit_ms, 30000);
    assert_int_equal(c->credentials.source, CONFIG_SOURCE_DEFAULT);
    assert_span(c->credentials.file, NULL);
    assert_int_equal(c->log_level, CONFIG_LOG_INFO);
    assert_false(c->access_log.off || c->access_log.refuse_on_full || c->access_log.full_path);
    assert_int_equal(c->upstream_count, 1);
    assert_span(c->upstreams[0].name, "default");
    assert_span(c->upstreams[0].region, "us-east-1");
    assert_span(c->upstreams[0].url.authority, "runtime.sagemaker.us-east-1.amazonaws.com");
    assert_true(c->upstreams[0].url.tls);
    assert_int_equal(c->upstreams[0].url.port, 443);
    assert_int_equal(problems.errors + problems.warnings, 0);
}

static void test_route_defaults(void **state)
{
    (void)state;
    const struct config *c = load("region: us-east-1\n" ROUTE);
    const struct config_route *route = &c->routes[0];
    assert_int_equal(c->route_count, 1);
    assert_span(route->name, "a");
    assert_span(route->file, "f");
    assert_int_equal(route->line, 2);
    assert_span(route->path, "/a");
    assert_int_equal(route->method_count, 1);
    assert_span(route->methods[0], "POST");
    assert_span(route->host, NULL);
    assert_ptr_equal(route->upstream, &c->upstreams[0]);
    assert_template(route->endpoint, "e");
    assert_int_equal(route->endpoint_allow_count, 0);
    assert_int_equal(route->operation, CONFIG_INVOKE);
    assert_int_equal(route->errors, CONFIG_ERRORS_UNWRAP);
    assert_false(route->callers_may_set_given);
    assert_int_equal(route->timeouts.connect_ms, 3000);
    assert_int_equal(route->timeouts.first_byte_ms, 70000);
    assert_int_equal(route->timeouts.idle_ms, 60000);
    assert_int_equal(route->timeouts.total_ms, 500000);
    assert_int_equal(route->body_max, 25 << 20);
    for (unsigned i = 0; i != SAGEMAKER_PARAMETERS; ++i)
        assert_int_equal(route->parameters[i].set, i == SAGEMAKER_INFERENCE_ID);
    assert_template(route->parameters[SAGEMAKER_INFERENCE_ID].default_value, "${uuid}");
}

static void test_every_setting_is_stored(void **state)
{
    (void)state;
    const struct config *c =
        load("listen: [{ address: \"unix:/x\", mode: \"0660\" }, { address: \"[::1]:1\" }]\n"
             "admin: { address: 127.0.0.1:2 }\nhealth: { address: 0.0.0.0:3 }\nworkers: 4\nregion: "
             "eu-west-1\n"
             "credentials: { source: static, file: /creds }\n"
             "limits: { connections: 5, body_bytes: 6MiB, concurrency: 7, head_bytes: 8KiB, "
             "head_timeout: 9s,\n"
             "  body_timeout: 10s, keep_alive_timeout: 11s, keep_alive_requests: 12 }\n"
             "pool: { idle_max: 12, idle_timeout: 13s, age_max: 14s }\ndrain: { limit: 15s }\n"
             "access_log: { file: /log, on_full: refuse, log_path: full }\nlog: { level: error }\n"
             "upstream: { fips: true, dualstack: true, ca_file: /ca, extra_ca_files: [/b, /c] }\n"
             "upstreams: { emea: { region: eu-north-1, endpoint_url: \"http://10.0.0.1:8000\", "
             "allow_plaintext: true } }\n"
             "routes: []\n");
    assert_int_equal(c->listener_count, 2);
    assert_int_equal(c->listeners[0].address.unix_mode, 0660);
    assert_span(c->listeners[1].address.host, "::1");
    assert_true(c->has_admin && c->has_health);
    assert_int_equal(c->admin.port, 2);
    assert_int_equal(c->health.port, 3);
    assert_int_equal(c->workers, 4);
    assert_int_equal(c->credentials.source, CONFIG_SOURCE_STATIC);
    assert_span(c->credentials.file, "/creds");
    assert_int_equal(c->limits.connections, 5);
    assert_int_equal(c->limits.body_bytes, 6 << 20);
    assert_int_equal(c->limits.concurrency, 7);
    assert_int_equal(c->limits.head_bytes, 8192);
    assert_int_equal(c->limits.head_timeout_ms, 9000);
    assert_int_equal(c->limits.body_timeout_ms, 10000);
    assert_int_equal(c->limits.keep_alive_timeout_ms, 11000);
    assert_int_equal(c->limits.keep_alive_requests, 12);
    assert_int_equal(c->pool.idle_max, 12);
    assert_int_equal(c->pool.idle_timeout_ms, 13000);
    assert_int_equal(c->pool.age_max_ms, 14000);
    assert_int_equal(c->drain.limit_ms, 15000);
    assert_span(c->access_log.file, "/log");
    assert_true(c->access_log.refuse_on_full && c->access_log.full_path);
    assert_int_equal(c->log_level, CONFIG_LOG_ERROR);
    assert_true(c->upstreams[0].fips && c->upstreams[0].dualstack);
    assert_span(c->upstreams[0].ca_file, "/ca");
    assert_int_equal(c->upstreams[0].extra_ca_file_count, 2);
    assert_span(c->upstreams[0].extra_ca_files[1], "/c");
    assert_span(c->upstreams[1].name, "emea");
    assert_span(c->upstreams[1].region, "eu-north-1");
    assert_false(c->upstreams[1].url.tls);
    assert_int_equal(c->upstreams[1].url.port, 8000);
    assert_int_equal(problems.warnings, 0);
}

static void test_access_log_can_be_off(void **state)
{
    (void)state;
    assert_true(load("region: us-east-1\naccess_log: false\n" ROUTE)->access_log.off);
}

static void test_open_listener_warns(void **state)
{
    (void)state;
    load("region: us-east-1\nlisten: [{ address: 0.0.0.0:80 }]\n" ROUTE);
    assert_int_equal(problems.warnings, 1);
}

/* ---- words ---- */

static struct span printed_configuration(void)
{
    char *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);
    config_print(config, out);
    fclose(out);
    struct span copy = arena_copy(&arena, span_make(text, len));
    free(text);
    return copy;
}

/* `before` and `after` are the file around the word; `line` is the expected printed line. */
static void assert_word(const char *before, const char *word, const char *after, const char *line)
{
    struct span text = arena_printf(&arena, "region: us-east-1\n%s%s%s", before, word, after);
    struct span printed_line = arena_printf(&arena, "%s: %s\n", line, word);
    load(text.at);
    assert_non_null(strstr(printed_configuration().at, printed_line.at));
}

#define IN_ROUTE "routes: [{ name: a, match: { path: /a }, endpoint: e, "

/* Input, parsed value and printed form of each word, repeated here so that a swap is noticed. */
static void test_words_map_to_values(void **state)
{
    (void)state;
    static const struct {
        const char *word;
        enum config_source value;
    } sources[] = {
        {"default", CONFIG_SOURCE_DEFAULT},     {"env", CONFIG_SOURCE_ENV},
        {"profile", CONFIG_SOURCE_PROFILE},     {"web_identity", CONFIG_SOURCE_WEB_IDENTITY},
        {"container", CONFIG_SOURCE_CONTAINER}, {"imds", CONFIG_SOURCE_IMDS},
        {"process", CONFIG_SOURCE_PROCESS},     {"static", CONFIG_SOURCE_STATIC}};
    for (size_t i = 0; i != sizeof(sources) / sizeof(sources[0]); ++i) {
        const char *more = sources[i].value == CONFIG_SOURCE_PROCESS  ? ", process: x"
                           : sources[i].value == CONFIG_SOURCE_STATIC ? ", file: /x"
                                                                      : "";
        assert_word("credentials: { source: ", sources[i].word,
                    arena_printf(&arena, "%s }\n" ROUTE, more).at, "source");
        assert_int_equal(config->credentials.source, sources[i].value);
    }
    static const struct {
        const char *word;
        enum config_operation value;
    } operations[] = {{"invoke", CONFIG_INVOKE}, {"async", CONFIG_ASYNC},
                      {"native", CONFIG_NATIVE}, {"stream", CONFIG_STREAM},
                      {"auto", CONFIG_AUTO},     {"openai", CONFIG_OPENAI},
                      {"ping", CONFIG_PING},     {"container", CONFIG_CONTAINER}};
    for (size_t i = 0; i != sizeof(operations) / sizeof(operations[0]); ++i) {
        assert_word("routes: [{ name: a, match: { path: /* }, endpoint: e, operation: ",
                    operations[i].word, " }]\n", "operation");
        assert_int_equal(config->routes[0].operation, operations[i].value);
    }
}

static void test_route_words_map_to_values(void **state)
{
    (void)state;
    static const struct {
        const char *word;
        enum config_half_close value;
    } half_closes[] = {{"auto", CONFIG_HALF_CLOSE_AUTO},
                       {"cancel", CONFIG_HALF_CLOSE_CANCEL},
                       {"finish", CONFIG_HALF_CLOSE_FINISH}};
    for (size_t i = 0; i != 3; ++i) {
        assert_word(IN_ROUTE "on_half_close: ", half_closes[i].word, " }]\n", "on_half_close");
        assert_int_equal(config->routes[0].on_half_close, half_closes[i].value);
    }
    assert_word(IN_ROUTE "errors: ", "pass", " }]\n", "errors");
    assert_int_equal(config->routes[0].errors, CONFIG_ERRORS_PASS);
    assert_word(IN_ROUTE "errors: ", "unwrap", " }]\n", "errors");
    assert_int_equal(config->routes[0].errors, CONFIG_ERRORS_UNWRAP);
    assert_word(IN_ROUTE "operation: stream, stream_format: ", "raw", " }]\n", "stream_format");
    assert_int_equal(config->routes[0].stream_format, CONFIG_STREAM_RAW);
    assert_word(IN_ROUTE "operation: stream, stream_format: ", "decoded", " }]\n", "stream_format");
    assert_int_equal(config->routes[0].stream_format, CONFIG_STREAM_DECODED);
    assert_word(IN_ROUTE "operation: stream, stream_errors: ", "event", " }]\n", "stream_errors");
    assert_true(config->routes[0].stream_error_events);
    assert_word(IN_ROUTE "operation: stream, stream_errors: ", "abort", " }]\n", "stream_errors");
    assert_false(config->routes[0].stream_error_events);
}

static void test_process_words_map_to_values(void **state)
{
    (void)state;
    static const struct {
        const char *word;
        enum config_log_level value;
    } levels[] = {{"debug", CONFIG_LOG_DEBUG},
                  {"info", CONFIG_LOG_INFO},
                  {"warning", CONFIG_LOG_WARNING},
                  {"error", CONFIG_LOG_ERROR}};
    for (size_t i = 0; i != 4; ++i) {
        assert_word("log: { level: ", levels[i].word, " }\n" ROUTE, "level");
        assert_int_equal(config->log_level, levels[i].value);
    }
    assert_word("ready_requires: ", "listening", "\n" ROUTE, "ready_requires");
    assert_true(config->ready_without_credentials);
    assert_word("ready_requires: ", "credentials", "\n" ROUTE, "ready_requires");
    assert_false(config->ready_without_credentials);
    assert_word("access_log: { on_full: ", "refuse", " }\n" ROUTE, "on_full");
    assert_true(config->access_log.refuse_on_full);
    assert_word("access_log: { on_full: ", "drop", " }\n" ROUTE, "on_full");
    assert_false(config->access_log.refuse_on_full);
    assert_word("access_log: { log_path: ", "full", " }\n" ROUTE, "log_path");
    assert_true(config->access_log.full_path);
    assert_word("access_log: { log_path: ", "template", " }\n" ROUTE, "log_path");
    assert_false(config->access_log.full_path);
}

/* Covers the tests above: new words must be added there. */
static void test_every_word_has_a_distinct_value(void **state)
{
    (void)state;
    static const struct {
        const struct config_word *words;
        size_t count; /* known to the tests above */
    } lists[] = {{config_source_words, 8},        {config_operation_words, 8},
                 {config_half_close_words, 3},    {config_errors_words, 2},
                 {config_stream_format_words, 2}, {config_stream_errors_words, 2},
                 {config_log_level_words, 4},     {config_ready_requires_words, 2},
                 {config_on_full_words, 2},       {config_log_path_words, 2},
                 {config_method_words, 7}};
    for (unsigned i = 0; i != SETTINGS; ++i) {
        const struct config_word *words = setting_get((enum setting_id)i)->words;
        size_t known = 0, count = 0;
        for (size_t j = 0; words != NULL && j != sizeof(lists) / sizeof(lists[0]); ++j)
            if (lists[j].words == words)
                known = lists[j].count;
        for (; words != NULL && words[count].word.at != NULL; ++count)
            assert_ptr_equal(config_word_of(words, words[count].value).at, words[count].word.at);
        assert_int_equal(count, known);
    }
}

/* ---- routes ---- */

static const char merging[] =
    "region: us-east-1\n"
    "upstreams: { emea: { region: eu-west-1 } }\n"
    "defaults:\n"
    "  upstream: emea\n"
    "  timeouts: { connect: 1s, total: 90s }\n"
    "  body_max: 1MiB\n"
    "  errors: pass\n"
    "  callers_may_set: [accept, target_model, filename]\n"
    "  parameters:\n"
    "    accept: { default: text/plain, allow: [\"text/*\"] }\n"
    "    target_model: { value: m }\n"
    "    filename: { default: f }\n"
    "    inference_id: null\n"
    "routes:\n"
    "  - { name: inherits, match: { path: /1 }, endpoint: e }\n"
    "  - name: overrides\n"
    "    match: { path: /2, methods: [PUT, GET], host: Example.com }\n"
    "    endpoint: { value: e, allow: [e*] }\n"
    "    upstream: default\n"
    "    timeouts: { total: 2m }\n"
    "    body_max: 2MiB\n"
    "    errors: unwrap\n"
    "    callers_may_set: []\n"
    "    parameters: { accept: { required: true, default: a }, target_model: null, inference_id: { "
    "value: x } }\n"
    "  - { name: async, match: { path: /3 }, endpoint: \"${route}-1\", operation: async }\n"
    "  - { name: native, match: { path: \"/4/{e}/*\" }, endpoint: { value: \"${path.e}\", allow: "
    "[x] }, operation: native }\n";

static void test_route_inherits(void **state)
{
    (void)state;
    const struct config *c = load(merging);
    const struct config_route *route = &c->routes[0];
    assert_span(route->upstream->name, "emea");
    assert_int_equal(route->timeouts.connect_ms, 1000);
    assert_int_equal(route->timeouts.total_ms, 90000);
    assert_int_equal(route->timeouts.first_byte_ms, 70000);
    assert_int_equal(route->body_max, 1 << 20);
    assert_int_equal(route->errors, CONFIG_ERRORS_PASS);
    assert_true(route->callers_may_set_given);
    assert_int_equal(route->callers_may_set, 1u << SAGEMAKER_ACCEPT | 1u << SAGEMAKER_TARGET_MODEL);
    assert_template(route->parameters[SAGEMAKER_ACCEPT].default_value, "text/plain");
    assert_int_equal(route->parameters[SAGEMAKER_ACCEPT].allow_count, 1);
    assert_template(route->parameters[SAGEMAKER_TARGET_MODEL].value, "m");
    assert_false(route->parameters[SAGEMAKER_FILENAME].set); /* InvokeEndpoint does not have it */
    assert_false(route->parameters[SAGEMAKER_INFERENCE_ID].set);
}

static void test_route_overrides(void **state)
{
    (void)state;
    const struct config *c = load(merging);
    const struct config_route *route = &c->routes[1];
    assert_int_equal(route->method_count, 2);
    assert_span(route->methods[1], "GET");
    assert_span(route->host, "Example.com");
    assert_span(route->upstream->name, "default");
    assert_int_equal(route->timeouts.connect_ms, 1000);
    assert_int_equal(route->timeouts.total_ms, 120000);
    assert_int_equal(route->body_max, 2 << 20);
    assert_int_equal(route->errors, CONFIG_ERRORS_UNWRAP);
    assert_true(route->callers_may_set_given);
    assert_int_equal(route->callers_may_set, 0);
    assert_true(route->parameters[SAGEMAKER_ACCEPT].required);
    assert_int_equal(route->parameters[SAGEMAKER_ACCEPT].allow_count, 0); /* replaced as a whole */
    assert_false(route->parameters[SAGEMAKER_TARGET_MODEL].set);
    assert_template(route->parameters[SAGEMAKER_INFERENCE_ID].value, "x");
}

static void test_operations_have_own_parameters(void **state)
{
    (void)state;
    const struct config *c = load(merging);
    assert_int_equal(c->routes[2].operation, CONFIG_ASYNC);
    assert_int_equal(c->routes[2].body_max, 128000);
    assert_true(c->routes[2].parameters[SAGEMAKER_FILENAME].set);
    assert_false(c->routes[2].parameters[SAGEMAKER_TARGET_MODEL].set);
    assert_int_equal(c->routes[2].callers_may_set,
                     1u << SAGEMAKER_ACCEPT | 1u << SAGEMAKER_FILENAME);
    assert_int_equal(c->routes[3].operation, CONFIG_NATIVE);
    assert_true(c->routes[3].parameters[SAGEMAKER_FILENAME].set);
    assert_true(c->routes[3].parameters[SAGEMAKER_TARGET_MODEL].set);
    c = load("region: us-east-1\nroutes: [{ name: n, match: { path: \"/{e*}\" }, endpoint: e, "
             "operation: native }]\n");
    assert_int_equal(c->routes[0].errors, CONFIG_ERRORS_PASS);
}

static void test_escaped_dollars(void **state)
{
    (void)state;
    static const struct variable variables[] = {{SPAN("V"), SPAN("a$b${uuid}")},
                                                {SPAN_NONE, SPAN_NONE}};
    const struct config *c =
        load_with("region: us-east-1\n"
                  "credentials: { file: \"/x$${env.V}/${env.V}\" }\n"
                  "defaults: { parameters: { target_model: { value: \"${env.V}$$\" } } }\n" ROUTE,
                  variables);
    assert_span(c->credentials.file, "/x${env.V}/a$b${uuid}");
    const struct template *template = c->routes[0].parameters[SAGEMAKER_TARGET_MODEL].value;
    assert_span(template_expand(template, NULL, NULL, &arena), "a$b${uuid}$");
}

/* ---- regions ---- */

static void test_region_sources(void **state)
{
    (void)state;
    static const struct variable both[] = {{SPAN("AWS_REGION"), SPAN("eu-west-1")},
                                           {SPAN("AWS_DEFAULT_REGION"), SPAN("eu-west-2")},
                                           {SPAN_NONE, SPAN_NONE}};
    assert_span(load_with("region: us-east-1\n" ROUTE, both)->upstreams[0].region, "us-east-1");
    assert_span(load_with(ROUTE, both)->upstreams[0].region, "eu-west-1");
    assert_span(load_with(ROUTE, both + 1)->upstreams[0].region, "eu-west-2");
}

static void test_unused_upstream_needs_no_region(void **state)
{
    (void)state;
    const struct config *c =
        load("upstreams: { x: { region: eu-west-1 } }\ndefaults: { upstream: x }\n" ROUTE);
    assert_span(c->routes[0].upstream->region, "eu-west-1");
    assert_true(c->upstreams[0].region.len != 0);
    assert_true(c->upstreams[0].url.host.len != 0);
}

static void test_without_an_environment(void **state)
{
    (void)state;
    const struct config_options options = {.no_files = true};
    static const char text[] =
        "listen: [{ address: \"127.0.0.1:${env.P}\" }]\nworkers: ${env.W}\nregion: ${env.R}\n"
        "credentials: { source: \"${env.S}\", file: \"${env.F}\" }\nlimits: { body_bytes: "
        "\"${env.B}\" }\n"
        "upstream: { endpoint_url: \"${env.U}\", fips: \"${env.I}\" }\naccess_log: "
        "\"${env.L:-false}\"\n"
        "routes:\n"
        "  - { name: \"${env.N}\", match: { path: \"${env.P}\", methods: [\"${env.M}\"], host: "
        "\"${env.H}\" },\n"
        "      endpoint: \"${env.E}\", operation: \"${env.O}\", upstream: \"${env.UP}\", body_max: "
        "\"${env.B}\",\n"
        "      errors: \"${env.ER}\", callers_may_set: [\"${env.C}\"],\n"
        "      parameters: { target_variant: { value: \"${env.V} x\", allow: [\"${env.A}\"], "
        "required: \"${env.Q}\" } } }\n";
    config = config_load_text("f", span_from(text), &options, &problems);
    problem_print_all(&problems, stderr);
    assert_non_null(config);
    assert_int_equal(config->workers, 1);
    assert_true(config->access_log.off);
    assert_int_equal(config->routes[0].operation, CONFIG_INVOKE);
}

/* ---- flags ---- */

static const struct config *load_flags(struct config_flags flags, const char *const *set)
{
    static struct span sets[8];
    const struct config_options options = {.getenv = get_variable, .no_files = true};
    while (set != NULL && set[flags.set_count] != NULL) {
        sets[flags.set_count] = span_from(set[flags.set_count]);
        ++flags.set_count;
    }
    flags.set = sets;
    config_release(config);
    config = config_load_flags(&flags, &options, &problems);
    return config;
}

static void test_endpoint_without_a_file(void **state)
{
    (void)state;
    const struct config *c = load_flags(
        (struct config_flags){.endpoint = SPAN("fraud"), .region = SPAN("us-east-1")}, NULL);
    assert_non_null(c);
    assert_span(c->listeners[0].address.text, "127.0.0.1:8080");
    assert_int_equal(c->route_count, 2);
    assert_span(c->routes[0].path, "/*");
    assert_span(c->routes[1].path, "/");
    for (size_t i = 0; i != 2; ++i) {
        assert_span(c->routes[i].name, "endpoint");
        assert_template(c->routes[i].endpoint, "fraud");
        assert_int_equal(c->routes[i].operation, CONFIG_INVOKE);
        assert_true(c->routes[i].parameters[SAGEMAKER_INFERENCE_ID].set);
    }
    c = load_flags((struct config_flags){.endpoint = SPAN("e"),
                                         .region = SPAN("eu-west-1"),
                                         .listen = SPAN("[::1]:7"),
                                         .operation = SPAN("native")},
                   NULL);
    assert_int_equal(c->route_count, 1); /* "/" is not an operation */
    assert_int_equal(c->listeners[0].address.port, 7);
    assert_int_equal(problems.errors + problems.warnings, 0);
}

static void test_flag_sets_any_key(void **state)
{
    (void)state;
    static const char *const set[] = {
        "region=eu-west-1",
        "listen[1].address=127.0.0.1:1",
        "route.timeouts.total=90s",
        "route.parameters.target_variant={ default: A, allow: [A, B] }",
        "route.callers_may_set=[accept]",
        "upstream.endpoint_url=https://x.example.com",
        "limits.connections=9",
        NULL};
    const struct config *c = load_flags((struct config_flags){.endpoint = SPAN("e")}, set);
    problem_print_all(&problems, stderr);
    assert_non_null(c);
    assert_int_equal(c->listener_count, 2);
    assert_int_equal(c->limits.connections, 9);
    assert_span(c->upstreams[0].url.host, "x.example.com");
    for (size_t i = 0; i != 2; ++i) {
        assert_int_equal(c->routes[i].timeouts.total_ms, 90000);
        assert_int_equal(c->routes[i].callers_may_set, 1u << SAGEMAKER_ACCEPT);
        assert_int_equal(c->routes[i].parameters[SAGEMAKER_TARGET_VARIANT].allow_count, 2);
    }
}

static void assert_flag_problem(struct config_flags flags, const char *set, const char *wanted)
{
    const char *const sets[] = {set, NULL};
    flags.region = SPAN("us-east-1");
    problem_list_dispose(&problems);
    problem_list_init(&problems);
    assert_null(load_flags(flags, sets));
    assert_int_equal(problems.errors, 1);
    struct span got = arena_printf(&arena, "%.*s: %.*s", SPAN_ARG(problems.first->file),
                                   SPAN_ARG(problems.first->message));
    assert_string_equal(got.at, wanted);
    assert_int_equal(problems.first->line, 0);
}

static void test_error_names_the_flag(void **state)
{
    (void)state;
    const struct config_flags good = {.endpoint = SPAN("e")};
    struct config_flags flags = good;
    flags.endpoint = SPAN("bad_name");
    assert_flag_problem(
        flags, NULL,
        "--endpoint: routes[0].endpoint: letters, digits and inner hyphens: '_' at position 4");
    flags = good;
    flags.listen = SPAN("localhost:80");
    assert_flag_problem(
        flags, NULL,
        "--listen: listen[0].address: must be a numeric address: write 127.0.0.1:80 or [::1]:80");
    flags = good;
    flags.operation = SPAN("invok");
    assert_flag_problem(
        flags, NULL,
        "--operation: routes[0].operation: unknown word \"invok\", did you mean invoke?");
    assert_flag_problem(
        good, "limits.conections=1",
        "--set limits.conections: limits.conections: unknown key, did you mean connections?");
    assert_flag_problem(good, "workers=many",
                        "--set workers: workers: must be a whole number, not \"many\"");
    assert_flag_problem(
        good, "workers",
        "--set workers: must be KEY=VALUE, with a key such as limits.connections or "
        "route.timeouts.total");
    assert_flag_problem(good, "=1",
                        "--set : must be KEY=VALUE, with a key such as limits.connections or "
                        "route.timeouts.total");
    assert_flag_problem(
        good, "listen[2].address=127.0.0.1:1",
        "--set listen[2].address: invalid index: elements are numbered from 0, without gaps");
    assert_flag_problem(good, "listen.x=1", "--set listen.x: not a map; KEY.KEY needs a map");
    assert_flag_problem(good, "region[0]=1", "--set region[0]: not a list; [INDEX] needs a list");
}

/* ---- life ---- */

static void test_references(void **state)
{
    (void)state;
    load("region: us-east-1\n" ROUTE);
    struct config *shared = config_retain(config);
    config_release(config);
    config = NULL;
    assert_span(shared->routes[0].name, "a");
    config_release(shared);
    config_release(NULL);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_sizes),
        TEST(test_times),
        TEST(test_addresses),
        TEST(test_invalid_addresses),
        TEST(test_similar_words),
        TEST(test_every_table_row_is_consistent),
        TEST(test_rows_of_a_map_follow_the_map),
        TEST(test_defaults),
        TEST(test_route_defaults),
        TEST(test_every_setting_is_stored),
        TEST(test_access_log_can_be_off),
        TEST(test_words_map_to_values),
        TEST(test_route_words_map_to_values),
        TEST(test_process_words_map_to_values),
        TEST(test_every_word_has_a_distinct_value),
        TEST(test_open_listener_warns),
        TEST(test_route_inherits),
        TEST(test_route_overrides),
        TEST(test_operations_have_own_parameters),
        TEST(test_escaped_dollars),
        TEST(test_region_sources),
        TEST(test_unused_upstream_needs_no_region),
        TEST(test_without_an_environment),
        TEST(test_endpoint_without_a_file),
        TEST(test_flag_sets_any_key),
        TEST(test_error_names_the_flag),
        TEST(test_references),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
