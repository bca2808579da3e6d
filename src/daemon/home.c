/* SPDX-License-Identifier: MIT */
/*
 * The home server's role: a registrar over the connection table, whose bindings are published
 * as routes of the packet path, kernel routes and proxy neighbours on the home link.  A
 * connection with care-of `any` learns its terminal's place, and its NAT's port, from the
 * newest authenticated packet.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include "base/hash.h"
#include "base/mem.h"
#include "crypto/mac.h"
#include "daemon/home_state.h"
#include "daemon/home_terminal.h"
#include "wire/ip.h"
#include "wire/mip4.h"

#define STALE_US (60ull * USEC_PER_SEC)

/* --- publishing bindings */

static void binding_changed(void *ctx, const struct binding *b)
{
	struct node *n = ctx;
	struct home *h = home_of(n);
	/* By a request: its packets may go there at once. */
	if (h->arrival && b->why == BINDING_BY_REQUEST && b->count)
		home_place_asked(n, h->arrival->conn);
	home_routes_publish(h->routes, b);
	if (h->steward && b->count)
		steward_placed(h->steward, b->conns[0], clock_now_us());
}

void home_leave_begin(struct node *n, const struct registrar_terminal *t)
{
	home_routes_at_once(home_of(n)->routes, true);
	if (t)
		home_routes_settle(home_of(n)->routes, t);
}

void home_leave_end(struct node *n)
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

/* Only from an address that the configuration has: nobody can choose another. */
static bool is_fixed(const struct conn *c)
{
	const struct config_terminal *t = c->owner;
	for (const struct config_connection *k = steward_made(c) ? NULL : t->connections; k;
	     k = k->next)
		if (!strcmp(k->name, c->name))
			return k->care_of.addr.family != 0;
	return false;
}

static bool follows(const struct conn *c, const struct endpoint *src)
{
	const struct config_terminal *t = c->owner;
	if (steward_made(c))
		return steward_follows(c);
	for (const struct config_connection *k = t->connections; k; k = k->next)
		if (!strcmp(k->name, c->name))
			return !k->care_of.addr.family || addr_equal(&k->care_of.addr, &src->addr);
	return false;
}

/* AH covers the outer addresses: a new packet's source is the one that its sender wrote. */
static bool is_covered(const struct conn *c)
{
	return c->in->ah;
}

/* from: family none when it had no place yet. */
static void learned(struct node *n, struct conn *c, const struct endpoint *from, usec_t at_us)
{
	struct home *h = home_of(n);
	char was[ENDPOINT_TEXT_MAX], is[ENDPOINT_TEXT_MAX];
	endpoint_format(from, was);
	endpoint_format(&c->care_of, is);
	log_info(n->log, "home: care-of connection=%s from=%s to=%s", c->name, was, is);
	if (c->state == CONN_FORMING || c->state == CONN_STALE)
		conn_set_state(n->table, c, CONN_READY, at_us);
	bool by_data = is_covered(c) && atomic_load(&c->peer->implied);
	if (from->addr.family && (steward_made(c) || by_data))
		registrar_note_place(h->registrar, c, was, is, "its packets come from there",
				     by_data, at_us, clock_wall_us());
	if (steward_made(c))
		steward_placed(h->steward, c, clock_now_us());
}

static void learn(struct node *n, const struct role_arrival *a)
{
	const struct path *old = rcu_dereference(a->conn->out->path);
	struct endpoint care_of = a->back.remote, was = {0};
	char to[ENDPOINT_TEXT_MAX];

	if (old && endpoint_equal(&old->remote, &care_of) && old->sock == a->back.sock)
		return;
	if (!follows(a->conn, &care_of)) {
		if (log_limit_ok(&home_of(n)->elsewhere, a->event->at_us, 5))
			log_warn(n->log, "home: packets from %s, but it is elsewhere connection=%s",
				 endpoint_format(&care_of, to), a->conn->name);
		return;
	}
	if (old)
		was = old->remote;
	struct path path = a->back;
	path.mtu = (uint16_t)n->cfg->mtu;
	if (is_covered(a->conn))
		home_place_known(a->conn, &path);
	else if (is_fixed(a->conn))
		node_conn_set_path(a->conn, &path);
	else
		home_place_learn(n, a, &path);
	conn_set_pair(n->table, a->conn, &care_of, &a->back.local);
	learned(n, a->conn, &was, a->event->at_us);
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
	uint64_t accepted = registrar_counters(h->registrar)->accepted;
	if (info.proto == IP_PROTO_MH && info.version == 6)
		registrar_request6(h->registrar, &ra, e->data + info.l4_off,
				   info.total_len - info.l4_off);
	else if (ip_read_udp(e->data, &info, &sport, &dport, &payload, &len) &&
		 dport == MIP4_PORT) {
		registrar_request4(h->registrar, &ra, sport, payload, len);
		look_for_nat(a->conn, payload, len);
	}
	if (registrar_counters(h->registrar)->accepted != accepted)
		home_place_asked(n, a->conn);
	h->arrival = NULL;
}

static void home_probe_reply(struct node *n, const struct role_arrival *a, uint64_t id)
{
	home_place_answered(n, a, id);
	home_moves_answered(home_of(n)->moves, id);
}

/* A probe that is not the newest packet says nothing new. */
static bool home_used(struct node *n, const struct role_arrival *a)
{
	struct registrar_data d = {.conn = a->conn,
				   .number = a->event->number,
				   .said = a->event->kind == FWD_EV_PROBE,
				   .now_us = a->event->at_us,
				   .wall_us = clock_wall_us()};
	if (a->event->newest)
		(void)registrar_data(home_of(n)->registrar, &d);
	return registrar_is_by_data(a->conn);
}

static void home_mtu_changed(struct node *n, struct conn *c)
{
	const struct registrar_terminal *t = c->peer->owner;
	(void)n;
	for (uint8_t i = 0; t && c->state == CONN_ACTIVE && i < t->home_count; i++) {
		const struct binding *b = t->bindings[i];
		if (b->count)
			node_peer_clamp(c->peer, b->conns, b->count);
	}
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
	else if ((c->state == CONN_STALE && !silent) ||
		 (c->state == CONN_FORMING && heard && rcu_dereference(c->out->path)))
		conn_set_state(n->table, c, CONN_READY, now);
}

static void home_rekey_wanted(struct node *n, struct conn *c, bool outbound)
{
	(void)outbound;
	if (home_of(n)->steward)
		steward_rekey(home_of(n)->steward, c, clock_now_us());
}

/* --- terminals of the configuration */

static int connections_add(struct node *n, struct config_terminal *t, struct peer *peer,
			   struct err *err)
{
	for (const struct config_connection *c = t->connections; c; c = c->next)
		if (!conn_find_name(n->table, t, c->name) && !node_conn_add(n, c, peer, t, err))
			return -1;
	return 0;
}

static int terminal_add(struct node *n, struct config_terminal *t, struct err *err)
{
	struct home *h = home_of(n);
	if (!t->home_count)
		return 0; /* the steward's: its addresses are of a pool */
	struct registrar_terminal *rt =
	    home_terminal_new(t, t->name, t->homes, t->home_count, clock_wall_us());
	rt->peer = t->connections ? node_peer_new(t, false) : NULL;
	if (registrar_add(h->registrar, rt) < 0) {
		node_peer_retire(n, rt->peer);
		registrar_terminal_free(rt);
		return err_set(err, "terminal %s: a home address or registration SPI is taken",
			       t->name);
	}
	return connections_add(n, t, rt->peer, err);
}

static void connection_gone(struct node *n, struct conn *c)
{
	home_leave_begin(n, c->peer->owner);
	registrar_conn_gone(home_of(n)->registrar, c, clock_now_us());
	home_place_forget(n, c);
	node_conn_remove(n, c);
	home_leave_end(n);
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
	home_leave_begin(n, rt);
	if (rt)
		registrar_remove(home_of(n)->registrar, rt);
	home_leave_end(n);
	node_peer_retire(n, peer);
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
	home_place_start(h);
	h->registrar = registrar_new(&ops, n->cfg->home_agents, n->cfg->home_agent_count, n->table,
				     n->moves, n->log);
	for (struct config_terminal *t = n->cfg->terminals; t; t = t->next)
		if (terminal_add(n, t, err) < 0)
			return -1;
	home_routes_pools(h->routes, n->cfg, NULL);
	if (n->cfg->ike)
		home_ike_start(n);
	if (home_listen(n, n->cfg) < 0)
		return err_set(err, "home: cannot ask for the sockets");
	if (n->cfg->announce_moves && !(h->moves = home_moves_new(n, err)))
		return -1;
	return 0;
}

static void home_stop(struct node *n)
{
	struct home *h = home_of(n);
	home_ike_stop(n);
	home_moves_free(h->moves);
	for (const struct config_terminal *t = n->cfg->terminals; t; t = t->next)
		terminal_remove(n, t);
	registrar_free(h->registrar);
	home_routes_free(h->routes);
	home_place_stop(h);
	free(h);
	n->state = NULL;
}

/* --- reload */

/* The terminals of a configuration by name. */
struct named {
	struct config_terminal *t;
	struct hash_link link;
};

struct names {
	struct hash hash;
	struct named *all;
	uint64_t seed;
};

static void names_make(struct names *names, struct config *cfg)
{
	size_t count = 0;
	for (const struct config_terminal *t = cfg->terminals; t; t = t->next)
		count++;
	*names = (struct names){.all = mem_zalloc((count + 1) * sizeof *names->all)};
	random_bytes(&names->seed, sizeof names->seed);
	struct named *at = names->all;
	for (struct config_terminal *t = cfg->terminals; t; t = t->next, at++) {
		at->t = t;
		hash_add(&names->hash, &at->link,
			 hash_bytes(names->seed, t->name, strlen(t->name)));
	}
}

static void names_free(struct names *names)
{
	hash_clear(&names->hash);
	free(names->all);
}

static struct config_terminal *terminal_named(const struct names *names, const char *name)
{
	struct hash_link *l = hash_find(&names->hash, hash_bytes(names->seed, name, strlen(name)));
	for (; l; l = hash_next(l)) {
		struct named *at = hash_owner(l, struct named, link);
		if (!strcmp(at->t->name, name))
			return at->t;
	}
	return NULL;
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
	struct home *h = home_of(n);
	struct registrar_terminal *rt = registrar_find(h->registrar, fresh->name);
	if (!rt)
		return terminal_add(n, fresh, err);
	struct peer **peer = h->steward ? steward_configured_peer(h->steward, rt) : &rt->peer;
	if (fresh->connections && !*peer) {
		*peer = node_peer_new(fresh, false);
		(*peer)->owner = rt;
	}
	return connections_add(n, fresh, *peer, err);
}

/* Rules that change with a reload; those of the steward's lines are its own. */
static void policy_set(struct node *n, const struct config_terminal *t)
{
	struct home *h = home_of(n);
	struct registrar_terminal *rt = registrar_find(h->registrar, t->name);
	if (!rt)
		return;
	registrar_set_policy(rt, t->may, t->drain_s);
	struct peer *peer = h->steward ? *steward_configured_peer(h->steward, rt) : rt->peer;
	if (!peer)
		return;
	peer->strict = t->strict;
	peer->implied = t->may & BINDING_MAY(BINDING_BY_DATA);
}

/* A checked configuration fits; should a part of it not, that is logged and the rest is in
 * force: connections already belong to the fresh one. */
static int home_reload(struct node *n, struct config *fresh, struct err *err)
{
	struct home *h = home_of(n);
	struct names names;
	if (h->steward)
		steward_prune(h->steward, n->cfg, fresh, clock_now_us());
	names_make(&names, fresh);
	for (struct config_terminal *t = n->cfg->terminals; t; t = t->next) {
		struct config_terminal *same = terminal_named(&names, t->name);
		if (same && config_terminal_equal(t, same))
			terminal_prune(n, t, same);
		else
			terminal_remove(n, t);
	}
	names_free(&names);
	for (struct config_terminal *t = fresh->terminals; t; t = t->next)
		if (terminal_extend(n, t, err) < 0)
			log_error(n->log, "home: not in force: %s", err->text);
		else
			policy_set(n, t);
	if (h->steward)
		steward_extend(h->steward, fresh, clock_now_us());
	home_routes_pools(h->routes, fresh, n->cfg);
	if (home_listen(n, fresh) < 0)
		log_error(n->log, "home: cannot ask for the sockets");
	return 0;
}

/* --- time and wishes */

static usec_t home_tick(struct node *n, usec_t now)
{
	struct home *h = home_of(n);
	usec_t next = registrar_tick(h->registrar, now);
	usec_t leave = home_routes_tick(h->routes, now), place = home_place_tick(n, now);
	usec_t moves = home_moves_tick(h->moves, now);
	next = next < leave ? next : leave;
	next = next < place ? next : place;
	return next < moves ? next : moves;
}

static json_t *home_command(struct node *n, const char *command, const json_t *request)
{
	if (!strcmp(command, "switch") || !strcmp(command, "n-cast"))
		return json_pack("{s:s}", "error",
				 "only a terminal chooses its connections: use it there");
	return home_ike_command(n, command, request);
}

const struct role role_home = {
    .start = home_start,
    .stop = home_stop,
    .control_packet = home_control_packet,
    .probe_reply = home_probe_reply,
    .moved = home_moved,
    .used = home_used,
    .mtu_changed = home_mtu_changed,
    .sweep = home_sweep,
    .expired = home_expired,
    .out_changed = home_out_changed,
    .rekey_wanted = home_rekey_wanted,
    .tick = home_tick,
    .reload = home_reload,
    .status = home_status,
    .bindings = home_bindings,
    .command = home_command,
};
