/* SPDX-License-Identifier: MIT */
/*
 * The steward's connections: what child SAs become.
 *
 * A Sojourn's connection has no place until its first packet comes (the role learns it, as with
 * care-of = any), and is registered by the setup itself when that asks for it; then it is where the
 * IKE SA is until a packet says otherwise.  One of another make
 * goes where the IKE SA goes and has the home addresses its selectors allow: the newest child SA
 * that can carry what the one before carried.
 */
#include <stdio.h>
#include <string.h>
#include "base/mem.h"
#include "daemon/steward_state.h"
#include "wire/mip4.h"

/* --- selectors */

static bool covers(const struct ike_ts_list *list, const struct ike_ts *ts)
{
	struct ike_ts common;
	for (uint8_t i = 0; i < list->count; i++)
		if (ike_ts_intersect(&list->at[i], ts, &common) && ike_ts_equal(&common, ts))
			return true;
	return false;
}

static bool covers_all(const struct ike_ts_list *list, const struct ike_ts_list *of, uint8_t family)
{
	for (uint8_t i = 0; i < of->count; i++)
		if (of->at[i].from.family == family && !covers(list, &of->at[i]))
			return false;
	return true;
}

static bool covers_home(const struct ike_ts_list *list, const struct addr *home)
{
	struct prefix host = prefix_host(home);
	struct ike_ts ts = ike_ts_of_prefix(&host);
	return covers(list, &ts);
}

/* What the child SA may carry of the terminal's: by its selectors, or in transport mode, whose
 * selectors name the outer addresses, the one under which we show it. */
static bool carries_home(const struct sw_conn *h, const struct ike_ts_list *remote,
			 const struct addr *home)
{
	const struct sa_pair *pair = h->conn->out->pair;
	return pair ? addr_equal(&pair->remote, home) : covers_home(remote, home);
}

/* --- registration */

static bool is_bound_to(const struct binding *b, const struct conn *c)
{
	for (uint8_t i = 0; i < b->count; i++)
		if (b->conns[i] == c)
			return true;
	return false;
}

/* Something of the address's family is reached by it. */
static bool reaches_family(const struct ike_ts_list *local, uint8_t family)
{
	for (uint8_t i = 0; i < local->count; i++)
		if (local->at[i].from.family == family)
			return true;
	return false;
}

/* A child SA of the same line has the address and carries to it what this one would not. */
static bool is_served_better(const struct sw_conn *h, const struct binding *b,
			     const struct ike_ts_list *local)
{
	for (const struct sw_conn *o = h->line->conns; o; o = o->next) {
		struct ike_ts_list theirs;
		if (o == h || !is_bound_to(b, o->conn))
			continue;
		ike_child_ts(o->child, true, &theirs);
		if (!covers_all(local, &theirs, b->home.family))
			return true;
	}
	return false;
}

/* Of another make: it is active as long as it lives, for the addresses its selectors allow.
 * free_only: of those, the ones that no connection has. */
static void register_other(struct steward *s, struct sw_conn *h, const struct ike_ts_list *local,
			   const struct ike_ts_list *remote, bool free_only, usec_t now_us)
{
	const struct registrar_terminal *rt = h->line->instance->rt;
	struct addr homes[REGISTRAR_HOMES_MAX];
	struct registrar_setup setup = {.conn = h->conn,
					.homes = homes,
					.forever = true,
					.now_us = now_us,
					.wall_us = s->ops.wall_us(s->ops.ctx)};
	uint16_t granted_s;
	for (uint8_t i = 0; i < rt->home_count; i++) {
		const struct binding *b = rt->bindings[i];
		if (!carries_home(h, remote, &rt->homes[i]) ||
		    !reaches_family(local, rt->homes[i].family) || (free_only && b->count) ||
		    is_served_better(h, b, local))
			continue;
		homes[setup.home_count++] = rt->homes[i];
	}
	if (setup.home_count)
		(void)registrar_set_up(s->registrar, &setup, &granted_s);
}

/* An address that lost its connection goes to what else there is. */
static void register_left(struct steward *s, struct sw_line *l, usec_t now_us)
{
	for (struct sw_conn *h = l->conns; h; h = h->next) {
		struct ike_ts_list local, remote;
		ike_child_ts(h->child, true, &local);
		ike_child_ts(h->child, false, &remote);
		register_other(s, h, &local, &remote, true, now_us);
	}
}

static void register_sojourn(struct steward *s, struct sw_conn *h, struct ike_child_up *up,
			     usec_t now_us)
{
	const struct ike_sj_connection *c = up->connection;
	struct ike_sj_registered *r = up->registered;
	struct registrar_setup setup = {.conn = h->conn,
					.wish_s = c->lifetime_s,
					.home_count = c->home_count,
					.homes = c->homes,
					.now_us = now_us,
					.wall_us = s->ops.wall_us(s->ops.ctx)};
	struct ike_sj_registered done = {.time = mip4_identification(setup.wall_us)};
	for (uint8_t i = 0; i < s->cfg->home_agent_count; i++) {
		const struct addr *a = &s->cfg->home_agents[i];
		struct addr *to = a->family == 4 ? &done.home_agent4 : &done.home_agent6;
		if (!to->family)
			*to = *a;
	}
	if (c->reg && !c->spare)
		done.code = registrar_set_up(s->registrar, &setup, &done.lifetime_s);
	if (r)
		*r = done;
}

/* --- connections */

static void log_conn(const struct steward *s, const struct sw_conn *h, const char *what,
		     const char *why)
{
	log_info(s->log, "steward: connection %s terminal=%s connection=%s%s%s%s", what,
		 h->line->instance->name, h->conn->name, why ? " reason=\"" : "", why ? why : "",
		 why ? "\"" : "");
}

static bool is_spare(const struct sw_conn *h)
{
	return h->spare && !h->conn->care_of.addr.family;
}

static bool has_room(const struct steward *s, const struct sw_line *l, bool spare)
{
	unsigned spares = 0, others = 0;
	for (const struct sw_conn *h = l->conns; h; h = h->next)
		++*(is_spare(h) ? &spares : &others);
	return spare ? spares < s->cfg->ike->spares : others < STEWARD_CONNECTIONS_MAX;
}

static struct peer *peer_for(const struct steward *s, const struct sw_line *l)
{
	const struct config_terminal *t = l->instance->entry->t;
	struct registrar_terminal *rt = l->instance->rt;
	struct joint_peer p = {.strict = t->strict,
			       .implied = t->may & BINDING_MAY(BINDING_BY_DATA),
			       .replay_packets = t->replay_packets,
			       .owner = rt};
	for (uint8_t i = 0; i < rt->home_count && p.prefix_count < PEER_PREFIXES_MAX; i++)
		p.prefixes[p.prefix_count++] = prefix_host(&rt->homes[i]);
	for (uint8_t i = 0; i < rt->prefix_count && p.prefix_count < PEER_PREFIXES_MAX; i++)
		p.prefixes[p.prefix_count++] = rt->prefixes[i];
	return s->ops.joint.peer_new(s->ops.joint.ctx, &p);
}

/* The terminal's name of it, or one of ours; one in a line. */
static void name_choose(const struct steward *s, const struct sw_line *l, const char *wish,
			char out[CONN_NAME_MAX])
{
	snprintf(out, CONN_NAME_MAX, "%s", wish[0] ? wish : "ike");
	for (unsigned n = 2; conn_find_name(s->table, l, out); n++)
		snprintf(out, CONN_NAME_MAX, "%.*s-%u", CONN_NAME_MAX - 12, wish[0] ? wish : "ike",
			 n);
}

static void place(struct steward *s, struct conn *c, const struct ike_path *path)
{
	struct endpoint care_of = path->remote, server = path->local;
	if (!c->udp)
		care_of.port = server.port = 0;
	conn_set_pair(s->table, c, &care_of, &server);
	s->ops.joint.conn_path(s->ops.joint.ctx, c, path);
}

static uint16_t rekeyed(struct steward *s, struct ike_child_up *up)
{
	struct conn *c = ike_child_user(up->replaces);
	struct sw_conn *h = c ? c->setup : NULL;
	if (!h)
		return IKE_N_CHILD_SA_NOT_FOUND;
	if (s->ops.joint.conn_rekey(s->ops.joint.ctx, c, up) < 0)
		return IKE_N_TEMPORARY_FAILURE;
	h->child = up->child;
	ike_child_set_user(up->child, c);
	/* The other side has it already; who answers waits for the old one's end. */
	if (up->initiator)
		s->ops.joint.conn_switch(s->ops.joint.ctx, c, up->spi_in);
	return 0;
}

static struct sw_conn *conn_add(struct steward *s, struct sw_line *l, struct ike_child_up *up)
{
	char name[CONN_NAME_MAX];
	name_choose(s, l, up->connection ? up->connection->name : "", name);
	struct conn *c = s->ops.joint.conn_make(s->ops.joint.ctx, up, name, l->peer, l);
	if (!c)
		return NULL;
	struct sw_conn *h = mem_zalloc(sizeof *h);
	*h = (struct sw_conn){.conn = c,
			      .child = up->child,
			      .line = l,
			      .spare = up->connection && up->connection->spare,
			      .next = l->conns};
	l->conns = h;
	c->setup = h;
	ike_child_set_user(up->child, c);
	s->conn_count++;
	return h;
}

/* Where it goes and whether it is active. */
static void conn_begin(struct steward *s, struct sw_conn *h, struct ike_child_up *up, usec_t now_us)
{
	struct conn *c = h->conn;
	if (up->sojourn) {
		struct endpoint none = {0};
		conn_set_pair(s->table, c, &none, &ike_sa_path(up->sa)->local);
		/* Active from now: until a packet says where it is, it is where the terminal is. */
		if (up->connection && up->connection->reg && !h->spare)
			place(s, c, ike_sa_path(up->sa));
		if (up->connection)
			register_sojourn(s, h, up, now_us);
		return;
	}
	place(s, c, ike_sa_path(up->sa));
	c->behind_nat = ike_sa_nat_there(up->sa);
	conn_set_state(s->table, c, CONN_READY, now_us);
	register_other(s, h, up->local, up->remote, false, now_us);
}

uint16_t steward_child_up(struct steward *s, struct ike_child_up *up, usec_t now_us)
{
	struct sw_line *l = line_of(up->sa);
	bool spare = up->connection && up->connection->spare;
	if (up->replaces)
		return rekeyed(s, up);
	if (!l || l->closing || !has_room(s, l, spare))
		return IKE_N_NO_ADDITIONAL_SAS;
	/* Without an address of its own its packets would be nobody's. */
	if (!instance_has_homes(s, l->instance))
		return IKE_N_INTERNAL_ADDRESS_FAILURE;
	const struct registrar_terminal *rt = l->instance->rt;
	bool any = rt->prefix_count > 0;
	for (uint8_t i = 0; i < rt->home_count; i++)
		any |= up->transport
			   ? rt->homes[i].family == ike_sa_path(up->sa)->remote.addr.family
			   : covers_home(up->remote, &rt->homes[i]);
	if (!any)
		return IKE_N_TS_UNACCEPTABLE;
	bool first = !l->peer;
	if (first)
		l->peer = peer_for(s, l);
	struct sw_conn *h = conn_add(s, l, up);
	if (!h) {
		if (first) {
			s->ops.joint.peer_retire(s->ops.joint.ctx, l->peer);
			l->peer = NULL;
		}
		return IKE_N_NO_ADDITIONAL_SAS;
	}
	log_conn(s, h, "up", NULL);
	if (first)
		line_take_over(s, l, now_us);
	conn_begin(s, h, up, now_us);
	return 0;
}

void steward_child_switch(struct steward *s, struct ike_child *child)
{
	struct conn *c = ike_child_user(child);
	if (c)
		s->ops.joint.conn_switch(s->ops.joint.ctx, c, ike_child_spi_in(child));
}

void sw_conn_end(struct steward *s, struct sw_conn *h, const char *why, usec_t now_us)
{
	struct sw_line *l = h->line;
	struct sw_conn **p = &l->conns;
	struct conn *c = h->conn;
	log_conn(s, h, "down", why);
	while (*p != h)
		p = &(*p)->next;
	*p = h->next;
	if (s->engine)
		joint_forget(l->sa, c);
	registrar_conn_gone(s->registrar, c, now_us);
	s->ops.leaving(s->ops.ctx, c);
	s->ops.joint.conn_remove(s->ops.joint.ctx, c);
	free(h);
	s->conn_count--;
}

void steward_child_down(struct steward *s, struct ike_child *child, const char *why, usec_t now_us)
{
	struct conn *c = ike_child_user(child);
	struct sw_conn *h = c ? c->setup : NULL;
	if (!h)
		return;
	struct sw_line *l = h->line;
	struct ike_child *other = joint_other_child(child);
	ike_child_set_user(child, NULL);
	if (other) { /* rekeyed: the connection goes on */
		s->ops.joint.conn_drop(s->ops.joint.ctx, c, ike_child_spi_in(child));
		h->child = other;
		return;
	}
	sw_conn_end(s, h, why, now_us);
	if (!ike_sa_is_sojourn(l->sa) && !l->closing)
		register_left(s, l, now_us);
}

/* --- moves */

static void encapsulation_follow(struct steward *s, const struct ike_sa *sa, struct conn *c)
{
	bool udp = ike_sa_is_udp(sa);
	if (udp == c->udp)
		return;
	/* Nothing goes out in between. */
	s->ops.joint.conn_path(s->ops.joint.ctx, c, NULL);
	conn_set_udp(c, udp);
}

/* The IKE SA goes where the first of the active connections is. */
static bool leads(const struct conn *c)
{
	const struct registrar_terminal *t = c->peer ? c->peer->owner : NULL;
	for (uint8_t i = 0; t && i < t->home_count; i++)
		if (t->bindings[i] && t->bindings[i]->count)
			return t->bindings[i]->conns[0] == c;
	return true;
}

void steward_placed(struct steward *s, struct conn *c, usec_t now_us)
{
	const struct sw_conn *h = c->setup;
	struct ike_path path;
	if (!h || !steward_follows(c))
		return;
	struct ike_sa *sa = h->line->sa;
	if (c->state != CONN_ACTIVE || !leads(c) || !s->ops.follow_path(s->ops.ctx, c, &path) ||
	    ike_path_equal(&path, ike_sa_path(sa)))
		return;
	ike_sa_move(s->engine, sa, &path, false, now_us);
}

bool steward_ask_place(struct steward *s, const struct conn *c, usec_t now_us)
{
	const struct sw_conn *h = c->setup;
	if (ike_sa_is_sojourn(h->line->sa))
		return false;
	ike_sa_probe(s->engine, h->line->sa, now_us);
	return true;
}

bool steward_answered(const struct conn *c, const struct endpoint *from, usec_t since_us)
{
	const struct sw_conn *h = c->setup;
	usec_t at_us = ike_sa_answered_us(h->line->sa, from);
	return at_us && at_us >= since_us;
}

/* A request that was sent before a move came by where the terminal was: what we ask goes where it
 * is. */
static void line_follow(struct steward *s, const struct sw_line *l, usec_t now_us)
{
	for (const struct sw_conn *h = l->conns; h; h = h->next)
		if (h->conn->state == CONN_ACTIVE)
			steward_placed(s, h->conn, now_us);
}

void steward_sa_moved(struct steward *s, struct ike_sa *sa, const struct ike_path *path,
		      usec_t now_us)
{
	struct sw_line *l = line_of(sa);
	char from[ENDPOINT_TEXT_MAX], to[ENDPOINT_TEXT_MAX];
	const char *why = ike_sa_has_mobike(sa) ? "MOBIKE" : "its NAT";
	if (!l)
		return;
	if (ike_sa_is_sojourn(sa)) {
		line_follow(s, l, now_us);
		return;
	}
	for (struct sw_conn *h = l->conns; h; h = h->next) {
		endpoint_format(&h->conn->care_of, from);
		encapsulation_follow(s, sa, h->conn);
		place(s, h->conn, path);
		h->conn->behind_nat = ike_sa_nat_there(sa);
		endpoint_format(&h->conn->care_of, to);
		log_info(s->log, "steward: moved terminal=%s connection=%s from=%s to=%s by=\"%s\"",
			 l->instance->name, h->conn->name, from, to, why);
		if (strcmp(from, to) != 0)
			registrar_note_place(s->registrar, h->conn, from, to, why, false, now_us,
					     s->ops.wall_us(s->ops.ctx));
	}
}

void steward_rekey(struct steward *s, struct conn *c, usec_t now_us)
{
	const struct sw_conn *h = c->setup;
	if (h)
		ike_child_rekey(s->engine, h->child, now_us);
}
