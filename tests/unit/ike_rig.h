/* SPDX-License-Identifier: MIT */
/*
 * Two IKE engines in one process, in virtual time, with a wire between them.
 *
 *     a (192.0.2.1, the initiator as a rule)  <--- wire --->  b (198.51.100.1)
 *
 * The wire delivers after WIRE_US.  A hook may look at, change, drop or double each datagram; a NAT
 * may stand before a.  Everything either engine calls is written down, and rig_check compares both
 * sides: every child SA that is up has its other half with the same keys.
 *
 * A ladder says what went over the wire, "a:INIT b:INIT' a:AUTH b:AUTH'": who sent it, the
 * exchange, ' for a response, * for a fragment, ! for lost.  So a test reads as the RFC's figures.
 */
#ifndef IKE_RIG_H
#define IKE_RIG_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>
#include "base/mem.h"
#include "ike/half.h"

#define MS	     1000u
#define SEC	     1000000u
#define WIRE_US	     (10 * MS)
#define RIG_CHILDREN 256
#define RIG_WALL     1700000000000000ull

struct rig;

struct rig_child {		 /* as child_up told it */
	struct ike_child *child; /* NULL: gone */
	struct ike_sa *sa;
	struct ike_child *replaces;
	uint8_t protocol;
	uint32_t spi_in, spi_out;
	uint8_t key_in[128], key_out[128];
	size_t key_len;
	bool initiator, transport, udp, switched, had_connection;
	struct ike_ts_list local, remote;
	struct ike_sj_connection connection;
	struct ike_sj_registered registered;
	bool has_registered;
};

struct rig_node {
	struct rig *rig;
	char name; /* 'a', 'b' */
	struct ike *e;
	struct ike_config cfg;
	struct ike_ops ops;
	struct ike_peer peer;
	struct ike_sa *sa; /* the latest that came up, or fresh by a rekey */
	uint32_t next_spi;
	struct rig_child children[RIG_CHILDREN];
	unsigned child_count; /* ever up */
	unsigned ups, downs, rekeys, moves, switches, child_downs, failures;
	uint16_t down_notify, fail_notify;
	char down_why[128];
	struct ike_path moved;
	uint16_t refuse_child; /* error notify for child_up */
	struct ike_cp assign_reply, assigned;
	char keys[1024];
	usec_t heard_us;
	unsigned keepalives;
};

struct rig_datagram {
	struct rig_datagram *next;
	bool from_a;
	struct endpoint src, dst;
	usec_t at_us;
	size_t len;
	uint8_t bytes[];
};

struct rig {
	struct rig_node a, b;
	usec_t now_us;
	uint64_t rng;
	struct rig_datagram *wire; /* by arrival */
	/* Return false to lose it. Bytes may be changed in place (not made longer). */
	bool (*hook)(struct rig *g, struct rig_datagram *d);
	void *hook_ctx;
	unsigned loss_percent, double_percent;
	usec_t jitter_us;	 /* more than WIRE_US reorders */
	unsigned lose_a, lose_b; /* the next so many of a's, of b's */
	bool nat;		 /* before a */
	uint16_t nat_port;	 /* added to a's ports */
	struct addr nat_addr;
	char ladder[4096];
	unsigned sent;
	struct log log;
	bool loud;
	char lines[16384]; /* of the log */
};

static inline struct addr ip(const char *text)
{
	struct addr a;
	assert_int_equal(addr_parse(text, &a), 0);
	return a;
}

static inline uint32_t rig_random(struct rig *g)
{
	g->rng ^= g->rng << 13;
	g->rng ^= g->rng >> 7;
	g->rng ^= g->rng << 17;
	return (uint32_t)(g->rng >> 16);
}

static inline void rig_note(struct rig *g, char who, const uint8_t *msg, size_t len, bool lost)
{
	static const char *const names[] = {"INIT", "AUTH", "CHILD", "INFO"};
	size_t n = strlen(g->ladder);
	if (len < IKE_HEADER_LEN || n + 16 > sizeof(g->ladder))
		return;
	unsigned x = msg[18] - 34u;
	snprintf(g->ladder + n, sizeof(g->ladder) - n, "%s%c:%s%s%s%s", n ? " " : "", who,
		 x < 4 ? names[x] : "?", msg[16] == IKE_PAYLOAD_SKF ? "*" : "",
		 msg[19] & IKE_FLAG_RESPONSE ? "'" : "", lost ? "!" : "");
}

/* --- the wire */

static inline void rig_put(struct rig *g, struct rig_datagram *d)
{
	struct rig_datagram **at = &g->wire;
	while (*at && (*at)->at_us <= d->at_us)
		at = &(*at)->next;
	d->next = *at;
	*at = d;
}

static inline struct rig_datagram *rig_datagram_of(struct rig *g, bool from_a,
						   const struct ike_path *path, const uint8_t *msg,
						   size_t len)
{
	struct rig_datagram *d = mem_zalloc(sizeof(*d) + len);
	d->from_a = from_a;
	d->src = path->local;
	d->dst = path->remote;
	if (from_a && g->nat) {
		d->src.addr = g->nat_addr;
		d->src.port = (uint16_t)(d->src.port + g->nat_port);
	}
	d->at_us = g->now_us + WIRE_US + (g->jitter_us ? rig_random(g) % g->jitter_us : 0);
	d->len = len;
	memcpy(d->bytes, msg, len);
	return d;
}

static inline void rig_on_send(void *ctx, const struct ike_path *path, const uint8_t *msg,
			       size_t len)
{
	struct rig_node *n = ctx;
	struct rig *g = n->rig;
	bool from_a = n == &g->a;
	if (len == 1) {
		assert_true(path->natt && msg[0] == 0xff);
		n->keepalives++;
		return;
	}
	assert_true(len <= n->cfg.fragment_len || msg[16] != IKE_PAYLOAD_SKF);
	struct rig_datagram *d = rig_datagram_of(g, from_a, path, msg, len);
	unsigned *lose = from_a ? &g->lose_a : &g->lose_b;
	bool lost = *lose > 0 || rig_random(g) % 100 < g->loss_percent;
	if (*lose)
		--*lose;
	g->sent++;
	if (!lost && g->hook && !g->hook(g, d))
		lost = true;
	rig_note(g, n->name, msg, len, lost);
	if (lost) {
		free(d);
		return;
	}
	if (rig_random(g) % 100 < g->double_percent) {
		struct rig_datagram *twin = rig_datagram_of(g, from_a, path, d->bytes, d->len);
		rig_put(g, twin);
	}
	rig_put(g, d);
}

static inline void rig_deliver(struct rig *g, struct rig_datagram *d)
{
	struct ike_path path = {.local = d->dst, .remote = d->src};
	struct rig_node *to = d->from_a ? &g->b : &g->a;
	if (!d->from_a && g->nat) {
		path.local.port = (uint16_t)(path.local.port - g->nat_port);
		/* A NAT that was bound anew knows nothing of the old port. */
		if (!addr_equal(&d->dst.addr, &g->nat_addr) ||
		    (path.local.port != 500 && path.local.port != 4500)) {
			free(d);
			return;
		}
		path.local.addr = ip("192.0.2.1");
	}
	path.natt = path.local.port == 4500;
	path.sock = path.natt;
	uint8_t *copy = mem_zalloc(d->len); /* of exact length, for the sanitizer */
	memcpy(copy, d->bytes, d->len);
	ike_datagram(to->e, &path, copy, d->len, g->now_us);
	free(copy);
	free(d);
}

/* Time goes on by `span`, or (span 0) until nothing is on the wire. */
static inline void rig_run(struct rig *g, usec_t span)
{
	usec_t end = g->now_us + span;
	for (unsigned steps = 0; steps < 200000; steps++) {
		usec_t next = g->wire ? g->wire->at_us : USEC_NEVER;
		if (!span && !g->wire)
			return;
		usec_t a = ike_tick(g->a.e, g->now_us), b = ike_tick(g->b.e, g->now_us);
		assert_true(a > g->now_us && b > g->now_us);
		if (g->wire)
			next = g->wire->at_us;
		next = a < next ? a : next;
		next = b < next ? b : next;
		if (span && next > end) {
			g->now_us = end;
			return;
		}
		if (next > g->now_us)
			g->now_us = next;
		if (g->wire && g->wire->at_us <= g->now_us) {
			struct rig_datagram *d = g->wire;
			g->wire = d->next;
			rig_deliver(g, d);
		}
	}
	fail_msg("the engines never come to rest");
}

static inline void rig_settle(struct rig *g)
{
	rig_run(g, 0);
}

static inline void rig_clear_wire(struct rig *g)
{
	while (g->wire) {
		struct rig_datagram *d = g->wire;
		g->wire = d->next;
		free(d);
	}
}

/* --- what the engines call */

static inline void rig_on_random(void *ctx, void *out, size_t len)
{
	struct rig_node *n = ctx;
	uint8_t *p = out;
	for (size_t i = 0; i < len; i++)
		p[i] = (uint8_t)rig_random(n->rig);
}

static inline uint64_t rig_on_wall(void *ctx)
{
	struct rig_node *n = ctx;
	return RIG_WALL + n->rig->now_us;
}

static inline const struct ike_peer *rig_on_find_peer(void *ctx, const struct identity *idi,
						      const struct identity *idr, bool eap,
						      const struct ike_path *path)
{
	struct rig_node *n = ctx;
	(void)idr;
	(void)path;
	if (eap != (n->peer.remote_auth == IKE_BY_EAP))
		return NULL;
	return identity_matches(n->peer.remote_id, idi) ? &n->peer : NULL;
}

static inline const struct suite_list *rig_on_proposals(void *ctx, const struct ike_path *path)
{
	struct rig_node *n = ctx;
	(void)path;
	return &n->peer.ike;
}

static inline uint16_t rig_on_assign(void *ctx, struct ike_sa *sa, const struct ike_cp *request,
				     struct ike_cp *reply)
{
	struct rig_node *n = ctx;
	(void)sa;
	(void)request;
	*reply = n->assign_reply;
	return reply->count ? 0 : IKE_N_INTERNAL_ADDRESS_FAILURE;
}

static inline void rig_on_assigned(void *ctx, struct ike_sa *sa, const struct ike_cp *reply)
{
	struct rig_node *n = ctx;
	(void)sa;
	n->assigned = *reply;
}

static inline void rig_on_sa_up(void *ctx, struct ike_sa *sa)
{
	struct rig_node *n = ctx;
	n->ups++;
	n->sa = sa;
}

static inline void rig_on_sa_down(void *ctx, struct ike_sa *sa, uint16_t notify, const char *why)
{
	struct rig_node *n = ctx;
	n->downs++;
	n->down_notify = notify;
	snprintf(n->down_why, sizeof(n->down_why), "%s", why);
	for (unsigned i = 0; i < n->child_count; i++)
		assert_true(!n->children[i].child || n->children[i].sa != sa);
	if (n->sa == sa)
		n->sa = NULL;
}

static inline void rig_on_sa_rekeyed(void *ctx, struct ike_sa *old, struct ike_sa *fresh)
{
	struct rig_node *n = ctx;
	n->rekeys++;
	if (n->sa == old)
		n->sa = fresh;
	for (unsigned i = 0; i < n->child_count; i++)
		if (n->children[i].sa == old)
			n->children[i].sa = fresh;
}

static inline void rig_on_sa_moved(void *ctx, struct ike_sa *sa, const struct ike_path *path)
{
	struct rig_node *n = ctx;
	for (unsigned i = 0; i < n->child_count; i++)
		if (n->children[i].sa == sa)
			n->children[i].udp = ike_sa_is_udp(sa);
	n->moves++;
	n->moved = *path;
}

static inline uint32_t rig_on_new_spi(void *ctx, uint8_t protocol)
{
	struct rig_node *n = ctx;
	(void)protocol;
	return n->next_spi++;
}

static inline uint16_t rig_on_child_up(void *ctx, struct ike_child_up *up)
{
	struct rig_node *n = ctx;
	assert_true(n->child_count < RIG_CHILDREN);
	assert_true(up->key_len <= sizeof(n->children[0].key_in));
	if (n->refuse_child)
		return n->refuse_child;
	struct rig_child *c = &n->children[n->child_count++];
	*c = (struct rig_child){.child = up->child,
				.sa = up->sa,
				.replaces = up->replaces,
				.protocol = up->protocol,
				.spi_in = up->spi_in,
				.spi_out = up->spi_out,
				.key_len = up->key_len,
				.initiator = up->initiator,
				.transport = up->transport,
				.udp = up->udp,
				.local = *up->local,
				.remote = *up->remote};
	memcpy(c->key_in, up->key_in, up->key_len);
	memcpy(c->key_out, up->key_out, up->key_len);
	/* Outbound at once, unless it replaces one and the other side began it. */
	c->switched = !up->replaces || up->initiator;
	if (up->connection) {
		c->had_connection = true;
		c->connection = *up->connection;
	}
	if (up->registered && !up->initiator && up->connection && up->connection->reg)
		*up->registered =
		    (struct ike_sj_registered){.lifetime_s = up->connection->lifetime_s, .time = 7};
	if (up->registered) {
		c->has_registered = true;
		c->registered = *up->registered;
	}
	ike_child_set_user(up->child, c);
	return 0;
}

static inline void rig_on_child_switch(void *ctx, struct ike_child *child)
{
	struct rig_node *n = ctx;
	struct rig_child *c = ike_child_user(child);
	assert_non_null(c);
	assert_ptr_equal(c->child, child);
	assert_false(c->switched);
	c->switched = true;
	n->switches++;
}

static inline void rig_on_child_down(void *ctx, struct ike_child *child, const char *why)
{
	struct rig_node *n = ctx;
	struct rig_child *c = ike_child_user(child);
	assert_non_null(why);
	assert_non_null(c);
	assert_ptr_equal(c->child, child);
	c->child = NULL;
	n->child_downs++;
}

static inline void rig_on_child_failed(void *ctx, struct ike_sa *sa, void *user, uint16_t notify)
{
	struct rig_node *n = ctx;
	(void)sa;
	(void)user;
	n->failures++;
	n->fail_notify = notify;
}

static inline usec_t rig_on_heard(void *ctx, struct ike_sa *sa)
{
	struct rig_node *n = ctx;
	(void)sa;
	return n->heard_us;
}

static inline void rig_on_keys(void *ctx, const struct ike_sa *sa, const char *line)
{
	struct rig_node *n = ctx;
	(void)sa;
	snprintf(n->keys, sizeof(n->keys), "%s", line);
}

static inline void rig_on_line(void *ctx, enum log_level level, const char *line)
{
	struct rig *g = ctx;
	(void)level;
	if (g->loud)
		fprintf(stderr, "%10.3f %s\n", (double)g->now_us / 1e6, line);
	size_t n = strlen(g->lines);
	snprintf(g->lines + n, sizeof(g->lines) - n, "%s\n", line);
}

/* --- building */

static inline const struct identity *rig_id(const char *text)
{
	struct err err;
	struct identity *i = identity_parse(text, &err);
	assert_non_null(i);
	return i;
}

static inline void rig_suites(enum suite_use use, const char *text, struct suite_list *out)
{
	struct err err = {""};
	*out = (struct suite_list){0};
	/* Several proposals, apart by spaces. */
	char words[256];
	snprintf(words, sizeof(words), "%s", text);
	for (char *save, *w = strtok_r(words, " ", &save); w; w = strtok_r(NULL, " ", &save))
		if (suite_parse(use, w, out, &err))
			fail_msg("%s", err.text);
}

static inline struct ike_ts rig_ts(const char *prefix)
{
	struct prefix p;
	assert_int_equal(prefix_parse(prefix, &p), 0);
	return ike_ts_of_prefix(&p);
}

static inline void rig_peer(struct ike_peer *p, const char *local, const char *remote)
{
	static const uint8_t psk[] = "a secret of both";
	*p = (struct ike_peer){.name = remote,
			       .local_id = rig_id(local),
			       .remote_id = rig_id(remote),
			       .psk = psk,
			       .psk_len = sizeof(psk) - 1,
			       .fragmentation = true};
	rig_suites(SUITE_IKE, "aes128gcm16-prfsha256-x25519", &p->ike);
	rig_suites(SUITE_ESP, "aes128gcm16", &p->child.esp);
}

static inline void rig_node_init(struct rig *g, struct rig_node *n, char name)
{
	n->rig = g;
	n->name = name;
	n->next_spi = name == 'a' ? 0xa000 : 0xb000;
	ike_config_defaults(&n->cfg);
	n->ops = (struct ike_ops){
	    .ctx = n,
	    .send = rig_on_send,
	    .random = rig_on_random,
	    .wall_us = rig_on_wall,
	    .find_peer = rig_on_find_peer,
	    .proposals = rig_on_proposals,
	    .assign = rig_on_assign,
	    .assigned = rig_on_assigned,
	    .sa_up = rig_on_sa_up,
	    .sa_down = rig_on_sa_down,
	    .sa_rekeyed = rig_on_sa_rekeyed,
	    .sa_moved = rig_on_sa_moved,
	    .new_spi = rig_on_new_spi,
	    .child_up = rig_on_child_up,
	    .child_switch = rig_on_child_switch,
	    .child_down = rig_on_child_down,
	    .child_failed = rig_on_child_failed,
	    .heard_us = rig_on_heard,
	    .keys = rig_on_keys,
	};
}

/* Nodes with peers that fit each other (PSK); change what the test is about, then rig_start. */
static inline struct rig *rig_new(void)
{
	struct rig *g = mem_zalloc(sizeof(*g));
	g->now_us = 1000 * (usec_t)SEC;
	g->rng = 0x9e3779b97f4a7c15;
	g->loud = getenv("RIG_LOUD");
	g->log = (struct log){.level = LOG_LEVEL_DEBUG, .write = rig_on_line, .ctx = g};
	g->nat_addr = ip("203.0.113.9");
	rig_node_init(g, &g->a, 'a');
	rig_node_init(g, &g->b, 'b');
	rig_peer(&g->a.peer, "a.example.org", "b.example.org");
	rig_peer(&g->b.peer, "b.example.org", "a.example.org");
	g->a.peer.child.local.at[0] = g->b.peer.child.remote.at[0] = rig_ts("10.1.0.0/24");
	g->a.peer.child.remote.at[0] = g->b.peer.child.local.at[0] = rig_ts("10.2.0.0/24");
	g->a.peer.child.local.count = g->a.peer.child.remote.count = 1;
	g->b.peer.child.local.count = g->b.peer.child.remote.count = 1;
	return g;
}

static inline void rig_start(struct rig *g)
{
	g->a.e = ike_new(&g->a.cfg, &g->a.ops, &g->log);
	g->b.e = ike_new(&g->b.cfg, &g->b.ops, &g->log);
}

static inline void rig_free(struct rig *g)
{
	struct rig_node *nodes[] = {&g->a, &g->b};
	rig_clear_wire(g);
	for (unsigned i = 0; i < 2; i++) {
		ike_free(nodes[i]->e);
		free((void *)(uintptr_t)nodes[i]->peer.local_id);
		free((void *)(uintptr_t)nodes[i]->peer.remote_id);
	}
	free(g);
}

static inline struct ike_path rig_path(bool natt)
{
	uint16_t port = natt ? 4500 : 500;
	return (struct ike_path){.local = {ip("192.0.2.1"), port},
				 .remote = {ip("198.51.100.1"), port},
				 .sock = natt,
				 .natt = natt};
}

static inline struct ike_sa *rig_initiate(struct rig *g)
{
	struct ike_path path = rig_path(false);
	struct ike_sa *sa = ike_initiate(g->a.e, &g->a.peer, &path, NULL, NULL, g->now_us);
	assert_non_null(sa);
	return sa;
}

/* --- judging */

static inline struct rig_child *rig_find(struct rig_node *n, uint32_t spi_in)
{
	for (unsigned i = 0; i < n->child_count; i++)
		if (n->children[i].child && n->children[i].spi_in == spi_in)
			return &n->children[i];
	return NULL;
}

static inline unsigned rig_up_count(const struct rig_node *n)
{
	unsigned count = 0;
	for (unsigned i = 0; i < n->child_count; i++)
		count += n->children[i].child != NULL;
	return count;
}

/* The latest that is up. */
static inline struct rig_child *rig_last(struct rig_node *n)
{
	for (unsigned i = n->child_count; i-- > 0;)
		if (n->children[i].child)
			return &n->children[i];
	return NULL;
}

/* Nothing is on the wire: both sides have the same child SAs with the same keys. */
static inline void rig_check(struct rig *g)
{
	assert_int_equal(rig_up_count(&g->a), rig_up_count(&g->b));
	for (unsigned i = 0; i < g->a.child_count; i++) {
		struct rig_child *a = &g->a.children[i];
		if (!a->child)
			continue;
		struct rig_child *b = rig_find(&g->b, a->spi_out);
		assert_non_null(b);
		assert_int_equal(b->spi_out, a->spi_in);
		assert_int_equal(a->protocol, b->protocol);
		assert_int_equal(a->key_len, b->key_len);
		assert_memory_equal(a->key_in, b->key_out, a->key_len);
		assert_memory_equal(a->key_out, b->key_in, a->key_len);
		assert_memory_not_equal(a->key_in, a->key_out, a->key_len);
		assert_int_equal(a->transport, b->transport);
		assert_int_equal(a->udp, b->udp);
	}
	assert_int_equal(ike_count(g->a.e, IKE_SA_ESTABLISHED),
			 ike_count(g->b.e, IKE_SA_ESTABLISHED));
}

static inline void rig_ladder_is(struct rig *g, const char *expected)
{
	assert_string_equal(g->ladder, expected);
	g->ladder[0] = '\0';
}

/* A rig with an IKE SA and its child up on both sides; the ladder is empty again. */
static inline struct rig *rig_up(struct rig *g)
{
	rig_start(g);
	rig_initiate(g);
	rig_settle(g);
	assert_non_null(g->a.sa);
	assert_non_null(g->b.sa);
	assert_int_equal(g->a.ups, 1);
	assert_int_equal(g->b.ups, 1);
	assert_int_equal(rig_up_count(&g->a), 1);
	rig_check(g);
	g->ladder[0] = '\0';
	return g;
}

/* --- messages made by hand: as `sa` would send them to the other side */

struct rig_hand {
	enum ike_exchange exchange;
	bool response;
	uint32_t id;
	uint16_t number, total; /* 0: no fragment */
	uint8_t first;
	const void *inner;
	size_t len;
};

static inline size_t rig_seal(struct ike_sa *sa, const struct rig_hand *m, uint8_t *out,
			      size_t room)
{
	size_t header_len = IKE_HEADER_LEN + IKE_PAYLOAD_LEN + (m->total ? 4u : 0u);
	size_t total = header_len + m->len + ike_seal_overhead(&sa->seal_out, m->len);
	struct writer w = writer_of(out, room);
	writer_bytes(&w, sa->spi_i, IKE_SPI_LEN);
	writer_bytes(&w, sa->spi_r, IKE_SPI_LEN);
	writer_u8(&w, m->total ? IKE_PAYLOAD_SKF : IKE_PAYLOAD_SK);
	writer_u8(&w, IKE_VERSION);
	writer_u8(&w, (uint8_t)m->exchange);
	writer_u8(&w, (uint8_t)((sa->initiator ? IKE_FLAG_INITIATOR : 0) |
				(m->response ? IKE_FLAG_RESPONSE : 0)));
	writer_u32(&w, m->id);
	writer_u32(&w, (uint32_t)total);
	writer_u8(&w, m->first);
	writer_u8(&w, 0);
	writer_u16(&w, (uint16_t)(total - IKE_HEADER_LEN));
	if (m->total) {
		writer_u16(&w, m->number);
		writer_u16(&w, m->total);
	}
	writer_zero(&w, sa->seal_out.encr->iv_len);
	writer_bytes(&w, m->inner, m->len);
	assert_false(w.failed);
	size_t made = ike_seal(&sa->seal_out, out, room, header_len, m->len, sa->iv_out++);
	assert_int_equal(made, total);
	return made;
}

/* What a protected message on the wire says to `to`, an SK payload; buf holds it. */
static inline void rig_read(struct ike_sa *to, const struct rig_datagram *d, uint8_t *buf,
			    size_t room, struct ike_header *h, struct ike_payloads *p)
{
	uint8_t *inner;
	size_t len;
	assert_true(d->len <= room);
	memcpy(buf, d->bytes, d->len);
	assert_true(ike_read_header(buf, d->len, h));
	assert_int_equal(h->next, IKE_PAYLOAD_SK);
	assert_true(
	    ike_open(&to->seal_in, buf, d->len, IKE_HEADER_LEN + IKE_PAYLOAD_LEN, &inner, &len));
	assert_int_equal(ike_read_payloads(buf[IKE_HEADER_LEN], inner, len, p), IKE_OK);
}

/* To the other side's engine, now, by the path of `sa`. */
static inline void rig_inject(struct rig *g, struct ike_sa *sa, const uint8_t *msg, size_t len)
{
	bool from_a = sa->engine == g->a.e;
	struct ike_path path = {.local = sa->path.remote,
				.remote = sa->path.local,
				.sock = sa->path.sock,
				.natt = sa->path.natt};
	uint8_t *copy = mem_zalloc(len);
	memcpy(copy, msg, len);
	ike_datagram(from_a ? g->b.e : g->a.e, &path, copy, len, g->now_us);
	free(copy);
}

/* Sealed by `sa`, to the other side, now. */
static inline void rig_say(struct rig *g, struct ike_sa *sa, const struct rig_hand *m)
{
	static uint8_t msg[IKE_MESSAGE_MAX];
	size_t len = rig_seal(sa, m, msg, sizeof(msg));
	rig_inject(g, sa, msg, len);
}

#endif
