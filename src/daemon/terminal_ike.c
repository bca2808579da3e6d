/* SPDX-License-Identifier: MIT */
/*
 * The terminal's IKEv2: the keeper joined to sockets, resolver, addresses and the engine.
 */
#include <stdio.h>
#include <string.h>
#include "base/mem.h"
#include "daemon/node_engine.h"
#include "daemon/node_joint.h"
#include "daemon/terminal_state.h"

#define LOOKUP_EVERY_US (60 * USEC_PER_SEC) /* while it is not up, after an answer */
#define LOOKUP_AGAIN_US (5 * USEC_PER_SEC)  /* after a failure */
#define CONNECTIONS_MAX 16		    /* of the keeper's */

static struct keeper *keeper_of(void *ctx)
{
	return terminal_of(ctx)->keeper;
}

/* --- ways out */

static bool is_plain(const struct node *n, const struct endpoint *server)
{
	(void)n;
	return server->port == IKE_PORT;
}

/* A way to the IKE port needs the other socket too: it goes on there behind a NAT. */
static enum keeper_way way_open(void *ctx, const struct care_of *at, const struct endpoint *server,
				bool native, struct ike_path *path)
{
	struct node *n = ctx;
	struct terminal *t = terminal_of(n);
	bool plain = is_plain(n, server);
	struct outlet *udp = outlets_get(t->outlets, at, OUTLET_UDP);
	struct outlet *ike = udp && plain ? outlets_get(t->outlets, at, OUTLET_IKE) : udp;
	if (!ike) {
		if (udp)
			outlets_put(t->outlets, udp);
		return KEEPER_WAY_NONE;
	}
	const struct outlet *esp = native ? outlets_get(t->outlets, at, OUTLET_ESP) : NULL;
	if (udp->sock < 0 || ike->sock < 0 || (esp && esp->asked))
		return KEEPER_WAY_WAITS;
	*path = (struct ike_path){.remote = *server, .sock = (uint32_t)ike->sock, .natt = !plain};
	/* The port may be another one, where ours was taken. */
	if (!node_ike_sock_local(n, path->sock, &path->local))
		return KEEPER_WAY_WAITS;
	return KEEPER_WAY_OPEN;
}

static void way_close_op(void *ctx, const struct care_of *at, const struct endpoint *server,
			 bool native)
{
	struct node *n = ctx;
	struct terminal *t = terminal_of(n);
	struct outlet *o = outlets_find(t->outlets, at, OUTLET_UDP);
	if (o)
		outlets_put(t->outlets, o);
	o = is_plain(n, server) ? outlets_find(t->outlets, at, OUTLET_IKE) : NULL;
	if (o)
		outlets_put(t->outlets, o);
	o = native ? outlets_find(t->outlets, at, OUTLET_ESP) : NULL;
	if (o)
		outlets_put(t->outlets, o);
}

static int packet_sock(struct node *n, const struct conn *c, const struct ike_path *p)
{
	const struct terminal *t = terminal_of(n);
	if (c->udp)
		return p->sock < NODE_IKE_PLAIN ? (int)p->sock : -1;
	for (size_t i = 0; i < t->care_of_count; i++) {
		const struct care_of *at = &t->care_ofs[i];
		if (at->ifindex != c->ifindex || !addr_equal(&at->addr, &p->local.addr))
			continue;
		const struct outlet *o = outlets_find(t->outlets, at, OUTLET_ESP);
		return o ? (int)o->sock : -1;
	}
	return -1;
}

/* The same address, the socket for UDP encapsulation. */
static void float_path(void *ctx, struct ike_path *path)
{
	struct node *n = ctx;
	const struct terminal *t = terminal_of(n);
	for (size_t i = 0; i < t->care_of_count; i++) {
		if (!addr_equal(&t->care_ofs[i].addr, &path->local.addr))
			continue;
		const struct outlet *o = outlets_find(t->outlets, &t->care_ofs[i], OUTLET_UDP);
		if (!o || o->sock < 0)
			continue;
		path->sock = (uint32_t)o->sock;
		(void)node_ike_sock_local(n, path->sock, &path->local);
		return;
	}
}

/* --- what the keeper tells */

static void dns_set(struct node *n, const struct keeper_assigned *a)
{
	struct terminal *t = terminal_of(n);
	struct netreq req = {.kind = NETREQ_RESOLVCONF, .on = a->dns_count > 0};
	if (!req.on && !t->dns_set)
		return;
	for (uint8_t i = 0; i < a->dns_count; i++)
		req.addrs[req.addr_count++] = a->dns[i];
	t->dns_set = req.on;
	node_ask(n, &req);
}

static void assigned(void *ctx, const struct keeper_assigned *a)
{
	terminal_homes_set(ctx, a->homes, a->home_count);
	dns_set(ctx, a);
}

static struct mover *mover_make(void *ctx, const struct addr *homes, uint8_t count,
				const struct mover_agent *agent)
{
	struct node *n = ctx;
	struct terminal *t = terminal_of(n);
	(void)homes;
	(void)count;
	/* With configured connections there is one already, for the same addresses. */
	if (t->mover && t->peer)
		mover_set_agent(t->mover, agent);
	else
		terminal_mover_begin(n, agent);
	return t->mover;
}

static void activate(void *ctx, struct conn *conn)
{
	if (conn)
		terminal_activate(ctx, &conn, 1);
	else
		terminal_activate_nothing(ctx);
}

static void leaving(void *ctx, struct conn *conn)
{
	terminal_connection_leaves(ctx, conn);
}

/* --- from the engine */

static bool on_proceed(void *ctx, struct ike_sa *sa)
{
	return keeper_proceed(keeper_of(ctx), sa, clock_now_us());
}

static void on_assigned(void *ctx, struct ike_sa *sa, const struct ike_cp *reply)
{
	keeper_address(keeper_of(ctx), sa, reply);
}

static void on_sa_up(void *ctx, struct ike_sa *sa)
{
	keeper_sa_up(keeper_of(ctx), sa, clock_now_us());
}

static void on_sa_down(void *ctx, struct ike_sa *sa, uint16_t notify, const char *why)
{
	keeper_sa_down(keeper_of(ctx), sa, notify, why, clock_now_us());
}

static void on_sa_rekeyed(void *ctx, struct ike_sa *old, struct ike_sa *fresh)
{
	keeper_sa_rekeyed(keeper_of(ctx), old, fresh);
}

static void on_sa_moved(void *ctx, struct ike_sa *sa, const struct ike_path *path)
{
	keeper_sa_moved(keeper_of(ctx), sa, path, clock_now_us());
}

static uint16_t on_child_up(void *ctx, struct ike_child_up *up)
{
	return keeper_child_up(keeper_of(ctx), up, clock_now_us());
}

static void on_child_switch(void *ctx, struct ike_child *child)
{
	keeper_child_switch(keeper_of(ctx), child);
}

static void on_child_down(void *ctx, struct ike_child *child, const char *why)
{
	keeper_child_down(keeper_of(ctx), child, why, clock_now_us());
}

static void on_child_failed(void *ctx, struct ike_sa *sa, void *user, uint16_t notify)
{
	keeper_child_failed(keeper_of(ctx), sa, user, notify, clock_now_us());
}

static uint8_t on_addresses(void *ctx, const struct ike_sa *sa, struct addr *out, uint8_t room)
{
	return keeper_addresses(keeper_of(ctx), sa, out, room);
}

static usec_t on_heard(void *ctx, struct ike_sa *sa)
{
	(void)ctx;
	return joint_heard_us(sa);
}

/* --- the server's addresses */

static void servers_tell(struct node *n, usec_t now_us)
{
	struct terminal *t = terminal_of(n);
	const struct config_ike *ike = n->cfg->ike;
	struct endpoint servers[KEEPER_SERVERS_MAX];
	struct addr addrs[KEEPER_SERVERS_MAX];
	uint8_t count = 0;
	for (uint8_t i = 0; i < ike->server_count; i++) {
		const struct config_server *s = &ike->servers[i];
		const struct lookup *l = &t->lookups[i];
		if (s->addr.family && count < KEEPER_SERVERS_MAX)
			servers[count++] = (struct endpoint){.addr = s->addr, .port = s->port};
		for (uint8_t k = 0; k < l->count && count < KEEPER_SERVERS_MAX; k++)
			servers[count++] = (struct endpoint){.addr = l->addrs[k], .port = s->port};
	}
	for (uint8_t i = 0; i < count; i++)
		addrs[i] = servers[i].addr;
	watch_servers(t->watch, addrs, count);
	keeper_servers(t->keeper, servers, count, now_us);
}

static void looked_up(void *ctx, const struct netreq *reply, int fd)
{
	struct node *n = ctx;
	struct terminal *t = terminal_of(n);
	(void)fd;
	for (uint8_t i = 0; t && t->keeper && i < n->cfg->ike->server_count; i++) {
		struct lookup *l = &t->lookups[i];
		if (strcmp(n->cfg->ike->servers[i].name, reply->name) != 0)
			continue;
		usec_t now_us = clock_now_us();
		l->asked = false;
		l->next_us = now_us + (reply->result < 0 ? LOOKUP_AGAIN_US : LOOKUP_EVERY_US);
		if (reply->result < 0) {
			log_warn(n->log, "terminal: server not found name=%s: %s", reply->name,
				 reply->text);
			continue; /* what it was before may still be right */
		}
		l->count = reply->addr_count;
		memcpy(l->addrs, reply->addrs, sizeof l->addrs);
		servers_tell(n, now_us);
	}
}

/* By the system's resolver, as long as we are not up: names do not move under a line. */
static usec_t lookups_run(struct node *n, usec_t now_us)
{
	struct terminal *t = terminal_of(n);
	usec_t next = USEC_NEVER;
	if (keeper_state(t->keeper) != KEEPER_SEEKING || !t->care_of_count)
		return next;
	for (uint8_t i = 0; i < n->cfg->ike->server_count; i++) {
		const struct config_server *s = &n->cfg->ike->servers[i];
		struct lookup *l = &t->lookups[i];
		if (s->addr.family || l->asked)
			continue;
		if (l->next_us > now_us) {
			next = l->next_us < next ? l->next_us : next;
			continue;
		}
		struct netreq req = {.kind = NETREQ_LOOKUP, .on = true};
		snprintf(req.name, sizeof req.name, "%s", s->name);
		l->asked = true;
		if (netreq_send(n->net, &req, looked_up, n) < 0)
			loop_stop(n->loop);
	}
	return next;
}

/* --- begin, end, reload */

static void place_add(struct keeper_config *kc, const char *name, const char *interface,
		      const struct network *network, unsigned preference)
{
	if (kc->place_count == KEEPER_PLACES_MAX)
		return;
	struct keeper_place *p = &kc->places[kc->place_count++];
	snprintf(p->name, sizeof p->name, "%s", name);
	snprintf(p->interface, sizeof p->interface, "%s", interface);
	p->has_network = network != NULL;
	if (network)
		p->network = *network;
	p->preference = (int)preference;
}

static void configure(const struct config *cfg, struct keeper_config *kc)
{
	const struct config_terminal *me = cfg->terminals;
	memset(kc, 0, sizeof *kc);
	kc->peer = &me->peer->peer;
	memcpy(kc->terminal, me->name, sizeof kc->terminal);
	kc->home_count = me->home_count;
	memcpy(kc->homes, me->homes, sizeof kc->homes);
	kc->prefix_count = me->prefix_count;
	memcpy(kc->prefixes, me->prefixes, sizeof me->prefixes);
	kc->replay_packets = me->replay_packets;
	kc->lifetime_s = me->lifetime_s;
	kc->mn_ha_spi = me->registration_spi;
	kc->mn_ha_key_len = me->registration_key_len;
	memcpy(kc->mn_ha_key, me->registration_key, sizeof kc->mn_ha_key);
	kc->spares = cfg->ike->spares;
	kc->connections_max = CONNECTIONS_MAX;
	for (const struct config_place *p = me->places; p; p = p->next)
		place_add(kc, p->name, p->interface, p->has_network ? &p->network : NULL,
			  p->preference);
}

void terminal_ike_start(struct node *n)
{
	struct terminal *t = terminal_of(n);
	struct keeper_config kc;
	struct keeper_ops ops = {.ctx = n,
				 .joint = node_joint_ops(&t->joint),
				 .way_open = way_open,
				 .way_close = way_close_op,
				 .assigned = assigned,
				 .mover_make = mover_make,
				 .activate = activate,
				 .leaving = leaving};
	/* No proposals, no find_peer: a terminal answers nobody who begins. */
	static const struct ike_ops engine = {.float_path = float_path,
					      .assigned = on_assigned,
					      .proceed = on_proceed,
					      .sa_up = on_sa_up,
					      .sa_down = on_sa_down,
					      .sa_rekeyed = on_sa_rekeyed,
					      .sa_moved = on_sa_moved,
					      .child_up = on_child_up,
					      .child_switch = on_child_switch,
					      .child_down = on_child_down,
					      .child_failed = on_child_failed,
					      .addresses = on_addresses,
					      .heard_us = on_heard};
	t->joint = (struct node_joint){.n = n, .sock = packet_sock};
	configure(n->cfg, &kc);
	t->keeper = keeper_new(&kc, &ops, n->table, n->moves, n->log);
	mem_wipe(&kc, sizeof kc);
	node_engine_start(n, &n->cfg->ike->engine, &engine);
	keeper_set_engine(t->keeper, node_engine_ike(n));
	servers_tell(n, clock_now_us());
	if (n->cfg->ike->start)
		keeper_up(t->keeper, clock_now_us());
}

void terminal_ike_stop(struct node *n)
{
	struct terminal *t = terminal_of(n);
	keeper_free(t->keeper, clock_now_us());
	t->keeper = NULL;
}

void terminal_ike_ways(struct node *n)
{
	struct terminal *t = terminal_of(n);
	if (t->keeper)
		keeper_ways_changed(t->keeper, clock_now_us());
}

usec_t terminal_ike_tick(struct node *n, usec_t now_us)
{
	struct terminal *t = terminal_of(n);
	if (!t->keeper)
		return USEC_NEVER;
	usec_t next = keeper_tick(t->keeper, now_us), look = lookups_run(n, now_us);
	return look < next ? look : next;
}

/* The old peer may be what the engine goes on borrowing; then it is in `fresh` from now. */
void terminal_ike_reload(struct node *n, struct config *fresh, usec_t now_us)
{
	struct terminal *t = terminal_of(n);
	struct keeper_config kc;
	if (!t->keeper)
		return;
	bool kept = config_peer_keep(&n->cfg->terminals->peer, &fresh->terminals->peer, now_us);
	configure(fresh, &kc);
	keeper_configure(t->keeper, &kc, now_us);
	mem_wipe(&kc, sizeof kc);
	if (!kept)
		ike_peer_gone(node_engine_ike(n), &n->cfg->terminals->peer->peer, now_us);
	for (uint8_t i = 0; i < CONFIG_SERVERS_MAX; i++)
		if (i >= fresh->ike->server_count ||
		    strcmp(fresh->ike->servers[i].name, n->cfg->ike->servers[i].name) != 0)
			t->lookups[i] = (struct lookup){0};
}

json_t *terminal_ike_command(struct node *n, const char *command)
{
	struct terminal *t = terminal_of(n);
	bool up = !strcmp(command, "up");
	if (!up && strcmp(command, "down") != 0)
		return NULL;
	if (!t->keeper)
		return json_pack("{s:s}", "error",
				 "IKEv2 is not configured: connections with configured keys are "
				 "always up");
	if (up)
		keeper_up(t->keeper, clock_now_us());
	else
		keeper_down(t->keeper, clock_now_us());
	terminal_routes(n, n->cfg);
	return json_pack("{s:b}", "ok", 1);
}
