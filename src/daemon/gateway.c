/* SPDX-License-Identifier: MIT */
/*
 * The terminal on a server of another make: one connection, which follows the best care-of
 * address by MOBIKE (RFC 4555 3.5).
 *
 * Packets go the new way at once, the update beside them.  When what was sent is not answered the
 * IKE SA asks, and when that stays unanswered the next way gets its turn, so that a path that is
 * up but carries nothing costs seconds, not minutes.  A server without MOBIKE cannot follow: a
 * new line is sought beside the old one.
 */
#include <stdio.h>
#include <string.h>
#include "daemon/keeper_state.h"

#define ASK_US	USEC_PER_SEC	   /* sent, and heard nothing since */
#define TURN_US (2 * USEC_PER_SEC) /* asked, and heard nothing since */
#define LOOK_US (250 * USEC_PER_MS)

static void path_take(struct keeper *k, struct line *l)
{
	struct conn *c = l->conn;
	if (!c || !l->way.ready)
		return;
	memcpy(c->interface, l->way.at.interface, sizeof c->interface);
	c->ifindex = l->way.at.ifindex;
	c->network = l->way.at.network;
	c->link_mtu = l->way.at.mtu;
	struct endpoint care_of = l->way.path.local, server = l->way.path.remote;
	if (!c->udp)
		care_of.port = server.port = 0;
	conn_set_pair(k->table, c, &care_of, &server);
	k->ops.joint.conn_path(k->ops.joint.ctx, c, &l->way.path);
	k->ops.activate(k->ops.ctx, c);
}

void gateway_child_up(struct keeper *k, struct tended *t, usec_t now_us)
{
	struct line *l = k->line;
	l->conn = t->conn;
	path_take(k, l);
	conn_set_active(l->conn, true);
	conn_set_state(k->table, l->conn, CONN_ACTIVE, now_us);
	struct move *mv =
	    moves_begin(k->moves, MOVE_START, k->cfg.terminal, "", l->conn->name, now_us, 0);
	snprintf(mv->why, sizeof mv->why, "set up with a server of another make");
	move_note(mv, now_us, MOVE_DONE, "set up");
	mv->done = true;
}

void gateway_gone(struct keeper *k, struct conn *c)
{
	struct line *l = k->line;
	if (l && l->conn == c)
		l->conn = NULL;
	/* The one of an older line leaves the newer one's in use. */
	k->ops.activate(k->ops.ctx, l ? l->conn : NULL);
}

static void move_to(struct keeper *k, const struct care_of *at, enum move_kind kind,
		    const char *why, usec_t now_us)
{
	struct line *l = k->line;
	char from[ADDR_TEXT_MAX], to[ADDR_TEXT_MAX];
	struct care_of was = l->way.at;
	keeper_follow(k, at, true, now_us);
	if (!addr_equal(&l->way.at.addr, &at->addr) || l->way.at.ifindex != at->ifindex)
		return;
	bool caused = k->cause_us && k->cause_us + ASK_US >= now_us;
	l->move = moves_begin(k->moves, kind, k->cfg.terminal, was.interface, at->interface,
			      caused ? k->cause_us : now_us, 0);
	snprintf(l->move->why, sizeof l->move->why, "%s", why);
	if (caused)
		move_note(l->move, k->cause_us, MOVE_LINK, "%s", k->cause);
	move_note(l->move, now_us, MOVE_SWITCH, "from %s to %s", addr_format(&was.addr, from),
		  addr_format(&at->addr, to));
	log_info(k->log, "keeper: moves from=%s to=%s interface=%s reason=\"%s\"", from, to,
		 at->interface, why);
	path_take(k, l);
}

void gateway_way_ready(struct keeper *k, usec_t now_us)
{
	(void)now_us;
	path_take(k, k->line);
}

/* Behind a NAT in UDP, elsewhere not. */
static bool encapsulation_follow(struct keeper *k, struct line *l)
{
	bool udp =
	    ike_sa_nat_here(l->sa) || ike_sa_nat_there(l->sa) || ike_sa_peer(l->sa)->force_udp;
	if (!l->conn || udp == l->conn->udp)
		return false;
	/* Nothing goes out in between. */
	k->ops.joint.conn_path(k->ops.joint.ctx, l->conn, NULL);
	conn_set_udp(l->conn, udp);
	return true;
}

/* The server took our move, or it is itself elsewhere now. */
void gateway_moved(struct keeper *k, const struct ike_path *path, usec_t now_us)
{
	struct line *l = k->line;
	if (l->move) {
		move_note(l->move, now_us, MOVE_REPLY, "by MOBIKE");
		move_note(l->move, now_us, MOVE_DONE, "by MOBIKE");
		l->move->done = true;
		l->move = NULL;
	}
	bool changed = encapsulation_follow(k, l);
	if (endpoint_equal(&path->local, &l->way.path.local) &&
	    !endpoint_equal(&path->remote, &l->way.path.remote)) {
		l->way.path.remote = path->remote;
		changed = true;
	}
	if (changed)
		path_take(k, l);
}

static bool is_there(const struct keeper *k, const struct way *w)
{
	for (size_t i = 0; i < k->care_of_count; i++)
		if (k->care_ofs[i].ifindex == w->at.ifindex &&
		    addr_equal(&k->care_ofs[i].addr, &w->at.addr))
			return true;
	return false;
}

void gateway_care_ofs(struct keeper *k, usec_t now_us)
{
	struct line *l = k->line;
	struct care_of best;
	struct endpoint server;
	bool there = is_there(k, &l->way);
	if (!keeper_way_at(k, 0, &best, &server))
		return;
	if (there && keeper_preference(k, &best, NULL) >= keeper_preference(k, &l->way.at, NULL))
		return;
	if (!ike_sa_has_mobike(l->sa)) {
		seeker_begin(k, now_us);
		return;
	}
	l->turn = 0;
	l->doubt_us = 0;
	move_to(k, &best, there ? MOVE_MAKE_BEFORE_BREAK : MOVE_BREAK_BEFORE_MAKE,
		there ? "preferred" : "its address is gone", now_us);
}

/* What was sent is not answered, and neither is the IKE SA's question: another way. */
static void next_way(struct keeper *k, usec_t now_us)
{
	struct line *l = k->line;
	struct care_of at;
	struct endpoint server;
	l->doubt_us = now_us;
	if (!ike_sa_has_mobike(l->sa)) {
		seeker_begin(k, now_us);
		return;
	}
	for (unsigned i = 0; i < MOVER_CARE_OFS_MAX; i++) {
		if (!keeper_way_at(k, l->turn++, &at, &server)) {
			l->turn = 0;
			if (i)
				return;
			continue;
		}
		if (addr_equal(&at.addr, &l->way.at.addr) && at.ifindex == l->way.at.ifindex)
			continue;
		move_to(k, &at, MOVE_BREAK_BEFORE_MAKE, "it does not answer", now_us);
		return;
	}
}

usec_t gateway_tick(struct keeper *k, usec_t now_us)
{
	struct line *l = k->line;
	if (!l->conn)
		return USEC_NEVER;
	usec_t heard = conn_heard_us(l->conn), ike = ike_sa_heard_us(l->sa);
	usec_t sent = atomic_load(&l->conn->out->last_us);
	if (ike > heard)
		heard = ike;
	if (l->doubt_us && heard >= l->doubt_us)
		l->doubt_us = 0;
	if (!l->doubt_us && sent > heard && now_us >= heard + ASK_US) {
		l->doubt_us = now_us;
		ike_sa_probe(k->engine, l->sa, now_us);
	} else if (l->doubt_us && now_us >= l->doubt_us + TURN_US) {
		next_way(k, now_us);
	}
	return now_us + LOOK_US;
}
