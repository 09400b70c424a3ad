/* Credentials: what each source accepts and rejects, and a service that never replaces a better
 * set. */
// links: credentials net
#include "credentials/credential_service.h"
#include "credentials/source.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static const char good_file[] =
    "{\"Version\": 1, \"AccessKeyId\": \"AKIDEXAMPLE1\", \"SecretAccessKey\": \"secret/1+=\"}";
static const char second_file[] =
    "{\"Version\":1,\"AccessKeyId\":\"AKIDEXAMPLE2\",\"SecretAccessKey\":\"secret2\","
    "\"SessionToken\":\"token2\",\"Expiration\":\"2999-01-01T00:00:00Z\",\"AccountId\":\"1\"}";

struct scene {
    struct arena arena;
    struct credentials_notes notes;
    struct credentials *found;
    char file[64];
    struct config_identity identity;
    struct skew skew;
    /* The environment. */
    const char *key_id, *secret, *token, *expiration;
    atomic_int hang; /* a pipe: reading AWS_CA_BUNDLE takes until it is closed; 0: does not */
    const char *replacement; /* replaces the file when the chain reads AWS_CA_BUNDLE */
    struct credential_service *service;
    struct provider *provider;
    struct provider_view view;
    /* Events reported by the service, guarded by the lock. */
    pthread_mutex_t lock;
    unsigned events[PROVIDER_FAILED + 1];
    char last[512];
};

static int set_up(void **state)
{
    struct scene *scene = calloc(1, sizeof(*scene));
    arena_init(&scene->arena, 1024);
    pthread_mutex_init(&scene->lock, NULL);
    snprintf(scene->file, sizeof(scene->file), "/tmp/sagegate-credentials-XXXXXX");
    close(mkstemp(scene->file));
    *state = scene;
    return 0;
}

static int tear_down(void **state)
{
    struct scene *scene = *state;
    credentials_release(scene->found);
    pthread_mutex_destroy(&scene->lock);
    unlink(scene->file);
    arena_dispose(&scene->arena);
    free(scene);
    return 0;
}

/* Replaces the file by rename, as a careful writer does. */
static void write_file(const struct scene *scene, struct span text)
{
    char next[80];
    snprintf(next, sizeof(next), "%s.next", scene->file);
    int fd = open(next, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert_int_equal(write(fd, text.at, text.len), text.len);
    close(fd);
    assert_int_equal(rename(next, scene->file), 0);
}

static struct span get_variable(void *context, struct span name)
{
    struct scene *scene = context;
    if (span_equals(name, SPAN("AWS_ACCESS_KEY_ID")))
        return span_from(scene->key_id);
    if (span_equals(name, SPAN("AWS_SECRET_ACCESS_KEY")))
        return span_from(scene->secret);
    if (span_equals(name, SPAN("AWS_SESSION_TOKEN")))
        return span_from(scene->token);
    if (span_equals(name, SPAN("AWS_CREDENTIAL_EXPIRATION")))
        return span_from(scene->expiration);
    if (span_equals(name, SPAN("AWS_EC2_METADATA_DISABLED")))
        return SPAN("true");
    if (span_equals(name, SPAN("AWS_CA_BUNDLE")) && scene->hang != 0) {
        char byte;
        (void)!read(scene->hang, &byte, 1);
    }
    if (span_equals(name, SPAN("AWS_CA_BUNDLE")) && scene->replacement != NULL) {
        write_file(scene, span_from(scene->replacement));
        scene->replacement = NULL;
    }
    return SPAN_NONE;
}

static void set_environment(struct scene *scene, const char *key_id, const char *secret,
                            const char *token)
{
    scene->key_id = key_id;
    scene->secret = secret;
    scene->token = token;
}

static enum credentials_result load_env(struct scene *scene)
{
    credentials_release(scene->found);
    scene->found = NULL;
    return source_load_env(get_variable, scene, &scene->arena, &scene->found, &scene->notes);
}

static enum credentials_result load_static(struct scene *scene, const char *text)
{
    credentials_release(scene->found);
    scene->found = NULL;
    write_file(scene, span_from(text));
    return source_load_file(scene->file, &scene->arena, &scene->found, &scene->notes);
}

static bool has(struct span text, const char *part)
{
    return text.len != 0 && memmem(text.at, text.len, part, strlen(part)) != NULL;
}

/* ---- the environment ---- */

static void environment_provides_credentials(void **state)
{
    struct scene *scene = *state;
    set_environment(scene, "AKID", "secret", "token");
    assert_int_equal(load_env(scene), CREDENTIALS_FOUND);
    assert_string_equal(scene->found->access_key_id, "AKID");
    assert_true(span_equals(secret_bytes(&scene->found->secret_access_key), SPAN("secret")));
    assert_true(span_equals(secret_bytes(&scene->found->session_token), SPAN("token")));
    assert_true(span_equals(scene->found->source, SPAN("env")));
    assert_int_equal(scene->found->expires.us, 0);
    set_environment(scene, "AKID", "secret", "");
    assert_int_equal(load_env(scene), CREDENTIALS_FOUND);
    assert_true(secret_is_empty(&scene->found->session_token));
}

static void empty_variable_is_unset(void **state)
{
    struct scene *scene = *state;
    assert_int_equal(load_env(scene), CREDENTIALS_NOT_CONFIGURED);
    set_environment(scene, "", "", "token");
    assert_int_equal(load_env(scene), CREDENTIALS_NOT_CONFIGURED);
    assert_null(scene->found);
}

static void incomplete_environment_fails(void **state)
{
    struct scene *scene = *state;
    set_environment(scene, "AKID", "", NULL);
    assert_int_equal(load_env(scene), CREDENTIALS_FAILED);
    assert_true(has(scene->notes.fault, "AWS_SECRET_ACCESS_KEY is not"));
    set_environment(scene, NULL, "s3cr3t", NULL);
    assert_int_equal(load_env(scene), CREDENTIALS_FAILED);
    assert_true(has(scene->notes.fault, "AWS_ACCESS_KEY_ID is not"));
    assert_false(has(scene->notes.fault, "s3cr3t"));
}

static void unsendable_bytes_are_rejected_and_not_shown(void **state)
{
    struct scene *scene = *state;
    static const struct {
        const char *key_id, *secret, *token, *fault;
    } cases[] = {
        {"AK ID", "s3cr3t", NULL, "AWS_ACCESS_KEY_ID has a space at position 3 of 5"},
        {"AK/ID", "s3cr3t", NULL, "AWS_ACCESS_KEY_ID has a '/', ',' or '='"},
        {"AKID", "s3cr3t\n", NULL, "AWS_SECRET_ACCESS_KEY has a line break at position 7 of 7"},
        {"AKID", "s3cr3t", "t0ken\x01", "AWS_SESSION_TOKEN has a control character"},
        {"AKID", "s3cr3t\xc3\xa9", NULL, "AWS_SECRET_ACCESS_KEY has a non-ASCII byte"},
    };
    for (size_t i = 0; i != sizeof(cases) / sizeof(cases[0]); ++i) {
        set_environment(scene, cases[i].key_id, cases[i].secret, cases[i].token);
        assert_int_equal(load_env(scene), CREDENTIALS_FAILED);
        assert_true(has(scene->notes.fault, cases[i].fault));
        assert_false(has(scene->notes.fault, "s3cr3t"));
        assert_false(has(scene->notes.fault, "t0ken"));
    }
    char endless[CREDENTIALS_KEY_ID_MAX + 2];
    memset(endless, 'A', sizeof(endless) - 1);
    endless[sizeof(endless) - 1] = '\0';
    set_environment(scene, endless, "s3cr3t", NULL);
    assert_int_equal(load_env(scene), CREDENTIALS_FAILED);
    assert_true(
        has(scene->notes.fault, "AWS_ACCESS_KEY_ID has 129 characters; the maximum is 128"));
    endless[CREDENTIALS_KEY_ID_MAX] = '\0';
    assert_int_equal(load_env(scene), CREDENTIALS_FOUND);
    assert_string_equal(scene->found->access_key_id, endless);
}

static void environment_may_set_expiration(void **state)
{
    struct scene *scene = *state;
    set_environment(scene, "AKID", "secret", "token");
    scene->expiration = "2999-01-01T01:00:00+01:00";
    assert_int_equal(load_env(scene), CREDENTIALS_FOUND);
    assert_int_equal(scene->found->expires.us, 32472144000000000);
    scene->expiration = "";
    assert_int_equal(load_env(scene), CREDENTIALS_FOUND);
    assert_int_equal(scene->found->expires.us, 0);
    static const char *const broken[] = {"tomorrow", "2999-01-01", "2999-13-01T00:00:00Z", "1"};
    for (size_t i = 0; i != sizeof(broken) / sizeof(broken[0]); ++i) {
        scene->expiration = broken[i];
        assert_int_equal(load_env(scene), CREDENTIALS_FAILED);
        assert_true(has(scene->notes.fault,
                        "environment: AWS_CREDENTIAL_EXPIRATION must be an RFC 3339 time"));
    }
    set_environment(scene, NULL, NULL, NULL); /* ignored on its own */
    assert_int_equal(load_env(scene), CREDENTIALS_NOT_CONFIGURED);
}

/* ---- the static file ---- */

static void file_provides_credentials(void **state)
{
    struct scene *scene = *state;
    assert_int_equal(load_static(scene, good_file), CREDENTIALS_FOUND);
    assert_string_equal(scene->found->access_key_id, "AKIDEXAMPLE1");
    assert_true(span_equals(secret_bytes(&scene->found->secret_access_key), SPAN("secret/1+=")));
    assert_true(secret_is_empty(&scene->found->session_token));
    assert_int_equal(scene->found->expires.us, 0);
    assert_null(scene->notes.warning.at);

    assert_int_equal(load_static(scene, second_file), CREDENTIALS_FOUND);
    assert_true(span_equals(secret_bytes(&scene->found->session_token), SPAN("token2")));
    assert_int_equal(scene->found->expires.us, 32472144000000000);
    assert_true(span_equals(credentials_key_id_tail(scene->found), SPAN("PLE2")));
}

static void broken_file_error_has_place_and_no_secret(void **state)
{
    struct scene *scene = *state;
    static const struct {
        const char *text, *fault;
    } cases[] = {
        {"", "truncated JSON"},
        {"{\n \"SecretAccessKey\": \"s3cr3t", "truncated JSON"},
        {"{\"SecretAccessKey\": s3cr3t}", "line 1, column 21: invalid JSON"},
        {"{\"SecretAccessKey\": \"s3cr3t\n\"}", "invalid JSON"},
        {"{\"SecretAccessKey\":\"s3cr3t\",\"SecretAccessKey\":\"s3cr3t\"}", "duplicate key"},
        {"{} s3cr3t", "text after the JSON object"},
        {"[\"s3cr3t\"]", "not a JSON object"},
        {"{}", "Version must be 1"},
        {"{\"Version\":\"1\"}", "Version must be 1"},
        {"{\"Version\":2}", "Version must be 1"},
        {"{\"Version\":1}", "AccessKeyId is missing or empty"},
        {"{\"Version\":1,\"AccessKeyId\":\"A\"}", "SecretAccessKey is missing or empty"},
        {"{\"Version\":1,\"AccessKeyId\":7}", "AccessKeyId must be a string"},
        {"{\"Version\":1,\"AccessKeyId\":\"A\",\"SecretAccessKey\":[\"s3cr3t\"]}",
         "SecretAccessKey must be a string"},
        {"{\"Version\":1,\"AccessKeyId\":\"A\",\"SecretAccessKey\":\"s3cr3t\","
         "\"SessionToken\":null}",
         "SessionToken must be a string"},
        {"{\"Version\":1,\"AccessKeyId\":\"A\",\"SecretAccessKey\":\"s3cr3t\","
         "\"Expiration\":\"tomorrow\"}",
         "Expiration must be an RFC 3339 time"},
        {"{\"Version\":1,\"AccessKeyId\":\"A\",\"SecretAccessKey\":\"s3cr3t\\n\"}",
         "SecretAccessKey has a line break"},
        {"{\"Version\":1,\"AccessKeyId\":\"A\",\"SecretAccessKey\":\"s3cr3t\\u0000\"}",
         "invalid JSON"},
    };
    for (size_t i = 0; i != sizeof(cases) / sizeof(cases[0]); ++i) {
        assert_int_equal(load_static(scene, cases[i].text), CREDENTIALS_FAILED);
        if (!has(scene->notes.fault, cases[i].fault))
            fail_msg("%s: %.*s", cases[i].text, SPAN_ARG(scene->notes.fault));
        assert_true(has(scene->notes.fault, scene->file));
        assert_false(has(scene->notes.fault, "s3cr3t"));
    }
}

static void only_small_regular_files_are_accepted(void **state)
{
    struct scene *scene = *state;
    char *large = malloc(SOURCE_FILE_MAX + 2);
    memset(large, ' ', SOURCE_FILE_MAX + 1);
    memcpy(large, good_file, sizeof(good_file) - 1);
    large[SOURCE_FILE_MAX + 1] = '\0';
    assert_int_equal(load_static(scene, large), CREDENTIALS_FAILED);
    assert_true(has(scene->notes.fault, "larger than 65536 bytes"));
    large[SOURCE_FILE_MAX] = '\0';
    assert_int_equal(load_static(scene, large), CREDENTIALS_FOUND);
    free(large);
    credentials_release(scene->found);
    scene->found = NULL;

    unlink(scene->file);
    assert_int_equal(source_load_file(scene->file, &scene->arena, &scene->found, &scene->notes),
                     CREDENTIALS_FAILED);
    assert_true(has(scene->notes.fault, "cannot open: No such file or directory"));
    assert_int_equal(mkfifo(scene->file, 0600), 0);
    assert_int_equal(source_load_file(scene->file, &scene->arena, &scene->found, &scene->notes),
                     CREDENTIALS_FAILED);
    assert_true(has(scene->notes.fault, "not a regular file"));
    assert_int_equal(source_load_file("/", &scene->arena, &scene->found, &scene->notes),
                     CREDENTIALS_FAILED);
    assert_true(has(scene->notes.fault, "not a regular file"));
}

static void world_readable_file_warns(void **state)
{
    struct scene *scene = *state;
    write_file(scene, SPAN("{}"));
    const mode_t modes[] = {0640, 0604, 0666};
    for (size_t i = 0; i != 3; ++i) {
        write_file(scene, span_from(good_file));
        chmod(scene->file, modes[i]);
        credentials_release(scene->found);
        assert_int_equal(source_load_file(scene->file, &scene->arena, &scene->found, &scene->notes),
                         CREDENTIALS_FOUND);
        char expected[64];
        snprintf(expected, sizeof(expected), "mode %04o lets other users", (unsigned)modes[i]);
        assert_true(has(scene->notes.warning, expected));
    }
}

/* ---- the service ---- */

static void on_event(void *context, enum provider_event event, struct span message)
{
    struct scene *scene = context;
    pthread_mutex_lock(&scene->lock);
    ++scene->events[event];
    snprintf(scene->last, sizeof(scene->last), "%.*s", SPAN_ARG(message));
    pthread_mutex_unlock(&scene->lock);
}

static unsigned reported(struct scene *scene, enum provider_event event)
{
    pthread_mutex_lock(&scene->lock);
    unsigned count = scene->events[event];
    pthread_mutex_unlock(&scene->lock);
    return count;
}

static void wait_until_reported(struct scene *scene, enum provider_event event, unsigned count)
{
    for (int i = 0; i != 500 && reported(scene, event) < count; ++i)
        usleep(10000);
    assert_int_equal(reported(scene, event), count);
}

/* The main thread's view, like a worker's. */
static struct loop *loop_of_test(void)
{
    static struct loop *loop;
    if (loop == NULL)
        loop = loop_create();
    return loop;
}

static void start_service(struct scene *scene)
{
    scene->service =
        credential_service_create(&(struct credential_service_options){.skew = &scene->skew,
                                                                       .getenv = get_variable,
                                                                       .getenv_context = scene,
                                                                       .on_event = on_event,
                                                                       .event_context = scene,
                                                                       .check_interval_ms = 10});
}

static void take(struct scene *scene, const struct config_identity *identities, const bool *used,
                 size_t count, struct provider **providers)
{
    const struct credential_service_wanted wanted = {
        .identities = identities, .used = used, .count = count};
    assert_true(credential_service_take(scene->service, &wanted, providers));
}

/* Uses one identity like a snapshot and a worker, from this source. */
static void keep(struct scene *scene, enum config_source source, const char *file)
{
    static const bool used[] = {true};
    scene->identity = (struct config_identity){
        .name = SPAN("default"),
        .label = SPAN("default"),
        .credentials = {.source = source, .file = span_from(file)},
        .region = SPAN("us-east-1"),
    };
    start_service(scene);
    take(scene, &scene->identity, used, 1, &scene->provider);
    provider_view_open(&scene->view, scene->provider, loop_of_test());
}

static void close_view(struct provider_view *view)
{
    while (!provider_view_detach(view))
        loop_turn(view->loop, 10);
    provider_view_close(view);
}

static void drop(struct scene *scene)
{
    close_view(&scene->view);
    credential_service_give_back(scene->service, &scene->provider, 1);
    credential_service_destroy(scene->service);
}

/* Returns the current key id, "" if there is none. */
static const char *key_id_of(struct scene *scene, struct wall_time now)
{
    static char key_id[CREDENTIALS_KEY_ID_MAX + 1];
    const struct credentials *current = provider_view_get(&scene->view, now);
    snprintf(key_id, sizeof(key_id), "%s", current == NULL ? "" : current->access_key_id);
    return key_id;
}

static const char *status_of(struct scene *scene, struct wall_time now, bool expected)
{
    static char text[512];
    struct buffer message;
    buffer_init_fixed(&message, text, sizeof(text) - 1);
    assert_int_equal(provider_status(scene->provider, now, &message), expected);
    text[message.len] = '\0';
    return text;
}

static void service_without_source_reports_why(void **state)
{
    struct scene *scene = *state;
    struct wall_time now = clock_wall();
    keep(scene, CONFIG_SOURCE_DEFAULT, NULL);
    assert_string_equal(key_id_of(scene, now), "");
    assert_non_null(strstr(status_of(scene, now, false), "no source of credentials is configured"));
    assert_int_equal(reported(scene, PROVIDER_FAILED), 1);
    drop(scene);
    keep(scene, CONFIG_SOURCE_STATIC, NULL);
    assert_string_equal(status_of(scene, now, false), "static: credentials.file is not set");
    drop(scene);
    credential_service_destroy(NULL);
}

static void environment_precedes_file(void **state)
{
    struct scene *scene = *state;
    struct wall_time now = clock_wall();
    write_file(scene, span_from(good_file));
    set_environment(scene, "AKIDENV12345", "secret", NULL);
    keep(scene, CONFIG_SOURCE_DEFAULT, scene->file);
    assert_string_equal(key_id_of(scene, now), "AKIDENV12345");
    assert_string_equal(status_of(scene, now, true), "env: key id ...2345");
    drop(scene);
    keep(scene, CONFIG_SOURCE_STATIC, scene->file);
    assert_string_equal(key_id_of(scene, now), "AKIDEXAMPLE1");
    drop(scene);
    set_environment(scene, "", "", NULL);
    keep(scene, CONFIG_SOURCE_DEFAULT, scene->file);
    assert_string_equal(key_id_of(scene, now), "AKIDEXAMPLE1");
    drop(scene);
    keep(scene, CONFIG_SOURCE_ENV, scene->file);
    assert_string_equal(key_id_of(scene, now), "");
    drop(scene);
}

static void expired_environment_is_reported_and_unused(void **state)
{
    struct scene *scene = *state;
    write_file(scene, span_from(good_file));
    set_environment(scene, "AKIDENV12345", "secret", "token");
    scene->expiration = "2015-08-30T12:36:00Z";
    keep(scene, CONFIG_SOURCE_DEFAULT, scene->file);
    assert_string_equal(key_id_of(scene, clock_wall()), "");
    const char *status = status_of(scene, clock_wall(), false);
    assert_non_null(strstr(status, "env: key id ...2345, expired 2015-08-30T12:36:00"));
    assert_non_null(strstr(status, "returned expired credentials"));
    drop(scene);
}

/* A broken environment does not fall through to another identity. */
static void failing_source_is_not_skipped(void **state)
{
    struct scene *scene = *state;
    write_file(scene, span_from(good_file));
    set_environment(scene, "AKIDENV12345", NULL, NULL);
    keep(scene, CONFIG_SOURCE_DEFAULT, scene->file);
    assert_string_equal(key_id_of(scene, clock_wall()), "");
    assert_non_null(strstr(status_of(scene, clock_wall(), false), "AWS_SECRET_ACCESS_KEY is not"));
    drop(scene);
}

static void late_file_is_found(void **state)
{
    struct scene *scene = *state;
    unlink(scene->file);
    keep(scene, CONFIG_SOURCE_STATIC, scene->file);
    assert_non_null(strstr(status_of(scene, clock_wall(), false), "No such file"));
    write_file(scene, span_from(good_file));
    wait_until_reported(scene, PROVIDER_LOADED, 1);
    assert_string_equal(key_id_of(scene, clock_wall()), "AKIDEXAMPLE1");
    assert_int_equal(reported(scene, PROVIDER_FAILED), 1); /* not on every check */
    drop(scene);
}

static void file_changed_during_read_is_reread(void **state)
{
    struct scene *scene = *state;
    write_file(scene, span_from(good_file));
    scene->replacement = second_file;
    keep(scene, CONFIG_SOURCE_STATIC, scene->file);
    wait_until_reported(scene, PROVIDER_LOADED, 2);
    assert_string_equal(key_id_of(scene, clock_wall()), "AKIDEXAMPLE2");
    drop(scene);
}

static void equal_identities_share_a_provider(void **state)
{
    struct scene *scene = *state;
    static const bool used[] = {false, true, true, true};
    struct config_identity identities[4];
    struct provider *providers[4], *next;
    write_file(scene, span_from(good_file));
    keep(scene, CONFIG_SOURCE_STATIC, scene->file);
    for (size_t i = 0; i != 4; ++i)
        identities[i] = scene->identity;
    identities[3].label = SPAN("other");
    take(scene, identities, used, 4, providers);
    assert_null(providers[0]);
    assert_ptr_equal(providers[1], scene->provider);
    assert_ptr_equal(providers[2], scene->provider);
    assert_ptr_not_equal(providers[3], scene->provider);
    credential_service_give_back(scene->service, providers, 4);
    take(scene, identities, used + 1, 1, &next);
    assert_ptr_equal(next, scene->provider);
    credential_service_give_back(scene->service, &next, 1);
    drop(scene);
}

static void kept_identity_survives_reload_with_source_down(void **state)
{
    struct scene *scene = *state;
    static const bool used[] = {true};
    struct provider *next;
    write_file(scene, span_from(good_file));
    keep(scene, CONFIG_SOURCE_STATIC, scene->file);
    unlink(scene->file);
    take(scene, &scene->identity, used, 1, &next);
    credential_service_give_back(scene->service, &scene->provider, 1);
    assert_ptr_equal(next, scene->provider);
    assert_string_equal(key_id_of(scene, clock_wall()), "AKIDEXAMPLE1");
    assert_non_null(strstr(status_of(scene, clock_wall(), true), "No such file"));
    drop(scene);
}

static void snapshot_sees_file_change_at_once(void **state)
{
    struct scene *scene = *state;
    static const bool used[] = {true};
    struct provider *next;
    write_file(scene, span_from(good_file));
    keep(scene, CONFIG_SOURCE_STATIC, scene->file);
    write_file(scene, span_from(second_file));
    take(scene, &scene->identity, used, 1, &next);
    assert_string_equal(key_id_of(scene, clock_wall()), "AKIDEXAMPLE2");
    credential_service_give_back(scene->service, &next, 1);
    drop(scene);
}

/* As if the mount of a credentials file did not respond. */
static void take_from_hung_source_is_given_up_and_undone(void **state)
{
    struct scene *scene = *state;
    static const bool used[] = {true, true};
    struct provider *providers[2], *kept;
    write_file(scene, span_from(good_file));
    keep(scene, CONFIG_SOURCE_STATIC, scene->file);
    struct config_identity identities[2] = {scene->identity, scene->identity};
    identities[0].label = SPAN("other");
    const struct credential_service_wanted wanted = {
        .identities = identities, .used = used, .count = 2, .wait_ms = 20};
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    scene->hang = ends[0];
    assert_false(credential_service_take(scene->service, &wanted, providers));
    assert_null(providers[0]);
    assert_null(providers[1]);
    assert_string_equal(key_id_of(scene, clock_wall()), "AKIDEXAMPLE1");
    assert_int_equal(reported(scene, PROVIDER_LOADED), 1);
    close(ends[1]);
    /* The late one is undone: destroying the service checks that. */
    take(scene, &scene->identity, used, 1, &kept);
    assert_ptr_equal(kept, scene->provider);
    credential_service_give_back(scene->service, &kept, 1);
    drop(scene);
    close(ends[0]);
}

/* The configuration that defined an identity may have been freed. */
static void provider_copies_its_identity(void **state)
{
    struct scene *scene = *state;
    char file[sizeof(scene->file)];
    memcpy(file, scene->file, sizeof(file));
    write_file(scene, span_from(good_file));
    keep(scene, CONFIG_SOURCE_STATIC, file);
    memset(file, 'x', sizeof(file) - 1);
    memset(&scene->identity, 0, sizeof(scene->identity));
    write_file(scene, span_from(second_file));
    wait_until_reported(scene, PROVIDER_LOADED, 2);
    assert_string_equal(key_id_of(scene, clock_wall()), "AKIDEXAMPLE2");
    drop(scene);
}

static void valid_set_is_only_replaced_by_a_valid_set(void **state)
{
    struct scene *scene = *state;
    struct wall_time now = clock_wall();
    write_file(scene, span_from(good_file));
    keep(scene, CONFIG_SOURCE_STATIC, scene->file);
    wait_until_reported(scene, PROVIDER_LOADED, 1);
    write_file(scene, SPAN("{\"Version\":1,"));
    wait_until_reported(scene, PROVIDER_FAILED, 1);
    assert_string_equal(key_id_of(scene, now), "AKIDEXAMPLE1");
    const char *status = status_of(scene, now, true);
    assert_non_null(strstr(status, "static: key id ...PLE1; static: /tmp/"));
    assert_non_null(strstr(status, "truncated JSON"));

    write_file(scene, SPAN("{\"Version\":1,\"AccessKeyId\":\"OLD\",\"SecretAccessKey\":\"s\","
                           "\"Expiration\":\"2015-08-30T12:36:00Z\"}"));
    wait_until_reported(scene, PROVIDER_FAILED, 2);
    assert_string_equal(key_id_of(scene, now), "AKIDEXAMPLE1");
    unlink(scene->file);
    wait_until_reported(scene, PROVIDER_FAILED, 3);
    assert_string_equal(key_id_of(scene, now), "AKIDEXAMPLE1");

    write_file(scene, span_from(second_file));
    wait_until_reported(scene, PROVIDER_LOADED, 2);
    assert_string_equal(key_id_of(scene, now), "AKIDEXAMPLE2");
    assert_string_equal(status_of(scene, now, true),
                        "static: key id ...PLE2, expires 2999-01-01T00:00:00.000000Z");
    drop(scene);
}

static void expired_set_is_not_returned(void **state)
{
    struct scene *scene = *state;
    write_file(scene, span_from(second_file));
    keep(scene, CONFIG_SOURCE_STATIC, scene->file);
    const struct wall_time before = {32472144000000000 - 1}, after = {32472144000000000};
    assert_string_equal(key_id_of(scene, before), "AKIDEXAMPLE2");
    assert_string_equal(key_id_of(scene, after), "");
    assert_non_null(strstr(status_of(scene, after, false), ", expired 2999-01-01T00:00:00"));
    drop(scene);
}

static void view_follows_updates_and_drops_old_sets(void **state)
{
    struct scene *scene = *state;
    struct wall_time now = clock_wall();
    write_file(scene, span_from(good_file));
    keep(scene, CONFIG_SOURCE_STATIC, scene->file);
    struct credentials *first = provider_view_get(&scene->view, now);
    assert_ptr_equal(provider_view_get(&scene->view, now), first);
    assert_int_not_equal(first->generation, 0);
    credentials_retain(first); /* an in-flight request */
    write_file(scene, span_from(second_file));
    wait_until_reported(scene, PROVIDER_LOADED, 2);
    /* Also if the view is never asked for a set. */
    for (int i = 0; i != 500 && atomic_load(&first->references) != 1; ++i)
        loop_turn(scene->view.loop, 10);
    assert_int_equal(atomic_load(&first->references), 1);
    assert_string_equal(first->access_key_id, "AKIDEXAMPLE1");
    assert_int_not_equal(provider_view_get(&scene->view, now)->generation, first->generation);
    credentials_release(first);
    drop(scene);
}

struct reader {
    struct provider *provider;
    atomic_bool *stop;
};

static void *read_views(void *context)
{
    struct reader *reader = context;
    struct provider_view view;
    struct loop *loop = loop_create();
    provider_view_open(&view, reader->provider, loop);
    uint64_t last = 0;
    while (!atomic_load(reader->stop)) {
        struct credentials *now = provider_view_get(&view, clock_wall());
        CHECK(now != NULL && now->generation >= last); /* cmocka's asserts work only in the main
                                                        * thread */
        last = now->generation;
        CHECK(secret_bytes(&now->secret_access_key).len >= 7);
        loop_turn(loop, 0);
    }
    close_view(&view);
    return NULL;
}

static void workers_read_during_rotation(void **state)
{
    struct scene *scene = *state;
    atomic_bool stop = false;
    pthread_t threads[2];
    write_file(scene, span_from(good_file));
    keep(scene, CONFIG_SOURCE_STATIC, scene->file);
    struct reader reader = {scene->provider, &stop};
    for (int i = 0; i != 2; ++i)
        assert_int_equal(pthread_create(&threads[i], NULL, read_views, &reader), 0);
    for (unsigned i = 0; i != 20; ++i) {
        write_file(scene, span_from(i % 2 == 0 ? second_file : good_file));
        wait_until_reported(scene, PROVIDER_LOADED, i + 2);
    }
    atomic_store(&stop, true);
    for (int i = 0; i != 2; ++i)
        pthread_join(threads[i], NULL);
    drop(scene);
}

static void warning_is_logged_once(void **state)
{
    struct scene *scene = *state;
    write_file(scene, span_from(good_file));
    chmod(scene->file, 0644);
    keep(scene, CONFIG_SOURCE_STATIC, scene->file);
    assert_int_equal(reported(scene, PROVIDER_WARNING), 1);
    write_file(scene, span_from(second_file));
    chmod(scene->file, 0644);
    wait_until_reported(scene, PROVIDER_LOADED, 2);
    assert_int_equal(reported(scene, PROVIDER_WARNING), 1);
    drop(scene);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(environment_provides_credentials),
        TEST(empty_variable_is_unset),
        TEST(incomplete_environment_fails),
        TEST(unsendable_bytes_are_rejected_and_not_shown),
        TEST(environment_may_set_expiration),
        TEST(file_provides_credentials),
        TEST(broken_file_error_has_place_and_no_secret),
        TEST(only_small_regular_files_are_accepted),
        TEST(world_readable_file_warns),
        TEST(service_without_source_reports_why),
        TEST(environment_precedes_file),
        TEST(expired_environment_is_reported_and_unused),
        TEST(failing_source_is_not_skipped),
        TEST(late_file_is_found),
        TEST(file_changed_during_read_is_reread),
        TEST(equal_identities_share_a_provider),
        TEST(kept_identity_survives_reload_with_source_down),
        TEST(snapshot_sees_file_change_at_once),
        TEST(take_from_hung_source_is_given_up_and_undone),
        TEST(provider_copies_its_identity),
        TEST(valid_set_is_only_replaced_by_a_valid_set),
        TEST(expired_set_is_not_returned),
        TEST(view_follows_updates_and_drops_old_sets),
        TEST(workers_read_during_rotation),
        TEST(warning_is_logged_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
