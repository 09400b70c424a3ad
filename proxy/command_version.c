/* `sagegate version`: prints the version, the build and the library versions. */
#include "commands.h"
#include "net/loop.h"
#include "option.h"
#include "version.h"

#include <jansson.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <yaml.h>

#ifdef __clang__
#define COMPILER __VERSION__
#else
#define COMPILER "gcc " __VERSION__
#endif

int command_version(int argc, char **argv)
{
    const struct option_table options = {
        .command = "version",
        .usage = "",
        .about = "Prints the version, the build and the library versions.\n"};
    int status = option_parse(&options, argc, argv);
    if (status >= 0)
        return status;
    printf("sagegate %s\n", SAGEGATE_VERSION);
    printf("build     %s\n", SAGEGATE_BUILD);
    printf("compiler  %s\n", COMPILER);
    printf("openssl   %s\n", OpenSSL_version(OPENSSL_VERSION_STRING));
    printf("libh2o    %s\n", loop_library_version());
    printf("libyaml   %s\n", yaml_get_version_string());
    printf("jansson   %s\n", jansson_version_str());
    return ferror(stdout) || fflush(stdout) == EOF;
}
