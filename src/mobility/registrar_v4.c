/* SPDX-License-Identifier: MIT */
/*
 * RFC 5944 Registration Requests on the home server (3.8).
 *
 * The order: form, authenticator (3.8.2.1), home address, home agent, identification (5.7),
 * then the plan of the binding.  All of it is done on locals; registrar_commit4 is the one place
 * that changes something, and only after every check.  Denials are answered with the terminal's
 * key, since the connection says which terminal it is.
 */
#include <stdio.h>
#include <string.h>
#include "base/mem.h"
#include "crypto/mac.h"
#include "mobility/binding.h"
#include "wire/mip4.h"

/* RFC 5944 5.7.1: how far the clocks may be apart. */
#define CLOCK_TOLERANCE_S 7
#define IP_UDP_LEN	  28

struct request4 {
	const struct registrar_arrival *a;
	struct registrar_terminal *t;
	uint16_t sport;
	size_t len;
	struct mip4_request m;
	struct addr home;
	char home_text[ADDR_TEXT_MAX];
};

static bool authentic(const struct registrar_terminal *t, const uint8_t *msg, size_t len,
		      const struct mip4_ext *ext)
{
	if (!ext->has_auth || ext->auth_spi != t->mn_ha_spi || ext->auth_len != MIP4_AUTH_LEN ||
	    ext->auth_covers > len)
		return false;
	uint8_t mac[MAC_LEN];
	bool ok = mac_compute(t->mn_ha_key, t->mn_ha_key_len, msg, ext->auth_covers, mac) == 0 &&
		  mem_equal(mac, ext->auth, MIP4_AUTH_LEN);
	mem_wipe(mac, sizeof(mac));
	return ok;
}

static bool identification_is_fresh(const struct request4 *q)
{
	int64_t theirs = (int64_t)(q->m.identification >> 32);
	int64_t ours = (int64_t)(mip4_identification(q->a->wall_us) >> 32);
	int64_t apart = theirs > ours ? theirs - ours : ours - theirs;
	return apart <= CLOCK_TOLERANCE_S && q->m.identification > q->t->last_identification;
}

static bool agent_is_known(const struct registrar *r, const struct mip4_request *m)
{
	static const uint8_t any[4], all[4] = {255, 255, 255, 255};
	struct addr agent = addr_from_bytes(4, m->home_agent);
	return memcmp(m->home_agent, any, 4) == 0 || memcmp(m->home_agent, all, 4) == 0 ||
	       binding_is_agent(r, &agent);
}

/* Returns the reply's length on the wire, IP and UDP headers included; 0: not sent. */
static size_t reply_send(struct registrar *r, const struct request4 *q, struct mip4_reply *reply)
{
	const struct registrar_arrival *a = q->a;
	struct addr agent = binding_agent(r, 4);
	memcpy(reply->home, q->m.home, sizeof(reply->home));
	memcpy(reply->home_agent, agent.b, sizeof(reply->home_agent));
	reply->ext.has_auth = true;
	reply->ext.auth_spi = q->t->mn_ha_spi;
	uint8_t msg[MIP4_MESSAGE_MAX];
	size_t auth_off;
	size_t len = mip4_write_reply(msg, sizeof(msg), reply, &auth_off);
	if (!len ||
	    mac_compute(q->t->mn_ha_key, q->t->mn_ha_key_len, msg, auth_off, msg + auth_off) != 0)
		return 0;
	bool lost = binding_epoch_unknown(r, a->conn, q->m.ext.has_epoch, q->m.ext.epoch);
	struct addr from = binding_is_agent(r, &a->dst) ? a->dst : agent;
	if (reply->code >= MIP4_UNSPECIFIED && (lost || a->hello) && r->ops.send_denial4)
		r->ops.send_denial4(r->ops.ctx, a->conn, &from, &a->src, q->sport, msg, len);
	else
		r->ops.send_reply4(r->ops.ctx, a->conn, &from, &a->src, q->sport, msg, len,
				   lost && reply->code < MIP4_UNSPECIFIED);
	return len + IP_UDP_LEN;
}

static void deny(struct registrar *r, const struct request4 *q, uint8_t code,
		 const struct binding_plan *plan)
{
	binding_count_denied(r, q->a, q->t, q->home_text, code, mip4_code_text(code));
	struct mip4_reply reply = {.code = code, .identification = q->m.identification};
	if (code == MIP4_ID_MISMATCH) /* RFC 5944 5.7.1: our time, their low half */
		reply.identification =
		    (mip4_identification(q->a->wall_us) & ~(uint64_t)UINT32_MAX) |
		    (q->m.identification & UINT32_MAX);
	for (uint8_t i = 0; plan && i < plan->result_count; i++) {
		reply.ext.results[i].spi = plan->results[i].spi;
		reply.ext.results[i].code = plan->results[i].code;
		reply.ext.result_count = (uint8_t)(i + 1);
	}
	(void)reply_send(r, q, &reply);
}

static void ask_from(const struct request4 *q, struct binding *b, struct binding_ask *ask)
{
	const struct mip4_request *m = &q->m;
	uint16_t granted =
	    m->lifetime_s < q->t->lifetime_max_s ? m->lifetime_s : q->t->lifetime_max_s;
	*ask = (struct binding_ask){
	    .binding = b,
	    .conn = q->a->conn,
	    .deregister = m->lifetime_s == 0,
	    .everything = m->lifetime_s == 0 && memcmp(m->home, m->care_of, 4) == 0,
	    .simultaneous = (m->flags & MIP4_S) != 0,
	    .lifetime_s = m->lifetime_s ? (granted ? granted : 1) : 0,
	    .has_connections = m->ext.has_connections,
	    .op = m->ext.op,
	    .spi_count = m->ext.spi_count,
	};
	memcpy(ask->spis, m->ext.spis, sizeof(ask->spis));
}

static void registrar_commit4(struct registrar *r, const struct request4 *q,
			      const struct binding_ask *ask, const struct binding_plan *plan)
{
	const struct registrar_arrival *a = q->a;
	q->t->last_identification = q->m.identification;
	bool changed = binding_assign(r, ask->binding, plan->conns, plan->count, BINDING_BY_REQUEST,
				      ask->lifetime_s, a->now_us, a->wall_us);
	r->counters.accepted++;
	if (ask->deregister) {
		r->counters.deregistrations++;
		q->t->left |= !plan->count;
	}
	if (a->hello)
		r->ops.epoch_accepted(r->ops.ctx, a->conn, a->number);
	if (changed)
		r->ops.binding_changed(r->ops.ctx, ask->binding);
	log_info(r->log, "registrar: %s terminal=%s home=%s connection=%s lifetime_s=%u%s",
		 ask->deregister ? "deregistered" : "accepted", q->t->name, q->home_text,
		 a->conn->name, ask->lifetime_s, a->hello ? " hello=yes" : "");
	struct mip4_reply reply = {
	    .code = plan->code,
	    .lifetime_s = ask->lifetime_s,
	    .identification = q->m.identification,
	};
	for (uint8_t i = 0; i < plan->result_count; i++) {
		reply.ext.results[i].spi = plan->results[i].spi;
		reply.ext.results[i].code = plan->results[i].code;
	}
	reply.ext.result_count = plan->result_count;
	size_t octets = reply_send(r, q, &reply) + q->len + IP_UDP_LEN;
	binding_note_reply(r, changed, a->now_us, octets, plan->code);
}

/* 0 when it may be committed, else the code to deny with. */
static uint8_t request_check(const struct registrar *r, const struct request4 *q,
			     const uint8_t *msg, struct binding **b)
{
	if (!authentic(q->t, msg, q->len, &q->m.ext))
		return MIP4_MN_AUTH_FAILED;
	*b = binding_find(q->t, &q->home);
	if (!*b)
		return MIP4_PROHIBITED;
	if (!agent_is_known(r, &q->m))
		return MIP4_UNKNOWN_HOME_AGENT;
	if (!identification_is_fresh(q))
		return MIP4_ID_MISMATCH;
	return MIP4_ACCEPTED;
}

void registrar_request4(struct registrar *r, const struct registrar_arrival *a, uint16_t sport,
			const uint8_t *msg, size_t len)
{
	r->counters.requests++;
	struct request4 q = {.a = a, .sport = sport, .len = len};
	enum mip4_verdict verdict = mip4_read_request(msg, len, &q.m);
	q.t = binding_terminal(a->conn);
	if (verdict == MIP4_SILENT || !q.t) {
		r->counters.silent++;
		return;
	}
	q.home = addr_from_bytes(4, q.m.home);
	(void)addr_format(&q.home, q.home_text);
	struct binding *b = NULL;
	uint8_t code = verdict == MIP4_MALFORMED	 ? MIP4_POORLY_FORMED
		       : verdict == MIP4_CRITICAL_VENDOR ? MIP4_UNSUPPORTED_VENDOR_REQUEST
							 : request_check(r, &q, msg, &b);
	if (code != MIP4_ACCEPTED || !b) {
		deny(r, &q, code, NULL);
		return;
	}
	struct binding_ask ask;
	struct binding_plan plan;
	ask_from(&q, b, &ask);
	if (binding_overtook(r, b, a))
		return;
	binding_plan(r, &ask, &plan);
	if (plan.code >= MIP4_UNSPECIFIED) {
		deny(r, &q, plan.code, &plan);
		return;
	}
	registrar_commit4(r, &q, &ask, &plan);
}
