/* SPDX-License-Identifier: MIT */
/*
 * Rekeying and what both sides can wish for at once (RFC 7296 2.8, 2.25).
 *
 * Besides the RFC's ladders, every pair of wishes is tried with every nonce order and with every
 * single message lost.  While it runs, whatever either side sends with must be open on the other:
 * that is what "without losing a packet" means here.
 */
#include "ike_rig.h"

#define SEEDS 12
#define NONE  1000000u
#define LOST  10 /* messages of a collision, at most */

/* --- what must hold at every moment */

static struct rig_child *outbound(struct rig_node *n)
{
	for (unsigned i = n->child_count; i-- > 0;)
		if (n->children[i].child && n->children[i].switched)
			return &n->children[i];
	return NULL;
}

struct watch {
	unsigned sent, lose; /* lose: the number of the one message that is lost; NONE: none */
	bool only_rekeys;    /* nobody deletes: there is always a way */
};

static void check_way(struct rig *g, struct rig_node *from, struct rig_node *to)
{
	struct rig_child *out = outbound(from);
	struct watch *w = g->hook_ctx;
	if (!out) {
		assert_false(w->only_rekeys);
		return;
	}
	if (w->only_rekeys && !rig_find(to, out->spi_out))
		fail_msg("%c sends with %08x, which is not there", from->name, out->spi_out);
}

static bool hook(struct rig *g, struct rig_datagram *d)
{
	struct watch *w = g->hook_ctx;
	(void)d;
	check_way(g, &g->a, &g->b);
	check_way(g, &g->b, &g->a);
	return w->sent++ != w->lose;
}

static struct rig *watched(struct watch *w, uint64_t seed, unsigned lose, bool only_rekeys)
{
	struct rig *g = rig_up(rig_new());
	*w = (struct watch){.lose = lose, .only_rekeys = only_rekeys};
	g->hook = hook;
	g->hook_ctx = w;
	g->rng ^= seed * 0x9e3779b97f4a7c15;
	return g;
}

/* --- wishes */

static struct ike_child *child_of(struct rig_node *n)
{
	struct rig_child *c = rig_last(n);
	assert_non_null(c);
	return c->child;
}

static void child_rekey(struct rig_node *n)
{
	ike_child_rekey(n->e, child_of(n), n->rig->now_us);
}

static void child_delete(struct rig_node *n)
{
	ike_child_delete(n->e, child_of(n), "wished", n->rig->now_us);
}

static void child_create(struct rig_node *n)
{
	assert_int_equal(ike_child_create(n->e, n->sa, NULL, NULL, n->rig->now_us), 0);
}

static void sa_rekey(struct rig_node *n)
{
	ike_sa_rekey(n->e, n->sa, n->rig->now_us);
}

static void sa_close(struct rig_node *n)
{
	ike_sa_close(n->e, n->sa, "wished", false, n->rig->now_us);
}

/* --- one side alone */

static void one_child_rekey(void **state)
{
	(void)state;
	for (int by_b = 0; by_b < 2; by_b++) {
		struct watch w;
		struct rig *g = watched(&w, 0, NONE, true);
		struct rig_node *n = by_b ? &g->b : &g->a, *other = by_b ? &g->a : &g->b;
		uint32_t old = rig_last(n)->spi_in;
		child_rekey(n);
		rig_settle(g);
		rig_ladder_is(g, by_b ? "b:CHILD a:CHILD' b:INFO a:INFO'"
				      : "a:CHILD b:CHILD' a:INFO b:INFO'");
		rig_check(g);
		assert_int_equal(rig_up_count(n), 1);
		assert_int_not_equal(rig_last(n)->spi_in, old);
		assert_int_equal(other->switches, 1);
		assert_int_equal(n->switches, 0);
		assert_int_equal(ike_counters(n->e)->child_rekeys, 1);
		assert_int_equal(ike_counters(n->e)->collisions, 0);
		rig_free(g);
	}
}

static void one_sa_rekey(void **state)
{
	(void)state;
	for (int by_b = 0; by_b < 2; by_b++) {
		struct watch w;
		struct rig *g = watched(&w, 0, NONE, true);
		struct rig_node *n = by_b ? &g->b : &g->a;
		struct ike_sa *old = n->sa;
		uint8_t before[32], after[32], others[32];
		ike_sa_set_user(n->sa, n);
		assert_int_equal(ike_sa_derive(n->sa, "label", before, 32), 0);
		sa_rekey(n);
		rig_settle(g);
		rig_ladder_is(g, by_b ? "b:CHILD a:CHILD' b:INFO a:INFO'"
				      : "a:CHILD b:CHILD' a:INFO b:INFO'");
		assert_ptr_not_equal(n->sa, old);
		assert_ptr_equal(ike_sa_user(n->sa), n);
		assert_int_equal(ike_sa_is_initiator(n->sa), true);
		assert_int_equal(g->a.rekeys, 1);
		assert_int_equal(g->b.rekeys, 1);
		assert_int_equal(ike_sa_derive(g->a.sa, "label", after, 32), 0);
		assert_int_equal(ike_sa_derive(g->b.sa, "label", others, 32), 0);
		assert_memory_equal(after, others, 32);
		assert_memory_not_equal(before, after, 32);
		rig_run(g, 100 * SEC);
		assert_int_equal(g->a.downs + g->b.downs, 0);
		assert_int_equal(ike_count(g->a.e, IKE_SA_REKEYED), 0);
		assert_int_equal(ike_count(g->b.e, IKE_SA_REKEYED), 0);
		/* It goes on with the fresh one, from both sides. */
		w.only_rekeys = false;
		child_create(&g->a);
		child_create(&g->b);
		child_rekey(&g->b);
		rig_settle(g);
		rig_check(g);
		assert_int_equal(rig_up_count(&g->a), 3);
		rig_free(g);
	}
}

/* --- by time */

static void by_time(void **state)
{
	(void)state;
	struct rig *g = rig_new();
	g->a.peer.child.rekey_us = g->b.peer.child.rekey_us = 100 * (usec_t)SEC;
	g->a.peer.child.life_us = g->b.peer.child.life_us = 150 * (usec_t)SEC;
	g->a.peer.rekey_us = 300 * (usec_t)SEC;
	g->b.peer.rekey_us = 310 * (usec_t)SEC;
	rig_up(g);
	struct watch w = {.lose = NONE, .only_rekeys = true};
	g->hook = hook;
	g->hook_ctx = &w;
	rig_run(g, 2000 * (usec_t)SEC);
	rig_check(g);
	assert_int_equal(rig_up_count(&g->a), 1);
	assert_in_range(ike_counters(g->a.e)->child_rekeys, 19, 30);
	assert_in_range(ike_counters(g->a.e)->ike_rekeys, 6, 9);
	assert_int_equal(g->a.downs + g->b.downs, 0);
	rig_free(g);
}

/* A child whose rekey is always refused ends with its lifetime, not before and not after. */
static void lifetime_ends(void **state)
{
	(void)state;
	struct rig *g = rig_new();
	g->a.peer.child.rekey_us = 100 * (usec_t)SEC;
	g->a.peer.child.life_us = 250 * (usec_t)SEC;
	rig_up(g);
	g->b.refuse_child = IKE_N_NO_ADDITIONAL_SAS;
	rig_run(g, 240 * (usec_t)SEC);
	rig_check(g);
	assert_int_equal(rig_up_count(&g->a), 1);
	assert_non_null(strstr(g->lines, "child not rekeyed"));
	rig_run(g, 20 * (usec_t)SEC);
	rig_check(g);
	assert_int_equal(rig_up_count(&g->a), 0);
	rig_free(g);
}

/* --- key exchange */

struct ke_row {
	const char *what, *esp_a, *esp_b;
	bool pfs_a, pfs_b;
	const char *ladder;
	bool works;
};

static const struct ke_row ke_rows[] = {
    {"both the same", "aes128gcm16-x25519", "aes128gcm16-x25519", true, true,
     "a:CHILD b:CHILD' a:INFO b:INFO'", true},
    {"another group", "aes128gcm16-x25519-ecp256", "aes128gcm16-ecp256", true, true,
     "a:CHILD b:CHILD' a:CHILD b:CHILD' a:INFO b:INFO'", true},
    {"the other has none", "aes128gcm16-x25519", "aes128gcm16", false, false,
     "a:CHILD b:CHILD' a:CHILD b:CHILD' a:INFO b:INFO'", true},
    {"the other has none, but we insist", "aes128gcm16-x25519", "aes128gcm16", true, false,
     "a:CHILD b:CHILD'", false},
    {"we have none, the other insists", "aes128gcm16", "aes128gcm16-x25519", false, true,
     "a:CHILD b:CHILD'", false},
    {"no group of both", "aes128gcm16-x25519", "aes128gcm16-ecp256", true, true, "a:CHILD b:CHILD'",
     false},
};

static void key_exchange(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(ke_rows); i++) {
		const struct ke_row *r = &ke_rows[i];
		struct rig *g = rig_new();
		rig_suites(SUITE_ESP, r->esp_a, &g->a.peer.child.esp);
		rig_suites(SUITE_ESP, r->esp_b, &g->b.peer.child.esp);
		g->a.peer.child.require_pfs = r->pfs_a;
		g->b.peer.child.require_pfs = r->pfs_b;
		rig_up(g);
		uint32_t old = rig_last(&g->a)->spi_in;
		child_rekey(&g->a);
		rig_settle(g);
		if (strcmp(g->ladder, r->ladder) != 0)
			fail_msg("%s: %s", r->what, g->ladder);
		rig_check(g);
		assert_int_equal(rig_up_count(&g->a), 1);
		assert_int_equal(rig_last(&g->a)->spi_in != old, r->works);
		rig_free(g);
	}
}

/* --- both at once */

struct scene {
	const char *what;
	void (*a)(struct rig_node *n);
	void (*b)(struct rig_node *n);
	unsigned children; /* at the end */
	bool sa_stays, only_rekeys, collides;
};

static const struct scene scenes[] = {
    {"both rekey the child (2.8.1)", child_rekey, child_rekey, 1, true, true, true},
    {"both rekey the IKE SA (2.8.2)", sa_rekey, sa_rekey, 1, true, true, true},
    {"IKE SA and child", sa_rekey, child_rekey, 1, true, true, false},
    {"child and IKE SA", child_rekey, sa_rekey, 1, true, true, false},
    {"IKE SA and one more child", sa_rekey, child_create, 2, true, false, false},
    {"one more child each", child_create, child_create, 3, true, false, false},
    {"rekey meets delete (2.25.1)", child_rekey, child_delete, 0, true, false, false},
    {"delete meets rekey", child_delete, child_rekey, 0, true, false, false},
    {"both delete the child", child_delete, child_delete, 0, true, false, false},
    {"IKE rekey, child delete (2.25.2)", sa_rekey, child_delete, 0, true, false, false},
    {"IKE rekey meets IKE delete", sa_rekey, sa_close, 0, false, false, false},
    {"IKE delete meets IKE rekey", sa_close, sa_rekey, 0, false, false, false},
    {"both delete the IKE SA", sa_close, sa_close, 0, false, false, false},
    {"child rekey meets IKE delete", child_rekey, sa_close, 0, false, false, false},
};

static void judge(struct rig *g, const struct scene *s, uint64_t seed, unsigned lost)
{
	struct rig_node *nodes[] = {&g->a, &g->b};
	for (unsigned i = 0; i < 2; i++) {
		struct rig_node *n = nodes[i];
		if (rig_up_count(n) != s->children ||
		    ike_count(n->e, IKE_SA_ESTABLISHED) != s->sa_stays || n->downs != !s->sa_stays)
			fail_msg(
			    "%s, seed %u, %u lost: %c has %u children, %zu IKE SAs, %u down: %s",
			    s->what, (unsigned)seed, lost, n->name, rig_up_count(n),
			    ike_count(n->e, IKE_SA_ESTABLISHED), n->downs, g->ladder);
		assert_int_equal(ike_count(n->e, IKE_SA_REKEYED), 0);
		assert_int_equal(ike_count(n->e, IKE_SA_CLOSING), 0);
		if (s->children == 1)
			assert_true(rig_last(n)->switched);
	}
	rig_check(g);
}

static void scene_run(const struct scene *s, uint64_t seed, unsigned lost, bool b_first)
{
	struct watch w;
	struct rig *g = watched(&w, seed, lost, s->only_rekeys);
	if (b_first)
		s->b(&g->b);
	s->a(&g->a);
	if (!b_first)
		s->b(&g->b);
	rig_run(g, 200 * (usec_t)SEC);
	judge(g, s, seed, lost);
	rig_free(g);
}

static void both_at_once(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(scenes); i++)
		for (unsigned seed = 0; seed < SEEDS; seed++)
			scene_run(&scenes[i], seed, NONE, seed & 1);
}

static void both_at_once_with_losses(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(scenes); i++)
		for (unsigned lost = 0; lost < LOST; lost++)
			for (unsigned seed = 0; seed < 4; seed++)
				scene_run(&scenes[i], seed, lost, seed & 1);
}

/* Whoever had the lowest nonce loses, and both outcomes come about. */
static void nonces_decide(void **state)
{
	(void)state;
	unsigned child_wins[2] = {0}, sa_wins[2] = {0};
	for (unsigned seed = 0; seed < 24; seed++) {
		struct watch w;
		struct rig *g = watched(&w, seed, NONE, true);
		child_rekey(&g->a);
		child_rekey(&g->b);
		rig_settle(g);
		rig_check(g);
		assert_int_equal(ike_counters(g->a.e)->collisions, 1);
		assert_int_equal(ike_counters(g->b.e)->collisions, 1);
		assert_int_not_equal(rig_last(&g->a)->initiator, rig_last(&g->b)->initiator);
		child_wins[rig_last(&g->b)->initiator]++;

		struct ike_sa *a = g->a.sa, *b = g->b.sa;
		sa_rekey(&g->a);
		sa_rekey(&g->b);
		rig_settle(g);
		rig_check(g);
		assert_int_equal(ike_counters(g->a.e)->collisions, 2);
		assert_int_equal(ike_counters(g->b.e)->collisions, 2);
		assert_true(g->a.sa != a && g->b.sa != b);
		assert_int_not_equal(ike_sa_is_initiator(g->a.sa), ike_sa_is_initiator(g->b.sa));
		sa_wins[ike_sa_is_initiator(g->b.sa)]++;
		rig_free(g);
	}
	assert_true(child_wins[0] && child_wins[1] && sa_wins[0] && sa_wins[1]);
}

/* RFC 7296 2.8.1: both notice, each deletes what is its to delete. */
static void ladder_of_the_rfc(void **state)
{
	(void)state;
	struct watch w;
	struct rig *g = watched(&w, 0, NONE, true);
	child_rekey(&g->a);
	child_rekey(&g->b);
	rig_settle(g);
	/* Winner and loser delete one SA each: the old one, and the loser's own new one. */
	rig_ladder_is(g, "a:CHILD b:CHILD b:CHILD' a:CHILD' a:INFO b:INFO b:INFO' a:INFO'");
	assert_int_equal(g->a.switches + g->b.switches, 1);
	/* What the loser made itself, nobody on its side heard of. */
	assert_int_equal(g->a.child_count, rig_last(&g->a)->initiator ? 3 : 2);
	assert_int_equal(g->a.child_count + g->b.child_count, 5);
	rig_free(g);
}

/* RFC 7296 2.8.1, the second figure: a's request is lost, so that only a sees the collision. */
static void one_sees_it(void **state)
{
	(void)state;
	struct watch w;
	struct rig *g = watched(&w, 0, 0, true);
	child_rekey(&g->a);
	child_rekey(&g->b);
	rig_run(g, 5 * SEC);
	/* b's stands; a's retransmission finds the old child gone. */
	rig_ladder_is(g, "a:CHILD! b:CHILD a:CHILD' b:INFO a:INFO' a:CHILD b:CHILD'");
	rig_check(g);
	assert_true(rig_last(&g->b)->initiator);
	assert_int_equal(g->a.switches, 1);
	rig_free(g);
}

/* The same with the IKE SA: the old one, with a's request out, is deleted by b. */
static void one_sees_it_of_the_sa(void **state)
{
	(void)state;
	struct watch w;
	struct rig *g = watched(&w, 0, 0, true);
	sa_rekey(&g->a);
	sa_rekey(&g->b);
	rig_run(g, 100 * SEC);
	rig_ladder_is(g, "a:CHILD! b:CHILD a:CHILD' b:INFO a:INFO'");
	rig_check(g);
	assert_true(ike_sa_is_initiator(g->b.sa));
	assert_int_equal(g->a.rekeys, 1);
	assert_int_equal(g->a.downs + g->b.downs, 0);
	rig_free(g);
}

/* The peer's fresh IKE SA is used before our own rekey was answered: it is the one. */
static void used_before_answered(void **state)
{
	(void)state;
	struct watch w;
	struct rig *g = watched(&w, 0, NONE, true);
	g->lose_a = 1;
	sa_rekey(&g->a);
	sa_rekey(&g->b);
	rig_run(g, 15 * MS); /* b's request is answered, the answer is on the wire */
	g->lose_b = 0;
	rig_run(g, 6 * MS); /* b has its fresh one and deletes the old one */
	g->lose_b = 0;
	assert_int_equal(g->b.rekeys, 1);
	assert_int_equal(g->a.rekeys, 0);
	w.only_rekeys = false;
	child_create(&g->b); /* on the fresh one; it may come before the delete */
	rig_run(g, 100 * SEC);
	rig_check(g);
	assert_int_equal(g->a.rekeys, 1);
	assert_int_equal(rig_up_count(&g->a), 2);
	rig_free(g);
}

/* --- errors */

static void child_not_found(void **state)
{
	(void)state;
	struct rig *g = rig_up(rig_new());
	child_end(child_of(&g->b), "lost by a test");
	child_rekey(&g->a);
	rig_settle(g);
	rig_ladder_is(g, "a:CHILD b:CHILD'");
	assert_int_equal(rig_up_count(&g->a), 0);
	rig_check(g);
	rig_free(g);
}

/* A wish to delete that comes while a rekey is out means the pair, whatever it is by then. */
static void deleted_while_rekeying(void **state)
{
	(void)state;
	struct rig *g = rig_up(rig_new());
	child_rekey(&g->a);
	child_delete(&g->a);
	rig_settle(g);
	rig_check(g);
	assert_int_equal(rig_up_count(&g->a), 0);
	rig_free(g);
}

/* A wish to close that comes while the IKE SA is rekeyed, by either side, means what comes of it.
 */
static void closed_while_rekeying(void **state)
{
	(void)state;
	for (int by = 1; by < 4; by++) {
		struct rig *g = rig_up(rig_new());
		if (by & 1)
			sa_rekey(&g->a);
		if (by & 2)
			sa_rekey(&g->b);
		sa_close(&g->a);
		rig_run(g, 100 * SEC);
		assert_int_equal(ike_count(g->a.e, IKE_SA_ESTABLISHED), 0);
		assert_int_equal(ike_count(g->b.e, IKE_SA_ESTABLISHED), 0);
		assert_int_equal(rig_up_count(&g->a) + rig_up_count(&g->b), 0);
		rig_free(g);
	}
}

/* The peer's delete of what it has just made comes before its answer, which was lost: the peer
 * does want more, just not that one. */
static void deleted_before_it_was_made(void **state)
{
	(void)state;
	struct rig *g = rig_up(rig_new());
	g->lose_b = 1;
	child_create(&g->a);
	rig_run(g, 3 * WIRE_US / 2);
	child_delete(&g->b);
	rig_settle(g);
	rig_run(g, 60 * SEC);
	rig_check(g);
	assert_int_equal(g->a.failures, 0);
	assert_int_equal(rig_up_count(&g->a), 2);
	rig_free(g);
}

/* What was to be rekeyed is deleted by the peer before its answer, which was lost, comes again:
 * nothing is handed over for it. */
static void deleted_before_it_was_replaced(void **state)
{
	(void)state;
	struct rig *g = rig_up(rig_new());
	struct ike_child *old = child_of(&g->b);
	g->lose_b = 1;
	child_rekey(&g->a);
	rig_run(g, 3 * WIRE_US / 2);
	assert_int_equal(rig_up_count(&g->b), 2);
	ike_child_delete(g->b.e, old, "wished", g->now_us);
	unsigned made = g->a.child_count;
	rig_settle(g);
	rig_run(g, 60 * SEC);
	assert_int_equal(g->a.child_count, made);
	assert_int_equal(rig_up_count(&g->a), 0);
	assert_int_equal(rig_up_count(&g->b), 0);
	rig_free(g);
}

/* The daemon refuses what the peer has made already: the peer is told. */
static void refused_by_the_daemon(void **state)
{
	(void)state;
	struct rig *g = rig_up(rig_new());
	g->a.refuse_child = IKE_N_NO_ADDITIONAL_SAS;
	child_create(&g->a);
	rig_settle(g);
	rig_ladder_is(g, "a:CHILD b:CHILD' a:INFO b:INFO'");
	rig_check(g);
	assert_int_equal(rig_up_count(&g->b), 1);
	assert_int_equal(g->a.failures, 1);
	g->a.refuse_child = 0;
	rig_free(g);
}

/* --- all of it, for long, on a bad line */

static void bad_line(void **state)
{
	(void)state;
	for (unsigned seed = 1; seed <= 60; seed++) {
		struct watch w;
		struct rig *g = watched(&w, seed, NONE, true);
		g->loss_percent = 10;
		g->double_percent = 10;
		g->jitter_us = 40 * MS;
		for (unsigned i = 0; i < 40; i++) {
			struct rig_node *n = rig_random(g) & 1 ? &g->a : &g->b;
			if (n->sa && rig_random(g) % 3)
				child_rekey(n);
			else if (n->sa)
				sa_rekey(n);
			rig_run(g, 1 + rig_random(g) % (3 * SEC));
		}
		g->loss_percent = g->double_percent = 0;
		rig_run(g, 200 * (usec_t)SEC);
		if (g->a.downs || g->b.downs)
			fail_msg("seed %u: %s", seed, g->a.down_why);
		rig_check(g);
		assert_int_equal(rig_up_count(&g->a), 1);
		assert_int_equal(ike_count(g->a.e, IKE_SA_ESTABLISHED), 1);
		assert_int_equal(ike_count(g->a.e, IKE_SA_REKEYED), 0);
		rig_free(g);
	}
}

/* Whoever recorded the request that rekeyed an IKE SA repeats it for ever, and the old one's delete
 * never comes: it ends all the same. */
struct recorded {
	size_t len;
	uint8_t bytes[2048];
};

static bool record(struct rig *g, struct rig_datagram *d)
{
	struct recorded *r = g->hook_ctx;
	if (!d->from_a)
		return true;
	if (r->len || d->bytes[18] != IKE_CREATE_CHILD_SA)
		return false;
	r->len = d->len;
	memcpy(r->bytes, d->bytes, d->len);
	return true;
}

static void repeated_for_ever(void **state)
{
	(void)state;
	struct rig *g = rig_up(rig_new());
	struct recorded r = {0};
	struct ike_path path = *ike_sa_path(g->a.sa);
	g->hook = record;
	g->hook_ctx = &r;
	sa_rekey(&g->a);
	rig_run(g, 3 * WIRE_US);
	assert_int_equal(ike_count(g->b.e, IKE_SA_REKEYED), 1);
	for (int i = 0; i < 12; i++) {
		rig_put(g, rig_datagram_of(g, true, &path, r.bytes, r.len));
		rig_run(g, 30 * (usec_t)SEC);
		assert_true(i > 1 || ike_count(g->b.e, IKE_SA_REKEYED) == 1);
	}
	assert_int_equal(ike_count(g->b.e, IKE_SA_REKEYED), 0);
	g->hook_ctx = NULL;
	rig_free(g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(one_child_rekey),
	    cmocka_unit_test(one_sa_rekey),
	    cmocka_unit_test(repeated_for_ever),
	    cmocka_unit_test(by_time),
	    cmocka_unit_test(lifetime_ends),
	    cmocka_unit_test(key_exchange),
	    cmocka_unit_test(both_at_once),
	    cmocka_unit_test(both_at_once_with_losses),
	    cmocka_unit_test(nonces_decide),
	    cmocka_unit_test(ladder_of_the_rfc),
	    cmocka_unit_test(one_sees_it),
	    cmocka_unit_test(one_sees_it_of_the_sa),
	    cmocka_unit_test(used_before_answered),
	    cmocka_unit_test(child_not_found),
	    cmocka_unit_test(deleted_while_rekeying),
	    cmocka_unit_test(closed_while_rekeying),
	    cmocka_unit_test(deleted_before_it_was_made),
	    cmocka_unit_test(deleted_before_it_was_replaced),
	    cmocka_unit_test(refused_by_the_daemon),
	    cmocka_unit_test(bad_line),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
