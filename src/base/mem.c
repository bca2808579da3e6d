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
#include <sys/mman.h>

#define LINE_LEN 64
#define HUGE_LEN ((size_t)2 << 20)

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
	const uint8_t *x = a, *y = b;
	uint64_t diff = 0, p, q;

	for (; len >= sizeof(p); x += sizeof(p), y += sizeof(p), len -= sizeof(p)) {
		memcpy(&p, x, sizeof(p));
		memcpy(&q, y, sizeof(q));
		diff |= p ^ q;
		/* The compiler must not end the loop as soon as it knows. */
		__asm__ volatile("" : "+r"(diff));
	}
	for (size_t i = 0; i < len; i++) {
		diff |= (uint64_t)(x[i] ^ y[i]);
		__asm__ volatile("" : "+r"(diff));
	}
	return diff == 0;
}

__attribute__((noreturn)) static void mem_out(size_t len)
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

void *mem_map(size_t len)
{
	if (MEM_SANITIZED)
		return mem_zalloc_lines(len);
	void *p = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (p == MAP_FAILED)
		mem_out(len);
	(void)madvise(p, len, MADV_DONTDUMP);
	return p;
}

void mem_unmap(void *p, size_t len)
{
	if (MEM_SANITIZED)
		free(p);
	else if (p)
		munmap(p, len);
}

void *mem_zalloc_lines(size_t len)
{
	bool huge = len >= 2 * HUGE_LEN;
	void *p;
	if (posix_memalign(&p, huge ? HUGE_LEN : LINE_LEN, len) != 0)
		mem_out(len);
	if (huge) /* refused: it is merely slower */
		(void)madvise(p, len, MADV_HUGEPAGE);
	return memset(p, 0, len);
}

char *mem_strdup(const char *s)
{
	char *p = strdup(s);
	if (!p)
		mem_out(strlen(s) + 1);
	return p;
}
