/* SPDX-License-Identifier: MIT */
/*
 * The anti-replay window (RFC 4303 3.4.3, bitmap in blocks as RFC 6479) over 64-bit numbers,
 * and the inference of an ESN's high half (RFC 4303 appendix A).
 *
 * Written by one packet thread; control reads its counters for display only.
 */
#ifndef SADB_REPLAY_H
#define SADB_REPLAY_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define REPLAY_BLOCK 64u /* bits */

/* In one cache line with its sequence space (sadb/sa.h), with the bits of the newest numbers: what
 * comes in order needs no more.  Fields are replay.c's. */
struct replay {
	_Atomic uint64_t top;
	_Atomic uint64_t floor;
	_Atomic uint64_t head;		    /* bits of the top's block */
	_Atomic(_Atomic uint64_t *) blocks; /* owned; of the others; NULL: none was marked yet */
	uint32_t packets;		    /* a multiple of 64; 0: no anti-replay */
	uint16_t block_mask;		    /* number of blocks (a power of two) - 1 */
	_Atomic bool primed;
};

enum replay_verdict { REPLAY_NEW, REPLAY_SEEN, REPLAY_TOO_OLD };

/* `packets`: rounded up to a multiple of 64; 0: no anti-replay at all (check says NEW for
 * everything, numbers are not remembered, the high half is taken as that of the top).
 * At most 2^20. */
void replay_init(struct replay *r, uint32_t packets);
void replay_clear(struct replay *r); /* frees the bits; it is not made any more */
bool replay_made(const struct replay *r);

/* The window forgets everything and its top becomes `top`, which counts as not seen unless
 * `seen`.  Numbers below it are too old: nothing below was sent in the numbering that begins. */
void replay_reset(struct replay *r, uint64_t top, bool seen);

/* True once anything was marked or the window was reset with a top: ESN inference works. */
bool replay_primed(const struct replay *r);

/* The 64-bit number that a packet with these low 32 bits has, by the window's position. */
uint64_t replay_infer(const struct replay *r, uint32_t lo);
enum replay_verdict replay_check(const struct replay *r, uint64_t seq);
/* After authentication.  Checks again (two copies in one batch) and marks. */
enum replay_verdict replay_mark(struct replay *r, uint64_t seq);

uint64_t replay_top(const struct replay *r);
/* The bits of a number with these low 32 bits are fetched ahead, if they are not at hand. */
static inline void replay_prefetch(const struct replay *r, uint32_t lo)
{
	uint32_t top = (uint32_t)atomic_load_explicit(&r->top, memory_order_relaxed);
	const _Atomic uint64_t *blocks = atomic_load_explicit(&r->blocks, memory_order_relaxed);
	if (blocks && lo / REPLAY_BLOCK != top / REPLAY_BLOCK)
		__builtin_prefetch((const void *)&blocks[lo / REPLAY_BLOCK & r->block_mask], 1);
}

/* Numbers from..to (inclusive) that have not been seen, of those still in the window. */
uint64_t replay_missing(const struct replay *r, uint64_t from, uint64_t to);

#endif
