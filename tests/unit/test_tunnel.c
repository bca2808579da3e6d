/* SPDX-License-Identifier: MIT */
/*
 * Two whole packet paths with real devices, sockets and packet threads:
 *
 *   here: sj-a 10.9.0.5  -- fwd -- UDP or ESP over lo -- fwd --  sj-b 10.1.0.1 :there
 *              fd09::5                                                 fd01::1
 *
 * `there` is a second namespace, held by a child that takes TCP connections and answers with
 * the count and the sum of what it read.  All of it with one packet thread on each side, and with
 * several: then many flows at once share one sequence space, and on one side one socket each.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <setjmp.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <cmocka.h>
#include "base/mem.h"
#include "netns.h"
#include "platform/pktio.h"
#include "platform/sock.h"
#include "platform/tun.h"
#include "sadb/replay.h"

#define PORT	5000
#define SENT	(8u << 20)
#define WAYS	4
#define WORKERS 3
#define FLOWS	6 /* at once, with several workers */

struct side {
	struct pktio *io;
	struct fwd *f;
	struct sadb *db;
	struct peer peers[WAYS]; /* one each time: the thread may still look at the one before */
	unsigned peer_count;
	struct sa *in, *out;
	int sock;
};

static struct side sides[2];
static pid_t child;
static unsigned workers;

static struct addr addr(const char *text)
{
	struct addr a;
	assert_int_equal(addr_parse(text, &a), 0);
	return a;
}

static struct prefix prefix(const char *text)
{
	struct prefix p;
	assert_int_equal(prefix_parse(text, &p), 0);
	return p;
}

/* --- the far host */

struct total {
	uint64_t count, sum;
};

static void total_add(struct total *t, const uint8_t *data, size_t len)
{
	t->count += len;
	for (size_t i = 0; i < len; i++)
		t->sum = t->sum * 31 + data[i];
}

static void serve_one(int c)
{
	static uint8_t data[65536];
	struct total t = {0};
	ssize_t n;
	while ((n = recv(c, data, sizeof(data), 0)) > 0)
		total_add(&t, data, (size_t)n);
	if (write(c, &t, sizeof(t)) < 0)
		_exit(1);
	/* And as much the other way. */
	for (size_t sent = 0; sent < SENT; sent += sizeof(data))
		if (send(c, data, sizeof(data), MSG_NOSIGNAL) < 0)
			break;
	_exit(0);
}

static void serve(int listener)
{
	signal(SIGCHLD, SIG_IGN);
	for (;;) {
		int c = accept(listener, NULL, NULL);
		if (fork() == 0) {
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			serve_one(c);
		}
		close(c);
	}
}

static void far_host(int ready, int go)
{
	char c;
	int one = 1;
	struct sockaddr_in6 any = {.sin6_family = AF_INET6, .sin6_port = htons(PORT)};
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (unshare(CLONE_NEWNET) < 0 || write(ready, "x", 1) != 1 || read(go, &c, 1) != 1)
		_exit(1);
	int listener = socket(AF_INET6, SOCK_STREAM, 0);
	setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(listener, (struct sockaddr *)&any, sizeof(any)) < 0 || listen(listener, FLOWS) < 0)
		_exit(1);
	if (write(ready, "x", 1) != 1)
		_exit(1);
	serve(listener);
}

/* --- the two nodes */

static struct sa *make_sa(int side, int from, bool udp)
{
	uint8_t key[128];
	struct err err = {""};
	memset(key, 0x21 + from, sizeof(key));
	struct sa_config c = {.spi = 0x1000u + (uint32_t)from,
			      .encr = alg_find("aes128-cbc"),
			      .integ = alg_find("hmac-sha-256-128"),
			      .key = key,
			      .esn = true,
			      .udp = udp,
			      .replay_packets = 4096,
			      .peer = &sides[side].peers[sides[side].peer_count - 1]};
	c.key_len = crypt_key_len(c.encr, c.integ);
	struct sa *sa = sa_new(&c, side == from ? CRYPT_SEAL : CRYPT_OPEN, &err);
	if (!sa)
		fail_msg("%s", err.text);
	return sa;
}

static int open_fd(const struct endpoint *local, bool udp, bool shared)
{
	struct err err = {""};
	struct netreq req = {.udp = udp, .local = *local};
	int fd = packet_socket_open(&req, 1, FWD_DF_SET, shared, &err);
	if (fd < 0)
		fail_msg("%s", err.text);
	return fd;
}

/* On side 1, as on a home server, each worker has its own. */
static int open_sock(int i, const struct endpoint *local, bool udp)
{
	struct side *s = &sides[i];
	bool shared = i == 1 && udp && workers > 1;
	int sock = pktio_sock_add(s->io, open_fd(local, udp, shared), udp, local->addr.family == 6);
	for (unsigned n = 1; shared && n < workers; n++)
		assert_int_equal(pktio_sock_join(s->io, (uint16_t)sock, open_fd(local, udp, true)),
				 0);
	if (shared)
		assert_int_equal(pktio_sock_join(s->io, (uint16_t)sock, open_fd(local, udp, true)),
				 -ENFILE);
	return sock;
}

static void connect_side(int i, const char *const outer[2], bool udp)
{
	struct side *s = &sides[i];
	struct endpoint at[2] = {{addr(outer[0]), udp ? 4500 : 0},
				 {addr(outer[1]), udp ? 4500 : 0}};
	struct peer *peer = &s->peers[s->peer_count++];
	space_init(&peer->space, 4096);
	replay_reset(&peer->space.window, 0, true);
	s->out = make_sa(i, i, udp);
	s->in = make_sa(i, !i, udp);
	atomic_store(&s->in->active, true);
	s->sock = open_sock(i, &at[i], udp);
	struct path *path = path_new();
	*path =
	    (struct path){.local = at[i], .remote = at[!i], .sock = (uint16_t)s->sock, .mtu = 1500};
	sa_set_path(s->out, path);
	assert_int_equal(sadb_add(s->db, s->in), 0);
	static const char *const routes[2][2] = {{"10.1.0.0/24", "fd01::/64"},
						 {"10.9.0.0/24", "fd09::/64"}};
	for (int r = 0; r < 2; r++) {
		struct prefix p = prefix(routes[i][r]);
		struct active *a = active_new(1);
		a->sa[0] = s->out;
		assert_int_equal(fwd_route_set(s->f, &p, a), 0);
	}
}

static void disconnect_side(int i)
{
	static const char *const routes[2][2] = {{"10.1.0.0/24", "fd01::/64"},
						 {"10.9.0.0/24", "fd09::/64"}};
	struct side *s = &sides[i];
	for (int r = 0; r < 2; r++) {
		struct prefix p = prefix(routes[i][r]);
		assert_int_equal(fwd_route_set(s->f, &p, NULL), 0);
	}
	sadb_remove(s->db, s->in);
	fwd_retire(s->f, s->in);
	fwd_retire(s->f, s->out);
	pktio_sock_remove(s->io, (uint16_t)s->sock);
}

static void start_side(int i, const char *tun)
{
	struct side *s = &sides[i];
	struct err err = {""};
	struct tun device;
	if (tun_open(tun, true, workers, &device, &err) < 0)
		fail_msg("%s", err.text);
	s->db = sadb_new();
	static struct prefix prefixes[2];
	prefixes[0] = prefix("10.9.0.0/24");
	prefixes[1] = prefix("fd09::/64");
	for (unsigned n = 0; n < WAYS; n++) {
		s->peers[n].is_home_server = i == 0;
		s->peers[n].prefix_count = 2;
		s->peers[n].prefixes = prefixes;
	}
	bool udp = device.udp;
	s->io = pktio_new(&device, NULL, &err);
	assert_non_null(s->io);
	struct fwd_config c = {.sadb = s->db,
			       .io = pktio_ops(s->io),
			       .df = FWD_DF_SET,
			       .offload = true,
			       .offload_udp = udp,
			       .workers = workers};
	s->f = fwd_new(&c, &err);
	assert_non_null(s->f);
	assert_int_equal(pktio_start(s->io, s->f), 0);
}

static int set_up(void **state)
{
	int ready[2], go[2];
	char c, command[256];
	(void)state;
	if (pipe(ready) < 0 || pipe(go) < 0)
		return -1;
	child = fork();
	if (child == 0)
		far_host(ready[1], go[0]);
	if (child < 0 || read(ready[0], &c, 1) != 1)
		return -1;
	start_side(0, "sj-a");
	start_side(1, "sj-b");
	if (!netns_do(
		"ip link set lo up && ip addr replace 127.0.0.5/8 dev lo && "
		"ip addr replace fd00::1/128 dev lo nodad && "
		"ip addr replace fd00::5/128 dev lo nodad && ip link set lo mtu 1500 && "
		"ip link set sj-a up mtu 1400 && ip addr add 10.9.0.5/32 dev sj-a && "
		"ip addr add fd09::5/128 dev sj-a nodad && ip route add 10.1.0.0/24 dev sj-a && "
		"ip route add fd01::/64 dev sj-a"))
		return -1;
	snprintf(command, sizeof(command),
		 "ip link set sj-b netns %d && nsenter -t %d -n sh -c '"
		 "ip link set sj-b up mtu 1400; ip addr add 10.1.0.1/32 dev sj-b; "
		 "ip addr add fd01::1/128 dev sj-b nodad; ip route add 10.9.0.0/24 dev sj-b; "
		 "ip route add fd09::/64 dev sj-b'",
		 (int)child, (int)child);
	if (!netns_do(command) || write(go[1], "x", 1) != 1 || read(ready[0], &c, 1) != 1)
		return -1;
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
	for (int i = 0; i < 2; i++) {
		pktio_stop(sides[i].io);
		fwd_free(sides[i].f);
		rcu_barrier();
		pktio_free(sides[i].io);
		sadb_free(sides[i].db);
		for (unsigned n = 0; n < sides[i].peer_count; n++)
			space_clear(&sides[i].peers[n].space);
		memset(&sides[i], 0, sizeof(sides[i]));
	}
	return 0;
}

/* --- transfers */

static int dial(int family)
{
	struct endpoint to = {addr(family == 4 ? "10.1.0.1" : "fd01::1"), PORT};
	struct sockaddr_storage ss;
	socklen_t len = endpoint_to_sockaddr(&to, &ss);
	struct timeval limit = {.tv_sec = 30};
	int fd = socket(ss.ss_family, SOCK_STREAM, 0);
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	if (connect(fd, (struct sockaddr *)&ss, len) == 0)
		return fd;
	close(fd);
	return -1;
}

static bool send_all(int fd, uint8_t *data, size_t room, struct total *mine)
{
	for (size_t sent = 0; sent < SENT; sent += room) {
		for (size_t i = 0; i < room; i++)
			data[i] = (uint8_t)(i * 13 + (sent >> 12) + i / 512);
		if (send(fd, data, room, MSG_NOSIGNAL) != (ssize_t)room)
			return false;
		total_add(mine, data, room);
	}
	shutdown(fd, SHUT_WR);
	return true;
}

/* What is sent arrives whole, and as much comes back. */
static bool transfer(int family)
{
	enum { ROOM = 65536 };
	struct total mine = {0}, theirs = {0};
	int fd = dial(family);
	if (fd < 0)
		return false;
	uint8_t *data = mem_zalloc(ROOM);
	bool ok = send_all(fd, data, ROOM, &mine) &&
		  recv(fd, &theirs, sizeof(theirs), MSG_WAITALL) == sizeof(theirs) &&
		  theirs.count == SENT && theirs.sum == mine.sum;
	size_t got = 0;
	ssize_t n;
	while (ok && (n = recv(fd, data, ROOM, 0)) > 0)
		got += (size_t)n;
	free(data);
	close(fd);
	return ok && got == SENT;
}

static void *transfer_thread(void *family)
{
	return transfer(*(int *)family) ? family : NULL;
}

static void transfers(void)
{
	static int families[FLOWS];
	pthread_t threads[FLOWS];
	unsigned count = workers > 1 ? FLOWS : 0;
	assert_true(transfer(4));
	assert_true(transfer(6));
	for (unsigned i = 0; i < count; i++) {
		families[i] = i % 2 ? 6 : 4;
		assert_int_equal(pthread_create(&threads[i], NULL, transfer_thread, &families[i]),
				 0);
	}
	bool ok = true;
	for (unsigned i = 0; i < count; i++) {
		void *done;
		pthread_join(threads[i], &done);
		ok &= done != NULL;
	}
	assert_true(ok);
}

struct way {
	const char *outer[2];
	bool udp;
};

static void test_tcp(void **state)
{
	const struct way *w = *state;
	struct fwd_counters before, after;
	fwd_counters(sides[0].f, &before);
	for (int i = 0; i < 2; i++)
		connect_side(i, w->outer, w->udp);
	transfers();
	fwd_counters(sides[0].f, &after);
	/* Whole reads became whole sends: fewer units of I/O than packets, by far. */
	uint64_t packets = after.out_packets - before.out_packets;
	if (w->udp)
		assert_true((after.out_sends - before.out_sends) * 4 < packets);
	assert_int_equal(after.drops[DROP_SEND_FAILED], before.drops[DROP_SEND_FAILED]);
	assert_int_equal(after.drops[DROP_TUN_FAILED], before.drops[DROP_TUN_FAILED]);
	/* No number was given twice. */
	assert_int_equal(after.drops[DROP_REPLAYED], before.drops[DROP_REPLAYED]);
	for (int i = 0; i < 2; i++)
		disconnect_side(i);
}

static struct way ways[WAYS] = {
    {{"127.0.0.1", "127.0.0.5"}, true},
    {{"fd00::1", "fd00::5"}, true},
    {{"127.0.0.1", "127.0.0.5"}, false},
    {{"fd00::1", "fd00::5"}, false},
};

int main(void)
{
	const struct CMUnitTest tests[] = {
	    {"tcp over UDP over IPv4", test_tcp, NULL, NULL, &ways[0]},
	    {"tcp over UDP over IPv6", test_tcp, NULL, NULL, &ways[1]},
	    {"tcp over native ESP over IPv4", test_tcp, NULL, NULL, &ways[2]},
	    {"tcp over native ESP over IPv6", test_tcp, NULL, NULL, &ways[3]},
	};
	netns_enter();
	workers = 1;
	int failed = cmocka_run_group_tests_name("one worker", tests, set_up, tear_down);
	workers = WORKERS;
	return failed + cmocka_run_group_tests_name("several", tests, set_up, tear_down);
}
