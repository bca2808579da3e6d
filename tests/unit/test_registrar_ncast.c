/* SPDX-License-Identifier: MIT */
/* Several active connections on the home server: how many, in which order. */
#include "registrar_rig.h"

static void the_code_says_that_one_is_all(void **state)
{
	(void)state;
	struct rig *g = rig_new(1);
	struct mip4_request q;
	/* Several named: the first is bound, and the code says why the others are not. */
	q = request(g);
	q.flags |= MIP4_S;
	q.ext.has_connections = true;
	q.ext.spi_count = 2;
	q.ext.spis[0] = CONN_A0 + 2;
	q.ext.spis[1] = CONN_A0;
	assert_int_equal(ask(g, g->a[2], &q), MIP4_ACCEPTED_NO_SIMULTANEOUS);
	assert_int_equal(g->reply.ext.results[0].code, MIP4_ACCEPTED);
	assert_int_equal(g->reply.ext.results[1].code, MIP4_TOO_MANY_BINDINGS);
	assert_string_equal(rig_bound(g, "10.0.0.9"), "a2");
	rig_free(g);
}

static void the_order_counts(void **state)
{
	(void)state;
	struct rig *g;
	struct mip4_request q;
	/* The first is the best: another order is another binding. */
	g = rig_new(2);
	for (int i = 0; i < 2; i++) {
		q = request(g);
		q.ext.has_connections = true;
		q.ext.spi_count = 2;
		q.ext.spis[i] = CONN_A0;
		q.ext.spis[!i] = CONN_A0 + 1;
		assert_int_equal(ask(g, g->a[0], &q), MIP4_ACCEPTED);
		assert_string_equal(g->trace, "BR");
		assert_string_equal(rig_bound(g, "10.0.0.9"), i ? "a1+a0" : "a0+a1");
	}
	rig_free(g);
}

static void numbers_in_common(void **state)
{
	(void)state;
	struct space other = {0};
	struct rig *g = rig_new(3);
	g->a[1]->out->space = &other;
	struct mip4_request q = request(g);
	q.ext.has_connections = true;
	q.ext.spi_count = 3;
	for (uint32_t i = 0; i < 3; i++)
		q.ext.spis[i] = CONN_A0 + i;
	assert_int_equal(ask(g, g->a[0], &q), MIP4_ACCEPTED);
	assert_int_equal(g->reply.ext.results[1].code, MIP4_PROHIBITED);
	assert_string_equal(rig_bound(g, "10.0.0.9"), "a0+a2");
	rig_free(g);
}

/* A connection of another's is refused with a result of its own, on every operation; and nothing of
 * the other terminal's changes, whose binding, states and move are as they were. */
static void another_terminals(void **state)
{
	(void)state;
	static const uint8_t ops[] = {MIP4_OP_REPLACE, MIP4_OP_ADD, MIP4_OP_REMOVE};
	for (size_t i = 0; i < ARRAY_LEN(ops); i++) {
		struct rig *g = rig_new(3);
		struct mip4_request q = request(g);
		uint8_t msg[512];
		memcpy(q.home, (uint8_t[]){10, 0, 0, 10}, 4);
		q.ext.auth_spi = SPI_B;
		give(g, g->b, msg, seal(&q, key_b, sizeof(key_b), msg), false);
		assert_int_equal(g->reply.code, MIP4_ACCEPTED);
		q = request(g);
		assert_int_equal(ask(g, g->a[0], &q), MIP4_ACCEPTED);
		const struct binding before = *rig_binding(g, "10.0.0.10");
		usec_t since_us = g->b->since_us;
		q = request(g);
		q.flags |= MIP4_S;
		q.ext.has_connections = true;
		q.ext.op = ops[i];
		q.ext.spi_count = 2;
		q.ext.spis[0] = CONN_B0;
		q.ext.spis[1] = CONN_A0;
		assert_int_equal(ask(g, g->a[0], &q), MIP4_ACCEPTED);
		assert_int_equal(g->reply.ext.result_count, 2);
		assert_int_equal(g->reply.ext.results[0].code, MIP4_PROHIBITED);
		assert_int_equal(g->reply.ext.results[1].code, MIP4_ACCEPTED);
		assert_string_equal(rig_bound(g, "10.0.0.10"), "b0");
		assert_memory_equal(&before, rig_binding(g, "10.0.0.10"), sizeof(before));
		assert_true(g->b->since_us == since_us);
		assert_string_equal(rig_bound(g, "10.0.0.9"), ops[i] == MIP4_OP_REMOVE ? "" : "a0");
		rig_free(g);
	}
}

static void moves_tell_what_came_and_went(void **state)
{
	(void)state;
	static const struct {
		uint8_t count;
		uint32_t spis[2];
		enum move_kind kind;
		const char *from, *to;
	} steps[] = {
	    {1, {CONN_A0}, MOVE_START, "", "a0"},
	    {2, {CONN_A0, CONN_A0 + 1}, MOVE_ADD, "a0", "a0+a1"},
	    {1, {CONN_A0 + 1}, MOVE_REMOVE, "a0+a1", "a1"},
	};
	struct rig *g = rig_new(2);
	for (size_t i = 0; i < ARRAY_LEN(steps); i++) {
		struct mip4_request q = request(g);
		q.flags |= MIP4_S;
		q.ext.has_connections = true;
		q.ext.spi_count = steps[i].count;
		memcpy(q.ext.spis, steps[i].spis, sizeof(steps[i].spis));
		assert_int_equal(ask(g, g->a[0], &q), MIP4_ACCEPTED);
		const struct move *mv = moves_at(g->moves, i);
		assert_int_equal(mv->kind, steps[i].kind);
		assert_string_equal(mv->from, steps[i].from);
		assert_string_equal(mv->to, steps[i].to);
		assert_null(moves_at(g->moves, i + 1));
	}
	rig_free(g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(the_code_says_that_one_is_all),
	    cmocka_unit_test(the_order_counts),
	    cmocka_unit_test(numbers_in_common),
	    cmocka_unit_test(another_terminals),
	    cmocka_unit_test(moves_tell_what_came_and_went),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
