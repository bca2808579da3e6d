/* SPDX-License-Identifier: MIT */
/*
 * The home server's role: a registrar over the connection table, whose bindings are published
 * as routes of the packet path, kernel routes and proxy neighbours on the home link.  A
 * connection with care-of `any` learns its terminal's place, and its NAT's port, from the
 * newest authenticated packet.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include "base/mem.h"
#include "daemon/home_routes.h"
#include "daemon/role.h"
#include "mobility/registrar.h"
#include "wire/ip.h"
#include "wire/mip4.h"

#define STALE_US (60ull * USEC_PER_SEC)

struct listener {
	struct addr addr;
	bool udp;
	int sock; /* of the packet path; -1 not there (yet) */
};

struct home {
	struct registrar *registrar;
	struct listener listeners[16];
	unsigned listener_count;
	struct home_routes *routes;
	const struct role_arrival *arrival; /* being handled: replies go back there */
};

static struct home *home_of(struct node *n)
{
	return n->state;
}

/* --- publishing bindings */

static void binding_changed(void *ctx, const struct binding *b)
{
	home_routes_publish(home_of(ctx)->routes, b);
}

/* A connection of t is about to go: nothing may name it any longer.  Until leave_end. */
static void leave_begin(struct node *n, const struct registrar_terminal *t)
{
	home_routes_at_once(home_of(n)->routes, true);
	if (t)
		home_routes_settle(home_of(n)->routes, t);
}

static void leave_end(struct node *n)
{
	home_routes_at_once(home_of(n)->routes, false);
}

/* Rekeyed: what names its old SA names the fresh one, or nothing. */
static void home_out_changed(struct node *n, struct conn *c)
{
	const struct registrar_terminal *t = c->peer->owner;
	for (unsigned i = 0; t && i < t->home_count; i++)
		home_routes_publish(home_of(n)->routes, t->bindings[i]);
	if (t)
		home_routes_settle(home_of(n)->routes, t);
}

/* --- replies */

static const struct path *reply_path(struct node *n, const struct conn *conn)
{
	const struct role_arrival *a = home_of(n)->arrival;
	return a && a->conn == conn ? &a->back : NULL;
}

static void send4(struct node *n, struct conn *conn, const struct addr *src, const struct addr *dst,
		  uint16_t port, const uint8_t *msg, size_t len, bool hello, bool aside)
{
	struct endpoint from = {.addr = *src, .port = MIP4_PORT}, to = {.addr = *dst, .port = port};
	struct node_sending how = {.hello_epoch = hello ? node_new_epoch() : 0,
				   .aside = aside,
				   .via = reply_path(n, conn)};
	node_send_udp(n, conn, &from, &to, msg, len, &how);
}

static void send6(struct node *n, struct conn *conn, const struct addr *src, const struct addr *dst,
		  const uint8_t *msg, size_t len, bool hello, bool aside)
{
	struct node_sending how = {.hello_epoch = hello ? node_new_epoch() : 0,
				   .aside = aside,
				   .via = reply_path(n, conn)};
	node_send_mh(n, conn, src, dst, msg, len, &how);
}

static void send_reply4(void *ctx, struct conn *conn, const struct addr *src,
			const struct addr *dst, uint16_t port, const uint8_t *msg, size_t len,
			bool hello)
{
	send4(ctx, conn, src, dst, port, msg, len, hello, false);
}

static void send_reply6(void *ctx, struct conn *conn, const struct addr *src,
			const struct addr *dst, const uint8_t *msg, size_t len, bool hello)
{
	send6(ctx, conn, src, dst, msg, len, hello, false);
}

static void send_denial4(void *ctx, struct conn *conn, const struct addr *src,
			 const struct addr *dst, uint16_t port, const uint8_t *msg, size_t len)
{
	send4(ctx, conn, src, dst, port, msg, len, true, true);
}

static void send_denial6(void *ctx, struct conn *conn, const struct addr *src,
			 const struct addr *dst, const uint8_t *msg, size_t len)
{
	send6(ctx, conn, src, dst, msg, len, true, true);
}

static void learn(struct node *n, const struct role_arrival *a);

static void epoch_accepted(void *ctx, struct conn *conn, uint64_t number)
{
	struct node *n = ctx;
	const struct role_arrival *a = home_of(n)->arrival;

	node_epoch_accept(n, conn, number);
	/* The hello was newer than all before: its source is the terminal's place. */
	if (a && a->conn == conn)
		learn(n, a);
}

static uint32_t epoch_sent(void *ctx, struct conn *conn)
{
	(void)ctx;
	return (uint32_t)(atomic_load(&conn->out->space->next) >> 32);
}

/* --- where terminals are */

static bool follows(const struct conn *c, const struct endpoint *src)
{
	const struct config_terminal *t = c->owner;
	for (const struct config_connection *k = t->connections; k; k = k->next)
		if (!strcmp(k->name, c->name))
			return !k->care_of.addr.family || addr_equal(&k->care_of.addr, &src->addr);
	return false;
}

static void learn(struct node *n, const struct role_arrival *a)
{
	const struct path *old = rcu_dereference(a->conn->out->path);
	struct endpoint care_of = a->back.remote;
	char from[ENDPOINT_TEXT_MAX], to[ENDPOINT_TEXT_MAX];

	if (old && endpoint_equal(&old->remote, &care_of) && old->sock == a->back.sock)
		return;
	if (!follows(a->conn, &care_of)) {
		log_warn(n->log, "home: packets from %s, but care-of is configured connection=%s",
			 endpoint_format(&care_of, to), a->conn->name);
		return;
	}
	log_info(n->log, "home: care-of connection=%s from=%s to=%s", a->conn->name,
		 old ? endpoint_format(&old->remote, from) : "none", endpoint_format(&care_of, to));
	struct path path = a->back;
	path.mtu = (uint16_t)n->cfg->mtu;
	node_conn_set_path(a->conn, &path);
	conn_set_pair(n->table, a->conn, &care_of, &a->conn->server);
	if (a->conn->state == CONN_FORMING || a->conn->state == CONN_STALE)
		conn_set_state(n->table, a->conn, CONN_READY, a->event->at_us);
}

static void home_moved(struct node *n, const struct role_arrival *a)
{
	learn(n, a);
}

/* For display: the care-of address that the terminal has is not the one its packets come from. */
static void look_for_nat(struct conn *c, const uint8_t *msg, size_t len)
{
	struct mip4_request q;
	if (mip4_read_request(msg, len, &q) != MIP4_OK || q.lifetime_s == 0)
		return;
	struct addr care_of = addr_from_bytes(4, q.care_of);
	if (c->care_of.addr.family == 4 && !addr_is_any(&care_of))
		c->behind_nat = !addr_equal(&care_of, &c->care_of.addr);
}

static void home_control_packet(struct node *n, const struct role_arrival *a)
{
	struct home *h = home_of(n);
	const struct fwd_event *e = a->event;
	struct ip_info info;
	uint16_t sport, dport;
	const uint8_t *payload;
	size_t len;

	if (!ip_parse(e->data, e->len, &info))
		return;
	struct registrar_arrival ra = {.conn = a->conn,
				       .src = info.src,
				       .dst = info.dst,
				       .hello = e->hello,
				       .number = e->number,
				       .now_us = e->at_us,
				       .wall_us = clock_wall_us()};
	h->arrival = a;
	if (info.proto == IP_PROTO_MH && info.version == 6)
		registrar_request6(h->registrar, &ra, e->data + info.l4_off,
				   info.total_len - info.l4_off);
	else if (ip_read_udp(e->data, &info, &sport, &dport, &payload, &len) &&
		 dport == MIP4_PORT) {
		registrar_request4(h->registrar, &ra, sport, payload, len);
		look_for_nat(a->conn, payload, len);
	}
	h->arrival = NULL;
}

static void home_probe_reply(struct node *n, struct conn *c, uint64_t id, usec_t at_us)
{
	(void)n;
	(void)c;
	(void)id;
	(void)at_us;
}

static void home_mtu_changed(struct node *n, struct conn *c)
{
	(void)n;
	if (c->state == CONN_ACTIVE)
		node_peer_clamp(c->peer, &c, 1);
}

static void home_expired(struct node *n, struct conn *c)
{
	registrar_conn_gone(home_of(n)->registrar, c, clock_now_us());
}

/* A terminal asks over each connection that it can use every probe-spare (20 s). */
static void home_sweep(struct node *n, struct conn *c, usec_t now)
{
	usec_t heard = conn_heard_us(c);
	bool silent = heard + STALE_US < now;
	if (c->state == CONN_READY && silent)
		conn_set_state(n->table, c, CONN_STALE, now);
	else if (c->state == CONN_STALE && !silent)
		conn_set_state(n->table, c, CONN_READY, now);
}

/* --- sockets */

static void listener_ready(void *ctx, const struct netreq *reply, int fd)
{
	struct node *n = ctx;
	struct home *h = home_of(n);
	char text[ADDR_TEXT_MAX];

	if (fd < 0) {
		log_error(n->log, "home: cannot listen on %s: %s",
			  addr_format(&reply->local.addr, text), reply->text);
		return;
	}
	int sock = pktio_sock_add(n->pktio, fd, reply->udp, reply->local.addr.family == 6);
	for (unsigned i = 0; i < h->listener_count; i++) {
		struct listener *l = &h->listeners[i];
		if (l->udp == reply->udp && addr_equal(&l->addr, &reply->local.addr))
			l->sock = sock;
	}
	if (sock < 0)
		log_error(n->log, "home: too many packet sockets");
	/* Configured care-of addresses are known from the start. */
	for (struct conn *c = conn_table_first(n->table); c && sock >= 0; c = c->next) {
		if (!c->care_of.addr.family || c->udp != reply->udp ||
		    !addr_equal(&c->server.addr, &reply->local.addr) ||
		    rcu_dereference(c->out->path))
			continue;
		struct path path = {.local = c->server,
				    .remote = c->care_of,
				    .sock = (uint16_t)sock,
				    .mtu = (uint16_t)n->cfg->mtu};
		node_conn_set_path(c, &path);
	}
}

static int listen_on(struct node *n, const struct addr *addr, bool udp)
{
	struct home *h = home_of(n);
	for (unsigned i = 0; i < h->listener_count; i++)
		if (h->listeners[i].udp == udp && addr_equal(&h->listeners[i].addr, addr))
			return 0;
	if (h->listener_count == ARRAY_LEN(h->listeners))
		return -ENOSPC;
	h->listeners[h->listener_count++] =
	    (struct listener){.addr = *addr, .udp = udp, .sock = -1};
	struct netreq req = {.kind = NETREQ_SOCK,
			     .on = true,
			     .udp = udp,
			     .local = {.addr = *addr, .port = udp ? n->cfg->port : 0}};
	return netreq_send(n->net, &req, listener_ready, n);
}

/* --- terminals of the configuration */

static int terminal_add(struct node *n, struct config_terminal *t, struct err *err)
{
	struct home *h = home_of(n);
	struct registrar_terminal *rt = mem_zalloc(sizeof *rt);
	memcpy(rt->name, t->name, sizeof rt->name);
	rt->home_count = t->home_count;
	memcpy(rt->homes, t->homes, sizeof rt->homes);
	rt->prefix_count = t->prefix_count;
	memcpy(rt->prefixes, t->prefixes, sizeof t->prefixes);
	rt->mn_ha_spi = t->registration_spi;
	rt->mn_ha_key_len = t->registration_key_len;
	memcpy(rt->mn_ha_key, t->registration_key, sizeof rt->mn_ha_key);
	rt->lifetime_max_s = t->lifetime_s;
	rt->connections_max = t->connections_max;
	rt->peer = node_peer_new(t, false);
	/* What was asked before we started may have been taken by whoever heard it. */
	rt->last_identification = mip4_identification(clock_wall_us());
	rt->last_hello6 = (uint32_t)(clock_wall_us() / USEC_PER_SEC);
	if (registrar_add(h->registrar, rt) < 0) {
		node_peer_retire(n, rt->peer);
		mem_wipe(rt, sizeof *rt);
		free(rt);
		return err_set(err, "terminal %s: a home address or registration SPI is taken",
			       t->name);
	}
	for (const struct config_connection *c = t->connections; c; c = c->next)
		if (!node_conn_add(n, c, rt->peer, t, err))
			return -1;
	return 0;
}

static void connection_gone(struct node *n, struct conn *c)
{
	leave_begin(n, c->peer->owner);
	registrar_conn_gone(home_of(n)->registrar, c, clock_now_us());
	node_conn_remove(n, c);
	leave_end(n);
}

static void terminal_remove(struct node *n, const struct config_terminal *t)
{
	struct registrar_terminal *rt = registrar_find(home_of(n)->registrar, t->name);
	struct peer *peer = rt ? rt->peer : NULL;
	for (const struct config_connection *k = t->connections; k; k = k->next) {
		struct conn *c = conn_find_name(n->table, t, k->name);
		if (c)
			connection_gone(n, c);
	}
	leave_begin(n, rt);
	if (rt)
		registrar_remove(home_of(n)->registrar, rt);
	leave_end(n);
	node_peer_retire(n, peer);
}

static int listen_all(struct node *n, const struct config *cfg)
{
	for (const struct config_terminal *t = cfg->terminals; t; t = t->next)
		for (const struct config_connection *c = t->connections; c; c = c->next)
			if (listen_on(n, &c->server.addr, c->udp) < 0)
				return -1;
	return 0;
}

static int home_start(struct node *n, struct err *err)
{
	struct home *h = mem_zalloc(sizeof *h);
	struct registrar_ops ops = {.ctx = n,
				    .send_reply4 = send_reply4,
				    .send_reply6 = send_reply6,
				    .send_denial4 = send_denial4,
				    .send_denial6 = send_denial6,
				    .binding_changed = binding_changed,
				    .epoch_accepted = epoch_accepted,
				    .epoch_sent = epoch_sent};
	n->state = h;
	h->routes = home_routes_new(n);
	h->registrar = registrar_new(&ops, n->cfg->home_agents, n->cfg->home_agent_count, n->table,
				     n->moves, n->log);
	for (struct config_terminal *t = n->cfg->terminals; t; t = t->next)
		if (terminal_add(n, t, err) < 0)
			return -1;
	home_routes_pools(h->routes, n->cfg, NULL);
	if (listen_all(n, n->cfg) < 0)
		return err_set(err, "home: cannot ask for the packet sockets");
	return 0;
}

static void home_stop(struct node *n)
{
	struct home *h = home_of(n);
	for (const struct config_terminal *t = n->cfg->terminals; t; t = t->next)
		terminal_remove(n, t);
	registrar_free(h->registrar);
	home_routes_free(h->routes);
	free(h);
	n->state = NULL;
}

/* --- reload */

static struct config_terminal *terminal_named(struct config *cfg, const char *name)
{
	struct config_terminal *t = cfg->terminals;
	while (t && strcmp(t->name, name))
		t = t->next;
	return t;
}

static const struct config_connection *connection_named(const struct config_terminal *t,
							const char *name)
{
	const struct config_connection *c = t->connections;
	while (c && strcmp(c->name, name))
		c = c->next;
	return c;
}

/* What is not there any more, or not the same, goes first: its SPIs may be used elsewhere. */
static void terminal_prune(struct node *n, const struct config_terminal *old,
			   struct config_terminal *fresh)
{
	for (const struct config_connection *was = old->connections; was; was = was->next) {
		struct conn *c = conn_find_name(n->table, old, was->name);
		const struct config_connection *is = connection_named(fresh, was->name);
		if (c && is && config_connection_equal(was, is))
			conn_set_owner(n->table, c, fresh);
		else if (c)
			connection_gone(n, c);
	}
}

/* The terminal stays, and what is left of its connections, with numbers and bindings. */
static int terminal_extend(struct node *n, struct config_terminal *fresh, struct err *err)
{
	struct registrar_terminal *rt = registrar_find(home_of(n)->registrar, fresh->name);
	if (!rt)
		return terminal_add(n, fresh, err);
	for (const struct config_connection *c = fresh->connections; c; c = c->next)
		if (!conn_find_name(n->table, fresh, c->name) &&
		    !node_conn_add(n, c, rt->peer, fresh, err))
			return -1;
	return 0;
}

/* A checked configuration fits; should a part of it not, that is logged and the rest is in
 * force: connections already belong to the fresh one. */
static int home_reload(struct node *n, struct config *fresh, struct err *err)
{
	for (struct config_terminal *t = n->cfg->terminals; t; t = t->next) {
		struct config_terminal *same = terminal_named(fresh, t->name);
		if (same && config_terminal_equal(t, same))
			terminal_prune(n, t, same);
		else
			terminal_remove(n, t);
	}
	for (struct config_terminal *t = fresh->terminals; t; t = t->next)
		if (terminal_extend(n, t, err) < 0)
			log_error(n->log, "home: not in force: %s", err->text);
	home_routes_pools(home_of(n)->routes, fresh, n->cfg);
	if (listen_all(n, fresh) < 0)
		log_error(n->log, "home: cannot ask for the packet sockets");
	return 0;
}

/* --- time and display */

static usec_t home_tick(struct node *n, usec_t now)
{
	struct home *h = home_of(n);
	usec_t next = registrar_tick(h->registrar, now);
	usec_t leave = home_routes_tick(h->routes, now);
	return next < leave ? next : leave;
}

static void home_status(struct node *n, json_t *out)
{
	const struct registrar_counters *k = registrar_counters(home_of(n)->registrar);
	json_int_t bindings = 0, denied = 0;
	for (const struct binding *b = registrar_first(home_of(n)->registrar); b; b = b->next)
		bindings += b->count > 0;
	json_t *codes = json_object();
	for (int i = 0; i < 256; i++) {
		char text[8];
		snprintf(text, sizeof text, "%d", i);
		denied += (json_int_t)k->denied[i];
		if (k->denied[i])
			json_object_set_new(codes, text, json_integer((json_int_t)k->denied[i]));
	}
	json_object_set_new(out, "bindings", json_integer(bindings));
	json_object_set_new(out, "registration",
			    json_pack("{s:I,s:I,s:I,s:I,s:I,s:I,s:o}", "requests",
				      (json_int_t)k->requests, "accepted", (json_int_t)k->accepted,
				      "denied", denied, "silent", (json_int_t)k->silent,
				      "deregistrations", (json_int_t)k->deregistrations, "expired",
				      (json_int_t)k->expired, "denied_by_code", codes));
}

static json_t *home_bindings(struct node *n)
{
	json_t *list = json_array();
	usec_t now = clock_now_us();
	for (const struct binding *b = registrar_first(home_of(n)->registrar); b; b = b->next) {
		json_t *conns = json_array();
		for (unsigned i = 0; i < b->count; i++)
			json_array_append_new(conns, json_string(b->conns[i]->name));
		json_t *o =
		    json_pack("{s:s,s:o,s:o,s:s,s:i,s:f}", "terminal", b->terminal->name,
			      "home_address", status_addr(&b->home), "connections", conns, "why",
			      binding_why_text(b->why), "lifetime_s", (int)b->lifetime_s, "since_s",
			      b->since_us ? (double)(now - b->since_us) / USEC_PER_SEC : 0.0);
		json_object_set_new(
		    o, "expires_s",
		    b->expires_us == USEC_NEVER || b->count == 0
			? json_null()
			: json_integer((json_int_t)(b->expires_us > now
							? (b->expires_us - now) / USEC_PER_SEC
							: 0)));
		json_array_append_new(list, o);
	}
	return json_pack("{s:o}", "bindings", list);
}

static json_t *home_command(struct node *n, const char *command, const json_t *request)
{
	(void)n;
	(void)request;
	if (!strcmp(command, "switch"))
		return json_pack("{s:s}", "error",
				 "only a terminal chooses its connection: use it there");
	return NULL;
}

const struct role role_home = {
    .start = home_start,
    .stop = home_stop,
    .control_packet = home_control_packet,
    .probe_reply = home_probe_reply,
    .moved = home_moved,
    .mtu_changed = home_mtu_changed,
    .sweep = home_sweep,
    .expired = home_expired,
    .out_changed = home_out_changed,
    .tick = home_tick,
    .reload = home_reload,
    .status = home_status,
    .bindings = home_bindings,
    .command = home_command,
};
