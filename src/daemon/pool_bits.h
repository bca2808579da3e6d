/* SPDX-License-Identifier: MIT */
/* A set of numbers below a size, in which the next one that is not in it is found at once: a bit
 * for each number, and above each 64 bits one that says whether all of them are set. */
#ifndef DAEMON_POOL_BITS_H
#define DAEMON_POOL_BITS_H

#include <stdbool.h>
#include <stdint.h>

#define POOL_BITS_LEVELS 5 /* 64^5 numbers */

struct pool_bits {
	unsigned levels;
	uint32_t size;
	uint64_t *level[POOL_BITS_LEVELS]; /* owned */
	uint32_t words[POOL_BITS_LEVELS];
};

/* size: 1 to 2^24. */
void pool_bits_init(struct pool_bits *b, uint32_t size);
void pool_bits_clear(struct pool_bits *b); /* frees */
bool pool_bits_has(const struct pool_bits *b, uint32_t i);
void pool_bits_set(struct pool_bits *b, uint32_t i, bool in);
/* The first from `from` on that is not in the set, or the first of all; UINT32_MAX: none. */
uint32_t pool_bits_free(const struct pool_bits *b, uint32_t from);

#endif
