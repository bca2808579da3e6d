/* SPDX-License-Identifier: MIT */
/* Connections that a key exchange makes: for care-of addresses as they come, and spares. */
#include "mover_rig.h"

#define BOTH_HOMES 2

static struct rig *rig_made(void)
{
	struct mover_config cfg = config();
	cfg.home_count = BOTH_HOMES;
	cfg.homes[1] = ip("fd00::9");
	return rig_of(&cfg, true);
}

static struct conn *made_conn(struct rig *g, const char *name, uint32_t spi)
{
	struct conn *c = rig_conn(g, name, spi);
	c->in->configured_keys = c->out->configured_keys = false;
	return c;
}

static struct conn *add_made(struct rig *g, const char *name, uint32_t spi, const char *interface,
			     unsigned ifindex, uint16_t registered_s)
{
	struct conn *c = made_conn(g, name, spi);
	struct mover_connection mc = {.conn = c,
				      .made = true,
				      .has_network = true,
				      .preference = (int)ifindex,
				      .registered_s = registered_s};
	(void)snprintf(mc.interface, sizeof mc.interface, "%s", interface);
	mc.network.gateway[5] = (uint8_t)ifindex;
	assert_int_equal(mover_add(g->m, &mc, g->now_us), 0);
	return c;
}

static struct conn *add_spare(struct rig *g, const char *name, uint32_t spi)
{
	struct conn *c = made_conn(g, name, spi);
	c->server = (struct endpoint){0};
	struct mover_connection mc = {.conn = c, .spare = true, .made = true};
	assert_int_equal(mover_add(g->m, &mc, g->now_us), 0);
	return c;
}

/* Started by a setup over wifi that registered it, and a connection made for cell. */
static struct rig *rig_set_up(void)
{
	struct rig *g = rig_made();
	links(g, true, true, false);
	assert_string_equal(g->trace, "WW");
	clear(g);
	g->wifi = add_made(g, "wifi", 100, "wifi0", 2, 600);
	g->cell = add_made(g, "cell", 200, "cell0", 3, 0);
	pass(g, 50 * MS);
	probe_answer(g, g->cell);
	pass(g, 50 * MS);
	return g;
}

static void the_setup_registers(void **state)
{
	(void)state;
	struct rig *g = rig_set_up();
	/* wifi is there and cell is still wanted; packets go, and nothing is asked. */
	assert_string_equal(g->trace, "Wa");
	assert_ptr_equal(g->active, g->wifi);
	assert_int_equal(g->wifi->state, CONN_ACTIVE);
	assert_int_equal(g->cell->state, CONN_READY);
	for (int i = 0; i < BOTH_HOMES; i++) {
		struct addr home = i ? ip("fd00::9") : ip("10.0.0.9");
		usec_t expires_us;
		uint8_t code = 99;
		assert_true(mover_registered(g->m, &home, &expires_us, &code));
		assert_int_equal(code, 0);
		assert_string_equal(mover_registered_by(g->m, &home), "setup");
	}
	assert_int_equal(last_move(g)->kind, MOVE_START);
	assert_int_equal(last_move(g)->signalling_packets, 0);
	/* It is renewed by a request, at half its lifetime. */
	for (int i = 0; i < 3200 && !g->sent_count; i++) {
		unsigned probes = g->probe_count;
		pass(g, 100 * MS);
		for (; probes < g->probe_count; probes++)
			mover_probe_reply(g->m, g->probes[probes % SENT_MAX].conn,
					  g->probes[probes % SENT_MAX].id, g->now_us);
	}
	assert_in_range(g->sent_count, 1, SENT_MAX);
	assert_ptr_equal(g->sent[0].conn, g->wifi);
	assert_int_equal(g->sent[0].hello, 0);
	rig_free(g);
}

static void a_move_to_a_known_network(void **state)
{
	(void)state;
	struct rig *g = rig_set_up();
	clear(g);
	links(g, false, true, false);
	/* Asked for and used in the same moment: no key exchange, nothing wanted. */
	assert_string_equal(g->trace, "rra");
	assert_ptr_equal(g->active, g->cell);
	assert_int_equal(g->sent[0].hello, 0);
	/* And back, with the connection it had. */
	pass(g, 20 * MS);
	accept_last(g);
	clear(g);
	links(g, true, false, false);
	assert_string_equal(g->trace, "rra");
	assert_ptr_equal(g->active, g->wifi);
	rig_free(g);
}

static void a_spare_serves_a_new_network(void **state)
{
	(void)state;
	struct rig *g = rig_set_up();
	struct conn *spare = add_spare(g, "spare", 300);
	assert_int_equal(spare->state, CONN_FORMING);
	clear(g);
	g->taken_preference = 7;
	/* The same interface and address, another network. */
	g->listed = 1;
	g->list[0] = care_of("wifi0", 2, "192.168.1.7");
	g->list[0].network.gateway[5] = 77;
	mover_care_ofs(g->m, g->list, 1, "roamed", g->now_us, g->now_us);
	assert_string_equal(g->trace, "Srra");
	assert_ptr_equal(g->taken, spare);
	assert_ptr_equal(g->active, spare);
	assert_int_equal(g->wifi->state, CONN_STALE);
	/* With none left, one is wanted; that network is the spare's from now. */
	clear(g);
	g->list[0].network.gateway[5] = 78;
	mover_care_ofs(g->m, g->list, 1, "roamed", g->now_us, g->now_us);
	assert_string_equal(g->trace, "Wn");
	assert_int_equal(g->wanted.network.gateway[5], 78);
	clear(g);
	g->list[0].network.gateway[5] = 77;
	mover_care_ofs(g->m, g->list, 1, "roamed", g->now_us, g->now_us);
	assert_ptr_equal(g->active, spare);
	assert_string_equal(g->trace, "rra");
	rig_free(g);
}

static void a_spare_waits_for_the_network_to_be_known(void **state)
{
	(void)state;
	static const struct {
		bool gateway, known_later;
		const char *at_once, *in_the_end;
	} cases[] = {
	    {false, false, "Srra", "Srra"}, {true, true, "", "rra"}, {true, false, "", "Srra"}};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct rig *g = rig_set_up();
		(void)add_spare(g, "spare", 300);
		links(g, true, false, false);
		links(g, false, false, false);
		pass(g, USEC_PER_SEC);
		clear(g);
		g->list[0] = care_of("wifi0", 2, "192.168.1.99");
		memset(&g->list[0].network, 0, sizeof g->list[0].network);
		if (!cases[i].gateway) {
			g->list[0] = care_of("wwan7", 9, "192.168.1.99");
			memset(&g->list[0].network, 0, sizeof g->list[0].network);
			g->list[0].gateway = (struct addr){0};
		}
		mover_care_ofs(g->m, g->list, 1, "link", g->now_us, g->now_us);
		assert_string_equal(g->trace, cases[i].at_once);
		pass(g, 10 * MS);
		if (cases[i].known_later) {
			g->list[0].network.gateway[5] = 2; /* where it was before */
			mover_care_ofs(g->m, g->list, 1, "neighbour", g->now_us, g->now_us);
		}
		pass(g, 30 * MS);
		assert_string_equal(g->trace, cases[i].in_the_end);
		assert_ptr_equal(g->active, cases[i].known_later ? g->wifi : g->taken);
		rig_free(g);
	}
}

/* A spare is not spent on a second address of a family, on home, on link-local addresses. */
static void what_needs_no_connection(void **state)
{
	(void)state;
	struct rig *g = rig_set_up();
	(void)add_spare(g, "spare", 300);
	clear(g);
	links(g, true, true, false);
	g->list[2] = care_of("wifi0", 2, "192.168.1.8");
	g->list[3] = care_of("wifi0", 2, "fe80::7");
	mover_care_ofs(g->m, g->list, 4, "more", g->now_us, g->now_us);
	links(g, true, true, true);
	assert_null(strpbrk(g->trace, "SW"));
	rig_free(g);
}

/* Another family on the same interface is another way to be reached. */
static void another_family_takes_a_spare(void **state)
{
	(void)state;
	struct rig *g = rig_set_up();
	struct conn *spare = add_spare(g, "spare", 300);
	links(g, true, true, false);
	clear(g);
	g->list[2] = care_of("wifi0", 2, "2001:db8::7");
	mover_care_ofs(g->m, g->list, 3, "router advertisement", g->now_us, g->now_us);
	assert_ptr_equal(g->taken, spare);
	assert_int_equal(spare->server.addr.family, 6);
	assert_ptr_equal(g->active, g->wifi);
	rig_free(g);
}

/* The setup registered one, but something else is active when it is here: said again. */
static void a_setup_that_was_overtaken(void **state)
{
	(void)state;
	struct rig *g = rig_set_up();
	clear(g);
	struct conn *late = add_made(g, "late", 400, "eth7", 7, 600);
	assert_string_equal(g->trace, "rr");
	assert_ptr_equal(g->sent[0].conn, g->wifi);
	assert_ptr_equal(g->active, g->wifi);
	mover_remove(g->m, late, g->now_us);
	/* On an interface that is there, after the active one. */
	links(g, true, true, false);
	pass(g, 10 * MS);
	accept_last(g);
	clear(g);
	g->list[2] = care_of("eth7", 7, "192.168.7.7");
	mover_care_ofs(g->m, g->list, 3, "link", g->now_us, g->now_us);
	assert_string_equal(g->trace, "W");
	clear(g);
	(void)add_made(g, "late2", 500, "eth7", 7, 600);
	assert_string_equal(g->trace, "rr");
	assert_ptr_equal(g->active, g->wifi);
	rig_free(g);
}

/* At home nothing is to be registered: the setup's registration is taken back. */
static void a_setup_at_home(void **state)
{
	(void)state;
	struct rig *g = rig_set_up();
	clear(g);
	links(g, true, true, true);
	pass(g, 10 * MS);
	for (unsigned i = 0; i < BOTH_HOMES; i++)
		reply_to(g, &g->sent[i], (struct answer){0});
	assert_null(g->active);
	mover_remove(g->m, g->cell, g->now_us);
	clear(g);
	struct conn *c = add_made(g, "again", 300, "cell0", 3, 600);
	assert_null(g->active);
	assert_int_equal(g->sent_count, BOTH_HOMES);
	for (int i = 0; i < BOTH_HOMES; i++)
		assert_int_equal(g->sent[i].q4.lifetime_s + g->sent[i].q6.lifetime_4s, 0);
	assert_int_not_equal(c->state, CONN_ACTIVE);
	rig_free(g);
}

/* A request for another connection is on its way: it may come after the setup, and undo it. */
static void a_setup_that_may_be_undone(void **state)
{
	(void)state;
	for (int lately = 0; lately < 2; lately++) {
		struct rig *g = rig_set_up();
		links(g, false, true, false);
		assert_ptr_equal(g->active, g->cell);
		if (!lately) {
			for (unsigned i = 0; i < BOTH_HOMES; i++)
				reply_to(g, &g->sent[i], (struct answer){.lifetime_s = 600});
			pass(g, 6 * USEC_PER_SEC);
		}
		clear(g);
		g->list[1] = care_of("new0", 1, "192.168.9.7");
		mover_care_ofs(g->m, g->list, 2, "link", g->now_us, g->now_us);
		clear(g);
		struct conn *c = add_made(g, "new", 300, "new0", 1, 600);
		assert_ptr_equal(g->active, c);
		assert_string_equal(g->trace, lately ? "rra" : "a");
		rig_free(g);
	}
}

static void another_agent(void **state)
{
	(void)state;
	struct rig *g = rig_set_up();
	struct mover_agent a = {.home_agent4 = ip("10.0.0.1"),
				.home_agent6 = ip("fd00::1"),
				.mn_ha_spi = SPI,
				.mn_ha_key = key,
				.mn_ha_key_len = sizeof key,
				.clock = mip4_identification(WALL + 5000ull * USEC_PER_SEC)};
	mover_set_agent(g->m, &a);
	clear(g);
	links(g, false, true, false);
	/* By the server's clock, with no denial first. */
	int64_t apart = (int64_t)(g->sent[0].q4.identification >> 32) -
			(int64_t)(mip4_identification(WALL + 5000ull * USEC_PER_SEC) >> 32);
	assert_in_range(apart, 0, 1);
	/* Another setup under this key took as long as it did: what was asked stays in order, and
	 * what is asked next comes after the setup. */
	uint64_t before = g->sent[0].q4.identification;
	a.clock = mip4_identification(WALL + 4900ull * USEC_PER_SEC);
	for (int i = 0; i < 2; i++) {
		mover_set_agent(g->m, &a);
		clear(g);
		links(g, i, !i, false);
		links(g, !i, i, false);
		assert_true(g->sent[0].q4.identification > before);
		assert_true(g->sent[0].q4.identification > a.clock);
		before = g->sent[0].q4.identification;
		a.clock = before + (1ull << 32);
	}
	links(g, false, true, false);
	mover_look(g->m, g->now_us);
	assert_ptr_equal(mover_active(g->m), g->cell);
	rig_free(g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(the_setup_registers),
	    cmocka_unit_test(a_move_to_a_known_network),
	    cmocka_unit_test(a_spare_serves_a_new_network),
	    cmocka_unit_test(a_spare_waits_for_the_network_to_be_known),
	    cmocka_unit_test(what_needs_no_connection),
	    cmocka_unit_test(another_family_takes_a_spare),
	    cmocka_unit_test(a_setup_that_was_overtaken),
	    cmocka_unit_test(a_setup_at_home),
	    cmocka_unit_test(a_setup_that_may_be_undone),
	    cmocka_unit_test(another_agent),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
