/* The access log's rings, one per worker, and the thread that formats and writes their records. */
#include "observe/access.h"

#include "base/counter.h"
#include "observe/log.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    RING_SIZE_DEFAULT = 1024,
    CACHE_LINE = 64,
    NAP_MS = 20, /* the writer's pause while records arrive */
    NAPS_BEFORE_SLEEP = 5,
    BATCH_SIZE = 65536,    /* bytes formatted per write */
    PIPE_WRITE_MAX = 4096, /* what a pipe takes after POLLOUT without blocking (PIPE_BUF) */
    FLUSH_LIMIT_MS = 2000
};

/* What a worker must do after a commit. */
enum writer_state {
    WRITER_AWAKE,   /* nothing: the writer looks again by itself */
    WRITER_NAPPING, /* wake it if the ring is half full */
    WRITER_SLEEPING /* wake it */
};

/* One producer (the worker), one consumer (the writer). Counters wrap; a record's index is the
 * counter modulo the size. */
struct ring {
    _Alignas(CACHE_LINE) atomic_uint head; /* written by the worker: records committed */
    unsigned tail_seen;                    /* the worker's copy of tail, possibly outdated */
    struct counter dropped;                /* written by the worker */
    _Alignas(CACHE_LINE) atomic_uint tail; /* written by the writer: records formatted */
    struct access_record *records;
};

struct access_log {
    struct ring *rings;
    unsigned workers, ring_size;
    char *file; /* NULL: stdout */
    int fd;
    bool is_regular; /* writes never wait for a reader */
    bool torn;       /* the last write ended within a line */
    int wake_fd;
    pthread_t thread;
    atomic_int state; /* enum writer_state */
    atomic_bool stopping, reopening;
    struct counter write_lost; /* written by the writer: records lost to failed writes */
    uint64_t dropped_reported;
    struct mono_time dropped_reported_at;
    struct mono_time flush_deadline; /* us 0 until access_log_destroy */
    struct buffer batch;
};

/* ---- the worker's side ---- */

static unsigned used(const struct ring *ring)
{
    return atomic_load_explicit(&ring->head, memory_order_relaxed) -
           atomic_load_explicit(&ring->tail, memory_order_acquire);
}

struct access_record *access_log_begin(struct access_log *log, unsigned worker)
{
    if (log == NULL)
        return NULL;
    struct ring *ring = &log->rings[worker];
    unsigned head = atomic_load_explicit(&ring->head, memory_order_relaxed);
    if (head - ring->tail_seen == log->ring_size) {
        ring->tail_seen = atomic_load_explicit(&ring->tail, memory_order_acquire);
        if (head - ring->tail_seen == log->ring_size) {
            counter_add(&ring->dropped, 1);
            return NULL;
        }
    }
    struct access_record *record = &ring->records[head & (log->ring_size - 1)];
    access_record_init(record);
    return record;
}

static void wake(struct access_log *log)
{
    const uint64_t one = 1;
    ssize_t written = write(log->wake_fd, &one, sizeof(one));
    (void)written; /* EAGAIN: the counter is full, so the writer is awake */
}

static void forget_wakes(struct access_log *log)
{
    uint64_t count;
    ssize_t got = read(log->wake_fd, &count, sizeof(count));
    (void)got;
}

void access_log_commit(struct access_log *log, unsigned worker)
{
    struct ring *ring = &log->rings[worker];
    unsigned head = atomic_load_explicit(&ring->head, memory_order_relaxed) + 1;
    /* Sequentially consistent, like the load below and the writer's pair in rest(): either the
     * writer sees this record before it pauses, or this thread sees that it pauses. */
    atomic_store(&ring->head, head);
    int state = atomic_load(&log->state);
    if (state == WRITER_AWAKE)
        return;
    if (state == WRITER_NAPPING && head - ring->tail_seen < log->ring_size / 2)
        return;
    if (state == WRITER_NAPPING) {
        ring->tail_seen = atomic_load_explicit(&ring->tail, memory_order_acquire);
        if (head - ring->tail_seen < log->ring_size / 2)
            return;
    }
    if (atomic_exchange(&log->state, WRITER_AWAKE) != WRITER_AWAKE)
        wake(log);
}

bool access_log_is_full(const struct access_log *log, unsigned worker)
{
    return log != NULL && used(&log->rings[worker]) == log->ring_size;
}

void access_log_reopen(struct access_log *log)
{
    if (log == NULL)
        return;
    atomic_store(&log->reopening, true);
    wake(log);
}

uint64_t access_log_dropped(const struct access_log *log)
{
    if (log == NULL)
        return 0;
    uint64_t dropped = counter_read(&log->write_lost);
    for (unsigned i = 0; i != log->workers; ++i)
        dropped += counter_read(&log->rings[i].dropped);
    return dropped;
}

/* ---- the file ---- */

static int open_file(const char *file)
{
    /* O_NONBLOCK: a FIFO without a reader fails at once instead of blocking. */
    return open(file, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, 0640);
}

static void use_file(struct access_log *log, int fd)
{
    struct stat st;
    log->fd = fd;
    log->is_regular = fstat(fd, &st) == 0 && S_ISREG(st.st_mode);
}

static void reopen_file(struct access_log *log)
{
    if (log->file == NULL)
        return;
    int fd = open_file(log->file);
    if (fd == -1) {
        log_write(LOG_ERROR, "access_log", "cannot reopen %s: %s; still writing to the old file",
                  log->file, strerror(errno));
        return;
    }
    close(log->fd);
    use_file(log, fd);
}

/* ---- writing ---- */

/* Waits until a pipe, socket or terminal accepts bytes. Returns false after the flush deadline. */
static bool wait_writable(struct access_log *log)
{
    for (;;) {
        struct pollfd fds[] = {{.fd = log->fd, .events = POLLOUT},
                               {.fd = log->wake_fd, .events = POLLIN}};
        bool stopping = atomic_load(&log->stopping);
        int64_t left_ms = -1;
        if (stopping) {
            left_ms = clock_us_between(clock_mono(), log->flush_deadline) / 1000;
            if (left_ms <= 0)
                return false;
        }
        if (poll(fds, stopping ? 1 : 2, (int)left_ms) == -1 && errno != EINTR)
            return false;
        if (fds[0].revents != 0)
            return true;
        if (fds[1].revents != 0)
            forget_wakes(log);
    }
}

/* Returns how many bytes of `rest` to write at once: at most PIPE_WRITE_MAX, up to the end of a
 * line if there is one, so that lines of several processes do not mix. */
static size_t pipe_slice(struct span rest)
{
    if (rest.len <= PIPE_WRITE_MAX)
        return rest.len;
    const char *end = memrchr(rest.at, '\n', PIPE_WRITE_MAX);
    return end == NULL ? PIPE_WRITE_MAX : (size_t)(end + 1 - rest.at);
}

/* Returns the number of bytes written, which is less than all only after a failure. */
static size_t write_all(struct access_log *log, struct span rest)
{
    size_t done = 0;
    while (rest.len != 0) {
        if (!log->is_regular && !wait_writable(log))
            return done;
        ssize_t n = write(log->fd, rest.at, log->is_regular ? rest.len : pipe_slice(rest));
        if (n == -1 && (errno == EINTR || errno == EAGAIN))
            continue;
        if (n <= 0) {
            log_write(LOG_ERROR, "access_log", "cannot write: %s", strerror(errno));
            return done;
        }
        done += (size_t)n;
        rest = span_from_offset(rest, (size_t)n);
    }
    return done;
}

static unsigned count_lines(struct span s)
{
    unsigned lines = 0;
    for (size_t end; (end = span_find(s, '\n')) != s.len; s = span_from_offset(s, end + 1))
        ++lines;
    return lines;
}

/* Counts the lines that were not written, and discards the batch. */
static void lose_batch(struct access_log *log, struct span rest)
{
    if (rest.len != 0)
        counter_add(&log->write_lost, count_lines(rest));
    buffer_clear(&log->batch);
}

static void write_batch(struct access_log *log)
{
    struct span batch = buffer_span(&log->batch);
    /* A full disk truncated the last line and its rest is lost: start a new line. */
    if (log->torn && write_all(log, SPAN("\n")) != 1) {
        lose_batch(log, batch);
        return;
    }
    log->torn = false;
    size_t done = write_all(log, batch);
    log->torn = done != 0 && batch.at[done - 1] != '\n';
    lose_batch(log, span_from_offset(batch, done));
}

/* ---- the writer thread ---- */

/* Formats a ring's records into the batch, and writes the batch whenever it is full. Returns
 * whether there were any. */
static bool drain_ring(struct access_log *log, struct ring *ring)
{
    unsigned tail = atomic_load_explicit(&ring->tail, memory_order_relaxed);
    unsigned head = atomic_load(&ring->head);
    bool any = tail != head;
    for (; tail != head; ++tail) {
        if (BATCH_SIZE - log->batch.len < ACCESS_LINE_MAX)
            write_batch(log);
        access_record_format(&ring->records[tail & (log->ring_size - 1)], &log->batch);
        atomic_store_explicit(&ring->tail, tail + 1, memory_order_release);
    }
    return any;
}

static bool drain_all(struct access_log *log)
{
    bool any = false;
    for (unsigned i = 0; i != log->workers; ++i)
        any |= drain_ring(log, &log->rings[i]);
    if (log->batch.len != 0)
        write_batch(log);
    return any;
}

/* Returns whether the writer must not pause: some ring holds `records` or more. */
static bool has_work(const struct access_log *log, unsigned records)
{
    bool any = atomic_load(&log->stopping) || atomic_load(&log->reopening);
    for (unsigned i = 0; i != log->workers; ++i)
        any |= atomic_load(&log->rings[i].head) -
                   atomic_load_explicit(&log->rings[i].tail, memory_order_relaxed) >=
               records;
    return any;
}

/* Pauses for NAP_MS to write the records of that time together; if `sleeping`, until woken. */
static void rest(struct access_log *log, bool sleeping)
{
    struct pollfd fd = {.fd = log->wake_fd, .events = POLLIN};
    atomic_store(&log->state, sleeping ? WRITER_SLEEPING : WRITER_NAPPING);
    bool busy = has_work(log, sleeping ? 1 : log->ring_size / 2);
    if (!busy && poll(&fd, 1, sleeping ? -1 : NAP_MS) == 1)
        forget_wakes(log);
    atomic_store(&log->state, WRITER_AWAKE);
}

/* Reports losses, at most once a second. */
static void report_dropped(struct access_log *log)
{
    uint64_t dropped = access_log_dropped(log);
    if (dropped == log->dropped_reported)
        return;
    struct mono_time now = clock_mono();
    if (log->dropped_reported != 0 && clock_us_between(log->dropped_reported_at, now) < 1000000)
        return;
    log_write(LOG_WARNING, "access_log", "dropped %llu lines (%llu since the start)",
              (unsigned long long)(dropped - log->dropped_reported), (unsigned long long)dropped);
    log->dropped_reported = dropped;
    log->dropped_reported_at = now;
}

static void *run_writer(void *context)
{
    struct access_log *log = context;
    unsigned quiet_naps = 0;
    while (!atomic_load(&log->stopping)) {
        if (atomic_exchange(&log->reopening, false))
            reopen_file(log);
        quiet_naps = drain_all(log) ? 0 : quiet_naps + 1;
        report_dropped(log);
        rest(log, quiet_naps > NAPS_BEFORE_SLEEP);
    }
    drain_all(log);
    return NULL;
}

/* ---- life ---- */

static bool start_writer(struct access_log *log)
{
    sigset_t all, before;
    sigfillset(&all); /* the main thread handles signals; a closed pipe gives EPIPE */
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int error = pthread_create(&log->thread, NULL, run_writer, log);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (error == 0)
        return true;
    errno = error;
    return false;
}

static void free_log(struct access_log *log)
{
    int error = errno;
    for (unsigned i = 0; i != log->workers; ++i)
        free(log->rings[i].records);
    free(log->rings);
    if (log->fd != -1 && log->file != NULL)
        close(log->fd);
    if (log->wake_fd != -1)
        close(log->wake_fd);
    free(log->file);
    buffer_dispose(&log->batch);
    free(log);
    errno = error;
}

static struct access_log *make_log(const struct access_log_options *options)
{
    struct access_log *log = calloc(1, sizeof(*log));
    CHECK(log != NULL);
    log->workers = options->workers;
    log->ring_size = options->ring_size == 0 ? RING_SIZE_DEFAULT : options->ring_size;
    CHECK(log->workers != 0 && (log->ring_size & (log->ring_size - 1)) == 0);
    log->rings = aligned_alloc(CACHE_LINE, log->workers * sizeof(struct ring));
    CHECK(log->rings != NULL);
    memset(log->rings, 0, log->workers * sizeof(struct ring));
    for (unsigned i = 0; i != log->workers; ++i) {
        log->rings[i].records = calloc(log->ring_size, sizeof(struct access_record));
        CHECK(log->rings[i].records != NULL);
    }
    buffer_init(&log->batch, BATCH_SIZE);
    log->file = options->file == NULL ? NULL : strdup(options->file);
    log->fd = log->wake_fd = -1;
    return log;
}

struct access_log *access_log_create(const struct access_log_options *options)
{
    struct access_log *log = make_log(options);
    int fd = log->file == NULL ? STDOUT_FILENO : open_file(log->file);
    if (fd == -1)
        goto fail;
    use_file(log, fd);
    log->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (log->wake_fd == -1 || !start_writer(log))
        goto fail;
    return log;
fail:
    free_log(log);
    return NULL;
}

void access_log_destroy(struct access_log *log)
{
    if (log == NULL)
        return;
    log->flush_deadline = clock_after_ms(clock_mono(), FLUSH_LIMIT_MS);
    atomic_store(&log->stopping, true);
    wake(log);
    pthread_join(log->thread, NULL);
    report_dropped(log);
    free_log(log);
}
