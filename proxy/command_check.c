/* `sagegate check`: every problem of a configuration at once; it starts nothing. */
#include <getopt.h>
#include <stdio.h>

#include "commands.h"
#include "config/config.h"
#include "config/schema.h"
#include "credentials/region.h"
#include "gateway/route.h"

static const char help[] =
    "Usage: sagegate check -c FILE [--print] [--no-env]\n\n"
    "Tells every problem of a configuration, as FILE:LINE:COLUMN: key: what is wrong, what would "
    "be right.\n\n"
    "  -c, --config FILE  the configuration\n"
    "      --print        show the effective configuration, as YAML\n"
    "      --no-env       look at no environment variable: a reference stands for any text\n"
    "      --schema       print the JSON schema of configurations, and look at no file\n\n"
    "Exit status: 0 it can be run (there may be warnings), 1 it cannot.\n";

struct check_options {
    const char *file;
    bool print, no_env, schema;
};

/* 0 to go on, else the exit status + 1. */
static int parse_options(int argc, char **argv, struct check_options *out)
{
    static const struct option options[] = {
        {"config", required_argument, NULL, 'c'}, {"print", no_argument, NULL, 'p'},
        {"no-env", no_argument, NULL, 'n'},       {"schema", no_argument, NULL, 's'},
        {"help", no_argument, NULL, 'h'},         {NULL, 0, NULL, 0}};
    int option;
    optind = 1;
    while ((option = getopt_long(argc, argv, "c:h", options, NULL)) != -1) {
        switch (option) {
        case 'c':
            out->file = optarg;
            break;
        case 'p':
            out->print = true;
            break;
        case 'n':
            out->no_env = true;
            break;
        case 's':
            out->schema = true;
            break;
        case 'h':
            fputs(help, stdout);
            return 1;
        default:
            return 2;
        }
    }
    if (optind != argc || (out->file == NULL && !out->schema)) {
        fputs("sagegate check: which file? `sagegate check -c FILE`; --help tells more\n", stderr);
        return 2;
    }
    return 0;
}

int command_check(int argc, char **argv)
{
    struct check_options options = {0};
    int done = parse_options(argc, argv, &options);
    if (done != 0)
        return done - 1;
    if (options.schema) {
        schema_print(stdout);
        return 0;
    }
    struct config_options config_options = {.getenv = command_getenv,
                                            .find_region = region_find_in_files};
    if (options.no_env)
        config_options = (struct config_options){.getenv = NULL};
    struct problem_list problems;
    problem_list_init(&problems);
    struct config *config = config_load(options.file, &config_options, &problems);
    if (config != NULL)
        route_warn_shadowed(config, &problems);
    problem_print_all(&problems, stderr);
    if (config != NULL && options.print)
        config_print(config, stdout);
    else if (config != NULL)
        printf("%s: ok, %zu %s\n", options.file, config->route_count,
               config->route_count == 1 ? "route" : "routes");
    int status = config == NULL;
    config_release(config);
    problem_list_dispose(&problems);
    return status;
}
