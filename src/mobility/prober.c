/* SPDX-License-Identifier: MIT */
/*
 * Whether a connection works: probes, in rounds.  A round ends with the first answer or after
 * a few tries.  Only an answer counts (its id is unguessable): that packets come in does not
 * say that ours arrive.
 *
 *   not proven   a round at once, then every 2 to 10 s; none before the first registration was
 *                accepted: the server's numbers, and so its answers, mean nothing to us yet
 *   ready        a round every probe_spare_us (keeps the NAT and the round trip known)
 *   active       every 5 s at least, and when we sent, or heard data, and then heard nothing for
 *                probe_idle_us
 *   silent       every 1 to 10 s, and whenever something comes in
 */
#include <string.h>
#include "base/mem.h"
#include "mobility/mover_state.h"

#define RTO_LEAST_US	  (200 * USEC_PER_MS)
#define RTO_MOST_US	  USEC_PER_SEC
#define TRIES_NEW	  6
#define TRIES_PROVEN	  3
#define TRIES_HEARD	  6 /* something else came in meanwhile: probes are lost, not the path */
#define TRIES_AGAIN	  2
#define WAIT_NEW_US	  (2 * USEC_PER_SEC)
#define WAIT_SILENT_US	  USEC_PER_SEC
#define WAIT_ACTIVE_US	  (5 * USEC_PER_SEC)
#define WAIT_MOST_US	  (10 * USEC_PER_SEC)
#define HOLD_LEAST_US	  (2 * USEC_PER_SEC)
#define HOLD_MOST_US	  (60 * USEC_PER_SEC)
#define HOLD_FORGOTTEN_US (120 * USEC_PER_SEC)
#define LOOK_LEAST_US	  (20 * USEC_PER_MS)

static usec_t last_heard(const struct candidate *c)
{
	usec_t heard = conn_heard_us(c->conn);
	return heard > c->proof_us ? heard : c->proof_us;
}

static void probe_send(struct mover *m, struct candidate *c, usec_t now_us)
{
	uint64_t id = 0;
	while (!id)
		m->ops.random(m->ops.ctx, &id, sizeof(id));
	c->probes[c->probe_count++ % SENT_KEPT] = (struct sent){.id = id, .at_us = now_us};
	uint64_t rto = (uint64_t)conn_rto_us(c->conn, m->cfg.initial_rto_us) << c->probe_tries;
	c->probe_tries++;
	c->probe_next_us = now_us + rto_bound(rto, RTO_LEAST_US, RTO_MOST_US);
	m->ops.send_probe(m->ops.ctx, c->conn, id);
}

static void round_begin(struct mover *m, struct candidate *c, uint8_t limit, usec_t now_us)
{
	c->probing = true;
	c->probe_tries = 0;
	c->probe_limit = limit;
	c->probe_first_us = now_us;
	probe_send(m, c, now_us);
}

void prober_hurry(struct mover *m, struct candidate *c, usec_t now_us)
{
	if (c->attached && !c->probing && !registrant_is_cold(m, c))
		round_begin(m, c, c->proven ? TRIES_PROVEN : TRIES_NEW, now_us);
}

void prober_hurry_others(struct mover *m, const struct candidate *c, usec_t now_us)
{
	for (struct candidate *o = m->candidates; o; o = o->next)
		if (o != c && o->attached && !o->proven)
			prober_hurry(m, o, now_us);
}

void prober_attached(struct mover *m, struct candidate *c, usec_t now_us)
{
	(void)m;
	memset(c->probes, 0, sizeof(c->probes));
	c->probing = c->silent = c->proven = false;
	c->probe_wait_us = 0;
	c->probe_next_us = now_us;
	c->probe_heard_us = 0;
}

void prober_heard(struct mover *m, struct candidate *c, usec_t now_us)
{
	if (!c->attached)
		return;
	c->proof_us = now_us;
	c->probing = false;
	c->probe_wait_us = 0;
	c->probe_next_us = now_us + m->cfg.probe_spare_us;
	if (c->silent) {
		c->silent = false;
		c->hold_until_us = now_us + c->hold_us;
		log_info(m->log, "mover: answers again connection=%s hold_ms=%u", c->conn->name,
			 c->hold_us / 1000);
	}
	c->proven = c->proven_once = true;
	c->roam = false;
	c->roam_wait_us = 0;
	c->roam_at_us = 0;
	mover_sync_state(m, c, now_us);
}

void prober_silent(struct mover *m, struct candidate *c, const char *why, usec_t now_us)
{
	if (c->silent)
		return;
	log_info(m->log, "mover: silent connection=%s reason=\"%s\"", c->conn->name, why);
	if (c->hold_until_us + HOLD_FORGOTTEN_US < now_us)
		c->hold_us = 0;
	c->hold_us =
	    c->hold_us ? rto_bound(c->hold_us * 2ull, HOLD_LEAST_US, HOLD_MOST_US) : HOLD_LEAST_US;
	c->hold_until_us = now_us;
	c->silent = true;
	c->roam = !c->cfg.interface[0];
	c->proven = c->probing = false;
	c->probe_wait_us = WAIT_SILENT_US;
	c->probe_next_us = now_us + c->probe_wait_us;
	c->probe_heard_us = conn_heard_us(c->conn);
	mover_sync_state(m, c, now_us);
	if (c != m->active)
		return;
	/* The others may work by now: ask at once, not when their turn comes. */
	prober_hurry_others(m, c, now_us);
}

static void round_end(struct mover *m, struct candidate *c, usec_t now_us)
{
	if (c->proven || (c == m->active && !c->silent)) {
		prober_silent(m, c, "probes unanswered", now_us);
		return;
	}
	c->probing = false;
	c->roam = !c->cfg.interface[0];
	c->probe_heard_us = conn_heard_us(c->conn);
	c->probe_wait_us = c->probe_wait_us
			       ? rto_bound(c->probe_wait_us * 2ull, WAIT_SILENT_US, WAIT_MOST_US)
			       : WAIT_NEW_US;
	c->probe_next_us = now_us + c->probe_wait_us;
}

static uint8_t round_limit(const struct candidate *c)
{
	if (c->proven)
		return TRIES_PROVEN;
	return c->probe_wait_us ? TRIES_AGAIN : TRIES_NEW;
}

/* The active connection: sent, and nothing came back for long; or what came in has stopped,
 * and so may the path have. */
static bool is_suspect(const struct mover *m, const struct candidate *c, usec_t now_us)
{
	usec_t heard = last_heard(c);
	usec_t sent = c->conn->out ? atomic_load(&c->conn->out->last_us) : 0;
	usec_t quiet_us = now_us > heard ? now_us - heard : 0;
	if (sent > heard && sent - heard >= m->cfg.probe_idle_us)
		return true;
	if (heard > c->proof_us && quiet_us >= m->cfg.probe_idle_us)
		return true;
	/* What comes in does not say that ours arrive. */
	return now_us >= c->proof_us + usec_min(m->cfg.probe_spare_us, WAIT_ACTIVE_US);
}

usec_t prober_tick(struct mover *m, struct candidate *c, usec_t now_us)
{
	if (!c->attached)
		return USEC_NEVER;
	bool active = (c == m->active || c->casts) && m->place == MOVER_AWAY;
	if (registrant_is_cold(m, c))
		return USEC_NEVER;
	if (c->probing) {
		if (now_us < c->probe_next_us)
			return c->probe_next_us;
		usec_t heard = conn_heard_us(c->conn);
		uint8_t limit =
		    c->proven && heard > c->probe_first_us ? TRIES_HEARD : c->probe_limit;
		if (c->probe_tries < limit)
			probe_send(m, c, now_us);
		else
			round_end(m, c, now_us);
		return c->probe_next_us;
	}
	/* Its request is out: the reply will tell. */
	if (c == m->active && active && !c->proven && !c->silent && registrant_pending(m))
		return USEC_NEVER;
	bool came_in = c->silent && conn_heard_us(c->conn) > c->probe_heard_us;
	if (now_us >= c->probe_next_us || came_in ||
	    (active && c->proven && is_suspect(m, c, now_us))) {
		round_begin(m, c, round_limit(c), now_us);
		return c->probe_next_us;
	}
	if (!active)
		return c->probe_next_us;
	usec_t look = m->cfg.probe_idle_us / 2;
	return usec_min(c->probe_next_us, now_us + (look > LOOK_LEAST_US ? look : LOOK_LEAST_US));
}

void mover_probe_reply(struct mover *m, struct conn *conn, uint64_t id, usec_t now_us)
{
	struct candidate *c = mover_find(m, conn);
	if (!c || !c->attached || !id || use_reply(m, c, id, now_us))
		return;
	for (unsigned i = 0; i < SENT_KEPT; i++) {
		if (c->probes[i].id != id)
			continue;
		usec_t rtt = now_us - c->probes[i].at_us;
		c->probes[i].id = 0;
		conn_round_trip(conn, rtt < UINT32_MAX ? (uint32_t)rtt : UINT32_MAX);
		prober_heard(m, c, now_us);
		registrant_hurry(m, c, now_us);
		chooser_choose(m, now_us);
		return;
	}
}
