/* SPDX-License-Identifier: MIT */
/* Where the terminal is, whether its connections work, and what the timeline says of it. */
#include "mover_rig.h"

/* --- networks */

static void another_network_behind_an_unknown_one(void **state)
{
	(void)state;
	struct rig *g = rig_new();
	struct care_of co = care_of("wifi0", 2, "192.168.1.7");
	memset(co.network.gateway, 8, 6);
	mover_care_ofs(g->m, &co, 1, "up", g->now_us, g->now_us);
	accept_last(g);
	clear(g);
	/* Not resolved now: the same place, as far as anybody knows. */
	memset(co.network.gateway, 0, 6);
	mover_care_ofs(g->m, &co, 1, "neighbour", g->now_us, g->now_us);
	mover_care_ofs(g->m, &co, 1, "neighbour", g->now_us, g->now_us);
	assert_string_equal(g->trace, "");
	assert_int_equal(g->wifi->network.gateway[0], 8);
	memset(co.network.gateway, 8, 6);
	mover_care_ofs(g->m, &co, 1, "neighbour", g->now_us, g->now_us);
	assert_string_equal(g->trace, "");
	memset(co.network.gateway, 0, 6);
	mover_care_ofs(g->m, &co, 1, "neighbour", g->now_us, g->now_us);
	memset(co.network.gateway, 7, 6);
	mover_care_ofs(g->m, &co, 1, "neighbour", g->now_us, g->now_us);
	assert_string_equal(g->trace, "ra");
	assert_int_equal(g->attach_count, 2);
	rig_free(g);
}

static void home_is_home_while_its_neighbour_is_unknown(void **state)
{
	(void)state;
	struct rig *g = rig_new();
	links(g, false, false, true);
	assert_int_equal(mover_place(g->m), MOVER_HOME);
	struct care_of co = g->list[0];
	memset(&co.network, 0, sizeof(co.network));
	mover_care_ofs(g->m, &co, 1, "neighbour", g->now_us, g->now_us);
	assert_int_equal(mover_place(g->m), MOVER_HOME);
	memset(co.network.gateway, 7, 6);
	mover_care_ofs(g->m, &co, 1, "neighbour", g->now_us, g->now_us);
	assert_int_equal(mover_place(g->m), MOVER_DETACHED);
	rig_free(g);
}

/* --- home */

static void a_deregistration_outlives_its_connection(void **state)
{
	(void)state;
	for (int attached = 0; attached < 2; attached++) {
		struct rig *g = rig_started(true, attached);
		links(g, true, attached, true);
		assert_ptr_equal(g->sent[0].conn, g->wifi);
		mover_remove(g->m, g->wifi, g->now_us);
		conn_table_remove(g->table, g->wifi);
		if (!attached) {
			pass(g, USEC_PER_SEC);
			assert_int_equal(g->sent_count, 1);
			links(g, false, true, true);
		}
		assert_int_equal(g->sent_count, 2);
		assert_ptr_equal(g->sent[1].conn, g->cell);
		assert_int_equal(g->sent[1].q4.lifetime_s, 0);
		reply_to(g, &g->sent[1], (struct answer){0});
		pass(g, 5 * USEC_PER_SEC);
		assert_null(g->active);
		/* Done: removing what carried it starts nothing. */
		mover_remove(g->m, g->cell, g->now_us);
		conn_table_remove(g->table, g->cell);
		pass(g, 20 * USEC_PER_SEC);
		assert_int_equal(g->sent_count, 2);
		rig_free(g);
	}
}

/* --- a person's wish */

/* Nothing is left for a while, then another network: no start, a move. */
static void detached_between_two_networks(void **state)
{
	(void)state;
	struct rig *g = rig_started(true, false);
	links(g, false, false, false);
	pass(g, 500 * MS);
	links(g, false, true, false);
	assert_ptr_equal(g->active, g->cell);
	assert_int_equal(last_move(g)->kind, MOVE_BREAK_BEFORE_MAKE);
	assert_string_equal(last_move(g)->from, "wifi");
	rig_free(g);
}

static void what_is_not_there_cannot_be_pinned(void **state)
{
	(void)state;
	struct rig *g = rig_started(true, true);
	assert_int_equal(mover_pin(g->m, g->cell, g->now_us), 0);
	assert_ptr_equal(g->active, g->cell);
	accept_last(g);
	struct conn *gone = g->wifi;
	mover_remove(g->m, gone, g->now_us);
	mover_pin(g->m, g->cell, g->now_us);
	assert_int_equal(mover_pin(g->m, gone, g->now_us), -ENOENT);
	struct mover_connection again = {.conn = gone, .interface = "wifi0", .preference = 1};
	assert_int_equal(mover_add(g->m, &again, g->now_us), 0);
	pass(g, MS);
	probe_answer(g, gone);
	/* Still pinned: the preferred one works and is not taken. */
	assert_ptr_equal(g->active, g->cell);
	assert_int_equal(mover_pin(g->m, NULL, g->now_us), 0);
	assert_ptr_equal(g->active, g->wifi);
	rig_free(g);
}

/* --- retransmission */

static void a_path_never_measured_is_asked_again_early(void **state)
{
	(void)state;
	for (int other = 0; other < 2; other++) {
		struct mover_config cfg = config();
		cfg.initial_rto_us = 120 * MS;
		struct rig *g = rig_with(&cfg);
		links(g, true, other, false);
		usec_t t0 = g->now_us;
		pass(g, 600 * MS - 1);
		/* Not more than four before the answer of a slow path can be there. */
		assert_int_equal(g->sent_count, 3);
		assert_int_equal(g->sent[1].at_us - t0, 120 * MS);
		assert_int_equal(g->sent[2].at_us - t0, 370 * MS);
		pass(g, 1270 * MS);
		assert_int_equal(g->sent_count, 4);
		assert_int_equal(g->sent[3].at_us - t0, 870 * MS);
		assert_int_not_equal(g->wifi->state, CONN_STALE);
		pass(g, MS);
		assert_int_equal(g->sent_count, 5);
		assert_ptr_equal(g->sent[4].conn, other ? g->cell : g->wifi);
		rig_free(g);
	}
}

static void early_ones_are_no_reason_to_leave(void **state)
{
	(void)state;
	struct mover_config cfg = config();
	cfg.initial_rto_us = 20 * MS;
	struct rig *g = rig_with(&cfg);
	g->heard = 0x5555;
	links(g, true, true, false);
	pass(g, MS);
	probe_answer(g, g->cell);
	/* wifi is preferred and slow: its answer may take a while yet. */
	pass(g, 200 * MS);
	assert_int_equal(g->sent_count, 2);
	assert_ptr_equal(g->active, g->wifi);
	pass(g, 100 * MS);
	assert_ptr_equal(g->active, g->cell);
	rig_free(g);
}

static void a_slow_path_is_not_stale_before_its_time(void **state)
{
	(void)state;
	struct mover_config cfg = config();
	cfg.initial_rto_us = 120 * MS;
	struct rig *g = rig_with(&cfg);
	g->heard = 0x5555; /* as after a long silence: begins with a hello */
	g->attach_waits = true;
	links(g, true, true, false);
	mover_attached(g->m, g->wifi, true, g->now_us);
	pass(g, 15 * USEC_PER_SEC);
	g->sent_count = 0;
	mover_attached(g->m, g->cell, true, g->now_us);
	pass(g, 60 * USEC_PER_SEC);
	/* In each turn a connection gets a second from its last request on. */
	usec_t last[2] = {0, 0};
	for (unsigned i = 0; i < g->sent_count; i++) {
		int at = g->sent[i].conn == g->cell;
		if (i && g->sent[i - 1].conn != g->sent[i].conn)
			assert_true(g->sent[i].at_us - last[!at] >= USEC_PER_SEC);
		last[at] = g->sent[i].at_us;
	}
	rig_free(g);
}

/* --- hello */

static void the_last_hello_settles_the_epochs(void **state)
{
	(void)state;
	enum { ANSWERED, LOST };
	for (int how = ANSWERED; how <= LOST; how++) {
		struct rig *g = rig_new();
		links(g, true, false, false);
		pass(g, 300 * MS);
		assert_int_equal(g->sent_count, 2);
		const struct sent_request second = g->sent[1];
		struct answer ok = {.hello = true, .lifetime_s = 600};
		reply_to(g, &g->sent[0], ok);
		assert_ptr_equal(g->active, g->wifi);
		uint32_t rto = conn_rto_us(g->wifi, RTO);
		if (how == ANSWERED) {
			pass(g, 100 * MS);
			reply_to(g, &second, ok);
			pass(g, 2 * USEC_PER_SEC);
			assert_int_equal(g->sent_count, 2);
		} else {
			pass(g, rto - 1);
			assert_int_equal(g->sent_count, 2);
			pass(g, 1);
			assert_int_equal(g->sent_count, 3);
			assert_true(g->sent[2].hello != 0);
			assert_int_equal(g->sent[2].q4.ext.epoch, 0x5555);
			accept_last(g);
			pass(g, 2 * USEC_PER_SEC);
			assert_int_equal(g->sent_count, 3);
		}
		rig_free(g);
	}
}

/* --- leaving home */

/* Home for a moment, nobody heard of it, and then nowhere: packets go nowhere, too. */
static void home_was_left_before_it_was_told(void **state)
{
	(void)state;
	struct rig *g = rig_started(true, false);
	links(g, true, false, true);
	links(g, false, false, true);
	pass(g, 100 * MS);
	links(g, false, false, false);
	assert_null(g->active);
	assert_int_equal(mover_place(g->m), MOVER_DETACHED);
	rig_free(g);
}

/* --- silence */

static void a_stream_that_stops_is_looked_into(void **state)
{
	(void)state;
	struct rig *g = rig_started(true, true);
	/* We send nothing, and hear a lot. */
	for (int i = 0; i < 300; i++) {
		atomic_store(&g->wifi->in->last_us, g->now_us);
		pass(g, 10 * MS);
		for (; g->probe_count; g->probe_count--)
			mover_probe_reply(g->m, g->probes[g->probe_count - 1].conn,
					  g->probes[g->probe_count - 1].id, g->now_us);
	}
	usec_t t0 = g->now_us;
	clear(g);
	pass(g, 480 * MS);
	assert_int_equal(g->probe_count, 0);
	pass(g, 60 * MS); /* probe_idle_us is over */
	assert_int_equal(g->probe_count, 1);
	assert_ptr_equal(g->probes[0].conn, g->wifi);
	while (g->active == g->wifi && g->now_us < t0 + 10 * USEC_PER_SEC)
		pass(g, 10 * MS);
	assert_ptr_equal(g->active, g->cell);
	assert_true(g->now_us - t0 < 2500 * MS);
	rig_free(g);
}

/* What comes in does not say that ours arrive. */
static void a_stream_does_not_hide_a_dead_way_up(void **state)
{
	(void)state;
	struct rig *g = rig_started(true, true);
	usec_t t0 = g->now_us;
	while (g->active == g->wifi && g->now_us < t0 + 30 * USEC_PER_SEC) {
		atomic_store(&g->wifi->in->last_us, g->now_us);
		pass(g, 10 * MS);
		for (unsigned i = 0; i < g->probe_count; i++)
			if (g->probes[i].conn == g->cell)
				probe_answer(g, g->cell);
		g->probe_count = 0;
	}
	assert_ptr_equal(g->active, g->cell);
	assert_in_range(g->now_us - t0, 1, 10 * USEC_PER_SEC);
	rig_free(g);
}

static void an_idle_active_one_is_asked_every_five_seconds(void **state)
{
	(void)state;
	struct rig *g = rig_started(true, false);
	unsigned asked = 0;
	for (int i = 0; i < 6000; i++) {
		pass(g, 10 * MS);
		for (unsigned j = 0; j < g->probe_count; j++, asked++)
			mover_probe_reply(g->m, g->probes[j].conn, g->probes[j].id, g->now_us);
		g->probe_count = 0;
	}
	assert_in_range(asked, 11, 13);
	rig_free(g);
}

static void no_probes_before_the_first_registration(void **state)
{
	(void)state;
	struct rig *g = rig_new();
	links(g, true, true, false);
	pass(g, 30 * USEC_PER_SEC);
	assert_int_equal(g->probe_count, 0);
	accept_last(g);
	/* At once, and on the other one only: this one has answered. */
	assert_int_equal(g->probe_count, 1);
	struct conn *other = g->active == g->wifi ? g->cell : g->wifi;
	assert_ptr_equal(g->probes[0].conn, other);
	pass(g, 50 * MS);
	probe_answer(g, other);
	assert_int_equal(g->wifi->state, g->active == g->wifi ? CONN_ACTIVE : CONN_READY);
	assert_int_equal(g->cell->state, g->active == g->cell ? CONN_ACTIVE : CONN_READY);
	rig_free(g);
}

/* --- the timeline */

static void the_turns_of_silent_ones_are_one_move(void **state)
{
	(void)state;
	struct rig *g = rig_started(true, true);
	uint64_t id = last_move(g)->id;
	/* All is dead, without a word from the system. */
	for (int i = 0; i < 12000; i++) {
		atomic_store(&g->active->out->last_us, g->now_us);
		pass(g, 10 * MS);
	}
	const struct move *mv = last_move(g);
	assert_in_range(mv->id, id + 1, id + 2);
	assert_true(mv->tries > 15);
	char text[MOVE_TEXT_MAX];
	(void)snprintf(text, sizeof(text), "try %u: %s", mv->tries + 1, mv->to);
	unsigned notes = 0;
	for (unsigned i = 0; i < mv->event_count; i++) {
		if (mv->events[i].step == MOVE_NOTE)
			assert_string_equal(mv->events[i].text, text);
		notes += mv->events[i].step == MOVE_NOTE;
		if (i)
			assert_true(mv->events[i - 1].at_us <= mv->events[i].at_us);
	}
	assert_int_equal(notes, 1);
	assert_string_equal(mv->to, g->active->name);
	while (!g->sent_count || g->sent[g->sent_count - 1].conn != g->active) {
		clear(g);
		pass(g, 10 * MS);
	}
	accept_last(g);
	pass(g, 5 * USEC_PER_SEC);
	mv = last_move(g);
	assert_true(mv->done);
	assert_int_equal(mv->events[mv->event_count - 1].step, MOVE_REPLY);
	/* The next one is another one. */
	id = mv->id;
	links(g, g->active != g->wifi, g->active != g->cell, false);
	assert_int_equal(last_move(g)->id, id + 1);
	assert_int_equal(last_move(g)->tries, 0);
	rig_free(g);
}

static uint64_t lost_of_a_move(struct rig *g, uint64_t first, usec_t after_us)
{
	struct replay *window = &g->peer.space.window;
	pass(g, after_us);
	for (uint64_t i = first; i < 100; i++) /* from 1 on: its own number was the hello's */
		if (i != 60)
			(void)replay_mark(window, space_hello_number(0x5555) + i);
	pass(g, 3 * USEC_PER_SEC);
	assert_true(last_move(g)->done);
	return last_move(g)->lost;
}

static void what_is_lost_is_counted_from_the_switch(void **state)
{
	(void)state;
	/* A start: the numbers 1 to 9 were drawn before we could follow. */
	struct rig *g = rig_new();
	links(g, true, true, false);
	pass(g, 100 * MS);
	replay_reset(&g->peer.space.window, space_hello_number(0x5555), true);
	accept_last(g);
	assert_int_equal(last_move(g)->kind, MOVE_START);
	assert_int_equal(lost_of_a_move(g, 10, 100 * MS), 0);
	rig_free(g);
	/* A hello in the course of a move: the same. */
	g = rig_started(true, true);
	replay_reset(&g->peer.space.window, space_hello_number(0x4444), true);
	links(g, false, true, false);
	while (!g->sent_count || !g->sent[g->sent_count - 1].hello)
		pass(g, 10 * MS);
	replay_reset(&g->peer.space.window, space_hello_number(0x5555), true);
	accept_last(g);
	assert_int_equal(lost_of_a_move(g, 10, 100 * MS), 0);
	rig_free(g);
	/* Any other move: one is missing. */
	g = rig_started(true, true);
	replay_reset(&g->peer.space.window, space_hello_number(0x5555), true);
	links(g, false, true, false);
	pass(g, 100 * MS);
	accept_last(g);
	assert_int_equal(lost_of_a_move(g, 1, 100 * MS), 1);
	rig_free(g);
}

static void a_denial_is_no_proof_for_ever(void **state)
{
	(void)state;
	struct rig *g = rig_new();
	links(g, true, true, false);
	pass(g, 50 * MS);
	uint64_t id = (mip4_identification(WALL + g->now_us) & ~(uint64_t)UINT32_MAX) |
		      (g->sent[0].q4.identification & UINT32_MAX);
	reply_to(g, &g->sent[0], (struct answer){.code = MIP4_ID_MISMATCH, .id = id});
	/* Then nothing comes back any more: the other one gets its turn. */
	g->sent_count = 0;
	pass(g, 5 * USEC_PER_SEC);
	assert_ptr_equal(g->sent[g->sent_count - 1].conn, g->cell);
	rig_free(g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(another_network_behind_an_unknown_one),
	    cmocka_unit_test(home_is_home_while_its_neighbour_is_unknown),
	    cmocka_unit_test(a_deregistration_outlives_its_connection),
	    cmocka_unit_test(what_is_not_there_cannot_be_pinned),
	    cmocka_unit_test(detached_between_two_networks),
	    cmocka_unit_test(a_path_never_measured_is_asked_again_early),
	    cmocka_unit_test(early_ones_are_no_reason_to_leave),
	    cmocka_unit_test(a_slow_path_is_not_stale_before_its_time),
	    cmocka_unit_test(the_last_hello_settles_the_epochs),
	    cmocka_unit_test(home_was_left_before_it_was_told),
	    cmocka_unit_test(a_stream_that_stops_is_looked_into),
	    cmocka_unit_test(a_stream_does_not_hide_a_dead_way_up),
	    cmocka_unit_test(an_idle_active_one_is_asked_every_five_seconds),
	    cmocka_unit_test(no_probes_before_the_first_registration),
	    cmocka_unit_test(the_turns_of_silent_ones_are_one_move),
	    cmocka_unit_test(what_is_lost_is_counted_from_the_switch),
	    cmocka_unit_test(a_denial_is_no_proof_for_ever),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
