/* SPDX-License-Identifier: MIT */
/* An engine that strangers flood: what they can make it keep, what its peers notice (nothing), and
 * what many thousands of IKE SAs cost. */
#include <malloc.h>
#include "ike_rig.h"

/* --- IKE_SA_INIT from anywhere */

struct flood {
	uint8_t request[1024];
	size_t len;
};

static bool keep_request(struct rig *g, struct rig_datagram *d)
{
	struct flood *f = g->hook_ctx;
	if (d->from_a && !f->len && d->len <= sizeof(f->request)) {
		memcpy(f->request, d->bytes, d->len);
		f->len = d->len;
	}
	return true;
}

/* From a made-up address, with a made-up SPI; what b answers goes nowhere. */
static void flood_one(struct rig *g, struct flood *f, const char *from)
{
	struct ike_path path = {.local = {ip("198.51.100.1"), 500}, .remote = {.port = 500}};
	uint8_t msg[sizeof(f->request)], host[4];
	memcpy(msg, f->request, f->len);
	for (unsigned i = 0; i < 8; i++)
		msg[i] = (uint8_t)(rig_random(g) | 1);
	memcpy(host, &(uint32_t){rig_random(g)}, 4);
	path.remote.addr = from ? ip(from) : addr_from_bytes(4, host);
	if (from)
		path.remote.port = (uint16_t)rig_random(g);
	ike_datagram(g->b.e, &path, msg, f->len, g->now_us);
}

/* Answers to others than a are lost. */
static bool to_a_only(struct rig *g, struct rig_datagram *d)
{
	(void)g;
	struct addr a = ip("192.0.2.1"), b = ip("198.51.100.1");
	return addr_equal(&d->dst.addr, &a) || addr_equal(&d->dst.addr, &b);
}

static struct rig *rig_flooded(struct flood *f)
{
	struct rig *g = rig_new();
	*f = (struct flood){0};
	g->hook = keep_request;
	g->hook_ctx = f;
	rig_up(g);
	assert_true(f->len > 0);
	g->hook = to_a_only;
	return g;
}

static void test_spoofed_sources(void **state)
{
	(void)state;
	struct flood f;
	struct rig *g = rig_flooded(&f);
	const struct ike_counters *n = ike_counters(g->b.e);
	for (unsigned i = 0; i < 50000; i++)
		flood_one(g, &f, NULL);
	assert_int_equal(g->b.e->half_open, g->b.cfg.half_open_cookie);
	assert_int_equal(ike_count(g->b.e, IKE_SA_CONNECTING), g->b.cfg.half_open_cookie);
	assert_int_equal(n->cookies_asked, 50000 - g->b.cfg.half_open_cookie);
	assert_int_equal(n->cookies_good, 0);

	/* A genuine new one gets in, by a cookie; the established one is where it was. */
	rig_initiate(g);
	rig_settle(g);
	assert_int_equal(g->a.ups, 2);
	assert_int_equal(n->cookies_good, 1);
	ike_sa_probe(g->a.e, g->a.sa, g->now_us);
	assert_int_equal(ike_child_create(g->a.e, g->a.sa, NULL, NULL, g->now_us), 0);
	rig_settle(g);
	rig_check(g);
	assert_int_equal(ike_counters(g->a.e)->retransmitted, 0);

	/* And the flood leaves nothing behind. */
	rig_run(g, 40 * SEC);
	assert_int_equal(g->b.e->half_open, 0);
	assert_int_equal(ike_count(g->b.e, IKE_SA_CONNECTING), 0);
	assert_int_equal(n->half_open_dropped, g->b.cfg.half_open_cookie);
	rig_free(g);
}

static void test_while_they_come(void **state)
{
	(void)state;
	struct flood f;
	struct rig *g = rig_flooded(&f);
	unsigned ups = 1;
	for (unsigned second = 0; second < 60; second++) {
		for (unsigned i = 0; i < 500; i++)
			flood_one(g, &f, NULL);
		if (second % 10 == 5) {
			rig_initiate(g);
			ups++;
		}
		ike_sa_probe(g->a.e, g->a.sa, g->now_us);
		rig_run(g, SEC);
		assert_true(g->b.e->half_open <= g->b.cfg.half_open_cookie + 1);
	}
	assert_int_equal(g->a.ups, ups);
	assert_int_equal(ike_counters(g->a.e)->retransmitted, 0);
	rig_free(g);
}

static void test_one_address(void **state)
{
	(void)state;
	struct flood f;
	struct rig *g = rig_flooded(&f);
	for (unsigned i = 0; i < 1000; i++)
		flood_one(g, &f, "192.0.2.1"); /* a's own, forged */
	/* Half of its share needs no cookie; the forger sees none. */
	assert_int_equal(g->b.e->half_open, g->b.cfg.half_open_per_addr / 2);
	rig_clear_wire(g);
	rig_initiate(g);
	rig_settle(g);
	assert_int_equal(g->a.ups, 2);
	rig_free(g);
}

/* One that really is there, and gets its cookies, has its share and no more. */
static void test_share_of_an_address(void **state)
{
	(void)state;
	struct rig *g = rig_new();
	g->hook = to_a_only;
	rig_start(g);
	g->a.cfg.retransmits = 0;
	for (unsigned i = 0; i < 40; i++)
		rig_initiate(g);
	/* Only IKE_SA_INIT: the rest of time stands still. */
	for (unsigned i = 0; i < 4; i++)
		rig_run(g, 9 * MS);
	assert_true(g->b.e->half_open <= g->b.cfg.half_open_per_addr);
	rig_run(g, 60 * SEC);
	/* By repetition they all get their turn. */
	assert_int_equal(g->a.ups, 40);
	assert_int_equal(g->b.ups, 40);
	rig_free(g);
}

static void test_oldest_goes(void **state)
{
	(void)state;
	struct flood f;
	struct rig *g = rig_new();
	f = (struct flood){0};
	g->b.cfg.half_open_cookie = 1u << 20;
	g->b.cfg.half_open_max = 100;
	g->hook = keep_request;
	g->hook_ctx = &f;
	rig_up(g);
	g->hook = to_a_only;
	for (unsigned i = 0; i < 1000; i++) {
		flood_one(g, &f, NULL);
		assert_true(g->b.e->half_open <= 100);
	}
	assert_int_equal(g->b.e->half_open, 100);
	assert_int_equal(ike_counters(g->b.e)->half_open_dropped, 900);
	assert_int_equal(ike_count(g->b.e, IKE_SA_ESTABLISHED), 1);
	rig_initiate(g);
	rig_settle(g);
	assert_int_equal(g->a.ups, 2);
	rig_free(g);
}

/* Strangers' other messages: nothing is kept and nothing answered. */
static void test_other_exchanges(void **state)
{
	(void)state;
	struct flood f;
	struct rig *g = rig_flooded(&f);
	uint64_t sent = ike_counters(g->b.e)->sent;
	for (unsigned i = 0; i < 10000; i++) {
		f.request[18] = (uint8_t)(35 + i % 3);
		f.request[19] = (uint8_t)(i % 2 ? IKE_FLAG_INITIATOR : IKE_FLAG_RESPONSE);
		for (unsigned k = 8; k < 16; k++)
			f.request[k] = (uint8_t)rig_random(g);
		flood_one(g, &f, NULL);
	}
	assert_int_equal(ike_counters(g->b.e)->sent, sent);
	assert_int_equal(ike_counters(g->b.e)->unknown_spi, 10000);
	assert_int_equal(g->b.e->sa_count, 1);
	rig_free(g);
}

/* Refusals without a state are limited, too. */
static void test_errors_are_limited(void **state)
{
	(void)state;
	struct flood f;
	struct rig *g = rig_flooded(&f);
	uint64_t sent = ike_counters(g->b.e)->sent;
	f.request[17] = 0x30;
	for (unsigned i = 0; i < 10000; i++)
		flood_one(g, &f, NULL);
	assert_int_equal(ike_counters(g->b.e)->sent, sent + 100);
	assert_int_equal(g->b.e->sa_count, 1);
	rig_free(g);
}

static void test_log_is_limited(void **state)
{
	(void)state;
	static const uint8_t wrong[] = "wrong";
	struct rig *g = rig_new();
	g->a.peer.psk = wrong;
	g->a.peer.psk_len = sizeof(wrong) - 1;
	g->b.cfg.half_open_per_addr = 1000;
	rig_start(g);
	for (unsigned i = 0; i < 200; i++)
		rig_initiate(g);
	g->a.e->log = NULL;
	rig_run(g, 500 * MS);
	assert_int_equal(ike_counters(g->b.e)->auth_failed, 200);
	unsigned lines = 0;
	for (const char *at = g->lines; (at = strchr(at, '\n')); at++)
		lines++;
	assert_in_range(lines, 5, 25);
	/* What only answers again is bounded and short. */
	assert_true(g->b.e->silent <= 1024);
	rig_run(g, 20 * SEC);
	assert_int_equal(g->b.e->sa_count, 0);
	assert_int_equal(g->b.e->silent, 0);
	rig_free(g);
}

/* --- many */

#define MANY 3000

/* The rig's record of child SAs is not for so many. */
static uint16_t count_child(void *ctx, struct ike_child_up *up)
{
	struct rig_node *n = ctx;
	(void)up;
	n->child_count++;
	return 0;
}

static void forget_child(void *ctx, struct ike_child *child, const char *why)
{
	struct rig_node *n = ctx;
	(void)child;
	(void)why;
	n->child_downs++;
}

static void forget_sa(void *ctx, struct ike_sa *sa, uint16_t notify, const char *why)
{
	struct rig_node *n = ctx;
	(void)sa;
	(void)notify;
	(void)why;
	n->downs++;
}

static void test_many(void **state)
{
	(void)state;
	struct rig *g = rig_new();
	static struct ike_peer peers[MANY];
	static char names[MANY][32];
	struct rig_node *nodes[] = {&g->a, &g->b};
	for (unsigned i = 0; i < 2; i++) {
		nodes[i]->ops.child_up = count_child;
		nodes[i]->ops.child_down = forget_child;
		nodes[i]->ops.sa_down = forget_sa;
	}
	free((void *)(uintptr_t)g->b.peer.remote_id);
	g->b.peer.remote_id = rig_id("*.example.org");
	rig_start(g);
	g->a.e->log = g->b.e->log = NULL;
	for (unsigned i = 0; i < MANY; i++) {
		snprintf(names[i], sizeof(names[i]), "terminal-%u.example.org", i);
		peers[i] = g->a.peer;
		peers[i].name = names[i];
		peers[i].local_id = rig_id(names[i]);
	}
	struct mallinfo2 before = mallinfo2();
	for (unsigned i = 0; i < MANY; i++) {
		struct ike_path path = rig_path(true);
		assert_non_null(ike_initiate(g->a.e, &peers[i], &path, NULL, NULL, g->now_us));
		rig_settle(g);
	}
	rig_run(g, 100 * SEC); /* kept answers go */
	assert_int_equal(ike_count(g->b.e, IKE_SA_ESTABLISHED), MANY);
	assert_int_equal(g->b.child_count, MANY);
	struct mallinfo2 after = mallinfo2();
	/* Of one side, with one child: 1.5 KiB (mallinfo knows nothing under a sanitizer). */
	size_t each = (after.uordblks - before.uordblks) / (2 * MANY);
	if (after.uordblks > before.uordblks) {
		print_message("an idle IKE SA with a child: %zu octets\n", each);
		assert_true(each <= 1536);
	}
	/* All end, and nothing is left in any index. */
	for (unsigned i = 0; i < MANY; i++)
		ike_peer_gone(g->a.e, &peers[i], g->now_us);
	rig_settle(g);
	rig_run(g, 20 * SEC);
	assert_int_equal(g->a.e->sa_count + g->b.e->sa_count, 0);
	assert_int_equal(g->b.child_downs, MANY);
	assert_int_equal(g->b.e->by_spi.count + g->b.e->by_id.count + g->b.e->by_peer.count +
			     g->b.e->half_by_addr.count + g->b.e->deadlines.count,
			 0);
	for (unsigned i = 0; i < MANY; i++)
		free((void *)(uintptr_t)peers[i].local_id);
	rig_free(g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_spoofed_sources),
	    cmocka_unit_test(test_while_they_come),
	    cmocka_unit_test(test_one_address),
	    cmocka_unit_test(test_share_of_an_address),
	    cmocka_unit_test(test_oldest_goes),
	    cmocka_unit_test(test_other_exchanges),
	    cmocka_unit_test(test_errors_are_limited),
	    cmocka_unit_test(test_log_is_limited),
	    cmocka_unit_test(test_many),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
