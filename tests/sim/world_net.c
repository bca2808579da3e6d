/* SPDX-License-Identifier: MIT */
/*
 * The links between the two nodes: loss, duplication, delay, reordering, NATs, black holes.
 *
 * A NAT's mapping shows in the port that the server sees: a base, the mapping's number, and which
 * of the terminal's two ports it is for.  What comes for an older mapping is lost.
 */
#include <stdlib.h>
#include <string.h>
#include "base/mem.h"
#include "world.h"

#define NAT_PORT     20000
#define NAT_MAPPINGS 5000

const char *const link_names[LINKS] = {"wifi0", "cell0", "eth0", "home0"};
const struct endpoint server4 = {.addr = {.family = 4, .b = {192, 0, 2, 1}}, .port = 4500};
const struct endpoint server6 = {.addr = {.family = 6, .b = {0x20, 0x01, 0x0d, 0xb8, [15] = 1}},
				 .port = 4500};

/* --- addresses */

static struct addr address(const struct link *l, int i, uint8_t host)
{
	uint8_t four[4] = {10, (uint8_t)(i == LINK_HOME ? 0 : 9 + i), l->network, host},
		six[16] = {0x20, 0x01, 0x0d, 0xb8, 0, (uint8_t)(9 + i), l->network, [15] = host};
	return addr_from_bytes(l->family, l->family == 4 ? four : six);
}

struct addr link_address(const struct world *w, int link)
{
	return address(&w->links[link], link, w->links[link].host);
}

size_t net_care_ofs(struct world *w, struct care_of out[LINKS])
{
	size_t n = 0;
	for (int i = 0; i < LINKS; i++) {
		const struct link *l = &w->links[i];
		if (!l->up)
			continue;
		struct care_of *c = &out[n++];
		*c = (struct care_of){.addr = link_address(w, i),
				      .gateway = address(l, i, 1),
				      .ifindex = (unsigned)i + 1,
				      .mtu = 1500};
		(void)snprintf(c->interface, sizeof(c->interface), "%s", link_names[i]);
		if (l->network_known) {
			c->network.gateway[4] = (uint8_t)(i + 1);
			c->network.gateway[5] = (uint8_t)(l->network + 1);
		}
	}
	return n;
}

static struct addr nat_address(int link)
{
	return addr_from_bytes(4, (const uint8_t[]){203, 0, 113, (uint8_t)(link + 1)});
}

static struct endpoint outside(const struct world *w, int link, const struct endpoint *inside)
{
	const struct link *l = &w->links[link];
	if (!l->has_nat)
		return *inside;
	return (struct endpoint){.addr = nat_address(link),
				 .port = (uint16_t)(NAT_PORT + l->mapping % NAT_MAPPINGS * 2 +
						    (inside->port == IKE_PORT))};
}

/* Which link leads to this address now, and to which port there; -1: none. */
static int inside(const struct world *w, const struct endpoint *to, struct endpoint *in)
{
	for (int i = 0; i < LINKS; i++) {
		const struct link *l = &w->links[i];
		struct endpoint mine = {.addr = link_address(w, i)};
		if (!l->up)
			continue;
		for (int plain = 0; plain < 2; plain++) {
			mine.port = plain ? IKE_PORT : IKE_PORT_NATT;
			struct endpoint seen = outside(w, i, &mine);
			if (!endpoint_equal(&seen, to))
				continue;
			*in = mine;
			return i;
		}
	}
	return -1;
}

/* --- what happens to links */

void net_tell_care_ofs(struct world *w, usec_t after_us, const char *cause)
{
	struct event *e = world_push(w, w->now_us + after_us, EVENT_CARE_OFS);
	e->life = w->t.n.life;
	(void)snprintf(e->cause, sizeof(e->cause), "%s", cause);
}

void link_rebind(struct world *w, int link)
{
	w->links[link].mapping++;
}

void link_set(struct world *w, int link, bool up)
{
	struct link *l = &w->links[link];
	if (l->up == up)
		return;
	l->up = up;
	l->mapping++;
	world_say(w, "script: %s %s", link_names[link], up ? "up" : "down");
	net_tell_care_ofs(w, world_below(w, 30000), up ? "link up" : "link down");
}

/* --- datagrams */

struct datagram *datagram_new(const uint8_t *bytes, size_t len)
{
	struct datagram *d = mem_zalloc(sizeof(*d) + len);
	d->len = len;
	if (len)
		memcpy(d->bytes, bytes, len);
	return d;
}

static struct datagram *datagram_copy(const struct datagram *of)
{
	struct datagram *d = mem_zalloc(sizeof(*d) + of->len);
	memcpy(d, of, sizeof(*d) + of->len);
	return d;
}

static void deliver(struct world *w, struct datagram *d, usec_t extra_us)
{
	const struct link *l = &w->links[d->link];
	usec_t delay_us = l->delay_us + (l->jitter_us ? world_below(w, l->jitter_us) : 0);
	world_push(w, w->now_us + delay_us + extra_us, EVENT_DATAGRAM)->datagram = d;
}

static unsigned sent_index(struct world *w)
{
	if (w->sent_count == w->heard_room) {
		w->heard_room = w->heard_room ? w->heard_room * 2 : 4096;
		w->heard = realloc(w->heard, w->heard_room);
		if (!w->heard)
			abort();
	}
	w->heard[w->sent_count] = 0;
	return w->sent_count++;
}

static void trace(struct world *w, const struct datagram *d)
{
	uint64_t what = hash_bytes(w->trace, d->bytes, d->len);
	what = what * 31 + d->esp.tag;
	what = what * 31 + d->src.port + d->dst.port + d->len;
	w->trace = what * 31 + w->now_us;
}

void net_send(struct world *w, struct datagram *d)
{
	struct endpoint in = d->dst;
	w->datagrams++;
	d->origin = GENUINE;
	d->lost_index = sent_index(w);
	trace(w, d);
	if (w->spy)
		w->spy(w->spy_ctx, d);
	if (!d->up)
		d->link = inside(w, &d->dst, &in);
	const struct link *l = d->link >= 0 ? &w->links[d->link] : NULL;
	bool there = l && l->up && !(d->up ? l->deaf_up : l->deaf_down);
	if (there && d->up) {
		struct addr mine = link_address(w, d->link);
		there =
		    addr_equal(&mine, &d->src.addr) && (addr_equal(&d->dst.addr, &server4.addr) ||
							addr_equal(&d->dst.addr, &server6.addr));
		d->src = outside(w, d->link, &d->src);
	}
	if (!there) {
		free(d);
		return;
	}
	attack_record(w, d);
	bool lost = world_chance(w, l->loss_permille), twice = world_chance(w, l->dup_permille);
	if (twice && !lost)
		deliver(w, datagram_copy(d), world_below(w, 50000));
	if (lost)
		free(d);
	else
		deliver(w, d, 0);
}

/* The socket for this address and port; -1: closed. */
static int outlet_at(const struct world *w, const struct endpoint *local)
{
	for (int i = 0; i < OUTLETS; i++) {
		const struct sim_outlet *o = &w->t.outlets[i];
		if (o->users && o->ready && addr_equal(&o->addr, &local->addr) &&
		    o->plain == (local->port == IKE_PORT))
			return i;
	}
	return -1;
}

/* Handed over; whether that changed anything that a stranger must not. */
static bool deliver_now(struct world *w, struct sim_node *n, struct datagram *d,
			const struct ike_path *path)
{
	uint64_t before = d->is_esp && d->origin == GENUINE ? 0 : check_digest(w, n->server);
	if (d->is_esp)
		node_receive(n, d);
	else
		node_ike_arrives(n, path, d);
	return !(d->is_esp && d->origin == GENUINE) && n->alive &&
	       check_digest(w, n->server) != before;
}

static bool is_fragment(const struct datagram *d)
{
	return d->len > 16 && d->bytes[16] == IKE_PAYLOAD_SKF;
}

void net_arrive(struct world *w, struct datagram *d)
{
	static const char *const deeds[] = {"", "changed", "heard before", "invented"};
	struct sim_node *n = d->up ? &w->s.n : &w->t.n;
	struct ike_path path = {.local = d->dst, .remote = d->src};
	int outlet = 0;
	if (!d->up) {
		outlet = inside(w, &d->dst, &path.local) < 0 ? -1 : outlet_at(w, &path.local);
		path.sock = (uint32_t)outlet;
	}
	path.natt = path.local.port != IKE_PORT;
	if (outlet < 0 || !n->alive || (d->is_esp && !path.natt)) {
		free(d);
		return;
	}
	bool is_real = d->origin == GENUINE || d->origin == REPEATED;
	bool heard = !is_real || w->heard[d->lost_index];
	bool changed = deliver_now(w, n, d, &path);
	w->forged += d->origin != GENUINE;
	/* What was not heard before is as good as the real one. */
	if (d->origin != GENUINE && heard && changed)
		world_fail(w, "a datagram that was %s (%s %u) changed the %s", deeds[d->origin],
			   d->is_esp ? "ESP" : "IKE",
			   d->is_esp	 ? d->esp.kind
			   : d->len > 18 ? d->bytes[18]
					 : 0,
			   n->server ? "server" : "terminal");
	/* A fragment is heard when the others are, which may be later. */
	if (is_real && !d->is_esp && changed && !is_fragment(d))
		w->heard[d->lost_index] = 1;
	free(d);
}
