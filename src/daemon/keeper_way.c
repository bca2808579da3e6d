/* SPDX-License-Identifier: MIT */
/*
 * Which way the keeper's IKE SA goes: the places that care-of addresses are in and their order,
 * the server's address that each can reach, and following the active connection.
 */
#include <limits.h>
#include <string.h>
#include "daemon/keeper_state.h"

#define TURN_US (4 * USEC_PER_SEC)

/* --- names and preferences */

static bool place_suits(const struct keeper_place *p, const struct care_of *at)
{
	if (p->interface[0] && strcmp(p->interface, at->interface) != 0)
		return false;
	return !p->has_network || (network_known(&at->network) &&
				   memcmp(&p->network, &at->network, sizeof p->network) == 0);
}

int keeper_preference(const struct keeper *k, const struct care_of *at, const char **name)
{
	const struct keeper_place *best = NULL;
	for (uint8_t i = 0; i < k->cfg.place_count; i++) {
		const struct keeper_place *p = &k->cfg.places[i];
		if (place_suits(p, at) && (!best || p->preference < best->preference))
			best = p;
	}
	if (name)
		*name = best ? best->name : at->interface;
	/* What no place names comes after all of them, in the order of its appearance. */
	return best ? best->preference : INT_MAX / 2;
}

/* --- ways for the IKE SA */

/* Of ours, the n-th in order of preference. */
static const struct care_of *care_of_at(const struct keeper *k, unsigned n)
{
	bool taken[MOVER_CARE_OFS_MAX] = {false};
	const struct care_of *best = NULL;
	for (unsigned round = 0; round <= n; round++) {
		size_t best_at = 0;
		best = NULL;
		for (size_t i = 0; i < k->care_of_count; i++) {
			const struct care_of *c = &k->care_ofs[i];
			if (taken[i] || addr_is_link_local(&c->addr))
				continue;
			if (best &&
			    keeper_preference(k, c, NULL) >= keeper_preference(k, best, NULL))
				continue;
			best = c;
			best_at = i;
		}
		if (!best)
			return NULL;
		taken[best_at] = true;
	}
	return best;
}

bool keeper_way_at(const struct keeper *k, unsigned n, struct care_of *at, struct endpoint *server)
{
	const struct care_of *c;
	for (unsigned i = 0; (c = care_of_at(k, i)); i++)
		for (uint8_t s = 0; s < k->server_count; s++) {
			if (k->servers[s].addr.family != c->addr.family || n--)
				continue;
			*at = *c;
			*server = k->servers[s];
			return true;
		}
	return false;
}

/* A connection that was heard at this care-of address. */
static const struct conn *heard_at(const struct line *l, const struct care_of *at)
{
	for (const struct tended *t = l->tended; t; t = t->next)
		if (t->conn->ifindex == at->ifindex &&
		    addr_equal(&t->conn->care_of.addr, &at->addr) && conn_heard_us(t->conn))
			return t->conn;
	return NULL;
}

/* The server's address that a care-of address reaches: the one where a connection was heard; the
 * one the line is with, when its family fits; another one of it otherwise.  What began on the IKE
 * port went on to the one for UDP encapsulation. */
bool keeper_server_for(const struct keeper *k, const struct care_of *at, struct endpoint *out)
{
	const struct line *l = k->line;
	const struct conn *heard = l && l->sojourn ? heard_at(l, at) : NULL;
	if (heard) {
		*out = heard->server;
		return true;
	}
	if (l && l->way.server.addr.family == at->addr.family) {
		*out = l->way.server;
		return true;
	}
	for (uint8_t s = 0; s < k->server_count; s++) {
		if (k->servers[s].addr.family != at->addr.family)
			continue;
		*out = k->servers[s];
		if (l && l->way.path.natt && out->port == IKE_PORT)
			out->port = IKE_PORT_NATT;
		return true;
	}
	return false;
}

static bool way_serves(const struct way *w, const struct care_of *at)
{
	return w->open && w->at.ifindex == at->ifindex && addr_equal(&w->at.addr, &at->addr);
}

/* Until a way is ready the IKE SA goes by the one before; and what is being answered goes back the
 * way it came. */
void keeper_way_take(struct keeper *k, struct line *l, const struct way *way)
{
	if (l->moving) {
		way_close(k, &l->way);
	} else {
		way_close(k, &l->left);
		l->left = l->way;
	}
	l->way = *way;
	l->moving = !way->ready;
}

void keeper_follow(struct keeper *k, const struct care_of *at, bool tell, usec_t now_us)
{
	struct line *l = k->line;
	struct endpoint server;
	struct way way;
	if (!l || !at || !keeper_server_for(k, at, &server))
		return;
	if (way_serves(&l->way, at) && (!l->sojourn || endpoint_equal(&l->way.server, &server)))
		return;
	if (!way_open(k, &way, at, &server))
		return;
	keeper_way_take(k, l, &way);
	if (way.ready)
		ike_sa_move(k->engine, l->sa, &l->way.path, tell, now_us);
}

static const struct care_of *care_of_of(const struct keeper *k, const struct conn *c)
{
	for (size_t i = 0; i < k->care_of_count && c; i++)
		if (k->care_ofs[i].ifindex == c->ifindex &&
		    addr_equal(&k->care_ofs[i].addr, &c->care_of.addr))
			return &k->care_ofs[i];
	return NULL;
}

/* Without an active connection (at home, say): the way it goes by, unless that is silent and
 * another one is known to work. */
static const struct care_of *care_of_idle(const struct keeper *k)
{
	const struct care_of *here = NULL, *other = NULL;
	bool silent = false;
	for (size_t i = 0; i < k->care_of_count; i++)
		if (way_serves(&k->line->way, &k->care_ofs[i]))
			here = &k->care_ofs[i];
	for (const struct tended *t = k->line->tended; t; t = t->next) {
		const struct care_of *at = care_of_of(k, t->conn);
		silent |= at && at == here && t->conn->state == CONN_STALE;
		if (at && at != here && t->conn->state == CONN_READY)
			other = at;
	}
	return here && !(silent && other) ? here : other ? other : care_of_at(k, 0);
}

/* To the active connection's care-of address, else to the best there is. */
void keeper_follow_binding(struct keeper *k, usec_t now_us)
{
	struct line *l = k->line;
	if (!l || !l->sojourn)
		return;
	const struct conn *active = k->mover ? mover_active(k->mover) : NULL;
	const struct care_of *at = care_of_of(k, active);
	struct care_of was = l->way.at;
	keeper_follow(k, at ? at : care_of_idle(k), false, now_us);
	/* No packet says where we are, unless one does in a moment. */
	if (!active && !l->moving && !way_serves(&l->way, &was))
		l->tell_us = now_us + TELL_WAIT_US;
}

/* The one after it of its family; false: there is no other. */
static bool server_next(const struct keeper *k, const struct endpoint *server, struct endpoint *out)
{
	uint8_t at = 0;
	while (at < k->server_count && !addr_equal(&k->servers[at].addr, &server->addr))
		at++;
	for (uint8_t i = 1; i < k->server_count; i++) {
		const struct endpoint *s = &k->servers[(at + i) % k->server_count];
		if (s->addr.family != server->addr.family)
			continue;
		*out = *s;
		if (k->line->way.path.natt && out->port == IKE_PORT)
			out->port = IKE_PORT_NATT;
		return true;
	}
	return false;
}

void keeper_servers_turn(struct keeper *k, usec_t now_us)
{
	char server[ENDPOINT_TEXT_MAX];
	for (struct tended *t = k->line->tended; t; t = t->next) {
		struct conn *c = t->conn;
		const struct path *p = rcu_dereference(c->out->path);
		struct endpoint next;
		if (!p || !c->ifindex || conn_heard_us(c)) {
			t->turn_us = 0;
			continue;
		}
		if (!t->turn_us)
			t->turn_us = now_us + TURN_US;
		if (now_us < t->turn_us || !server_next(k, &c->server, &next))
			continue;
		t->turn_us = now_us + TURN_US;
		log_info(k->log, "keeper: not heard, another address connection=%s server=%s",
			 c->name, endpoint_format(&next, server));
		struct ike_path path = {
		    .local = p->local, .remote = next, .sock = p->sock, .natt = true};
		conn_set_pair(k->table, c, &c->care_of, &next);
		k->ops.joint.conn_path(k->ops.joint.ctx, c, &path);
	}
}

/* The IKE SA went on from the IKE port to the one for UDP encapsulation (RFC 7296 2.23). */
void keeper_way_float(struct keeper *k, struct line *l)
{
	const struct ike_path *path = ike_sa_path(l->sa);
	struct endpoint server = l->way.server;
	struct way way;
	server.port = path->remote.port;
	if (endpoint_equal(&server, &l->way.server) || !way_open(k, &way, &l->way.at, &server))
		return;
	way.path = *path;
	way.ready = true;
	way_close(k, &l->way);
	l->way = way;
}
