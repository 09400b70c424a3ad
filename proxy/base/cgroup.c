/* Reads the limits of cgroups, versions 2 and 1. */
#include "base/cgroup.h"

#include <stdio.h>

#include "base/span.h"

/* Returns the number in a file, UINT64_MAX if there is no file or no number in it ("max"). */
static uint64_t read_number(const char *path)
{
    char text[32];
    uint64_t number = UINT64_MAX;
    FILE *file = fopen(path, "re");
    if (file == NULL)
        return number;
    size_t len = fread(text, 1, sizeof(text), file);
    fclose(file);
    while (len != 0 && text[len - 1] == '\n')
        --len;
    (void)span_parse_u64(span_make(text, len), &number);
    return number;
}

/* Returns the limit that a line of /proc/self/cgroup points to: "0::/PATH" in version 2,
 * "N:memory:/PATH" in version 1. */
static uint64_t limit_of_line(struct span line)
{
    char path[512];
    struct span number, controllers, group;
    span_split(line, ':', &number, &line);
    if (!span_split(line, ':', &controllers, &group))
        return UINT64_MAX;
    const char *format = controllers.len == 0 ? "/sys/fs/cgroup%.*s/memory.max"
                                              : "/sys/fs/cgroup/memory%.*s/memory.limit_in_bytes";
    if (controllers.len != 0 && !span_equals(controllers, SPAN("memory")))
        return UINT64_MAX;
    int len = snprintf(path, sizeof(path), format, SPAN_ARG(group));
    return len < (int)sizeof(path) ? read_number(path) : UINT64_MAX;
}

uint64_t cgroup_memory_limit(void)
{
    char line[512];
    uint64_t limit = read_number("/sys/fs/cgroup/memory.max");
    FILE *file = fopen("/proc/self/cgroup", "re");
    while (file != NULL && fgets(line, sizeof(line), file) != NULL) {
        struct span text = span_from(line);
        text.len = span_find(text, '\n');
        uint64_t own = limit_of_line(text);
        limit = own < limit ? own : limit;
    }
    if (file != NULL)
        fclose(file);
    uint64_t first = read_number("/sys/fs/cgroup/memory/memory.limit_in_bytes");
    return first < limit ? first : limit;
}
