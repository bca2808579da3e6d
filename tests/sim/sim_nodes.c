/* SPDX-License-Identifier: MIT */
/* The two nodes: the real mobility code and what stands in for the rest of the daemon. */
#include <stdio.h>
#include <string.h>
#include "base/mem.h"
#include "sim.h"
#include "wire/mip4.h"

#define WINDOW	   1024
#define WALL_US	   1800000000000000ull
#define SPI_UP	   1000u
#define SPI_DOWN   2000u
#define MN_HA_SPI  777u
#define MAX_LIFE_S 60

static const uint8_t key[] = "the key of the two simulated nodes";

static struct addr agent4(void)
{
	return addr_from_bytes(4, (const uint8_t[]){10, 0, 0, 1});
}

static struct addr agent6(void)
{
	uint8_t b[16] = {0xfd, [15] = 1};
	return addr_from_bytes(6, b);
}

/* Somewhere: what the server asks of a path is whether there is one. */
static struct path somewhere;

static struct sa *sa_make(struct peer *peer, uint32_t spi)
{
	struct sa *sa = mem_zalloc(sizeof(*sa));
	sa->spi = spi;
	sa->esn = true;
	sa->configured_keys = true;
	sa->peer = peer;
	sa->space = &peer->space;
	return sa;
}

static void sa_retire(void *ctx, struct sa *sa)
{
	(void)ctx;
	free(sa);
}

static struct conn *conn_make(struct sim *s, struct peer *peer, struct conn_table *table, int i,
			      bool up_is_in)
{
	struct conn *c = mem_zalloc(sizeof(*c));
	(void)snprintf(c->name, sizeof(c->name), "c%d", i);
	c->in = sa_make(peer, (up_is_in ? SPI_UP : SPI_DOWN) + (uint32_t)i);
	c->out = sa_make(peer, (up_is_in ? SPI_DOWN : SPI_UP) + (uint32_t)i);
	c->peer = peer;
	c->expires_us = USEC_NEVER;
	c->server.addr = addr_from_bytes(4, (const uint8_t[]){192, 0, 2, 1});
	if (conn_table_add(table, c) != 0)
		sim_fail(s, "connection does not go into the table");
	return c;
}

static uint32_t epoch_draw(struct sim *s)
{
	uint32_t e = 0;
	while (!e || e == UINT32_MAX)
		e = (uint32_t)sim_random(s);
	return e;
}

/* A packet of data reached its receiver's side: no second time. */
static void deliver(struct sim *s, struct delivered *d, const struct packet *p)
{
	uint64_t *word = &d->seen[p->payload % DELIVERED / 64];
	if (p->payload > d->newest) {
		for (uint64_t i = d->newest + 1; i <= p->payload; i++)
			d->seen[i % DELIVERED / 64] &= ~(1ull << i % 64);
		d->newest = p->payload;
	}
	if (*word & 1ull << p->payload % 64)
		sim_fail(s, "data %llu was delivered twice %s", (unsigned long long)p->payload,
			 p->up ? "up" : "down");
	*word |= 1ull << p->payload % 64;
}

/* A copy on a path of its own has the number of the others: as the packet path, the SA is heard by
 * it all the same, and it is dropped. */
static bool is_copy(const struct space *space, const struct packet *p)
{
	return replay_infer(&space->window, (uint32_t)p->number) == p->number &&
	       replay_check(&space->window, p->number) == REPLAY_SEEN;
}

/* The number an arriving packet has, if it authenticates; *hello as the packet path says. */
static bool authenticate(const struct space *space, const struct packet *p, bool *hello)
{
	uint32_t lo = (uint32_t)p->number;
	*hello = false;
	if (replay_infer(&space->window, lo) == p->number)
		return replay_check(&space->window, p->number) == REPLAY_NEW;
	*hello = space_hello_number(lo) == p->number;
	return *hello && (p->kind == PACKET_REQUEST || p->kind == PACKET_REPLY);
}

/* --- terminal */

static int index_of(struct conn *const *conns, const struct conn *c)
{
	for (int i = 0; i < LINKS; i++)
		if (conns[i] == c)
			return i;
	return -1;
}

static void terminal_packet(struct sim *s, int conn, struct packet *p, uint32_t hello_epoch)
{
	struct terminal *t = &s->t;
	if (conn < 0 || t->links[conn] < 0)
		return;
	if (hello_epoch)
		space_begin_epoch(&t->peer.space, hello_epoch);
	p->up = true;
	p->conn = conn;
	p->link = t->links[conn];
	p->nat = s->links[p->link].nat;
	p->number = atomic_fetch_add(&t->peer.space.next, 1);
	struct sa *out = t->conns[conn]->out;
	atomic_store(&out->last_us, s->now_us);
	if (p->kind == PACKET_DATA && !atomic_load(&out->first_us))
		atomic_store(&out->first_us, s->now_us);
	net_send(s, p);
}

static void on_attach(void *ctx, struct conn *conn, const struct care_of *care_of)
{
	struct sim *s = ctx;
	int i = index_of(s->t.conns, conn);
	s->t.links[i] = (int)care_of->ifindex - 1;
	struct endpoint e = {.addr = care_of->addr, .port = 4500};
	conn_set_pair(s->t.table, conn, &e, &conn->server);
	if (!s->attach_later) {
		mover_attached(s->t.mover, conn, true, s->now_us);
		return;
	}
	struct event *ev = sim_push(s, s->now_us + sim_below(s, 30000), EVENT_ATTACHED);
	ev->conn = i;
	ev->life = s->t.life;
}

static void on_detach(void *ctx, struct conn *conn)
{
	struct sim *s = ctx;
	s->t.links[index_of(s->t.conns, conn)] = -1;
}

static void on_send_request(void *ctx, struct conn *conn, const struct addr *src,
			    const struct addr *dst, const uint8_t *msg, size_t len,
			    uint32_t hello_epoch)
{
	struct sim *s = ctx;
	struct packet p = {.kind = PACKET_REQUEST, .src = *src, .dst = *dst, .len = (uint16_t)len};
	if (len > sizeof(p.data)) {
		sim_fail(s, "request of %zu octets", len);
		return;
	}
	memcpy(p.data, msg, len);
	sim_say(s, "terminal: request %s hello=%08x", conn->name, hello_epoch);
	terminal_packet(s, index_of(s->t.conns, conn), &p, hello_epoch);
}

static void on_send_probe(void *ctx, struct conn *conn, uint64_t id)
{
	struct sim *s = ctx;
	struct packet p = {.kind = PACKET_PROBE, .probe = id};
	terminal_packet(s, index_of(s->t.conns, conn), &p, 0);
}

static void on_send_use(void *ctx, struct conn *conn, uint64_t id)
{
	struct sim *s = ctx;
	struct packet p = {.kind = PACKET_USE, .probe = id};
	sim_say(s, "terminal: uses %s", conn->name);
	terminal_packet(s, index_of(s->t.conns, conn), &p, 0);
}

static void on_activate(void *ctx, struct conn *const *conns, uint8_t count)
{
	struct sim *s = ctx;
	s->t.active = count ? index_of(s->t.conns, conns[0]) : -1;
	s->t.set_count = count;
	s->t.set_us = s->now_us;
	for (int i = 0; i < count; i++)
		s->t.set[i] = index_of(s->t.conns, conns[i]);
	sim_say(s, "terminal: packets to %d", s->t.active);
}

static void on_home(void *ctx, const struct care_of *at)
{
	struct sim *s = ctx;
	s->t.home = at != NULL;
	sim_say(s, "terminal: home=%d", s->t.home);
}

static void on_epoch_accepted(void *ctx, struct conn *conn, uint64_t number)
{
	struct sim *s = ctx;
	(void)conn;
	replay_reset(&s->t.peer.space.window, number, true);
	s->t.epoch_heard = (uint32_t)(number >> 32);
	sim_say(s, "terminal: epoch of the server %08x", s->t.epoch_heard);
}

static uint32_t on_epoch_heard(void *ctx, struct conn *conn)
{
	struct sim *s = ctx;
	(void)conn;
	return s->t.epoch_heard;
}

static uint64_t on_wall_us(void *ctx)
{
	struct sim *s = ctx;
	return WALL_US + s->now_us + (uint64_t)s->t.clock_us;
}

static void on_random(void *ctx, void *out, size_t len)
{
	uint8_t *b = out;
	for (size_t i = 0; i < len; i++)
		b[i] = (uint8_t)sim_random(ctx);
}

static void terminal_config(const struct sim *s, struct mover_config *cfg)
{
	*cfg = (struct mover_config){
	    .terminal = "sim",
	    .home_count = s->home_count,
	    .home_agent4 = agent4(),
	    .home_agent6 = agent6(),
	    .mn_ha_spi = MN_HA_SPI,
	    .mn_ha_key_len = sizeof(key),
	    .lifetime_s = s->lifetime_s,
	    .by_data = s->by_data,
	    .probe_idle_us = 500 * USEC_PER_MS,
	    .probe_spare_us = 5 * USEC_PER_SEC,
	    .initial_rto_us = 300 * USEC_PER_MS,
	    .has_home_prefix = true,
	    .home_prefix = prefix_of(&(struct addr){.family = 4, .b = {10, 9, 3, 0}}, 24),
	    .home_gateway = {.family = 4, .b = {10, 9, 3, 1}},
	    .ncast = s->ncast,
	};
	memcpy(cfg->mn_ha_key, key, sizeof(key));
	for (int i = 0; i < s->home_count; i++)
		cfg->homes[i] = s->homes[i];
}

void terminal_start(struct sim *s)
{
	struct terminal *t = &s->t;
	unsigned life = t->life + 1;
	int64_t clock_us = t->clock_us;
	struct delivered delivered = t->delivered;
	memset(t, 0, sizeof(*t));
	t->life = life;
	t->clock_us = clock_us;
	t->delivered = delivered;
	t->active = -1;
	t->tick_us = s->now_us;
	space_init(&t->peer.space, WINDOW);
	space_begin_epoch(&t->peer.space, epoch_draw(s));
	t->table = conn_table_new(NULL, NULL);
	conn_table_set_retire(t->table, sa_retire, NULL);
	t->moves = moves_new();
	struct mover_config cfg;
	terminal_config(s, &cfg);
	struct mover_ops ops = {.ctx = s,
				.attach = on_attach,
				.detach = on_detach,
				.send_request = on_send_request,
				.send_probe = on_send_probe,
				.send_use = on_send_use,
				.activate = on_activate,
				.home = on_home,
				.epoch_accepted = on_epoch_accepted,
				.epoch_heard = on_epoch_heard,
				.wall_us = on_wall_us,
				.random = on_random};
	t->mover = mover_new(&cfg, &ops, t->table, t->moves, s->verbose ? &s->log : NULL);
	for (int i = 0; i < LINKS; i++) {
		t->links[i] = -1;
		if (i == LINK_HOME && !s->home_conn)
			continue;
		t->conns[i] = conn_make(s, &t->peer, t->table, i, false);
		struct mover_connection c = {.conn = t->conns[i], .preference = i};
		if (i != 2 || !s->any_conn)
			(void)snprintf(c.interface, sizeof(c.interface), "%s", link_names[i]);
		if (i == 1) {
			c.has_network = true;
			c.network.gateway[5] = 2;
		}
		if (mover_add(t->mover, &c, s->now_us) != 0)
			sim_fail(s, "mover_add");
	}
	sim_push(s, s->now_us + sim_below(s, 50000), EVENT_CARE_OFS)->life = life;
}

void terminal_stop(struct sim *s)
{
	mover_free(s->t.mover);
	moves_free(s->t.moves);
	conn_table_free(s->t.table);
	space_clear(&s->t.peer.space);
	s->t.mover = NULL;
}

void terminal_receive(struct sim *s, const struct packet *p)
{
	struct terminal *t = &s->t;
	struct conn *c = t->conns[p->conn];
	bool hello;
	if (t->mover && c && is_copy(&t->peer.space, p)) {
		atomic_store(&c->in->last_us, s->now_us);
		s->copies_dropped++;
	}
	if (!t->mover || !c || !authenticate(&t->peer.space, p, &hello))
		return;
	if (!hello) {
		(void)replay_mark(&t->peer.space.window, p->number);
		atomic_store(&c->in->last_us, s->now_us);
	}
	switch (p->kind) {
	case PACKET_DATA:
		if (!atomic_load(&c->in->first_us))
			atomic_store(&c->in->first_us, s->now_us);
		t->data_us = s->now_us;
		deliver(s, &t->delivered, p);
		return;
	case PACKET_REPLY:
		if (p->dst.family == 4)
			mover_reply4(t->mover, c, p->data, p->len, hello, p->number, s->now_us);
		else
			mover_reply6(t->mover, c, &p->src, &p->dst, p->data, p->len, hello,
				     p->number, s->now_us);
		break;
	case PACKET_PROBE_REPLY:
		mover_probe_reply(t->mover, c, p->probe, s->now_us);
		break;
	case PACKET_REQUEST:
	case PACKET_PROBE:
	case PACKET_USE:
		break;
	}
	t->tick_us = s->now_us;
}

void terminal_send_data(struct sim *s)
{
	struct packet p = {.kind = PACKET_DATA, .payload = ++s->payload_up};
	struct space *space = &s->t.peer.space;
	uint64_t number = atomic_load(&space->next);
	for (int i = 0; s->t.mover && i < s->t.set_count; i++) {
		/* One number for all copies; each SA's own still rise. */
		atomic_store(&space->next, number);
		terminal_packet(s, s->t.set[i], &p, 0);
		atomic_store(&space->next, number + 1);
	}
}

/* --- server */

static void server_packet_to(struct sim *s, struct conn *conn, struct packet *p,
			     const struct place *to, bool hello, bool once)
{
	struct space *space = &s->s.peer.space;
	uint64_t next = atomic_load(&space->next);
	if (hello)
		space_begin_epoch(space, epoch_draw(s));
	p->number = atomic_fetch_add(&space->next, 1);
	if (once)
		atomic_store(&space->next, next);
	p->conn = index_of(s->s.conns, conn);
	atomic_store(&conn->out->last_us, s->now_us);
	if (!to->known || to->nat == UINT32_MAX)
		return;
	p->link = to->link;
	p->nat = to->nat;
	net_send(s, p);
}

static void reply(struct sim *s, struct conn *conn, const struct addr *src, const struct addr *dst,
		  const uint8_t *msg, size_t len, bool hello, bool once)
{
	struct packet p = {.kind = PACKET_REPLY, .src = *src, .dst = *dst, .len = (uint16_t)len};
	if (len > sizeof(p.data)) {
		sim_fail(s, "reply of %zu octets", len);
		return;
	}
	memcpy(p.data, msg, len);
	sim_say(s, "server: reply code=%u %s hello=%d%s", msg[dst->family == 4 ? 1 : 6], conn->name,
		hello, once ? " once" : "");
	server_packet_to(s, conn, &p, &s->s.arrival, hello, once);
}

static void on_reply4(void *ctx, struct conn *conn, const struct addr *src, const struct addr *dst,
		      uint16_t port, const uint8_t *msg, size_t len, bool hello)
{
	(void)port;
	reply(ctx, conn, src, dst, msg, len, hello, false);
}

static void on_reply6(void *ctx, struct conn *conn, const struct addr *src, const struct addr *dst,
		      const uint8_t *msg, size_t len, bool hello)
{
	reply(ctx, conn, src, dst, msg, len, hello, false);
}

static void on_denial4(void *ctx, struct conn *conn, const struct addr *src, const struct addr *dst,
		       uint16_t port, const uint8_t *msg, size_t len)
{
	(void)port;
	reply(ctx, conn, src, dst, msg, len, true, true);
}

static void on_denial6(void *ctx, struct conn *conn, const struct addr *src, const struct addr *dst,
		       const uint8_t *msg, size_t len)
{
	reply(ctx, conn, src, dst, msg, len, true, true);
}

static void on_binding(void *ctx, const struct binding *b)
{
	struct sim *s = ctx;
	const struct server *v = &s->s;
	sim_say(s, "server: binding family=%u to %s by %s", b->home.family,
		b->count ? b->conns[0]->name : "nothing", binding_why_text(b->why));
	if (b->why != BINDING_BY_DATA || !b->count)
		return;
	if (!(v->may & BINDING_MAY(BINDING_BY_DATA)))
		sim_fail(s, "a binding moved by data, which is not allowed");
	if (v->number != v->top || v->top_conn != index_of(v->conns, b->conns[0]))
		sim_fail(s, "a binding moved to an older packet's source");
}

static void on_server_epoch(void *ctx, struct conn *conn, uint64_t number)
{
	struct sim *s = ctx;
	replay_reset(&s->s.peer.space.window, number, true);
	s->s.top = number;
	s->s.top_conn = index_of(s->s.conns, conn);
	memset(s->s.newest, 0, sizeof(s->s.newest));
	s->s.newest[s->s.top_conn] = number;
	/* Others keep what they heard in the epoch before. */
	atomic_store(&conn->in->newest, number);
	s->s.places[index_of(s->s.conns, conn)] = s->s.arrival;
	conn->out->path = &somewhere;
}

static uint32_t on_epoch_sent(void *ctx, struct conn *conn)
{
	struct sim *s = ctx;
	(void)conn;
	return (uint32_t)(atomic_load(&s->s.peer.space.next) >> 32);
}

void server_start(struct sim *s)
{
	struct server *v = &s->s;
	unsigned life = v->life + 1;
	bool strict = v->strict;
	uint8_t may = v->may;
	struct delivered delivered = v->delivered;
	memset(v, 0, sizeof(*v));
	v->may = may;
	v->life = life;
	v->strict = strict;
	v->delivered = delivered;
	v->tick_us = s->now_us;
	s->server_began_us = s->now_us;
	space_init(&v->peer.space, WINDOW);
	space_begin_epoch(&v->peer.space, epoch_draw(s));
	v->table = conn_table_new(NULL, NULL);
	conn_table_set_retire(v->table, sa_retire, NULL);
	v->moves = moves_new();
	struct registrar_ops ops = {.ctx = s,
				    .send_reply4 = on_reply4,
				    .send_reply6 = on_reply6,
				    .send_denial4 = on_denial4,
				    .send_denial6 = on_denial6,
				    .binding_changed = on_binding,
				    .epoch_accepted = on_server_epoch,
				    .epoch_sent = on_epoch_sent};
	struct addr agents[] = {agent4(), agent6()};
	v->registrar =
	    registrar_new(&ops, agents, 2, v->table, v->moves, s->verbose ? &s->log : NULL);
	struct registrar_terminal *t =
	    registrar_terminal_new((uint8_t)s->home_count, 0, sizeof(key));
	(void)snprintf(t->name, sizeof(t->name), "sim");
	t->home_count = (uint8_t)s->home_count;
	for (int i = 0; i < s->home_count; i++)
		t->homes[i] = s->homes[i];
	registrar_set_key(t, MN_HA_SPI, key, sizeof(key));
	t->lifetime_max_s = MAX_LIFE_S;
	t->connections_max = s->connections_max;
	registrar_set_policy(t, v->may, 0);
	t->peer = &v->peer;
	if (registrar_add(v->registrar, t) != 0)
		sim_fail(s, "registrar_add");
	for (int i = 0; i < LINKS; i++)
		if (i != LINK_HOME || s->home_conn)
			v->conns[i] = conn_make(s, &v->peer, v->table, i, true);
}

void server_stop(struct sim *s)
{
	struct server *v = &s->s;
	for (int i = 0; i < LINKS; i++)
		if (v->conns[i])
			registrar_conn_gone(v->registrar, v->conns[i], s->now_us);
	for (const struct binding *b = registrar_first(v->registrar); b; b = b->next)
		if (b->count)
			sim_fail(s, "a binding outlives its connections");
	registrar_free(v->registrar);
	moves_free(v->moves);
	conn_table_free(v->table);
	space_clear(&v->peer.space);
	v->registrar = NULL;
}

static const struct binding *binding_of(const struct server *v, const struct addr *home)
{
	const struct binding *b = registrar_first(v->registrar);
	while (b && !addr_equal(&b->home, home))
		b = b->next;
	return b;
}

static void server_request(struct sim *s, struct conn *c, const struct packet *p, bool hello)
{
	struct server *v = &s->s;
	struct registrar_arrival a = {.conn = c,
				      .src = p->src,
				      .dst = p->dst,
				      .hello = hello,
				      .number = p->number,
				      .now_us = s->now_us,
				      .wall_us = WALL_US + s->now_us};
	uint64_t before = registrar_counters(v->registrar)->accepted;
	const struct binding *b = binding_of(v, &p->src);
	const struct conn *was = b && b->count && b->why == BINDING_BY_DATA ? b->conns[0] : NULL;
	v->arrival = (struct place){.known = true, .link = p->link, .nat = p->nat};
	if (p->src.family == 6) {
		registrar_request6(v->registrar, &a, p->data, p->len);
	} else {
		registrar_request4(v->registrar, &a, MIP4_PORT, p->data, p->len);
		struct mip4_request m;
		if (registrar_counters(v->registrar)->accepted != before &&
		    mip4_read_request(p->data, p->len, &m) == MIP4_OK) {
			if (m.identification <= v->accepted_id)
				sim_fail(s, "an identification was accepted twice");
			v->accepted_id = m.identification;
		}
	}
	/* Its own reordering a request may undo (RFC 5944 5.7); not that of data. */
	if (was && was != c && !hello && b->count && b->conns[0] == c &&
	    v->newest[index_of(v->conns, was)] > p->number)
		sim_fail(s, "a request moved a binding back that newer data had moved");
	server_check_bindings(s);
	v->tick_us = s->now_us;
}

/* Data, or what says that the connection is used; newest: of all that came. */
static void server_used(struct sim *s, struct conn *c, const struct packet *p, bool newest)
{
	struct server *v = &s->s;
	struct registrar_data d = {.conn = c,
				   .number = p->number,
				   .said = p->kind == PACKET_USE,
				   .now_us = s->now_us,
				   .wall_us = WALL_US + s->now_us};
	if (newest && !(p->kind == PACKET_DATA && atomic_load(&c->in->active)))
		(void)registrar_data(v->registrar, &d);
	server_check_bindings(s);
	v->tick_us = s->now_us;
	if (p->kind != PACKET_USE || !registrar_is_by_data(c))
		return;
	struct packet r = {.kind = PACKET_PROBE_REPLY, .probe = p->probe};
	struct place from = {.known = true, .link = p->link, .nat = p->nat};
	server_packet_to(s, c, &r, &from, false, false);
}

static void place_set(struct server *v, const struct packet *p)
{
	v->places[p->conn] = (struct place){.known = true, .link = p->link, .nat = p->nat};
	v->conns[p->conn]->out->path = &somewhere;
}

/* Strict: what is refused is not received, a copy of it may be. */
static bool is_refused(const struct server *v, const struct conn *c, const struct packet *p,
		       bool newest)
{
	bool claims = newest && v->may & BINDING_MAY(BINDING_BY_DATA);
	return p->kind == PACKET_DATA && v->strict && !atomic_load(&c->in->active) && !claims;
}

/* The newest number that came on this connection says where its terminal is, copy or not. */
static void server_copy(struct sim *s, struct conn *c, const struct packet *p)
{
	struct server *v = &s->s;
	s->copies_dropped++;
	if (p->number <= v->newest[p->conn])
		return;
	v->newest[p->conn] = p->number;
	atomic_store(&c->in->last_us, s->now_us);
	atomic_store(&c->in->newest, p->number);
	place_set(v, p);
}

void server_receive(struct sim *s, const struct packet *p)
{
	struct server *v = &s->s;
	struct conn *c = v->registrar ? v->conns[p->conn] : NULL;
	bool hello;
	if (c && is_copy(&v->peer.space, p))
		server_copy(s, c, p);
	if (!c || !authenticate(&v->peer.space, p, &hello))
		return;
	bool newest = !hello && p->number > replay_top(&v->peer.space.window);
	bool refused = is_refused(v, c, p, newest);
	if (!hello) {
		if (!refused)
			(void)replay_mark(&v->peer.space.window, p->number);
		atomic_store(&c->in->last_us, s->now_us);
		v->number = p->number;
		if (p->number > v->top) {
			v->top = p->number;
			v->top_conn = p->conn;
		}
		if (p->number > v->newest[p->conn]) {
			v->newest[p->conn] = p->number;
			atomic_store(&c->in->newest, p->number);
			place_set(v, p);
		}
	}
	switch (p->kind) {
	case PACKET_DATA:
		if (refused)
			return;
		server_used(s, c, p, newest);
		if (!v->strict || atomic_load(&c->in->active))
			v->data_us = s->now_us;
		deliver(s, &v->delivered, p);
		return;
	case PACKET_USE:
		server_used(s, c, p, newest);
		return;
	case PACKET_REQUEST:
		server_request(s, c, p, hello);
		return;
	case PACKET_PROBE: {
		struct packet r = {.kind = PACKET_PROBE_REPLY, .probe = p->probe};
		struct place from = {.known = true, .link = p->link, .nat = p->nat};
		server_packet_to(s, c, &r, &from, false, false);
		return;
	}
	case PACKET_REPLY:
	case PACKET_PROBE_REPLY:
		return;
	}
}

void server_send_data(struct sim *s)
{
	if (!s->s.registrar)
		return;
	for (const struct binding *b = registrar_first(s->s.registrar); b; b = b->next) {
		if (!b->count)
			continue;
		struct packet p = {.kind = PACKET_DATA, .payload = ++s->payload_down};
		struct space *space = &s->s.peer.space;
		uint64_t number = atomic_load(&space->next);
		for (uint8_t k = 0; k < b->count; k++) {
			int i = index_of(s->s.conns, b->conns[k]);
			atomic_store(&space->next, number);
			server_packet_to(s, b->conns[k], &p, &s->s.places[i], false, false);
			atomic_store(&space->next, number + 1);
		}
	}
}

void server_check_bindings(struct sim *s)
{
	const struct server *v = &s->s;
	for (const struct binding *b = registrar_first(v->registrar); b; b = b->next)
		for (uint8_t i = 0; i < b->count; i++) {
			int at = index_of(v->conns, b->conns[i]);
			if (at < 0)
				sim_fail(s, "a binding names a connection that is gone");
			else if (b->conns[i]->state != CONN_ACTIVE ||
				 !atomic_load(&b->conns[i]->in->active))
				sim_fail(s, "%s is in a binding and not active", b->conns[i]->name);
		}
	for (int i = 0; i < LINKS; i++) {
		bool bound = false;
		for (const struct binding *b = registrar_first(v->registrar); b; b = b->next)
			for (uint8_t j = 0; j < b->count; j++)
				bound |= b->conns[j] == v->conns[i];
		if (v->conns[i] && !bound && v->conns[i]->state == CONN_ACTIVE)
			sim_fail(s, "%s is active and in no binding", v->conns[i]->name);
	}
}
