/* SPDX-License-Identifier: MIT */
/* IKE datagrams of both kinds of socket, in and out, over the loopback of a namespace. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <cmocka.h>
#include "base/mem.h"
#include "daemon/role.h"
#include "netns.h"
#include "platform/sock.h"
#include "platform/tun.h"

#define MARK 0x534a
#define KEEP 400

static struct node node;
static struct log quiet;
static struct got {
	struct ike_path path;
	size_t len;
	uint8_t tag;
} got[KEEP];
static unsigned got_count, turns, most_in_turn;

static struct endpoint at(const char *text, uint16_t port)
{
	struct endpoint e = {.port = port};
	assert_int_equal(addr_parse(text, &e.addr), 0);
	return e;
}

static int open_fd(const char *text, uint16_t port)
{
	struct err err = {""};
	struct netreq req = {.kind = NETREQ_SOCK, .on = true, .udp = true, .local = at(text, port)};
	int fd = packet_socket_open(&req, MARK, FWD_DF_SET, false, &err);
	if (fd < 0)
		fail_msg("%s", err.text);
	return fd;
}

static void take(struct node *n, const struct ike_path *path, uint8_t *msg, size_t len,
		 usec_t at_us)
{
	assert_ptr_equal(n, &node);
	assert_true(at_us > 0 && got_count < KEEP);
	got[got_count++] = (struct got){*path, len, msg[0]};
	msg[0] = 0;
}

/* The packet thread's part, then control's, until `count` messages came. */
static void run_until(unsigned count, uint16_t sock)
{
	for (int tries = 0; tries < 400 && got_count < count; tries++) {
		while (fwd_run_sock(fwd_worker(node.fwd, 0), sock, true, clock_now_us()) > 0)
			;
		unsigned before = got_count;
		bool more = node_ike_run(&node);
		turns++;
		if (got_count - before > most_in_turn)
			most_in_turn = got_count - before;
		if (!more)
			assert_null(fwd_ike_next(node.fwd));
	}
	assert_int_equal(got_count, count);
}

static void stop(void *ctx)
{
	(void)ctx;
	loop_stop(node.loop);
}

static void run_loop(unsigned count)
{
	for (int i = 0; i < 200 && got_count < count; i++) {
		struct loop_timer *t = loop_timer_new(node.loop, stop, NULL);
		loop_timer_at(t, clock_now_us() + 5 * USEC_PER_MS);
		assert_int_equal(loop_run(node.loop), 0);
		loop_timer_free(t);
	}
	assert_int_equal(got_count, count);
}

static const char *const ours[] = {"127.0.0.1", "fd00::1"};
static const char *const theirs[] = {"127.0.0.5", "fd00::5"};
static const char *const any[] = {"0.0.0.0", "::"};

static void assert_path(const struct got *g, const struct endpoint *local,
			const struct endpoint *remote, uint32_t sock, bool natt)
{
	assert_true(endpoint_equal(&g->path.local, local));
	assert_true(endpoint_equal(&g->path.remote, remote));
	assert_int_equal(g->path.sock, sock);
	assert_int_equal(g->path.natt, natt);
}

/* Two packet sockets, one bound to no address: there by the marker, and back by the path. */
static void test_packet_sockets(void **state)
{
	(void)state;
	for (int f = 0; f < 2; f++) {
		uint8_t msg[200] = {7};
		struct endpoint a = at(theirs[f], 4500), b = at(ours[f], 4501);
		int wide = pktio_sock_add(node.pktio, open_fd(any[f], 4500), true, f);
		int narrow = pktio_sock_add(node.pktio, open_fd(ours[f], 4501), true, f);
		assert_true(wide >= 0 && narrow >= 0);
		got_count = 0;
		struct ike_path path = {
		    .local = b, .remote = a, .sock = (uint32_t)narrow, .natt = true};
		node_ike_send(&node, &path, msg, sizeof msg);
		run_until(1, (uint16_t)wide);
		assert_int_equal(got[0].len, sizeof msg);
		assert_int_equal(got[0].tag, 7);
		assert_path(&got[0], &a, &b, (uint32_t)wide, true);
		node_ike_send(&node, &got[0].path, msg, 100);
		run_until(2, (uint16_t)narrow);
		assert_path(&got[1], &b, &a, (uint32_t)narrow, true);
		struct endpoint local;
		assert_true(node_ike_sock_local(&node, (uint32_t)narrow, &local));
		assert_true(endpoint_equal(&local, &b));
		pktio_sock_remove(node.pktio, (uint16_t)wide);
		pktio_sock_remove(node.pktio, (uint16_t)narrow);
		rcu_barrier();
		assert_false(node_ike_sock_local(&node, (uint32_t)narrow, &local));
		node_ike_send(&node, &path, msg, 100); /* to nobody: logged, and that is all */
	}
}

static void test_plain_sockets(void **state)
{
	(void)state;
	for (int f = 0; f < 2; f++) {
		uint8_t msg[200] = {9};
		uint32_t one, two;
		struct endpoint a = at(theirs[f], 500), b = at(ours[f], 500), local;
		assert_int_equal(node_ike_sock_add(&node, open_fd(theirs[f], 500), &one), 0);
		assert_int_equal(node_ike_sock_add(&node, open_fd(ours[f], 500), &two), 0);
		assert_true(one >= NODE_IKE_PLAIN && two >= NODE_IKE_PLAIN && one != two);
		assert_true(node_ike_sock_local(&node, one, &local));
		assert_true(endpoint_equal(&local, &a));
		got_count = 0;
		struct ike_path path = {.local = b, .remote = a, .sock = two};
		node_ike_send(&node, &path, msg, sizeof msg);
		run_loop(1);
		assert_path(&got[0], &a, &b, one, false);
		node_ike_send(&node, &got[0].path, msg, 100);
		run_loop(2);
		assert_path(&got[1], &b, &a, two, false);
		node_ike_sock_remove(&node, one);
		node_ike_sock_remove(&node, one);
		node_ike_sock_remove(&node, NODE_IKE_PLAIN + 5000);
		assert_false(node_ike_sock_local(&node, one, &local));
		node_ike_send(&node, &(struct ike_path){.sock = one}, msg, 100);
		node_ike_sock_remove(&node, two);
	}
	/* Until there is no place; then the descriptor is closed all the same. */
	uint32_t socks[65];
	for (unsigned i = 0; i < 64; i++)
		assert_int_equal(node_ike_sock_add(&node, open_fd("127.0.0.1", 0), &socks[i]), 0);
	assert_int_equal(node_ike_sock_add(&node, open_fd("127.0.0.1", 0), &socks[64]), -ENFILE);
	for (unsigned i = 0; i < 64; i++)
		node_ike_sock_remove(&node, socks[i]);
}

/* Many at once are taken in parts. */
static void test_parts(void **state)
{
	enum { MANY = 300 };
	(void)state;
	uint8_t msg[40] = {1};
	struct endpoint a = at("127.0.0.5", 4500), b = at("127.0.0.1", 4500);
	int to = pktio_sock_add(node.pktio, open_fd("127.0.0.5", 4500), true, false);
	int from = pktio_sock_add(node.pktio, open_fd("127.0.0.1", 4500), true, false);
	struct ike_path path = {.local = b, .remote = a, .sock = (uint32_t)from, .natt = true};
	for (unsigned i = 0; i < MANY; i++) {
		msg[0] = (uint8_t)i;
		node_ike_send(&node, &path, msg, sizeof msg);
	}
	got_count = turns = most_in_turn = 0;
	run_until(MANY, (uint16_t)to);
	for (unsigned i = 0; i < MANY; i++)
		assert_int_equal(got[i].tag, (uint8_t)i);
	assert_true(most_in_turn <= 64 && turns >= MANY / 64);
	pktio_sock_remove(node.pktio, (uint16_t)to);
	pktio_sock_remove(node.pktio, (uint16_t)from);
	rcu_barrier();
}

static int set_up(void **state)
{
	struct err err = {""};
	(void)state;
	if (!netns_do("ip link set lo up && ip addr add 127.0.0.5/8 dev lo && "
		      "ip addr add fd00::1/128 dev lo nodad && "
		      "ip addr add fd00::5/128 dev lo nodad"))
		return -1;
	struct tun tun;
	if (tun_open("sj-test0", true, 1, &tun, &err) < 0)
		return -1;
	quiet.level = LOG_LEVEL_ERROR;
	quiet.write = log_write_stderr;
	node.log = &quiet;
	node.loop = loop_new();
	node.sadb = sadb_new();
	node.pktio = pktio_new(&tun, node.log, &err);
	struct fwd_config fc = {.sadb = node.sadb, .io = pktio_ops(node.pktio), .ike = true};
	node.fwd = fwd_new(&fc, &err);
	assert_false(node_ike_run(&node)); /* nobody listens */
	node_ike_listen(&node, take);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	node_ike_free(&node);
	fwd_free(node.fwd);
	pktio_free(node.pktio);
	rcu_barrier();
	sadb_free(node.sadb);
	loop_free(node.loop);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_packet_sockets),
	    cmocka_unit_test(test_plain_sockets),
	    cmocka_unit_test(test_parts),
	};
	struct rlimit files = {1024, 1024};
	setrlimit(RLIMIT_NOFILE, &files);
	netns_enter();
	rcu_register_thread();
	rcu_thread_offline(); /* it stands in for control and for the packet thread */
	int failed = cmocka_run_group_tests(tests, set_up, tear_down);
	rcu_unregister_thread();
	return failed;
}
