/* SPDX-License-Identifier: MIT */
/*
 * Whole exchanges against the state machine: two engines with a wire between them, and the input
 * says what happens to it.
 *
 * First octet: bit 0 CBC instead of AES-GCM; bits 1-2 PSK, EAP-MSCHAPv2, or a PSK with a
 * post-quantum one; bit 3 both are Sojourns; bit 4 MOBIKE; bit 5 cookies are asked for; bit 6 short
 * fragments; bit 7 an IKE SA and its child are up before the rest begins.  Then steps, each an
 * octet and what it needs:
 *
 *   deliver, lose, double, hold back, or change the next datagram as it is
 *   open the next one with the keys of who gets it, change what is inside, seal it again
 *   a message of the input, as it is, or sealed with the keys of an IKE SA (any exchange, either
 *   direction, a number near the window, whole or a fragment)
 *   time goes on; a wish of either side
 *
 * So what lies behind the seal is reached in both roles.  Both engines belong to this program, so
 * that it holds them to their word: each child up goes down once, none outlives its IKE SA, no IKE
 * SA ends twice, and the counts agree.
 */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/mem.h"
#include "ike/half.h"

#define STEPS_MAX 200
#define WIRE_MAX  64
#define MS	  1000u
#define SEC	  1000000u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

struct datagram {
	struct datagram *next;
	bool to_b;
	struct ike_path path; /* as it arrives */
	size_t len;
	uint8_t bytes[];
};

struct rig;
struct node {
	struct rig *rig;
	struct ike *e;
	struct ike_peer peer;
	uint32_t next_spi;
	int children, known; /* up now; IKE SAs the daemon heard of */
};

struct rig {
	struct node a, b;
	usec_t now_us;
	uint64_t rng;
	struct datagram *wire;
	unsigned on_wire;
	bool eap;
	struct reader in;
};

static uint32_t random_of(struct rig *g)
{
	g->rng ^= g->rng << 13;
	g->rng ^= g->rng >> 7;
	g->rng ^= g->rng << 17;
	return (uint32_t)(g->rng >> 16);
}

/* --- what the engines call */

static void on_send(void *ctx, const struct ike_path *path, const uint8_t *msg, size_t len)
{
	struct node *n = ctx;
	struct rig *g = n->rig;
	assert(len == 1 || len >= IKE_HEADER_LEN);
	if (len == 1 || g->on_wire >= WIRE_MAX)
		return;
	struct datagram *d = mem_zalloc(sizeof(*d) + len), **at = &g->wire;
	d->to_b = n == &g->a;
	d->path = (struct ike_path){
	    .local = path->remote, .remote = path->local, .sock = path->sock, .natt = path->natt};
	d->len = len;
	memcpy(d->bytes, msg, len);
	while (*at)
		at = &(*at)->next;
	*at = d;
	g->on_wire++;
}

static void on_random(void *ctx, void *out, size_t len)
{
	struct node *n = ctx;
	for (size_t i = 0; i < len; i++)
		((uint8_t *)out)[i] = (uint8_t)random_of(n->rig);
}

static uint64_t on_wall(void *ctx)
{
	struct node *n = ctx;
	return 1700000000000000ull + n->rig->now_us;
}

static const struct ike_peer *on_find_peer(void *ctx, const struct identity *idi,
					   const struct identity *idr, bool eap,
					   const struct ike_path *path)
{
	struct node *n = ctx;
	(void)idr, (void)path;
	if (eap != (n->peer.remote_auth == IKE_BY_EAP))
		return NULL;
	return identity_matches(n->peer.remote_id, idi) ? &n->peer : NULL;
}

static const struct ike_peer *on_find_eap(void *ctx, const struct ike_peer *generic,
					  const char *user, const char **password)
{
	(void)ctx;
	if (strcmp(user, "user") != 0)
		return NULL;
	*password = "pass";
	return generic;
}

static const struct suite_list *on_proposals(void *ctx, const struct ike_path *path)
{
	struct node *n = ctx;
	(void)path;
	return &n->peer.ike;
}

static uint16_t on_assign(void *ctx, struct ike_sa *sa, const struct ike_cp *request,
			  struct ike_cp *reply)
{
	(void)ctx, (void)sa;
	if (!request->count)
		return IKE_N_INTERNAL_ADDRESS_FAILURE;
	*reply = (struct ike_cp){.kind = IKE_CP_REPLY, .count = 1};
	reply->at[0].attr = IKE_CP_IP4_ADDRESS;
	reply->at[0].len = 4;
	memcpy(reply->at[0].value, (uint8_t[]){10, 1, 0, 7}, 4);
	return 0;
}

static void on_assigned(void *ctx, struct ike_sa *sa, const struct ike_cp *reply)
{
	(void)ctx, (void)sa;
	assert(reply->count <= IKE_CP_MAX);
}

static void on_sa_up(void *ctx, struct ike_sa *sa)
{
	struct node *n = ctx;
	assert(ike_sa_peer(sa) == &n->peer);
	ike_sa_set_user(sa, n);
	n->known++;
}

static void on_sa_down(void *ctx, struct ike_sa *sa, uint16_t notify, const char *why)
{
	struct node *n = ctx;
	(void)notify;
	assert(why);
	assert(!ike_child_first(sa));
	if (ike_sa_user(sa)) {
		assert(ike_sa_user(sa) == n);
		n->known--;
	}
	assert(n->known >= 0);
}

static void on_sa_rekeyed(void *ctx, struct ike_sa *old, struct ike_sa *fresh)
{
	(void)old;
	assert(ike_sa_user(fresh) == ctx);
}

static void on_sa_moved(void *ctx, struct ike_sa *sa, const struct ike_path *path)
{
	(void)ctx, (void)sa;
	assert(path->remote.addr.family);
}

static uint32_t on_new_spi(void *ctx, uint8_t protocol)
{
	struct node *n = ctx;
	(void)protocol;
	return n->next_spi++;
}

static uint16_t on_child_up(void *ctx, struct ike_child_up *up)
{
	struct node *n = ctx;
	struct ike_ts_list ts;
	assert(up->encr && up->spi_in >= 0x1000 && up->local->count && up->remote->count);
	if (n->rig->rng % 16 == 0)
		return IKE_N_TEMPORARY_FAILURE;
	if (up->registered && !up->initiator)
		up->registered->lifetime_s = 60;
	ike_child_ts(up->child, true, &ts);
	assert(ts.count == up->local->count);
	ike_child_set_user(up->child, n);
	n->children++;
	return 0;
}

static void on_child_switch(void *ctx, struct ike_child *child)
{
	assert(ike_child_user(child) == ctx);
}

static void on_child_down(void *ctx, struct ike_child *child, const char *why)
{
	struct node *n = ctx;
	assert(why && ike_child_user(child) == n);
	n->children--;
	assert(n->children >= 0);
}

static void on_child_failed(void *ctx, struct ike_sa *sa, void *user, uint16_t notify)
{
	(void)ctx, (void)sa, (void)user, (void)notify;
}

/* --- building */

static const struct identity *id_of(const char *text)
{
	struct identity *i = identity_parse(text, NULL);
	assert(i);
	return i;
}

static struct ike_ts ts_of(const char *prefix)
{
	struct prefix p;
	int rc = prefix_parse(prefix, &p);
	assert(rc == 0);
	return ike_ts_of_prefix(&p);
}

static void node_init(struct rig *g, struct node *n, bool a, uint8_t mode)
{
	static const uint8_t psk[] = "a secret of both",
			     ppk[] = "another one of both, for later days";
	struct ike_peer *p = &n->peer;
	struct ike_config cfg;
	bool eap = (mode & 6) == 2;
	n->rig = g;
	n->next_spi = a ? 0xa000 : 0xb000;
	*p = (struct ike_peer){.name = "peer",
			       .local_id = id_of(a ? "a.example.org" : "b.example.org"),
			       .remote_id = id_of(a ? "b.example.org" : "a.example.org"),
			       .psk = psk,
			       .psk_len = sizeof(psk) - 1,
			       .rekey_us = 3600 * (usec_t)SEC,
			       .liveness_us = 30 * SEC,
			       .keepalive_us = 20 * SEC,
			       .mobike = mode & 16,
			       .sojourn = mode & 8,
			       .request_addresses = a,
			       .fragmentation = true};
	if (eap) {
		p->eap = EAP_MSCHAPV2;
		p->eap_identity = "user";
		p->eap_password = "pass";
		*(a ? &p->local_auth : &p->remote_auth) = IKE_BY_EAP;
	}
	if ((mode & 6) == 4) {
		p->ppk_id = "later";
		p->ppk = ppk;
		p->ppk_len = sizeof(ppk) - 1;
	}
	int rc = suite_parse(SUITE_IKE,
			     mode & 1 ? "aes128-sha256-x25519" : "aes128gcm16-prfsha256-x25519",
			     &p->ike, NULL);
	assert(rc == 0);
	rc = suite_parse(SUITE_ESP, "aes128gcm16-x25519", &p->child.esp, NULL);
	assert(rc == 0);
	p->child.rekey_us = 600 * (usec_t)SEC;
	p->child.life_us = 660 * (usec_t)SEC;
	p->child.local.count = p->child.remote.count = 1;
	p->child.local.at[0] = ts_of(a ? "10.1.0.0/24" : "10.2.0.0/24");
	p->child.remote.at[0] = ts_of(a ? "10.2.0.0/24" : "10.1.0.0/24");

	ike_config_defaults(&cfg);
	if (mode & 32)
		cfg.half_open_cookie = 0;
	if (mode & 64)
		cfg.fragment_len = 256;
	cfg.sas_max = 32;
	struct ike_ops ops = {
	    .ctx = n,
	    .send = on_send,
	    .random = on_random,
	    .wall_us = on_wall,
	    .find_peer = on_find_peer,
	    .find_eap = on_find_eap,
	    .proposals = on_proposals,
	    .assign = on_assign,
	    .assigned = on_assigned,
	    .sa_up = on_sa_up,
	    .sa_down = on_sa_down,
	    .sa_rekeyed = on_sa_rekeyed,
	    .sa_moved = on_sa_moved,
	    .new_spi = on_new_spi,
	    .child_up = on_child_up,
	    .child_switch = on_child_switch,
	    .child_down = on_child_down,
	    .child_failed = on_child_failed,
	};
	n->e = ike_new(&cfg, &ops, NULL);
}

static struct ike_path path_from_a(uint8_t host)
{
	struct ike_path p = {.local.port = 500, .remote.port = 500};
	p.local.addr = addr_from_bytes(4, (uint8_t[]){192, 0, 2, host});
	p.remote.addr = addr_from_bytes(4, (uint8_t[]){198, 51, 100, 1});
	return p;
}

/* --- the wire */

static struct datagram *take(struct rig *g)
{
	struct datagram *d = g->wire;
	if (d) {
		g->wire = d->next;
		g->on_wire--;
	}
	return d;
}

static void give(struct rig *g, bool to_b, const struct ike_path *path, const uint8_t *msg,
		 size_t len)
{
	uint8_t *exact = mem_zalloc(len);
	if (len)
		memcpy(exact, msg, len);
	ike_datagram(to_b ? g->b.e : g->a.e, path, exact, len, g->now_us);
	free(exact);
}

static void deliver(struct rig *g, struct datagram *d)
{
	if (d)
		give(g, d->to_b, &d->path, d->bytes, d->len);
	free(d);
}

static struct ike_sa *sa_at(struct node *n, unsigned i)
{
	struct ike_sa *sa = ike_sa_first(n->e);
	for (i %= 4; sa && i && ike_sa_next(sa); i--)
		sa = ike_sa_next(sa);
	return sa;
}

/* The next octets of the input, at most `most`. */
static const uint8_t *bytes_of(struct rig *g, size_t most, size_t *len)
{
	size_t n = reader_u8(&g->in);
	if (n > most)
		n = most;
	if (n > reader_left(&g->in))
		n = reader_left(&g->in);
	*len = n;
	return reader_bytes(&g->in, n);
}

/* As `sa` would send it to the other side; a fragment when total is not 0. */
static void say(struct rig *g, struct ike_sa *sa, uint8_t exchange, bool response, uint32_t id,
		uint16_t number, uint16_t total, uint8_t first, const uint8_t *inner, size_t len)
{
	static uint8_t msg[IKE_MESSAGE_MAX];
	if (!sa->seal_out.encr)
		return;
	size_t header_len = IKE_HEADER_LEN + IKE_PAYLOAD_LEN + (total ? 4u : 0u);
	size_t all = header_len + len + ike_seal_overhead(&sa->seal_out, len);
	struct writer w = writer_of(msg, sizeof(msg));
	writer_bytes(&w, sa->spi_i, IKE_SPI_LEN);
	writer_bytes(&w, sa->spi_r, IKE_SPI_LEN);
	writer_u8(&w, total ? IKE_PAYLOAD_SKF : IKE_PAYLOAD_SK);
	writer_u8(&w, IKE_VERSION);
	writer_u8(&w, exchange);
	writer_u8(&w, (uint8_t)((sa->initiator ? IKE_FLAG_INITIATOR : 0) |
				(response ? IKE_FLAG_RESPONSE : 0)));
	writer_u32(&w, id);
	writer_u32(&w, (uint32_t)all);
	writer_u8(&w, first);
	writer_u8(&w, 0);
	writer_u16(&w, (uint16_t)(all - IKE_HEADER_LEN));
	if (total) {
		writer_u16(&w, number);
		writer_u16(&w, total);
	}
	writer_zero(&w, sa->seal_out.encr->iv_len);
	writer_bytes(&w, inner, len);
	if (w.failed ||
	    ike_seal(&sa->seal_out, msg, sizeof(msg), header_len, len, sa->iv_out++) != all)
		return;
	struct ike_path path = {.local = sa->path.remote,
				.remote = sa->path.local,
				.sock = sa->path.sock,
				.natt = sa->path.natt};
	give(g, sa->engine == g->a.e, &path, msg, all);
}

/* --- steps */

static void step_change(struct rig *g)
{
	struct datagram *d = take(g);
	size_t n;
	const uint8_t *what = bytes_of(g, 16, &n);
	for (size_t i = 0; d && i + 2 < n; i += 3) {
		size_t at = ((size_t)what[i] << 8 | what[i + 1]) % d->len;
		d->bytes[at] = (uint8_t)(d->bytes[at] + what[i + 2]);
	}
	if (d && n % 3 == 1) { /* and cut, with a length that agrees */
		d->len = d->len < what[n - 1] ? d->len : d->len - what[n - 1];
		if (d->len >= IKE_HEADER_LEN) {
			d->bytes[26] = (uint8_t)(d->len >> 8);
			d->bytes[27] = (uint8_t)d->len;
		}
	}
	deliver(g, d);
}

static struct ike_sa *sa_with(struct node *n, const struct ike_header *h)
{
	for (struct ike_sa *sa = ike_sa_first(n->e); sa; sa = ike_sa_next(sa))
		if (memcmp(sa->spi_i, h->spi_i, IKE_SPI_LEN) == 0 &&
		    memcmp(sa->spi_r, h->spi_r, IKE_SPI_LEN) == 0)
			return sa;
	return NULL;
}

/* The same message with other insides, authentic. */
static void step_change_inside(struct rig *g)
{
	static uint8_t plain[IKE_MESSAGE_MAX];
	struct ike_header h;
	struct datagram *d = take(g);
	size_t n, len;
	uint8_t *inner;
	const uint8_t *what = bytes_of(g, 24, &n);
	if (!d)
		return;
	struct node *to = d->to_b ? &g->b : &g->a, *from = d->to_b ? &g->a : &g->b;
	struct ike_sa *theirs = NULL, *ours = NULL;
	if (ike_read_header(d->bytes, d->len, &h) && h.next == IKE_PAYLOAD_SK) {
		theirs = sa_with(to, &h);
		ours = sa_with(from, &h);
	}
	if (!theirs || !ours || !theirs->seal_in.encr ||
	    !ike_open(&theirs->seal_in, d->bytes, d->len, IKE_HEADER_LEN + IKE_PAYLOAD_LEN, &inner,
		      &len)) {
		free(d);
		return;
	}
	uint8_t first = d->bytes[IKE_HEADER_LEN];
	memcpy(plain, inner, len);
	for (size_t i = 0; len && i + 2 < n; i += 3) {
		size_t at = ((size_t)what[i] << 8 | what[i + 1]) % len;
		plain[at] = (uint8_t)(plain[at] + what[i + 2]);
	}
	if (n % 3 == 1 && len > what[n - 1])
		len -= what[n - 1];
	if (n % 3 == 2)
		first = what[n - 2];
	say(g, ours, h.exchange, h.flags & IKE_FLAG_RESPONSE, h.message_id, 0, 0, first, plain,
	    len);
	free(d);
}

static void step_say(struct rig *g, bool fragment)
{
	uint8_t who = reader_u8(&g->in), what = reader_u8(&g->in), first = reader_u8(&g->in);
	struct ike_sa *sa = sa_at(who & 1 ? &g->a : &g->b, who >> 1);
	struct ike_sa *other = NULL;
	size_t len;
	const uint8_t *inner = bytes_of(g, 255, &len);
	if (!sa)
		return;
	struct ike_header h;
	memcpy(h.spi_i, sa->spi_i, IKE_SPI_LEN);
	memcpy(h.spi_r, sa->spi_r, IKE_SPI_LEN);
	other = sa_with(who & 1 ? &g->b : &g->a, &h);
	bool response = what & 4;
	uint32_t id = !other ? 1 : response ? other->next_id - 1 : other->expected_id;
	if (what & 8)
		id += (uint32_t)(what >> 4) - 8;
	uint16_t total = fragment ? (uint16_t)(1 + (what >> 6)) : 0;
	uint16_t number = fragment ? (uint16_t)(1 + (what >> 4 & 3)) : 0;
	say(g, sa, (uint8_t)(34 + (what & 3)), response, id, number, total, first, inner, len);
}

static void step_raw(struct rig *g)
{
	uint8_t who = reader_u8(&g->in);
	size_t len;
	const uint8_t *msg = bytes_of(g, 255, &len);
	struct ike_path path = path_from_a(who >> 4);
	if (who & 1)
		path = (struct ike_path){.local = path.remote, .remote = path.local};
	give(g, who & 1, &path, msg, len);
}

static void step_wish(struct rig *g)
{
	uint8_t who = reader_u8(&g->in), wish = reader_u8(&g->in);
	struct node *n = who & 1 ? &g->a : &g->b;
	struct ike_sa *sa = sa_at(n, who >> 1);
	struct ike_child *c = sa ? ike_child_first(sa) : NULL;
	struct ike_sj_connection connection = {.name = "wlan0", .reg = wish & 128, .lifetime_s = 9};
	struct ike_path path = path_from_a((uint8_t)(1 + (wish >> 4 & 3)));
	if (n == &g->b)
		path = (struct ike_path){.local = path.remote, .remote = path.local};
	if (c && wish & 64 && ike_child_next(c))
		c = ike_child_next(c);
	if (!sa && wish % 9)
		return;
	switch (wish % 9) {
	case 0:
		ike_initiate(n->e, &n->peer, &path, wish & 64 ? &connection : NULL, NULL,
			     g->now_us);
		break;
	case 1:
		(void)ike_child_create(n->e, sa, wish & 64 ? &connection : NULL, NULL, g->now_us);
		break;
	case 2:
		if (c)
			ike_child_rekey(n->e, c, g->now_us);
		break;
	case 3:
		if (c)
			ike_child_delete(n->e, c, "wished", g->now_us);
		break;
	case 4:
		ike_sa_rekey(n->e, sa, g->now_us);
		break;
	case 5:
		ike_sa_close(n->e, sa, "wished", wish & 64, g->now_us);
		break;
	case 6:
		ike_sa_probe(n->e, sa, g->now_us);
		break;
	case 7:
		if (ike_sa_peer(sa))
			ike_sa_move(n->e, sa, &path, wish & 64, g->now_us);
		break;
	case 8:
		ike_peer_gone(n->e, &n->peer, g->now_us);
		break;
	}
}

static void pass_time(struct rig *g, usec_t span)
{
	g->now_us += span;
	usec_t a = ike_tick(g->a.e, g->now_us), b = ike_tick(g->b.e, g->now_us);
	assert(a > g->now_us && b > g->now_us);
}

static void settle(struct rig *g)
{
	for (unsigned i = 0; i < 100 && g->wire; i++)
		deliver(g, take(g));
}

static void step(struct rig *g)
{
	uint8_t op = reader_u8(&g->in);
	struct datagram *d;
	switch (op % 12) {
	case 0:
	case 1:
		deliver(g, take(g));
		break;
	case 2:
		free(take(g));
		break;
	case 3:
		if (g->wire)
			give(g, g->wire->to_b, &g->wire->path, g->wire->bytes, g->wire->len);
		break;
	case 4:
		d = take(g);
		if (d) { /* behind all others */
			struct datagram **at = &g->wire;
			while (*at)
				at = &(*at)->next;
			d->next = NULL;
			*at = d;
			g->on_wire++;
		}
		break;
	case 5:
		step_change(g);
		break;
	case 6:
		step_change_inside(g);
		break;
	case 7:
		step_say(g, op & 64);
		break;
	case 8:
		step_raw(g);
		break;
	case 9:
		pass_time(g, (op >> 4) * (usec_t)(op & 128 ? 40 * SEC : 300 * MS));
		break;
	case 10:
		step_wish(g);
		break;
	case 11:
		settle(g);
		break;
	}
}

static void check(struct node *n)
{
	int children = 0, known = 0;
	size_t states[IKE_SA_CLOSING + 1] = {0};
	for (struct ike_sa *sa = ike_sa_first(n->e); sa; sa = ike_sa_next(sa)) {
		states[ike_sa_state(sa)]++;
		known += ike_sa_user(sa) != NULL;
		for (struct ike_child *c = ike_child_first(sa); c; c = ike_child_next(c)) {
			assert(ike_child_sa(c) == sa);
			children++;
		}
	}
	assert(children == n->children);
	assert(known == n->known);
	for (unsigned s = 0; s <= IKE_SA_CLOSING; s++)
		assert(states[s] == ike_count(n->e, (enum ike_sa_state)s));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct rig *g = mem_zalloc(sizeof(*g));
	struct ike_path path = path_from_a(1);
	g->in = reader_of(data, len);
	g->now_us = 1000 * (usec_t)SEC;
	g->rng = 0x9e3779b97f4a7c15;
	uint8_t mode = reader_u8(&g->in);
	node_init(g, &g->a, true, mode);
	node_init(g, &g->b, false, mode);
	ike_initiate(g->a.e, &g->a.peer, &path, NULL, NULL, g->now_us);
	if (mode & 128)
		settle(g);
	for (unsigned i = 0; i < STEPS_MAX && reader_left(&g->in); i++) {
		step(g);
		check(&g->a);
		check(&g->b);
	}
	settle(g);
	pass_time(g, 20 * (usec_t)SEC);
	ike_peer_gone(g->a.e, &g->a.peer, g->now_us);
	check(&g->a);
	assert(g->a.children == 0 && g->a.known == 0);
	while (g->wire)
		free(take(g));
	struct node *nodes[] = {&g->a, &g->b};
	for (unsigned i = 0; i < 2; i++) {
		ike_free(nodes[i]->e);
		free((void *)(uintptr_t)nodes[i]->peer.local_id);
		free((void *)(uintptr_t)nodes[i]->peer.remote_id);
	}
	while (g->wire)
		free(take(g));
	free(g);
	return 0;
}
