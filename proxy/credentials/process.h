/* A command that prints credentials, run without a shell beside the credential service's loop. It
 * knows neither what is printed nor whose command it is.
 *
 * Only standard output is taken; standard error stays the gateway's own, for people. The command
 * gets no other descriptor and a process group of its own, which is killed at the limit in time or
 * output and when it has ended: with the command itself its output ends, too, whoever else holds
 * it. Embedded by its owner. */
#ifndef SAGEGATE_CREDENTIALS_PROCESS_H
#define SAGEGATE_CREDENTIALS_PROCESS_H

#include <sys/types.h>

#include "net/connection.h"

enum { PROCESS_OUTPUT_MAX = 65536 };

struct process {
    pid_t pid; /* 0: none */
    struct loop *loop;
    struct connection out; /* the read end of its output */
    struct buffer output;  /* wiped by process_dispose */
    struct timer limit, reap;
    int64_t timeout_ms;
    void (*on_done)(struct process *process);
    void *owner;
    char why[192]; /* empty: it ended with status 0, and output is whole */
};

/* False, with process->why, where it cannot be started; else on_done comes once, from the loop's
 * turn. argv[0] is looked for in PATH. */
MUST_USE bool process_start(struct process *process, struct loop *loop, char *const *argv,
                            int64_t timeout_ms, void (*on_done)(struct process *process),
                            void *owner);
/* Kills it if it runs; on_done will not come. Takes a zeroed one. */
void process_dispose(struct process *process);

#endif
