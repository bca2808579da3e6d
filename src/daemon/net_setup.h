/* SPDX-License-Identifier: MIT */
/* What the privileged process makes at start: device, routing rules, sysctls. */
#ifndef DAEMON_NET_SETUP_H
#define DAEMON_NET_SETUP_H

#include "daemon/config.h"
#include "daemon/net_ledger.h"
#include "platform/tun.h"

/* Our rules' places among the system's (main is 32766).  Specific routes of our table win over
 * the main table's, those over our default routes, these over the main table's default. */
#define NET_RULE_SPECIFIC 4340
#define NET_RULE_MAIN	  4341
#define NET_RULE_DEFAULT  4342

/* The TUN device, up, with a first MTU. */
int net_setup_tun(const struct config *cfg, struct rtnl *rtnl, struct ledger *ledger,
		  struct tun *tun, unsigned *ifindex, struct err *err)
    __attribute__((warn_unused_result));
/* What the device begins with. */
uint32_t net_setup_first_mtu(const struct config *cfg);
/* Its MTU, and the largest frame that goes out in one send. */
int net_setup_tun_mtu(const struct config *cfg, struct rtnl *rtnl, unsigned ifindex, uint32_t mtu)
    __attribute__((warn_unused_result));
int net_setup_rules(const struct config *cfg, struct ledger *ledger, const struct log *log,
		    struct err *err) __attribute__((warn_unused_result));
/* Forwarding and proxying on a home server. */
int net_setup_forwarding(const struct config *cfg, struct ledger *ledger, const struct log *log,
			 struct err *err) __attribute__((warn_unused_result));
/* Strict reverse path filtering (RFC 3704) would drop what comes for us by an interface that the
 * unmarked route does not use: makes it loose there. */
/* Home agent addresses that this node does not have yet go onto the tunnel. */
void net_setup_agents(const struct config *cfg, struct ledger *ledger, const struct log *log,
		      unsigned tun_ifindex);
void net_setup_loose(struct ledger *ledger, const char *interface);
/* The directory the node is confined to, made when missing. */
int net_setup_root(const struct config *cfg, struct err *err) __attribute__((warn_unused_result));

#endif
