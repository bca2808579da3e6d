/* SPDX-License-Identifier: MIT */
/*
 * The unprivileged process: joins mobility, SADB, packet path and platform in one role.  It
 * handles every byte from the network.
 */
#ifndef DAEMON_NODE_H
#define DAEMON_NODE_H

#include "daemon/net.h"

/* Never returns before the end; the exit status.  cfg is taken. */
int node_main(struct config *cfg, struct net_start *start, const struct log *log);

#endif
