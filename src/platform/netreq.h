/* SPDX-License-Identifier: MIT */
/*
 * The border between the two processes: `node` asks, `net` checks and acts.  Fixed-size typed
 * messages over a SOCK_SEQPACKET pair; file descriptors come back with SCM_RIGHTS.
 */
#ifndef PLATFORM_NETREQ_H
#define PLATFORM_NETREQ_H

#include <net/if.h>
#include <stdint.h>
#include "base/addr.h"
#include "platform/loop.h"

enum netreq_kind {
	NETREQ_SOCK,	  /* a packet socket; the reply brings its fd */
	NETREQ_HOME_ADDR, /* home address (host prefix) onto the TUN (interface "") or, at home,
			   * onto the home interface with the home link's length; on/off */
	NETREQ_ROUTE,	  /* prefix into our table, dev TUN, or via gateway dev interface; on/off */
	NETREQ_PROXY,	  /* proxy neighbour for addr on the home link, announced (gratuitous ARP /
			   * unsolicited NA) when on */
	NETREQ_ANNOUNCE,  /* gratuitous ARP / unsolicited NA for addr on interface (coming home) */
	NETREQ_RESOLVE,	  /* have the kernel resolve neighbour addr on ifindex */
	NETREQ_TUN_MTU,	  /* value */
	NETREQ_LOOKUP, /* the addresses of a server's name, by the system's resolver; the reply may
			* be seconds away, others come before it */
	NETREQ_RESOLVCONF, /* name servers to use (a file like resolv.conf); off: none */
	/* from net to node */
	NETREQ_RELOAD,	      /* the configuration changed: brings an fd to read it from */
	NETREQ_STOP,	      /* finish */
	NETREQ_RELOAD_PLEASE, /* from node: `sojourn reload`; net answers with result, then RELOAD
			       */
	NETREQ_RELOAD_DONE, /* from node after RELOAD: result 0: net keeps its new configuration too
			     */
};

#define NETREQ_ADDRS_MAX 8
#define NETREQ_NAME_MAX	 256

struct netreq {
	enum netreq_kind kind;
	uint32_t id; /* echoed in the reply */
	bool on;
	bool udp;	       /* SOCK; without: native ESP */
	bool ah;	       /* SOCK, not udp: AH instead */
	struct endpoint local; /* SOCK; the address may be :: or 0.0.0.0 only on a home server */
	char interface[IF_NAMESIZE]; /* SOCK: bound to it, "" none; HOME_ADDR, ROUTE, ANNOUNCE */
	unsigned ifindex;	     /* RESOLVE */
	struct prefix prefix;	     /* ROUTE, HOME_ADDR */
	struct addr addr;	     /* PROXY, ANNOUNCE, RESOLVE; ROUTE: preferred source */
	struct addr gateway;	     /* ROUTE: none for on-link */
	uint32_t value;
	uint8_t addr_count; /* LOOKUP: in the reply; RESOLVCONF */
	struct addr addrs[NETREQ_ADDRS_MAX];
	char name[NETREQ_NAME_MAX]; /* LOOKUP: one of the configuration's servers */
	int32_t result;		    /* replies: 0 or -errno */
	char text[160];		    /* replies: what went wrong */
};

/* The node's end.  done (may be NULL) is called from the loop with the reply; fd is -1 or taken
 * by it.  notice gets messages that answer nothing (RELOAD, STOP). */
struct netreq_client;
typedef void (*netreq_done_fn)(void *ctx, const struct netreq *reply, int fd);
struct netreq_client *netreq_client_new(struct loop *l, int channel_fd, netreq_done_fn notice,
					void *ctx);
void netreq_client_free(struct netreq_client *c);
/* 0, or -errno when the channel is broken (the process should end). */
int netreq_send(struct netreq_client *c, struct netreq *req, netreq_done_fn done, void *ctx);

/* One message each way, for net's end. fd -1: none.  recv: 0 bytes -> -EPIPE at the end. */
int netreq_write(int channel_fd, const struct netreq *m, int fd);
int netreq_read(int channel_fd, struct netreq *m, int *fd);

#endif
