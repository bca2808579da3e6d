/* SPDX-License-Identifier: MIT */
/* sim [--seeds N] [--seed S] [--verbose]: the script of a seed, and what must hold. */
#include "sim.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/mem.h"

#define SEEDS_DEFAULT 10000
#define DATA_EVERY_US (100 * USEC_PER_MS)
#define SETTLE_US     (35 * USEC_PER_SEC)
#define STEADY_US     (8 * USEC_PER_SEC)
#define TICKS_MAX     100 /* at one moment */

uint64_t sim_random(struct sim *s)
{
	uint64_t z = s->rng += 0x9e3779b97f4a7c15u;
	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
	z = (z ^ z >> 27) * 0x94d049bb133111ebu;
	return z ^ z >> 31;
}

uint32_t sim_below(struct sim *s, uint32_t n)
{
	return (uint32_t)(sim_random(s) % n);
}

bool sim_chance(struct sim *s, uint32_t permille)
{
	return sim_below(s, 1000) < permille;
}

void sim_fail(struct sim *s, const char *fmt, ...)
{
	if (s->why[0])
		return;
	va_list ap;
	va_start(ap, fmt);
	(void)vsnprintf(s->why, sizeof(s->why), fmt, ap);
	va_end(ap);
}

void sim_say(struct sim *s, const char *fmt, ...)
{
	if (!s->verbose)
		return;
	va_list ap;
	va_start(ap, fmt);
	printf("%10.6f ", (double)s->now_us / 1e6);
	(void)vprintf(fmt, ap);
	printf("\n");
	va_end(ap);
}

static void log_write(void *ctx, enum log_level level, const char *line)
{
	(void)level;
	sim_say(ctx, "  %s", line);
}

/* --- the heap */

static bool event_before(const struct event *a, const struct event *b)
{
	return a->at_us != b->at_us ? a->at_us < b->at_us : a->order < b->order;
}

struct event *sim_push(struct sim *s, usec_t at_us, enum event_kind kind)
{
	if (s->count == s->room) {
		s->room = s->room ? s->room * 2 : 256;
		s->heap = realloc(s->heap, s->room * sizeof(*s->heap));
		if (!s->heap)
			abort();
	}
	struct event e = {.at_us = at_us, .order = ++s->order, .kind = kind};
	size_t i = s->count++;
	for (; i && event_before(&e, &s->heap[(i - 1) / 2]); i = (i - 1) / 2)
		s->heap[i] = s->heap[(i - 1) / 2];
	s->heap[i] = e;
	return &s->heap[i];
}

static struct event heap_pop(struct sim *s)
{
	struct event top = s->heap[0], last = s->heap[--s->count];
	size_t i = 0;
	for (;;) {
		size_t child = 2 * i + 1;
		if (child >= s->count)
			break;
		if (child + 1 < s->count && event_before(&s->heap[child + 1], &s->heap[child]))
			child++;
		if (!event_before(&s->heap[child], &last))
			break;
		s->heap[i] = s->heap[child];
		i = child;
	}
	s->heap[i] = last;
	return top;
}

/* --- the script */

static void tell_care_ofs(struct sim *s, const char *cause)
{
	struct event *e = sim_push(s, s->now_us + sim_below(s, 30000), EVENT_CARE_OFS);
	e->life = s->t.life;
	(void)snprintf(e->cause, sizeof(e->cause), "%s", cause);
}

static void link_set(struct sim *s, int i, bool up)
{
	struct link *l = &s->links[i];
	if (l->up == up)
		return;
	l->up = up;
	l->nat++;
	l->network_known = sim_chance(s, 500);
	sim_say(s, "script: %s %s", link_names[i], up ? "up" : "down");
	tell_care_ofs(s, up ? "link up" : "link down");
	if (!l->network_known) {
		l->network_known = true;
		struct event *e =
		    sim_push(s, s->now_us + 100000 + sim_below(s, 500000), EVENT_CARE_OFS);
		e->life = s->t.life;
		(void)snprintf(e->cause, sizeof(e->cause), "network known");
	}
}

static void change(struct sim *s)
{
	int i = (int)sim_below(s, 3);
	struct link *l = &s->links[i];
	switch (sim_below(s, 12)) {
	case 0:
	case 1:
	case 2:
	case 3:
		link_set(s, i, !l->up);
		break;
	case 4:
		l->deaf_up = sim_chance(s, 600);
		l->deaf_down = sim_chance(s, 600);
		sim_say(s, "script: %s deaf up=%d down=%d", link_names[i], l->deaf_up,
			l->deaf_down);
		break;
	case 5:
		l->deaf_up = l->deaf_down = false;
		sim_say(s, "script: %s hears", link_names[i]);
		break;
	case 6:
		l->nat++;
		sim_say(s, "script: %s another mapping", link_names[i]);
		break;
	case 7:
		l->loss_permille = sim_below(s, 300);
		l->dup_permille = sim_below(s, 200);
		sim_say(s, "script: %s loss=%u", link_names[i], l->loss_permille);
		break;
	case 8:
		sim_say(s, "script: server restarts");
		server_stop(s);
		server_start(s);
		break;
	case 9:
		sim_say(s, "script: terminal restarts");
		terminal_stop(s);
		terminal_start(s);
		break;
	case 10:
		link_set(s, LINK_HOME, !s->links[LINK_HOME].up);
		break;
	case 11: {
		struct conn *c = sim_chance(s, 500) ? NULL : s->t.conns[i];
		sim_say(s, "script: pin %s", c ? c->name : "nothing");
		int err = mover_pin(s->t.mover, c, s->now_us);
		if (err)
			sim_fail(s, "cannot pin %s: %d", c ? c->name : "nothing", err);
		s->t.tick_us = s->now_us;
		break;
	}
	}
	s->changed_us = s->now_us;
	if (--s->changes_left) {
		usec_t wait =
		    sim_chance(s, 300) ? sim_below(s, 200000) : 500000 + sim_below(s, 6000000);
		(void)sim_push(s, s->now_us + wait, EVENT_CHANGE);
		return;
	}
	for (i = 0; i < LINKS; i++)
		s->links[i].loss_permille = 0;
}

static void handle(struct sim *s, struct event *e)
{
	switch (e->kind) {
	case EVENT_PACKET:
		net_arrive(s, e->packet);
		free(e->packet);
		return;
	case EVENT_CARE_OFS: {
		struct care_of list[LINKS];
		size_t n = net_care_ofs(s, list);
		if (e->life == s->t.life) {
			mover_care_ofs(s->t.mover, list, n, e->cause, s->now_us, s->now_us);
			s->t.tick_us = s->now_us;
		}
		return;
	}
	case EVENT_ATTACHED:
		if (e->life == s->t.life && s->t.conns[e->conn]) {
			mover_attached(s->t.mover, s->t.conns[e->conn], sim_chance(s, 950),
				       s->now_us);
			s->t.tick_us = s->now_us;
		}
		return;
	case EVENT_DATA:
		terminal_send_data(s);
		server_send_data(s);
		(void)sim_push(s, s->now_us + DATA_EVERY_US, EVENT_DATA);
		return;
	case EVENT_CHANGE:
		change(s);
		return;
	case EVENT_REPLAY:
		net_replay(s);
		(void)sim_push(s, s->now_us + 300000 + sim_below(s, 700000), EVENT_REPLAY);
		return;
	}
}

/* --- what must hold */

static bool link_carries(const struct sim *s, int i)
{
	const struct link *l = &s->links[i];
	if (!l->up || l->deaf_up || l->deaf_down)
		return false;
	return i != LINK_HOME || s->home_conn || s->any_conn;
}

static bool any_carries(const struct sim *s)
{
	for (int i = 0; i < LINKS; i++)
		if (link_carries(s, i))
			return true;
	return false;
}

static void check_home(struct sim *s)
{
	if (!s->t.home || mover_place(s->t.mover) != MOVER_HOME)
		sim_fail(s, "at home and does not know it");
	if (s->t.active >= 0)
		sim_fail(s, "at home and packets go to c%d", s->t.active);
	if (!any_carries(s))
		return;
	for (const struct binding *b = registrar_first(s->s.registrar); b; b = b->next)
		if (b->count)
			sim_fail(s, "at home and bound to %s", b->conns[0]->name);
}

/* How many the terminal has beside the best one, by what works and what is allowed. */
static void check_set(struct sim *s, const struct binding *b)
{
	struct conn *set[ACTIVE_MAX];
	uint8_t count = mover_active_set(s->t.mover, set), working = 0;
	for (int i = 0; i < LINKS; i++) {
		int link = s->t.links[i];
		if (link >= 0 && link_carries(s, link) && s->t.conns[i])
			working++;
	}
	uint8_t down = s->ncast & MOVER_NCAST_DOWN ? count : 1;
	/* One was added or taken out just now: the request is out. */
	if (s->now_us < s->t.set_us + USEC_PER_SEC)
		return;
	if (b->count != down)
		sim_fail(s, "terminal has %u active, server %u (family %u)", down, b->count,
			 b->home.family);
	if (s->t.set_count != (s->ncast & MOVER_NCAST_UP ? count : 1))
		sim_fail(s, "%u are active, packets go out on %d", count, s->t.set_count);
	uint8_t most = !s->ncast ? 1
		       : s->ncast & MOVER_NCAST_DOWN && s->connections_max < working
			   ? s->connections_max
			   : working;
	if (count > most)
		sim_fail(s, "%u are active of %u that may be", count, most);
	for (uint8_t i = 0; i < b->count && i < count; i++)
		if (strcmp(b->conns[i]->name, set[i]->name) != 0)
			sim_fail(s, "the server has %s where the terminal has %s",
				 b->conns[i]->name, set[i]->name);
}

static void check_away(struct sim *s)
{
	const struct terminal *t = &s->t;
	if (t->home)
		sim_fail(s, "away and does not know it");
	if (!any_carries(s))
		return;
	if (t->active < 0 || t->links[t->active] < 0 || !link_carries(s, t->links[t->active])) {
		sim_fail(s, "the active connection c%d does not work and another would", t->active);
		return;
	}
	for (const struct binding *b = registrar_first(s->s.registrar); b; b = b->next) {
		check_set(s, b);
		if (!b->count || b->conns[0] != s->s.conns[t->active])
			sim_fail(s, "terminal has c%d active, server %s (family %u)", t->active,
				 b->count ? b->conns[0]->name : "nothing", b->home.family);
		if (!mover_registered(t->mover, &b->home, NULL, NULL))
			sim_fail(s, "not registered (family %u)", b->home.family);
	}
	if (t->data_us + USEC_PER_SEC < s->now_us)
		sim_fail(s, "nothing comes down on c%d", t->active);
	if (s->s.data_us + USEC_PER_SEC < s->now_us)
		sim_fail(s, "nothing comes up on c%d", t->active);
	if (t->conns[t->active]->state != CONN_ACTIVE)
		sim_fail(s, "c%d is %s", t->active, conn_state_text(t->conns[t->active]->state));
}

static void check(struct sim *s)
{
	if (s->links[LINK_HOME].up)
		check_home(s);
	else
		check_away(s);
}

static void tick(struct sim *s, bool terminal)
{
	usec_t *at = terminal ? &s->t.tick_us : &s->s.tick_us;
	if (s->ticks_at_us != s->now_us) {
		s->ticks_at_us = s->now_us;
		s->ticks_here = 0;
	}
	if (++s->ticks_here > TICKS_MAX)
		sim_fail(s, "ticks without end");
	*at = terminal ? mover_tick(s->t.mover, s->now_us)
		       : registrar_tick(s->s.registrar, s->now_us);
	if (*at <= s->now_us)
		sim_fail(s, "a deadline in the past");
	if (!terminal)
		server_check_bindings(s);
}

static void step(struct sim *s)
{
	usec_t next = s->count ? s->heap[0].at_us : USEC_NEVER;
	if (s->t.tick_us <= next || s->s.tick_us <= next) {
		bool terminal = s->t.tick_us <= s->s.tick_us;
		next = terminal ? s->t.tick_us : s->s.tick_us;
		s->now_us = next > s->now_us ? next : s->now_us;
		tick(s, terminal);
		return;
	}
	struct event e = heap_pop(s);
	s->now_us = e.at_us;
	handle(s, &e);
}

static void seed_setup(struct sim *s)
{
	s->now_us = 1000 * USEC_PER_SEC;
	s->home_count = (uint8_t)(1 + sim_below(s, 2));
	bool six_first = sim_chance(s, 400);
	for (int i = 0; i < s->home_count; i++) {
		uint8_t h6[16] = {0xfd, [15] = 9}, h4[4] = {10, 0, 0, 9};
		s->homes[i] =
		    (i == 0) == six_first ? addr_from_bytes(6, h6) : addr_from_bytes(4, h4);
	}
	s->home_conn = sim_chance(s, 500);
	s->any_conn = sim_chance(s, 200);
	s->attach_later = sim_chance(s, 500);
	s->s.strict = sim_chance(s, 500);
	s->by_data = sim_chance(s, 500);
	s->s.may = BINDING_MAY_DEFAULT;
	if (sim_chance(s, s->by_data ? 800 : 200))
		s->s.may |= BINDING_MAY(BINDING_BY_DATA);
	s->lifetime_s = (uint16_t)(4 + sim_below(s, 80));
	s->t.clock_us = sim_chance(s, 500) ? 0 : (int64_t)sim_below(s, 200000000) - 100000000;
	for (int i = 0; i < LINKS; i++) {
		struct link *l = &s->links[i];
		l->up = i != LINK_HOME && sim_chance(s, 600);
		l->network_known = true;
		l->delay_us = 1000 + sim_below(s, 100000);
		l->jitter_us = sim_chance(s, 500) ? 0 : sim_below(s, 30000);
		l->loss_permille = sim_chance(s, 500) ? 0 : sim_below(s, 200);
		l->dup_permille = sim_chance(s, 500) ? 0 : sim_below(s, 200);
	}
	s->ncast = sim_chance(s, 500) ? 0 : (uint8_t)sim_below(s, 4);
	/* Copies on what is not active would say that it is used. */
	if (s->ncast & MOVER_NCAST_UP)
		s->s.may &= (uint8_t)~BINDING_MAY(BINDING_BY_DATA);
	s->connections_max = (uint8_t)(1 + sim_below(s, LINKS));
	s->changes_left = 1 + sim_below(s, 8);
	server_start(s);
	terminal_start(s);
	(void)sim_push(s, s->now_us, EVENT_DATA);
	(void)sim_push(s, s->now_us + sim_below(s, 3000000), EVENT_CHANGE);
	/* A clock that is ahead makes requests for the attacker to keep until their time has
	 * come; that is in the nature of timestamps (RFC 5944 5.7.1). */
	if (s->t.clock_us <= 0)
		(void)sim_push(s, s->now_us + sim_below(s, 3000000), EVENT_REPLAY);
}

/* 0: what must hold held. */
static int run(uint64_t seed, bool verbose, uint64_t *packets, uint64_t *copies)
{
	struct sim *s = mem_zalloc(sizeof(*s));
	s->seed = s->rng = seed;
	s->verbose = verbose;
	s->log = (struct log){.level = LOG_LEVEL_DEBUG, .write = log_write, .ctx = s};
	seed_setup(s);
	while (s->changes_left && !s->why[0])
		step(s);
	while (s->now_us < s->changed_us + SETTLE_US && !s->why[0])
		step(s);
	while (s->now_us < s->changed_us + SETTLE_US + STEADY_US && !s->why[0]) {
		usec_t until = s->now_us + USEC_PER_SEC;
		check(s);
		while (s->now_us < until && !s->why[0])
			step(s);
	}
	for (int i = 0; i < LINKS && verbose; i++)
		sim_say(s, "end: link %d up=%d deaf=%d/%d; c%d on %d %s", i, s->links[i].up,
			s->links[i].deaf_up, s->links[i].deaf_down, i, s->t.links[i],
			s->t.conns[i] ? conn_state_text(s->t.conns[i]->state) : "-");
	terminal_stop(s);
	server_stop(s);
	if (s->why[0])
		printf("seed %llu at %.3f s: %s\n", (unsigned long long)seed,
		       (double)s->now_us / 1e6, s->why);
	*packets += s->packets;
	*copies += s->copies_dropped;
	int failed = s->why[0] != '\0';
	for (size_t i = 0; i < s->count; i++)
		free(s->heap[i].packet);
	free(s->heap);
	free(s);
	return failed;
}

int main(int argc, char **argv)
{
	uint64_t first = 1, count = SEEDS_DEFAULT, packets = 0, copies = 0;
	bool verbose = false;
	for (int i = 1; i < argc; i++) {
		if (!strcmp(argv[i], "--verbose")) {
			verbose = true;
		} else if (!strcmp(argv[i], "--seeds") && i + 1 < argc) {
			count = strtoull(argv[++i], NULL, 0);
		} else if (!strcmp(argv[i], "--seed") && i + 1 < argc) {
			first = strtoull(argv[++i], NULL, 0);
			count = 1;
		} else {
			(void)fprintf(stderr, "usage: sim [--seeds N] [--seed S] [--verbose]\n");
			return 2;
		}
	}
	int failed = 0;
	for (uint64_t i = 0; i < count && failed < 10; i++)
		failed += run(first + i, verbose, &packets, &copies);
	printf("%llu seeds, %llu packets, %llu copies dropped, %d failed\n",
	       (unsigned long long)count, (unsigned long long)packets, (unsigned long long)copies,
	       failed);
	return failed ? 1 : 0;
}
