/* SPDX-License-Identifier: MIT */
/* Names that net has looked up for the node, in a process apart; the file of name servers. */
#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <netdb.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>
#include "base/mem.h"
#include "daemon/net_dns.h"
#include "daemon/net_lookup.h"
#include "daemon/net_resolv.h"
#include "netns.h"
#include "wire/dns.h"

#define ASKED_MAX 10

static struct loop *loop;
static struct netreq replies[ASKED_MAX];
static unsigned reply_count, wanted;

/* As net has it before the fork. */
static struct config *config_of(const char *user)
{
	static const char text[] =
	    "role = terminal\nhome-address = \"10.1.0.10\"\nhome-agent = \"10.1.0.1\"\n"
	    "registration-spi = 0x100\nregistration-key = "
	    "\"0x000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f\"\n"
	    "connection wifi {\nserver = \"203.0.113.1\"\ncipher = aes128-cbc\n"
	    "integrity = hmac-sha-256-128\nspi-out = 0x1001\nspi-in = 0x2001\nkey-out = "
	    "\"0x101112131415161718191a1b1c1d1e1f101112131415161718191a1b1c1d1e1f10111213141516"
	    "1718191a1b1c1d1e1f\"\nkey-in = "
	    "\"0x202122232425262728292a2b2c2d2e2f202122232425262728292a2b2c2d2e2f20212223242526"
	    "2728292a2b2c2d2e2f\"\n}\n";
	struct err err = {""};
	FILE *in = fmemopen((void *)(uintptr_t)text, strlen(text), "r");
	struct config *cfg = config_read(in, "terminal.conf", &err);
	fclose(in);
	if (!cfg)
		fail_msg("%s", err.text);
	snprintf(cfg->user, sizeof(cfg->user), "%s", user);
	return cfg;
}

static void take(void *ctx, struct netreq *reply)
{
	assert_ptr_equal(ctx, &replies);
	assert_true(reply_count < ASKED_MAX);
	replies[reply_count++] = *reply;
	if (reply_count == wanted)
		loop_stop(loop);
}

static struct netreq request(const char *name, uint32_t id)
{
	struct netreq r = {.kind = NETREQ_LOOKUP, .id = id, .on = true};
	snprintf(r.name, sizeof(r.name), "%s", name);
	return r;
}

static const struct netreq *reply_of(uint32_t id)
{
	const struct netreq *found = NULL;
	for (unsigned i = 0; i < reply_count; i++) {
		if (replies[i].id != id)
			continue;
		assert_null(found);
		found = &replies[i];
	}
	assert_non_null(found);
	return found;
}

/* By the system's own file: not every system has one. */
static bool localhost_is_known(void)
{
	struct addrinfo *found = NULL;
	const struct addrinfo hints = {.ai_family = AF_INET, .ai_socktype = SOCK_DGRAM};
	if (getaddrinfo("localhost", NULL, &hints, &found) != 0)
		return false;
	freeaddrinfo(found);
	return true;
}

static void test_lookup(void **state)
{
	/* Without a network: what is a number, what the system's own file knows, and nothing. */
	static const struct {
		const char *name;
		const char *has; /* NULL: an error */
	} table[] = {
	    {"203.0.113.9", "203.0.113.9"},
	    {"localhost", "127.0.0.1"},
	    {"2001:db8::9", "2001:db8::9"},
	    {"no-such-name.invalid", NULL},
	    {"", NULL},
	};
	struct err err = {""};
	(void)state;
	struct config *cfg = config_of("nobody");
	struct net_lookup *l = net_lookup_new(cfg, &err);
	if (!l)
		fail_msg("%s", err.text);
	assert_int_equal(net_lookup_watch(l, loop, take, &replies), 0);
	reply_count = 0;
	wanted = ARRAY_LEN(table);
	for (uint32_t i = 0; i < ARRAY_LEN(table); i++) {
		struct netreq r = request(table[i].name, 70 + i);
		assert_int_equal(net_lookup_ask(l, &r, 0x534a), 0);
	}
	assert_int_equal(loop_run(loop), 0);
	for (uint32_t i = 0; i < ARRAY_LEN(table); i++) {
		const struct netreq *m = reply_of(70 + i);
		assert_string_equal(m->name, table[i].name);
		if (!strcmp(m->name, "localhost") && !localhost_is_known())
			continue;
		if (!table[i].has) {
			assert_true(m->result < 0 && m->text[0] && m->addr_count == 0);
			continue;
		}
		struct addr has;
		bool there = false;
		assert_int_equal(addr_parse(table[i].has, &has), 0);
		assert_int_equal(m->result, 0);
		for (unsigned k = 0; k < m->addr_count; k++)
			there |= addr_equal(&m->addrs[k], &has);
		assert_true(there);
	}
	net_lookup_free(l, false);
	config_free(cfg);
}

/* --- name servers, by a socket of our own */

struct server {
	const char *at;
	/* what it says to A and to AAAA; NULL: that there is none, "": nothing at all */
	const char *a, *aaaa;
	bool other_id;
	int fd;
};

static struct server *servers_now;
static size_t server_count;

static size_t make_answer(const struct server *s, uint8_t *msg, size_t len)
{
	bool aaaa = msg[len - 3] == DNS_AAAA;
	const char *says = aaaa ? s->aaaa : s->a;
	static const uint8_t head[10] = {0xc0, 12, 0, 0, 0, 1, 0, 0, 0, 60};
	struct addr a;
	msg[0] = (uint8_t)(msg[0] + s->other_id);
	msg[2] |= 0x80;
	if (!says)
		return len;
	assert(addr_parse(says, &a) == 0);
	msg[7] = 1;
	memcpy(msg + len, head, sizeof(head));
	msg[len + 3] = aaaa ? DNS_AAAA : DNS_A;
	msg[len + 10] = 0;
	msg[len + 11] = (uint8_t)addr_len(&a);
	memcpy(msg + len + 12, a.b, addr_len(&a));
	return len + 12 + addr_len(&a);
}

static void *serve_names(void *arg)
{
	struct pollfd pfd[4];
	(void)arg;
	for (size_t i = 0; i < server_count; i++)
		pfd[i] = (struct pollfd){.fd = servers_now[i].fd, .events = POLLIN};
	while (poll(pfd, server_count, -1) > 0) {
		for (size_t i = 0; i < server_count; i++) {
			uint8_t msg[600];
			struct sockaddr_storage ss;
			socklen_t ss_len = sizeof(ss);
			if (!pfd[i].revents)
				continue;
			ssize_t len =
			    recvfrom(pfd[i].fd, msg, 500, 0, (struct sockaddr *)&ss, &ss_len);
			if (len <= 0)
				return NULL;
			const struct server *s = &servers_now[i];
			const char *says = msg[len - 3] == DNS_AAAA ? s->aaaa : s->a;
			if (says && !says[0])
				continue;
			size_t n = make_answer(s, msg, (size_t)len);
			(void)!sendto(pfd[i].fd, msg, n, 0, (struct sockaddr *)&ss, ss_len);
		}
	}
	return NULL;
}

static size_t ask_them(struct server *servers, size_t n, struct addr *out)
{
	pthread_t thread;
	struct addr at[4];
	servers_now = servers;
	server_count = n;
	for (size_t i = 0; i < n; i++) {
		struct sockaddr_storage ss;
		struct endpoint e = {.port = 53};
		assert_int_equal(addr_parse(servers[i].at, &e.addr), 0);
		at[i] = e.addr;
		socklen_t len = endpoint_to_sockaddr(&e, &ss);
		servers[i].fd = socket(ss.ss_family, SOCK_DGRAM, 0);
		assert_int_equal(bind(servers[i].fd, (struct sockaddr *)&ss, len), 0);
	}
	assert_int_equal(pthread_create(&thread, NULL, serve_names, NULL), 0);
	int fd = net_dns_socket(0x534a), mark = 0;
	socklen_t len = sizeof(mark);
	assert_true(fd >= 0);
	assert_int_equal(getsockopt(fd, SOL_SOCKET, SO_MARK, &mark, &len), 0);
	assert_int_equal(mark, 0x534a);
	size_t found = net_dns_ask(fd, at, n, "gw.example.net", out, 4);
	close(fd);
	for (size_t i = 0; i < n; i++)
		shutdown(servers[i].fd, SHUT_RDWR);
	pthread_join(thread, NULL);
	for (size_t i = 0; i < n; i++)
		close(servers[i].fd);
	return found;
}

static void test_name_servers(void **state)
{
	struct server both[] = {{"127.0.0.1", "203.0.113.7", "2001:db8::7", .fd = -1}};
	struct server none[] = {{"127.0.0.1", NULL, NULL, .fd = -1}, {"::1", NULL, NULL, .fd = -1}};
	struct server one[] = {{"127.0.0.1", "", "", .fd = -1},
			       {"::1", "203.0.113.9", NULL, .fd = -1},
			       {"127.0.0.2", "203.0.113.66", "2001:db8::66", true, -1}};
	struct addr got[4], want;
	(void)state;
	assert_int_equal(ask_them(both, 1, got), 2);
	/* Of several: one is silent, one lies about what it was asked. */
	assert_int_equal(ask_them(one, 3, got), 1);
	assert_int_equal(addr_parse("203.0.113.9", &want), 0);
	assert_true(addr_equal(&got[0], &want));
	usec_t before = clock_now_us();
	assert_int_equal(ask_them(none, 2, got), 0);
	assert_true(clock_now_us() - before < USEC_PER_SEC); /* all said no */
	assert_int_equal(net_dns_ask(-1, got, 0, "gw.example.net", got, 4), 0);
	assert_int_equal(net_dns_ask(-1, got, 1, "not a name", got, 4), 0);
}

static void test_name_server_file(void **state)
{
	char path[] = "/tmp/sojourn-test-XXXXXX";
	struct addr got[NET_DNS_SERVERS_MAX];
	char text[ADDR_TEXT_MAX];
	int fd = mkstemp(path);
	(void)state;
	dprintf(fd, "# nameserver 192.0.2.9\nsearch example.net\nnameserver 192.0.2.1\n"
		    "  nameserver\tfd00::53 # ours\nnameserver nonsense\nnameserver 192.0.2.3\n"
		    "nameserver 192.0.2.4\n");
	close(fd);
	assert_int_equal(net_dns_servers(path, got), 3);
	assert_string_equal(addr_format(&got[0], text), "192.0.2.1");
	assert_string_equal(addr_format(&got[1], text), "fd00::53");
	assert_string_equal(addr_format(&got[2], text), "192.0.2.3");
	unlink(path);
	assert_int_equal(net_dns_servers(path, got), 0);
}

/* So many at a time, and then again. */
static void test_many(void **state)
{
	struct err err = {""};
	(void)state;
	struct config *cfg = config_of("nobody");
	struct net_lookup *l = net_lookup_new(cfg, &err);
	assert_non_null(l);
	assert_int_equal(net_lookup_watch(l, loop, take, &replies), 0);
	for (int round = 0; round < 2; round++) {
		reply_count = 0;
		wanted = 8;
		struct netreq r = request("127.0.0.1", 0);
		for (r.id = 1; r.id <= 8; r.id++)
			assert_int_equal(net_lookup_ask(l, &r, 0x534a), 0);
		assert_int_equal(net_lookup_ask(l, &r, 0x534a), -EBUSY);
		assert_int_equal(loop_run(loop), 0);
		for (uint32_t id = 1; id <= 8; id++)
			assert_int_equal(reply_of(id)->addr_count, 1);
	}
	net_lookup_free(l, false);
	config_free(cfg);
}

/* The process refuses to run as root: then there is no answer, and asking says so. */
static void test_no_process(void **state)
{
	struct err err = {""};
	(void)state;
	struct config *cfg = config_of("root");
	struct net_lookup *l = net_lookup_new(cfg, &err);
	assert_non_null(l);
	assert_int_equal(net_lookup_watch(l, loop, take, &replies), 0);
	struct netreq r = request("127.0.0.1", 1);
	int result = 0;
	for (int i = 0; i < 5000 && result >= 0; i++) {
		result = net_lookup_ask(l, &r, 0x534a);
		if (result == -EBUSY)
			result = 0;
		usleep(1000);
	}
	assert_int_equal(result, -EPIPE);
	net_lookup_free(l, false);
	config_free(cfg);
}

static void read_file(const char *path, char *out, size_t room)
{
	FILE *f = fopen(path, "r");
	assert_non_null(f);
	out[fread(out, 1, room - 1, f)] = '\0';
	fclose(f);
}

static void test_resolv(void **state)
{
	char dir[] = "/tmp/sojourn-test-XXXXXX", path[64], control[64], text[256];
	struct config cfg = {.control = control};
	struct addr servers[2];
	struct stat st;
	(void)state;
	assert_non_null(mkdtemp(dir));
	snprintf(control, sizeof(control), "%s/control", dir);
	snprintf(path, sizeof(path), "%s/resolv.conf", dir);
	assert_int_equal(addr_parse("10.7.0.53", &servers[0]), 0);
	assert_int_equal(addr_parse("fd00::53", &servers[1]), 0);
	assert_int_equal(net_resolv_write(&cfg, servers, 0), -ENOENT);
	assert_int_equal(net_resolv_write(&cfg, servers, 2), 0);
	read_file(path, text, sizeof(text));
	assert_string_equal(text, "# by sojournd\nnameserver 10.7.0.53\nnameserver fd00::53\n");
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0644);
	/* Replaced as a whole: who has it open reads the old one. */
	FILE *old = fopen(path, "r");
	assert_int_equal(net_resolv_write(&cfg, servers + 1, 1), 0);
	assert_int_equal(fread(text, 1, 40, old), 40);
	fclose(old);
	assert_non_null(strstr(text, "10.7.0.53"));
	read_file(path, text, sizeof(text));
	assert_string_equal(text, "# by sojournd\nnameserver fd00::53\n");
	assert_int_equal(net_resolv_write(&cfg, NULL, 0), 0);
	assert_int_equal(access(path, F_OK), -1);
	snprintf(control, sizeof(control), "%s/none/control", dir);
	assert_int_equal(net_resolv_write(&cfg, servers, 1), -ENOENT);
	assert_int_equal(rmdir(dir), 0); /* nothing else was left there */
}

static int set_up(void **state)
{
	(void)state;
	loop = loop_new();
	return loop && netns_do("ip link set lo up") ? 0 : -1;
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
	    cmocka_unit_test(test_lookup),	     cmocka_unit_test(test_name_servers),
	    cmocka_unit_test(test_name_server_file), cmocka_unit_test(test_many),
	    cmocka_unit_test(test_no_process),	     cmocka_unit_test(test_resolv),
	};
	netns_enter();
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
