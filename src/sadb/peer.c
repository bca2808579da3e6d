/* SPDX-License-Identifier: MIT */
/*
 * Peers and active sets: what control makes for the packet path to find.
 *
 * Control makes them whole, then publishes; they leave by rcu.
 */
#include <string.h>
#include "base/lines.h"
#include "sadb/sa.h"

/* The struct's size is rounded up to whole lines; what it needs is less. */
#define PEER_HEAD_LEN (offsetof(struct peer, rcu) + sizeof(struct rcu_head))

static size_t peer_len(uint8_t prefix_count)
{
	return PEER_HEAD_LEN + prefix_count * sizeof(struct prefix);
}

struct peer *peer_new(uint32_t replay_packets, const struct prefix *prefixes, uint8_t prefix_count)
{
	struct peer *p = lines_alloc(peer_len(prefix_count));
	space_init(&p->space, replay_packets);
	p->prefixes = (struct prefix *)((char *)p + PEER_HEAD_LEN);
	p->prefix_count = prefix_count;
	if (prefix_count)
		memcpy(p->prefixes, prefixes, prefix_count * sizeof(*prefixes));
	return p;
}

void peer_free(struct peer *peer)
{
	if (!peer)
		return;
	space_clear(&peer->space);
	lines_free(peer, peer_len(peer->prefix_count));
}

static void peer_free_rcu(struct rcu_head *head)
{
	peer_free(caa_container_of(head, struct peer, rcu));
}

void peer_free_later(struct peer *peer)
{
	if (peer)
		call_rcu(&peer->rcu, peer_free_rcu);
}

static size_t active_len(uint8_t count, bool by_class)
{
	return sizeof(struct active) + count * sizeof(struct sa *) +
	       (by_class ? sizeof(uint64_t) : 0);
}

struct active *active_new(uint8_t count)
{
	struct active *a = lines_alloc(active_len(count, false));
	a->count = count;
	return a;
}

struct active *active_new_by_class(uint8_t count, uint64_t dscps)
{
	struct active *a = lines_alloc(active_len(count, true));
	a->count = count;
	a->by_class = true;
	memcpy(&a->sa[count], &dscps, sizeof(dscps));
	return a;
}

void active_free(struct active *a)
{
	if (a)
		lines_free(a, active_len(a->count, a->by_class));
}
