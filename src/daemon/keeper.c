/* SPDX-License-Identifier: MIT */
/*
 * What the mover, a person and the time want of the line (keeper_line.c).
 *
 * The mover says which care-of addresses want connections; spares are made when nothing else is.
 * When nothing of the line answers any more, another one is sought beside it.
 */
#include "daemon/keeper.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include "base/mem.h"
#include "daemon/keeper_state.h"

#define SILENT_US     (1500 * USEC_PER_MS) /* nothing answers: another line is sought */
#define SPARE_WAIT_US USEC_PER_SEC
#define LOOK_US	      (500 * USEC_PER_MS)

void keeper_trouble_set(struct keeper *k, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(k->trouble, sizeof k->trouble, fmt, ap);
	va_end(ap);
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
	keeper_wish_drop(l, w);
}

void keeper_wanted(struct keeper *k, const struct care_of *care_of, usec_t now_us)
{
	struct line *l = k->line;
	struct endpoint server;
	/* Without a mover it is being made: it says so again with its first connection. */
	if (!k->mover || !l || !l->sojourn || !l->peer || now_us < l->wish_after_us ||
	    !keeper_server_for(k, care_of, &server) || wishes_for(l, care_of))
		return;
	/* With nothing that works its setup may as well register it. */
	bool reg = !mover_works(k->mover) && mover_place(k->mover) != MOVER_HOME;
	wish_make(k, care_of, reg, now_us);
}

int keeper_spare_taken(struct keeper *k, struct conn *conn, const struct care_of *care_of)
{
	struct tended *t = keeper_tended(k->line, conn);
	const char *wish;
	char name[CONN_NAME_MAX];
	int preference = keeper_preference(k, care_of, &wish);
	keeper_name_choose(k, wish, name);
	if (conn_set_name(k->table, conn, name) < 0)
		log_warn(k->log, "keeper: name taken connection=%s", conn->name);
	(void)keeper_server_for(k, care_of, &conn->server);
	if (t) {
		t->spare = false;
		k->line->spare_taken = true;
	}
	return preference;
}

void keeper_activated(struct keeper *k, usec_t now_us)
{
	keeper_follow_binding(k, now_us);
}

void keeper_rekey(struct keeper *k, struct conn *conn, usec_t now_us)
{
	struct tended *t = keeper_tended(k->line, conn);
	if (t)
		ike_child_rekey(k->engine, t->child, now_us);
}

void keeper_expired(struct keeper *k, struct conn *conn, usec_t now_us)
{
	struct tended *t = keeper_tended(k->line, conn);
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
	keeper_follow_binding(k, now_us);
	if (k->mover)
		mover_care_ofs(k->mover, list, count, cause, at_us, now_us);
	keeper_follow_binding(k, now_us);
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
			keeper_way_take(k, l, &again);
			if (again.ready)
				ike_sa_move(k->engine, l->sa, &l->way.path, !l->sojourn, now_us);
			if (again.ready && l->sojourn)
				l->tell_us = now_us + TELL_WAIT_US;
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
	keeper_old_end(k, now_us);
	k->line = NULL;
	if (l)
		keeper_line_close(k, l, at_once, why, now_us);
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

/* The server learns from any message where the IKE SA is; with an active connection from that. */
static void tell_where(struct keeper *k, usec_t now_us)
{
	struct line *l = k->line;
	if (now_us < l->tell_us)
		return;
	l->tell_us = USEC_NEVER;
	if (!k->mover || !mover_active(k->mover))
		ike_sa_probe(k->engine, l->sa, now_us);
}

static usec_t line_tick(struct keeper *k, usec_t now_us)
{
	struct line *l = k->line;
	if (!l->sojourn && l->peer && !l->tended && !l->wishes && l->wish_after_us) {
		if (now_us < l->wish_after_us)
			return l->wish_after_us;
		wish_make(k, &l->way.at, false, now_us);
	}
	if (!l->moving)
		way_close(k, &l->left);
	if (!l->sojourn)
		return gateway_tick(k, now_us);
	if (!l->peer)
		return now_us + LOOK_US;
	watch_silence(k, now_us);
	tell_where(k, now_us);
	keeper_servers_turn(k, now_us);
	keeper_follow_binding(k, now_us);
	if (k->mover && now_us >= l->wish_after_us && l->wish_after_us) {
		l->wish_after_us = 0;
		mover_look(k->mover, now_us);
	}
	spares_top_up(k, now_us);
	make_room(k, now_us);
	return l->tell_us < now_us + LOOK_US ? l->tell_us : now_us + LOOK_US;
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
		keeper_closing_end(k, &k->closing);
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
