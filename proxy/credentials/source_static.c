/* Credentials from a JSON file of credential_process's form; it reads the file and nothing else. */
#include "credentials/document.h"
#include "credentials/file.h"
#include "credentials/source.h"

enum credentials_result source_static_load(const char *file, struct arena *arena,
                                           struct credentials **out, struct source_notes *notes)
{
    struct span fault = SPAN("cannot open: No such file or directory");
    struct credentials *credentials = NULL;
    struct file_text text;
    *notes = (struct source_notes){SPAN_NONE, SPAN_NONE};
    if (file_read(file, SOURCE_STATIC_FILE_MAX, &text, arena, &fault) == FILE_READ) {
        credentials =
            document_read_set(DOCUMENT_PROCESS, file_span(&text), SPAN("static"), arena, &fault);
        if (file_is_open_to_others(&text))
            notes->warning = arena_printf(
                arena, "static: %s: mode %04o lets others than its owner read it", file, text.mode);
        file_dispose(&text);
    }
    if (credentials == NULL) {
        *notes = (struct source_notes){
            .fault = arena_printf(arena, "static: %s: %.*s", file, SPAN_ARG(fault))};
        return CREDENTIALS_FAILED;
    }
    *out = credentials;
    return CREDENTIALS_FOUND;
}
