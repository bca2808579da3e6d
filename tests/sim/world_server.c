/* SPDX-License-Identifier: MIT */
/* The home server: registrar and steward, and what stands in for its sockets and routes
 * (src/daemon/home.c and its neighbours are the real ones). */
#include <stdlib.h>
#include <string.h>
#include "base/mem.h"
#include "daemon/home_terminal.h"
#include "wire/mip4.h"
#include "world.h"

#define STALE_US (60 * USEC_PER_SEC)

static struct world *world_of(void *ctx)
{
	return ((struct sim_node *)ctx)->w;
}

static uint64_t on_wall_us(void *ctx)
{
	return WALL_US + world_of(ctx)->now_us;
}

/* --- the registrar's */

static void reply(struct world *w, struct conn *conn, const struct addr *src,
		  const struct addr *dst, const uint8_t *msg, size_t len, bool hello)
{
	struct esp e = {.kind = ESP_REPLY, .src = *src, .dst = *dst, .len = (uint16_t)len};
	if (hello)
		world_fail(w, "a hello of the server's with keys that were exchanged");
	if (len > sizeof(e.payload)) {
		world_fail(w, "a reply of %zu octets", len);
		return;
	}
	memcpy(e.payload, msg, len);
	world_say(w, "server: reply code=%u %s", msg[dst->family == 4 ? 1 : 6], conn->name);
	node_send_esp(&w->s.n, conn, &e, w->s.arrived_on == conn ? &w->s.back : NULL);
}

static void on_reply4(void *ctx, struct conn *conn, const struct addr *src, const struct addr *dst,
		      uint16_t port, const uint8_t *msg, size_t len, bool hello)
{
	(void)port;
	reply(world_of(ctx), conn, src, dst, msg, len, hello);
}

static void on_reply6(void *ctx, struct conn *conn, const struct addr *src, const struct addr *dst,
		      const uint8_t *msg, size_t len, bool hello)
{
	reply(world_of(ctx), conn, src, dst, msg, len, hello);
}

static void on_binding(void *ctx, const struct binding *b)
{
	struct world *w = world_of(ctx);
	world_say(w, "server: binding family=%u to %s", b->home.family,
		  b->count ? b->conns[0]->name : "nothing");
	/* The role lets the IKE SA follow. */
	if (b->count && w->s.steward)
		steward_placed(w->s.steward, b->conns[0], w->now_us);
}

static void on_epoch_accepted(void *ctx, struct conn *conn, uint64_t number)
{
	(void)number;
	world_fail(world_of(ctx), "an epoch of the terminal's on %s", conn->name);
}

static uint32_t on_epoch_sent(void *ctx, struct conn *conn)
{
	(void)ctx;
	return (uint32_t)(atomic_load(&conn->out->space->next) >> 32);
}

/* --- the steward's */

static void on_leaving(void *ctx, struct conn *c)
{
	struct world *w = world_of(ctx);
	for (const struct binding *b = registrar_first(w->s.registrar); b; b = b->next)
		for (uint8_t i = 0; i < b->count; i++)
			if (b->conns[i] == c)
				world_fail(w, "%s leaves and is still bound", c->name);
	if (w->s.arrived_on == c)
		w->s.arrived_on = NULL;
}

static bool on_follow_path(void *ctx, const struct conn *c, struct ike_path *out)
{
	const struct path *path = c->out->path;
	(void)ctx;
	if (!path)
		return false;
	*out = (struct ike_path){.local = path->local, .remote = path->remote, .natt = true};
	return true;
}

/* --- from the engine */

static const struct ike_peer *on_find_peer(void *ctx, const struct identity *idi,
					   const struct identity *idr, bool eap,
					   const struct ike_path *path)
{
	(void)path;
	return steward_find_peer(world_of(ctx)->s.steward, idi, idr, eap);
}

static const struct suite_list *on_proposals(void *ctx, const struct ike_path *path)
{
	(void)path;
	return steward_proposals(world_of(ctx)->s.steward);
}

static uint16_t on_assign(void *ctx, struct ike_sa *sa, const struct ike_cp *request,
			  struct ike_cp *answer)
{
	return steward_assign(world_of(ctx)->s.steward, sa, request, answer);
}

static void on_sa_up(void *ctx, struct ike_sa *sa)
{
	struct world *w = world_of(ctx);
	steward_sa_up(w->s.steward, sa, w->now_us);
}

static void on_sa_down(void *ctx, struct ike_sa *sa, uint16_t notify, const char *why)
{
	struct world *w = world_of(ctx);
	(void)notify;
	steward_sa_down(w->s.steward, sa, why, w->now_us);
}

static void on_sa_rekeyed(void *ctx, struct ike_sa *old, struct ike_sa *fresh)
{
	steward_sa_rekeyed(world_of(ctx)->s.steward, old, fresh);
}

static void on_sa_moved(void *ctx, struct ike_sa *sa, const struct ike_path *path)
{
	struct world *w = world_of(ctx);
	steward_sa_moved(w->s.steward, sa, path, w->now_us);
}

static uint16_t on_child_up(void *ctx, struct ike_child_up *up)
{
	struct world *w = world_of(ctx);
	return steward_child_up(w->s.steward, up, w->now_us);
}

static void on_child_switch(void *ctx, struct ike_child *child)
{
	steward_child_switch(world_of(ctx)->s.steward, child);
}

static void on_child_down(void *ctx, struct ike_child *child, const char *why)
{
	struct world *w = world_of(ctx);
	steward_child_down(w->s.steward, child, why, w->now_us);
}

static void on_child_failed(void *ctx, struct ike_sa *sa, void *user, uint16_t notify)
{
	(void)ctx;
	(void)sa;
	(void)user;
	(void)notify;
}

static usec_t on_heard(void *ctx, struct ike_sa *sa)
{
	(void)ctx;
	return joint_heard_us(sa);
}

/* --- begin and end */

static void registrar_begin(struct world *w)
{
	struct sim_server *s = &w->s;
	const struct config_terminal *ct = s->cfg->terminals;
	struct registrar_ops ops = {.ctx = &s->n,
				    .send_reply4 = on_reply4,
				    .send_reply6 = on_reply6,
				    .binding_changed = on_binding,
				    .epoch_accepted = on_epoch_accepted,
				    .epoch_sent = on_epoch_sent};
	s->registrar = registrar_new(&ops, s->cfg->home_agents, s->cfg->home_agent_count,
				     s->n.table, s->n.moves, &w->log);
	if (!ct->home_count)
		return;
	struct registrar_terminal *rt =
	    home_terminal_new(ct, ct->name, ct->homes, ct->home_count, WALL_US + w->now_us);
	if (registrar_add(s->registrar, rt) != 0)
		world_fail(w, "registrar_add");
}

void server_start(struct world *w)
{
	static const struct ike_ops engine = {.find_peer = on_find_peer,
					      .proposals = on_proposals,
					      .assign = on_assign,
					      .sa_up = on_sa_up,
					      .sa_down = on_sa_down,
					      .sa_rekeyed = on_sa_rekeyed,
					      .sa_moved = on_sa_moved,
					      .child_up = on_child_up,
					      .child_switch = on_child_switch,
					      .child_down = on_child_down,
					      .child_failed = on_child_failed,
					      .heard_us = on_heard};
	struct sim_server *s = &w->s;
	struct steward_ops ops = {.joint = node_joint(&s->n),
				  .ctx = &s->n,
				  .wall_us = on_wall_us,
				  .leaving = on_leaving,
				  .follow_path = on_follow_path};
	node_start(&s->n);
	s->arrived_on = NULL;
	s->accepted_id = s->accepted_key = 0;
	s->began_us = w->now_us;
	s->cfg = world_config_server(&w->cfg);
	registrar_begin(w);
	s->steward = steward_new(&ops, s->registrar, s->n.table, &w->log);
	steward_prune(s->steward, NULL, s->cfg, w->now_us);
	steward_extend(s->steward, s->cfg, w->now_us);
	node_begin(&s->n, &s->cfg->ike->engine, &engine, &w->log);
	steward_set_engine(s->steward, s->n.engine);
}

void server_stop(struct world *w, bool told)
{
	struct sim_server *s = &w->s;
	struct link was[LINKS];
	if (!s->n.alive)
		return;
	memcpy(was, w->links, sizeof(was));
	for (int i = 0; i < LINKS && !told; i++)
		w->links[i].deaf_down = true;
	steward_free(s->steward, w->now_us);
	s->steward = NULL;
	for (const struct binding *b = registrar_first(s->registrar); b; b = b->next)
		if (b->count)
			world_fail(w, "a binding outlives its connections");
	registrar_free(s->registrar);
	s->registrar = NULL;
	node_end(&s->n);
	memcpy(w->links, was, sizeof(was));
}

/* A terminal asks over each connection that it can use now and then. */
static void sweep(struct world *w)
{
	struct sim_server *s = &w->s;
	for (struct conn *c = conn_table_first(s->n.table); c; c = c->next) {
		bool silent = conn_heard_us(c) + STALE_US < w->now_us;
		if (c->state == CONN_READY && silent)
			conn_set_state(s->n.table, c, CONN_STALE, w->now_us);
		else if ((c->state == CONN_STALE && !silent) ||
			 (c->state == CONN_FORMING && conn_heard_us(c) && c->out->path))
			conn_set_state(s->n.table, c, CONN_READY, w->now_us);
	}
}

usec_t server_tick(struct world *w)
{
	usec_t next = registrar_tick(w->s.registrar, w->now_us);
	sweep(w);
	return next < w->now_us + USEC_PER_SEC ? next : w->now_us + USEC_PER_SEC;
}

/* --- packets */

/* The newest packet says where the terminal is. */
static void learn(struct world *w, struct conn *c, const struct sa *in, const struct datagram *d)
{
	struct sim_server *s = &w->s;
	const struct path *old = c->out->path;
	if (in != c->in && atomic_load(&c->in->packets) > 0)
		return; /* the rest of an SA that was rekeyed */
	if (old && endpoint_equal(&old->remote, &d->src))
		return;
	world_say(w, "server: %s is at port %u", c->name, d->src.port);
	node_set_path(c, &s->back);
	conn_set_pair(s->n.table, c, &d->src, &c->server);
	if (c->state == CONN_FORMING || c->state == CONN_STALE)
		conn_set_state(s->n.table, c, CONN_READY, w->now_us);
	steward_placed(s->steward, c, w->now_us);
}

static void request(struct world *w, struct conn *c, const struct esp *e, uint64_t number)
{
	struct sim_server *s = &w->s;
	struct registrar_arrival a = {.conn = c,
				      .src = e->src,
				      .dst = e->dst,
				      .number = number,
				      .now_us = w->now_us,
				      .wall_us = WALL_US + w->now_us};
	uint64_t before = registrar_counters(s->registrar)->accepted;
	if (e->src.family == 6) {
		registrar_request6(s->registrar, &a, e->payload, e->len);
		return;
	}
	registrar_request4(s->registrar, &a, MIP4_PORT, e->payload, e->len);
	struct mip4_request m;
	if (registrar_counters(s->registrar)->accepted == before ||
	    mip4_read_request(e->payload, e->len, &m) != MIP4_OK)
		return;
	const struct registrar_terminal *rt = c->peer->owner;
	uint64_t key = hash_bytes(0, rt->mn_ha_key, rt->mn_ha_key_len);
	if (key == s->accepted_key && m.identification <= s->accepted_id)
		world_fail(w, "an identification was accepted twice");
	s->accepted_id = m.identification;
	s->accepted_key = key;
}

void server_copy(struct world *w, struct conn *c, const struct sa *in, const struct datagram *d)
{
	w->s.back = (struct path){.local = d->dst, .remote = d->src, .mtu = 1500};
	learn(w, c, in, d);
}

void server_esp(struct world *w, struct conn *c, const struct sa *in, const struct datagram *d,
		uint64_t number, bool newest)
{
	struct sim_server *s = &w->s;
	s->arrived_on = c;
	s->back = (struct path){.local = d->dst, .remote = d->src, .mtu = 1500};
	if (newest)
		learn(w, c, in, d);
	switch (d->esp.kind) {
	case ESP_DATA:
		if (!c->peer->strict || atomic_load(&in->active)) {
			node_delivered(&s->n, &d->esp);
		}
		s->arrived_on = NULL;
		return;
	case ESP_REQUEST:
		request(w, c, &d->esp, number);
		break;
	case ESP_PROBE: {
		struct esp e = {.kind = ESP_PROBE_REPLY, .probe = d->esp.probe};
		node_send_esp(&s->n, c, &e, &s->back);
		break;
	}
	case ESP_REPLY:
	case ESP_PROBE_REPLY:
		break;
	}
	s->arrived_on = NULL;
	s->n.tick_us = w->now_us;
}

void server_send_data(struct world *w)
{
	if (!w->s.n.alive)
		return;
	for (const struct binding *b = registrar_first(w->s.registrar); b; b = b->next)
		if (b->count) {
			node_send_copies(&w->s.n, b->conns, b->count);
			return;
		}
}
