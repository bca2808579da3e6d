/* SPDX-License-Identifier: MIT */
/*
 * Ways to the home server: every pair of a care-of address and a server address of its family,
 * the preferred care-of address first.
 *
 * An attempt begins on the first way at once, on the next one NEXT_US later while nothing has
 * answered, and so on (RFC 8305 in spirit).  When all were tried, the oldest attempt makes room
 * for the next round after ROUND_US; a round without an answer doubles the pause before the next.
 */
#include <stdio.h>
#include <string.h>
#include "base/mem.h"
#include "daemon/keeper_state.h"

#define NEXT_US	     (250 * USEC_PER_MS)
#define LEADER_US    (8 * USEC_PER_SEC) /* for IKE_AUTH, all its rounds */
#define ROUND_US     (4 * USEC_PER_SEC)
#define PAUSE_US     USEC_PER_SEC
#define PAUSE_MAX_US (30 * USEC_PER_SEC)

/* --- ways */

void way_close(struct keeper *k, struct way *w)
{
	if (w->open)
		k->ops.way_close(k->ops.ctx, &w->at, &w->server, w->native);
	*w = (struct way){0};
}

bool way_open(struct keeper *k, struct way *w, const struct care_of *at,
	      const struct endpoint *server)
{
	*w = (struct way){.at = *at, .server = *server, .native = !k->cfg.peer->force_udp};
	switch (k->ops.way_open(k->ops.ctx, at, server, w->native, &w->path)) {
	case KEEPER_WAY_OPEN:
		w->open = w->ready = true;
		return true;
	case KEEPER_WAY_WAITS:
		w->open = true;
		return true;
	case KEEPER_WAY_NONE:
		break;
	}
	return false;
}

static bool way_is(const struct way *w, const struct care_of *at, const struct endpoint *server)
{
	return w->at.ifindex == at->ifindex && addr_equal(&w->at.addr, &at->addr) &&
	       endpoint_equal(&w->server, server);
}

/* --- attempts */

struct attempt *seeker_find(struct keeper *k, const struct ike_sa *sa)
{
	for (unsigned i = 0; i < ATTEMPTS_MAX; i++)
		if (k->attempts[i].used && k->attempts[i].sa == sa)
			return &k->attempts[i];
	return NULL;
}

bool seeker_busy(const struct keeper *k)
{
	for (unsigned i = 0; i < ATTEMPTS_MAX; i++)
		if (k->attempts[i].used)
			return true;
	return k->seek_us != USEC_NEVER;
}

static void attempt_clear(struct keeper *k, struct attempt *a)
{
	way_close(k, &a->way);
	free(a->wish);
	*a = (struct attempt){0};
}

/* Its IKE SA is nobody's any more when it ends; what that still says goes by its own way. */
static void attempt_end(struct keeper *k, struct attempt *a, usec_t now_us)
{
	struct ike_sa *sa = a->sa;
	if (k->leader && k->leader == sa)
		k->leader = NULL;
	a->sa = NULL;
	if (sa)
		ike_sa_close(k->engine, sa, "another way", true, now_us);
	attempt_clear(k, a);
}

static void attempt_go(struct keeper *k, struct attempt *a, usec_t now_us)
{
	char care_of[ENDPOINT_TEXT_MAX], server[ENDPOINT_TEXT_MAX];
	a->since_us = now_us;
	a->sa =
	    ike_initiate(k->engine, k->cfg.peer, &a->way.path, &a->wish->connection, NULL, now_us);
	log_info(k->log, "keeper: asks server=%s care_of=%s interface=%s",
		 endpoint_format(&a->way.path.remote, server),
		 endpoint_format(&a->way.path.local, care_of), a->way.at.interface);
	if (!a->sa)
		attempt_clear(k, a);
}

static bool is_tried(const struct keeper *k, const struct care_of *at,
		     const struct endpoint *server)
{
	for (unsigned i = 0; i < ATTEMPTS_MAX; i++)
		if (k->attempts[i].used && way_is(&k->attempts[i].way, at, server))
			return true;
	return false;
}

static struct attempt *attempt_free(struct keeper *k)
{
	for (unsigned i = 0; i < ATTEMPTS_MAX; i++)
		if (!k->attempts[i].used)
			return &k->attempts[i];
	return NULL;
}

static struct attempt *attempt_oldest(struct keeper *k)
{
	struct attempt *oldest = NULL;
	for (unsigned i = 0; i < ATTEMPTS_MAX; i++) {
		struct attempt *a = &k->attempts[i];
		if (a->used && (!k->leader || a->sa != k->leader) &&
		    (!oldest || a->since_us < oldest->since_us))
			oldest = a;
	}
	return oldest;
}

/* The next way of the round; false: all were tried. */
static bool attempt_next(struct keeper *k, usec_t now_us)
{
	struct care_of at;
	struct endpoint server;
	while (keeper_way_at(k, k->tried, &at, &server)) {
		struct attempt *oldest = attempt_oldest(k);
		if (!attempt_free(k) && oldest && now_us >= oldest->since_us + ROUND_US)
			attempt_end(k, oldest, now_us);
		struct attempt *a = attempt_free(k);
		if (!a)
			return true;
		k->tried++;
		if (is_tried(k, &at, &server))
			continue;
		a->used = true;
		a->since_us = now_us;
		a->wish = keeper_wish_new(k, &at, true);
		if (!way_open(k, &a->way, &at, &server)) {
			attempt_clear(k, a);
			continue;
		}
		if (a->way.ready)
			attempt_go(k, a, now_us);
		return true;
	}
	return false;
}

static usec_t pause_us(const struct keeper *k)
{
	usec_t pause = PAUSE_US;
	for (unsigned i = 1; i < k->failures && pause < PAUSE_MAX_US; i++)
		pause *= 2;
	return pause < PAUSE_MAX_US ? pause : PAUSE_MAX_US;
}

static void round_over(struct keeper *k, usec_t now_us)
{
	struct attempt *oldest = attempt_oldest(k);
	k->tried = 0;
	if (!oldest) {
		/* Nowhere to go, or everybody refused. */
		k->failures++;
		k->seek_us =
		    k->care_of_count && k->server_count ? now_us + pause_us(k) : USEC_NEVER;
		return;
	}
	/* The engine goes on asking there; another round begins beside it. */
	if (now_us >= oldest->since_us + ROUND_US) {
		k->failures++;
		keeper_trouble_set(k, "the server does not answer");
		attempt_end(k, oldest, now_us);
		k->seek_us = now_us;
		return;
	}
	k->seek_us = oldest->since_us + ROUND_US;
}

/* --- what the keeper asks for */

void seeker_begin(struct keeper *k, usec_t now_us)
{
	if (!k->up || seeker_busy(k))
		return;
	k->tried = 0;
	k->seek_us = now_us;
}

void seeker_end(struct keeper *k, usec_t now_us)
{
	for (unsigned i = 0; i < ATTEMPTS_MAX; i++)
		if (k->attempts[i].used)
			attempt_end(k, &k->attempts[i], now_us);
	k->leader = NULL;
	k->seek_us = USEC_NEVER;
}

void seeker_failed(struct keeper *k, struct attempt *a, uint16_t notify, const char *why,
		   usec_t now_us)
{
	char server[ENDPOINT_TEXT_MAX];
	keeper_trouble_set(k, "%s: %s", endpoint_format(&a->way.server, server), why);
	log_warn(k->log, "keeper: not set up server=%s interface=%s notify=%s reason=\"%s\"",
		 endpoint_format(&a->way.server, server), a->way.at.interface,
		 notify ? ike_notify_text(notify) : "none", why);
	if (k->leader == a->sa)
		k->leader = NULL;
	attempt_clear(k, a);
	/* One that was refused is not asked again at once. */
	if (k->seek_us == USEC_NEVER || !notify)
		k->seek_us = now_us + (notify ? pause_us(k) : 0);
	if (notify)
		k->failures++;
}

void seeker_care_ofs(struct keeper *k, usec_t now_us)
{
	for (unsigned i = 0; i < ATTEMPTS_MAX; i++) {
		struct attempt *a = &k->attempts[i];
		bool there = false;
		for (size_t c = 0; c < k->care_of_count && a->used; c++)
			there |= k->care_ofs[c].ifindex == a->way.at.ifindex &&
				 addr_equal(&k->care_ofs[c].addr, &a->way.at.addr);
		if (a->used && !there)
			attempt_end(k, a, now_us);
	}
	/* Something may be better now, or be there at all; what is asked already keeps its time. */
	if (k->up && !k->leader && (seeker_busy(k) || !k->line)) {
		k->tried = 0;
		k->failures = 0;
		if (attempt_oldest(k) == NULL)
			k->seek_us = now_us;
	}
}

usec_t seeker_tick(struct keeper *k, usec_t now_us)
{
	for (unsigned i = 0; i < ATTEMPTS_MAX; i++) {
		struct attempt *a = &k->attempts[i];
		if (!a->used || a->sa)
			continue;
		struct way again;
		if (!way_open(k, &again, &a->way.at, &a->way.server)) {
			attempt_clear(k, a);
			continue;
		}
		way_close(k, &a->way);
		a->way = again;
		if (a->way.ready)
			attempt_go(k, a, now_us);
	}
	if (!k->up)
		return USEC_NEVER;
	if (k->leader && now_us < k->leader_us + LEADER_US)
		return k->leader_us + LEADER_US;
	if (k->leader) { /* the way was lost in the middle of it */
		struct attempt *a = seeker_find(k, k->leader);
		if (a)
			attempt_end(k, a, now_us);
		k->leader = NULL;
		k->seek_us = now_us;
	}
	if (now_us < k->seek_us)
		return k->seek_us;
	if (k->seek_us != USEC_NEVER) {
		if (attempt_next(k, now_us))
			k->seek_us = now_us + NEXT_US;
		else
			round_over(k, now_us);
	}
	return k->seek_us;
}
