/* SPDX-License-Identifier: MIT */
/* The event loop: descriptors, timers, signals and turns; removal from inside a callback. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>
#include "platform/loop.h"

struct seen {
	struct loop *loop;
	struct loop_fd *fd;
	struct loop_timer *timer;
	int fds[2];
	int reads, writes, fired, turns, signals;
	usec_t due_us, at_us;
};

static void give_up(void *ctx)
{
	(void)ctx;
	fail_msg("the loop did not end in time");
}

static struct loop_timer *guard(struct loop *l)
{
	struct loop_timer *t = loop_timer_new(l, give_up, NULL);
	loop_timer_at(t, clock_now_us() + 5 * USEC_PER_SEC);
	return t;
}

static void fired_stop(void *ctx)
{
	struct seen *s = ctx;
	s->fired++;
	s->at_us = clock_now_us();
	loop_stop(s->loop);
}

static void test_timer_is_never_early(void **state)
{
	static const usec_t waits[] = {0, 1, 300, 1500, 12345};
	(void)state;
	struct seen s = {.loop = loop_new()};
	struct loop_timer *g = guard(s.loop);
	s.timer = loop_timer_new(s.loop, fired_stop, &s);
	for (size_t i = 0; i < sizeof(waits) / sizeof(waits[0]); i++) {
		s.due_us = clock_now_us() + waits[i];
		loop_timer_at(s.timer, s.due_us);
		assert_int_equal(loop_run(s.loop), 0);
		assert_int_equal(s.fired, i + 1);
		assert_true(s.at_us >= s.due_us);
		assert_true(s.at_us < s.due_us + 2 * USEC_PER_SEC);
	}
	loop_timer_free(s.timer);
	loop_timer_free(g);
	loop_free(s.loop);
}

static void fired_not(void *ctx)
{
	(void)ctx;
	fail_msg("a stopped timer fired");
}

static void test_timer_stops_and_moves(void **state)
{
	(void)state;
	struct seen s = {.loop = loop_new()};
	struct loop_timer *g = guard(s.loop);
	struct loop_timer *never = loop_timer_new(s.loop, fired_not, NULL);
	s.timer = loop_timer_new(s.loop, fired_stop, &s);
	loop_timer_at(never, clock_now_us() + 1000);
	loop_timer_at(never, USEC_NEVER);
	/* Later, then sooner: the last word counts. */
	loop_timer_at(s.timer, clock_now_us() + 4 * USEC_PER_SEC);
	loop_timer_at(s.timer, clock_now_us() + 5000);
	usec_t start = clock_now_us();
	assert_int_equal(loop_run(s.loop), 0);
	assert_true(clock_now_us() - start < USEC_PER_SEC);
	loop_timer_free(never);
	loop_timer_free(s.timer);
	loop_timer_free(g);
	loop_free(s.loop);
}

static void fired_free(void *ctx)
{
	struct seen *s = ctx;
	loop_timer_free(s->timer);
	s->timer = NULL;
	loop_stop(s->loop);
}

static void fd_ready(void *ctx, bool readable, bool writable)
{
	struct seen *s = ctx;
	char c;
	if (writable) {
		s->writes++;
		loop_fd_want_write(s->fd, false);
		assert_int_equal(write(s->fds[1], "x", 1), 1);
	}
	if (readable) {
		s->reads++;
		assert_int_equal(read(s->fds[0], &c, 1), 1);
		loop_fd_remove(s->fd);
		s->fd = NULL;
		/* A timer that frees itself ends the test. */
		s->timer = loop_timer_new(s->loop, fired_free, s);
		loop_timer_at(s->timer, clock_now_us());
	}
}

static void turned(void *ctx)
{
	((struct seen *)ctx)->turns++;
}

static void test_fd_and_turns(void **state)
{
	(void)state;
	struct seen s = {.loop = loop_new()};
	struct loop_timer *g = guard(s.loop);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, s.fds), 0);
	loop_on_turn(s.loop, turned, &s);
	s.fd = loop_fd_add(s.loop, s.fds[0], fd_ready, &s);
	assert_non_null(s.fd);
	loop_fd_want_write(s.fd, true);
	assert_int_equal(loop_run(s.loop), 0);
	assert_int_equal(s.writes, 1);
	assert_int_equal(s.reads, 1);
	assert_null(s.fd);
	assert_null(s.timer);
	/* Writable, readable, timer: after each its turn, the last before the end too. */
	assert_true(s.turns >= 4);
	close(s.fds[0]);
	close(s.fds[1]);
	loop_timer_free(g);
	loop_free(s.loop);
}

static void signalled(void *ctx, int signo)
{
	struct seen *s = ctx;
	assert_int_equal(signo, SIGHUP);
	s->signals++;
	loop_stop(s->loop);
}

static void test_signal(void **state)
{
	(void)state;
	struct seen s = {.loop = loop_new()};
	struct loop_timer *g = guard(s.loop);
	assert_int_equal(loop_signal(s.loop, SIGHUP, signalled, &s), 0);
	assert_int_equal(raise(SIGHUP), 0);
	assert_int_equal(loop_run(s.loop), 0);
	assert_int_equal(s.signals, 1);
	loop_timer_free(g);
	loop_free(s.loop);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_timer_is_never_early),
	    cmocka_unit_test(test_timer_stops_and_moves),
	    cmocka_unit_test(test_fd_and_turns),
	    cmocka_unit_test(test_signal),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
