/* SPDX-License-Identifier: MIT */
#include "daemon/node_joint.h"

#include <errno.h>
#include "base/mem.h"

static struct peer *op_peer_new(void *ctx, const struct joint_peer *p)
{
	(void)ctx;
	struct node_peer_config cfg = {.prefixes = p->prefixes,
				       .prefix_count = p->prefix_count,
				       .replay_packets = p->replay_packets,
				       .strict = p->strict,
				       .implied = p->implied,
				       .is_home_server = p->is_home_server};
	struct peer *peer = node_peer_make(&cfg);
	peer->owner = p->owner;
	return peer;
}

static void op_peer_retire(void *ctx, struct peer *peer)
{
	const struct node_joint *j = ctx;
	node_peer_retire(j->n, peer);
}

/* Of transport mode: the terminal's home address and the home agent's, of the family that is
 * outside.  Those of the peer are the terminal's on either side. */
static struct addr fixed_home(const struct peer *peer, uint8_t family)
{
	for (unsigned i = 0; i < peer->prefix_count; i++) {
		const struct prefix *p = &peer->prefixes[i];
		if (p->addr.family == family && p->len == addr_len(&p->addr) * 8)
			return p->addr;
	}
	return (struct addr){0};
}

static struct addr fixed_agent(const struct node *n, const struct ike_child_up *up, uint8_t family)
{
	const struct ike_sj_registered *told =
	    n->cfg->role == ROLE_TERMINAL ? up->registered : NULL;
	for (unsigned i = 0; i < n->cfg->home_agent_count; i++)
		if (n->cfg->home_agents[i].family == family)
			return n->cfg->home_agents[i];
	if (told)
		return family == 4 ? told->home_agent4 : told->home_agent6;
	return (struct addr){0};
}

static struct node_made made_of(const struct node *n, const struct ike_child_up *up,
				const struct peer *peer)
{
	const struct config_peer *cfg =
	    caa_container_of(ike_sa_peer(up->sa), struct config_peer, peer);
	struct node_made made = {.up = up,
				 .replay_packets = peer->space.window.packets,
				 .rekey_packets = cfg->rekey_packets,
				 .rekey_bytes = cfg->rekey_bytes};
	if (!up->transport)
		return made;
	uint8_t family = ike_sa_path(up->sa)->remote.addr.family;
	struct addr home = fixed_home(peer, family), agent = fixed_agent(n, up, family);
	bool server = n->cfg->role == ROLE_HOME_SERVER;
	made.fixed_local = server ? agent : home;
	made.fixed_remote = server ? home : agent;
	return made;
}

static struct conn *op_conn_make(void *ctx, const struct ike_child_up *up, const char *name,
				 struct peer *peer, void *owner)
{
	const struct node_joint *j = ctx;
	struct err err = {""};
	struct node_made made = made_of(j->n, up, peer);
	made.name = name;
	made.peer = peer;
	made.owner = owner;
	struct conn *c = node_conn_new(j->n, &made, &err);
	if (!c)
		log_error(j->n->log, "node: %s", err.text);
	return c;
}

static int op_conn_rekey(void *ctx, struct conn *c, const struct ike_child_up *up)
{
	const struct node_joint *j = ctx;
	struct err err = {""};
	struct node_made made = made_of(j->n, up, c->peer);
	if (c->out->pair) { /* whatever it moved to meanwhile */
		made.fixed_local = c->out->pair->local;
		made.fixed_remote = c->out->pair->remote;
	}
	if (node_conn_rekey(j->n, c, &made, &err) == 0)
		return 0;
	log_error(j->n->log, "node: %s", err.text);
	return -EINVAL;
}

static void op_conn_switch(void *ctx, struct conn *c, uint32_t spi_in)
{
	const struct node_joint *j = ctx;
	node_conn_use(j->n, c, spi_in);
}

static void op_conn_drop(void *ctx, struct conn *c, uint32_t spi_in)
{
	const struct node_joint *j = ctx;
	(void)node_conn_drop(j->n, c, spi_in);
}

static void op_conn_remove(void *ctx, struct conn *c)
{
	const struct node_joint *j = ctx;
	node_conn_remove(j->n, c);
}

static void op_conn_path(void *ctx, struct conn *c, const struct ike_path *p)
{
	const struct node_joint *j = ctx;
	int sock = -1;
	if (p && j->sock)
		sock = j->sock(j->n, c, p);
	else if (p && c->udp && p->sock < NODE_IKE_PLAIN)
		sock = (int)p->sock;
	if (sock < 0) {
		node_conn_set_path(c, NULL);
		return;
	}
	struct path path = {.local = p->local,
			    .remote = p->remote,
			    .sock = (uint16_t)sock,
			    .mtu = (uint16_t)node_link_mtu(j->n, c)};
	if (!c->udp)
		path.local.port = path.remote.port = 0;
	node_conn_set_path(c, &path);
	c->place_proven = true; /* messages went there and back */
}

struct joint_ops node_joint_ops(struct node_joint *j)
{
	return (struct joint_ops){.ctx = j,
				  .peer_new = op_peer_new,
				  .peer_retire = op_peer_retire,
				  .conn_make = op_conn_make,
				  .conn_rekey = op_conn_rekey,
				  .conn_switch = op_conn_switch,
				  .conn_drop = op_conn_drop,
				  .conn_remove = op_conn_remove,
				  .conn_path = op_conn_path};
}
