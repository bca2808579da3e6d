/* SPDX-License-Identifier: MIT */
/*
 * Arbitrary registration messages to the registrar and the mover.
 *
 * First octet: bits 0-1 choose who gets it (RFC 5944 request, Binding Update, RFC 5944 reply,
 * Binding Acknowledgement); bit 2 has it signed (an MN-HA extension is added, the checksum of
 * a Mobility Header set), so that what lies behind that is reached; bit 3 is a hello; bits 4-5
 * choose the connection.  What is not signed must change nothing: no binding, no epoch.
 */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/mem.h"
#include "crypto/mac.h"
#include "mobility/mover.h"
#include "mobility/registrar.h"
#include "wire/ip.h"
#include "wire/mip4.h"
#include "wire/mip6.h"

#define CONNS 3
#define SPI   300u
#define WALL  1700000000000000ull

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static const uint8_t key[] = "a key the fuzzer cannot use";

struct rig {
	struct peer peer;
	struct conn_table *table;
	struct moves *moves;
	struct registrar *r;
	struct mover *m;
	struct conn *conns[CONNS];
	unsigned epochs, changes, activations;
};

static void on_reply4(void *ctx, struct conn *conn, const struct addr *src, const struct addr *dst,
		      uint16_t port, const uint8_t *msg, size_t len, bool hello)
{
	struct mip4_reply reply;
	(void)ctx, (void)conn, (void)src, (void)dst, (void)port, (void)hello;
	assert(mip4_read_reply(msg, len, &reply) == MIP4_OK);
}

static void on_reply6(void *ctx, struct conn *conn, const struct addr *src, const struct addr *dst,
		      const uint8_t *msg, size_t len, bool hello)
{
	struct mip6_ack ack;
	(void)ctx, (void)conn, (void)hello;
	bool ok = mip6_read_ack(msg, len, src, dst, &ack);
	assert(ok);
}

static void on_binding(void *ctx, const struct binding *b)
{
	struct rig *g = ctx;
	assert(b->count <= ACTIVE_MAX);
	g->changes++;
}

static void on_epoch(void *ctx, struct conn *conn, uint64_t number)
{
	struct rig *g = ctx;
	(void)conn, (void)number;
	g->epochs++;
}

static uint32_t on_epoch_number(void *ctx, struct conn *conn)
{
	(void)ctx, (void)conn;
	return 0;
}

static void on_attach(void *ctx, struct conn *conn, const struct care_of *care_of)
{
	struct rig *g = ctx;
	(void)care_of;
	mover_attached(g->m, conn, true, USEC_PER_SEC);
}

static void on_detach(void *ctx, struct conn *conn)
{
	(void)ctx, (void)conn;
}

static void on_request(void *ctx, struct conn *conn, const struct addr *src, const struct addr *dst,
		       const uint8_t *msg, size_t len, uint32_t hello)
{
	(void)ctx, (void)conn, (void)src, (void)dst, (void)msg, (void)len, (void)hello;
}

static void on_probe(void *ctx, struct conn *conn, uint64_t id)
{
	(void)ctx, (void)conn, (void)id;
}

static void on_activate(void *ctx, struct conn *const *conns, uint8_t count)
{
	(void)conns, (void)count;
	((struct rig *)ctx)->activations++;
}

static void on_home(void *ctx, const struct care_of *at)
{
	(void)ctx, (void)at;
}

static uint64_t on_wall(void *ctx)
{
	(void)ctx;
	return WALL;
}

static void on_random(void *ctx, void *out, size_t len)
{
	(void)ctx;
	memset(out, 1, len);
}

static void sa_retire(void *ctx, struct sa *sa)
{
	(void)ctx;
	free(sa);
}

static struct addr home4(void)
{
	return addr_from_bytes(4, (const uint8_t[]){10, 0, 0, 9});
}

static struct addr agent4(void)
{
	return addr_from_bytes(4, (const uint8_t[]){10, 0, 0, 1});
}

static struct addr address6(uint8_t last)
{
	const uint8_t b[16] = {0xfd, [15] = last};
	return addr_from_bytes(6, b);
}

static void conns_make(struct rig *g)
{
	for (unsigned i = 0; i < CONNS; i++) {
		struct conn *c = g->conns[i] = mem_zalloc(sizeof(*c));
		(void)snprintf(c->name, sizeof(c->name), "c%u", i);
		c->in = mem_zalloc(sizeof(*c->in));
		c->out = mem_zalloc(sizeof(*c->out));
		c->in->spi = 1000 + i;
		c->out->esn = c->out->configured_keys = true;
		c->server.addr = addr_from_bytes(4, (const uint8_t[]){192, 0, 2, 1});
		c->peer = &g->peer;
		int added = conn_table_add(g->table, c);
		assert(added == 0);
	}
}

static void registrar_make(struct rig *g)
{
	struct registrar_ops ops = {.ctx = g,
				    .send_reply4 = on_reply4,
				    .send_reply6 = on_reply6,
				    .binding_changed = on_binding,
				    .epoch_accepted = on_epoch,
				    .epoch_sent = on_epoch_number};
	struct addr agents[] = {agent4(), address6(1)};
	g->r = registrar_new(&ops, agents, 2, g->table, g->moves, NULL);
	struct registrar_terminal *t = registrar_terminal_new(2, 0, sizeof(key));
	(void)snprintf(t->name, sizeof(t->name), "t");
	t->home_count = 2;
	t->homes[0] = home4();
	t->homes[1] = address6(9);
	registrar_set_key(t, SPI, key, sizeof(key));
	t->lifetime_max_s = 600;
	t->connections_max = 2;
	t->peer = &g->peer;
	int added = registrar_add(g->r, t);
	assert(added == 0);
}

static void mover_make(struct rig *g)
{
	struct mover_config cfg = {.terminal = "t",
				   .home_count = 2,
				   .homes = {home4(), address6(9)},
				   .home_agent4 = agent4(),
				   .home_agent6 = address6(1),
				   .mn_ha_spi = SPI,
				   .mn_ha_key_len = sizeof(key),
				   .lifetime_s = 600,
				   .probe_idle_us = 500000,
				   .probe_spare_us = 5000000,
				   .initial_rto_us = 300000};
	memcpy(cfg.mn_ha_key, key, sizeof(key));
	struct mover_ops ops = {.ctx = g,
				.attach = on_attach,
				.detach = on_detach,
				.send_request = on_request,
				.send_probe = on_probe,
				.activate = on_activate,
				.home = on_home,
				.epoch_accepted = on_epoch,
				.epoch_heard = on_epoch_number,
				.wall_us = on_wall,
				.random = on_random};
	g->m = mover_new(&cfg, &ops, g->table, g->moves, NULL);
	struct mover_connection c = {.conn = g->conns[0], .preference = 1};
	int added = mover_add(g->m, &c, USEC_PER_SEC);
	assert(added == 0);
	struct care_of co = {.addr = addr_from_bytes(4, (const uint8_t[]){192, 168, 1, 7}),
			     .interface = "wifi0",
			     .ifindex = 2,
			     .mtu = 1500};
	mover_care_ofs(g->m, &co, 1, "up", USEC_PER_SEC, USEC_PER_SEC);
}

static size_t sign4(uint8_t *msg, size_t len)
{
	const uint8_t ext[] = {32, 4 + MIP4_AUTH_LEN, 0, 0, SPI >> 8, SPI & 0xff};
	memcpy(msg + len, ext, sizeof(ext));
	len += sizeof(ext);
	int done = mac_compute(key, sizeof(key), msg, len, msg + len);
	assert(done == 0);
	return len + MIP4_AUTH_LEN;
}

static size_t sign6(uint8_t *msg, size_t len, const struct addr *src, const struct addr *dst)
{
	if (len < 8)
		return len;
	uint8_t pseudo[40] = {[39] = 135};
	memcpy(pseudo, src->b, 16);
	memcpy(pseudo + 16, dst->b, 16);
	pseudo[34] = (uint8_t)(len >> 8);
	pseudo[35] = (uint8_t)len;
	msg[4] = msg[5] = 0;
	uint32_t sum = 0;
	for (size_t i = 0; i < sizeof(pseudo); i += 2)
		sum += (uint32_t)pseudo[i] << 8 | pseudo[i + 1];
	for (size_t i = 0; i < len; i++)
		sum += i % 2 ? msg[i] : (uint32_t)msg[i] << 8;
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	msg[4] = (uint8_t)(~sum >> 8);
	msg[5] = (uint8_t)~sum;
	return len;
}

static void check_bindings(const struct rig *g)
{
	for (const struct binding *b = registrar_first(g->r); b; b = b->next)
		for (uint8_t i = 0; i < b->count; i++) {
			assert(b->count <= 2);
			assert(b->conns[i]->peer == &g->peer);
			assert(b->conns[i]->state == CONN_ACTIVE);
			assert(atomic_load(&b->conns[i]->in->active));
		}
}

static void give(struct rig *g, uint8_t choice, uint8_t *msg, size_t len)
{
	bool sign = choice & 4, hello = choice & 8;
	struct addr home6 = address6(9), agent6 = address6(1);
	struct conn *conn = g->conns[(choice >> 4) % CONNS];
	uint64_t number = hello ? space_hello_number((uint32_t)(WALL / USEC_PER_SEC)) : 7;
	struct registrar_arrival a = {.conn = conn,
				      .hello = hello,
				      .number = number,
				      .now_us = 2 * USEC_PER_SEC,
				      .wall_us = WALL};
	switch (choice & 3) {
	case 0:
		a.src = home4();
		a.dst = agent4();
		registrar_request4(g->r, &a, 434, msg, sign ? sign4(msg, len) : len);
		break;
	case 1:
		a.src = home6;
		a.dst = agent6;
		registrar_request6(g->r, &a, msg, sign ? sign6(msg, len, &home6, &agent6) : len);
		return;
	case 2:
		mover_reply4(g->m, conn, msg, sign ? sign4(msg, len) : len, hello, number,
			     2 * USEC_PER_SEC);
		break;
	case 3:
		mover_reply6(g->m, conn, &agent6, &home6, msg,
			     sign ? sign6(msg, len, &agent6, &home6) : len, hello, number,
			     2 * USEC_PER_SEC);
		return;
	}
	/* A Mobility Header is authenticated by the SA it came in, RFC 5944 by its extension. */
	assert(sign || (!g->changes && !g->epochs && !g->activations));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	if (len < 1 || len > 600)
		return 0;
	struct rig g = {0};
	g.table = conn_table_new(NULL, NULL);
	conn_table_set_retire(g.table, sa_retire, NULL);
	g.moves = moves_new();
	conns_make(&g);
	registrar_make(&g);
	mover_make(&g);
	uint8_t msg[700];
	memcpy(msg, data + 1, len - 1);
	give(&g, data[0], msg, len - 1);
	check_bindings(&g);
	(void)mover_tick(g.m, 3 * USEC_PER_SEC);
	(void)registrar_tick(g.r, 3 * USEC_PER_SEC);
	mover_free(g.m);
	registrar_free(g.r);
	conn_table_free(g.table);
	moves_free(g.moves);
	return 0;
}
