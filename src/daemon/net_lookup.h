/* SPDX-License-Identifier: MIT */
/*
 * Looking up a server's name for the node.  The system's resolver is much code that reads what the
 * network says, and may take its time: it runs in processes of its own, without privileges and
 * without keys, made before net gives its own up.
 */
#ifndef DAEMON_NET_LOOKUP_H
#define DAEMON_NET_LOOKUP_H

#include "daemon/config.h"
#include "platform/loop.h"
#include "platform/netreq.h"

struct net_lookup;

/* Makes the process.  In it cfg is freed: no key stays.  NULL with err. */
struct net_lookup *net_lookup_new(struct config *cfg, struct err *err);
/* Ends the process, unless `forget`: then it is another's. */
void net_lookup_free(struct net_lookup *l, bool forget);

/* Replies are given to done, in the loop. */
typedef void (*net_lookup_fn)(void *ctx, struct netreq *reply);
int net_lookup_watch(struct net_lookup *l, struct loop *loop, net_lookup_fn done, void *ctx);
/* 0: done will be called for it; or -errno.  Packets with the mark keep off the tunnel. */
int net_lookup_ask(struct net_lookup *l, const struct netreq *req, uint32_t mark)
    __attribute__((warn_unused_result));

#endif
