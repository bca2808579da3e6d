/* SPDX-License-Identifier: MIT */
/* A mover with two connections, and everything that it calls written down. */
#ifndef MOVER_RIG_H
#define MOVER_RIG_H

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
#include "mobility/mover.h"
#include "wire/mip4.h"
#include "wire/mip6.h"

#define WALL	 1700000000000000ull
#define MS	 1000u
#define SPI	 300u
#define RTO	 (250 * MS) /* of a connection never measured */
#define SENT_MAX 64

static const uint8_t key[] = "key of a";

struct sent_request {
	usec_t at_us;
	struct conn *conn;
	uint8_t family;
	uint32_t hello;
	struct mip4_request q4;
	struct mip6_update q6;
};

struct rig {
	struct peer peer;
	struct conn_table *table;
	struct moves *moves;
	struct mover *m;
	struct conn *wifi, *cell;
	usec_t now_us, next_us;
	int64_t clock_us;
	uint64_t rng;
	uint32_t heard; /* epoch of the server */
	bool attach_fails, attach_waits;
	struct sent_request sent[SENT_MAX];
	unsigned sent_count, probe_count, attach_count;
	struct {
		struct conn *conn;
		uint64_t id;
	} probes[SENT_MAX];
	struct conn *active;
	struct conn *set[ACTIVE_MAX]; /* that packets go out on */
	uint8_t set_count;
	bool home;
	/* Order: r request, a activate, n activate none, h home, l leave home, S a spare is taken,
	 * W a connection is wanted. */
	char trace[64];
	struct conn *taken;
	int taken_preference;
	struct care_of wanted;
	uint64_t epoch_number;
	struct care_of list[4];
	size_t listed;
};

static struct addr ip(const char *text)
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

static void on_attach(void *ctx, struct conn *conn, const struct care_of *care_of)
{
	struct rig *g = ctx;
	g->attach_count++;
	struct endpoint e = {.addr = care_of->addr, .port = 4500};
	conn_set_pair(g->table, conn, &e, &conn->server);
	if (!g->attach_waits)
		mover_attached(g->m, conn, !g->attach_fails, g->now_us);
}

static void on_detach(void *ctx, struct conn *conn)
{
	(void)ctx;
	(void)conn;
}

static void on_send(void *ctx, struct conn *conn, const struct addr *src, const struct addr *dst,
		    const uint8_t *msg, size_t len, uint32_t hello)
{
	struct rig *g = ctx;
	assert_true(g->sent_count < SENT_MAX);
	struct sent_request *s = &g->sent[g->sent_count++];
	*s = (struct sent_request){
	    .at_us = g->now_us, .conn = conn, .family = src->family, .hello = hello};
	if (src->family == 4) {
		assert_int_equal(mip4_read_request(msg, len, &s->q4), MIP4_OK);
		uint8_t mac[MAC_LEN];
		assert_int_equal(mac_compute(key, sizeof(key), msg, s->q4.ext.auth_covers, mac), 0);
		assert_memory_equal(mac, s->q4.ext.auth, MAC_LEN);
		assert_int_equal(s->q4.ext.auth_spi, SPI);
	} else {
		assert_true(mip6_read_update(msg, len, src, dst, &s->q6));
	}
	atomic_store(&conn->out->last_us, g->now_us);
	trace(g, 'r');
}

static void on_probe(void *ctx, struct conn *conn, uint64_t id)
{
	struct rig *g = ctx;
	g->probes[g->probe_count % SENT_MAX].conn = conn;
	g->probes[g->probe_count++ % SENT_MAX].id = id;
	atomic_store(&conn->out->last_us, g->now_us);
}

static void on_activate(void *ctx, struct conn *const *conns, uint8_t count)
{
	struct rig *g = ctx;
	g->active = count ? conns[0] : NULL;
	g->set_count = count;
	for (uint8_t i = 0; i < count; i++)
		g->set[i] = conns[i];
	trace(g, count ? 'a' : 'n');
}

static void on_home(void *ctx, const struct care_of *at)
{
	struct rig *g = ctx;
	g->home = at != NULL;
	trace(g, at ? 'h' : 'l');
}

static void on_epoch(void *ctx, struct conn *conn, uint64_t number)
{
	struct rig *g = ctx;
	(void)conn;
	g->epoch_number = number;
	g->heard = (uint32_t)(number >> 32);
}

static uint32_t on_epoch_heard(void *ctx, struct conn *conn)
{
	(void)conn;
	return ((struct rig *)ctx)->heard;
}

static uint64_t on_wall(void *ctx)
{
	struct rig *g = ctx;
	return WALL + g->now_us + (uint64_t)g->clock_us;
}

static void on_random(void *ctx, void *out, size_t len)
{
	struct rig *g = ctx;
	for (size_t i = 0; i < len; i++) {
		g->rng = g->rng * 6364136223846793005u + 1442695040888963407u;
		((uint8_t *)out)[i] = (uint8_t)(g->rng >> 56);
	}
}

static void sa_retire(void *ctx, struct sa *sa)
{
	(void)ctx;
	free(sa);
}

static struct conn *rig_conn(struct rig *g, const char *name, uint32_t spi)
{
	struct conn *c = mem_zalloc(sizeof(*c));
	(void)snprintf(c->name, sizeof(c->name), "%s", name);
	c->server.addr = ip("192.0.2.1");
	c->peer = &g->peer;
	struct sa **both[] = {&c->in, &c->out};
	for (int i = 0; i < 2; i++) {
		struct sa *sa = *both[i] = mem_zalloc(sizeof(**both[i]));
		sa->spi = spi + (uint32_t)i;
		sa->esn = sa->configured_keys = true;
		sa->peer = &g->peer;
		sa->space = &g->peer.space;
	}
	assert_int_equal(conn_table_add(g->table, c), 0);
	return c;
}

static int on_spare_taken(void *ctx, struct conn *conn, const struct care_of *care_of)
{
	struct rig *g = ctx;
	trace(g, 'S');
	g->taken = conn;
	conn->server.addr = ip(care_of->addr.family == 4 ? "192.0.2.1" : "2001:db8::1");
	return g->taken_preference;
}

static void on_wanted(void *ctx, const struct care_of *care_of)
{
	struct rig *g = ctx;
	trace(g, 'W');
	g->wanted = *care_of;
}

static struct mover_config config(void)
{
	struct mover_config cfg = {
	    .terminal = "t",
	    .home_count = 1,
	    .homes = {ip("10.0.0.9")},
	    .home_agent4 = ip("10.0.0.1"),
	    .home_agent6 = ip("fd00::1"),
	    .mn_ha_spi = SPI,
	    .mn_ha_key_len = sizeof(key),
	    .lifetime_s = 600,
	    .probe_idle_us = 500 * MS,
	    .probe_spare_us = 10 * USEC_PER_SEC,
	    .initial_rto_us = RTO,
	    .has_home_network = true,
	    .home_network = {.gateway = {1, 1, 1, 1, 1, 1}},
	};
	memcpy(cfg.mn_ha_key, key, sizeof(key));
	return cfg;
}

/* made: connections are made as they are wanted; none is configured. */
static struct rig *rig_of(const struct mover_config *cfg, bool made)
{
	struct rig *g = mem_zalloc(sizeof(*g));
	g->now_us = 1000 * USEC_PER_SEC;
	g->rng = 42;
	space_init(&g->peer.space, 1024);
	g->table = conn_table_new(NULL, NULL);
	conn_table_set_retire(g->table, sa_retire, NULL);
	g->moves = moves_new();
	struct mover_ops ops = {.ctx = g,
				.attach = on_attach,
				.detach = on_detach,
				.spare_taken = on_spare_taken,
				.wanted = made ? on_wanted : NULL,
				.send_request = on_send,
				.send_probe = on_probe,
				.activate = on_activate,
				.home = on_home,
				.epoch_accepted = on_epoch,
				.epoch_heard = on_epoch_heard,
				.wall_us = on_wall,
				.random = on_random};
	g->m = mover_new(cfg, &ops, g->table, g->moves, NULL);
	if (made)
		return g;
	g->wifi = rig_conn(g, "wifi", 100);
	g->cell = rig_conn(g, "cell", 200);
	struct mover_connection w = {.conn = g->wifi, .interface = "wifi0", .preference = 1};
	struct mover_connection c = {.conn = g->cell, .interface = "cell0", .preference = 2};
	assert_int_equal(mover_add(g->m, &w, g->now_us), 0);
	assert_int_equal(mover_add(g->m, &c, g->now_us), 0);
	return g;
}

static inline struct rig *rig_with(const struct mover_config *cfg)
{
	return rig_of(cfg, false);
}

static inline struct rig *rig_new(void)
{
	struct mover_config cfg = config();
	return rig_with(&cfg);
}

static void rig_free(struct rig *g)
{
	mover_free(g->m);
	conn_table_free(g->table);
	moves_free(g->moves);
	space_clear(&g->peer.space);
	free(g);
}

static void clear(struct rig *g)
{
	memset(g->trace, 0, sizeof(g->trace));
	g->sent_count = g->probe_count = 0;
}

/* Time passes, with every tick that falls due. */
static void pass(struct rig *g, usec_t us)
{
	usec_t end = g->now_us + us;
	for (;;) {
		usec_t next = mover_tick(g->m, g->now_us);
		assert_true(next > g->now_us);
		if (next > end)
			break;
		g->now_us = next;
	}
	g->now_us = end;
	(void)mover_tick(g->m, end);
}

static struct care_of care_of(const char *interface, unsigned ifindex, const char *addr)
{
	struct care_of c = {.addr = ip(addr), .ifindex = ifindex, .mtu = 1500};
	(void)snprintf(c.interface, sizeof(c.interface), "%s", interface);
	c.network.gateway[5] = (uint8_t)ifindex;
	c.gateway = ip("192.168.1.1");
	return c;
}

static void links(struct rig *g, bool wifi, bool cell, bool home)
{
	g->listed = 0;
	if (wifi)
		g->list[g->listed++] = care_of("wifi0", 2, "192.168.1.7");
	if (cell)
		g->list[g->listed++] = care_of("cell0", 3, "192.168.1.7");
	if (home) {
		g->list[g->listed] = care_of("eth0", 4, "10.0.0.50");
		memset(g->list[g->listed++].network.gateway, 1, 6);
	}
	mover_care_ofs(g->m, g->list, g->listed, "links", g->now_us, g->now_us);
}

struct answer {
	uint8_t code;
	bool hello;
	uint16_t lifetime_s;
	uint64_t id; /* 0: of the request */
};

static void reply_to(struct rig *g, const struct sent_request *s, struct answer a)
{
	uint64_t number = a.hello ? space_hello_number(0x5555) : 9;
	atomic_store(&s->conn->in->last_us, g->now_us);
	if (s->family == 6) {
		struct mip6_ack ack = {.status = a.code,
				       .sequence = s->q6.sequence,
				       .lifetime_4s = (uint16_t)(a.lifetime_s / 4)};
		if (a.hello) {
			ack.result_count = 1;
			ack.results[0].spi = s->hello;
		}
		struct addr ha = ip("fd00::1"), home = ip("fd00::9");
		uint8_t msg[512];
		size_t len = mip6_write_ack(msg, sizeof(msg), &ha, &home, &ack);
		mover_reply6(g->m, s->conn, &ha, &home, msg, len, a.hello, number, g->now_us);
		return;
	}
	struct mip4_reply r = {.code = a.code,
			       .lifetime_s = a.lifetime_s,
			       .identification = a.id ? a.id : s->q4.identification};
	memcpy(r.home, s->q4.home, 4);
	memcpy(r.home_agent, s->q4.home_agent, 4);
	r.ext.has_auth = true;
	r.ext.auth_spi = SPI;
	uint8_t msg[512];
	size_t off, len = mip4_write_reply(msg, sizeof(msg), &r, &off);
	assert_true(len > 0);
	assert_int_equal(mac_compute(key, sizeof(key), msg, off, msg + off), 0);
	mover_reply4(g->m, s->conn, msg, len, a.hello, number, g->now_us);
}

static void accept_last(struct rig *g)
{
	const struct sent_request *s = &g->sent[g->sent_count - 1];
	reply_to(g, s, (struct answer){.hello = s->hello != 0, .lifetime_s = 600});
}

static void probe_answer(struct rig *g, const struct conn *conn)
{
	for (unsigned i = g->probe_count; i-- > 0;)
		if (g->probes[i].conn == conn) {
			atomic_store(&g->probes[i].conn->in->last_us, g->now_us);
			mover_probe_reply(g->m, g->probes[i].conn, g->probes[i].id, g->now_us);
			return;
		}
	fail_msg("no probe on %s", conn->name);
}

/* Registered over the links that are up; round trips of 100 ms. */
static inline struct rig *rig_started(bool wifi, bool cell)
{
	struct rig *g = rig_new();
	links(g, wifi, cell, false);
	pass(g, 100 * MS);
	accept_last(g);
	pass(g, 100 * MS);
	if (wifi && cell)
		probe_answer(g, g->cell);
	pass(g, 3 * USEC_PER_SEC);
	clear(g);
	return g;
}

static inline const struct move *last_move(const struct rig *g)
{
	const struct move *mv = NULL;
	for (size_t i = 0; moves_at(g->moves, i); i++)
		mv = moves_at(g->moves, i);
	return mv;
}

#endif
