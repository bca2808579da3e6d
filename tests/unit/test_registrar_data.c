/* SPDX-License-Identifier: MIT */
/* Registration by data, which kinds of registration are allowed, and how long it lasts. */
#include "registrar_rig.h"

#define MAY_DATA (BINDING_MAY_DEFAULT | BINDING_MAY(BINDING_BY_DATA))

/* With sequence spaces, as by-data registration needs them. */
static struct rig *data_rig(uint8_t may, uint16_t drain_s)
{
	struct rig *g = rig_new(2);
	space_init(&g->peer_a.space, 1024);
	for (int i = 0; i < 3; i++) {
		g->a[i]->in->space = &g->peer_a.space;
	}
	registrar_set_policy(registrar_find(g->r, "a"), may, drain_s);
	return g;
}

static void data_rig_free(struct rig *g)
{
	space_clear(&g->peer_a.space);
	rig_free(g);
}

/* An authentic packet of this number came on c, as the packet path has it. */
static void heard(struct rig *g, struct conn *c, uint64_t number)
{
	assert_int_equal(replay_mark(&g->peer_a.space.window, number), REPLAY_NEW);
	if (number > atomic_load(&c->in->newest))
		atomic_store(&c->in->newest, number);
	atomic_store(&c->in->last_us, g->now_us);
}

static enum registrar_data_verdict data(struct rig *g, struct conn *c, uint64_t number)
{
	struct registrar_data d = {
	    .conn = c, .number = number, .now_us = g->now_us, .wall_us = WALL + g->now_us};
	clear(g);
	heard(g, c, number);
	return registrar_data(g->r, &d);
}

static void data_moves_every_home_address(void **state)
{
	(void)state;
	struct rig *g = data_rig(MAY_DATA, 0);
	assert_int_equal(data(g, g->a[0], 1), REGISTRAR_DATA_MOVED);
	assert_string_equal(g->trace, "BB"); /* and no reply */
	assert_string_equal(rig_bound(g, "10.0.0.9"), "a0");
	assert_string_equal(rig_bound(g, "fd00::9"), "a0");
	assert_int_equal(data(g, g->a[0], 2), REGISTRAR_DATA_SAME);
	assert_int_equal(data(g, g->a[1], 3), REGISTRAR_DATA_MOVED);
	assert_string_equal(rig_bound(g, "10.0.0.9"), "a1");
	assert_string_equal(rig_bound(g, "fd00::9"), "a1");
	assert_string_equal(binding_why_text(rig_binding(g, "fd00::9")->why), "data");
	assert_string_equal(moves_at(g->moves, 1)->by, "data");
	assert_int_equal(moves_at(g->moves, 1)->signalling_packets, 0);
	assert_true(moves_at(g->moves, 1)->done);
	assert_int_equal(registrar_counters(g->r)->by_data, 2);
	data_rig_free(g);
}

static void an_older_packet_moves_nothing_back(void **state)
{
	(void)state;
	struct rig *g = data_rig(MAY_DATA, 0);
	assert_int_equal(data(g, g->a[0], 1), REGISTRAR_DATA_MOVED);
	assert_int_equal(data(g, g->a[1], 10), REGISTRAR_DATA_MOVED);
	/* Of those that control is told of late: a1 was heard with a newer one meanwhile. */
	assert_int_equal(data(g, g->a[0], 9), REGISTRAR_DATA_LATE);
	heard(g, g->a[1], 20);
	assert_int_equal(data(g, g->a[0], 19), REGISTRAR_DATA_LATE);
	assert_string_equal(rig_bound(g, "10.0.0.9"), "a1");
	assert_int_equal(data(g, g->a[0], 21), REGISTRAR_DATA_MOVED);
	/* A spare one that only was asked says nothing about what is used. */
	heard(g, g->a[2], 30);
	assert_int_equal(data(g, g->a[1], 29), REGISTRAR_DATA_MOVED);
	data_rig_free(g);
}

static void numbers_of_an_old_epoch_hold_nothing_up(void **state)
{
	(void)state;
	struct rig *g = data_rig(MAY_DATA, 0);
	uint64_t old = space_hello_number(0x8000), fresh = space_hello_number(0x20);
	assert_int_equal(data(g, g->a[0], old), REGISTRAR_DATA_MOVED);
	replay_reset(&g->peer_a.space.window, fresh, true);
	assert_int_equal(data(g, g->a[1], fresh + 1), REGISTRAR_DATA_MOVED);
	data_rig_free(g);
}

static void what_is_not_allowed_is_denied_and_counted(void **state)
{
	(void)state;
	struct rig *g = data_rig(BINDING_MAY_DEFAULT, 0);
	struct mip4_request q = request(g);
	assert_int_equal(ask(g, g->a[0], &q), MIP4_ACCEPTED);
	assert_int_equal(data(g, g->a[1], 7), REGISTRAR_DATA_DENIED);
	assert_int_equal(registrar_counters(g->r)->data_denied, 1);
	assert_string_equal(g->trace, "");
	assert_string_equal(rig_bound(g, "10.0.0.9"), "a0");

	registrar_set_policy(registrar_find(g->r, "a"), BINDING_MAY(BINDING_BY_DATA), 0);
	q = request(g);
	assert_int_equal(ask(g, g->a[1], &q), MIP4_PROHIBITED);
	struct registrar_setup s = {.conn = g->a[1], .now_us = g->now_us, .wall_us = WALL};
	uint16_t granted_s;
	assert_int_equal(registrar_set_up(g->r, &s, &granted_s), MIP4_PROHIBITED);
	assert_string_equal(rig_bound(g, "10.0.0.9"), "a0");
	assert_int_equal(data(g, g->a[1], 8), REGISTRAR_DATA_MOVED);
	/* Whoever may not register may still end what there is. */
	q = request(g);
	q.lifetime_s = 0;
	memcpy(q.care_of, q.home, sizeof(q.care_of));
	heard(g, g->a[1], 9);
	uint8_t msg[512];
	struct registrar_arrival a = {.conn = g->a[1],
				      .src = ip4("10.0.0.9"),
				      .dst = ip4("10.0.0.1"),
				      .number = 9,
				      .now_us = g->now_us,
				      .wall_us = WALL + g->now_us};
	size_t len = seal(&q, key_a, sizeof(key_a), msg);
	registrar_request4(g->r, &a, 434, msg, len);
	assert_string_equal(rig_bound(g, "10.0.0.9"), "");
	/* and what was under way then does not undo that; only who says so comes back. */
	struct registrar_data d = {.conn = g->a[1], .number = 10, .now_us = g->now_us};
	assert_int_equal(registrar_data(g->r, &d), REGISTRAR_DATA_LATE);
	d.said = true;
	assert_int_equal(registrar_data(g->r, &d), REGISTRAR_DATA_MOVED);
	d.conn = g->a[0];
	d.said = false;
	d.number = 11;
	assert_int_equal(registrar_data(g->r, &d), REGISTRAR_DATA_MOVED);
	data_rig_free(g);
}

static void without_a_common_row_of_numbers_nothing_moves(void **state)
{
	(void)state;
	struct rig *g = data_rig(MAY_DATA, 0);
	struct registrar_data d = {.conn = g->a[1], .number = 5, .now_us = g->now_us};
	g->a[1]->in->space = &g->a[1]->in->own_space; /* no ESN */
	assert_int_equal(registrar_data(g->r, &d), REGISTRAR_DATA_DENIED);
	g->a[1]->in->space = &g->peer_a.space;
	g->peer_a.space.window.packets = 0; /* no replay window */
	assert_int_equal(registrar_data(g->r, &d), REGISTRAR_DATA_DENIED);
	g->peer_a.space.window.packets = 1024;
	free(g->a[1]->out->path); /* nobody knows where it is */
	g->a[1]->out->path = NULL;
	assert_int_equal(registrar_data(g->r, &d), REGISTRAR_DATA_LATE);
	assert_string_equal(rig_bound(g, "10.0.0.9"), "");
	data_rig_free(g);
}

static int ask_numbered(struct rig *g, struct conn *c, struct mip4_request *q, uint64_t number)
{
	uint8_t msg[512];
	clear(g);
	struct registrar_arrival a = {.conn = c,
				      .src = ip4("10.0.0.9"),
				      .dst = ip4("10.0.0.1"),
				      .number = number,
				      .now_us = g->now_us,
				      .wall_us = WALL + g->now_us};
	heard(g, c, number);
	registrar_request4(g->r, &a, 434, msg, seal(q, key_a, sizeof(key_a), msg));
	return g->replies ? g->reply.code : -1;
}

static void a_request_that_data_overtook_is_past(void **state)
{
	(void)state;
	struct rig *g = data_rig(MAY_DATA, 0);
	assert_int_equal(data(g, g->a[1], 20), REGISTRAR_DATA_MOVED);
	struct mip4_request q = request(g);
	assert_int_equal(ask_numbered(g, g->a[0], &q, 10), -1);
	assert_int_equal(registrar_counters(g->r)->overtaken, 1);
	q = request(g);
	q.lifetime_s = 0; /* nor does a late one end it */
	assert_int_equal(ask_numbered(g, g->a[0], &q, 11), -1);
	assert_string_equal(rig_bound(g, "10.0.0.9"), "a1");
	q = request(g);
	assert_int_equal(ask_numbered(g, g->a[0], &q, 21), MIP4_ACCEPTED);
	assert_string_equal(rig_bound(g, "10.0.0.9"), "a0");
	/* Among requests their own order counts, as ever. */
	heard(g, g->a[0], 30);
	q = request(g);
	assert_int_equal(ask_numbered(g, g->a[1], &q, 29), MIP4_ACCEPTED);
	data_rig_free(g);
}

static void it_lasts_while_it_is_heard(void **state)
{
	(void)state;
	struct rig *g = data_rig(MAY_DATA, 0);
	assert_int_equal(data(g, g->a[0], 1), REGISTRAR_DATA_MOVED);
	usec_t begun = g->now_us;
	g->now_us += (LIFE - 10) * USEC_PER_SEC;
	heard(g, g->a[0], 2);
	usec_t end = g->now_us + LIFE * USEC_PER_SEC;
	assert_int_equal(registrar_tick(g->r, begun + LIFE * USEC_PER_SEC), end);
	assert_string_equal(rig_bound(g, "fd00::9"), "a0");
	assert_int_equal(registrar_tick(g->r, end), USEC_NEVER);
	assert_string_equal(rig_bound(g, "10.0.0.9"), "");
	assert_string_equal(rig_bound(g, "fd00::9"), "");
	/* One by request ends when it said, whatever comes. */
	struct mip4_request q = request(g);
	assert_int_equal(ask_numbered(g, g->a[0], &q, 3), MIP4_ACCEPTED);
	g->now_us += 301 * USEC_PER_SEC;
	heard(g, g->a[0], 4);
	(void)registrar_tick(g->r, g->now_us);
	assert_string_equal(rig_bound(g, "10.0.0.9"), "");
	data_rig_free(g);
}

static void what_is_left_drains(void **state)
{
	(void)state;
	for (uint16_t drain_s = 0; drain_s < 6; drain_s = (uint16_t)(drain_s + 5)) {
		struct rig *g = data_rig(MAY_DATA, drain_s);
		assert_int_equal(data(g, g->a[0], 1), REGISTRAR_DATA_MOVED);
		assert_int_equal(data(g, g->a[1], 2), REGISTRAR_DATA_MOVED);
		usec_t until = g->now_us + 5 * USEC_PER_SEC;
		assert_int_equal(atomic_load(&g->a[0]->in->drain), drain_s ? SA_DRAIN(until) : 0);
		assert_false(atomic_load(&g->a[0]->in->active));
		data_rig_free(g);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(data_moves_every_home_address),
	    cmocka_unit_test(an_older_packet_moves_nothing_back),
	    cmocka_unit_test(numbers_of_an_old_epoch_hold_nothing_up),
	    cmocka_unit_test(what_is_not_allowed_is_denied_and_counted),
	    cmocka_unit_test(without_a_common_row_of_numbers_nothing_moves),
	    cmocka_unit_test(a_request_that_data_overtook_is_past),
	    cmocka_unit_test(it_lasts_while_it_is_heard),
	    cmocka_unit_test(what_is_left_drains),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
