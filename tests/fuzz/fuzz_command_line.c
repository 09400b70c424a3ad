/* Command lines of credential_process: every word lies within the input. */
#include "credentials/command_line.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena arena;
    struct span fault = SPAN_NONE;
    char **argv = NULL;
    size_t total = 0;
    arena_init(&arena, 1024);
    if (command_line_split(span_make((const char *)data, size), &arena, &argv, &fault)) {
        CHECK(argv[0] != NULL);
        for (; *argv != NULL; ++argv)
            total += strlen(*argv);
        CHECK(total <= size);
    } else {
        CHECK(fault.len != 0);
    }
    arena_dispose(&arena);
    return 0;
}
