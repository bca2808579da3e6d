/* SPDX-License-Identifier: MIT */
/* N-casting on the terminal: who belongs to the set, what is asked for, what is refused. */
#include "mover_rig.h"

#define BOTH (MOVER_NCAST_DOWN | MOVER_NCAST_UP)

static struct rig *ncast_rig(uint8_t ncast, bool six)
{
	struct mover_config cfg = config();
	cfg.ncast = ncast;
	if (six)
		cfg.homes[0] = ip("fd00::9");
	struct rig *g = rig_with(&cfg);
	links(g, true, true, false);
	pass(g, 100 * MS);
	assert_int_equal(g->sent[0].q4.flags & MIP4_S, 0);
	accept_last(g);
	pass(g, 100 * MS);
	g->sent_count = 0;
	return g;
}

/* Both work. */
static struct rig *both_work(uint8_t ncast)
{
	struct rig *g = ncast_rig(ncast, false);
	probe_answer(g, g->cell);
	return g;
}

static const struct mip4_ext *asked(const struct rig *g)
{
	return &g->sent[g->sent_count - 1].q4.ext;
}

static bool sends_on(const struct rig *g, const struct conn *c)
{
	for (uint8_t i = 0; i < g->set_count; i++)
		if (g->set[i] == c)
			return true;
	return false;
}

/* Time passes, and probes are answered: of this connection, or (NULL) of all. */
static void answering(struct rig *g, usec_t us, const struct conn *only)
{
	for (usec_t end = g->now_us + us; g->now_us < end;) {
		pass(g, 50 * MS);
		for (unsigned i = 0; i < g->probe_count && i < SENT_MAX; i++)
			if (!only || g->probes[i].conn == only)
				mover_probe_reply(g->m, g->probes[i].conn, g->probes[i].id,
						  g->now_us);
	}
}

/* An answer with results for what was named; codes by name's place. */
static void answer(struct rig *g, uint8_t code, const uint8_t *codes)
{
	const struct sent_request *s = &g->sent[g->sent_count - 1];
	struct mip4_reply r = {.code = code,
			       .lifetime_s = code < 128 ? 600 : 0,
			       .identification = s->q4.identification};
	atomic_store(&s->conn->in->last_us, g->now_us);
	memcpy(r.home, s->q4.home, 4);
	memcpy(r.home_agent, s->q4.home_agent, 4);
	r.ext.result_count = codes ? s->q4.ext.spi_count : 0;
	for (uint8_t i = 0; i < r.ext.result_count; i++) {
		r.ext.results[i].spi = s->q4.ext.spis[i];
		r.ext.results[i].code = codes[i];
	}
	r.ext.has_auth = true;
	r.ext.auth_spi = SPI;
	uint8_t msg[512];
	size_t off, len = mip4_write_reply(msg, sizeof(msg), &r, &off);
	assert_int_equal(mac_compute(key, sizeof(key), msg, off, msg + off), 0);
	mover_reply4(g->m, s->conn, msg, len, false, 9, g->now_us);
}

static void one_that_works_is_added(void **state)
{
	(void)state;
	struct rig *g = both_work(BOTH);
	assert_int_equal(g->sent_count, 1);
	assert_ptr_equal(g->sent[0].conn, g->wifi);
	assert_true(g->sent[0].q4.flags & MIP4_S);
	assert_true(asked(g)->has_connections);
	assert_int_equal(asked(g)->op, MIP4_OP_REPLACE);
	assert_int_equal(asked(g)->spi_count, 2);
	assert_int_equal(asked(g)->spis[0], g->wifi->out->spi);
	assert_int_equal(asked(g)->spis[1], g->cell->out->spi);
	/* Ours go out on both without waiting for the answer. */
	assert_int_equal(g->set_count, 2);
	assert_ptr_equal(g->set[0], g->wifi);
	assert_int_equal(g->cell->state, CONN_ACTIVE);
	assert_true(atomic_load(&g->cell->in->active));
	answer(g, 0, (const uint8_t[]){0, 0});
	pass(g, 3 * USEC_PER_SEC);
	assert_int_equal(g->sent_count, 1);
	assert_int_equal(last_move(g)->kind, MOVE_ADD);
	assert_string_equal(last_move(g)->from, "wifi");
	assert_string_equal(last_move(g)->to, "wifi+cell");
	assert_true(last_move(g)->done);
	struct conn *set[ACTIVE_MAX];
	assert_int_equal(mover_active_set(g->m, set), 2);
	rig_free(g);
}

static void up_and_down_are_apart(void **state)
{
	(void)state;
	struct rig *g = both_work(MOVER_NCAST_DOWN);
	assert_int_equal(asked(g)->spi_count, 2);
	assert_int_equal(g->set_count, 1);
	rig_free(g);
	g = both_work(MOVER_NCAST_UP);
	assert_int_equal(g->sent_count, 0);
	assert_int_equal(g->set_count, 2);
	pass(g, 3 * USEC_PER_SEC);
	assert_true(last_move(g)->done);
	rig_free(g);
	g = both_work(0);
	assert_int_equal(g->sent_count, 0);
	assert_int_equal(g->set_count, 1);
	rig_free(g);
}

static void one_that_goes_is_left_out(void **state)
{
	(void)state;
	for (int how = 0; how < 3; how++) {
		struct rig *g = both_work(BOTH);
		answer(g, 0, (const uint8_t[]){0, 0});
		clear(g);
		if (how == 0) {
			links(g, true, false, false);
		} else if (how == 1) {
			mover_remove(g->m, g->cell, g->now_us);
			conn_table_remove(g->table, g->cell);
		} else {
			/* It answers no more; wifi does. */
			for (int i = 0; i < 20 && g->set_count == 2; i++)
				answering(g, USEC_PER_SEC, g->wifi);
		}
		assert_int_equal(g->set_count, 1);
		assert_ptr_equal(g->active, g->wifi);
		assert_true(g->sent_count > 0);
		assert_false(asked(g)->has_connections);
		assert_int_equal(g->sent[g->sent_count - 1].q4.flags & MIP4_S, 0);
		answer(g, 0, NULL);
		assert_int_equal(last_move(g)->kind, MOVE_REMOVE);
		rig_free(g);
	}
}

/* What was under way on it is still taken for a moment, and it is not active any more after. */
static void the_one_left_out_drains(void **state)
{
	(void)state;
	struct rig *g = both_work(BOTH);
	answer(g, 0, (const uint8_t[]){0, 0});
	mover_set_ncast(g->m, 0, g->now_us);
	assert_int_equal(g->set_count, 1);
	assert_false(asked(g)->has_connections);
	assert_true(atomic_load(&g->cell->in->active));
	answer(g, 0, NULL);
	pass(g, 3 * USEC_PER_SEC);
	assert_false(atomic_load(&g->cell->in->active));
	assert_int_equal(g->cell->state, CONN_READY);
	mover_set_ncast(g->m, BOTH, g->now_us);
	assert_int_equal(g->set_count, 2);
	assert_int_equal(asked(g)->spi_count, 2);
	rig_free(g);
}

/* The best one is lost: what goes on is the other one, which carried all along. */
static void the_best_one_goes(void **state)
{
	(void)state;
	struct rig *g = both_work(BOTH);
	answer(g, 0, (const uint8_t[]){0, 0});
	clear(g);
	links(g, false, true, false);
	assert_ptr_equal(g->active, g->cell);
	assert_int_equal(g->set_count, 1);
	assert_false(sends_on(g, g->wifi));
	assert_ptr_equal(g->sent[0].conn, g->cell);
	assert_false(asked(g)->has_connections);
	assert_string_equal(g->trace, "ra");
	rig_free(g);
}

static void a_better_one_leads(void **state)
{
	(void)state;
	struct rig *g = both_work(BOTH);
	answer(g, 0, (const uint8_t[]){0, 0});
	clear(g);
	assert_int_equal(mover_pin(g->m, g->cell, g->now_us), 0);
	assert_ptr_equal(g->set[0], g->cell);
	assert_int_equal(g->set_count, 2);
	assert_ptr_equal(g->sent[0].conn, g->cell);
	assert_int_equal(asked(g)->spis[0], g->cell->out->spi);
	assert_int_equal(asked(g)->spis[1], g->wifi->out->spi);
	answer(g, 0, (const uint8_t[]){0, 0});
	pass(g, 3 * USEC_PER_SEC);
	assert_true(atomic_load(&g->wifi->in->active));
	rig_free(g);
}

static void what_the_server_refuses_stays_out(void **state)
{
	(void)state;
	static const struct {
		uint8_t code, codes[2];
		unsigned again_s;
	} cases[] = {
	    {0, {0, MIP4_TOO_MANY_BINDINGS}, 60},
	    {0, {0, MIP4_PROHIBITED}, 2},
	    {MIP4_ACCEPTED_NO_SIMULTANEOUS, {0, MIP4_TOO_MANY_BINDINGS}, 60},
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct rig *g = both_work(BOTH);
		answer(g, cases[i].code, cases[i].codes);
		assert_int_equal(g->set_count, 1);
		assert_ptr_equal(g->active, g->wifi);
		assert_true(mover_registered(g->m, &(struct addr){.family = 4, .b = {10, 0, 0, 9}},
					     NULL, NULL));
		unsigned sent = g->sent_count;
		for (unsigned s = 0; s + 1 < cases[i].again_s; s++) {
			answering(g, USEC_PER_SEC, NULL);
		}
		assert_int_equal(g->sent_count, sent);
		answering(g, 1100 * MS, NULL);
		assert_true(g->sent_count > sent);
		assert_int_equal(g->sent[sent].q4.ext.spi_count, 2);
		rig_free(g);
	}
}

/* A server that does not know our extension is asked again at once, without. */
static void a_server_without_it(void **state)
{
	(void)state;
	struct rig *g = both_work(BOTH);
	answer(g, MIP4_UNSUPPORTED_VENDOR_REQUEST, NULL);
	assert_int_equal(g->sent_count, 2);
	assert_false(asked(g)->has_connections);
	answer(g, 0, NULL);
	assert_int_equal(g->set_count, 1);
	rig_free(g);
}

static void only_over_these_interfaces(void **state)
{
	(void)state;
	struct mover_config cfg = config();
	cfg.ncast = BOTH;
	cfg.ncast_interface_count = 1;
	(void)snprintf(cfg.ncast_interfaces[0], IF_NAMESIZE, "eth9");
	struct rig *g = rig_with(&cfg);
	links(g, true, true, false);
	pass(g, 100 * MS);
	accept_last(g);
	pass(g, 100 * MS);
	probe_answer(g, g->cell);
	assert_int_equal(g->set_count, 1);
	rig_free(g);
}

/* Without a number in common two copies would be two packets. */
static void only_with_numbers_in_common(void **state)
{
	(void)state;
	struct space other = {0};
	struct rig *g = ncast_rig(BOTH, false);
	g->cell->out->space = &other;
	probe_answer(g, g->cell);
	assert_int_equal(g->cell->state, CONN_READY);
	assert_int_equal(g->set_count, 1);
	assert_int_equal(g->sent_count, 0);
	rig_free(g);
}

static void binding_updates_name_them(void **state)
{
	(void)state;
	struct rig *g = ncast_rig(BOTH, true);
	probe_answer(g, g->cell);
	assert_int_equal(g->sent_count, 1);
	const struct sent_request *s = &g->sent[0];
	assert_true(s->q6.flags & MIP6_O);
	assert_int_equal(s->q6.bid_count, 2);
	assert_int_equal(s->q6.spi_count, 2);
	assert_int_not_equal(s->q6.bids[0].bid, s->q6.bids[1].bid);
	assert_true(addr_equal(&s->q6.bids[1].care_of, &g->list[1].addr));
	/* No identifiers in the answer: the home agent does not know them. */
	reply_to(g, s, (struct answer){.lifetime_s = 600});
	assert_int_equal(g->set_count, 1);
	rig_free(g);
}

static void going_home_names_nothing(void **state)
{
	(void)state;
	struct rig *g = both_work(BOTH);
	answer(g, 0, (const uint8_t[]){0, 0});
	clear(g);
	links(g, true, true, true);
	assert_int_equal(mover_place(g->m), MOVER_HOME);
	assert_int_equal(asked(g)->spi_count, 0);
	assert_int_equal(g->sent[g->sent_count - 1].q4.lifetime_s, 0);
	answer(g, 0, NULL);
	assert_null(g->active);
	assert_int_equal(g->cell->state, CONN_READY);
	struct conn *set[ACTIVE_MAX];
	assert_int_equal(mover_active_set(g->m, set), 0);
	rig_free(g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(one_that_works_is_added),
	    cmocka_unit_test(up_and_down_are_apart),
	    cmocka_unit_test(one_that_goes_is_left_out),
	    cmocka_unit_test(the_one_left_out_drains),
	    cmocka_unit_test(the_best_one_goes),
	    cmocka_unit_test(a_better_one_leads),
	    cmocka_unit_test(what_the_server_refuses_stays_out),
	    cmocka_unit_test(a_server_without_it),
	    cmocka_unit_test(only_over_these_interfaces),
	    cmocka_unit_test(only_with_numbers_in_common),
	    cmocka_unit_test(binding_updates_name_them),
	    cmocka_unit_test(going_home_names_nothing),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
