/* SPDX-License-Identifier: MIT */
/*
 * The packet thread and its I/O.
 *
 * One thread waits in epoll for the TUN device, the packet sockets and a wake-up of control, and
 * lets fwd_run_* take one batch of each that is ready per turn, so that no source starves
 * another.  Readiness is level-triggered: a source leaves the ready set when it gave less than
 * was asked for, and epoll brings it back.  The thread is an RCU reader of the QSBR kind:
 * quiescent once each turn, offline while it blocks.
 *
 * Sockets: control adds and removes them while the thread runs.  A slot is published by RCU; on
 * removal it is taken from epoll and from the table, and a grace period later its descriptor is
 * closed and the slot is free again.
 *
 * Sending: sends on one socket in sequence leave by one sendmmsg.  When the kernel refuses a
 * UDP_SEGMENT send (the device cannot, or a segment is larger than the route's MTU), its
 * segments are sent one by one.  Sockets have IP_RECVERR: what routers say about our packets
 * waits in the error queue, which is drained; the MTU of an EMSGSIZE is found there.  Such an
 * error also fails the next call on the socket, whose packet has done no wrong: it is tried
 * again once.
 *
 * Everything is allocated before the thread starts (sockets: when they are added).
 */
#include "platform/pktio.h"

#include <errno.h>
#include <linux/errqueue.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>
#include <urcu/urcu-qsbr.h>
#include <urcu/compiler.h>
#include "base/mem.h"
#include "platform/sock.h"

#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#endif
#ifndef UDP_GRO
#define UDP_GRO 104
#endif

#define PKTIO_BATCH	 64
#define PKTIO_EVENTS	 64
#define PKTIO_IOV_MAX	 1024
#define PKTIO_ERRORS_MAX 64 /* taken from an error queue at a time */
#define PKTIO_ROOM_MS	 1  /* to wait for room in a full send queue */
#define PKTIO_IP4_LEN	 20
#define PKTIO_MARKER_LEN 4 /* non-ESP marker (RFC 3948 2.2) */
#define PKTIO_ID_TUN	 UINT32_MAX
#define PKTIO_ID_WAKE	 (UINT32_MAX - 1)

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

static void pktio_set_ready(struct pktio *p, unsigned index, bool on)
{
	uint64_t bit = 1ull << (index % 64);
	if (on)
		p->ready[index / 64] |= bit;
	else
		p->ready[index / 64] &= ~bit;
}

static bool pktio_any_ready(const struct pktio *p)
{
	uint64_t any = p->tun_ready;
	for (size_t i = 0; i < ARRAY_LEN(p->ready); i++)
		any |= p->ready[i];
	return any != 0;
}

/* --- TUN */

static int pktio_tun_read(void *ctx, struct fwd_frame *frames, int n)
{
	struct pktio *p = ctx;
	int done = 0;
	while (done < n) {
		struct fwd_frame *f = &frames[done];
		struct iovec iov[2] = {{&f->vh, sizeof(f->vh)}, {f->data, FWD_BUFFER_LEN}};
		ssize_t len = readv(p->tun_fd, iov, 2);
		if (len < 0 && errno == EINTR)
			continue;
		if (len < (ssize_t)sizeof(f->vh)) {
			p->tun_ready = false;
			break;
		}
		f->len = (uint32_t)((size_t)len - sizeof(f->vh));
		done++;
	}
	return done;
}

static bool pktio_tun_write_one(struct pktio *p, struct fwd_write *w)
{
	if (w->iov_count < 1 || w->iov_count >= PKTIO_IOV_MAX)
		return false;
	p->write_iov[0] = (struct iovec){&w->vh, sizeof(w->vh)};
	memcpy(&p->write_iov[1], w->iov, (size_t)w->iov_count * sizeof(*w->iov));
	ssize_t r;
	do
		r = writev(p->tun_fd, p->write_iov, w->iov_count + 1);
	while (r < 0 && errno == EINTR);
	return r >= 0;
}

static int pktio_tun_write(void *ctx, struct fwd_write *writes, int n)
{
	for (int i = 0; i < n; i++)
		writes[i].failed = !pktio_tun_write_one(ctx, &writes[i]);
	return n;
}

/* --- sockets: errors */

/* Takes what waits in the error queue; the MTU that was told for packets to `to` (NULL: none
 * wanted), or 0. */
static uint32_t pktio_drain_errors(const struct pktio_sock *s, const struct addr *to)
{
	uint32_t mtu = 0;
	for (int i = 0; i < PKTIO_ERRORS_MAX; i++) {
		struct sockaddr_storage name;
		union {
			struct cmsghdr align;
			uint8_t buf[256];
		} control;
		struct msghdr msg = {.msg_name = &name,
				     .msg_namelen = sizeof(name),
				     .msg_control = control.buf,
				     .msg_controllen = sizeof(control.buf)};
		if (recvmsg(s->fd, &msg, MSG_ERRQUEUE | MSG_DONTWAIT) < 0)
			break;
		struct endpoint e;
		if (!to || !endpoint_from_sockaddr(&name, &e) || !addr_equal(&e.addr, to))
			continue;
		for (struct cmsghdr *c = CMSG_FIRSTHDR(&msg); c; c = CMSG_NXTHDR(&msg, c)) {
			struct sock_extended_err ee;
			if (!((c->cmsg_level == SOL_IP && c->cmsg_type == IP_RECVERR) ||
			      (c->cmsg_level == SOL_IPV6 && c->cmsg_type == IPV6_RECVERR)) ||
			    c->cmsg_len < CMSG_LEN(sizeof(ee)))
				continue;
			memcpy(&ee, CMSG_DATA(c), sizeof(ee));
			if (ee.ee_errno == EMSGSIZE && ee.ee_info > 0)
				mtu = ee.ee_info;
		}
	}
	return mtu;
}

/* An error that may have been left by an earlier packet rather than be this one's. */
static bool pktio_error_is_old(int error)
{
	return error == ECONNREFUSED || error == EHOSTUNREACH || error == ENETUNREACH ||
	       error == EPROTO || error == EMSGSIZE || error == EACCES || error == ENOPROTOOPT ||
	       error == EHOSTDOWN || error == ENONET;
}

/* --- sockets: receiving */

static void pktio_recv_prepare(struct pktio *p, const struct pktio_sock *s,
			       struct fwd_dgram *dgrams, int n)
{
	bool raw4 = !s->udp && !s->ipv6;
	for (int i = 0; i < n; i++) {
		struct iovec *iov = p->iovs[i];
		iov[0] = (struct iovec){p->ip4[i], PKTIO_IP4_LEN};
		iov[1] = (struct iovec){dgrams[i].data, FWD_BUFFER_LEN};
		p->msgs[i].msg_hdr = (struct msghdr){.msg_name = &p->names[i],
						     .msg_namelen = sizeof(p->names[i]),
						     .msg_iov = raw4 ? iov : iov + 1,
						     .msg_iovlen = raw4 ? 2 : 1,
						     .msg_control = p->controls[i].buf,
						     .msg_controllen = sizeof(p->controls[i].buf)};
	}
}

static void pktio_recv_controls(struct msghdr *msg, struct fwd_dgram *d)
{
	for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
		int value = 0;
		if (c->cmsg_level == SOL_IP && c->cmsg_type == IP_TOS) {
			memcpy(&d->tos, CMSG_DATA(c), 1);
		} else if (c->cmsg_level == SOL_IPV6 && c->cmsg_type == IPV6_TCLASS) {
			memcpy(&value, CMSG_DATA(c), sizeof(value));
			d->tos = (uint8_t)value;
		} else if (c->cmsg_level == SOL_UDP && c->cmsg_type == UDP_GRO) {
			memcpy(&value, CMSG_DATA(c), sizeof(value));
			d->gso_size = value > 0 && (uint32_t)value < d->len ? (uint32_t)value : 0;
		} else {
			sock_read_destination(c, &d->dst);
		}
	}
}

/* A raw IPv4 socket gives the IP header too: its fixed part went to `ip4`, options (rare) are
 * before the payload in data. */
static void pktio_recv_strip(const uint8_t ip4[PKTIO_IP4_LEN], struct fwd_dgram *d)
{
	uint32_t options = (ip4[0] & 15u) * 4u;
	options = options > PKTIO_IP4_LEN ? options - PKTIO_IP4_LEN : 0;
	if (d->len < PKTIO_IP4_LEN + options) {
		d->len = 0;
		return;
	}
	d->len -= PKTIO_IP4_LEN + options;
	d->tos = ip4[1];
	if (options)
		memmove(d->data, d->data + options, d->len);
}

static int pktio_recv(void *ctx, uint16_t sock, struct fwd_dgram *dgrams, int n)
{
	struct pktio *p = ctx;
	struct pktio_sock *s = sock < PKTIO_SOCKS_MAX ? rcu_dereference(p->socks[sock]) : NULL;
	if (!s)
		return 0;
	if (n > PKTIO_BATCH)
		n = PKTIO_BATCH;
	int got = -1;
	for (int tries = 0; tries < 3 && got < 0; tries++) {
		pktio_recv_prepare(p, s, dgrams, n);
		got = recvmmsg(s->fd, p->msgs, (unsigned)n, MSG_DONTWAIT, NULL);
		if (got < 0 && errno != EINTR) {
			if (!pktio_error_is_old(errno))
				break;
			(void)pktio_drain_errors(s, NULL);
		}
	}
	if (got < n)
		pktio_set_ready(p, sock, false);
	for (int i = 0; i < got; i++) {
		struct fwd_dgram *d = &dgrams[i];
		d->len = p->msgs[i].msg_len;
		d->gso_size = 0;
		d->tos = 0;
		d->dst = (struct addr){0};
		pktio_recv_controls(&p->msgs[i].msg_hdr, d);
		if (!endpoint_from_sockaddr(&p->names[i], &d->src))
			d->len = 0;
		if (!s->udp) {
			d->src.port = 0;
			if (!s->ipv6)
				pktio_recv_strip(p->ip4[i], d);
		}
	}
	return got > 0 ? got : 0;
}

/* --- sockets: sending */

static void pktio_put_control(struct msghdr *msg, size_t *used, int level, int type,
			      const void *value, size_t len)
{
	struct cmsghdr *c = (struct cmsghdr *)((uint8_t *)msg->msg_control + *used);
	c->cmsg_level = level;
	c->cmsg_type = type;
	c->cmsg_len = CMSG_LEN(len);
	memcpy(CMSG_DATA(c), value, len);
	*used += CMSG_SPACE(len);
}

static void pktio_send_controls(const struct pktio_sock *s, const struct fwd_send *send,
				bool segment, struct msghdr *msg)
{
	size_t used = 0;
	if (segment) {
		uint16_t size = (uint16_t)send->gso_size;
		pktio_put_control(msg, &used, SOL_UDP, UDP_SEGMENT, &size, sizeof(size));
	}
	if (send->tos) {
		int tos = send->tos;
		if (s->ipv6)
			pktio_put_control(msg, &used, SOL_IPV6, IPV6_TCLASS, &tos, sizeof(tos));
		else
			pktio_put_control(msg, &used, SOL_IP, IP_TOS, &tos, sizeof(tos));
	}
	if (s->any && !addr_is_any(&send->path->local.addr))
		used +=
		    sock_put_source((uint8_t *)msg->msg_control + used,
				    sizeof(union pktio_control) - used, &send->path->local.addr);
	msg->msg_controllen = used;
	if (used == 0)
		msg->msg_control = NULL;
}

static bool pktio_is_segmented(const struct fwd_send *send)
{
	return send->gso_size > 0 && send->gso_size < send->len;
}

static void pktio_send_prepare(struct pktio *p, const struct pktio_sock *s,
			       const struct fwd_send *send, unsigned slot, const uint8_t *data,
			       uint32_t len, bool segment)
{
	struct msghdr *msg = &p->msgs[slot].msg_hdr;
	struct endpoint to = send->path->remote;
	if (!s->udp)
		to.port = 0;
	p->iovs[slot][0] = (struct iovec){(void *)(uintptr_t)data, len};
	*msg = (struct msghdr){.msg_name = &p->names[slot],
			       .msg_namelen = endpoint_to_sockaddr(&to, &p->names[slot]),
			       .msg_iov = p->iovs[slot],
			       .msg_iovlen = 1,
			       .msg_control = p->controls[slot].buf};
	pktio_send_controls(s, send, segment, msg);
}

static bool pktio_sock_set_df(const struct pktio_sock *s, bool df)
{
	int value = df ? IP_PMTUDISC_DO : IP_PMTUDISC_DONT; /* IPv6 has the same values */
	return setsockopt(s->fd, s->ipv6 ? IPPROTO_IPV6 : IPPROTO_IP,
			  s->ipv6 ? IPV6_MTU_DISCOVER : IP_MTU_DISCOVER, &value,
			  sizeof(value)) == 0;
}

/* What is noted is noted before it is done: see pktio_send. */
static void pktio_set_df(struct pktio_sock *s, bool df)
{
	if (atomic_load(&s->df) == (int)df)
		return;
	atomic_store(&s->df, df);
	if (!pktio_sock_set_df(s, df))
		atomic_store(&s->df, -1);
}

/* Waits for room once; false when that was done before. */
static bool pktio_wait_room(const struct pktio_sock *s, bool *waited)
{
	if (*waited)
		return false;
	*waited = true;
	struct pollfd pfd = {.fd = s->fd, .events = POLLOUT};
	(void)poll(&pfd, 1, PKTIO_ROOM_MS);
	return true;
}

/* Sends msgs[0..n), all or up to the first that fails: returns how many went, and that one's
 * error (0: none).  mtu as told with an EMSGSIZE. */
static unsigned pktio_send_msgs(struct pktio *p, struct pktio_sock *s, unsigned n,
				const struct addr *to, int *error, uint32_t *mtu)
{
	unsigned done = 0;
	bool waited = false, retried = false;
	*error = 0;
	while (done < n) {
		int r = sendmmsg(s->fd, p->msgs + done, n - done, MSG_DONTWAIT | MSG_NOSIGNAL);
		if (r > 0) {
			done += (unsigned)r;
			retried = false;
			continue;
		}
		int e = r == 0 ? EAGAIN : errno;
		if (e == EINTR)
			continue;
		if ((e == EAGAIN || e == ENOBUFS) && pktio_wait_room(s, &waited))
			continue;
		if (pktio_error_is_old(e)) {
			uint32_t told = pktio_drain_errors(s, to);
			*mtu = told ? told : *mtu;
			if (!retried) {
				retried = true;
				continue;
			}
		}
		*error = e;
		break;
	}
	return done;
}

static void pktio_send_failed(struct fwd_send *send, int error, uint32_t mtu)
{
	send->error = error;
	if (error != EMSGSIZE)
		return;
	/* When the kernel did not say, step down: something must change or nothing gets through. */
	send->mtu = mtu ? mtu : send->path->mtu > 8 ? send->path->mtu - 8u : 0;
}

/* A UDP_SEGMENT send that the kernel did not take: its segments one by one. */
static void pktio_send_cut(struct pktio *p, struct pktio_sock *s, struct fwd_send *send)
{
	uint32_t off = 0;
	while (off < send->len) {
		unsigned n = 0;
		for (; n < PKTIO_BATCH && off < send->len; n++) {
			uint32_t len = send->len - off;
			len = len < send->gso_size ? len : send->gso_size;
			pktio_send_prepare(p, s, send, n, send->data + off, len, false);
			off += len;
		}
		int error;
		uint32_t mtu = 0;
		pktio_send_msgs(p, s, n, &send->path->remote.addr, &error, &mtu);
		if (error) {
			pktio_send_failed(send, error, mtu);
			return;
		}
	}
}

/* Sends a run of the same socket and DF; the number done is at least 1. */
static unsigned pktio_send_run(struct pktio *p, struct pktio_sock *s, struct fwd_send *sends,
			       unsigned n)
{
	if (pktio_is_segmented(&sends[0]) && s->no_gso) {
		pktio_send_cut(p, s, &sends[0]);
		return 1;
	}
	unsigned count = 0;
	while (count < n && count < PKTIO_BATCH &&
	       !(s->no_gso && pktio_is_segmented(&sends[count]))) {
		struct fwd_send *send = &sends[count];
		pktio_send_prepare(p, s, send, count, send->data, send->len,
				   s->udp && pktio_is_segmented(send));
		count++;
	}
	int error;
	uint32_t mtu = 0;
	/* The MTU that comes with an EMSGSIZE is of the send that failed; in a run they all go to
	 * the first one's peer nearly always, and a foreign one is not taken. */
	unsigned done = pktio_send_msgs(p, s, count, &sends[0].path->remote.addr, &error, &mtu);
	if (!error)
		return done;
	struct fwd_send *failed = &sends[done];
	if (pktio_is_segmented(failed) &&
	    (error == EIO || error == EINVAL || error == EMSGSIZE || error == EOPNOTSUPP)) {
		/* EIO: the device has no checksum offload, now or later. */
		if (error == EIO || error == EOPNOTSUPP)
			s->no_gso = true;
		pktio_send_cut(p, s, failed);
	} else {
		pktio_send_failed(
		    failed, error,
		    addr_equal(&failed->path->remote.addr, &sends[0].path->remote.addr) ? mtu : 0);
	}
	return done + 1;
}

static int pktio_send_batch(void *ctx, struct fwd_send *sends, int count)
{
	struct pktio *p = ctx;
	unsigned n = count > 0 ? (unsigned)count : 0;
	for (unsigned i = 0; i < n;) {
		uint16_t sock = sends[i].path->sock;
		struct pktio_sock *s =
		    sock < PKTIO_SOCKS_MAX ? rcu_dereference(p->socks[sock]) : NULL;
		unsigned end = i;
		for (; end < n && sends[end].path->sock == sock && sends[end].df == sends[i].df;
		     end++) {
			sends[end].error = s ? 0 : ENOTCONN;
			sends[end].mtu = 0;
		}
		if (!s) {
			i = end;
			continue;
		}
		/* Native ESP has no segments: fwd gives it single packets, else they are cut. */
		if (!s->udp)
			s->no_gso = true;
		pktio_set_df(s, sends[i].df);
		while (i < end)
			i += pktio_send_run(p, s, &sends[i], end - i);
	}
	return count;
}

/* --- sending from control */

/* 0, or the error that is this message's own. */
static int pktio_send_one(const struct pktio_sock *s, const struct msghdr *msg)
{
	int error = 0;
	for (int tries = 0; tries < 3; tries++) {
		if (sendmsg(s->fd, msg, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0)
			return 0;
		error = errno;
		if (error != EINTR && !pktio_error_is_old(error))
			break;
	}
	return error;
}

/*
 * A message larger than the path goes in IP fragments: DF is off while it is sent.  The packet
 * thread sets DF by what it noted last, so afterwards nothing is noted, and it sets it again;
 * since it notes before it sets, what is noted after that is what the socket has.  A packet that
 * it sends meanwhile may go without DF, which harms nothing.
 */
static int pktio_send_large(struct pktio_sock *s, const struct msghdr *msg)
{
	int error = EMSGSIZE;
	for (int tries = 0; tries < 3 && error == EMSGSIZE; tries++) {
		if (!pktio_sock_set_df(s, false))
			break;
		error = pktio_send_one(s, msg);
	}
	atomic_store(&s->df, -1);
	return error;
}

int pktio_send(struct pktio *p, uint16_t sock, const struct endpoint *local,
	       const struct endpoint *remote, bool marker, const uint8_t *data, size_t len)
{
	static const uint8_t zeros[PKTIO_MARKER_LEN];
	struct pktio_sock *s = sock < PKTIO_SOCKS_MAX ? p->socks[sock] : NULL;
	if (!s)
		return -ENOTCONN;
	if (!s->udp)
		return -EPROTONOSUPPORT;
	struct path path = {.local = *local};
	struct fwd_send send = {.path = &path};
	struct sockaddr_storage to;
	union pktio_control control;
	struct iovec iov[2] = {{(void *)(uintptr_t)zeros, marker ? sizeof(zeros) : 0},
			       {(void *)(uintptr_t)data, len}};
	struct msghdr msg = {.msg_name = &to,
			     .msg_namelen = endpoint_to_sockaddr(remote, &to),
			     .msg_iov = iov,
			     .msg_iovlen = 2,
			     .msg_control = control.buf};
	pktio_send_controls(s, &send, false, &msg);
	int error = pktio_send_one(s, &msg);
	if (error == EMSGSIZE)
		error = pktio_send_large(s, &msg);
	return -error;
}

/* --- wake-ups */

static void pktio_signal(int fd)
{
	uint64_t one = 1;
	ssize_t r;
	do
		r = write(fd, &one, sizeof(one));
	while (r < 0 && errno == EINTR);
}

static void pktio_event(void *ctx)
{
	pktio_signal(((struct pktio *)ctx)->event_fd);
}

static void pktio_command(void *ctx)
{
	pktio_signal(((struct pktio *)ctx)->wake_fd);
}

struct fwd_io pktio_ops(struct pktio *p)
{
	return (struct fwd_io){.ctx = p,
			       .tun_read = pktio_tun_read,
			       .tun_write = pktio_tun_write,
			       .recv = pktio_recv,
			       .send = pktio_send_batch,
			       .event = pktio_event,
			       .command = pktio_command};
}

int pktio_event_fd(const struct pktio *p)
{
	return p->event_fd;
}

/* --- the thread */

static void pktio_tun_event(struct pktio *p, uint32_t events)
{
	if (events & (EPOLLERR | EPOLLHUP)) {
		/* Level-triggered, and it does not end: somebody removed the device. */
		epoll_ctl(p->epoll_fd, EPOLL_CTL_DEL, p->tun_fd, NULL);
		p->tun_ready = false;
		log_error(p->log, "pktio: tun_lost what=the TUN device was removed; restart");
		return;
	}
	p->tun_ready = true;
}

static void pktio_sock_event(struct pktio *p, uint32_t index, uint32_t events)
{
	struct pktio_sock *s = index < PKTIO_SOCKS_MAX ? rcu_dereference(p->socks[index]) : NULL;
	if (!s)
		return;
	if (events & EPOLLERR) {
		int error;
		socklen_t len = sizeof(error);
		(void)pktio_drain_errors(s, NULL);
		(void)getsockopt(s->fd, SOL_SOCKET, SO_ERROR, &error, &len); /* takes it away */
	}
	if (events & EPOLLIN)
		pktio_set_ready(p, index, true);
}

static void pktio_wait(struct pktio *p, bool busy)
{
	struct epoll_event events[PKTIO_EVENTS];
	if (!busy)
		rcu_thread_offline();
	int n = epoll_wait(p->epoll_fd, events, PKTIO_EVENTS, busy ? 0 : -1);
	if (!busy)
		rcu_thread_online();
	for (int i = 0; i < n; i++) {
		uint32_t id = events[i].data.u32;
		uint64_t count;
		if (id == PKTIO_ID_TUN)
			pktio_tun_event(p, events[i].events);
		else if (id == PKTIO_ID_WAKE)
			(void)!read(p->wake_fd, &count, sizeof(count));
		else
			pktio_sock_event(p, id, events[i].events);
	}
}

/* One batch of each ready socket; those that have more stay. */
static void pktio_run_socks(struct pktio *p)
{
	for (unsigned word = 0; word < ARRAY_LEN(p->ready); word++) {
		for (uint64_t left = p->ready[word]; left; left &= left - 1) {
			unsigned index = word * 64 + (unsigned)__builtin_ctzll(left);
			struct pktio_sock *s = rcu_dereference(p->socks[index]);
			if (!s || fwd_run_sock(p->fwd, s->index, s->udp, clock_now_us()) == 0)
				pktio_set_ready(p, index, false);
		}
	}
}

static void *pktio_main(void *arg)
{
	struct pktio *p = arg;
	rcu_register_thread();
	while (!p->stop) {
		rcu_quiescent_state();
		pktio_wait(p, pktio_any_ready(p));
		fwd_run_commands(p->fwd, clock_now_us());
		if (p->tun_ready && fwd_run_tun(p->fwd, clock_now_us()) == 0)
			p->tun_ready = false;
		pktio_run_socks(p);
	}
	rcu_unregister_thread();
	return NULL;
}

int pktio_start(struct pktio *p, struct fwd *f)
{
	sigset_t all, before;
	p->fwd = f;
	p->stop = false;
	/* Signals are the control thread's. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	int r = pthread_create(&p->thread, NULL, pktio_main, p);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	p->running = r == 0;
	if (p->running)
		pthread_setname_np(p->thread, "packets");
	return -r;
}

void pktio_stop(struct pktio *p)
{
	if (!p->running)
		return;
	p->stop = true;
	pktio_command(p);
	pthread_join(p->thread, NULL);
	p->running = false;
}

/* --- the socket table */

static int pktio_watch(struct pktio *p, int fd, uint32_t id)
{
	struct epoll_event ev = {.events = EPOLLIN, .data.u32 = id};
	return epoll_ctl(p->epoll_fd, EPOLL_CTL_ADD, fd, &ev) < 0 ? -errno : 0;
}

static struct endpoint pktio_bound_to(int fd)
{
	struct sockaddr_storage ss;
	socklen_t len = sizeof(ss);
	struct endpoint e;
	if (getsockname(fd, (struct sockaddr *)&ss, &len) < 0 || !endpoint_from_sockaddr(&ss, &e))
		return (struct endpoint){0};
	return e;
}

bool pktio_sock_local(const struct pktio *p, uint16_t sock, struct endpoint *out)
{
	const struct pktio_sock *s = sock < PKTIO_SOCKS_MAX ? p->socks[sock] : NULL;
	if (s)
		*out = s->local;
	return s;
}

int pktio_sock_add(struct pktio *p, int fd, bool udp, bool ipv6)
{
	unsigned index = 0;
	while (index < PKTIO_SOCKS_MAX && p->taken[index])
		index++;
	if (index == PKTIO_SOCKS_MAX) {
		close(fd);
		return -ENFILE;
	}
	struct pktio_sock *s = mem_zalloc(sizeof(*s));
	*s = (struct pktio_sock){.p = p,
				 .fd = fd,
				 .index = (uint16_t)index,
				 .udp = udp,
				 .ipv6 = ipv6,
				 .local = pktio_bound_to(fd),
				 .df = -1};
	s->any = addr_is_any(&s->local.addr);
	if (s->any)
		sock_tell_destination(fd, ipv6);
	p->taken[index] = true;
	rcu_assign_pointer(p->socks[index], s);
	int r = pktio_watch(p, fd, index);
	if (r < 0) {
		pktio_sock_remove(p, (uint16_t)index);
		return r;
	}
	return (int)index;
}

static void pktio_sock_free(struct rcu_head *head)
{
	struct pktio_sock *s = caa_container_of(head, struct pktio_sock, rcu);
	close(s->fd);
	s->p->taken[s->index] = false;
	free(s);
}

void pktio_sock_remove(struct pktio *p, uint16_t sock)
{
	struct pktio_sock *s = sock < PKTIO_SOCKS_MAX ? p->socks[sock] : NULL;
	if (!s)
		return;
	epoll_ctl(p->epoll_fd, EPOLL_CTL_DEL, s->fd, NULL);
	rcu_assign_pointer(p->socks[sock], NULL);
	call_rcu(&s->rcu, pktio_sock_free);
}

struct pktio *pktio_new(int tun_fd, const struct log *log, struct err *err)
{
	struct pktio *p = mem_zalloc(sizeof(*p));
	p->tun_fd = tun_fd;
	p->log = log;
	p->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	p->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	p->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	/* The thread that runs what call_rcu was given must exist before privileges go. */
	if (p->epoll_fd >= 0 && p->wake_fd >= 0 && p->event_fd >= 0 &&
	    pktio_watch(p, p->tun_fd, PKTIO_ID_TUN) == 0 &&
	    pktio_watch(p, p->wake_fd, PKTIO_ID_WAKE) == 0 && get_default_call_rcu_data())
		return p;
	err_set(err, "packet thread: %s; is the limit of open files (ulimit -n) too low?",
		strerror(errno));
	pktio_free(p);
	return NULL;
}

void pktio_free(struct pktio *p)
{
	if (!p)
		return;
	pktio_stop(p);
	for (uint16_t i = 0; i < PKTIO_SOCKS_MAX; i++)
		pktio_sock_remove(p, i);
	rcu_barrier(); /* the slots are ours until their callbacks ran */
	close(p->tun_fd);
	if (p->epoll_fd >= 0)
		close(p->epoll_fd);
	if (p->wake_fd >= 0)
		close(p->wake_fd);
	if (p->event_fd >= 0)
		close(p->event_fd);
	free(p);
}
