/* The base layer: spans, buffers, arenas, secrets, problems. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/arena.h"
#include "base/buffer.h"
#include "base/host.h"
#include "base/json_writer.h"
#include "base/problem.h"
#include "base/secret.h"

static void assert_span(struct span s, struct span expected)
{
    if (!span_equals(s, expected))
        fail_msg("'%.*s' is not '%.*s'", SPAN_ARG(s), SPAN_ARG(expected));
}

/* ---- characters ---- */

/* Each class against an explicit list of its members. */
static void test_ascii_classes(void **state)
{
#define DIGITS  "0123456789"
#define LETTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
    static const struct {
        unsigned class;
        const char *members;
    } cases[] = {
        {ASCII_DIGIT, DIGITS},
        {ASCII_ALPHA, LETTERS},
        {ASCII_ALNUM, LETTERS DIGITS},
        {ASCII_HEX, DIGITS "abcdefABCDEF"},
        {ASCII_NAME, LETTERS DIGITS "._-"},
        {ASCII_TOKEN, LETTERS DIGITS "!#$%&'*+-.^_`|~"},
        {ASCII_UNRESERVED, LETTERS DIGITS "-._~"},
        {ASCII_TARGET, LETTERS DIGITS "-._~!$&'()*+,;=:@/?%"},
    };
    (void)state;
    for (int c = 0; c != 256; ++c) {
        for (size_t i = 0; i != sizeof(cases) / sizeof(cases[0]); ++i) {
            bool member = c != 0 && strchr(cases[i].members, c) != NULL;
            if (ascii_is((char)c, cases[i].class) != member)
                fail_msg("byte %d and class %u", c, cases[i].class);
        }
        bool control = c < 0x20 || c == 0x7f;
        assert_int_equal(ascii_is_control((char)c), control);
        assert_int_equal(ascii_is_printable((char)c), !control && c < 0x80);
        assert_int_equal(ascii_is((char)c, ASCII_VISIBLE), !control && c < 0x80 && c != ' ');
        assert_int_equal(ascii_is((char)c, ASCII_TEXT), !control || c == '\t');
        assert_int_equal(ascii_is_digit((char)c), ascii_is((char)c, ASCII_DIGIT));
        assert_int_equal(ascii_is_blank((char)c), c == ' ' || c == '\t');
        assert_int_equal(ascii_lower((char)c), c >= 'A' && c <= 'Z' ? c + 32 : (char)c);
        char text[2] = {(char)c, '\0'};
        assert_int_equal(ascii_hex_value((char)c),
                         ascii_is((char)c, ASCII_HEX) ? (int)strtol(text, NULL, 16) : -1);
    }
}

/* ---- spans ---- */

static void test_span_comparison(void **state)
{
    (void)state;
    assert_true(span_equals(SPAN_NONE, SPAN("")));
    assert_true(span_equals(SPAN("a\0b"), SPAN("a\0b")));
    assert_false(span_equals(SPAN("a\0b"), SPAN("a\0c")));
    assert_false(span_equals(SPAN("a"), SPAN("ab")));
    assert_true(span_equals_ignore_case(SPAN("Content-TYPE"), SPAN("content-type")));
    assert_false(span_equals_ignore_case(SPAN("[\\]^@"), SPAN("{|}~`")));
    assert_false(span_equals_ignore_case(SPAN("\xc3\x84"), SPAN("\xc3\xa4")));
    assert_true(span_starts_with(SPAN("abc"), SPAN("")));
    assert_true(span_starts_with(SPAN("abc"), SPAN("abc")));
    assert_false(span_starts_with(SPAN("abc"), SPAN("abcd")));
    assert_true(span_starts_with_ignore_case(SPAN("HTTPS://x"), SPAN("https://")));
    assert_false(span_starts_with_ignore_case(SPAN("HTTP"), SPAN("https")));
    assert_true(span_ends_with(SPAN("abc"), SPAN("bc")));
    assert_true(span_ends_with(SPAN_NONE, SPAN("")));
    assert_false(span_ends_with(SPAN("c"), SPAN("bc")));
    assert_null(span_from(NULL).at);
    assert_int_equal(span_from("abc").len, 3);
}

static void test_span_splitting(void **state)
{
    struct span head, rest = SPAN("a,,b");
    (void)state;
    assert_true(span_split(rest, ',', &head, &rest));
    assert_span(head, SPAN("a"));
    assert_true(span_split(rest, ',', &head, &rest));
    assert_span(head, SPAN(""));
    assert_false(span_split(rest, ',', &head, &rest));
    assert_span(head, SPAN("b"));
    assert_span(rest, SPAN(""));
    assert_false(span_split(rest, ',', &head, &rest));
    assert_span(head, SPAN(""));
    assert_int_equal(span_find(SPAN("abc"), 'c'), 2);
    assert_int_equal(span_find(SPAN("abc"), 'd'), 3);
    assert_int_equal(span_find(SPAN_NONE, 'd'), 0);
    assert_span(span_trim(SPAN(" \t a b\t ")), SPAN("a b"));
    assert_span(span_trim(SPAN(" \t ")), SPAN(""));
    assert_span(span_trim(SPAN("\na\r")), SPAN("\na\r"));
    assert_span(span_trim(SPAN_NONE), SPAN_NONE);
}

static void test_span_numbers(void **state)
{
    static const struct {
        const char *text;
        bool good;
        uint64_t value;
    } cases[] = {
        {"0", true, 0},
        {"007", true, 7},
        {"18446744073709551615", true, UINT64_MAX},
        {"18446744073709551616", false, 0},
        {"99999999999999999999", false, 0},
        {"", false, 0},
        {"-1", false, 0},
        {"+1", false, 0},
        {" 1", false, 0},
        {"1 ", false, 0},
        {"0x1", false, 0},
        {"1.0", false, 0},
        {"\xd9\xa1", false, 0},
    };
    (void)state;
    for (size_t i = 0; i != sizeof(cases) / sizeof(cases[0]); ++i) {
        uint64_t value = 42;
        assert_int_equal(span_parse_u64(span_from(cases[i].text), &value), cases[i].good);
        assert_int_equal(value, cases[i].good ? cases[i].value : 42);
    }
}

static void test_span_globs(void **state)
{
    static const struct {
        const char *glob, *text;
        bool matches;
    } cases[] = {
        {"", "", true},
        {"", "a", false},
        {"*", "", true},
        {"*", "abc", true},
        {"**", "abc", true},
        {"?", "", false},
        {"?", "a", true},
        {"?", "ab", false},
        {"a*", "a", true},
        {"a*", "ba", false},
        {"*.tar.gz", "m.tar.gz", true},
        {"*.tar.gz", ".tar.gz", true},
        {"*.tar.gz", "m.tar.gzip", false},
        {"a*b*c", "aXbYc", true},
        {"a*b*c", "abbbc", true},
        {"a*b*c", "acb", false},
        {"*a*", "bab", true},
        {"*a*", "bbb", false},
        {"a?c", "abc", true},
        {"a?c", "ac", false},
        {"*?", "", false},
        {"*??", "ab", true},
        {"fraud-*", "fraud-", true},
        {"fraud-*", "fraud", false},
        {"A", "a", false},
        {"[ab]", "a", false},
        {"[ab]", "[ab]", true},
        {"a*", "a/b", true},
        {"*aab", "aaaab", true},
        {"a*a", "a", false},
    };
    (void)state;
    for (size_t i = 0; i != sizeof(cases) / sizeof(cases[0]); ++i)
        if (span_matches_glob(span_from(cases[i].text), span_from(cases[i].glob)) !=
            cases[i].matches)
            fail_msg("'%s' on '%s'", cases[i].glob, cases[i].text);
    /* Many stars on a long text still finish quickly. */
    char text[4096], glob[64];
    memset(text, 'a', sizeof(text));
    for (size_t i = 0; i != sizeof(glob); ++i)
        glob[i] = i % 2 == 0 ? '*' : 'a';
    glob[sizeof(glob) - 1] = 'b';
    assert_false(span_matches_glob(span_make(text, sizeof(text)), span_make(glob, sizeof(glob))));
}

/* ---- buffers ---- */

static void test_buffer_growth_and_limit(void **state)
{
    struct buffer b;
    (void)state;
    buffer_init(&b, 300);
    assert_int_equal(b.capacity, 0);
    for (int i = 0; i != 100; ++i)
        buffer_append(&b, SPAN("abc"));
    assert_false(b.overflowed);
    assert_int_equal(b.len, 300);
    assert_true(b.capacity <= 300);
    buffer_append(&b, SPAN(""));
    assert_false(b.overflowed);
    buffer_append_char(&b, 'x');
    assert_true(b.overflowed);
    assert_int_equal(b.len, 300);
    buffer_clear(&b);
    buffer_append(&b, SPAN("whole"));
    assert_span(buffer_span(&b), SPAN("whole"));
    buffer_dispose(&b);
    assert_null(b.at);
    buffer_append(&b, SPAN("again"));
    assert_span(buffer_span(&b), SPAN("again"));
    buffer_dispose(&b);
    buffer_dispose(&b);
}

/* Data that does not fit is dropped whole, as is everything after it. */
static void test_buffer_over_fixed_memory(void **state)
{
    char memory[4];
    struct buffer b;
    (void)state;
    buffer_init_fixed(&b, memory, sizeof(memory));
    buffer_append(&b, SPAN("abc"));
    buffer_append(&b, SPAN("de"));
    buffer_append(&b, SPAN("f"));
    assert_span(buffer_span(&b), SPAN("abc"));
    assert_true(b.overflowed);
    buffer_clear(&b);
    assert_null(buffer_reserve(&b, 5));
    buffer_clear(&b);
    assert_ptr_equal(buffer_reserve(&b, 4), memory);
    buffer_take(&b, 4);
    assert_int_equal(b.len, 4);
    buffer_clear(&b);
    assert_null(buffer_reserve(&b, SIZE_MAX));
    buffer_dispose(&b);
}

static void test_buffer_consume(void **state)
{
    struct buffer b;
    (void)state;
    buffer_init(&b, 100);
    buffer_consume(&b, 0);
    buffer_append(&b, SPAN("abcdef"));
    buffer_consume(&b, 2);
    assert_span(buffer_span(&b), SPAN("cdef"));
    buffer_consume(&b, 4);
    assert_int_equal(b.len, 0);
    buffer_dispose(&b);
}

static void test_buffer_numbers(void **state)
{
    struct buffer b;
    char long_text[600];
    (void)state;
    buffer_init(&b, 4096);
    buffer_append_u64(&b, 0);
    buffer_append_char(&b, ' ');
    buffer_append_u64(&b, UINT64_MAX);
    buffer_append_char(&b, ' ');
    buffer_append_hex(&b, "\x00\x7f\x80\xff", 4);
    buffer_printf(&b, " %d%s", -7, "x");
    assert_span(buffer_span(&b), SPAN("0 18446744073709551615 007f80ff -7x"));
    buffer_clear(&b);
    memset(long_text, 'l', sizeof(long_text));
    buffer_printf(&b, "%.600s", long_text);
    assert_span(buffer_span(&b), span_make(long_text, 600));
    buffer_dispose(&b);
}

static void test_percent_encoding(void **state)
{
    struct buffer b;
    (void)state;
    buffer_init(&b, 64);
    buffer_append_percent_encoded(&b, SPAN("azAZ09-._~ /+%\xc3\xbc\0"));
    assert_memory_equal(b.at, "azAZ09-._~%20%2F%2B%25%C3%BC%00", b.len);
    assert_int_equal(b.len, 31);
    buffer_dispose(&b);
}

static void test_percent_decoding(void **state)
{
    struct arena arena;
    (void)state;
    arena_init(&arena, 1024);
    assert_int_equal(span_escape_value(SPAN("a%2Fb"), 1), '/');
    assert_int_equal(span_escape_value(SPAN("%ff"), 0), 0xff);
    assert_int_equal(span_escape_value(SPAN("a%2Fb"), 0), -1);
    assert_int_equal(span_escape_value(SPAN("%2"), 0), -1);
    assert_int_equal(span_escape_value(SPAN("xx%2"), 2), -1);
    assert_int_equal(span_escape_value(SPAN("%g0"), 0), -1);
    assert_int_equal(span_escape_value(SPAN_NONE, 0), -1);
    assert_true(span_escapes_are_valid(SPAN("")));
    assert_true(span_escapes_are_valid(SPAN("/a%20%Af")));
    assert_false(span_escapes_are_valid(SPAN("/a%2")));
    assert_false(span_escapes_are_valid(SPAN("%%20")));
    assert_span(arena_percent_decode(&arena, SPAN("/a%2fb%00%C3%bC")), SPAN("/a/b\0\xc3\xbc"));
    assert_span(arena_percent_decode(&arena, SPAN("%%41%4")), SPAN("%A%4"));
    assert_span(arena_concat(&arena, (struct span[]){SPAN("a"), SPAN_NONE, SPAN("bc")}, 3),
                SPAN("abc"));
    assert_span(arena_concat(&arena, NULL, 0), SPAN(""));
    arena_dispose(&arena);
}

static void test_span_forms(void **state)
{
    (void)state;
    assert_true(span_is_token(SPAN("X-Amzn!")));
    assert_false(span_is_token(SPAN("")));
    assert_false(span_is_token(SPAN("a b")));
    assert_true(span_is_name(SPAN("a.B_9-")));
    assert_false(span_is_name(SPAN("a/b")));
    assert_false(span_is_name(SPAN_NONE));
    assert_true(span_is_identifier(SPAN("_a9")));
    assert_false(span_is_identifier(SPAN("9a")));
    assert_false(span_is_identifier(SPAN("a-b")));
    assert_false(span_is_identifier(SPAN("")));
    assert_true(span_is_all(SPAN(""), ASCII_DIGIT));
    assert_true(span_is_all(SPAN("0a"), ASCII_DIGIT | ASCII_ALPHA));
}

static void test_hosts(void **state)
{
    static const struct {
        struct span text;
        bool splits, valid, dns;
        struct span host, port;
    } cases[] = {
        {SPAN("a.b-c_d:80"), true, true, true, SPAN("a.b-c_d"), SPAN("80")},
        {SPAN("127.0.0.1"), true, true, true, SPAN("127.0.0.1"), SPAN_NONE},
        {SPAN("a..b:"), true, true, false, SPAN("a..b"), SPAN("")},
        {SPAN("a."), true, true, false, SPAN("a."), SPAN_NONE},
        {SPAN("-a"), true, true, false, SPAN("-a"), SPAN_NONE},
        {SPAN("a~"), true, true, false, SPAN("a~"), SPAN_NONE},
        {SPAN("a%41"), true, false, false, SPAN("a%41"), SPAN_NONE},
        {SPAN("a b"), true, false, false, SPAN("a b"), SPAN_NONE},
        {SPAN(":80"), true, false, false, SPAN(""), SPAN("80")},
        {SPAN("[::1]:80"), true, true, false, SPAN("[::1]"), SPAN("80")},
        {SPAN("[::ffff:1.2.3.4]"), true, true, false, SPAN("[::ffff:1.2.3.4]"), SPAN_NONE},
        {SPAN("[]"), true, false, false, SPAN("[]"), SPAN_NONE},
        {SPAN("[fe80::1%25eth0]"), true, false, false, SPAN("[fe80::1%25eth0]"), SPAN_NONE},
        {SPAN("[::1"), false, false, false, SPAN_NONE, SPAN_NONE},
        {SPAN("[::1]80"), false, false, false, SPAN_NONE, SPAN_NONE},
        {SPAN("["), false, false, false, SPAN_NONE, SPAN_NONE},
    };
    char long_label[64];
    (void)state;
    for (size_t i = 0; i != sizeof(cases) / sizeof(cases[0]); ++i) {
        struct span host = SPAN_NONE, port = SPAN_NONE;
        assert_int_equal(host_split(cases[i].text, &host, &port), cases[i].splits);
        assert_span(host, cases[i].host);
        assert_span(port, cases[i].port);
        assert_int_equal(port.at == NULL, cases[i].port.at == NULL);
        assert_int_equal(host_is_valid(host), cases[i].valid);
        assert_int_equal(host_is_dns_name(host), cases[i].dns);
    }
    memset(long_label, 'a', sizeof(long_label));
    assert_true(host_is_label(span_make(long_label, 63)));
    assert_false(host_is_label(span_make(long_label, 64)));
    assert_false(host_is_label(SPAN("a_b")));
    uint16_t port = 7;
    assert_true(host_parse_port(SPAN("65535"), &port) && port == 65535);
    assert_true(host_parse_port(SPAN("0"), &port) && port == 0);
    assert_false(host_parse_port(SPAN("65536"), &port));
    assert_false(host_parse_port(SPAN("000080"), &port));
    assert_false(host_parse_port(SPAN(""), &port));
    assert_int_equal(port, 0);
}

static void test_json_escaping(void **state)
{
#define BAD "\xef\xbf\xbd"
    static const struct {
        struct span raw, escaped;
    } cases[] = {
        {SPAN(""), SPAN("")},
        {SPAN("plain / text"), SPAN("plain / text")},
        {SPAN("\"\\"), SPAN("\\\"\\\\")},
        {SPAN("\0\x01\x1f\x7f"), SPAN("\\u0000\\u0001\\u001f\\u007f")},
        {SPAN("a\nb\tc\rd"), SPAN("a\\nb\\tc\\rd")},
        {SPAN("\xc3\xa9 \xe6\xbc\xa2 \xf0\x9f\x99\x82"),
         SPAN("\xc3\xa9 \xe6\xbc\xa2 \xf0\x9f\x99\x82")},
        {SPAN("\xf4\x8f\xbf\xbf"), SPAN("\xf4\x8f\xbf\xbf")},
        {SPAN("\x80"), SPAN(BAD)},                         /* a continuation byte alone */
        {SPAN("\xc3"), SPAN(BAD)},                         /* truncated */
        {SPAN("\xe6\xbc"), SPAN(BAD BAD)},                 /* truncated */
        {SPAN("\xc3("), SPAN(BAD "(")},                    /* no continuation byte */
        {SPAN("\xc0\xaf"), SPAN(BAD BAD)},                 /* overlong */
        {SPAN("\xe0\x80\xaf"), SPAN(BAD BAD BAD)},         /* overlong */
        {SPAN("\xf0\x80\x80\xaf"), SPAN(BAD BAD BAD BAD)}, /* overlong */
        {SPAN("\xed\xa0\x80"), SPAN(BAD BAD BAD)},         /* a surrogate */
        {SPAN("\xf4\x90\x80\x80"), SPAN(BAD BAD BAD BAD)}, /* beyond U+10FFFF */
        {SPAN("\xff\xfe"), SPAN(BAD BAD)},
        {SPAN("\xc3\"x"), SPAN(BAD "\\\"x")}, /* the quote is kept */
    };
    (void)state;
    for (size_t i = 0; i != sizeof(cases) / sizeof(cases[0]); ++i) {
        struct buffer b;
        buffer_init(&b, 256);
        json_writer_append_escaped(&b, cases[i].raw);
        assert_span(buffer_span(&b), cases[i].escaped);
        buffer_dispose(&b);
    }
}

/* The scanner reads eight bytes at a time: an escaped byte at each position of each length. */
static void test_json_escapes_at_every_position(void **state)
{
    char text[30], quoted[2 + 30 + 1], put[6 * 30 + 2];
    (void)state;
    for (size_t len = 0; len != sizeof(text) + 1; ++len)
        for (size_t odd = 0; odd <= len; ++odd) {
            struct buffer b;
            size_t at = 0;
            memset(text, 'a', sizeof(text));
            quoted[at++] = '"';
            for (size_t i = 0; i != len; ++i) {
                if (i == odd)
                    quoted[at++] = '\\';
                quoted[at++] = i == odd ? '"' : 'a';
            }
            quoted[at++] = '"';
            if (odd != len)
                text[odd] = '"';
            buffer_init(&b, 256);
            json_writer_append_quoted(&b, span_make(text, len));
            assert_span(buffer_span(&b), span_make(quoted, at));
            char *end = json_writer_put_quoted(put, span_make(text, len));
            assert_span(span_make(put, (size_t)(end - put)), span_make(quoted, at));
            buffer_clear(&b);
            json_writer_append_escaped(&b, span_make(text, len));
            assert_span(buffer_span(&b), span_make(quoted + 1, at - 2));
            buffer_dispose(&b);
        }
}

static void write_sample(struct json_writer *json)
{
    json_writer_open_object(json, SPAN_NONE);
    json_writer_add_text(json, SPAN("te\"xt"), SPAN("a\nb"));
    json_writer_add_u64(json, SPAN("number"), UINT64_MAX);
    json_writer_open_array(json, SPAN("list"));
    json_writer_add_bool(json, SPAN_NONE, true);
    json_writer_open_object(json, SPAN_NONE);
    json_writer_close_object(json);
    json_writer_add_raw(json, SPAN_NONE, SPAN("[1.5]"));
    json_writer_close_array(json);
    json_writer_add_bool(json, SPAN("last"), false);
    json_writer_close_object(json);
}

static void test_json_writing(void **state)
{
    struct buffer b;
    (void)state;
    buffer_init(&b, 256);
    struct json_writer json = json_writer_to(&b);
    write_sample(&json);
    assert_span(buffer_span(&b), SPAN("{\"te\\\"xt\":\"a\\nb\",\"number\":18446744073709551615,"
                                      "\"list\":[true,{},[1.5]],\"last\":false}"));
    buffer_clear(&b);
    json = (struct json_writer){.out = &b, .indented = true};
    write_sample(&json);
    assert_span(buffer_span(&b),
                SPAN("{\n  \"te\\\"xt\": \"a\\nb\",\n  \"number\": 18446744073709551615,\n"
                     "  \"list\": [\n    true,\n    {},\n    [1.5]\n  ],\n  \"last\": false\n}"));
    buffer_dispose(&b);
}

/* ---- arenas ---- */

static void test_arena(void **state)
{
    struct arena arena;
    (void)state;
    arena_init(&arena, 1024);
    assert_int_equal(arena.used, 0);
    for (size_t size = 0; size < 3000; size += 7) {
        char *at = arena_alloc(&arena, size);
        assert_int_equal((uintptr_t)at % _Alignof(max_align_t), 0);
        memset(at, 0xa5, size);
    }
    int *zeroed = arena_zalloc(&arena, 100, sizeof(*zeroed));
    for (size_t i = 0; i != 100; ++i)
        assert_int_equal(zeroed[i], 0);
    struct span copy = arena_copy(&arena, SPAN("a\0b"));
    assert_span(copy, SPAN("a\0b"));
    assert_int_equal(copy.at[3], '\0');
    assert_null(arena_copy(&arena, SPAN_NONE).at);
    assert_non_null(arena_copy(&arena, SPAN("")).at);
    struct span text = arena_printf(&arena, "%s-%d", "x", 5);
    assert_span(text, SPAN("x-5"));
    assert_int_equal(text.at[3], '\0');
    arena_dispose(&arena);
    arena_dispose(&arena);
}

/* A reset arena reuses the memory of its one ordinary block. */
static void test_arena_reset(void **state)
{
    struct arena arena;
    (void)state;
    arena_init(&arena, 256);
    arena_reset(&arena);
    void *first = arena_alloc(&arena, 16);
    arena_reset(&arena);
    assert_ptr_equal(arena_alloc(&arena, 16), first);
    assert_int_equal(arena.used, 16);
    for (int i = 0; i != 100; ++i)
        (void)arena_alloc(&arena, 100);
    (void)arena_alloc(&arena, 10000);
    arena_reset(&arena);
    assert_int_equal(arena.used, 0);
    assert_non_null(arena.blocks);
    (void)arena_alloc(&arena, 256);
    void *kept = arena.blocks;
    arena_reset(&arena);
    assert_ptr_equal(arena.blocks, kept);
    arena_dispose(&arena);
    assert_null(arena.blocks);
}

/* ---- secrets ---- */

static void test_secrets(void **state)
{
    char text[] = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
    struct secret secret = secret_copy(span_from(text));
    (void)state;
    assert_false(secret_is_empty(&secret));
    secret_wipe(text, sizeof(text));
    for (size_t i = 0; i != sizeof(text); ++i)
        assert_int_equal(text[i], 0);
    assert_span(secret_bytes(&secret), SPAN("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"));
    secret_dispose(&secret);
    assert_true(secret_is_empty(&secret));
    secret_dispose(&secret);
    secret = secret_copy(SPAN(""));
    assert_true(secret_is_empty(&secret));
    secret_dispose(&secret);
    static char pages[3 * 4096];
    memset(pages, 's', sizeof(pages));
    secret = secret_copy(span_make(pages, sizeof(pages)));
    assert_span(secret_bytes(&secret), span_make(pages, sizeof(pages)));
    secret_dispose(&secret);
}

/* ---- problems ---- */

static void test_problems(void **state)
{
    struct problem_list list;
    char text[512] = {0};
    char file[] = "conf.yaml";
    (void)state;
    problem_list_init(&list);
    problem_add(&list, PROBLEM_ERROR, span_from(file), 3, 7, "%s: wrong", "routes");
    problem_add(&list, PROBLEM_WARNING, span_from(file), 4, 1, "odd");
    problem_add(&list, PROBLEM_ERROR, SPAN_NONE, 0, 0, "--listen: wrong");
    memset(file, 'x', sizeof(file) - 1); /* the list has its own copy */
    assert_int_equal(list.errors, 2);
    assert_int_equal(list.warnings, 1);
    FILE *out = fmemopen(text, sizeof(text), "w");
    problem_print_all(&list, out);
    fclose(out);
    assert_string_equal(text, "conf.yaml:3:7: routes: wrong\nconf.yaml:4:1: warning: odd\n"
                              "--listen: wrong\n");
    problem_list_dispose(&list);
    assert_null(list.first);
    problem_list_dispose(&list);
}

/* ---- CHECK ---- */

static void test_check_aborts(void **state)
{
    (void)state;
    CHECK(1 + 1 == 2);
    pid_t child = fork();
    if (child == 0) {
        (void)freopen("/dev/null", "w", stderr);
        CHECK(child != 0);
        _exit(0);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGABRT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ascii_classes),
        cmocka_unit_test(test_span_comparison),
        cmocka_unit_test(test_span_splitting),
        cmocka_unit_test(test_span_numbers),
        cmocka_unit_test(test_span_globs),
        cmocka_unit_test(test_buffer_growth_and_limit),
        cmocka_unit_test(test_buffer_over_fixed_memory),
        cmocka_unit_test(test_buffer_consume),
        cmocka_unit_test(test_buffer_numbers),
        cmocka_unit_test(test_percent_encoding),
        cmocka_unit_test(test_percent_decoding),
        cmocka_unit_test(test_span_forms),
        cmocka_unit_test(test_hosts),
        cmocka_unit_test(test_json_escaping),
        cmocka_unit_test(test_json_escapes_at_every_position),
        cmocka_unit_test(test_json_writing),
        cmocka_unit_test(test_arena),
        cmocka_unit_test(test_arena_reset),
        cmocka_unit_test(test_secrets),
        cmocka_unit_test(test_problems),
        cmocka_unit_test(test_check_aborts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
