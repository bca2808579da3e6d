/* SPDX-License-Identifier: MIT */
/* Pools of home addresses: the same again, nothing twice, all of them, and the past. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>
#include "base/clock.h"
#include "base/mem.h"
#include "daemon/pool.h"
#include "daemon/pool_bits.h"

static struct addr ip(const char *text)
{
	struct addr a;
	assert_int_equal(addr_parse(text, &a), 0);
	return a;
}

static void range_add(struct pool_config *cfg, const char *from, const char *to)
{
	cfg->ranges[cfg->range_count++] = (struct pool_range){.from = ip(from), .to = ip(to)};
}

static struct addr take(struct pool *p, unsigned who, uint8_t family)
{
	struct addr a;
	assert_int_equal(pool_take(p, &who, sizeof who, family, NULL, &a), 0);
	assert_int_equal(a.family, family);
	assert_true(pool_has(p, &a));
	assert_true(pool_covers(p, &a));
	return a;
}

static void assert_addr(struct addr a, const char *text)
{
	char is[ADDR_TEXT_MAX];
	assert_string_equal(addr_format(&a, is), text);
}

static void test_same_again(void **state)
{
	(void)state;
	struct pool_config cfg = {0};
	range_add(&cfg, "10.1.0.0", "10.1.255.255");
	range_add(&cfg, "fd00:1::1:0", "fd00:1::1:ffff");
	struct pool *p = pool_new(&cfg), *q = pool_new(&cfg);
	struct addr a4 = take(p, 1, 4), a6 = take(p, 1, 6), b4 = take(p, 2, 4);
	assert_false(addr_equal(&a4, &b4));
	/* Also while it has it, and after it was away. */
	struct addr again = take(p, 1, 4);
	assert_true(addr_equal(&again, &a4));
	assert_int_equal(pool_counts(p, 4).used, 2);
	pool_give(p, &a4);
	pool_give(p, &a4);
	assert_false(pool_has(p, &a4));
	assert_int_equal(pool_counts(p, 4).used, 1);
	assert_int_equal(pool_counts(p, 4).remembered, 1);
	for (unsigned i = 100; i < 200; i++)
		take(p, i, 4);
	again = take(p, 1, 4);
	assert_true(addr_equal(&again, &a4));
	/* A server that was restarted gives the same. */
	again = take(q, 1, 4);
	assert_true(addr_equal(&again, &a4));
	again = take(q, 1, 6);
	assert_true(addr_equal(&again, &a6));
	pool_free(p);
	pool_free(q);
}

static void test_everyone(void **state)
{
	(void)state;
	struct addr fixed[] = {ip("10.0.0.7"), ip("10.0.2.1"), ip("10.0.0.7"), ip("192.0.2.1")};
	struct pool_config cfg = {.excluded = fixed, .excluded_count = ARRAY_LEN(fixed)};
	range_add(&cfg, "10.0.0.1", "10.0.0.200");
	range_add(&cfg, "10.0.2.1", "10.0.2.1");
	range_add(&cfg, "10.0.3.0", "10.0.3.9");
	struct pool *p = pool_new(&cfg);
	struct addr a, given[209];
	assert_int_equal(pool_counts(p, 4).size, 211);
	assert_int_equal(pool_counts(p, 4).excluded, 2);
	for (unsigned i = 0; i < 209; i++) {
		given[i] = take(p, i, 4);
		for (unsigned k = 0; k < i; k++)
			assert_false(addr_equal(&given[i], &given[k]));
		for (unsigned k = 0; k < ARRAY_LEN(fixed); k++)
			assert_false(addr_equal(&given[i], &fixed[k]));
	}
	unsigned who = 999;
	assert_int_equal(pool_take(p, &who, sizeof who, 4, NULL, &a), -ENOSPC);
	assert_int_equal(pool_take(p, &who, sizeof who, 6, NULL, &a), -EAFNOSUPPORT);
	pool_give(p, &given[5]);
	pool_give(p, &given[9]);
	pool_give(p, &given[5]);
	/* The oldest is forgotten first, and only when there is nothing else. */
	a = take(p, who, 4);
	assert_true(addr_equal(&a, &given[5]));
	a = take(p, 9, 4);
	assert_true(addr_equal(&a, &given[9]));
	who = 5;
	assert_int_equal(pool_take(p, &who, sizeof who, 4, NULL, &a), -ENOSPC);
	pool_free(p);
}

static void test_wishes(void **state)
{
	(void)state;
	struct addr fixed = ip("10.0.0.7"), a, wish = ip("10.0.0.9");
	struct pool_config cfg = {.excluded = &fixed, .excluded_count = 1};
	range_add(&cfg, "10.0.0.0", "10.0.0.255");
	struct pool *p = pool_new(&cfg);
	assert_int_equal(pool_take(p, "a", 1, 4, &wish, &a), 0);
	assert_addr(a, "10.0.0.9");
	/* Not what another has or had, what is fixed, or elsewhere. */
	const char *const no[] = {"10.0.0.9", "10.0.0.7", "10.0.1.0", "fd00::1"};
	for (unsigned i = 0; i < ARRAY_LEN(no); i++) {
		wish = ip(no[i]);
		assert_int_equal(pool_take(p, no[i], 8, 4, &wish, &a), 0);
		assert_false(addr_equal(&a, &wish));
	}
	wish = ip("10.0.0.9");
	pool_give(p, &wish);
	assert_int_equal(pool_take(p, "b", 1, 4, &wish, &a), 0);
	assert_false(addr_equal(&a, &wish));
	pool_free(p);
}

static void test_past_is_bounded(void **state)
{
	(void)state;
	struct pool_config cfg = {.remembered_max = 10};
	range_add(&cfg, "fd00::", "fd00::ffff:ffff:ffff:ffff");
	struct pool *p = pool_new(&cfg);
	struct addr first[30];
	for (unsigned i = 0; i < 30; i++)
		first[i] = take(p, i, 6);
	for (unsigned i = 0; i < 30; i++)
		pool_give(p, &first[i]);
	assert_int_equal(pool_counts(p, 6).remembered, 10);
	/* Where somebody else asked for it meanwhile, only the remembered ones are kept. */
	struct addr a, wish = first[3];
	assert_int_equal(pool_take(p, "x", 1, 6, &wish, &a), 0);
	assert_true(addr_equal(&a, &first[3]));
	wish = first[25];
	assert_int_equal(pool_take(p, "y", 1, 6, &wish, &a), 0);
	assert_false(addr_equal(&a, &first[25]));
	a = take(p, 3, 6);
	assert_false(addr_equal(&a, &first[3]));
	a = take(p, 25, 6);
	assert_true(addr_equal(&a, &first[25]));
	pool_free(p);
}

static void test_inherit(void **state)
{
	(void)state;
	struct pool_config cfg = {0}, fresh = {0};
	range_add(&cfg, "10.0.0.0", "10.0.0.255");
	struct pool *p = pool_new(&cfg);
	struct addr a = ip("10.0.0.10"), b = ip("10.0.0.20"), c = ip("10.0.0.200"),
		    d = ip("10.0.0.30"), got;
	assert_int_equal(pool_take(p, "a", 1, 4, &a, &got), 0);
	assert_int_equal(pool_take(p, "b", 1, 4, &b, &got), 0);
	assert_int_equal(pool_take(p, "c", 1, 4, &c, &got), 0);
	assert_int_equal(pool_take(p, "d", 1, 4, &d, &got), 0);
	pool_give(p, &b);
	range_add(&fresh, "10.0.0.0", "10.0.0.99");
	fresh.excluded = &d;
	fresh.excluded_count = 1;
	struct pool *q = pool_new(&fresh);
	pool_inherit(q, p);
	assert_true(pool_has(q, &a));
	assert_false(pool_has(q, &b));
	assert_false(pool_has(q, &c));
	assert_false(pool_has(q, &d));
	assert_int_equal(pool_take(q, "b", 1, 4, NULL, &got), 0);
	assert_true(addr_equal(&got, &b));
	pool_free(p);
	pool_free(q);
}

/* As many terminals as addresses: each is found in a time that does not grow. */
static void test_many(void **state)
{
	(void)state;
	enum { MANY = 65536 };
	struct pool_config cfg = {0};
	range_add(&cfg, "10.0.0.0", "10.0.255.255");
	struct pool *p = pool_new(&cfg);
	uint8_t *seen = mem_zalloc(MANY);
	usec_t begin = clock_now_us();
	for (unsigned i = 0; i < MANY; i++) {
		struct addr a = take(p, i, 4);
		unsigned n = (unsigned)a.b[2] << 8 | a.b[3];
		assert_int_equal(seen[n]++, 0);
	}
	for (unsigned i = 0; i < MANY; i++) {
		struct addr a = take(p, i, 4);
		pool_give(p, &a);
		struct addr again = take(p, i, 4);
		assert_true(addr_equal(&a, &again));
	}
	/* A walk over all for each would take minutes. */
	assert_true(clock_now_us() - begin < 10 * (usec_t)USEC_PER_SEC);
	free(seen);
	pool_free(p);
}

static void test_bits(void **state)
{
	(void)state;
	const uint32_t sizes[] = {1, 63, 64, 65, 4096, 4097, 300000};
	for (unsigned k = 0; k < ARRAY_LEN(sizes); k++) {
		struct pool_bits b;
		uint32_t size = sizes[k], i = size / 2;
		pool_bits_init(&b, size);
		for (uint32_t n = 0; n < size; n++) {
			i = pool_bits_free(&b, i);
			assert_true(i < size);
			assert_false(pool_bits_has(&b, i));
			pool_bits_set(&b, i, true);
			i = (i + 4999) % size;
		}
		assert_int_equal(pool_bits_free(&b, 0), UINT32_MAX);
		assert_int_equal(pool_bits_free(&b, size - 1), UINT32_MAX);
		pool_bits_set(&b, size / 3, false);
		assert_int_equal(pool_bits_free(&b, size - 1), size / 3);
		assert_int_equal(pool_bits_free(&b, 0), size / 3);
		pool_bits_clear(&b);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_same_again), cmocka_unit_test(test_everyone),
	    cmocka_unit_test(test_wishes),     cmocka_unit_test(test_past_is_bounded),
	    cmocka_unit_test(test_inherit),    cmocka_unit_test(test_many),
	    cmocka_unit_test(test_bits),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
