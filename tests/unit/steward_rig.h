/* SPDX-License-Identifier: MIT */
/*
 * A home server's steward with a real configuration, engine, registrar and tables (b), and clients
 * that are IKE SAs of one engine (a): ike_rig.h has the wire between them.
 *
 *   client i: 192.0.2.(10 + i)  <--- wire --->  198.51.100.1, steward
 */
#ifndef STEWARD_RIG_H
#define STEWARD_RIG_H

#include "config_rig.h"
#include "ike_rig.h"
#include "no_io.h"
#include "daemon/home_terminal.h"
#include "daemon/node_joint.h"
#include "daemon/steward.h"

#ifndef CLIENTS_MAX
#define CLIENTS_MAX 12
#endif

struct client {
	struct ike_peer peer;
	struct ike_sa *sa;
};

struct world {
	struct rig *g;
	struct node node; /* as much of it as node_joint.c needs */
	struct node_joint joint;
	struct registrar *registrar;
	struct steward *s;
	struct config *cfg;
	unsigned leaving, changes;
	struct ike_path followed;
	struct client clients[CLIENTS_MAX];
	unsigned client_count;
};

static struct world *w;

/* --- the node, without packets */

static void on_out_changed(struct node *n, struct conn *c)
{
	(void)n;
	(void)c;
	w->changes++;
}

static const struct role test_role = {.out_changed = on_out_changed};

static void retire(void *ctx, struct sa *sa)
{
	fwd_retire(((struct node *)ctx)->fwd, sa);
}

static void settle_memory(void)
{
	fwd_run_commands(fwd_worker(w->node.fwd, 0), clock_now_us());
	rcu_barrier();
}

static int on_sock(struct node *n, const struct conn *c, const struct ike_path *path)
{
	(void)n;
	(void)path;
	return c->udp ? 1 : 2;
}

/* --- the registrar and the steward */

static void on_binding(void *ctx, const struct binding *b)
{
	(void)ctx;
	(void)b;
}

static uint64_t on_wall(void *ctx)
{
	(void)ctx;
	return RIG_WALL + w->g->now_us;
}

/* What home.c says here: nothing of a binding names it. */
static void on_leaving(void *ctx, struct conn *c)
{
	(void)ctx;
	for (const struct binding *b = registrar_first(w->registrar); b; b = b->next)
		for (uint8_t i = 0; i < b->count; i++)
			assert_ptr_not_equal(b->conns[i], c);
	w->leaving++;
}

static bool on_follow(void *ctx, const struct conn *c, struct ike_path *out)
{
	(void)ctx;
	*out = (struct ike_path){.local = c->server, .remote = c->care_of, .sock = 1, .natt = true};
	w->followed = *out;
	return true;
}

static const struct ike_peer *b_find_peer(void *ctx, const struct identity *idi,
					  const struct identity *idr, bool eap,
					  const struct ike_path *path)
{
	(void)ctx;
	(void)path;
	return steward_find_peer(w->s, idi, idr, eap);
}

static const struct suite_list *b_proposals(void *ctx, const struct ike_path *path)
{
	(void)ctx;
	(void)path;
	return steward_proposals(w->s);
}

static uint16_t b_assign(void *ctx, struct ike_sa *sa, const struct ike_cp *request,
			 struct ike_cp *reply)
{
	(void)ctx;
	return steward_assign(w->s, sa, request, reply);
}

static void b_sa_up(void *ctx, struct ike_sa *sa)
{
	struct rig_node *n = ctx;
	n->ups++;
	n->sa = sa;
	steward_sa_up(w->s, sa, w->g->now_us);
}

static void b_sa_down(void *ctx, struct ike_sa *sa, uint16_t notify, const char *why)
{
	struct rig_node *n = ctx;
	(void)notify;
	n->downs++;
	steward_sa_down(w->s, sa, why, w->g->now_us);
}

static void b_sa_rekeyed(void *ctx, struct ike_sa *old, struct ike_sa *fresh)
{
	struct rig_node *n = ctx;
	n->rekeys++;
	steward_sa_rekeyed(w->s, old, fresh);
}

static void b_sa_moved(void *ctx, struct ike_sa *sa, const struct ike_path *path)
{
	struct rig_node *n = ctx;
	n->moves++;
	steward_sa_moved(w->s, sa, path, w->g->now_us);
}

static uint16_t b_child_up(void *ctx, struct ike_child_up *up)
{
	(void)ctx;
	return steward_child_up(w->s, up, w->g->now_us);
}

static void b_child_switch(void *ctx, struct ike_child *child)
{
	struct rig_node *n = ctx;
	n->switches++;
	steward_child_switch(w->s, child);
}

static void b_child_down(void *ctx, struct ike_child *child, const char *why)
{
	struct rig_node *n = ctx;
	n->child_downs++;
	steward_child_down(w->s, child, why, w->g->now_us);
}

static usec_t b_heard(void *ctx, struct ike_sa *sa)
{
	(void)ctx;
	return joint_heard_us(sa);
}

/* A client's IKE SA: which it is, engine a says by its peer. */
static void a_sa_up(void *ctx, struct ike_sa *sa)
{
	struct client *c = ike_sa_peer(sa)->owner;
	rig_on_sa_up(ctx, sa);
	c->sa = sa;
}

static void a_sa_down(void *ctx, struct ike_sa *sa, uint16_t notify, const char *why)
{
	struct client *c = ike_sa_peer(sa)->owner;
	rig_on_sa_down(ctx, sa, notify, why);
	if (c->sa == sa)
		c->sa = NULL;
}

static void a_sa_rekeyed(void *ctx, struct ike_sa *old, struct ike_sa *fresh)
{
	struct client *c = ike_sa_peer(fresh)->owner;
	rig_on_sa_rekeyed(ctx, old, fresh);
	if (c->sa == old)
		c->sa = fresh;
}

/* --- the world */

static void node_begin(struct node *n, const struct log *log)
{
	struct err err = {""};
	struct fwd_config fc = {.io = no_io};
	n->role = &test_role;
	n->cfg = w->cfg;
	n->log = log;
	n->sadb = fc.sadb = sadb_new();
	n->moves = moves_new();
	n->table = conn_table_new(NULL, NULL);
	conn_table_set_retire(n->table, retire, n);
	n->fwd = fwd_new(&fc, &err);
	assert_non_null(n->fwd);
}

static void registrar_begin(const struct log *log)
{
	struct registrar_ops ops = {.binding_changed = on_binding};
	w->registrar = registrar_new(&ops, w->cfg->home_agents, w->cfg->home_agent_count,
				     w->node.table, w->node.moves, log);
}

/* As home.c does: terminals with addresses of their own are there whether they are up or not. */
static void terminals_make(void)
{
	for (const struct config_terminal *t = w->cfg->terminals; t; t = t->next) {
		if (!t->home_count || registrar_find(w->registrar, t->name))
			continue;
		struct registrar_terminal *rt =
		    home_terminal_new(t, t->name, t->homes, t->home_count, 0);
		assert_int_equal(registrar_add(w->registrar, rt), 0);
	}
}

static void world_begin(const char *config)
{
	struct rig *g = rig_new();
	w = mem_zalloc(sizeof *w);
	w->g = g;
	w->cfg = load_good(config);
	node_begin(&w->node, &g->log);
	registrar_begin(&g->log);
	w->joint = (struct node_joint){.n = &w->node, .sock = on_sock};
	struct steward_ops ops = {.joint = node_joint_ops(&w->joint),
				  .wall_us = on_wall,
				  .leaving = on_leaving,
				  .follow_path = on_follow};
	w->s = steward_new(&ops, w->registrar, w->node.table, &g->log);
	terminals_make();
	steward_extend(w->s, w->cfg, g->now_us);
	g->a.ops.sa_up = a_sa_up;
	g->a.ops.sa_down = a_sa_down;
	g->a.ops.sa_rekeyed = a_sa_rekeyed;
	g->b.ops.find_peer = b_find_peer;
	g->b.ops.proposals = b_proposals;
	g->b.ops.assign = b_assign;
	g->b.ops.sa_up = b_sa_up;
	g->b.ops.sa_down = b_sa_down;
	g->b.ops.sa_rekeyed = b_sa_rekeyed;
	g->b.ops.sa_moved = b_sa_moved;
	g->b.ops.child_up = b_child_up;
	g->b.ops.child_switch = b_child_switch;
	g->b.ops.child_down = b_child_down;
	g->b.ops.heard_us = b_heard;
	rig_start(g);
	steward_set_engine(w->s, g->b.e);
}

static void world_end(void)
{
	struct rig *g = w->g;
	steward_free(w->s, g->now_us);
	assert_null(conn_table_first(w->node.table));
	registrar_free(w->registrar);
	for (unsigned i = 0; i < w->client_count; i++) {
		free((void *)(uintptr_t)w->clients[i].peer.local_id);
		free((void *)(uintptr_t)w->clients[i].peer.remote_id);
	}
	rig_free(g);
	settle_memory();
	conn_table_free(w->node.table);
	fwd_free(w->node.fwd);
	rcu_barrier();
	sadb_free(w->node.sadb);
	moves_free(w->node.moves);
	config_free(w->cfg);
	free(w);
	w = NULL;
}

/* Somebody with this identity and the shared secret. */
static struct client *client_new(const char *id, bool sojourn)
{
	struct client *c = &w->clients[w->client_count++];
	assert_true(w->client_count <= CLIENTS_MAX);
	rig_peer(&c->peer, id, "vpn.example.org");
	c->peer.psk = (const uint8_t *)SECRET;
	c->peer.psk_len = strlen(SECRET);
	c->peer.sojourn = sojourn;
	c->peer.mobike = true;
	c->peer.request_addresses = true;
	c->peer.owner = c;
	return c;
}

static struct ike_path client_path(const struct client *c, bool natt)
{
	struct ike_path path = rig_path(natt);
	path.local.addr.b[3] = (uint8_t)(10 + (c - w->clients));
	return path;
}

/* An IKE SA with its first child; until everything is quiet. */
static bool client_up(struct client *c, const struct ike_sj_connection *connection)
{
	struct ike_path path = client_path(c, false);
	unsigned ups = w->g->a.ups;
	assert_non_null(ike_initiate(w->g->a.e, &c->peer, &path, connection, NULL, w->g->now_us));
	rig_settle(w->g);
	return w->g->a.ups > ups && c->sa;
}

static struct rig_child *client_child(void)
{
	struct rig_child *child = rig_last(&w->g->a);
	assert_non_null(child);
	return child;
}

static bool client_add(struct client *c, const struct ike_sj_connection *connection)
{
	unsigned failures = w->g->a.failures;
	assert_int_equal(ike_child_create(w->g->a.e, c->sa, connection, NULL, w->g->now_us), 0);
	rig_settle(w->g);
	return w->g->a.failures == failures;
}

static struct ike_sj_connection conn_wish(const char *name, bool spare, bool reg)
{
	struct ike_sj_connection c = {.spare = spare, .reg = reg, .lifetime_s = 300};
	snprintf(c.name, sizeof c.name, "%s", name);
	return c;
}

/* The connection on the server of a client's child. */
static struct conn *conn_at(const struct rig_child *child)
{
	struct conn *c = conn_find_spi(w->node.table, child->spi_out);
	assert_non_null(c);
	return c;
}

static const struct binding *binding_of(const char *home)
{
	struct addr a = ip(home);
	for (const struct binding *b = registrar_first(w->registrar); b; b = b->next)
		if (addr_equal(&b->home, &a))
			return b;
	return NULL;
}

/* What the last client got. */
static struct addr assigned_address(uint16_t attr)
{
	const struct ike_cp *cp = &w->g->a.assigned;
	for (uint8_t i = 0; i < cp->count; i++)
		if (cp->at[i].attr == attr)
			return addr_from_bytes(cp->at[i].len == 4 ? 4 : 6, cp->at[i].value);
	return (struct addr){0};
}

#endif
