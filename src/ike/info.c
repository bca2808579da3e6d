/* SPDX-License-Identifier: MIT */
/*
 * INFORMATIONAL (RFC 7296 1.4): deletes of child SAs and of the IKE SA, liveness, and what is due
 * by time between exchanges.
 *
 * A child SA is a pair: who wants it gone names his inbound half, and the answer names the other
 * one.  When both sides delete it at once neither answer names it (1.4.1): each has said so
 * already.
 */
#include <stdio.h>
#include "base/mem.h"
#include "ike/auth.h"

#define DELETES_MAX    64 /* SPIs in one answer */
#define REKEY_AGAIN_US (30 * (usec_t)USEC_PER_SEC)

/* --- ours */

static bool child_delete_build(struct ike_sa *sa, struct task *t, struct ike_builder *b)
{
	(void)sa;
	if (!t->child)
		return false;
	t->child->state = CHILD_DELETING;
	ike_put_delete(b, t->child->protocol, &t->child->spi_in, 1);
	return true;
}

static enum outcome child_delete_response(struct ike_sa *sa, struct task *t,
					  const struct inbound *in)
{
	(void)sa;
	(void)in; /* a peer that does not know it any more is as good */
	if (t->child)
		child_end(t->child, t->why[0] ? t->why : "deleted");
	return DONE;
}

const struct row info_row_child_delete = {
    .story = "child SA deleted by us",
    .exchange = IKE_INFORMATIONAL,
    .task = TASK_CHILD_DELETE,
    .build = child_delete_build,
    .response = child_delete_response,
};

static bool ike_delete_build(struct ike_sa *sa, struct task *t, struct ike_builder *b)
{
	ike_put_delete(b, IKE_PROTO_IKE, NULL, 0);
	sa_set_state(sa, IKE_SA_CLOSING, t->why[0] ? t->why : "closed");
	return true;
}

static enum outcome ike_delete_response(struct ike_sa *sa, struct task *t, const struct inbound *in)
{
	(void)in;
	return sa_fail(sa, 0, "%s", t->why[0] ? t->why : "closed");
}

const struct row info_row_ike_delete = {
    .story = "IKE SA deleted by us",
    .exchange = IKE_INFORMATIONAL,
    .task = TASK_IKE_DELETE,
    .build = ike_delete_build,
    .response = ike_delete_response,
};

static bool liveness_build(struct ike_sa *sa, struct task *t, struct ike_builder *b)
{
	(void)t;
	mobike_put_liveness(sa, b);
	return true;
}

static enum outcome liveness_response(struct ike_sa *sa, struct task *t, const struct inbound *in)
{
	(void)t;
	mobike_take_liveness(sa, in);
	return DONE;
}

const struct row info_row_liveness = {
    .story = "peer asked whether it lives",
    .exchange = IKE_INFORMATIONAL,
    .task = TASK_LIVENESS,
    .build = liveness_build,
    .response = liveness_response,
};

/* --- the peer's */

bool info_deletes_ike(const struct inbound *in)
{
	struct ike_delete d;
	if (in->h.exchange != IKE_INFORMATIONAL)
		return false;
	for (unsigned i = 0; i < in->p->count; i++)
		if (in->p->at[i].type == IKE_PAYLOAD_DELETE && ike_read_delete(&in->p->at[i], &d) &&
		    d.protocol == IKE_PROTO_IKE)
			return true;
	return false;
}

struct deleted { /* what the answer names */
	uint32_t spis[DELETES_MAX];
	uint16_t count;
};

static void delete_children(struct ike_sa *sa, const struct ike_delete *d, struct deleted *out)
{
	struct reader r = reader_of(d->spis, (size_t)d->count * d->spi_len);
	for (unsigned i = 0; i < d->count; i++) {
		uint32_t spi = reader_u32(&r);
		struct ike_child *c = child_by_spi_out(sa, d->protocol, spi);
		if (!c) {
			child_revoke(sa, spi);
			continue;
		}
		/* One that we asked to delete ourselves is not named again. */
		if (c->state != CHILD_DELETING && out->count < DELETES_MAX)
			out->spis[out->count++] = c->spi_in;
		child_end(c, c->state == CHILD_REPLACED ? "replaced" : "deleted by the peer");
	}
}

/* An error that a peer tells outside of an answer: it could not take ours (2.21.2). */
static uint16_t error_told(const struct ike_payloads *p)
{
	struct ike_notify n;
	for (unsigned i = 0; i < p->count; i++)
		if (p->at[i].type == IKE_PAYLOAD_NOTIFY && ike_read_notify(&p->at[i], &n) &&
		    (n.type == IKE_N_AUTHENTICATION_FAILED || n.type == IKE_N_INVALID_SYNTAX))
			return n.type;
	return 0;
}

static enum outcome info_request(struct ike_sa *sa, const struct inbound *in, struct ike_builder *b)
{
	static const uint8_t protocols[] = {IKE_PROTO_ESP, IKE_PROTO_AH};
	struct deleted gone[ARRAY_LEN(protocols)] = {0};
	struct ike_delete d;
	uint16_t error = error_told(in->p);

	/* A stranger's: it may end the IKE SA, no more. */
	if (sa->state == IKE_SA_CONNECTING)
		return error || info_deletes_ike(in) ? eap_auth_given_up(sa) : DONE;
	if (error)
		return sa_fail(sa, error, "the peer says %s", ike_notify_text(error));
	for (unsigned i = 0; i < in->p->count; i++) {
		if (in->p->at[i].type != IKE_PAYLOAD_DELETE)
			continue;
		if (!ike_read_delete(&in->p->at[i], &d)) {
			ike_put_notify(b, IKE_N_INVALID_SYNTAX, NULL, 0);
			return sa_fail(sa, IKE_N_INVALID_SYNTAX, "a malformed Delete payload");
		}
		if (d.protocol == IKE_PROTO_IKE)
			return sa_fail(sa, 0, "deleted by the peer");
		for (unsigned k = 0; k < ARRAY_LEN(protocols); k++)
			if (d.protocol == protocols[k] && d.spi_len == 4)
				delete_children(sa, &d, &gone[k]);
	}
	for (unsigned k = 0; k < ARRAY_LEN(protocols); k++)
		if (gone[k].count)
			ike_put_delete(b, protocols[k], gone[k].spis, gone[k].count);
	mobike_take_request(sa, in, b);
	return DONE;
}

const struct row info_row_request = {
    .story = "peer informs",
    .exchange = IKE_INFORMATIONAL,
    .request = info_request,
};

/* --- what is due */

static void liveness_tick(struct ike_sa *sa, usec_t now_us)
{
	const struct ike *e = sa->engine;
	usec_t span = sa->peer ? sa->peer->liveness_us : 0;
	if (!span) {
		sa->liveness_at_us = USEC_NEVER;
		return;
	}
	usec_t heard = e->ops.heard_us ? e->ops.heard_us(e->ops.ctx, sa) : 0;
	if (sa->heard_us > heard)
		heard = sa->heard_us;
	if (heard + span > now_us || sa->held) {
		sa->liveness_at_us = (sa->held ? now_us : heard) + span;
		return;
	}
	/* A request that is out asks already. */
	if (!sa->request.count && !task_is_queued(sa, TASK_LIVENESS))
		task_queue(sa, task_new(TASK_LIVENESS), true);
	sa->liveness_at_us = now_us + span;
}

void info_tick(struct ike_sa *sa, usec_t now_us)
{
	static const uint8_t keepalive = 0xff;
	if (sa->rekey_at_us <= now_us) {
		sa->rekey_at_us = now_us + sa_jitter(sa->engine, REKEY_AGAIN_US);
		if (!task_is_queued(sa, TASK_IKE_REKEY))
			task_queue(sa, task_new(TASK_IKE_REKEY), false);
	}
	if (sa->liveness_at_us <= now_us)
		liveness_tick(sa, now_us);
	if (sa->nat_here && sa->path.natt && !sa->children && sa->peer && sa->peer->keepalive_us &&
	    sa->sent_us + sa->peer->keepalive_us <= now_us) {
		message_emit(sa->engine, &sa->path, &keepalive, 1);
		sa->sent_us = now_us;
	}
}
