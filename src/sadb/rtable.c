/* SPDX-License-Identifier: MIT */
/*
 * Writing the table: see the header.  Everything here is control's alone.
 *
 * It grows at four fifths: at that load every sixth bucket or so has more than its five entries,
 * which costs the reader the next line, and that is mostly there already (processors fetch lines
 * in pairs).  Growing copies hashes and pointers and looks at no object.
 */
#include "sadb/rtable.h"

#include "base/mem.h"

#define BUCKETS_LEAST 8
#define FULL_OF_5     4 /* entries for each bucket, on the average: it grows */
#define EMPTY_OF_16   8 /* and shrinks below so many for each 16 buckets */

static void view_free_rcu(struct rcu_head *head)
{
	free(caa_container_of(head, struct rtable_view, rcu));
}

static struct rtable_view *view_new(uint32_t buckets)
{
	struct rtable_view *v =
	    mem_zalloc_lines(sizeof(*v) + buckets * sizeof(struct rtable_bucket));
	v->mask = buckets - 1;
	return v;
}

static int free_slot(const struct rtable_bucket *b)
{
	for (int s = 0; s < RTABLE_SLOTS; s++)
		if (!atomic_load_explicit(&b->item[s], memory_order_relaxed))
			return s;
	return -1;
}

/* Nobody may stop before the entry is there: what it passes is counted first. */
static void view_put(struct rtable_view *v, uint32_t hash, void *item)
{
	uint32_t i = hash & v->mask;
	int slot;
	while ((slot = free_slot(&v->buckets[i])) < 0) {
		atomic_fetch_add_explicit(&v->buckets[i].passed, 1, memory_order_relaxed);
		i = (i + 1) & v->mask;
	}
	struct rtable_bucket *b = &v->buckets[i];
	atomic_store_explicit(&b->hash[slot], hash, memory_order_release);
	atomic_store_explicit(&b->item[slot], item, memory_order_release);
}

/* Where it is; false: nowhere. */
static bool view_seek(const struct rtable_view *v, uint32_t hash, const void *item, uint32_t *at,
		      unsigned *slot)
{
	for (uint32_t i = hash & v->mask, tried = 0; tried <= v->mask; tried++) {
		const struct rtable_bucket *b = &v->buckets[i];
		for (unsigned s = 0; s < RTABLE_SLOTS; s++) {
			if (atomic_load_explicit(&b->item[s], memory_order_relaxed) != item)
				continue;
			*at = i;
			*slot = s;
			return true;
		}
		if (!atomic_load_explicit(&b->passed, memory_order_relaxed))
			return false;
		i = (i + 1) & v->mask;
	}
	return false;
}

static void resize(struct rtable *t, uint32_t buckets)
{
	struct rtable_view *old = t->view, *fresh = view_new(buckets);
	for (uint32_t i = 0; i <= old->mask; i++) {
		const struct rtable_bucket *b = &old->buckets[i];
		for (unsigned s = 0; s < RTABLE_SLOTS; s++) {
			void *item = atomic_load_explicit(&b->item[s], memory_order_relaxed);
			if (item)
				view_put(fresh,
					 atomic_load_explicit(&b->hash[s], memory_order_relaxed),
					 item);
		}
	}
	rcu_assign_pointer(t->view, fresh);
	call_rcu(&old->rcu, view_free_rcu);
}

void rtable_init(struct rtable *t)
{
	*t = (struct rtable){.view = view_new(BUCKETS_LEAST)};
}

void rtable_clear(struct rtable *t)
{
	free(t->view);
	*t = (struct rtable){0};
}

void rtable_add(struct rtable *t, uint32_t hash, void *item)
{
	size_t buckets = (size_t)t->view->mask + 1;
	if (t->count >= buckets * FULL_OF_5 && buckets <= UINT32_MAX / 2)
		resize(t, (uint32_t)(buckets * 2));
	view_put(t->view, hash, item);
	t->count++;
}

void rtable_replace(struct rtable *t, uint32_t hash, const void *item, void *fresh)
{
	uint32_t i;
	unsigned slot;
	if (view_seek(t->view, hash, item, &i, &slot))
		atomic_store_explicit(&t->view->buckets[i].item[slot], fresh, memory_order_release);
}

/* The entry goes before it is not counted any more. */
void rtable_remove(struct rtable *t, uint32_t hash, const void *item)
{
	struct rtable_view *v = t->view;
	uint32_t at;
	unsigned slot;
	if (!view_seek(v, hash, item, &at, &slot))
		return;
	atomic_store_explicit(&v->buckets[at].item[slot], NULL, memory_order_release);
	for (uint32_t i = hash & v->mask; i != at; i = (i + 1) & v->mask)
		atomic_fetch_sub_explicit(&v->buckets[i].passed, 1, memory_order_release);
	t->count--;
	size_t buckets = (size_t)v->mask + 1;
	if (buckets > BUCKETS_LEAST && t->count * 16 < buckets * EMPTY_OF_16)
		resize(t, (uint32_t)(buckets / 2));
}

void rtable_each(const struct rtable *t, void (*fn)(void *ctx, void *item), void *ctx)
{
	for (uint32_t i = 0; i <= t->view->mask; i++)
		for (unsigned s = 0; s < RTABLE_SLOTS; s++) {
			void *item = atomic_load_explicit(&t->view->buckets[i].item[s],
							  memory_order_relaxed);
			if (item)
				fn(ctx, item);
		}
}
