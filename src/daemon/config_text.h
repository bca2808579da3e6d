/* SPDX-License-Identifier: MIT */
/* The text of a configuration before libconfuse reads it: comments out, sections counted. */
#ifndef DAEMON_CONFIG_TEXT_H
#define DAEMON_CONFIG_TEXT_H

#include <stddef.h>
#include <stdio.h>
#include "base/err.h"

#define CONFIG_TEXT_MAX	    (16u << 20)
#define CONFIG_SECTIONS_MAX 32768u

struct config_text {
	char *text; /* owned, NUL-terminated, wiped at the end */
	size_t len;
	int *opened; /* line of the opening brace of each section, in the order they close */
	size_t section_count;
};

/* 0, or -1 with err ("path:line: ...") and nothing to free. */
int config_text_read(struct config_text *t, FILE *in, const char *path, struct err *err);
void config_text_free(struct config_text *t);

#endif
