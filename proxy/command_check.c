/* `sagegate check`: reports every problem of a configuration at once; starts nothing. */
#include "commands.h"
#include "config/schema.h"
#include "credentials/region.h"
#include "option.h"

#include <stdio.h>

int command_check(int argc, char **argv)
{
    struct span file = SPAN_NONE;
    bool print = false, no_env = false, schema = false;
    const struct option_row rows[] = {
        {"config", 'c', OPTION_TEXT, &file, "FILE", "the configuration"},
        {"print", 0, OPTION_FLAG, &print, NULL, "print the effective configuration as YAML"},
        {"no-env", 0, OPTION_FLAG, &no_env, NULL,
         "do not read environment variables; accept any reference to one"},
        {"schema", 0, OPTION_FLAG, &schema, NULL,
         "print the JSON Schema of the configuration; needs no FILE"},
    };
    const struct option_table options = {
        .command = "check",
        .usage = "-c FILE [--print] [--no-env]\nsagegate check --schema",
        .about =
            "Reports every problem of a configuration as FILE:LINE:COLUMN: KEY: what is wrong and\n"
            "how to fix it.\n",
        .rows = rows,
        .row_count = sizeof(rows) / sizeof(rows[0]),
        .more = "Exit status: 0 if the configuration is valid (warnings are allowed), else 1.\n"};
    int status = option_parse(&options, argc, argv);
    if (status >= 0)
        return status;
    if (schema) {
        schema_print(stdout);
        return 0;
    }
    if (file.at == NULL) {
        option_fail("check", "-c FILE is required; see sagegate check --help");
        return 1;
    }
    const struct config_options load_options = {
        .getenv = no_env ? NULL : command_getenv,
        .find_region = no_env ? NULL : region_find_in_files,
    };
    struct config *config = command_load_config(file, &load_options, true);
    if (config == NULL)
        return 1;
    if (print)
        config_print(config, stdout);
    else
        printf("%s: ok, %zu %s\n", file.at, config->route_count,
               config->route_count == 1 ? "route" : "routes");
    config_release(config);
    return 0;
}
