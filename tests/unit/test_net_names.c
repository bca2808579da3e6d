/* SPDX-License-Identifier: MIT */
/* Names that net has looked up for the node, in a process apart; the file of name servers. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>
#include "base/mem.h"
#include "daemon/net_lookup.h"
#include "daemon/net_resolv.h"
#include "netns.h"

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
		assert_int_equal(net_lookup_ask(l, &r), 0);
	}
	assert_int_equal(loop_run(loop), 0);
	for (uint32_t i = 0; i < ARRAY_LEN(table); i++) {
		const struct netreq *m = reply_of(70 + i);
		assert_string_equal(m->name, table[i].name);
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
			assert_int_equal(net_lookup_ask(l, &r), 0);
		assert_int_equal(net_lookup_ask(l, &r), -EBUSY);
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
		result = net_lookup_ask(l, &r);
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
	    cmocka_unit_test(test_lookup),
	    cmocka_unit_test(test_many),
	    cmocka_unit_test(test_no_process),
	    cmocka_unit_test(test_resolv),
	};
	netns_enter();
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
