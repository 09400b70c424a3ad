/* `sagegate sign`: signs one request with AWS_* from the environment, prints every stage, sends
 * nothing. */
#include "aws/sha256.h"
#include "aws/sigv4.h"
#include "base/arena.h"
#include "base/json_writer.h"
#include "commands.h"
#include "option.h"

#include <errno.h>
#include <stdio.h>

enum { OUTPUT_MAX = 16 * 1024 * 1024, HEADERS_MAX = SIGV4_HEADERS_MAX - 5 }; /* sign adds up to 5 */

struct arguments {
    struct span method, url, body_file, region, service;
    struct wall_time time;
    bool no_normalize, sign_body, omit_session_token;
    struct sigv4_header headers[HEADERS_MAX];
    size_t header_count;
};

struct signer {
    struct arena arena;
    struct secret secret_access_key, session_token;
    struct sigv4_identity identity;
    struct sigv4_header sent[SIGV4_HEADERS_MAX + 4], signing[SIGV4_HEADERS_MAX + 4];
    size_t sent_count;
    struct sigv4_request request;
    struct sigv4_scope scope;
};

#define fail(...) option_fail("sign", __VA_ARGS__)

/* ---- arguments ---- */

/* Whether sign itself sets the header, so that the command line must not. */
static bool is_own_header(struct span name)
{
    return span_equals_ignore_case(name, SPAN("Authorization")) ||
           span_equals_ignore_case(name, SPAN("X-Amz-Date")) ||
           span_equals_ignore_case(name, SPAN("X-Amz-Security-Token")) ||
           span_equals_ignore_case(name, SPAN("X-Amz-Content-Sha256"));
}

static bool add_header(struct arguments *arguments, struct span line)
{
    struct span name, value;
    if (!span_split(line, ':', &name, &value) || !span_is_token(name))
        return fail("--header '%.*s': must have the form 'NAME: VALUE'", SPAN_ARG(line));
    if (!span_is_all(value, ASCII_TEXT))
        return fail("--header '%.*s': the value contains a control character", SPAN_ARG(name));
    if (is_own_header(name))
        return fail("--header '%.*s': sign sets this header itself", SPAN_ARG(name));
    arguments->headers[arguments->header_count++] = (struct sigv4_header){name, span_trim(value)};
    return true;
}

/* Validates the options and fills in defaults. */
static bool check_arguments(struct arguments *arguments, struct span time)
{
    if (!span_is_token(arguments->method))
        return fail("--method '%.*s': is not a valid method", SPAN_ARG(arguments->method));
    if (time.at != NULL && !clock_parse_basic(time, &arguments->time))
        return fail("--time '%.*s': must be a time such as 20150830T123600Z", SPAN_ARG(time));
    if (arguments->region.len == 0)
        arguments->region = command_getenv(NULL, SPAN("AWS_REGION"));
    if (arguments->region.len == 0)
        arguments->region = command_getenv(NULL, SPAN("AWS_DEFAULT_REGION"));
    if (arguments->region.len == 0)
        return fail("missing region: use --region or set AWS_REGION");
    if (arguments->region.len > 64 || !span_is_token(arguments->region))
        return fail("--region '%.*s': is not a valid region", SPAN_ARG(arguments->region));
    if (arguments->service.len > 64 || !span_is_token(arguments->service))
        return fail("--service '%.*s': is not a valid service", SPAN_ARG(arguments->service));
    return true;
}

/* Returns -1 to go on, else the exit status. */
static int parse_arguments(int argc, char **argv, struct arguments *arguments)
{
    struct span time = SPAN_NONE, headers[HEADERS_MAX];
    struct option_list list = {headers, 0, HEADERS_MAX};
    const struct option_row rows[] = {
        {"method", 0, OPTION_REQUIRED, &arguments->method, "M", "request method"},
        {"url", 0, OPTION_REQUIRED, &arguments->url, "URL",
         "https://HOST/PATH?QUERY; the path is signed byte for byte, as sent"},
        {"header", 0, OPTION_LIST, &list, "'NAME: VALUE'",
         "header to send; may be repeated. All are signed except those that\n"
         "proxies change (Connection, Expect, User-Agent, ...)"},
        {"body", 0, OPTION_TEXT, &arguments->body_file, "FILE",
         "file with the request body; - for standard input"},
        {"region", 0, OPTION_TEXT, &arguments->region, "R",
         "default: AWS_REGION, then AWS_DEFAULT_REGION"},
        {"service", 0, OPTION_TEXT, &arguments->service, "S", "default: sagemaker"},
        {"time", 0, OPTION_TEXT, &time, "TIME", "such as 20150830T123600Z; default: now"},
        {"no-normalize", 0, OPTION_FLAG, &arguments->no_normalize, NULL,
         "sign the path with its empty and dot segments"},
        {"sign-body", 0, OPTION_FLAG, &arguments->sign_body, NULL,
         "send and sign x-amz-content-sha256 as well"},
        {"omit-session-token", 0, OPTION_FLAG, &arguments->omit_session_token, NULL,
         "send the session token but do not sign it"},
    };
    const struct option_table options = {
        .command = "sign",
        .usage = "--method M --url URL [OPTION]...",
        .about =
            "Signs one request with AWS Signature Version 4, using AWS_ACCESS_KEY_ID,\n"
            "AWS_SECRET_ACCESS_KEY and, if set, AWS_SESSION_TOKEN from the environment. Prints a\n"
            "JSON object: canonical_request, string_to_sign, signed_headers, signature,\n"
            "authorization, and headers, the lines to send. Sends nothing.\n",
        .rows = rows,
        .row_count = sizeof(rows) / sizeof(rows[0]),
        .more = "Example:\n"
                "  sagegate sign --method POST --region us-east-1 --body in.json \\\n"
                "    --header 'Content-Type: application/json' \\\n"
                "    --url https://runtime.sagemaker.us-east-1.amazonaws.com/endpoints/NAME/"
                "invocations\n"};
    int status = option_parse(&options, argc, argv);
    for (size_t i = 0; status < 0 && i != list.count; ++i)
        status = add_header(arguments, headers[i]) ? status : 1;
    return status < 0 && !check_arguments(arguments, time) ? 1 : status;
}

/* ---- the request ---- */

static bool load_identity(struct signer *signer)
{
    struct span id = command_getenv(NULL, SPAN("AWS_ACCESS_KEY_ID"));
    struct span secret = command_getenv(NULL, SPAN("AWS_SECRET_ACCESS_KEY"));
    if (id.len == 0)
        return fail("AWS_ACCESS_KEY_ID is not set");
    if (secret.len == 0)
        return fail("AWS_SECRET_ACCESS_KEY is not set");
    signer->secret_access_key = secret_copy(secret);
    signer->session_token = secret_copy(command_getenv(NULL, SPAN("AWS_SESSION_TOKEN")));
    signer->identity = (struct sigv4_identity){
        .access_key_id = id,
        .secret_access_key = &signer->secret_access_key,
        .session_token = &signer->session_token,
    };
    return true;
}

static bool hash_body(const char *path, unsigned char out[SIGV4_HASH_SIZE])
{
    char piece[65536];
    size_t len;
    struct sha256 hash;
    FILE *file = strcmp(path, "-") == 0 ? stdin : fopen(path, "rbe");
    if (file == NULL)
        return fail("--body %s: %s", path, strerror(errno));
    sha256_init(&hash);
    while ((len = fread(piece, 1, sizeof(piece), file)) != 0)
        sha256_update(&hash, span_make(piece, len));
    bool readable = ferror(file) == 0;
    int error = errno;
    if (file != stdin)
        fclose(file);
    if (!readable)
        return fail("--body %s: %s", path, strerror(error));
    sha256_final(&hash, out);
    return true;
}

/* Returns the Host header as an HTTP client sends it: lower-case, without the scheme's default
 * port. */
static struct span host_of(struct span authority, struct span default_port, struct arena *arena)
{
    if (span_ends_with(authority, default_port))
        authority.len -= default_port.len;
    return arena_lower(arena, authority);
}

static bool split_url(struct span url, struct signer *signer, struct span *host)
{
    bool tls = span_starts_with_ignore_case(url, SPAN("https://"));
    if (!tls && !span_starts_with_ignore_case(url, SPAN("http://")))
        return fail("--url '%.*s': must begin with https:// or http://", SPAN_ARG(url));
    if (span_find(url, '#') != url.len)
        return fail("--url '%.*s': must not have a fragment (#...)", SPAN_ARG(url));
    struct span target, rest = span_from_offset(url, tls ? 8 : 7);
    struct span query = SPAN("");
    (void)span_split(rest, '?', &target, &query);
    size_t slash = span_find(target, '/');
    struct span authority = span_make(target.at, slash);
    if (authority.len == 0 || span_find(authority, '@') != authority.len)
        return fail("--url '%.*s': must have a host and no user information", SPAN_ARG(url));
    *host = host_of(authority, tls ? SPAN(":443") : SPAN(":80"), &signer->arena);
    signer->request.path = slash == target.len ? SPAN("/") : span_from_offset(target, slash);
    signer->request.query = query;
    return true;
}

static void send_header(struct signer *signer, struct span name, struct span value, bool is_signed)
{
    const struct sigv4_header header = {name, value};
    signer->sent[signer->sent_count++] = header;
    if (is_signed)
        signer->signing[signer->request.header_count++] = header;
}

static bool build_request(const struct arguments *arguments, struct signer *signer)
{
    struct span host = SPAN_NONE;
    char time[CLOCK_BASIC_SIZE];
    bool s3 = span_equals(arguments->service, SPAN("s3"));
    signer->request = (struct sigv4_request){.method = arguments->method,
                                             .headers = signer->signing,
                                             .normalize_path = !s3 && !arguments->no_normalize,
                                             .encode_path = !s3};
    signer->scope = (struct sigv4_scope){arguments->region, arguments->service, arguments->time};
    sha256_of(SPAN(""), signer->request.body_sha256);
    if (arguments->body_file.at != NULL &&
        !hash_body(arguments->body_file.at, signer->request.body_sha256))
        return false;
    if (!split_url(arguments->url, signer, &host))
        return false;

    bool host_given = false;
    for (size_t i = 0; i != arguments->header_count; ++i)
        host_given |= span_equals_ignore_case(arguments->headers[i].name, SPAN("Host"));
    if (!host_given)
        send_header(signer, SPAN("Host"), host, true);
    for (size_t i = 0; i != arguments->header_count; ++i)
        send_header(signer, arguments->headers[i].name, arguments->headers[i].value,
                    !sigv4_is_never_signed(arguments->headers[i].name));
    clock_format_basic(arguments->time, time);
    send_header(signer, SPAN("X-Amz-Date"), arena_copy(&signer->arena, span_from(time)), true);
    if (!secret_is_empty(&signer->session_token))
        send_header(signer, SPAN("X-Amz-Security-Token"), secret_bytes(&signer->session_token),
                    !arguments->omit_session_token);
    if (arguments->sign_body) {
        char hex[2 * SIGV4_HASH_SIZE];
        struct buffer digits;
        buffer_init_fixed(&digits, hex, sizeof(hex));
        buffer_append_hex(&digits, signer->request.body_sha256, SIGV4_HASH_SIZE);
        send_header(signer, SPAN("X-Amz-Content-Sha256"),
                    arena_copy(&signer->arena, buffer_span(&digits)), true);
    }
    return true;
}

/* ---- the output ---- */

static void add_headers(struct json_writer *json, struct signer *signer, struct span authorization)
{
    json_writer_open_array(json, SPAN("headers"));
    for (size_t i = 0; i != signer->sent_count; ++i)
        json_writer_add_text(json, SPAN_NONE,
                             arena_printf(&signer->arena, "%.*s: %.*s",
                                          SPAN_ARG(signer->sent[i].name),
                                          SPAN_ARG(signer->sent[i].value)));
    json_writer_add_text(
        json, SPAN_NONE,
        arena_printf(&signer->arena, "Authorization: %.*s", SPAN_ARG(authorization)));
    json_writer_close_array(json);
}

static bool print_stages(struct signer *signer)
{
    struct buffer canonical, string_to_sign, signed_headers, authorization, out;
    unsigned char digest[SIGV4_HASH_SIZE];
    buffer_init(&canonical, OUTPUT_MAX);
    buffer_init(&string_to_sign, OUTPUT_MAX);
    buffer_init(&signed_headers, OUTPUT_MAX);
    buffer_init(&authorization, OUTPUT_MAX);
    buffer_init(&out, OUTPUT_MAX);

    sigv4_append_canonical_request(&signer->request, &canonical, &signed_headers);
    sha256_of(buffer_span(&canonical), digest);
    sigv4_append_string_to_sign(&signer->scope, digest, &string_to_sign);
    sigv4_append_authorization(&signer->request, &signer->scope, &signer->identity, NULL,
                               &authorization);

    struct span whole = buffer_span(&authorization);
    struct json_writer json = {.out = &out, .indented = true};
    json_writer_open_object(&json, SPAN_NONE);
    json_writer_add_text(&json, SPAN("canonical_request"), buffer_span(&canonical));
    json_writer_add_text(&json, SPAN("string_to_sign"), buffer_span(&string_to_sign));
    json_writer_add_text(&json, SPAN("signed_headers"), buffer_span(&signed_headers));
    json_writer_add_text(&json, SPAN("signature"),
                         span_from_offset(whole, whole.len - 2 * SIGV4_HASH_SIZE));
    json_writer_add_text(&json, SPAN("authorization"), whole);
    add_headers(&json, signer, whole);
    json_writer_close_object(&json);
    buffer_append_char(&out, '\n');
    bool fits = !canonical.overflowed && !out.overflowed;
    bool printed = fits && fwrite(out.at, 1, out.len, stdout) == out.len && fflush(stdout) == 0;

    buffer_dispose(&out);
    buffer_dispose(&authorization);
    buffer_dispose(&signed_headers);
    buffer_dispose(&string_to_sign);
    buffer_dispose(&canonical);
    return printed || fail(fits ? "cannot write to standard output" : "the request is too long");
}

int command_sign(int argc, char **argv)
{
    struct arguments arguments = {.service = SPAN("sagemaker"), .time = clock_wall()};
    struct signer signer = {0};
    int status = parse_arguments(argc, argv, &arguments);
    if (status >= 0)
        return status;
    arena_init(&signer.arena, 4096);
    bool good =
        load_identity(&signer) && build_request(&arguments, &signer) && print_stages(&signer);
    secret_dispose(&signer.session_token);
    secret_dispose(&signer.secret_access_key);
    arena_dispose(&signer.arena);
    return good ? 0 : 1;
}
