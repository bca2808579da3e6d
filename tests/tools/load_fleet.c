/* SPDX-License-Identifier: MIT */
/*
 * The terminals of a load, each with an IKE SA of the production engine; or, at the other end, a
 * responder that is the engine and nothing else.
 *
 * A terminal has an address, an identity and a struct ike_peer of its own.  Its child SA's keys are
 * kept as they are, for load_echo.c.
 */
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include "base/mem.h"
#include "crypto/warm.h"
#include "load.h"

#define RETRY_US  (2 * (usec_t)USEC_PER_SEC)
#define TRIES_MAX 4

static struct terminal *terminal_of(const struct ike_sa *sa)
{
	return ike_sa_user(sa);
}

/* --- callbacks */

static void on_send(void *ctx, const struct ike_path *path, const uint8_t *msg, size_t len)
{
	const struct load *l = ctx;
	bool keepalive = len == 1;
	load_net_send(l->net, &path->local, &path->remote, path->natt && !keepalive, msg, len);
}

static void on_random(void *ctx, void *out, size_t len)
{
	(void)ctx;
	if (getrandom(out, len, 0) != (ssize_t)len)
		load_die("getrandom failed");
}

static uint64_t on_wall(void *ctx)
{
	(void)ctx;
	return clock_wall_us();
}

static const struct ike_peer *on_find_peer(void *ctx, const struct identity *idi,
					   const struct identity *idr, bool eap,
					   const struct ike_path *path)
{
	struct load *l = ctx;
	(void)idr;
	(void)path;
	return !l->o.to.family && !eap && identity_matches(l->server.remote_id, idi) ? &l->server
										     : NULL;
}

static const struct suite_list *on_proposals(void *ctx, const struct ike_path *path)
{
	const struct load *l = ctx;
	(void)path;
	return &l->proposals;
}

static uint16_t on_assign(void *ctx, struct ike_sa *sa, const struct ike_cp *request,
			  struct ike_cp *reply)
{
	struct load *l = ctx;
	uint32_t n = ++l->given;
	uint8_t home[4] = {10, (uint8_t)(128 + (n >> 16)), (uint8_t)(n >> 8), (uint8_t)n};
	(void)sa;
	(void)request;
	reply->at[0].attr = IKE_CP_IP4_ADDRESS;
	reply->at[0].len = sizeof(home);
	memcpy(reply->at[0].value, home, sizeof(home));
	reply->count = 1;
	return 0;
}

static void on_assigned(void *ctx, struct ike_sa *sa, const struct ike_cp *reply)
{
	struct terminal *t = terminal_of(sa);
	(void)ctx;
	for (unsigned i = 0; t && i < reply->count; i++)
		if (reply->at[i].attr == IKE_CP_IP4_ADDRESS && reply->at[i].len == 4)
			t->home = addr_from_bytes(4, reply->at[i].value);
}

static void on_sa_up(void *ctx, struct ike_sa *sa)
{
	(void)ctx;
	(void)sa;
}

static void note_why(struct load *l, uint16_t notify, const char *why)
{
	l->last_notify = notify;
	snprintf(l->last_why, sizeof(l->last_why), "%s", why);
}

/* Its setup is over, for good or ill. */
static void setup_over(struct load *l, struct terminal *t, enum terminal_state state)
{
	if (t->state != TERMINAL_BEGUN)
		return;
	t->state = state;
	t->took_us = clock_now_us() - t->began_us;
	l->begun_now--;
	if (state == TERMINAL_UP)
		l->up++;
	else
		l->failed++;
	cert_own_free((struct cert_own *)(uintptr_t)t->peer.own);
	t->peer.own = NULL;
}

static void on_sa_down(void *ctx, struct ike_sa *sa, uint16_t notify, const char *why)
{
	struct load *l = ctx;
	struct terminal *t = terminal_of(sa);
	if (!t)
		return;
	t->sa = NULL;
	if (t->state == TERMINAL_BEGUN)
		note_why(l, notify, why);
	setup_over(l, t, TERMINAL_FAILED);
	if (t->state == TERMINAL_UP) {
		t->state = TERMINAL_GONE;
		l->up--;
		l->gone++;
		note_why(l, notify, why);
	}
}

static void on_sa_rekeyed(void *ctx, struct ike_sa *old, struct ike_sa *fresh)
{
	struct terminal *t = terminal_of(old);
	(void)ctx;
	if (t)
		t->sa = fresh;
}

static void on_sa_moved(void *ctx, struct ike_sa *sa, const struct ike_path *path)
{
	(void)ctx;
	(void)sa;
	(void)path;
}

static uint32_t on_new_spi(void *ctx, uint8_t protocol)
{
	struct load *l = ctx;
	(void)protocol;
	if (l->spi_count == l->spi_room) {
		l->spi_room = l->spi_room ? 2 * l->spi_room : 4096;
		l->by_spi = realloc(l->by_spi, l->spi_room * sizeof(*l->by_spi));
		if (!l->by_spi)
			load_die("out of memory");
	}
	l->by_spi[l->spi_count] = NULL;
	return LOAD_SPI_BASE + l->spi_count++;
}

static uint16_t on_child_up(void *ctx, struct ike_child_up *up)
{
	struct load *l = ctx;
	struct terminal *t = terminal_of(up->sa);
	if (!t)
		return 0;
	if (up->key_len > LOAD_KEY_MAX)
		load_die("keys of %zu octets", up->key_len);
	t->spi_in = up->spi_in;
	t->spi_out = up->spi_out;
	t->encr = up->encr;
	t->integ = up->integ;
	t->esn = up->esn;
	t->key_len = up->key_len;
	t->sequence = 0;
	memcpy(t->key_in, up->key_in, up->key_len);
	memcpy(t->key_out, up->key_out, up->key_len);
	l->by_spi[t->spi_in - LOAD_SPI_BASE] = t;
	setup_over(l, t, TERMINAL_UP);
	return 0;
}

static void on_child_switch(void *ctx, struct ike_child *child)
{
	(void)ctx;
	(void)child;
}

static void on_child_down(void *ctx, struct ike_child *child, const char *why)
{
	struct load *l = ctx;
	struct terminal *t = terminal_of(ike_child_sa(child));
	(void)why;
	if (!t)
		return;
	l->by_spi[ike_child_spi_in(child) - LOAD_SPI_BASE] = NULL;
	if (t->spi_in == ike_child_spi_in(child))
		t->spi_out = 0;
}

/* Authenticated, but without a child SA: of no use. */
static void on_child_failed(void *ctx, struct ike_sa *sa, void *user, uint16_t notify)
{
	struct load *l = ctx;
	struct terminal *t = user;
	(void)sa;
	note_why(l, notify, "the child SA was refused");
	setup_over(l, t, TERMINAL_FAILED);
}

static usec_t on_heard(void *ctx, struct ike_sa *sa)
{
	(void)ctx;
	(void)sa;
	return 0;
}

/* --- making */

static struct identity *identity_of(const char *text)
{
	struct err err = {""};
	struct identity *i = identity_parse(text, &err);
	if (!i)
		load_die("%s: %s", text, err.text);
	return i;
}

/* What all terminals, and the responder, have in common. */
static void peer_init(const struct load *l, struct ike_peer *p)
{
	struct err err = {""};
	*p = (struct ike_peer){
	    .fragmentation = true,
	    .sojourn = l->o.sojourn,
	    .psk = (const uint8_t *)l->o.secret,
	    .psk_len = strlen(l->o.secret),
	};
	if (suite_parse(SUITE_IKE, "aes128gcm16-prfsha256-x25519", &p->ike, &err) ||
	    suite_parse(SUITE_ESP, "aes128gcm16", &p->child.esp, &err))
		load_die("%s", err.text);
	if (l->creds) {
		p->local_auth = p->remote_auth = IKE_BY_CERT;
		p->trust = load_creds_trust(l->creds);
		p->send_cert = p->send_certreq = true;
	}
}

static struct addr address_of(const struct prefix *from, uint32_t n)
{
	uint8_t b[4];
	uint32_t host = ((uint32_t)from->addr.b[0] << 24 | (uint32_t)from->addr.b[1] << 16 |
			 (uint32_t)from->addr.b[2] << 8 | from->addr.b[3]) +
			n;
	for (unsigned i = 0; i < 4; i++)
		b[i] = (uint8_t)(host >> (24 - 8 * i));
	return addr_from_bytes(4, b);
}

static void terminal_begin(struct load *l, struct terminal *t, usec_t now_us)
{
	struct ike_path path = {.local = {t->outer, l->o.port},
				.remote = {l->o.to, l->o.to_port},
				.natt = l->o.port == 4500};
	struct ike_sj_connection connection = {.name = "load", .reg = true, .lifetime_s = 3600};
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
	snprintf(t->name, sizeof(t->name), l->o.id, t->index);
#pragma GCC diagnostic pop
	peer_init(l, &t->peer);
	t->peer.name = t->name;
	t->peer.local_id = identity_of(t->name);
	t->peer.remote_id = l->server.local_id;
	t->peer.request_addresses = true;
	t->peer.force_udp = true;
	if (l->creds)
		t->peer.own = load_creds_terminal(l->creds, t->name);
	t->state = TERMINAL_BEGUN;
	t->began_us = now_us;
	l->begun_now++;
	t->sa =
	    ike_initiate(l->engine, &t->peer, &path, l->o.sojourn ? &connection : NULL, t, now_us);
	if (!t->sa)
		setup_over(l, t, TERMINAL_FAILED);
}

void load_fleet_open(struct load *l)
{
	static const struct ike_ops ops = {
	    .send = on_send,
	    .random = on_random,
	    .wall_us = on_wall,
	    .find_peer = on_find_peer,
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
	    .heard_us = on_heard,
	};
	struct ike_ops with = ops;
	struct ike_config cfg;
	crypto_warm_up();
	if (l->o.pki)
		l->creds = l->o.to.family ? load_creds_new(l->o.pki, l->o.server_id)
					  : load_creds_read(l->o.pki);
	with.ctx = l;
	ike_config_defaults(&cfg);
	l->engine = ike_new(&cfg, &with, &l->log);

	const char *domain = strchr(l->o.id, '@');
	char pattern[LOAD_NAME_MAX];
	snprintf(pattern, sizeof(pattern), "*%s", domain ? domain : "");
	peer_init(l, &l->server);
	l->server.name = "server";
	l->server.local_id = identity_of(l->o.server_id);
	l->server.remote_id = domain ? identity_of(pattern) : identity_of("%any");
	l->server.own = l->creds ? load_creds_server(l->creds) : NULL;
	l->proposals = l->server.ike;

	l->terminals = calloc(l->o.count, sizeof(*l->terminals));
	if (!l->terminals && l->o.count)
		load_die("out of memory");
	for (unsigned i = 0; i < l->o.count; i++) {
		l->terminals[i].index = i;
		l->terminals[i].outer = address_of(&l->o.from, i + 1);
	}
}

void load_fleet_close(struct load *l)
{
	ike_free(l->engine);
	for (unsigned i = 0; i < l->begun; i++) {
		cert_own_free((struct cert_own *)(uintptr_t)l->terminals[i].peer.own);
		free((void *)(uintptr_t)l->terminals[i].peer.local_id);
	}
	if (l->terminals)
		mem_wipe(l->terminals, l->o.count * sizeof(*l->terminals));
	free(l->terminals);
	free(l->by_spi);
	free((void *)(uintptr_t)l->server.local_id);
	free((void *)(uintptr_t)l->server.remote_id);
	load_creds_free(l->creds);
}

void load_fleet_begin(struct load *l)
{
	while (l->begun < l->target && l->begun_now < l->o.in_flight)
		terminal_begin(l, &l->terminals[l->begun++], clock_now_us());
}

bool load_fleet_settled(const struct load *l)
{
	return l->begun == l->target && !l->begun_now;
}

usec_t load_fleet_tick(struct load *l)
{
	return ike_tick(l->engine, clock_now_us());
}

/* --- rounds */

void load_round_begin(struct load *l, struct round *r, enum round_kind kind, unsigned n)
{
	unsigned up = 0;
	*r = (struct round){.kind = kind, .all = mem_zalloc((l->up + 1) * sizeof(*r->all))};
	for (unsigned i = 0; i < l->begun; i++)
		if (l->terminals[i].state == TERMINAL_UP)
			r->all[up++] = &l->terminals[i];
	r->count = n && n < up ? n : up;
	for (unsigned i = 0; i < r->count; i++) {
		r->all[i] = r->all[(uint64_t)i * up / r->count];
		r->all[i]->tries = 0;
	}
}

static void round_ask(struct load *l, const struct round *r, struct terminal *t, usec_t now_us)
{
	t->asked_us = now_us;
	t->tries++;
	switch (r->kind) {
	case ROUND_PROBE:
		/* The engine sends again what is not answered. */
		if (t->sa && t->tries == 1)
			ike_sa_probe(l->engine, t->sa, now_us);
		break;
	case ROUND_ECHO:
		t->wanted = true;
		if (t->spi_out && t->home.family)
			load_echo_send(l, t, &r->target);
		break;
	case ROUND_DELETE:
		if (t->sa && t->tries == 1)
			ike_sa_close(l->engine, t->sa, "the load is over", false, now_us);
		break;
	}
}

static bool round_answered(const struct round *r, const struct terminal *t)
{
	switch (r->kind) {
	case ROUND_PROBE:
		return t->sa && ike_sa_heard_us(t->sa) >= t->asked_us - (t->tries - 1) * RETRY_US;
	case ROUND_ECHO:
		return !t->wanted;
	case ROUND_DELETE:
		return !t->sa;
	}
	return false;
}

bool load_round_go(struct load *l, struct round *r)
{
	usec_t now_us = clock_now_us();
	for (unsigned i = 0; i < r->asked;) {
		struct terminal *t = r->under_way[i];
		bool answered = round_answered(r, t), late = now_us - t->asked_us > RETRY_US;
		if (!answered && late && t->tries < TRIES_MAX)
			round_ask(l, r, t, now_us);
		if (answered || (late && t->tries >= TRIES_MAX)) {
			r->done += answered;
			r->lost += !answered;
			r->under_way[i] = r->under_way[--r->asked];
		} else {
			i++;
		}
	}
	while (r->asked < ROUND_AT_ONCE && r->next < r->count) {
		struct terminal *t = r->all[r->next++];
		r->under_way[r->asked++] = t;
		round_ask(l, r, t, now_us);
	}
	return r->asked > 0;
}

void load_round_end(struct round *r)
{
	free(r->all);
}
