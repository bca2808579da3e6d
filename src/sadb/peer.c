/* SPDX-License-Identifier: MIT */
/*
 * Peers and active sets: what control makes for the packet path to find.
 *
 * Control makes them whole, then publishes; they leave by rcu.
 */
#include <string.h>
#include "base/mem.h"
#include "sadb/sa.h"

struct peer *peer_new(uint32_t replay_packets, const struct prefix *prefixes, uint8_t prefix_count)
{
	/* The struct's size is rounded up to whole lines; what it needs is less. */
	size_t head = offsetof(struct peer, rcu) + sizeof(struct rcu_head);
	struct peer *p = mem_zalloc_lines(head + prefix_count * sizeof(*prefixes));
	space_init(&p->space, replay_packets);
	p->prefixes = (struct prefix *)((char *)p + head);
	p->prefix_count = prefix_count;
	if (prefix_count)
		memcpy(p->prefixes, prefixes, prefix_count * sizeof(*prefixes));
	return p;
}

static void peer_free_rcu(struct rcu_head *head)
{
	struct peer *p = caa_container_of(head, struct peer, rcu);
	space_clear(&p->space);
	free(p);
}

void peer_free_later(struct peer *peer)
{
	if (peer)
		call_rcu(&peer->rcu, peer_free_rcu);
}

struct active *active_new(uint8_t count)
{
	struct active *a = mem_zalloc(sizeof(*a) + count * sizeof(a->sa[0]));
	a->count = count;
	return a;
}
