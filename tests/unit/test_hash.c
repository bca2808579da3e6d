/* SPDX-License-Identifier: MIT */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <string.h>
#include "base/hash.h"

#define ITEMS 1000

struct item {
	int name;
	struct hash_link link;
};

static struct item *find(const struct hash *h, uint64_t hash, int name)
{
	for (struct hash_link *l = hash_find(h, hash); l; l = hash_next(l)) {
		struct item *i = hash_owner(l, struct item, link);
		if (i->name == name)
			return i;
	}
	return NULL;
}

/* Many with few hashes: long chains, growth, leaving in any order. */
static void test_index(void **state)
{
	(void)state;
	static const uint64_t spreads[] = {1, 3, 64, ITEMS};
	static struct item items[ITEMS];
	for (size_t s = 0; s < 4; s++) {
		struct hash h = {0};
		memset(items, 0, sizeof items);
		assert_null(hash_find(&h, 0));
		for (int i = 0; i < ITEMS; i++) {
			items[i].name = i;
			hash_add(&h, &items[i].link, (uint64_t)i % spreads[s]);
		}
		assert_int_equal(h.count, ITEMS);
		for (int i = 0; i < ITEMS; i += 2)
			hash_remove(&h, &items[i].link);
		hash_remove(&h, &items[0].link);
		assert_int_equal(h.count, ITEMS / 2);
		for (int i = 0; i < ITEMS; i++)
			assert_ptr_equal(find(&h, (uint64_t)i % spreads[s], i),
					 i % 2 ? &items[i] : NULL);
		/* The latest first, also after growing. */
		struct hash_link *l = hash_find(&h, 1 % spreads[s]);
		for (struct hash_link *next; l && (next = hash_next(l)); l = next)
			assert_true(hash_owner(l, struct item, link)->name >
				    hash_owner(next, struct item, link)->name);
		hash_clear(&h);
	}
}

static void test_bytes(void **state)
{
	(void)state;
	uint8_t data[40];
	unsigned buckets[16] = {0};
	for (size_t i = 0; i < sizeof data; i++)
		data[i] = (uint8_t)i;
	for (size_t len = 0; len < sizeof data; len++) {
		uint64_t was = hash_bytes(7, data, len);
		assert_true(hash_bytes(7, data, len) == was);
		assert_true(hash_bytes(8, data, len) != was);
		assert_true(hash_bytes(7, data, len + 1) != was);
		for (size_t i = 0; i < len; i++) {
			data[i] ^= 0x80;
			assert_true(hash_bytes(7, data, len) != was);
			data[i] ^= 0x80;
		}
	}
	for (uint32_t i = 0; i < 16000; i++)
		buckets[hash_bytes(7, &i, sizeof i) & 15]++;
	for (size_t i = 0; i < 16; i++)
		assert_in_range(buckets[i], 850, 1150);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_index),
					   cmocka_unit_test(test_bytes)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
