/* SPDX-License-Identifier: MIT */
/*
 * Which connection is active, and the timeline of each change.
 *
 * The rules, in order (chooser_choose):
 *  1. The active one works: a proven one that is preferred to it takes over (make before
 *     break), unless it went silent a short while ago.
 *  2. It is gone or silent, or new and unanswered while another one is proven: the best proven
 *     one, else the best that is attached, at once (break before make).
 *  3. All are silent: keep asking, on each in turn; whichever is heard first recovers.
 *
 * A connection whose setup registered it needs no request when it is chosen at once, unless one for
 * another may still be on its way, and undo it.
 *
 * A switch sends the request first and then moves the packets, both at once; only when the
 * server cannot know our numbers yet (a start) do packets wait for the reply.
 */
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include "mobility/mover_state.h"

#define CAUSE_FRESH_US (10 * USEC_PER_SEC) /* an older link event did not cause this move */
#define MOVE_OPEN_US   (2 * USEC_PER_SEC)
#define MOVE_POLL_US   (50 * USEC_PER_MS)
#define ROTATE_US      (5 * USEC_PER_SEC)

static int preference(const struct mover *m, const struct candidate *c)
{
	return c == m->pinned ? INT_MIN : c->cfg.preference;
}

static bool works(const struct candidate *c)
{
	return c && c->attached && !c->silent;
}

static bool is_better(const struct mover *m, const struct candidate *c,
		      const struct candidate *best)
{
	return !best || preference(m, c) < preference(m, best);
}

static struct candidate *best_proven(struct mover *m, bool honour_hold, usec_t now_us)
{
	struct candidate *best = NULL;
	for (struct candidate *c = m->candidates; c; c = c->next)
		if (works(c) && c->proven && (!honour_hold || c->hold_until_us <= now_us) &&
		    is_better(m, c, best))
			best = c;
	return best;
}

static struct candidate *best_attached(struct mover *m)
{
	struct candidate *best = NULL;
	for (struct candidate *c = m->candidates; c; c = c->next)
		if (works(c) && is_better(m, c, best))
			best = c;
	return best;
}

/* All are silent: the one that was not tried for longest.  Only a request can tell a server that
 * was restarted, so each gets its turn. */
static struct candidate *longest_untried(struct mover *m)
{
	struct candidate *best = NULL;
	for (struct candidate *c = m->candidates; c; c = c->next)
		if (c->attached && (!best || c->tried_us < best->tried_us))
			best = c;
	return best;
}

struct candidate *chooser_next_via(struct mover *m, struct candidate *from, usec_t now_us)
{
	from->tried_us = now_us;
	struct candidate *next = longest_untried(m);
	return next ? next : from;
}

bool chooser_has_other(const struct mover *m, const struct candidate *c)
{
	for (const struct candidate *o = m->candidates; o; o = o->next)
		if (o != c && o->attached)
			return true;
	return false;
}

/* --- the timeline */

static void move_close(struct mover *m, const char *text, usec_t now_us)
{
	if (!m->move)
		return;
	const struct candidate *to = m->move_to;
	const struct replay *window = to && to->conn->peer ? &to->conn->peer->space.window : NULL;
	if (window && m->move_switched && replay_primed(window)) {
		uint64_t top = replay_top(window);
		if (top >= m->move_top && top >> 32 == m->move_top >> 32 && m->move_top)
			m->move->lost = replay_missing(window, m->move_top, top);
	}
	move_note(m->move, now_us, MOVE_DONE, "%s", text);
	m->failed = m->move_replied ? NULL : m->move;
	m->move = NULL;
	m->move_to = NULL;
}

/* While nothing answers, the turns of the connections are one move. */
static bool move_go_on(struct mover *m, struct candidate *to, usec_t now_us)
{
	struct move *mv = m->move && !m->move_replied ? m->move : m->failed;
	if (!mv)
		return false;
	m->failed = NULL;
	m->move = mv;
	m->move_to = to;
	m->move_switched = m->move_replied = m->up_seen = m->down_seen = false;
	move_try_again(mv, now_us, to->conn->name);
	return true;
}

static void move_open(struct mover *m, enum move_kind kind, const char *from, struct candidate *to,
		      const char *why, const char *cause, usec_t cause_us, usec_t now_us)
{
	move_close(m, "another move", now_us);
	bool caused = cause[0] && cause_us <= now_us && cause_us + CAUSE_FRESH_US >= now_us;
	m->move = moves_begin(m->moves, kind, m->cfg.terminal, from, to ? to->conn->name : "home",
			      caused ? cause_us : now_us, m->ops.wall_us(m->ops.ctx));
	m->failed = NULL;
	m->move_to = to;
	m->move_switched = m->move_replied = m->up_seen = m->down_seen = false;
	(void)snprintf(m->move->why, sizeof(m->move->why), "%s", why);
	if (caused)
		move_note(m->move, cause_us, MOVE_LINK, "%s", cause);
	move_note(m->move, now_us, MOVE_CHOSEN, "%s: %s", to ? to->conn->name : "home", why);
	log_info(m->log, "mover: move kind=%s from=%s to=%s reason=\"%s\" cause=\"%s\"",
		 move_kind_text(kind), from[0] ? from : "-", to ? to->conn->name : "home", why,
		 caused ? cause : "");
}

static void first_packet(struct mover *m, const struct sa *sa, bool *seen, enum move_step step)
{
	usec_t at = sa ? atomic_load(&sa->first_us) : 0;
	if (*seen || !at)
		return;
	*seen = true;
	move_note(m->move, at, step, "%s", m->move_to->conn->name);
	int64_t took = at > m->move->start_us ? (int64_t)(at - m->move->start_us) : 0;
	if (m->move->switch_us < 0 || step == MOVE_FIRST_UP || took < m->move->switch_us)
		m->move->switch_us = took;
}

usec_t chooser_tick_move(struct mover *m, usec_t now_us)
{
	if (!m->move || !m->move_switched)
		return USEC_NEVER;
	if (m->move_to) {
		first_packet(m, m->move_to->conn->in, &m->down_seen, MOVE_FIRST_DOWN);
		first_packet(m, m->move_to->conn->out, &m->up_seen, MOVE_FIRST_UP);
	}
	usec_t end = m->move_switch_us + MOVE_OPEN_US;
	bool seen = !m->move_to || (m->up_seen && m->down_seen);
	if ((seen && m->move_replied) || now_us >= end) {
		move_close(m, m->move_replied ? "registered" : "no reply yet", now_us);
		return USEC_NEVER;
	}
	return usec_min(end, now_us + MOVE_POLL_US);
}

void chooser_set_changed(struct mover *m, bool more, const char *from, const char *to,
			 usec_t now_us)
{
	if (m->move && m->move_switched && m->move_replied)
		move_close(m, "registered", now_us);
	if (m->move) {
		move_note(m->move, now_us, MOVE_NOTE, "n-casting on %s", to);
		return;
	}
	m->move = moves_begin(m->moves, more ? MOVE_ADD : MOVE_REMOVE, m->cfg.terminal, from, to,
			      now_us, m->ops.wall_us(m->ops.ctx));
	(void)snprintf(m->move->why, sizeof(m->move->why), "n-casting");
	m->failed = NULL;
	m->move_to = NULL;
	m->move_switched = true;
	m->move_switch_us = now_us;
	m->move_replied = !(m->cfg.ncast & MOVER_NCAST_DOWN);
	m->up_seen = m->down_seen = false;
	m->move->switch_us = 0;
	move_note(m->move, now_us, MOVE_SWITCH, "packets to %s", to);
}

/* --- changing the active connection */

static void packets_to(struct mover *m, struct candidate *c, bool started, usec_t now_us)
{
	m->activated = true;
	conn_set_active(c->conn, true);
	caster_activate(m);
	if (m->move && !m->move_switched) {
		const struct replay *window = c->conn->peer ? &c->conn->peer->space.window : NULL;
		/* After a start the first numbers answered what we could not read yet. */
		m->move_top = !started && window && replay_primed(window) ? replay_top(window) : 0;
		m->move_switched = true;
		m->move_switch_us = now_us;
		move_note(m->move, now_us, MOVE_SWITCH, "packets to %s", c->conn->name);
	}
	mover_sync_state(m, c, now_us);
}

static void leave(struct mover *m, struct candidate *c, usec_t now_us)
{
	m->active = NULL;
	m->activated = false;
	c->renewed = false;
	c->left_us = now_us;
	memcpy(m->left, c->conn->name, sizeof(m->left));
	mover_sync_state(m, c, now_us);
}

static void packets_nowhere(struct mover *m, usec_t now_us)
{
	if (m->active)
		leave(m, m->active, now_us);
	m->ops.activate(m->ops.ctx, NULL, 0);
}

/* What began a move to c: somebody's wish; its own care-of address, when that made it the better
 * one; else what happened last, to which another connection was lost. */
static void move_begin(struct mover *m, struct candidate *c, bool make_before_break,
		       const char *why, usec_t now_us)
{
	const struct candidate *old = m->active;
	enum move_kind kind = make_before_break	  ? MOVE_MAKE_BEFORE_BREAK
			      : m->was_home	  ? MOVE_LEAVE_HOME
			      : old || m->left[0] ? MOVE_BREAK_BEFORE_MAKE
						  : MOVE_START;
	const char *from = old ? old->conn->name : m->was_home ? "home" : m->left;
	if (make_before_break && m->asked_us > c->cause_us)
		move_open(m, kind, from, c, why, "asked for", m->asked_us, now_us);
	else if (make_before_break || c->cause_us >= m->cause_us)
		move_open(m, kind, from, c, why, c->cause, c->cause_us, now_us);
	else
		move_open(m, kind, from, c, why, m->cause, m->cause_us, now_us);
}

static void switch_to(struct mover *m, struct candidate *c, bool make_before_break, const char *why,
		      usec_t now_us)
{
	struct candidate *old = m->active;
	bool old_carried = m->activated;
	bool again = old && old->attached && old->silent && c->silent;
	if (!again || !move_go_on(m, c, now_us))
		move_begin(m, c, make_before_break, why, now_us);
	m->was_home = false;
	m->place = MOVER_AWAY;
	if (old && old != c)
		leave(m, old, now_us);
	m->active = c;
	c->tried_us = now_us;
	c->renewed = false;
	c->left_us = 0;
	if (c->conn->out)
		atomic_store(&c->conn->out->first_us, 0);
	if (c->conn->in)
		atomic_store(&c->conn->in->first_us, 0);
	/* On the timeline before anything goes out: who moves packets sees the request first. */
	m->activated = false;
	uint16_t registered_s = c->cfg.registered_s;
	c->cfg.registered_s = 0;
	(void)caster_follow(m, now_us);
	if (registered_s && registrant_is_quiet(m, now_us))
		registrant_set_up(m, c, registered_s, now_us);
	else
		registrant_begin(m, c, false, now_us);
	if (m->activated)
		; /* registered by its setup: they go already */
	else if (!registrant_is_cold(m, c))
		packets_to(m, c, false, now_us);
	else if (old_carried && old == c)
		m->activated = true;
	mover_sync_state(m, c, now_us);
}

void chooser_registered(struct mover *m, struct candidate *c, usec_t now_us)
{
	if (c == m->active && !m->activated)
		packets_to(m, c, true, now_us);
}

static void keep_trying(struct mover *m, usec_t now_us)
{
	/* Two requests are as good as lost already: begin with a hello. */
	if (!registrant_pending(m))
		registrant_begin(m, m->active, true, now_us);
}

static struct candidate *home_via(struct mover *m)
{
	struct candidate *best = NULL;
	bool soon = false;
	for (struct candidate *c = m->candidates; c; c = c->next) {
		if (!c->has_care_of || c->care_of.ifindex != m->home_at.ifindex)
			continue;
		soon |= c->attaching;
		if (c->attached && is_better(m, c, best))
			best = c;
	}
	if (!best && soon)
		return NULL;
	if (!best && works(m->active))
		best = m->active;
	if (!best)
		best = best_attached(m);
	return best ? best : longest_untried(m);
}

/* Deregisters over whatever can carry it; what is attaching now may come in a moment. */
void chooser_go_home(struct mover *m, usec_t now_us)
{
	struct candidate *via = home_via(m);
	if (via) {
		m->home_waits = false;
		registrant_start(m, via, true, false, now_us);
		return;
	}
	bool first = !m->home_waits;
	m->home_waits = true;
	registrant_stop(m);
	for (const struct candidate *c = m->candidates; c; c = c->next)
		if (c->attaching)
			return;
	if (first)
		chooser_deregistered(m, false, now_us);
}

static void choose(struct mover *m, usec_t now_us)
{
	if (m->place == MOVER_HOME) {
		if (m->home_waits)
			chooser_go_home(m, now_us);
		return;
	}
	struct candidate *a = m->active;
	struct candidate *proven = best_proven(m, works(a), now_us);
	if (works(a)) {
		bool trusted = a->proven || registrant_unanswered(m) < 2;
		if (proven && proven != a && is_better(m, proven, a))
			switch_to(m, proven, a->proven, "preferred", now_us);
		else if (proven && proven != a && !trusted)
			switch_to(m, proven, false, "the new one does not answer", now_us);
		else if (a->renewed)
			switch_to(m, a, false, "its address changed", now_us);
		return;
	}
	struct candidate *next = proven ? proven : best_attached(m);
	if (!next && a && a->attached && now_us < a->tried_us + ROTATE_US) {
		keep_trying(m, now_us);
		return;
	}
	if (!next)
		next = longest_untried(m);
	if (next && next == a) {
		keep_trying(m, now_us);
		return;
	}
	if (next) {
		switch_to(m, next, false,
			  !a		? "the best there is"
			  : a->attached ? "the active one is silent"
					: "the active one is gone",
			  now_us);
		return;
	}
	if (a) {
		registrant_stop(m);
		move_close(m, "nothing is left", now_us);
		packets_nowhere(m, now_us);
	}
	m->place = MOVER_DETACHED;
}

void chooser_choose(struct mover *m, usec_t now_us)
{
	if (m->busy)
		return;
	choose(m, now_us);
	caster_choose(m, now_us);
}

void chooser_forget(struct mover *m, struct candidate *c, usec_t now_us)
{
	caster_forget(m, c, now_us);
	if (m->pinned == c)
		m->pinned = NULL;
	if (m->move_to == c)
		move_close(m, "connection removed", now_us);
	bool used = false, waits = false;
	for (uint8_t i = 0; i < m->cfg.home_count; i++) {
		if (m->regs[i].via != c)
			continue;
		used = true;
		waits |= m->regs[i].pending;
		m->regs[i].via = NULL;
	}
	if (used || m->use.via == c)
		registrant_stop(m);
	/* Another one has to say that we are at home. */
	if (waits && m->place == MOVER_HOME)
		m->home_waits = true;
	if (m->active == c)
		packets_nowhere(m, now_us);
}

/* --- home and away */

bool chooser_is_home(const struct mover *m, const struct care_of *co)
{
	const struct mover_config *cfg = &m->cfg;
	if (cfg->home_interface[0] && strcmp(cfg->home_interface, co->interface) != 0)
		return false;
	if (cfg->has_home_network && network_known(&co->network) &&
	    memcmp(&cfg->home_network, &co->network, sizeof(co->network)) == 0)
		return true;
	return cfg->has_home_prefix && prefix_contains(&cfg->home_prefix, &co->addr) &&
	       addr_equal(&cfg->home_gateway, &co->gateway);
}

void chooser_deregistered(struct mover *m, bool accepted, usec_t now_us)
{
	if (m->active || m->activated)
		packets_nowhere(m, now_us);
	move_close(m, accepted ? "deregistered" : "the server did not answer", now_us);
}

void chooser_place(struct mover *m, usec_t now_us)
{
	const struct care_of *at = NULL;
	for (size_t i = 0; i < m->care_of_count; i++) {
		const struct care_of *co = &m->care_ofs[i];
		if (!chooser_is_home(m, co))
			continue;
		/* The same place as before, if it still is one; IPv4 rather than IPv6. */
		if (m->place == MOVER_HOME && m->home_at.ifindex == co->ifindex &&
		    addr_equal(&m->home_at.addr, &co->addr)) {
			m->home_at = *co;
			return;
		}
		if (!at)
			at = co;
	}
	if (!at) {
		if (m->place != MOVER_HOME)
			return;
		m->place = MOVER_DETACHED;
		m->was_home = true;
		m->home_waits = false;
		registrant_stop(m);
		/* Whatever was active is deregistered, or about to be: choose afresh. */
		if (m->active)
			packets_nowhere(m, now_us);
		m->ops.home(m->ops.ctx, NULL);
		log_info(m->log, "mover: left home cause=\"%s\"", m->cause);
		return;
	}
	bool moved = m->place != MOVER_HOME;
	m->home_at = *at;
	m->place = MOVER_HOME;
	m->home_since_us = moved ? now_us : m->home_since_us;
	if (!moved) {
		m->ops.home(m->ops.ctx, &m->home_at);
		return;
	}
	move_open(m, MOVE_HOME, m->active ? m->active->conn->name : "", NULL, "home network",
		  m->cause, m->cause_us, now_us);
	m->move->switch_us = (int64_t)(now_us - m->move->start_us);
	m->ops.home(m->ops.ctx, &m->home_at);
	move_note(m->move, now_us, MOVE_SWITCH, "native on %s", m->home_at.interface);
	chooser_go_home(m, now_us);
	/* What were sent there from now on would register it again. */
	if (m->cfg.by_data && m->active)
		packets_nowhere(m, now_us);
}
