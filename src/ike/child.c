/* SPDX-License-Identifier: MIT */
/*
 * Child SAs: their list, their lifetimes, and the CREATE_CHILD_SA exchange that makes one more
 * (RFC 7296 1.3.1).  What is agreed in it is child_make.c's; rekeying is rekey.c's.
 *
 * A child SA that replaces another (rekey) works inbound from the beginning.  The side that began
 * the rekey sends with it at once and deletes the old one; the other side goes on with the old one
 * until that delete comes, so that nothing is sent to a side that cannot open it yet.  That change
 * is made where the old one ends (child_end), however it ends.
 */
#include "ike/child.h"
#include <stdio.h>
#include "base/mem.h"

#define CHILDREN_MAX  256
#define RETRIES_MAX   12
#define RETRY_MIN_US  USEC_PER_SEC
#define RETRY_MORE_US (3 * USEC_PER_SEC)

/* --- negotiations */

struct negotiation *negotiation_new(struct ike *e)
{
	struct negotiation *n = mem_zalloc(sizeof(*n));
	n->nonce_i_len = NONCE_LEN;
	e->ops.random(e->ops.ctx, n->nonce_i, NONCE_LEN);
	return n;
}

void negotiation_free(struct negotiation *n)
{
	if (!n)
		return;
	kex_free(n->kex);
	free(n->ts);
	mem_wipe(n, sizeof(*n));
	free(n);
}

static const struct kex_group *group_in(const struct suite_list *list, uint16_t id)
{
	for (uint8_t i = 0; i < list->count; i++)
		for (uint8_t g = 0; g < list->at[i].group_count; g++)
			if (id == 0 || list->at[i].group[g]->ike_id == id)
				return list->at[i].group[g];
	return NULL;
}

bool negotiation_prepare(struct ike_sa *sa, struct task *t, const struct suite_list *list,
			 const struct kex_group *before)
{
	if (!t->neg)
		t->neg = negotiation_new(sa->engine);
	struct negotiation *n = t->neg;
	if (n->no_ke || n->kex)
		return true;
	if (!n->group && before)
		n->group = group_in(list, before->ike_id);
	if (!n->group)
		n->group = group_in(list, 0);
	if (!n->group)
		return true;
	n->kex = kex_new(n->group);
	return n->kex != NULL;
}

bool nonce_is_lower(const uint8_t *a, size_t a_len, const uint8_t *b, size_t b_len)
{
	int order = memcmp(a, b, a_len < b_len ? a_len : b_len);
	return order ? order < 0 : a_len < b_len;
}

const uint8_t *negotiation_lowest(const struct negotiation *n, size_t *len)
{
	bool i = nonce_is_lower(n->nonce_i, n->nonce_i_len, n->nonce_r, n->nonce_r_len);
	*len = i ? n->nonce_i_len : n->nonce_r_len;
	return i ? n->nonce_i : n->nonce_r;
}

bool negotiation_loses(const struct negotiation *n)
{
	size_t len;
	const uint8_t *ours = negotiation_lowest(n, &len);
	return nonce_is_lower(ours, len, n->rival_nonce, n->rival_nonce_len);
}

void negotiation_note_rival(struct negotiation *ours, const struct negotiation *theirs)
{
	size_t len;
	const uint8_t *nonce = negotiation_lowest(theirs, &len);
	memcpy(ours->rival_nonce, nonce, len);
	ours->rival_nonce_len = (uint16_t)len;
}

bool nonce_take(const struct ike_payloads *p, uint8_t out[IKE_NONCE_MAX], uint16_t *len)
{
	const struct ike_payload *n = ike_find_payload(p, IKE_PAYLOAD_NONCE);
	if (!n || n->len < IKE_NONCE_MIN || n->len > IKE_NONCE_MAX)
		return false;
	memcpy(out, n->body, n->len);
	*len = n->len;
	return true;
}

/* --- the list */

const struct suite_list *child_list(const struct ike_sa *sa, uint8_t protocol)
{
	return protocol == IKE_PROTO_AH ? &sa->peer->child.ah : &sa->peer->child.esp;
}

static usec_t later(const struct ike *e, usec_t span_us)
{
	return span_us && span_us < USEC_NEVER - e->now_us ? e->now_us + span_us : USEC_NEVER;
}

struct ike_child *child_add(struct ike_sa *sa, const struct child_draft *d)
{
	const struct ike_child_config *cfg = &sa->peer->child;
	struct ike *e = sa->engine;
	struct ike_child *c = mem_zalloc(sizeof(*c));
	c->sa = sa;
	c->state = CHILD_UP;
	c->protocol = d->protocol;
	c->transport = d->transport;
	c->spi_in = d->spi_in;
	c->spi_out = d->spi_out;
	c->suite = d->suite;
	c->ts_local = d->local.count;
	c->ts_remote = d->remote.count;
	c->ts = mem_zalloc((size_t)(c->ts_local + c->ts_remote + 1) * sizeof(*c->ts));
	memcpy(c->ts, d->local.at, c->ts_local * sizeof(*c->ts));
	memcpy(c->ts + c->ts_local, d->remote.at, c->ts_remote * sizeof(*c->ts));
	c->rekey_at_us = cfg->rekey_us ? later(e, sa_jitter(e, cfg->rekey_us)) : USEC_NEVER;
	c->end_at_us = later(e, cfg->life_us);
	struct ike_child **at = &sa->children;
	while (*at)
		at = &(*at)->next;
	*at = c;
	return c;
}

void child_discard(struct ike_sa *sa, const struct child_draft *d, const char *why)
{
	struct ike_child *c = child_add(sa, d);
	c->rekey_at_us = c->end_at_us = USEC_NEVER;
	c->state = CHILD_DELETING;
	struct task *t = task_new(TASK_CHILD_DELETE);
	t->child = c;
	snprintf(t->why, sizeof(t->why), "%s", why);
	task_queue(sa, t, true);
}

static void take_out(struct ike_child *c)
{
	for (struct ike_child **at = &c->sa->children; *at; at = &(*at)->next)
		if (*at == c) {
			*at = c->next;
			return;
		}
}

void child_end(struct ike_child *c, const char *why)
{
	struct ike_sa *sa = c->sa;
	const struct ike_ops *ops = &sa->engine->ops;
	struct ike_child *heir = c->replaced_by;
	if (heir && !heir->switched && heir->told) {
		heir->switched = true;
		ops->child_switch(ops->ctx, heir);
	}
	take_out(c);
	for (struct ike_child *o = sa->children; o; o = o->next) {
		if (o->replaces == c)
			o->replaces = NULL;
		if (o->replaced_by == c)
			o->replaced_by = NULL;
	}
	task_forget_child(sa, c);
	if (c->told) {
		sa_log(sa, LOG_LEVEL_INFO, "child down spi_in=%08x spi_out=%08x why=\"%s\"",
		       c->spi_in, c->spi_out, why);
		ops->child_down(ops->ctx, c, why);
	}
	free(c->ts);
	free(c);
}

struct ike_child *child_by_spi_out(struct ike_sa *sa, uint8_t protocol, uint32_t spi)
{
	for (struct ike_child *c = sa->children; c; c = c->next)
		if (c->protocol == protocol && c->spi_out == spi)
			return c;
	return NULL;
}

struct ike_child *child_by_spi_in(struct ike_sa *sa, uint8_t protocol, uint32_t spi)
{
	for (struct ike_child *c = sa->children; c; c = c->next)
		if (c->protocol == protocol && c->spi_in == spi)
			return c;
	return NULL;
}

void child_revoke(struct ike_sa *sa, uint32_t spi_out)
{
	if (sa->request.count && sa->tasks && sa->tasks->neg)
		sa->tasks->neg->revoked_spi = spi_out;
}

/* One that is due, with its time taken away: so the search that begins again ends. */
static bool tick_one(struct ike_sa *sa, usec_t now_us)
{
	for (struct ike_child *c = sa->children; c; c = c->next) {
		if (c->end_at_us <= now_us) {
			c->end_at_us = c->rekey_at_us = USEC_NEVER;
			ike_child_delete(sa->engine, c,
					 c->state == CHILD_REPLACED ? "rekeyed" : "lifetime",
					 now_us);
			return true;
		}
		if (c->rekey_at_us <= now_us) {
			c->rekey_at_us = USEC_NEVER;
			if (c->state == CHILD_UP && sa->state == IKE_SA_ESTABLISHED)
				ike_child_rekey(sa->engine, c, now_us);
			return true;
		}
	}
	return false;
}

void child_tick(struct ike_sa *sa, usec_t now_us)
{
	while (tick_one(sa, now_us))
		;
}

/* --- errors */

uint16_t child_error(const struct ike_payloads *p)
{
	for (uint8_t i = 0; i < p->count; i++) {
		struct ike_notify n;
		if (p->at[i].type == IKE_PAYLOAD_NOTIFY && ike_read_notify(&p->at[i], &n) &&
		    n.type && n.type <= IKE_N_ERROR_LAST)
			return n.type;
	}
	return 0;
}

void child_put_error(struct ike_builder *b, uint16_t notify)
{
	ike_put_notify(b, notify, NULL, 0);
}

void child_put_invalid_ke(struct ike_builder *b, const struct kex_group *wanted)
{
	uint8_t data[2];
	struct writer w = writer_of(data, sizeof(data));
	writer_u16(&w, wanted->ike_id);
	ike_put_notify(b, IKE_N_INVALID_KE_PAYLOAD, data, sizeof(data));
}

/* RFC 7296 1.3: the responder names the group it wants; it must be one that we offered. */
static const struct kex_group *other_group(const struct negotiation *n,
					   const struct suite_list *list,
					   const struct ike_payloads *p)
{
	struct ike_notify k;
	if (!n->kex || !ike_find_notify(p, IKE_N_INVALID_KE_PAYLOAD, &k) || k.len != 2)
		return NULL;
	struct reader r = reader_of(k.data, k.len);
	uint16_t id = reader_u16(&r);
	const struct kex_group *g = id ? group_in(list, id) : NULL;
	return g == n->group ? NULL : g;
}

enum outcome child_retry(struct ike_sa *sa, struct task *t, const struct suite_list *list,
			 const struct ike_payloads *p, uint16_t notify)
{
	struct ike *e = sa->engine;
	struct negotiation *n = t->neg;
	if (t->tries >= RETRIES_MAX)
		return DONE;
	if (notify == IKE_N_TEMPORARY_FAILURE) {
		uint32_t random;
		e->ops.random(e->ops.ctx, &random, sizeof(random));
		t->not_before_us = e->now_us + RETRY_MIN_US + random % RETRY_MORE_US;
		negotiation_free(t->neg);
		t->neg = NULL;
		return RETRY;
	}
	const struct kex_group *g =
	    notify == IKE_N_INVALID_KE_PAYLOAD ? other_group(n, list, p) : NULL;
	if (g) {
		kex_free(n->kex);
		n->kex = NULL;
		n->group = g;
		t->tries++;
		return AGAIN;
	}
	/* Many peers have no groups for child SAs configured. */
	if (notify == IKE_N_NO_PROPOSAL_CHOSEN && n->kex && t->kind != TASK_IKE_REKEY &&
	    !sa->peer->child.require_pfs) {
		kex_free(n->kex);
		n->kex = NULL;
		n->no_ke = true;
		t->tries++;
		return AGAIN;
	}
	return DONE;
}

/* --- CREATE_CHILD_SA: one more child */

static uint8_t create_protocol(const struct ike_sa *sa)
{
	return sa->peer->child.esp.count ? IKE_PROTO_ESP : IKE_PROTO_AH;
}

static bool create_build(struct ike_sa *sa, struct task *t, struct ike_builder *b)
{
	const struct suite_list *list = child_list(sa, create_protocol(sa));
	if (!negotiation_prepare(sa, t, list, NULL)) {
		sa->engine->ops.child_failed(sa->engine->ops.ctx, sa, t->user,
					     IKE_N_NO_ADDITIONAL_SAS);
		return false;
	}
	child_put_request(sa, t->neg, NULL, t->connection, t->neg->kex != NULL, b);
	return true;
}

static enum outcome create_response(struct ike_sa *sa, struct task *t, const struct inbound *in)
{
	struct ike *e = sa->engine;
	struct ike_child *made = NULL;
	uint16_t notify =
	    child_take_response(sa, t->neg, false, in->p, NULL, t->connection, t->user, &made);
	if (!notify)
		return DONE;
	const struct suite_list *list = child_list(sa, create_protocol(sa));
	enum outcome o = child_retry(sa, t, list, in->p, notify);
	if (o == DONE) {
		sa_log(sa, LOG_LEVEL_WARN, "child refused notify=%s", ike_notify_text(notify));
		e->ops.child_failed(e->ops.ctx, sa, t->user, notify);
	}
	return o;
}

static void create_abandoned(struct ike_sa *sa, struct task *t, uint16_t notify)
{
	sa->engine->ops.child_failed(sa->engine->ops.ctx, sa, t->user, notify);
}

const struct row child_row_create = {
    .story = "another child SA",
    .exchange = IKE_CREATE_CHILD_SA,
    .task = TASK_CHILD_CREATE,
    .build = create_build,
    .response = create_response,
    .abandoned = create_abandoned,
};

static size_t count_of(const struct ike_sa *sa)
{
	size_t n = 0;
	for (const struct ike_child *c = sa->children; c; c = c->next)
		n++;
	return n;
}

static enum outcome create_request(struct ike_sa *sa, const struct inbound *in,
				   struct ike_builder *b)
{
	/* RFC 7296 2.25.2: not while the IKE SA itself is being replaced or closed. */
	bool busy = sa->state != IKE_SA_ESTABLISHED ||
		    (sa->request.count && sa->tasks && sa->tasks->kind == TASK_IKE_REKEY);
	if (busy || count_of(sa) >= CHILDREN_MAX) {
		child_put_error(b, busy ? IKE_N_TEMPORARY_FAILURE : IKE_N_NO_ADDITIONAL_SAS);
		return DONE;
	}
	struct negotiation neg = {0};
	struct ike_child *made = NULL;
	uint16_t notify = child_answer(sa, &neg, false, in->p, NULL, b, &made);
	if (notify)
		sa_log(sa, LOG_LEVEL_WARN, "child refused notify=%s", ike_notify_text(notify));
	mem_wipe(&neg, sizeof(neg));
	return DONE;
}

const struct row child_row_create_request = {
    .story = "another child SA of the peer's",
    .exchange = IKE_CREATE_CHILD_SA,
    .required = HAS(SA) | HAS(NONCE) | HAS(TSI) | HAS(TSR),
    .allowed = HAS(SA) | HAS(NONCE) | HAS(TSI) | HAS(TSR) | HAS(KE) | HAS(NOTIFY),
    .request = create_request,
};
