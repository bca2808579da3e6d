/* SPDX-License-Identifier: MIT */
/* The inside of struct pktio: pktio.c has the thread and the table, pktio_sock.c the sockets' I/O.
 */
#ifndef PLATFORM_PKTIO_STATE_H
#define PLATFORM_PKTIO_STATE_H

#include <netinet/in.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include "platform/pktio.h"

#define PKTIO_BATCH   64
#define PKTIO_IOV_MAX 1024
#define PKTIO_IP4_LEN 20

/* UDP_SEGMENT, TOS and PKTINFO of one send; GRO, TOS and PKTINFO of one receive. */
union pktio_control {
	struct cmsghdr align;
	uint8_t buf[CMSG_SPACE(sizeof(int)) + CMSG_SPACE(sizeof(int)) +
		    CMSG_SPACE(sizeof(struct in6_pktinfo))];
};

/* Of an AH socket over IPv6: those, and the extension headers before AH. */
#define PKTIO_EXT_MAX 1024
union pktio_ext_control {
	struct cmsghdr align;
	uint8_t buf[sizeof(union pktio_control) + PKTIO_EXT_MAX];
};

/* What one worker has of a packet socket. */
struct pktio_end {
	int fd;
	bool own;	/* this worker reads it; else fd is the first worker's, to send on */
	bool no_gso;	/* the device refused UDP_SEGMENT */
	_Atomic int df; /* as the worker set it on the socket; -1 unknown */
	/* AH over IPv4: what a router said last of the path to this address, until a packet is
	 * refused for it; 0: nothing */
	struct addr told_to;
	uint32_t told_mtu;
};

struct pktio_sock {
	struct rcu_head rcu;
	struct pktio *p;
	uint16_t index;
	bool udp, ipv6;
	bool ah; /* packets of IPv4 come and go with their IP header */
	struct endpoint local;
	bool any; /* bound to no address: each send names its source */
	struct pktio_end ends[FWD_WORKERS_MAX];
};

/* One packet thread. */
struct pktio_worker {
	struct pktio *p;
	unsigned index;
	int tun_fd, epoll_fd, wake_fd;
	struct fwd_worker *fwd;
	pthread_t thread;
	bool running;
	bool tun_ready;
	struct mmsghdr msgs[PKTIO_BATCH];
	struct sockaddr_storage names[PKTIO_BATCH];
	union pktio_control controls[PKTIO_BATCH];
	union pktio_ext_control ext_controls[PKTIO_BATCH];
	struct iovec iovs[PKTIO_BATCH][2];
	uint8_t ip4[PKTIO_BATCH][PKTIO_IP4_LEN];
	struct iovec write_iov[PKTIO_IOV_MAX];
	uint64_t ready[PKTIO_SOCKS_MAX / 64]; /* a bit each */
	uint8_t fragment[UINT16_MAX];
};

struct pktio {
	struct tun tun;
	int event_fd;
	const struct log *log;
	_Atomic bool stop;
	unsigned count;
	struct pktio_worker *workers[FWD_WORKERS_MAX];
	struct pktio_sock *socks[PKTIO_SOCKS_MAX]; /* rcu */
	_Atomic bool taken[PKTIO_SOCKS_MAX];	   /* until the grace period ended */
};

/* Whether a socket may have more to read. */
void pktio_set_ready(struct pktio_worker *w, unsigned index, bool on);

/* pktio_ah.c */
/* Before a receive, and after it: d gets the whole packet, from its outer IP header on. */
void pktio_ah_prepare(struct pktio_worker *w, const struct pktio_sock *s, unsigned slot,
		      struct fwd_dgram *d);
void pktio_ah_received(struct pktio_worker *w, const struct pktio_sock *s, unsigned slot,
		       struct fwd_dgram *d);
/* Takes what waits in the error queue, and notes what it says of the path. */
void pktio_ah_errors(struct pktio_end *end);
/* Over IPv4: notes what a router said. */
void pktio_ah_told(struct pktio_end *end, const struct addr *of, uint32_t mtu);
/* How many of the first are sent as others are.  What is not is too large for what a router said of
 * the path (pktio_ah_send refuses it) or, without DF, for the path (that sends it in fragments). */
unsigned pktio_ah_plain(const struct pktio_end *end, const struct fwd_send *sends, unsigned n);
void pktio_ah_send(struct pktio_worker *w, struct pktio_end *end, struct fwd_send *send);

/* pktio_sock.c: as struct fwd_io has them */
int pktio_recv(void *ctx, uint16_t sock, struct fwd_dgram *dgrams, int n);
int pktio_send_batch(void *ctx, struct fwd_send *sends, int count);
/* Takes what waits in the error queue; the MTU that was told for packets to `to` (NULL: none
 * wanted), or 0. */
uint32_t pktio_drain_errors(int fd, const struct addr *to);
/* The same for whatever address it was told of, the last one: *of. */
uint32_t pktio_drain_told(int fd, struct addr *of);
/* Control messages of a receive: TOS, GRO, destination. */
void pktio_recv_controls(struct msghdr *msg, struct fwd_dgram *d);

#endif
