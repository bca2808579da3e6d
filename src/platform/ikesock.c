/* SPDX-License-Identifier: MIT */
/*
 * Plain IKE sockets.
 *
 * Anybody can send IKE_SA_INIT as fast as the link takes it, and what belongs to an IKE SA comes
 * into the same socket buffer.  So each turn of the loop takes far more out of the buffer than it
 * hands on: of IKE_SA_INITs a bounded number, the others are dropped and counted; of other
 * messages a bounded number too, then the rest waits for the next turn.
 *
 * The sockets come from net as packet sockets do.  What those have for the packet thread and would
 * be in the way here is taken back: joined datagrams (UDP_GRO), the error queue, which would make
 * the socket readable for ever, and DF: a message may be larger than the path (RFC 7296 2).
 */
#include "platform/ikesock.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include "base/mem.h"
#include "platform/sock.h"
#include "wire/ike.h"

#ifndef UDP_GRO
#define UDP_GRO 104
#endif

#define IKESOCK_BATCH	     16
#define IKESOCK_BUFFER_LEN   65536
#define IKESOCK_READ_MAX     1024 /* datagrams in one turn */
#define IKESOCK_KNOWN_MAX    64	  /* of them handed on: of IKE SAs */
#define IKESOCK_INIT_MAX     32	  /* and IKE_SA_INITs */
#define IKESOCK_EXCHANGE_OFF 18

union ikesock_control {
	struct cmsghdr align;
	uint8_t buf[CMSG_SPACE(sizeof(struct in6_pktinfo)) + CMSG_SPACE(sizeof(int))];
};

struct ikesock {
	struct loop_fd *watch;
	int fd;
	bool ipv6, any;
	bool reading, gone; /* freed by fn: goes when it returned */
	struct endpoint local;
	ikesock_fn fn;
	void *ctx;
	struct ikesock_counters counters;
	struct mmsghdr msgs[IKESOCK_BATCH];
	struct iovec iovs[IKESOCK_BATCH];
	struct sockaddr_storage names[IKESOCK_BATCH];
	union ikesock_control controls[IKESOCK_BATCH];
	uint8_t buffers[IKESOCK_BATCH][IKESOCK_BUFFER_LEN];
};

/* What one turn may still hand on. */
struct ikesock_budget {
	unsigned known, init;
};

static bool ikesock_set(int fd, int level, int option, int value)
{
	return setsockopt(fd, level, option, &value, sizeof(value)) == 0;
}

static bool ikesock_configure(const struct ikesock *s)
{
	int level = s->ipv6 ? IPPROTO_IPV6 : IPPROTO_IP;
	(void)ikesock_set(s->fd, IPPROTO_UDP, UDP_GRO, 0); /* since Linux 5.0 */
	if (s->any)
		sock_tell_destination(s->fd, s->ipv6);
	return ikesock_set(s->fd, level, s->ipv6 ? IPV6_RECVERR : IP_RECVERR, 0) &&
	       ikesock_set(s->fd, level, s->ipv6 ? IPV6_MTU_DISCOVER : IP_MTU_DISCOVER,
			   IP_PMTUDISC_DONT);
}

/* --- receiving */

static void ikesock_take(struct ikesock *s, unsigned i, struct ikesock_budget *left)
{
	uint8_t *msg = s->buffers[i];
	size_t len = s->msgs[i].msg_len;
	struct endpoint remote, local = s->local;
	if (len < IKE_HEADER_LEN) {
		s->counters.runts++;
		return;
	}
	if (!endpoint_from_sockaddr(&s->names[i], &remote))
		return;
	bool init = msg[IKESOCK_EXCHANGE_OFF] == IKE_SA_INIT;
	if (init && left->init == 0) {
		s->counters.init_busy++;
		return;
	}
	struct msghdr *m = &s->msgs[i].msg_hdr;
	for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c; c = CMSG_NXTHDR(m, c))
		(void)sock_read_destination(c, &local.addr);
	*(init ? &left->init : &left->known) -= 1;
	s->counters.received++;
	s->fn(s->ctx, &local, &remote, msg, len);
}

static int ikesock_read(struct ikesock *s, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		s->iovs[i] = (struct iovec){s->buffers[i], IKESOCK_BUFFER_LEN};
		s->msgs[i].msg_hdr = (struct msghdr){.msg_name = &s->names[i],
						     .msg_namelen = sizeof(s->names[i]),
						     .msg_iov = &s->iovs[i],
						     .msg_iovlen = 1,
						     .msg_control = s->controls[i].buf,
						     .msg_controllen = sizeof(s->controls[i].buf)};
	}
	int got;
	do
		got = recvmmsg(s->fd, s->msgs, n, MSG_DONTWAIT, NULL);
	while (got < 0 && errno == EINTR);
	return got;
}

static void ikesock_ready(void *ctx, bool readable, bool writable)
{
	struct ikesock *s = ctx;
	struct ikesock_budget left = {IKESOCK_KNOWN_MAX, IKESOCK_INIT_MAX};
	unsigned total = 0;
	(void)readable;
	(void)writable;
	s->reading = true;
	while (!s->gone && left.known > 0 && total < IKESOCK_READ_MAX) {
		/* No more than may be handed on: what was read cannot wait. */
		unsigned want = left.known < IKESOCK_BATCH ? left.known : IKESOCK_BATCH;
		int got = ikesock_read(s, want);
		for (int i = 0; i < got && !s->gone; i++)
			ikesock_take(s, (unsigned)i, &left);
		if (got < (int)want)
			break;
		total += want;
	}
	s->reading = false;
	if (s->gone)
		ikesock_free(s);
}

/* --- sending */

int ikesock_send(const struct ikesock *s, const struct endpoint *local,
		 const struct endpoint *remote, const uint8_t *data, size_t len)
{
	struct sockaddr_storage to;
	union ikesock_control control = {.buf = {0}};
	struct iovec iov = {(void *)(uintptr_t)data, len};
	struct msghdr msg = {.msg_name = &to,
			     .msg_namelen = endpoint_to_sockaddr(remote, &to),
			     .msg_iov = &iov,
			     .msg_iovlen = 1};
	if (s->any && !addr_is_any(&local->addr)) {
		msg.msg_control = control.buf;
		msg.msg_controllen =
		    sock_put_source(control.buf, sizeof(control.buf), &local->addr);
	}
	ssize_t r;
	do
		r = sendmsg(s->fd, &msg, MSG_DONTWAIT | MSG_NOSIGNAL);
	while (r < 0 && errno == EINTR);
	return r < 0 ? -errno : 0;
}

/* --- making */

struct ikesock *ikesock_new(struct loop *l, int fd, ikesock_fn fn, void *ctx)
{
	struct sockaddr_storage ss;
	socklen_t len = sizeof(ss);
	struct ikesock *s = mem_zalloc(sizeof(*s));
	s->fd = fd;
	s->fn = fn;
	s->ctx = ctx;
	if (getsockname(fd, (struct sockaddr *)&ss, &len) < 0 ||
	    !endpoint_from_sockaddr(&ss, &s->local))
		goto fail;
	s->ipv6 = s->local.addr.family == 6;
	s->any = addr_is_any(&s->local.addr);
	if (!ikesock_configure(s))
		goto fail;
	s->watch = loop_fd_add(l, fd, ikesock_ready, s);
	if (s->watch)
		return s;
fail:
	close(fd);
	free(s);
	return NULL;
}

void ikesock_free(struct ikesock *s)
{
	if (!s)
		return;
	if (!s->gone) {
		loop_fd_remove(s->watch);
		close(s->fd);
	}
	s->gone = true;
	if (!s->reading)
		free(s);
}

const struct endpoint *ikesock_local(const struct ikesock *s)
{
	return &s->local;
}

const struct ikesock_counters *ikesock_counters(const struct ikesock *s)
{
	return &s->counters;
}
