/* SPDX-License-Identifier: MIT */
/*
 * Follows the kernel's networking by rtnetlink(7) and tells the usable care-of addresses.
 *
 * Two sockets: one is joined to the multicast groups and read by the loop; the other asks for
 * dumps and waits for their end, which the kernel gives at once.  A dump may be newer than
 * events still queued; they are applied over it in order and end in the same state, since the
 * tables (watch_state) take an event twice without harm.
 *
 * All that one turn of the loop can read is applied and told together; then nothing waits, so
 * that a lost carrier is told in the turn it was read.  When the kernel's queue overflowed
 * (ENOBUFS) everything is dumped again.
 *
 * A default gateway whose link address is unknown is asked for, more and more seldom.
 */
#include "platform/watch.h"

#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <stdio.h>
#include <string.h>
#include "base/mem.h"
#include "platform/watch_state.h"

#define WATCH_QUEUE_LEN	     (1 << 20)
#define WATCH_READ_LEN	     32768
#define WATCH_DUMP_TRIES     5
#define WATCH_RESOLVE_MS     500
#define WATCH_RESOLVE_MAX_MS 30000

struct watch {
	struct watch_config cfg;
	char ignore_interface[IF_NAMESIZE];
	const struct log *log;
	struct mnl_socket *events, *asker;
	struct loop_fd *fd;
	struct loop_timer *start, *resolve;
	uint32_t seq;
	uint32_t resolve_ms;
	struct watch_state state;
	struct care_of list[MOVER_CARE_OFS_MAX];
	size_t count;
	bool told;
	_Alignas(8) char buf[WATCH_READ_LEN];
};

/* --- dumps */

static int watch_dumped(const struct nlmsghdr *h, void *ctx)
{
	watch_state_read(ctx, h, true);
	return MNL_CB_OK;
}

static int watch_dump_once(struct watch *w, uint16_t type, uint8_t family)
{
	char *buf = w->buf;
	memset(buf, 0, 64);
	struct nlmsghdr *h = mnl_nlmsg_put_header(buf);
	h->nlmsg_type = type;
	h->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
	h->nlmsg_seq = ++w->seq;
	/* Each kind's own header, whole, for strict kernels: their first byte is the family. */
	size_t len = type == RTM_GETLINK    ? sizeof(struct ifinfomsg)
		     : type == RTM_GETADDR  ? sizeof(struct ifaddrmsg)
		     : type == RTM_GETROUTE ? sizeof(struct rtmsg)
					    : sizeof(struct ndmsg);
	*(uint8_t *)mnl_nlmsg_put_extra_header(h, len) = family;
	if (mnl_socket_sendto(w->asker, h, h->nlmsg_len) < 0)
		return -errno;
	for (;;) {
		ssize_t n = mnl_socket_recvfrom(w->asker, buf, WATCH_READ_LEN);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		int r = mnl_cb_run(buf, (size_t)n, w->seq, mnl_socket_get_portid(w->asker),
				   watch_dumped, &w->state);
		if (r < 0)
			return errno == EINTR ? -EAGAIN : -errno; /* changed under the dump */
		if (r == MNL_CB_STOP)
			return 0;
	}
}

static int watch_dump(struct watch *w, uint16_t type, uint8_t family)
{
	int r = -EAGAIN;
	for (int i = 0; i < WATCH_DUMP_TRIES && r == -EAGAIN; i++)
		r = watch_dump_once(w, type, family);
	/* A dump that never held still: the events that disturbed it are in the queue. */
	return r == -EAGAIN ? 0 : r;
}

static int watch_dump_routes(struct watch *w)
{
	watch_state_clear_routes(&w->state);
	int r = watch_dump(w, RTM_GETROUTE, AF_INET);
	int r6 = watch_dump(w, RTM_GETROUTE, AF_INET6); /* fails where there is no IPv6 */
	return r < 0 ? r : r6 == -EOPNOTSUPP ? 0 : r6;
}

static int watch_dump_all(struct watch *w)
{
	watch_state_clear(&w->state);
	int r = watch_dump(w, RTM_GETLINK, AF_UNSPEC);
	if (r == 0)
		r = watch_dump(w, RTM_GETADDR, AF_UNSPEC);
	if (r == 0)
		r = watch_dump_routes(w);
	if (r == 0)
		r = watch_dump(w, RTM_GETNEIGH, AF_UNSPEC);
	return r;
}

/* --- telling */

/* Asks for the gateways not known; whether there were any. */
static bool watch_ask_gateways(struct watch *w)
{
	bool any = false;
	for (size_t i = 0; i < w->count; i++) {
		const struct care_of *c = &w->list[i];
		if (!c->gateway.family || network_known(&c->network) ||
		    !watch_state_has_neighbours(&w->state, c->ifindex))
			continue;
		any = true;
		if (w->cfg.resolve)
			w->cfg.resolve(w->cfg.ctx, c->ifindex, &c->gateway);
	}
	return any;
}

static void watch_resolve_due(void *ctx)
{
	struct watch *w = ctx;
	if (!watch_ask_gateways(w))
		return;
	w->resolve_ms =
	    w->resolve_ms * 2 < WATCH_RESOLVE_MAX_MS ? w->resolve_ms * 2 : WATCH_RESOLVE_MAX_MS;
	loop_timer_at(w->resolve, clock_now_us() + w->resolve_ms * (usec_t)USEC_PER_MS);
}

/* Tells the list when it is another than the one told last. */
static void watch_tell(struct watch *w, const char *cause, usec_t at_us)
{
	struct care_of now[MOVER_CARE_OFS_MAX];
	size_t n = watch_state_care_ofs(&w->state, now, MOVER_CARE_OFS_MAX);
	if (w->told && n == w->count && memcmp(now, w->list, n * sizeof(now[0])) == 0)
		return;
	if (!w->told) /* an event may have been faster than the timer */
		cause = "start";
	memcpy(w->list, now, n * sizeof(now[0]));
	w->count = n;
	w->told = true;
	log_info(w->log, "watch: changed care_of=%zu cause=\"%s\"", n, cause);
	/* First the move, then the gateway's name. */
	w->cfg.changed(w->cfg.ctx, w->list, w->count, cause, at_us);
	w->resolve_ms = WATCH_RESOLVE_MS;
	loop_timer_at(w->resolve, clock_now_us());
}

/* At the start, and when what to look at changed. */
static void watch_started(void *ctx)
{
	struct watch *w = ctx;
	watch_tell(w, "our own addresses changed", clock_now_us());
}

/* --- events */

static int watch_event(const struct nlmsghdr *h, void *ctx)
{
	watch_state_read(ctx, h, false);
	return MNL_CB_OK;
}

static void watch_recover(struct watch *w, const char *why)
{
	log_warn(w->log, "watch: events_lost why=\"%s\" action=\"reading everything again\"", why);
	int r = watch_dump_all(w);
	if (r < 0)
		log_error(w->log, "watch: dump_failed error=\"%s\"", strerror(-r));
	if (!w->state.cause[0])
		snprintf(w->state.cause, sizeof(w->state.cause), "many changes at once");
}

static void watch_readable(void *ctx, bool readable, bool writable)
{
	struct watch *w = ctx;
	usec_t at_us = clock_now_us();
	int fd = mnl_socket_get_fd(w->events);
	bool lost = false;
	(void)readable;
	(void)writable;
	for (;;) {
		struct sockaddr_nl from;
		socklen_t from_len = sizeof(from);
		ssize_t n = recvfrom(fd, w->buf, sizeof(w->buf), MSG_DONTWAIT,
				     (struct sockaddr *)&from, &from_len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == ENOBUFS) {
			lost = true;
			continue;
		}
		if (n <= 0)
			break;
		if (from.nl_pid != 0) /* only the kernel speaks here */
			continue;
		if (mnl_cb_run(w->buf, (size_t)n, 0, 0, watch_event, &w->state) < 0)
			log_debug(w->log, "watch: message_skipped error=\"%s\"", strerror(errno));
	}
	/* Only now: what was in the queue is older than what was lost. */
	if (lost)
		watch_recover(w, "queue overflow");
	if (w->state.routes_stale && watch_dump_routes(w) < 0)
		watch_recover(w, "route dump failed");
	char cause[WATCH_CAUSE_MAX];
	memcpy(cause, w->state.cause, sizeof(cause));
	w->state.cause[0] = '\0';
	watch_tell(w, cause[0] ? cause : "routes changed", at_us);
}

/* --- from new to free */

static struct mnl_socket *watch_open(unsigned groups)
{
	int queue = WATCH_QUEUE_LEN;
	struct mnl_socket *s = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC);
	if (!s)
		return NULL;
	if (mnl_socket_bind(s, groups, MNL_SOCKET_AUTOPID) < 0) {
		mnl_socket_close(s);
		return NULL;
	}
	(void)setsockopt(mnl_socket_get_fd(s), SOL_SOCKET, SO_RCVBUF, &queue, sizeof(queue));
	return s;
}

struct watch *watch_new(struct loop *l, const struct watch_config *cfg, const struct log *log,
			struct err *err)
{
	struct watch *w = mem_zalloc(sizeof(*w));
	w->cfg = *cfg;
	w->log = log;
	if (cfg->ignore_interface) {
		snprintf(w->ignore_interface, sizeof(w->ignore_interface), "%s",
			 cfg->ignore_interface);
		w->cfg.ignore_interface = w->ignore_interface;
	}
	w->state.cfg = &w->cfg;
	w->resolve_ms = WATCH_RESOLVE_MS;
	w->events = watch_open(RTMGRP_LINK | RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR |
			       RTMGRP_IPV4_ROUTE | RTMGRP_IPV6_ROUTE | RTMGRP_NEIGH);
	w->asker = watch_open(0);
	int r = w->events && w->asker ? watch_dump_all(w) : -errno;
	if (r < 0) {
		err_set(err, "rtnetlink: %s; cannot follow the network", strerror(-r));
		goto fail;
	}
	w->start = loop_timer_new(l, watch_started, w);
	w->resolve = loop_timer_new(l, watch_resolve_due, w);
	w->fd = loop_fd_add(l, mnl_socket_get_fd(w->events), watch_readable, w);
	if (!w->start || !w->resolve || !w->fd) {
		err_set(err, "event loop: no room to follow the network");
		goto fail;
	}
	loop_timer_at(w->start, clock_now_us());
	return w;
fail:
	watch_free(w);
	return NULL;
}

void watch_free(struct watch *w)
{
	if (!w)
		return;
	loop_fd_remove(w->fd);
	loop_timer_free(w->start);
	loop_timer_free(w->resolve);
	if (w->events)
		mnl_socket_close(w->events);
	if (w->asker)
		mnl_socket_close(w->asker);
	watch_state_free(&w->state);
	free(w);
}

void watch_ignore(struct watch *w, const struct addr *homes, uint8_t count)
{
	w->cfg.ignore_count = count < ARRAY_LEN(w->cfg.ignore) ? count : ARRAY_LEN(w->cfg.ignore);
	for (uint8_t i = 0; i < w->cfg.ignore_count; i++)
		w->cfg.ignore[i] = homes[i];
	loop_timer_at(w->start, clock_now_us());
}

void watch_servers(struct watch *w, const struct addr *servers, uint8_t count)
{
	w->cfg.server_count = count < ARRAY_LEN(w->cfg.servers) ? count : ARRAY_LEN(w->cfg.servers);
	for (uint8_t i = 0; i < w->cfg.server_count; i++)
		w->cfg.servers[i] = servers[i];
	loop_timer_at(w->start, clock_now_us());
}
