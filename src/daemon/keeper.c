/* SPDX-License-Identifier: MIT */
/*
 * The line to the home server and its connections.
 *
 * Order at a start: IKE_AUTH's response brings our home addresses (assigned), proves the server
 * (sa_up) and completes the first child SA (child_up), whose setup registered it.  From then on
 * the mover says which care-of addresses want connections.  Spares are made when nothing else
 * is.
 *
 * When nothing of the line answers any more, another one is sought beside it; the first that comes
 * up replaces it, connection by connection, so that what the old one still carries is not lost.
 */
#include "daemon/keeper.h"

#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include "base/mem.h"
#include "daemon/keeper_state.h"

#define SILENT_US      (1500 * USEC_PER_MS) /* nothing answers: another line is sought */
#define NO_MORE_US     (60 * USEC_PER_SEC)  /* the server makes no more children */
#define WISH_AGAIN_US  (5 * USEC_PER_SEC)
#define CHILD_AGAIN_US USEC_PER_SEC /* the only child SA was deleted by the server */
#define SHORT_LINE_US  (10 * USEC_PER_SEC)
#define SPARE_WAIT_US  USEC_PER_SEC
#define LOOK_US	       (500 * USEC_PER_MS)

/* --- names and preferences */

static bool place_suits(const struct keeper_place *p, const struct care_of *at)
{
	if (p->interface[0] && strcmp(p->interface, at->interface) != 0)
		return false;
	return !p->has_network || (network_known(&at->network) &&
				   memcmp(&p->network, &at->network, sizeof p->network) == 0);
}

int keeper_preference(const struct keeper *k, const struct care_of *at, const char **name)
{
	const struct keeper_place *best = NULL;
	for (uint8_t i = 0; i < k->cfg.place_count; i++) {
		const struct keeper_place *p = &k->cfg.places[i];
		if (place_suits(p, at) && (!best || p->preference < best->preference))
			best = p;
	}
	if (name)
		*name = best ? best->name : at->interface;
	/* What no place names comes after all of them, in the order of its appearance. */
	return best ? best->preference : INT_MAX / 2;
}

/* "wlan0", or "wlan0-2" when that is taken. */
static void name_choose(const struct keeper *k, const char *wish, char out[CONN_NAME_MAX])
{
	snprintf(out, CONN_NAME_MAX, "%s", wish);
	for (unsigned i = 2; conn_find_name(k->table, NULL, out); i++)
		snprintf(out, CONN_NAME_MAX, "%.*s-%u", CONN_NAME_MAX - 12, wish, i);
}

void keeper_trouble_set(struct keeper *k, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(k->trouble, sizeof k->trouble, fmt, ap);
	va_end(ap);
}

struct wish *keeper_wish_new(const struct keeper *k, const struct care_of *at, bool reg)
{
	struct wish *w = mem_zalloc(sizeof *w);
	struct ike_sj_connection *c = &w->connection;
	const char *name = "spare";
	if (at) {
		w->care_of = *at;
		(void)keeper_preference(k, at, &name);
	}
	snprintf(c->name, sizeof c->name, "%s", name);
	c->spare = !at;
	c->reg = reg;
	c->lifetime_s = k->cfg.lifetime_s;
	return w;
}

static void wish_drop(struct line *l, struct wish *w)
{
	for (struct wish **p = &l->wishes; *p; p = &(*p)->next)
		if (*p == w) {
			*p = w->next;
			free(w);
			return;
		}
}

/* --- ways for the IKE SA */

/* Of ours, the n-th in order of preference. */
static const struct care_of *care_of_at(const struct keeper *k, unsigned n)
{
	bool taken[MOVER_CARE_OFS_MAX] = {false};
	const struct care_of *best = NULL;
	for (unsigned round = 0; round <= n; round++) {
		size_t best_at = 0;
		best = NULL;
		for (size_t i = 0; i < k->care_of_count; i++) {
			const struct care_of *c = &k->care_ofs[i];
			if (taken[i] || addr_is_link_local(&c->addr))
				continue;
			if (best &&
			    keeper_preference(k, c, NULL) >= keeper_preference(k, best, NULL))
				continue;
			best = c;
			best_at = i;
		}
		if (!best)
			return NULL;
		taken[best_at] = true;
	}
	return best;
}

bool keeper_way_at(const struct keeper *k, unsigned n, struct care_of *at, struct endpoint *server)
{
	const struct care_of *c;
	for (unsigned i = 0; (c = care_of_at(k, i)); i++)
		for (uint8_t s = 0; s < k->server_count; s++) {
			if (k->servers[s].addr.family != c->addr.family || n--)
				continue;
			*at = *c;
			*server = k->servers[s];
			return true;
		}
	return false;
}

/* The server's address that a care-of address reaches: the one the line is with, when its family
 * fits; another one of it otherwise.  What began on the IKE port went on to the one for UDP
 * encapsulation. */
static bool server_for(const struct keeper *k, const struct care_of *at, struct endpoint *out)
{
	const struct line *l = k->line;
	if (l && l->way.server.addr.family == at->addr.family) {
		*out = l->way.server;
		return true;
	}
	for (uint8_t s = 0; s < k->server_count; s++) {
		if (k->servers[s].addr.family != at->addr.family)
			continue;
		*out = k->servers[s];
		if (l && l->way.path.natt && out->port == IKE_PORT)
			out->port = IKE_PORT_NATT;
		return true;
	}
	return false;
}

static bool way_serves(const struct way *w, const struct care_of *at)
{
	return w->open && w->at.ifindex == at->ifindex && addr_equal(&w->at.addr, &at->addr);
}

/* Until a way is ready the IKE SA goes by the one before; and what is being answered goes back the
 * way it came. */
static void way_take(struct keeper *k, struct line *l, const struct way *way)
{
	if (l->moving) {
		way_close(k, &l->way);
	} else {
		way_close(k, &l->left);
		l->left = l->way;
	}
	l->way = *way;
	l->moving = !way->ready;
}

void keeper_follow(struct keeper *k, const struct care_of *at, bool tell, usec_t now_us)
{
	struct line *l = k->line;
	struct endpoint server;
	struct way way;
	if (!l || !at || way_serves(&l->way, at) || !server_for(k, at, &server) ||
	    !way_open(k, &way, at, &server))
		return;
	way_take(k, l, &way);
	if (way.ready)
		ike_sa_move(k->engine, l->sa, &l->way.path, tell, now_us);
}

static const struct care_of *care_of_of(const struct keeper *k, const struct conn *c)
{
	for (size_t i = 0; i < k->care_of_count && c; i++)
		if (k->care_ofs[i].ifindex == c->ifindex &&
		    addr_equal(&k->care_ofs[i].addr, &c->care_of.addr))
			return &k->care_ofs[i];
	return NULL;
}

/* Without an active connection (at home, say): the way it goes by, unless that is silent and
 * another one is known to work. */
static const struct care_of *care_of_idle(const struct keeper *k)
{
	const struct care_of *here = NULL, *other = NULL;
	bool silent = false;
	for (size_t i = 0; i < k->care_of_count; i++)
		if (way_serves(&k->line->way, &k->care_ofs[i]))
			here = &k->care_ofs[i];
	for (const struct tended *t = k->line->tended; t; t = t->next) {
		const struct care_of *at = care_of_of(k, t->conn);
		silent |= at && at == here && t->conn->state == CONN_STALE;
		if (at && at != here && t->conn->state == CONN_READY)
			other = at;
	}
	return here && !(silent && other) ? here : other ? other : care_of_at(k, 0);
}

/* To the active connection's care-of address, else to the best there is. */
static void follow_binding(struct keeper *k, usec_t now_us)
{
	struct line *l = k->line;
	if (!l || !l->sojourn)
		return;
	const struct care_of *at = care_of_of(k, k->mover ? mover_active(k->mover) : NULL);
	struct care_of was = l->way.at;
	keeper_follow(k, at ? at : care_of_idle(k), false, now_us);
	/* No packet says where we are. */
	if (!at && !l->moving && !way_serves(&l->way, &was))
		ike_sa_probe(k->engine, l->sa, now_us);
}

/* --- connections of the line */

static struct tended *tended_of(const struct line *l, const struct conn *c)
{
	for (struct tended *t = l ? l->tended : NULL; t; t = t->next)
		if (t->conn == c)
			return t;
	return NULL;
}

static struct line *line_of(const struct keeper *k, const struct ike_sa *sa)
{
	if (k->line && k->line->sa == sa)
		return k->line;
	return k->old && k->old->sa == sa ? k->old : NULL;
}

static void tended_remove(struct keeper *k, struct line *l, struct tended *t, usec_t now_us)
{
	struct conn *c = t->conn;
	if (l->sa)
		joint_forget(l->sa, c);
	for (struct tended **p = &l->tended; *p; p = &(*p)->next)
		if (*p == t) {
			*p = t->next;
			break;
		}
	free(t);
	if (l->conn == c)
		gateway_gone(k, c);
	if (k->mover)
		mover_remove(k->mover, c, now_us);
	k->ops.leaving(k->ops.ctx, c);
	k->ops.joint.conn_remove(k->ops.joint.ctx, c);
}

static void line_free(struct keeper *k, struct line *l, usec_t now_us)
{
	while (l->tended)
		tended_remove(k, l, l->tended, now_us);
	while (l->wishes)
		wish_drop(l, l->wishes);
	way_close(k, &l->way);
	way_close(k, &l->left);
	if (l->peer)
		k->ops.joint.peer_retire(k->ops.joint.ctx, l->peer);
	mem_wipe(l->key, sizeof l->key);
	free(l);
}

/* What is left of the line goes at once; its IKE SA when the server has been told. */
static void line_close(struct keeper *k, struct line *l, bool at_once, const char *why,
		       usec_t now_us)
{
	struct closing *c = mem_zalloc(sizeof *c);
	for (struct tended *t = l->tended; t; t = t->next)
		joint_forget(l->sa, t->conn);
	struct way *by = l->moving ? &l->left : &l->way;
	*c = (struct closing){.sa = l->sa, .way = *by, .next = k->closing};
	k->closing = c;
	l->sa = NULL;
	*by = (struct way){0};
	line_free(k, l, now_us);
	ike_sa_close(k->engine, c->sa, why, at_once, now_us);
}

static void closing_end(struct keeper *k, struct closing **at)
{
	struct closing *c = *at;
	*at = c->next;
	way_close(k, &c->way);
	free(c);
}

static void old_end(struct keeper *k, usec_t now_us)
{
	struct line *l = k->old;
	k->old = NULL;
	if (l)
		line_close(k, l, true, "another one took over", now_us);
}

/* The IKE SA went on from the IKE port to the one for UDP encapsulation (RFC 7296 2.23). */
static void way_float(struct keeper *k, struct line *l)
{
	const struct ike_path *path = ike_sa_path(l->sa);
	struct endpoint server = l->way.server;
	struct way way;
	server.port = path->remote.port;
	if (endpoint_equal(&server, &l->way.server) || !way_open(k, &way, &l->way.at, &server))
		return;
	way.path = *path;
	way.ready = true;
	way_close(k, &l->way);
	l->way = way;
}

void keeper_line_begin(struct keeper *k, struct attempt *a, usec_t now_us)
{
	struct line *l = mem_zalloc(sizeof *l);
	old_end(k, now_us);
	l->sa = a->sa;
	l->way = a->way;
	l->wishes = a->wish;
	l->up_us = now_us;
	l->sojourn = ike_sa_is_sojourn(a->sa);
	if (joint_registration_key(l->sa, l->key) < 0)
		log_error(k->log, "keeper: the library cannot derive a key");
	/* Taken over: what is left of the attempt ends nothing. */
	*a = (struct attempt){0};
	k->leader = NULL;
	seeker_end(k, now_us);
	k->old = k->line;
	k->line = l;
	k->failures = 0;
	k->silent_us = 0;
	k->trouble[0] = '\0';
	way_float(k, l);
}

static bool same_homes(const struct keeper_assigned *a, const struct keeper_assigned *b)
{
	if (a->home_count != b->home_count)
		return false;
	for (uint8_t i = 0; i < a->home_count; i++)
		if (!addr_equal(&a->homes[i], &b->homes[i]))
			return false;
	return true;
}

/* Our addresses, by the server or by the configuration. */
static void homes_take(struct keeper *k)
{
	struct keeper_assigned was = k->assigned;
	k->assigned = k->offered;
	if (!k->assigned.home_count) {
		k->assigned.home_count = k->cfg.home_count;
		memcpy(k->assigned.homes, k->cfg.homes, sizeof k->cfg.homes);
	}
	if (!same_homes(&was, &k->assigned) || was.dns_count != k->assigned.dns_count ||
	    memcmp(was.dns, k->assigned.dns, sizeof was.dns) != 0)
		k->ops.assigned(k->ops.ctx, &k->assigned);
}

static struct peer *peer_for(struct keeper *k)
{
	struct joint_peer p = {.is_home_server = true, .replay_packets = k->cfg.replay_packets};
	for (uint8_t i = 0; i < k->assigned.home_count; i++)
		p.prefixes[p.prefix_count++] = prefix_host(&k->assigned.homes[i]);
	for (uint8_t i = 0; i < k->cfg.prefix_count; i++)
		p.prefixes[p.prefix_count++] = k->cfg.prefixes[i];
	return k->ops.joint.peer_new(k->ops.joint.ctx, &p);
}

/* The mover knows this server, its clock and its key. */
static int agent_take(struct keeper *k, const struct ike_child_up *up)
{
	const struct ike_sj_registered *r = up->registered;
	if (!r)
		return k->mover ? 0 : -1;
	struct mover_agent agent = {.home_agent4 = r->home_agent4,
				    .home_agent6 = r->home_agent6,
				    .mn_ha_spi = JOINT_KEY_SPI,
				    .mn_ha_key = k->line->key,
				    .mn_ha_key_len = sizeof k->line->key,
				    .clock = r->time};
	if (k->cfg.mn_ha_key_len) { /* the server has it, too */
		agent.mn_ha_spi = k->cfg.mn_ha_spi;
		agent.mn_ha_key = k->cfg.mn_ha_key;
		agent.mn_ha_key_len = k->cfg.mn_ha_key_len;
	}
	if (k->mover && same_homes(&k->mover_for, &k->assigned)) {
		mover_set_agent(k->mover, &agent);
		return 0;
	}
	old_end(k, k->line->up_us);
	k->mover_for = k->assigned;
	k->mover = k->ops.mover_make(k->ops.ctx, k->assigned.homes, k->assigned.home_count, &agent);
	return k->mover ? 0 : -1;
}

static void mover_take(struct keeper *k, struct tended *t, const struct wish *w,
		       const struct ike_child_up *up, usec_t now_us)
{
	struct mover_connection mc = {.conn = t->conn, .made = true, .spare = t->spare};
	const struct ike_sj_registered *r = up->registered;
	if (!t->spare) {
		memcpy(mc.interface, w->care_of.interface, sizeof mc.interface);
		mc.has_network = network_known(&w->care_of.network);
		mc.network = w->care_of.network;
		mc.preference = keeper_preference(k, &w->care_of, NULL);
		(void)server_for(k, &w->care_of, &t->conn->server);
	}
	if (w->connection.reg && r && r->code == 0)
		mc.registered_s = r->lifetime_s;
	else if (w->connection.reg && r)
		log_warn(k->log, "keeper: not registered by its setup connection=%s code=%u",
			 t->conn->name, r->code);
	if (mover_add(k->mover, &mc, now_us) < 0)
		log_error(k->log, "keeper: connection=%s cannot be added twice", t->conn->name);
}

/* --- from the engine */

bool keeper_proceed(struct keeper *k, struct ike_sa *sa, usec_t now_us)
{
	if (!seeker_find(k, sa) || (k->leader && k->leader != sa))
		return false;
	if (!k->leader) {
		k->leader_us = now_us;
		memset(&k->offered, 0, sizeof k->offered);
	}
	k->leader = sa;
	return true;
}

void keeper_address(struct keeper *k, struct ike_sa *sa, const struct ike_cp *reply)
{
	struct keeper_assigned a = {0};
	if (sa != k->leader && !line_of(k, sa))
		return;
	for (uint8_t i = 0; i < reply->count; i++) {
		uint16_t attr = reply->at[i].attr;
		bool six = attr == IKE_CP_IP6_ADDRESS || attr == IKE_CP_IP6_DNS;
		if (reply->at[i].len < (six ? 16 : 4))
			continue;
		struct addr addr = addr_from_bytes(six ? 6 : 4, reply->at[i].value);
		if ((attr == IKE_CP_IP4_ADDRESS || attr == IKE_CP_IP6_ADDRESS) &&
		    a.home_count < KEEPER_HOMES_MAX && !addr_is_any(&addr) &&
		    !addr_is_multicast(&addr))
			a.homes[a.home_count++] = addr;
		else if ((attr == IKE_CP_IP4_DNS || attr == IKE_CP_IP6_DNS) &&
			 a.dns_count < KEEPER_DNS_MAX)
			a.dns[a.dns_count++] = addr;
	}
	k->offered = a;
}

void keeper_sa_up(struct keeper *k, struct ike_sa *sa, usec_t now_us)
{
	struct attempt *a = seeker_find(k, sa);
	char server[ENDPOINT_TEXT_MAX];
	if (!a)
		return;
	keeper_line_begin(k, a, now_us);
	log_info(k->log, "keeper: up server=%s interface=%s sojourn=%s",
		 endpoint_format(&k->line->way.server, server), k->line->way.at.interface,
		 k->line->sojourn ? "yes" : "no");
}

static void lost(struct keeper *k, const char *why, usec_t up_us, usec_t now_us)
{
	keeper_trouble_set(k, "%s", why);
	seeker_begin(k, now_us);
	/* What ends as soon as it is up is not begun again without a pause. */
	if (k->up && now_us < up_us + SHORT_LINE_US)
		k->seek_us = now_us + WISH_AGAIN_US;
}

void keeper_sa_down(struct keeper *k, struct ike_sa *sa, uint16_t notify, const char *why,
		    usec_t now_us)
{
	struct attempt *a = seeker_find(k, sa);
	struct line *l = line_of(k, sa);
	for (struct closing **c = &k->closing; *c; c = &(*c)->next)
		if ((*c)->sa == sa) {
			closing_end(k, c);
			return;
		}
	if (a)
		seeker_failed(k, a, notify, why, now_us);
	if (!l)
		return;
	log_warn(k->log, "keeper: the line ended reason=\"%s\"", why);
	usec_t up_us = l->up_us;
	*(l == k->line ? &k->line : &k->old) = NULL;
	line_free(k, l, now_us);
	if (!k->line)
		lost(k, why, up_us, now_us);
}

void keeper_sa_rekeyed(struct keeper *k, struct ike_sa *old, struct ike_sa *fresh)
{
	struct line *l = line_of(k, old);
	if (l)
		l->sa = fresh;
}

void keeper_sa_moved(struct keeper *k, struct ike_sa *sa, const struct ike_path *path,
		     usec_t now_us)
{
	if (k->line && k->line->sa == sa && !k->line->sojourn)
		gateway_moved(k, path, now_us);
}

static uint16_t rekeyed(struct keeper *k, struct line *l, struct ike_child_up *up)
{
	struct tended *t = tended_of(l, ike_child_user(up->replaces));
	if (!t)
		return IKE_N_CHILD_SA_NOT_FOUND;
	if (k->ops.joint.conn_rekey(k->ops.joint.ctx, t->conn, up) < 0)
		return IKE_N_TEMPORARY_FAILURE;
	t->child = up->child;
	ike_child_set_user(up->child, t->conn);
	/* The other side has it already; who answers waits for the old one's end. */
	if (up->initiator)
		k->ops.joint.conn_switch(k->ops.joint.ctx, t->conn, up->spi_in);
	return 0;
}

uint16_t keeper_child_up(struct keeper *k, struct ike_child_up *up, usec_t now_us)
{
	struct line *l = line_of(k, up->sa);
	char name[CONN_NAME_MAX];
	if (!l || (l != k->line && !up->replaces))
		return IKE_N_NO_ADDITIONAL_SAS;
	if (up->replaces)
		return rekeyed(k, l, up);
	if (!up->initiator)
		return IKE_N_NO_ADDITIONAL_SAS; /* we say which connections there are */
	struct wish *w = up->user ? up->user : l->peer ? NULL : l->wishes;
	if (!w)
		return IKE_N_NO_ADDITIONAL_SAS;
	if (!l->peer) {
		homes_take(k);
		if (!k->assigned.home_count) {
			keeper_trouble_set(k, "the server assigned no home address");
			return IKE_N_INTERNAL_ADDRESS_FAILURE;
		}
		l->peer = peer_for(k);
	}
	name_choose(k, w->connection.name, name);
	struct conn *c = l->sojourn && agent_take(k, up) < 0
			     ? NULL
			     : k->ops.joint.conn_make(k->ops.joint.ctx, up, name, l->peer, NULL);
	if (!c)
		return IKE_N_NO_ADDITIONAL_SAS;
	struct tended *t = mem_zalloc(sizeof *t);
	*t = (struct tended){.conn = c, .child = up->child, .spare = w->connection.spare};
	t->next = l->tended;
	l->tended = t;
	ike_child_set_user(up->child, c);
	if (l->sojourn)
		mover_take(k, t, w, up, now_us);
	else
		gateway_child_up(k, t, now_us);
	wish_drop(l, w);
	old_end(k, now_us);
	follow_binding(k, now_us);
	return 0;
}

void keeper_child_switch(struct keeper *k, struct ike_child *child)
{
	struct conn *c = ike_child_user(child);
	if (c)
		k->ops.joint.conn_switch(k->ops.joint.ctx, c, ike_child_spi_in(child));
}

void keeper_child_down(struct keeper *k, struct ike_child *child, const char *why, usec_t now_us)
{
	struct conn *c = ike_child_user(child);
	struct line *l = line_of(k, ike_child_sa(child));
	struct tended *t = tended_of(l, c);
	if (!t)
		return;
	struct ike_child *other = joint_other_child(child);
	if (other) { /* rekeyed: the connection goes on */
		k->ops.joint.conn_drop(k->ops.joint.ctx, c, ike_child_spi_in(child));
		t->child = other;
		return;
	}
	log_info(k->log, "keeper: connection ended connection=%s reason=\"%s\"", c->name, why);
	tended_remove(k, l, t, now_us);
	if (!l->sojourn && !l->tended && l->wish_after_us < now_us + CHILD_AGAIN_US)
		l->wish_after_us = now_us + CHILD_AGAIN_US;
}

void keeper_child_failed(struct keeper *k, struct ike_sa *sa, void *user, uint16_t notify,
			 usec_t now_us)
{
	struct line *l = line_of(k, sa);
	struct wish *w = user ? user : l ? l->wishes : NULL;
	if (!l || !w)
		return;
	log_warn(k->log, "keeper: no connection name=%s notify=%s", w->connection.name,
		 notify ? ike_notify_text(notify) : "none");
	keeper_trouble_set(k, "no connection: %s", notify ? ike_notify_text(notify) : "no answer");
	l->wish_after_us =
	    now_us + (notify == IKE_N_NO_ADDITIONAL_SAS ? NO_MORE_US : WISH_AGAIN_US);
	wish_drop(l, w);
	/* An IKE SA without any connection is of no use: begin again, later. */
	if (l == k->line && !l->tended) {
		k->line = NULL;
		line_close(k, l, false, "no connection could be made", now_us);
		k->failures++;
		k->tried = 0;
		k->seek_us = k->up ? now_us + WISH_AGAIN_US : USEC_NEVER;
	}
}

uint8_t keeper_addresses(const struct keeper *k, const struct ike_sa *sa, struct addr *out,
			 uint8_t room)
{
	const struct addr *at = &ike_sa_path(sa)->local.addr;
	uint8_t count = 0;
	for (size_t i = 0; i < k->care_of_count && count < room; i++)
		if (!addr_equal(&k->care_ofs[i].addr, at) &&
		    !addr_is_link_local(&k->care_ofs[i].addr))
			out[count++] = k->care_ofs[i].addr;
	return count;
}

/* --- from the mover */

static unsigned wishes_for(const struct line *l, const struct care_of *at)
{
	unsigned count = 0;
	for (const struct wish *w = l->wishes; w; w = w->next)
		count += at ? w->care_of.ifindex == at->ifindex &&
				  w->care_of.addr.family == at->addr.family
			    : w->connection.spare;
	return count;
}

static void wish_make(struct keeper *k, const struct care_of *at, bool reg, usec_t now_us)
{
	struct line *l = k->line;
	struct wish *w = keeper_wish_new(k, at, reg);
	struct wish **end = &l->wishes;
	while (*end)
		end = &(*end)->next;
	*end = w;
	if (ike_child_create(k->engine, l->sa, &w->connection, w, now_us) == 0)
		return;
	l->wish_after_us = now_us + WISH_AGAIN_US;
	wish_drop(l, w);
}

void keeper_wanted(struct keeper *k, const struct care_of *care_of, usec_t now_us)
{
	struct line *l = k->line;
	struct endpoint server;
	/* Without a mover it is being made: it says so again with its first connection. */
	if (!k->mover || !l || !l->sojourn || !l->peer || now_us < l->wish_after_us ||
	    !server_for(k, care_of, &server) || wishes_for(l, care_of))
		return;
	/* With nothing that works its setup may as well register it. */
	bool reg = !mover_works(k->mover) && mover_place(k->mover) != MOVER_HOME;
	wish_make(k, care_of, reg, now_us);
}

int keeper_spare_taken(struct keeper *k, struct conn *conn, const struct care_of *care_of)
{
	struct tended *t = tended_of(k->line, conn);
	const char *wish;
	char name[CONN_NAME_MAX];
	int preference = keeper_preference(k, care_of, &wish);
	name_choose(k, wish, name);
	if (conn_set_name(k->table, conn, name) < 0)
		log_warn(k->log, "keeper: name taken connection=%s", conn->name);
	(void)server_for(k, care_of, &conn->server);
	if (t) {
		t->spare = false;
		k->line->spare_taken = true;
	}
	return preference;
}

void keeper_activated(struct keeper *k, usec_t now_us)
{
	follow_binding(k, now_us);
}

void keeper_rekey(struct keeper *k, struct conn *conn, usec_t now_us)
{
	struct tended *t = tended_of(k->line, conn);
	if (t)
		ike_child_rekey(k->engine, t->child, now_us);
}

void keeper_expired(struct keeper *k, struct conn *conn, usec_t now_us)
{
	struct tended *t = tended_of(k->line, conn);
	if (!t || t->ending)
		return;
	t->ending = true;
	ike_child_delete(k->engine, t->child, "spent", now_us);
}

/* --- care-of addresses, servers, wishes of a person */

void keeper_care_ofs(struct keeper *k, const struct care_of *list, size_t count, const char *cause,
		     usec_t at_us, usec_t now_us)
{
	k->care_of_count = count < MOVER_CARE_OFS_MAX ? count : MOVER_CARE_OFS_MAX;
	for (size_t i = 0; i < k->care_of_count; i++)
		k->care_ofs[i] = list[i];
	snprintf(k->cause, sizeof k->cause, "%s", cause ? cause : "");
	k->cause_us = at_us;
	if (k->line && !k->care_of_count)
		ike_sa_hold(k->engine, k->line->sa, true, now_us);
	/* First the IKE SA, so that what the mover wants is asked for on a way that is there. */
	follow_binding(k, now_us);
	if (k->mover)
		mover_care_ofs(k->mover, list, count, cause, at_us, now_us);
	follow_binding(k, now_us);
	if (k->line && !k->line->sojourn)
		gateway_care_ofs(k, now_us);
	if (k->line && k->care_of_count)
		ike_sa_hold(k->engine, k->line->sa, false, now_us);
	seeker_care_ofs(k, now_us);
}

void keeper_servers(struct keeper *k, const struct endpoint *servers, uint8_t count, usec_t now_us)
{
	uint8_t n = count < KEEPER_SERVERS_MAX ? count : KEEPER_SERVERS_MAX;
	bool same = n == k->server_count;
	for (uint8_t i = 0; i < n && same; i++)
		same = endpoint_equal(&k->servers[i], &servers[i]);
	if (same)
		return;
	k->server_count = n;
	for (uint8_t i = 0; i < n; i++)
		k->servers[i] = servers[i];
	seeker_care_ofs(k, now_us);
}

void keeper_ways_changed(struct keeper *k, usec_t now_us)
{
	struct line *l = k->line;
	if (l && l->moving) {
		struct way again;
		if (way_open(k, &again, &l->way.at, &l->way.server)) {
			way_take(k, l, &again);
			if (again.ready)
				ike_sa_move(k->engine, l->sa, &l->way.path, !l->sojourn, now_us);
			if (again.ready && l->sojourn && !(k->mover && mover_active(k->mover)))
				ike_sa_probe(k->engine, l->sa, now_us);
			if (again.ready && !l->sojourn)
				gateway_way_ready(k, now_us);
		}
	}
	(void)seeker_tick(k, now_us);
}

void keeper_up(struct keeper *k, usec_t now_us)
{
	k->up = true;
	k->failures = 0;
	if (!k->line)
		seeker_begin(k, now_us);
}

static void down(struct keeper *k, bool at_once, const char *why, usec_t now_us)
{
	struct line *l = k->line;
	seeker_end(k, now_us);
	old_end(k, now_us);
	k->line = NULL;
	if (l)
		line_close(k, l, at_once, why, now_us);
}

void keeper_down(struct keeper *k, usec_t now_us)
{
	k->up = false;
	down(k, false, "asked for", now_us);
}

/* --- time */

/* The connection that was left for longest makes room. */
static void make_room(struct keeper *k, usec_t now_us)
{
	struct line *l = k->line;
	struct tended *stalest = NULL;
	unsigned count = 0;
	for (struct tended *t = l->tended; t; t = t->next) {
		bool gone = t->conn->state == CONN_STALE || t->conn->state == CONN_EXPIRED;
		count++;
		if (gone && !t->ending && (!stalest || t->conn->since_us < stalest->conn->since_us))
			stalest = t;
	}
	if (count <= k->cfg.connections_max || !stalest)
		return;
	stalest->ending = true;
	ike_child_delete(k->engine, stalest->child, "too many", now_us);
}

static void spares_top_up(struct keeper *k, usec_t now_us)
{
	struct line *l = k->line;
	unsigned spares = wishes_for(l, NULL);
	/* Not in the middle of a move. */
	if (l->spare_taken)
		l->spare_after_us = now_us + SPARE_WAIT_US;
	l->spare_taken = false;
	if (now_us < l->spare_after_us)
		return;
	for (const struct tended *t = l->tended; t; t = t->next)
		spares += t->spare;
	/* One after the other: what a care-of address wants comes first. */
	if (spares < k->cfg.spares && !l->wishes && now_us >= l->wish_after_us)
		wish_make(k, NULL, false, now_us);
}

/* Nothing answers: perhaps the server was restarted and knows nothing of us. */
static void watch_silence(struct keeper *k, usec_t now_us)
{
	if (!k->mover || mover_works(k->mover) || mover_place(k->mover) == MOVER_HOME ||
	    !k->care_of_count) {
		k->silent_us = 0;
		if (seeker_busy(k) && !k->leader)
			seeker_end(k, now_us);
		return;
	}
	if (!k->silent_us)
		k->silent_us = now_us;
	if (now_us >= k->silent_us + SILENT_US && !seeker_busy(k))
		seeker_begin(k, now_us);
}

static usec_t line_tick(struct keeper *k, usec_t now_us)
{
	struct line *l = k->line;
	if (!l->sojourn && l->peer && !l->tended && !l->wishes && l->wish_after_us) {
		if (now_us < l->wish_after_us)
			return l->wish_after_us;
		wish_make(k, &l->way.at, false, now_us);
	}
	if (!l->sojourn)
		return gateway_tick(k, now_us);
	if (!l->peer)
		return now_us + LOOK_US;
	watch_silence(k, now_us);
	follow_binding(k, now_us);
	if (k->mover && now_us >= l->wish_after_us && l->wish_after_us) {
		l->wish_after_us = 0;
		mover_look(k->mover, now_us);
	}
	spares_top_up(k, now_us);
	make_room(k, now_us);
	return now_us + LOOK_US;
}

usec_t keeper_tick(struct keeper *k, usec_t now_us)
{
	usec_t next = k->line ? line_tick(k, now_us) : USEC_NEVER;
	usec_t seek = seeker_tick(k, now_us);
	return seek < next ? seek : next;
}

/* --- begin, end, display */

struct keeper *keeper_new(const struct keeper_config *cfg, const struct keeper_ops *ops,
			  struct conn_table *table, struct moves *moves, const struct log *log)
{
	struct keeper *k = mem_zalloc(sizeof *k);
	k->cfg = *cfg;
	k->ops = *ops;
	k->table = table;
	k->moves = moves;
	k->log = log;
	k->seek_us = USEC_NEVER;
	return k;
}

void keeper_set_engine(struct keeper *k, struct ike *engine)
{
	k->engine = engine;
}

void keeper_adopt(struct keeper *k, struct mover *mover)
{
	k->mover = mover;
	k->mover_for.home_count = k->cfg.home_count;
	memcpy(k->mover_for.homes, k->cfg.homes, sizeof k->cfg.homes);
}

void keeper_free(struct keeper *k, usec_t now_us)
{
	if (!k)
		return;
	k->up = false;
	down(k, true, "the terminal ends", now_us);
	while (k->closing)
		closing_end(k, &k->closing);
	mem_wipe(&k->cfg, sizeof k->cfg);
	free(k);
}

void keeper_configure(struct keeper *k, const struct keeper_config *cfg, usec_t now_us)
{
	bool same = cfg->peer == k->cfg.peer && cfg->home_count == k->cfg.home_count &&
		    !memcmp(cfg->homes, k->cfg.homes, sizeof cfg->homes) &&
		    cfg->prefix_count == k->cfg.prefix_count &&
		    !memcmp(cfg->prefixes, k->cfg.prefixes, sizeof cfg->prefixes) &&
		    cfg->replay_packets == k->cfg.replay_packets;
	k->cfg = *cfg;
	if (!same) {
		down(k, false, "the configuration changed", now_us);
		if (k->up)
			seeker_begin(k, now_us);
		return;
	}
	for (struct tended *t = k->line ? k->line->tended : NULL; t; t = t->next)
		for (size_t i = 0; i < k->care_of_count && k->mover && !t->spare; i++)
			if (k->care_ofs[i].ifindex == t->conn->ifindex)
				mover_prefer(k->mover, t->conn,
					     keeper_preference(k, &k->care_ofs[i], NULL), now_us);
}

const char *keeper_state_text(enum keeper_state s)
{
	switch (s) {
	case KEEPER_DOWN:
		return "down";
	case KEEPER_SEEKING:
		return "seeking";
	case KEEPER_UP:
		return "up";
	}
	return "unknown";
}

enum keeper_state keeper_state(const struct keeper *k)
{
	return k->line && k->line->peer ? KEEPER_UP : k->up ? KEEPER_SEEKING : KEEPER_DOWN;
}

const struct keeper_assigned *keeper_assigned(const struct keeper *k)
{
	return &k->assigned;
}

struct ike_sa *keeper_sa(const struct keeper *k)
{
	return k->line ? k->line->sa : NULL;
}

const char *keeper_trouble(const struct keeper *k)
{
	return k->trouble;
}
