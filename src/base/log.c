/* SPDX-License-Identifier: MIT */
/*
 * Log lines.
 *
 * A line is formatted on the stack and given to the writer of the struct log, which borrows
 * it for the call.  Lines are for the control side: the packet path counts instead.  A line
 * is one line whatever its arguments hold: control characters become '?', since some of the
 * arguments come from the network.
 */
#include "base/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <time.h>

#define LOG_LINE_MAX 1024

void log_line(const struct log *log, enum log_level level, const char *fmt, ...)
{
	if (!log || !log->write || level > log->level)
		return;

	char line[LOG_LINE_MAX];
	va_list ap;
	va_start(ap, fmt);
	int n = vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	if (n < 0)
		return;
	for (char *c = line; *c; c++) {
		if ((unsigned char)*c < ' ' || *c == 0x7f)
			*c = '?';
	}
	log->write(log->ctx, level, line);
}

bool log_limit_ok(struct log_limit *l, usec_t now_us, uint32_t burst)
{
	if (now_us - l->since_us >= USEC_PER_SEC || now_us < l->since_us) {
		l->since_us = now_us;
		l->count = 0;
	}
	if (l->count >= burst) {
		l->suppressed++;
		return false;
	}
	l->count++;
	return true;
}

static const char *log_level_word(enum log_level level)
{
	switch (level) {
	case LOG_LEVEL_ERROR:
		return "error";
	case LOG_LEVEL_WARN:
		return "warning";
	case LOG_LEVEL_INFO:
		return "info";
	case LOG_LEVEL_DEBUG:
		return "debug";
	}
	return "?";
}

void log_write_stderr(void *ctx, enum log_level level, const char *line)
{
	(void)ctx;

	usec_t now = clock_wall_us();
	time_t sec = (time_t)(now / USEC_PER_SEC);
	struct tm tm;
	char when[32] = "";
	if (gmtime_r(&sec, &tm))
		strftime(when, sizeof(when), "%Y-%m-%dT%H:%M:%S", &tm);
	/* One call, so that lines of two processes on one stderr do not mix. */
	fprintf(stderr, "%s.%03uZ %s %s\n", when, (unsigned)(now % USEC_PER_SEC / USEC_PER_MS),
		log_level_word(level), line);
}
