/* SPDX-License-Identifier: MIT */
/*
 * Mobility bindings on the home server.
 *
 * A request is first turned into a plan (the new set of active connections and a code for each
 * connection that was named), which changes nothing; binding_assign then makes it so.  A
 * connection is ACTIVE, and its inbound SA's active flag set, while at least one binding
 * names it.
 */
#include "mobility/binding.h"

#include <stdio.h>
#include <string.h>
#include "base/mem.h"

/* The other home addresses of a terminal register within this time of the first. */
#define JOIN_US (2 * USEC_PER_SEC)
/* A connection heard this recently still worked when its terminal left it. */
#define WORKED_US (500 * USEC_PER_MS)

const char *binding_why_text(enum binding_why w)
{
	switch (w) {
	case BINDING_BY_REQUEST:
		return "request";
	case BINDING_BY_DATA:
		return "data";
	case BINDING_BY_SETUP:
		return "setup";
	}
	return "?";
}

static bool set_has(struct conn *const *conns, uint8_t count, const struct conn *c)
{
	for (uint8_t i = 0; i < count; i++)
		if (conns[i] == c)
			return true;
	return false;
}

static void plan_remove(struct binding_plan *plan, const struct conn *c)
{
	uint8_t kept = 0;
	for (uint8_t i = 0; i < plan->count; i++)
		if (plan->conns[i] != c)
			plan->conns[kept++] = plan->conns[i];
	plan->count = kept;
}

static uint8_t plan_add(struct binding_plan *plan, struct conn *c, uint8_t max)
{
	if (set_has(plan->conns, plan->count, c))
		return MIP4_ACCEPTED;
	if (plan->count >= max)
		return MIP4_TOO_MANY_BINDINGS;
	/* Copies with numbers of two spaces would be two packets to the terminal. */
	if (plan->count && plan->conns[0]->out->space != c->out->space)
		return MIP4_PROHIBITED;
	plan->conns[plan->count++] = c;
	return MIP4_ACCEPTED;
}

static void plan_keep(const struct binding *b, struct binding_plan *plan)
{
	plan->count = b->count;
	for (uint8_t i = 0; i < b->count; i++)
		plan->conns[i] = b->conns[i];
}

/* Packets could be sent on it: it lives, and it is known where its terminal is.  That it came
 * on is where; control alone replaces a path, so it may look without a read section. */
static bool conn_is_usable(const struct binding_ask *ask, const struct conn *c)
{
	if (c->state == CONN_EXPIRED)
		return false;
	return c == ask->conn || (c->out && rcu_dereference(c->out->path));
}

bool binding_is_all(const struct registrar_terminal *t, const struct conn *c)
{
	for (uint8_t i = 0; i < t->home_count; i++)
		if (t->bindings[i]->count != 1 || t->bindings[i]->conns[0] != c)
			return false;
	return t->home_count > 0;
}

uint8_t binding_room(const struct registrar_terminal *t)
{
	return t->connections_max > ACTIVE_MAX ? ACTIVE_MAX
					       : (t->connections_max ? t->connections_max : 1);
}

static void plan_named(const struct registrar *r, const struct binding_ask *ask,
		       struct binding_plan *plan)
{
	const struct registrar_terminal *t = ask->binding->terminal;
	bool remove = ask->deregister || ask->op == MIP4_OP_REMOVE;
	if (remove || ask->op == MIP4_OP_ADD)
		plan_keep(ask->binding, plan);
	bool any = false;
	uint8_t worst = MIP4_PROHIBITED;
	for (uint8_t i = 0; i < ask->spi_count && i < MIP4_SPIS_MAX; i++) {
		struct conn *c = conn_find_spi(r->table, ask->spis[i]);
		uint8_t code = MIP4_ACCEPTED;
		if (!c || binding_terminal(c) != t || (!remove && !conn_is_usable(ask, c)))
			code = MIP4_PROHIBITED;
		else if (remove)
			plan_remove(plan, c);
		else
			code = plan_add(plan, c, binding_room(t));
		plan->results[plan->result_count++] =
		    (struct binding_result){.spi = ask->spis[i], .code = code};
		if (code == MIP4_ACCEPTED)
			any = true;
		else
			worst = code;
	}
	plan->code = any ? MIP4_ACCEPTED : worst;
	/* The first is bound, and beside it there may be none. */
	if (any && ask->simultaneous && !remove && plan->result_count > 1 && binding_room(t) == 1)
		plan->code = MIP4_ACCEPTED_NO_SIMULTANEOUS;
}

void binding_plan(const struct registrar *r, const struct binding_ask *ask,
		  struct binding_plan *plan)
{
	memset(plan, 0, sizeof(*plan));
	if (ask->deregister && ask->everything)
		return;
	/* Ending a binding is always allowed. */
	bool may = binding_may(ask->binding->terminal, BINDING_BY_REQUEST);
	if (!ask->deregister && (ask->conn->state == CONN_EXPIRED || !may)) {
		plan->code = MIP4_PROHIBITED;
		return;
	}
	if (ask->has_connections) {
		plan_named(r, ask, plan);
		return;
	}
	if (ask->deregister) {
		plan_keep(ask->binding, plan);
		plan_remove(plan, ask->conn);
		return;
	}
	uint8_t max = binding_room(ask->binding->terminal);
	if (ask->simultaneous && max > 1) {
		plan_keep(ask->binding, plan);
		plan->code = plan_add(plan, ask->conn, max);
		return;
	}
	plan->conns[plan->count++] = ask->conn;
	plan->code = ask->simultaneous ? MIP4_ACCEPTED_NO_SIMULTANEOUS : MIP4_ACCEPTED;
}

static bool conn_is_bound(const struct conn *c)
{
	const struct registrar_terminal *t = binding_terminal(c);
	for (uint8_t i = 0; t && i < t->home_count; i++) {
		const struct binding *b = t->bindings[i];
		if (b && set_has(b->conns, b->count, c))
			return true;
	}
	return false;
}

static void conn_enter(struct registrar *r, struct conn *c, usec_t now_us)
{
	conn_set_active(c, true);
	if (c->state != CONN_ACTIVE)
		conn_set_state(r->table, c, CONN_ACTIVE, now_us);
}

static void conn_leave(struct registrar *r, struct conn *c, usec_t now_us)
{
	if (conn_is_bound(c))
		return;
	const struct registrar_terminal *t = binding_terminal(c);
	conn_set_drain(c, t && t->drain_s ? now_us + (usec_t)t->drain_s * USEC_PER_SEC : 0);
	conn_set_active(c, false);
	if (c->state == CONN_ACTIVE)
		conn_set_state(r->table, c, CONN_READY, now_us);
}

/* "wifi" or "wifi+cell"; cut where it does not fit. */
static void set_names(struct conn *const *conns, uint8_t count, char *out, size_t room)
{
	size_t used = 0;
	out[0] = '\0';
	for (uint8_t i = 0; i < count && used < room; i++) {
		int n = snprintf(out + used, room - used, "%s%s", i ? "+" : "", conns[i]->name);
		if (n < 0)
			return;
		used += (size_t)n;
	}
}

static bool set_holds(struct conn *const *all, uint8_t all_count, struct conn *const *part,
		      uint8_t part_count)
{
	for (uint8_t i = 0; i < part_count; i++)
		if (!set_has(all, all_count, part[i]))
			return false;
	return true;
}

static enum move_kind move_kind_of(struct conn *const *from, uint8_t from_count,
				   const struct binding *b, usec_t now_us)
{
	if (!from_count)
		return MOVE_START;
	if (!b->count)
		return MOVE_HOME;
	if (b->count > from_count && set_holds(b->conns, b->count, from, from_count))
		return MOVE_ADD;
	if (b->count < from_count && set_holds(from, from_count, b->conns, b->count))
		return MOVE_REMOVE;
	for (uint8_t i = 0; i < from_count; i++) {
		usec_t heard = conn_heard_us(from[i]);
		if (heard && heard + WORKED_US >= now_us)
			return MOVE_MAKE_BEFORE_BREAK;
	}
	return MOVE_BREAK_BEFORE_MAKE;
}

static void move_record(struct registrar *r, const struct binding *b, struct conn *const *from,
			uint8_t from_count, usec_t now_us, uint64_t wall_us)
{
	char from_names[CONN_NAME_MAX], to_names[CONN_NAME_MAX], home[ADDR_TEXT_MAX];
	set_names(from, from_count, from_names, sizeof(from_names));
	set_names(b->conns, b->count, to_names, sizeof(to_names));
	struct move *mv = r->last_move;
	if (!mv || strcmp(mv->terminal, b->terminal->name) != 0 ||
	    strcmp(mv->from, from_names) != 0 || strcmp(mv->to, to_names) != 0 ||
	    mv->start_us + JOIN_US < now_us) {
		mv = moves_begin(r->moves, move_kind_of(from, from_count, b, now_us),
				 b->terminal->name, from_names, to_names, now_us, wall_us);
		(void)snprintf(mv->why, sizeof(mv->why), "%s", binding_why_text(b->why));
		mv->by = binding_why_text(b->why);
		r->last_move = mv;
	}
	move_note(mv, now_us, MOVE_SWITCH, "%s to %s", addr_format(&b->home, home),
		  b->count ? to_names : "nothing");
}

bool binding_assign(struct registrar *r, struct binding *b, struct conn *const *conns,
		    uint8_t count, enum binding_why why, uint16_t lifetime_s, usec_t now_us,
		    uint64_t wall_us)
{
	struct conn *old[ACTIVE_MAX];
	uint8_t old_count = b->count;
	for (uint8_t i = 0; i < old_count; i++)
		old[i] = b->conns[i];
	bool changed = count != old_count;
	/* The order counts: the first is the best. */
	for (uint8_t i = 0; i < count && !changed; i++)
		changed = conns[i] != old[i];

	b->count = count;
	for (uint8_t i = 0; i < count; i++)
		b->conns[i] = conns[i];
	b->why = why;
	b->terminal->left &= !count;
	if (!count) {
		b->lifetime_s = 0;
		b->expires_us = USEC_NEVER;
	} else if (lifetime_s) {
		b->lifetime_s = lifetime_s;
		b->expires_us = lifetime_s == MIP4_LIFETIME_INFINITE
				    ? USEC_NEVER
				    : now_us + (usec_t)lifetime_s * USEC_PER_SEC;
	}
	heap_set(&r->expiries, &b->expiry, b->expires_us);
	if (!changed)
		return false;
	b->since_us = now_us;
	for (uint8_t i = 0; i < count; i++)
		conn_enter(r, conns[i], now_us);
	for (uint8_t i = 0; i < old_count; i++)
		conn_leave(r, old[i], now_us);
	move_record(r, b, old, old_count, now_us, wall_us);
	return true;
}

void binding_drop(struct registrar *r, struct binding *b, const struct conn *c, const char *reason,
		  usec_t now_us)
{
	struct binding_plan plan = {0};
	if (c) {
		plan_keep(b, &plan);
		plan_remove(&plan, c);
	}
	char home[ADDR_TEXT_MAX];
	log_info(r->log, "registrar: binding ended terminal=%s home=%s connection=%s reason=%s",
		 b->terminal->name, addr_format(&b->home, home), c ? c->name : "all", reason);
	if (!binding_assign(r, b, plan.conns, plan.count, b->why, 0, now_us, 0))
		return;
	move_note(r->last_move, now_us, MOVE_DONE, "%s", reason);
	r->ops.binding_changed(r->ops.ctx, b);
}

struct binding *binding_find(const struct registrar_terminal *t, const struct addr *home)
{
	for (uint8_t i = 0; i < t->home_count; i++)
		if (addr_equal(&t->homes[i], home))
			return t->bindings[i];
	return NULL;
}

struct registrar_terminal *binding_terminal(const struct conn *c)
{
	return c->peer ? c->peer->owner : NULL;
}

bool binding_is_agent(const struct registrar *r, const struct addr *a)
{
	for (uint8_t i = 0; i < r->home_agent_count; i++)
		if (addr_equal(&r->home_agents[i], a))
			return true;
	return false;
}

struct addr binding_agent(const struct registrar *r, uint8_t family)
{
	for (uint8_t i = 0; i < r->home_agent_count; i++)
		if (r->home_agents[i].family == family)
			return r->home_agents[i];
	return (struct addr){0};
}

bool binding_epoch_unknown(const struct registrar *r, struct conn *c, bool has_epoch,
			   uint32_t epoch)
{
	if (!has_epoch)
		return false;
	/* One less: the low half of our numbers has just wrapped and nothing has said so yet. */
	uint32_t sent = r->ops.epoch_sent(r->ops.ctx, c);
	return epoch == 0 || (epoch != sent && epoch != sent - 1);
}

void binding_count_denied(struct registrar *r, const struct registrar_arrival *a,
			  const struct registrar_terminal *t, const char *home, uint8_t code,
			  const char *text)
{
	r->counters.denied[code]++;
	if (log_limit_ok(&r->denied_limit, a->now_us, 5))
		log_warn(
		    r->log,
		    "registrar: denied terminal=%s home=%s connection=%s code=%u reason=\"%s\"",
		    t->name, home, a->conn->name, code, text);
}

void binding_note_reply(struct registrar *r, bool changed, usec_t now_us, size_t octets,
			uint8_t code)
{
	if (!changed || !r->last_move)
		return;
	r->last_move->signalling_packets += 2;
	r->last_move->signalling_octets += (uint32_t)octets;
	move_note(r->last_move, now_us, MOVE_REPLY, "code %u", code);
	r->last_move->done = true;
}
