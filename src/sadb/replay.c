/* SPDX-License-Identifier: MIT */
/*
 * The anti-replay window.
 *
 * A ring of bits, one for each number (RFC 6479): moving the window forward clears those of the
 * numbers that become new, and never shifts.  It is as long as the window, rounded up to a power of
 * two:
 *
 *        floor or top - packets + 1             top
 *   ---------|#####################################|----------->  64-bit numbers
 *    too old          seen or missing                 new
 *
 * The bits of the top's block are not in the ring but beside the top (`head`), in the cache line
 * that a packet has anyhow; they go into the ring when the top leaves the block.  So in the ring
 * that word still has bits of the oldest numbers alone.
 *
 * Numbers below `floor` are too old whatever the window's length: it is 1 at first (RFC 4303
 * 3.3.3: no packet has number 0) and the new top after a reset, since nothing below that was sent
 * in the numbering that begins there.
 *
 * The ring is made with the first number that needs it: a home server has many windows in which
 * little has come yet.
 *
 * Threads: one writer, the packet thread.  Control reads for display; the fields are relaxed
 * atomics so that such a read is a value of some moment, nothing more.
 */
#include "sadb/replay.h"

#include "base/lines.h"

#define REPLAY_PACKETS_MAX (1u << 20)

static inline uint64_t replay_load(const _Atomic uint64_t *v)
{
	return atomic_load_explicit(v, memory_order_relaxed);
}

static inline void replay_store(_Atomic uint64_t *v, uint64_t x)
{
	atomic_store_explicit(v, x, memory_order_relaxed);
}

void replay_init(struct replay *r, uint32_t packets)
{
	if (packets > REPLAY_PACKETS_MAX)
		packets = REPLAY_PACKETS_MAX;
	packets = (packets + REPLAY_BLOCK - 1) / REPLAY_BLOCK * REPLAY_BLOCK;
	uint32_t blocks = 1;
	while (blocks < packets / REPLAY_BLOCK)
		blocks *= 2;
	*r = (struct replay){.packets = packets, .block_mask = (uint16_t)(blocks - 1)};
	replay_store(&r->floor, 1);
}

static size_t blocks_len(const struct replay *r)
{
	return ((size_t)r->block_mask + 1) * sizeof(*r->blocks);
}

void replay_clear(struct replay *r)
{
	lines_free(atomic_exchange_explicit(&r->blocks, NULL, memory_order_relaxed), blocks_len(r));
	*r = (struct replay){0};
}

bool replay_made(const struct replay *r)
{
	return replay_load(&r->floor) != 0;
}

static bool replay_in_head(const struct replay *r, uint64_t seq)
{
	return seq / REPLAY_BLOCK == replay_load(&r->top) / REPLAY_BLOCK;
}

static _Atomic uint64_t *replay_blocks(const struct replay *r)
{
	return atomic_load_explicit(&r->blocks, memory_order_acquire);
}

/* The bits of the block that seq, which is in the window, is in. */
static uint64_t replay_block(const struct replay *r, uint64_t seq)
{
	if (replay_in_head(r, seq))
		return replay_load(&r->head);
	const _Atomic uint64_t *blocks = replay_blocks(r);
	return blocks ? replay_load(&blocks[(seq / REPLAY_BLOCK) & r->block_mask]) : 0;
}

static uint64_t replay_bit(uint64_t seq)
{
	return (uint64_t)1 << (seq % REPLAY_BLOCK);
}

static bool replay_bit_is_set(const struct replay *r, uint64_t seq)
{
	return replay_block(r, seq) & replay_bit(seq);
}

/* The word of seq's block in the ring, which is made now if it is not there. */
static _Atomic uint64_t *replay_word(struct replay *r, uint64_t seq)
{
	_Atomic uint64_t *blocks = replay_blocks(r);
	if (!blocks) {
		blocks = lines_alloc(blocks_len(r));
		atomic_store_explicit(&r->blocks, blocks, memory_order_release);
	}
	return &blocks[(seq / REPLAY_BLOCK) & r->block_mask];
}

static void replay_bit_set(struct replay *r, uint64_t seq)
{
	_Atomic uint64_t *word = replay_in_head(r, seq) ? &r->head : replay_word(r, seq);
	replay_store(word, replay_load(word) | replay_bit(seq));
}

/* The oldest number that may still be new. */
static uint64_t replay_bottom(const struct replay *r)
{
	uint64_t top = replay_load(&r->top), floor = replay_load(&r->floor);
	uint64_t edge = top >= r->packets ? top - r->packets + 1 : 0;
	return edge > floor ? edge : floor;
}

void replay_reset(struct replay *r, uint64_t top, bool seen)
{
	_Atomic uint64_t *blocks = replay_blocks(r);
	for (uint32_t i = 0; blocks && i <= r->block_mask; i++)
		replay_store(&blocks[i], 0);
	replay_store(&r->head, 0);
	replay_store(&r->top, top);
	replay_store(&r->floor, top ? top : 1);
	if (seen && r->packets)
		replay_bit_set(r, top);
	atomic_store_explicit(&r->primed, true, memory_order_relaxed);
}

bool replay_primed(const struct replay *r)
{
	return atomic_load_explicit(&r->primed, memory_order_relaxed);
}

/* RFC 4303 appendix A2.1.  W is the window's length, T its top, both split at 32 bits: a low half
 * inside the window belongs to it, one outside can only be ahead of it. */
uint64_t replay_infer(const struct replay *r, uint32_t lo)
{
	uint64_t top = replay_load(&r->top);
	uint32_t top_lo = (uint32_t)top, top_hi = (uint32_t)(top >> 32);
	uint32_t hi = top_hi;
	if (r->packets) {
		uint32_t edge = top_lo - (r->packets - 1); /* modulo 2^32 */
		if (top_lo >= r->packets - 1) {
			/* The window lies in one 2^32: what is below it is of the next. */
			if (lo < edge && top_hi != UINT32_MAX)
				hi++;
		} else if (lo >= edge && top_hi > 0) {
			/* It spans two, and this is in the older part. */
			hi--;
		}
	}
	return (uint64_t)hi << 32 | lo;
}

enum replay_verdict replay_check(const struct replay *r, uint64_t seq)
{
	if (!r->packets)
		return replay_made(r) ? REPLAY_NEW : REPLAY_TOO_OLD;
	if (seq < replay_bottom(r))
		return REPLAY_TOO_OLD;
	if (seq > replay_load(&r->top))
		return REPLAY_NEW;
	return replay_bit_is_set(r, seq) ? REPLAY_SEEN : REPLAY_NEW;
}

/* The top goes on to the number seq of a later block. */
static void replay_leave_block(struct replay *r, uint64_t seq)
{
	uint64_t top = replay_load(&r->top), head = replay_load(&r->head);
	uint64_t ring = (uint64_t)r->block_mask + 1;
	uint64_t old = top / REPLAY_BLOCK, fresh = seq / REPLAY_BLOCK;
	/* What the ring has in the place of the old block is below the window from here on. */
	if (head || replay_blocks(r))
		replay_store(replay_word(r, top), head);
	/* Nothing of the blocks in between was seen.  Where the ring has the fresh block's place,
	 * it has the oldest block: left alone, unless it was passed as well. */
	uint64_t passed = fresh - old > ring ? fresh - ring : old + 1;
	for (; replay_blocks(r) && passed < fresh; passed++)
		replay_store(replay_word(r, passed * REPLAY_BLOCK), 0);
	replay_store(&r->head, 0);
}

enum replay_verdict replay_mark(struct replay *r, uint64_t seq)
{
	enum replay_verdict v = replay_check(r, seq);
	if (v != REPLAY_NEW)
		return v;
	if (seq > replay_load(&r->top)) {
		if (r->packets && !replay_in_head(r, seq))
			replay_leave_block(r, seq);
		replay_store(&r->top, seq);
	}
	if (r->packets)
		replay_bit_set(r, seq);
	atomic_store_explicit(&r->primed, true, memory_order_relaxed);
	return REPLAY_NEW;
}

uint64_t replay_top(const struct replay *r)
{
	return replay_load(&r->top);
}

uint64_t replay_missing(const struct replay *r, uint64_t from, uint64_t to)
{
	uint64_t top = replay_load(&r->top), bottom = replay_bottom(r);
	if (!r->packets)
		return 0;
	if (from < bottom)
		from = bottom;
	if (to > top)
		to = top;
	uint64_t missing = 0;
	while (from <= to) {
		uint64_t last = from | (REPLAY_BLOCK - 1);
		if (last > to)
			last = to;
		uint64_t mask = UINT64_MAX << (from % REPLAY_BLOCK);
		mask &= UINT64_MAX >> (REPLAY_BLOCK - 1 - last % REPLAY_BLOCK);
		uint64_t seen = replay_block(r, from);
		missing += (uint64_t)__builtin_popcountll(mask & ~seen);
		if (last == UINT64_MAX)
			break;
		from = last + 1;
	}
	return missing;
}
