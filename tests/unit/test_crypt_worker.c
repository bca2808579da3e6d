/* SPDX-License-Identifier: MIT */
/* A worker's key schedules: more keys than places, keys that are forgotten, runs of any length. */
#include "crypt_rig.h"

/* More keys than places: they take turns, and each packet is sealed with its own. */
static void test_more_keys_than_schedules(void **state)
{
	(void)state;
	enum { KEYS = 40, ROUNDS = 6 };
	struct err err;
	struct crypt_worker *usual = worker;
	for (unsigned places = 1; places <= 16; places *= 4) {
		worker = crypt_worker_new(library, places, &err);
		struct pair pairs[KEYS];
		for (unsigned i = 0; i < KEYS; i++)
			pair_new(&pairs[i], &combos[i % ARRAY_LEN(combos)], (uint8_t)i);
		for (uint32_t seq = 1; seq <= ROUNDS * KEYS; seq++) {
			struct pair *p = &pairs[seq * 7 % (seq % 3 ? KEYS : 5)];
			uint8_t esp[PACKET_MAX], copy[PACKET_MAX];
			size_t len = packet_make(p, esp, 1 + seq % 60, 0xdead0000, seq);
			assert_true(seal_one(p->seal, esp, len, 0, true));
			memcpy(copy, esp, len);
			assert_true(reference_open(p, copy, len, 0, true));
			if (seq % 5 == 0)
				crypt_worker_forget(worker, crypt_id(seq % 2 ? p->open : p->seal));
			assert_true(open_one(p->open, esp, len, 0, true));
			assert_true(text_intact(p, esp, len, seq));
		}
		for (unsigned i = 0; i < KEYS; i++)
			pair_free(&pairs[i]);
		crypt_worker_free(worker);
	}
	worker = usual;
}

/* What is forgotten is made again from the key, and nothing of it stays. */
static void test_forgets(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(combos); i++) {
		struct pair p;
		pair_new(&p, &combos[i], (uint8_t)i);
		uint8_t esp[PACKET_MAX];
		crypt_worker_forget(worker, crypt_id(p.seal)); /* nothing was made yet */
		for (uint32_t seq = 1; seq < 8; seq++) {
			size_t len = packet_make(&p, esp, 4, 0xdead0000, seq);
			assert_true(seal_one(p.seal, esp, len, 0, true));
			unsigned place = (unsigned)crypt_id(p.seal) & worker->schedule_mask;
			const struct crypt_schedule *s = &worker->schedules[place];
			assert_true(worker->tags[place].owner == crypt_id(p.seal));
			crypt_worker_forget(worker, crypt_id(p.seal));
			assert_true(worker->tags[place].owner == 0);
			for (size_t at = 0; at < sizeof(s->room); at++)
				assert_int_equal(s->room[at], 0);
			assert_true(open_one(p.open, esp, len, 0, true));
			assert_true(text_intact(&p, esp, len, seq));
		}
		pair_free(&p);
	}
}

/* Runs of every length about those at which a library changes its way. */
static void test_runs_of_every_length(void **state)
{
	(void)state;
	enum { N = 140 };
	static uint8_t packets[N][PACKET_MAX], copies[N][PACKET_MAX];
	struct crypt_op ops[N];
	for (size_t i = 0; i < ARRAY_LEN(combos); i++) {
		struct pair p;
		pair_new(&p, &combos[i], (uint8_t)(90 + i));
		for (unsigned n = 1; n <= N; n += n < 20 ? 1 : 23) {
			for (uint32_t k = 0; k < n; k++)
				ops[k] = (struct crypt_op){
				    .crypt = p.seal,
				    .esp = packets[k],
				    .len = (uint32_t)packet_make(&p, packets[k], 1 + k % 60, n, k),
				    .seq_hi = k,
				    .esn = n % 2};
			crypt_seal(worker, ops, n);
			for (uint32_t k = 0; k < n; k++) {
				assert_true(ops[k].ok);
				memcpy(copies[k], packets[k], ops[k].len);
				assert_true(reference_open(&p, copies[k], ops[k].len, k, n % 2));
				ops[k].crypt = p.open;
			}
			uint32_t bad = n / 2;
			packets[bad][ops[bad].len - 1] ^= 1;
			crypt_open(worker, ops, n);
			for (uint32_t k = 0; k < n; k++) {
				assert_int_equal(ops[k].ok, k != bad);
				if (k != bad)
					assert_true(text_intact(&p, packets[k], ops[k].len, k));
			}
		}
		pair_free(&p);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_more_keys_than_schedules),
	    cmocka_unit_test(test_forgets),
	    cmocka_unit_test(test_runs_of_every_length),
	};
	return run_with_each_library(tests, ARRAY_LEN(tests));
}
