/* SPDX-License-Identifier: MIT */
/*
 * Lookups: see the header.
 *
 *   net -- request --> lookup process -- fork --> two processes for each name
 *    ^                                                       |
 *    +------------------- reply, or none in time ------------+
 *
 * One of the two calls getaddrinfo, which knows the system's files and whatever else it is
 * configured for, but goes by the tunnel where the routes say so.  The other asks the name servers
 * by a socket that net made for it (net_dns).  The first that finds something is believed.
 *
 * Requests and replies are netreq messages.  A process for one name cannot hold up another name,
 * nor take it along when it crashes; an alarm ends it.  Of a reply only addresses and a code are
 * taken, and only for a name that was asked for.
 */
#include "daemon/net_lookup.h"

#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include "base/mem.h"
#include "daemon/net_dns.h"
#include "platform/priv.h"

#define LOOKUPS_MAX 8 /* at a time */
#define LOOKUP_S    30
#define LOOKUP_US   (LOOKUP_S * (usec_t)USEC_PER_SEC)

struct lookup {
	uint32_t id; /* ours; 0: free */
	struct netreq req;
	usec_t end_us;
	unsigned left; /* processes that have not failed yet */
	int code;      /* the system's failure */
};

struct net_lookup {
	int fd;
	pid_t pid;
	struct loop_fd *watch;
	struct loop_timer *timer;
	net_lookup_fn done;
	void *ctx;
	uint32_t last_id; /* ours: the node's ids are given back with the replies */
	struct lookup asked[LOOKUPS_MAX];
};

/* --- the processes */

static void take_addresses(const struct addrinfo *list, struct netreq *m)
{
	for (const struct addrinfo *a = list; a && m->addr_count < NETREQ_ADDRS_MAX;
	     a = a->ai_next) {
		struct sockaddr_storage ss = {0};
		struct endpoint e;
		bool there = false;
		if (a->ai_addrlen > sizeof(ss))
			continue;
		memcpy(&ss, a->ai_addr, a->ai_addrlen);
		if (!endpoint_from_sockaddr(&ss, &e))
			continue;
		for (unsigned i = 0; i < m->addr_count; i++)
			there |= addr_equal(&m->addrs[i], &e.addr);
		if (!there)
			m->addrs[m->addr_count++] = e.addr;
	}
}

/* --- the processes of one name */

static int by_the_system(struct netreq *m)
{
	struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_DGRAM};
	struct addrinfo *list = NULL;
	int code = getaddrinfo(m->name, NULL, &hints, &list);
	if (code == 0)
		take_addresses(list, m);
	return code;
}

/* Where the file names a resolver of this machine, that one's own name servers too: it would ask
 * them by the tunnel. */
static int by_name_servers(struct netreq *m, int sock)
{
	struct addr servers[2 * NET_DNS_SERVERS_MAX];
	size_t n = net_dns_servers("/etc/resolv.conf", servers);
	n += net_dns_servers("/run/systemd/resolve/resolv.conf", servers + n);
	n = net_dns_ask(sock, servers, n, m->name, m->addrs, NETREQ_ADDRS_MAX);
	m->addr_count = (uint8_t)n;
	return n ? 0 : EAI_AGAIN;
}

/* sock -1: by the system. */
static void look_up(int fd, struct netreq *m, int sock)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	alarm(LOOKUP_S);
	m->addr_count = 0;
	memset(m->addrs, 0, sizeof(m->addrs));
	m->result = sock < 0 ? by_the_system(m) : by_name_servers(m, sock);
	m->value = sock >= 0;
	(void)!netreq_write(fd, m, -1);
	_exit(0);
}

/* The lookup process: until net is gone. */
static void serve(int fd)
{
	struct netreq m;
	int sock;
	signal(SIGCHLD, SIG_IGN); /* they are not waited for */
	for (;;) {
		int r = netreq_read(fd, &m, &sock);
		if (r < 0 && r != -EBADMSG)
			_exit(0);
		if (r == 0 && m.kind == NETREQ_LOOKUP && fork() == 0)
			look_up(fd, &m, -1);
		if (r == 0 && m.kind == NETREQ_LOOKUP && sock >= 0 && fork() == 0)
			look_up(fd, &m, sock);
		if (sock >= 0)
			close(sock);
	}
}

/* What belongs to the other processes: nothing but standard error and our end stays open. */
static void close_others(int fd)
{
	if (fd > 3)
		(void)close_range(3, (unsigned)fd - 1, 0);
	(void)close_range((unsigned)fd + 1, ~0u, 0);
}

struct net_lookup *net_lookup_new(struct config *cfg, struct err *err)
{
	int fds[2];
	char user[sizeof(cfg->user)];
	pid_t parent = getpid();
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) < 0) {
		err_set(err, "channel to the lookup process: %s", strerror(errno));
		return NULL;
	}
	pid_t pid = fork();
	if (pid == 0) {
		memcpy(user, cfg->user, sizeof(user));
		config_free(cfg);
		close_others(fds[1]);
		signal(SIGINT, SIG_IGN); /* it ends with net */
		signal(SIGTERM, SIG_DFL);
		if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() != parent ||
		    priv_enter_lookup(user, err) < 0)
			_exit(1);
		serve(fds[1]);
	}
	close(fds[1]);
	if (pid < 0) {
		err_set(err, "lookup process: cannot fork: %s", strerror(errno));
		close(fds[0]);
		return NULL;
	}
	struct net_lookup *l = mem_zalloc(sizeof(*l));
	l->fd = fds[0];
	l->pid = pid;
	return l;
}

void net_lookup_free(struct net_lookup *l, bool forget)
{
	if (!l)
		return;
	loop_fd_remove(l->watch);
	loop_timer_free(l->timer);
	close(l->fd);
	if (!forget) /* it has read the end of the channel */
		(void)waitpid(l->pid, NULL, 0);
	free(l);
}

/* --- net's part */

static void answer(struct net_lookup *l, unsigned i, struct netreq *reply)
{
	reply->id = l->asked[i].req.id;
	l->asked[i].id = 0;
	l->done(l->ctx, reply);
}

static int error_of(int code)
{
	switch (code) {
	case 0:
		return 0;
	case EAI_AGAIN:
		return -EAGAIN;
	case EAI_NONAME:
	case EAI_NODATA:
		return -ENOENT;
	default:
		return -EIO;
	}
}

static void reply_ready(void *ctx, bool readable, bool writable)
{
	struct net_lookup *l = ctx;
	struct netreq m;
	int got;
	(void)readable;
	(void)writable;
	int r = netreq_read(l->fd, &m, &got);
	if (got >= 0)
		close(got);
	if (r == -EPIPE) { /* who waits hears of it in time */
		loop_fd_remove(l->watch);
		l->watch = NULL;
	}
	for (unsigned i = 0; r == 0 && i < LOOKUPS_MAX; i++) {
		if (m.id == 0 || l->asked[i].id != m.id)
			continue;
		/* Of two failures the system's says more. */
		if (m.result && --l->asked[i].left > 0 && m.value)
			return;
		if (m.result && l->asked[i].left > 0) {
			l->asked[i].code = m.result;
			return;
		}
		if (m.result && l->asked[i].code)
			m.result = l->asked[i].code;
		struct netreq reply = l->asked[i].req;
		reply.result = m.addr_count || m.result ? error_of(m.result) : -ENOENT;
		reply.addr_count = reply.result == 0 ? m.addr_count : 0;
		memcpy(reply.addrs, m.addrs, sizeof(reply.addrs));
		if (reply.result < 0)
			snprintf(reply.text, sizeof(reply.text), "%s",
				 m.result ? gai_strerror(m.result) : "it has no address");
		answer(l, i, &reply);
		return;
	}
}

static void time_out(void *ctx)
{
	struct net_lookup *l = ctx;
	usec_t now = clock_now_us(), next = USEC_NEVER;
	for (unsigned i = 0; i < LOOKUPS_MAX; i++) {
		if (l->asked[i].id == 0)
			continue;
		if (l->asked[i].end_us > now) {
			next = l->asked[i].end_us < next ? l->asked[i].end_us : next;
			continue;
		}
		struct netreq reply = l->asked[i].req;
		reply.result = -ETIMEDOUT;
		snprintf(reply.text, sizeof(reply.text), "no answer in %d s", LOOKUP_S);
		answer(l, i, &reply);
	}
	loop_timer_at(l->timer, next);
}

int net_lookup_watch(struct net_lookup *l, struct loop *loop, net_lookup_fn done, void *ctx)
{
	l->done = done;
	l->ctx = ctx;
	l->watch = loop_fd_add(loop, l->fd, reply_ready, l);
	l->timer = loop_timer_new(loop, time_out, l);
	return l->watch && l->timer ? 0 : -ENOMEM;
}

int net_lookup_ask(struct net_lookup *l, const struct netreq *req, uint32_t mark)
{
	struct pollfd room = {.fd = l->fd, .events = POLLOUT};
	unsigned i = 0;
	if (!l->watch || poll(&room, 1, 0) != 1 || (room.revents & POLLHUP))
		return -EPIPE;
	while (i < LOOKUPS_MAX && l->asked[i].id)
		i++;
	if (i == LOOKUPS_MAX)
		return -EBUSY;
	struct netreq m = *req;
	if (++l->last_id == 0)
		l->last_id = 1;
	m.id = l->last_id;
	int sock = net_dns_socket(mark);
	int r = netreq_write(l->fd, &m, sock);
	if (sock >= 0)
		close(sock);
	if (r < 0)
		return r;
	l->asked[i] = (struct lookup){.id = m.id,
				      .req = *req,
				      .end_us = clock_now_us() + LOOKUP_US + USEC_PER_SEC,
				      .left = sock >= 0 ? 2 : 1};
	time_out(l);
	return 0;
}
