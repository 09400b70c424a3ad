/* Writes diagnostics as JSON lines to stderr and limits the rate of each kind. */
#include "observe/log.h"

#include "base/clock.h"
#include "base/json_writer.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <unistd.h>

enum {
    MESSAGE_MAX = 1000,
    LINE_MAX_BYTES = 4096, /* PIPE_BUF: a line is written completely or not at all */
    BURST_MAX = 10,        /* lines of one kind in a window */
    WINDOW_US = 1000000,
    KINDS = 64,
    KIND_TEXT = 160
};

/* Lines of one topic and format, identified by the addresses of the two literals. */
struct kind {
    const char *topic, *format;
    enum log_level level;
    struct mono_time window_start;
    unsigned written, held_back;
    char last[KIND_TEXT]; /* the last line held back */
};

static atomic_int least_level = LOG_INFO;
static pthread_mutex_t kinds_lock = PTHREAD_MUTEX_INITIALIZER;
static struct kind kinds[KINDS]; /* indexed by hash; a new kind replaces the one in its slot */

void log_set_level(enum log_level level)
{
    atomic_store_explicit(&least_level, (int)level, memory_order_relaxed);
}

/* ---- the line ---- */

struct line {
    enum log_level level;
    const char *topic;
    struct span message;
    unsigned held_back;
    const struct problem *problem; /* adds its place in a file; may be NULL */
};

static void put_line(struct buffer *out, const struct line *line)
{
    static const char *const names[] = {"debug", "info", "warning", "error"};
    const struct problem *problem = line->problem;
    char time[CLOCK_RFC3339_SIZE];
    struct json_writer json = json_writer_to(out);
    clock_format_rfc3339(clock_wall(), time);
    json_writer_open_object(&json, SPAN_NONE);
    json_writer_add_text(&json, SPAN("time"), span_from(time));
    json_writer_add_text(&json, SPAN("level"), span_from(names[line->level]));
    json_writer_add_text(&json, SPAN("topic"), span_from(line->topic));
    json_writer_add_text(&json, SPAN("message"), line->message);
    if (problem != NULL && problem->file.len != 0)
        json_writer_add_text(&json, SPAN("file"), problem->file);
    if (problem != NULL && problem->line != 0) {
        json_writer_add_u64(&json, SPAN("line"), problem->line);
        json_writer_add_u64(&json, SPAN("column"), problem->column);
    }
    if (line->held_back != 0)
        json_writer_add_u64(&json, SPAN("held_back"), line->held_back);
    json_writer_close_object(&json);
    buffer_append_char(out, '\n');
}

/* Returns false if stderr cannot take a line now: losing a diagnostic is better than blocking a
 * thread. */
static bool write_line(struct line line)
{
    char memory[LINE_MAX_BYTES];
    struct buffer out;
    struct pollfd fd = {.fd = STDERR_FILENO, .events = POLLOUT};
    for (;; line.message.len /= 2) { /* only a message full of escapes is too long */
        buffer_init_fixed(&out, memory, sizeof(memory));
        put_line(&out, &line);
        if (!out.overflowed || line.message.len == 0)
            break;
    }
    return !out.overflowed && poll(&fd, 1, 0) == 1 &&
           write(STDERR_FILENO, out.at, out.len) == (ssize_t)out.len;
}

/* ---- rate limit ---- */

static struct kind *kind_of(const char *topic, const char *format)
{
    uintptr_t hash = ((uintptr_t)format ^ (uintptr_t)topic << 7) * (uintptr_t)0x9e3779b97f4a7c15;
    return &kinds[hash >> (sizeof(hash) * 8 - 6)];
}

static void report_kind(struct kind *kind)
{
    if (kind->held_back == 0)
        return;
    if (write_line(
            (struct line){kind->level, kind->topic, span_from(kind->last), kind->held_back, NULL}))
        kind->held_back = 0;
}

/* Returns whether a line of this kind may be written now; sets *held_back to the number of
 * suppressed lines before it. */
static bool admit(enum log_level level, const char *topic, const char *format, unsigned *held_back)
{
    struct kind *kind = kind_of(topic, format);
    struct mono_time now = clock_mono();
    if (kind->topic != topic || kind->format != format) {
        report_kind(kind);
        *kind = (struct kind){topic, format, level, now, 0, 0, ""};
    }
    if (clock_us_between(kind->window_start, now) >= WINDOW_US) {
        kind->window_start = now;
        kind->written = 0;
    }
    if (kind->written == BURST_MAX) {
        ++kind->held_back;
        return false;
    }
    ++kind->written;
    *held_back = kind->held_back;
    kind->held_back = 0;
    return true;
}

static void keep_last(struct kind *kind, const char *text)
{
    snprintf(kind->last, sizeof(kind->last), "%.*s", KIND_TEXT - 1, text);
}

static void hold_back(const char *topic, const char *format, unsigned count)
{
    struct kind *kind = kind_of(topic, format);
    if (kind->topic == topic && kind->format == format)
        kind->held_back += count;
}

void log_write(enum log_level level, const char *topic, const char *format, ...)
{
    if ((int)level < atomic_load_explicit(&least_level, memory_order_relaxed))
        return;
    int error = errno;
    char text[MESSAGE_MAX + 1];
    unsigned held_back;
    va_list args;
    va_start(args, format);
    int len = vsnprintf(text, sizeof(text), format, args); /* errno is unchanged, for "%m" */
    va_end(args);
    size_t kept = len < 0 ? 0 : len > MESSAGE_MAX ? MESSAGE_MAX : (size_t)len;

    pthread_mutex_lock(&kinds_lock);
    bool admitted = admit(level, topic, format, &held_back);
    if (!admitted)
        keep_last(kind_of(topic, format), text);
    pthread_mutex_unlock(&kinds_lock);
    if (!admitted) {
        errno = error;
        return;
    }
    if (!write_line((struct line){level, topic, span_make(text, kept), held_back, NULL})) {
        pthread_mutex_lock(&kinds_lock);
        hold_back(topic, format, held_back + 1);
        pthread_mutex_unlock(&kinds_lock);
    }
    errno = error;
}

void log_write_problems(const char *topic, const struct problem_list *problems)
{
    for (const struct problem *p = problems->first; p != NULL; p = p->next) {
        struct line line = {p->level == PROBLEM_WARNING ? LOG_WARNING : LOG_ERROR, topic,
                            p->message, 0, p};
        if (line.message.len > MESSAGE_MAX)
            line.message.len = MESSAGE_MAX;
        (void)write_line(line);
    }
}

void log_tell_held_back(void)
{
    pthread_mutex_lock(&kinds_lock);
    struct mono_time now = clock_mono();
    for (size_t i = 0; i != KINDS; ++i)
        if (clock_us_between(kinds[i].window_start, now) >= WINDOW_US)
            report_kind(&kinds[i]);
    pthread_mutex_unlock(&kinds_lock);
}
