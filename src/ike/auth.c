/* SPDX-License-Identifier: MIT */
/*
 * IKE_AUTH (RFC 7296 1.2, 2.15): who we are, the proof, and the first child SA.
 *
 *   IDi, [CERT,] [CERTREQ,] [IDr,] AUTH, [CP,] SA, TSi, TSr   ->
 *                                         <-   IDr, [CERT,] AUTH, [CP,] SA, TSi, TSr
 *
 * With EAP there are rounds in between (eap_auth.c), and the responder keeps the first request to
 * answer it in the end.  Nothing of the child, the addresses or other IKE SAs is touched before the
 * other side's proof was verified; what then becomes of the child does not undo the IKE SA.
 *
 * Post-quantum keys (RFC 8784): the initiator names its key and proves itself by it; NO_PPK_AUTH is
 * the same proof without, for a responder that does not have the key, unless one is required.
 * Childless (RFC 6023): the first child is then made by a CREATE_CHILD_SA of its own.
 */
#include "ike/auth.h"
#include <stdarg.h>
#include <stdio.h>
#include "base/mem.h"
#include "ike/child.h"

#define CERT_X509_SIGNATURE 4
#define CERTREQ_MAX	    (20 * 16)
#define PPK_ID_FIXED	    2 /* RFC 8784 5.1 */
#define PPK_ID_MAX	    255

void auth_free(struct auth *a)
{
	if (!a)
		return;
	eap_free(a->eap);
	negotiation_free(a->neg);
	if (a->packet)
		mem_wipe(a->packet, EAP_PACKET_MAX);
	free(a->packet);
	free(a->first);
	free(a->first_bytes);
	free(a->id_i);
	free(a->id_r);
	mem_wipe(a, sizeof(*a));
	free(a);
}

/* --- ways it fails */

enum outcome auth_refuse(struct ike_sa *sa, struct ike_builder *b, uint16_t notify, const char *fmt,
			 ...)
{
	char why[256];
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(why, sizeof(why), fmt, ap);
	va_end(ap);
	sa->engine->counters.auth_failed++;
	if (!sa->peer) /* its end would be told of no peer */
		sa_log(sa, LOG_LEVEL_WARN, "refused why=\"%s\"", why);
	child_put_error(b, notify);
	return sa_fail(sa, notify, "%s", why);
}

/* RFC 7296 2.21.2: the responder took us for authenticated, so it is told.  Once: it is not worth
 * waiting for an answer of one that we do not believe. */
static void tell(struct ike_sa *sa, uint16_t notify)
{
	uint8_t inner[64];
	struct ike_builder b = ike_builder_of(inner, sizeof(inner), NULL);
	child_put_error(&b, notify);
	ike_put_delete(&b, IKE_PROTO_IKE, NULL, 0);
	size_t len = ike_builder_finish(&b);
	message_forget_request(sa);
	if (len)
		(void)message_send(sa, &sa->path, IKE_INFORMATIONAL, false, sa->next_id, b.first,
				   inner, len);
}

enum outcome auth_give_up(struct ike_sa *sa, uint16_t notify, const char *fmt, ...)
{
	char why[256];
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(why, sizeof(why), fmt, ap);
	va_end(ap);
	sa->engine->counters.auth_failed++;
	tell(sa, notify);
	return sa_fail(sa, notify, "%s", why);
}

/* --- pieces */

static uint8_t *id_body(uint8_t type, const void *data, size_t len, uint16_t *body_len)
{
	uint8_t *body = mem_zalloc(len + 4);
	body[0] = type;
	memcpy(body + 4, data, len);
	*body_len = (uint16_t)(len + 4);
	return body;
}

static uint8_t *id_body_of(const struct identity *i, uint16_t *body_len)
{
	return id_body(i->type, i->data, i->len, body_len);
}

static uint8_t *body_copy(const struct ike_payload *p, uint16_t *len)
{
	uint8_t *body = mem_zalloc(p->len ? p->len : 1);
	memcpy(body, p->body, p->len);
	*len = p->len;
	return body;
}

/* An identity of the peer's, judged; NULL: none, or not well formed. */
static struct identity *take_id(const struct ike_payload *p)
{
	struct ike_typed id;
	if (!p || !ike_read_id(p, &id) || !identity_is_valid(id.type, id.data, id.len))
		return NULL;
	return identity_new(id.type, id.data, id.len);
}

static void put_certs(const struct ike_sa *sa, struct ike_builder *b)
{
	const struct ike_peer *peer = sa->peer;
	if (peer->local_auth != IKE_BY_CERT || !peer->own ||
	    (!peer->send_cert && !sa->half->asked_cert))
		return;
	const uint8_t *der;
	size_t len;
	for (unsigned i = 0; i < CERT_CHAIN_MAX && (der = cert_own_der(peer->own, i, &len)); i++)
		ike_put_typed(b, IKE_PAYLOAD_CERT, CERT_X509_SIGNATURE, der, len);
}

static void put_certreq(const struct ike_sa *sa, struct ike_builder *b)
{
	const struct ike_peer *peer = sa->peer;
	uint8_t hashes[CERTREQ_MAX];
	if (peer->remote_auth != IKE_BY_CERT || !peer->send_certreq || !peer->trust)
		return;
	size_t len = cert_trust_hashes(peer->trust, hashes, sizeof(hashes));
	ike_put_typed(b, IKE_PAYLOAD_CERTREQ, CERT_X509_SIGNATURE, hashes, len);
}

static bool has_vendor(const struct ike_payloads *p)
{
	for (uint8_t i = 0; i < p->count; i++)
		if (sojourn_is_vendor(&p->at[i]))
			return true;
	return false;
}

/* --- established */

void auth_begin_life(struct ike_sa *sa)
{
	struct ike *e = sa->engine;
	const struct ike_peer *peer = sa->peer;
	sa->since_us = e->now_us;
	sa->rekey_at_us = peer->rekey_us ? e->now_us + sa_jitter(e, peer->rekey_us) : USEC_NEVER;
	sa->liveness_at_us = peer->liveness_us ? e->now_us + peer->liveness_us : USEC_NEVER;
	/* One that nobody would rekey is closed (RFC 7296 2.8). */
	sa->end_at_us =
	    peer->rekey_us ? e->now_us + peer->rekey_us + peer->rekey_us / 2 : USEC_NEVER;
	sa_schedule(sa);
}

/* The peer has proved itself: from here on it is believed. */
static void establish(struct ike_sa *sa, const struct ike_payloads *p)
{
	struct ike *e = sa->engine;
	struct auth *a = sa->half->auth;
	struct ike_notify n;
	if (a->ppk)
		memcpy(sa->sk_d, a->ppk_sk_d, sizeof(sa->sk_d));
	sa->client = sa->initiator;
	sa->sojourn = sa->peer->sojourn && has_vendor(p);
	sa->udp = sa->nat_here || sa->nat_there || nat_is_forced(sa) || sa->sojourn;
	if (!sa->initiator && ike_find_notify(p, IKE_N_INITIAL_CONTACT, &n))
		sa_initial_contact(sa);
	mobike_take_auth(sa, p);
	sa_set_state(sa, IKE_SA_ESTABLISHED,
		     a->ppk ? "authenticated, with a PPK" : "authenticated");
	auth_begin_life(sa);
	e->ops.sa_up(e->ops.ctx, sa);
}

static void end_half(struct ike_sa *sa)
{
	half_free(sa->half);
	sa->half = NULL;
}

/* The addresses in a configuration reply: the peer's (we gave them) or ours. */
static void take_assigned(struct ike_sa *sa, const struct ike_cp *cp)
{
	free(sa->assigned);
	sa->assigned = NULL;
	sa->assigned_count = 0;
	if (!cp->count)
		return;
	sa->assigned = mem_zalloc(cp->count * sizeof(*sa->assigned));
	for (uint8_t i = 0; i < cp->count; i++) {
		uint8_t family = cp->at[i].attr == IKE_CP_IP4_ADDRESS && cp->at[i].len >= 4    ? 4
				 : cp->at[i].attr == IKE_CP_IP6_ADDRESS && cp->at[i].len >= 16 ? 6
											       : 0;
		if (family)
			sa->assigned[sa->assigned_count++] =
			    addr_from_bytes(family, cp->at[i].value);
	}
}

/* --- post-quantum pre-shared keys */

static void put_ppk_identity(const struct ike_sa *sa, struct ike_builder *b)
{
	uint8_t data[1 + PPK_ID_MAX];
	struct writer w = writer_of(data, sizeof(data));
	writer_u8(&w, PPK_ID_FIXED);
	writer_bytes(&w, sa->peer->ppk_id, strlen(sa->peer->ppk_id));
	if (w.failed)
		b->w.failed = true;
	else
		ike_put_notify(b, IKE_N_PPK_IDENTITY, data, writer_len(&w));
}

/* Initiator: the proof, and what RFC 8784 adds to it.  False with err. */
static bool put_proof(struct ike_sa *sa, struct ike_builder *b, struct err *err)
{
	struct half *h = sa->half;
	struct auth *a = h->auth;
	struct auth_proof proof;
	a->ppk = h->use_ppk && sa->peer->ppk_id;
	if (a->ppk && auth_proof_mix_ppk(sa) != 0) {
		(void)err_set(err, "the crypto library failed");
		return false;
	}
	if (auth_proof_make(sa, a->ppk ? &a->ppk_sk : &h->sk, &proof, err) != 0)
		return false;
	ike_put_typed(b, IKE_PAYLOAD_AUTH, proof.method, proof.data, proof.len);
	if (!a->ppk)
		return true;
	put_ppk_identity(sa, b);
	if (sa->peer->ppk_required)
		return true;
	if (auth_proof_make(sa, &h->sk, &proof, err) != 0)
		return false;
	ike_put_notify(b, IKE_N_NO_PPK_AUTH, proof.data, proof.len);
	return true;
}

/* Responder: which keys the proof is to be checked with; auth may become NO_PPK_AUTH's. False: none
 * (RFC 8784 3, its table). */
static bool choose_ppk(struct ike_sa *sa, const struct ike_payloads *p, struct ike_typed *auth,
		       struct err *err)
{
	const struct ike_peer *peer = sa->peer;
	struct auth *a = sa->half->auth;
	struct ike_notify id, without;
	a->ppk = false;
	bool named = sa->half->use_ppk && ike_find_notify(p, IKE_N_PPK_IDENTITY, &id);
	if (named && peer->ppk_id && id.len == 1 + strlen(peer->ppk_id) &&
	    id.data[0] == PPK_ID_FIXED && memcmp(id.data + 1, peer->ppk_id, id.len - 1) == 0) {
		a->ppk = true;
		return auth_proof_mix_ppk(sa) == 0;
	}
	if (peer->ppk_required) {
		(void)err_set(err,
			      named ? "it named another PPK than ours" : "a PPK is required of it");
		return false;
	}
	if (!named)
		return true;
	if (!ike_find_notify(p, IKE_N_NO_PPK_AUTH, &without)) {
		(void)err_set(err, "it requires a PPK that we do not have");
		return false;
	}
	auth->data = without.data;
	auth->len = without.len;
	return true;
}

/* --- initiator: requests */

static bool wants_child(const struct ike_sa *sa)
{
	return !(sa->peer->childless && sa->childless);
}

static void put_cp_request(const struct ike_sa *sa, struct ike_builder *b)
{
	static const uint16_t wanted[] = {IKE_CP_IP4_ADDRESS, IKE_CP_IP6_ADDRESS, IKE_CP_IP4_DNS,
					  IKE_CP_IP6_DNS};
	struct ike_cp cp = {.kind = IKE_CP_REQUEST};
	if (!sa->peer->request_addresses)
		return;
	for (size_t i = 0; i < ARRAY_LEN(wanted); i++)
		cp.at[cp.count++].attr = wanted[i];
	ike_put_cp(b, &cp);
}

/* One that is a pattern is not an identity to ask for. */
static void put_idr(const struct ike_sa *sa, struct ike_builder *b)
{
	const struct identity *id = sa->peer->remote_id;
	if (id && id->type != IDENTITY_NONE && !memchr(id->data, '*', id->len))
		ike_put_typed(b, IKE_PAYLOAD_IDR, id->type, id->data, id->len);
}

static bool put_first(struct ike_sa *sa, struct ike_builder *b, struct err *err)
{
	struct half *h = sa->half;
	struct auth *a = h->auth;
	const struct ike_peer *peer = sa->peer;
	ike_put_typed(b, IKE_PAYLOAD_IDI, a->id_i[0], a->id_i + 4, a->id_i_len - 4u);
	/* With no other IKE SA, whatever the peer still has is of a life before (RFC 7296 2.4). */
	if (!sa_has_another(sa))
		ike_put_notify(b, IKE_N_INITIAL_CONTACT, NULL, 0);
	put_certs(sa, b);
	put_certreq(sa, b);
	put_idr(sa, b);
	if (peer->local_auth != IKE_BY_EAP && !put_proof(sa, b, err))
		return false;
	put_cp_request(sa, b);
	if (peer->sojourn)
		sojourn_put_vendor(b);
	if (wants_child(sa)) {
		a->neg = negotiation_new(sa->engine);
		a->neg->nonce_i_len = 0; /* the IKE SA's are used */
		child_put_request(sa, a->neg, NULL, h->connection, false, b);
	}
	if (peer->mobike)
		mobike_put_auth(sa, b);
	return true;
}

static bool auth_build(struct ike_sa *sa, struct task *t, struct ike_builder *b)
{
	struct half *h = sa->half;
	struct err err;
	bool ok = true;
	(void)t;
	if (!h->auth) {
		if (sa->peer->ppk_id && sa->peer->ppk_required && !h->use_ppk) {
			h->error = IKE_N_AUTHENTICATION_FAILED;
			sa_log(sa, LOG_LEVEL_ERROR, "a PPK is required and the peer knows of none");
			return false;
		}
		h->auth = mem_zalloc(sizeof(*h->auth));
		h->auth->id_i = id_body_of(sa->peer->local_id, &h->auth->id_i_len);
		sa->client = true;
		if (!sa->local_id)
			sa->local_id = identity_copy(sa->peer->local_id);
	}
	switch (h->auth->stage) {
	case AUTH_FIRST:
		ok = put_first(sa, b, &err);
		break;
	case AUTH_EAP:
		ike_put_bytes(b, IKE_PAYLOAD_EAP, h->auth->packet, h->auth->packet_len);
		break;
	case AUTH_LAST:
		ok = put_proof(sa, b, &err);
		break;
	}
	if (!ok) {
		h->error = IKE_N_AUTHENTICATION_FAILED;
		sa_log(sa, LOG_LEVEL_ERROR, "our own proof cannot be made: %s", err.text);
	}
	return ok;
}

/* --- initiator: responses */

static void take_cp_reply(struct ike_sa *sa, const struct ike_payloads *p)
{
	struct ike *e = sa->engine;
	const struct ike_payload *payload = ike_find_payload(p, IKE_PAYLOAD_CP);
	struct ike_cp cp;
	if (!sa->peer->request_addresses || !payload || !ike_read_cp(payload, &cp) ||
	    cp.kind != IKE_CP_REPLY)
		return;
	take_assigned(sa, &cp);
	if (e->ops.assigned)
		e->ops.assigned(e->ops.ctx, sa, &cp);
}

static void take_child(struct ike_sa *sa, const struct ike_payloads *p)
{
	struct half *h = sa->half;
	struct ike *e = sa->engine;
	struct negotiation *n = h->auth->neg;
	struct ike_child *made = NULL;
	memcpy(n->nonce_i, h->nonce_i, sizeof(n->nonce_i));
	memcpy(n->nonce_r, h->nonce_r, sizeof(n->nonce_r));
	n->nonce_i_len = h->nonce_i_len;
	n->nonce_r_len = h->nonce_r_len;
	uint16_t notify = child_take_response(sa, n, true, p, NULL, h->connection, sa->user, &made);
	if (!notify)
		return;
	sa_log(sa, LOG_LEVEL_WARN, "first child refused notify=%s", ike_notify_text(notify));
	e->ops.child_failed(e->ops.ctx, sa, sa->user, notify);
}

/* A childless IKE_AUTH: the child comes in an exchange of its own. */
static void queue_child(struct ike_sa *sa)
{
	struct task *t = task_new(TASK_CHILD_CREATE);
	t->user = sa->user;
	t->connection = sa->half->connection;
	sa->half->connection = NULL;
	task_queue(sa, t, false);
}

static enum outcome finish_initiator(struct ike_sa *sa, const struct ike_payloads *p)
{
	bool child = sa->half->auth->neg != NULL;
	establish(sa, p);
	take_cp_reply(sa, p);
	if (child)
		take_child(sa, p);
	else
		queue_child(sa);
	end_half(sa);
	return DONE;
}

/* The responder's proof.  The keys with the PPK count when it says that it used it. */
static enum outcome check_responder(struct ike_sa *sa, const struct ike_payloads *p, bool ppk_sent)
{
	struct auth *a = sa->half->auth;
	struct ike_typed auth;
	struct ike_notify n;
	struct err err;
	const struct ike_payload *payload = ike_find_payload(p, IKE_PAYLOAD_AUTH);
	if (!payload || !ike_read_auth(payload, &auth))
		return auth_give_up(sa, IKE_N_AUTHENTICATION_FAILED, "the peer gave no proof");
	if (ppk_sent) {
		a->ppk = a->ppk && ike_find_notify(p, IKE_N_PPK_IDENTITY, &n);
		if (sa->peer->ppk_required && !a->ppk)
			return auth_give_up(sa, IKE_N_AUTHENTICATION_FAILED,
					    "a PPK is required and the peer did not use it");
	}
	const struct ike_sk *sk = ppk_sent && a->ppk ? &a->ppk_sk : &sa->half->sk;
	if (auth_proof_check(sa, sk, &auth, p, &err) != 0)
		return auth_give_up(sa, IKE_N_AUTHENTICATION_FAILED, "%s", err.text);
	return DONE;
}

static enum outcome take_first_response(struct ike_sa *sa, const struct ike_payloads *p)
{
	struct auth *a = sa->half->auth;
	bool eap = sa->peer->local_auth == IKE_BY_EAP;
	const struct ike_payload *idr = ike_find_payload(p, IKE_PAYLOAD_IDR);
	struct identity *id = take_id(idr);
	if (!id)
		return auth_give_up(sa, IKE_N_INVALID_SYNTAX, "the peer did not name itself");
	free(sa->remote_id);
	sa->remote_id = id;
	char text[128];
	if (!identity_matches(sa->peer->remote_id, id))
		return auth_give_up(sa, IKE_N_AUTHENTICATION_FAILED,
				    "the peer is %s, not who was expected",
				    identity_format(id, text, sizeof(text)));
	a->id_r = body_copy(idr, &a->id_r_len);
	enum outcome o = check_responder(sa, p, !eap);
	if (o != DONE)
		return o;
	return eap ? eap_auth_response(sa, &(struct inbound){.p = p}) : finish_initiator(sa, p);
}

static enum outcome auth_response(struct ike_sa *sa, struct task *t, const struct inbound *in)
{
	struct auth *a = sa->half->auth;
	(void)t;
	uint16_t notify = child_error(in->p);
	bool proof = ike_find_payload(in->p, IKE_PAYLOAD_AUTH) != NULL;
	if (notify && !proof) {
		sa->engine->counters.auth_failed++;
		return sa_fail(sa, notify, "the peer says %s", ike_notify_text(notify));
	}
	enum outcome o = DONE;
	switch (a->stage) {
	case AUTH_FIRST:
		return take_first_response(sa, in->p);
	case AUTH_EAP:
		return eap_auth_response(sa, in);
	case AUTH_LAST:
		o = check_responder(sa, in->p, true);
		break;
	}
	return o == DONE ? finish_initiator(sa, in->p) : o;
}

const struct row auth_row = {
    .story = "authentication",
    .exchange = IKE_AUTH,
    .task = TASK_AUTH,
    .build = auth_build,
    .response = auth_response,
};

/* --- responder */

/* CP request -> reply.  0, or the error notify. */
static uint16_t answer_cp(struct ike_sa *sa, const struct ike_payloads *p, struct ike_builder *b)
{
	const struct ike_ops *ops = &sa->engine->ops;
	const struct ike_payload *payload = ike_find_payload(p, IKE_PAYLOAD_CP);
	struct ike_cp request, reply = {.kind = IKE_CP_REPLY};
	if (!payload || !ops->assign || !ike_read_cp(payload, &request) ||
	    request.kind != IKE_CP_REQUEST)
		return 0;
	uint16_t notify = ops->assign(ops->ctx, sa, &request, &reply);
	if (notify)
		return notify;
	reply.kind = IKE_CP_REPLY;
	take_assigned(sa, &reply);
	ike_put_cp(b, &reply);
	return 0;
}

static void answer_child(struct ike_sa *sa, const struct ike_payloads *p, struct ike_builder *b)
{
	const struct half *h = sa->half;
	struct negotiation n = {.nonce_i_len = h->nonce_i_len, .nonce_r_len = h->nonce_r_len};
	struct ike_child *made = NULL;
	uint16_t notify = answer_cp(sa, p, b);
	if (notify) {
		child_put_error(b, notify);
	} else if (ike_find_payload(p, IKE_PAYLOAD_SA)) {
		memcpy(n.nonce_i, h->nonce_i, sizeof(n.nonce_i));
		memcpy(n.nonce_r, h->nonce_r, sizeof(n.nonce_r));
		notify = child_answer(sa, &n, true, p, NULL, b, &made);
		mem_wipe(&n, sizeof(n));
	}
	if (notify)
		sa_log(sa, LOG_LEVEL_WARN, "first child refused notify=%s",
		       ike_notify_text(notify));
}

/* The initiator's proof was good; `first` is its first request. */
static enum outcome finish_responder(struct ike_sa *sa, const struct inbound *in,
				     const struct ike_payloads *first, struct ike_builder *b)
{
	struct half *h = sa->half;
	struct auth *a = h->auth;
	struct auth_proof proof;
	struct err err;
	if (auth_proof_make(sa, a->ppk ? &a->ppk_sk : &h->sk, &proof, &err) != 0)
		return auth_refuse(sa, b, IKE_N_AUTHENTICATION_FAILED,
				   "our own proof cannot be made: %s", err.text);
	if (a->stage == AUTH_FIRST) {
		ike_put_typed(b, IKE_PAYLOAD_IDR, a->id_r[0], a->id_r + 4, a->id_r_len - 4u);
		put_certs(sa, b);
	}
	ike_put_typed(b, IKE_PAYLOAD_AUTH, proof.method, proof.data, proof.len);
	if (a->ppk)
		ike_put_notify(b, IKE_N_PPK_IDENTITY, NULL, 0);
	sa->path = in->path;
	establish(sa, first);
	if (sa->sojourn)
		sojourn_put_vendor(b);
	answer_child(sa, first, b);
	if (sa->mobike)
		mobike_put_auth(sa, b);
	end_half(sa);
	return DONE;
}

/* The rest is for the end of EAP. */
static void keep_first(struct auth *a, const struct ike_payloads *p)
{
	size_t len = 0;
	for (uint8_t i = 0; i < p->count; i++)
		len += p->at[i].len;
	a->first = mem_zalloc(sizeof(*a->first));
	a->first_bytes = mem_zalloc(len + 1);
	*a->first = *p;
	uint8_t *to = a->first_bytes;
	for (uint8_t i = 0; i < p->count; i++) {
		struct ike_payload *k = &a->first->at[i];
		memcpy(to, k->body, k->len);
		k->body = to;
		k->start = NULL;
		to += k->len;
	}
}

/* Our identity and proof, and the first EAP packet. */
static enum outcome begin_eap(struct ike_sa *sa, const struct ike_payloads *p,
			      struct ike_builder *b)
{
	struct half *h = sa->half;
	struct auth *a = h->auth;
	struct auth_proof proof;
	struct err err;
	if (sa->peer->remote_auth != IKE_BY_EAP)
		return auth_refuse(sa, b, IKE_N_AUTHENTICATION_FAILED,
				   "it wants EAP, which is not configured for it");
	if (sa->peer->local_auth == IKE_BY_EAP)
		return auth_refuse(sa, b, IKE_N_AUTHENTICATION_FAILED,
				   "a server cannot prove itself by EAP");
	if (!eap_auth_begin(sa))
		return auth_refuse(sa, b, IKE_N_AUTHENTICATION_FAILED,
				   "no EAP method is configured");
	if (auth_proof_make(sa, &h->sk, &proof, &err) != 0)
		return auth_refuse(sa, b, IKE_N_AUTHENTICATION_FAILED,
				   "our own proof cannot be made: %s", err.text);
	ike_put_typed(b, IKE_PAYLOAD_IDR, a->id_r[0], a->id_r + 4, a->id_r_len - 4u);
	put_certs(sa, b);
	ike_put_typed(b, IKE_PAYLOAD_AUTH, proof.method, proof.data, proof.len);
	ike_put_bytes(b, IKE_PAYLOAD_EAP, a->packet, a->packet_len);
	keep_first(a, p);
	return DONE;
}

static enum outcome check_initiator(struct ike_sa *sa, const struct ike_payloads *p,
				    struct ike_builder *b)
{
	struct auth *a = sa->half->auth;
	struct ike_typed auth;
	struct err err = {.text = "the crypto library failed"};
	const struct ike_payload *payload = ike_find_payload(p, IKE_PAYLOAD_AUTH);
	if (!payload || !ike_read_auth(payload, &auth))
		return auth_refuse(sa, b, IKE_N_AUTHENTICATION_FAILED, "it gave no proof");
	if (!choose_ppk(sa, p, &auth, &err) ||
	    auth_proof_check(sa, a->ppk ? &a->ppk_sk : &sa->half->sk, &auth, p, &err) != 0)
		return auth_refuse(sa, b, IKE_N_AUTHENTICATION_FAILED, "%s", err.text);
	return DONE;
}

/* Who it says it is, and who that may be.  False: nobody. */
static bool find_peer(struct ike_sa *sa, const struct inbound *in, bool eap)
{
	const struct ike_ops *ops = &sa->engine->ops;
	struct identity *idr = take_id(ike_find_payload(in->p, IKE_PAYLOAD_IDR));
	const struct ike_peer *peer = ops->find_peer(ops->ctx, sa->remote_id, idr, eap, &in->path);
	free(idr);
	if (!peer || !identity_matches(peer->remote_id, sa->remote_id))
		return false;
	sa_set_peer(sa, peer);
	free(sa->local_id);
	sa->local_id = identity_copy(peer->local_id);
	return sa->local_id != NULL;
}

static enum outcome refuse_unknown(struct ike_sa *sa, const struct inbound *in,
				   struct ike_builder *b)
{
	char who[128], whom[128] = "anybody";
	struct identity *idr = take_id(ike_find_payload(in->p, IKE_PAYLOAD_IDR));
	identity_format(sa->remote_id, who, sizeof(who));
	if (idr)
		identity_format(idr, whom, sizeof(whom));
	free(idr);
	return auth_refuse(sa, b, IKE_N_AUTHENTICATION_FAILED,
			   "nobody is configured as %s, who asks for %s", who, whom);
}

static enum outcome take_first(struct ike_sa *sa, const struct inbound *in, struct ike_builder *b)
{
	struct half *h = sa->half;
	struct auth *a = h->auth = mem_zalloc(sizeof(*h->auth));
	const struct ike_payload *idi = ike_find_payload(in->p, IKE_PAYLOAD_IDI);
	bool eap = !ike_find_payload(in->p, IKE_PAYLOAD_AUTH);
	free(sa->remote_id);
	sa->remote_id = take_id(idi);
	if (!sa->remote_id)
		return auth_refuse(sa, b, IKE_N_INVALID_SYNTAX, "its identity is not well formed");
	if (!find_peer(sa, in, eap))
		return refuse_unknown(sa, in, b);
	h->asked_cert |= ike_find_payload(in->p, IKE_PAYLOAD_CERTREQ) != NULL;
	a->id_i = body_copy(idi, &a->id_i_len);
	a->id_r = id_body_of(sa->local_id, &a->id_r_len);
	if (eap)
		return begin_eap(sa, in->p, b);
	enum outcome o = check_initiator(sa, in->p, b);
	return o == DONE ? finish_responder(sa, in, in->p, b) : o;
}

static enum outcome auth_request(struct ike_sa *sa, const struct inbound *in, struct ike_builder *b)
{
	struct auth *a = sa->half->auth;
	if (!a)
		return take_first(sa, in, b);
	enum outcome o = DONE;
	switch (a->stage) {
	case AUTH_EAP:
		return eap_auth_request(sa, in, b);
	case AUTH_FIRST:
	case AUTH_LAST:
		o = check_initiator(sa, in->p, b);
		break;
	}
	return o == DONE ? finish_responder(sa, in, a->first, b) : o;
}

static bool auth_fits(const struct ike_sa *sa, const struct inbound *in)
{
	(void)in;
	return sa->half && !sa->initiator;
}

const struct row auth_row_request = {
    .story = "authentication of a peer",
    .exchange = IKE_AUTH,
    .fits = auth_fits,
    .allowed = HAS(IDI) | HAS(IDR) | HAS(CERT) | HAS(CERTREQ) | HAS(AUTH) | HAS(NOTIFY) | HAS(SA) |
	       HAS(TSI) | HAS(TSR) | HAS(CP) | HAS(EAP) | HAS(VENDOR),
    .request = auth_request,
};
