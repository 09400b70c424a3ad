/* Credentials from a JSON file of credential_process's form; it reads the file and nothing else. */
#include "credentials/source.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <malloc.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- jansson wipes what it frees: its strings and its reader's buffers held the secret ---- */

static void wipe_and_free(void *at)
{
    if (at == NULL)
        return;
    secret_wipe(at, malloc_usable_size(at));
    free(at);
}

static void make_jansson_wipe(void)
{
    json_set_alloc_funcs(malloc, wipe_and_free);
}

/* ---- the file ---- */

/* Reads all of the file into text, SOURCE_STATIC_FILE_MAX + 1 bytes. False with *fault set. */
static bool read_file(int fd, char *text, size_t *len, struct span *fault, struct arena *arena)
{
    *len = 0;
    while (*len <= SOURCE_STATIC_FILE_MAX) {
        ssize_t n = read(fd, text + *len, SOURCE_STATIC_FILE_MAX + 1 - *len);
        if (n == 0)
            return true;
        if (n == -1 && errno == EINTR)
            continue;
        if (n == -1) {
            *fault = arena_printf(arena, "cannot read: %s", strerror(errno));
            return false;
        }
        *len += (size_t)n;
    }
    *fault = arena_printf(arena, "larger than %d bytes", SOURCE_STATIC_FILE_MAX);
    return false;
}

/* Opens without waiting (a FIFO has no writer yet). -1 with *fault set. */
static int open_file(const char *file, struct span *warning, struct span *fault,
                     struct arena *arena)
{
    struct stat st;
    int fd = open(file, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (fd == -1 || fstat(fd, &st) == -1) {
        *fault = arena_printf(arena, "cannot open: %s", strerror(errno));
        if (fd != -1)
            close(fd);
        return -1;
    }
    if (!S_ISREG(st.st_mode)) {
        *fault = SPAN("not a regular file");
        close(fd);
        return -1;
    }
    if ((st.st_mode & 0077) != 0)
        *warning = arena_printf(arena, "static: %s: mode %04o lets others than its owner read it",
                                file, (unsigned)(st.st_mode & 07777));
    return fd;
}

/* ---- its JSON ---- */

/* jansson's own text quotes what it stumbled over, which may be the secret. */
static struct span fault_of_json(const json_error_t *error, struct arena *arena)
{
    const char *what = "not JSON";
    if (json_error_code(error) == json_error_duplicate_key)
        what = "a key stands there twice";
    if (json_error_code(error) == json_error_premature_end_of_input)
        what = "the JSON ends too early";
    if (json_error_code(error) == json_error_end_of_input_expected)
        what = "something follows the JSON object";
    return arena_printf(arena, "line %d, column %d: %s", error->line, error->column, what);
}

/* *out is SPAN_NONE where the key is absent; points into object. */
static bool get_string(const json_t *object, const char *key, struct span *out, struct span *fault,
                       struct arena *arena)
{
    const json_t *value = json_object_get(object, key);
    *out = SPAN_NONE;
    if (value == NULL)
        return true;
    if (!json_is_string(value)) {
        *fault = arena_printf(arena, "%s is no string", key);
        return false;
    }
    *out = span_make(json_string_value(value), json_string_length(value));
    return true;
}

static bool get_parts(const json_t *object, struct credentials_parts *parts, struct span *fault,
                      struct arena *arena)
{
    struct span expiration;
    const json_t *version = json_object_get(object, "Version");
    if (!json_is_object(object)) {
        *fault = SPAN("not a JSON object");
        return false;
    }
    if (!json_is_integer(version) || json_integer_value(version) != 1) {
        *fault = SPAN("Version is not 1");
        return false;
    }
    if (!get_string(object, "AccessKeyId", &parts->access_key_id, fault, arena) ||
        !get_string(object, "SecretAccessKey", &parts->secret_access_key, fault, arena) ||
        !get_string(object, "SessionToken", &parts->session_token, fault, arena) ||
        !get_string(object, "Expiration", &expiration, fault, arena))
        return false;
    if (expiration.at == NULL || clock_parse_rfc3339(expiration, &parts->expires))
        return true;
    *fault = SPAN("Expiration is no RFC 3339 time such as 2015-08-30T12:36:00Z");
    return false;
}

static struct credentials *parse(struct span text, struct span *fault, struct arena *arena)
{
    json_error_t error;
    struct credentials *credentials = NULL;
    struct credentials_parts parts = {.source = SPAN("static")};
    json_t *object = json_loadb(text.at, text.len, JSON_REJECT_DUPLICATES, &error);
    if (object == NULL)
        *fault = fault_of_json(&error, arena);
    else if (get_parts(object, &parts, fault, arena))
        credentials = credentials_create(&parts, arena, fault);
    json_decref(object);
    secret_wipe(&error, sizeof(error));
    return credentials;
}

enum credentials_result source_static_load(const char *file, struct arena *arena,
                                           struct credentials **out, struct source_notes *notes)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    struct span fault = SPAN_NONE;
    struct credentials *credentials = NULL;
    pthread_once(&once, make_jansson_wipe);
    *notes = (struct source_notes){SPAN_NONE, SPAN_NONE};
    int fd = open_file(file, &notes->warning, &fault, arena);
    if (fd != -1) {
        size_t len;
        char *text = malloc(SOURCE_STATIC_FILE_MAX + 1);
        CHECK(text != NULL);
        if (read_file(fd, text, &len, &fault, arena))
            credentials = parse(span_make(text, len), &fault, arena);
        secret_wipe(text, SOURCE_STATIC_FILE_MAX + 1);
        free(text);
        close(fd);
    }
    if (credentials == NULL) {
        *notes = (struct source_notes){
            .fault = arena_printf(arena, "static: %s: %.*s", file, SPAN_ARG(fault))};
        return CREDENTIALS_FAILED;
    }
    *out = credentials;
    return CREDENTIALS_FOUND;
}
