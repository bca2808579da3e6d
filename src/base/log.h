/* SPDX-License-Identifier: MIT */
/*
 * Log lines: "module: event key=value ...".  A struct log is passed to whoever logs; there
 * is no global one.  Lines a remote party can trigger go through a log_limit.  Never key
 * material.
 */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include <stdbool.h>
#include <stdint.h>
#include "base/clock.h"

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARN, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };

struct log {
	enum log_level level; /* lines above it are dropped */
	void (*write)(void *ctx, enum log_level level, const char *line);
	void *ctx;
};

/* log may be NULL: nothing is written. */
void log_line(const struct log *log, enum log_level level, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

#define log_error(log, ...) log_line(log, LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warn(log, ...)  log_line(log, LOG_LEVEL_WARN, __VA_ARGS__)
#define log_info(log, ...)  log_line(log, LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(log, ...) log_line(log, LOG_LEVEL_DEBUG, __VA_ARGS__)

/* At most `burst` lines per second. */
struct log_limit {
	usec_t since_us;
	uint32_t count;
	uint32_t suppressed; /* told with the next line that is let through, then reset */
};
bool log_limit_ok(struct log_limit *l, usec_t now_us, uint32_t burst);

/* Ready writers: stderr with a level word and a wall-clock time; ctx is unused. */
void log_write_stderr(void *ctx, enum log_level level, const char *line);

#endif
