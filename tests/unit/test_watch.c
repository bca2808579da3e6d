/* SPDX-License-Identifier: MIT */
/*
 * The watch in a namespace of its own:
 *
 *   here: left 10.1.0.5 ---- right 10.1.0.1 (a second namespace, held by a child)
 */
#include <net/if.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <cmocka.h>
#include "netns.h"
#include "platform/rtnl.h"
#include "platform/watch.h"

#define WAIT_US (5 * (usec_t)USEC_PER_SEC)

struct told {
	struct loop *loop;
	struct watch *watch;
	struct rtnl *rtnl;
	struct care_of list[MOVER_CARE_OFS_MAX];
	size_t count;
	char cause[256];
	int calls, asked;
	bool answer; /* asks the kernel to resolve */
	usec_t at_us;
	bool (*until)(const struct told *t);
	bool met;
};

static struct told told;
static pid_t peer;

static struct addr addr(const char *text)
{
	struct addr a;
	assert_int_equal(addr_parse(text, &a), 0);
	return a;
}

static int here(const char *command)
{
	return netns_do(command);
}

static int there(const char *command)
{
	char line[256];
	snprintf(line, sizeof(line), "nsenter -t %d -n %s", (int)peer, command);
	return netns_do(line);
}

static void changed(void *ctx, const struct care_of *list, size_t n, const char *cause,
		    usec_t at_us)
{
	struct told *t = ctx;
	memcpy(t->list, list, n * sizeof(list[0]));
	t->count = n;
	t->calls++;
	t->at_us = at_us;
	snprintf(t->cause, sizeof(t->cause), "%s", cause);
	assert_true(at_us <= clock_now_us());
	if (t->until && t->until(t)) {
		t->met = true;
		loop_stop(t->loop);
	}
}

static void resolve(void *ctx, unsigned ifindex, const struct addr *gateway)
{
	struct told *t = ctx;
	t->asked++;
	if (t->answer)
		(void)!rtnl_resolve(t->rtnl, ifindex, gateway);
}

static void time_is_up(void *ctx)
{
	loop_stop(((struct told *)ctx)->loop);
}

/* Runs until a list like that is told, or for the time given. */
static bool run(struct told *t, bool (*until)(const struct told *t), usec_t for_us)
{
	struct loop_timer *timer = loop_timer_new(t->loop, time_is_up, t);
	t->until = until;
	t->met = false;
	loop_timer_at(timer, clock_now_us() + for_us);
	assert_int_equal(loop_run(t->loop), 0);
	loop_timer_free(timer);
	t->until = NULL;
	return t->met;
}

static bool is_empty(const struct told *t)
{
	return t->count == 0;
}

static bool is_one(const struct told *t)
{
	return t->count == 1;
}

static bool is_known(const struct told *t)
{
	return t->count == 1 && network_known(&t->list[0].network);
}

static bool is_two(const struct told *t)
{
	return t->count == 2;
}

static void start(struct told *t, const struct watch_config *more)
{
	struct err err = {""};
	struct watch_config cfg = *more;
	*t = (struct told){.loop = loop_new(), .rtnl = rtnl_new(&err), .answer = true};
	cfg.changed = changed;
	cfg.resolve = resolve;
	cfg.ctx = t;
	cfg.ignore_table = 434;
	t->watch = watch_new(t->loop, &cfg, NULL, &err);
	assert_non_null(t->watch);
	assert_int_equal(t->calls, 0); /* from the loop, not from inside */
}

static void stop(struct told *t)
{
	watch_free(t->watch);
	rtnl_free(t->rtnl);
	loop_free(t->loop);
}

static int set_up(void **state)
{
	int ready[2];
	char c;
	(void)state;
	if (pipe(ready) < 0)
		return -1;
	peer = fork();
	if (peer == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (unshare(CLONE_NEWNET) < 0 || write(ready[1], "x", 1) != 1)
			_exit(1);
		pause();
		_exit(0);
	}
	if (peer < 0 || read(ready[0], &c, 1) != 1)
		return -1;
	close(ready[0]);
	close(ready[1]);
	char command[128];
	snprintf(command, sizeof(command),
		 "ip link add left type veth peer name right && ip link set right netns %d",
		 (int)peer);
	return here(command) && here("ip link set lo up") && there("ip link set right up") &&
		       there("ip addr add 10.1.0.1/24 dev right") &&
		       there("ip addr add fd00:1::1/64 dev right nodad")
		   ? 0
		   : -1;
}

static int tear_down(void **state)
{
	(void)state;
	kill(peer, SIGKILL);
	waitpid(peer, NULL, 0);
	return 0;
}

static int clean(void **state)
{
	(void)state;
	return here(
		   "ip link set left down; ip addr flush dev left; ip link set left up mtu 1500") &&
		       there("ip link set right up") &&
		       there("ip addr replace fd00:1::1/64 dev right nodad")
		   ? 0
		   : -1;
}

static void test_follows_one_link(void **state)
{
	(void)state;
	struct told *t = &told;
	start(t, &(struct watch_config){0});
	assert_true(run(t, is_empty, WAIT_US));
	assert_string_equal(t->cause, "start");

	/* An address without a way out is none. */
	assert_true(here("ip addr add 10.1.0.5/24 dev left"));
	assert_false(run(t, is_one, 200000));
	assert_true(here("ip route add default via 10.1.0.1 dev left"));
	assert_true(run(t, is_one, WAIT_US));
	assert_non_null(strstr(t->cause, "left: default route via 10.1.0.1 added"));
	struct addr a = addr("10.1.0.5"), g = addr("10.1.0.1");
	assert_true(addr_equal(&t->list[0].addr, &a));
	assert_true(addr_equal(&t->list[0].gateway, &g));
	assert_string_equal(t->list[0].interface, "left");
	assert_int_equal(t->list[0].ifindex, if_nametoindex("left"));
	assert_int_equal(t->list[0].mtu, 1500);

	/* The gateway's name follows, by asking. */
	assert_true(run(t, is_known, WAIT_US));
	assert_true(t->asked >= 1);
	assert_non_null(strstr(t->cause, "left: gateway is "));

	assert_true(there("ip link set right down"));
	assert_true(run(t, is_empty, WAIT_US));
	assert_non_null(strstr(t->cause, "left: carrier lost"));
	assert_true(there("ip link set right up"));
	assert_true(run(t, is_one, WAIT_US));
	assert_non_null(strstr(t->cause, "left: carrier"));
	assert_true(run(t, is_known, WAIT_US));

	assert_true(here("ip link set left mtu 1400"));
	assert_true(run(t, is_one, WAIT_US));
	assert_int_equal(t->list[0].mtu, 1400);
	assert_non_null(strstr(t->cause, "left: mtu 1400"));

	/* The kernel takes the route away with its last address, without a word. */
	assert_true(here("ip addr del 10.1.0.5/24 dev left"));
	assert_true(run(t, is_empty, WAIT_US));
	assert_non_null(strstr(t->cause, "left: address 10.1.0.5 removed"));
	assert_true(here("ip addr add 10.1.0.6/24 dev left"));
	assert_false(run(t, is_one, 200000));
	stop(t);
}

static void test_same_with_link_down(void **state)
{
	(void)state;
	struct told *t = &told;
	assert_true(here("ip addr add 10.1.0.5/24 dev left && "
			 "ip route add default via 10.1.0.1 dev left"));
	start(t, &(struct watch_config){0});
	assert_true(run(t, is_one, WAIT_US)); /* what was there before */
	assert_string_equal(t->cause, "start");
	assert_true(here("ip link set left down"));
	assert_true(run(t, is_empty, WAIT_US));
	assert_non_null(strstr(t->cause, "left: interface down"));
	/* Up again: the address is there, the route is not. */
	assert_true(here("ip link set left up"));
	assert_false(run(t, is_one, 200000));
	assert_true(here("ip route add default via 10.1.0.1 dev left metric 100"));
	assert_true(run(t, is_one, WAIT_US));
	/* A second, worse one changes nothing; the better one counts. */
	int calls = t->calls;
	assert_true(run(t, is_known, WAIT_US));
	calls = t->calls;
	assert_true(here("ip route add default via 10.1.0.9 dev left metric 200"));
	assert_false(run(t, is_one, 100000));
	assert_int_equal(t->calls, calls);
	stop(t);
}

static void test_ipv6_waits_for_dad(void **state)
{
	(void)state;
	struct told *t = &told;
	start(t, &(struct watch_config){0});
	assert_true(run(t, is_empty, WAIT_US));
	/* The route first: only the address is missing. */
	assert_true(here("ip -6 route add default via fd00:1::1 dev left onlink"));
	usec_t begin = clock_now_us();
	assert_true(here("ip addr add fd00:1::5/64 dev left"));
	assert_true(run(t, is_one, WAIT_US));
	assert_true(clock_now_us() - begin > 200000); /* one probe is waited for */
	assert_non_null(strstr(t->cause, "left: address fd00:1::5 added"));
	assert_true(run(t, is_known, WAIT_US));
	assert_true(here("ip addr change fd00:1::5/64 dev left preferred_lft 0 valid_lft 100"));
	assert_true(run(t, is_empty, WAIT_US));
	assert_non_null(strstr(t->cause, "left: address fd00:1::5 deprecated"));
	stop(t);
}

static void test_ignores_and_on_link(void **state)
{
	(void)state;
	struct told *t = &told;
	struct watch_config cfg = {.ignore_interface = "other",
				   .ignore = {addr("10.1.0.7")},
				   .ignore_count = 1,
				   .servers = {addr("192.0.2.1")},
				   .server_count = 1};
	assert_true(here("ip link add other type veth peer name far && ip link set far up && ip "
			 "link set other up && "
			 "ip addr add 192.0.2.9/24 dev other"));
	start(t, &cfg);
	assert_true(run(t, is_empty, WAIT_US));
	assert_true(here("ip route add default dev other table 434"));
	/* Ours, in our own table, and a home address: all not seen. */
	assert_true(here("ip addr add 10.1.0.7/24 dev left"));
	assert_true(here("ip route add default via 10.1.0.1 dev left"));
	assert_false(run(t, is_one, 200000));
	/* On the server's link no route is needed. */
	assert_true(here("ip route del default; ip addr add 192.0.2.5/24 dev left"));
	assert_true(run(t, is_one, WAIT_US));
	assert_int_equal(t->list[0].gateway.family, 0);
	assert_int_equal(t->asked, 0);
	/* A way out in any other table counts. */
	assert_true(here("ip addr add 10.1.0.5/24 dev left && "
			 "ip route add default via 10.1.0.1 dev left table 99"));
	assert_true(run(t, is_two, WAIT_US));
	assert_true(here("ip link del other"));
	stop(t);
}

/* A flood that overflows the queue: the end is right all the same. */
static void test_survives_overflow(void **state)
{
	(void)state;
	struct told *t = &told;
	start(t, &(struct watch_config){0});
	assert_true(run(t, is_empty, WAIT_US));
	assert_true(here("for i in $(seq 1 40); do for j in $(seq 1 250); do "
			 "echo addr add 10.$((i+50)).$j.1/32 dev left; done; done | "
			 "ip -batch - && ip addr flush dev left to 10.0.0.0/8 >/dev/null && "
			 "ip addr add 10.1.0.5/24 dev left && "
			 "ip route add default via 10.1.0.1 dev left"));
	assert_true(run(t, is_one, WAIT_US));
	struct addr a = addr("10.1.0.5");
	assert_true(addr_equal(&t->list[0].addr, &a));
	stop(t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup(test_follows_one_link, clean),
	    cmocka_unit_test_setup(test_same_with_link_down, clean),
	    cmocka_unit_test_setup(test_ipv6_waits_for_dad, clean),
	    cmocka_unit_test_setup(test_ignores_and_on_link, clean),
	    cmocka_unit_test_setup(test_survives_overflow, clean),
	};
	netns_enter();
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
