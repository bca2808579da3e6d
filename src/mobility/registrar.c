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
#include <stdio.h>
#include <string.h>
#include "base/mem.h"
#include "crypto/mac.h"
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
	random_bytes(&r->seed, sizeof(r->seed));
	rtable_init(&r->by_home);
	rtable_init(&r->by_name);
	return r;
}

struct registrar_terminal *registrar_terminal_new(uint8_t homes, uint8_t prefixes, size_t key_len)
{
	/* What must be aligned comes first. */
	size_t size = sizeof(struct registrar_terminal) + homes * sizeof(struct binding *);
	size_t homes_off = size;
	size += homes * sizeof(struct addr);
	size_t prefixes_off = size;
	size += prefixes * sizeof(struct prefix);
	size_t key_off = size;
	size += key_len;
	struct registrar_terminal *t = mem_zalloc(size);
	t->size = (uint16_t)size;
	t->home_room = homes;
	t->bindings = (struct binding **)(t + 1);
	t->homes = (struct addr *)((char *)t + homes_off);
	t->prefixes = (struct prefix *)((char *)t + prefixes_off);
	t->mn_ha_key = (uint8_t *)t + key_off;
	t->mn_ha_key_room = (uint8_t)key_len;
	t->may = BINDING_MAY_DEFAULT;
	return t;
}

void registrar_terminal_free(struct registrar_terminal *t)
{
	mem_wipe(t, t->size);
	free(t);
}

void registrar_set_key(struct registrar_terminal *t, uint32_t spi, const uint8_t *key, size_t len)
{
	t->mn_ha_spi = spi;
	t->mn_ha_key_len = (uint8_t)(len < t->mn_ha_key_room ? len : t->mn_ha_key_room);
	if (t->mn_ha_key_len)
		memcpy(t->mn_ha_key, key, t->mn_ha_key_len);
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
		registrar_terminal_free(t);
	}
	rtable_clear(&r->by_home);
	rtable_clear(&r->by_name);
	heap_clear(&r->expiries);
	free(r);
}

static uint32_t hash_home(const struct registrar *r, const struct addr *home)
{
	return (uint32_t)hash_bytes(r->seed, home, sizeof(*home));
}

static uint32_t hash_name(const struct registrar *r, const char *name)
{
	return (uint32_t)hash_bytes(r->seed, name, strlen(name));
}

static bool binding_is_of(const void *item, const void *key)
{
	return addr_equal(&((const struct binding *)item)->home, key);
}

static bool home_is_taken(const struct registrar *r, const struct addr *home)
{
	return rtable_find(&r->by_home, hash_home(r, home), binding_is_of, home);
}

static void binding_add(struct registrar *r, struct registrar_terminal *t, uint8_t i)
{
	struct binding *b = mem_zalloc(sizeof(*b) + binding_room(t) * sizeof(struct conn *));
	b->home = t->homes[i];
	b->terminal = t;
	b->expires_us = USEC_NEVER;
	b->prev = r->last_binding;
	*(b->prev ? &b->prev->next : &r->bindings) = b;
	r->last_binding = b;
	rtable_add(&r->by_home, hash_home(r, &b->home), b);
	t->bindings[i] = b;
}

static void binding_remove(struct registrar *r, struct binding *b)
{
	*(b->prev ? &b->prev->next : &r->bindings) = b->next;
	*(b->next ? &b->next->prev : &r->last_binding) = b->prev;
	rtable_remove(&r->by_home, hash_home(r, &b->home), b);
	heap_set(&r->expiries, &b->expiry, USEC_NEVER);
	free(b);
}

void registrar_set_peer(struct registrar_terminal *t, struct peer *peer)
{
	t->peer = peer;
	if (peer)
		peer->owner = t;
}

int registrar_add(struct registrar *r, struct registrar_terminal *t)
{
	for (uint8_t i = 0; i < t->home_count; i++) {
		if (home_is_taken(r, &t->homes[i]))
			return -EEXIST;
		for (uint8_t j = 0; j < i; j++)
			if (addr_equal(&t->homes[i], &t->homes[j]))
				return -EEXIST;
	}
	t->next = NULL;
	t->prev = r->last_terminal;
	*(t->prev ? &t->prev->next : &r->terminals) = t;
	r->last_terminal = t;
	rtable_add(&r->by_name, hash_name(r, t->name), t);
	registrar_set_peer(t, t->peer);
	for (uint8_t i = 0; i < t->home_count; i++)
		binding_add(r, t, i);
	return 0;
}

void registrar_remove(struct registrar *r, struct registrar_terminal *t)
{
	for (uint8_t i = 0; i < t->home_count; i++)
		if (t->bindings[i]->count)
			binding_drop(r, t->bindings[i], NULL, "terminal removed",
				     t->bindings[i]->since_us);
	for (uint8_t i = 0; i < t->home_count; i++)
		binding_remove(r, t->bindings[i]);
	*(t->prev ? &t->prev->next : &r->terminals) = t->next;
	*(t->next ? &t->next->prev : &r->last_terminal) = t->prev;
	rtable_remove(&r->by_name, hash_name(r, t->name), t);
	if (t->peer && t->peer->owner == t)
		t->peer->owner = NULL;
	registrar_terminal_free(t);
}

static bool terminal_is_named(const void *item, const void *key)
{
	return strcmp(((const struct registrar_terminal *)item)->name, key) == 0;
}

struct registrar_terminal *registrar_find(struct registrar *r, const char *name)
{
	return rtable_find(&r->by_name, hash_name(r, name), terminal_is_named, name);
}

/* --- completed setups */

static uint16_t lifetime_grant(const struct registrar_terminal *t, uint16_t wish_s)
{
	if (!wish_s || wish_s > t->lifetime_max_s)
		return t->lifetime_max_s;
	return wish_s;
}

uint8_t registrar_set_up(struct registrar *r, const struct registrar_setup *s, uint16_t *granted_s)
{
	struct registrar_terminal *t = binding_terminal(s->conn);
	struct conn *conns[] = {s->conn};
	const struct addr *homes = s->home_count ? s->homes : t ? t->homes : NULL;
	uint8_t count = s->home_count ? s->home_count : t ? t->home_count : 0;
	*granted_s = 0;
	if (!t || !count || s->conn->state == CONN_EXPIRED || !binding_may(t, BINDING_BY_SETUP))
		return MIP4_PROHIBITED;
	for (uint8_t i = 0; i < count; i++)
		if (!binding_find(t, &homes[i]))
			return MIP4_PROHIBITED;
	*granted_s = s->forever ? MIP4_LIFETIME_INFINITE : lifetime_grant(t, s->wish_s);
	for (uint8_t i = 0; i < count; i++) {
		struct binding *b = binding_find(t, &homes[i]);
		bool changed = binding_assign(r, b, conns, 1, BINDING_BY_SETUP, *granted_s,
					      s->now_us, s->wall_us);
		/* Its numbers begin afresh with the connection's. */
		b->has_sequence = false;
		if (!changed)
			continue;
		move_note(r->last_move, s->now_us, MOVE_DONE, "by the setup of %s", s->conn->name);
		r->last_move->done = true;
		r->ops.binding_changed(r->ops.ctx, b);
	}
	/* What was asked before, and comes later by a slower path, is past. */
	uint64_t identification = mip4_identification(s->wall_us);
	if (identification > t->last_identification)
		t->last_identification = identification;
	r->counters.accepted++;
	r->counters.by_setup++;
	log_info(r->log, "registrar: set up terminal=%s connection=%s lifetime_s=%u", t->name,
		 s->conn->name, *granted_s);
	return MIP4_ACCEPTED;
}

void registrar_note_place(struct registrar *r, const struct conn *c, const char *from,
			  const char *to, const char *why, bool by_data, usec_t now_us,
			  uint64_t wall_us)
{
	const struct registrar_terminal *t = binding_terminal(c);
	if (!t || c->state != CONN_ACTIVE)
		return;
	struct move *mv = moves_begin(r->moves, MOVE_BREAK_BEFORE_MAKE, t->name, c->name, c->name,
				      now_us, wall_us);
	(void)snprintf(mv->why, sizeof(mv->why), "%s", why);
	mv->by = by_data ? binding_why_text(BINDING_BY_DATA) : NULL;
	move_note(mv, now_us, MOVE_SWITCH, "%s: from %s to %s", c->name, from, to);
	move_note(mv, now_us, MOVE_DONE, "%s", why);
	mv->done = true;
	r->last_move = NULL;
}

void registrar_conn_gone(struct registrar *r, struct conn *c, usec_t now_us)
{
	struct registrar_terminal *t = binding_terminal(c);
	for (uint8_t k = 0; t && k < t->home_count; k++) {
		struct binding *b = t->bindings[k];
		for (uint8_t i = 0; i < b->count; i++)
			if (b->conns[i] == c) {
				binding_drop(r, b, c, "connection gone", now_us);
				break;
			}
	}
}

usec_t registrar_tick(struct registrar *r, usec_t now_us)
{
	struct heap_item *first;
	while ((first = heap_first(&r->expiries)) && first->at_us <= now_us) {
		struct binding *b = hash_owner(first, struct binding, expiry);
		if (binding_is_alive(r, b, now_us))
			continue;
		r->counters.expired++;
		binding_drop(r, b, NULL, "lifetime ended", now_us);
	}
	return first ? first->at_us : USEC_NEVER;
}

const struct binding *registrar_first(const struct registrar *r)
{
	return r->bindings;
}

const struct registrar_counters *registrar_counters(const struct registrar *r)
{
	return &r->counters;
}
