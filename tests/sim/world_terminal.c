/* SPDX-License-Identifier: MIT */
/* The terminal: keeper and mover, and what stands in for sockets, addresses and routes
 * (src/daemon/terminal_ike.c, terminal_conn.c, outlet.c are the real ones). */
#include <stdlib.h>
#include <string.h>
#include "base/mem.h"
#include "wire/mip4.h"
#include "world.h"

#define CONNECTIONS_MAX 16
#define OUTLET_FAILS	30 /* permille */

static struct world *world_of(void *ctx)
{
	return ((struct sim_node *)ctx)->w;
}

/* --- sockets */

static int outlet_find(const struct sim_terminal *t, const struct care_of *at, bool plain)
{
	for (int i = 0; i < OUTLETS; i++) {
		const struct sim_outlet *o = &t->outlets[i];
		if (o->users && o->plain == plain && addr_equal(&o->addr, &at->addr) &&
		    o->ifindex == at->ifindex)
			return i;
	}
	return -1;
}

static int outlet_get(struct world *w, const struct care_of *at, bool plain)
{
	struct sim_terminal *t = &w->t;
	int i = outlet_find(t, at, plain);
	for (int k = 0; k < OUTLETS && i < 0; k++)
		if (!t->outlets[k].users)
			i = k;
	if (i < 0) {
		world_fail(w, "the terminal has too many sockets");
		return -1;
	}
	struct sim_outlet *o = &t->outlets[i];
	if (!o->users)
		*o = (struct sim_outlet){.plain = plain,
					 .addr = at->addr,
					 .ifindex = at->ifindex,
					 .made = world_random(w)};
	o->users++;
	if (o->ready || o->asked)
		return i;
	if (!w->cfg.attach_later) {
		o->ready = true;
		return i;
	}
	o->asked = true;
	struct event *e = world_push(w, w->now_us + world_below(w, 30000), EVENT_OUTLET);
	e->life = t->n.life;
	e->outlet = i;
	e->made = o->made;
	return i;
}

static void outlet_put(struct world *w, int i)
{
	struct sim_outlet *o = &w->t.outlets[i];
	if (!o->users)
		world_fail(w, "a socket is given back twice");
	else
		o->users--;
}

static struct attached *attached_of(struct sim_terminal *t, const struct conn *c)
{
	for (unsigned i = 0; i < ARRAY_LEN(t->attached); i++)
		if (t->attached[i].conn == c)
			return &t->attached[i];
	return NULL;
}

static void publish(struct world *w, struct attached *a)
{
	struct path path = {.local = a->conn->care_of,
			    .remote = a->conn->server,
			    .sock = (uint16_t)a->outlet,
			    .mtu = 1500};
	path.remote.port = IKE_PORT_NATT;
	node_set_path(a->conn, &path);
	a->ready = true;
	mover_attached(w->t.mover, a->conn, true, w->now_us);
}

void terminal_outlet_opened(struct world *w, int outlet, uint64_t made)
{
	struct sim_terminal *t = &w->t;
	struct sim_outlet *o = &t->outlets[outlet];
	if (!o->users || o->made != made)
		return;
	o->asked = false;
	o->ready = !world_chance(w, OUTLET_FAILS);
	bool ready = o->ready;
	for (unsigned i = 0; i < ARRAY_LEN(t->attached); i++) {
		struct attached *a = &t->attached[i];
		if (!a->conn || a->outlet != outlet || a->ready)
			continue;
		if (ready)
			publish(w, a);
		else
			mover_attached(t->mover, a->conn, false, w->now_us);
	}
	keeper_ways_changed(t->keeper, w->now_us);
	t->n.tick_us = w->now_us;
}

/* --- ways for the keeper */

static bool is_plain(const struct endpoint *server)
{
	return server->port == IKE_PORT;
}

static void way_put(struct world *w, const struct care_of *at, bool plain)
{
	int i = outlet_find(&w->t, at, plain);
	if (i >= 0)
		outlet_put(w, i);
	else
		world_fail(w, "a way is given back that is not open");
}

static enum keeper_way on_way_open(void *ctx, const struct care_of *at,
				   const struct endpoint *server, bool native,
				   struct ike_path *path)
{
	struct world *w = world_of(ctx);
	(void)native; /* both nodes are Sojourns */
	const struct sim_outlet *outlets = w->t.outlets;
	int udp = outlet_get(w, at, false);
	int ike = udp >= 0 && is_plain(server) ? outlet_get(w, at, true) : udp;
	if (ike < 0)
		return KEEPER_WAY_NONE;
	w->t.ways++;
	if (!outlets[udp].ready || !outlets[ike].ready)
		return KEEPER_WAY_WAITS;
	*path = (struct ike_path){
	    .local = {.addr = at->addr, .port = is_plain(server) ? IKE_PORT : IKE_PORT_NATT},
	    .remote = *server,
	    .sock = (uint32_t)ike,
	    .natt = !is_plain(server)};
	return KEEPER_WAY_OPEN;
}

static void on_way_close(void *ctx, const struct care_of *at, const struct endpoint *server,
			 bool native)
{
	struct world *w = world_of(ctx);
	(void)native;
	w->t.ways--;
	way_put(w, at, false);
	if (is_plain(server))
		way_put(w, at, true);
}

static void on_float_path(void *ctx, struct ike_path *path)
{
	struct world *w = world_of(ctx);
	for (int i = 0; i < OUTLETS; i++) {
		const struct sim_outlet *o = &w->t.outlets[i];
		if (o->users && o->ready && !o->plain && addr_equal(&o->addr, &path->local.addr))
			path->sock = (uint32_t)i;
	}
}

/* --- what mover and keeper tell */

static void on_attach(void *ctx, struct conn *conn, const struct care_of *at)
{
	struct world *w = world_of(ctx);
	struct attached *a = attached_of(&w->t, conn);
	struct endpoint care_of = {.addr = at->addr, .port = IKE_PORT_NATT};
	if (!a) {
		a = attached_of(&w->t, NULL);
		if (!a) {
			world_fail(w, "too many connections are attached");
			return;
		}
		*a = (struct attached){.conn = conn, .outlet = -1};
	}
	int old = a->outlet;
	conn_set_pair(w->t.n.table, conn, &care_of, &conn->server);
	a->ready = false;
	a->outlet = outlet_get(w, at, false);
	if (old != a->outlet)
		node_set_path(conn, NULL);
	if (old >= 0)
		outlet_put(w, old);
	if (a->outlet >= 0 && w->t.outlets[a->outlet].ready)
		publish(w, a);
}

static void on_detach(void *ctx, struct conn *conn)
{
	struct world *w = world_of(ctx);
	struct attached *a = attached_of(&w->t, conn);
	if (!a || a->outlet < 0)
		return;
	node_set_path(conn, NULL);
	outlet_put(w, a->outlet);
	a->outlet = -1;
	a->ready = false;
}

static void on_leaving(void *ctx, struct conn *conn)
{
	struct world *w = world_of(ctx);
	struct attached *a = attached_of(&w->t, conn);
	on_detach(ctx, conn);
	if (w->t.active == conn)
		w->t.active = NULL;
	uint8_t kept = 0;
	for (uint8_t i = 0; i < w->t.set_count; i++)
		if (w->t.set[i] != conn)
			w->t.set[kept++] = w->t.set[i];
	w->t.set_count = kept;
	if (a)
		*a = (struct attached){.outlet = -1};
}

static void on_activate(void *ctx, struct conn *const *conns, uint8_t count)
{
	struct world *w = world_of(ctx);
	w->t.active = count ? conns[0] : NULL;
	w->t.set_count = count;
	w->t.set_us = w->now_us;
	for (uint8_t i = 0; i < count; i++)
		w->t.set[i] = conns[i];
	world_say(w, "terminal: packets to %s", w->t.active ? w->t.active->name : "nothing");
	if (count)
		keeper_activated(w->t.keeper, w->now_us);
	/* Packets wait for a way: they go at once. */
	if (count)
		terminal_send_data(w);
}

static void on_activate_one(void *ctx, struct conn *conn)
{
	on_activate(ctx, &conn, conn ? 1 : 0);
}

static void on_home(void *ctx, const struct care_of *at)
{
	struct world *w = world_of(ctx);
	w->t.home = at != NULL;
	world_say(w, "terminal: home=%d", w->t.home);
}

static void on_send_request(void *ctx, struct conn *conn, const struct addr *src,
			    const struct addr *dst, const uint8_t *msg, size_t len,
			    uint32_t hello_epoch)
{
	struct world *w = world_of(ctx);
	struct esp e = {.kind = ESP_REQUEST, .src = *src, .dst = *dst, .len = (uint16_t)len};
	if (hello_epoch)
		world_fail(w, "a hello with keys that were exchanged");
	if (len > sizeof(e.payload)) {
		world_fail(w, "a request of %zu octets", len);
		return;
	}
	memcpy(e.payload, msg, len);
	world_say(w, "terminal: request family=%u %s", src->family, conn->name);
	node_send_esp(&w->t.n, conn, &e, NULL);
}

static void on_send_probe(void *ctx, struct conn *conn, uint64_t id)
{
	struct world *w = world_of(ctx);
	struct esp e = {.kind = ESP_PROBE, .probe = id};
	node_send_esp(&w->t.n, conn, &e, NULL);
}

static void on_epoch_accepted(void *ctx, struct conn *conn, uint64_t number)
{
	(void)number;
	world_fail(world_of(ctx), "an epoch of the server's on %s", conn->name);
}

static uint32_t on_epoch_heard(void *ctx, struct conn *conn)
{
	(void)ctx;
	(void)conn;
	return 0;
}

static uint64_t on_wall_us(void *ctx)
{
	struct world *w = world_of(ctx);
	return (uint64_t)((int64_t)(WALL_US + w->now_us) + w->cfg.clock_us);
}

static void on_random(void *ctx, void *out, size_t len)
{
	uint8_t *b = out;
	for (size_t i = 0; i < len; i++)
		b[i] = (uint8_t)world_random(world_of(ctx));
}

static int on_spare_taken(void *ctx, struct conn *conn, const struct care_of *at)
{
	return keeper_spare_taken(world_of(ctx)->t.keeper, conn, at);
}

static void on_wanted(void *ctx, const struct care_of *at)
{
	struct world *w = world_of(ctx);
	keeper_wanted(w->t.keeper, at, w->now_us);
}

static void on_assigned_homes(void *ctx, const struct keeper_assigned *a)
{
	struct sim_terminal *t = &world_of(ctx)->t;
	t->home_count = a->home_count;
	memcpy(t->homes, a->homes, sizeof(t->homes));
}

static struct mover *on_mover_make(void *ctx, const struct addr *homes, uint8_t count,
				   const struct mover_agent *agent)
{
	struct world *w = world_of(ctx);
	struct sim_terminal *t = &w->t;
	struct mover_config cfg = {
	    .terminal = "alice",
	    .home_count = count,
	    .lifetime_s = w->cfg.lifetime_s,
	    .probe_idle_us = USEC_PER_SEC,
	    .probe_spare_us = 20 * USEC_PER_SEC,
	    .initial_rto_us = 250 * USEC_PER_MS,
	    .has_home_prefix = true,
	    .home_prefix = prefix_of(&(struct addr){.family = 4, .b = {10, 0, 0, 0}}, 24),
	    .home_gateway = {.family = 4, .b = {10, 0, 0, 1}},
	    .ncast = w->cfg.ncast,
	};
	struct mover_ops ops = {.ctx = ctx,
				.attach = on_attach,
				.detach = on_detach,
				.spare_taken = on_spare_taken,
				.wanted = on_wanted,
				.send_request = on_send_request,
				.send_probe = on_send_probe,
				.activate = on_activate,
				.home = on_home,
				.epoch_accepted = on_epoch_accepted,
				.epoch_heard = on_epoch_heard,
				.wall_us = on_wall_us,
				.random = on_random};
	memcpy(cfg.homes, homes, count * sizeof(*homes));
	mover_free(t->mover);
	t->home = false;
	t->mover = mover_new(&cfg, &ops, t->n.table, t->n.moves, &w->log);
	mover_set_agent(t->mover, agent);
	if (t->care_of_count)
		mover_care_ofs(t->mover, t->care_ofs, t->care_of_count, "start", w->now_us,
			       w->now_us);
	return t->mover;
}

/* --- from the engine */

static bool on_proceed(void *ctx, struct ike_sa *sa)
{
	struct world *w = world_of(ctx);
	return keeper_proceed(w->t.keeper, sa, w->now_us);
}

static void on_assigned(void *ctx, struct ike_sa *sa, const struct ike_cp *reply)
{
	keeper_address(world_of(ctx)->t.keeper, sa, reply);
}

static void on_sa_up(void *ctx, struct ike_sa *sa)
{
	struct world *w = world_of(ctx);
	keeper_sa_up(w->t.keeper, sa, w->now_us);
}

static void on_sa_down(void *ctx, struct ike_sa *sa, uint16_t notify, const char *why)
{
	struct world *w = world_of(ctx);
	keeper_sa_down(w->t.keeper, sa, notify, why, w->now_us);
}

static void on_sa_rekeyed(void *ctx, struct ike_sa *old, struct ike_sa *fresh)
{
	keeper_sa_rekeyed(world_of(ctx)->t.keeper, old, fresh);
}

static void on_sa_moved(void *ctx, struct ike_sa *sa, const struct ike_path *path)
{
	struct world *w = world_of(ctx);
	keeper_sa_moved(w->t.keeper, sa, path, w->now_us);
}

static uint16_t on_child_up(void *ctx, struct ike_child_up *up)
{
	struct world *w = world_of(ctx);
	return keeper_child_up(w->t.keeper, up, w->now_us);
}

static void on_child_switch(void *ctx, struct ike_child *child)
{
	keeper_child_switch(world_of(ctx)->t.keeper, child);
}

static void on_child_down(void *ctx, struct ike_child *child, const char *why)
{
	struct world *w = world_of(ctx);
	keeper_child_down(w->t.keeper, child, why, w->now_us);
}

static void on_child_failed(void *ctx, struct ike_sa *sa, void *user, uint16_t notify)
{
	struct world *w = world_of(ctx);
	keeper_child_failed(w->t.keeper, sa, user, notify, w->now_us);
}

static uint8_t on_addresses(void *ctx, const struct ike_sa *sa, struct addr *out, uint8_t room)
{
	return keeper_addresses(world_of(ctx)->t.keeper, sa, out, room);
}

static usec_t on_heard(void *ctx, struct ike_sa *sa)
{
	(void)ctx;
	return joint_heard_us(sa);
}

/* --- begin and end */

static void configure(const struct world *w, struct keeper_config *kc)
{
	const struct config *cfg = w->t.cfg;
	*kc = (struct keeper_config){.peer = &cfg->terminals->peer->peer,
				     .replay_packets = 1024,
				     .lifetime_s = w->cfg.lifetime_s,
				     .spares = w->cfg.spares,
				     .connections_max = CONNECTIONS_MAX};
	(void)snprintf(kc->terminal, sizeof(kc->terminal), "alice");
	for (const struct config_place *p = cfg->terminals->places; p; p = p->next) {
		struct keeper_place *to = &kc->places[kc->place_count++];
		memcpy(to->name, p->name, sizeof(to->name));
		memcpy(to->interface, p->interface, sizeof(to->interface));
		to->preference = (int)p->preference;
	}
}

static void servers_tell(struct world *w)
{
	struct endpoint list[3];
	uint8_t count = 0;
	if (w->cfg.dead_server)
		list[count++] = (struct endpoint){.addr = {.family = 4, .b = {192, 0, 2, 99}},
						  .port = w->cfg.port};
	list[count] = server4;
	list[count++].port = w->cfg.port;
	list[count] = server6;
	list[count++].port = w->cfg.port;
	keeper_servers(w->t.keeper, list, count, w->now_us);
}

void terminal_start(struct world *w)
{
	/* No proposals, no find_peer: a terminal answers nobody who begins. */
	static const struct ike_ops engine = {.float_path = on_float_path,
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
	struct sim_terminal *t = &w->t;
	struct keeper_ops ops = {.joint = node_joint(&t->n),
				 .ctx = &t->n,
				 .way_open = on_way_open,
				 .way_close = on_way_close,
				 .assigned = on_assigned_homes,
				 .mover_make = on_mover_make,
				 .activate = on_activate_one,
				 .leaving = on_leaving};
	struct keeper_config kc;
	node_start(&t->n);
	t->active = NULL;
	t->set_count = 0;
	t->home = false;
	t->home_count = 0;
	t->care_of_count = 0;
	t->started_us = w->now_us;
	t->first_data_us = 0;
	for (unsigned i = 0; i < ARRAY_LEN(t->attached); i++)
		t->attached[i] = (struct attached){.outlet = -1};
	t->cfg = world_config_terminal(&w->cfg);
	configure(w, &kc);
	t->keeper = keeper_new(&kc, &ops, t->n.table, t->n.moves, &w->log);
	node_begin(&t->n, &t->cfg->ike->engine, &engine, &w->log);
	keeper_set_engine(t->keeper, t->n.engine);
	servers_tell(w);
	keeper_up(t->keeper, w->now_us);
	net_tell_care_ofs(w, w->cfg.attach_later ? world_below(w, 50000) : 0, "start");
}

/* What a crash leaves undone nobody hears of: what is said then is lost. */
void terminal_stop(struct world *w, bool told)
{
	struct sim_terminal *t = &w->t;
	struct link was[LINKS];
	if (!t->n.alive)
		return;
	memcpy(was, w->links, sizeof(was));
	for (int i = 0; i < LINKS && !told; i++)
		w->links[i].deaf_up = true;
	keeper_free(t->keeper, w->now_us);
	t->keeper = NULL;
	mover_free(t->mover);
	t->mover = NULL;
	node_end(&t->n);
	memcpy(w->links, was, sizeof(was));
}

void terminal_care_ofs(struct world *w, const char *cause)
{
	struct sim_terminal *t = &w->t;
	t->care_of_count = net_care_ofs(w, t->care_ofs);
	keeper_care_ofs(t->keeper, t->care_ofs, t->care_of_count, cause, w->now_us, w->now_us);
	t->n.tick_us = w->now_us;
}

usec_t terminal_tick(struct world *w)
{
	struct sim_terminal *t = &w->t;
	usec_t next = t->mover ? mover_tick(t->mover, w->now_us) : USEC_NEVER;
	usec_t ike = keeper_tick(t->keeper, w->now_us);
	return ike < next ? ike : next;
}

/* --- packets */

int terminal_link_of(const struct world *w, const struct conn *c)
{
	for (unsigned i = 0; i < ARRAY_LEN(w->t.attached); i++) {
		const struct attached *a = &w->t.attached[i];
		if (a->conn == c && a->outlet >= 0)
			return (int)w->t.outlets[a->outlet].ifindex - 1;
	}
	return -1;
}

void terminal_send_data(struct world *w)
{
	bool way = false;
	for (uint8_t i = 0; i < w->t.set_count; i++)
		way |= w->t.set[i]->out->path != NULL;
	if (!w->t.n.alive || !w->t.active || !way)
		return;
	if (!w->t.first_data_us)
		w->t.first_data_us = w->now_us;
	node_send_copies(&w->t.n, w->t.set, w->t.set_count);
}

void terminal_esp(struct world *w, struct conn *c, const struct esp *e, uint64_t number)
{
	struct sim_terminal *t = &w->t;
	switch (e->kind) {
	case ESP_DATA:
		node_delivered(&t->n, e);
		return;
	case ESP_REPLY:
		if (!t->mover)
			return;
		if (e->dst.family == 4)
			mover_reply4(t->mover, c, e->payload, e->len, false, number, w->now_us);
		else
			mover_reply6(t->mover, c, &e->src, &e->dst, e->payload, e->len, false,
				     number, w->now_us);
		break;
	case ESP_PROBE_REPLY:
		if (t->mover)
			mover_probe_reply(t->mover, c, e->probe, w->now_us);
		break;
	case ESP_REQUEST:
	case ESP_PROBE:
		break;
	}
	t->n.tick_us = w->now_us;
}
