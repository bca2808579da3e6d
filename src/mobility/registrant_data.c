/* SPDX-License-Identifier: MIT */
/*
 * The terminal's registration by data: it sends on another connection, and the newest packet that
 * comes there moves the binding.  That may be any packet; but whether it came, and whether the
 * server permits it, is known by an answer only.  So one probe says that the connection is used,
 * and is repeated until it is answered, which the server does when the connection is active.
 *
 * Without an answer it is asked for as ever (registrant.c): the server may not permit it, or may
 * have lost our numbers.  With configured keys the first registration after a start always is a
 * request, since numbers begin with one.
 *
 * Nothing ends on its own here: the server keeps the binding while it hears the connection, and
 * the active one is never silent for longer than between two probes.
 */
#include <string.h>
#include "mobility/mover_state.h"
#include "wire/esp.h"

#define TRIES	    3
#define REFUSED_US  (600ull * USEC_PER_SEC) /* until it is tried again */
#define RTO_MOST_US (2 * USEC_PER_SEC)

/* The server can tell our packets' order over all connections. */
static bool is_possible(const struct mover *m, const struct candidate *c, usec_t now_us)
{
	const struct conn *conn = c->conn;
	return m->cfg.by_data && !m->cfg.ncast && m->ops.send_use && now_us >= m->use_again_us &&
	       conn->out && conn->peer && conn->out->space == &conn->peer->space &&
	       !registrant_is_cold(m, c);
}

static void use_count(struct mover *m)
{
	if (!m->move || m->use.via != m->move_to)
		return;
	m->move->signalling_packets++;
	m->move->signalling_octets += ESP_PROBE_LEN;
}

static void use_send(struct mover *m, usec_t now_us)
{
	struct use *u = &m->use;
	uint64_t id = 0;
	while (!id)
		m->ops.random(m->ops.ctx, &id, sizeof(id));
	u->sent[u->sent_count++ % SENT_KEPT] = (struct sent){.id = id, .at_us = now_us};
	u->unanswered++;
	u->next_us = now_us + u->rto_us;
	u->rto_us = rto_bound(u->rto_us * 2ull, 1, RTO_MOST_US);
	if (m->move)
		move_note(m->move, now_us, MOVE_REQUEST, "by data over %s", u->via->conn->name);
	log_debug(m->log, "mover: by data connection=%s try=%u", u->via->conn->name, u->unanswered);
	use_count(m);
	m->ops.send_use(m->ops.ctx, u->via->conn, id);
}

/* An answer that was held back makes the round trip look long. */
static uint32_t use_rto_us(const struct mover *m, const struct candidate *c)
{
	return rto_bound(conn_rto_us(c->conn, m->cfg.initial_rto_us), 1, RTO_MOST_US);
}

void registrant_begin(struct mover *m, struct candidate *c, bool doubt, usec_t now_us)
{
	if (!is_possible(m, c, now_us) || (doubt && registrant_has_epochs(c))) {
		registrant_start(m, c, false, doubt, now_us);
		return;
	}
	registrant_stop(m);
	/* What is refreshed is not due again before this is answered. */
	for (uint8_t i = 0; i < m->cfg.home_count; i++) {
		m->regs[i].via = c;
		m->regs[i].deregister = false;
	}
	m->use = (struct use){.via = c, .started_us = now_us};
	m->use.rto_us = use_rto_us(m, c);
	use_send(m, now_us);
}

void use_stop(struct mover *m)
{
	memset(&m->use, 0, sizeof(m->use));
}

bool use_pending(const struct mover *m)
{
	return m->use.via != NULL;
}

/* As with requests, the early one on a connection never measured says little. */
uint8_t use_unanswered(const struct mover *m)
{
	const struct use *u = &m->use;
	if (!u->via)
		return 0;
	return u->unanswered > 1 && !u->via->conn->srtt_us ? u->unanswered - 1 : u->unanswered;
}

void use_hurry(struct mover *m, struct candidate *c, usec_t now_us)
{
	uint32_t rto = use_rto_us(m, c);
	if (m->use.via != c || m->use.next_us < now_us + rto)
		return;
	m->use.rto_us = rto;
	use_send(m, now_us);
}

static void use_done(struct mover *m, struct candidate *c, usec_t now_us)
{
	for (uint8_t i = 0; i < m->cfg.home_count; i++) {
		struct registration *r = &m->regs[i];
		r->registered = r->by_data = true;
		r->by_setup = r->deregister = false;
		r->expires_us = r->next_us = r->refresh_us = USEC_NEVER;
		r->last_code = 0;
	}
	log_info(m->log, "mover: registered by data connection=%s", c->conn->name);
	struct move *move = m->move ? m->move : m->failed;
	m->failed = NULL;
	if (move) {
		m->move_replied = true;
		move->by = "data";
		move_note(move, now_us, MOVE_REPLY, "active: %s", c->conn->name);
	}
	chooser_registered(m, c, now_us);
}

bool use_reply(struct mover *m, struct candidate *c, uint64_t id, usec_t now_us)
{
	struct use *u = &m->use;
	for (unsigned i = 0; i < SENT_KEPT && u->via == c; i++) {
		if (u->sent[i].id != id)
			continue;
		usec_t rtt = now_us - u->sent[i].at_us;
		conn_round_trip(c->conn, rtt < UINT32_MAX ? (uint32_t)rtt : UINT32_MAX);
		use_count(m);
		use_stop(m);
		prober_heard(m, c, now_us);
		use_done(m, c, now_us);
		chooser_choose(m, now_us);
		return true;
	}
	return false;
}

usec_t use_tick(struct mover *m, usec_t now_us)
{
	struct use *u = &m->use;
	if (!u->via)
		return USEC_NEVER;
	if (now_us < u->next_us)
		return u->next_us;
	if (u->unanswered < TRIES) {
		use_send(m, now_us);
		return u->next_us;
	}
	struct candidate *via = u->via;
	/* The way works, and it is not answered: the server does not permit it. */
	bool doubt = via->proof_us < u->started_us;
	if (!doubt)
		m->use_again_us = now_us + REFUSED_US;
	log_info(m->log, "mover: by data unanswered, asks connection=%s", via->conn->name);
	registrant_start(m, via, false, doubt, now_us);
	return USEC_NEVER; /* the requests have deadlines of their own */
}
