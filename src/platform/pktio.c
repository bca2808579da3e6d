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
 * Everything is allocated before the thread starts (sockets: when they are added).
 */
#include "platform/pktio_state.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include <urcu/compiler.h>
#include "base/mem.h"
#include "platform/sock.h"

#define PKTIO_EVENTS  64
#define PKTIO_ID_TUN  UINT32_MAX
#define PKTIO_ID_WAKE (UINT32_MAX - 1)

void pktio_set_ready(struct pktio *p, unsigned index, bool on)
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

struct pktio *pktio_new(struct tun *tun, const struct log *log, struct err *err)
{
	struct pktio *p = mem_zalloc(sizeof(*p));
	p->tun = *tun;
	p->tun_fd = tun->fds[0];
	tun->count = 0;
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
	tun_close(&p->tun);
	if (p->epoll_fd >= 0)
		close(p->epoll_fd);
	if (p->wake_fd >= 0)
		close(p->wake_fd);
	if (p->event_fd >= 0)
		close(p->event_fd);
	free(p);
}
