/* SPDX-License-Identifier: MIT */
/*
 * The line to the home server and its connections: what the engine tells.
 *
 * Order at a start: IKE_AUTH's response brings our home addresses (assigned), proves the server
 * (sa_up) and completes the first child SA (child_up), whose setup registered it.
 *
 * A line that another one takes over stays until the new one has a connection, so that what it
 * still carries is not lost.  Of a line that ends, connections go at once; its IKE SA stays, with
 * its way, until the server has been told.
 */
#include <stdio.h>
#include <string.h>
#include "base/mem.h"
#include "daemon/keeper_state.h"

#define NO_MORE_US     (60 * USEC_PER_SEC) /* the server makes no more children */
#define CHILD_AGAIN_US USEC_PER_SEC	   /* the only child SA was deleted by the server */
#define SHORT_LINE_US  (10 * USEC_PER_SEC)

/* "wlan0", or "wlan0-2" when that is taken. */
void keeper_name_choose(const struct keeper *k, const char *wish, char out[CONN_NAME_MAX])
{
	snprintf(out, CONN_NAME_MAX, "%s", wish);
	for (unsigned i = 2; conn_find_name(k->table, NULL, out); i++)
		snprintf(out, CONN_NAME_MAX, "%.*s-%u", CONN_NAME_MAX - 12, wish, i);
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

void keeper_wish_drop(struct line *l, struct wish *w)
{
	for (struct wish **p = &l->wishes; *p; p = &(*p)->next)
		if (*p == w) {
			*p = w->next;
			free(w);
			return;
		}
}

/* --- connections of the line */

struct tended *keeper_tended(const struct line *l, const struct conn *c)
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
		keeper_wish_drop(l, l->wishes);
	way_close(k, &l->way);
	way_close(k, &l->left);
	if (l->peer)
		k->ops.joint.peer_retire(k->ops.joint.ctx, l->peer);
	mem_wipe(l->key, sizeof l->key);
	free(l);
}

/* What is left of the line goes at once; its IKE SA when the server has been told. */
void keeper_line_close(struct keeper *k, struct line *l, bool at_once, const char *why,
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
	/* It need not outlast being without a network. */
	ike_sa_hold(k->engine, c->sa, false, now_us);
	ike_sa_close(k->engine, c->sa, why, at_once, now_us);
}

void keeper_closing_end(struct keeper *k, struct closing **at)
{
	struct closing *c = *at;
	*at = c->next;
	way_close(k, &c->way);
	free(c);
}

void keeper_old_end(struct keeper *k, usec_t now_us)
{
	struct line *l = k->old;
	k->old = NULL;
	if (l)
		keeper_line_close(k, l, true, "another one took over", now_us);
}

void keeper_line_begin(struct keeper *k, struct attempt *a, usec_t now_us)
{
	struct line *l = mem_zalloc(sizeof *l);
	keeper_old_end(k, now_us);
	l->sa = a->sa;
	l->way = a->way;
	l->wishes = a->wish;
	l->up_us = now_us;
	l->tell_us = USEC_NEVER;
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
	keeper_way_float(k, l);
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
	keeper_old_end(k, k->line->up_us);
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
		(void)keeper_server_for(k, &w->care_of, &t->conn->server);
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
			keeper_closing_end(k, c);
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
	for (struct closing *c = k->closing; c; c = c->next)
		if (c->sa == old) /* which is to be closed as well */
			c->sa = fresh;
}

void keeper_sa_moved(struct keeper *k, struct ike_sa *sa, const struct ike_path *path,
		     usec_t now_us)
{
	if (k->line && k->line->sa == sa && !k->line->sojourn)
		gateway_moved(k, path, now_us);
}

static uint16_t rekeyed(struct keeper *k, struct line *l, struct ike_child_up *up)
{
	struct tended *t = keeper_tended(l, ike_child_user(up->replaces));
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
	keeper_name_choose(k, w->connection.name, name);
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
	keeper_wish_drop(l, w);
	keeper_old_end(k, now_us);
	keeper_follow_binding(k, now_us);
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
	struct tended *t = keeper_tended(l, c);
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
	keeper_wish_drop(l, w);
	/* An IKE SA without any connection is of no use: begin again, later. */
	if (l == k->line && !l->tended) {
		k->line = NULL;
		keeper_line_close(k, l, false, "no connection could be made", now_us);
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
