/* SPDX-License-Identifier: MIT */
/*
 * MOBIKE (RFC 4555): an IKE SA and its child SAs go on at another address.
 *
 *   client                                        server
 *   UPDATE_SA_ADDRESSES, NAT_DETECTION_*   ->     answered to where it came from
 *                                          <-     NAT_DETECTION_*
 *                                          <-     COOKIE2         to the new address
 *   COOKIE2                                ->     only now is it used
 *
 * The client decides (3.5): only who began the first IKE SA of a line updates.  The server sends
 * nothing but answers and that question to an address that has not answered it (3.7).  An update
 * that is overtaken: the question that is out goes on to the newest address, but as its cookie was
 * seen elsewhere, its answer proves nothing and it is asked again.
 *
 * Without MOBIKE a peer behind a NAT is followed as RFC 7296 2.23 says; between two Sojourns the
 * IKE SA goes wherever the terminal's newest request came from, and its children have paths of
 * their own.
 */
#include "base/mem.h"
#include "ike/state.h"

#define COOKIE2_MIN   8 /* RFC 4555 4.2.5 */
#define COOKIE2_MAX   64
#define ADDRESSES_MAX 8
#define NO_NATS_MAX   36 /* two addresses, two ports */

static void set_nat(struct ike_sa *sa, bool here, bool there)
{
	sa->nat_here = here;
	sa->nat_there = there;
	sa->udp = here || there || nat_is_forced(sa) || sa->sojourn;
}

static void say_moved(struct ike_sa *sa)
{
	struct ike *e = sa->engine;
	char local[ENDPOINT_TEXT_MAX];
	e->counters.moves++;
	sa_log(sa, LOG_LEVEL_INFO, "moved local=%s nat_here=%s nat_there=%s",
	       endpoint_format(&sa->path.local, local), sa->nat_here ? "yes" : "no",
	       sa->nat_there ? "yes" : "no");
	if (e->ops.sa_moved)
		e->ops.sa_moved(e->ops.ctx, sa, &sa->path);
	sa_schedule(sa);
}

/* --- additional addresses (3.6) */

static void put_additional(struct ike_sa *sa, struct ike_builder *b)
{
	const struct ike_ops *ops = &sa->engine->ops;
	struct addr at[ADDRESSES_MAX];
	uint8_t count = ops->addresses ? ops->addresses(ops->ctx, sa, at, ADDRESSES_MAX) : 0;
	for (uint8_t i = 0; i < count && i < ADDRESSES_MAX; i++) {
		if (addr_equal(&at[i], &sa->path.local.addr))
			continue;
		ike_put_notify(b,
			       at[i].family == 6 ? IKE_N_ADDITIONAL_IP6_ADDRESS
						 : IKE_N_ADDITIONAL_IP4_ADDRESS,
			       at[i].b, addr_len(&at[i]));
	}
}

/* A message that tells any replaces what was told before. */
static void take_additional(struct ike_sa *sa, const struct ike_payloads *p)
{
	struct addr at[ADDRESSES_MAX];
	uint8_t count = 0;
	bool told = false;
	for (uint8_t i = 0; i < p->count; i++) {
		struct ike_notify n;
		if (p->at[i].type != IKE_PAYLOAD_NOTIFY || !ike_read_notify(&p->at[i], &n))
			continue;
		bool is4 = n.type == IKE_N_ADDITIONAL_IP4_ADDRESS && n.len == 4;
		bool is6 = n.type == IKE_N_ADDITIONAL_IP6_ADDRESS && n.len == 16;
		told |= is4 || is6 || n.type == IKE_N_NO_ADDITIONAL_ADDRESSES;
		if ((is4 || is6) && count < ADDRESSES_MAX)
			at[count++] = addr_from_bytes(is4 ? 4 : 6, n.data);
	}
	if (!told)
		return;
	free(sa->additional);
	sa->additional = NULL;
	sa->additional_count = count;
	if (count) {
		sa->additional = mem_zalloc(count * sizeof(*at));
		memcpy(sa->additional, at, count * sizeof(*at));
	}
}

/* --- in IKE_AUTH */

void mobike_put_auth(struct ike_sa *sa, struct ike_builder *b)
{
	ike_put_notify(b, IKE_N_MOBIKE_SUPPORTED, NULL, 0);
	put_additional(sa, b);
}

void mobike_take_auth(struct ike_sa *sa, const struct ike_payloads *p)
{
	struct ike_notify n;
	sa->mobike = sa->peer->mobike && ike_find_notify(p, IKE_N_MOBIKE_SUPPORTED, &n);
	if (sa->mobike)
		take_additional(sa, p);
}

/* --- client */

/* Our address as the server tells it; false: it is the one told before, or none is told. */
static bool take_seen(struct ike_sa *sa, const struct ike_payloads *p)
{
	struct ike_notify n;
	if (!ike_find_notify(p, IKE_N_NAT_DETECTION_DESTINATION_IP, &n) ||
	    n.len != sizeof(sa->seen_at) || memcmp(sa->seen_at, n.data, n.len) == 0)
		return false;
	memcpy(sa->seen_at, n.data, n.len);
	return true;
}

void mobike_take_init(struct ike_sa *sa, const struct ike_payloads *p)
{
	(void)take_seen(sa, p);
}

/* A NAT that forgot us gives us another port, which only the server can see. */
void mobike_put_liveness(const struct ike_sa *sa, struct ike_builder *b)
{
	if (sa->mobike && sa->client && sa->nat_here && !sa->sojourn)
		nat_put(sa, &sa->path, b);
}

void mobike_take_liveness(struct ike_sa *sa, const struct inbound *in)
{
	if (!sa->mobike || !sa->client || !sa->nat_here || sa->sojourn || !take_seen(sa, in->p))
		return;
	for (const struct task *t = sa->tasks; t; t = t->next)
		if (t->kind == TASK_MOBIKE)
			return;
	sa_log(sa, LOG_LEVEL_INFO, "the NAT gives another address");
	task_queue(sa, task_new(TASK_MOBIKE), true);
}

void ike_sa_move(struct ike *e, struct ike_sa *sa, const struct ike_path *path, bool tell,
		 usec_t now_us)
{
	if (sa->silent)
		return;
	engine_enter(e, now_us);
	bool changed = !ike_path_equal(&sa->path, path);
	sa->path = *path;
	if (changed && sa->request.count) {
		/* Whatever is out was sent to where nobody may be any more. */
		sa->request_tries = 0;
		(void)message_retransmit(sa);
	}
	/* One that is out told of another path; one that only waits will tell of this one. */
	const struct task *waiting = sa->request.count && sa->tasks ? sa->tasks->next : sa->tasks;
	while (waiting && waiting->kind != TASK_MOBIKE)
		waiting = waiting->next;
	if (tell && sa->mobike && sa->client && !waiting)
		task_queue(sa, task_new(TASK_MOBIKE), true);
	sa_schedule(sa);
	engine_leave(e);
}

static bool update_build(struct ike_sa *sa, struct task *t, struct ike_builder *b)
{
	t->path = sa->path;
	ike_put_notify(b, IKE_N_UPDATE_SA_ADDRESSES, NULL, 0);
	nat_put(sa, &t->path, b);
	return true;
}

static enum outcome update_response(struct ike_sa *sa, struct task *t, const struct inbound *in)
{
	struct ike_notify n;
	bool here, there;
	if (ike_find_notify(in->p, IKE_N_UNACCEPTABLE_ADDRESSES, &n) ||
	    ike_find_notify(in->p, IKE_N_UNEXPECTED_NAT_DETECTED, &n)) {
		sa_log(sa, LOG_LEVEL_WARN, "move refused notify=%s", ike_notify_text(n.type));
		return DONE;
	}
	/* Overtaken by another move: the update that waits is about that one. */
	if (!ike_path_equal(&t->path, &sa->path))
		return DONE;
	(void)take_seen(sa, in->p);
	if (nat_detect(sa, in->p, &t->path, &here, &there))
		set_nat(sa, here, there);
	say_moved(sa);
	return DONE;
}

const struct row mobike_row_update = {
    .story = "we moved",
    .exchange = IKE_INFORMATIONAL,
    .task = TASK_MOBIKE,
    .build = update_build,
    .response = update_response,
};

/* --- server: is the peer there? */

static bool routability_build(struct ike_sa *sa, struct task *t, struct ike_builder *b)
{
	struct ike *e = sa->engine;
	e->ops.random(e->ops.ctx, t->cookie2, sizeof(t->cookie2));
	t->cookie2_set = true;
	ike_put_notify(b, IKE_N_COOKIE2, t->cookie2, sizeof(t->cookie2));
	return true;
}

static enum outcome routability_response(struct ike_sa *sa, struct task *t,
					 const struct inbound *in)
{
	struct ike_notify n;
	if (!t->cookie2_set)
		return AGAIN;
	if (!ike_find_notify(in->p, IKE_N_COOKIE2, &n) || n.len != sizeof(t->cookie2) ||
	    !mem_equal(n.data, t->cookie2, sizeof(t->cookie2))) {
		sa_log(sa, LOG_LEVEL_WARN, "move not confirmed why=\"wrong cookie\"");
		return DONE;
	}
	sa->path = t->path;
	set_nat(sa, t->nat_here, t->nat_there);
	say_moved(sa);
	return DONE;
}

const struct row mobike_row_routability = {
    .story = "is the peer where it says it moved?",
    .exchange = IKE_INFORMATIONAL,
    .task = TASK_ROUTABILITY,
    .build = routability_build,
    .response = routability_response,
};

static struct task *routability_of(struct ike_sa *sa)
{
	for (struct task *t = sa->tasks; t; t = t->next)
		if (t->kind == TASK_ROUTABILITY)
			return t;
	return NULL;
}

static void ask_routability(struct ike_sa *sa, const struct ike_path *path, bool here, bool there)
{
	struct task *t = routability_of(sa);
	bool fresh = !t;
	bool out = t && t == sa->tasks && sa->request.count;
	if (fresh)
		t = task_new(TASK_ROUTABILITY);
	bool elsewhere = !ike_path_equal(&t->path, path);
	t->path = *path;
	t->nat_here = here;
	t->nat_there = there;
	if (fresh) {
		task_queue(sa, t, true);
	} else if (out && elsewhere) {
		t->cookie2_set = false;
		sa->request_tries = 0;
		(void)message_retransmit(sa);
	}
}

/* --- server: updates */

/* RFC 4555 4.2.6: source and destination as the client sent it. */
static bool no_nats_holds(const struct ike_notify *n, const struct ike_path *path)
{
	uint8_t data[NO_NATS_MAX];
	struct writer w = writer_of(data, sizeof(data));
	writer_bytes(&w, path->remote.addr.b, addr_len(&path->remote.addr));
	writer_bytes(&w, path->local.addr.b, addr_len(&path->local.addr));
	writer_u16(&w, path->remote.port);
	writer_u16(&w, path->local.port);
	return n->len == writer_len(&w) && memcmp(n->data, data, n->len) == 0;
}

static bool is_acceptable(const struct addr *a)
{
	return !addr_is_any(a) && !addr_is_multicast(a);
}

/* 0, or the error notify. */
static uint16_t take_update(struct ike_sa *sa, const struct inbound *in)
{
	struct ike_notify n;
	bool here = sa->nat_here, there = sa->nat_there;
	if (ike_find_notify(in->p, IKE_N_NO_NATS_ALLOWED, &n) && !no_nats_holds(&n, &in->path))
		return IKE_N_UNEXPECTED_NAT_DETECTED;
	if (!is_acceptable(&in->path.remote.addr))
		return IKE_N_UNACCEPTABLE_ADDRESSES;
	(void)nat_detect(sa, in->p, &in->path, &here, &there);
	sa->moved_any = true;
	sa->moved_message_id = in->h.message_id;
	if (!ike_path_equal(&sa->path, &in->path)) {
		ask_routability(sa, &in->path, here, there);
		return 0;
	}
	/* Back again, or only the NAT is another: this address is proved. */
	struct task *t = routability_of(sa);
	if (t)
		ask_routability(sa, &in->path, here, there);
	set_nat(sa, here, there);
	say_moved(sa);
	return 0;
}

void mobike_take_request(struct ike_sa *sa, const struct inbound *in, struct ike_builder *b)
{
	struct ike_notify n;
	uint16_t error = 0;
	if (ike_find_notify(in->p, IKE_N_COOKIE2, &n) && n.len >= COOKIE2_MIN &&
	    n.len <= COOKIE2_MAX)
		ike_put_notify(b, IKE_N_COOKIE2, n.data, n.len);
	if (!sa->mobike || sa->state != IKE_SA_ESTABLISHED)
		return;
	take_additional(sa, in->p);
	if (!sa->client && ike_find_notify(in->p, IKE_N_UPDATE_SA_ADDRESSES, &n))
		error = take_update(sa, in);
	if (error) {
		sa_log(sa, LOG_LEVEL_WARN, "move refused notify=%s", ike_notify_text(error));
		ike_put_notify(b, error, NULL, 0);
	} else if (ike_find_notify(in->p, IKE_N_NAT_DETECTION_SOURCE_IP, &n)) {
		nat_put(sa, &in->path, b);
	}
}

/* --- without MOBIKE */

void mobike_heard(struct ike_sa *sa, const struct ike_path *path, bool request)
{
	if (sa->state != IKE_SA_ESTABLISHED)
		return;
	if (sa->sojourn) {
		if (!request || sa->client)
			return;
		sa->path = *path;
		if (sa->engine->ops.sa_moved)
			sa->engine->ops.sa_moved(sa->engine->ops.ctx, sa, path);
	} else if (!sa->mobike && sa->nat_there && !sa->nat_here) {
		sa->path = *path;
		say_moved(sa);
	}
}
