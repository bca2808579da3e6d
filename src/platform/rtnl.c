/* SPDX-License-Identifier: MIT */
/*
 * rtnetlink requests (rtnetlink(7)) built with libmnl.
 *
 * One socket, one request at a time, each answered by an acknowledgement, so that a caller
 * knows the outcome when the call returns.  The kernel answers at once; nothing here waits for
 * the network.
 */
#include "platform/rtnl.h"

#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/fib_rules.h>
#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <string.h>
#include "base/mem.h"

struct rtnl {
	struct mnl_socket *nl;
	unsigned portid;
	uint32_t seq;
	_Alignas(8) char buf[4096];
};

struct rtnl *rtnl_new(struct err *err)
{
	struct mnl_socket *nl = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC);
	if (!nl || mnl_socket_bind(nl, 0, MNL_SOCKET_AUTOPID) < 0) {
		err_set(err, "rtnetlink: %s; the kernel needs CONFIG_NET", strerror(errno));
		if (nl)
			mnl_socket_close(nl);
		return NULL;
	}
	struct rtnl *r = mem_zalloc(sizeof(*r));
	r->nl = nl;
	r->portid = mnl_socket_get_portid(nl);
	return r;
}

void rtnl_free(struct rtnl *r)
{
	if (!r)
		return;
	mnl_socket_close(r->nl);
	free(r);
}

static struct nlmsghdr *rtnl_start(struct rtnl *r, uint16_t type, uint16_t flags)
{
	memset(r->buf, 0, 256);
	struct nlmsghdr *h = mnl_nlmsg_put_header(r->buf);
	h->nlmsg_type = type;
	h->nlmsg_flags = (uint16_t)(NLM_F_REQUEST | NLM_F_ACK | flags);
	h->nlmsg_seq = ++r->seq;
	return h;
}

static int rtnl_ask(struct rtnl *r, const struct nlmsghdr *h)
{
	_Alignas(8) char answer[4096];
	if (mnl_socket_sendto(r->nl, h, h->nlmsg_len) < 0)
		return -errno;
	for (;;) {
		ssize_t n = mnl_socket_recvfrom(r->nl, answer, sizeof(answer));
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		int ret = mnl_cb_run(answer, (size_t)n, r->seq, r->portid, NULL, NULL);
		if (ret < 0 && (errno == EPROTO || errno == ESRCH)) {
			/* EPROTO: the answer to an older request.  ESRCH is both libmnl's word
			 * for another port and the kernel's for "no such route". */
			const struct nlmsghdr *a = (const void *)answer;
			if (a->nlmsg_seq != r->seq)
				continue;
		}
		return ret < 0 ? -errno : 0;
	}
}

static uint8_t rtnl_family(uint8_t family)
{
	return family == 6 ? AF_INET6 : AF_INET;
}

static void rtnl_put_addr(struct nlmsghdr *h, uint16_t type, const struct addr *a)
{
	mnl_attr_put(h, type, addr_len(a), a->b);
}

int rtnl_link_set(struct rtnl *r, unsigned ifindex, bool up, uint32_t mtu)
{
	struct nlmsghdr *h = rtnl_start(r, RTM_NEWLINK, 0);
	struct ifinfomsg *m = mnl_nlmsg_put_extra_header(h, sizeof(*m));
	m->ifi_family = AF_UNSPEC;
	m->ifi_index = (int)ifindex;
	m->ifi_change = IFF_UP;
	m->ifi_flags = up ? IFF_UP : 0;
	if (mtu)
		mnl_attr_put_u32(h, IFLA_MTU, mtu);
	return rtnl_ask(r, h);
}

int rtnl_link_tune(struct rtnl *r, unsigned ifindex, uint32_t queue_packets, uint32_t gso_len)
{
	struct nlmsghdr *h = rtnl_start(r, RTM_NEWLINK, 0);
	struct ifinfomsg *m = mnl_nlmsg_put_extra_header(h, sizeof(*m));
	m->ifi_family = AF_UNSPEC;
	m->ifi_index = (int)ifindex;
	mnl_attr_put_u32(h, IFLA_TXQLEN, queue_packets);
	mnl_attr_put_u32(h, IFLA_GSO_MAX_SIZE, gso_len);
	return rtnl_ask(r, h);
}

int rtnl_addr(struct rtnl *r, bool on, unsigned ifindex, const struct addr *addr, uint8_t len,
	      bool prefix_route)
{
	struct nlmsghdr *h =
	    rtnl_start(r, on ? RTM_NEWADDR : RTM_DELADDR, on ? NLM_F_CREATE | NLM_F_EXCL : 0);
	struct ifaddrmsg *m = mnl_nlmsg_put_extra_header(h, sizeof(*m));
	m->ifa_family = rtnl_family(addr->family);
	m->ifa_prefixlen = len;
	m->ifa_index = ifindex;
	m->ifa_scope = RT_SCOPE_UNIVERSE;
	rtnl_put_addr(h, IFA_LOCAL, addr);
	rtnl_put_addr(h, IFA_ADDRESS, addr);
	uint32_t flags = (addr->family == 6 ? (uint32_t)IFA_F_NODAD : 0) |
			 (prefix_route ? 0 : (uint32_t)IFA_F_NOPREFIXROUTE);
	mnl_attr_put_u32(h, IFA_FLAGS, flags);
	return rtnl_ask(r, h);
}

int rtnl_route(struct rtnl *r, bool on, const struct rtnl_route *route)
{
	struct nlmsghdr *h =
	    rtnl_start(r, on ? RTM_NEWROUTE : RTM_DELROUTE, on ? NLM_F_CREATE | NLM_F_REPLACE : 0);
	struct rtmsg *m = mnl_nlmsg_put_extra_header(h, sizeof(*m));
	bool gateway = route->gateway.family != 0;
	m->rtm_family = rtnl_family(route->dst.addr.family);
	m->rtm_dst_len = route->dst.len;
	m->rtm_table = route->table < 256 ? (uint8_t)route->table : RT_TABLE_UNSPEC;
	m->rtm_protocol = on ? RTPROT_STATIC : RTPROT_UNSPEC;
	m->rtm_scope = !on ? RT_SCOPE_NOWHERE : gateway ? RT_SCOPE_UNIVERSE : RT_SCOPE_LINK;
	m->rtm_type = on ? RTN_UNICAST : RTN_UNSPEC;
	rtnl_put_addr(h, RTA_DST, &route->dst.addr);
	mnl_attr_put_u32(h, RTA_TABLE, route->table);
	mnl_attr_put_u32(h, RTA_OIF, route->ifindex);
	if (gateway)
		rtnl_put_addr(h, RTA_GATEWAY, &route->gateway);
	if (on && route->source.family != 0)
		rtnl_put_addr(h, RTA_PREFSRC, &route->source);
	return rtnl_ask(r, h);
}

int rtnl_rule(struct rtnl *r, bool on, const struct rtnl_rule *rule)
{
	struct nlmsghdr *h =
	    rtnl_start(r, on ? RTM_NEWRULE : RTM_DELRULE, on ? NLM_F_CREATE | NLM_F_EXCL : 0);
	struct fib_rule_hdr *m = mnl_nlmsg_put_extra_header(h, sizeof(*m));
	m->family = rtnl_family(rule->family);
	m->action = FR_ACT_TO_TBL;
	m->flags = rule->invert ? FIB_RULE_INVERT : 0;
	m->table = rule->table < 256 ? (uint8_t)rule->table : RT_TABLE_UNSPEC;
	mnl_attr_put_u32(h, FRA_PRIORITY, rule->priority);
	mnl_attr_put_u32(h, FRA_TABLE, rule->table);
	if (rule->mark) {
		mnl_attr_put_u32(h, FRA_FWMARK, rule->mark);
		mnl_attr_put_u32(h, FRA_FWMASK, UINT32_MAX);
	}
	if (rule->suppress_prefixlen != RTNL_SUPPRESS_NONE)
		mnl_attr_put_u32(h, FRA_SUPPRESS_PREFIXLEN, (uint32_t)rule->suppress_prefixlen);
	return rtnl_ask(r, h);
}

static struct nlmsghdr *rtnl_neigh(struct rtnl *r, uint16_t type, uint16_t flags, unsigned ifindex,
				   const struct addr *addr, uint8_t neigh_flags)
{
	struct nlmsghdr *h = rtnl_start(r, type, flags);
	struct ndmsg *m = mnl_nlmsg_put_extra_header(h, sizeof(*m));
	m->ndm_family = rtnl_family(addr->family);
	m->ndm_ifindex = (int)ifindex;
	m->ndm_flags = neigh_flags;
	rtnl_put_addr(h, NDA_DST, addr);
	return h;
}

int rtnl_proxy(struct rtnl *r, bool on, unsigned ifindex, const struct addr *addr)
{
	return rtnl_ask(r, rtnl_neigh(r, on ? RTM_NEWNEIGH : RTM_DELNEIGH,
				      on ? NLM_F_CREATE | NLM_F_REPLACE : 0, ifindex, addr,
				      NTF_PROXY));
}

int rtnl_resolve(struct rtnl *r, unsigned ifindex, const struct addr *addr)
{
	return rtnl_ask(
	    r, rtnl_neigh(r, RTM_NEWNEIGH, NLM_F_CREATE | NLM_F_REPLACE, ifindex, addr, NTF_USE));
}
