/* SPDX-License-Identifier: MIT */
/*
 * What ike.h lets the daemon wish for and look at.  A wish becomes a task (task.c); what is looked
 * at is borrowed.
 */
#include <errno.h>
#include <stdio.h>
#include "base/mem.h"
#include "ike/half.h"

bool ike_path_equal(const struct ike_path *a, const struct ike_path *b)
{
	return a->sock == b->sock && a->natt == b->natt && endpoint_equal(&a->local, &b->local) &&
	       endpoint_equal(&a->remote, &b->remote);
}

/* --- wishes */

struct ike_sa *ike_initiate(struct ike *e, const struct ike_peer *peer, const struct ike_path *path,
			    const struct ike_sj_connection *connection, void *user, usec_t now_us)
{
	engine_enter(e, now_us);
	struct ike_sa *sa = sa_create(e, true);
	if (sa) {
		sa->user = user;
		sa->path = *path;
		sa_set_peer(sa, peer);
		sa->half = half_new();
		sa->half->sa = sa;
		if (connection) {
			sa->half->connection = mem_zalloc(sizeof(*connection));
			*sa->half->connection = *connection;
		}
		sa_index(sa);
		task_queue(sa, task_new(TASK_INIT), false);
	}
	engine_leave(e);
	return sa;
}

int ike_child_create(struct ike *e, struct ike_sa *sa, const struct ike_sj_connection *connection,
		     void *user, usec_t now_us)
{
	if (sa->silent || sa->state != IKE_SA_ESTABLISHED)
		return -ENOTCONN;
	struct task *t = task_new(TASK_CHILD_CREATE);
	t->user = user;
	if (connection) {
		t->connection = mem_zalloc(sizeof(*connection));
		*t->connection = *connection;
	}
	engine_enter(e, now_us);
	task_queue(sa, t, false);
	engine_leave(e);
	return 0;
}

static bool child_is_in_task(const struct ike_child *c, enum task_kind kind)
{
	for (const struct task *t = c->sa->tasks; t; t = t->next)
		if (t->kind == kind && t->child == c)
			return true;
	return false;
}

void ike_child_rekey(struct ike *e, struct ike_child *child, usec_t now_us)
{
	if (child->sa->silent || child->state != CHILD_UP ||
	    child_is_in_task(child, TASK_CHILD_REKEY))
		return;
	struct task *t = task_new(TASK_CHILD_REKEY);
	t->child = child;
	engine_enter(e, now_us);
	task_queue(child->sa, t, false);
	engine_leave(e);
}

void ike_child_delete(struct ike *e, struct ike_child *child, const char *why, usec_t now_us)
{
	if (child->sa->silent || child->state == CHILD_DELETING ||
	    child_is_in_task(child, TASK_CHILD_DELETE))
		return;
	struct task *t = task_new(TASK_CHILD_DELETE);
	t->child = child;
	snprintf(t->why, sizeof(t->why), "%s", why);
	engine_enter(e, now_us);
	task_queue(child->sa, t, false);
	engine_leave(e);
}

void ike_sa_rekey(struct ike *e, struct ike_sa *sa, usec_t now_us)
{
	if (sa->silent || sa->state != IKE_SA_ESTABLISHED || task_is_queued(sa, TASK_IKE_REKEY))
		return;
	engine_enter(e, now_us);
	task_queue(sa, task_new(TASK_IKE_REKEY), false);
	engine_leave(e);
}

void ike_sa_close(struct ike *e, struct ike_sa *sa, const char *why, bool at_once, usec_t now_us)
{
	if (sa->silent || (!at_once && task_is_queued(sa, TASK_IKE_DELETE)))
		return;
	struct task *t = task_new(TASK_IKE_DELETE);
	/* Before it is established there is nothing whose end could be acknowledged. */
	t->at_once = at_once || sa->state == IKE_SA_CONNECTING;
	snprintf(t->why, sizeof(t->why), "%s", why);
	engine_enter(e, now_us);
	task_queue(sa, t, true);
	engine_leave(e);
}

void ike_sa_hold(struct ike *e, struct ike_sa *sa, bool on, usec_t now_us)
{
	if (sa->silent || sa->held == on)
		return;
	engine_enter(e, now_us);
	sa->held = on;
	if (!on && sa->request.count) {
		/* Whatever was tried before went nowhere. */
		sa->request_tries = 0;
		(void)message_retransmit(sa);
	}
	sa_schedule(sa);
	engine_leave(e);
}

void ike_sa_probe(struct ike *e, struct ike_sa *sa, usec_t now_us)
{
	if (sa->silent || sa->state != IKE_SA_ESTABLISHED || sa->request.count ||
	    task_is_queued(sa, TASK_LIVENESS))
		return;
	engine_enter(e, now_us);
	task_queue(sa, task_new(TASK_LIVENESS), false);
	engine_leave(e);
}

static struct ike_sa *sa_of_peer(const struct ike *e, const struct ike_peer *peer)
{
	uint64_t hash = hash_bytes(e->seed, &peer, sizeof(peer));
	for (struct hash_link *l = hash_find(&e->by_peer, hash); l; l = hash_next(l)) {
		struct ike_sa *sa = hash_owner(l, struct ike_sa, by_peer);
		if (sa->peer == peer)
			return sa;
	}
	return NULL;
}

void ike_peer_gone(struct ike *e, const struct ike_peer *peer, usec_t now_us)
{
	struct ike_sa *sa;
	while ((sa = sa_of_peer(e, peer)))
		ike_sa_close(e, sa, "no longer configured", true, now_us);
}

/* --- looking */

const char *ike_sa_state_text(enum ike_sa_state s)
{
	switch (s) {
	case IKE_SA_CONNECTING:
		return "connecting";
	case IKE_SA_ESTABLISHED:
		return "established";
	case IKE_SA_REKEYED:
		return "rekeyed";
	case IKE_SA_CLOSING:
		return "closing";
	}
	return "?";
}

void *ike_sa_user(const struct ike_sa *sa)
{
	return sa->user;
}

void ike_sa_set_user(struct ike_sa *sa, void *user)
{
	sa->user = user;
}

const struct ike_peer *ike_sa_peer(const struct ike_sa *sa)
{
	return sa->peer;
}

enum ike_sa_state ike_sa_state(const struct ike_sa *sa)
{
	return sa->state;
}

bool ike_sa_is_initiator(const struct ike_sa *sa)
{
	return sa->initiator;
}

bool ike_sa_is_sojourn(const struct ike_sa *sa)
{
	return sa->sojourn;
}

bool ike_sa_has_mobike(const struct ike_sa *sa)
{
	return sa->mobike;
}

bool ike_sa_is_udp(const struct ike_sa *sa)
{
	return sa->udp;
}

bool ike_sa_nat_here(const struct ike_sa *sa)
{
	return sa->nat_here;
}

bool ike_sa_nat_there(const struct ike_sa *sa)
{
	return sa->nat_there;
}

const struct ike_path *ike_sa_path(const struct ike_sa *sa)
{
	return &sa->path;
}

const struct identity *ike_sa_local_id(const struct ike_sa *sa)
{
	return sa->local_id;
}

const struct identity *ike_sa_remote_id(const struct ike_sa *sa)
{
	return sa->remote_id;
}

const char *ike_sa_eap_identity(const struct ike_sa *sa)
{
	return sa->eap_identity ? sa->eap_identity : "";
}

const struct suite *ike_sa_suite(const struct ike_sa *sa)
{
	return &sa->suite;
}

void ike_sa_spis(const struct ike_sa *sa, uint8_t spi_i[IKE_SPI_LEN], uint8_t spi_r[IKE_SPI_LEN])
{
	memcpy(spi_i, sa->spi_i, IKE_SPI_LEN);
	memcpy(spi_r, sa->spi_r, IKE_SPI_LEN);
}

usec_t ike_sa_since_us(const struct ike_sa *sa)
{
	return sa->since_us;
}

usec_t ike_sa_answered_us(const struct ike_sa *sa, const struct endpoint *from)
{
	return endpoint_equal(&sa->answered_from, from) ? sa->answered_us : 0;
}

usec_t ike_sa_heard_us(const struct ike_sa *sa)
{
	return sa->heard_us;
}

usec_t ike_sa_rekey_us(const struct ike_sa *sa)
{
	return sa->rekey_at_us;
}

int ike_sa_derive(const struct ike_sa *sa, const char *label, uint8_t *out, size_t len)
{
	struct chunk seed = {label, strlen(label)};
	if (!sa->suite.prf)
		return -1;
	return prf_plus(sa->suite.prf, sa->sk_d, sa->suite.prf->len, &seed, 1, out, len);
}

static struct ike_sa *sa_shown(struct ike_sa *sa)
{
	while (sa && sa->silent)
		sa = sa->next;
	return sa;
}

struct ike_sa *ike_sa_first(struct ike *e)
{
	return sa_shown(e->sas);
}

struct ike_sa *ike_sa_next(struct ike_sa *sa)
{
	return sa_shown(sa->next);
}

/* One that child_up never took is only there to be deleted. */
static struct ike_child *child_shown(struct ike_child *c)
{
	while (c && !c->told)
		c = c->next;
	return c;
}

struct ike_child *ike_child_first(struct ike_sa *sa)
{
	return child_shown(sa->children);
}

struct ike_child *ike_child_next(struct ike_child *c)
{
	return child_shown(c->next);
}

struct ike_sa *ike_child_sa(const struct ike_child *c)
{
	return c->sa;
}

void *ike_child_user(const struct ike_child *c)
{
	return c->user;
}

void ike_child_set_user(struct ike_child *c, void *user)
{
	c->user = user;
}

uint32_t ike_child_spi_in(const struct ike_child *c)
{
	return c->spi_in;
}

uint32_t ike_child_spi_out(const struct ike_child *c)
{
	return c->spi_out;
}

const struct suite *ike_child_suite(const struct ike_child *c)
{
	return &c->suite;
}

bool ike_child_is_transport(const struct ike_child *c)
{
	return c->transport;
}

void ike_child_ts(const struct ike_child *c, bool local, struct ike_ts_list *out)
{
	out->count = local ? c->ts_local : c->ts_remote;
	if (out->count)
		memcpy(out->at, c->ts + (local ? 0 : c->ts_local), out->count * sizeof(out->at[0]));
}

const struct ike_counters *ike_counters(const struct ike *e)
{
	return &e->counters;
}

size_t ike_count(const struct ike *e, enum ike_sa_state s)
{
	return e->counts[s];
}
