/* Reads and merges a configuration's files; interprets no key except `include`. */
#include "config/include.h"

#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config/value.h"

enum { FILES_MAX = 256 };

struct file_id {
    dev_t device;
    ino_t inode;
    struct span name;
};

struct files {
    struct yaml_load *load;
    struct file_id seen[FILES_MAX];
    size_t seen_count;
};

static struct yaml_node *load_with_includes(struct files *files, struct span name,
                                            struct span text);

/* `include`: the node that names the file, or NULL for the file on the command line. */
static void tell(struct files *files, struct yaml_node *include, struct span file, const char *text)
{
    if (include == NULL)
        problem_add(files->load->problems, PROBLEM_ERROR, file, 0, 0, "%s", text);
    else
        yaml_error(files->load, include, "%.*s: %s", SPAN_ARG(file), text);
}

/* Opens a file only once: opening it again is a cycle or would duplicate every value. */
static bool open_once(struct files *files, struct yaml_node *include, struct span name, int *fd)
{
    struct stat status;
    int file = open(name.at, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (file < 0 || fstat(file, &status) != 0) {
        tell(files, include, name, strerror(errno));
        if (file >= 0)
            close(file);
        return false;
    }
    const char *fault = S_ISDIR(status.st_mode)          ? "is a directory; specify a file"
                        : files->seen_count == FILES_MAX ? "more than 256 files"
                                                         : NULL;
    for (size_t i = 0; fault == NULL && i != files->seen_count; ++i)
        if (files->seen[i].device == status.st_dev && files->seen[i].inode == status.st_ino)
            fault = "already included; include each file once, and never from itself";
    if (fault != NULL) {
        tell(files, include, name, fault);
        close(file);
        return false;
    }
    files->seen[files->seen_count++] = (struct file_id){status.st_dev, status.st_ino, name};
    *fd = file;
    return true;
}

static bool read_text(struct files *files, struct yaml_node *include, struct span name,
                      struct span *out)
{
    int fd;
    if (!open_once(files, include, name, &fd))
        return false;
    /* One byte more than allowed, so that yaml_parse notices the excess. */
    char *at = arena_alloc(files->load->arena, YAML_FILE_BYTES_MAX + 1);
    size_t len = 0;
    ssize_t got = 1;
    while (got > 0 && len != YAML_FILE_BYTES_MAX + 1) {
        got = read(fd, at + len, YAML_FILE_BYTES_MAX + 1 - len);
        if (got > 0)
            len += (size_t)got;
    }
    int error = errno;
    close(fd);
    if (got < 0) {
        tell(files, include, name, strerror(error));
        return false;
    }
    *out = span_make(at, len);
    return true;
}

static struct yaml_node *load_file(struct files *files, struct yaml_node *include, struct span name)
{
    struct span text;
    if (!read_text(files, include, name, &text))
        return NULL;
    return load_with_includes(files, name, text);
}

/* The pattern, relative to the file that includes. */
static struct span resolve(struct files *files, struct span file, struct span pattern)
{
    size_t slash = file.len;
    while (slash != 0 && file.at[slash - 1] != '/')
        --slash;
    if (pattern.at[0] == '/' || slash == 0)
        return pattern;
    return arena_printf(files->load->arena, "%.*s%.*s", (int)slash, file.at, SPAN_ARG(pattern));
}

/* One element of the list `include`. A pattern may match nothing (an empty routes.d), a plain
 * name may not. */
static void include_pattern(struct files *files, struct yaml_node *root, struct span file,
                            struct yaml_node *node)
{
    struct span text, fault;
    if (node->kind != YAML_SCALAR || node->null || node->text.len == 0) {
        yaml_error(files->load, node, "must be a file name or pattern, such as routes.d/*.yaml");
        return;
    }
    if (node->bad || node->opaque)
        return;
    if (!value_parse_text(node->text, files->load->arena, &text, &fault)) {
        yaml_error(files->load, node, "%.*s", SPAN_ARG(fault));
        return;
    }
    struct span pattern = resolve(files, file, text);
    glob_t found;
    int result = glob(pattern.at, GLOB_NOMAGIC | GLOB_ERR, NULL, &found);
    if (result != 0 && result != GLOB_NOMATCH) {
        yaml_error(files->load, node, "%.*s: cannot be read", SPAN_ARG(pattern));
        return;
    }
    for (size_t i = 0; result == 0 && i != found.gl_pathc; ++i) {
        struct span name = arena_copy(files->load->arena, span_from(found.gl_pathv[i]));
        struct yaml_node *tree = load_file(files, node, name);
        if (tree != NULL)
            include_merge(files->load, root, tree);
    }
    if (result == 0)
        globfree(&found);
}

/* Removes `include` from the tree. */
static struct yaml_entry *remove_include(struct yaml_node *root)
{
    for (struct yaml_entry **at = &root->entries; *at != NULL; at = &(*at)->next) {
        struct yaml_entry *entry = *at;
        if (!span_equals(entry->key, SPAN("include")))
            continue;
        *at = entry->next;
        if (root->end == &entry->next)
            root->end = at;
        --root->entry_count;
        return entry;
    }
    return NULL;
}

static struct yaml_node *load_with_includes(struct files *files, struct span name, struct span text)
{
    struct yaml_node *root = yaml_parse(files->load, name, text);
    if (root == NULL)
        return NULL;
    if (root->kind != YAML_MAP) {
        yaml_error(files->load, root, "must be a map of keys, such as `routes:`");
        return NULL;
    }
    struct yaml_entry *include = remove_include(root);
    if (include == NULL)
        return root;
    if (include->node->kind != YAML_LIST) {
        yaml_error(files->load, include->node,
                   "must be a list of files, such as [routes.d/*.yaml]");
        return root;
    }
    if (files->load->options->no_files) {
        yaml_error(files->load, include->node, "include is not supported here");
        return root;
    }
    for (struct yaml_entry *entry = include->node->entries; entry != NULL; entry = entry->next)
        include_pattern(files, root, name, entry->node);
    return root;
}

struct yaml_node *include_load(struct yaml_load *load, const char *file)
{
    struct files files = {.load = load};
    return load_file(&files, NULL, arena_copy(load->arena, span_from(file)));
}

struct yaml_node *include_load_text(struct yaml_load *load, const char *file, struct span text)
{
    struct files files = {.load = load};
    return load_with_includes(&files, arena_copy(load->arena, span_from(file)), text);
}

/* ---- merging ---- */

void include_merge(struct yaml_load *load, struct yaml_node *into, struct yaml_node *from)
{
    for (struct yaml_entry *entry = from->entries; entry != NULL; entry = entry->next) {
        struct yaml_entry *there =
            into->kind == YAML_MAP ? yaml_find_entry(into, entry->key) : NULL;
        if (there == NULL)
            yaml_append(load, into, entry->key, entry->key_at, entry->node);
        else if (there->node->kind == YAML_SCALAR || there->node->kind != entry->node->kind)
            yaml_error_key(load, entry->key_at, there->node,
                           "duplicate key, first at %.*s:%u:%u; keep one of them",
                           SPAN_ARG(there->key_at.file), there->key_at.line, there->key_at.column);
        else
            include_merge(load, there->node, entry->node);
    }
}
