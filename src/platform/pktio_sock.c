/* SPDX-License-Identifier: MIT */
/*
 * What the packet thread does with its sockets, and control's sends on them.
 *
 * Sends on one socket in sequence leave by one sendmmsg.  When the kernel refuses a UDP_SEGMENT
 * send (the device cannot, or a segment is larger than the route's MTU), its segments are sent one
 * by one.  Sockets have IP_RECVERR: what routers say about our packets waits in the error queue,
 * which is drained; the MTU of an EMSGSIZE is found there.  Such an error also fails the next call
 * on the socket, whose packet has done no wrong: it is tried again once.
 */
#include "platform/pktio_state.h"

#include <errno.h>
#include <time.h> /* before errqueue.h, which needs it */
#include <linux/errqueue.h>
#include <netinet/udp.h>
#include <poll.h>
#include <string.h>
#include <urcu/compiler.h>
#include "platform/sock.h"

#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#endif
#ifndef UDP_GRO
#define UDP_GRO 104
#endif

#define PKTIO_ERRORS_MAX 64 /* taken from an error queue at a time */
#define PKTIO_ROOM_MS	 1  /* to wait for room in a full send queue */
#define PKTIO_MARKER_LEN 4  /* non-ESP marker (RFC 3948 2.2) */

/* --- errors */

static uint32_t pktio_drain(int fd, const struct addr *to, struct addr *of)
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
		if (recvmsg(fd, &msg, MSG_ERRQUEUE | MSG_DONTWAIT) < 0)
			break;
		struct endpoint e;
		if (!endpoint_from_sockaddr(&name, &e) || !(of || (to && addr_equal(&e.addr, to))))
			continue;
		for (struct cmsghdr *c = CMSG_FIRSTHDR(&msg); c; c = CMSG_NXTHDR(&msg, c)) {
			struct sock_extended_err ee;
			if (!((c->cmsg_level == SOL_IP && c->cmsg_type == IP_RECVERR) ||
			      (c->cmsg_level == SOL_IPV6 && c->cmsg_type == IPV6_RECVERR)) ||
			    c->cmsg_len < CMSG_LEN(sizeof(ee)))
				continue;
			memcpy(&ee, CMSG_DATA(c), sizeof(ee));
			if (ee.ee_errno != EMSGSIZE || ee.ee_info == 0)
				continue;
			mtu = ee.ee_info;
			if (of)
				*of = e.addr;
		}
	}
	return mtu;
}

uint32_t pktio_drain_errors(int fd, const struct addr *to)
{
	return pktio_drain(fd, to, NULL);
}

uint32_t pktio_drain_told(int fd, struct addr *of)
{
	return pktio_drain(fd, NULL, of);
}

/* An error that may have been left by an earlier packet rather than be this one's. */
static bool pktio_error_is_old(int error)
{
	return error == ECONNREFUSED || error == EHOSTUNREACH || error == ENETUNREACH ||
	       error == EPROTO || error == EMSGSIZE || error == EACCES || error == ENOPROTOOPT ||
	       error == EHOSTDOWN || error == ENONET;
}

/* --- receiving */

static void pktio_recv_prepare(struct pktio_worker *w, const struct pktio_sock *s,
			       struct fwd_dgram *dgrams, int n)
{
	bool raw4 = !s->udp && !s->ipv6;
	for (int i = 0; i < n; i++) {
		struct iovec *iov = w->iovs[i];
		if (s->ah) {
			pktio_ah_prepare(w, s, (unsigned)i, &dgrams[i]);
			continue;
		}
		iov[0] = (struct iovec){w->ip4[i], PKTIO_IP4_LEN};
		iov[1] = (struct iovec){dgrams[i].data, FWD_BUFFER_LEN};
		w->msgs[i].msg_hdr = (struct msghdr){.msg_name = &w->names[i],
						     .msg_namelen = sizeof(w->names[i]),
						     .msg_iov = raw4 ? iov : iov + 1,
						     .msg_iovlen = raw4 ? 2 : 1,
						     .msg_control = w->controls[i].buf,
						     .msg_controllen = sizeof(w->controls[i].buf)};
	}
}

void pktio_recv_controls(struct msghdr *msg, struct fwd_dgram *d)
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

int pktio_recv(void *ctx, uint16_t sock, struct fwd_dgram *dgrams, int n)
{
	struct pktio_worker *w = ctx;
	struct pktio_sock *s = sock < PKTIO_SOCKS_MAX ? rcu_dereference(w->p->socks[sock]) : NULL;
	if (!s)
		return 0;
	if (n > PKTIO_BATCH)
		n = PKTIO_BATCH;
	int got = -1, fd = s->ends[w->index].fd;
	for (int tries = 0; tries < 3 && got < 0; tries++) {
		pktio_recv_prepare(w, s, dgrams, n);
		got = recvmmsg(fd, w->msgs, (unsigned)n, MSG_DONTWAIT, NULL);
		if (got < 0 && errno != EINTR) {
			if (!pktio_error_is_old(errno))
				break;
			(void)pktio_drain_errors(fd, NULL);
		}
	}
	if (got < n)
		pktio_set_ready(w, sock, false);
	for (int i = 0; i < got; i++) {
		struct fwd_dgram *d = &dgrams[i];
		d->len = w->msgs[i].msg_len;
		d->gso_size = 0;
		d->tos = 0;
		d->dst = (struct addr){0};
		d->head_off = d->head_len = 0;
		pktio_recv_controls(&w->msgs[i].msg_hdr, d);
		if (!endpoint_from_sockaddr(&w->names[i], &d->src))
			d->len = 0;
		if (!s->udp) {
			d->src.port = 0;
			if (s->ah)
				pktio_ah_received(w, s, (unsigned)i, d);
			else if (!s->ipv6)
				pktio_recv_strip(w->ip4[i], d);
		}
	}
	return got > 0 ? got : 0;
}

/* --- sending */

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

static void pktio_send_prepare(struct pktio_worker *w, const struct pktio_sock *s,
			       const struct fwd_send *send, unsigned slot, const uint8_t *data,
			       uint32_t len, bool segment)
{
	struct msghdr *msg = &w->msgs[slot].msg_hdr;
	struct endpoint to = send->path->remote;
	if (!s->udp)
		to.port = 0;
	w->iovs[slot][0] = (struct iovec){(void *)(uintptr_t)data, len};
	*msg = (struct msghdr){.msg_name = &w->names[slot],
			       .msg_namelen = endpoint_to_sockaddr(&to, &w->names[slot]),
			       .msg_iov = w->iovs[slot],
			       .msg_iovlen = 1,
			       .msg_control = w->controls[slot].buf};
	pktio_send_controls(s, send, segment, msg);
}

static bool pktio_sock_set_df(const struct pktio_sock *s, int fd, bool df)
{
	int value = df ? IP_PMTUDISC_DO : IP_PMTUDISC_DONT; /* IPv6 has the same values */
	return setsockopt(fd, s->ipv6 ? IPPROTO_IPV6 : IPPROTO_IP,
			  s->ipv6 ? IPV6_MTU_DISCOVER : IP_MTU_DISCOVER, &value,
			  sizeof(value)) == 0;
}

/* What is noted is noted before it is done: see pktio_send. */
static void pktio_set_df(const struct pktio_sock *s, struct pktio_end *end, bool df)
{
	if (atomic_load(&end->df) == (int)df)
		return;
	atomic_store(&end->df, df);
	if (!pktio_sock_set_df(s, end->fd, df))
		atomic_store(&end->df, -1);
}

/* Waits for room once; false when that was done before. */
static bool pktio_wait_room(int fd, bool *waited)
{
	if (*waited)
		return false;
	*waited = true;
	struct pollfd pfd = {.fd = fd, .events = POLLOUT};
	(void)poll(&pfd, 1, PKTIO_ROOM_MS);
	return true;
}

/* Sends msgs[0..n), all or up to the first that fails: returns how many went, and that one's
 * error (0: none).  mtu as told with an EMSGSIZE. */
static unsigned pktio_send_msgs(struct pktio_worker *w, int fd, unsigned n, const struct addr *to,
				int *error, uint32_t *mtu)
{
	unsigned done = 0;
	bool waited = false, retried = false;
	*error = 0;
	while (done < n) {
		int r = sendmmsg(fd, w->msgs + done, n - done, MSG_DONTWAIT | MSG_NOSIGNAL);
		if (r > 0) {
			done += (unsigned)r;
			retried = false;
			continue;
		}
		int e = r == 0 ? EAGAIN : errno;
		if (e == EINTR)
			continue;
		if ((e == EAGAIN || e == ENOBUFS) && pktio_wait_room(fd, &waited))
			continue;
		if (pktio_error_is_old(e)) {
			uint32_t told = pktio_drain_errors(fd, to);
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
static void pktio_send_cut(struct pktio_worker *w, struct pktio_sock *s, struct fwd_send *send)
{
	uint32_t off = 0;
	while (off < send->len) {
		unsigned n = 0;
		for (; n < PKTIO_BATCH && off < send->len; n++) {
			uint32_t len = send->len - off;
			len = len < send->gso_size ? len : send->gso_size;
			pktio_send_prepare(w, s, send, n, send->data + off, len, false);
			off += len;
		}
		int error;
		uint32_t mtu = 0;
		pktio_send_msgs(w, s->ends[w->index].fd, n, &send->path->remote.addr, &error, &mtu);
		if (error) {
			pktio_send_failed(send, error, mtu);
			return;
		}
	}
}

/* Sends a run of the same socket and DF; the number done is at least 1. */
static unsigned pktio_send_run(struct pktio_worker *w, struct pktio_sock *s, struct fwd_send *sends,
			       unsigned n)
{
	struct pktio_end *end = &s->ends[w->index];
	if (pktio_is_segmented(&sends[0]) && end->no_gso) {
		pktio_send_cut(w, s, &sends[0]);
		return 1;
	}
	unsigned count = 0;
	while (count < n && count < PKTIO_BATCH &&
	       !(end->no_gso && pktio_is_segmented(&sends[count]))) {
		struct fwd_send *send = &sends[count];
		pktio_send_prepare(w, s, send, count, send->data, send->len,
				   s->udp && pktio_is_segmented(send));
		count++;
	}
	int error;
	uint32_t mtu = 0;
	/* The MTU that comes with an EMSGSIZE is of the send that failed; in a run they all go to
	 * the first one's peer nearly always, and a foreign one is not taken. */
	unsigned done =
	    pktio_send_msgs(w, end->fd, count, &sends[0].path->remote.addr, &error, &mtu);
	if (mtu && !error && s->ah && !s->ipv6)
		pktio_ah_told(end, &sends[0].path->remote.addr, mtu);
	if (!error)
		return done;
	struct fwd_send *failed = &sends[done];
	if (pktio_is_segmented(failed) &&
	    (error == EIO || error == EINVAL || error == EMSGSIZE || error == EOPNOTSUPP)) {
		/* EIO: the device has no checksum offload, now or later. */
		if (error == EIO || error == EOPNOTSUPP)
			end->no_gso = true;
		pktio_send_cut(w, s, failed);
	} else {
		pktio_send_failed(
		    failed, error,
		    addr_equal(&failed->path->remote.addr, &sends[0].path->remote.addr) ? mtu : 0);
	}
	return done + 1;
}

int pktio_send_batch(void *ctx, struct fwd_send *sends, int count)
{
	struct pktio_worker *w = ctx;
	unsigned n = count > 0 ? (unsigned)count : 0;
	for (unsigned i = 0; i < n;) {
		uint16_t sock = sends[i].path->sock;
		struct pktio_sock *s =
		    sock < PKTIO_SOCKS_MAX ? rcu_dereference(w->p->socks[sock]) : NULL;
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
			s->ends[w->index].no_gso = true;
		pktio_set_df(s, &s->ends[w->index], sends[i].df);
		while (i < end) {
			unsigned plain = end - i;
			if (s->ah && !s->ipv6)
				plain = pktio_ah_plain(&s->ends[w->index], &sends[i], plain);
			if (plain)
				i += pktio_send_run(w, s, &sends[i], plain);
			else
				pktio_ah_send(w, &s->ends[w->index], &sends[i++]);
		}
	}
	return count;
}

/* --- sending from control */

/* 0, or the error that is this message's own. */
static int pktio_send_one(int fd, const struct msghdr *msg)
{
	int error = 0;
	for (int tries = 0; tries < 3; tries++) {
		if (sendmsg(fd, msg, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0)
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
	int error = EMSGSIZE, fd = s->ends[0].fd;
	for (int tries = 0; tries < 3 && error == EMSGSIZE; tries++) {
		if (!pktio_sock_set_df(s, fd, false))
			break;
		error = pktio_send_one(fd, msg);
	}
	for (unsigned i = 0; i < s->p->count; i++)
		atomic_store(&s->ends[i].df, -1);
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
	int error = pktio_send_one(s->ends[0].fd, &msg);
	if (error == EMSGSIZE)
		error = pktio_send_large(s, &msg);
	return -error;
}
