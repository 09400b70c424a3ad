/* Writes diagnostics as JSON lines to stderr, and holds bursts of the same one back. */
#include "observe/log.h"

#include "base/buffer.h"
#include "base/clock.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <unistd.h>

enum {
    MESSAGE_MAX = 1000,
    LINE_MAX_BYTES = 4096, /* PIPE_BUF: written whole or not at all */
    BURST_MAX = 10,        /* lines of one kind in a window */
    WINDOW_US = 1000000,
    KINDS = 64,
    KIND_TEXT = 160
};

/* Lines of one topic and format, told apart by the addresses of the two literals. */
struct kind {
    const char *topic, *format;
    enum log_level level;
    struct mono_time window_start;
    unsigned written, held_back;
    char last[KIND_TEXT]; /* the last one that was held back */
};

static atomic_int least_level = LOG_INFO;
static pthread_mutex_t kinds_lock = PTHREAD_MUTEX_INITIALIZER;
static struct kind kinds[KINDS]; /* one slot a hash; a newcomer takes the slot over */

void log_set_level(enum log_level level)
{
    atomic_store_explicit(&least_level, (int)level, memory_order_relaxed);
}

/* ---- the line ---- */

static void put_line(struct buffer *line, enum log_level level, const char *topic,
                     struct span message, unsigned held_back)
{
    static const char *const names[] = {"debug", "info", "warning", "error"};
    char time[CLOCK_RFC3339_SIZE];
    clock_format_rfc3339(clock_wall(), time);
    buffer_append(line, SPAN("{\"time\":\""));
    buffer_append(line, span_from(time));
    buffer_append(line, SPAN("\",\"level\":\""));
    buffer_append(line, span_from(names[level]));
    buffer_append(line, SPAN("\",\"topic\":\""));
    buffer_append_json(line, span_from(topic));
    buffer_append(line, SPAN("\",\"message\":\""));
    buffer_append_json(line, message);
    buffer_append_char(line, '"');
    if (held_back != 0) {
        buffer_append(line, SPAN(",\"held_back\":"));
        buffer_append_u64(line, held_back);
    }
    buffer_append(line, SPAN("}\n"));
}

/* False where stderr takes nothing now: a diagnostic is lost rather than a thread stopped. */
static bool write_line(enum log_level level, const char *topic, struct span message,
                       unsigned held_back)
{
    char memory[LINE_MAX_BYTES];
    struct buffer line;
    struct pollfd fd = {.fd = STDERR_FILENO, .events = POLLOUT};
    for (;; message.len /= 2) { /* only a message of little but escapes does not fit */
        buffer_init_fixed(&line, memory, sizeof(memory));
        put_line(&line, level, topic, message, held_back);
        if (!line.overflowed)
            break;
    }
    return poll(&fd, 1, 0) == 1 && write(STDERR_FILENO, line.at, line.len) == (ssize_t)line.len;
}

/* ---- holding back ---- */

static struct kind *kind_of(const char *topic, const char *format)
{
    uintptr_t hash = ((uintptr_t)format ^ (uintptr_t)topic << 7) * (uintptr_t)0x9e3779b97f4a7c15;
    return &kinds[hash >> (sizeof(hash) * 8 - 6)];
}

static void tell_kind(struct kind *kind)
{
    if (kind->held_back == 0)
        return;
    if (write_line(kind->level, kind->topic, span_from(kind->last), kind->held_back))
        kind->held_back = 0;
}

/* Whether a line of this kind may be written now; *held_back is how many were not, before it. */
static bool admit(enum log_level level, const char *topic, const char *format, unsigned *held_back)
{
    struct kind *kind = kind_of(topic, format);
    struct mono_time now = clock_mono();
    if (kind->topic != topic || kind->format != format) {
        tell_kind(kind);
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
    int len =
        vsnprintf(text, sizeof(text), format, args); /* errno is still the caller's, for "%m" */
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
    if (!write_line(level, topic, span_make(text, kept), held_back)) {
        pthread_mutex_lock(&kinds_lock);
        hold_back(topic, format, held_back + 1);
        pthread_mutex_unlock(&kinds_lock);
    }
    errno = error;
}

void log_tell_held_back(void)
{
    pthread_mutex_lock(&kinds_lock);
    struct mono_time now = clock_mono();
    for (size_t i = 0; i != KINDS; ++i)
        if (clock_us_between(kinds[i].window_start, now) >= WINDOW_US)
            tell_kind(&kinds[i]);
    pthread_mutex_unlock(&kinds_lock);
}
