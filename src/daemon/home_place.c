/* SPDX-License-Identifier: MIT */
/*
 * Where terminals are, and whether what is sent there arrives.
 *
 * A new source of a connection's newest packet is followed at once, on trial: no more than three
 * times what came from there goes there (sadb/trial.h), what is beyond it goes to where the
 * terminal was proven to be.  Meanwhile the place is asked: a probe with an unforeseeable id, which
 * has to come back authentic and from there.  A peer of another make with IKEv2 is asked by its IKE
 * SA (RFC 7296 2.4); one with configured keys answers nothing, and the bound stays until its next
 * accepted request.
 *
 *   learned --> on trial, asked --> answered: proven, no bound
 *                     |        `--> came back to where it was proven: that, no bound
 *                     `-----------> not answered: back to where it was proven; where there is no
 *                                   such place the bound stays, and it is asked now and then
 *
 * AH covers the outer addresses, so nobody but the terminal itself can name a place in its packets:
 * it is taken as it is.
 *
 * An accepted request (RFC 5944, RFC 6275) lifts the bound from a place where none was proven
 * before: a move must not wait for a round trip more.  Who was proven elsewhere by then waits.
 */
#include <string.h>
#include "base/mem.h"
#include "crypto/mac.h"
#include "daemon/home_state.h"
#include "sadb/trial.h"
#include "wire/ip.h"

#define TRIES	    5
#define FIRST_US    (250 * USEC_PER_MS)
#define LONGEST_US  (2 * USEC_PER_SEC)
#define AGAIN_US    (5 * USEC_PER_SEC) /* where nothing was ever proven */
#define HELLO_US    (30 * USEC_PER_MS)
#define LOOK_US	    (50 * USEC_PER_MS) /* for an answer to IKE */
#define PROBE_BYTES 128		       /* at most, of a probe with its outer headers */

struct home_trial {
	struct hash_link by_conn;
	struct heap_item due;
	struct conn *conn;
	struct path place;
	bool has_fallback;
	struct path fallback;
	bool lifted; /* no bound any more */
	bool by_ike; /* asked so */
	usec_t began_us, ask_us;
	unsigned tries;
	uint64_t ids[TRIES];
};

void home_place_start(struct home *h)
{
	random_bytes(&h->places.seed, sizeof h->places.seed);
}

static uint64_t hash_of(const struct home_places *p, const struct conn *c)
{
	return hash_bytes(p->seed, &c, sizeof c);
}

static struct home_trial *trial_find(const struct home_places *p, const struct conn *c)
{
	struct hash_link *l = hash_find(&p->trials, hash_of(p, c));
	for (; l; l = hash_next(l)) {
		struct home_trial *t = hash_owner(l, struct home_trial, by_conn);
		if (t->conn == c)
			return t;
	}
	return NULL;
}

static void trial_end(struct home_places *p, struct home_trial *t)
{
	hash_remove(&p->trials, &t->by_conn);
	heap_set(&p->due, &t->due, USEC_NEVER);
	free(t);
}

void home_place_stop(struct home *h)
{
	struct heap_item *i;
	while ((i = heap_first(&h->places.due)))
		trial_end(&h->places, hash_owner(i, struct home_trial, due));
	heap_clear(&h->places.due);
	hash_clear(&h->places.trials);
}

static bool same_place(const struct path *a, const struct path *b)
{
	return a->sock == b->sock && endpoint_equal(&a->remote, &b->remote) &&
	       endpoint_equal(&a->local, &b->local);
}

static void log_place(const struct node *n, const struct home_trial *t, const char *what)
{
	char at[ENDPOINT_TEXT_MAX];
	log_info(n->log, "home: place %s connection=%s place=%s", what, t->conn->name,
		 endpoint_format(&t->place.remote, at));
}

/* Whoever else places a connection (its IKE SA) ends the trial. */
static bool is_past(const struct home_trial *t)
{
	const struct path *now = rcu_dereference(t->conn->out->path);
	return !now || !same_place(now, &t->place);
}

static void settle(struct node *n, struct home_trial *t, const struct path *path, bool proven)
{
	struct conn *c = t->conn;
	struct path at = *path;
	node_conn_set_path(c, &at);
	c->place_proven = proven;
	trial_end(&home_of(n)->places, t);
}

/* Within the bound, too. */
static void ask(struct node *n, struct home_trial *t, usec_t now_us)
{
	struct home *h = home_of(n);
	usec_t wait_us = t->tries < 4 ? FIRST_US << t->tries : LONGEST_US;
	t->ask_us = now_us + (wait_us < LONGEST_US ? wait_us : LONGEST_US);
	const struct path *path = rcu_dereference(t->conn->out->path);
	uint64_t id = 0;
	if (path->trial && !trial_spend(path, PROBE_BYTES)) {
		t->tries++;
		return;
	}
	t->by_ike = steward_made(t->conn) && steward_ask_place(h->steward, t->conn, now_us);
	while (!t->by_ike && !id)
		random_bytes(&id, sizeof id);
	t->ids[t->tries++ % TRIES] = id;
	if (!t->by_ike)
		node_send_probe(n, t->conn, ESP_PROBE_REQUEST, id, &t->place);
}

static void wait(struct home_places *p, struct home_trial *t, usec_t now_us)
{
	usec_t at_us = t->ask_us;
	if (t->by_ike && now_us + LOOK_US < at_us)
		at_us = now_us + LOOK_US;
	heap_set(&p->due, &t->due, at_us);
}

static struct home_trial *trial_begin(struct home_places *p, struct conn *c, const struct path *old)
{
	struct home_trial *t = trial_find(p, c);
	p->begun++;
	if (t) {
		/* Another place again: what was proven stays so. */
		t->lifted = t->by_ike = false;
		t->tries = 0;
		memset(t->ids, 0, sizeof t->ids);
		return t;
	}
	t = mem_zalloc(sizeof *t);
	t->conn = c;
	t->has_fallback = c->place_proven && old && !old->trial;
	if (t->has_fallback)
		t->fallback = *old;
	hash_add(&p->trials, &t->by_conn, hash_of(p, c));
	return t;
}

void home_place_learn(struct node *n, const struct role_arrival *a, const struct path *path)
{
	struct home_places *p = &home_of(n)->places;
	struct conn *c = a->conn;
	struct home_trial *t = trial_find(p, c);
	usec_t now_us = a->event->at_us;
	if (t && is_past(t)) {
		trial_end(p, t);
		t = NULL;
	}
	if (t && t->has_fallback && same_place(&t->fallback, path)) {
		log_place(n, t, "left: it is where it was");
		settle(n, t, path, true);
		return;
	}
	t = trial_begin(p, c, rcu_dereference(c->out->path));
	t->place = *path;
	t->began_us = now_us;
	c->place_proven = false;
	node_conn_try_path(c, path, (uint64_t)a->event->outer_len * TRIAL_FACTOR,
			   t->has_fallback ? &t->fallback : NULL);
	log_place(n, t, "on trial");
	/* With a hello, after its reply has had the time to be understood: our numbers begin with
	 * it. */
	t->ask_us = now_us + (a->event->hello ? HELLO_US : 0);
	if (a->event->kind != FWD_EV_CONTROL)
		ask(n, t, now_us);
	wait(p, t, now_us);
}

/* A connection with AH never has a trial. */
void home_place_known(struct conn *c, const struct path *path)
{
	node_conn_set_path(c, path);
	c->place_proven = true;
}

static void confirmed(struct node *n, struct home_trial *t)
{
	log_place(n, t, "confirmed");
	home_of(n)->places.confirmed++;
	struct path at = t->place;
	at.mtu = ((const struct path *)rcu_dereference(t->conn->out->path))->mtu;
	settle(n, t, &at, true);
}

void home_place_answered(struct node *n, const struct role_arrival *a, uint64_t id)
{
	struct home_trial *t = trial_find(&home_of(n)->places, a->conn);
	if (!t || !id || is_past(t) || !endpoint_equal(&a->back.remote, &t->place.remote))
		return;
	for (unsigned i = 0; i < TRIES; i++) {
		if (t->ids[i] != id)
			continue;
		confirmed(n, t);
		return;
	}
}

void home_place_asked(struct node *n, struct conn *c)
{
	struct home_trial *t = trial_find(&home_of(n)->places, c);
	if (!t || t->lifted || t->has_fallback || is_past(t))
		return;
	struct path at = t->place;
	t->lifted = true;
	node_conn_set_path(c, &at);
}

void home_place_forget(struct node *n, const struct conn *c)
{
	struct home_places *p = &home_of(n)->places;
	struct home_trial *t = trial_find(p, c);
	if (t)
		trial_end(p, t);
}

/* It did not answer. */
static void give_up(struct node *n, struct home_trial *t, usec_t now_us)
{
	struct home_places *p = &home_of(n)->places;
	if (t->tries == TRIES) {
		log_place(n, t, "not confirmed");
		p->failed++;
	}
	if (t->has_fallback) {
		struct conn *c = t->conn;
		struct path at = t->fallback;
		settle(n, t, &at, true);
		conn_set_pair(n->table, c, &at.remote, &at.local);
		return;
	}
	if (t->lifted) {
		trial_end(p, t);
		return;
	}
	/* Nothing better is known: asked again when it is heard. */
	bool heard = conn_heard_us(t->conn) + AGAIN_US > now_us;
	if (heard)
		ask(n, t, now_us);
	t->ask_us = now_us + AGAIN_US;
	heap_set(&p->due, &t->due, t->ask_us);
}

static void trial_due(struct node *n, struct home_trial *t, usec_t now_us)
{
	struct home_places *p = &home_of(n)->places;
	if (is_past(t)) {
		trial_end(p, t);
		return;
	}
	if (t->by_ike && steward_answered(t->conn, &t->place.remote, t->began_us)) {
		confirmed(n, t);
		return;
	}
	if (now_us >= t->ask_us && t->tries >= TRIES) {
		give_up(n, t, now_us);
		return;
	}
	if (now_us >= t->ask_us)
		ask(n, t, now_us);
	wait(p, t, now_us);
}

usec_t home_place_tick(struct node *n, usec_t now_us)
{
	struct home_places *p = &home_of(n)->places;
	struct heap_item *i;
	while ((i = heap_first(&p->due)) && i->at_us <= now_us)
		trial_due(n, hash_owner(i, struct home_trial, due), now_us);
	return i ? i->at_us : USEC_NEVER;
}
