/* SPDX-License-Identifier: MIT */
/*
 * Lines: see the header.  One list of free objects for each number of lines up to LINES_MOST, and
 * a chunk from whose front fresh ones are cut.  The first chunk is small and on ordinary pages: a
 * terminal needs no more.
 *
 * Under AddressSanitizer each object is malloc's.
 */
#include "base/lines.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include "base/mem.h"
#include "base/spin.h"

#define LINES_MOST  16
#define CHUNK_FIRST (256u << 10)
#define CHUNK_LEN   (32u << 20)
#define HUGE_LEN    (2u << 20)

struct free_object {
	struct free_object *next;
};

static struct {
	struct spin lock;
	struct free_object *free[LINES_MOST + 1]; /* by number of lines */
	uint8_t *at, *end;			  /* of the chunk */
} lines;

static size_t lines_of(size_t len)
{
	return (len + LINE_LEN - 1) / LINE_LEN;
}

/* What is left of the chunk before is less than one object. */
static void chunk_new(void)
{
	size_t len = lines.end ? CHUNK_LEN : CHUNK_FIRST;
	uint8_t *p = mem_map(len + (lines.end ? HUGE_LEN : 0));
	if (lines.end) {
		p += (HUGE_LEN - (uintptr_t)p % HUGE_LEN) % HUGE_LEN;
		(void)madvise(p, len, MADV_HUGEPAGE); /* refused: it is merely slower */
	}
	lines.at = p;
	lines.end = p + len;
}

void *lines_alloc(size_t len)
{
	size_t n = lines_of(len);
	if (MEM_SANITIZED || n > LINES_MOST)
		return mem_zalloc_lines(len);
	spin_lock(&lines.lock);
	struct free_object *o = lines.free[n];
	if (o) {
		lines.free[n] = o->next;
	} else {
		if ((size_t)(lines.end - lines.at) < n * LINE_LEN)
			chunk_new();
		o = (struct free_object *)(void *)lines.at;
		lines.at += n * LINE_LEN;
	}
	spin_unlock(&lines.lock);
	return memset(o, 0, n * LINE_LEN);
}

void lines_free(void *p, size_t len)
{
	size_t n = lines_of(len);
	struct free_object *o = p;
	if (MEM_SANITIZED || n > LINES_MOST) {
		free(p);
		return;
	}
	if (!o)
		return;
	spin_lock(&lines.lock);
	o->next = lines.free[n];
	lines.free[n] = o;
	spin_unlock(&lines.lock);
}
