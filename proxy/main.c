/* sagegate: the table of commands. */
#include "commands.h"

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

struct command {
    const char *name;
    int (*run)(int argc, char **argv);
    const char *summary;
};

static const struct command commands[] = {
    {"run", command_run, "serve HTTP and forward requests to SageMaker, signed"},
    {"check", command_check, "report every problem of a configuration file at once"},
    {"explain", command_explain, "show what the gateway would do with a request; send nothing"},
    {"sign", command_sign, "sign one request with SigV4 and show every stage"},
    {"doctor", command_doctor, "check credentials, identity, upstreams and clock"},
    {"probe", command_probe, "GET a health address, for images without a shell"},
    {"version", command_version, "print version, build and libraries"},
};

static void print_help(FILE *out)
{
    fputs("Usage: sagegate COMMAND [OPTION]...\n\n"
          "A local HTTP gateway that signs inference calls for Amazon SageMaker.\n\nCommands:\n",
          out);
    for (size_t i = 0; i != sizeof(commands) / sizeof(commands[0]); ++i)
        fprintf(out, "  %-9s %s\n", commands[i].name, commands[i].summary);
    fputs("\n`sagegate COMMAND --help` describes the options of a command.\n", out);
}

/* Opens closed standard descriptors: otherwise a socket could become 0, 1 or 2. */
static void hold_standard_descriptors(void)
{
    int fd;
    do
        fd = open("/dev/null", O_RDWR); /* NOLINT(android-cloexec-open): children inherit them */
    while (fd >= 0 && fd <= 2);
    if (fd > 2)
        close(fd);
}

int main(int argc, char **argv)
{
    hold_standard_descriptors();
    if (argc < 2) {
        print_help(stderr);
        return 1;
    }
    struct span name = span_from(argv[1]);
    if (span_equals(name, SPAN("help")) || span_equals(name, SPAN("--help")) ||
        span_equals(name, SPAN("-h"))) {
        print_help(stdout);
        return 0;
    }
    if (span_equals(name, SPAN("--version")))
        return command_version(argc - 1, argv + 1);
    for (size_t i = 0; i != sizeof(commands) / sizeof(commands[0]); ++i)
        if (span_equals(name, span_from(commands[i].name)))
            return commands[i].run(argc - 1, argv + 1);
    fprintf(stderr, "sagegate: unknown command '%s'; `sagegate help` lists the commands\n",
            argv[1]);
    return 1;
}
