/* SPDX-License-Identifier: MIT */
/*
 * The home server's sockets: for configured connections those of their server addresses; for IKEv2
 * on each address to listen on one for UDP encapsulation, one for IKE's own port, and one for
 * native ESP (or AH) where terminals of other makes may come without a NAT.
 */
#include <errno.h>
#include "base/mem.h"
#include "daemon/home_state.h"

static uint16_t port_of(const struct config *cfg, enum listen_kind kind)
{
	switch (kind) {
	case LISTEN_UDP:
		return cfg->port;
	case LISTEN_IKE:
		return cfg->ike->port;
	case LISTEN_ESP:
	case LISTEN_AH:
		break;
	}
	return 0;
}

static enum listen_kind kind_of(const struct config *cfg, const struct netreq *reply)
{
	if (!reply->udp)
		return reply->ah ? LISTEN_AH : LISTEN_ESP;
	return reply->local.port == cfg->port ? LISTEN_UDP : LISTEN_IKE;
}

static enum listen_kind kind_for(bool udp, bool ah)
{
	if (udp)
		return LISTEN_UDP;
	return ah ? LISTEN_AH : LISTEN_ESP;
}

/* Configured care-of addresses are known from the start. */
static void paths_set(struct node *n, const struct listener *l)
{
	for (struct conn *c = conn_table_first(n->table); c; c = c->next) {
		if (!c->care_of.addr.family || kind_for(c->udp, c->out->ah) != l->kind ||
		    !addr_equal(&c->server.addr, &l->addr) || rcu_dereference(c->out->path))
			continue;
		struct path path = {.local = c->server,
				    .remote = c->care_of,
				    .sock = (uint16_t)l->sock,
				    .mtu = (uint16_t)n->cfg->mtu};
		node_conn_set_path(c, &path);
	}
}

static struct listener *listener_find(struct home *h, const struct addr *addr,
				      enum listen_kind kind)
{
	for (unsigned i = 0; i < h->listener_count; i++)
		if (h->listeners[i].kind == kind && addr_equal(&h->listeners[i].addr, addr))
			return &h->listeners[i];
	return NULL;
}

/* The first descriptor makes the socket; further ones are other packet threads' ends of it. */
static void listener_put(struct node *n, struct listener *l, const struct netreq *reply, int fd)
{
	uint32_t plain;
	if (l->sock >= 0) {
		if (pktio_sock_join(n->pktio, (uint16_t)l->sock, fd) < 0)
			log_error(n->log, "home: too many sockets");
		return;
	}
	if (l->kind == LISTEN_IKE)
		l->sock = node_ike_sock_add(n, fd, &plain) == 0 ? (int64_t)plain : -1;
	else
		l->sock = pktio_sock_add(n->pktio, fd, reply->udp, reply->local.addr.family == 6);
	if (l->sock < 0)
		log_error(n->log, "home: too many sockets");
	else if (l->kind != LISTEN_IKE)
		paths_set(n, l);
}

static void listener_ready(void *ctx, const struct netreq *reply, int fd)
{
	struct node *n = ctx;
	struct listener *l = listener_find(home_of(n), &reply->local.addr, kind_of(n->cfg, reply));
	char text[ENDPOINT_TEXT_MAX];

	if (fd < 0)
		log_error(n->log, "home: cannot listen on %s%s: %s",
			  endpoint_format(&reply->local, text),
			  reply->udp  ? ""
			  : reply->ah ? " for AH"
				      : " for ESP",
			  reply->text);
	else
		listener_put(n, l, reply, fd);
}

static int listen_on(struct node *n, const struct config *cfg, const struct addr *addr,
		     enum listen_kind kind)
{
	struct home *h = home_of(n);
	if (listener_find(h, addr, kind))
		return 0;
	if (h->listener_count == ARRAY_LEN(h->listeners))
		return -ENOSPC;
	h->listeners[h->listener_count++] =
	    (struct listener){.addr = *addr, .kind = kind, .sock = -1};
	struct netreq req = {.kind = NETREQ_SOCK,
			     .on = true,
			     .udp = kind != LISTEN_ESP && kind != LISTEN_AH,
			     .ah = kind == LISTEN_AH,
			     .local = {.addr = *addr, .port = port_of(cfg, kind)}};
	/* Raw sockets would all get all of it. */
	unsigned ends = kind == LISTEN_UDP ? fwd_worker_count(n->fwd) : 1;
	int r = 0;
	for (unsigned i = 0; i < ends && r >= 0; i++)
		r = netreq_send(n->net, &req, listener_ready, n);
	return r;
}

static bool may_be_native(const struct config *cfg)
{
	for (const struct config_terminal *t = cfg->terminals; t; t = t->next)
		if (t->peer && !cfg->ike->engine.force_udp)
			return true;
	return false;
}

int home_listen(struct node *n, const struct config *cfg)
{
	bool native = cfg->ike && may_be_native(cfg);
	for (const struct config_terminal *t = cfg->terminals; t; t = t->next)
		for (const struct config_connection *c = t->connections; c; c = c->next)
			if (listen_on(n, cfg, &c->server.addr, kind_for(c->udp, c->ah)) < 0)
				return -1;
	for (unsigned i = 0; cfg->ike && i < cfg->listen_count; i++)
		if (listen_on(n, cfg, &cfg->listen[i], LISTEN_UDP) < 0 ||
		    listen_on(n, cfg, &cfg->listen[i], LISTEN_IKE) < 0 ||
		    (native && listen_on(n, cfg, &cfg->listen[i], LISTEN_ESP) < 0))
			return -1;
	return 0;
}

int home_listen_sock(struct node *n, const struct addr *addr, enum listen_kind kind)
{
	struct home *h = home_of(n);
	const struct listener *l = listener_find(h, addr, kind);
	for (unsigned i = 0; i < h->listener_count && (!l || l->sock < 0); i++) {
		const struct listener *any = &h->listeners[i];
		if (any->kind == kind && any->addr.family == addr->family &&
		    addr_is_any(&any->addr))
			l = any;
	}
	return l ? (int)l->sock : -1;
}
