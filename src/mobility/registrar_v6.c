/* SPDX-License-Identifier: MIT */
/*
 * RFC 6275 Binding Updates on the home server (10.3.1, 10.3.2).
 *
 * A Binding Update is authenticated by the SA it came in (RFC 6275 5.1) and ordered by its
 * sequence number (9.5.1).  One that came as a hello has neither a place in the replay window
 * nor an identification, so the hello itself must be fresh: its epoch is the terminal's clock
 * in seconds, later than that of the last one, than the last Update, and near ours.  The denial
 * says what would be fresh: status 128 with a result of code 133 whose SPI field is our clock in
 * seconds, or the first epoch after the last one if that is later.  An acknowledgement that is a
 * hello names the hello it answers.
 *
 * Binding identifiers (RFC 5648) are names that the terminal gives its connections.  Our own option
 * says which connections they stand for; without it, one that is not known yet stands for the
 * connection the Update came on.  Where one connection is all that is allowed they are not looked
 * at, as a home agent does that knows nothing of them.
 */
#include <string.h>
#include "mobility/binding.h"
#include "wire/mip6.h"

#define HELLO_TOLERANCE_S 7
#define IP6_LEN		  40

struct request6 {
	const struct registrar_arrival *a;
	struct registrar_terminal *t;
	size_t len;
	struct mip6_update m;
	char home_text[ADDR_TEXT_MAX];
};

static uint32_t clock_s(const struct request6 *q)
{
	return (uint32_t)(q->a->wall_us / USEC_PER_SEC);
}

static bool hello_is_fresh(const struct request6 *q)
{
	uint32_t epoch = (uint32_t)(q->a->number >> 32);
	int64_t apart = (int64_t)epoch - clock_s(q);
	return epoch > q->t->last_hello6 && apart <= HELLO_TOLERANCE_S &&
	       apart >= -HELLO_TOLERANCE_S;
}

static uint32_t hello_wanted(const struct request6 *q)
{
	uint32_t ours = clock_s(q);
	return ours > q->t->last_hello6 ? ours : q->t->last_hello6 + 1;
}

/* As the first result: which hello an acknowledgement answers that is a hello itself, and so
 * has no place in the terminal's window and could be an old one replayed. */
static void ack_echo(struct mip6_ack *ack, uint32_t epoch)
{
	if (ack->result_count == MIP4_SPIS_MAX)
		ack->result_count--;
	memmove(&ack->results[1], &ack->results[0], ack->result_count * sizeof(ack->results[0]));
	ack->results[0].spi = epoch;
	ack->results[0].code = MIP4_ACCEPTED;
	ack->result_count++;
}

/* Returns the acknowledgement's length with its IP header; 0: not sent. */
static size_t ack_send(struct registrar *r, const struct request6 *q, struct mip6_ack *ack)
{
	const struct registrar_arrival *a = q->a;
	struct addr from = binding_is_agent(r, &a->dst) ? a->dst : binding_agent(r, 6);
	bool denial = ack->status >= MIP6_UNSPECIFIED;
	bool lost = binding_epoch_unknown(r, a->conn, q->m.has_epoch, q->m.epoch);
	bool denial_once = denial && (lost || a->hello) && r->ops.send_denial6;
	bool hello = lost && !denial;
	if (hello || denial_once)
		ack_echo(ack, (uint32_t)(a->number >> 32));
	uint8_t msg[MIP6_MESSAGE_MAX];
	size_t len = mip6_write_ack(msg, sizeof(msg), &from, &a->src, ack);
	if (!len)
		return 0;
	if (denial_once)
		r->ops.send_denial6(r->ops.ctx, a->conn, &from, &a->src, msg, len);
	else
		r->ops.send_reply6(r->ops.ctx, a->conn, &from, &a->src, msg, len, hello);
	return len + IP6_LEN;
}

/* Of those that our own option named. */
static void ack_results(struct mip6_ack *ack, const struct request6 *q,
			const struct binding_plan *plan)
{
	if (!q->m.has_connections)
		return;
	for (uint8_t i = 0; i < plan->result_count; i++) {
		ack->results[i].spi = plan->results[i].spi;
		ack->results[i].code = plan->results[i].code;
	}
	ack->result_count = plan->result_count;
}

/* The one that the terminal calls so; NULL: none in the binding. */
static struct conn *bid_find(const struct binding *b, uint16_t bid)
{
	for (uint8_t i = 0; i < b->count; i++)
		if (b->conns[i]->bid == bid)
			return b->conns[i];
	return NULL;
}

static bool bids_count(const struct request6 *q)
{
	return q->m.bid_count && binding_room(q->t) > 1;
}

/* What the identifiers ask for.  Status 0, or why not (RFC 5648 6.2). */
static uint8_t bids_read(const struct request6 *q, const struct binding *b, struct binding_ask *ask)
{
	const struct mip6_update *m = &q->m;
	ask->simultaneous = m->bid_count > 0;
	if (m->has_connections)
		return !m->bid_count || m->bid_count == m->spi_count ? MIP6_ACCEPTED
								     : MIP6_BID_MALFORMED;
	if (!bids_count(q))
		return MIP6_ACCEPTED;
	bool overwrite = m->flags & MIP6_O;
	if (!overwrite && bid_find(b, 0))
		return MIP6_BINDING_WITHOUT_BID;
	bool here = false;
	ask->has_connections = true;
	ask->everything = false;
	ask->op = overwrite ? MIP4_OP_REPLACE : MIP4_OP_ADD;
	ask->spi_count = m->bid_count;
	for (uint8_t i = 0; i < m->bid_count; i++) {
		const struct conn *c = bid_find(b, m->bids[i].bid);
		if (!c && !here && !ask->deregister) {
			here = true;
			c = q->a->conn;
		}
		ask->spis[i] = c ? c->in->spi : 0; /* which no connection has */
	}
	return MIP6_ACCEPTED;
}

static void bids_keep(const struct registrar *r, const struct request6 *q,
		      const struct binding_ask *ask, const struct binding_plan *plan)
{
	if (ask->deregister)
		return;
	if (!bids_count(q)) {
		for (uint8_t i = 0; i < plan->count; i++)
			plan->conns[i]->bid = 0;
		return;
	}
	for (uint8_t i = 0; i < q->m.bid_count && i < plan->result_count; i++) {
		struct conn *c = conn_find_spi(r->table, plan->results[i].spi);
		struct conn *before = bid_find(ask->binding, q->m.bids[i].bid);
		if (plan->results[i].code != MIP4_ACCEPTED || !c)
			continue;
		if (before)
			before->bid = 0;
		c->bid = q->m.bids[i].bid;
	}
}

static uint8_t bid_status(uint8_t code, bool remove)
{
	if (code == MIP4_ACCEPTED)
		return MIP6_ACCEPTED;
	if (code == MIP4_TOO_MANY_BINDINGS)
		return MIP6_NO_RESOURCES;
	return remove ? MIP6_BID_UNKNOWN : MIP6_PROHIBITED;
}

static void ack_bids(struct mip6_ack *ack, const struct request6 *q,
		     const struct binding_plan *plan, bool remove)
{
	if (!bids_count(q))
		return;
	for (uint8_t i = 0; i < q->m.bid_count && i < plan->result_count; i++) {
		ack->bids[i].bid = q->m.bids[i].bid;
		ack->bids[i].status = bid_status(plan->results[i].code, remove);
		if (ack->bids[i].status && ack->status == MIP6_ACCEPTED)
			ack->status = MIP6_BIDS_INCOMPLETE;
		ack->bid_count = (uint8_t)(i + 1);
	}
}

static void deny(struct registrar *r, const struct request6 *q, struct mip6_ack *ack)
{
	binding_count_denied(r, q->a, q->t, q->home_text, ack->status,
			     mip6_status_text(ack->status));
	(void)ack_send(r, q, ack);
}

static uint8_t status_of(uint8_t code)
{
	return code == MIP4_TOO_MANY_BINDINGS ? MIP6_NO_RESOURCES : MIP6_PROHIBITED;
}

/* Units granted; 0 deregisters. */
static uint16_t lifetime_grant(const struct request6 *q)
{
	if (!q->m.lifetime_4s)
		return 0;
	if (q->t->lifetime_max_s == MIP4_LIFETIME_INFINITE) {
		if (q->m.lifetime_4s == UINT16_MAX)
			return UINT16_MAX;
		/* A binding's lifetime is kept in seconds of 16 bits. */
		return q->m.lifetime_4s < 16383 ? q->m.lifetime_4s : 16383;
	}
	uint16_t max = (uint16_t)(q->t->lifetime_max_s / 4);
	uint16_t units = q->m.lifetime_4s < max ? q->m.lifetime_4s : max;
	return units ? units : 1;
}

static void ask_from(const struct request6 *q, struct binding *b, uint16_t units,
		     struct binding_ask *ask)
{
	const struct mip6_update *m = &q->m;
	*ask = (struct binding_ask){
	    .binding = b,
	    .conn = q->a->conn,
	    .deregister = units == 0,
	    /* Without the option the care-of address is the source, which is the home. */
	    .everything = units == 0 && !m->has_connections &&
			  (!m->has_care_of || addr_equal(&m->care_of, &q->a->src)),
	    .lifetime_s = units == UINT16_MAX ? MIP4_LIFETIME_INFINITE : (uint16_t)(units * 4),
	    .has_connections = m->has_connections,
	    .op = m->op,
	    .spi_count = m->spi_count,
	};
	memcpy(ask->spis, m->spis, sizeof(ask->spis));
}

static void registrar_commit6(struct registrar *r, const struct request6 *q,
			      const struct binding_ask *ask, const struct binding_plan *plan,
			      uint16_t units)
{
	const struct registrar_arrival *a = q->a;
	struct binding *b = ask->binding;
	b->sequence = q->m.sequence;
	b->has_sequence = true;
	/* What it said before this must not come later, a hello that somebody kept back neither. */
	uint32_t said = a->hello ? (uint32_t)(a->number >> 32) : clock_s(q);
	if (said > q->t->last_hello6)
		q->t->last_hello6 = said;
	bids_keep(r, q, ask, plan);
	bool changed = binding_assign(r, b, plan->conns, plan->count, BINDING_BY_REQUEST,
				      ask->lifetime_s, a->now_us, a->wall_us);
	r->counters.accepted++;
	if (ask->deregister) {
		r->counters.deregistrations++;
		q->t->left |= !plan->count;
	}
	if (a->hello)
		r->ops.epoch_accepted(r->ops.ctx, a->conn, a->number);
	if (changed)
		r->ops.binding_changed(r->ops.ctx, b);
	log_info(r->log, "registrar: %s terminal=%s home=%s connection=%s lifetime_s=%u%s",
		 ask->deregister ? "deregistered" : "accepted", q->t->name, q->home_text,
		 a->conn->name, ask->lifetime_s, a->hello ? " hello=yes" : "");
	size_t octets = q->len + IP6_LEN;
	if (q->m.flags & MIP6_A) {
		struct mip6_ack ack = {.sequence = q->m.sequence, .lifetime_4s = units};
		ack_results(&ack, q, plan);
		ack_bids(&ack, q, plan, ask->deregister);
		octets += ack_send(r, q, &ack);
	}
	binding_note_reply(r, changed, a->now_us, octets, MIP6_ACCEPTED);
}

void registrar_request6(struct registrar *r, const struct registrar_arrival *a, const uint8_t *msg,
			size_t len)
{
	r->counters.requests++;
	struct request6 q = {.a = a, .len = len};
	q.t = binding_terminal(a->conn);
	if (!q.t || a->src.family != 6 || !mip6_read_update(msg, len, &a->src, &a->dst, &q.m)) {
		r->counters.silent++;
		return;
	}
	(void)addr_format(&a->src, q.home_text);
	struct binding *b = binding_find(q.t, &a->src);
	struct mip6_ack denial = {.sequence = q.m.sequence};
	if (!b) {
		denial.status = MIP6_PROHIBITED;
	} else if (!binding_is_agent(r, &a->dst)) {
		denial.status = MIP6_NOT_HOME_AGENT;
	} else if (!(q.m.flags & MIP6_H)) {
		denial.status = MIP6_HOME_REG_UNSUPPORTED;
	} else if (a->hello && !hello_is_fresh(&q)) {
		denial.status = MIP6_UNSPECIFIED;
		denial.result_count = 1;
		denial.results[0].spi = hello_wanted(&q);
		denial.results[0].code = MIP4_ID_MISMATCH;
	} else if (!a->hello && b->has_sequence &&
		   (int16_t)(uint16_t)(q.m.sequence - b->sequence) <= 0) {
		denial.status = MIP6_SEQUENCE_OUT_OF_WINDOW;
		denial.sequence = b->sequence;
	}
	if (!b || denial.status) {
		deny(r, &q, &denial);
		return;
	}
	struct binding_ask ask;
	struct binding_plan plan;
	uint16_t units = lifetime_grant(&q);
	ask_from(&q, b, units, &ask);
	if (binding_overtook(r, b, a))
		return;
	denial.status = bids_read(&q, b, &ask);
	if (denial.status) {
		deny(r, &q, &denial);
		return;
	}
	binding_plan(r, &ask, &plan);
	if (plan.code >= MIP4_UNSPECIFIED) {
		denial.status = status_of(plan.code);
		ack_results(&denial, &q, &plan);
		ack_bids(&denial, &q, &plan, ask.deregister);
		deny(r, &q, &denial);
		return;
	}
	registrar_commit6(r, &q, &ask, &plan, units);
}
