/* SPDX-License-Identifier: MIT */
/*
 * The registrar: terminals, their bindings and when these end.
 *
 * Ownership: terminals are taken (and wiped when they leave: they hold keys); connections and
 * peers are borrowed.  One thread (control).  The messages themselves: registrar_v4.c (RFC 5944
 * 3.8), registrar_v6.c (RFC 6275 10.3); what a request makes of a binding: binding.c.
 *
 * Each home address has its binding from the moment its terminal is known, with no connection
 * in it until the terminal registers.
 */
#include "mobility/registrar.h"

#include <errno.h>
#include <string.h>
#include "base/mem.h"
#include "mobility/binding.h"

struct registrar *registrar_new(const struct registrar_ops *ops, const struct addr *home_agents,
				uint8_t home_agent_count, struct conn_table *table,
				struct moves *moves, const struct log *log)
{
	struct registrar *r = mem_zalloc(sizeof(*r));
	r->ops = *ops;
	r->home_agent_count =
	    home_agent_count < REGISTRAR_AGENTS_MAX ? home_agent_count : REGISTRAR_AGENTS_MAX;
	for (uint8_t i = 0; i < r->home_agent_count; i++)
		r->home_agents[i] = home_agents[i];
	r->table = table;
	r->moves = moves;
	r->log = log;
	return r;
}

static void terminal_free(struct registrar_terminal *t)
{
	mem_wipe(t, sizeof(*t));
	free(t);
}

void registrar_free(struct registrar *r)
{
	if (!r)
		return;
	while (r->bindings) {
		struct binding *b = r->bindings;
		r->bindings = b->next;
		free(b);
	}
	while (r->terminals) {
		struct registrar_terminal *t = r->terminals;
		r->terminals = t->next;
		terminal_free(t);
	}
	free(r);
}

static bool home_is_taken(const struct registrar *r, const struct addr *home)
{
	for (const struct binding *b = r->bindings; b; b = b->next)
		if (addr_equal(&b->home, home))
			return true;
	return false;
}

int registrar_add(struct registrar *r, struct registrar_terminal *t)
{
	for (const struct registrar_terminal *o = r->terminals; o; o = o->next)
		if (o->mn_ha_spi == t->mn_ha_spi)
			return -EEXIST;
	for (uint8_t i = 0; i < t->home_count; i++) {
		if (home_is_taken(r, &t->homes[i]))
			return -EEXIST;
		for (uint8_t j = 0; j < i; j++)
			if (addr_equal(&t->homes[i], &t->homes[j]))
				return -EEXIST;
	}
	struct registrar_terminal **end = &r->terminals;
	while (*end)
		end = &(*end)->next;
	t->next = NULL;
	*end = t;
	struct binding **last = &r->bindings;
	while (*last)
		last = &(*last)->next;
	for (uint8_t i = 0; i < t->home_count; i++) {
		struct binding *b = mem_zalloc(sizeof(*b));
		b->home = t->homes[i];
		b->terminal = t;
		b->expires_us = USEC_NEVER;
		*last = b;
		last = &b->next;
	}
	return 0;
}

void registrar_remove(struct registrar *r, struct registrar_terminal *t)
{
	for (struct binding *b = r->bindings; b; b = b->next)
		if (b->terminal == t && b->count)
			binding_drop(r, b, NULL, "terminal removed", b->since_us);
	for (struct binding **b = &r->bindings; *b;) {
		struct binding *gone = *b;
		if (gone->terminal != t) {
			b = &gone->next;
			continue;
		}
		*b = gone->next;
		free(gone);
	}
	for (struct registrar_terminal **p = &r->terminals; *p; p = &(*p)->next) {
		if (*p != t)
			continue;
		*p = t->next;
		terminal_free(t);
		return;
	}
}

struct registrar_terminal *registrar_find(struct registrar *r, const char *name)
{
	for (struct registrar_terminal *t = r->terminals; t; t = t->next)
		if (strcmp(t->name, name) == 0)
			return t;
	return NULL;
}

void registrar_conn_gone(struct registrar *r, struct conn *c, usec_t now_us)
{
	for (struct binding *b = r->bindings; b; b = b->next)
		for (uint8_t i = 0; i < b->count; i++)
			if (b->conns[i] == c) {
				binding_drop(r, b, c, "connection gone", now_us);
				break;
			}
}

usec_t registrar_tick(struct registrar *r, usec_t now_us)
{
	usec_t next = USEC_NEVER;
	for (struct binding *b = r->bindings; b; b = b->next) {
		if (!b->count)
			continue;
		if (b->expires_us <= now_us) {
			r->counters.expired++;
			binding_drop(r, b, NULL, "lifetime ended", now_us);
		} else if (b->expires_us < next) {
			next = b->expires_us;
		}
	}
	return next;
}

const struct binding *registrar_first(const struct registrar *r)
{
	return r->bindings;
}

const struct registrar_counters *registrar_counters(const struct registrar *r)
{
	return &r->counters;
}
