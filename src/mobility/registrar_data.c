/* SPDX-License-Identifier: MIT */
/*
 * Implied registration: an authenticated packet makes the connection that it came on the active
 * one.  There is no message, so nothing is answered.
 *
 * What orders packets of different connections is their number: all connections of a peer draw from
 * one sequence space (sadb/sa.h).  A packet is heard here only when it was the newest of that space
 * as it came.  Between then and now newer ones may have come on what is active, of which nobody
 * tells: so their SAs are asked.  Where connections have spaces of their own (no ESN, a peer of
 * another make, another line of IKE SAs) nothing can be said about order, and data moves nothing.
 *
 * A terminal that came home says so by a request, and what it had sent into the connection by then
 * may come after it, with higher numbers.  So where a request ended a binding only what says itself
 * that the connection is used begins it again.
 *
 * Requests are ordered among themselves by their identification or sequence, and by their packets'
 * numbers against data: one that data overtook is dropped.
 */
#include <inttypes.h>
#include "mobility/binding.h"

/* Numbers of c and of other connections are of one row. */
static bool is_ordered(const struct conn *c)
{
	const struct space *space = c->in ? c->in->space : NULL;
	return space && c->peer && space == &c->peer->space && space->window.packets > 0;
}

/* What an SA heard in an epoch that is gone says nothing: it may be above all that comes now. */
static bool heard_after(const struct conn *other, const struct conn *c, uint64_t number)
{
	uint64_t newest = conn_newest(other);
	return other != c && other->in && other->in->space == c->in->space && newest > number &&
	       newest <= replay_top(&c->in->space->window);
}

bool binding_is_newer(const struct registrar_terminal *t, const struct conn *c, uint64_t number)
{
	if (!is_ordered(c))
		return false;
	if (t->data_number > number && c->peer == t->peer &&
	    t->data_number <= replay_top(&c->in->space->window))
		return true;
	for (uint8_t i = 0; i < t->home_count; i++)
		for (uint8_t k = 0; k < t->bindings[i]->count; k++)
			if (heard_after(t->bindings[i]->conns[k], c, number))
				return true;
	return false;
}

bool binding_overtook(struct registrar *r, const struct binding *b,
		      const struct registrar_arrival *a)
{
	if (a->hello || b->why != BINDING_BY_DATA || !b->count ||
	    !binding_is_newer(b->terminal, a->conn, a->number))
		return false;
	r->counters.overtaken++;
	return true;
}

bool binding_is_alive(struct registrar *r, struct binding *b, usec_t now_us)
{
	usec_t heard_us = 0;
	for (uint8_t i = 0; i < b->count; i++) {
		usec_t at_us = conn_heard_us(b->conns[i]);
		heard_us = at_us > heard_us ? at_us : heard_us;
	}
	usec_t end_us = heard_us + (usec_t)b->lifetime_s * USEC_PER_SEC;
	if (b->why != BINDING_BY_DATA || !heard_us || end_us <= now_us)
		return false;
	b->expires_us = end_us;
	heap_set(&r->expiries, &b->expiry, end_us);
	return true;
}

void registrar_set_policy(struct registrar_terminal *t, uint8_t may, uint16_t drain_s)
{
	t->may = may;
	t->drain_s = drain_s;
}

bool registrar_is_by_data(const struct conn *c)
{
	const struct registrar_terminal *t = binding_terminal(c);
	for (uint8_t i = 0; t && i < t->home_count; i++)
		if (t->bindings[i]->why != BINDING_BY_DATA)
			return false;
	return t && binding_is_all(t, c);
}

static enum registrar_data_verdict deny(struct registrar *r, const struct registrar_terminal *t,
					const struct registrar_data *d, const char *why)
{
	r->counters.data_denied++;
	if (log_limit_ok(&r->data_limit, d->now_us, 5))
		log_warn(r->log,
			 "registrar: denied terminal=%s connection=%s by=data reason=\"%s\"",
			 t->name, d->conn->name, why);
	return REGISTRAR_DATA_DENIED;
}

enum registrar_data_verdict registrar_data(struct registrar *r, const struct registrar_data *d)
{
	struct registrar_terminal *t = binding_terminal(d->conn);
	struct conn *conns[] = {d->conn};
	if (!t || !t->home_count || d->conn->state == CONN_EXPIRED || !d->conn->out ||
	    !rcu_dereference(d->conn->out->path))
		return REGISTRAR_DATA_LATE; /* or it is not known where its terminal is */
	/* What says so wants more than that it is active: that it stays so without requests. */
	if (binding_is_all(t, d->conn) && (!d->said || registrar_is_by_data(d->conn)))
		return REGISTRAR_DATA_SAME;
	if (!binding_may(t, BINDING_BY_DATA))
		return deny(r, t, d, "registration by data is not allowed");
	if (!is_ordered(d->conn) || d->conn->peer != t->peer)
		return deny(r, t, d, "its numbers are not in one row with other connections'");
	if (binding_is_newer(t, d->conn, d->number) || (t->left && !d->said))
		return REGISTRAR_DATA_LATE;
	bool moved = false;
	t->data_number = d->number;
	for (uint8_t i = 0; i < t->home_count; i++) {
		struct binding *b = t->bindings[i];
		if (!binding_assign(r, b, conns, 1, BINDING_BY_DATA, t->lifetime_max_s, d->now_us,
				    d->wall_us))
			continue;
		move_note(r->last_move, d->now_us, MOVE_DONE, "by data on %s, number %" PRIu64,
			  d->conn->name, d->number);
		r->ops.binding_changed(r->ops.ctx, b);
		moved = true;
	}
	if (!moved)
		return REGISTRAR_DATA_SAME;
	r->counters.by_data++;
	log_info(r->log, "registrar: by data terminal=%s connection=%s", t->name, d->conn->name);
	return REGISTRAR_DATA_MOVED;
}
