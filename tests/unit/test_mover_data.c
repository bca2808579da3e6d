/* SPDX-License-Identifier: MIT */
/* The terminal's registration by data: a connection is used, and nothing is asked. */
#include "mover_rig.h"

static struct {
	struct conn *conn;
	uint64_t id;
	usec_t at_us;
} uses[SENT_MAX];
static unsigned use_count;

static void on_use(void *ctx, struct conn *conn, uint64_t id)
{
	struct rig *g = ctx;
	assert_true(use_count < SENT_MAX);
	uses[use_count].conn = conn;
	uses[use_count].id = id;
	uses[use_count++].at_us = g->now_us;
	atomic_store(&conn->out->last_us, g->now_us);
	trace(g, 'u');
}

static void answer_use(struct rig *g, unsigned i)
{
	atomic_store(&uses[i].conn->in->last_us, g->now_us);
	mover_probe_reply(g->m, uses[i].conn, uses[i].id, g->now_us);
}

/* epochs: keys are configured.  Registered over wifi, by a request then. */
static struct rig *data_rig(bool epochs)
{
	struct mover_config cfg = config();
	cfg.by_data = true;
	use_count = 0;
	struct rig *g = rig_with(&cfg);
	mover_free(g->m);
	struct mover_ops ops = {.ctx = g,
				.attach = on_attach,
				.detach = on_detach,
				.send_request = on_send,
				.send_probe = on_probe,
				.send_use = on_use,
				.activate = on_activate,
				.home = on_home,
				.epoch_accepted = on_epoch,
				.epoch_heard = on_epoch_heard,
				.wall_us = on_wall,
				.random = on_random};
	g->m = mover_new(&cfg, &ops, g->table, g->moves, NULL);
	struct conn *conns[] = {g->wifi, g->cell};
	for (int i = 0; i < 2; i++) {
		struct mover_connection c = {.conn = conns[i], .preference = i};
		(void)snprintf(c.interface, sizeof(c.interface), "%s", i ? "cell0" : "wifi0");
		conns[i]->in->configured_keys = conns[i]->out->configured_keys = epochs;
		assert_int_equal(mover_add(g->m, &c, g->now_us), 0);
	}
	return g;
}

/* Both links are up and proven, wifi is registered. */
static struct rig *started(bool epochs)
{
	struct rig *g = data_rig(epochs);
	links(g, true, true, false);
	pass(g, 100 * MS);
	if (epochs)
		accept_last(g);
	else
		answer_use(g, use_count - 1);
	pass(g, 100 * MS);
	probe_answer(g, g->cell);
	pass(g, 3 * USEC_PER_SEC);
	clear(g);
	use_count = 0;
	return g;
}

/* A probe of this connection, if there is one, is answered. */
static void prove(struct rig *g, struct conn *c)
{
	for (unsigned i = 0; i < g->probe_count; i++)
		if (g->probes[i].conn == c) {
			probe_answer(g, c);
			return;
		}
}

static const char *by(struct rig *g)
{
	struct addr home = ip("10.0.0.9");
	return mover_registered_by(g->m, &home);
}

static void a_start_with_fresh_keys_asks_nothing(void **state)
{
	(void)state;
	struct rig *g = data_rig(false);
	links(g, true, false, false);
	assert_string_equal(g->trace, "ua"); /* packets follow at once */
	assert_string_equal(by(g), "none");
	pass(g, 50 * MS);
	answer_use(g, 0);
	assert_string_equal(by(g), "data");
	assert_string_equal(last_move(g)->by, "data");
	assert_int_equal(last_move(g)->signalling_packets, 2);
	assert_int_equal(g->sent_count, 0);
	assert_int_equal(g->wifi->state, CONN_ACTIVE);
	/* and nothing is due any more */
	for (int i = 0; i < 4000; i++) {
		pass(g, USEC_PER_SEC);
		if (g->probe_count)
			probe_answer(g, g->wifi);
		g->probe_count = 0;
	}
	assert_int_equal(g->sent_count, 0);
	assert_int_equal(use_count, 1);
	rig_free(g);
}

static void configured_keys_begin_with_a_request(void **state)
{
	(void)state;
	struct rig *g = started(true);
	assert_string_equal(by(g), "request");
	links(g, false, true, false);
	assert_string_equal(g->trace, "ua");
	assert_ptr_equal(uses[0].conn, g->cell);
	pass(g, 60 * MS);
	answer_use(g, 0);
	assert_string_equal(by(g), "data");
	rig_free(g);
}

static void it_is_said_again_until_it_is_answered(void **state)
{
	(void)state;
	struct rig *g = started(false);
	links(g, false, true, false);
	pass(g, USEC_PER_SEC);
	assert_true(use_count >= 2 && use_count <= 3);
	assert_true(uses[1].at_us - uses[0].at_us >= 100 * MS);
	answer_use(g, 0); /* a late one does */
	assert_string_equal(by(g), "data");
	unsigned count = use_count;
	answer_use(g, 1); /* and the next is for nobody */
	pass(g, USEC_PER_SEC);
	assert_int_equal(use_count, count);
	rig_free(g);
}

static void without_an_answer_it_asks(void **state)
{
	(void)state;
	struct rig *g = started(false);
	links(g, false, true, false);
	pass(g, 5 * USEC_PER_SEC);
	assert_int_equal(use_count, 3);
	assert_true(g->sent_count > 0);
	assert_ptr_equal(g->sent[0].conn, g->cell);
	assert_string_equal(by(g), "data"); /* as it was, over wifi, for all that is known */
	accept_last(g);
	assert_string_equal(by(g), "request");
	assert_string_equal(last_move(g)->by, "request");
	/* With the refresh it tries data again. */
	use_count = 0;
	for (int i = 0; i < 8000 && !use_count; i++) {
		g->probe_count = 0;
		pass(g, 50 * MS);
		if (g->probe_count)
			probe_answer(g, g->cell);
	}
	assert_in_range(use_count, 1, 3);
	answer_use(g, 0);
	assert_string_equal(by(g), "data");
	rig_free(g);
}

/* The way works and it is not answered: it is not permitted, and not tried for a while. */
static void what_is_not_permitted_is_not_tried_again(void **state)
{
	(void)state;
	struct rig *g = started(false);
	links(g, false, true, false);
	for (int i = 0; i < 200 && !g->sent_count; i++) {
		pass(g, 50 * MS);
		prove(g, g->cell);
	}
	accept_last(g);
	use_count = 0;
	links(g, true, true, false);
	for (int i = 0; i < 400 && g->active != g->wifi; i++) {
		pass(g, 50 * MS);
		prove(g, g->wifi);
		prove(g, g->cell);
	}
	assert_ptr_equal(g->active, g->wifi);
	assert_int_equal(use_count, 0);
	mover_set_by_data(g->m, true); /* a reload */
	assert_int_equal(mover_pin(g->m, g->cell, g->now_us), 0);
	assert_int_equal(use_count, 1);
	rig_free(g);
}

static void coming_home_is_asked_for(void **state)
{
	(void)state;
	struct rig *g = started(false);
	links(g, true, false, true);
	assert_int_equal(g->sent_count, 1);
	assert_int_equal(g->sent[0].q4.lifetime_s, 0);
	assert_int_equal(use_count, 0);
	rig_free(g);
}

static void its_connection_may_go_meanwhile(void **state)
{
	(void)state;
	struct rig *g = started(false);
	links(g, false, true, false);
	mover_remove(g->m, g->cell, g->now_us);
	answer_use(g, 0);
	pass(g, 5 * USEC_PER_SEC);
	assert_int_equal(use_count, 1);
	rig_free(g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_start_with_fresh_keys_asks_nothing),
	    cmocka_unit_test(configured_keys_begin_with_a_request),
	    cmocka_unit_test(it_is_said_again_until_it_is_answered),
	    cmocka_unit_test(without_an_answer_it_asks),
	    cmocka_unit_test(what_is_not_permitted_is_not_tried_again),
	    cmocka_unit_test(coming_home_is_asked_for),
	    cmocka_unit_test(its_connection_may_go_meanwhile),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
