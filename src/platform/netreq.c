/* SPDX-License-Identifier: MIT */
/*
 * Messages between the two processes: see netreq.h.
 *
 * Every message is one record of one size on a SOCK_SEQPACKET pair, so there is no parsing:
 * a record of another size, with cut-off data or with more than one descriptor is refused whole
 * and its descriptors are closed.  Fields whose wrong values C itself does not survive (bool,
 * enum, unterminated text) are checked here; what they mean is checked by daemon/net.c.
 *
 * The node never blocks on the channel: what does not fit waits in a queue.  net may block for
 * as long as its send timeout, which only a node that stopped reading can use up.
 *
 * Every request gets exactly one reply, found again by its id; id 0 is a notice.
 */
#include "platform/netreq.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include "base/mem.h"

struct netreq_wait {
	uint32_t id;
	netreq_done_fn done;
	void *ctx;
	struct netreq_wait *next;
};

struct netreq_queued {
	struct netreq m;
	struct netreq_queued *next;
};

struct netreq_client {
	struct loop_fd *watch;
	int fd;
	int broken; /* -errno */
	uint32_t next_id;
	netreq_done_fn notice;
	void *ctx;
	struct netreq_wait *waits, **last_wait; /* replies come in their order, nearly all */
	struct netreq_queued *first, **last;
};

static bool netreq_bool_sound(const uint8_t *raw, size_t offset)
{
	return raw[offset] <= 1;
}

static bool netreq_addr_sound(const uint8_t *raw, size_t offset)
{
	uint8_t family = raw[offset + offsetof(struct addr, family)];
	return family == 0 || family == 4 || family == 6;
}

/* The bytes are safe to be looked at as a struct netreq. */
static bool netreq_sound(const uint8_t *raw)
{
	uint32_t kind;
	_Static_assert(sizeof(enum netreq_kind) == sizeof(kind), "size of an enum");
	memcpy(&kind, raw + offsetof(struct netreq, kind), sizeof(kind));
	for (size_t i = 0; i < NETREQ_ADDRS_MAX; i++)
		if (!netreq_addr_sound(raw,
				       offsetof(struct netreq, addrs) + i * sizeof(struct addr)))
			return false;
	return kind <= NETREQ_RELOAD_DONE && netreq_bool_sound(raw, offsetof(struct netreq, on)) &&
	       netreq_bool_sound(raw, offsetof(struct netreq, udp)) &&
	       netreq_bool_sound(raw, offsetof(struct netreq, ah)) &&
	       netreq_addr_sound(raw, offsetof(struct netreq, local.addr)) &&
	       netreq_addr_sound(raw, offsetof(struct netreq, prefix.addr)) &&
	       netreq_addr_sound(raw, offsetof(struct netreq, addr)) &&
	       netreq_addr_sound(raw, offsetof(struct netreq, gateway)) &&
	       raw[offsetof(struct netreq, addr_count)] <= NETREQ_ADDRS_MAX &&
	       memchr(raw + offsetof(struct netreq, interface), 0, IF_NAMESIZE) &&
	       memchr(raw + offsetof(struct netreq, name), 0, NETREQ_NAME_MAX) &&
	       memchr(raw + offsetof(struct netreq, text), 0, sizeof(((struct netreq *)0)->text));
}

int netreq_write(int channel_fd, const struct netreq *m, int fd)
{
	struct iovec iov = {.iov_base = (void *)(uintptr_t)m, .iov_len = sizeof(*m)};
	union {
		struct cmsghdr align;
		char buf[CMSG_SPACE(sizeof(int))];
	} control = {.buf = {0}};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
	if (fd >= 0) {
		msg.msg_control = control.buf;
		msg.msg_controllen = sizeof(control.buf);
		struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(c), &fd, sizeof(int));
	}
	ssize_t r;
	do
		r = sendmsg(channel_fd, &msg, MSG_NOSIGNAL);
	while (r < 0 && errno == EINTR);
	return r < 0 ? -errno : 0;
}

/* Takes the descriptors that came: all of them are in fds. */
static size_t netreq_take_fds(struct msghdr *msg, int *fds, size_t max)
{
	size_t n = 0;
	for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		size_t count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (size_t i = 0; i < count && n < max; i++)
			memcpy(&fds[n++], CMSG_DATA(c) + i * sizeof(int), sizeof(int));
	}
	return n;
}

int netreq_read(int channel_fd, struct netreq *m, int *fd)
{
	enum { FDS_MAX = 8 };
	uint8_t raw[sizeof(*m)];
	struct iovec iov = {.iov_base = raw, .iov_len = sizeof(raw)};
	union {
		struct cmsghdr align;
		char buf[CMSG_SPACE(sizeof(int) * FDS_MAX)];
	} control;
	struct msghdr msg = {.msg_iov = &iov,
			     .msg_iovlen = 1,
			     .msg_control = control.buf,
			     .msg_controllen = sizeof(control.buf)};
	int fds[FDS_MAX];
	ssize_t len;
	*fd = -1;
	do
		len = recvmsg(channel_fd, &msg, MSG_CMSG_CLOEXEC);
	while (len < 0 && errno == EINTR);
	if (len < 0)
		return errno == ECONNRESET ? -EPIPE : -errno;
	size_t n = netreq_take_fds(&msg, fds, FDS_MAX);
	if (len == 0 && n == 0)
		return -EPIPE;
	if ((size_t)len != sizeof(raw) || (msg.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0 ||
	    n > 1 || !netreq_sound(raw)) {
		for (size_t i = 0; i < n; i++)
			close(fds[i]);
		return -EBADMSG;
	}
	memcpy(m, raw, sizeof(*m));
	if (n == 1)
		*fd = fds[0];
	return 0;
}

/* A reply finds who waits for it. */
static void netreq_deliver(struct netreq_client *c, const struct netreq *m, int fd)
{
	if (m->id == 0) {
		if (c->notice)
			c->notice(c->ctx, m, fd);
		else if (fd >= 0)
			close(fd);
		return;
	}
	for (struct netreq_wait **p = &c->waits; *p; p = &(*p)->next) {
		struct netreq_wait *w = *p;
		if (w->id != m->id)
			continue;
		*p = w->next;
		if (!*p)
			c->last_wait = p;
		netreq_done_fn done = w->done;
		void *ctx = w->ctx;
		free(w);
		if (done)
			done(ctx, m, fd);
		else if (fd >= 0)
			close(fd);
		return;
	}
	if (fd >= 0)
		close(fd);
}

static void netreq_break(struct netreq_client *c, int error)
{
	if (c->broken)
		return;
	c->broken = error;
	loop_fd_remove(c->watch);
	c->watch = NULL;
	struct netreq stop = {.kind = NETREQ_STOP, .result = error};
	strncpy(stop.text, "the privileged process is gone", sizeof(stop.text) - 1);
	if (c->notice)
		c->notice(c->ctx, &stop, -1);
}

static void netreq_flush(struct netreq_client *c)
{
	while (c->first) {
		struct netreq_queued *q = c->first;
		int r = netreq_write(c->fd, &q->m, -1);
		if (r == -EAGAIN)
			break;
		if (r < 0) {
			netreq_break(c, r);
			return;
		}
		c->first = q->next;
		if (!c->first)
			c->last = &c->first;
		free(q);
	}
	loop_fd_want_write(c->watch, c->first != NULL);
}

static void netreq_ready(void *ctx, bool readable, bool writable)
{
	struct netreq_client *c = ctx;
	/* One thing a turn: a callback may free the client, so nothing of it is used after. */
	if (writable) {
		netreq_flush(c);
	} else if (readable) {
		struct netreq m;
		int fd;
		int r = netreq_read(c->fd, &m, &fd);
		if (r == 0)
			netreq_deliver(c, &m, fd);
		else if (r != -EAGAIN && r != -EBADMSG)
			netreq_break(c, r);
	}
}

struct netreq_client *netreq_client_new(struct loop *l, int channel_fd, netreq_done_fn notice,
					void *ctx)
{
	int flags = fcntl(channel_fd, F_GETFL);
	if (flags < 0 || fcntl(channel_fd, F_SETFL, flags | O_NONBLOCK) < 0)
		return NULL;
	struct netreq_client *c = mem_zalloc(sizeof(*c));
	*c = (struct netreq_client){.fd = channel_fd, .notice = notice, .ctx = ctx};
	c->last = &c->first;
	c->last_wait = &c->waits;
	c->watch = loop_fd_add(l, channel_fd, netreq_ready, c);
	if (c->watch)
		return c;
	free(c);
	return NULL;
}

void netreq_client_free(struct netreq_client *c)
{
	if (!c)
		return;
	loop_fd_remove(c->watch);
	for (struct netreq_wait *w = c->waits, *next; w; w = next) {
		next = w->next;
		free(w);
	}
	for (struct netreq_queued *q = c->first, *next; q; q = next) {
		next = q->next;
		free(q);
	}
	close(c->fd);
	free(c);
}

int netreq_send(struct netreq_client *c, struct netreq *req, netreq_done_fn done, void *ctx)
{
	if (c->broken)
		return c->broken;
	if (++c->next_id == 0)
		c->next_id = 1;
	req->id = c->next_id;
	int r = c->first ? -EAGAIN : netreq_write(c->fd, req, -1);
	if (r < 0 && r != -EAGAIN) {
		c->broken = r;
		loop_fd_remove(c->watch);
		c->watch = NULL;
		return r;
	}
	if (r == -EAGAIN) {
		struct netreq_queued *q = mem_zalloc(sizeof(*q));
		q->m = *req;
		*c->last = q;
		c->last = &q->next;
		loop_fd_want_write(c->watch, true);
	}
	struct netreq_wait *w = mem_zalloc(sizeof(*w));
	*w = (struct netreq_wait){.id = req->id, .done = done, .ctx = ctx};
	*c->last_wait = w;
	c->last_wait = &w->next;
	return 0;
}
