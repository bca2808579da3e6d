/* SPDX-License-Identifier: MIT */
/*
 * The connection table, of the control thread alone.
 *
 * A list in the order of addition and indexes over it: by address pair, by owner and name, and
 * over the pairs of SAs: by inbound SPI, by the outbound SA.  Address pairs are in chains, which an
 * item leaves in O(1) however long one is: many terminals behind one NAT share one.  The others
 * tell nearly all apart, and lie in tables that need nothing in the object.  Hashes have a random
 * key.
 *
 * The table owns its connections and their SAs.  SAs may be in the packet thread's hands, so
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
#include "sadb/rtable.h"

#define STATE_COUNT	    (CONN_EXPIRED + 1)
#define RTO_MIN_US	    (20 * USEC_PER_MS)
#define RTO_MARGIN_US	    (10 * USEC_PER_MS)
#define RTO_FIRST_MARGIN_US (20 * USEC_PER_MS)

struct conn_table {
	struct conn *first, *last;
	struct conn *walk;	      /* the next of conn_table_walk; NULL: the first */
	struct rtable by_spi, by_out; /* of pairs */
	struct rtable by_name;
	struct hash by_pair;
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

/* Multiplication and shifts that let every bit of the input reach every bit of the output. */
static uint64_t hash_mix(uint64_t h)
{
	h = (h ^ h >> 32) * 0xd6e8feb86659fd93u;
	h = (h ^ h >> 32) * 0xd6e8feb86659fd93u;
	return h ^ h >> 32;
}

static uint32_t hash_spi(const struct conn_table *t, uint32_t spi)
{
	return (uint32_t)hash_mix(t->seed ^ spi);
}

static uint32_t hash_sa(const struct conn_table *t, const struct sa *sa)
{
	return (uint32_t)hash_mix(t->seed ^ (uintptr_t)sa);
}

static uint64_t hash_pair(const struct conn_table *t, const struct addr *care_of,
			  const struct addr *server)
{
	return hash_mix(hash_mix(t->seed ^ addr_hash(care_of)) ^ addr_hash(server));
}

static uint32_t hash_name(const struct conn_table *t, const void *owner, const char *name)
{
	uint64_t h = hash_mix(t->seed ^ (uintptr_t)owner);
	for (; *name; name++)
		h = hash_mix(h ^ (uint8_t)*name);
	return (uint32_t)h;
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
	random_bytes(&t->seed, sizeof(t->seed));
	t->changed = changed;
	t->changed_ctx = ctx;
	t->retire = retire_by_rcu;
	rtable_init(&t->by_spi);
	rtable_init(&t->by_out);
	rtable_init(&t->by_name);
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
	rtable_clear(&t->by_spi);
	rtable_clear(&t->by_out);
	rtable_clear(&t->by_name);
	hash_clear(&t->by_pair);
	free(t);
}

static void name_enter(struct conn_table *t, struct conn *c)
{
	rtable_add(&t->by_name, hash_name(t, c->owner, c->name), c);
}

static void name_leave(struct conn_table *t, const struct conn *c)
{
	rtable_remove(&t->by_name, hash_name(t, c->owner, c->name), c);
}

static void table_add_pair(struct conn_table *t, struct conn *c)
{
	if (c->care_of.addr.family != 0)
		hash_add(&t->by_pair, &c->by_pair, hash_pair(t, &c->care_of.addr, &c->server.addr));
}

static struct conn_pair *pair_put(struct conn_table *t, struct conn *c, struct sa *in,
				  struct sa *out)
{
	struct conn_pair *p = mem_zalloc(sizeof(*p));
	p->in = in;
	p->out = out;
	p->conn = c;
	p->drained_us = USEC_NEVER;
	p->next = c->pairs;
	c->pairs = p;
	if (in)
		rtable_add(&t->by_spi, hash_spi(t, in->spi), p);
	if (out)
		rtable_add(&t->by_out, hash_sa(t, out), p);
	return p;
}

static void pair_unlink(struct conn_table *t, struct conn_pair *p)
{
	struct conn_pair **at = &p->conn->pairs;
	while (*at != p)
		at = &(*at)->next;
	*at = p->next;
	if (p->in)
		rtable_remove(&t->by_spi, hash_spi(t, p->in->spi), p);
	if (p->out)
		rtable_remove(&t->by_out, hash_sa(t, p->out), p);
}

void conn_pair_retire(struct conn_table *t, struct conn_pair *p)
{
	/* In this order: the path is lent. */
	if (p->in)
		t->retire(t->retire_ctx, p->in);
	if (p->out)
		t->retire(t->retire_ctx, p->out);
	free(p);
}

int conn_table_add(struct conn_table *t, struct conn *c)
{
	if (c->in && conn_find_spi(t, c->in->spi))
		return -EEXIST;
	if (conn_find_name(t, c->owner, c->name))
		return -EEXIST;
	c->by_pair.at = NULL;
	c->pairs = NULL;
	pair_put(t, c, c->in, c->out);
	name_enter(t, c);
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
	hash_remove(&t->by_pair, &c->by_pair);
	name_leave(t, c);
	if (t->walk == c)
		t->walk = c->next;
	if (c->prev)
		c->prev->next = c->next;
	else
		t->first = c->next;
	if (c->next)
		c->next->prev = c->prev;
	else
		t->last = c->prev;
	t->counts[c->state]--;
	for (struct conn_pair *p; (p = c->pairs);) {
		pair_unlink(t, p);
		conn_pair_retire(t, p);
	}
	free(c->before);
	free(c);
}

struct conn *conn_table_first(struct conn_table *t)
{
	return t->first;
}

struct conn *conn_find_pair(struct conn_table *t, const struct addr *care_of,
			    const struct addr *server, unsigned ifindex)
{
	struct hash_link *l = hash_find(&t->by_pair, hash_pair(t, care_of, server));
	for (; l; l = hash_next(l)) {
		struct conn *c = hash_owner(l, struct conn, by_pair);
		if (addr_equal(&c->care_of.addr, care_of) && addr_equal(&c->server.addr, server) &&
		    (!ifindex || c->ifindex == ifindex))
			return c;
	}
	return NULL;
}

static bool pair_has_spi(const void *item, const void *key)
{
	return ((const struct conn_pair *)item)->in->spi == *(const uint32_t *)key;
}

static struct conn_pair *find_spi(const struct conn_table *t, uint32_t spi_in)
{
	return rtable_find(&t->by_spi, hash_spi(t, spi_in), pair_has_spi, &spi_in);
}

struct conn *conn_find_spi(struct conn_table *t, uint32_t spi_in)
{
	const struct conn_pair *p = find_spi(t, spi_in);
	return p ? p->conn : NULL;
}

static bool pair_has_out(const void *item, const void *key)
{
	return ((const struct conn_pair *)item)->out == key;
}

struct conn *conn_find_sa(struct conn_table *t, const struct sa *sa, uint32_t spi, bool outbound)
{
	const struct conn_pair *p =
	    outbound ? rtable_find(&t->by_out, hash_sa(t, sa), pair_has_out, sa) : find_spi(t, spi);
	const struct sa *is = !p ? NULL : outbound ? p->out : p->in;
	return is && is == sa && is->spi == spi ? p->conn : NULL;
}

struct named {
	const void *owner;
	const char *name;
};

static bool conn_is_named(const void *item, const void *key)
{
	const struct conn *c = item;
	const struct named *n = key;
	return c->owner == n->owner && strcmp(c->name, n->name) == 0;
}

struct conn *conn_find_name(struct conn_table *t, const void *owner, const char *name)
{
	struct named key = {owner, name};
	return rtable_find(&t->by_name, hash_name(t, owner, name), conn_is_named, &key);
}

struct conn *conn_table_walk(struct conn_table *t)
{
	struct conn *c = t->walk ? t->walk : t->first;
	t->walk = c ? c->next : NULL;
	return c;
}

size_t conn_table_size(const struct conn_table *t)
{
	size_t n = 0;
	for (int s = 0; s < STATE_COUNT; s++)
		n += t->counts[s];
	return n;
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
	hash_remove(&t->by_pair, &c->by_pair);
	/* The arguments may be the connection's own. */
	struct endpoint new_care_of = *care_of, new_server = *server;
	c->care_of = new_care_of;
	c->server = new_server;
	table_add_pair(t, c);
}

void conn_set_udp(struct conn *c, bool udp)
{
	c->udp = udp;
	for (const struct conn_pair *p = c->pairs; p; p = p->next) {
		atomic_store(&p->in->udp, udp);
		atomic_store(&p->out->udp, udp);
	}
}

int conn_set_name(struct conn_table *t, struct conn *c, const char *name)
{
	const struct conn *other = conn_find_name(t, c->owner, name);
	if (other && other != c)
		return -EEXIST;
	name_leave(t, c);
	size_t len = strnlen(name, sizeof(c->name) - 1);
	memmove(c->name, name, len);
	c->name[len] = '\0';
	name_enter(t, c);
	return 0;
}

void conn_set_owner(struct conn_table *t, struct conn *c, void *owner)
{
	name_leave(t, c);
	c->owner = owner;
	name_enter(t, c);
}

/* --- rekeying */

static void carry(_Atomic uint64_t *to, const _Atomic uint64_t *from)
{
	atomic_store(to, atomic_load(from));
}

/* What control knows of a connection by its SAs must not seem to begin anew. */
static void inherit(struct sa *sa, const struct sa *from)
{
	if (!from)
		return;
	atomic_store(&sa->active, atomic_load(&from->active));
	atomic_store(&sa->drain, atomic_load(&from->drain));
	carry(&sa->last_us, &from->last_us);
	carry(&sa->first_us, &from->first_us);
}

int conn_add_pair(struct conn_table *t, struct conn *c, struct sa *in, struct sa *out)
{
	if (find_spi(t, in->spi))
		return -EEXIST;
	inherit(in, c->in);
	inherit(out, c->out);
	if (c->out)
		sa_set_pair_path(out, in, sa_path_copy(c->out));
	pair_put(t, c, in, out);
	c->in = in;
	return 0;
}

static struct conn_pair *pair_of(const struct conn *c, uint32_t spi_in)
{
	struct conn_pair *p = c->pairs;
	while (p && !(p->in && p->in->spi == spi_in))
		p = p->next;
	return p;
}

static void use_out(struct conn *c, struct sa *out)
{
	carry(&out->last_us, &c->out->last_us);
	carry(&out->first_us, &c->out->first_us);
	c->out = out;
}

bool conn_use_pair(struct conn *c, uint32_t spi_in)
{
	const struct conn_pair *p = pair_of(c, spi_in);
	if (!p || p->out == c->out)
		return false;
	use_out(c, p->out);
	return true;
}

static void add_traffic(struct conn_traffic *sum, const struct sa *sa)
{
	if (!sa)
		return;
	sum->packets += atomic_load_explicit(&sa->packets, memory_order_relaxed);
	sum->bytes += atomic_load_explicit(&sa->bytes, memory_order_relaxed);
}

static struct conn_pair *latest_in_use(const struct conn *c)
{
	struct conn_pair *p = c->pairs;
	while (p && p->drained_us != USEC_NEVER)
		p = p->next;
	return p;
}

bool conn_sa_drains(const struct conn *c, const struct sa *sa)
{
	for (const struct conn_pair *p = c->draining ? c->pairs : NULL; p; p = p->next)
		if (p->in == sa || p->out == sa)
			return p->drained_us != USEC_NEVER;
	return false;
}

bool conn_drain_pair(struct conn *c, uint32_t spi_in, usec_t now_us)
{
	struct conn_pair *p = pair_of(c, spi_in);
	if (!p || p->drained_us != USEC_NEVER)
		return false;
	p->drained_us = now_us + CONN_DRAIN_US;
	const struct conn_pair *latest = latest_in_use(c);
	if (!latest) {
		p->drained_us = USEC_NEVER;
		return false;
	}
	if (c->in == p->in)
		c->in = latest->in;
	if (c->out == p->out)
		use_out(c, latest->out);
	c->draining++;
	return true;
}

struct conn_pair *conn_take_drained(struct conn_table *t, struct conn *c, usec_t now_us)
{
	struct conn_pair *first = c->draining ? c->pairs : NULL;
	for (struct conn_pair *p = first; p; p = p->next)
		first = p->drained_us < first->drained_us ? p : first;
	if (!first || (first->drained_us > now_us && c->draining <= CONN_DRAINING_MAX))
		return NULL;
	pair_unlink(t, first);
	c->draining--;
	if (!c->before)
		c->before = mem_zalloc(2 * sizeof(*c->before));
	add_traffic(&c->before[0], first->in);
	add_traffic(&c->before[1], first->out);
	return first;
}

void conn_set_active(struct conn *c, bool on)
{
	for (struct conn_pair *p = c->pairs; p; p = p->next)
		if (p->in)
			atomic_store(&p->in->active, on);
}

void conn_set_drain(struct conn *c, usec_t until_us)
{
	for (struct conn_pair *p = c->pairs; p; p = p->next)
		if (p->in)
			atomic_store_explicit(&p->in->drain, SA_DRAIN(until_us),
					      memory_order_relaxed);
}

uint64_t conn_newest(const struct conn *c)
{
	uint64_t newest = 0;
	for (const struct conn_pair *p = c->pairs; p; p = p->next) {
		uint64_t n = p->in ? atomic_load_explicit(&p->in->newest, memory_order_relaxed) : 0;
		newest = n > newest ? n : newest;
	}
	return newest;
}

usec_t conn_heard_us(const struct conn *c)
{
	usec_t heard = 0;
	for (const struct conn_pair *p = c->pairs; p; p = p->next) {
		usec_t at = p->in ? atomic_load_explicit(&p->in->last_us, memory_order_relaxed) : 0;
		heard = at > heard ? at : heard;
	}
	return heard;
}

struct conn_traffic conn_rx(const struct conn *c)
{
	struct conn_traffic sum = c->before ? c->before[0] : (struct conn_traffic){0};
	for (const struct conn_pair *p = c->pairs; p; p = p->next)
		add_traffic(&sum, p->in);
	return sum;
}

struct conn_traffic conn_tx(const struct conn *c)
{
	struct conn_traffic sum = c->before ? c->before[1] : (struct conn_traffic){0};
	for (const struct conn_pair *p = c->pairs; p; p = p->next)
		add_traffic(&sum, p->out);
	return sum;
}

/* --- round trips */

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
