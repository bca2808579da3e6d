/* SPDX-License-Identifier: MIT */
/* The links between the two nodes: loss, duplication, delay, reordering, NAT, black holes; and
 * somebody who records packets and sends them again. */
#include <stdio.h>
#include <string.h>
#include "base/mem.h"
#include "sim.h"

const char *const link_names[LINKS] = {"wifi0", "cell0", "eth0", "home0"};

static void deliver_later(struct sim *s, const struct packet *p, usec_t extra_us)
{
	const struct link *l = &s->links[p->link];
	struct packet *copy = mem_zalloc(sizeof(*copy));
	*copy = *p;
	usec_t delay = l->delay_us + (l->jitter_us ? sim_below(s, l->jitter_us) : 0);
	sim_push(s, s->now_us + delay + extra_us, EVENT_PACKET)->packet = copy;
}

void net_send(struct sim *s, const struct packet *p)
{
	const struct link *l = &s->links[p->link];
	s->packets++;
	bool lost = sim_chance(s, l->loss_permille);
	bool twice = sim_chance(s, l->dup_permille);
	if (!l->up || (p->up ? l->deaf_up : l->deaf_down) || (!p->up && p->nat != l->nat))
		return;
	if (p->kind != PACKET_DATA || sim_chance(s, 20))
		s->recorded[s->recorded_count++ % RECORDED] = *p;
	if (lost)
		return;
	deliver_later(s, p, 0);
	if (twice)
		deliver_later(s, p, sim_below(s, 50000));
}

void net_arrive(struct sim *s, struct packet *p)
{
	if (p->up)
		server_receive(s, p);
	else if (s->links[p->link].up)
		terminal_receive(s, p);
}

void net_replay(struct sim *s)
{
	unsigned kept = s->recorded_count < RECORDED ? s->recorded_count : RECORDED;
	/* After a restart the server knows what is fresh by its clock only (RFC 5944 5.7.1):
	 * what was sent within the tolerance before is accepted once more. */
	if (!kept || s->now_us < s->server_began_us + 10 * USEC_PER_SEC)
		return;
	struct packet p = s->recorded[sim_below(s, kept)];
	/* From an address of the attacker's: a place that leads nowhere. */
	if (p.up)
		p.nat = UINT32_MAX;
	deliver_later(s, &p, 0);
}

size_t net_care_ofs(struct sim *s, struct care_of *out)
{
	size_t n = 0;
	for (int i = 0; i < LINKS; i++) {
		const struct link *l = &s->links[i];
		if (!l->up)
			continue;
		struct care_of *c = &out[n++];
		memset(c, 0, sizeof(*c));
		uint8_t ip[4] = {10, 9, (uint8_t)i, 7}, gw[4] = {10, 9, (uint8_t)i, 1};
		c->addr = addr_from_bytes(4, ip);
		c->gateway = addr_from_bytes(4, gw);
		(void)snprintf(c->interface, sizeof(c->interface), "%s", link_names[i]);
		c->ifindex = (unsigned)i + 1;
		c->mtu = 1500;
		if (l->network_known)
			c->network.gateway[5] = (uint8_t)(i + 1);
	}
	return n;
}
