/* SPDX-License-Identifier: MIT */
/*
 * The packet threads and their I/O.
 *
 * Each thread waits in epoll for its queue of the TUN device, its packet sockets and a wake-up of
 * control, and lets fwd_run_* take one batch of each that is ready per turn, so that no source
 * starves another.  Readiness is level-triggered: a source leaves the ready set when it gave less
 * than was asked for, and epoll brings it back.  The thread is an RCU reader of the QSBR kind:
 * quiescent once each turn, offline while it blocks.
 *
 * The kernel spreads flows over the queues of the TUN device, and over UDP sockets that share their
 * address (SO_REUSEPORT), so that those of one flow come to one thread.  A socket of one flow alone
 * (a terminal's) has one end, which the first thread reads and all send on.
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
#include <stdio.h>
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

void pktio_set_ready(struct pktio_worker *w, unsigned index, bool on)
{
	uint64_t bit = 1ull << (index % 64);
	if (on)
		w->ready[index / 64] |= bit;
	else
		w->ready[index / 64] &= ~bit;
}

static bool pktio_any_ready(const struct pktio_worker *w)
{
	uint64_t any = w->tun_ready;
	for (size_t i = 0; i < ARRAY_LEN(w->ready); i++)
		any |= w->ready[i];
	return any != 0;
}

/* --- TUN */

static int pktio_tun_read(void *ctx, struct fwd_frame *frames, int n)
{
	struct pktio_worker *w = ctx;
	int done = 0;
	while (done < n) {
		struct fwd_frame *f = &frames[done];
		struct iovec iov[2] = {{&f->vh, sizeof(f->vh)}, {f->data, FWD_BUFFER_LEN}};
		ssize_t len = readv(w->tun_fd, iov, 2);
		if (len < 0 && errno == EINTR)
			continue;
		if (len < (ssize_t)sizeof(f->vh)) {
			w->tun_ready = false;
			break;
		}
		f->len = (uint32_t)((size_t)len - sizeof(f->vh));
		done++;
	}
	return done;
}

static bool pktio_tun_write_one(struct pktio_worker *w, struct fwd_write *write)
{
	if (write->iov_count < 1 || write->iov_count >= PKTIO_IOV_MAX)
		return false;
	w->write_iov[0] = (struct iovec){&write->vh, sizeof(write->vh)};
	memcpy(&w->write_iov[1], write->iov, (size_t)write->iov_count * sizeof(*write->iov));
	ssize_t r;
	do
		r = writev(w->tun_fd, w->write_iov, write->iov_count + 1);
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
	pktio_signal(((struct pktio_worker *)ctx)->p->event_fd);
}

static void pktio_command(void *ctx)
{
	pktio_signal(((struct pktio_worker *)ctx)->wake_fd);
}

static void *pktio_of_worker(void *ctx, unsigned index)
{
	return ((struct pktio *)ctx)->workers[index];
}

struct fwd_io pktio_ops(struct pktio *p)
{
	return (struct fwd_io){.ctx = p,
			       .tun_read = pktio_tun_read,
			       .tun_write = pktio_tun_write,
			       .recv = pktio_recv,
			       .send = pktio_send_batch,
			       .event = pktio_event,
			       .command = pktio_command,
			       .of_worker = pktio_of_worker};
}

int pktio_event_fd(const struct pktio *p)
{
	return p->event_fd;
}

/* --- the thread */

static void pktio_tun_event(struct pktio_worker *w, uint32_t events)
{
	if (events & (EPOLLERR | EPOLLHUP)) {
		/* Level-triggered, and it does not end: somebody removed the device. */
		epoll_ctl(w->epoll_fd, EPOLL_CTL_DEL, w->tun_fd, NULL);
		w->tun_ready = false;
		log_error(w->p->log, "pktio: tun_lost what=the TUN device was removed; restart");
		return;
	}
	w->tun_ready = true;
}

static void pktio_sock_event(struct pktio_worker *w, uint32_t index, uint32_t events)
{
	struct pktio_sock *s = index < PKTIO_SOCKS_MAX ? rcu_dereference(w->p->socks[index]) : NULL;
	if (!s)
		return;
	if (events & EPOLLERR) {
		int error;
		socklen_t len = sizeof(error);
		int fd = s->ends[w->index].fd;
		if (s->ah && !s->ipv6)
			pktio_ah_errors(&s->ends[w->index]);
		else
			(void)pktio_drain_errors(fd, NULL);
		(void)getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len); /* takes it away */
	}
	if (events & EPOLLIN)
		pktio_set_ready(w, index, true);
}

static void pktio_wait(struct pktio_worker *w, bool busy)
{
	struct epoll_event events[PKTIO_EVENTS];
	if (!busy)
		rcu_thread_offline();
	int n = epoll_wait(w->epoll_fd, events, PKTIO_EVENTS, busy ? 0 : -1);
	if (!busy)
		rcu_thread_online();
	for (int i = 0; i < n; i++) {
		uint32_t id = events[i].data.u32;
		uint64_t count;
		if (id == PKTIO_ID_TUN)
			pktio_tun_event(w, events[i].events);
		else if (id == PKTIO_ID_WAKE)
			(void)!read(w->wake_fd, &count, sizeof(count));
		else
			pktio_sock_event(w, id, events[i].events);
	}
}

/* One batch of each ready socket; those that have more stay. */
static void pktio_run_socks(struct pktio_worker *w)
{
	for (unsigned word = 0; word < ARRAY_LEN(w->ready); word++) {
		for (uint64_t left = w->ready[word]; left; left &= left - 1) {
			unsigned index = word * 64 + (unsigned)__builtin_ctzll(left);
			struct pktio_sock *s = rcu_dereference(w->p->socks[index]);
			if (!s || fwd_run_sock(w->fwd, s->index, s->udp, clock_now_us()) == 0)
				pktio_set_ready(w, index, false);
		}
	}
}

static void *pktio_main(void *arg)
{
	struct pktio_worker *w = arg;
	rcu_register_thread();
	while (!w->p->stop) {
		rcu_quiescent_state();
		pktio_wait(w, pktio_any_ready(w));
		fwd_run_commands(w->fwd, clock_now_us());
		if (w->tun_ready && fwd_run_tun(w->fwd, clock_now_us()) == 0)
			w->tun_ready = false;
		pktio_run_socks(w);
	}
	rcu_unregister_thread();
	return NULL;
}

static int pktio_start_worker(struct pktio_worker *w, struct fwd *f)
{
	char name[16];
	w->fwd = fwd_worker(f, w->index);
	int r = pthread_create(&w->thread, NULL, pktio_main, w);
	w->running = r == 0;
	if (!w->running)
		return -r;
	(void)snprintf(name, sizeof(name), w->index ? "packets %u" : "packets", w->index);
	pthread_setname_np(w->thread, name);
	return 0;
}

int pktio_start(struct pktio *p, struct fwd *f)
{
	sigset_t all, before;
	int r = fwd_worker_count(f) == p->count ? 0 : -EINVAL;
	p->stop = false;
	/* Signals are the control thread's. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	for (unsigned i = 0; i < p->count && r == 0; i++)
		r = pktio_start_worker(p->workers[i], f);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (r < 0)
		pktio_stop(p);
	return r;
}

void pktio_stop(struct pktio *p)
{
	p->stop = true;
	for (unsigned i = 0; i < p->count; i++) {
		struct pktio_worker *w = p->workers[i];
		if (!w->running)
			continue;
		pktio_command(w);
		pthread_join(w->thread, NULL);
		w->running = false;
	}
}

/* --- the socket table */

static int pktio_watch(struct pktio_worker *w, int fd, uint32_t id)
{
	struct epoll_event ev = {.events = EPOLLIN, .data.u32 = id};
	return epoll_ctl(w->epoll_fd, EPOLL_CTL_ADD, fd, &ev) < 0 ? -errno : 0;
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

/* Of worker `index`: reads it, and sends on it.  Workers without one of their own send on the
 * first's. */
static int pktio_give_end(struct pktio *p, struct pktio_sock *s, unsigned index, int fd)
{
	if (s->any)
		sock_tell_destination(fd, s->ipv6);
	s->ends[index].fd = fd;
	s->ends[index].own = true;
	return pktio_watch(p->workers[index], fd, s->index);
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
				 .index = (uint16_t)index,
				 .udp = udp,
				 .ipv6 = ipv6,
				 .local = pktio_bound_to(fd)};
	s->any = addr_is_any(&s->local.addr);
	s->ah = sock_is_ah(fd);
	for (unsigned i = 0; i < p->count; i++) {
		s->ends[i].fd = fd;
		atomic_store(&s->ends[i].df, -1);
	}
	p->taken[index] = true;
	rcu_assign_pointer(p->socks[index], s);
	int r = pktio_give_end(p, s, 0, fd);
	if (r < 0) {
		pktio_sock_remove(p, (uint16_t)index);
		return r;
	}
	return (int)index;
}

int pktio_sock_join(struct pktio *p, uint16_t sock, int fd)
{
	struct pktio_sock *s = sock < PKTIO_SOCKS_MAX ? p->socks[sock] : NULL;
	unsigned index = 0;
	while (s && index < p->count && s->ends[index].own)
		index++;
	if (!s || index == p->count) {
		close(fd);
		return -ENFILE;
	}
	return pktio_give_end(p, s, index, fd);
}

static void pktio_sock_free(struct rcu_head *head)
{
	struct pktio_sock *s = caa_container_of(head, struct pktio_sock, rcu);
	for (unsigned i = 0; i < s->p->count; i++)
		if (s->ends[i].own)
			close(s->ends[i].fd);
	s->p->taken[s->index] = false;
	free(s);
}

void pktio_sock_remove(struct pktio *p, uint16_t sock)
{
	struct pktio_sock *s = sock < PKTIO_SOCKS_MAX ? p->socks[sock] : NULL;
	if (!s)
		return;
	for (unsigned i = 0; i < p->count; i++)
		if (s->ends[i].own)
			epoll_ctl(p->workers[i]->epoll_fd, EPOLL_CTL_DEL, s->ends[i].fd, NULL);
	rcu_assign_pointer(p->socks[sock], NULL);
	call_rcu(&s->rcu, pktio_sock_free);
}

static void pktio_worker_free(struct pktio_worker *w)
{
	if (!w)
		return;
	if (w->epoll_fd >= 0)
		close(w->epoll_fd);
	if (w->wake_fd >= 0)
		close(w->wake_fd);
	free(w);
}

/* NULL with errno. */
static struct pktio_worker *pktio_worker_new(struct pktio *p, unsigned index)
{
	struct pktio_worker *w = mem_zalloc(sizeof(*w));
	w->p = p;
	w->index = index;
	w->tun_fd = p->tun.fds[index];
	w->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	w->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (w->epoll_fd >= 0 && w->wake_fd >= 0 && pktio_watch(w, w->tun_fd, PKTIO_ID_TUN) == 0 &&
	    pktio_watch(w, w->wake_fd, PKTIO_ID_WAKE) == 0)
		return w;
	pktio_worker_free(w);
	return NULL;
}

struct pktio *pktio_new(struct tun *tun, const struct log *log, struct err *err)
{
	struct pktio *p = mem_zalloc(sizeof(*p));
	p->tun = *tun;
	tun->count = 0;
	p->log = log;
	p->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	for (; p->count < p->tun.count; p->count++) {
		p->workers[p->count] = pktio_worker_new(p, p->count);
		if (!p->workers[p->count])
			break;
	}
	/* The thread that runs what call_rcu was given must exist before privileges go. */
	if (p->event_fd >= 0 && p->count == p->tun.count && get_default_call_rcu_data())
		return p;
	err_set(err, "packet threads: %s; is the limit of open files (ulimit -n) too low?",
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
	for (unsigned i = 0; i < p->count; i++)
		pktio_worker_free(p->workers[i]);
	tun_close(&p->tun);
	if (p->event_fd >= 0)
		close(p->event_fd);
	free(p);
}
