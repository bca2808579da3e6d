/* SPDX-License-Identifier: MIT */
/*
 * What both nodes have: connections of the model, the joints' view of the node, the packet path in
 * short (src/forward/in.c is the long one), and a turn of the loop.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "base/mem.h"
#include "world.h"

#define SPI_LEAST 256
#define SPINS_MAX 20 /* deadlines that are over already, in a row */

/* --- SAs */

static struct light_sa *light(struct sa *sa)
{
	return (struct light_sa *)(void *)sa;
}

static void path_drop(struct sa *sa)
{
	if (!sa->path_lent)
		path_free(sa->path);
	sa->path = NULL;
}

static void sa_retire(void *ctx, struct sa *sa)
{
	(void)ctx;
	path_drop(sa);
	memset(light(sa), 0xdd, sizeof(struct light_sa));
	free(light(sa));
}

static struct sa *sa_make(struct peer *peer, uint32_t spi, const uint8_t *key, size_t len)
{
	struct light_sa *l = mem_zalloc(sizeof(*l));
	l->sa.spi = spi;
	l->sa.esn = true;
	l->sa.udp = true;
	l->sa.peer = peer;
	l->sa.space = &peer->space;
	l->key = hash_bytes(0, key, len);
	return &l->sa;
}

/* No key ever seals for two SAs: their numbers would come twice. */
static void key_note(struct world *w, uint64_t key)
{
	unsigned at = (unsigned)key % KEYS_MAX;
	while (w->keys[at]) {
		if (w->keys[at] == key)
			world_fail(w, "a key seals for a second SA");
		at = (at + 1) % KEYS_MAX;
	}
	w->keys[at] = key;
	if (++w->key_count > KEYS_MAX / 2)
		world_fail(w, "more keys than the simulator counts");
}

static void pair_make(struct sim_node *n, struct peer *peer, const struct ike_child_up *up,
		      struct sa **in, struct sa **out)
{
	*in = sa_make(peer, up->spi_in, up->key_in, up->key_len);
	*out = sa_make(peer, up->spi_out, up->key_out, up->key_len);
	key_note(n->w, light(*out)->key);
	if (!up->esn || !up->udp || up->protocol != IKE_PROTO_ESP || up->transport)
		world_fail(n->w, "a child SA of another form between two Sojourns");
}

bool conn_has_spi(const struct conn *c, uint32_t spi, bool outbound)
{
	for (const struct conn_pair *p = c->pairs; p; p = p->next)
		if ((outbound ? p->out : p->in)->spi == spi)
			return true;
	return false;
}

bool node_has(const struct sim_node *n, const struct conn *c)
{
	for (const struct conn *o = conn_table_first(n->table); o; o = o->next)
		if (o == c)
			return true;
	return false;
}

void node_set_path(struct conn *c, const struct path *path)
{
	for (const struct conn_pair *p = c->pairs; p; p = p->next) {
		struct path *copy = path ? path_new() : NULL;
		if (copy)
			*copy = *path;
		path_drop(p->in);
		path_drop(p->out);
		p->in->path_lent = true;
		p->in->path = p->out->path = copy;
	}
}

/* --- the joints' view */

static struct peer *op_peer_new(void *ctx, const struct joint_peer *p)
{
	struct sim_node *n = ctx;
	struct peer *peer = peer_new(1024, p->prefixes, p->prefix_count);
	peer->strict = p->strict && !p->is_home_server;
	peer->is_home_server = p->is_home_server;
	peer->owner = p->owner;
	n->peers++;
	return peer;
}

static void op_peer_retire(void *ctx, struct peer *peer)
{
	struct sim_node *n = ctx;
	for (const struct conn *c = conn_table_first(n->table); c; c = c->next)
		if (c->peer == peer)
			world_fail(n->w, "%s outlives its peer", c->name);
	peer_free(peer);
	n->peers--;
}

static struct conn *op_conn_make(void *ctx, const struct ike_child_up *up, const char *name,
				 struct peer *peer, void *owner)
{
	struct sim_node *n = ctx;
	struct conn *c = mem_zalloc(sizeof(*c));
	(void)snprintf(c->name, sizeof(c->name), "%s", name);
	c->udp = up->udp;
	c->peer = peer;
	c->owner = owner;
	c->since_us = n->w->now_us;
	c->expires_us = USEC_NEVER;
	pair_make(n, peer, up, &c->in, &c->out);
	if (conn_table_add(n->table, c) != 0)
		world_fail(n->w, "%s does not go into the table", name);
	return c;
}

static int op_conn_rekey(void *ctx, struct conn *c, const struct ike_child_up *up)
{
	struct sim_node *n = ctx;
	struct sa *in, *out;
	pair_make(n, c->peer, up, &in, &out);
	if (conn_add_pair(n->table, c, in, out) == 0)
		return 0;
	world_fail(n->w, "%s cannot be rekeyed", c->name);
	return -EEXIST;
}

static void op_conn_switch(void *ctx, struct conn *c, uint32_t spi_in)
{
	(void)ctx;
	(void)conn_use_pair(c, spi_in);
}

static void op_conn_drop(void *ctx, struct conn *c, uint32_t spi_in)
{
	struct sim_node *n = ctx;
	struct conn_pair *p;
	if (!conn_drain_pair(c, spi_in, n->w->now_us))
		world_fail(n->w, "%s has no such pair", c->name);
	while ((p = conn_take_drained(n->table, c, n->w->now_us)))
		conn_pair_retire(n->table, p);
}

static void op_conn_remove(void *ctx, struct conn *c)
{
	struct sim_node *n = ctx;
	conn_table_remove(n->table, c);
}

static void op_conn_path(void *ctx, struct conn *c, const struct ike_path *p)
{
	struct path path = {0};
	(void)ctx;
	if (p) {
		path.local = p->local;
		path.remote = p->remote;
	}
	node_set_path(c, p ? &path : NULL);
}

struct joint_ops node_joint(struct sim_node *n)
{
	return (struct joint_ops){.ctx = n,
				  .peer_new = op_peer_new,
				  .peer_retire = op_peer_retire,
				  .conn_make = op_conn_make,
				  .conn_rekey = op_conn_rekey,
				  .conn_switch = op_conn_switch,
				  .conn_drop = op_conn_drop,
				  .conn_remove = op_conn_remove,
				  .conn_path = op_conn_path};
}

/* --- the engine */

static void op_random(void *ctx, void *out, size_t len)
{
	struct sim_node *n = ctx;
	uint8_t *p = out;
	for (size_t i = 0; i < len; i++)
		p[i] = (uint8_t)(world_random(n->w) >> 32);
}

static uint64_t op_wall_us(void *ctx)
{
	struct sim_node *n = ctx;
	int64_t off = n->server ? 0 : n->w->cfg.clock_us;
	return (uint64_t)((int64_t)(WALL_US + n->w->now_us) + off);
}

static uint32_t op_new_spi(void *ctx, uint8_t protocol)
{
	struct sim_node *n = ctx;
	uint32_t spi = 0;
	(void)protocol;
	while (spi < SPI_LEAST || conn_find_spi(n->table, spi))
		spi = (uint32_t)world_random(n->w);
	return spi;
}

/* Of an IKE SA that is neither being closed nor the loser of a collision of rekeys; nor an answer,
 * which goes back the way its request came even when that was about what used this way. */
static bool is_living_request(const struct sim_node *n, const struct datagram *d)
{
	uint8_t i[IKE_SPI_LEN], r[IKE_SPI_LEN];
	if (d->len < IKE_HEADER_LEN || d->bytes[19] & IKE_FLAG_RESPONSE)
		return false;
	for (struct ike_sa *sa = ike_sa_first(n->engine); sa; sa = ike_sa_next(sa)) {
		ike_sa_spis(sa, i, r);
		if (memcmp(i, d->bytes, sizeof(i)) == 0)
			return ike_sa_state(sa) == IKE_SA_ESTABLISHED ||
			       ike_sa_state(sa) == IKE_SA_CONNECTING;
	}
	return false;
}

static void closed_socket(struct world *w, const struct ike_path *path)
{
	char local[ENDPOINT_TEXT_MAX];
	world_fail(w, "a message leaves by a socket that is closed: %u, %s", path->sock,
		   endpoint_format(&path->local, local));
}

static void op_send(void *ctx, const struct ike_path *path, const uint8_t *msg, size_t len)
{
	struct sim_node *n = ctx;
	struct world *w = n->w;
	struct datagram *d = datagram_new(msg, len);
	d->up = !n->server;
	d->src = path->local;
	d->dst = path->remote;
	d->link = -1;
	n->counts.sent++;
	if (!n->server) {
		const struct sim_outlet *o =
		    path->sock < OUTLETS ? &w->t.outlets[path->sock] : NULL;
		if (!o || !o->users || !o->ready || !addr_equal(&o->addr, &path->local.addr) ||
		    o->plain != !path->natt) {
			if (is_living_request(n, d))
				closed_socket(w, path);
			free(d);
			return;
		}
		d->link = (int)o->ifindex - 1;
	}
	net_send(w, d);
}

void node_begin(struct sim_node *n, const struct ike_config *ike, const struct ike_ops *role,
		const struct log *log)
{
	struct ike_ops ops = *role;
	struct ike_config cfg = *ike;
	cfg.half_open_cookie = n->w->cfg.half_open_cookie;
	cfg.fragment_len = n->w->cfg.fragment_len;
	ops.ctx = n;
	ops.send = op_send;
	ops.random = op_random;
	ops.wall_us = op_wall_us;
	ops.new_spi = op_new_spi;
	n->engine = ike_new(&cfg, &ops, log);
}

void node_end(struct sim_node *n)
{
	const struct ike_counters *ic = ike_counters(n->engine);
	n->w->ike.established += ic->established;
	n->w->ike.children += ic->children;
	n->w->ike.child_rekeys += ic->child_rekeys;
	n->w->ike.ike_rekeys += ic->ike_rekeys;
	n->w->ike.collisions += ic->collisions;
	ike_free(n->engine);
	n->engine = NULL;
	for (const struct conn *c = conn_table_first(n->table); c; c = c->next)
		world_fail(n->w, "connection %s of the %s was never removed", c->name,
			   n->server ? "server" : "terminal");
	conn_table_free(n->table);
	moves_free(n->moves);
	n->table = NULL;
	n->moves = NULL;
	n->alive = false;
	n->tick_us = USEC_NEVER;
}

void node_start(struct sim_node *n)
{
	n->life++;
	n->alive = true;
	n->tick_us = n->w->now_us;
	n->data_us = 0;
	n->soft_count = 0;
	n->rekey_packets = n->w->cfg.rekey_packets;
	n->table = conn_table_new(NULL, NULL);
	conn_table_set_retire(n->table, sa_retire, NULL);
	n->moves = moves_new();
}

void node_ike_arrives(struct sim_node *n, const struct ike_path *path, struct datagram *d)
{
	n->counts.received++;
	if (d->len == 1 && d->bytes[0] == 0xff)
		return; /* a keepalive ends at the socket */
	ike_datagram(n->engine, path, d->bytes, d->len, n->w->now_us);
	n->tick_us = n->w->now_us;
}

/* --- the packet path */

static uint64_t tag_of(uint64_t key, uint64_t number, const struct esp *e)
{
	uint64_t t = hash_bytes(key ^ number, e->payload, e->len);
	t = t * 31 + e->kind;
	t = t * 31 + e->probe;
	t = hash_bytes(t, e->src.b, sizeof(e->src.b));
	return hash_bytes(t, e->dst.b, sizeof(e->dst.b));
}

/* As the packet path tells control: it is heard of in the next turn of the loop. */
static void soft_limit(struct sim_node *n, const struct conn *c, struct sa *sa)
{
	uint64_t packets = atomic_fetch_add(&sa->packets, 1) + 1;
	if (!n->rekey_packets || packets < n->rekey_packets || atomic_load(&sa->soft_told) ||
	    (sa != c->in && sa != c->out) || n->soft_count == ARRAY_LEN(n->soft))
		return;
	atomic_store(&sa->soft_told, true);
	n->soft[n->soft_count++] = c->in->spi;
	n->tick_us = n->w->now_us;
}

static void soft_limits_tell(struct sim_node *n)
{
	struct world *w = n->w;
	for (unsigned i = 0; i < n->soft_count; i++) {
		struct conn *c = conn_find_spi(n->table, n->soft[i]);
		if (c && n->server)
			steward_rekey(w->s.steward, c, w->now_us);
		else if (c)
			keeper_rekey(w->t.keeper, c, w->now_us);
	}
	n->soft_count = 0;
}

void node_send_esp(struct sim_node *n, struct conn *c, struct esp *e, const struct path *via)
{
	struct world *w = n->w;
	if (!node_has(n, c)) {
		world_fail(w, "a packet of the %s is for a connection that is gone",
			   n->server ? "server" : "terminal");
		return;
	}
	struct light_sa *out = light(c->out);
	const struct path *path = via ? via : out->sa.path;
	if (!path)
		return;
	uint64_t number = atomic_fetch_add(&out->sa.space->next, 1);
	if (number <= out->last)
		world_fail(w, "a key with a number twice");
	out->last = number;
	struct datagram *d = datagram_new(NULL, 0);
	d->up = !n->server;
	d->is_esp = true;
	d->src = path->local;
	d->dst = path->remote;
	d->link = n->server ? -1 : terminal_link_of(w, c);
	d->esp = *e;
	d->esp.spi = out->sa.spi;
	d->esp.lo = (uint32_t)number;
	d->esp.tag = tag_of(out->key, number, e);
	atomic_store(&out->sa.last_us, w->now_us);
	if (e->kind == ESP_DATA) {
		n->counts.data_sent++;
		if (!atomic_load(&out->sa.first_us))
			atomic_store(&out->sa.first_us, w->now_us);
	}
	net_send(w, d);
	soft_limit(n, c, &out->sa);
}

void node_send_copies(struct sim_node *n, struct conn *const *conns, uint8_t count)
{
	struct esp e = {.kind = ESP_DATA, .probe = ++n->w->data_made};
	uint64_t number = 0;
	bool sent = false;
	for (uint8_t i = 0; i < count; i++) {
		struct space *space = conns[i]->out->space;
		if (!conns[i]->out->path)
			continue;
		if (sent)
			atomic_store(&space->next, number);
		number = atomic_load(&space->next);
		node_send_esp(n, conns[i], &e, NULL);
		n->counts.data_sent -= sent;
		sent = true;
	}
}

void node_delivered(struct sim_node *n, const struct esp *e)
{
	struct delivered *d = n->server ? &n->w->delivered_up : &n->w->delivered_down;
	for (; d->newest < e->probe; d->newest++)
		d->seen[(d->newest + 1) % DELIVERED / 64] &= ~(1ull << (d->newest + 1) % 64);
	uint64_t *word = &d->seen[e->probe % DELIVERED / 64];
	if (*word & 1ull << e->probe % 64)
		world_fail(n->w, "data was delivered twice to the %s",
			   n->server ? "server" : "terminal");
	*word |= 1ull << e->probe % 64;
	n->data_us = n->w->now_us;
	n->counts.data_received++;
}

/* A copy of what came elsewhere says that its connection works, and where it is; once. */
static void copy_heard(struct sim_node *n, struct conn *c, struct sa *in, const struct datagram *d,
		       uint64_t number)
{
	if (number <= atomic_load(&in->newest) ||
	    tag_of(light(in)->key, number, &d->esp) != d->esp.tag)
		return;
	n->w->copies++;
	atomic_store(&in->newest, number);
	atomic_store(&in->last_us, n->w->now_us);
	if (n->server)
		server_copy(n->w, c, in, d);
}

/* As the packet path: what policy refuses is not received. */
static bool is_refused(const struct sim_node *n, const struct conn *c, const struct sa *in,
		       const struct esp *e)
{
	return n->server && e->kind == ESP_DATA && c->peer->strict && !atomic_load(&in->active);
}

static struct sa *sa_in_of(const struct conn *c, uint32_t spi)
{
	for (const struct conn_pair *p = c->pairs; p; p = p->next)
		if (p->in->spi == spi)
			return p->in;
	return NULL;
}

void node_receive(struct sim_node *n, struct datagram *d)
{
	struct world *w = n->w;
	struct conn *c = conn_find_spi(n->table, d->esp.spi);
	if (!c) {
		n->counts.unknown_spi++;
		/* When nothing is lost, delayed or restarted no data comes on what was ended.
		 * (Probes go by ways of their own, which may be slower than the IKE SA's.) */
		if (w->settled && d->origin == GENUINE && d->esp.kind == ESP_DATA)
			world_fail(w, "data came to the %s on an SA that is not there",
				   n->server ? "server" : "terminal");
		return;
	}
	struct sa *in = sa_in_of(c, d->esp.spi);
	struct replay *window = &in->space->window;
	uint64_t number = replay_infer(window, d->esp.lo);
	/* (What comes for an SA that is not there yet was not heard.) */
	if (d->origin == GENUINE || d->origin == REPEATED)
		w->heard[d->lost_index] = 1;
	if (replay_check(window, number) != REPLAY_NEW) {
		n->counts.replayed++;
		if (replay_check(window, number) == REPLAY_SEEN)
			copy_heard(n, c, in, d, number);
		return;
	}
	if (tag_of(light(in)->key, number, &d->esp) != d->esp.tag) {
		n->counts.unauthentic++;
		return;
	}
	bool newest = number > atomic_load(&in->newest);
	if (!is_refused(n, c, in, &d->esp)) {
		(void)replay_mark(window, number);
	} else {
		/* Sent once more when its connection is active it is taken, as one that was held
		 * back for so long: not twice. */
		if (d->origin == GENUINE || d->origin == REPEATED)
			w->heard[d->lost_index] = 0;
		if (!newest)
			return;
	}
	if (newest)
		atomic_store(&in->newest, number);
	atomic_store(&in->last_us, w->now_us);
	if (d->esp.kind == ESP_DATA && !atomic_load(&in->first_us))
		atomic_store(&in->first_us, w->now_us);
	if (n->server)
		server_esp(w, c, in, d, number, newest);
	else
		terminal_esp(w, c, &d->esp, number);
	if (node_has(n, c) && sa_in_of(c, d->esp.spi) == in)
		soft_limit(n, c, in);
}

/* --- a turn of the loop */

void node_turn(struct sim_node *n)
{
	struct world *w = n->w;
	soft_limits_tell(n);
	usec_t next = n->server ? server_tick(w) : terminal_tick(w);
	usec_t ike = ike_tick(n->engine, w->now_us);
	next = ike < next ? ike : next;
	n->spins = next > w->now_us ? 0 : n->spins + 1;
	if (n->spins > SPINS_MAX)
		world_fail(w, "the %s does not come to rest", n->server ? "server" : "terminal");
	n->tick_us = next > w->now_us ? next : w->now_us + USEC_PER_MS;
}
