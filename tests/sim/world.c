/* SPDX-License-Identifier: MIT */
/* Time, randomness, begin and end of a run. */
#include "world.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include "base/mem.h"

#define TICKS_MAX 200 /* at one moment */

uint64_t world_random(struct world *w)
{
	uint64_t z = w->rng += 0x9e3779b97f4a7c15u;
	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
	z = (z ^ z >> 27) * 0x94d049bb133111ebu;
	return z ^ z >> 31;
}

uint32_t world_below(struct world *w, uint32_t n)
{
	return (uint32_t)(world_random(w) % n);
}

bool world_chance(struct world *w, uint32_t permille)
{
	return world_below(w, 1000) < permille;
}

void world_fail(struct world *w, const char *fmt, ...)
{
	if (w->why[0])
		return;
	va_list ap;
	va_start(ap, fmt);
	(void)vsnprintf(w->why, sizeof(w->why), fmt, ap);
	va_end(ap);
	world_say(w, "FAILED: %s", w->why);
}

void world_say(struct world *w, const char *fmt, ...)
{
	if (!w->cfg.verbose)
		return;
	va_list ap;
	va_start(ap, fmt);
	printf("%10.6f ", (double)w->now_us / 1e6);
	(void)vprintf(fmt, ap);
	printf("\n");
	va_end(ap);
}

static void log_write(void *ctx, enum log_level level, const char *line)
{
	(void)level;
	world_say(ctx, "  %s", line);
}

struct event *world_push(struct world *w, usec_t at_us, enum event_kind kind)
{
	struct event *e = mem_zalloc(sizeof(*e));
	e->kind = kind;
	heap_set(&w->events, &e->at, at_us);
	return e;
}

/* --- one step */

static void handle(struct world *w, struct event *e)
{
	switch (e->kind) {
	case EVENT_DATAGRAM:
		net_arrive(w, e->datagram);
		return;
	case EVENT_CARE_OFS:
		if (e->life == w->t.n.life && w->t.n.alive)
			terminal_care_ofs(w, e->cause);
		return;
	case EVENT_OUTLET:
		if (e->life == w->t.n.life && w->t.n.alive)
			terminal_outlet_opened(w, e->outlet, e->made);
		return;
	case EVENT_DATA:
		terminal_send_data(w);
		server_send_data(w);
		(void)world_push(w, w->now_us + w->cfg.data_every_us, EVENT_DATA);
		return;
	case EVENT_CHANGE:
		script_change(w);
		return;
	case EVENT_ATTACK:
		attack(w);
		if (w->attacks)
			(void)world_push(w, w->now_us + 200000 + world_below(w, 1500000),
					 EVENT_ATTACK);
		return;
	}
}

static void tick(struct world *w, struct sim_node *n)
{
	if (w->ticks_at_us != w->now_us) {
		w->ticks_at_us = w->now_us;
		w->ticks_here = 0;
	}
	if (++w->ticks_here > TICKS_MAX)
		world_fail(w, "ticks of the %s without end", n->server ? "server" : "terminal");
	node_turn(n);
}

void world_step(struct world *w)
{
	struct heap_item *first = heap_first(&w->events);
	struct sim_node *n = w->t.n.tick_us <= w->s.n.tick_us ? &w->t.n : &w->s.n;
	usec_t next = first ? first->at_us : USEC_NEVER;
	if (n->tick_us <= next) {
		if (n->tick_us == USEC_NEVER) {
			world_fail(w, "nothing is left to happen");
			return;
		}
		w->now_us = n->tick_us > w->now_us ? n->tick_us : w->now_us;
		tick(w, n);
	} else {
		struct event *e = (struct event *)(void *)first;
		w->now_us = next;
		heap_set(&w->events, &e->at, USEC_NEVER);
		handle(w, e);
		free(e);
	}
	check_step(w);
}

void world_run(struct world *w, usec_t until_us)
{
	while (w->now_us < until_us && !w->why[0])
		world_step(w);
}

/* --- begin and end */

struct world *world_new(const struct world_config *cfg)
{
	struct world *w = mem_zalloc(sizeof(*w));
	w->cfg = *cfg;
	w->rng = cfg->seed;
	w->now_us = 1000 * USEC_PER_SEC;
	w->log = (struct log){.level = LOG_LEVEL_DEBUG, .write = log_write, .ctx = w};
	memcpy(w->links, cfg->links, sizeof(w->links));
	world_random_of(w);
	w->t.n = (struct sim_node){.w = w, .tick_us = USEC_NEVER};
	w->s.n = (struct sim_node){.w = w, .server = true, .tick_us = USEC_NEVER};
	(void)world_push(w, w->now_us, EVENT_DATA);
	return w;
}

void world_end(struct world *w)
{
	terminal_stop(w, true);
	server_stop(w, true);
	if (w->t.ways)
		world_fail(w, "%u ways of the terminal were not given back", w->t.ways);
	for (unsigned i = 0; i < OUTLETS; i++)
		if (w->t.outlets[i].users)
			world_fail(w, "a socket of the terminal was not given back");
	if (w->t.n.peers || w->s.n.peers)
		world_fail(w, "%u peers of the terminal and %u of the server were not retired",
			   w->t.n.peers, w->s.n.peers);
}

void world_free(struct world *w)
{
	struct heap_item *first;
	while ((first = heap_first(&w->events))) {
		struct event *e = (struct event *)(void *)first;
		heap_set(&w->events, &e->at, USEC_NEVER);
		free(e->datagram);
		free(e);
	}
	heap_clear(&w->events);
	attack_free(w);
	free(w->heard);
	world_random_of(NULL);
	free(w);
}
