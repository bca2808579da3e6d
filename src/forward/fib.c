/* SPDX-License-Identifier: MIT */
/*
 * The forwarding table: see the header.  One bit for each prefix length in use tells the
 * reader which lengths to try; a reader that sees a bit before its entry, or an entry without
 * its bit, merely misses a route that is being made or taken away at that moment.
 *
 * The hash is keyed (NH of RFC 4418, sections 5.2 and 10: for any two prefixes a random key makes
 * them meet with a probability of 2^-32), since terminals may choose addresses.
 */
#include "forward/fib.h"

#include <string.h>
#include "base/mem.h"
#include "crypto/mac.h"
#include "sadb/rtable.h"

#define FIB_LEN_MAX   128
#define FIB_LEN_WORDS ((FIB_LEN_MAX + 64) / 64)
#define FIB_WORDS     6 /* of 32 bits: address, length and family, one to make them even */

struct fib {
	_Atomic uint64_t
	    lens[2][FIB_LEN_WORDS]; /* by family 4, 6: bit n: some prefix has length n */
	uint32_t len_count[2][FIB_LEN_MAX + 1];
	struct rtable table; /* of active sets */
	uint32_t key[FIB_WORDS];
	uint64_t mix;
};

static int family_index(const struct addr *a)
{
	return a->family == 4 ? 0 : 1;
}

static uint64_t pair_hash(const struct fib *f, int at, uint32_t a, uint32_t b)
{
	return (uint64_t)(uint32_t)(a + f->key[at]) * (uint32_t)(b + f->key[at + 1]);
}

static uint32_t prefix_hash(const struct fib *f, const struct prefix *p)
{
	uint32_t words[4];
	memcpy(words, p->addr.b, sizeof(words));
	uint64_t h = pair_hash(f, 0, words[0], (uint32_t)p->len << 8 | p->addr.family);
	if (p->addr.family == 6)
		h += pair_hash(f, 2, words[1], words[2]) + pair_hash(f, 4, words[3], 0);
	return (uint32_t)((h ^ h >> 32) * f->mix >> 32);
}

static bool active_match(const void *item, const void *key)
{
	return prefix_equal(&((const struct active *)item)->prefix, key);
}

static struct active *active_find(const struct fib *f, const struct prefix *p)
{
	return rtable_find(&f->table, prefix_hash(f, p), active_match, p);
}

static void active_free_rcu(struct rcu_head *head)
{
	active_free(caa_container_of(head, struct active, rcu));
}

struct fib *fib_new(void)
{
	struct fib *f = mem_zalloc(sizeof(struct fib));
	rtable_init(&f->table);
	random_bytes(f->key, sizeof(f->key));
	random_bytes(&f->mix, sizeof(f->mix));
	f->mix |= 1;
	return f;
}

static void free_each(void *ctx, void *active)
{
	(void)ctx;
	active_free(active);
}

void fib_free(struct fib *f)
{
	if (!f)
		return;
	rtable_each(&f->table, free_each, NULL);
	rtable_clear(&f->table);
	free(f);
}

static void length_used(struct fib *f, const struct prefix *p)
{
	int i = family_index(&p->addr);
	if (f->len_count[i][p->len]++ == 0)
		atomic_fetch_or(&f->lens[i][p->len / 64], UINT64_C(1) << p->len % 64);
}

static void length_unused(struct fib *f, const struct prefix *p)
{
	int i = family_index(&p->addr);
	if (--f->len_count[i][p->len] == 0)
		atomic_fetch_and(&f->lens[i][p->len / 64], ~(UINT64_C(1) << p->len % 64));
}

int fib_set(struct fib *f, const struct prefix *prefix, struct active *active)
{
	uint32_t hash = prefix_hash(f, prefix);
	struct active *before = active_find(f, prefix);
	if (active)
		active->prefix = *prefix;
	if (before && active) {
		rtable_replace(&f->table, hash, before, active);
	} else if (before) {
		rtable_remove(&f->table, hash, before);
		length_unused(f, prefix);
	} else if (active) {
		rtable_add(&f->table, hash, active);
		length_used(f, prefix);
	}
	if (before)
		call_rcu(&before->rcu, active_free_rcu);
	return 0;
}

/* The longest length in use; -1: none. */
static int longest(const struct fib *f, int family)
{
	for (int word = FIB_LEN_WORDS - 1; word >= 0; word--) {
		uint64_t bits = atomic_load_explicit(&f->lens[family][word], memory_order_relaxed);
		if (bits)
			return word * 64 + 63 - __builtin_clzll(bits);
	}
	return -1;
}

struct active *fib_find(const struct fib *f, const struct addr *dst)
{
	if (addr_len(dst) == 0)
		return NULL;
	int family = family_index(dst);
	for (int word = FIB_LEN_WORDS - 1; word >= 0; word--) {
		uint64_t bits = atomic_load_explicit(&f->lens[family][word], memory_order_acquire);
		while (bits) {
			int bit = 63 - __builtin_clzll(bits);
			struct prefix p = prefix_of(dst, (uint8_t)(word * 64 + bit));
			struct active *a = active_find(f, &p);
			if (a)
				return a;
			bits &= ~(UINT64_C(1) << bit);
		}
	}
	return NULL;
}

void fib_ask(const struct fib *f, const struct addr *dst, struct fib_question *q)
{
	int len = addr_len(dst) ? longest(f, family_index(dst)) : -1;
	q->any = len >= 0;
	if (!q->any)
		return;
	q->first = prefix_of(dst, (uint8_t)len);
	q->hash = prefix_hash(f, &q->first);
	rtable_prefetch(&f->table, q->hash);
}

void fib_ask_active(const struct fib *f, const struct fib_question *q)
{
	const struct active *a = q->any ? rtable_peek(&f->table, q->hash) : NULL;
	if (!a)
		return;
	__builtin_prefetch(a);
	__builtin_prefetch((const char *)a + sizeof(*a));
}

struct active *fib_answer(const struct fib *f, const struct addr *dst, const struct fib_question *q)
{
	struct active *a = q->any ? rtable_find(&f->table, q->hash, active_match, &q->first) : NULL;
	return a ? a : fib_find(f, dst);
}
