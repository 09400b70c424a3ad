/* Runs proxy/aws on questions from standard input, one JSON object per line, so that the Python
 * oracles can ask one process thousands of them. Bytes are hex.
 *
 *   {"ask": "sign", "method", "path", "query", "headers": [[name, value]...],
 *    "body_sha256", "id", "secret", "region", "service", "time", "normalize", "encode"}
 *   {"ask": "check", "operation": 0.., "parameter": "target_model" or "endpoint_name", "value"}
 *   {"ask": "table"}
 *   {"ask": "host", "region", "fips", "dualstack"}
 *   {"ask": "eventstream", "pieces": [bytes...]}
 */
#include <stdio.h>
#include <stdlib.h>

#include <jansson.h>

#include "aws/endpoint.h"
#include "aws/eventstream.h"
#include "aws/sagemaker.h"
#include "aws/sha256.h"
#include "aws/sigv4.h"

enum { PIECE_MAX = 1 << 20 };

static struct arena arena;
static struct sigv4_key_cache *cache;

static unsigned hex_digit(char c)
{
    CHECK((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'));
    return (unsigned)(c <= '9' ? c - '0' : c - 'a' + 10);
}

/* Copies to a block of exactly the bytes' size, for ASan. */
static struct span bytes_of(const json_t *text)
{
    CHECK(json_is_string(text));
    const char *hex = json_string_value(text);
    size_t len = json_string_length(text) / 2;
    char *at = malloc(len == 0 ? 1 : len);
    CHECK(at != NULL);
    for (size_t i = 0; i != len; ++i)
        at[i] = (char)(hex_digit(hex[2 * i]) << 4 | hex_digit(hex[2 * i + 1]));
    return span_make(at, len);
}

static struct span member(const json_t *question, const char *name)
{
    return bytes_of(json_object_get(question, name));
}

static void drop(struct span bytes)
{
    free((void *)(uintptr_t)bytes.at);
}

static bool is_true(const json_t *question, const char *name)
{
    return json_is_true(json_object_get(question, name));
}

static void print_bytes(const char *name, struct span bytes, const char *before)
{
    printf("%s\"%s\": \"", before, name);
    for (size_t i = 0; i != bytes.len; ++i)
        printf("%02x", (unsigned)(unsigned char)bytes.at[i]);
    putchar('"');
}

/* ---- sign ---- */

static void print_signature(const struct sigv4_request *request, const struct sigv4_scope *scope,
                            const struct sigv4_identity *identity)
{
    struct buffer canonical, names, text, authorization, uncached;
    unsigned char digest[SIGV4_HASH_SIZE], key[SIGV4_HASH_SIZE];
    struct sha256_hmac_key hmac;
    buffer_init(&canonical, PIECE_MAX);
    buffer_init(&names, PIECE_MAX);
    buffer_init(&text, PIECE_MAX);
    buffer_init(&authorization, PIECE_MAX);
    buffer_init(&uncached, PIECE_MAX);

    sigv4_append_canonical_request(request, &canonical, &names);
    sha256_of(buffer_span(&canonical), digest);
    sigv4_append_string_to_sign(scope, digest, &text);
    sigv4_derive_key(identity->secret_access_key, scope, key);
    sha256_hmac_prepare(&hmac, SPAN_NONE, span_make((const char *)key, sizeof(key)));
    sha256_hmac(&hmac, buffer_span(&text), digest);
    sigv4_append_authorization(request, scope, identity, cache, &authorization);
    sigv4_append_authorization(request, scope, identity, NULL, &uncached);
    CHECK(span_equals(buffer_span(&authorization), buffer_span(&uncached)));

    print_bytes("canonical_request", buffer_span(&canonical), "{");
    print_bytes("signed_headers", buffer_span(&names), ", ");
    print_bytes("string_to_sign", buffer_span(&text), ", ");
    print_bytes("signature", span_make((const char *)digest, sizeof(digest)), ", ");
    print_bytes("authorization", buffer_span(&authorization), ", ");
    puts("}");
    buffer_dispose(&canonical);
    buffer_dispose(&names);
    buffer_dispose(&text);
    buffer_dispose(&authorization);
    buffer_dispose(&uncached);
}

/* Like the credential service: increments the generation when the secret changes. */
static uint64_t generation_of(struct span secret)
{
    static uint64_t generation;
    static char last[256];
    static size_t last_len;
    CHECK(secret.len <= sizeof(last));
    if (!span_equals(secret, span_make(last, last_len)))
        ++generation;
    memcpy(last, secret.at, secret.len);
    last_len = secret.len;
    return generation;
}

static void print_sign(const json_t *question)
{
    const json_t *headers = json_object_get(question, "headers");
    size_t count = json_array_size(headers);
    struct sigv4_header *list = calloc(count + 1, sizeof(*list));
    CHECK(list != NULL);
    for (size_t i = 0; i != count; ++i) {
        const json_t *header = json_array_get(headers, i);
        list[i].name = bytes_of(json_array_get(header, 0));
        list[i].value = bytes_of(json_array_get(header, 1));
    }
    struct sigv4_request request = {
        .method = member(question, "method"),
        .path = member(question, "path"),
        .query = member(question, "query"),
        .headers = list,
        .header_count = count,
        .normalize_path = is_true(question, "normalize"),
        .encode_path = is_true(question, "encode"),
    };
    struct span hash = member(question, "body_sha256"), text = member(question, "secret");
    struct span time = member(question, "time");
    struct sigv4_scope scope = {.region = member(question, "region"),
                                .service = member(question, "service")};
    CHECK(hash.len == SIGV4_HASH_SIZE && clock_parse_basic(time, &scope.now));
    memcpy(request.body_sha256, hash.at, hash.len);
    struct secret secret = secret_copy(text);
    struct sigv4_identity identity = {.access_key_id = member(question, "id"),
                                      .secret_access_key = &secret,
                                      .generation = generation_of(text)};
    print_signature(&request, &scope, &identity);

    for (size_t i = 0; i != count; ++i) {
        drop(list[i].name);
        drop(list[i].value);
    }
    free(list);
    drop(request.method);
    drop(request.path);
    drop(request.query);
    drop(hash);
    drop(text);
    drop(time);
    drop(scope.region);
    drop(scope.service);
    drop(identity.access_key_id);
    secret_dispose(&secret);
}

/* ---- the API's table ---- */

static void print_check(const json_t *question)
{
    enum sagemaker_operation operation =
        (enum sagemaker_operation)json_integer_value(json_object_get(question, "operation"));
    struct span name = span_from(json_string_value(json_object_get(question, "parameter")));
    struct span value = member(question, "value");
    struct span fault = SPAN_NONE;
    enum sagemaker_parameter parameter;
    bool good;
    if (span_equals(name, SPAN("endpoint_name"))) {
        good = sagemaker_check_endpoint_name(value, &arena, &fault);
    } else {
        CHECK(sagemaker_parameter_by_name(name, &parameter));
        good = sagemaker_check_parameter(operation, parameter, value, &arena, &fault);
    }
    CHECK(good == (fault.at == NULL));
    printf("{\"ok\": %s", good ? "true" : "false");
    print_bytes("fault", fault, ", ");
    puts("}");
    drop(value);
}

static void print_table(void)
{
    printf("{\"operations\": [");
    for (unsigned i = 0; i != SAGEMAKER_OPERATIONS; ++i) {
        const struct sagemaker_operation_info *info =
            sagemaker_operation_info((enum sagemaker_operation)i);
        printf("%s[\"%.*s\", \"%.*s\"]", i == 0 ? "" : ", ", SPAN_ARG(info->api_name),
               SPAN_ARG(info->path_suffix));
    }
    printf("], \"parameters\": [");
    for (unsigned i = 0; i != SAGEMAKER_PARAMETERS; ++i) {
        const struct sagemaker_parameter_info *info =
            sagemaker_parameter_info((enum sagemaker_parameter)i);
        printf("%s[\"%.*s\", \"%.*s\"", i == 0 ? "" : ", ", SPAN_ARG(info->name),
               SPAN_ARG(info->api_name));
        for (unsigned o = 0; o != SAGEMAKER_OPERATIONS; ++o)
            printf(", \"%.*s\"", SPAN_ARG(info->header[o]));
        printf("]");
    }
    puts("]}");
}

static void print_host(const json_t *question)
{
    struct span region = span_from(json_string_value(json_object_get(question, "region")));
    const struct endpoint_options options = {region, is_true(question, "fips"),
                                             is_true(question, "dualstack")};
    struct span host = endpoint_host(&options, &arena), partition = endpoint_partition(region);
    printf("{\"host\": \"%.*s\", \"partition\": \"%.*s\"}\n", SPAN_ARG(host), SPAN_ARG(partition));
}

/* ---- event streams ---- */

static void print_eventstream(const json_t *question)
{
    static const char *const kinds[] = {"event", "exception", "error", "unknown"};
    const json_t *pieces = json_object_get(question, "pieces");
    struct eventstream stream;
    struct eventstream_message message;
    const char *before = "";
    eventstream_init(&stream, EVENTSTREAM_MESSAGE_MAX);
    printf("{\"messages\": [");
    for (size_t i = 0; i != json_array_size(pieces); ++i) {
        struct span piece = bytes_of(json_array_get(pieces, i)), rest = piece;
        while (eventstream_next(&stream, &rest, &message) == EVENTSTREAM_MESSAGE) {
            printf("%s{\"kind\": \"%s\"", before, kinds[message.kind]);
            print_bytes("type", message.type, ", ");
            print_bytes("error_message", message.error_message, ", ");
            print_bytes("content_type", message.content_type, ", ");
            print_bytes("payload", message.payload, ", ");
            printf("}");
            before = ", ";
        }
        drop(piece);
    }
    const char *fault = eventstream_fault(&stream);
    printf("], \"whole\": %s, \"fault\": \"%s\"}\n",
           eventstream_is_between_messages(&stream) ? "true" : "false", fault == NULL ? "" : fault);
    eventstream_dispose(&stream);
}

static void respond(const json_t *question)
{
    struct span ask = span_from(json_string_value(json_object_get(question, "ask")));
    if (span_equals(ask, SPAN("sign")))
        print_sign(question);
    else if (span_equals(ask, SPAN("check")))
        print_check(question);
    else if (span_equals(ask, SPAN("table")))
        print_table();
    else if (span_equals(ask, SPAN("host")))
        print_host(question);
    else if (span_equals(ask, SPAN("eventstream")))
        print_eventstream(question);
    else
        check_fail(__FILE__, __LINE__, "a known question");
}

int main(void)
{
    char *line = NULL;
    size_t size = 0;
    arena_init(&arena, 4096);
    cache = sigv4_key_cache_create();
    for (ssize_t len; (len = getline(&line, &size, stdin)) > 0;) {
        json_t *question = json_loadb(line, (size_t)len, 0, NULL);
        CHECK(question != NULL);
        respond(question);
        json_decref(question);
        arena_reset(&arena);
    }
    free(line);
    sigv4_key_cache_destroy(cache);
    arena_dispose(&arena);
    return 0;
}
