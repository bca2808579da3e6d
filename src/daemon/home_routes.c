/* SPDX-License-Identifier: MIT */
/*
 * Published bindings.
 *
 * A prefix comes and goes with its binding: the packet path first when it comes; when it goes, the
 * kernel's route first, then, a little after net has said that it is gone, the packet path: what
 * the kernel had given us until then still goes where it went.  Those on their way out are a list
 * in the order in which they end, all of them are found by a hash: a home server has many.
 *
 * Pools.  Without a home link nobody but us can have their addresses: their ranges lead into the
 * TUN device as a whole, once, and bindings change nothing in the kernel.  On the home link an
 * address is its terminal's own while that is at home, so each has its route and its proxy entry.
 */
#include "daemon/home_routes.h"

#include "base/hash.h"
#include "base/mem.h"
#include "crypto/mac.h"
#include "sadb/rtable.h"

#define RANGE_PREFIXES_MAX 254

struct published {
	struct prefix prefix;
	bool routed;  /* the kernel has a route for it alone */
	bool leaving; /* which is being taken from it */
	bool listed;
	usec_t end_us;		       /* 0: net has not answered yet */
	struct published *next, *prev; /* of those that leave and have an end, in its order */
};

struct home_routes {
	struct node *n;
	struct rtable published;
	uint64_t seed;
	struct published *first, *last;
	bool at_once;
};

struct home_routes *home_routes_new(struct node *n)
{
	struct home_routes *r = mem_zalloc(sizeof *r);
	r->n = n;
	random_bytes(&r->seed, sizeof r->seed);
	rtable_init(&r->published);
	return r;
}

/* --- the table */

static uint32_t prefix_hash(const struct home_routes *r, const struct prefix *p)
{
	return (uint32_t)hash_bytes(r->seed + p->len, &p->addr, sizeof p->addr);
}

static bool published_is_of(const void *item, const void *key)
{
	return prefix_equal(&((const struct published *)item)->prefix, key);
}

static struct published *published_find(const struct home_routes *r, const struct prefix *prefix)
{
	return rtable_find(&r->published, prefix_hash(r, prefix), published_is_of, prefix);
}

static struct published *published_add(struct home_routes *r, const struct prefix *prefix)
{
	struct published *p = mem_zalloc(sizeof *p);
	p->prefix = *prefix;
	rtable_add(&r->published, prefix_hash(r, prefix), p);
	return p;
}

static void list_remove(struct home_routes *r, struct published *p)
{
	if (!p->listed)
		return;
	*(p->prev ? &p->prev->next : &r->first) = p->next;
	*(p->next ? &p->next->prev : &r->last) = p->prev;
	p->next = p->prev = NULL;
	p->listed = false;
}

/* All wait equally long, so that the last one to begin is the last one to end. */
static void list_append(struct home_routes *r, struct published *p)
{
	list_remove(r, p);
	p->prev = r->last;
	*(r->last ? &r->last->next : &r->first) = p;
	r->last = p;
	p->listed = true;
}

static void route_set(struct home_routes *r, const struct prefix *prefix, struct active *active)
{
	if (fwd_route_set(r->n->fwd, prefix, active) < 0)
		log_error(r->n->log, "home: out of memory publishing a binding");
}

static void published_end(struct home_routes *r, struct published *p)
{
	route_set(r, &p->prefix, NULL);
	list_remove(r, p);
	rtable_remove(&r->published, prefix_hash(r, &p->prefix), p);
	free(p);
}

/* --- the kernel */

static void route_answered(void *ctx, const struct netreq *reply, int fd)
{
	struct home_routes *r = ctx;
	node_answered(r->n, reply, fd);
	struct published *p = published_find(r, &reply->prefix);
	if (!p || !p->leaving || reply->on)
		return;
	p->end_us = clock_now_us() + ROLE_DRAIN_US;
	list_append(r, p);
}

/* src: the address that our own packets there have; NULL: the kernel chooses. */
static void kernel_route(struct home_routes *r, const struct prefix *prefix, bool on,
			 const struct addr *src)
{
	struct netreq req = {.kind = NETREQ_ROUTE, .on = on, .prefix = *prefix};
	if (src)
		req.addr = *src;
	if (netreq_send(r->n->net, &req, route_answered, r) < 0)
		loop_stop(r->n->loop);
}

static void kernel_proxy(struct home_routes *r, const struct addr *home, bool on)
{
	if (!r->n->cfg->home_link[0])
		return;
	struct netreq req = {.kind = NETREQ_PROXY, .on = on, .addr = *home};
	node_ask(r->n, &req);
}

/* --- pools */

static bool in_range(const struct config_range *range, const struct prefix *p)
{
	struct addr last = prefix_last(p);
	return range->from.family == p->addr.family && addr_cmp(&range->from, &p->addr) <= 0 &&
	       addr_cmp(&last, &range->to) <= 0;
}

/* Its addresses lead to us whether there are bindings or not. */
static bool routed_as_a_whole(const struct config *cfg, const struct prefix *p)
{
	for (const struct config_pool *pool = cfg->pools; pool && !cfg->home_link[0];
	     pool = pool->next)
		for (unsigned i = 0; i < pool->range_count; i++)
			if (in_range(&pool->ranges[i], p))
				return true;
	return false;
}

static bool has_range(const struct config *cfg, const struct config_range *range)
{
	for (const struct config_pool *p = cfg ? cfg->pools : NULL; p; p = p->next)
		for (unsigned i = 0; i < p->range_count; i++)
			if (addr_equal(&p->ranges[i].from, &range->from) &&
			    addr_equal(&p->ranges[i].to, &range->to))
				return true;
	return false;
}

/* The ranges of `cfg` that `other` does not have. */
static void route_ranges(struct home_routes *r, const struct config *cfg,
			 const struct config *other, bool on)
{
	struct prefix list[RANGE_PREFIXES_MAX];
	for (const struct config_pool *p = cfg ? cfg->pools : NULL; p; p = p->next) {
		for (unsigned i = 0; i < p->range_count; i++) {
			const struct config_range *range = &p->ranges[i];
			if (has_range(other, range))
				continue;
			size_t n = prefix_cover(&range->from, &range->to, list, ARRAY_LEN(list));
			for (size_t k = 0; k < n && k < ARRAY_LEN(list); k++)
				kernel_route(r, &list[k], on, NULL);
		}
	}
}

void home_routes_pools(struct home_routes *r, const struct config *fresh,
		       const struct config *before)
{
	if (fresh->home_link[0])
		return; /* and it cannot change at a reload */
	route_ranges(r, before, fresh, false);
	route_ranges(r, fresh, before, true);
}

/* --- bindings */

/* In transport and BEET mode nothing else can be sent from. */
static const struct addr *fixed_local(const struct binding *b)
{
	const struct sa_pair *pair = b->conns[0]->out->pair;
	return pair ? &pair->local : NULL;
}

/* True when the prefix comes or goes. */
static bool publish_prefix(struct home_routes *r, const struct prefix *prefix,
			   const struct binding *b)
{
	struct published *p = published_find(r, prefix);
	bool was = p && !p->leaving, is = b->count > 0;
	if (is)
		route_set(r, prefix, node_active(b->conns, b->count, b->terminal->ncast_class));
	if (is && !p) {
		p = published_add(r, prefix);
		p->routed = !routed_as_a_whole(r->n->cfg, prefix);
	}
	if (p && p->leaving == is) {
		p->leaving = !is;
		p->end_us = 0;
		list_remove(r, p);
	}
	if (was != is && p->routed)
		kernel_route(r, prefix, is, is ? fixed_local(b) : NULL);
	if (p && !is && (r->at_once || !p->routed))
		published_end(r, p);
	return was != is;
}

/* The device carries what the narrowest connection in use does, so that the kernel cuts what is too
 * large before its first packet is lost to a message about it.  It is never widened again, and
 * never below what the narrowest encapsulation leaves: a path that is narrower still is its own
 * matter. */
static void tun_follow(struct home_routes *r, uint32_t inner_mtu)
{
	struct node *n = r->n;
	uint32_t least = config_inner_mtu(n->cfg, config_overhead_max(n->cfg));
	uint32_t mtu = inner_mtu < least ? least : inner_mtu;
	if (inner_mtu == 0 || mtu >= n->tun_mtu)
		return;
	n->tun_mtu = mtu;
	struct netreq req = {.kind = NETREQ_TUN_MTU, .on = true, .value = mtu};
	node_ask(n, &req);
}

void home_routes_publish(struct home_routes *r, const struct binding *b)
{
	const struct registrar_terminal *t = b->terminal;
	struct prefix host = prefix_host(&b->home);
	bool turned = publish_prefix(r, &host, b);

	for (unsigned i = 0; i < t->prefix_count && addr_equal(&b->home, &t->homes[0]); i++)
		publish_prefix(r, &t->prefixes[i], b);
	for (uint8_t i = 0; i < b->count && b->conns[i]->peer; i++)
		tun_follow(r, node_peer_clamp(b->conns[i]->peer, b->conns, b->count));
	if (turned)
		kernel_proxy(r, &b->home, b->count > 0);
}

static void settle(struct home_routes *r, const struct prefix *prefix)
{
	struct published *p = published_find(r, prefix);
	if (p && p->leaving)
		published_end(r, p);
}

void home_routes_settle(struct home_routes *r, const struct registrar_terminal *t)
{
	for (unsigned i = 0; i < t->home_count; i++) {
		struct prefix host = prefix_host(&t->homes[i]);
		settle(r, &host);
	}
	for (unsigned i = 0; i < t->prefix_count; i++)
		settle(r, &t->prefixes[i]);
}

void home_routes_at_once(struct home_routes *r, bool on)
{
	r->at_once = on;
}

usec_t home_routes_tick(struct home_routes *r, usec_t now_us)
{
	while (r->first && r->first->end_us <= now_us)
		published_end(r, r->first);
	return r->first ? r->first->end_us : USEC_NEVER;
}

static void published_free(void *ctx, void *published)
{
	struct published *p = published;
	route_set(ctx, &p->prefix, NULL);
	free(p);
}

void home_routes_free(struct home_routes *r)
{
	rtable_each(&r->published, published_free, r);
	rtable_clear(&r->published);
	free(r);
}
