/* Diagnostics: JSON lines on stderr, {"time":..., "level":"warning", "topic":"upstream", "message":"...", ...}.
 *
 * For what an operator should know, not for each request (that is the access log). Safe from any thread; one write(2) a
 * line; a burst of the same topic and message is held to 10 a second, and the number held back is told. */
#ifndef SAGEGATE_OBSERVE_LOG_H
#define SAGEGATE_OBSERVE_LOG_H

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARNING, LOG_ERROR };

/* Before any thread starts; LOG_INFO until then. */
void log_set_level(enum log_level level);

/* topic: one word ("start", "drain", "upstream", "credentials", "listener", "tls"). Never a secret. */
void log_write(enum log_level level, const char *topic, const char *format, ...) __attribute__((format(printf, 3, 4)));

#endif
