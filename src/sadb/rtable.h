/* SPDX-License-Identifier: MIT */
/*
 * A hash table that packet threads read under RCU while control changes it.
 *
 * A bucket is one cache line: five entries, each 32 bits of hash and a pointer.  So a lookup in a
 * table of any size costs one line, whose address is known as soon as the hash is (which is why
 * it can be fetched ahead, for a whole batch), and an entry costs 16 to 32 bytes with nothing in
 * the object itself.  An entry that does not fit goes into the next bucket, and each bucket it
 * passed counts that: a reader goes on only where something passed.
 *
 * Hash and pointer are read one after the other, and may be of two entries when control is at work
 * in between: so the caller's match looks at the object, always.  A lookup that runs beside a
 * change finds what was there before or what is there after.
 */
#ifndef SADB_RTABLE_H
#define SADB_RTABLE_H

#include <stdalign.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <urcu-qsbr.h>

#define RTABLE_SLOTS 5
#define RTABLE_LINE  64

struct rtable_bucket {
	alignas(RTABLE_LINE) _Atomic uint32_t hash[RTABLE_SLOTS];
	_Atomic uint32_t passed;
	_Atomic(void *) item[RTABLE_SLOTS]; /* NULL: free */
};

struct rtable_view { /* replaced as a whole when the table grows or shrinks */
	uint32_t mask;
	struct rcu_head rcu;
	struct rtable_bucket buckets[];
};

struct rtable {
	struct rtable_view *view; /* rcu */
	size_t count;
};

void rtable_init(struct rtable *t);
/* Nobody reads any more.  The items are the caller's, and may be gone already. */
void rtable_clear(struct rtable *t);

/* --- control */

/* The caller has seen that it is not there. */
void rtable_add(struct rtable *t, uint32_t hash, void *item);
/* `fresh` takes the place of `item`, which is there, in one step. */
void rtable_replace(struct rtable *t, uint32_t hash, const void *item, void *fresh);
void rtable_remove(struct rtable *t, uint32_t hash, const void *item); /* not there: nothing */
void rtable_each(const struct rtable *t, void (*fn)(void *ctx, void *item), void *ctx);

/* --- in a read section, or control */

/* Step one of two: the line in which rtable_find will look. */
static inline void rtable_prefetch(const struct rtable *t, uint32_t hash)
{
	const struct rtable_view *v = rcu_dereference(t->view);
	__builtin_prefetch(&v->buckets[hash & v->mask]);
}

/* What rtable_find will look at first, not to be followed but to be fetched as well; NULL: nothing
 * in the first bucket. */
static inline const void *rtable_peek(const struct rtable *t, uint32_t hash)
{
	const struct rtable_view *v = rcu_dereference(t->view);
	const struct rtable_bucket *b = &v->buckets[hash & v->mask];
	for (unsigned s = 0; s < RTABLE_SLOTS; s++)
		if (atomic_load_explicit(&b->hash[s], memory_order_relaxed) == hash)
			return atomic_load_explicit(&b->item[s], memory_order_relaxed);
	return NULL;
}

static inline void *rtable_find(const struct rtable *t, uint32_t hash,
				bool (*match)(const void *item, const void *key), const void *key)
{
	const struct rtable_view *v = rcu_dereference(t->view);
	for (uint32_t i = hash & v->mask, tried = 0; tried <= v->mask; tried++) {
		const struct rtable_bucket *b = &v->buckets[i];
		for (unsigned s = 0; s < RTABLE_SLOTS; s++) {
			if (atomic_load_explicit(&b->hash[s], memory_order_relaxed) != hash)
				continue;
			void *item = atomic_load_explicit(&b->item[s], memory_order_acquire);
			if (item && match(item, key))
				return item;
		}
		if (!atomic_load_explicit(&b->passed, memory_order_acquire))
			return NULL;
		i = (i + 1) & v->mask;
	}
	return NULL;
}

#endif
