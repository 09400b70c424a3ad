/* Starting, reading, limiting and reaping a command. */
#include "credentials/process.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/secret.h"

enum { REAP_EVERY_MS = 10, LOOK_EVERY_MS = 50 };

static void on_readable(struct connection *conn);
static void on_limit(struct timer *timer);
static void on_reap(struct timer *timer);

static void on_writable(struct connection *conn)
{
    (void)conn; /* nothing is ever written */
}

static const struct connection_callbacks callbacks = {.on_readable = on_readable,
                                                      .on_writable = on_writable};

/* ---- starting ---- */

/* Sets up standard input and output; O_CLOEXEC closes everything else. */
static int spawn(struct process *process, char *const *argv, int out)
{
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    sigset_t none, defaults;
    sigemptyset(&none);
    sigfillset(&defaults);
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_adddup2(&actions, out, STDOUT_FILENO);
    posix_spawnattr_init(&attributes);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK |
                                              POSIX_SPAWN_SETSIGDEF);
    posix_spawnattr_setpgroup(&attributes, 0);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setsigdefault(&attributes, &defaults);
    int error = posix_spawnp(&process->pid, argv[0], &actions, &attributes, argv, environ);
    posix_spawn_file_actions_destroy(&actions);
    posix_spawnattr_destroy(&attributes);
    return error;
}

bool process_start(struct process *process, struct loop *loop, char *const *argv,
                   int64_t timeout_ms, void (*on_done)(struct process *process), void *owner)
{
    int ends[2];
    *process = (struct process){
        .loop = loop, .timeout_ms = timeout_ms, .on_done = on_done, .owner = owner};
    if (pipe2(ends, O_CLOEXEC) != 0) {
        snprintf(process->why, sizeof(process->why), "cannot create a pipe: %s", strerror(errno));
        return false;
    }
    int error = spawn(process, argv, ends[1]);
    close(ends[1]);
    if (error != 0) {
        close(ends[0]);
        process->pid = 0;
        snprintf(process->why, sizeof(process->why), "cannot run %.100s: %s", argv[0],
                 strerror(error));
        return false;
    }
    (void)fcntl(ends[0], F_SETFL, O_NONBLOCK);
    secret_buffer_init(&process->output, PROCESS_OUTPUT_MAX);
    process->limit.fire = on_limit;
    process->reap.fire = on_reap;
    loop_read_clock(loop);
    loop_set_timer(loop, &process->limit, clock_after_ms(loop->now, timeout_ms));
    loop_set_timer(loop, &process->reap, clock_after_ms(loop->now, LOOK_EVERY_MS));
    connection_open(&process->out, loop, ends[0], &callbacks, process);
    return true;
}

/* ---- running ---- */

static void kill_group(struct process *process)
{
    if (process->pid != 0)
        kill(-process->pid, SIGKILL);
}

/* Waits for the command to end: its output has ended, or is no longer wanted. */
static void begin_reaping(struct process *process)
{
    connection_close(&process->out);
    loop_set_timer(process->loop, &process->reap, process->loop->now);
}

/* Reads once. DATA: there may be more at once; AGAIN: later; else the output is over. */
static enum connection_result take_output(struct process *process)
{
    struct span got;
    enum connection_result result = connection_read(&process->out, &got);
    if (result != CONNECTION_DATA)
        return result;
    buffer_append(&process->output, got);
    secret_wipe((char *)got.at, got.len);
    if (process->output.overflowed) {
        snprintf(process->why, sizeof(process->why), "printed more than %d bytes",
                 PROCESS_OUTPUT_MAX);
        kill_group(process);
        return CONNECTION_END;
    }
    return process->out.ended ? CONNECTION_END : CONNECTION_DATA;
}

static void on_readable(struct connection *conn)
{
    struct process *process = conn->owner;
    enum connection_result result = take_output(process);
    if (result != CONNECTION_DATA && result != CONNECTION_AGAIN)
        begin_reaping(process);
}

static void on_limit(struct timer *timer)
{
    struct process *process = H2O_STRUCT_FROM_MEMBER(struct process, limit, timer);
    if (process->why[0] == '\0')
        snprintf(process->why, sizeof(process->why), "did not exit within %lld ms",
                 (long long)process->timeout_ms);
    kill_group(process);
    begin_reaping(process);
}

/* Looks even while the output is open: a child left behind may hold it open for ever. */
static void on_reap(struct timer *timer)
{
    struct process *process = H2O_STRUCT_FROM_MEMBER(struct process, reap, timer);
    int status = 0;
    bool is_open = process->out.sock != NULL;
    pid_t pid = waitpid(process->pid, &status, WNOHANG);
    if (pid == 0) {
        loop_set_timer(process->loop, timer,
                       clock_after_ms(process->loop->now, is_open ? LOOK_EVERY_MS : REAP_EVERY_MS));
        return;
    }
    while (is_open && take_output(process) == CONNECTION_DATA)
        continue; /* takes what it printed before it ended */
    connection_close(&process->out);
    kill_group(process); /* and what it left behind */
    process->pid = 0;
    loop_cancel_timer(process->loop, &process->limit);
    if (process->why[0] == '\0' && WIFSIGNALED(status))
        snprintf(process->why, sizeof(process->why), "killed by signal %d", WTERMSIG(status));
    else if (process->why[0] == '\0' && WEXITSTATUS(status) != 0)
        snprintf(process->why, sizeof(process->why), "exited with status %d", WEXITSTATUS(status));
    process->on_done(process);
}

void process_dispose(struct process *process)
{
    if (process->pid != 0) {
        kill_group(process);
        connection_close(&process->out);
        while (waitpid(process->pid, NULL, 0) == -1 && errno == EINTR)
            continue;
        process->pid = 0;
    }
    if (process->loop != NULL) {
        loop_cancel_timer(process->loop, &process->limit);
        loop_cancel_timer(process->loop, &process->reap);
    }
    secret_buffer_dispose(&process->output);
    *process = (struct process){0};
}
