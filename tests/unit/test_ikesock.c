/* SPDX-License-Identifier: MIT */
/* Plain IKE sockets over the loopback of a namespace. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>
#include "netns.h"
#include "platform/ikesock.h"
#include "platform/sock.h"
#include "wire/ike.h"

#define MARK 0x534a
#define KEEP 2000

static struct loop *loop;
static struct got {
	struct endpoint local, remote;
	size_t len;
	uint8_t exchange, tag;
} got[KEEP];
static unsigned got_count, stop_at;
static struct ikesock *end_it; /* freed by the callback */

static struct addr addr(const char *text)
{
	struct addr a;
	assert_int_equal(addr_parse(text, &a), 0);
	return a;
}

static int open_fd(const char *text, uint16_t port)
{
	struct err err = {""};
	struct netreq req = {
	    .kind = NETREQ_SOCK, .on = true, .udp = true, .local = {addr(text), port}};
	int fd = packet_socket_open(&req, MARK, FWD_DF_SET, false, &err);
	if (fd < 0)
		fail_msg("%s", err.text);
	return fd;
}

static void take(void *ctx, const struct endpoint *local, const struct endpoint *remote,
		 uint8_t *msg, size_t len)
{
	assert_ptr_equal(ctx, &got);
	assert_true(got_count < KEEP);
	got[got_count++] = (struct got){*local, *remote, len, msg[18], msg[0]};
	msg[0] = 0xee;
	if (end_it)
		ikesock_free(end_it);
	end_it = NULL;
	if (got_count == stop_at)
		loop_stop(loop);
}

static void stop(void *ctx)
{
	(void)ctx;
	loop_stop(loop);
}

/* The loop until `count` messages came, or for two seconds. */
static void run_until(unsigned count)
{
	stop_at = count;
	if (got_count >= count)
		return;
	struct loop_timer *t = loop_timer_new(loop, stop, NULL);
	loop_timer_at(t, clock_now_us() + 2 * (usec_t)USEC_PER_SEC);
	assert_int_equal(loop_run(loop), 0);
	loop_timer_free(t);
	assert_int_equal(got_count, count);
}

/* One turn, with whatever is there. */
static void run_turn(void)
{
	struct loop_timer *t = loop_timer_new(loop, stop, NULL);
	loop_timer_at(t, clock_now_us());
	stop_at = 0;
	assert_int_equal(loop_run(loop), 0);
	loop_timer_free(t);
}

static void send_to(int fd, const struct endpoint *to, uint8_t exchange, uint8_t tag, size_t len)
{
	static uint8_t msg[65536];
	struct sockaddr_storage ss;
	socklen_t ss_len = endpoint_to_sockaddr(to, &ss);
	memset(msg, 0x55, len);
	if (len > 18) {
		msg[0] = tag;
		msg[18] = exchange;
	}
	assert_int_equal(sendto(fd, msg, len, 0, (struct sockaddr *)&ss, ss_len), (ssize_t)len);
}

static const char *const ours[] = {"127.0.0.1", "fd00::1"};
static const char *const theirs[] = {"127.0.0.5", "fd00::5"};
static const char *const any[] = {"0.0.0.0", "::"};

/* To and fro; on one bound to no address, by the address that was asked. */
static void test_both_ways(void **state)
{
	(void)state;
	for (int f = 0; f < 2; f++) {
		for (int wild = 0; wild < 2; wild++) {
			got_count = 0;
			struct ikesock *a =
			    ikesock_new(loop, open_fd(wild ? any[f] : theirs[f], 500), take, &got);
			struct ikesock *b = ikesock_new(loop, open_fd(ours[f], 501), take, &got);
			assert_non_null(a);
			assert_non_null(b);
			struct endpoint at = {addr(theirs[f]), 500};
			uint8_t msg[300];
			memset(msg, 7, sizeof(msg));
			assert_int_equal(ikesock_send(b, ikesock_local(b), &at, msg, 300), 0);
			run_until(1);
			assert_int_equal(got[0].len, 300);
			assert_int_equal(got[0].tag, 7);
			assert_true(endpoint_equal(&got[0].local, &at));
			assert_true(endpoint_equal(&got[0].remote, ikesock_local(b)));
			assert_int_equal(ikesock_send(a, &got[0].local, &got[0].remote, msg, 200),
					 0);
			run_until(2);
			assert_int_equal(got[1].len, 200);
			assert_true(endpoint_equal(&got[1].remote, &at));
			assert_int_equal(ikesock_counters(a)->received, 1);
			ikesock_free(a);
			ikesock_free(b);
		}
	}
}

/* Larger than the path: in fragments; and nobody there: no error that lasts. */
static void test_large_and_closed(void **state)
{
	static uint8_t msg[60000];
	(void)state;
	assert_true(netns_do("ip link set lo mtu 1400"));
	for (int f = 0; f < 2; f++) {
		got_count = 0;
		struct ikesock *a = ikesock_new(loop, open_fd(theirs[f], 500), take, &got);
		struct ikesock *b = ikesock_new(loop, open_fd(ours[f], 500), take, &got);
		struct endpoint closed = {addr(theirs[f]), 9};
		for (int i = 0; i < 5; i++)
			assert_int_equal(ikesock_send(b, ikesock_local(b), &closed, msg, 100), 0);
		assert_int_equal(
		    ikesock_send(b, ikesock_local(b), ikesock_local(a), msg, sizeof(msg)), 0);
		run_until(1);
		assert_int_equal(got[0].len, sizeof(msg));
		ikesock_free(a);
		ikesock_free(b);
	}
	assert_true(netns_do("ip link set lo mtu 65536"));
}

/* A flood of IKE_SA_INIT: few of them are taken in a turn, and all of the others. */
static void test_flood(void **state)
{
	enum { INITS = 900, OTHERS = 45 };
	(void)state;
	got_count = 0;
	struct ikesock *a = ikesock_new(loop, open_fd("127.0.0.5", 500), take, &got);
	int fd = open_fd("127.0.0.1", 0);
	for (int i = 0; i < INITS; i++) {
		send_to(fd, ikesock_local(a), IKE_SA_INIT, 0, 400);
		if (i % (INITS / OTHERS) == 0)
			send_to(fd, ikesock_local(a), IKE_INFORMATIONAL, (uint8_t)(i / 20), 80);
	}
	send_to(fd, ikesock_local(a), IKE_AUTH, 0, 10);
	for (int i = 0; i < 5; i++)
		run_turn();
	unsigned inits = 0, others = 0;
	for (unsigned i = 0; i < got_count; i++) {
		if (got[i].exchange == IKE_SA_INIT)
			inits++;
		else
			assert_int_equal(got[i].tag, others++);
	}
	assert_int_equal(others, OTHERS);
	assert_true(inits >= 10 && inits <= 5 * 32);
	const struct ikesock_counters *k = ikesock_counters(a);
	assert_int_equal(k->init_busy + inits, INITS);
	assert_int_equal(k->received, got_count);
	assert_int_equal(k->runts, 1);
	close(fd);
	ikesock_free(a);
}

/* A message may end its socket, with more waiting. */
static void test_freed_inside(void **state)
{
	(void)state;
	got_count = 0;
	struct ikesock *a = ikesock_new(loop, open_fd("127.0.0.5", 500), take, &got);
	struct endpoint at = *ikesock_local(a);
	int fd = open_fd("127.0.0.1", 0);
	for (int i = 0; i < 5; i++)
		send_to(fd, &at, IKE_AUTH, (uint8_t)i, 100);
	end_it = a;
	run_until(1);
	run_turn();
	assert_int_equal(got_count, 1);
	close(fd);
	assert_null(ikesock_new(loop, dup(0), take, &got)); /* not a socket */
}

static int set_up(void **state)
{
	(void)state;
	if (!netns_do("ip link set lo up && ip addr add 127.0.0.5/8 dev lo && "
		      "ip addr add fd00::1/128 dev lo nodad && "
		      "ip addr add fd00::5/128 dev lo nodad"))
		return -1;
	loop = loop_new();
	return loop ? 0 : -1;
}

static int tear_down(void **state)
{
	(void)state;
	loop_free(loop);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_both_ways),
	    cmocka_unit_test(test_large_and_closed),
	    cmocka_unit_test(test_flood),
	    cmocka_unit_test(test_freed_inside),
	};
	netns_enter();
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
