/* SPDX-License-Identifier: MIT */
/*
 * Tables of links, addresses, default routes and neighbours from rtnetlink messages.
 *
 * Purpose: to say which addresses are care-of addresses now.  The tables are small arrays,
 * searched from the front; an event is applied so that applying it twice changes nothing, since
 * a dump and the events around it overlap.
 *
 * Neighbours: a gateway's link address names the visited network.  It is forgotten with the
 * carrier, not when the kernel's cache lets it go: the network did not change by our silence.
 *
 * Threads: the control thread.  Memory: control side, allocated as tables grow.
 */
#include "platform/watch_state.h"

#include <libmnl/libmnl.h>
#include <linux/if_addr.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include "base/mem.h"

#define WATCH_NEIGHS_MAX 4096

/* libmnl's own loop does not get through -Wconversion. */
#define WATCH_EACH_ATTR(a, from, end)                                                              \
	for (a = (const void *)(from);                                                             \
	     mnl_attr_ok(a, (int)((const char *)(end) - (const char *)a)); a = mnl_attr_next(a))

/* --- tables */

static void *watch_grow(void *array, size_t count, size_t *room, size_t element)
{
	if (count < *room)
		return array;
	size_t more = *room ? *room * 2 : 16;
	void *bigger = mem_zalloc(more * element);
	if (array)
		memcpy(bigger, array, count * element);
	free(array);
	*room = more;
	return bigger;
}

static struct watch_link *watch_find_link(const struct watch_state *s, unsigned ifindex)
{
	for (size_t i = 0; i < s->link_count; i++)
		if (s->links[i].ifindex == ifindex)
			return &s->links[i];
	return NULL;
}

static const char *watch_link_name(const struct watch_state *s, unsigned ifindex)
{
	const struct watch_link *l = watch_find_link(s, ifindex);
	return l ? l->name : "?";
}

void watch_state_clear(struct watch_state *s)
{
	s->link_count = s->addr_count = s->neigh_count = 0;
	watch_state_clear_routes(s);
}

void watch_state_clear_routes(struct watch_state *s)
{
	s->route_count = 0;
	s->routes_stale = false;
}

void watch_state_free(struct watch_state *s)
{
	free(s->links);
	free(s->addrs);
	free(s->routes);
	free(s->neighs);
}

static void watch_forget_neighs(struct watch_state *s, unsigned ifindex)
{
	size_t kept = 0;
	for (size_t i = 0; i < s->neigh_count; i++)
		if (s->neighs[i].ifindex != ifindex)
			s->neighs[kept++] = s->neighs[i];
	s->neigh_count = kept;
}

/* --- what changed, for people */

static bool watch_ignores_link(const struct watch_state *s, const char *name)
{
	return s->cfg->ignore_interface && strcmp(name, s->cfg->ignore_interface) == 0;
}

static bool watch_ignores_addr(const struct watch_state *s, const struct addr *a)
{
	for (unsigned i = 0; i < s->cfg->ignore_count; i++)
		if (addr_equal(a, &s->cfg->ignore[i]))
			return true;
	return false;
}

__attribute__((format(printf, 4, 5))) static void watch_say(struct watch_state *s, bool quiet,
							    unsigned ifindex, const char *fmt, ...)
{
	const char *name = watch_link_name(s, ifindex);
	size_t used = strlen(s->cause);
	char line[WATCH_CAUSE_MAX];
	va_list ap;
	if (quiet || watch_ignores_link(s, name))
		return;
	va_start(ap, fmt);
	vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	char whole[WATCH_CAUSE_MAX + 32];
	int len = snprintf(whole, sizeof(whole), "%s%s: %s", used ? "; " : "", name, line);
	/* Whole lines only: the first ones are nearest the cause. */
	if (len > 0 && used + (size_t)len < sizeof(s->cause))
		memcpy(s->cause + used, whole, (size_t)len + 1);
}

/* --- links */

static void watch_remove_link(struct watch_state *s, struct watch_link *l)
{
	watch_forget_neighs(s, l->ifindex);
	s->routes_stale = true;
	*l = s->links[--s->link_count];
}

static void watch_read_link(struct watch_state *s, const struct nlmsghdr *h, bool quiet)
{
	const struct ifinfomsg *m = mnl_nlmsg_get_payload(h);
	const struct nlattr *a;
	unsigned ifindex = (unsigned)m->ifi_index;
	struct watch_link *l = watch_find_link(s, ifindex);
	/* AF_BRIDGE and others speak of ports, not of links. */
	if (m->ifi_family != AF_UNSPEC)
		return;
	if (h->nlmsg_type == RTM_DELLINK) {
		if (l) {
			watch_say(s, quiet, ifindex, "interface removed");
			watch_remove_link(s, l);
		}
		return;
	}
	struct watch_link was = l ? *l : (struct watch_link){.ifindex = ifindex};
	struct watch_link now = was;
	WATCH_EACH_ATTR(a, m + 1, mnl_nlmsg_get_payload_tail(h))
	{
		if (mnl_attr_get_type(a) == IFLA_IFNAME &&
		    mnl_attr_validate(a, MNL_TYPE_NUL_STRING) == 0)
			snprintf(now.name, sizeof(now.name), "%s", mnl_attr_get_str(a));
		else if (mnl_attr_get_type(a) == IFLA_MTU &&
			 mnl_attr_validate(a, MNL_TYPE_U32) == 0)
			now.mtu = mnl_attr_get_u32(a);
	}
	now.up = (m->ifi_flags & IFF_UP) != 0;
	now.carrier = (m->ifi_flags & IFF_RUNNING) != 0;
	now.loopback = (m->ifi_flags & IFF_LOOPBACK) != 0;
	now.noarp = (m->ifi_flags & IFF_NOARP) != 0;
	if (!l) {
		s->links = watch_grow(s->links, s->link_count, &s->link_room, sizeof(*s->links));
		l = &s->links[s->link_count++];
	}
	*l = now;
	bool worked = was.up && was.carrier, works = now.up && now.carrier;
	if (worked && !works) {
		watch_say(s, quiet, ifindex, now.up ? "carrier lost" : "interface down");
		watch_forget_neighs(s, ifindex);
		s->routes_stale = true;
	} else if (!worked && works) {
		watch_say(s, quiet, ifindex, was.up ? "carrier" : "interface up");
	}
	if (was.mtu && was.mtu != now.mtu)
		watch_say(s, quiet, ifindex, "mtu %u", now.mtu);
}

/* --- addresses */

static bool watch_addr_ready(uint32_t flags)
{
	bool tentative = (flags & IFA_F_TENTATIVE) && !(flags & IFA_F_OPTIMISTIC);
	return !tentative && !(flags & (IFA_F_DEPRECATED | IFA_F_DADFAILED));
}

static bool watch_parse_addr(const struct nlmsghdr *h, struct watch_addr *out)
{
	const struct ifaddrmsg *m = mnl_nlmsg_get_payload(h);
	const struct nlattr *a;
	uint8_t family = m->ifa_family == AF_INET ? 4 : m->ifa_family == AF_INET6 ? 6 : 0;
	size_t len = family == 4 ? 4 : 16;
	bool local = false;
	*out = (struct watch_addr){
	    .ifindex = m->ifa_index, .len = m->ifa_prefixlen, .flags = m->ifa_flags};
	WATCH_EACH_ATTR(a, m + 1, mnl_nlmsg_get_payload_tail(h))
	{
		uint16_t type = mnl_attr_get_type(a);
		/* IFA_ADDRESS is the other end's on point-to-point links. */
		if ((type == IFA_LOCAL || (type == IFA_ADDRESS && !local)) &&
		    mnl_attr_get_payload_len(a) == len) {
			out->addr = addr_from_bytes(family, mnl_attr_get_payload(a));
			local = type == IFA_LOCAL;
		} else if (type == IFA_FLAGS && mnl_attr_validate(a, MNL_TYPE_U32) == 0) {
			out->flags = mnl_attr_get_u32(a);
		}
	}
	return family != 0 && out->addr.family != 0;
}

static void watch_read_addr(struct watch_state *s, const struct nlmsghdr *h, bool quiet)
{
	struct watch_addr now;
	char text[ADDR_TEXT_MAX];
	if (!watch_parse_addr(h, &now))
		return;
	quiet = quiet || addr_is_link_local(&now.addr) || watch_ignores_addr(s, &now.addr);
	size_t i = 0;
	while (i < s->addr_count &&
	       (s->addrs[i].ifindex != now.ifindex || !addr_equal(&s->addrs[i].addr, &now.addr)))
		i++;
	bool known = i < s->addr_count;
	bool was_ready = known && watch_addr_ready(s->addrs[i].flags);
	addr_format(&now.addr, text);
	if (h->nlmsg_type == RTM_DELADDR) {
		if (!known)
			return;
		watch_say(s, quiet, now.ifindex, "address %s removed", text);
		/* In order, so that the list does not change its order without need. */
		memmove(&s->addrs[i], &s->addrs[i + 1], (--s->addr_count - i) * sizeof(*s->addrs));
		s->routes_stale = true;
		return;
	}
	if (!known) {
		s->addrs = watch_grow(s->addrs, s->addr_count, &s->addr_room, sizeof(*s->addrs));
		s->addr_count++;
	}
	s->addrs[i] = now;
	if (!was_ready && watch_addr_ready(now.flags))
		watch_say(s, quiet, now.ifindex, "address %s added", text);
	else if (was_ready && !watch_addr_ready(now.flags))
		watch_say(s, quiet, now.ifindex, "address %s deprecated", text);
}

/* --- default routes */

static void watch_change_route(struct watch_state *s, const struct watch_route *r, bool on,
			       bool quiet)
{
	char text[ADDR_TEXT_MAX];
	size_t i = 0;
	while (i < s->route_count &&
	       (s->routes[i].ifindex != r->ifindex || s->routes[i].family != r->family ||
		s->routes[i].table != r->table || s->routes[i].metric != r->metric ||
		!addr_equal(&s->routes[i].gateway, &r->gateway)))
		i++;
	bool known = i < s->route_count;
	if (known == on)
		return;
	if (!on) {
		memmove(&s->routes[i], &s->routes[i + 1],
			(--s->route_count - i) * sizeof(*s->routes));
	} else {
		s->routes =
		    watch_grow(s->routes, s->route_count, &s->route_room, sizeof(*s->routes));
		s->routes[s->route_count++] = *r;
	}
	if (r->gateway.family)
		watch_say(s, quiet, r->ifindex, "default route via %s %s",
			  addr_format(&r->gateway, text), on ? "added" : "removed");
	else
		watch_say(s, quiet, r->ifindex, "default route %s", on ? "added" : "removed");
}

static struct addr watch_attr_addr(const struct nlattr *a, uint8_t family)
{
	size_t len = family == 4 ? 4 : 16;
	if (mnl_attr_get_payload_len(a) != len)
		return (struct addr){0};
	return addr_from_bytes(family, mnl_attr_get_payload(a));
}

/* RTA_VIA: a gateway of another family (RFC 5549); it counts as a gateway that is not known. */
static void watch_read_hops(struct watch_state *s, const struct nlattr *multi,
			    struct watch_route *r, bool on, bool quiet)
{
	const uint8_t *p = mnl_attr_get_payload(multi);
	size_t left = mnl_attr_get_payload_len(multi);
	struct rtnexthop hop;
	while (left >= sizeof(hop)) {
		memcpy(&hop, p, sizeof(hop));
		if (hop.rtnh_len < sizeof(hop) || hop.rtnh_len > left)
			return;
		const struct nlattr *a;
		r->ifindex = (unsigned)hop.rtnh_ifindex;
		r->gateway = (struct addr){0};
		WATCH_EACH_ATTR(a, p + sizeof(hop), p + hop.rtnh_len)
		{
			if (mnl_attr_get_type(a) == RTA_GATEWAY)
				r->gateway = watch_attr_addr(a, r->family);
		}
		watch_change_route(s, r, on, quiet);
		size_t step = RTNH_ALIGN(hop.rtnh_len);
		if (step > left)
			return;
		p += step;
		left -= step;
	}
}

static void watch_read_route(struct watch_state *s, const struct nlmsghdr *h, bool quiet)
{
	const struct rtmsg *m = mnl_nlmsg_get_payload(h);
	const struct nlattr *a, *multi = NULL;
	struct watch_route r = {.table = m->rtm_table};
	bool on = h->nlmsg_type == RTM_NEWROUTE;
	r.family = m->rtm_family == AF_INET ? 4 : m->rtm_family == AF_INET6 ? 6 : 0;
	if (!r.family || m->rtm_dst_len != 0 || m->rtm_type != RTN_UNICAST ||
	    (m->rtm_flags & RTM_F_CLONED))
		return;
	WATCH_EACH_ATTR(a, m + 1, mnl_nlmsg_get_payload_tail(h))
	{
		switch (mnl_attr_get_type(a)) {
		case RTA_OIF:
			r.ifindex = mnl_attr_get_u32(a);
			break;
		case RTA_GATEWAY:
			r.gateway = watch_attr_addr(a, r.family);
			break;
		case RTA_TABLE:
			r.table = mnl_attr_get_u32(a);
			break;
		case RTA_PRIORITY:
			r.metric = mnl_attr_get_u32(a);
			break;
		case RTA_MULTIPATH:
			multi = a;
			break;
		}
	}
	if (r.table == s->cfg->ignore_table)
		return;
	if (multi)
		watch_read_hops(s, multi, &r, on, quiet);
	else if (r.ifindex)
		watch_change_route(s, &r, on, quiet);
}

/* --- neighbours */

static bool watch_is_gateway(const struct watch_state *s, unsigned ifindex, const struct addr *a)
{
	for (size_t i = 0; i < s->route_count; i++)
		if (s->routes[i].ifindex == ifindex && addr_equal(&s->routes[i].gateway, a))
			return true;
	return false;
}

static void watch_read_neigh(struct watch_state *s, const struct nlmsghdr *h, bool quiet)
{
	const struct ndmsg *m = mnl_nlmsg_get_payload(h);
	const struct nlattr *a;
	struct watch_neigh now = {.ifindex = (unsigned)m->ndm_ifindex};
	uint8_t family = m->ndm_family == AF_INET ? 4 : m->ndm_family == AF_INET6 ? 6 : 0;
	const uint16_t good = NUD_REACHABLE | NUD_STALE | NUD_DELAY | NUD_PROBE | NUD_PERMANENT;
	if (h->nlmsg_type != RTM_NEWNEIGH || !family || !(m->ndm_state & good) ||
	    (m->ndm_flags & NTF_PROXY))
		return;
	WATCH_EACH_ATTR(a, m + 1, mnl_nlmsg_get_payload_tail(h))
	{
		if (mnl_attr_get_type(a) == NDA_DST)
			now.addr = watch_attr_addr(a, family);
		else if (mnl_attr_get_type(a) == NDA_LLADDR &&
			 mnl_attr_get_payload_len(a) == sizeof(now.link.gateway))
			memcpy(now.link.gateway, mnl_attr_get_payload(a), sizeof(now.link.gateway));
	}
	if (!now.addr.family || !network_known(&now.link))
		return;
	size_t i = 0;
	while (i < s->neigh_count &&
	       (s->neighs[i].ifindex != now.ifindex || !addr_equal(&s->neighs[i].addr, &now.addr)))
		i++;
	if (i < s->neigh_count && memcmp(&s->neighs[i].link, &now.link, sizeof(now.link)) == 0)
		return;
	if (i == s->neigh_count) {
		/* A full table makes room at its beginning: old entries matter least. */
		if (s->neigh_count == WATCH_NEIGHS_MAX)
			i = 0;
		else
			s->neighs = watch_grow(s->neighs, s->neigh_count++, &s->neigh_room,
					       sizeof(*s->neighs));
	}
	s->neighs[i] = now;
	const uint8_t *g = now.link.gateway;
	if (watch_is_gateway(s, now.ifindex, &now.addr))
		watch_say(s, quiet, now.ifindex, "gateway is %02x:%02x:%02x:%02x:%02x:%02x", g[0],
			  g[1], g[2], g[3], g[4], g[5]);
}

void watch_state_read(struct watch_state *s, const struct nlmsghdr *h, bool quiet)
{
	switch (h->nlmsg_type) {
	case RTM_NEWLINK:
	case RTM_DELLINK:
		if (mnl_nlmsg_get_payload_len(h) >= sizeof(struct ifinfomsg))
			watch_read_link(s, h, quiet);
		break;
	case RTM_NEWADDR:
	case RTM_DELADDR:
		if (mnl_nlmsg_get_payload_len(h) >= sizeof(struct ifaddrmsg))
			watch_read_addr(s, h, quiet);
		break;
	case RTM_NEWROUTE:
	case RTM_DELROUTE:
		if (mnl_nlmsg_get_payload_len(h) >= sizeof(struct rtmsg))
			watch_read_route(s, h, quiet);
		break;
	case RTM_NEWNEIGH:
	case RTM_DELNEIGH:
		if (mnl_nlmsg_get_payload_len(h) >= sizeof(struct ndmsg))
			watch_read_neigh(s, h, quiet);
		break;
	}
}

/* --- care-of addresses */

/* The interface's default route of the family: the one the kernel would prefer. */
static const struct watch_route *watch_default_route(const struct watch_state *s, unsigned ifindex,
						     uint8_t family)
{
	const struct watch_route *best = NULL;
	for (size_t i = 0; i < s->route_count; i++) {
		const struct watch_route *r = &s->routes[i];
		if (r->ifindex == ifindex && r->family == family &&
		    (!best || r->metric < best->metric))
			best = r;
	}
	return best;
}

static bool watch_reaches_server(const struct watch_state *s, const struct watch_addr *a)
{
	struct prefix link = prefix_of(&a->addr, a->len);
	for (unsigned i = 0; i < s->cfg->server_count; i++)
		if (prefix_contains(&link, &s->cfg->servers[i]))
			return true;
	return false;
}

static struct network watch_network(const struct watch_state *s, unsigned ifindex,
				    const struct addr *gateway)
{
	for (size_t i = 0; i < s->neigh_count; i++)
		if (s->neighs[i].ifindex == ifindex && addr_equal(&s->neighs[i].addr, gateway))
			return s->neighs[i].link;
	return (struct network){0};
}

size_t watch_state_care_ofs(const struct watch_state *s, struct care_of *list, size_t max)
{
	size_t n = 0;
	for (size_t i = 0; i < s->addr_count && n < max; i++) {
		const struct watch_addr *a = &s->addrs[i];
		const struct watch_link *l = watch_find_link(s, a->ifindex);
		if (!l || !l->up || !l->carrier || l->loopback || watch_ignores_link(s, l->name) ||
		    !watch_addr_ready(a->flags) || addr_is_link_local(&a->addr) ||
		    watch_ignores_addr(s, &a->addr))
			continue;
		const struct watch_route *r = watch_default_route(s, a->ifindex, a->addr.family);
		if (!r && !watch_reaches_server(s, a))
			continue;
		struct care_of *c = &list[n++];
		memset(c, 0, sizeof(*c)); /* padding too: lists are compared as bytes */
		c->addr = a->addr;
		memcpy(c->interface, l->name, sizeof(c->interface));
		c->ifindex = a->ifindex;
		c->mtu = l->mtu;
		if (r && r->gateway.family) {
			c->gateway = r->gateway;
			c->network = watch_network(s, a->ifindex, &r->gateway);
		}
	}
	return n;
}

bool watch_state_has_neighbours(const struct watch_state *s, unsigned ifindex)
{
	const struct watch_link *l = watch_find_link(s, ifindex);
	return l && !l->noarp;
}
