/* SPDX-License-Identifier: MIT */
/* The terminal's moves, event by event.  Two connections: "wifi" is preferred to "cell". */
#include "mover_rig.h"

/* --- start */

static void a_start_waits_for_the_reply(void **state)
{
	(void)state;
	struct rig *g = rig_new();
	links(g, true, false, false);
	assert_string_equal(g->trace, "r");
	const struct sent_request *s = &g->sent[0];
	assert_ptr_equal(s->conn, g->wifi);
	assert_true(s->hello != 0);
	assert_true(s->q4.ext.has_epoch);
	assert_int_equal(s->q4.ext.epoch, 0);
	assert_int_equal(s->q4.flags, MIP4_D | MIP4_T);
	assert_int_equal(s->q4.lifetime_s, 600);
	assert_memory_equal(s->q4.home, ((uint8_t[]){10, 0, 0, 9}), 4);
	assert_memory_equal(s->q4.care_of, ((uint8_t[]){192, 168, 1, 7}), 4);
	assert_int_equal(g->wifi->state, CONN_FORMING);
	pass(g, 100 * MS);
	accept_last(g);
	assert_string_equal(g->trace, "ra");
	assert_ptr_equal(g->active, g->wifi);
	assert_int_equal(g->epoch_number, space_hello_number(0x5555));
	assert_int_equal(g->wifi->state, CONN_ACTIVE);
	assert_true(atomic_load(&g->wifi->in->active));
	assert_int_equal(g->wifi->srtt_us, 100 * MS);
	usec_t expires;
	uint8_t code;
	assert_true(mover_registered(g->m, &(struct addr){.family = 4, .b = {10, 0, 0, 9}},
				     &expires, &code));
	assert_int_equal(expires, g->now_us + 600 * USEC_PER_SEC);
	assert_int_equal(mover_place(g->m), MOVER_AWAY);
	assert_int_equal(last_move(g)->kind, MOVE_START);
	rig_free(g);
}

static void unproven_ones_are_tried_in_order(void **state)
{
	(void)state;
	struct rig *g = rig_new();
	links(g, true, true, false);
	assert_int_equal(g->sent_count, 1);
	assert_ptr_equal(g->sent[0].conn, g->wifi);
	pass(g, 20 * USEC_PER_SEC);
	/* Nobody answers: cell had its turn, each with a hello of its own. */
	bool cell = false;
	for (unsigned i = 0; i < g->sent_count; i++) {
		cell |= g->sent[i].conn == g->cell;
		for (unsigned j = 0; j < i; j++) {
			assert_int_not_equal(g->sent[i].hello, g->sent[j].hello);
			assert_true(g->sent[i].q4.identification > g->sent[j].q4.identification);
		}
	}
	assert_true(cell);
	assert_null(g->active);
	rig_free(g);
}

static void without_epochs_packets_do_not_wait(void **state)
{
	(void)state;
	struct rig *g = rig_new();
	g->wifi->out->esn = false;
	links(g, true, false, false);
	assert_string_equal(g->trace, "ra");
	assert_int_equal(g->sent[0].hello, 0);
	assert_false(g->sent[0].q4.ext.has_epoch);
	rig_free(g);
}

/* --- moves */

static void make_before_break(void **state)
{
	(void)state;
	struct rig *g = rig_started(false, true);
	assert_ptr_equal(g->active, g->cell);
	links(g, true, true, false);
	pass(g, 10 * MS);
	assert_string_equal(g->trace, ""); /* a probe first */
	probe_answer(g, g->wifi);
	assert_string_equal(g->trace, "ra");
	assert_ptr_equal(g->sent[0].conn, g->wifi);
	assert_int_equal(g->sent[0].hello, 0);
	assert_ptr_equal(g->active, g->wifi);
	assert_int_equal(g->wifi->state, CONN_ACTIVE);
	assert_int_equal(g->cell->state, CONN_READY);
	/* What is in flight on the old one is taken for a while. */
	assert_true(atomic_load(&g->cell->in->active));
	pass(g, 10 * MS);
	accept_last(g);
	pass(g, 3 * USEC_PER_SEC);
	assert_false(atomic_load(&g->cell->in->active));
	assert_true(atomic_load(&g->wifi->in->active));
	assert_int_equal(last_move(g)->kind, MOVE_MAKE_BEFORE_BREAK);
	assert_string_equal(last_move(g)->from, "cell");
	assert_string_equal(last_move(g)->to, "wifi");
	assert_int_equal(last_move(g)->signalling_packets, 2);
	assert_true(last_move(g)->done);
	rig_free(g);
}

static void break_before_make_waits_for_nothing(void **state)
{
	(void)state;
	struct rig *g = rig_started(true, true);
	assert_ptr_equal(g->active, g->wifi);
	links(g, false, true, false);
	assert_string_equal(g->trace, "ra");
	assert_ptr_equal(g->active, g->cell);
	assert_int_equal(g->sent[0].hello, 0);
	assert_int_equal(g->wifi->state, CONN_STALE);
	atomic_store(&g->cell->out->first_us, g->now_us + 5 * MS);
	atomic_store(&g->cell->in->first_us, g->now_us + 104 * MS);
	pass(g, 104 * MS);
	accept_last(g);
	pass(g, 100 * MS);
	const struct move *mv = last_move(g);
	assert_int_equal(mv->kind, MOVE_BREAK_BEFORE_MAKE);
	assert_int_equal(mv->switch_us, 5 * MS);
	assert_true(mv->done);
	rig_free(g);
}

static void the_other_comes_later(void **state)
{
	(void)state;
	struct rig *g = rig_started(true, false);
	links(g, false, false, false);
	assert_string_equal(g->trace, "n");
	assert_int_equal(mover_place(g->m), MOVER_DETACHED);
	pass(g, 2 * USEC_PER_SEC);
	assert_int_equal(g->sent_count, 0);
	links(g, false, true, false);
	assert_string_equal(g->trace, "nra"); /* never used before, and at once */
	assert_ptr_equal(g->active, g->cell);
	rig_free(g);
}

static void another_address_on_the_same_interface(void **state)
{
	(void)state;
	struct rig *g = rig_started(true, false);
	g->list[0].addr = ip("192.168.1.99");
	mover_care_ofs(g->m, g->list, 1, "address", g->now_us, g->now_us);
	assert_string_equal(g->trace, "ra");
	assert_memory_equal(g->sent[0].q4.care_of, ((uint8_t[]){192, 168, 1, 99}), 4);
	rig_free(g);
}

static void the_same_list_again_changes_nothing(void **state)
{
	(void)state;
	struct rig *g = rig_started(true, true);
	unsigned attached = g->attach_count;
	links(g, true, true, false);
	assert_string_equal(g->trace, "");
	assert_int_equal(g->attach_count, attached);
	/* A second address does not either. */
	g->list[2] = care_of("wifi0", 2, "192.168.1.8");
	mover_care_ofs(g->m, g->list, 3, "address", g->now_us, g->now_us);
	assert_int_equal(g->attach_count, attached);
	rig_free(g);
}

static void pin_and_prefer(void **state)
{
	(void)state;
	struct rig *g = rig_started(true, true);
	pass(g, 500 * MS);
	mover_pin(g->m, g->cell, g->now_us);
	assert_ptr_equal(g->active, g->cell);
	/* The wish began it, not the link event of before. */
	assert_int_equal(last_move(g)->start_us, g->now_us);
	mover_pin(g->m, NULL, g->now_us);
	assert_ptr_equal(g->active, g->wifi);
	mover_prefer(g->m, g->cell, 0, g->now_us);
	assert_ptr_equal(g->active, g->cell);
	rig_free(g);
}

/* --- requests and replies */

static void a_lost_request_is_sent_again_after_the_round_trip(void **state)
{
	(void)state;
	struct rig *g = rig_started(true, true);
	uint32_t rto = conn_rto_us(g->cell, RTO);
	assert_in_range(rto, 100 * MS, 200 * MS);
	links(g, false, true, false);
	usec_t t0 = g->now_us;
	pass(g, 4 * USEC_PER_SEC);
	assert_true(g->sent_count >= 4);
	assert_int_equal(g->sent[1].at_us, t0 + rto);
	assert_int_equal(g->sent[2].at_us, t0 + 3ull * rto);
	assert_int_equal(g->sent[3].at_us, t0 + 7ull * rto);
	/* Two plain, then hello: the server may have restarted. */
	assert_int_equal(g->sent[0].hello, 0);
	assert_int_equal(g->sent[1].hello, 0);
	assert_true(g->sent[2].hello && g->sent[3].hello);
	assert_int_equal(g->sent[2].q4.ext.epoch, 0x5555);
	rig_free(g);
}

static void a_late_reply_to_any_of_the_last_four_counts(void **state)
{
	(void)state;
	for (unsigned which = 0; which < 4; which++) {
		struct rig *g = rig_started(true, false);
		g->list[0].addr = ip("192.168.1.99");
		mover_care_ofs(g->m, g->list, 1, "address", g->now_us, g->now_us);
		while (g->sent_count < 4)
			pass(g, 10 * MS);
		reply_to(g, &g->sent[which], (struct answer){.lifetime_s = 600});
		unsigned sent = g->sent_count;
		reply_to(g, &g->sent[3], (struct answer){.lifetime_s = 600});
		pass(g, 5 * USEC_PER_SEC);
		assert_int_equal(g->sent_count, sent);
		rig_free(g);
	}
}

static void what_is_not_the_reply_is_ignored(void **state)
{
	(void)state;
	struct rig *g = rig_new();
	links(g, true, true, false);
	pass(g, 50 * MS);
	const struct sent_request s = g->sent[0];
	struct sent_request other = s;
	struct answer ok = {.hello = true, .lifetime_s = 600};
	other.conn = g->cell; /* came on another connection */
	reply_to(g, &other, ok);
	other = s;
	other.q4.home[3] = 10; /* another home address */
	reply_to(g, &other, ok);
	ok.id = s.q4.identification + 1; /* never asked */
	reply_to(g, &s, ok);
	ok.id = 0;
	/* Every octet changed, every length. */
	struct mip4_reply r = {.lifetime_s = 600, .identification = s.q4.identification};
	memcpy(r.home, s.q4.home, 4);
	r.ext.has_auth = true;
	r.ext.auth_spi = SPI;
	uint8_t msg[512];
	size_t off, len = mip4_write_reply(msg, sizeof(msg), &r, &off);
	assert_int_equal(mac_compute(key, sizeof(key), msg, off, msg + off), 0);
	for (size_t i = 0; i < len; i++) {
		mover_reply4(g->m, g->wifi, msg, i, true, space_hello_number(1), g->now_us);
		msg[i] ^= 0x20;
		mover_reply4(g->m, g->wifi, msg, len, true, space_hello_number(1), g->now_us);
		msg[i] ^= 0x20;
	}
	assert_null(g->active);
	assert_int_equal(g->epoch_number, 0);
	mover_reply4(g->m, g->wifi, msg, len, true, space_hello_number(1), g->now_us);
	assert_ptr_equal(g->active, g->wifi);
	/* The same once more begins no other epoch. */
	mover_reply4(g->m, g->wifi, msg, len, true, space_hello_number(2), g->now_us);
	assert_int_equal(g->epoch_number, space_hello_number(1));
	rig_free(g);
}

static void a_later_hello_reply_is_the_last_word(void **state)
{
	(void)state;
	struct rig *g = rig_new();
	links(g, true, false, false);
	while (g->sent_count < 2)
		pass(g, 10 * MS);
	reply_to(g, &g->sent[0], (struct answer){.hello = true, .lifetime_s = 600});
	assert_ptr_equal(g->active, g->wifi);
	/* The server answered the retransmission too and began another epoch with that. */
	g->epoch_number = 0;
	reply_to(g, &g->sent[1], (struct answer){.hello = true, .lifetime_s = 600});
	assert_int_equal(g->epoch_number, space_hello_number(0x5555));
	/* In the other order the earlier one is history. */
	rig_free(g);
	g = rig_new();
	links(g, true, false, false);
	while (g->sent_count < 2)
		pass(g, 10 * MS);
	reply_to(g, &g->sent[1], (struct answer){.hello = true, .lifetime_s = 600});
	g->epoch_number = 0;
	reply_to(g, &g->sent[0], (struct answer){.hello = true, .lifetime_s = 600});
	assert_int_equal(g->epoch_number, 0);
	rig_free(g);
}

static void code_133_sets_the_clock(void **state)
{
	(void)state;
	struct rig *g = rig_started(true, false);
	g->clock_us = -3600ll * USEC_PER_SEC;
	g->list[0].addr = ip("192.168.1.99");
	mover_care_ofs(g->m, g->list, 1, "address", g->now_us, g->now_us);
	pass(g, 100 * MS);
	assert_int_equal(g->sent_count, 1);
	uint64_t ours = mip4_identification(WALL + g->now_us);
	uint64_t id = (ours & ~(uint64_t)UINT32_MAX) | (g->sent[0].q4.identification & UINT32_MAX);
	reply_to(g, &g->sent[0], (struct answer){.code = 133, .id = id});
	assert_int_equal(g->sent_count, 2); /* at once */
	int64_t apart = (int64_t)(g->sent[1].q4.identification >> 32) - (int64_t)(ours >> 32);
	assert_in_range(apart + 1, 0, 2);
	accept_last(g);
	assert_true(
	    mover_registered(g->m, &(struct addr){.family = 4, .b = {10, 0, 0, 9}}, NULL, NULL));
	rig_free(g);
}

static void code_133_is_answered_three_times_a_second(void **state)
{
	(void)state;
	struct rig *g = rig_started(true, false);
	g->list[0].addr = ip("192.168.1.99");
	mover_care_ofs(g->m, g->list, 1, "address", g->now_us, g->now_us);
	for (int i = 0; i < 20; i++) {
		const struct sent_request *s = &g->sent[g->sent_count - 1];
		uint64_t id = (mip4_identification(WALL + g->now_us) & ~(uint64_t)UINT32_MAX) |
			      (s->q4.identification & UINT32_MAX);
		reply_to(g, s, (struct answer){.code = 133, .id = id});
	}
	assert_int_equal(g->sent_count, 4);
	/* Each goes further ahead: the server has accepted a later one before. */
	assert_true(g->sent[3].q4.identification >> 32 >= (g->sent[1].q4.identification >> 32) + 3);
	rig_free(g);
}

static void a_denial_waits(void **state)
{
	(void)state;
	struct rig *g = rig_new();
	links(g, true, false, false);
	usec_t t0 = g->now_us;
	static const uint32_t waits_s[] = {10, 20, 40, 80, 120, 120};
	for (size_t i = 0; i < ARRAY_LEN(waits_s); i++) {
		assert_int_equal(g->sent_count, i + 1);
		reply_to(g, &g->sent[i], (struct answer){.code = MIP4_PROHIBITED});
		pass(g, (usec_t)waits_s[i] * USEC_PER_SEC - 1);
		assert_int_equal(g->sent_count, i + 1);
		pass(g, 1);
	}
	assert_true(g->now_us > t0);
	assert_null(g->active);
	uint8_t code;
	assert_false(
	    mover_registered(g->m, &(struct addr){.family = 4, .b = {10, 0, 0, 9}}, NULL, &code));
	assert_int_equal(code, MIP4_PROHIBITED);
	rig_free(g);
}

static void registers_again_at_half_the_lifetime(void **state)
{
	(void)state;
	struct rig *g = rig_new();
	links(g, true, false, false);
	reply_to(g, &g->sent[0], (struct answer){.hello = true, .lifetime_s = 5});
	usec_t t0 = g->now_us;
	clear(g);
	while (!g->sent_count) {
		pass(g, 10 * MS);
		atomic_store(&g->wifi->in->last_us, g->now_us);
		if (g->probe_count)
			probe_answer(g, g->wifi);
	}
	assert_in_range(g->sent[0].at_us - t0, 2200 * MS, 2500 * MS);
	assert_int_equal(g->sent[0].hello, 0);
	rig_free(g);
}

/* --- two families */

static void one_hello_at_a_time(void **state)
{
	(void)state;
	struct mover_config cfg = config();
	cfg.home_count = 2;
	cfg.homes[0] = ip("fd00::9");
	cfg.homes[1] = ip("10.0.0.9");
	struct rig *g = rig_with(&cfg);
	links(g, true, false, false);
	pass(g, 200 * MS);
	assert_int_equal(g->sent_count, 1);
	assert_int_equal(g->sent[0].family, 4);
	accept_last(g);
	assert_int_equal(g->sent_count, 2);
	assert_int_equal(g->sent[1].family, 6);
	assert_int_equal(g->sent[1].hello, 0);
	assert_int_equal(g->sent[1].q6.flags, MIP6_A | MIP6_H);
	assert_int_equal(g->sent[1].q6.lifetime_4s, 150);
	accept_last(g);
	struct addr home6 = ip("fd00::9");
	assert_true(mover_registered(g->m, &home6, NULL, NULL));
	/* Denied, the first does not hold the second. */
	rig_free(g);
	g = rig_with(&cfg);
	links(g, true, false, false);
	reply_to(g, &g->sent[0], (struct answer){.code = MIP4_PROHIBITED});
	assert_int_equal(g->sent_count, 2);
	assert_int_equal(g->sent[1].family, 6);
	assert_true(g->sent[1].hello != 0);
	rig_free(g);
}

static void a_sequence_out_of_window_is_mended(void **state)
{
	(void)state;
	struct mover_config cfg = config();
	cfg.homes[0] = ip("fd00::9");
	struct rig *g = rig_with(&cfg);
	links(g, true, false, false);
	assert_int_equal(g->sent[0].hello, (WALL + g->now_us) / USEC_PER_SEC & UINT32_MAX);
	struct mip6_ack ack = {.status = MIP6_SEQUENCE_OUT_OF_WINDOW, .sequence = 4000};
	struct addr ha = ip("fd00::1"), home = ip("fd00::9");
	uint8_t msg[512];
	size_t len = mip6_write_ack(msg, sizeof(msg), &ha, &home, &ack);
	mover_reply6(g->m, g->wifi, &ha, &home, msg, len, false, 9, g->now_us);
	assert_int_equal(g->sent_count, 2);
	assert_int_equal(g->sent[1].q6.sequence, 4001);
	accept_last(g);
	assert_true(mover_registered(g->m, &home, NULL, NULL));
	rig_free(g);
}

static void a_hello_acknowledgement_names_our_hello(void **state)
{
	(void)state;
	struct mover_config cfg = config();
	cfg.homes[0] = ip("fd00::9");
	struct rig *g = rig_with(&cfg);
	struct addr ha = ip("fd00::1"), home = ip("fd00::9");
	links(g, true, false, false);
	const struct sent_request s = g->sent[0];
	const struct {
		uint8_t status, count, code;
		uint16_t sequence;
		uint32_t epoch;
	} wrong[] = {
	    {0, 0, 0, s.q6.sequence, 0},
	    {0, 1, 0, s.q6.sequence, s.hello - 1},
	    {0, 1, 0, s.q6.sequence, 0},
	    {0, 1, 0, (uint16_t)(s.q6.sequence + 1), s.hello},
	    {0, 1, 129, s.q6.sequence, s.hello},
	    {129, 0, 0, s.q6.sequence, 0},
	    {128, 1, 133, s.q6.sequence, s.hello + 1000},
	    {135, 0, 0, 4000, 0},
	    {135, 1, 0, 4000, s.hello},
	};
	for (size_t i = 0; i <= ARRAY_LEN(wrong); i++) {
		struct mip6_ack ack = {.lifetime_4s = 75, .sequence = s.q6.sequence};
		ack.result_count = 1;
		ack.results[0].spi = s.hello;
		if (i < ARRAY_LEN(wrong)) {
			ack.status = wrong[i].status;
			ack.sequence = wrong[i].sequence;
			ack.result_count = wrong[i].count;
			ack.results[0].spi = wrong[i].epoch;
			ack.results[0].code = wrong[i].code;
		}
		uint8_t msg[512];
		size_t len = mip6_write_ack(msg, sizeof(msg), &ha, &home, &ack);
		mover_reply6(g->m, g->wifi, &ha, &home, msg, len, true, space_hello_number(77),
			     g->now_us);
		assert_int_equal(g->sent_count, 1);
		assert_int_equal(g->epoch_number,
				 i < ARRAY_LEN(wrong) ? 0 : space_hello_number(77));
	}
	assert_true(mover_registered(g->m, &home, NULL, NULL));
	rig_free(g);
}

static void a_hello_out_of_time_is_mended(void **state)
{
	(void)state;
	struct mover_config cfg = config();
	cfg.homes[0] = ip("fd00::9");
	struct rig *g = rig_with(&cfg);
	struct addr ha = ip("fd00::1"), home = ip("fd00::9");
	links(g, true, false, false);
	struct mip6_ack ack = {
	    .status = MIP6_UNSPECIFIED, .sequence = g->sent[0].q6.sequence, .result_count = 2};
	ack.results[0].spi = g->sent[0].hello;
	ack.results[1].spi = g->sent[0].hello + 5000;
	ack.results[1].code = MIP4_ID_MISMATCH;
	uint8_t msg[512];
	size_t len = mip6_write_ack(msg, sizeof(msg), &ha, &home, &ack);
	mover_reply6(g->m, g->wifi, &ha, &home, msg, len, true, space_hello_number(77), g->now_us);
	assert_int_equal(g->epoch_number, 0);
	assert_int_equal(g->sent_count, 2);
	assert_int_equal(g->sent[1].hello, g->sent[0].hello + 5000);
	rig_free(g);
}

/* --- silence */

static void a_silent_path_is_left(void **state)
{
	(void)state;
	struct rig *g = rig_started(true, true);
	usec_t t0 = g->now_us;
	/* We send and hear nothing. */
	while (g->active == g->wifi && g->now_us < t0 + 10 * USEC_PER_SEC) {
		atomic_store(&g->wifi->out->last_us, g->now_us);
		pass(g, 10 * MS);
	}
	assert_ptr_equal(g->active, g->cell);
	assert_true(g->now_us - t0 < 3 * USEC_PER_SEC);
	assert_int_equal(g->wifi->state, CONN_STALE);
	accept_last(g);
	/* It answers again: not before it has done so for 2 s is it taken. */
	clear(g);
	while (!g->probe_count)
		pass(g, 10 * MS);
	probe_answer(g, g->wifi);
	assert_int_equal(g->wifi->state, CONN_READY);
	usec_t t1 = g->now_us;
	while (g->active == g->cell && g->now_us < t1 + 10 * USEC_PER_SEC) {
		atomic_store(&g->cell->in->last_us, g->now_us);
		pass(g, 10 * MS);
	}
	assert_ptr_equal(g->active, g->wifi);
	assert_in_range(g->now_us - t1, 1990 * MS, 2100 * MS);
	rig_free(g);
}

static void an_idle_path_is_not_silent(void **state)
{
	(void)state;
	struct rig *g = rig_started(true, true);
	for (int i = 0; i < 6000; i++) {
		pass(g, 10 * MS);
		assert_in_range(g->probe_count, 0, 2);
		for (unsigned j = 0; j < g->probe_count; j++)
			mover_probe_reply(g->m, g->probes[j].conn, g->probes[j].id, g->now_us);
		g->probe_count = 0;
	}
	assert_ptr_equal(g->active, g->wifi);
	assert_int_equal(g->wifi->state, CONN_ACTIVE);
	assert_int_equal(g->cell->state, CONN_READY);
	rig_free(g);
}

static void alone_and_silent_it_keeps_asking(void **state)
{
	(void)state;
	struct rig *g = rig_started(true, false);
	pass(g, 20 * USEC_PER_SEC);
	atomic_store(&g->wifi->out->last_us, g->now_us);
	assert_int_equal(g->wifi->state, CONN_STALE);
	assert_ptr_equal(g->active, g->wifi);
	clear(g);
	pass(g, 6 * USEC_PER_SEC);
	assert_in_range(g->sent_count, 1, 3);
	assert_true(g->sent[0].hello != 0);
	accept_last(g);
	assert_int_equal(g->wifi->state, CONN_ACTIVE);
	rig_free(g);
}

static void requests_unanswered_give_the_other_its_turn(void **state)
{
	(void)state;
	struct rig *g = rig_started(true, false);
	links(g, false, false, false);
	clear(g);
	links(g, true, true, false);
	usec_t t0 = g->now_us;
	assert_ptr_equal(g->active, g->wifi);
	pass(g, 3 * USEC_PER_SEC);
	assert_ptr_equal(g->active, g->cell);
	assert_true(g->now_us > t0);
	assert_int_equal(g->wifi->state, CONN_STALE);
	rig_free(g);
}

static void probes_of_others_are_not_answers(void **state)
{
	(void)state;
	struct rig *g = rig_started(false, true);
	links(g, true, true, false);
	pass(g, 10 * MS);
	mover_probe_reply(g->m, g->wifi, 0, g->now_us);
	mover_probe_reply(g->m, g->wifi, g->probes[0].id + 1, g->now_us);
	mover_probe_reply(g->m, g->cell, g->probes[0].id, g->now_us);
	assert_ptr_equal(g->active, g->cell);
	assert_int_equal(g->wifi->state, CONN_FORMING);
	rig_free(g);
}

/* --- home */

static void coming_home_and_leaving(void **state)
{
	(void)state;
	struct rig *g = rig_started(true, false);
	links(g, true, false, true);
	assert_string_equal(g->trace, "hr"); /* native at once */
	assert_true(g->home);
	assert_int_equal(mover_place(g->m), MOVER_HOME);
	assert_ptr_equal(g->sent[0].conn, g->wifi); /* the only one that can carry it */
	assert_int_equal(g->sent[0].q4.lifetime_s, 0);
	assert_memory_equal(g->sent[0].q4.care_of, g->sent[0].q4.home, 4);
	pass(g, 100 * MS);
	reply_to(g, &g->sent[0], (struct answer){0});
	assert_string_equal(g->trace, "hrn");
	assert_null(g->active);
	assert_int_equal(g->wifi->state, CONN_READY);
	assert_int_equal(last_move(g)->kind, MOVE_HOME);
	assert_false(
	    mover_registered(g->m, &(struct addr){.family = 4, .b = {10, 0, 0, 9}}, NULL, NULL));
	pass(g, 5 * USEC_PER_SEC);
	clear(g);
	links(g, true, false, false);
	assert_string_equal(g->trace, "lra");
	assert_ptr_equal(g->active, g->wifi);
	assert_int_equal(last_move(g)->kind, MOVE_LEAVE_HOME);
	assert_string_equal(last_move(g)->from, "home");
	rig_free(g);
}

static void home_without_a_way_to_say_so(void **state)
{
	(void)state;
	struct rig *g = rig_started(true, false);
	links(g, false, false, true);
	assert_string_equal(g->trace, "hn");
	assert_null(g->active);
	/* A connection that comes up later says it. */
	links(g, false, true, true);
	assert_string_equal(g->trace, "hnr");
	assert_ptr_equal(g->sent[0].conn, g->cell);
	assert_int_equal(g->sent[0].q4.lifetime_s, 0);
	rig_free(g);
}

static void home_and_nobody_answers(void **state)
{
	(void)state;
	struct rig *g = rig_started(true, false);
	links(g, true, false, true);
	pass(g, 60 * USEC_PER_SEC);
	assert_null(g->active);
	assert_true(g->sent_count >= 6);
	for (unsigned i = 0; i < g->sent_count; i++)
		assert_int_equal(g->sent[i].q4.lifetime_s, 0);
	rig_free(g);
}

/* --- networks and attaching */

static void a_network_is_waited_for(void **state)
{
	(void)state;
	struct rig *g = rig_new();
	struct conn *office = rig_conn(g, "office", 300);
	struct mover_connection c = {.conn = office,
				     .interface = "eth0",
				     .has_network = true,
				     .network = {.gateway = {9, 9, 9, 9, 9, 9}},
				     .preference = 0};
	assert_int_equal(mover_add(g->m, &c, g->now_us), 0);
	assert_int_equal(mover_add(g->m, &c, g->now_us), -EEXIST);
	struct care_of co = care_of("eth0", 4, "172.16.0.5");
	memset(&co.network, 0, sizeof(co.network));
	mover_care_ofs(g->m, &co, 1, "up", g->now_us, g->now_us);
	assert_int_equal(g->attach_count, 0);
	memset(co.network.gateway, 8, 6); /* another one */
	mover_care_ofs(g->m, &co, 1, "neighbour", g->now_us, g->now_us);
	assert_int_equal(g->attach_count, 0);
	memset(co.network.gateway, 9, 6);
	mover_care_ofs(g->m, &co, 1, "neighbour", g->now_us, g->now_us);
	assert_int_equal(g->attach_count, 1);
	assert_ptr_equal(g->sent[0].conn, office);
	assert_memory_equal(&office->network, &c.network, sizeof(c.network));
	/* The same address in another network is another place. */
	memset(co.network.gateway, 8, 6);
	mover_care_ofs(g->m, &co, 1, "neighbour", g->now_us, g->now_us);
	assert_int_equal(mover_place(g->m), MOVER_DETACHED);
	rig_free(g);
}

static void a_network_that_becomes_known_is_no_move(void **state)
{
	(void)state;
	struct rig *g = rig_new();
	struct care_of co = care_of("wifi0", 2, "192.168.1.7");
	memset(&co.network, 0, sizeof(co.network));
	mover_care_ofs(g->m, &co, 1, "up", g->now_us, g->now_us);
	accept_last(g);
	clear(g);
	memset(co.network.gateway, 8, 6);
	mover_care_ofs(g->m, &co, 1, "neighbour", g->now_us, g->now_us);
	assert_string_equal(g->trace, "");
	assert_int_equal(g->attach_count, 1);
	assert_int_equal(g->wifi->network.gateway[0], 8);
	memset(co.network.gateway, 7, 6);
	mover_care_ofs(g->m, &co, 1, "neighbour", g->now_us, g->now_us);
	assert_string_equal(g->trace, "ra");
	rig_free(g);
}

static void the_family_must_fit(void **state)
{
	(void)state;
	struct rig *g = rig_new();
	struct care_of co[2] = {care_of("wifi0", 2, "2001:db8::7"),
				care_of("wifi0", 2, "169.254.3.3")};
	mover_care_ofs(g->m, co, 1, "up", g->now_us, g->now_us);
	assert_int_equal(g->attach_count, 0);
	/* Link-local, for want of anything else. */
	mover_care_ofs(g->m, co, 2, "up", g->now_us, g->now_us);
	assert_int_equal(g->attach_count, 1);
	co[0] = care_of("wifi0", 2, "192.168.1.7");
	mover_care_ofs(g->m, co, 2, "up", g->now_us, g->now_us);
	assert_int_equal(g->attach_count, 2);
	assert_true(addr_equal(&g->wifi->care_of.addr, &co[0].addr));
	rig_free(g);
}

static void attaching_takes_time_or_fails(void **state)
{
	(void)state;
	struct rig *g = rig_new();
	g->attach_waits = true;
	links(g, true, false, false);
	pass(g, 5 * USEC_PER_SEC);
	assert_int_equal(g->sent_count, 0);
	mover_attached(g->m, g->wifi, false, g->now_us);
	g->attach_waits = false;
	g->attach_fails = true;
	pass(g, 10 * USEC_PER_SEC);
	assert_in_range(g->attach_count, 3, 5); /* after 1, 2, 4 s */
	assert_int_equal(g->sent_count, 0);
	g->attach_fails = false;
	pass(g, 10 * USEC_PER_SEC);
	assert_true(g->sent_count > 0);
	rig_free(g);
}

static void a_removed_connection_is_forgotten(void **state)
{
	(void)state;
	struct rig *g = rig_started(true, true);
	mover_remove(g->m, g->wifi, g->now_us);
	conn_table_remove(g->table, g->wifi);
	assert_ptr_equal(g->active, g->cell);
	accept_last(g);
	pass(g, 5 * USEC_PER_SEC);
	mover_remove(g->m, g->cell, g->now_us);
	conn_table_remove(g->table, g->cell);
	assert_null(g->active);
	assert_int_equal(mover_place(g->m), MOVER_DETACHED);
	pass(g, 700 * USEC_PER_SEC);
	rig_free(g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_start_waits_for_the_reply),
	    cmocka_unit_test(unproven_ones_are_tried_in_order),
	    cmocka_unit_test(without_epochs_packets_do_not_wait),
	    cmocka_unit_test(make_before_break),
	    cmocka_unit_test(break_before_make_waits_for_nothing),
	    cmocka_unit_test(the_other_comes_later),
	    cmocka_unit_test(another_address_on_the_same_interface),
	    cmocka_unit_test(the_same_list_again_changes_nothing),
	    cmocka_unit_test(pin_and_prefer),
	    cmocka_unit_test(a_lost_request_is_sent_again_after_the_round_trip),
	    cmocka_unit_test(a_late_reply_to_any_of_the_last_four_counts),
	    cmocka_unit_test(what_is_not_the_reply_is_ignored),
	    cmocka_unit_test(a_later_hello_reply_is_the_last_word),
	    cmocka_unit_test(code_133_sets_the_clock),
	    cmocka_unit_test(code_133_is_answered_three_times_a_second),
	    cmocka_unit_test(a_denial_waits),
	    cmocka_unit_test(registers_again_at_half_the_lifetime),
	    cmocka_unit_test(one_hello_at_a_time),
	    cmocka_unit_test(a_sequence_out_of_window_is_mended),
	    cmocka_unit_test(a_hello_acknowledgement_names_our_hello),
	    cmocka_unit_test(a_hello_out_of_time_is_mended),
	    cmocka_unit_test(a_silent_path_is_left),
	    cmocka_unit_test(an_idle_path_is_not_silent),
	    cmocka_unit_test(alone_and_silent_it_keeps_asking),
	    cmocka_unit_test(requests_unanswered_give_the_other_its_turn),
	    cmocka_unit_test(probes_of_others_are_not_answers),
	    cmocka_unit_test(coming_home_and_leaving),
	    cmocka_unit_test(home_without_a_way_to_say_so),
	    cmocka_unit_test(home_and_nobody_answers),
	    cmocka_unit_test(a_network_is_waited_for),
	    cmocka_unit_test(a_network_that_becomes_known_is_no_move),
	    cmocka_unit_test(the_family_must_fit),
	    cmocka_unit_test(attaching_takes_time_or_fails),
	    cmocka_unit_test(a_removed_connection_is_forgotten),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
