/* `sagegate version`: what was built, from what, and which libraries it runs with. */
#include "commands.h"

#include "gateway/admin.h"
#include "version.h"

#include <getopt.h>
#include <jansson.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <yaml.h>

static const char help[] = "Usage: sagegate version\n\n"
                           "Prints the version, the build it comes from and its libraries.\n";

#ifdef __clang__
#define COMPILER __VERSION__
#else
#define COMPILER "gcc " __VERSION__
#endif

int command_version(int argc, char **argv)
{
    static const struct option options[] = {{"help", no_argument, NULL, 'h'}, {NULL, 0, NULL, 0}};
    optind = 1;
    for (int option; (option = getopt_long(argc, argv, "h", options, NULL)) != -1;) {
        if (option != 'h')
            return 1;
        fputs(help, stdout);
        return 0;
    }
    if (optind != argc) {
        fprintf(stderr, "sagegate version: takes no '%s'\n", argv[optind]);
        return 1;
    }
    printf("sagegate %s\n", SAGEGATE_VERSION);
    printf("build     %s\n", SAGEGATE_BUILD);
    printf("compiler  %s\n", COMPILER);
    printf("openssl   %s\n", OpenSSL_version(OPENSSL_VERSION_STRING));
    printf("libh2o    %.*s\n", SPAN_ARG(admin_library_version()));
    printf("libyaml   %s\n", yaml_get_version_string());
    printf("jansson   %s\n", jansson_version_str());
    return ferror(stdout) || fflush(stdout) == EOF;
}
