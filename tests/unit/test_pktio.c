/* SPDX-License-Identifier: MIT */
/* The packet thread's socket I/O by its own operations, over the loopback of a namespace. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <net/if.h>
#include <poll.h>
#include <sys/resource.h>
#include <cmocka.h>
#include "base/mem.h"
#include "netns.h"
#include "platform/pktio.h"
#include "platform/sock.h"
#include "platform/tun.h"

#define MARK 0x534a
#define LEN  9300 /* nine whole segments and a short one */

static struct pktio *p;
static struct fwd_io io;
static uint8_t *buffers[FWD_DGRAMS_MAX];

struct end {
	int fd, sock;
	struct endpoint at;
};

static struct addr addr(const char *text)
{
	struct addr a;
	assert_int_equal(addr_parse(text, &a), 0);
	return a;
}

static struct end open_end(const char *text, uint16_t port, bool udp)
{
	struct err err = {""};
	struct netreq req = {.kind = NETREQ_SOCK,
			     .on = true,
			     .udp = udp,
			     .local = {.addr = addr(text), .port = port}};
	struct end e = {.at = req.local};
	e.fd = packet_socket_open(&req, MARK, FWD_DF_SET, false, &err);
	if (e.fd < 0)
		fail_msg("%s", err.text);
	e.sock = pktio_sock_add(p, e.fd, udp, e.at.addr.family == 6);
	assert_true(e.sock >= 0);
	return e;
}

static void close_end(struct end *e)
{
	pktio_sock_remove(p, (uint16_t)e->sock);
	rcu_barrier();
}

static struct path path_between(const struct end *from, const struct endpoint *to)
{
	return (struct path){
	    .local = from->at, .remote = *to, .sock = (uint16_t)from->sock, .mtu = 1500};
}

static void fill(uint8_t *data, size_t len)
{
	for (size_t i = 0; i < len; i++)
		data[i] = (uint8_t)(i * 7 + i / 256);
}

/* Receives until `len` bytes came, or for a second: how many came, in `out`. */
static size_t receive(const struct end *e, uint8_t *out, size_t len, struct fwd_dgram *last,
		      uint32_t segment)
{
	size_t got = 0;
	for (int tries = 0; got < len && tries < 20; tries++) {
		struct fwd_dgram d[FWD_DGRAMS_MAX];
		struct pollfd pfd = {.fd = e->fd, .events = POLLIN};
		poll(&pfd, 1, 50);
		for (int i = 0; i < FWD_DGRAMS_MAX; i++)
			d[i] = (struct fwd_dgram){.data = buffers[i]};
		int n = io.recv(io.ctx, (uint16_t)e->sock, d, FWD_DGRAMS_MAX);
		for (int i = 0; i < n; i++) {
			assert_true(got + d[i].len <= len);
			/* Joined ones say where they were joined; single ones are no larger. */
			if (segment && d[i].gso_size)
				assert_int_equal(d[i].gso_size, segment);
			else if (segment)
				assert_true(d[i].len <= segment);
			memcpy(out + got, d[i].data, d[i].len);
			got += d[i].len;
			*last = d[i];
		}
	}
	return got;
}

static int set_up(void **state)
{
	struct err err = {""};
	(void)state;
	if (!netns_do(
		"ip link set lo up && ip addr add 127.0.0.5/8 dev lo && "
		"ip addr add fd00::1/128 dev lo nodad && ip addr add fd00::5/128 dev lo nodad"))
		return -1;
	struct tun tun;
	if (tun_open("sj-test0", true, 1, &tun, &err) < 0)
		return -1;
	p = pktio_new(&tun, NULL, &err);
	io = pktio_ops(p);
	io.ctx = io.of_worker(io.ctx, 0);
	for (int i = 0; i < FWD_DGRAMS_MAX; i++)
		buffers[i] = mem_zalloc(FWD_BUFFER_LEN);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	pktio_free(p);
	for (int i = 0; i < FWD_DGRAMS_MAX; i++)
		free(buffers[i]);
	return 0;
}

static const char *const ours[] = {"127.0.0.1", "fd00::1"};
static const char *const theirs[] = {"127.0.0.5", "fd00::5"};
static const char *const any[] = {"0.0.0.0", "::"};

/* One UDP_SEGMENT send arrives whole, with its TOS and its source. */
static void test_segments(void **state)
{
	static uint8_t data[LEN], out[LEN];
	(void)state;
	fill(data, LEN);
	for (int f = 0; f < 2; f++) {
		struct end a = open_end(ours[f], 4500, true), b = open_end(theirs[f], 4500, true);
		struct path path = path_between(&a, &b.at);
		for (uint8_t tos = 0; tos < 4; tos++) {
			struct fwd_dgram d = {0};
			struct fwd_send s = {.path = &path,
					     .data = data,
					     .len = LEN,
					     .gso_size = 1000,
					     .tos = (uint8_t)(tos | 0xb8),
					     .df = tos & 1};
			assert_int_equal(io.send(io.ctx, &s, 1), 1);
			assert_int_equal(s.error, 0);
			memset(out, 0, LEN);
			assert_int_equal(receive(&b, out, LEN, &d, 1000), LEN);
			assert_memory_equal(out, data, LEN);
			assert_int_equal(d.tos, tos | 0xb8);
			assert_true(endpoint_equal(&d.src, &a.at));
		}
		close_end(&a);
		close_end(&b);
	}
}

/* Many sends in one call to different ends: each goes its way, in order. */
static void test_batches(void **state)
{
	enum { MANY = 150 };
	static uint8_t data[MANY][20], out[2][MANY * 20];
	static struct fwd_send sends[MANY];
	struct fwd_dgram d;
	(void)state;
	struct end a = open_end("127.0.0.1", 4500, true), b = open_end("127.0.0.5", 4500, true);
	struct end c = open_end("fd00::1", 4500, true), e = open_end("fd00::5", 4500, true);
	struct path to4 = path_between(&a, &b.at), to6 = path_between(&c, &e.at);
	for (int i = 0; i < MANY; i++) {
		memset(data[i], i, sizeof(data[i]));
		sends[i] = (struct fwd_send){.path = i % 3 ? &to4 : &to6,
					     .data = data[i],
					     .len = sizeof(data[i]),
					     .df = i % 5 > 1};
	}
	assert_int_equal(io.send(io.ctx, sends, MANY), MANY);
	assert_int_equal(receive(&b, out[0], MANY * 20 * 2 / 3, &d, 20), MANY * 20 * 2 / 3);
	assert_int_equal(receive(&e, out[1], MANY * 20 / 3, &d, 20), MANY * 20 / 3);
	for (int i = 0, at[2] = {0, 0}; i < MANY; i++) {
		int f = i % 3 == 0;
		assert_int_equal(sends[i].error, 0);
		assert_memory_equal(out[f] + 20 * at[f]++, data[i], 20);
	}
	close_end(&a);
	close_end(&b);
	close_end(&c);
	close_end(&e);
}

/* Bound to no address: the source is the path's. */
static void test_source_of_any(void **state)
{
	(void)state;
	for (int f = 0; f < 2; f++) {
		uint8_t data[100], out[100];
		struct fwd_dgram d = {0};
		struct endpoint bound;
		struct end a = open_end(any[f], 4501, true), b = open_end(ours[f], 4502, true);
		struct path path = path_between(&a, &b.at);
		assert_true(pktio_sock_local(p, (uint16_t)b.sock, &bound));
		assert_true(endpoint_equal(&bound, &b.at));
		assert_true(pktio_sock_local(p, (uint16_t)a.sock, &bound));
		assert_true(addr_is_any(&bound.addr) && bound.port == 4501);
		assert_false(pktio_sock_local(p, PKTIO_SOCKS_MAX - 1, &bound));
		path.local.addr = addr(theirs[f]);
		struct fwd_send s = {.path = &path, .data = data, .len = 100, .tos = 1};
		fill(data, 100);
		assert_int_equal(io.send(io.ctx, &s, 1), 1);
		assert_int_equal(s.error, 0);
		assert_int_equal(receive(&b, out, 100, &d, 0), 100);
		assert_true(addr_equal(&d.src.addr, &path.local.addr));
		assert_int_equal(d.src.port, 4501);
		assert_int_equal(d.tos, 1);
		close_end(&a);
		close_end(&b);
	}
}

/* Native ESP: the payload alone, in and out; segments are cut. */
static void test_native(void **state)
{
	static uint8_t data[LEN], out[LEN];
	(void)state;
	fill(data, LEN);
	for (int f = 0; f < 2; f++) {
		struct fwd_dgram d = {0};
		struct end a = open_end(ours[f], 0, false), b = open_end(theirs[f], 0, false);
		struct path path = path_between(&a, &b.at);
		struct fwd_send s[2] = {
		    {.path = &path, .data = data, .len = 100, .tos = 2, .df = true},
		    {.path = &path, .data = data + 100, .len = 1300, .gso_size = 400, .df = true},
		};
		assert_int_equal(io.send(io.ctx, s, 2), 2);
		assert_int_equal(s[0].error | s[1].error, 0);
		assert_int_equal(receive(&b, out, 1400, &d, 400), 1400);
		assert_memory_equal(out, data, 1400);
		assert_true(endpoint_equal(&d.src, &a.at));
		close_end(&a);
		close_end(&b);
	}
}

/* Larger than the route: EMSGSIZE tells the MTU, one segment or many; without DF it goes. */
static void test_path_mtu(void **state)
{
	static uint8_t data[LEN], out[LEN];
	(void)state;
	assert_true(netns_do("ip link set lo mtu 1400"));
	for (int f = 0; f < 2; f++) {
		struct fwd_dgram d = {0};
		struct end a = open_end(ours[f], 4500, true), b = open_end(theirs[f], 4500, true);
		struct path path = path_between(&a, &b.at);
		struct fwd_send s[] = {
		    {.path = &path, .data = data, .len = 500, .df = true},
		    {.path = &path, .data = data, .len = 1390, .df = true},
		    {.path = &path, .data = data, .len = 4170, .gso_size = 1390, .df = true},
		    {.path = &path, .data = data, .len = 500, .df = true},
		    {.path = &path, .data = data, .len = 1390, .df = false},
		};
		fill(data, LEN);
		assert_int_equal(io.send(io.ctx, s, 5), 5);
		assert_int_equal(s[0].error, 0);
		assert_int_equal(s[1].error, EMSGSIZE);
		assert_int_equal(s[1].mtu, 1400);
		assert_int_equal(s[2].error, EMSGSIZE);
		assert_int_equal(s[2].mtu, 1400);
		assert_int_equal(s[3].error, 0);
		assert_int_equal(s[4].error, 0);
		assert_int_equal(receive(&b, out, 2390, &d, 0), 2390);
		close_end(&a);
		close_end(&b);
	}
	assert_true(netns_do("ip link set lo mtu 65536"));
}

/* What a closed port answers must not hurt the packets after it, out or in. */
static void test_old_errors(void **state)
{
	(void)state;
	for (int f = 0; f < 2; f++) {
		uint8_t data[64], out[640];
		struct fwd_dgram d = {0};
		struct end a = open_end(ours[f], 4500, true), b = open_end(theirs[f], 4500, true);
		struct endpoint closed = {b.at.addr, 9};
		struct path dead = path_between(&a, &closed), path = path_between(&a, &b.at);
		struct path back = path_between(&b, &a.at);
		fill(data, sizeof(data));
		for (int i = 0; i < 10; i++) {
			struct fwd_send s[2] = {{.path = &dead, .data = data, .len = 64},
						{.path = &path, .data = data, .len = 64}};
			struct fwd_send r = {.path = &back, .data = data, .len = 64};
			assert_int_equal(io.send(io.ctx, s, 2), 2);
			assert_int_equal(s[0].error | s[1].error, 0);
			assert_int_equal(io.send(io.ctx, &r, 1), 1);
			assert_int_equal(receive(&a, out, 64, &d, 0), 64);
		}
		assert_int_equal(receive(&b, out, 640, &d, 0), 640);
		close_end(&a);
		close_end(&b);
	}
}

/* From control: behind a marker or not, from the address it names, larger than the path too, and
 * the packet thread's DF is as it was afterwards. */
static void test_control_sends(void **state)
{
	enum { LARGE = 9000 };
	static uint8_t data[LARGE], out[LARGE + 4];
	(void)state;
	fill(data, LARGE);
	assert_true(netns_do("ip link set lo mtu 1400"));
	for (int f = 0; f < 2; f++) {
		struct fwd_dgram d = {0};
		struct end a = open_end(any[f], 4501, true), b = open_end(ours[f], 4502, true);
		struct endpoint from = {addr(theirs[f]), 4501};
		struct path path = path_between(&a, &b.at);
		path.local = from;
		struct fwd_send packet = {.path = &path, .data = data, .len = 1390, .df = true};
		assert_int_equal(io.send(io.ctx, &packet, 1), 1);
		assert_int_equal(packet.error, EMSGSIZE);
		static const size_t lens[] = {28, 1300, LARGE, 100};
		for (size_t i = 0; i < 8; i++) {
			size_t len = lens[i / 2], marker = i % 2 ? 4 : 0;
			assert_int_equal(
			    pktio_send(p, (uint16_t)a.sock, &from, &b.at, marker != 0, data, len),
			    0);
			assert_int_equal(receive(&b, out, len + marker, &d, 0), len + marker);
			assert_memory_equal(out, "\0\0\0\0", marker);
			assert_memory_equal(out + marker, data, len);
			assert_true(endpoint_equal(&d.src, &from));
			assert_int_equal(d.dst.family, 0);
			packet.error = 0;
			assert_int_equal(io.send(io.ctx, &packet, 1), 1);
			assert_int_equal(packet.error, EMSGSIZE);
		}
		close_end(&a);
		assert_int_equal(pktio_send(p, (uint16_t)a.sock, &from, &b.at, true, data, 28),
				 -ENOTCONN);
		close_end(&b);
		a = open_end(ours[f], 0, false);
		assert_int_equal(pktio_send(p, (uint16_t)a.sock, &from, &b.at, true, data, 28),
				 -EPROTONOSUPPORT);
		close_end(&a);
	}
	assert_true(netns_do("ip link set lo mtu 65536"));
}

/* A socket bound to no address says where each datagram came to. */
static void test_destination(void **state)
{
	(void)state;
	for (int f = 0; f < 2; f++) {
		struct end a = open_end(any[f], 4501, true), b = open_end(ours[f], 4502, true);
		for (int i = 0; i < 2; i++) {
			uint8_t data[200], out[200];
			struct fwd_dgram d = {0};
			struct endpoint to = {addr(i ? theirs[f] : ours[f]), 4501};
			struct path path = path_between(&b, &to);
			struct fwd_send s = {
			    .path = &path, .data = data, .len = 200, .gso_size = 100};
			fill(data, 200);
			assert_int_equal(io.send(io.ctx, &s, 1), 1);
			assert_int_equal(receive(&a, out, 200, &d, 100), 200);
			assert_true(addr_equal(&d.dst, &to.addr));
		}
		close_end(&a);
		close_end(&b);
	}
}

static void test_socket_table(void **state)
{
	(void)state;
	uint8_t data[8] = {0}, out[8];
	struct fwd_dgram d;
	struct end a = open_end("127.0.0.1", 4500, true), b = open_end("127.0.0.5", 4500, true);
	struct path path = path_between(&a, &b.at);
	struct fwd_send s = {.path = &path, .data = data, .len = 8};
	int sock = a.sock;
	close_end(&a);
	assert_int_equal(io.send(io.ctx, &s, 1), 1);
	assert_int_equal(s.error, ENOTCONN);
	pktio_sock_remove(p, (uint16_t)sock); /* again: nothing */
	pktio_sock_remove(p, PKTIO_SOCKS_MAX);
	a = open_end("127.0.0.1", 4500, true); /* the port and the slot are free again */
	assert_int_equal(a.sock, sock);
	assert_int_equal(io.send(io.ctx, &s, 1), 1);
	assert_int_equal(s.error, 0);
	assert_int_equal(receive(&b, out, 8, &d, 0), 8);
	/* Until it is full. */
	int more = 0, r;
	while ((r = pktio_sock_add(p, dup(b.fd), true, false)) >= 0)
		more++;
	assert_int_equal(r, -ENFILE);
	assert_int_equal(more, PKTIO_SOCKS_MAX - 2);
	for (uint16_t i = 0; i < PKTIO_SOCKS_MAX; i++)
		pktio_sock_remove(p, i);
	rcu_barrier();
}

static void test_socket_refusals(void **state)
{
	static const struct {
		const char *local, *interface;
		uint16_t port;
		int error;
		const char *says;
	} bad[] = {
	    {"127.0.0.1", "", 4500, -EADDRINUSE, "another program has this port"},
	    {"127.0.0.1", "sj-none", 4600, -ENODEV, "no such interface"},
	};
	(void)state;
	struct end a = open_end("127.0.0.1", 4500, true);
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct err err = {""};
		struct netreq req = {.udp = true,
				     .local = {.addr = addr(bad[i].local), .port = bad[i].port}};
		strcpy(req.interface, bad[i].interface);
		assert_int_equal(packet_socket_open(&req, MARK, FWD_DF_SET, false, &err),
				 bad[i].error);
		assert_non_null(strstr(err.text, bad[i].says));
	}
	close_end(&a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_segments),	  cmocka_unit_test(test_batches),
	    cmocka_unit_test(test_source_of_any), cmocka_unit_test(test_native),
	    cmocka_unit_test(test_path_mtu),	  cmocka_unit_test(test_old_errors),
	    cmocka_unit_test(test_control_sends), cmocka_unit_test(test_destination),
	    cmocka_unit_test(test_socket_table),  cmocka_unit_test(test_socket_refusals),
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
