/* SPDX-License-Identifier: MIT */
/*
 * The steward: the terminals of the configuration, found by who says he is one of them, over
 * reloads; and the wishes of people.
 *
 * Nothing here walks all terminals but a reload: an exact identity and an EAP user are found by
 * hash, patterns are few and tried in the order of the configuration.
 */
#include <ctype.h>
#include <errno.h>
#include <string.h>
#include "base/mem.h"
#include "crypto/mac.h"
#include "daemon/steward_state.h"

/* --- hashes */

static uint64_t hash_text(const struct steward *s, const char *text)
{
	return hash_bytes(s->seed, text, strlen(text));
}

/* The same for identities that are equal: names without case, and of a distinguished name what is
 * left without case and spaces. */
static uint64_t hash_identity(const struct steward *s, const struct identity *id)
{
	char text[IDENTITY_MAX * 2];
	size_t len = 0;
	identity_format(id, text, sizeof text);
	for (const char *c = text; *c; c++)
		if (id->type != IDENTITY_DN || *c != ' ')
			text[len++] = (char)tolower((unsigned char)*c);
	return hash_bytes(s->seed + id->type, text, len);
}

struct sw_entry *entry_named(const struct steward *s, const char *name)
{
	for (struct hash_link *l = hash_find(&s->names, hash_text(s, name)); l; l = hash_next(l)) {
		struct sw_entry *e = hash_owner(l, struct sw_entry, by_name);
		if (strcmp(e->t->name, name) == 0)
			return e;
	}
	return NULL;
}

/* --- entries */

static void entry_add(struct steward *s, struct config_terminal *t)
{
	struct sw_entry *e = mem_zalloc(sizeof *e);
	struct config_peer *p = t->peer;
	e->t = t;
	p->peer.owner = e;
	e->next = s->entries;
	if (e->next)
		e->next->prev = e;
	s->entries = e;
	hash_add(&s->names, &e->by_name, hash_text(s, t->name));
	if (!p->is_pattern)
		hash_add(&s->identities, &e->by_identity, hash_identity(s, p->remote_id));
	if (p->peer.remote_auth == IKE_BY_EAP && p->eap_identity)
		hash_add(&s->users, &e->by_user, hash_text(s, p->eap_identity));
}

static void entry_free(struct steward *s, struct sw_entry *e)
{
	*(e->prev ? &e->prev->next : &s->entries) = e->next;
	if (e->next)
		e->next->prev = e->prev;
	hash_remove(&s->names, &e->by_name);
	hash_remove(&s->identities, &e->by_identity);
	hash_remove(&s->users, &e->by_user);
	free(e);
}

static void entry_remove(struct steward *s, struct sw_entry *e, usec_t now_us)
{
	if (s->engine)
		ike_peer_gone(s->engine, &e->t->peer->peer, now_us);
	entry_end_instances(s, e, now_us);
	entry_free(s, e);
}

/* --- pools */

static struct sw_pool *pool_named(const struct sw_pool *p, const char *name)
{
	while (p && strcmp(p->cfg->name, name) != 0)
		p = p->next;
	return (struct sw_pool *)p;
}

static void pools_free(struct sw_pool *p)
{
	for (struct sw_pool *next; p; p = next) {
		next = p->next;
		pool_free(p->pool);
		free(p);
	}
}

static struct addr *fixed_addresses(const struct config *cfg, size_t *count)
{
	size_t n = cfg->home_agent_count;
	for (const struct config_terminal *t = cfg->terminals; t; t = t->next)
		n += t->home_count;
	struct addr *list = mem_zalloc((n + 1) * sizeof *list);
	n = 0;
	for (uint8_t i = 0; i < cfg->home_agent_count; i++)
		list[n++] = cfg->home_agents[i];
	for (const struct config_terminal *t = cfg->terminals; t; t = t->next)
		for (uint8_t i = 0; i < t->home_count; i++)
			list[n++] = t->homes[i];
	*count = n;
	return list;
}

/* What an old pool of the same name gave is still given.  Returns the old ones. */
static struct sw_pool *pools_make(struct steward *s, const struct config *cfg)
{
	struct sw_pool *old = s->pools, **end = &s->pools;
	struct pool_config pc = {0};
	struct addr *fixed = fixed_addresses(cfg, &pc.excluded_count);
	pc.excluded = fixed;
	s->pools = NULL;
	for (const struct config_pool *c = cfg->pools; c; c = c->next) {
		struct sw_pool *p = *end = mem_zalloc(sizeof *p);
		const struct sw_pool *was = pool_named(old, c->name);
		pc.range_count = 0;
		for (uint8_t i = 0; i < c->range_count && i < POOL_RANGES_MAX; i++)
			pc.ranges[pc.range_count++] =
			    (struct pool_range){.from = c->ranges[i].from, .to = c->ranges[i].to};
		p->cfg = c;
		p->pool = pool_new(&pc);
		if (was)
			pool_inherit(p->pool, was->pool);
		end = &p->next;
	}
	free(fixed);
	return old;
}

/* Instances whose address is another's now, or nobody's, end. */
static void entry_check_addresses(struct steward *s, struct sw_entry *e, usec_t now_us)
{
	for (struct sw_instance *i = e->instances, *next; i; i = next) {
		next = i->next;
		bool good = true;
		for (uint8_t k = 0; i->made && e->pool && k < i->rt->home_count; k++)
			good = good && pool_has(e->pool, &i->rt->homes[k]);
		if (!good)
			instance_close(s, i, "its address is given away no longer", false, now_us);
	}
}

/* --- the configuration */

static void entry_policy(const struct sw_entry *e)
{
	const struct config_terminal *t = e->t;
	for (const struct sw_instance *i = e->instances; i; i = i->next) {
		if (i->rt)
			registrar_set_policy(i->rt, t->may, t->drain_s);
		for (const struct sw_line *l = i->lines; l; l = l->next) {
			if (!l->peer)
				continue;
			l->peer->strict = t->strict;
			l->peer->implied = t->may & BINDING_MAY(BINDING_BY_DATA);
		}
	}
}

static bool entry_keep(struct sw_entry *e, struct config_terminal *fresh, usec_t now_us)
{
	if (!config_terminal_equal(e->t, fresh) || !e->t->pool != !fresh->pool)
		return false;
	if (e->t->pool && strcmp(e->t->pool->name, fresh->pool->name) != 0)
		return false;
	return config_peer_keep(&e->t->peer, &fresh->peer, now_us);
}

/* Somebody who fits a pattern was called as a terminal is from now on. */
static void instances_named_end(struct steward *s, const char *name, usec_t now_us)
{
	struct hash_link *l = hash_find(&s->instance_names, hash_text(s, name)), *next;
	for (; l && s->engine; l = next) {
		struct sw_instance *i = hash_owner(l, struct sw_instance, by_name);
		next = hash_next(l);
		if (strcmp(i->name, name) == 0)
			instance_close(s, i, "its name is another's now", true, now_us);
	}
}

void steward_prune(struct steward *s, struct config *old, struct config *fresh, usec_t now_us)
{
	s->round++;
	for (struct config_terminal *t = fresh->terminals; t; t = t->next) {
		struct sw_entry *e = entry_named(s, t->name);
		if (!e)
			instances_named_end(s, t->name, now_us);
		if (!e || !t->peer || !entry_keep(e, t, now_us))
			continue;
		e->t = t;
		e->round = s->round;
	}
	for (struct sw_entry *e = s->entries, *next; e; e = next) {
		next = e->next;
		if (e->round != s->round)
			entry_remove(s, e, now_us);
	}
	if (old && old->ike && old->ike->eap && s->engine && fresh->ike &&
	    !config_peer_keep(&old->ike->eap, &fresh->ike->eap, now_us))
		ike_peer_gone(s->engine, &old->ike->eap->peer, now_us);
}

void steward_extend(struct steward *s, const struct config *fresh, usec_t now_us)
{
	struct sw_entry **end = &s->patterns;
	struct sw_pool *old = pools_make(s, fresh);
	s->cfg = fresh;
	for (struct config_terminal *t = fresh->terminals; t; t = t->next) {
		if (!t->peer)
			continue;
		if (!entry_named(s, t->name))
			entry_add(s, t);
		struct sw_entry *e = entry_named(s, t->name);
		struct sw_pool *p = t->pool ? pool_named(s->pools, t->pool->name) : NULL;
		e->pool = p ? p->pool : NULL;
		e->round = s->round;
		e->next_pattern = NULL;
		if (t->peer->is_pattern) {
			*end = e;
			end = &e->next_pattern;
		}
		entry_check_addresses(s, e, now_us);
		entry_policy(e);
	}
	*end = NULL;
	pools_free(old);
}

/* --- who is there? */

static bool entry_fits(const struct sw_entry *e, const struct identity *idi,
		       const struct identity *idr, bool eap)
{
	const struct ike_peer *p = &e->t->peer->peer;
	return eap == (p->remote_auth == IKE_BY_EAP) && identity_matches(p->remote_id, idi) &&
	       (!idr || identity_equal(p->local_id, idr));
}

const struct ike_peer *steward_find_peer(struct steward *s, const struct identity *idi,
					 const struct identity *idr, bool eap)
{
	struct hash_link *l = hash_find(&s->identities, hash_identity(s, idi));
	for (; l; l = hash_next(l)) {
		const struct sw_entry *e = hash_owner(l, struct sw_entry, by_identity);
		if (entry_fits(e, idi, idr, eap))
			return &e->t->peer->peer;
	}
	for (const struct sw_entry *e = s->patterns; e; e = e->next_pattern)
		if (entry_fits(e, idi, idr, eap))
			return &e->t->peer->peer;
	const struct config_peer *any = eap && s->cfg->ike ? s->cfg->ike->eap : NULL;
	if (any && idr && !identity_equal(any->local_id, idr))
		return NULL;
	return any ? &any->peer : NULL;
}

const struct suite_list *steward_proposals(const struct steward *s)
{
	return &s->cfg->ike->proposals;
}

size_t steward_authorities(const struct steward *s, uint8_t *out, size_t room)
{
	const struct config_credentials *c = s->cfg->ike->credentials;
	return c && c->trust ? cert_trust_hashes(c->trust, out, room) : 0;
}

static const struct ike_peer *user_of_pattern(const struct steward *s,
					      const struct ike_peer *generic, const char *user)
{
	struct err err = {""};
	struct identity *id = identity_parse(user, &err);
	const struct ike_peer *found = NULL;
	for (const struct sw_entry *e = s->patterns; e && id && !found; e = e->next_pattern) {
		const struct config_peer *p = e->t->peer;
		if (p->peer.remote_auth == IKE_BY_EAP && p->peer.eap == EAP_TLS &&
		    !p->eap_identity && (!generic->owner || generic == &p->peer) &&
		    identity_matches(p->remote_id, id))
			found = &p->peer;
	}
	free(id);
	return found;
}

const struct ike_peer *steward_find_eap(struct steward *s, const struct ike_peer *generic,
					const char *user, const char **password)
{
	struct hash_link *l = hash_find(&s->users, hash_text(s, user));
	*password = "";
	for (; l; l = hash_next(l)) {
		const struct sw_entry *e = hash_owner(l, struct sw_entry, by_user);
		const struct config_peer *p = e->t->peer;
		if (strcmp(p->eap_identity, user) != 0 || p->peer.eap != generic->eap)
			continue;
		if (p->peer.eap == EAP_MSCHAPV2 && !p->eap_password)
			continue;
		if (p->eap_password)
			*password = p->eap_password;
		return &p->peer;
	}
	return generic->eap == EAP_TLS ? user_of_pattern(s, generic, user) : NULL;
}

/* --- wishes of people */

unsigned steward_down(struct steward *s, const char *name, usec_t now_us)
{
	struct hash_link *l = hash_find(&s->instance_names, hash_text(s, name));
	struct sw_entry *e = entry_named(s, name);
	unsigned count = 0;
	for (struct hash_link *next; l; l = next) {
		struct sw_instance *i = hash_owner(l, struct sw_instance, by_name);
		next = hash_next(l);
		if (strcmp(i->name, name) == 0 && i->entry != e)
			count += instance_close(s, i, "asked for", false, now_us);
	}
	for (struct sw_instance *i = e ? e->instances : NULL, *next; i; i = next) {
		next = i->next;
		count += instance_close(s, i, "asked for", false, now_us);
	}
	return count;
}

/* --- looking */

bool steward_made(const struct conn *c)
{
	return c->setup != NULL;
}

bool steward_follows(const struct conn *c)
{
	const struct sw_conn *h = c->setup;
	const struct ike_sa *sa = h->line->sa;
	return ike_sa_is_sojourn(sa) || (c->udp && ike_sa_nat_there(sa));
}

struct peer **steward_configured_peer(struct steward *s, struct registrar_terminal *rt)
{
	const struct sw_entry *e = entry_named(s, rt->name);
	for (struct sw_instance *i = e ? e->instances : NULL; i; i = i->next)
		for (const struct sw_line *l = i->lines; l && i->rt == rt; l = l->next)
			if (l->peer && l->peer == rt->peer)
				return &i->configured;
	return &rt->peer;
}

const struct pool *steward_pool(const struct steward *s, const char *name)
{
	const struct sw_pool *p = pool_named(s->pools, name);
	return p ? p->pool : NULL;
}

struct steward_counts steward_counts(const struct steward *s)
{
	return (struct steward_counts){
	    .instances = s->instance_count, .lines = s->line_count, .connections = s->conn_count};
}

/* --- begin, end */

struct steward *steward_new(const struct steward_ops *ops, struct registrar *registrar,
			    struct conn_table *table, const struct log *log)
{
	struct steward *s = mem_zalloc(sizeof *s);
	s->ops = *ops;
	s->registrar = registrar;
	s->table = table;
	s->log = log;
	random_bytes(&s->seed, sizeof s->seed);
	return s;
}

void steward_set_engine(struct steward *s, struct ike *engine)
{
	s->engine = engine;
}

void steward_free(struct steward *s, usec_t now_us)
{
	if (!s)
		return;
	while (s->entries)
		entry_remove(s, s->entries, now_us);
	pools_free(s->pools);
	hash_clear(&s->names);
	hash_clear(&s->identities);
	hash_clear(&s->users);
	hash_clear(&s->ids);
	hash_clear(&s->instance_names);
	free(s);
}
