/* SPDX-License-Identifier: MIT */
/*
 * Changes to links, addresses, routes, rules and neighbours by rtnetlink.  Each call is one
 * request and waits for the kernel's answer.  Used by the privileged process only.
 */
#ifndef PLATFORM_RTNL_H
#define PLATFORM_RTNL_H

#include <stdbool.h>
#include <stdint.h>
#include "base/addr.h"
#include "base/err.h"

struct rtnl;

struct rtnl *rtnl_new(struct err *err);
void rtnl_free(struct rtnl *r);

struct rtnl_route {
	struct prefix dst;
	struct addr gateway; /* none: on-link */
	struct addr source;  /* preferred; none */
	unsigned ifindex;
	uint32_t table;
};

#define RTNL_SUPPRESS_NONE (-1)
struct rtnl_rule {
	uint8_t family; /* 4 or 6 */
	uint32_t priority;
	uint32_t table;
	uint32_t mark;		/* 0: any packet */
	bool invert;		/* packets without that mark */
	int suppress_prefixlen; /* routes this short do not count; RTNL_SUPPRESS_NONE */
};

/* All: 0 or -errno.  mtu 0 leaves it. */
int rtnl_link_set(struct rtnl *r, unsigned ifindex, bool up, uint32_t mtu)
    __attribute__((warn_unused_result));
/* How many packets may wait in it, and how large those are that it gets uncut (with offload). */
int rtnl_link_tune(struct rtnl *r, unsigned ifindex, uint32_t queue_packets, uint32_t gso_len)
    __attribute__((warn_unused_result));
/* Without duplicate address detection; prefix_route: the kernel makes the on-link route.
 * -EEXIST when it is there already, -EADDRNOTAVAIL when it is not. */
int rtnl_addr(struct rtnl *r, bool on, unsigned ifindex, const struct addr *addr, uint8_t len,
	      bool prefix_route) __attribute__((warn_unused_result));
/* On replaces a route to the same prefix; -ESRCH when there is none to remove. */
int rtnl_route(struct rtnl *r, bool on, const struct rtnl_route *route)
    __attribute__((warn_unused_result));
int rtnl_rule(struct rtnl *r, bool on, const struct rtnl_rule *rule)
    __attribute__((warn_unused_result));
/* We answer for addr on the interface (proxy ARP, proxy neighbour discovery). */
int rtnl_proxy(struct rtnl *r, bool on, unsigned ifindex, const struct addr *addr)
    __attribute__((warn_unused_result));
/* Have the kernel find the link address of addr. */
int rtnl_resolve(struct rtnl *r, unsigned ifindex, const struct addr *addr)
    __attribute__((warn_unused_result));

#endif
