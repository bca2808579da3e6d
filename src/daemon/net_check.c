/* SPDX-License-Identifier: MIT */
/*
 * Which requests of the node the configuration covers.
 *
 * The node handles bytes from anywhere and is not trusted: whoever takes it over can ask for
 * what is written here and no more.  So each rule compares with values of the configuration;
 * the only thing believed is which of the terminal's addresses it has at the moment, and a
 * socket bound to a foreign one sends nothing of use.
 *
 * Pure functions: no I/O, no state.
 */
#include "daemon/net_check.h"

#include <string.h>
#include "base/mem.h"

/* RFC 791, RFC 8200 5: what a link must be able to carry. */
#define NET_MTU_MIN  576
#define NET_MTU_MIN6 1280
#define NET_MTU_MAX  65535

static bool net_is_host(const struct prefix *p)
{
	return p->addr.family != 0 && p->len == addr_len(&p->addr) * 8;
}

static bool net_is_tun(const struct config *cfg, const char *interface)
{
	return strcmp(cfg->tun, interface) == 0;
}

static bool net_list_has(const struct addr *list, size_t n, const struct addr *a)
{
	for (size_t i = 0; i < n; i++)
		if (addr_equal(&list[i], a))
			return true;
	return false;
}

/* The home address of some terminal of this configuration. */
static bool net_is_home_addr(const struct config *cfg, const struct addr *a)
{
	for (const struct config_terminal *t = cfg->terminals; t; t = t->next)
		if (net_list_has(t->homes, t->home_count, a))
			return true;
	return false;
}

/* Terminal: its home addresses are the server's to say, so any that a host may have will do. */
static bool net_is_assigned(const struct config *cfg, const struct addr *a)
{
	const struct config_terminal *me = cfg->terminals;
	return cfg->role == ROLE_TERMINAL && me && me->peer && me->home_count == 0 &&
	       addr_is_host(a);
}

/* All of it is in one range of a pool. */
static bool net_is_pooled(const struct config *cfg, const struct prefix *p)
{
	struct addr last = prefix_last(p);
	for (const struct config_pool *pool = cfg->pools; pool; pool = pool->next) {
		for (unsigned i = 0; i < pool->range_count; i++) {
			const struct config_range *r = &pool->ranges[i];
			if (r->from.family == p->addr.family && addr_cmp(&r->from, &p->addr) <= 0 &&
			    addr_cmp(&last, &r->to) <= 0)
				return true;
		}
	}
	return false;
}

static bool net_is_terminal_prefix(const struct config *cfg, const struct prefix *p)
{
	for (const struct config_terminal *t = cfg->terminals; t; t = t->next)
		for (unsigned i = 0; i < t->prefix_count; i++)
			if (prefix_equal(&t->prefixes[i], p))
				return true;
	return false;
}

static bool net_prefix_within(const struct prefix *outer, const struct prefix *inner)
{
	return inner->len >= outer->len && prefix_contains(outer, &inner->addr);
}

static const char *net_check_port(const struct config *cfg, uint16_t port)
{
	if (port == cfg->port || (cfg->ike && port == cfg->ike->port))
		return NULL;
	if (cfg->role == ROLE_TERMINAL)
		return port == 0
			   ? NULL
			   : "the port is neither one of the configuration nor left to the system";
	for (const struct config_terminal *t = cfg->terminals; t; t = t->next)
		for (const struct config_connection *c = t->connections; c; c = c->next)
			if (c->server.port == port)
				return NULL;
	return "the port is not in the configuration";
}

static bool net_has_ah(const struct config *cfg)
{
	for (const struct config_terminal *t = cfg->terminals; t; t = t->next)
		for (const struct config_connection *c = t->connections; c; c = c->next)
			if (c->ah)
				return true;
	return false;
}

static const char *net_check_sock(const struct config *cfg, const struct netreq *req)
{
	const struct addr *local = &req->local.addr;
	if (local->family == 0)
		return "a packet socket needs an address";
	if (net_is_tun(cfg, req->interface))
		return "a packet socket on the tunnel itself would loop";
	if (!req->udp && req->local.port != 0)
		return "native ESP has no port";
	if (req->ah && (req->udp || !net_has_ah(cfg)))
		return "no connection of the configuration uses AH";
	if (cfg->role == ROLE_TERMINAL) {
		if (addr_is_any(local))
			return "a terminal's socket is bound to a care-of address";
		if (addr_is_multicast(local) || net_is_home_addr(cfg, local))
			return "the address cannot be a care-of address";
	} else if (!addr_is_any(local) && cfg->listen_count > 0 &&
		   !net_list_has(cfg->listen, cfg->listen_count, local)) {
		return "the address is not in `listen`";
	}
	return req->udp ? net_check_port(cfg, req->local.port) : NULL;
}

static const char *net_check_home_link(const struct config *cfg, const char *interface)
{
	if (net_is_tun(cfg, interface))
		return "the home interface is not the tunnel";
	if (!cfg->has_home)
		return "the configuration has no section `home`";
	if (cfg->home_interface[0] && strcmp(cfg->home_interface, interface) != 0)
		return "the interface is not that of section `home`";
	return NULL;
}

static const char *net_check_home_addr(const struct config *cfg, const struct netreq *req)
{
	const struct prefix *p = &req->prefix;
	if (cfg->role != ROLE_TERMINAL)
		return "only a terminal has home addresses of its own";
	if (!net_is_home_addr(cfg, &p->addr) && !net_is_assigned(cfg, &p->addr))
		return "the address is not one of `home`";
	if (req->interface[0] == '\0')
		return net_is_host(p) ? NULL : "on the tunnel an address stands alone (/32, /128)";
	if (!net_is_host(p) && p->len != cfg->home_prefix.len)
		return "the prefix length is not that of the home link";
	return net_check_home_link(cfg, req->interface);
}

static const char *net_check_route_terminal(const struct config *cfg, const struct netreq *req)
{
	bool covered = cfg->route_count == 0 || /* everything */
		       (cfg->has_home && net_prefix_within(&cfg->home_prefix, &req->prefix));
	for (unsigned i = 0; i < cfg->route_count; i++)
		covered = covered || net_prefix_within(&cfg->routes[i], &req->prefix);
	for (unsigned i = 0; i < cfg->home_agent_count; i++) {
		struct prefix host = prefix_host(&cfg->home_agents[i]);
		covered = covered || prefix_equal(&host, &req->prefix);
	}
	/* The home server tells its inner address. */
	if (net_is_host(&req->prefix) && cfg->ike && !cfg->home_agent_count)
		covered = covered || req->interface[0] == '\0';
	if (!covered)
		return "the destination is not in `routes`";
	if (req->addr.family && !net_is_home_addr(cfg, &req->addr) &&
	    !net_is_assigned(cfg, &req->addr))
		return "the preferred source is not one of `home`";
	if (req->interface[0] == '\0' || net_is_tun(cfg, req->interface))
		return req->gateway.family ? "the tunnel has no gateway" : NULL;
	return net_check_home_link(cfg, req->interface);
}

static const char *net_check_route(const struct config *cfg, const struct netreq *req)
{
	const struct prefix *p = &req->prefix;
	if (p->addr.family == 0 || p->len > addr_len(&p->addr) * 8)
		return "no destination";
	if ((req->gateway.family && req->gateway.family != p->addr.family) ||
	    (req->addr.family && req->addr.family != p->addr.family))
		return "the addresses are of different families";
	if (cfg->role == ROLE_TERMINAL)
		return net_check_route_terminal(cfg, req);
	if (req->gateway.family || (req->interface[0] && !net_is_tun(cfg, req->interface)))
		return "a home server's routes lead into the tunnel";
	if (req->addr.family && !net_list_has(cfg->home_agents, cfg->home_agent_count, &req->addr))
		return "the preferred source is not a home agent address";
	if (net_is_pooled(cfg, p) || (net_is_host(p) && net_is_home_addr(cfg, &p->addr)))
		return NULL;
	return net_is_terminal_prefix(cfg, p)
		   ? NULL
		   : "the destination is no terminal's address or prefix";
}

static const char *net_check_proxy(const struct config *cfg, const struct netreq *req)
{
	if (cfg->role != ROLE_HOME_SERVER)
		return "only a home server answers for terminals";
	if (!cfg->home_link[0])
		return "`home_link` is not set";
	struct prefix host = prefix_host(&req->addr);
	if (req->addr.family && net_is_pooled(cfg, &host))
		return NULL;
	return net_is_home_addr(cfg, &req->addr) ? NULL : "the address is no terminal's";
}

static const char *net_check_announce(const struct config *cfg, const struct netreq *req)
{
	if (cfg->role != ROLE_TERMINAL)
		return "a home server announces with its proxy entries";
	if (!net_is_home_addr(cfg, &req->addr) && !net_is_assigned(cfg, &req->addr))
		return "the address is not one of `home`";
	return net_check_home_link(cfg, req->interface);
}

static const char *net_check_resolve(const struct config *cfg, const struct netreq *req)
{
	if (cfg->role != ROLE_TERMINAL)
		return "only a terminal looks for gateways";
	if (addr_is_any(&req->addr) || addr_is_multicast(&req->addr) || req->ifindex == 0)
		return "no gateway";
	return NULL;
}

static const char *net_check_lookup(const struct config *cfg, const struct netreq *req)
{
	for (unsigned i = 0; cfg->ike && i < cfg->ike->server_count; i++)
		if (cfg->ike->servers[i].addr.family == 0 &&
		    strcmp(cfg->ike->servers[i].name, req->name) == 0)
			return NULL;
	return "the name is not that of a server in the configuration";
}

static const char *net_check_resolvconf(const struct config *cfg, const struct netreq *req)
{
	if (cfg->role != ROLE_TERMINAL || !cfg->ike)
		return "only a terminal is assigned name servers";
	for (unsigned i = 0; i < req->addr_count; i++)
		if (!addr_is_host(&req->addrs[i]))
			return "the address is none of a name server";
	return req->addr_count ? NULL : "no name server";
}

/* IPv6 goes through the tunnel: some home address or prefix is of that family. */
static bool net_has_ipv6(const struct config *cfg)
{
	for (const struct config_terminal *t = cfg->terminals; t; t = t->next) {
		for (unsigned i = 0; i < t->home_count; i++)
			if (t->homes[i].family == 6)
				return true;
		for (unsigned i = 0; i < t->prefix_count; i++)
			if (t->prefixes[i].addr.family == 6)
				return true;
	}
	return false;
}

static bool net_has_ipv6_pool(const struct config *cfg)
{
	for (const struct config_pool *p = cfg->pools; p; p = p->next)
		for (unsigned i = 0; i < p->range_count; i++)
			if (p->ranges[i].from.family == 6)
				return true;
	return false;
}

static const char *net_check_mtu(const struct config *cfg, const struct netreq *req)
{
	if (req->value < (net_has_ipv6(cfg) || net_has_ipv6_pool(cfg) ? NET_MTU_MIN6 : NET_MTU_MIN))
		return "the MTU is below what IP asks of a link";
	return req->value <= NET_MTU_MAX ? NULL : "the MTU is above what IP can carry";
}

const char *net_check(const struct config *cfg, const struct netreq *req)
{
	switch (req->kind) {
	case NETREQ_SOCK:
		return net_check_sock(cfg, req);
	case NETREQ_HOME_ADDR:
		return net_check_home_addr(cfg, req);
	case NETREQ_ROUTE:
		return net_check_route(cfg, req);
	case NETREQ_PROXY:
		return net_check_proxy(cfg, req);
	case NETREQ_ANNOUNCE:
		return net_check_announce(cfg, req);
	case NETREQ_RESOLVE:
		return net_check_resolve(cfg, req);
	case NETREQ_TUN_MTU:
		return net_check_mtu(cfg, req);
	case NETREQ_LOOKUP:
		return net_check_lookup(cfg, req);
	case NETREQ_RESOLVCONF:
		return net_check_resolvconf(cfg, req);
	case NETREQ_RELOAD_PLEASE:
	case NETREQ_RELOAD_DONE:
		return NULL;
	case NETREQ_RELOAD:
	case NETREQ_STOP:
		break;
	}
	return "only the privileged process sends this";
}
