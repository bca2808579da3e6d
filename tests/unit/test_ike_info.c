/* SPDX-License-Identifier: MIT */
/* INFORMATIONAL between two engines: deletes from either side and from both at once, liveness,
 * keepalives, a peer that begins anew, and what ends when. */
#include <errno.h>
#include "ike_rig.h"

static void delete_last(struct rig *g, struct rig_node *n)
{
	ike_child_delete(n->e, rig_last(n)->child, "enough", g->now_us);
}

static void wish_child(struct rig *g, struct rig_node *n)
{
	assert_int_equal(ike_child_create(n->e, n->sa, NULL, NULL, g->now_us), 0);
	rig_settle(g);
	g->ladder[0] = '\0';
}

/* --- child SAs */

static void test_delete_child(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		struct rig *g = rig_up(rig_new());
		wish_child(g, &g->a);
		delete_last(g, i ? &g->b : &g->a);
		rig_settle(g);
		rig_ladder_is(g, i ? "b:INFO a:INFO'" : "a:INFO b:INFO'");
		rig_check(g);
		assert_int_equal(rig_up_count(&g->a), 1);
		assert_int_equal(g->a.child_downs, 1);
		assert_int_equal(g->b.child_downs, 1);
		rig_free(g);
	}
}

/* The answer names the other half: exactly one SPI, ours. */
static void test_delete_names_the_other_half(void **state)
{
	(void)state;
	struct rig *g = rig_up(rig_new());
	uint8_t buf[512];
	struct ike_header h;
	struct ike_payloads p;
	struct ike_delete d;
	uint32_t spi = rig_last(&g->b)->spi_in;
	delete_last(g, &g->a);
	struct rig_datagram *request = g->wire;
	g->wire = NULL;
	rig_deliver(g, request);
	rig_read(g->a.sa, g->wire, buf, sizeof(buf), &h, &p);
	assert_int_equal(p.count, 1);
	assert_true(ike_read_delete(&p.at[0], &d));
	assert_int_equal(d.protocol, IKE_PROTO_ESP);
	assert_int_equal(d.count, 1);
	assert_int_equal(d.spis[2] << 8 | d.spis[3], spi);
	rig_settle(g);
	rig_free(g);
}

static void test_delete_child_from_both(void **state)
{
	(void)state;
	struct rig *g = rig_up(rig_new());
	wish_child(g, &g->a);
	delete_last(g, &g->a);
	delete_last(g, &g->b);
	uint8_t buf[512];
	struct ike_header h;
	struct ike_payloads p;
	struct rig_datagram *both[2] = {g->wire, g->wire->next};
	g->wire = NULL;
	rig_deliver(g, both[0]);
	rig_read(g->a.sa, g->wire, buf, sizeof(buf), &h, &p);
	assert_int_equal(p.count, 0); /* named already by its own request (RFC 7296 1.4.1) */
	rig_deliver(g, both[1]);
	rig_settle(g);
	rig_ladder_is(g, "a:INFO b:INFO b:INFO' a:INFO'");
	rig_check(g);
	assert_int_equal(rig_up_count(&g->a), 1);
	assert_int_equal(g->a.child_downs, 1);
	assert_int_equal(g->b.child_downs, 1);
	rig_free(g);
}

static void test_delete_unknown(void **state)
{
	(void)state;
	struct rig *g = rig_up(rig_new());
	uint8_t inner[4 * 300 + 64], buf[512];
	uint32_t spis[300];
	struct ike_header h;
	struct ike_payloads p;
	for (unsigned i = 0; i < ARRAY_LEN(spis); i++)
		spis[i] = 0x1000 + i;
	struct ike_builder b = ike_builder_of(inner, sizeof(inner), NULL);
	ike_put_delete(&b, IKE_PROTO_ESP, spis, ARRAY_LEN(spis));
	ike_put_delete(&b, IKE_PROTO_AH, &rig_last(&g->a)->spi_in, 1); /* ours, of ESP */
	size_t len = ike_builder_finish(&b);
	struct rig_hand m = {.exchange = IKE_INFORMATIONAL,
			     .id = g->b.sa->expected_id,
			     .first = IKE_PAYLOAD_DELETE,
			     .inner = inner,
			     .len = len};
	rig_say(g, g->a.sa, &m);
	rig_read(g->a.sa, g->wire, buf, sizeof(buf), &h, &p);
	assert_int_equal(p.count, 0);
	assert_int_equal(g->b.child_downs, 0);
	rig_clear_wire(g);
	rig_free(g);
}

/* The answer to a delete that was lost: the child is down once, on both sides. */
static void test_delete_answer_lost(void **state)
{
	(void)state;
	struct rig *g = rig_up(rig_new());
	delete_last(g, &g->a);
	g->lose_b = 1;
	rig_run(g, 2 * SEC);
	rig_ladder_is(g, "a:INFO b:INFO'! a:INFO b:INFO'");
	assert_int_equal(g->a.child_downs, 1);
	assert_int_equal(g->b.child_downs, 1);
	rig_free(g);
}

/* --- the IKE SA */

static void test_close(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		struct rig *g = rig_up(rig_new());
		wish_child(g, &g->a);
		struct rig_node *n = i ? &g->b : &g->a, *other = i ? &g->a : &g->b;
		ike_sa_close(n->e, n->sa, "good night", false, g->now_us);
		assert_int_equal(n->downs, 0);
		assert_int_equal(ike_count(n->e, IKE_SA_CLOSING), 1);
		rig_settle(g);
		rig_ladder_is(g, i ? "b:INFO a:INFO'" : "a:INFO b:INFO'");
		assert_string_equal(n->down_why, "good night");
		assert_string_equal(other->down_why, "deleted by the peer");
		assert_int_equal(n->child_downs, 2);
		assert_int_equal(other->child_downs, 2);
		assert_int_equal(n->downs + other->downs, 2);
		assert_null(ike_sa_first(g->a.e));
		assert_null(ike_sa_first(g->b.e));
		rig_run(g, 15 * SEC);
		assert_int_equal(g->a.e->sa_count + g->b.e->sa_count, 0);
		assert_int_equal(ike_count(g->a.e, IKE_SA_CLOSING), 0);
		rig_free(g);
	}
}

static void test_close_from_both(void **state)
{
	(void)state;
	struct rig *g = rig_up(rig_new());
	ike_sa_close(g->a.e, g->a.sa, "over", false, g->now_us);
	ike_sa_close(g->b.e, g->b.sa, "over", false, g->now_us);
	rig_run(g, 15 * SEC);
	rig_ladder_is(g, "a:INFO b:INFO b:INFO' a:INFO'");
	assert_int_equal(g->a.downs, 1);
	assert_int_equal(g->b.downs, 1);
	assert_int_equal(g->a.e->sa_count + g->b.e->sa_count, 0);
	rig_free(g);
}

static void test_close_at_once(void **state)
{
	(void)state;
	struct rig *g = rig_up(rig_new());
	ike_sa_close(g->a.e, g->a.sa, "now", true, g->now_us);
	assert_int_equal(g->a.downs, 1);
	assert_int_equal(g->a.child_downs, 1);
	assert_int_equal(g->a.e->sa_count, 0);
	rig_settle(g);
	assert_int_equal(g->b.downs, 1);
	rig_free(g);
}

static void test_close_while_connecting(void **state)
{
	(void)state;
	struct rig *g = rig_new();
	rig_start(g);
	struct ike_sa *sa = rig_initiate(g);
	ike_sa_close(g->a.e, sa, "not wanted", false, g->now_us);
	assert_int_equal(g->a.downs, 1);
	assert_int_equal(g->a.e->sa_count, 0);
	rig_run(g, 40 * SEC);
	assert_int_equal(g->b.e->sa_count, 0);

	/* With IKE_AUTH out the other side may know us: it is told. */
	sa = rig_initiate(g);
	rig_run(g, 25 * MS);
	assert_true(sa->next_id == 2);
	ike_sa_close(g->a.e, sa, "not wanted", false, g->now_us);
	rig_run(g, 15 * SEC);
	assert_int_equal(g->b.ups, 1);
	assert_int_equal(g->b.downs, 1);
	assert_int_equal(g->b.e->sa_count, 0);
	rig_free(g);
}

static void test_close_unanswered(void **state)
{
	(void)state;
	struct rig *g = rig_up(rig_new());
	g->lose_a = 1000;
	ike_sa_close(g->a.e, g->a.sa, "over", false, g->now_us);
	assert_int_equal(ike_child_create(g->a.e, g->a.sa, NULL, NULL, g->now_us), -ENOTCONN);
	rig_run(g, 11 * SEC);
	assert_int_equal(g->a.downs, 1);
	assert_string_equal(g->a.down_why, "closed");
	assert_int_equal(g->a.e->sa_count, 0);
	assert_int_equal(g->b.downs, 0);
	rig_free(g);
}

/* While it closes, the peer's wishes are put off. */
static void test_requests_while_closing(void **state)
{
	(void)state;
	struct rig *g = rig_up(rig_new());
	g->lose_a = 1;
	ike_sa_close(g->a.e, g->a.sa, "over", false, g->now_us);
	assert_int_equal(ike_child_create(g->b.e, g->b.sa, NULL, NULL, g->now_us), 0);
	rig_run(g, 200 * MS);
	rig_ladder_is(g, "a:INFO! b:CHILD a:CHILD'");
	assert_int_equal(rig_up_count(&g->a), 1);
	rig_run(g, 15 * SEC);
	assert_int_equal(g->a.e->sa_count + g->b.e->sa_count, 0);
	rig_free(g);
}

static void test_error_told(void **state)
{
	(void)state;
	struct rig *g = rig_up(rig_new());
	uint8_t inner[64];
	struct ike_builder b = ike_builder_of(inner, sizeof(inner), NULL);
	ike_put_notify(&b, IKE_N_AUTHENTICATION_FAILED, NULL, 0);
	struct rig_hand m = {.exchange = IKE_INFORMATIONAL,
			     .id = g->b.sa->expected_id,
			     .first = IKE_PAYLOAD_NOTIFY,
			     .inner = inner,
			     .len = ike_builder_finish(&b)};
	rig_say(g, g->a.sa, &m);
	assert_int_equal(g->b.downs, 1);
	assert_int_equal(g->b.down_notify, IKE_N_AUTHENTICATION_FAILED);
	assert_non_null(g->wire); /* answered all the same */
	rig_free(g);
}

static void test_peer_gone(void **state)
{
	(void)state;
	struct rig *g = rig_up(rig_new());
	struct ike_peer other = g->a.peer;
	struct ike_path path = rig_path(false);
	struct ike_sa *kept = ike_initiate(g->a.e, &other, &path, NULL, NULL, g->now_us);
	assert_non_null(rig_initiate(g));
	assert_int_equal(g->a.e->sa_count, 3);
	ike_peer_gone(g->a.e, &g->a.peer, g->now_us);
	assert_int_equal(g->a.e->sa_count, 1);
	assert_ptr_equal(ike_sa_first(g->a.e), kept);
	assert_int_equal(g->a.downs, 2);
	rig_settle(g);
	ike_peer_gone(g->a.e, &other, g->now_us);
	assert_int_equal(g->a.e->sa_count, 0);
	rig_free(g);
}

/* --- a peer that begins anew */

static void test_initial_contact(void **state)
{
	(void)state;
	struct rig *g = rig_up(rig_new());
	wish_child(g, &g->a);
	struct ike_sa *old = g->b.sa;
	/* a's node restarts: nothing is left of it. */
	ike_free(g->a.e);
	g->a.child_count = 0;
	g->a.e = ike_new(&g->a.cfg, &g->a.ops, &g->log);
	rig_initiate(g);
	rig_settle(g);
	assert_int_equal(g->b.ups, 2);
	assert_int_equal(g->b.downs, 1);
	assert_string_equal(g->b.down_why, "the peer began anew");
	assert_int_equal(g->b.child_downs, 2);
	assert_int_equal(ike_count(g->b.e, IKE_SA_ESTABLISHED), 1);
	assert_ptr_not_equal(g->b.sa, old);
	rig_check(g);
	rig_free(g);
}

/* One that only says so, and fails, ends nothing. */
static void test_initial_contact_of_a_liar(void **state)
{
	(void)state;
	struct rig *g = rig_up(rig_new());
	static const uint8_t wrong[] = "another secret";
	struct ike_peer liar = g->a.peer;
	liar.psk = wrong;
	liar.psk_len = sizeof(wrong) - 1;
	struct ike_path path = rig_path(false);
	path.local.addr = ip("192.0.2.66");
	ike_initiate(g->a.e, &liar, &path, NULL, NULL, g->now_us);
	rig_run(g, 60 * SEC);
	assert_int_equal(g->b.ups, 1);
	assert_int_equal(rig_up_count(&g->b), 1);
	assert_int_equal(ike_count(g->b.e, IKE_SA_ESTABLISHED), 1);
	assert_int_equal(ike_counters(g->b.e)->auth_failed, 1);
	rig_free(g);
}

/* --- is it there? */

static void test_probe(void **state)
{
	(void)state;
	struct rig *g = rig_up(rig_new());
	usec_t before = ike_sa_heard_us(g->a.sa);
	for (unsigned i = 0; i < 3; i++)
		ike_sa_probe(g->a.e, g->a.sa, g->now_us);
	rig_settle(g);
	rig_ladder_is(g, "a:INFO b:INFO'");
	assert_true(ike_sa_heard_us(g->a.sa) > before);
	rig_free(g);
}

static void test_liveness(void **state)
{
	(void)state;
	struct rig *g = rig_new();
	g->a.peer.liveness_us = 30 * SEC;
	rig_up(g);
	rig_run(g, 29 * SEC);
	rig_ladder_is(g, "");
	rig_run(g, 2 * SEC);
	rig_ladder_is(g, "a:INFO b:INFO'");
	/* Packets of a child SA are as good a sign. */
	for (unsigned i = 0; i < 10; i++) {
		rig_run(g, 10 * SEC);
		g->a.heard_us = g->now_us;
	}
	rig_ladder_is(g, "");
	g->lose_a = 1000;
	usec_t silent = g->now_us;
	rig_run(g, 100 * SEC);
	assert_int_equal(g->a.downs, 1);
	assert_string_equal(g->a.down_why, "no answer");
	assert_true(g->now_us > silent);
	rig_free(g);
}

static void test_keepalives(void **state)
{
	(void)state;
	struct rig *g = rig_new();
	g->nat = true;
	g->nat_port = 1000;
	g->a.peer.keepalive_us = g->b.peer.keepalive_us = 20 * SEC;
	rig_up(g);
	/* A child SA's packets keep the NAT's entry, that is the daemon's. */
	rig_run(g, 100 * SEC);
	assert_int_equal(g->a.keepalives, 0);
	delete_last(g, &g->a);
	rig_run(g, 100 * SEC);
	assert_in_range(g->a.keepalives, 4, 5);
	assert_int_equal(g->b.keepalives, 0); /* no NAT before b */
	rig_free(g);
}

/* --- by time */

static void test_rekey_by_time(void **state)
{
	(void)state;
	struct rig *g = rig_new();
	g->a.peer.rekey_us = 1000 * (usec_t)SEC;
	rig_up(g);
	usec_t at = ike_sa_rekey_us(g->a.sa) - ike_sa_since_us(g->a.sa);
	assert_true(at >= 900 * (usec_t)SEC && at <= 1000 * (usec_t)SEC);
	assert_int_equal(ike_sa_rekey_us(g->b.sa), USEC_NEVER);
	rig_run(g, 1010 * (usec_t)SEC);
	assert_int_equal(g->a.rekeys, 1);
	assert_int_equal(g->b.rekeys, 1);
	rig_check(g);
	assert_int_equal(g->a.e->sa_count, 1);
	rig_run(g, 100 * SEC);
	assert_int_equal(g->b.e->sa_count, 1);
	rig_ladder_is(g, "a:CHILD b:CHILD' a:INFO b:INFO'");
	rig_free(g);
}

/* The peer would not rekey it, again and again: it is not used for ever. */
static void test_lifetime_ends(void **state)
{
	(void)state;
	struct rig *g = rig_new();
	g->a.peer.rekey_us = 1000 * (usec_t)SEC;
	rig_up(g);
	rig_suites(SUITE_IKE, "chacha20poly1305-prfsha512-ecp521", &g->b.peer.ike);
	rig_run(g, 1450 * (usec_t)SEC);
	assert_int_equal(g->a.rekeys, 0);
	assert_int_equal(g->a.downs, 0);
	assert_int_equal(ike_count(g->a.e, IKE_SA_ESTABLISHED), 1);
	rig_run(g, 51 * (usec_t)SEC);
	assert_int_equal(g->a.downs, 1);
	assert_string_equal(g->a.down_why, "lifetime ended");
	assert_int_equal(g->b.downs, 1);
	rig_free(g);
}

static bool lose_all(struct rig *g, struct rig_datagram *d)
{
	(void)g;
	(void)d;
	return false;
}

/* Ten minutes without a network are no reason to end anything. */
static void test_hold(void **state)
{
	(void)state;
	struct rig *g = rig_new();
	g->a.peer.liveness_us = 20 * (usec_t)SEC;
	rig_up(g);
	g->hook = lose_all;
	ike_sa_hold(g->a.e, g->a.sa, true, g->now_us);
	assert_int_equal(ike_child_create(g->a.e, g->a.sa, NULL, NULL, g->now_us), 0);
	unsigned sent = g->sent;
	rig_run(g, 600 * (usec_t)SEC);
	assert_in_range(g->sent - sent, 0, 1);
	assert_int_equal(g->a.downs, 0);
	/* The way is there again: what was asked for comes at once. */
	g->hook = NULL;
	ike_sa_hold(g->a.e, g->a.sa, false, g->now_us);
	rig_run(g, 3 * WIRE_US);
	assert_int_equal(rig_up_count(&g->a), 2);
	rig_settle(g);
	rig_check(g);
	/* Without being held it ends. */
	g->hook = lose_all;
	ike_sa_probe(g->a.e, g->a.sa, g->now_us);
	rig_run(g, 600 * (usec_t)SEC);
	assert_int_equal(g->a.downs, 1);
	rig_free(g);
}

/* Held when it was as good as given up, for a moment: it has all its tries again. */
static void test_hold_after_the_last_try(void **state)
{
	(void)state;
	struct rig *g = rig_up(rig_new());
	g->hook = lose_all;
	ike_sa_probe(g->a.e, g->a.sa, g->now_us);
	while (g->a.sa && g->a.sa->request_tries < g->a.cfg.retransmits)
		rig_run(g, 100 * MS);
	assert_non_null(g->a.sa);
	ike_sa_hold(g->a.e, g->a.sa, true, g->now_us);
	g->hook = NULL;
	ike_sa_hold(g->a.e, g->a.sa, false, g->now_us);
	rig_settle(g);
	assert_int_equal(g->a.downs, 0);
	rig_check(g);
	rig_free(g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_delete_child),
	    cmocka_unit_test(test_delete_names_the_other_half),
	    cmocka_unit_test(test_delete_child_from_both),
	    cmocka_unit_test(test_delete_unknown),
	    cmocka_unit_test(test_delete_answer_lost),
	    cmocka_unit_test(test_close),
	    cmocka_unit_test(test_close_from_both),
	    cmocka_unit_test(test_close_at_once),
	    cmocka_unit_test(test_close_while_connecting),
	    cmocka_unit_test(test_close_unanswered),
	    cmocka_unit_test(test_requests_while_closing),
	    cmocka_unit_test(test_error_told),
	    cmocka_unit_test(test_peer_gone),
	    cmocka_unit_test(test_initial_contact),
	    cmocka_unit_test(test_initial_contact_of_a_liar),
	    cmocka_unit_test(test_probe),
	    cmocka_unit_test(test_liveness),
	    cmocka_unit_test(test_hold),
	    cmocka_unit_test(test_hold_after_the_last_try),
	    cmocka_unit_test(test_keepalives),
	    cmocka_unit_test(test_rekey_by_time),
	    cmocka_unit_test(test_lifetime_ends),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
