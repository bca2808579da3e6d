/* SPDX-License-Identifier: MIT */
/*
 * Bytes for the tests: from hexadecimal text, in memory of exactly their size (so that the
 * address sanitizer sees a read past the end), and into the fuzzers' seed corpora when
 * SOJOURN_CORPUS names the directory of corpora.
 */
#ifndef TESTS_VECTORS_H
#define TESTS_VECTORS_H

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define VECTOR_MAX 2048

struct vector {
	size_t len;
	uint8_t b[VECTOR_MAX];
};

static inline struct vector vector_of(const char *hex)
{
	struct vector v = {0};
	unsigned byte;

	for (; *hex; hex += 2) {
		if (*hex == ' ') {
			hex--;
			continue;
		}
		assert_int_equal(sscanf(hex, "%2x", &byte), 1);
		assert_true(v.len < VECTOR_MAX);
		v.b[v.len++] = (uint8_t)byte;
	}
	return v;
}

/* To be freed by the caller. */
static inline uint8_t *vector_exact(const uint8_t *b, size_t len)
{
	uint8_t *p = malloc(len);

	if (len) {
		assert_non_null(p);
		memcpy(p, b, len);
	}
	return p;
}

static inline void vector_save(const char *corpus, const char *name, const void *b, size_t len)
{
	const char *dir = getenv("SOJOURN_CORPUS");
	char path[512];

	if (!dir)
		return;
	snprintf(path, sizeof(path), "%s/%s/%s", dir, corpus, name);
	FILE *f = fopen(path, "wb");
	assert_non_null(f);
	assert_int_equal(fwrite(b, 1, len, f), len);
	fclose(f);
}

#endif
