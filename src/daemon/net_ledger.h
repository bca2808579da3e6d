/* SPDX-License-Identifier: MIT */
/*
 * The ledger: what the privileged process changed in the system, so that it can take it back,
 * last change first.
 */
#ifndef DAEMON_NET_LEDGER_H
#define DAEMON_NET_LEDGER_H

#include "base/log.h"
#include "platform/rtnl.h"

struct ledger;

struct ledger *ledger_new(struct rtnl *rtnl, const struct log *log); /* rtnl is borrowed */
/* Takes back what is still in it. */
void ledger_undo(struct ledger *l);
void ledger_free(struct ledger *l); /* forgets the rest */

/* Each makes (on) or takes back (off) one thing and keeps the books.  0 or -errno; off of what
 * the ledger does not have is -ENOENT.  What was there before, made by others, is used and not
 * taken away. */
int ledger_addr(struct ledger *l, bool on, unsigned ifindex, const struct addr *addr, uint8_t len,
		bool prefix_route) __attribute__((warn_unused_result));
int ledger_route(struct ledger *l, bool on, const struct rtnl_route *route)
    __attribute__((warn_unused_result));
int ledger_rule(struct ledger *l, bool on, const struct rtnl_rule *rule)
    __attribute__((warn_unused_result));
int ledger_proxy(struct ledger *l, bool on, unsigned ifindex, const struct addr *addr)
    __attribute__((warn_unused_result));

/* The value of /proc/sys/PATH, or -errno. */
int ledger_sysctl_get(const char *path, long *value) __attribute__((warn_unused_result));
/* Sets it, logs that and why, and remembers the value it had when first changed. */
int ledger_sysctl_set(struct ledger *l, const char *path, long value, const char *why);

#endif
