/* SPDX-License-Identifier: MIT */
/*
 * Assignments are found by address and by identity; those of the past are in a list as well, the
 * oldest first.  Each address of a family has a number.  Where there are few enough of them, a bit
 * says which are taken (in use, remembered or excluded), so that a free one is found even when
 * almost all are; among very many, a few tries find one.
 */
#include "daemon/pool.h"

#include <errno.h>
#include <string.h>
#include "base/hash.h"
#include "base/mem.h"
#include "crypto/mac.h"
#include "daemon/pool_bits.h"

#define BITS_MAX	  (UINT64_C(1) << 24)
#define SIZE_MAX_OF_RANGE (UINT64_C(1) << 59) /* of a range: what is beyond stays unused */
#define TRIES		  64
#define CHOICE_KEY	  UINT64_C(0x736f6a6f75726e21) /* the same after a restart */

__extension__ typedef unsigned __int128 u128;

struct lease {
	struct addr addr;
	bool used;
	uint16_t id_len;
	struct hash_link by_addr, by_id;
	struct lease *next, *prev; /* when remembered: younger, older */
	uint8_t id[];
};

struct span {
	struct addr from;
	uint64_t size, first; /* first: the number of `from` */
};

struct family {
	uint8_t family;
	uint8_t span_count;
	struct span spans[POOL_RANGES_MAX];
	uint64_t size, used, remembered, excluded;
	struct lease *oldest, *youngest; /* of those remembered */
	struct pool_bits bits;		 /* levels 0: too many addresses */
};

struct pool {
	struct family families[2];
	struct hash by_addr, by_id, excluded;
	uint32_t remembered_max; /* of each family */
	uint64_t seed;
};

struct exclusion {
	struct addr addr;
	struct hash_link by_addr;
};

/* --- addresses as numbers */

static u128 value_of(const struct addr *a)
{
	u128 v = 0;
	for (size_t i = 0; i < addr_len(a); i++)
		v = v << 8 | a->b[i];
	return v;
}

static struct addr addr_of(uint8_t family, u128 v)
{
	struct addr a = {.family = family};
	for (size_t i = addr_len(&a); i-- > 0; v >>= 8)
		a.b[i] = (uint8_t)v;
	return a;
}

static struct family *family_of(const struct pool *p, uint8_t family)
{
	return (struct family *)&p->families[family == 6];
}

static bool number_of(const struct family *f, const struct addr *a, uint64_t *number)
{
	u128 v = value_of(a);
	for (uint8_t i = 0; i < f->span_count; i++) {
		const struct span *s = &f->spans[i];
		u128 from = value_of(&s->from);
		if (v < from || v - from >= s->size)
			continue;
		*number = s->first + (uint64_t)(v - from);
		return true;
	}
	return false;
}

static struct addr addr_at(const struct family *f, uint64_t number)
{
	uint8_t i = 0;
	while (number - f->spans[i].first >= f->spans[i].size)
		i++;
	const struct span *s = &f->spans[i];
	return addr_of(f->family, value_of(&s->from) + (number - s->first));
}

static void span_add(struct pool *p, const struct pool_range *r)
{
	struct family *f = family_of(p, r->from.family);
	u128 size = value_of(&r->to) - value_of(&r->from) + 1;
	if (size == 0 || size > SIZE_MAX_OF_RANGE)
		size = SIZE_MAX_OF_RANGE;
	f->spans[f->span_count++] =
	    (struct span){.from = r->from, .size = (uint64_t)size, .first = f->size};
	f->size += (uint64_t)size;
}

/* --- what is taken */

static uint64_t hash_addr(const struct pool *p, const struct addr *a)
{
	return hash_bytes(p->seed, a, sizeof *a);
}

static uint64_t hash_id(const struct pool *p, const void *id, size_t len, uint8_t family)
{
	return hash_bytes(p->seed + family, id, len);
}

static bool is_excluded(const struct pool *p, const struct addr *a)
{
	struct hash_link *l = hash_find(&p->excluded, hash_addr(p, a));
	for (; l; l = hash_next(l))
		if (addr_equal(&hash_owner(l, struct exclusion, by_addr)->addr, a))
			return true;
	return false;
}

static struct lease *lease_at(const struct pool *p, const struct addr *a)
{
	struct hash_link *l = hash_find(&p->by_addr, hash_addr(p, a));
	for (; l; l = hash_next(l)) {
		struct lease *lease = hash_owner(l, struct lease, by_addr);
		if (addr_equal(&lease->addr, a))
			return lease;
	}
	return NULL;
}

static struct lease *lease_of(const struct pool *p, const void *id, size_t len, uint8_t family)
{
	struct hash_link *l = hash_find(&p->by_id, hash_id(p, id, len, family));
	for (; l; l = hash_next(l)) {
		struct lease *lease = hash_owner(l, struct lease, by_id);
		if (lease->addr.family == family && lease->id_len == len &&
		    memcmp(lease->id, id, len) == 0)
			return lease;
	}
	return NULL;
}

static void mark(struct pool *p, const struct addr *a, bool taken)
{
	struct family *f = family_of(p, a->family);
	uint64_t number;
	if (f->bits.levels && number_of(f, a, &number))
		pool_bits_set(&f->bits, (uint32_t)number, taken);
}

static void exclude(struct pool *p, const struct addr *a)
{
	struct family *f = family_of(p, a->family);
	uint64_t number;
	if (is_excluded(p, a) || !number_of(f, a, &number))
		return;
	struct exclusion *x = mem_zalloc(sizeof *x);
	x->addr = *a;
	hash_add(&p->excluded, &x->by_addr, hash_addr(p, a));
	f->excluded++;
	mark(p, a, true);
}

/* --- the past */

static void memory_add(struct pool *p, struct lease *l)
{
	struct family *f = family_of(p, l->addr.family);
	l->next = NULL;
	l->prev = f->youngest;
	*(f->youngest ? &f->youngest->next : &f->oldest) = l;
	f->youngest = l;
	f->remembered++;
}

static void memory_remove(struct pool *p, struct lease *l)
{
	struct family *f = family_of(p, l->addr.family);
	*(l->prev ? &l->prev->next : &f->oldest) = l->next;
	*(l->next ? &l->next->prev : &f->youngest) = l->prev;
	f->remembered--;
}

static void forget(struct pool *p, struct lease *l)
{
	memory_remove(p, l);
	hash_remove(&p->by_addr, &l->by_addr);
	hash_remove(&p->by_id, &l->by_id);
	mark(p, &l->addr, false);
	free(l);
}

/* --- giving */

static struct lease *lease_new(struct pool *p, const void *id, size_t len, const struct addr *a)
{
	struct lease *l = mem_zalloc(sizeof *l + len);
	l->addr = *a;
	l->id_len = (uint16_t)len;
	memcpy(l->id, id, len);
	hash_add(&p->by_addr, &l->by_addr, hash_addr(p, a));
	hash_add(&p->by_id, &l->by_id, hash_id(p, id, len, a->family));
	mark(p, a, true);
	return l;
}

static bool is_free(const struct pool *p, const struct addr *a)
{
	return pool_covers(p, a) && !is_excluded(p, a) && !lease_at(p, a);
}

static bool find_free(const struct pool *p, const struct family *f, uint64_t hash, struct addr *out)
{
	if (f->bits.levels) {
		uint32_t number = pool_bits_free(&f->bits, (uint32_t)(hash % f->size));
		if (number == UINT32_MAX)
			return false;
		*out = addr_at(f, number);
		return true;
	}
	for (unsigned i = 0; i < TRIES; i++) {
		*out = addr_at(f, hash % f->size);
		if (is_free(p, out))
			return true;
		hash = hash_bytes(CHOICE_KEY, &hash, sizeof hash);
	}
	return false;
}

int pool_take(struct pool *p, const void *id, size_t id_len, uint8_t family,
	      const struct addr *wish, struct addr *out)
{
	struct family *f = family_of(p, family);
	struct lease *l = lease_of(p, id, id_len, family);
	struct addr a;
	if (!f->size)
		return -EAFNOSUPPORT;
	if (l && !l->used)
		memory_remove(p, l);
	if (!l) {
		uint64_t hash = hash_bytes(CHOICE_KEY + family, id, id_len);
		if (wish && wish->family == family && is_free(p, wish)) {
			a = *wish;
		} else if (!find_free(p, f, hash, &a)) {
			if (!f->oldest)
				return -ENOSPC;
			a = f->oldest->addr;
			forget(p, f->oldest);
		}
		l = lease_new(p, id, id_len, &a);
	}
	f->used += !l->used;
	l->used = true;
	*out = l->addr;
	return 0;
}

static void remember(struct pool *p, struct lease *l)
{
	struct family *f = family_of(p, l->addr.family);
	memory_add(p, l);
	while (f->remembered > p->remembered_max)
		forget(p, f->oldest);
}

void pool_give(struct pool *p, const struct addr *a)
{
	struct lease *l = lease_at(p, a);
	if (!l || !l->used)
		return;
	l->used = false;
	family_of(p, a->family)->used--;
	remember(p, l);
}

static void inherit(struct pool *p, const struct lease *l)
{
	if (!is_free(p, &l->addr) || lease_of(p, l->id, l->id_len, l->addr.family))
		return;
	struct lease *copy = lease_new(p, l->id, l->id_len, &l->addr);
	copy->used = l->used;
	if (l->used)
		family_of(p, l->addr.family)->used++;
	else
		remember(p, copy);
}

void pool_inherit(struct pool *p, const struct pool *from)
{
	for (unsigned i = 0; i < ARRAY_LEN(from->families); i++)
		for (const struct lease *l = from->families[i].oldest; l; l = l->next)
			inherit(p, l);
	for (size_t i = 0; i < from->by_addr.chain_count; i++)
		for (const struct hash_link *k = from->by_addr.chains[i]; k; k = k->next) {
			const struct lease *l =
			    hash_owner((struct hash_link *)k, struct lease, by_addr);
			if (l->used)
				inherit(p, l);
		}
}

/* --- begin, end, looking */

struct pool *pool_new(const struct pool_config *cfg)
{
	struct pool *p = mem_zalloc(sizeof *p);
	random_bytes(&p->seed, sizeof p->seed);
	p->families[0].family = 4;
	p->families[1].family = 6;
	p->remembered_max = cfg->remembered_max ? cfg->remembered_max : POOL_REMEMBERED_MAX;
	for (uint8_t i = 0; i < cfg->range_count && i < POOL_RANGES_MAX; i++)
		span_add(p, &cfg->ranges[i]);
	for (unsigned i = 0; i < ARRAY_LEN(p->families); i++) {
		struct family *f = &p->families[i];
		if (f->size && f->size <= BITS_MAX)
			pool_bits_init(&f->bits, (uint32_t)f->size);
	}
	for (size_t i = 0; i < cfg->excluded_count; i++)
		exclude(p, &cfg->excluded[i]);
	return p;
}

static void leases_free(struct pool *p)
{
	for (size_t i = 0; i < p->by_addr.chain_count; i++)
		for (struct hash_link *l = p->by_addr.chains[i], *next; l; l = next) {
			next = l->next;
			free(hash_owner(l, struct lease, by_addr));
		}
	for (size_t i = 0; i < p->excluded.chain_count; i++)
		for (struct hash_link *l = p->excluded.chains[i], *next; l; l = next) {
			next = l->next;
			free(hash_owner(l, struct exclusion, by_addr));
		}
}

void pool_free(struct pool *p)
{
	if (!p)
		return;
	leases_free(p);
	hash_clear(&p->by_addr);
	hash_clear(&p->by_id);
	hash_clear(&p->excluded);
	pool_bits_clear(&p->families[0].bits);
	pool_bits_clear(&p->families[1].bits);
	free(p);
}

bool pool_has(const struct pool *p, const struct addr *a)
{
	const struct lease *l = lease_at(p, a);
	return l && l->used;
}

bool pool_covers(const struct pool *p, const struct addr *a)
{
	uint64_t number;
	return a->family && number_of(family_of(p, a->family), a, &number);
}

struct pool_counts pool_counts(const struct pool *p, uint8_t family)
{
	const struct family *f = family_of(p, family);
	return (struct pool_counts){
	    .size = f->size, .used = f->used, .remembered = f->remembered, .excluded = f->excluded};
}
