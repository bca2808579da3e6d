/* SPDX-License-Identifier: MIT */
/*
 * Tasks: the exchanges we begin, one after the other.
 *
 * The first of an IKE SA's queue is under way exactly while a request of ours is out.  Until the
 * IKE SA is established only the setup's tasks run, and once it was replaced or is closing only its
 * delete; the others wait (or end with it).
 */
#include <string.h>
#include "base/mem.h"
#include "ike/half.h"

struct task *task_new(enum task_kind kind)
{
	struct task *t = mem_zalloc(sizeof(*t));
	t->kind = kind;
	return t;
}

void task_free(struct task *t)
{
	if (!t)
		return;
	negotiation_free(t->neg);
	free(t->connection);
	mem_wipe(t, sizeof(*t));
	free(t);
}

void task_queue(struct ike_sa *sa, struct task *t, bool at_front)
{
	if (sa->silent) {
		task_free(t);
		return;
	}
	struct task **at = &sa->tasks;
	if (!at_front)
		while (*at)
			at = &(*at)->next;
	else if (sa->request.count && *at)
		at = &(*at)->next;
	t->next = *at;
	*at = t;
	sa_run_later(sa);
}

bool task_is_queued(const struct ike_sa *sa, enum task_kind kind)
{
	for (const struct task *t = sa->tasks; t; t = t->next)
		if (t->kind == kind)
			return true;
	return false;
}

void task_forget_child(struct ike_sa *sa, const struct ike_child *c)
{
	for (struct task *t = sa->tasks; t; t = t->next) {
		if (t->child == c)
			t->child = NULL;
		if (t->neg && t->neg->rival_child == c)
			t->neg->rival_child = NULL;
	}
}

void task_move(struct ike_sa *old, struct ike_sa *fresh)
{
	struct task **from = &old->tasks, **to = &fresh->tasks;
	if (old->request.count && *from)
		from = &(*from)->next;
	while (*to)
		to = &(*to)->next;
	while (*from) {
		struct task *t = *from;
		bool about_old = t->kind == TASK_IKE_DELETE || t->kind == TASK_IKE_REKEY ||
				 t->kind == TASK_LIVENESS;
		if (about_old) {
			from = &t->next;
			continue;
		}
		*from = t->next;
		t->next = NULL;
		*to = t;
		to = &t->next;
	}
	if (fresh->tasks)
		sa_run_later(fresh);
}

const struct ike_path *task_path(const struct ike_sa *sa, const struct task *t)
{
	return t && t->kind == TASK_ROUTABILITY ? &t->path : &sa->path;
}

static bool task_may_run(const struct ike_sa *sa, const struct task *t)
{
	if (t->not_before_us > sa->engine->now_us)
		return false;
	switch (sa->state) {
	case IKE_SA_CONNECTING:
		return t->kind == TASK_INIT || t->kind == TASK_AUTH;
	case IKE_SA_ESTABLISHED:
		return true;
	case IKE_SA_REKEYED:
	case IKE_SA_CLOSING:
		return t->kind == TASK_IKE_DELETE;
	}
	return false;
}

/* Brings the first that may run to the front. */
static struct task *task_next(struct ike_sa *sa)
{
	for (struct task **at = &sa->tasks; *at; at = &(*at)->next) {
		struct task *t = *at;
		if (!task_may_run(sa, t))
			continue;
		*at = t->next;
		t->next = sa->tasks;
		sa->tasks = t;
		return t;
	}
	return NULL;
}

static bool task_send_init(struct ike_sa *sa, struct task *t)
{
	struct ike *e = sa->engine;
	struct ike_header h = {
	    .version = IKE_VERSION, .exchange = IKE_SA_INIT, .flags = IKE_FLAG_INITIATOR};
	memcpy(h.spi_i, sa->spi_i, IKE_SPI_LEN);
	struct ike_builder b = ike_builder_of(e->out, sizeof(e->out), &h);
	if (!table_tasks[t->kind]->build(sa, t, &b))
		return false;
	size_t len = ike_builder_finish(&b);
	if (!len)
		return false;
	/* AUTH will cover it as it went (RFC 7296 2.15). */
	free(sa->half->msg_i);
	sa->half->msg_i = mem_zalloc(len);
	memcpy(sa->half->msg_i, e->out, len);
	sa->half->msg_i_len = len;
	message_send_plain(sa, &sa->path, e->out, len, true);
	return true;
}

static bool task_send(struct ike_sa *sa, struct task *t)
{
	struct ike *e = sa->engine;
	const struct row *row = table_tasks[t->kind];
	if (t->kind == TASK_INIT)
		return task_send_init(sa, t);
	struct ike_builder b = ike_builder_of(e->out, sizeof(e->out), NULL);
	if (!row->build(sa, t, &b))
		return false;
	size_t len = ike_builder_finish(&b);
	if (b.w.failed || !message_send(sa, task_path(sa, t), row->exchange, false, sa->next_id,
					b.first, e->out, len)) {
		if (row->abandoned)
			row->abandoned(sa, t, 0);
		return false;
	}
	sa->next_id++;
	mem_wipe(e->out, len);
	return true;
}

/* Tells the other side once, if it can know us, and ends. */
static void task_end_at_once(struct ike_sa *sa, struct task *t)
{
	struct ike *e = sa->engine;
	bool known = sa->state != IKE_SA_CONNECTING || (sa->initiator && sa->next_id > 1);
	char why[sizeof(t->why)];
	memcpy(why, t->why, sizeof(why));
	message_forget_request(sa);
	if (known && sa->seal_out.encr) {
		struct ike_builder b = ike_builder_of(e->out, sizeof(e->out), NULL);
		ike_put_delete(&b, IKE_PROTO_IKE, NULL, 0);
		size_t len = ike_builder_finish(&b);
		if (!message_send(sa, &sa->path, IKE_INFORMATIONAL, false, sa->next_id, b.first,
				  e->out, len))
			sa_log(sa, LOG_LEVEL_WARN, "ends untold");
	}
	sa_end(sa, 0, why, true);
}

void task_run(struct ike_sa *sa)
{
	struct task *t;
	for (t = sa->tasks; t; t = t->next) {
		if (t->at_once) {
			task_end_at_once(sa, t);
			return;
		}
	}
	while (!sa->request.count && (t = task_next(sa))) {
		if (task_send(sa, t))
			break;
		/* Nothing to send: it is over.  Without its setup an IKE SA is nothing. */
		if (t->kind == TASK_INIT || t->kind == TASK_AUTH)
			sa->end_at_us = sa->engine->now_us;
		sa->tasks = t->next;
		task_free(t);
	}
	sa_schedule(sa);
}
