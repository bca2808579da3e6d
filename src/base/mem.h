/* SPDX-License-Identifier: MIT */
/* Memory that holds secrets, and allocation that says no instead of going on. */
#ifndef BASE_MEM_H
#define BASE_MEM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>

/* AddressSanitizer sees what is malloc's: under it, memory that we divide ourselves is too. */
#define MEM_SANITIZED 0
#if defined(__SANITIZE_ADDRESS__)
#undef MEM_SANITIZED
#define MEM_SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#undef MEM_SANITIZED
#define MEM_SANITIZED 1
#endif
#endif

/* Overwrites; never optimised away. */
void mem_wipe(void *p, size_t len);
/* Constant time in len. */
bool mem_equal(const void *a, const void *b, size_t len);
/* Zeroed; ends the process with a message when memory is out (control side only). */
void *mem_zalloc(size_t len) __attribute__((returns_nonnull, malloc));
/* Zeroed pages of their own, which take no memory until they are written, and of which none comes
 * into a core dump.  Ends the process as mem_zalloc does. */
void *mem_map(size_t len) __attribute__((returns_nonnull));
void mem_unmap(void *p, size_t len); /* NULL allowed */
/* The same, for tables: begins at a cache line; a large one lies on huge pages where the system has
 * them to give. */
void *mem_zalloc_lines(size_t len) __attribute__((returns_nonnull, malloc));
char *mem_strdup(const char *s) __attribute__((returns_nonnull, malloc));

static inline void mem_cleanup_free(void *p)
{
	free(*(void **)p);
}
/* For short-lived locals of control code. */
#define CLEANUP_FREE __attribute__((cleanup(mem_cleanup_free)))

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

#endif
