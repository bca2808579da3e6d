/* SPDX-License-Identifier: MIT */
/*
 * Device, rules and sysctls, made before the fork and recorded in the ledger.
 *
 * Routing.  Our routes live in a table of their own.  Our own packets carry a mark and must not
 * go into the tunnel, all others may:
 *
 *   4340  not fwmark MARK  lookup TABLE  suppress_prefixlength 0   home addresses, prefixes
 *   4341                   lookup main   suppress_prefixlength 0   links and other known routes
 *   4342  not fwmark MARK  lookup TABLE                            everything, by the tunnel
 *  32766                   lookup main                             the visited network's default
 */
#include "daemon/net_setup.h"

#include <dirent.h>
#include <errno.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/mem.h"
#include "platform/tun.h"
#include "wire/ip.h"

/* What AES-GCM in UDP over IPv4 adds: a home server's until it has a narrower connection. */
#define NET_OVERHEAD_USUAL 62
/* What the kernel keeps free of a frame for headers of all layers (MAX_TCP_HEADER). */
#define FRAME_HEADERS_LEN 400
/* Some milliseconds of small packets at the highest rate, so that a stall of ours loses none. */
#define TUN_QUEUE_PACKETS 2048

#define NET_SYSCTL_MAX 96

uint32_t net_setup_first_mtu(const struct config *cfg)
{
	return config_inner_mtu(cfg, cfg->role == ROLE_HOME_SERVER ? NET_OVERHEAD_USUAL
								   : config_overhead_max(cfg));
}

/* A frame is cut into packets of which so many fit into one send; one more would be a send of its
 * own, nearly empty. */
static uint32_t frame_len(const struct config *cfg, uint32_t mtu)
{
	uint32_t most = FWD_SEND_LEN_MAX / (cfg->mtu - IP4_HEADER_LEN - UDP_HEADER_LEN);
	if (most > FWD_SEGMENTS_MAX)
		most = FWD_SEGMENTS_MAX;
	return most * (mtu - IP4_HEADER_LEN - TCP_HEADER_LEN) + FRAME_HEADERS_LEN;
}

int net_setup_tun_mtu(const struct config *cfg, struct rtnl *rtnl, unsigned ifindex, uint32_t mtu)
{
	int r = rtnl_link_set(rtnl, ifindex, true, mtu);
	if (r < 0)
		return r;
	/* Refused, it is merely slower. */
	(void)!rtnl_link_tune(rtnl, ifindex, TUN_QUEUE_PACKETS, frame_len(cfg, mtu));
	return 0;
}

int net_setup_tun(const struct config *cfg, struct rtnl *rtnl, struct ledger *ledger,
		  struct tun *tun, unsigned *ifindex, struct err *err)
{
	char path[NET_SYSCTL_MAX];
	if (tun_open(cfg->tun, cfg->offload, cfg->workers, tun, err) < 0)
		return -1;
	*ifindex = if_nametoindex(cfg->tun);
	/* No link-local address: router solicitations and group reports have nobody to hear
	 * them in a tunnel.  Without IPv6 there is nothing to set. */
	snprintf(path, sizeof(path), "net/ipv6/conf/%s/addr_gen_mode", cfg->tun);
	ledger_sysctl_set(ledger, path, 1, "no link-local address on the tunnel");
	int r = net_setup_tun_mtu(cfg, rtnl, *ifindex, net_setup_first_mtu(cfg));
	if (r == 0)
		return 0;
	tun_close(tun);
	return err_set(err, "TUN device %s: cannot set it up: %s; start as root", cfg->tun,
		       strerror(-r));
}

int net_setup_rules(const struct config *cfg, struct ledger *ledger, const struct log *log,
		    struct err *err)
{
	const struct rtnl_rule rules[] = {
	    {.priority = NET_RULE_SPECIFIC,
	     .table = cfg->table,
	     .mark = cfg->mark,
	     .invert = true,
	     .suppress_prefixlen = 0},
	    {.priority = NET_RULE_MAIN, .table = RT_TABLE_MAIN, .suppress_prefixlen = 0},
	    {.priority = NET_RULE_DEFAULT,
	     .table = cfg->table,
	     .mark = cfg->mark,
	     .invert = true,
	     .suppress_prefixlen = RTNL_SUPPRESS_NONE},
	};
	for (uint8_t family = 4; family <= 6; family += 2) {
		for (size_t i = 0; i < ARRAY_LEN(rules); i++) {
			struct rtnl_rule rule = rules[i];
			rule.family = family;
			int r = ledger_rule(ledger, true, &rule);
			if (r < 0 && family == 6) {
				log_warn(log,
					 "net: no_ipv6 error=\"%s\" effect=\"no rules for IPv6\"",
					 strerror(-r));
				return 0;
			}
			if (r < 0)
				return err_set(err,
					       "routing rule %u: %s; the kernel needs "
					       "CONFIG_IP_MULTIPLE_TABLES, and sojournd root",
					       rule.priority, strerror(-r));
		}
	}
	return 0;
}

void net_setup_loose(struct ledger *ledger, const char *interface)
{
	char path[NET_SYSCTL_MAX];
	long all, own;
	snprintf(path, sizeof(path), "net/ipv4/conf/%s/rp_filter", interface);
	/* The kernel takes the larger of the two. */
	if (ledger_sysctl_get("net/ipv4/conf/all/rp_filter", &all) < 0 ||
	    ledger_sysctl_get(path, &own) < 0 || (all > own ? all : own) != 1)
		return;
	ledger_sysctl_set(ledger, path, 2,
			  "strict reverse path filtering would drop tunnel packets");
}

/* A forwarding node stops listening to router advertisements unless accept_ra is 2: keep the
 * routes this node lives by. */
static void net_keep_advertisements(const struct config *cfg, struct ledger *ledger)
{
	char path[sizeof("net/ipv6/conf//accept_ra") + NAME_MAX];
	DIR *dir = opendir("/proc/sys/net/ipv6/conf");
	const struct dirent *e;
	while (dir && (e = readdir(dir))) {
		long value;
		if (e->d_name[0] == '.' || strlen(e->d_name) >= IF_NAMESIZE ||
		    !strcmp(e->d_name, "all") || !strcmp(e->d_name, "lo") ||
		    !strcmp(e->d_name, cfg->tun))
			continue;
		snprintf(path, sizeof(path), "net/ipv6/conf/%s/accept_ra", e->d_name);
		if (ledger_sysctl_get(path, &value) == 0 && value == 1)
			ledger_sysctl_set(ledger, path, 2,
					  "forwarding must not end router advertisements");
	}
	if (dir)
		closedir(dir);
}

static int net_setup_proxy(const struct config *cfg, struct ledger *ledger, struct err *err)
{
	static const struct {
		const char *format;
		long value;
		const char *why;
		bool ipv6;
	} wishes[] = {
	    {"net/ipv6/conf/%s/proxy_ndp", 1, "answers for absent terminals", true},
	    /* By default an answer waits for up to 0.8 s. */
	    {"net/ipv4/neigh/%s/proxy_delay", 0, "answers for absent terminals at once", false},
	    {"net/ipv6/neigh/%s/proxy_delay", 0, "answers for absent terminals at once", true},
	};
	for (size_t i = 0; i < ARRAY_LEN(wishes); i++) {
		char path[NET_SYSCTL_MAX];
		snprintf(path, sizeof(path), wishes[i].format, cfg->home_link);
		int r = ledger_sysctl_set(ledger, path, wishes[i].value, wishes[i].why);
		if (r < 0 && !(wishes[i].ipv6 && r == -ENOENT))
			return err_set(err,
				       "home link %s: /proc/sys/%s: %s; is the interface there?",
				       cfg->home_link, path, strerror(-r));
	}
	return 0;
}

int net_setup_forwarding(const struct config *cfg, struct ledger *ledger, const struct log *log,
			 struct err *err)
{
	static const char all6[] = "net/ipv6/conf/all/forwarding";
	long forwarding;
	int r = ledger_sysctl_set(ledger, "net/ipv4/ip_forward", 1,
				  "a home server forwards for its terminals");
	if (r < 0)
		return err_set(err, "/proc/sys/net/ipv4/ip_forward: %s; start as root",
			       strerror(-r));
	if (ledger_sysctl_get(all6, &forwarding) < 0) {
		log_warn(log, "net: no_ipv6 effect=\"no forwarding of IPv6\"");
	} else if (forwarding == 0) {
		net_keep_advertisements(cfg, ledger);
		r = ledger_sysctl_set(ledger, all6, 1, "a home server forwards for its terminals");
		if (r < 0)
			return err_set(err, "/proc/sys/%s: %s; start as root", all6, strerror(-r));
	}
	char path[NET_SYSCTL_MAX];
	snprintf(path, sizeof(path), "net/ipv4/conf/%s/accept_local", cfg->tun);
	/* They come out of the tunnel device from the home agent's address, which is this node's.
	 */
	ledger_sysctl_set(ledger, path, 1, "packet-too-big messages are for hosts behind us");
	if (!cfg->home_link[0])
		return 0;
	if (if_nametoindex(cfg->home_link) == 0)
		return err_set(err, "home link %s: there is no such interface; mend `home_link`",
			       cfg->home_link);
	return net_setup_proxy(cfg, ledger, err);
}

/* Can a socket be bound to it? */
static bool is_ours(const struct addr *a)
{
	struct endpoint at = {.addr = *a};
	struct sockaddr_storage ss;
	socklen_t len = endpoint_to_sockaddr(&at, &ss);
	int fd = socket(ss.ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	bool ours = fd >= 0 && bind(fd, (struct sockaddr *)&ss, len) == 0;
	if (fd >= 0)
		close(fd);
	return ours;
}

void net_setup_agents(const struct config *cfg, struct ledger *ledger, const struct log *log,
		      unsigned tun_ifindex)
{
	for (unsigned i = 0; i < cfg->home_agent_count; i++) {
		const struct addr *a = &cfg->home_agents[i];
		char text[ADDR_TEXT_MAX];
		if (is_ours(a))
			continue;
		int rc =
		    ledger_addr(ledger, true, tun_ifindex, a, (uint8_t)(addr_len(a) * 8), false);
		log_info(log, "net: home_agent address=%s tun=%s result=\"%s\"",
			 addr_format(a, text), cfg->tun, rc < 0 ? strerror(-rc) : "ok");
	}
}

int net_setup_root(const struct config *cfg, struct err *err)
{
	char path[sizeof(cfg->root)];
	struct stat st;
	memcpy(path, cfg->root, sizeof(path));
	/* It and the directory it is in; what is above must be there. */
	char *slash = strrchr(path, '/');
	if (slash && slash != path) {
		*slash = '\0';
		(void)mkdir(path, 0755);
		*slash = '/';
	}
	if (mkdir(path, 0755) < 0 && errno != EEXIST)
		return err_set(err, "directory %s for the unprivileged process: %s; set `root`",
			       path, strerror(errno));
	if (stat(path, &st) < 0 || !S_ISDIR(st.st_mode) || st.st_uid != 0 ||
	    (st.st_mode & 0022) != 0)
		return err_set(err,
			       "directory %s for the unprivileged process must be root's and "
			       "writable by nobody else; set `root` to an empty one",
			       path);
	return 0;
}
