/* SPDX-License-Identifier: MIT */
/*
 * The connection table, of the control thread alone.
 *
 * A list in the order of addition and three hash indexes over it: by inbound SPI, by address pair,
 * by owner and name.  An index is an array of chains that doubles when there are more connections
 * than chains; a chain's link knows who points at it, so that leaving is O(1) however long the
 * chain is (many terminals behind one NAT share an address pair).  Hashes have a random key.
 *
 * The table owns its connections and their two SAs.  SAs may be in the packet thread's hands, so
 * they are given back by a function that waits (sa_free_later, or the packet path's).
 *
 * conn_set_state is the one place where a state changes; whoever logs or counts gives the table a
 * callback.
 */
#include "sadb/conn.h"

#include <errno.h>
#include <string.h>
#include "base/mem.h"
#include "crypto/mac.h"

#define STATE_COUNT	    (CONN_EXPIRED + 1)
#define INDEX_CHAINS_MIN    64
#define RTO_MIN_US	    (20 * USEC_PER_MS)
#define RTO_MARGIN_US	    (10 * USEC_PER_MS)
#define RTO_FIRST_MARGIN_US (20 * USEC_PER_MS)

struct index {
	struct conn_link **chains;
	size_t chain_count; /* a power of two */
	size_t count;
};

struct conn_table {
	struct conn *first, *last;
	struct index by_spi, by_pair, by_name;
	uint64_t seed;
	size_t counts[STATE_COUNT];
	conn_state_fn changed;
	void *changed_ctx;
	void (*retire)(void *ctx, struct sa *sa);
	void *retire_ctx;
};

const char *conn_state_text(enum conn_state s)
{
	switch (s) {
	case CONN_FORMING:
		return "forming";
	case CONN_READY:
		return "ready";
	case CONN_ACTIVE:
		return "active";
	case CONN_STALE:
		return "stale";
	case CONN_EXPIRED:
		return "expired";
	}
	return "unknown";
}

/* --- hash indexes */

static void index_init(struct index *x)
{
	x->chain_count = INDEX_CHAINS_MIN;
	x->chains = mem_zalloc(x->chain_count * sizeof(struct conn_link *));
}

static void index_put(struct index *x, struct conn_link *l)
{
	struct conn_link **head = &x->chains[l->hash & (x->chain_count - 1)];
	l->next = *head;
	if (l->next)
		l->next->at = &l->next;
	l->at = head;
	*head = l;
}

static void index_grow(struct index *x)
{
	struct conn_link **old = x->chains;
	size_t old_count = x->chain_count;
	x->chain_count *= 2;
	x->chains = mem_zalloc(x->chain_count * sizeof(struct conn_link *));
	for (size_t i = 0; i < old_count; i++) {
		/* Putting in front turns a chain round; turn it first, so that it stays. */
		struct conn_link *turned = NULL;
		for (struct conn_link *l = old[i], *next; l; l = next) {
			next = l->next;
			l->next = turned;
			turned = l;
		}
		for (struct conn_link *l = turned, *next; l; l = next) {
			next = l->next;
			index_put(x, l);
		}
	}
	free(old);
}

static void index_add(struct index *x, struct conn *c, struct conn_link *l, uint64_t hash)
{
	if (x->count >= x->chain_count)
		index_grow(x);
	l->conn = c;
	l->hash = hash;
	index_put(x, l);
	x->count++;
}

static void index_remove(struct index *x, struct conn_link *l)
{
	if (!l->at)
		return;
	*l->at = l->next;
	if (l->next)
		l->next->at = l->at;
	l->at = NULL;
	l->next = NULL;
	x->count--;
}

static struct conn_link *index_chain(const struct index *x, uint64_t hash)
{
	return x->chains[hash & (x->chain_count - 1)];
}

/* Multiplication and shifts that let every bit of the input reach every bit of the output. */
static uint64_t hash_mix(uint64_t h)
{
	h = (h ^ h >> 32) * 0xd6e8feb86659fd93u;
	h = (h ^ h >> 32) * 0xd6e8feb86659fd93u;
	return h ^ h >> 32;
}

static uint64_t hash_spi(const struct conn_table *t, uint32_t spi)
{
	return hash_mix(t->seed ^ spi);
}

static uint64_t hash_pair(const struct conn_table *t, const struct addr *care_of,
			  const struct addr *server)
{
	return hash_mix(hash_mix(t->seed ^ addr_hash(care_of)) ^ addr_hash(server));
}

static uint64_t hash_name(const struct conn_table *t, const void *owner, const char *name)
{
	uint64_t h = hash_mix(t->seed ^ (uintptr_t)owner);
	for (; *name; name++)
		h = hash_mix(h ^ (uint8_t)*name);
	return h;
}

/* --- the table */

static void retire_by_rcu(void *ctx, struct sa *sa)
{
	(void)ctx;
	sa_free_later(sa);
}

struct conn_table *conn_table_new(conn_state_fn changed, void *ctx)
{
	struct conn_table *t = mem_zalloc(sizeof(*t));
	index_init(&t->by_spi);
	index_init(&t->by_pair);
	index_init(&t->by_name);
	random_bytes(&t->seed, sizeof(t->seed));
	t->changed = changed;
	t->changed_ctx = ctx;
	t->retire = retire_by_rcu;
	return t;
}

void conn_table_set_retire(struct conn_table *t, void (*retire)(void *ctx, struct sa *sa),
			   void *ctx)
{
	t->retire = retire ? retire : retire_by_rcu;
	t->retire_ctx = ctx;
}

void conn_table_free(struct conn_table *t)
{
	if (!t)
		return;
	while (t->first)
		conn_table_remove(t, t->first);
	free(t->by_spi.chains);
	free(t->by_pair.chains);
	free(t->by_name.chains);
	free(t);
}

static void table_add_pair(struct conn_table *t, struct conn *c)
{
	if (c->care_of.addr.family != 0)
		index_add(&t->by_pair, c, &c->by_pair,
			  hash_pair(t, &c->care_of.addr, &c->server.addr));
}

int conn_table_add(struct conn_table *t, struct conn *c)
{
	if (c->in && conn_find_spi(t, c->in->spi))
		return -EEXIST;
	if (conn_find_name(t, c->owner, c->name))
		return -EEXIST;
	c->by_spi.at = c->by_pair.at = c->by_name.at = NULL;
	if (c->in)
		index_add(&t->by_spi, c, &c->by_spi, hash_spi(t, c->in->spi));
	index_add(&t->by_name, c, &c->by_name, hash_name(t, c->owner, c->name));
	table_add_pair(t, c);
	c->next = NULL;
	c->prev = t->last;
	if (t->last)
		t->last->next = c;
	else
		t->first = c;
	t->last = c;
	t->counts[c->state]++;
	return 0;
}

void conn_table_remove(struct conn_table *t, struct conn *c)
{
	index_remove(&t->by_spi, &c->by_spi);
	index_remove(&t->by_pair, &c->by_pair);
	index_remove(&t->by_name, &c->by_name);
	if (c->prev)
		c->prev->next = c->next;
	else
		t->first = c->next;
	if (c->next)
		c->next->prev = c->prev;
	else
		t->last = c->prev;
	t->counts[c->state]--;
	if (c->in)
		t->retire(t->retire_ctx, c->in);
	if (c->out)
		t->retire(t->retire_ctx, c->out);
	free(c);
}

struct conn *conn_table_first(struct conn_table *t)
{
	return t->first;
}

struct conn *conn_find_pair(struct conn_table *t, const struct addr *care_of,
			    const struct addr *server, unsigned ifindex)
{
	uint64_t hash = hash_pair(t, care_of, server);
	for (struct conn_link *l = index_chain(&t->by_pair, hash); l; l = l->next) {
		const struct conn *c = l->conn;
		if (l->hash == hash && addr_equal(&c->care_of.addr, care_of) &&
		    addr_equal(&c->server.addr, server) && (!ifindex || c->ifindex == ifindex))
			return l->conn;
	}
	return NULL;
}

struct conn *conn_find_spi(struct conn_table *t, uint32_t spi_in)
{
	uint64_t hash = hash_spi(t, spi_in);
	for (struct conn_link *l = index_chain(&t->by_spi, hash); l; l = l->next) {
		if (l->conn->in->spi == spi_in)
			return l->conn;
	}
	return NULL;
}

struct conn *conn_find_name(struct conn_table *t, const void *owner, const char *name)
{
	uint64_t hash = hash_name(t, owner, name);
	for (struct conn_link *l = index_chain(&t->by_name, hash); l; l = l->next) {
		if (l->hash == hash && l->conn->owner == owner && strcmp(l->conn->name, name) == 0)
			return l->conn;
	}
	return NULL;
}

size_t conn_table_count(const struct conn_table *t, enum conn_state s)
{
	return t->counts[s];
}

/* --- one connection */

void conn_set_state(struct conn_table *t, struct conn *c, enum conn_state s, usec_t now_us)
{
	enum conn_state from = c->state;
	if (from == s)
		return;
	t->counts[from]--;
	t->counts[s]++;
	c->state = s;
	c->since_us = now_us;
	if (t->changed)
		t->changed(t->changed_ctx, c, from, s);
}

void conn_set_pair(struct conn_table *t, struct conn *c, const struct endpoint *care_of,
		   const struct endpoint *server)
{
	index_remove(&t->by_pair, &c->by_pair);
	/* The arguments may be the connection's own. */
	struct endpoint new_care_of = *care_of, new_server = *server;
	c->care_of = new_care_of;
	c->server = new_server;
	table_add_pair(t, c);
}

void conn_set_owner(struct conn_table *t, struct conn *c, void *owner)
{
	index_remove(&t->by_name, &c->by_name);
	c->owner = owner;
	index_add(&t->by_name, c, &c->by_name, hash_name(t, owner, c->name));
}

/*
 * RFC 6298 with alpha 1/8 and beta 1/4, except that the variation starts at an eighth of the
 * first measurement instead of half: a retransmission too early costs one small packet here, one
 * too late costs silence.
 */
void conn_round_trip(struct conn *c, uint32_t rtt_us)
{
	if (rtt_us == 0)
		rtt_us = 1; /* 0 means not measured */
	if (c->srtt_us == 0) {
		c->srtt_us = rtt_us;
		c->rttvar_us = rtt_us / 8;
		c->rtt_count = 1;
		return;
	}
	uint32_t off = rtt_us > c->srtt_us ? rtt_us - c->srtt_us : c->srtt_us - rtt_us;
	c->rttvar_us = (uint32_t)(((uint64_t)c->rttvar_us * 3 + off) / 4);
	c->srtt_us = (uint32_t)(((uint64_t)c->srtt_us * 7 + rtt_us) / 8);
	if (c->srtt_us == 0)
		c->srtt_us = 1;
	if (c->rtt_count != UINT32_MAX)
		c->rtt_count++;
}

uint32_t conn_rto_us(const struct conn *c, uint32_t initial_us)
{
	if (c->srtt_us == 0)
		return initial_us;
	uint64_t least = c->rtt_count == 1 ? RTO_FIRST_MARGIN_US : RTO_MARGIN_US;
	uint64_t margin = (uint64_t)c->rttvar_us * 4;
	uint64_t rto = c->srtt_us + (margin > least ? margin : least);
	if (rto < RTO_MIN_US)
		rto = RTO_MIN_US;
	return rto > UINT32_MAX ? UINT32_MAX : (uint32_t)rto;
}
