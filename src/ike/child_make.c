/* SPDX-License-Identifier: MIT */
/*
 * What a child SA is agreed to be (RFC 7296 1.3.1, 2.7, 2.9, 2.17): proposal, key exchange, traffic
 * selectors, mode.  Both sides gather it into a draft, check all of it, and only then is the child
 * made and handed over.
 *
 * Selectors.  Each side has a policy: what is configured and what was assigned; with neither, the
 * client's side is its address and the other one everything.  A responder answers with the common
 * part of offer and policy; an initiator takes only what lies inside its offer.
 */
#include "ike/child.h"
#include "base/mem.h"

#define KEYS_MAX  256
#define SPI_FIRST 256 /* RFC 4303 2.1: those below are reserved */

/* --- selectors */

static void ts_add_everything(struct ike_ts_list *l)
{
	static const uint8_t none[16];
	struct addr any4 = addr_from_bytes(4, none), any6 = addr_from_bytes(6, none);
	struct prefix all[] = {prefix_of(&any4, 0), prefix_of(&any6, 0)};
	for (size_t i = 0; i < ARRAY_LEN(all) && l->count < IKE_TS_MAX; i++)
		l->at[l->count++] = ike_ts_of_prefix(&all[i]);
}

static void ts_add_host(struct ike_ts_list *l, const struct addr *a)
{
	struct prefix host = prefix_host(a);
	struct ike_ts ts = ike_ts_of_prefix(&host);
	for (uint8_t i = 0; i < l->count; i++)
		if (ike_ts_equal(&l->at[i], &ts))
			return;
	if (l->count < IKE_TS_MAX)
		l->at[l->count++] = ts;
}

/* asking: the addresses of this side are asked for in the same message. */
static void ts_policy(const struct ike_sa *sa, bool local, bool transport, bool asking,
		      struct ike_ts_list *out)
{
	const struct ike_child_config *cfg = &sa->peer->child;
	bool clients = sa->client == local;
	*out = local ? cfg->local : cfg->remote;
	for (uint8_t i = 0; clients && i < sa->assigned_count; i++)
		ts_add_host(out, &sa->assigned[i]);
	if (out->count)
		return;
	if (transport || (clients && !asking))
		ts_add_host(out, local ? &sa->path.local.addr : &sa->path.remote.addr);
	else
		ts_add_everything(out);
}

static void ts_of_child(const struct ike_child *c, bool local, struct ike_ts_list *out)
{
	out->count = local ? c->ts_local : c->ts_remote;
	memcpy(out->at, local ? c->ts : c->ts + c->ts_local, out->count * sizeof(*out->at));
}

static bool ts_is_inside(const struct ike_ts_list *came, const struct ike_ts_list *offered)
{
	for (uint8_t i = 0; i < came->count; i++) {
		bool inside = false;
		for (uint8_t k = 0; k < offered->count && !inside; k++) {
			struct ike_ts common;
			inside = ike_ts_intersect(&came->at[i], &offered->at[k], &common) &&
				 ike_ts_equal(&common, &came->at[i]);
		}
		if (!inside)
			return false;
	}
	return came->count > 0;
}

/* RFC 7296 2.23.1: in transport mode a NAT's addresses stand for those the other side sees. */
static void ts_set_hosts(struct ike_ts_list *l, const struct addr *a)
{
	for (uint8_t i = 0; i < l->count; i++)
		if (l->at[i].from.family == a->family && addr_equal(&l->at[i].from, &l->at[i].to))
			l->at[i].from = l->at[i].to = *a;
}

static void ts_through_nat(const struct ike_sa *sa, struct ike_ts_list *local,
			   struct ike_ts_list *remote)
{
	if (sa->nat_here)
		ts_set_hosts(local, &sa->path.local.addr);
	if (sa->nat_there)
		ts_set_hosts(remote, &sa->path.remote.addr);
}

/* --- the child itself */

static uint16_t draft_keys(const struct ike_sa *sa, const struct child_draft *d,
			   const struct negotiation *neg, bool began, uint8_t *key_out,
			   uint8_t *key_in, size_t *key_len)
{
	*key_len = (d->suite.encr ? d->suite.encr->key_len : 0u) +
		   (d->suite.integ ? d->suite.integ->key_len : 0u);
	if (*key_len > KEYS_MAX || keys_child(sa, &d->suite, began, d->shared, d->shared_len,
					      neg->nonce_i, neg->nonce_i_len, neg->nonce_r,
					      neg->nonce_r_len, key_out, key_in, *key_len) != 0)
		return IKE_N_NO_ADDITIONAL_SAS;
	return 0;
}

static void log_up(const struct ike_child *c, const struct ike_child *rekeyed)
{
	char suite[SUITE_TEXT_MAX], l[IKE_TS_TEXT_MAX], r[IKE_TS_TEXT_MAX];
	enum suite_use use = c->protocol == IKE_PROTO_AH ? SUITE_AH : SUITE_ESP;
	sa_log(c->sa, LOG_LEVEL_INFO,
	       "child %s spi_in=%08x spi_out=%08x suite=%s mode=%s local=%s remote=%s",
	       rekeyed ? "rekeyed" : "up", c->spi_in, c->spi_out,
	       suite_format(use, &c->suite, suite), c->transport ? "transport" : "tunnel",
	       ike_ts_format(&c->ts[0], l), ike_ts_format(&c->ts[c->ts_local], r));
}

/* Makes it and hands it over; up holds what only the caller knows.  0, or the notify with which the
 * daemon refused it. */
static uint16_t draft_make(struct ike_sa *sa, const struct child_draft *d,
			   const struct negotiation *neg, struct ike_child_up *up,
			   struct ike_child **made)
{
	struct ike *e = sa->engine;
	uint8_t key_out[KEYS_MAX], key_in[KEYS_MAX];
	size_t key_len;
	uint16_t notify = draft_keys(sa, d, neg, up->initiator, key_out, key_in, &key_len);
	if (notify)
		goto out;
	struct ike_child *c = child_add(sa, d);
	up->sa = sa;
	up->child = c;
	up->protocol = d->protocol;
	up->spi_in = d->spi_in;
	up->spi_out = d->spi_out;
	up->encr = d->suite.encr;
	up->integ = d->suite.integ;
	up->esn = d->suite.esn;
	up->transport = d->transport;
	up->udp = sa->udp;
	up->key_in = key_in;
	up->key_out = key_out;
	up->key_len = key_len;
	up->local = &d->local;
	up->remote = &d->remote;
	up->sojourn = sa->sojourn;
	c->replaces = up->replaces;
	c->switched = up->initiator || !up->replaces;
	notify = e->ops.child_up(e->ops.ctx, up);
	if (notify) {
		child_end(c, "refused");
		goto out;
	}
	c->told = true;
	e->counters.children++;
	e->counters.child_rekeys += up->replaces ? 1 : 0;
	log_up(c, up->replaces);
	sa_schedule(sa);
	*made = c;
out:
	mem_wipe(key_out, sizeof(key_out));
	mem_wipe(key_in, sizeof(key_in));
	return notify;
}

/* --- initiator */

static void put_ts(struct ike_builder *b, const struct ike_ts_list *i, const struct ike_ts_list *r)
{
	ike_put_ts(b, IKE_PAYLOAD_TSI, i);
	ike_put_ts(b, IKE_PAYLOAD_TSR, r);
}

static void put_ke(struct ike_builder *b, const struct kex *kex)
{
	const struct kex_group *g = kex_group_of(kex);
	uint8_t value[KEX_PUBLIC_MAX];
	if (kex_public(kex, value) != 0)
		b->w.failed = true;
	else
		ike_put_ke(b, g->ike_id, value, g->public_len);
}

static void put_spi(uint8_t out[4], uint32_t spi)
{
	struct writer w = writer_of(out, 4);
	writer_u32(&w, spi);
}

static enum suite_use use_of(uint8_t protocol)
{
	return protocol == IKE_PROTO_AH ? SUITE_AH : SUITE_ESP;
}

static void offer_ts(struct ike_sa *sa, struct negotiation *neg, const struct ike_child *rekeyed,
		     bool transport, bool auth)
{
	if (!neg->ts)
		neg->ts = mem_zalloc(2 * sizeof(*neg->ts));
	for (int i = 0; i < 2; i++) {
		if (rekeyed)
			ts_of_child(rekeyed, i == 0, &neg->ts[i]);
		else
			ts_policy(sa, i == 0, transport, auth && sa->peer->request_addresses,
				  &neg->ts[i]);
	}
}

void child_put_request(struct ike_sa *sa, struct negotiation *neg, const struct ike_child *rekeyed,
		       const struct ike_sj_connection *connection, bool with_ke,
		       struct ike_builder *b)
{
	struct ike *e = sa->engine;
	uint8_t protocol = rekeyed		       ? rekeyed->protocol
			   : sa->peer->child.esp.count ? IKE_PROTO_ESP
						       : IKE_PROTO_AH;
	bool transport = rekeyed ? rekeyed->transport : sa->peer->child.transport;
	uint8_t spi[4];
	if (rekeyed) {
		put_spi(spi, rekeyed->spi_in);
		ike_put_notify_spi(b, IKE_N_REKEY_SA, protocol, spi, sizeof(spi), NULL, 0);
	}
	if (transport)
		ike_put_notify(b, IKE_N_USE_TRANSPORT_MODE, NULL, 0);
	if (!neg->spi_in)
		neg->spi_in = e->ops.new_spi(e->ops.ctx, protocol);
	put_spi(spi, neg->spi_in);
	proposal_put(b, use_of(protocol), child_list(sa, protocol), with_ke, spi, sizeof(spi));
	if (neg->nonce_i_len)
		ike_put_bytes(b, IKE_PAYLOAD_NONCE, neg->nonce_i, neg->nonce_i_len);
	if (with_ke)
		put_ke(b, neg->kex);
	bool auth = neg->nonce_i_len == 0;
	offer_ts(sa, neg, rekeyed, transport, auth);
	put_ts(b, &neg->ts[0], &neg->ts[1]);
	/* In IKE_AUTH it goes with our vendor ID: the answer is not known yet. */
	if (connection && (sa->sojourn || (auth && sa->peer->sojourn)))
		sojourn_put_connection(b, connection);
}

/* The key exchange of a response: the group must be the one we sent a value of. */
static bool response_ke(const struct negotiation *neg, const struct ike_payloads *p,
			struct child_draft *d)
{
	if (!d->suite.group)
		return true;
	const struct ike_payload *payload = ike_find_payload(p, IKE_PAYLOAD_KE);
	struct ike_ke ke;
	if (!neg->kex || d->suite.group != kex_group_of(neg->kex) || !payload ||
	    !ike_read_ke(payload, &ke) || ke.group != d->suite.group->ike_id ||
	    kex_shared(neg->kex, ke.data, ke.len, d->shared) != 0)
		return false;
	d->shared_len = d->suite.group->secret_len;
	return true;
}

static bool response_ts(const struct ike_sa *sa, const struct negotiation *neg,
			const struct ike_payloads *p, struct child_draft *d)
{
	const struct ike_payload *i = ike_find_payload(p, IKE_PAYLOAD_TSI);
	const struct ike_payload *r = ike_find_payload(p, IKE_PAYLOAD_TSR);
	if (!i || !r || !ike_read_ts(i, &d->local) || !ike_read_ts(r, &d->remote))
		return false;
	if (d->transport)
		ts_through_nat(sa, &d->local, &d->remote);
	return ts_is_inside(&d->local, &neg->ts[0]) && ts_is_inside(&d->remote, &neg->ts[1]);
}

/* SA payload of a response: protocol, suite, the peer's SPI. */
static uint16_t response_sa(const struct ike_sa *sa, bool with_ke, const struct ike_payload *p,
			    struct child_draft *d)
{
	struct ike_proposals came;
	struct proposal_choice c;
	if (!ike_read_sa(p, &came) || came.count != 1)
		return IKE_N_INVALID_SYNTAX;
	d->protocol = came.at[0].protocol;
	if ((d->protocol != IKE_PROTO_ESP && d->protocol != IKE_PROTO_AH) ||
	    !proposal_accept(use_of(d->protocol), child_list(sa, d->protocol), &came, with_ke, 4,
			     &c))
		return IKE_N_NO_PROPOSAL_CHOSEN;
	struct reader r = reader_of(c.spi, 4);
	d->spi_out = reader_u32(&r);
	d->suite = c.suite;
	if (!with_ke)
		d->suite.group = NULL;
	return d->spi_out < SPI_FIRST ? IKE_N_INVALID_SYNTAX : 0;
}

/* Everything behind the SA payload. */
static uint16_t response_rest(const struct ike_sa *sa, struct negotiation *neg, bool auth,
			      const struct ike_payloads *p, struct child_draft *d)
{
	struct ike_notify n;
	d->transport = ike_find_notify(p, IKE_N_USE_TRANSPORT_MODE, &n);
	if (d->transport && !sa->peer->child.transport)
		return IKE_N_INVALID_SYNTAX;
	if (!auth && !nonce_take(p, neg->nonce_r, &neg->nonce_r_len))
		return IKE_N_INVALID_SYNTAX;
	if (!response_ke(neg, p, d))
		return IKE_N_INVALID_SYNTAX;
	if (!response_ts(sa, neg, p, d))
		return IKE_N_TS_UNACCEPTABLE;
	return 0;
}

uint16_t child_take_response(struct ike_sa *sa, struct negotiation *neg, bool auth,
			     const struct ike_payloads *p, struct ike_child *rekeyed,
			     const struct ike_sj_connection *connection, void *user,
			     struct ike_child **made)
{
	*made = NULL;
	const struct ike_payload *payload = ike_find_payload(p, IKE_PAYLOAD_SA);
	if (!payload) {
		uint16_t error = child_error(p);
		return error ? error : IKE_N_NO_PROPOSAL_CHOSEN;
	}
	struct child_draft d = {.spi_in = neg->spi_in};
	uint16_t notify = response_sa(sa, !auth && neg->kex, payload, &d);
	if (notify)
		return notify;
	if (neg->revoked_spi && neg->revoked_spi == d.spi_out)
		return IKE_N_TEMPORARY_FAILURE;
	notify = response_rest(sa, neg, auth, p, &d);
	bool redundant = neg->rival_child && negotiation_loses(neg);
	if (!notify && (neg->unwanted || redundant)) {
		child_discard(sa, &d, redundant ? "redundant" : "unwanted");
		mem_wipe(d.shared, sizeof(d.shared));
		return 0;
	}
	struct ike_sj_registered registered;
	struct ike_child_up up = {.initiator = true, .replaces = rekeyed, .user = user};
	if (sa->sojourn)
		up.connection = connection;
	if (sa->sojourn && connection && sojourn_take_registered(p, &registered))
		up.registered = &registered;
	if (!notify)
		notify = draft_make(sa, &d, neg, &up, made);
	if (notify)
		child_discard(sa, &d, "refused");
	mem_wipe(d.shared, sizeof(d.shared));
	return notify;
}

/* --- responder */

/* Proposal and key exchange.  *wanted: with INVALID_KE_PAYLOAD, which group. */
static uint16_t request_sa(struct ike_sa *sa, bool auth, const struct ike_payloads *p,
			   struct child_draft *d, struct proposal_choice *c,
			   const struct kex_group **wanted)
{
	struct ike_proposals offered;
	const struct ike_payload *payload = ike_find_payload(p, IKE_PAYLOAD_SA);
	if (!payload || !ike_read_sa(payload, &offered))
		return IKE_N_INVALID_SYNTAX;
	const struct ike_payload *kp = auth ? NULL : ike_find_payload(p, IKE_PAYLOAD_KE);
	struct ike_ke ke = {0};
	if (kp && !ike_read_ke(kp, &ke))
		return IKE_N_INVALID_SYNTAX;
	const struct kex_group *group = kp ? kex_by_id(ke.group) : NULL;
	bool found = false;
	for (uint8_t proto = IKE_PROTO_ESP; !found && proto >= IKE_PROTO_AH; proto--) {
		d->protocol = proto;
		found = proposal_choose(use_of(proto), child_list(sa, proto), &offered, !auth,
					group, 4, c);
	}
	if (!found)
		return IKE_N_NO_PROPOSAL_CHOSEN;
	struct reader r = reader_of(c->spi, 4);
	d->spi_out = reader_u32(&r);
	d->suite = c->suite;
	if (auth)
		d->suite.group = NULL;
	else if (!d->suite.group && sa->peer->child.require_pfs)
		return IKE_N_NO_PROPOSAL_CHOSEN;
	if (d->suite.group && d->suite.group != group) {
		*wanted = d->suite.group;
		return IKE_N_INVALID_KE_PAYLOAD;
	}
	return d->spi_out < SPI_FIRST ? IKE_N_INVALID_SYNTAX : 0;
}

static uint16_t request_ts(struct ike_sa *sa, const struct ike_payloads *p,
			   const struct ike_child *rekeyed, struct child_draft *d)
{
	const struct ike_payload *i = ike_find_payload(p, IKE_PAYLOAD_TSI);
	const struct ike_payload *r = ike_find_payload(p, IKE_PAYLOAD_TSR);
	struct ike_ts_list ti, tr, local, remote;
	struct ike_notify n;
	if (!i || !r || !ike_read_ts(i, &ti) || !ike_read_ts(r, &tr))
		return IKE_N_INVALID_SYNTAX;
	d->transport =
	    sa->peer->child.transport && ike_find_notify(p, IKE_N_USE_TRANSPORT_MODE, &n);
	if (d->transport)
		ts_through_nat(sa, &tr, &ti);
	ts_policy(sa, true, d->transport, false, &local);
	ts_policy(sa, false, d->transport, false, &remote);
	ike_ts_narrow(&tr, &local, &d->local);
	ike_ts_narrow(&ti, &remote, &d->remote);
	if ((!d->local.count || !d->remote.count) && rekeyed) {
		/* What is in use may go on (RFC 7296 2.9.2), whatever was assigned since. */
		ts_of_child(rekeyed, true, &local);
		ts_of_child(rekeyed, false, &remote);
		ike_ts_narrow(&tr, &local, &d->local);
		ike_ts_narrow(&ti, &remote, &d->remote);
	}
	return d->local.count && d->remote.count ? 0 : IKE_N_TS_UNACCEPTABLE;
}

/* Our half of the key exchange; *kex is the caller's. */
static uint16_t request_ke(const struct ike_payloads *p, struct child_draft *d, struct kex **kex)
{
	struct ike_ke ke;
	const struct ike_payload *payload = ike_find_payload(p, IKE_PAYLOAD_KE);
	if (!d->suite.group)
		return 0;
	if (!payload || !ike_read_ke(payload, &ke))
		return IKE_N_INVALID_SYNTAX;
	*kex = kex_new(d->suite.group);
	if (!*kex)
		return IKE_N_NO_ADDITIONAL_SAS;
	if (kex_shared(*kex, ke.data, ke.len, d->shared) != 0)
		return IKE_N_INVALID_SYNTAX;
	d->shared_len = d->suite.group->secret_len;
	return 0;
}

static void put_answer(const struct child_draft *d, const struct proposal_choice *c,
		       const struct negotiation *neg, const struct kex *kex, bool auth,
		       const struct ike_sj_registered *registered, struct ike_builder *b)
{
	uint8_t spi[4];
	put_spi(spi, d->spi_in);
	if (d->transport)
		ike_put_notify(b, IKE_N_USE_TRANSPORT_MODE, NULL, 0);
	proposal_put_choice(b, use_of(d->protocol), c, !auth, spi, sizeof(spi));
	if (!auth)
		ike_put_bytes(b, IKE_PAYLOAD_NONCE, neg->nonce_r, neg->nonce_r_len);
	if (kex)
		put_ke(b, kex);
	put_ts(b, &d->remote, &d->local);
	if (registered)
		sojourn_put_registered(b, registered);
}

static uint16_t answer_make(struct ike_sa *sa, struct negotiation *neg, bool auth,
			    const struct ike_payloads *p, struct ike_child *rekeyed,
			    struct child_draft *d, const struct proposal_choice *c,
			    const struct kex *kex, struct ike_builder *b, struct ike_child **made)
{
	struct ike *e = sa->engine;
	if (!auth) {
		if (!nonce_take(p, neg->nonce_i, &neg->nonce_i_len))
			return IKE_N_INVALID_SYNTAX;
		neg->nonce_r_len = NONCE_LEN;
		e->ops.random(e->ops.ctx, neg->nonce_r, NONCE_LEN);
	}
	d->spi_in = e->ops.new_spi(e->ops.ctx, d->protocol);
	struct ike_sj_connection connection;
	struct ike_sj_registered registered = {0};
	struct ike_child_up up = {.replaces = rekeyed};
	if (sa->sojourn && sojourn_take_connection(p, &connection)) {
		up.connection = &connection;
		up.registered = &registered;
	}
	uint16_t notify = draft_make(sa, d, neg, &up, made);
	if (!notify)
		put_answer(d, c, neg, kex, auth, up.registered, b);
	return notify;
}

uint16_t child_answer(struct ike_sa *sa, struct negotiation *neg, bool auth,
		      const struct ike_payloads *p, struct ike_child *rekeyed,
		      struct ike_builder *b, struct ike_child **made)
{
	struct child_draft d = {0};
	struct proposal_choice c;
	const struct kex_group *wanted = NULL;
	struct kex *kex = NULL;
	*made = NULL;
	uint16_t notify = request_sa(sa, auth, p, &d, &c, &wanted);
	if (!notify)
		notify = request_ts(sa, p, rekeyed, &d);
	if (!notify)
		notify = request_ke(p, &d, &kex);
	if (!notify)
		notify = answer_make(sa, neg, auth, p, rekeyed, &d, &c, kex, b, made);
	if (wanted && notify == IKE_N_INVALID_KE_PAYLOAD)
		child_put_invalid_ke(b, wanted);
	else if (notify)
		child_put_error(b, notify);
	kex_free(kex);
	mem_wipe(d.shared, sizeof(d.shared));
	return notify;
}
