/* SPDX-License-Identifier: MIT */
/*
 * Memory for the many small objects that packets look at: whole cache lines, packed without headers
 * between them, on huge pages once there are many.  A packet of one terminal in a million would
 * else wait for the processor to find the page before it waits for the line; and malloc would take
 * a tenth more.
 *
 * What is given back serves objects of the same number of lines again, and is never returned to
 * the system.  None of it comes into a core dump.  Any thread.
 */
#ifndef BASE_LINES_H
#define BASE_LINES_H

#include <stddef.h>

#define LINE_LEN 64

/* Zeroed, at the beginning of a line.  Ends the process when memory is out. */
void *lines_alloc(size_t len) __attribute__((returns_nonnull, malloc));
/* With the length it was asked for with; NULL allowed.  Secrets are wiped before. */
void lines_free(void *p, size_t len);

#endif
