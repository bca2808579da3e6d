/* SPDX-License-Identifier: MIT */
/*
 * The anti-replay window: tables of numbers and verdicts, the inference of the high half around
 * 2^32, and long random runs against a model that simply remembers every number it saw.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "base/mem.h"
#include "sadb/replay.h"

#define HI(h, lo)  ((uint64_t)(h) << 32 | (lo))
#define MAX_WINDOW (1u << 20)

struct step {
	uint64_t seq;
	enum replay_verdict verdict;
};

struct run {
	const char *name;
	uint32_t packets;
	struct step steps[16]; /* until the first zeroed one */
};

/* check and mark agree, and the verdict is the table's. */
static const struct run runs[] = {
    {"in order", 64, {{1, REPLAY_NEW}, {2, REPLAY_NEW}, {3, REPLAY_NEW}, {4, REPLAY_NEW}}},
    {"duplicates",
     64,
     {{1, REPLAY_NEW}, {1, REPLAY_SEEN}, {2, REPLAY_NEW}, {1, REPLAY_SEEN}, {2, REPLAY_SEEN}}},
    {"gaps filled late",
     64,
     {{5, REPLAY_NEW},
      {9, REPLAY_NEW},
      {6, REPLAY_NEW},
      {5, REPLAY_SEEN},
      {1, REPLAY_NEW},
      {6, REPLAY_SEEN},
      {7, REPLAY_NEW},
      {8, REPLAY_NEW},
      {9, REPLAY_SEEN}}},
    {"number 0 is nobody's", 64, {{0, REPLAY_TOO_OLD}, {1, REPLAY_NEW}, {0, REPLAY_TOO_OLD}}},
    {"left edge",
     64,
     {{100, REPLAY_NEW},
      {36, REPLAY_TOO_OLD},
      {37, REPLAY_NEW},
      {37, REPLAY_SEEN},
      {101, REPLAY_NEW},
      {37, REPLAY_TOO_OLD},
      {38, REPLAY_NEW}}},
    {"32 becomes 64", 32, {{100, REPLAY_NEW}, {37, REPLAY_NEW}, {36, REPLAY_TOO_OLD}}},
    {"1 becomes 64", 1, {{100, REPLAY_NEW}, {37, REPLAY_NEW}, {36, REPLAY_TOO_OLD}}},
    {"65 becomes 128", 65, {{200, REPLAY_NEW}, {73, REPLAY_NEW}, {72, REPLAY_TOO_OLD}}},
    {"4096",
     4096,
     {{1, REPLAY_NEW},
      {4096, REPLAY_NEW},
      {1, REPLAY_SEEN},
      {4097, REPLAY_NEW},
      {1, REPLAY_TOO_OLD},
      {2, REPLAY_NEW}}},
    {"65536",
     65536,
     {{70000, REPLAY_NEW}, {4465, REPLAY_NEW}, {4464, REPLAY_TOO_OLD}, {4465, REPLAY_SEEN}}},
    {"2^20",
     MAX_WINDOW,
     {{2000000, REPLAY_NEW},
      {951425, REPLAY_NEW},
      {951424, REPLAY_TOO_OLD},
      {951425, REPLAY_SEEN}}},
    {"more than 2^20 is 2^20",
     MAX_WINDOW * 2,
     {{2000000, REPLAY_NEW}, {951425, REPLAY_NEW}, {951424, REPLAY_TOO_OLD}}},
    {"a far jump forgets what the ring held",
     64,
     {{1, REPLAY_NEW},
      {64, REPLAY_NEW},
      {HI(5, 64), REPLAY_NEW},
      {HI(5, 1), REPLAY_NEW},
      {HI(5, 64), REPLAY_SEEN},
      {64, REPLAY_TOO_OLD}}},
    {"a jump of exactly the ring",
     64,
     {{10, REPLAY_NEW},
      {138, REPLAY_NEW},
      {137, REPLAY_NEW},
      {75, REPLAY_NEW},
      {74, REPLAY_TOO_OLD}}},
    {"across 2^32",
     64,
     {{0xffffffff, REPLAY_NEW},
      {HI(1, 0), REPLAY_NEW},
      {HI(1, 0), REPLAY_SEEN},
      {0xffffffff, REPLAY_SEEN},
      {0xfffffffe, REPLAY_NEW},
      {HI(1, 5), REPLAY_NEW},
      {0xffffffc6, REPLAY_NEW},
      {0xffffffc5, REPLAY_TOO_OLD}}},
    {"the largest number",
     64,
     {{UINT64_MAX - 1, REPLAY_NEW},
      {UINT64_MAX, REPLAY_NEW},
      {UINT64_MAX, REPLAY_SEEN},
      {UINT64_MAX - 63, REPLAY_NEW},
      {UINT64_MAX - 64, REPLAY_TOO_OLD}}},
    {"without a window everything is new",
     0,
     {{5, REPLAY_NEW}, {5, REPLAY_NEW}, {1, REPLAY_NEW}, {HI(3, 0), REPLAY_NEW}, {2, REPLAY_NEW}}},
};

static void test_tables(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(runs); i++) {
		struct replay kept, *r = &kept;
		replay_init(r, runs[i].packets);
		for (size_t k = 0; k < ARRAY_LEN(runs[i].steps); k++) {
			const struct step *s = &runs[i].steps[k];
			if (s->seq == 0 && s->verdict == REPLAY_NEW)
				break;
			enum replay_verdict c = replay_check(r, s->seq), m = replay_mark(r, s->seq);
			if (c != s->verdict || m != s->verdict)
				fail_msg("%s: step %zu: check %d, mark %d, want %d", runs[i].name,
					 k, (int)c, (int)m, (int)s->verdict);
		}
		replay_clear(r);
	}
}

static void test_check_changes_nothing(void **state)
{
	(void)state;
	struct replay kept, *r = &kept;
	replay_init(r, 64);
	assert_false(replay_primed(r));
	assert_int_equal(replay_check(r, 7), REPLAY_NEW);
	assert_int_equal(replay_check(r, 7), REPLAY_NEW);
	assert_int_equal(replay_top(r), 0);
	assert_false(replay_primed(r));
	assert_int_equal(replay_mark(r, 7), REPLAY_NEW);
	assert_int_equal(replay_top(r), 7);
	assert_true(replay_primed(r));
	replay_clear(r);
}

/* --- the high half */

static const struct {
	const char *name;
	uint32_t packets;
	uint64_t top;
	uint32_t lo;
	uint64_t seq;
} inferences[] = {
    {"at the start", 64, 0, 1, 1},
    {"at the start, far", 64, 0, 0xfffffff0, 0xfffffff0},
    {"next", 64, 100, 101, 101},
    {"inside", 64, 100, 50, 50},
    {"left edge", 64, 100, 37, 37},
    {"behind the window is ahead of it", 64, 100, 36, HI(1, 36)},
    {"far ahead, same half", 64, 100, 0xffffffff, 0xffffffff},
    {"before the wrap, small number", 64, 0xffffffff, 0, HI(1, 0)},
    {"before the wrap, inside", 64, 0xfffffff0, 0xffffffb1, 0xffffffb1},
    {"before the wrap, behind", 64, 0xfffffff0, 0xffffffb0, HI(1, 0xffffffb0)},
    {"after the wrap, old half", 64, HI(1, 5), 0xfffffff0, 0xfffffff0},
    {"after the wrap, old half's edge", 64, HI(1, 5), 0xffffffc6, 0xffffffc6},
    {"after the wrap, behind the edge", 64, HI(1, 5), 0xffffffc5, HI(1, 0xffffffc5)},
    {"after the wrap, new half", 64, HI(1, 5), 6, HI(1, 6)},
    {"at the wrap", 64, HI(1, 0), 0xffffffff, 0xffffffff},
    {"window exactly in the new half", 64, HI(1, 63), 0, HI(1, 0)},
    {"window exactly in the new half, behind", 64, HI(1, 63), 0xffffffff, HI(1, 0xffffffff)},
    {"window one into the old half", 64, HI(1, 62), 0xffffffff, 0xffffffff},
    {"later halves", 64, HI(9, 5), 0xfffffffe, HI(8, 0xfffffffe)},
    {"later halves, forward", 64, HI(9, 0xfffffffe), 3, HI(10, 3)},
    {"large window", 65536, HI(2, 1000), 0xffff0400, HI(1, 0xffff0400)},
    {"largest window", MAX_WINDOW, HI(2, 1000), 0xfff00400, HI(1, 0xfff00400)},
    {"largest window, inside", MAX_WINDOW, HI(2, 2000000), 951425, HI(2, 951425)},
    {"largest window, ahead", MAX_WINDOW, HI(2, 2000000), 951424, HI(3, 951424)},
    {"no half below the first", 64, 5, 0xfffffff0, 0xfffffff0},
    {"no half above the last", 64, HI(0xffffffffu, 100), 1, HI(0xffffffffu, 1)},
    {"without a window: the top's half", 0, HI(7, 100), 50, HI(7, 50)},
    {"without a window: the top's half, ahead", 0, HI(7, 100), 0xffffffff, HI(7, 0xffffffff)},
};

static void test_infer(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(inferences); i++) {
		struct replay kept, *r = &kept;
		replay_init(r, inferences[i].packets);
		if (inferences[i].top)
			assert_int_equal(replay_mark(r, inferences[i].top), REPLAY_NEW);
		uint64_t seq = replay_infer(r, inferences[i].lo);
		if (seq != inferences[i].seq)
			fail_msg("%s: %llx", inferences[i].name, (unsigned long long)seq);
		replay_clear(r);
	}
}

/* A sender's stream around the wrap, known to the receiver by low halves only. */
static void test_stream_over_wrap(void **state)
{
	(void)state;
	static const uint32_t windows[] = {32, 64, 4096, 65536, MAX_WINDOW};
	for (size_t i = 0; i < ARRAY_LEN(windows); i++) {
		struct replay kept, *r = &kept;
		replay_init(r, windows[i]);
		uint64_t start = HI(3, 0) - 5000;
		replay_reset(r, start, false);
		for (uint64_t seq = start; seq < start + 10000; seq += 2) {
			/* Each pair swapped, and everything twice. */
			uint64_t order[] = {seq + 1, seq, seq + 1, seq};
			for (size_t k = 0; k < 4; k++) {
				uint64_t got = replay_infer(r, (uint32_t)order[k]);
				assert_true(got == order[k]);
				assert_int_equal(replay_mark(r, got),
						 k < 2 ? REPLAY_NEW : REPLAY_SEEN);
			}
		}
		assert_true(replay_top(r) == start + 9999);
		replay_clear(r);
	}
}

static void test_reset(void **state)
{
	(void)state;
	struct replay kept, *r = &kept;
	replay_init(r, 128);
	for (uint64_t seq = 1; seq < 500; seq++)
		assert_int_equal(replay_mark(r, seq), REPLAY_NEW);

	replay_reset(r, HI(77, 77), true);
	assert_true(replay_primed(r));
	assert_true(replay_top(r) == HI(77, 77));
	assert_int_equal(replay_check(r, HI(77, 77)), REPLAY_SEEN);
	assert_int_equal(replay_check(r, HI(77, 76)), REPLAY_TOO_OLD);
	assert_int_equal(replay_check(r, 499), REPLAY_TOO_OLD);
	assert_true(replay_infer(r, 78) == HI(77, 78));
	assert_int_equal(replay_mark(r, HI(77, 80)), REPLAY_NEW);
	assert_int_equal(replay_mark(r, HI(77, 78)), REPLAY_NEW);
	assert_int_equal(replay_mark(r, HI(77, 78)), REPLAY_SEEN);
	assert_int_equal(replay_missing(r, 0, UINT64_MAX), 1);

	/* Backwards, and the number itself still to come. */
	replay_reset(r, HI(5, 5), false);
	assert_int_equal(replay_check(r, HI(5, 4)), REPLAY_TOO_OLD);
	assert_int_equal(replay_mark(r, HI(5, 6)), REPLAY_NEW);
	assert_int_equal(replay_mark(r, HI(5, 5)), REPLAY_NEW);
	assert_int_equal(replay_mark(r, HI(5, 5)), REPLAY_SEEN);

	replay_reset(r, 0, false);
	assert_true(replay_primed(r));
	assert_int_equal(replay_check(r, 0), REPLAY_TOO_OLD);
	assert_int_equal(replay_check(r, 1), REPLAY_NEW);
	replay_clear(r);
}

static void test_missing(void **state)
{
	(void)state;
	struct replay kept, *r = &kept;
	replay_init(r, 256);
	assert_int_equal(replay_missing(r, 0, UINT64_MAX), 0);
	for (uint64_t seq = 1; seq <= 1000; seq++) {
		if (seq != 900 && seq != 901 && seq != 960 && seq != 700)
			assert_int_equal(replay_mark(r, seq), REPLAY_NEW);
	}
	static const struct {
		uint64_t from, to, missing;
	} rows[] = {
	    {0, UINT64_MAX, 3}, /* 700 left the window */
	    {745, 1000, 3},	{900, 901, 2}, {900, 900, 1},  {901, 960, 2},
	    {902, 959, 0},	{960, 960, 1}, {961, 1000, 0}, {1000, 2000, 0},
	    {1001, 2000, 0},	{950, 949, 0}, {0, 744, 0},    {896, 959, 2},
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		assert_int_equal(replay_missing(r, rows[i].from, rows[i].to), rows[i].missing);
	assert_int_equal(replay_mark(r, 1010), REPLAY_NEW);
	assert_int_equal(replay_missing(r, 0, UINT64_MAX), 3 + 9);
	replay_clear(r);

	replay_init(r, 64);
	assert_int_equal(replay_mark(r, UINT64_MAX), REPLAY_NEW);
	assert_int_equal(replay_missing(r, 0, UINT64_MAX), 63);
	replay_clear(r);

	replay_init(r, 0);
	assert_int_equal(replay_mark(r, 10), REPLAY_NEW);
	assert_int_equal(replay_missing(r, 0, UINT64_MAX), 0);
	replay_clear(r);
}

/* --- the model: one byte per number of a stretch, no ring */

#define STRETCH (1u << 22)

static uint64_t next_random(uint64_t *s)
{
	*s ^= *s << 13;
	*s ^= *s >> 7;
	*s ^= *s << 17;
	return *s;
}

static enum replay_verdict model_verdict(const uint8_t *seen, uint64_t base, uint64_t top,
					 uint32_t window, uint64_t seq)
{
	if (seq > top)
		return REPLAY_NEW;
	if (top - seq >= window || seq < base)
		return REPLAY_TOO_OLD;
	return seen[seq - base] ? REPLAY_SEEN : REPLAY_NEW;
}

static void run_against_model(uint32_t packets, uint64_t base, uint64_t seed)
{
	uint32_t window = (packets + 63) / 64 * 64;
	uint8_t *seen = calloc(STRETCH, 1);
	struct replay kept, *r = &kept;
	replay_init(r, packets);
	uint64_t top = base, s = seed;
	replay_reset(r, base, true);
	seen[0] = 1;
	for (int i = 0; i < 30000; i++) {
		uint64_t roll = next_random(&s), seq;
		if (roll % 8 < 4)
			seq = top + 1 + roll / 8 % 3;
		else if (roll % 8 < 7)
			seq = top - roll / 8 % (window + window / 8 + 2);
		else
			seq = top + roll / 8 % 1000 % (window * 2);
		if (seq < base || seq >= base + STRETCH)
			continue;
		enum replay_verdict want = model_verdict(seen, base, top, window, seq);
		assert_int_equal(replay_check(r, seq), want);
		assert_int_equal(replay_mark(r, seq), want);
		/* What may still be accepted is found by its low half alone. */
		if (want != REPLAY_TOO_OLD)
			assert_true(replay_infer(r, (uint32_t)seq) == seq);
		seen[seq - base] = 1;
		if (seq > top)
			top = seq;
		assert_true(replay_top(r) == top);
	}
	uint64_t missing = 0;
	for (uint64_t seq = top < base + window ? base : top - window + 1; seq <= top; seq++)
		missing += !seen[seq - base];
	assert_true(replay_missing(r, 0, UINT64_MAX) == missing);
	replay_clear(r);
	free(seen);
}

static void test_model(void **state)
{
	(void)state;
	static const uint32_t windows[] = {1, 32, 64, 128, 1000, 4096, 65536, MAX_WINDOW};
	for (size_t i = 0; i < ARRAY_LEN(windows); i++) {
		run_against_model(windows[i], 1, 12345 + i);
		run_against_model(windows[i], HI(1, 0) - 9000, 99 + i);
		run_against_model(windows[i], HI(0xdeadbeef, 0xfffff000), 7 + i);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_tables), cmocka_unit_test(test_check_changes_nothing),
	    cmocka_unit_test(test_infer),  cmocka_unit_test(test_stream_over_wrap),
	    cmocka_unit_test(test_reset),  cmocka_unit_test(test_missing),
	    cmocka_unit_test(test_model),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
