/* Runs a fuzz target once over each file of a corpus, for builds without libFuzzer.
 * usage: fuzz_NAME FILE-OR-DIRECTORY... */
#include <dirent.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

static size_t files_run;

/* Copies the input to a block of exactly its size so that ASan detects reads past its end. */
static void replay_file(const char *path, size_t len)
{
    FILE *file = fopen(path, "rbe");
    uint8_t *bytes = malloc(len == 0 ? 1 : len);
    if (file == NULL || bytes == NULL || fread(bytes, 1, len, file) != len) {
        fprintf(stderr, "%s: %s\n", path, strerror(errno));
        exit(1);
    }
    fclose(file);
    LLVMFuzzerTestOneInput(bytes, len);
    free(bytes);
    ++files_run;
}

static void replay(const char *path)
{
    struct stat status;
    if (stat(path, &status) != 0) {
        fprintf(stderr, "%s: %s\n", path, strerror(errno));
        exit(1);
    }
    if (!S_ISDIR(status.st_mode)) {
        replay_file(path, (size_t)status.st_size);
        return;
    }
    struct dirent **entries;
    int count = scandir(path, &entries, NULL, alphasort);
    if (count < 0) {
        fprintf(stderr, "%s: %s\n", path, strerror(errno));
        exit(1);
    }
    for (int i = 0; i < count; ++i) {
        char inner[4096];
        if (entries[i]->d_name[0] != '.' &&
            snprintf(inner, sizeof(inner), "%s/%s", path, entries[i]->d_name) < (int)sizeof(inner))
            replay(inner);
        free(entries[i]);
    }
    free(entries);
}

int main(int argc, char **argv)
{
    for (int i = 1; i < argc; ++i)
        replay(argv[i]);
    printf("%zu files replayed\n", files_run);
    return files_run == 0;
}
