/* SPDX-License-Identifier: MIT */
/*
 * Single stories of two whole nodes with IKEv2 (world.h), each with its bound: how many exchanges
 * and round trips a start takes, that a move to a known or a spare network sends data before
 * anything is said by IKE, and how long it takes until all is well again after a black hole, a
 * restart, ten minutes without a network.  SIM_VERBOSE=1 shows what happens.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>
#include "base/mem.h"
#include "world.h"

#define MS	      1000u
#define SEC	      1000000u
#define DATA_US	      (10 * MS)
#define TOLD_US	      (30 * MS) /* the system tells of a link within */
#define EXCHANGES_MAX 8

/* What went over the wire since seen_clear. */
struct seen {
	struct world *w;
	unsigned inits, auths, children, infos; /* requests of the terminal's, each once */
	usec_t init_us, auth_us, child_us, data_us, other_us; /* the first; 0 none */
	unsigned data_up, before_data;			      /* requests before the first data */
	struct endpoint init_to[EXCHANGES_MAX];
	usec_t init_at_us[EXCHANGES_MAX];
	uint8_t last[28]; /* header of the last request: sent again is not counted again */
};

static unsigned said(const struct seen *s)
{
	return s->inits + s->auths + s->children + s->infos;
}

static void note(usec_t *first_us, const struct world *w)
{
	if (!*first_us)
		*first_us = w->now_us;
}

static void spy_ike(struct seen *s, const struct datagram *d)
{
	struct world *w = s->w;
	if (d->len < sizeof(s->last) || d->bytes[19] & IKE_FLAG_RESPONSE ||
	    memcmp(s->last, d->bytes, sizeof(s->last)) == 0)
		return;
	memcpy(s->last, d->bytes, sizeof(s->last));
	switch (d->bytes[18]) {
	case IKE_SA_INIT:
		if (s->inits < EXCHANGES_MAX) {
			s->init_to[s->inits] = d->dst;
			s->init_at_us[s->inits] = w->now_us;
		}
		s->inits++;
		note(&s->init_us, w);
		return;
	case IKE_AUTH:
		s->auths++;
		note(&s->auth_us, w);
		return;
	case IKE_CREATE_CHILD_SA:
		s->children++;
		note(&s->child_us, w);
		return;
	case IKE_INFORMATIONAL:
		s->infos++;
		note(&s->other_us, w);
		return;
	}
}

static void spy(void *ctx, const struct datagram *d)
{
	struct seen *s = ctx;
	if (!d->up)
		return;
	if (!d->is_esp) {
		spy_ike(s, d);
		return;
	}
	if (d->esp.kind != ESP_DATA)
		return;
	if (!s->data_up++)
		s->before_data = said(s);
	note(&s->data_us, s->w);
}

static void seen_clear(struct seen *s)
{
	*s = (struct seen){.w = s->w};
}

/* --- worlds */

static struct world_config defaults(void)
{
	struct world_config cfg = *world_defaults();
	cfg.data_every_us = DATA_US;
	cfg.verbose = getenv("SIM_VERBOSE") != NULL;
	return cfg;
}

static struct world *begin(struct world_config *cfg, unsigned links, struct seen *s)
{
	for (int i = 0; i < LINKS; i++)
		cfg->links[i].up = links >> i & 1;
	struct world *w = world_new(cfg);
	*s = (struct seen){.w = w};
	w->spy = spy;
	w->spy_ctx = s;
	server_start(w);
	terminal_start(w);
	return w;
}

static void pass(struct world *w, usec_t span_us)
{
	world_run(w, w->now_us + span_us);
	if (w->why[0])
		fail_msg("%s", w->why);
}

static void well(struct world *w)
{
	check_settled(w);
	if (w->why[0])
		fail_msg("%s", w->why);
}

/* Until data comes down; how long it took. */
static usec_t until_data(struct world *w, usec_t most_us)
{
	usec_t since_us = w->now_us, before_us = w->t.n.data_us;
	while (w->t.n.data_us == before_us && w->now_us < since_us + most_us)
		pass(w, MS);
	assert_int_not_equal(w->t.n.data_us, before_us);
	return w->t.n.data_us - since_us;
}

static void finish(struct world *w)
{
	world_end(w);
	if (w->why[0])
		fail_msg("%s", w->why);
	world_free(w);
}

/* --- beginnings */

/* Two exchanges, two round trips, however many interfaces there are. */
static void a_start(void **state)
{
	(void)state;
	static const unsigned links[] = {1, 3, 7};
	for (unsigned i = 0; i < ARRAY_LEN(links); i++)
		for (unsigned plain = 0; plain < 2; plain++) {
			struct world_config cfg = defaults();
			struct seen s;
			cfg.port = plain ? IKE_PORT : IKE_PORT_NATT;
			struct world *w = begin(&cfg, links[i], &s);
			usec_t since_us = w->now_us, rtt_us = 2u * cfg.links[0].delay_us;
			while (!s.data_us && w->now_us < since_us + SEC)
				pass(w, MS);
			assert_int_equal(s.data_us - since_us, 2 * rtt_us);
			assert_int_equal(s.inits, 1);
			assert_int_equal(s.auths, 1);
			assert_int_equal(s.before_data, 2);
			/* Data has come down already, or comes with the next one. */
			assert_in_range(until_data(w, SEC), 0, DATA_US + MS);
			/* Then the rest: a connection for each interface, and spares. */
			pass(w, 5 * SEC);
			well(w);
			assert_int_equal(s.inits, 1);
			assert_int_equal(conn_table_size(w->t.n.table),
					 (unsigned)__builtin_popcount(links[i]) + cfg.spares);
			finish(w);
		}
}

/* The first way is dead: the next one is asked a quarter of a second later. */
static void happy_eyeballs(void **state)
{
	(void)state;
	struct world_config cfg = defaults();
	struct seen s;
	cfg.dead_server = true;
	struct world *w = begin(&cfg, 1, &s);
	usec_t since_us = w->now_us, rtt_us = 2u * cfg.links[0].delay_us;
	while (!s.data_us && w->now_us < since_us + 5 * SEC)
		pass(w, MS);
	assert_in_range(s.data_us - since_us, 250 * MS, 250 * MS + 2 * rtt_us + MS);
	assert_int_equal(s.inits, 2);
	assert_false(addr_equal(&s.init_to[0].addr, &server4.addr));
	assert_true(addr_equal(&s.init_to[1].addr, &server4.addr));
	pass(w, 5 * SEC);
	well(w);
	finish(w);

	/* The preferred interface leads nowhere: the other one, of another family. */
	cfg.dead_server = false;
	cfg.links[0].deaf_down = true;
	w = begin(&cfg, 1 | 4, &s);
	since_us = w->now_us;
	rtt_us = 2u * cfg.links[2].delay_us;
	while (!s.data_us && w->now_us < since_us + 5 * SEC)
		pass(w, MS);
	assert_in_range(s.data_us - since_us, 250 * MS, 250 * MS + 2 * rtt_us + MS);
	assert_int_equal(s.inits, 2);
	finish(w);
}

/* The server's first address of a family that the IKE SA does not use is dead: a connection there
 * tries the next one, and the IKE SA goes with it. */
static void a_dead_address_of_another_family(void **state)
{
	(void)state;
	struct world_config cfg = defaults();
	struct seen s;
	cfg.dead_server = true;
	struct world *w = begin(&cfg, 4, &s);
	pass(w, 10 * SEC);
	well(w);
	link_set(w, 2, false);
	link_set(w, 0, true);
	pass(w, 100 * MS);
	assert_int_equal(terminal_link_of(w, w->t.active), 0);
	assert_in_range(until_data(w, 30 * SEC), 1, 10 * SEC);
	pass(w, 10 * SEC);
	well(w);
	assert_true(addr_equal(&w->t.active->server.addr, &server4.addr));
	assert_true(addr_equal(&ike_sa_path(keeper_sa(w->t.keeper))->remote.addr, &server4.addr));
	finish(w);
}

static void no_network_at_first(void **state)
{
	(void)state;
	struct world_config cfg = defaults();
	struct seen s;
	struct world *w = begin(&cfg, 0, &s);
	pass(w, 120 * SEC);
	assert_int_equal(said(&s), 0);
	link_set(w, 1, true);
	usec_t rtt_us = 2u * cfg.links[1].delay_us;
	assert_in_range(until_data(w, 5 * SEC), 0, 3 * rtt_us + TOLD_US + DATA_US);
	pass(w, 5 * SEC);
	well(w);
	finish(w);
}

/* --- moves */

static struct world *settled(struct world_config *cfg, unsigned links, struct seen *s)
{
	struct world *w = begin(cfg, links, s);
	pass(w, 20 * SEC); /* a line that ends sooner is not begun again at once */
	well(w);
	seen_clear(s);
	return w;
}

/* To a network whose connection is there: data at once, and IKE says nothing at all. */
static void a_move_to_a_known_network(void **state)
{
	(void)state;
	struct world_config cfg = defaults();
	struct seen s;
	struct world *w = settled(&cfg, 1 | 2, &s);
	link_set(w, 0, false);
	seen_clear(&s);
	while (terminal_link_of(w, w->t.active) != 1)
		pass(w, MS);
	unsigned sent = s.data_up;
	assert_in_range(until_data(w, SEC), 1, 2 * cfg.links[1].delay_us + DATA_US + MS);
	assert_true(s.data_up > sent);
	assert_int_equal(said(&s), 0);
	pass(w, 3 * SEC);
	assert_int_equal(said(&s), 0);
	/* And back to where it was before. */
	link_set(w, 0, true);
	pass(w, 5 * SEC);
	assert_int_equal(terminal_link_of(w, w->t.active), 0);
	assert_int_equal(said(&s), 0);
	well(w);
	finish(w);
}

/* To one never seen before: a spare's keys, data with no round trip before, no exchange. */
static void a_move_to_a_spare_network(void **state)
{
	(void)state;
	for (unsigned six = 0; six < 2; six++) {
		struct world_config cfg = defaults();
		struct seen s;
		cfg.links[1].family = six ? 6 : 4;
		cfg.links[1].has_nat = !six;
		struct world *w = settled(&cfg, 1, &s);
		link_set(w, 0, false);
		link_set(w, 1, true);
		usec_t since_us = w->now_us;
		while (!w->t.active || terminal_link_of(w, w->t.active) != 1)
			pass(w, MS);
		assert_in_range(w->now_us - since_us, 0, 100 * MS);
		assert_int_not_equal(s.data_us, 0);
		assert_int_equal(said(&s), 0);
		/* Down as soon as the first one has told where we are. */
		assert_in_range(until_data(w, SEC), 0, 2 * cfg.links[1].delay_us + DATA_US + MS);
		assert_int_equal(said(&s), 0);
		/* Another spare is made, some time after the move. */
		pass(w, 5 * SEC);
		assert_int_equal(s.inits + s.auths, 0);
		assert_int_equal(s.children, 1);
		well(w);
		finish(w);
	}
}

/* No spare left: one exchange over the other connection, while that still works. */
static void a_network_comes_while_another_works(void **state)
{
	(void)state;
	struct world_config cfg = defaults();
	struct seen s;
	cfg.spares = 0;
	struct world *w = settled(&cfg, 1, &s);
	link_set(w, 1, true);
	pass(w, 3 * SEC);
	assert_int_equal(s.children, 1);
	assert_int_equal(s.inits + s.auths, 0);
	well(w);
	seen_clear(&s);
	link_set(w, 0, false);
	pass(w, SEC);
	assert_int_equal(terminal_link_of(w, w->t.active), 1);
	assert_int_equal(said(&s), 0);
	well(w);
	finish(w);
}

/* The path is dead and no link event says so. */
static void a_black_hole(void **state)
{
	(void)state;
	struct world_config cfg = defaults();
	struct seen s;
	struct world *w = settled(&cfg, 1 | 2, &s);
	w->links[0].deaf_up = w->links[0].deaf_down = true;
	usec_t took_us = 0;
	while (terminal_link_of(w, w->t.active) != 1 && took_us < 20 * SEC) {
		pass(w, 10 * MS);
		took_us += 10 * MS;
	}
	assert_in_range(took_us, 1, 4 * SEC);
	assert_int_equal(s.inits + s.auths, 0);
	pass(w, 2 * SEC);
	well(w);
	finish(w);
}

static void another_mapping(void **state)
{
	(void)state;
	struct world_config cfg = defaults();
	struct seen s;
	struct world *w = settled(&cfg, 1, &s);
	link_rebind(w, 0);
	/* The next packet up tells the server where we are now. */
	usec_t most_us = 2u * cfg.links[0].delay_us + 2 * DATA_US + MS;
	pass(w, cfg.links[0].delay_us);
	assert_in_range(until_data(w, 2 * SEC), 0, most_us);
	pass(w, 2 * SEC);
	assert_int_equal(said(&s), 0);
	well(w);
	finish(w);
}

/* --- troubles */

/* The server is gone and comes back knowing nothing. */
static void a_server_restarts(void **state)
{
	(void)state;
	for (unsigned told = 0; told < 2; told++)
		for (unsigned links = 1; links <= 7; links += 6) {
			struct world_config cfg = defaults();
			struct seen s;
			struct world *w = settled(&cfg, links, &s);
			server_stop(w, told);
			server_start(w);
			pass(w, 2 * cfg.links[0].delay_us);
			usec_t took_us = until_data(w, 60 * SEC);
			/* Silence has to be told from loss: about five seconds; a goodbye is one
			 * half second. */
			assert_in_range(took_us, 1, told ? 2 * SEC : 8 * SEC);
			assert_int_equal(s.auths, 1);
			pass(w, 20 * SEC);
			well(w);
			finish(w);
		}
}

static void the_terminal_restarts(void **state)
{
	(void)state;
	struct world_config cfg = defaults();
	struct seen s;
	struct world *w = settled(&cfg, 1 | 4, &s);
	usec_t rtt_us = 2u * cfg.links[0].delay_us;
	terminal_stop(w, false);
	pass(w, 30 * SEC);
	terminal_start(w);
	assert_in_range(until_data(w, 60 * SEC), 1, 3 * rtt_us + TOLD_US + DATA_US);
	/* What was left of the life before goes at once: the peer began anew. */
	pass(w, 5 * SEC);
	well(w);
	finish(w);
}

/* Nowhere for ten minutes: everything is as it was, with no exchange, when a network comes back. */
static void ten_minutes_offline(void **state)
{
	(void)state;
	for (unsigned other = 0; other < 2; other++) {
		struct world_config cfg = defaults();
		struct seen s;
		struct world *w = settled(&cfg, 1, &s);
		link_set(w, 0, false);
		pass(w, 600 * SEC);
		assert_int_equal(said(&s), 0);
		link_set(w, other ? 1 : 0, true);
		usec_t rtt_us = 2u * cfg.links[other].delay_us;
		assert_in_range(until_data(w, 60 * SEC), 1, rtt_us + TOLD_US + DATA_US + MS);
		assert_int_equal(s.inits + s.auths, 0);
		pass(w, 20 * SEC);
		assert_int_equal(s.inits + s.auths, 0);
		well(w);
		finish(w);
	}
}

/* The server was restarted meanwhile: what is sent first goes to nobody, and that is found out. */
static void a_restart_while_offline(void **state)
{
	(void)state;
	for (unsigned other = 0; other < 2; other++) {
		struct world_config cfg = defaults();
		struct seen s;
		struct world *w = settled(&cfg, 1, &s);
		link_set(w, 0, false);
		pass(w, 60 * SEC);
		server_stop(w, false);
		server_start(w);
		pass(w, 60 * SEC);
		link_set(w, other ? 1 : 0, true);
		assert_in_range(until_data(w, 60 * SEC), 1, 8 * SEC);
		pass(w, 5 * SEC);
		well(w);
		finish(w);
	}
}

/* A path that carries nothing for ten minutes, and no link event: a line is sought all the time,
 * and found soon after. */
static void ten_minutes_deaf(void **state)
{
	(void)state;
	struct world_config cfg = defaults();
	struct seen s;
	struct world *w = settled(&cfg, 1, &s);
	w->links[0].deaf_up = w->links[0].deaf_down = true;
	pass(w, 600 * SEC);
	assert_in_range(s.inits, 10, 300);
	w->links[0].deaf_up = w->links[0].deaf_down = false;
	assert_in_range(until_data(w, 60 * SEC), 1, 32 * SEC);
	pass(w, 60 * SEC);
	well(w);
	finish(w);
}

static void the_server_deletes_a_child(void **state)
{
	(void)state;
	struct world_config cfg = defaults();
	struct seen s;
	cfg.spares = 0;
	struct world *w = settled(&cfg, 1, &s);
	struct ike_sa *sa = ike_sa_first(w->s.n.engine);
	ike_child_delete(w->s.n.engine, ike_child_first(sa), "test", w->now_us);
	w->s.n.tick_us = w->now_us;
	/* The only one: the next is asked for as soon as this one is known to be gone. */
	pass(w, cfg.links[0].delay_us + MS);
	assert_in_range(until_data(w, 30 * SEC), 0, 6 * SEC);
	pass(w, 5 * SEC);
	well(w);
	finish(w);
}

static int prepare(void **state)
{
	(void)state;
	return world_prepare() ? 0 : -1;
}

static int cleanup(void **state)
{
	(void)state;
	world_cleanup();
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_start),
	    cmocka_unit_test(happy_eyeballs),
	    cmocka_unit_test(a_dead_address_of_another_family),
	    cmocka_unit_test(no_network_at_first),
	    cmocka_unit_test(a_move_to_a_known_network),
	    cmocka_unit_test(a_move_to_a_spare_network),
	    cmocka_unit_test(a_network_comes_while_another_works),
	    cmocka_unit_test(a_black_hole),
	    cmocka_unit_test(another_mapping),
	    cmocka_unit_test(a_server_restarts),
	    cmocka_unit_test(the_terminal_restarts),
	    cmocka_unit_test(ten_minutes_offline),
	    cmocka_unit_test(a_restart_while_offline),
	    cmocka_unit_test(ten_minutes_deaf),
	    cmocka_unit_test(the_server_deletes_a_child),
	};
	return cmocka_run_group_tests(tests, prepare, cleanup);
}
