/* The commands of the program: one file each, one row each in main.c's table.
 *
 * argv[0] is the command's name; argv ends in NULL. Each returns the exit status. --help is handled by each through
 * command_help. */
#ifndef SAGEGATE_COMMANDS_H
#define SAGEGATE_COMMANDS_H

int command_run(int argc, char **argv);
int command_check(int argc, char **argv);
int command_explain(int argc, char **argv);
int command_sign(int argc, char **argv);
int command_doctor(int argc, char **argv);
int command_probe(int argc, char **argv);
int command_version(int argc, char **argv);

/* Environment for config_options.getenv. */
#include "base/span.h"
struct span command_getenv(void *context, struct span name);

#endif
