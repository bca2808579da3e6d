/* SPDX-License-Identifier: MIT */
/*
 * The forwarding table: see the header.  One bit for each prefix length in use tells the
 * reader which lengths to try; a reader that sees a bit before its entry, or an entry without
 * its bit, merely misses a route that is being made or taken away at that moment.
 */
#include <errno.h>
#include <urcu/rcuhlist.h>
#include "base/mem.h"
#include "forward/fib.h"

#define FIB_BUCKETS   65536 /* a power of two; untouched ones cost no memory */
#define FIB_LEN_MAX   128
#define FIB_LEN_WORDS ((FIB_LEN_MAX + 64) / 64)

struct entry {
	struct prefix prefix;
	struct active *active;
	struct cds_hlist_node node;
	struct rcu_head rcu;
};

struct fib {
	_Atomic uint64_t
	    lens[2][FIB_LEN_WORDS]; /* by family 4, 6: bit n: some prefix has length n */
	uint32_t len_count[2][FIB_LEN_MAX + 1];
	struct cds_hlist_head buckets[FIB_BUCKETS];
};

static int family_index(const struct addr *a)
{
	return a->family == 4 ? 0 : 1;
}

static size_t bucket_of(const struct prefix *p)
{
	uint64_t h = addr_hash(&p->addr) + p->len * UINT64_C(0x9e3779b97f4a7c15);
	return (size_t)(h ^ h >> 32) & (FIB_BUCKETS - 1);
}

static struct entry *entry_find(const struct fib *f, const struct prefix *p)
{
	struct entry *e;
	cds_hlist_for_each_entry_rcu_2(e, &f->buckets[bucket_of(p)],
				       node) if (prefix_equal(&e->prefix, p)) return e;
	return NULL;
}

static void active_free_rcu(struct rcu_head *head)
{
	free(caa_container_of(head, struct active, rcu));
}

static void entry_free_rcu(struct rcu_head *head)
{
	free(caa_container_of(head, struct entry, rcu));
}

struct fib *fib_new(void)
{
	return mem_zalloc(sizeof(struct fib));
}

void fib_free(struct fib *f)
{
	if (!f)
		return;
	for (size_t i = 0; i < FIB_BUCKETS; i++) {
		struct cds_hlist_node *n = f->buckets[i].next;
		while (n) {
			struct entry *e = caa_container_of(n, struct entry, node);
			n = n->next;
			free(e->active);
			free(e);
		}
	}
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
	struct entry *e = entry_find(f, prefix);
	struct active *before = NULL;

	if (e && active) {
		before = rcu_xchg_pointer(&e->active, active);
	} else if (e) {
		before = e->active;
		cds_hlist_del_rcu(&e->node);
		length_unused(f, prefix);
		call_rcu(&e->rcu, entry_free_rcu);
	} else if (active) {
		e = calloc(1, sizeof(*e));
		if (!e) {
			free(active);
			return -ENOMEM;
		}
		e->prefix = *prefix;
		e->active = active;
		cds_hlist_add_head_rcu(&e->node, &f->buckets[bucket_of(prefix)]);
		length_used(f, prefix);
	}
	if (before)
		call_rcu(&before->rcu, active_free_rcu);
	return 0;
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
			struct entry *e = entry_find(f, &p);
			if (e)
				return rcu_dereference(e->active);
			bits &= ~(UINT64_C(1) << bit);
		}
	}
	return NULL;
}
