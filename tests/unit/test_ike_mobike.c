/* SPDX-License-Identifier: MIT */
/* MOBIKE (RFC 4555) from both sides: moves, the question whether the peer is there, NATs found
 * again, updates that are overtaken, addresses that are refused; and following a NAT without
 * MOBIKE. */
#include "ike_rig.h"

static struct rig *mobile_rig(bool a, bool b)
{
	struct rig *g = rig_new();
	g->a.peer.mobike = a;
	g->b.peer.mobike = b;
	return g;
}

/* Where a is next; b stays, at its IPv4 or IPv6 address. */
static struct ike_path path_from(const char *local)
{
	bool v6 = strchr(local, ':');
	return (struct ike_path){
	    .local = {ip(local), 4500},
	    .remote = {v6 ? ip("2001:db8::1") : ip("198.51.100.1"), 4500},
	    .sock = 1,
	    .natt = true,
	};
}

static void move(struct rig *g, const char *local, bool tell)
{
	struct ike_path p = path_from(local);
	ike_sa_move(g->a.e, g->a.sa, &p, tell, g->now_us);
}

static void assert_b_sends_to(struct rig *g, const char *addr)
{
	char text[ADDR_TEXT_MAX];
	assert_string_equal(addr_format(&ike_sa_path(g->b.sa)->remote.addr, text), addr);
}

/* --- agreeing on it */

static void agreed_by_both(void **state)
{
	(void)state;
	for (int i = 0; i < 4; i++) {
		struct rig *g = rig_up(mobile_rig(i & 1, i & 2));
		assert_int_equal(ike_sa_has_mobike(g->a.sa), i == 3);
		assert_int_equal(ike_sa_has_mobike(g->b.sa), i == 3);
		/* Without it nothing is told. */
		move(g, "192.0.2.77", true);
		rig_settle(g);
		if (i != 3)
			rig_ladder_is(g, "");
		rig_free(g);
	}
}

/* --- a move */

static void moves(void **state)
{
	(void)state;
	struct rig *g = rig_up(mobile_rig(true, true));
	move(g, "192.0.2.77", true);
	/* The update, answered; then the question to the new address. */
	rig_run(g, 15 * MS);
	assert_b_sends_to(g, "192.0.2.1");
	assert_int_equal(g->b.moves, 0);
	rig_settle(g);
	rig_ladder_is(g, "a:INFO b:INFO' b:INFO a:INFO'");
	assert_b_sends_to(g, "192.0.2.77");
	assert_int_equal(g->b.moves, 1);
	assert_int_equal(g->a.moves, 1);
	struct addr there = ip("192.0.2.77");
	assert_true(addr_equal(&g->b.moved.remote.addr, &there));
	assert_false(ike_sa_nat_here(g->a.sa) || ike_sa_nat_there(g->b.sa));
	assert_int_equal(ike_counters(g->b.e)->moves, 1);
	/* All goes on: from either side, also what is new. */
	ike_child_rekey(g->b.e, rig_last(&g->b)->child, g->now_us);
	rig_settle(g);
	rig_check(g);
	/* After a rekey of the IKE SA by the server it is still the client that moves. */
	ike_sa_rekey(g->b.e, g->b.sa, g->now_us);
	rig_settle(g);
	assert_false(ike_sa_is_initiator(g->a.sa));
	move(g, "192.0.2.78", true);
	rig_settle(g);
	assert_b_sends_to(g, "192.0.2.78");
	assert_int_equal(g->b.moves, 2);
	rig_free(g);
}

static void to_ipv6_and_back(void **state)
{
	(void)state;
	struct rig *g = rig_up(mobile_rig(true, true));
	move(g, "2001:db8:7::7", true);
	rig_settle(g);
	assert_b_sends_to(g, "2001:db8:7::7");
	assert_int_equal(ike_sa_path(g->b.sa)->local.addr.family, 6);
	assert_false(ike_sa_nat_here(g->b.sa) || ike_sa_nat_there(g->b.sa));
	move(g, "192.0.2.1", true);
	rig_settle(g);
	assert_b_sends_to(g, "192.0.2.1");
	assert_int_equal(g->b.moves, 2);
	rig_free(g);
}

static void only_the_client_moves(void **state)
{
	(void)state;
	struct rig *g = rig_up(mobile_rig(true, true));
	struct ike_path p = *ike_sa_path(g->b.sa);
	ike_sa_move(g->b.e, g->b.sa, &p, true, g->now_us);
	rig_settle(g);
	rig_ladder_is(g, "");
	rig_free(g);
}

/* --- NATs */

static void behind_a_nat(void **state)
{
	(void)state;
	struct rig *g = rig_up(mobile_rig(true, true));
	assert_false(rig_last(&g->a)->udp);
	g->nat = true;
	g->nat_port = 2000;
	move(g, "192.0.2.1", true); /* the address is the same, the network is not */
	rig_settle(g);
	assert_true(ike_sa_nat_here(g->a.sa) && ike_sa_nat_there(g->b.sa));
	assert_false(ike_sa_nat_there(g->a.sa) || ike_sa_nat_here(g->b.sa));
	assert_b_sends_to(g, "203.0.113.9");
	assert_int_equal(ike_sa_path(g->b.sa)->remote.port, 6500);
	/* What is made now is encapsulated. */
	ike_child_rekey(g->b.e, rig_last(&g->b)->child, g->now_us);
	rig_settle(g);
	rig_check(g);
	assert_true(rig_last(&g->a)->udp);
	/* The NAT forgets: another port, told by the next update. */
	g->nat_port = 3000;
	move(g, "192.0.2.1", true);
	rig_settle(g);
	assert_int_equal(ike_sa_path(g->b.sa)->remote.port, 7500);
	/* And out of it again. */
	g->nat = false;
	move(g, "192.0.2.1", true);
	rig_settle(g);
	assert_b_sends_to(g, "192.0.2.1");
	assert_false(ike_sa_nat_here(g->a.sa) || ike_sa_nat_there(g->b.sa));
	rig_free(g);
}

/* A second IKE SA from elsewhere replaces one that cannot follow, and only that. */
static void begins_anew_elsewhere(void **state)
{
	(void)state;
	for (int i = 0; i < 2; i++) {
		struct rig *g = mobile_rig(i, i);
		g->a.peer.sojourn = g->b.peer.sojourn = false;
		rig_up(g);
		struct ike_path path = path_from("192.0.2.77");
		assert_non_null(ike_initiate(g->a.e, &g->a.peer, &path, NULL, NULL, g->now_us));
		rig_settle(g);
		assert_int_equal(g->b.ups, 2);
		assert_int_equal(g->b.downs, i ? 0 : 1);
		assert_int_equal(ike_count(g->b.e, IKE_SA_ESTABLISHED), i ? 2 : 1);
		if (!i)
			assert_string_equal(g->b.down_why, "the peer began anew");
		rig_free(g);
	}
}

/* RFC 4555 3.8: a liveness check sees that the NAT gave another address, and an update tells it. */
static void nat_that_forgets(void **state)
{
	(void)state;
	struct rig *g = mobile_rig(true, true);
	g->nat = true;
	g->nat_port = 1000;
	rig_up(g);
	ike_sa_probe(g->a.e, g->a.sa, g->now_us);
	rig_settle(g);
	/* IKE_SA_INIT's answer saw the mapping of port 500. */
	rig_ladder_is(g, "a:INFO b:INFO' a:INFO b:INFO'");
	ike_sa_probe(g->a.e, g->a.sa, g->now_us);
	rig_settle(g);
	rig_ladder_is(g, "a:INFO b:INFO'");
	g->nat_port = 2000;
	ike_sa_probe(g->a.e, g->a.sa, g->now_us);
	rig_settle(g);
	rig_ladder_is(g, "a:INFO b:INFO' a:INFO b:INFO' b:INFO a:INFO'");
	assert_int_equal(ike_sa_path(g->b.sa)->remote.port, 6500);
	ike_sa_probe(g->a.e, g->a.sa, g->now_us);
	rig_settle(g);
	rig_ladder_is(g, "a:INFO b:INFO'");
	/* Under the SPIs of a rekeyed IKE SA nothing is known: told once. */
	ike_sa_rekey(g->b.e, g->b.sa, g->now_us);
	rig_settle(g);
	g->nat_port = 3000;
	ike_sa_probe(g->a.e, g->a.sa, g->now_us);
	rig_settle(g);
	assert_int_equal(ike_sa_path(g->b.sa)->remote.port, 7500);
	/* The server's check asks nothing of the kind. */
	g->ladder[0] = '\0';
	ike_sa_probe(g->b.e, g->b.sa, g->now_us);
	rig_settle(g);
	rig_ladder_is(g, "b:INFO a:INFO'");
	rig_free(g);
}

/* RFC 7296 2.23: without MOBIKE the side that is not behind a NAT follows the other one. */
static void followed_without_mobike(void **state)
{
	(void)state;
	struct rig *g = mobile_rig(false, false);
	g->nat = true;
	g->nat_port = 1000;
	rig_up(g);
	assert_int_equal(ike_sa_path(g->b.sa)->remote.port, 5500);
	g->nat_port = 1001;
	ike_sa_probe(g->a.e, g->a.sa, g->now_us);
	rig_settle(g);
	assert_int_equal(ike_sa_path(g->b.sa)->remote.port, 5501);
	assert_int_equal(g->b.moves, 1);
	assert_int_equal(g->a.moves, 0);
	rig_free(g);
}

/* Only by what is authentic and new: a copy of an old request from elsewhere changes nothing, and
 * neither does garbage. */
struct thief {
	uint8_t bytes[512];
	size_t len;
};

static bool steal(struct rig *g, struct rig_datagram *d)
{
	struct thief *t = g->hook_ctx;
	if (d->from_a && !t->len && d->len <= sizeof(t->bytes)) {
		memcpy(t->bytes, d->bytes, d->len);
		t->len = d->len;
	}
	return true;
}

static void not_followed(void **state)
{
	(void)state;
	struct rig *g = mobile_rig(false, false);
	g->nat = true;
	rig_up(g);
	struct thief t = {.len = 0};
	g->hook = steal;
	g->hook_ctx = &t;
	ike_sa_probe(g->a.e, g->a.sa, g->now_us);
	rig_settle(g);
	ike_sa_probe(g->a.e, g->a.sa, g->now_us);
	rig_settle(g);
	struct ike_path elsewhere = *ike_sa_path(g->b.sa), before = elsewhere;
	elsewhere.remote.addr = ip("203.0.113.66");
	for (unsigned i = 0; i < 2; i++) {
		uint8_t copy[512];
		memcpy(copy, t.bytes, t.len);
		if (i)
			copy[t.len - 1] ^= 1;
		ike_datagram(g->b.e, &elsewhere, copy, t.len, g->now_us);
		assert_true(ike_path_equal(ike_sa_path(g->b.sa), &before));
	}
	assert_int_equal(g->b.moves, 0);
	rig_free(g);
}

/* --- is it there? */

/* b's question, or its answer, is not what it was. */
struct tamper {
	unsigned lose_questions;
};

static bool lose_questions(struct rig *g, struct rig_datagram *d)
{
	struct tamper *t = g->hook_ctx;
	bool question = !d->from_a && !(d->bytes[19] & IKE_FLAG_RESPONSE);
	if (question && t->lose_questions) {
		t->lose_questions--;
		return false;
	}
	return true;
}

static void nothing_is_sent_there_before(void **state)
{
	(void)state;
	struct rig *g = rig_up(mobile_rig(true, true));
	struct tamper t = {.lose_questions = 3};
	g->hook = lose_questions;
	g->hook_ctx = &t;
	move(g, "192.0.2.77", true);
	rig_run(g, 3 * SEC);
	/* Three questions went, none was answered: b still uses the old address. */
	assert_int_equal(t.lose_questions, 0);
	assert_b_sends_to(g, "192.0.2.1");
	assert_int_equal(g->b.moves, 0);
	rig_run(g, 10 * SEC);
	assert_b_sends_to(g, "192.0.2.77");
	assert_int_equal(g->b.moves, 1);
	rig_free(g);
}

/* Takes the question that is out, and answers it with `cookie` (NULL: without one). */
static void answer_question(struct rig *g, const void *cookie, size_t len)
{
	uint8_t inner[128];
	struct ike_builder b = ike_builder_of(inner, sizeof(inner), NULL);
	if (cookie)
		ike_put_notify(&b, IKE_N_COOKIE2, cookie, len);
	struct rig_hand m = {.exchange = IKE_INFORMATIONAL,
			     .response = true,
			     .id = g->b.sa->next_id - 1,
			     .inner = inner};
	m.len = ike_builder_finish(&b);
	m.first = b.first;
	rig_say(g, g->a.sa, &m);
}

static void wrong_cookies(void **state)
{
	(void)state;
	for (int i = 0; i < 4; i++) {
		struct rig *g = rig_up(mobile_rig(true, true));
		struct tamper t = {.lose_questions = 100};
		g->hook = lose_questions;
		g->hook_ctx = &t;
		move(g, "192.0.2.77", true);
		rig_settle(g);
		assert_non_null(g->b.sa->tasks);
		uint8_t cookie[17] = {0};
		memcpy(cookie, g->b.sa->tasks->cookie2, 16);
		if (i == 0)
			cookie[15] ^= 1;
		answer_question(g, i == 1 ? NULL : cookie, i == 2 ? 15 : 16);
		assert_int_equal(g->b.moves, i == 3);
		assert_b_sends_to(g, i == 3 ? "192.0.2.77" : "192.0.2.1");
		rig_free(g);
	}
}

/* The peer's question is answered by whoever is asked, MOBIKE or not. */
static void echoes(void **state)
{
	(void)state;
	static const struct {
		size_t len;
		bool echoed;
	} rows[] = {{7, false}, {8, true}, {64, true}, {65, false}};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct rig *g = rig_up(mobile_rig(true, true));
		uint8_t inner[128], cookie[65];
		memset(cookie, 0x5a, sizeof(cookie));
		struct ike_builder b = ike_builder_of(inner, sizeof(inner), NULL);
		ike_put_notify(&b, IKE_N_COOKIE2, cookie, rows[i].len);
		struct rig_hand m = {
		    .exchange = IKE_INFORMATIONAL, .id = g->b.sa->next_id, .inner = inner};
		m.len = ike_builder_finish(&b);
		m.first = b.first;
		rig_say(g, g->b.sa, &m);
		assert_non_null(g->wire);
		uint8_t buf[512];
		struct ike_header h;
		struct ike_payloads p;
		struct ike_notify n;
		rig_read(g->b.sa, g->wire, buf, sizeof(buf), &h, &p);
		assert_int_equal(ike_find_notify(&p, IKE_N_COOKIE2, &n), rows[i].echoed);
		if (rows[i].echoed) {
			assert_int_equal(n.len, rows[i].len);
			assert_memory_equal(n.data, cookie, n.len);
		}
		rig_clear_wire(g);
		rig_free(g);
	}
}

/* --- one after the other */

/* Moved again before the update was answered: it goes on from the new address, and another one
 * tells of it. */
static void overtaken_at_the_client(void **state)
{
	(void)state;
	struct rig *g = rig_up(mobile_rig(true, true));
	g->lose_a = 1;
	move(g, "192.0.2.77", true);
	rig_run(g, 1 * MS);
	move(g, "192.0.2.78", true);
	rig_run(g, 1 * MS);
	move(g, "192.0.2.79", true);
	rig_settle(g);
	rig_run(g, 5 * SEC);
	assert_b_sends_to(g, "192.0.2.79");
	assert_int_equal(g->a.sa->next_id, g->b.sa->expected_id);
	assert_null(g->a.sa->tasks);
	assert_null(g->b.sa->tasks);
	rig_free(g);
}

/* Moved while the question is out: its answer proves nothing of the new address, which is asked
 * itself. */
static void overtaken_at_the_server(void **state)
{
	(void)state;
	struct rig *g = rig_up(mobile_rig(true, true));
	struct tamper t = {.lose_questions = 1};
	g->hook = lose_questions;
	g->hook_ctx = &t;
	move(g, "192.0.2.77", true);
	rig_settle(g);
	assert_b_sends_to(g, "192.0.2.1");
	uint8_t first[16];
	memcpy(first, g->b.sa->tasks->cookie2, 16);
	move(g, "192.0.2.78", true);
	rig_settle(g);
	assert_b_sends_to(g, "192.0.2.78");
	assert_int_equal(g->b.moves, 1);
	/* update, answer, question lost; update, answer, the question again, its answer; a fresh
	 * question, its answer */
	rig_ladder_is(g, "a:INFO b:INFO' b:INFO! a:INFO b:INFO b:INFO' a:INFO' b:INFO a:INFO'");
	rig_free(g);
}

/* Away and back before anything was proved: the old address needs no proof. */
static void back_again(void **state)
{
	(void)state;
	struct rig *g = rig_up(mobile_rig(true, true));
	struct tamper t = {.lose_questions = 1};
	g->hook = lose_questions;
	g->hook_ctx = &t;
	move(g, "192.0.2.77", true);
	rig_settle(g);
	struct ike_path home = rig_path(false);
	ike_sa_move(g->a.e, g->a.sa, &home, true, g->now_us);
	rig_run(g, 5 * SEC);
	assert_b_sends_to(g, "192.0.2.1");
	assert_null(g->b.sa->tasks);
	rig_free(g);
}

static void many_moves_on_a_bad_line(void **state)
{
	(void)state;
	for (unsigned seed = 1; seed <= 40; seed++) {
		struct rig *g = rig_up(mobile_rig(true, true));
		g->rng ^= seed * 0x9e3779b97f4a7c15;
		g->loss_percent = 15;
		g->double_percent = 10;
		g->jitter_us = 30 * MS;
		char at[32] = "";
		for (unsigned i = 0; i < 12; i++) {
			snprintf(at, sizeof(at),
				 rig_random(g) & 1 ? "192.0.2.%u" : "2001:db8:7::%u", 100 + i);
			move(g, at, true);
			if (rig_random(g) & 1)
				ike_child_rekey(g->b.e, rig_last(&g->b)->child, g->now_us);
			rig_run(g, 1 + rig_random(g) % (2 * SEC));
		}
		g->loss_percent = 0;
		rig_run(g, 200 * (usec_t)SEC);
		if (g->a.downs || g->b.downs)
			fail_msg("seed %u: %s%s", seed, g->a.down_why, g->b.down_why);
		rig_check(g);
		assert_b_sends_to(g, at);
		assert_null(g->b.sa->tasks);
		rig_free(g);
	}
}

/* --- updates made by hand */

static void say_update(struct rig *g, const uint8_t *no_nats, size_t len)
{
	uint8_t inner[256];
	struct ike_builder b = ike_builder_of(inner, sizeof(inner), NULL);
	ike_put_notify(&b, IKE_N_UPDATE_SA_ADDRESSES, NULL, 0);
	if (no_nats)
		ike_put_notify(&b, IKE_N_NO_NATS_ALLOWED, no_nats, len);
	struct rig_hand m = {
	    .exchange = IKE_INFORMATIONAL, .id = g->a.sa->next_id++, .inner = inner};
	m.len = ike_builder_finish(&b);
	m.first = b.first;
	rig_say(g, g->a.sa, &m);
}

/* Which error did b answer with; 0: none. */
static uint16_t answered_with(struct rig *g)
{
	uint8_t buf[512];
	struct ike_header h;
	struct ike_payloads p;
	struct ike_notify n;
	assert_non_null(g->wire);
	rig_read(g->a.sa, g->wire, buf, sizeof(buf), &h, &p);
	for (unsigned i = 0; i < p.count; i++)
		if (p.at[i].type == IKE_PAYLOAD_NOTIFY && ike_read_notify(&p.at[i], &n) &&
		    n.type <= IKE_N_ERROR_LAST)
			return n.type;
	return 0;
}

static void no_nats_allowed(void **state)
{
	(void)state;
	/* From 192.0.2.1:4500 to 198.51.100.1:4500, and what is wrong with it. */
	static const struct {
		const char *what;
		uint8_t data[12];
		size_t len;
		bool good;
	} rows[] = {
	    {"right", {192, 0, 2, 1, 198, 51, 100, 1, 0x11, 0x94, 0x11, 0x94}, 12, true},
	    {"source", {192, 0, 2, 2, 198, 51, 100, 1, 0x11, 0x94, 0x11, 0x94}, 12, false},
	    {"destination", {192, 0, 2, 1, 198, 51, 100, 2, 0x11, 0x94, 0x11, 0x94}, 12, false},
	    {"source port", {192, 0, 2, 1, 198, 51, 100, 1, 0x11, 0x95, 0x11, 0x94}, 12, false},
	    {"cut", {192, 0, 2, 1, 198, 51, 100, 1, 0x11, 0x94, 0x11}, 11, false},
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct rig *g = rig_up(mobile_rig(true, true));
		assert_int_equal(ike_sa_path(g->a.sa)->local.port, 4500);
		say_update(g, rows[i].data, rows[i].len);
		uint16_t error = answered_with(g);
		if (error != (rows[i].good ? 0 : IKE_N_UNEXPECTED_NAT_DETECTED))
			fail_msg("%s: %u", rows[i].what, error);
		g->wire->bytes[0] ^= 1; /* a never asked */
		rig_settle(g);
		assert_int_equal(g->b.moves, rows[i].good);
		assert_int_equal(g->b.sa->moved_any, rows[i].good);
		rig_free(g);
	}
}

static void unacceptable(void **state)
{
	(void)state;
	struct rig *g = rig_up(mobile_rig(true, true));
	struct ike_path p = *ike_sa_path(g->a.sa);
	p.local.addr = ip("224.0.0.1");
	ike_sa_move(g->a.e, g->a.sa, &p, true, g->now_us);
	rig_settle(g);
	assert_non_null(strstr(g->lines, "move refused notify=UNACCEPTABLE_ADDRESSES"));
	assert_b_sends_to(g, "192.0.2.1");
	assert_int_equal(g->b.moves, 0);
	assert_null(g->b.sa->tasks);
	rig_free(g);
}

/* --- further addresses */

static uint8_t addresses(void *ctx, const struct ike_sa *sa, struct addr *out, uint8_t room)
{
	(void)ctx;
	(void)sa;
	assert_true(room >= 3);
	out[0] = ip("198.51.100.1"); /* the one in use is not told */
	out[1] = ip("2001:db8::1");
	out[2] = ip("198.51.100.2");
	return 3;
}

static void additional_addresses(void **state)
{
	(void)state;
	struct rig *g = mobile_rig(true, true);
	g->b.ops.addresses = addresses;
	rig_up(g);
	assert_int_equal(g->a.sa->additional_count, 2);
	struct addr v6 = ip("2001:db8::1"), v4 = ip("198.51.100.2");
	assert_true(addr_equal(&g->a.sa->additional[0], &v6));
	assert_true(addr_equal(&g->a.sa->additional[1], &v4));
	assert_int_equal(g->b.sa->additional_count, 0);
	/* A rekey keeps them, a later message replaces them. */
	ike_sa_rekey(g->a.e, g->a.sa, g->now_us);
	rig_settle(g);
	assert_int_equal(g->a.sa->additional_count, 2);
	uint8_t inner[64];
	struct ike_builder b = ike_builder_of(inner, sizeof(inner), NULL);
	ike_put_notify(&b, IKE_N_NO_ADDITIONAL_ADDRESSES, NULL, 0);
	struct rig_hand m = {
	    .exchange = IKE_INFORMATIONAL, .id = g->b.sa->next_id++, .inner = inner};
	m.len = ike_builder_finish(&b);
	m.first = b.first;
	rig_say(g, g->b.sa, &m);
	assert_int_equal(g->a.sa->additional_count, 0);
	rig_clear_wire(g);
	rig_free(g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(agreed_by_both),
	    cmocka_unit_test(moves),
	    cmocka_unit_test(to_ipv6_and_back),
	    cmocka_unit_test(only_the_client_moves),
	    cmocka_unit_test(behind_a_nat),
	    cmocka_unit_test(begins_anew_elsewhere),
	    cmocka_unit_test(nat_that_forgets),
	    cmocka_unit_test(followed_without_mobike),
	    cmocka_unit_test(not_followed),
	    cmocka_unit_test(nothing_is_sent_there_before),
	    cmocka_unit_test(wrong_cookies),
	    cmocka_unit_test(echoes),
	    cmocka_unit_test(overtaken_at_the_client),
	    cmocka_unit_test(overtaken_at_the_server),
	    cmocka_unit_test(back_again),
	    cmocka_unit_test(many_moves_on_a_bad_line),
	    cmocka_unit_test(no_nats_allowed),
	    cmocka_unit_test(unacceptable),
	    cmocka_unit_test(additional_addresses),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
