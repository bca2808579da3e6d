/* SPDX-License-Identifier: MIT */
#include "daemon/pool_bits.h"

#include "base/mem.h"

#define WORD 64u

void pool_bits_init(struct pool_bits *b, uint32_t size)
{
	uint32_t bits = size;
	*b = (struct pool_bits){.size = size};
	do {
		uint32_t words = (bits + WORD - 1) / WORD;
		b->level[b->levels] = mem_zalloc(words * sizeof(uint64_t));
		b->words[b->levels] = words;
		/* What is beyond the end is never free. */
		if (bits % WORD)
			b->level[b->levels][words - 1] = UINT64_MAX << (bits % WORD);
		b->levels++;
		bits = words;
	} while (bits > 1);
}

void pool_bits_clear(struct pool_bits *b)
{
	for (unsigned l = 0; l < b->levels; l++)
		free(b->level[l]);
	*b = (struct pool_bits){0};
}

bool pool_bits_has(const struct pool_bits *b, uint32_t i)
{
	return b->level[0][i / WORD] >> (i % WORD) & 1;
}

void pool_bits_set(struct pool_bits *b, uint32_t i, bool in)
{
	for (unsigned l = 0; l < b->levels; l++) {
		uint64_t *word = &b->level[l][i / WORD], bit = UINT64_C(1) << (i % WORD);
		bool was_full = *word == UINT64_MAX;
		*word = in ? *word | bit : *word & ~bit;
		in = *word == UINT64_MAX;
		if (in == was_full)
			return;
		i /= WORD;
	}
}

/* In the word of number i on this level, from i on; UINT32_MAX: all are set. */
static uint32_t free_in_word(const struct pool_bits *b, unsigned l, uint32_t i)
{
	if (i / WORD >= b->words[l])
		return UINT32_MAX;
	uint64_t open = ~b->level[l][i / WORD] & UINT64_MAX << (i % WORD);
	return open ? i / WORD * WORD + (uint32_t)__builtin_ctzll(open) : UINT32_MAX;
}

static uint32_t free_from(const struct pool_bits *b, uint32_t from)
{
	uint32_t i = from, found = UINT32_MAX;
	unsigned l = 0;
	for (; l < b->levels; l++) {
		found = free_in_word(b, l, i);
		if (found != UINT32_MAX)
			break;
		i = i / WORD + 1;
	}
	if (found == UINT32_MAX)
		return UINT32_MAX;
	while (l > 0)
		found = free_in_word(b, --l, found * WORD);
	return found;
}

uint32_t pool_bits_free(const struct pool_bits *b, uint32_t from)
{
	uint32_t found = from < b->size ? free_from(b, from) : UINT32_MAX;
	return found != UINT32_MAX || from == 0 ? found : free_from(b, 0);
}
