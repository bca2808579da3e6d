/* SPDX-License-Identifier: MIT */
/* The connection table: finding, states, pairs that change, round trips, many connections. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>
#include "base/mem.h"
#include "sadb/conn.h"

static struct endpoint endpoint_of(const char *text, uint16_t port)
{
	struct endpoint e = {.port = port};
	if (text)
		assert_int_equal(addr_parse(text, &e.addr), 0);
	return e;
}

static struct sa *sa_of(uint32_t spi, enum crypt_direction direction)
{
	static const uint8_t key[32];
	struct sa_config cfg = {.spi = spi,
				.encr = alg_find("null"),
				.integ = alg_find("hmac-sha-256-128"),
				.key = key,
				.key_len = sizeof(key)};
	struct sa *sa = sa_new(&cfg, direction, NULL);
	assert_non_null(sa);
	return sa;
}

/* Not in a table yet. */
static struct conn *conn_of(const char *name, uint32_t spi, const char *care_of, const char *server)
{
	struct conn *c = mem_zalloc(sizeof(*c));
	snprintf(c->name, sizeof(c->name), "%s", name);
	c->care_of = endpoint_of(care_of, 4500);
	c->server = endpoint_of(server, 4500);
	c->in = sa_of(spi, CRYPT_OPEN);
	c->out = sa_of(spi + 1, CRYPT_SEAL);
	c->expires_us = USEC_NEVER;
	return c;
}

static struct conn *must_add(struct conn_table *t, const char *name, uint32_t spi,
			     const char *care_of, const char *server)
{
	struct conn *c = conn_of(name, spi, care_of, server);
	assert_int_equal(conn_table_add(t, c), 0);
	return c;
}

static struct conn *find_pair(struct conn_table *t, const char *care_of, const char *server,
			      unsigned ifindex)
{
	struct endpoint c = endpoint_of(care_of, 0), s = endpoint_of(server, 0);
	return conn_find_pair(t, &c.addr, &s.addr, ifindex);
}

static void refused(struct conn_table *t, struct conn *c)
{
	assert_int_equal(conn_table_add(t, c), -EEXIST);
	sa_free(c->in);
	sa_free(c->out);
	free(c);
}

static void test_find(void **state)
{
	(void)state;
	int owner_a = 0, owner_b = 0;
	struct conn_table *t = conn_table_new(NULL, NULL);
	assert_null(conn_table_first(t));
	struct conn *wifi = conn_of("wifi", 0x1000, "192.168.1.7", "203.0.113.1");
	wifi->owner = &owner_a;
	wifi->ifindex = 3;
	assert_int_equal(conn_table_add(t, wifi), 0);
	struct conn *cell = conn_of("cell", 0x2000, "192.168.1.7", "203.0.113.1");
	cell->owner = &owner_a;
	cell->ifindex = 4;
	assert_int_equal(conn_table_add(t, cell), 0);
	struct conn *other = conn_of("wifi", 0x3000, "2001:db8::7", "2001:db8:1::1");
	other->owner = &owner_b;
	assert_int_equal(conn_table_add(t, other), 0);

	assert_ptr_equal(conn_find_spi(t, 0x1000), wifi);
	assert_ptr_equal(conn_find_spi(t, 0x3000), other);
	assert_null(conn_find_spi(t, 0x1001)); /* an outbound one */

	assert_ptr_equal(conn_find_name(t, &owner_a, "wifi"), wifi);
	assert_ptr_equal(conn_find_name(t, &owner_b, "wifi"), other);
	assert_ptr_equal(conn_find_name(t, &owner_a, "cell"), cell);
	assert_null(conn_find_name(t, &owner_b, "cell"));
	assert_null(conn_find_name(t, NULL, "wifi"));
	assert_null(conn_find_name(t, &owner_a, "wif"));

	/* The same private address in two networks: the interface tells them apart. */
	assert_ptr_equal(find_pair(t, "192.168.1.7", "203.0.113.1", 3), wifi);
	assert_ptr_equal(find_pair(t, "192.168.1.7", "203.0.113.1", 4), cell);
	assert_ptr_equal(find_pair(t, "192.168.1.7", "203.0.113.1", 0), cell);
	assert_null(find_pair(t, "192.168.1.7", "203.0.113.1", 5));
	assert_ptr_equal(find_pair(t, "2001:db8::7", "2001:db8:1::1", 0), other);
	assert_null(find_pair(t, "203.0.113.1", "192.168.1.7", 0));

	assert_ptr_equal(conn_table_first(t), wifi);
	assert_ptr_equal(wifi->next, cell);
	assert_ptr_equal(cell->next, other);
	assert_null(other->next);
	conn_table_free(t);
	rcu_barrier();
}

static void test_add_refuses_twins(void **state)
{
	(void)state;
	int owner = 0;
	struct conn_table *t = conn_table_new(NULL, NULL);
	must_add(t, "a", 0x100, "10.0.0.1", "10.0.0.2");
	refused(t, conn_of("b", 0x100, "10.0.0.3", "10.0.0.2"));
	refused(t, conn_of("a", 0x200, "10.0.0.3", "10.0.0.2"));
	assert_null(find_pair(t, "10.0.0.3", "10.0.0.2", 0));
	struct conn *c = conn_of("a", 0x200, "10.0.0.3", "10.0.0.2");
	c->owner = &owner;
	assert_int_equal(conn_table_add(t, c), 0);
	assert_int_equal(conn_table_count(t, CONN_FORMING), 2);
	conn_table_free(t);
	rcu_barrier();
}

static void test_remove(void **state)
{
	(void)state;
	static const int orders[][3] = {{0, 1, 2}, {2, 1, 0}, {1, 0, 2}, {1, 2, 0}};
	static const char *const names[] = {"a", "b", "c"};
	for (size_t o = 0; o < ARRAY_LEN(orders); o++) {
		struct conn_table *t = conn_table_new(NULL, NULL);
		struct conn *c[3];
		for (uint32_t i = 0; i < 3; i++)
			c[i] = must_add(t, names[i], 0x100 + i * 16, "10.0.0.1", "10.0.0.2");
		for (size_t k = 0; k < 3; k++) {
			int gone = orders[o][k];
			conn_table_remove(t, c[gone]);
			c[gone] = NULL;
			assert_null(conn_find_spi(t, 0x100 + (uint32_t)gone * 16));
			assert_null(conn_find_name(t, NULL, names[gone]));
			size_t left = 0;
			for (struct conn *i = conn_table_first(t); i; i = i->next) {
				assert_true(i == c[0] || i == c[1] || i == c[2]);
				left++;
			}
			assert_int_equal(left, 2 - k);
			assert_int_equal(conn_table_count(t, CONN_FORMING), 2 - k);
			assert_true(!!find_pair(t, "10.0.0.1", "10.0.0.2", 0) == (left > 0));
		}
		conn_table_free(t);
	}
	conn_table_free(NULL);
	rcu_barrier();
}

/* --- SAs are given back by the function the table was told */

static uint32_t retired_spis[8];
static size_t retired_count;

static void retire_and_note(void *ctx, struct sa *sa)
{
	assert_ptr_equal(ctx, &retired_count);
	retired_spis[retired_count++] = sa->spi;
	sa_free(sa);
}

static void test_retire(void **state)
{
	(void)state;
	struct conn_table *t = conn_table_new(NULL, NULL);
	conn_table_set_retire(t, retire_and_note, &retired_count);
	struct conn *c = must_add(t, "a", 0x100, NULL, "10.0.0.2");
	must_add(t, "b", 0x200, NULL, "10.0.0.2");
	conn_table_remove(t, c);
	assert_int_equal(retired_count, 2);
	assert_int_equal(retired_spis[0], 0x100);
	assert_int_equal(retired_spis[1], 0x101);
	conn_table_free(t);
	assert_int_equal(retired_count, 4);

	t = conn_table_new(NULL, NULL);
	c = mem_zalloc(sizeof(*c));
	assert_int_equal(conn_table_add(t, c), 0); /* no SAs: nothing to give back */
	conn_table_remove(t, c);
	conn_table_free(t);
	assert_int_equal(retired_count, 4);
}

/* --- rekeying */

/* A second pair beside the first, its use, and the end of the first; all stay to be found. */
static void test_rekey(void **state)
{
	(void)state;
	struct conn_table *t = conn_table_new(NULL, NULL);
	struct endpoint at = endpoint_of("192.0.2.9", 4500);
	conn_table_set_retire(t, retire_and_note, &retired_count);
	retired_count = 0;
	struct conn *c = must_add(t, "a", 0x1000, "192.0.2.1", "10.0.0.1");
	struct conn *other = must_add(t, "b", 0x3000, "192.0.2.1", "10.0.0.1");
	struct sa *old_in = c->in, *old_out = c->out;
	struct path *path = path_new();
	path->remote = at;
	path->mtu = 1400;
	sa_set_pair_path(c->out, c->in, path);
	conn_set_active(c, true);
	atomic_store(&c->in->last_us, 77);
	atomic_store(&c->in->packets, 5);
	atomic_store(&c->in->bytes, 500);
	atomic_store(&c->out->first_us, 66);
	atomic_store(&c->out->last_us, 88);

	struct sa *in = sa_of(0x2000, CRYPT_OPEN), *out = sa_of(0x2001, CRYPT_SEAL);
	assert_int_equal(conn_add_pair(t, c, in, out), 0);
	assert_ptr_equal(c->in, in);
	assert_ptr_equal(c->out, old_out);
	assert_true(atomic_load(&in->active));
	assert_true(conn_heard_us(c) == 77);
	assert_int_equal(out->path->mtu, 1400);
	assert_true(endpoint_equal(&out->path->remote, &at));
	assert_ptr_not_equal(out->path, old_out->path);
	assert_ptr_equal(in->path, out->path);
	/* Taken SPIs: of its own, and of another. */
	struct sa *twin[] = {sa_of(0x1000, CRYPT_OPEN), sa_of(0x3000, CRYPT_OPEN),
			     sa_of(0x2000, CRYPT_OPEN)};
	for (size_t i = 0; i < 3; i++) {
		assert_int_equal(conn_add_pair(t, c, twin[i], out), -EEXIST);
		sa_free(twin[i]);
	}
	assert_ptr_equal(c->in, in);
	/* Both are found by what they are, and not by what they are not. */
	assert_ptr_equal(conn_find_spi(t, 0x1000), c);
	assert_ptr_equal(conn_find_spi(t, 0x2000), c);
	assert_ptr_equal(conn_find_sa(t, old_in, 0x1000, false), c);
	assert_ptr_equal(conn_find_sa(t, in, 0x2000, false), c);
	assert_ptr_equal(conn_find_sa(t, old_out, 0x1001, true), c);
	assert_ptr_equal(conn_find_sa(t, out, 0x2001, true), c);
	assert_ptr_equal(conn_find_sa(t, other->out, 0x3001, true), other);
	assert_null(conn_find_sa(t, out, 0x1001, true));
	assert_null(conn_find_sa(t, in, 0x1000, false));
	assert_null(conn_find_sa(t, old_in, 0x1000, true));
	/* Heard on the old one still; in and out of the binding on both. */
	atomic_store(&old_in->last_us, 99);
	assert_true(conn_heard_us(c) == 99);
	conn_set_active(c, false);
	assert_false(atomic_load(&in->active) || atomic_load(&old_in->active));
	atomic_store(&in->packets, 2);
	assert_int_equal(conn_rx(c).packets, 7);
	assert_int_equal(conn_rx(c).bytes, 500);

	assert_true(conn_use_pair(c, 0x2000));
	assert_false(conn_use_pair(c, 0x2000));
	assert_false(conn_use_pair(c, 0x4000));
	assert_ptr_equal(c->out, out);
	assert_true(atomic_load(&out->first_us) == 66 && atomic_load(&out->last_us) == 88);

	assert_true(conn_drain_pair(c, 0x1000, 1000));
	assert_false(conn_drain_pair(c, 0x1000, 1000));
	assert_true(conn_sa_drains(c, old_in) && conn_sa_drains(c, old_out));
	assert_false(conn_sa_drains(c, c->in) || conn_sa_drains(c, c->out));
	/* What is on its way still comes. */
	assert_ptr_equal(conn_find_spi(t, 0x1000), c);
	assert_null(conn_take_drained(t, c, 1000 + CONN_DRAIN_US - 1));
	struct conn_pair *gone = conn_take_drained(t, c, 1000 + CONN_DRAIN_US);
	assert_non_null(gone);
	assert_null(conn_find_spi(t, 0x1000));
	assert_null(conn_find_sa(t, old_out, 0x1001, true));
	assert_int_equal(retired_count, 0);
	conn_pair_retire(t, gone);
	assert_int_equal(retired_count, 2);
	assert_int_equal(conn_rx(c).packets, 7); /* not forgotten */
	assert_null(conn_take_drained(t, c, USEC_NEVER));
	assert_false(conn_drain_pair(c, 0x1000, 0));
	assert_false(conn_drain_pair(c, 0x2000, 0)); /* the last: the connection goes */
	conn_table_free(t);
	assert_int_equal(retired_count, 6);
	rcu_barrier();
}

/* Of two rekeys at once one is given up again, the one in use too. */
static void test_rekey_given_up(void **state)
{
	(void)state;
	struct conn_table *t = conn_table_new(NULL, NULL);
	struct conn *c = must_add(t, "a", 0x1000, "192.0.2.1", "10.0.0.1");
	struct sa *in[2] = {sa_of(0x2000, CRYPT_OPEN), sa_of(0x2100, CRYPT_OPEN)};
	struct sa *out[2] = {sa_of(0x2001, CRYPT_SEAL), sa_of(0x2101, CRYPT_SEAL)};
	for (int i = 0; i < 2; i++)
		assert_int_equal(conn_add_pair(t, c, in[i], out[i]), 0);
	assert_true(conn_use_pair(c, 0x2000));
	assert_ptr_equal(c->in, in[1]);
	assert_true(conn_drain_pair(c, 0x2000, 0));
	assert_ptr_equal(c->in, in[1]);
	assert_ptr_equal(c->out, out[1]);
	/* One drains while another is given up, and a later one is made. */
	assert_true(conn_drain_pair(c, 0x2100, 1));
	assert_int_equal(c->in->spi, 0x1000);
	assert_int_equal(c->out->spi, 0x1001);
	assert_false(conn_drain_pair(c, 0x1000, 2));
	assert_int_equal(c->in->spi, 0x1000);
	for (usec_t now = CONN_DRAIN_US; now <= CONN_DRAIN_US + 1; now++) {
		struct conn_pair *gone = conn_take_drained(t, c, now);
		assert_int_equal(gone->in->spi, now == CONN_DRAIN_US ? 0x2000 : 0x2100);
		conn_pair_retire(t, gone);
		assert_null(conn_take_drained(t, c, now));
	}
	conn_table_free(t);
	rcu_barrier();
}

/* However fast a peer rekeys, there are few SAs. */
static void test_rekey_often(void **state)
{
	(void)state;
	struct conn_table *t = conn_table_new(NULL, NULL);
	struct conn *c = must_add(t, "a", 0x1000, "192.0.2.1", "10.0.0.1");
	for (uint32_t i = 1; i < 20; i++) {
		struct sa *in = sa_of(0x1000 + i, CRYPT_OPEN);
		assert_int_equal(conn_add_pair(t, c, in, sa_of(0x2000 + i, CRYPT_SEAL)), 0);
		assert_true(conn_use_pair(c, in->spi));
		assert_true(conn_drain_pair(c, in->spi - 1, i));
		struct conn_pair *gone = conn_take_drained(t, c, i);
		assert_int_equal(gone != NULL, i > CONN_DRAINING_MAX);
		if (gone) {
			assert_int_equal(gone->in->spi, in->spi - 1 - CONN_DRAINING_MAX);
			conn_pair_retire(t, gone);
		}
		assert_null(conn_take_drained(t, c, i));
	}
	conn_table_free(t);
	rcu_barrier();
}

static void test_walk(void **state)
{
	(void)state;
	struct conn_table *t = conn_table_new(NULL, NULL);
	assert_null(conn_table_walk(t));
	struct conn *c[4];
	static const char *const names[] = {"a", "b", "c", "d"};
	for (uint32_t i = 0; i < 4; i++)
		c[i] = must_add(t, names[i], 0x1000 + i * 2, NULL, "10.0.0.1");
	assert_int_equal(conn_table_size(t), 4);
	for (int i = 0; i < 9; i++)
		assert_ptr_equal(conn_table_walk(t), c[i % 4]);
	conn_table_remove(t, c[1]); /* the next one */
	assert_ptr_equal(conn_table_walk(t), c[2]);
	conn_table_remove(t, c[2]); /* the last one given */
	assert_ptr_equal(conn_table_walk(t), c[3]);
	assert_ptr_equal(conn_table_walk(t), c[0]);
	conn_table_remove(t, c[3]);
	assert_ptr_equal(conn_table_walk(t), c[0]);
	conn_table_remove(t, c[0]);
	assert_null(conn_table_walk(t));
	assert_int_equal(conn_table_size(t), 0);
	conn_table_free(t);
	rcu_barrier();
}

/* --- states */

static struct {
	struct conn *conn;
	enum conn_state from, to;
	unsigned count;
} last_change;

static void note_change(void *ctx, struct conn *c, enum conn_state from, enum conn_state to)
{
	assert_ptr_equal(ctx, &last_change);
	assert_int_equal(c->state, to);
	last_change.conn = c;
	last_change.from = from;
	last_change.to = to;
	last_change.count++;
}

static void test_states(void **state)
{
	(void)state;
	static const enum conn_state way[] = {CONN_READY, CONN_ACTIVE, CONN_READY,
					      CONN_STALE, CONN_ACTIVE, CONN_EXPIRED};
	struct conn_table *t = conn_table_new(note_change, &last_change);
	struct conn *c = must_add(t, "a", 0x100, NULL, "10.0.0.2");
	struct conn *still = conn_of("b", 0x200, NULL, "10.0.0.2");
	still->state = CONN_READY;
	assert_int_equal(conn_table_add(t, still), 0);
	assert_int_equal(conn_table_count(t, CONN_FORMING), 1);
	assert_int_equal(conn_table_count(t, CONN_READY), 1);
	conn_set_state(t, c, CONN_FORMING, 5);
	assert_int_equal(last_change.count, 0);
	assert_true(c->since_us == 0);

	enum conn_state from = CONN_FORMING;
	for (unsigned i = 0; i < ARRAY_LEN(way); i++) {
		conn_set_state(t, c, way[i], 1000 + i);
		assert_int_equal(last_change.count, i + 1);
		assert_ptr_equal(last_change.conn, c);
		assert_int_equal(last_change.from, from);
		assert_int_equal(last_change.to, way[i]);
		assert_true(c->since_us == 1000 + i);
		conn_set_state(t, c, way[i], 9999); /* no change */
		assert_true(c->since_us == 1000 + i);
		size_t sum = 0;
		for (int s = CONN_FORMING; s <= CONN_EXPIRED; s++)
			sum += conn_table_count(t, (enum conn_state)s);
		assert_int_equal(sum, 2);
		assert_int_equal(conn_table_count(t, way[i]), way[i] == CONN_READY ? 2 : 1);
		from = way[i];
	}
	conn_table_remove(t, c);
	assert_int_equal(conn_table_count(t, CONN_EXPIRED), 0);
	conn_table_free(t);
	rcu_barrier();
}

static void test_state_texts(void **state)
{
	(void)state;
	static const char *const texts[] = {"forming", "ready", "active", "stale", "expired"};
	for (int s = CONN_FORMING; s <= CONN_EXPIRED; s++)
		assert_string_equal(conn_state_text((enum conn_state)s), texts[s]);
}

/* --- pairs */

static void test_pair_changes(void **state)
{
	(void)state;
	struct conn_table *t = conn_table_new(NULL, NULL);
	struct conn *c = must_add(t, "any", 0x100, NULL, "203.0.113.1");
	struct addr none = {0};
	assert_null(conn_find_pair(t, &none, &c->server.addr, 0));

	struct endpoint first = endpoint_of("198.51.100.1", 1024);
	conn_set_pair(t, c, &first, &c->server);
	assert_ptr_equal(find_pair(t, "198.51.100.1", "203.0.113.1", 0), c);
	assert_true(endpoint_equal(&c->care_of, &first));

	/* The NAT gave it another port, then another address. */
	struct endpoint port = endpoint_of("198.51.100.1", 2048);
	conn_set_pair(t, c, &port, &c->server);
	assert_ptr_equal(find_pair(t, "198.51.100.1", "203.0.113.1", 0), c);
	assert_int_equal(c->care_of.port, 2048);
	struct endpoint second = endpoint_of("2001:db8::5", 2048);
	struct endpoint server = endpoint_of("2001:db8::1", 4500);
	conn_set_pair(t, c, &second, &server);
	assert_null(find_pair(t, "198.51.100.1", "203.0.113.1", 0));
	assert_ptr_equal(find_pair(t, "2001:db8::5", "2001:db8::1", 0), c);

	/* Its own as arguments, and none again. */
	conn_set_pair(t, c, &c->care_of, &c->server);
	assert_ptr_equal(find_pair(t, "2001:db8::5", "2001:db8::1", 0), c);
	struct endpoint nowhere = {0};
	conn_set_pair(t, c, &nowhere, &c->server);
	assert_null(find_pair(t, "2001:db8::5", "2001:db8::1", 0));
	conn_set_pair(t, c, &first, &c->server);
	assert_ptr_equal(find_pair(t, "198.51.100.1", "2001:db8::1", 0), c);
	conn_table_free(t);
	rcu_barrier();
}

static void test_many(void **state)
{
	(void)state;
	enum { N = 20000 };
	static struct conn *all[N];
	struct conn_table *t = conn_table_new(NULL, NULL);
	for (uint32_t i = 0; i < N; i++) {
		char name[CONN_NAME_MAX];
		snprintf(name, sizeof(name), "terminal%u", i);
		struct conn *c = mem_zalloc(sizeof(*c));
		snprintf(c->name, sizeof(c->name), "%s", name);
		/* Half behind one NAT, half each at an address of its own. */
		uint8_t b[4] = {10, 0, 0, 1};
		if (i % 2) {
			b[1] = (uint8_t)(i >> 16);
			b[2] = (uint8_t)(i >> 8);
			b[3] = (uint8_t)i;
		}
		c->care_of.addr = addr_from_bytes(4, b);
		c->server = endpoint_of("203.0.113.1", 4500);
		c->ifindex = i + 1;
		assert_int_equal(conn_table_add(t, c), 0);
		all[i] = c;
	}
	for (uint32_t i = 0; i < N; i += 97) {
		assert_ptr_equal(conn_find_name(t, NULL, all[i]->name), all[i]);
		assert_ptr_equal(
		    conn_find_pair(t, &all[i]->care_of.addr, &all[i]->server.addr, all[i]->ifindex),
		    all[i]);
	}
	/* Growing kept the order: the latest comes first. */
	assert_ptr_equal(find_pair(t, "10.0.0.1", "203.0.113.1", 0), all[N - 2]);
	size_t i = 0;
	for (struct conn *c = conn_table_first(t); c; c = c->next)
		assert_ptr_equal(c, all[i++]);
	assert_int_equal(i, N);
	for (i = 0; i < N; i += 2)
		conn_table_remove(t, all[i]);
	assert_int_equal(conn_table_count(t, CONN_FORMING), N / 2);
	assert_ptr_equal(conn_find_name(t, NULL, "terminal19999"), all[N - 1]);
	assert_null(conn_find_name(t, NULL, "terminal19998"));
	conn_table_free(t);
}

/* --- round trips */

static void test_rto(void **state)
{
	(void)state;
	struct conn c = {0};
	assert_int_equal(conn_rto_us(&c, 250000), 250000);

	/* A steady path of 100 ms. */
	conn_round_trip(&c, 100000);
	assert_int_equal(c.srtt_us, 100000);
	assert_in_range(conn_rto_us(&c, 250000), 120000, 150000);
	for (int i = 0; i < 4; i++)
		conn_round_trip(&c, 100000);
	assert_int_equal(c.srtt_us, 100000);
	assert_in_range(conn_rto_us(&c, 250000), 110000, 130000);
	for (int i = 0; i < 100; i++)
		conn_round_trip(&c, 100000);
	assert_int_equal(conn_rto_us(&c, 250000), 110000); /* the least margin */

	/* RFC 6298: one outlier of 300 ms counts an eighth, and a quarter of how far it is off. */
	uint32_t var = c.rttvar_us;
	conn_round_trip(&c, 300000);
	assert_int_equal(c.srtt_us, 125000);
	assert_int_equal(c.rttvar_us, (var * 3 + 200000) / 4);
	assert_true(conn_rto_us(&c, 0) > 300000);

	static const struct {
		uint32_t rtt, times, least, most;
	} rows[] = {
	    {0, 1, 20000, 21000},
	    {200, 1, 20000, 21000},
	    {200, 50, 20000, 20000},
	    {10000, 1, 30000, 30000},
	    {10000, 50, 20000, 20000},
	    {50000, 1, 70000, 75000},
	    {1000000, 50, 1010000, 1010000},
	    {UINT32_MAX, 3, UINT32_MAX, UINT32_MAX},
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct conn k = {0};
		for (uint32_t n = 0; n < rows[i].times; n++)
			conn_round_trip(&k, rows[i].rtt);
		assert_int_not_equal(k.srtt_us, 0);
		assert_int_equal(k.rtt_count, rows[i].times);
		assert_in_range(conn_rto_us(&k, 250000), rows[i].least, rows[i].most);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_find),
	    cmocka_unit_test(test_add_refuses_twins),
	    cmocka_unit_test(test_remove),
	    cmocka_unit_test(test_retire),
	    cmocka_unit_test(test_states),
	    cmocka_unit_test(test_state_texts),
	    cmocka_unit_test(test_pair_changes),
	    cmocka_unit_test(test_many),
	    cmocka_unit_test(test_rto),
	    cmocka_unit_test(test_rekey),
	    cmocka_unit_test(test_rekey_given_up),
	    cmocka_unit_test(test_rekey_often),
	    cmocka_unit_test(test_walk),
	};
	/* Freeing goes by rcu; this thread holds nothing while it waits. */
	rcu_register_thread();
	int failed = cmocka_run_group_tests(tests, NULL, NULL);
	rcu_unregister_thread();
	return failed;
}
