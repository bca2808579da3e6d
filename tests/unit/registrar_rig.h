/* SPDX-License-Identifier: MIT */
/* A registrar with two terminals, and everything that it calls written down. */
#ifndef REGISTRAR_RIG_H
#define REGISTRAR_RIG_H

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>
#include "base/mem.h"
#include "crypto/mac.h"
#include "mobility/registrar.h"
#include "wire/mip4.h"
#include "wire/mip6.h"

#define WALL	1700000000000000ull
#define SPI_A	300u
#define SPI_B	301u
#define LIFE	600
#define CONN_A0 1000u /* 1000, 1001, 1002: terminal A's; 2000: B's */
#define CONN_B0 2000u

static const uint8_t key_a[] = "key of a", key_b[] = "key of b";

struct rig {
	struct peer peer_a, peer_b;
	struct conn_table *table;
	struct moves *moves;
	struct registrar *r;
	struct conn *a[3], *b;
	usec_t now_us;
	/* what came out */
	char trace[16]; /* order of calls: E epoch, B binding, R reply, D denial */
	unsigned replies, changes;
	bool hello, denial;
	struct conn *reply_conn;
	struct addr reply_src, reply_dst;
	uint16_t reply_port;
	uint8_t msg[512];
	size_t len;
	struct mip4_reply reply;
	struct mip6_ack ack;
	uint64_t epoch_number;
	uint32_t epoch_sent;
};

static struct addr ip4(const char *text)
{
	struct addr a;
	assert_int_equal(addr_parse(text, &a), 0);
	return a;
}

static void trace(struct rig *g, char what)
{
	size_t n = strlen(g->trace);
	if (n + 1 < sizeof(g->trace))
		g->trace[n] = what;
}

static void keep(struct rig *g, struct conn *conn, const struct addr *src, const struct addr *dst,
		 const uint8_t *msg, size_t len, bool hello, bool denial)
{
	trace(g, denial ? 'D' : 'R');
	g->replies++;
	g->hello = hello;
	g->denial = denial;
	g->reply_conn = conn;
	g->reply_src = *src;
	g->reply_dst = *dst;
	g->len = len;
	assert_true(len <= sizeof(g->msg));
	memcpy(g->msg, msg, len);
}

static void on_reply4(void *ctx, struct conn *conn, const struct addr *src, const struct addr *dst,
		      uint16_t port, const uint8_t *msg, size_t len, bool hello)
{
	struct rig *g = ctx;
	keep(g, conn, src, dst, msg, len, hello, false);
	g->reply_port = port;
	assert_int_equal(mip4_read_reply(g->msg, g->len, &g->reply), MIP4_OK);
}

static void on_denial4(void *ctx, struct conn *conn, const struct addr *src, const struct addr *dst,
		       uint16_t port, const uint8_t *msg, size_t len)
{
	struct rig *g = ctx;
	keep(g, conn, src, dst, msg, len, false, true);
	g->reply_port = port;
	assert_int_equal(mip4_read_reply(g->msg, g->len, &g->reply), MIP4_OK);
}

static void on_reply6(void *ctx, struct conn *conn, const struct addr *src, const struct addr *dst,
		      const uint8_t *msg, size_t len, bool hello)
{
	struct rig *g = ctx;
	keep(g, conn, src, dst, msg, len, hello, false);
	assert_true(mip6_read_ack(g->msg, g->len, src, dst, &g->ack));
}

static void on_denial6(void *ctx, struct conn *conn, const struct addr *src, const struct addr *dst,
		       const uint8_t *msg, size_t len)
{
	struct rig *g = ctx;
	keep(g, conn, src, dst, msg, len, false, true);
	assert_true(mip6_read_ack(g->msg, g->len, src, dst, &g->ack));
}

static void on_binding(void *ctx, const struct binding *b)
{
	struct rig *g = ctx;
	(void)b;
	trace(g, 'B');
	g->changes++;
}

static void on_epoch(void *ctx, struct conn *conn, uint64_t number)
{
	struct rig *g = ctx;
	(void)conn;
	trace(g, 'E');
	g->epoch_number = number;
}

static uint32_t on_epoch_sent(void *ctx, struct conn *conn)
{
	(void)conn;
	return ((struct rig *)ctx)->epoch_sent;
}

static void sa_retire(void *ctx, struct sa *sa)
{
	(void)ctx;
	free(sa->path);
	free(sa);
}

static struct conn *rig_conn(struct rig *g, const char *name, uint32_t spi, struct peer *peer)
{
	struct conn *c = mem_zalloc(sizeof(*c));
	(void)snprintf(c->name, sizeof(c->name), "%s", name);
	c->in = mem_zalloc(sizeof(*c->in));
	c->out = mem_zalloc(sizeof(*c->out));
	c->in->spi = spi;
	c->out->spi = spi + 5000;
	c->out->path = mem_zalloc(sizeof(*c->out->path));
	c->peer = peer;
	c->state = CONN_READY;
	assert_int_equal(conn_table_add(g->table, c), 0);
	return c;
}

static struct registrar_terminal *rig_terminal(const char *name, struct peer *peer, uint32_t spi,
					       const uint8_t *key, size_t key_len, uint8_t max)
{
	struct registrar_terminal *t = registrar_terminal_new(2, 0, key_len);
	(void)snprintf(t->name, sizeof(t->name), "%s", name);
	registrar_set_key(t, spi, key, key_len);
	t->lifetime_max_s = LIFE;
	t->connections_max = max;
	t->peer = peer;
	return t;
}

static struct rig *rig_new(uint8_t max)
{
	struct rig *g = mem_zalloc(sizeof(*g));
	g->now_us = 1000 * USEC_PER_SEC;
	g->epoch_sent = 77;
	g->table = conn_table_new(NULL, NULL);
	conn_table_set_retire(g->table, sa_retire, NULL);
	g->moves = moves_new();
	struct registrar_ops ops = {.ctx = g,
				    .send_reply4 = on_reply4,
				    .send_reply6 = on_reply6,
				    .send_denial4 = on_denial4,
				    .send_denial6 = on_denial6,
				    .binding_changed = on_binding,
				    .epoch_accepted = on_epoch,
				    .epoch_sent = on_epoch_sent};
	struct addr agents[] = {ip4("10.0.0.1"), ip4("fd00::1")};
	g->r = registrar_new(&ops, agents, 2, g->table, g->moves, NULL);
	struct registrar_terminal *t =
	    rig_terminal("a", &g->peer_a, SPI_A, key_a, sizeof(key_a), max);
	t->home_count = 2;
	t->homes[0] = ip4("10.0.0.9");
	t->homes[1] = ip4("fd00::9");
	assert_int_equal(registrar_add(g->r, t), 0);
	t = rig_terminal("b", &g->peer_b, SPI_B, key_b, sizeof(key_b), max);
	t->home_count = 1;
	t->homes[0] = ip4("10.0.0.10");
	assert_int_equal(registrar_add(g->r, t), 0);
	g->a[0] = rig_conn(g, "a0", CONN_A0, &g->peer_a);
	g->a[1] = rig_conn(g, "a1", CONN_A0 + 1, &g->peer_a);
	g->a[2] = rig_conn(g, "a2", CONN_A0 + 2, &g->peer_a);
	g->b = rig_conn(g, "b0", CONN_B0, &g->peer_b);
	return g;
}

static void rig_free(struct rig *g)
{
	registrar_free(g->r);
	conn_table_free(g->table);
	moves_free(g->moves);
	free(g);
}

static const struct binding *rig_binding(const struct rig *g, const char *home)
{
	struct addr a = ip4(home);
	for (const struct binding *b = registrar_first(g->r); b; b = b->next)
		if (addr_equal(&b->home, &a))
			return b;
	fail();
	return NULL;
}

/* "a0+a1" */
static const char *rig_bound(const struct rig *g, const char *home)
{
	static char text[200];
	const struct binding *b = rig_binding(g, home);
	text[0] = '\0';
	for (uint8_t i = 0; i < b->count; i++) {
		if (i)
			strcat(text, "+");
		strcat(text, b->conns[i]->name);
		assert_int_equal(b->conns[i]->state, CONN_ACTIVE);
		assert_true(atomic_load(&b->conns[i]->in->active));
	}
	return text;
}

static uint64_t id_at(const struct rig *g, int64_t off_us)
{
	return mip4_identification((uint64_t)((int64_t)(WALL + g->now_us) + off_us));
}

/* A request as terminal A would send it now. */
static inline struct mip4_request request(struct rig *g)
{
	g->now_us += 1000;
	struct mip4_request q = {
	    .flags = MIP4_D | MIP4_T,
	    .lifetime_s = 300,
	    .home = {10, 0, 0, 9},
	    .home_agent = {10, 0, 0, 1},
	    .care_of = {192, 168, 1, 7},
	    .identification = id_at(g, 0),
	};
	q.ext.has_auth = true;
	q.ext.auth_spi = SPI_A;
	return q;
}

static inline size_t seal(const struct mip4_request *q, const uint8_t *key, size_t key_len,
			  uint8_t *msg)
{
	size_t auth_off;
	size_t len = mip4_write_request(msg, 512, q, &auth_off);
	assert_true(len > 0);
	assert_int_equal(mac_compute(key, key_len, msg, auth_off, msg + auth_off), 0);
	return len;
}

static void clear(struct rig *g)
{
	memset(g->trace, 0, sizeof(g->trace));
	g->replies = g->changes = 0;
	g->hello = g->denial = false;
}

static inline void give(struct rig *g, struct conn *conn, const uint8_t *msg, size_t len,
			bool hello)
{
	clear(g);
	struct registrar_arrival a = {.conn = conn,
				      .src = ip4("10.0.0.9"),
				      .dst = ip4("10.0.0.1"),
				      .hello = hello,
				      .number = hello ? space_hello_number(0x1234) : 5,
				      .now_us = g->now_us,
				      .wall_us = WALL + g->now_us};
	registrar_request4(g->r, &a, 4340, msg, len);
}

static inline int ask(struct rig *g, struct conn *conn, const struct mip4_request *q)
{
	uint8_t msg[512];
	give(g, conn, msg, seal(q, key_a, sizeof(key_a), msg), false);
	return g->replies ? g->reply.code : -1;
}

static inline int update(struct rig *g, struct conn *conn, const char *src, const char *dst,
			 const struct mip6_update *u, uint32_t hello_epoch)
{
	clear(g);
	struct registrar_arrival a = {.conn = conn,
				      .src = ip4(src),
				      .dst = ip4(dst),
				      .hello = hello_epoch != 0,
				      .number = space_hello_number(hello_epoch),
				      .now_us = g->now_us,
				      .wall_us = WALL + g->now_us};
	uint8_t msg[512];
	size_t len = mip6_write_update(msg, sizeof(msg), &a.src, &a.dst, u);
	assert_true(len > 0);
	registrar_request6(g->r, &a, msg, len);
	return g->replies ? g->ack.status : -1;
}

#endif
