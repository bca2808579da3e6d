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

struct pktio_sock {
	struct rcu_head rcu;
	struct pktio *p;
	int fd;
	uint16_t index;
	bool udp, ipv6;
	struct endpoint local;
	bool any;	/* bound to no address: each send names its source */
	bool no_gso;	/* packet thread: the device refused UDP_SEGMENT */
	_Atomic int df; /* as the packet thread set it on the socket; -1 unknown */
};

struct pktio {
	struct tun tun;
	int tun_fd, epoll_fd, wake_fd, event_fd;
	const struct log *log;
	struct fwd *fwd;
	pthread_t thread;
	bool running;
	bool tun_ready;
	_Atomic bool stop;
	struct pktio_sock *socks[PKTIO_SOCKS_MAX]; /* rcu */
	_Atomic bool taken[PKTIO_SOCKS_MAX];	   /* until the grace period ended */
	/* of the packet thread */
	struct mmsghdr msgs[PKTIO_BATCH];
	struct sockaddr_storage names[PKTIO_BATCH];
	union pktio_control controls[PKTIO_BATCH];
	struct iovec iovs[PKTIO_BATCH][2];
	uint8_t ip4[PKTIO_BATCH][PKTIO_IP4_LEN];
	struct iovec write_iov[PKTIO_IOV_MAX];
	uint64_t ready[PKTIO_SOCKS_MAX / 64]; /* a bit each */
};

/* Whether a socket may have more to read. */
void pktio_set_ready(struct pktio *p, unsigned index, bool on);

/* pktio_sock.c: as struct fwd_io has them */
int pktio_recv(void *ctx, uint16_t sock, struct fwd_dgram *dgrams, int n);
int pktio_send_batch(void *ctx, struct fwd_send *sends, int count);
/* Takes what waits in the error queue; the MTU that was told for packets to `to` (NULL: none
 * wanted), or 0. */
uint32_t pktio_drain_errors(const struct pktio_sock *s, const struct addr *to);

#endif
