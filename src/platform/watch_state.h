/* SPDX-License-Identifier: MIT */
/*
 * What the kernel has said about links, addresses, default routes and neighbours, as tables;
 * and the care-of addresses that follow from them.  Reads rtnetlink messages, does no I/O.
 */
#ifndef PLATFORM_WATCH_STATE_H
#define PLATFORM_WATCH_STATE_H

#include "base/clock.h"
#include "mobility/mover.h"
#include "platform/watch.h"

#define WATCH_CAUSE_MAX 160

struct nlmsghdr;

struct watch_link {
	unsigned ifindex;
	char name[IF_NAMESIZE];
	bool up, carrier, loopback, noarp;
	uint32_t mtu;
};

struct watch_addr {
	unsigned ifindex;
	struct addr addr;
	uint8_t len;
	uint32_t flags; /* IFA_F_ */
};

struct watch_route { /* default routes only */
	unsigned ifindex;
	uint8_t family;
	struct addr gateway; /* none: on-link */
	uint32_t table, metric;
};

struct watch_neigh {
	unsigned ifindex;
	struct addr addr;
	struct network link;
};

struct watch_state {
	const struct watch_config *cfg;
	struct watch_link *links;
	struct watch_addr *addrs;
	struct watch_route *routes;
	struct watch_neigh *neighs;
	size_t link_count, addr_count, route_count, neigh_count;
	size_t link_room, addr_room, route_room, neigh_room;
	/* The kernel takes routes away with a link or an address without telling. */
	bool routes_stale;
	/* What changed since watch_state_cause was taken: lines for people, joined. */
	char cause[WATCH_CAUSE_MAX];
};

void watch_state_free(struct watch_state *s);
void watch_state_clear(struct watch_state *s);
void watch_state_clear_routes(struct watch_state *s);
/* One message; quiet: a dump, its lines are not put into the cause. */
void watch_state_read(struct watch_state *s, const struct nlmsghdr *h, bool quiet);
/* The usable care-of addresses; returns how many (at most max). */
size_t watch_state_care_ofs(const struct watch_state *s, struct care_of *list, size_t max);
/* The interface can tell link addresses (not point-to-point without ARP). */
bool watch_state_has_neighbours(const struct watch_state *s, unsigned ifindex);

#endif
