/* SPDX-License-Identifier: MIT */
/* Messages between the two processes over a real socket pair. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>
#include "platform/netreq.h"

static void open_pair(int fds[2])
{
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds), 0);
}

static int open_count(void)
{
	int n = 0;
	for (int fd = 0; fd < 256; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

static void test_carries_everything(void **state)
{
	int fds[2], passed[2], got;
	(void)state;
	open_pair(fds);
	assert_int_equal(pipe(passed), 0);
	struct netreq m = {.kind = NETREQ_ROUTE,
			   .id = 7,
			   .on = true,
			   .udp = true,
			   .interface = "wlan0",
			   .ifindex = 3,
			   .value = 1400,
			   .result = -EPERM,
			   .text = "refused"};
	assert_int_equal(prefix_parse("10.2.0.0/16", &m.prefix), 0);
	assert_int_equal(addr_parse("fd00::1", &m.addr), 0);
	struct netreq r;
	memset(&r, 0xff, sizeof(r));
	assert_int_equal(netreq_write(fds[0], &m, passed[1]), 0);
	assert_int_equal(netreq_read(fds[1], &r, &got), 0);
	assert_memory_equal(&m, &r, sizeof(m));
	/* It is another descriptor of the same pipe. */
	char c = 0;
	assert_true(got >= 0 && got != passed[1]);
	assert_int_equal(write(got, "y", 1), 1);
	assert_int_equal(read(passed[0], &c, 1), 1);
	assert_int_equal(c, 'y');
	assert_true(fcntl(got, F_GETFD) & FD_CLOEXEC);

	assert_int_equal(netreq_write(fds[1], &m, -1), 0);
	assert_int_equal(netreq_read(fds[0], &r, &got), 0);
	assert_int_equal(got, -1);
	close(fds[0]);
	assert_int_equal(netreq_read(fds[1], &r, &got), -EPIPE);
	assert_int_equal(netreq_write(fds[1], &m, -1), -EPIPE);
	close(fds[1]);
	close(passed[0]);
	close(passed[1]);
}

static void send_raw(int fd, const void *data, size_t len, const int *pass, size_t count)
{
	struct iovec iov = {.iov_base = (void *)(uintptr_t)data, .iov_len = len};
	union {
		struct cmsghdr align;
		char buf[CMSG_SPACE(sizeof(int) * 16)];
	} control = {.buf = {0}};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
	if (count) {
		msg.msg_control = control.buf;
		msg.msg_controllen = CMSG_SPACE(sizeof(int) * count);
		struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int) * count);
		memcpy(CMSG_DATA(c), pass, sizeof(int) * count);
	}
	assert_int_equal(sendmsg(fd, &msg, 0), (ssize_t)len);
}

/* Every length but the right one, each with a descriptor that must not stay open. */
static void test_refuses_other_lengths(void **state)
{
	int fds[2], got;
	uint8_t raw[2 * sizeof(struct netreq)] = {0};
	struct netreq m;
	(void)state;
	open_pair(fds);
	int before = open_count();
	for (size_t len = 1; len < sizeof(raw); len++) {
		if (len == sizeof(struct netreq))
			continue;
		send_raw(fds[0], raw, len, &fds[0], len % 2);
		assert_int_equal(netreq_read(fds[1], &m, &got), -EBADMSG);
		assert_int_equal(got, -1);
	}
	assert_int_equal(open_count(), before);
	/* The channel still works. */
	send_raw(fds[0], raw, sizeof(struct netreq), NULL, 0);
	assert_int_equal(netreq_read(fds[1], &m, &got), 0);
	close(fds[0]);
	close(fds[1]);
}

static void test_refuses_many_descriptors(void **state)
{
	static const size_t counts[] = {2, 8, 9, 16};
	int fds[2], got, pass[16];
	struct netreq m = {.kind = NETREQ_STOP};
	(void)state;
	open_pair(fds);
	for (size_t i = 0; i < 16; i++)
		pass[i] = fds[0];
	int before = open_count();
	for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
		send_raw(fds[0], &m, sizeof(m), pass, counts[i]);
		assert_int_equal(netreq_read(fds[1], &m, &got), -EBADMSG);
		assert_int_equal(open_count(), before);
	}
	close(fds[0]);
	close(fds[1]);
}

static void test_refuses_unsound_fields(void **state)
{
	static const struct {
		size_t offset, len;
		uint8_t value;
	} bad[] = {
	    {offsetof(struct netreq, kind), 1, NETREQ_RELOAD_DONE + 1},
	    {offsetof(struct netreq, kind), 4, 0xff},
	    {offsetof(struct netreq, on), 1, 2},
	    {offsetof(struct netreq, udp), 1, 0xff},
	    {offsetof(struct netreq, local.addr), 1, 5},
	    {offsetof(struct netreq, prefix.addr), 1, 1},
	    {offsetof(struct netreq, addr), 1, 255},
	    {offsetof(struct netreq, gateway), 1, 16},
	    {offsetof(struct netreq, interface), IF_NAMESIZE, 'a'},
	    {offsetof(struct netreq, text), 160, 'a'},
	    {offsetof(struct netreq, addr_count), 1, NETREQ_ADDRS_MAX + 1},
	    {offsetof(struct netreq, addrs[0]), 1, 7},
	    {offsetof(struct netreq, addrs[NETREQ_ADDRS_MAX - 1]), 1, 3},
	    {offsetof(struct netreq, name), NETREQ_NAME_MAX, 'a'},
	};
	int fds[2], got;
	(void)state;
	open_pair(fds);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		uint8_t raw[sizeof(struct netreq)] = {0};
		struct netreq m;
		memset(raw + bad[i].offset, bad[i].value, bad[i].len);
		send_raw(fds[0], raw, sizeof(raw), NULL, 0);
		assert_int_equal(netreq_read(fds[1], &m, &got), -EBADMSG);
	}
	close(fds[0]);
	close(fds[1]);
}

/* --- the node's end */

struct node {
	struct loop *loop;
	struct netreq_client *client;
	int replies, notices, fds;
	uint32_t values[2];
	enum netreq_kind last;
	int32_t result;
};

static void replied(void *ctx, const struct netreq *reply, int fd)
{
	struct node *n = ctx;
	if (n->replies < 2)
		n->values[n->replies] = reply->value;
	n->replies++;
	if (fd >= 0) {
		n->fds++;
		close(fd);
	}
}

static void noticed(void *ctx, const struct netreq *m, int fd)
{
	struct node *n = ctx;
	n->notices++;
	n->last = m->kind;
	n->result = m->result;
	if (fd >= 0) {
		n->fds++;
		close(fd);
	}
	loop_stop(n->loop);
}

static void test_replies_find_their_requests(void **state)
{
	int fds[2], got;
	(void)state;
	open_pair(fds);
	struct node n = {.loop = loop_new()};
	n.client = netreq_client_new(n.loop, fds[0], noticed, &n);
	assert_non_null(n.client);
	struct netreq a = {.kind = NETREQ_SOCK, .value = 1}, b = {.kind = NETREQ_ROUTE, .value = 2};
	struct netreq c = {.kind = NETREQ_TUN_MTU};
	assert_int_equal(netreq_send(n.client, &a, replied, &n), 0);
	assert_int_equal(netreq_send(n.client, &b, replied, &n), 0);
	assert_int_equal(netreq_send(n.client, &c, NULL, NULL), 0);
	struct netreq m[3];
	for (int i = 0; i < 3; i++)
		assert_int_equal(netreq_read(fds[1], &m[i], &got), 0);
	assert_true(m[0].id != 0 && m[0].id != m[1].id && m[1].id != m[2].id);
	/* The other way round, each with a descriptor; one twice, one nobody asked. */
	for (int i = 2; i >= 0; i--)
		assert_int_equal(netreq_write(fds[1], &m[i], fds[1]), 0);
	assert_int_equal(netreq_write(fds[1], &m[0], fds[1]), 0);
	struct netreq stranger = {.kind = NETREQ_SOCK, .id = 4711};
	assert_int_equal(netreq_write(fds[1], &stranger, fds[1]), 0);
	struct netreq reload = {.kind = NETREQ_RELOAD};
	int before = open_count();
	assert_int_equal(netreq_write(fds[1], &reload, fds[1]), 0);
	assert_int_equal(loop_run(n.loop), 0);
	assert_int_equal(n.replies, 2);
	assert_int_equal(n.values[0], 2);
	assert_int_equal(n.values[1], 1);
	assert_int_equal(n.notices, 1);
	assert_int_equal(n.last, NETREQ_RELOAD);
	assert_int_equal(n.fds, 3);
	assert_int_equal(open_count(), before);
	/* The other end goes: a notice to stop, and no more requests. */
	close(fds[1]);
	assert_int_equal(loop_run(n.loop), 0);
	assert_int_equal(n.last, NETREQ_STOP);
	assert_int_equal(n.result, -EPIPE);
	assert_int_equal(netreq_send(n.client, &a, replied, &n), -EPIPE);
	netreq_client_free(n.client);
	loop_free(n.loop);
}

#define MANY 3000

struct many {
	struct loop *loop;
	int replies;
	int fd;
};

static void many_replied(void *ctx, const struct netreq *reply, int fd)
{
	struct many *m = ctx;
	(void)fd;
	assert_int_equal(reply->value, m->replies);
	if (++m->replies == MANY)
		loop_stop(m->loop);
}

static void many_serve(void *ctx, bool readable, bool writable)
{
	struct many *m = ctx;
	struct netreq req;
	int fd;
	(void)readable;
	(void)writable;
	assert_int_equal(netreq_read(m->fd, &req, &fd), 0);
	assert_int_equal(netreq_write(m->fd, &req, -1), 0);
}

/* More than the channel holds: sending never blocks and nothing is lost or reordered. */
static void test_queues_what_does_not_fit(void **state)
{
	int fds[2];
	(void)state;
	open_pair(fds);
	struct many m = {.loop = loop_new(), .fd = fds[1]};
	struct netreq_client *c = netreq_client_new(m.loop, fds[0], NULL, NULL);
	for (uint32_t i = 0; i < MANY; i++) {
		struct netreq req = {.kind = NETREQ_ROUTE, .value = i};
		assert_int_equal(netreq_send(c, &req, many_replied, &m), 0);
	}
	struct loop_fd *server = loop_fd_add(m.loop, fds[1], many_serve, &m);
	assert_int_equal(loop_run(m.loop), 0);
	assert_int_equal(m.replies, MANY);
	loop_fd_remove(server);
	close(fds[1]);
	netreq_client_free(c);
	loop_free(m.loop);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_carries_everything),
	    cmocka_unit_test(test_refuses_other_lengths),
	    cmocka_unit_test(test_refuses_many_descriptors),
	    cmocka_unit_test(test_refuses_unsound_fields),
	    cmocka_unit_test(test_replies_find_their_requests),
	    cmocka_unit_test(test_queues_what_does_not_fit),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
