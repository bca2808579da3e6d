/* SPDX-License-Identifier: MIT */
/*
 * The home server as the daemon makes it for terminals that set their connections up by IKEv2:
 * the registrar's terminal, the packet path's peer, the connection with both SAs, its path, the
 * binding, and what is published of that.  The IKE SA itself is not here: `./run bench ike` has
 * what a terminal costs with it.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include "base/mem.h"
#include "daemon/joint.h"
#include "scale.h"

static const struct alg *aes_gcm;

/* --- what follows from a number */

static uint64_t mix(uint64_t v)
{
	v = (v ^ v >> 30) * 0xbf58476d1ce4e5b9u;
	v = (v ^ v >> 27) * 0x94d049bb133111ebu;
	return v ^ v >> 31;
}

/* One to one. */
static uint32_t mix32(uint32_t v)
{
	v = (v ^ v >> 16) * 0x7feb352du;
	v = (v ^ v >> 15) * 0x846ca68bu;
	return v ^ v >> 16;
}

uint32_t fleet_home(uint32_t id)
{
	return SCALE_HOME_NET + 256 + id;
}

uint32_t fleet_care_of(uint32_t id, unsigned k)
{
	return (k ? 0x64400000u : 0xac100000u) + id; /* 100.64/10, 172.16/12 */
}

uint32_t fleet_spi_in(uint32_t id, unsigned k)
{
	return mix32(id * SCALE_CONNS + k + 1);
}

void fleet_key(uint32_t id, unsigned k, bool in, uint8_t key[SCALE_KEY_LEN])
{
	uint64_t words[3], seed = ((uint64_t)id * SCALE_CONNS + k) * 2 + in;
	for (uint64_t i = 0; i < ARRAY_LEN(words); i++)
		words[i] = mix(seed * ARRAY_LEN(words) + i + 1);
	memcpy(key, words, SCALE_KEY_LEN);
}

struct addr addr4(uint32_t host_order)
{
	const uint8_t b[] = {(uint8_t)(host_order >> 24), (uint8_t)(host_order >> 16),
			     (uint8_t)(host_order >> 8), (uint8_t)host_order};
	return addr_from_bytes(4, b);
}

/* --- what the registrar calls */

static void on_reply4(void *ctx, struct conn *conn, const struct addr *src, const struct addr *dst,
		      uint16_t port, const uint8_t *msg, size_t len, bool hello)
{
	struct fleet *f = ctx;
	struct endpoint from = {.addr = *src, .port = 434}, to = {.addr = *dst, .port = port};
	struct node_sending how = {.hello_epoch = hello ? node_new_epoch() : 0};
	node_send_udp(&f->node, conn, &from, &to, msg, len, &how);
}

static void on_binding(void *ctx, const struct binding *b)
{
	struct fleet *f = ctx;
	home_routes_publish(f->routes, b);
}

static void on_epoch(void *ctx, struct conn *conn, uint64_t number)
{
	struct fleet *f = ctx;
	node_epoch_accept(&f->node, conn, number);
}

static uint32_t on_epoch_sent(void *ctx, struct conn *conn)
{
	(void)ctx;
	return (uint32_t)(atomic_load(&conn->out->space->next) >> 32);
}

/* --- making it */

static void count_warning(void *ctx, enum log_level level, const char *line)
{
	struct fleet *f = ctx;
	if (f->warnings++ == 0)
		fprintf(stderr, "%s\n", line);
	if (level == LOG_LEVEL_ERROR)
		die("%s", line);
}

static void retire(void *ctx, struct sa *sa)
{
	struct fleet *f = ctx;
	fwd_retire(f->node.fwd, sa);
}

static void out_changed(struct node *n, struct conn *c)
{
	(void)n;
	(void)c;
}

static const struct role role = {.out_changed = out_changed};

static void fleet_config(struct fleet *f)
{
	snprintf(f->pool.name, sizeof f->pool.name, "fleet");
	f->pool.range_count = 1;
	f->pool.ranges[0].from = addr4(SCALE_HOME_NET);
	f->pool.ranges[0].to = addr4(SCALE_HOME_NET | 0xffffff);
	f->cfg.role = ROLE_HOME_SERVER;
	f->cfg.mtu = SCALE_MTU;
	f->cfg.pools = &f->pool;
	f->log = (struct log){.level = LOG_LEVEL_WARN, .write = count_warning, .ctx = f};
}

static void *room(size_t count, size_t size)
{
	void *p = mem_zalloc(count * size);
	memset(p, 0xff, count * size);
	memset(p, 0, count * size);
	return p;
}

void fleet_init(struct fleet *f, uint32_t count, const struct fwd_io *io)
{
	struct err err = {""};
	struct addr agent = addr4(SCALE_AGENT);
	aes_gcm = alg_find("aes128-gcm");
	fleet_config(f);
	f->count = count;
	f->terminals = room(count, sizeof *f->terminals);
	f->conns = room(count, sizeof *f->conns);
	f->active = room(count, sizeof *f->active);
	f->sent = room(count, sizeof *f->sent);
	f->moves = moves_new();
	f->node = (struct node){.cfg = &f->cfg,
				.log = &f->log,
				.role = &role,
				.sadb = sadb_new(),
				.table = conn_table_new(NULL, NULL)};
	conn_table_set_retire(f->node.table, retire, f);
	struct fwd_config fc = {.sadb = f->node.sadb,
				.io = *io,
				.df = FWD_DF_SET,
				.offload = true,
				.icmp4 = agent,
				.own = {agent},
				.own_count = 1};
	f->node.fwd = fwd_new(&fc, &err);
	if (!f->node.fwd)
		die("%s", err.text);
	struct registrar_ops ops = {.ctx = f,
				    .send_reply4 = on_reply4,
				    .binding_changed = on_binding,
				    .epoch_accepted = on_epoch,
				    .epoch_sent = on_epoch_sent};
	f->routes = home_routes_new(&f->node);
	f->registrar = registrar_new(&ops, &agent, 1, f->node.table, f->moves, &f->log);
}

static struct registrar_terminal *terminal_new(struct fleet *f, uint32_t id)
{
	struct registrar_terminal *rt = registrar_terminal_new(1, 0, JOINT_KEY_LEN);
	uint8_t key[JOINT_KEY_LEN] = {0};
	snprintf(rt->name, sizeof rt->name, "t%07" PRIu32 "@fleet.test", id);
	rt->home_count = 1;
	rt->homes[0] = addr4(fleet_home(id));
	fleet_key(id, 0, true, key);
	registrar_set_key(rt, JOINT_KEY_SPI, key, sizeof key);
	rt->lifetime_max_s = SCALE_LIFETIME_S;
	rt->connections_max = 1;
	if (registrar_add(f->registrar, rt) < 0)
		die("terminal %" PRIu32 ": its home address is taken", id);
	return rt;
}

static struct conn *conn_new(struct fleet *f, uint32_t id, unsigned k)
{
	struct err err = {""};
	struct registrar_terminal *rt = f->terminals[id];
	uint8_t key_in[SCALE_KEY_LEN], key_out[SCALE_KEY_LEN];
	fleet_key(id, k, true, key_in);
	fleet_key(id, k, false, key_out);
	struct ike_child_up up = {.protocol = IKE_PROTO_ESP,
				  .spi_in = fleet_spi_in(id, k),
				  .spi_out = mix32(fleet_spi_in(id, k)),
				  .encr = aes_gcm,
				  .esn = true,
				  .udp = true,
				  .sojourn = true,
				  .key_in = key_in,
				  .key_out = key_out,
				  .key_len = SCALE_KEY_LEN};
	struct node_made made = {.up = &up,
				 .replay_packets = SCALE_WINDOW,
				 .name = k ? "cell" : "wifi",
				 .server = {addr4(SCALE_SERVER), SCALE_PORT},
				 .peer = rt->peer,
				 .owner = rt};
	struct conn *c = node_conn_new(&f->node, &made, &err);
	if (!c)
		die("%s", err.text);
	return c;
}

void fleet_add_conn(struct fleet *f, uint32_t id, unsigned k)
{
	struct conn *c = conn_new(f, id, k);
	struct path path = {.local = {addr4(SCALE_SERVER), SCALE_PORT},
			    .remote = {addr4(fleet_care_of(id, k)), SCALE_PORT},
			    .sock = SCALE_SOCK,
			    .mtu = SCALE_MTU};
	conn_set_pair(f->node.table, c, &path.remote, &path.local);
	node_conn_set_path(c, &path);
	conn_set_state(f->node.table, c, CONN_READY, clock_now_us());
	f->conns[id][k] = c;
}

void fleet_add(struct fleet *f, uint32_t id)
{
	struct registrar_terminal *rt = f->terminals[id] = terminal_new(f, id);
	struct node_peer_config pc = {
	    .homes = rt->homes, .home_count = rt->home_count, .replay_packets = SCALE_WINDOW};
	registrar_set_peer(rt, node_peer_make(&pc));
	fleet_add_conn(f, id, 0);
	struct registrar_setup setup = {
	    .conn = f->conns[id][0], .now_us = clock_now_us(), .wall_us = clock_wall_us()};
	uint16_t granted_s;
	if (registrar_set_up(f->registrar, &setup, &granted_s) != 0)
		die("terminal %" PRIu32 ": not registered", id);
	f->active[id] = 0;
	f->sent[id] = 0;
}

static void conn_remove(struct fleet *f, struct conn *c)
{
	home_routes_at_once(f->routes, true);
	registrar_conn_gone(f->registrar, c, clock_now_us());
	node_conn_remove(&f->node, c);
	home_routes_at_once(f->routes, false);
}

void fleet_remove(struct fleet *f, uint32_t id)
{
	struct registrar_terminal *rt = f->terminals[id];
	struct peer *peer = rt->peer;
	for (unsigned k = 0; k < SCALE_CONNS; k++)
		if (f->conns[id][k])
			conn_remove(f, f->conns[id][k]);
	memset(f->conns[id], 0, sizeof f->conns[id]);
	home_routes_at_once(f->routes, true);
	home_routes_settle(f->routes, rt);
	registrar_remove(f->registrar, rt);
	home_routes_at_once(f->routes, false);
	node_peer_retire(&f->node, peer);
	f->terminals[id] = NULL;
}

/* The packet thread has ended. */
void fleet_free(struct fleet *f)
{
	for (uint32_t id = 0; id < f->count; id++) {
		if (f->terminals[id])
			fleet_remove(f, id);
		fwd_run_commands(fwd_worker(f->node.fwd, 0), clock_now_us());
	}
	registrar_free(f->registrar);
	home_routes_free(f->routes);
	conn_table_free(f->node.table);
	fwd_free(f->node.fwd);
	rcu_barrier();
	sadb_free(f->node.sadb);
	moves_free(f->moves);
	free(f->terminals);
	free(f->conns);
	free(f->active);
	free(f->sent);
}
