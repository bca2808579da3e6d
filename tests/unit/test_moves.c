/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>
#include "mobility/moves.h"

static void keeps_the_last_ones_oldest_first(void **state)
{
	(void)state;
	struct moves *m = moves_new();
	assert_null(moves_at(m, 0));
	for (unsigned i = 1; i <= MOVES_KEPT + 3; i++) {
		char to[16];
		(void)snprintf(to, sizeof(to), "c%u", i);
		(void)moves_begin(m, MOVE_START, "t", "", to, i, 0);
		assert_int_equal(moves_at(m, 0)->id, i <= MOVES_KEPT ? 1 : i - MOVES_KEPT + 1);
	}
	for (unsigned i = 0; i < MOVES_KEPT; i++)
		assert_int_equal(moves_at(m, i)->id, i + 4);
	assert_null(moves_at(m, MOVES_KEPT));
	assert_string_equal(moves_at(m, 0)->to, "c4");
	moves_free(m);
}

static void a_new_move_has_nothing_of_the_one_it_replaces(void **state)
{
	(void)state;
	struct moves *m = moves_new();
	for (unsigned i = 0; i < MOVES_KEPT; i++) {
		struct move *mv = moves_begin(m, MOVE_HOME, "t", "a", "b", 5, 6);
		move_note(mv, 7, MOVE_DONE, "done");
		mv->lost = 9;
	}
	const struct move *mv = moves_begin(m, MOVE_LEAVE_HOME, "u", "home", "c", 50, 60);
	assert_int_equal(mv->kind, MOVE_LEAVE_HOME);
	assert_int_equal(mv->start_us, 50);
	assert_int_equal(mv->wall_us, 60);
	assert_string_equal(mv->terminal, "u");
	assert_string_equal(mv->from, "home");
	assert_int_equal(mv->lost, 0);
	assert_int_equal(mv->switch_us, -1);
	assert_int_equal(mv->event_count, 0);
	assert_false(mv->done);
	moves_free(m);
}

static void the_end_always_has_room(void **state)
{
	(void)state;
	struct moves *m = moves_new();
	struct move *mv = moves_begin(m, MOVE_START, "t", "", "a", 0, 0);
	for (unsigned i = 0; i < MOVE_EVENTS_MAX + 5; i++)
		move_note(mv, i, MOVE_REQUEST, "request %u", i);
	assert_int_equal(mv->event_count, MOVE_EVENTS_MAX - 1);
	assert_false(mv->done);
	move_note(mv, 99, MOVE_DONE, "%s", "over");
	assert_int_equal(mv->event_count, MOVE_EVENTS_MAX);
	assert_int_equal(mv->events[MOVE_EVENTS_MAX - 1].step, MOVE_DONE);
	assert_int_equal(mv->events[MOVE_EVENTS_MAX - 1].at_us, 99);
	assert_string_equal(mv->events[MOVE_EVENTS_MAX - 1].text, "over");
	assert_string_equal(mv->events[3].text, "request 3");
	assert_true(mv->done);
	move_note(mv, 100, MOVE_DONE, "again");
	assert_int_equal(mv->event_count, MOVE_EVENTS_MAX);
	moves_free(m);
}

static void long_names_are_cut(void **state)
{
	(void)state;
	struct moves *m = moves_new();
	char name[200];
	memset(name, 'x', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	struct move *mv = moves_begin(m, MOVE_START, name, name, name, 0, 0);
	move_note(mv, 0, MOVE_NOTE, "%s", name);
	assert_int_equal(strlen(mv->terminal), sizeof(mv->terminal) - 1);
	assert_int_equal(strlen(mv->from), sizeof(mv->from) - 1);
	assert_int_equal(strlen(mv->events[0].text), MOVE_TEXT_MAX - 1);
	moves_free(m);
}

static void texts(void **state)
{
	(void)state;
	assert_string_equal(move_kind_text(MOVE_START), "start");
	assert_string_equal(move_kind_text(MOVE_MAKE_BEFORE_BREAK), "make-before-break");
	assert_string_equal(move_kind_text(MOVE_BREAK_BEFORE_MAKE), "break-before-make");
	assert_string_equal(move_kind_text(MOVE_HOME), "home");
	assert_string_equal(move_kind_text(MOVE_LEAVE_HOME), "leave-home");
	for (int s = MOVE_LINK; s <= MOVE_DONE; s++)
		for (int t = MOVE_LINK; t < s; t++)
			assert_string_not_equal(move_step_text((enum move_step)s),
						move_step_text((enum move_step)t));
}

static void events_are_in_the_order_of_their_times(void **state)
{
	(void)state;
	struct moves *m = moves_new();
	struct move *mv = moves_begin(m, MOVE_START, "t", "", "wifi", 0, 0);
	move_note(mv, 10, MOVE_CHOSEN, "a");
	move_note(mv, 20, MOVE_REPLY, "c");
	move_note(mv, 10, MOVE_REQUEST, "b");
	move_note(mv, 5, MOVE_LINK, "_");
	move_note(mv, 20, MOVE_SWITCH, "d");
	move_note(mv, 30, MOVE_DONE, "e");
	char order[8] = "";
	for (unsigned i = 0; i < mv->event_count; i++)
		strcat(order, mv->events[i].text);
	assert_string_equal(order, "_abcde");
	moves_free(m);
}

static void tries_keep_the_first_and_the_last(void **state)
{
	(void)state;
	struct moves *m = moves_new();
	struct move *mv = moves_begin(m, MOVE_START, "t", "", "wifi", 0, 0);
	for (usec_t t = 1; t < 40; t++)
		move_note(mv, t, MOVE_REQUEST, "first");
	move_note(mv, 40, MOVE_DONE, "no reply yet");
	for (unsigned i = 0; i < 1000; i++) {
		move_try_again(mv, 50 + 10ull * i, i % 2 ? "wifi" : "cell");
		assert_false(mv->done);
		for (unsigned j = 0; j < 5; j++)
			move_note(mv, 51 + 10ull * i, MOVE_REQUEST, "of try %u", i + 2);
	}
	move_note(mv, 20000, MOVE_DONE, "registered");
	assert_string_equal(mv->to, "wifi");
	assert_true(mv->done);
	assert_int_equal(mv->tries, 1000);
	assert_true(mv->event_count <= MOVE_EVENTS_MAX);
	assert_string_equal(mv->events[0].text, "first");
	assert_string_equal(mv->events[mv->event_count - 7].text, "try 1001: wifi");
	assert_string_equal(mv->events[mv->event_count - 2].text, "of try 1001");
	moves_free(m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(keeps_the_last_ones_oldest_first),
	    cmocka_unit_test(a_new_move_has_nothing_of_the_one_it_replaces),
	    cmocka_unit_test(the_end_always_has_room),
	    cmocka_unit_test(long_names_are_cut),
	    cmocka_unit_test(texts),
	    cmocka_unit_test(events_are_in_the_order_of_their_times),
	    cmocka_unit_test(tries_keep_the_first_and_the_last),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
