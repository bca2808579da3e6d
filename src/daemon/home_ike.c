/* SPDX-License-Identifier: MIT */
/*
 * The home server's IKEv2: the steward joined to the engine, the node's tables and the sockets.
 */
#include <string.h>
#include "daemon/home_state.h"
#include "daemon/node_engine.h"

static struct steward *steward_of(void *ctx)
{
	return home_of(ctx)->steward;
}

/* --- what the steward asks for */

static uint64_t op_wall_us(void *ctx)
{
	(void)ctx;
	return clock_wall_us();
}

static void op_leaving(void *ctx, struct conn *c)
{
	home_place_forget(ctx, c);
	home_leave_begin(ctx, c->peer->owner);
	home_leave_end(ctx);
}

/* IKE goes where encapsulated packets go: the same ports, the same NAT. */
static bool op_follow_path(void *ctx, const struct conn *c, struct ike_path *out)
{
	const struct path *p = rcu_dereference(c->out->path);
	(void)ctx;
	if (!p || !c->udp)
		return false;
	*out = (struct ike_path){
	    .local = p->local, .remote = p->remote, .sock = p->sock, .natt = true};
	return true;
}

static int op_sock(struct node *n, const struct conn *c, const struct ike_path *path)
{
	if (c->udp && path->sock < NODE_IKE_PLAIN)
		return (int)path->sock;
	return home_listen_sock(n, &path->local.addr, c->udp ? LISTEN_UDP : LISTEN_ESP);
}

/* --- from the engine */

static const struct ike_peer *on_find_peer(void *ctx, const struct identity *idi,
					   const struct identity *idr, bool eap,
					   const struct ike_path *path)
{
	(void)path;
	return steward_find_peer(steward_of(ctx), idi, idr, eap);
}

static const struct suite_list *on_proposals(void *ctx, const struct ike_path *path)
{
	(void)path;
	return steward_proposals(steward_of(ctx));
}

static size_t on_authorities(void *ctx, const struct ike_path *path, uint8_t *out, size_t room)
{
	(void)path;
	return steward_authorities(steward_of(ctx), out, room);
}

static const struct ike_peer *on_find_eap(void *ctx, const struct ike_peer *generic,
					  const char *user, const char **password)
{
	return steward_find_eap(steward_of(ctx), generic, user, password);
}

static uint16_t on_assign(void *ctx, struct ike_sa *sa, const struct ike_cp *request,
			  struct ike_cp *reply)
{
	return steward_assign(steward_of(ctx), sa, request, reply);
}

static void on_sa_up(void *ctx, struct ike_sa *sa)
{
	steward_sa_up(steward_of(ctx), sa, clock_now_us());
}

static void on_sa_down(void *ctx, struct ike_sa *sa, uint16_t notify, const char *why)
{
	(void)notify; /* the engine has logged it */
	steward_sa_down(steward_of(ctx), sa, why, clock_now_us());
}

static void on_sa_rekeyed(void *ctx, struct ike_sa *old, struct ike_sa *fresh)
{
	steward_sa_rekeyed(steward_of(ctx), old, fresh);
}

static void on_sa_moved(void *ctx, struct ike_sa *sa, const struct ike_path *path)
{
	steward_sa_moved(steward_of(ctx), sa, path, clock_now_us());
}

static uint16_t on_child_up(void *ctx, struct ike_child_up *up)
{
	return steward_child_up(steward_of(ctx), up, clock_now_us());
}

static void on_child_switch(void *ctx, struct ike_child *child)
{
	steward_child_switch(steward_of(ctx), child);
}

static void on_child_down(void *ctx, struct ike_child *child, const char *why)
{
	steward_child_down(steward_of(ctx), child, why, clock_now_us());
}

/* A home server asks for no child SA but to rekey one, and that one goes on. */
static void on_child_failed(void *ctx, struct ike_sa *sa, void *user, uint16_t notify)
{
	(void)ctx;
	(void)sa;
	(void)user;
	(void)notify;
}

static uint8_t on_addresses(void *ctx, const struct ike_sa *sa, struct addr *out, uint8_t room)
{
	const struct node *n = ctx;
	const struct addr *at = &ike_sa_path(sa)->local.addr;
	uint8_t count = 0;
	for (uint8_t i = 0; i < n->cfg->listen_count && count < room; i++) {
		const struct addr *a = &n->cfg->listen[i];
		if (!addr_equal(a, at) && !addr_is_any(a) && !addr_is_link_local(a))
			out[count++] = *a;
	}
	return count;
}

static usec_t on_heard(void *ctx, struct ike_sa *sa)
{
	(void)ctx;
	return joint_heard_us(sa);
}

/* --- begin, end, wishes */

void home_ike_start(struct node *n)
{
	struct home *h = home_of(n);
	static const struct ike_ops engine = {.find_peer = on_find_peer,
					      .proposals = on_proposals,
					      .authorities = on_authorities,
					      .find_eap = on_find_eap,
					      .assign = on_assign,
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
	h->joint = (struct node_joint){.n = n, .sock = op_sock};
	struct steward_ops ops = {.ctx = n,
				  .joint = node_joint_ops(&h->joint),
				  .wall_us = op_wall_us,
				  .leaving = op_leaving,
				  .follow_path = op_follow_path};
	h->steward = steward_new(&ops, h->registrar, n->table, n->log);
	steward_extend(h->steward, n->cfg, clock_now_us());
	node_engine_start(n, &n->cfg->ike->engine, &engine);
	steward_set_engine(h->steward, node_engine_ike(n));
}

void home_ike_stop(struct node *n)
{
	struct home *h = home_of(n);
	steward_free(h->steward, clock_now_us());
	h->steward = NULL;
}

json_t *home_ike_command(struct node *n, const char *command, const json_t *request)
{
	const char *name = json_string_value(json_object_get(request, "name"));
	struct steward *s = home_of(n)->steward;
	if (!strcmp(command, "up"))
		return json_pack("{s:s}", "error",
				 "up: a home server waits for its terminals: use it there");
	if (strcmp(command, "down") != 0)
		return NULL;
	if (!s)
		return json_pack("{s:s}", "error",
				 "IKEv2 is not configured: there is no section ike");
	if (!name)
		return json_pack("{s:s}", "error", "down: name a terminal; see `sojourn bindings`");
	unsigned count = steward_down(s, name, clock_now_us());
	if (!count)
		return json_pack("{s:s}", "error",
				 "down: no terminal of this name is up; see `sojourn bindings`");
	return json_pack("{s:b,s:i}", "ok", 1, "closing", (int)count);
}
