/* SPDX-License-Identifier: MIT */
/* Longest-prefix match: a table of lookups, random tables against a linear search, and a
 * reader beside a writer. */
#include <pthread.h>
#include <sched.h>
#include "fwd_rig.h"
#include "forward/fib.h"

static struct active *mark(uint8_t n)
{
	return active_new(n); /* by which it is told from others */
}

static int find(const struct fib *f, const char *dst)
{
	struct addr a = rig_addr(dst);
	const struct active *found = fib_find(f, &a);
	return found ? found->count : 0;
}

static void set(struct fib *f, const char *prefix, uint8_t n)
{
	struct prefix p = rig_prefix(prefix);
	assert_int_equal(fib_set(f, &p, n ? mark(n) : NULL), 0);
}

static void test_longest(void **state)
{
	(void)state;
	struct fib *f = fib_new();
	assert_int_equal(find(f, "10.1.2.3"), 0);
	set(f, "10.0.0.0/8", 1);
	set(f, "10.1.0.0/16", 2);
	set(f, "10.1.2.3", 3);
	set(f, "fd00::/8", 4);
	set(f, "fd00::/64", 5);
	set(f, "fd00::1", 6);
	static const struct {
		const char *dst;
		int want;
	} rows[] = {
	    {"10.1.2.3", 3}, {"10.1.2.4", 2}, {"10.2.0.0", 1},	   {"11.0.0.0", 0},
	    {"fd00::1", 6},  {"fd00::2", 5},  {"fd01::", 4},	   {"fe80::1", 0},
	    {"::1", 0},	     {"0.0.0.0", 0},  {"10.1.255.255", 2},
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		assert_int_equal(find(f, rows[i].dst), rows[i].want);

	set(f, "0.0.0.0/0", 7);
	set(f, "::/0", 8);
	assert_int_equal(find(f, "11.0.0.0"), 7);
	assert_int_equal(find(f, "::1"), 8);
	set(f, "10.1.2.3", 9); /* replaced */
	assert_int_equal(find(f, "10.1.2.3"), 9);
	set(f, "10.1.2.3", 0);
	assert_int_equal(find(f, "10.1.2.3"), 2);
	set(f, "10.1.2.3", 0); /* was not there */
	set(f, "10.1.0.0/16", 0);
	assert_int_equal(find(f, "10.1.2.3"), 1);
	set(f, "0.0.0.0/0", 0);
	assert_int_equal(find(f, "11.0.0.0"), 0);
	assert_int_equal(find(f, "10.1.2.3"), 1);
	struct addr none = {0};
	assert_null(fib_find(f, &none));
	fib_free(f);
}

#define RANDOM 300

static void test_random(void **state)
{
	static struct prefix have[RANDOM];
	static uint8_t value[RANDOM];
	(void)state;
	struct fib *f = fib_new();
	uint32_t x = 12345;
	for (int round = 0; round < 6000; round++) {
		uint8_t bytes[16];
		rig_fill(bytes, sizeof(bytes), x);
		x = x * 69069 + 1;
		bytes[0] = 10;
		bytes[1] &= 3; /* few, so that they nest */
		uint8_t family = x >> 31 ? 4 : 6;
		struct addr a = addr_from_bytes(family, bytes);
		if (round % 3 == 0) {
			struct prefix p =
			    prefix_of(&a, (uint8_t)((x >> 8) % (family == 4 ? 33 : 129)));
			int i = (int)(x >> 16) % RANDOM;
			if (value[i])
				assert_int_equal(fib_set(f, &have[i], NULL), 0);
			for (int j = 0; j < RANDOM; j++)
				if (value[j] && prefix_equal(&have[j], &p))
					value[j] = 0;
			have[i] = p;
			value[i] = (uint8_t)(1 + x % 200);
			assert_int_equal(fib_set(f, &p, mark(value[i])), 0);
		}
		int want = 0, best = -1;
		for (int j = 0; j < RANDOM; j++) {
			if (value[j] && have[j].len > best && prefix_contains(&have[j], &a)) {
				best = have[j].len;
				want = value[j];
			}
		}
		const struct active *got = fib_find(f, &a);
		assert_int_equal(got ? got->count : 0, want);
	}
	fib_free(f);
}

struct reader_ctx {
	struct fib *f;
	_Atomic bool stop;
	_Atomic unsigned long found;
	unsigned long wrong;
};

static void *reader(void *arg)
{
	struct reader_ctx *c = arg;
	struct addr a = rig_addr("10.1.2.3");
	rcu_register_thread();
	while (!atomic_load(&c->stop)) {
		for (int i = 0; i < 100; i++) {
			const struct active *found = fib_find(c->f, &a);
			if (!found || found->count == 0 || found->count > 3)
				c->wrong++;
			c->found++;
		}
		rcu_quiescent_state();
	}
	rcu_unregister_thread();
	return NULL;
}

/* The default route is always there; what comes and goes must never hide it or dangle. */
static void test_reader(void **state)
{
	(void)state;
	struct reader_ctx c = {.f = fib_new()};
	pthread_t thread;
	set(c.f, "0.0.0.0/0", 1);
	assert_int_equal(pthread_create(&thread, NULL, reader, &c), 0);
	while (atomic_load(&c.found) == 0)
		sched_yield();
	for (int i = 0; i < 3000; i++) {
		set(c.f, "10.1.2.3", (uint8_t)(i % 3));
		set(c.f, "10.0.0.0/8", (uint8_t)(i % 2 ? 3 : 0));
	}
	atomic_store(&c.stop, true);
	rcu_thread_offline();
	pthread_join(thread, NULL);
	rcu_thread_online();
	assert_int_equal(c.wrong, 0);
	fib_free(c.f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_longest),
	    cmocka_unit_test(test_random),
	    cmocka_unit_test(test_reader),
	};
	return cmocka_run_group_tests(tests, rig_group_setup, rig_group_teardown);
}
