/* SPDX-License-Identifier: MIT */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <string.h>
#include "base/heap.h"
#include "base/mem.h"

#define ITEMS 300

static uint64_t rng = 1;

static uint32_t below(uint32_t n)
{
	rng = rng * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t)(rng >> 33) % n;
}

static usec_t least(const struct heap_item *items)
{
	usec_t first = USEC_NEVER;
	for (int i = 0; i < ITEMS; i++)
		if (items[i].index && items[i].at_us < first)
			first = items[i].at_us;
	return first;
}

/* Any order of setting, moving and taking out: the first is always the earliest. */
static void test_order(void **state)
{
	(void)state;
	struct heap h = {0};
	struct heap_item items[ITEMS];
	memset(items, 0, sizeof items);
	for (int step = 0; step < 20000; step++) {
		struct heap_item *i = &items[below(ITEMS)];
		heap_set(&h, i, below(4) ? below(1000) : USEC_NEVER);
		const struct heap_item *first = heap_first(&h);
		usec_t want = least(items);
		assert_true(first ? first->at_us == want : want == USEC_NEVER);
	}
	usec_t last = 0;
	unsigned count = h.count, taken = 0;
	for (struct heap_item *i; (i = heap_first(&h)); taken++) {
		assert_true(i->at_us >= last);
		last = i->at_us;
		heap_set(&h, i, USEC_NEVER);
		assert_int_equal(i->index, 0);
	}
	assert_int_equal(taken, count);
	heap_clear(&h);
}

static void test_empty(void **state)
{
	(void)state;
	struct heap h = {0};
	struct heap_item i = {0};
	assert_null(heap_first(&h));
	heap_set(&h, &i, USEC_NEVER); /* was never in it */
	assert_null(heap_first(&h));
	heap_set(&h, &i, 5);
	assert_ptr_equal(heap_first(&h), &i);
	heap_clear(&h);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_order),
					   cmocka_unit_test(test_empty)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
