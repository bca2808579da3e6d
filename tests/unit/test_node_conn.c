/* SPDX-License-Identifier: MIT */
/* Connections that a key exchange made: into the tables, rekeyed in place, refused, and out. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>
#include "base/mem.h"
#include "daemon/role.h"
#include "no_io.h"

static struct node node;
static struct peer *peer;
static unsigned changes;
static struct sa *out_before;

/* The old SAs are still whole when this is called. */
static void out_changed(struct node *n, struct conn *c)
{
	assert_ptr_equal(n, &node);
	assert_ptr_not_equal(c->out, out_before);
	assert_int_equal(out_before->spi >> 12, 2);
	out_before = c->out;
	changes++;
}

static const struct role role = {.out_changed = out_changed};
static const uint8_t keys[2][36] = {{1}, {2}};

static struct addr addr_of(const char *text)
{
	struct addr a;
	assert_int_equal(addr_parse(text, &a), 0);
	return a;
}

/* SPIs 0x1nnn in, 0x2nnn out. */
static struct ike_child_up up_of(uint32_t n)
{
	return (struct ike_child_up){.protocol = IKE_PROTO_ESP,
				     .spi_in = 0x1000 + n,
				     .spi_out = 0x2000 + n,
				     .encr = alg_find("aes256-gcm"),
				     .esn = true,
				     .udp = true,
				     .sojourn = true,
				     .key_in = keys[0],
				     .key_out = keys[1],
				     .key_len = crypt_key_len(alg_find("aes256-gcm"), NULL)};
}

static struct node_made made_of(const struct ike_child_up *up)
{
	return (struct node_made){.up = up,
				  .replay_packets = 128,
				  .rekey_packets = 1000,
				  .rekey_bytes = UINT64_MAX - 5,
				  .name = "t1/wifi",
				  .care_of = {addr_of("192.0.2.1"), 4500},
				  .server = {addr_of("203.0.113.1"), 4500},
				  .peer = peer,
				  .owner = &changes};
}

static struct sa *published(uint32_t spi)
{
	rcu_read_lock();
	struct sa *sa = sadb_find(node.sadb, spi);
	rcu_read_unlock();
	return sa;
}

static void settle(void)
{
	fwd_run_commands(fwd_worker(node.fwd, 0), clock_now_us());
	rcu_barrier();
}

static void retire(void *ctx, struct sa *sa)
{
	fwd_retire(((struct node *)ctx)->fwd, sa);
}

static void test_made(void **state)
{
	struct err err = {""};
	struct ike_child_up up = up_of(1);
	struct node_made made = made_of(&up);
	(void)state;
	struct conn *c = node_conn_new(&node, &made, &err);
	assert_non_null(c);
	assert_string_equal(c->name, "t1/wifi");
	assert_ptr_equal(conn_find_name(node.table, &changes, "t1/wifi"), c);
	assert_ptr_equal(published(0x1001), c->in);
	assert_ptr_equal(c->in->conn, c);
	assert_true(c->in->esn && c->in->udp && !c->in->configured_keys);
	assert_ptr_equal(c->in->space, &peer->space);
	assert_ptr_equal(c->out->space, &peer->space);
	assert_int_equal(atomic_load(&peer->space.next), 1); /* no epoch */
	assert_int_equal(c->out->spi, 0x2001);
	assert_true(c->out->soft_packets == 1000 && c->out->hard_packets == 2000);
	assert_true(c->out->hard_bytes == 0);
	assert_int_equal(c->state, CONN_FORMING);
	/* The same name, the same SPI: refused, and nothing is left of it. */
	up = up_of(2);
	assert_null(node_conn_new(&node, &made, &err));
	assert_null(published(0x1002));
	up = up_of(1);
	made.name = "other";
	assert_null(node_conn_new(&node, &made, &err));
	assert_non_null(strstr(err.text, "0x00001001"));
	assert_ptr_equal(published(0x1001), c->in);
	node_conn_remove(&node, c);
	assert_null(published(0x1001));
	settle();
}

/* Of another make: numbers of its own.  Native: no ports.  A spare: no care-of address. */
static void test_kinds(void **state)
{
	struct err err = {""};
	struct ike_child_up up = up_of(1);
	struct node_made made = made_of(&up);
	(void)state;
	up.sojourn = up.udp = false;
	struct conn *c = node_conn_new(&node, &made, &err);
	assert_non_null(c);
	assert_ptr_equal(c->in->space, &c->in->own_space);
	assert_ptr_equal(c->out->space, &c->out->own_space);
	assert_int_equal(c->care_of.port | c->server.port, 0);
	node_conn_remove(&node, c);

	up = up_of(2);
	made.care_of = (struct endpoint){0};
	c = node_conn_new(&node, &made, &err);
	assert_non_null(c);
	assert_null(conn_find_pair(node.table, &made.care_of.addr, &made.server.addr, 0));
	struct ike_child_up bad[] = {up_of(3), up_of(3), up_of(3)};
	bad[0].transport = true;
	bad[1].protocol = IKE_PROTO_AH;
	bad[2].key_len--;
	made.name = "bad";
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		made.up = &bad[i];
		assert_null(node_conn_new(&node, &made, &err));
		assert_int_equal(node_conn_rekey(&node, c, &made, &err), -1);
		assert_null(published(0x1003));
	}
	bad[0] = up_of(3);
	bad[0].udp = false;
	made.up = &bad[0];
	assert_int_equal(node_conn_rekey(&node, c, &made, &err), -1);
	assert_int_equal(c->in->spi, 0x1002);
	node_conn_remove(&node, c);
	settle();
}

static void test_rekey(void **state)
{
	struct err err = {""};
	struct ike_child_up up = up_of(1);
	struct node_made made = made_of(&up);
	struct path path = {.local = made.server, .remote = made.care_of, .sock = 3, .mtu = 1400};
	(void)state;
	changes = 0;
	struct conn *c = node_conn_new(&node, &made, &err);
	assert_non_null(c);
	node_conn_set_path(c, &path);
	conn_set_active(c, true);
	struct sa *old_in = c->in;
	out_before = c->out;

	up = up_of(2);
	assert_int_equal(node_conn_rekey(&node, c, &made, &err), 0);
	assert_ptr_equal(published(0x1001), old_in);
	assert_ptr_equal(published(0x1002), c->in);
	assert_true(atomic_load(&c->in->active));
	assert_ptr_equal(c->out, out_before);
	assert_int_equal(changes, 0);
	/* A move meanwhile is one of all of them. */
	path.remote.port = 4501;
	node_conn_set_path(c, &path);
	assert_int_equal(old_in->path->remote.port, 4501);
	assert_int_equal(c->in->path->remote.port, 4501);
	node_conn_use(&node, c, 0x1002);
	node_conn_use(&node, c, 0x1002);
	assert_int_equal(changes, 1);
	assert_int_equal(c->out->spi, 0x2002);
	assert_int_equal(rcu_dereference(c->out->path)->remote.port, 4501);
	assert_int_equal(rcu_dereference(c->out->path)->sock, 3);

	assert_true(node_conn_drop(&node, c, 0x1001));
	assert_ptr_equal(published(0x1001), old_in); /* for what is on its way */
	node_conn_sweep(&node, c, clock_now_us());
	assert_ptr_equal(published(0x1001), old_in);
	node_conn_sweep(&node, c, clock_now_us() + CONN_DRAIN_US);
	assert_null(published(0x1001));
	assert_int_equal(changes, 1);
	assert_false(node_conn_drop(&node, c, 0x1001));
	assert_false(node_conn_drop(&node, c, 0x1002)); /* the last */
	assert_ptr_equal(published(0x1002), c->in);
	/* A fresh one in use is given up: back to the one before, and the role hears of it. */
	up = up_of(3);
	assert_int_equal(node_conn_rekey(&node, c, &made, &err), 0);
	node_conn_use(&node, c, 0x1003);
	assert_true(node_conn_drop(&node, c, 0x1003));
	assert_int_equal(changes, 3);
	assert_int_equal(c->out->spi, 0x2002);
	assert_int_equal(c->in->spi, 0x1002);
	/* Gone in the middle of one: all of its SAs. */
	up = up_of(4);
	assert_int_equal(node_conn_rekey(&node, c, &made, &err), 0);
	node_conn_remove(&node, c);
	assert_null(published(0x1002));
	assert_null(published(0x1004));
	settle();
}

static int set_up(void **state)
{
	struct err err = {""};
	struct addr home = addr_of("10.9.0.5");
	struct node_peer_config pc = {.homes = &home, .home_count = 1, .replay_packets = 128};
	(void)state;
	rcu_register_thread();
	node.role = &role;
	node.sadb = sadb_new();
	node.table = conn_table_new(NULL, NULL);
	conn_table_set_retire(node.table, retire, &node);
	struct fwd_config fc = {.sadb = node.sadb, .io = no_io};
	node.fwd = fwd_new(&fc, &err);
	peer = node_peer_make(&pc);
	return node.fwd ? 0 : -1;
}

static int tear_down(void **state)
{
	(void)state;
	node_peer_retire(&node, peer);
	settle();
	conn_table_free(node.table);
	fwd_free(node.fwd);
	rcu_barrier();
	sadb_free(node.sadb);
	rcu_unregister_thread();
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_made),
	    cmocka_unit_test(test_kinds),
	    cmocka_unit_test(test_rekey),
	};
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
