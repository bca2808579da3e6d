/* SPDX-License-Identifier: MIT */
/*
 * Memory for secrets and for the control side.
 *
 * Ownership: what mem_zalloc and mem_strdup return is the caller's to free().  Both end the
 * process when memory is out: the control side has no use for going on half-built, and the
 * packet path allocates nothing.  All functions may be called from any thread.
 */
#include "base/mem.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

void mem_wipe(void *p, size_t len)
{
	if (!len)
		return;
	memset(p, 0, len);
	/* The compiler must believe that someone reads the zeros. */
	__asm__ volatile("" : : "r"(p) : "memory");
}

bool mem_equal(const void *a, const void *b, size_t len)
{
	const volatile uint8_t *x = a;
	const volatile uint8_t *y = b;
	uint8_t diff = 0;

	for (size_t i = 0; i < len; i++)
		diff = (uint8_t)(diff | (x[i] ^ y[i]));
	return diff == 0;
}

static void mem_out(size_t len)
{
	fprintf(stderr, "memory: out of memory (wanted %zu bytes)\n", len);
	abort();
}

void *mem_zalloc(size_t len)
{
	void *p = calloc(1, len ? len : 1);
	if (!p)
		mem_out(len);
	return p;
}

char *mem_strdup(const char *s)
{
	char *p = strdup(s);
	if (!p)
		mem_out(strlen(s) + 1);
	return p;
}
