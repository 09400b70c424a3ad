/* Runs a command without a shell and collects its output. Must not depend on what it prints.
 *
 * Takes standard output only; standard error is the gateway's own, for people. The command inherits
 * no other descriptor. It gets a process group of its own, which is killed at the limit of time or
 * output and when the command ends; the output ends with the command, even if a child holds it
 * open. Embedded by its owner. */
#ifndef SAGEGATE_CREDENTIALS_PROCESS_H
#define SAGEGATE_CREDENTIALS_PROCESS_H

#include <sys/types.h>

#include "net/connection.h"

enum { PROCESS_OUTPUT_MAX = 65536 };

struct process {
    pid_t pid; /* 0: none */
    struct loop *loop;
    struct connection out; /* the read end of the pipe */
    struct buffer output;  /* wiped by process_dispose */
    struct timer limit, reap;
    int64_t timeout_ms;
    void (*on_done)(struct process *process);
    void *owner;
    char why[192]; /* empty: the command ended with status 0, and output is whole */
};

/* Returns false and sets process->why if the command cannot be started; else on_done fires once,
 * from the loop. Looks for argv[0] in PATH. */
MUST_USE bool process_start(struct process *process, struct loop *loop, char *const *argv,
                            int64_t timeout_ms, void (*on_done)(struct process *process),
                            void *owner);
/* Kills the command if it runs, without calling on_done, and wipes the output. Safe if zeroed. */
void process_dispose(struct process *process);

#endif
