/* The signer: AWS's published example by stage, canonical names, values and paths, and the key
 * cache. */
#include "aws/sigv4.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

#include <cmocka.h>

#include "aws/bearer.h"
#include "aws/sha256.h"

static const struct span example_id = SPAN("AKIDEXAMPLE");
static const struct span example_secret = SPAN("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY");
static const struct span empty_sha256 =
    SPAN("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");

static void assert_span(struct span s, struct span expected)
{
    if (!span_equals(s, expected))
        fail_msg("'%.*s' is not '%.*s'", SPAN_ARG(s), SPAN_ARG(expected));
}

static struct sigv4_scope scope_at(const char *region, const char *service, const char *time)
{
    struct sigv4_scope scope = {.region = span_from(region), .service = span_from(service)};
    assert_true(clock_parse_basic(span_from(time), &scope.now));
    return scope;
}

static struct sigv4_request request_with(const struct sigv4_header *headers, size_t count)
{
    struct sigv4_request request = {.method = SPAN("GET"),
                                    .path = SPAN("/"),
                                    .query = SPAN(""),
                                    .headers = headers,
                                    .header_count = count,
                                    .normalize_path = true,
                                    .encode_path = true};
    sha256_of(SPAN(""), request.body_sha256);
    return request;
}

/* Source: AWS's signing test suite, get-vanilla. */
static void test_example_by_stage(void **state)
{
    static const struct sigv4_header headers[] = {
        {SPAN("X-Amz-Date"), SPAN("20150830T123600Z")},
        {SPAN("Host"), SPAN("example.amazonaws.com")},
    };
    const struct sigv4_request request = request_with(headers, 2);
    const struct sigv4_scope scope = scope_at("us-east-1", "service", "20150830T123600Z");
    struct secret secret = secret_copy(example_secret);
    const struct sigv4_identity identity = {.access_key_id = example_id,
                                            .secret_access_key = &secret};
    unsigned char digest[SIGV4_HASH_SIZE];
    struct buffer out, names;
    (void)state;
    buffer_init(&out, 4096);
    buffer_init(&names, 4096);

    sigv4_append_canonical_request(&request, &out, &names);
    assert_span(buffer_span(&out),
                SPAN("GET\n/\n\nhost:example.amazonaws.com\nx-amz-date:20150830T123600Z\n\n"
                     "host;x-amz-date\n"
                     "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"));
    assert_span(buffer_span(&names), SPAN("host;x-amz-date"));

    sha256_of(buffer_span(&out), digest);
    buffer_clear(&out);
    sigv4_append_string_to_sign(&scope, digest, &out);
    assert_span(buffer_span(&out),
                SPAN("AWS4-HMAC-SHA256\n20150830T123600Z\n20150830/us-east-1/service/aws4_request\n"
                     "bb579772317eb040ac9ed261061d46c1f17a8133879d6129b6e1c25292927e63"));

    buffer_clear(&out);
    sigv4_append_authorization(&request, &scope, &identity, NULL, &out);
    assert_span(
        buffer_span(&out),
        SPAN("AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, "
             "SignedHeaders=host;x-amz-date, "
             "Signature=5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"));
    buffer_dispose(&out);
    buffer_dispose(&names);
    secret_dispose(&secret);
}

/* Source: IAM User Guide, "Deriving the signing key". */
static void test_signing_key(void **state)
{
    const struct sigv4_scope scope = scope_at("us-east-1", "iam", "20150830T000000Z");
    struct secret secret = secret_copy(example_secret);
    unsigned char key[SIGV4_HASH_SIZE];
    char hex[64];
    struct buffer text;
    (void)state;
    sigv4_derive_key(&secret, &scope, key);
    buffer_init_fixed(&text, hex, sizeof(hex));
    buffer_append_hex(&text, key, sizeof(key));
    assert_span(buffer_span(&text),
                SPAN("c4afb1cc5771d871763a393e44b703571b55cc28424d1a5e86da6ed3c154a4b9"));
    secret_dispose(&secret);
}

/* Source: RFC 4231, cases 1, 2, 3, 4, 6 and 7. */
static void test_hmac(void **state)
{
    char aa20[20], aa131[131], dd50[50], cd50[50], counting[25];
    memset(aa20, 0x0b, sizeof(aa20));
    memset(aa131, 0xaa, sizeof(aa131));
    memset(dd50, 0xdd, sizeof(dd50));
    memset(cd50, 0xcd, sizeof(cd50));
    for (size_t i = 0; i != sizeof(counting); ++i)
        counting[i] = (char)(i + 1);
    const struct {
        struct span key, message, expected;
    } cases[] = {
        {span_make(aa20, 20), SPAN("Hi There"),
         SPAN("b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7")},
        {SPAN("Jefe"), SPAN("what do ya want for nothing?"),
         SPAN("5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843")},
        {span_make(aa131, 20), span_make(dd50, 50),
         SPAN("773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe")},
        {span_make(counting, 25), span_make(cd50, 50),
         SPAN("82558a389a443c0ea4cc819899f2083a85f0faa3e578f8077a2e3ff46729665b")},
        {span_make(aa131, 131), SPAN("Test Using Larger Than Block-Size Key - Hash Key First"),
         SPAN("60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54")},
        {span_make(aa131, 131),
         SPAN("This is a test using a larger than block-size key and a larger than block-size data."
              " The key needs to be hashed before being used by the HMAC algorithm."),
         SPAN("9b09ffa71b942fcb27635fbcd5b0e944bfdc63644f0713938a7f51535c3a35e2")},
    };
    (void)state;
    for (size_t i = 0; i != sizeof(cases) / sizeof(cases[0]); ++i) {
        /* Independent of where the key is split. */
        for (size_t cut = 0; cut <= cases[i].key.len; ++cut) {
            struct sha256_hmac_key key;
            unsigned char digest[SHA256_SIZE];
            char hex[64];
            struct buffer text;
            sha256_hmac_prepare(&key, span_make(cases[i].key.at, cut),
                                span_from_offset(cases[i].key, cut));
            sha256_hmac(&key, cases[i].message, digest);
            buffer_init_fixed(&text, hex, sizeof(hex));
            buffer_append_hex(&text, digest, sizeof(digest));
            assert_span(buffer_span(&text), cases[i].expected);
        }
    }
}

static void test_never_signed(void **state)
{
    static const char *const never[] = {
        "Connection", "expect",        "User-Agent",          "X-Amzn-Trace-Id",
        "TE",         "Trailer",       "Transfer-Encoding",   "Upgrade",
        "Keep-Alive", "Authorization", "Proxy-Authorization", "Sec-Fetch-Mode",
        "proxy-what",
    };
    static const char *const always[] = {
        "Host",
        "X-Amz-Date",
        "x-amz-security-token",
        "X-Amzn-SageMaker-Target-Model",
        "Accept",
        "Content-Type",
        "",
        "proxy",
        "Connections",
        "X-Amzn-Trace-Id2",
    };
    (void)state;
    for (size_t i = 0; i != sizeof(never) / sizeof(never[0]); ++i)
        assert_true(sigv4_is_never_signed(span_from(never[i])));
    for (size_t i = 0; i != sizeof(always) / sizeof(always[0]); ++i)
        assert_false(sigv4_is_never_signed(span_from(always[i])));
}

/* Returns the canonical request in static memory. */
static struct span canonical(const struct sigv4_request *request)
{
    static char memory[65536];
    struct buffer out;
    buffer_init_fixed(&out, memory, sizeof(memory));
    sigv4_append_canonical_request(request, &out, NULL);
    assert_false(out.overflowed);
    return buffer_span(&out);
}

/* Returns its line `number`, from 0. */
static struct span canonical_line(const struct sigv4_request *request, unsigned number)
{
    struct span line, rest = canonical(request);
    for (unsigned i = 0; i <= number; ++i)
        (void)span_split(rest, '\n', &line, &rest);
    return line;
}

static void test_paths(void **state)
{
    static const char *const cases[][4] = {
        /* path; canonical form for every service but S3; canonical form for S3 */
        {"", "/", "/", "/"},
        {"/", "/", "/", "/"},
        {"//", "/", "//", "//"},
        {"/a/b", "/a/b", "/a/b", "/a/b"},
        {"a/b", "/a/b", "a/b", "a/b"},
        {"/a/", "/a/", "/a/", "/a/"},
        {"/a//b", "/a/b", "/a//b", "/a//b"},
        {"/./a/./b/.", "/a/b", "/./a/./b/.", "/./a/./b/."},
        {"/a/..", "/", "/a/..", "/a/.."},
        {"/a/../", "/", "/a/../", "/a/../"},
        {"/../../a", "/a", "/../../a", "/../../a"},
        {"/a/b/../../c", "/c", "/a/b/../../c", "/a/b/../../c"},
        {"/a/...", "/a/...", "/a/...", "/a/..."},
        {"/.a/b.", "/.a/b.", "/.a/b.", "/.a/b."},
        {"/a%20b", "/a%2520b", "/a%2520b", "/a%20b"},
        {"/a%2fb", "/a%252fb", "/a%252fb", "/a%2fb"},
        {"/a b", "/a%20b", "/a%20b", "/a b"},
        {"/-._~", "/-._~", "/-._~", "/-._~"},
        {"/\xe1\x88\xb4", "/%E1%88%B4", "/%E1%88%B4", "/\xe1\x88\xb4"},
        {"/a:b@c+d=e&f", "/a%3Ab%40c%2Bd%3De%26f", "/a%3Ab%40c%2Bd%3De%26f", "/a:b@c+d=e&f"},
    };
    (void)state;
    for (size_t i = 0; i != sizeof(cases) / sizeof(cases[0]); ++i) {
        struct sigv4_request request = request_with(NULL, 0);
        request.path = span_from(cases[i][0]);
        assert_span(canonical_line(&request, 1), span_from(cases[i][1]));
        request.normalize_path = false;
        assert_span(canonical_line(&request, 1), span_from(cases[i][2]));
        request.encode_path = false;
        assert_span(canonical_line(&request, 1), span_from(cases[i][3]));
    }
}

static void test_headers(void **state)
{
    static const struct sigv4_header headers[] = {
        {SPAN("b"), SPAN("2")},
        {SPAN("A-B"), SPAN("x")},
        {SPAN("a"), SPAN("  1  ")},
        {SPAN("B"), SPAN(" \"3   4\"\t\t5 ")},
        {SPAN("a_b"), SPAN("")},
        {SPAN("ab"), SPAN("\r\n fold\r\n  ed \x01 z")},
        {SPAN("A"), SPAN("")},
        {SPAN("X-Amzn-SageMaker-Z"), SPAN("1 2 3 4 5 6 7 8 9")},
        {SPAN("x-amzn-sagemaker-y"), SPAN("12345678  9")},
        {SPAN("x-amzn-"), SPAN("\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9 \xc3\xa9")},
    };
    const struct sigv4_request request =
        request_with(headers, sizeof(headers) / sizeof(headers[0]));
    (void)state;
    assert_span(canonical(&request),
                SPAN("GET\n/\n\n"
                     "a:1,\n"
                     "a-b:x\n"
                     "a_b:\n"
                     "ab:fold ed \x01 z\n"
                     "b:2,\"3 4\" 5\n"
                     "x-amzn-:\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9 \xc3\xa9\n"
                     "x-amzn-sagemaker-y:12345678 9\n"
                     "x-amzn-sagemaker-z:1 2 3 4 5 6 7 8 9\n"
                     "\na;a-b;a_b;ab;b;x-amzn-;x-amzn-sagemaker-y;x-amzn-sagemaker-z\n"
                     "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"));
}

/* Values and names of every length around the sink's size come out complete. */
static void test_long_pieces(void **state)
{
    static char text[4000], expected[16384];
    (void)state;
    memset(text, 'a', sizeof(text));
    for (size_t len = 900; len != 1200; ++len) {
        const struct sigv4_header headers[] = {{span_make(text, len), span_make(text, len + 7)},
                                               {SPAN("z"), span_make(text, 4000 - len)}};
        struct sigv4_request request = request_with(headers, 2);
        struct buffer out;
        buffer_init_fixed(&out, expected, sizeof(expected));
        buffer_append(&out, SPAN("GET\n/\n\n"));
        buffer_append(&out, headers[0].name);
        buffer_append_char(&out, ':');
        buffer_append(&out, headers[0].value);
        buffer_append(&out, SPAN("\nz:"));
        buffer_append(&out, headers[1].value);
        buffer_append(&out, SPAN("\n\n"));
        buffer_append(&out, headers[0].name);
        buffer_append(&out, SPAN(";z\n"));
        buffer_append(&out, empty_sha256);
        assert_span(canonical(&request), buffer_span(&out));
    }
}

static void test_maximum_headers(void **state)
{
    static char names[SIGV4_HEADERS_MAX][4];
    struct sigv4_header headers[SIGV4_HEADERS_MAX];
    struct buffer out;
    static char memory[4096];
    (void)state;
    for (size_t i = 0; i != SIGV4_HEADERS_MAX; ++i) {
        snprintf(names[i], sizeof(names[i]), "%03zu", SIGV4_HEADERS_MAX - 1 - i);
        headers[i] = (struct sigv4_header){span_from(names[i]), SPAN("v")};
    }
    const struct sigv4_request request = request_with(headers, SIGV4_HEADERS_MAX);
    struct span whole = canonical(&request);
    assert_true(span_starts_with(whole, SPAN("GET\n/\n\n000:v\n001:v\n002:v\n")));
    buffer_init_fixed(&out, memory, sizeof(memory));
    for (size_t i = 0; i != SIGV4_HEADERS_MAX; ++i)
        buffer_printf(&out, "%s%03zu", i == 0 ? "" : ";", i);
    assert_span(canonical_line(&request, 3 + SIGV4_HEADERS_MAX + 1), buffer_span(&out));
}

/* ---- the cache ---- */

struct signing {
    struct sigv4_key_cache *cache;
    struct sigv4_request request;
};

static void sign(const struct signing *signing, struct sigv4_key_cache *cache, const char *id,
                 const char *secret_text, uint64_t generation, const struct sigv4_scope *scope,
                 char out[1024])
{
    struct secret secret = secret_copy(span_from(secret_text));
    const struct sigv4_identity identity = {
        .access_key_id = span_from(id), .secret_access_key = &secret, .generation = generation};
    struct buffer text;
    memset(out, 0, 1024);
    buffer_init_fixed(&text, out, 1024);
    sigv4_append_authorization(&signing->request, scope, &identity, cache, &text);
    assert_false(text.overflowed);
    secret_dispose(&secret);
}

/* Compares with and without the cache, `times` times. */
static void assert_same(const struct signing *signing, const char *id, const char *secret,
                        uint64_t generation, const struct sigv4_scope *scope)
{
    char cached[1024], plain[1024];
    sign(signing, NULL, id, secret, generation, scope, plain);
    for (int i = 0; i != 2; ++i) {
        sign(signing, signing->cache, id, secret, generation, scope, cached);
        assert_string_equal(cached, plain);
    }
}

static void test_cache_never_changes_a_signature(void **state)
{
    static const struct sigv4_header headers[] = {{SPAN("host"), SPAN("h")}};
    static const char *const ids[] = {"A", "B", "AKIDEXAMPLE"};
    static const char *const days[] = {"20150830T123600Z", "20150831T000000Z", "20150830T235959Z"};
    static const char *const regions[] = {"us-east-1", "eu-west-1", "a"};
    struct signing signing = {sigv4_key_cache_create(), request_with(headers, 1)};
    (void)state;
    for (unsigned round = 0; round != 3; ++round)
        for (size_t id = 0; id != 3; ++id)
            for (size_t day = 0; day != 3; ++day)
                for (size_t region = 0; region != 3; ++region) {
                    struct sigv4_scope scope = scope_at(regions[region], "sagemaker", days[day]);
                    assert_same(&signing, ids[id], round == 0 ? "one" : "two", round, &scope);
                    scope.service = SPAN("sts");
                    assert_same(&signing, ids[id], round == 0 ? "one" : "two", round, &scope);
                }
    sigv4_key_cache_destroy(signing.cache);
}

/* Nothing of one request leaks into the next, at any split and length. */
static void test_common_prefixes(void **state)
{
    static char token[3000];
    const struct sigv4_scope scope = scope_at("us-east-1", "sagemaker", "20150830T123600Z");
    struct sigv4_header headers[] = {{SPAN("host"), SPAN("h")},
                                     {SPAN("x-amz-security-token"), {0}}};
    struct signing signing = {sigv4_key_cache_create(), request_with(headers, 2)};
    (void)state;
    memset(token, 'T', sizeof(token));
    for (size_t at = 0; at < sizeof(token); at += 13) {
        headers[1].value = span_make(token, sizeof(token) - at % 700);
        assert_same(&signing, "A", "secret", 1, &scope);
        token[at] = 'x';
        assert_same(&signing, "A", "secret", 1, &scope);
        token[at] = 'T';
    }
    for (size_t len = 1; len < sizeof(token); len += len < 600 ? 1 : 97) {
        headers[1].value = span_make(token, len);
        assert_same(&signing, "A", "secret", 1, &scope);
    }
    sigv4_key_cache_destroy(signing.cache);
}

/* A hit is visible by its error: a key with the same name and generation is used although the
 * secret differs. */
static bool is_kept(const struct signing *signing, const char *id, const struct sigv4_scope *scope)
{
    char probe[1024], plain[1024];
    sign(signing, NULL, id, "the secret", 1, scope, plain);
    sign(signing, signing->cache, id, "another secret", 1, scope, probe);
    return strcmp(probe, plain) == 0;
}

static void test_cache_keeps_eight_and_evicts_the_oldest(void **state)
{
    static const struct sigv4_header headers[] = {{SPAN("host"), SPAN("h")}};
    static const char *const ids[] = {"0", "1", "2", "3", "4", "5", "6", "7", "8"};
    const struct sigv4_scope scope = scope_at("us-east-1", "sagemaker", "20150830T123600Z");
    struct signing signing = {sigv4_key_cache_create(), request_with(headers, 1)};
    char out[1024];
    (void)state;
    for (size_t i = 0; i != 8; ++i)
        sign(&signing, signing.cache, ids[i], "the secret", 1, &scope, out);
    for (size_t i = 8; i-- > 0;)
        assert_true(is_kept(&signing, ids[i], &scope)); /* now 7 is the least recently used */
    sign(&signing, signing.cache, ids[8], "the secret", 1, &scope, out);
    for (size_t i = 0; i != 9; ++i)
        if (i != 7)
            assert_true(is_kept(&signing, ids[i], &scope));
    assert_false(is_kept(&signing, ids[7], &scope));
    sigv4_key_cache_destroy(signing.cache);
}

static void test_new_day_or_secret_replaces_the_old(void **state)
{
    static const struct sigv4_header headers[] = {{SPAN("host"), SPAN("h")}};
    const struct sigv4_scope today = scope_at("us-east-1", "sagemaker", "20150830T123600Z");
    const struct sigv4_scope tomorrow = scope_at("us-east-1", "sagemaker", "20150831T123600Z");
    struct signing signing = {sigv4_key_cache_create(), request_with(headers, 1)};
    char out[1024];
    (void)state;
    sign(&signing, signing.cache, "A", "the secret", 1, &today, out);
    assert_true(is_kept(&signing, "A", &today));
    sign(&signing, signing.cache, "A", "the secret", 1, &tomorrow, out);
    assert_true(is_kept(&signing, "A", &tomorrow));
    assert_false(is_kept(&signing, "A", &today));
    sign(&signing, signing.cache, "A", "the next secret", 2, &today, out);
    assert_false(is_kept(&signing, "A", &today));
    sigv4_key_cache_destroy(signing.cache);
    sigv4_key_cache_destroy(NULL);
}

static void test_long_secret_is_not_cached(void **state)
{
    static const struct sigv4_header headers[] = {{SPAN("host"), SPAN("h")}};
    const struct sigv4_scope scope = scope_at("us-east-1", "sagemaker", "20150830T123600Z");
    struct signing signing = {sigv4_key_cache_create(), request_with(headers, 1)};
    char id[130];
    (void)state;
    memset(id, 'A', sizeof(id));
    id[129] = '\0';
    assert_same(&signing, id, "s", 1, &scope);
    assert_same(&signing, id + 1, "s", 1, &scope);
    assert_same(&signing, "", "s", 1, &scope);
    sigv4_key_cache_destroy(signing.cache);
}

/* A buffer of any size is either filled completely or marked as overflowed. */
static void test_small_buffer_overflows(void **state)
{
    static const struct sigv4_header headers[] = {{SPAN("host"), SPAN("h")},
                                                  {SPAN("x-amz-date"), SPAN("d")}};
    const struct sigv4_request request = request_with(headers, 2);
    const struct sigv4_scope scope = scope_at("us-east-1", "sagemaker", "20150830T123600Z");
    struct secret secret = secret_copy(example_secret);
    const struct sigv4_identity identity = {.access_key_id = example_id,
                                            .secret_access_key = &secret};
    struct buffer whole, small;
    char memory[512];
    (void)state;
    buffer_init(&whole, 512);
    sigv4_append_authorization(&request, &scope, &identity, NULL, &whole);
    for (size_t max = 0; max <= whole.len; ++max) {
        buffer_init_fixed(&small, memory, max);
        sigv4_append_authorization(&request, &scope, &identity, NULL, &small);
        assert_int_equal(small.overflowed, max != whole.len);
    }
    buffer_dispose(&whole);
    secret_dispose(&secret);
}

static void test_wiped_cache_has_no_key(void **state)
{
    static const struct sigv4_header headers[] = {{SPAN("host"), SPAN("h")}};
    const struct sigv4_scope scope = scope_at("us-east-1", "sagemaker", "20150830T123600Z");
    struct signing signing = {sigv4_key_cache_create(), request_with(headers, 1)};
    char out[1024];
    (void)state;
    sign(&signing, signing.cache, "A", "the secret", 1, &scope, out);
    assert_true(is_kept(&signing, "A", &scope));
    sigv4_key_cache_wipe(signing.cache);
    assert_false(is_kept(&signing, "A", &scope));
    sigv4_key_cache_destroy(signing.cache);
}

/* ---- secrets left in memory ---- */

struct residue {
    struct sigv4_key_cache *cache;
    struct secret secret, token;
    char *authorization; /* 8 KiB */
};

static void *sign_on_a_stack_of_its_own(void *context)
{
    struct residue *residue = context;
    const struct sigv4_header headers[] = {
        {SPAN("host"), SPAN("h")}, {SPAN("x-amz-security-token"), secret_bytes(&residue->token)}};
    const struct sigv4_request request = request_with(headers, 2);
    const struct sigv4_scope scope = scope_at("us-east-1", "sagemaker", "20150830T123600Z");
    const struct sigv4_identity identity = {example_id, &residue->secret, &residue->token, 1};
    struct buffer out;
    buffer_init_fixed(&out, residue->authorization, 8192);
    for (int i = 0; i != 3; ++i)
        sigv4_append_authorization(&request, &scope, &identity, residue->cache, &out);
    sigv4_append_authorization(&request, &scope, &identity, NULL, &out);
    bearer_append(&identity, &scope, 900, &out);
    return NULL;
}

/* Returns whether any eight consecutive bytes of `bytes` appear anywhere in memory. */
static bool has_part_of(const void *memory, size_t size, struct span bytes)
{
    for (size_t i = 0; i + 8 <= bytes.len; ++i)
        if (memmem(memory, size, bytes.at + i, 8) != NULL)
            return true;
    return false;
}

/* A key's first 40 bytes as a hash sees them: XORed with a pad, and as the words of its
 * schedule. */
static bool has_part_of_padded(const void *memory, size_t size, struct span key)
{
    for (unsigned pad = 0x36; pad <= 0x5c; pad += 0x5c - 0x36) {
        char block[40] = {0}, words[40];
        memcpy(block, key.at, key.len < sizeof(block) ? key.len : sizeof(block));
        for (size_t i = 0; i != sizeof(block); ++i)
            block[i] = (char)((unsigned char)block[i] ^ pad);
        for (size_t i = 0; i != sizeof(block); ++i)
            words[i] = block[i ^ 3];
        if (has_part_of(memory, size, span_make(block, sizeof(block))) ||
            has_part_of(memory, size, span_make(words, sizeof(words))))
            return true;
    }
    return false;
}

/* The secret, derived keys and the token leave the stack with the call; the cache holds the hash
 * state after a key's pads, never a key. */
static void test_no_key_remains_on_the_stack(void **state)
{
    enum { STACK_SIZE = 1 << 20, TOKEN_SIZE = 1500 };
    const struct span links[] = {SPAN("20150830"), SPAN("us-east-1"), SPAN("sagemaker"),
                                 SPAN("aws4_request")};
    struct residue residue = {.cache = sigv4_key_cache_create(),
                              .secret = secret_copy(example_secret)};
    struct sha256_hmac_key hmac;
    unsigned char key[SIGV4_HASH_SIZE];
    pthread_attr_t attributes;
    pthread_t thread;
    char token[TOKEN_SIZE];
    (void)state;
    for (size_t i = 0; i != TOKEN_SIZE; ++i)
        token[i] = (char)('A' + (i * i + i / 26) % 26);
    residue.token = secret_copy(span_make(token, TOKEN_SIZE));
    residue.authorization = malloc(8192);
    /* Call it once so that the dynamic linker resolves the functions: it saves all registers on
     * the stack then, in a release build before main(). */
    sign_on_a_stack_of_its_own(&residue);
    char *stack =
        mmap(NULL, STACK_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_true(stack != MAP_FAILED);
    assert_int_equal(pthread_attr_init(&attributes), 0);
    assert_int_equal(pthread_attr_setstack(&attributes, stack, STACK_SIZE), 0);
    assert_int_equal(pthread_create(&thread, &attributes, sign_on_a_stack_of_its_own, &residue), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);

    assert_false(has_part_of(stack, STACK_SIZE, example_secret));
    assert_false(has_part_of(stack, STACK_SIZE, span_make(token, TOKEN_SIZE)));
    assert_false(has_part_of_padded(stack, STACK_SIZE,
                                    SPAN("AWS4wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY")));
    sha256_hmac_prepare(&hmac, SPAN("AWS4"), example_secret);
    for (size_t i = 0; i != 4; ++i) {
        assert_false(has_part_of(stack, STACK_SIZE, span_make((char *)&hmac.inner, 32)));
        assert_false(has_part_of(stack, STACK_SIZE, span_make((char *)&hmac.outer, 32)));
        sha256_hmac(&hmac, links[i], key);
        assert_false(has_part_of(stack, STACK_SIZE, span_make((char *)key, sizeof(key))));
        assert_false(has_part_of_padded(stack, STACK_SIZE, span_make((char *)key, sizeof(key))));
        sha256_hmac_prepare(&hmac, SPAN_NONE, span_make((char *)key, sizeof(key)));
    }
    assert_true(has_part_of(residue.authorization, 8192, SPAN("AWS4-HMAC-SHA256")));
    munmap(stack, STACK_SIZE);
    pthread_attr_destroy(&attributes);
    free(residue.authorization);
    secret_dispose(&residue.token);
    secret_dispose(&residue.secret);
    sigv4_key_cache_destroy(residue.cache);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_example_by_stage),
        cmocka_unit_test(test_signing_key),
        cmocka_unit_test(test_hmac),
        cmocka_unit_test(test_never_signed),
        cmocka_unit_test(test_paths),
        cmocka_unit_test(test_headers),
        cmocka_unit_test(test_long_pieces),
        cmocka_unit_test(test_maximum_headers),
        cmocka_unit_test(test_cache_never_changes_a_signature),
        cmocka_unit_test(test_common_prefixes),
        cmocka_unit_test(test_cache_keeps_eight_and_evicts_the_oldest),
        cmocka_unit_test(test_new_day_or_secret_replaces_the_old),
        cmocka_unit_test(test_wiped_cache_has_no_key),
        cmocka_unit_test(test_no_key_remains_on_the_stack),
        cmocka_unit_test(test_long_secret_is_not_cached),
        cmocka_unit_test(test_small_buffer_overflows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
