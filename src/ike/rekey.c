/* SPDX-License-Identifier: MIT */
/*
 * Rekeying (RFC 7296 1.3.2, 1.3.3, 2.8) and what happens when both sides do it at once (2.8.1,
 * 2.8.2, 2.25).
 *
 * A collision: while our rekey of an SA is out, the peer's rekey of the same SA arrives.  It is
 * answered as if nothing were, and what it made (the rival) is remembered in our task with the
 * lower of its two nonces.  When our own response comes, the exchange that had the lowest of the
 * four nonces lost: who began it deletes what it made, and who began the other one deletes the old
 * SA.  Both sides compute the same, whichever message came first.
 *
 *   ours out, peer's comes    -> answered; rival noted
 *   our response comes        -> ours wins: switched, old deleted by us, rival waits for its delete
 *                                ours loses: ours deleted by us, rival takes over at old's delete
 *   our request is refused    -> the rival stands
 *   old is deleted by peer    -> it saw no collision: the rival stands
 *
 * A child SA may be named by a peer before the answer that made it has come to us (it was lost,
 * say): so an unknown one is put off, not denied, while an exchange of ours is out.
 *
 * The IKE SA is the same, with the children as what is handed on.  A rival that is used before our
 * own response came has been chosen by the peer (rekey_settle).  Requests that would change what is
 * being replaced or closed are put off by TEMPORARY_FAILURE.
 */
#include <stdio.h>
#include "base/mem.h"
#include "ike/child.h"
#include "ike/half.h"

#define AGAIN_MIN_US (30 * (usec_t)USEC_PER_SEC)

/* --- child SAs: ours */

static bool is_to_be_deleted(const struct ike_child *c)
{
	for (const struct task *t = c->sa->tasks; t; t = t->next)
		if (t->kind == TASK_CHILD_DELETE && t->child == c)
			return true;
	return false;
}

static void delete_child(struct ike_child *c, const char *why)
{
	if (is_to_be_deleted(c))
		return;
	struct task *t = task_new(TASK_CHILD_DELETE);
	t->child = c;
	snprintf(t->why, sizeof(t->why), "%s", why);
	task_queue(c->sa, t, true);
}

/* The other side deletes it, sooner or later. */
static void await_delete(struct ike_child *c)
{
	c->state = CHILD_REPLACED;
	c->rekey_at_us = USEC_NEVER;
	c->end_at_us = c->sa->engine->now_us + CHILD_LINGER_US;
}

static void put_off(struct ike_child *c)
{
	struct ike *e = c->sa->engine;
	c->state = CHILD_UP;
	c->rekey_at_us = e->now_us + AGAIN_MIN_US + AGAIN_MIN_US - sa_jitter(e, AGAIN_MIN_US);
}

static bool child_build(struct ike_sa *sa, struct task *t, struct ike_builder *b)
{
	struct ike_child *c = t->child;
	if (!c || (c->state != CHILD_UP && c->state != CHILD_REKEYING) || is_to_be_deleted(c))
		return false;
	/* Not one whose making the peer may not know of yet. */
	if (!c->switched ||
	    !negotiation_prepare(sa, t, child_list(sa, c->protocol), c->suite.group)) {
		put_off(c);
		return false;
	}
	c->state = CHILD_REKEYING;
	child_put_request(sa, t->neg, c, NULL, t->neg->kex != NULL, b);
	return true;
}

/* Our rekey failed.  A rival has taken over all the same. */
static void child_failed(struct ike_sa *sa, struct task *t, uint16_t notify)
{
	struct ike_child *c = t->child;
	if (t->neg && t->neg->rival_child)
		sa->engine->counters.collisions++;
	if (!c)
		return;
	if (t->neg && t->neg->rival_child) {
		await_delete(c);
	} else if (notify == IKE_N_CHILD_SA_NOT_FOUND) {
		child_end(c, "the peer does not know it");
	} else {
		sa_log(sa, LOG_LEVEL_WARN, "child not rekeyed spi_in=%08x notify=%s", c->spi_in,
		       ike_notify_text(notify));
		put_off(c);
	}
}

/* Ours was made; the rival, if there is one, goes. */
static void child_won(struct ike_sa *sa, struct task *t, struct ike_child *made)
{
	struct ike_child *old = t->child, *rival = t->neg->rival_child;
	if (rival) {
		sa->engine->counters.collisions++;
		if (old && old->replaced_by == rival)
			old->replaced_by = NULL;
		rival->replaces = NULL;
		if (rival->state == CHILD_UP)
			await_delete(rival);
	}
	if (!old)
		return;
	bool unwanted = is_to_be_deleted(old); /* wished meanwhile: it means what replaced it too */
	old->state = CHILD_REPLACED;
	old->replaced_by = made;
	old->rekey_at_us = old->end_at_us = USEC_NEVER;
	delete_child(old, "rekeyed");
	if (unwanted)
		delete_child(made, "deleted");
}

static enum outcome child_response(struct ike_sa *sa, struct task *t, const struct inbound *in)
{
	struct ike_child *made = NULL, *old = t->child ? t->child : t->neg->rival_child;
	t->neg->unwanted = !old;
	uint16_t notify = child_take_response(sa, t->neg, false, in->p, old, NULL, NULL, &made);
	if (made) {
		child_won(sa, t, made);
		sa_schedule(sa);
		return DONE;
	}
	enum outcome o = DONE;
	if (notify && t->child && !t->neg->rival_child)
		o = child_retry(sa, t, child_list(sa, t->child->protocol), in->p, notify);
	if (o == DONE)
		child_failed(sa, t, notify);
	else if (o == RETRY)
		t->child->state = CHILD_UP;
	sa_schedule(sa);
	return o;
}

const struct row rekey_row_child = {
    .story = "child SA rekeyed by us",
    .exchange = IKE_CREATE_CHILD_SA,
    .task = TASK_CHILD_REKEY,
    .build = child_build,
    .response = child_response,
};

/* --- child SAs: the peer's */

/* Our exchange that is out, if it is of this kind. */
static struct task *under_way(const struct ike_sa *sa, enum task_kind kind)
{
	return sa->request.count && sa->tasks && sa->tasks->kind == kind ? sa->tasks : NULL;
}

static bool child_fits(const struct ike_sa *sa, const struct inbound *in)
{
	struct ike_notify n;
	(void)sa;
	return ike_find_notify(in->p, IKE_N_REKEY_SA, &n);
}

static uint32_t spi_of(const struct ike_notify *n)
{
	struct reader r = reader_of(n->spi, n->spi_len);
	return reader_u32(&r);
}

static enum outcome child_request(struct ike_sa *sa, const struct inbound *in,
				  struct ike_builder *b)
{
	struct ike_notify n;
	struct ike_child *made = NULL;
	if (!ike_find_notify(in->p, IKE_N_REKEY_SA, &n) || n.spi_len != 4) {
		child_put_error(b, IKE_N_INVALID_SYNTAX);
		return DONE;
	}
	if (under_way(sa, TASK_IKE_REKEY)) {
		child_put_error(b, IKE_N_TEMPORARY_FAILURE);
		return DONE;
	}
	struct ike_child *c = child_by_spi_out(sa, n.protocol, spi_of(&n));
	if (!c && (under_way(sa, TASK_CHILD_CREATE) || under_way(sa, TASK_CHILD_REKEY))) {
		/* The answer that would name it may be on its way. */
		child_put_error(b, IKE_N_TEMPORARY_FAILURE);
		return DONE;
	}
	if (!c) {
		ike_put_notify_spi(b, IKE_N_CHILD_SA_NOT_FOUND, n.protocol, n.spi, n.spi_len, NULL,
				   0);
		return DONE;
	}
	struct task *ours = under_way(sa, TASK_CHILD_REKEY);
	ours = ours && ours->child == c ? ours : NULL;
	bool closing = c->state == CHILD_REPLACED || c->state == CHILD_DELETING ||
		       (ours && ours->neg->rival_child);
	if (closing) {
		child_put_error(b, IKE_N_TEMPORARY_FAILURE);
		return DONE;
	}
	struct negotiation neg = {0};
	uint16_t notify = child_answer(sa, &neg, false, in->p, c, b, &made);
	if (notify) {
		sa_log(sa, LOG_LEVEL_WARN, "rekey refused spi_in=%08x notify=%s", c->spi_in,
		       ike_notify_text(notify));
	} else {
		c->replaced_by = made;
		if (ours) {
			ours->neg->rival_child = made;
			negotiation_note_rival(ours->neg, &neg);
		} else {
			await_delete(c);
		}
		sa_schedule(sa);
	}
	mem_wipe(&neg, sizeof(neg));
	return DONE;
}

const struct row rekey_row_child_request = {
    .story = "child SA rekeyed by the peer",
    .exchange = IKE_CREATE_CHILD_SA,
    .fits = child_fits,
    .required = HAS(SA) | HAS(NONCE) | HAS(TSI) | HAS(TSR) | HAS(NOTIFY),
    .allowed = HAS(SA) | HAS(NONCE) | HAS(TSI) | HAS(TSR) | HAS(NOTIFY) | HAS(KE),
    .request = child_request,
};

/* --- IKE SAs */

/* What two IKE SAs of a rekey agree on. */
struct agreement {
	uint8_t spi_i[IKE_SPI_LEN], spi_r[IKE_SPI_LEN];
	struct suite suite;
	uint8_t shared[KEX_SECRET_MAX];
	size_t shared_len;
};

static struct identity *id_copy(const struct identity *i)
{
	return i ? identity_copy(i) : NULL;
}

/* A fresh IKE SA with its keys; nothing is handed on yet, and it is shown to nobody. */
static struct ike_sa *fresh_sa(struct ike_sa *old, bool initiator, const struct agreement *a,
			       const struct negotiation *n)
{
	struct ike_sa *fresh = sa_create(old->engine, initiator);
	struct ike_sk sk;
	if (!fresh)
		return NULL;
	memcpy(fresh->spi_i, a->spi_i, IKE_SPI_LEN);
	memcpy(fresh->spi_r, a->spi_r, IKE_SPI_LEN);
	fresh->suite = a->suite;
	fresh->path = old->path;
	fresh->fragmentation = old->fragmentation;
	fresh->childless = old->childless;
	fresh->client = old->client;
	fresh->nat_here = old->nat_here;
	fresh->nat_there = old->nat_there;
	fresh->udp = old->udp;
	fresh->hash_algorithms = old->hash_algorithms;
	fresh->heard_us = old->engine->now_us;
	int rc = keys_derive(fresh, old, a->shared, a->shared_len, n->nonce_i, n->nonce_i_len,
			     n->nonce_r, n->nonce_r_len, &sk);
	mem_wipe(&sk, sizeof(sk));
	if (rc != 0) {
		sa_end(fresh, 0, "no keys", false);
		return NULL;
	}
	sa_set_peer(fresh, old->peer);
	fresh->sojourn = old->sojourn;
	fresh->mobike = old->mobike;
	fresh->local_id = id_copy(old->local_id);
	fresh->remote_id = id_copy(old->remote_id);
	fresh->eap_identity = old->eap_identity ? mem_strdup(old->eap_identity) : NULL;
	sa_index(fresh);
	/* Until it takes over it is like one that was replaced: it only waits for its delete. */
	sa_set_state(fresh, IKE_SA_REKEYED, "made by a rekey");
	sa_schedule(fresh);
	return fresh;
}

static void hand_on(struct ike_sa *old, struct ike_sa *fresh)
{
	fresh->user = old->user;
	fresh->children = old->children;
	old->children = NULL;
	for (struct ike_child *c = fresh->children; c; c = c->next)
		c->sa = fresh;
	fresh->assigned = old->assigned;
	fresh->assigned_count = old->assigned_count;
	fresh->additional = old->additional;
	fresh->additional_count = old->additional_count;
	old->assigned = old->additional = NULL;
	old->assigned_count = old->additional_count = 0;
	fresh->path = old->path;
	fresh->nat_here = old->nat_here;
	fresh->nat_there = old->nat_there;
	fresh->udp = old->udp;
	fresh->held = old->held;
}

static void delete_sa(struct ike_sa *sa, const char *why)
{
	if (task_is_queued(sa, TASK_IKE_DELETE))
		return;
	struct task *t = task_new(TASK_IKE_DELETE);
	snprintf(t->why, sizeof(t->why), "%s", why);
	task_queue(sa, t, true);
}

/* Fresh takes over; old only waits for its delete, whoever sends it. */
static void take_over(struct ike_sa *old, struct ike_sa *fresh)
{
	struct ike *e = old->engine;
	bool unwanted = task_is_queued(old, TASK_IKE_DELETE); /* it means what replaced it too */
	hand_on(old, fresh);
	old->replaced_by = fresh;
	fresh->replaces = old;
	sa_set_state(old, IKE_SA_REKEYED, "rekeyed");
	old->rekey_at_us = old->liveness_at_us = USEC_NEVER;
	fresh->rekeyed = false;
	sa_set_state(fresh, IKE_SA_ESTABLISHED, "took over");
	auth_begin_life(fresh);
	task_move(old, fresh);
	e->counters.ike_rekeys++;
	keys_tell(fresh);
	if (e->ops.sa_rekeyed)
		e->ops.sa_rekeyed(e->ops.ctx, old, fresh);
	old->user = NULL;
	sa_schedule(old);
	sa_schedule(fresh);
	if (unwanted)
		delete_sa(fresh, "closed");
}

/* --- IKE SAs: ours */

static bool ike_build(struct ike_sa *sa, struct task *t, struct ike_builder *b)
{
	struct ike *e = sa->engine;
	uint8_t value[KEX_PUBLIC_MAX];
	if (sa->state != IKE_SA_ESTABLISHED ||
	    !negotiation_prepare(sa, t, &sa->peer->ike, sa->suite.group) || !t->neg->kex ||
	    kex_public(t->neg->kex, value) != 0)
		return false;
	struct negotiation *n = t->neg;
	e->ops.random(e->ops.ctx, n->ike_spi, IKE_SPI_LEN);
	n->ike_spi[0] |= 1; /* 0 is no SPI */
	proposal_put(b, SUITE_IKE, &sa->peer->ike, true, n->ike_spi, IKE_SPI_LEN);
	ike_put_bytes(b, IKE_PAYLOAD_NONCE, n->nonce_i, n->nonce_i_len);
	ike_put_ke(b, n->group->ike_id, value, n->group->public_len);
	return true;
}

/* SA, nonce and key exchange of a message, as far as both directions do the same. */
static bool take_ke(const struct ike_payloads *p, struct ike_ke *ke)
{
	const struct ike_payload *payload = ike_find_payload(p, IKE_PAYLOAD_KE);
	return payload && ike_read_ke(payload, ke);
}

static bool spi_is_none(const uint8_t spi[IKE_SPI_LEN])
{
	static const uint8_t none[IKE_SPI_LEN];
	return memcmp(spi, none, IKE_SPI_LEN) == 0;
}

static bool ike_take(struct ike_sa *sa, struct negotiation *n, const struct ike_payloads *p,
		     struct agreement *a)
{
	struct ike_proposals came;
	struct proposal_choice c;
	struct ike_ke ke;
	const struct ike_payload *payload = ike_find_payload(p, IKE_PAYLOAD_SA);
	if (!payload || !ike_read_sa(payload, &came) ||
	    !proposal_accept(SUITE_IKE, &sa->peer->ike, &came, true, IKE_SPI_LEN, &c) ||
	    spi_is_none(c.spi) || !nonce_take(p, n->nonce_r, &n->nonce_r_len) || !take_ke(p, &ke) ||
	    c.suite.group != kex_group_of(n->kex) || ke.group != c.suite.group->ike_id ||
	    kex_shared(n->kex, ke.data, ke.len, a->shared) != 0)
		return false;
	a->shared_len = c.suite.group->secret_len;
	a->suite = c.suite;
	memcpy(a->spi_i, n->ike_spi, IKE_SPI_LEN);
	memcpy(a->spi_r, c.spi, IKE_SPI_LEN);
	return true;
}

static void rival_stands(struct ike_sa *sa, struct negotiation *n)
{
	struct ike_sa *rival = n->rival_sa;
	n->rival_sa = NULL;
	if (!rival)
		return;
	sa->engine->counters.collisions++;
	if (!sa->replaced_by)
		take_over(sa, rival);
}

static enum outcome ike_failed(struct ike_sa *sa, struct task *t, const struct ike_payloads *p)
{
	struct ike *e = sa->engine;
	uint16_t notify = child_error(p);
	if (t->neg->rival_sa || sa->replaced_by) {
		rival_stands(sa, t->neg);
		return DONE;
	}
	enum outcome o = child_retry(sa, t, &sa->peer->ike, p, notify);
	if (o == DONE) {
		sa_log(sa, LOG_LEVEL_WARN, "IKE SA not rekeyed notify=%s", ike_notify_text(notify));
		sa->rekey_at_us =
		    e->now_us + AGAIN_MIN_US + AGAIN_MIN_US - sa_jitter(e, AGAIN_MIN_US);
	}
	return o;
}

static enum outcome ike_response(struct ike_sa *sa, struct task *t, const struct inbound *in)
{
	struct negotiation *n = t->neg;
	struct agreement a = {0};
	if (!ike_find_payload(in->p, IKE_PAYLOAD_SA))
		return ike_failed(sa, t, in->p);
	bool good = ike_take(sa, n, in->p, &a);
	struct ike_sa *fresh = good ? fresh_sa(sa, true, &a, n) : NULL;
	mem_wipe(&a, sizeof(a));
	if (!fresh)
		return ike_failed(sa, t, in->p);
	bool lost = sa->replaced_by || (n->rival_sa && negotiation_loses(n));
	if (lost) {
		rival_stands(sa, n);
		delete_sa(fresh, "redundant");
		return DONE;
	}
	if (n->rival_sa) {
		sa->engine->counters.collisions++;
		n->rival_sa->replaces = NULL;
		n->rival_sa = NULL;
	}
	take_over(sa, fresh);
	delete_sa(sa, "rekeyed");
	return DONE;
}

const struct row rekey_row_ike = {
    .story = "IKE SA rekeyed by us",
    .exchange = IKE_CREATE_CHILD_SA,
    .task = TASK_IKE_REKEY,
    .build = ike_build,
    .response = ike_response,
};

/* --- IKE SAs: the peer's */

static bool ike_fits(const struct ike_sa *sa, const struct inbound *in)
{
	struct ike_proposals p;
	const struct ike_payload *payload = ike_find_payload(in->p, IKE_PAYLOAD_SA);
	(void)sa;
	return payload && ike_read_sa(payload, &p) && p.count && p.at[0].protocol == IKE_PROTO_IKE;
}

/* RFC 7296 2.25.2: not while a child SA is being made, rekeyed or closed by us; nor a move told. */
static bool ike_is_busy(const struct ike_sa *sa)
{
	return sa->state != IKE_SA_ESTABLISHED || under_way(sa, TASK_CHILD_CREATE) ||
	       under_way(sa, TASK_CHILD_REKEY) || under_way(sa, TASK_CHILD_DELETE) ||
	       under_way(sa, TASK_MOBIKE) || under_way(sa, TASK_IKE_DELETE);
}

/* The peer's offer against ours.  0, or the error notify; *wanted with INVALID_KE_PAYLOAD. */
static uint16_t ike_choose(struct ike_sa *sa, const struct ike_payloads *p,
			   struct proposal_choice *c, struct ike_ke *ke,
			   const struct kex_group **wanted)
{
	struct ike_proposals offered;
	const struct ike_payload *payload = ike_find_payload(p, IKE_PAYLOAD_SA);
	if (!payload || !ike_read_sa(payload, &offered) || !take_ke(p, ke))
		return IKE_N_INVALID_SYNTAX;
	const struct kex_group *group = kex_by_id(ke->group);
	if (!proposal_choose(SUITE_IKE, &sa->peer->ike, &offered, true, group, IKE_SPI_LEN, c) ||
	    !c->suite.group)
		return IKE_N_NO_PROPOSAL_CHOSEN;
	if (spi_is_none(c->spi))
		return IKE_N_INVALID_SYNTAX;
	*wanted = c->suite.group;
	return c->suite.group == group ? 0 : IKE_N_INVALID_KE_PAYLOAD;
}

/* Key exchange and keys; the answer's payloads. */
static struct ike_sa *ike_answer(struct ike_sa *sa, struct negotiation *n,
				 const struct proposal_choice *c, const struct ike_ke *ke,
				 struct ike_builder *b)
{
	struct ike *e = sa->engine;
	struct agreement a = {.suite = c->suite, .shared_len = c->suite.group->secret_len};
	uint8_t value[KEX_PUBLIC_MAX];
	struct ike_sa *fresh = NULL;
	struct kex *kex = kex_new(c->suite.group);
	if (!kex || kex_public(kex, value) != 0 ||
	    kex_shared(kex, ke->data, ke->len, a.shared) != 0)
		goto out;
	n->nonce_r_len = NONCE_LEN;
	e->ops.random(e->ops.ctx, n->nonce_r, NONCE_LEN);
	memcpy(a.spi_i, c->spi, IKE_SPI_LEN);
	e->ops.random(e->ops.ctx, a.spi_r, IKE_SPI_LEN);
	a.spi_r[0] |= 1;
	fresh = fresh_sa(sa, false, &a, n);
	if (!fresh)
		goto out;
	proposal_put_choice(b, SUITE_IKE, c, true, a.spi_r, IKE_SPI_LEN);
	ike_put_bytes(b, IKE_PAYLOAD_NONCE, n->nonce_r, n->nonce_r_len);
	ike_put_ke(b, c->suite.group->ike_id, value, c->suite.group->public_len);
out:
	kex_free(kex);
	mem_wipe(&a, sizeof(a));
	return fresh;
}

static enum outcome ike_request(struct ike_sa *sa, const struct inbound *in, struct ike_builder *b)
{
	struct proposal_choice c;
	struct ike_ke ke;
	const struct kex_group *wanted = NULL;
	struct task *ours = under_way(sa, TASK_IKE_REKEY);
	struct negotiation n = {0};
	uint16_t notify = 0;
	if (ike_is_busy(sa) || (ours && ours->neg->rival_sa))
		notify = IKE_N_TEMPORARY_FAILURE;
	else if (!nonce_take(in->p, n.nonce_i, &n.nonce_i_len))
		notify = IKE_N_INVALID_SYNTAX;
	else
		notify = ike_choose(sa, in->p, &c, &ke, &wanted);
	struct ike_sa *fresh = notify ? NULL : ike_answer(sa, &n, &c, &ke, b);
	if (!notify && !fresh)
		notify = IKE_N_INVALID_SYNTAX;
	if (notify == IKE_N_INVALID_KE_PAYLOAD) {
		child_put_invalid_ke(b, wanted);
	} else if (notify) {
		child_put_error(b, notify);
	} else if (ours) {
		fresh->replaces = sa;
		ours->neg->rival_sa = fresh;
		negotiation_note_rival(ours->neg, &n);
	} else {
		take_over(sa, fresh);
	}
	mem_wipe(&n, sizeof(n));
	return DONE;
}

const struct row rekey_row_ike_request = {
    .story = "IKE SA rekeyed by the peer",
    .exchange = IKE_CREATE_CHILD_SA,
    .fits = ike_fits,
    .required = HAS(SA) | HAS(NONCE) | HAS(KE),
    .allowed = HAS(SA) | HAS(NONCE) | HAS(KE) | HAS(NOTIFY),
    .request = ike_request,
};

/* --- from outside */

static struct negotiation *rekey_of(const struct ike_sa *old)
{
	for (struct task *t = old->tasks; t; t = t->next)
		if (t->kind == TASK_IKE_REKEY && t->neg && t->neg->rival_sa)
			return t->neg;
	return NULL;
}

void rekey_settle(struct ike_sa *sa)
{
	struct negotiation *n = sa->replaces ? rekey_of(sa->replaces) : NULL;
	if (n && n->rival_sa == sa)
		rival_stands(sa->replaces, n);
}

void rekey_forget(struct ike_sa *sa)
{
	struct negotiation *n = rekey_of(sa);
	if (n && task_is_queued(sa, TASK_IKE_DELETE)) {
		/* It was to be closed: so is what the peer made of it. */
		n->rival_sa->replaces = NULL;
		delete_sa(n->rival_sa, "closed");
		n->rival_sa = NULL;
	} else if (n) {
		rival_stands(sa, n);
	}
	n = sa->replaces ? rekey_of(sa->replaces) : NULL;
	if (n && n->rival_sa == sa)
		n->rival_sa = NULL;
	if (sa->replaces && sa->replaces->replaced_by == sa)
		sa->replaces->replaced_by = NULL;
	if (sa->replaced_by && sa->replaced_by->replaces == sa)
		sa->replaced_by->replaces = NULL;
}
