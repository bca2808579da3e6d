/* SPDX-License-Identifier: MIT */
/*
 * Error texts for people.
 *
 * The caller owns the struct err; a longer text is cut.  No threads, no state.
 */
#include "base/err.h"

#include <stdarg.h>
#include <stdio.h>

int err_set(struct err *err, const char *fmt, ...)
{
	if (!err)
		return -1;

	/* Into a buffer of our own first: the arguments may point into err->text. */
	char text[sizeof(err->text)];
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	snprintf(err->text, sizeof(err->text), "%s", text);
	return -1;
}
