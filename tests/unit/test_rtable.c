/* SPDX-License-Identifier: MIT */
/* The table that packet threads read: against a plain list, with hashes that meet, and a reader
 * beside a writer that makes it grow and shrink. */
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "base/mem.h"
#include "sadb/rtable.h"

#define ITEMS  4000
#define ALWAYS 50

struct item {
	uint32_t name;
	bool in;
	struct rcu_head rcu;
};

static bool is_named(const void *item, const void *key)
{
	return ((const struct item *)item)->name == *(const uint32_t *)key;
}

static uint32_t spread(uint32_t name, uint32_t hashes)
{
	return name % hashes * 0x9e3779b1u;
}

static struct item *find(const struct rtable *t, uint32_t name, uint32_t hashes)
{
	return rtable_find(t, spread(name, hashes), is_named, &name);
}

static uint32_t next(uint32_t *state)
{
	*state = *state * 1664525 + 1013904223;
	return *state >> 8;
}

static void count(void *ctx, void *item)
{
	assert_true(((struct item *)item)->in);
	++*(size_t *)ctx;
}

static void check_all(const struct rtable *t, struct item *items, size_t in, uint32_t hashes)
{
	size_t seen = 0;
	for (uint32_t i = 0; i < ITEMS; i++)
		assert_ptr_equal(find(t, i, hashes), items[i].in ? &items[i] : NULL);
	rtable_each(t, count, &seen);
	assert_int_equal(seen, in);
	assert_int_equal(t->count, in);
}

/* Hashes of which all differ, of which a few are shared by many, and one alone. */
static void test_against_a_list(void **state)
{
	(void)state;
	static const uint32_t hashes[] = {ITEMS, ITEMS / 20, 7, 1};
	static struct item items[ITEMS];
	for (size_t h = 0; h < ARRAY_LEN(hashes); h++) {
		struct rtable t;
		uint32_t random = 1;
		size_t in = 0;
		rtable_init(&t);
		for (uint32_t i = 0; i < ITEMS; i++)
			items[i] = (struct item){.name = i};
		/* It fills, is half full for a while, and empties. */
		uint32_t most = hashes[h] < 100 ? ITEMS / 10 : ITEMS;
		for (int round = 0; round < 8000; round++) {
			struct item *i = &items[next(&random) % most];
			bool want = round < 3000 ? true : round < 5000 ? next(&random) % 2 : false;
			if (want && !i->in) {
				rtable_add(&t, spread(i->name, hashes[h]), i);
				in++;
			} else if (!want) {
				rtable_remove(&t, spread(i->name, hashes[h]), i);
				in -= i->in;
			}
			i->in = want;
			if (round % 1000 == 0)
				check_all(&t, items, in, hashes[h]);
		}
		check_all(&t, items, in, hashes[h]);
		rtable_clear(&t);
	}
}

static void test_replace_and_steps(void **state)
{
	(void)state;
	struct rtable t;
	struct item a = {.name = 5}, b = {.name = 5};
	uint32_t hash = spread(5, ITEMS);
	rtable_init(&t);
	rtable_prefetch(&t, hash);
	assert_null(rtable_peek(&t, hash));
	rtable_add(&t, hash, &a);
	assert_ptr_equal(rtable_peek(&t, hash), &a);
	rtable_replace(&t, hash, &a, &b);
	assert_ptr_equal(find(&t, 5, ITEMS), &b);
	assert_ptr_equal(rtable_peek(&t, hash), &b);
	rtable_replace(&t, hash, &a, &a); /* not there */
	rtable_remove(&t, hash, &a);
	assert_ptr_equal(find(&t, 5, ITEMS), &b);
	rtable_remove(&t, hash, &b);
	assert_int_equal(t.count, 0);
	rtable_clear(&t);
}

struct reading {
	struct rtable t;
	_Atomic bool stop;
	_Atomic unsigned long rounds;
	unsigned long lost, wrong;
};

/* Hashes are shared, so that what comes and goes pushes those aside that are always there. */
#define READ_HASHES 500

static void *read_all_the_time(void *ctx)
{
	struct reading *r = ctx;
	rcu_register_thread();
	while (!atomic_load(&r->stop)) {
		for (uint32_t name = 0; name < 400; name++) {
			const struct item *i = find(&r->t, name, READ_HASHES);
			r->lost += !i && name < ALWAYS;
			r->wrong += i && i->name != name;
		}
		atomic_fetch_add(&r->rounds, 1);
		rcu_quiescent_state();
	}
	rcu_unregister_thread();
	return NULL;
}

static void free_item(struct rcu_head *head)
{
	free(caa_container_of(head, struct item, rcu));
}

static void put(struct reading *r, struct item **at, uint32_t name)
{
	*at = mem_zalloc(sizeof(**at));
	(*at)->name = name;
	rtable_add(&r->t, spread(name, READ_HASHES), *at);
}

static void take(struct reading *r, struct item **at)
{
	rtable_remove(&r->t, spread((*at)->name, READ_HASHES), *at);
	call_rcu(&(*at)->rcu, free_item);
	*at = NULL;
}

static void test_changes_under_a_reader(void **state)
{
	(void)state;
	static struct item *items[ITEMS];
	struct reading r = {0};
	pthread_t thread;
	uint32_t random = 3;
	rtable_init(&r.t);
	for (uint32_t i = 0; i < ALWAYS; i++)
		put(&r, &items[i], i);
	assert_int_equal(pthread_create(&thread, NULL, read_all_the_time, &r), 0);
	while (atomic_load(&r.rounds) == 0)
		sched_yield();
	for (int round = 0; round < 60000; round++) {
		uint32_t name = ALWAYS + next(&random) % (ITEMS - ALWAYS);
		bool grows = round / 10000 % 2 == 0;
		if (!items[name] && grows)
			put(&r, &items[name], name);
		else if (items[name] && (!grows || name % 3 == 0))
			take(&r, &items[name]);
		rcu_quiescent_state();
	}
	atomic_store(&r.stop, true);
	rcu_thread_offline();
	pthread_join(thread, NULL);
	rcu_thread_online();
	assert_int_equal(r.lost, 0);
	assert_int_equal(r.wrong, 0);
	for (uint32_t i = 0; i < ITEMS; i++)
		if (items[i])
			take(&r, &items[i]);
	assert_int_equal(r.t.count, 0);
	rcu_barrier();
	rtable_clear(&r.t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_against_a_list),
	    cmocka_unit_test(test_replace_and_steps),
	    cmocka_unit_test(test_changes_under_a_reader),
	};
	rcu_register_thread();
	int failed = cmocka_run_group_tests(tests, NULL, NULL);
	rcu_barrier();
	rcu_unregister_thread();
	return failed;
}
