/* SPDX-License-Identifier: MIT */
#include "vectors.h"
#include <pthread.h>
#include <sched.h>
#include <stdbool.h>
#include "base/bytering.h"

#define THREAD_COUNT 100000u

static void bytering_sizes(void **state)
{
	(void)state;
	static const struct {
		size_t size;
		bool ok;
	} table[] = {{0, false}, {16, false}, {32, true}, {48, false}, {1024, true}, {1000, false}};

	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		struct bytering *r = bytering_new(table[i].size);
		assert_int_equal(r != NULL, table[i].ok);
		bytering_free(r);
	}
	struct bytering *r = bytering_new(256);
	assert_null(bytering_slot(r, 241));
	assert_null(bytering_slot(r, SIZE_MAX));
	assert_null(bytering_slot(r, SIZE_MAX - 20));
	assert_non_null(bytering_slot(r, 240));
	assert_null(bytering_peek(r)); /* not pushed */
	bytering_push(r);
	assert_null(bytering_slot(r, 0));
	assert_non_null(bytering_peek(r));
	bytering_pop(r);
	assert_null(bytering_peek(r));
	bytering_free(r);
}

static size_t length_of(uint32_t i, size_t max)
{
	return 4 + (i * 2654435761u >> 8) % (max - 3);
}

static void put(uint8_t *p, size_t len, uint32_t i)
{
	assert_int_equal((uintptr_t)p % 16, 0);
	memset(p, (int)(uint8_t)(i ^ len), len);
	memcpy(p, &i, 4);
}

static void look(const uint8_t *p, size_t len, uint32_t i)
{
	uint32_t n;
	memcpy(&n, p, 4);
	assert_int_equal(n, i);
	for (size_t k = 4; k < len; k++)
		assert_int_equal(p[k], (uint8_t)(i ^ len));
}

/* Records of every length in order, over the end many times; one of half the size always finds
 * room in an empty ring. */
static void bytering_order(void **state)
{
	(void)state;
	enum { SIZE = 1024, LEN = SIZE / 2 - 16 };
	struct bytering *r = bytering_new(SIZE);
	uint32_t in = 0, out = 0;
	for (unsigned round = 0; round < 3000; round++) {
		uint8_t *p;
		for (unsigned n = round % 7; n > 0; n--) {
			if (!(p = bytering_slot(r, length_of(in, LEN))))
				break;
			put(p, length_of(in, LEN), in);
			bytering_push(r);
			in++;
		}
		for (unsigned n = 1 + round % 5; n > 0 && (p = bytering_peek(r)); n--) {
			look(p, length_of(out, LEN), out);
			assert_ptr_equal(bytering_peek(r), p);
			bytering_pop(r);
			out++;
		}
		if (in != out)
			continue;
		assert_null(bytering_peek(r));
		assert_non_null(bytering_slot(r, LEN)); /* not pushed: nothing happened */
	}
	assert_true(in > 3000);
	bytering_free(r);
}

/* What it holds is bounded by its size, and nothing is lost of what was taken. */
static void bytering_full(void **state)
{
	(void)state;
	struct bytering *r = bytering_new(4096);
	for (uint32_t lap = 0; lap < 40; lap++) {
		uint32_t in = 0;
		uint8_t *p;
		for (; (p = bytering_slot(r, 100 + lap)); in++) {
			put(p, 100 + lap, in);
			bytering_push(r);
		}
		assert_true(in >= 4096 / 176 - 1 && in <= 4096 / 128);
		for (uint32_t i = 0; i < in; i++) {
			look(bytering_peek(r), 100 + lap, i);
			bytering_pop(r);
		}
		assert_null(bytering_peek(r));
	}
	bytering_free(r);
}

static void *produce(void *ctx)
{
	for (uint32_t i = 0; i < THREAD_COUNT;) {
		size_t len = length_of(i, 300);
		uint8_t *p = bytering_slot(ctx, len);
		if (!p) {
			sched_yield();
			continue;
		}
		memset(p, (int)(uint8_t)(i ^ len), len);
		memcpy(p, &i, 4);
		bytering_push(ctx);
		i++;
	}
	return NULL;
}

static void bytering_two_threads(void **state)
{
	(void)state;
	struct bytering *r = bytering_new(2048);
	pthread_t thread;

	assert_int_equal(pthread_create(&thread, NULL, produce, r), 0);
	for (uint32_t i = 0; i < THREAD_COUNT;) {
		uint8_t *p = bytering_peek(r);
		if (!p) {
			sched_yield();
			continue;
		}
		look(p, length_of(i, 300), i);
		bytering_pop(r);
		i++;
	}
	pthread_join(thread, NULL);
	assert_null(bytering_peek(r));
	bytering_free(r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(bytering_sizes),
	    cmocka_unit_test(bytering_order),
	    cmocka_unit_test(bytering_full),
	    cmocka_unit_test(bytering_two_threads),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
