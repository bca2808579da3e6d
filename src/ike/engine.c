/* SPDX-License-Identifier: MIT */
/*
 * The engine: IKE SAs, who finds them, when they are due.
 *
 * An IKE SA is found by our SPI (datagrams), by the other side's identity (INITIAL_CONTACT) and by
 * its peer (ike_peer_gone); its next deadline stands in one heap.  No event walks all of them.
 *
 * Ownership: an IKE SA owns its tasks, children, kept messages and identities.  sa_end tells the
 * daemon, then frees; sa_end_answered keeps a silent rest for some seconds, so that a peer that
 * lost our last answer gets it again.  Silent ones are bounded in number and shown to nobody.
 *
 * Events nest by callbacks (state.h, "Reentrance"): engine_enter and engine_leave count, and the
 * outermost engine_leave runs the tasks that were queued meanwhile.
 */
#include "ike/state.h"

#include <stdarg.h>
#include <stdio.h>
#include "base/mem.h"
#include "ike/half.h"

#define CLOSE_WAIT_US (10 * (usec_t)USEC_PER_SEC) /* for the answer to our delete */
/* However often an old request is repeated, which anybody on the path can do. */
#define REKEYED_MOST_US	 (300 * (usec_t)USEC_PER_SEC)
#define REKEYED_WAIT_US	 (90 * (usec_t)USEC_PER_SEC) /* for the delete of who began the rekey */
#define SILENT_US	 (10 * (usec_t)USEC_PER_SEC)
#define SILENT_MAX	 1024
#define SPIN_US		 (100 * (usec_t)USEC_PER_MS) /* a deadline that nothing moved */
#define FRAGMENT_LEN_MIN 256
#define INVALID_TEXT	 "unknown"

struct ike *ike_new(const struct ike_config *cfg, const struct ike_ops *ops, const struct log *log)
{
	struct ike *e = mem_zalloc(sizeof(*e));
	e->cfg = *cfg;
	if (e->cfg.fragment_len < FRAGMENT_LEN_MIN)
		e->cfg.fragment_len = FRAGMENT_LEN_MIN;
	e->ops = *ops;
	e->log = log;
	e->ops.random(e->ops.ctx, &e->seed, sizeof(e->seed));
	return e;
}

/* --- the events */

void engine_enter(struct ike *e, usec_t now_us)
{
	e->now_us = now_us;
	e->depth++;
}

void engine_leave(struct ike *e)
{
	while (e->depth == 1 && e->run) {
		struct ike_sa *sa = e->run;
		e->run = sa->run_next;
		sa->run_next = NULL;
		sa->run_waits = false;
		if (!sa->silent)
			task_run(sa);
	}
	e->depth--;
}

void sa_run_later(struct ike_sa *sa)
{
	struct ike *e = sa->engine;
	if (!sa->run_waits) {
		sa->run_waits = true;
		sa->run_next = e->run;
		e->run = sa;
	}
	if (!e->depth) {
		engine_enter(e, e->now_us);
		engine_leave(e);
	}
}

static void run_forget(struct ike_sa *sa)
{
	if (!sa->run_waits)
		return;
	for (struct ike_sa **at = &sa->engine->run; *at; at = &(*at)->run_next) {
		if (*at == sa) {
			*at = sa->run_next;
			break;
		}
	}
	sa->run_waits = false;
}

/* --- finding */

static uint64_t spi_number(const uint8_t spi[IKE_SPI_LEN])
{
	uint64_t n;
	memcpy(&n, spi, sizeof(n));
	return n;
}

static const uint8_t *spi_ours(const struct ike_sa *sa)
{
	return sa->initiator ? sa->spi_i : sa->spi_r;
}

/* Our SPIs are random: they need no hash. */
static struct ike_sa *sa_by_spi(const struct ike *e, const uint8_t spi[IKE_SPI_LEN])
{
	for (struct hash_link *l = hash_find(&e->by_spi, spi_number(spi)); l; l = hash_next(l)) {
		struct ike_sa *sa = hash_owner(l, struct ike_sa, by_spi);
		if (memcmp(spi_ours(sa), spi, IKE_SPI_LEN) == 0)
			return sa;
	}
	return NULL;
}

void sa_index(struct ike_sa *sa)
{
	hash_add(&sa->engine->by_spi, &sa->by_spi, spi_number(spi_ours(sa)));
}

static uint64_t id_hash(const struct ike *e, const struct identity *id)
{
	return hash_bytes(e->seed + id->type, id->data, id->len);
}

static uint64_t peer_hash(const struct ike *e, const struct ike_peer *peer)
{
	return hash_bytes(e->seed, &peer, sizeof(peer));
}

void sa_set_peer(struct ike_sa *sa, const struct ike_peer *peer)
{
	struct ike *e = sa->engine;
	hash_remove(&e->by_peer, &sa->by_peer);
	sa->peer = peer;
	if (peer)
		hash_add(&e->by_peer, &sa->by_peer, peer_hash(e, peer));
}

bool sa_has_another(const struct ike_sa *sa)
{
	const struct ike *e = sa->engine;
	for (struct hash_link *l = hash_find(&e->by_peer, peer_hash(e, sa->peer)); l;
	     l = hash_next(l)) {
		const struct ike_sa *other = hash_owner(l, struct ike_sa, by_peer);
		if (other != sa && other->peer == sa->peer && other->state == IKE_SA_ESTABLISHED &&
		    (other->mobike || other->sojourn || ike_path_equal(&other->path, &sa->path)))
			return true;
	}
	return false;
}

static bool text_equal(const char *a, const char *b)
{
	return strcmp(a ? a : "", b ? b : "") == 0;
}

/* L2TP's clients (RFC 3193) are called as their private address is, and say that they begin anew.
 * Behind a NAT that is no name: who comes from elsewhere is somebody else. */
static bool is_namesake(const struct ike_sa *sa, const struct ike_sa *other)
{
	return sa->peer->child.transport && sa->nat_there &&
	       (sa->remote_id->type == IDENTITY_IP4 || sa->remote_id->type == IDENTITY_IP6) &&
	       !endpoint_equal(&sa->path.remote, &other->path.remote);
}

static struct ike_sa *sa_same_identities(const struct ike_sa *sa)
{
	const struct ike *e = sa->engine;
	for (struct hash_link *l = hash_find(&e->by_id, id_hash(e, sa->remote_id)); l;
	     l = hash_next(l)) {
		struct ike_sa *other = hash_owner(l, struct ike_sa, by_id);
		if (other == sa || other == sa->replaces || other == sa->replaced_by)
			continue;
		/* With EAP the user counts: IDi is often only a private address. */
		if (other->remote_id && other->local_id &&
		    identity_equal(other->remote_id, sa->remote_id) &&
		    identity_equal(other->local_id, sa->local_id) &&
		    text_equal(other->eap_identity, sa->eap_identity) && !is_namesake(sa, other))
			return other;
	}
	return NULL;
}

void sa_initial_contact(struct ike_sa *sa)
{
	struct ike_sa *other;
	if (!sa->remote_id || !sa->local_id)
		return;
	while ((other = sa_same_identities(sa)))
		sa_end(other, 0, "the peer began anew", true);
}

/* --- an IKE SA */

static usec_t earlier(usec_t a, usec_t b)
{
	return a < b ? a : b;
}

struct ike_sa *sa_create(struct ike *e, bool initiator)
{
	if (e->sa_count >= e->cfg.sas_max)
		return NULL;
	struct ike_sa *sa = mem_zalloc(sizeof(*sa));
	uint8_t *spi = initiator ? sa->spi_i : sa->spi_r;
	do {
		e->ops.random(e->ops.ctx, spi, IKE_SPI_LEN);
	} while (!spi_number(spi) || sa_by_spi(e, spi));
	sa->engine = e;
	sa->initiator = initiator;
	sa->state = IKE_SA_CONNECTING;
	sa->request_at_us = sa->answer_until_us = USEC_NEVER;
	sa->rekey_at_us = sa->end_at_us = sa->liveness_at_us = USEC_NEVER;
	sa->sent_us = sa->heard_us = e->now_us;
	sa->next = e->sas;
	if (e->sas)
		e->sas->prev = sa;
	e->sas = sa;
	e->sa_count++;
	e->counts[sa->state]++;
	return sa;
}

/* What the daemon knew of it goes: tasks, children, the SA itself. */
static void sa_tell_end(struct ike_sa *sa, uint16_t notify, const char *why, bool told)
{
	struct ike *e = sa->engine;
	struct task *t;

	rekey_forget(sa);
	sa->silent = true;
	e->silent++;
	if (sa->state != IKE_SA_CONNECTING || sa->peer)
		sa_log(sa, LOG_LEVEL_INFO, "gone why=\"%s\" notify=%s", why,
		       notify ? ike_notify_text(notify) : "none");
	message_forget_request(sa);
	while ((t = sa->tasks)) {
		sa->tasks = t->next;
		if (table_tasks[t->kind]->abandoned)
			table_tasks[t->kind]->abandoned(sa, t, notify);
		task_free(t);
	}
	while (sa->children)
		child_end(sa->children, why);
	if (told && !sa->rekeyed && sa->peer && e->ops.sa_down)
		e->ops.sa_down(e->ops.ctx, sa, notify, why);
	hash_remove(&e->by_id, &sa->by_id);
	hash_remove(&e->by_peer, &sa->by_peer);
	init_half_remove(sa);
	half_free(sa->half);
	sa->half = NULL;
	fragment_clear(sa);
	run_forget(sa);
	e->counts[sa->state]--;
	sa->user = NULL;
	sa->peer = NULL;
}

static void sa_release(struct ike_sa *sa)
{
	struct ike *e = sa->engine;
	heap_set(&e->deadlines, &sa->deadline, USEC_NEVER);
	hash_remove(&e->by_spi, &sa->by_spi);
	if (sa->next)
		sa->next->prev = sa->prev;
	if (sa->prev)
		sa->prev->next = sa->next;
	else
		e->sas = sa->next;
	e->sa_count--;
	e->silent--;
	sent_clear(&sa->request);
	sent_clear(&sa->answer);
	free(sa->local_id);
	free(sa->remote_id);
	free(sa->eap_identity);
	free(sa->additional);
	free(sa->assigned);
	mem_wipe(sa, sizeof(*sa));
	free(sa);
}

void sa_end(struct ike_sa *sa, uint16_t notify, const char *why, bool told)
{
	if (!sa->silent)
		sa_tell_end(sa, notify, why, told);
	sa_release(sa);
}

void sa_end_answered(struct ike_sa *sa, uint16_t notify, const char *why)
{
	struct ike *e = sa->engine;
	if (e->silent >= SILENT_MAX || !sa->answer.count) {
		sa_end(sa, notify, why, true);
		return;
	}
	sa_tell_end(sa, notify, why, true);
	sa->answer_until_us = sa->end_at_us = e->now_us + SILENT_US;
	sa->rekey_at_us = sa->liveness_at_us = USEC_NEVER;
	sa_schedule(sa);
}

void ike_free(struct ike *e)
{
	if (!e)
		return;
	while (e->sas) {
		struct ike_sa *sa = e->sas;
		struct task *t;
		struct ike_child *c;
		while ((t = sa->tasks)) {
			sa->tasks = t->next;
			task_free(t);
		}
		while ((c = sa->children)) {
			sa->children = c->next;
			free(c->ts);
			free(c);
		}
		init_half_remove(sa);
		half_free(sa->half);
		fragment_clear(sa);
		hash_remove(&e->by_id, &sa->by_id);
		hash_remove(&e->by_peer, &sa->by_peer);
		e->silent++;
		sa_release(sa);
	}
	hash_clear(&e->by_spi);
	hash_clear(&e->by_id);
	hash_clear(&e->by_peer);
	hash_clear(&e->half_by_addr);
	heap_clear(&e->deadlines);
	mem_wipe(e, sizeof(*e));
	free(e);
}

void sa_set_state(struct ike_sa *sa, enum ike_sa_state s, const char *why)
{
	struct ike *e = sa->engine;
	if (sa->state == s)
		return;
	sa_log(sa, s == IKE_SA_CLOSING ? LOG_LEVEL_DEBUG : LOG_LEVEL_INFO,
	       "state from=%s to=%s why=\"%s\"", ike_sa_state_text(sa->state), ike_sa_state_text(s),
	       why);
	e->counts[sa->state]--;
	e->counts[s]++;
	if (s == IKE_SA_ESTABLISHED) {
		init_half_remove(sa);
		if (!sa->since_us)
			sa->since_us = e->now_us;
		if (sa->remote_id && !sa->by_id.at)
			hash_add(&e->by_id, &sa->by_id, id_hash(e, sa->remote_id));
		if (sa->state == IKE_SA_CONNECTING && !sa->replaces)
			e->counters.established++;
		sa->end_at_us = USEC_NEVER;
	}
	if (s == IKE_SA_REKEYED) {
		sa->rekeyed = true;
		sa->end_at_us = earlier(sa->end_at_us, e->now_us + REKEYED_WAIT_US);
		sa->end_latest_us = e->now_us + REKEYED_MOST_US;
	}
	if (s == IKE_SA_CLOSING)
		sa->end_at_us = earlier(sa->end_at_us, e->now_us + CLOSE_WAIT_US);
	sa->state = s;
}

usec_t sa_jitter(struct ike *e, usec_t span_us)
{
	uint32_t r;
	e->ops.random(e->ops.ctx, &r, sizeof(r));
	return span_us - span_us / 10 * (r % 1024) / 1024;
}

void sa_log(const struct ike_sa *sa, enum log_level level, const char *fmt, ...)
{
	struct ike *e = sa->engine;
	if (!e->log || level > e->log->level)
		return;
	/* What any stranger can bring about is told some times a second. */
	if (sa->state == IKE_SA_CONNECTING && !sa->initiator &&
	    !log_limit_ok(&e->log_limit, e->now_us, STRANGER_LINES))
		return;
	char text[512], remote[ENDPOINT_TEXT_MAX];
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	uint64_t spi = 0;
	for (unsigned i = 0; i < IKE_SPI_LEN; i++)
		spi = spi << 8 | spi_ours(sa)[i];
	log_line(e->log, level, "ike: %s peer=%s remote=%s spi=%016llx", text,
		 sa->peer ? sa->peer->name : INVALID_TEXT,
		 endpoint_format(&sa->path.remote, remote), (unsigned long long)spi);
}

enum outcome sa_fail(struct ike_sa *sa, uint16_t notify, const char *fmt, ...)
{
	struct ike *e = sa->engine;
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(e->fail_why, sizeof(e->fail_why), fmt, ap);
	va_end(ap);
	e->fail_notify = notify;
	return SA_FAILED;
}

/* --- deadlines */

static usec_t sa_next_us(const struct ike_sa *sa)
{
	usec_t next = earlier(sa->request_at_us, sa->end_at_us);
	if (sa->answer.count)
		next = earlier(next, sa->answer_until_us);
	if (sa->silent)
		return next;
	next = earlier(next, fragment_deadline(sa));
	/* The first that may run by then does; task_run looks at all. */
	for (const struct task *t = sa->request.count ? NULL : sa->tasks; t; t = t->next)
		if (t->not_before_us > sa->engine->now_us)
			next = earlier(next, t->not_before_us);
	if (sa->state != IKE_SA_ESTABLISHED)
		return next;
	next = earlier(next, earlier(sa->rekey_at_us, sa->liveness_at_us));
	if (sa->nat_here && sa->path.natt && !sa->children && sa->peer && sa->peer->keepalive_us)
		next = earlier(next, sa->sent_us + sa->peer->keepalive_us);
	for (const struct ike_child *c = sa->children; c; c = c->next)
		next = earlier(next, earlier(c->rekey_at_us, c->end_at_us));
	return next;
}

void sa_schedule(struct ike_sa *sa)
{
	heap_set(&sa->engine->deadlines, &sa->deadline, sa_next_us(sa));
}

static void sa_expire(struct ike_sa *sa)
{
	if (sa->silent) {
		sa_end(sa, 0, "", false);
		return;
	}
	switch (sa->state) {
	case IKE_SA_CONNECTING:
		if (!sa->initiator)
			sa->engine->counters.half_open_dropped++;
		sa_end(sa, sa->half ? sa->half->error : 0,
		       sa->half && sa->half->error ? "refused" : "not set up in time", true);
		return;
	case IKE_SA_ESTABLISHED:
		if (!task_is_queued(sa, TASK_IKE_DELETE)) {
			struct task *t = task_new(TASK_IKE_DELETE);
			snprintf(t->why, sizeof(t->why), "lifetime ended");
			sa->end_at_us = sa->engine->now_us + CLOSE_WAIT_US;
			task_queue(sa, t, true);
			sa_schedule(sa);
			return;
		}
		sa_end(sa, 0, "lifetime ended", true);
		return;
	case IKE_SA_REKEYED:
		sa_end(sa, 0, "replaced", true);
		return;
	case IKE_SA_CLOSING:
		sa_end(sa, 0, "closed", true);
		return;
	}
}

static void sa_tick(struct ike_sa *sa)
{
	usec_t now = sa->engine->now_us;
	if (sa->end_at_us <= now) {
		sa_expire(sa);
		return;
	}
	if (sa->request_at_us <= now && !message_retransmit(sa))
		return;
	if (sa->answer_until_us <= now)
		sent_clear(&sa->answer);
	fragment_tick(sa, now);
	if (sa->state == IKE_SA_ESTABLISHED && !sa->silent) {
		info_tick(sa, now);
		child_tick(sa, now);
	}
	if (sa->tasks)
		sa_run_later(sa);
	sa_schedule(sa);
	if (sa->deadline.index && sa->deadline.at_us <= now)
		heap_set(&sa->engine->deadlines, &sa->deadline, now + SPIN_US);
}

usec_t ike_tick(struct ike *e, usec_t now_us)
{
	struct heap_item *i;
	if (!e->depth) {
		engine_enter(e, now_us);
		while ((i = heap_first(&e->deadlines)) && i->at_us <= now_us)
			sa_tick(hash_owner(i, struct ike_sa, deadline));
		engine_leave(e);
	}
	i = heap_first(&e->deadlines);
	return i ? i->at_us : USEC_NEVER;
}

/* --- datagrams */

static void datagram(struct ike *e, const struct ike_path *path, uint8_t *msg, size_t len)
{
	static const uint8_t none[IKE_SPI_LEN];
	struct ike_header h;

	e->counters.received++;
	if (!ike_read_header(msg, len, &h)) {
		e->counters.malformed++;
		return;
	}
	bool stranger = h.exchange == IKE_SA_INIT && !(h.flags & IKE_FLAG_RESPONSE) &&
			memcmp(h.spi_r, none, sizeof(none)) == 0;
	if (stranger || h.version >> 4 != IKE_VERSION >> 4) {
		init_request(e, path, msg, len, &h);
		return;
	}
	struct ike_sa *sa = sa_by_spi(e, h.flags & IKE_FLAG_INITIATOR ? h.spi_r : h.spi_i);
	if (!sa) {
		e->counters.unknown_spi++;
		return;
	}
	message_input(sa, path, msg, len, &h);
}

void ike_datagram(struct ike *e, const struct ike_path *path, uint8_t *msg, size_t len,
		  usec_t now_us)
{
	engine_enter(e, now_us);
	datagram(e, path, msg, len);
	engine_leave(e);
}
