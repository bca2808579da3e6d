/* SPDX-License-Identifier: MIT */
/*
 * The privileged process: makes TUN, routing rules and the control socket at start, then answers
 * netreq messages after checking each against the configuration, and takes everything away again
 * at the end.
 */
#ifndef DAEMON_NET_H
#define DAEMON_NET_H

#include "daemon/config.h"
#include "platform/tun.h"

/* What net made for node before the fork. */
struct net_start {
	struct tun tun;
	uint32_t tun_mtu;
	int control_fd; /* listening */
	int channel_fd; /* node's end */
};

struct net;
/* Before the fork, as root: TUN up with its MTU, rules, forwarding and proxy sysctls on a home
 * server, control socket. cfg is borrowed for now and replaced at a reload. */
struct net *net_new(struct config *cfg, const struct log *log, struct net_start *start,
		    struct err *err);
/* The parent after the fork: runs until node ends or a signal asks to stop; the exit status. */
int net_run(struct net *n, int node_pid);
void net_free(struct net *n); /* removes what it made */
/* The child after the fork: forget without undoing. */
void net_forget(struct net *n);

#endif
