/* SPDX-License-Identifier: MIT */
/*
 * The terminal's connections and where they are attached: a socket bound to the care-of address
 * and its interface, so that packets leave by the interface whose address they carry.
 */
#include <stdio.h>
#include <string.h>
#include "daemon/terminal_state.h"

struct attachment *terminal_attachment(struct terminal *t, const struct conn *c)
{
	for (unsigned i = 0; i < TERMINAL_CONNECTIONS_MAX; i++)
		if (t->attachments[i].conn == c)
			return &t->attachments[i];
	return NULL;
}

/* --- attaching */

static void attachment_publish(struct node *n, struct attachment *a)
{
	struct conn *c = a->conn;
	struct path path = {.local = c->care_of,
			    .remote = c->server,
			    .sock = (uint16_t)a->outlet->sock,
			    .mtu = (uint16_t)(node_link_mtu(n, c))};
	node_conn_set_path(c, &path);
	a->ready = true;
	mover_attached(terminal_of(n)->mover, c, true, clock_now_us());
}

void terminal_outlet_ready(struct node *n, struct outlet *o)
{
	struct terminal *t = terminal_of(n);
	for (unsigned i = 0; i < TERMINAL_CONNECTIONS_MAX; i++) {
		struct attachment *a = &t->attachments[i];
		if (a->outlet != o || a->ready)
			continue;
		if (o->sock >= 0)
			attachment_publish(n, a);
		else
			mover_attached(t->mover, a->conn, false, clock_now_us());
	}
}

void terminal_detach(void *node, struct conn *conn)
{
	struct node *n = node;
	struct terminal *t = terminal_of(n);
	struct attachment *a = terminal_attachment(t, conn);
	if (!a || !a->outlet)
		return;
	node_conn_set_path(conn, NULL);
	outlets_put(t->outlets, a->outlet);
	a->outlet = NULL;
	a->ready = false;
}

/* Of a connection that IKE made there is none before it is attached first. */
static struct attachment *attachment_get(struct terminal *t, struct conn *conn)
{
	struct attachment *a = terminal_attachment(t, conn);
	if (a)
		return a;
	a = terminal_attachment(t, NULL);
	if (a)
		*a = (struct attachment){.conn = conn};
	return a;
}

static enum outlet_kind outlet_of(const struct conn *conn)
{
	if (conn->udp)
		return OUTLET_UDP;
	return conn->out->ah ? OUTLET_AH : OUTLET_ESP;
}

void terminal_attach(void *node, struct conn *conn, const struct care_of *at)
{
	struct node *n = node;
	struct terminal *t = terminal_of(n);
	struct attachment *a = attachment_get(t, conn);
	struct endpoint care_of = {.addr = at->addr, .port = conn->udp ? n->cfg->port : 0};

	if (!a) {
		mover_attached(t->mover, conn, false, clock_now_us());
		return;
	}
	struct outlet *old = a->outlet;
	struct endpoint server = conn->server;
	if (!conn->udp)
		server.port = 0;
	/* The new outlet first: when it is the old one its socket stays. */
	conn_set_pair(n->table, conn, &care_of, &server);
	conn->mtu_told_us = 0;
	conn->link_mtu = at->mtu;
	a->ready = false;
	a->outlet = outlets_get(t->outlets, at, outlet_of(conn));
	if (old != a->outlet)
		node_conn_set_path(conn, NULL);
	if (old)
		outlets_put(t->outlets, old);
	if (!a->outlet)
		mover_attached(t->mover, conn, false, clock_now_us());
	else if (a->outlet->sock >= 0)
		attachment_publish(n, a);
}

static void server_set(struct node *n, struct conn *c, const struct endpoint *to)
{
	const struct path *old = rcu_dereference(c->out->path);
	struct endpoint care_of = c->care_of, server = *to;
	conn_set_pair(n->table, c, &care_of, &server);
	if (!old)
		return;
	struct path path = *old;
	path.remote = server;
	node_conn_set_path(c, &path);
}

/* It is one node: all connections to where it was go to where it is. */
void terminal_server_moved(struct node *n, const struct conn *c, const struct endpoint *to)
{
	struct terminal *t = terminal_of(n);
	const struct attachment *mine = terminal_attachment(t, c);
	char was[ENDPOINT_TEXT_MAX], is[ENDPOINT_TEXT_MAX];
	struct endpoint from = c->server;
	if (!mine || !mine->cfg || !mine->cfg->server_moves || endpoint_equal(&from, to) ||
	    from.addr.family != to->addr.family)
		return;
	log_info(n->log, "terminal: server moved connection=%s from=%s to=%s", c->name,
		 endpoint_format(&from, was), endpoint_format(to, is));
	for (unsigned i = 0; i < TERMINAL_CONNECTIONS_MAX; i++) {
		const struct attachment *a = &t->attachments[i];
		if (a->conn && a->cfg && a->cfg->server_moves &&
		    endpoint_equal(&a->conn->server, &from))
			server_set(n, a->conn, to);
	}
}

static usec_t keepalive_of(const struct node *n, const struct attachment *a)
{
	const struct config_peer *peer = n->cfg->terminals->peer;
	if (a->cfg)
		return a->cfg->keepalive_s * (usec_t)USEC_PER_SEC;
	return peer ? peer->peer.keepalive_us : 0;
}

void terminal_keepalives(struct node *n, usec_t now_us)
{
	struct terminal *t = terminal_of(n);
	for (unsigned i = 0; i < TERMINAL_CONNECTIONS_MAX; i++) {
		struct attachment *a = &t->attachments[i];
		usec_t every_us = keepalive_of(n, a);
		if (!a->conn || !a->ready || !a->conn->udp || !every_us)
			continue;
		usec_t sent = atomic_load_explicit(&a->conn->out->last_us, memory_order_relaxed);
		if (a->keepalive_us > sent)
			sent = a->keepalive_us;
		if (now_us < sent + every_us)
			continue;
		a->keepalive_us = now_us;
		const struct path *path = rcu_dereference(a->conn->out->path);
		if (path)
			fwd_keepalive(n->fwd, path);
	}
}

/* --- adding and removing */

int terminal_connection_add(struct node *n, const struct config_connection *c, int preference,
			    struct err *err)
{
	struct terminal *t = terminal_of(n);
	struct attachment *a = terminal_attachment(t, NULL);
	if (!a)
		return err_set(err, "connection %s: more than %d connections", c->name,
			       TERMINAL_CONNECTIONS_MAX);
	struct conn *conn = node_conn_add(n, c, t->peer, NULL, err);
	if (!conn)
		return -1;
	*a = (struct attachment){.conn = conn, .cfg = c};
	struct mover_connection mc = {.conn = conn,
				      .has_network = c->has_network,
				      .network = c->network,
				      .preference = preference};
	memcpy(mc.interface, c->interface, sizeof mc.interface);
	if (mover_add(t->mover, &mc, clock_now_us()) < 0)
		return err_set(err, "connection %s: cannot be added twice", c->name);
	return 0;
}

void terminal_connection_leaves(struct node *n, struct conn *c)
{
	struct terminal *t = terminal_of(n);
	struct attachment *a = terminal_attachment(t, c);
	terminal_detach(n, c);
	if (t->nothing_active)
		terminal_activate_nothing(n);
	else if (terminal_is_active(t, c))
		terminal_deactivate(n, c);
	if (a)
		*a = (struct attachment){0};
}

void terminal_connection_remove(struct node *n, struct attachment *a)
{
	struct conn *c = a->conn;
	if (c->state != CONN_EXPIRED)
		mover_remove(terminal_of(n)->mover, c, clock_now_us());
	terminal_connection_leaves(n, c);
	node_conn_remove(n, c);
}
