/* The program's commands, one row each in main.c's table, and shared functions.
 *
 * argv[0] is the command's name; argv ends in NULL. Each returns the exit status. */
#ifndef SAGEGATE_COMMANDS_H
#define SAGEGATE_COMMANDS_H

#include "config/config.h"

int command_run(int argc, char **argv);
int command_check(int argc, char **argv);
int command_explain(int argc, char **argv);
int command_sign(int argc, char **argv);
int command_doctor(int argc, char **argv);
int command_probe(int argc, char **argv);
int command_version(int argc, char **argv);

/* config_options.getenv over the process's environment. */
struct span command_getenv(void *context, struct span name);

/* Loads a configuration and prints its problems on stderr, warnings only if asked to. Returns
 * NULL if it has errors. */
MUST_USE struct config *command_load_config(struct span file, const struct config_options *options,
                                            bool warnings);

#endif
