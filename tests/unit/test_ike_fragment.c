/* SPDX-License-Identifier: MIT */
/* RFC 7383 between two engines: messages cut to fragments, put together again, whatever happens to
 * them on the way, and never more kept than the bounds say. */
#include "ike_rig.h"

/* Identities so long that IKE_AUTH needs fragments; `len` octets in one datagram. */
static struct rig *rig_long(uint16_t len, const char *suite)
{
	struct rig *g = rig_new();
	char a[420], b[420];
	memset(a, 'a', sizeof(a));
	memset(b, 'b', sizeof(b));
	for (unsigned i = 20; i < sizeof(a); i += 20)
		a[i] = b[i] = '.';
	strcpy(a + 400, ".example.org");
	strcpy(b + 400, ".example.org");
	struct rig_node *nodes[] = {&g->a, &g->b};
	for (unsigned i = 0; i < 2; i++) {
		struct ike_peer *p = &nodes[i]->peer;
		free((void *)(uintptr_t)p->local_id);
		free((void *)(uintptr_t)p->remote_id);
		p->local_id = rig_id(i ? b : a);
		p->remote_id = rig_id(i ? a : b);
		nodes[i]->cfg.fragment_len = len;
		rig_suites(SUITE_IKE, suite, &p->ike);
	}
	return g;
}

static unsigned count_of(const char *ladder, const char *word)
{
	unsigned n = 0;
	for (const char *at = ladder; (at = strstr(at, word)); at++)
		n++;
	return n;
}

static void test_cut_and_put_together(void **state)
{
	(void)state;
	static const char *const suites[] = {"aes128gcm16-prfsha256-x25519",
					     "aes256-sha512-x25519"};
	for (unsigned s = 0; s < ARRAY_LEN(suites); s++) {
		/* rig_on_send checks that none is longer. */
		for (uint16_t len = 256; len < 900; len = (uint16_t)(len + 37)) {
			struct rig *g = rig_long(len, suites[s]);
			rig_start(g);
			rig_initiate(g);
			rig_settle(g);
			assert_int_equal(g->a.ups + g->b.ups, 2);
			rig_check(g);
			unsigned n = count_of(g->ladder, "a:AUTH*");
			assert_true(len > 800 ? n == 0 || n == 2 : n >= 2);
			assert_int_equal(g->a.e->reassembly_bytes + g->b.e->reassembly_bytes, 0);
			assert_null(g->b.sa->fragments);
			rig_free(g);
		}
	}
}

static void test_both_must_say_so(void **state)
{
	(void)state;
	struct rig *g = rig_long(300, "aes128gcm16-prfsha256-x25519");
	g->a.peer.fragmentation = false;
	rig_up(g);
	assert_false(g->a.sa->fragmentation || g->b.sa->fragmentation);
	/* A fragment that nobody agreed to is no message. */
	struct rig_hand m = {
	    .exchange = IKE_INFORMATIONAL, .id = g->b.sa->expected_id, .number = 1, .total = 1};
	rig_say(g, g->a.sa, &m);
	assert_null(g->wire);
	assert_int_equal(ike_counters(g->b.e)->out_of_window, 1);
	rig_free(g);
}

/* --- on a bad wire */

struct fate {
	unsigned which, seen;
	bool twice;
};

static bool fragment_fate(struct rig *g, struct rig_datagram *d)
{
	struct fate *f = g->hook_ctx;
	if (d->bytes[16] != IKE_PAYLOAD_SKF || ++f->seen != f->which)
		return true;
	if (!f->twice)
		return false;
	struct ike_path path = {.local = d->src, .remote = d->dst};
	for (unsigned i = 0; i < 3; i++)
		rig_put(g, rig_datagram_of(g, d->from_a, &path, d->bytes, d->len));
	return true;
}

static void test_each_fragment(void **state)
{
	(void)state;
	unsigned total = 0;
	for (unsigned twice = 0; twice < 2; twice++) {
		for (unsigned i = 1; i < 64; i++) {
			struct rig *g = rig_long(300, "aes128gcm16-prfsha256-x25519");
			struct fate f = {.which = i, .twice = twice};
			g->hook = fragment_fate;
			g->hook_ctx = &f;
			rig_start(g);
			rig_initiate(g);
			rig_run(g, 5 * SEC);
			assert_int_equal(g->a.ups + g->b.ups, 2);
			rig_check(g);
			assert_null(g->a.sa->fragments);
			assert_null(g->b.sa->fragments);
			rig_free(g);
			if (f.seen < i)
				break;
			total++;
		}
	}
	assert_true(total >= 12);
}

static void test_reordered_and_lost(void **state)
{
	(void)state;
	for (unsigned seed = 1; seed <= 60; seed++) {
		struct rig *g = rig_long(256, "aes128-sha256-x25519");
		g->rng += 7919 * (uint64_t)seed;
		g->loss_percent = 15;
		g->double_percent = 15;
		g->jitter_us = 300 * MS;
		g->a.cfg.retransmits = 30;
		g->b.cfg.half_open_us = 200 * SEC;
		rig_start(g);
		rig_initiate(g);
		rig_run(g, 150 * SEC);
		assert_int_equal(g->a.ups + g->b.ups, 2);
		rig_check(g);
		rig_free(g);
	}
}

static bool lose_early_answers(struct rig *g, struct rig_datagram *d)
{
	usec_t begun = 1000 * (usec_t)SEC;
	return d->from_a || d->bytes[18] != IKE_AUTH || g->now_us > begun + 300 * MS;
}

/* A repeated request of fragments is answered once: for its first one. */
static void test_repeated(void **state)
{
	(void)state;
	struct rig *g = rig_long(300, "aes128gcm16-prfsha256-x25519");
	g->hook = lose_early_answers;
	rig_start(g);
	rig_initiate(g);
	rig_run(g, 2 * SEC);
	rig_check(g);
	assert_int_equal(g->a.ups, 1);
	assert_int_equal(ike_counters(g->a.e)->retransmitted, 1);
	assert_int_equal(ike_counters(g->b.e)->answered_again, 1);
	assert_true(count_of(g->ladder, "a:AUTH*") >= 6);
	rig_free(g);
}

/* --- made by hand */

static struct rig *rig_fragments(void)
{
	struct rig *g = rig_up(rig_new());
	assert_true(g->b.sa->fragmentation);
	return g;
}

/* Notifies to be cut: `count` COOKIE2s of 8 octets, 16 octets each. */
static size_t many_notifies(uint8_t *buf, size_t room, unsigned count)
{
	struct ike_builder b = ike_builder_of(buf, room, NULL);
	for (unsigned i = 0; i < count; i++)
		ike_put_notify(&b, IKE_N_COOKIE2, "12345678", 8);
	size_t len = ike_builder_finish(&b);
	assert_int_equal(len, count * 16);
	return len;
}

static void test_numbers(void **state)
{
	(void)state;
	static const struct {
		uint16_t number, total;
	} wrong[] = {{0, 2}, {3, 2}, {1, 0xffff}, {2, 257}, {0xffff, 0xffff}};
	struct rig *g = rig_fragments();
	struct rig_hand m = {
	    .exchange = IKE_INFORMATIONAL, .id = g->b.sa->expected_id, .inner = "x", .len = 1};
	for (unsigned i = 0; i < ARRAY_LEN(wrong); i++) {
		m.number = wrong[i].number;
		m.total = wrong[i].total;
		rig_say(g, g->a.sa, &m);
		assert_null(g->b.sa->fragments);
	}
	/* One of one is whole. */
	m.number = m.total = 1;
	m.len = 0;
	rig_say(g, g->a.sa, &m);
	assert_int_equal(g->b.sa->expected_id, m.id + 1);
	rig_clear_wire(g);
	rig_free(g);
}

/* The peer found its fragments too large and cuts smaller: the larger number of them counts. */
static void test_mixed_totals(void **state)
{
	(void)state;
	uint8_t inner[8 * 16];
	struct rig *g = rig_fragments();
	size_t len = many_notifies(inner, sizeof(inner), 8), part = len / 4;
	struct rig_hand m = {.exchange = IKE_INFORMATIONAL,
			     .id = g->b.sa->expected_id,
			     .first = IKE_PAYLOAD_NOTIFY,
			     .inner = inner,
			     .len = len / 2,
			     .number = 1,
			     .total = 2};
	rig_say(g, g->a.sa, &m);
	assert_non_null(g->b.sa->fragments);
	m.total = 4;
	m.len = part;
	for (unsigned i = 4; i >= 2; i--) {
		m.number = (uint16_t)i;
		m.first = 0;
		m.inner = inner + (i - 1) * part;
		rig_say(g, g->a.sa, &m);
		/* The old cut's other half comes late and is not wanted any more. */
		struct rig_hand late = m;
		late.total = late.number = 2;
		late.inner = inner + len / 2;
		late.len = len / 2;
		rig_say(g, g->a.sa, &late);
		assert_null(g->wire);
	}
	m.number = 1;
	m.first = IKE_PAYLOAD_NOTIFY;
	m.inner = inner;
	rig_say(g, g->a.sa, &m);
	assert_int_equal(g->b.sa->expected_id, m.id + 1);
	assert_null(g->b.sa->fragments);
	assert_int_equal(g->b.downs, 0);
	rig_clear_wire(g);
	rig_free(g);
}

static void test_too_large(void **state)
{
	(void)state;
	static uint8_t inner[1000];
	struct rig *g = rig_fragments();
	struct rig_hand m = {.exchange = IKE_INFORMATIONAL,
			     .id = g->b.sa->expected_id,
			     .inner = inner,
			     .len = sizeof(inner),
			     .total = 80};
	for (m.number = 1; m.number < 66; m.number++)
		rig_say(g, g->a.sa, &m);
	assert_non_null(g->b.sa->fragments);
	rig_say(g, g->a.sa, &m); /* 66,000 octets */
	assert_null(g->b.sa->fragments);
	assert_int_equal(ike_counters(g->b.e)->malformed, 1);
	assert_null(g->wire);
	rig_free(g);
}

static void test_given_up(void **state)
{
	(void)state;
	struct rig *g = rig_fragments();
	struct rig_hand m = {.exchange = IKE_INFORMATIONAL,
			     .id = g->b.sa->expected_id,
			     .inner = "x",
			     .len = 1,
			     .number = 2,
			     .total = 3};
	rig_say(g, g->a.sa, &m);
	rig_run(g, 15 * SEC);
	assert_non_null(g->b.sa->fragments);
	rig_run(g, 10 * SEC);
	assert_null(g->b.sa->fragments);
	rig_free(g);
}

/* Fragments of a response and of a request at the same time. */
static void test_both_ways(void **state)
{
	(void)state;
	struct rig *g = rig_fragments();
	g->lose_b = 1;
	ike_sa_probe(g->b.e, g->b.sa, g->now_us);
	struct rig_hand q = {.exchange = IKE_INFORMATIONAL,
			     .id = g->b.sa->expected_id,
			     .inner = "",
			     .number = 1,
			     .total = 2};
	struct rig_hand r = q;
	r.response = true;
	r.id = g->b.sa->next_id - 1;
	rig_say(g, g->a.sa, &q);
	rig_say(g, g->a.sa, &r);
	q.number = r.number = 2;
	assert_int_equal(g->b.sa->request.count, 1);
	rig_say(g, g->a.sa, &r);
	assert_int_equal(g->b.sa->request.count, 0);
	assert_int_equal(g->b.sa->expected_id, q.id);
	rig_say(g, g->a.sa, &q);
	assert_int_equal(g->b.sa->expected_id, q.id + 1);
	assert_null(g->b.sa->fragments);
	rig_clear_wire(g);
	rig_free(g);
}

/* --- half open: what has proven nothing shares a bounded room */

static bool keep_from_auth(struct rig *g, struct rig_datagram *d)
{
	(void)g;
	return !d->from_a || d->bytes[18] != IKE_AUTH;
}

static void test_unproven_share(void **state)
{
	(void)state;
	static uint8_t inner[1000];
	struct rig *g = rig_new();
	struct ike_sa *all[400];
	g->b.cfg.half_open_cookie = g->b.cfg.half_open_per_addr = 1000;
	g->hook = keep_from_auth;
	rig_start(g);
	for (unsigned i = 0; i < ARRAY_LEN(all); i++) {
		all[i] = rig_initiate(g);
		rig_settle(g);
	}
	assert_int_equal(g->b.e->half_open, ARRAY_LEN(all));
	for (unsigned i = 0; i < ARRAY_LEN(all); i++) {
		struct rig_hand m = {.exchange = IKE_AUTH,
				     .id = 1,
				     .inner = inner,
				     .len = sizeof(inner),
				     .total = 100};
		for (m.number = 1; m.number <= 60; m.number++)
			rig_say(g, all[i], &m);
		assert_true(g->b.e->reassembly_bytes <= 16u << 20);
	}
	assert_true(g->b.e->reassembly_bytes > 15u << 20);
	rig_run(g, 40 * SEC);
	assert_int_equal(g->b.e->reassembly_bytes, 0);
	assert_int_equal(g->b.e->sa_count, 0);
	rig_free(g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_cut_and_put_together),
	    cmocka_unit_test(test_both_must_say_so),
	    cmocka_unit_test(test_each_fragment),
	    cmocka_unit_test(test_reordered_and_lost),
	    cmocka_unit_test(test_repeated),
	    cmocka_unit_test(test_numbers),
	    cmocka_unit_test(test_mixed_totals),
	    cmocka_unit_test(test_too_large),
	    cmocka_unit_test(test_given_up),
	    cmocka_unit_test(test_both_ways),
	    cmocka_unit_test(test_unproven_share),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
