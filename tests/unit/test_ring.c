/* SPDX-License-Identifier: MIT */
#include "vectors.h"
#include <pthread.h>
#include <sched.h>
#include "base/ring.h"

#define THREAD_COUNT 200000u

static void ring_sizes(void **state)
{
	(void)state;
	static const struct {
		size_t element_len, count;
		bool ok;
	} table[] = {
	    {1, 1, true},  {24, 64, true},	     {8, 3, false}, {8, 0, false}, {0, 8, false},
	    {8, 6, false}, {SIZE_MAX / 2, 4, false},
	};

	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		struct ring *r = ring_new(table[i].element_len, table[i].count);
		assert_int_equal(r != NULL, table[i].ok);
		ring_free(r);
	}
}

/* For every count: fills, refuses, empties, in order, and over the end many times. */
static void ring_order(void **state)
{
	(void)state;
	for (size_t count = 1; count <= 16; count *= 2) {
		struct ring *r = ring_new(sizeof(uint32_t), count);
		uint32_t in = 0, out = 0;
		assert_non_null(r);
		for (size_t round = 0; round < 50; round++) {
			size_t n = round % (count + 1);
			for (size_t i = 0; i < n; i++) {
				uint32_t *slot = ring_slot(r);
				assert_non_null(slot);
				*slot = in++;
				ring_push(r);
			}
			if (n == count)
				assert_null(ring_slot(r));
			for (size_t i = 0; i < n; i++) {
				uint32_t *e = ring_peek(r);
				assert_non_null(e);
				assert_int_equal(*e, out++);
				ring_pop(r);
			}
			assert_null(ring_peek(r));
		}
		assert_int_equal(in, out);
		ring_free(r);
	}
}

static void ring_unpushed_is_unseen(void **state)
{
	(void)state;
	struct ring *r = ring_new(1, 2);
	uint8_t *slot = ring_slot(r);

	*slot = 7;
	assert_null(ring_peek(r));
	assert_ptr_equal(ring_slot(r), slot);
	ring_push(r);
	assert_ptr_equal(ring_peek(r), slot);
	assert_ptr_equal(ring_peek(r), slot); /* until it is popped */
	ring_free(r);
}

/* Larger than a word, so that a slot seen too early shows as halves that disagree. */
struct pair {
	uint64_t a;
	uint64_t b[5];
};

static void *produce(void *ctx)
{
	for (uint64_t i = 0; i < THREAD_COUNT;) {
		struct pair *p = ring_slot(ctx);
		if (!p) {
			sched_yield();
			continue;
		}
		*p = (struct pair){.a = i, .b = {[4] = ~i}};
		ring_push(ctx);
		i++;
	}
	return NULL;
}

static void ring_two_threads(void **state)
{
	(void)state;
	struct ring *r = ring_new(sizeof(struct pair), 32);
	pthread_t thread;

	assert_non_null(r);
	assert_int_equal(pthread_create(&thread, NULL, produce, r), 0);
	for (uint64_t i = 0; i < THREAD_COUNT;) {
		struct pair *p = ring_peek(r);
		if (!p) {
			sched_yield();
			continue;
		}
		assert_int_equal(p->a, i);
		assert_int_equal(p->b[4], ~i);
		ring_pop(r);
		i++;
	}
	pthread_join(thread, NULL);
	assert_null(ring_peek(r));
	ring_free(r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(ring_sizes),
	    cmocka_unit_test(ring_order),
	    cmocka_unit_test(ring_unpushed_is_unseen),
	    cmocka_unit_test(ring_two_threads),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
