/* SPDX-License-Identifier: MIT */
/*
 * N-casting: the connections that are active beside the chosen one.
 *
 * Whichever works and is allowed belongs to the set.  Down: each request names the whole set, the
 * chosen one first, and what it names replaces what was bound (RFC 5944's S flag with our
 * extension; RFC 5648's binding identifiers, with O).  So no request depends on one before it: the
 * last one that is answered says what is bound, whichever were lost, and an ordinary refresh
 * repeats it.  Up: our packets go out on all of them.
 *
 * What the server refuses stays out for a while, but for the chosen one alone nothing changes.
 *
 *   casts   belongs to the set, as things are here
 *   asked   was named by the request that is out, or was answered last
 */
#include <stdio.h>
#include <string.h>
#include "mobility/mover_state.h"
#include "wire/mip4.h"
#include "wire/mip6.h"

#define BESIDE_MAX     (ACTIVE_MAX - 1)
#define LIMIT_US       (60 * USEC_PER_SEC) /* past the server's limit: asked again */
#define UNUSABLE_US    (2 * USEC_PER_SEC)  /* it does not know yet where that one is; doubling */
#define UNSUPPORTED_US (300 * USEC_PER_SEC)

_Static_assert(BESIDE_MAX + 1 <= MIP4_SPIS_MAX, "a request names the whole set");

/* Those of the set in the order of preference. */
static uint8_t gather(const struct mover *m, bool asked, struct candidate *out[BESIDE_MAX])
{
	uint8_t n = 0;
	for (struct candidate *c = m->candidates; c; c = c->next) {
		if (!(asked ? c->asked : c->casts) || n == BESIDE_MAX)
			continue;
		uint8_t at = n++;
		for (; at && out[at - 1]->cfg.preference > c->cfg.preference; at--)
			out[at] = out[at - 1];
		out[at] = c;
	}
	return n;
}

static bool interface_allowed(const struct mover *m, const struct candidate *c)
{
	for (uint8_t i = 0; i < m->cfg.ncast_interface_count; i++)
		if (!strcmp(m->cfg.ncast_interfaces[i], c->care_of.interface))
			return true;
	return m->cfg.ncast_interface_count == 0;
}

/* Copies are known by their number, which only connections of one sequence space share: not those
 * without ESN, nor those of two lines. */
static bool shares_numbers(const struct conn *a, const struct conn *b)
{
	return a->out && b->out && a->out->space == b->out->space;
}

static bool belongs(const struct mover *m, const struct candidate *c, usec_t now_us)
{
	return m->cfg.ncast && m->place == MOVER_AWAY && m->active && c != m->active &&
	       !registrant_is_cold(m, m->active) && c->attached && c->proven && !c->silent &&
	       c->hold_until_us <= now_us && c->refused_until_us <= now_us &&
	       shares_numbers(c->conn, m->active->conn) && interface_allowed(m, c);
}

/* As many as there may be: the best of those that belong. */
static void choose_set(const struct mover *m, usec_t now_us, struct candidate *out[BESIDE_MAX],
		       uint8_t *count)
{
	*count = 0;
	for (struct candidate *c = m->candidates; c; c = c->next) {
		if (!belongs(m, c, now_us))
			continue;
		uint8_t at = *count < BESIDE_MAX ? (*count)++ : BESIDE_MAX;
		for (; at && out[at - 1]->cfg.preference > c->cfg.preference; at--)
			if (at < BESIDE_MAX)
				out[at] = out[at - 1];
		if (at < BESIDE_MAX)
			out[at] = c;
	}
}

static bool is_in(struct candidate *const *list, uint8_t count, const struct candidate *c)
{
	for (uint8_t i = 0; i < count; i++)
		if (list[i] == c)
			return true;
	return false;
}

/* There may be room for what was past the limit. */
static void forget_limits(struct mover *m)
{
	for (struct candidate *c = m->candidates; c; c = c->next)
		if (c->past_limit)
			c->refused_until_us = 0;
}

bool caster_follow(struct mover *m, usec_t now_us)
{
	struct candidate *set[BESIDE_MAX];
	uint8_t count;
	bool changed = false, left = false;
	choose_set(m, now_us, set, &count);
	for (struct candidate *c = m->candidates; c; c = c->next) {
		bool casts = is_in(set, count, c);
		if (c->casts == casts)
			continue;
		changed = true;
		c->casts = casts;
		if (casts) {
			c->left_us = 0;
			conn_set_active(c->conn, true);
		} else if (c != m->active) {
			c->left_us = now_us;
			left |= c->refused_until_us <= now_us;
		}
		mover_sync_state(m, c, now_us);
	}
	if (left)
		forget_limits(m);
	return changed;
}

uint8_t caster_set(const struct mover *m, struct conn *out[ACTIVE_MAX])
{
	struct candidate *set[BESIDE_MAX];
	uint8_t n = gather(m, false, set);
	if (!m->active)
		return 0;
	out[0] = m->active->conn;
	for (uint8_t i = 0; i < n; i++)
		out[i + 1] = set[i]->conn;
	return (uint8_t)(n + 1);
}

void caster_activate(struct mover *m)
{
	struct conn *conns[ACTIVE_MAX];
	uint8_t n = caster_set(m, conns);
	m->ops.activate(m->ops.ctx, conns, m->cfg.ncast & MOVER_NCAST_UP || !n ? n : 1);
}

void caster_names(const struct mover *m, char *out, size_t room)
{
	struct conn *conns[ACTIVE_MAX];
	uint8_t n = caster_set(m, conns);
	size_t used = 0;
	out[0] = '\0';
	for (uint8_t i = 0; i < n && used < room; i++)
		used +=
		    (size_t)snprintf(out + used, room - used, "%s%s", i ? "+" : "", conns[i]->name);
}

/* --- requests */

void caster_ask(struct mover *m, const struct candidate *via, bool deregister)
{
	m->asked_gone = false;
	for (struct candidate *c = m->candidates; c; c = c->next)
		c->asked = m->cfg.ncast & MOVER_NCAST_DOWN && c->casts && c != via && !deregister;
}

void caster_unask(struct mover *m)
{
	for (struct candidate *c = m->candidates; c; c = c->next)
		c->asked = false;
}

static bool differs(const struct mover *m)
{
	bool down = m->cfg.ncast & MOVER_NCAST_DOWN;
	for (const struct candidate *c = m->candidates; c; c = c->next)
		if ((down && c->casts) != c->asked)
			return true;
	return m->asked_gone;
}

void caster_choose(struct mover *m, usec_t now_us)
{
	char from[CONN_NAME_MAX], to[CONN_NAME_MAX];
	struct conn *conns[ACTIVE_MAX];
	uint8_t before = caster_set(m, conns);
	caster_names(m, from, sizeof(from));
	bool changed = caster_follow(m, now_us);
	if (m->place != MOVER_AWAY || !m->active || !m->activated)
		return;
	if (changed) {
		caster_names(m, to, sizeof(to));
		log_info(m->log, "mover: n-casting connections=%s", to);
		chooser_set_changed(m, caster_set(m, conns) >= before, from, to, now_us);
		caster_activate(m);
	}
	if (!registrant_pending(m) && differs(m))
		registrant_start(m, m->active, false, false, now_us);
}

void caster_forget(struct mover *m, struct candidate *c, usec_t now_us)
{
	char from[CONN_NAME_MAX], to[CONN_NAME_MAX];
	m->asked_gone |= c->asked;
	if (!c->casts)
		return;
	caster_names(m, from, sizeof(from));
	c->casts = c->asked = false;
	caster_names(m, to, sizeof(to));
	if (!m->active || !m->activated)
		return;
	chooser_set_changed(m, false, from, to, now_us);
	caster_activate(m);
}

static uint8_t named(const struct mover *m, const struct registration *r,
		     struct candidate *out[ACTIVE_MAX])
{
	if (r->deregister)
		return 0;
	out[0] = r->via;
	uint8_t n = gather(m, true, out + 1);
	return n ? (uint8_t)(n + 1) : 0;
}

void caster_fill4(const struct mover *m, const struct registration *r, struct mip4_request *q)
{
	struct candidate *set[ACTIVE_MAX];
	uint8_t n = named(m, r, set);
	if (!n)
		return;
	q->flags |= MIP4_S;
	q->ext.has_connections = true;
	q->ext.op = MIP4_OP_REPLACE;
	q->ext.spi_count = n;
	for (uint8_t i = 0; i < n; i++)
		q->ext.spis[i] = set[i]->conn->out->spi;
}

void caster_fill6(const struct mover *m, const struct registration *r, struct mip6_update *u)
{
	struct candidate *set[ACTIVE_MAX];
	uint8_t n = named(m, r, set);
	if (!n)
		return;
	u->flags |= MIP6_O;
	u->has_connections = true;
	u->op = MIP4_OP_REPLACE;
	u->spi_count = u->bid_count = n;
	for (uint8_t i = 0; i < n; i++) {
		u->spis[i] = set[i]->conn->out->spi;
		u->bids[i] = (struct mip6_bid){.bid = set[i]->bid, .care_of = set[i]->care_of.addr};
	}
}

/* --- replies */

static void refuse(struct mover *m, struct candidate *c, bool limit, uint32_t wait_us,
		   usec_t now_us)
{
	if (!c->asked)
		return;
	c->asked = false;
	c->past_limit = limit;
	c->refused_wait_us = wait_us;
	c->refused_until_us = now_us + wait_us;
	log_info(m->log, "mover: not n-cast connection=%s reason=\"%s\" retry_s=%u", c->conn->name,
		 limit ? "past the server's limit" : "the server does not take it",
		 (unsigned)(wait_us / USEC_PER_SEC));
}

static bool asks(const struct mover *m)
{
	for (const struct candidate *c = m->candidates; c; c = c->next)
		if (c->asked)
			return true;
	return false;
}

static void refuse_all(struct mover *m, uint32_t wait_us, usec_t now_us)
{
	for (struct candidate *c = m->candidates; c; c = c->next)
		refuse(m, c, false, wait_us, now_us);
}

static void result(struct mover *m, uint32_t spi, uint8_t code, usec_t now_us)
{
	bool limit = code == MIP4_TOO_MANY_BINDINGS;
	for (struct candidate *c = m->candidates; c; c = c->next) {
		if (!c->conn->out || c->conn->out->spi != spi)
			continue;
		if (code == MIP4_ACCEPTED)
			c->refused_wait_us = 0;
		else
			refuse(m, c, limit,
			       limit ? LIMIT_US
				     : rto_bound(c->refused_wait_us * 2ull, UNUSABLE_US, LIMIT_US),
			       now_us);
	}
}

bool caster_reply4(struct mover *m, const struct mip4_reply *reply, usec_t now_us)
{
	bool plainer = reply->code == MIP4_UNSUPPORTED_VENDOR_REQUEST && asks(m);
	if (reply->code == MIP4_ACCEPTED_NO_SIMULTANEOUS)
		refuse_all(m, LIMIT_US, now_us);
	else if (plainer)
		refuse_all(m, UNSUPPORTED_US, now_us);
	for (uint8_t i = 0; i < reply->ext.result_count; i++)
		result(m, reply->ext.results[i].spi, reply->ext.results[i].code, now_us);
	return plainer;
}

void caster_reply6(struct mover *m, const struct mip6_ack *ack, usec_t now_us)
{
	for (uint8_t i = 0; i < ack->result_count; i++)
		result(m, ack->results[i].spi, ack->results[i].code, now_us);
	if (ack->status < MIP6_UNSPECIFIED && ack->bid_count == 0)
		refuse_all(m, LIMIT_US, now_us);
}
