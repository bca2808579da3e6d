/* SPDX-License-Identifier: MIT */
/*
 * The terminal's registrations: one request per home address (RFC 5944 3.6 for IPv4, RFC 6275
 * 11.7 for IPv6), retransmission, the clock (5.7.1), refreshing, hello.
 *
 * Hello.  After a restart of either side the other cannot follow its numbers.  A request that
 * says hello begins a new epoch of ours and tells which epoch of the server's we know, so that
 * the reply can be a hello too.  Two in flight could overtake each other and leave the two
 * nodes in different epochs; so one home address at a time says hello (the first that is
 * pending, IPv4 before IPv6) and the others are held until it is answered.  Every
 * retransmission of it is a hello with an epoch of its own.  When an earlier one is answered
 * first, packets go at once; but if the answer to the last one does not come in its time, it
 * or its answer was lost and one of the nodes is in an epoch that the other does not know:
 * one more hello settles that.
 *
 * Hello epochs are random with IPv4, where the identification says what is fresh; with IPv6
 * they are our clock in seconds, since a Binding Update has nothing else that the server
 * could know after a restart.
 */
#include <string.h>
#include "base/mem.h"
#include "crypto/mac.h"
#include "mobility/mover_state.h"
#include "wire/mip4.h"
#include "wire/mip6.h"

#define RTO_MOST_US	   (5 * USEC_PER_SEC)
#define RTO_UNKNOWN_US	   (250 * USEC_PER_MS) /* second one, round trip unknown; then doubling */
#define TRIP_UNKNOWN_US	   USEC_PER_SEC	       /* what it may be until then */
#define PLAIN_TRIES	   2		       /* then hello */
#define STALE_TRIES	   4		       /* then another connection, if there is one */
#define DEREGISTER_TRIES   6		       /* then packets stop; the request goes on slowly */
#define DEREGISTER_SLOW_US (5 * USEC_PER_SEC)
#define DENIED_WAIT_US	   (10 * USEC_PER_SEC)
#define DENIED_WAIT_MAX_US (120 * USEC_PER_SEC)
#define RESYNCS_PER_SEC	   3
#define BUMP_US		   (2 * USEC_PER_SEC)
#define BUMP_MAX_US	   (6 * USEC_PER_SEC)
#define CLOCKS_AGREE_US	   1500000
#define REQUEST_LIVES_US   (5 * USEC_PER_SEC) /* what is sent may arrive as late */
#define IP_UDP_LEN	   28
#define IP6_LEN		   40
#define SEQUENCE_MARK	   0x10000u /* so that sequence 0 is not "none" */

static uint64_t server_clock_us(const struct mover *m)
{
	return (uint64_t)((int64_t)m->ops.wall_us(m->ops.ctx) + m->offset_us);
}

/* Hello packets are possible. */
bool registrant_has_epochs(const struct candidate *c)
{
	return c->conn->out && c->conn->out->esn && c->conn->out->configured_keys;
}

bool registrant_is_cold(const struct mover *m, const struct candidate *c)
{
	return registrant_has_epochs(c) && m->ops.epoch_heard(m->ops.ctx, c->conn) == 0;
}

bool registrant_pending(const struct mover *m)
{
	for (uint8_t i = 0; i < m->cfg.home_count; i++)
		if (m->regs[i].pending)
			return true;
	return use_pending(m);
}

uint8_t registrant_unanswered(const struct mover *m)
{
	uint8_t most = use_unanswered(m);
	for (uint8_t i = 0; i < m->cfg.home_count; i++) {
		const struct registration *r = &m->regs[i];
		if (!r->pending || r->denied)
			continue;
		/* The early one on a connection never measured says little. */
		bool early = r->unanswered && !r->via->conn->srtt_us;
		uint8_t count = r->unanswered > 1 && early ? r->unanswered - 1 : r->unanswered;
		most = count > most ? count : most;
	}
	return most;
}

static void move_count(struct mover *m, const struct registration *r, size_t octets)
{
	if (!m->move || (m->move_to && r->via != m->move_to))
		return;
	m->move->signalling_packets++;
	m->move->signalling_octets += (uint32_t)octets;
}

static const struct addr *agent_of(const struct mover *m, const struct registration *r)
{
	return r->home.family == 4 ? &m->cfg.home_agent4 : &m->cfg.home_agent6;
}

/* The one that may say hello now. */
static const struct registration *hello_turn(const struct mover *m)
{
	for (int family = 4; family <= 6; family += 2)
		for (uint8_t i = 0; i < m->cfg.home_count; i++)
			if (m->regs[i].pending && !m->regs[i].denied &&
			    m->regs[i].home.family == family)
				return &m->regs[i];
	return NULL;
}

static void sent_add(struct registration *r, uint64_t id, uint32_t hello, usec_t now_us)
{
	r->sent[r->sent_count++ % SENT_KEPT] =
	    (struct sent){.id = id, .at_us = now_us, .hello = hello};
}

static void sent_forget(struct registration *r)
{
	memset(r->sent, 0, sizeof(r->sent));
}

/* The transmission that id (as far as mask) answers; it and all before it are forgotten, so
 * that nothing is answered twice.  hello not NULL: only the one that began this epoch. */
static bool sent_take(struct registration *r, uint64_t id, uint64_t mask, const uint32_t *hello,
		      usec_t *at_us)
{
	for (unsigned back = 1; back <= SENT_KEPT && back <= r->sent_count; back++) {
		unsigned at = r->sent_count - back;
		const struct sent *sent = &r->sent[at % SENT_KEPT];
		if (!sent->id || ((sent->id ^ id) & mask) || (hello && sent->hello != *hello))
			continue;
		*at_us = sent->at_us;
		for (; back <= SENT_KEPT && back <= r->sent_count; back++)
			r->sent[(r->sent_count - back) % SENT_KEPT].id = 0;
		return true;
	}
	return false;
}

/* Later hellos than the one answered are under way, or lost: which epochs the two nodes are in
 * is known when the last of them is answered. */
static bool hello_open(const struct registration *r)
{
	for (unsigned i = 0; i < SENT_KEPT; i++)
		if (r->sent[i].id && r->sent[i].hello)
			return true;
	return false;
}

/* --- requests */

static uint32_t hello_epoch4(struct mover *m)
{
	uint32_t epoch = 0;
	while (epoch == 0 || epoch == UINT32_MAX) /* no number would follow the last */
		m->ops.random(m->ops.ctx, &epoch, sizeof(epoch));
	return epoch;
}

static uint32_t hello_epoch6(struct mover *m)
{
	int64_t clock_s = (int64_t)(m->ops.wall_us(m->ops.ctx) / USEC_PER_SEC);
	uint32_t epoch = (uint32_t)(clock_s + m->hello6_offset_s);
	if (epoch <= m->last_hello6)
		epoch = m->last_hello6 + 1;
	m->last_hello6 = epoch;
	return epoch;
}

static void send4(struct mover *m, struct registration *r, bool hello, usec_t now_us)
{
	struct conn *conn = r->via->conn;
	uint64_t id = mip4_identification(server_clock_us(m));
	if (id <= m->last_id)
		id = m->last_id + 1;
	m->last_id = id;
	struct mip4_request q = {
	    .flags = MIP4_D | MIP4_T,
	    .lifetime_s = r->deregister ? 0 : m->cfg.lifetime_s,
	    .identification = id,
	};
	memcpy(q.home, r->home.b, sizeof(q.home));
	memcpy(q.home_agent, m->cfg.home_agent4.b, sizeof(q.home_agent));
	if (r->deregister)
		memcpy(q.care_of, r->home.b, sizeof(q.care_of));
	else if (r->via->care_of.addr.family == 4)
		memcpy(q.care_of, r->via->care_of.addr.b, sizeof(q.care_of));
	/* An ordinary move needs no more than RFC 5944's own fields. */
	caster_fill4(m, r, &q);
	q.ext.has_epoch = hello;
	q.ext.epoch = q.ext.has_epoch ? m->ops.epoch_heard(m->ops.ctx, conn) : 0;
	q.ext.has_auth = true;
	q.ext.auth_spi = m->cfg.mn_ha_spi;
	uint8_t msg[MIP4_MESSAGE_MAX];
	size_t auth_off;
	size_t len = mip4_write_request(msg, sizeof(msg), &q, &auth_off);
	if (!len ||
	    mac_compute(m->cfg.mn_ha_key, m->cfg.mn_ha_key_len, msg, auth_off, msg + auth_off) != 0)
		return;
	uint32_t epoch = hello ? hello_epoch4(m) : 0;
	sent_add(r, id, epoch, now_us);
	move_count(m, r, len + IP_UDP_LEN);
	m->ops.send_request(m->ops.ctx, conn, &r->home, &m->cfg.home_agent4, msg, len, epoch);
}

static uint16_t lifetime_units(uint16_t lifetime_s)
{
	return (uint16_t)(lifetime_s == MIP4_LIFETIME_INFINITE ? UINT16_MAX
							       : (lifetime_s + 3u) / 4u);
}

static void send6(struct mover *m, struct registration *r, bool hello, usec_t now_us)
{
	struct conn *conn = r->via->conn;
	struct mip6_update q = {
	    .sequence = ++r->sequence,
	    .flags = MIP6_A | MIP6_H,
	    .lifetime_4s = r->deregister ? 0 : lifetime_units(m->cfg.lifetime_s),
	    .has_care_of = r->deregister || r->via->care_of.addr.family == 6,
	    .care_of = r->deregister ? r->home : r->via->care_of.addr,
	    .has_epoch = hello,
	};
	q.epoch = q.has_epoch ? m->ops.epoch_heard(m->ops.ctx, conn) : 0;
	caster_fill6(m, r, &q);
	uint8_t msg[MIP6_MESSAGE_MAX];
	size_t len = mip6_write_update(msg, sizeof(msg), &r->home, &m->cfg.home_agent6, &q);
	if (!len)
		return;
	uint32_t epoch = hello ? hello_epoch6(m) : 0;
	sent_add(r, q.sequence | SEQUENCE_MARK, epoch, now_us);
	move_count(m, r, len + IP6_LEN);
	m->ops.send_request(m->ops.ctx, conn, &r->home, &m->cfg.home_agent6, msg, len, epoch);
}

static void transmit(struct mover *m, struct registration *r, usec_t now_us)
{
	bool hello = registrant_has_epochs(r->via) &&
		     (registrant_is_cold(m, r->via) || r->unanswered >= PLAIN_TRIES);
	r->held = hello && r != hello_turn(m);
	r->next_us = now_us + r->rto_us;
	if (r->held)
		return;
	if (r->unanswered < UINT8_MAX)
		r->unanswered++;
	r->rto_us = rto_bound(r->rto_us * 2ull, 1, RTO_MOST_US);
	if (r->early) {
		r->early = false;
		r->rto_us = RTO_UNKNOWN_US;
	}
	if (r->deregister && r->unanswered >= DEREGISTER_TRIES)
		r->next_us = now_us + DEREGISTER_SLOW_US;
	char home[ADDR_TEXT_MAX];
	(void)addr_format(&r->home, home);
	if (m->move)
		move_note(m->move, now_us, MOVE_REQUEST, "%s over %s%s", home, r->via->conn->name,
			  hello ? ", hello" : "");
	log_debug(m->log, "mover: request home=%s connection=%s try=%u hello=%d", home,
		  r->via->conn->name, r->unanswered, hello);
	m->requested_us = now_us;
	if (r->home.family == 4)
		send4(m, r, hello, now_us);
	else
		send6(m, r, hello, now_us);
}

bool registrant_is_quiet(const struct mover *m, usec_t now_us)
{
	return !registrant_pending(m) &&
	       (!m->requested_us || now_us >= m->requested_us + REQUEST_LIVES_US);
}

/* Never measured, the first retransmission goes out early: a lost request shall not cost a
 * guess of the slowest path, and one too many is cheap (the identification makes it harmless).
 * Only the ones after it are in proportion to what the round trip may be. */
static void rto_begin(struct mover *m, struct registration *r)
{
	r->early = r->via->conn->srtt_us == 0;
	r->rto_us = conn_rto_us(r->via->conn, m->cfg.initial_rto_us);
}

static void prepare(struct mover *m, struct registration *r, struct candidate *c, bool deregister,
		    bool doubt, usec_t now_us)
{
	r->pending = agent_of(m, r)->family == r->home.family;
	r->held = r->denied = false;
	r->deregister = deregister;
	r->via = c;
	r->unanswered = doubt || hello_open(r) ? PLAIN_TRIES : 0;
	r->started_us = now_us;
	r->next_us = USEC_NEVER;
	rto_begin(m, r);
	r->denied_wait_us = 0;
	sent_forget(r);
}

void registrant_start(struct mover *m, struct candidate *c, bool deregister, bool doubt,
		      usec_t now_us)
{
	use_stop(m);
	caster_ask(m, c, deregister);
	for (uint8_t i = 0; i < m->cfg.home_count; i++)
		prepare(m, &m->regs[i], c, deregister, doubt, now_us);
	for (uint8_t i = 0; i < m->cfg.home_count; i++)
		if (m->regs[i].pending)
			transmit(m, &m->regs[i], now_us);
}

void registrant_stop(struct mover *m)
{
	use_stop(m);
	registrant_forget(m);
}

void registrant_forget(struct mover *m)
{
	for (uint8_t i = 0; i < m->cfg.home_count; i++) {
		struct registration *r = &m->regs[i];
		r->pending = r->held = r->denied = false;
		r->next_us = USEC_NEVER;
		sent_forget(r);
	}
}

/* Those that waited for a hello to be answered. */
static void release_held(struct mover *m, usec_t now_us)
{
	for (uint8_t i = 0; i < m->cfg.home_count; i++) {
		struct registration *r = &m->regs[i];
		if (!r->pending || !r->held)
			continue;
		r->unanswered = 0;
		transmit(m, r, now_us);
	}
}

void registrant_hurry(struct mover *m, struct candidate *c, usec_t now_us)
{
	use_hurry(m, c, now_us);
	for (uint8_t i = 0; i < m->cfg.home_count; i++) {
		struct registration *r = &m->regs[i];
		uint32_t rto = conn_rto_us(c->conn, m->cfg.initial_rto_us);
		if (!r->pending || r->denied || r->held || r->via != c || r->next_us < now_us + rto)
			continue;
		r->rto_us = rto;
		transmit(m, r, now_us);
	}
}

/* Nobody waits for it any more, but while the server may still have the binding it keeps our
 * packets from us. */
static void deregister_elsewhere(struct mover *m, struct registration *r, usec_t now_us)
{
	chooser_deregistered(m, false, now_us);
	usec_t lifetime_us = (usec_t)m->cfg.lifetime_s * USEC_PER_SEC;
	if (m->cfg.lifetime_s != MIP4_LIFETIME_INFINITE &&
	    now_us > m->home_since_us + lifetime_us + DEREGISTER_SLOW_US) {
		registrant_stop(m);
		return;
	}
	registrant_start(m, chooser_next_via(m, r->via, now_us), true, true, now_us);
}

/* Unanswered transmissions that have had the time for it. */
static unsigned overdue(const struct registration *r, usec_t now_us)
{
	uint32_t srtt_us = r->via->conn->srtt_us;
	usec_t trip_us = srtt_us ? srtt_us : TRIP_UNKNOWN_US;
	unsigned young = 0;
	for (unsigned i = 0; i < SENT_KEPT; i++)
		young += r->sent[i].id && r->sent[i].at_us + trip_us > now_us;
	return r->unanswered > young ? r->unanswered - young : 0;
}

/* Nothing says that its path works, though requests are not answered.  Without probes, in a
 * start, an answer before these requests (a denial) says nothing of now. */
static bool has_no_proof(const struct mover *m, const struct registration *r)
{
	return r->via->proof_us < r->started_us || registrant_is_cold(m, r->via);
}

static void on_timer(struct mover *m, struct registration *r, usec_t now_us)
{
	if (!r->pending && m->cfg.by_data && now_us >= m->use_again_us && !hello_open(r)) {
		registrant_begin(m, m->active, false, now_us);
		return;
	}
	if (!r->pending) {
		/* Half the lifetime is over, or the answer to a hello is. */
		prepare(m, r, m->active, false, false, now_us);
		transmit(m, r, now_us);
		return;
	}
	if (r->denied) {
		r->denied = false;
		r->unanswered = 0;
		rto_begin(m, r);
	} else if (r->deregister && r->unanswered >= DEREGISTER_TRIES) {
		deregister_elsewhere(m, r, now_us);
		return;
	} else if (!r->deregister && overdue(r, now_us) >= STALE_TRIES && has_no_proof(m, r) &&
		   (chooser_has_other(m, r->via) || r->via->cfg.made)) {
		/* Another connection may be had where a key exchange makes them. */
		r->next_us = now_us + r->rto_us;
		prober_silent(m, r->via, "requests unanswered", now_us);
		return;
	}
	transmit(m, r, now_us);
}

usec_t registrant_tick(struct mover *m, usec_t now_us)
{
	usec_t next = use_tick(m, now_us);
	for (uint8_t i = 0; i < m->cfg.home_count; i++) {
		struct registration *r = &m->regs[i];
		if (r->registered && r->expires_us <= now_us) {
			r->registered = false;
			log_warn(m->log, "mover: registration ended for want of a reply");
		}
		bool due = r->pending || (r->registered && m->active && !r->deregister);
		if (!due)
			continue;
		if (r->next_us <= now_us)
			on_timer(m, r, now_us);
		next = usec_min(next, r->next_us);
		if (r->registered)
			next = usec_min(next, r->expires_us);
	}
	return next;
}

/* --- replies */

static usec_t refresh_wait_us(struct mover *m, uint32_t granted_s)
{
	uint32_t random;
	m->ops.random(m->ops.ctx, &random, sizeof(random));
	usec_t half = (usec_t)granted_s * USEC_PER_SEC / 2;
	return half - half / 10 * (random & 0xff) / 255;
}

static void accepted(struct mover *m, struct registration *r, struct candidate *c, uint8_t code,
		     uint16_t granted_s, usec_t now_us)
{
	char home[ADDR_TEXT_MAX];
	(void)addr_format(&r->home, home);
	r->pending = r->held = r->denied = false;
	r->unanswered = 0;
	m->bump_us = 0;
	r->registered = !r->deregister;
	r->by_setup = r->by_data = false;
	bool infinite = granted_s == MIP4_LIFETIME_INFINITE;
	r->expires_us =
	    infinite || r->deregister ? USEC_NEVER : now_us + (usec_t)granted_s * USEC_PER_SEC;
	r->next_us =
	    infinite || r->deregister ? USEC_NEVER : now_us + refresh_wait_us(m, granted_s);
	r->refresh_us = r->next_us;
	/* Not past the refresh: an answer that was held back makes the round trip look long. */
	if (hello_open(r))
		r->next_us =
		    usec_min(r->refresh_us, now_us + conn_rto_us(c->conn, m->cfg.initial_rto_us));
	log_info(m->log, "mover: %s home=%s connection=%s lifetime_s=%u code=%u",
		 r->deregister ? "deregistered" : "registered", home, c->conn->name, granted_s,
		 code);
	struct move *move = m->move ? m->move : m->failed;
	m->failed = NULL;
	if (move) {
		m->move_replied = true;
		move->by = "request";
		move_note(move, now_us, MOVE_REPLY, "%s code %u", home, code);
	}
	release_held(m, now_us);
	if (!r->deregister)
		chooser_registered(m, c, now_us);
	else if (!registrant_pending(m))
		chooser_deregistered(m, true, now_us);
}

void registrant_set_up(struct mover *m, struct candidate *c, uint16_t granted_s, usec_t now_us)
{
	caster_unask(m);
	for (uint8_t i = 0; i < m->cfg.home_count; i++) {
		struct registration *r = &m->regs[i];
		prepare(m, r, c, false, false, now_us);
		r->last_code = MIP4_ACCEPTED;
		accepted(m, r, c, MIP4_ACCEPTED, granted_s, now_us);
		r->by_setup = true;
	}
	if (m->move)
		m->move->by = "setup";
}

static void denied(struct mover *m, struct registration *r, struct candidate *c, uint8_t code,
		   const char *text, usec_t now_us)
{
	char home[ADDR_TEXT_MAX];
	r->denied = true;
	r->held = false;
	r->denied_wait_us = r->denied_wait_us ? rto_bound(r->denied_wait_us * 2ull, DENIED_WAIT_US,
							  DENIED_WAIT_MAX_US)
					      : DENIED_WAIT_US;
	r->next_us = now_us + r->denied_wait_us;
	if (log_limit_ok(&m->reply_limit, now_us, 5))
		log_warn(m->log,
			 "mover: denied home=%s connection=%s code=%u reason=\"%s\" retry_s=%u",
			 addr_format(&r->home, home), c->conn->name, code, text,
			 r->denied_wait_us / USEC_PER_SEC);
	if (m->move)
		move_note(m->move, now_us, MOVE_REPLY, "denied, code %u: %s", code, text);
	release_held(m, now_us);
	if (r->deregister)
		chooser_deregistered(m, false, now_us);
}

/* A request that was only out of step is sent again at once, a few times a second. */
static void again(struct mover *m, struct registration *r, bool hello, usec_t now_us)
{
	if (now_us >= m->resync_since_us + USEC_PER_SEC) {
		m->resync_since_us = now_us;
		m->resync_count = 0;
	}
	/* Who could only answer a hello with a hello cannot follow our numbers yet. */
	r->unanswered = hello ? PLAIN_TRIES : 0;
	rto_begin(m, r);
	if (m->resync_count >= RESYNCS_PER_SEC) {
		r->next_us = m->resync_since_us + USEC_PER_SEC;
		return;
	}
	m->resync_count++;
	transmit(m, r, now_us);
}

void mover_set_agent(struct mover *m, const struct mover_agent *a)
{
	size_t len = a->mn_ha_key_len < MOVER_KEY_MAX ? a->mn_ha_key_len : MOVER_KEY_MAX;
	bool same = a->mn_ha_spi == m->cfg.mn_ha_spi && len == m->cfg.mn_ha_key_len &&
		    mem_equal(a->mn_ha_key, m->cfg.mn_ha_key, len);
	m->cfg.home_agent4 = a->home_agent4;
	m->cfg.home_agent6 = a->home_agent6;
	m->cfg.mn_ha_spi = a->mn_ha_spi;
	mem_wipe(m->cfg.mn_ha_key, sizeof(m->cfg.mn_ha_key));
	m->cfg.mn_ha_key_len = len;
	memcpy(m->cfg.mn_ha_key, a->mn_ha_key, len);
	if (!a->clock)
		return;
	if (!same) {
		m->offset_us =
		    (int64_t)mip4_wall_us(a->clock) - (int64_t)m->ops.wall_us(m->ops.ctx);
		m->bump_us = 0;
		m->last_id = 0;
	}
	/* A setup is past what was asked before: what we ask next comes after both. */
	if (a->clock > m->last_id)
		m->last_id = a->clock;
}

/* RFC 5944 5.7.1.  When the clocks agree already the server has accepted a later one of ours
 * (before a restart): go ahead of it in steps, within what it tolerates. */
static void resync(struct mover *m, uint64_t server_us, usec_t now_us)
{
	int64_t apart = (int64_t)(server_clock_us(m) - m->bump_us) - (int64_t)server_us;
	if (apart > -CLOCKS_AGREE_US && apart < CLOCKS_AGREE_US)
		m->bump_us = rto_bound(m->bump_us + BUMP_US, 0, BUMP_MAX_US);
	else
		m->bump_us = 0;
	m->offset_us = (int64_t)server_us - (int64_t)m->ops.wall_us(m->ops.ctx) + m->bump_us;
	/* What was sent with the old clock has no meaning any more, its order neither. */
	m->last_id = 0;
	for (uint8_t i = 0; i < m->cfg.home_count; i++)
		if (m->regs[i].home.family == 4)
			sent_forget(&m->regs[i]);
	log_info(m->log, "mover: clock of the server offset_ms=%lld",
		 (long long)(m->offset_us / 1000));
	if (m->move)
		move_note(m->move, now_us, MOVE_NOTE, "the server's clock is %lld ms ahead",
			  (long long)(m->offset_us / 1000));
}

static bool authentic(const struct mover *m, const uint8_t *msg, size_t len,
		      const struct mip4_ext *ext)
{
	if (!ext->has_auth || ext->auth_spi != m->cfg.mn_ha_spi || ext->auth_len != MIP4_AUTH_LEN ||
	    ext->auth_covers > len)
		return false;
	uint8_t mac[MAC_LEN];
	bool ok =
	    mac_compute(m->cfg.mn_ha_key, m->cfg.mn_ha_key_len, msg, ext->auth_covers, mac) == 0 &&
	    mem_equal(mac, ext->auth, MIP4_AUTH_LEN);
	mem_wipe(mac, sizeof(mac));
	return ok;
}

static struct registration *registration_of(struct mover *m, const struct addr *home,
					    const struct candidate *c)
{
	for (uint8_t i = 0; i < m->cfg.home_count; i++)
		if (addr_equal(&m->regs[i].home, home) && m->regs[i].via == c)
			return &m->regs[i];
	return NULL;
}

/* An answer to something we asked came over c: c works. */
static void answered(struct mover *m, struct registration *r, struct candidate *c, uint8_t code,
		     usec_t sent_us, size_t octets, usec_t now_us)
{
	usec_t rtt = now_us - sent_us;
	r->last_code = code;
	conn_round_trip(c->conn, rtt < UINT32_MAX ? (uint32_t)rtt : UINT32_MAX);
	move_count(m, r, octets);
	prober_heard(m, c, now_us);
}

/* The server's numbers go on from here; now probes can be answered in a way that we read. */
static void epoch_begin(struct mover *m, struct candidate *c, uint64_t number, usec_t now_us)
{
	m->ops.epoch_accepted(m->ops.ctx, c->conn, number);
	m->move_top = 0; /* nothing can be said of what the old window lacks */
	prober_hurry_others(m, c, now_us);
}

/* Another answer to what was accepted before. */
static void settle(struct registration *r)
{
	if (!hello_open(r))
		r->next_us = r->refresh_us;
}

void mover_reply4(struct mover *m, struct conn *conn, const uint8_t *msg, size_t len, bool hello,
		  uint64_t number, usec_t now_us)
{
	struct mip4_reply reply;
	struct candidate *c = mover_find(m, conn);
	if (!c || mip4_read_reply(msg, len, &reply) != MIP4_OK)
		return;
	struct addr home = addr_from_bytes(4, reply.home);
	struct registration *r = registration_of(m, &home, c);
	if (!r || !authentic(m, msg, len, &reply.ext))
		return;
	/* With 133 the high half is the server's clock. */
	uint64_t mask = reply.code == MIP4_ID_MISMATCH ? UINT32_MAX : UINT64_MAX;
	usec_t sent_us;
	if (!sent_take(r, reply.identification, mask, NULL, &sent_us))
		return;
	answered(m, r, c, reply.code, sent_us, len + IP_UDP_LEN, now_us);
	bool ok = reply.code == MIP4_ACCEPTED || reply.code == MIP4_ACCEPTED_NO_SIMULTANEOUS;
	bool plainer = caster_reply4(m, &reply, now_us);
	/* Also when an earlier transmission was accepted before: its epoch is the last. */
	if (ok && hello)
		epoch_begin(m, c, number, now_us);
	if (!r->pending) {
		if (ok)
			settle(r);
		return;
	}
	if (ok && (r->deregister || reply.lifetime_s)) {
		accepted(m, r, c, reply.code, reply.lifetime_s, now_us);
	} else if (reply.code == MIP4_ID_MISMATCH) {
		/* The low half is ours: half a second is the best guess. */
		resync(m, mip4_wall_us((reply.identification & ~(uint64_t)UINT32_MAX) | 1u << 31),
		       now_us);
		again(m, r, hello, now_us);
	} else if (plainer) {
		again(m, r, hello, now_us);
	} else {
		denied(m, r, c, reply.code, mip4_code_text(reply.code), now_us);
	}
	chooser_choose(m, now_us);
}

/* A hello has no place in our window, and nothing but a sequence number of 16 bits would say
 * that it is not an old one: it must name the hello of ours that it answers, and that is never
 * one that was out of sequence. */
static bool ack_is_ours(struct registration *r, const struct mip6_ack *ack, bool hello,
			usec_t *sent_us)
{
	if (hello) {
		if (!ack->result_count || ack->results[0].code != MIP4_ACCEPTED ||
		    !ack->results[0].spi || ack->status == MIP6_SEQUENCE_OUT_OF_WINDOW)
			return false;
		return sent_take(r, ack->sequence | SEQUENCE_MARK, UINT64_MAX, &ack->results[0].spi,
				 sent_us);
	}
	if (ack->status != MIP6_SEQUENCE_OUT_OF_WINDOW)
		return sent_take(r, ack->sequence | SEQUENCE_MARK, UINT64_MAX, NULL, sent_us);
	/* Carries the server's last one instead of ours: an answer to the newest. */
	for (unsigned i = 0; i < SENT_KEPT; i++)
		if (r->pending && r->sent[i].id)
			return sent_take(r, r->sequence | SEQUENCE_MARK, UINT64_MAX, NULL, sent_us);
	return false;
}

/* The epoch that the server would take; 0: it did not say. */
static uint32_t ack_wanted_epoch(const struct mip6_ack *ack)
{
	for (uint8_t i = 0; ack->status == MIP6_UNSPECIFIED && i < ack->result_count; i++)
		if (ack->results[i].code == MIP4_ID_MISMATCH)
			return ack->results[i].spi;
	return 0;
}

void mover_reply6(struct mover *m, struct conn *conn, const struct addr *src,
		  const struct addr *dst, const uint8_t *msg, size_t len, bool hello,
		  uint64_t number, usec_t now_us)
{
	struct mip6_ack ack;
	struct candidate *c = mover_find(m, conn);
	if (!c || !addr_equal(src, &m->cfg.home_agent6) || !mip6_read_ack(msg, len, src, dst, &ack))
		return;
	struct registration *r = registration_of(m, dst, c);
	usec_t sent_us;
	if (!r || !ack_is_ours(r, &ack, hello, &sent_us))
		return;
	answered(m, r, c, ack.status, sent_us, len + IP6_LEN, now_us);
	bool ok = ack.status < MIP6_UNSPECIFIED;
	caster_reply6(m, &ack, now_us);
	if (ok && hello)
		epoch_begin(m, c, number, now_us);
	if (!r->pending) {
		if (ok)
			settle(r);
		return;
	}
	uint32_t granted = ack.lifetime_4s * 4u, wanted = ack_wanted_epoch(&ack);
	if (ok && (r->deregister || granted)) {
		accepted(m, r, c, ack.status,
			 granted > MIP4_LIFETIME_INFINITE ? MIP4_LIFETIME_INFINITE
							  : (uint16_t)granted,
			 now_us);
	} else if (ack.status == MIP6_SEQUENCE_OUT_OF_WINDOW) {
		r->sequence = ack.sequence;
		again(m, r, hello, now_us);
	} else if (wanted) {
		m->hello6_offset_s =
		    (int64_t)wanted - (int64_t)(m->ops.wall_us(m->ops.ctx) / USEC_PER_SEC);
		m->last_hello6 = wanted - 1;
		again(m, r, hello, now_us);
	} else {
		denied(m, r, c, ack.status, mip6_status_text(ack.status), now_us);
	}
	chooser_choose(m, now_us);
}
